//! The tries of one request: which node comes next, and whether there is a next one at all.
//!
//! A try is counted when a node failed the request. Not counted, because the node is not to blame
//! or was never spoken to: another address of the same node, and a fresh connection after a pooled
//! one turned out to be dead.

use std::net::SocketAddr;
use std::time::Instant;

use super::Upstream;
use super::address::LookupError;
use super::checks::Passive;
use super::health::Outcome;
use super::keepalive::CARRIED;
use super::load::Place;
use super::node::{InFlight, Node};
use super::retry::Failure;

/// Fresh connections in the place of dead ones, per node and request.
const MOST_FRESH: u32 = 2;

/// The state of a request's tries.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    /// When all tries together must be over.
    deadline: Option<Instant>,
    /// Further tries made.
    retried: u32,
    /// Nodes that failed the request in this round.
    failed: Vec<usize>,
    current: Option<Current>,
    /// The request's place among those that the upstream may have in flight.
    place: Option<Place>,
}

#[derive(Debug)]
struct Current {
    node: usize,
    address: Option<SocketAddr>,
    /// Addresses of the node that refused a connection.
    refused: Vec<SocketAddr>,
    fresh: u32,
    began: Instant,
    _in_flight: InFlight,
    /// Whether the connection is asked to close with this request.
    last: bool,
}

/// Where the next try goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Destination {
    /// Position of the node.
    pub(crate) node: usize,
    pub(crate) address: SocketAddr,
    /// Whether no pooled connection may be used.
    pub(crate) fresh: bool,
    /// Whether the connection stays open behind the request.
    pub(crate) keep: bool,
}

/// Why there is no next try.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoDestination {
    #[error("no node of the upstream takes requests")]
    NoNode,
    #[error("the upstream has as many requests in flight as it may")]
    Overloaded,
    #[error(transparent)]
    Lookup(#[from] LookupError),
}

impl Tries {
    /// When all tries together must be over.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Further tries made.
    pub(crate) fn retried(&self) -> u32 {
        self.retried
    }

