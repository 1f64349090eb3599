//! Fields that are about one connection and go no further (RFC 9110 §7.6.1), both ways.
//!
//! On requests Pingora's policy for upstream requests does the work (see [`crate::upstream`]); what
//! it leaves is added here. Answers are ours alone.

use http::header::{
    CONNECTION, COOKIE, HeaderName, HeaderValue, PROXY_AUTHENTICATE, TE, TRAILER, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, Request, StatusCode, Version};
use pingora::http::{RequestHeader, ResponseHeader};

/// Fields that a request to a node has more than the one that came.
const ADDED: usize = 8;

/// Changes the fields of the request to a node, in the map itself: through Pingora, which keeps
/// beside it how each name was spelled, every field costs as much as three. So names go to nodes in
/// lower case, as names of fields mean the same however they are spelled (RFC 9110 §5.1).
///
/// The target must be one that its URI holds whole, or be set anew behind this.
pub(crate) fn edit(request: &mut RequestHeader, change: impl FnOnce(Version, &mut HeaderMap)) {
    let nothing = RequestHeader::from(Request::new(()).into_parts().0);
    let mut parts = Parts::from(std::mem::replace(request, nothing));
    parts.headers.reserve(ADDED);
    change(parts.version, &mut parts.headers);
    *request = RequestHeader::from(parts);
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
