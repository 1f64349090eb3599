//! Tries: which failures make another one, and where it goes.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http2::{Connection, run};
use crate::origin::{Origin, dead_address, node};
use crate::repository::Config;
use crate::world::{World, runtime, service};

fn tier(node: Value, priority: i32) -> Value {
    let mut node = node;
    node["priority"] = json!(priority);
    node
}

#[test]
fn dead_nodes_are_passed_over_for_every_method() {
    let origin = Origin::start("one");
    let nodes = json!([node(dead_address()), origin.node()]);
    let world = World::with_upstream(json!({ "nodes": nodes }));
    let mut client = world.client();
    for _ in 0..4 {
        assert_eq!(client.ask("GET", "a.com", "/").status, 200);
        let answer = client.ask_with("POST", "a.com", "/", &[], "the body");
        assert_eq!(answer.json()["body"], "the body");
    }
    let counted = "refgate_retries_total{group=\"test\"} 4";
    crate::world::ask_until(|| world.status_of("/metrics"), |answer| answer.body.contains(counted));
}

#[test]
fn no_retries_means_none() {
    let origin = Origin::start("one");
    let nodes = json!([tier(node(dead_address()), 1), origin.node()]);
    let world = World::with_upstream(json!({"nodes": nodes, "retries": 0}));
    assert_eq!(world.get("/").status, 502);
    assert_eq!(origin.seen(), 0);
}

#[test]
fn lower_tiers_wait_for_the_higher_to_fail() {
    let (high, low) = (Origin::start("high"), Origin::start("low"));
    let nodes = json!([tier(low.node(), -1), tier(high.node(), 1)]);
    let world = World::with_upstream(json!({"nodes": nodes, "retry_on": ["503"]}));
    let mut client = world.client();
    for _ in 0..4 {
        assert_eq!(client.ask("GET", "a.com", "/").json()["origin"], "high");
    }
    assert_eq!(low.seen(), 0);
    let answer = client.ask("GET", "a.com", "/status/503");
    assert_eq!((answer.status, &answer.json()["origin"]), (503, &json!("low")));
    let answer = client.ask_with("POST", "a.com", "/status/503", &[], "x");
    assert_eq!(answer.json()["origin"], "high", "it may have been processed");
}

#[test]
fn answers_and_failures_that_make_another_try() {
    let (first, second) = (Origin::start("first"), Origin::start("second"));
    let nodes = json!([tier(first.node(), 1), second.node()]);
    let world = World::with_upstream(json!({
        "nodes": nodes, "retry_on": ["timeout", "reset"], "timeout": {"read": 0.1},
    }));
    for path in ["/never", "/reset"] {
        let before = (first.seen(), second.seen());
        let answer = world.get(path);
        assert!(matches!(answer.status, 502 | 504), "{answer:?}");
        assert_eq!((first.seen(), second.seen()), (before.0 + 1, before.1 + 1), "{path}");
        let answer = world.client().ask_with("POST", "a.com", path, &[], "x");
        assert!(matches!(answer.status, 502 | 504), "{answer:?}");
        assert_eq!((first.seen(), second.seen()), (before.0 + 2, before.1 + 1), "{path}");
    }
}

#[test]
fn bodies_are_sent_again_whole() {
    let (first, second) = (Origin::start("first"), Origin::start("second"));
    let nodes = json!([tier(first.node(), 1), second.node()]);
    let world = World::with_upstream(json!({"nodes": nodes, "retry_on": ["5xx"]}));
    let body = "x".repeat(20_000);
    let answer = world.client().ask_with("PUT", "a.com", "/status/500", &[], &body);
    assert_eq!(answer.json()["origin"], "second");
    assert_eq!(answer.json()["body"], body);
    let too_large_to_keep = "x".repeat(200_000);
    let answer = world.client().ask_with("PUT", "a.com", "/status/500", &[], &too_large_to_keep);
    assert_eq!(answer.json()["origin"], "first");
}

