//! `checks` of an upstream: how the gateway finds out which nodes can take requests.
//!
//! Active checks ask every node on their own and bring a node back; passive ones count what requests
//! meet and only take a node out. The meaning is that of APISIX's `checks`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::route::is_header_name;
use super::value::{keyword, written_whole};
use super::{Presence, Reader, Seconds, Shape, document, or};
use crate::diagnostic::Code;

document! {
    /// Health checks of an upstream; without any every node counts as healthy.
    pub struct Checks {
        /// Checks that the gateway makes on its own.
        "active" active: Option<ActiveChecks> = Presence::Absent,
        /// Checks of what requests meet; they need active ones, which bring a node back.
        "passive" passive: Option<PassiveChecks> = Presence::Absent,
        /// When fewer percent of the nodes are healthy, all are used as if they were; 0: never.
        "panic_threshold" panic_threshold: Percent = or(50),
    }
    check passive_beside_active;
}

document! {
    /// Checks that the gateway makes on its own.
    pub struct ActiveChecks {
        /// How a node is asked; absent: http or https, as the upstream's scheme has it.
        "type" r#type: Option<CheckType> = Presence::Absent,
        /// The path, and query, that is asked for.
        "http_path" http_path: String = or("/"),
        /// The host that the node is told; empty: the one that "pass_host" gives, else the node's.
        "host" host: String = or(""),
        /// The port that is asked in the place of the node's.
        "port" port: Option<u16> = Presence::Absent,
        /// Headers that are sent, by name.
        "headers" headers: BTreeMap<String, String> = or(json!({})),
        /// Time for one check, in seconds.
        "timeout" timeout: Seconds = or(1),
        /// Whether the node's certificate must be valid for its name.
        "https_verify_certificate" https_verify_certificate: bool = or(true),
        /// What a node is in health, and how it gets there.
        "healthy" healthy: ActiveHealthy = or(json!({})),
        /// What makes a node one that is out, and how often it is asked then.
        "unhealthy" unhealthy: ActiveUnhealthy = or(json!({})),
    }
    check path_to_ask(http_path);
    check host_to_ask(host);
    check headers_to_send;
    check active_statuses(healthy, unhealthy);
}

keyword! {
    /// How a node is asked.
    pub enum CheckType {
        /// By an HTTP request; in HTTP/2 when the upstream's scheme is.
        Http = "http",
        /// By an HTTP request over TLS.
        Https = "https",
        /// By a TCP connection, nothing more.
        Tcp = "tcp",
    }
}

document! {
    /// What a node is in health, and how it gets there.
    pub struct ActiveHealthy {
        /// Time between two checks of a healthy node, in seconds.
        "interval" interval: Seconds = or(1),
        /// How many good checks in a row bring a node back; 0: none do.
        "successes" successes: Threshold = or(2),
        /// The statuses of good checks.
        "http_statuses" http_statuses: Vec<Status> = or(json!([200, 302])),
    }
}

document! {
    /// What makes a node one that is out, and how often it is asked then.
    pub struct ActiveUnhealthy {
        /// Time between two checks of a node that is out, in seconds.
        "interval" interval: Seconds = or(1),
        /// The statuses of bad checks; one in neither list says nothing.
        "http_statuses" http_statuses: Vec<Status> =
            or(json!([429, 404, 500, 501, 502, 503, 504, 505])),
        /// How many bad statuses without a good check between take a node out; 0: none do.
        "http_failures" http_failures: Threshold = or(5),
        /// The same of connections that fail or break.
        "tcp_failures" tcp_failures: Threshold = or(2),
        /// The same of checks that take too long.
        "timeouts" timeouts: Threshold = or(3),
    }
}

document! {
    /// Checks of what requests meet.
    pub struct PassiveChecks {
        /// What counts: statuses and connections, or connections only.
        "type" r#type: CheckType = or("http"),
        /// What ends a row of failures.
        "healthy" healthy: PassiveHealthy = or(json!({})),
        /// What takes a node out.
        "unhealthy" unhealthy: PassiveUnhealthy = or(json!({})),
    }
    check passive_statuses(healthy, unhealthy);
}

