//! What every page has: the one who looks, the frame around it, its headers.

use std::convert::Infallible;
use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{FromRequestParts, Request};
use axum::http::header::{self, HeaderMap, HeaderName};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::form::Posted;
use super::session::{Notice, Session, Sessions};
use super::{Answer, PAGE, assets};
use crate::auth::{Principal, Role};
use crate::http::edge::{Page, RequestId};
use crate::http::write::Write;
use crate::problem::{Kind, Problem};

/// Nothing from elsewhere, nothing inline, no frame around us.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; font-src 'self'; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";

/// The one who looks at a page.
#[derive(Clone)]
pub(super) struct Visitor {
    pub(super) session: Session,
    pub(super) principal: Principal,
    pub(super) theme: Theme,
    /// Path and query of the request.
    pub(super) here: String,
    pub(super) request_id: RequestId,
    pub(super) sessions: Arc<Sessions>,
    /// What stands for where everything was when the page was asked for.
    pub(super) state: String,
}

/// How pages look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Theme {
    /// As the system does.
    #[default]
    Auto,
    Light,
    Dark,
}

/// A step of the way to a page.
#[derive(Debug, Clone)]
pub(super) struct Crumb {
    pub(super) text: String,
    pub(super) href: String,
}

/// What is around the content of a page.
pub(super) struct Frame {
    pub(super) title: String,
    /// Which entry of the navigation the page is of.
    pub(super) place: &'static str,
    pub(super) crumbs: Vec<Crumb>,
    pub(super) who: Option<Who>,
    pub(super) theme: Theme,
    pub(super) here: String,
    pub(super) notice: Option<Notice>,
    pub(super) assets: String,
    pub(super) state: String,
}

/// Who is signed in.
pub(super) struct Who {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) csrf: String,
}

impl Visitor {
    /// The frame of a page; tells what was left to be told.
    pub(super) fn frame(
        &self,
        title: impl Into<String>,
        place: &'static str,
        crumbs: Vec<Crumb>,
    ) -> Frame {
        Frame {
            title: title.into(),
            place,
            crumbs,
            who: Some(Who {
                name: self.principal.name.clone(),
                role: self.principal.role,
                csrf: self.session.csrf.clone(),
            }),
            theme: self.theme,
            here: self.here.clone(),
            notice: self.sessions.take(&self.session.id),
            assets: assets::base(),
            state: self.state.clone(),
        }
    }

    /// Whether the one who looks may change what groups hold.
    pub(super) fn may_edit(&self) -> bool {
        self.principal.role >= Role::Editor
    }

    /// Whether the one who looks may change groups.
    pub(super) fn may_manage(&self) -> bool {
        self.principal.role >= Role::Admin
    }

    /// A write in the name of the one who looks.
    pub(super) fn write(&self) -> Write {
        Write::by(self.principal.clone(), self.request_id.clone())
    }

    /// Goes on to another page, which tells what was done.
    pub(super) fn go(&self, to: &str, notice: Notice) -> Response {
        self.sessions.leave(&self.session.id, notice);
        redirect(to)
    }
}

impl Frame {
    /// The frame of a page for nobody in particular.
    pub(super) fn of_nobody(title: &str, theme: Theme) -> Self {
        Self {
            title: title.to_owned(),
            place: "",
            crumbs: Vec::new(),
            who: None,
            theme,
            here: String::new(),
            notice: None,
            assets: assets::base(),
            state: String::new(),
        }
    }

    /// What `data-theme` says.
    pub(super) fn theme_name(&self) -> &'static str {
        self.theme.name()
    }

    /// The token that forms carry.
    pub(super) fn csrf(&self) -> &str {
        self.who.as_ref().map_or("", |who| &who.csrf)
    }
}

impl Theme {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    pub(super) fn named(name: &str) -> Self {
        [Self::Light, Self::Dark].into_iter().find(|one| one.name() == name).unwrap_or_default()
    }
}

/// A step of the way.
pub(super) fn crumb(text: impl Into<String>, href: impl Into<String>) -> Crumb {
    Crumb { text: text.into(), href: href.into() }
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let lost = || Problem::new(Kind::Internal, "a page was asked for without a session");
        parts.extensions.get::<Self>().cloned().ok_or_else(lost)
    }
}

/// The query of a page: what is asked twice or not known is passed over, as links of pages get old.
pub(super) struct Asked(Vec<(String, String)>);

