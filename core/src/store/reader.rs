//! A repository as a gateway sees it: the head of a group, and the configuration at a commit.
//!
//! A reader lives as long as its gateway, while maintenance makes new packs and takes old ones away.
//! So it opens the repository anew whenever the folder of packs has changed: what was deleted is let
//! go of, and what was moved is found.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use git2::Repository;

use super::objects::Objects;
use super::wide::WideTrees;
use super::{OpenError, StoreError, commit, refs};
use crate::config::{self, GroupConfig, Loaded};
use crate::name::{CommitId, GroupName};

/// Room for wide trees, in bytes. A change compares the trees of the commit before with its own; older
/// ones are not read again. Enough for a few commits of a group with tens of thousands of services.
const ROOM: usize = 8 << 20;

/// Reads groups from one repository, with a handle of its own.
pub struct GroupReader {
    path: PathBuf,
    repository: Repository,
    /// When the packs changed that the handle knows.
    packs: Option<SystemTime>,
    wide: WideTrees,
}

impl GroupReader {
    /// Opens the repository at `path`.
    ///
    /// # Errors
    /// When there is none, it is not a Refgate configuration, or it cannot be read.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        // Looked at first: what changes meanwhile is seen the next time.
        let packs = packs(path);
        let repository = super::open_repository(path)?;
        Ok(Self { path: path.to_owned(), repository, packs, wide: WideTrees::within(ROOM) })
    }

    /// The commit that the group is at now; nothing when there is no such group.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub fn head(&mut self, group: &GroupName) -> Result<Option<CommitId>, StoreError> {
        self.follow_packs()?;
        refs::head(&self.repository, group)
    }

    /// The configuration of a group at a commit; what did not change since `previous` is shared
    /// with it.
    ///
    /// # Errors
    /// When the repository cannot be read. A configuration that is not sound is no error: what is
    /// wrong stands in the [`Loaded::diagnostics`].
    pub fn load(
        &mut self,
        group: &GroupName,
        commit: CommitId,
        previous: Option<&GroupConfig>,
    ) -> Result<Loaded, StoreError> {
        self.follow_packs()?;
        match self.try_load(group, commit, previous) {
            // The packs may have changed in this very moment, or within a step of the clock.
            Err(StoreError::Git(_)) => {
                self.reopen()?;
                self.try_load(group, commit, previous)
            }
            other => other,
        }
    }

    /// Reads the tree of a commit.
    pub(crate) fn with_tree<R>(
        &self,
        commit: CommitId,
        read: impl FnOnce(&Objects<'_>, git2::Oid) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        let tree = commit::find(&self.repository, commit.0)?.tree_id();
        read(&Objects::sharing(&self.repository, self.wide.clone())?, tree)
    }

    fn try_load(
        &self,
        group: &GroupName,
        commit: CommitId,
        previous: Option<&GroupConfig>,
    ) -> Result<Loaded, StoreError> {
        let tree = commit::find(&self.repository, commit.0)?.tree_id();
        let objects = Objects::sharing(&self.repository, self.wide.clone())?;
        config::load(&objects, group, commit, tree, previous)
    }

    fn follow_packs(&mut self) -> Result<(), StoreError> {
        if packs(&self.path) == self.packs { Ok(()) } else { self.reopen() }
    }

    fn reopen(&mut self) -> Result<(), StoreError> {
        self.packs = packs(&self.path);
        self.repository = Repository::open_bare(&self.path)?;
        Ok(())
    }
}

/// When a pack came or went last.
fn packs(repository: &Path) -> Option<SystemTime> {
    repository.join("objects/pack").metadata().and_then(|folder| folder.modified()).ok()
}
