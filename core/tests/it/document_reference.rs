//! `docs/reference/documents.md`: every key of every document, made of the JSON Schemas.
//!
//! After a change of documents, `REFGATE_BLESS=1 cargo test -p refgate-core --test it
//! document_reference` writes it anew.

use std::fmt::Write as _;
use std::path::Path;

use refgate_core::document::schema;
use serde_json::Value;

const HEAD: &str = "\
# Documents, key by key

<!-- Made of the documents' schemas by `core/tests/it/document_reference.rs`; do not edit by hand. -->

Every key that a document may have. What they do together is in [Configuration](../configuration.md); the same as JSON Schemas for
editors is in `schema/` of every group.

- `a.b` is the key `b` of the object at `a`, `a.*` any name that you choose, `a[]` every item of a list.
- A default stands for an absent key. *needed*: there is none, the key must be there. A dash: absent means something of its own.
- Where a word, a name or an address is taken, `\"$var://name\"` stands for a variable of the group.
";

/// The documents: schema, heading, where the files are.
const DOCUMENTS: [(&str, &str, &str); 7] = [
    ("group.json", "Group", "group.json"),
    ("service.json", "Service", "services/<service>/service.json"),
    ("route.json", "Route", "services/<service>/routes/<route>.json"),
    ("runtime.json", "Runtime", "runtime/<service>.json"),
    ("consumer.json", "Consumer", "consumers/<consumer>.json"),
    ("certificate.json", "Certificate", "certificates/<name>.json"),
    ("global-rule.json", "Global rule", "global-rules/<name>.json"),
];

/// Bounds that only say how large a number can be at all, or that a time ends some day.
const NO_BOUNDS: [f64; 3] = [-2_147_483_648.0, 2_147_483_647.0, 31_622_400.0];

/// The ways a value may be written, without the variable of the group, which is possible nearly
/// everywhere.
fn forms(schema: &Value) -> Vec<&Value> {
    match schema["anyOf"].as_array() {
        Some(any) => any.iter().filter(|form| form.get("$ref").is_none()).flat_map(forms).collect(),
        None => vec![schema],
    }
}

fn code(value: &Value) -> String {
    format!("`{value}`")
}

fn word(value: &Value) -> String {
    format!("`{}`", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

/// What is written there, in a few words.
fn kind(schema: &Value) -> String {
    let mut kinds: Vec<String> = Vec::new();
    for form in forms(schema) {
        let kind = one_kind(form);
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds.join(" or ")
}

fn one_kind(schema: &Value) -> String {
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(word).collect::<Vec<_>>().join(", ");
    }
    if schema.get("const").is_some() {
        return word(&schema["const"]);
    }
    match schema["type"].as_str() {
        Some("array") => match kind(&schema["items"]) {
            // Their keys have rows of their own.
            items if items == "object" => "list of objects".to_owned(),
            items => format!("list of {items}"),
        },
        Some("object") => match schema.get("additionalProperties") {
            Some(below) if below.is_object() => match kind(below) {
                below if below.starts_with("object") => "objects by name".to_owned(),
                below => format!("{below} by name"),
            },
            _ => "object".to_owned(),
        },
        Some(number @ ("integer" | "number")) => format!("{number}{}", bounds(schema)),
        Some(other) => other.to_owned(),
        None => "any".to_owned(),
    }
}

fn bounds(schema: &Value) -> String {
    let bound = |key: &str| {
        let value = schema.get(key)?.as_f64()?;
        (!NO_BOUNDS.contains(&value)).then(|| schema[key].to_string())
    };
    match (bound("minimum"), bound("maximum"), bound("exclusiveMinimum")) {
        (Some(least), Some(most), _) => format!(", {least} to {most}"),
        (Some(least), None, _) => format!(", from {least}"),
        (None, Some(most), _) => format!(", to {most}"),
        (None, None, Some(above)) => format!(", above {above}"),
        (None, None, None) => String::new(),
    }
}

/// What is said of it, in one line: what it is, and words that have a meaning of their own.
fn meaning(schema: &Value) -> (String, String) {
    let (mut whole, mut words) = (String::new(), String::new());
    for line in schema["description"].as_str().unwrap_or_default().lines() {
        let line = line.replace('|', "\\|").replace('*', "\\*");
        match line.strip_prefix("- ").map(|line| line.split_once(": ").unwrap_or((line, ""))) {
            None => whole.push_str(&line),
            Some((_, "")) => {}
            Some((word, rest)) => write!(words, "<br>`{word}`: {rest}").expect("a string"),
        }
    }
    (whole, words)
}

/// A row for the key, and one for each below it.
fn row(key: &str, schema: &Value, needed: bool, text: &mut String) {
    let default = match schema.get("default") {
        _ if needed => "*needed*".to_owned(),
        Some(default) => code(default),
        None => "–".to_owned(),
    };
    let (mut said, words) = meaning(schema);
    said.push_str(&words);
    // What is said of the words of a list stands with its items.
    for item in forms(schema).iter().filter_map(|form| form.get("items")) {
        let kinds = item["anyOf"].as_array().into_iter().flatten();
        for words in kinds.chain([item]).map(|kind| meaning(kind).1) {
            said.push_str(&words);
        }
    }
    let (key_as_written, variant) = match key.split_once('(') {
        Some((before, rest)) => {
            let (variant, after) = rest.split_once(')').expect("closed");
            (format!("{before}{after}"), format!(" of `{variant}`"))
        }
        None => (key.to_owned(), String::new()),
    };
    let kind = kind(schema);
    writeln!(text, "| `{key_as_written}`{variant} | {kind} | {default} | {said} |")
        .expect("a string");
    below(key, schema, text);
}

fn below(key: &str, schema: &Value, text: &mut String) {
    let ways = forms(schema);
    let variants = ways.iter().filter(|form| form["type"] == "object").count() > 1;
    for form in ways {
        let key = match variants {
            // Told apart by their type.
            true => format!("{key}({})", kind(&form["properties"]["type"]).replace('`', "")),
            false => key.to_owned(),
        };
        keys(&key, form, text);
        if let Some(items) = form.get("items") {
            below(&format!("{key}[]"), items, text);
        }
        if let Some(each) = form.get("additionalProperties").filter(|each| each.is_object()) {
            below(&format!("{key}.*"), each, text);
        }
    }
}

fn keys(key: &str, schema: &Value, text: &mut String) {
    let needed = schema["required"].as_array();
    for (name, below) in schema["properties"].as_object().into_iter().flatten() {
        let needed = needed.is_some_and(|needed| needed.iter().any(|needed| needed == name));
        let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
        row(&key, below, needed, text);
    }
}

fn reference() -> String {
    let mut text = HEAD.to_owned();
    let all = schema::all();
    assert_eq!(all.len(), DOCUMENTS.len(), "a document has no place in the reference");
    for (name, heading, path) in DOCUMENTS {
        let (_, schema) = all.iter().find(|(known, _)| *known == name).expect(name);
        write!(text, "\n## {heading}\n\n`{path}`\n\n").expect("a string");
        text.push_str("| key | value | default | meaning |\n|---|---|---|---|\n");
        keys("", schema, &mut text);
    }
    text
}

#[test]
fn document_reference_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/documents.md");
    let reference = reference();
    if std::env::var_os("REFGATE_BLESS").is_some() {
        std::fs::write(&path, &reference).expect("written");
        return;
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == reference,
        "{} is not current: REFGATE_BLESS=1 writes it anew",
        path.display()
    );
}
