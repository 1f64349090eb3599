//! The compiled form of a group's configuration: immutable, published whole, held by a request from
//! first byte to last.
//!
//! A snapshot shares with the one before it what did not change: services, routes, the index of the
//! router around them, and the state of nodes. Next: [`compile`] for how it is made, [`crate::source`]
//! for when.

pub(crate) mod compile;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use refgate_core::config::ServiceConfig;
use refgate_core::document::HttpSettings;
use refgate_core::name::{RouteName, ServiceName, UpstreamName};

use crate::certificate::Certificates;
use crate::metrics::RouteCounters;
use crate::router::rule::Rule;
use crate::router::{Candidate, Router, forwarded};
use crate::upstream::checks::Check;
use crate::upstream::{Times, Upstream};

/// Everything that a request needs to know.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// The commit that it was made of, in hexadecimal; empty before the first.
    pub(crate) commit: Box<str>,
    /// What clients that speak TLS are shown.
    pub(crate) certificates: Arc<Certificates>,
    /// How the group treats HTTP.
    pub(crate) http: Option<HttpSettings>,
    /// The candidates of all live services.
    pub(crate) router: Router<Route>,
    /// All services, live or not. Copies share what is the same in them.
    services: rpds::HashTrieMapSync<ServiceName, Arc<Compiled>>,
    /// Services whose newest form did not compile, to be tried again.
    unfinished: BTreeSet<ServiceName>,
    /// Services that show their nodes a certificate, to be looked at when that changes.
    certificate_users: BTreeSet<ServiceName>,
}

impl Snapshot {
    /// The upstreams of all services, in no order.
    pub(crate) fn upstreams(&self) -> impl Iterator<Item = &Upstream> {
        let services = self.services.values().map(|compiled| &compiled.service);
        services.flat_map(|service| service.upstreams.values()).map(AsRef::as_ref)
    }

    /// Ends the checks that the one after this does not have any more. A request may hold this one
    /// for days, and nobody should be asked for all that time for its sake.
    pub(crate) fn end_checks(&self, next: &Self) {
        for (name, before) in &self.services {
            let after = next.services.get(name);
            if after.is_some_and(|after| Arc::ptr_eq(before, after)) {
                continue;
            }
            let still: HashSet<*const Check> =
                after.iter().flat_map(|after| after.checks()).map(Arc::as_ptr).collect();
            before
                .checks()
                .filter(|check| !still.contains(&Arc::as_ptr(check)))
                .for_each(|it| it.end());
        }
    }
}

/// A service that compiled, with the configuration that it was compiled from.
#[derive(Debug)]
struct Compiled {
    source: Arc<ServiceConfig>,
    service: Service,
}

impl Compiled {
    fn checks(&self) -> impl Iterator<Item = &Arc<Check>> {
        let nodes = self.service.upstreams.values().flat_map(|upstream| &upstream.nodes);
        nodes.filter_map(|node| node.check.as_ref())
    }
}

/// The compiled form of a service.
#[derive(Debug)]
pub(crate) struct Service {
    /// The candidates of each of its routes; none when it is not live.
    pub(crate) routes: BTreeMap<RouteName, Arc<Candidates>>,
    upstreams: BTreeMap<UpstreamName, Arc<Upstream>>,
}

impl Service {
    fn shows_certificates(&self) -> bool {
        self.upstreams.values().any(|upstream| upstream.shown.is_some())
    }

    /// Whether a certificate that nodes are shown is another one now.
    fn shows_another_than(&self, certificates: &Certificates) -> bool {
        self.upstreams.values().any(|upstream| upstream.shows_another_than(certificates))
    }
}

/// The candidates of one route.
pub(crate) type Candidates = Vec<Arc<Candidate<Route>>>;

/// A route that compiled.
#[derive(Debug)]
pub(crate) struct Route {
    /// Whose it is, and what it asks of a request.
    pub(crate) rule: Rule,
    pub(crate) upstream: Arc<Upstream>,
    /// The times of one try: the route's, else the upstream's.
    pub(crate) times: Times,
    /// Whether connections may be upgraded to WebSocket.
    pub(crate) websocket: bool,
    /// How many bytes of the path are taken off before forwarding.
    pub(crate) strip: usize,
    pub(crate) counters: Arc<RouteCounters>,
}

impl AsRef<Rule> for Route {
    fn as_ref(&self) -> &Rule {
        &self.rule
    }
}

impl Route {
    /// The path that is forwarded for a path that matched.
    pub(crate) fn forwarded<'p>(&self, path: &'p str) -> Cow<'p, str> {
        forwarded(path, self.strip)
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
