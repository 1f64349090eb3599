//! What commands take, and what those answer that are no writes.

use refgate_core::document::schema::LABEL;
use serde_json::{Map, Value, json};

use super::{command, count, flag, list, map, object, or_null, text, word};
use crate::openapi::operation::shape;

pub(super) fn add(all: &mut Map<String, Value>) {
    let to = || {
        json!({
            "description": "A group, or a list of groups: each answers for itself then.",
            "anyOf": [shape("Name"), {"type": "array", "minItems": 1, "uniqueItems": true, "items": shape("Name")}],
        })
    };
    let reason = || {
        (
            "reason?",
            json!({"type": ["string", "null"], "description": "Why; it is kept in the commit."}),
        )
    };
    let expect_head = || ("expect_head?", or_null(shape("CommitId")));
    let on_conflict = || {
        (
            "on_conflict?",
            word(
                "Where the target was edited as well: refuse, the version wins, or the target wins.",
                &["abort", "theirs", "ours"],
            ),
        )
    };
    let settled = || ("settled?", settled());
    let version = || ("version?", or_null(shape("Version")));
    let runtime = || ("runtime?", or_null(shape("Runtime")));
    let shapes = [
        (
            "Sync",
            command(
                "Where a version goes.",
                &[
                    ("to", to()),
                    version(),
                    runtime(),
                    on_conflict(),
                    settled(),
                    reason(),
                    expect_head(),
                ],
            ),
        ),
        (
            "SyncServices",
            command(
                "Which services go where: all or none in each target.",
                &[
                    ("to", to()),
                    (
                        "services",
                        json!({
                            "description": "Names, each with the number that it shall have or has, or null.",
                            "type": "object", "minProperties": 1, "propertyNames": {"pattern": LABEL},
                            "additionalProperties": or_null(shape("Version")),
                        }),
                    ),
                    on_conflict(),
                    settled(),
                    reason(),
                    expect_head(),
                ],
            ),
        ),
        (
            "Rollback",
            command(
                "Which version comes back.",
                &[("version", shape("Version")), reason(), expect_head()],
            ),
        ),
        ("GroupRollback", {
            let mut schema = command(
                "Which state comes back: one of `revision` and `commit`.",
                &[
                    ("revision?", json!({"type": "integer", "minimum": 1})),
                    ("commit?", shape("CommitId")),
                    reason(),
                    expect_head(),
                ],
            );
            schema["oneOf"] = json!([{"required": ["revision"]}, {"required": ["commit"]}]);
            schema
        }),
        (
            "NewVersion",
            command(
                "The number that the content gets.",
                &[
                    ("version", shape("Version")),
                    (
                        "message?",
                        json!({"type": ["string", "null"], "description": "What is new."}),
                    ),
                ],
            ),
        ),
        (
            "Copy",
            command(
                "Where an object goes.",
                &[
                    ("to", to()),
                    ("replace?", flag("Whether another one of that name there is replaced.")),
                    reason(),
                ],
            ),
        ),
        (
            "Files",
            json!({
                "description": "Documents by their path in the group's tree, or their raw text; null takes a file away.",
                "type": "object", "additionalProperties": {},
            }),
        ),
        (
            "CommitFiles",
            command(
                "Files of one commit.",
                &[
                    ("files", shape("Files")),
                    (
                        "message?",
                        json!({"type": ["string", "null"], "description": "The subject of the commit."}),
                    ),
                    expect_head(),
                ],
            ),
        ),
        (
            "Validate",
            command(
                "Files, laid over a group's head where one is named.",
                &[("group?", or_null(shape("Name"))), ("files", shape("Files"))],
            ),
        ),
        (
            "Import",
            command(
                "A description of an API.",
                &[
                    ("document", json!({"type": "object", "description": "OpenAPI 3.0 or 3.1."})),
                    ("service?", or_null(shape("Name"))),
                    (
                        "with_upstream?",
                        flag("Whether a new service gets the first server as its upstream."),
                    ),
                ],
            ),
        ),
        (
            "Imported",
            object(
                "What was made of a description.",
                &[
                    ("service", shape("Name")),
                    (
                        "routes",
                        list(object(
                            "A route.",
                            &[
                                ("name", shape("Name")),
                                ("methods", list(json!({"type": "string"}))),
                                ("paths", list(json!({"type": "string"}))),
                            ],
                        )),
                    ),
                    (
                        "notes",
                        list(object(
                            "What could not be carried over.",
                            &[
                                (
                                    "pointer",
                                    text("RFC 6901, inside the description; empty for the whole."),
                                ),
                                ("message", text("What was not carried, and what to do about it.")),
                            ],
                        )),
                    ),
                ],
            ),
        ),
        (
            "Validity",
            object(
                "What is to be said of the files.",
                &[
                    ("valid", flag("No finding is an error.")),
                    ("diagnostics", list(shape("Diagnostic"))),
                ],
            ),
        ),
        ("Question", {
            let mut schema = command(
                "A request: `url`, or `path` with `host`.",
                &[
                    ("method", json!({"type": "string", "pattern": "^[A-Z]{1,20}$"})),
                    ("url?", text("With scheme and host, or only a path.")),
                    ("host?", or_null(text("The host that it is for."))),
                    ("path?", text("The path, with the query.")),
                    (
                        "headers?",
                        or_null(map(
                            json!({"anyOf": [{"type": "string"}, list(json!({"type": "string"}))]}),
                        )),
                    ),
                    ("client?", or_null(text("The address of the client; 127.0.0.1."))),
                ],
            );
            schema["oneOf"] = json!([{"required": ["url"]}, {"required": ["path"]}]);
            schema
        }),
        ("Explanation", explanation()),
        (
            "NewToken",
            command("A token to make.", &[("name", shape("TokenName")), ("role", shape("Role"))]),
        ),
        (
            "Token",
            object(
                "A token, as others may know it.",
                &[
                    ("name", shape("TokenName")),
                    ("role", shape("Role")),
                    ("created_at", shape("Time")),
                ],
            ),
        ),
        (
            "TokenItself",
            object(
                "The new token; it is not told again.",
                &[
                    ("name", shape("TokenName")),
                    ("role", shape("Role")),
                    ("created_at", shape("Time")),
                    ("token", text("The token itself.")),
                ],
            ),
        ),
        (
            "Revoked",
            object(
                "A token that is known no more.",
                &[("name", shape("TokenName")), ("revoked", json!({"const": true}))],
            ),
        ),
    ];
    all.extend(shapes.map(|(name, schema)| (name.to_owned(), schema)));
}

