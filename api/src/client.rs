//! The HTTP client of the command line: blocking, one function per kind of request.
//!
//! It knows the control plane by its HTTP contract alone: paths in [`endpoint`], the shapes that
//! tables are made of in [`view`], refusals in [`problem`]. It prints nothing and reads no
//! environment; what is shown to people is the business of [`crate::output`].

pub mod endpoint;
pub mod events;
pub mod problem;
pub mod server;
pub mod view;

use std::time::Duration;

use refgate_core::name::GroupName;
use serde_json::{Map, Value, json};
use ureq::http::{self, Method, StatusCode, header};

use self::endpoint::Endpoint;
use self::problem::Problem;
use self::server::{ServerUrl, Token};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request may take, beyond what it asked the server to wait.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest answer that is read; a list of many thousand services is far below.
const MAX_ANSWER_BYTES: u64 = 256 << 20;

/// A connection to one control plane.
#[derive(Debug)]
pub struct Client {
    agent: ureq::Agent,
    server: ServerUrl,
    token: Option<Token>,
    watch: Option<Watch>,
    patience: Duration,
}

/// Begins to watch a request that waits for the gateways of these groups, if any; what it gives is
/// dropped when the request is over.
pub type Watch = fn(&[GroupName]) -> Option<Box<dyn std::any::Any>>;

/// What the server answered to a request that it accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `ETag` of an object, for a later `If-Match`.
    pub etag: Option<String>,
    /// The body; `null` when there was none.
    pub body: Value,
}

/// What every write may carry besides its body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// Only plan the change.
    pub dry_run: bool,
    /// Answer when the gateways serve the change, or after so many seconds.
    pub wait: Option<u64>,
    /// The groups whose gateways are waited for, as far as the client's side knows them.
    pub waits_for: Vec<GroupName>,
    /// Only when the object still has this `ETag`.
    pub if_match: Option<String>,
    /// Only when it does what one of these plans says, to each group.
    pub expect_plan: Vec<String>,
    /// Only when the object does not exist yet.
    pub only_create: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection came about.
    #[error("cannot reach the control plane at {server}: {reason}")]
    Unreachable {
        /// The address that was tried.
        server: String,
        /// What the system said.
        reason: String,
    },
    /// The connection broke or fell silent after the request may have been sent.
    #[error("no answer from {server}: {reason}")]
    Interrupted {
        /// The address that was asked.
        server: String,
        /// What happened to the connection.
        reason: String,
    },
    /// Something answered that does not speak the API.
    #[error("{server} answered {status}, but not as a Refgate control plane")]
    NotRefgate {
        /// The address that was asked.
        server: String,
        /// The HTTP status of the answer.
        status: u16,
    },
    /// The server sends the client elsewhere; a token is not carried to another address.
    #[error("{server} redirects to {location}")]
    Redirected {
        /// The address that was asked.
        server: String,
        /// Where it points.
        location: String,
    },
    /// The answer came, but is not what the contract says.
    #[error(transparent)]
    Shape(#[from] view::ShapeError),
    /// The server refused.
    #[error("{0}")]
    Refused(Box<Problem>),
}

impl Client {
    /// A client of `server`; nothing is sent yet.
    #[must_use]
    pub fn new(server: ServerUrl, token: Option<Token>) -> Self {
        // A proxy of the environment is meant for the outside: an address of this machine is
        // never asked for through it.
        let proxy = if server.is_loopback() { None } else { ureq::Proxy::try_from_env() };
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .user_agent(concat!("refgate/", env!("CARGO_PKG_VERSION")))
            .proxy(proxy)
            .build();
        let agent = config.new_agent();
        Self { agent, server, token, watch: None, patience: REQUEST_TIMEOUT }
    }

    /// The same with somebody who watches each request.
    #[must_use]
    pub fn watched(mut self, watch: Watch) -> Self {
        self.watch = Some(watch);
        self
    }

