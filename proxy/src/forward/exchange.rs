//! What is known about one request while it is served.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderValue, header};
use pingora::proxy::Session;
use pingora::{Error, ErrorSource, ErrorType, Result};

use refgate_core::name::GroupName;

use super::client::Client;
use crate::access_log::AccessLog;
use crate::access_log::line::Entry;
use crate::gateway::streams::OpenStream;
use crate::request_id::RequestId;
use crate::respond::Refusal;
use crate::router::Candidate;
use crate::snapshot::{Route, Snapshot};
use crate::upstream::node::Node;
use crate::upstream::tries::Tries;
use crate::upstream::upgrade::UpgradeConnect;

/// The state of a request between the hooks of the proxy.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// Held from first byte to last.
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) id: RequestId,
    pub(crate) client: Option<Client>,
    /// The candidate of the snapshot's router that took the request.
    pub(crate) candidate: Option<Arc<Candidate<Route>>>,
    /// The target to forward, when it is not the one that came.
    pub(crate) target: Option<String>,
    /// The host that the client asked for, as it wrote it.
    pub(crate) host: Option<HeaderValue>,
    /// Of the request's key, for balancers that hash.
    pub(crate) hash: u64,
    /// The answer of a node makes another try.
    pub(crate) repeat: bool,
    /// Bytes of the body that have come in this try.
    pub(crate) received: u64,
    /// The socket of the node, in HTTP/1, while nobody watches the room in it.
    pub(crate) connection: Option<i32>,
    /// Whether the room in it is watched.
    pub(crate) watched: bool,
    /// What made the connection, when the client asked for an upgrade.
    pub(crate) upgrade: Option<Arc<UpgradeConnect>>,
    /// What to tell the client, when that is decided where the failure is known best.
    pub(crate) refusal: Option<Refusal>,
    pub(crate) began: Instant,
    /// When the first node was looked for.
    pub(crate) tried: Option<Instant>,
    /// When the header of the answer came that counts.
    pub(crate) answered: Option<Instant>,
    /// Of a request in HTTP/2: its gateway waits for it.
    pub(crate) stream: Option<OpenStream>,
    tries: Tries,
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
            received: 0,
            connection: None,
            watched: false,
            upgrade: None,
            refusal: None,
            began: Instant::now(),
            tried: None,
            answered: None,
            stream: None,
            tries: Tries::default(),
        }
    }

    /// The route that took the request and the request's tries; an error before there is one.
    pub(crate) fn route(&mut self) -> Result<(&Route, &mut Tries)> {
        match &self.candidate {
            Some(candidate) => Ok((&candidate.route, &mut self.tries)),
            None => Error::e_explain(ErrorType::InternalError, "the request has no route"),
        }
    }

    /// The node that is being tried, and its address.
    pub(crate) fn node(&self) -> Result<(&Node, SocketAddr)> {
        let route = self.candidate.as_ref().map(|candidate| &candidate.route);
        match route.and_then(|route| self.tries.current(&route.upstream)) {
            Some(current) => Ok(current),
            None => Error::e_explain(ErrorType::InternalError, "no node is being tried"),
        }
    }

    /// The request goes over this connection to the node; `reused`: it was used before.
    pub(crate) fn connected(&mut self, connection: i32, reused: bool) -> Result<()> {
        let (route, tries) = self.route()?;
        tries.connected(&route.upstream, connection, reused);
        self.connection = Some(connection);
        Ok(())
    }

    /// Puts a line about the request into the access log.
    pub(crate) fn record(
        &self,
        log: &AccessLog,
        group: &GroupName,
        session: &Session,
        status: u16,
        duration: Duration,
    ) {
        let now = SystemTime::now();
        let route = self.candidate.as_ref().map(|candidate| &candidate.route);
        let node = route.and_then(|route| self.tries.current(&route.upstream));
        let until_answer = self.tried.zip(self.answered);
        let request = session.req_header();
        let path = request.raw_path();
        let query = path.iter().position(|byte| *byte == b'?');
        let host = self.host.as_ref().or_else(|| request.headers.get(header::HOST));
        let authority = || request.uri.authority().map(|authority| authority.as_str().as_bytes());
        log.record(&Entry {
            time: now.checked_sub(duration).unwrap_or(now),
            group: group.as_str(),
            service: route.map(|route| route.rule.service.as_str()),
            route: route.map(|route| route.rule.name.as_str()),
            method: request.method.as_str(),
            host: host.map(HeaderValue::as_bytes).or_else(authority),
            path: &path[..query.unwrap_or(path.len())],
            status,
            bytes: session.body_bytes_sent() as u64,
            duration,
            upstream_duration: until_answer.map(|(tried, answered)| answered - tried),
            client: self.client.map(|client| client.address),
            node: node.map(|(_, address)| address),
            request_id: self.id.as_str(),
            user_agent: request.headers.get(header::USER_AGENT).map(HeaderValue::as_bytes),
            commit: &self.snapshot.commit,
        });
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
        let (service, name) = (&route.rule.service, &route.rule.name);
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
