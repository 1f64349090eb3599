//! Opening, writing and reading, alone and beside other writers.

use std::process::Command;

use refgate_core::change::{Operation, Precondition};
use refgate_core::name::ServiceName;
use refgate_core::repository::Repository;
use refgate_core::store::GroupReader;
use refgate_core::view::HistoryFilter;
use serde_json::json;

use crate::support::{Fixture, change, clock, httpbin, name};

#[test]
fn a_new_repository_has_the_groups_of_the_template() {
    let f = Fixture::new();
    let groups = f.repository.groups().expect("groups");
    let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["production", "test", "uat"]);
    let production = serde_json::to_value(&groups[0]).expect("a view serialises");
    assert_eq!(production["promotion"]["from"], json!(["uat"]));
    assert_eq!((&production["revision"], &production["services"]), (&json!(1), &json!(0)));
    f.git(&["fsck", "--strict"]);
    drop(f.repository);
    let again = Repository::open_or_create(&f.folder.path().join("config.git"), clock());
    assert_eq!(again.expect("opened").groups().expect("groups").len(), 3);
}

#[test]
fn what_is_not_ours_is_refused_and_left_alone() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let foreign = folder.path().join("foreign.git");
    git2::Repository::init_bare(&foreign).expect("a repository");
    let file = folder.path().join("file");
    std::fs::write(&file, "x").expect("a file");
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).expect("a folder");
    for (path, says) in
        [(&foreign, "not a Refgate configuration"), (&file, "not a git"), (&empty, "not a git")]
    {
        let error = Repository::open_or_create(path, clock()).err().expect("refused");
        assert!(error.to_string().contains(says), "{error}");
    }
    assert_eq!(std::fs::read_dir(&empty).expect("a folder").count(), 0);
    let absent = Repository::open(&folder.path().join("absent"), clock()).err().expect("refused");
    assert!(absent.to_string().contains("no repository"), "{absent}");
}

#[test]
fn a_write_that_changes_nothing_makes_no_commit() {
    let f = Fixture::new();
    f.put("test", "a", httpbin()).expect("created");
    let heads = f.heads();
    let again = f.put("test", "a", httpbin()).expect("accepted");
    assert!(!again.changed && !again.created);
    // What was read can be written back.
    let read = f.service("test", "a");
    assert!(!f.put("test", "a", read).expect("accepted").changed);
    assert_eq!(f.heads(), heads);
}

#[test]
fn conditions() {
    let f = Fixture::new();
    f.put("test", "a", httpbin()).expect("created");
    let etag = f.repository.service(&name("test"), &name("a")).expect("the service").etag;
    let patch = |precondition| {
        let operation =
            Operation::PatchService { service: name("a"), patch: json!({"description": "x"}) };
        let mut change = change("test", operation);
        change.precondition = precondition;
        f.repository.apply(change).map(|_| ()).map_err(|error| error.code())
    };
    assert_eq!(patch(Precondition::same("other")), Err("precondition_failed"));
    assert_eq!(patch(Precondition::absent()), Err("precondition_failed"));
    let old =
        f.repository.history(&name("test"), &HistoryFilter { limit: 2, ..Default::default() });
    let expect_head = Some(old.expect("history")[1].commit);
    assert_eq!(patch(Precondition { expect_head, ..Default::default() }), Err("concurrent_update"));
    assert_eq!(patch(Precondition::same(&etag)), Ok(()));
    assert_eq!(patch(Precondition::same(&etag)), Err("precondition_failed"));
}

