//! What a group owns about a service: enabled, hosts, path prefix, upstreams.

use axum::extract::State;
use axum::http::HeaderMap;
use refgate_core::change::Operation;
use refgate_core::name::{GroupName, ServiceName};

use super::params::NoParams;
use super::path::At;
use super::write::Write;
use super::{Answer, Api, conditional};
use crate::body::Document;

pub(super) async fn get(
    State(api): State<Api>,
    At((group, service)): At<(GroupName, ServiceName)>,
    _: NoParams,
    headers: HeaderMap,
) -> Answer {
    let found = api.store.read(move |repository| repository.runtime(&group, &service)).await?;
    conditional::respond(&headers, &found.etag, &found)
}

pub(super) async fn put(
    State(api): State<Api>,
    At((group, service)): At<(GroupName, ServiceName)>,
    write: Write,
    body: Document,
) -> Answer {
    write.run(&api, group, Operation::PutRuntime { service, document: body.0 }).await
}

pub(super) async fn patch(
    State(api): State<Api>,
    At((group, service)): At<(GroupName, ServiceName)>,
    write: Write,
    body: Document,
) -> Answer {
    write.run(&api, group, Operation::PatchRuntime { service, patch: body.0 }).await
}
