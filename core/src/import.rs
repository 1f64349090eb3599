//! Descriptions of APIs in other notations, translated into a service.
//!
//! Pure: a document in, a service out, and a list of what could not be carried; nothing is read or
//! written. Next: [`openapi`].

pub mod openapi;
mod operation;
mod server;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::name::{RouteName, ServiceName};

/// What came of a translation.
#[derive(Debug, Clone, PartialEq)]
pub struct Import {
    /// The service that it is about.
    pub service: ServiceName,
    /// What the service is for; empty where the source does not say.
    pub description: String,
    /// Its routes, in the order of the source.
    pub routes: Vec<ImportedRoute>,
    /// A runtime that sends requests where the source says that the API is; nothing where it does
    /// not say, or in words that a node has no place for.
    pub runtime: Option<Value>,
    /// What could not be carried, or was carried otherwise than it stands there.
    pub notes: Vec<Note>,
}

/// A route of a translation.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedRoute {
    /// Its name.
    pub name: RouteName,
    /// Its document.
    pub document: Value,
}

/// Something to know about a translation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// RFC 6901 pointer into the source; empty for the source as a whole.
    pub pointer: String,
    /// What was not carried, and what to do about it.
    pub message: String,
}

impl Import {
    /// The service as a whole, as it is put where it is not there yet.
    #[must_use]
    pub fn document(&self, with_runtime: bool) -> Value {
        let mut document = self.patch();
        if let (Value::Object(document), true, Some(runtime)) =
            (&mut document, with_runtime, &self.runtime)
        {
            document.insert("runtime".to_owned(), runtime.clone());
        }
        document
    }

    /// The same as a merge patch for a service that is there: its other routes, its plugins and
    /// its runtime stay.
    #[must_use]
    pub fn patch(&self) -> Value {
        let routes: Map<String, Value> = self
            .routes
            .iter()
            .map(|route| (route.name.to_string(), route.document.clone()))
            .collect();
        let mut document = Map::new();
        if !self.description.is_empty() {
            document.insert("description".to_owned(), json!(self.description));
        }
        document.insert("routes".to_owned(), Value::Object(routes));
        Value::Object(document)
    }

    /// What a person wants to know beside the change: names, paths, and what was not carried.
    #[must_use]
    pub fn summary(&self) -> Value {
        let route = |route: &ImportedRoute| {
            json!({
                "name": route.name,
                "methods": route.document["methods"],
                "paths": route.document["paths"],
            })
        };
        json!({
            "service": self.service,
            "routes": self.routes.iter().map(route).collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }
}

/// A text as a name: lower case, everything else as dashes; nothing where no letter is left.
fn slug(text: &str) -> Option<String> {
    let mut slug = String::with_capacity(text.len());
    let mut after_small = false;
    for character in text.chars() {
        // `listPets` is two words.
        if character.is_ascii_uppercase() && after_small {
            slug.push('-');
        }
        after_small = character.is_ascii_lowercase() || character.is_ascii_digit();
        if character.is_ascii_alphanumeric() {
            slug.push(character.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(crate::limits::NAME_BYTES);
    let slug = slug.trim_end_matches('-');
    (!slug.is_empty()).then(|| slug.to_owned())
}

#[cfg(test)]
mod tests {
    use super::slug;

    #[test]
    fn texts_become_names() {
        let table = [
            ("Swagger Petstore", Some("swagger-petstore")),
            ("listPets", Some("list-pets")),
            ("getHTTPStatus", Some("get-httpstatus")),
            ("v2/Users.get_all", Some("v2-users-get-all")),
            ("  --x--  ", Some("x")),
            ("Übersicht", Some("bersicht")),
            ("日本", None),
            ("", None),
        ];
        for (text, name) in table {
            assert_eq!(slug(text).as_deref(), name, "{text}");
        }
        assert_eq!(slug(&"a".repeat(100)).map(|name| name.len()), Some(63));
        assert_eq!(slug(&format!("{}-b", "a".repeat(62))).map(|name| name.len()), Some(62));
    }
}
