//! Requests and answers.
//!
//! An answer of any status is an answer, not an error: tests say which one they expect.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use ureq::http::{HeaderMap, Request, StatusCode};

/// A client with a base address and headers that go with every request. Clones share
/// their connections.
#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    base: String,
    headers: Vec<(String, String)>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    request: String,
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, lossily decoded.
    pub text: String,
}

impl Client {
    /// A client for `base`, such as `http://127.0.0.1:7080`.
    pub fn new(base: &str) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .new_agent();
        Self { agent, base: base.to_owned(), headers: Vec::new() }
    }

    /// The same client with one more header on every request.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The base address.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// GET.
    pub fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.send("GET", path, &[], "")
    }

    /// A request with a JSON body.
    pub fn json(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<Answer> {
        let headers = [("content-type", "application/json")];
        self.send(method, path, &headers, &body.to_string())
    }

    /// A request as given.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> anyhow::Result<Answer> {
        let url = format!("{}{path}", self.base);
        let name = format!("{method} {url}");
        let mut request = Request::builder().method(method).uri(&url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let sent = if body.is_empty() {
            self.agent.run(request.body(())?)
        } else {
            self.agent.run(request.body(body)?)
        };
        let mut response = sent.with_context(|| name.clone())?;
        let body = response.body_mut().read_to_vec().with_context(|| name.clone())?;
        Ok(Answer {
            request: name,
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: String::from_utf8_lossy(&body).into_owned(),
        })
    }
}

impl Answer {
    /// This answer, or an error that shows it when its status is another one.
    pub fn expect(self, status: u16) -> anyhow::Result<Self> {
        anyhow::ensure!(
            self.status == status,
            "{}: expected {status}, got {}: {}",
            self.request,
            StatusCode::from_u16(self.status)?,
            self.text
        );
        Ok(self)
    }

    /// The body as JSON.
    pub fn body(&self) -> anyhow::Result<Value> {
        serde_json::from_str(&self.text)
            .with_context(|| format!("{}: not JSON: {}", self.request, self.text))
    }

    /// A header, when there is one.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
