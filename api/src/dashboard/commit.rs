//! One commit of a group: who, why, and what it changed; the way back to it.

use askama::Template;
use axum::extract::State;
use refgate_core::name::{CommitId, GroupName};

use super::Answer;
use super::group::Head;
use super::page::{Asked, Frame, Visitor, crumb, html};
use super::parts::EventRow;
use super::settings::group_crumbs;
use super::words::Changes;
use crate::http::Api;
use crate::http::path::At;

#[derive(Template)]
#[template(path = "commit.html")]
struct CommitPage {
    frame: Frame,
    event: EventRow,
    id: String,
    from_group: Option<String>,
    request_id: Option<String>,
    changes: Changes,
    /// Who serves it: instances that do, and all there are.
    served: (usize, usize),
    /// Whether it is where the group is now.
    is_head: bool,
    may_restore: bool,
}

pub(super) async fn show(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, commit)): At<(GroupName, CommitId)>,
    asked: Asked,
) -> Answer {
    let name = group.clone();
    let (view, found) = api
        .store
        .read(move |repository| {
            let found = repository.commit(&name, commit)?;
            Ok::<_, refgate_core::Error>((repository.group(&name)?, found))
        })
        .await?;
    let is_head = view.head == commit;
    let head = Head::new(&api, view, "history");
    let instances = api.fleet.instances(Some(&group));
    let serving = instances.iter().filter(|one| one.commit == Some(commit)).count();
    let mut crumbs = group_crumbs(&group);
    crumbs.push(crumb("History", format!("/groups/{group}/history")));
    let event = found.event;
    html(&CommitPage {
        frame: visitor.frame(event.subject.clone(), "groups", crumbs),
        id: event.commit.to_string(),
        from_group: event.from_group.clone(),
        request_id: event.request_id.clone(),
        event: EventRow::of(event),
        changes: Changes::page(
            &found.changes,
            asked.page(),
            format!("/groups/{group}/commits/{commit}?page="),
        ),
        served: (serving, instances.len()),
        is_head,
        may_restore: visitor.may_edit() && !head.read_only && !is_head,
    })
}
