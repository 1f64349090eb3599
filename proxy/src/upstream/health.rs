//! Whether a node takes requests, as far as checks and requests can tell.
//!
//! What checks see and what requests meet is counted apart: a check that goes well says nothing
//! about the requests that failed. Either can take a node out; what brings it back starts from zero.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;

/// What a check or a request says of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It answered well.
    Good,
    /// It answered with a bad status.
    Status(u16),
    /// There was no connection, or it broke.
    Broken,
    /// It did not answer in time.
    Timeout,
}

/// Who has seen it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Witness {
    /// A check of the gateway's own.
    Check,
    /// A request.
    Request,
}

/// How many outcomes change what is thought of a node; 0: none do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Thresholds {
    pub(crate) successes: u32,
    pub(crate) http_failures: u32,
    pub(crate) tcp_failures: u32,
    pub(crate) timeouts: u32,
}

/// Why a node is out, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Out {
    pub(crate) reason: String,
    pub(crate) since: Timestamp,
}

/// What is thought of a node.
#[derive(Debug, Default)]
pub(crate) struct Health {
    out: AtomicBool,
    /// Whether requests have failed since the last good one: else there is nothing to write down.
    failing: AtomicBool,
    counts: Mutex<Counts>,
    /// The checks that watch the node, the newest last: only that one counts. The one before counts
    /// again when a newer one comes to nothing.
    watchers: Mutex<Vec<u64>>,
    /// Wakes the check when requests have changed what is thought of the node.
    turned: Notify,
}

#[derive(Debug, Default)]
struct Counts {
    checks: Tally,
    requests: Tally,
    out: Option<Out>,
}

/// Outcomes in a row.
#[derive(Debug, Default)]
struct Tally {
    successes: u32,
    http_failures: u32,
    tcp_failures: u32,
    timeouts: u32,
}

/// What an outcome changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// The node takes no requests any more; the text says why.
    Out(String),
    /// It takes them again.
    Back,
}

impl Health {
    /// A new check watches the node; gives its number.
    pub(crate) fn enter(&self) -> u64 {
        let mut watchers = self.watchers();
        let number = watchers.last().map_or(0, |last| last + 1);
        watchers.push(number);
        number
    }

    /// A check watches the node no more.
    pub(crate) fn leave(&self, number: u64) {
        self.watchers().retain(|own| *own != number);
    }

    /// Whether what this check sees counts.
    pub(crate) fn heeds(&self, number: u64) -> bool {
        self.watchers().last() == Some(&number)
    }

    fn watchers(&self) -> MutexGuard<'_, Vec<u64>> {
        // Each change of the list is whole.
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the node should get no requests.
    pub(crate) fn is_out(&self) -> bool {
        self.out.load(Ordering::Relaxed)
    }

    /// Why and since when the node is out, when it is.
    pub(crate) fn out(&self) -> Option<Out> {
        self.counts().out.clone()
    }

    /// Takes an outcome down.
    pub(crate) fn record(
        &self,
        witness: Witness,
        thresholds: &Thresholds,
        outcome: Outcome,
    ) -> Option<Change> {
        let by_request = witness == Witness::Request;
        if by_request && outcome == Outcome::Good {
            // Nearly every request ends here.
            let quiet = !self.failing.load(Ordering::Relaxed) && !self.is_out();
            if quiet {
                return None;
            }
        }
        let mut counts = self.counts();
        if by_request {
            self.failing.store(outcome != Outcome::Good, Ordering::Relaxed);
        }
        let tally = if by_request { &mut counts.requests } else { &mut counts.checks };
        let reached = tally.add(outcome, thresholds);
        let change = match (outcome, counts.out.is_some()) {
            (Outcome::Good, true) if reached.is_some() => Change::Back,
            (Outcome::Status(_) | Outcome::Broken | Outcome::Timeout, false) => {
                Change::Out(reason(witness, outcome, reached?))
            }
            _ => return None,
        };
        counts.checks = Tally::default();
        counts.requests = Tally::default();
        counts.out = match &change {
            Change::Out(reason) => Some(Out { reason: reason.clone(), since: Timestamp::now() }),
            Change::Back => None,
        };
        self.out.store(counts.out.is_some(), Ordering::Relaxed);
        if by_request {
            self.turned.notify_one();
        }
        Some(change)
    }

    /// Waits until requests have taken the node out or brought it back.
    pub(crate) async fn turned(&self) {
        self.turned.notified().await;
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // A panic while the lock was held could only have left a count that is off by one.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tally {
    /// Counts, and says how many there are when that is enough.
    fn add(&mut self, outcome: Outcome, thresholds: &Thresholds) -> Option<u32> {
        let (count, enough) = match outcome {
            Outcome::Good => {
                *self = Self { successes: self.successes, ..Self::default() };
                (&mut self.successes, thresholds.successes)
            }
            Outcome::Status(_) => {
                self.successes = 0;
                (&mut self.http_failures, thresholds.http_failures)
            }
            Outcome::Broken => {
                self.successes = 0;
                (&mut self.tcp_failures, thresholds.tcp_failures)
            }
            Outcome::Timeout => {
                self.successes = 0;
                (&mut self.timeouts, thresholds.timeouts)
            }
        };
        *count = count.saturating_add(1);
        (enough > 0 && *count >= enough).then_some(*count)
    }
}

fn reason(witness: Witness, outcome: Outcome, count: u32) -> String {
    let what = match (witness, count) {
        (Witness::Check, 1) => "check",
        (Witness::Check, _) => "checks",
        (Witness::Request, 1) => "request",
        (Witness::Request, _) => "requests",
    };
    match outcome {
        Outcome::Good => String::new(),
        Outcome::Status(status) => format!("{count} {what} failed, the last with status {status}"),
        Outcome::Broken => format!("{count} {what} had no connection or lost it"),
        Outcome::Timeout => format!("{count} {what} had no answer in time"),
    }
}

/// Statuses from 100 to 599.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct StatusSet([u64; 8]);

impl StatusSet {
    const FIRST: u16 = 100;

