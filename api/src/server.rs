//! The running control plane: `refgate up` and `refgate serve` in the order that things must
//! happen, from the lock on the data directory to the drain.
//!
//! [`data_dir`] owns what lies in the directory, [`drain`] the end; what is answered over HTTP
//! begins in [`crate::http`]. Logging and flags are the caller's business.

pub mod accept;
pub mod data_dir;
pub mod drain;

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use refgate_core::name::GroupName;
use refgate_core::repository::Repository;
use refgate_core::store::StoreError;
use refgate_proxy::command::TrafficArgs;
use refgate_proxy::{AccessLog, Gateway, GatewayOptions};

use crate::auth::Token;
use crate::blocking::Store;
use crate::fleet::Fleet;
use crate::http::Api;
use data_dir::{DataDir, DataDirError, TokenOrigin};

/// What `refgate up` and `refgate serve` run with. The defaults are those of the command line.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory of everything that stays, `./refgate-data`.
    pub data_dir: PathBuf,
    /// Where the API listens, `127.0.0.1:7080`. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// How long requests in flight may take to finish once a stop is asked for, 30 s.
    pub drain_timeout: Duration,
    /// The first administrator's token (`REFGATE_ADMIN_TOKEN`); `None` keeps the one there is,
    /// or generates one.
    pub admin_token: Option<Token>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("refgate-data"),
            listen: SocketAddr::from(([127, 0, 0, 1], 7080)),
            drain_timeout: Duration::from_secs(30),
            admin_token: None,
        }
    }
}

/// A gateway in this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewaySpec {
    /// The group that it serves.
    pub group: GroupName,
    /// Where it listens. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where it listens with TLS.
    pub tls_listen: Option<SocketAddr>,
    /// Whether clients may speak HTTP/2 without TLS.
    pub h2c: bool,
}

/// Why the server could not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The data directory could not be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The configuration repository could not be opened or made.
    #[error("cannot open the configuration repository {}", path.display())]
    Repository {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<refgate_core::Error>,
    },
    /// Another program has the port, or the address is not this machine's.
    #[error("cannot listen on {address} for the control plane")]
    Listen {
        /// The address as asked for.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The access log cannot be written.
    #[error("cannot open the access log")]
    AccessLog(#[source] std::io::Error),
    /// A gateway did not start.
    #[error("cannot start the gateway of group {group}")]
    Gateway {
        /// Its group.
        group: GroupName,
        /// Why.
        #[source]
        source: refgate_proxy::StartError,
    },
    /// The operating system refused threads, signals or the listener's use.
    #[error("cannot run the server")]
    Runtime(#[source] std::io::Error),
}

/// Runs the control plane and these gateways, until SIGTERM or SIGINT; `traffic` says how all of them
/// treat requests.
///
/// Blocks; call it from a plain thread, never from inside an async runtime.
///
/// # Errors
/// When something that it needs is not to be had; nothing is left running then.
pub fn up(
    options: Options,
    gateways: &[GatewaySpec],
    traffic: &TrafficArgs,
) -> Result<(), ServerError> {
    let access_log = traffic.access_log.clone().map(AccessLog::open).transpose();
    let access_log = access_log.map_err(ServerError::AccessLog)?.map(Arc::new);
    let start = |data_dir: &DataDir, drain_timeout| {
        start_gateways(data_dir, gateways, drain_timeout, traffic, access_log.as_ref())
    };
    run(options, gateways, start)
}

/// Runs the control plane alone, until SIGTERM or SIGINT.
///
/// Blocks; call it from a plain thread, never from inside an async runtime.
///
/// # Errors
/// When something that it needs is not to be had; nothing is left running then.
pub fn serve(options: Options) -> Result<(), ServerError> {
    run(options, &[], |_, _| Ok(Vec::new()))
}

fn run(
    options: Options,
    gateways: &[GatewaySpec],
    start_gateways: impl Fn(&DataDir, Duration) -> Result<Vec<Gateway>, ServerError>,
) -> Result<(), ServerError> {
    let data_dir = DataDir::open(&options.data_dir)?;
    // Bound before anything is made and before anything is on the screen: a port that is taken
    // leaves nothing behind, and what is printed works.
    let (listener, address) = listen(options.listen)?;
    let is_new = !data_dir.repository_path().exists();
    let repository = open_repository(&data_dir.repository_path())?;
    guard(&repository)?;
    let (access, origin) = data_dir.access(&repository, options.admin_token.as_ref())?;
    let running = start_gateways(&data_dir, options.drain_timeout)?;
    let fleet = Fleet::of(running.iter().map(Gateway::subscribe));
    let mut api = Api::new(Store::new(repository), fleet, access).at(address);
    if is_new {
        api = api.of_new_repository();
    }

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("refgate-api")
        .enable_all()
        .build()
        .map_err(ServerError::Runtime)?;
    let ended = runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let signals = drain::Signals::install()?;
        print_screen(&data_dir, address, gateways, &running, &origin);
        drain::serve_until_stopped(api, listener, running, signals, options.drain_timeout).await
    });
    // Work that outlived the drain does not hold the process; a write that was not answered was
    // not acknowledged either.
    runtime.shutdown_timeout(Duration::from_millis(200));
    ended.map_err(ServerError::Runtime)
}

