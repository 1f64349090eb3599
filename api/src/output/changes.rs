//! Semantic changes: what a plan would do, a commit did, or two versions differ in.

use std::io;

use serde_json::Value;

use super::Output;
use super::text::printable;
use crate::client::view::Change;

/// Values up to this length stand on the line of their change, longer ones below it.
const INLINE: usize = 100;

/// Prints changes, gathered by file.
///
/// # Errors
/// When standard output cannot be written.
pub fn print(out: &mut Output, changes: &[Change]) -> io::Result<()> {
    lines(changes).iter().try_for_each(|line| out.line(line))
}

/// The lines of changes, gathered by file.
pub(crate) fn lines(changes: &[Change]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut file: Option<&str> = None;
    for change in changes {
        let (mark, value) = match change.op.as_str() {
            "added" => ('+', &change.to),
            "removed" => ('-', &change.from),
            _ => ('~', &change.to),
        };
        if change.pointer.is_empty() && mark != '~' {
            // The whole file came or went: the file is the line.
            file = None;
            lines.push(format!("{mark} {}", printable(&change.file)));
            if mark == '+' {
                lines.extend(indented(value, "    "));
            }
            continue;
        }
        if file != Some(change.file.as_str()) {
            lines.push(format!("~ {}", printable(&change.file)));
            file = Some(&change.file);
        }
        let place = if change.pointer.is_empty() { "(whole file)" } else { &change.pointer };
        let place = printable(place);
        let (from, to) = (compact(&change.from), compact(&change.to));
        match mark {
            '~' if from.chars().count() + to.chars().count() <= INLINE => {
                lines.push(format!("    ~ {place}: {from} → {to}"));
            }
            '~' => {
                lines.push(format!("    ~ {place}:"));
                lines.extend(indented(&change.from, "      - "));
                lines.extend(indented(&change.to, "      + "));
            }
            _ => {
                let shown = if mark == '+' { to } else { from };
                if shown.chars().count() <= INLINE {
                    lines.push(format!("    {mark} {place}: {shown}"));
                } else {
                    lines.push(format!("    {mark} {place}:"));
                    lines.extend(indented(value, "        "));
                }
            }
        }
    }
    lines
}

fn compact(value: &Value) -> String {
    match value {
        Value::Null => "(absent)".to_owned(),
        value => value.to_string(),
    }
}

fn indented(value: &Value, indent: &str) -> Vec<String> {
    if value.is_null() {
        return Vec::new();
    }
    format!("{value:#}").lines().map(|line| format!("{indent}{line}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_are_gathered_by_file() {
        let change = |file: &str, pointer: &str, op: &str, from: Value, to: Value| Change {
            file: file.to_owned(),
            pointer: pointer.to_owned(),
            op: op.to_owned(),
            from,
            to,
        };
        let changes = [
            change("a.json", "/priority", "changed", json!(0), json!(5)),
            change("a.json", "/methods", "added", Value::Null, json!(["GET"])),
            change("a.json", "/description", "removed", json!("x"), Value::Null),
            change("b.json", "", "added", Value::Null, json!({"paths": ["/get"]})),
            change("c.json", "", "removed", json!({"paths": ["/get"]}), Value::Null),
            change("d.json", "/long", "changed", json!("x".repeat(90)), json!("y".repeat(90))),
        ];
        let long = |mark: char, letter: &str| format!("      {mark} \"{}\"", letter.repeat(90));
        assert_eq!(
            lines(&changes),
            [
                "~ a.json",
                "    ~ /priority: 0 → 5",
                "    + /methods: [\"GET\"]",
                "    - /description: \"x\"",
                "+ b.json",
                "    {",
                "      \"paths\": [",
                "        \"/get\"",
                "      ]",
                "    }",
                "- c.json",
                "~ d.json",
                "    ~ /long:",
                &long('-', "x"),
                &long('+', "y"),
            ]
        );
    }
}
