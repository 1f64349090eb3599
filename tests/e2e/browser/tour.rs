//! The pages that the walk does not come by, each looked over.

use anyhow::{Context as _, Result};
use refgate_tests::browser::Browser;
use refgate_tests::stage::Stage;

use super::page_of;

/// Opens them all.
pub(super) fn pages(browser: &Browser, stage: &Stage) -> Result<()> {
    let head = stage.read("/v1/groups/uat")?["head"].as_str().context("a head")?.to_owned();
    let service = page_of("uat");
    let mut paths: Vec<String> = [
        "/history",
        "/gateways",
        "/compare",
        "/compare?service=httpbin&from=group:production&to=group:uat",
        "/compare?from=group:uat&to=group:production",
        "/?page=9",
        "/history?group=uat&event=pushed&since=2026-01-01&until=2026-01-02",
        "/groups/~new",
        "/groups/uat/settings",
        "/groups/uat/consumers",
        "/groups/uat/consumers/~new",
        "/groups/uat/certificates/~new",
        "/groups/uat/global-rules/~new",
        "/groups/uat/gateways",
        "/groups/uat/history",
        "/groups/uat/rollback?revision=2",
        "/groups/uat/import",
        "/groups/none",
    ]
    .map(str::to_owned)
    .into();
    paths.push(format!("/groups/uat/commits/{head}"));
    for tab in [
        "routes",
        "routes/get-headers",
        "routes/~new",
        "routes/get-headers/delete",
        "upstreams",
        "upstreams/~new",
        "upstreams/default",
        "upstreams/default/delete",
        "runtime",
        "settings",
        "plugins",
        "versions",
        "delete",
        "history",
        "json",
    ] {
        paths.push(format!("{service}/{tab}"));
    }
    for path in paths {
        if path.ends_with("/none") {
            browser.may_be_refused(404);
        }
        browser.goto(&path)?;
        browser.audit().with_context(|| path.clone())?;
    }
    Ok(())
}
