//! Making, changing and archiving groups.

use serde_json::Value;

use super::Precondition;
use super::draft::{Draft, TreeChange};
use crate::content::document_at;
use crate::error::Error;
use crate::event::Event;
use crate::json;
use crate::name::{CommitId, GroupName};
use crate::repository::{Desk, Head, of_group};
use crate::store::refs;
use crate::template;

pub(super) fn create(
    desk: &Desk<'_>,
    group: &GroupName,
    document: &Value,
    condition: &Precondition,
) -> Result<Draft, Error> {
    check(group, None, condition)?;
    let mut draft = Draft::new(Event::new("group.created", format!("create group {group}")));
    draft.created = true;
    draft.edits().extend(template::files(&desk.objects)?);
    draft.put(desk, "group.json", document)?;
    Ok(draft)
}

pub(super) fn patch(
    desk: &Desk<'_>,
    group: &GroupName,
    head: Head,
    patch: &Value,
    condition: &Precondition,
) -> Result<Draft, Error> {
    check(group, Some(head), condition)?;
    let mut draft = Draft::new(Event::new("group.updated", format!("change group {group}")));
    let current = document_at(&desk.objects, head.tree, "group.json")?;
    let mut document =
        current.map_or_else(|| Value::Object(serde_json::Map::new()), |(_, json)| json);
    json::merge_patch(&mut document, patch);
    draft.put(desk, "group.json", &document)?;
    Ok(draft)
}

pub(super) fn delete(
    desk: &Desk<'_>,
    group: &GroupName,
    head: Head,
    condition: &Precondition,
) -> Result<Draft, Error> {
    check(group, Some(head), condition)?;
    for (other, _) in refs::groups(desk.git)? {
        if other == *group {
            continue;
        }
        let loaded = of_group(&other, || Ok(desk.loaded(&other, desk.head(&other)?)?))?;
        if loaded.config.group.promotion.from.contains(group) {
            return Err(Error::StillReferenced {
                reason: format!(
                    "group {other} takes versions from {group}: change its promotion.from first"
                ),
                diagnostics: Vec::new(),
            });
        }
    }
    let mut draft = Draft::new(Event::new("group.deleted", format!("archive group {group}")));
    draft.change = TreeChange::Archive;
    Ok(draft)
}

/// Compares the conditions of a change that is about the group as a whole.
pub(super) fn check(
    group: &GroupName,
    head: Option<Head>,
    condition: &Precondition,
) -> Result<(), Error> {
    let etag = head.map(|head| etag(head.commit));
    condition.check(&format!("group {group}"), etag.as_deref())
}

/// The entity tag of a group: its head, since what is shown of a group depends on it.
pub(crate) fn etag(head: CommitId) -> String {
    head.to_string()
}
