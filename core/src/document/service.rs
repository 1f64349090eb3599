//! `services/<service>/service.json`: the versioned part of a service beside its routes.

use serde_json::{Value, json};

use super::group::Labels;
use super::{Plugins, Reader, Shape, document, or, schema};
use crate::diagnostic::Code;

document! {
    /// A service.
    pub struct Service {
        /// What its routes match on.
        "type" r#type: ServiceType = or("http"),
        /// What it is for, in a few words for people.
        "description" description: String = or(""),
        /// Free text by free key, for people and filters.
        "labels" labels: Labels = or(json!({})),
        /// Plugins that run for every route; this version has none.
        "plugins" plugins: Plugins = or(json!({})),
    }
}

/// What the routes of a service match on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceType {
    /// HTTP requests.
    Http,
}

impl Shape for ServiceType {
    fn read(json: &Value, at: &mut Reader<'_>) -> Option<Self> {
        match at.text(json)? {
            "http" => return Some(Self::Http),
            "stream" => at.error_with_hint(
                Code::BadValue,
                "stream services are not served by this version",
                "use \"http\"",
            ),
            other => super::value::unknown_word(other, &["http"], at),
        }
        None
    }

    fn schema() -> Value {
        schema::words(&[("http", "HTTP requests.".to_owned())])
    }
}
