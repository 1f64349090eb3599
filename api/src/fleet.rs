//! The gateways that this control plane knows, and what each of them serves.
//!
//! Instances in this process report through a watch channel; their word is always current, so
//! none of them is ever lost or offline. [`convergence`] asks when a commit is served everywhere.

pub(crate) mod convergence;

use std::sync::Arc;

use refgate_core::name::GroupName;
use refgate_proxy::{GatewayStatus, State};
use serde::Serialize;
use tokio::sync::watch;

/// How one instance reports.
pub type StatusReceiver = watch::Receiver<Arc<GatewayStatus>>;

/// Every known gateway instance.
#[derive(Clone, Default)]
pub struct Fleet {
    instances: Arc<[StatusReceiver]>,
}

/// How many instances a group has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Those that serve all of the group's configuration.
    pub healthy: usize,
    /// All of them.
    pub total: usize,
}

impl Fleet {
    /// The fleet of these instances.
    #[must_use]
    pub fn of(instances: impl IntoIterator<Item = StatusReceiver>) -> Self {
        Self { instances: instances.into_iter().collect() }
    }

    /// What every instance reports, by group and name.
    #[must_use]
    pub fn statuses(&self) -> Vec<Arc<GatewayStatus>> {
        let mut all: Vec<_> = self.instances.iter().map(|one| Arc::clone(&one.borrow())).collect();
        all.sort_by(|a, b| (&a.group, &a.instance).cmp(&(&b.group, &b.instance)));
        all
    }

    /// The instances of one group.
    pub(crate) fn of_group(&self, group: &GroupName) -> Vec<StatusReceiver> {
        self.instances.iter().filter(|one| one.borrow().group == *group).cloned().collect()
    }

    /// How many instances a group has.
    #[must_use]
    pub fn counts(&self, group: &GroupName) -> Counts {
        let of_group = self.of_group(group);
        let healthy = of_group.iter().filter(|one| one.borrow().state == State::Healthy).count();
        Counts { healthy, total: of_group.len() }
    }
}
