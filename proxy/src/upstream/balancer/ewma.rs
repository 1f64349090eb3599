//! The node with the lowest moving average of latency, counting the requests that it has not
//! answered yet: without them all would run to the fastest node until it is the slowest.

use super::least_conn::{least, load};
use super::p2c::Chance;
use crate::upstream::node::Node;

pub(super) fn choose(nodes: &[Node], eligible: &[usize], chance: &Chance) -> Option<usize> {
    // A node that nothing is known about costs nothing, and so is tried soon.
    least(nodes, eligible, chance, |node| node.state.latency() * load(node))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::upstream::node::InFlight;
    use crate::upstream::tests::nodes;

    #[test]
    fn fast_nodes_are_preferred_until_they_are_busy() {
        let nodes = nodes(&[100, 100]);
        let chance = Chance::default();
        nodes[0].state.answered_after(Duration::from_millis(10));
        assert_eq!(choose(&nodes, &[0, 1], &chance), Some(1), "an unknown node is tried");
        nodes[1].state.answered_after(Duration::from_millis(30));
        assert_eq!(choose(&nodes, &[0, 1], &chance), Some(0));
        let held: Vec<_> = (0..3).map(|_| InFlight::new(&nodes[0].state)).collect();
        assert_eq!(choose(&nodes, &[0, 1], &chance), Some(1));
        drop(held);
        assert_eq!(choose(&nodes, &[0, 1], &chance), Some(0));
    }
}
