//! The versions of a service as a tab of it, and the number that content gets there.

use std::collections::HashSet;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use refgate_core::change::Operation;
use refgate_core::name::{GroupName, ServiceName};
use refgate_core::version::Version;
use refgate_core::view::VersionView;

use super::form::Posted;
use super::page::{Asked, Frame, Visitor, html_with, redirect};
use super::parts::{Badge, Pager, When, service_path};
use super::service::{Found, Head, find, frame};
use super::settings::ServiceAt;
use super::{Answer, PAGE, editor};
use crate::http::Api;
use crate::http::path::At;
use crate::http::write::Done;

/// A version as a row.
struct VersionRow {
    badge: Badge,
    number: String,
    at: When,
    by: String,
    message: String,
    groups: Vec<GroupName>,
    current: bool,
}

#[derive(Template)]
#[template(path = "service/versions.html")]
struct VersionsPage {
    frame: Frame,
    head: Head,
    ran: Vec<VersionRow>,
    /// Versions that never ran here.
    others: Vec<VersionRow>,
    pager: Pager,
    /// Whether this is the first page of them.
    is_first: bool,
    /// The number proposed for what has none.
    proposed: Option<String>,
    typed: String,
    message: String,
    fault: Option<String>,
}

pub(super) async fn show(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, service)): ServiceAt,
    asked: Asked,
) -> Answer {
    page(&api, &visitor, group, service, &Posted::default(), None, asked.page()).await
}

async fn page(
    api: &Api,
    visitor: &Visitor,
    group: GroupName,
    service: ServiceName,
    posted: &Posted,
    fault: Option<(StatusCode, String)>,
    shown: usize,
) -> Answer {
    let Found { head, service: view, .. } =
        find(api, visitor, &group, &service, "versions").await?;
    let (g, s) = (group.clone(), service.clone());
    let (ran, all) = api
        .store
        .read(move |repository| {
            let ran = repository.versions_in_group(&g, &s)?;
            Ok::<_, refgate_core::Error>((ran, repository.versions(&s)?))
        })
        .await?;
    let proposed = next(view.state.version.is_some(), &all);
    let numbers: HashSet<Version> = ran.iter().map(|version| version.version.clone()).collect();
    let others = all.into_iter().filter(|version| !numbers.contains(&version.version));
    let rows: Vec<VersionView> = ran.into_iter().chain(others).collect();
    let base = format!("{}/versions?page=", service_path(&group, &service));
    let pager = Pager::new(base, shown, rows.len());
    let rows = rows.into_iter().skip(shown * PAGE).take(PAGE);
    let (ran, others): (Vec<_>, Vec<_>) =
        rows.partition(|version| numbers.contains(&version.version));
    let row = |version: VersionView| VersionRow {
        badge: Badge::version(&version.version),
        current: view.state.version.as_ref() == Some(&version.version),
        number: version.version.to_string(),
        at: When(version.created_at),
        by: version.created_by,
        message: version.message,
        groups: version.groups,
    };
    let (status, fault) = match fault {
        Some((status, fault)) => (status, Some(fault)),
        None => (StatusCode::OK, None),
    };
    let page = VersionsPage {
        frame: frame(visitor, &head),
        head,
        ran: ran.into_iter().map(row).collect(),
        others: others.into_iter().map(row).collect(),
        pager,
        is_first: shown == 0,
        typed: posted.given("version").or_else(|| proposed.clone()).unwrap_or_default(),
        proposed,
        message: posted.text("message").to_owned(),
        fault,
    };
    html_with(status, &page)
}

/// A number that is free for content that has none: the minor part of the newest, counted on.
pub(super) fn next(has_one: bool, versions: &[VersionView]) -> Option<String> {
    if has_one {
        return None;
    }
    let Some(newest) = versions.iter().map(|version| &version.version).max() else {
        return Some("1.0.0".to_owned());
    };
    let text = newest.to_string();
    let mut parts = text.split(['.', '-']).map(|part| part.parse::<u64>().unwrap_or_default());
    let (major, minor) = (parts.next().unwrap_or(1), parts.next().unwrap_or(0));
    Some(format!("{major}.{}.0", minor + 1))
}

/// Gives what stands here a number.
pub(super) async fn tag(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, service)): ServiceAt,
    Extension(posted): Extension<Posted>,
) -> Answer {
    let operation = Operation::TagVersion {
        service: service.clone(),
        version: posted.text("version").trim().to_owned(),
        message: posted.given("message"),
    };
    let back = format!("{}/versions", service_path(&group, &service));
    match visitor.write().perform(&api, group.clone(), operation, None).await {
        Ok(Done::Written(written, _)) => {
            let mut notice = editor::notice(&written);
            if let Some(outcome) = written.services.first() {
                notice.text = format!("{service} is {} now.", outcome.version);
            }
            Ok(visitor.go(&back, notice))
        }
        Ok(Done::Planned(_)) => Ok(redirect(&back)),
        Err(problem) => {
            let fault = Some((problem.kind().status(), problem.detail().to_owned()));
            page(&api, &visitor, group, service, &posted, fault, 0).await
        }
    }
}
