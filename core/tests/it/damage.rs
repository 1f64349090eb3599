//! Objects that are missing or corrupt: the group that needs them says so, the others go on.

use std::fs;
use std::path::{Path, PathBuf};

use refgate_core::Error;
use refgate_core::change::{Change, Operation};
use refgate_core::repository::Repository;
use refgate_core::repository::check::{Subject, check};
use refgate_core::view::{GroupView, HistoryFilter, MatrixPage, Side};
use serde_json::json;

use crate::check::{assert_sound, errors};
use crate::support::{Fixture, change, clock, httpbin, name, sync_operation};

/// The file of a loose object.
fn object(repository: &Path, id: &str) -> PathBuf {
    let (fan, rest) = id.trim().split_at(2);
    repository.join("objects").join(fan).join(rest)
}

/// Takes an object away (nothing) or puts something else into its place.
fn damage(file: &Path, bytes: Option<&[u8]>) {
    // It is read-only.
    fs::remove_file(file).expect("it was there");
    if let Some(bytes) = bytes {
        fs::write(file, bytes).expect("written");
    }
}

/// A crash of the machine may leave a file in an object's place that is empty, cut short or garbage.
#[test]
fn half_an_object_in_the_way_is_written_anew() {
    for kind in ["empty", "short", "garbage"] {
        let f = Fixture::new();
        f.put("test", "a", httpbin()).expect("created");
        let id = f.git(&["rev-parse", "test:services/a/routes/get-headers.json"]);
        let path = object(&f.path(), &id);
        let whole = fs::read(&path).expect("the object");
        // The same route in another group has the same id.
        let (repository, folder) = (f.path(), f.folder);
        drop(f.repository);
        match kind {
            "empty" => damage(&path, Some(b"")),
            "short" => damage(&path, Some(&whole[..whole.len() / 2])),
            _ => damage(&path, Some(b"no object at all")),
        }
        let opened = Repository::open(&repository, clock()).expect("opened");
        let report = check(&repository).expect("checked");
        assert!(errors(&report, Subject::Objects).join("\n").contains(id.trim()), "{report:#?}");
        let operation = Operation::PutService { service: name("a"), document: httpbin() };
        let written = opened.apply(change("uat", operation));
        assert!(written.expect(kind).changed);
        let f = Fixture { repository: opened, folder };
        f.git(&["fsck", "--strict", "--no-dangling"]);
        assert_sound(&f);
    }
}

fn at(path: &str) -> serde_json::Value {
    json!({"routes": {"r": {"paths": [path]}}})
}

fn damaged(views: &[GroupView]) -> Vec<(&str, &str)> {
    let of = |view: &'_ GroupView| view.damage.is_some();
    views
        .iter()
        .filter(|view| of(view))
        .map(|view| (view.name.as_str(), view.damage.as_deref().unwrap_or_default()))
        .collect()
}

/// Checks that an error names the group, the object and the remedy.
fn assert_named<T: std::fmt::Debug>(result: Result<T, Error>, id: &str, context: &str) {
    let error = result.expect_err(context);
    assert_eq!(error.code(), "damaged", "{context}: {error}");
    let text = error.to_string();
    for part in ["group test is damaged", id, "refgate check"] {
        assert!(text.contains(part), "{context}: {text}");
    }
}

/// Each row: the object, as git names it, and whether the group can be shown without it.
const OBJECTS: [(&str, bool); 7] = [
    ("test", false),
    ("test^{tree}", false),
    ("test:services", false),
    ("test:services/a", true),
    ("test:services/a/routes/get-headers.json", true),
    ("test:runtime/a.json", true),
    ("test:group.json", false),
];

/// An object of one group is gone or corrupt: that group says so, all others are read and written.
#[test]
fn damage_of_one_group_is_its_own() {
    for (object_of, shown) in OBJECTS {
        for how in ["gone", "short", "garbage"] {
            for index in ["kept", "made anew"] {
                one_damage(object_of, shown, how, index == "made anew");
            }
        }
    }
}

