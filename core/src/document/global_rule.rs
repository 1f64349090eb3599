//! `global-rules/<name>.json`: plugins that run for every request of a group. Never promoted.

use serde_json::json;

use super::group::Labels;
use super::{Plugins, document, or};

document! {
    /// A global rule of a group.
    pub struct GlobalRule {
        /// What it is for, in a few words for people.
        "description" description: String = or(""),
        /// Free text by free key, for people and filters.
        "labels" labels: Labels = or(json!({})),
        /// Plugins that run for every request, before those of services and routes.
        "plugins" plugins: Plugins = or(json!({})),
    }
}