#[test]
fn a_running_try_is_cut_when_the_time_for_all_is_over() {
    let (first, second) = (Origin::start("first"), Origin::start("second"));
    let nodes = json!([tier(first.node(), 1), second.node()]);
    let world = World::with_upstream(json!({
        "nodes": nodes, "retry_on": ["timeout"], "retry_timeout": 0.3, "timeout": {"read": 20},
    }));
    // It never stops sending its header, so that no time between two reads would end it.
    for path in ["/trickle", "/never"] {
        let began = Instant::now();
        assert_eq!(world.get(path).status, 504, "{path}");
        assert!(began.elapsed() < Duration::from_secs(10));
        assert!(began.elapsed() >= Duration::from_millis(290));
    }
    assert_eq!((first.seen(), second.seen()), (2, 0), "no try starts after it");
    assert_eq!(world.get("/").status, 200);
}

#[test]
fn an_answer_that_has_begun_may_take_longer_than_the_time_for_all_tries() {
    let origin = Origin::start("only");
    let world = World::with_upstream(json!({
        "nodes": [origin.node()], "retry_timeout": 0.3, "timeout": {"read": 20},
    }));
    let answer = world.get("/paused");
    assert_eq!((answer.status, answer.body.as_str()), (200, "1234"));
}

#[test]
fn a_running_try_of_http2_is_cut_as_well() {
    let (first, second) = (Origin::start("first"), Origin::start("second"));
    let nodes = json!([tier(first.node(), 1), second.node()]);
    let upstream = runtime(json!({
        "nodes": nodes, "retry_on": ["timeout"], "retry_timeout": 0.3, "timeout": {"read": 20},
    }));
    let config = Config::new();
    config.commit("test", &service("shop", json!({"paths": ["/*"]}), upstream));
    let world = World::over_with(config, |options| options.h2c = true);
    run(async {
        let connection = Connection::plain(world.gateway.address()).await;
        for path in ["/trickle", "/never"] {
            let began = Instant::now();
            let url = format!("http://a.com{path}");
            let (status, told) = connection.ask("GET", &url, &[]).await;
            assert_eq!((status, &told["error"]), (504, &json!("gateway_timeout")), "{path}");
            assert!(began.elapsed() < Duration::from_secs(10));
            assert!(began.elapsed() >= Duration::from_millis(290));
        }
        // A client that goes on sending does not keep the try alive.
        let (mut sender, answer) = connection.begin("PUT", "http://a.com/").await;
        let trickle = tokio::task::spawn_blocking(move || {
            while sender.send_data("x".into(), false).is_ok() {
                std::thread::park_timeout(Duration::from_millis(20));
            }
        });
        let (status, told) = crate::http2::read(answer.await.unwrap()).await;
        assert_eq!((status, &told["error"]), (504, &json!("gateway_timeout")));
        trickle.await.unwrap();
        assert_eq!(second.seen(), 0, "no try starts after it");
        assert_eq!(connection.ask("GET", "http://a.com/", &[]).await.0, 200, "others go on");
    });
}

#[test]
fn connections_that_nodes_closed_in_silence_cost_nothing() {
    let origin = Origin::start("one");
    let world = World::with_origin(&origin);
    let mut client = world.client();
    let first = client.ask("GET", "a.com", "/last").json();
    let second = client.ask("GET", "a.com", "/").json();
    assert_ne!(first["connection"], second["connection"]);
    let third = client.ask("GET", "a.com", "/").json();
    assert!(third["connection"].is_number());
}

#[test]
fn every_address_of_a_name_is_tried() {
    // A node that listens on one of the addresses of `localhost` only.
    let origin = Origin::start("one");
    let node = json!({"host": "localhost", "port": origin.address.port()});
    let world = World::with_upstream(json!({"nodes": [node]}));
    for _ in 0..6 {
        assert_eq!(world.get("/").status, 200);
    }
}

#[test]
fn clients_that_leave_take_their_request_along() {
    let origin = Origin::start("one");
    let world = World::with_origin(&origin);
    let mut client = world.client();
    client.send("GET /held HTTP/1.1\r\nHost: a.com\r\n\r\n");
    origin.arrived.recv().unwrap();
    drop(client);
    let metrics = || world.status_of("/metrics");
    crate::world::ask_until(metrics, |answer| answer.body.contains("status=\"none\"} 1"));
    origin.release.send(()).unwrap();
    assert_eq!(world.get("/").status, 200);
}
