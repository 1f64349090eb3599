//! Fields that are about one connection and go no further (RFC 9110 §7.6.1), both ways.
//!
//! On requests that go Pingora's way its policy for upstream requests does the work (see
//! [`crate::upstream`]), on those of [`super::relay`] [`strip`] does the same. Answers are ours alone.

use http::header::{
    CONNECTION, COOKIE, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, Request, StatusCode, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::{Error, ErrorType, Result};

/// Fields that a request to a node has more than the one that came.
const ADDED: usize = 8;

/// So many names `Connection` may have at most: each is looked for in the request.
const MOST_NAMED: usize = 9;

/// Changes the fields of the request to a node, in the map itself: through Pingora, which keeps
/// beside it how each name was spelled, every field costs as much as three. So names go to nodes in
/// lower case, as names of fields mean the same however they are spelled (RFC 9110 §5.1).
///
/// The target must be one that its URI holds whole, or be set anew behind this.
pub(crate) fn edit(
    request: &mut RequestHeader,
    change: impl FnOnce(Version, &mut HeaderMap) -> Result<()>,
) -> Result<()> {
    let nothing = RequestHeader::from(Request::new(()).into_parts().0);
    let mut parts = Parts::from(std::mem::replace(request, nothing));
    parts.headers.reserve(ADDED);
    change(parts.version, &mut parts.headers)?;
    *request = RequestHeader::from(parts);
    Ok(())
}

/// The request to a node in HTTP/1: the one that came, without what was for the client's connection,
/// and changed. The rest of it as in [`edit`].
pub(crate) fn request(
    asked: &RequestHeader,
    change: impl FnOnce(&mut HeaderMap) -> Result<()>,
) -> Result<RequestHeader> {
    let mut parts = asked.as_owned_parts();
    parts.version = Version::HTTP_11;
    strip(&mut parts.headers)
        .map_err(|defect| Error::explain(ErrorType::InvalidHTTPHeader, defect).into_down())?;
    parts.headers.reserve(ADDED);
    change(&mut parts.headers)?;
    Ok(RequestHeader::from(parts))
}

/// Takes off what is about the client's connection, and what `Connection` names besides.
///
/// # Errors
/// What is wrong with `Connection`: it may not name what others rely on, nor be no list of names.
fn strip(headers: &mut HeaderMap) -> Result<(), &'static str> {
    let of_connection = |name: &HeaderName| {
        is_of_connection(name)
            || name == TRANSFER_ENCODING
            || name == PROXY_AUTHORIZATION
            || name == "http2-settings"
    };
    if !headers.keys().any(of_connection) {
        return Ok(());
    }
    let values = headers.get_all(CONNECTION).iter().map(HeaderValue::as_bytes);
    let tokens = values.flat_map(|value| value.split(|byte| *byte == b','));
    let tokens = tokens.map(<[u8]>::trim_ascii).filter(|token| !token.is_empty());
    let mut gone: Vec<HeaderName> = Vec::new();
    for token in tokens {
        if gone.len() == MOST_NAMED {
            return Err("Connection names too much");
        }
        let is_token = token.iter().all(|byte| is_token_character(*byte));
        let name = is_token.then(|| HeaderName::from_bytes(token).ok()).flatten();
        let name = name.ok_or("Connection names what is no field")?;
        if matches!(
            name.as_str(),
            "host" | "x-forwarded-for" | "x-forwarded-host" | "x-forwarded-proto"
        ) {
            return Err("Connection names a field that others rely on");
        }
        gone.push(name);
    }
    gone.extend(headers.keys().filter(|name| of_connection(name)).cloned());
    for name in &gone {
        headers.remove(name);
    }
    Ok(())
}

