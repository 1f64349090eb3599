//! Rollback: an older version of a service, or an older state of a whole group.

use axum::extract::State;
use refgate_core::change::{Operation, RollbackTarget};
use refgate_core::diagnostic::{Code, Diagnostic};
use refgate_core::name::{CommitId, GroupName, Revision, ServiceName};

use super::path::At;
use super::write::Write;
use super::{Answer, Api};
use crate::body::Document;
use crate::body::fields::Fields;

pub(super) async fn service(
    State(api): State<Api>,
    At((group, service)): At<(GroupName, ServiceName)>,
    write: Write,
    body: Document,
) -> Answer {
    let mut fields = Fields::of(body.0);
    let version = fields.required::<String>("version");
    let reason = fields.optional::<String>("reason");
    let write = write.expecting(fields.optional("expect_head"));
    let version = fields.finish(|| version)?;
    write.run_because(&api, group, Operation::RollbackService { service, version }, reason).await
}

pub(super) async fn group(
    State(api): State<Api>,
    At((group,)): At<(GroupName,)>,
    write: Write,
    body: Document,
) -> Answer {
    let mut fields = Fields::of(body.0);
    let revision = fields.optional::<u64>("revision").map(Revision);
    let commit = fields.optional::<CommitId>("commit");
    let reason = fields.optional::<String>("reason");
    let write = write.expecting(fields.optional("expect_head"));
    if revision.is_some() == commit.is_some() {
        let message = "give either the key \"revision\" or the key \"commit\"";
        fields.refuse(Diagnostic::error("", "", Code::MissingKey, message));
    }
    let revision = revision.map(RollbackTarget::Revision);
    let to = fields.finish(|| revision.or(commit.map(RollbackTarget::Commit)))?;
    let operation = Operation::RollbackGroup { to };
    let write = write.sparing_settings(&api, &group, &operation).await?;
    write.run_because(&api, group, operation, reason).await
}
