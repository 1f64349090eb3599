//! Routes that claim the same requests: ties are errors, overlaps that the order decides warnings.
//!
//! Only routes of live services claim anything. A check after a change compares the services read
//! anew with all others by hash, so that its cost beyond them is one pass over numbers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use crate::config::{ServiceConfig, route_path};
use crate::diagnostic::{Code, Diagnostic};
use crate::document::{Predicate, Route, Runtime, Test};
use crate::host::HostPattern;
use crate::name::{RouteName, ServiceName};
use crate::pattern::PathPattern;

/// A host and pattern on which a route wants requests.
#[derive(Debug)]
pub(crate) struct Claim {
    /// Of the host and, for plain patterns, of the pattern: equal for claims that can tie.
    hash: u64,
    host: Option<HostPattern>,
    pattern: PathPattern,
    route: RouteName,
}

/// What a pair of claims comes to.
pub(crate) struct Conflict {
    pub(crate) diagnostic: Diagnostic,
    /// The service that must not be served with the other; nothing for a warning.
    pub(crate) at_fault: Option<ServiceName>,
}

/// What the enabled routes of a live service claim.
pub(crate) fn claims(routes: &BTreeMap<RouteName, Route>, runtime: &Runtime) -> Vec<Claim> {
    let hosts: Vec<Option<HostPattern>> = if runtime.hosts.is_empty() {
        vec![None]
    } else {
        runtime.hosts.iter().cloned().map(Some).collect()
    };
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let mut claims = Vec::new();
    for (name, route) in routes.iter().filter(|(_, route)| route.enabled) {
        for pattern in route.paths.iter().flat_map(|path| path.below(runtime.path_prefix.as_str()))
        {
            for host in &hosts {
                let plain = pattern.regex().is_none().then_some(&pattern);
                let hash = hasher.hash_one((host, plain));
                claims.push(Claim {
                    hash,
                    host: host.clone(),
                    pattern: pattern.clone(),
                    route: name.clone(),
                });
            }
        }
    }
    claims
}

/// A claim with the service that makes it.
#[derive(Clone, Copy)]
struct Claimant<'c> {
    service: &'c Arc<ServiceConfig>,
    claim: &'c Claim,
}

impl<'c> Claimant<'c> {
    fn route(&self) -> Option<&'c Route> {
        self.service.routes.get(&self.claim.route)
    }

    fn id(&self) -> (&'c ServiceName, &'c RouteName) {
        (&self.service.name, &self.claim.route)
    }

    fn title(&self) -> String {
        format!("{}/{}", self.service.name, self.claim.route)
    }
}

