//! What a line of the access log says, and how it is written without making texts on the way.

use std::cell::RefCell;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

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
    /// Adds the line to `out`, which takes every write.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"time\":\"");
        time(self.time, out);
        out.push(b'"');
        text(out, "group", Some(self.group.as_bytes()));
        text(out, "service", self.service.map(str::as_bytes));
        text(out, "route", self.route.map(str::as_bytes));
        text(out, "method", Some(self.method.as_bytes()));
        text(out, "host", self.host);
        text(out, "path", Some(self.path));
        let _ = write!(out, ",\"status\":{},\"bytes\":{}", self.status, self.bytes);
        milliseconds(out, "duration_ms", Some(self.duration));
        milliseconds(out, "upstream_ms", self.upstream_duration);
        match self.client {
            Some(client) => drop(write!(out, ",\"client\":\"{client}\"")),
            None => out.extend_from_slice(b",\"client\":null"),
        }
        match self.node {
            Some(node) => drop(write!(out, ",\"node\":\"{node}\"")),
            None => out.extend_from_slice(b",\"node\":null"),
        }
        text(out, "request_id", Some(self.request_id.as_bytes()));
        text(out, "user_agent", self.user_agent);
        text(out, "commit", Some(self.commit.as_bytes()));
        out.extend_from_slice(b"}\n");
    }
}

/// `,"key":"value"`, or `null`.
fn text(out: &mut Vec<u8>, key: &str, value: Option<&[u8]>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    let Some(value) = value else { return out.extend_from_slice(b"\":null") };
    out.extend_from_slice(b"\":\"");
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    if value.iter().all(is_plain) {
        out.extend_from_slice(value);
    } else {
        escape(&String::from_utf8_lossy(value), out);
    }
    out.push(b'"');
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

fn milliseconds(out: &mut Vec<u8>, key: &str, time: Option<Duration>) {
    let _ = match time {
        Some(time) => {
            let micros = time.as_micros();
            write!(out, ",\"{key}\":{}.{:03}", micros / 1000, micros % 1000)
        }
        None => write!(out, ",\"{key}\":null"),
    };
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
    let _ = write!(out, ".{:03}Z", since.subsec_millis());
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
