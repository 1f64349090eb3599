//! Versions of a service: listed, looked at, made, compared.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use refgate_core::change::Operation;
use refgate_core::name::{GroupName, ServiceName};
use refgate_core::version::Version;
use refgate_core::view::Side;

use super::page::PageParams;
use super::params::{NoParams, Params};
use super::path::At;
use super::write::Write;
use super::{Answer, Api, conditional};
use crate::body::Document;
use crate::body::fields::Fields;
use crate::problem::{Kind, Problem};

pub(super) async fn list(
    State(api): State<Api>,
    At((service,)): At<(ServiceName,)>,
    page: PageParams,
) -> Answer {
    let versions = api.store.read(move |repository| repository.versions(&service)).await?;
    page.cut_in_order(versions, |version| version.version.to_string())
}

/// Versions that the group has run.
pub(super) async fn list_in_group(
    State(api): State<Api>,
    At((group, service)): At<(GroupName, ServiceName)>,
    page: PageParams,
) -> Answer {
    let work = api.store.read(move |repository| repository.versions_in_group(&group, &service));
    page.cut_in_order(work.await?, |version| version.version.to_string())
}

pub(super) async fn get(
    State(api): State<Api>,
    At((service, version)): At<(ServiceName, Version)>,
    _: NoParams,
    headers: HeaderMap,
) -> Answer {
    let found = api.store.read(move |repository| repository.version(&service, &version)).await?;
    conditional::respond_whole(&headers, &found)
}

/// Gives the current content of the service a number.
pub(super) async fn create(
    State(api): State<Api>,
    At((group, service)): At<(GroupName, ServiceName)>,
    write: Write,
    body: Document,
) -> Answer {
    let mut fields = Fields::of(body.0);
    let version = fields.required::<String>("version");
    let message = fields.optional::<String>("message");
    let version = fields.finish(|| version)?;
    write.run(&api, group, Operation::TagVersion { service, version, message }).await
}

/// What changes from one version or group to another.
pub(super) async fn diff(
    State(api): State<Api>,
    At((service,)): At<(ServiceName,)>,
    mut params: Params,
) -> Answer {
    let (from, to) = (side(&mut params, "from")?, side(&mut params, "to")?);
    params.finish()?;
    let diff = api.store.read(move |repository| repository.diff(&service, &from, &to)).await?;
    Ok(Json(diff).into_response())
}

/// `1.0.0` or `group:uat`.
fn side(params: &mut Params, key: &'static str) -> Result<Side, Problem> {
    let malformed = |reason: String| {
        let detail = format!("the query parameter {key:?}: {reason}; give 1.0.0 or group:uat");
        Problem::new(Kind::MalformedRequest, detail)
    };
    let text = params.text(key)?.ok_or_else(|| malformed("it is missing".to_owned()))?;
    match text.strip_prefix("group:") {
        Some(group) => group.parse().map(Side::Group).map_err(|e| malformed(format!("{e}"))),
        None => text.parse().map(Side::Version).map_err(|e| malformed(format!("{e}"))),
    }
}
