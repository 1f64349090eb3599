//! `refgate history`: what happened, in a group or in all of them.

use std::io;
use std::str::FromStr;

use clap::Args;
use jiff::{SignedDuration, Timestamp, civil};
use refgate_core::name::{GroupName, ServiceName};
use serde_json::{Value, json};

use super::Run;
use super::commit::CommitArg;
use super::failure::Failure;
use super::session::Session;
use crate::client::endpoint::Endpoint;
use crate::client::view::{self, Event, Group};
use crate::output::table::{Column, Table};
use crate::output::write::Ending;
use crate::output::{Format, Output, changes, text};

/// Flags of `history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Gateway group [default: all of them]
    #[arg(short = 'g', long = "group", value_name = "GROUP")]
    group: Option<GroupName>,
    /// Only what happened to this service
    #[arg(long, value_name = "SERVICE", help_heading = "Filters")]
    service: Option<ServiceName>,
    /// Only what happened to this file, such as services/httpbin/routes/get.json
    #[arg(long, value_name = "FILE", help_heading = "Filters")]
    path: Option<String>,
    /// Only what this person or program did
    #[arg(long, value_name = "NAME", help_heading = "Filters")]
    actor: Option<String>,
    /// Only this kind of event, such as version.promoted
    #[arg(long, value_name = "EVENT", help_heading = "Filters")]
    event: Option<String>,
    /// Not before: a time (2026-01-31T12:00:00Z), a day in UTC (2026-01-31), or an age (90m, 24h, 7d)
    #[arg(long, value_name = "WHEN", help_heading = "Filters")]
    since: Option<When>,
    /// Not after, in the same forms
    #[arg(long, value_name = "WHEN", help_heading = "Filters")]
    until: Option<When>,
    /// At most so many events
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(1..),
        help_heading = "Filters"
    )]
    limit: u32,
    /// Go on after an earlier page of a group
    #[arg(long, value_name = "CURSOR", requires = "group", help_heading = "Filters")]
    after: Option<String>,
    /// Show one commit, with what it changed; as short as tables show it
    #[arg(
        long,
        value_name = "COMMIT",
        requires = "group",
        conflicts_with_all = ["service", "path", "actor", "event", "since", "until", "limit", "after"]
    )]
    commit: Option<CommitArg>,
}

/// A moment, as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// A moment of the calendar.
    At(Timestamp),
    /// So long before now.
    Ago(SignedDuration),
}

impl When {
    fn moment(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(age) => now.checked_sub(age).unwrap_or(Timestamp::MIN),
        }
    }
}

impl FromStr for When {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(Self::At(at));
        }
        if let Ok(day) = text.parse::<civil::Date>() {
            let midnight = day.to_zoned(jiff::tz::TimeZone::UTC);
            return midnight.map(|at| Self::At(at.timestamp())).map_err(|_| "no such day");
        }
        let (number, unit) =
            text.split_at(text.len() - usize::from(text.ends_with(['s', 'm', 'h', 'd'])));
        let hours = |hours: i64| hours.checked_mul(3600);
        let seconds = number.parse::<u32>().ok().map(i64::from).and_then(|number| match unit {
            "s" => Some(number),
            "m" => number.checked_mul(60),
            "h" => hours(number),
            "d" => number.checked_mul(24).and_then(hours),
            _ => None,
        });
        match seconds {
            Some(seconds) => Ok(Self::Ago(SignedDuration::from_secs(seconds))),
            None => {
                Err("expected a time (2026-01-31T12:00:00Z), a day (2026-01-31) or an age (24h)")
            }
        }
    }
}

impl Run for HistoryArgs {
    fn run(self, session: &mut Session) -> Result<Ending, Failure> {
        match (&self.group, &self.commit) {
            (Some(group), Some(commit)) => {
                let commit = commit.resolve(session, group)?;
                one(session, group, &commit.to_string())
            }
            (Some(group), None) => self.of_group(session, group),
            (None, _) => self.of_all(session),
        }
    }
}

impl HistoryArgs {
    /// Where the events of a group are that pass the filters.
    fn endpoint(&self, group: &GroupName) -> Endpoint {
        let now = Timestamp::now();
        Endpoint::of_group(group, "history")
            .query_if("service", self.service.as_ref())
            .query_if("path", self.path.as_ref())
            .query_if("actor", self.actor.as_ref())
            .query_if("event", self.event.as_ref())
            .query_if("since", self.since.map(|when| when.moment(now)).as_ref())
            .query_if("until", self.until.map(|when| when.moment(now)).as_ref())
    }

    fn limit(&self) -> usize {
        usize::try_from(self.limit).unwrap_or(usize::MAX)
    }

    fn of_group(&self, session: &mut Session, group: &GroupName) -> Result<Ending, Failure> {
        let endpoint = self.endpoint(group);
        let body = session.client.list_after(&endpoint, self.after.clone(), Some(self.limit()))?;
        let events: Vec<Event> = view::items(&body)?;
        let out = &mut session.output;
        out.list(&body, &events, |event| event.commit.clone(), table, NOTHING)?;
        if let (Format::Table, Some(next)) = (out.format(), body.get("next"))
            && !next.is_null()
        {
            out.note(format!("there is more: --after {}", text::scalar(next)))?;
        }
        Ok(Ending::Done)
    }

