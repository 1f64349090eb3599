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
        let again = with(&harness, Method::GET, path, (header::IF_NONE_MATCH, &tag), Value::Null);
        let again = again.await?;
        assert_eq!(again.status, StatusCode::OK, "{path}");
        assert_ne!(again.body["commit"], first.body["commit"], "{path}");
        let patch = with(&harness, Method::PATCH, path, (header::IF_MATCH, &tag), json!({}));
        patch.await?.expect(StatusCode::OK).context(path.to_owned())?;
    }

    let first = harness.get(HTTPBIN).await?.etag()?;
    let number = json!({"version": "1.0.0"});
    harness.post(&format!("{HTTPBIN}/versions"), number).await?.expect(StatusCode::CREATED)?;
    let known = (header::IF_NONE_MATCH, &first[..]);
    let numbered = with(&harness, Method::GET, HTTPBIN, known, Value::Null).await?;
    assert_eq!(numbered.expect(StatusCode::OK)?["version"], "1.0.0");
    for status in [StatusCode::OK, StatusCode::PRECONDITION_FAILED] {
        let write = json!({"description": "another"});
        let known = (header::IF_MATCH, &first[..]);
        let written = with(&harness, Method::PATCH, HTTPBIN, known, write).await?;
        assert_eq!(written.status, status);
    }
    Ok(())
}

/// Every command is about an object whose tag it takes.
#[tokio::test]
async fn commands_hold_their_preconditions() -> Result<()> {
    let harness = Harness::new()?.with_httpbin().await?;
    let sync = format!("{HTTPBIN}/sync");
    harness.post(&sync, json!({"to": "uat", "version": "1.0.0"})).await?;
    let edit = json!({"description": "edited"});
    harness.call(Method::PATCH, HTTPBIN, edit).await?.expect(StatusCode::OK)?;
    let versions = format!("{HTTPBIN}/versions");
    let (rollback, by_number) =
        (format!("{HTTPBIN}/rollback"), "/v1/services/httpbin/versions/1.1.0/sync");
    let (group, uat) = ("/v1/groups/test", "/v1/groups/uat/services/httpbin");
    let version = |number: &str| json!({"version": number});
    let rolled = json!({"version": "1.0.0"});
    let files = json!({"files": {"services/httpbin/service.json": {"description": "in files"}}});
    let document = json!({"openapi": "3.1.0", "info": {"title": "httpbin", "version": "1"},
        "paths": {"/a": {"get": {"responses": {}}}}});
    let import = json!({"document": document, "service": "httpbin"});
    let services = |version: Value| json!({"to": ["uat"], "services": {"httpbin": version}});
    let table = [
        (&versions[..], version("1.1.0"), HTTPBIN),
        (&sync, json!({"to": "uat"}), uat),
        (&rollback, rolled, HTTPBIN),
        (by_number, json!({"to": "uat", "on_conflict": "theirs"}), uat),
        ("/v1/groups/test/commit", files, group),
        ("/v1/groups/test/rollback", json!({"revision": 2}), group),
        ("/v1/groups/test/import/openapi", import, HTTPBIN),
        ("/v1/groups/test/sync", services(json!("1.2.0")), uat),
    ];
    for (path, body, object) in table {
        let tag = harness.get(object).await?.etag()?;
        let of_each = body["to"].is_array();
        let heads = || async {
            let groups = harness.get("/v1/groups").await?.body;
            let heads = groups["items"].as_array().into_iter().flatten();
            anyhow::Ok(heads.map(|group| group["head"].clone()).collect::<Vec<_>>())
        };
        let before = heads().await?;
        for condition in [(header::IF_MATCH, "\"other\""), (header::IF_NONE_MATCH, "*")] {
            for path in [path.to_owned(), format!("{path}?dry_run=true")] {
                let refused =
                    with(&harness, Method::POST, &path, condition.clone(), body.clone()).await?;
                if of_each {
                    let refused = refused.expect(StatusCode::OK)?;
                    assert_eq!(refused["results"][0]["error"]["code"], "precondition_failed");
                    continue;
                }
                let refused =
                    refused.expect_problem(StatusCode::PRECONDITION_FAILED, "precondition_failed");
                refused.with_context(|| format!("{path} {condition:?}"))?;
            }
        }
        assert_eq!(heads().await?, before, "{path}");
        let done = with(&harness, Method::POST, path, (header::IF_MATCH, &tag), body).await?;
        assert!(done.status.is_success(), "{path}: {done:?}");
        let error = &done.body["results"][0]["error"];
        assert!(error.is_null(), "{path}: {error}");
    }
    Ok(())
}

/// What is not there is no version of anything, and is made only where that was asked for.
#[tokio::test]
async fn preconditions_of_what_is_not_there() -> Result<()> {
    let harness = Harness::new()?.with_httpbin().await?;
    let sync = format!("{HTTPBIN}/sync");
    let number = json!({"to": "uat", "version": "1.0.0"});
    let (any, absent) = ((header::IF_MATCH, "*"), (header::IF_NONE_MATCH, "*"));
    let failed = (StatusCode::PRECONDITION_FAILED, "precondition_failed");
    let post = async |path: &str, condition: &(header::HeaderName, &str), body: &Value| {
        with(&harness, Method::POST, path, condition.clone(), body.clone()).await
    };
    post(&sync, &any, &number).await?.expect_problem(failed.0, failed.1)?;
    post(&sync, &absent, &number).await?.expect(StatusCode::CREATED)?;
    post(&sync, &absent, &number).await?.expect_problem(failed.0, failed.1)?;
    post(&sync, &any, &number).await?.expect(StatusCode::OK)?;

    let (groups, staging) = ("/v1/groups", json!({"name": "staging"}));
    post(groups, &any, &staging).await?.expect_problem(failed.0, failed.1)?;
    post(groups, &absent, &staging).await?.expect(StatusCode::CREATED)?;
    post(groups, &absent, &staging).await?.expect_problem(failed.0, failed.1)?;
    let taken = post(groups, &any, &staging).await?;
    taken.expect_problem(StatusCode::CONFLICT, "already_exists")?;

    let consumer = json!({"labels": {}});
    harness.put("/v1/groups/test/consumers/app", consumer).await?.expect(StatusCode::CREATED)?;
    let both = json!({"a": null, "httpbin": null});
    for (path, body) in [
        (&sync[..], json!({"to": ["uat", "staging"]})),
        ("/v1/services/httpbin/versions/1.0.0/sync", json!({"to": ["uat", "staging"]})),
        ("/v1/groups/test/sync", json!({"to": "uat", "services": both})),
        ("/v1/groups/test/consumers/app/copy", json!({"to": ["uat", "staging"]})),
    ] {
        for condition in [&any, &absent] {
            let refused = post(path, condition, &body).await?;
            let refused = refused.expect_problem(StatusCode::BAD_REQUEST, "malformed_request")?;
            let detail = refused["detail"].as_str().context("a detail")?;
            assert!(detail.contains("one object"), "{path}: {detail}");
        }
    }
    Ok(())
}

/// A request with a condition and, unless it is null, a body.
async fn with(
    harness: &Harness,
    method: Method,
    path: &str,
    (name, value): (header::HeaderName, &str),
    body: Value,
) -> Result<Reply> {
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let request = harness.request(&method, path).header(name, value);
    let request = request.header(header::CONTENT_TYPE, "application/json");
    harness.send(request.body(Body::from(text))?).await
}