fn open_repository(path: &Path) -> Result<Repository, ServerError> {
    let opened = Repository::open_or_create(path, Arc::new(jiff::Timestamp::now));
    opened
        .map_err(|error| ServerError::Repository { path: path.to_owned(), source: Box::new(error) })
}

/// Puts back what checks a push, where it was taken away: this program is what the hooks run.
fn guard(repository: &Repository) -> Result<(), ServerError> {
    let repaired = std::env::current_exe()
        .map_err(StoreError::from)
        .and_then(|program| repository.guard(&program))
        .map_err(|source| ServerError::Repository {
            path: repository.path().to_owned(),
            source: Box::new(source.into()),
        })?;
    for what in repaired {
        tracing::warn!(what, "put in order, so that pushes are checked");
    }
    Ok(())
}

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServerError> {
    let bind = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    bind().map_err(|source| ServerError::Listen { address, source })
}

fn start_gateways(
    data_dir: &DataDir,
    gateways: &[GatewaySpec],
    drain_timeout: Duration,
    traffic: &TrafficArgs,
    access_log: Option<&Arc<AccessLog>>,
) -> Result<Vec<Gateway>, ServerError> {
    let mut running = Vec::new();
    for (index, GatewaySpec { group, listen, tls_listen, h2c }) in gateways.iter().enumerate() {
        let before = gateways[..index].iter().filter(|other| other.group == *group).count();
        let instance = match before {
            0 => format!("{group}-local"),
            more => format!("{group}-local-{}", more + 1),
        };
        let started = refgate_proxy::start(GatewayOptions {
            group: group.clone(),
            source: data_dir.repository_path().into(),
            listen: *listen,
            h2c: *h2c,
            tls_listen: *tls_listen,
            status_listen: None,
            instance,
            drain_timeout,
            limits: traffic.limits.limits(),
            nameservers: traffic.nameservers.clone(),
            access_log: access_log.map(Arc::clone),
        });
        match started {
            Ok(gateway) => running.push(gateway),
            Err(source) => {
                running.iter().for_each(Gateway::shutdown);
                running.iter().for_each(Gateway::join);
                return Err(ServerError::Gateway { group: group.clone(), source });
            }
        }
    }
    Ok(running)
}

/// Tells people and scripts where everything is. A closed standard output is no reason to stop.
fn print_screen(
    data_dir: &DataDir,
    address: SocketAddr,
    gateways: &[GatewaySpec],
    running: &[Gateway],
    origin: &TokenOrigin,
) {
    let mut out = std::io::stdout().lock();
    let mut line = |text: String| {
        let _ = writeln!(out, "refgate: {text}");
    };
    line(format!("configuration {}", data_dir.repository_path().display()));
    if let TokenOrigin::Generated(token) = origin {
        line(format!("admin token {}", token.reveal()));
    }
    if data_dir.token_path().exists() {
        line(format!("the administrator's token is kept in {}", data_dir.token_path().display()));
    }
    for (GatewaySpec { group, .. }, gateway) in gateways.iter().zip(running) {
        line(format!("gateway {group} http://{}", gateway.address()));
        if let Some(address) = gateway.tls_address() {
            line(format!("gateway {group} https://{address}"));
        }
    }
    line(format!("control plane http://{address}"));
    let _ = out.flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_that_fails_says_why_and_makes_nothing() {
        let root = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let options = Options {
            data_dir: root.path().join("data"),
            listen: taken.local_addr().unwrap(),
            ..Options::default()
        };
        let refused = serve(options.clone()).unwrap_err();
        assert!(matches!(refused, ServerError::Listen { .. }), "{refused}");
        assert!(refused.to_string().contains(&options.listen.to_string()), "{refused}");
        assert!(!options.data_dir.join("config.git").exists());
        assert!(!options.data_dir.join("admin-token").exists());

        let _held = DataDir::open(&options.data_dir).unwrap();
        let refused = serve(options).unwrap_err();
        let in_use = matches!(refused, ServerError::DataDir(DataDirError::InUse { .. }));
        assert!(in_use, "{refused}");
    }
}
