//! Gateways, tokens, and the control plane itself.

use serde_json::json;

use super::{GATEWAYS, SERVER, TOKENS};
use crate::limits::WAIT_SECONDS;
use crate::openapi::operation::{Operation, operation, shape};
use crate::problem::Kind;
use crate::problem::Kind::{AlreadyExists, NotFound, StillReferenced};

pub(super) fn gateways() -> Vec<Operation> {
    let check_in = json!({"instance": "edge-1", "group": "test", "version": "0.1.0", "commit": null,
        "state": "healthy", "diagnostics": [], "started_at": "2026-01-01T00:00:00Z"});
    let seconds = json!({"type": "number", "minimum": 0, "maximum": WAIT_SECONDS});
    vec![
        operation(
            ("GET", "/v1/gateways"),
            "listGateways",
            GATEWAYS,
            "Instances and what each serves",
        )
        .lists(shape("Instance"))
        .query("group", shape("Name"), "Only those of this group."),
        operation(
            ("POST", "/v1/gateways"),
            "checkIn",
            GATEWAYS,
            "How an instance says what it serves",
        )
        .takes(shape("CheckIn"), check_in)
        .answers(shape("Instance"))
        .answers_with(201, "It is new.", "application/json", shape("Instance"))
        .refuses(&[NotFound, AlreadyExists]),
        operation(
            ("DELETE", "/v1/gateways/{group}/{instance}"),
            "forgetGateway",
            GATEWAYS,
            "An instance, forgotten",
        )
        .answers(shape("Removed"))
        .refuses(&[StillReferenced]),
        operation(
            ("GET", "/v1/groups/{group}/convergence"),
            "getConvergence",
            GATEWAYS,
            "Which instances serve a commit",
        )
        .query("commit", shape("CommitId"), "The commit; the head.")
        .query("wait", seconds, "Holds the answer until all do, or so many seconds.")
        .answers(shape("Convergence")),
        operation(
            ("GET", "/v1/groups/{group}/snapshot"),
            "getSnapshot",
            GATEWAYS,
            "What a remote gateway fetches",
        )
        .query(
            "since",
            shape("CommitId"),
            "The commit that the gateway has: only what changed since comes.",
        )
        .header("Prefer")
        .reads(shape("Snapshot")),
    ]
}

pub(super) fn tokens() -> Vec<Operation> {
    vec![
        operation(("GET", "/v1/tokens"), "listTokens", TOKENS, "Who has a token")
            .lists(shape("Token")),
        operation(("POST", "/v1/tokens"), "createToken", TOKENS, "A new token")
            .takes(shape("NewToken"), json!({"name": "ci", "role": "editor"}))
            .answers_with(
                201,
                "Created; the token itself stands here only.",
                "application/json",
                shape("TokenItself"),
            )
            .refuses(&[AlreadyExists]),
        operation(("DELETE", "/v1/tokens/{token}"), "revokeToken", TOKENS, "A token, taken away")
            .answers(shape("Revoked"))
            .refuses(&[StillReferenced]),
    ]
}

pub(super) fn server() -> Vec<Operation> {
    const JSON: &str = "application/json";
    vec![
        operation(("GET", "/v1/openapi.json"), "getOpenApi", SERVER, "This document").answers_with(
            200,
            "The document.",
            JSON,
            json!({"type": "object"}),
        ),
        operation(("GET", "/docs"), "browse", SERVER, "This document as a page").answers_with(
            200,
            "The page.",
            "text/html; charset=utf-8",
            json!({"type": "string"}),
        ),
        operation(("GET", "/healthz"), "getHealth", SERVER, "Whether the process answers")
            .answers(shape("Health")),
        operation(("GET", "/readyz"), "getReadiness", SERVER, "Whether it takes work")
            .answers(shape("Health"))
            .refuses(&[Kind::Unavailable]),
        operation(("GET", "/metrics"), "getMetrics", SERVER, "Counters for Prometheus")
            .answers_with(
                200,
                "The counters.",
                "text/plain; version=0.0.4; charset=utf-8",
                json!({"type": "string"}),
            ),
    ]
}
