//! A node in Pingora's terms.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pingora::protocols::tls::CaType;
use pingora::upstreams::peer::{H1UpgradePolicy, HttpPeer};
use refgate_core::document::Scheme;

use super::Times;
use super::upgrade::UpgradeConnect;
use crate::certificate::ShownToNodes;

/// HTTP/2 requests that share a connection.
pub(super) const H2_STREAMS: u16 = 100;

/// What an upstream says about connections to its nodes.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    pub(crate) scheme: Scheme,
    pub(crate) verify: bool,
    /// Certificates to trust in the place of the system's, with the text that they came from.
    pub(crate) ca: Option<(Arc<CaType>, String)>,
    /// What nodes are shown that ask for a certificate.
    pub(crate) shown: Option<Arc<ShownToNodes>>,
    /// How long an idle connection is kept; nothing: none is.
    pub(crate) idle: Option<Duration>,
}

impl Connections {
    /// Whether nodes are spoken to in HTTP/2 and nothing else.
    pub(crate) fn only_http2(&self) -> bool {
        matches!(self.scheme, Scheme::H2c | Scheme::Grpc | Scheme::Grpcs)
    }

    /// A peer without an address yet.
    ///
    /// `server_name` is what the node's certificate must be valid for; `host` is the node's, as it is
    /// written. Pingora shares connections between peers that hash alike, and neither the
    /// certificates to trust nor the protocol are in its hash, of the certificate to show no more than
    /// its serial number: so they are in the group key, which stays the same from snapshot to
    /// snapshot, and with it the pool. Upstreams that write the same node with the same settings
    /// share its connections: a pool for each would hold more of them, and use each less often.
    /// Two names of one address do not share, as its server may tell them apart by more than `Host`.
    pub(crate) fn peer(&self, server_name: &str, host: &str) -> HttpPeer {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        // Without TLS the name would only split the pool.
        let tls = self.scheme.is_tls();
        let server_name = if tls { server_name.to_owned() } else { String::new() };
        let mut peer = HttpPeer::new(nowhere, tls, server_name);
        let mut hasher = DefaultHasher::new();
        (host, self.scheme.as_str(), self.verify, self.idle).hash(&mut hasher);
        self.ca.as_ref().map(|(_, text)| text).hash(&mut hasher);
        self.shown.as_ref().map(|shown| shown.hash).hash(&mut hasher);
        peer.group_key = hasher.finish();
        // Without TLS the serial number, which Pingora looks at, would only split the pool.
        let shown = self.shown.as_ref().filter(|_| tls);
        peer.client_cert_key = shown.map(|shown| Arc::clone(&shown.pair));
        let options = &mut peer.options;
        match self.scheme {
            Scheme::Http => options.set_http_version(1, 1),
            Scheme::Https => options.set_http_version(2, 1),
            Scheme::H2c | Scheme::Grpc | Scheme::Grpcs => options.set_http_version(2, 2),
        }
        options.max_h2_streams = usize::from(H2_STREAMS);
        options.verify_cert = self.verify;
        options.verify_hostname = self.verify;
        options.ca = self.ca.as_ref().map(|(ca, _)| Arc::clone(ca));
        // A timeout of none would keep the connection for ever; of nothing it is closed at once.
        options.idle_timeout = Some(self.idle.unwrap_or(Duration::ZERO));
        peer
    }
}

/// What one try asks of the connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Try {
    pub(crate) address: SocketAddr,
    pub(crate) times: Times,
    /// When all tries together must be over.
    pub(crate) deadline: Option<Instant>,
    /// Whether the route lets connections be upgraded to WebSocket.
    pub(crate) websocket: bool,
    /// Whether the client asks for an upgrade.
    pub(crate) upgrade: bool,
    /// Whether no pooled connection may be used.
    pub(crate) fresh: bool,
    /// Whether the connection stays open behind the request.
    pub(crate) keep: bool,
}

impl Try {
    fn is_upgrade(&self) -> bool {
        self.websocket && self.upgrade
    }

    /// The peer of this try.
    pub(crate) fn peer(&self, template: &HttpPeer) -> Box<HttpPeer> {
        let mut peer = Box::new(template.clone());
        peer._address = self.address.into();
        if self.fresh || self.is_upgrade() {
            peer.group_key ^= unused_number();
        }
        if self.fresh || self.is_upgrade() || !self.keep {
            peer.options.idle_timeout = Some(Duration::ZERO);
        }
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let cut = |time: Duration| Some(left.map_or(time, |left| time.min(left)));
        let options = &mut peer.options;
        options.connection_timeout = cut(self.times.connect);
        options.total_connection_timeout = cut(self.times.connect);
        options.write_timeout = cut(self.times.send);
        // The deadline of all tries cuts this one by itself, and must not end an answer that pauses.
        options.read_timeout = Some(self.times.read);
        options.http_upstream_request_policy.h1_upgrade =
            if self.websocket { H1UpgradePolicy::WebSocketOnly } else { H1UpgradePolicy::Deny };
        if self.is_upgrade() {
            options.set_http_version(1, 1);
            options.custom_l4 = Some(Arc::new(UpgradeConnect));
        }
        peer
    }
}

/// Connections of a key with such a number are found by nobody.
fn unused_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut hasher = DefaultHasher::new();
    NEXT.fetch_add(1, Ordering::Relaxed).hash(&mut hasher);
    hasher.finish()
}
