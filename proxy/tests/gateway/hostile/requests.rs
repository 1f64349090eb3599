//! Requests of HTTP/1 that are not what they seem.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::strict::{self, Message, Read, Unframed};
use super::{AFTER, Pair};

/// Follows each request on its connection.
const FOLLOWS: &str = "GET /after HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";

/// Sends bytes, in one piece or one by one, and gives whatever answers come until the end.
fn answers(pair: &Pair, bytes: &[u8], pieces: usize) -> Vec<Message> {
    let mut stream = TcpStream::connect(pair.world.gateway.address()).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    for piece in bytes.chunks(pieces) {
        // Whoever has seen enough hangs up.
        if stream.write_all(piece).is_err() {
            break;
        }
    }
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
            Err(error) => {
                assert_ne!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock,
                    "{}",
                    bytes.escape_ascii()
                );
                break;
            }
        }
    }
    let mut answers = Vec::new();
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        match strict::read(rest, Unframed::Close, true) {
            Ok(Read::Whole(answer, taken)) => {
                rest = &rest[taken..];
                if answer.status() >= 200 {
                    answers.push(answer);
                }
            }
            other => panic!("{other:?} of {}", rest.escape_ascii()),
        }
    }
    answers
}

/// A space in the target is told by the spaces at both ends, and escaped, when the line comes whole; when
/// it comes in pieces it may be refused. It is never sent on as it came.
#[test]
fn a_space_in_the_target() {
    let pair = Pair::new();
    let request = format!("GET /x y HTTP/1.1\r\nHost: a.test\r\n\r\n{FOLLOWS}");
    let escaped = ["a GET /x%20y a.test "];
    for pieces in [usize::MAX, 1] {
        let answers = answers(&pair, request.as_bytes(), pieces);
        let told: Vec<_> = answers.iter().map(|answer| (answer.status(), answer.text())).collect();
        let seen = pair.take();
        let is_whole = seen == escaped && is_lawful(&told, &escaped);
        let is_refused = seen.is_empty() && is_lawful(&told, &[]);
        assert!(
            is_whole || (pieces == 1 && is_refused),
            "origins saw {seen:?}, the client {told:?}"
        );
    }
}

