//! A group's configuration away from its repository: received as [`Update`]s, held in memory, loaded
//! like that of a repository, and kept as [`Saved`] for the next start.
//!
//! What is held are the git objects of the tree, so that everything received is checked against
//! their ids, and loading goes on from what was loaded before just as it does beside a repository.
//! Where updates come from and where the saved form lies is not known here.

mod update;

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use git2::Oid;
use serde::{Deserialize, Serialize};

pub(crate) use self::update::Ends;
pub use self::update::{Update, UpdatedFile};
use crate::config::{self, GroupConfig, Loaded, runtime_path};
use crate::name::{CommitId, GroupName, ObjectId, Revision, ServiceName};
use crate::store::objects::{EntryKind, Objects};
use crate::store::{GroupReader, OpenError, StoreError};

/// Objects that may lie around unused before they are swept out.
const LITTER: usize = 4096;

/// A group's tree in memory, as it was received.
pub struct Mirror {
    group: GroupName,
    objects: Objects<'static>,
    at: Option<At>,
    /// The tree with the last good forms in the places of what is at fault.
    good: Option<Oid>,
    /// Objects that were in use when it was last swept.
    in_use: usize,
}

#[derive(Debug, Clone, Copy)]
struct At {
    commit: CommitId,
    revision: Revision,
    tree: Oid,
}

/// Why an update was not taken; the mirror is as before.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// It is for somebody else.
    #[error("it is of the group {0}")]
    Group(GroupName),
    /// It leads on from another commit.
    #[error("it leads on from a commit that is not here")]
    Since,
    /// A file is not what it should be.
    #[error("{path}: {what}")]
    Content {
        /// Its path.
        path: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The files are not all of the tree.
    #[error("the files make the tree {made}, not {wanted}")]
    Incomplete {
        /// The tree that was promised.
        wanted: ObjectId,
        /// What came of the files.
        made: ObjectId,
    },
    /// They cannot be held.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a gateway keeps to start from: a commit, and the last good forms of what is at fault in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// The commit, whole.
    pub head: Update,
    /// What leads from there to the tree that has the last good forms, where that is another.
    pub good: Option<Update>,
}

impl Mirror {
    /// A mirror of a group that has nothing yet.
    ///
    /// # Errors
    /// When libgit2 cannot be used.
    pub fn new(group: GroupName) -> Result<Self, StoreError> {
        Ok(Self { group, objects: Objects::in_memory()?, at: None, good: None, in_use: 0 })
    }

    /// What was kept, with the configuration of its last good forms: loading goes on from that.
    ///
    /// # Errors
    /// When it is of another group, or not whole.
    pub fn restore(
        group: GroupName,
        saved: Saved,
    ) -> Result<(Self, Option<GroupConfig>), MirrorError> {
        let mut mirror = Self::new(group)?;
        mirror.take(saved.head)?;
        let (Some(at), Some(update)) = (mirror.at, saved.good) else { return Ok((mirror, None)) };
        let tree = update.lay_over(&mirror.objects, Some(at.tree))?;
        let loaded = config::load(&mirror.objects, &mirror.group, at.commit, tree, None)?;
        mirror.good = Some(tree);
        Ok((mirror, Some(loaded.config)))
    }

    /// The commit that it has.
    #[must_use]
    pub fn commit(&self) -> Option<CommitId> {
        self.at.map(|at| at.commit)
    }

    /// Lets go of the commit, not of the objects: the next update has to be whole.
    pub fn start_anew(&mut self) {
        self.at = None;
    }

    /// Takes an update, all of it or nothing.
    ///
    /// # Errors
    /// When it is of another group, does not lead on from here, or is not what its ids say.
    pub fn take(&mut self, update: Update) -> Result<(), MirrorError> {
        if update.group != self.group {
            return Err(MirrorError::Group(update.group));
        }
        let base = match update.since {
            None => None,
            Some(since) => match self.at {
                Some(at) if at.commit == since => Some(at.tree),
                _ => return Err(MirrorError::Since),
            },
        };
        let (commit, revision) = (update.commit, update.revision);
        let tree = update.lay_over(&self.objects, base)?;
        self.at = Some(At { commit, revision, tree });
        Ok(())
    }

