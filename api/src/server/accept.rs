//! Accepts connections and speaks HTTP/1.1 on them, with the limits that keep idle or slow
//! clients from holding the control plane.

use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use crate::limits::{CONNECTIONS, HEAD_ARRIVAL};

/// The address that a request came from, beside each request.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// Pause after the operating system had no file handle for a connection.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(200);

/// Serves until `stop`, then lets requests in flight finish.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let connections = GracefulShutdown::new();
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_ARRIVAL);
    let mut stop = pin!(stop);
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut stop => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let service = router.clone().map_request(move |mut request: Request<_>| {
            request.extensions_mut().insert(Peer(peer.ip()));
            request
        });
        let service = TowerToHyperService::new(service);
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection broke off");
            }
        });
    }
    drop(listener);
    connections.shutdown().await;
}

#[cfg(test)]
mod tests {
    use anyhow::Result;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::{Notify, oneshot};

    use super::*;

    #[tokio::test]
    async fn a_stop_lets_requests_in_flight_finish() -> Result<()> {
        let (begun, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let slow = {
            let (begun, release) = (Arc::clone(&begun), Arc::clone(&release));
            move || async move {
                begun.notify_one();
                release.notified().await;
                "done"
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let router = Router::new().route("/slow", get(slow));
        let serving = tokio::spawn(serve(listener, router, async {
            let _ = stopped.await;
        }));

        let mut idle = TcpStream::connect(address).await?;
        let mut client = TcpStream::connect(address).await?;
        client.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await?;
        begun.notified().await;
        let _ = stop.send(());
        let mut nothing = Vec::new();
        assert_eq!(idle.read_to_end(&mut nothing).await?, 0, "idle connections are closed");
        assert!(TcpStream::connect(address).await.is_err(), "no new ones are taken");

        release.notify_one();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await?;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
        serving.await?;
        Ok(())
    }
}
