//! Which instances of a group serve a commit, and the wait until all of them do.

use std::collections::BTreeMap;

use refgate_core::name::{CommitId, GroupName, Revision};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Fleet;
use super::instance::{Instance, InstanceState};
use crate::blocking::Store;

/// How far a commit has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Convergence {
    pub(crate) commit: CommitId,
    /// Instances that serve the commit, or a later one, without a fault.
    pub(crate) applied: usize,
    /// Instances of the group that are there, not lost.
    pub(crate) total: usize,
    /// Names of those that do not.
    pub(crate) pending: Vec<String>,
}

/// A commit of a group, as something that instances come to serve.
pub(crate) struct Target {
    pub(crate) group: GroupName,
    pub(crate) commit: CommitId,
    pub(crate) revision: Revision,
}

impl Fleet {
    /// Waits until every instance of the group that is there has taken the commit up, or until
    /// `deadline`, or until `draining` turns true. Instances that are lost are not waited for, and
    /// neither applied nor pending.
    pub(crate) async fn converge(
        &self,
        store: &Store,
        target: &Target,
        deadline: Instant,
        mut draining: watch::Receiver<bool>,
    ) -> Convergence {
        let mut order = Order::new(store, target);
        // Before the first look, so that no report falls in between.
        let mut wakes = self.wakes(&target.group);
        loop {
            let (now, waits) = self.look(target, &mut order).await;
            if !waits {
                return now;
            }
            tokio::select! {
                () = wakes.next() => {}
                () = tokio::time::sleep_until(deadline) => return now,
                _ = draining.wait_for(|draining| *draining) => return now,
            }
        }
    }

    /// How far the commit has come, and whether waiting could bring it further.
    async fn look(&self, target: &Target, order: &mut Order<'_>) -> (Convergence, bool) {
        let mut instances = self.instances(Some(&target.group));
        instances.retain(Instance::is_there);
        let (total, mut pending, mut waits) = (instances.len(), Vec::new(), false);
        for instance in instances {
            let reached = order.reached(&instance).await;
            waits |= !reached;
            // A degraded instance at the commit has taken up what it could and holds the rest
            // back: it will not get better by waiting, and it does not serve the commit.
            if instance.state != InstanceState::Healthy || !reached {
                pending.push(instance.instance);
            }
        }
        let applied = total - pending.len();
        (Convergence { commit: target.commit, applied, total, pending }, waits)
    }
}

/// Where commits stand against the target, each looked up once.
struct Order<'a> {
    store: &'a Store,
    target: &'a Target,
    known: BTreeMap<CommitId, bool>,
}

impl<'a> Order<'a> {
    fn new(store: &'a Store, target: &'a Target) -> Self {
        let known = BTreeMap::from([(target.commit, true)]);
        Self { store, target, known }
    }

    /// Histories are linear, so an instance at a later commit has taken this one up too.
    async fn reached(&mut self, instance: &Instance) -> bool {
        let Some(commit) = instance.commit else { return false };
        if let Some(reached) = self.known.get(&commit) {
            return *reached;
        }
        let group = self.target.group.clone();
        let found = self.store.read(move |repository| repository.revision(&group, commit)).await;
        match found {
            Ok(revision) => {
                // A commit that is none of the group's any more is as good as none.
                let reached = revision.is_some_and(|revision| revision >= self.target.revision);
                self.known.insert(commit, reached);
                reached
            }
            // Not told apart from "not yet": the wait has a deadline.
            Err(_) => false,
        }
    }
}
