//! From a proven configuration to a snapshot, with work in proportion to what changed.
//!
//! A service whose configuration is the same object is not looked at. Of one that changed, upstreams
//! and routes that read the same keep their compiled form, and only candidates that are new or gone
//! touch the router.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use refgate_core::config::{GroupConfig, Live, ServiceConfig, route_path, runtime_path};
use refgate_core::diagnostic::{Code, Diagnostic};
use refgate_core::document;
use refgate_core::name::{RouteName, ServiceName};

use super::{Candidates, Compiled, Route, Service, Snapshot};
use crate::certificate::Certificates;
use crate::metrics::Metrics;
use crate::reference;
use crate::router::Router;
use crate::router::rule::{self, Conditions, Rule};
use crate::upstream::address::resolver::Resolver;
use crate::upstream::checks::Registry;
use crate::upstream::compile::Compiler;

/// What came of compiling a configuration.
pub(crate) struct Outcome {
    pub(crate) snapshot: Snapshot,
    /// What this gateway lacks; each is an error, and its service keeps its last good form.
    pub(crate) findings: Vec<Diagnostic>,
}

/// Compiles `config`, sharing with `previous` what did not change.
///
/// `changed` names the services that may differ from those that `previous` was compiled from;
/// nothing: any may.
pub(crate) fn compile(
    config: &GroupConfig,
    previous: &Snapshot,
    changed: Option<&BTreeSet<ServiceName>>,
    metrics: &Metrics,
    checks: &Registry,
    resolver: &Arc<Resolver>,
) -> Outcome {
    let mut findings = Vec::new();
    let certificates = Certificates::compile(config, &previous.certificates, &mut findings);
    let mut snapshot = Snapshot {
        commit: config.commit.to_string().into(),
        certificates: Arc::clone(&certificates),
        http: Some(config.group.http.clone()),
        router: previous.router.clone(),
        services: previous.services.clone(),
        unfinished: BTreeSet::new(),
        certificate_users: previous.certificate_users.clone(),
    };
    let names: BTreeSet<&ServiceName> = match changed {
        Some(changed) => {
            let users = &previous.certificate_users;
            let same = certificates.are_those_of(&previous.certificates);
            let users = users.iter().filter(|_| !same);
            changed.iter().chain(&previous.unfinished).chain(users).collect()
        }
        None => config.services.keys().chain(previous.services.keys()).collect(),
    };
    for name in names {
        let before = previous.services.get(name);
        let Some(source) = config.services.get(name) else {
            snapshot.replace(name, before, None);
            continue;
        };
        if let Some(before) = before
            && Arc::ptr_eq(&before.source, source)
            && !before.service.shows_another_than(&certificates)
        {
            continue;
        }
        let last = before.map(|before| Last::of(before));
        let means = Means { metrics, checks, certificates: &certificates, resolver };
        match Parts::of(source).compile(last, means, &mut findings) {
            Some(service) => {
                let source = Arc::clone(source);
                snapshot.replace(name, before, Some(Compiled { source, service }));
            }
            None => {
                snapshot.unfinished.insert(name.clone());
            }
        }
    }
    Outcome { snapshot, findings }
}

impl Snapshot {
    /// Puts the new form of a service in the place of the old one.
    fn replace(
        &mut self,
        name: &ServiceName,
        before: Option<&Arc<Compiled>>,
        after: Option<Compiled>,
    ) {
        let none = BTreeMap::new();
        let old = before.map_or(&none, |before| &before.service.routes);
        let new = after.as_ref().map_or(&none, |after| &after.service.routes);
        exchange(&mut self.router, old, new);
        if after.as_ref().is_some_and(|after| after.service.shows_certificates()) {
            self.certificate_users.insert(name.clone());
        } else {
            self.certificate_users.remove(name);
        }
        match after {
            Some(after) => self.services.insert_mut(name.clone(), Arc::new(after)),
            None => {
                self.services.remove_mut(name);
            }
        }
    }
}

/// Enters the candidates that are new and takes out those that are gone.
fn exchange(
    router: &mut Router<Route>,
    old: &BTreeMap<RouteName, Arc<Candidates>>,
    new: &BTreeMap<RouteName, Arc<Candidates>>,
) {
    let is_in = |routes: &BTreeMap<RouteName, Arc<Candidates>>, name, candidates| {
        routes.get(name).is_some_and(|other| Arc::ptr_eq(other, candidates))
    };
    for (_, gone) in old.iter().filter(|(name, candidates)| !is_in(new, *name, candidates)) {
        for candidate in gone.iter() {
            router.remove(candidate);
        }
    }
    for (_, come) in new.iter().filter(|(name, candidates)| !is_in(old, *name, candidates)) {
        for candidate in come.iter() {
            router.insert(candidate);
        }
    }
}

/// What compiled services share with the rest of the gateway.
#[derive(Clone, Copy)]
pub(crate) struct Means<'m> {
    pub(crate) metrics: &'m Metrics,
    /// The health checks of nodes.
    pub(crate) checks: &'m Registry,
    /// The certificates that nodes can be shown.
    pub(crate) certificates: &'m Certificates,
    /// Who is asked for names of nodes.
    pub(crate) resolver: &'m Arc<Resolver>,
}

