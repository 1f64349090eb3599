//! The HTTP API: one table of endpoints, and what their handlers share.
//!
//! A handler parses, makes one call of the core and answers. What every request goes through on
//! the way in and out (request id, token, panics, metrics) is in [`edge`]; paths and queries are
//! read by [`path`] and [`params`], writes run through [`mod@write`].

mod bundle;
mod conditional;
pub(crate) mod edge;
mod events;
mod gateway;
mod group;
mod history;
mod matrix;
mod object;
mod page;
mod params;
mod path;
mod probe;
mod promotion;
mod rollback;
mod route;
mod runtime;
mod service;
mod targets;
mod version;
mod write;

use std::collections::HashSet;
use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};
use refgate_core::name::{CertificateName, ConsumerName, RuleName};
use tokio::sync::{Semaphore, watch};

use crate::auth::Access;
use crate::blocking::Store;
use crate::fleet::Fleet;
use crate::metrics::Metrics;
use crate::problem::Problem;

/// Event streams at one time.
const EVENT_STREAMS: usize = 256;

/// What a handler answers.
type Answer = Result<Response, Problem>;

/// What handlers share. Clones are the same control plane.
#[derive(Clone)]
pub struct Api {
    store: Store,
    fleet: Fleet,
    access: Arc<Access>,
    metrics: Metrics,
    /// True from the moment that a stop was asked for.
    draining: Arc<watch::Sender<bool>>,
    /// Changes whenever this process has written.
    written: Arc<watch::Sender<()>>,
    /// Places for event streams.
    streams: Arc<Semaphore>,
}

impl Api {
    /// A control plane over this repository, these instances and these tokens.
    #[must_use]
    pub fn new(store: Store, fleet: Fleet, access: Access) -> Self {
        Self {
            store,
            fleet,
            access: Arc::new(access),
            metrics: Metrics::default(),
            draining: Arc::new(watch::Sender::new(false)),
            written: Arc::new(watch::Sender::new(())),
            streams: Arc::new(Semaphore::new(EVENT_STREAMS)),
        }
    }

    /// Turns readiness off and ends the requests that only wait.
    pub fn begin_drain(&self) {
        self.draining.send_replace(true);
    }
}

/// Who may call an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// Whoever has a token.
    Token,
    /// Anybody: for machines that watch this one.
    Open,
}

/// One method of one path.
struct Endpoint {
    #[cfg_attr(not(test), expect(dead_code, reason = "the handler has it; tests call by it"))]
    method: Method,
    path: &'static str,
    guard: Guard,
    handler: MethodRouter<Api>,
}

fn endpoint<H, T>(method: Method, path: &'static str, guard: Guard, handler: H) -> Endpoint
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

/// Every endpoint there is. The router is made from it, and so are the tests that call each of
/// them without a token and with a query that nobody knows.
fn endpoints() -> Vec<Endpoint> {
    const GET: Method = Method::GET;
    const POST: Method = Method::POST;
    const PUT: Method = Method::PUT;
    const PATCH: Method = Method::PATCH;
    const DELETE: Method = Method::DELETE;
    use Guard::{Open, Token};
    const SERVICE: &str = "/v1/groups/{group}/services/{service}";
    const ROUTE: &str = "/v1/groups/{group}/services/{service}/routes/{route}";
    const RUNTIME: &str = "/v1/groups/{group}/services/{service}/runtime";
    const VERSIONS: &str = "/v1/groups/{group}/services/{service}/versions";
    let mut endpoints = vec![
        endpoint(GET, "/v1/groups", Token, group::list),
        endpoint(POST, "/v1/groups", Token, group::create),
        endpoint(GET, "/v1/groups/{group}", Token, group::get),
        endpoint(PATCH, "/v1/groups/{group}", Token, group::patch),
        endpoint(DELETE, "/v1/groups/{group}", Token, group::delete),
        endpoint(GET, "/v1/groups/{group}/services", Token, service::list),
        endpoint(GET, SERVICE, Token, service::get),
        endpoint(PUT, SERVICE, Token, service::put),
        endpoint(PATCH, SERVICE, Token, service::patch),
        endpoint(DELETE, SERVICE, Token, service::delete),
        endpoint(GET, "/v1/groups/{group}/services/{service}/routes", Token, route::list),
        endpoint(GET, ROUTE, Token, route::get),
        endpoint(PUT, ROUTE, Token, route::put),
        endpoint(PATCH, ROUTE, Token, route::patch),
        endpoint(DELETE, ROUTE, Token, route::delete),
        endpoint(GET, RUNTIME, Token, runtime::get),
        endpoint(PUT, RUNTIME, Token, runtime::put),
        endpoint(PATCH, RUNTIME, Token, runtime::patch),
        endpoint(GET, VERSIONS, Token, version::list_in_group),
        endpoint(POST, VERSIONS, Token, version::create),
        endpoint(POST, "/v1/groups/{group}/services/{service}/sync", Token, promotion::service),
        endpoint(POST, "/v1/groups/{group}/services/{service}/rollback", Token, rollback::service),
        endpoint(POST, "/v1/groups/{group}/sync", Token, promotion::services),
        endpoint(POST, "/v1/groups/{group}/rollback", Token, rollback::group),
        endpoint(GET, "/v1/groups/{group}/history", Token, history::list),
        endpoint(GET, "/v1/groups/{group}/commits/{commit}", Token, history::get),
        endpoint(GET, "/v1/groups/{group}/diff", Token, history::diff),
        endpoint(POST, "/v1/groups/{group}/commit", Token, bundle::commit),
        endpoint(GET, "/v1/groups/{group}/events", Token, events::stream),
        endpoint(GET, "/v1/services", Token, matrix::list),
        endpoint(GET, "/v1/services/{service}", Token, matrix::get),
        endpoint(GET, "/v1/services/{service}/versions", Token, version::list),
        endpoint(GET, "/v1/services/{service}/versions/{version}", Token, version::get),
        endpoint(POST, "/v1/services/{service}/versions/{version}/sync", Token, promotion::version),
        endpoint(GET, "/v1/services/{service}/diff", Token, version::diff),
        endpoint(POST, "/v1/validate", Token, bundle::validate),
        endpoint(GET, "/v1/gateways", Token, gateway::list),
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

/// The whole API as a service.
pub fn router(api: Api) -> Router {
    let mut router = Router::new();
    let mut open = HashSet::new();
    for Endpoint { path, guard, handler, .. } in endpoints() {
        router = router.route(path, handler);
        if guard == Guard::Open {
            open.insert(path);
        }
    }
    edge::wrap(router.fallback(edge::no_such_path), api, open)
}

#[cfg(test)]
mod tests;
