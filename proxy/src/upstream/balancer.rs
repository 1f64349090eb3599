//! How a node is chosen among those of one tier.
//!
//! Every method is given the nodes that may be chosen and never sees the others, so that a drained
//! node or one that already failed the request needs no care here.

mod chash;
mod ewma;
#[cfg(test)]
mod laws;
mod least_conn;
mod p2c;
mod roundrobin;

use std::sync::Arc;

pub(crate) use chash::HashOn;
use p2c::Chance;
pub(crate) use roundrobin::Turns;

use super::node::Node;

/// A method of choosing, with the state that it keeps.
#[derive(Debug)]
pub(crate) enum Balancer {
    /// Smooth weighted round robin.
    RoundRobin(Arc<Turns>),
    /// Consistent hash of something in the request.
    ConsistentHash(HashOn),
    /// The fewest requests in flight for the weight.
    LeastConnections(Chance),
    /// The lowest latency, with the requests in flight, for the weight.
    Ewma(Chance),
    /// The less loaded of two that chance names.
    PowerOfTwo(Chance),
}

impl Balancer {
    /// Whether times of answers are to be kept.
    pub(crate) fn takes_latency(&self) -> bool {
        matches!(self, Self::Ewma(_))
    }

    /// One of `eligible`, which are positions in `nodes`; `hash` is of the request's key.
    pub(crate) fn choose(&self, nodes: &[Node], eligible: &[usize], hash: u64) -> Option<usize> {
        match (self, eligible) {
            (_, []) => None,
            (_, [only]) => Some(*only),
            (Self::RoundRobin(turns), _) => turns.choose(nodes, eligible),
            (Self::ConsistentHash(_), _) => chash::choose(nodes, eligible, hash),
            (Self::LeastConnections(chance), _) => least_conn::choose(nodes, eligible, chance),
            (Self::Ewma(chance), _) => ewma::choose(nodes, eligible, chance),
            (Self::PowerOfTwo(chance), _) => p2c::choose(nodes, eligible, chance),
        }
    }
}
