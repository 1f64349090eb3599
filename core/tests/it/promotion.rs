//! Versions, sync and rollback.

use refgate_core::Error;
use refgate_core::change::{Operation, OutcomeKind, Sync, SyncSource};
use refgate_core::merge::{OnConflict, Settled};
use serde_json::json;

use crate::support::{Fixture, change, httpbin, name, sync_operation};

/// The outcome of a change that was about one service.
fn outcome(written: &refgate_core::change::Written) -> Option<OutcomeKind> {
    written.service().and_then(|service| service.outcome)
}

#[test]
fn from_test_to_production_and_back() {
    let f = Fixture::new();
    let created = f.put("test", "httpbin", httpbin()).expect("created");
    assert!(created.created && created.changed);
    let service = f.service("test", "httpbin");
    assert_eq!(service["version"], json!(null));
    assert_eq!((&service["live"], &service["live_reason"]), (&json!(true), &json!("live")));

    let written = f.sync("httpbin", "test", "uat", Some("1.0.0")).expect("promoted");
    assert_eq!(outcome(&written), Some(OutcomeKind::Promoted));
    let uat = f.service("uat", "httpbin");
    assert_eq!((&uat["version"], &uat["live_reason"]), (&json!("1.0.0"), &json!("no_nodes")));
    assert_eq!(uat["runtime"]["hosts"], json!([]));
    assert_eq!(uat["runtime"]["upstreams"]["default"]["pass_host"], "node");
    assert_eq!(f.service("test", "httpbin")["version"], "1.0.0");

    let runtime = json!({"runtime": {"hosts": ["uat.acme.com"],
        "upstreams": {"default": {"nodes": [{"host": "127.0.0.1", "port": 8001}]}}}});
    f.patch("uat", "httpbin", runtime).expect("runtime set");
    assert_eq!(f.service("uat", "httpbin")["live"], true);

    f.sync("httpbin", "uat", "production", None).expect("promoted");

    // A version that never ran in uat does not come to production.
    let route = json!({"paths": ["/get"], "methods": ["GET"]});
    let put = Operation::PutRoute { service: name("httpbin"), route: name("get"), document: route };
    f.apply("test", put).expect("route added");
    let state = f.service("test", "httpbin");
    assert_eq!(
        (&state["version"], &state["based_on"], &state["modified"]),
        (&json!(null), &json!("1.0.0"), &json!(true))
    );
    let heads = f.heads();
    let refused = f.sync("httpbin", "test", "production", Some("1.1.0")).expect_err("a gate");
    assert_eq!(refused.code(), "promotion_gate");
    assert!(refused.to_string().contains("have run in uat"), "{refused}");
    assert_eq!(f.heads(), heads);

    f.sync("httpbin", "test", "uat", Some("1.1.0")).expect("promoted");
    f.sync("httpbin", "uat", "production", None).expect("promoted");
    let rollback =
        Operation::RollbackService { service: name("httpbin"), version: "1.0.0".to_owned() };
    let before = f.service("production", "httpbin");
    let written = f.apply("production", rollback.clone()).expect("rolled back");
    assert_eq!(outcome(&written), Some(OutcomeKind::RolledBack));
    let after = f.service("production", "httpbin");
    assert_eq!(after["version"], "1.0.0");
    assert_eq!(after["runtime"], before["runtime"]);
    assert_eq!(after["routes"].as_object().map(serde_json::Map::len), Some(1));
    let again = f.apply("production", rollback).expect("nothing to do");
    assert_eq!((again.changed, outcome(&again)), (false, Some(OutcomeKind::AlreadyCurrent)));

    assert_eq!(f.git(&["tag", "-l"]), "httpbin/1.0.0\nhttpbin/1.1.0\n");
    assert_eq!(f.git(&["cat-file", "-t", "httpbin/1.0.0"]), "tag\n");
    f.git(&["fsck", "--strict"]);
    let log = f.git(&["log", "--format=%s%n%(trailers:key=Refgate-Event,valueonly)", "production"]);
    let lines: Vec<&str> = log.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(
        lines,
        [
            "roll httpbin in production back to 1.0.0",
            "version.rolled-back",
            "sync httpbin 1.1.0 to production",
            "version.promoted",
            "sync httpbin 1.0.0 to production",
            "version.promoted",
            "create group production",
            "group.created",
        ]
    );
    let commit = f.git(&["rev-parse", "httpbin/1.0.0^{commit}"]);
    let body = f.git(&["log", "-1", "--format=%B", "production~1"]);
    assert!(body.contains("(cherry picked from commit "), "{body}");
    assert!(f.git(&["log", "--format=%B", "production"]).contains(commit.trim()));
}

