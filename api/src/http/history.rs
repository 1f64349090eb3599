//! What happened in a group: events, newest first, and one event with what it changed; what sets
//! it apart from another group.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use refgate_core::name::{CommitId, GroupName, Revision};
use refgate_core::repository::Repository;
use refgate_core::view::HistoryFilter;

use super::page::{self, PageParams};
use super::params::{NoParams, Params};
use super::path::At;
use super::{Answer, Api, conditional};
use crate::problem::{Kind, Problem};

pub(super) async fn list(
    State(api): State<Api>,
    At((group,)): At<(GroupName,)>,
    params: Params,
) -> Answer {
    let mut filter = filter(params)?;
    let limit = filter.limit;
    // One more than the page, to know whether there is a next one.
    filter.limit += 1;
    let mut events = api.store.read(move |repository| repository.history(&group, &filter)).await?;
    let more = events.len() > limit;
    events.truncate(limit);
    let next = events.last().filter(|_| more).map(|event| event.revision.to_string());
    page::answer(&events, next)
}

pub(super) async fn get(
    State(api): State<Api>,
    At((group, commit)): At<(GroupName, CommitId)>,
    _: NoParams,
    headers: HeaderMap,
) -> Answer {
    let found = api.store.read(move |repository| repository.commit(&group, commit)).await?;
    conditional::respond_whole(&headers, &found)
}

/// What would change in the group if it became what another one is.
pub(super) async fn diff(
    State(api): State<Api>,
    At((group,)): At<(GroupName,)>,
    mut params: Params,
) -> Answer {
    let to: Option<GroupName> = params.parsed("to")?;
    let services_only = params.flag("services_only")?;
    params.finish()?;
    let to = to.ok_or_else(|| {
        let detail = "the query parameter \"to\" is missing; give the group to compare with";
        Problem::new(Kind::MalformedRequest, detail)
    })?;
    let read = move |repository: &Repository| repository.diff_groups(&group, &to, services_only);
    Ok(Json(api.store.read(read).await?).into_response())
}

fn filter(mut params: Params) -> Result<HistoryFilter, Problem> {
    let page = PageParams::take(&mut params)?;
    let after = page.after.map(|text| text.parse().map(Revision)).transpose().map_err(|_| {
        Problem::new(
            Kind::MalformedRequest,
            "the query parameter \"after\" is a cursor of this list",
        )
    })?;
    let filter = HistoryFilter {
        service: params.parsed("service")?,
        path: params.text("path")?,
        actor: params.text("actor")?,
        event: params.text("event")?,
        since: params.parsed("since")?,
        until: params.parsed("until")?,
        after,
        limit: page.limit,
    };
    params.finish().map(|()| filter)
}
