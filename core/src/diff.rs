//! Semantic difference of two trees: what changed in the documents, not in their text.

use std::collections::BTreeSet;

use git2::Oid;
use serde::Serialize;
use serde_json::Value;

use crate::content::{Place, read_json};
use crate::json::join;
use crate::store::StoreError;
use crate::store::objects::{Difference, EntryKind, Objects};

/// One thing that changed in a document.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Path of the file in the group's tree.
    pub file: String,
    /// RFC 6901 pointer in the file; empty for the whole file.
    pub pointer: String,
    /// What happened.
    pub op: Op,
    /// The value before; null where there was none.
    pub from: Value,
    /// The value after; null where there is none.
    pub to: Value,
}

/// What happened to a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// It is there now.
    Added,
    /// It is gone.
    Removed,
    /// It has another value.
    Changed,
}

/// What changed between two forms of a document that is not in the repository.
#[must_use]
pub fn documents(before: &Value, after: &Value, file: &str) -> Vec<Change> {
    let mut changes = Vec::new();
    value(Some(before), Some(after), file, "", &mut changes);
    changes
}

/// What changed between two trees of one place; `prefix` is their path in the group's tree.
pub(crate) fn changes(
    objects: &Objects<'_>,
    before: Option<Oid>,
    after: Option<Oid>,
    prefix: &str,
) -> Result<Vec<Change>, StoreError> {
    let mut changes = Vec::new();
    folder(objects, before, after, prefix, &mut changes)?;
    Ok(changes)
}

/// Walks only into folders whose ids differ.
fn folder(
    objects: &Objects<'_>,
    before: Option<Oid>,
    after: Option<Oid>,
    prefix: &str,
    changes: &mut Vec<Change>,
) -> Result<(), StoreError> {
    for Difference { name, old, new } in objects.differences(before, after)? {
        let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        folder(objects, folder_of(old), folder_of(new), &path, changes)?;
        file(objects, file_of(old), file_of(new), &path, changes)?;
    }
    Ok(())
}

fn folder_of(side: Option<(EntryKind, Oid)>) -> Option<Oid> {
    side.filter(|(kind, _)| *kind == EntryKind::Folder).map(|(_, id)| id)
}

/// What has bytes of its own: a submodule has none here.
fn file_of(side: Option<(EntryKind, Oid)>) -> Option<Oid> {
    side.filter(|(kind, _)| !matches!(kind, EntryKind::Folder | EntryKind::Submodule))
        .map(|(_, id)| id)
}

fn file(
    objects: &Objects<'_>,
    before: Option<Oid>,
    after: Option<Oid>,
    path: &str,
    changes: &mut Vec<Change>,
) -> Result<(), StoreError> {
    if before == after {
        return Ok(());
    }
    let place = Place::of(path);
    // A file that comes or goes is shown as it stands; two forms are compared by what they mean.
    let both = before.is_some() && after.is_some();
    let form = |json: Value| match &place {
        Some(place) if both => place.expand(&json),
        Some(place) => place.canonical(&json),
        None => json,
    };
    let read = |id: Option<Oid>| -> Result<Option<Value>, StoreError> {
        Ok(id.map(|id| read_json(objects, id)).transpose()?.map(form))
    };
    value(read(before)?.as_ref(), read(after)?.as_ref(), path, "", changes);
    Ok(())
}

fn value(
    before: Option<&Value>,
    after: Option<&Value>,
    file: &str,
    pointer: &str,
    changes: &mut Vec<Change>,
) {
    if before == after {
        return;
    }
    if let (Some(Value::Object(old)), Some(Value::Object(new))) = (before, after) {
        let added = new.keys().filter(|key| !old.contains_key(*key));
        for key in old.keys().chain(added) {
            value(old.get(key), new.get(key), file, &join(pointer, key), changes);
        }
        return;
    }
    let op = match (before, after) {
        (None, _) => Op::Added,
        (_, None) => Op::Removed,
        _ => Op::Changed,
    };
    changes.push(Change {
        file: file.to_owned(),
        pointer: pointer.to_owned(),
        op,
        from: before.cloned().unwrap_or(Value::Null),
        to: after.cloned().unwrap_or(Value::Null),
    });
}

/// What changed between two forms of one file.
pub(crate) fn file_changes(
    objects: &Objects<'_>,
    before: Option<Oid>,
    after: Option<Oid>,
    path: &str,
) -> Result<Vec<Change>, StoreError> {
    let mut changes = Vec::new();
    file(objects, before, after, path, &mut changes)?;
    Ok(changes)
}

/// Paths of the files that differ between two trees of a group.
pub(crate) fn files_touched(
    objects: &Objects<'_>,
    before: Option<Oid>,
    after: Oid,
) -> Result<BTreeSet<String>, StoreError> {
    // Compared as ids: a file whose text changed without its meaning was written all the same.
    let mut touched = BTreeSet::new();
    let mut pairs = vec![(String::new(), before, Some(after))];
    while let Some((prefix, old, new)) = pairs.pop() {
        for Difference { name, old, new } in objects.differences(old, new)? {
            let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
            if file_of(old).is_some() || file_of(new).is_some() {
                touched.insert(path.clone());
            }
            if folder_of(old).is_some() || folder_of(new).is_some() {
                pairs.push((path, folder_of(old), folder_of(new)));
            }
        }
    }
    Ok(touched)
}

/// A place in a document as people say it: `upstreams › default › nodes`; empty for all of it.
#[must_use]
pub fn place(pointer: &str) -> String {
    let steps = pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~"));
    steps.collect::<Vec<_>>().join(" › ")
}

/// Whether the file at this path of a group's tree is none that gateways read: a README, an editor's
/// settings, a schema.
#[must_use]
pub fn is_unread(path: &str) -> bool {
    Place::of(path) == Some(Place::Ignored)
}

/// What the file at this path of a group's tree is, for people: `route get of httpbin`. A path that
/// no document belongs at is its own name.
#[must_use]
pub fn title(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').collect();
    let stem = |name: &str| name.strip_suffix(".json").unwrap_or(name).to_owned();
    match parts.as_slice() {
        ["group.json"] => "settings of the group".to_owned(),
        ["services", service, "service.json"] => format!("service {service}"),
        ["services", service, "routes", route] => format!("route {} of {service}", stem(route)),
        ["runtime", service] => format!("hosts and upstreams of {}", stem(service)),
        ["consumers", name] => format!("consumer {}", stem(name)),
        ["certificates", name] => format!("certificate {}", stem(name)),
        ["global-rules", name] => format!("global rule {}", stem(name)),
        _ => path.to_owned(),
    }
}
