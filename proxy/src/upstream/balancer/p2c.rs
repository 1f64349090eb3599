//! The less loaded of two nodes that chance names: nearly as good as looking at all, without it.

use std::sync::atomic::{AtomicU64, Ordering};

use super::least_conn::load;
use crate::upstream::node::Node;

pub(super) fn choose(nodes: &[Node], eligible: &[usize], chance: &Chance) -> Option<usize> {
    let one = chance.below(eligible.len());
    let step = 1 + chance.below(eligible.len() - 1);
    let other = (one + step) % eligible.len();
    let (one, other) = (eligible[one], eligible[other]);
    if load(nodes.get(one)?) <= load(nodes.get(other)?) { Some(one) } else { Some(other) }
}

/// Chance enough for choosing nodes: a counter through splitmix64. No entropy, no secrets.
#[derive(Debug, Default)]
pub(crate) struct Chance(AtomicU64);

impl Chance {
    /// A number from 0 up to `bound`, `bound` excluded; 0 when there is none.
    pub(super) fn below(&self, bound: usize) -> usize {
        let mut value = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^= value >> 31;
        let bound = u64::try_from(bound).unwrap_or(u64::MAX);
        let scaled = (u128::from(value) * u128::from(bound)) >> 64;
        usize::try_from(scaled).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::node::InFlight;
    use crate::upstream::tests::nodes;

    #[test]
    fn the_busiest_node_is_never_chosen() {
        let nodes = nodes(&[100, 100, 100]);
        let chance = Chance::default();
        let _held: Vec<_> = (0..9).map(|_| InFlight::new(&nodes[1].state)).collect();
        let mut counts = [0; 3];
        for _ in 0..300 {
            counts[choose(&nodes, &[0, 1, 2], &chance).expect("a node")] += 1;
        }
        assert_eq!(counts[1], 0);
        assert!(counts[0] > 90 && counts[2] > 90, "{counts:?}");
    }

    #[test]
    fn weights_count() {
        let nodes = nodes(&[100, 300]);
        let chance = Chance::default();
        let mut held = Vec::new();
        for _ in 0..40 {
            let chosen = choose(&nodes, &[0, 1], &chance).expect("a node");
            held.push(InFlight::new(&nodes[chosen].state));
        }
        assert_eq!(nodes[0].state.in_flight(), 10);
    }

    #[test]
    fn chance_covers_its_range() {
        let chance = Chance::default();
        let mut counts = [0; 5];
        for _ in 0..5000 {
            counts[chance.below(5)] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
        assert_eq!(chance.below(0), 0);
    }
}
