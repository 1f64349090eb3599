//! Where requests go: the nodes of an upstream, how one is chosen and how it is spoken to.
//!
//! An [`Upstream`] is made when a snapshot is compiled and never changes; what does change at run
//! time (addresses of names, load, turns) lives in [`node::NodeState`] and [`balancer::Balancer`]
//! and is handed on from one snapshot to the next, see [`compile`].
//!
//! Next: [`tries`] for the life of one request, [`compile`] for how documents become this.

pub(crate) mod address;
pub(crate) mod balancer;
pub(crate) mod compile;
pub(crate) mod node;
pub(crate) mod peer;
pub(crate) mod retry;
pub(crate) mod tries;
mod upgrade;

use std::time::Duration;

use http::HeaderValue;

use self::balancer::Balancer;
use self::node::Node;
use self::retry::RetryPolicy;

/// The nodes of an upstream and how they are spoken to.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// The nodes, in the order of the document.
    pub(crate) nodes: Vec<Node>,
    /// Positions of nodes that are not drained, by tier, the highest priority first.
    pub(crate) tiers: Vec<Vec<usize>>,
    pub(crate) balancer: Balancer,
    pub(crate) retry: RetryPolicy,
    pub(crate) times: Times,
    pub(crate) host: PassHost,
    /// Whether nodes that speak HTTP/2 are told of the client's `TE: trailers`.
    pub(crate) http2: bool,
}

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
    use crate::upstream::compile::Compiler;

    /// An upstream as its document says.
    pub(crate) fn from_json(json: &Value) -> Upstream {
        let mut findings = Vec::new();
        let document = document::Upstream::read(json, &mut Reader::new("test", &mut findings));
        assert_eq!(findings, []);
        let owner = "test/default";
        Compiler { file: "runtime/test.json", owner, previous: None }
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
