//! What happened in a group: events, newest first, and one event with what it changed.

use axum::extract::State;
use axum::http::HeaderMap;
use refgate_core::name::{CommitId, GroupName, Revision};
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
    conditional::respond(&headers, &commit.to_string(), &found)
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
        actor: params.text("actor")?,
        event: params.text("event")?,
        since: params.parsed("since")?,
        until: params.parsed("until")?,
        after,
        limit: page.limit,
    };
    params.finish().map(|()| filter)
}