fn one_damage(object_of: &str, shown: bool, how: &str, index_anew: bool) {
    let context = format!("{object_of} {how}, index anew: {index_anew}");
    let f = Fixture::in_memory();
    // An object that no other group has.
    let variables = json!({"variables": {"only": "here"}});
    f.apply("test", Operation::PatchGroup { patch: variables }).expect("patched");
    f.put("test", "a", httpbin()).expect("created");
    f.put("uat", "b", at("/b")).expect("created");
    let id = f.git(&["rev-parse", object_of]).trim().to_owned();
    let (path, folder) = (f.path(), f.folder);
    drop(f.repository);
    let file = object(&path, &id);
    let whole = fs::read(&file).expect("the object");
    match how {
        "gone" => damage(&file, None),
        "short" => damage(&file, Some(&whole[..whole.len() / 2])),
        _ => damage(&file, Some(b"no object at all")),
    }
    if index_anew {
        fs::remove_file(path.with_extension("index")).expect("removed");
    }
    let opened = Repository::open(&path, clock()).expect("opened");
    let (test, uat) = (name("test"), name("uat"));

    // What spans groups.
    let groups = opened.groups().expect(&context);
    let names: Vec<&str> = groups.iter().map(|view| view.name.as_str()).collect();
    assert_eq!(names, ["production", "test", "uat"], "{context}");
    let told = damaged(&groups);
    assert!(
        told.len() == 1 && told[0].0 == "test" && told[0].1.contains(&id),
        "{context}: {told:?}"
    );
    if !index_anew {
        assert_eq!(groups[1].revision.0, 3, "{context}");
    }
    let MatrixPage { rows, damaged, .. } = opened.matrix(None, usize::MAX).expect(&context);
    assert!(damaged.len() == 1 && damaged[0].group == test, "{context}: {damaged:?}");
    assert!(damaged[0].damage.contains(&id), "{context}: {damaged:?}");
    let row = rows.iter().find(|row| row.service.as_str() == "b").expect(&context);
    assert!(row.groups.contains_key(&uat), "{context}");
    let of_a = rows.iter().find(|row| row.service.as_str() == "a");
    assert_eq!(of_a.is_some(), shown || object_of == "test:group.json", "{context}");
    if let Some(row) = of_a {
        let cell = serde_json::to_value(&row.groups[&test]).expect("serialises");
        assert_eq!((&cell["live"], &cell["live_reason"]), (&json!(false), &json!("damaged")));
    }
    let row = opened.matrix_row(&name("b")).expect(&context);
    assert!(row.groups.contains_key(&uat), "{context}: {row:?}");
    opened.versions(&name("b")).expect(&context);

    // The group itself.
    assert_eq!(opened.group(&test).is_ok(), shown, "{context}");
    assert_named(opened.services(&test), &id, &context);
    assert_named(opened.service(&test, &name("a")), &id, &context);
    let write = |group: &str, service: &str| -> Change {
        change(group, Operation::PutService { service: name(service), document: at("/c") })
    };
    assert_named(opened.apply(write("test", "c")), &id, &context);
    assert_named(opened.plan(&write("test", "c")), &id, &context);
    if !shown && object_of != "test:group.json" {
        let sync =
            sync_operation("a", "test", Some("1.0.0"), refgate_core::merge::OnConflict::Abort);
        assert_named(opened.apply(change("uat", sync)), &id, &context);
        let sides = [&test, &uat].map(|group| Side::Group(group.clone()));
        assert_named(opened.diff(&name("a"), &sides[0], &sides[1]), &id, &context);
    }

    // The others.
    assert_eq!(opened.services(&uat).expect(&context).len(), 1);
    assert!(opened.apply(write("uat", "c")).expect(&context).changed);
    let filter = HistoryFilter { limit: 5, ..HistoryFilter::default() };
    assert_eq!(opened.history(&uat, &filter).expect(&context).len(), 3);

    let report = check(&path).expect("checked");
    assert!(!report.sound, "{context}");
    assert!(errors(&report, Subject::Objects).join("\n").contains(&id), "{context}: {report:#?}");

    // The object is back: nothing has to be done to be whole again.
    damage_undone(&file, &whole);
    assert_eq!(self::damaged(&opened.groups().expect("groups")), [], "{context}");
    assert!(opened.matrix(None, usize::MAX).expect("the matrix").damaged.is_empty(), "{context}");
    assert!(opened.apply(write("test", "c")).expect(&context).changed);
    assert!(check(&path).expect("checked").sound, "{context}");
    drop(folder);
}

fn damage_undone(file: &Path, whole: &[u8]) {
    // Of a file that is there, libgit2 and this program read what is there.
    let _ = fs::remove_file(file);
    fs::write(file, whole).expect("written");
}

