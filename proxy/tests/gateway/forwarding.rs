//! What nodes are told about a request, and what clients are told of the answer.

use serde_json::json;

use crate::origin::Origin;
use crate::world::{World, runtime, service};

#[test]
fn nodes_learn_who_asked_for_what() {
    let origin = Origin::start("one");
    let world = World::with_origin(&origin);
    let port = world.gateway.address().port().to_string();
    let mut client = world.client();
    let sent = ["X-Forwarded-For: 1.1.1.1", "X-Forwarded-Proto: https", "Forwarded: for=1.1.1.1"];
    let answer = client.ask_with("GET", "Shop.test:8443", "/", &sent, "");
    let headers = &answer.json()["headers"];
    assert_eq!(headers["host"], "Shop.test:8443");
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers["x-forwarded-host"], "Shop.test:8443");
    assert_eq!(headers["x-forwarded-port"], port.as_str());
    assert!(headers["forwarded"].is_null());
    assert_eq!(headers["x-request-id"], answer.header("x-request-id").unwrap());

    world.apply(&[("group.json", Some(json!({"http": {"trusted_proxies": ["127.0.0.0/8"]}})))]);
    let answer = client.ask_with("GET", "a.com", "/", &sent, "");
    let headers = &answer.json()["headers"];
    assert_eq!(headers["x-forwarded-for"], "1.1.1.1, 127.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], "https");
    assert_eq!(headers["forwarded"], "for=1.1.1.1");
}

#[test]
fn ids_of_requests_are_kept_when_they_are_sane() {
    let origin = Origin::start("one");
    let world = World::with_origin(&origin);
    let mut client = world.client();
    let answer = client.ask_with("GET", "a.com", "/", &["X-Request-Id: abc-1"], "");
    assert_eq!(answer.header("x-request-id"), Some("abc-1"));
    assert_eq!(answer.json()["headers"]["x-request-id"], "abc-1");
    let answer = client.ask_with("GET", "a.com", "/", &["X-Request-Id: a\"b"], "");
    assert_ne!(answer.header("x-request-id"), Some("a\"b"));
}