document! {
    /// What ends a row of failures.
    pub struct PassiveHealthy {
        /// The statuses of good answers.
        "http_statuses" http_statuses: Vec<Status> = or(json!([
            200, 201, 202, 203, 204, 205, 206, 207, 208, 226,
            300, 301, 302, 303, 304, 305, 306, 307, 308
        ])),
        /// How many good answers in a row bring back a node that still gets requests; 0: none do.
        "successes" successes: Threshold = or(5),
    }
}

document! {
    /// What takes a node out.
    pub struct PassiveUnhealthy {
        /// The statuses of bad answers; one in neither list says nothing.
        "http_statuses" http_statuses: Vec<Status> = or(json!([429, 500, 503])),
        /// How many bad answers without a good one between take a node out; 0: none do.
        "http_failures" http_failures: Threshold = or(5),
        /// The same of connections that fail or break.
        "tcp_failures" tcp_failures: Threshold = or(2),
        /// The same of requests that take too long.
        "timeouts" timeouts: Threshold = or(7),
    }
}

/// A count that something happens at; 0: it never does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold(pub u32);

impl Shape for Threshold {
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
        let count = at.integer(json, 0, 254)?;
        u32::try_from(count).ok().map(Self)
    }

    fn schema() -> Value {
        json!({"type": "integer", "minimum": 0, "maximum": 254})
    }

    written_whole!();
}

/// A share in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percent(pub u32);

impl Shape for Percent {
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
        let percent = at.integer(json, 0, 100)?;
        u32::try_from(percent).ok().map(Self)
    }

    fn schema() -> Value {
        json!({"type": "integer", "minimum": 0, "maximum": 100})
    }

    written_whole!();
}

/// The status of a final answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Status(pub u16);

impl Shape for Status {
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
        let status = at.integer(json, 200, 599)?;
        u16::try_from(status).ok().map(Self)
    }

    fn schema() -> Value {
        json!({"type": "integer", "minimum": 200, "maximum": 599})
    }

    written_whole!();
}

fn passive_beside_active(object: &Map<String, Value>, at: &mut Reader<'_>) {
    if object.contains_key("passive") && !object.contains_key("active") {
        at.below("passive", |at| {
            at.error_with_hint(
                Code::MissingKey,
                "passive checks need active ones: a node that is out gets no requests, so that \
                 nothing would bring it back",
                "add \"active\" beside \"passive\"",
            );
        });
    }
}

fn path_to_ask(_: &Map<String, Value>, path: &str, at: &mut Reader<'_>) {
    let printable = |text: &str| text.bytes().all(|byte| (b'!'..=b'~').contains(&byte));
    if !path.starts_with('/') || !printable(path) || path.contains('#') {
        at.below("http_path", |at| {
            at.error_with_hint(
                Code::BadPath,
                format!("{path:?} is not a path to ask for"),
                "it begins with '/', and what is not plain in it is percent-encoded",
            );
        });
    }
}

fn host_to_ask(_: &Map<String, Value>, host: &str, at: &mut Reader<'_>) {
    if !host.is_empty() && !super::runtime::is_host_and_port(host) {
        at.below("host", |at| at.error(Code::BadHost, format!("{host:?} is not a host name")));
    }
}

/// Each header that could be one, whatever is wrong with the others.
fn headers_to_send(object: &Map<String, Value>, at: &mut Reader<'_>) {
    let headers = object.get("headers").and_then(Value::as_object);
    at.below("headers", |at| {
        for (name, value) in headers.into_iter().flatten() {
            at.below(name, |at| header(name, value.as_str().unwrap_or_default(), at));
        }
    });
}

fn active_statuses(
    _: &Map<String, Value>,
    healthy: &ActiveHealthy,
    unhealthy: &ActiveUnhealthy,
    at: &mut Reader<'_>,
) {
    disjoint(&healthy.http_statuses, &unhealthy.http_statuses, at);
}

