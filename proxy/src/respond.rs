//! Answers that the gateway makes itself: every one is JSON of one shape, made here; but gRPC calls
//! are answered in their own way, see [`grpc`].

mod grpc;

pub(crate) use self::grpc::is_call as is_grpc_call;

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, Version, header};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::proxy::Session;

use crate::request_id::{self, RequestId};

/// How much of a refused request's body is read, in bytes, and for how long.
const MOST_TAKEN: usize = 256 << 10;
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a request is answered by the gateway and not by a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request cannot be read or is ambiguous; the text says what is wrong with it.
    BadRequest(&'static str),
    /// No route of a live service matches.
    RouteNotFound,
    /// Routes match but for the method.
    MethodNotAllowed,
    /// The body came too slowly.
    RequestTimeout,
    /// The body is larger than the gateway takes.
    PayloadTooLarge,
    /// The host asks for more than the connection has proven.
    MisdirectedRequest,
    /// The upstream has no node that takes requests.
    NoHealthyUpstream,
    /// The upstream has as many requests in flight as it may.
    UpstreamOverloaded,
    /// The node could not be reached or its answer could not be read.
    BadGateway,
    /// The node did not answer in time.
    GatewayTimeout,
}

impl Refusal {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::RouteNotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MisdirectedRequest => StatusCode::MISDIRECTED_REQUEST,
            Self::NoHealthyUpstream | Self::UpstreamOverloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::BadGateway => StatusCode::BAD_GATEWAY,
            Self::GatewayTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    fn code(self) -> &'static str {
        match self {
            Self::BadRequest(_) => "bad_request",
            Self::RouteNotFound => "route_not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestTimeout => "request_timeout",
            Self::PayloadTooLarge => "payload_too_large",
            Self::MisdirectedRequest => "misdirected_request",
            Self::NoHealthyUpstream => "no_healthy_upstream",
            Self::UpstreamOverloaded => "upstream_overloaded",
            Self::BadGateway => "bad_gateway",
            Self::GatewayTimeout => "gateway_timeout",
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::BadRequest(reason) => reason,
            Self::RouteNotFound => "no route matches this host and path",
            Self::MethodNotAllowed => "the route does not take this method",
            Self::RequestTimeout => "the body of the request did not come in time",
            Self::PayloadTooLarge => "the body is larger than this gateway takes",
            Self::MisdirectedRequest => {
                "this host is served to clients with a certificate, over TLS with its own name"
            }
            Self::NoHealthyUpstream => "no upstream node takes requests",
            Self::UpstreamOverloaded => "the upstream has as many requests in flight as it may",
            Self::BadGateway => "the upstream could not be reached or gave no valid answer",
            Self::GatewayTimeout => "the upstream did not answer in time",
        }
    }

    fn body(self, id: &RequestId) -> Bytes {
        // None of the three texts has a character that JSON escapes.
        let (code, message, id) = (self.code(), self.message(), id.as_str());
        let json = format!(r#"{{"error":"{code}","message":"{message}","request_id":"{id}"}}"#);
        Bytes::from(json)
    }
}

/// Sends the refusal; `allow` is for [`Refusal::MethodNotAllowed`].
pub(crate) async fn refuse(
    session: &mut Session,
    refusal: Refusal,
    allow: Option<HeaderValue>,
    id: &RequestId,
) -> Result<()> {
    send(session, refusal, allow, id).await?;
    if session.req_header().version == Version::HTTP_2 {
        take_rest(session).await;
    }
    Ok(())
}

/// Reads what is left of a request, within bounds. In HTTP/2 a stream whose end nobody reads is reset
/// behind the answer, and some clients forget the answer over that.
async fn take_rest(session: &mut Session) {
    let rest = async {
        let mut left = MOST_TAKEN;
        while let Ok(Some(part)) = session.read_request_body().await {
            left = match left.checked_sub(part.len()) {
                Some(left) => left,
                None => return,
            };
        }
    };
    // Who sends more, or more slowly, is reset.
    let _ = tokio::time::timeout(PATIENCE, rest).await;
}

