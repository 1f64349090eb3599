//! What happened: in all groups, in one, to one service. Newest first, with filters.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

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

/// Kinds of events that are offered as a filter, by what they are about.
const EVENTS: [(&str, &[(&str, &str)]); 6] = [
    (
        "Versions",
        &[
            ("version.created", "Version given"),
            ("version.promoted", "Synced"),
            ("version.rolled-back", "Rolled back"),
        ],
    ),
    (
        "Services",
        &[
            ("service.created", "Service added"),
            ("service.updated", "Service changed"),
            ("service.deleted", "Service deleted"),
            ("route.created", "Route added"),
            ("route.updated", "Route changed"),
            ("route.deleted", "Route deleted"),
            ("runtime.updated", "Hosts and upstreams changed"),
        ],
    ),
    (
        "Consumers",
        &[
            ("consumer.created", "Consumer added"),
            ("consumer.updated", "Consumer changed"),
            ("consumer.deleted", "Consumer deleted"),
        ],
    ),
    (
        "Certificates",
        &[
            ("certificate.created", "Certificate added"),
            ("certificate.updated", "Certificate changed"),
            ("certificate.deleted", "Certificate deleted"),
        ],
    ),
    (
        "Global rules",
        &[
            ("global-rule.created", "Global rule added"),
            ("global-rule.updated", "Global rule changed"),
            ("global-rule.deleted", "Global rule deleted"),
        ],
    ),
    (
        "Groups",
        &[
            ("group.created", "Group created"),
            ("group.updated", "Group changed"),
            ("group.rolled-back", "Group rolled back"),
            ("pushed", "Pushed"),
        ],
    ),
];

/// What is asked for, as it stands in the form.
struct Filter {
    group: String,
    service: String,
    actor: String,
    event: String,
    since: String,
    until: String,
    faults: Vec<&'static str>,
}

impl Filter {
    fn of(asked: &Asked) -> Self {
        let text = |key: &str| asked.text(key).to_owned();
        Self {
            group: text("group"),
            service: text("service"),
            actor: text("actor"),
            event: text("event"),
            since: text("since"),
            until: text("until"),
            faults: Vec::new(),
        }
    }

    /// The same as the history reads it.
    fn read(&mut self) -> HistoryFilter {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let service = given(&self.service).map(|name| name.parse::<ServiceName>());
        // Days are those of UTC, as all times here, and both are meant with what is in them.
        let at = |day: &str, time: &str| {
            given(day).map(|day| format!("{day}T{time}Z").parse::<Timestamp>())
        };
        let (since, until) = (at(&self.since, "00:00:00"), at(&self.until, "23:59:59"));
        if service.as_ref().is_some_and(Result::is_err) {
            self.faults.push("No service has such a name; it was left out.");
        }
        if [&since, &until].into_iter().any(|day| day.as_ref().is_some_and(Result::is_err)) {
            self.faults.push("A day is written 2026-01-31; it was left out.");
        }
        HistoryFilter {
            service: service.and_then(Result::ok),
            actor: given(&self.actor),
            event: given(&self.event),
            since: since.and_then(Result::ok),
            until: until.and_then(Result::ok),
            limit: PAGE + 1,
            ..HistoryFilter::default()
        }
    }

    /// Whether this kind of event is asked for.
    fn chosen(&self, event: &str) -> bool {
        self.event == event
    }

    /// The query of the list, but for where it begins.
    fn query(&self) -> String {
        let pairs = [
            ("group", &self.group),
            ("service", &self.service),
            ("actor", &self.actor),
            ("event", &self.event),
            ("since", &self.since),
            ("until", &self.until),
        ];
        let pairs = pairs.into_iter().filter(|(_, text)| !text.is_empty());
        pairs.map(|(key, text)| format!("{key}={}&", overview::encoded(text))).collect()
    }
}

/// Where a page of a list begins: of each group, the revision that everything on it is older than.
/// Written `test.17,uat.4`. Times alone would not do: many events share a second.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Cursor(BTreeMap<GroupName, Revision>);

