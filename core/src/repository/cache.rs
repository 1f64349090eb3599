//! The configurations of the groups' heads, loaded once and shared.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use git2::Oid;

use super::Desk;
use crate::config::{self, Loaded};
use crate::error::Error;
use crate::name::{CommitId, GroupName};
use crate::store::{self, StoreError, refs};

/// The last configuration loaded of each group that is there: never more than what the heads hold.
#[derive(Default)]
pub(crate) struct Cache(Mutex<HashMap<GroupName, Kept>>);

#[derive(Default)]
struct Kept {
    loaded: Option<Arc<Loaded>>,
    /// Held by who loads: the others wait for the outcome, and do not each make their own.
    turn: Arc<Mutex<()>>,
}

impl Cache {
    fn get(&self, group: &GroupName) -> Option<Arc<Loaded>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(group)?.loaded.clone()
    }

    fn turn(&self, group: &GroupName) -> Arc<Mutex<()>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&all.entry(group.clone()).or_default().turn)
    }

    fn put(&self, group: &GroupName, loaded: Arc<Loaded>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(group.clone()).or_default().loaded = Some(loaded);
    }

    fn remove(&self, group: &GroupName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(group);
    }

    #[cfg(test)]
    pub(super) fn groups(&self) -> Vec<GroupName> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut groups: Vec<GroupName> = all.keys().cloned().collect();
        groups.sort();
        groups
    }
}

/// A group as it is published.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) commit: CommitId,
    pub(crate) tree: Oid,
}

/// A group that went on from what is published to what shall be.
#[derive(Debug, Clone)]
pub(crate) struct Advance {
    pub(crate) from: Option<CommitId>,
    pub(crate) to: Head,
    pub(crate) loaded: Arc<Loaded>,
}

impl Desk<'_> {
    /// The head of a group, if there is such a group.
    pub(crate) fn find_head(&self, group: &GroupName) -> Result<Option<Head>, StoreError> {
        if let Some(advance) = self.advances.borrow().get(group) {
            return Ok(Some(advance.to));
        }
        let Some(commit) = refs::head(self.git, group)? else { return Ok(None) };
        Ok(Some(Head { commit, tree: self.tree_of(commit)? }))
    }

    /// The head of a group.
    pub(crate) fn head(&self, group: &GroupName) -> Result<Head, Error> {
        self.find_head(group)?.ok_or_else(|| Error::no_group(group))
    }

    /// The tree of a commit.
    pub(crate) fn tree_of(&self, commit: CommitId) -> Result<Oid, StoreError> {
        Ok(store::commit::find(self.git, commit.0)?.tree_id())
    }

    /// The configuration of a group at its head.
    pub(crate) fn loaded(&self, group: &GroupName, head: Head) -> Result<Arc<Loaded>, StoreError> {
        let is_it = |loaded: &Arc<Loaded>| loaded.config.commit == head.commit;
        let known = || {
            let advances = self.advances.borrow();
            let advance = advances.get(group).map(|advance| Arc::clone(&advance.loaded));
            advance.or_else(|| self.cache.get(group))
        };
        if let Some(loaded) = known().filter(is_it) {
            return Ok(loaded);
        }
        let turn = self.cache.turn(group);
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        let previous = known();
        if let Some(loaded) = previous.clone().filter(is_it) {
            return Ok(loaded);
        }
        let previous = previous.as_ref().map(|loaded| &loaded.config);
        let loaded = config::load(&self.objects, group, head.commit, head.tree, previous)?;
        let loaded = Arc::new(loaded);
        self.cache.put(group, Arc::clone(&loaded));
        Ok(loaded)
    }

    /// Goes on from `base`, the head that was planned on, as if the group were at `head`, which is
    /// not published yet.
    pub(crate) fn advance(
        &self,
        group: &GroupName,
        base: Option<Head>,
        head: Head,
        loaded: Arc<Loaded>,
    ) {
        let mut advances = self.advances.borrow_mut();
        // Of several steps the first one's base is what is published.
        let from = match advances.get(group) {
            Some(advance) => advance.from,
            None => base.map(|head| head.commit),
        };
        advances.insert(group.clone(), Advance { from, to: head, loaded });
    }

    /// The groups that went on, to be published.
    pub(crate) fn advances(&self) -> Vec<(GroupName, Advance)> {
        self.advances.take().into_iter().collect()
    }

    /// Keeps the configuration of a commit that has just become a group's head.
    pub(crate) fn keep(&self, group: &GroupName, loaded: Arc<Loaded>) {
        self.cache.put(group, loaded);
    }

    /// Lets go of the configuration of a group that is gone.
    pub(crate) fn forget(&self, group: &GroupName) {
        self.cache.remove(group);
    }
}
