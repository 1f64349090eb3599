//! What is told of groups, services, versions and events: the shapes that clients rely on.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::config::Live;
use crate::diagnostic::Diagnostic;
use crate::diff::Change;
use crate::name::{CommitId, ContentId, GroupName, Revision, ServiceName};
use crate::version::Version;

/// A document with its entity tag.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Object {
    /// The document, with every default filled in.
    #[serde(flatten)]
    pub value: Value,
    /// Who changed it last.
    #[serde(flatten)]
    pub last: LastChange,
    /// Changes whenever the document does, and never holds a dot.
    #[serde(skip)]
    pub etag: String,
}

/// The last commit of a group that wrote a file or took it away; nulls where none ever did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct LastChange {
    /// The commit.
    pub commit: Option<CommitId>,
    /// When it was made.
    pub updated_at: Option<Timestamp>,
    /// Who made it.
    pub updated_by: Option<String>,
}

/// A group, but for its gateway instances.
#[derive(Debug, Clone, Serialize)]
pub struct GroupView {
    /// Its name.
    pub name: GroupName,
    /// The fields of `group.json`, with every default filled in.
    #[serde(flatten)]
    pub document: Value,
    /// The commit it is at.
    pub head: CommitId,
    /// The position of that commit.
    pub revision: Revision,
    /// How many services it has; 0 where its list of services cannot be read.
    pub services: usize,
    /// What is wrong with `group.json`, which has defaults where it is.
    pub diagnostics: Vec<Diagnostic>,
    /// What of the group cannot be read, and what to do; null when all can. Fields that depend on it
    /// have their defaults.
    pub damage: Option<String>,
    /// Changes whenever the group does, and never holds a dot.
    #[serde(skip)]
    pub etag: String,
}

/// The state of a service's content in a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VersionState {
    /// The version that the content is; null is No Version.
    pub version: Option<Version>,
    /// The version that the group ran last.
    pub based_on: Option<Version>,
    /// Whether the content differs from that version.
    pub modified: bool,
}

/// A service in a group.
#[derive(Debug, Clone, Serialize)]
pub struct ServiceView {
    /// Its name.
    pub name: ServiceName,
    /// The group.
    pub group: GroupName,
    /// Which version it is.
    #[serde(flatten)]
    pub state: VersionState,
    /// Whether it takes requests.
    pub live: bool,
    /// Why, or why not.
    pub live_reason: Live,
    /// The fields of `service.json`, with every default filled in.
    #[serde(flatten)]
    pub document: Value,
    /// Its routes by name.
    pub routes: Value,
    /// What the group owns about it.
    pub runtime: Value,
    /// The last commit that touched it here.
    pub commit: Option<CommitId>,
    /// When that was.
    pub updated_at: Option<Timestamp>,
    /// Who made it.
    pub updated_by: Option<String>,
    /// Changes whenever the content or the runtime does, and never holds a dot.
    #[serde(skip)]
    pub etag: String,
}

/// A part of the services of a group.
#[derive(Debug, Clone, Serialize)]
pub struct ServicesPage {
    /// The services of the part.
    pub services: Vec<ServiceView>,
    /// How many were found altogether.
    pub total: usize,
}

/// A part of the matrix services × groups.
#[derive(Debug, Clone, Serialize)]
pub struct MatrixPage {
    /// A row for each service of the part.
    pub rows: Vec<MatrixRow>,
    /// How many services were found altogether.
    pub total: usize,
    /// The groups that are damaged: of these the rows tell no more than can be read.
    pub damaged: Vec<DamagedGroup>,
}

/// A group of which something cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DamagedGroup {
    /// The group.
    pub group: GroupName,
    /// What, why, and what to do.
    pub damage: String,
}

