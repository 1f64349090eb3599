//! What every request goes through, outermost first: request id and the writing of problems,
//! metrics, panics, the token and its role.
//!
//! The order matters: the request id must be there when a panic becomes an answer, and a panic
//! must be an answer before it is counted.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::HttpBody as _;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Version, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;

use super::{Api, Guard, git};
use crate::auth::{self, Principal, Role};
use crate::dashboard;
use crate::problem::{Kind, Problem};

/// The header that carries the id of a request, in and out.
const REQUEST_ID: &str = "x-request-id";

/// The id of a request: the client's, when it is sane, else one of ours.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) Arc<str>);

/// Marks an answer as a page for people: whatever its status, it is written already.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page;

/// Who may call what, by path and method.
#[derive(Debug, Default)]
pub(super) struct Guards {
    paths: HashMap<&'static str, Vec<(Method, Guard)>>,
}

impl Guards {
    /// Sets the guard of an endpoint.
    pub(super) fn add(&mut self, path: &'static str, method: Method, guard: Guard) {
        self.paths.entry(path).or_default().push((method, guard));
    }

    /// The guard of a request that was routed to `path`. A method that the path does not take is
    /// guarded like the least guarded one that it takes: the answer only tells those.
    fn of(&self, path: &str, method: &Method) -> Guard {
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        let known = self.paths.get(path).map(Vec::as_slice).unwrap_or_default();
        let found = known.iter().find(|(known, _)| known == method).map(|(_, guard)| *guard);
        let open = known.iter().any(|(_, guard)| matches!(guard, Guard::Open | Guard::Page(_)));
        found.unwrap_or(if open { Guard::Open } else { Guard::READ })
    }
}

/// Puts the layers around the routes.
pub(super) fn wrap(router: Router<Api>, api: Api, guards: Guards) -> Router {
    let authenticator = Authenticator { api: api.clone(), guards: Arc::new(guards) };
    // The last layer added is the first that a request meets.
    router
        .layer(from_fn_with_state(authenticator, authenticate))
        .layer(CatchPanicLayer::custom(caught))
        .layer(from_fn_with_state(api.clone(), count))
        .layer(from_fn(identify))
        .with_state(api)
}

