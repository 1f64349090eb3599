//! A gateway's life: bind, load, serve, drain.
//!
//! Everything is owned here: the sockets, the runtime that serves them, the thread that follows the
//! configuration. Several gateways can live in one process; none touches its signals.
//!
//! Next: [`listener`] for connections, [`crate::forward`] for requests, [`crate::source`] for the
//! configuration.

pub(crate) mod client_stream;
mod h2_request;
mod http1;
mod http2;
mod limits;
pub(crate) mod listener;
mod pace;
pub(crate) mod reading;
pub(crate) mod room;
mod shared;
pub(crate) mod streams;
mod taking;
pub(crate) mod tls;
mod write_buffer;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use pingora::apps::HttpServerApp;
use pingora::apps::http_app::HttpServer;
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::configuration::ServerConf;
use pingora::tls::{RootCertStore, load_platform_certs_incl_env_into_store};
use refgate_core::name::GroupName;
use refgate_core::store::OpenError;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

use self::client_stream::Serves;
pub use self::limits::Limits;
use self::listener::{Listener, Speaks};
pub(crate) use self::shared::Shared;
use crate::access_log::AccessLog;
use crate::check_in::CheckIns;
use crate::control_plane::client::ClientError;
use crate::forward::Forwarder;
use crate::source::{self, Source, SourceOptions};
use crate::status::GatewayStatus;
use crate::status::server::StatusServer;
use crate::upstream::address::resolver::Resolver;

/// Idle connections to nodes that are kept, for each thread and all upstreams together.
const IDLE_CONNECTIONS: usize = 4096;

/// How a gateway is set up.
#[derive(Debug, Clone)]
pub struct GatewayOptions {
    /// The group that it serves.
    pub group: GroupName,
    /// Where its configuration comes from.
    pub source: SourceOptions,
    /// Where it takes requests; port 0: any free one.
    pub listen: SocketAddr,
    /// Whether clients may speak HTTP/2 there.
    pub h2c: bool,
    /// Where it takes requests over TLS.
    pub tls_listen: Option<SocketAddr>,
    /// Where it answers about itself.
    pub status_listen: Option<SocketAddr>,
    /// The name of the instance.
    pub instance: String,
    /// How long requests in flight may take to finish when it stops.
    pub drain_timeout: Duration,
    /// What clients may take of it.
    pub limits: Limits,
    /// DNS servers to ask for names of nodes; none: those of the system.
    pub nameservers: Vec<SocketAddr>,
    /// Where each request is told of, when that is wanted.
    pub access_log: Option<Arc<AccessLog>>,
}

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        reason: io::Error,
    },
    /// The configuration cannot be read.
    #[error(transparent)]
    Source(#[from] OpenError),
    /// The control plane cannot be asked.
    #[error(transparent)]
    ControlPlane(#[from] ClientError),
    /// The last good configuration cannot be kept.
    #[error("cannot use the state directory {}: {reason}", folder.display())]
    State {
        /// The directory.
        folder: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// The system's trusted certificates cannot be used.
    #[error("cannot load the system's trusted certificates: {0}")]
    Certificates(String),
    /// The system has no threads to give.
    #[error("cannot start threads: {0}")]
    Threads(io::Error),
}

/// A gateway that serves. Dropping it stops it at once; see [`Gateway::shutdown`].
pub struct Gateway {
    shared: Arc<Shared>,
    address: SocketAddr,
    tls_address: Option<SocketAddr>,
    status_address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    end: watch::Sender<bool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Starts a gateway: when this returns, it listens and has applied what its group's branch says.
///
/// Blocks, and must not be called from within an async runtime.
///
/// # Errors
/// When it cannot listen, there is no configuration repository, or the system lacks something. What
/// the configuration says never keeps a gateway from starting.
pub fn start(options: GatewayOptions) -> Result<Gateway, StartError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name(format!("gateway-{}", options.group))
        .enable_all()
        .build()
        .map_err(StartError::Threads)?;
    let bind = |address: SocketAddr, serves: Serves, speaks: Speaks| {
        let _in_runtime = runtime.enter();
        let bound = Listener::bind(address, serves, speaks);
        bound.map_err(|reason| StartError::Listen { address, reason })
    };
    let plain = if options.h2c { Speaks::Http1OrHttp2 } else { Speaks::Http1 };
    let listener = bind(options.listen, Serves::Proxy, plain)?;
    let tls_listener = options.tls_listen.map(|address| bind(address, Serves::Proxy, Speaks::Tls));
    let tls_listener = tls_listener.transpose()?;
    let status_listener =
        options.status_listen.map(|address| bind(address, Serves::Status, Speaks::Http1));
    let status_listener = status_listener.transpose()?;
    let resolver = Resolver::new(options.nameservers);
    let (limits, access_log) = (options.limits, options.access_log);
    let shared = Shared::new(options.group, options.instance, limits, resolver, access_log);
    let shared = Arc::new(shared);
    shared.checks.run_on(runtime.handle());
    let check_in = options.source.check_in.clone();
    let source = Source::open(Arc::clone(&shared), options.source)?;
    let (stop, stopping) = watch::channel(false);
    let (end, ending) = watch::channel(false);
    let address = listener.address();
    let tls_address = tls_listener.as_ref().map(Listener::address);
    let status_address = status_listener.as_ref().map(Listener::address);
    let listeners = Listeners { plain: listener, tls: tls_listener, status: status_listener };
    let proxy = proxy(Arc::clone(&shared), threads)?;
    let source = source.run().map_err(StartError::Threads)?;
    let check_ins = check_in
        .map(|target| CheckIns::start(Arc::clone(&shared), target, runtime.handle()))
        .transpose()?;
    let service = Service {
        shared: Arc::clone(&shared),
        source,
        check_ins,
        stopping,
        ending,
        drain_timeout: options.drain_timeout,
    };
    let thread = std::thread::Builder::new()
        .name(format!("gateway-{}", shared.group))
        .spawn(move || service.run(runtime, listeners, proxy))
        .map_err(StartError::Threads)?;
    tracing::info!(group = %shared.group, instance = shared.instance, %address, "gateway listens");
    if let Some(address) = tls_address {
        tracing::info!(group = %shared.group, instance = shared.instance, %address, "gateway listens with TLS");
    }
    let thread = Mutex::new(Some(thread));
    Ok(Gateway { shared, address, tls_address, status_address, stop, end, thread })
}

type Proxy = HttpProxy<Forwarder>;

fn proxy(shared: Arc<Shared>, threads: usize) -> Result<Proxy, StartError> {
    // Pingora loads them as well, and ends the process when it cannot.
    load_platform_certs_incl_env_into_store(&mut RootCertStore::empty())
        .map_err(|error| StartError::Certificates(error.to_string()))?;
    let conf = ServerConf {
        threads,
        upstream_keepalive_pool_size: IDLE_CONNECTIONS,
        // Each upstream says how many tries there are; Pingora only obeys.
        max_retries: usize::MAX,
        ..ServerConf::default()
    };
    let forwarder = Forwarder::new(shared, &conf);
    Ok(http_proxy(&Arc::new(conf), forwarder))
}

impl Gateway {
    /// Where it takes requests.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it takes requests over TLS.
    #[must_use]
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.tls_address
    }

    /// Where it answers about itself.
    #[must_use]
    pub fn status_address(&self) -> Option<SocketAddr> {
        self.status_address
    }

    /// What it says about itself, now and whenever that changes.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<GatewayStatus>> {
        self.shared.subscribe()
    }

    /// Begins to drain: not ready any more, no new connections, idle ones are closed, requests in
    /// flight have the drain timeout to finish. Does not wait for that; see [`Gateway::join`].
    pub fn shutdown(&self) {
        self.shared.drain();
        self.stop.send_replace(true);
    }

    /// Ends a drain before its time: what is in flight is cut off.
    pub fn abort(&self) {
        self.shutdown();
        self.end.send_replace(true);
    }

    /// Waits until it has stopped; forever, when nobody calls [`Gateway::shutdown`]. Only
    /// the first to call it waits.
    pub fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic in there has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if self.thread.lock().is_ok_and(|thread| thread.is_some()) {
            self.abort();
            self.join();
        }
    }
}

