//! Which instances of a group serve a commit, and the wait until all of them do.

use std::collections::BTreeMap;
use std::sync::Arc;

use refgate_core::name::{CommitId, GroupName, Revision};
use refgate_proxy::{GatewayStatus, State};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::{Fleet, StatusReceiver};
use crate::blocking::Store;

/// How far a commit has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Convergence {
    pub(crate) commit: CommitId,
    /// Instances that serve the commit, or a later one, without a fault.
    pub(crate) applied: usize,
    /// Instances of the group.
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
    /// Waits until every instance of the group has taken the commit up, or until `deadline`, or
    /// until `draining` turns true.
    ///
    /// Histories are linear, so an instance at a later commit has taken this one up too, and one
    /// that was seen there never falls behind it again: looking at the instances one after the
    /// other is as good as looking at all at once.
    pub(crate) async fn converge(
        &self,
        store: &Store,
        target: &Target,
        deadline: Instant,
        mut draining: watch::Receiver<bool>,
    ) -> Convergence {
        let mut order = Order::new(store, target);
        let mut instances = self.of_group(&target.group);
        for instance in &mut instances {
            let reached = timeout_at(deadline, reach(instance, &mut order));
            tokio::select! {
                reached = reached => if reached.is_err() { break },
                _ = draining.wait_for(|draining| *draining) => break,
            }
        }
        let mut pending = Vec::new();
        let total = instances.len();
        for instance in instances {
            let status = Arc::clone(&instance.borrow());
            // A degraded instance at the commit has taken up what it could and holds the rest
            // back: it will not get better by waiting, and it does not serve the commit.
            if status.state != State::Healthy || !order.reached(&status).await {
                pending.push(status.instance.clone());
            }
        }
        Convergence { commit: target.commit, applied: total - pending.len(), total, pending }
    }
}

/// Returns when the instance is at the target or beyond, or has gone.
async fn reach(instance: &mut StatusReceiver, order: &mut Order<'_>) {
    loop {
        let status = Arc::clone(&instance.borrow_and_update());
        if order.reached(&status).await || instance.changed().await.is_err() {
            return;
        }
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

    async fn reached(&mut self, status: &GatewayStatus) -> bool {
        let Some(commit) = status.commit else { return false };
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
