//! A service in a group: its tabs. What is edited is on pages of its own ([`super::settings`],
//! [`super::node`]).

use askama::Template;
use axum::Extension;
use axum::extract::State;
use refgate_core::change::Operation;
use refgate_core::name::{GroupName, ServiceName};
use refgate_core::view::{EventView, HistoryFilter, MatrixRow, ServiceView};
use serde_json::{Map, Value, json};

use super::form::Posted;
use super::group::Head as GroupHead;
use super::overview::Waits;
use super::page::{Asked, Frame, Visitor, file, html};
use super::parts::{Badge, CommitLink, EventRow, LiveState, When, remedy, service_path};
use super::remove::Removal;
use super::settings::{ServiceAt, group_crumbs, service_crumbs};
use super::words::{cut, plain, pretty};
use super::{Answer, overview};
use crate::http::Api;
use crate::http::path::At;
use crate::problem::Problem;

mod own;
mod routes;

pub(super) use own::{Typed, hosts, hosts_page, upstreams, upstreams_page};
use own::{UpstreamCard, upstreams_of};
pub(super) use routes::routes;
use routes::{RouteRow, routes_of};

/// Events on the first tab.
const EVENTS: usize = 6;
/// Routes, hosts, upstreams and nodes of an upstream on the first tab; the others are counted.
const FIRST: usize = 10;
/// Bytes of a document as text; the rest of it is downloaded.
const TEXT: usize = 64 * 1024;

/// What stands above every tab of a service.
pub(super) struct Head {
    pub(super) group: GroupName,
    pub(super) name: ServiceName,
    pub(super) path: String,
    pub(super) tab: &'static str,
    pub(super) badge: Badge,
    pub(super) live: LiveState,
    pub(super) remedy: Option<&'static str>,
    pub(super) description: String,
    pub(super) waits: Option<Waits>,
    /// Whether the one who looks may change anything here.
    pub(super) may_edit: bool,
    /// Whether routes and the like may be changed here.
    pub(super) may_edit_content: bool,
    /// Whether there is a version to go back to.
    pub(super) may_roll_back: bool,
    pub(super) read_only: bool,
    pub(super) guarded: bool,
    pub(super) csrf: String,
}

/// Everything that the tabs are made of.
pub(super) struct Found {
    pub(super) head: Head,
    pub(super) service: ServiceView,
    pub(super) row: MatrixRow,
}

impl Head {
    pub(super) fn is(&self, tab: &str) -> bool {
        self.tab == tab
    }
}

pub(super) async fn find(
    api: &Api,
    visitor: &Visitor,
    group: &GroupName,
    service: &ServiceName,
    tab: &'static str,
) -> Result<Found, Problem> {
    let (g, s) = (group.clone(), service.clone());
    let (view, service, row, ran) = api
        .store
        .read(move |repository| {
            let service = repository.service(&g, &s)?;
            let row = repository.matrix_row(&s)?;
            let ran = repository.versions_in_group(&g, &s)?.len();
            Ok::<_, refgate_core::Error>((repository.group(&g)?, service, row, ran))
        })
        .await?;
    let group = GroupHead::new(api, view, "");
    let may_edit = visitor.may_edit() && !group.read_only;
    let behind = usize::from(service.state.version.is_some());
    let head = Head {
        path: service_path(&group.name, &service.name),
        name: service.name.clone(),
        tab,
        badge: Badge::of(&service.state),
        live: LiveState::of(service.live_reason),
        remedy: remedy(service.live_reason),
        description: service.document["description"].as_str().unwrap_or_default().to_owned(),
        waits: Waits::of(&row, &group.name, &group.from),
        may_edit,
        may_edit_content: may_edit && !group.guarded,
        may_roll_back: may_edit && ran > behind,
        read_only: group.read_only,
        guarded: group.guarded,
        csrf: visitor.session.csrf.clone(),
        group: group.name,
    };
    Ok(Found { head, service, row })
}

pub(super) fn frame(visitor: &Visitor, head: &Head) -> Frame {
    let title = format!("{} in {}", head.name, head.group);
    visitor.frame(title, "groups", group_crumbs(&head.group))
}

/// A group that has the service, or could.
struct Place {
    group: GroupName,
    here: bool,
    path: String,
    badge: Badge,
    live: LiveState,
}

#[derive(Template)]
#[template(path = "service/overview.html")]
struct OverviewPage {
    frame: Frame,
    head: Head,
    hosts: Vec<String>,
    prefix: String,
    labels: Vec<String>,
    more_hosts: usize,
    routes: Vec<RouteRow>,
    more_routes: usize,
    upstreams: Vec<UpstreamCard>,
    more_upstreams: usize,
    places: Vec<Place>,
    changed: Option<(CommitLink, When, String)>,
    events: Vec<EventRow>,
}

