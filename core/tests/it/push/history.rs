//! Who pushed, and what history makes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use git2::Oid;
use refgate_core::change::Operation;
use refgate_core::name::Revision;
use refgate_core::push::{Outcome, Touched, outcomes};
use refgate_core::repository::Repository;
use refgate_core::view::{EventView, HistoryFilter};
use serde_json::json;

use super::draft::{Draft, begins, branch, commit_at, editor, findings, head, push};
use crate::support::{Fixture, change, clock, httpbin, name};

fn events(repository: &Repository, group: &str, filter: &HistoryFilter) -> Vec<EventView> {
    let filter = HistoryFilter { limit: filter.limit.max(1), ..filter.clone() };
    repository.history(&name(group), &filter).expect("asked")
}

fn all(limit: usize) -> HistoryFilter {
    HistoryFilter { limit, ..Default::default() }
}

#[test]
fn who_pushed_is_not_who_wrote() {
    let f = Fixture::in_memory();
    f.put("test", "a", httpbin()).expect("put");
    // Two commits by eve, one over the API, two by mallory of which the first is known to nobody.
    let first = Draft::of(&f, "test").put("README.md", "1").commit();
    let second = Draft::after(&f, first).put("README.md", "2").commit();
    push(&f, &editor("eve"), &[branch(&f, "test", second)]);
    f.patch("test", "a", json!({"description": "x"})).expect("patched");
    let third = Draft::of(&f, "test").put("README.md", "3").commit();
    let fourth = Draft::after(&f, third).put("README.md", "4").commit();
    push(&f, &editor("mallory"), &[branch(&f, "test", fourth)]);
    // Noted, and then it lost its race: nobody hears of it.
    let lost = Draft::of(&f, "test").put("README.md", "5").commit();
    findings(&f, &editor("late"), &[branch(&f, "test", lost)]);
    let whole = [
        ("mallory", Some("push-of-mallory")),
        ("mallory", Some("push-of-mallory")),
        ("ana", Some("r-1")),
        ("eve", Some("push-of-eve")),
        ("eve", Some("push-of-eve")),
    ];
    let look = |repository: &Repository| {
        let found = events(repository, "test", &all(5));
        let found: Vec<_> =
            found.iter().map(|event| (event.actor.as_str(), event.request_id.as_deref())).collect();
        assert_eq!(found, whole);
        let by_eve = HistoryFilter { actor: Some("eve".to_owned()), ..all(9) };
        let by_eve = events(repository, "test", &by_eve);
        let written: Vec<_> =
            by_eve.iter().map(|event| (event.author.as_str(), event.event.as_str())).collect();
        assert_eq!(written, [("Jane", "pushed"), ("Jane", "pushed")]);
    };
    look(&f.repository);
    // The index is made of the repository, and nothing else knows it.
    f.repository.reindex().expect("made anew");
    look(&f.repository);
    let beside = Repository::open_beside(&f.path(), clock()).expect("opened");
    look(&beside);
    // What is noted is nothing that is served.
    assert_eq!(f.git(&["for-each-ref", "refs/refgate/pushes"]).lines().count(), 1);
    f.git(&["fsck", "--strict"]);
}

#[test]
fn a_commit_is_theirs_who_pushed_it_even_if_somebody_tried_before() {
    let f = Fixture::in_memory();
    let base = head(&f, "test");
    let shared = Draft::after(&f, base).put("README.md", "1").commit();
    let whole = Draft::after(&f, shared).put("README.md", "2").commit();
    findings(&f, &editor("late"), &[branch(&f, "test", shared)]);
    push(&f, &editor("eve"), &[branch(&f, "test", whole)]);
    let actors: Vec<_> =
        events(&f.repository, "test", &all(2)).into_iter().map(|event| event.actor).collect();
    assert_eq!(actors, ["eve", "eve"]);
}