    /// The same for somebody who does not wait longer than this for an answer.
    #[must_use]
    pub fn within(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Whether requests carry a token.
    #[must_use]
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Reads one object.
    ///
    /// # Errors
    /// When there is no answer, or a refusal.
    pub fn get(&self, endpoint: &Endpoint) -> Result<Answer, ClientError> {
        self.request(&Method::GET, endpoint, None, &WriteOptions::default())
    }

    /// Reads what the server answers when the gateways of a group serve something, or after so many
    /// seconds.
    ///
    /// # Errors
    /// When there is no answer, or a refusal.
    pub fn get_waiting(
        &self,
        endpoint: &Endpoint,
        group: &GroupName,
        seconds: u64,
    ) -> Result<Answer, ClientError> {
        let (wait, waits_for) = (Some(seconds), vec![group.clone()]);
        let options = WriteOptions { wait, waits_for, ..WriteOptions::default() };
        self.request(&Method::GET, endpoint, None, &options)
    }

    /// Reads a list through all of its pages, up to `limit` items. The result has the shape of
    /// one page.
    ///
    /// # Errors
    /// When there is no answer, or a refusal.
    pub fn list(&self, endpoint: &Endpoint, limit: Option<usize>) -> Result<Value, ClientError> {
        self.list_after(endpoint, None, limit)
    }

    /// The same, from the cursor of an earlier page on.
    ///
    /// # Errors
    /// When there is no answer, or a refusal.
    pub fn list_after(
        &self,
        endpoint: &Endpoint,
        mut after: Option<String>,
        limit: Option<usize>,
    ) -> Result<Value, ClientError> {
        let mut items = Vec::new();
        loop {
            let mut page = endpoint.clone();
            if let Some(limit) = limit {
                page = page.query("limit", &limit.saturating_sub(items.len()).to_string());
            }
            if let Some(cursor) = &after {
                page = page.query("after", cursor);
            }
            let answer = self.get(&page)?;
            let status = answer.status;
            let (Value::Object(mut body), before) = (answer.body, items.len()) else {
                return Err(self.not_refgate(status));
            };
            let Some(Value::Array(more)) = body.remove("items") else {
                return Err(self.not_refgate(status));
            };
            items.extend(more);
            let next = body.get("next").and_then(cursor_text);
            let full = limit.is_some_and(|limit| items.len() >= limit);
            // A page that brings nothing new ends the walk: the server could go on like that for
            // ever.
            let stuck = items.len() == before || next == after;
            if next.is_none() || full || stuck {
                let next = body.remove("next").unwrap_or(Value::Null);
                let mut list = Map::new();
                list.insert("items".to_owned(), Value::Array(items));
                list.insert("next".to_owned(), next);
                list.extend(body);
                return Ok(Value::Object(list));
            }
            after = next;
        }
    }

    /// Replaces or creates one object.
    ///
    /// # Errors
    /// When there is no answer, or a refusal.
    pub fn put(
        &self,
        endpoint: &Endpoint,
        document: &Value,
        options: &WriteOptions,
    ) -> Result<Answer, ClientError> {
        self.request(&Method::PUT, endpoint, Some(document), options)
    }

    /// Applies a merge patch to one object.
    ///
    /// # Errors
    /// When there is no answer, or a refusal.
    pub fn patch(
        &self,
        endpoint: &Endpoint,
        patch: &Value,
        options: &WriteOptions,
    ) -> Result<Answer, ClientError> {
        self.request(&Method::PATCH, endpoint, Some(patch), options)
    }

    /// Asks for an action: sync, rollback, a new version, several files at once.
    ///
    /// # Errors
    /// When there is no answer, or a refusal.
    pub fn post(
        &self,
        endpoint: &Endpoint,
        body: &Value,
        options: &WriteOptions,
    ) -> Result<Answer, ClientError> {
        self.request(&Method::POST, endpoint, Some(body), options)
    }

    /// Deletes one object.
    ///
    /// # Errors
    /// When there is no answer, or a refusal.
    pub fn delete(
        &self,
        endpoint: &Endpoint,
        options: &WriteOptions,
    ) -> Result<Answer, ClientError> {
        self.request(&Method::DELETE, endpoint, None, options)
    }

    fn request(
        &self,
        method: &Method,
        endpoint: &Endpoint,
        body: Option<&Value>,
        options: &WriteOptions,
    ) -> Result<Answer, ClientError> {
        let mut endpoint = endpoint.clone();
        if options.dry_run {
            endpoint = endpoint.query("dry_run", "true");
        }
        if let Some(seconds) = options.wait {
            endpoint = endpoint.query("wait", &seconds.to_string());
        }
        if !options.expect_plan.is_empty() {
            endpoint = endpoint.query("expect_plan", &options.expect_plan.join(","));
        }
        let mut request = self
            .begin(method, &endpoint)
            .header(header::ACCEPT, "application/json, application/problem+json");
        if let Some(etag) = &options.if_match {
            request = request.header(header::IF_MATCH, quoted(etag));
        }
        if options.only_create {
            request = request.header(header::IF_NONE_MATCH, "*");
        }
        let timeout = self.patience + Duration::from_secs(options.wait.unwrap_or(0));
        let _watching = self.watch.and_then(|watch| watch(&options.waits_for));
        let sent = match body {
            Some(body) => {
                // RFC 7396 has a type of its own; the server takes it as well as plain JSON.
                let media = if *method == Method::PATCH {
                    "application/merge-patch+json"
                } else {
                    "application/json"
                };
                request
                    .header(header::CONTENT_TYPE, media)
                    .body(body.to_string())
                    .map_err(ureq::Error::from)
                    .and_then(|request| self.run(request, timeout))
            }
            None => request
                .body(())
                .map_err(ureq::Error::from)
                .and_then(|request| self.run(request, timeout)),
        };
        let mut response = sent.map_err(|error| self.failed(&error))?;
        let bytes = self.bytes(&mut response)?;
        self.answer(response.status(), response.headers(), &bytes)
    }

    fn begin(&self, method: &Method, endpoint: &Endpoint) -> http::request::Builder {
        let request = http::Request::builder()
            .method(method.clone())
            .uri(self.server.join(&endpoint.target()));
        match &self.token {
            Some(token) => request.header(header::AUTHORIZATION, token.bearer()),
            None => request,
        }
    }

    fn bytes(&self, response: &mut http::Response<ureq::Body>) -> Result<Vec<u8>, ClientError> {
        let body = response.body_mut().with_config().limit(MAX_ANSWER_BYTES);
        body.read_to_vec().map_err(|error| self.failed(&error))
    }

    fn run(
        &self,
        request: http::Request<impl ureq::AsSendBody>,
        timeout: Duration,
    ) -> Result<http::Response<ureq::Body>, ureq::Error> {
        let request = self.agent.configure_request(request).timeout_global(Some(timeout)).build();
        self.agent.run(request)
    }

    fn answer(
        &self,
        status: StatusCode,
        headers: &http::HeaderMap,
        bytes: &[u8],
    ) -> Result<Answer, ClientError> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        if status.is_redirection() {
            let location = text(header::LOCATION).unwrap_or("nowhere").to_owned();
            return Err(ClientError::Redirected { server: self.server.to_string(), location });
        }
        let body = if bytes.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(bytes) };
        if status.is_success() {
            let body = body.map_err(|_| self.not_refgate(status.as_u16()))?;
            let etag = text(header::ETAG).map(str::to_owned);
            return Ok(Answer { status: status.as_u16(), etag, body });
        }
        let problem = body
            .ok()
            .and_then(|body| Problem::from_answer(status.as_u16(), body))
            .ok_or_else(|| self.not_refgate(status.as_u16()))?;
        let retry_after = text(header::RETRY_AFTER).and_then(|seconds| seconds.parse().ok());
        Err(ClientError::Refused(Box::new(problem.with_retry_after(retry_after))))
    }

    fn not_refgate(&self, status: u16) -> ClientError {
        ClientError::NotRefgate { server: self.server.to_string(), status }
    }

    fn failed(&self, error: &ureq::Error) -> ClientError {
        let server = self.server.to_string();
        let reason = reason(error);
        match error {
            ureq::Error::HostNotFound
            | ureq::Error::ConnectionFailed
            | ureq::Error::ConnectProxyFailed(_)
            | ureq::Error::Tls(_)
            | ureq::Error::Rustls(_)
            | ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
                ClientError::Unreachable { server, reason }
            }
            ureq::Error::Io(io) if io.kind() == std::io::ErrorKind::ConnectionRefused => {
                ClientError::Unreachable { server, reason }
            }
            _ => ClientError::Interrupted { server, reason },
        }
    }
}

/// What the system said, without the wrapping of the HTTP library.
fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(io) => match io.kind() {
            std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
            _ => io.to_string(),
        },
        ureq::Error::HostNotFound => "no such host".to_owned(),
        ureq::Error::Timeout(_) => "timed out".to_owned(),
        other => other.to_string(),
    }
}

/// An entity tag as the header wants it; people leave the quotes out, shells take them away.
fn quoted(etag: &str) -> String {
    if etag == "*" || etag.ends_with('"') { etag.to_owned() } else { format!("\"{etag}\"") }
}

/// Cursors are opaque: text or a number, sent back as they came.
fn cursor_text(next: &Value) -> Option<String> {
    match next {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// One name or a list of them, as `to` of a promotion takes it.
#[must_use]
pub fn one_or_many<T: std::fmt::Display>(names: &[T]) -> Value {
    match names {
        [one] => json!(one.to_string()),
        many => many.iter().map(|name| Value::from(name.to_string())).collect(),
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
