//! What a line of the access log says, and how it is written without making texts on the way.

use std::cell::RefCell;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

use crate::digits::{push_address, push_number, push_socket, push_thousandths};

/// A request that is over. What is not known is `null` in the line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'e> {
    /// When it began.
    pub(crate) time: SystemTime,
    pub(crate) group: &'e str,
    pub(crate) service: Option<&'e str>,
    pub(crate) route: Option<&'e str>,
    pub(crate) method: &'e str,
    pub(crate) host: Option<&'e [u8]>,
    /// As the client sent it, without the query: that may hold secrets.
    pub(crate) path: &'e [u8],
    /// 0 when there was no answer.
    pub(crate) status: u16,
    /// Of the answer's body.
    pub(crate) bytes: u64,
    pub(crate) duration: Duration,
    /// From the choice of the first node to the header of the answer.
    pub(crate) upstream_duration: Option<Duration>,
    pub(crate) client: Option<IpAddr>,
    pub(crate) node: Option<SocketAddr>,
    pub(crate) request_id: &'e str,
    pub(crate) user_agent: Option<&'e [u8]>,
    pub(crate) commit: &'e str,
}

impl Entry<'_> {
    /// Adds the line to `out`.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"time\":\"");
        time(self.time, out);
        out.push(b'"');
        // Names, ids and methods that we know hold nothing that JSON escapes.
        plain(out, b",\"group\":", Some(self.group));
        plain(out, b",\"service\":", self.service);
        plain(out, b",\"route\":", self.route);
        text(out, b",\"method\":", Some(self.method.as_bytes()));
        text(out, b",\"host\":", self.host);
        text(out, b",\"path\":", Some(self.path));
        out.extend_from_slice(b",\"status\":");
        push_number(out, self.status);
        out.extend_from_slice(b",\"bytes\":");
        push_number(out, self.bytes);
        milliseconds(out, b",\"duration_ms\":", Some(self.duration));
        milliseconds(out, b",\"upstream_ms\":", self.upstream_duration);
        quoted(out, b",\"client\":", self.client, push_address);
        quoted(out, b",\"node\":", self.node, push_socket);
        plain(out, b",\"request_id\":", Some(self.request_id));
        text(out, b",\"user_agent\":", self.user_agent);
        plain(out, b",\"commit\":", Some(self.commit));
        out.extend_from_slice(b"}\n");
    }
}

/// The key, and the value in quotes as `push` writes it, or `null`.
fn quoted<T>(out: &mut Vec<u8>, key: &[u8], value: Option<T>, push: impl Fn(&mut Vec<u8>, T)) {
    out.extend_from_slice(key);
    let Some(value) = value else { return out.extend_from_slice(b"null") };
    out.push(b'"');
    push(out, value);
    out.push(b'"');
}

/// A text that needs no escapes.
fn plain(out: &mut Vec<u8>, key: &[u8], value: Option<&str>) {
    quoted(out, key, value, |out, value| out.extend_from_slice(value.as_bytes()));
}

/// A text that clients write.
fn text(out: &mut Vec<u8>, key: &[u8], value: Option<&[u8]>) {
    quoted(out, key, value, |out, value| {
        let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') & !matches!(byte, b'"' | b'\\');
        // All of them are looked at, many at once: that is faster than to stop at the first.
        if value.iter().fold(true, |plain, byte| plain & is_plain(byte)) {
            out.extend_from_slice(value);
        } else {
            escape(&String::from_utf8_lossy(value), out);
        }
    });
}

fn escape(text: &str, out: &mut Vec<u8>) {
    for character in text.chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            // The two separators end lines for some readers.
            '\0'..=' ' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' if character != ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

fn milliseconds(out: &mut Vec<u8>, key: &[u8], time: Option<Duration>) {
    out.extend_from_slice(key);
    let Some(time) = time else { return out.extend_from_slice(b"null") };
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    push_number(out, micros / 1000);
    out.push(b'.');
    push_thousandths(out, u32::try_from(micros % 1000).unwrap_or_default());
}

thread_local! {
    /// The second that was written last, and its text: requests come many to a second.
    static SECOND: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
}

/// RFC 3339 in UTC, to the millisecond.
fn time(time: SystemTime, out: &mut Vec<u8>) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != since.as_secs() {
            let at = i64::try_from(since.as_secs()).unwrap_or_default();
            let at = Timestamp::from_second(at).unwrap_or_default();
            *text = at.strftime("%Y-%m-%dT%H:%M:%S").to_string();
            *second = since.as_secs();
        }
        out.extend_from_slice(text.as_bytes());
    });
    out.push(b'.');
    push_thousandths(out, since.subsec_millis());
    out.push(b'Z');
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    pub(crate) fn entry() -> Entry<'static> {
        Entry {
            time: UNIX_EPOCH + Duration::from_millis(1_700_000_000_007),
            group: "test",
            service: Some("shop"),
            route: Some("main"),
            method: "GET",
            host: Some(b"a.com"),
            path: b"/x",
            status: 200,
            bytes: 12,
            duration: Duration::from_micros(1_234),
            upstream_duration: Some(Duration::from_micros(56)),
            client: Some(IpAddr::from([192, 0, 2, 1])),
            node: Some(SocketAddr::from(([192, 0, 2, 2], 80))),
            request_id: "id",
            user_agent: Some(b"curl"),
            commit: "c0",
        }
    }

    fn json(entry: &Entry<'_>) -> serde_json::Value {
        let mut line = Vec::new();
        entry.write(&mut line);
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        serde_json::from_slice(&line).unwrap()
    }

    #[test]
    fn lines_say_it_all() {
        let expected = json!({
            "time": "2023-11-14T22:13:20.007Z", "group": "test", "service": "shop", "route": "main",
            "method": "GET", "host": "a.com", "path": "/x", "status": 200, "bytes": 12,
            "duration_ms": 1.234, "upstream_ms": 0.056, "client": "192.0.2.1",
            "node": "192.0.2.2:80", "request_id": "id", "user_agent": "curl", "commit": "c0",
        });
        assert_eq!(json(&entry()), expected);
        let empty = Entry {
            service: None,
            host: None,
            upstream_duration: None,
            client: None,
            node: None,
            user_agent: None,
            ..entry()
        };
        let line = json(&empty);
        for key in ["service", "host", "upstream_ms", "client", "node", "user_agent"] {
            assert!(line[key].is_null(), "{key}");
        }
    }

    #[test]
    fn what_clients_write_stays_text() {
        let table: [(&[u8], &str); 5] = [
            (b"a\"b\\c", "a\"b\\c"),
            (b"a\r\n{\"x\":1}", "a\r\n{\"x\":1}"),
            ("gr\u{fc}n \u{2028}\u{85}".as_bytes(), "gr\u{fc}n \u{2028}\u{85}"),
            (b"\xff\xfe", "\u{fffd}\u{fffd}"),
            (b"\0\x7f\t", "\0\u{7f}\t"),
        ];
        for (sent, read) in table {
            let entry = Entry { user_agent: Some(sent), ..entry() };
            assert_eq!(json(&entry)["user_agent"], read);
        }
    }
}
