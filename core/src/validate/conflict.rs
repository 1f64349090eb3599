//! Routes that claim the same requests: ties are errors, overlaps that the order decides warnings.
//!
//! Only routes of live services claim anything. A service that comes anew is compared with those
//! that claim the same hosts and patterns, found by hash, so that a check costs what it touches. Of
//! two that tie, the one that comes later is at fault; of two that come together, the later by name.

use std::collections::{BTreeMap, HashMap};
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
#[derive(Debug, Clone)]
struct Claimant {
    service: Arc<ServiceConfig>,
    /// Position among the service's claims.
    index: usize,
}

impl Claimant {
    fn claim(&self) -> &Claim {
        &self.service.claims[self.index]
    }

    fn route(&self) -> Option<&Route> {
        self.service.routes.get(&self.claim().route)
    }

    fn id(&self) -> (&ServiceName, &RouteName) {
        (&self.service.name, &self.claim().route)
    }

    fn title(&self) -> String {
        format!("{}/{}", self.service.name, self.claim().route)
    }
}

/// All claims of a group by their hash, cheap to copy and to change a little.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claims(rpds::HashTrieMapSync<u64, Vec<Claimant>>);

/// More pairs than anybody reads; a pathological group must not hold up its own repair.
const MAX_FOUND: usize = crate::limits::ROUTE_PAIRS;

impl Claims {
    /// Takes the claims of a service out.
    pub(crate) fn withdraw(&mut self, service: &ServiceConfig) {
        for claim in &service.claims {
            let Some(place) = self.0.get(&claim.hash) else { continue };
            let left: Vec<Claimant> =
                place.iter().filter(|other| other.service.name != service.name).cloned().collect();
            if left.is_empty() {
                self.0.remove_mut(&claim.hash);
            } else {
                self.0.insert_mut(claim.hash, left);
            }
        }
    }

    /// Compares the claims of a service with all others and with each other, and enters them.
    ///
    /// False says that it ties with what is there: it is reported and not entered.
    pub(crate) fn enter(
        &mut self,
        service: &Arc<ServiceConfig>,
        findings: &mut Vec<Diagnostic>,
    ) -> bool {
        let mut found: BTreeMap<_, Diagnostic> = BTreeMap::new();
        let mut own: HashMap<u64, Vec<Claimant>> = HashMap::new();
        for index in 0..service.claims.len() {
            let claimant = Claimant { service: Arc::clone(service), index };
            let hash = claimant.claim().hash;
            let earlier = own.entry(hash).or_default();
            for other in self.0.get(&hash).into_iter().flatten().chain(&*earlier) {
                if found.len() < MAX_FOUND
                    && other.id() != claimant.id()
                    && let Some(diagnostic) = compare(&claimant, other)
                {
                    let (name, route) = other.id();
                    let pair = (claimant.claim().route.clone(), name.clone(), route.clone());
                    found.entry((pair, diagnostic.code)).or_insert(diagnostic);
                }
            }
            earlier.push(claimant);
        }
        let ties = found.values().any(Diagnostic::is_error);
        findings.extend(found.into_values());
        if !ties {
            for (hash, mine) in own {
                let mut place = self.0.get(&hash).cloned().unwrap_or_default();
                place.extend(mine);
                self.0.insert_mut(hash, place);
            }
        }
        !ties
    }
}

/// What a claim that comes anew and one that is there come to.
fn compare(new: &Claimant, there: &Claimant) -> Option<Diagnostic> {
    if new.claim().host != there.claim().host {
        return None;
    }
    let (first, second) = (new.route()?, there.route()?);
    let (pattern, other) = (&new.claim().pattern, &there.claim().pattern);
    let regexes = pattern.regex().is_some() && other.regex().is_some();
    if !(pattern == other || regexes) || !can_match_the_same_request(first, second) {
        return None;
    }
    let rank = |route: &Route| (route.priority, route.methods.is_empty(), route.matches.count());
    let tie = pattern == other && rank(first) == rank(second);
    let host = new.claim().host.as_ref().map_or_else(|| "any host".to_owned(), ToString::to_string);
    let routes = format!("routes {} and {}", new.title(), there.title());
    let file = route_path(&new.service.name, &new.claim().route);
    let warning = |code, message, hint: &str| {
        Diagnostic::error(file.clone(), "/paths", code, message).with_hint(hint).warning()
    };
    Some(if tie {
        let message = format!("{routes} both match {pattern} on {host}, with the same rank");
        Diagnostic::error(file, "/paths", Code::RouteConflict, message)
            .with_hint("give them different hosts, paths, methods, predicates or priorities")
    } else if pattern == other && leaves_nothing(first, second) {
        unreachable(warning, there, new, pattern, &host)
    } else if pattern == other && leaves_nothing(second, first) {
        unreachable(warning, new, there, pattern, &host)
    } else {
        let message = format!("{routes} overlap at {pattern} on {host}; their order decides");
        warning(Code::RouteOverlap, message, "nothing to do when that is meant")
    })
}

fn unreachable(
    warning: impl Fn(Code, String, &str) -> Diagnostic,
    shadowed: &Claimant,
    by: &Claimant,
    pattern: &PathPattern,
    host: &str,
) -> Diagnostic {
    let message = format!(
        "route {} never takes a request at {pattern} on {host}: route {} takes them all before it",
        shadowed.title(),
        by.title()
    );
    let hint = "give it the higher priority, or take it away";
    warning(Code::RouteUnreachable, message, hint)
}

/// Whether `a`, of the same host and pattern as `b`, comes before it and takes whatever `b` would.
fn leaves_nothing(a: &Route, b: &Route) -> bool {
    let rank = |route: &Route| (route.priority, !route.methods.is_empty(), route.matches.count());
    let methods = a.methods.is_empty()
        || !b.methods.is_empty() && b.methods.iter().all(|method| a.methods.contains(method));
    let within = |nets: &[ipnet::IpNet], net| nets.iter().any(|other| other.contains(net));
    let addresses = a.matches.remote_addrs.is_empty()
        || !b.matches.remote_addrs.is_empty()
            && b.matches.remote_addrs.iter().all(|net| within(&a.matches.remote_addrs, net));
    // What `a` asks for has been asked for by `b` in the same words: more is not decided here.
    let asked = |a: &[Predicate], b: &[Predicate]| a.iter().all(|test| b.contains(test));
    rank(a) > rank(b)
        && methods
        && addresses
        && asked(&a.matches.headers, &b.matches.headers)
        && asked(&a.matches.query, &b.matches.query)
        && asked(&a.matches.cookies, &b.matches.cookies)
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
