//! What remote gateways fetch.

use std::sync::Arc;

use refgate_core::mirror::{Mirror, Update};

use super::*;

const SNAPSHOT: &str = "/v1/groups/test/snapshot";

impl Harness {
    /// A gateway that has this commit and would wait so long.
    async fn poll(&self, since: &str, wait: &str) -> Result<Reply> {
        let request = self.request(&Method::GET, &format!("{SNAPSHOT}?since={since}"));
        let request = request.header(header::IF_NONE_MATCH, format!("\"{since}\""));
        self.send(request.header("prefer", format!("wait={wait}")).body(Body::empty())?).await
    }
}

#[tokio::test]
async fn who_reads_gzip_is_sent_less_of_the_same() -> Result<()> {
    use std::io::Read as _;

    let harness = Harness::new()?.with_httpbin().await?;
    for number in 0..50 {
        let route = format!("/v1/groups/test/services/httpbin/routes/r{number}");
        harness.put(&route, json!({"paths": [format!("/{number}")]})).await?;
    }
    let plain = harness.get(SNAPSHOT).await?;
    assert_eq!(plain.headers.get(header::CONTENT_ENCODING), None);
    assert_eq!(plain.headers[header::VARY], "accept-encoding");
    let request = harness.request(&Method::GET, SNAPSHOT).header(header::ACCEPT_ENCODING, "gzip");
    let response = router(harness.api.clone()).oneshot(request.body(Body::empty())?).await?;
    assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
    assert_eq!(response.headers()[header::ETAG], plain.etag()?);
    let body = to_bytes(response.into_body(), 1 << 24).await?;
    assert!(body.len() * 3 < plain.text.len(), "{} of {}", body.len(), plain.text.len());
    let mut text = String::new();
    flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut text)?;
    assert_eq!(text, plain.text);
    Ok(())
}

#[tokio::test]
async fn a_gateway_fetches_all_and_then_what_changed() -> Result<()> {
    let harness = Harness::new()?.with_httpbin().await?;
    let whole = harness.get(SNAPSHOT).await?;
    let body = whole.body.clone();
    let head = harness.get("/v1/groups/test").await?.body["head"].clone();
    assert_eq!((&body["commit"], &body["since"]), (&head, &Value::Null));
    assert_eq!(whole.etag()?, format!("\"{}\"", head.as_str().context("a commit")?));
    let route = "services/httpbin/routes/get-headers.json";
    assert!(body["files"][route]["text"].as_str().is_some_and(|text| text.contains("/headers")));
    let mut mirror = Mirror::new("test".parse()?)?;
    mirror.take(serde_json::from_str::<Update>(&whole.text)?)?;

    let route = "/v1/groups/test/services/httpbin/routes";
    let added = json!({"paths": ["/x"]});
    harness.put(&format!("{route}/x"), added).await?.expect(StatusCode::CREATED)?;
    let gone = harness.call(Method::DELETE, &format!("{route}/get-headers"), Value::Null).await?;
    gone.expect(StatusCode::OK)?;
    let since = head.as_str().context("a commit")?;
    let changed = harness.get(&format!("{SNAPSHOT}?since={since}")).await?;
    let files = changed.body["files"].as_object().context("files")?;
    assert_eq!(files.keys().collect::<Vec<_>>(), ["services/httpbin/routes/x.json"]);
    let removed = json!(["services/httpbin/routes/get-headers.json"]);
    assert_eq!((&changed.body["removed"], &changed.body["since"]), (&removed, &head));
    mirror.take(serde_json::from_str::<Update>(&changed.text)?)?;
    let loaded = mirror.load(None)?.context("a commit")?;
    assert!(loaded.diagnostics.is_empty() && loaded.config.services.size() == 1);

    // A commit that nobody knows: all of it.
    let unknown = harness.get(&format!("{SNAPSHOT}?since={}", "1".repeat(40))).await?;
    assert_eq!(unknown.body["since"], Value::Null);
    for (path, status, code) in [
        (format!("{SNAPSHOT}?since=x"), StatusCode::BAD_REQUEST, "malformed_request"),
        ("/v1/groups/nowhere/snapshot".to_owned(), StatusCode::NOT_FOUND, "not_found"),
    ] {
        harness.get(&path).await?.expect_problem(status, code)?;
    }
    Ok(())
}

#[tokio::test]
async fn who_has_the_head_waits_for_the_next() -> Result<()> {
    let harness = Harness::new()?.with_httpbin().await?;
    let head = harness.get("/v1/groups/test").await?.body["head"].clone();
    let head = head.as_str().context("a commit")?;
    let same = harness.poll(head, "0.01").await?;
    assert_eq!((same.status, same.text.as_str()), (StatusCode::NOT_MODIFIED, ""));
    harness
        .poll(head, "900")
        .await?
        .expect_problem(StatusCode::BAD_REQUEST, "malformed_request")?;

    // The commits of other groups wake nobody here.
    let service = "/v1/groups/test/services/httpbin";
    let (polled, written) = tokio::try_join!(harness.poll(head, "60"), async {
        let elsewhere = "/v1/groups/uat/services/other";
        harness.put(elsewhere, json!({})).await?.expect(StatusCode::CREATED)?;
        harness.call(Method::PATCH, service, json!({"description": "new"})).await
    })?;
    let polled = polled.expect(StatusCode::OK)?;
    assert_eq!(polled["commit"], written.body["commit"]);
    assert_eq!(polled["since"], head);

    // A push by another process wakes as well.
    let head = polled["commit"].as_str().context("a commit")?;
    let repository = harness.api.store.repository();
    let beside = Repository::open_beside(repository.path(), Arc::new(jiff::Timestamp::now))?;
    let (polled, ()) = tokio::try_join!(harness.poll(head, "60"), async {
        tokio::task::spawn_blocking(move || {
            beside.apply(refgate_core::change::Change {
                group: "test".parse()?,
                operation: refgate_core::change::Operation::PutService {
                    service: "pushed".parse()?,
                    document: json!({}),
                },
                actor: refgate_core::event::Actor::named("ana"),
                request_id: "r".to_owned(),
                reason: None,
                precondition: refgate_core::change::Precondition::default(),
            })?;
            Ok::<_, anyhow::Error>(())
        })
        .await?
    })?;
    assert!(polled.expect(StatusCode::OK)?["files"]["services/pushed/service.json"].is_object());
    Ok(())
}

#[tokio::test]
async fn a_wait_for_a_commit_ends_with_the_server() -> Result<()> {
    let harness = Harness::new()?;
    let head = harness.get("/v1/groups/test").await?.body["head"].clone();
    harness.api.begin_drain();
    let reply = harness.poll(head.as_str().context("a commit")?, "60").await?;
    reply.expect_problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable")?;
    Ok(())
}