impl Asked {
    /// The text of a parameter; empty when it is not given.
    pub(super) fn text(&self, key: &str) -> &str {
        self.0.iter().find(|(name, _)| name == key).map_or("", |(_, value)| value.trim())
    }

    /// The part of a list that is on the page that is asked for.
    pub(super) fn part<T>(&self, rows: Vec<T>) -> Vec<T> {
        rows.into_iter().skip(self.page() * PAGE).take(PAGE).collect()
    }

    /// Which page of a list, the first being 0.
    pub(super) fn page(&self) -> usize {
        self.text("page").parse::<usize>().unwrap_or(1).clamp(1, 100_000) - 1
    }
}

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let query = axum::extract::Query::try_from_uri(&parts.uri);
        Ok(Self(query.map(|axum::extract::Query(pairs)| pairs).unwrap_or_default()))
    }
}

/// A page.
pub(super) fn html<T: Template>(page: &T) -> Answer {
    html_with(StatusCode::OK, page)
}

/// A page with a status that is not 200.
pub(super) fn html_with<T: Template>(status: StatusCode, page: &T) -> Answer {
    let text = page.render().map_err(|error| Problem::internal(&error))?;
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    harden(headers);
    response.extensions_mut().insert(Page);
    Ok(response)
}

/// A document as a file that the browser keeps.
pub(super) fn file(name: &str, json: String) -> Answer {
    let mut response = Response::new(Body::from(json));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
    headers.insert(
        header::CONTENT_DISPOSITION,
        disposition.map_err(|error| Problem::internal(&error))?,
    );
    harden(headers);
    Ok(response)
}

/// Goes on to another page with GET.
pub(super) fn redirect(to: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    harden(response.headers_mut());
    response
}

/// The headers of everything that browsers are given.
pub(super) fn harden(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    let cross = HeaderName::from_static("cross-origin-opener-policy");
    headers.insert(cross, HeaderValue::from_static("same-origin"));
}

/// Whether a path leads to a page of ours: only such are gone on to.
pub(super) fn is_local(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    path.starts_with('/') && !path.starts_with("//") && path.bytes().all(plain)
}

/// The fields that people type into and that are of no document.
const TYPED: [&str; 8] =
    ["name", "document", "reason", "host", "port", "weight", "version", "message"];

/// A page that tells of a problem.
#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    frame: Frame,
    problem: &'a Problem,
    request_id: &'a str,
    /// What was typed into the form that met it.
    typed: Vec<(&'a str, &'a str)>,
}

/// The page of a path that is none, for a browser; nothing for programs.
pub(crate) fn missing(request: &Request) -> Option<Response> {
    let accepted = request.headers().get(header::ACCEPT)?.to_str().ok()?;
    let path = request.uri().path();
    let of_programs = path.starts_with("/v1") || path.starts_with("/config.git");
    if !accepted.contains("text/html") || of_programs {
        return None;
    }
    let problem = Problem::new(Kind::NotFound, "there is no page at this address");
    let frame = Frame::of_nobody(problem.kind().title(), Theme::Auto);
    let page = ProblemPage { frame, problem: &problem, request_id: "", typed: Vec::new() };
    html_with(problem.kind().status(), &page).ok()
}

/// The page of a problem; it shows what was typed, which may have nowhere else to go: the thing that
/// it was about may be gone.
pub(super) fn problem_page(visitor: &Visitor, problem: &Problem, typed: &Posted) -> Response {
    let frame = visitor.frame(problem.kind().title(), "", Vec::new());
    let own = |(name, text): &&(String, String)| {
        let is_typed = name.starts_with('/') || TYPED.contains(&name.as_str());
        is_typed && !text.trim().is_empty()
    };
    let typed = typed.pairs().iter().filter(own).map(|(name, text)| (&**name, &**text)).collect();
    let page = ProblemPage { frame, problem, request_id: &visitor.request_id.0, typed };
    let status = problem.kind().status();
    html_with(status, &page).unwrap_or_else(IntoResponse::into_response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_ours_are_gone_on_to() {
        for path in ["/", "/groups/test", "/?q=a&page=2"] {
            assert!(is_local(path), "{path}");
        }
        for path in ["", "//evil.example", "https://evil.example", "/\\evil", "/a b", "groups"] {
            assert!(!is_local(path), "{path}");
        }
    }
}
