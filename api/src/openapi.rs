//! What the HTTP API is, as OpenAPI 3.1, and the same as a page for people.
//!
//! The document is made from the table of endpoints ([`crate::http`]), which decides what there is and
//! who may call it, from what is said of each in [`operations`], and from the schemas in [`shapes`]:
//! those of the documents are the ones that editors and repositories have, out of the same
//! declarations. Tests hold every answer of the handlers to it. The page is [`page`].

mod operation;
mod operations;
mod page;
mod shapes;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::http::header;
use axum::response::{Html, IntoResponse as _, Response};
use serde_json::{Map, Value, json};

use crate::http::{Endpoint, Guard, endpoints};
use crate::problem::{Kind, Problem};
use operation::reference;

/// What the whole is.
const ABOUT: &str = "\
The control plane of Refgate: groups, services, routes, versions, promotion and history. Every \
change is a commit of the group's branch.

A token is sent as `Authorization: Bearer <token>`; its role decides what it may do. Bodies are \
JSON or YAML, by their `Content-Type`. A query parameter that an endpoint does not know is refused. \
Whatever is refused is `application/problem+json` with a `code`, and changes nothing.

The repository itself is at `/config.git`, for git.";

/// The document, made once.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| document(&endpoints()));
static TEXT: LazyLock<String> = LazyLock::new(|| DOCUMENT.to_string());
static PAGE: LazyLock<Option<page::Written>> = LazyLock::new(|| page::write(&DOCUMENT));

/// The document of the API, as it is served.
#[must_use]
pub fn whole() -> &'static Value {
    &DOCUMENT
}

/// Answers the document.
pub(crate) fn serve() -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, TEXT.as_str()).into_response()
}

/// Answers the page.
pub(crate) fn browse() -> Result<Response, Problem> {
    let page = PAGE.as_ref();
    let page = page.ok_or_else(|| Problem::new(Kind::Internal, "the page cannot be written"))?;
    let headers = [
        (header::CONTENT_SECURITY_POLICY, page.policy.as_str()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    Ok((headers, Html(page.html.as_str())).into_response())
}

/// Whether an endpoint belongs into the document: git speaks a protocol of its own.
pub(crate) fn is_told(endpoint: &Endpoint) -> bool {
    endpoint.guard != Guard::Git
}

fn document(endpoints: &[Endpoint]) -> Value {
    let told = operations::all();
    let mut paths = Map::new();
    let mut refusals = BTreeMap::new();
    for endpoint in endpoints.iter().filter(|endpoint| is_told(endpoint)) {
        let Some(operation) = told.iter().find(|operation| operation.is_of(endpoint)) else {
            continue;
        };
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        let method = endpoint.method.as_str().to_ascii_lowercase();
        path[method] = operation.to_json(endpoint, &mut refusals);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Refgate",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "tags": operations::TAGS.map(|(name, about)| json!({"name": name, "description": about})),
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {
                "type": "http", "scheme": "bearer", "description": "A token of Refgate.",
            }},
            "parameters": operation::parameters(),
            "headers": operation::headers(),
            "responses": refusals,
            "schemas": shapes::all(),
        },
    })
}

/// The name of the response for refusals of one status with these codes, and the response.
fn refusal(kinds: &[Kind]) -> (String, Value) {
    let codes: Vec<&str> = kinds.iter().map(|kind| kind.code()).collect();
    let told: Vec<String> =
        kinds.iter().map(|kind| format!("`{}`: {}.", kind.code(), kind.title())).collect();
    let mut headers = json!({"X-Request-Id": reference("headers", "X-Request-Id")});
    for kind in kinds {
        match kind {
            Kind::Unavailable => {
                headers["Retry-After"] = reference("headers", "Retry-After");
            }
            Kind::Unauthenticated => {
                headers["WWW-Authenticate"] = reference("headers", "WWW-Authenticate");
            }
            _ => {}
        }
    }
    let schema = json!({
        "allOf": [reference("schemas", "Problem"), {"properties": {"code": {"enum": codes}}}],
    });
    let response = json!({
        "description": told.join("\n"),
        "headers": headers,
        "content": {"application/problem+json": {"schema": schema}},
    });
    (codes.join("."), response)
}

/// What a reference within the document refers to; else the value itself.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let pointer = value["$ref"].as_str().and_then(|link| link.strip_prefix('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}

#[cfg(test)]
pub(crate) mod testing;
