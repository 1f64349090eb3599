//! The gateways that this control plane knows, and what each of them serves.
//!
//! Instances in this process report through a watch channel; their word is always current, so
//! none of them is ever lost or offline. Instances elsewhere check in, see [`remote`]. How one is
//! told is [`instance`]'s business; [`convergence`] asks when a commit is served everywhere.

pub(crate) mod convergence;
pub mod instance;
pub mod remote;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use refgate_core::name::GroupName;
use refgate_core::repository::Clock;
use refgate_proxy::GatewayStatus;
use serde::Serialize;
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{StreamExt as _, StreamMap};

use self::instance::{Instance, InstanceState, LOST};
use self::remote::Remote;

/// How one instance of this process reports.
pub type StatusReceiver = watch::Receiver<Arc<GatewayStatus>>;

/// Every known gateway instance. Clones know the same.
#[derive(Clone)]
pub struct Fleet {
    local: Arc<[StatusReceiver]>,
    remote: Arc<Remote>,
    /// Since when instances elsewhere can be heard.
    since: Timestamp,
}

/// How many instances a group has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Those that serve all of the group's configuration.
    pub healthy: usize,
    /// All that are known, lost ones among them.
    pub total: usize,
}

impl Fleet {
    /// The fleet of these instances, and of all that check in.
    #[must_use]
    pub fn of(instances: impl IntoIterator<Item = StatusReceiver>) -> Self {
        Self::with_clock(instances, Arc::new(Timestamp::now))
    }

    /// The same, with something else that tells the time.
    #[must_use]
    pub fn with_clock(instances: impl IntoIterator<Item = StatusReceiver>, clock: Clock) -> Self {
        let since = clock();
        let remote = Arc::new(Remote::new(clock));
        Self { local: instances.into_iter().collect(), remote, since }
    }

    /// The instances that check in.
    #[must_use]
    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Every instance, of one group or of all, by group and name.
    #[must_use]
    pub fn instances(&self, group: Option<&GroupName>) -> Vec<Instance> {
        let now = self.remote.now();
        let wanted = |of: &GroupName| group.is_none_or(|group| group == of);
        let local = self.local.iter().map(|one| Arc::clone(&one.borrow()));
        let local = local.filter(|status| wanted(&status.group));
        let mut all: Vec<_> = local.map(|status| Instance::local(&status, now)).collect();
        all.extend(self.remote.instances(group));
        all.sort_by(|a, b| (&a.group, &a.instance).cmp(&(&b.group, &b.instance)));
        all
    }

    /// Whether an instance of this name runs in this process.
    #[must_use]
    pub fn is_local(&self, group: &GroupName, instance: &str) -> bool {
        self.local.iter().any(|one| {
            let status = one.borrow();
            status.group == *group && status.instance == instance
        })
    }

    /// How long until whoever has not checked in is not there; nothing once that is so. What is
    /// known of instances elsewhere is in memory, and begins with the process.
    #[must_use]
    pub fn gathering(&self) -> Option<Duration> {
        // A clock that was set back makes nobody be there.
        let heard = self.remote.now().duration_since(self.since);
        LOST.checked_sub(Duration::try_from(heard).unwrap_or_default())
            .filter(|left| !left.is_zero())
    }

    /// How many instances a group has.
    #[must_use]
    pub fn counts(&self, group: &GroupName) -> Counts {
        let all = self.instances(Some(group));
        let healthy = all.iter().filter(|one| one.state == InstanceState::Healthy).count();
        Counts { healthy, total: all.len() }
    }

    /// What tells that an instance of the group may be another than it was.
    pub(crate) fn wakes(&self, group: &GroupName) -> Wakes {
        let of_group = self.local.iter().filter(|one| one.borrow().group == *group);
        let mut local = StreamMap::new();
        for (index, instance) in of_group.enumerate() {
            local.insert(index, WatchStream::from_changes(instance.clone()));
        }
        let (fleet, group) = (self.clone(), group.clone());
        Wakes { local, remote: self.remote.subscribe(), fleet, group }
    }
}

/// Tells of changes since it was made, or since the last that it told of.
pub(crate) struct Wakes {
    local: StreamMap<usize, WatchStream<Arc<GatewayStatus>>>,
    remote: watch::Receiver<u64>,
    fleet: Fleet,
    group: GroupName,
}

impl Wakes {
    /// Returns when an instance has reported, or has been silent for so long that it counts as lost.
    pub(crate) async fn next(&mut self) {
        let silence = self.fleet.remote.until_a_change_of_state(&self.group);
        let silence = async {
            match silence {
                Some(time) => tokio::time::sleep(time.max(Duration::from_millis(10))).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(_) = self.local.next() => {}
            Ok(()) = self.remote.changed() => {}
            () = silence => {}
        }
    }
}
