//! What happened: in all groups, in one, to one service. Newest first, with filters.

use askama::Template;
use axum::extract::State;
use jiff::Timestamp;
use refgate_core::name::{GroupName, Revision, ServiceName};
use refgate_core::repository::Repository;
use refgate_core::view::{EventView, HistoryFilter};

use super::group::{Head, tab_frame};
use super::page::{Asked, Frame, Visitor, html};
use super::parts::EventRow;
use super::{Answer, PAGE, overview, service};
use crate::http::Api;
use crate::http::path::At;
use crate::problem::Problem;

/// Kinds of events that are offered as a filter.
const EVENTS: [(&str, &str); 12] = [
    ("", "Every event"),
    ("version.promoted", "Synced"),
    ("version.rolled-back", "Rolled back"),
    ("service.created", "Service added"),
    ("service.updated", "Service changed"),
    ("service.deleted", "Service deleted"),
    ("route.created", "Route added"),
    ("route.updated", "Route changed"),
    ("runtime.updated", "Hosts and upstreams changed"),
    ("group.updated", "Group changed"),
    ("group.rolled-back", "Group rolled back"),
    ("pushed", "Pushed"),
];

/// What is asked for, as it stands in the form.
struct Filter {
    service: String,
    actor: String,
    event: String,
    since: String,
    fault: Option<&'static str>,
}

impl Filter {
    fn of(asked: &Asked) -> Self {
        let text = |key: &str| asked.text(key).to_owned();
        let (service, actor, event) = (text("service"), text("actor"), text("event"));
        Self { service, actor, event, since: text("since"), fault: None }
    }

    /// The same as the history reads it.
    fn read(&mut self) -> HistoryFilter {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let service = given(&self.service).map(|name| name.parse::<ServiceName>());
        let since = given(&self.since).map(|day| format!("{day}T00:00:00Z").parse::<Timestamp>());
        if service.as_ref().is_some_and(Result::is_err) {
            self.fault = Some("No service has such a name; it was left out.");
        }
        if since.as_ref().is_some_and(Result::is_err) {
            self.fault = Some("The day is written 2026-01-31; it was left out.");
        }
        HistoryFilter {
            service: service.and_then(Result::ok),
            actor: given(&self.actor),
            event: given(&self.event),
            since: since.and_then(Result::ok),
            limit: PAGE + 1,
            ..HistoryFilter::default()
        }
    }

    fn events(&self) -> impl Iterator<Item = (&'static str, &'static str, bool)> {
        EVENTS.into_iter().map(|(event, words)| (event, words, event == self.event))
    }

    /// The query of the next page, but for where it begins.
    fn query(&self) -> String {
        let pairs = [
            ("service", &self.service),
            ("actor", &self.actor),
            ("event", &self.event),
            ("since", &self.since),
        ];
        let pairs = pairs.into_iter().filter(|(_, text)| !text.is_empty());
        pairs.map(|(key, text)| format!("{key}={}&", overview::encoded(text))).collect()
    }
}

/// A list of events and where it goes on.
struct Events {
    rows: Vec<EventRow>,
    next: Option<String>,
    filter: Filter,
    /// Whether the filter offers services.
    by_service: bool,
    /// Whether rows say their group.
    with_group: bool,
}

#[derive(Template)]
#[template(path = "history.html")]
struct HistoryPage {
    frame: Frame,
    events: Events,
}

#[derive(Template)]
#[template(path = "group_history.html")]
struct GroupHistoryPage {
    frame: Frame,
    head: Head,
    events: Events,
    may_edit: bool,
}

#[derive(Template)]
#[template(path = "service/history.html")]
struct ServiceHistoryPage {
    frame: Frame,
    head: service::Head,
    events: Events,
}

