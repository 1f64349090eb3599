//! Several files at once: written in one commit, or only validated.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use refgate_core::change::Operation;
use refgate_core::diagnostic::Diagnostic;
use refgate_core::name::GroupName;
use serde_json::{Map, Value, json};

use super::params::NoParams;
use super::path::At;
use super::write::{SETTINGS, Write};
use super::{Answer, Api};
use crate::body::Bundle;
use crate::body::fields::Fields;

pub(super) async fn commit(
    State(api): State<Api>,
    At((group,)): At<(GroupName,)>,
    write: Write,
    body: Bundle,
) -> Answer {
    let mut fields = Fields::of(body.0);
    let files = fields.required::<Map<String, Value>>("files");
    let message = fields.optional::<String>("message");
    let write = write.expecting(fields.optional("expect_head"));
    let files: BTreeMap<_, _> = fields.finish(|| Some(files?.into_iter().collect()))?;
    let names_settings = files.contains_key(SETTINGS);
    let operation = Operation::Commit { files, message };
    let write = match names_settings {
        true => write.sparing_settings(&api, &group, &operation).await?,
        false => write,
    };
    write.run(&api, group, operation).await
}

/// Findings are the answer here, not a refusal: the status is 200 either way.
pub(super) async fn validate(State(api): State<Api>, _: NoParams, body: Bundle) -> Answer {
    let mut fields = Fields::of(body.0);
    let group = fields.optional::<GroupName>("group");
    let files = fields.required::<Map<String, Value>>("files");
    let files: BTreeMap<_, _> = fields.finish(|| Some(files?.into_iter().collect()))?;
    let work = api.store.read(move |repository| repository.validate(group.as_ref(), &files));
    let diagnostics = work.await?;
    let valid = !diagnostics.iter().any(Diagnostic::is_error);
    Ok(Json(json!({"valid": valid, "diagnostics": diagnostics})).into_response())
}
