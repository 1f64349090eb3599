//! The requests of a gateway, over plain HTTP or TLS.

use std::io::BufReader;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use refgate_core::mirror::Update;
use refgate_core::name::{CommitId, GroupName};
use serde_json::{Value, json};
use ureq::http::{self, Method, StatusCode, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::ControlPlane;
use crate::file_state::FileState;
use crate::status::GatewayStatus;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take to begin, beyond what was asked to be waited.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// The same for a goodbye, which nobody waits for.
const PARTING: Duration = Duration::from_secs(2);
/// How long the rest of an answer may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(120);
/// The largest configuration that is read: many times that of 100,000 routes.
const MAX_UPDATE_BYTES: u64 = 1 << 30;
/// The largest answer of another kind.
const MAX_ANSWER_BYTES: u64 = 4 << 20;
/// Findings that are told with a check-in.
const FINDINGS: usize = 100;

/// Asks one control plane.
pub(crate) struct Client {
    agent: ureq::Agent,
    target: ControlPlane,
    /// The token's file as it was when its permissions were looked at.
    token_seen: Option<FileState>,
}

/// Why a control plane cannot be asked at all.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The authorities that were given cannot be used.
    #[error("cannot use the authorities in {}: {reason}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The system has none.
    #[error("cannot load the system's trusted certificates: {0}")]
    SystemAuthorities(std::io::Error),
}

/// Why there is no answer, for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Failed(pub(crate) String);

impl Client {
    pub(crate) fn new(target: ControlPlane) -> Result<Self, ClientError> {
        // A proxy of the environment is meant for the outside.
        let proxy = if target.url.loopback { None } else { ureq::Proxy::try_from_env() };
        let tls = TlsConfig::builder().root_certs(roots(target.ca.as_deref())?).build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            // A token is carried to no other address.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_body(Some(BODY_TIMEOUT))
            .user_agent(concat!("refgate-gateway/", env!("CARGO_PKG_VERSION")))
            .proxy(proxy)
            .build();
        Ok(Self { agent: config.new_agent(), target, token_seen: None })
    }

    /// Where it asks.
    pub(crate) fn address(&self) -> String {
        self.target.url.to_string()
    }

    /// What leads on from `since` (nothing: from nothing); nothing when nothing did for as long as
    /// `wait`.
    pub(crate) fn snapshot(
        &mut self,
        group: &GroupName,
        since: Option<CommitId>,
        wait: Duration,
    ) -> Result<Option<Update>, Failed> {
        let mut target = format!("/v1/groups/{group}/snapshot");
        let mut request = http::Request::builder().method(Method::GET);
        if let Some(since) = since {
            target = format!("{target}?since={since}");
            request = request.header(header::IF_NONE_MATCH, format!("\"{since}\""));
            request = request.header("prefer", format!("wait={}", wait.as_secs()));
        }
        let mut response = self.run(request, &target, &Value::Null, wait + ANSWER_TIMEOUT)?;
        match response.status() {
            StatusCode::OK => {
                let body = response.body_mut().with_config().limit(MAX_UPDATE_BYTES).reader();
                let update = serde_json::from_reader(BufReader::new(body));
                update.map(Some).map_err(|error| Failed(format!("its answer broke off: {error}")))
            }
            StatusCode::NOT_MODIFIED => Ok(None),
            _ => Err(refused(response)),
        }
    }

    /// Says how this gateway is.
    pub(crate) fn check_in(&mut self, status: &GatewayStatus) -> Result<(), Failed> {
        let request = http::Request::builder().method(Method::POST);
        let found = &status.diagnostics[..status.diagnostics.len().min(FINDINGS)];
        let body = json!({
            "instance": status.instance, "group": status.group, "version": status.version,
            "commit": status.commit, "state": status.state, "diagnostics": found,
            "message": status.message, "started_at": status.started_at,
        });
        let response = self.run(request, "/v1/gateways", &body, ANSWER_TIMEOUT)?;
        if response.status().is_success() { Ok(()) } else { Err(refused(response)) }
    }

