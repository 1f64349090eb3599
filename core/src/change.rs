//! Changes: what can be asked for, and the one way that every change goes.
//!
//! An operation drafts an edit of its group's tree (`draft.rs`); the plan (`plan.rs`) checks what is the same for
//! all of them: preconditions, who may edit what, whether the group would be sound; the writer then
//! publishes a plan without making choices of its own.

pub(crate) mod arrival;
mod commit;
pub(crate) mod draft;
mod group;
mod object;
pub(crate) mod plan;
mod precondition;
mod promotion;
mod rollback;
mod route;
mod runtime;
mod service;
pub(crate) mod version;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::diagnostic::Diagnostic;
use crate::error::Error;
use crate::event::Actor;
use crate::merge::{OnConflict, Settled};
use crate::name::{CommitId, GroupName, Revision, RouteName, ServiceName};
use crate::object::ObjectName;
use crate::repository::Desk;
use crate::version::Version;

pub(crate) use group::etag as group_etag;
pub(crate) use object::no_object;
pub use plan::{Gate, PlanView, Subject};
pub(crate) use plan::{Plan, plan};
pub use precondition::{Precondition, Tags};
pub(crate) use route::no_route;
pub(crate) use runtime::etag as runtime_etag;
pub(crate) use service::{content, etag as service_etag, routes};

/// Whether what an operation brings to a group is there to be brought, whichever group that is.
pub(crate) fn check_source(desk: &Desk<'_>, operation: &Operation) -> Result<(), Error> {
    match operation {
        Operation::Sync(sync) => sync
            .services
            .iter()
            .try_for_each(|(service, source)| promotion::check_source(desk, service, source)),
        Operation::CopyObject { object, from, .. } => object::source(desk, object, from).map(drop),
        _ => Ok(()),
    }
}

/// A change that somebody asks for.
#[derive(Debug, Clone)]
pub struct Change {
    /// The group that changes.
    pub group: GroupName,
    /// What shall be done.
    pub operation: Operation,
    /// Who asks.
    pub actor: Actor,
    /// The request that asks.
    pub request_id: String,
    /// Why, in the words of who asks.
    pub reason: Option<String>,
    /// What must hold for it to be done.
    pub precondition: Precondition,
}

/// What shall be done. Documents are JSON as they came; what is wrong with them is told as findings.
#[derive(Debug, Clone)]
pub enum Operation {
    /// Makes the group, from the fields of `group.json`.
    CreateGroup {
        /// `group.json`.
        document: Value,
    },
    /// Applies a merge patch to `group.json`.
    PatchGroup {
        /// RFC 7396.
        patch: Value,
    },
    /// Archives the group.
    DeleteGroup,
    /// Makes or replaces a service whole.
    PutService {
        /// Which.
        service: ServiceName,
        /// `{type, description, labels, plugins, routes, runtime}`; without `runtime` it is kept.
        document: Value,
    },
    /// Applies a merge patch to a service whole.
    PatchService {
        /// Which.
        service: ServiceName,
        /// RFC 7396.
        patch: Value,
    },
    /// Takes a service and its runtime away.
    DeleteService {
        /// Which.
        service: ServiceName,
    },
    /// Makes or replaces a route.
    PutRoute {
        /// The service it is of.
        service: ServiceName,
        /// Which.
        route: RouteName,
        /// `routes/<route>.json`.
        document: Value,
    },
    /// Applies a merge patch to a route.
    PatchRoute {
        /// The service it is of.
        service: ServiceName,
        /// Which.
        route: RouteName,
        /// RFC 7396.
        patch: Value,
    },
    /// Takes a route away.
    DeleteRoute {
        /// The service it is of.
        service: ServiceName,
        /// Which.
        route: RouteName,
    },
    /// Makes or replaces what the group owns about a service.
    PutRuntime {
        /// Which.
        service: ServiceName,
        /// `runtime/<service>.json`.
        document: Value,
    },
    /// Applies a merge patch to what the group owns about a service.
    PatchRuntime {
        /// Which.
        service: ServiceName,
        /// RFC 7396.
        patch: Value,
    },
    /// Makes or replaces a group-owned object.
    PutObject {
        /// Which.
        object: ObjectName,
        /// Its file.
        document: Value,
    },
    /// Applies a merge patch to a group-owned object.
    PatchObject {
        /// Which.
        object: ObjectName,
        /// RFC 7396.
        patch: Value,
    },
    /// Takes a group-owned object away.
    DeleteObject {
        /// Which.
        object: ObjectName,
    },
    /// Brings a group-owned object here as another group has it.
    CopyObject {
        /// Which.
        object: ObjectName,
        /// The group that it is copied from.
        from: GroupName,
        /// Whether it may take the place of another one of that name.
        replace: bool,
    },
    /// Gives the current content of a service a number.
    TagVersion {
        /// Which service.
        service: ServiceName,
        /// The number.
        version: String,
        /// What is new, for people.
        message: Option<String>,
    },
    /// Brings versions of services here, all or none.
    Sync(Sync),
    /// Puts a version that the group has run back.
    RollbackService {
        /// Which service.
        service: ServiceName,
        /// The number.
        version: String,
    },
    /// Puts the whole tree of an earlier state back.
    RollbackGroup {
        /// Which state.
        to: RollbackTarget,
    },
    /// Writes several files in one commit.
    Commit {
        /// Documents by path; null takes a file away.
        files: BTreeMap<String, Value>,
        /// The subject of the commit.
        message: Option<String>,
    },
}

