//! The document as a page for people: one page, made of the document alone, without scripts, so that
//! its policy lets nothing run and nothing be fetched.

use askama::Template;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::resolved;

const STYLE: &str = include_str!("../../assets/docs.css");

/// The page, and the policy that browsers hold it to.
pub(super) struct Written {
    pub(super) html: String,
    pub(super) policy: String,
}

#[derive(Template)]
#[template(path = "docs.html")]
struct Page<'a> {
    style: &'a str,
    version: &'a str,
    about: Vec<&'a str>,
    tags: Vec<Tag<'a>>,
    shapes: Vec<Shape<'a>>,
}

struct Tag<'a> {
    name: &'a str,
    about: &'a str,
    operations: Vec<Told<'a>>,
}

/// An operation.
struct Told<'a> {
    id: &'a str,
    method: String,
    path: &'a str,
    summary: &'a str,
    about: &'a str,
    parameters: Vec<Row<'a>>,
    body: Option<Body<'a>>,
    answers: Vec<Answer<'a>>,
}

struct Body<'a> {
    types: Vec<&'a String>,
    kind: Vec<Piece>,
    example: String,
}

struct Answer<'a> {
    status: &'a str,
    about: &'a str,
    content_type: &'a str,
    kind: Vec<Piece>,
}

/// A schema that others refer to.
struct Shape<'a> {
    name: &'a str,
    about: &'a str,
    kind: Vec<Piece>,
    rows: Vec<Row<'a>>,
}

/// A key, or a parameter.
struct Row<'a> {
    /// How deep it stands, at most 6.
    depth: usize,
    name: &'a str,
    /// Where a parameter stands; nothing for a key.
    place: &'a str,
    required: bool,
    kind: Vec<Piece>,
    about: &'a str,
}

/// A part of the name of a type.
struct Piece {
    text: String,
    /// Whether there is a schema of this name.
    link: bool,
}

/// Writes the page; nothing if the template cannot be written.
pub(super) fn write(document: &Value) -> Option<Written> {
    let tags = document["tags"].as_array().into_iter().flatten();
    let tags = tags.map(|tag| {
        let name = text(&tag["name"]);
        Tag { name, about: text(&tag["description"]), operations: operations(document, name) }
    });
    let shapes = entries(&document["components"]["schemas"]).map(|(name, schema)| Shape {
        name,
        about: text(&schema["description"]),
        kind: kind(schema),
        rows: keys(schema),
    });
    let page = Page {
        style: STYLE,
        version: text(&document["info"]["version"]),
        about: text(&document["info"]["description"]).split("\n\n").collect(),
        tags: tags.collect(),
        shapes: shapes.collect(),
    };
    let html = page.render().ok()?;
    let hash = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'none'; frame-ancestors 'none'; \
         base-uri 'none'"
    );
    Some(Written { html, policy })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn operations<'a>(document: &'a Value, tag: &str) -> Vec<Told<'a>> {
    let all = entries(&document["paths"]).flat_map(|(path, methods)| {
        entries(methods).map(move |(method, told)| (path, method, told))
    });
    all.filter(|(_, _, told)| told["tags"][0] == tag)
        .map(|(path, method, told)| {
            let parameters = told["parameters"].as_array().into_iter().flatten();
            let answers = entries(&told["responses"]).map(|(status, answer)| {
                let answer = resolved(document, answer);
                let content = entries(&answer["content"]).next();
                let refused = content.is_some_and(|(name, _)| name.contains("problem"));
                Answer {
                    status,
                    about: text(&answer["description"]),
                    content_type: content.map_or("", |(name, _)| name.as_str()),
                    kind: match content {
                        Some(_) if refused => vec![link("Problem")],
                        Some((_, media)) => kind(&media["schema"]),
                        None => Vec::new(),
                    },
                }
            });
            let content = &told["requestBody"]["content"];
            let body = entries(content).next().map(|(_, media)| Body {
                types: entries(content).map(|(name, _)| name).collect(),
                kind: kind(&media["schema"]),
                example: format!("{:#}", media["examples"]["one"]["value"]),
            });
            Told {
                id: text(&told["operationId"]),
                method: method.to_ascii_uppercase(),
                path,
                summary: text(&told["summary"]),
                about: text(&told["description"]),
                parameters: parameters.map(|one| parameter(resolved(document, one))).collect(),
                body,
                answers: answers.collect(),
            }
        })
        .collect()
}

fn parameter(parameter: &Value) -> Row<'_> {
    Row {
        depth: 0,
        name: text(&parameter["name"]),
        place: text(&parameter["in"]),
        required: parameter["required"] == true,
        kind: kind(&parameter["schema"]),
        about: text(&parameter["description"]),
    }
}

fn plain(text: impl Into<String>) -> Piece {
    Piece { text: text.into(), link: false }
}

fn link(name: &str) -> Piece {
    Piece { text: name.to_owned(), link: true }
}

/// The name of a type, in a few words.
fn kind(schema: &Value) -> Vec<Piece> {
    if let Some(name) = schema["$ref"].as_str().and_then(|link| link.rsplit('/').next()) {
        return vec![link(name)];
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        let parts = schema[key].as_array().into_iter().flatten();
        let parts: Vec<Vec<Piece>> =
            parts.map(kind).filter(|part| part.iter().any(|piece| piece.text != "any")).collect();
        if !parts.is_empty() {
            let between = if key == "allOf" { " with " } else { " or " };
            return joined(parts, between);
        }
    }
    if let Some(words) = schema["enum"].as_array() {
        let words = words.iter().map(|word| match word.as_str() {
            Some(word) => vec![plain(word)],
            None => vec![plain(word.to_string())],
        });
        return joined(words.collect(), " | ");
    }
    if schema.get("const").is_some() {
        return vec![plain(schema["const"].to_string())];
    }
    let names: Vec<&str> = match &schema["type"] {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().map(text).collect(),
        _ => vec!["any"],
    };
    let parts = names.into_iter().map(|name| match name {
        "array" => {
            [vec![plain("list of ")], kind(&schema["items"])].into_iter().flatten().collect()
        }
        "object" if schema["additionalProperties"].is_object() => {
            let values = kind(&schema["additionalProperties"]);
            [vec![plain("map of ")], values].into_iter().flatten().collect()
        }
        name => vec![plain(name)],
    });
    joined(parts.collect(), " or ")
}

fn joined(parts: Vec<Vec<Piece>>, between: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for part in parts {
        if !pieces.is_empty() {
            pieces.push(plain(between));
        }
        pieces.extend(part);
    }
    pieces
}

/// The keys of an object and of what is in it, in order.
fn keys(schema: &Value) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    below(schema, 0, &mut rows);
    rows
}

fn below<'a>(schema: &'a Value, depth: usize, rows: &mut Vec<Row<'a>>) {
    for (name, key) in entries(&schema["properties"]) {
        let required = schema["required"].as_array().into_iter().flatten();
        rows.push(Row {
            depth: depth.min(6),
            name,
            place: "",
            required: required.into_iter().any(|required| required == name),
            kind: kind(key),
            about: text(&key["description"]),
        });
        below(key, depth + 1, rows);
    }
    for part in ["items", "additionalProperties"] {
        if schema[part].is_object() {
            below(&schema[part], depth, rows);
        }
    }
    for part in ["anyOf", "oneOf"] {
        for one in schema[part].as_array().into_iter().flatten() {
            below(one, depth, rows);
        }
    }
}
