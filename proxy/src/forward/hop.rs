//! Fields that are about one connection and go no further (RFC 9110 §7.6.1), both ways.
//!
//! On requests Pingora's policy for upstream requests does the work (see [`crate::upstream`]); what
//! it leaves is added here. Answers are ours alone.

use http::StatusCode;
use http::header::{
    CONNECTION, COOKIE, HeaderName, HeaderValue, PROXY_AUTHENTICATE, TE, TRAILER, UPGRADE,
};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

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
pub(crate) fn restore_trailers(request: &mut RequestHeader) -> Result<()> {
    request.insert_header(TE, HeaderValue::from_static("trailers"))
}

/// HTTP/2 lets clients split `Cookie`; HTTP/1.1 knows only one field (RFC 9113 §8.2.3).
pub(crate) fn join_cookies(request: &mut RequestHeader) -> Result<()> {
    if request.headers.get_all(COOKIE).iter().nth(1).is_none() {
        return Ok(());
    }
    let crumbs: Vec<&[u8]> =
        request.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) else { return Ok(()) };
    request.insert_header(COOKIE, joined)
}

/// Takes the fields of the node's connection off its answer.
///
/// `Transfer-Encoding` stays: Pingora frames the answer to the client by it.
pub(crate) fn clean_answer(answer: &mut ResponseHeader) {
    if answer.status == StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    let named: Vec<HeaderName> = answer
        .headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .filter(|name| !matches!(name.as_str(), "content-length" | "transfer-encoding"))
        .collect();
    for name in &named {
        answer.remove_header(name);
    }
    for name in [&CONNECTION, &UPGRADE, &TE, &TRAILER, &PROXY_AUTHENTICATE] {
        // Trailers exist in HTTP/2 without the announcement as well.
        if answer.headers.contains_key(name) {
            answer.remove_header(name);
        }
    }
    for name in ["keep-alive", "proxy-connection"] {
        if answer.headers.contains_key(name) {
            answer.remove_header(name);
        }
    }
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
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        for crumb in ["a=1", "b=2"] {
            request.append_header("Cookie", crumb).unwrap();
        }
        join_cookies(&mut request).unwrap();
        assert_eq!(request.headers.get_all("cookie").iter().collect::<Vec<_>>(), ["a=1; b=2"]);
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
