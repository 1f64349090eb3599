//! Whether a client takes anything of what is written to it.
//!
//! Pingora limits how long a part of an answer may take on its way into the connection, but not what
//! happens behind that: a connection in HTTP/2, or the end of an answer, would wait for ever for a
//! client that reads no more.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// The writes to one client.
#[derive(Debug)]
pub(super) struct Taking {
    /// How long the client may take nothing.
    most: Duration,
    /// Since when it does not.
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Taking {
    pub(super) fn new(most: Duration) -> Self {
        Self { most, since: None, timer: None }
    }

    /// What becomes of a write: one that waits fails when the client has taken nothing for too long.
    pub(super) fn judge<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.since = None;
            return written;
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        let Some(end) = since.checked_add(self.most) else { return Poll::Pending };
        // Most waits are short: the timer stays as it is, and is set anew when it is over.
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        while timer.as_mut().poll(cx).is_ready() {
            if timer.deadline() >= end {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            timer.as_mut().reset(end);
        }
        Poll::Pending
    }

    /// Nothing is to be written for a while: the memory is given back.
    pub(super) fn rest(&mut self) {
        self.timer = None;
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_given_up() {
        let most = Duration::from_secs(60);
        let mut taking = Taking::new(most);
        for seconds in [59, 30, 59] {
            let wait = poll_fn(|cx| taking.judge(cx, Poll::<io::Result<()>>::Pending));
            let pause = Duration::from_secs(seconds);
            assert!(tokio::time::timeout(pause, wait).await.is_err(), "it has time left");
            poll_fn(|cx| taking.judge(cx, Poll::Ready(Ok(())))).await.unwrap();
        }
        let began = Instant::now();
        let wait = poll_fn(|cx| taking.judge(cx, Poll::<io::Result<()>>::Pending));
        assert_eq!(wait.await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed(), most);
    }
}
