//! The limit of requests in flight.

use serde_json::{Value, json};

use crate::origin::Origin;
use crate::world::{World, ask_until, runtime};

fn upstream(origin: &Origin, limit: u32, weight: u32) -> Value {
    let mut node = origin.node();
    node["weight"] = json!(weight);
    json!({"nodes": [node], "max_in_flight": limit})
}

#[test]
fn no_more_requests_than_the_limit_are_in_flight() {
    let origin = Origin::start("one");
    let world = World::with_upstream(upstream(&origin, 2, 100));
    let mut held: Vec<_> = (0..2)
        .map(|_| {
            let mut client = world.client();
            client.send("GET /held HTTP/1.1\r\nHost: a.com\r\n\r\n");
            origin.arrived.recv().unwrap();
            client
        })
        .collect();
    let refused = |world: &World| {
        let answer = world.get("/");
        assert_eq!(answer.status, 503);
        assert_eq!(answer.json()["error"], "upstream_overloaded");
    };
    refused(&world);
    // A reload forgets none of those in flight.
    world.apply(&[("runtime/shop.json", Some(runtime(upstream(&origin, 2, 50))))]);
    refused(&world);
    world.apply(&[("runtime/shop.json", Some(runtime(upstream(&origin, 3, 50))))]);
    assert_eq!(world.get("/").status, 200, "there is room for one more");
    world.apply(&[("runtime/shop.json", Some(runtime(upstream(&origin, 2, 50))))]);
    origin.release.send(()).unwrap();
    ask_until(|| world.get("/"), |answer| answer.status == 200);
    origin.release.send(()).unwrap();
    for client in &mut held {
        assert_eq!(client.receive(false).unwrap().status, 200);
    }
    assert_eq!(world.get("/").status, 200);
}

#[test]
fn places_of_clients_that_leave_are_free_again() {
    let origin = Origin::start("one");
    let world = World::with_upstream(upstream(&origin, 1, 100));
    let mut client = world.client();
    client.send("GET /held HTTP/1.1\r\nHost: a.com\r\n\r\n");
    origin.arrived.recv().unwrap();
    drop(client);
    ask_until(|| world.get("/"), |answer| answer.status == 200);
    origin.release.send(()).unwrap();
}
