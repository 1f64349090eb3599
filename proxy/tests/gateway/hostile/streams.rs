//! Requests of HTTP/2 that are not what they seem (RFC 9113 §8).

use super::frames::{CONTINUATION, DATA, END_HEADERS, END_STREAM, Field, Frames, HEADERS, block};
use super::{AFTER, Pair};

const GET: &[Field<'static>] =
    &[(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a.test"), (b":path", b"/x")];

const POST: &[Field<'static>] =
    &[(b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"a.test"), (b":path", b"/x")];

/// What is sent: fields of the header, and parts of the body.
type Sent<'s> = (Vec<Field<'s>>, &'s [&'s [u8]]);

fn get<'s>(more: &[Field<'s>]) -> Sent<'s> {
    ([GET, more].concat(), &[])
}

fn post<'s>(more: &[Field<'s>], parts: &'s [&'s [u8]]) -> Sent<'s> {
    ([POST, more].concat(), parts)
}

/// The request for `/x` with another value for a pseudo field, or without it.
fn with<'s>(name: &'s [u8], value: Option<&'s [u8]>) -> Sent<'s> {
    let mut fields = GET.to_vec();
    match value {
        Some(value) => {
            let field = fields.iter_mut().find(|(own, _)| *own == name).unwrap();
            field.1 = value;
        }
        None => fields.retain(|(own, _)| *own != name),
    }
    (fields, &[])
}

