//! What of a status needs attention: what is not well, was changed, or waits.

use crate::client::view::{Cell, Gateway, Group, MatrixRow};
use crate::output::text;

/// Whether an instance is not well, or serves another commit than the head.
pub(super) fn is_behind(gateway: &Gateway, group: &Group) -> bool {
    gateway.state != "healthy" || gateway.commit.as_deref() != Some(group.head.as_str())
}

/// Whether a group itself, or an instance of it, is not well.
pub(super) fn is_troubled(group: &Group, gateways: &[Gateway]) -> bool {
    let mut own = gateways.iter().filter(|gateway| gateway.group == group.name);
    has_problem(group) || own.any(|gateway| is_behind(gateway, group))
}

fn has_problem(group: &Group) -> bool {
    group.damage.is_some() || !group.diagnostics.is_empty()
}

/// Whether a service was a version here, and was changed then.
pub(super) fn is_modified(cell: &Cell) -> bool {
    cell.modified && cell.based_on.is_some()
}

/// The version that waits for a group: one that runs in a group that this one takes from, and not
/// here.
pub(super) fn waiting<'a>(row: &'a MatrixRow, group: &Group) -> Option<&'a str> {
    let own = row.groups.get(&group.name).and_then(|cell| cell.version.as_deref());
    let mut from = group.promotion.from.iter();
    let version = from.find_map(|from| row.groups.get(from)?.version.as_deref())?;
    (own != Some(version)).then_some(version)
}

/// What an operator wants to look at, in a line each: what is broken first, what waits last.
pub(super) fn attention(groups: &[Group], rows: &[MatrixRow], gateways: &[Gateway]) -> Vec<String> {
    let mut lines = Vec::new();
    let named = |group: &Group, is: fn(&Cell) -> bool| -> Vec<&str> {
        let is = |row: &&MatrixRow| row.groups.get(&group.name).is_some_and(is);
        rows.iter().filter(is).map(|row| row.service.as_str()).collect()
    };
    for group in groups {
        let name = &group.name;
        if has_problem(group) {
            lines.push(format!("! {name} has a problem: `refgate group get {name}`"));
        }
        let own = gateways.iter().filter(|gateway| gateway.group == *name);
        let behind = own.filter(|gateway| is_behind(gateway, group)).count();
        if behind > 0 {
            let behind = text::count(u64::try_from(behind).unwrap_or(u64::MAX), "gateway");
            lines.push(format!("! {name}: {behind} not healthy, or not at the head"));
        }
        let dead = named(group, |cell| !cell.live);
        if !dead.is_empty() {
            lines.push(format!("! {name}: not live: {}", some(&dead)));
        }
    }
    for group in groups {
        let modified = named(group, is_modified);
        if !modified.is_empty() {
            let name = &group.name;
            lines.push(format!("~ {name}: changed since their version: {}", some(&modified)));
        }
    }
    for group in groups {
        let waits = |row: &MatrixRow| Some(format!("{} {}", row.service, waiting(row, group)?));
        let waiting: Vec<String> = rows.iter().filter_map(waits).collect();
        if !waiting.is_empty() {
            let waiting: Vec<&str> = waiting.iter().map(String::as_str).collect();
            let from = group.promotion.from.join(", ");
            lines.push(format!("> {} may take from {from}: {}", group.name, some(&waiting)));
        }
    }
    lines
}

/// The first few of many.
fn some(names: &[&str]) -> String {
    const SHOWN: usize = 8;
    match names.get(..SHOWN) {
        Some(first) if names.len() > SHOWN => {
            format!("{} and {} more", first.join(", "), names.len() - SHOWN)
        }
        _ => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::group;
    use super::*;

    #[test]
    fn what_needs_attention_is_told() {
        let cell = |version: &str, live: bool| Cell {
            version: Some(version.to_owned()),
            live,
            ..Cell::default()
        };
        let row = |service: &str, uat: Cell, production: Option<Cell>| MatrixRow {
            service: service.to_owned(),
            groups: [("uat".to_owned(), uat)]
                .into_iter()
                .chain(production.map(|cell| ("production".to_owned(), cell)))
                .collect(),
            latest: None,
        };
        let groups = [group("uat", &[]), group("production", &["uat"])];
        let same = [row("a", cell("1.0.0", true), Some(cell("1.0.0", true)))];
        assert_eq!(attention(&groups, &same, &[]), Vec::<String>::new());
        let changed = Cell {
            version: None,
            based_on: Some("1.0.0".to_owned()),
            modified: true,
            ..cell("", true)
        };
        let rows = [
            row("a", cell("1.1.0", true), Some(cell("1.0.0", true))),
            row("b", cell("2.0.0", false), None),
            row("c", changed, Some(cell("1.0.0", true))),
        ];
        let gateway = |commit: &str, state: &str| Gateway {
            group: "uat".to_owned(),
            state: state.to_owned(),
            commit: Some(commit.to_owned()),
            ..Gateway::default()
        };
        let gateways = [
            gateway("uat-head", "healthy"),
            gateway("before", "healthy"),
            gateway("uat-head", "lost"),
        ];
        assert_eq!(
            attention(&groups, &rows, &gateways),
            [
                "! uat: 2 gateways not healthy, or not at the head",
                "! uat: not live: b",
                "~ uat: changed since their version: c",
                "> production may take from uat: a 1.1.0, b 2.0.0",
            ]
        );
        assert_eq!(some(&["a"; 10]), "a, a, a, a, a, a, a, a and 2 more");
    }
}