/// Compares the claims of `fresh` services with each other and with those of all `services`.
///
/// `everything` says that all services are fresh; the result is the same, found by one table.
pub(crate) fn conflicts(
    services: &BTreeMap<ServiceName, Arc<ServiceConfig>>,
    fresh: &BTreeSet<ServiceName>,
    everything: bool,
) -> Vec<Conflict> {
    let all = || {
        services
            .values()
            .flat_map(|service| service.claims.iter().map(move |claim| Claimant { service, claim }))
    };
    let is_fresh = |claimant: &Claimant<'_>| everything || fresh.contains(&claimant.service.name);
    let mut places: HashMap<u64, Vec<Claimant<'_>>> = HashMap::new();
    for claimant in all().filter(is_fresh) {
        places.entry(claimant.claim.hash).or_default().push(claimant);
    }
    if places.is_empty() {
        return Vec::new();
    }
    if !everything {
        for service in services.values().filter(|service| !fresh.contains(&service.name)) {
            for claim in &service.claims {
                if let Some(place) = places.get_mut(&claim.hash) {
                    place.push(Claimant { service, claim });
                }
            }
        }
    }
    let mut found: BTreeMap<(Ids<'_>, Code), Conflict> = BTreeMap::new();
    for place in places.values().filter(|place| place.len() > 1) {
        for (index, a) in place.iter().enumerate() {
            for b in &place[index + 1..] {
                let (a, b) = if a.id() <= b.id() { (a, b) } else { (b, a) };
                if a.id() == b.id() || !(is_fresh(a) || is_fresh(b)) {
                    continue;
                }
                if found.len() >= MAX_FOUND {
                    break;
                }
                if let Some(conflict) = compare(a, b, is_fresh(a), is_fresh(b)) {
                    let key = ((a.id(), b.id()), conflict.diagnostic.code);
                    found.entry(key).or_insert(conflict);
                }
            }
        }
    }
    found.into_values().collect()
}

type Ids<'c> = ((&'c ServiceName, &'c RouteName), (&'c ServiceName, &'c RouteName));

/// More pairs than anybody reads; a pathological group must not hold up its own repair.
const MAX_FOUND: usize = 1000;

fn compare(a: &Claimant<'_>, b: &Claimant<'_>, a_fresh: bool, b_fresh: bool) -> Option<Conflict> {
    if a.claim.host != b.claim.host {
        return None;
    }
    let (first, second) = (a.route()?, b.route()?);
    let same_pattern = a.claim.pattern == b.claim.pattern;
    let regexes = a.claim.pattern.regex().is_some() && b.claim.pattern.regex().is_some();
    if !(same_pattern || regexes) || !can_match_the_same_request(first, second) {
        return None;
    }
    let rank = |route: &Route| (route.priority, route.methods.is_empty(), route.matches.count());
    let tie = same_pattern && rank(first) == rank(second);
    // The one that came later is at fault; of two that came together, the later by name.
    let (culprit, other) = if a_fresh && !b_fresh { (a, b) } else { (b, a) };
    let host = a.claim.host.as_ref().map_or_else(|| "any host".to_owned(), ToString::to_string);
    let place = format!("{} on {host}", culprit.claim.pattern);
    let (code, message, hint) = if tie {
        (
            Code::RouteConflict,
            format!(
                "routes {} and {} both match {place}, with the same rank",
                culprit.title(),
                other.title()
            ),
            "give them different hosts, paths, methods, predicates or priorities",
        )
    } else {
        (
            Code::RouteOverlap,
            format!(
                "routes {} and {} overlap at {place}; their order decides",
                culprit.title(),
                other.title()
            ),
            "nothing to do when that is meant",
        )
    };
    let file = route_path(&culprit.service.name, &culprit.claim.route);
    let diagnostic = Diagnostic::error(file, "/paths", code, message).with_hint(hint);
    Some(if tie {
        Conflict { diagnostic, at_fault: Some(culprit.service.name.clone()) }
    } else {
        Conflict { diagnostic: diagnostic.warning(), at_fault: None }
    })
}

/// Whether methods and predicates leave a request that both routes take.
fn can_match_the_same_request(a: &Route, b: &Route) -> bool {
    let methods = a.methods.is_empty()
        || b.methods.is_empty()
        || a.methods.iter().any(|method| b.methods.contains(method));
    let addresses = |a: &[ipnet::IpNet], b: &[ipnet::IpNet]| {
        a.is_empty()
            || b.is_empty()
            || a.iter().any(|x| b.iter().any(|y| x.contains(y) || y.contains(x)))
    };
    methods
        && addresses(&a.matches.remote_addrs, &b.matches.remote_addrs)
        && !exclude(&a.matches.headers, &b.matches.headers, str::eq_ignore_ascii_case)
        && !exclude(&a.matches.query, &b.matches.query, |x, y| x == y)
        && !exclude(&a.matches.cookies, &b.matches.cookies, |x, y| x == y)
}

/// Whether two lists of predicates cannot hold together: different exact values of one name, or
/// absence against anything else of that name.
fn exclude(a: &[Predicate], b: &[Predicate], same_name: impl Fn(&str, &str) -> bool) -> bool {
    a.iter().any(|x| {
        b.iter().filter(|y| same_name(&x.name, &y.name)).any(|y| match (&x.test, &y.test) {
            (Test::Present(false), Test::Present(false)) => false,
            (Test::Present(false), _) | (_, Test::Present(false)) => true,
            (Test::Value(x), Test::Value(y)) => x != y,
            _ => false,
        })
    })
}
