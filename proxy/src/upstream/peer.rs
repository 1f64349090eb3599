//! How nodes are connected to, in Pingora's terms.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use pingora::protocols::tls::CaType;
use pingora::upstreams::peer::{H1UpgradePolicy, HttpPeer};
use refgate_core::document::Scheme;

use super::Times;
use super::idle::Key;
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

    /// How a node is connected to.
    ///
    /// `server_name` is what the node's certificate must be valid for; `host` is the node's, as it is
    /// written. Pingora shares connections between peers that hash alike, and neither the
    /// certificates to trust nor the protocol are in its hash, of the certificate to show no more than
    /// its serial number: so they are in the group key, which stays the same from snapshot to
    /// snapshot, and with it the pool. Upstreams that write the same node with the same settings
    /// share its connections: a pool for each would hold more of them, and use each less often.
    /// Two names of one address do not share, as its server may tell them apart by more than `Host`.
    pub(crate) fn peer(&self, server_name: &str, host: &str) -> NodePeer {
        let mut hasher = DefaultHasher::new();
        (self.scheme.as_str(), self.verify, self.idle).hash(&mut hasher);
        self.ca.as_ref().map(|(_, text)| text).hash(&mut hasher);
        self.shown.as_ref().map(|shown| shown.hash).hash(&mut hasher);
        let settings = shared(hasher.finish(), || self.settings());
        host.hash(&mut hasher);
        // Without TLS the name would only split the pool.
        let server_name = if self.scheme.is_tls() { server_name } else { "" };
        NodePeer { settings, server_name: server_name.into(), pool: hasher.finish() }
    }

    /// What is the same for all nodes.
    fn settings(&self) -> HttpPeer {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let tls = self.scheme.is_tls();
        let mut peer = HttpPeer::new(nowhere, tls, String::new());
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

/// How a node is connected to, but for the address.
#[derive(Debug)]
pub(crate) struct NodePeer {
    /// The same for all nodes whose upstreams say the same of connections: it is copied for each
    /// request, and one that all requests copy stays in the caches.
    settings: Arc<HttpPeer>,
    /// What its certificate must be valid for; empty without TLS.
    server_name: Box<str>,
    /// Nodes with the same number share connections, where address and server name are the same too.
    /// It stands for all settings.
    pool: u64,
}

impl NodePeer {
    /// Whether connections are secured.
    pub(crate) fn is_tls(&self) -> bool {
        self.settings.is_tls()
    }

    /// How long a connection may rest.
    pub(crate) fn idle_timeout(&self) -> Duration {
        self.settings.options.idle_timeout.unwrap_or_default()
    }

    /// Whether both share connections, when they have the same address.
    pub(crate) fn shares_with(&self, other: &Self) -> bool {
        (self.pool, &self.server_name) == (other.pool, &other.server_name)
    }

    /// What connections to it at an address have in common.
    pub(crate) fn key(&self, address: SocketAddr) -> Key {
        Key { pool: self.pool, address }
    }

    /// The peer at an address.
    pub(crate) fn at(&self, address: SocketAddr) -> Box<HttpPeer> {
        let mut peer = Box::new(HttpPeer::clone(&self.settings));
        peer._address = address.into();
        peer.group_key = self.pool;
        peer.sni.push_str(&self.server_name);
        peer
    }
}

/// The settings that `key` stands for, made when no node has them.
fn shared(key: u64, make: impl FnOnce() -> HttpPeer) -> Arc<HttpPeer> {
    static KNOWN: Mutex<BTreeMap<u64, Weak<HttpPeer>>> = Mutex::new(BTreeMap::new());
    // A panic while the lock was held left a sound map.
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(settings) = known.get(&key).and_then(Weak::upgrade) {
        return settings;
    }
    known.retain(|_, settings| settings.strong_count() > 0);
    let settings = Arc::new(make());
    known.insert(key, Arc::downgrade(&settings));
    settings
}

/// What one try asks of the connection.
#[derive(Debug, Clone)]
pub(crate) struct Try {
    pub(crate) address: SocketAddr,
    pub(crate) times: Times,
    /// When all tries together must be over.
    pub(crate) deadline: Option<Instant>,
    /// Whether the route lets connections be upgraded to WebSocket.
    pub(crate) websocket: bool,
    /// What makes the connection when the client asks for an upgrade.
    pub(crate) upgrade: Option<Arc<UpgradeConnect>>,
    /// Whether no pooled connection may be used.
    pub(crate) fresh: bool,
    /// Whether the connection stays open behind the request.
    pub(crate) keep: bool,
}

impl Try {
    /// How long the node may take nothing of what it is sent.
    pub(crate) fn send_timeout(&self) -> Duration {
        match self.deadline {
            Some(end) => self.times.send.min(end.saturating_duration_since(Instant::now())),
            None => self.times.send,
        }
    }

    /// The peer of this try.
    pub(crate) fn peer(&self, node: &NodePeer) -> Box<HttpPeer> {
        let mut peer = node.at(self.address);
        let upgrade = self.upgrade.as_ref().filter(|_| self.websocket);
        // Pingora keeps a connection for a moment even when it may not rest at all.
        if self.fresh || upgrade.is_some() || node.idle_timeout().is_zero() {
            peer.group_key ^= unused_number();
        }
        if self.fresh || upgrade.is_some() || !self.keep {
            peer.options.idle_timeout = Some(Duration::ZERO);
        }
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let cut = |time: Duration| Some(left.map_or(time, |left| time.min(left)));
        let options = &mut peer.options;
        options.connection_timeout = cut(self.times.connect);
        options.total_connection_timeout = cut(self.times.connect);
        options.write_timeout = Some(self.send_timeout());
        // The deadline of all tries cuts this one by itself, and must not end an answer that pauses.
        options.read_timeout = Some(self.times.read);
        options.http_upstream_request_policy.h1_upgrade =
            if self.websocket { H1UpgradePolicy::WebSocketOnly } else { H1UpgradePolicy::Deny };
        if let Some(upgrade) = upgrade {
            options.set_http_version(1, 1);
            options.custom_l4 = Some(Arc::<UpgradeConnect>::clone(upgrade));
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