fn passive_statuses(
    _: &Map<String, Value>,
    healthy: &PassiveHealthy,
    unhealthy: &PassiveUnhealthy,
    at: &mut Reader<'_>,
) {
    disjoint(&healthy.http_statuses, &unhealthy.http_statuses, at);
}

fn header(name: &str, value: &str, at: &mut Reader<'_>) {
    const OURS: [&str; 4] = ["host", "connection", "content-length", "transfer-encoding"];
    if !is_header_name(name) {
        at.error(Code::BadName, format!("{name:?} is not a header name"));
    } else if OURS.contains(&name.to_ascii_lowercase().as_str()) {
        at.error_with_hint(
            Code::BadValue,
            format!("{name:?} is the gateway's to send"),
            "for the host there is \"host\"",
        );
    }
    if value.bytes().any(|byte| byte != b'\t' && (byte < b' ' || byte == 0x7f)) {
        at.error(Code::BadValue, "a header has no control characters");
    }
}

/// Reports statuses that are good and bad at once.
fn disjoint(healthy: &[Status], unhealthy: &[Status], at: &mut Reader<'_>) {
    at.below("unhealthy", |at| {
        at.below("http_statuses", |at| {
            for (index, status) in unhealthy.iter().enumerate() {
                if healthy.contains(status) {
                    at.below(&index.to_string(), |at| {
                        at.error_with_hint(
                            Code::BadValue,
                            format!("{} is in the healthy statuses as well", status.0),
                            "keep it in one of the two lists",
                        );
                    });
                }
            }
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(checks: &Value) -> Vec<(String, Code)> {
        let mut findings = Vec::new();
        Checks::read(checks, &mut Reader::new("", &mut findings));
        findings.into_iter().map(|finding| (finding.pointer, finding.code)).collect()
    }

    #[test]
    fn defaults_are_sound() {
        for sound in [
            json!({}),
            json!({"panic_threshold": 0}),
            json!({"active": {}}),
            json!({"active": {}, "passive": {}}),
            json!({"active": {"type": "tcp", "port": 81, "timeout": 0.5}}),
            json!({"active": {"host": "a.com:81", "http_path": "/x?y=1", "headers": {"X-A": "b c"}}}),
        ] {
            assert_eq!(findings(&sound), [], "{sound}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_told_where_it_stands() {
        let table = [
            (json!({"passive": {}}), "/passive", Code::MissingKey),
            (json!({"panic_threshold": 101}), "/panic_threshold", Code::BadValue),
            (json!({"active": {"type": "udp"}}), "/active/type", Code::BadValue),
            (json!({"active": {"http_path": "x"}}), "/active/http_path", Code::BadPath),
            (json!({"active": {"http_path": "/a b"}}), "/active/http_path", Code::BadPath),
            (json!({"active": {"host": "http://a"}}), "/active/host", Code::BadHost),
            (json!({"active": {"headers": {"a b": ""}}}), "/active/headers/a b", Code::BadName),
            (json!({"active": {"headers": {"Host": "a"}}}), "/active/headers/Host", Code::BadValue),
            (json!({"active": {"headers": {"a": "\n"}}}), "/active/headers/a", Code::BadValue),
            (
                json!({"active": {"unhealthy": {"http_statuses": [500, 200]}}}),
                "/active/unhealthy/http_statuses/1",
                Code::BadValue,
            ),
            (
                json!({"active": {"healthy": {"successes": 255}}}),
                "/active/healthy/successes",
                Code::BadValue,
            ),
            (
                json!({"active": {"healthy": {"http_statuses": [101]}}}),
                "/active/healthy/http_statuses/0",
                Code::BadValue,
            ),
            (json!({"active": {"concurrency": 1}}), "/active/concurrency", Code::UnknownKey),
        ];
        for (checks, pointer, code) in table {
            assert_eq!(findings(&checks), [(pointer.to_owned(), code)], "{checks}");
        }
    }
}
