//! `ETag`, `If-None-Match` and `If-Match`: what a client saw last, against what is there now.
//!
//! Reads are answered here; the preconditions of writes are checked by the core, under the same
//! compare-and-swap as the write itself.

use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use refgate_core::change::{Precondition, Tags};
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
    Ok(match tags(headers, &header::IF_NONE_MATCH)? {
        None => false,
        Some(Named::Any) => true,
        Some(Named::Of(known)) => known.iter().any(|known| known.tag == etag),
    })
}

/// The same for an object that is never written as a whole: its tag is made from what it says.
pub(super) fn respond_whole<T: Serialize>(headers: &HeaderMap, object: &T) -> Answer {
    let body = serde_json::to_vec(object).map_err(|error| Problem::internal(&error))?;
    let hash: [u8; 32] = Sha256::digest(&body).into();
    let etag: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    respond(headers, &etag, object)
}

/// What a write asks of the object before it.
///
/// A weak tag is of an object that means the same, which is enough to say "not that one" and too little to
/// say "that very one" (RFC 9110, 13.1.1 and 13.1.2).
pub(super) fn precondition(headers: &HeaderMap) -> Result<Precondition, Problem> {
    let wanted = |named| match named {
        Named::Any => Tags::Any,
        Named::Of(tags) => {
            Tags::Of(tags.into_iter().filter(|one| !one.weak).map(|one| one.tag).collect())
        }
    };
    let unwanted = |named| match named {
        Named::Any => Tags::Any,
        Named::Of(tags) => Tags::Of(tags.into_iter().map(|one| one.tag).collect()),
    };
    Ok(Precondition {
        if_match: tags(headers, &header::IF_MATCH)?.map(wanted),
        if_none_match: tags(headers, &header::IF_NONE_MATCH)?.map(unwanted),
        ..Precondition::default()
    })
}

/// What a header names.
#[derive(Debug, PartialEq)]
enum Named {
    /// `*`.
    Any,
    Of(Vec<EntityTag>),
}

/// An entity tag without its quotes.
#[derive(Debug, PartialEq)]
struct EntityTag {
    weak: bool,
    tag: String,
}

/// What all lines of a header name together; nothing when it is not there.
fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Named>, Problem> {
    if !headers.contains_key(name) {
        return Ok(None);
    }
    let unreadable = || malformed(&format!("the header {name} is * or a list of entity tags"));
    let mut tags = Vec::new();
    let mut any = false;
    for value in headers.get_all(name) {
        let mut rest = value.to_str().map_err(|_| unreadable())?.trim();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('*') {
                any = true;
                rest = after;
            } else if !rest.starts_with(',') {
                let strong = rest.strip_prefix("W/");
                let opened = strong.unwrap_or(rest).strip_prefix('"').ok_or_else(unreadable)?;
                let (tag, after) = opened.split_once('"').ok_or_else(unreadable)?;
                tags.push(EntityTag { weak: strong.is_some(), tag: tag.to_owned() });
                rest = after;
            }
            rest = match rest.trim_start() {
                "" => "",
                more => more.strip_prefix(',').ok_or_else(unreadable)?.trim_start(),
            };
        }
    }
    // A client whose tag went missing means to be guarded.
    match (any, tags.is_empty()) {
        (true, true) => Ok(Some(Named::Any)),
        (false, false) => Ok(Some(Named::Of(tags))),
        _ => Err(unreadable()),
    }
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
    fn headers_name_entity_tags() {
        let of = |tags: &[(bool, &str)]| {
            let tags = tags.iter().map(|&(weak, tag)| EntityTag { weak, tag: tag.to_owned() });
            Some(Named::Of(tags.collect()))
        };
        let table = [
            ("*", Some(Named::Any)),
            (r#""a""#, of(&[(false, "a")])),
            (r#" "a" ,W/"b","" "#, of(&[(false, "a"), (true, "b"), (false, "")])),
            (r#",, "a,b" ,"#, of(&[(false, "a,b")])),
            ("", None),
            (",", None),
            ("a", None),
            (r#""a"#, None),
            (r#""a" "b""#, None),
            (r#"w/"a""#, None),
            (r#"*, "a""#, None),
            ("**", None),
        ];
        for (value, named) in table {
            let read = tags(&headers(header::IF_MATCH, value), &header::IF_MATCH);
            assert_eq!(read.ok().flatten(), named, "{value}");
        }
        assert_eq!(tags(&HeaderMap::new(), &header::IF_MATCH).ok(), Some(None));
        let mut lines = headers(header::IF_MATCH, r#""a""#);
        lines.append(header::IF_MATCH, HeaderValue::from_static(r#""b""#));
        let both = tags(&lines, &header::IF_MATCH);
        assert_eq!(both.ok().flatten(), of(&[(false, "a"), (false, "b")]));
    }

    #[test]
    fn preconditions_of_writes() {
        let of = |tags: &[&str]| Some(Tags::Of(tags.iter().map(ToString::to_string).collect()));
        let table = [
            (header::IF_MATCH, "*", Some(Tags::Any)),
            (header::IF_MATCH, r#""a", W/"b", "c""#, of(&["a", "c"])),
            // Nothing is known to be that very one.
            (header::IF_MATCH, r#"W/"a""#, of(&[])),
            (header::IF_NONE_MATCH, "*", Some(Tags::Any)),
            (header::IF_NONE_MATCH, r#""a", W/"b""#, of(&["a", "b"])),
        ];
        for (name, value, tags) in table {
            let read = precondition(&headers(name.clone(), value)).expect(value);
            let (asked, other) = match name {
                header::IF_MATCH => (read.if_match, read.if_none_match),
                _ => (read.if_none_match, read.if_match),
            };
            assert_eq!((asked, other), (tags, None), "{value}");
            assert!(precondition(&headers(name, "")).is_err());
        }
    }
}
