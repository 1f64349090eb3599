//! The command line of a gateway: flags, signals, log.

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use refgate_core::name::GroupName;
use tracing_subscriber::EnvFilter;

use crate::gateway::{self, Gateway, GatewayOptions, StartError};

/// What a gateway is told on the command line.
#[derive(Debug, Clone, clap::Args)]
pub struct GatewayArgs {
    /// The gateway group to serve
    #[arg(long, value_name = "GROUP")]
    pub group: GroupName,
    /// The configuration repository on disk, such as refgate-data/config.git
    #[arg(long, value_name = "PATH", value_parser = repository)]
    pub source: PathBuf,
    /// Address to take requests on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9080")]
    pub listen: SocketAddr,
    /// Address for /healthz, /readyz, /status and /metrics
    #[arg(long, value_name = "ADDR")]
    pub status_listen: Option<SocketAddr>,
    /// Name of this instance [default: the host's name and the process id]
    #[arg(long, value_name = "NAME")]
    pub instance: Option<String>,
    /// How long requests in flight may take to finish on SIGTERM
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub drain_timeout: Duration,
}

/// Why the command ended other than by a signal.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The gateway did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Signals cannot be waited for.
    #[error("cannot wait for signals: {0}")]
    Signals(std::io::Error),
}

fn repository(text: &str) -> Result<PathBuf, String> {
    if text.contains("://") {
        return Err("this version reads a repository on disk, not a URL; \
                    give the path of the control plane's config.git"
            .to_owned());
    }
    Ok(PathBuf::from(text))
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|time| *time <= Duration::from_secs(366 * 86_400))
        .ok_or_else(|| "a number of seconds is needed".to_owned())
}

/// Runs a gateway until SIGTERM or SIGINT has drained it. A second signal ends it at once.
///
/// # Errors
/// When the gateway does not start.
pub fn run(args: GatewayArgs) -> Result<(), RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(RunError::Signals)?;
    // Before the gateway starts, so that no signal is missed.
    let mut signals = runtime.block_on(async { Signals::new() }).map_err(RunError::Signals)?;
    let group = args.group.clone();
    let gateway = Arc::new(gateway::start(GatewayOptions {
        group: args.group,
        source: args.source,
        listen: args.listen,
        status_listen: args.status_listen,
        instance: args.instance.unwrap_or_else(instance),
        drain_timeout: args.drain_timeout,
    })?);
    print_addresses(&gateway, &group);
    let signalled = Arc::clone(&gateway);
    // Ends with the process, at the latest.
    std::thread::spawn(move || {
        runtime.block_on(async {
            signals.next().await;
            signalled.shutdown();
            signals.next().await;
            signalled.abort();
        });
    });
    gateway.join();
    Ok(())
}

/// Tells people and scripts where it listens. A closed standard output is no reason to stop.
fn print_addresses(gateway: &Gateway, group: &GroupName) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "refgate: gateway {group} http://{}", gateway.address());
    if let Some(address) = gateway.status_address() {
        let _ = writeln!(out, "refgate: status http://{address}");
    }
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The host's name and the process id.
fn instance() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::fs::read_to_string("/etc/hostname"))
        .unwrap_or_default();
    let host = match host.trim() {
        "" => "gateway",
        host => host,
    };
    format!("{host}-{}", std::process::id())
}

/// Sends the log to standard error: for people on a terminal, else as JSON.
///
/// `RUST_LOG` says what is logged; `info` when it is not set.
pub fn log_to_stderr() {
    // Pingora tells of every client that hangs up as an error.
    let default = "info,pingora_proxy=off,pingora_core=error";
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let result = if std::io::stderr().is_terminal() {
        log.with_target(false).try_init()
    } else {
        log.json().flatten_event(true).try_init()
    };
    if let Err(error) = result {
        eprintln!("no log: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_refused() {
        assert!(repository("http://127.0.0.1:7080").is_err_and(|why| why.contains("on disk")));
        assert!(repository("refgate-data/config.git").is_ok());
    }

    #[test]
    fn times_are_seconds() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(seconds("0"), Ok(Duration::ZERO));
        for text in ["", "-1", "1s", "NaN", "inf", "1e300"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