/// Of what a token is made (RFC 9110 §5.6.2).
fn is_token_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether the client takes trailers, the one thing that `TE` says end to end to gRPC servers.
pub(crate) fn takes_trailers(request: &RequestHeader) -> bool {
    request
        .headers
        .get_all(TE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}

/// Puts back what a node that speaks HTTP/2 needs to know of the client's `TE`.
pub(crate) fn restore_trailers(headers: &mut HeaderMap) {
    headers.insert(TE, HeaderValue::from_static("trailers"));
}

/// HTTP/2 lets clients split `Cookie`; HTTP/1.1 knows only one field (RFC 9113 §8.2.3).
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

/// Takes the fields of the node's connection off its answer.
///
/// `Transfer-Encoding` stays: Pingora frames the answer to the client by it.
pub(crate) fn clean_answer(answer: &mut ResponseHeader) {
    // Most answers have none of them: one look at each name is less than a search for each of ours.
    if answer.status == StatusCode::SWITCHING_PROTOCOLS
        || !answer.headers.keys().any(is_of_connection)
    {
        return;
    }
    let named = answer.headers.get_all(CONNECTION).iter();
    let named = named
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .filter(|name| !matches!(name.as_str(), "content-length" | "transfer-encoding"));
    let of_connection = answer.headers.keys().filter(|name| is_of_connection(name)).cloned();
    let gone: Vec<HeaderName> = named.chain(of_connection).collect();
    for name in &gone {
        answer.remove_header(name);
    }
}

/// Whether a field says something about one connection. Trailers exist in HTTP/2 without the
/// announcement as well.
fn is_of_connection(name: &HeaderName) -> bool {
    name == CONNECTION
        || name == UPGRADE
        || name == TE
        || name == TRAILER
        || name == PROXY_AUTHENTICATE
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_lose_the_fields_of_their_connection() {
        let mut answer = ResponseHeader::build(200, None).unwrap();
        for (name, value) in [
            ("Connection", "close, X-Hop"),
            ("Connection", "content-length"),
            ("X-Hop", "1"),
            ("Keep-Alive", "timeout=5"),
            ("Upgrade", "h2c"),
            ("Proxy-Authenticate", "Basic"),
            ("Trailer", "X-Sum"),
            ("Content-Length", "3"),
            ("X-End", "2"),
        ] {
            answer.append_header(name, value).unwrap();
        }
        clean_answer(&mut answer);
        let mut left: Vec<&str> = answer.headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-length", "x-end"]);
    }

    fn stripped(fields: &[(&'static str, &'static str)]) -> Result<Vec<String>, &'static str> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        strip(&mut headers)?;
        Ok(headers.keys().map(ToString::to_string).collect())
    }

    #[test]
    fn requests_lose_the_fields_of_their_connection() {
        let of_connection = [
            ("connection", "close, X-Hop , "),
            ("connection", "keep-alive"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "close"),
            ("proxy-authenticate", "Basic"),
            ("proxy-authorization", "Basic YTpi"),
            ("te", "trailers"),
            ("trailer", "X-Sum"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABkAAQ"),
        ];
        for field in of_connection {
            if field.0 != "x-hop" {
                assert_eq!(stripped(&[field, ("accept", "*/*")]).unwrap(), ["accept"], "{field:?}");
            }
        }
        assert!(stripped(&of_connection).unwrap().is_empty());
        assert_eq!(stripped(&[("x-hop", "1"), ("host", "a")]).unwrap(), ["x-hop", "host"]);
    }

    #[test]
    fn connection_names_fields_and_not_those_that_others_rely_on() {
        let refused = |value| stripped(&[("connection", value), ("host", "a")]).is_err();
        for value in [
            "Host",
            "close, X-Forwarded-For",
            "x-forwarded-host",
            "X-FORWARDED-PROTO",
            ":authority",
            "\"x-forwarded-for\"",
            "a b",
            "a,b,c,d,e,f,g,h,i,j",
        ] {
            assert!(refused(value), "{value}");
        }
        for value in ["", ",", "close", "a,b,c,d,e,f,g,h,i"] {
            assert!(!refused(value), "{value}");
        }
    }

    #[test]
    fn upgrades_keep_theirs() {
        let mut answer = ResponseHeader::build(101, None).unwrap();
        answer.insert_header("Connection", "Upgrade").unwrap();
        answer.insert_header("Upgrade", "websocket").unwrap();
        clean_answer(&mut answer);
        assert_eq!(answer.headers.len(), 2);
    }

    #[test]
    fn cookies_join() {
        let mut headers = HeaderMap::new();
        for crumb in ["a=1", "b=2"] {
            headers.append(COOKIE, HeaderValue::from_static(crumb));
        }
        join_cookies(&mut headers);
        assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2"]);
    }

    #[test]
    fn trailers_are_found_in_a_list() {
        for (value, takes) in [("trailers", true), ("gzip, Trailers", true), ("gzip", false)] {
            let mut request = RequestHeader::build("GET", b"/", None).unwrap();
            request.insert_header("TE", value).unwrap();
            assert_eq!(takes_trailers(&request), takes, "{value}");
        }
    }
}
