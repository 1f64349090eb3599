//! Health checks: who is taken out, who is used instead, and what reloads leave alone.

use serde_json::{Value, json};

use crate::client::Answer;
use crate::moody::Moody;
use crate::origin::{dead_address, node};
use crate::tls_origin::Tls;
use crate::world::{World, ask_until, runtime, service};

/// Checks that find things out at once.
fn checks() -> Value {
    json!({"active": {
        "http_path": "/health",
        "healthy": {"interval": 0.01, "successes": 2},
        "unhealthy": {"interval": 0.01, "http_failures": 2},
    }})
}

fn weighted(node: Value, weight: u32) -> Value {
    let mut node = node;
    node["weight"] = json!(weight);
    node
}

fn tier(node: Value, priority: i32) -> Value {
    let mut node = node;
    node["priority"] = json!(priority);
    node
}

/// What the status says about a node of the upstream.
fn told(status: &Answer, address: std::net::SocketAddr) -> Value {
    let status = status.json();
    let nodes = status["nodes"].as_array().unwrap();
    let found = nodes.iter().find(|node| node["node"] == address.to_string());
    found.cloned().unwrap_or_default()
}

/// Waits until the status says that the node is in health, or out.
fn wait(world: &World, address: std::net::SocketAddr, healthy: bool) -> Value {
    let status = ask_until(
        || world.status_of("/status"),
        |status| told(status, address)["healthy"] == healthy,
    );
    told(&status, address)
}

/// Which origins answer `count` requests.
fn origins(world: &World, count: usize) -> Vec<String> {
    let mut client = world.client();
    let mut origin =
        || client.ask("GET", "a.com", "/").json()["origin"].as_str().unwrap().to_owned();
    let mut origins: Vec<String> = (0..count).map(|_| origin()).collect();
    origins.sort_unstable();
    origins.dedup();
    origins
}

#[test]
fn nodes_that_fail_their_checks_get_no_requests_until_they_pass_them() {
    let (one, other) = (Moody::start("one"), Moody::start("other"));
    let world =
        World::with_upstream(json!({"nodes": [one.node(), other.node()], "checks": checks()}));
    assert_eq!(wait(&world, one.address, true)["upstream"], "default");
    assert_eq!(origins(&world, 6), ["one", "other"]);
    one.health(500);
    let out = wait(&world, one.address, false);
    assert_eq!(out["service"], "shop");
    assert_eq!(out["reason"], "2 checks failed, the last with status 500");
    assert!(out["since"].as_str().unwrap().ends_with('Z'));
    let before = one.worked();
    assert_eq!(origins(&world, 20), ["other"]);
    assert_eq!(one.worked(), before);
    let metrics = world.status_of("/metrics").body;
    let gauge = |address| {
        format!(
            "refgate_node_healthy{{group=\"test\",service=\"shop\",upstream=\"default\",node=\"{address}\"}}"
        )
    };
    assert!(metrics.contains(&format!("{} 0\n", gauge(one.address))), "{metrics}");
    assert!(metrics.contains(&format!("{} 1\n", gauge(other.address))), "{metrics}");
    one.health(200);
    wait(&world, one.address, true);
    assert_eq!(origins(&world, 6), ["one", "other"]);
}

#[test]
fn reloads_leave_health_alone() {
    let (one, other) = (Moody::start("one"), Moody::start("other"));
    let upstream = |weight: u32, checks: Value| {
        let nodes = json!([weighted(one.node(), weight), other.node()]);
        [("runtime/shop.json", Some(runtime(json!({"nodes": nodes, "checks": checks}))))]
    };
    let world =
        World::with_upstream(json!({"nodes": [one.node(), other.node()], "checks": checks()}));
    one.health(503);
    let out = wait(&world, one.address, false);
    let mut slower = checks();
    slower["active"]["unhealthy"]["interval"] = json!(3600);
    let unrelated =
        service("news", json!({"paths": ["/news"]}), runtime(json!({"nodes": [other.node()]})));
    for change in [
        upstream(50, checks()).to_vec(),
        unrelated,
        upstream(50, slower.clone()).to_vec(),
        upstream(20, slower).to_vec(),
    ] {
        world.apply(&change);
        assert_eq!(told(&world.status_of("/status"), one.address), out);
        assert_eq!(origins(&world, 6), ["other"]);
    }
    world.apply(&upstream(100, json!({})));
    assert_eq!(origins(&world, 6), ["one", "other"], "without checks nobody is out");
    assert_eq!(world.status_of("/status").json()["nodes"], json!([]));
}

#[test]
fn failing_requests_take_a_node_out() {
    let (one, other) = (Moody::start("one"), Moody::start("other"));
    let mut checks = checks();
    checks["active"]["healthy"]["interval"] = json!(3600);
    checks["active"]["unhealthy"]["interval"] = json!(3600);
    checks["passive"] = json!({"unhealthy": {"http_failures": 3, "http_statuses": [500]}});
    let world =
        World::with_upstream(json!({"nodes": [one.node(), other.node()], "checks": checks}));
    one.work(404);
    assert_eq!(origins(&world, 20), ["one", "other"], "that status says nothing");
    one.work(500);
    assert_eq!(origins(&world, 20), ["one", "other"]);
    assert_eq!(
        wait(&world, one.address, false)["reason"],
        "3 requests failed, the last with status 500"
    );
    let before = one.worked();
    assert_eq!(origins(&world, 20), ["other"]);
    assert_eq!(one.worked(), before);
}