    /// The node that is being tried, and the address.
    pub(crate) fn current<'u>(&self, upstream: &'u Upstream) -> Option<(&'u Node, SocketAddr)> {
        let current = self.current.as_ref()?;
        Some((upstream.nodes.get(current.node)?, current.address?))
    }

    /// The request goes over this connection of the current node.
    pub(crate) fn connected(&mut self, upstream: &Upstream, connection: i32, reused: bool) {
        if upstream.http2 {
            return;
        }
        // Counted whether this upstream asks or not: another one may, of the same connection.
        let (carried, most) = (CARRIED.one_more(connection, reused), upstream.keepalive.requests);
        if let Some(current) = self.current.as_mut() {
            current.last = most > 0 && carried >= most;
        }
    }

    /// Whether the connection is asked to close with this request.
    pub(crate) fn is_last(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.last)
    }

    /// Where the next try goes: on with the same node when it was not to blame, else to one that
    /// the balancer chooses. Names that cannot be resolved count as refused connections.
    pub(crate) async fn next(
        &mut self,
        upstream: &Upstream,
        hash: u64,
    ) -> Result<Destination, NoDestination> {
        if self.current.is_none() && self.retried == 0 && self.failed.is_empty() {
            self.deadline = upstream.retry.within.map(|within| Instant::now() + within);
            if upstream.limit > 0 && self.place.is_none() {
                let place = upstream.load.take(upstream.limit);
                self.place = Some(place.ok_or(NoDestination::Overloaded)?);
            }
        }
        loop {
            if self.current.is_none() {
                self.current = Some(self.choose(upstream, hash).ok_or(NoDestination::NoNode)?);
            }
            let Some(current) = self.current.as_mut() else { return Err(NoDestination::NoNode) };
            let node = upstream.nodes.get(current.node).ok_or(NoDestination::NoNode)?;
            let patience = upstream.times.connect;
            let found = node.state.addresses.next(&current.refused, patience).await;
            let error = match found {
                Ok(Some(address)) => {
                    current.address = Some(address);
                    current.began = Instant::now();
                    let fresh = current.fresh > 0;
                    let keep = node.state.in_flight() <= upstream.keepalive.in_flight;
                    return Ok(Destination { node: current.node, address, fresh, keep });
                }
                Ok(None) => NoDestination::NoNode,
                Err(error) => error.into(),
            };
            if !self.go_on(upstream, Failure::Connect, true) {
                return Err(error);
            }
        }
    }

    fn choose(&self, upstream: &Upstream, hash: u64) -> Option<Current> {
        let spares = upstream.spares_nodes();
        let left = upstream.tiers.iter().find_map(|tier| {
            if self.failed.is_empty() && !spares {
                return upstream.balancer.choose(&upstream.nodes, tier, hash);
            }
            let left = |node: &usize| !self.failed.contains(node) && upstream.takes(*node, spares);
            let left: Vec<usize> = tier.iter().copied().filter(left).collect();
            upstream.balancer.choose(&upstream.nodes, &left, hash)
        });
        let node = left?;
        let state = &upstream.nodes.get(node)?.state;
        Some(Current {
            node,
            address: None,
            refused: Vec::new(),
            fresh: 0,
            last: false,
            began: Instant::now(),
            _in_flight: InFlight::new(state),
        })
    }

    /// The node could not be connected to: whether to go on, with another address of its or with
    /// another node.
    pub(crate) fn refused(&mut self, upstream: &Upstream, failure: Failure) -> bool {
        if let Some(current) = self.current.as_mut()
            && let Some(node) = upstream.nodes.get(current.node)
            && let Some(address) = current.address.take()
        {
            node.state.addresses.refused(address);
            current.refused.push(address);
            if node.state.addresses.has_other(&current.refused) && !self.is_late() {
                return true;
            }
        }
        self.go_on(upstream, failure, true)
    }

    /// A pooled connection was dead before the node saw the request: whether to go on with a fresh
    /// one.
    pub(crate) fn was_dead(&mut self) -> bool {
        let late = self.is_late();
        self.current.as_mut().is_some_and(|current| {
            current.fresh += 1;
            current.fresh <= MOST_FRESH && !late
        })
    }

    /// The node failed the request on an open connection: whether to go on with another.
    pub(crate) fn failed(
        &mut self,
        upstream: &Upstream,
        failure: Failure,
        idempotent: bool,
    ) -> bool {
        self.go_on(upstream, failure, idempotent)
    }

    /// The node answered with this status: whether to ask another instead.
    pub(crate) fn answered(&mut self, upstream: &Upstream, status: u16, idempotent: bool) -> bool {
        if upstream.balancer.takes_latency()
            && let Some(current) = &self.current
            && let Some(node) = upstream.nodes.get(current.node)
        {
            node.state.answered_after(current.began.elapsed());
        }
        self.report(upstream, |passive| passive.outcome(status));
        if !upstream.retry.on_status(status, idempotent) || !self.may_go_on(upstream) {
            return false;
        }
        self.leave(upstream);
        true
    }

    fn go_on(&mut self, upstream: &Upstream, failure: Failure, idempotent: bool) -> bool {
        if upstream.balancer.takes_latency()
            && let Some(current) = &self.current
            && let Some(node) = upstream.nodes.get(current.node)
        {
            // Failing fast must not look like answering fast.
            let elapsed = current.began.elapsed().max(std::time::Duration::from_secs(1));
            node.state.answered_after(elapsed);
        }
        self.report(upstream, |_| {
            Some(if failure.is_timeout() { Outcome::Timeout } else { Outcome::Broken })
        });
        if !upstream.retry.on_failure(failure, idempotent) || !self.may_go_on(upstream) {
            return false;
        }
        self.leave(upstream);
        true
    }

    /// Says of the current node what the request met there.
    fn report(&self, upstream: &Upstream, met: impl Fn(&Passive) -> Option<Outcome>) {
        if let Some(passive) = upstream.health.as_ref().and_then(|policy| policy.passive.as_ref())
            && let Some(current) = &self.current
            && let Some(check) =
                upstream.nodes.get(current.node).and_then(|node| node.check.as_ref())
            && let Some(outcome) = met(passive)
        {
            check.met(passive, outcome);
        }
    }

    fn may_go_on(&self, upstream: &Upstream) -> bool {
        self.retried < upstream.retry.retries && !self.is_late()
    }

    /// Whether the deadline has passed.
    pub(crate) fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Leaves the current node for another. When every node has failed and tries are left, which
    /// only a `retries` beyond the number of nodes allows, a new round begins.
    fn leave(&mut self, upstream: &Upstream) {
        self.retried += 1;
        if let Some(current) = self.current.take() {
            self.failed.push(current.node);
        }
        let spares = upstream.spares_nodes();
        let mut usable =
            upstream.tiers.iter().flatten().filter(|node| upstream.takes(**node, spares));
        if usable.all(|node| self.failed.contains(node)) {
            self.failed.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use refgate_core::document::RetryOn;

    use super::*;
    use crate::upstream::address::Addresses;
    use crate::upstream::node::NodeState;
    use crate::upstream::retry::RetryPolicy;
    use crate::upstream::tests::upstream;

    async fn next(tries: &mut Tries, upstream: &Upstream) -> usize {
        tries.next(upstream, 0).await.expect("a destination").node
    }

    #[tokio::test]
    async fn each_try_goes_to_another_node_and_lower_tiers_come_last() {
        let mut upstream = upstream(&[(100, 0), (100, 0), (100, -1), (0, 0)]);
        upstream.retry = RetryPolicy::new(2, None, &[RetryOn::Connect]);
        let mut tries = Tries::default();
        let mut nodes = vec![next(&mut tries, &upstream).await];
        while tries.refused(&upstream, Failure::Connect) {
            nodes.push(next(&mut tries, &upstream).await);
        }
        assert_eq!(nodes, [0, 1, 2]);
        assert_eq!(tries.retried(), 2);
    }

    #[tokio::test]
    async fn more_retries_than_nodes_begin_a_new_round() {
        let mut upstream = upstream(&[(100, 0), (100, 0)]);
        upstream.retry = RetryPolicy::new(3, None, &[RetryOn::Reset]);
        let mut tries = Tries::default();
        let mut nodes = vec![next(&mut tries, &upstream).await];
        while tries.failed(&upstream, Failure::Reset, true) {
            nodes.push(next(&mut tries, &upstream).await);
        }
        assert_eq!(nodes.len(), 4);
        assert_ne!(nodes[0], nodes[1]);
        assert_ne!(nodes[2], nodes[3]);
    }

    #[tokio::test]
    async fn drained_upstreams_have_no_destination() {
        let upstream = upstream(&[(0, 0)]);
        let found = Tries::default().next(&upstream, 0).await;
        assert!(matches!(found, Err(NoDestination::NoNode)));
    }

    #[tokio::test]
    async fn dead_connections_are_not_the_nodes_fault() {
        let upstream = upstream(&[(100, 0)]);
        let mut tries = Tries::default();
        let first = tries.next(&upstream, 0).await.expect("a destination");
        assert!(!first.fresh);
        assert!(tries.was_dead());
        let second = tries.next(&upstream, 0).await.expect("a destination");
        assert!(second.fresh);
        assert!(tries.was_dead());
        assert!(!tries.was_dead());
        assert_eq!(tries.retried(), 0);
    }

    #[tokio::test]
    async fn every_address_of_a_node_is_tried_before_the_next_node() {
        let mut upstream = upstream(&[(100, 0), (100, 0)]);
        let addresses = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"];
        let mut state = NodeState::new(&upstream.nodes[0].key, &std::sync::Arc::default());
        state.addresses = Addresses::known(&addresses);
        upstream.nodes[0].state = std::sync::Arc::new(state);
        let mut tries = Tries::default();
        let mut tried = Vec::new();
        loop {
            let destination = tries.next(&upstream, 0).await.expect("a destination");
            tried.push((destination.node, destination.address.to_string()));
            if !tries.refused(&upstream, Failure::Connect) {
                break;
            }
        }
        let of_first = addresses.map(|address| (0, address.to_owned()));
        assert_eq!(tried[..3], of_first);
        assert_eq!(tried[3..], [(1, "127.0.0.1:2".to_owned())]);
    }

    #[tokio::test]
    async fn no_try_starts_after_the_deadline() {
        let mut upstream = upstream(&[(100, 0), (100, 0)]);
        let within = Some(std::time::Duration::ZERO);
        upstream.retry = RetryPolicy::new(1, within, &[RetryOn::Connect]);
        let mut tries = Tries::default();
        next(&mut tries, &upstream).await;
        assert!(!tries.refused(&upstream, Failure::Connect));
    }

    #[tokio::test]
    async fn what_may_have_been_processed_is_not_repeated() {
        let mut upstream = upstream(&[(100, 0), (100, 0)]);
        let on = [RetryOn::Connect, RetryOn::Timeout, RetryOn::ServerError];
        upstream.retry = RetryPolicy::new(1, None, &on);
        let mut tries = Tries::default();
        next(&mut tries, &upstream).await;
        assert!(!tries.failed(&upstream, Failure::Timeout, false));
        assert!(!tries.answered(&upstream, 503, false));
        assert!(tries.answered(&upstream, 503, true));
    }
}
