//! Connections to nodes: how many stay open, how many requests one carries.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Client;
use crate::origin::Origin;
use crate::world::{World, runtime, service};

#[test]
fn connections_carry_as_many_requests_as_they_may() {
    let origin = Origin::start("one");
    let upstream =
        |requests: u32| json!({"nodes": [origin.node()], "keepalive": {"requests": requests}});
    let world = World::with_upstream(upstream(2));
    let mut client = world.client();
    let mut connections = |count: usize| -> Vec<Value> {
        (0..count).map(|_| client.ask("GET", "a.com", "/").json()["connection"].clone()).collect()
    };
    assert_eq!(connections(6), [0, 0, 1, 1, 2, 2]);
    world.apply(&[("runtime/shop.json", Some(runtime(upstream(0))))]);
    let all = connections(20);
    assert!(all.iter().all(|connection| *connection == all[0]), "{all:?}");
    world.apply(&[("runtime/shop.json", Some(runtime(upstream(1))))]);
    let mut all = connections(4);
    all.dedup();
    assert_eq!(all.len(), 4);
}

/// The connections that so many requests at once go over.
fn at_once(world: &World, origin: &Origin, count: usize) -> Vec<u64> {
    let mut clients: Vec<Client> = (0..count)
        .map(|_| {
            let mut client = world.client();
            client.send("GET /held HTTP/1.1\r\nHost: a.com\r\n\r\n");
            origin.arrived.recv().unwrap();
            client
        })
        .collect();
    for _ in 0..count {
        origin.release.send(()).unwrap();
    }
    let answers = clients.iter_mut().map(|client| client.receive(false).unwrap().json());
    let mut connections: Vec<u64> =
        answers.map(|answer| answer["connection"].as_u64().unwrap()).collect();
    connections.sort_unstable();
    connections
}

fn wait_until_open(origin: &Origin, count: usize) {
    let end = Instant::now() + Duration::from_secs(30);
    while origin.open() != count {
        assert!(Instant::now() < end, "still {} open", origin.open());
        std::thread::yield_now();
    }
}

#[test]
fn as_many_connections_stay_open_as_may() {
    let origin = Origin::start("one");
    let keepalive = json!({"size": 2});
    let world = World::with_upstream(json!({"nodes": [origin.node()], "keepalive": keepalive}));
    assert_eq!(at_once(&world, &origin, 4), [0, 1, 2, 3]);
    wait_until_open(&origin, 2);
    assert_eq!(at_once(&world, &origin, 2), [0, 1]);
    assert_eq!(at_once(&world, &origin, 3), [0, 1, 4]);
    wait_until_open(&origin, 2);
}

#[test]
fn upstreams_share_connections_when_node_and_settings_are_the_same() {
    let origin = Origin::start("one");
    let named = json!({"host": "localhost", "port": origin.address.port()});
    let upstreams = [
        ("a", json!({"nodes": [origin.node()]})),
        ("b", json!({"nodes": [origin.node()], "keepalive": {"requests": 3}})),
        ("shorter", json!({"nodes": [origin.node()], "keepalive": {"idle_timeout": 30}})),
        ("none", json!({"nodes": [origin.node()], "keepalive": {"size": 0}})),
        ("named", json!({"nodes": [named]})),
    ];
    let service_of = |(name, upstream): &(&str, Value)| {
        service(name, json!({"paths": [format!("/{name}")]}), runtime(upstream.clone()))
    };
    let world = World::new(&upstreams.iter().flat_map(service_of).collect::<Vec<_>>());
    let mut client = world.client();
    let mut over = |path: &str| client.ask("GET", "a.com", path).json()["connection"].clone();
    let first = over("/a");
    assert_eq!(over("/b"), first);
    assert_ne!(over("/shorter"), first, "its connections may rest for less long");
    assert_ne!(over("/none"), first, "it has a connection for each request");
    assert_ne!(over("/named"), first, "another name of the same address");
    assert_eq!(over("/b"), first, "the third request: asked to close");
    assert_ne!(over("/a"), first);
}
