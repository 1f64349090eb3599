//! From a proven configuration to a snapshot, with work in proportion to what changed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderName;
use refgate_core::config::{GroupConfig, Live, ServiceConfig, route_path, runtime_path};
use refgate_core::diagnostic::{Code, Diagnostic};
use refgate_core::document;
use refgate_core::host::HostPattern;
use refgate_core::name::{RouteName, ServiceName};

use super::{Route, Service, Snapshot};
use crate::metrics::Metrics;
use crate::reference;
use crate::router::method::MethodSet;
use crate::router::predicate::{Predicates, Test};
use crate::router::{Candidate, Conditions, Router};
use crate::upstream::compile::Compiler;

/// What came of compiling a configuration.
pub(crate) struct Compiled {
    pub(crate) snapshot: Snapshot,
    /// What this gateway lacks; each is an error, and its service keeps its last good form.
    pub(crate) findings: Vec<Diagnostic>,
}

/// Compiles `config`, sharing with `previous` what did not change.
pub(crate) fn compile(config: &GroupConfig, previous: &Snapshot, metrics: &Metrics) -> Compiled {
    let mut findings = Vec::new();
    let mut services = BTreeMap::new();
    for (name, source) in &config.services {
        let before = previous.services.get(name);
        if let Some((own, service)) = before
            && Arc::ptr_eq(own, source)
        {
            services.insert(name.clone(), (Arc::clone(own), Arc::clone(service)));
            continue;
        }
        let last = before.map(|(_, service)| service.as_ref());
        let compiled = Parts::of(source).compile(last, metrics, &mut findings);
        if let Some(service) = compiled {
            services.insert(name.clone(), (Arc::clone(source), Arc::new(service)));
        } else if let Some((own, service)) = before {
            services.insert(name.clone(), (Arc::clone(own), Arc::clone(service)));
        }
    }
    let candidates = services.values().flat_map(|(_, service)| &service.candidates);
    let router = Router::new(candidates.map(Arc::clone).collect());
    let http = Some(config.group.http.clone());
    let snapshot = Snapshot { http, router, services };
    Compiled { snapshot, findings }
}

/// The parts of a service's configuration that matter here.
pub(crate) struct Parts<'p> {
    pub(crate) name: &'p ServiceName,
    pub(crate) routes: &'p BTreeMap<RouteName, document::Route>,
    pub(crate) runtime: &'p document::Runtime,
    pub(crate) live: bool,
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
        last: Option<&Service>,
        metrics: &Metrics,
        findings: &mut Vec<Diagnostic>,
    ) -> Option<Service> {
        let file = runtime_path(self.name);
        let mut upstreams = BTreeMap::new();
        let found_before = findings.len();
        for (name, upstream) in &self.runtime.upstreams {
            let owner = format!("{}/{name}", self.name);
            let previous = last.and_then(|last| last.upstreams.get(name)).map(AsRef::as_ref);
            let compiled =
                Compiler { file: &file, owner: &owner, previous }.upstream(upstream, findings);
            upstreams.extend(compiled.map(|upstream| (name.clone(), Arc::new(upstream))));
        }
        let mut service = Service { candidates: Vec::new(), upstreams };
        if self.live {
            for (name, route) in self.routes.iter().filter(|(_, route)| route.enabled) {
                self.add(name, route, metrics, &mut service, findings);
            }
        }
        (findings.len() == found_before).then_some(service)
    }

    fn add(
        &self,
        name: &RouteName,
        route: &document::Route,
        metrics: &Metrics,
        service: &mut Service,
        findings: &mut Vec<Diagnostic>,
    ) {
        // A live service has every upstream of its enabled routes; one that is not here did not
        // compile, which has been reported.
        let Some(upstream) = service.upstreams.get(&route.upstream) else { return };
        let prefix = self.runtime.path_prefix.as_str();
        let strip = if self.runtime.strip_path_prefix { prefix.len() } else { 0 };
        let compiled = Arc::new(Route {
            service: self.name.clone(),
            name: name.clone(),
            conditions: Conditions {
                methods: MethodSet::of(&route.methods),
                priority: route.priority,
                predicates: self.predicates(name, &route.matches, findings),
            },
            upstream: Arc::clone(upstream),
            times: Route::times(route, upstream),
            websocket: route.websocket,
            strip,
            counters: metrics.route(self.name, name),
        });
        let any = [None];
        let some: Vec<Option<&HostPattern>> = self.runtime.hosts.iter().map(Some).collect();
        let hosts = if some.is_empty() { &any[..] } else { &some[..] };
        for path in route.paths.iter().flat_map(|path| path.below(prefix)) {
            for host in hosts {
                service.candidates.push(Arc::new(Candidate {
                    host: host.cloned(),
                    path: path.clone(),
                    route: Arc::clone(&compiled),
                }));
            }
        }
    }

    fn predicates(
        &self,
        route: &RouteName,
        matches: &document::Match,
        findings: &mut Vec<Diagnostic>,
    ) -> Predicates {
        let mut compile = |kind: &'static str, predicates: &[document::Predicate]| {
            let mut compiled = Vec::with_capacity(predicates.len());
            for (index, predicate) in predicates.iter().enumerate() {
                let test = match &predicate.test {
                    document::Test::Regex(regex) => Test::Regex(regex.clone()),
                    document::Test::Present(present) => Test::Present(*present),
                    document::Test::Value(value) => match reference::resolve(value) {
                        Ok(value) => Test::Value(Cow::into_owned(value)),
                        Err(error) => {
                            let file = route_path(self.name, route);
                            let pointer = format!("/match/{kind}/{index}/value");
                            let code = Code::BadValue;
                            findings.push(Diagnostic::error(
                                file,
                                pointer,
                                code,
                                error.to_string(),
                            ));
                            continue;
                        }
                    },
                };
                compiled.push((predicate.name.clone(), test));
            }
            compiled
        };
        let (headers, query) =
            (compile("headers", &matches.headers), compile("query", &matches.query));
        let cookies = compile("cookies", &matches.cookies);
        // Names of headers are proven to be tokens.
        let headers = headers.into_iter().filter_map(|(name, test)| {
            HeaderName::from_bytes(name.as_bytes()).ok().map(|name| (name, test))
        });
        Predicates {
            headers: headers.collect(),
            query,
            cookies,
            remote_addrs: matches.remote_addrs.clone(),
        }
    }
}