/// The latest events of these groups together.
pub(super) async fn latest(
    api: &Api,
    groups: &[Head],
    limit: usize,
) -> Result<Vec<EventRow>, Problem> {
    let names = groups.iter().filter(|group| group.damage.is_none());
    let names: Vec<GroupName> = names.map(|group| group.name.clone()).collect();
    let filter = HistoryFilter { limit, ..HistoryFilter::default() };
    let events = merged(api, names, filter).await?;
    Ok(events.into_iter().take(limit).map(EventRow::of).collect())
}

/// The events of several groups by time.
async fn merged(
    api: &Api,
    groups: Vec<GroupName>,
    filter: HistoryFilter,
) -> Result<Vec<EventView>, Problem> {
    let read = move |repository: &Repository| {
        let mut events = Vec::new();
        for group in &groups {
            events.extend(repository.history(group, &filter)?);
        }
        Ok::<_, refgate_core::Error>(events)
    };
    let mut events = api.store.read(read).await?;
    events.sort_by(|a, b| b.at.cmp(&a.at).then(b.revision.cmp(&a.revision)));
    Ok(events)
}

pub(super) async fn all(State(api): State<Api>, visitor: Visitor, asked: Asked) -> Answer {
    let mut form = Filter::of(&asked);
    let mut filter = form.read();
    // Pages of several groups are told by time: those of one second stay together.
    filter.until = asked.text("until").parse().ok();
    let groups = api.store.read(Repository::groups).await?;
    let groups = groups.into_iter().filter(|group| group.damage.is_none());
    let mut events = merged(&api, groups.map(|group| group.name).collect(), filter).await?;
    let more = events.len() > PAGE;
    let next = events.get(PAGE).filter(|_| more).map(|event| event.at);
    events.truncate(PAGE);
    let next = next.map(|at| format!("/history?{}until={at}", form.query()));
    let rows = events.into_iter().map(EventRow::of).collect();
    let events = Events { rows, next, filter: form, by_service: true, with_group: true };
    html(&HistoryPage { frame: visitor.frame("History", "history", Vec::new()), events })
}

/// The events of one group from a revision on.
async fn of_one(
    api: &Api,
    group: &GroupName,
    asked: &Asked,
    only: Option<ServiceName>,
    path: &str,
) -> Result<Events, Problem> {
    let mut form = Filter::of(asked);
    let by_service = only.is_none();
    if let Some(only) = &only {
        form.service = only.to_string();
    }
    let mut filter = form.read();
    filter.after = asked.text("after").parse().ok().map(Revision);
    let name = group.clone();
    let mut events = api.store.read(move |repository| repository.history(&name, &filter)).await?;
    let more = events.len() > PAGE;
    events.truncate(PAGE);
    let next = events.last().filter(|_| more).map(|event| event.revision);
    let next = next.map(|revision| format!("{path}?{}after={revision}", form.query()));
    let rows = events.into_iter().map(EventRow::of).collect();
    Ok(Events { rows, next, filter: form, by_service, with_group: false })
}

pub(super) async fn of_group(
    State(api): State<Api>,
    visitor: Visitor,
    At((group,)): At<(GroupName,)>,
    asked: Asked,
) -> Answer {
    let head = Head::of(&api, &group, "history").await?;
    let events = of_one(&api, &group, &asked, None, &format!("/groups/{group}/history")).await?;
    let may_edit = visitor.may_edit() && !head.read_only;
    html(&GroupHistoryPage {
        frame: tab_frame(&visitor, &group, "History"),
        head,
        events,
        may_edit,
    })
}

pub(super) async fn of_service(
    State(api): State<Api>,
    visitor: Visitor,
    At((group, name)): At<(GroupName, ServiceName)>,
    asked: Asked,
) -> Answer {
    let (frame, head) = service::head(&api, &visitor, &group, &name).await?;
    let path = format!("{}/history", super::parts::service_path(&group, &name));
    let events = of_one(&api, &group, &asked, Some(name), &path).await?;
    html(&ServiceHistoryPage { frame, head, events })
}
