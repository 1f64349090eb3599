//! JSON Schemas of the documents, for editors: completion, descriptions, and errors while typing.
//!
//! Made from the declarations of the documents ([`Shape::schema`]), so that there is one truth. A
//! schema says what a document alone can say, and refuses nothing that the reader takes; what it cannot
//! say, such as references between documents, is said by validation. A repository's copies are
//! `repo-template/schema/`, see [`crate::template`].

use serde_json::{Map, Value, json};

use super::reference::VARIABLE_PATTERN;
use super::{Certificate, Consumer, GlobalRule, Group, Presence, Route, Runtime, Service, Shape};

/// The schema of every kind of document, by the name of its file in `schema/`.
#[must_use]
pub fn all() -> Vec<(&'static str, Value)> {
    let some = |key: &'static str| vec![(key, "minItems", json!(1)), once(key)];
    vec![
        // Variables are defined here; they are not put in here.
        ("group.json", whole::<Group>("group", &[], false)),
        ("service.json", whole::<Service>("service", &[], true)),
        (
            "route.json",
            whole::<Route>("route", &[some("paths"), vec![once("methods")]].concat(), true),
        ),
        ("runtime.json", whole::<Runtime>("runtime", &[once("hosts")], true)),
        ("consumer.json", whole::<Consumer>("consumer", &[], true)),
        ("certificate.json", whole::<Certificate>("certificate", &some("snis"), true)),
        ("global-rule.json", whole::<GlobalRule>("global-rule", &[], true)),
    ]
}

/// A keyword for a key of a document, of those rules that are about more than a single value.
type Rule = (&'static str, &'static str, Value);

fn once(key: &'static str) -> Rule {
    (key, "uniqueItems", json!(true))
}

/// The schema of a file that holds a document of type `T`.
fn whole<T: Shape>(kind: &str, rules: &[Rule], has_variables: bool) -> Value {
    let mut schema = T::schema();
    for (key, keyword, value) in rules {
        schema["properties"][key][keyword] = value.clone();
    }
    if has_variables {
        allow_variables(&mut schema);
    }
    let mut file = Map::new();
    file.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    file.insert("$id".to_owned(), json!(format!("urn:refgate:schema:{kind}")));
    if let Value::Object(schema) = schema {
        file.extend(schema);
    }
    if has_variables {
        let variable = json!({
            "description": "The value of a variable of the group: \"$var://name\".",
            "type": "string",
            "pattern": VARIABLE_PATTERN,
        });
        file.insert("$defs".to_owned(), json!({ "variable": variable }));
    }
    Value::Object(file)
}

/// Lets every text with a rule of its own be a reference to a variable as well.
fn allow_variables(schema: &mut Value) {
    const RULES: [&str; 3] = ["const", "enum", "pattern"];
    let Value::Object(object) = schema else { return };
    for key in ["items", "additionalProperties"] {
        if let Some(below) = object.get_mut(key) {
            allow_variables(below);
        }
    }
    for key in ["properties", "anyOf"] {
        match object.get_mut(key) {
            Some(Value::Object(below)) => below.values_mut().for_each(allow_variables),
            Some(Value::Array(below)) => below.iter_mut().for_each(allow_variables),
            _ => {}
        }
    }
    if object.get("type") != Some(&json!("string"))
        || !RULES.iter().any(|rule| object.contains_key(*rule))
    {
        return;
    }
    let mut own = Map::new();
    for key in std::iter::once("type").chain(RULES) {
        own.extend(object.shift_remove_entry(key));
    }
    object.insert("anyOf".to_owned(), json!([own, {"$ref": "#/$defs/variable"}]));
}

/// A key of an object: its name, what it means, the schema of its value, its presence.
pub(crate) type Property = (&'static str, String, Value, Presence);

/// The schema of an object with exactly these keys.
pub(crate) fn object(description: String, keys: Vec<Property>) -> Value {
    let mut required = Vec::new();
    let mut properties = Map::new();
    for (key, meaning, mut schema, presence) in keys {
        // The words that a key takes are explained after the key itself.
        let words = match schema.get("enum").and(schema.get("description")) {
            Some(Value::String(words)) => format!("\n{words}"),
            _ => String::new(),
        };
        schema["description"] = json!(format!("{meaning}{words}"));
        match presence {
            Presence::Required => required.push(key),
            Presence::Absent => {}
            Presence::Default(value) => schema["default"] = value,
        }
        // What it means comes first, for those who read the file.
        if let Value::Object(object) = &mut schema
            && let Some(description) = object.shift_remove("description")
        {
            object.shift_insert(0, "description".to_owned(), description);
        }
        properties.insert(key.to_owned(), schema);
    }
    let mut schema = json!({
        "description": description,
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// The schema of a text that is one of some words, each with its meaning.
pub(crate) fn words(known: &[(&str, String)]) -> Value {
    let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
    let meanings = known.iter().map(|(word, meaning)| match meaning.strip_suffix('.') {
        Some(meaning) if meaning == *word => format!("- {word}"),
        _ => format!("- {word}: {meaning}"),
    });
    let meanings: Vec<String> = meanings.collect();
    json!({"description": meanings.join("\n"), "type": "string", "enum": words})
}

/// The schema of a text that matches a regular expression.
pub(crate) fn text(pattern: &str) -> Value {
    json!({"type": "string", "pattern": pattern})
}

/// The text of a documentation comment, given line by line, without the marks of its links.
pub(crate) fn prose(lines: &[&str]) -> String {
    let text = lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
    text.replace("[`", "").replace("`]", "").replace('`', "")
}

/// What the keys of a map can be.
pub trait Key {
    /// A regular expression that every key matches; nothing if any text is a key.
    #[must_use]
    fn pattern() -> Option<&'static str>;
}

impl Key for String {
    fn pattern() -> Option<&'static str> {
        None
    }
}

macro_rules! keys_are_labels {
    ($($name:ty),+ $(,)?) => {
        $(impl Key for $name {
            fn pattern() -> Option<&'static str> {
                Some(LABEL)
            }
        })+
    };
}

keys_are_labels!(crate::name::CredentialName, crate::name::UpstreamName);

/// What the names of groups, services, routes and upstreams match.
pub const LABEL: &str = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";
