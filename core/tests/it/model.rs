//! A reference model: groups, services, versions and runtimes as plain maps, and what each change
//! does to them, written without a look at how the product does it.
//!
//! Names are small numbers here; `model/text.rs` turns them into documents, `model/merge.rs` is the
//! merge by meaning, `model/steps.rs` makes random steps, and `model/run.rs` lets them run against model
//! and repository.

mod merge;
mod run;
mod steps;
mod text;

use std::collections::{BTreeMap, BTreeSet};

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
    headers: Vec<(u8, u8)>,
    upstream: u8,
}

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
    DeleteService(Group, Service),
    PutRoute(Group, Service, Route, RouteDocument),
    PatchRoute(Group, Service, Route, RoutePatch),
    DeleteRoute(Group, Service, Route),
    PutRuntime(Group, Service, RuntimeDocument),
    PatchRuntime(Group, Service, bool, Vec<u8>),
    PatchGroup(Group, Vec<Group>, bool),
    Tag(Group, Service, Number),
    Sync(Group, Vec<(Service, Source)>, Option<RuntimeDocument>, OnConflict),
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
}

/// The code of a refusal.
type Refusal = &'static str;

#[derive(Debug, Clone)]
struct Model {
    /// Every state of every group, oldest first.
    groups: [Vec<Tree>; 3],
    versions: BTreeMap<Service, BTreeMap<Number, Content>>,
}

/// What a service is in a group, by its number.
#[derive(Debug, PartialEq, Eq)]
struct State {
    version: Option<Number>,
    based_on: Option<Number>,
    modified: bool,
}

