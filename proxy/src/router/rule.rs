//! What routing knows about a route: whose it is, and what it asks of a request.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderName;
use refgate_core::document;
use refgate_core::name::{RouteName, ServiceName};

use super::Candidate;
use super::method::MethodSet;
use super::predicate::{Predicates, Test};

/// A route as the router sees it.
#[derive(Debug)]
pub(crate) struct Rule {
    /// The service that it belongs to.
    pub(crate) service: ServiceName,
    /// The route.
    pub(crate) name: RouteName,
    /// What it asks of a request beside host and path.
    pub(crate) conditions: Conditions,
}

/// What a route asks of a request beside host and path.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    /// The methods that it takes.
    pub(crate) methods: MethodSet,
    /// Decides between routes of the same host and pattern; higher first.
    pub(crate) priority: i32,
    /// What else must hold.
    pub(crate) predicates: Predicates,
}

impl AsRef<Self> for Rule {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// What a value in a document stands for, or why that is not known.
pub(crate) type Resolve<'r> = &'r dyn Fn(&str) -> Result<Cow<'_, str>, String>;

/// A predicate whose value could not be had.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unresolved {
    /// Where the value is in the document of the route.
    pub(crate) pointer: String,
    /// Why there is none.
    pub(crate) reason: String,
}

impl Conditions {
    /// What the document of a route asks. What is unresolved is told and left out.
    pub(crate) fn of(
        route: &document::Route,
        resolve: Resolve<'_>,
        unresolved: &mut Vec<Unresolved>,
    ) -> Self {
        let mut tests = |kind: &str, predicates: &[document::Predicate]| {
            let mut tests = Vec::with_capacity(predicates.len());
            for (index, predicate) in predicates.iter().enumerate() {
                let test = match &predicate.test {
                    document::Test::Regex(regex) => Test::Regex(regex.clone()),
                    document::Test::Present(present) => Test::Present(*present),
                    document::Test::Value(value) => match resolve(value) {
                        Ok(value) => Test::Value(value.into_owned()),
                        Err(reason) => {
                            let pointer = format!("/match/{kind}/{index}/value");
                            unresolved.push(Unresolved { pointer, reason });
                            continue;
                        }
                    },
                };
                tests.push((predicate.name.clone(), test));
            }
            tests
        };
        let headers = tests("headers", &route.matches.headers);
        let (query, cookies) =
            (tests("query", &route.matches.query), tests("cookies", &route.matches.cookies));
        // Names of headers are proven to be tokens.
        let headers = headers.into_iter().filter_map(|(name, test)| {
            HeaderName::from_bytes(name.as_bytes()).ok().map(|name| (name, test))
        });
        Self {
            methods: MethodSet::of(&route.methods),
            priority: route.priority,
            predicates: Predicates {
                headers: headers.collect(),
                query,
                cookies,
                remote_addrs: route.matches.remote_addrs.clone(),
            },
        }
    }
}

/// The candidates that a route is: one under each host of its service and each of its patterns.
pub(crate) fn candidates<R>(
    document: &document::Route,
    runtime: &document::Runtime,
    route: &Arc<R>,
) -> Vec<Arc<Candidate<R>>> {
    let prefix = runtime.path_prefix.as_str();
    let mut candidates = Vec::with_capacity(document.paths.len() * runtime.hosts.len().max(1));
    for path in document.paths.iter().flat_map(|path| path.below(prefix)) {
        let mut add = |host| {
            let (path, route) = (path.clone(), Arc::clone(route));
            candidates.push(Arc::new(Candidate { host, path, route }));
        };
        if runtime.hosts.is_empty() {
            add(None);
        }
        for host in &runtime.hosts {
            add(Some(host.clone()));
        }
    }
    candidates
}

/// The routes of a service that are switched on.
pub(crate) fn enabled(
    routes: &BTreeMap<RouteName, document::Route>,
) -> impl Iterator<Item = (&RouteName, &document::Route)> {
    routes.iter().filter(|(_, route)| route.enabled)
}