/// Sends each request, and one behind it; `passes` are those that come to origins.
fn check(table: &[(&str, &[u8], &[&str])]) {
    let pair = Pair::new();
    let mut wrong = Vec::new();
    for (what, bytes, passes) in table {
        for pieces in [usize::MAX, 1] {
            if pieces == 1 && bytes.len() > 4096 {
                continue;
            }
            let sent = [bytes, FOLLOWS.as_bytes()].concat();
            let answers = answers(&pair, &sent, pieces);
            let told: Vec<_> =
                answers.iter().map(|answer| (answer.status(), answer.text())).collect();
            let seen = pair.take();
            if seen != *passes {
                wrong.push(format!("{what}: origins saw {seen:?}, the client {told:?}"));
            } else if !is_lawful(&told, passes) {
                wrong.push(format!("{what}: the client saw {told:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whether these are the answers to requests that pass and the one that follows, or to a request that
/// does not pass.
fn is_lawful(mut told: &[(u16, String)], passes: &[&str]) -> bool {
    for pass in passes {
        match told {
            [(200, body), rest @ ..] if body == pass => told = rest,
            _ => return false,
        }
    }
    if passes.is_empty() {
        match told {
            [(400.., _), rest @ ..] => told = rest,
            [] => {}
            _ => return false,
        }
    }
    match told {
        [] => true,
        [(200, body)] => body == AFTER,
        [(400.., _)] => !passes.is_empty(),
        _ => false,
    }
}

/// A request for `/x` at `a.test` with these fields.
macro_rules! post {
    ($rest:literal) => {
        concat!("POST /x HTTP/1.1\r\nHost: a.test\r\n", $rest).as_bytes()
    };
}

const HELLO: &str = "a POST /x a.test hello";

#[test]
fn lengths() {
    // RFC 9112 §6.1 to §6.3, RFC 9110 §8.6.
    check(&[
        ("a length", post!("Content-Length: 5\r\n\r\nhello"), &[HELLO]),
        ("no length", post!("\r\n"), &["a POST /x a.test "]),
        ("zeros", post!("Content-Length: 005\r\n\r\nhello"), &[HELLO]),
        ("a plus", post!("Content-Length: +5\r\n\r\nhello"), &[]),
        ("a minus", post!("Content-Length: -5\r\n\r\nhello"), &[]),
        ("a hexadecimal", post!("Content-Length: 0x5\r\n\r\nhello"), &[]),
        ("an exponent", post!("Content-Length: 5e0\r\n\r\nhello"), &[]),
        ("a point", post!("Content-Length: 5.0\r\n\r\nhello"), &[]),
        ("a space", post!("Content-Length: 5 0\r\n\r\nhello"), &[]),
        ("nothing", post!("Content-Length:\r\n\r\n"), &[]),
        ("a list", post!("Content-Length: 5, 5\r\n\r\nhello"), &[]),
        ("a list of two", post!("Content-Length: 5, 6\r\n\r\nhello"), &[]),
        ("twice", post!("Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), &[]),
        ("two", post!("Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"), &[]),
        ("two, the other way", post!("Content-Length: 0\r\ncontent-length: 5\r\n\r\nhello"), &[]),
        ("too large", post!("Content-Length: 18446744073709551621\r\n\r\nhello"), &[]),
        ("a space before the colon", post!("Content-Length : 5\r\n\r\nhello"), &[]),
        ("a tab before the colon", post!("Content-Length\t: 5\r\n\r\nhello"), &[]),
        ("a NUL behind", post!("Content-Length: 5\0\r\n\r\nhello"), &[]),
        (
            "another name",
            post!("Content_Length: 5\r\nContent-Length: 0\r\n\r\n"),
            &["a POST /x a.test "],
        ),
    ]);
}

#[test]
fn codings() {
    check(&[
        ("chunks", post!("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), &[HELLO]),
        ("capitals", post!("transfer-encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), &[HELLO]),
        // RFC 9112 §6.3: such a message ought to be handled as an error.
        ("CL.TE", post!("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG"), &[]),
        (
            "TE.CL",
            post!(
                "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n2f\r\nGET /y HTTP/1.1\r\nHost: b.test\r\nContent-Length: 9\r\n\r\n0\r\n\r\n"
            ),
            &[],
        ),
        (
            "TE.CL, in another case",
            post!("TRANSFER-ENCODING: chunked\r\ncontent-LENGTH: 0\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
            &[],
        ),
        ("not last", post!("Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"), &[]),
        // RFC 9112 §6.1: what is not understood is not passed on under another name.
        ("behind another", post!("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), &[]),
        ("identity", post!("Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello"), &[]),
        (
            "identity and chunked",
            post!("Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n"),
            &[],
        ),
        (
            "twice",
            post!("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            &[],
        ),
        ("twice in a list", post!("Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"), &[]),
        (
            "two fields",
            post!("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n"),
            &[],
        ),
        (
            "two fields, the other way",
            post!("Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            &[],
        ),
        ("xchunked", post!("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), &[]),
        ("a comma", post!("Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n"), &[]),
        ("a parameter", post!("Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"), &[]),
        ("quotes", post!("Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"), &[]),
        ("a vertical tab", post!("Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"), &[]),
        ("a NUL", post!("Transfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n"), &[]),
        ("nothing", post!("Transfer-Encoding:\r\nContent-Length: 5\r\n\r\nhello"), &[]),
        ("a space before the colon", post!("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"), &[]),
        ("a folded line", post!("Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"), &[]),
        (
            "a space before the name",
            post!("X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            &[],
        ),
        (
            "of HTTP/1.0",
            b"POST /x HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            &[],
        ),
        (
            "another name",
            post!("Transfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello"),
            &[HELLO],
        ),
        (
            "named by Connection",
            post!(
                "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
            ),
            &[HELLO],
        ),
        (
            "a length named by Connection",
            post!("Connection: Content-Length\r\nContent-Length: 5\r\n\r\nhello"),
            &[HELLO],
        ),
    ]);
}

/// A request in chunks.
macro_rules! chunked {
    ($rest:literal) => {
        concat!("POST /x HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n", $rest)
            .as_bytes()
    };
}

#[test]
fn chunks() {
    // RFC 9112 §7.1.
    check(&[
        ("several", chunked!("2\r\nhe\r\n003\r\nllo\r\n0\r\n\r\n"), &[HELLO]),
        ("extensions", chunked!("5;a=b;c=\"d\"\r\nhello\r\n0;e\r\n\r\n"), &[HELLO]),
        ("a carriage return in an extension", chunked!("5;a\rb\r\nhello\r\n0\r\n\r\n"), &[]),
        ("bare line feeds", chunked!("5\nhello\n0\n\n"), &[]),
        ("a bare line feed behind the size", chunked!("5\nhello\r\n0\r\n\r\n"), &[]),
        ("a bare line feed behind the data", chunked!("5\r\nhello\n0\r\n\r\n"), &[]),
        ("a bare carriage return", chunked!("5\rhello\r\n0\r\n\r\n"), &[]),
        ("another end of data", chunked!("5\r\nhelloxx0\r\n\r\n"), &[]),
        ("too short a size", chunked!("4\r\nhello\r\n0\r\n\r\n"), &[]),
        // These two are read more kindly than the grammar: by whoever reads the chunks, before we see
        // them. Nodes get chunks of our own.
        ("a line feed in an extension", chunked!("5;a\nb\r\nhello\r\n0\r\n\r\n"), &[HELLO]),
        // Whoever ends the line there reads "he" and "llo"; here "00" does not end as a chunk must.
        (
            "data behind a line feed in an extension",
            chunked!("2;\nhe\r\n003\r\nllo\r\n0\r\n\r\n"),
            &[],
        ),
        ("no size", chunked!("\r\nhello\r\n0\r\n\r\n"), &["a POST /x a.test "]),
        ("a minus", chunked!("-5\r\nhello\r\n0\r\n\r\n"), &[]),
        ("a plus", chunked!("+5\r\nhello\r\n0\r\n\r\n"), &[]),
        ("0x", chunked!("0x5\r\nhello\r\n0\r\n\r\n"), &[]),
        ("a space before", chunked!(" 5\r\nhello\r\n0\r\n\r\n"), &[]),
        ("17 digits", chunked!("10000000000000005\r\nhello\r\n0\r\n\r\n"), &[]),
        ("as large as can be", chunked!("ffffffffffffffff\r\nhello\r\n0\r\n\r\n"), &[]),
        ("nearly as large", chunked!("fffffffffffffffe\r\nhello\r\n0\r\n\r\n"), &[]),
        ("a NUL", chunked!("5\0\r\nhello\r\n0\r\n\r\n"), &[]),
        ("trailers", chunked!("5\r\nhello\r\n0\r\nX: y\r\n\r\n"), &[HELLO]),
        (
            "trailers that are none",
            chunked!(
                "5\r\nhello\r\n0\r\nContent-Length: 9\r\nHost: b.test\r\nTransfer-Encoding: x\r\n\r\n"
            ),
            &[HELLO],
        ),
        (
            "a request in the trailers",
            chunked!("5\r\nhello\r\n0\r\nGET /y HTTP/1.1\r\nHost: b.test\r\n\r\n"),
            &[HELLO],
        ),
        ("a bare line feed in a trailer", chunked!("0\r\nX: y\n\r\n"), &[]),
    ]);
}

/// A request without a body, with these fields.
macro_rules! get {
    ($rest:literal) => {
        concat!("GET /x HTTP/1.1\r\nHost: a.test\r\n", $rest, "\r\n").as_bytes()
    };
}

const X: &str = "a GET /x a.test ";

#[test]
fn fields() {
    // RFC 9112 §2.2, §5.1, §5.2; RFC 9110 §5.5.
    check(&[
        ("none", get!(""), &[X]),
        ("an empty value", get!("X:\r\n"), &[X]),
        ("no colon", get!("X\r\n"), &[]),
        ("no name", get!(": y\r\n"), &[]),
        ("a space in a name", get!("X y: z\r\n"), &[]),
        ("a space before the colon", get!("X : z\r\n"), &[]),
        ("a NUL in a name", get!("X\0: z\r\n"), &[]),
        ("a NUL in a value", get!("X: y\0z\r\n"), &[]),
        ("a bell in a value", get!("X: y\x07\r\n"), &[]),
        ("a DEL in a value", get!("X: y\x7f\r\n"), &[]),
        ("a bare carriage return in a value", get!("X: y\rHost: b.test\r\n"), &[]),
        ("a bare carriage return in a name", get!("X\rY: z\r\n"), &[]),
        ("a folded line", get!("X: y\r\n z\r\n"), &[]),
        ("a folded line with a tab", get!("X: y\r\n\tHost: b.test\r\n"), &[]),
        ("a bracket in a name", get!("X(y): z\r\n"), &[]),
        (
            "a letter above ASCII in a name",
            "GET /x HTTP/1.1\r\nHost: a.test\r\nÄ: z\r\n\r\n".as_bytes(),
            &[],
        ),
        // RFC 9112 §2.2: a line feed alone may end a line. It ends one for nodes as well.
        ("bare line feeds", b"GET /x HTTP/1.1\nHost: a.test\nX: y\n\n", &[X]),
        (
            "a bare line feed and a length",
            b"POST /x HTTP/1.1\r\nHost: a.test\r\nX: y\nContent-Length: 5\r\n\r\nhello",
            &[HELLO],
        ),
        (
            "an end of the header in bare line feeds",
            b"GET /x HTTP/1.1\r\nHost: a.test\n\nGET /y HTTP/1.1\r\nHost: b.test\r\n\r\n",
            &[X, "b GET /y b.test "],
        ),
    ]);
    let many = format!("GET /x HTTP/1.1\r\nHost: a.test\r\n{}\r\n", "X: y\r\n".repeat(300));
    let large = format!("GET /x HTTP/1.1\r\nHost: a.test\r\nX: {}\r\n\r\n", "y".repeat(3 << 20));
    let long = format!("GET /{} HTTP/1.1\r\nHost: a.test\r\n\r\n", "y".repeat(3 << 20));
    let table: [(&str, &[u8], &[&str]); 3] = [
        ("many", many.as_bytes(), &[]),
        ("large", large.as_bytes(), &[]),
        ("long", long.as_bytes(), &[]),
    ];
    check(&table);
}

#[test]
fn request_lines() {
    // RFC 9112 §3.
    check(&[
        ("an empty line before", b"\r\n\r\nGET /x HTTP/1.1\r\nHost: a.test\r\n\r\n", &[X]),
        ("two spaces", b"GET  /x HTTP/1.1\r\nHost: a.test\r\n\r\n", &[]),
        ("a second version", b"GET /x HTTP/1.1 HTTP/1.1\r\nHost: a.test\r\n\r\n", &[]),
        ("a tab", b"GET\t/x HTTP/1.1\r\nHost: a.test\r\n\r\n", &[]),
        ("a tab before the version", b"GET /x\tHTTP/1.1\r\nHost: a.test\r\n\r\n", &[]),
        ("a space in front", b" GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n", &[]),
        ("a space at the end", b"GET /x HTTP/1.1 \r\nHost: a.test\r\n\r\n", &[]),
        ("no version", b"GET /x\r\nHost: a.test\r\n\r\n", &[]),
        ("HTTP/1.2", b"GET /x HTTP/1.2\r\nHost: a.test\r\n\r\n", &[]),
        ("HTTP/2.0", b"GET /x HTTP/2.0\r\nHost: a.test\r\n\r\n", &[]),
        ("HTTP/11", b"GET /x HTTP/11\r\nHost: a.test\r\n\r\n", &[]),
        ("http/1.1", b"GET /x http/1.1\r\nHost: a.test\r\n\r\n", &[]),
        ("no target", b"GET HTTP/1.1\r\nHost: a.test\r\n\r\n", &[]),
        ("a path without a slash", b"GET x HTTP/1.1\r\nHost: a.test\r\n\r\n", &[]),
        (
            "a method in lower case",
            b"get /x HTTP/1.1\r\nHost: a.test\r\n\r\n",
            &["a get /x a.test "],
        ),
        ("a method that is none", b"GE(T /x HTTP/1.1\r\nHost: a.test\r\n\r\n", &[]),
        ("a NUL in the target", b"GET /x\0 HTTP/1.1\r\nHost: a.test\r\n\r\n", &[]),
        ("a line feed in the target", b"GET /x\ny HTTP/1.1\r\nHost: a.test\r\n\r\n", &[]),
        ("a carriage return in the target", b"GET /x\ry HTTP/1.1\r\nHost: a.test\r\n\r\n", &[]),
        ("an asterisk", b"GET * HTTP/1.1\r\nHost: a.test\r\n\r\n", &[]),
        ("an asterisk of OPTIONS", b"OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n", &[]),
        ("an authority", b"GET b.test:80 HTTP/1.1\r\nHost: a.test\r\n\r\n", &[]),
        ("CONNECT", b"CONNECT b.test:80 HTTP/1.1\r\nHost: b.test:80\r\n\r\n", &[]),
        ("CONNECT with a path", b"CONNECT /x HTTP/1.1\r\nHost: a.test\r\n\r\n", &[]),
        ("escaped lines", b"GET /x%0d%0aHost:%20b.test HTTP/1.1\r\nHost: a.test\r\n\r\n", &[]),
        (
            "a query of lines",
            b"GET /x?%0d%0ay HTTP/1.1\r\nHost: a.test\r\n\r\n",
            &["a GET /x?%0d%0ay a.test "],
        ),
    ]);
}

#[test]
fn hosts() {
    // RFC 9112 §3.2, RFC 9110 §7.2.
    check(&[
        ("none", b"GET /x HTTP/1.1\r\n\r\n", &[]),
        ("two", b"GET /x HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n", &[]),
        ("twice", b"GET /x HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n", &[]),
        (
            "two, the second in another case",
            b"GET /x HTTP/1.1\r\nHost: a.test\r\nhOST: b.test\r\n\r\n",
            &[],
        ),
        ("a list", b"GET /x HTTP/1.1\r\nHost: a.test, b.test\r\n\r\n", &[]),
        ("a list without a space", b"GET /x HTTP/1.1\r\nHost: a.test,b.test\r\n\r\n", &[]),
        ("a path", b"GET /x HTTP/1.1\r\nHost: a.test/y\r\n\r\n", &[]),
        ("a query", b"GET /x HTTP/1.1\r\nHost: a.test?y\r\n\r\n", &[]),
        ("a fragment", b"GET /x HTTP/1.1\r\nHost: a.test#y\r\n\r\n", &[]),
        ("a user", b"GET /x HTTP/1.1\r\nHost: b.test@a.test\r\n\r\n", &[]),
        ("a scheme", b"GET /x HTTP/1.1\r\nHost: http://a.test\r\n\r\n", &[]),
        ("a backslash", b"GET /x HTTP/1.1\r\nHost: a.test\\b.test\r\n\r\n", &[]),
        ("a space", b"GET /x HTTP/1.1\r\nHost: a.test b.test\r\n\r\n", &[]),
        ("a NUL", b"GET /x HTTP/1.1\r\nHost: a.test\0.b.test\r\n\r\n", &[]),
        ("a port", b"GET /x HTTP/1.1\r\nHost: a.test:80\r\n\r\n", &["a GET /x a.test:80 "]),
        ("two ports", b"GET /x HTTP/1.1\r\nHost: a.test:80:81\r\n\r\n", &[]),
        ("a name for a port", b"GET /x HTTP/1.1\r\nHost: a.test:b.test\r\n\r\n", &[]),
        ("brackets", b"GET /x HTTP/1.1\r\nHost: [a.test\r\n\r\n", &[]),
        ("brackets around a name", b"GET /x HTTP/1.1\r\nHost: a.test[]\r\n\r\n", &[]),
        ("an absolute target", b"GET http://a.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n", &[X]),
        (
            "an absolute target of another",
            b"GET http://b.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n",
            &[],
        ),
        ("an absolute target without a Host", b"GET http://a.test/x HTTP/1.1\r\n\r\n", &[]),
        (
            "an absolute target with a user",
            b"GET http://a.test@b.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n",
            &[],
        ),
        (
            "an absolute target with a backslash",
            b"GET http://a.test\\b.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n",
            &[],
        ),
        (
            "two slashes",
            b"GET //b.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n",
            &["a GET /b.test/x a.test "],
        ),
        ("of HTTP/1.0", b"GET /x HTTP/1.0\r\nHost: a.test\r\n\r\n", &[X]),
    ]);
}

#[test]
fn connections() {
    // RFC 9110 §7.6.1, §7.8, §10.1.1.
    check(&[
        ("Host", get!("Connection: Host\r\n"), &[]),
        ("X-Forwarded-For", get!("Connection: close, X-Forwarded-For\r\n"), &[]),
        ("a pseudo field", get!("Connection: :authority\r\n"), &[]),
        ("quotes", get!("Connection: \"X-Forwarded-For\"\r\n"), &[]),
        ("many", get!("Connection: a,b,c,d,e,f,g,h,i,j,k,l\r\n"), &[]),
        ("Upgrade alone", get!("Upgrade: h2c\r\n"), &[X]),
        ("h2c", get!("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"), &[X]),
        (
            "a request behind an Upgrade",
            b"GET /x HTTP/1.1\r\nHost: b.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            &["b GET /x b.test "],
        ),
        (
            "an Upgrade with a body",
            b"POST /x HTTP/1.1\r\nHost: b.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello",
            &["b POST /x b.test hello"],
        ),
        ("Expect", post!("Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello"), &[HELLO]),
        ("Expect in capitals", post!("Expect: 100-Continue\r\nContent-Length: 5\r\n\r\nhello"), &[HELLO]),
        ("Expect of nothing", get!("Expect: 100-continue\r\n"), &[X]),
        (
            "two behind one another",
            b"GET /x HTTP/1.1\r\nHost: a.test\r\n\r\nGET /y HTTP/1.1\r\nHost: b.test\r\n\r\n",
            &[X, "b GET /y b.test "],
        ),
        (
            "a request in a body",
            post!("Content-Length: 37\r\n\r\nGET /y HTTP/1.1\r\nHost: b.test\r\n\r\nabcd"),
            &["a POST /x a.test GET /y HTTP/1.1\r\nHost: b.test\r\n\r\nabcd"],
        ),
        (
            "a body of GET",
            get!("Content-Length: 5\r\n\r\nhello").strip_suffix(b"\r\n").unwrap(),
            &["a GET /x a.test hello"],
        ),
    ]);
}
