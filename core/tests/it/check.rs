//! `refgate check` over repositories that are sound, and over ones that are not.

use std::fs;
use std::path::Path;
use std::process::Command;

use refgate_core::diagnostic::Severity;
use refgate_core::repository::check::{Report, Subject, check};
use serde_json::json;

use crate::support::{Fixture, httpbin, name};

fn checked(f: &Fixture) -> Report {
    check(&f.path()).expect("checked")
}

pub(crate) fn assert_sound(f: &Fixture) {
    let report = checked(f);
    assert!(report.sound, "{:#?}", report.findings);
}

/// The errors of a report about one subject, each as one line.
pub(crate) fn errors(report: &Report, subject: Subject) -> Vec<String> {
    let of = report.findings.iter().filter(|finding| finding.subject == subject);
    of.filter(|finding| finding.severity == Severity::Error)
        .map(|finding| format!("{}: {}", finding.what, finding.message))
        .collect()
}

#[test]
fn a_healthy_repository_is_sound_and_checking_writes_nothing() {
    let f = Fixture::new();
    f.put("test", "a", httpbin()).expect("created");
    f.sync("a", "test", "uat", Some("1.0.0")).expect("promoted");
    let files = || {
        let listed = Command::new("find").arg(f.folder.path()).output().expect("find runs").stdout;
        let mut names: Vec<String> =
            String::from_utf8_lossy(&listed).lines().map(str::to_owned).collect();
        names.sort();
        names
    };
    let before = files();
    let report = checked(&f);
    assert_eq!(report.findings, []);
    assert!(report.sound);
    let checked: Vec<Option<usize>> = report.checks.iter().map(|check| check.checked).collect();
    assert!(checked.iter().all(|checked| checked.is_some_and(|count| count > 0)), "{checked:?}");
    assert_eq!(files(), before);
    // Without a process that has the repository open, too.
    let (path, folder) = (f.path(), f.folder);
    drop(f.repository);
    assert!(check(&path).expect("checked").sound);
    drop(folder);
}

#[test]
fn a_check_names_what_is_wrong() {
    let f = Fixture::new();
    f.put("test", "a", httpbin()).expect("created");
    f.sync("a", "test", "uat", Some("1.0.0")).expect("promoted");
    f.git(&["tag", "a/2.0.0", "test"]);
    f.git(&["tag", "nonsense", "test"]);
    let tagger = ["-c", "user.name=bo", "-c", "user.email=bo@example.com", "tag", "-a", "-m", "x"];
    f.git(&[&tagger[..], &["a/3.0.0", "test"]].concat());
    f.git(&["update-ref", "refs/notes/commits", "test"]);
    f.git(&["update-ref", "refs/heads/Not_A_Group", "test"]);
    f.repository.guard(Path::new("/opt/refgate")).expect("hooks");
    f.git(&["config", "gc.auto", "1"]);
    fs::remove_file(f.folder.path().join("hooks/pre-receive")).expect("removed");
    let report = checked(&f);
    assert!(!report.sound);
    let refs = errors(&report, Subject::Refs).join("\n");
    for part in ["refs/tags/nonsense", "refs/notes/commits", "refs/heads/Not_A_Group"] {
        assert!(refs.contains(part), "{refs}");
    }
    let versions = errors(&report, Subject::Versions).join("\n");
    for part in
        ["a/2.0.0: its content is version 1.0.0", "a/3.0.0: its content is version 1.0.0 too"]
    {
        assert!(versions.contains(part), "{versions}");
    }
    assert!(report.findings.iter().any(|finding| finding.what == "gc.auto"));
    let hook = report.findings.iter().find(|finding| finding.what.ends_with("hooks/pre-receive"));
    assert!(hook.is_some_and(|hook| hook.severity == Severity::Warning), "{report:#?}");
    // Nothing of it keeps the repository from working.
    f.put("test", "b", httpbin_at("/b")).expect("created");
}

fn httpbin_at(path: &str) -> serde_json::Value {
    json!({"routes": {"r": {"paths": [path]}}})
}

