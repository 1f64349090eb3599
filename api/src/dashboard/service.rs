//! A service in a group: its tabs. What is edited is on pages of its own ([`super::settings`],
//! [`super::node`]).

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use refgate_core::change::Operation;
use refgate_core::name::{GroupName, ServiceName};
use refgate_core::view::{EventView, HistoryFilter, MatrixRow, ServiceView};
use serde_json::{Map, Value, json};

use super::form::Posted;
use super::group::Head as GroupHead;
use super::page::{Asked, Frame, Visitor, file, html, html_with};
use super::parts::{Badge, CommitLink, EventRow, LiveState, Pager, When, remedy, service_path};
use super::remove::Removal;
use super::settings::{ServiceAt, group_crumbs, service_crumbs};
use super::words::{cut, plain, pretty};
use super::{Answer, PAGE, overview};
use crate::http::Api;
use crate::http::path::At;
use crate::problem::Problem;

/// Events on the first tab.
const EVENTS: usize = 6;
/// Routes, hosts, upstreams and nodes of an upstream on the first tab; the others are counted.
const FIRST: usize = 10;
/// Upstreams on a page of them.
const UPSTREAMS: usize = 5;
/// Nodes of an upstream among others; the others are counted.
const NODES: usize = 50;
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
    /// A version that is newer than what stands here, and where the two are compared.
    pub(super) waits: Option<(Badge, String)>,
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
        waits: overview::waiting(&service.state, row.latest.as_ref()).map(|version| {
            let compare = overview::compare_with(&service.name, &group.name, Some(version));
            (Badge::version(version), compare)
        }),
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
    let places = overview::in_order(groups).into_iter().filter_map(|group| {
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

/// A route as a row.
struct RouteRow {
    name: String,
    paths: Vec<String>,
    methods: String,
    priority: i64,
    upstream: String,
    enabled: bool,
    conditions: usize,
    description: String,
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(plain).collect()
}

fn routes_of(routes: &Value) -> Vec<RouteRow> {
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

pub(super) async fn routes(
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

/// An upstream with its nodes.
struct UpstreamCard {
    name: String,
    scheme: String,
    host: &'static str,
    balancer: String,
    nodes: Vec<NodeRow>,
    /// Nodes that are not shown.
    more: usize,
}

struct NodeRow {
    host: String,
    port: String,
    weight: String,
    priority: String,
}

/// The upstreams, each with at most `most` nodes.
fn upstreams_of(runtime: &Value, most: usize) -> Vec<UpstreamCard> {
    let card = |(name, upstream): (&String, &Value)| {
        let nodes = upstream["nodes"].as_array().map_or(&[][..], Vec::as_slice);
        UpstreamCard {
            name: name.clone(),
            scheme: plain(&upstream["scheme"]),
            host: match upstream["pass_host"].as_str() {
                Some("node") => "Specified in the Upstream's Host",
                Some("rewrite") => "Rewritten",
                _ => "The client's host",
            },
            balancer: plain(&upstream["balancer"]["type"]),
            more: nodes.len().saturating_sub(most),
            nodes: nodes
                .iter()
                .take(most)
                .map(|node| NodeRow {
                    host: plain(&node["host"]),
                    port: plain(&node["port"]),
                    weight: plain(&node["weight"]),
                    priority: plain(&node["priority"]),
                })
                .collect(),
        }
    };
    runtime["upstreams"].as_object().into_iter().flatten().map(card).collect()
}

/// What was typed into a small form that was refused, and why.
#[derive(Default)]
pub(super) struct Typed {
    pub(super) upstream: String,
    pub(super) host: String,
    pub(super) port: String,
    pub(super) weight: String,
    /// The field and what is wrong with it; no field: with all of it.
    pub(super) faults: Vec<(String, String)>,
}

impl Typed {
    fn status(&self) -> StatusCode {
        if self.faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY }
    }

    fn is_of(&self, upstream: &str) -> bool {
        self.upstream == upstream
    }

    fn faults_of<'a>(&'a self, field: &'a str) -> impl Iterator<Item = &'a str> {
        self.faults.iter().filter(move |(known, _)| known == field).map(|(_, text)| &**text)
    }

    fn is_wrong(&self, field: &str) -> bool {
        self.faults.iter().any(|(known, _)| known == field)
    }

    /// What is wrong with anything but these fields.
    fn others(&self) -> impl Iterator<Item = &str> {
        let own = ["host", "port", "weight"];
        self.faults
            .iter()
            .filter(move |(field, _)| !own.contains(&&**field))
            .map(|(_, text)| &**text)
    }
}

#[derive(Template)]
#[template(path = "service/upstreams.html")]
struct UpstreamsPage {
    frame: Frame,
    head: Head,
    upstreams: Vec<UpstreamCard>,
    typed: Typed,
    /// What stands in the forms of the other upstreams.
    untyped: Typed,
    pager: Pager,
}

pub(super) async fn upstreams(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, service)): ServiceAt,
    asked: Asked,
) -> Answer {
    upstreams_page(&api, &visitor, group, service, Typed::default(), asked.page()).await
}

pub(super) async fn upstreams_page(
    api: &Api,
    visitor: &Visitor,
    group: GroupName,
    service: ServiceName,
    typed: Typed,
    page: usize,
) -> Answer {
    let Found { head, service, .. } = find(api, visitor, &group, &service, "upstreams").await?;
    let mut upstreams = upstreams_of(&service.runtime, NODES);
    let base = format!("{}/upstreams?page=", head.path);
    let pager = Pager::sized(base, page, UPSTREAMS, upstreams.len());
    // The one whose form was refused is shown in any case.
    let shown = page * UPSTREAMS..(page + 1) * UPSTREAMS;
    let mut at = 0..;
    upstreams.retain(|one| {
        at.next().is_some_and(|at: usize| shown.contains(&at)) || typed.is_of(&one.name)
    });
    let status = typed.status();
    html_with(
        status,
        &UpstreamsPage {
            frame: frame(visitor, &head),
            head,
            upstreams,
            typed,
            untyped: Typed::default(),
            pager,
        },
    )
}

#[derive(Template)]
#[template(path = "service/hosts.html")]
struct HostsPage {
    frame: Frame,
    head: Head,
    hosts: Vec<String>,
    pager: Pager,
    prefix: String,
    strip: bool,
    enabled: bool,
    typed: Typed,
}

pub(super) async fn hosts(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, service)): ServiceAt,
    asked: Asked,
) -> Answer {
    hosts_page(&api, &visitor, group, service, Typed::default(), asked.page()).await
}

pub(super) async fn hosts_page(
    api: &Api,
    visitor: &Visitor,
    group: GroupName,
    service: ServiceName,
    typed: Typed,
    page: usize,
) -> Answer {
    let Found { head, service, .. } = find(api, visitor, &group, &service, "hosts").await?;
    let runtime = &service.runtime;
    let hosts = texts(&runtime["hosts"]);
    let page = HostsPage {
        pager: Pager::new(format!("{}/hosts?page=", head.path), page, hosts.len()),
        hosts: hosts.into_iter().skip(page * PAGE).take(PAGE).collect(),
        frame: frame(visitor, &head),
        head,
        prefix: runtime["path_prefix"].as_str().unwrap_or_default().to_owned(),
        strip: runtime["strip_path_prefix"] != false,
        enabled: runtime["enabled"] != false,
        typed,
    };
    html_with(page.typed.status(), &page)
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
