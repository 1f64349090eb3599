//! Answers of origins that are not to be trusted: clients never see one of them split in two, and the
//! next answer on their connection is that to the next request.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use serde_json::json;

use super::recorder::Recorder;
use super::strict::{self, Read, Unframed};
use crate::world::{World, runtime, service};

/// An origin that answers every request, unread but for its header, with the same bytes.
fn origin(bytes: Vec<u8>, closes: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let bytes = bytes.clone();
            std::thread::spawn(move || {
                let mut stream = stream.unwrap();
                let mut head = Vec::new();
                let mut byte = [0];
                while let Ok(1) = stream.read(&mut byte) {
                    head.push(byte[0]);
                    if head.ends_with(b"\r\n\r\n") {
                        head.clear();
                        if stream.write_all(&bytes).is_err() || closes {
                            return;
                        }
                    }
                }
            });
        }
    });
    address
}

/// What a client sees of two requests with `method` to such an origin and one to another behind them:
/// whole answers, and whether something is left that is none.
fn seen(method: &str, bytes: &[u8], closes: bool) -> (Vec<(u16, String)>, bool) {
    let sound = Recorder::start("b");
    let mut files = Vec::new();
    for (name, address) in [("a", origin(bytes.to_vec(), closes)), ("b", sound.address)] {
        let nodes = json!([crate::origin::node(address)]);
        let mut runtime = runtime(json!({"nodes": nodes, "retries": 0}));
        runtime["hosts"] = json!([format!("{name}.test")]);
        files.extend(service(name, json!({"paths": ["/*"]}), runtime));
    }
    let world = World::new(&files);
    let mut stream = TcpStream::connect(world.gateway.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let asked = format!("{method} /x HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let after = "GET /after HTTP/1.1\r\nHost: b.test\r\nConnection: close\r\n\r\n";
    stream.write_all(format!("{asked}{asked}{after}").as_bytes()).unwrap();
    let mut came = Vec::new();
    // A connection that is cut ends as well.
    if let Err(error) = stream.read_to_end(&mut came) {
        assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "{}", came.escape_ascii());
    }
    let mut answers = Vec::new();
    let mut rest = &came[..];
    while !rest.is_empty() {
        let status: u16 = std::str::from_utf8(&rest[9..12]).unwrap().parse().unwrap();
        let has_no_body =
            matches!(status, 100..200 | 204 | 304) || (method == "HEAD" && answers.len() < 2);
        let unframed = if has_no_body { Unframed::Header } else { Unframed::Close };
        match strict::read(rest, unframed, true).unwrap_or_else(|what| panic!("{what}")) {
            Read::Whole(answer, taken) => {
                rest = &rest[taken..];
                if status >= 200 {
                    answers.push((status, answer.text()));
                }
            }
            Read::Part => return (answers, true),
        }
    }
    (answers, false)
}

/// What is tried, a method, what the origin says to it, and the answer that clients see; nothing: 502,
/// or one that breaks off.
type Row<'r> = (&'r str, &'r str, &'r [u8], Option<(u16, &'r str)>);

fn check(table: &[Row<'_>]) {
    let mut wrong = Vec::new();
    for (what, method, bytes, wanted) in table {
        for closes in [false, true] {
            let (answers, breaks_off) = seen(method, bytes, closes);
            let is_lawful =
                answers.iter().enumerate().all(|(index, (status, body))| match wanted {
                    _ if index == 2 => (*status, &body[..]) == (200, "b GET /after b.test "),
                    Some(wanted) => (*status, &body[..]) == *wanted,
                    None => *status == 502,
                });
            // What an origin that hangs up leaves half said ends the client's connection as well.
            let is_whole = wanted.is_none() || (!breaks_off && !answers.is_empty());
            if !is_lawful || !is_whole || answers.len() > 3 {
                wrong.push(format!("{what} ({closes}): {answers:?}, breaks off: {breaks_off}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

const OK: Option<(u16, &str)> = Some((200, "hello"));
const NOTHING: Option<(u16, &str)> = Some((200, ""));

/// An answer with these fields and this body.
macro_rules! ok {
    ($rest:literal) => {
        concat!("HTTP/1.1 200 OK\r\n", $rest).as_bytes()
    };
}

#[test]
fn framing() {
    // RFC 9112 §6.3, §7.1.
    check(&[
        ("a length", "GET", ok!("Content-Length: 5\r\n\r\nhello"), OK),
        ("chunks", "GET", ok!("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), OK),
        (
            "both",
            "GET",
            ok!("Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
            OK,
        ),
        ("a list of lengths", "GET", ok!("Content-Length: 5, 5\r\n\r\nhello"), OK),
        ("two lengths", "GET", ok!("Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), OK),
        (
            "two other lengths",
            "GET",
            ok!("Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
            None,
        ),
        ("a minus", "GET", ok!("Content-Length: -5\r\n\r\nhello"), None),
        ("a plus", "GET", ok!("Content-Length: +5\r\n\r\nhello"), None),
        (
            "bad chunks",
            "GET",
            ok!("Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n"),
            None,
        ),
        (
            "a chunk too long",
            "GET",
            ok!("Transfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n0\r\n\r\n"),
            None,
        ),
        (
            "another answer behind a length",
            "GET",
            ok!("Content-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
            OK,
        ),
        (
            "another answer behind chunks",
            "GET",
            ok!(
                "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
            ),
            OK,
        ),
        (
            "a trailer",
            "GET",
            ok!("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nContent-Length: 0\r\n\r\n"),
            OK,
        ),
    ]);
}

#[test]
fn answers_without_content() {
    // RFC 9110 §6.4.1, RFC 9112 §6.3.
    check(&[
        ("HEAD", "HEAD", ok!("Content-Length: 5\r\n\r\n"), NOTHING),
        ("HEAD with a body", "HEAD", ok!("Content-Length: 5\r\n\r\nhello"), NOTHING),
        (
            "HEAD with an answer for a body",
            "HEAD",
            ok!("Content-Length: 38\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
            NOTHING,
        ),
        (
            "HEAD with chunks",
            "HEAD",
            ok!("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
            NOTHING,
        ),
        (
            "204 with a body",
            "GET",
            b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
            Some((204, "")),
        ),
        (
            "304 with a body",
            "GET",
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello",
            Some((304, "")),
        ),
        (
            "204 with chunks",
            "GET",
            b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            Some((204, "")),
        ),
    ]);
}

#[test]
fn headers() {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(500);
    let hints = format!("{hints}HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    let many = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", "X: y\r\n".repeat(300));
    check(&[
        ("hints", "GET", hints.as_bytes(), OK),
        ("many fields", "GET", many.as_bytes(), None),
        ("a bare carriage return", "GET", ok!("X: y\rContent-Length: 0\r\n\r\n"), None),
        ("a NUL", "GET", ok!("X: y\0\r\nContent-Length: 0\r\n\r\n"), None),
        // RFC 9112 §5.1, §5.2: these two are mended.
        // RFC 9112 §5.1, §5.2: these two are mended on the way.
        ("a folded line", "GET", ok!("X: y\r\n z\r\nContent-Length: 0\r\n\r\n"), NOTHING),
        ("a space before the colon", "GET", ok!("Content-Length : 5\r\n\r\nhello"), OK),
        ("no colon", "GET", ok!("X\r\nContent-Length: 5\r\n\r\nhello"), None),
        ("101 that nobody asked for", "GET", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nevil", None),
        ("no status", "GET", b"HTTP/1.1 OK\r\n\r\n", None),
        ("a status of two digits", "GET", b"HTTP/1.1 99 X\r\n\r\n", None),
        ("no HTTP", "GET", b"220 mail.test ESMTP\r\n\r\n", None),
    ]);
}

#[test]
fn answers_that_break_off() {
    for bytes in [
        &b""[..],
        b"HTTP/1.1 200",
        ok!("Content-Length: 5\r\n"),
        ok!("Content-Length: 5\r\n\r\nhel"),
        ok!("Transfer-Encoding: chunked\r\n\r\n5\r\nhel"),
        ok!("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
    ] {
        let (answers, _) = seen("GET", bytes, true);
        let is_lawful = answers.iter().all(|(status, _)| *status == 502);
        assert!(is_lawful, "{}: {answers:?}", bytes.escape_ascii());
    }
}
