//! Semantic changes: what a plan would do, a commit did, or two versions differ in.

use std::io;

use refgate_core::diff::title;
use serde_json::Value;

use super::Output;
use super::paint::Colour;
use super::text::printable;
use crate::client::view::Change;

/// Values up to this length stand on the line of their change, longer ones below it.
const INLINE: usize = 100;

/// Prints changes, gathered by file.
///
/// # Errors
/// When standard output cannot be written.
pub fn print(out: &mut Output, changes: &[Change]) -> io::Result<()> {
    for line in lines(changes) {
        let colour = match line.trim_start().chars().next() {
            Some('+') => Some(Colour::Green),
            Some('-') => Some(Colour::Red),
            Some('~') => Some(Colour::Yellow),
            _ => None,
        };
        out.painted(colour, &line)?;
    }
    Ok(())
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
        let heading = || {
            let title = title(&change.file);
            let path =
                if title == change.file { String::new() } else { format!("  ({})", change.file) };
            printable(&format!("{title}{path}")).into_owned()
        };
        if change.pointer.is_empty() && mark != '~' {
            // The whole file came or went: the file is the line.
            file = None;
            lines.push(format!("{mark} {}", heading()));
            if mark == '+' {
                leaves(value, "", &mut lines);
            }
            continue;
        }
        if file != Some(change.file.as_str()) {
            lines.push(format!("~ {}", heading()));
            file = Some(&change.file);
        }
        let place = place(&change.pointer);
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
            '+' if value.is_object() => leaves(value, &change.pointer, &mut lines),
            _ => {
                let shown = if mark == '+' { to } else { from };
                if shown.chars().count() <= INLINE {
                    lines.push(format!("    {mark} {place}: {shown}"));
                } else {
                    lines.push(format!("    {mark} {place}:"));
                    lines.extend(indented(value, &format!("      {mark} ")));
                }
            }
        }
    }
    lines
}

/// A place in a document as people say it: `upstreams › default › nodes`.
pub(super) fn place(pointer: &str) -> String {
    if pointer.is_empty() {
        return "(whole file)".to_owned();
    }
    let steps = pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~"));
    printable(&steps.collect::<Vec<_>>().join(" › ")).into_owned()
}

/// What came, one line for each value in it.
fn leaves(value: &Value, pointer: &str, lines: &mut Vec<String>) {
    match value {
        Value::Object(object) if !object.is_empty() => {
            for (key, value) in object {
                leaves(value, &refgate_core::json::join(pointer, key), lines);
            }
        }
        Value::Object(_) if pointer.is_empty() => {}
        value => {
            let (place, shown) = (place(pointer), compact(value));
            if shown.chars().count() <= INLINE {
                lines.push(format!("    + {place}: {shown}"));
            } else {
                lines.push(format!("    + {place}:"));
                lines.extend(indented(value, "      + "));
            }
        }
    }
}

pub(super) fn compact(value: &Value) -> String {
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
            change("services/x/routes/get.json", "/priority", "changed", json!(0), json!(5)),
            change("services/x/routes/get.json", "/methods", "added", Value::Null, json!(["GET"])),
            change(
                "services/x/routes/get.json",
                "/description",
                "removed",
                json!("x"),
                Value::Null,
            ),
            change(
                "b.json",
                "",
                "added",
                Value::Null,
                json!({"paths": ["/get"], "timeout": {"read": 5}}),
            ),
            change("c.json", "", "removed", json!({"paths": ["/get"]}), Value::Null),
            change(
                "runtime/x.json",
                "/long",
                "changed",
                json!("x".repeat(90)),
                json!("y".repeat(90)),
            ),
        ];
        let long = |mark: char, letter: &str| format!("      {mark} \"{}\"", letter.repeat(90));
        assert_eq!(
            lines(&changes),
            [
                "~ route get of x  (services/x/routes/get.json)",
                "    ~ priority: 0 → 5",
                "    + methods: [\"GET\"]",
                "    - description: \"x\"",
                "+ b.json",
                "    + paths: [\"/get\"]",
                "    + timeout › read: 5",
                "- c.json",
                "~ hosts and upstreams of x  (runtime/x.json)",
                "    ~ long:",
                &long('-', "x"),
                &long('+', "y"),
            ]
        );
    }
}
