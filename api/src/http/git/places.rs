//! How many git processes run at one time, and how many requests wait for one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::problem::{Kind, Problem};

/// How long a request waits for its turn before it is told to come again.
const PATIENCE: Duration = Duration::from_secs(20);

/// A bounded number of processes with a bounded queue before them.
#[derive(Debug)]
pub(super) struct Places {
    width: u32,
    running: Arc<Semaphore>,
    /// Places for running and waiting together.
    admitted: Arc<Semaphore>,
}

/// The right to run one process, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _running: OwnedSemaphorePermit,
    _admitted: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new(width: u32, queue: u32) -> Self {
        let places = |count: u32| Arc::new(Semaphore::new(count as usize));
        Self { width, running: places(width), admitted: places(width + queue) }
    }

    /// Waits for a place.
    pub(super) async fn take(&self) -> Result<Place, Problem> {
        let busy = || {
            Problem::new(
                Kind::Unavailable,
                "too many clones or pushes run at this time; try again in a moment",
            )
        };
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| busy())?;
        let running = timeout(PATIENCE, Arc::clone(&self.running).acquire_owned());
        let running = running.await.map_err(|_| busy())?.map_err(|_| busy())?;
        Ok(Place { _running: running, _admitted: admitted })
    }

    /// Returns when no place is taken.
    pub(super) async fn empty(&self) {
        // The semaphore is never closed; were it, nobody would hold a place either.
        let _ = self.running.acquire_many(self.width).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_finds_no_place_is_told_at_once() {
        let places = Places::new(1, 1);
        let first = places.take().await.expect("a place");
        let (second, third) = tokio::join!(biased; places.take(), async {
            let refused = places.take().await.expect_err("the queue is full");
            drop(first);
            refused
        });
        assert_eq!(third.kind(), Kind::Unavailable);
        drop(second.expect("its turn comes"));
        places.empty().await;
    }
}
