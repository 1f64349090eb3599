//! What the control plane says of its gateways, with instances that the test plays.

use std::sync::Arc;

use refgate_core::name::CommitId;
use refgate_proxy::{GatewayStatus, State};
use tokio::sync::watch;

use super::*;

const HTTPBIN: &str = "/v1/groups/test/services/httpbin";

struct Instance(watch::Sender<Arc<GatewayStatus>>);

impl Instance {
    fn new(name: &str) -> Result<Self> {
        let status = GatewayStatus {
            instance: name.to_owned(),
            group: "test".parse()?,
            version: "0.0.0",
            commit: None,
            state: State::Healthy,
            diagnostics: Vec::new(),
            message: None,
            away_since: None,
            started_at: "2026-01-01T00:00:00Z".to_owned(),
        };
        Ok(Self(watch::Sender::new(Arc::new(status))))
    }

    fn report(&self, commit: &Value, state: State) -> Result<()> {
        let commit: CommitId = commit.as_str().context("a commit")?.parse()?;
        let mut status = GatewayStatus::clone(&self.0.borrow());
        (status.commit, status.state) = (Some(commit), state);
        self.0.send_replace(Arc::new(status));
        Ok(())
    }
}

#[tokio::test]
async fn a_write_waits_until_it_is_served() -> Result<()> {
    let (a, b) = (Instance::new("a")?, Instance::new("b")?);
    let harness = Harness::with_instances([a.0.subscribe(), b.0.subscribe()])?;
    let waited = harness.put(&format!("{HTTPBIN}?wait=0.01"), httpbin()).await?;
    let waited = waited.expect(StatusCode::CREATED)?;
    let commit = &waited["commit"];
    let nobody = json!({"commit": commit, "applied": 0, "total": 2, "pending": ["a", "b"]});
    assert_eq!(waited["convergence"], nobody);

    // One takes the commit up, the other is further already: the wait ends by itself.
    let patch = |text| json!({"description": text});
    let first = harness.call(Method::PATCH, HTTPBIN, patch("one")).await?.body;
    let second = harness.call(Method::PATCH, HTTPBIN, patch("two")).await?.body;
    a.report(&first["commit"], State::Healthy)?;
    b.report(&second["commit"], State::Healthy)?;
    let waiting = format!("{HTTPBIN}?wait=60");
    let same = harness.call(Method::PATCH, &waiting, patch("two"));
    let (same, ()) = tokio::try_join!(same, async { a.report(&second["commit"], State::Healthy) })?;
    assert_eq!(same.body["changed"], false);
    assert_eq!(same.body["convergence"]["applied"], 2, "{same:?}");

    // A degraded instance at the commit will not get better by waiting.
    b.report(&second["commit"], State::Degraded)?;
    let same = harness.call(Method::PATCH, &waiting, patch("two")).await?.body;
    assert_eq!(same["convergence"]["pending"], json!(["b"]));

    let group = harness.get("/v1/groups/test").await?.body;
    assert_eq!(group["instances"], json!({"healthy": 1, "total": 2}));
    let gateways = harness.get("/v1/gateways?limit=1").await?.body;
    assert_eq!(
        (&gateways["items"][0]["instance"], &gateways["items"][0]["state"]),
        (&json!("a"), &json!("healthy"))
    );
    assert_eq!(gateways["next"], "test/a");
    assert!(gateways["items"][0]["last_seen"].is_string());
    Ok(())
}

#[tokio::test]
async fn a_wait_ends_with_the_server() -> Result<()> {
    let silent = Instance::new("silent")?;
    let harness = Harness::with_instances([silent.0.subscribe()])?;
    harness.api.begin_drain();
    let reply = harness.put(&format!("{HTTPBIN}?wait=60"), httpbin()).await?;
    let body = reply.expect(StatusCode::CREATED)?;
    assert_eq!(body["convergence"]["pending"], json!(["silent"]));
    Ok(())
}

#[tokio::test]
async fn events_tell_commits_and_convergence() -> Result<()> {
    use tokio_stream::StreamExt;

    let gateway = Instance::new("a")?;
    let harness = Harness::with_instances([gateway.0.subscribe()])?;
    let request = harness.request(&Method::GET, "/v1/groups/test/events");
    let response = router(harness.api.clone()).oneshot(request.body(Body::empty())?).await?;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut stream = response.into_body().into_data_stream();
    let mut told = String::new();
    let mut read_until = async |wanted: &str| -> Result<()> {
        while !told.contains(wanted) {
            let chunk = stream.next().await.context("the stream goes on")??;
            told.push_str(std::str::from_utf8(&chunk)?);
        }
        Ok(())
    };
    let written = harness.put(HTTPBIN, httpbin()).await?.expect(StatusCode::CREATED)?;
    let commit = written["commit"].as_str().context("a commit")?;
    read_until("event: commit").await?;
    read_until(commit).await?;
    gateway.report(&written["commit"], State::Healthy)?;
    read_until("\"applied\":1").await?;
    harness.api.begin_drain();
    while let Some(chunk) = stream.next().await {
        chunk?;
    }
    Ok(())
}
