//! Semantic changes: what a plan would do, a commit did, or two versions differ in.

use std::io;

use refgate_core::diff::{self, title};
use serde_json::Value;

use super::Output;
use super::paint::Colour;
use super::text::{printable, width};
use crate::client::view::Change;

/// Values up to this length stand on the line of their change, longer ones below it.
const INLINE: usize = 100;

/// Prints changes, gathered by file.
///
/// # Errors
/// When standard output cannot be written.
pub fn print(out: &mut Output, changes: &[Change]) -> io::Result<()> {
    for line in lines(changes, out.width()) {
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

/// The lines of changes, gathered by file, for a screen of this width.
pub(crate) fn lines(changes: &[Change], screen: usize) -> Vec<String> {
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
                leaves(value, "", screen, &mut lines);
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
            '~' => {
                let line = format!("    ~ {place}: {from} → {to}");
                if width(&from) + width(&to) <= INLINE && width(&line) <= screen {
                    lines.push(line);
                    continue;
                }
                let (from, to) = apart(&change.from, &change.to);
                lines.push(format!("    ~ {place}:"));
                lines.extend(indented(&from, "      - "));
                lines.extend(indented(&to, "      + "));
            }
            '+' if value.is_object() => leaves(value, &change.pointer, screen, &mut lines),
            _ => lines.extend(leaf(mark, &place, value, screen)),
        }
    }
    lines
}

/// A place in a document as people say it: `upstreams › default › nodes`.
pub(super) fn place(pointer: &str) -> String {
    if pointer.is_empty() {
        return "(whole file)".to_owned();
    }
    printable(&diff::place(pointer)).into_owned()
}

/// What came, one line for each value in it.
fn leaves(value: &Value, pointer: &str, screen: usize, lines: &mut Vec<String>) {
    match value {
        Value::Object(object) if !object.is_empty() => {
            for (key, value) in object {
                leaves(value, &refgate_core::json::join(pointer, key), screen, lines);
            }
        }
        Value::Object(_) if pointer.is_empty() => {}
        value => lines.extend(leaf('+', &place(pointer), value, screen)),
    }
}

/// One value that came or went: on a line where it has room, else below.
fn leaf(mark: char, place: &str, value: &Value, screen: usize) -> Vec<String> {
    let shown = compact(value);
    let line = format!("    {mark} {place}: {shown}");
    if width(&shown) <= INLINE && width(&line) <= screen {
        return vec![line];
    }
    let mut lines = vec![format!("    {mark} {place}:")];
    lines.extend(indented(value, &format!("      {mark} ")));
    lines
}

/// What sets two values apart: of two lists, only what the other one has not.
fn apart(from: &Value, to: &Value) -> (Value, Value) {
    let (Value::Array(before), Value::Array(after)) = (from, to) else {
        return (from.clone(), to.clone());
    };
    let without = |these: &[Value], those: &[Value]| -> Vec<Value> {
        these.iter().filter(|one| !those.contains(one)).cloned().collect()
    };
    match (without(before, after), without(after, before)) {
        // The same in another order, or another number of times.
        (gone, new) if gone.is_empty() && new.is_empty() => (from.clone(), to.clone()),
        (gone, new) => (gone.into(), new.into()),
    }
}

pub(super) fn compact(value: &Value) -> String {
    match value {
        Value::Null => "(absent)".to_owned(),
        value => value.to_string(),
    }
}

/// A value on lines of its own; of a list each element on one where it fits.
fn indented(value: &Value, indent: &str) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(elements) => {
            elements.iter().flat_map(|element| indented_element(element, indent)).collect()
        }
        value => format!("{value:#}").lines().map(|line| format!("{indent}{line}")).collect(),
    }
}

fn indented_element(element: &Value, indent: &str) -> Vec<String> {
    let shown = compact(element);
    match width(&shown) <= INLINE {
        true => vec![format!("{indent}{shown}")],
        false => indented(element, indent),
    }
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
            lines(&changes, usize::MAX),
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

    #[test]
    fn of_long_lists_only_what_differs_is_shown() {
        let node = |port: u16| json!({"host": "127.0.0.1", "port": port, "weight": 100});
        let change = |from: Value, to: Value| Change {
            file: "runtime/x.json".to_owned(),
            pointer: "/nodes".to_owned(),
            op: "changed".to_owned(),
            from,
            to,
        };
        let line = |mark: &str, port: u16| format!("      {mark} {}", node(port));
        let changed = change(json!([node(1), node(2)]), json!([node(1), node(3)]));
        let shown = lines(&[changed], usize::MAX);
        assert_eq!(shown[1..], ["    ~ nodes:".to_owned(), line("-", 2), line("+", 3)]);
        let moved = change(json!([node(1), node(2)]), json!([node(2), node(1)]));
        let shown = lines(&[moved], usize::MAX);
        let both = [line("-", 1), line("-", 2), line("+", 2), line("+", 1)];
        assert_eq!(shown[2..], both);
    }

    #[test]
    fn what_has_no_room_beside_its_place_stands_below() {
        let change = Change {
            file: "x.json".to_owned(),
            pointer: "/description".to_owned(),
            op: "changed".to_owned(),
            from: json!("what it was"),
            to: json!("what it is"),
        };
        let shown = lines(std::slice::from_ref(&change), 80);
        assert_eq!(shown[1..], ["    ~ description: \"what it was\" → \"what it is\""]);
        let shown = lines(&[change], 40);
        let below = ["    ~ description:", "      - \"what it was\"", "      + \"what it is\""];
        assert_eq!(shown[1..], below);
    }
}