impl Model {
    /// The groups of the template.
    fn new() -> Self {
        let group = |from: &[Group]| {
            let group = GroupDocument { from: from.to_vec(), runtime_only: false };
            vec![Tree { group, ..Tree::default() }]
        };
        Self { groups: [group(&[]), group(&[]), group(&[1])], versions: BTreeMap::new() }
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
                Ok(Done { changed: true, revision: self.groups[*group].len() })
            }
            _ => self.edit(step),
        }
    }

    /// Changes by hand.
    fn edit(&mut self, step: &Step) -> Result<Done, Refusal> {
        let (Step::PutService(group, ..)
        | Step::PatchService(group, ..)
        | Step::DeleteService(group, ..)
        | Step::PutRoute(group, ..)
        | Step::PatchRoute(group, ..)
        | Step::DeleteRoute(group, ..)
        | Step::PutRuntime(group, ..)
        | Step::PatchRuntime(group, ..)
        | Step::PatchGroup(group, ..)) = step
        else {
            unreachable!("all others are not edits")
        };
        let before = self.head(*group);
        let mut tree = before.clone();
        edit_tree(&mut tree, step)?;
        if before.group.runtime_only && before.services != tree.services {
            return Err("direct_edit_refused");
        }
        self.publish(*group, tree, &[])
    }

    fn tag(&mut self, group: Group, service: Service, number: Number) -> Result<Done, Refusal> {
        let content = self.head(group).services.get(&service).ok_or("not_found")?.clone();
        let tags = match self.number_of(service, &content) {
            Some(known) if known == number => vec![],
            Some(_) => return Err("content_already_versioned"),
            None => vec![self.new_tag(service, number, content)?],
        };
        self.publish(group, self.head(group).clone(), &tags)
    }

    fn new_tag(
        &self,
        service: Service,
        number: Number,
        content: Content,
    ) -> Result<NewTag, Refusal> {
        let taken = self.versions.get(&service).is_some_and(|all| all.contains_key(&number));
        if taken { Err("version_taken") } else { Ok((service, number, content)) }
    }

    fn sync(
        &mut self,
        target: Group,
        items: &[(Service, Source)],
        runtime: Option<&RuntimeDocument>,
        on_conflict: OnConflict,
    ) -> Result<Done, Refusal> {
        let mut tags = Vec::new();
        let mut coming = Vec::new();
        for &(service, source) in items {
            let (content, from) = match source {
                Source::Version(number) => {
                    let all = self.versions.get(&service);
                    let content = all.and_then(|all| all.get(&number)).ok_or("not_found")?;
                    (content.clone(), None)
                }
                Source::Group(from, number) => {
                    let content = self.head(from).services.get(&service).ok_or("not_found")?;
                    match (self.number_of(service, content), number) {
                        (Some(known), Some(given)) if known != given => {
                            return Err("version_mismatch");
                        }
                        (Some(_), _) => {}
                        (None, None) => return Err("version_required"),
                        (None, Some(number)) => {
                            tags.push(self.new_tag(service, number, content.clone())?);
                        }
                    }
                    (content.clone(), Some(from))
                }
            };
            coming.push((service, content, from));
        }
        let mut tree = self.head(target).clone();
        let feeders = tree.group.from.clone();
        let mut conflict = false;
        for (service, theirs, from) in coming {
            let came = feeders.iter().any(|feeder| self.has_run(*feeder, service, &theirs));
            if !feeders.is_empty() && !came {
                return Err("promotion_gate");
            }
            let ours = tree.services.get(&service).cloned();
            if ours.as_ref() == Some(&theirs) {
                continue;
            }
            let based_on = self.based_on(target, service);
            let base = based_on.map(|number| &self.versions[&service][&number]);
            let result = match &ours {
                None => theirs,
                Some(ours) if base == Some(ours) => theirs,
                Some(ours) => {
                    let (merged, clashed) = merge::merge(base, ours, &theirs, on_conflict);
                    conflict |= clashed;
                    merged
                }
            };
            tree.services.insert(service, result);
            if tree.runtimes.contains_key(&service) {
                continue;
            }
            let first = runtime.cloned().or_else(|| {
                let source = &self.head(from?).runtimes.get(&service)?.document;
                let mut upstreams = source.upstreams.clone();
                upstreams.values_mut().for_each(|upstream| upstream.nodes = 0);
                Some(RuntimeDocument { enabled: true, hosts: vec![], upstreams })
            });
            tree.runtimes.extend(first.map(|first| (service, first.into())));
        }
        if conflict && on_conflict == OnConflict::Abort {
            return Err("promotion_conflict");
        }
        self.publish(target, tree, &tags)
    }

    fn rollback_service(
        &mut self,
        group: Group,
        service: Service,
        number: Number,
    ) -> Result<Done, Refusal> {
        let content = self.versions.get(&service).and_then(|all| all.get(&number));
        let content = content.ok_or("not_found")?.clone();
        if !self.has_run(group, service, &content) {
            return Err("not_found");
        }
        let mut tree = self.head(group).clone();
        tree.services.insert(service, content);
        self.publish(group, tree, &[])
    }

    /// One commit, unless nothing is different or there are faults that were not there before.
    fn publish(&mut self, group: Group, tree: Tree, tags: &[NewTag]) -> Result<Done, Refusal> {
        let before = self.head(group);
        let differs = *before != tree;
        if differs && !faults(group, &tree).is_subset(&faults(group, before)) {
            return Err("validation_failed");
        }
        for (service, number, content) in tags {
            self.versions.entry(*service).or_default().insert(*number, content.clone());
        }
        if differs {
            self.groups[group].push(tree);
        }
        let changed = differs || !tags.is_empty();
        Ok(Done { changed, revision: self.groups[group].len() })
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

type NewTag = (Service, Number, Content);

fn edit_tree(tree: &mut Tree, step: &Step) -> Result<(), Refusal> {
    match step {
        Step::PutService(_, service, content, runtime) => {
            tree.services.insert(*service, content.clone());
            let runtime = runtime.clone().map(|runtime| (*service, runtime.into()));
            tree.runtimes.extend(runtime);
        }
        Step::PatchService(_, service, description, route) => {
            let content = tree.services.get_mut(service).ok_or("not_found")?;
            content.service.document.description = *description;
            if let Some((route, priority)) = route {
                match priority {
                    None => drop(content.routes.remove(route)),
                    // Without a path there, the route is none.
                    Some(priority) => {
                        content.routes.entry(*route).or_default().document.priority = *priority;
                    }
                }
            }
            // The service is written whole, in canonical form.
            content.service.as_pushed = false;
            content.routes.values_mut().for_each(|route| route.as_pushed = false);
            if let Some(runtime) = tree.runtimes.get_mut(service) {
                runtime.as_pushed = false;
            }
        }
        Step::DeleteService(_, service) => {
            tree.services.remove(service).ok_or("not_found")?;
            tree.runtimes.remove(service);
        }
        Step::PutRoute(_, service, route, document) => {
            let content = tree.services.get_mut(service).ok_or("not_found")?;
            content.routes.insert(*route, document.clone().into());
        }
        Step::PatchRoute(_, service, route, patch) => {
            let content = tree.services.get_mut(service).ok_or("not_found")?;
            let file = content.routes.get_mut(route).ok_or("not_found")?;
            match patch.clone() {
                RoutePatch::Paths(paths) => file.document.paths = paths,
                RoutePatch::Methods(methods) => file.document.methods = methods,
                RoutePatch::Priority(priority) => file.document.priority = priority,
                RoutePatch::Headers(headers) => file.document.headers = headers,
                RoutePatch::Enabled(enabled) => file.document.enabled = enabled,
            }
            file.as_pushed = false;
        }
        Step::DeleteRoute(_, service, route) => {
            let content = tree.services.get_mut(service).ok_or("not_found")?;
            content.routes.remove(route).ok_or("not_found")?;
        }
        Step::PutRuntime(_, service, runtime) => {
            tree.services.get(service).ok_or("not_found")?;
            tree.runtimes.insert(*service, runtime.clone().into());
        }
        Step::PatchRuntime(_, service, enabled, hosts) => {
            tree.services.get(service).ok_or("not_found")?;
            let fresh = || RuntimeDocument { enabled: true, ..RuntimeDocument::default() }.into();
            let file = tree.runtimes.entry(*service).or_insert_with(fresh);
            file.document.enabled = *enabled;
            file.document.hosts.clone_from(hosts);
            file.as_pushed = false;
        }
        Step::PatchGroup(_, from, runtime_only) => {
            tree.group = GroupDocument { from: from.clone(), runtime_only: *runtime_only };
        }
        _ => unreachable!("not an edit by hand"),
    }
    Ok(())
}

/// What is wrong with a group, each fault by what makes it the same fault later.
fn faults(group: Group, tree: &Tree) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if tree.group.from.contains(&group) {
        found.insert("fed from itself".to_owned());
    }
    for (service, content) in &tree.services {
        let upstreams = tree.runtimes.get(service).map(|file| &file.document.upstreams);
        for (name, File { document: route, .. }) in &content.routes {
            if route.paths.is_empty() {
                found.insert(format!("{service}/{name}: no path"));
            }
            if let Some(known) = upstreams
                && !known.is_empty()
                && !known.contains_key(&route.upstream)
            {
                found.insert(format!("{service}/{name}: no upstream {}", route.upstream));
            }
        }
    }
    found
}

/// Whether a service takes requests, as the product words it.
fn live(group: Group, tree: &Tree, service: Service) -> &'static str {
    let own = format!("{service}/");
    if faults(group, tree).iter().any(|fault| fault.starts_with(&own)) {
        return "invalid";
    }
    let runtime = tree.runtimes.get(&service).map(|file| &file.document);
    let routes = tree.services[&service].routes.values().map(|file| &file.document);
    let mut enabled = routes.filter(|route| route.enabled).peekable();
    let has_nodes = |name: &u8| {
        let upstream = runtime.and_then(|runtime| runtime.upstreams.get(name));
        upstream.is_some_and(|upstream| upstream.nodes > 0)
    };
    if runtime.is_some_and(|runtime| !runtime.enabled) {
        "disabled"
    } else if enabled.peek().is_none() {
        "no_routes"
    } else if enabled.all(|route| has_nodes(&route.upstream)) {
        "live"
    } else {
        "no_nodes"
    }
}
