//! Small texts that stand in many places: commits, times, versions, live states.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;
use unicode_width::UnicodeWidthStr as _;

use crate::client::problem::Finding;
use crate::client::view::{Cell, Convergence, Event, LastChange, Node, Service};
use crate::output::table::Table;

/// The beginning of a commit id: enough to recognise it, and for git to find it.
#[must_use]
pub fn short_commit(commit: &str) -> &str {
    commit.get(..8).unwrap_or(commit)
}

/// A time as people read it: `2026-01-02 03:04:05Z`. Text that is no time stays as it is.
#[must_use]
pub fn time(at: &str) -> String {
    match at.parse::<jiff::Timestamp>() {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        Err(_) => at.to_owned(),
    }
}

/// Who changed it last, when, and in which commit.
pub fn last_change(fields: &mut Table, last: &LastChange) {
    fields
        .field("updated", time(last.updated_at.as_deref().unwrap_or_default()))
        .field("by", last.updated_by.as_deref().unwrap_or_default())
        .field("commit", last.commit.as_deref().unwrap_or_default());
}

/// Who made an event; of a push, the author of the commit.
#[must_use]
pub fn actor(event: &Event) -> String {
    match (&event.actor, &event.author) {
        (Some(actor), _) => actor.clone(),
        (None, Some(Value::String(author))) => author.clone(),
        (None, Some(author)) => author.get("name").map(scalar).unwrap_or_default(),
        (None, None) => String::new(),
    }
}

/// What a service is, by its version: `1.0.0`, `1.0.0 + changes`, `No Version`.
#[must_use]
pub fn version(version: Option<&str>, based_on: Option<&str>, modified: bool) -> String {
    match (version, based_on) {
        (Some(version), _) => version.to_owned(),
        (None, Some(base)) if modified => format!("{base} + changes"),
        (None, _) => "No Version".to_owned(),
    }
}

/// The version of a service in a group.
#[must_use]
pub fn version_of(service: &Service) -> String {
    version(service.version.as_deref(), service.based_on.as_deref(), service.modified)
}

/// One cell of the matrix.
#[must_use]
pub fn cell(cell: Option<&Cell>) -> String {
    let Some(cell) = cell else { return "-".to_owned() };
    let version = version(cell.version.as_deref(), cell.based_on.as_deref(), cell.modified);
    match (cell.live, cell.live_reason.as_deref()) {
        (true, _) => version,
        (false, Some(reason)) => format!("{version} (not live: {})", live_reason(reason)),
        (false, None) => format!("{version} (not live)"),
    }
}

/// Whether a service takes traffic, and why not.
#[must_use]
pub fn live(live: bool, reason: &str) -> String {
    match (live, reason) {
        (true, _) => "live".to_owned(),
        (false, "") => "not live".to_owned(),
        (false, reason) => format!("not live: {}", live_reason(reason)),
    }
}

/// A live reason in people's words.
#[must_use]
pub fn live_reason(reason: &str) -> &str {
    match reason {
        "disabled" => "disabled here",
        "no_nodes" => "an upstream has no nodes",
        "no_routes" => "no enabled route",
        "invalid" => "its documents are not valid",
        "damaged" => "the group is damaged",
        other => other,
    }
}

/// Findings in a line: the first, and how many there are besides.
#[must_use]
pub fn findings(findings: &[Finding]) -> String {
    match findings {
        [] => String::new(),
        [one] => one.to_string(),
        [one, more @ ..] => format!("{one}; and {} more", more.len()),
    }
}

/// A node as it is typed: `host:port@weight`, without the weight when it is the usual 100.
#[must_use]
pub fn node(node: &Node) -> String {
    let host = match node.host.parse::<std::net::Ipv6Addr>() {
        Ok(_) => format!("[{}]", node.host),
        Err(_) => node.host.clone(),
    };
    let port = scalar(&node.port);
    if node.weight == 100 {
        format!("{host}:{port}")
    } else {
        format!("{host}:{port}@{}", scalar(&node.weight))
    }
}

/// A single value without the quotes of JSON.
#[must_use]
pub fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Who serves a commit: `1a2b3c4d is served by 1 of 2 gateways, not yet by gw-2`.
#[must_use]
pub fn served(convergence: &Convergence) -> String {
    let Convergence { commit, applied, total, pending } = convergence;
    let (commit, total) = (short_commit(commit), count(*total, "gateway"));
    let served = format!("{commit} is served by {applied} of {total}");
    match pending.as_slice() {
        [] => served,
        pending => {
            let pending: Vec<String> = pending.iter().map(instance).collect();
            format!("{served}, not yet by {}", pending.join(", "))
        }
    }
}

