//! What came of a push: which services changed in which groups.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Target, Update};
use crate::diff::files_touched;
use crate::error::Error;
use crate::index::Index;
use crate::name::{CommitId, GroupName, Revision, ServiceName};
use crate::repository::index_path;
use crate::store::objects::{EntryKind, Objects};
use crate::store::{self, commit, refs};
use crate::version::Version;

/// What came of a ref that a push moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A group is at another commit.
    Group {
        /// The group.
        group: GroupName,
        /// Whether it began with the push.
        created: bool,
        /// Its head.
        commit: CommitId,
        /// The position of that commit.
        revision: Revision,
        /// What is different.
        touched: Vec<Touched>,
    },
    /// A service has another version.
    Version {
        /// The service.
        service: ServiceName,
        /// The number.
        version: Version,
    },
}

/// What is different in a group, by what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touched {
    /// A service came.
    Added(ServiceName),
    /// A service went.
    Removed(ServiceName),
    /// The versioned content of a service changed; perhaps its runtime too.
    Changed(ServiceName, Option<Version>),
    /// Only what the group owns about a service changed.
    Runtime(ServiceName),
    /// Another file.
    File(String),
}

/// What came of the updates of a push to the repository at `path`; those that came to nothing are
/// left out.
///
/// # Errors
/// When the repository cannot be read.
pub fn outcomes(path: &Path, updates: &[Update]) -> Result<Vec<Outcome>, Error> {
    let git = store::open_repository(path)?;
    let index = Index::open(&index_path(path), path)?;
    index.catch_up(&git)?;
    let objects = Objects::new(&git)?;
    let mut outcomes = Vec::new();
    for update in updates {
        let Some(new) = update.new else { continue };
        match Target::of(&update.reference) {
            Ok(Target::Version(service, version)) => {
                if refs::resolve(&git, &update.reference)? == Some(new.0) {
                    outcomes.push(Outcome::Version { service, version });
                }
            }
            Ok(Target::Branch(group)) => {
                let commit = CommitId(new.0);
                let Some(revision) = index.revision(&group, commit)? else { continue };
                let tree = |id| commit::find(&git, id).map(|commit| commit.tree_id());
                let before = update.old.map(|old| tree(old.0)).transpose()?;
                let after = tree(new.0)?;
                let touched = touched(&objects, &index, before, after)?;
                let created = before.is_none();
                outcomes.push(Outcome::Group { group, created, commit, revision, touched });
            }
            Ok(Target::For(_)) | Err(_) => {}
        }
    }
    Ok(outcomes)
}

fn touched(
    objects: &Objects<'_>,
    index: &Index,
    before: Option<git2::Oid>,
    after: git2::Oid,
) -> Result<Vec<Touched>, Error> {
    // Whether the content of a service is different, or only its runtime.
    let mut services: BTreeMap<ServiceName, bool> = BTreeMap::new();
    let mut files = Vec::new();
    for path in files_touched(objects, before, after)? {
        let parts: Vec<&str> = path.split('/').collect();
        let found = match parts[..] {
            ["services", service, ..] => service.parse().ok().map(|service| (service, true)),
            ["runtime", file] => file
                .strip_suffix(".json")
                .and_then(|stem| stem.parse().ok())
                .map(|service| (service, false)),
            _ => None,
        };
        match found {
            Some((service, content)) => *services.entry(service).or_default() |= content,
            None => files.push(Touched::File(path)),
        }
    }
    let content = |tree: Option<git2::Oid>, service: &ServiceName| {
        let Some(tree) = tree else { return Ok(None) };
        let entry = objects.find(tree, &format!("services/{service}"))?;
        Ok::<_, Error>(entry.filter(|entry| entry.kind == EntryKind::Folder).map(|entry| entry.id))
    };
    let mut touched = Vec::new();
    for (service, content_changed) in services {
        touched.push(match (content(before, &service)?, content(Some(after), &service)?) {
            _ if !content_changed => Touched::Runtime(service),
            (None, _) => Touched::Added(service),
            (Some(_), None) => Touched::Removed(service),
            (Some(_), Some(now)) => {
                let version = index.version_of(&service, crate::name::ContentId(now))?;
                Touched::Changed(service, version.map(|row| row.version))
            }
        });
    }
    touched.extend(files);
    Ok(touched)
}
