//! Routes that claim the same requests: ties are errors, overlaps that the order decides warnings.
//!
//! Only routes of live services claim anything. A service that comes anew is compared with those
//! that claim the same hosts and patterns, found by hash, so that a check costs what it touches. Of
//! two that tie, the one that comes later is at fault; of two that come together, the later by name.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use crate::config::{ServiceConfig, route_path, runtime_path};
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

    fn host(&self) -> String {
        self.claim().host.as_ref().map_or_else(|| "any host".to_owned(), ToString::to_string)
    }

    /// Whether what the service was before claimed something else by this route, or nothing.
    fn is_other_than(&self, old: Option<&ServiceConfig>) -> bool {
        let same = |old: &ServiceConfig| {
            old.routes.get(&self.claim().route) == self.route()
                && old.runtime.hosts == self.service.runtime.hosts
                && old.runtime.path_prefix == self.service.runtime.path_prefix
                && !old.claims.is_empty()
        };
        !old.is_some_and(same)
    }

    /// The files that the claim is made of.
    fn files(&self) -> impl Iterator<Item = String> {
        let service = &self.service;
        let variables = service.uses_variables().then(|| "group.json".to_owned());
        let own = [route_path(&service.name, &self.claim().route), runtime_path(&service.name)];
        own.into_iter().chain(variables)
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

    /// Compares the claims of a service with all others and with each other, and enters them; `old`
    /// is what it was before.
    ///
    /// False says that it ties with what is there: it is reported and not entered.
    pub(crate) fn enter(
        &mut self,
        service: &Arc<ServiceConfig>,
        old: Option<&ServiceConfig>,
        findings: &mut Vec<Diagnostic>,
    ) -> bool {
        let mut found = Found::default();
        let mut own: HashMap<u64, Vec<Claimant>> = HashMap::new();
        for index in 0..service.claims.len() {
            let claimant = Claimant { service: Arc::clone(service), index };
            let hash = claimant.claim().hash;
            let earlier = own.entry(hash).or_default();
            for other in self.0.get(&hash).into_iter().flatten().chain(&*earlier) {
                if other.id() != claimant.id() {
                    found.compare(&claimant, other, old);
                }
            }
            earlier.push(claimant);
        }
        let ties = !found.conflicts.is_empty();
        findings.extend(found.findings());
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

/// What is found about pairs of routes, of each pair and code once.
#[derive(Default)]
struct Found {
    conflicts: Pairs,
    /// Overlaps with what was not there before, or not like this.
    new: Pairs,
    /// Overlaps as they were.
    known: Pairs,
}

type Pairs = BTreeMap<(RouteName, ServiceName, RouteName, Code), Diagnostic>;

impl Found {
    /// Compares a claim that comes anew with one that is there.
    fn compare(&mut self, new: &Claimant, there: &Claimant, old: Option<&ServiceConfig>) {
        if new.claim().host != there.claim().host {
            return;
        }
        let (Some(first), Some(second)) = (new.route(), there.route()) else { return };
        let (pattern, other) = (&new.claim().pattern, &there.claim().pattern);
        let same = pattern == other;
        let overlaps = if new.is_other_than(old)
            || there.service.name == new.service.name && there.is_other_than(old)
        {
            &mut self.new
        } else {
            &mut self.known
        };
        let regexes = pattern.regex().is_some() && other.regex().is_some();
        // Nobody reads more, but a tie is looked for all the same.
        let may_overlap = same || regexes && overlaps.len() < MAX_FOUND;
        if !may_overlap || !can_match_the_same_request(first, second) {
            return;
        }
        let rank =
            |route: &Route| (route.priority, route.methods.is_empty(), route.matches.count());
        let tie = same && rank(first) == rank(second);
        let pairs = if tie { &mut self.conflicts } else { overlaps };
        if pairs.len() >= MAX_FOUND {
            return;
        }
        let told = if tie { conflict(new, there) } else { overlap(new, there) };
        for finding in told {
            let (service, route) = there.id();
            let (service, route) = (service.clone(), route.clone());
            let pair = (new.claim().route.clone(), service, route, finding.code);
            pairs.entry(pair).or_insert(finding);
        }
    }

    /// The findings, those first that somebody must see.
    fn findings(self) -> impl Iterator<Item = Diagnostic> {
        let Self { conflicts, new, known } = self;
        [conflicts, new, known].into_iter().flat_map(Pairs::into_values).take(MAX_FOUND)
    }
}

/// What is told of two claims that tie.
fn conflict(new: &Claimant, there: &Claimant) -> Vec<Diagnostic> {
    let (pattern, host) = (&new.claim().pattern, new.host());
    let message = format!(
        "routes {} and {} both match {pattern} on {host}, with the same rank",
        new.title(),
        there.title()
    );
    let hint = "give them different hosts, paths, methods, predicates or priorities";
    vec![of_pair(new, there, Code::RouteConflict, message, hint)]
}

/// What is told of two claims whose order decides.
fn overlap(new: &Claimant, there: &Claimant) -> Vec<Diagnostic> {
    let (pattern, host) = (&new.claim().pattern, new.host());
    let warning = |code, message, hint| of_pair(new, there, code, message, hint).warning();
    let message = format!(
        "routes {} and {} overlap at {pattern} on {host}; their order decides",
        new.title(),
        there.title()
    );
    let mut told = vec![warning(Code::RouteOverlap, message, "nothing to do when that is meant")];
    let shadows = |one: &Claimant, other: &Claimant| {
        let both = one.route().zip(other.route());
        one.claim().pattern == other.claim().pattern
            && both.is_some_and(|(a, b)| leaves_nothing(a, b))
    };
    for (one, other) in [(new, there), (there, new)] {
        if shadows(one, other) {
            let message = format!(
                "route {} never takes a request at {pattern} on {host}: route {} takes them all \
                 before it",
                other.title(),
                one.title()
            );
            let hint = "give it the higher priority, or take it away";
            told.push(warning(Code::RouteUnreachable, message, hint));
        }
    }
    told
}

/// A finding about two claims, at the one that comes anew.
fn of_pair(
    new: &Claimant,
    there: &Claimant,
    code: Code,
    message: String,
    hint: &str,
) -> Diagnostic {
    let file = route_path(&new.service.name, &new.claim().route);
    let involved = new.files().chain(there.files()).filter(|other| *other != file);
    let involved: BTreeSet<String> = involved.collect();
    Diagnostic::error(file, "/paths", code, message).with_hint(hint).involving(involved)
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