    /// The configuration at the commit; what did not change since `previous` is shared with it.
    /// Nothing when there is no commit yet.
    ///
    /// # Errors
    /// When an object is missing. A configuration that is not sound is no error.
    pub fn load(&self, previous: Option<&GroupConfig>) -> Result<Option<Loaded>, StoreError> {
        let load = |at: At| config::load(&self.objects, &self.group, at.commit, at.tree, previous);
        self.at.map(load).transpose()
    }

    /// Remembers what is served: `config`, with the last good forms of the services `kept`. What is
    /// in use no more is let go of, now and then.
    ///
    /// # Errors
    /// When an object is missing.
    pub fn settle(
        &mut self,
        config: &GroupConfig,
        kept: &BTreeSet<ServiceName>,
    ) -> Result<(), StoreError> {
        let Some(at) = self.at else { return Ok(()) };
        self.good = Some(good_tree(&self.objects, at.tree, config, kept)?);
        if self.objects.held() > 2 * self.in_use + LITTER {
            let mut used = HashSet::new();
            for tree in self.good.into_iter().chain([at.tree]) {
                self.objects.collect(tree, &mut used)?;
            }
            self.objects.retain(&used);
            self.in_use = used.len();
        }
        Ok(())
    }

    /// What to keep for the next start; nothing when there is no commit yet.
    ///
    /// # Errors
    /// When an object is missing.
    pub fn save(&self) -> Result<Option<Saved>, StoreError> {
        let save = |at: At| saved(&self.objects, &self.group, at, self.good.unwrap_or(at.tree));
        self.at.map(save).transpose()
    }
}

impl Saved {
    /// What to keep of a repository: the commit of `config`, and the last good forms of the services
    /// `kept`. Reads with a handle of its own, and all of the group.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub fn of_repository(
        path: &Path,
        config: &GroupConfig,
        kept: &BTreeSet<ServiceName>,
    ) -> Result<Self, OpenError> {
        let reader = GroupReader::open(path)?;
        let saved = reader.with_tree(config.commit, |objects, tree| {
            // Nobody asks a state for its revision.
            let at = At { commit: config.commit, revision: Revision(0), tree };
            let good = good_tree(objects, tree, config, kept)?;
            saved(objects, &config.name, at, good)
        });
        Ok(saved?)
    }
}

fn saved(objects: &Objects<'_>, group: &GroupName, at: At, good: Oid) -> Result<Saved, StoreError> {
    let At { commit, revision, tree } = at;
    let head = Update::between(objects, group, &Ends { since: None, commit, revision, tree })?;
    let good = if good == tree {
        None
    } else {
        let ends = Ends { since: Some((commit, tree)), commit, revision, tree: good };
        Some(Update::between(objects, group, &ends)?)
    };
    Ok(Saved { head, good })
}

/// The tree with what is served in the places of what is at fault: services, and `group.json`.
fn good_tree(
    objects: &Objects<'_>,
    tree: Oid,
    config: &GroupConfig,
    kept: &BTreeSet<ServiceName>,
) -> Result<Oid, StoreError> {
    let mut edits = crate::store::objects::Edits::new();
    let file = |id: Option<Oid>| id.map(|id| (EntryKind::File, id));
    for service in kept.iter().filter_map(|name| config.services.get(name)) {
        let folder = format!("services/{}", service.name);
        edits.insert(folder, Some((EntryKind::Folder, service.content.0)));
        edits.insert(runtime_path(&service.name), file(service.runtime_file()));
    }
    // What is not served claims nothing: read by itself, it might take the place of what is kept.
    for name in config.lost() {
        edits.insert(format!("services/{name}"), None);
        edits.insert(runtime_path(name), None);
    }
    let group_file = config.group_file_in_use();
    let published = objects.find(tree, "group.json")?.map(|entry| entry.id);
    if group_file.is_some() && group_file != published {
        edits.insert("group.json".to_owned(), file(group_file));
    }
    if edits.is_empty() { Ok(tree) } else { objects.edit(Some(tree), &edits) }
}
