//! The router against a temporary repository: what every endpoint has in common here, the rest by
//! subject in the files below.

mod access;
mod bad_input;
mod conditional;
mod damage;
mod fleet;
mod gateways;
mod git;
mod import;
mod matching;
mod object;
mod openapi;
mod snapshot;
mod story;

use anyhow::{Context, Result};
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use refgate_core::repository::Repository;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{Api, Guard, endpoints, router};
use crate::auth::{Access, Role, Token};
use crate::blocking::Store;
use crate::fleet::{Fleet, StatusReceiver};
use crate::openapi::testing::check_answer;

/// A control plane over a new repository.
struct Harness {
    api: Api,
    token: Token,
    _directory: tempfile::TempDir,
}

/// An answer, read whole.
#[derive(Debug)]
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
    body: Value,
}

impl Harness {
    fn new() -> Result<Self> {
        Self::with_instances([])
    }

    fn with_instances(instances: impl IntoIterator<Item = StatusReceiver>) -> Result<Self> {
        Self::over(tempfile::tempdir()?, instances)
    }

    /// A control plane over what a directory has.
    fn over(
        directory: tempfile::TempDir,
        instances: impl IntoIterator<Item = StatusReceiver>,
    ) -> Result<Self> {
        let clock = std::sync::Arc::new(jiff::Timestamp::now);
        let repository = Repository::open_or_create(&directory.path().join("config.git"), clock)?;
        let token = Token::generate();
        let mut access = Access::default();
        access.set_admin(token.hash(), "2026-01-01T00:00:00Z");
        let api = Api::new(Store::new(repository), Fleet::of(instances), access);
        Ok(Self { api, token, _directory: directory })
    }

    /// A request with the token and a JSON body, unless it says otherwise.
    fn request(&self, method: &Method, path: &str) -> axum::http::request::Builder {
        Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token.reveal()))
    }

    /// The answer, which must be one that the document of the API tells of.
    async fn send(&self, request: Request<Body>) -> Result<Reply> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = router(self.api.clone()).oneshot(request).await?;
        let (parts, body) = response.into_parts();
        let text = String::from_utf8(to_bytes(body, 1 << 24).await?.to_vec())?;
        check_answer(&method, &path, (parts.status, &parts.headers, &text))?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Reply { status: parts.status, headers: parts.headers, text, body })
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> Result<Reply> {
        let request = self.request(&method, path);
        let request = match body {
            Value::Null => request.body(Body::empty())?,
            body => request
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from(body.to_string()))?,
        };
        self.send(request).await
    }

    /// The same as somebody else: a new token of this role, known from now on.
    fn of_role(&self, name: &str, role: Role) -> (Token, String) {
        let token = Token::generate();
        let mut access = Access::clone(&self.api.door.access());
        access.add(name, token.hash(), role, "2026-01-01T00:00:00Z");
        self.api.door.change(access);
        let bearer = format!("Bearer {}", token.reveal());
        (token, bearer)
    }

    async fn get(&self, path: &str) -> Result<Reply> {
        self.call(Method::GET, path, Value::Null).await
    }

    async fn put(&self, path: &str, body: Value) -> Result<Reply> {
        self.call(Method::PUT, path, body).await
    }

    async fn post(&self, path: &str, body: Value) -> Result<Reply> {
        self.call(Method::POST, path, body).await
    }

    /// The service `httpbin` in the group `test`, live.
    async fn with_httpbin(self) -> Result<Self> {
        let reply = self.put("/v1/groups/test/services/httpbin", httpbin()).await?;
        anyhow::ensure!(reply.status == StatusCode::CREATED, "{reply:?}");
        Ok(self)
    }
}

impl Reply {
    /// Checks the status and gives the body.
    fn expect(self, status: StatusCode) -> Result<Value> {
        anyhow::ensure!(self.status == status, "expected {status}: {self:?}");
        Ok(self.body)
    }

