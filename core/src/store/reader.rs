//! A repository as a gateway sees it: the head of a group, and the configuration at a commit.

use std::path::Path;

use git2::Repository;

use super::objects::Objects;
use super::{OpenError, StoreError, refs};
use crate::config::{self, GroupConfig, Loaded};
use crate::name::{CommitId, GroupName};

/// Reads groups from one repository, with a handle of its own.
pub struct GroupReader {
    repository: Repository,
}

impl GroupReader {
    /// Opens the repository at `path`.
    ///
    /// # Errors
    /// When there is none, it is not a Refgate configuration, or it cannot be read.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        super::open_repository(path).map(|repository| Self { repository })
    }

    /// The commit that the group is at now; nothing when there is no such group.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub fn head(&self, group: &GroupName) -> Result<Option<CommitId>, StoreError> {
        refs::head(&self.repository, group)
    }

    /// The configuration of a group at a commit; what did not change since `previous` is shared
    /// with it.
    ///
    /// # Errors
    /// When the repository cannot be read. A configuration that is not sound is no error: what is
    /// wrong stands in the [`Loaded::diagnostics`].
    pub fn load(
        &self,
        group: &GroupName,
        commit: CommitId,
        previous: Option<&GroupConfig>,
    ) -> Result<Loaded, StoreError> {
        let tree = self.repository.find_commit(commit.0)?.tree_id();
        config::load(&Objects::new(&self.repository)?, group, commit, tree, previous)
    }
}
