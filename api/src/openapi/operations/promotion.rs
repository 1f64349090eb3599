//! Versions, where they go, and what happened.

use refgate_core::document::schema::LABEL;
use serde_json::{Value, json};

use super::{HISTORY, PROMOTION, SERVICES, VERSIONS, service};
use crate::openapi::operation::{Operation, operation, page_of, shape};
use crate::problem::Kind;
use crate::problem::Kind::{
    ContentAlreadyVersioned, DirectEditRefused, NotFound, PromotionConflict, PromotionGate,
    VersionMismatch, VersionRequired, VersionTaken,
};

/// How a promotion may be refused.
const PROMOTES: &[Kind] = &[
    Kind::BadVersion,
    VersionRequired,
    VersionTaken,
    VersionMismatch,
    PromotionConflict,
    PromotionGate,
    NotFound,
];

pub(super) fn versions() -> Vec<Operation> {
    const ALL: &str = "/v1/services/{service}/versions";
    const ONE: &str = "/v1/services/{service}/versions/{version}";
    let summary = || shape("VersionSummary");
    let mut matrix = page_of(shape("MatrixRow"));
    matrix["properties"]["damaged"] = json!({
        "type": "array", "items": shape("DamagedGroup"),
        "description": "Groups of which not all can be read; absent when there is none.",
    });
    vec![
        operation(
            ("GET", service!("/versions")),
            "listGroupVersions",
            VERSIONS,
            "Versions that a group has run",
        )
        .lists(summary()),
        operation(
            ("POST", service!("/versions")),
            "createVersion",
            VERSIONS,
            "A number for the current content",
        )
        .takes(shape("NewVersion"), json!({"version": "1.0.0", "message": "first"}))
        .writes()
        .creates()
        .refuses(&[Kind::BadVersion, VersionTaken, ContentAlreadyVersioned]),
        operation(("GET", ALL), "listVersions", VERSIONS, "Versions of a service").lists(summary()),
        operation(("GET", ONE), "getVersion", VERSIONS, "One version with its content")
            .reads(shape("VersionDetail")),
        operation(
            ("GET", "/v1/services"),
            "listMatrix",
            VERSIONS,
            "Which group runs which version of what",
        )
        .pages(matrix),
        operation(
            ("GET", "/v1/services/{service}"),
            "getMatrixRow",
            VERSIONS,
            "The same of one service",
        )
        .reads(shape("MatrixRow")),
        operation(
            ("GET", "/v1/services/{service}/diff"),
            "diffService",
            VERSIONS,
            "What differs between two versions or groups",
        )
        .needs_query("from", side(), "A version, or `group:` and a group.")
        .needs_query("to", side(), "The same.")
        .answers(shape("Diff")),
    ]
}

fn side() -> Value {
    let group = format!("^group:{}", LABEL.trim_start_matches('^'));
    json!({"type": "string", "examples": ["1.0.0", "group:uat"],
        "anyOf": [shape("Version"), {"pattern": group}]})
}

