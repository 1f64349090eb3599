//! Changes in people's words: by document, each with what was before and after.

use std::collections::BTreeMap;

use askama::Template;
use askama::filters::HtmlSafe;
use refgate_core::diff::{self, Change, Op};
use refgate_core::json::join;
use serde_json::Value;

/// Values longer than this are folded.
const SHORT: usize = 90;
/// Changes that are shown; further ones are counted.
const MOST: usize = 400;

/// Changes, drawn.
#[derive(Template)]
#[template(path = "parts/changes.html")]
pub(super) struct Changes {
    files: Vec<File>,
    /// How many changes are not shown.
    more: usize,
}

impl HtmlSafe for Changes {}

/// What changed in a document.
struct File {
    title: String,
    path: String,
    /// Of a file that came or went: which of the two.
    whole: Option<&'static str>,
    lines: Vec<Line>,
    /// The same as lines that go and lines that come.
    diff: Vec<DiffLine>,
}

struct Line {
    verb: &'static str,
    pointer: String,
    values: Values,
}

/// What stands beside a change.
enum Values {
    /// One value, that came or went.
    One(Shown),
    /// One in the place of another.
    Two(Shown, Shown),
    /// A list of which things came and went.
    List { added: Vec<String>, removed: Vec<String> },
}

struct Shown {
    text: String,
    long: bool,
}

struct DiffLine {
    sign: &'static str,
    text: String,
}

impl Changes {
    pub(super) fn of(changes: &[Change]) -> Self {
        let mut files: BTreeMap<&str, Vec<&Change>> = BTreeMap::new();
        for change in changes.iter().take(MOST) {
            files.entry(&change.file).or_default().push(change);
        }
        let files = files.into_iter().map(|(path, changes)| File {
            title: title(path),
            path: path.to_owned(),
            whole: changes.iter().find(|change| change.pointer.is_empty()).and_then(whole),
            diff: changes.iter().flat_map(|change| diff(change)).collect(),
            lines: changes.into_iter().flat_map(lines).collect(),
        });
        Self { files: files.collect(), more: changes.len().saturating_sub(MOST) }
    }

    /// Whether there is nothing to show.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

/// What a file is, as a heading.
pub(super) fn title(path: &str) -> String {
    let title = diff::title(path);
    if title == path {
        return title;
    }
    title[..1].to_uppercase() + &title[1..]
}

fn whole(change: &&Change) -> Option<&'static str> {
    match change.op {
        Op::Added => Some("new"),
        Op::Removed => Some("removed"),
        Op::Changed => None,
    }
}

/// A change as lines: of an object that came or went, one for each value in it.
fn lines(change: &Change) -> Vec<Line> {
    let (verb, value) = match change.op {
        Op::Added => ("added", &change.to),
        Op::Removed => ("removed", &change.from),
        Op::Changed => return vec![line(change)],
    };
    match value.as_object() {
        Some(object) if object.is_empty() && change.pointer.is_empty() => {
            let values = Values::One(Shown { text: "every default".to_owned(), long: false });
            return vec![Line { verb, pointer: "with".to_owned(), values }];
        }
        Some(object) if !object.is_empty() => {}
        _ => return vec![line(change)],
    }
    let mut lines = Vec::new();
    leaves(verb, value, &change.pointer, &mut lines);
    lines
}

fn leaves(verb: &'static str, value: &Value, pointer: &str, lines: &mut Vec<Line>) {
    match value {
        Value::Object(object) if !object.is_empty() => {
            for (key, value) in object {
                leaves(verb, value, &join(pointer, key), lines);
            }
        }
        value => {
            let pointer = pointer.to_owned();
            lines.push(Line { verb, pointer, values: Values::One(shown(value)) });
        }
    }
}

