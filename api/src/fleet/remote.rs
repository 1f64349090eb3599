//! Instances in other processes: who has checked in, and how long ago.
//!
//! Kept in memory alone: every instance comes again within seconds, so that a control plane that
//! starts knows its fleet soon. Times are those of this control plane's clock, whatever the instance
//! takes it to be.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use refgate_core::name::{CommitId, GroupName};
use refgate_core::repository::Clock;
use refgate_proxy::State;
use serde_json::Value;
use tokio::sync::watch;

use super::instance::{Instance, InstanceState, LOST, OFFLINE, REMOVED, rfc3339};
use crate::limits::INSTANCES;

/// What an instance says when it checks in.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckIn {
    /// Its name, one of its group's.
    pub instance: String,
    /// The group that it serves.
    pub group: GroupName,
    /// The version of its program.
    pub version: String,
    /// The commit that it serves.
    pub commit: Option<CommitId>,
    /// How it says it is.
    pub state: State,
    /// What is wrong with the configuration, or worth a look.
    pub diagnostics: Vec<Value>,
    /// What else keeps it from being healthy.
    pub message: Option<String>,
    /// When it started.
    pub started_at: Option<String>,
}

/// There are more instances than anybody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{INSTANCES} gateway instances are known already; take away those that are gone")]
pub struct TooMany;

/// Every instance that has checked in.
pub struct Remote {
    clock: Clock,
    seen: Mutex<BTreeMap<(GroupName, String), Seen>>,
    /// Counts the changes.
    changed: watch::Sender<u64>,
}

struct Seen {
    said: CheckIn,
    at: Timestamp,
}

impl Seen {
    fn silence(&self, now: Timestamp) -> Duration {
        // A clock that was set back makes nobody lost.
        Duration::try_from(now.duration_since(self.at)).unwrap_or_default()
    }

    fn state(&self, now: Timestamp) -> Option<InstanceState> {
        InstanceState::reported(self.said.state).after(self.silence(now))
    }
}

impl Remote {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, seen: Mutex::default(), changed: watch::Sender::new(0) }
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Takes down what an instance says; gives it back as it is told from now on, and whether it is
    /// new.
    ///
    /// # Errors
    /// When there are too many.
    pub fn check_in(&self, said: CheckIn) -> Result<(Instance, bool), TooMany> {
        let now = self.now();
        let key = (said.group.clone(), said.instance.clone());
        let mut all = self.lock();
        all.retain(|_, seen| seen.state(now).is_some());
        let before = all.get(&key).map(|seen| (seen.state(now), &seen.said));
        let is_new = before.is_none();
        if is_new && all.len() >= INSTANCES {
            return Err(TooMany);
        }
        let state = InstanceState::reported(said.state);
        let same = before.is_some_and(|before| before == (Some(state), &said));
        let told = told(&said, state, now);
        all.insert(key, Seen { said, at: now });
        drop(all);
        if !same {
            self.changed.send_modify(|changes| *changes += 1);
        }
        Ok((told, is_new))
    }

    /// Forgets an instance; false when none of this name is known.
    pub fn remove(&self, group: &GroupName, instance: &str) -> bool {
        let known = self.lock().remove(&(group.clone(), instance.to_owned())).is_some();
        if known {
            self.changed.send_modify(|changes| *changes += 1);
        }
        known
    }

    /// The instances of one group or of all.
    pub(super) fn instances(&self, group: Option<&GroupName>) -> Vec<Instance> {
        let now = self.now();
        let all = self.lock();
        let wanted =
            all.values().filter(|seen| group.is_none_or(|group| *group == seen.said.group));
        wanted
            .filter_map(|seen| {
                let at = rfc3339(seen.at);
                let told = told(&seen.said, seen.state(now)?, now);
                Some(Instance { last_seen: at, ..told })
            })
            .collect()
    }

    /// How long until silence alone makes an instance of the group another than it is.
    pub(super) fn until_a_change_of_state(&self, group: &GroupName) -> Option<Duration> {
        let now = self.now();
        let all = self.lock();
        let of_group = all.values().filter(|seen| seen.said.group == *group);
        let next = of_group.filter_map(|seen| {
            let silence = seen.silence(now);
            [LOST, OFFLINE, REMOVED]
                .into_iter()
                .find(|limit| *limit > silence)
                .map(|at| at - silence)
        });
        next.min()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(GroupName, String), Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn told(said: &CheckIn, state: InstanceState, now: Timestamp) -> Instance {
    let said = said.clone();
    Instance {
        instance: said.instance,
        group: said.group,
        version: said.version,
        commit: said.commit,
        state,
        diagnostics: said.diagnostics,
        message: said.message,
        started_at: said.started_at,
        last_seen: rfc3339(now),
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Remote").field("instances", &self.lock().len()).finish_non_exhaustive()
    }
}