/// From the tag, as from a group: upstreams with their settings, without nodes and hosts.
#[test]
fn a_version_by_its_number_brings_settings_too() {
    let f = Fixture::new();
    f.put("test", "a", httpbin()).expect("created");
    let tag =
        Operation::TagVersion { service: name("a"), version: "1.0.0".to_owned(), message: None };
    f.apply("test", tag).expect("tagged");
    f.apply("test", Operation::DeleteService { service: name("a") }).expect("gone");
    let by_number = Operation::Sync(Sync {
        services: vec![(name("a"), SyncSource::Version("1.0.0".to_owned()))],
        runtime: None,
        on_conflict: OnConflict::Abort,
        settled: Settled::new(),
    });
    assert!(f.apply("uat", by_number).expect("promoted").created);
    let uat = f.service("uat", "a");
    assert_eq!((&uat["live_reason"], &uat["runtime"]["hosts"]), (&json!("no_nodes"), &json!([])));
    let upstream = &uat["runtime"]["upstreams"]["default"];
    assert_eq!((&upstream["pass_host"], &upstream["nodes"]), (&json!("node"), &json!([])));
}

#[test]
fn numbers_name_one_content_each() {
    let f = Fixture::new();
    f.put("test", "a", httpbin()).expect("created");
    let tag = |version: &str| Operation::TagVersion {
        service: name("a"),
        version: version.to_owned(),
        message: Some("first".to_owned()),
    };
    let code = |result: Result<_, Error>| {
        result.map(|_: refgate_core::change::Written| ()).map_err(|e| e.code())
    };
    assert_eq!(code(f.apply("test", tag("one"))), Err("bad_version"));
    assert_eq!(code(f.apply("test", tag("1.0.0"))), Ok(()));
    assert!(!f.apply("test", tag("1.0.0")).expect("the same again").changed);
    assert_eq!(code(f.apply("test", tag("1.0.1"))), Err("content_already_versioned"));
    assert_eq!(code(f.sync("a", "test", "uat", Some("2.0.0"))), Err("version_mismatch"));
    f.patch("test", "a", json!({"description": "other"})).expect("edited");
    assert_eq!(code(f.apply("test", tag("1.0.0"))), Err("version_taken"));
    assert_eq!(code(f.sync("a", "test", "uat", Some("1.0.0"))), Err("version_taken"));
    assert_eq!(code(f.sync("a", "test", "uat", None)), Err("version_required"));
    assert_eq!(code(f.sync("b", "test", "uat", None)), Err("not_found"));
    assert_eq!(code(f.sync("a", "nowhere", "uat", None)), Err("not_found"));
    assert_eq!(code(f.sync("a", "test", "nowhere", None)), Err("not_found"));
    // Going back to the first content is the first version again.
    f.patch("test", "a", json!({"description": null})).expect("edited back");
    assert_eq!(f.service("test", "a")["version"], "1.0.0");
}

#[test]
fn edits_in_the_target_are_merged_or_refused() {
    let f = Fixture::new();
    f.put("test", "a", httpbin()).expect("created");
    f.sync("a", "test", "uat", Some("1.0.0")).expect("promoted");
    f.patch("uat", "a", json!({"routes": {"get-headers": {"priority": 7}}})).expect("hand edit");
    f.patch("test", "a", json!({"routes": {"get-headers": {"methods": ["GET", "HEAD"]}}}))
        .expect("edited");
    f.sync("a", "test", "uat", Some("1.1.0")).expect("merged");
    let route = &f.service("uat", "a")["routes"]["get-headers"];
    assert_eq!((&route["priority"], &route["methods"]), (&json!(7), &json!(["GET", "HEAD"])));
    let state = f.service("uat", "a");
    assert_eq!((&state["version"], &state["modified"]), (&json!(null), &json!(true)));

    f.patch("test", "a", json!({"routes": {"get-headers": {"priority": 9}}})).expect("edited");
    let heads = f.heads();
    let refused = f.sync("a", "test", "uat", Some("1.2.0")).expect_err("a conflict");
    let [conflict] = refused.conflicts() else { panic!("one conflict: {refused:?}") };
    assert_eq!(conflict.file, "services/a/routes/get-headers.json");
    assert_eq!(conflict.pointer, "/priority");
    assert_eq!(
        (&conflict.base, &conflict.ours, &conflict.theirs),
        (&json!(0), &json!(7), &json!(9))
    );
    assert_eq!(f.heads(), heads);
    assert!(f.repository.versions(&name("a")).expect("versions").len() == 2, "no tag was made");
    f.sync_with("a", "test", "uat", Some("1.2.0"), OnConflict::Theirs).expect("theirs");
    assert_eq!(f.service("uat", "a")["routes"]["get-headers"]["priority"], 9);
}