/// The index is compared with the repository row by row, and not believed.
#[test]
fn a_check_sees_an_index_that_is_wrong() {
    let f = Fixture::in_memory();
    f.put("test", "a", httpbin()).expect("created");
    f.put("test", "b", httpbin_at("/b")).expect("created");
    f.sync("a", "test", "uat", Some("1.0.0")).expect("promoted");
    // Tags are taken in when they are asked for.
    f.repository.versions(&name("a")).expect("versions");
    let (path, folder) = (f.path(), f.folder);
    drop(f.repository);
    let index = path.with_extension("index");
    let sound = fs::read(&index).expect("the index");
    // Each row: what is done to the index, and what is told: the table and words of the finding.
    let table = [
        (
            "UPDATE commits SET id = zeroblob(20) WHERE revision = 2",
            "commits: group_name test, revision 2: id is 0000",
        ),
        ("UPDATE commits SET reason = 'x' WHERE revision = 1", "reason is x and should be nothing"),
        ("DELETE FROM commits WHERE group_name = 'uat'", "revision 2 is missing"),
        (
            "UPDATE touches SET content = NULL WHERE service = 'b'",
            "touches: group_name test, service b",
        ),
        (
            "DELETE FROM touches WHERE service = 'a'",
            "touches: group_name test, service a, revision 2",
        ),
        (
            "INSERT INTO touches VALUES ('uat', 'z', 2, NULL, NULL)",
            "touches: group_name uat, service z, revision 2 is not so in the repository",
        ),
        (
            "DELETE FROM files WHERE path LIKE 'services/b/%'",
            "files: group_name test, path services/b/",
        ),
        ("UPDATE files SET path = 'zz' WHERE path = 'group.json'", "path zz, revision 1 is not so"),
        (
            "UPDATE heads SET revision = 9 WHERE group_name = 'test'",
            "revision is 9 and should be 3",
        ),
        (
            "UPDATE versions SET content = zeroblob(20)",
            "versions: service a, version 1.0.0: content is",
        ),
        ("UPDATE versions SET version = '2.0.0'", "service a, version 2.0.0 is not so"),
        ("UPDATE touches SET service = CAST(service AS BLOB)", "touches"),
        ("DROP TABLE files", "no such table: files"),
    ];
    for (tampering, told) in table {
        let sql = rusqlite::Connection::open(&index).expect("opened");
        sql.execute_batch(tampering).expect(tampering);
        drop(sql);
        let report = check(&path).expect("checked");
        let found = errors(&report, Subject::Index);
        assert!(found.join("\n").contains(told), "{tampering}: {found:#?}");
        assert!(report.findings.iter().all(|finding| {
            finding.subject == Subject::Index
                && finding.hint.as_deref().is_some_and(|hint| hint.contains("refgate reindex"))
        }));
        fs::write(&index, &sound).expect("put back");
    }
    let sql = rusqlite::Connection::open(&index).expect("opened");
    // Behind is not wrong, neither of a group nor of the versions; a group that went may stay.
    sql.execute_batch(
        "DELETE FROM heads WHERE group_name = 'uat'; DELETE FROM commits WHERE group_name = 'uat';
         DELETE FROM touches WHERE group_name = 'uat'; DELETE FROM files WHERE group_name = 'uat';
         DELETE FROM versions; INSERT INTO heads VALUES ('gone', zeroblob(20), 1);",
    )
    .expect("made older");
    drop(sql);
    assert_eq!(check(&path).expect("checked").findings, []);
    // However much is wrong, it is told in a few lines.
    let sql = rusqlite::Connection::open(&index).expect("opened");
    sql.execute("UPDATE files SET revision = revision + 100", []).expect("updated");
    drop(sql);
    let found = errors(&check(&path).expect("checked"), Subject::Index);
    assert!(found.len() == 6 && found[5].contains("more rows are different"), "{found:#?}");
    let sql = rusqlite::Connection::open(&index).expect("opened");
    sql.execute("PRAGMA user_version = 999", []).expect("updated");
    drop(sql);
    let report = check(&path).expect("checked");
    assert!(report.findings.iter().any(|finding| finding.message.contains("another version")));
    drop(folder);
}
