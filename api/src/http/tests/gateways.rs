//! Instances of other processes: they check in, fall silent, and go. The test has the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

use super::*;

/// A control plane, and the seconds of its clock.
fn with_clock() -> Result<(Harness, Arc<AtomicI64>)> {
    let seconds = Arc::new(AtomicI64::new(1_700_000_000));
    let of = Arc::clone(&seconds);
    let clock = Arc::new(move || {
        Timestamp::from_second(of.load(Ordering::Relaxed)).unwrap_or(Timestamp::UNIX_EPOCH)
    });
    let mut harness = Harness::new()?;
    harness.api.fleet = Fleet::with_clock([], clock);
    Ok((harness, seconds))
}

fn said(instance: &str, commit: &Value, state: &str) -> Value {
    json!({
        "instance": instance, "group": "test", "version": "0.1.0", "commit": commit, "state": state,
        "diagnostics": [], "started_at": "2026-01-01T00:00:00Z"
    })
}

async fn head(harness: &Harness) -> Result<Value> {
    Ok(harness.get("/v1/groups/test").await?.expect(StatusCode::OK)?["head"].clone())
}

#[tokio::test]
async fn an_instance_comes_falls_silent_and_is_forgotten() -> Result<()> {
    let (harness, clock) = with_clock()?;
    let commit = head(&harness).await?;
    let reply = harness.post("/v1/gateways", said("one", &commit, "healthy")).await?;
    let made = reply.expect(StatusCode::CREATED)?;
    assert_eq!((&made["state"], &made["commit"]), (&json!("healthy"), &commit));
    harness.post("/v1/gateways", said("one", &commit, "degraded")).await?.expect(StatusCode::OK)?;

    let listed = async || -> Result<Value> {
        let list = harness.get("/v1/gateways?group=test").await?.expect(StatusCode::OK)?;
        Ok(list["items"][0].clone())
    };
    let instances = async || -> Result<Value> {
        Ok(harness.get("/v1/groups/test").await?.body["instances"].clone())
    };
    let first = listed().await?;
    assert_eq!(first["last_seen"], "2023-11-14T22:13:20Z");
    // Seconds later, the state, and what the group says.
    let table = [
        (29, "degraded", json!({"healthy": 0, "total": 1})),
        (1, "lost", json!({"healthy": 0, "total": 1})),
        (7169, "lost", json!({"healthy": 0, "total": 1})),
        (1, "offline", json!({"healthy": 0, "total": 1})),
        (6 * 86_400, "offline", json!({"healthy": 0, "total": 1})),
        (86_400, "", json!({"healthy": 0, "total": 0})),
    ];
    for (later, state, counts) in table {
        clock.fetch_add(later, Ordering::Relaxed);
        let now = listed().await?;
        assert_eq!(now["state"].as_str().unwrap_or_default(), state);
        assert_eq!(instances().await?, counts, "{state}");
        if !state.is_empty() {
            assert_eq!(now["last_seen"], first["last_seen"], "it was not heard of since");
        }
    }
    // It comes back.
    let reply = harness.post("/v1/gateways", said("one", &commit, "healthy")).await?;
    reply.expect(StatusCode::CREATED)?;
    assert_eq!(instances().await?, json!({"healthy": 1, "total": 1}));
    assert_eq!(harness.get("/v1/gateways?group=uat").await?.body["items"], json!([]));
    let page = harness.get("/metrics").await?.text;
    assert!(page.contains(r#"refgate_gateway_instances{group="test",state="healthy"} 1"#));
    assert!(page.contains("refgate_check_ins_total 3"), "{page}");
    Ok(())
}

#[tokio::test]
async fn a_wait_counts_those_that_are_there() -> Result<()> {
    let (harness, clock) = with_clock()?;
    let before = head(&harness).await?;
    harness.post("/v1/gateways", said("gone", &before, "healthy")).await?;
    clock.fetch_add(30, Ordering::Relaxed);
    harness.post("/v1/gateways", said("a", &before, "healthy")).await?;
    harness.post("/v1/gateways", said("b", &before, "healthy")).await?;

    let service = "/v1/groups/test/services/httpbin";
    let written = harness.put(&format!("{service}?wait=0.01"), httpbin()).await?;
    let written = written.expect(StatusCode::CREATED)?;
    let commit = written["commit"].clone();
    let nobody = json!({"commit": commit, "applied": 0, "total": 2, "pending": ["a", "b"]});
    assert_eq!(written["convergence"], nobody);

    let asked = "/v1/groups/test/convergence?wait=60";
    let (all, ()) = tokio::try_join!(harness.get(asked), async {
        harness.post("/v1/gateways", said("a", &commit, "healthy")).await?;
        harness.post("/v1/gateways", said("b", &commit, "healthy")).await?;
        Ok(())
    })?;
    assert_eq!(all.body, json!({"commit": commit, "applied": 2, "total": 2, "pending": []}));

    // One that is lost is not waited for, whatever it serves.
    clock.fetch_add(29, Ordering::Relaxed);
    harness.post("/v1/gateways", said("b", &before, "healthy")).await?;
    clock.fetch_add(1, Ordering::Relaxed);
    harness.post("/v1/gateways", said("c", &commit, "healthy")).await?;
    let now = harness.get("/v1/groups/test/convergence").await?.body;
    assert_eq!(now, json!({"commit": commit, "applied": 1, "total": 2, "pending": ["b"]}));
    Ok(())
}

#[tokio::test]
async fn a_group_with_instances_stays() -> Result<()> {
    let (harness, clock) = with_clock()?;
    let made = harness.post("/v1/groups", json!({"name": "spare"})).await?;
    let commit = made.expect(StatusCode::CREATED)?["commit"].clone();
    let mut check_in = said("one", &commit, "healthy");
    check_in["group"] = json!("spare");
    // The group is known from the next look on, which may be a moment away.
    loop {
        let reply = harness.post("/v1/gateways", check_in.clone()).await?;
        if reply.status == StatusCode::CREATED {
            break;
        }
        reply.expect_problem(StatusCode::NOT_FOUND, "not_found")?;
        tokio::task::yield_now().await;
    }
    clock.fetch_add(86_400, Ordering::Relaxed);
    let delete = async |path: &str| harness.call(Method::DELETE, path, Value::Null).await;
    let refused = delete("/v1/groups/spare").await?;
    refused.expect_problem(StatusCode::CONFLICT, "still_referenced")?;
    let removed = delete("/v1/gateways/spare/one").await?.expect(StatusCode::OK)?;
    assert_eq!(removed, json!({"group": "spare", "instance": "one", "removed": true}));
    let again = delete("/v1/gateways/spare/one").await?;
    again.expect_problem(StatusCode::NOT_FOUND, "not_found")?;
    delete("/v1/groups/spare").await?.expect(StatusCode::OK)?;
    Ok(())
}

#[tokio::test]
async fn a_group_that_was_there_before_waits_for_its_gateways() -> Result<()> {
    let (harness, clock) = with_clock()?;
    let patch = json!({"promotion": {"from": []}});
    let production = "/v1/groups/production";
    harness.call(Method::PATCH, production, patch).await?.expect(StatusCode::OK)?;
    let delete = async |path: &str| harness.call(Method::DELETE, path, Value::Null).await;
    for (passed, after) in [(0, "30"), (29, "1")] {
        clock.fetch_add(passed, Ordering::Relaxed);
        let early = delete(production).await?;
        assert_eq!(early.headers[header::RETRY_AFTER], after);
        early.expect_problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable")?;
    }
    // One that was made since would have checked in here.
    let made = harness.post("/v1/groups", json!({"name": "spare"})).await?;
    made.expect(StatusCode::CREATED)?;
    delete("/v1/groups/spare").await?.expect(StatusCode::OK)?;
    clock.fetch_add(1, Ordering::Relaxed);
    delete(production).await?.expect(StatusCode::OK)?;
    Ok(())
}

#[tokio::test]
async fn nobody_is_waited_for_that_can_have_known_no_group() -> Result<()> {
    let mut harness = Harness::new()?;
    harness.api = harness.api.of_new_repository();
    harness
        .call(Method::DELETE, "/v1/groups/production", Value::Null)
        .await?
        .expect(StatusCode::OK)?;
    Ok(())
}

#[tokio::test]
async fn what_is_no_check_in_is_refused_whole() -> Result<()> {
    let (harness, _) = with_clock()?;
    let commit = head(&harness).await?;
    let good = said("one", &commit, "healthy");
    for (key, value, pointer) in [
        ("instance", json!("a b"), "/instance"),
        ("instance", json!("a/b"), "/instance"),
        ("group", json!("Test"), "/group"),
        ("state", json!("lost"), "/state"),
        ("commit", json!("abc"), "/commit"),
        ("diagnostics", json!(["text"]), "/diagnostics"),
        ("version", json!("x".repeat(5000)), "/version"),
        ("last_seen", json!("2020-01-01T00:00:00Z"), "/last_seen"),
    ] {
        let mut body = good.clone();
        body[key] = value;
        let reply = harness.post("/v1/gateways", body.clone()).await?;
        let problem =
            reply.expect_problem(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed")?;
        assert_eq!(problem["diagnostics"][0]["pointer"], pointer, "{body}");
    }
    let mut elsewhere = good;
    elsewhere["group"] = json!("nowhere");
    let reply = harness.post("/v1/gateways", elsewhere).await?;
    reply.expect_problem(StatusCode::NOT_FOUND, "not_found")?;
    assert_eq!(harness.get("/v1/gateways").await?.body["items"], json!([]));
    Ok(())
}

#[tokio::test]
async fn events_tell_of_instances_and_of_what_was_missed() -> Result<()> {
    use tokio_stream::StreamExt;

    let (harness, _) = with_clock()?;
    let harness = harness.with_httpbin().await?;
    let commit = head(&harness).await?;
    let patch = json!({"description": "later"});
    let service = "/v1/groups/test/services/httpbin";
    harness.call(Method::PATCH, service, patch).await?.expect(StatusCode::OK)?;
    let last = commit.as_str().context("a commit")?.to_owned();
    // By its id or by its revision: what came after it is told.
    for last in [last.as_str(), "2"] {
        let request = harness.request(&Method::GET, "/v1/groups/test/events");
        let request = request.header("last-event-id", last).body(Body::empty())?;
        let response = router(harness.api.clone()).oneshot(request).await?;
        let mut stream = response.into_body().into_data_stream();
        let mut told = String::new();
        let mut read_until = async |wanted: &str| -> Result<String> {
            while !told.contains(wanted) {
                let chunk = stream.next().await.context("the stream goes on")??;
                told.push_str(std::str::from_utf8(&chunk)?);
            }
            Ok(told.clone())
        };
        let told = read_until("event: convergence").await?;
        assert_eq!(told.matches("event: commit").count(), 1, "{told}");
        assert!(told.contains("id: 3\n") && !told.contains("id: 2\n"), "{told}");
        harness.post("/v1/gateways", said("one", &commit, "healthy")).await?;
        let told = read_until("\"total\":1").await?;
        assert!(told.contains("event: gateway") && told.contains("\"instance\":\"one\""), "{told}");
        harness.call(Method::DELETE, "/v1/gateways/test/one", Value::Null).await?;
        read_until("\"state\":\"removed\"").await?;
    }
    let request = harness.request(&Method::GET, "/v1/groups/test/events");
    let request = request.header("last-event-id", "soon").body(Body::empty())?;
    let refused = harness.send(request).await?;
    refused.expect_problem(StatusCode::BAD_REQUEST, "malformed_request")?;
    Ok(())
}