#[test]
fn broken_connections_take_a_node_out() {
    let other = Moody::start("other");
    let dead = dead_address();
    let mut checks = checks();
    checks["active"]["healthy"]["interval"] = json!(3600);
    checks["active"]["unhealthy"]["interval"] = json!(0.01);
    checks["passive"] = json!({});
    let world =
        World::with_upstream(json!({"nodes": [node(dead), other.node()], "checks": checks}));
    assert_eq!(origins(&world, 10), ["other"], "tried again elsewhere");
    let reason = wait(&world, dead, false)["reason"].clone();
    assert_eq!(reason, "2 requests had no connection or lost it");
    // Somebody listens there now, and the checks find out.
    let one = Moody::start_on("one", std::net::TcpListener::bind(dead).unwrap());
    wait(&world, dead, true);
    assert_eq!(origins(&world, 6), ["one", "other"]);
    assert!(one.asked() >= 2);
}

#[test]
fn with_too_few_healthy_nodes_all_are_used() {
    let moody = [Moody::start("a"), Moody::start("b"), Moody::start("c")];
    let nodes: Vec<Value> = moody.iter().map(Moody::node).collect();
    let upstream = |threshold: u32| {
        let mut checks = checks();
        checks["panic_threshold"] = json!(threshold);
        json!({"nodes": nodes, "checks": checks})
    };
    let world = World::with_upstream(upstream(50));
    moody[0].health(500);
    wait(&world, moody[0].address, false);
    assert_eq!(origins(&world, 9), ["b", "c"], "two of three are enough");
    moody[1].health(500);
    wait(&world, moody[1].address, false);
    assert_eq!(origins(&world, 9), ["a", "b", "c"], "one of three is not");
    let apply =
        |threshold| world.apply(&[("runtime/shop.json", Some(runtime(upstream(threshold))))]);
    apply(33);
    assert_eq!(origins(&world, 9), ["c"]);
    moody[2].health(500);
    wait(&world, moody[2].address, false);
    assert_eq!(origins(&world, 9), ["a", "b", "c"]);
    apply(0);
    let answer = world.get("/");
    assert_eq!((answer.status, &answer.json()["error"]), (503, &json!("no_healthy_upstream")));
    moody[1].health(302);
    wait(&world, moody[1].address, true);
    assert_eq!(origins(&world, 9), ["b"]);
}

#[test]
fn lower_tiers_take_over_when_the_higher_are_out() {
    let (high, low) = (Moody::start("high"), Moody::start("low"));
    let second = Moody::start("second");
    let nodes = json!([tier(high.node(), 1), tier(second.node(), 1), low.node()]);
    let world = World::with_upstream(json!({"nodes": nodes, "checks": checks()}));
    assert_eq!(origins(&world, 6), ["high", "second"]);
    high.health(500);
    wait(&world, high.address, false);
    assert_eq!(origins(&world, 6), ["second"]);
    second.health(500);
    wait(&world, second.address, false);
    assert_eq!(origins(&world, 6), ["low"]);
    assert_eq!(low.worked(), 6);
    low.health(500);
    wait(&world, low.address, false);
    assert_eq!(origins(&world, 6), ["high", "second"], "when all are out, none is spared");
}

#[test]
fn connections_can_be_all_that_is_checked() {
    let other = Moody::start("other");
    let dead = dead_address();
    let mut checks = checks();
    checks["active"]["type"] = json!("tcp");
    let world =
        World::with_upstream(json!({"nodes": [node(dead), other.node()], "checks": checks}));
    assert_eq!(wait(&world, dead, false)["reason"], "2 checks had no connection or lost it");
    let one = Moody::start_on("one", std::net::TcpListener::bind(dead).unwrap());
    wait(&world, dead, true);
    assert_eq!(origins(&world, 6), ["one", "other"]);
    assert_eq!((one.asked(), other.asked()), (0, 0));
}

#[test]
fn checks_that_take_too_long_fail() {
    // It accepts and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let mut checks = checks();
    checks["active"]["timeout"] = json!(0.02);
    let world = World::with_upstream(json!({"nodes": [node(address)], "checks": checks}));
    assert_eq!(wait(&world, address, false)["reason"], "3 checks had no answer in time");
}

#[test]
fn another_port_can_be_checked() {
    let (node, keeper) = (Moody::start("node"), Moody::start("keeper"));
    node.health(500);
    let mut checks = checks();
    checks["active"]["port"] = json!(keeper.address.port());
    let world = World::with_upstream(json!({"nodes": [node.node()], "checks": checks}));
    ask_until(|| world.get("/"), |_| keeper.asked() > 3);
    assert_eq!(wait(&world, node.address, true)["node"], node.address.to_string());
    keeper.health(500);
    wait(&world, node.address, false);
    assert_eq!(node.asked(), 0);
}

#[test]
fn checks_over_tls_verify_the_node() {
    let tls = Tls::new();
    let address = tls.serve();
    let upstream = |own: Value, verify: bool| {
        let mut checks = checks();
        checks["active"]["https_verify_certificate"] = json!(verify);
        checks["active"]["host"] = json!("localhost");
        json!({"nodes": [node(address)], "scheme": "https", "tls": own, "checks": checks})
    };
    let world = World::with_upstream(upstream(json!({}), true));
    wait(&world, address, false);
    let apply = |upstream: Value| world.apply(&[("runtime/shop.json", Some(runtime(upstream)))]);
    apply(upstream(json!({}), false));
    wait(&world, address, true);
    apply(upstream(json!({}), true));
    wait(&world, address, false);
    apply(upstream(json!({"ca": tls.authority()}), true));
    wait(&world, address, true);
}
