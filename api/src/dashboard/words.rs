//! Changes in people's words: by document, each with what was before and after.

use std::collections::BTreeMap;

use askama::Template;
use askama::filters::HtmlSafe;
use refgate_core::diff::{self, Change, Op};
use refgate_core::json::join;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::parts::Pager;

/// Values longer than this are folded.
const SHORT: usize = 90;
/// Bytes that changes may take on a page, which shall stay below 200 KB with all that is around them.
const BYTES: usize = 96 * 1024;
/// Bytes of a value; the rest of it is left out.
const VALUE: usize = 8 * 1024;
/// Bytes that a line takes beside its texts, a line of a diff, and a document.
const LINE: usize = 160;
const DIFF_LINE: usize = 40;
const DOCUMENT: usize = 320;

/// Changes, drawn.
#[derive(Template)]
#[template(path = "parts/changes.html")]
pub(super) struct Changes {
    files: Vec<File>,
    /// Documents that are not shown.
    more: usize,
    /// The way to them, where there is one.
    pager: Option<Pager>,
    /// Files that gateways do not read.
    unread: Vec<String>,
}

impl HtmlSafe for Changes {}

/// What changed in a document.
struct File {
    title: String,
    path: String,
    /// Of a file that came or went: which of the two.
    whole: Option<&'static str>,
    lines: Vec<Line>,
    /// Lines that are not shown.
    more: usize,
    /// The same as lines that go and lines that come; none where they would take too much.
    diff: Vec<DiffLine>,
}

struct Line {
    verb: &'static str,
    /// Where in the document.
    place: String,
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
    /// Of as many as a page takes; further ones are counted.
    pub(super) fn of(changes: &[Change]) -> Self {
        Self::from(changes, 0, None)
    }

    /// One page of all of them, the first being 0, with the way to the others: `base` is the address
    /// up to the number of the page.
    pub(super) fn page(changes: &[Change], page: usize, base: String) -> Self {
        Self::from(changes, page, Some(base))
    }

    fn from(changes: &[Change], page: usize, base: Option<String>) -> Self {
        let mut all: BTreeMap<&str, Vec<&Change>> = BTreeMap::new();
        for change in changes {
            all.entry(&change.file).or_default().push(change);
        }
        let (read, unread): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(path, _)| !diff::is_unread(path));
        let total = read.len();
        let (mut files, mut used, mut at, mut first) = (Vec::new(), 0, 0, 0);
        for (index, (path, changes)) in read.into_iter().enumerate() {
            let file = File::of(path, &changes);
            let bytes = file.bytes();
            if used > 0 && used + bytes > BYTES {
                if at == page {
                    break;
                }
                (used, at, first) = (0, at + 1, index);
                files.clear();
            }
            used += bytes;
            files.push(file);
        }
        let last = first + files.len();
        let more = total - last;
        Self {
            files,
            more: if base.is_some() { 0 } else { more },
            pager: base.map(|base| Pager::spanning(base, at, first..last, total)),
            unread: unread.into_iter().map(|(path, _)| path.to_owned()).collect(),
        }
    }

    /// Whether there is nothing to show.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.unread.is_empty()
    }
}

impl File {
    fn of(path: &str, changes: &[&Change]) -> Self {
        let mut file = Self {
            title: title(path),
            path: path.to_owned(),
            whole: changes
                .iter()
                .find(|change| change.pointer.is_empty())
                .and_then(|one| whole(one)),
            lines: changes.iter().flat_map(|change| lines(change)).collect(),
            more: 0,
            diff: changes.iter().flat_map(|change| diff(change)).collect(),
        };
        if file.bytes() > BYTES / 2 {
            file.diff.clear();
        }
        let mut used = 0;
        let fits = file.lines.iter().take_while(|line| {
            used += line.bytes();
            used <= BYTES / 2
        });
        let fits = fits.count();
        file.more = file.lines.len() - fits;
        file.lines.truncate(fits);
        file
    }

    /// About what it takes on the page.
    fn bytes(&self) -> usize {
        let lines: usize = self.lines.iter().map(Line::bytes).sum();
        let diff: usize = self.diff.iter().map(|line| DIFF_LINE + escaped(&line.text)).sum();
        DOCUMENT + lines + diff
    }
}