/// A row of the matrix services × groups.
#[derive(Debug, Clone, Serialize)]
pub struct MatrixRow {
    /// The service.
    pub service: ServiceName,
    /// What each group that has it runs.
    pub groups: BTreeMap<GroupName, MatrixCell>,
    /// The newest version; null when there is none.
    pub latest: Option<Version>,
    /// In a row that was asked for alone, the groups that are damaged and may have the service.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<DamagedGroup>,
}

/// A service in a group, in short.
#[derive(Debug, Clone, Serialize)]
pub struct MatrixCell {
    /// Which version it is.
    #[serde(flatten)]
    pub state: VersionState,
    /// Whether it takes requests.
    pub live: bool,
    /// Why, or why not.
    pub live_reason: Live,
}

/// A version of a service.
#[derive(Debug, Clone, Serialize)]
pub struct VersionView {
    /// The service.
    pub service: ServiceName,
    /// The number.
    pub version: Version,
    /// The commit that the tag names.
    pub commit: CommitId,
    /// The content that the number names.
    pub content: ContentId,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// What is new, for people.
    pub message: String,
    /// The groups that run it now.
    pub groups: Vec<GroupName>,
}

/// A version with its documents.
#[derive(Debug, Clone, Serialize)]
pub struct VersionDetail {
    /// The version.
    #[serde(flatten)]
    pub version: VersionView,
    /// The fields of `service.json`, with every default filled in.
    #[serde(flatten)]
    pub document: Value,
    /// Its routes by name.
    pub routes: Value,
}

/// A commit of a group, as an event.
#[derive(Debug, Clone, Serialize)]
pub struct EventView {
    /// The commit.
    pub commit: CommitId,
    /// Its position.
    pub revision: Revision,
    /// The group.
    pub group: GroupName,
    /// What kind of change it is.
    pub event: String,
    /// Who made it happen.
    pub actor: String,
    /// Who wrote it.
    pub author: String,
    /// When.
    pub at: Timestamp,
    /// What it did, in a line for people.
    pub subject: String,
    /// The service it is about.
    pub service: Option<String>,
    /// The version it is about.
    pub version: Option<String>,
    /// The group that the version came from.
    pub from_group: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// The request that made it.
    pub request_id: Option<String>,
}

/// A commit with what it changed.
#[derive(Debug, Clone, Serialize)]
pub struct CommitView {
    /// The event.
    #[serde(flatten)]
    pub event: EventView,
    /// What changed.
    pub changes: Vec<Change>,
}

/// The difference of two sides of a service.
#[derive(Debug, Clone, Serialize)]
pub struct DiffView {
    /// The one side, as it was asked for.
    pub from: String,
    /// The other.
    pub to: String,
    /// What is different.
    pub changes: Vec<Change>,
}

/// What can be compared with what.
#[derive(Debug, Clone)]
pub enum Side {
    /// A version of the service.
    Version(Version),
    /// The service as a group has it, its runtime included.
    Group(GroupName),
}

impl std::str::FromStr for Side {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("group:") {
            Some(group) => group.parse().map(Self::Group).map_err(|error| format!("{error}")),
            None => {
                text.parse().map(Self::Version).map_err(|error: crate::version::VersionError| {
                    format!("{error}; a group is written group:NAME")
                })
            }
        }
    }
}

impl std::fmt::Display for Side {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Version(version) => write!(out, "{version}"),
            Self::Group(group) => write!(out, "group:{group}"),
        }
    }
}

/// Which events of a group are wanted.
#[derive(Debug, Clone, Default)]
pub struct HistoryFilter {
    /// Only those that touched this service.
    pub service: Option<ServiceName>,
    /// Only those that wrote this file of the group's tree or took it away.
    pub path: Option<String>,
    /// Only those of this actor.
    pub actor: Option<String>,
    /// Only those of this kind.
    pub event: Option<String>,
    /// Only those at or after this time.
    pub since: Option<Timestamp>,
    /// Only those at or before this time.
    pub until: Option<Timestamp>,
    /// Only those older than this revision.
    pub after: Option<Revision>,
    /// At most this many.
    pub limit: usize,
}
