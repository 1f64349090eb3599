//! The document as a page for people: one page, made of the document alone, without scripts, so that
//! its policy lets nothing run and nothing be fetched.

use std::collections::BTreeSet;

use askama::Template;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};
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
    shared: Vec<Shared<'a>>,
    refusals: Vec<Refusal<'a>>,
    tags: Vec<Tag<'a>>,
    shapes: Vec<Shape<'a>>,
}

/// A parameter that operations share.
struct Shared<'a> {
    id: &'a str,
    row: Row<'a>,
    /// Whether every operation takes it.
    always: bool,
}

/// A reason for which operations refuse.
struct Refusal<'a> {
    status: &'a str,
    code: &'a str,
    about: &'a str,
    /// Which operations refuse for it without naming it; empty when each names it.
    by: &'static str,
}

struct Tag<'a> {
    name: &'a str,
    about: &'a str,
    operations: Vec<Told<'a>>,
}

/// An operation: what it does not share, in full, and the names of what it does.
struct Told<'a> {
    id: &'a str,
    method: String,
    path: &'a str,
    summary: &'a str,
    about: &'a str,
    /// The shared parameters by where they stand: their ids and names.
    shared: Vec<(&'static str, Vec<(&'a str, &'a str)>)>,
    parameters: Vec<Row<'a>>,
    body: Option<Body<'a>>,
    answers: Vec<Answer<'a>>,
    /// Codes by status, without those that all operations of its kind have.
    refusals: Vec<(&'a str, Vec<&'a str>)>,
}

impl Told<'_> {
    fn takes(&self) -> bool {
        !self.shared.is_empty() || !self.parameters.is_empty()
    }
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
    /// The schema whose keys it has too; they are told there.
    base: Option<&'a str>,
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
    let common = Common::of(document);
    let tags = items(&document["tags"]).map(|tag| {
        let name = text(&tag["name"]);
        let operations = operations(document).filter(|(.., told)| told["tags"][0] == name);
        Tag {
            name,
            about: text(&tag["description"]),
            operations: operations.map(|one| common.tell(document, one)).collect(),
        }
    });
    let schemas = &document["components"]["schemas"];
    let page = Page {
        style: STYLE,
        version: text(&document["info"]["version"]),
        about: text(&document["info"]["description"]).split("\n\n").collect(),
        shared: common.parameters(document),
        refusals: common.refusals(document),
        tags: tags.collect(),
        shapes: entries(schemas).map(|(name, schema)| shape(schemas, name, schema)).collect(),
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

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The name of what a reference refers to.
fn last_name(reference: &Value) -> Option<&str> {
    reference.as_str()?.rsplit('/').next()
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

/// Path, method and description of every operation.
fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    entries(&document["paths"]).flat_map(|(path, methods)| {
        entries(methods).map(move |(method, told)| (path.as_str(), method.as_str(), told))
    })
}

/// What many operations have, so that none of them repeats it.
struct Common<'a> {
    /// The ids of the parameters that all take.
    parameters: BTreeSet<&'a str>,
    kinds: [OfKind<'a>; 3],
}

/// What all operations of a kind refuse for.
struct OfKind<'a> {
    /// The kind, for people.
    title: &'static str,
    has: fn(&Value) -> bool,
    codes: BTreeSet<&'a str>,
}

impl<'a> Common<'a> {
    fn of(document: &'a Value) -> Self {
        let all = || operations(document).map(|(.., told)| told);
        let of_kind = |title, has: fn(&Value) -> bool| {
            let here = all().filter(|told| has(told));
            let codes = here.map(|told| refused(document, told).map(|(_, code, _)| code).collect());
            OfKind { title, has, codes: in_each(codes) }
        };
        Self {
            parameters: in_each(all().map(|told| shared(told).collect())),
            kinds: [
                of_kind("Every operation.", |_| true),
                of_kind("Every one that needs a token.", |told| told["security"] != json!([])),
                of_kind("Every one with a body.", |told| told["requestBody"].is_object()),
            ],
        }
    }

    /// Whether an operation refuses for this without naming it.
    fn has(&self, told: &Value, code: &str) -> bool {
        self.kinds.iter().any(|kind| (kind.has)(told) && kind.codes.contains(code))
    }

