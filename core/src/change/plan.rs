//! From a draft to a plan: what is checked is the same for every change and every door.

use git2::Oid;
use serde::Serialize;

use super::arrival::{self, Door};
use super::draft::{Draft, Later, NewTag, TreeChange, Way};
use super::{Change, Operation, OutcomeKind, ServiceOutcome};
use crate::config::{self, Loaded};
use crate::content::warnings_of_change;
use crate::diagnostic::Diagnostic;
use crate::diff;
use crate::document::GroupType;
use crate::error::Error;
use crate::event::Event;
use crate::index::HistoryQuery;
use crate::name::{CommitId, GroupName, ServiceName};
use crate::repository::{Desk, Head, of_group};
use crate::version::Version;
use crate::view::EventView;

/// A change that can be published as it is, as long as the head is the one it was planned on.
pub(crate) struct Plan {
    pub(crate) group: GroupName,
    /// The head it was planned on; nothing for a group that is not there yet.
    pub(crate) base: Option<Head>,
    pub(crate) tree: PlannedTree,
    pub(crate) event: Event,
    pub(crate) tags: Vec<NewTag>,
    pub(crate) warnings: Vec<Diagnostic>,
    pub(crate) gates: Vec<Gate>,
    pub(crate) services: Vec<ServiceOutcome>,
    pub(crate) whole: Option<OutcomeKind>,
    pub(crate) later: Option<Later>,
    pub(crate) created: bool,
}

/// What the group's tree shall be.
pub(crate) enum PlannedTree {
    /// As it is.
    Same,
    /// Another one, which is sound as far as it was before.
    Next(Oid, Box<Loaded>),
    /// None: the group goes.
    Archived,
}

/// A rule that was asked before a version may come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gate {
    /// The rule, `promotion.from`.
    pub gate: String,
    /// Whether the version may come.
    pub passed: bool,
    /// Why, for people.
    pub message: String,
}

/// A plan as it is shown.
#[derive(Debug, Clone, Serialize)]
pub struct PlanView {
    /// What names this very plan, for [`super::Precondition::expect_plan`].
    pub id: String,
    /// The group.
    pub group: GroupName,
    /// The commit it was planned on; null for a group that is not there yet.
    pub base_commit: Option<CommitId>,
    /// What would happen.
    pub outcome: String,
    /// What is synced or rolled back, where it is one thing.
    #[serde(flatten)]
    pub subject: Option<Subject>,
    /// What would be different.
    pub changes: Vec<diff::Change>,
    /// Findings that involve what would be written.
    pub warnings: Vec<Diagnostic>,
    /// The rules that were asked.
    pub gates: Vec<Gate>,
    /// Of a sync or rollback: each service.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceOutcome>,
    /// Of a rollback: the events since the state that is put back, newest first. They leave the head
    /// and stay in the history. Of very many the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub later: Option<Vec<EventView>>,
}

/// Events that a plan names at the most.
const LATER: usize = 1000;

/// What a sync or rollback is about; nulls for the group as a whole.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Subject {
    /// The service.
    pub service: Option<ServiceName>,
    /// The version it is at then.
    pub version: Option<Version>,
}

/// Plans a change against the head of this moment.
pub(crate) fn plan(desk: &Desk<'_>, change: &Change) -> Result<Plan, Error> {
    of_group(&change.group, || plan_on_head(desk, change))
}

