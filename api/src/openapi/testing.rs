//! The document as a judge of answers, by an implementation of JSON Schema that is not ours.

use std::cell::RefCell;
use std::collections::HashMap;

use anyhow::{Context as _, Result, ensure};
use axum::http::{HeaderMap, Method, StatusCode, header};
use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Map, Value, json};

use super::{resolved, whole};

/// Where the document is to the judge.
const HERE: &str = "urn:refgate:openapi";

/// The document, compiled schema by schema as they are needed.
struct Judge {
    compiler: Compiler,
    schemas: Schemas,
    known: HashMap<String, SchemaIndex>,
}

thread_local! {
    static JUDGE: RefCell<Option<Judge>> = const { RefCell::new(None) };
}

impl Judge {
    fn new() -> Result<Self> {
        let mut closed = whole().clone();
        close(&mut closed["paths"]);
        close(&mut closed["components"]);
        let mut compiler = Compiler::new();
        compiler.enable_format_assertions();
        compiler.add_resource(HERE, closed).map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(Self { compiler, schemas: Schemas::new(), known: HashMap::new() })
    }

    fn check(&mut self, pointer: &str, value: &Value) -> Result<()> {
        let index = match self.known.get(pointer) {
            Some(index) => *index,
            None => {
                let place = format!("{HERE}#{pointer}");
                let index = self.compiler.compile(&place, &mut self.schemas);
                let index = index.map_err(|error| anyhow::anyhow!("{place}: {error:#}"))?;
                self.known.insert(pointer.to_owned(), index);
                index
            }
        };
        let verdict = self.schemas.validate(value, index);
        verdict.map_err(|error| anyhow::anyhow!("{pointer}: {error:#}"))
    }
}

/// Takes the openness of answers away: what is not named is then refused.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if object.get("type") == Some(&json!("object"))
                && object.get("properties").is_some_and(Value::is_object)
                && !object.contains_key("additionalProperties")
            {
                object.insert("additionalProperties".to_owned(), json!(false));
            }
            object.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// Whether the value is one of the schema at this place of the document.
pub(crate) fn check(pointer: &str, value: &Value) -> Result<()> {
    JUDGE.with_borrow_mut(|judge| {
        if judge.is_none() {
            *judge = Some(Judge::new()?);
        }
        judge.as_mut().context("a judge")?.check(pointer, value)
    })
}

/// A key as a part of a pointer.
pub(crate) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Whether an answer is one that the document tells of. Of requests that the document does not know
/// (pages, git, unknown paths and methods) there is nothing to say.
pub(crate) fn check_answer(
    method: &Method,
    path: &str,
    (status, headers, text): (StatusCode, &HeaderMap, &str),
) -> Result<()> {
    let Some(place) = place_of(method, path) else { return Ok(()) };
    let status = status.as_u16();
    let operation = whole().pointer(&place).context("an operation")?;
    let told = operation["responses"].get(status.to_string());
    let told = told.with_context(|| format!("{method} {path} answers {status}, untold: {text}"))?;
    let shared = told["$ref"].as_str().and_then(|link| link.strip_prefix('#'));
    let pointer = shared.map_or_else(|| format!("{place}/responses/{status}"), str::to_owned);
    let told = resolved(whole(), told);
    for name in told["headers"].as_object().into_iter().flat_map(Map::keys) {
        ensure!(headers.contains_key(name.as_str()), "{method} {path} {status}: no header {name}");
    }
    let content_type = headers.get(header::CONTENT_TYPE).map(|value| value.to_str()).transpose()?;
    let Some(content_type) = content_type else {
        ensure!(told.get("content").is_none(), "{method} {path} {status} has no content");
        return Ok(());
    };
    let media = told["content"].get(content_type);
    media.with_context(|| format!("{method} {path} {status} is {content_type}, untold"))?;
    if !content_type.ends_with("json") {
        return Ok(());
    }
    let schema = format!("{pointer}/content/{}/schema", escaped(content_type));
    check(&schema, &serde_json::from_str(text)?)
        .with_context(|| format!("{method} {path} answers {status}: {text}"))
}

/// The operation that a request is for, as a pointer into the document.
fn place_of(method: &Method, path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').collect();
    let method = method.as_str().to_ascii_lowercase();
    let fits = |template: &str| {
        let names: Vec<&str> = template.split('/').collect();
        names.len() == parts.len()
            && names.iter().zip(&parts).all(|(name, part)| name == part || name.starts_with('{'))
    };
    let paths = whole()["paths"].as_object()?;
    // A path without parameters goes before one with.
    let mut found: Vec<_> = paths.iter().filter(|(template, _)| fits(template)).collect();
    found.sort_by_key(|(template, _)| template.matches('{').count());
    let (template, methods) = found.first()?;
    methods.get(&method)?;
    Some(format!("/paths/{}/{method}", escaped(template)))
}