#[test]
fn one_push_may_move_many_refs() {
    let f = Fixture::in_memory();
    f.put("test", "a", httpbin()).expect("put");
    let before = [branch(&f, "test", Oid::ZERO_SHA1).old, branch(&f, "uat", Oid::ZERO_SHA1).old];
    let test =
        Draft::of(&f, "test").put("services/a/service.json", "{\"description\":\"x\"}").commit();
    let uat = Draft::of(&f, "uat").put("runtime/b.json", "{}").put("README.md", "x").commit();
    let new =
        Draft::orphan(&f).put("group.json", "{}").put("services/n/service.json", "{}").commit();
    let updates = [
        branch(&f, "test", test),
        branch(&f, "uat", uat),
        branch(&f, "new", new),
        begins("refs/tags/a/1.0.0", test),
    ];
    assert_eq!(before, [updates[0].old, updates[1].old]);
    push(&f, &super::admin(), &updates);
    let groups = f.repository.groups().expect("groups");
    assert!(groups.iter().any(|group| group.name.as_str() == "new"));
    let versions = f.repository.versions(&name("a")).expect("versions");
    assert_eq!((versions.len(), versions[0].created_by.as_str()), (1, "root"));
    assert!(refgate_core::repository::check::check(&f.path()).expect("checked").sound);
    let came = outcomes(&f.path(), &updates).expect("outcomes");
    let touched: Vec<_> = came
        .iter()
        .filter_map(|outcome| match outcome {
            Outcome::Group { group, created, touched, .. } => {
                Some((group.as_str(), *created, touched.clone()))
            }
            Outcome::Version { .. } => None,
        })
        .collect();
    let file = |path: &str| Touched::File(path.to_owned());
    assert_eq!(
        touched,
        [
            ("test", false, vec![Touched::Changed(name("a"), Some("1.0.0".parse().expect("one")))]),
            ("uat", false, vec![Touched::Runtime(name("b")), file("README.md")]),
            ("new", true, vec![Touched::Added(name("n")), file("group.json")]),
        ]
    );
    for group in ["test", "uat", "new"] {
        let newest = events(&f.repository, group, &all(1));
        assert_eq!(
            (newest[0].actor.as_str(), newest[0].author.as_str()),
            ("root", "Jane"),
            "{group}"
        );
    }
}

#[test]
fn what_is_brought_back_is_a_rollback() {
    let f = Fixture::in_memory();
    f.put("test", "a", httpbin()).expect("put");
    f.put("test", "b", json!({})).expect("put");
    let tag = |version: &str| {
        let message = None;
        let version = version.to_owned();
        f.apply("test", Operation::TagVersion { service: name("a"), version, message })
            .expect("tagged");
    };
    tag("1.0.0");
    let first = commit_at(&f, "a/1.0.0");
    f.patch("test", "a", json!({"description": "two"})).expect("patched");
    tag("2.0.0");
    f.patch("test", "a", json!({"description": "not numbered"})).expect("patched");
    let not_numbered = head(&f, "test");

    let back = Draft::of(&f, "test").restore(&f, "services/a", first).commit();
    push(&f, &editor("eve"), &[branch(&f, "test", back)]);
    let beside_another = Draft::of(&f, "test")
        .restore(&f, "services/a", commit_at(&f, "a/2.0.0"))
        .put("services/b/service.json", "{\"description\": \"y\"}")
        .commit();
    push(&f, &editor("eve"), &[branch(&f, "test", beside_another)]);
    let to_no_version = Draft::of(&f, "test").restore(&f, "services/a", not_numbered).commit();
    push(&f, &editor("eve"), &[branch(&f, "test", to_no_version)]);
    let again = Draft::of(&f, "test").restore(&f, "services/a", first).commit();
    push(&f, &editor("eve"), &[branch(&f, "test", again)]);

    let seen = |filter: HistoryFilter| -> Vec<(u64, String, Option<String>, String)> {
        let found = events(&f.repository, "test", &filter).into_iter();
        found.map(|event| (event.revision.0, event.event, event.version, event.actor)).collect()
    };
    let newest = seen(all(1))[0].0;
    let row = |back: u64, event: &str, version: Option<&str>| {
        (newest - back, event.to_owned(), version.map(str::to_owned), "eve".to_owned())
    };
    let rolled_back = |back| row(back, "version.rolled-back", Some("1.0.0"));
    let kind = |event: &str, limit| HistoryFilter { event: Some(event.to_owned()), ..all(limit) };
    assert_eq!(
        seen(all(4)),
        [rolled_back(0), row(1, "pushed", None), row(2, "pushed", None), rolled_back(3)]
    );
    assert_eq!(seen(kind("version.rolled-back", 10)), [rolled_back(0), rolled_back(3)]);
    assert_eq!(seen(kind("pushed", 10)), [row(1, "pushed", None), row(2, "pushed", None)]);
    // Page by page, and not a row too many or too few.
    for (event, whole) in
        [("version.rolled-back", [newest, newest - 3]), ("pushed", [newest - 1, newest - 2])]
    {
        let mut found = Vec::new();
        let mut after = None;
        while let [event] =
            &*events(&f.repository, "test", &HistoryFilter { after, ..kind(event, 1) })
        {
            found.push(event.revision.0);
            after = Some(event.revision);
        }
        assert_eq!(found, whole, "{event}");
    }
    let service = HistoryFilter { service: Some(name("a")), ..kind("version.rolled-back", 10) };
    assert_eq!(seen(service).len(), 2);
    let older = HistoryFilter { after: Some(Revision(1)), ..all(10) };
    assert_eq!(seen(older), []);

    // The number may come later, and then that was a rollback to it.
    f.git(&["tag", "a/3.0.0", &not_numbered.to_string()]);
    assert_eq!(seen(kind("version.rolled-back", 10)).len(), 3);
    let one = events(&f.repository, "test", &kind("version.rolled-back", 10));
    let view = f.repository.commit(&name("test"), one[1].commit).expect("the commit");
    assert_eq!(view.event.version.as_deref(), Some("3.0.0"));
}

