//! Bad input: every row is a clear error of a known status and code, and changes nothing.
//! The rows are in [`rows`].

mod rows;

use anyhow::Context as _;
use refgate_tests::http::Client;
use refgate_tests::stage::Stage;
use serde_json::json;

use self::rows::{JSON, ROUTE, Row, SERVICE, SYNC, documents, requests};

/// test runs something newer than 1.0.0, uat runs 1.0.0.
fn prepared() -> anyhow::Result<Stage> {
    let stage = Stage::with_httpbin()?;
    stage.sync("test", "uat", Some("1.0.0"))?;
    let later = json!({"paths": ["/later"]});
    stage.api("PUT", "/v1/groups/test/services/httpbin/routes/later", &later)?.expect(201)?;
    Ok(stage)
}

#[test]
fn bad_input_is_refused_and_changes_nothing() -> anyhow::Result<()> {
    let stage = prepared()?;
    let git = stage.git();
    let before = git.refs()?;
    let mut failures = Vec::new();
    for row in documents().into_iter().chain(requests()) {
        let answer = stage.refgate.api.send(row.method, row.path, row.headers, &row.body)?;
        if let Err(failure) = refused(&row, &answer) {
            failures.push(format!("{}: {failure:#}\n    {}", row.why, answer.text));
        }
        if git.refs()? != before {
            anyhow::bail!("{}: something changed", row.why);
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    git.fsck()
}

fn refused(row: &Row, answer: &refgate_tests::http::Answer) -> anyhow::Result<()> {
    anyhow::ensure!(answer.status == row.status, "{} instead of {}", answer.status, row.status);
    let kind = answer.header("content-type").unwrap_or_default();
    anyhow::ensure!(kind == "application/problem+json", "content type {kind}");
    let problem = answer.body()?;
    let code = problem["code"].as_str().unwrap_or_default();
    anyhow::ensure!(code == row.code, "code {code} instead of {}", row.code);
    anyhow::ensure!(problem["status"] == row.status, "status in the body");
    for key in ["type", "title", "detail", "request_id"] {
        let text = problem[key].as_str();
        anyhow::ensure!(text.is_some_and(|text| !text.is_empty()), "no {key}");
    }
    let Some((code, file, pointer)) = row.diagnostic else {
        return Ok(());
    };
    let diagnostics = problem["diagnostics"].as_array().context("no diagnostics")?;
    let found = diagnostics.iter().any(|diagnostic| {
        diagnostic["code"] == code
            && diagnostic["file"] == file
            && diagnostic["pointer"] == pointer
            && diagnostic["severity"] == "error"
            && diagnostic["message"].as_str().is_some_and(|message| !message.is_empty())
    });
    anyhow::ensure!(found, "no diagnostic {code} at {file}#{pointer}");
    Ok(())
}

#[test]
fn all_findings_are_told_at_once() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let before = stage.git().refs()?;
    for (service, expected) in [
        // What each document says, all of them.
        (
            json!({
                "colour": "red",
                "routes": {"one": {"paths": ["/a/*/b", "/ok"], "priority": "x"}},
                "runtime": {"hosts": ["*"], "upstreams": {"default": {"scheme": "gopher"}}},
            }),
            &[
                "unknown_key services/orders/service.json#/colour",
                "bad_path services/orders/routes/one.json#/paths/0",
                "wrong_type services/orders/routes/one.json#/priority",
                "bad_host runtime/orders.json#/hosts/0",
                "bad_value runtime/orders.json#/upstreams/default/scheme",
            ][..],
        ),
        // What they say of each other.
        (
            json!({
                "routes": {
                    "one": {"paths": ["/one"], "upstream": "nowhere"},
                    "two": {"paths": ["/two"], "upstream": "elsewhere"},
                },
                "runtime": {"upstreams": {"default": {}}},
            }),
            &[
                "unknown_upstream services/orders/routes/one.json#/upstream",
                "unknown_upstream services/orders/routes/two.json#/upstream",
            ],
        ),
    ] {
        let problem = stage.api("PUT", SERVICE, &service)?.expect(422)?.body()?;
        let found: Vec<String> = problem["diagnostics"]
            .as_array()
            .context("no diagnostics")?
            .iter()
            .map(|each| {
                let part = |key: &str| each[key].as_str().unwrap_or_default();
                format!("{} {}#{}", part("code"), part("file"), part("pointer"))
            })
            .collect();
        for expected in expected {
            assert!(found.iter().any(|found| found == expected), "no {expected} in {found:#?}");
        }
    }
    assert_eq!(stage.git().refs()?, before);
    Ok(())
}

#[test]
fn nobody_writes_without_a_token() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    let before = stage.git().refs()?;
    let nobody = Client::new(stage.refgate.api.base());
    let route = json!({"paths": ["/new"]});
    for client in [
        nobody.clone(),
        nobody.clone().with("authorization", "Bearer wrong"),
        nobody.clone().with("authorization", "Bearer "),
        nobody.clone().with("authorization", "Basic cmc6cmc="),
    ] {
        for (method, path) in [
            ("GET", "/v1/groups"),
            ("GET", "/v1/services"),
            ("GET", "/v1/groups/test/history"),
            ("GET", "/v1/nothing"),
            ("PUT", ROUTE),
            ("DELETE", "/v1/groups/test/services/httpbin"),
            ("POST", SYNC),
        ] {
            let answer = match method {
                "PUT" | "POST" => client.json(method, path, &route)?,
                _ => client.send(method, path, &[], "")?,
            };
            let answer = answer.expect(401)?;
            assert_eq!(answer.body()?["code"], "unauthenticated");
            assert!(
                answer.header("www-authenticate").is_some_and(|how| how.starts_with("Bearer")),
                "{method} {path}"
            );
        }
    }
    for path in ["/healthz", "/readyz"] {
        nobody.get(path)?.expect(200)?;
    }
    assert_eq!(stage.git().refs()?, before);
    Ok(())
}

#[test]
fn a_body_over_the_limit_is_refused() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    let before = stage.git().refs()?;
    let route = json!({"paths": ["/new"], "description": "x".repeat(2 << 20)}).to_string();
    let answer = stage.refgate.api.send("PUT", ROUTE, JSON, &route)?.expect(413)?;
    assert_eq!(answer.body()?["code"], "payload_too_large");
    // A file may have 1 MiB; a request that is small enough may still carry too large a file.
    let route = json!({"paths": ["/new"], "description": "x".repeat(1 << 20)}).to_string();
    let answer = stage.refgate.api.send("PUT", ROUTE, JSON, &route)?;
    assert!([413, 422].contains(&answer.status), "{} {}", answer.status, answer.text);
    assert_eq!(stage.git().refs()?, before);
    stage.serves("test", "/headers", 200)?;
    Ok(())
}
