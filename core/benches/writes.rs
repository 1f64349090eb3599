//! Write latency and throughput of a repository, one line per figure.
//!
//! `cargo bench -p refgate-core --bench writes [-- SERVICES]`: groups of that many services (1,000),
//! flushed writes, on the file system of the target folder.

use std::sync::Arc;
use std::time::{Duration, Instant};

use refgate_core::change::{Change, Operation, Precondition, Sync, SyncSource};
use refgate_core::event::Actor;
use refgate_core::merge::OnConflict;
use refgate_core::repository::Repository;
use serde_json::{Value, json};

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|text| text.parse().ok()).collect();
    let services = numbers.first().copied().unwrap_or(1000);
    let folder = tempfile::Builder::new()
        .prefix("refgate-bench-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .expect("a folder");
    let clock: refgate_core::repository::Clock = Arc::new(jiff::Timestamp::now);
    let repository =
        Repository::open_or_create(&folder.path().join("config.git"), clock).expect("made");

    let started = Instant::now();
    let files: serde_json::Map<String, Value> = (0..services).flat_map(files_of).collect();
    for batch in files.into_iter().collect::<Vec<_>>().chunks(3000) {
        let files = batch.iter().cloned().collect();
        apply(&repository, "test", Operation::Commit { files, message: None });
    }
    println!("fill with {services} services: {:.1} s", started.elapsed().as_secs_f64());

    let mut alone: Vec<Duration> =
        (0..200).map(|n| timed(|| put(&repository, n % services, n))).collect();
    report("write alone", &mut alone);

    let started = Instant::now();
    let writers: usize = 32;
    let each = 25;
    std::thread::scope(|scope| {
        for writer in 0..writers {
            let repository = &repository;
            scope.spawn(move || {
                for n in 0..each {
                    put(repository, (writer * each + n) % services, 1000 + n);
                }
            });
        }
    });
    let rate = (writers * each) as f64 / started.elapsed().as_secs_f64();
    println!("{writers} writers: {rate:.0} writes/s");

    let mut syncs: Vec<Duration> = (0..100.min(services))
        .map(|n| {
            let service = format!("service-{n:05}").parse().expect("a name");
            let source = SyncSource::Group {
                group: "test".parse().expect("a name"),
                version: Some("1.0.0".to_owned()),
            };
            let services = vec![(service, source)];
            timed(|| {
                let sync = Sync { services, runtime: None, on_conflict: OnConflict::Abort };
                apply(&repository, "uat", Operation::Sync(sync));
            })
        })
        .collect();
    report("sync of one service", &mut syncs);

    let mut reads: Vec<Duration> = (0..200)
        .map(|n| {
            let service = format!("service-{:05}", n % services).parse().expect("a name");
            timed(|| {
                repository.service(&"test".parse().expect("a name"), &service).expect("read");
            })
        })
        .collect();
    report("read of one service", &mut reads);
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
        service: format!("service-{n:05}").parse().expect("a name"),
        route: "get".parse().expect("a name"),
        patch: json!({"priority": priority + 1}),
    };
    apply(repository, "test", operation);
}

fn apply(repository: &Repository, group: &str, operation: Operation) {
    let change = Change {
        group: group.parse().expect("a name"),
        operation,
        actor: Actor::named("bench"),
        request_id: "bench".to_owned(),
        reason: None,
        precondition: Precondition::default(),
    };
    repository.apply(change).expect("applied");
}

fn timed(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

fn report(what: &str, times: &mut [Duration]) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!("{what}: p50 {:.1} ms, p99 {:.1} ms ({} times)", at(0.5), at(0.99), times.len());
}
