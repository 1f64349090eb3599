//! `ETag` and the preconditions of reads and writes.

use super::*;

const HTTPBIN: &str = "/v1/groups/test/services/httpbin";

#[tokio::test]
async fn objects_have_etags_and_reads_know_them() -> Result<()> {
    let harness = Harness::new()?.with_httpbin().await?;
    let route = format!("{HTTPBIN}/routes/get-headers");
    let runtime = format!("{HTTPBIN}/runtime");
    for path in ["/v1/groups/test", HTTPBIN, &route, &runtime] {
        let etag = harness.get(path).await?.etag()?;
        let request = harness.request(&Method::GET, path).header(header::IF_NONE_MATCH, &etag);
        let reply = harness.send(request.body(Body::empty())?).await?;
        assert_eq!(reply.status, StatusCode::NOT_MODIFIED, "{path}");
        assert_eq!((reply.etag()?, reply.text.as_str()), (etag, ""));
    }
    Ok(())
}

#[tokio::test]
async fn writes_hold_their_preconditions() -> Result<()> {
    let harness = Harness::new()?.with_httpbin().await?;
    let put = async |name: header::HeaderName, value: &str, description: &str| {
        let mut body = httpbin();
        body["description"] = description.into();
        let request = harness
            .request(&Method::PUT, HTTPBIN)
            .header(header::CONTENT_TYPE, "application/json")
            .header(name, value)
            .body(Body::from(body.to_string()))?;
        harness.send(request).await
    };
    let first = harness.get(HTTPBIN).await?.etag()?;
    put(header::IF_MATCH, &first, "one").await?.expect(StatusCode::OK)?;
    let second = harness.get(HTTPBIN).await?.etag()?;
    assert_ne!(first, second);
    let failed = (StatusCode::PRECONDITION_FAILED, "precondition_failed");
    let both = format!("{first}, {second}");
    for (name, value) in [
        (header::IF_MATCH, &first[..]),
        (header::IF_MATCH, &format!("W/{second}")),
        (header::IF_NONE_MATCH, "*"),
        (header::IF_NONE_MATCH, &both),
    ] {
        put(name, value, "two")
            .await?
            .expect_problem(failed.0, failed.1)
            .context(value.to_owned())?;
    }
    put(header::IF_MATCH, &both, "one").await?.expect(StatusCode::OK)?;
    put(header::IF_NONE_MATCH, &first, "one").await?.expect(StatusCode::OK)?;
    let group = harness.get("/v1/groups/test").await?.etag()?;
    for status in [StatusCode::OK, StatusCode::PRECONDITION_FAILED] {
        let request = harness
            .request(&Method::PATCH, "/v1/groups/test")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::IF_MATCH, &group)
            .body(Body::from(r#"{"description": "changed once"}"#))?;
        assert_eq!(harness.send(request).await?.status, status);
    }
    assert_eq!(harness.get(HTTPBIN).await?.body["description"], "one");
    Ok(())
}

/// What was changed and changed back is written upon, and told anew.
#[tokio::test]
async fn what_is_shown_is_not_what_is_written() -> Result<()> {
    let harness = Harness::new()?.with_httpbin().await?;
    let consumer = "/v1/groups/test/consumers/app";
    harness.put(consumer, json!({"labels": {}})).await?.expect(StatusCode::CREATED)?;
    let with = async |method: Method, path: &str, name, tag: &str, body: Value| {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = harness
            .request(&method, path)
            .header(header::CONTENT_TYPE, "application/merge-patch+json")
            .header(name, tag);
        harness.send(request.body(Body::from(body))?).await
    };
    let (route, runtime) = (format!("{HTTPBIN}/routes/get-headers"), format!("{HTTPBIN}/runtime"));
    for (path, there, back) in [
        (HTTPBIN, json!({"labels": {"a": "b"}}), json!({"labels": {"a": null}})),
        (&route, json!({"priority": 1}), json!({"priority": 0})),
        (&runtime, json!({"enabled": false}), json!({"enabled": true})),
        (consumer, json!({"labels": {"a": "b"}}), json!({"labels": {"a": null}})),
    ] {
        let first = harness.get(path).await?;
        let tag = first.etag()?;
        for patch in [there, back] {
            harness.call(Method::PATCH, path, patch).await?.expect(StatusCode::OK)?;
        }
        let again = with(Method::GET, path, header::IF_NONE_MATCH, &tag, Value::Null);
        let again = again.await?;
        assert_eq!(again.status, StatusCode::OK, "{path}");
        assert_ne!(again.body["commit"], first.body["commit"], "{path}");
        let patch = with(Method::PATCH, path, header::IF_MATCH, &tag, json!({}));
        patch.await?.expect(StatusCode::OK).context(path.to_owned())?;
    }

    let first = harness.get(HTTPBIN).await?.etag()?;
    let number = json!({"version": "1.0.0"});
    harness.post(&format!("{HTTPBIN}/versions"), number).await?.expect(StatusCode::CREATED)?;
    let numbered = with(Method::GET, HTTPBIN, header::IF_NONE_MATCH, &first, Value::Null).await?;
    assert_eq!(numbered.expect(StatusCode::OK)?["version"], "1.0.0");
    let write = json!({"description": "another"});
    let written = with(Method::PATCH, HTTPBIN, header::IF_MATCH, &first, write.clone()).await?;
    written.expect(StatusCode::OK)?;
    let late = with(Method::PATCH, HTTPBIN, header::IF_MATCH, &first, write).await?;
    late.expect_problem(StatusCode::PRECONDITION_FAILED, "precondition_failed")?;
    Ok(())
}
