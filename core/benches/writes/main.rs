//! Latency and throughput of writes beside the git command, one line per figure.
//!
//! `cargo bench -p refgate-core --bench writes [-- SERVICES GROUPS]`: that many groups (3) of that many
//! services (1,000) each, flushed writes, on the file system of the target folder. The peer makes the
//! same one-file change in a clone, flushed too (`core.fsync=all`): `git commit`, `git cherry-pick`.
//!
//! `-- endurance [WRITES SERVICES]`: whether the last thousand of so many writes (50,000) in a row are as
//! quick as the first, see `endurance.rs`. `-- validation [SERVICES MORE]`: what one changed file costs
//! in a small group (1,000) and in a large one (10,000), see `validation.rs`.

mod endurance;
mod peer;
mod stage;
mod validation;

use std::time::{Duration, Instant};

use peer::Clone;
use refgate_core::change::{Operation, Sync, SyncSource};
use refgate_core::merge::OnConflict;
use refgate_core::name::GroupName;
use refgate_core::repository::Repository;
use serde_json::json;
use stage::{Stage, apply, groups, put, ratio, report, route_of, service, timed};

/// Writes of one kind that are timed one by one.
const TIMES: usize = 100;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let has = |mode: &str| words.iter().any(|word| word == mode);
    if has("endurance") {
        endurance::run(&numbers);
    } else if has("validation") {
        validation::run(&numbers);
    } else {
        overview(&numbers);
    }
}

fn overview(numbers: &[usize]) {
    let services = numbers.first().copied().unwrap_or(1000).max(TIMES);
    let groups = groups(numbers.get(1).copied().unwrap_or(3).max(2));
    let stage = Stage::new(&groups, services);
    let repository = &stage.repository;
    // Every group runs this version then, so that what is synced later needs no merge.
    for n in 0..TIMES {
        let version = "1.0.0".to_owned();
        let tag = Operation::TagVersion { service: service(n), version, message: None };
        apply(repository, &"uat".parse().expect("a name"), tag);
    }

    let mut alone: Vec<Duration> =
        (0..2 * TIMES).map(|n| timed(|| put(repository, n % services, n))).collect();
    let alone = report("write alone", &mut alone);
    writers(repository, services);
    let sync = syncs(repository, &groups[1..]);

    validation::one_change(repository, &groups[0], services);
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

    let clone = Clone::of(&stage.path, stage.folder());
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
            let sync = Sync {
                services,
                runtime: None,
                on_conflict: OnConflict::Abort,
                settled: Default::default(),
            };
            let target = &targets[n % targets.len()];
            timed(|| apply(repository, target, Operation::Sync(sync)))
        })
        .collect();
    report("sync of one service", &mut times)
}
