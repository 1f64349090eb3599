//! What a request asks for: its host, its path in normal form and its query.

use std::borrow::Cow;

use http::{HeaderValue, Version, header};
use pingora::http::RequestHeader;
use pingora::http::authority::{RawTargetAuthority, raw_target_authority};
use refgate_core::document::EncodedSlashes;
use refgate_core::path::{self, PathError};

/// The target of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target<'r> {
    /// The authority as the client wrote it; nothing from clients too old to send one.
    pub(crate) authority: Option<&'r str>,
    /// The host that routes are compared with.
    pub(crate) host: Cow<'r, str>,
    /// The path in normal form.
    pub(crate) path: Cow<'r, str>,
    pub(crate) query: Option<&'r str>,
    /// Whether the target is in origin form, `/path?query`.
    is_origin_form: bool,
}

impl<'r> Target<'r> {
    /// Reads the target, or says why the request is refused.
    pub(crate) fn read(
        request: &'r RequestHeader,
        slashes: EncodedSlashes,
    ) -> Result<Self, &'static str> {
        let raw = request.raw_path();
        let (absolute, origin) = match raw_target_authority(raw) {
            RawTargetAuthority::None => (None, raw),
            RawTargetAuthority::Absolute { authority, path_and_query, .. } => {
                (Some(authority), path_and_query)
            }
            RawTargetAuthority::AmbiguousAuthority => {
                return Err("the request target is ambiguous");
            }
        };
        let mut hosts = request.headers.get_all(header::HOST).iter();
        let host = hosts.next().map(HeaderValue::as_bytes);
        if hosts.next().is_some() {
            return Err("there is more than one Host");
        }
        if host.is_none() && request.version == Version::HTTP_11 {
            return Err("there is no Host");
        }
        // RFC 9112 §3.2.2: the authority of an absolute target counts, not Host.
        let of_uri = || request.uri.authority().map(|authority| authority.as_str().as_bytes());
        let authority = match absolute.or_else(of_uri).or(host) {
            Some(bytes) => {
                let text = std::str::from_utf8(bytes).ok().filter(|text| is_authority(text));
                Some(text.ok_or("the host is not valid")?)
            }
            None => None,
        };
        let origin = std::str::from_utf8(origin).map_err(|_| "the request target is not UTF-8")?;
        if origin.contains('#') {
            return Err("the request target has a fragment");
        }
        let (raw_path, query) = match origin.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (origin, None),
        };
        let raw_path = if raw_path.is_empty() && absolute.is_some() { "/" } else { raw_path };
        let path = path::normalise(raw_path, slashes).map_err(reason)?;
        Ok(Self {
            authority,
            host: host_of(authority.unwrap_or("")),
            is_origin_form: absolute.is_none() && matches!(path, Cow::Borrowed(_)),
            path,
            query,
        })
    }

    /// The target to forward for `path`, when it is not the one that came.
    pub(crate) fn rewritten(&self, path: &str) -> Option<String> {
        if self.is_origin_form && path.len() == self.path.len() {
            return None;
        }
        Some(match self.query {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        })
    }
}

/// Whether this is `host [":" port]` (RFC 9110 §7.2), so that nobody behind us reads another host out of
/// it: a second colon, a bracket in the middle or a comma is no part of a host that is served.
fn is_authority(text: &str) -> bool {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(literal) = text.strip_prefix('[') {
        let Some((address, port)) = literal.split_once(']') else { return false };
        let is_address = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte);
        return !address.is_empty()
            && address.bytes().all(is_address)
            && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let (name, port) = text.split_once(':').unwrap_or((text, ""));
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(&byte);
    name.bytes().all(is_name) && is_port(port)
}

/// As [`refgate_core::host::request_host`], without making a text where none is needed.
fn host_of(authority: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| !byte.is_ascii_uppercase() && !matches!(byte, b':' | b'[');
    if authority.bytes().all(is_plain) && !authority.ends_with('.') {
        return Cow::Borrowed(authority);
    }
    Cow::Owned(refgate_core::host::request_host(authority))
}

fn reason(error: PathError) -> &'static str {
    match error {
        PathError::NotAbsolute => "the path does not begin with a slash",
        PathError::BrokenEscape => "the path has a broken percent escape",
        PathError::ControlCharacter => "the path has a control character",
        PathError::Backslash => "the path has a backslash",
        PathError::EncodedSlash => "the path has an encoded slash",
        PathError::AboveRoot => "the path climbs above the root",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str, hosts: &[&str]) -> RequestHeader {
        let mut request = RequestHeader::build("GET", target.as_bytes(), None).unwrap();
        request.set_version(Version::HTTP_11);
        for host in hosts {
            request.append_header(header::HOST, *host).unwrap();
        }
        request
    }

    #[test]
    fn targets() {
        // target, Host, host, path, query, forwarded target when rewritten
        let table = [
            ("/a?b=1", "A.com:80", "a.com", "/a", Some("b=1"), None),
            ("/a?", "a.com.", "a.com", "/a", Some(""), None),
            ("/%61//b?x=%61", "a.com", "a.com", "/a/b", Some("x=%61"), Some("/a/b?x=%61")),
            ("/a/../b", "[::1]:80", "[::1]", "/b", None, Some("/b")),
            ("http://a.com/x?y", "a.com", "a.com", "/x", Some("y"), Some("/x?y")),
            ("http://a.com", "a.com", "a.com", "/", None, Some("/")),
            ("/a?b=/../c", "a.com", "a.com", "/a", Some("b=/../c"), None),
        ];
        for (target, sent, host, path, query, rewritten) in table {
            let request = request(target, &[sent]);
            let read = Target::read(&request, EncodedSlashes::Reject).unwrap();
            assert_eq!(read.host, host, "{target}");
            assert_eq!(read.path, path, "{target}");
            assert_eq!(read.query, query, "{target}");
            assert_eq!(read.rewritten(&read.path).as_deref(), rewritten, "{target}");
        }
    }

    #[test]
    fn absolute_targets_win_over_the_host() {
        let request = request("http://b.com/x", &["a.com"]);
        let read = Target::read(&request, EncodedSlashes::Reject).unwrap();
        assert_eq!((read.host.as_ref(), read.authority), ("b.com", Some("b.com")));
    }

    #[test]
    fn refusals() {
        let table: &[(&str, &[&str])] = &[
            ("/", &[]),
            ("/", &["a.com", "a.com"]),
            ("/", &["a.com/b"]),
            ("/", &["user@a.com"]),
            ("/", &["a.com,b.com"]),
            ("/", &["a.com:80:81"]),
            ("/", &["a.com:b.com"]),
            ("/", &["[::1"]),
            ("/", &["a.com[]"]),
            ("/", &["[::1]b.com"]),
            ("/..", &["a.com"]),
            ("/%2f", &["a.com"]),
            ("/%", &["a.com"]),
            ("/a%5cb", &["a.com"]),
            ("*", &["a.com"]),
        ];
        for (target, hosts) in table {
            let request = request(target, hosts);
            let read = Target::read(&request, EncodedSlashes::Reject);
            assert!(read.is_err(), "{target} {hosts:?}: {read:?}");
        }
        let mut old = request("/", &[]);
        old.set_version(Version::HTTP_10);
        assert_eq!(Target::read(&old, EncodedSlashes::Reject).unwrap().host, "");
    }

    #[test]
    fn hosts_are_read_as_core_reads_them() {
        for authority in ["a.com", "A.com", "a.com:1", "a.com.", "[::1]:1", "a.com.:1", ""] {
            assert_eq!(host_of(authority), refgate_core::host::request_host(authority));
        }
    }
}
