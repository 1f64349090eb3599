//! The routes of a service as a tab of it.

use askama::Template;
use axum::extract::State;
use serde_json::Value;

use super::super::page::{Asked, Frame, Visitor, html};
use super::super::parts::Pager;
use super::super::settings::ServiceAt;
use super::super::words::plain;
use super::super::{Answer, overview};
use super::{Found, Head, find, frame, texts};
use crate::http::Api;
use crate::http::path::At;

/// A route as a row.
pub(super) struct RouteRow {
    pub(super) name: String,
    pub(super) paths: Vec<String>,
    pub(super) methods: String,
    pub(super) priority: i64,
    pub(super) upstream: String,
    pub(super) enabled: bool,
    pub(super) conditions: usize,
    pub(super) description: String,
}

pub(super) fn routes_of(routes: &Value) -> Vec<RouteRow> {
    let row = |(name, route): (&String, &Value)| {
        let conditions = route["match"].as_object().into_iter().flatten();
        RouteRow {
            name: name.clone(),
            paths: texts(&route["paths"]),
            methods: match route["methods"].as_array().is_none_or(Vec::is_empty) {
                true => "all".to_owned(),
                false => plain(&route["methods"]),
            },
            priority: route["priority"].as_i64().unwrap_or_default(),
            upstream: route["upstream"].as_str().unwrap_or("default").to_owned(),
            enabled: route["enabled"] != false,
            conditions: conditions.filter_map(|(_, list)| list.as_array()).map(Vec::len).sum(),
            description: route["description"].as_str().unwrap_or_default().to_owned(),
        }
    };
    routes.as_object().into_iter().flatten().map(row).collect()
}

#[derive(Template)]
#[template(path = "service/routes.html")]
struct RoutesPage {
    frame: Frame,
    head: Head,
    /// Whether there is any route at all.
    is_empty: bool,
    routes: Vec<RouteRow>,
    query: String,
    pager: Pager,
}

pub(in super::super) async fn routes(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, service)): ServiceAt,
    asked: Asked,
) -> Answer {
    let Found { head, service, .. } = find(&api, &visitor, &group, &service, "routes").await?;
    let mut routes = routes_of(&service.routes);
    let (is_empty, query) = (routes.is_empty(), asked.text("q").to_owned());
    routes.retain(|route| {
        route.name.contains(&query) || route.paths.iter().any(|path| path.contains(&query))
    });
    let base = format!("{}/routes?q={}&page=", head.path, overview::encoded(&query));
    html(&RoutesPage {
        frame: frame(&visitor, &head),
        head,
        is_empty,
        pager: Pager::new(base, asked.page(), routes.len()),
        routes: asked.part(routes),
        query,
    })
}