/// Gives the request its id and writes the problem, if the answer is one.
async fn identify(mut request: Request, next: Next) -> Response {
    let id: Arc<str> = match request.headers().get(REQUEST_ID).map(HeaderValue::to_str) {
        Some(Ok(text)) if is_sane_id(text) => text.into(),
        _ => uuid::Uuid::new_v4().to_string().into(),
    };
    request.extensions_mut().insert(RequestId(Arc::clone(&id)));
    let may_leave_a_body = request.version() < Version::HTTP_2 && !request.body().is_end_stream();
    let by_git = git::owns(request.uri().path());
    let span = tracing::info_span!("request", request_id = %id, method = %request.method());
    let mut response = next.run(request).instrument(span).await;
    let is_page = response.extensions().get::<Page>().is_some();
    if let Some(problem) = problem_of(&response).filter(|_| !is_page) {
        // git shows its user what is plain text.
        let rendered = if by_git { problem.render_text(&id) } else { problem.render(&id) };
        let (parts, body) = rendered.into_parts();
        let allow = response.headers_mut().remove(header::ALLOW);
        response = Response::from_parts(parts, body);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    // Whoever was refused before its body was read would find the connection closed at its next
    // request, if not told now.
    let refused = response.status().is_client_error() || response.status().is_server_error();
    if may_leave_a_body && refused {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// An id goes into logs and into the trailer of a commit: one line of plain text.
fn is_sane_id(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&b))
}

/// The problem that a response stands for; errors that the framework made included.
fn problem_of(response: &Response) -> Option<Problem> {
    if let Some(problem) = response.extensions().get::<Problem>() {
        return Some(problem.clone());
    }
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return None;
    }
    let (kind, detail) = match status {
        StatusCode::METHOD_NOT_ALLOWED => {
            (Kind::MethodNotAllowed, "the path exists; Allow names the methods that it takes")
        }
        StatusCode::NOT_FOUND => (Kind::NotFound, "there is nothing at this path"),
        StatusCode::PAYLOAD_TOO_LARGE => (Kind::PayloadTooLarge, "the body is over the limit"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => (Kind::UnsupportedMediaType, "send JSON or YAML"),
        _ if status.is_client_error() => (Kind::MalformedRequest, "the request could not be read"),
        _ => (Kind::Internal, "something went wrong here"),
    };
    Some(Problem::new(kind, detail))
}

/// Counts and times the answer.
async fn count(State(api): State<Api>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    api.metrics.request(&method, route, response.status(), begun.elapsed());
    response
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that the layer asks for")]
fn caught(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown");
    tracing::error!(panic = text, "request panicked");
    Problem::new(Kind::Internal, "something went wrong here; the log has it under the request id")
        .into_response()
}

#[derive(Clone)]
struct Authenticator {
    api: Api,
    guards: Arc<Guards>,
}

/// Lets a request through when it needs no token, or has one whose role suffices. Everything that
/// is routed needs one unless it is open; of what is not routed, everything under `/v1` and in the
/// repository does too, so that nobody without a token learns which paths there are.
async fn authenticate(
    State(authenticator): State<Authenticator>,
    mut request: Request,
    next: Next,
) -> Response {
    let Authenticator { api, guards } = authenticator;
    let path = request.uri().path();
    let guard = match request.extensions().get::<MatchedPath>() {
        Some(matched) => guards.of(matched.as_str(), request.method()),
        None if git::owns(path) => Guard::Git,
        None if path.starts_with("/v1") => Guard::READ,
        None => Guard::Open,
    };
    let role = match guard {
        Guard::Open => return next.run(request).await,
        Guard::Page(role) => return dashboard::admit(&api, role, request, next).await,
        Guard::Needs(role) => role,
        Guard::CheckIn => Role::Gateway,
        Guard::Git => git::role_needed(request.uri()),
    };
    let admitted = principal(&api, &request).and_then(|principal| {
        needs(&principal, role)?;
        if guard == Guard::CheckIn && !principal.role.checks_in() {
            return Err(forbidden(&principal, role));
        }
        Ok(principal)
    });
    match admitted {
        Ok(principal) => request.extensions_mut().insert(principal),
        Err(problem) => return problem.into_response(),
    };
    next.run(request).await
}

/// Refuses who may not do what a role may.
pub(crate) fn needs(principal: &Principal, role: Role) -> Result<(), Problem> {
    if principal.role >= role { Ok(()) } else { Err(forbidden(principal, role)) }
}

fn forbidden(principal: &Principal, role: Role) -> Problem {
    let Principal { name, role: has } = principal;
    let detail = format!("this needs the role {role}; the token {name:?} has the role {has}");
    Problem::new(Kind::Forbidden, detail)
}

fn principal(api: &Api, request: &Request) -> Result<Principal, Problem> {
    let headers = request.headers();
    let by_git = git::owns(request.uri().path());
    let token = match by_git {
        true => auth::bearer_or_password(headers),
        false => auth::bearer(headers).map(str::to_owned),
    };
    let known = token.as_deref().and_then(|token| api.door.identify(token));
    if let Some(principal) = known {
        return Ok(principal);
    }
    let (detail, challenge) = match (by_git, token) {
        (true, Some(_)) => ("the token is not known", GIT_CHALLENGE),
        (true, None) => ("give a token as the password, with any user name", GIT_CHALLENGE),
        (false, Some(_)) => {
            ("the token is not known", r#"Bearer realm="refgate", error="invalid_token""#)
        }
        (false, None) => ("send Authorization: Bearer <token>", r#"Bearer realm="refgate""#),
    };
    let challenge = HeaderValue::from_static(challenge);
    Err(Problem::new(Kind::Unauthenticated, detail)
        .with_header(header::WWW_AUTHENTICATE, challenge))
}

/// At this, git asks its user for a name and a password.
const GIT_CHALLENGE: &str = r#"Basic realm="refgate""#;

/// The answer of every path that is not in the table.
pub(super) fn no_such_path(request: &Request) -> Problem {
    let detail = match git::owns(request.uri().path()) {
        true => "the files of the repository are not served; git's smart protocol is spoken here",
        false => "there is nothing at this path",
    };
    Problem::new(Kind::NotFound, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids() {
        for id in ["a", "7f9c2b1e-0000-4000-8000-000000000000", "ci/run:42+x=y_z.@"] {
            assert!(is_sane_id(id), "{id}");
        }
        for id in ["", "a b", "a\tb", "ä", "a,b", "<x>", &"x".repeat(129)] {
            assert!(!is_sane_id(id), "{id}");
        }
    }
}
