//! Why a question or a change is refused, in one enum; each refusal has the code that the API tells.

use serde::Serialize;
use serde_json::Value;

use crate::diagnostic::Diagnostic;
use crate::name::{CommitId, GroupName, ServiceName};
use crate::store::{OpenError, StoreError};
use crate::version::Version;

/// Why something was not done. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The thing asked for does not exist.
    #[error("there is no {what}")]
    NotFound {
        /// The thing, `service httpbin in group test`.
        what: String,
    },
    /// A thing to be made exists.
    #[error("{what} exists already")]
    AlreadyExists {
        /// The thing.
        what: String,
    },
    /// A question that makes no sense.
    #[error("{reason}")]
    Malformed {
        /// Why.
        reason: String,
    },
    /// The state is not the one that the change was made for.
    #[error("{reason}")]
    PreconditionFailed {
        /// What is different.
        reason: String,
    },
    /// The head moved, again and again or away from the one expected.
    #[error("{reason}")]
    ConcurrentUpdate {
        /// What moved.
        reason: String,
    },
    /// The text is no version.
    #[error("{0}")]
    BadVersion(#[from] crate::version::VersionError),
    /// Content without a number cannot travel.
    #[error(
        "service {service} in group {group} is in the No Version state: give the version that it shall be"
    )]
    VersionRequired {
        /// The service.
        service: ServiceName,
        /// The group that it would come from.
        group: GroupName,
    },
    /// The number names another content.
    #[error(
        "version {version} of {service} is taken: it names another content; choose a number that is free"
    )]
    VersionTaken {
        /// The service.
        service: ServiceName,
        /// The number.
        version: Version,
    },
    /// The content has a number, and another one was given.
    #[error(
        "this content of {service} is version {version}, not {given}: leave the number out, or change the content first"
    )]
    VersionMismatch {
        /// The service.
        service: ServiceName,
        /// The number it has.
        version: Version,
        /// The number given.
        given: Version,
    },
    /// The content has a number already.
    #[error(
        "this content of {service} is version {version} already: a new number needs another content"
    )]
    ContentAlreadyVersioned {
        /// The service.
        service: ServiceName,
        /// Its number.
        version: Version,
    },
    /// Target and version changed the same things differently.
    #[error(
        "{} in {group} was edited by hand where {version} changed it too ({}): choose a side for all with on_conflict, theirs or ours, or for each in settled",
        service_list(conflicts), counted(conflicts.len(), "conflict")
    )]
    PromotionConflict {
        /// The target group.
        group: GroupName,
        /// What was to be brought there.
        version: String,
        /// Every conflict.
        conflicts: Vec<Conflict>,
    },
    /// A place was settled where nothing conflicts.
    #[error("what is settled is no conflict: {}", summary(.0))]
    NothingToSettle(Vec<Diagnostic>),
    /// A rule of the target group keeps the version out.
    #[error("{reason}")]
    PromotionGate {
        /// Which, and what to do.
        reason: String,
    },
    /// The group takes changes of services only by sync and rollback.
    #[error(
        "group {group} takes changes of services only by sync and rollback (promotion.direct_edits is runtime-only): change {service} in another group and sync it here"
    )]
    DirectEditRefused {
        /// The group.
        group: GroupName,
        /// The service that would change.
        service: String,
    },
    /// The group is written by a Kubernetes controller.
    #[error("group {group} is of type ingress: it is written by its controller and read-only here")]
    ReadOnlyGroup {
        /// The group.
        group: GroupName,
    },
    /// Something else still needs the thing.
    #[error("{reason}")]
    StillReferenced {
        /// What needs it.
        reason: String,
        /// Where it is named, if that is in documents of the group.
        diagnostics: Vec<Diagnostic>,
    },
    /// The configuration as it would be is not sound.
    #[error("the configuration would not be valid: {}", summary(.0))]
    Invalid(Vec<Diagnostic>),
    /// An object of a group is missing or corrupt. Other groups are not concerned.
    #[error("group {group} is damaged: {damage}")]
    Damaged {
        /// The group.
        group: GroupName,
        /// Which object, and what to do.
        damage: String,
    },
    /// The repository cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The repository cannot be opened.
    #[error(transparent)]
    Open(OpenError),
    /// A defect of this program ended the change; the log says where.
    #[error("the change failed for a reason that is not yours; the log has it")]
    Failed,
    /// The repository is being closed.
    #[error("the control plane is stopping")]
    Stopping,
}

