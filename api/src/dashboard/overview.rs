//! The first page: which group runs which version of what, the groups with their gateways, and what
//! happened lately.

use askama::Template;
use axum::extract::State;
use refgate_core::name::GroupName;
use refgate_core::repository::Repository;
use refgate_core::version::Version;
use refgate_core::view::{DamagedGroup, MatrixCell, MatrixRow, VersionState};

use super::group::Head;
use super::history::latest;
use super::page::{Asked, Frame, Visitor, html};
use super::parts::{Badge, EventRow, LiveState, Pager, service_path};
use super::{Answer, PAGE};
use crate::http::Api;

/// Events on the first page.
const EVENTS: usize = 8;

/// A service, with a cell for each group in the order of the head.
struct Row {
    name: String,
    cells: Vec<Option<Cell>>,
}

/// A service in a group.
struct Cell {
    group: GroupName,
    path: String,
    badge: Badge,
    live: LiveState,
    /// A version that is newer than what stands here.
    waits: Option<Badge>,
    /// Where to compare with what waits.
    compare: String,
    may_sync: bool,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    groups: Vec<Head>,
    rows: Vec<Row>,
    damaged: Vec<DamagedGroup>,
    query: String,
    pager: Pager,
    events: Vec<EventRow>,
    /// Whether there is any service at all.
    is_empty: bool,
    may_edit: bool,
    may_manage: bool,
}

pub(super) async fn show(State(api): State<Api>, visitor: Visitor, asked: Asked) -> Answer {
    let (query, page) = (asked.text("q").to_owned(), asked.page());
    let text = query.clone();
    let (groups, found) = api
        .store
        .read(move |repository: &Repository| {
            let groups = repository.groups()?;
            let found = repository.matrix_page(&text, page * PAGE, PAGE)?;
            Ok::<_, refgate_core::Error>((groups, found))
        })
        .await?;
    let groups: Vec<Head> =
        in_order(groups.into_iter().map(|group| Head::new(&api, group, "")).collect());
    let may_edit = visitor.may_edit();
    let rows = found.rows.into_iter().map(|row| self::row(row, &groups, may_edit)).collect();
    let events = latest(&api, &groups, EVENTS).await?;
    html(&OverviewPage {
        frame: visitor.frame("Overview", "overview", Vec::new()),
        rows,
        is_empty: found.total == 0 && query.is_empty(),
        pager: Pager::new(format!("/?q={}&page=", encoded(&query)), page, found.total),
        damaged: found.damaged,
        groups,
        query,
        events,
        may_edit,
        may_manage: visitor.may_manage(),
    })
}

/// Groups in the order in which versions go through them, as far as their rules say, then by name.
pub(super) fn in_order(mut left: Vec<Head>) -> Vec<Head> {
    let mut ordered: Vec<Head> = Vec::with_capacity(left.len());
    let names: Vec<String> = left.iter().map(|group| group.name.to_string()).collect();
    // Those that others are fed from, and that take from anywhere, come first.
    let feeds: Vec<String> = left.iter().flat_map(|group| group.from.clone()).collect();
    while !left.is_empty() {
        let is_ready = |group: &Head| {
            let waits = group.from.iter().filter(|from| names.contains(from));
            waits.into_iter().all(|from| ordered.iter().any(|done| done.name.as_str() == from))
        };
        let is_named = |group: &Head| match group.name.as_str() {
            "dev" | "development" | "test" | "testing" => 0,
            "staging" | "uat" => 1,
            "production" | "prod" => 3,
            _ => 2,
        };
        let next = left
            .iter()
            .enumerate()
            .filter(|(_, group)| is_ready(group))
            .min_by_key(|(_, group)| {
                let feeds = !feeds.iter().any(|name| name == group.name.as_str());
                (!group.from.is_empty(), is_named(group), feeds, group.name.clone())
            })
            .map_or(0, |(index, _)| index);
        ordered.push(left.remove(next));
    }
    ordered
}

fn row(row: MatrixRow, groups: &[Head], may_edit: bool) -> Row {
    let MatrixRow { service, groups: mut cells, latest, .. } = row;
    let cell = |group: &Head, cell: MatrixCell| {
        let waits = waiting(&cell.state, latest.as_ref());
        let to = match (&waits, &latest) {
            (Some(_), Some(latest)) => latest.to_string(),
            _ => String::new(),
        };
        Cell {
            path: service_path(&group.name, &service),
            badge: Badge::of(&cell.state),
            live: LiveState::of(cell.live_reason),
            compare: format!("/compare?service={service}&from=group:{}&to={to}", group.name),
            may_sync: may_edit,
            group: group.name.clone(),
            waits,
        }
    };
    let in_group = |group: &Head| cells.remove(&group.name).map(|found| cell(group, found));
    Row { cells: groups.iter().map(in_group).collect(), name: service.to_string() }
}

/// The newest version, when it is newer than what a group has.
pub(super) fn waiting(state: &VersionState, latest: Option<&Version>) -> Option<Badge> {
    let here = state.version.as_ref().or(state.based_on.as_ref())?;
    latest.filter(|latest| *latest > here).map(Badge::version)
}

/// Text as the value of a parameter of a query.
pub(super) fn encoded(text: &str) -> String {
    askama::filters::urlencode_strict(text).map(|text| text.to_string()).unwrap_or_default()
}