/// Whoever settles everything for the target brings it nothing, and is told so.
#[test]
fn a_target_that_keeps_what_it_has_is_not_changed() {
    let f = Fixture::new();
    f.put("test", "a", httpbin()).expect("created");
    f.sync("a", "test", "uat", Some("1.0.0")).expect("promoted");
    f.patch("uat", "a", json!({"description": "ours"})).expect("hand edit");
    f.patch("test", "a", json!({"description": "theirs"})).expect("edited");
    let heads = f.heads();
    let ours = sync_operation("a", "test", Some("1.1.0"), OnConflict::Ours);
    let plan = f.repository.plan(&change("uat", ours.clone())).expect("a plan");
    assert_eq!((plan.outcome.as_str(), plan.changes.len()), ("already_current", 0));
    let written = f.apply("uat", ours).expect("nothing to do");
    assert_eq!((written.changed, outcome(&written)), (false, Some(OutcomeKind::AlreadyCurrent)));
    assert_eq!(f.heads(), heads);
    // The content of the source got its number all the same.
    assert_eq!(f.service("test", "a")["version"], "1.1.0");
    assert_eq!(f.service("uat", "a")["description"], "ours");
    let mut misspelt = sync_operation("a", "test", None, OnConflict::Ours);
    let Operation::Sync(sync) = &mut misspelt else { panic!("a sync") };
    let place = ("services/a/service.json".to_owned(), "/descripton".to_owned());
    sync.settled.insert(place, OnConflict::Ours);
    assert_eq!(f.apply("uat", misspelt).expect_err("no conflict").code(), "validation_failed");
}

/// Of several services in one commit, the plan says what comes of any.
#[test]
fn a_plan_of_several_is_what_comes_of_any() {
    let f = Fixture::new();
    f.put("test", "a", httpbin()).expect("created");
    f.put("test", "b", json!({})).expect("created");
    f.sync("a", "test", "uat", Some("1.0.0")).expect("promoted");
    let source = |version: Option<&str>| SyncSource::Group {
        group: name("test"),
        version: version.map(str::to_owned),
    };
    let sync = |services| {
        let settled = Settled::new();
        Operation::Sync(Sync { services, runtime: None, on_conflict: OnConflict::Abort, settled })
    };
    let both = vec![(name("a"), source(None)), (name("b"), source(Some("1.0.0")))];
    let plan = f.repository.plan(&change("uat", sync(both))).expect("a plan");
    assert_eq!(plan.outcome, "promoted");
    let plan = f.repository.plan(&change("uat", sync(vec![(name("a"), source(None))])));
    assert_eq!(plan.expect("a plan").outcome, "already_current");
}

