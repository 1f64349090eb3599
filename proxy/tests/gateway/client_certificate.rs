//! Nodes that ask the gateway for a certificate.

use serde_json::{Value, json};

use crate::origin::node;
use crate::tls_origin::Tls;
use crate::world::{World, ask_until, runtime, service};

const CERTIFICATE: &str = "certificates/gateway.json";

#[test]
fn nodes_are_shown_the_certificate_that_the_upstream_names() {
    let tls = Tls::new();
    let address = tls.serve_known();
    let upstream = |weight: u32, shown: &str, checks: Value| {
        let mut node = node(address);
        node["weight"] = json!(weight);
        let tls = json!({"ca": tls.authority(), "client_certificate": shown});
        json!({"nodes": [node], "scheme": "https", "tls": tls, "checks": checks})
    };
    let runtime_file = |upstream| ("runtime/shop.json", Some(runtime(upstream)));
    let (first, _first_key) = tls.client("first");
    let mut files =
        service("shop", json!({"paths": ["/*"]}), runtime(upstream(100, "gateway", json!({}))));
    files.push((CERTIFICATE, Some(first)));
    let world = World::new(&files);
    assert_eq!(world.get("/").body, "first 0");
    assert_eq!(world.get("/").body, "first 0");
    let healthy = world.apply(&[runtime_file(upstream(50, "gateway", json!({})))]);
    assert!(healthy.diagnostics.is_empty(), "{healthy:?}");
    assert_eq!(world.get("/").body, "first 0", "connections outlive reloads");

    let (second, _second_key) = tls.client("second");
    world.apply(&[(CERTIFICATE, Some(second))]);
    let answer = world.get("/").body;
    assert!(answer.starts_with("second "), "{answer}");

    world.apply(&[runtime_file(upstream(50, "", json!({})))]);
    assert_eq!(world.get("/").status, 502, "without one nobody is let in, on no connection");

    let checks = json!({"active": {"type": "https", "healthy": {"interval": 0.01, "successes": 1},
        "unhealthy": {"interval": 0.01, "tcp_failures": 1}}, "panic_threshold": 0});
    let health = |world: &World, healthy: bool| {
        ask_until(
            || world.status_of("/status"),
            |status| status.json()["nodes"][0]["healthy"] == healthy,
        );
    };
    world.apply(&[runtime_file(upstream(50, "", checks.clone()))]);
    health(&world, false);
    world.apply(&[runtime_file(upstream(50, "gateway", checks))]);
    health(&world, true);
    assert_eq!(world.get("/").status, 200);

    // Taken away while it is in use: the service keeps its last good form.
    let status = world.apply(&[(CERTIFICATE, None)]);
    let told: Vec<_> = status.diagnostics.iter().map(|finding| finding.code.as_str()).collect();
    assert_eq!(told, ["unknown_certificate"]);
    assert_eq!(world.get("/").status, 200);
}
