//! What a route asks of a request beside host, path and method.

use std::borrow::Cow;
use std::net::IpAddr;

use http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;
use refgate_core::document::Regex;

use super::method::RequestMethod;

/// A request as the router sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'r> {
    /// The host it is for: lower case, without port and trailing dot.
    pub(crate) host: &'r str,
    /// Its path in normal form.
    pub(crate) path: &'r str,
    /// What stands behind the `?`.
    pub(crate) query: Option<&'r str>,
    pub(crate) method: RequestMethod,
    pub(crate) headers: &'r HeaderMap,
    /// Who made it.
    pub(crate) client: IpAddr,
}

/// All the predicates of a route; every one must hold.
#[derive(Debug, Default)]
pub(crate) struct Predicates {
    pub(crate) headers: Vec<(HeaderName, Test)>,
    pub(crate) query: Vec<(String, Test)>,
    pub(crate) cookies: Vec<(String, Test)>,
    /// Blocks of which one must hold the client; empty: any client.
    pub(crate) remote_addrs: Vec<IpNet>,
}

/// What must hold of the thing that a predicate names.
#[derive(Debug)]
pub(crate) enum Test {
    /// It is there with exactly this value.
    Value(String),
    /// It is there and its whole value matches.
    Regex(Regex),
    /// It is there, or it is not.
    Present(bool),
}

impl Test {
    fn holds(&self, value: Option<&str>) -> bool {
        match self {
            Self::Value(wanted) => value == Some(wanted),
            Self::Regex(regex) => value.is_some_and(|value| regex.is_match(value)),
            Self::Present(wanted) => value.is_some() == *wanted,
        }
    }
}

impl Predicates {
    /// How many there are; the client's address counts as one.
    pub(crate) fn count(&self) -> usize {
        let addresses = usize::from(!self.remote_addrs.is_empty());
        self.headers.len() + self.query.len() + self.cookies.len() + addresses
    }

    /// Whether all hold of the request.
    pub(crate) fn hold(&self, request: &Request<'_>) -> bool {
        let client = &request.client;
        (self.remote_addrs.is_empty()
            || self.remote_addrs.iter().any(|block| block.contains(client)))
            && self
                .headers
                .iter()
                .all(|(name, test)| test.holds(header(request.headers, name).as_deref()))
            && self
                .query
                .iter()
                .all(|(name, test)| test.holds(parameter(request.query, name).as_deref()))
            && (self.cookies.is_empty() || {
                let sent = cookies(request.headers);
                self.cookies.iter().all(|(name, test)| test.holds(cookie(&sent, name)))
            })
    }
}

/// The value of a header; one that repeats counts as its values joined by `, `.
pub(crate) fn header<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<Cow<'h, str>> {
    joined(headers, name, ", ")
}

/// All cookies of a request, as sent.
pub(crate) fn cookies(headers: &HeaderMap) -> Cow<'_, str> {
    joined(headers, &header::COOKIE, "; ").unwrap_or_default()
}

fn joined<'h>(headers: &'h HeaderMap, name: &HeaderName, by: &str) -> Option<Cow<'h, str>> {
    let mut values = headers.get_all(name).iter().map(|value| text(value.as_bytes()));
    let mut all = values.next()?;
    for value in values {
        let all = all.to_mut();
        all.push_str(by);
        all.push_str(&value);
    }
    Some(all)
}

/// The first cookie of that name among those that [`cookies`] gave.
pub(crate) fn cookie<'c>(cookies: &'c str, name: &str) -> Option<&'c str> {
    cookies.split(';').find_map(|pair| {
        let pair = pair.trim();
        let (own, value) = pair.split_once('=').unwrap_or((pair, ""));
        (own == name).then_some(value)
    })
}

/// The first query parameter of that name, decoded.
pub(crate) fn parameter<'q>(query: Option<&'q str>, name: &str) -> Option<Cow<'q, str>> {
    query?.split('&').filter(|pair| !pair.is_empty()).find_map(|pair| {
        let (own, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(own) == name).then(|| decode(value))
    })
}

/// A `+` is a space; a broken escape stays as it is.
fn decode(part: &str) -> Cow<'_, str> {
    if !part.contains(['%', '+']) {
        return Cow::Borrowed(part);
    }
    let bytes = part.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut position = 0;
    while let Some(&byte) = bytes.get(position) {
        position += 1;
        let escaped = match byte {
            b'+' => Some(b' '),
            b'%' => bytes.get(position..position + 2).and_then(|digits| {
                let digit = |digit: u8| char::from(digit).to_digit(16);
                let value = digit(digits[0])? << 4 | digit(digits[1])?;
                position += 2;
                u8::try_from(value).ok()
            }),
            _ => None,
        };
        decoded.push(escaped.unwrap_or(byte));
    }
    Cow::Owned(match String::from_utf8(decoded) {
        Ok(decoded) => decoded,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters() {
        let table = [
            (Some("a=1&b=2"), "b", Some("2")),
            (Some("a=1&a=2"), "a", Some("1")),
            (Some("a"), "a", Some("")),
            (Some("a="), "a", Some("")),
            (Some("a=b=c"), "a", Some("b=c")),
            (Some("a=x+y%20z"), "a", Some("x y z")),
            (Some("%61=1"), "a", Some("1")),
            (Some("a=%zz%4"), "a", Some("%zz%4")),
            (Some("a=%c3%a9"), "a", Some("é")),
            (Some("&&a=1"), "a", Some("1")),
            (Some("A=1"), "a", None),
            (Some(""), "", None),
            (None, "a", None),
        ];
        for (query, name, value) in table {
            assert_eq!(parameter(query, name).as_deref(), value, "{query:?} {name}");
        }
    }

    #[test]
    fn cookies_compare_as_sent() {
        let mut headers = HeaderMap::new();
        for line in ["a=1; b=\"x\"", "c=%20; a=2; d"] {
            headers.append(header::COOKIE, http::HeaderValue::from_static(line));
        }
        let sent = cookies(&headers);
        let table = [
            ("a", Some("1")),
            ("b", Some("\"x\"")),
            ("c", Some("%20")),
            ("d", Some("")),
            ("e", None),
        ];
        for (name, value) in table {
            assert_eq!(cookie(&sent, name), value, "{name}");
        }
    }

    #[test]
    fn headers_that_repeat_are_one_list() {
        let mut headers = HeaderMap::new();
        for value in ["1", "2"] {
            headers.append("x-a", http::HeaderValue::from_static(value));
        }
        assert_eq!(header(&headers, &HeaderName::from_static("x-a")).as_deref(), Some("1, 2"));
        assert_eq!(header(&headers, &HeaderName::from_static("x-b")), None);
    }
}