#[test]
fn two_that_fold_at_once_lose_nothing() {
    let f = Fixture::in_memory();
    let index = f.folder.path().join("config.index");
    let file = |what: &str| {
        use std::os::unix::fs::MetadataExt as _;
        std::fs::metadata(&index).unwrap_or_else(|error| panic!("{what}: {error}")).ino()
    };
    f.put("test", "a", httpbin()).expect("put");
    let made = file("at first");
    let done = AtomicBool::new(false);
    let ready = Arc::new(std::sync::Barrier::new(4));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                ready.wait();
                while !done.load(Ordering::Relaxed) {
                    let beside = Repository::open_beside(&f.path(), clock()).expect("opened");
                    for _ in 0..5 {
                        let found = events(&beside, "test", &all(1000));
                        let numbers: Vec<_> = found.iter().map(|event| event.revision.0).collect();
                        let whole: Vec<_> = (1..=numbers.len() as u64).rev().collect();
                        assert_eq!(numbers, whole);
                    }
                }
            });
        }
        ready.wait();
        for number in 0..60 {
            match number % 3 {
                0 => {
                    let id = Draft::of(&f, "test").put("README.md", &number.to_string()).commit();
                    push(&f, &editor("eve"), &[branch(&f, "test", id)]);
                }
                1 => {
                    let beside = Repository::open_beside(&f.path(), clock()).expect("opened");
                    let patch = json!({"description": number.to_string()});
                    let operation = Operation::PatchService { service: name("a"), patch };
                    beside.apply(change("test", operation)).expect("patched");
                }
                _ => {
                    f.patch("test", "a", json!({"description": number.to_string()}))
                        .expect("patched");
                }
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(file("at last"), made, "the index was made anew");
    let found = events(&f.repository, "test", &all(1000));
    assert_eq!(found.len(), 62);
    assert_eq!(found.iter().filter(|event| event.actor == "eve").count(), 20);
    let report = refgate_core::repository::check::check(&f.path()).expect("checked");
    assert!(report.findings.is_empty(), "{report:?}");
}

#[test]
fn many_that_begin_an_index_at_once_make_one() {
    for _ in 0..8 {
        let f = Fixture::in_memory();
        f.put("test", "a", httpbin()).expect("put");
        let copy = f.folder.path().join("copy");
        std::fs::create_dir(&copy).expect("made");
        let path = copy.join("config.git");
        f.git(&[
            "clone",
            "--quiet",
            "--mirror",
            &f.path().display().to_string(),
            &path.display().to_string(),
        ]);
        let config = f.path().join("config");
        std::fs::copy(config, path.join("config")).expect("copied");
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let beside = Repository::open_beside(&path, clock()).expect("opened");
                    assert_eq!(events(&beside, "test", &all(9)).len(), 2);
                });
            }
        });
        assert!(
            copy.join("config.index").is_file(),
            "{:?}",
            std::fs::read_dir(&copy).expect("read")
        );
    }
}

#[test]
fn a_content_gets_one_number_however_many_give_it() {
    let f = Fixture::in_memory();
    f.put("test", "a", httpbin()).expect("put");
    for round in 0..12 {
        f.patch("test", "a", json!({"description": round.to_string()})).expect("patched");
        thread::scope(|scope| {
            for giver in 0..3 {
                let f = &f;
                scope.spawn(move || {
                    // Each as a process of its own would.
                    let beside = Repository::open_beside(&f.path(), clock()).expect("opened");
                    let version = format!("{giver}.0.{round}");
                    let operation =
                        Operation::TagVersion { service: name("a"), version, message: None };
                    match beside.apply(change("test", operation)) {
                        Ok(_) => {}
                        Err(error) => assert_eq!(error.code(), "content_already_versioned"),
                    }
                });
            }
        });
    }
    assert_eq!(f.repository.versions(&name("a")).expect("versions").len(), 12);
}
