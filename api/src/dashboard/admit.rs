//! What every request to a page goes through: session, role, and for what writes, that the form was
//! ours. Problems become pages on the way out.

use axum::body::Body;
use axum::extract::{Form, FromRequest as _, Request};
use axum::http::header::{self, HeaderMap, HeaderName};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::form::Posted;
use super::page::{self, Theme, Visitor};
use super::session::Session;
use super::{live, sign_in};
use crate::auth::Role;
use crate::http::Api;
use crate::http::edge::{self, RequestId};
use crate::limits::BODY_ARRIVAL;
use crate::problem::{Kind, Problem};

/// The cookie that holds the id of a session.
pub(super) const SESSION: &str = "refgate_session";
/// The cookie that says how pages shall look.
pub(super) const THEME: &str = "refgate_theme";

/// The header by which htmx tells that it asks.
const BY_HTMX: &str = "hx-request";

/// Lets a request to a page through when somebody is signed in whose role suffices; sends everybody
/// else to the page where one signs in.
pub(crate) async fn admit(api: &Api, role: Role, request: Request, next: Next) -> Response {
    let Some(visitor) = visitor(api, &request) else { return signed_out(request).await };
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(visitor.clone());
    let mut typed = Posted::default();
    let admitted = async {
        edge::needs(&visitor.principal, role)?;
        if parts.method != Method::POST {
            return Ok(Request::from_parts(parts, body));
        }
        same_origin(&parts.headers)?;
        let posted = read(Request::from_parts(parts.clone(), body)).await?;
        typed.clone_from(&posted);
        if posted.text("csrf") != visitor.session.csrf {
            let detail = "the form was not made for this session: load the page anew and try again";
            return Err(Problem::new(Kind::Forbidden, detail));
        }
        parts.extensions.insert(posted);
        Ok(Request::from_parts(parts, Body::empty()))
    };
    let response = match admitted.await {
        Ok(request) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    match response.extensions().get::<Problem>() {
        Some(problem) => page::problem_page(&visitor, problem, &typed),
        None => response,
    }
}

/// Who is signed in behind a request. A token that was revoked is nobody's.
fn visitor(api: &Api, request: &Request) -> Option<Visitor> {
    let id = cookie(request.headers(), SESSION)?;
    let session: Session = api.sessions.find(id)?;
    let Some(principal) = api.door.holder(&session.token) else {
        api.sessions.end(id);
        return None;
    };
    let here = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    Some(Visitor {
        session,
        principal,
        theme: theme(request.headers()),
        here,
        request_id: request.extensions().get::<RequestId>()?.clone(),
        sessions: api.sessions.clone(),
        state: live::now(api),
    })
}

/// Asks who it is. What was typed into a form of ours is kept, and sent again by who signs in.
async fn signed_out(request: Request) -> Response {
    let is_form =
        *request.method() == Method::POST && !["/logout", "/theme"].contains(&request.uri().path());
    if !is_form || same_origin(request.headers()).is_err() {
        return to_sign_in(&request);
    }
    let here = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let theme = theme(request.headers());
    let page = match read(request).await {
        Ok(posted) => sign_in::keep(theme, &here, &posted),
        Err(problem) => Some(Err(problem)),
    };
    match page {
        Some(page) => page.unwrap_or_else(IntoResponse::into_response),
        None => page::redirect(&sign_in_at(&here)),
    }
}

fn to_sign_in(request: &Request) -> Response {
    let here = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let to = sign_in_at(here);
    if request.headers().contains_key(BY_HTMX) {
        let mut response = StatusCode::NO_CONTENT.into_response();
        if let Ok(to) = HeaderValue::from_str(&to) {
            response.headers_mut().insert(HeaderName::from_static("hx-redirect"), to);
        }
        return response;
    }
    page::redirect(&to)
}

/// Where one signs in to go on here.
fn sign_in_at(here: &str) -> String {
    match here {
        "/" | "/logout" | "/live" | "/theme" => "/login".to_owned(),
        here => format!("/login?next={}", escape(here)),
    }
}

/// A path as the value of a parameter of a query.
fn escape(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
                text.push(char::from(byte));
            }
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// Refuses what another site's page sends: browsers say where a form stood.
pub(super) fn same_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let refused = || {
        let detail = "the form was sent from another site";
        Err(Problem::new(Kind::Forbidden, detail))
    };
    let site = text(HeaderName::from_static("sec-fetch-site"));
    if site.is_some_and(|site| site != "same-origin" && site != "none") {
        return refused();
    }
    let Some(origin) = text(header::ORIGIN) else { return Ok(()) };
    let Some((_, authority)) = origin.split_once("://") else { return refused() };
    // A proxy may put its own name in the place of Host; no page can set either.
    let known = [text(header::HOST), text(HeaderName::from_static("x-forwarded-host"))];
    match known.into_iter().flatten().any(|host| host.eq_ignore_ascii_case(authority)) {
        true => Ok(()),
        false => refused(),
    }
}

/// The fields of a form.
pub(super) async fn read(request: Request) -> Result<Posted, Problem> {
    let malformed = |detail: String| Problem::new(Kind::MalformedRequest, detail);
    let read = Form::<Vec<(String, String)>>::from_request(request, &());
    match tokio::time::timeout(BODY_ARRIVAL, read).await {
        Ok(Ok(Form(pairs))) => Ok(Posted::new(pairs)),
        Ok(Err(error)) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(Problem::new(
            Kind::PayloadTooLarge,
            "the form is too large; the API and git push take more",
        )),
        Ok(Err(error)) => Err(malformed(error.body_text())),
        Err(_) => Err(malformed("the form did not arrive in time; send it again".to_owned())),
    }
}

/// A cookie of a request.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.trim(), value.trim())).find(|(key, _)| *key == name).map(|p| p.1)
}

/// How pages shall look.
pub(super) fn theme(headers: &HeaderMap) -> Theme {
    cookie(headers, THEME).map(Theme::named).unwrap_or_default()
}
