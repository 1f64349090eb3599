//! Bad input: every row is a clear error of a known status and code, and changes nothing.

use anyhow::Context as _;
use refgate_tests::http::Client;
use refgate_tests::stage::Stage;
use serde_json::{Value, json};

/// One request that must be refused.
struct Row {
    why: &'static str,
    method: &'static str,
    path: &'static str,
    body: String,
    status: u16,
    code: &'static str,
    /// A diagnostic that must be among those reported: code, file and pointer.
    diagnostic: Option<(&'static str, &'static str, &'static str)>,
    headers: &'static [(&'static str, &'static str)],
}

const SERVICE: &str = "/v1/groups/test/services/orders";
const ROUTE: &str = "/v1/groups/test/services/httpbin/routes/new";
const ROUTE_FILE: &str = "services/httpbin/routes/new.json";
const RUNTIME: &str = "/v1/groups/test/services/httpbin/runtime";
const RUNTIME_FILE: &str = "runtime/httpbin.json";
const VERSIONS: &str = "/v1/groups/test/services/httpbin/versions";
const SYNC: &str = "/v1/groups/test/services/httpbin/sync";
const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

fn row(
    why: &'static str,
    method: &'static str,
    path: &'static str,
    body: impl ToString,
    status: u16,
    code: &'static str,
) -> Row {
    let body = body.to_string();
    Row { why, method, path, body, status, code, diagnostic: None, headers: JSON }
}

impl Row {
    fn with(mut self, headers: &'static [(&'static str, &'static str)]) -> Self {
        self.headers = headers;
        self
    }
}

/// A document that does not validate: 422 with this diagnostic among the others.
fn invalid(
    why: &'static str,
    path: &'static str,
    body: impl ToString,
    diagnostic: (&'static str, &'static str, &'static str),
) -> Row {
    let diagnostic = Some(diagnostic);
    Row { diagnostic, ..row(why, "PUT", path, body, 422, "validation_failed") }
}

fn documents() -> Vec<Row> {
    let route = |key: &str, value: Value| {
        let mut route = json!({"paths": ["/new"]});
        route[key] = value;
        route
    };
    vec![
        row("not JSON", "PUT", ROUTE, r#"{"paths": ["/new""#, 400, "malformed_request"),
        row("no body", "PUT", ROUTE, "", 400, "malformed_request"),
        row("not JSON, patch", "PATCH", RUNTIME, "{", 400, "malformed_request"),
        invalid("an array", ROUTE, "[]", ("wrong_type", ROUTE_FILE, "")),
        invalid(
            "an unknown key",
            ROUTE,
            route("path", json!("/new")),
            ("unknown_key", ROUTE_FILE, "/path"),
        ),
        invalid(
            "an unknown key further down",
            ROUTE,
            route("match", json!({"headers": [{"name": "x", "valeu": "1"}]})),
            ("unknown_key", ROUTE_FILE, "/match/headers/0/valeu"),
        ),
        invalid(
            "a duplicate key",
            ROUTE,
            r#"{"paths": ["/new"], "paths": ["/other"]}"#,
            ("duplicate_key", "", "/paths"),
        ),
        invalid(
            "a wrong type",
            ROUTE,
            route("priority", json!("high")),
            ("wrong_type", ROUTE_FILE, "/priority"),
        ),
        invalid("no paths", ROUTE, json!({}), ("missing_key", ROUTE_FILE, "/paths")),
        invalid(
            "`*` in the middle of a path",
            ROUTE,
            json!({"paths": ["/a/*/b"]}),
            ("bad_path", ROUTE_FILE, "/paths/0"),
        ),
        invalid(
            "a path that normalising changes",
            ROUTE,
            json!({"paths": ["/ok", "/a/../b"]}),
            ("bad_path", ROUTE_FILE, "/paths/1"),
        ),
        invalid(
            "a broken regular expression",
            ROUTE,
            json!({"paths": ["~/a("]}),
            ("bad_regex", ROUTE_FILE, "/paths/0"),
        ),
        invalid(
            "an unknown method",
            ROUTE,
            route("methods", json!(["FETCH"])),
            ("bad_value", ROUTE_FILE, "/methods/0"),
        ),
        invalid(
            "an upstream that does not exist",
            ROUTE,
            route("upstream", json!("nowhere")),
            ("unknown_upstream", ROUTE_FILE, "/upstream"),
        ),
        invalid(
            "an unknown plugin",
            ROUTE,
            route("plugins", json!({"magic": {}})),
            ("unknown_plugin", ROUTE_FILE, "/plugins/magic"),
        ),
        invalid(
            "a route that ties with another",
            ROUTE,
            json!({"paths": ["/headers"], "methods": ["GET"]}),
            ("route_conflict", ROUTE_FILE, "/paths"),
        ),
        invalid(
            "an upstream that is still used",
            RUNTIME,
            json!({"upstreams": {"other": {}}}),
            ("unknown_upstream", "services/httpbin/routes/get-headers.json", "/upstream"),
        ),
        invalid(
            "a host with a port",
            RUNTIME,
            json!({"hosts": ["a.example.com:80"], "upstreams": {"default": {}}}),
            ("bad_host", RUNTIME_FILE, "/hosts/0"),
        ),
        invalid(
            "a port that is none",
            RUNTIME,
            json!({"upstreams": {"default": {"nodes": [{"host": "a", "port": 70000}]}}}),
            ("bad_value", RUNTIME_FILE, "/upstreams/default/nodes/0/port"),
        ),
        invalid(
            "a time of nothing",
            RUNTIME,
            json!({"upstreams": {"default": {"timeout": {"connect": 0}}}}),
            ("bad_value", RUNTIME_FILE, "/upstreams/default/timeout/connect"),
        ),
        invalid(
            "a variable that the group lacks",
            RUNTIME,
            json!({"hosts": ["$var://host"], "upstreams": {"default": {}}}),
            ("unresolved_variable", RUNTIME_FILE, "/hosts/0"),
        ),
        invalid(
            "a bad name of a route in a service",
            SERVICE,
            json!({"routes": {"Not A Name": {"paths": ["/"]}}, "runtime": {}}),
            ("bad_name", "services/orders/service.json", "/routes/Not A Name"),
        ),
    ]
}

fn requests() -> Vec<Row> {
    let route = || json!({"paths": ["/new"]});
    vec![
        row(
            "a bad name of a service",
            "PUT",
            "/v1/groups/test/services/Orders",
            json!({}),
            422,
            "validation_failed",
        ),
        row(
            "a bad name of a route",
            "PUT",
            "/v1/groups/test/services/httpbin/routes/a_b",
            route(),
            422,
            "validation_failed",
        ),
        row(
            "a group that does not exist",
            "PUT",
            "/v1/groups/nowhere/services/a",
            json!({}),
            404,
            "not_found",
        ),
        row(
            "a service that does not exist",
            "PUT",
            "/v1/groups/test/services/nothing/routes/a",
            route(),
            404,
            "not_found",
        ),
        row("a path that does not exist", "GET", "/v1/nothing", "", 404, "not_found"),
        row(
            "a method that does not exist",
            "DELETE",
            "/v1/services",
            "",
            405,
            "method_not_allowed",
        ),
        row("a media type that is none", "PUT", ROUTE, route(), 415, "unsupported_media_type")
            .with(&[("content-type", "text/csv")]),
        row(
            "a bad query",
            "GET",
            "/v1/groups/test/history?limit=many",
            "",
            400,
            "malformed_request",
        ),
        row(
            "an etag of the past",
            "PUT",
            "/v1/groups/test/services/httpbin/routes/get-headers",
            route(),
            412,
            "precondition_failed",
        )
        .with(&[("content-type", "application/json"), ("if-match", "\"0000\"")]),
        row(
            "creating what exists",
            "PUT",
            "/v1/groups/test/services/httpbin/routes/get-headers",
            route(),
            412,
            "precondition_failed",
        )
        .with(&[("content-type", "application/json"), ("if-none-match", "*")]),
        row(
            "a group that exists",
            "POST",
            "/v1/groups",
            json!({"name": "uat"}),
            409,
            "already_exists",
        ),
        row(
            "a bad version number",
            "POST",
            VERSIONS,
            json!({"version": "1.0"}),
            422,
            "bad_version",
        ),
        row(
            "a version number with a v",
            "POST",
            SYNC,
            json!({"to": "uat", "version": "v1.1.0"}),
            422,
            "bad_version",
        ),
        row(
            "a version that is taken",
            "POST",
            VERSIONS,
            json!({"version": "1.0.0"}),
            409,
            "version_taken",
        ),
        row(
            "a sync as a version that is taken",
            "POST",
            SYNC,
            json!({"to": "uat", "version": "1.0.0"}),
            409,
            "version_taken",
        ),
        row(
            "a second number for a content",
            "POST",
            "/v1/groups/uat/services/httpbin/versions",
            json!({"version": "2.0.0"}),
            409,
            "content_already_versioned",
        ),
        row(
            "a sync under another number",
            "POST",
            "/v1/groups/uat/services/httpbin/sync",
            json!({"to": "production", "version": "2.0.0"}),
            409,
            "version_mismatch",
        ),
        row("a sync without a number", "POST", SYNC, json!({"to": "uat"}), 422, "version_required"),
        row(
            "a sync to nowhere",
            "POST",
            SYNC,
            json!({"to": "nowhere", "version": "1.1.0"}),
            404,
            "not_found",
        ),
        row(
            "a sync past the gate",
            "POST",
            SYNC,
            json!({"to": "production", "version": "1.1.0"}),
            409,
            "promotion_gate",
        ),
        row(
            "a rollback to a version that never was",
            "POST",
            "/v1/groups/uat/services/httpbin/rollback",
            json!({"version": "9.9.9"}),
            404,
            "not_found",
        ),
    ]
}

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
