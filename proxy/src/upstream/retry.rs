//! When a request is tried again.

use std::time::Duration;

use pingora::{Error, ErrorType};
use refgate_core::document::RetryOn;

/// What an upstream says about further tries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RetryPolicy {
    /// Further tries after the first.
    pub(crate) retries: u32,
    /// Time for all tries together.
    pub(crate) within: Option<Duration>,
    connect: bool,
    timeout: bool,
    reset: bool,
    server_error: bool,
    statuses: Vec<u16>,
}

/// How a try failed before an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No connection; the node has seen nothing of the request.
    Connect,
    /// No connection in time; the same.
    ConnectTimeout,
    /// A time ran out.
    Timeout,
    /// The connection broke.
    Reset,
}

impl Failure {
    /// How there came to be no connection.
    pub(crate) fn to_connect(error: &Error) -> Self {
        if is_timeout(error.etype()) { Self::ConnectTimeout } else { Self::Connect }
    }

    /// Whether a time ran out.
    pub(crate) fn is_timeout(self) -> bool {
        matches!(self, Self::ConnectTimeout | Self::Timeout)
    }

    /// How a try failed on an established connection.
    pub(crate) fn of(error: &Error) -> Self {
        if is_timeout(error.etype()) { Self::Timeout } else { Self::Reset }
    }
}

/// Whether the error is that a time ran out.
pub(crate) fn is_timeout(error: &ErrorType) -> bool {
    matches!(
        error,
        ErrorType::ConnectTimedout
            | ErrorType::TLSHandshakeTimedout
            | ErrorType::ReadTimedout
            | ErrorType::WriteTimedout
    )
}

impl RetryPolicy {
    pub(crate) fn new(retries: u32, within: Option<Duration>, on: &[RetryOn]) -> Self {
        let mut policy = Self { retries, within, ..Self::default() };
        for on in on {
            match on {
                RetryOn::Connect => policy.connect = true,
                RetryOn::Timeout => policy.timeout = true,
                RetryOn::Reset => policy.reset = true,
                RetryOn::ServerError => policy.server_error = true,
                RetryOn::Status(status) => policy.statuses.push(*status),
            }
        }
        policy
    }

    /// Whether such a failure makes another try. What may have been processed is tried again only
    /// when that does no harm.
    pub(crate) fn on_failure(&self, failure: Failure, idempotent: bool) -> bool {
        match failure {
            Failure::Connect => self.connect,
            Failure::ConnectTimeout => self.connect || self.timeout,
            Failure::Timeout => self.timeout && idempotent,
            Failure::Reset => self.reset && idempotent,
        }
    }

    /// Whether an answer with this status makes another try.
    pub(crate) fn on_status(&self, status: u16, idempotent: bool) -> bool {
        let named = self.server_error && (500..600).contains(&status);
        idempotent && (named || self.statuses.contains(&status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_another_try() {
        let policy = |on: &[RetryOn]| RetryPolicy::new(1, None, on);
        let connect = policy(&[RetryOn::Connect]);
        assert!(connect.on_failure(Failure::Connect, true));
        assert!(connect.on_failure(Failure::Connect, false));
        assert!(connect.on_failure(Failure::ConnectTimeout, false));
        assert!(!connect.on_failure(Failure::Timeout, true));
        assert!(!connect.on_failure(Failure::Reset, true));
        assert!(!connect.on_status(503, true));
        let all = policy(&[RetryOn::Timeout, RetryOn::Reset, RetryOn::ServerError]);
        assert!(!all.on_failure(Failure::Connect, true));
        assert!(all.on_failure(Failure::ConnectTimeout, false), "the node has seen nothing");
        assert!(!policy(&[RetryOn::Reset]).on_failure(Failure::ConnectTimeout, true));
        assert!(all.on_failure(Failure::Timeout, true));
        assert!(!all.on_failure(Failure::Timeout, false));
        assert!(all.on_failure(Failure::Reset, true));
        assert!(!all.on_failure(Failure::Reset, false));
        assert!(all.on_status(500, true) && all.on_status(599, true));
        assert!(!all.on_status(500, false) && !all.on_status(404, true));
        let status = policy(&[RetryOn::Status(404), RetryOn::Status(503)]);
        assert!(status.on_status(404, true) && status.on_status(503, true));
        assert!(!status.on_status(502, true));
    }
}
