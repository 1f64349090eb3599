//! What holds of every balancer, whatever the weights and loads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::p2c::Chance;
use super::{chash, ewma, least_conn, p2c, roundrobin::Turns};
use crate::upstream::checks::Registry;
use crate::upstream::node::{InFlight, Node};
use crate::upstream::tests::{compile, nodes};

fn weights() -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::vec(1..=60_u32, 1..=7)
}

/// Nodes with some weights, of which each has so many requests in flight and a latency in
/// milliseconds, 0 for none known.
fn loaded() -> impl Strategy<Value = Vec<(u32, usize, u64)>> {
    proptest::collection::vec((1..=5_u32, 0..6_usize, 0..4_u64), 2..=6)
}

fn load(loaded: &[(u32, usize, u64)]) -> (Vec<Node>, Vec<InFlight>) {
    let nodes = nodes(&loaded.iter().map(|(weight, ..)| *weight).collect::<Vec<_>>());
    let mut held = Vec::new();
    for (node, (_, in_flight, latency)) in nodes.iter().zip(loaded) {
        held.extend((0..*in_flight).map(|_| InFlight::new(&node.state)));
        if *latency > 0 {
            node.state.answered_after(Duration::from_millis(*latency));
        }
    }
    (nodes, held)
}

fn all(nodes: &[Node]) -> Vec<usize> {
    (0..nodes.len()).collect()
}

fn least(nodes: &[Node], of: impl Fn(&Node) -> f64) -> f64 {
    nodes.iter().map(of).fold(f64::INFINITY, f64::min)
}

const CHOICES: usize = 40;

proptest! {
    #[test]
    fn round_robin_gives_each_node_exactly_its_weight_in_every_cycle(
        weights in weights(), cycles in 1..4_u32,
    ) {
        let nodes = nodes(&weights);
        let (eligible, turns) = (all(&nodes), Turns::new(nodes.len()));
        for _ in 0..cycles {
            let mut counts = vec![0_u32; nodes.len()];
            for _ in 0..weights.iter().sum::<u32>() {
                counts[turns.choose(&nodes, &eligible).unwrap()] += 1;
            }
            prop_assert_eq!(&counts, &weights);
        }
    }

    #[test]
    fn a_node_that_goes_moves_no_keys_but_its_own(
        weights in proptest::collection::vec(1..=60_u32, 2..=7), gone in any::<prop::sample::Index>(),
        keys in proptest::collection::vec(any::<u64>(), 200),
    ) {
        let nodes = nodes(&weights);
        let gone = gone.index(nodes.len());
        let left: Vec<usize> = all(&nodes).into_iter().filter(|node| *node != gone).collect();
        for key in keys {
            let before = chash::choose(&nodes, &all(&nodes), key);
            let after = chash::choose(&nodes, &left, key);
            prop_assert!(before == after || before == Some(gone));
        }
    }

    #[test]
    fn more_weight_takes_keys_and_gives_none_away(
        weights in weights(), heavier in any::<prop::sample::Index>(), more in 1..60_u32,
        keys in proptest::collection::vec(any::<u64>(), 200),
    ) {
        let before = nodes(&weights);
        let heavier = heavier.index(before.len());
        let mut weights = weights;
        weights[heavier] += more;
        let after = nodes(&weights);
        for key in keys {
            let one = chash::choose(&before, &all(&before), key);
            let other = chash::choose(&after, &all(&after), key);
            prop_assert!(one == other || other == Some(heavier));
        }
    }

    #[test]
    fn the_fewest_connections_for_the_weight_win(loaded in loaded()) {
        let (nodes, _held) = load(&loaded);
        let least = least(&nodes, least_conn::load);
        let chance = Chance::default();
        for _ in 0..CHOICES {
            let chosen = least_conn::choose(&nodes, &all(&nodes), &chance).unwrap();
            prop_assert!(least_conn::load(&nodes[chosen]) <= least);
        }
    }

    #[test]
    fn the_lowest_latency_with_the_load_wins(loaded in loaded()) {
        let (nodes, _held) = load(&loaded);
        let cost = |node: &Node| node.state.latency() * least_conn::load(node);
        let least = least(&nodes, cost);
        let chance = Chance::default();
        for _ in 0..CHOICES {
            let chosen = ewma::choose(&nodes, &all(&nodes), &chance).unwrap();
            prop_assert!(cost(&nodes[chosen]) <= least);
        }
    }

    #[test]
    fn of_two_never_the_one_that_is_busier_than_all_others(loaded in loaded()) {
        let (nodes, _held) = load(&loaded);
        let chance = Chance::default();
        for _ in 0..CHOICES {
            let chosen = p2c::choose(&nodes, &all(&nodes), &chance).unwrap();
            let own = least_conn::load(&nodes[chosen]);
            let others = nodes.iter().enumerate().filter(|(node, _)| *node != chosen);
            let mut others = others.map(|(_, node)| least_conn::load(node));
            prop_assert!(others.any(|other| own <= other));
        }
    }

    #[test]
    fn what_is_known_of_a_node_outlives_every_reload_that_has_it(
        snapshots in proptest::collection::vec(
            proptest::collection::btree_map(1..6_u16, (1..4_u32, -1..1_i32), 1..5), 2..5,
        ),
        types in proptest::collection::vec(
            prop::sample::select(vec!["roundrobin", "least_conn", "ewma", "p2c"]), 5,
        ),
    ) {
        let registry = Registry::default();
        let document = |nodes: &BTreeMap<u16, (u32, i32)>, balancer: &str| {
            let nodes: Vec<Value> = nodes
                .iter()
                .map(|(port, (weight, priority))| {
                    json!({"host": "127.0.0.1", "port": port, "weight": weight, "priority": priority})
                })
                .collect();
            let checks = json!({"active": {}, "passive": {}});
            json!({"nodes": nodes, "balancer": {"type": balancer}, "checks": checks})
        };
        let mut before = compile(&document(&snapshots[0], types[0]), None, Some(&registry));
        let mut held: Vec<_> = before.nodes.iter().map(|node| InFlight::new(&node.state)).collect();
        for (snapshot, balancer) in snapshots.iter().zip(&types).skip(1) {
            let after = compile(&document(snapshot, balancer), Some(&before), Some(&registry));
            prop_assert!(Arc::ptr_eq(&before.load, &after.load));
            for node in &after.nodes {
                let Some(own) = before.nodes.iter().find(|own| own.key == node.key) else {
                    prop_assert_eq!(node.state.in_flight(), 0);
                    held.push(InFlight::new(&node.state));
                    continue;
                };
                prop_assert!(Arc::ptr_eq(&own.state, &node.state));
                prop_assert_eq!(node.state.in_flight(), 1);
                prop_assert!(Arc::ptr_eq(own.check.as_ref().unwrap(), node.check.as_ref().unwrap()));
                prop_assert!(own.peer.shares_with(&node.peer), "the pool is the same");
            }
            before = after;
        }
    }
}

#[test]
fn one_of_some_equal_nodes_takes_its_share_of_the_keys_along() {
    for count in 2..=10 {
        let nodes = nodes(&vec![100; count]);
        let left: Vec<usize> = (1..count).collect();
        let keys = 20_000_u64;
        let moved = (0..keys).map(|key| key.wrapping_mul(0x9e37_79b9_7f4a_7c15)).filter(|key| {
            chash::choose(&nodes, &all(&nodes), *key) != chash::choose(&nodes, &left, *key)
        });
        let (moved, share) = (moved.count() as u64, keys / count as u64);
        assert!(moved.abs_diff(share) < share / 8, "{moved} of {keys} for one of {count}");
    }
}
