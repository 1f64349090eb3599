//! Services of a group, each as one whole: content and runtime.

use axum::extract::State;
use axum::http::HeaderMap;
use refgate_core::change::Operation;
use refgate_core::name::{GroupName, ServiceName};

use super::page::{self, PageParams};
use super::params::NoParams;
use super::path::At;
use super::write::Write;
use super::{Answer, Api, conditional};
use crate::body::Document;

pub(super) async fn list(
    State(api): State<Api>,
    At((group,)): At<(GroupName,)>,
    page: PageParams,
) -> Answer {
    let PageParams { limit, after } = page;
    let read = api.store.read(move |all| all.services_after(&group, after.as_deref(), limit));
    let (services, more) = read.await?;
    let last = services.last().filter(|_| more);
    page::answer(&services, last.map(|service| service.name.to_string()))
}

pub(super) async fn get(
    State(api): State<Api>,
    At((group, service)): At<(GroupName, ServiceName)>,
    _: NoParams,
    headers: HeaderMap,
) -> Answer {
    let found = api.store.read(move |repository| repository.service(&group, &service)).await?;
    conditional::respond(&headers, &found.etag, &found)
}

pub(super) async fn put(
    State(api): State<Api>,
    At((group, service)): At<(GroupName, ServiceName)>,
    write: Write,
    body: Document,
) -> Answer {
    write.run(&api, group, Operation::PutService { service, document: body.0 }).await
}

pub(super) async fn patch(
    State(api): State<Api>,
    At((group, service)): At<(GroupName, ServiceName)>,
    write: Write,
    body: Document,
) -> Answer {
    write.run(&api, group, Operation::PatchService { service, patch: body.0 }).await
}

pub(super) async fn delete(
    State(api): State<Api>,
    At((group, service)): At<(GroupName, ServiceName)>,
    write: Write,
) -> Answer {
    write.run(&api, group, Operation::DeleteService { service }).await
}
