//! Answers to writes, as they are shown.

use serde_json::json;

use super::*;
use crate::output::testing::Memory;

fn shown(format: Format, status: u16, body: Value) -> (Ending, String, String) {
    let memory = Memory::default();
    let answer = Answer { status, etag: None, body };
    let ending = print(&mut memory.output(format), &answer, "service httpbin", "updated");
    (ending.unwrap(), memory.answers(), memory.messages())
}

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

#[test]
fn one_line_says_what_happened() {
    let write = |more: Value| {
        let mut body = json!({
            "group": "uat", "commit": COMMIT, "revision": 3, "changed": true, "warnings": []
        });
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        body
    };
    let sync = |outcome: &str, changed: bool| {
        write(json!({
            "service": "httpbin", "version": "1.0.0", "outcome": outcome, "changed": changed
        }))
    };
    let table = [
        (200, write(json!({})), "uat: service httpbin updated (revision 3, commit 01234567)\n"),
        (201, write(json!({})), "uat: service httpbin created (revision 3, commit 01234567)\n"),
        (200, write(json!({"changed": false})), "uat: service httpbin unchanged (revision 3)\n"),
        (
            200,
            sync("promoted", true),
            "uat: httpbin 1.0.0 promoted (revision 3, commit 01234567)\n",
        ),
        (
            200,
            sync("rolled_back", true),
            "uat: rolled back to httpbin 1.0.0 (revision 3, commit 01234567)\n",
        ),
        (200, sync("already_current", false), "uat: httpbin 1.0.0 is already there (revision 3)\n"),
        (
            200,
            write(json!({"services": [
                {"service": "a", "version": "1.0.0", "outcome": "promoted"},
                {"service": "b", "version": "2.0.0", "outcome": "already_current"}
            ]})),
            "uat: a 1.0.0 promoted; b 2.0.0 is already there (revision 3, commit 01234567)\n",
        ),
        (
            200,
            write(json!({"outcome": "rolled_back", "service": null, "version": null})),
            "uat: service httpbin rolled back (revision 3, commit 01234567)\n",
        ),
        (
            200,
            write(json!({"changed": false, "outcome": "already_current", "service": null})),
            "uat: service httpbin is as it was then (revision 3)\n",
        ),
    ];
    for (status, body, line) in table {
        let (ending, answers, messages) = shown(Format::Table, status, body.clone());
        assert_eq!(
            (ending, answers.as_str(), messages.as_str()),
            (Ending::Done, line, ""),
            "{body}"
        );
    }
    assert_eq!(shown(Format::Name, 200, write(json!({}))).1, format!("{COMMIT}\n"));
}

#[test]
fn json_is_what_the_server_answered() {
    let body = json!({"group": "uat", "commit": COMMIT, "changed": true, "new_field": [1, 2]});
    let (_, answers, messages) = shown(Format::Json, 200, body.clone());
    assert_eq!(serde_json::from_str::<Value>(&answers).unwrap(), body);
    assert_eq!(messages, "");
}

#[test]
fn warnings_go_beside_the_answer() {
    let body = json!({
        "group": "uat", "commit": COMMIT, "revision": 3, "changed": true,
        "warnings": [{"severity": "warning", "code": "route_overlap", "pointer": "",
            "file": "services/a/routes/b.json", "message": "overlaps", "hint": null}]
    });
    let (ending, _, messages) = shown(Format::Table, 200, body);
    assert_eq!(ending, Ending::Done);
    assert_eq!(messages, "warning: services/a/routes/b.json: overlaps\n");
}

#[test]
fn the_worst_target_decides_how_it_ended() {
    let done = json!({"group": "uat", "commit": COMMIT, "revision": 3, "changed": true,
        "service": "httpbin", "version": "1.0.0", "outcome": "promoted"});
    let refused = |status: u16, code: &str| {
        json!({"group": "production", "error": {"title": "Refused", "detail": "not yet",
            "status": status, "code": code}})
    };
    let table = [
        (json!([done]), Ending::Done),
        (json!([done, refused(422, "validation_failed")]), Ending::Failed),
        (json!([refused(409, "promotion_gate"), done]), Ending::Conflict),
    ];
    for (results, expected) in table {
        let (ending, answers, messages) =
            shown(Format::Table, 200, json!({"results": results.clone()}));
        assert_eq!(ending, expected, "{results}");
        assert!(answers.contains("uat: httpbin 1.0.0 promoted"), "{answers}");
        let refused = expected != Ending::Done;
        assert_eq!(messages.contains("production:\nerror: Refused: not yet"), refused);
    }
}

#[test]
fn gateways_that_do_not_follow_in_time_are_a_failure() {
    let body = |pending: Value| {
        json!({"group": "uat", "commit": COMMIT, "revision": 3, "changed": true,
            "convergence": {"commit": COMMIT, "applied": 1, "total": 2, "pending": pending}})
    };
    let (ending, answers, _) = shown(Format::Table, 200, body(json!([])));
    assert_eq!(ending, Ending::Done);
    assert!(answers.ends_with("served by 1 of 2 gateways\n"), "{answers}");
    for pending in [json!(["uat-2"]), json!([{"instance": "uat-2", "state": "healthy"}])] {
        let (ending, _, messages) = shown(Format::Json, 200, body(pending));
        assert_eq!(ending, Ending::Failed);
        assert!(messages.contains("still waiting for: uat-2"), "{messages}");
    }
}

#[test]
fn a_plan_of_a_rollback_shows_what_leaves_the_head() {
    let event = |revision: u64| {
        json!({"revision": revision, "commit": COMMIT, "actor": "ana",
            "subject": format!("change {revision}")})
    };
    let plan = |later: Vec<Value>| {
        let body = json!({"dry_run": true, "plan": {"group": "uat", "base_commit": COMMIT,
            "outcome": "rolled_back", "changes": [], "warnings": [], "gates": [], "later": later}});
        shown(Format::Table, 200, body).1
    };
    let head = "plan for uat on commit 01234567: rolled back\nno changes\n";
    assert_eq!(plan(Vec::new()), head);
    let heading = "leaves the head, stays in the history:\n";
    let one = "    r7  change 7  (ana, 01234567)\n";
    assert_eq!(plan(vec![event(7)]), format!("{head}{heading}{one}"));
    let many = plan((1..=12).rev().map(event).collect());
    assert_eq!(many.lines().count(), 14);
    assert!(many.ends_with("    r3  change 3  (ana, 01234567)\n    and 2 more\n"), "{many}");
}

#[test]
fn a_plan_shows_changes_and_gates() {
    let body = json!({"dry_run": true, "plan": {
        "group": "production", "base_commit": COMMIT, "outcome": "promoted", "warnings": [],
        "changes": [{"file": "services/a/service.json", "pointer": "/description",
            "op": "changed", "from": "x", "to": "y"}],
        "gates": [{"gate": "came_from", "passed": true, "message": "ran in uat"}]}});
    let (ending, answers, messages) = shown(Format::Table, 200, body);
    assert_eq!(ending, Ending::Done);
    assert_eq!(
        answers,
        "plan for production on commit 01234567: promoted\n\
         ~ service a  (services/a/service.json)\n\
         \x20   ~ description: \"x\" → \"y\"\n\
         gate came_from: passed: ran in uat\n"
    );
    assert_eq!(messages, "dry run: nothing was changed\n");
}
