//! Rollback, with what it would change before it does: a service to a version that the group has
//! run, a group to an earlier revision.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use refgate_core::change::{Operation, RollbackTarget};
use refgate_core::name::{CommitId, GroupName, Revision, ServiceName};
use refgate_core::view::HistoryFilter;

use super::Answer;
use super::editor::{self, Preview};
use super::form::{Posted, Summary};
use super::page::{Asked, Frame, Visitor, html_with};
use super::parts::{Badge, service_path};
use super::settings::{group_crumbs, service_crumbs};
use crate::http::Api;
use crate::http::path::At;
use crate::http::write::Done;
use crate::problem::{Kind, Problem};

/// Revisions that are offered.
const REVISIONS: usize = 100;

/// Something to go back to.
struct Choice {
    value: String,
    label: String,
    chosen: bool,
}

#[derive(Template)]
#[template(path = "rollback.html")]
struct RollbackPage {
    frame: Frame,
    title: String,
    lead: &'static str,
    /// What stands there now.
    now: Option<Badge>,
    what: &'static str,
    choices: Vec<Choice>,
    reason: String,
    faults: Summary,
    preview: Option<Preview>,
    /// The commit that the preview was planned on.
    head: String,
    back: String,
}

/// What was chosen, and whether to do it.
struct Order {
    target: String,
    reason: Option<String>,
    head: Option<CommitId>,
    preview: bool,
}

impl Order {
    fn of(posted: &Posted) -> Self {
        Self {
            target: posted.text("target").trim().to_owned(),
            reason: posted.given("reason"),
            head: posted.text("expect_head").parse().ok(),
            preview: posted.text("action") != "apply",
        }
    }
}

/// What came of it: a page that shows it, or a write that was done.
enum Came {
    Shown(Option<(Preview, String)>, Vec<String>, StatusCode),
    Done(axum::response::Response),
}

async fn run(
    api: &Api,
    visitor: &Visitor,
    group: &GroupName,
    operation: Operation,
    order: &Order,
    back: &str,
) -> Result<Came, Problem> {
    let mut write = visitor.write();
    write.dry_run = order.preview;
    if !order.preview {
        // What was shown is what is done.
        write = write.expecting(order.head);
    }
    let spared = match &operation {
        Operation::RollbackGroup { .. } => write.sparing_settings(api, group, &operation).await,
        _ => Ok(write),
    };
    let done = match spared {
        Ok(write) => write.perform(api, group.clone(), operation, order.reason.clone()).await,
        Err(problem) => Err(problem),
    };
    Ok(match done {
        Ok(Done::Planned(plan)) => {
            let head = plan.base_commit.map(|commit| commit.to_string()).unwrap_or_default();
            Came::Shown(Some((Preview::of(&plan), head)), Vec::new(), StatusCode::OK)
        }
        Ok(Done::Written(written, _)) => {
            let mut notice = editor::notice(&written);
            if let (true, Some(service)) = (written.changed, written.services.first()) {
                notice.text = format!(
                    "{} in {group} is back at {}, as revision {}.",
                    service.service, service.version, written.revision
                );
            }
            Came::Done(visitor.go(back, notice))
        }
        Err(problem) => {
            let mut faults = editor::faults(&problem, |_| None).of_form;
            if problem.kind() == Kind::ConcurrentUpdate {
                faults = vec![
                    "The group changed since the preview. Look at it again before you roll back."
                        .to_owned(),
                ];
            }
            Came::Shown(None, faults, problem.kind().status())
        }
    })
}

// A service.

pub(super) async fn service(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, service)): At<(GroupName, ServiceName)>,
    asked: Asked,
) -> Answer {
    let target = asked.text("version").to_owned();
    let order = Order { target, reason: None, head: None, preview: true };
    service_page(&api, &visitor, group, service, order).await
}

pub(super) async fn roll_service(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, service)): At<(GroupName, ServiceName)>,
    Extension(posted): Extension<Posted>,
) -> Answer {
    service_page(&api, &visitor, group, service, Order::of(&posted)).await
}