    /// Says that this gateway stops, so that nobody waits for it.
    pub(crate) fn goodbye(&mut self, group: &GroupName, instance: &str) -> Result<(), Failed> {
        let request = http::Request::builder().method(Method::DELETE);
        let target = format!("/v1/gateways/{group}/{instance}");
        let response = self.run(request, &target, &Value::Null, PARTING)?;
        if response.status().is_success() { Ok(()) } else { Err(refused(response)) }
    }

    fn run(
        &mut self,
        request: http::request::Builder,
        target: &str,
        body: &Value,
        timeout: Duration,
    ) -> Result<http::Response<ureq::Body>, Failed> {
        let mut request = request
            .uri(self.target.url.join(target))
            .header(header::ACCEPT, "application/json, application/problem+json");
        if let Some(token) = self.token()? {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let timeout = Some(timeout);
        let sent = match body {
            Value::Null => request.body(()).map_err(ureq::Error::from).and_then(|request| {
                let request = self.agent.configure_request(request);
                self.agent.run(request.timeout_recv_response(timeout).build())
            }),
            body => request
                .header(header::CONTENT_TYPE, "application/json")
                .body(body.to_string())
                .map_err(ureq::Error::from)
                .and_then(|request| {
                    let request = self.agent.configure_request(request);
                    self.agent.run(request.timeout_recv_response(timeout).build())
                }),
        };
        sent.map_err(|error| Failed(reason(&error)))
    }

    /// The token as the file has it now.
    fn token(&mut self) -> Result<Option<String>, Failed> {
        let Some(path) = &self.target.token_file else { return Ok(None) };
        let shown = path.display();
        let now = FileState::of(&path.to_string_lossy());
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failed(format!("cannot read the token file {shown}: {error}")))?;
        if self.token_seen.as_ref() != Some(&now) {
            let mode = std::fs::metadata(path).map(|found| found.permissions().mode());
            if mode.is_ok_and(|mode| mode & 0o077 != 0) {
                tracing::warn!(path = %shown, "others can read the token file; chmod 600 keeps it secret");
            }
            self.token_seen = Some(now);
        }
        let token = text.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Failed(format!("the token file {shown} does not hold a token")));
        }
        Ok(Some(token.to_owned()))
    }
}

/// Whom to believe: the authorities of a file, or the system's.
fn roots(ca: Option<&Path>) -> Result<RootCerts, ClientError> {
    let certificates: Vec<Certificate<'static>> = match ca {
        None => rustls_native_certs::load_native_certs()
            .map_err(ClientError::SystemAuthorities)?
            .iter()
            .map(|certificate| Certificate::from_der(certificate).to_owned())
            .collect(),
        Some(path) => {
            let refuse = |reason| ClientError::Authorities { path: path.to_owned(), reason };
            let text = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
            let mut found = Vec::new();
            for item in parse_pem(&text) {
                if let PemItem::Certificate(one) =
                    item.map_err(|error| refuse(error.to_string()))?
                {
                    found.push(one);
                }
            }
            if found.is_empty() {
                return Err(refuse("it holds no certificate in PEM".to_owned()));
            }
            found
        }
    };
    Ok(RootCerts::new_with_certs(&certificates))
}

/// What a control plane says where it does not do what was asked.
fn refused(mut response: http::Response<ureq::Body>) -> Failed {
    let status = response.status();
    let body = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec();
    let problem: Value =
        body.ok().and_then(|body| serde_json::from_slice(&body).ok()).unwrap_or_default();
    match (problem["code"].as_str(), problem["detail"].as_str()) {
        (Some(code), Some(detail)) => Failed(format!("it answers {status} {code}: {detail}")),
        _ => Failed(format!("it answers {status}, but not as a Refgate control plane")),
    }
}

/// What the system said, without the wrapping of the HTTP library.
fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(io) if io.kind() == std::io::ErrorKind::ConnectionRefused => {
            "connection refused".to_owned()
        }
        ureq::Error::Io(io) => io.to_string(),
        ureq::Error::HostNotFound => "no such host".to_owned(),
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        other => other.to_string(),
    }
}