    /// Checks that the answer is a whole problem with this code and gives the body.
    fn expect_problem(self, status: StatusCode, code: &str) -> Result<Value> {
        let content_type = self.headers.get(header::CONTENT_TYPE).context("a content type")?;
        anyhow::ensure!(content_type == "application/problem+json", "{self:?}");
        anyhow::ensure!(self.status == status && self.body["code"] == code, "{code}: {self:?}");
        anyhow::ensure!(self.body["status"] == status.as_u16(), "{self:?}");
        let id = self.headers.get("x-request-id").context("a request id")?.to_str()?;
        anyhow::ensure!(self.body["request_id"] == id, "{self:?}");
        for key in ["type", "title", "detail"] {
            anyhow::ensure!(self.body[key].as_str().is_some_and(|t| !t.is_empty()), "{self:?}");
        }
        Ok(self.body)
    }

    /// Checks that the answer is a line of text for a person behind git.
    fn expect_text(self, status: StatusCode, code: &str) -> Result<String> {
        let content_type = self.headers.get(header::CONTENT_TYPE).context("a content type")?;
        anyhow::ensure!(content_type == "text/plain; charset=utf-8", "{self:?}");
        anyhow::ensure!(self.status == status, "expected {status}: {self:?}");
        anyhow::ensure!(self.text.starts_with(code) && self.text.ends_with(")\n"), "{self:?}");
        Ok(self.text)
    }

    fn etag(&self) -> Result<String> {
        Ok(self.headers.get(header::ETAG).context("an ETag")?.to_str()?.to_owned())
    }
}

fn httpbin() -> Value {
    json!({
        "description": "echo",
        "routes": {"get-headers": {"paths": ["/headers"], "methods": ["GET"]}},
        "runtime": {
            "hosts": ["test.acme.com"],
            "upstreams": {"default": {
                "nodes": [{"host": "127.0.0.1", "port": 8081}], "pass_host": "node"
            }}
        }
    })
}

/// A path of the table with names in the place of its parameters.
fn sample(path: &str) -> String {
    path.replace("{group}", "test")
        .replace("{service}", "httpbin")
        .replace("{route}", "get-headers")
        .replace("{consumer}", "app")
        .replace("{certificate}", "web")
        .replace("{rule}", "all")
        .replace("{token}", "ci")
        .replace("{instance}", "one")
        .replace("{version}", "1.0.0")
        .replace("{commit}", &"0".repeat(40))
}

#[tokio::test]
async fn without_a_token_nothing_of_v1_answers() -> Result<()> {
    let harness = Harness::new()?;
    let authorizations =
        [None, Some("Bearer wrong-token-here"), Some("Basic YWRtaW46eA=="), Some("Bearer ")];
    for endpoint in endpoints() {
        let guarded = (endpoint.path.starts_with("/v1/") && endpoint.path != "/v1/openapi.json")
            || endpoint.path.starts_with("/config.git");
        assert_eq!(guarded, endpoint.guard != Guard::Open, "{}", endpoint.path);
        for authorization in authorizations {
            let mut request =
                Request::builder().method(&endpoint.method).uri(sample(endpoint.path));
            if let Some(value) = authorization {
                request = request.header(header::AUTHORIZATION, value);
            }
            let reply = harness.send(request.body(Body::from("{}"))?).await?;
            let context = format!("{} {} {authorization:?}", endpoint.method, endpoint.path);
            if endpoint.guard == Guard::Open {
                assert_eq!(reply.status, StatusCode::OK, "{context}");
                continue;
            }
            if endpoint.guard == Guard::Git {
                reply.expect_text(StatusCode::UNAUTHORIZED, "unauthenticated").context(context)?;
                continue;
            }
            let challenge = reply.headers.get(header::WWW_AUTHENTICATE).cloned();
            reply.expect_problem(StatusCode::UNAUTHORIZED, "unauthenticated").context(context)?;
            assert!(challenge.is_some_and(|value| value.as_bytes().starts_with(b"Bearer")));
        }
    }
    for (method, path) in [(Method::GET, "/v1/no/such/path"), (Method::PUT, "/v1/groups")] {
        let request = Request::builder().method(method).uri(path).body(Body::empty())?;
        let reply = harness.send(request).await?;
        reply.expect_problem(StatusCode::UNAUTHORIZED, "unauthenticated")?;
    }
    Ok(())
}

