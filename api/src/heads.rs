//! Where the groups are: told to all who wait for a commit, whichever way it came.
//!
//! One thread looks, when a file event of the repository or a write of this process says so; a slow
//! look stands behind them, as file systems may tell nothing. Whoever waits waits for this, so that
//! a thousand gateways that wait cost one look.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::time::Duration;

use refgate_core::name::{CommitId, GroupName};
use refgate_core::repository::Repository;
use refgate_proxy::RepositoryWatch;
use tokio::sync::watch;

/// How long a commit may go unnoticed when no event tells of it.
const POLL: Duration = Duration::from_secs(5);

/// The commits that the groups are at.
pub(crate) type Commits = Arc<BTreeMap<GroupName, CommitId>>;

/// The heads of a repository, followed. Clones are the same.
#[derive(Clone)]
pub(crate) struct Heads {
    shared: Arc<Shared>,
    /// As they were when it began.
    first: Commits,
}

struct Shared {
    current: watch::Sender<Commits>,
    wake: SyncSender<()>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The thread finds nobody left to tell, and ends.
        let _ = self.wake.try_send(());
    }
}

impl Heads {
    /// Follows a repository for as long as somebody has the result.
    pub(crate) fn follow(repository: Repository) -> Self {
        // One message is enough to make it look; more would only make it look more often.
        let (wake, woken) = sync_channel(1);
        let first: Commits = Arc::new(repository.heads().unwrap_or_default());
        let shared = Arc::new(Shared { current: watch::Sender::new(first.clone()), wake });
        let follower = Follower { shared: Arc::downgrade(&shared), repository, watch: None };
        let started = std::thread::Builder::new()
            .name("heads".to_owned())
            .spawn(move || follower.run(&woken));
        if let Err(error) = started {
            tracing::error!(%error, "no thread to follow the repository: waits end by their time");
        }
        Self { shared, first }
    }

    /// The same of a repository that this process has made: nobody can have known its groups before.
    pub(crate) fn of_new_repository(mut self) -> Self {
        self.first = Commits::default();
        self
    }

    /// Makes it look now.
    pub(crate) fn look(&self) {
        let _ = self.shared.wake.try_send(());
    }

    /// The heads, now and whenever one moves.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Commits> {
        self.shared.current.subscribe()
    }

    /// Whether there was such a group when it began.
    pub(crate) fn had(&self, group: &GroupName) -> bool {
        self.first.contains_key(group)
    }

    /// Whether there is such a group.
    pub(crate) fn has(&self, group: &GroupName) -> bool {
        self.shared.current.borrow().contains_key(group)
    }
}

struct Follower {
    shared: Weak<Shared>,
    repository: Repository,
    watch: Option<RepositoryWatch>,
}

impl Follower {
    fn run(mut self, woken: &Receiver<()>) {
        loop {
            let Some(shared) = self.shared.upgrade() else { return };
            if self.watch.as_ref().is_none_or(|watch| !watch.is_current()) {
                let wake = shared.wake.clone();
                let watch = RepositoryWatch::new(self.repository.path(), move || {
                    let _ = wake.try_send(());
                });
                self.watch = watch
                    .inspect_err(|error| {
                        tracing::debug!(%error, "cannot watch the repository; polling");
                    })
                    .ok();
            }
            match self.repository.heads() {
                Ok(now) => {
                    shared.current.send_if_modified(|current| {
                        let moved = **current != now;
                        if moved {
                            *current = Arc::new(now);
                        }
                        moved
                    });
                }
                Err(error) => tracing::debug!(%error, "cannot see where the groups are"),
            }
            drop(shared);
            if let Err(RecvTimeoutError::Disconnected) = woken.recv_timeout(POLL) {
                return;
            }
        }
    }
}