#[test]
fn history_says_who_did_what() {
    let f = Fixture::new();
    f.put("test", "a", httpbin()).expect("created");
    f.put("test", "b", json!({})).expect("created");
    let written = f.patch("test", "a", json!({"runtime": {"hosts": []}})).expect("edited");
    let filter = HistoryFilter { service: Some(name("a")), limit: 10, ..Default::default() };
    let events = f.repository.history(&name("test"), &filter).expect("history");
    let kinds: Vec<&str> = events.iter().map(|event| event.event.as_str()).collect();
    assert_eq!(kinds, ["service.updated", "service.created"]);
    assert_eq!((events[0].actor.as_str(), events[0].revision.0), ("ana", 4));
    let view = f.repository.commit(&name("test"), written.commit).expect("the commit");
    let view = serde_json::to_value(view).expect("a view serialises");
    let expected = json!([{"file": "runtime/a.json", "pointer": "/hosts", "op": "changed",
        "from": ["test.acme.com"], "to": []}]);
    assert_eq!(view["changes"], expected);
    let page = HistoryFilter { after: Some(events[0].revision), limit: 1, ..Default::default() };
    let older = f.repository.history(&name("test"), &page).expect("history");
    assert_eq!(older[0].revision.0, 3);
}

#[test]
fn the_index_is_disposable() {
    let f = Fixture::new();
    f.put("test", "a", httpbin()).expect("created");
    f.sync("a", "test", "uat", Some("1.0.0")).expect("promoted");
    let before = f.service("uat", "a");
    f.repository.reindex().expect("made anew");
    assert_eq!(f.service("uat", "a"), before);
    let path = f.path();
    drop(f.repository);
    std::fs::write(path.with_extension("index"), "no database at all, but long enough to be read")
        .expect("written");
    let repository = Repository::open(&path, clock()).expect("opened");
    let service = repository.service(&name("uat"), &name("a")).expect("the service");
    assert_eq!(service.state.version.map(|version| version.to_string()).as_deref(), Some("1.0.0"));
}

/// A foreign process commits with git's own tools between two writes of ours.
#[test]
fn foreign_writers_lose_nothing() {
    let f = Fixture::new();
    f.put("test", "a", httpbin()).expect("created");
    let clone = f.folder.path().join("clone");
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .args(["-c", "user.name=bo", "-c", "user.email=bo@example.com", "-C"])
            .arg(&clone)
            .args(arguments)
            .output()
            .expect("git runs");
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    std::fs::create_dir(&clone).expect("a folder");
    let url = f.path().display().to_string();
    git(&["clone", "-q", "-b", "test", &url, "."]);
    for round in 0..4 {
        std::fs::create_dir_all(clone.join(format!("services/pushed-{round}"))).expect("a folder");
        std::fs::write(clone.join(format!("services/pushed-{round}/service.json")), "{}\n")
            .expect("a file");
        git(&["add", "."]);
        git(&["commit", "-q", "-m", &format!("add pushed-{round}")]);
        git(&["pull", "-q", "--rebase"]);
        git(&["push", "-q"]);
        f.put("test", &format!("ours-{round}"), json!({})).expect("created");
    }
    let names: Vec<String> = f
        .repository
        .services(&name("test"))
        .expect("services")
        .into_iter()
        .map(|service| service.name.to_string())
        .collect();
    assert_eq!(names.len(), 9, "{names:?}");
    let event = f.repository.history(
        &name("test"),
        &HistoryFilter { service: Some(name("pushed-2")), limit: 9, ..Default::default() },
    );
    let event = &event.expect("history")[0];
    assert_eq!((event.event.as_str(), event.actor.as_str()), ("pushed", "bo"));
}

#[test]
fn many_writers_each_get_their_commit() {
    let f = Fixture::new();
    let before = f.repository.group(&name("test")).expect("the group").revision;
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let f = &f;
            scope.spawn(move || {
                for n in 0..5 {
                    let written = f.put("test", &format!("s-{writer}-{n}"), json!({}));
                    assert!(written.expect("created").changed);
                }
            });
        }
    });
    let group = f.repository.group(&name("test")).expect("the group");
    assert_eq!(group.revision.0, before.0 + 40);
    assert_eq!(group.services, 40);
}

