//! Write latency and throughput of a repository beside the git command, one line per figure.
//!
//! `cargo bench -p refgate-core --bench writes [-- SERVICES GROUPS]`: that many groups (3) of that many
//! services (1,000) each, flushed writes, on the file system of the target folder. The peer makes the
//! same one-file change in a clone, flushed too (`core.fsync=all`): `git commit`, `git cherry-pick`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use refgate_core::change::{Change, Operation, Precondition, Sync, SyncSource};
use refgate_core::event::Actor;
use refgate_core::merge::OnConflict;
use refgate_core::name::{GroupName, ServiceName};
use refgate_core::repository::Repository;
use serde_json::{Value, json};

/// Writes of one kind that are timed one by one.
const TIMES: usize = 100;

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|text| text.parse().ok()).collect();
    let services = numbers.first().copied().unwrap_or(1000).max(TIMES);
    let groups = groups(numbers.get(1).copied().unwrap_or(3).max(2));
    let folder = tempfile::Builder::new()
        .prefix("refgate-bench-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .expect("a folder");
    let path = folder.path().join("config.git");
    let clock: refgate_core::repository::Clock = Arc::new(jiff::Timestamp::now);
    let repository = Repository::open_or_create(&path, clock).expect("made");
    fill(&repository, &groups, services);

    let mut alone: Vec<Duration> =
        (0..2 * TIMES).map(|n| timed(|| put(&repository, n % services, n))).collect();
    let alone = report("write alone", &mut alone);
    writers(&repository, services);
    let sync = syncs(&repository, &groups[1..]);

    let mut validations: Vec<Duration> = (0..TIMES)
        .map(|n| {
            let patch = json!({"priority": 7000 + n});
            let route = "get".parse().expect("a name");
            let operation = Operation::PatchRoute { service: service(n), route, patch };
            let change = change(&groups[0], operation);
            timed(|| {
                repository.plan(&change).expect("planned");
            })
        })
        .collect();
    report("validation of one change (dry run)", &mut validations);
    let mut whole: Vec<Duration> = (0..5)
        .map(|n| {
            let files = [route_of(n, 7)].into();
            timed(|| {
                repository.validate(Some(&groups[0]), &files).expect("validated");
            })
        })
        .collect();
    report("validation of a whole group", &mut whole);

    let mut reads: Vec<Duration> = (0..2 * TIMES)
        .map(|n| {
            timed(|| {
                repository.service(&groups[0], &service(n % services)).expect("read");
            })
        })
        .collect();
    report("read of one service", &mut reads);

    let clone = Clone::of(&path, folder.path());
    let mut commits = Vec::new();
    let mut made = Vec::new();
    for n in 0..TIMES / 4 {
        commits.push(clone.commit(n));
        made.push(clone.git(&["rev-parse", "HEAD"]));
    }
    let commit = report("git add, git commit", &mut commits);
    clone.git(&["checkout", "--quiet", "target"]);
    let mut picks: Vec<Duration> = made
        .iter()
        .map(|commit| timed(|| drop(clone.git(&["cherry-pick", "-x", commit.trim()]))))
        .collect();
    let pick = report("git cherry-pick", &mut picks);
    println!("write alone / git commit: {:.2}", ratio(alone, commit));
    println!("sync / git cherry-pick: {:.2}", ratio(sync, pick));
}

/// The template's groups, then more.
fn groups(number: usize) -> Vec<GroupName> {
    let template = ["test", "uat", "production"].map(str::to_owned);
    let more = (4..=number).map(|n| format!("group-{n}"));
    let names = template.into_iter().chain(more).take(number);
    names.map(|name| name.parse().expect("a name")).collect()
}

fn fill(repository: &Repository, groups: &[GroupName], services: usize) {
    let started = Instant::now();
    let files: Vec<(String, Value)> = (0..services).flat_map(files_of).collect();
    for group in groups {
        if repository.group(group).is_err() {
            apply(repository, group, Operation::CreateGroup { document: json!({}) });
        }
        for batch in files.chunks(3000) {
            let files = batch.iter().cloned().collect();
            apply(repository, group, Operation::Commit { files, message: None });
        }
    }
    let (groups, time) = (groups.len(), started.elapsed().as_secs_f64());
    println!("fill {groups} groups with {services} services each: {time:.1} s");
    // Every group runs this version then, so that what is synced later needs no merge.
    for n in 0..TIMES {
        let version = "1.0.0".to_owned();
        let tag = Operation::TagVersion { service: service(n), version, message: None };
        apply(repository, &"uat".parse().expect("a name"), tag);
    }
}