/// The parts of a service's configuration that matter here.
#[derive(Clone, Copy)]
pub(crate) struct Parts<'p> {
    pub(crate) name: &'p ServiceName,
    pub(crate) routes: &'p BTreeMap<RouteName, document::Route>,
    pub(crate) runtime: &'p document::Runtime,
    pub(crate) live: bool,
}

/// The last form of a service that compiled, and what it was compiled from.
#[derive(Clone, Copy)]
pub(crate) struct Last<'p> {
    pub(crate) parts: Parts<'p>,
    pub(crate) service: &'p Service,
}

impl<'p> Last<'p> {
    fn of(compiled: &'p Compiled) -> Self {
        Self { parts: Parts::of(&compiled.source), service: &compiled.service }
    }
}

impl<'p> Parts<'p> {
    fn of(config: &'p ServiceConfig) -> Self {
        Self {
            name: &config.name,
            routes: &config.routes,
            runtime: &config.runtime,
            live: config.live() == Live::Live,
        }
    }

    /// The compiled service, or nothing after at least one finding.
    pub(crate) fn compile(
        &self,
        last: Option<Last<'_>>,
        means: Means<'_>,
        findings: &mut Vec<Diagnostic>,
    ) -> Option<Service> {
        let file = runtime_path(self.name);
        let mut upstreams = BTreeMap::new();
        let found_before = findings.len();
        for (name, upstream) in &self.runtime.upstreams {
            let owner = format!("{}/{name}", self.name);
            let compiled = last.and_then(|last| last.service.upstreams.get(name));
            if let (Some(last), Some(compiled)) = (last, compiled)
                && last.parts.runtime.upstreams.get(name) == Some(upstream)
                && last.parts.live == self.live
                && !compiled.shows_another_than(means.certificates)
            {
                upstreams.insert(name.clone(), Arc::clone(compiled));
                continue;
            }
            let previous = compiled.map(AsRef::as_ref);
            // Nodes that get no requests are not checked.
            let checks = self.live.then_some(means.checks);
            let Means { certificates, resolver, .. } = means;
            let (file, owner) = (&file, &owner);
            let compiler = Compiler { file, owner, previous, checks, certificates, resolver };
            let compiled = compiler.upstream(upstream, findings);
            upstreams.extend(compiled.map(|upstream| (name.clone(), Arc::new(upstream))));
        }
        let mut service = Service { routes: BTreeMap::new(), upstreams };
        if self.live {
            for (name, route) in rule::enabled(self.routes) {
                let candidates = self
                    .same_as_last(name, route, &service, last)
                    .or_else(|| self.route(name, route, &service, means.metrics, findings));
                service.routes.extend(candidates.map(|candidates| (name.clone(), candidates)));
            }
        }
        (findings.len() == found_before).then_some(service)
    }

    /// What a route was compiled to before, when all that it was made from is the same.
    fn same_as_last(
        &self,
        name: &RouteName,
        route: &document::Route,
        service: &Service,
        last: Option<Last<'_>>,
    ) -> Option<Arc<Candidates>> {
        let last = last?;
        let (own, before) = (self.runtime, last.parts.runtime);
        let upstream = service.upstreams.get(&route.upstream)?;
        let upstream_before = last.service.upstreams.get(&route.upstream)?;
        let document_before = last.parts.routes.get(name)?;
        // Patterns are equal whatever their parameters are called.
        let texts = |route: &document::Route| {
            route.paths.iter().map(|path| path.as_str().to_owned()).collect::<Vec<_>>()
        };
        let is_same = own.hosts == before.hosts
            && own.path_prefix == before.path_prefix
            && own.strip_path_prefix == before.strip_path_prefix
            && Arc::ptr_eq(upstream, upstream_before)
            && document_before == route
            && texts(document_before) == texts(route);
        is_same.then(|| last.service.routes.get(name).map(Arc::clone)).flatten()
    }

    fn route(
        &self,
        name: &RouteName,
        route: &document::Route,
        service: &Service,
        metrics: &Metrics,
        findings: &mut Vec<Diagnostic>,
    ) -> Option<Arc<Candidates>> {
        // A live service has every upstream of its enabled routes; one that is not here did not
        // compile, which has been reported.
        let upstream = service.upstreams.get(&route.upstream)?;
        let prefix = self.runtime.path_prefix.as_str();
        let mut unresolved = Vec::new();
        let rule = Rule {
            service: self.name.clone(),
            name: name.clone(),
            conditions: Conditions::of(route, &value, &mut unresolved),
        };
        findings.extend(unresolved.into_iter().map(|value| {
            let file = route_path(self.name, name);
            Diagnostic::error(file, value.pointer, Code::BadValue, value.reason)
        }));
        let compiled = Arc::new(Route {
            rule,
            upstream: Arc::clone(upstream),
            times: Route::times(route, upstream),
            websocket: route.websocket,
            strip: if self.runtime.strip_path_prefix { prefix.len() } else { 0 },
            counters: metrics.route(self.name, name),
        });
        Some(Arc::new(rule::candidates(route, self.runtime, &compiled)))
    }
}

/// What a value stands for on this gateway.
fn value(text: &str) -> Result<Cow<'_, str>, String> {
    reference::resolve(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
