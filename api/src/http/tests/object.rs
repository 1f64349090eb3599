//! Consumers, certificates and global rules over HTTP.

use super::*;

const PEM: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";

/// Each kind: its folder, a name, a document, a merge patch, and what events begin with.
fn kinds() -> [(&'static str, &'static str, Value, Value, &'static str); 3] {
    let key = json!({"type": "key-auth", "key": "$env://APP_KEY"});
    let certificate =
        json!({"snis": ["a.com"], "certificate": PEM, "private_key": "$file:///etc/key.pem"});
    [
        (
            "consumers",
            "Mobile_App",
            json!({"credentials": {"main": key}}),
            json!({"labels": {"a": "b"}}),
            "consumer",
        ),
        ("certificates", "web", certificate, json!({"snis": ["b.com"]}), "certificate"),
        (
            "global-rules",
            "all",
            json!({"description": "x"}),
            json!({"description": "y"}),
            "global-rule",
        ),
    ]
}

#[tokio::test]
async fn each_kind_is_written_read_copied_and_removed() -> Result<()> {
    let harness = Harness::new()?;
    for (folder, name, document, patch, event) in kinds() {
        let all = format!("/v1/groups/test/{folder}");
        let one = format!("{all}/{name}");
        let empty = harness.get(&all).await?.expect(StatusCode::OK)?;
        assert_eq!(empty, json!({"items": [], "next": null}));
        harness.get(&one).await?.expect_problem(StatusCode::NOT_FOUND, "not_found")?;

        let dry = format!("{one}?dry_run=true");
        let planned = harness.put(&dry, document.clone()).await?.expect(StatusCode::OK)?;
        assert_eq!(planned["plan"]["outcome"], "created", "{planned}");
        assert_eq!(planned["plan"]["changes"][0]["file"], format!("{folder}/{name}.json"));
        let created = harness.put(&one, document.clone()).await?.expect(StatusCode::CREATED)?;
        assert_eq!((&created["changed"], &created["group"]), (&json!(true), &json!("test")));
        let again = harness.put(&one, document).await?.expect(StatusCode::OK)?;
        assert_eq!(again["changed"], false);

        let read = harness.get(&one).await?;
        let etag = read.etag()?;
        let read = read.expect(StatusCode::OK)?;
        assert_eq!(read["labels"], json!({}), "defaults are filled in");
        assert_eq!((&read["commit"], &read["updated_by"]), (&created["commit"], &json!("admin")));
        let listed = harness.get(&all).await?.expect(StatusCode::OK)?;
        assert_eq!(listed["items"][0]["name"], name);
        assert_eq!(harness.put(&one, read).await?.expect(StatusCode::OK)?["changed"], false);

        for (tag, status) in
            [("\"0\"", StatusCode::PRECONDITION_FAILED), (&etag[..], StatusCode::OK)]
        {
            let request = harness
                .request(&Method::PATCH, &one)
                .header(header::CONTENT_TYPE, "application/json")
                .header(header::IF_MATCH, tag)
                .body(Body::from(patch.to_string()))?;
            harness.send(request).await?.expect(status)?;
        }

        let copies = format!("{one}/copy");
        let copied = harness.post(&copies, json!({"to": "uat"})).await?;
        assert_eq!(copied.expect(StatusCode::CREATED)?["group"], "uat");
        let both = json!({"to": ["uat", "production", "nowhere"], "reason": "all alike"});
        let both = harness.post(&copies, both).await?.expect(StatusCode::OK)?;
        let results = both["results"].as_array().context("results")?;
        assert_eq!(results.len(), 3, "{both}");
        assert_eq!((&results[0]["changed"], &results[1]["changed"]), (&json!(false), &json!(true)));
        assert_eq!(results[2]["error"]["code"], "not_found");
        let there = format!("/v1/groups/production/{folder}/{name}");
        let own = harness.call(Method::PATCH, &there, json!({"description": "own"})).await?;
        own.expect(StatusCode::OK)?;
        let refused = harness.post(&copies, json!({"to": "production"})).await?;
        refused.expect_problem(StatusCode::CONFLICT, "already_exists")?;
        let replaced = json!({"to": "production", "replace": true});
        harness.post(&copies, replaced).await?.expect(StatusCode::OK)?;

        harness.call(Method::DELETE, &one, Value::Null).await?.expect(StatusCode::OK)?;
        let gone = harness.call(Method::DELETE, &one, Value::Null).await?;
        gone.expect_problem(StatusCode::NOT_FOUND, "not_found")?;
        let history = harness.get("/v1/groups/test/history?limit=3").await?.body;
        let events: Vec<_> = (0..3).map(|at| history["items"][at]["event"].clone()).collect();
        let expected =
            ["deleted", "updated", "created"].map(|verb| json!(format!("{event}.{verb}")));
        assert_eq!(events, expected);
        let copied = harness.get("/v1/groups/production/history?limit=3").await?.body;
        assert_eq!(copied["items"][0]["from_group"], "test", "{copied}");
        assert_eq!(copied["items"][2]["reason"], "all alike", "{copied}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_refused_is_named() -> Result<()> {
    let harness = Harness::new()?;
    let test = "/v1/groups/test";
    harness.put(&format!("{test}/consumers/app"), json!({})).await?.expect(StatusCode::CREATED)?;
    let secret = json!({"credentials": {"a": {"type": "key-auth", "key": "hunter2"}}});
    let certificate =
        json!({"snis": ["a.com"], "certificate": "$env://CHAIN", "private_key": "$env://KEY"});
    let used = format!("{test}/certificates/used");
    harness.put(&used, certificate).await?.expect(StatusCode::CREATED)?;
    let shown = json!({"upstreams": {"default": {"tls": {"client_certificate": "used"}}}});
    let user = format!("{test}/services/shop");
    harness.put(&user, json!({"runtime": shown})).await?.expect(StatusCode::CREATED)?;
    // Method, path, body, status, code, code of the first diagnostic.
    let table = [
        (Method::PUT, "consumers/app", secret.clone(), 422, "validation_failed", "inline_secret"),
        (Method::PATCH, "consumers/app", secret, 422, "validation_failed", "inline_secret"),
        (Method::PUT, "certificates/web", json!({}), 422, "validation_failed", "missing_key"),
        (Method::PUT, "certificates/Web", json!({}), 422, "validation_failed", "bad_name"),
        (Method::GET, "certificates/Web", Value::Null, 404, "not_found", ""),
        (
            Method::DELETE,
            "certificates/used",
            Value::Null,
            409,
            "still_referenced",
            "unknown_certificate",
        ),
        (
            Method::PUT,
            "global-rules/all",
            json!({"plugins": {"cors": {}}}),
            422,
            "validation_failed",
            "unknown_plugin",
        ),
        (Method::POST, "consumers/app/copy", json!({}), 422, "validation_failed", "missing_key"),
        (
            Method::POST,
            "consumers/app/copy",
            json!({"to": "uat", "replace": "yes"}),
            422,
            "validation_failed",
            "wrong_type",
        ),
        (Method::POST, "consumers/app/copy", json!({"to": "test"}), 400, "malformed_request", ""),
        (Method::POST, "consumers/none/copy", json!({"to": "uat"}), 404, "not_found", ""),
        (Method::POST, "consumers/app/copy", json!({"to": "nowhere"}), 404, "not_found", ""),
    ];
    for (method, path, body, status, code, finding) in table {
        let context = format!("{method} {path} {body}");
        let reply = harness.call(method, &format!("{test}/{path}"), body).await?;
        assert!(!reply.text.contains("hunter2"), "{context}: the secret is repeated: {reply:?}");
        let status = StatusCode::from_u16(status)?;
        let problem = reply.expect_problem(status, code).context(context.clone())?;
        if !finding.is_empty() {
            assert_eq!(problem["diagnostics"][0]["code"], finding, "{context}: {problem}");
        }
    }
    Ok(())
}
