//! Rollback: putting a version of a service, or the whole tree of a group, back as a new commit.

use super::draft::{Draft, Later, TreeChange, Way};
use super::{OutcomeKind, Precondition, RollbackTarget, ServiceOutcome};
use crate::error::Error;
use crate::event::Event;
use crate::name::{GroupName, ServiceName};
use crate::repository::{Desk, Head};
use crate::store::objects::EntryKind;

pub(super) fn service(
    desk: &Desk<'_>,
    group: &GroupName,
    head: Head,
    service: &ServiceName,
    version: &str,
    condition: &Precondition,
) -> Result<Draft, Error> {
    super::service::check(desk, group, head, service, condition)?;
    let current = super::service::content(desk, head.tree, service)?;
    let (version, _, content) = super::version::existing(desk, service, version)?;
    let Some(than) = desk.index.last_run(group, service, content)? else {
        return Err(Error::NotFound {
            what: format!(
                "version {version} of {service} in the history of group {group}: it never ran there; sync it instead"
            ),
        });
    };
    let event =
        Event::new("version.rolled-back", format!("roll {service} in {group} back to {version}"))
            .about(service)
            .with_version(&version);
    let mut draft = Draft::new(event);
    draft.way = Way::Version;
    draft.later = Some(Later { service: Some(service.clone()), than });
    let outcome = if current == Some(content) {
        OutcomeKind::AlreadyCurrent
    } else {
        let folder = format!("services/{service}");
        draft.edits().insert(folder, Some((EntryKind::Folder, content.0)));
        OutcomeKind::RolledBack
    };
    draft.services.push(ServiceOutcome {
        service: service.clone(),
        version,
        outcome: Some(outcome),
    });
    Ok(draft)
}

pub(super) fn group(
    desk: &Desk<'_>,
    group: &GroupName,
    head: Head,
    to: RollbackTarget,
    condition: &Precondition,
) -> Result<Draft, Error> {
    super::group::check(group, Some(head), condition)?;
    let row = match to {
        RollbackTarget::Revision(revision) => {
            desk.index.commit_at(group, revision)?.ok_or_else(|| Error::NotFound {
                what: format!("revision {revision} in group {group}"),
            })?
        }
        RollbackTarget::Commit(commit) => {
            desk.index.commit(group, commit)?.ok_or_else(|| Error::no_commit(group, commit))?
        }
    };
    let subject = format!("roll {group} back to revision {}", row.revision);
    let mut draft = Draft::new(Event::new("group.rolled-back", subject));
    draft.way = Way::Version;
    let tree = desk.tree_of(row.commit)?;
    draft.change = TreeChange::Whole(tree);
    draft.later = Some(Later { service: None, than: row.revision });
    draft.whole = Some(match tree == head.tree {
        true => OutcomeKind::AlreadyCurrent,
        false => OutcomeKind::RolledBack,
    });
    Ok(draft)
}
