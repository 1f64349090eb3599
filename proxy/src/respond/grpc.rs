//! Refusals as gRPC clients understand them: status 200, and what went wrong in `grpc-status`.
//!
//! Of an HTTP status such a client makes a guess, and the body is no message to it.

use http::{HeaderMap, HeaderValue, header};
use pingora::Result;
use pingora::http::ResponseHeader;

use super::Refusal;
use crate::request_id::{self, RequestId};

/// Whether the request is a gRPC call. gRPC-Web is not: its clients read HTTP.
pub(crate) fn is_call(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let rest = kind.and_then(|kind| kind.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// The answer, which is all header.
pub(super) fn answer(refusal: Refusal, id: &RequestId) -> Result<ResponseHeader> {
    let mut answer = ResponseHeader::build(200, Some(5))?;
    answer.insert_header(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"))?;
    answer.insert_header(header::CONTENT_LENGTH, 0)?;
    answer.insert_header("grpc-status", HeaderValue::from_static(status(refusal)))?;
    // Nothing in it is to be escaped.
    answer.insert_header("grpc-message", refusal.message())?;
    answer.insert_header(request_id::TITLE, id.value().clone())?;
    Ok(answer)
}

/// As gRPC's table of HTTP statuses has it, but that what ran out of time says so: "unavailable" is
/// leave to try again.
fn status(refusal: Refusal) -> &'static str {
    const DEADLINE_EXCEEDED: &str = "4";
    const RESOURCE_EXHAUSTED: &str = "8";
    const UNIMPLEMENTED: &str = "12";
    const INTERNAL: &str = "13";
    const UNAVAILABLE: &str = "14";
    match refusal {
        Refusal::BadRequest(_) | Refusal::MisdirectedRequest => INTERNAL,
        Refusal::RouteNotFound | Refusal::MethodNotAllowed => UNIMPLEMENTED,
        Refusal::RequestTimeout | Refusal::GatewayTimeout => DEADLINE_EXCEEDED,
        Refusal::PayloadTooLarge => RESOURCE_EXHAUSTED,
        Refusal::NoHealthyUpstream | Refusal::UpstreamOverloaded | Refusal::BadGateway => {
            UNAVAILABLE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_by_their_content() {
        let table = [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/grpc-web+proto", false),
            ("application/json", false),
        ];
        for (kind, is) in table {
            let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(kind))];
            assert_eq!(is_call(&headers.into_iter().collect()), is, "{kind}");
        }
        assert!(!is_call(&HeaderMap::new()));
    }
}
