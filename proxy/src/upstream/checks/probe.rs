//! How a node is asked: a connection, or a request over one, new each time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, header};
use pingora::http::RequestHeader;
use pingora::{ErrorType, OrErr as _};
use tokio::net::TcpStream;

use super::task::Pace;
use super::{Asking, judge};
use crate::upstream::health::{Outcome, StatusSet};
use crate::upstream::node::NodeState;
use crate::upstream::peer::NodePeer;

/// What makes the connections of checks.
pub(super) type Connector = pingora::connectors::http::Connector;

/// The question that a node is asked.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) node: Arc<NodeState>,
    /// The port to ask in the place of the node's.
    pub(crate) port: Option<u16>,
    /// Time for all of it.
    pub(crate) timeout: Duration,
    pub(crate) pace: Pace,
    /// The request to send; nothing: a connection is all.
    pub(crate) http: Option<HttpProbe>,
}

/// The request that a node is asked.
#[derive(Debug)]
pub(crate) struct HttpProbe {
    /// How to connect, but for the address.
    pub(crate) peer: NodePeer,
    pub(crate) path: String,
    pub(crate) host: HeaderValue,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) good: StatusSet,
    pub(crate) bad: StatusSet,
}

impl Probe {
    /// Whether the two ask the same node the same question at the same pace.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let plain = |probe: &Self| (probe.port, probe.timeout, probe.pace.clone());
        let http = match (&self.http, &other.http) {
            (None, None) => true,
            (Some(one), Some(other)) => one.is_same(other),
            _ => false,
        };
        Arc::ptr_eq(&self.node, &other.node) && plain(self) == plain(other) && http
    }

    /// Asks; what comes back says nothing when the status is neither good nor bad.
    pub(super) async fn ask(&self, asking: &Asking) -> Option<Outcome> {
        // Waiting for its place is not the node's time.
        let _place = asking.places.acquire().await.ok()?;
        match tokio::time::timeout(self.timeout, self.outcome(asking)).await {
            Ok(outcome) => outcome,
            Err(_) => Some(Outcome::Timeout),
        }
    }

    async fn outcome(&self, asking: &Asking) -> Option<Outcome> {
        let found = self.node.addresses.next(&[], self.timeout).await;
        let Ok(Some(mut address)) = found else { return Some(Outcome::Broken) };
        if let Some(port) = self.port {
            address.set_port(port);
        }
        let Some(http) = &self.http else {
            let connected = TcpStream::connect(address).await;
            return Some(if connected.is_ok() { Outcome::Good } else { Outcome::Broken });
        };
        let connector = asking.connector.get_or_init(|| Connector::new(None));
        match http.status(connector, address).await {
            Ok(status) => judge(&http.good, &http.bad, status),
            Err(error) => {
                tracing::debug!(%address, %error, "check failed");
                Some(Outcome::Broken)
            }
        }
    }
}

impl HttpProbe {
    fn is_same(&self, other: &Self) -> bool {
        self.peer.shares_with(&other.peer)
            && (&self.path, &self.host, &self.headers, self.good, self.bad)
                == (&other.path, &other.host, &other.headers, other.good, other.bad)
    }

    /// The status of the node's answer. The connection is closed with the rest unread.
    async fn status(&self, connector: &Connector, address: SocketAddr) -> pingora::Result<u16> {
        let mut peer = self.peer.at(address);
        // A connection is new each time: that there can be one is what is asked.
        peer.options.max_h2_streams = 1;
        let mut request =
            Box::new(RequestHeader::build(Method::GET, self.path.as_bytes(), Some(4))?);
        request.insert_header(header::HOST, self.host.clone())?;
        request.insert_header(header::USER_AGENT, AGENT)?;
        for (name, value) in &self.headers {
            request.insert_header(name.clone(), value.clone())?;
        }
        let (mut session, _) = connector.get_http_session(&*peer).await?;
        let over_http2 = session.as_http2().is_some();
        if over_http2 {
            let uri = http::Uri::builder()
                .scheme(if self.peer.is_tls() { "https" } else { "http" })
                .authority(self.host.as_bytes())
                .path_and_query(self.path.as_str());
            request.set_uri(uri.build().or_err(ErrorType::InvalidHTTPHeader, "no usable host")?);
            request.remove_header(&header::HOST);
        } else {
            request.insert_header(header::CONNECTION, "close")?;
        }
        session.write_request_header(request).await?;
        session.finish_request_body().await?;
        loop {
            session.read_response_header().await?;
            let status = session.response_header().map_or(0, |answer| answer.status.as_u16());
            if !(100..200).contains(&status) {
                return Ok(status);
            }
        }
    }
}

const AGENT: &str = concat!("refgate/", env!("CARGO_PKG_VERSION"), " health check");
