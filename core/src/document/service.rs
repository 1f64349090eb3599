//! `services/<service>/service.json`: the versioned part of a service beside its routes.

use serde_json::json;

use super::group::Labels;
use super::value::keyword;
use super::{Plugins, document, or};

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

keyword! {
    /// What the routes of a service match on.
    pub enum ServiceType {
        /// HTTP requests.
        Http = "http",
    }
    not_served "stream services": "stream";
}
