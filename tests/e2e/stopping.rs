//! Stopping: the first signal drains, the second ends at once.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use refgate_tests::stage::{Stage, host_in, httpbin};
use refgate_tests::wait::wait_for;
use serde_json::json;

#[test]
fn a_second_signal_ends_at_once() -> anyhow::Result<()> {
    let mut stage = Stage::new()?;
    // A node that takes requests and never answers.
    let node = TcpListener::bind("127.0.0.1:0")?;
    let nodes = json!([{"host": "127.0.0.1", "port": node.local_addr()?.port()}]);
    let runtime = json!({"hosts": [host_in("test")], "upstreams": {"default": {"nodes": nodes}}});
    let path = "/v1/groups/test/services/httpbin?wait=20";
    stage.refgate.api.json("PUT", path, &httpbin(&runtime))?.expect(201)?;
    let address = stage.refgate.gateway_address("test").trim_start_matches("http://");
    let mut client = TcpStream::connect(address)?;
    client.set_read_timeout(Some(Duration::from_secs(60)))?;
    write!(client, "GET /headers HTTP/1.1\r\nHost: {}\r\n\r\n", host_in("test"))?;
    let (_held, _) = node.accept()?;

    stage.refgate.process().terminate()?;
    wait_for("the drain", || stage.refgate.api.get("/readyz")?.expect(503).map(drop))?;
    stage.refgate.process().terminate()?;
    let mut answer = Vec::new();
    client.read_to_end(&mut answer)?;
    assert!(answer.is_empty(), "the request is cut off: {}", String::from_utf8_lossy(&answer));
    let Stage { refgate, .. } = stage;
    let ended = refgate.ended()?;
    assert_eq!(ended.code(), 0, "{ended:?}");
    // Not that the drain timeout has passed.
    assert!(ended.stderr.contains("stopped without draining"), "{ended:?}");
    assert!(!ended.stderr.contains("drain timeout"), "{ended:?}");
    Ok(())
}
