//! Descriptions of APIs in other notations, made into services.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use refgate_core::Error;
use refgate_core::change::{Operation, Tags};
use refgate_core::import::openapi;
use refgate_core::name::{GroupName, ServiceName};
use serde_json::Value;

use super::path::At;
use super::write::{Done, Write};
use super::{Answer, Api};
use crate::body::Bundle;
use crate::body::fields::Fields;
use crate::problem::{Kind, Problem};

/// `{"document": {…}, "service"?: name, "with_upstream"?: bool}`.
///
/// A service that is not there is made, with the upstream of the document when that is asked for.
/// One that is there gets the routes of the document; its other routes, its plugins and its
/// runtime stay.
pub(super) async fn openapi(
    State(api): State<Api>,
    At((group,)): At<(GroupName,)>,
    mut write: Write,
    body: Bundle,
) -> Answer {
    let mut fields = Fields::of(body.0);
    let document = fields.required::<Value>("document");
    let service = fields.optional::<ServiceName>("service");
    let with_upstream = fields.optional::<bool>("with_upstream").unwrap_or(false);
    let document = fields.finish(|| document)?;
    let import = openapi::read(&document, service).map_err(|findings| {
        let below = findings.into_iter().map(|mut finding| {
            finding.pointer = format!("/document{}", finding.pointer);
            finding
        });
        Problem::invalid(below.collect())
    })?;
    let (place, name) = (group.clone(), import.service.clone());
    let is_there = api.store.read(move |repository| match repository.service(&place, &name) {
        Ok(_) => Ok(true),
        Err(Error::NotFound { .. }) => repository.group(&place).map(|_| false),
        Err(error) => Err(error),
    });
    let service = import.service.clone();
    let operation = if is_there.await? {
        Operation::PatchService { service, patch: import.patch() }
    } else {
        // Whoever makes it at this moment is not overwritten.
        if write.precondition.if_match.is_none() {
            write.precondition.if_none_match = Some(Tags::Any);
        }
        Operation::PutService { service, document: import.document(with_upstream) }
    };
    let done = write.perform(&api, group, operation, None).await?;
    let status = match &done {
        Done::Written(written, _) if written.created => StatusCode::CREATED,
        _ => StatusCode::OK,
    };
    let Some(mut body) = done.bodies()?.pop() else {
        return Err(Problem::new(Kind::Internal, "a write came without an answer"));
    };
    body["import"] = import.summary();
    Ok((status, Json(body)).into_response())
}
