//! Gateway instances and the commit that each serves.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use refgate_core::name::{CommitId, GroupName};
use refgate_core::repository::Repository;
use serde_json::Value;

use super::Answer;
use super::group::{Head, tab_frame};
use super::page::{Frame, Visitor, html};
use super::parts::{CommitLink, When};
use crate::fleet::instance::Instance;
use crate::http::Api;
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
}

#[derive(Template)]
#[template(path = "gateways.html")]
struct GatewaysPage {
    frame: Frame,
    rows: Vec<Row>,
}

#[derive(Template)]
#[template(path = "group_gateways.html")]
struct GroupGatewaysPage {
    frame: Frame,
    head: Head,
    rows: Vec<Row>,
}

async fn rows(api: &Api, group: Option<&GroupName>) -> Result<Vec<Row>, Problem> {
    let groups = api.store.read(Repository::groups).await?;
    let heads: BTreeMap<GroupName, CommitId> =
        groups.into_iter().map(|group| (group.name, group.head)).collect();
    let instances = api.fleet.instances(group).into_iter();
    Ok(instances.map(|one| row(one, &heads)).collect())
}

fn row(one: Instance, heads: &BTreeMap<GroupName, CommitId>) -> Row {
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
        name: one.instance,
        group: one.group,
        version: one.version,
        message: one.message,
    }
}

pub(super) async fn all(State(api): State<Api>, visitor: Visitor) -> Answer {
    let rows = rows(&api, None).await?;
    html(&GatewaysPage { frame: visitor.frame("Gateways", "gateways", Vec::new()), rows })
}

pub(super) async fn of_group(
    State(api): State<Api>,
    visitor: Visitor,
    At((group,)): At<(GroupName,)>,
) -> Answer {
    let head = Head::of(&api, &group, "gateways").await?;
    let rows = rows(&api, Some(&group)).await?;
    html(&GroupGatewaysPage { frame: tab_frame(&visitor, &group, "Gateways"), head, rows })
}
