//! Frames of HTTP/2 as they are written, whatever they say (RFC 9113 §4.1, RFC 7541).

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// A field: name and value, byte by byte.
pub(crate) type Field<'f> = (&'f [u8], &'f [u8]);

/// A connection.
pub(crate) struct Frames {
    stream: TcpStream,
    /// Bodies of answers by stream; whether they are whole.
    bodies: BTreeMap<u32, (Vec<u8>, bool)>,
    /// Streams that the other side reset.
    pub(crate) reset: Vec<u32>,
    /// What the other side says when it hangs up.
    pub(crate) goodbye: Option<u32>,
    /// What is kept to be sent at once.
    kept: Option<Vec<u8>>,
}

/// Fields without compression (RFC 7541 §6.2.2).
pub(crate) fn block(fields: &[Field<'_>]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            // RFC 7541 §5.1: a number with a prefix of seven bits.
            let mut length = text.len();
            if length < 127 {
                block.push(u8::try_from(length).unwrap());
            } else {
                block.push(127);
                length -= 127;
                while length >= 128 {
                    block.push(u8::try_from(length % 128).unwrap() | 128);
                    length /= 128;
                }
                block.push(u8::try_from(length).unwrap());
            }
            block.extend_from_slice(text);
        }
    }
    block
}

impl Frames {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut frames =
            Self { stream, bodies: BTreeMap::new(), reset: Vec::new(), goodbye: None, kept: None };
        assert!(frames.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
        assert!(frames.frame(SETTINGS, 0, 0, b""));
        frames
    }

    /// Sends bytes; whether the other side took them.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(bytes);
            return true;
        }
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends at once what `sends` sends.
    pub(crate) fn gathered(&mut self, sends: impl FnOnce(&mut Self)) {
        self.kept = Some(Vec::new());
        sends(self);
        let kept = self.kept.take().unwrap();
        self.send(&kept);
    }

    pub(crate) fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut bytes = length[1..].to_vec();
        bytes.extend_from_slice(&[kind, flags]);
        bytes.extend_from_slice(&stream.to_be_bytes());
        bytes.extend_from_slice(payload);
        self.send(&bytes)
    }

    /// Sends a sound request for `path` at `a.test`.
    pub(crate) fn get(&mut self, stream: u32, path: &str) -> bool {
        let fields = block(&[
            (b":method", b"GET"),
            (b":scheme", b"http"),
            (b":authority", b"a.test"),
            (b":path", path.as_bytes()),
        ]);
        self.frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields)
    }

    /// Reads until the answer on a stream is whole, it is reset or the connection is closed; gives its
    /// body when it is whole.
    pub(crate) fn answer(&mut self, stream: u32) -> Option<String> {
        loop {
            if let Some((body, true)) = self.bodies.get(&stream) {
                return Some(String::from_utf8_lossy(body).into_owned());
            }
            if self.reset.contains(&stream) || !self.step() {
                return None;
            }
        }
    }

    /// Reads until the connection is closed.
    pub(crate) fn drain(&mut self) {
        while self.step() {}
    }

    /// Reads a frame; whether there was one.
    fn step(&mut self) -> bool {
        let mut head = [0; 9];
        if !self.fill(&mut head) {
            return false;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        if !self.fill(&mut payload) {
            return false;
        }
        match kind {
            HEADERS | DATA => {
                let (body, is_whole) = self.bodies.entry(stream).or_default();
                if kind == DATA {
                    body.extend_from_slice(&payload);
                }
                *is_whole |= flags & END_STREAM != 0;
            }
            RST_STREAM => self.reset.push(stream),
            SETTINGS if flags & ACK == 0 => {
                self.frame(SETTINGS, ACK, 0, b"");
            }
            GOAWAY => self.goodbye = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap())),
            _ => {}
        }
        true
    }

    fn fill(&mut self, bytes: &mut [u8]) -> bool {
        match self.stream.read_exact(bytes) {
            Ok(()) => true,
            Err(error) => {
                assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "nothing comes");
                false
            }
        }
    }
}