impl Line {
    fn bytes(&self) -> usize {
        let texts: usize = match &self.values {
            Values::One(one) => escaped(&one.text),
            Values::Two(from, to) => escaped(&from.text) + escaped(&to.text),
            Values::List { added, removed } => {
                added.iter().chain(removed).map(|item| LINE / 2 + escaped(item)).sum()
            }
        };
        LINE + escaped(&self.place) + texts
    }
}

/// The length of a text in a page.
fn escaped(text: &str) -> usize {
    let marks = text.bytes().filter(|byte| matches!(byte, b'<' | b'>' | b'&' | b'"' | b'\''));
    text.len() + 4 * marks.count()
}

/// A text as long as a page has room for.
pub(super) fn cut(text: String, most: usize) -> String {
    if text.len() <= most {
        return text;
    }
    let end = text.floor_char_boundary(most);
    format!("{} … and {} bytes more", &text[..end], text.len() - end)
}

/// What a file is, as a heading.
pub(super) fn title(path: &str) -> String {
    let title = diff::title(path);
    if title == path {
        return title;
    }
    title[..1].to_uppercase() + &title[1..]
}

fn whole(change: &Change) -> Option<&'static str> {
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
            return vec![Line { verb, place: "with".to_owned(), values }];
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
            let place = diff::place(pointer);
            lines.push(Line { verb, place, values: Values::One(shown(value)) });
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
                let missing = these.iter().filter(|item| !those.contains(item)).map(plain);
                missing.map(|item| cut(item, VALUE)).collect()
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
    let place = match change.pointer.as_str() {
        "" => "the file".to_owned(),
        pointer => diff::place(pointer),
    };
    Line { verb, place, values }
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
    Shown { text: cut(pretty(value), VALUE), long: true }
}

/// What stands for a value: another one has another.
pub(super) fn digest(value: &Value) -> String {
    let digest = Sha256::digest(value.to_string());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
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
        assert!(told.ends_with("changed timeout › read 60 → 10"), "{told}");
        let told = text(change("/paths", Op::Changed, json!(["/a", "/b"]), json!(["/b", "/c"])));
        assert!(told.ends_with("changed paths added /c removed /a"), "{told}");
        let told = text(change("/description", Op::Changed, json!("<b>"), json!("")));
        assert!(told.ends_with("changed description &#60;b&#62; → empty"), "{told}");
    }

    #[test]
    fn a_page_of_changes_has_its_bounds() {
        let of_route = |index: usize, text: &str| Change {
            file: format!("services/httpbin/routes/r{index:04}.json"),
            pointer: String::new(),
            op: Op::Added,
            from: Value::Null,
            to: json!({"paths": [format!("/r/{index}")], "description": text, "methods": ["GET"]}),
        };
        let huge = "\"<".repeat(200_000);
        let mut wide = of_route(5000, "");
        wide.to = (0..9_000).map(|index| (format!("k{index}"), json!(index))).collect();
        let mut changes: Vec<Change> =
            (0..1_500).map(|index| of_route(index, "what it is")).collect();
        changes.push(of_route(4000, &huge));
        changes.push(wide);
        changes.push(Change { file: "schema/group.json".to_owned(), ..of_route(0, "") });

        let drawn = Changes::of(&changes);
        assert!(drawn.more > 1_000, "{}", drawn.more);
        assert_eq!(drawn.unread, ["schema/group.json"]);
        let text = drawn.render().expect("it renders");
        assert!(text.len() < 120_000, "{}", text.len());
        assert!(text.contains("more documents") && !text.contains("<h3>schema"));

        // Every document is on one page, and no page is larger.
        let mut seen = 0;
        for page in 0.. {
            let drawn = Changes::page(&changes, page, "?page=".to_owned());
            let text = drawn.render().expect("it renders");
            assert!(text.len() < 120_000, "page {page}: {}", text.len());
            seen += drawn.files.len();
            let is_last = !text.contains("rel=\"next\"");
            assert_eq!(is_last, seen == 1_502, "page {page}: {seen}");
            if is_last {
                break;
            }
        }
        let beyond = Changes::page(&changes, 10_000, "?page=".to_owned());
        assert!(!beyond.is_empty(), "what is beyond the last page is the last page");
    }

    #[test]
    fn a_node_is_told_by_its_address() {
        let node = json!({"host": "10.0.0.1", "port": 80, "weight": 100});
        assert_eq!(plain(&node), "10.0.0.1:80, weight 100");
        assert_eq!(plain(&json!(["GET", "POST"])), "GET, POST");
    }
}
