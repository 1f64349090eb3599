//! The first page: which group runs which version of what, the groups with their gateways, and what
//! happened lately.

use askama::Template;
use axum::extract::State;
use refgate_core::name::{GroupName, ServiceName};
use refgate_core::repository::Repository;
use refgate_core::version::Version;
use refgate_core::view::{DamagedGroup, GroupView, MatrixRow};

use super::group::Head;
use super::history::latest;
use super::page::{Asked, Frame, Visitor, html};
use super::parts::{Badge, EventRow, LiveState, Pager, service_path, short};
use super::{Answer, PAGE};
use crate::http::Api;

/// Events on the first page.
const EVENTS: usize = 8;
/// Groups that a page has room for beside one another.
const COLUMNS: usize = 12;
/// Cells that a page has room for.
const CELLS: usize = 160;
/// Rows that a page has, however many groups there are.
const ROWS: usize = 10;

/// A service, with a cell for each group in the order of the head.
struct Row {
    name: String,
    /// Its page in the first group that has it.
    path: String,
    cells: Vec<Option<Cell>>,
}

/// A service in a group.
struct Cell {
    group: GroupName,
    path: String,
    badge: Badge,
    live: LiveState,
    waits: Option<Waits>,
    /// Where to compare with what waits.
    compare: String,
    may_sync: bool,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    groups: Vec<Card>,
    /// The groups that the columns are of.
    columns: Vec<GroupName>,
    rows: Vec<Row>,
    damaged: Vec<DamagedGroup>,
    query: String,
    /// The way to further groups, and to further services.
    across: Pager,
    pager: Pager,
    events: Vec<EventRow>,
    /// Whether there is any service at all.
    is_empty: bool,
    may_edit: bool,
    may_manage: bool,
}

/// A group, and how far its gateways follow it.
struct Card {
    head: Head,
    /// Nothing where there is no gateway.
    serving: Option<Serving>,
}

/// Which commit the gateways of a group serve.
struct Serving {
    commit: String,
    /// Those that serve it, and all there are.
    count: usize,
    total: usize,
    is_head: bool,
}

impl Card {
    fn new(api: &Api, view: GroupView) -> Self {
        let head = view.head;
        let instances = api.fleet.instances(Some(&view.name));
        let serving = |commit| instances.iter().filter(|one| one.commit == Some(commit)).count();
        // Of one that none has taken up yet, what most of them serve is told.
        let most = instances.iter().filter_map(|one| one.commit).max_by_key(|one| serving(*one));
        let shown = if serving(head) > 0 { Some(head) } else { most };
        let serving = shown.map(|commit| Serving {
            commit: short(commit),
            count: serving(commit),
            total: instances.len(),
            is_head: commit == head,
        });
        Self { head: Head::new(api, view, ""), serving }
    }

    /// Whether all of its gateways serve its head.
    fn follows(&self) -> bool {
        self.serving
            .as_ref()
            .is_some_and(|serving| serving.is_head && serving.count == serving.total)
    }
}

pub(super) async fn show(State(api): State<Api>, visitor: Visitor, asked: Asked) -> Answer {
    let (query, page) = (asked.text("q").to_owned(), asked.page());
    let across = asked.text("groups").parse::<usize>().map_or(0, |page| page.saturating_sub(1));
    let groups = api.store.read(Repository::groups).await?;
    let groups = groups.into_iter().map(|group| Card::new(&api, group)).collect();
    let groups = in_order(groups, |card: &Card| &card.head);
    let names: Vec<GroupName> = groups.iter().map(|group| group.head.name.clone()).collect();
    let across = across.min(names.len().saturating_sub(1) / COLUMNS);
    let columns: Vec<GroupName> =
        names.iter().skip(across * COLUMNS).take(COLUMNS).cloned().collect();
    let rows = (CELLS / columns.len().max(1)).clamp(ROWS, PAGE);
    let text = query.clone();
    let read = move |repository: &Repository| repository.matrix_page(&text, page * rows, rows);
    let found = api.store.read(read).await?;
    let may_edit = visitor.may_edit();
    let of_row = |row: &MatrixRow| self::row(row, &groups, &columns, may_edit);
    let sound = groups.iter().filter(|group| group.head.damage.is_none());
    let sound = sound.map(|group| group.head.name.clone()).collect();
    let events = latest(&api, sound, EVENTS).await?;
    let q = encoded(&query);
    html(&OverviewPage {
        frame: visitor.frame("Overview", "overview", Vec::new()),
        rows: found.rows.iter().map(of_row).collect(),
        is_empty: found.total == 0 && query.is_empty(),
        across: Pager::sized(format!("/?q={q}&groups="), across, COLUMNS, names.len()),
        pager: Pager::sized(
            format!("/?q={q}&groups={}&page=", across + 1),
            page,
            rows,
            found.total,
        ),
        damaged: found.damaged,
        groups,
        columns,
        query,
        events,
        may_edit,
        may_manage: visitor.may_manage(),
    })
}

