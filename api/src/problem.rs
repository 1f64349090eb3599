//! Errors as answers: the one place that turns what went wrong into `application/problem+json`.
//!
//! A handler returns a [`Problem`]; it travels as an extension of an empty response until
//! [`crate::http::edge`] writes the body, because only the edge knows the request id. What can
//! go wrong below is told by `refgate_core::Error`; its codes meet their status in [`Kind`].

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use refgate_core::Conflict;
use refgate_core::diagnostic::Diagnostic;
use serde_json::{Map, Value, json};

/// The media type of every error body.
pub const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $variant:ident = $code:literal, $status:ident, $title:literal;)+) => {
        /// What kind of problem it is; decides code, status and title.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[doc = $doc])* $variant),+
        }

        impl Kind {
            /// Every kind, for the reference of problems.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The code as clients read it.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// The HTTP status that goes with the code.
            #[must_use]
            pub fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status),+ }
            }

            /// The short text that is the same for every problem of this kind.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),+ }
            }

            /// The kind with this code.
            #[must_use]
            pub fn from_code(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

kinds! {
    /// The request is not JSON or YAML, or its query is wrong.
    MalformedRequest = "malformed_request", BAD_REQUEST, "The request could not be read";
    /// No token, or one that is not known.
    Unauthenticated = "unauthenticated", UNAUTHORIZED, "A valid token is needed";
    /// The token does not allow it.
    Forbidden = "forbidden", FORBIDDEN, "The token does not allow this";
    /// There is no such thing.
    NotFound = "not_found", NOT_FOUND, "Not found";
    /// The path exists, the method does not.
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "Method not allowed";
    /// The thing to create is there.
    AlreadyExists = "already_exists", CONFLICT, "It exists already";
    /// Somebody else changed the group at the same time.
    ConcurrentUpdate = "concurrent_update", CONFLICT, "The group changed at the same time";
    /// The number names another content.
    VersionTaken = "version_taken", CONFLICT, "The version names another content";
    /// The content has another number than the one given.
    VersionMismatch = "version_mismatch", CONFLICT, "The content has another version";
    /// The content has a number.
    ContentAlreadyVersioned = "content_already_versioned", CONFLICT, "The content has a version already";
    /// The target was edited by hand where the version changes too.
    PromotionConflict = "promotion_conflict", CONFLICT, "The version conflicts with edits of the target";
    /// A gate of the target is closed.
    PromotionGate = "promotion_gate", CONFLICT, "A promotion gate is closed";
    /// The group takes services by sync and rollback only.
    DirectEditRefused = "direct_edit_refused", CONFLICT, "The group takes no direct edits";
    /// The group is fed from elsewhere.
    ReadOnlyGroup = "read_only_group", CONFLICT, "The group is read-only";
    /// Something else still names it.
    StillReferenced = "still_referenced", CONFLICT, "It is still in use";
    /// `If-Match` or `If-None-Match` does not hold.
    PreconditionFailed = "precondition_failed", PRECONDITION_FAILED, "The precondition does not hold";
    /// The body is over its limit.
    PayloadTooLarge = "payload_too_large", PAYLOAD_TOO_LARGE, "The body is too large";
    /// The body is of a type that is not read here.
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "The content type is not supported";
    /// The documents are not valid; the diagnostics say where.
    ValidationFailed = "validation_failed", UNPROCESSABLE_ENTITY, "The configuration is not valid";
    /// Not a SemVer number.
    BadVersion = "bad_version", UNPROCESSABLE_ENTITY, "Not a version number";
    /// The content has no number yet and the request gives none.
    VersionRequired = "version_required", UNPROCESSABLE_ENTITY, "A version number is needed";
    /// An object in the repository is missing or corrupt; the detail says which and what to do.
    Damaged = "damaged", INTERNAL_SERVER_ERROR, "The configuration repository is damaged";
    /// A fault of the server.
    Internal = "internal", INTERNAL_SERVER_ERROR, "Internal error";
    /// Too busy, or stopping.
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "Unavailable, try again";
}

/// An error on its way to the client.
#[derive(Debug, Clone)]
pub struct Problem {
    kind: Kind,
    detail: String,
    diagnostics: Vec<Diagnostic>,
    conflicts: Vec<Conflict>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem of this kind; `detail` is a sentence about this very occurrence.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let mut headers = Vec::new();
        if kind == Kind::Unavailable {
            headers.push((header::RETRY_AFTER, HeaderValue::from_static("1")));
        }
        let (diagnostics, conflicts) = (Vec::new(), Vec::new());
        Self { kind, detail: detail.into(), diagnostics, conflicts, headers }
    }

    /// A fault of ours: the cause goes to the log, the client learns the request id.
    pub fn internal(cause: &dyn std::error::Error) -> Self {
        let mut chain = cause.to_string();
        let mut source = cause.source();
        while let Some(next) = source {
            chain = format!("{chain}: {next}");
            source = next.source();
        }
        tracing::error!(error = %chain, "request failed");
        Self::new(Kind::Internal, "something went wrong here; the log has it under the request id")
    }

    /// A body that was read and does not hold what it should.
    pub fn invalid(diagnostics: Vec<Diagnostic>) -> Self {
        let errors = diagnostics.iter().filter(|finding| finding.is_error()).count();
        let detail = match diagnostics.iter().find(|finding| finding.is_error()) {
            Some(only) if errors == 1 => only.to_string(),
            Some(first) => format!("{errors} errors; the first: {first}"),
            None => "the configuration is not valid".to_owned(),
        };
        Self::new(Kind::ValidationFailed, detail).with_diagnostics(diagnostics)
    }

    /// The same with findings.
    #[must_use]
    pub fn with_diagnostics(mut self, diagnostics: Vec<Diagnostic>) -> Self {
        self.diagnostics = diagnostics;
        self
    }

    /// The same with the places that conflict.
    #[must_use]
    pub fn with_conflicts(mut self, conflicts: Vec<Conflict>) -> Self {
        self.conflicts = conflicts;
        self
    }

    /// Unavailable for so long.
    pub fn unavailable_for(time: Duration, detail: impl Into<String>) -> Self {
        let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
        let mut problem = Self::new(Kind::Unavailable, detail);
        problem.headers = vec![(header::RETRY_AFTER, HeaderValue::from(seconds))];
        problem
    }

    /// The same with one more response header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// A sentence about this very occurrence.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The findings that it rests on.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// The conflicts that it rests on.
    #[must_use]
    pub fn conflicts(&self) -> &[Conflict] {
        &self.conflicts
    }

    /// The body that the client sees.
    #[must_use]
    pub fn to_json(&self, request_id: &str) -> Value {
        let mut body = Map::new();
        body.insert("type".into(), format!("urn:refgate:problem:{}", self.kind.code()).into());
        body.insert("title".into(), self.kind.title().into());
        body.insert("status".into(), self.kind.status().as_u16().into());
        body.insert("detail".into(), self.detail.clone().into());
        body.insert("code".into(), self.kind.code().into());
        body.insert("request_id".into(), request_id.into());
        if !self.diagnostics.is_empty() {
            body.insert("diagnostics".into(), json!(self.diagnostics));
        }
        if !self.conflicts.is_empty() {
            body.insert("conflicts".into(), json!(self.conflicts));
        }
        Value::Object(body)
    }

    /// The whole answer, for whoever knows the request id.
    #[must_use]
    pub fn render(&self, request_id: &str) -> Response<Body> {
        self.answer(self.to_json(request_id).to_string(), CONTENT_TYPE)
    }

    /// The same as a line of text, which git shows to the person who runs it.
    #[must_use]
    pub fn render_text(&self, request_id: &str) -> Response<Body> {
        let text = format!("{}: {} (request {request_id})\n", self.kind.code(), self.detail);
        self.answer(text, HeaderValue::from_static("text/plain; charset=utf-8"))
    }

    fn answer(&self, body: String, content_type: HeaderValue) -> Response<Body> {
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.kind.status();
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        response.headers_mut().extend(self.headers.iter().cloned());
        response
    }
}

impl From<refgate_core::Error> for Problem {
    fn from(error: refgate_core::Error) -> Self {
        match Kind::from_code(error.code()) {
            None | Some(Kind::Internal) => Self::internal(&error),
            Some(Kind::Damaged) => {
                tracing::error!(%error, "the configuration repository is damaged");
                Self::new(Kind::Damaged, error.to_string())
            }
            Some(kind) => Self::new(kind, error.to_string())
                .with_diagnostics(error.diagnostics().to_vec())
                .with_conflicts(error.conflicts().to_vec()),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> axum::response::Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.kind.status();
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_code() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_code(kind.code()), Some(*kind));
            assert!(kind.status().is_client_error() || kind.status().is_server_error());
        }
        assert_eq!(Kind::from_code("nonsense"), None);
    }
}
