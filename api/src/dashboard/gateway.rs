//! Gateway instances and the commit that each serves.

use std::collections::BTreeMap;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use refgate_core::name::{CommitId, GroupName};
use refgate_core::repository::Repository;
use serde_json::Value;

use super::Answer;
use super::form::Posted;
use super::group::{Head, tab_frame};
use super::page::{self, Asked, Frame, Visitor, html};
use super::parts::{CommitLink, Pager, When};
use super::session::Notice;
use crate::fleet::instance::{Instance, InstanceState};
use crate::http::Api;
use crate::http::gateways::{InstanceName, forget};
use crate::http::path::At;
use crate::problem::Problem;

/// An instance as a row.
struct Row {
    name: String,
    group: GroupName,
    state: &'static str,
    tone: &'static str,
    version: String,
    commit: Option<CommitLink>,
    /// Whether that is where the group is.
    is_head: bool,
    message: Option<String>,
    findings: Vec<String>,
    started: Option<When>,
    seen: Option<When>,
    /// Whether it can be cleared away: it has not been heard of, and whoever looks may.
    may_remove: bool,
}

/// Instances as a list, and where it goes on.
struct Rows {
    all: Vec<Row>,
    pager: Pager,
    csrf: String,
    /// The page that the list is on.
    here: String,
}

#[derive(Template)]
#[template(path = "gateways.html")]
struct GatewaysPage {
    frame: Frame,
    rows: Rows,
}

#[derive(Template)]
#[template(path = "group_gateways.html")]
struct GroupGatewaysPage {
    frame: Frame,
    head: Head,
    rows: Rows,
}

async fn rows(
    api: &Api,
    visitor: &Visitor,
    asked: &Asked,
    group: Option<&GroupName>,
) -> Result<Rows, Problem> {
    let groups = api.store.read(Repository::groups).await?;
    let heads: BTreeMap<GroupName, CommitId> =
        groups.into_iter().map(|group| (group.name, group.head)).collect();
    let instances = api.fleet.instances(group);
    let path = match group {
        Some(group) => format!("/groups/{group}/gateways"),
        None => "/gateways".to_owned(),
    };
    let pager = Pager::new(format!("{path}?page="), asked.page(), instances.len());
    let row = |one: Instance| {
        let is_away = matches!(one.state, InstanceState::Lost | InstanceState::Offline);
        let may_remove = is_away && visitor.may_edit();
        Row { may_remove, ..row_of(one, &heads) }
    };
    Ok(Rows {
        all: asked.part(instances).into_iter().map(row).collect(),
        pager,
        csrf: visitor.session.csrf.clone(),
        here: path,
    })
}

/// Forgets an instance that will not come again.
pub(super) async fn remove(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, instance)): At<(GroupName, InstanceName)>,
    Extension(posted): Extension<Posted>,
) -> Answer {
    forget(&api, &group, &instance)?;
    let next = posted.text("next");
    let to = if page::is_local(next) { next } else { "/gateways" };
    let text = format!("{instance} of {group} is forgotten. It is listed again when it checks in.");
    Ok(visitor.go(to, Notice { text, ..Notice::default() }))
}

fn row_of(one: Instance, heads: &BTreeMap<GroupName, CommitId>) -> Row {
    let finding = |found: &Value| {
        let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        format!("{} {}: {}", text("file"), text("pointer"), text("message"))
    };
    let when = |text: &str| text.parse().ok().map(When);
    Row {
        state: one.state.as_str(),
        tone: match one.state.as_str() {
            "healthy" => "good",
            "degraded" => "warn",
            _ => "bad",
        },
        is_head: one.commit.is_some() && one.commit.as_ref() == heads.get(&one.group),
        commit: one.commit.map(|commit| CommitLink::new(&one.group, commit)),
        findings: one.diagnostics.iter().map(finding).collect(),
        started: one.started_at.as_deref().and_then(when),
        seen: when(&one.last_seen),
        may_remove: false,
        name: one.instance,
        group: one.group,
        version: one.version,
        message: one.message,
    }
}

pub(super) async fn all(State(api): State<Api>, visitor: Visitor, asked: Asked) -> Answer {
    let rows = rows(&api, &visitor, &asked, None).await?;
    html(&GatewaysPage { frame: visitor.frame("Gateways", "gateways", Vec::new()), rows })
}

pub(super) async fn of_group(
    State(api): State<Api>,
    visitor: Visitor,
    At((group,)): At<(GroupName,)>,
    asked: Asked,
) -> Answer {
    let head = Head::of(&api, &group, "gateways").await?;
    let rows = rows(&api, &visitor, &asked, Some(&group)).await?;
    html(&GroupGatewaysPage { frame: tab_frame(&visitor, &group, "Gateways"), head, rows })
}
