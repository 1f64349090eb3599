//! Random sequences against model and repository: after every step both say the same.
//!
//! `REFGATE_MODEL_CASES=5000 cargo test -p refgate-core --test it model` looks longer. Sequences that
//! failed once are kept in `proptest-regressions/` and tried first.

use std::collections::BTreeMap;

use git2::build::TreeUpdateBuilder;
use git2::{FileMode, Oid};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, TestRunner};
use refgate_core::change::{Operation, RollbackTarget, Sync, SyncSource};
use refgate_core::name::Revision;
use serde_json::{Value, json};

use super::steps::{SERVICES, beginning, named, step};
use super::text::{self, GROUPS};
use super::{Done, Edit, Model, RoutePatch, RuntimeDocument, Source, Step, live};
use crate::support::{Fixture, name};

#[test]
fn repository_and_model_agree() {
    let cases = std::env::var("REFGATE_MODEL_CASES").ok().and_then(|text| text.parse().ok());
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/proptest-regressions/model.txt");
    let mut runner = TestRunner::new(ProptestConfig {
        cases: cases.unwrap_or(32),
        max_shrink_iters: 2000,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(kept))),
        ..ProptestConfig::default()
    });
    let outcome = runner.run(&vec(step(), 1..50), |steps| {
        let mut pair = Pair { model: Model::new(), system: Fixture::in_memory() };
        for (at, step) in beginning().iter().chain(&steps).enumerate() {
            pair.step(step)
                .map_err(|reason| TestCaseError::fail(format!("step {at}, {step:?}: {reason}")))?;
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

struct Pair {
    model: Model,
    system: Fixture,
}

impl Pair {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        let step = &named(&self.model, step);
        let files = self.runtimes();
        let expected = self.model.apply(step);
        let done = match step {
            Step::Push(group, edits) => Ok(self.push(*group, edits)),
            _ => self.ask(step),
        };
        same("outcome", &expected, &done.map_err(|error| error.code()))?;
        if let Step::Sync(target, ..) | Step::RollbackService(target, ..) = step {
            // A runtime that was there is there to the byte.
            let after = self.runtimes();
            let kept = files.iter().filter(|((group, _), _)| group == GROUPS[*target]);
            for (place, id) in kept {
                same(&format!("runtime of {place:?}"), &Some(id), &after.get(place))?;
            }
        }
        for group in 0..GROUPS.len() {
            self.compare(group)?;
        }
        self.compare_versions()
    }

    fn ask(&self, step: &Step) -> Result<Done, refgate_core::Error> {
        let (group, operation) = operation(step);
        let written = self.system.apply(GROUPS[group], operation)?;
        Ok(Done {
            changed: written.changed,
            revision: usize::try_from(written.revision.0).expect("a small number"),
        })
    }

    /// Commits as a push makes them: by another handle, straight onto the branch.
    fn push(&self, group: usize, edits: &[Edit]) -> Done {
        let states = &self.model.groups[group];
        let git = git2::Repository::open_bare(self.system.path()).expect("opens");
        let branch = format!("refs/heads/{}", GROUPS[group]);
        for (edit, tree) in edits.iter().zip(&states[states.len() - edits.len()..]) {
            let head =
                git.find_reference(&branch).and_then(|head| head.peel_to_commit()).expect("a head");
            let old = head.tree().expect("a tree");
            let new = pushed(&git, &old, edit, tree);
            let new = git.find_tree(new).expect("the tree");
            let who = git2::Signature::now("bo", "bo@acme.com").expect("a signature");
            git.commit(Some(&branch), &who, &who, "by hand\n", &new, &[&head]).expect("a commit");
        }
        Done { changed: true, revision: states.len() }
    }

    /// The files of all runtimes, by group and name.
    fn runtimes(&self) -> BTreeMap<(String, String), Oid> {
        let git = git2::Repository::open_bare(self.system.path()).expect("opens");
        let mut found = BTreeMap::new();
        for group in GROUPS {
            let head = git.find_reference(&format!("refs/heads/{group}"));
            let tree = head.and_then(|head| head.peel_to_tree()).expect("a head");
            let Ok(folder) = tree.get_path("runtime".as_ref()) else { continue };
            for entry in &git.find_tree(folder.id()).expect("a folder") {
                let name = String::from_utf8_lossy(entry.name_bytes()).into_owned();
                found.insert((group.to_owned(), name), entry.id());
            }
        }
        found
    }

    fn compare(&self, group: usize) -> Result<(), String> {
        let head = self.model.head(group);
        let view = self.system.repository.group(&name(GROUPS[group])).map_err(|e| e.to_string())?;
        let revision = u64::try_from(self.model.groups[group].len()).expect("small");
        same("revision", &revision, &view.revision.0)?;
        same("rules", &text::group_json(&head.group), &view.document["promotion"])?;
        let services = self.system.repository.services(&name(GROUPS[group]));
        let found: BTreeMap<String, Value> = services
            .map_err(|error| error.to_string())?
            .into_iter()
            .map(|view| (view.name.to_string(), serde_json::to_value(view).expect("serialises")))
            .map(|(name, view)| (name, compared(&view)))
            .collect();
        let expected: BTreeMap<String, Value> = head
            .services
            .keys()
            .map(|name| (text::service(*name), self.expected(group, *name)))
            .collect();
        same(&format!("services of {}", GROUPS[group]), &expected, &found)
    }

    /// What a service's view should say.
    fn expected(&self, group: usize, service: u8) -> Value {
        let head = self.model.head(group);
        let content = &head.services[&service];
        let state = self.model.state(group, service);
        let runtime = head.runtimes.get(&service).map(|file| file.document.clone());
        let fresh = || RuntimeDocument { enabled: true, ..RuntimeDocument::default() };
        let mut view = text::service_json(&content.service.document);
        view["version"] = json!(state.version.map(text::version));
        view["based_on"] = json!(state.based_on.map(text::version));
        view["modified"] = json!(state.modified);
        view["live_reason"] = json!(live(group, head, service));
        view["routes"] = text::routes_json(service, content);
        view["runtime"] = text::runtime_json(&runtime.unwrap_or_else(fresh));
        compared(&view)
    }

    fn compare_versions(&self) -> Result<(), String> {
        for service in SERVICES {
            let known = self.model.versions.get(&service).cloned().unwrap_or_default();
            let expected: BTreeMap<String, Vec<String>> = known
                .iter()
                .map(|(number, content)| {
                    let runs = |group: &usize| {
                        self.model.head(*group).services.get(&service) == Some(content)
                    };
                    let mut groups: Vec<String> = (0..GROUPS.len())
                        .filter(runs)
                        .map(|group| GROUPS[group].to_owned())
                        .collect();
                    groups.sort();
                    (text::version(*number), groups)
                })
                .collect();
            let found = self.system.repository.versions(&name(&text::service(service)));
            let found = match found {
                Ok(found) => found,
                Err(error) if error.code() == "not_found" => vec![],
                Err(error) => return Err(error.to_string()),
            };
            let found = found.into_iter().map(|view| {
                let mut groups: Vec<String> = view.groups.iter().map(ToString::to_string).collect();
                groups.sort();
                (view.version.to_string(), groups)
            });
            same(&format!("versions of s{service}"), &expected, &found.collect())?;
        }
        Ok(())
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, model: &T, system: &T) -> Result<(), String> {
    if model == system {
        return Ok(());
    }
    Err(format!("{what}\n  the model says  {model:?}\n  the system says {system:?}"))
}

/// The part of a service's view that the model knows of.
fn compared(view: &Value) -> Value {
    let keys = [
        "version",
        "based_on",
        "modified",
        "live_reason",
        "type",
        "description",
        "labels",
        "plugins",
        "routes",
        "runtime",
    ];
    keys.iter().map(|key| ((*key).to_owned(), view[*key].clone())).collect()
}

/// The tree after an edit, which the model made already: what it has at the edit's places is written.
fn pushed(git: &git2::Repository, old: &git2::Tree<'_>, edit: &Edit, tree: &super::Tree) -> Oid {
    let mut update = TreeUpdateBuilder::new();
    let mut put = |path: String, json: Option<Value>, as_pushed: bool| match json {
        Some(json) => {
            // Odd on purpose: one line, all defaults written.
            assert!(as_pushed);
            let id = git.blob(json.to_string().as_bytes()).expect("a blob");
            update.upsert(path, id, FileMode::Blob);
        }
        None if old.get_path(path.as_ref()).is_ok() => {
            update.remove(path);
        }
        None => {}
    };
    match edit {
        Edit::Service(service, document) => {
            put(
                format!("services/s{service}/service.json"),
                Some(text::service_json(document)),
                true,
            );
        }
        Edit::Route(service, route, document) => {
            if tree.services.contains_key(service) {
                let json = text::route_json(*service, *route, document);
                put(format!("services/s{service}/routes/r{route}.json"), Some(json), true);
            }
        }
        Edit::Runtime(service, document) => {
            put(format!("runtime/s{service}.json"), Some(text::runtime_json(document)), true);
        }
        Edit::RemoveRuntime(service) => put(format!("runtime/s{service}.json"), None, true),
        Edit::RemoveContent(service) => put(format!("services/s{service}"), None, true),
        Edit::Copy(service, from) => {
            let head = git.find_reference(&format!("refs/heads/{}", GROUPS[*from]));
            let source = head.and_then(|head| head.peel_to_tree()).expect("a head");
            if let Ok(entry) = source.get_path(format!("services/s{service}").as_ref()) {
                let path = format!("services/s{service}");
                return with_folder(git, old, &path, entry.id());
            }
        }
    }
    update.create_updated(git, old).expect("a tree")
}

/// The tree with a whole folder put at `services/<name>`.
fn with_folder(git: &git2::Repository, old: &git2::Tree<'_>, path: &str, folder: Oid) -> Oid {
    let (parent, name) = path.split_once('/').expect("two parts");
    let services =
        old.get_path(parent.as_ref()).ok().and_then(|entry| git.find_tree(entry.id()).ok());
    let mut inner = git.treebuilder(services.as_ref()).expect("a builder");
    inner.insert(name, folder, FileMode::Tree.into()).expect("inserted");
    let mut outer = git.treebuilder(Some(old)).expect("a builder");
    outer.insert(parent, inner.write().expect("written"), FileMode::Tree.into()).expect("inserted");
    outer.write().expect("written")
}

fn operation(step: &Step) -> (usize, Operation) {
    let service = |service: &u8| name(&text::service(*service));
    match step {
        Step::PutService(group, s, content, runtime) => {
            let mut document = text::service_json(&content.service.document);
            document["routes"] = text::routes_json(*s, content);
            if let Some(runtime) = runtime {
                document["runtime"] = text::runtime_json(runtime);
            }
            (*group, Operation::PutService { service: service(s), document })
        }
        Step::PatchService(group, s, description, route) => {
            let mut patch = json!({"description": text::description(*description)});
            if let Some((route, priority)) = route {
                let value = priority.map_or(Value::Null, |priority| json!({"priority": priority}));
                patch["routes"] = json!({text::route(*route): value});
            }
            (*group, Operation::PatchService { service: service(s), patch })
        }
        Step::DeleteService(group, s) => (*group, Operation::DeleteService { service: service(s) }),
        Step::PutRoute(group, s, route, document) => {
            let document = text::route_json(*s, *route, document);
            let route = name(&text::route(*route));
            (*group, Operation::PutRoute { service: service(s), route, document })
        }
        Step::PatchRoute(group, s, route, patch) => {
            let patch = match patch {
                RoutePatch::Paths(paths) => json!({"paths": text::paths(*s, *route, paths)}),
                RoutePatch::Methods(methods) => json!({"methods": text::methods(methods)}),
                RoutePatch::Priority(priority) => json!({"priority": priority}),
                RoutePatch::Headers(headers) => {
                    json!({"match": {"headers": text::headers(headers)}})
                }
                RoutePatch::Enabled(enabled) => json!({"enabled": enabled}),
            };
            let route = name(&text::route(*route));
            (*group, Operation::PatchRoute { service: service(s), route, patch })
        }
        Step::DeleteRoute(group, s, route) => {
            let route = name(&text::route(*route));
            (*group, Operation::DeleteRoute { service: service(s), route })
        }
        Step::PutRuntime(group, s, runtime) => {
            let document = text::runtime_json(runtime);
            (*group, Operation::PutRuntime { service: service(s), document })
        }
        Step::PatchRuntime(group, s, enabled, hosts) => {
            let patch = json!({"enabled": enabled, "hosts": text::hosts(hosts)});
            (*group, Operation::PatchRuntime { service: service(s), patch })
        }
        Step::PatchGroup(group, from, runtime_only) => {
            let group_document =
                super::GroupDocument { from: from.clone(), runtime_only: *runtime_only };
            let patch = json!({"promotion": text::group_json(&group_document)});
            (*group, Operation::PatchGroup { patch })
        }
        Step::Tag(group, s, number) => {
            let version = text::version(*number);
            (*group, Operation::TagVersion { service: service(s), version, message: None })
        }
        Step::Sync(target, items, runtime, on_conflict) => {
            let source = |source: &Source| match source {
                Source::Version(number) => SyncSource::Version(text::version(*number)),
                Source::Group(group, number) => SyncSource::Group {
                    group: name(GROUPS[*group]),
                    version: number.map(text::version),
                },
            };
            let services = items.iter().map(|(s, from)| (service(s), source(from))).collect();
            let runtime = runtime.as_ref().map(text::runtime_json);
            (*target, Operation::Sync(Sync { services, runtime, on_conflict: *on_conflict }))
        }
        Step::RollbackService(group, s, number) => {
            let version = text::version(*number);
            (*group, Operation::RollbackService { service: service(s), version })
        }
        Step::RollbackGroup(group, revision) => {
            let to = RollbackTarget::Revision(Revision(*revision));
            (*group, Operation::RollbackGroup { to })
        }
        Step::Push(..) => unreachable!("not asked of the repository"),
    }
}
