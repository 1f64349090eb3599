//! What reads and writes answer.

use serde_json::{Map, Value, json};

use super::{anything, count, flag, list, map, object, or_null, text, word};
use crate::openapi::operation::shape;

pub(super) fn add_reads(all: &mut Map<String, Value>) {
    let settings = all["GroupDocument"]["properties"].clone();
    let setting = |key: &str| settings[key].clone();
    let event = [
        ("commit", shape("CommitId")),
        ("revision", count("The position of the commit in the group's history, from 1.")),
        ("group", shape("Name")),
        ("event", text("What kind of change it is: `version.promoted`, `route.updated`, …")),
        ("actor", text("Who made it happen.")),
        ("author", text("Who wrote it.")),
        ("at", shape("Time")),
        ("subject", text("What it did, in a line.")),
        ("service", or_null(text("The service that it is about."))),
        ("version", or_null(text("The version that it is about."))),
        ("from_group", or_null(text("The group that the version came from."))),
        ("reason", or_null(text("Why."))),
        ("request_id", or_null(text("The request that made it."))),
    ];
    let version = [
        ("service", shape("Name")),
        ("version", shape("Version")),
        ("commit", shape("CommitId")),
        ("content", shape("ObjectId")),
        ("created_at", shape("Time")),
        ("created_by", text("Who made it.")),
        ("message", text("What is new.")),
        ("groups", list(shape("Name"))),
    ];
    let content = all["ServiceDocument"]["properties"].as_object().cloned().unwrap_or_default();
    let mut whole = object("A version with its documents.", &version);
    for (key, schema) in content {
        whole["properties"][key] = schema;
    }
    whole["properties"]["routes"] = all["Service"]["properties"]["routes"].clone();
    let shapes = [
        (
            "Group",
            object(
                "A gateway group.",
                &[
                    ("name", shape("Name")),
                    ("description", setting("description")),
                    ("type", setting("type")),
                    ("labels", setting("labels")),
                    ("variables", setting("variables")),
                    ("promotion", setting("promotion")),
                    ("http", setting("http")),
                    ("head", shape("CommitId")),
                    ("revision", count("The position of its head in its history, from 1.")),
                    ("services", count("How many services it has.")),
                    ("diagnostics", list(shape("Diagnostic"))),
                    ("damage", or_null(text("What of it cannot be read, and what to do."))),
                    (
                        "instances",
                        object(
                            "Its gateways.",
                            &[
                                ("healthy", count("Those that serve all of its configuration.")),
                                ("total", count("All that are known.")),
                            ],
                        ),
                    ),
                ],
            ),
        ),
        ("VersionDetail", whole),
        ("VersionSummary", object("A version of a service.", &version)),
        ("Event", object("A commit of a group, as an event.", &event)),
        (
            "Commit",
            object(
                "An event with what it changed.",
                &[event.as_slice(), &[("changes", list(shape("Change")))]].concat(),
            ),
        ),
        (
            "Change",
            object(
                "One thing that changed.",
                &[
                    ("file", text("The file.")),
                    ("pointer", text("RFC 6901, inside the file; empty for the whole.")),
                    ("op", word("What happened.", &["added", "removed", "changed"])),
                    ("from", anything("The value before; null where there was none.")),
                    ("to", anything("The value after; null where there is none.")),
                ],
            ),
        ),
        (
            "Diff",
            object(
                "What is different between two sides.",
                &[
                    ("from", text("The one side.")),
                    ("to", text("The other.")),
                    ("changes", list(shape("Change"))),
                ],
            ),
        ),
        (
            "MatrixRow",
            object(
                "Which group runs which version of a service.",
                &[
                    ("service", shape("Name")),
                    ("groups", map(shape("MatrixCell"))),
                    ("latest", or_null(shape("Version"))),
                    ("damaged?", list(shape("DamagedGroup"))),
                ],
            ),
        ),
        (
            "MatrixCell",
            object(
                "A service in a group, in short.",
                &[
                    ("version", or_null(shape("Version"))),
                    ("based_on", or_null(shape("Version"))),
                    ("modified", flag("Whether the content differs from `based_on`.")),
                    ("live", flag("Whether it takes requests.")),
                    ("live_reason", shape("Live")),
                ],
            ),
        ),
        (
            "DamagedGroup",
            object(
                "A group of which not all can be read.",
                &[("group", shape("Name")), ("damage", text("What, why, and what to do."))],
            ),
        ),
    ];
    all.extend(shapes.map(|(name, schema)| (name.to_owned(), schema)));
}

pub(super) fn add_writes(all: &mut Map<String, Value>) {
    let outcome = word(
        "What happened to the service, or to the group.",
        &["promoted", "rolled_back", "already_current"],
    );
    let shapes = [
        (
            "Written",
            object(
                "What came of a write.",
                &[
                    ("group", shape("Name")),
                    ("commit", shape("CommitId")),
                    ("revision", count("The position of that commit, from 1.")),
                    (
                        "changed",
                        flag(
                            "False: there was nothing to change in the group, and no commit was made.",
                        ),
                    ),
                    ("warnings", list(shape("Diagnostic"))),
                    ("service?", or_null(shape("Name"))),
                    ("version?", or_null(shape("Version"))),
                    ("outcome?", outcome.clone()),
                    ("import?", shape("Imported")),
                    ("convergence?", shape("Convergence")),
                ],
            ),
        ),
        (
            "DryRun",
            object(
                "What a write would do.",
                &[
                    ("dry_run", json!({"const": true})),
                    ("plan", shape("Plan")),
                    ("import?", shape("Imported")),
                ],
            ),
        ),
        (
            "Plan",
            object(
                "What a write would do.",
                &[
                    ("id", text("What names this very plan, for `expect_plan`.")),
                    ("group", shape("Name")),
                    ("base_commit", or_null(shape("CommitId"))),
                    ("outcome", text("What would happen.")),
                    ("service?", or_null(shape("Name"))),
                    ("version?", or_null(shape("Version"))),
                    ("changes", list(shape("Change"))),
                    ("warnings", list(shape("Diagnostic"))),
                    (
                        "gates",
                        list(object(
                            "A rule that was asked.",
                            &[
                                ("gate", text("The rule.")),
                                ("passed", flag("Whether the version may come.")),
                                ("message", text("Why.")),
                            ],
                        )),
                    ),
                    (
                        "services?",
                        list(object(
                            "What would happen to a service.",
                            &[
                                ("service", shape("Name")),
                                ("version", shape("Version")),
                                ("outcome?", outcome),
                            ],
                        )),
                    ),
                    (
                        "later?",
                        json!({
                            "type": "array", "items": shape("Event"),
                            "description": "Of a rollback: what happened since the state that is put back was there last, newest first, at most 1000 events. They leave the head and stay in the history; of a service, those that changed its content.",
                        }),
                    ),
                ],
            ),
        ),
        (
            "Results",
            object(
                "What came of each target, and of each service there.",
                &[(
                    "results",
                    list(json!({"anyOf": [shape("Written"), shape("DryRun"), shape("Refused")]})),
                )],
            ),
        ),
        (
            "Refused",
            object(
                "A target that refused.",
                &[("group", shape("Name")), ("error", shape("Problem"))],
            ),
        ),
        (
            "Convergence",
            object(
                "How far a commit has come.",
                &[
                    ("commit", shape("CommitId")),
                    ("applied", count("Instances that serve it, or a later one.")),
                    ("total", count("Instances of the group that are there.")),
                    ("pending", list(text("An instance that does not."))),
                ],
            ),
        ),
    ];
    all.extend(shapes.map(|(name, schema)| (name.to_owned(), schema)));
}
