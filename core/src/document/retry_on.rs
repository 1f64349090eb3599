//! `retry_on` of an upstream: what makes another try.

use serde_json::{Value, json};

use super::{Reader, Shape, schema};
use crate::diagnostic::Code;

/// What makes another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RetryOn {
    /// No connection could be made; the node has seen nothing of the request.
    Connect,
    /// A time ran out.
    Timeout,
    /// The connection broke before an answer.
    Reset,
    /// Any status from 500 to 599.
    ServerError,
    /// This status.
    Status(u16),
}

impl Shape for RetryOn {
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
        match at.text(json)? {
            "connect" => Some(Self::Connect),
            "timeout" => Some(Self::Timeout),
            "reset" => Some(Self::Reset),
            "5xx" => Some(Self::ServerError),
            other => {
                let digits = other.len() == 3 && other.bytes().all(|byte| byte.is_ascii_digit());
                let status =
                    other.parse().ok().filter(|status| digits && (400..600).contains(status));
                if status.is_none() {
                    at.error_with_hint(
                        Code::BadValue,
                        format!("{other:?} is nothing that makes another try"),
                        "one of connect, timeout, reset, 5xx, or a status such as \"503\"",
                    );
                }
                status.map(Self::Status)
            }
        }
    }

    fn schema() -> Value {
        let words = schema::words(&[
            ("connect", "No connection could be made; the node has seen nothing.".to_owned()),
            ("timeout", "A time ran out.".to_owned()),
            ("reset", "The connection broke before an answer.".to_owned()),
            ("5xx", "Any status from 500 to 599.".to_owned()),
        ]);
        let mut status = schema::text("^[45][0-9][0-9]$");
        status["description"] = json!("This status.");
        json!({"anyOf": [words, status]})
    }
}
