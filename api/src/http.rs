//! The HTTP API: one table of endpoints, and what their handlers share.
//!
//! A handler parses, makes one call of the core and answers. What every request goes through on
//! the way in and out (request id, token, panics, metrics) is in [`edge`]; paths and queries are
//! read by [`path`] and [`params`], writes run through [`mod@write`].

mod bundle;
mod conditional;
mod convergence;
pub(crate) mod edge;
pub(crate) mod events;
pub(crate) mod gateways;
mod git;
pub(crate) mod group;
mod history;
mod import;
mod matching;
mod matrix;
mod object;
mod openapi;
mod page;
mod params;
pub(crate) mod path;
mod probe;
mod promotion;
mod rollback;
mod route;
mod runtime;
mod service;
mod snapshot;
mod targets;
mod token;
mod version;
pub(crate) mod write;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::Method;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use refgate_core::name::{CertificateName, ConsumerName, RuleName};
use tokio::sync::{Mutex, Semaphore, watch};

use crate::auth::{Access, Door, Role};
use crate::blocking::Store;
use crate::dashboard::{self, Sessions};
use crate::fleet::Fleet;
use crate::heads::Heads;
use crate::limits::EVENT_STREAMS;
use crate::metrics::Metrics;
use crate::problem::Problem;

/// What a handler answers.
type Answer = Result<Response, Problem>;

/// What handlers share. Clones are the same control plane.
#[derive(Clone)]
pub struct Api {
    pub(crate) store: Store,
    pub(crate) fleet: Fleet,
    pub(crate) door: Arc<Door>,
    /// One change of the tokens at a time.
    tokens: Arc<Mutex<()>>,
    git: Arc<git::Git>,
    /// Where this control plane is to be found by programs on this machine.
    server: Option<Arc<str>>,
    metrics: Metrics,
    /// True from the moment that a stop was asked for.
    pub(crate) draining: Arc<watch::Sender<bool>>,
    /// Where the groups are.
    pub(crate) heads: Heads,
    /// Places for event streams.
    pub(crate) streams: Arc<Semaphore>,
    /// Who is signed in on the dashboard.
    pub(crate) sessions: Arc<Sessions>,
    /// Snapshots on their way to gateways.
    snapshots: Arc<snapshot::Desk>,
}

impl Api {
    /// A control plane over this repository, these instances and these tokens.
    #[must_use]
    pub fn new(store: Store, fleet: Fleet, access: Access) -> Self {
        Self {
            heads: Heads::follow(store.repository()),
            store,
            fleet,
            door: Arc::new(Door::new(access)),
            tokens: Arc::default(),
            git: Arc::default(),
            server: None,
            metrics: Metrics::default(),
            draining: Arc::new(watch::Sender::new(false)),
            streams: Arc::new(Semaphore::new(EVENT_STREAMS)),
            sessions: Arc::default(),
            snapshots: Arc::default(),
        }
    }

    /// The same, over a repository that this process has made.
    #[must_use]
    pub fn of_new_repository(mut self) -> Self {
        self.heads = self.heads.of_new_repository();
        self
    }

    /// The same, listening at this address: the hooks of pushes ask there.
    #[must_use]
    pub fn at(mut self, mut address: SocketAddr) -> Self {
        // Every address of this machine is no address to connect to.
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        self.server = Some(format!("http://{address}").into());
        self
    }

    /// Turns readiness off and ends the requests that only wait.
    pub fn begin_drain(&self) {
        self.draining.send_replace(true);
    }

    /// Ends clones and pushes that run; returns when their processes are gone, or soon.
    pub async fn cut_off(&self) {
        self.git.cut_off().await;
    }
}

/// Who may call an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// Whoever has a token of this role, or of one that may more.
    Needs(Role),
    /// Whoever may say how a gateway is.
    CheckIn,
    /// Whoever has a token; which role depends on what is asked of the repository.
    Git,
    /// Whoever is signed in on the dashboard with a token of this role, or of one that may more.
    Page(Role),
    /// Anybody: for machines that watch this one.
    Open,
}

