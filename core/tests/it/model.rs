//! A reference model: groups, services, versions and runtimes as plain maps, and what each change
//! does to them, written without a look at how the product does it.
//!
//! Names are small numbers here; `model/text.rs` turns them into documents, `model/edit.rs` are changes by
//! hand, `model/sync.rs` the ways of versions, `model/merge.rs` the merge by meaning. `model/steps.rs` makes
//! random steps, `model/episodes.rs` short stories of them, and `model/run.rs` lets them run against model
//! and repository; `model/coverage.rs` counts what they met.

mod coverage;
mod edit;
mod episodes;
mod faults;
mod merge;
mod run;
mod steps;
mod sync;
mod text;

use std::collections::BTreeMap;

use coverage::Coverage;
use edit::edit_tree;
use faults::{faults, live};
use merge::Clash;
use refgate_core::merge::OnConflict;

/// test, uat, production.
type Group = usize;
type Service = u8;
type Route = u8;
type Number = u8;

/// A document with the way its file is written: canonical, or as somebody pushed it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct File<T> {
    document: T,
    as_pushed: bool,
}

impl<T> From<T> for File<T> {
    fn from(document: T) -> Self {
        Self { document, as_pushed: false }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct ServiceDocument {
    description: u8,
    labels: BTreeMap<u8, u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct RouteDocument {
    enabled: bool,
    paths: Vec<u8>,
    methods: Vec<u8>,
    priority: u8,
    labels: BTreeMap<u8, u8>,
    headers: Vec<(u8, u8)>,
    upstream: u8,
}

/// The value of a header that stands for the group's variable.
const VARIABLE: u8 = 3;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct RuntimeDocument {
    enabled: bool,
    hosts: Vec<u8>,
    upstreams: BTreeMap<u8, Upstream>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Upstream {
    nodes: u8,
    pass_node: bool,
}

/// What a version names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Content {
    service: File<ServiceDocument>,
    routes: BTreeMap<Route, File<RouteDocument>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct GroupDocument {
    from: Vec<Group>,
    runtime_only: bool,
    /// Whether the group has the variable.
    variable: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Tree {
    group: GroupDocument,
    services: BTreeMap<Service, Content>,
    runtimes: BTreeMap<Service, File<RuntimeDocument>>,
}

/// A change that is asked for.
#[derive(Debug, Clone)]
enum Step {
    PutService(Group, Service, Content, Option<RuntimeDocument>),
    /// A merge patch: the description and, of one route, the priority, or null.
    PatchService(Group, Service, u8, Option<(Route, Option<u8>)>),
    /// A merge patch of one label; `None` takes it away.
    PatchLabel(Group, Service, u8, Option<u8>),
    DeleteService(Group, Service),
    PutRoute(Group, Service, Route, RouteDocument),
    PatchRoute(Group, Service, Route, RoutePatch),
    DeleteRoute(Group, Service, Route),
    PutRuntime(Group, Service, RuntimeDocument),
    PatchRuntime(Group, Service, bool, Vec<u8>),
    PatchGroup(Group, GroupDocument),
    Tag(Group, Service, Number),
    Sync(Group, Vec<(Service, Source)>, Option<RuntimeDocument>, OnConflict),
    /// To several groups, each with its own outcome.
    SyncEach(Vec<Group>, Vec<(Service, Source)>, OnConflict),
    RollbackService(Group, Service, Number),
    /// To this revision.
    RollbackGroup(Group, u64),
    /// Commits that somebody pushes, one for each edit.
    Push(Group, Vec<Edit>),
}

#[derive(Debug, Clone, Copy)]
enum Source {
    Group(Group, Option<Number>),
    Version(Number),
}

#[derive(Debug, Clone)]
enum RoutePatch {
    Paths(Vec<u8>),
    Methods(Vec<u8>),
    Priority(u8),
    Headers(Vec<(u8, u8)>),
    Enabled(bool),
    Label(u8, Option<u8>),
}

/// An edit of files by somebody who knows nothing of Refgate.
#[derive(Debug, Clone)]
enum Edit {
    Service(Service, ServiceDocument),
    Route(Service, Route, RouteDocument),
    Runtime(Service, RuntimeDocument),
    RemoveContent(Service),
    RemoveRuntime(Service),
    /// The content as another group has it, as `git checkout` would bring it.
    Copy(Service, Group),
}

/// What a change that was done came to.
#[derive(Debug, PartialEq, Eq)]
struct Done {
    changed: bool,
    revision: usize,
    /// Of a sync or rollback: each service with its version and the word for what came of it.
    services: Vec<(Service, Number, &'static str)>,
}

/// The code of a refusal.
type Refusal = &'static str;

#[derive(Debug, Clone)]
struct Model {
    /// Every state of every group, oldest first.
    groups: [Vec<Tree>; 3],
    versions: BTreeMap<Service, BTreeMap<Number, Content>>,
    /// What the group that made a version owned about the service then.
    runtimes: BTreeMap<(Service, Number), RuntimeDocument>,
    /// What the last step changed on both sides differently.
    clashes: Vec<Clash>,
    met: Coverage,
}

/// What a service is in a group, by its number.
#[derive(Debug, PartialEq, Eq)]
struct State {
    version: Option<Number>,
    based_on: Option<Number>,
    modified: bool,
}

impl Tree {
    /// What it says, however its files are written.
    fn meaning(&self) -> Self {
        let mut tree = self.clone();
        for content in tree.services.values_mut() {
            content.service.as_pushed = false;
            content.routes.values_mut().for_each(|file| file.as_pushed = false);
        }
        tree.runtimes.values_mut().for_each(|file| file.as_pushed = false);
        tree
    }
}

impl Step {
    /// The group that it changes.
    fn group(&self) -> Group {
        match self {
            Self::PutService(group, ..)
            | Self::PatchService(group, ..)
            | Self::PatchLabel(group, ..)
            | Self::DeleteService(group, ..)
            | Self::PutRoute(group, ..)
            | Self::PatchRoute(group, ..)
            | Self::DeleteRoute(group, ..)
            | Self::PutRuntime(group, ..)
            | Self::PatchRuntime(group, ..)
            | Self::PatchGroup(group, ..)
            | Self::Tag(group, ..)
            | Self::Sync(group, ..)
            | Self::RollbackService(group, ..)
            | Self::RollbackGroup(group, ..)
            | Self::Push(group, ..) => *group,
            Self::SyncEach(..) => unreachable!("a step for each group"),
        }
    }
}

impl Model {
    /// The groups of the template.
    fn new() -> Self {
        let group = |from: &[Group]| {
            let group = GroupDocument { from: from.to_vec(), ..GroupDocument::default() };
            vec![Tree { group, ..Tree::default() }]
        };
        Self {
            groups: [group(&[]), group(&[]), group(&[1])],
            versions: BTreeMap::new(),
            runtimes: BTreeMap::new(),
            clashes: Vec::new(),
            met: Coverage::default(),
        }
    }

    fn head(&self, group: Group) -> &Tree {
        self.groups[group].last().expect("a group has a first state")
    }

    fn number_of(&self, service: Service, content: &Content) -> Option<Number> {
        let all = self.versions.get(&service)?;
        all.iter().find(|(_, known)| *known == content).map(|(number, _)| *number)
    }

    fn has_run(&self, group: Group, service: Service, content: &Content) -> bool {
        self.groups[group].iter().any(|tree| tree.services.get(&service) == Some(content))
    }

    /// The newest version in the group's history.
    fn based_on(&self, group: Group, service: Service) -> Option<Number> {
        let contents =
            self.groups[group].iter().rev().filter_map(|tree| tree.services.get(&service));
        contents.filter_map(|content| self.number_of(service, content)).next()
    }

    fn state(&self, group: Group, service: Service) -> State {
        let version = self.number_of(service, &self.head(group).services[&service]);
        let based_on = self.based_on(group, service);
        State { version, based_on, modified: version.is_none() && based_on.is_some() }
    }

    fn apply(&mut self, step: &Step) -> Result<Done, Refusal> {
        self.clashes.clear();
        let group = |group: &Group| self.head(*group).clone();
        let before = match step {
            Step::RollbackGroup(target, _) => Some(group(target)),
            _ => None,
        };
        let outcome = self.outcome(step);
        self.met.step(step, &outcome, &self.clashes);
        if let (Step::RollbackGroup(target, _), Some(before), Ok(_)) = (step, before, &outcome) {
            let now = self.groups[*target].last().expect("a state");
            self.met.group_rolled_back(&before, now);
        }
        outcome
    }

    fn outcome(&mut self, step: &Step) -> Result<Done, Refusal> {
        match step {
            Step::Tag(group, service, number) => self.tag(*group, *service, *number),
            Step::Sync(target, items, runtime, on_conflict) => {
                self.sync(*target, items, runtime.as_ref(), *on_conflict)
            }
            Step::RollbackService(group, service, number) => {
                self.rollback_service(*group, *service, *number)
            }
            Step::RollbackGroup(group, revision) => {
                let at =
                    usize::try_from(*revision).ok().and_then(|revision| revision.checked_sub(1));
                let tree = at.and_then(|at| self.groups[*group].get(at)).ok_or("not_found")?;
                self.publish(*group, tree.clone(), &[])
            }
            Step::Push(group, edits) => {
                for edit in edits {
                    let tree = self.pushed(*group, edit);
                    self.groups[*group].push(tree);
                }
                let revision = self.groups[*group].len();
                Ok(Done { changed: true, revision, services: vec![] })
            }
            Step::SyncEach(..) => unreachable!("several steps"),
            _ => self.edit(step),
        }
    }

    /// Changes by hand.
    fn edit(&mut self, step: &Step) -> Result<Done, Refusal> {
        let group = step.group();
        let before = self.head(group);
        let mut tree = before.clone();
        edit_tree(&mut tree, step)?;
        if before.group.runtime_only {
            if before.services != tree.services {
                return Err("direct_edit_refused");
            }
            self.met.count("edit: of what a runtime-only group owns");
        }
        self.publish(group, tree, &[])
    }

    /// One commit, unless nothing is different or there are faults that were not there before.
    fn publish(&mut self, group: Group, tree: Tree, tags: &[NewTag]) -> Result<Done, Refusal> {
        let before = self.head(group);
        let differs = *before != tree;
        let new = &faults(group, &tree) - &faults(group, before);
        if differs && !new.is_empty() {
            let variable = new.iter().any(|fault| fault.contains("header"));
            self.met.count(if variable { "variable missing" } else { "other faults" });
            return Err("validation_failed");
        }
        for NewTag { service, number, content, runtime } in tags {
            self.versions.entry(*service).or_default().insert(*number, content.clone());
            self.runtimes.extend(runtime.clone().map(|runtime| ((*service, *number), runtime)));
        }
        if differs {
            self.groups[group].push(tree);
        }
        let changed = differs || !tags.is_empty();
        Ok(Done { changed, revision: self.groups[group].len(), services: vec![] })
    }

    /// The group as it is after somebody's commit; an edit that has nothing to bite on does nothing.
    fn pushed(&self, group: Group, edit: &Edit) -> Tree {
        let mut tree = self.head(group).clone();
        match edit {
            Edit::Service(service, document) => {
                let file = File { document: document.clone(), as_pushed: true };
                tree.services.entry(*service).or_default().service = file;
            }
            Edit::Route(service, route, document) => {
                let file = File { document: document.clone(), as_pushed: true };
                if let Some(content) = tree.services.get_mut(service) {
                    content.routes.insert(*route, file);
                }
            }
            Edit::Runtime(service, document) => {
                let file = File { document: document.clone(), as_pushed: true };
                tree.runtimes.insert(*service, file);
            }
            Edit::RemoveContent(service) => {
                tree.services.remove(service);
            }
            Edit::RemoveRuntime(service) => {
                tree.runtimes.remove(service);
            }
            Edit::Copy(service, from) => {
                if let Some(content) = self.head(*from).services.get(service) {
                    tree.services.insert(*service, content.clone());
                }
            }
        }
        tree
    }
}

/// A version that is made.
struct NewTag {
    service: Service,
    number: Number,
    content: Content,
    runtime: Option<RuntimeDocument>,
}
