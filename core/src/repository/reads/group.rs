//! Groups: all of them, one, and the commit that one is at.

use serde_json::Value;

use super::{Desk, Head, empty_object, of_group, or_damage, service_names};
use crate::change;
use crate::config::GroupConfig;
use crate::content::document_at;
use crate::diagnostic::Diagnostic;
use crate::document::{Group, Shape};
use crate::error::Error;
use crate::name::{CommitId, GroupName, Revision};
use crate::repository::Repository;
use crate::store::refs;
use crate::view::GroupView;

impl Repository {
    /// The groups, by name. One that is damaged says so in its place.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub fn groups(&self) -> Result<Vec<GroupView>, Error> {
        self.shared.read(|desk| {
            let groups = refs::groups(desk.git)?;
            groups
                .iter()
                .map(|(group, commit)| {
                    let read = or_damage(of_group(group, || view(desk, group, desk.head(group)?)))?;
                    read.or_else(|damage| unreadable(desk, group, *commit, damage))
                })
                .collect()
        })
    }

    /// A group.
    ///
    /// # Errors
    /// When there is none, it cannot be shown as it is damaged, or the repository cannot be read.
    pub fn group(&self, group: &GroupName) -> Result<GroupView, Error> {
        self.shared.read_group(group, |desk, head| view(desk, group, head))
    }

    /// The sound part of a group's configuration at its head, as a gateway loads it.
    ///
    /// # Errors
    /// When there is no such group, an object of it is damaged, or the repository cannot be read.
    pub fn config(&self, group: &GroupName) -> Result<GroupConfig, Error> {
        self.shared.read_group(group, |desk, head| Ok(desk.loaded(group, head)?.config.clone()))
    }

    /// The commit that a group is at.
    ///
    /// # Errors
    /// When there is none, or the repository cannot be read.
    pub fn head(&self, group: &GroupName) -> Result<CommitId, Error> {
        self.shared.read_group(group, |_, head| Ok(head.commit))
    }
}

fn view(desk: &Desk<'_>, group: &GroupName, head: Head) -> Result<GroupView, Error> {
    let document = document_at(&desk.objects, head.tree, "group.json")?;
    let json = document.map(|(_, json)| json).filter(Value::is_object).unwrap_or_else(empty_object);
    let services = service_names(desk, head.tree)?.len();
    // The rest of the group is read for what is wrong with it: nothing new where it was read before.
    let loaded = or_damage(of_group(group, || Ok(desk.loaded(group, head)?)))?;
    let (diagnostics, damage) = match loaded {
        Ok(loaded) => {
            let own = |found: &&Diagnostic| found.is_error() && found.file == "group.json";
            (loaded.diagnostics.iter().filter(own).cloned().collect(), None)
        }
        Err(damage) => (Vec::new(), Some(damage)),
    };
    Ok(GroupView {
        name: group.clone(),
        document: Group::expand(&without_faults(json, &diagnostics)),
        head: head.commit,
        revision: revision(desk, group, head.commit)?,
        services,
        diagnostics,
        damage,
        etag: change::group_etag(head.commit),
    })
}

/// A group of which hardly more is known than what its ref says.
fn unreadable(
    desk: &Desk<'_>,
    group: &GroupName,
    commit: CommitId,
    damage: String,
) -> Result<GroupView, Error> {
    Ok(GroupView {
        name: group.clone(),
        document: Group::expand(&empty_object()),
        head: commit,
        revision: revision(desk, group, commit)?,
        services: 0,
        diagnostics: Vec::new(),
        damage: Some(damage),
        etag: change::group_etag(commit),
    })
}

/// The document without the keys that are at fault, which then have their defaults: whoever reads
/// many groups must not stumble over one.
fn without_faults(mut json: Value, diagnostics: &[Diagnostic]) -> Value {
    if let Value::Object(document) = &mut json {
        for key in diagnostics.iter().filter_map(|found| found.pointer.split('/').nth(1)) {
            document.shift_remove(&key.replace("~1", "/").replace("~0", "~"));
        }
    }
    json
}

fn revision(desk: &Desk<'_>, group: &GroupName, commit: CommitId) -> Result<Revision, Error> {
    let mut revision = desk.index.revision(group, commit)?;
    if revision.is_none() {
        // The group moved after the index had caught up for this read.
        desk.index.catch_up(desk.git)?;
        revision = desk.index.revision(group, commit)?;
    }
    Ok(revision.unwrap_or(Revision(0)))
}
