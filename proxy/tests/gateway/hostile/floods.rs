//! Clients that send cheap frames of HTTP/2 that are dear to serve: each is stopped, others go on.

use std::time::{Duration, Instant};

use serde_json::json;

use super::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, HEADERS, PING, RST_STREAM, SETTINGS, block,
};
use super::{AFTER, Pair};
use crate::origin::Origin;
use crate::repository::Config;
use crate::world::{World, runtime, service};

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

/// A gateway that takes HTTP/2 before an origin that counts.
fn counted(origin: &Origin) -> World {
    let config = Config::new();
    let upstream = runtime(json!({"nodes": [origin.node()], "retries": 0}));
    config.commit("test", &service("shop", json!({"paths": ["/*"]}), upstream));
    World::over_with(config, |options| options.h2c = true)
}

/// Sends a request that the origin never answers, and takes it back when the origin has it.
fn take_back(client: &mut Frames, origin: &Origin, stream: u32) {
    let before = origin.seen();
    client.get(stream, "/never");
    let end = Instant::now() + Duration::from_secs(30);
    while origin.seen() == before {
        assert!(Instant::now() < end, "the origin never sees request {stream}");
        std::thread::yield_now();
    }
    client.frame(RST_STREAM, 0, stream, &8u32.to_be_bytes());
}

#[test]
fn resets_that_take_their_time() {
    // The same with a pause: each request has come to its node before it is taken back.
    let origin = Origin::start("one");
    let world = counted(&origin);
    let mut client = Frames::connect(world.gateway.address());
    let mut other = Frames::connect(world.gateway.address());
    let mut streams = (1..).step_by(2);
    for stream in streams.by_ref().take(100) {
        take_back(&mut client, &origin, stream);
    }
    // From here on one of them is too many: which one depends on how soon the others have ended.
    for stream in streams.take(1000) {
        client.get(stream, "/never");
        if !client.frame(RST_STREAM, 0, stream, &8u32.to_be_bytes()) {
            break;
        }
    }
    client.drain();
    assert!(matches!(client.goodbye, None | Some(ENHANCE_YOUR_CALM)), "{:?}", client.goodbye);
    other.get(1, "/");
    assert!(other.answer(1).is_some());
}

#[test]
fn some_resets_are_no_flood() {
    // Whoever types takes back one request after the other, and is answered at last.
    let origin = Origin::start("one");
    let world = counted(&origin);
    let mut client = Frames::connect(world.gateway.address());
    for stream in (1..600).step_by(4) {
        take_back(&mut client, &origin, stream);
        client.get(stream + 2, "/");
        assert!(client.answer(stream + 2).is_some(), "{:?}", client.goodbye);
    }
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
