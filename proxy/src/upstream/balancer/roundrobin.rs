//! Smooth weighted round robin: shares by weight, spread evenly over time.
//!
//! At each turn every node gains its weight; the richest is chosen and pays the sum of all.

use std::sync::{Mutex, PoisonError};

use crate::upstream::node::Node;

/// What each node has gained and not paid yet, by its position.
///
/// Kept from snapshot to snapshot as long as the nodes are the same, so that a change elsewhere does
/// not send everybody to the first node again.
#[derive(Debug)]
pub(crate) struct Turns(Mutex<Vec<i64>>);

impl Turns {
    pub(crate) fn new(nodes: usize) -> Self {
        Self(Mutex::new(vec![0; nodes]))
    }

    pub(super) fn choose(&self, nodes: &[Node], eligible: &[usize]) -> Option<usize> {
        // A panic while the lock was held could only have left an uneven share.
        let mut gained = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut total = 0;
        let mut richest: Option<(usize, i64)> = None;
        for &index in eligible {
            let weight = i64::from(nodes.get(index)?.weight);
            let own = gained.get_mut(index)?;
            *own += weight;
            total += weight;
            if richest.is_none_or(|(_, most)| *own > most) {
                richest = Some((index, *own));
            }
        }
        let (chosen, _) = richest?;
        *gained.get_mut(chosen)? -= total;
        Some(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::tests::nodes;

    #[test]
    fn shares_are_smooth() {
        let nodes = nodes(&[5, 1, 1]);
        let turns = Turns::new(3);
        let chosen: Vec<_> = (0..14).filter_map(|_| turns.choose(&nodes, &[0, 1, 2])).collect();
        assert_eq!(chosen, [0, 0, 1, 0, 2, 0, 0, 0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn shares_are_exact_for_odd_weights() {
        let nodes = nodes(&[7, 3, 11]);
        let turns = Turns::new(3);
        let mut counts = [0; 3];
        for _ in 0..210 {
            counts[turns.choose(&nodes, &[0, 1, 2]).expect("a node")] += 1;
        }
        assert_eq!(counts, [70, 30, 110]);
    }

    #[test]
    fn only_the_eligible_are_chosen() {
        let nodes = nodes(&[1, 1, 1]);
        let turns = Turns::new(3);
        let chosen: Vec<_> = (0..4).filter_map(|_| turns.choose(&nodes, &[0, 2])).collect();
        assert_eq!(chosen, [0, 2, 0, 2]);
    }
}
