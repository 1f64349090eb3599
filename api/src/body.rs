//! Request bodies: bounded, of a known type, strictly parsed.
//!
//! Gives plain values; what a document means is the core's business, what a command such as sync
//! takes is read with [`fields::Fields`].

pub(crate) mod fields;

use axum::body::Body as AxumBody;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use refgate_core::diagnostic::{Code, Diagnostic};
use refgate_core::json;
use serde_json::Value;
use tokio_stream::StreamExt as _;

use crate::limits::{BODY_ARRIVAL, BUNDLE_BYTES, DOCUMENT_BYTES};
use crate::problem::{Kind, Problem};

/// How much of a body over its limit is read before its sender is cut off.
const DROPPED: usize = 64 << 20;

/// A body of at most `MAX` bytes as a value.
#[derive(Debug)]
pub(crate) struct Body<const MAX: usize>(pub(crate) Value);

/// One document or command.
pub(crate) type Document = Body<DOCUMENT_BYTES>;
/// Several files.
pub(crate) type Bundle = Body<BUNDLE_BYTES>;

impl<const MAX: usize, S: Sync> FromRequest<S> for Body<MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let format = Format::of(request.headers())?;
        let too_large = || {
            let detail = format!(
                "a body here is at most {} KiB; send less at once, or use git push",
                MAX >> 10
            );
            Problem::new(Kind::PayloadTooLarge, detail)
        };
        let announced = request.headers().get(header::CONTENT_LENGTH);
        let announced = announced.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        // A client that asks before it sends is told before it sends.
        if announced.is_some_and(|length| length > MAX)
            && request.headers().contains_key(header::EXPECT)
        {
            return Err(too_large());
        }
        match tokio::time::timeout(BODY_ARRIVAL, collect(request.into_body(), MAX)).await {
            Ok(Ok(Some(bytes))) => format.parse(&bytes).map(Self),
            Ok(Ok(None)) => Err(too_large()),
            Ok(Err(error)) => Err(malformed(format!("the body broke off: {error}"))),
            Err(_) => Err(malformed("the body did not arrive in time; send it again")),
        }
    }
}

/// The bytes of a body; nothing when there are more than `limit`.
///
/// What is over the limit is read and dropped for a while: a client that is still sending when its
/// connection closes never sees why.
async fn collect(body: AxumBody, limit: usize) -> Result<Option<Vec<u8>>, axum::Error> {
    let mut chunks = body.into_data_stream();
    let (mut bytes, mut length) = (Vec::new(), 0usize);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        length = length.saturating_add(chunk.len());
        if length <= limit {
            bytes.extend_from_slice(&chunk);
        } else {
            bytes = Vec::new();
        }
        if length > limit.saturating_add(DROPPED) {
            break;
        }
    }
    Ok((length <= limit).then_some(bytes))
}

fn malformed(detail: impl Into<String>) -> Problem {
    Problem::new(Kind::MalformedRequest, detail)
}

/// The notations that bodies come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Yaml,
}

impl Format {
    /// By the content type; a body without one is taken for JSON.
    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(Self::Json) };
        let text = value.to_str().unwrap_or_default().to_ascii_lowercase();
        let mut parts = text.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let utf8 = parts
            .filter_map(|part| part.strip_prefix("charset="))
            .all(|charset| matches!(charset.trim_matches('"'), "utf-8" | "utf8" | "us-ascii"));
        match media_type {
            "application/json" | "application/merge-patch+json" if utf8 => Ok(Self::Json),
            "application/yaml" | "application/x-yaml" | "text/yaml" if utf8 => Ok(Self::Yaml),
            _ => Err(Problem::new(
                Kind::UnsupportedMediaType,
                format!("{text:?} is not read here; send application/json or application/yaml"),
            )),
        }
    }

    fn parse(self, bytes: &[u8]) -> Result<Value, Problem> {
        match self {
            Self::Json => parse_json(bytes),
            Self::Yaml => parse_yaml(bytes),
        }
    }
}

/// A document that somebody pasted: JSON when it begins like it, else YAML.
pub(crate) fn pasted(text: &str) -> Result<Value, Problem> {
    let format = if text.trim_start().starts_with('{') { Format::Json } else { Format::Yaml };
    format.parse(text.as_bytes())
}

