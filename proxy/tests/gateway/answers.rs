//! What the gateway answers itself, and what it takes from nodes.

use serde_json::json;

use crate::client::Answer;
use crate::origin::{Origin, dead_address, node};
use crate::world::{World, runtime, service};

fn assert_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("server"), None, "{answer:?}");
    let json = answer.json();
    assert_eq!(json["error"], code);
    assert_eq!(json["request_id"], answer.header("x-request-id").unwrap());
    assert!(json["message"].is_string());
}

#[test]
fn requests_are_served_or_refused() {
    let origin = Origin::start("one");
    let mut files = service(
        "shop",
        json!({"paths": ["/cart"], "methods": ["GET", "POST"]}),
        runtime(json!({"nodes": [origin.node()]})),
    );
    files[2].1.as_mut().unwrap()["hosts"] = json!(["shop.test"]);
    let world = World::new(&files);
    let mut client = world.client();

    let answer = client.ask("GET", "Shop.Test:9080", "/cart?a=1");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["target"], "/cart?a=1");

    assert_refused(&client.ask("GET", "shop.test", "/"), 404, "route_not_found");
    assert_refused(&client.ask("GET", "other.test", "/cart"), 404, "route_not_found");
    let answer = client.ask("DELETE", "shop.test", "/cart");
    assert_refused(&answer, 405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("GET, POST"));
    for target in ["/..", "/%2f", "/a%5cb", "/%zz"] {
        assert_refused(&client.ask("GET", "shop.test", target), 400, "bad_request");
    }
    let answer = client.ask("HEAD", "shop.test", "/");
    assert_eq!((answer.status, answer.body.as_str()), (404, ""));
    assert!(answer.header("content-length").is_some_and(|length| length != "0"));
    assert_eq!(client.ask("GET", "shop.test", "/cart").status, 200, "all of it on one connection");
}

#[test]
fn requests_that_cannot_be_read_are_refused_in_our_words() {
    let origin = Origin::start("one");
    let world = World::with_origin(&origin);
    for text in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nbroken header\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        let mut client = world.client();
        client.send(text);
        let answer = client.receive(false).unwrap_or_else(|| panic!("no answer to {text:?}"));
        assert_refused(&answer, 400, "bad_request");
    }
    let mut client = world.client();
    client.send("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n");
    assert_refused(&client.receive(false).unwrap(), 405, "method_not_allowed");
    assert_eq!(origin.seen(), 0);
}

#[test]
fn bodies_go_both_ways() {
    let origin = Origin::start("one");
    let world = World::with_origin(&origin);
    let mut client = world.client();
    let body = "x".repeat(300_000);
    let answer = client.ask_with("POST", "a.com", "/", &[], &body);
    assert_eq!(answer.json()["body"], body);
    client.send("PUT / HTTP/1.1\r\nHost: a.com\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    assert_eq!(client.receive(false).unwrap().json()["body"], "hello");
    assert_eq!(client.ask("HEAD", "a.com", "/").body, "");
    assert_eq!(client.ask("GET", "a.com", "/").status, 200);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::start("one");
    let world = World::with_origin(&origin);
    let mut client = world.client();
    let request = |path| format!("GET {path} HTTP/1.1\r\nHost: a.com\r\n\r\n");
    client.send(&[request("/1"), request("/../"), request("/2")].concat());
    assert_eq!(client.receive(false).unwrap().json()["target"], "/1");
    assert_refused(&client.receive(false).unwrap(), 400, "bad_request");
    assert_eq!(client.receive(false).unwrap().json()["target"], "/2");
}

#[test]
fn nodes_that_are_not_there() {
    let world = World::with_upstream(json!({"nodes": [node(dead_address())]}));
    assert_refused(&world.get("/"), 502, "bad_gateway");
    let mut drained = node(dead_address());
    drained["weight"] = json!(0);
    world.apply(&[("runtime/shop.json", Some(runtime(json!({"nodes": [drained]}))))]);
    assert_refused(&world.get("/"), 503, "no_healthy_upstream");
    let unknown = json!({"nodes": [{"host": "refgate.invalid", "port": 80}]});
    world.apply(&[("runtime/shop.json", Some(runtime(unknown)))]);
    assert_refused(&world.get("/"), 502, "bad_gateway");
}

#[test]
fn nodes_that_do_not_answer() {
    let origin = Origin::start("one");
    let world = World::with_upstream(json!({"nodes": [origin.node()], "timeout": {"read": 0.1}}));
    assert_refused(&world.get("/never"), 504, "gateway_timeout");
    assert_refused(&world.get("/reset"), 502, "bad_gateway");
    assert_eq!(world.get("/").status, 200);
}

#[test]
fn the_routes_times_override_the_upstreams() {
    let origin = Origin::start("one");
    let world = World::new(&service(
        "shop",
        json!({"paths": ["/*"], "timeout": {"read": 0.1}}),
        runtime(json!({"nodes": [origin.node()]})),
    ));
    assert_refused(&world.get("/never"), 504, "gateway_timeout");
}
