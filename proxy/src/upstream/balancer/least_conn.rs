//! The node with the fewest requests in flight for its weight.

use super::p2c::Chance;
use crate::upstream::node::Node;

pub(super) fn choose(nodes: &[Node], eligible: &[usize], chance: &Chance) -> Option<usize> {
    least(nodes, eligible, chance, load)
}

/// How loaded a node would be with one more request.
pub(super) fn load(node: &Node) -> f64 {
    f64::from(node.state.in_flight().saturating_add(1)) / f64::from(node.weight)
}

/// The node with the least of something. Chance says where to begin, so that nodes which tie take
/// turns.
pub(super) fn least(
    nodes: &[Node],
    eligible: &[usize],
    chance: &Chance,
    of: impl Fn(&Node) -> f64,
) -> Option<usize> {
    let begin = chance.below(eligible.len());
    let (behind, ahead) = eligible.split_at(begin);
    let mut least: Option<(usize, f64)> = None;
    for &index in ahead.iter().chain(behind) {
        let value = of(nodes.get(index)?);
        if least.is_none_or(|(_, least)| value < least) {
            least = Some((index, value));
        }
    }
    least.map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::node::InFlight;
    use crate::upstream::tests::nodes;

    #[test]
    fn requests_in_flight_decide() {
        let nodes = nodes(&[100, 100, 300]);
        let chance = Chance::default();
        let mut held = Vec::new();
        let mut counts = [0; 3];
        for _ in 0..50 {
            let chosen = choose(&nodes, &[0, 1, 2], &chance).expect("a node");
            held.push(InFlight::new(&nodes[chosen].state));
            counts[chosen] += 1;
        }
        assert_eq!(counts, [10, 10, 30]);
    }

    #[test]
    fn ties_are_spread() {
        let nodes = nodes(&[100, 100]);
        let chance = Chance::default();
        let first = (0..100).filter(|_| choose(&nodes, &[0, 1], &chance) == Some(0)).count();
        assert!((20..=80).contains(&first), "{first}");
    }
}
