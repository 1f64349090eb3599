//! What gateway instances say and get, and how the control plane is.

use serde_json::{Map, Value, json};

use super::{command, count, list, map, object, or_null, text, word};
use crate::openapi::operation::shape;

pub(super) fn add(all: &mut Map<String, Value>) {
    let findings = || {
        list(
            json!({"type": "object", "description": "A finding, as the instance's version tells it."}),
        )
    };
    let line =
        |about: &str| json!({"type": ["string", "null"], "maxLength": 4096, "description": about});
    let shapes = [
        (
            "CheckIn",
            command(
                "What an instance says of itself.",
                &[
                    ("instance", shape("InstanceName")),
                    ("group", shape("Name")),
                    (
                        "version",
                        json!({"type": "string", "maxLength": 4096, "description": "The version of its program."}),
                    ),
                    ("commit?", or_null(shape("CommitId"))),
                    ("state", word("How it is.", &["healthy", "degraded"])),
                    ("diagnostics?", findings()),
                    ("message?", line("What else keeps it from being healthy.")),
                    ("started_at?", line("When it started, RFC 3339.")),
                ],
            ),
        ),
        (
            "Instance",
            object(
                "A gateway instance.",
                &[
                    ("instance", shape("InstanceName")),
                    ("group", shape("Name")),
                    ("version", text("The version of its program.")),
                    ("commit", or_null(shape("CommitId"))),
                    ("state", word("How it is.", &["healthy", "degraded", "lost", "offline"])),
                    ("diagnostics", findings()),
                    ("message", or_null(text("What else keeps it from being healthy."))),
                    (
                        "started_at",
                        or_null(text("When it started, RFC 3339; null when it did not say.")),
                    ),
                    ("last_seen", shape("Time")),
                ],
            ),
        ),
        (
            "Removed",
            object(
                "An instance that is forgotten.",
                &[
                    ("group", shape("Name")),
                    ("instance", shape("InstanceName")),
                    ("removed", json!({"const": true})),
                ],
            ),
        ),
        (
            "Snapshot",
            object(
                "A group's tree, or what changed of it.",
                &[
                    ("group", shape("Name")),
                    ("commit", shape("CommitId")),
                    ("revision", count("The position of the commit, from 1.")),
                    ("since", or_null(shape("CommitId"))),
                    ("tree", shape("ObjectId")),
                    (
                        "files",
                        map(object(
                            "A file that is new or other.",
                            &[
                                ("blob", shape("ObjectId")),
                                ("mode?", text("As git writes it; absent for a plain file.")),
                                ("text?", text("The content.")),
                                (
                                    "bytes?",
                                    list(json!({"type": "integer", "minimum": 0, "maximum": 255})),
                                ),
                            ],
                        )),
                    ),
                    ("removed", list(text("The path of a file that is gone."))),
                ],
            ),
        ),
        ("Health", object("How it is.", &[("status", word("How it is.", &["ok", "ready"]))])),
    ];
    all.extend(shapes.map(|(name, schema)| (name.to_owned(), schema)));
}
