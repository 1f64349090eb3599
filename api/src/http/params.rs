//! Query parameters: each read by name, each at most once, none left over.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use refgate_core::diagnostic::did_you_mean;

use crate::limits::WAIT_SECONDS;
use crate::problem::{Kind, Problem};

/// The parameters of one request, taken out one by one.
#[derive(Debug)]
pub(super) struct Params {
    pairs: Vec<(String, String)>,
    known: Vec<&'static str>,
}

/// Extractor of a request that takes no parameters.
pub(super) struct NoParams;

impl Params {
    /// The text of a parameter.
    pub(super) fn text(&mut self, key: &'static str) -> Result<Option<String>, Problem> {
        self.known.push(key);
        let mut values = self.pairs.extract_if(.., |(name, _)| name == key);
        let value = values.next().map(|(_, value)| value);
        if values.next().is_some() {
            return Err(malformed(format!("the query parameter {key:?} stands twice")));
        }
        Ok(value)
    }

    /// A parameter read with `FromStr`.
    pub(super) fn parsed<T>(&mut self, key: &'static str) -> Result<Option<T>, Problem>
    where
        T: FromStr,
        T::Err: Display,
    {
        let read = |text: String| {
            let problem = |error| malformed(format!("the query parameter {key:?}: {error}"));
            text.parse().map_err(problem)
        };
        self.text(key)?.map(read).transpose()
    }

    /// `true` or `false`; absent is false.
    pub(super) fn flag(&mut self, key: &'static str) -> Result<bool, Problem> {
        match self.text(key)?.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(malformed(format!(
                "the query parameter {key:?} is true or false, not {other:?}"
            ))),
        }
    }

    /// `wait`: seconds, fractions allowed.
    pub(super) fn wait(&mut self) -> Result<Option<Duration>, Problem> {
        let Some(seconds) = self.parsed::<f64>("wait")? else { return Ok(None) };
        if !(0.0..=WAIT_SECONDS).contains(&seconds) {
            let detail = format!("the query parameter \"wait\" is 0 to {WAIT_SECONDS} seconds");
            return Err(malformed(detail));
        }
        Ok(Some(Duration::from_secs_f64(seconds)))
    }

    /// Nothing may be left over: a misspelt `dry_run` must not become a write.
    pub(super) fn finish(self) -> Result<(), Problem> {
        let Some((unknown, _)) = self.pairs.first() else { return Ok(()) };
        let hint = match did_you_mean(unknown, self.known.iter().copied()) {
            Some(hint) => hint,
            None if self.known.is_empty() => "none is known here".to_owned(),
            None => format!("known here: {}", self.known.join(", ")),
        };
        Err(malformed(format!("there is no query parameter {unknown:?}; {hint}")))
    }
}

fn malformed(detail: String) -> Problem {
    Problem::new(Kind::MalformedRequest, detail)
}

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Query(pairs) = Query::try_from_uri(&parts.uri)
            .map_err(|_| malformed("the query could not be read".to_owned()))?;
        Ok(Self { pairs, known: Vec::new() })
    }
}

impl<S: Sync> FromRequestParts<S> for NoParams {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Params::from_request_parts(parts, state).await?.finish().map(|()| Self)
    }
}
