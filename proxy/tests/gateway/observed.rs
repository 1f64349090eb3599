//! What a gateway tells about the requests that it served: access log and metrics.

use std::sync::Arc;

use refgate_proxy::{AccessLog, LogTarget};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http2::{Connection, run};
use crate::origin::{Origin, dead_address, node};
use crate::repository::Config;
use crate::world::{World, ask_until, runtime, service};

#[test]
fn requests_are_told_in_lines_of_json() {
    let origin = Origin::start("one");
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("access.log");
    let config = Config::new();
    let upstream = runtime(json!({"nodes": [origin.node()]}));
    let mut files = service("shop", json!({"paths": ["/*"], "methods": ["GET", "POST"]}), upstream);
    let dead = runtime(json!({"nodes": [node(dead_address())]}));
    files.extend(service("dead", json!({"paths": ["/dead"]}), dead));
    let commit = config.commit("test", &files);
    let world = World::over_with(config, |options| {
        options.h2c = true;
        let log = AccessLog::open(LogTarget::File(path.clone())).unwrap();
        options.access_log = Some(Arc::new(log));
    });
    let mut client = world.client();
    let headers = ["X-Request-Id: one", "User-Agent: a \"test\""];
    let answer = client.ask_with("POST", "A.test:80", "/x%41?secret=1", &headers, "body");
    assert_eq!(client.ask("PUT", "a.test", "/").status, 405);
    assert_eq!(client.ask("GET", "a.test", "/..").status, 400);
    assert_eq!(world.get("/dead").status, 502);
    run(async {
        let connection = Connection::plain(world.gateway.address()).await;
        assert_eq!(connection.ask("GET", "http://b.test/2", &[]).await.0, 200);
    });
    world.gateway.shutdown();
    world.gateway.join();
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 5, "{text}");
    let of = |path: &str| lines.iter().find(|line| line["path"] == path).unwrap();
    let (told, refused, unread) = (of("/x%41"), of("/"), of("/.."));
    let (failed, second) = (of("/dead"), of("/2"));
    let expected = json!({
        "group": "test", "service": "shop", "route": "main", "method": "POST",
        "host": "A.test:80", "path": "/x%41", "status": 200, "bytes": answer.body.len(),
        "client": "127.0.0.1", "node": origin.address.to_string(), "request_id": "one",
        "user_agent": "a \"test\"", "commit": commit,
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(told[key], *value, "{key}");
    }
    let (took, upstream) = (told["duration_ms"].as_f64().unwrap(), told["upstream_ms"].as_f64());
    assert!(upstream.unwrap() > 0.0 && upstream.unwrap() <= took, "{told}");
    let time: jiff::Timestamp = told["time"].as_str().unwrap().parse().unwrap();
    assert!((jiff::Timestamp::now() - time).get_seconds() < 60);
    assert_eq!((&refused["status"], &refused["service"]), (&json!(405), &Value::Null));
    assert_eq!((&refused["node"], &refused["upstream_ms"]), (&Value::Null, &Value::Null));
    assert_eq!(unread["status"], 400);
    assert_eq!((&failed["status"], &failed["service"]), (&json!(502), &json!("dead")));
    assert!(failed["upstream_ms"].is_null(), "there was no answer: {failed}");
    assert_eq!(second["host"], "b.test");
}

#[test]
fn times_of_requests_are_counted() {
    let origin = Origin::start("one");
    let world = World::with_origin(&origin);
    for _ in 0..3 {
        assert_eq!(world.get("/").status, 200);
    }
    let labels = "group=\"test\",service=\"shop\",route=\"main\"";
    let _open = world.client();
    let lines = [
        "refgate_connections{group=\"test\"} 1".to_owned(),
        "refgate_connections_total{group=\"test\"} 4".to_owned(),
        format!("refgate_request_duration_seconds_bucket{{{labels},le=\"+Inf\"}} 3"),
        format!("refgate_request_duration_seconds_count{{{labels}}} 3"),
        format!("refgate_requests_total{{{labels},status=\"2xx\"}} 3"),
    ];
    let metrics = ask_until(
        || world.status_of("/metrics"),
        |metrics| lines.iter().all(|line| metrics.body.lines().any(|own| own == *line)),
    );
    assert!(!metrics.body.contains("access_log"), "there is none");
}
