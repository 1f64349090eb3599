//! `refgate status`: the one screen that an operator needs. What on it needs attention is found in
//! [`mod@attention`].

mod attention;

use std::collections::BTreeMap;

use clap::Args;
use refgate_core::name::{GroupName, ServiceName};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use self::attention::{attention, is_behind, is_modified, is_troubled, waiting};
use super::failure::Failure;
use super::session::Session;
use super::{Run, group};
use crate::client::ClientError;
use crate::client::endpoint::Endpoint;
use crate::client::view::{self, Gateway, Group, MatrixRow, ShapeError};
use crate::output::paint::Colour;
use crate::output::table::{Column, Table};
use crate::output::write::Ending;
use crate::output::{Format, text};

/// Flags of `status`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refgate status --problems
  refgate status httpbin -g uat,production")]
pub struct StatusArgs {
    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<ServiceName>,
    /// Only these gateway groups, and what is in them
    #[arg(short = 'g', long = "group", value_name = "GROUP", value_delimiter = ',')]
    groups: Vec<GroupName>,
    /// Only what needs attention: damage, gateways that are not well or not at the head, services
    /// that are not live or changed since their version, versions that wait to be taken
    #[arg(long)]
    problems: bool,
}

impl Run for StatusArgs {
    fn run(self, session: &mut Session) -> Result<Ending, Failure> {
        let groups = self.groups.iter().map(Endpoint::group).collect();
        let mut groups_body = named_or_all(session, groups, &Endpoint::groups())?;
        let services = self.services.iter().map(Endpoint::matrix_row).collect();
        let mut matrix_body = named_or_all(session, services, &Endpoint::matrix())?;
        let mut gateways_body = gateways(session)?;

        let groups: Vec<Group> = in_promotion_order(view::items(&groups_body)?);
        let gateways: Vec<Gateway> = keep(&mut gateways_body, |gateway: &Gateway| {
            let own = groups.iter().find(|group| group.name == gateway.group);
            own.is_some_and(|group| !self.problems || is_behind(gateway, group))
        })?;
        let rows: Vec<MatrixRow> = keep(&mut matrix_body, |row: &MatrixRow| {
            let all = self.groups.is_empty() && !self.problems;
            all || groups.iter().any(|group| self.shows(row, group))
        })?;
        let troubled = |group: &Group| !self.problems || is_troubled(group, &gateways);
        keep(&mut groups_body, troubled)?;

        let out = &mut session.output;
        match out.format() {
            Format::Json | Format::Yaml => out.document(&json!({
                "groups": groups_body, "services": matrix_body, "gateways": gateways_body
            }))?,
            Format::Name => rows.iter().try_for_each(|row| out.line(&row.service))?,
            Format::Table => {
                let listed: Vec<Group> =
                    groups.iter().filter(|group| troubled(group)).cloned().collect();
                let tables = [
                    group::table(&listed),
                    matrix_table(&groups, &rows),
                    gateway_table(&groups, &gateways),
                ];
                for table in tables.iter().filter(|table| !table.is_empty()) {
                    out.table(table)?;
                    out.line("")?;
                }
                let attention = attention(&groups, &rows, &gateways);
                if attention.is_empty() && (self.problems || !rows.is_empty()) {
                    out.painted(Some(Colour::Green), "nothing needs attention")?;
                }
                for line in attention {
                    out.sentence(Some(Colour::Yellow), &line)?;
                }
                if rows.is_empty() && !self.problems {
                    out.note(self.nothing())?;
                }
            }
        }
        Ok(Ending::Done)
    }
}

impl StatusArgs {
    /// Whether a service is shown for the sake of a group.
    fn shows(&self, row: &MatrixRow, group: &Group) -> bool {
        let cell = row.groups.get(&group.name);
        match self.problems {
            true => {
                cell.is_some_and(|cell| !cell.live || is_modified(cell))
                    || waiting(row, group).is_some()
            }
            false => cell.is_some(),
        }
    }

    /// What there is to say where no service is shown.
    fn nothing(&self) -> String {
        if self.groups.is_empty() {
            return "there is no service yet: `refgate service create` makes one".to_owned();
        }
        let what = if self.services.is_empty() { "no service" } else { "none of these services" };
        let groups: Vec<&str> = self.groups.iter().map(GroupName::as_str).collect();
        format!("{what} is in {}", groups.join(" or "))
    }
}