#[test]
fn fields_of_one_connection_go_no_further() {
    let origin = Origin::start("one");
    let world = World::with_origin(&origin);
    let mut client = world.client();
    let sent = [
        "Connection: X-Hop, keep-alive",
        "X-Hop: 1",
        "Keep-Alive: 5",
        "TE: trailers",
        "Proxy-Authorization: x",
        "Upgrade: h2c",
        "X-End: 1",
    ];
    let answer = client.ask_with("GET", "a.com", "/hop", &sent, "");
    let json = answer.json();
    let headers = json["headers"].as_object().unwrap();
    for name in ["x-hop", "keep-alive", "te", "proxy-authorization", "upgrade"] {
        assert!(!headers.contains_key(name), "{name}: {headers:?}");
    }
    assert_eq!(headers["x-end"], "1");
    assert_eq!(answer.header("x-hop"), None);
    assert_eq!(answer.header("keep-alive"), None);
    assert_eq!(answer.header("connection"), Some("keep-alive"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[test]
fn what_is_matched_is_forwarded() {
    let origin = Origin::start("one");
    let world = World::with_origin(&origin);
    let mut client = world.client();
    for (target, forwarded) in [
        ("/a//b/../c?x=1&y=%2F", "/a/c?x=1&y=%2F"),
        ("/%61%c3%a9", "/a%C3%A9"),
        ("http://a.com/x?q", "/x?q"),
        ("/plain?", "/plain?"),
    ] {
        let json = client.ask("GET", "a.com", target).json();
        assert_eq!(json["target"], forwarded);
        assert_eq!(json["headers"]["host"], "a.com");
    }
    let mut prefixed = runtime(json!({"nodes": [origin.node()]}));
    prefixed["path_prefix"] = json!("/api");
    world.apply(&[("runtime/shop.json", Some(prefixed))]);
    assert_eq!(client.ask("GET", "a.com", "/api/x//y?q").json()["target"], "/x/y?q");
    assert_eq!(client.ask("GET", "a.com", "/x").status, 404);
}

#[test]
fn hosts_that_nodes_are_told() {
    let origin = Origin::start("one");
    let world = World::with_origin(&origin);
    let mut client = world.client();
    let told = |client: &mut crate::client::Client| {
        client.ask("GET", "a.com", "/").json()["headers"]["host"].as_str().unwrap().to_owned()
    };
    assert_eq!(told(&mut client), "a.com");
    let upstream = json!({"nodes": [origin.node()], "pass_host": "node"});
    world.apply(&[("runtime/shop.json", Some(runtime(upstream)))]);
    assert_eq!(told(&mut client), origin.address.to_string());
    let upstream =
        json!({"nodes": [origin.node()], "pass_host": "rewrite", "upstream_host": "b.com"});
    world.apply(&[("runtime/shop.json", Some(runtime(upstream)))]);
    assert_eq!(told(&mut client), "b.com");
    assert_eq!(client.ask("GET", "a.com", "/").json()["headers"]["x-forwarded-host"], "a.com");
}

#[test]
fn old_clients_need_no_host() {
    let origin = Origin::start("one");
    let world = World::with_origin(&origin);
    let mut client = world.client();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let answer = client.receive(false).unwrap();
    assert_eq!(answer.json()["headers"]["host"], origin.address.to_string());
    assert!(client.is_closed());
}

#[test]
fn weights_share_requests_out() {
    let (one, other) = (Origin::start("one"), Origin::start("other"));
    let mut heavy = one.node();
    heavy["weight"] = json!(300);
    let world = World::with_upstream(json!({"nodes": [heavy, other.node()]}));
    let mut client = world.client();
    for _ in 0..40 {
        assert_eq!(client.ask("GET", "a.com", "/").status, 200);
    }
    assert_eq!((one.seen(), other.seen()), (30, 10));
}

#[test]
fn consistent_hashes_stick() {
    let (one, other) = (Origin::start("one"), Origin::start("other"));
    let balancer = json!({"type": "chash", "hash_on": "header", "key": "x-user"});
    let nodes = json!([one.node(), other.node()]);
    let world = World::with_upstream(json!({"nodes": nodes, "balancer": balancer}));
    let mut client = world.client();
    let mut seen = std::collections::BTreeSet::new();
    for user in 0..30 {
        let header = format!("X-User: {user}");
        let mut ask = || {
            let answer = client.ask_with("GET", "a.com", "/", &[&header], "");
            answer.json()["origin"].as_str().unwrap().to_owned()
        };
        let first = ask();
        assert_eq!(first, ask());
        seen.insert(first);
    }
    assert_eq!(seen.len(), 2);
}

#[test]
fn a_request_of_no_consumer_is_hashed_by_its_client() {
    let (one, other) = (Origin::start("one"), Origin::start("other"));
    let balancer = json!({"type": "chash", "hash_on": "consumer"});
    let nodes = json!([one.node(), other.node()]);
    let world = World::with_upstream(json!({"nodes": nodes, "balancer": balancer}));
    let mut client = world.client();
    for _ in 0..10 {
        assert_eq!(client.ask("GET", "a.com", "/").status, 200);
    }
    let seen = [one.seen(), other.seen()];
    assert!(seen == [10, 0] || seen == [0, 10], "{seen:?}");
}

#[test]
fn services_are_told_apart_by_host() {
    let (one, other) = (Origin::start("one"), Origin::start("other"));
    let mut files = Vec::new();
    for (name, origin) in [("one", &one), ("other", &other)] {
        let mut runtime = runtime(json!({"nodes": [origin.node()]}));
        runtime["hosts"] = json!([format!("{name}.test")]);
        files.extend(service(name, json!({"paths": ["/*"]}), runtime));
    }
    let world = World::new(&files);
    let mut client = world.client();
    assert_eq!(client.ask("GET", "one.test", "/").json()["origin"], "one");
    assert_eq!(client.ask("GET", "other.test", "/").json()["origin"], "other");
}
