//! What a gateway says about itself, and the listener that says it to machines.

pub(crate) mod server;

use refgate_core::diagnostic::Diagnostic;
use refgate_core::name::{CommitId, GroupName};
use serde::Serialize;

/// How a gateway is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GatewayStatus {
    /// The name of the instance.
    pub instance: String,
    /// The group that it serves.
    pub group: GroupName,
    /// The version of the program.
    pub version: &'static str,
    /// The commit that it serves; nothing before the first.
    pub commit: Option<CommitId>,
    /// Whether it serves that commit whole.
    pub state: State,
    /// What is wrong with the configuration, or worth a look.
    pub diagnostics: Vec<Diagnostic>,
    /// What keeps it from being healthy beside its configuration, for people.
    pub message: Option<String>,
    /// Since when its source cannot be followed, RFC 3339; nothing while it can.
    pub away_since: Option<String>,
    /// When it started, RFC 3339.
    pub started_at: String,
}

/// The state of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It serves what its group's branch says.
    Healthy,
    /// It serves the last good form of something, or waits for its branch.
    Degraded,
}