/// Where several services come from is in their commit, as of one.
#[test]
fn a_commit_of_several_says_where_they_come_from() {
    let f = Fixture::new();
    for service in ["a", "b", "c"] {
        f.put("test", service, json!({})).expect("created");
    }
    f.sync("c", "test", "uat", Some("1.0.0")).expect("promoted");
    f.put("test", "d", json!({})).expect("created");
    let item = |service: &str, group: &str| {
        let source = SyncSource::Group { group: name(group), version: Some("1.0.0".to_owned()) };
        (name(service), source)
    };
    let sync = |services| {
        let settled = Settled::new();
        let on_conflict = OnConflict::Abort;
        let sync = Sync { services, runtime: None, on_conflict, settled };
        f.apply("uat", Operation::Sync(sync)).expect("promoted");
        let body = f.git(&["log", "-1", "--format=%B", "uat"]);
        let told = |start: &str| {
            let lines = body.lines().filter_map(|line| line.strip_prefix(start));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        (told("Refgate-From-Group: "), told("(cherry picked from commit "))
    };
    let commit = |revision: &str| format!("{})", f.git(&["rev-parse", revision]).trim());
    let (from, picked) = sync(vec![item("a", "test"), item("b", "test")]);
    assert_eq!((from, picked), (vec!["test".to_owned()], vec![commit("test")]));

    let version = (name("c"), SyncSource::Version("1.0.0".to_owned()));
    f.apply("uat", Operation::DeleteService { service: name("c") }).expect("gone");
    let (from, picked) = sync(vec![item("d", "test"), version]);
    assert_eq!((from, picked), (vec![], vec![commit("test"), commit("c/1.0.0^{commit}")]));
}

/// A runtime that is not taken is told, and looked at, whether or not anything else comes.
#[test]
fn a_runtime_that_is_not_taken_is_told() {
    let f = Fixture::new();
    f.put("test", "a", httpbin()).expect("created");
    let sync = |runtime| {
        let mut operation = sync_operation("a", "test", Some("1.0.0"), OnConflict::Abort);
        let Operation::Sync(sync) = &mut operation else { panic!("a sync") };
        sync.runtime = Some(runtime);
        f.apply("uat", operation)
    };
    let runtime = |host: &str| json!({"hosts": [host], "upstreams": {"default": {}}});
    assert_eq!(sync(runtime("uat.acme.com")).expect("promoted").warnings, []);
    let again = sync(runtime("other.acme.com")).expect("it is there");
    let [warning] = &again.warnings[..] else { panic!("one warning: {again:?}") };
    assert_eq!(
        (again.changed, warning.code.as_str(), warning.file.as_str()),
        (false, "runtime_kept", "runtime/a.json")
    );
    assert_eq!(f.service("uat", "a")["runtime"]["hosts"], json!(["uat.acme.com"]));
    let heads = f.heads();
    for (document, code, pointer) in [
        (json!({"hots": []}), "unknown_key", "/hots"),
        (json!({"hosts": ["$var://none"]}), "unresolved_variable", "/hosts/0"),
        (json!({"hosts": ["a.com", "a.com"]}), "bad_value", "/hosts/1"),
    ] {
        let refused = sync(document).expect_err("a runtime that is none");
        let [finding, ..] = refused.diagnostics() else { panic!("a finding: {refused:?}") };
        assert_eq!((finding.code.as_str(), finding.pointer.as_str()), (code, pointer));
    }
    assert_eq!(f.heads(), heads);
}

#[test]
fn conflicts_are_settled_one_by_one() {
    let f = Fixture::new();
    f.put("test", "a", httpbin()).expect("created");
    f.sync("a", "test", "uat", Some("1.0.0")).expect("promoted");
    let edit = |priority: u8, description: &str| json!({"routes": {"get-headers": {"priority": priority, "description": description}}});
    f.patch("uat", "a", edit(7, "ours")).expect("hand edit");
    f.patch("test", "a", edit(9, "theirs")).expect("edited");
    let sync = |settled: &[(&str, OnConflict)]| {
        let mut operation = sync_operation("a", "test", Some("1.1.0"), OnConflict::Abort);
        let Operation::Sync(sync) = &mut operation else { panic!("a sync") };
        let file = "services/a/routes/get-headers.json";
        let settled = settled.iter();
        let at = |(pointer, side): &(&str, _)| ((file.to_owned(), (*pointer).to_owned()), *side);
        sync.settled = settled.map(at).collect();
        f.apply("uat", operation)
    };
    let (priority, description) =
        (("/priority", OnConflict::Ours), ("/description", OnConflict::Theirs));
    let heads = f.heads();
    let refused = sync(&[priority]).expect_err("one is left");
    let [left] = refused.conflicts() else { panic!("one conflict: {refused:?}") };
    assert_eq!(left.pointer, "/description");

    let refused = sync(&[priority, ("/descriptions", OnConflict::Ours)]).expect_err("misspelt");
    assert_eq!(refused.code(), "validation_failed");
    let [finding] = refused.diagnostics() else { panic!("one finding: {refused:?}") };
    assert_eq!(finding.pointer, "/descriptions");
    let hint = finding.hint.as_deref().expect("a hint");
    assert!(hint.contains("services/a/routes/get-headers.json#/description"), "{hint}");
    assert_eq!(f.heads(), heads);

    sync(&[priority, description]).expect("both are settled");
    let route = &f.service("uat", "a")["routes"]["get-headers"];
    assert_eq!((&route["priority"], &route["description"]), (&json!(7), &json!("theirs")));
}

#[test]
fn what_is_done_is_not_settled_again() {
    let f = Fixture::new();
    f.put("test", "a", httpbin()).expect("created");
    let mut operation = sync_operation("a", "test", Some("1.0.0"), OnConflict::Abort);
    let Operation::Sync(sync) = &mut operation else { panic!("a sync") };
    let place = ("services/a/service.json".to_owned(), "/description".to_owned());
    sync.settled.insert(place, OnConflict::Ours);
    let refused = f.apply("uat", operation.clone()).expect_err("there is no conflict");
    assert!(refused.to_string().contains("this sync has no conflicts"), "{refused}");
    f.sync("a", "test", "uat", Some("1.0.0")).expect("promoted");
    assert!(!f.apply("uat", operation).expect("it is there").changed);
}

#[test]
fn a_dry_run_leaves_nothing() {
    let f = Fixture::new();
    f.put("test", "a", httpbin()).expect("created");
    let (heads, objects) = (f.heads(), f.git(&["count-objects", "-v"]));
    let operation = sync_operation("a", "test", Some("1.0.0"), OnConflict::Abort);
    let plan = f.repository.plan(&change("uat", operation)).expect("a plan");
    let plan = serde_json::to_value(plan).expect("a plan serialises");
    assert_eq!(plan["outcome"], "promoted");
    assert_eq!(plan["base_commit"], heads["uat"]);
    assert_eq!(plan["gates"][0]["passed"], true);
    let files: Vec<&str> = plan["changes"]
        .as_array()
        .expect("changes")
        .iter()
        .filter_map(|c| c["file"].as_str())
        .collect();
    assert_eq!(
        files,
        ["runtime/a.json", "services/a/routes/get-headers.json", "services/a/service.json"]
    );
    assert_eq!(f.heads(), heads);
    assert_eq!(f.git(&["count-objects", "-v"]), objects);
    assert_eq!(f.git(&["tag", "-l"]), "");
}

#[test]
fn groups_that_take_only_versions() {
    let f = Fixture::new();
    f.put("test", "a", httpbin()).expect("created");
    f.apply(
        "uat",
        Operation::PatchGroup { patch: json!({"promotion": {"direct_edits": "runtime-only"}}) },
    )
    .expect("rule set");
    f.sync("a", "test", "uat", Some("1.0.0")).expect("promoted");
    let refused = f.patch("uat", "a", json!({"description": "x"})).expect_err("an edit by hand");
    assert_eq!(refused.code(), "direct_edit_refused");
    f.patch("uat", "a", json!({"runtime": {"hosts": ["uat.acme.com"]}})).expect("runtime");
}

#[test]
fn a_version_does_not_come_by_the_back_door() {
    let f = Fixture::new();
    f.put("test", "httpbin", httpbin()).expect("created");
    f.put("production", "httpbin", httpbin()).expect("content without a number is an edit");
    let tag = Operation::TagVersion {
        service: name("httpbin"),
        version: "1.0.0".to_owned(),
        message: None,
    };
    f.apply("test", tag).expect("tagged");
    f.patch("production", "httpbin", json!({"description": "edited"})).expect("an edit");
    f.put("production", "httpbin", httpbin()).expect("it has had that content before");
    f.patch("test", "httpbin", json!({"description": "more"})).expect("changed");
    f.sync("httpbin", "test", "uat", Some("1.1.0")).expect("promoted");
    f.patch("production", "httpbin", json!({"description": "more"})).expect("it has run in uat");
    f.patch("test", "httpbin", json!({"description": "most"})).expect("changed");
    let tag = Operation::TagVersion {
        service: name("httpbin"),
        version: "1.2.0".to_owned(),
        message: None,
    };
    f.apply("test", tag).expect("tagged");
    let before = f.heads();
    let refused = f.patch("production", "httpbin", json!({"description": "most"}));
    assert_eq!(refused.expect_err("refused").code(), "promotion_gate");
    assert_eq!(f.heads(), before);
}

#[test]
fn a_whole_group_goes_back() {
    let f = Fixture::new();
    let first = f.put("test", "a", httpbin()).expect("created");
    f.put("test", "b", json!({})).expect("created");
    f.patch("test", "a", json!({"runtime": {"hosts": ["other.acme.com"]}})).expect("edited");
    let to = refgate_core::change::RollbackTarget::Revision(first.revision);
    let rollback = || Operation::RollbackGroup { to };
    let plan = f.repository.plan(&change("test", rollback())).expect("a plan");
    let plan = serde_json::to_value(plan).expect("a plan serialises");
    assert_eq!(
        (&plan["outcome"], plan.get("service"), plan.get("version")),
        (&json!("rolled_back"), Some(&json!(null)), Some(&json!(null)))
    );
    let written = f.apply("test", rollback()).expect("rolled back");
    assert_eq!(written.whole, Some(OutcomeKind::RolledBack));
    assert_eq!(written.revision.0, first.revision.0 + 3);
    assert_eq!(f.service("test", "a")["runtime"]["hosts"], json!(["test.acme.com"]));
    assert!(f.repository.service(&name("test"), &name("b")).is_err());
    assert_eq!(f.git(&["diff", &first.commit.to_string(), "test"]), "");
    let again = f.apply("test", rollback()).expect("nothing to do");
    assert_eq!((again.changed, again.whole), (false, Some(OutcomeKind::AlreadyCurrent)));
}

/// What a rollback leaves behind is in its plan: edits of what it puts back, since that was there last.
#[test]
fn a_plan_of_a_rollback_names_what_leaves_the_head() {
    let f = Fixture::new();
    let later = |operation| {
        let plan = f.repository.plan(&change("test", operation)).expect("a plan");
        let later = plan.later.expect("a rollback");
        later.into_iter().map(|event| event.subject).collect::<Vec<_>>()
    };
    let back = |version: &str| Operation::RollbackService {
        service: name("a"),
        version: version.to_owned(),
    };
    let tag = |version: &str| {
        let (service, version) = (name("a"), version.to_owned());
        f.apply("test", Operation::TagVersion { service, version, message: None }).expect("tagged");
    };
    let edit = |patch| f.patch("test", "a", patch).expect("edited");
    let runtime = |host: &str| {
        let document = json!({"hosts": [host]});
        f.apply("test", Operation::PutRuntime { service: name("a"), document }).expect("changed");
    };
    f.put("test", "a", httpbin()).expect("created");
    tag("1.0.0");
    // The version still stands there with another runtime.
    runtime("one.acme.com");
    let first = edit(json!({"description": "one"}));
    runtime("two.acme.com");
    f.put("test", "b", json!({})).expect("created");
    edit(json!({"description": "two"}));
    tag("1.1.0");
    edit(json!({"description": "three"}));
    let updated = "update service a in test".to_owned();
    assert_eq!(later(back("1.0.0")), vec![updated.clone(); 3]);
    assert_eq!(later(back("1.1.0")), [updated]);
    f.apply("test", back("1.0.0")).expect("rolled back");
    assert_eq!(later(back("1.0.0")), [""; 0], "it is there");
    let service = "roll a in test back to 1.0.0".to_owned();
    assert_eq!(later(back("1.1.0")), [service.clone(), "update service a in test".to_owned()]);
    f.apply("test", Operation::DeleteService { service: name("a") }).expect("gone");
    assert_eq!(later(back("1.0.0")), ["delete service a from test"]);

    let to = refgate_core::change::RollbackTarget::Revision(first.revision);
    let whole = later(Operation::RollbackGroup { to });
    assert_eq!(whole.len(), 6, "{whole:?}");
    assert_eq!(
        (whole[0].as_str(), &whole[1], whole[5].as_str()),
        ("delete service a from test", &service, "change runtime of a in test")
    );
    let edit = Operation::DeleteService { service: name("b") };
    assert!(f.repository.plan(&change("test", edit)).expect("a plan").later.is_none());
}
