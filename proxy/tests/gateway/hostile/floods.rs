//! Clients that send cheap frames of HTTP/2 that are dear to serve: each is stopped, others go on.

use super::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, HEADERS, PING, RST_STREAM, SETTINGS, block,
};
use super::{AFTER, Pair};

/// RFC 9113 §7: the other side does what may be an attack.
const ENHANCE_YOUR_CALM: u32 = 11;

/// Lets a client loose that must be hung up on, while another one is served.
fn stopped(flood: impl FnOnce(&mut Frames)) {
    let pair = Pair::new();
    let mut client = Frames::connect(pair.world.gateway.address());
    let mut other = Frames::connect(pair.world.gateway.address());
    assert_eq!(other.answer_to(1).as_deref(), Some(AFTER));
    flood(&mut client);
    client.drain();
    // Goodbye may be lost behind what was not read any more.
    assert!(matches!(client.goodbye, None | Some(1 | ENHANCE_YOUR_CALM)), "{:?}", client.goodbye);
    assert_eq!(other.answer_to(3).as_deref(), Some(AFTER));
}

/// Lets a client loose whose frames are harmless, while another one is served.
fn harmless(flood: impl FnOnce(&mut Frames)) {
    let pair = Pair::new();
    let mut client = Frames::connect(pair.world.gateway.address());
    let mut other = Frames::connect(pair.world.gateway.address());
    flood(&mut client);
    assert_eq!(other.answer_to(1).as_deref(), Some(AFTER));
    assert_eq!(client.answer_to(99_999).as_deref(), Some(AFTER));
}

impl Frames {
    fn answer_to(&mut self, stream: u32) -> Option<String> {
        self.get(stream, "/after");
        self.answer(stream)
    }
}

fn post() -> Vec<u8> {
    block(&[
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":authority", b"a.test"),
        (b":path", b"/after"),
    ])
}

#[test]
fn resets() {
    // CVE-2023-44487: requests that are taken back at once do not count as open ones.
    stopped(|client| {
        client.gathered(|client| {
            for stream in (1..2000).step_by(2) {
                client.get(stream, "/after");
                client.frame(RST_STREAM, 0, stream, &8u32.to_be_bytes());
            }
        });
    });
}

#[test]
fn continuations() {
    // CVE-2024-27316: a header that never ends.
    stopped(|client| {
        client.frame(HEADERS, END_STREAM, 1, &post());
        while client.frame(CONTINUATION, 0, 1, &block(&[(b"x", b"y")])) {}
    });
    stopped(|client| {
        client.frame(HEADERS, END_STREAM, 1, &post());
        while client.frame(CONTINUATION, 0, 1, b"") {}
    });
}

#[test]
fn header_lists() {
    let pair = Pair::new();
    let mut client = Frames::connect(pair.world.gateway.address());
    // One field of four kilobytes, then ten thousand times a byte that names it.
    let mut fields = post();
    fields.extend_from_slice(&[0x40, 1, b'x', 127, 0x81, 0x1e]);
    fields.extend_from_slice(&vec![b'y'; 4000]);
    fields.extend_from_slice(&vec![0xbe; 10_000]);
    client.frame(HEADERS, END_HEADERS | END_STREAM, 1, &fields);
    assert_ne!(client.answer(1).as_deref(), Some("a POST /after a.test "));
    assert_eq!(pair.take(), [""; 0]);
    let mut other = Frames::connect(pair.world.gateway.address());
    assert_eq!(other.answer_to(1).as_deref(), Some(AFTER));
}

#[test]
fn frames_of_nothing() {
    stopped(|client| {
        client.frame(HEADERS, END_HEADERS, 1, &post());
        client.gathered(|client| {
            for _ in 0..10_000 {
                client.frame(DATA, 0, 1, b"");
            }
        });
    });
}

#[test]
fn malformed_requests() {
    stopped(|client| {
        let fields = block(&[
            (b":method", b"GET"),
            (b":scheme", b"http"),
            (b":authority", b"a.test@b.test"),
            (b":path", b"/x"),
        ]);
        for stream in (1..1000).step_by(2) {
            if !client.frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields) {
                break;
            }
        }
    });
}

#[test]
fn pings_and_settings() {
    harmless(|client| {
        client.gathered(|client| {
            for _ in 0..2000 {
                client.frame(PING, 0, 0, b"12345678");
            }
        });
    });
    harmless(|client| {
        client.gathered(|client| {
            for _ in 0..2000 {
                client.frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff]);
            }
        });
    });
}