/// Conflicts that are settled each for itself.
fn settled() -> Value {
    let one = command(
        "A conflict and the side that is taken.",
        &[
            ("file", text("Its file, as the conflict has it.")),
            ("pointer", text("Its pointer, as the conflict has it.")),
            ("take", word("The version's value or the target's.", &["theirs", "ours"])),
        ],
    );
    json!({
        "type": ["array", "null"], "items": one,
        "description": "Conflicts that are settled each for itself, of one target; the rest goes by `on_conflict`.",
    })
}

/// Which route takes a request, and why the others do not.
fn explanation() -> Value {
    let route = [
        ("service", shape("Name")),
        ("route", shape("Name")),
        ("host", or_null(text("The host that it answers to; null: any."))),
        ("path", text("Its path pattern, with the service's path prefix.")),
    ];
    let matched = [
        ("params", map(json!({"type": "string"}))),
        ("upstream", text("The upstream that it goes to.")),
        ("forwarded_path", text("The path that is forwarded.")),
    ];
    let verdicts = [
        "matched",
        "outranked",
        "method",
        "predicate",
        "unknown",
        "disabled",
        "not_live",
        "path",
        "host",
    ];
    let candidate = [
        ("verdict", word("What became of it.", &verdicts)),
        ("reason", text("The same in words.")),
    ];
    object(
        "Which route takes a request, and why the others do not.",
        &[
            (
                "matched",
                or_null(object("The route that takes it.", &[route.as_slice(), &matched].concat())),
            ),
            (
                "status",
                json!({"enum": [200, 400, 404, 405], "description": "200 for a route, else what the gateway answers."}),
            ),
            ("message?", text("Why a gateway refuses the request, with 400.")),
            ("allow", list(text("A method that the path takes."))),
            (
                "candidates",
                list(object("A route in question.", &[route.as_slice(), &candidate].concat())),
            ),
            ("omitted", count("How many more there are.")),
        ],
    )
}
