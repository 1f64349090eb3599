//! The rows of the table: what is sent, and how it must be refused.

use serde_json::{Value, json};

/// One request that must be refused.
pub(super) struct Row {
    pub(super) why: &'static str,
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) body: String,
    pub(super) status: u16,
    pub(super) code: &'static str,
    /// A diagnostic that must be among those reported: code, file and pointer.
    pub(super) diagnostic: Option<(&'static str, &'static str, &'static str)>,
    pub(super) headers: &'static [(&'static str, &'static str)],
}

pub(super) const SERVICE: &str = "/v1/groups/test/services/orders";
pub(super) const ROUTE: &str = "/v1/groups/test/services/httpbin/routes/new";
const ROUTE_FILE: &str = "services/httpbin/routes/new.json";
const RUNTIME: &str = "/v1/groups/test/services/httpbin/runtime";
const RUNTIME_FILE: &str = "runtime/httpbin.json";
const VERSIONS: &str = "/v1/groups/test/services/httpbin/versions";
pub(super) const SYNC: &str = "/v1/groups/test/services/httpbin/sync";
pub(super) const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

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

pub(super) fn documents() -> Vec<Row> {
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

pub(super) fn requests() -> Vec<Row> {
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