impl Cursor {
    /// Reads one; what is none of it is passed over, as links of pages get old.
    fn read(text: &str) -> Self {
        let entry = |entry: &str| {
            let (group, revision) = entry.rsplit_once('.')?;
            Some((group.parse().ok()?, Revision(revision.parse().ok()?)))
        };
        Self(text.split(',').filter_map(entry).collect())
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (group, revision)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(out, "{comma}{group}.{revision}")?;
        }
        Ok(())
    }
}

/// The latest events of several histories from a cursor on, each of which is the newest first: at
/// most `limit`, the newest first, and where the rest begins, if there is one.
fn merged(
    histories: Vec<Vec<EventView>>,
    cursor: &Cursor,
    limit: usize,
) -> (Vec<EventView>, Option<Cursor>) {
    let mut next = cursor.clone();
    let mut left: Vec<_> =
        histories.into_iter().map(|events| events.into_iter().peekable()).collect();
    // What comes after this page was asked for is none of the next pages'.
    for events in &mut left {
        if let Some(first) = events.peek() {
            let newer = Revision(first.revision.0.saturating_add(1));
            next.0.entry(first.group.clone()).or_insert(newer);
        }
    }
    let mut taken = Vec::new();
    while taken.len() < limit {
        let newest = left
            .iter_mut()
            .enumerate()
            .filter_map(|(index, events)| Some((events.peek()?.at, Reverse(index))))
            .max();
        let Some((_, Reverse(index))) = newest else { break };
        if let Some(event) = left[index].next() {
            next.0.insert(event.group.clone(), event.revision);
            taken.push(event);
        }
    }
    let more = left.iter_mut().any(|events| events.peek().is_some());
    (taken, more.then_some(next))
}

/// A list of events and where it goes on.
struct Events {
    rows: Vec<EventRow>,
    /// The first page, when this is another.
    newest: Option<String>,
    next: Option<String>,
    filter: Filter,
    /// The groups that the filter offers.
    groups: Vec<GroupName>,
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
    groups: Vec<GroupName>,
    limit: usize,
) -> Result<Vec<EventRow>, Problem> {
    let filter = HistoryFilter { limit: limit + 1, ..HistoryFilter::default() };
    let (events, _) = read(api, groups, filter, Cursor::default()).await?;
    Ok(events.into_iter().map(EventRow::of).collect())
}

/// The events of these groups from a cursor on: one fewer than the filter's limit, which tells
/// whether there are more.
async fn read(
    api: &Api,
    groups: Vec<GroupName>,
    filter: HistoryFilter,
    cursor: Cursor,
) -> Result<(Vec<EventView>, Option<Cursor>), Problem> {
    let read = move |repository: &Repository| {
        let mut histories = Vec::new();
        for group in groups {
            let filter = HistoryFilter { after: cursor.0.get(&group).copied(), ..filter.clone() };
            histories.push(repository.history(&group, &filter)?);
        }
        Ok::<_, refgate_core::Error>(merged(histories, &cursor, filter.limit.saturating_sub(1)))
    };
    api.store.read(read).await
}

/// What a page shows of these groups.
async fn list(
    api: &Api,
    groups: Vec<GroupName>,
    mut filter: Filter,
    asked: &Asked,
    path: &str,
) -> Result<Events, Problem> {
    let query = filter.query();
    let cursor = Cursor::read(asked.text("after"));
    let newest = (!cursor.0.is_empty()).then(|| format!("{path}?{query}"));
    let (events, next) = read(api, groups, filter.read(), cursor).await?;
    Ok(Events {
        rows: events.into_iter().map(EventRow::of).collect(),
        newest,
        next: next.map(|cursor| format!("{path}?{query}after={cursor}")),
        filter,
        groups: Vec::new(),
        by_service: true,
        with_group: false,
    })
}

