//! Signing in with a token and out again, and how pages shall look.

use askama::Template;
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;

use super::Answer;
use super::admit::{self, SESSION, THEME};
use super::form::Posted;
use super::page::{self, Asked, Frame, Theme, Visitor, html_with, is_local};
use super::session::LIFETIME;
use crate::auth::{Role, TokenHash};
use crate::http::Api;
use crate::server::accept::Peer;

/// What the fields of a form that is kept are called while somebody signs in.
const KEPT: &str = "kept/";

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: Frame,
    next: String,
    error: Option<String>,
    /// The fields of a form that was sent by nobody who is known, under names of their own.
    kept: Vec<(String, String)>,
}

/// A form that was kept, to be sent again.
#[derive(Template)]
#[template(path = "resume.html")]
struct ResumePage {
    frame: Frame,
    csrf: String,
    to: String,
    kept: Vec<(String, String)>,
}

fn page(status: StatusCode, theme: Theme, next: &str, error: Option<String>) -> Answer {
    page_with(status, theme, next, error, Vec::new())
}

fn page_with(
    status: StatusCode,
    theme: Theme,
    next: &str,
    error: Option<String>,
    kept: Vec<(String, String)>,
) -> Answer {
    let next = if is_local(next) { next.to_owned() } else { "/".to_owned() };
    html_with(status, &LoginPage { frame: Frame::of_nobody("Sign in", theme), next, error, kept })
}

/// The page for who sent a form and is not known any more, with what was typed; nothing when that is
/// nothing.
pub(super) fn keep(theme: Theme, here: &str, posted: &Posted) -> Option<Answer> {
    let kept = posted.pairs().iter().filter(|(name, _)| name != "csrf");
    let kept: Vec<(String, String)> =
        kept.map(|(name, text)| (format!("{KEPT}{name}"), text.clone())).collect();
    if kept.is_empty() {
        return None;
    }
    let error = "You were signed out, and nothing was saved. What you typed is kept: sign in, and \
                 send it again.";
    Some(page_with(StatusCode::UNAUTHORIZED, theme, here, Some(error.to_owned()), kept))
}

pub(super) async fn show(asked: Asked, headers: HeaderMap) -> Answer {
    page(StatusCode::OK, admit::theme(&headers), asked.text("next"), None)
}

pub(super) async fn enter(State(api): State<Api>, request: Request) -> Answer {
    let headers = request.headers().clone();
    let theme = admit::theme(&headers);
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
    if let Err(refused) = admit::same_origin(&headers) {
        return page(StatusCode::FORBIDDEN, theme, "/", Some(sentence(refused.detail())));
    }
    let posted = match admit::read(request).await {
        Ok(posted) => posted,
        Err(problem) => {
            let error = Some(sentence(problem.detail()));
            return page(problem.kind().status(), theme, "/", error);
        }
    };
    let next = posted.text("next");
    let kept: Vec<(String, String)> =
        posted.pairs().iter().filter(|(name, _)| name.starts_with(KEPT)).cloned().collect();
    if let Some(wait) = api.sessions.attempt(peer) {
        let seconds = wait.as_secs().max(1);
        let error = format!("Too many attempts from this address. Try again in {seconds} seconds.");
        let status = StatusCode::TOO_MANY_REQUESTS;
        let mut response = page_with(status, theme, next, Some(error), kept)?;
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        return Ok(response);
    }
    let token = TokenHash::of(posted.text("token").trim());
    let error = match api.door.holder(&token) {
        Some(principal) if principal.role >= Role::Viewer => {
            api.sessions.welcome(peer);
            tracing::info!(token = %principal.name, "signed in on the dashboard");
            let id = api.sessions.begin(token);
            let mut response = match api.sessions.find(&id) {
                Some(session) if !kept.is_empty() && is_local(next) => {
                    resume(theme, session.csrf, next, &posted)?
                }
                _ => page::redirect(if is_local(next) { next } else { "/" }),
            };
            set_cookie(&mut response, &headers, SESSION, &id, LIFETIME.as_secs());
            return Ok(response);
        }
        Some(_) => "This is a gateway's token; the dashboard needs one of the role viewer or more.",
        None => "This token is not known. It may have been revoked, or copied only in part.",
    };
    page_with(StatusCode::UNAUTHORIZED, theme, next, Some(error.to_owned()), kept)
}

/// The form that was kept, for who sends it again.
fn resume(theme: Theme, csrf: String, to: &str, posted: &Posted) -> Answer {
    let kept = posted.beginning(KEPT);
    let kept = kept.map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
    let frame = Frame::of_nobody("Signed in again", theme);
    html_with(StatusCode::OK, &ResumePage { frame, csrf, to: to.to_owned(), kept })
}

fn sentence(detail: &str) -> String {
    let mut letters = detail.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

pub(super) async fn leave(State(api): State<Api>, visitor: Visitor, headers: HeaderMap) -> Answer {
    api.sessions.end(&visitor.session.id);
    let mut response = page::redirect("/login");
    set_cookie(&mut response, &headers, SESSION, "", 0);
    Ok(response)
}

/// Remembers how pages shall look, for a year.
pub(super) async fn theme(Extension(posted): Extension<Posted>, headers: HeaderMap) -> Answer {
    let to = posted.text("next");
    let mut response = page::redirect(if is_local(to) { to } else { "/" });
    let theme = Theme::named(posted.text("theme")).name();
    set_cookie(&mut response, &headers, THEME, theme, 365 * 86_400);
    Ok(response)
}

fn set_cookie(response: &mut Response, asked: &HeaderMap, name: &str, value: &str, seconds: u64) {
    // TLS ends before us, if anywhere.
    let proto = asked.get("x-forwarded-proto").and_then(|value| value.to_str().ok());
    let secure = if proto == Some("https") { "; Secure" } else { "" };
    let text =
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}