async fn service_page(
    api: &Api,
    visitor: &Visitor,
    group: GroupName,
    service: ServiceName,
    order: Order,
) -> Answer {
    let (g, s) = (group.clone(), service.clone());
    let (view, versions) = api
        .store
        .read(move |repository| {
            let view = repository.service(&g, &s)?;
            Ok::<_, refgate_core::Error>((view, repository.versions_in_group(&g, &s)?))
        })
        .await?;
    let back = service_path(&group, &service);
    let came = if order.target.is_empty() {
        Came::Shown(None, Vec::new(), StatusCode::OK)
    } else {
        let operation =
            Operation::RollbackService { service: service.clone(), version: order.target.clone() };
        run(api, visitor, &group, operation, &order, &back).await?
    };
    let (planned, faults, status) = match came {
        Came::Done(response) => return Ok(response),
        Came::Shown(planned, faults, status) => (planned, faults, status),
    };
    let choices =
        versions.into_iter().filter(|one| Some(&one.version) != view.state.version.as_ref());
    let choices = choices.map(|one| {
        let day = one.created_at.strftime("%Y-%m-%d");
        let value = one.version.to_string();
        let message =
            if one.message.is_empty() { String::new() } else { format!(": {}", one.message) };
        Choice {
            label: format!("{value} of {day}, by {}{message}", one.created_by),
            chosen: value == order.target,
            value,
        }
    });
    let (preview, head) = planned.unzip();
    let page = RollbackPage {
        frame: visitor.frame(
            format!("Roll back {service}"),
            "groups",
            service_crumbs(&group, &service),
        ),
        title: format!("Roll back {service} in {group}"),
        lead: "Exactly what the version holds comes back, as a new commit. Later edits leave the head \
               and stay in the history. Hosts and upstreams stay as they are.",
        now: Some(Badge::of(&view.state)),
        what: "Version",
        choices: choices.collect(),
        reason: order.reason.unwrap_or_default(),
        faults: Summary::of(faults).led("Nothing was rolled back."),
        preview,
        head: head.unwrap_or_default(),
        back,
    };
    html_with(status, &page)
}

// A group.

pub(super) async fn group(
    State(api): State<Api>,
    visitor: Visitor,
    At((group,)): At<(GroupName,)>,
    asked: Asked,
) -> Answer {
    let mut target = asked.text("revision").to_owned();
    if let (true, Ok(commit)) = (target.is_empty(), asked.text("commit").parse::<CommitId>()) {
        let name = group.clone();
        let found = api.store.read(move |repository| repository.revision(&name, commit)).await?;
        target = found.map(|revision| revision.to_string()).unwrap_or_default();
    }
    let order = Order { target, reason: None, head: None, preview: true };
    group_page(&api, &visitor, group, order).await
}

pub(super) async fn roll_group(
    State(api): State<Api>,
    visitor: Visitor,
    At((group,)): At<(GroupName,)>,
    Extension(posted): Extension<Posted>,
) -> Answer {
    group_page(&api, &visitor, group, Order::of(&posted)).await
}

async fn group_page(api: &Api, visitor: &Visitor, group: GroupName, order: Order) -> Answer {
    let name = group.clone();
    let filter = HistoryFilter { limit: REVISIONS, ..HistoryFilter::default() };
    let events = api.store.read(move |repository| repository.history(&name, &filter)).await?;
    let back = format!("/groups/{group}");
    let came = match order.target.parse::<u64>() {
        _ if order.target.is_empty() => Came::Shown(None, Vec::new(), StatusCode::OK),
        Ok(revision) => {
            let to = RollbackTarget::Revision(Revision(revision));
            let operation = Operation::RollbackGroup { to };
            run(api, visitor, &group, operation, &order, &back).await?
        }
        Err(_) => {
            let fault = "A revision is a number.".to_owned();
            Came::Shown(None, vec![fault], StatusCode::UNPROCESSABLE_ENTITY)
        }
    };
    let (planned, faults, status) = match came {
        Came::Done(response) => return Ok(response),
        Came::Shown(planned, faults, status) => (planned, faults, status),
    };
    let mut choices: Vec<Choice> = events
        .into_iter()
        .skip(1)
        .map(|event| {
            let value = event.revision.to_string();
            let at = event.at.strftime("%Y-%m-%d %H:%M");
            let label = format!("{value} of {at}: {}", event.subject);
            Choice { label, chosen: value == order.target, value }
        })
        .collect();
    if !order.target.is_empty() && !choices.iter().any(|choice| choice.chosen) {
        let (value, label) = (order.target.clone(), format!("{} (older)", order.target));
        choices.push(Choice { value, label, chosen: true });
    }
    let (preview, head) = planned.unzip();
    let page = RollbackPage {
        frame: visitor.frame(format!("Roll back {group}"), "groups", group_crumbs(&group)),
        title: format!("Roll back the group {group}"),
        lead: "Everything in the group becomes what it was at that revision, as a new commit: services, \
               hosts, upstreams, consumers, certificates, global rules. Nothing is lost from the history.",
        now: None,
        what: "Revision",
        choices,
        reason: order.reason.unwrap_or_default(),
        faults: Summary::of(faults).led("Nothing was rolled back."),
        preview,
        head: head.unwrap_or_default(),
        back,
    };
    html_with(status, &page)
}
