//! The one place where blocking git work crosses to async.
//!
//! Reads and writes wait in lanes of their own, so that a queue of writes (each of them only
//! waits for the repository's writer thread) never keeps a read from a thread. A lane that is
//! full answers 503 at once: a queue that grows without end helps nobody. Work that has begun
//! always ends: when the client leaves, the closure still runs to its end on its thread and gives
//! its place back then.

use std::path::Path;
use std::sync::Arc;

use refgate_core::repository::{MaintenanceStats, Repository};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::limits::{PATIENCE, QUEUE};
use crate::problem::{Kind, Problem};

/// A repository that async code may use.
#[derive(Clone)]
pub struct Store {
    repository: Repository,
    reads: Lane,
    writes: Lane,
}

impl Store {
    /// Lanes of the usual width before `repository`.
    #[must_use]
    pub fn new(repository: Repository) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self { repository, reads: Lane::new(cores * 4, QUEUE), writes: Lane::new(64, QUEUE) }
    }

    /// Where the repository is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.repository.path()
    }

    /// What the repository's maintenance did so far; does not block.
    #[must_use]
    pub fn maintenance(&self) -> MaintenanceStats {
        self.repository.maintenance()
    }

    /// The repository, for who may block.
    pub(crate) fn repository(&self) -> Repository {
        self.repository.clone()
    }

    /// Runs work that only reads.
    ///
    /// # Errors
    /// What the work answers; `unavailable` when too many wait already.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        E: Into<Problem> + Send + 'static,
        F: FnOnce(&Repository) -> Result<T, E> + Send + 'static,
    {
        let repository = self.repository.clone();
        self.reads.run(move || work(&repository)).await
    }

    /// Runs work that writes, or plans to.
    ///
    /// # Errors
    /// What the work answers; `unavailable` when too many wait already.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        E: Into<Problem> + Send + 'static,
        F: FnOnce(&Repository) -> Result<T, E> + Send + 'static,
    {
        let repository = self.repository.clone();
        self.writes.run(move || work(&repository)).await
    }
}

/// A bounded number of threads with a bounded queue before them.
#[derive(Clone)]
struct Lane {
    running: Arc<Semaphore>,
    /// Places for running and waiting together.
    admitted: Arc<Semaphore>,
}

impl Lane {
    fn new(width: usize, queue: usize) -> Self {
        Self {
            running: Arc::new(Semaphore::new(width)),
            admitted: Arc::new(Semaphore::new(width + queue)),
        }
    }

    async fn run<T, E, F>(&self, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        E: Into<Problem> + Send + 'static,
        F: FnOnce() -> Result<T, E> + Send + 'static,
    {
        let place = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| saturated())?;
        let turn = timeout(PATIENCE, Arc::clone(&self.running).acquire_owned())
            .await
            .map_err(|_| saturated())?
            .map_err(|_| saturated())?;
        let span = tracing::Span::current();
        let task = tokio::task::spawn_blocking(move || {
            let _places = (place, turn);
            span.in_scope(work)
        });
        match task.await {
            Ok(answer) => answer.map_err(Into::into),
            Err(panicked) => Err(Problem::internal(&panicked)),
        }
    }
}

fn saturated() -> Problem {
    Problem::new(Kind::Unavailable, "the control plane is busy; try again in a moment")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_full_lane_refuses_and_an_abandoned_caller_gives_its_place_back() {
        let lane = Lane::new(1, 0);
        let (release, held) = mpsc::channel::<()>();
        let (started, begun) = tokio::sync::oneshot::channel();
        let running = lane.clone();
        let caller = tokio::spawn(async move {
            running
                .run(move || {
                    let _ = started.send(());
                    let _ = held.recv();
                    Ok::<(), Problem>(())
                })
                .await
        });
        begun.await.expect("the work starts");
        let refused = lane.run(|| Ok::<(), Problem>(())).await.expect_err("no place left");
        assert_eq!(refused.kind(), Kind::Unavailable);

        caller.abort();
        assert!(lane.run(|| Ok::<(), Problem>(())).await.is_err(), "the work is still running");
        release.send(()).expect("the work waits");
        let _freed = lane.admitted.acquire().await.expect("the place comes back");
    }

    #[tokio::test]
    async fn a_panic_is_an_internal_problem() {
        let lane = Lane::new(1, 0);
        let work = || -> Result<(), Problem> { panic!("on purpose") };
        assert_eq!(lane.run(work).await.expect_err("it panicked").kind(), Kind::Internal);
    }
}