pub(super) async fn all(State(api): State<Api>, visitor: Visitor, asked: Asked) -> Answer {
    let groups = api.store.read(Repository::groups).await?;
    let groups = groups.into_iter().filter(|group| group.damage.is_none());
    let groups: Vec<GroupName> = groups.map(|group| group.name).collect();
    let filter = Filter::of(&asked);
    let wanted = |group: &&GroupName| filter.group.is_empty() || group.as_str() == filter.group;
    let these = groups.iter().filter(wanted).cloned().collect();
    let events = list(&api, these, filter, &asked, "/history").await?;
    let events = Events { groups, with_group: true, ..events };
    html(&HistoryPage { frame: visitor.frame("History", "history", Vec::new()), events })
}

pub(super) async fn of_group(
    State(api): State<Api>,
    visitor: Visitor,
    At((group,)): At<(GroupName,)>,
    asked: Asked,
) -> Answer {
    let head = Head::of(&api, &group, "history").await?;
    let (filter, path) = (Filter::of(&asked), format!("/groups/{group}/history"));
    let events = list(&api, vec![group.clone()], filter, &asked, &path).await?;
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
    let filter = Filter { service: name.to_string(), ..Filter::of(&asked) };
    let events = list(&api, vec![group], filter, &asked, &path).await?;
    let events = Events { by_service: false, ..events };
    html(&ServiceHistoryPage { frame, head, events })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(group: &str, revision: u64, second: i64) -> EventView {
        EventView {
            commit: "0".repeat(40).parse().expect("an id"),
            revision: Revision(revision),
            group: group.parse().expect("a name"),
            event: "pushed".to_owned(),
            actor: String::new(),
            author: String::new(),
            at: Timestamp::from_second(second).expect("in range"),
            subject: String::new(),
            service: None,
            version: None,
            from_group: None,
            reason: None,
            request_id: None,
        }
    }

    #[test]
    fn cursors_are_read_as_they_are_written() {
        let cursor = Cursor::read("test.17,uat-2.4");
        assert_eq!(cursor.to_string(), "test.17,uat-2.4");
        assert_eq!(Cursor::read("x,test.,.1,UAT.1,test.17").to_string(), "test.17");
        assert_eq!(Cursor::read(""), Cursor::default());
    }

    proptest! {
        /// Page by page everything is told once, whatever the clocks said; new commits in between
        /// come onto no older page.
        #[test]
        fn pages_tell_everything_once(
            seconds in proptest::collection::vec(proptest::collection::vec(0_i64..4, 0..30), 1..4),
            limit in 1_usize..8,
        ) {
            let whole: Vec<(String, Vec<EventView>)> = seconds.iter().enumerate().map(|(index, of_group)| {
                let name = format!("g{index}");
                let events = of_group.iter().enumerate().map(|(at, second)| {
                    event(&name, at as u64 + 1, *second)
                });
                let events = events.rev().collect();
                (name, events)
            }).collect();
            let mut told: Vec<(String, u64)> = Vec::new();
            let mut cursor = Cursor::default();
            let mut late: Vec<EventView> = Vec::new();
            loop {
                let page: Vec<_> = whole.iter().map(|(name, events)| {
                    let group: GroupName = name.parse().expect("a name");
                    let before = cursor.0.get(&group).copied();
                    let events = late.iter().filter(|one| one.group == group).chain(events);
                    let events = events.filter(|one| before.is_none_or(|before| one.revision < before));
                    events.take(limit + 1).cloned().collect()
                }).collect();
                let (events, next) = merged(page, &cursor, limit);
                told.extend(events.iter().map(|one| (one.group.to_string(), one.revision.0)));
                let Some(next) = next else { break };
                prop_assert_eq!(events.len(), limit);
                prop_assert_ne!(&next, &cursor);
                cursor = next;
                if late.is_empty() {
                    late = whole.iter().filter(|(_, events)| !events.is_empty()).map(|(name, events)| {
                        event(name, events.len() as u64 + 1, 9)
                    }).collect();
                }
            }
            let mut once = told.clone();
            once.sort();
            once.dedup();
            prop_assert_eq!(once.len(), told.len());
            let all: usize = seconds.iter().map(Vec::len).sum();
            prop_assert_eq!(told.len(), all);
        }
    }
}