/// The commit that a version names is gone, and the index with it: the version is, and nothing else.
#[test]
fn a_damaged_version_is_no_trouble_of_others() {
    let f = Fixture::in_memory();
    f.put("test", "a", httpbin()).expect("created");
    f.sync("a", "test", "uat", Some("1.0.0")).expect("promoted");
    let tagged = f.git(&["rev-parse", "a/1.0.0^{commit}"]);
    f.put("uat", "b", at("/b")).expect("created");
    f.sync("b", "uat", "test", Some("2.0.0")).expect("promoted");
    let (path, folder) = (f.path(), f.folder);
    drop(f.repository);
    let file = object(&path, &tagged);
    let whole = fs::read(&file).expect("the object");
    damage(&file, None);
    fs::remove_file(path.with_extension("index")).expect("removed");
    let opened = Repository::open(&path, clock()).expect("opened");
    let versions = |service: &str| -> Vec<String> {
        let found = opened.versions(&name(service)).expect("versions");
        found.iter().map(|version| version.version.to_string()).collect()
    };
    let latest = || -> Vec<Option<String>> {
        let rows = opened.matrix(None, usize::MAX).expect("the matrix").rows;
        rows.iter().map(|row| row.latest.as_ref().map(ToString::to_string)).collect()
    };
    for _ in 0..2 {
        assert_eq!(versions("b"), ["2.0.0"]);
        assert_eq!(versions("a"), [""; 0]);
        assert_eq!(latest(), [None, Some("2.0.0".to_owned())]);
    }
    assert!(!check(&path).expect("checked").sound);
    damage_undone(&file, &whole);
    assert_eq!(versions("a"), ["1.0.0"]);
    assert_eq!(latest(), [Some("1.0.0".to_owned()), Some("2.0.0".to_owned())]);
    let report = check(&path).expect("checked");
    assert!(report.sound, "{report:#?}");
    drop(folder);
}

/// `group.json` is not valid: the group says so where groups are listed, and keeps its shape.
#[test]
fn a_group_document_that_is_not_valid_is_told() {
    let f = Fixture::in_memory();
    f.put("test", "a", httpbin()).expect("created");
    let push = |text: &str| crate::support::push(&f, "group.json", text);
    push(r#"{"description": "mine", "promotion": "uat", "colour": "red"}"#);
    let view = |group: &str| {
        let groups = f.repository.groups().expect("groups");
        let found = groups.into_iter().find(|view| view.name.as_str() == group);
        serde_json::to_value(found.expect("listed")).expect("serialises")
    };
    let test = view("test");
    let codes: Vec<&str> = test["diagnostics"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|finding| finding["code"].as_str().expect("a code"))
        .collect();
    assert_eq!(codes, ["unknown_key", "wrong_type"]);
    assert_eq!(test["damage"], json!(null));
    assert_eq!(test["description"], "mine");
    assert_eq!(test["promotion"]["from"], json!([]), "what is at fault has its default");
    assert_eq!((&test["services"], &test["revision"]), (&json!(1), &json!(3)));
    assert_eq!(view("uat")["diagnostics"], json!([]));
    assert!(f.repository.matrix(None, usize::MAX).expect("the matrix").damaged.is_empty());

    push("{");
    assert_eq!(view("test")["diagnostics"][0]["code"], "malformed_json");
    assert_eq!(f.repository.services(&name("test")).expect("services").len(), 1);
    let patch = json!({"description": "mended"});
    f.apply("test", Operation::PatchGroup { patch }).expect("mended");
    assert_eq!(view("test")["diagnostics"], json!([]));
}

/// Without any copy of the object, the group goes back to a commit that is whole, with git alone.
#[test]
fn a_group_goes_back_to_what_is_whole() {
    let f = Fixture::in_memory();
    f.put("test", "a", at("/a")).expect("created");
    let good = f.git(&["rev-parse", "test"]).trim().to_owned();
    f.put("test", "b", at("/b")).expect("created");
    let id = f.git(&["rev-parse", "test:services/b"]);
    damage(&object(&f.path(), &id), None);
    let opened = Repository::open(&f.path(), clock()).expect("opened");
    let test = name("test");
    opened.services(&test).expect_err("damaged");
    f.git(&["update-ref", "refs/archive/test/damaged", "refs/heads/test"]);
    f.git(&["update-ref", "refs/heads/test", &good]);
    for repository in [&f.repository, &opened] {
        let services = repository.services(&test).expect("whole again");
        assert_eq!(services.len(), 1);
        assert_eq!(repository.group(&test).expect("the group").revision.0, 2);
    }
    f.put("test", "b", at("/b")).expect("written anew");
    assert_eq!(f.repository.services(&test).expect("services").len(), 2);
}
