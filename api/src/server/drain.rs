//! The end of a process: readiness off, gateways first, then the API, all within one deadline.
//!
//! The API outlives the gateways so that `/readyz` can say 503 for as long as traffic drains. A
//! second signal ends everything at once.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use refgate_proxy::Gateway;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, timeout_at};

use super::accept;
use crate::http::{self, Api};

/// SIGTERM and SIGINT, caught.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Catches them from now on.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next of them.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Answers requests until a signal, then drains.
///
/// # Errors
/// When the task that serves was lost.
pub async fn serve_until_stopped(
    api: Api,
    listener: TcpListener,
    gateways: Vec<Gateway>,
    mut signals: Signals,
    drain_timeout: Duration,
) -> io::Result<()> {
    let (close, closed) = tokio::sync::oneshot::channel::<()>();
    let router = http::router(api.clone());
    let serving = tokio::spawn(accept::serve(listener, router, async {
        let _ = closed.await;
    }));
    let signal = signals.next().await;
    tracing::info!(signal, timeout = ?drain_timeout, "draining");
    api.begin_drain();
    let deadline = Instant::now() + drain_timeout;
    let gateways = Arc::new(gateways);
    let draining = Arc::clone(&gateways);
    let drained = async move {
        draining.iter().for_each(Gateway::shutdown);
        let joined = tokio::task::spawn_blocking(move || draining.iter().for_each(Gateway::join));
        let in_time = timeout_at(deadline, joined).await.is_ok();
        let _ = close.send(());
        match timeout_at(deadline, serving).await {
            Ok(served) => served.map(|()| in_time).map_err(io::Error::other),
            Err(_) => Ok(false),
        }
    };
    let ended = tokio::select! {
        in_time = drained => in_time.map(|in_time| {
            if in_time {
                tracing::info!("drained");
            } else {
                tracing::warn!("the drain timeout passed; what was in flight is cut off");
            }
        }),
        signal = signals.next() => {
            tracing::warn!(signal, "stopped without draining");
            gateways.iter().for_each(Gateway::abort);
            Ok(())
        }
    };
    // Processes do not end with the one that started them.
    api.cut_off().await;
    ended
}
