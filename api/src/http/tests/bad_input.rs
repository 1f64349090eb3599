//! Bad input: a clear problem each, and nothing changed.

use super::*;

#[tokio::test]
async fn every_bad_input_has_its_answer() -> Result<()> {
    let harness = Harness::new()?.with_httpbin().await?;
    harness
        .post("/v1/groups/test/services/httpbin/versions", json!({"version": "1.0.0"}))
        .await?
        .expect(StatusCode::CREATED)?;
    let head = harness.get("/v1/groups/test").await?.body["head"].clone();
    let json_type = "application/json";
    let big = format!(r#"{{"description": "{}"}}"#, "x".repeat(2 << 20));
    let service = "/v1/groups/test/services/httpbin";
    let other = "/v1/groups/test/services/other";
    let route = "/v1/groups/test/services/httpbin/routes/new";
    let sync = "/v1/groups/test/services/httpbin/sync";
    let (put, post) = (Method::PUT, Method::POST);
    // Method, path, content type, body, status, code, code of the first diagnostic.
    let table: &[(&Method, &str, &str, &str, u16, &str, &str)] = &[
        (&put, other, json_type, "{", 400, "malformed_request", ""),
        (&put, other, json_type, "", 400, "malformed_request", ""),
        (&put, other, "application/yaml", "a: [", 400, "malformed_request", ""),
        (&put, other, "text/plain", "{}", 415, "unsupported_media_type", ""),
        (&put, other, json_type, &big, 413, "payload_too_large", ""),
        (
            &put,
            other,
            json_type,
            r#"{"type":"http","type":"http"}"#,
            422,
            "validation_failed",
            "duplicate_key",
        ),
        (&put, other, json_type, r#"{"nonsense":1}"#, 422, "validation_failed", "unknown_key"),
        (&put, other, json_type, r#"{"description":1}"#, 422, "validation_failed", "wrong_type"),
        (
            &put,
            "/v1/groups/test/services/Bad_Name",
            json_type,
            "{}",
            422,
            "validation_failed",
            "bad_name",
        ),
        (&put, "/v1/groups/nowhere/services/x", json_type, "{}", 404, "not_found", ""),
        (&put, route, json_type, r#"{"paths":["/a/*/b"]}"#, 422, "validation_failed", "bad_path"),
        (
            &put,
            route,
            json_type,
            r#"{"paths":["/a"],"upstream":"gone"}"#,
            422,
            "validation_failed",
            "unknown_upstream",
        ),
        (
            &put,
            route,
            "application/yaml",
            "paths: [/a]\nupstream: gone\n",
            422,
            "validation_failed",
            "unknown_upstream",
        ),
        (&post, sync, json_type, r#"{}"#, 422, "validation_failed", "missing_key"),
        (&post, sync, json_type, r#"{"to":[]}"#, 422, "validation_failed", "wrong_type"),
        (&post, sync, json_type, r#"{"to":"UAT"}"#, 422, "validation_failed", "bad_name"),
        (
            &post,
            sync,
            json_type,
            r#"{"to":"uat","on_conflict":"maybe"}"#,
            422,
            "validation_failed",
            "bad_value",
        ),
        (&post, sync, json_type, r#"{"to":"nowhere"}"#, 404, "not_found", ""),
        (&post, sync, json_type, r#"{"to":"uat","version":"1.0"}"#, 422, "bad_version", ""),
        (&post, sync, json_type, r#"{"to":"uat","version":"2.0.0"}"#, 409, "version_mismatch", ""),
        (
            &post,
            "/v1/services/httpbin/versions/1/sync",
            json_type,
            r#"{"to":"uat"}"#,
            422,
            "bad_version",
            "",
        ),
        (
            &post,
            "/v1/services/httpbin/versions/9.9.9/sync",
            json_type,
            r#"{"to":"uat"}"#,
            404,
            "not_found",
            "",
        ),
        (
            &post,
            "/v1/groups/test/rollback",
            json_type,
            r#"{}"#,
            422,
            "validation_failed",
            "missing_key",
        ),
        (&post, "/v1/groups", json_type, r#"{}"#, 422, "validation_failed", "missing_key"),
        (&post, "/v1/groups", json_type, r#"{"name":"a b"}"#, 422, "validation_failed", "bad_name"),
        (&post, "/v1/groups", json_type, r#"[]"#, 422, "validation_failed", "wrong_type"),
        (
            &post,
            "/v1/groups/test/match",
            json_type,
            r#"{"method":"GET"}"#,
            422,
            "validation_failed",
            "missing_key",
        ),
        (
            &post,
            "/v1/groups/test/match",
            json_type,
            r#"{"method":"GET","url":"ftp://a.com/x"}"#,
            422,
            "validation_failed",
            "bad_value",
        ),
        (
            &post,
            "/v1/validate",
            json_type,
            r#"{"files":[]}"#,
            422,
            "validation_failed",
            "wrong_type",
        ),
    ];
    for (method, path, content_type, body, status, code, finding) in table {
        let request = harness
            .request(method, path)
            .header(header::CONTENT_TYPE, *content_type)
            .body(Body::from((*body).to_owned()))?;
        let context = format!("{method} {path} {}", body.get(..60).unwrap_or(body));
        let reply = harness.send(request).await?;
        let status = StatusCode::from_u16(*status)?;
        let problem = reply.expect_problem(status, code).context(context.clone())?;
        if !finding.is_empty() {
            assert_eq!(problem["diagnostics"][0]["code"], *finding, "{context}: {problem}");
        }
    }
    let taken = json!({"version": "1.0.0"});
    let path = format!("{service}/routes/more");
    harness.put(&path, json!({"paths": ["/more"]})).await?.expect(StatusCode::CREATED)?;
    let reply = harness.post(&format!("{service}/versions"), taken).await?;
    reply.expect_problem(StatusCode::CONFLICT, "version_taken")?;
    harness.call(Method::DELETE, &path, Value::Null).await?.expect(StatusCode::OK)?;
    let now =
        harness.get("/v1/groups/test").await?.body["revision"].as_u64().context("revision")?;
    let then = format!("/v1/groups/test/commits/{}", head.as_str().context("head")?);
    let then = harness.get(&then).await?.body["revision"].as_u64().context("revision")?;
    assert_eq!(now, then + 2, "only the two writes that were accepted are in the history");
    Ok(())
}

#[tokio::test]
async fn bad_queries() -> Result<()> {
    let harness = Harness::new()?.with_httpbin().await?;
    let service = "/v1/groups/test/services/httpbin";
    let table = [
        (Method::GET, "/v1/groups?limit=0".to_owned()),
        (Method::GET, "/v1/groups?limit=many".to_owned()),
        (Method::GET, "/v1/groups?limit=1&limit=2".to_owned()),
        (Method::GET, "/v1/groups?limt=1".to_owned()),
        (Method::GET, "/v1/groups/test/history?since=yesterday".to_owned()),
        (Method::GET, "/v1/groups/test/history?after=x".to_owned()),
        (Method::GET, "/v1/services/httpbin/diff?from=1.0.0".to_owned()),
        (Method::GET, "/v1/services/httpbin/diff?from=group:&to=1.0.0".to_owned()),
        (Method::DELETE, format!("{service}?dry_run=yes")),
        (Method::DELETE, format!("{service}?dry_run")),
        (Method::DELETE, format!("{service}?dryrun=true")),
        (Method::DELETE, format!("{service}?wait=-1")),
        (Method::DELETE, format!("{service}?wait=NaN")),
        (Method::DELETE, format!("{service}?wait=301")),
    ];
    for (method, path) in table {
        let reply = harness.call(method, &path, Value::Null).await?;
        reply.expect_problem(StatusCode::BAD_REQUEST, "malformed_request").context(path)?;
    }
    harness.get(service).await?.expect(StatusCode::OK)?;
    Ok(())
}

#[tokio::test]
async fn lists_come_in_pages() -> Result<()> {
    let harness = Harness::new()?;
    let first = harness.get("/v1/groups?limit=2").await?.expect(StatusCode::OK)?;
    let names = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().cloned().unwrap_or_default();
        items.iter().filter_map(|item| Some(item["name"].as_str()?.to_owned())).collect()
    };
    assert_eq!(names(&first), ["production", "test"]);
    assert_eq!(first["next"], "test");
    let second = harness.get("/v1/groups?limit=2&after=test").await?.expect(StatusCode::OK)?;
    assert_eq!((names(&second), &second["next"]), (vec!["uat".to_owned()], &Value::Null));
    Ok(())
}
