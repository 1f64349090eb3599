//! A gateway group: what it is and the services that are published in it.

use askama::Template;
use axum::extract::State;
use refgate_core::name::{GroupName, Revision};
use refgate_core::view::{GroupView, MatrixRow, ServiceView};
use serde_json::Value;

use super::Answer;
use super::PAGE;
use super::overview::Waits;
use super::page::{Asked, Frame, Visitor, html};
use super::parts::{Badge, CommitLink, LiveState, Pager, When};
use super::settings::group_crumbs;
use crate::fleet::Counts;
use crate::http::Api;
use crate::http::path::At;
use crate::problem::Problem;

mod delete;

pub(super) use delete::{ask as ask_delete, run as delete};

/// What stands above every tab of a group.
pub(super) struct Head {
    pub(super) name: GroupName,
    pub(super) description: String,
    pub(super) labels: Vec<String>,
    pub(super) revision: Revision,
    pub(super) commit: CommitLink,
    pub(super) services: usize,
    pub(super) instances: Counts,
    /// Which groups it takes versions from.
    pub(super) from: Vec<String>,
    /// Whether services change by sync and rollback only.
    pub(super) guarded: bool,
    /// Whether it is written by a controller.
    pub(super) read_only: bool,
    pub(super) damage: Option<String>,
    pub(super) faults: Vec<String>,
    pub(super) tab: String,
}

impl Head {
    pub(super) async fn of(api: &Api, group: &GroupName, tab: &str) -> Result<Self, Problem> {
        let name = group.clone();
        let view = api.store.read(move |repository| repository.group(&name)).await?;
        Ok(Self::new(api, view, tab))
    }

    pub(super) fn new(api: &Api, view: GroupView, tab: &str) -> Self {
        let document = &view.document;
        let labels = document["labels"].as_object().into_iter().flatten();
        let labels = labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or("")));
        let from = document["promotion"]["from"].as_array().into_iter().flatten();
        Self {
            description: document["description"].as_str().unwrap_or_default().to_owned(),
            labels: labels.collect(),
            from: from.filter_map(Value::as_str).map(str::to_owned).collect(),
            guarded: document["promotion"]["direct_edits"] == "runtime-only",
            read_only: document["type"] == "ingress",
            revision: view.revision,
            commit: CommitLink::new(&view.name, view.head),
            services: view.services,
            instances: api.fleet.counts(&view.name),
            faults: view.diagnostics.iter().map(super::editor::finding).collect(),
            damage: view.damage,
            name: view.name,
            tab: tab.to_owned(),
        }
    }

    pub(super) fn is(&self, tab: &str) -> bool {
        self.tab == tab
    }
}

/// A service as a row.
struct Row {
    name: String,
    badge: Badge,
    waits: Option<Waits>,
    live: LiveState,
    description: String,
    hosts: String,
    routes: usize,
    changed: Option<(CommitLink, When, String)>,
}

#[derive(Template)]
#[template(path = "group.html")]
struct GroupPage {
    frame: Frame,
    head: Head,
    rows: Vec<Row>,
    query: String,
    pager: Pager,
    may_edit: bool,
    /// Whether services may be added here by hand.
    may_add: bool,
}

pub(super) async fn services(
    State(api): State<Api>,
    visitor: Visitor,
    At((group,)): At<(GroupName,)>,
    asked: Asked,
) -> Answer {
    let head = Head::of(&api, &group, "services").await?;
    let (query, page) = (asked.text("q").to_owned(), asked.page());
    let (name, text) = (group.clone(), query.clone());
    let (found, matrix) = api
        .store
        .read(move |repository| {
            let found = repository.services_page(&name, &text, page * PAGE, PAGE)?;
            let names: Vec<_> = found.services.iter().map(|one| one.name.clone()).collect();
            let rows = repository.matrix_rows(&names)?;
            Ok::<_, refgate_core::Error>((found, rows))
        })
        .await?;
    let base = format!("/groups/{group}?q={}&page=", super::overview::encoded(&query));
    let total = found.total;
    html(&GroupPage {
        frame: visitor.frame(format!("Group {group}"), "groups", Vec::new()),
        may_edit: visitor.may_edit() && !head.read_only,
        may_add: visitor.may_edit() && !head.read_only && !head.guarded,
        rows: found
            .services
            .into_iter()
            .zip(&matrix)
            .map(|(one, matrix)| row(one, matrix, &head.from))
            .collect(),
        head,
        query,
        pager: Pager::new(base, page, total),
    })
}

fn row(service: ServiceView, matrix: &MatrixRow, from: &[String]) -> Row {
    let hosts = service.runtime["hosts"].as_array();
    Row {
        badge: Badge::of(&service.state),
        waits: Waits::of(matrix, &service.group, from),
        live: LiveState::of(service.live_reason),
        description: service.document["description"].as_str().unwrap_or_default().to_owned(),
        hosts: match hosts.map_or(0, Vec::len) {
            0 => "any".to_owned(),
            1..=2 => super::words::plain(&service.runtime["hosts"]),
            more => format!(
                "{} and {} more",
                super::words::plain(&service.runtime["hosts"][0]),
                more - 1
            ),
        },
        routes: service.routes.as_object().map_or(0, serde_json::Map::len),
        changed: match (service.commit, service.updated_at, service.updated_by) {
            (Some(commit), Some(at), Some(by)) => {
                Some((CommitLink::new(&service.group, commit), When(at), by))
            }
            _ => None,
        },
        name: service.name.to_string(),
    }
}

/// The way to a tab of a group.
pub(super) fn tab_frame(visitor: &Visitor, group: &GroupName, what: &str) -> Frame {
    visitor.frame(format!("{what} of {group}"), "groups", group_crumbs(group))
}
