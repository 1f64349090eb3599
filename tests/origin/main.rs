//! `refgate-origin`: a small HTTP origin in httpbin's JSON shapes.
//!
//! Tests and the demo proxy to it, so that examples written for httpbin work without a
//! network. It answers `/headers`, `/get`, `/anything/*`, `/status/{code}`,
//! `/delay/{seconds}` and `/drip?duration=…&numbytes=…`. Two things differ from httpbin on purpose: forwarding headers
//! (`X-Forwarded-For` and the like) are shown instead of hidden, because what a gateway
//! forwards is what is looked at here; and multipart bodies are shown as `data`, unparsed.
//! What is read out of a request is in `echo.rs`.

mod echo;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Query};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use tokio_stream::wrappers::ReceiverStream;

use echo::{Echo, Show};

/// Larger than any body a test sends; the gateway's limits are what is tested, not these.
const BODY_LIMIT: usize = 64 << 20;
const LONGEST_DELAY: Duration = Duration::from_secs(10);
const MOST_DRIPS: f64 = 10_000.0;

fn main() -> anyhow::Result<()> {
    let Some(address) = listen_address()? else {
        println!("usage: refgate-origin [--listen ADDR]   (default 127.0.0.1:0, a free port)");
        return Ok(());
    };
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(address))
}

fn listen_address() -> anyhow::Result<Option<SocketAddr>> {
    let mut arguments = std::env::args().skip(1);
    let mut address = SocketAddr::from(([127, 0, 0, 1], 0));
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-h" | "--help" => return Ok(None),
            "--listen" => {
                let value = arguments.next().context("--listen needs an address")?;
                address = value.parse().with_context(|| {
                    format!("--listen {value}: not an address such as 127.0.0.1:8000")
                })?;
            }
            other => anyhow::bail!("unknown argument {other} (try --help)"),
        }
    }
    Ok(Some(address))
}

async fn serve(address: SocketAddr) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    // Whoever started this program reads the port from this line.
    println!("refgate-origin: http://{}", listener.local_addr()?);
    let app = router().into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).await?;
    Ok(())
}

fn router() -> Router {
    Router::new()
        .route("/headers", get(headers))
        .route("/get", get(get_))
        .route("/anything", any(anything))
        .route("/anything/{*rest}", any(anything))
        .route("/status/{code}", any(status))
        .route("/delay/{seconds}", any(delay))
        .route("/drip", get(drip))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
}

async fn headers(echo: Echo) -> Response {
    echo.answer(&[Show::Headers])
}

async fn get_(echo: Echo) -> Response {
    echo.answer(&[Show::Args, Show::Headers, Show::Origin, Show::Url])
}

async fn anything(method: Method, echo: Echo) -> Response {
    echo.answer(&[
        Show::Args,
        Show::Data,
        Show::Files,
        Show::Form,
        Show::Headers,
        Show::Json,
        Show::Method(method),
        Show::Origin,
        Show::Url,
    ])
}

async fn status(Path(code): Path<String>) -> Response {
    match code.parse().ok().map(StatusCode::from_u16) {
        // The informational ones are not final answers.
        Some(Ok(code)) if !code.is_informational() => code.into_response(),
        _ => (StatusCode::BAD_REQUEST, "Invalid status code").into_response(),
    }
}

async fn delay(Path(seconds): Path<f64>, echo: Echo) -> Response {
    let delay = Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_DELAY);
    tokio::time::sleep(delay.min(LONGEST_DELAY)).await;
    echo.answer(&[
        Show::Args,
        Show::Data,
        Show::Files,
        Show::Form,
        Show::Headers,
        Show::Origin,
        Show::Url,
    ])
}

/// Answers at once, and lets the body trickle over the duration.
async fn drip(Query(query): Query<BTreeMap<String, String>>) -> Response {
    let number = |key: &str, default: f64| {
        query
            .get(key)
            .and_then(|text| text.parse::<f64>().ok())
            .filter(|number| number.is_finite() && *number >= 0.0)
            .unwrap_or(default)
    };
    let bytes = number("numbytes", 10.0).clamp(1.0, MOST_DRIPS) as u32;
    let duration =
        Duration::from_secs_f64(number("duration", 2.0).min(LONGEST_DELAY.as_secs_f64()));
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<&[u8], Infallible>>(1);
    tokio::spawn(async move {
        for _ in 0..bytes {
            // The client may have left.
            if sender.send(Ok(b"*")).await.is_err() {
                return;
            }
            tokio::time::sleep(duration / bytes).await;
        }
    });
    Body::from_stream(ReceiverStream::new(receiver)).into_response()
}
