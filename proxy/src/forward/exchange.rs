//! What is known about one request while it is served.

use std::sync::Arc;
use std::time::Instant;

use http::HeaderValue;
use pingora::proxy::Session;
use pingora::{Error, ErrorSource, ErrorType, Result};

use super::client::Client;
use crate::request_id::RequestId;
use crate::respond::Refusal;
use crate::snapshot::{Route, Snapshot};
use crate::upstream::tries::Tries;

/// The state of a request between the hooks of the proxy.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// Held from first byte to last.
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) id: RequestId,
    pub(crate) client: Option<Client>,
    /// The candidate of the snapshot's router that took the request.
    pub(crate) candidate: Option<usize>,
    /// The target to forward, when it is not the one that came.
    pub(crate) target: Option<String>,
    /// The host that the client asked for, as it wrote it.
    pub(crate) host: Option<HeaderValue>,
    /// Of the request's key, for balancers that hash.
    pub(crate) hash: u64,
    /// The answer of a node makes another try.
    pub(crate) repeat: bool,
    /// What to tell the client, when that is decided where the failure is known best.
    pub(crate) refusal: Option<Refusal>,
    tries: Tries,
    began: Instant,
}

impl Exchange {
    pub(crate) fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            snapshot,
            id: RequestId::none(),
            client: None,
            candidate: None,
            target: None,
            host: None,
            hash: 0,
            repeat: false,
            refusal: None,
            tries: Tries::default(),
            began: Instant::now(),
        }
    }

    /// The route that took the request and the request's tries; an error before there is one.
    pub(crate) fn route(&mut self) -> Result<(&Route, &mut Tries)> {
        let route = self.candidate.and_then(|candidate| self.snapshot.route(candidate));
        match route {
            Some(route) => Ok((route, &mut self.tries)),
            None => Error::e_explain(ErrorType::InternalError, "the request has no route"),
        }
    }

    /// Tells of the request once it is over: of failures of nodes aloud, of the rest on demand.
    pub(crate) fn log(&mut self, session: &Session, status: u16, error: Option<&Error>) {
        if error.is_none() && !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let took_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let id = self.id.clone();
        let Ok((route, tries)) = self.route() else {
            tracing::debug!(status, took_ms, request_id = id.as_str(), "request refused");
            return;
        };
        let (service, name) = (&route.service, &route.name);
        let retries = tries.retried();
        let node = tries.current(&route.upstream).map(|(_, address)| address.to_string());
        let node = node.as_deref().unwrap_or("");
        let request = session.req_header();
        let method = request.method.as_str();
        match error {
            Some(error) if *error.esource() != ErrorSource::Downstream => tracing::warn!(
                %service, route = %name, method, node, status, retries, took_ms,
                request_id = id.as_str(), %error, "request failed"
            ),
            Some(error) => tracing::debug!(
                %service, route = %name, method, node, status, retries, took_ms,
                request_id = id.as_str(), %error, "client went away"
            ),
            None => tracing::debug!(
                %service, route = %name, method, node, status, retries, took_ms,
                request_id = id.as_str(), "request served"
            ),
        }
    }
}
