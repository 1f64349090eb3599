//! A control plane as a source: a long poll that each commit answers.
//!
//! One thread asks; what it is answered is applied by the thread of the source, which then tells it
//! the commit to go on from. So there is never more than one answer on its way, and what is asked for
//! next is what leads on from what is there.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use refgate_core::mirror::{Mirror, MirrorError, Saved, Update};
use refgate_core::name::{CommitId, GroupName};
use refgate_core::store::StoreError;

use super::Wake;
use super::applied::Applied;
use super::state::StateFile;
use crate::control_plane::ControlPlane;
use crate::control_plane::client::{Client, ClientError, Failed};

/// How long the control plane is asked to wait for a commit.
const WAIT: Duration = Duration::from_secs(25);
/// The pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// An answer without news that came sooner than this was not waited for.
const NO_WAIT: Duration = Duration::from_secs(1);

/// What the control plane answered: what leads on, or that nothing does.
pub(super) type News = Result<Option<Update>, Failed>;

/// A control plane that is followed.
pub(super) struct RemoteOrigin {
    mirror: Mirror,
    address: String,
    /// The client, until the thread has it that asks.
    client: Option<Client>,
    next: Option<SyncSender<Next>>,
    /// The commit that was kept.
    restored: Option<CommitId>,
}

/// What to ask for next.
struct Next {
    since: Option<CommitId>,
    /// Whether the answer before was of use.
    sound: bool,
}

/// Why what was sent is not served.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RemoteOrigin {
    /// Applies what the control plane says now; when it says nothing, what a gateway before this one
    /// has kept.
    pub(super) fn open(
        applied: &mut Applied,
        target: ControlPlane,
        state: Option<&StateFile>,
    ) -> Result<Self, OpenError> {
        let mut client = Client::new(target)?;
        let group = applied.shared.group.clone();
        let (mirror, good) = match state.and_then(|state| state.restore(&group)) {
            Some(restored) => restored,
            None => (Mirror::new(group.clone())?, None),
        };
        let news = client.snapshot(&group, mirror.commit(), Duration::ZERO);
        let address = client.address();
        let restored = mirror.commit();
        let mut origin = Self { mirror, address, client: Some(client), next: None, restored };
        if let Some(good) = good {
            applied.inherit(good);
        }
        origin.take(applied, news);
        Ok(origin)
    }

    /// The commit that a gateway before this one has kept.
    pub(super) fn restored(&self) -> Option<CommitId> {
        self.restored
    }

    /// Begins to ask, in a thread of its own. It ends once this is dropped and its last answer came.
    pub(super) fn run(&mut self, group: GroupName, wake: SyncSender<Wake>) -> std::io::Result<()> {
        let Some(client) = self.client.take() else { return Ok(()) };
        // There is room for the one that it waits for: the source never does.
        let (next, asked) = sync_channel(1);
        let name = format!("poll-{group}");
        let poller = Poller { client, group, since: self.mirror.commit(), wake };
        std::thread::Builder::new().name(name).spawn(move || poller.run(&asked))?;
        self.next = Some(next);
        Ok(())
    }

    /// Applies an answer, and lets the next be asked for.
    pub(super) fn take(&mut self, applied: &mut Applied, news: News) {
        let mut sound = true;
        let is_new = matches!(news, Ok(Some(_)));
        let trouble = match news {
            Ok(Some(update)) => self.mirror.take(update).err().map(|error| self.unusable(&error)),
            Ok(None) => None,
            Err(failed) => Some(format!("the control plane {} is away: {failed}", self.address)),
        };
        // What was kept is served as soon as it is known whether there is something newer.
        let nothing_yet = applied.config().is_none();
        let mut unusable = None;
        if (is_new && trouble.is_none()) || (nothing_yet && self.mirror.commit().is_some()) {
            unusable = self.apply(applied).err().map(|error| self.unusable(&error));
        }
        if is_new && (trouble.is_some() || unusable.is_some()) {
            // All of it, next time.
            self.mirror.start_anew();
        }
        match trouble.or(unusable) {
            None => applied.shared.untroubled(),
            Some(message) => {
                sound = false;
                applied.shared.troubled(&message);
            }
        }
        if let Some(next) = &self.next {
            // Nobody asks any more when the process ends.
            let _ = next.try_send(Next { since: self.mirror.commit(), sound });
        }
    }

    fn apply(&mut self, applied: &mut Applied) -> Result<(), Unusable> {
        let before = applied.before();
        let loaded = match (self.mirror.load(before), before) {
            (Err(_), Some(before)) => self.mirror.load(Some(&before.elsewhere()))?,
            (other, _) => other?,
        };
        let Some(loaded) = loaded else { return Ok(()) };
        applied.apply(loaded);
        if let Some(config) = applied.config() {
            self.mirror.settle(config, applied.kept())?;
        }
        Ok(())
    }

    fn unusable(&self, error: &dyn std::error::Error) -> String {
        format!("what the control plane {} sent cannot be used: {error}", self.address)
    }

    /// What to keep for the next start.
    pub(super) fn save(&self) -> Result<Option<Saved>, StoreError> {
        self.mirror.save()
    }
}

/// Why a control plane cannot be followed at all.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The thread that asks.
struct Poller {
    client: Client,
    group: GroupName,
    since: Option<CommitId>,
    wake: SyncSender<Wake>,
}

impl Poller {
    fn run(mut self, asked: &Receiver<Next>) {
        let mut failures = 0;
        loop {
            let begun = Instant::now();
            let news = self.client.snapshot(&self.group, self.since, WAIT);
            let hasty = matches!(news, Ok(None)) && begun.elapsed() < NO_WAIT;
            if self.wake.send(Wake::News(Box::new(news))).is_err() {
                return;
            }
            let Ok(Next { since, sound }) = asked.recv() else { return };
            self.since = since;
            failures = if sound { 0 } else { failures + 1 };
            let pause = match failures {
                0 if hasty => NO_WAIT,
                0 => continue,
                failures => pause(failures, jitter()),
            };
            // Nothing comes but the end.
            if let Err(RecvTimeoutError::Disconnected) = asked.recv_timeout(pause) {
                return;
            }
        }
    }
}

/// How long to wait after so many failures; `jitter` is from 0 to 1, so that many gateways do not
/// come back at once.
fn pause(failures: u32, jitter: f64) -> Duration {
    let full = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(10));
    full.min(LONGEST_PAUSE).mul_f64(0.5 + jitter / 2.0)
}

fn jitter() -> f64 {
    let random = uuid::Uuid::new_v4().as_u128() as u32;
    f64::from(random) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_differ() {
        let table = [(1, 0.0, 125), (1, 1.0, 250), (2, 1.0, 500), (6, 1.0, 8000), (7, 0.5, 7500)];
        for (failures, jitter, millis) in table {
            assert_eq!(pause(failures, jitter), Duration::from_millis(millis), "{failures}");
        }
        assert_eq!(pause(u32::MAX, 1.0), LONGEST_PAUSE);
        assert!((0.0..=1.0).contains(&jitter()));
    }
}
