//! What a change leaves as it was, and what it does not.

use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderMap, Method};
use refgate_core::change::{Change, Operation, Precondition};
use refgate_core::event::Actor;
use refgate_core::name::GroupName;
use refgate_core::repository::Repository;
use serde_json::{Value, json};

use super::*;
use crate::router::Routed;
use crate::router::method::RequestMethod;
use crate::router::predicate::Request;

/// A repository and what a gateway of its group `test` has made of it.
struct World {
    repository: Repository,
    group: GroupName,
    snapshot: Snapshot,
    metrics: Metrics,
    checks: Registry,
    findings: Vec<Diagnostic>,
    _directory: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(jiff::Timestamp::now);
        let path = directory.path().join("config.git");
        Self {
            repository: Repository::open_or_create(&path, clock).unwrap(),
            group: "test".parse().unwrap(),
            snapshot: Snapshot::default(),
            metrics: Metrics::default(),
            checks: Registry::default(),
            findings: Vec::new(),
            _directory: directory,
        }
    }

    /// Writes files in one commit and compiles the group anew; `changed` as core would say it.
    fn commit(&mut self, files: Value, changed: Option<&[&str]>) {
        let files = files.as_object().unwrap().clone().into_iter().collect();
        let change = Change {
            group: self.group.clone(),
            operation: Operation::Commit { files, message: None },
            actor: Actor::named("test"),
            request_id: "r-1".to_owned(),
            reason: None,
            precondition: Precondition::default(),
        };
        self.repository.apply(change).unwrap();
        self.compile(changed);
    }

    fn compile(&mut self, changed: Option<&[&str]>) {
        let config = self.repository.config(&self.group).unwrap();
        let names = changed.map(|names| names.iter().map(|name| name.parse().unwrap()).collect());
        let (snapshot, names, resolver) = (&self.snapshot, names.as_ref(), &Arc::default());
        let outcome = compile(&config, snapshot, names, &self.metrics, &self.checks, resolver);
        self.snapshot = outcome.snapshot;
        self.findings = outcome.findings;
    }

    fn service(&self, name: &str) -> Arc<Compiled> {
        Arc::clone(self.snapshot.services.get(&name.parse::<ServiceName>().unwrap()).unwrap())
    }

    fn route(&self, service: &str, route: &str) -> Arc<Candidates> {
        let route: RouteName = route.parse().unwrap();
        Arc::clone(&self.service(service).service.routes[&route])
    }
}

fn taker(snapshot: &Snapshot, path: &str) -> Option<String> {
    let headers = HeaderMap::new();
    let method = RequestMethod::of(&Method::GET);
    let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let request = Request { host: "", path, query: None, method, headers: &headers, client };
    match snapshot.router.find(&request) {
        Routed::To(candidate) => Some(candidate.rule().name.to_string()),
        _ => None,
    }
}

fn runtime(weight: u32) -> Value {
    let node = json!({"host": "127.0.0.1", "port": 80, "weight": weight});
    json!({"upstreams": {"default": {"nodes": [node]}, "other": {"nodes": [node]}}})
}

fn two_services() -> Value {
    json!({
        "services/a/service.json": {},
        "services/a/routes/one.json": {"paths": ["/one"]},
        "services/a/routes/two.json": {"paths": ["/two"]},
        "services/a/routes/three.json": {"paths": ["/three"], "upstream": "other"},
        "runtime/a.json": runtime(100),
        "services/b/service.json": {},
        "services/b/routes/b.json": {"paths": ["/b"]},
        "runtime/b.json": runtime(100),
    })
}

#[test]
fn what_reads_the_same_is_shared() {
    for named in [false, true] {
        let changed = |names: &'static [&'static str]| named.then_some(names);
        let mut world = World::new();
        world.commit(two_services(), None);
        let (b, two) = (world.service("b"), world.route("a", "two"));
        assert_eq!(taker(&world.snapshot, "/one").as_deref(), Some("one"));

        let files = json!({"services/a/routes/one.json": {"paths": ["/uno"]}});
        let before = std::mem::take(&mut world.snapshot);
        world.snapshot = Snapshot {
            router: before.router.clone(),
            services: before.services.clone(),
            ..Snapshot::default()
        };
        world.commit(files, changed(&["a"]));
        assert!(Arc::ptr_eq(&world.service("b"), &b));
        assert!(Arc::ptr_eq(&world.route("a", "two"), &two));
        assert_eq!(taker(&world.snapshot, "/one"), None);
        assert_eq!(taker(&world.snapshot, "/uno").as_deref(), Some("one"));
        assert_eq!(taker(&before, "/one").as_deref(), Some("one"), "snapshots never change");
        assert_eq!(world.snapshot.router.len(), 4);

        // An upstream is part of the routes that use it, and of no others.
        let three = world.route("a", "three");
        let mut weights = runtime(100);
        weights["upstreams"]["default"]["nodes"][0]["weight"] = json!(50);
        world.commit(json!({"runtime/a.json": weights}), changed(&["a"]));
        assert!(!Arc::ptr_eq(&world.route("a", "two"), &two));
        assert!(Arc::ptr_eq(&world.route("a", "three"), &three));

        // The names of parameters are part of a route, though not of what it matches.
        let pattern = |name: &str| json!({"services/a/routes/one.json": {"paths": [format!("/x/{{{name}}}")]}});
        world.commit(pattern("id"), changed(&["a"]));
        world.commit(pattern("name"), changed(&["a"]));
        assert_eq!(world.route("a", "one")[0].path.parameters(), ["name"]);

        let gone = json!({"services/b/service.json": null, "services/b/routes/b.json": null, "runtime/b.json": null});
        world.commit(gone, changed(&["b"]));
        assert_eq!(taker(&world.snapshot, "/b"), None);
        assert_eq!(world.snapshot.router.len(), 3);
    }
}

#[test]
fn what_did_not_compile_is_tried_again() {
    let mut world = World::new();
    world.commit(two_services(), None);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("value");
    let value = format!("$file://{}", file.display());
    let matches = json!({"headers": [{"name": "x-a", "value": value}]});
    let files = json!({"services/a/routes/one.json": {"paths": ["/uno"], "match": matches}});
    world.commit(files, Some(&["a"]));
    assert_eq!(world.findings.len(), 1, "{:?}", world.findings);
    assert_eq!(world.findings[0].pointer, "/match/headers/0/value");
    assert_eq!(taker(&world.snapshot, "/one").as_deref(), Some("one"), "the last good form");
    world.compile(Some(&[]));
    assert_eq!(world.findings.len(), 1, "{:?}", world.findings);
    std::fs::write(&file, "1").unwrap();
    world.compile(Some(&[]));
    assert_eq!(world.findings, []);
    assert_eq!(taker(&world.snapshot, "/one"), None);
}