/// What the gateway's own thread runs.
struct Service {
    shared: Arc<Shared>,
    source: source::Running,
    check_ins: Option<CheckIns>,
    stopping: watch::Receiver<bool>,
    ending: watch::Receiver<bool>,
    drain_timeout: Duration,
}

/// Everything that it listens on.
struct Listeners {
    plain: Listener,
    tls: Option<Listener>,
    status: Option<Listener>,
}

impl Service {
    fn run(mut self, runtime: Runtime, listeners: Listeners, proxy: Proxy) {
        runtime.block_on(self.serve(listeners, Arc::new(proxy)));
        self.source.stop();
        if let Some(check_ins) = self.check_ins {
            check_ins.stop();
        }
        // Connections that outlived the drain end here.
        runtime.shutdown_background();
        if let Some(log) = &self.shared.access_log {
            log.flush();
        }
        tracing::info!(group = %self.shared.group, "gateway stopped");
    }

    async fn serve(&mut self, listeners: Listeners, proxy: Arc<Proxy>) {
        let (open, mut all_closed) = mpsc::channel(1);
        // The status listener answers until the end: a drain is something to ask about.
        let (status_open, _status_closed) = mpsc::channel(1);
        if let Some(listener) = listeners.status {
            let shared = Arc::clone(&self.shared);
            let app = Arc::new(HttpServer::new_app(StatusServer::new(Arc::clone(&shared))));
            let never = watch::channel(false);
            tokio::spawn(async move {
                listener.serve(app, shared, never.1, status_open).await;
                drop(never.0);
            });
        }
        let serve = |listener: Listener, open| {
            let (proxy, shared) = (Arc::clone(&proxy), Arc::clone(&self.shared));
            listener.serve(proxy, shared, self.stopping.clone(), open)
        };
        let tls = listeners.tls.map(|listener| tokio::spawn(serve(listener, open.clone())));
        serve(listeners.plain, open).await;
        if let Some(tls) = tls {
            // It stops for the same reason; a panic in there has been reported.
            let _ = tls.await;
        }
        tracing::info!(group = %self.shared.group, "gateway drains");
        proxy.http_cleanup().await;
        let all_ended = async {
            all_closed.recv().await;
            self.shared.streams.all_ended().await;
        };
        tokio::select! {
            () = all_ended => {}
            () = tokio::time::sleep(self.drain_timeout) => {
                tracing::warn!(group = %self.shared.group, "requests were cut off by the drain timeout");
            }
            _ = self.ending.wait_for(|end| *end) => {}
        }
    }
}
