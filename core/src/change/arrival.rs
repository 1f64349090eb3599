//! What may come to the versioned part of a group by hand: the group's promotion rules, for every
//! change that is no sync and no rollback, whichever door it comes through.

use git2::Oid;

use crate::document::{DirectEdits, Promotion};
use crate::error::Error;
use crate::name::{ContentId, GroupName, ServiceName};
use crate::repository::Desk;
use crate::store::StoreError;
use crate::store::objects::{Difference, EntryKind};

/// The way that a change by hand takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// An edit. Whoever wants a version says so, by sync or rollback.
    Edit,
    /// Commits that are pushed. They have no other way to bring a version, so one that comes whole is
    /// a sync or a rollback.
    Push,
}

/// Why the change of a group's tree may not be, if so: an error for each service.
pub(crate) fn check(
    desk: &Desk<'_>,
    group: &GroupName,
    rules: &Promotion,
    before: Option<Oid>,
    after: Oid,
    door: Door,
) -> Result<Vec<Error>, StoreError> {
    if rules.direct_edits == DirectEdits::Allow && rules.from.is_empty() {
        return Ok(Vec::new());
    }
    let services = |tree: Option<Oid>| -> Result<Option<Oid>, StoreError> {
        let Some(tree) = tree else { return Ok(None) };
        let entry = desk.objects.find(tree, "services")?;
        Ok(entry.filter(|entry| entry.kind == EntryKind::Folder).map(|entry| entry.id))
    };
    let mut refused = Vec::new();
    let changes = desk.objects.differences(services(before)?, services(Some(after))?)?;
    for Difference { name, new, .. } in changes {
        // What is no service is told when the tree is read.
        let Ok(service) = name.parse::<ServiceName>() else { continue };
        let content = new.filter(|(kind, _)| *kind == EntryKind::Folder);
        let content = content.map(|(_, id)| ContentId(id));
        refused.extend(one(desk, group, rules, service, content, door)?);
    }
    Ok(refused)
}

fn one(
    desk: &Desk<'_>,
    group: &GroupName,
    rules: &Promotion,
    service: ServiceName,
    content: Option<ContentId>,
    door: Door,
) -> Result<Option<Error>, StoreError> {
    let only_versions = rules.direct_edits == DirectEdits::RuntimeOnly;
    let edit = || Error::DirectEditRefused { group: group.clone(), service: service.to_string() };
    if only_versions && door == Door::Edit {
        return Ok(Some(edit()));
    }
    let version = match content {
        Some(content) => {
            desk.index.version_of(&service, content)?.map(|row| (content, row.version))
        }
        None => None,
    };
    let Some((content, version)) = version else { return Ok(only_versions.then(edit)) };
    // What the group has had before comes back; what it has not must have come the right way.
    if desk.index.has_run(group, &service, content)?
        || rules.from.is_empty()
        || came_from(desk, &rules.from, &service, content)?.is_some()
    {
        return Ok(None);
    }
    let title = format!("{service} {version}");
    Ok(Some(Error::PromotionGate { reason: closed(group, &rules.from, &title) }))
}

/// The first of these groups in which the content has run.
pub(crate) fn came_from<'g>(
    desk: &Desk<'_>,
    groups: &'g [GroupName],
    service: &ServiceName,
    content: ContentId,
) -> Result<Option<&'g GroupName>, StoreError> {
    for group in groups {
        if desk.index.has_run(group, service, content)? {
            return Ok(Some(group));
        }
    }
    Ok(None)
}

/// What is said where `promotion.from` keeps a version out.
pub(crate) fn closed(target: &GroupName, from: &[GroupName], title: &str) -> String {
    let names: Vec<&str> = from.iter().map(GroupName::as_str).collect();
    format!(
        "{target} takes only versions that have run in {}, and {title} never did: sync it there first",
        names.join(" or ")
    )
}
