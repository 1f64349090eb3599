//! The schemas of what goes in and comes out: the documents, out of their own declarations, and the
//! shapes of answers, as clients rely on them.
//!
//! Shapes of answers are open: what is not named here may be added. The tests close them, so that
//! nothing is added without being named.

mod answers;
mod commands;
mod documents;
mod fleet;

use refgate_core::diagnostic::Code;
use refgate_core::document::schema::LABEL;
use refgate_core::limits::VERSION_BYTES;
use serde_json::{Map, Value, json};

use super::operation::shape;
use crate::auth::Role;
use crate::problem::Kind;

/// Numbers of versions: those of SemVer without build metadata.
const VERSION: &str = "^(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)\
    (-(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(\\.(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*)?$";

/// Every schema by its name.
pub(super) fn all() -> Map<String, Value> {
    let mut all = Map::new();
    documents::add(&mut all);
    add_texts(&mut all);
    answers::add_reads(&mut all);
    answers::add_writes(&mut all);
    commands::add(&mut all);
    fleet::add(&mut all);
    // What others were made of.
    all.retain(|name, _| !["GroupDocument", "ServiceDocument"].contains(&name.as_str()));
    all.sort_keys();
    all
}

/// An object; `key?` may be absent.
fn object(about: &str, fields: &[(&str, Value)]) -> Value {
    let (mut required, mut properties) = (Vec::new(), Map::new());
    for (key, schema) in fields {
        let name = key.strip_suffix('?').unwrap_or(key);
        if name == *key {
            required.push(name);
        }
        properties.insert(name.to_owned(), schema.clone());
    }
    json!({"description": about, "type": "object", "required": required, "properties": properties})
}

/// The same, which takes no other keys: what is sent.
fn command(about: &str, fields: &[(&str, Value)]) -> Value {
    let mut command = object(about, fields);
    command["additionalProperties"] = json!(false);
    command
}

fn text(about: &str) -> Value {
    json!({"type": "string", "description": about})
}

fn pattern(about: &str, pattern: &str, example: &str) -> Value {
    json!({"type": "string", "description": about, "pattern": pattern, "examples": [example]})
}

fn word<T: AsRef<str>>(about: &str, words: &[T]) -> Value {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    json!({"type": "string", "description": about, "enum": words})
}

fn flag(about: &str) -> Value {
    json!({"type": "boolean", "description": about})
}

fn count(about: &str) -> Value {
    json!({"type": "integer", "minimum": 0, "description": about})
}

fn anything(about: &str) -> Value {
    json!({"description": about})
}

fn list(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

fn map(values: Value) -> Value {
    json!({"type": "object", "additionalProperties": values})
}

fn or_null(schema: Value) -> Value {
    json!({"anyOf": [schema, {"type": "null"}]})
}

fn add_texts(all: &mut Map<String, Value>) {
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.code()).collect();
    let texts = [
        (
            "Name",
            pattern(
                "A name of a group, service, route, upstream, certificate or rule.",
                LABEL,
                "httpbin",
            ),
        ),
        ("ConsumerName", pattern("A name of a consumer.", "^[A-Za-z0-9_-]{1,256}$", "mobile-app")),
        ("TokenName", pattern("A name of a token.", "^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$", "ci")),
        (
            "InstanceName",
            pattern("A name of a gateway instance.", "^[A-Za-z0-9_.:@-]{1,128}$", "edge-1"),
        ),
        (
            "CommitId",
            pattern(
                "The full id of a commit.",
                "^[0-9a-f]{40}$",
                "5f1c0e2f4b0a7d3c9e8b6a5d4c3b2a1908070605",
            ),
        ),
        (
            "ObjectId",
            pattern(
                "The full id of an object of git.",
                "^[0-9a-f]{40}$",
                "83baae61804e65cc73a7201a7252750c76066a30",
            ),
        ),
        ("Version", {
            let mut schema = pattern("A SemVer number without build metadata.", VERSION, "1.0.0");
            schema["maxLength"] = json!(VERSION_BYTES);
            schema
        }),
        ("Time", json!({"type": "string", "format": "date-time", "description": "RFC 3339."})),
        ("Role", word("What a token may do.", &Role::ALL.map(Role::as_str))),
        (
            "Live",
            word(
                "Why a service takes requests, or why not.",
                &["live", "disabled", "no_routes", "no_nodes", "invalid", "damaged"],
            ),
        ),
        (
            "Diagnostic",
            object(
                "A finding about a document.",
                &[
                    (
                        "file",
                        text("The path of the file in the group's tree; empty for a request body."),
                    ),
                    ("pointer", text("RFC 6901, inside the file; empty for the whole.")),
                    ("code", word("What kind of defect it is.", &codes)),
                    (
                        "severity",
                        word("An error refuses, a warning does not.", &["error", "warning"]),
                    ),
                    ("message", text("What is wrong.")),
                    (
                        "hint",
                        json!({"type": ["string", "null"], "description": "What to do about it."}),
                    ),
                ],
            ),
        ),
        (
            "Conflict",
            object(
                "A place that both the version and the target changed.",
                &[
                    ("service", shape("Name")),
                    ("file", text("The file.")),
                    ("pointer", text("RFC 6901, inside the file.")),
                    ("base", anything("What both began with; null where absent.")),
                    ("ours", anything("What the target has.")),
                    ("theirs", anything("What the version has.")),
                ],
            ),
        ),
        (
            "Problem",
            object(
                "Why something was refused (RFC 9457).",
                &[
                    ("type", text("A URN made of the code.")),
                    ("title", text("The same for every problem of this code.")),
                    ("status", json!({"type": "integer", "description": "The HTTP status."})),
                    ("detail", text("What is wrong, for people.")),
                    ("code", word("What is wrong, for programs.", &kinds)),
                    ("request_id", text("The id of the request; the log has it too.")),
                    ("diagnostics?", list(shape("Diagnostic"))),
                    ("conflicts?", list(shape("Conflict"))),
                ],
            ),
        ),
    ];
    all.extend(texts.map(|(name, schema)| (name.to_owned(), schema)));
}

#[cfg(test)]
mod tests {
    use refgate_core::version::Version;
    use serde_json::json;

    use crate::openapi::testing::check;

    #[test]
    fn a_version_is_what_is_taken_as_one() {
        let numbers = [
            "1.0.0",
            "0.0.0",
            "202611291838.0.12",
            "1.0.0-rc.1",
            "1.0.0-0.x-y.0a",
            "",
            "1",
            "1.0",
            "v1.0.0",
            "01.0.0",
            "1.0.0-01",
            "1.0.0-",
            "1.0.0-a..b",
            "1.0.0+b",
            "1.0.0\n",
        ];
        for text in
            numbers.map(str::to_owned).into_iter().chain([format!("1.0.0-{}", "a".repeat(59))])
        {
            let told = check("/components/schemas/Version", &json!(text)).is_ok();
            assert_eq!(told, text.parse::<Version>().is_ok(), "{text:?}");
        }
    }
}
