//! One node: who it is, and what is known about it while the gateway runs.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::HeaderValue;

use super::address::Addresses;
use super::address::resolver::Resolver;
use super::checks::Check;
use super::peer::NodePeer;

/// A node of an upstream.
#[derive(Debug)]
pub(crate) struct Node {
    /// Host and port as the document has them: the node's identity.
    pub(crate) key: NodeKey,
    pub(crate) weight: u32,
    pub(crate) priority: i32,
    /// What it is told as `Host` by `"pass_host": "node"`.
    pub(crate) host: HeaderValue,
    /// How it is connected to, but for the address.
    pub(crate) peer: NodePeer,
    /// What is known about it; outlives the snapshot.
    pub(crate) state: Arc<NodeState>,
    /// What watches its health; nothing: it counts as healthy.
    pub(crate) check: Option<Arc<Check>>,
}

impl Node {
    /// Whether checks have taken it out.
    pub(crate) fn is_out(&self) -> bool {
        self.check.as_ref().is_some_and(|check| check.is_out())
    }
}

/// What a node is recognised by from one snapshot to the next.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeKey {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl fmt::Display for NodeKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(out, "[{}]:{}", self.host, self.port)
        } else {
            write!(out, "{}:{}", self.host, self.port)
        }
    }
}

/// What is known about a node.
#[derive(Debug)]
pub(crate) struct NodeState {
    pub(crate) addresses: Addresses,
    in_flight: AtomicU32,
    latency: Latency,
}

impl NodeState {
    pub(crate) fn new(key: &NodeKey, resolver: &Arc<Resolver>) -> Self {
        Self {
            addresses: Addresses::new(&key.host, key.port, resolver),
            in_flight: AtomicU32::new(0),
            latency: Latency::default(),
        }
    }

    /// Requests that the node has not answered in full.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The moving average of the time to the node's answer, in microseconds; 0 when unknown.
    pub(crate) fn latency(&self) -> f64 {
        self.latency.get()
    }

    /// Takes the time of one answer, or of one failure, into the average.
    pub(crate) fn answered_after(&self, elapsed: Duration) {
        self.latency.record(elapsed, Instant::now());
    }
}

/// Counts a request as in flight until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<NodeState>);

impl InFlight {
    pub(crate) fn new(state: &Arc<NodeState>) -> Self {
        state.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(state))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An exponentially weighted moving average over time.
///
/// Two words that are not updated together: a race loses one sample, which an average bears.
#[derive(Debug)]
struct Latency {
    epoch: Instant,
    /// Bits of the average in microseconds.
    average: AtomicU64,
    /// Microseconds from `epoch` to the last sample; 0: none yet.
    last: AtomicU64,
}

/// After this time a sample weighs 1/e of what it did.
const DECAY: Duration = Duration::from_secs(10);

impl Default for Latency {
    fn default() -> Self {
        Self { epoch: Instant::now(), average: AtomicU64::new(0), last: AtomicU64::new(0) }
    }
}

impl Latency {
    fn get(&self) -> f64 {
        f64::from_bits(self.average.load(Ordering::Relaxed))
    }

    fn record(&self, elapsed: Duration, now: Instant) {
        let at = u64::try_from(now.saturating_duration_since(self.epoch).as_micros())
            .unwrap_or(u64::MAX)
            .max(1);
        let last = self.last.swap(at, Ordering::Relaxed);
        let sample = elapsed.as_secs_f64() * 1e6;
        let average = if last == 0 {
            sample
        } else {
            let since = Duration::from_micros(at.saturating_sub(last)).as_secs_f64();
            // A burst of samples at one moment must still move the average.
            let kept = (-since / DECAY.as_secs_f64()).exp().min(0.95);
            self.get().mul_add(kept, sample * (1.0 - kept))
        };
        self.average.store(average.to_bits(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_follow_the_samples() {
        let latency = Latency::default();
        assert!(latency.get().abs() < f64::EPSILON);
        latency.record(Duration::from_millis(10), latency.epoch);
        assert!((latency.get() - 10_000.0).abs() < 1.0);
        latency.record(Duration::from_millis(20), latency.epoch);
        let soon = latency.get();
        assert!((10_400.0..=10_600.0).contains(&soon), "{soon}");
        latency.record(Duration::from_millis(20), latency.epoch + Duration::from_secs(100));
        assert!((latency.get() - 20_000.0).abs() < 10.0);
    }

    #[test]
    fn requests_in_flight_are_counted_while_they_are() {
        let key = NodeKey { host: "::1".to_owned(), port: 1 };
        let state = Arc::new(NodeState::new(&key, &Arc::default()));
        let one = InFlight::new(&state);
        let other = InFlight::new(&state);
        assert_eq!(state.in_flight(), 2);
        drop((one, other));
        assert_eq!(state.in_flight(), 0);
    }
}