fn plan_on_head(desk: &Desk<'_>, change: &Change) -> Result<Plan, Error> {
    let group = &change.group;
    let base = desk.find_head(group)?;
    let creates = matches!(change.operation, Operation::CreateGroup { .. });
    match (base, creates) {
        (Some(head), true) => {
            super::group::check(group, Some(head), &change.precondition)?;
            return Err(Error::AlreadyExists { what: format!("group {group}") });
        }
        (None, false) => return Err(Error::no_group(group)),
        _ => {}
    }
    if let Some(expected) = change.precondition.expect_head
        && base.map(|head| head.commit) != Some(expected)
    {
        let reason = format!("group {group} is not at commit {expected} any more");
        return Err(Error::ConcurrentUpdate { reason });
    }
    let before = base.map(|head| desk.loaded(group, head)).transpose()?;
    if let Some(before) = &before
        && before.config.group.r#type == GroupType::Ingress
        && !may_touch_ingress(&change.operation)
    {
        return Err(Error::ReadOnlyGroup { group: group.clone() });
    }
    let mut draft = draft(desk, base, change)?;
    draft.event.actor = Some(change.actor.name.clone());
    draft.event.request_id = Some(change.request_id.clone());
    draft.event.reason.clone_from(&change.reason);
    let tree = next_tree(desk, base, &draft)?;
    let mut warnings = draft.findings;
    let tree = match tree {
        Some(tree) => {
            let previous = before.as_ref().map(|loaded| &loaded.config);
            if let (Some(base), Some(previous), Way::Edit) = (base, previous, draft.way) {
                let rules = &previous.group.promotion;
                let refused =
                    arrival::check(desk, group, rules, Some(base.tree), tree, Door::Edit)?;
                if let Some(error) = refused.into_iter().next() {
                    return Err(error);
                }
            }
            let loaded = validate(desk, group, base, tree, before.as_deref(), &mut warnings);
            let loaded = loaded.map_err(|error| match &change.operation {
                Operation::DeleteObject { object } => super::object::of_delete(object, error),
                _ => error,
            })?;
            PlannedTree::Next(tree, Box::new(loaded))
        }
        None if warnings.iter().any(Diagnostic::is_error) => return Err(Error::Invalid(warnings)),
        None if matches!(draft.change, TreeChange::Archive) => PlannedTree::Archived,
        None => PlannedTree::Same,
    };
    let plan = Plan {
        group: group.clone(),
        base,
        tree,
        event: draft.event,
        tags: draft.tags,
        warnings,
        gates: draft.gates,
        services: draft.services,
        whole: draft.whole,
        later: draft.later,
        created: draft.created,
    };
    let expected = &change.precondition.expect_plan;
    if !expected.is_empty() && !expected.contains(&plan.id()) {
        let reason = format!(
            "the change would now do something else to group {group} than its plan said: the group or what comes to it has changed"
        );
        return Err(Error::ConcurrentUpdate { reason });
    }
    Ok(plan)
}

/// Whether people may do this to a group that a controller writes: take it back from the controller, or
/// away.
fn may_touch_ingress(operation: &Operation) -> bool {
    match operation {
        Operation::PatchGroup { patch } => {
            patch.as_object().is_some_and(|patch| patch.keys().eq(["type"]))
        }
        Operation::DeleteGroup => true,
        _ => false,
    }
}

fn draft(desk: &Desk<'_>, base: Option<Head>, change: &Change) -> Result<Draft, Error> {
    let group = &change.group;
    let condition = &change.precondition;
    let Some(head) = base else {
        return match &change.operation {
            Operation::CreateGroup { document } => {
                super::group::create(desk, group, document, condition)
            }
            _ => Err(Error::no_group(group)),
        };
    };
    match &change.operation {
        Operation::CreateGroup { .. } => {
            Err(Error::AlreadyExists { what: format!("group {group}") })
        }
        Operation::PatchGroup { patch } => super::group::patch(desk, group, head, patch, condition),
        Operation::DeleteGroup => super::group::delete(desk, group, head, condition),
        Operation::PutService { service, document } => {
            super::service::put(desk, group, head, service, document, condition)
        }
        Operation::PatchService { service, patch } => {
            super::service::patch(desk, group, head, service, patch, condition)
        }
        Operation::DeleteService { service } => {
            super::service::delete(desk, group, head, service, condition)
        }
        Operation::PutRoute { service, route, document } => {
            super::route::put(desk, group, head, service, route, document, condition)
        }
        Operation::PatchRoute { service, route, patch } => {
            super::route::patch(desk, group, head, service, route, patch, condition)
        }
        Operation::DeleteRoute { service, route } => {
            super::route::delete(desk, group, head, service, route, condition)
        }
        Operation::PutRuntime { service, document } => {
            super::runtime::put(desk, group, head, service, document, condition)
        }
        Operation::PatchRuntime { service, patch } => {
            super::runtime::patch(desk, group, head, service, patch, condition)
        }
        Operation::PutObject { object, document } => {
            super::object::put(desk, group, head, object, document, condition)
        }
        Operation::PatchObject { object, patch } => {
            super::object::patch(desk, group, head, object, patch, condition)
        }
        Operation::DeleteObject { object } => {
            super::object::delete(desk, group, head, object, condition)
        }
        Operation::CopyObject { object, from, replace } => {
            super::object::copy(desk, group, head, object, from, *replace, condition)
        }
        Operation::TagVersion { service, version, message } => {
            let message = message.as_deref();
            super::version::tag(desk, group, head, service, version, message, condition)
        }
        Operation::Sync(sync) => super::promotion::sync(desk, group, head, sync, condition),
        Operation::RollbackService { service, version } => {
            super::rollback::service(desk, group, head, service, version, condition)
        }
        Operation::RollbackGroup { to } => {
            super::rollback::group(desk, group, head, *to, condition)
        }
        Operation::Commit { files, message } => {
            super::commit::commit(desk, group, head, files, message.as_deref(), condition)
        }
    }
}

