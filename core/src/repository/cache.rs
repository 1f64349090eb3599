//! The configurations of the groups' heads, loaded once and shared.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use git2::Oid;

use super::Desk;
use crate::config::{self, Loaded};
use crate::error::Error;
use crate::name::{CommitId, GroupName};
use crate::store::{StoreError, refs};

/// The last configuration loaded of each group.
#[derive(Default)]
pub(crate) struct Cache(Mutex<HashMap<GroupName, Arc<Loaded>>>);

impl Cache {
    fn get(&self, group: &GroupName) -> Option<Arc<Loaded>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(group).cloned()
    }

    fn put(&self, group: &GroupName, loaded: Arc<Loaded>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(group.clone(), loaded);
    }
}

/// A group as it is published.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) commit: CommitId,
    pub(crate) tree: Oid,
}

impl Desk<'_> {
    /// The head of a group, if there is such a group.
    pub(crate) fn find_head(&self, group: &GroupName) -> Result<Option<Head>, StoreError> {
        let Some(commit) = refs::head(self.git, group)? else { return Ok(None) };
        Ok(Some(Head { commit, tree: self.tree_of(commit)? }))
    }

    /// The head of a group.
    pub(crate) fn head(&self, group: &GroupName) -> Result<Head, Error> {
        self.find_head(group)?.ok_or_else(|| Error::no_group(group))
    }

    /// The tree of a commit.
    pub(crate) fn tree_of(&self, commit: CommitId) -> Result<Oid, StoreError> {
        Ok(self.git.find_commit(commit.0)?.tree_id())
    }

    /// The configuration of a group at its head.
    pub(crate) fn loaded(&self, group: &GroupName, head: Head) -> Result<Arc<Loaded>, StoreError> {
        let cached = self.cache.get(group);
        if let Some(cached) = &cached
            && cached.config.commit == head.commit
        {
            return Ok(Arc::clone(cached));
        }
        let previous = cached.as_ref().map(|loaded| &loaded.config);
        let loaded = config::load(&self.objects, group, head.commit, head.tree, previous)?;
        let loaded = Arc::new(loaded);
        self.cache.put(group, Arc::clone(&loaded));
        Ok(loaded)
    }

    /// Keeps the configuration of a commit that has just become a group's head.
    pub(crate) fn keep(&self, group: &GroupName, commit: CommitId, mut loaded: Loaded) {
        loaded.config.commit = commit;
        self.cache.put(group, Arc::new(loaded));
    }
}
