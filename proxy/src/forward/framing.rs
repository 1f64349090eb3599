//! How requests and answers say where they end, as strictly as those behind us may read it.
//!
//! Pingora takes some messages that it understands well enough and that somebody else may understand
//! otherwise; such requests are refused here, and their connection is closed, as what follows on it may be a
//! part of them. Fields that are about the connection are [`super::hop`]'s.

use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING, UPGRADE,
};
use http::{Method, StatusCode, Version};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::ServerSession;
use pingora::proxy::Session;

/// What is wrong with how a request is framed.
///
/// `head` gives the header as it came, where there is one: Pingora takes `Content-Length` off a request
/// that has `Transfer-Encoding` as well before anybody sees it.
pub(crate) fn defect<B: AsRef<[u8]>>(
    headers: &HeaderMap,
    head: impl FnOnce() -> Option<B>,
) -> Option<&'static str> {
    if let Some(coding) = headers.get(TRANSFER_ENCODING) {
        // RFC 9112 §6.1: only what is understood may be taken off, and nodes get the body in chunks
        // and nothing else; "chunked" must not be applied twice.
        let is_alone = headers.get_all(TRANSFER_ENCODING).iter().nth(1).is_none();
        if !is_alone || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Some("the transfer coding is not chunked alone");
        }
        // RFC 9112 §6.3: a message with both "ought to be handled as an error".
        if head().is_some_and(|head| has_length(head.as_ref())) {
            return Some("there are both Content-Length and Transfer-Encoding");
        }
    }
    if let Some(length) = headers.get(CONTENT_LENGTH) {
        // RFC 9110 §8.6: a list of the same length must be refused or mended; Pingora passes it on.
        let is_alone = headers.get_all(CONTENT_LENGTH).iter().nth(1).is_none();
        if !is_alone || !length.as_bytes().iter().all(u8::is_ascii_digit) {
            return Some("the Content-Length is not one number");
        }
    }
    None
}

/// How many bytes of its connection a request in HTTP/1 takes, header and body; nothing when only
/// reading it to its end tells.
pub(crate) fn length(session: &Session) -> Option<u64> {
    let ServerSession::H1(http1) = session.as_downstream() else { return None };
    let headers = &session.req_header().headers;
    if headers.contains_key(TRANSFER_ENCODING) {
        return None;
    }
    let body = match headers.get(CONTENT_LENGTH) {
        Some(length) => length.to_str().ok()?.parse().ok()?,
        None => 0,
    };
    u64::try_from(http1.get_headers_raw_bytes().len()).ok()?.checked_add(body)
}

/// Says how the body of a request to a node in HTTP/1 ends, where its fields do not.
pub(crate) fn frame_request(headers: &mut HeaderMap, has_body: bool) {
    if has_body && !headers.contains_key(CONTENT_LENGTH) {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// Says how the body of an answer ends, where its fields do not: a body that ends with the connection
/// would end the client's as well. `end`: the header is all there is.
pub(crate) fn frame_answer(
    request: &RequestHeader,
    answer: &mut ResponseHeader,
    end: bool,
) -> Result<()> {
    if end
        || answer.status.is_informational()
        || request.method == Method::HEAD
        || matches!(answer.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || answer.headers.contains_key(TRANSFER_ENCODING)
        || answer.headers.contains_key(CONTENT_LENGTH)
    {
        return Ok(());
    }
    // Versions before 1.1 know no chunks.
    answer.set_version(Version::HTTP_11);
    answer.insert_header(TRANSFER_ENCODING, "chunked")
}

/// Whether an answer ends with its header, as far as that says so.
pub(crate) fn has_no_body(request: &RequestHeader, answer: &ResponseHeader) -> bool {
    request.method == Method::HEAD
        || matches!(answer.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || answer.headers.get(CONTENT_LENGTH).is_some_and(|length| length == "0")
}

/// Makes one number of a length that an answer says more than once: Pingora has seen that all are the
/// same, and passes them on as they came (RFC 9110 §8.6).
pub(crate) fn mend_length(answer: &mut ResponseHeader) -> Result<()> {
    let mut lengths = answer.headers.get_all(CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else { return Ok(()) };
    if lengths.next().is_none() && length.as_bytes().iter().all(u8::is_ascii_digit) {
        return Ok(());
    }
    let first = length.as_bytes().split(|byte| *byte == b',').next().unwrap_or_default();
    match HeaderValue::from_bytes(first.trim_ascii()) {
        Ok(length) => answer.insert_header(CONTENT_LENGTH, length),
        Err(_) => Ok(()),
    }
}

fn has_length(head: &[u8]) -> bool {
    const NAME: &[u8] = b"content-length";
    head.split(|byte| *byte == b'\n')
        .filter_map(|line| line.split_at_checked(NAME.len()))
        .any(|(name, rest)| name.eq_ignore_ascii_case(NAME) && rest.first() == Some(&b':'))
}

/// Takes `Upgrade` off a request whose `Connection` does not name it (RFC 9110 §7.8), or that has a
/// body: Pingora would upgrade the connection with the one, and in the middle of the other.
pub(crate) fn ignore_stray_upgrade(session: &mut Session) {
    let headers = &session.req_header().headers;
    if !headers.contains_key(UPGRADE) {
        return;
    }
    let is_named = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"));
    let has_body = headers.contains_key(TRANSFER_ENCODING)
        || headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
    if !is_named || has_body {
        session.req_header_mut().remove_header(&UPGRADE);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn wrong(fields: &[(HeaderName, &'static str)], head: &'static str) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.clone(), HeaderValue::from_static(value));
        }
        defect(&headers, || Some(head)).is_some()
    }

    #[test]
    fn requests_are_framed_in_one_way() {
        let (coding, length) = (TRANSFER_ENCODING, CONTENT_LENGTH);
        assert!(!wrong(&[], ""));
        assert!(!wrong(&[(length.clone(), "5")], ""));
        assert!(!wrong(
            &[(coding.clone(), "Chunked")],
            "POST / HTTP/1.1\r\nX-Content-Length: 5\r\n"
        ));
        assert!(wrong(&[(coding.clone(), "chunked")], "POST / HTTP/1.1\r\ncontent-LENGTH: 5\r\n"));
        assert!(wrong(&[(coding.clone(), "gzip, chunked")], ""));
        assert!(wrong(&[(coding.clone(), "chunked"), (coding, "chunked")], ""));
        assert!(wrong(&[(length.clone(), "5, 5")], ""));
        assert!(wrong(&[(length.clone(), "5"), (length, "5")], ""));
    }
}