    pub(crate) fn contains(&self, status: u16) -> bool {
        let place = usize::from(status.wrapping_sub(Self::FIRST));
        self.0.get(place / 64).is_some_and(|word| word & (1 << (place % 64)) != 0)
    }
}

impl FromIterator<u16> for StatusSet {
    fn from_iter<T: IntoIterator<Item = u16>>(statuses: T) -> Self {
        let mut set = Self::default();
        for status in statuses {
            let place = usize::from(status.wrapping_sub(Self::FIRST));
            if let Some(word) = set.0.get_mut(place / 64) {
                *word |= 1 << (place % 64);
            }
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRESHOLDS: Thresholds =
        Thresholds { successes: 2, http_failures: 3, tcp_failures: 2, timeouts: 0 };

    fn check(health: &Health, outcome: Outcome) -> Option<Change> {
        health.record(Witness::Check, &THRESHOLDS, outcome)
    }

    fn request(health: &Health, outcome: Outcome) -> Option<Change> {
        health.record(Witness::Request, &THRESHOLDS, outcome)
    }

    #[test]
    fn rows_of_failures_take_a_node_out_and_rows_of_successes_bring_it_back() {
        let health = Health::default();
        assert_eq!(check(&health, Outcome::Status(500)), None);
        assert_eq!(check(&health, Outcome::Status(500)), None);
        assert_eq!(check(&health, Outcome::Good), None, "the row ends");
        assert_eq!(check(&health, Outcome::Status(500)), None);
        assert_eq!(check(&health, Outcome::Broken), None, "kinds are counted apart");
        assert_eq!(check(&health, Outcome::Status(500)), None);
        let change = check(&health, Outcome::Status(503));
        let reason = "3 checks failed, the last with status 503";
        assert_eq!(change, Some(Change::Out(reason.to_owned())));
        assert!(health.is_out());
        assert_eq!(health.out().expect("it is out").reason, reason);
        assert_eq!(check(&health, Outcome::Status(503)), None, "it is out already");
        assert_eq!(check(&health, Outcome::Good), None);
        assert_eq!(check(&health, Outcome::Broken), None);
        assert_eq!(check(&health, Outcome::Good), None, "the row began anew");
        assert_eq!(check(&health, Outcome::Good), Some(Change::Back));
        assert!(!health.is_out() && health.out().is_none());
    }

    #[test]
    fn what_is_not_counted_takes_nothing_out() {
        let health = Health::default();
        for _ in 0..100 {
            assert_eq!(check(&health, Outcome::Timeout), None);
        }
        let never = Thresholds { successes: 0, tcp_failures: 1, ..THRESHOLDS };
        assert!(health.record(Witness::Check, &never, Outcome::Broken).is_some());
        for _ in 0..100 {
            assert_eq!(health.record(Witness::Check, &never, Outcome::Good), None);
        }
        assert!(health.is_out());
    }

    #[test]
    fn good_checks_do_not_hide_failing_requests() {
        let health = Health::default();
        for _ in 0..2 {
            assert_eq!(request(&health, Outcome::Status(500)), None);
            assert_eq!(check(&health, Outcome::Good), None);
        }
        assert!(matches!(request(&health, Outcome::Status(500)), Some(Change::Out(_))));
        assert_eq!(check(&health, Outcome::Good), None);
        assert_eq!(check(&health, Outcome::Good), Some(Change::Back));
        assert_eq!(request(&health, Outcome::Status(500)), None, "counted from the beginning");
        assert_eq!(request(&health, Outcome::Good), None);
        assert_eq!(request(&health, Outcome::Status(500)), None);
        assert_eq!(request(&health, Outcome::Status(500)), None);
        assert!(request(&health, Outcome::Status(500)).is_some());
    }

    #[test]
    fn the_newest_check_is_the_one_that_counts() {
        let health = Health::default();
        let first = health.enter();
        assert!(health.heeds(first));
        let second = health.enter();
        assert!(!health.heeds(first) && health.heeds(second));
        health.leave(second);
        assert!(health.heeds(first), "the newer one came to nothing");
        let third = health.enter();
        health.leave(first);
        assert!(health.heeds(third) && !health.heeds(first));
    }

    #[test]
    fn sets_hold_their_statuses() {
        let statuses = [100, 163, 164, 200, 599];
        let set: StatusSet = statuses.into_iter().chain([0, 99, 612, 999]).collect();
        for status in 0..=u16::MAX {
            assert_eq!(set.contains(status), statuses.contains(&status), "{status}");
        }
    }
}
