//! Random sequences against model and repository: after every step both say the same.
//!
//! The first test goes the same way each time and counts what it meets; the second goes another way
//! each time. `REFGATE_MODEL_CASES=5000 cargo test -p refgate-core --test it model` looks longer.
//! Sequences that failed once are kept in `proptest-regressions/` and tried first.

mod operation;
mod push;

use std::cell::RefCell;
use std::collections::BTreeMap;

use git2::Oid;
use operation::operation;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, RngAlgorithm, TestRng, TestRunner};
use push::pushed;
use serde_json::{Value, json};

use super::coverage::Coverage;
use super::episodes::episode;
use super::steps::{SERVICES, beginning, named};
use super::text::{self, GROUPS};
use super::{Done, Edit, Model, RuntimeDocument, Step, live};
use crate::support::{Fixture, change, name};

const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/proptest-regressions/model.txt");

/// The same sequences each time, which meet every kind of conflict and refusal.
#[test]
fn repository_and_model_agree_on_everything_there_is() {
    let config = ProptestConfig {
        cases: 40,
        max_shrink_iters: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    agree(TestRunner::new_with_rng(config, random)).require(2);
}

/// Other sequences each time.
#[test]
fn repository_and_model_agree() {
    let cases = std::env::var("REFGATE_MODEL_CASES").ok().and_then(|text| text.parse().ok());
    agree(TestRunner::new(ProptestConfig {
        cases: cases.unwrap_or(8),
        max_shrink_iters: 2000,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(KEPT))),
        ..ProptestConfig::default()
    }));
}

/// Runs sequences; what they met.
fn agree(mut runner: TestRunner) -> Coverage {
    let met = RefCell::new(Coverage::default());
    let outcome = runner.run(&vec(episode(), 1..24), |episodes| {
        let mut pair = Pair { model: Model::new(), system: Fixture::in_memory() };
        for steps in [beginning()].iter().chain(&episodes) {
            for step in steps {
                let failed = |reason| TestCaseError::fail(format!("{step:?}: {reason}"));
                pair.step(step).map_err(failed)?;
            }
            pair.compare_all().map_err(TestCaseError::fail)?;
        }
        met.borrow_mut().add(&pair.model.met);
        Ok(())
    });
    let failed = outcome.as_ref().err().map(ToString::to_string).unwrap_or_default();
    assert!(outcome.is_ok(), "{failed}");
    met.into_inner()
}

struct Pair {
    model: Model,
    system: Fixture,
}

impl Pair {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        let step = named(&self.model, step);
        let Step::SyncEach(targets, items, on_conflict) = step else { return self.one(&step) };
        // What a list of targets is: the same for each, and each with its own outcome.
        let mut done = 0;
        for target in &targets {
            let before = self.model.groups[*target].len();
            self.one(&Step::Sync(*target, items.clone(), None, on_conflict))?;
            done += usize::from(self.model.groups[*target].len() > before);
        }
        if (1..targets.len()).contains(&done) {
            self.model.met.count("sync to several: some done, some refused");
        }
        Ok(())
    }

    fn one(&mut self, step: &Step) -> Result<(), String> {
        let brings = matches!(step, Step::Sync(..) | Step::RollbackService(..));
        let files = if brings { self.runtimes() } else { BTreeMap::new() };
        let planned = self.plan(step);
        let before = self.model.head(step.group()).meaning();
        let expected = self.model.apply(step);
        let done = match step {
            Step::Push(group, edits) => Ok(self.push(*group, edits)),
            _ => self.ask(step),
        };
        let told = done.as_ref().err().map(told).unwrap_or_default();
        let done = done.map_err(|error| error.code());
        same("outcome", &expected, &done)?;
        if expected == Err("promotion_conflict") {
            let clashes = self.model.clashes.iter().map(|clash| clash.told.clone());
            same("conflicts", &by_place(clashes), &by_place(told))?;
        }
        if let Some((group, planned)) = planned {
            // A dry run says what comes of it: the same refusal, or a difference exactly where one is.
            // How a file is written is no difference.
            let differs = before != self.model.head(group).meaning();
            let expected = expected.as_ref().map(|_| differs).map_err(|code| *code);
            same("plan", &expected, &planned)?;
        }
        if brings {
            // A runtime that was there is there to the byte.
            let after = self.runtimes();
            let kept = files.iter().filter(|((group, _), _)| group == GROUPS[step.group()]);
            for (place, id) in kept {
                same(&format!("runtime of {place:?}"), &Some(id), &after.get(place))?;
            }
        }
        self.compare(step.group())
    }

    /// Also what a step should have left alone.
    fn compare_all(&self) -> Result<(), String> {
        (0..GROUPS.len()).try_for_each(|group| self.compare(group))?;
        self.compare_versions()
    }

    /// Of a sync or rollback: whether the plan has changes, or the code of its refusal.
    fn plan(&self, step: &Step) -> Option<(usize, Result<bool, &'static str>)> {
        if !matches!(step, Step::Sync(..) | Step::RollbackService(..) | Step::RollbackGroup(..)) {
            return None;
        }
        let (group, operation) = operation(step);
        let plan = self.system.repository.plan(&change(GROUPS[group], operation));
        Some((group, plan.map(|plan| !plan.changes.is_empty()).map_err(|error| error.code())))
    }

    fn ask(&self, step: &Step) -> Result<Done, refgate_core::Error> {
        let (group, operation) = operation(step);
        let is_tag = matches!(step, Step::Tag(..));
        let written = self.system.apply(GROUPS[group], operation)?;
        let services = written.services.iter().filter(|_| !is_tag).map(|service| {
            let number = |text: &str, at: usize| {
                text[at..]
                    .split('.')
                    .next()
                    .and_then(|digits| digits.parse().ok())
                    .expect("a number")
            };
            let outcome = serde_json::to_value(service.outcome).expect("serialises");
            let word = ["promoted", "rolled_back", "already_current"]
                .into_iter()
                .find(|word| outcome == *word)
                .expect("an outcome that there is");
            let version = service.version.to_string();
            (number(service.service.as_str(), 1), number(&version, 2), word)
        });
        Ok(Done {
            changed: written.changed,
            revision: usize::try_from(written.revision.0).expect("a small number"),
            services: services.collect(),
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
        Done { changed: true, revision: states.len(), services: vec![] }
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
        same("rules", &text::promotion_json(&head.group), &view.document["promotion"])?;
        same("variables", &text::variables_json(&head.group), &view.document["variables"])?;
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

/// Conflicts by service, file and pointer.
fn by_place(conflicts: impl IntoIterator<Item = Value>) -> BTreeMap<[String; 3], Value> {
    let place =
        |conflict: &Value| ["service", "file", "pointer"].map(|key| conflict[key].to_string());
    conflicts.into_iter().map(|conflict| (place(&conflict), conflict)).collect()
}

/// The conflicts that a refusal tells.
fn told(error: &refgate_core::Error) -> Vec<Value> {
    let conflicts = error.conflicts().iter();
    conflicts.map(|conflict| serde_json::to_value(conflict).expect("serialises")).collect()
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
