//! Routes of a service, one by one.

use axum::extract::State;
use axum::http::HeaderMap;
use refgate_core::change::Operation;
use refgate_core::name::{GroupName, RouteName, ServiceName};
use serde_json::{Map, Value};

use super::page::PageParams;
use super::params::NoParams;
use super::path::At;
use super::write::Write;
use super::{Answer, Api, conditional};
use crate::body::Document;

type RouteAt = At<(GroupName, ServiceName, RouteName)>;

pub(super) async fn list(
    State(api): State<Api>,
    At((group, service)): At<(GroupName, ServiceName)>,
    page: PageParams,
) -> Answer {
    let routes = api.store.read(move |repository| repository.routes(&group, &service)).await?;
    let items = routes.into_iter().map(|(name, route)| {
        let mut item = Map::from_iter([("name".to_owned(), Value::from(name))]);
        if let Value::Object(fields) = route {
            item.extend(fields);
        }
        item
    });
    page.cut(items.collect(), |item| item["name"].as_str().unwrap_or_default().to_owned())
}

pub(super) async fn get(
    State(api): State<Api>,
    At((group, service, route)): RouteAt,
    _: NoParams,
    headers: HeaderMap,
) -> Answer {
    let found =
        api.store.read(move |repository| repository.route(&group, &service, &route)).await?;
    conditional::respond(&headers, &found.etag, &found)
}

pub(super) async fn put(
    State(api): State<Api>,
    At((group, service, route)): RouteAt,
    write: Write,
    body: Document,
) -> Answer {
    write.run(&api, group, Operation::PutRoute { service, route, document: body.0 }).await
}

pub(super) async fn patch(
    State(api): State<Api>,
    At((group, service, route)): RouteAt,
    write: Write,
    body: Document,
) -> Answer {
    write.run(&api, group, Operation::PatchRoute { service, route, patch: body.0 }).await
}

pub(super) async fn delete(
    State(api): State<Api>,
    At((group, service, route)): RouteAt,
    write: Write,
) -> Answer {
    write.run(&api, group, Operation::DeleteRoute { service, route }).await
}
