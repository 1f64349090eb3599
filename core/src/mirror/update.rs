//! What changed in a group's tree between two commits, with the contents: the form in which a
//! configuration travels to remote gateways and lies in their state.

use std::collections::BTreeMap;

use git2::{ObjectType, Oid};
use serde::{Deserialize, Serialize};

use super::MirrorError;
use crate::name::{CommitId, GroupName, ObjectId, Revision};
use crate::store::StoreError;
use crate::store::objects::{Difference, Edits, EntryKind, Objects};

/// A group at a commit: all of its files, or those that changed since another commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// The group.
    pub group: GroupName,
    /// The commit that it leads to.
    pub commit: CommitId,
    /// The position of that commit.
    pub revision: Revision,
    /// The commit that it leads on from; nothing: it has every file.
    pub since: Option<CommitId>,
    /// The id of the git tree that results.
    pub tree: ObjectId,
    /// Files that are new or other than before, by path.
    pub files: BTreeMap<String, UpdatedFile>,
    /// Paths of files that are there no more.
    pub removed: Vec<String>,
}

/// A file with its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdatedFile {
    /// The id of its blob: what its content must hash to.
    pub blob: ObjectId,
    /// The mode as git writes it, of an entry that is no plain file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// The content, when it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The content, when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Vec<u8>>,
}

/// Which trees an update is between.
pub(crate) struct Ends {
    pub(crate) since: Option<(CommitId, Oid)>,
    pub(crate) commit: CommitId,
    pub(crate) revision: Revision,
    pub(crate) tree: Oid,
}

impl Update {
    /// What leads from one tree to the other; reads only the files that differ.
    pub(crate) fn between(
        objects: &Objects<'_>,
        group: &GroupName,
        ends: &Ends,
    ) -> Result<Self, StoreError> {
        let mut found = Found { objects, files: BTreeMap::new(), removed: Vec::new() };
        let old = ends.since.map(|(_, tree)| tree);
        found.below("", old, Some(ends.tree))?;
        Ok(Self {
            group: group.clone(),
            commit: ends.commit,
            revision: ends.revision,
            since: ends.since.map(|(commit, _)| commit),
            tree: ObjectId(ends.tree),
            files: found.files,
            removed: found.removed,
        })
    }

    /// Lays the files over the tree `base` (nothing: an empty one), each checked against its id, and
    /// the whole against the tree's.
    pub(super) fn lay_over(
        self,
        objects: &Objects<'_>,
        base: Option<Oid>,
    ) -> Result<Oid, MirrorError> {
        let mut edits: Edits = self.removed.into_iter().map(|path| (path, None)).collect();
        for (path, file) in self.files {
            let entry = file.made(objects, &path)?;
            edits.insert(path, Some(entry));
        }
        let made = objects.edit(base, &edits)?;
        if made == self.tree.0 {
            Ok(made)
        } else {
            Err(MirrorError::Incomplete { wanted: self.tree, made: ObjectId(made) })
        }
    }
}

impl UpdatedFile {
    fn made(self, objects: &Objects<'_>, path: &str) -> Result<(EntryKind, Oid), MirrorError> {
        let wrong = |what| MirrorError::Content { path: path.to_owned(), what };
        let kind = match &self.mode {
            None => EntryKind::File,
            Some(mode) => EntryKind::of_mode(mode).ok_or_else(|| wrong("its mode is unknown"))?,
        };
        let id = match (kind, self.text, self.bytes) {
            // Neither a submodule nor an empty folder has a content.
            (EntryKind::Submodule, None, None) => return Ok((kind, self.blob.0)),
            (EntryKind::Folder, None, None) => objects.make(ObjectType::Tree, Vec::new())?,
            (EntryKind::Submodule | EntryKind::Folder, ..) => {
                return Err(wrong("it has a content, which its mode does not"));
            }
            (_, Some(text), None) => objects.make(ObjectType::Blob, text.into_bytes())?,
            (_, None, Some(bytes)) => objects.make(ObjectType::Blob, bytes)?,
            _ => return Err(wrong("it has not exactly one content")),
        };
        if id == self.blob.0 { Ok((kind, id)) } else { Err(wrong("its content is not its blob's")) }
    }
}

struct Found<'o, 'r> {
    objects: &'o Objects<'r>,
    files: BTreeMap<String, UpdatedFile>,
    removed: Vec<String>,
}

impl Found<'_, '_> {
    fn below(
        &mut self,
        prefix: &str,
        old: Option<Oid>,
        new: Option<Oid>,
    ) -> Result<(), StoreError> {
        let differences = self.objects.differences(old, new)?;
        let replaced = |name: &str| {
            let file = |one: &Difference| {
                one.name == name && one.new.is_some_and(|(kind, _)| kind != EntryKind::Folder)
            };
            differences.iter().any(file)
        };
        for difference in &differences {
            let path = format!("{prefix}{}", difference.name);
            let folder = |entry: Option<(EntryKind, Oid)>| {
                entry.filter(|(kind, _)| *kind == EntryKind::Folder).map(|(_, id)| id)
            };
            let (before, now) = (folder(difference.old), folder(difference.new));
            match difference.new {
                Some((kind, id)) if now.is_none() => self.file(path, kind, id)?,
                Some((kind, id)) if self.objects.tree(id)?.is_empty() => {
                    self.file(path, kind, id)?;
                }
                // A file in the place of a folder takes away all that was in it.
                None if before.is_some() && replaced(&difference.name) => {}
                None if before.is_none() => self.removed.push(path),
                _ => {
                    let known = self.files.len() + self.removed.len();
                    self.below(&format!("{path}/"), before, now)?;
                    if now.is_none() && known == self.files.len() + self.removed.len() {
                        self.removed.push(path);
                    }
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, path: String, kind: EntryKind, id: Oid) -> Result<(), StoreError> {
        let mode = (kind != EntryKind::File).then(|| kind.mode().to_owned());
        let mut file = UpdatedFile { blob: ObjectId(id), mode, text: None, bytes: None };
        if !matches!(kind, EntryKind::Submodule | EntryKind::Folder) {
            match String::from_utf8(self.objects.blob(id)?) {
                Ok(text) => file.text = Some(text),
                Err(other) => file.bytes = Some(other.into_bytes()),
            }
        }
        self.files.insert(path, file);
        Ok(())
    }
}
