//! What goes wrong around the repository: what is in the way is named, what was acknowledged stays,
//! and what is not at fault goes on.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use refgate_core::change::Operation;
use refgate_core::repository::Repository;
use refgate_core::repository::check::check;
use refgate_core::store::GroupReader;
use refgate_core::view::HistoryFilter;
use rustix::process::{Resource, Rlimit};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use serde_json::json;

use crate::check::assert_sound;
use crate::support::{Fixture, change, clock, httpbin, name};

#[test]
fn a_lock_in_the_way_is_named_and_stops_nobody_else() {
    let f = Fixture::new();
    let lock = f.path().join("refs/heads/test.lock");
    fs::write(&lock, "").expect("written");
    let started = Instant::now();
    let refused = f.put("test", "a", json!({})).expect_err("locked").to_string();
    assert!(started.elapsed() < Duration::from_secs(20), "it waits, but not for ever");
    assert!(refused.contains(&lock.display().to_string()), "{refused}");
    assert!(refused.contains("remove that file"), "{refused}");
    // In one batch with the locked group, whose writers hear of it, another group goes on.
    std::thread::scope(|scope| {
        for n in 0..4 {
            let f = &f;
            scope.spawn(move || f.put("test", &format!("t-{n}"), json!({})).expect_err("locked"));
            scope.spawn(move || f.put("uat", &format!("u-{n}"), json!({})).expect("created"));
        }
    });
    fs::remove_file(&lock).expect("removed");
    f.put("test", "a", json!({})).expect("created");
    assert_eq!(f.repository.services(&name("test")).expect("services").len(), 1);
    assert_eq!(f.repository.services(&name("uat")).expect("services").len(), 4);
    // A killed process cannot take its lock away; the next start does.
    fs::write(&lock, "").expect("written");
    let (path, folder) = (f.path(), f.folder);
    drop(f.repository);
    let repository = Repository::open(&path, clock()).expect("opened");
    assert!(!lock.exists());
    let operation = Operation::PutService { service: name("b"), document: json!({}) };
    repository.apply(change("test", operation)).expect("created");
    drop((repository, folder));
}

/// The clock goes backwards: revisions order the history, and no commit is older than its parent.
#[test]
fn a_clock_that_goes_back() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let seconds = Arc::new(AtomicI64::new(1_700_000_000));
    let of = Arc::clone(&seconds);
    let back = Arc::new(move || {
        Timestamp::from_second(of.fetch_sub(100, Ordering::Relaxed)).expect("a time")
    });
    let path = folder.path().join("config.git");
    let repository = Repository::open_or_create(&path, back).expect("a repository");
    let f = Fixture { repository, folder };
    std::thread::scope(|scope| {
        for n in 0..6 {
            let f = &f;
            scope.spawn(move || f.put("test", &format!("s-{n}"), json!({})).expect("created"));
        }
    });
    f.put("test", "last", json!({})).expect("created");
    let times = f.git(&["log", "--reverse", "--format=%ct", "test"]);
    let times: Vec<i64> = times.lines().map(|line| line.parse().expect("a number")).collect();
    assert!(times.len() == 8 && times.is_sorted(), "{times:?}");
    let filter = HistoryFilter { limit: 20, ..Default::default() };
    let events = f.repository.history(&name("test"), &filter).expect("history");
    let revisions: Vec<u64> = events.iter().map(|event| event.revision.0).collect();
    assert_eq!(revisions, [8, 7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(events[0].service.as_deref(), Some("last"));
}

/// No file can grow any more, which is a full disk as a process sees it; this one is alone in that.
#[test]
fn a_full_disk() {
    const FOLDER: &str = "REFGATE_TEST_FULL_DISK";
    if let Some(folder) = std::env::var_os(FOLDER) {
        return write_on_a_full_disk(Path::new(&folder));
    }
    let f = Fixture::new();
    f.put("test", "a", httpbin()).expect("created");
    let (path, folder) = (f.path(), f.folder);
    drop(f.repository);
    // The signal that goes with the limit would end the process; a disk that is full sends none.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" --exact faults::a_full_disk --nocapture"])
        .arg(std::env::current_exe().expect("this program"))
        .env(FOLDER, folder.path())
        .output()
        .expect("sh runs");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    let report = check(&path).expect("checked");
    assert!(report.sound, "{:#?}", report.findings);
    let repository = Repository::open(&path, clock()).expect("opened");
    let services = repository.services(&name("test")).expect("services");
    let names: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(names, ["a", "after", "before"]);
}

fn write_on_a_full_disk(folder: &Path) {
    let path = folder.join("config.git");
    let repository = Repository::open(&path, clock()).expect("opened");
    let put = |service: &str, size: usize| {
        let document = json!({"description": "x".repeat(size)});
        let operation = Operation::PutService { service: name(service), document };
        repository.apply(change("test", operation))
    };
    put("before", 1).expect("created");
    let full = |limit: Option<u64>| {
        let limit = Rlimit { current: limit, maximum: None };
        rustix::process::setrlimit(Resource::Fsize, limit).expect("limited");
    };
    // At first nothing can be written; then a file of some bytes, such as a ref, but no object.
    for limit in [0, 50] {
        full(Some(limit));
        let refused = put("during", 1).expect_err("the disk is full").to_string();
        assert!(refused.contains("config.git/"), "it names the file: {refused}");
        let waiting = fs::read_dir(path.join("refgate/incoming")).expect("a folder").count();
        assert_eq!(waiting, 0, "half-written files do not keep the disk full");
        assert_eq!(repository.services(&name("test")).expect("it still reads").len(), 2);
    }
    full(None);
    put("after", 1).expect("created");
    drop(repository);
}

/// A folder that must not be written: reads go on, and what is refused is not half done.
#[test]
fn a_read_only_folder() {
    // The superuser may write all the same; this thread and those that it starts may not.
    let mut mine = capabilities(None).expect("read");
    mine.effective.remove(CapabilitySet::DAC_OVERRIDE);
    set_capabilities(None, mine).expect("taken away");
    let f = Fixture::new();
    f.put("test", "a", httpbin()).expect("created");
    let mode = |path: &Path, mode: u32| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("changed");
    };
    for folder in ["refgate/incoming", "refs/heads"] {
        let folder = f.path().join(folder);
        mode(&folder, 0o555);
        let refused = f.put("test", "b", json!({})).expect_err("read-only").to_string();
        assert!(refused.contains(&folder.display().to_string()), "{refused}");
        assert_eq!(f.repository.services(&name("test")).expect("it still reads").len(), 1);
        mode(&folder, 0o755);
    }
    f.put("test", "b", json!({})).expect("created");
    // A start on a folder that is read-only as a whole: reads are served, writes say why not.
    let (path, folder) = (f.path(), f.folder);
    drop(f.repository);
    let all = || Command::new("find").arg(folder.path()).args(["-type", "d"]).output();
    let folders = String::from_utf8(all().expect("find runs").stdout).expect("text");
    folders.lines().for_each(|folder| mode(Path::new(folder), 0o555));
    let repository = Repository::open(&path, clock()).expect("opened");
    assert_eq!(repository.services(&name("test")).expect("it reads").len(), 2);
    let operation = Operation::PutService { service: name("c"), document: json!({}) };
    repository.apply(change("test", operation)).expect_err("read-only");
    drop(repository);
    folders.lines().for_each(|folder| mode(Path::new(folder), 0o755));
    assert!(check(&path).expect("checked").sound);
}