/// Groups in the order in which versions go through them, as far as their rules say, then by name.
pub(super) fn in_order<T>(mut left: Vec<T>, head: impl Fn(&T) -> &Head) -> Vec<T> {
    let mut ordered: Vec<T> = Vec::with_capacity(left.len());
    let names: Vec<String> = left.iter().map(|group| head(group).name.to_string()).collect();
    // Those that others are fed from, and that take from anywhere, come first.
    let feeds: Vec<String> = left.iter().flat_map(|group| head(group).from.clone()).collect();
    while !left.is_empty() {
        let is_ready = |group: &Head| {
            let waits = group.from.iter().filter(|from| names.contains(from));
            waits
                .into_iter()
                .all(|from| ordered.iter().any(|done| head(done).name.as_str() == from))
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
            .map(|(index, group)| (index, head(group)))
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

fn row(row: &MatrixRow, groups: &[Card], columns: &[GroupName], may_edit: bool) -> Row {
    let service = &row.service;
    let names = || groups.iter().map(|group| &group.head.name);
    let first = names().find(|group| row.groups.contains_key(*group));
    let path = first.map_or_else(String::new, |group| service_path(group, service));
    let cell = |group: &GroupName| {
        let cell = row.groups.get(group)?;
        let head = groups.iter().find(|card| card.head.name == *group).map(|card| &card.head)?;
        let newer = waiting(row, group, &head.from).map(|(version, _)| version);
        Some(Cell {
            path: service_path(group, service),
            badge: Badge::of(&cell.state),
            live: LiveState::of(cell.live_reason),
            compare: compare_with(service, group, newer),
            may_sync: may_edit,
            group: group.clone(),
            waits: Waits::of(row, group, &head.from),
        })
    };
    Row { path, cells: columns.iter().map(cell).collect(), name: service.to_string() }
}

/// Where what a group has of a service is compared with a version.
pub(super) fn compare_with(
    service: &ServiceName,
    group: &GroupName,
    version: Option<&Version>,
) -> String {
    let to = version.map(ToString::to_string).unwrap_or_default();
    format!("/compare?service={service}&from=group:{group}&to={to}")
}

/// A version that waits for a group: the newest that ran last in a group that this one takes from,
/// when it is newer than what this one has; and where that is.
pub(super) fn waiting<'r>(
    row: &'r MatrixRow,
    group: &GroupName,
    from: &[String],
) -> Option<(&'r Version, &'r GroupName)> {
    let state = &row.groups.get(group)?.state;
    let here = state.version.as_ref().or(state.based_on.as_ref())?;
    let feeds = |name: &&GroupName| {
        *name != group && (from.is_empty() || from.iter().any(|from| from == name.as_str()))
    };
    let running = row.groups.iter().filter(|(name, _)| feeds(name));
    let running = running.filter_map(|(name, cell)| {
        Some((cell.state.version.as_ref().or(cell.state.based_on.as_ref())?, name))
    });
    running.filter(|(version, _)| *version > here).max_by_key(|(version, _)| *version)
}

/// A version that waits, and where it is brought here.
pub(super) struct Waits {
    pub(super) badge: Badge,
    /// The group that it ran in last.
    pub(super) from: GroupName,
    pub(super) sync: String,
}

impl Waits {
    pub(super) fn of(row: &MatrixRow, group: &GroupName, from: &[String]) -> Option<Self> {
        let (version, source) = waiting(row, group, from)?;
        let path = service_path(source, &row.service);
        let runs = row.groups.get(source).is_some_and(|cell| cell.state.version.is_some());
        Some(Self {
            badge: Badge::version(version),
            sync: match runs {
                true => format!("{path}/sync?to={group}"),
                // The group has moved on since.
                false => format!("{path}/sync?source={version}&to={group}"),
            },
            from: source.clone(),
        })
    }
}

/// Text as the value of a parameter of a query.
pub(super) fn encoded(text: &str) -> String {
    askama::filters::urlencode_strict(text).map(|text| text.to_string()).unwrap_or_default()
}