fn line(change: &Change) -> Line {
    let verb = match change.op {
        Op::Added => "added",
        Op::Removed => "removed",
        Op::Changed => "changed",
    };
    let values = match (change.op, &change.from, &change.to) {
        (Op::Added, _, to) => Values::One(shown(to)),
        (Op::Removed, from, _) => Values::One(shown(from)),
        (Op::Changed, Value::Array(from), Value::Array(to)) => {
            let missing = |these: &[Value], those: &[Value]| -> Vec<String> {
                these.iter().filter(|item| !those.contains(item)).map(plain).collect()
            };
            let (added, removed) = (missing(to, from), missing(from, to));
            // Another order is no difference of things.
            if added.is_empty() && removed.is_empty() {
                Values::Two(shown(&change.from), shown(&change.to))
            } else {
                Values::List { added, removed }
            }
        }
        (Op::Changed, from, to) => Values::Two(shown(from), shown(to)),
    };
    let pointer = if change.pointer.is_empty() { "the file" } else { &change.pointer };
    Line { verb, pointer: pointer.to_owned(), values }
}

/// A value as a person would write it.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "empty".to_owned(),
        Value::String(text) => text.clone(),
        Value::Null => "nothing".to_owned(),
        Value::Bool(true) => "on".to_owned(),
        Value::Bool(false) => "off".to_owned(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) if items.iter().all(is_short) => {
            items.iter().map(plain).collect::<Vec<_>>().join(", ")
        }
        Value::Object(node) if node.contains_key("host") && node.contains_key("port") => {
            let text = |key: &str| node.get(key).map(plain).unwrap_or_default();
            let weight = node.get("weight").map(|weight| format!(", weight {}", plain(weight)));
            format!("{}:{}{}", text("host"), text("port"), weight.unwrap_or_default())
        }
        other => other.to_string(),
    }
}

/// Whether a value is told without braces.
fn is_short(value: &Value) -> bool {
    let is_node = value.get("host").is_some() && value.get("port").is_some();
    is_node || !value.is_object() && !value.is_array()
}

fn shown(value: &Value) -> Shown {
    let text = plain(value);
    if text.len() <= SHORT && (!value.is_object() || is_short(value)) {
        return Shown { text, long: false };
    }
    Shown { text: pretty(value), long: true }
}

/// A value as indented JSON.
pub(super) fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

fn diff(change: &Change) -> Vec<DiffLine> {
    let side = |sign: &'static str, value: &Value| -> Vec<DiffLine> {
        pretty(value).lines().map(|line| DiffLine { sign, text: line.to_owned() }).collect()
    };
    let pointer = if change.pointer.is_empty() { "/" } else { &change.pointer };
    let mut lines = vec![DiffLine { sign: "@", text: pointer.to_owned() }];
    if change.op != Op::Added {
        lines.extend(side("-", &change.from));
    }
    if change.op != Op::Removed {
        lines.extend(side("+", &change.to));
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(change: Change) -> String {
        let page = Changes::of(&[change]).render().expect("it renders");
        let mut text = String::new();
        let mut inside = false;
        let words = page.split("<details").next().unwrap_or_default();
        for letter in words.chars() {
            match letter {
                '<' => inside = true,
                '>' => inside = false,
                letter if !inside => text.push(letter),
                _ => {}
            }
        }
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn changes_in_words() {
        let change = |pointer: &str, op, from: Value, to: Value| Change {
            file: "services/httpbin/routes/get.json".to_owned(),
            pointer: pointer.to_owned(),
            op,
            from,
            to,
        };
        let told = text(change("/timeout/read", Op::Changed, json!(60), json!(10)));
        assert!(told.starts_with("Route get of httpbin"), "{told}");
        assert!(told.ends_with("changed /timeout/read 60 → 10"), "{told}");
        let told = text(change("/paths", Op::Changed, json!(["/a", "/b"]), json!(["/b", "/c"])));
        assert!(told.ends_with("changed /paths added /c removed /a"), "{told}");
        let told = text(change("/description", Op::Changed, json!("<b>"), json!("")));
        assert!(told.ends_with("changed /description &#60;b&#62; → empty"), "{told}");
    }

    #[test]
    fn a_node_is_told_by_its_address() {
        let node = json!({"host": "10.0.0.1", "port": 80, "weight": 100});
        assert_eq!(plain(&node), "10.0.0.1:80, weight 100");
        assert_eq!(plain(&json!(["GET", "POST"])), "GET, POST");
    }
}