async fn send(
    session: &mut Session,
    refusal: Refusal,
    allow: Option<HeaderValue>,
    id: &RequestId,
) -> Result<()> {
    if grpc::is_call(&session.req_header().headers) {
        let answer = grpc::answer(refusal, id)?;
        return send_header(session, Box::new(answer)).await;
    }
    let body = refusal.body(id);
    let mut answer = Box::new(ResponseHeader::build(refusal.status(), Some(6))?);
    answer.insert_header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))?;
    answer.insert_header(header::CONTENT_LENGTH, body.len())?;
    answer.insert_header(request_id::TITLE, id.value().clone())?;
    if let Some(allow) = allow {
        answer.insert_header(header::ALLOW, allow)?;
    }
    if session.req_header().method == Method::HEAD {
        send_header(session, answer).await
    } else {
        session.write_response_header(answer, false).await?;
        session.write_response_body(Some(body), true).await
    }
}

/// Sends an answer that is all header. In HTTP/2 the header says that it is the end, which Pingora's
/// own way of writing one leaves open: gRPC clients believe a status in nothing less.
async fn send_header(session: &mut Session, answer: Box<ResponseHeader>) -> Result<()> {
    if let ServerSession::Custom(stream) = session.as_downstream_mut() {
        return stream.write_response_header(answer, true).await;
    }
    session.write_response_header(answer, true).await
}

/// The answer to send in the place of one that Pingora made before the proxy saw a request.
pub(crate) fn instead_of(answer: &[u8]) -> Option<Vec<u8>> {
    let status = answer.strip_prefix(b"HTTP/1.1 ")?;
    let refusal = if status.starts_with(b"400 ") {
        Refusal::BadRequest("the request cannot be read")
    } else if status.starts_with(b"405 ") {
        // CONNECT is the one method that is refused before it is routed.
        Refusal::MethodNotAllowed
    } else {
        return None;
    };
    let id = RequestId::generate();
    let body = refusal.body(&id);
    let mut text = format!("HTTP/1.1 {}\r\n", refusal.status());
    let _ = write!(text, "Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    let _ = write!(text, "X-Request-Id: {}\r\n", id.as_str());
    if refusal == Refusal::MethodNotAllowed {
        text.push_str("Allow: GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS\r\n");
    }
    text.push_str("Connection: close\r\n\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(&body);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_json_of_one_shape() {
        let id = RequestId::generate();
        let refusals = [
            (Refusal::BadRequest("the path has a broken percent escape"), 400, "bad_request"),
            (Refusal::RouteNotFound, 404, "route_not_found"),
            (Refusal::MethodNotAllowed, 405, "method_not_allowed"),
            (Refusal::RequestTimeout, 408, "request_timeout"),
            (Refusal::PayloadTooLarge, 413, "payload_too_large"),
            (Refusal::MisdirectedRequest, 421, "misdirected_request"),
            (Refusal::NoHealthyUpstream, 503, "no_healthy_upstream"),
            (Refusal::UpstreamOverloaded, 503, "upstream_overloaded"),
            (Refusal::BadGateway, 502, "bad_gateway"),
            (Refusal::GatewayTimeout, 504, "gateway_timeout"),
        ];
        for (refusal, status, code) in refusals {
            assert_eq!(refusal.status().as_u16(), status);
            let json: serde_json::Value =
                serde_json::from_slice(&refusal.body(&id)).expect("a body is JSON");
            assert_eq!(json["error"], code);
            assert_eq!(json["request_id"], id.as_str());
            assert!(json["message"].is_string());
            assert_eq!(json.as_object().map(serde_json::Map::len), Some(3));
        }
    }

    #[test]
    fn only_refusals_of_the_server_below_are_replaced() {
        assert!(instead_of(b"HTTP/1.1 200 OK\r\n\r\n").is_none());
        assert!(instead_of(b"body").is_none());
        let answer = instead_of(b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n");
        let text = String::from_utf8(answer.expect("it is replaced")).expect("it is text");
        assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"));
        assert!(!text.contains("Server"));
        let (head, body) = text.split_once("\r\n\r\n").expect("it has a body");
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
    }
}