impl Guard {
    const READ: Self = Self::Needs(Role::Viewer);
    const WRITE: Self = Self::Needs(Role::Editor);
}

/// One method of one path.
pub(crate) struct Endpoint {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) guard: Guard,
    pub(crate) handler: MethodRouter<Api>,
}

pub(crate) fn endpoint<H, T>(
    method: Method,
    path: &'static str,
    guard: Guard,
    handler: H,
) -> Endpoint
where
    H: Handler<T, Api>,
    T: 'static,
{
    let filter = match method {
        Method::PUT => MethodFilter::PUT,
        Method::PATCH => MethodFilter::PATCH,
        Method::POST => MethodFilter::POST,
        Method::DELETE => MethodFilter::DELETE,
        _ => MethodFilter::GET,
    };
    Endpoint { method, path, guard, handler: on(filter, handler) }
}

/// Every endpoint there is. The router is made from it, and so are the document of the API and the
/// tests that call each of them without a token and with a query that nobody knows.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    const GET: Method = Method::GET;
    const POST: Method = Method::POST;
    const PUT: Method = Method::PUT;
    const PATCH: Method = Method::PATCH;
    const DELETE: Method = Method::DELETE;
    const READ: Guard = Guard::READ;
    const WRITE: Guard = Guard::WRITE;
    const MANAGE: Guard = Guard::Needs(Role::Admin);
    const FETCH: Guard = Guard::Needs(Role::Gateway);
    use Guard::{CheckIn, Git, Open};
    const SERVICE: &str = "/v1/groups/{group}/services/{service}";
    const ROUTE: &str = "/v1/groups/{group}/services/{service}/routes/{route}";
    const RUNTIME: &str = "/v1/groups/{group}/services/{service}/runtime";
    const VERSIONS: &str = "/v1/groups/{group}/services/{service}/versions";
    let mut endpoints = vec![
        endpoint(GET, "/v1/groups", READ, group::list),
        endpoint(POST, "/v1/groups", MANAGE, group::create),
        endpoint(GET, "/v1/groups/{group}", READ, group::get),
        endpoint(PATCH, "/v1/groups/{group}", MANAGE, group::patch),
        endpoint(DELETE, "/v1/groups/{group}", MANAGE, group::delete),
        endpoint(GET, "/v1/groups/{group}/services", READ, service::list),
        endpoint(GET, SERVICE, READ, service::get),
        endpoint(PUT, SERVICE, WRITE, service::put),
        endpoint(PATCH, SERVICE, WRITE, service::patch),
        endpoint(DELETE, SERVICE, WRITE, service::delete),
        endpoint(GET, "/v1/groups/{group}/services/{service}/routes", READ, route::list),
        endpoint(GET, ROUTE, READ, route::get),
        endpoint(PUT, ROUTE, WRITE, route::put),
        endpoint(PATCH, ROUTE, WRITE, route::patch),
        endpoint(DELETE, ROUTE, WRITE, route::delete),
        endpoint(GET, RUNTIME, READ, runtime::get),
        endpoint(PUT, RUNTIME, WRITE, runtime::put),
        endpoint(PATCH, RUNTIME, WRITE, runtime::patch),
        endpoint(GET, VERSIONS, READ, version::list_in_group),
        endpoint(POST, VERSIONS, WRITE, version::create),
        endpoint(POST, "/v1/groups/{group}/services/{service}/sync", WRITE, promotion::service),
        endpoint(POST, "/v1/groups/{group}/services/{service}/rollback", WRITE, rollback::service),
        endpoint(POST, "/v1/groups/{group}/sync", WRITE, promotion::services),
        endpoint(POST, "/v1/groups/{group}/rollback", WRITE, rollback::group),
        endpoint(GET, "/v1/groups/{group}/history", READ, history::list),
        endpoint(GET, "/v1/groups/{group}/commits/{commit}", READ, history::get),
        endpoint(GET, "/v1/groups/{group}/diff", READ, history::diff),
        endpoint(POST, "/v1/groups/{group}/commit", WRITE, bundle::commit),
        endpoint(POST, "/v1/groups/{group}/import/openapi", WRITE, import::openapi),
        endpoint(POST, "/v1/groups/{group}/match", READ, matching::explained),
        endpoint(GET, "/v1/groups/{group}/events", READ, events::stream),
        endpoint(GET, "/v1/groups/{group}/snapshot", FETCH, snapshot::get),
        endpoint(GET, "/v1/services", READ, matrix::list),
        endpoint(GET, "/v1/services/{service}", READ, matrix::get),
        endpoint(GET, "/v1/services/{service}/versions", READ, version::list),
        endpoint(GET, "/v1/services/{service}/versions/{version}", READ, version::get),
        endpoint(POST, "/v1/services/{service}/versions/{version}/sync", WRITE, promotion::version),
        endpoint(GET, "/v1/services/{service}/diff", READ, version::diff),
        endpoint(POST, "/v1/validate", READ, bundle::validate),
        endpoint(GET, "/v1/gateways", READ, gateways::list),
        endpoint(POST, "/v1/gateways", CheckIn, gateways::check_in),
        endpoint(DELETE, "/v1/gateways/{group}/{instance}", CheckIn, gateways::remove),
        endpoint(GET, "/v1/groups/{group}/convergence", READ, convergence::get),
        endpoint(GET, "/v1/tokens", MANAGE, token::list),
        endpoint(POST, "/v1/tokens", MANAGE, token::create),
        endpoint(DELETE, "/v1/tokens/{token}", MANAGE, token::revoke),
        endpoint(GET, git::INFO_REFS, Git, git::advertise),
        endpoint(POST, git::UPLOAD_PACK, Git, git::upload_pack),
        endpoint(POST, git::RECEIVE_PACK, Git, git::receive_pack),
        endpoint(GET, "/v1/openapi.json", Open, openapi::document),
        endpoint(GET, "/docs", Open, openapi::page),
        endpoint(GET, "/healthz", Open, probe::health),
        endpoint(GET, "/readyz", Open, probe::ready),
        endpoint(GET, "/metrics", Open, probe::metrics),
    ];
    endpoints.extend(object::endpoints::<ConsumerName>(
        "/v1/groups/{group}/consumers",
        "/v1/groups/{group}/consumers/{consumer}",
        "/v1/groups/{group}/consumers/{consumer}/copy",
    ));
    endpoints.extend(object::endpoints::<CertificateName>(
        "/v1/groups/{group}/certificates",
        "/v1/groups/{group}/certificates/{certificate}",
        "/v1/groups/{group}/certificates/{certificate}/copy",
    ));
    endpoints.extend(object::endpoints::<RuleName>(
        "/v1/groups/{group}/global-rules",
        "/v1/groups/{group}/global-rules/{rule}",
        "/v1/groups/{group}/global-rules/{rule}/copy",
    ));
    endpoints
}

/// The whole API and the dashboard as a service.
pub fn router(api: Api) -> Router {
    let mut router = Router::new();
    let mut guards = edge::Guards::default();
    for Endpoint { method, path, guard, handler } in
        endpoints().into_iter().chain(dashboard::pages())
    {
        router = router.route(path, handler);
        guards.add(path, method, guard);
    }
    edge::wrap(router.fallback(no_such_path), api, guards)
}

/// The answer of every path that is not in the table: a page for who can read one.
async fn no_such_path(request: Request) -> Response {
    match dashboard::missing(&request) {
        Some(page) => page,
        None => edge::no_such_path(&request).into_response(),
    }
}

#[cfg(test)]
mod tests;
