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

/// The predicate that does not hold of a request, by its place in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failed {
    /// No block of `remote_addrs` has the client.
    Client,
    Header(usize),
    Query(usize),
    Cookie(usize),
}

impl Test {
    fn holds(&self, value: Option<&str>) -> bool {
        match self {
            Self::Value(wanted) => value == Some(wanted),
            Self::Regex(regex) => value.is_some_and(|value| regex.is_match(value)),
            Self::Present(wanted) => value.is_some() == *wanted,
        }
    }

    /// As [`Self::holds`] of what [`header()`] gives, without making a text of values that are compared.
    fn holds_of_header(&self, headers: &HeaderMap, name: &HeaderName) -> bool {
        match self {
            Self::Present(wanted) => headers.contains_key(name) == *wanted,
            Self::Value(wanted) if is_utf8(headers, name) => {
                let mut rest = Some(wanted.as_str());
                let mut any = false;
                for value in headers.get_all(name) {
                    rest = rest.and_then(|rest| {
                        let rest = if any { rest.strip_prefix(", ")? } else { rest };
                        std::str::from_utf8(rest.as_bytes().strip_prefix(value.as_bytes())?).ok()
                    });
                    any = true;
                }
                any && rest == Some("")
            }
            Self::Value(_) | Self::Regex(_) => self.holds(header(headers, name).as_deref()),
        }
    }

    /// As [`Self::holds`] of what [`parameter`] gives, without making a text of values that are compared.
    fn holds_of_parameter(&self, query: Option<&str>, name: &str) -> bool {
        let found = raw_parameter(query, name);
        match self {
            Self::Present(wanted) => found.is_some() == *wanted,
            Self::Value(wanted) => found.is_some_and(|value| means(value, wanted)),
            Self::Regex(_) => self.holds(found.map(decode).as_deref()),
        }
    }
}

fn is_utf8(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get_all(name).iter().all(|value| std::str::from_utf8(value.as_bytes()).is_ok())
}

impl Predicates {
    /// How many there are; the client's address counts as one.
    pub(crate) fn count(&self) -> usize {
        let addresses = usize::from(!self.remote_addrs.is_empty());
        self.headers.len() + self.query.len() + self.cookies.len() + addresses
    }

    /// Whether all hold of the request.
    pub(crate) fn hold(&self, request: &Request<'_>) -> bool {
        self.failed(request).is_none()
    }

    /// The first that does not hold of the request.
    pub(crate) fn failed(&self, request: &Request<'_>) -> Option<Failed> {
        let client = &request.client;
        if !self.remote_addrs.is_empty()
            && !self.remote_addrs.iter().any(|block| block.contains(client))
        {
            return Some(Failed::Client);
        }
        let headers = self
            .headers
            .iter()
            .position(|(name, test)| !test.holds_of_header(request.headers, name))
            .map(Failed::Header);
        let query = || {
            self.query
                .iter()
                .position(|(name, test)| !test.holds_of_parameter(request.query, name))
                .map(Failed::Query)
        };
        let cookies = || {
            self.cookies
                .iter()
                .position(|(name, test)| !test.holds(sent_cookie(request.headers, name).as_deref()))
                .map(Failed::Cookie)
        };
        headers.or_else(query).or_else(cookies)
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

/// The same of the lines of a request, one by one.
fn sent_cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<Cow<'h, str>> {
    headers.get_all(header::COOKIE).iter().find_map(|line| match text(line.as_bytes()) {
        Cow::Borrowed(line) => cookie(line, name).map(Cow::Borrowed),
        Cow::Owned(line) => cookie(&line, name).map(|value| Cow::Owned(value.to_owned())),
    })
}

/// The first query parameter of that name, decoded.
pub(crate) fn parameter<'q>(query: Option<&'q str>, name: &str) -> Option<Cow<'q, str>> {
    raw_parameter(query, name).map(decode)
}

/// The first query parameter whose name, decoded, is this one; its value as sent.
fn raw_parameter<'q>(query: Option<&'q str>, name: &str) -> Option<&'q str> {
    query?.split('&').filter(|pair| !pair.is_empty()).find_map(|pair| {
        let (own, value) = pair.split_once('=').unwrap_or((pair, ""));
        means(own, name).then_some(value)
    })
}

