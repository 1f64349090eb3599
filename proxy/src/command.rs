//! The command line of a gateway: flags, signals, log.

use std::io::{IsTerminal as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use refgate_core::name::GroupName;
use tracing_subscriber::EnvFilter;

use crate::access_log::{AccessLog, LogTarget};
use crate::control_plane::{ControlPlane, ControlPlaneUrl, UrlError};
use crate::gateway::{self, Gateway, GatewayOptions, Limits, StartError};
use crate::source::{SourceFrom, SourceOptions};

/// What a gateway is told on the command line.
#[derive(Debug, Clone, clap::Args)]
pub struct GatewayArgs {
    /// The gateway group to serve
    #[arg(long, value_name = "GROUP")]
    pub group: GroupName,
    /// The configuration repository on disk, such as refgate-data/config.git, or the URL of a control
    /// plane
    #[arg(long, value_name = "PATH|URL")]
    pub source: SourceArg,
    /// Directory to keep the last good configuration in, for a start without the source; needed with
    /// a URL
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// File with the token for the control plane, read anew at each request
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Authorities in PEM that the control plane's certificate must be signed by [default: those of
    /// the system]
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// The control plane to tell how this gateway is [default: the source, when it is a URL]
    #[arg(long, value_name = "URL")]
    pub control_plane: Option<ControlPlaneUrl>,
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
    #[arg(long, value_name = "NAME", value_parser = instance_name)]
    pub instance: Option<String>,
    /// How long requests in flight may take to finish on SIGTERM
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub drain_timeout: Duration,
    /// How it treats requests.
    #[command(flatten)]
    pub traffic: TrafficArgs,
}

/// How gateways treat requests, whatever they serve.
#[derive(Debug, Clone, clap::Args)]
pub struct TrafficArgs {
    /// DNS server to ask for names of nodes, ADDR or ADDR:PORT; may be given more than once [default:
    /// those of /etc/resolv.conf]
    #[arg(long = "nameserver", value_name = "ADDR", value_parser = nameserver)]
    pub nameservers: Vec<SocketAddr>,
    /// File to add a line of JSON to for every request to a gateway, or - for standard output
    /// [default: no log]
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
    /// Bytes that a client must send of a body for each second, after a first --transfer-timeout; 0:
    /// any number
    #[arg(long, value_name = "BYTES", default_value = "500")]
    pub min_body_rate: u32,
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
            min_body_rate: NonZeroU32::new(self.min_body_rate),
        }
    }
}

/// Why the command ended other than by a signal.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The gateway did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Nothing would be there to start from.
    #[error(
        "a gateway whose source is a URL needs --state-dir DIR: it starts from there when the control plane is away"
    )]
    NoStateDir,
    /// The access log cannot be written.
    #[error("cannot open the access log: {0}")]
    AccessLog(std::io::Error),
    /// Signals cannot be waited for.
    #[error("cannot wait for signals: {0}")]
    Signals(std::io::Error),
}

impl RunError {
    /// Whether the flags do not go together.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::NoStateDir)
    }
}

/// What `--source` is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceArg {
    /// A repository on disk.
    Path(PathBuf),
    /// A control plane.
    Url(ControlPlaneUrl),
}

impl FromStr for SourceArg {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if text.contains("://") {
            text.parse().map(Self::Url)
        } else {
            Ok(Self::Path(PathBuf::from(text)))
        }
    }
}

impl GatewayArgs {
    fn source(&self) -> Result<SourceOptions, RunError> {
        let control_plane = |url: &ControlPlaneUrl| ControlPlane {
            url: url.clone(),
            token_file: self.token_file.clone(),
            ca: self.ca.clone(),
        };
        let mut check_in = self.control_plane.as_ref().map(control_plane);
        let from = match &self.source {
            SourceArg::Path(path) => SourceFrom::Repository(path.clone()),
            SourceArg::Url(_) if self.state_dir.is_none() => return Err(RunError::NoStateDir),
            SourceArg::Url(url) => {
                check_in.get_or_insert_with(|| control_plane(url));
                SourceFrom::ControlPlane(control_plane(url))
            }
        };
        Ok(SourceOptions { from, state_dir: self.state_dir.clone(), check_in })
    }
}

/// The name stands in paths and tables of the control plane.
fn instance_name(text: &str) -> Result<String, String> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:@".contains(&byte);
    if (1..=128).contains(&text.len()) && text.bytes().all(known) {
        Ok(text.to_owned())
    } else {
        Err("a name is 1 to 128 letters, digits, `-`, `_`, `.`, `:`, `@`".to_owned())
    }
}

fn nameserver(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53));
    address.or_else(|_| text.parse()).map_err(|_| "an IP address is needed".to_owned())
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
    let (group, source) = (args.group.clone(), args.source()?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(RunError::Signals)?;
    // Before the gateway starts, so that no signal is missed.
    let mut signals = runtime.block_on(async { Signals::new() }).map_err(RunError::Signals)?;
    let access_log = args.traffic.access_log.map(AccessLog::open).transpose();
    let access_log = access_log.map_err(RunError::AccessLog)?.map(Arc::new);
    let gateway = Arc::new(gateway::start(GatewayOptions {
        group: args.group,
        source,
        listen: args.listen,
        h2c: args.h2c,
        tls_listen: args.tls_listen,
        status_listen: args.status_listen,
        instance: args.instance.unwrap_or_else(instance),
        drain_timeout: args.drain_timeout,
        limits: args.traffic.limits.limits(),
        nameservers: args.traffic.nameservers,
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
    // Longer names and others than these are nobody's.
    let plain = |c: &char| c.is_ascii_alphanumeric() || "-_.".contains(*c);
    let mut host: String = host.chars().filter(plain).take(100).collect();
    if host.is_empty() {
        "gateway".clone_into(&mut host);
    }
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
    fn sources_are_paths_or_addresses() {
        let path = SourceArg::Path("refgate-data/config.git".into());
        assert_eq!("refgate-data/config.git".parse(), Ok(path));
        assert!(matches!("http://127.0.0.1:7080".parse(), Ok(SourceArg::Url(_))));
        for text in ["ftp://x", "https://", "http://u:p@x"] {
            assert!(text.parse::<SourceArg>().is_err(), "{text}");
        }
    }

    #[test]
    fn nameservers_are_addresses() {
        let table = [("10.0.0.1", "10.0.0.1:53"), ("::1", "[::1]:53"), ("[::1]:5", "[::1]:5")];
        for (text, address) in table {
            assert_eq!(nameserver(text), Ok(address.parse().unwrap()));
        }
        assert!(nameserver("dns.example").is_err());
    }

    #[test]
    fn instances_have_plain_names() {
        assert!(instance_name(&instance()).is_ok());
        for text in ["edge-1", "a.b:9080", "x@y_z"] {
            assert_eq!(instance_name(text).as_deref(), Ok(text));
        }
        for text in ["", "a b", "a/b", "ä", &"x".repeat(129)] {
            assert!(instance_name(text).is_err(), "{text}");
        }
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
