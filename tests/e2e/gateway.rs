//! Gateways: what they make of requests, of commits that are no good, and of being stopped.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use refgate_tests::http::Client;
use refgate_tests::process::Process;
use refgate_tests::programs::program;
use refgate_tests::stage::{Stage, refgate};
use refgate_tests::wait::{DEADLINE, wait_for};
use serde_json::{Value, json};

/// A service of its own for each kind of answer.
fn services(stage: &Stage) -> anyhow::Result<()> {
    let origin = stage.origin.node();
    let closed = json!({"host": "127.0.0.1", "port": 1});
    let mut drained = origin.clone();
    drained["weight"] = json!(0);
    let upstream = |nodes: Value| json!({"default": {"nodes": nodes, "pass_host": "node"}});
    for (name, service) in [
        (
            "plain",
            json!({
                "routes": {
                    "all": {"paths": ["/anything/*"]},
                    "get": {"paths": ["/get"], "methods": ["GET"]},
                    "post": {"paths": ["/get"], "methods": ["POST"], "match": {"headers": [{"name": "x-post", "value": "1"}]}},
                },
                "runtime": {"hosts": ["plain.acme.com", "*.plain.acme.com"], "upstreams": upstream(json!([origin]))},
            }),
        ),
        (
            "stripped",
            json!({
                "routes": {"all": {"paths": ["/*"]}},
                "runtime": {"hosts": ["stripped.acme.com"], "path_prefix": "/api", "upstreams": upstream(json!([origin]))},
            }),
        ),
        (
            "closed",
            json!({
                "routes": {"all": {"paths": ["/*"]}},
                "runtime": {"hosts": ["closed.acme.com"], "upstreams": upstream(json!([closed]))},
            }),
        ),
        (
            "half",
            json!({
                "routes": {"all": {"paths": ["/*"]}},
                "runtime": {"hosts": ["half.acme.com"], "upstreams": upstream(json!([closed, origin]))},
            }),
        ),
        (
            "drained",
            json!({
                "routes": {"all": {"paths": ["/*"]}},
                "runtime": {"hosts": ["drained.acme.com"], "upstreams": upstream(json!([drained]))},
            }),
        ),
        (
            "slow",
            json!({
                "routes": {"all": {"paths": ["/*"], "timeout": {"connect": 1, "send": 1, "read": 0.3}}},
                "runtime": {"hosts": ["slow.acme.com"], "upstreams": upstream(json!([origin]))},
            }),
        ),
    ] {
        let path = format!("/v1/groups/test/services/{name}?wait=30");
        stage.api("PUT", &path, &service)?.expect(201)?;
    }
    Ok(())
}

#[test]
fn answers_of_the_gateway_itself() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    services(&stage)?;
    for (host, method, path, status, error) in [
        ("plain.acme.com", "GET", "/get", 200, ""),
        ("PLAIN.acme.com:8080", "GET", "/get", 200, ""),
        ("a.b.plain.acme.com", "GET", "/get", 200, ""),
        ("plain.acme.com", "GET", "/get/", 404, "route_not_found"),
        ("nobody.acme.com", "GET", "/get", 404, "route_not_found"),
        ("plain.acme.com", "DELETE", "/get", 405, "method_not_allowed"),
        ("plain.acme.com", "GET", "/anything/%zz", 400, "bad_request"),
        ("plain.acme.com", "GET", "/anything/../../x", 400, "bad_request"),
        ("plain.acme.com", "GET", "/anything/a%2Fb", 400, "bad_request"),
        ("plain.acme.com", "GET", "/x/../get", 200, ""),
        ("closed.acme.com", "GET", "/get", 502, "bad_gateway"),
        ("drained.acme.com", "GET", "/get", 503, "no_healthy_upstream"),
        ("slow.acme.com", "GET", "/delay/5", 504, "gateway_timeout"),
    ] {
        let gateway = stage.refgate.gateway("test", host);
        let answer = gateway.send(method, path, &[], "")?.expect(status)?;
        if error.is_empty() {
            continue;
        }
        let body = answer.body()?;
        assert_eq!(body["error"], error, "{host} {path}");
        for key in ["message", "request_id"] {
            assert!(body[key].as_str().is_some_and(|text| !text.is_empty()), "{key}: {body}");
        }
        if status == 405 {
            assert_eq!(answer.header("allow"), Some("GET"), "POST fails for its header as well");
        }
    }
    // A node that refuses connections costs nobody a request while another one answers.
    let gateway = stage.refgate.gateway("test", "half.acme.com");
    for _ in 0..20 {
        gateway.get("/get")?.expect(200)?;
    }
    Ok(())
}