pub(super) fn promotion() -> Vec<Operation> {
    const IMPORT: &str = "/v1/groups/{group}/import/openapi";
    let import = json!({"service": "pets", "document": {
        "openapi": "3.1.0", "info": {"title": "Pets", "version": "1"},
        "paths": {"/pets": {"get": {"responses": {"200": {"description": "all"}}}}},
    }});
    const GROUP_ROLLBACK: &str = "/v1/groups/{group}/rollback";
    vec![
        operation(
            ("POST", IMPORT),
            "importOpenApi",
            SERVICES,
            "A service out of an OpenAPI description",
        )
        .about("One route for each operation. What cannot be carried over is told.")
        .takes(shape("Import"), import)
        .writes()
        .creates()
        .refuses(&[DirectEditRefused]),
        operation(
            ("POST", service!("/sync")),
            "syncService",
            PROMOTION,
            "A service to another group, or to several",
        )
        .about("Content without a number gets `version`. What the target owns stays as it is.")
        .takes(shape("Sync"), json!({"to": "uat", "version": "1.0.0", "reason": "release"}))
        .writes()
        .creates()
        .answers_each()
        .refuses(PROMOTES),
        operation(
            ("POST", "/v1/services/{service}/versions/{version}/sync"),
            "syncVersion",
            PROMOTION,
            "An existing version to a group, or to several",
        )
        .about(
            "`version` may repeat the number of the path; another one is 409 `version_mismatch`.",
        )
        .takes(shape("Sync"), json!({"to": ["uat", "production"]}))
        .writes()
        .creates()
        .answers_each()
        .refuses(PROMOTES),
        operation(
            ("POST", "/v1/groups/{group}/sync"),
            "syncServices",
            PROMOTION,
            "Several services in one commit",
        )
        .about("All or none in each target.")
        .takes(
            shape("SyncServices"),
            json!({"to": "uat", "services": {"httpbin": "1.0.0", "orders": null}}),
        )
        .writes_each(),
        operation(
            ("POST", service!("/rollback")),
            "rollbackService",
            PROMOTION,
            "A version that the group has run, back",
        )
        .takes(shape("Rollback"), json!({"version": "1.0.0", "reason": "too slow"}))
        .writes()
        .creates()
        .refuses(&[Kind::BadVersion, PromotionGate]),
        operation(("POST", GROUP_ROLLBACK), "rollbackGroup", PROMOTION, "A whole group as it was")
            .about("One that changes `group.json` needs the role `admin`.")
            .takes(
                shape("GroupRollback"),
                json!({"revision": 12, "reason": "the release was withdrawn"}),
            )
            .writes()
            .refuses(&[DirectEditRefused, PromotionGate]),
    ]
}

pub(super) fn history() -> Vec<Operation> {
    let time = || shape("Time");
    let text = || json!({"type": "string"});
    let question = json!({"method": "GET", "url": "http://test.acme.com/headers"});
    let file = json!({"services/httpbin/routes/get-headers.json": {"paths": ["/headers"], "methods": ["GET"]}});
    vec![
        operation(("GET", "/v1/groups/{group}/history"), "listHistory", HISTORY, "Events of a group, newest first")
            .lists(shape("Event"))
            .query("service", shape("Name"), "Only those that touched this service.")
            .query("path", text(), "Only those that changed this file of the group's tree.")
            .query("actor", text(), "Only those of this actor.")
            .query("event", text(), "Only those of this kind.")
            .query("since", time(), "Only those at or after this time.")
            .query("until", time(), "Only those at or before this time."),
        operation(("GET", "/v1/groups/{group}/commits/{commit}"), "getCommit", HISTORY,
            "One event with what it changed")
            .reads(shape("Commit")),
        operation(("GET", "/v1/groups/{group}/diff"), "diffGroups", HISTORY,
            "What would change if a group became another one")
            .needs_query("to", shape("Name"), "The group to compare with.")
            .query("services_only", json!({"type": "boolean", "default": false}),
                "Leaves out what belongs to groups.")
            .answers(shape("Diff")),
        operation(("POST", "/v1/groups/{group}/commit"), "commitFiles", HISTORY, "Several files in one commit")
            .about("One that changes `group.json` needs the role `admin`.")
            .takes(shape("CommitFiles"), json!({"files": file, "message": "headers by GET only"}))
            .writes()
            .refuses(&[DirectEditRefused]),
        operation(("POST", "/v1/validate"), "validate", HISTORY, "What is to be said of files")
            .about("Nothing is written. Findings are the answer, not a refusal.")
            .takes(shape("Validate"), json!({"group": "test", "files": file}))
            .answers(shape("Validity"))
            .refuses(&[NotFound]),
        operation(("POST", "/v1/groups/{group}/match"), "matchRequest", HISTORY, "Which route would take a request")
            .about("The head of the group is asked; no gateway need run.")
            .takes(shape("Question"), question)
            .answers(shape("Explanation")),
        operation(("GET", "/v1/groups/{group}/events"), "followEvents", HISTORY, "Server-sent events of a group")
            .about("`commit` (an `Event`), `gateway` (an `Instance`; its state is `removed` of one that is gone) \
                    and `convergence` (a `Convergence` of the head), until one side ends it.")
            .header("Last-Event-ID")
            .answers_with(200, "A stream.", "text/event-stream", json!({"type": "string"})),
    ]
}
