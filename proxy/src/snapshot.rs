//! The compiled form of a group's configuration: immutable, published whole, held by a request from
//! first byte to last.
//!
//! A snapshot shares with the one before it every service that did not change, down to the state of
//! its nodes. Next: [`compile`] for how it is made, [`crate::source`] for when.

pub(crate) mod compile;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use refgate_core::config::ServiceConfig;
use refgate_core::document::HttpSettings;
use refgate_core::name::{RouteName, ServiceName, UpstreamName};

use crate::metrics::RouteCounters;
use crate::router::{Candidate, Conditions, Router};
use crate::upstream::{Times, Upstream};

/// Everything that a request needs to know.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// How the group treats HTTP.
    pub(crate) http: Option<HttpSettings>,
    /// The candidates of all live services.
    pub(crate) router: Router,
    /// All services, live or not, with the configuration that each was compiled from.
    services: BTreeMap<ServiceName, (Arc<ServiceConfig>, Arc<Service>)>,
}

impl Snapshot {
    /// The route of a candidate of the router.
    pub(crate) fn route(&self, candidate: usize) -> Option<&Route> {
        self.router.candidate(candidate).map(|candidate| candidate.route.as_ref())
    }
}

/// A service that compiled.
#[derive(Debug)]
pub(crate) struct Service {
    /// Its candidates; none when it is not live.
    pub(crate) candidates: Vec<Arc<Candidate>>,
    upstreams: BTreeMap<UpstreamName, Arc<Upstream>>,
}

/// A route that compiled.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) service: ServiceName,
    pub(crate) name: RouteName,
    pub(crate) conditions: Conditions,
    pub(crate) upstream: Arc<Upstream>,
    /// The times of one try: the route's, else the upstream's.
    pub(crate) times: Times,
    /// Whether connections may be upgraded to WebSocket.
    pub(crate) websocket: bool,
    /// How many bytes of the path are taken off before forwarding.
    pub(crate) strip: usize,
    pub(crate) counters: Arc<RouteCounters>,
}

impl Route {
    /// The path that is forwarded for a path that matched.
    pub(crate) fn forwarded<'p>(&self, path: &'p str) -> &'p str {
        match path.get(self.strip..) {
            Some("") => "/",
            Some(rest) => rest,
            None => path,
        }
    }

    fn times(route: &refgate_core::document::Route, upstream: &Upstream) -> Times {
        let own = route.timeout.as_ref();
        let time = |own: Option<refgate_core::document::Seconds>, other: Duration| {
            own.map_or(other, refgate_core::document::Seconds::duration)
        };
        Times {
            connect: time(own.and_then(|own| own.connect), upstream.times.connect),
            send: time(own.and_then(|own| own.send), upstream.times.send),
            read: time(own.and_then(|own| own.read), upstream.times.read),
        }
    }
}