    /// What is told of one operation.
    fn tell(
        &self,
        document: &'a Value,
        (path, method, told): (&'a str, &'a str, &'a Value),
    ) -> Told<'a> {
        let components = &document["components"]["parameters"];
        let places = [("path", "Path"), ("query", "Query"), ("header", "Headers")];
        let of_place = |(place, title): (&str, &'static str)| {
            let here = shared(told)
                .filter(|id| components[*id]["in"] == place && !self.parameters.contains(id));
            (title, here.map(|id| (id, text(&components[id]["name"]))).collect::<Vec<_>>())
        };
        let parameters = items(&told["parameters"]).filter(|one| one.get("$ref").is_none());
        let mut refusals: Vec<(&str, Vec<&str>)> = Vec::new();
        let own = refused(document, told).filter(|(_, code, _)| !self.has(told, code));
        for (status, code, _) in own {
            match refusals.last_mut() {
                Some((last, codes)) if *last == status => codes.push(code),
                _ => refusals.push((status, vec![code])),
            }
        }
        let content = &told["requestBody"]["content"];
        let body = entries(content).next().map(|(_, media)| Body {
            types: entries(content).map(|(name, _)| name).collect(),
            kind: kind(&media["schema"]),
            example: format!("{:#}", media["examples"]["one"]["value"]),
        });
        let answers =
            entries(&told["responses"]).filter(|(_, answer)| answer.get("$ref").is_none());
        Told {
            id: text(&told["operationId"]),
            method: method.to_ascii_uppercase(),
            path,
            summary: text(&told["summary"]),
            about: text(&told["description"]),
            shared: places.map(of_place).into_iter().filter(|(_, all)| !all.is_empty()).collect(),
            parameters: parameters.map(parameter).collect(),
            body,
            answers: answers.map(|(status, answer)| answered(status, answer)).collect(),
            refusals,
        }
    }

    fn parameters(&self, document: &'a Value) -> Vec<Shared<'a>> {
        let all = entries(&document["components"]["parameters"]);
        let all = all.map(|(id, one)| Shared {
            id,
            row: parameter(one),
            always: self.parameters.contains(id.as_str()),
        });
        all.collect()
    }

    /// Every code once, by status.
    fn refusals(&self, document: &'a Value) -> Vec<Refusal<'a>> {
        let all = operations(document).flat_map(|(.., told)| refused(document, told));
        let all: BTreeSet<_> = all.collect();
        let by = |code| self.kinds.iter().find(|kind| kind.codes.contains(code));
        let all = all.into_iter().map(|(status, code, about)| Refusal {
            status,
            code,
            about,
            by: by(code).map_or("", |kind| kind.title),
        });
        all.collect()
    }
}

/// What is in each of the sets.
fn in_each<'a>(sets: impl Iterator<Item = BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    sets.reduce(|all, one| &all & &one).unwrap_or_default()
}

/// The ids of the shared parameters that an operation takes.
fn shared(told: &Value) -> impl Iterator<Item = &str> {
    items(&told["parameters"]).filter_map(|one| last_name(&one["$ref"]))
}

/// The status, code and meaning of everything that an operation refuses for.
fn refused<'a>(
    document: &'a Value,
    told: &'a Value,
) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
    let responses = entries(&told["responses"]).filter(|(_, answer)| answer.get("$ref").is_some());
    responses.flat_map(|(status, answer)| {
        // A line for each code: "`code`: meaning."
        let lines = text(&resolved(document, answer)["description"]).lines();
        lines
            .filter_map(|line| line.split_once(": "))
            .map(move |(code, about)| (status.as_str(), code.trim_matches('`'), about))
    })
}

fn answered<'a>(status: &'a str, answer: &'a Value) -> Answer<'a> {
    let content = entries(&answer["content"]).next();
    Answer {
        status,
        about: text(&answer["description"]),
        content_type: content.map_or("", |(name, _)| name.as_str()),
        kind: content.map_or_else(Vec::new, |(_, media)| spread(&media["schema"])),
    }
}

/// The name of a type, and the keys of one that has no name.
fn spread(schema: &Value) -> Vec<Piece> {
    let keys = entries(&schema["properties"]);
    let keys = keys.map(|(name, key)| {
        [vec![plain(format!("{name}: "))], kind(key)].into_iter().flatten().collect()
    });
    let keys = joined(keys.collect(), ", ");
    if keys.is_empty() { kind(schema) } else { keys }
}

