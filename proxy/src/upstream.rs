//! Where requests go: the nodes of an upstream, how one is chosen and how it is spoken to.
//!
//! An [`Upstream`] is made when a snapshot is compiled and never changes; what does change at run
//! time (addresses of names, load, health, turns) lives in [`node::NodeState`], [`load::Load`],
//! [`checks::Check`] and [`balancer::Balancer`] and is handed on from one snapshot to the next, see
//! [`compile`].
//!
//! Next: [`tries`] for the life of one request, [`compile`] for how documents become this, [`checks`]
//! for which nodes are healthy.

pub(crate) mod address;
pub(crate) mod balancer;
pub(crate) mod checks;
pub(crate) mod compile;
pub(crate) mod health;
pub(crate) mod idle;
pub(crate) mod keepalive;
pub(crate) mod load;
pub(crate) mod node;
pub(crate) mod peer;
pub(crate) mod retry;
pub(crate) mod tries;
pub(crate) mod upgrade;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use refgate_core::name::CertificateName;
use smallvec::SmallVec;

use self::balancer::Balancer;
use self::checks::Policy;
use self::keepalive::Keepalive;
use self::load::Load;
use self::node::Node;
use self::retry::RetryPolicy;
use crate::certificate::{Certificates, ShownToNodes};

/// The nodes of an upstream and how they are spoken to.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// The nodes, in the order of the document.
    pub(crate) nodes: Vec<Node>,
    /// Positions of nodes that are not drained, by tier, the highest priority first.
    pub(crate) tiers: Tiers,
    pub(crate) balancer: Balancer,
    pub(crate) retry: RetryPolicy,
    pub(crate) times: Times,
    pub(crate) host: PassHost,
    /// Whether nodes that speak HTTP/2 are told of the client's `TE: trailers`.
    pub(crate) http2: bool,
    /// Whether they are spoken to in HTTP/1 without TLS.
    pub(crate) plain: bool,
    /// What is made of the nodes' health; nothing without checks.
    pub(crate) health: Option<Box<Policy>>,
    /// How many requests may be in flight; 0: any number.
    pub(crate) limit: u32,
    /// How many are; outlives the snapshot.
    pub(crate) load: Arc<Load>,
    /// How long connections to its nodes live.
    pub(crate) keepalive: Keepalive,
    /// What its nodes are shown when they ask for a certificate.
    pub(crate) shown: Option<Box<(CertificateName, Arc<ShownToNodes>)>>,
}

impl Upstream {
    /// Whether the certificate that nodes are shown is another one now. One that is gone is not: a
    /// service keeps its last good form.
    pub(crate) fn shows_another_than(&self, certificates: &Certificates) -> bool {
        self.shown.as_deref().is_some_and(|(name, shown)| {
            let now = certificates.get(name).and_then(|now| now.shown_to_nodes.as_ref());
            now.is_some_and(|now| now.hash != shown.hash)
        })
    }

    /// Whether a node may get requests; `spares` is what [`Upstream::spares_nodes`] says.
    pub(crate) fn takes(&self, node: usize, spares: bool) -> bool {
        !spares || self.nodes.get(node).is_some_and(|node| !node.is_out())
    }

    /// Whether nodes that are out get no requests at the moment.
    ///
    /// With few healthy nodes left, those would break down under the load of all: then all are used.
    /// One tier with enough of them is enough, for requests get there in the end.
    pub(crate) fn spares_nodes(&self) -> bool {
        let Some(policy) = &self.health else { return false };
        let is_out = |place: &usize| self.nodes.get(*place).is_none_or(Node::is_out);
        if !self.tiers.iter().flatten().any(is_out) {
            return false;
        }
        let threshold = u64::from(policy.panic_threshold);
        self.tiers.iter().any(|tier| {
            let healthy = tier.iter().filter(|place| !is_out(place)).count();
            healthy as u64 * 100 >= tier.len() as u64 * threshold
        })
    }
}

/// Few tiers of few nodes, as most upstreams have, are in the upstream itself: a request reads less
/// that is not in the caches.
pub(crate) type Tiers = SmallVec<[SmallVec<[usize; 2]>; 1]>;

/// Times of one try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) connect: Duration,
    pub(crate) send: Duration,
    pub(crate) read: Duration,
}

/// Which host name the nodes are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PassHost {
    /// The client's.
    Client,
    /// The node's own, see [`Node::host`].
    Node,
    /// This one.
    Fixed(HeaderValue),
}

#[cfg(test)]
pub(crate) mod tests {
    use refgate_core::document::{self, Reader, Shape};
    use serde_json::{Value, json};

    use super::*;
    use crate::certificate::Certificates;
    use crate::upstream::checks::Registry;
    use crate::upstream::compile::Compiler;

    /// An upstream as its document says.
    pub(crate) fn from_json(json: &Value) -> Upstream {
        compile(json, None, None)
    }

    /// The same after another.
    pub(crate) fn compile(
        json: &Value,
        previous: Option<&Upstream>,
        checks: Option<&Registry>,
    ) -> Upstream {
        let mut findings = Vec::new();
        let document = document::Upstream::read(json, &mut Reader::new("test", &mut findings));
        assert_eq!(findings, []);
        let owner = "test/default";
        let certificates = &Certificates::default();
        let resolver = &Arc::default();
        Compiler { file: "runtime/test.json", owner, previous, checks, certificates, resolver }
            .upstream(&document.unwrap(), &mut findings)
            .unwrap()
    }

    /// An upstream of nodes with these weights and priorities.
    pub(crate) fn upstream(nodes: &[(u32, i32)]) -> Upstream {
        let nodes: Vec<Value> = (1_u16..)
            .zip(nodes)
            .map(|(port, (weight, priority))| {
                json!({"host": "127.0.0.1", "port": port, "weight": weight, "priority": priority})
            })
            .collect();
        from_json(&json!({ "nodes": nodes }))
    }

    /// Nodes with these weights.
    pub(crate) fn nodes(weights: &[u32]) -> Vec<Node> {
        upstream(&weights.iter().map(|weight| (*weight, 0)).collect::<Vec<_>>()).nodes
    }
}