/// Whether a part of a query stands for this text: as [`decode`] would say.
fn means(part: &str, text: &str) -> bool {
    let bytes = Decoded(part.as_bytes());
    if !part.contains('%') {
        return bytes.eq(text.bytes());
    }
    // What is no UTF-8 gets replacement characters, and a text may have those.
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return decode(part) == text;
    }
    bytes.eq(text.bytes())
}

/// A `+` is a space; a broken escape stays as it is.
fn decode(part: &str) -> Cow<'_, str> {
    if !part.contains(['%', '+']) {
        return Cow::Borrowed(part);
    }
    let mut decoded = Vec::with_capacity(part.len());
    decoded.extend(Decoded(part.as_bytes()));
    Cow::Owned(match String::from_utf8(decoded) {
        Ok(decoded) => decoded,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// The bytes that a part of a query stands for.
struct Decoded<'q>(&'q [u8]);

impl Iterator for Decoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |at: usize| char::from(*rest.get(at)?).to_digit(16);
                let value = digit(0).zip(digit(1)).map(|(high, low)| high << 4 | low);
                match value.and_then(|value| u8::try_from(value).ok()) {
                    Some(value) => {
                        self.0 = &rest[2..];
                        value
                    }
                    None => b'%',
                }
            }
            byte => *byte,
        })
    }
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

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
            headers.append(header::COOKIE, HeaderValue::from_static(line));
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

    proptest! {
        /// What is decided without making texts is what is decided with them.
        #[test]
        fn values_are_compared_as_they_are_read(
            lines in proptest::collection::vec(any_line(), 0..3),
            query in "(([ab%+=&é]|%6[12]|%c3%a9|%ff){0,6})?",
            name in "[ab]|a b|%|é|\u{fffd}|",
            wanted in "[ab]{0,2}|a, b|a, a|, |é|\u{fffd}|a b",
        ) {
            let mut headers = HeaderMap::new();
            let header_name = HeaderName::from_static("x-a");
            for line in &lines {
                headers.append("x-a", HeaderValue::from_bytes(line).unwrap());
                headers.append(header::COOKIE, HeaderValue::from_bytes(line).unwrap());
            }
            let tests = [
                Test::Value(wanted),
                Test::Regex(Regex::new(".?a?, ?.*").unwrap()),
                Test::Present(true),
                Test::Present(false),
            ];
            for test in &tests {
                let read = header(&headers, &header_name);
                prop_assert_eq!(
                    test.holds_of_header(&headers, &header_name),
                    test.holds(read.as_deref())
                );
                let read = query.split('&').filter(|pair| !pair.is_empty()).find_map(|pair| {
                    let (own, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(own) == name).then(|| decode(value))
                });
                prop_assert_eq!(test.holds_of_parameter(Some(&query), &name), test.holds(read.as_deref()));
            }
            // A cookie without a name is asked for by nobody.
            let name = if name.is_empty() { "a" } else { &name };
            let joined = cookies(&headers);
            let (one, other) = (cookie(&joined, name), sent_cookie(&headers, name));
            prop_assert_eq!(one, other.as_deref());
        }
    }

    fn any_line() -> impl Strategy<Value = Vec<u8>> {
        let part = proptest::sample::select(vec![
            &b"a"[..],
            b"b",
            b"=",
            b";",
            b" ",
            b",",
            b"\xff",
            b"\xc3\xa9",
        ]);
        proptest::collection::vec(part, 0..5).prop_map(|parts| parts.concat())
    }

    #[test]
    fn headers_that_repeat_are_one_list() {
        let mut headers = HeaderMap::new();
        for value in ["1", "2"] {
            headers.append("x-a", HeaderValue::from_static(value));
        }
        assert_eq!(header(&headers, &HeaderName::from_static("x-a")).as_deref(), Some("1, 2"));
        assert_eq!(header(&headers, &HeaderName::from_static("x-b")), None);
    }
}