/// Sends each request and one behind it; `passes` is the one that comes to an origin.
fn check(table: Vec<(&str, Sent<'_>, Option<&str>)>) {
    let pair = Pair::new();
    let mut wrong = Vec::new();
    for (what, (fields, parts), passes) in table {
        let mut client = Frames::connect(pair.world.gateway.address());
        let block = block(&fields);
        let end = if parts.is_empty() { END_STREAM } else { 0 };
        // In two frames, so that nothing depends on them being one.
        client.frame(HEADERS, end, 1, &block[..1]);
        client.frame(CONTINUATION, END_HEADERS, 1, &block[1..]);
        for (index, part) in parts.iter().enumerate() {
            let end = if index + 1 == parts.len() { END_STREAM } else { 0 };
            client.frame(DATA, end, 1, part);
        }
        client.get(3, "/after");
        let told = client.answer(1);
        let after = client.answer(3);
        let seen = pair.take();
        if seen != passes.into_iter().collect::<Vec<_>>() {
            wrong.push(format!("{what}: origins saw {seen:?}, the client {told:?}"));
        } else if passes.is_some() && told.as_deref() != passes {
            wrong.push(format!("{what}: the client saw {told:?}"));
        } else if after.as_deref().is_some_and(|after| after != AFTER) {
            wrong.push(format!("{what}: then the client saw {after:?}"));
        } else if after.is_none() && client.goodbye.is_none() && passes.is_some() {
            wrong.push(format!("{what}: nothing followed"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

const X: Option<&str> = Some("a GET /x a.test ");
const HELLO: Option<&str> = Some("a POST /x a.test hello");

#[test]
fn pseudo_fields() {
    // RFC 9113 §8.3.
    check(vec![
        ("as it should be", get(&[]), X),
        ("two methods", get(&[(b":method", b"POST")]), None),
        ("two paths", get(&[(b":path", b"/y")]), None),
        ("two authorities", get(&[(b":authority", b"b.test")]), None),
        ("one that is unknown", get(&[(b":x", b"y")]), None),
        ("one of answers", get(&[(b":status", b"200")]), None),
        ("behind another field", get(&[(b"x", b"y"), (b":authority", b"b.test")]), None),
        ("no method", with(b":method", None), None),
        ("no scheme", with(b":scheme", None), None),
        ("no path", with(b":path", None), None),
        ("no authority", with(b":authority", None), None),
        ("an empty path", with(b":path", Some(b"")), None),
        ("a path without a slash", with(b":path", Some(b"x")), None),
        ("an absolute path", with(b":path", Some(b"http://b.test/x")), None),
        ("an asterisk", with(b":path", Some(b"*")), None),
        ("a line in the path", with(b":path", Some(b"/x HTTP/1.1\r\nHost: b.test\r\n\r\n")), None),
        ("a space in the path", with(b":path", Some(b"/x y")), None),
        ("a NUL in the path", with(b":path", Some(b"/x\0")), None),
        ("a tab in the path", with(b":path", Some(b"/x\ty")), None),
        ("a space in the method", with(b":method", Some(b"GET /y HTTP/1.1")), None),
        ("a line in the method", with(b":method", Some(b"GET\r\nX: y")), None),
        ("an empty method", with(b":method", Some(b"")), None),
        ("a user in the authority", with(b":authority", Some(b"b.test@a.test")), None),
        ("a path in the authority", with(b":authority", Some(b"a.test/y")), None),
        ("a line in the authority", with(b":authority", Some(b"a.test\r\nX: y")), None),
        ("two ports in the authority", with(b":authority", Some(b"a.test:80:81")), None),
        ("a list of authorities", with(b":authority", Some(b"a.test,b.test")), None),
        ("an empty authority", with(b":authority", Some(b"")), None),
        ("a scheme that lies", with(b":scheme", Some(b"https")), X),
        ("a scheme that is a line", with(b":scheme", Some(b"http\r\nX: y")), None),
        ("a scheme that is a host", with(b":scheme", Some(b"http://b.test/?")), None),
        ("CONNECT", with(b":method", Some(b"CONNECT")), None),
        (
            "CONNECT as it should be",
            (vec![(b":method", b"CONNECT"), (b":authority", b"b.test:80")], &[]),
            None,
        ),
        ("an extended CONNECT", get(&[(b":protocol", b"websocket")]), None),
    ]);
}

#[test]
fn fields() {
    // RFC 9113 §8.2, §8.3.1.
    check(vec![
        ("Host as well", get(&[(b"host", b"a.test")]), X),
        ("another Host", get(&[(b"host", b"b.test")]), None),
        ("two Hosts", get(&[(b"host", b"a.test"), (b"host", b"b.test")]), None),
        ("capitals", get(&[(b"X-Y", b"z")]), None),
        ("an empty name", get(&[(b"", b"z")]), None),
        ("a space in a name", get(&[(b"x y", b"z")]), None),
        ("a colon in a name", get(&[(b"x:y", b"z")]), None),
        ("a line in a name", get(&[(b"x: y\r\nhost", b"b.test")]), None),
        ("a line in a value", get(&[(b"x", b"y\r\nhost: b.test")]), None),
        ("a line feed in a value", get(&[(b"x", b"y\nz")]), None),
        ("a carriage return in a value", get(&[(b"x", b"y\rz")]), None),
        ("a NUL in a value", get(&[(b"x", b"y\0z")]), None),
        ("a space before a value", get(&[(b"x", b" y")]), None),
        ("a space behind a value", get(&[(b"x", b"y ")]), None),
        ("a tab before a value", get(&[(b"x", b"\ty")]), None),
        ("a tab behind a value", get(&[(b"x", b"y\t")]), None),
        ("a space within a value", get(&[(b"x", b"y z")]), X),
        ("connection", get(&[(b"connection", b"x")]), None),
        ("keep-alive", get(&[(b"keep-alive", b"5")]), None),
        ("proxy-connection", get(&[(b"proxy-connection", b"close")]), None),
        ("transfer-encoding", post(&[(b"transfer-encoding", b"chunked")], &[b"0\r\n\r\n"]), None),
        ("upgrade", get(&[(b"upgrade", b"websocket")]), None),
        ("te", get(&[(b"te", b"trailers")]), X),
        ("another te", get(&[(b"te", b"gzip")]), None),
        ("crumbs", get(&[(b"cookie", b"a=1"), (b"cookie", b"b=2")]), X),
    ]);
}

#[test]
fn bodies() {
    // RFC 9113 §8.1.1.
    check(vec![
        ("a length", post(&[(b"content-length", b"5")], &[b"he", b"llo"]), HELLO),
        ("no length", post(&[], &[b"he", b"llo"]), HELLO),
        ("too short", post(&[(b"content-length", b"6")], &[b"hello"]), None),
        ("too long", post(&[(b"content-length", b"4")], &[b"hello"]), None),
        ("a length and no body", post(&[(b"content-length", b"5")], &[]), None),
        (
            "two lengths",
            post(&[(b"content-length", b"5"), (b"content-length", b"5")], &[b"hello"]),
            None,
        ),
        (
            "two other lengths",
            post(&[(b"content-length", b"5"), (b"content-length", b"6")], &[b"hello"]),
            None,
        ),
        ("a list of lengths", post(&[(b"content-length", b"5, 5")], &[b"hello"]), None),
        ("a plus", post(&[(b"content-length", b"+5")], &[b"hello"]), None),
        (
            "chunks in a body are text",
            post(&[], &[b"0\r\n\r\nGET /y HTTP/1.1\r\nHost: b.test\r\n\r\n"]),
            Some("a POST /x a.test 0\r\n\r\nGET /y HTTP/1.1\r\nHost: b.test\r\n\r\n"),
        ),
    ]);
}

#[test]
fn a_length_of_nothing_is_believed() {
    let pair = Pair::new();
    let mut client = Frames::connect(pair.world.gateway.address());
    let (fields, parts) = post(&[(b"content-length", b"0")], &[b"hello"]);
    client.frame(HEADERS, END_HEADERS, 1, &block(&fields));
    client.frame(DATA, END_STREAM, 1, parts[0]);
    client.get(3, "/after");
    client.answer(1);
    assert_eq!(client.answer(3).as_deref(), Some(AFTER));
    // The body that contradicts it may come too late to keep the request from the origin, where it is
    // one without a body.
    let seen = pair.take();
    assert!(seen.iter().all(|told| told == "a POST /x a.test "), "{seen:?}");
}
