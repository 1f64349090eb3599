//! The router by itself, over the documents of services and without a gateway: for whoever measures
//! it or holds it to its rules from outside.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method};
use refgate_core::document::{Route, Runtime};
use refgate_core::name::{RouteName, ServiceName};

use super::method::RequestMethod;
use super::predicate::Request;
use super::reference::Reference;
use super::rule::{self, Conditions, Rule};
use super::{Candidate, Routed, Router};

/// The routes of some services. A copy shares what did not change since.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    router: Router<Rule>,
    services: rpds::RedBlackTreeMapSync<ServiceName, Arc<Vec<Arc<Candidate<Rule>>>>>,
}

/// A request as the router sees it.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'r> {
    /// Its method.
    pub method: &'r Method,
    /// The host that it is for: lower case, without port and trailing dot.
    pub host: &'r str,
    /// Its path in normal form.
    pub path: &'r str,
    /// What stands behind the `?`.
    pub query: Option<&'r str>,
    /// Its header fields.
    pub headers: &'r HeaderMap,
    /// Who made it.
    pub client: IpAddr,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<'a> {
    /// This route of this service takes it, by this pattern.
    To(&'a ServiceName, &'a RouteName, &'a str),
    /// Routes match but for the method; what `Allow` says.
    MethodNotAllowed(Option<HeaderValue>),
    /// Nothing matches.
    NotFound,
}

impl<'r> Asked<'r> {
    pub(crate) fn request(&self) -> Request<'r> {
        let Self { host, path, query, headers, client, .. } = *self;
        Request { host, path, query, method: RequestMethod::of(self.method), headers, client }
    }
}

impl<'a> Answer<'a> {
    fn of(routed: Routed<'a, Rule>) -> Self {
        match routed {
            Routed::To(candidate) => {
                let Rule { service, name, .. } = &*candidate.route;
                Self::To(service, name, candidate.path.as_str())
            }
            Routed::MethodNotAllowed(methods) => Self::MethodNotAllowed(methods.allow()),
            Routed::NotFound => Self::NotFound,
        }
    }
}

fn as_written(text: &str) -> Result<Cow<'_, str>, String> {
    Ok(Cow::Borrowed(text))
}

impl Routes {
    /// Puts a live service in, in the place of what it was. Values by reference stand for themselves.
    pub fn put(
        &mut self,
        service: &ServiceName,
        routes: &BTreeMap<RouteName, Route>,
        runtime: &Runtime,
    ) {
        let mut candidates = Vec::new();
        for (name, route) in rule::enabled(routes) {
            let conditions = Conditions::of(route, &as_written, &mut Vec::new());
            let rule = Rule { service: service.clone(), name: name.clone(), conditions };
            candidates.extend(rule::candidates(route, runtime, &Arc::new(rule)));
        }
        self.take(service);
        for candidate in &candidates {
            self.router.insert(candidate);
        }
        self.services.insert_mut(service.clone(), Arc::new(candidates));
    }

    /// Takes a service out.
    pub fn take(&mut self, service: &ServiceName) {
        for candidate in self.services.get(service).iter().flat_map(|own| own.iter()) {
            self.router.remove(candidate);
        }
        self.services.remove_mut(service);
    }

    /// The services that are in.
    pub fn services(&self) -> impl Iterator<Item = &ServiceName> {
        self.services.keys()
    }

    /// How many candidates there are: a route counts once for each of its hosts and patterns.
    #[must_use]
    pub fn len(&self) -> usize {
        self.router.len()
    }

    /// Whether there is no candidate.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Who takes a request, by the index.
    #[must_use]
    pub fn find(&self, asked: &Asked<'_>) -> Answer<'_> {
        Answer::of(self.router.find(&asked.request()))
    }

    /// Whether anybody takes a request, by the index: what a gateway does, and no more.
    #[must_use]
    pub fn takes(&self, asked: &Asked<'_>) -> bool {
        matches!(self.router.find(&asked.request()), Routed::To(_))
    }

    /// Whether index and plain scan say the same of all these requests; else the first that they differ
    /// on, and what each says of it.
    ///
    /// # Errors
    /// Both answers, in words, for the request that they differ on.
    pub fn agrees<'r>(&self, asked: impl IntoIterator<Item = Asked<'r>>) -> Result<(), String> {
        let candidates = self.services.values().flat_map(|own| own.iter().map(Arc::clone));
        let reference = Reference::new(candidates.collect());
        for asked in asked {
            let plain = Answer::of(reference.find(&asked.request()));
            let fast = self.find(&asked);
            if plain != fast {
                return Err(format!("{asked:?}: {plain:?} by the scan, {fast:?} by the index"));
            }
        }
        Ok(())
    }
}