fn writers(repository: &Repository, services: usize) {
    let (writers, each) = (32, 25);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for writer in 0..writers {
            scope.spawn(move || {
                for n in 0..each {
                    put(repository, (writer * each + n) % services, 1000 + n);
                }
            });
        }
    });
    let rate = (writers * each) as f64 / started.elapsed().as_secs_f64();
    println!("{writers} writers: {rate:.0} writes/s");
}

fn syncs(repository: &Repository, targets: &[GroupName]) -> Duration {
    let rules = json!({"promotion": null});
    for target in targets {
        apply(repository, target, Operation::PatchGroup { patch: rules.clone() });
    }
    let mut times: Vec<Duration> = (0..TIMES)
        .map(|n| {
            let source = SyncSource::Group {
                group: "test".parse().expect("a name"),
                version: Some("1.1.0".to_owned()),
            };
            let services = vec![(service(n), source)];
            let sync = Sync { services, runtime: None, on_conflict: OnConflict::Abort };
            let target = &targets[n % targets.len()];
            timed(|| apply(repository, target, Operation::Sync(sync)))
        })
        .collect();
    report("sync of one service", &mut times)
}

/// A clone to work in by hand.
struct Clone {
    folder: PathBuf,
}

impl Clone {
    fn of(repository: &Path, parent: &Path) -> Self {
        let this = Self { folder: parent.join("clone") };
        let from = repository.to_str().expect("a plain path");
        let to = this.folder.to_str().expect("a plain path");
        run(parent, &["clone", "--quiet", "--branch", "test", from, to]);
        for (key, value) in [
            ("core.fsync", "all"),
            ("user.name", "bench"),
            ("user.email", "bench@example.com"),
            ("gc.auto", "0"),
        ] {
            this.git(&["config", key, value]);
        }
        this.git(&["branch", "target"]);
        this
    }

    fn git(&self, arguments: &[&str]) -> String {
        run(&self.folder, arguments)
    }

    fn commit(&self, n: usize) -> Duration {
        let (file, document) = route_of(n, 9);
        std::fs::write(self.folder.join(&file), format!("{document:#}\n")).expect("written");
        timed(|| {
            self.git(&["add", &file]);
            self.git(&["commit", "--quiet", "--message", "change a route"]);
        })
    }
}

fn run(folder: &Path, arguments: &[&str]) -> String {
    let output =
        Command::new("git").current_dir(folder).args(arguments).output().expect("git runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn service(n: usize) -> ServiceName {
    format!("service-{n:05}").parse().expect("a name")
}

fn route_of(n: usize, priority: usize) -> (String, Value) {
    let name = service(n);
    let document = json!({"paths": [format!("/{name}/*")], "priority": priority});
    (format!("services/{name}/routes/get.json"), document)
}

fn files_of(n: usize) -> [(String, Value); 3] {
    let name = format!("service-{n:05}");
    [
        (format!("services/{name}/service.json"), json!({})),
        (format!("services/{name}/routes/get.json"), json!({"paths": [format!("/{name}/*")]})),
        (
            format!("runtime/{name}.json"),
            json!({"hosts": [format!("{name}.acme.com")], "upstreams": {"default": {
                "nodes": [{"host": "127.0.0.1", "port": 8000}]}}}),
        ),
    ]
}

fn put(repository: &Repository, n: usize, priority: usize) {
    let operation = Operation::PatchRoute {
        service: service(n),
        route: "get".parse().expect("a name"),
        patch: json!({"priority": priority + 1}),
    };
    apply(repository, &"test".parse().expect("a name"), operation);
}

fn apply(repository: &Repository, group: &GroupName, operation: Operation) {
    repository.apply(change(group, operation)).expect("applied");
}

fn change(group: &GroupName, operation: Operation) -> Change {
    Change {
        group: group.clone(),
        operation,
        actor: Actor::named("bench"),
        request_id: "bench".to_owned(),
        reason: None,
        precondition: Precondition::default(),
    }
}

fn timed(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

/// Prints median and 99th percentile; gives the median.
fn report(what: &str, times: &mut [Duration]) -> Duration {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let shown = |time: Duration| time.as_secs_f64() * 1e3;
    let (half, most) = (shown(at(0.5)), shown(at(0.99)));
    println!("{what}: p50 {half:.1} ms, p99 {most:.1} ms ({} times)", times.len());
    at(0.5)
}

fn ratio(own: Duration, peer: Duration) -> f64 {
    own.as_secs_f64() / peer.as_secs_f64()
}
