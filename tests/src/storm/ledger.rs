//! What was true when: the states that a request may have met, and what did not fit.
//!
//! A request may meet every state of a property from the last one that its gateway is known to
//! serve when the request begins to the newest that somebody has begun to write when it ends.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::change::Property;

/// The states of every property, in order, and how far each gateway is.
#[derive(Debug)]
pub(crate) struct Ledger {
    written: Mutex<Written>,
    verdicts: Mutex<Verdicts>,
}

#[derive(Debug)]
struct Written {
    /// By property: each state, and the revision that it is in once that is known.
    states: BTreeMap<Property, Vec<(usize, Option<u64>)>>,
    /// Acknowledged commits: their revision, and when that was.
    commits: HashMap<String, (u64, Instant)>,
    /// The revision that a gateway serves at least.
    served: Vec<u64>,
    /// The longest from an acknowledgement until a gateway was seen to serve it.
    longest: Duration,
}

/// What came of the requests.
#[derive(Debug, Default, Clone)]
pub(crate) struct Verdicts {
    /// Requests that were answered as they should be.
    pub(crate) good: u64,
    /// Those of them that had a single state to be explained by.
    pub(crate) certain: u64,
    /// Those without an answer, or with an error.
    pub(crate) failed: u64,
    /// Those that no admissible state explains.
    pub(crate) misrouted: u64,
    /// Fresh handshakes of TLS among the good ones.
    pub(crate) handshakes: u64,
    /// The first of what is wrong.
    pub(crate) faults: Vec<String>,
}

/// Faults that are told in full.
const TOLD: usize = 20;

/// Where a request began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun {
    property: Property,
    first: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    /// Every property in state 0, served by each of so many gateways.
    pub(crate) fn new(revision: u64, gateways: usize) -> Self {
        let states =
            Property::ALL.iter().map(|property| (*property, vec![(0, Some(revision))])).collect();
        let written = Written {
            states,
            commits: HashMap::new(),
            served: vec![revision; gateways],
            longest: Duration::ZERO,
        };
        Self { written: Mutex::new(written), verdicts: Mutex::default() }
    }

    /// Somebody is about to write the next state of a property: that state.
    pub(crate) fn begin(&self, property: Property) -> usize {
        let mut written = lock(&self.written);
        let states = written.states.entry(property).or_default();
        let next = states.len();
        states.push((next, None));
        next
    }

    /// The write was acknowledged.
    pub(crate) fn acknowledge(&self, property: Property, commit: &str, revision: u64) {
        let mut written = lock(&self.written);
        if let Some(newest) = written.states.entry(property).or_default().last_mut() {
            newest.1 = Some(revision);
        }
        written.commits.insert(commit.to_owned(), (revision, Instant::now()));
    }

    /// A gateway says that it serves a commit. One that is not acknowledged yet says nothing.
    pub(crate) fn serves(&self, gateway: usize, commit: &str) {
        let mut written = lock(&self.written);
        let Some((revision, _)) = written.commits.get(commit).copied() else { return };
        // Never back: a gateway that went back would be believed.
        let before = written.served[gateway];
        written.served[gateway] = before.max(revision);
        // A gateway may pass over some: they are served with the next one.
        let with_it = |at: &&(u64, Instant)| at.0 > before && at.0 <= revision;
        let longest = written.commits.values().filter(with_it).map(|at| at.1.elapsed()).max();
        written.longest = written.longest.max(longest.unwrap_or_default());
    }

    /// Whether every gateway serves the newest of all that was acknowledged.
    pub(crate) fn settled(&self) -> bool {
        let written = lock(&self.written);
        let newest = written.commits.values().map(|(revision, _)| *revision).max();
        written.served.iter().all(|served| Some(*served) >= newest)
    }

    /// How many commits were acknowledged, and the longest until one was served.
    pub(crate) fn commits(&self) -> (usize, Duration) {
        let written = lock(&self.written);
        (written.commits.len(), written.longest)
    }

    /// The newest state of a property.
    pub(crate) fn newest(&self, property: Property) -> usize {
        lock(&self.written).states.get(&property).map_or(0, |states| states.len() - 1)
    }

    /// A request about a property begins.
    pub(crate) fn ask(&self, gateway: usize, property: Property) -> Begun {
        let written = lock(&self.written);
        let served = written.served[gateway];
        let known = |&(_, revision): &(usize, Option<u64>)| revision.is_some_and(|it| it <= served);
        let states = written.states.get(&property);
        let first = states.and_then(|states| states.iter().rposition(known)).unwrap_or_default();
        Begun { property, first }
    }

    /// The states that the request may have met, at its end.
    pub(crate) fn admissible(&self, begun: Begun) -> Vec<usize> {
        let written = lock(&self.written);
        let states = written.states.get(&begun.property).map_or(&[][..], Vec::as_slice);
        states[begun.first..].iter().map(|(state, _)| *state).collect()
    }

    /// Notes what came of a request.
    pub(crate) fn note(&self, note: impl FnOnce(&mut Verdicts)) {
        note(&mut lock(&self.verdicts));
    }

    /// What came of all requests so far.
    pub(crate) fn verdicts(&self) -> Verdicts {
        lock(&self.verdicts).clone()
    }
}

impl Verdicts {
    /// A request failed.
    pub(crate) fn fail(&mut self, fault: String) {
        self.failed += 1;
        self.tell(fault);
    }

    /// A request was answered by what it should not be answered by.
    pub(crate) fn misroute(&mut self, fault: String) {
        self.misrouted += 1;
        self.tell(fault);
    }

    fn tell(&mut self, fault: String) {
        if self.faults.len() < TOLD {
            self.faults.push(fault);
        }
    }
}