#[tokio::test]
async fn no_endpoint_takes_a_parameter_that_it_does_not_know() -> Result<()> {
    let harness = Harness::new()?;
    for endpoint in endpoints() {
        let path = format!("{}?nonsense=1", sample(endpoint.path));
        let body = if endpoint.method == Method::GET { Value::Null } else { json!({}) };
        let reply = harness.call(endpoint.method.clone(), &path, body).await?;
        let context = format!("{} {path}", endpoint.method);
        if endpoint.guard == Guard::Git {
            reply.expect_text(StatusCode::BAD_REQUEST, "malformed_request").context(context)?;
            continue;
        }
        reply.expect_problem(StatusCode::BAD_REQUEST, "malformed_request").context(context)?;
    }
    Ok(())
}

#[tokio::test]
async fn every_read_of_a_group_that_is_not_there_is_not_found() -> Result<()> {
    let harness = Harness::new()?;
    for endpoint in endpoints() {
        if endpoint.method == Method::GET && endpoint.path.contains("{group}") {
            let mut path = sample(&endpoint.path.replace("{group}", "nowhere"));
            if endpoint.path.ends_with("/diff") {
                path += "?to=test";
            }
            let reply = harness.get(&path).await?;
            reply.expect_problem(StatusCode::NOT_FOUND, "not_found").context(path)?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() -> Result<()> {
    let harness = Harness::new()?;
    for path in ["/nothing", "/v1", "/v1/nothing", "/v1/groups/"] {
        harness.get(path).await?.expect_problem(StatusCode::NOT_FOUND, "not_found")?;
    }
    let reply = harness.call(Method::DELETE, "/v1/groups", Value::Null).await?;
    let allow = reply.headers.get(header::ALLOW).context("Allow")?.to_str()?.to_owned();
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
    reply.expect_problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed")?;
    Ok(())
}

#[tokio::test]
async fn request_ids_are_taken_over_when_sane() -> Result<()> {
    let harness = Harness::new()?;
    for (sent, taken) in [("ci-42", true), ("two words", false), (&"x".repeat(200), false)] {
        let request = harness.request(&Method::GET, "/v1/groups").header("x-request-id", sent);
        let reply = harness.send(request.body(Body::empty())?).await?;
        let id = reply.headers.get("x-request-id").context("an id")?.to_str()?.to_owned();
        assert_eq!(id == sent, taken, "{sent}");
        assert!(!id.is_empty());
    }
    Ok(())
}

#[tokio::test]
async fn a_panic_is_an_answer() -> Result<()> {
    async fn handler() {
        panic!("on purpose");
    }
    let harness = Harness::new()?;
    let mut guards = super::edge::Guards::default();
    guards.add("/boom", Method::GET, Guard::Open);
    let routes = axum::Router::new().route("/boom", axum::routing::get(handler));
    let router = super::edge::wrap(routes, harness.api.clone(), guards);
    let response = router.oneshot(Request::get("/boom").body(Body::empty())?).await?;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let body: Value = serde_json::from_slice(&to_bytes(response.into_body(), 1 << 16).await?)?;
    assert_eq!(body["code"], "internal");
    assert!(!body.to_string().contains("on purpose"), "the cause is for the log");
    Ok(())
}

#[tokio::test]
async fn probes_and_metrics() -> Result<()> {
    let harness = Harness::new()?.with_httpbin().await?;
    harness.get("/v1/groups/test").await?.expect(StatusCode::OK)?;
    harness.get("/readyz").await?.expect(StatusCode::OK)?;
    let page = harness.get("/metrics").await?.text;
    let sample =
        r#"refgate_http_requests_total{method="GET",route="/v1/groups/{group}",status="200"} 1"#;
    assert!(page.contains(sample), "{page}");
    assert!(page.contains(r#"refgate_writes_total{outcome="changed"} 1"#), "{page}");

    harness.api.begin_drain();
    let reply = harness.get("/readyz").await?;
    assert!(reply.headers.contains_key(header::RETRY_AFTER));
    reply.expect_problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable")?;
    harness.get("/healthz").await?.expect(StatusCode::OK)?;
    Ok(())
}
