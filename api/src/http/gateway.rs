//! The gateway instances that are known, and what each of them serves.

use axum::extract::State;
use serde_json::json;

use super::page::PageParams;
use super::{Answer, Api};
use crate::problem::Problem;

pub(super) async fn list(State(api): State<Api>, page: PageParams) -> Answer {
    // Instances in this process are seen at every look.
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut items = Vec::new();
    for status in api.fleet.statuses() {
        let value = serde_json::to_value(&*status);
        let mut value = value.map_err(|error| Problem::internal(&error))?;
        value["last_seen"] = json!(now);
        items.push(value);
    }
    page.cut(items, |item| {
        let text = |key: &str| item[key].as_str().unwrap_or_default().to_owned();
        // No name has a slash, so this sorts by group first, as the fleet does.
        format!("{}/{}", text("group"), text("instance"))
    })
}