impl Operation {
    /// Whether it may give a number to a content.
    pub(crate) fn may_number(&self) -> bool {
        matches!(self, Self::TagVersion { .. } | Self::Sync(_))
    }

    /// Whether planning asks nothing of the history, so that it can be planned upon commits that are
    /// not published yet.
    pub(crate) fn needs_no_history(&self) -> bool {
        matches!(
            self,
            Self::PutService { .. }
                | Self::PatchService { .. }
                | Self::DeleteService { .. }
                | Self::PutRoute { .. }
                | Self::PatchRoute { .. }
                | Self::DeleteRoute { .. }
                | Self::PutRuntime { .. }
                | Self::PatchRuntime { .. }
                | Self::PutObject { .. }
                | Self::PatchObject { .. }
                | Self::DeleteObject { .. }
                | Self::Commit { .. }
        )
    }
}

/// Which versions come, and how.
#[derive(Debug, Clone)]
pub struct Sync {
    /// The services, each from its source.
    pub services: Vec<(ServiceName, SyncSource)>,
    /// The runtime that the target gets where it has none yet.
    pub runtime: Option<Value>,
    /// Who wins where the target was edited too.
    pub on_conflict: OnConflict,
    /// Conflicts that were settled one by one, by their files in the group's tree; the rest goes by
    /// `on_conflict`.
    pub settled: Settled,
}

/// Where the content of a sync comes from.
#[derive(Debug, Clone)]
pub enum SyncSource {
    /// What a group has at its head, with the number that it has or shall get.
    Group {
        /// The group.
        group: GroupName,
        /// The number.
        version: Option<String>,
    },
    /// An existing version.
    Version(String),
}

/// An earlier state of a group.
#[derive(Debug, Clone, Copy)]
pub enum RollbackTarget {
    /// By its position.
    Revision(Revision),
    /// By its commit.
    Commit(CommitId),
}

/// What came of a change.
#[derive(Debug, Clone, Serialize)]
pub struct Written {
    /// The group.
    pub group: GroupName,
    /// Its head, with the change in it.
    pub commit: CommitId,
    /// The position of that commit.
    pub revision: Revision,
    /// Whether the group is another one now: by a commit, or by a number for what it has.
    pub changed: bool,
    /// Whether the object was made by this change.
    #[serde(skip)]
    pub created: bool,
    /// Findings that involve what was written.
    pub warnings: Vec<Diagnostic>,
    /// Of a sync, rollback or new version: each service, in the order asked for.
    #[serde(skip)]
    pub services: Vec<ServiceOutcome>,
    /// Of a rollback of the group: what came of it.
    #[serde(skip)]
    pub whole: Option<OutcomeKind>,
}

/// What came of a change for one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceOutcome {
    /// The service.
    pub service: ServiceName,
    /// The version it is at now.
    pub version: Version,
    /// What happened; nothing for a new version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeKind>,
}

/// What happened to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// The version came.
    Promoted,
    /// The version came back.
    RolledBack,
    /// It was there already, or brought nothing that the group would take.
    AlreadyCurrent,
}

impl OutcomeKind {
    /// The word of answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Promoted => "promoted",
            Self::RolledBack => "rolled_back",
            Self::AlreadyCurrent => "already_current",
        }
    }
}
