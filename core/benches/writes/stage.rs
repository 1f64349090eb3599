//! What is measured on: a repository with groups full of services, and changes of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use refgate_core::change::{Change, Operation, Precondition};
use refgate_core::event::Actor;
use refgate_core::name::{GroupName, ServiceName};
use refgate_core::repository::Repository;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A repository of its own below the target folder, kept by itself as in production, removed with
/// this value.
pub(crate) struct Stage {
    pub(crate) repository: Repository,
    pub(crate) path: PathBuf,
    folder: TempDir,
}

impl Stage {
    pub(crate) fn new(groups: &[GroupName], services: usize) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("refgate-bench-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .expect("a folder");
        let path = folder.path().join("config.git");
        let clock: refgate_core::repository::Clock = Arc::new(jiff::Timestamp::now);
        let repository = Repository::open_or_create(&path, clock).expect("made");
        fill(&repository, groups, services);
        Self { repository, path, folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// The template's groups, then more.
pub(crate) fn groups(number: usize) -> Vec<GroupName> {
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
}

pub(crate) fn service(n: usize) -> ServiceName {
    format!("service-{n:05}").parse().expect("a name")
}

pub(crate) fn route_of(n: usize, priority: usize) -> (String, Value) {
    let name = service(n);
    let document = json!({"paths": [format!("/{name}/*")], "priority": priority});
    (format!("services/{name}/routes/get.json"), document)
}

pub(crate) fn files_of(n: usize) -> [(String, Value); 3] {
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

pub(crate) fn put(repository: &Repository, n: usize, priority: usize) {
    let operation = Operation::PatchRoute {
        service: service(n),
        route: "get".parse().expect("a name"),
        patch: json!({"priority": priority + 1}),
    };
    apply(repository, &"test".parse().expect("a name"), operation);
}

pub(crate) fn apply(repository: &Repository, group: &GroupName, operation: Operation) {
    repository.apply(change(group, operation)).expect("applied");
}

pub(crate) fn change(group: &GroupName, operation: Operation) -> Change {
    Change {
        group: group.clone(),
        operation,
        actor: Actor::named("bench"),
        request_id: "bench".to_owned(),
        reason: None,
        precondition: Precondition::default(),
    }
}

pub(crate) fn timed(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

/// Prints median and 99th percentile; gives the median.
pub(crate) fn report(what: &str, times: &mut [Duration]) -> Duration {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let shown = |time: Duration| time.as_secs_f64() * 1e3;
    let (half, most) = (shown(at(0.5)), shown(at(0.99)));
    println!("{what}: p50 {half:.1} ms, p99 {most:.1} ms ({} times)", times.len());
    at(0.5)
}

pub(crate) fn ratio(own: Duration, peer: Duration) -> f64 {
    own.as_secs_f64() / peer.as_secs_f64()
}
