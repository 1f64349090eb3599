//! What the law of the router is about: services that come, change and go, and requests to them.
//!
//! The fuzz target compiles this file as well, beside the router: it names nothing but the router and
//! core.

use std::collections::BTreeMap;
use std::net::IpAddr;

use http::{HeaderMap, Method};
use refgate_core::document::{Reader, Route, Runtime, Shape as _};
use refgate_core::name::{RouteName, ServiceName};
use serde_json::Value;

use crate::router::routes::{Asked, Routes};

/// Routes after each change, the newest last. What was copied must not notice what becomes of the copy.
#[derive(Debug)]
pub(crate) struct History(Vec<Routes>);

/// What a client may send, host and path in the form in which the router is given them.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) method: Method,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) client: IpAddr,
}

impl Sent {
    pub(crate) fn asked(&self) -> Asked<'_> {
        Asked {
            method: &self.method,
            host: &self.host,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.headers,
            client: self.client,
        }
    }
}

impl Default for History {
    fn default() -> Self {
        Self(vec![Routes::default()])
    }
}

impl History {
    pub(crate) fn last(&self) -> &Routes {
        &self.0[self.0.len() - 1]
    }

    /// Puts a service in, `{"runtime": …, "routes": […]}`; false, and nothing happens, when that is not
    /// one that can be committed.
    pub(crate) fn put(&mut self, name: &ServiceName, service: &Value) -> bool {
        let mut findings = Vec::new();
        let mut reader = Reader::new("a document", &mut findings);
        let runtime = Runtime::read(&service["runtime"], &mut reader);
        let documents = service["routes"].as_array().into_iter().flatten().enumerate();
        let routes: Option<BTreeMap<RouteName, Route>> = documents
            .map(|(number, route)| {
                Some((format!("r{number}").parse().ok()?, Route::read(route, &mut reader)?))
            })
            .collect();
        let (Some(runtime), Some(routes), []) = (runtime, routes, &findings[..]) else {
            return false;
        };
        let mut changed = self.last().clone();
        changed.put(name, &routes, &runtime);
        self.0.push(changed);
        true
    }

    /// Takes a service out, if it is there.
    pub(crate) fn take(&mut self, name: &ServiceName) {
        let mut changed = self.last().clone();
        changed.take(name);
        self.0.push(changed);
    }

    /// The law: index and scan agree on all that there ever was, and of services that are taken out
    /// nothing is left.
    pub(crate) fn holds(&self, sent: &[Sent]) -> Result<(), String> {
        for (change, routes) in self.0.iter().enumerate() {
            routes
                .agrees(sent.iter().map(Sent::asked))
                .map_err(|difference| format!("after change {change}: {difference}\n{routes:?}"))?;
        }
        let mut left = self.last().clone();
        for name in left.services().cloned().collect::<Vec<_>>() {
            left.take(&name);
        }
        if left.is_empty() { Ok(()) } else { Err(format!("something is left: {left:?}")) }
    }
}