    /// The latest events of all groups together. Where one goes on is told by group alone.
    fn of_all(&self, session: &mut Session) -> Result<Ending, Failure> {
        let groups = session.client.list(&Endpoint::groups(), None)?;
        let groups: Vec<Group> = view::items(&groups)?;
        let mut items: Vec<Value> = Vec::new();
        for group in groups.iter().filter(|group| group.damage.is_none()) {
            let Ok(name) = group.name.parse::<GroupName>() else { continue };
            let endpoint = self.endpoint(&name);
            let page = session.client.list_after(&endpoint, None, Some(self.limit() + 1))?;
            items.extend(page["items"].as_array().into_iter().flatten().cloned());
        }
        // Events of one second stay in the order of their group.
        let at = |item: &Value| item["at"].as_str().unwrap_or_default().to_owned();
        items.sort_by_cached_key(|item| std::cmp::Reverse(at(item)));
        let more = items.len() > self.limit();
        items.truncate(self.limit());
        let body = json!({"items": items, "next": null});
        let events: Vec<Event> = view::items(&body)?;
        let out = &mut session.output;
        out.list(&body, &events, |event| event.commit.clone(), table_of_all, NOTHING)?;
        if more && out.format() == Format::Table {
            out.note("there is more: raise --limit, or go on with --group")?;
        }
        Ok(Ending::Done)
    }
}

/// What is said of an empty history.
const NOTHING: &str = "nothing happened";

fn table(events: &[Event]) -> Table {
    table_of(events, |event| (String::new(), event.event.clone()))
}

/// The same of several groups: which it is tells more than the kind of event, which the words tell.
fn table_of_all(events: &[Event]) -> Table {
    table_of(events, |event| (event.group.clone(), String::new()))
}

fn table_of(events: &[Event], group_and_kind: impl Fn(&Event) -> (String, String)) -> Table {
    let mut table = Table::new([
        Column::whole("GROUP"),
        Column::whole("REVISION"),
        Column::words("AT"),
        Column::spare("EVENT"),
        Column::words("WHAT"),
        Column::words("ACTOR"),
        Column::words("REASON"),
        Column::whole("COMMIT"),
    ]);
    for event in events {
        let (group, kind) = group_and_kind(event);
        table.row([
            group,
            event.revision.to_string(),
            text::time(&event.at),
            kind,
            event.subject.clone(),
            text::actor(event),
            event.reason.clone().unwrap_or_default(),
            text::short_commit(&event.commit).to_owned(),
        ]);
    }
    table.without_empty_columns()
}

fn one(session: &mut Session, group: &GroupName, commit: &str) -> Result<Ending, Failure> {
    let answer = session.client.get(&Endpoint::commit(group, commit))?;
    let out = &mut session.output;
    match out.format() {
        Format::Json | Format::Yaml => out.document(&answer.body)?,
        Format::Name => out.line(commit)?,
        Format::Table => show(out, &view::read(&answer.body)?)?,
    }
    Ok(Ending::Done)
}

fn show(out: &mut Output, event: &Event) -> io::Result<()> {
    let text_of = |field: &Option<String>| field.clone().unwrap_or_default();
    let mut fields = Table::fields();
    fields
        .field("what", &event.subject)
        .field("event", &event.event)
        .field("group", &event.group)
        .field("revision", event.revision.to_string())
        .field("at", text::time(&event.at))
        .field("actor", text::actor(event))
        .field("service", text_of(&event.service))
        .field("version", text_of(&event.version))
        .field("from group", text_of(&event.from_group))
        .field("reason", text_of(&event.reason))
        .field("request id", text_of(&event.request_id))
        .field("commit", &event.commit);
    out.table(&fields)?;
    if event.changes.is_empty() {
        return Ok(());
    }
    out.line("")?;
    changes::print(out, &event.changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        let now: Timestamp = "2026-02-01T00:00:00Z".parse().expect("a time");
        let table = [
            ("2026-01-31T12:00:00Z", Some("2026-01-31T12:00:00Z")),
            ("2026-01-31T12:00:00+01:00", Some("2026-01-31T11:00:00Z")),
            ("2026-01-31", Some("2026-01-31T00:00:00Z")),
            ("90s", Some("2026-01-31T23:58:30Z")),
            ("90m", Some("2026-01-31T22:30:00Z")),
            ("24h", Some("2026-01-31T00:00:00Z")),
            ("7d", Some("2026-01-25T00:00:00Z")),
            ("4000000000d", Some("-009999-01-02T01:59:59Z")),
            ("", None),
            ("d", None),
            ("7", None),
            ("-7d", None),
            ("7 d", None),
            ("7w", None),
            ("ä", None),
            ("2026-02-30", None),
        ];
        for (text, moment) in table {
            let seen = text.parse::<When>().ok().map(|when| when.moment(now).to_string());
            assert_eq!(seen.as_deref(), moment, "{text:?}");
        }
    }
}