/// A pending instance is named, or an object that has its name.
#[must_use]
pub fn instance(pending: &Value) -> String {
    scalar(pending.get("instance").unwrap_or(pending))
}

/// `a=b, c=d`
#[must_use]
pub fn labels(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<_> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(", ")
}

/// `1 service`, `2 services`.
#[must_use]
pub fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Text of a server or a file with its control characters made visible: what others wrote does
/// not move the cursor of this terminal.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// The columns of a terminal that a text takes.
#[must_use]
pub fn width(text: &str) -> usize {
    text.width()
}

/// A message in lines of at most this width; what goes on stands two columns further in.
#[must_use]
pub fn paragraph(text: &str, width: usize) -> String {
    let words = text.trim_start_matches(' ');
    let indent = text.len() - words.len();
    let first = " ".repeat(indent);
    let lines = folded(words, width.saturating_sub(indent + 2));
    // What fits in one line needs no room for the indentation of a second one.
    if text.width() <= width || lines.len() == 1 {
        return text.to_owned();
    }
    format!("{first}{}", lines.join(&format!("\n{first}  ")))
}

/// A text in lines of at most this width, broken at spaces. A word that is wider has a line of its
/// own, and is never broken.
#[must_use]
pub fn folded(text: &str, width: usize) -> Vec<String> {
    if text.width() <= width {
        return vec![text.to_owned()];
    }
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if !line.is_empty() && line.width() + 1 + word.width() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let table = [
            (Some("1.0.0"), Some("1.0.0"), false, "1.0.0"),
            (None, Some("1.0.0"), true, "1.0.0 + changes"),
            (None, None, false, "No Version"),
            (None, None, true, "No Version"),
        ];
        for (number, base, modified, shown) in table {
            assert_eq!(version(number, base, modified), shown);
        }
    }

    #[test]
    fn nodes() {
        let of = |host: &str, weight: u32| Node {
            host: host.to_owned(),
            port: Value::from(80),
            weight: Value::from(weight),
            priority: Value::from(0),
        };
        assert_eq!(node(&of("httpbin.org", 100)), "httpbin.org:80");
        assert_eq!(node(&of("httpbin.org", 0)), "httpbin.org:80@0");
        assert_eq!(node(&of("::1", 5)), "[::1]:80@5");
        assert_eq!(node(&of("$env://ORIGIN", 100)), "$env://ORIGIN:80");
    }

    #[test]
    fn times() {
        assert_eq!(time("2026-01-02T04:04:05.123+01:00"), "2026-01-02 03:04:05Z");
        assert_eq!(time("yesterday"), "yesterday");
    }

    #[test]
    fn text_is_folded_at_spaces_alone() {
        let table: &[(&str, usize, &[&str])] = &[
            ("", 5, &[""]),
            ("one two", 7, &["one two"]),
            ("one two", 6, &["one", "two"]),
            ("one two three", 7, &["one two", "three"]),
            ("a-long-name b", 4, &["a-long-name", "b"]),
            ("b a-long-name", 0, &["b", "a-long-name"]),
            ("网关 网关", 5, &["网关", "网关"]),
        ];
        for (text, width, lines) in table {
            assert_eq!(folded(text, *width), *lines, "{text:?} at {width}");
        }
    }

    #[test]
    fn messages_go_on_further_in() {
        assert_eq!(paragraph("hint: short", 11), "hint: short");
        assert_eq!(paragraph("hint: a longer one", 12), "hint: a\n  longer one");
        assert_eq!(paragraph("  - a longer one", 12), "  - a\n    longer\n    one");
        assert_eq!(paragraph("/a/path/that/is/too/long", 12), "/a/path/that/is/too/long");
    }

    #[test]
    fn short_commits_never_cut_a_character() {
        assert_eq!(short_commit("0123456789abcdef"), "01234567");
        assert_eq!(short_commit("0123"), "0123");
        assert_eq!(short_commit("äääääääää"), "ääää");
        assert_eq!(short_commit("aäääääääää"), "aäääääääää");
    }
}