/// The tree that the draft makes; nothing when it is the one that is there.
fn next_tree(desk: &Desk<'_>, base: Option<Head>, draft: &Draft) -> Result<Option<Oid>, Error> {
    let tree = match &draft.change {
        TreeChange::Archive => return Ok(None),
        TreeChange::Whole(tree) => *tree,
        TreeChange::Edits(edits) => desk.objects.edit(base.map(|head| head.tree), edits)?,
    };
    Ok(Some(tree).filter(|tree| base.map(|head| head.tree) != Some(*tree)))
}

/// Loads the group as it would be; an error that was not there before refuses the change.
///
/// Errors that were there before do not: a group that came to be unsound by another door must be
/// mendable step by step.
fn validate(
    desk: &Desk<'_>,
    group: &GroupName,
    base: Option<Head>,
    tree: Oid,
    before: Option<&Loaded>,
    warnings: &mut Vec<Diagnostic>,
) -> Result<Loaded, Error> {
    // The commit is not made yet; it takes the place of this one when it is.
    let commit = base.map_or_else(|| CommitId(Oid::ZERO_SHA1), |head| head.commit);
    let previous = before.map(|loaded| &loaded.config);
    let loaded = config::load(&desk.objects, group, commit, tree, previous)?;
    let known = before.map_or(&[][..], |loaded| &loaded.diagnostics[..]);
    let is_new = |finding: &&Diagnostic| finding.is_error() && !known.contains(finding);
    let mut errors: Vec<Diagnostic> =
        warnings.extract_if(.., |finding| finding.is_error()).collect();
    let new = loaded.diagnostics.iter().filter(is_new).cloned();
    errors.extend(new.map(|finding| finding.of_group(group)));
    if !errors.is_empty() {
        errors.sort();
        return Err(Error::Invalid(errors));
    }
    let before = base.map(|head| head.tree);
    let of_change = warnings_of_change(&desk.objects, before, tree, &loaded.diagnostics)?;
    warnings.extend(of_change.into_iter().cloned());
    Ok(loaded)
}

impl Plan {
    /// Whether the group would be another one: by a commit, or by a number for what it has. The number that a
    /// sync gives is of the group that it comes from.
    pub(crate) fn changes_group(&self) -> bool {
        let is_sync = self.services.iter().any(|service| service.outcome.is_some());
        !matches!(self.tree, PlannedTree::Same) || (!self.tags.is_empty() && !is_sync)
    }

    /// Whether anything would be published.
    pub(crate) fn changes_anything(&self) -> bool {
        !matches!(self.tree, PlannedTree::Same) || !self.tags.is_empty()
    }

    /// The tree of the group as it would be; nothing when the group goes.
    fn after(&self) -> Option<Oid> {
        match &self.tree {
            PlannedTree::Same => self.base.map(|head| head.tree),
            PlannedTree::Next(tree, _) => Some(*tree),
            PlannedTree::Archived => None,
        }
    }

    /// Where it begins and where it ends: plans that are alike in both do the same.
    fn id(&self) -> String {
        let of = |id: Option<Oid>| id.map_or_else(|| "none".to_owned(), |id| id.to_string());
        format!("{}-{}", of(self.base.map(|head| head.commit.0)), of(self.after()))
    }

    /// The plan as it is shown.
    pub(crate) fn view(self, desk: &Desk<'_>) -> Result<PlanView, Error> {
        let (id, after) = (self.id(), self.after());
        let before = self.base.map(|head| head.tree);
        // Of several services the outcome is what came of any.
        let outcomes = self.services.iter().filter_map(|service| service.outcome);
        let subject = match &self.services[..] {
            [] => self.whole.map(|_| Subject::default()),
            [ServiceOutcome { service, version, .. }] => {
                Some(Subject { service: Some(service.clone()), version: Some(version.clone()) })
            }
            _ => None,
        };
        let outcome = match outcomes.chain(self.whole).min() {
            Some(outcome) => outcome.as_str(),
            None if !self.changes_anything() => "unchanged",
            None if self.created => "created",
            None => "changed",
        };
        let later = self.later.map(|later| {
            let query = HistoryQuery {
                of_content: later.service.is_some(),
                service: later.service,
                after: Some(later.than),
                limit: LATER,
                ..HistoryQuery::default()
            };
            let rows = desk.index.history(&self.group, &query)?;
            let events = rows.into_iter().map(|row| EventView::of(&self.group, row));
            Ok::<_, Error>(events.collect())
        });
        let later = later.transpose()?;
        Ok(PlanView {
            id,
            group: self.group,
            base_commit: self.base.map(|head| head.commit),
            outcome: outcome.to_owned(),
            subject,
            changes: diff::changes(&desk.objects, before, after, "")?,
            warnings: self.warnings,
            gates: self.gates,
            services: self.services,
            later,
        })
    }
}
