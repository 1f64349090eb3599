//! What routes claim: hosts and patterns, on which two of them may tie or overlap.
//!
//! Only routes of live services claim anything. A service that comes anew is compared with those
//! that claim the same hosts and patterns, found by hash, so that a check costs what it touches. What
//! comes of two is said by [`super::pair`], who is at fault where they tie by [`super::standing`].

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use super::pair::Found;
use crate::config::{ServiceConfig, route_path, runtime_path};
use crate::document::{Route, Runtime};
use crate::host::HostPattern;
use crate::name::{RouteName, ServiceName};
use crate::pattern::PathPattern;

/// A host and pattern on which a route wants requests.
#[derive(Debug)]
pub(crate) struct Claim {
    /// Of the host and, for plain patterns, of the pattern: equal for claims that can tie.
    hash: u64,
    pub(super) host: Option<HostPattern>,
    pub(super) pattern: PathPattern,
    pub(super) route: RouteName,
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
pub(super) struct Claimant {
    pub(super) service: Arc<ServiceConfig>,
    /// Position among the service's claims.
    index: usize,
    /// Whether it is of the last good form of a service that is at fault.
    kept: bool,
}

impl Claimant {
    pub(super) fn claim(&self) -> &Claim {
        &self.service.claims[self.index]
    }

    pub(super) fn route(&self) -> Option<&Route> {
        self.service.routes.get(&self.claim().route)
    }

    pub(super) fn id(&self) -> (&ServiceName, &RouteName) {
        (&self.service.name, &self.claim().route)
    }

    pub(super) fn is_kept(&self) -> bool {
        self.kept
    }

    pub(super) fn title(&self) -> String {
        format!("{}/{}", self.service.name, self.claim().route)
    }

    pub(super) fn host(&self) -> String {
        self.claim().host.as_ref().map_or_else(|| "any host".to_owned(), ToString::to_string)
    }

    /// Whether what the service was before claimed something else by this route, or nothing.
    pub(super) fn is_other_than(&self, old: Option<&ServiceConfig>) -> bool {
        let same = |old: &ServiceConfig| {
            old.routes.get(&self.claim().route) == self.route()
                && old.runtime.hosts == self.service.runtime.hosts
                && old.runtime.path_prefix == self.service.runtime.path_prefix
                && !old.claims.is_empty()
        };
        !old.is_some_and(same)
    }

    /// The files that the claim is made of.
    pub(super) fn files(&self) -> impl Iterator<Item = String> {
        let service = &self.service;
        let variables = service.uses_variables().then(|| "group.json".to_owned());
        let own = [route_path(&service.name, &self.claim().route), runtime_path(&service.name)];
        own.into_iter().chain(variables)
    }
}

/// All claims of a group by their hash, cheap to copy and to change a little.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claims(rpds::HashTrieMapSync<u64, Vec<Claimant>>);

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

    /// Enters the claims of a service that is at fault, as its last good form has them.
    pub(super) fn keep(&mut self, service: &Arc<ServiceConfig>) {
        for index in 0..service.claims.len() {
            let claimant = Claimant { service: Arc::clone(service), index, kept: true };
            self.insert(claimant.claim().hash, vec![claimant]);
        }
    }

    /// Compares claims of a service, by their positions, with all that are there and with each other,
    /// and enters them; `old` is what the service was before.
    ///
    /// False says that it ties with what is there: these are not entered.
    pub(super) fn enter(
        &mut self,
        service: &Arc<ServiceConfig>,
        indexes: impl IntoIterator<Item = usize>,
        old: Option<&ServiceConfig>,
        found: &mut Found,
    ) -> bool {
        let mut own: HashMap<u64, Vec<Claimant>> = HashMap::new();
        for index in indexes {
            let claimant = Claimant { service: Arc::clone(service), index, kept: false };
            let hash = claimant.claim().hash;
            let earlier = own.entry(hash).or_default();
            for other in self.0.get(&hash).into_iter().flatten().chain(&*earlier) {
                if other.id() != claimant.id() {
                    found.compare(&claimant, other, old);
                }
            }
            earlier.push(claimant);
        }
        let ties = found.ties();
        if !ties {
            for (hash, mine) in own {
                self.insert(hash, mine);
            }
        }
        !ties
    }

    fn insert(&mut self, hash: u64, mine: Vec<Claimant>) {
        let mut place = self.0.get(&hash).cloned().unwrap_or_default();
        place.extend(mine);
        self.0.insert_mut(hash, place);
    }
}

/// Which claims of a service its form before had too, with the same rank and conditions.
pub(super) fn held(service: &ServiceConfig, old: Option<&ServiceConfig>) -> Vec<bool> {
    let Some(old) = old else { return vec![false; service.claims.len()] };
    let mut known: HashMap<u64, Vec<&Claim>> = HashMap::new();
    for claim in &old.claims {
        known.entry(claim.hash).or_default().push(claim);
    }
    let same = |one: &Route, other: &Route| {
        (one.priority, &one.methods, &one.matches)
            == (other.priority, &other.methods, &other.matches)
    };
    let is_held = |claim: &Claim| {
        let routes = old.routes.get(&claim.route).zip(service.routes.get(&claim.route));
        let claimed = |other: &&Claim| {
            other.route == claim.route && other.host == claim.host && other.pattern == claim.pattern
        };
        routes.is_some_and(|(one, other)| same(one, other))
            && known.get(&claim.hash).is_some_and(|known| known.iter().any(claimed))
    };
    service.claims.iter().map(is_held).collect()
}
