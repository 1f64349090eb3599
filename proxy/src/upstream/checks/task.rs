//! The task of a check: asks, takes down what came of it, rests.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use tokio::time::Instant;

use crate::upstream::health::{Change, Health, Outcome, Thresholds, Witness};

/// How often a node is asked, and what that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Between two checks of a healthy node.
    pub(crate) healthy: Duration,
    /// Between two checks of one that is out.
    pub(crate) unhealthy: Duration,
    pub(crate) thresholds: Thresholds,
}

/// Asks until it is aborted. The first time is at `offset` of the interval, so that the checks of
/// many nodes do not all begin at once.
pub(super) async fn run<Asked: Future<Output = Option<Outcome>>>(
    health: &Health,
    pace: &Pace,
    offset: f64,
    ask: impl Fn() -> Asked,
    tell: impl Fn(Option<Change>),
) {
    rest(health, pace, Instant::now(), offset).await;
    loop {
        let began = Instant::now();
        if let Some(outcome) = ask().await {
            tell(health.record(Witness::Check, &pace.thresholds, outcome));
        }
        rest(health, pace, began, 1.0).await;
    }
}

/// Rests for a share of the interval that began then. When requests turn a node out or back
/// meanwhile, the other interval is the one that counts.
async fn rest(health: &Health, pace: &Pace, began: Instant, share: f64) {
    loop {
        let interval = if health.is_out() { pace.unhealthy } else { pace.healthy };
        tokio::select! {
            () = tokio::time::sleep_until(began + interval.mul_f64(share)) => return,
            () = health.turned() => {}
        }
    }
}

/// A number from 0 to 1 that the identity decides.
pub(super) fn offset(identity: &impl Hash) -> f64 {
    let mut hasher = DefaultHasher::new();
    identity.hash(&mut hasher);
    let bits = u32::try_from(hasher.finish() >> 32).unwrap_or(0);
    f64::from(bits) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    const PACE: Pace = Pace {
        healthy: Duration::from_secs(10),
        unhealthy: Duration::from_secs(3),
        thresholds: Thresholds { successes: 2, http_failures: 2, tcp_failures: 1, timeouts: 1 },
    };

    /// When each of these outcomes was asked for, and what it changed; in milliseconds.
    async fn times(offset: f64, outcomes: &[Option<Outcome>]) -> (Vec<u128>, Vec<Change>) {
        let began = Instant::now();
        let (asked, changes) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let health = Health::default();
        let ask = || async {
            let place = asked.borrow().len();
            asked.borrow_mut().push(began.elapsed().as_millis());
            match outcomes.get(place) {
                Some(outcome) => *outcome,
                None => std::future::pending().await,
            }
        };
        let task = run(&health, &PACE, offset, ask, |change| changes.borrow_mut().extend(change));
        let end = tokio::time::timeout(Duration::from_secs(1000), task).await;
        assert!(end.is_err());
        (asked.into_inner(), changes.into_inner())
    }

    #[tokio::test(start_paused = true)]
    async fn nodes_are_asked_at_their_pace() {
        let good = Some(Outcome::Good);
        let (asked, changes) = times(0.5, &[good, None, Some(Outcome::Broken), good, good]).await;
        assert_eq!(asked, [5_000, 15_000, 25_000, 28_000, 31_000, 41_000]);
        let reason = "1 check had no connection or lost it".to_owned();
        assert_eq!(changes, [Change::Out(reason), Change::Back]);
    }

    #[tokio::test(start_paused = true)]
    async fn slow_checks_do_not_slow_the_pace() {
        let began = Instant::now();
        let asked = RefCell::new(Vec::new());
        let health = Health::default();
        let ask = || async {
            asked.borrow_mut().push(began.elapsed().as_secs());
            tokio::time::sleep(Duration::from_secs(4)).await;
            None
        };
        let task = run(&health, &PACE, 0.0, ask, |_| {});
        assert!(tokio::time::timeout(Duration::from_secs(25), task).await.is_err());
        assert_eq!(asked.into_inner(), [0, 10, 20]);
    }

    #[tokio::test(start_paused = true)]
    async fn nodes_that_requests_took_out_are_asked_at_the_other_pace() {
        let began = Instant::now();
        let asked = RefCell::new(Vec::new());
        let health = Health::default();
        let ask = || async {
            asked.borrow_mut().push(began.elapsed().as_secs());
            Some(Outcome::Good)
        };
        let fail = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            health.record(Witness::Request, &PACE.thresholds, Outcome::Broken);
            std::future::pending::<()>().await;
        };
        let task = run(&health, &PACE, 1.0, ask, |_| {});
        let both = async { tokio::join!(task, fail) };
        assert!(tokio::time::timeout(Duration::from_secs(17), both).await.is_err());
        assert_eq!(asked.into_inner(), [3, 6, 16], "out at 1, back at 6");
    }

    #[test]
    fn offsets_are_spread() {
        let offsets: Vec<f64> = (0..1000).map(|node| offset(&("shop/default", node))).collect();
        for tenth in 0..10 {
            let within = |value: &&f64| (**value * 10.0).floor() as i32 == tenth;
            let count = offsets.iter().filter(within).count();
            assert!((50..200).contains(&count), "{count} in tenth {tenth}");
        }
        assert!(offsets.iter().all(|value| (0.0..=1.0).contains(value)));
    }
}
