//! Names in paths: parsed once, before a handler sees them.

use std::fmt::Display;
use std::str::FromStr;

use axum::RequestPartsExt;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::Method;
use axum::http::request::Parts;
use refgate_core::diagnostic::{Code, Diagnostic};
use refgate_core::name::{CommitId, GroupName, RouteName, ServiceName};
use refgate_core::version::Version;

use crate::problem::{Kind, Problem};

/// Extractor of one or several names of the path.
pub(crate) struct At<T>(pub(crate) T);

/// A name that stands in paths.
pub(crate) trait Segment: FromStr<Err: Display> {
    /// The parameter of the path's pattern.
    const PARAMETER: &'static str;

    /// A text that is no such name. What cannot exist is not found; what cannot be made is
    /// invalid.
    fn refuse(method: &Method, error: Self::Err) -> Problem {
        match *method {
            Method::GET | Method::HEAD | Method::DELETE => {
                Problem::new(Kind::NotFound, error.to_string())
            }
            _ => {
                let finding = Diagnostic::error("", "", Code::BadName, error.to_string());
                Problem::invalid(vec![finding])
            }
        }
    }
}

impl Segment for GroupName {
    const PARAMETER: &'static str = "group";
}

impl Segment for ServiceName {
    const PARAMETER: &'static str = "service";
}

impl Segment for RouteName {
    const PARAMETER: &'static str = "route";
}

impl Segment for CommitId {
    const PARAMETER: &'static str = "commit";
}

impl Segment for Version {
    const PARAMETER: &'static str = "version";

    fn refuse(_: &Method, error: Self::Err) -> Problem {
        Problem::new(Kind::BadVersion, error.to_string())
    }
}

/// The parameters of the path, decoded.
struct Segments {
    params: RawPathParams,
    method: Method,
}

impl Segments {
    async fn of(parts: &mut Parts) -> Result<Self, Problem> {
        let params = parts.extract::<RawPathParams>().await.map_err(|error| {
            Problem::new(Kind::MalformedRequest, format!("the path: {}", error.body_text()))
        })?;
        Ok(Self { params, method: parts.method.clone() })
    }

    fn read<T: Segment>(&self) -> Result<T, Problem> {
        let text = self.params.iter().find(|(name, _)| *name == T::PARAMETER);
        let text = text.map(|(_, text)| text).unwrap_or_default();
        text.parse().map_err(|error| T::refuse(&self.method, error))
    }
}

macro_rules! at {
    ($($name:ident),+) => {
        impl<State: Sync, $($name: Segment),+> FromRequestParts<State> for At<($($name,)+)> {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, _: &State) -> Result<Self, Problem> {
                let segments = Segments::of(parts).await?;
                Ok(Self(($(segments.read::<$name>()?,)+)))
            }
        }
    };
}

at!(A);
at!(A, B);
at!(A, B, C);