/// What was named, one by one: what is not there is refused. All there is where nothing was.
fn named_or_all(
    session: &Session,
    named: Vec<Endpoint>,
    all: &Endpoint,
) -> Result<Value, ClientError> {
    if named.is_empty() {
        return session.client.list(all, None);
    }
    let items = named.iter().map(|one| Ok(session.client.get(one)?.body));
    let items: Vec<Value> = items.collect::<Result<_, ClientError>>()?;
    Ok(json!({"items": items, "next": null}))
}

/// Takes out of a list what is not wanted; gives the rest as it is shown.
fn keep<T: DeserializeOwned>(
    list: &mut Value,
    wanted: impl Fn(&T) -> bool,
) -> Result<Vec<T>, ShapeError> {
    let read: Vec<T> = view::items(list)?;
    let mut kept = read.iter().map(&wanted);
    if let Some(items) = list.get_mut("items").and_then(Value::as_array_mut) {
        items.retain(|_| kept.next().unwrap_or(true));
    }
    Ok(read.into_iter().filter(wanted).collect())
}

/// The services of all groups, for `service list` without a group.
pub(crate) fn matrix(session: &mut Session) -> Result<Ending, Failure> {
    let groups = session.client.list(&Endpoint::groups(), None)?;
    let body = session.client.list(&Endpoint::matrix(), None)?;
    let groups = in_promotion_order(view::items(&groups)?);
    let rows: Vec<MatrixRow> = view::items(&body)?;
    let table = |rows: &[MatrixRow]| matrix_table(&groups, rows);
    let empty = "there is no service yet: `refgate service create` makes one";
    session.output.list(&body, &rows, |row| row.service.clone(), table, empty)?;
    for group in &groups {
        if let Some(damage) = &group.damage {
            session.output.note(format!("group {} is damaged: {damage}", group.name))?;
        }
    }
    Ok(Ending::Done)
}

/// A control plane that runs no gateways and knows none may not have the list at all.
fn gateways(session: &mut Session) -> Result<Value, ClientError> {
    match session.client.list(&Endpoint::gateways(), None) {
        Err(ClientError::Refused(problem)) if matches!(problem.status, 404 | 405) => {
            Ok(json!({"items": [], "next": null}))
        }
        other => other,
    }
}

fn matrix_table(groups: &[Group], rows: &[MatrixRow]) -> Table {
    let own = ["SERVICE", "LATEST"].map(Column::whole).into_iter();
    let columns = own.chain(groups.iter().map(|group| Column::words(group.name.as_str())));
    let mut table = Table::new(columns).continued();
    for row in rows {
        let mut cells = vec![row.service.clone(), row.latest.clone().unwrap_or_default()];
        cells.extend(groups.iter().map(|group| text::cell(row.groups.get(&group.name))));
        table.row(cells);
    }
    table
}

/// Every instance, and whether it serves the head of its group.
fn gateway_table(groups: &[Group], gateways: &[Gateway]) -> Table {
    let heads: BTreeMap<&str, &str> =
        groups.iter().map(|group| (group.name.as_str(), group.head.as_str())).collect();
    let mut table = Table::new([
        Column::whole("GATEWAY"),
        Column::whole("GROUP"),
        Column::whole("STATE"),
        Column::words("SERVES"),
        Column::words("PROBLEM"),
    ]);
    for gateway in gateways {
        let serves = match gateway.commit.as_deref() {
            None => "nothing yet".to_owned(),
            Some(commit) if heads.get(gateway.group.as_str()) == Some(&commit) => {
                format!("{} (head)", text::short_commit(commit))
            }
            Some(commit) => text::short_commit(commit).to_owned(),
        };
        table.row([
            gateway.instance.clone(),
            gateway.group.clone(),
            gateway.state.clone(),
            serves,
            problem(gateway),
        ]);
    }
    table.without_empty_columns()
}

/// What keeps an instance from being healthy. Of one that is not heard of, nothing it said counts.
pub(super) fn problem(gateway: &Gateway) -> String {
    match (gateway.state.as_str(), &gateway.last_seen) {
        ("lost" | "offline", Some(seen)) => format!("not heard of since {}", text::time(seen)),
        _ if !gateway.diagnostics.is_empty() => text::findings(&gateway.diagnostics),
        _ => gateway.message.clone().unwrap_or_default(),
    }
}

