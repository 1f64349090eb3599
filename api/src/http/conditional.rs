//! `ETag`, `If-None-Match` and `If-Match`: what a client saw last, against what is there now.
//!
//! Reads are answered here; the preconditions of writes are checked by the core, under the same
//! compare-and-swap as the write itself.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use refgate_core::change::{Precondition, Tags};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Answer;
use crate::problem::{Kind, Problem};

/// Answers an object that can be written, or 304 when the client has it.
///
/// More is shown of it than is written: who changed it last, its version, how it fares. So the entity tag has
/// two parts: `etag`, which is of what is written, and behind a dot one of all that is shown. A read asks for
/// the whole tag, a write for the first part alone: it is not refused for what it would not write over.
pub(super) fn respond<T: Serialize>(headers: &HeaderMap, etag: &str, object: &T) -> Answer {
    let body = serde_json::to_vec(object).map_err(|error| Problem::internal(&error))?;
    let shown = digest(&body);
    answer(headers, &format!("{etag}.{}", &shown[..16]), body)
}

/// The same for an object that is never written as a whole: its tag is made from what it says.
pub(super) fn respond_whole<T: Serialize>(headers: &HeaderMap, object: &T) -> Answer {
    let body = serde_json::to_vec(object).map_err(|error| Problem::internal(&error))?;
    answer(headers, &digest(&body), body)
}

fn answer(headers: &HeaderMap, etag: &str, body: Vec<u8>) -> Answer {
    let quoted = format!("\"{etag}\"");
    let tag = HeaderValue::from_str(&quoted).map_err(|error| Problem::internal(&error))?;
    if knows(headers, etag)? {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let json = HeaderValue::from_static("application/json");
    Ok(([(header::ETAG, tag), (header::CONTENT_TYPE, json)], body).into_response())
}

fn digest(body: &[u8]) -> String {
    let hash: [u8; 32] = Sha256::digest(body).into();
    hash[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether the client has what this tag is of.
pub(super) fn knows(headers: &HeaderMap, etag: &str) -> Result<bool, Problem> {
    Ok(match tags(headers, &header::IF_NONE_MATCH)? {
        None => false,
        Some(Named::Any) => true,
        Some(Named::Of(known)) => known.iter().any(|known| known.tag == etag),
    })
}

/// What a write asks of the object before it.
///
/// A weak tag is of an object that means the same, which is enough to say "not that one" and too little to
/// say "that very one" (RFC 9110, 13.1.1 and 13.1.2).
pub(super) fn precondition(headers: &HeaderMap) -> Result<Precondition, Problem> {
    let read = |name: HeaderName, weak_too: bool| {
        let named = tags(headers, &name)?;
        Ok::<_, Problem>(named.map(|named| match named {
            Named::Any => Tags::Any,
            Named::Of(tags) => {
                let tags = tags.iter().filter(|one| weak_too || !one.weak);
                Tags::Of(tags.map(|one| written(&one.tag).to_owned()).collect())
            }
        }))
    };
    Ok(Precondition {
        if_match: read(header::IF_MATCH, false)?,
        if_none_match: read(header::IF_NONE_MATCH, true)?,
        ..Precondition::default()
    })
}

/// The part of a tag that [`respond`] has given which is of what is written.
fn written(tag: &str) -> &str {
    tag.split_once('.').map_or(tag, |(written, _)| written)
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
        let asked = |value: &str| {
            let headers =
                HeaderMap::from_iter([(header::IF_NONE_MATCH, value.parse().expect("a value"))]);
            respond(&headers, "abc", &"body").map(|answer| (answer.status(), etag_of(&answer)))
        };
        let tag = etag_of(&respond(&HeaderMap::new(), "abc", &"body").expect("an answer"));
        assert!(tag.starts_with("\"abc."), "{tag}");
        let table = [
            (tag.clone(), StatusCode::NOT_MODIFIED),
            (format!("W/{tag}"), StatusCode::NOT_MODIFIED),
            (format!("\"x\", {tag}"), StatusCode::NOT_MODIFIED),
            ("*".to_owned(), StatusCode::NOT_MODIFIED),
            ("\"x\"".to_owned(), StatusCode::OK),
            // What is written is the same, but not what is shown.
            ("\"abc\"".to_owned(), StatusCode::OK),
            ("\"abc.0\"".to_owned(), StatusCode::OK),
        ];
        for (value, status) in table {
            assert_eq!(asked(&value).expect(&value), (status, tag.clone()), "{value}");
        }
        assert!(asked("abc").is_err());
        let other = etag_of(&respond(&HeaderMap::new(), "abc", &"other").expect("an answer"));
        assert_ne!(other, tag);
    }

    fn etag_of(answer: &axum::response::Response) -> String {
        answer.headers()[header::ETAG].to_str().expect("a tag").to_owned()
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
            (header::IF_MATCH, r#""a.shown", "b""#, of(&["a", "b"])),
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
