//! `ETag`, `If-None-Match` and `If-Match`: what a client saw last, against what is there now.
//!
//! Reads are answered here; the preconditions of writes are checked by the core, under the same
//! compare-and-swap as the write itself.

use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use refgate_core::change::Precondition;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Answer;
use crate::problem::{Kind, Problem};

/// Answers an object, or 304 when the client has it.
pub(super) fn respond<T: Serialize>(headers: &HeaderMap, etag: &str, object: &T) -> Answer {
    let quoted = format!("\"{etag}\"");
    let tag = HeaderValue::from_str(&quoted).map_err(|error| Problem::internal(&error))?;
    if knows(headers, etag)? {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    Ok(([(header::ETAG, tag)], Json(object)).into_response())
}

/// Whether the client has what this tag is of.
pub(super) fn knows(headers: &HeaderMap, etag: &str) -> Result<bool, Problem> {
    let known = tags(headers, header::IF_NONE_MATCH)?;
    Ok(known.iter().any(|known| known == "*" || known == etag))
}

/// The same for an object that is never written as a whole: its tag is made from what it says.
pub(super) fn respond_whole<T: Serialize>(headers: &HeaderMap, object: &T) -> Answer {
    let body = serde_json::to_vec(object).map_err(|error| Problem::internal(&error))?;
    let hash: [u8; 32] = Sha256::digest(&body).into();
    let etag: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    respond(headers, &etag, object)
}

/// What a write asks of the object before it.
pub(super) fn precondition(headers: &HeaderMap) -> Result<Precondition, Problem> {
    let if_match = tags(headers, header::IF_MATCH)?;
    let if_none_match = tags(headers, header::IF_NONE_MATCH)?;
    let if_none_match_any = match if_none_match.as_slice() {
        [] => false,
        [any] if any == "*" => true,
        _ => return Err(malformed("If-None-Match of a write is *, nothing else")),
    };
    let if_match = match <[String; 1]>::try_from(if_match) {
        Ok([tag]) => Some(tag),
        Err(none) if none.is_empty() => None,
        Err(_) => return Err(malformed("If-Match takes one entity tag here")),
    };
    Ok(Precondition { if_match, if_none_match_any, ..Precondition::default() })
}

/// The entity tags of a header without quotes and weakness; `*` stays `*`.
fn tags(headers: &HeaderMap, name: HeaderName) -> Result<Vec<String>, Problem> {
    let mut tags = Vec::new();
    for value in headers.get_all(&name) {
        let unreadable = || malformed(&format!("the header {name} holds no entity tag"));
        let text = value.to_str().map_err(|_| unreadable())?;
        // A client whose tag went missing means to be guarded.
        if text.trim().is_empty() {
            return Err(unreadable());
        }
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let strong = part.strip_prefix("W/").unwrap_or(part);
            let inner = strong.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            match inner {
                Some(tag) => tags.push(tag.to_owned()),
                None if part == "*" => tags.push("*".to_owned()),
                None => return Err(unreadable()),
            }
        }
    }
    Ok(tags)
}

fn malformed(detail: &str) -> Problem {
    Problem::new(Kind::MalformedRequest, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn reads_are_answered_by_what_the_client_has() {
        let table = [
            (r#""abc""#, StatusCode::NOT_MODIFIED),
            (r#"W/"abc""#, StatusCode::NOT_MODIFIED),
            (r#""x", "abc""#, StatusCode::NOT_MODIFIED),
            ("*", StatusCode::NOT_MODIFIED),
            (r#""x""#, StatusCode::OK),
        ];
        for (value, status) in table {
            let headers = headers(header::IF_NONE_MATCH, value);
            let answer = respond(&headers, "abc", &"body").expect(value);
            assert_eq!(answer.status(), status, "{value}");
            assert_eq!(answer.headers()[header::ETAG], r#""abc""#);
        }
        assert!(respond(&headers(header::IF_NONE_MATCH, "abc"), "abc", &"body").is_err());
    }

    #[test]
    fn preconditions_of_writes() {
        let read = |name, value| precondition(&headers(name, value));
        let matching = read(header::IF_MATCH, r#""abc""#).expect("one tag");
        assert_eq!(matching.if_match.as_deref(), Some("abc"));
        assert!(read(header::IF_NONE_MATCH, "*").expect("any").if_none_match_any);
        for (name, value) in [
            (header::IF_MATCH, "abc"),
            (header::IF_MATCH, r#""a", "b""#),
            (header::IF_MATCH, ""),
            (header::IF_NONE_MATCH, r#""a""#),
        ] {
            assert!(read(name, value).is_err(), "{value}");
        }
    }
}
