//! Host names: what a service answers to, and how a request's host is compared with it.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::diagnostic::Code;
use crate::document::reader::repeated;
use crate::document::{Reader, Shape};

/// A host that a service answers to, in lower case, without port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// Exactly this host.
    Exact(String),
    /// One or more labels before this suffix; kept without the `*.`.
    Wildcard(String),
}

impl HostPattern {
    /// Whether a host, as [`request_host`] gives it, is meant by this pattern.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(own) => own == host,
            Self::Wildcard(suffix) => host
                .strip_suffix(suffix.as_str())
                .and_then(|labels| labels.strip_suffix('.'))
                .is_some_and(|labels| !labels.is_empty()),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => out.write_str(host),
            Self::Wildcard(suffix) => write!(out, "*.{suffix}"),
        }
    }
}

/// Why a text is not a host pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a host: an exact name such as api.acme.com, or *.acme.com, without port")]
pub struct HostError(String);

impl FromStr for HostPattern {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let lower = text.to_ascii_lowercase();
        let bracketed = lower.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Some(address) = bracketed {
            return match address.parse::<std::net::Ipv6Addr>() {
                Ok(_) => Ok(Self::Exact(lower)),
                Err(_) => Err(HostError(text.to_owned())),
            };
        }
        match lower.strip_prefix("*.") {
            Some(suffix) if is_host_name(suffix) => Ok(Self::Wildcard(suffix.to_owned())),
            None if is_host_name(&lower) => Ok(Self::Exact(lower)),
            _ => Err(HostError(text.to_owned())),
        }
    }
}

impl Shape for HostPattern {
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
        at.parsed(json, Code::BadHost)
    }

    fn check_list(entries: &[Option<Self>], at: &mut Reader<'_>) {
        let texts = entries.iter().map(|entry| Some(entry.as_ref()?.to_string().into()));
        repeated(texts, at);
    }

    fn schema() -> Value {
        crate::document::schema::text(r"^((\*\.)?[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])$")
    }

    fn expand(json: &Value) -> Value {
        match json {
            Value::String(text) if !text.starts_with('$') => text.to_ascii_lowercase().into(),
            other => other.clone(),
        }
    }

    fn canonical(json: &Value) -> Value {
        Self::expand(json)
    }
}

/// Labels of letters, digits, `-` and `_`, joined by dots; at most 253 bytes, 63 a label.
#[must_use]
pub fn is_host_name(text: &str) -> bool {
    let in_label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    text.len() <= crate::limits::HOST_BYTES
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(in_label)
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

/// The host of a request as it is compared: lower case, without port and trailing dot.
///
/// `authority` is the `Host` header or the authority of the request target, without user info.
#[must_use]
pub fn request_host(authority: &str) -> String {
    let without_port = if authority.starts_with('[') {
        authority.find(']').map_or(authority, |end| &authority[..=end])
    } else {
        authority.split(':').next().unwrap_or(authority)
    };
    let host = without_port.strip_suffix('.').unwrap_or(without_port);
    host.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let good =
            ["a", "Test.Acme.com", "*.acme.com", "10.0.0.1", "[::1]", "a_b.c", "xn--bcher-kva.de"];
        for text in good {
            let pattern: HostPattern = text.parse().expect(text);
            assert_eq!(pattern.to_string(), text.to_ascii_lowercase());
        }
        let long = format!("{}.com", "a".repeat(64));
        let bad = [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "*",
            "*.",
            "a.*.b",
            "*a.com",
            "a:80",
            "a/b",
            "a b",
            "-a.com",
            "bücher.de",
            "[::1]:80",
            "http://a",
            "*.*.a",
            &long,
        ];
        for text in bad {
            assert!(text.parse::<HostPattern>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn matching() {
        let table = [
            ("a.com", "a.com", true),
            ("a.com", "b.a.com", false),
            ("*.a.com", "a.com", false),
            ("*.a.com", "b.a.com", true),
            ("*.a.com", "c.b.a.com", true),
            ("*.a.com", ".a.com", false),
            ("*.a.com", "xa.com", false),
            ("[::1]", "[::1]", true),
        ];
        for (pattern, host, matches) in table {
            let pattern: HostPattern = pattern.parse().expect(pattern);
            assert_eq!(pattern.matches(host), matches, "{pattern} {host}");
        }
    }

    #[test]
    fn hosts_of_requests() {
        let table = [
            ("a.com", "a.com"),
            ("A.Com:8080", "a.com"),
            ("a.com.", "a.com"),
            ("a.com.:80", "a.com"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("", ""),
        ];
        for (authority, host) in table {
            assert_eq!(request_host(authority), host, "{authority:?}");
        }
    }
}