/// Groups in the order that versions travel: a group comes after those that it takes from.
fn in_promotion_order(groups: Vec<Group>) -> Vec<Group> {
    let mut depth: BTreeMap<String, usize> =
        groups.iter().map(|group| (group.name.clone(), 0)).collect();
    // As many rounds as there are groups settle every chain; a circle settles nowhere and stops.
    for _ in 0..groups.len() {
        for group in &groups {
            let sources = group.promotion.from.iter().filter_map(|from| depth.get(from));
            if let Some(deepest) = sources.max().copied() {
                let new = (deepest + 1).min(groups.len());
                depth.entry(group.name.clone()).and_modify(|own| *own = (*own).max(new));
            }
        }
    }
    let mut groups = groups;
    groups.sort_by_key(|group| depth.get(&group.name).copied().unwrap_or(0));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::view::{Cell, Promotion};
    use crate::output::table::Style;

    pub(super) fn group(name: &str, from: &[&str]) -> Group {
        let from = from.iter().map(|&name| name.to_owned()).collect();
        Group {
            name: name.to_owned(),
            promotion: Promotion { from, direct_edits: String::new() },
            head: format!("{name}-head"),
            ..Group::default()
        }
    }

    #[test]
    fn groups_stand_in_the_order_that_versions_travel() {
        let order = |groups: Vec<Group>| -> Vec<String> {
            in_promotion_order(groups).into_iter().map(|group| group.name).collect()
        };
        let story =
            vec![group("production", &["uat"]), group("test", &[]), group("uat", &["test"])];
        assert_eq!(order(story), ["test", "uat", "production"]);
        let circle = vec![group("a", &["b"]), group("b", &["a"]), group("c", &[])];
        assert_eq!(order(circle).first().map(String::as_str), Some("c"));
        assert_eq!(order(vec![group("b", &["gone"]), group("a", &[])]), ["b", "a"]);
    }

    #[test]
    fn the_matrix_tells_versions_and_live_states() {
        let cell = |version: Option<&str>, based_on: Option<&str>, live: bool| Cell {
            version: version.map(str::to_owned),
            based_on: based_on.map(str::to_owned),
            modified: version != based_on,
            live,
            live_reason: (!live).then(|| "no_nodes".to_owned()),
        };
        let row = MatrixRow {
            service: "httpbin".to_owned(),
            groups: [
                ("test".to_owned(), cell(None, Some("1.0.0"), true)),
                ("uat".to_owned(), cell(Some("1.0.0"), Some("1.0.0"), false)),
            ]
            .into(),
            latest: Some("1.0.0".to_owned()),
        };
        let groups = [group("test", &[]), group("uat", &[]), group("production", &[])];
        assert_eq!(
            matrix_table(&groups, &[row]).render(Style::Plain),
            "SERVICE  LATEST  test             uat                                         production\n\
             httpbin  1.0.0   1.0.0 + changes  1.0.0 (not live: an upstream has no nodes)  -"
        );
    }

    #[test]
    fn gateways_tell_whether_they_serve_the_head() {
        let gateway = |commit: Option<&str>, state: &str| Gateway {
            instance: "one".to_owned(),
            group: "test".to_owned(),
            state: state.to_owned(),
            commit: commit.map(str::to_owned),
            ..Gateway::default()
        };
        let gateways = [
            gateway(Some("test-head"), "healthy"),
            gateway(Some("before"), "degraded"),
            gateway(None, "healthy"),
            Gateway {
                last_seen: Some("2026-01-01T00:00:00Z".to_owned()),
                message: Some("what it said last".to_owned()),
                ..gateway(Some("before"), "lost")
            },
        ];
        assert_eq!(
            gateway_table(&[group("test", &[])], &gateways).render(Style::Plain),
            "GATEWAY  GROUP  STATE     SERVES           PROBLEM\n\
             one      test   healthy   test-hea (head)\n\
             one      test   degraded  before\n\
             one      test   healthy   nothing yet\n\
             one      test   lost      before           not heard of since 2026-01-01 00:00:00Z"
        );
    }
}