fn parse_json(bytes: &[u8]) -> Result<Value, Problem> {
    let parsed = json::parse(bytes).map_err(|error| malformed(format!("the body is {error}")))?;
    if parsed.duplicates.is_empty() {
        return Ok(parsed.value);
    }
    let findings = parsed.duplicates.into_iter().map(|pointer| {
        Diagnostic::error("", pointer, Code::DuplicateKey, "the request body has this key twice")
            .with_hint("keep one of them")
    });
    Err(Problem::invalid(findings.collect()))
}

fn parse_yaml(bytes: &[u8]) -> Result<Value, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|_| malformed("the body is not UTF-8"))?;
    serde_saphyr::from_str_with_options(text, yaml_options()).map_err(|error| {
        // The text of the error has the place in it.
        let told = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
        match error.without_snippet() {
            serde_saphyr::Error::DuplicateMappingKey { .. } => {
                let message = format!("the request body: {told}");
                Problem::invalid(vec![Diagnostic::error("", "", Code::DuplicateKey, message)])
            }
            _ => malformed(format!("the body is not valid YAML: {told}")),
        }
    })
}

/// YAML as JSON with nicer spelling: no legacy booleans, no merge keys, one document. Aliases are
/// bounded by what they unfold to, because a small text full of them makes a huge value.
fn yaml_options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_documents: 1, max_depth: 64 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 20_000 },
        merge_keys: serde_saphyr::options::MergeKeyPolicy::Error,
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use serde_json::json;

    use super::*;

    #[test]
    fn content_types() {
        let table = [
            ("application/json", Some(Format::Json)),
            ("application/json; charset=UTF-8", Some(Format::Json)),
            ("application/merge-patch+json", Some(Format::Json)),
            ("Application/YAML", Some(Format::Yaml)),
            ("application/json; charset=latin1", None),
            ("application/x-www-form-urlencoded", None),
            ("text/plain", None),
            ("", None),
        ];
        for (text, format) in table {
            let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(text))];
            let found = Format::of(&HeaderMap::from_iter(headers));
            assert_eq!(found.ok(), format, "{text}");
        }
        assert_eq!(Format::of(&HeaderMap::new()).ok(), Some(Format::Json));
    }

    #[test]
    fn yaml_is_json_with_nicer_spelling() {
        let text = b"paths: [/a]\nenabled: no\nport: 80\nlabels:\n  \"on\": true\nnothing:\n";
        let value = Format::Yaml.parse(text).expect("YAML");
        let expected = json!({"paths": ["/a"], "enabled": "no", "port": 80,
            "labels": {"on": true}, "nothing": null});
        assert_eq!(value, expected);
    }

    #[test]
    fn what_is_refused() {
        let deep = "[".repeat(200);
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..9 {
            let item = format!("*a{}", n - 1);
            bomb += &format!("a{n}: &a{n} [{}]\n", vec![item; 10].join(", "));
        }
        let table: &[(Format, &str, Kind)] = &[
            (Format::Json, "", Kind::MalformedRequest),
            (Format::Json, "{", Kind::MalformedRequest),
            (Format::Json, "{} {}", Kind::MalformedRequest),
            (Format::Json, r#"{"a": 1, "a": 2}"#, Kind::ValidationFailed),
            (Format::Json, &deep, Kind::MalformedRequest),
            (Format::Yaml, "a: [", Kind::MalformedRequest),
            (Format::Yaml, "a: 1\na: 2\n", Kind::ValidationFailed),
            (Format::Yaml, &bomb, Kind::MalformedRequest),
            (Format::Yaml, "a: {<<: {b: 1}}", Kind::MalformedRequest),
            (Format::Yaml, "a: .nan", Kind::MalformedRequest),
            (Format::Yaml, "a: !secret x", Kind::MalformedRequest),
            (Format::Yaml, "a: 1\n---\nb: 2\n", Kind::MalformedRequest),
            (Format::Yaml, &deep, Kind::MalformedRequest),
        ];
        for (format, text, kind) in table {
            let problem = format.parse(text.as_bytes()).expect_err(text);
            assert_eq!(problem.kind(), *kind, "{text}");
            let detail = problem.to_json("r-1")["detail"].as_str().expect("text").to_owned();
            assert!(detail.contains("body") && detail == detail.trim(), "{text}: {detail:?}");
        }
    }
}