/// Where target and version changed the same thing differently.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Conflict {
    /// The service.
    pub service: ServiceName,
    /// Path of the file in the group's tree.
    pub file: String,
    /// RFC 6901 pointer in the file.
    pub pointer: String,
    /// The value in the version that the target is based on; null where absent.
    pub base: Value,
    /// The value in the target; null where absent.
    pub ours: Value,
    /// The value in the version that comes; null where absent.
    pub theirs: Value,
}

impl Error {
    /// The code of the problem, as the API tells it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::AlreadyExists { .. } => "already_exists",
            Self::Malformed { .. } => "malformed_request",
            Self::PreconditionFailed { .. } => "precondition_failed",
            Self::ConcurrentUpdate { .. } => "concurrent_update",
            Self::BadVersion(_) => "bad_version",
            Self::VersionRequired { .. } => "version_required",
            Self::VersionTaken { .. } => "version_taken",
            Self::VersionMismatch { .. } => "version_mismatch",
            Self::ContentAlreadyVersioned { .. } => "content_already_versioned",
            Self::PromotionConflict { .. } => "promotion_conflict",
            Self::PromotionGate { .. } => "promotion_gate",
            Self::DirectEditRefused { .. } => "direct_edit_refused",
            Self::ReadOnlyGroup { .. } => "read_only_group",
            Self::StillReferenced { .. } => "still_referenced",
            Self::Invalid(_) | Self::NothingToSettle(_) => "validation_failed",
            Self::Damaged { .. } => "damaged",
            Self::Store(error) if error.damage().is_some() => "damaged",
            Self::Store(_) | Self::Open(_) | Self::Failed => "internal",
            Self::Stopping => "unavailable",
        }
    }

    /// The findings that the refusal rests on.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Self::Invalid(diagnostics)
            | Self::NothingToSettle(diagnostics)
            | Self::StillReferenced { diagnostics, .. } => diagnostics,
            _ => &[],
        }
    }

    /// The conflicts that the refusal rests on.
    #[must_use]
    pub fn conflicts(&self) -> &[Conflict] {
        match self {
            Self::PromotionConflict { conflicts, .. } => conflicts,
            _ => &[],
        }
    }

    /// The same error of what reads a group: an object that is damaged is then the group's.
    pub(crate) fn of_group(self, group: &GroupName) -> Self {
        match self {
            Self::Store(error) => match error.damage() {
                Some(damage) => Self::Damaged { group: group.clone(), damage },
                None => Self::Store(error),
            },
            other => other,
        }
    }

    pub(crate) fn no_group(group: &GroupName) -> Self {
        Self::NotFound { what: format!("group {group}") }
    }

    pub(crate) fn no_service(group: &GroupName, service: &ServiceName) -> Self {
        Self::NotFound { what: format!("service {service} in group {group}") }
    }

    pub(crate) fn no_version(service: &ServiceName, version: &Version) -> Self {
        Self::NotFound { what: format!("version {version} of service {service}") }
    }

    /// The group, when asking for a commit that is none of its own.
    pub(crate) fn no_commit(group: &GroupName, commit: CommitId) -> Self {
        Self::NotFound { what: format!("commit {commit} in group {group}") }
    }
}

impl From<git2::Error> for Error {
    fn from(error: git2::Error) -> Self {
        Self::Store(error.into())
    }
}

fn summary(diagnostics: &[Diagnostic]) -> String {
    let mut errors = diagnostics.iter().filter(|finding| finding.is_error());
    match (errors.next(), errors.count()) {
        (Some(first), 0) => first.to_string(),
        (Some(first), more) => format!("{first}; and {more} more"),
        (None, _) => "no reason was found".to_owned(),
    }
}

fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn service_list(conflicts: &[Conflict]) -> String {
    let mut names: Vec<&str> = conflicts.iter().map(|conflict| conflict.service.as_str()).collect();
    names.dedup();
    names.join(", ")
}
