//! The status listener: `/healthz`, `/readyz`, `/status` and `/metrics`, for machines.

use std::sync::Arc;

use async_trait::async_trait;
use http::{Method, Response, StatusCode, header};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use serde::Serialize;

use crate::gateway::Shared;
use crate::status::GatewayStatus;
use crate::upstream::checks::NodeHealth;

/// Answers about one gateway.
pub(crate) struct StatusServer {
    shared: Arc<Shared>,
}

impl StatusServer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    fn answer(&self, method: &Method, path: &str) -> Answer {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Answer::text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        }
        match path {
            "/healthz" => Answer::text(StatusCode::OK, "ok\n"),
            "/readyz" => match self.shared.unready() {
                None => Answer::text(StatusCode::OK, "ready\n"),
                Some(reason) => {
                    Answer::text(StatusCode::SERVICE_UNAVAILABLE, &format!("{reason}\n"))
                }
            },
            "/status" => match status(&self.shared) {
                Ok(body) => Answer { status: StatusCode::OK, kind: "application/json", body },
                Err(error) => {
                    Answer::text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n"))
                }
            },
            "/metrics" => Answer {
                status: StatusCode::OK,
                kind: "text/plain; version=0.0.4; charset=utf-8",
                body: self.shared.metrics_text().into_bytes(),
            },
            _ => Answer::text(
                StatusCode::NOT_FOUND,
                "there are /healthz, /readyz, /status and /metrics\n",
            ),
        }
    }
}

/// What `/status` says: the gateway, and every node that is checked.
#[derive(Serialize)]
struct Page<'s> {
    #[serde(flatten)]
    gateway: &'s GatewayStatus,
    nodes: Vec<NodeHealth>,
}

fn status(shared: &Shared) -> serde_json::Result<Vec<u8>> {
    let page = Page { gateway: &shared.status(), nodes: shared.nodes() };
    serde_json::to_vec_pretty(&page)
}

struct Answer {
    status: StatusCode,
    kind: &'static str,
    body: Vec<u8>,
}

impl Answer {
    fn text(status: StatusCode, text: &str) -> Self {
        Self { status, kind: "text/plain; charset=utf-8", body: text.as_bytes().to_vec() }
    }
}

#[async_trait]
impl ServeHttp for StatusServer {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let request = session.req_header();
        let answer = self.answer(&request.method, request.uri.path());
        let body = if request.method == Method::HEAD { Vec::new() } else { answer.body.clone() };
        let built = Response::builder()
            .status(answer.status)
            .header(header::CONTENT_TYPE, answer.kind)
            .header(header::CONTENT_LENGTH, answer.body.len())
            .body(body);
        built.unwrap_or_default()
    }
}
