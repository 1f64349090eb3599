//! How slowly a client may send the body of a request.
//!
//! Only the time counts in which the gateway waits for the client: not that in which a node takes its
//! time. There is some to begin with, and a second more for every so many bytes that come.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

use super::limits::Limits;

/// The time that a client has left for the body of a request.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    /// Bytes that a second is given for; nothing: it may take for ever.
    rate: Option<NonZeroU32>,
    left: Duration,
    /// Since when it is waited for.
    since: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { rate: limits.min_body_rate, left: limits.transfer_timeout, since: None }
    }

    /// The client is waited for, if it was not yet: until when it may take.
    pub(crate) fn wait(&mut self, now: Instant) -> Option<Instant> {
        self.rate?;
        self.since.get_or_insert(now).checked_add(self.left)
    }

    /// So many bytes have come, or it is not waited for any more.
    pub(crate) fn came(&mut self, now: Instant, bytes: usize) {
        let Some(rate) = self.rate else { return };
        if let Some(since) = self.since.take() {
            self.left = self.left.saturating_sub(now.saturating_duration_since(since));
        }
        let micros = (bytes as u64).saturating_mul(1_000_000) / u64::from(rate.get());
        self.left = self.left.saturating_add(Duration::from_micros(micros));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_buy_time_and_waiting_costs_it() {
        let seconds = Duration::from_secs;
        let limits = Limits {
            min_body_rate: NonZeroU32::new(100),
            transfer_timeout: seconds(60),
            ..Limits::default()
        };
        let mut pace = Pace::new(&limits);
        let now = Instant::now();
        assert_eq!(pace.wait(now), Some(now + seconds(60)));
        assert_eq!(pace.wait(now + seconds(5)), Some(now + seconds(60)), "it goes on");
        pace.came(now + seconds(10), 300);
        // What is not waited for is free.
        let now = now + seconds(1000);
        assert_eq!(pace.wait(now), Some(now + seconds(53)));
        pace.came(now + seconds(100), 50);
        assert_eq!(pace.wait(now), Some(now + Duration::from_millis(500)));

        let mut pace = Pace::new(&Limits { min_body_rate: None, ..limits });
        assert_eq!(pace.wait(now), None);
    }
}
