//! Making the disposable index anew without opening the repository for writing.

use std::path::Path;

use serde::Serialize;

use super::{Repository, index_path};
use crate::error::Error;
use crate::index::Index;
use crate::store;

/// What came into an index that was made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Reindexed {
    /// Groups.
    pub groups: u64,
    /// Commits of all groups.
    pub commits: u64,
    /// Versions of all services.
    pub versions: u64,
}

impl Repository {
    /// Makes the index of the repository at `path` anew. Nobody else should have it open: who has
    /// goes on with the index that was, until it is opened again.
    ///
    /// # Errors
    /// When there is no repository of ours, or the index cannot be written.
    pub fn reindex_at(path: &Path) -> Result<Reindexed, Error> {
        let handle = store::open_repository(path)?;
        let index = Index::make(&index_path(path), path, &handle)?;
        let (groups, commits, versions) = index.counts()?;
        Ok(Reindexed { groups, commits, versions })
    }
}
