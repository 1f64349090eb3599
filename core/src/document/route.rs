//! `services/<service>/routes/<route>.json`: one route of an HTTP service.

use serde_json::{Map, Value, json};

use super::group::Labels;
use super::{Method, Plugins, Presence, Reader, Regex, Seconds, Shape, document, or};
use crate::diagnostic::Code;
use crate::limits::HEADER_NAME_BYTES;
use crate::name::UpstreamName;
use crate::pattern::PathPattern;

document! {
    /// A route.
    pub struct Route {
        /// What it is for, in a few words for people.
        "description" description: String = or(""),
        /// Free text by free key, for people and filters.
        "labels" labels: Labels = or(json!({})),
        /// Whether the route takes requests.
        "enabled" enabled: bool = or(true),
        /// Patterns of which the request's path must match one: `/a` exact, `/a/*` and `/a*` by
        /// prefix, `/users/{id}` any one segment in the place of a parameter, `~regex` the whole path.
        "paths" paths: Vec<PathPattern> = Presence::Required,
        /// What the request's method must be one of; empty: any.
        "methods" methods: Vec<Method> = or(json!([])),
        /// Decides between routes of the same host and the same path pattern; higher first.
        "priority" priority: i32 = or(0),
        /// Conditions on the request, all of which must hold.
        "match" matches: Match = or(json!({})),
        /// The upstream of the runtime that the request goes to.
        "upstream" upstream: UpstreamName = or("default"),
        /// Times in seconds; those that are absent are the upstream's.
        "timeout" timeout: Option<RouteTimeout> = Presence::Absent,
        /// Whether a connection may be upgraded to WebSocket.
        "websocket" websocket: bool = or(false),
        /// Plugins of the route, each in the place of the service's plugin of that name.
        "plugins" plugins: Plugins = or(json!({})),
    }
}

document! {
    /// Predicates, all of which must hold.
    pub struct Match {
        /// On header fields, by name without regard to case.
        "headers" headers: Vec<Predicate> = or(json!([])),
        /// On query parameters, decoded.
        "query" query: Vec<Predicate> = or(json!([])),
        /// On cookies, as sent.
        "cookies" cookies: Vec<Predicate> = or(json!([])),
        /// Blocks of which one must hold the client's address; empty: any address.
        "remote_addrs" remote_addrs: Vec<ipnet::IpNet> = or(json!([])),
    }
    check header_names;
}

impl Match {
    /// How many predicates the route has; `remote_addrs` counts as one (routing rule 5).
    #[must_use]
    pub fn count(&self) -> usize {
        let addresses = usize::from(!self.remote_addrs.is_empty());
        self.headers.len() + self.query.len() + self.cookies.len() + addresses
    }
}

document! {
    /// Times of a route; what is absent is the upstream's.
    pub struct RouteTimeout {
        /// For connecting to a node, in seconds.
        "connect" connect: Option<Seconds> = Presence::Absent,
        /// Between two writes to the node, in seconds.
        "send" send: Option<Seconds> = Presence::Absent,
        /// Between two reads from the node, in seconds.
        "read" read: Option<Seconds> = Presence::Absent,
    }
}

/// A condition on a named thing of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predicate {
    /// The header, query parameter or cookie.
    pub name: String,
    /// What must hold of it.
    pub test: Test,
}

/// What must hold of the thing that a predicate names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// It is there with exactly this value.
    Value(String),
    /// It is there and its whole value matches.
    Regex(Regex),
    /// It is there, or it is not.
    Present(bool),
}

const TESTS: [&str; 3] = ["value", "regex", "present"];

impl Shape for Predicate {
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
        let object = at.object(json, &["name", "value", "regex", "present"])?;
        let name: Option<String> = at.field(object, "name", &Presence::Required);
        if name.as_deref() == Some("") {
            at.below("name", |at| at.error(Code::BadName, "the name is empty"));
        }
        let given = TESTS.into_iter().filter(|test| object.contains_key(*test));
        let mut tests: Vec<Option<Test>> = given
            .map(|test| match test {
                "value" => at.field(object, test, &Presence::Required).map(Test::Value),
                "regex" => at.field(object, test, &Presence::Required).map(Test::Regex),
                _ => at.field(object, test, &Presence::Required).map(Test::Present),
            })
            .collect();
        if tests.len() != 1 {
            at.error_with_hint(
                Code::BadValue,
                format!("a predicate has exactly one test; this one has {}", tests.len()),
                "give one of value, regex, present",
            );
            return None;
        }
        let name = name.filter(|name| !name.is_empty());
        Some(Self { name: name?, test: tests.pop()?? })
    }

    fn schema() -> Value {
        let name = "The header, query parameter or cookie.";
        let value = "It is there with exactly this value.";
        let regex = "It is there and this regular expression matches its whole value.";
        let present = "It is there (true), or it is not (false).";
        json!({
            "description": "A condition on a named thing of the request: exactly one test.",
            "type": "object",
            "properties": {
                "name": {"description": name, "type": "string", "minLength": 1},
                "value": {"description": value, "type": "string"},
                "regex": {"description": regex, "type": "string"},
                "present": {"description": present, "type": "boolean"},
            },
            "additionalProperties": false,
            "required": ["name"],
            "oneOf": TESTS.map(|test| json!({"required": [test]})),
        })
    }

    fn expand(json: &Value) -> Value {
        let keys = ["name", "value", "regex", "present"];
        super::rebuild(json, &keys, |_, child| child.cloned())
    }

    fn canonical(json: &Value) -> Value {
        Self::expand(json)
    }
}

/// The names of headers, whatever else is wrong with their predicates.
fn header_names(object: &Map<String, Value>, at: &mut Reader<'_>) {
    let predicates = object.get("headers").and_then(Value::as_array);
    for (index, predicate) in predicates.into_iter().flatten().enumerate() {
        let name = predicate.get("name").and_then(Value::as_str);
        let Some(name) = name.filter(|name| !name.is_empty() && !is_header_name(name)) else {
            continue;
        };
        at.below("headers", |at| {
            at.below(&index.to_string(), |at| {
                at.below("name", |at| {
                    at.error(Code::BadName, format!("{name:?} is not a header name"));
                });
            });
        });
    }
}

/// A token of RFC 9110 §5.6.2, and no longer than anybody means.
pub(super) fn is_header_name(text: &str) -> bool {
    (1..=HEADER_NAME_BYTES).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