/// Maintenance between writes, beside readers: nothing is lost, nothing seems to have moved.
#[test]
fn maintenance_loses_nothing() {
    const WRITES: usize = 800;
    let f = Fixture::new();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let f = &f;
                scope.spawn(move || {
                    for n in 0..WRITES / 8 {
                        let service = format!("s-{writer}-{}", n % 10);
                        let document = json!({"description": format!("{n}")});
                        f.put("test", &service, document).expect("written");
                        if n % 50 == 0 {
                            let operation = Operation::TagVersion {
                                service: name(&service),
                                version: format!("1.{n}.0"),
                                message: None,
                            };
                            f.apply("test", operation).expect("tagged");
                        }
                    }
                })
            })
            .collect();
        // A reader with a handle of its own from before everything, as a gateway has.
        let (mut reader, path) = (GroupReader::open(&f.path()).expect("opened"), f.path());
        let done = &done;
        scope.spawn(move || {
            let group = name("test");
            let mut last = None;
            while !done.load(Ordering::Relaxed) {
                let head = reader.head(&group).expect("read").expect("the group stays");
                if last != Some(head) {
                    let loaded = reader.load(&group, head, None).expect("loaded");
                    assert!(loaded.diagnostics.is_empty() && loaded.faulty.is_empty());
                    last = Some(head);
                }
                assert!(path.join("refs/heads/test").exists(), "branches are never packed");
            }
        });
        while writers.iter().any(|writer| !writer.is_finished()) {
            f.repository.maintain().expect("maintained");
        }
        done.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.join().expect("no writer failed");
        }
    });
    let refs = f.git(&["for-each-ref"]);
    let heads = f.heads();
    f.repository.maintain().expect("maintained");
    f.repository.maintain().expect("maintained");
    assert_eq!((f.git(&["for-each-ref"]), f.heads()), (refs, heads));
    let revision = f.repository.group(&name("test")).expect("the group").revision.0;
    assert_eq!(revision, 1 + WRITES as u64, "each write is one commit");
    let tags = f.git(&["for-each-ref", "refs/tags"]).lines().count();
    assert_eq!(tags, 8 * (WRITES / 8).div_ceil(50));
    let versions: usize = (0..8)
        .map(|writer| name(&format!("s-{writer}-0")))
        .map(|service| f.repository.versions(&service).expect("versions").len())
        .sum();
    assert_eq!(versions, tags);
    let stats = f.repository.maintenance();
    assert!(stats.failures == 0 && stats.runs >= 3 && stats.packs > 0, "{stats:?}");
    assert!(stats.loose_objects < 100, "{stats:?}");
    assert_sound(&f);
}