#[test]
fn gateways_read_what_is_sound() {
    let f = Fixture::new();
    f.put("test", "a", httpbin()).expect("created");
    f.put("test", "b", json!({})).expect("created");
    let mut reader = GroupReader::open(&f.path()).expect("opened");
    let group = name("test");
    let head = reader.head(&group).expect("read").expect("a head");
    let first = reader.load(&group, head, None).expect("loaded");
    assert!(first.diagnostics.is_empty() && first.faulty.is_empty());

    // Written past every check, as a damaged tool might.
    let tree = f.git(&["rev-parse", "test^{tree}"]);
    let work = f.folder.path().join("work");
    std::fs::create_dir(&work).expect("a folder");
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .args(["-c", "user.name=bo", "-c", "user.email=bo@example.com"])
            .env("GIT_DIR", f.path())
            .env("GIT_WORK_TREE", &work)
            .env("GIT_INDEX_FILE", work.join(".index"))
            .args(arguments)
            .output()
            .expect("git runs");
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    git(&["read-tree", tree.trim()]);
    git(&["checkout-index", "-a"]);
    std::fs::write(work.join("services/a/service.json"), "{\"typo\": 1}").expect("a file");
    git(&["add", "services"]);
    let tree = git(&["write-tree"]);
    let commit = git(&["commit-tree", &tree, "-p", &head.to_string(), "-m", "bad"]);
    git(&["update-ref", "refs/heads/test", &commit]);

    let head = reader.head(&group).expect("read").expect("a head");
    let second = reader.load(&group, head, Some(&first.config)).expect("loaded");
    let faulty: Vec<&str> = second.faulty.iter().map(ServiceName::as_str).collect();
    assert_eq!(faulty, ["a"]);
    assert_eq!(second.diagnostics[0].code.as_str(), "unknown_key");
    let b = name::<ServiceName>("b");
    assert!(std::sync::Arc::ptr_eq(&first.config.services[&b], &second.config.services[&b]));
    // The API can still mend it, and change what is sound.
    assert_eq!(f.service("test", "a")["live_reason"], "invalid");
    f.put("test", "c", json!({})).expect("created");
    f.put("test", "a", httpbin()).expect("mended");
    assert_eq!(f.service("test", "a")["live_reason"], "live");
}

#[test]
fn a_group_of_a_controller_is_taken_back_or_away_and_nothing_else() {
    let f = Fixture::new();
    f.apply("edge", Operation::CreateGroup { document: json!({"type": "ingress"}) }).expect("made");
    let patch = |patch| f.apply("edge", Operation::PatchGroup { patch });
    for refused in
        [json!({"description": "d"}), json!({"type": "gateway", "labels": {}}), json!({})]
    {
        assert_eq!(patch(refused).expect_err("read-only").code(), "read_only_group");
    }
    patch(json!({"type": "gateway"})).expect("taken back");
    patch(json!({"description": "d"})).expect("a group as any other");
    patch(json!({"type": "ingress"})).expect("given away");
    f.apply("edge", Operation::DeleteGroup).expect("archived");
}

#[test]
fn groups_come_and_go() {
    let f = Fixture::new();
    let create = || Operation::CreateGroup { document: json!({"description": "d"}) };
    assert!(f.apply("staging", create()).expect("created").created);
    assert_eq!(f.apply("staging", create()).expect_err("exists").code(), "already_exists");
    let bad = Operation::CreateGroup { document: json!({"descripton": "d"}) };
    let refused = f.apply("other", bad).expect_err("a typo");
    assert_eq!(refused.diagnostics()[0].hint.as_deref(), Some("did you mean \"description\"?"));
    assert_eq!(
        f.apply("uat", Operation::DeleteGroup).expect_err("used").code(),
        "still_referenced"
    );
    f.apply("staging", Operation::DeleteGroup).expect("archived");
    assert!(f.repository.group(&name("staging")).is_err());
    assert!(f.git(&["for-each-ref", "refs/archive/staging"]).contains("commit"));
}