#[test]
fn what_is_forwarded() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    services(&stage)?;
    let gateway = stage.refgate.gateway("test", "plain.acme.com");
    let sent = [
        ("content-type", "application/json"),
        ("x-forwarded-for", "203.0.113.7"),
        ("connection", "x-hop"),
        ("x-hop", "for this hop only"),
        ("x-end", "to the end"),
    ];
    let body = json!({"name": "é", "long": "x".repeat(200_000)});
    let answer = gateway.send("PUT", "/anything//a/./b%7E?q=1&q=2", &sent, &body.to_string())?;
    let echo = answer.expect(200)?.body()?;
    assert_eq!(echo["method"], "PUT");
    assert_eq!(echo["json"], body);
    assert_eq!(echo["args"], json!({"q": ["1", "2"]}));
    // What was matched is what is forwarded.
    let url = echo["url"].as_str().unwrap_or_default();
    assert!(url.ends_with("/anything/a/b~?q=1&q=2"), "{url}");
    let headers = &echo["headers"];
    assert_eq!(headers["X-End"], "to the end");
    assert_eq!(headers["X-Hop"], Value::Null);
    assert_eq!(headers["X-Forwarded-Proto"], "http");
    assert_eq!(headers["X-Forwarded-Host"], "plain.acme.com");
    assert_eq!(headers["Host"], format!("127.0.0.1:{}", stage.origin.port));
    let forwarded = headers["X-Forwarded-For"].as_str().unwrap_or_default();
    assert!(forwarded.ends_with("127.0.0.1"), "{forwarded}");

    let gateway = stage.refgate.gateway("test", "stripped.acme.com");
    let echo = gateway.get("/api/anything/x")?.expect(200)?.body()?;
    let url = echo["url"].as_str().unwrap_or_default();
    assert!(url.ends_with("/anything/x") && !url.contains("/api/"), "{url}");
    gateway.get("/anything/x")?.expect(404)?;
    gateway.send("HEAD", "/api/get", &[], "")?.expect(200)?;
    for status in [204, 304, 404, 418, 500, 503] {
        gateway.get(&format!("/api/status/{status}"))?.expect(status)?;
    }
    Ok(())
}

#[test]
fn a_commit_that_is_no_good_harms_only_its_service() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    services(&stage)?;
    let plain = stage.refgate.gateway("test", "plain.acme.com");
    stage.git().commit(
        "test",
        &[
            ("services/httpbin/routes/get-headers.json", "{\"paths\": [\"/a/*/b\"]}\n"),
            ("services/plain/routes/new.json", "{\n  \"paths\": [\"/status/*\"]\n}\n"),
        ],
    )?;
    // The rest of the commit is served; the service at fault keeps its last good form.
    wait_for("the sound part of the commit", || plain.get("/status/418")?.expect(418))?;
    stage.serves("test", "/headers", 200)?;
    wait_for("the instance to say so", || {
        let group = stage.read("/v1/groups/test")?;
        anyhow::ensure!(group["instances"] == json!({"healthy": 0, "total": 1}), "{group}");
        Ok(())
    })?;

    // A tree that is no good at all changes nothing.
    stage.git().commit("test", &[("group.json", "{\"promotion\": 7}\n")])?;
    stage.git().commit("test", &[("services/plain/routes/new.json", "{}")])?;
    plain.get("/status/418")?.expect(418)?;
    plain.get("/get")?.expect(200)?;
    stage.serves("test", "/headers", 200)?;
    stage.git().fsck()
}

#[test]
fn a_gateway_alone_follows_the_repository() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    let alone: [fn() -> anyhow::Result<Command>; 2] = [
        || Ok(Command::new(program("refgate-gateway")?)),
        || {
            let mut command = refgate()?;
            command.arg("gateway");
            Ok(command)
        },
    ];
    for (n, command) in alone.into_iter().enumerate() {
        let process = Process::start(
            "gateway",
            command()?
                .args(["--group", "test", "--listen", "127.0.0.1:0"])
                .args(["--status-listen", "127.0.0.1:0"])
                .arg("--source")
                .arg(stage.data().join("config.git")),
        )?;
        let address = process.line("refgate: gateway test ")?;
        let status = Client::new(&process.line("refgate: status ")?);
        let gateway = Client::new(&address).with("host", "test.acme.com");
        wait_for("the gateway to be ready", || status.get("/readyz")?.expect(200))?;
        gateway.get("/headers")?.expect(200)?;

        let route = json!({"paths": [format!("/anything/{n}")]});
        let path = format!("/v1/groups/test/services/httpbin/routes/r{n}");
        stage.api("PUT", &path, &route)?.expect(201)?;
        wait_for("the new route", || gateway.get(&format!("/anything/{n}"))?.expect(200))?;
        process.terminate()?;
        let ended = process.end()?;
        assert_eq!(ended.code(), 0, "{ended:?}");
    }
    Ok(())
}

#[test]
fn a_request_in_flight_survives_the_stop() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    let route = json!({"paths": ["/drip"]});
    stage
        .api("PUT", "/v1/groups/test/services/httpbin/routes/drip?wait=30", &route)?
        .expect(201)?;
    let address = stage.refgate.gateway_address("test").replace("http://", "");
    let mut client = TcpStream::connect(&address)?;
    client.set_read_timeout(Some(DEADLINE))?;
    client.write_all(
        b"GET /drip?duration=2&numbytes=20 HTTP/1.1\r\nHost: test.acme.com\r\nConnection: close\r\n\r\n",
    )?;
    let mut client = BufReader::new(client);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        anyhow::ensure!(client.read_line(&mut head)? > 0, "closed after: {head}");
    }
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");

    // The answer has begun; now Refgate is asked to end.
    let Stage { origin, refgate, .. } = stage;
    let stopping = std::thread::spawn(move || refgate.stop());
    let mut body = String::new();
    client.read_to_string(&mut body)?;
    assert_eq!(body.matches('*').count(), 20, "{body}");
    match stopping.join() {
        Ok(ended) => assert_eq!(ended?.code(), 0),
        Err(_) => anyhow::bail!("the stop panicked"),
    }
    drop(origin);
    Ok(())
}
