//! What remote gateways are sent, and how they learn that there is something to send.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::mirror::{Ends, Update};
use crate::name::{CommitId, GroupName, Revision};
use crate::repository::Repository;
use crate::store::refs;

impl Repository {
    /// The commits that the groups are at.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub fn heads(&self) -> Result<BTreeMap<GroupName, CommitId>, Error> {
        self.shared.with_handle(|handle| Ok(refs::groups(handle)?.into_iter().collect()))
    }

    /// A group at its head: what changed since a commit of it, or everything where that commit is
    /// none of the group's, or none is given.
    ///
    /// # Errors
    /// When there is no such group, an object of it is damaged, or the repository cannot be read.
    pub fn update(&self, group: &GroupName, since: Option<CommitId>) -> Result<Update, Error> {
        self.shared.read_group(group, |desk, head| {
            let mut known = None;
            if let Some(commit) = since
                && desk.index.revision(group, commit)?.is_some()
            {
                known = Some((commit, desk.tree_of(commit)?));
            }
            let revision = desk.index.revision(group, head.commit)?;
            let ends = Ends {
                since: known,
                commit: head.commit,
                // The group moved after the index had caught up: the next update says it.
                revision: revision.unwrap_or(Revision(0)),
                tree: head.tree,
            };
            Ok(Update::between(&desk.objects, group, &ends)?)
        })
    }
}