/// A schema, without what is told of another one that it has all keys of.
fn shape<'a>(schemas: &'a Value, name: &'a str, schema: &'a Value) -> Shape<'a> {
    let size = |of: &Value| of["properties"].as_object().map_or(0, Map::len);
    let needed = |of: &'a Value, key: &str| items(&of["required"]).any(|one| one == key);
    let is_base = |base: &'a Value| {
        (3..size(schema)).contains(&size(base))
            && entries(&base["properties"]).all(|(key, value)| {
                schema["properties"].get(key) == Some(value)
                    && needed(schema, key) == needed(base, key)
            })
    };
    let bases = entries(schemas).filter(|(_, base)| is_base(base));
    let base = bases.max_by_key(|(_, base)| size(base));
    let mut rows = Vec::new();
    below(schema, 0, base.map_or(&Value::Null, |(_, base)| base), &mut rows);
    Shape {
        name,
        about: text(&schema["description"]),
        kind: kind(schema),
        base: base.map(|(name, _)| name.as_str()),
        rows,
    }
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
    if let Some(name) = last_name(&schema["$ref"]) {
        return vec![link(name)];
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        let parts: Vec<Vec<Piece>> = items(&schema[key])
            .map(kind)
            .filter(|part| part.iter().any(|piece| piece.text != "any"))
            .collect();
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

/// The keys of an object and of what is in it, in order, without those of `base`.
fn below<'a>(schema: &'a Value, depth: usize, base: &Value, rows: &mut Vec<Row<'a>>) {
    let none = &Value::Null;
    for (name, key) in entries(&schema["properties"]) {
        if base["properties"].get(name).is_some() {
            continue;
        }
        rows.push(Row {
            depth: depth.min(6),
            name,
            place: "",
            required: items(&schema["required"]).any(|required| required == name),
            kind: kind(key),
            about: text(&key["description"]),
        });
        below(key, depth + 1, none, rows);
    }
    for part in ["items", "additionalProperties"] {
        if schema[part].is_object() {
            below(&schema[part], depth, none, rows);
        }
    }
    for part in ["anyOf", "oneOf"] {
        for one in items(&schema[part]) {
            below(one, depth, none, rows);
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, Result};

    use super::*;
    use crate::openapi::whole;

    fn html() -> Result<String> {
        Ok(write(whole()).context("a page")?.html)
    }

    #[test]
    fn the_page_is_small() -> Result<()> {
        let size = html()?.len();
        assert!(size < 200_000, "{size} bytes");
        Ok(())
    }

    #[test]
    fn nothing_that_operations_share_is_lost() -> Result<()> {
        let (document, html) = (whole(), html()?);
        let common = Common::of(document);
        assert_eq!(common.parameters, BTreeSet::from(["X-Request-Id"]));
        assert_eq!(common.kinds[0].codes, BTreeSet::from(["internal", "malformed_request"]));
        for (path, method, told) in operations(document) {
            let one = common.tell(document, (path, method, told));
            let named: BTreeSet<_> =
                one.shared.iter().flat_map(|(_, all)| all).map(|(id, _)| *id).collect();
            let all: BTreeSet<_> = shared(told).collect();
            assert_eq!(&named | &common.parameters, all, "{method} {path}");
            let named: BTreeSet<_> =
                one.refusals.iter().flat_map(|(_, codes)| codes).copied().collect();
            let all: BTreeSet<_> = refused(document, told).map(|(_, code, _)| code).collect();
            let mut unnamed = all.difference(&named);
            assert!(unnamed.all(|code| common.has(told, code)), "{method} {path}");
            for code in all {
                assert!(html.contains(&format!("<tr id=\"r-{code}\">")), "{code}");
            }
        }
        Ok(())
    }

    #[test]
    fn a_schema_does_not_repeat_another() {
        let schemas = &whole()["components"]["schemas"];
        let told = |name: &'static str| {
            let shape = shape(schemas, name, &schemas[name]);
            (shape.base, shape.rows.iter().map(|row| row.name).collect::<Vec<_>>())
        };
        assert_eq!(told("NamedRoute"), (Some("Route"), vec!["name"]));
        assert_eq!(told("Commit").0, Some("Event"));
        assert_eq!(told("TokenItself"), (Some("Token"), vec!["token"]));
        assert_eq!(told("Event").0, None);
    }
}