pub(super) async fn overview(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, service)): ServiceAt,
) -> Answer {
    let Found { head, service: view, row } =
        find(&api, &visitor, &group, &service, "overview").await?;
    let filter =
        HistoryFilter { service: Some(service.clone()), limit: EVENTS, ..HistoryFilter::default() };
    let (groups, events): (_, Vec<EventView>) = api
        .store
        .read(move |repository| {
            Ok::<_, refgate_core::Error>((
                repository.groups()?,
                repository.history(&group, &filter)?,
            ))
        })
        .await?;
    let groups = groups.into_iter().map(|group| GroupHead::new(&api, group, "")).collect();
    let mut cells = row.groups;
    let places =
        overview::in_order(groups, |head: &GroupHead| head).into_iter().filter_map(|group| {
            let cell = cells.remove(&group.name)?;
            Some(Place {
                here: group.name == head.group,
                path: service_path(&group.name, &service),
                badge: Badge::of(&cell.state),
                live: LiveState::of(cell.live_reason),
                group: group.name,
            })
        });
    let places: Vec<Place> = places.collect();
    let labels = view.document["labels"].as_object().into_iter().flatten();
    let (hosts, more_hosts) = first(texts(&view.runtime["hosts"]));
    let (routes, more_routes) = first(routes_of(&view.routes));
    let (upstreams, more_upstreams) = first(upstreams_of(&view.runtime, FIRST));
    html(&OverviewPage {
        frame: frame(&visitor, &head),
        places,
        hosts,
        more_hosts,
        prefix: view.runtime["path_prefix"].as_str().unwrap_or_default().to_owned(),
        labels: labels.map(|(key, value)| format!("{key}={}", plain(value))).collect(),
        routes,
        more_routes,
        upstreams,
        more_upstreams,
        changed: match (view.commit, view.updated_at, view.updated_by) {
            (Some(commit), Some(at), Some(by)) => {
                Some((CommitLink::new(&head.group, commit), When(at), by))
            }
            _ => None,
        },
        head,
        events: events.into_iter().map(EventRow::of).collect(),
    })
}

/// The first of a list, and how many more there are.
fn first<T>(mut all: Vec<T>) -> (Vec<T>, usize) {
    let more = all.len().saturating_sub(FIRST);
    all.truncate(FIRST);
    (all, more)
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(plain).collect()
}

#[derive(Template)]
#[template(path = "service/plugins.html")]
struct PluginsPage {
    frame: Frame,
    head: Head,
    /// Where plugins are set, and each with what it says.
    plugins: Vec<(String, Vec<(String, String)>)>,
}

pub(super) async fn plugins(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, service)): ServiceAt,
) -> Answer {
    let Found { head, service, .. } = find(&api, &visitor, &group, &service, "plugins").await?;
    let of = |plugins: &Value| -> Vec<(String, String)> {
        let plugins = plugins.as_object().into_iter().flatten();
        plugins.map(|(name, settings)| (name.clone(), pretty(settings))).collect()
    };
    let mut plugins = vec![("The service".to_owned(), of(&service.document["plugins"]))];
    let routes = service.routes.as_object().into_iter().flatten();
    plugins.extend(routes.map(|(name, route)| (format!("Route {name}"), of(&route["plugins"]))));
    plugins.retain(|(_, plugins)| !plugins.is_empty());
    html(&PluginsPage { frame: frame(&visitor, &head), head, plugins })
}

#[derive(Template)]
#[template(path = "service/json.html")]
struct JsonPage {
    frame: Frame,
    head: Head,
    text: String,
}

/// The service whole, as the API gives it and takes it: on a page, or as a file.
pub(super) async fn json(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, service)): ServiceAt,
    asked: Asked,
) -> Answer {
    let Found { head, service, .. } = find(&api, &visitor, &group, &service, "json").await?;
    let mut whole = match service.document {
        Value::Object(document) => document,
        _ => Map::new(),
    };
    whole.insert("routes".to_owned(), service.routes);
    whole.insert("runtime".to_owned(), service.runtime);
    let text = pretty(&json!(whole));
    if asked.text("as") == "file" {
        return file(&format!("{}.json", head.name), text);
    }
    html(&JsonPage { frame: frame(&visitor, &head), head, text: cut(text, TEXT) })
}

async fn removal(
    api: &Api,
    (group, service): (GroupName, ServiceName),
) -> Result<Removal, Problem> {
    let (g, s) = (group.clone(), service.clone());
    let view = api.store.read(move |repository| repository.service(&g, &s)).await?;
    Ok(Removal {
        title: format!("Delete {service} from {group}"),
        lead: format!(
            "It goes from {group} with its hosts and upstreams. Other groups keep it, and so does \
             the history."
        ),
        is_grave: false,
        crumbs: service_crumbs(&group, &service),
        back: format!("/groups/{group}"),
        verb: "Delete service",
        tag: view.etag,
        carried: Vec::new(),
        typed: Some(service.to_string()),
        operation: Operation::DeleteService { service },
        group,
    })
}

pub(super) async fn ask_delete(
    State(api): State<Api>,
    visitor: Visitor,
    At(at): ServiceAt,
) -> Answer {
    removal(&api, at).await?.ask(&api, &visitor).await
}

/// Takes the service away.
pub(super) async fn delete(
    State(api): State<Api>,
    visitor: Visitor,
    At(at): ServiceAt,
    Extension(posted): Extension<Posted>,
) -> Answer {
    removal(&api, at).await?.carry_out(&api, &visitor, &posted).await
}

/// What a history page needs of a service.
pub(super) async fn head(
    api: &Api,
    visitor: &Visitor,
    group: &GroupName,
    service: &ServiceName,
) -> Result<(Frame, Head), Problem> {
    let Found { head, .. } = find(api, visitor, group, service, "history").await?;
    Ok((frame(visitor, &head), head))
}
