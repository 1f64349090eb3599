//! The command line of a gateway: flags, signals, log.

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use refgate_core::name::GroupName;
use tracing_subscriber::EnvFilter;

use crate::access_log::{AccessLog, LogTarget};
use crate::gateway::{self, Gateway, GatewayOptions, Limits, StartError};

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
    /// Take HTTP/2 without TLS there as well, from clients that know (h2c)
    #[arg(long)]
    pub h2c: bool,
    /// Address to take requests over TLS on, with the group's certificates
    #[arg(long, value_name = "ADDR")]
    pub tls_listen: Option<SocketAddr>,
    /// Address for /healthz, /readyz, /status and /metrics
    #[arg(long, value_name = "ADDR")]
    pub status_listen: Option<SocketAddr>,
    /// Name of this instance [default: the host's name and the process id]
    #[arg(long, value_name = "NAME")]
    pub instance: Option<String>,
    /// How long requests in flight may take to finish on SIGTERM
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub drain_timeout: Duration,
    /// File to add a line of JSON to for every request, or - for standard output [default: no log]
    #[arg(long, value_name = "PATH")]
    pub access_log: Option<LogTarget>,
    /// What clients may take of it.
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// What clients may take of a gateway.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Largest body of a request; larger ones are answered 413 [default: any]
    #[arg(long, value_name = "BYTES")]
    pub max_body: Option<u64>,
    /// Connections that one client address may hold; more are closed [default: any number]
    #[arg(long, value_name = "NUMBER")]
    pub max_connections_per_client: Option<NonZeroU32>,
    /// How long the header of a request may take from its first byte to its last
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = some_seconds)]
    pub header_timeout: Duration,
    /// How long a connection may rest between requests
    #[arg(long, value_name = "SECONDS", default_value = "75", value_parser = clap::value_parser!(u32).range(1..))]
    pub idle_timeout: u32,
    /// How long a client may pause while it sends a body or takes one
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = some_seconds)]
    pub transfer_timeout: Duration,
}

impl LimitArgs {
    /// The limits that are meant.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            body: self.max_body,
            connections_per_client: self.max_connections_per_client,
            header_timeout: self.header_timeout,
            idle_timeout: Duration::from_secs(self.idle_timeout.into()),
            transfer_timeout: self.transfer_timeout,
        }
    }
}

/// Why the command ended other than by a signal.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The gateway did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The access log cannot be written.
    #[error("cannot open the access log: {0}")]
    AccessLog(std::io::Error),
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

fn some_seconds(text: &str) -> Result<Duration, String> {
    match seconds(text)? {
        Duration::ZERO => Err("a number of seconds greater than 0 is needed".to_owned()),
        time => Ok(time),
    }
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
    let access_log = args.access_log.map(AccessLog::open).transpose();
    let access_log = access_log.map_err(RunError::AccessLog)?.map(Arc::new);
    let group = args.group.clone();
    let gateway = Arc::new(gateway::start(GatewayOptions {
        group: args.group,
        source: args.source,
        listen: args.listen,
        h2c: args.h2c,
        tls_listen: args.tls_listen,
        status_listen: args.status_listen,
        instance: args.instance.unwrap_or_else(instance),
        drain_timeout: args.drain_timeout,
        limits: args.limits.limits(),
        access_log,
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
    if let Some(address) = gateway.tls_address() {
        let _ = writeln!(out, "refgate: gateway {group} https://{address}");
    }
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
        assert!(some_seconds("0").is_err());
    }
}
