//! Requests of HTTP/2 that are served. Each has a task of its own, which may outlive its connection
//! by a moment; a drain waits for them, so that the last ones are counted and logged as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Counts requests that are served.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    open: AtomicUsize,
    ended: Notify,
}

/// A request that is served until this is dropped.
#[derive(Debug)]
pub(crate) struct OpenStream(Arc<Streams>);

impl Streams {
    /// One more.
    pub(crate) fn open(self: &Arc<Self>) -> OpenStream {
        self.open.fetch_add(1, Ordering::Relaxed);
        OpenStream(Arc::clone(self))
    }

    /// Waits until there are none. For one waiter.
    pub(crate) async fn all_ended(&self) {
        while self.open.load(Ordering::Acquire) > 0 {
            self.ended.notified().await;
        }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::Release) == 1 {
            // Kept for a waiter that is about to wait.
            self.0.ended.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_one_ends_the_wait() {
        let streams = Arc::new(Streams::default());
        streams.all_ended().await;
        let (one, two) = (streams.open(), streams.open());
        let waiting = Arc::clone(&streams);
        let wait = tokio::spawn(async move { waiting.all_ended().await });
        drop(one);
        tokio::task::yield_now().await;
        assert!(!wait.is_finished());
        drop(two);
        wait.await.unwrap();
    }
}
