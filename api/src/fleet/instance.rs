//! One gateway instance as it is told, whichever way it reports.

use std::time::Duration;

use jiff::Timestamp;
use refgate_core::name::{CommitId, GroupName};
use refgate_proxy::{GatewayStatus, State};
use serde::Serialize;
use serde_json::Value;

/// Silence after which an instance counts as lost: three check-ins that did not come.
pub const LOST: Duration = Duration::from_secs(30);
/// Silence after which it counts as offline.
pub const OFFLINE: Duration = Duration::from_secs(2 * 3600);
/// Silence after which it is forgotten.
pub const REMOVED: Duration = Duration::from_secs(7 * 86_400);

/// How an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum InstanceState {
    /// It serves what its group's branch says.
    Healthy,
    /// It serves the last good form of something, or waits for its branch.
    Degraded,
    /// It has not checked in for [`LOST`].
    Lost,
    /// It has not checked in for [`OFFLINE`].
    Offline,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Instance {
    /// Its name, one of its group's.
    pub instance: String,
    /// The group that it serves.
    pub group: GroupName,
    /// The version of its program.
    pub version: String,
    /// The commit that it serves; nothing before the first.
    pub commit: Option<CommitId>,
    /// How it is.
    pub state: InstanceState,
    /// What is wrong with the configuration, or worth a look.
    pub diagnostics: Vec<Value>,
    /// What else keeps it from being healthy, for people.
    pub message: Option<String>,
    /// When it started, RFC 3339; nothing when it did not say.
    pub started_at: Option<String>,
    /// When it was last heard of, RFC 3339.
    pub last_seen: String,
}

impl Instance {
    /// An instance in this process, which is seen at every look.
    pub(super) fn local(status: &GatewayStatus, now: Timestamp) -> Self {
        let found = |finding| serde_json::to_value(finding).unwrap_or_default();
        Self {
            instance: status.instance.clone(),
            group: status.group.clone(),
            version: status.version.to_string(),
            commit: status.commit,
            state: InstanceState::reported(status.state),
            diagnostics: status.diagnostics.iter().map(found).collect(),
            message: status.message.clone(),
            started_at: Some(status.started_at.clone()),
            last_seen: rfc3339(now),
        }
    }

    /// Whether it is heard of: one that is not is not waited for.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.state <= InstanceState::Degraded
    }
}

impl InstanceState {
    /// What an instance says of itself.
    pub(super) fn reported(state: State) -> Self {
        match state {
            State::Healthy => Self::Healthy,
            State::Degraded => Self::Degraded,
        }
    }

    /// What to think of it after so much silence; nothing: it is forgotten.
    pub(super) fn after(self, silence: Duration) -> Option<Self> {
        match silence {
            silence if silence < LOST => Some(self),
            silence if silence < OFFLINE => Some(Self::Lost),
            silence if silence < REMOVED => Some(Self::Offline),
            _ => None,
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Lost => "lost",
            Self::Offline => "offline",
        }
    }
}

/// A time as it is told everywhere.
pub(super) fn rfc3339(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
