//! Taking a group away: what goes with it, or what keeps it, before somebody types its name.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use refgate_core::change::Operation;
use refgate_core::name::{CommitId, GroupName};

use super::super::form::Posted;
use super::super::page::{Frame, Visitor, html_with};
use super::super::session::Notice;
use super::super::settings::group_crumbs;
use super::super::{Answer, editor};
use crate::http::Api;
use crate::http::group::unserved;
use crate::http::path::At;
use crate::http::write::Done;
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "group_delete.html")]
struct DeletePage {
    frame: Frame,
    group: GroupName,
    services: usize,
    instances: usize,
    /// The commit that it is at, which is what goes.
    head: String,
    /// Why it cannot go.
    refusal: Option<String>,
    /// Why it did not go.
    fault: Option<String>,
}

pub(in super::super) async fn ask(
    State(api): State<Api>,
    visitor: Visitor,
    At((group,)): At<(GroupName,)>,
) -> Answer {
    page(&api, &visitor, group, None).await
}

async fn page(
    api: &Api,
    visitor: &Visitor,
    group: GroupName,
    fault: Option<(StatusCode, String)>,
) -> Answer {
    let name = group.clone();
    let view = api.store.read(move |repository| repository.group(&name)).await?;
    let mut plan = visitor.write();
    plan.dry_run = true;
    let refused = match unserved(api, &group) {
        Ok(()) => plan.perform(api, group.clone(), Operation::DeleteGroup, None).await.err(),
        Err(problem) => Some(problem),
    };
    let (status, fault) = fault.unzip();
    let page = DeletePage {
        frame: visitor.frame(format!("Delete {group}"), "groups", group_crumbs(&group)),
        services: view.services,
        instances: api.fleet.counts(&group).total,
        head: view.head.to_string(),
        refusal: refused.map(|problem| in_words(&problem)),
        fault,
        group,
    };
    html_with(status.unwrap_or_default(), &page)
}

fn in_words(problem: &Problem) -> String {
    editor::faults(problem, |_| None).of_form.join(" ")
}

pub(in super::super) async fn run(
    State(api): State<Api>,
    visitor: Visitor,
    At((group,)): At<(GroupName,)>,
    Extension(posted): Extension<Posted>,
) -> Answer {
    if posted.text("confirm").trim() != group.as_str() {
        let fault = "Nothing was deleted: the name typed is not the group's.".to_owned();
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return page(&api, &visitor, group, Some((status, fault))).await;
    }
    // What was shown is what goes.
    let head = posted.text("expect_head").parse::<CommitId>().ok();
    let write = visitor.write().expecting(head);
    let done = match unserved(&api, &group) {
        Ok(()) => {
            let reason = posted.given("reason");
            write.perform(&api, group.clone(), Operation::DeleteGroup, reason).await
        }
        Err(problem) => Err(problem),
    };
    match done {
        Ok(Done::Written(..) | Done::Planned(_)) => {
            let text = format!("The group {group} is deleted. The repository keeps its history.");
            Ok(visitor.go("/", Notice { text, ..Notice::default() }))
        }
        Err(problem) => {
            let fault = (problem.kind().status(), in_words(&problem));
            page(&api, &visitor, group, Some(fault)).await
        }
    }
}
