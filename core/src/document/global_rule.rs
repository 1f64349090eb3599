//! `global-rules/<name>.json`: plugins that run for every request of a group. Never promoted.

use serde_json::json;

use super::group::Labels;
use super::{Plugins, document, or};

document! {
    /// A global rule of a group.
    pub struct GlobalRule {
        /// For people.
        "description" description: String = or(""),
        /// For people and filters.
        "labels" labels: Labels = or(json!({})),
        /// Plugins that run for every request, before those of services and routes.
        "plugins" plugins: Plugins = or(json!({})),
    }
}
