//! The walk: a service is added in test, goes to uat and production, changes, and is rolled back; then what
//! happens when several people work at once.

use anyhow::{Context as _, Result, ensure};
use refgate_tests::browser::Browser;
use refgate_tests::stage::{Stage, TOKEN, host_in};
use serde_json::{Value, json};

use super::{page_of, sign_in, tour};

/// Where the walk goes on: what is seen, and what it is about.
pub(super) struct Walk {
    /// Declared first, so that it is closed before the pages go.
    pub(super) browser: Browser,
    pub(super) stage: Stage,
}

impl Walk {
    /// All of it, from the first page to the last.
    pub(super) fn go(&self) -> Result<()> {
        self.enters().context("signing in")?;
        self.adds_a_service().context("adding a service")?;
        self.syncs_to_uat().context("syncing to uat")?;
        self.gives_host_and_node().context("giving uat its host and node")?;
        self.syncs_to_production().context("syncing to production")?;
        self.grows().context("changing the service and syncing it on")?;
        self.rolls_back().context("rolling production back")?;
        self.settles_a_conflict().context("settling conflicts")?;
        self.keeps_what_was_typed().context("saving a stale form")?;
        self.is_signed_out_while_typing().context("typing on without a session")?;
        self.removes_a_host().context("removing a host")?;
        self.sets_conditions().context("setting conditions")?;
        self.sees_what_others_do().context("watching")?;
        tour::pages(&self.browser, &self.stage)?;
        self.leaves().context("signing out")
    }

    fn enters(&self) -> Result<()> {
        let browser = &self.browser;
        browser.goto("/")?;
        browser.arrives("/login")?;
        browser.audit()?;
        browser.fill("#token", "not-the-token")?;
        browser.click("#sign-in")?;
        browser.reads("[role=alert]", "token")?;
        browser.may_be_refused(401);
        browser.audit()?;
        sign_in(browser)?;
        browser.reads("#matrix", "No service yet")?;
        browser.audit()
    }

    fn adds_a_service(&self) -> Result<()> {
        let browser = &self.browser;
        browser.click("#groups a[data-group=test]")?;
        browser.arrives("/groups/test")?;
        browser.audit()?;
        browser.click("#add-service summary")?;
        browser.audit()?;
        browser.click_words("#add-service a", "Add Manually")?;
        browser.arrives("/groups/test/services/~new")?;

        let node = "/runtime/upstreams/default/nodes/0";
        browser.fill("#fname", "httpbin")?;
        browser.choose("[name='/type']", "http")?;
        browser.fill("[name='/description']", "Tells what it was sent")?;
        browser.fill("#fupstream_name", "default")?;
        browser.fill(&format!("[name='{node}/host']"), "127.0.0.1")?;
        browser.fill(&format!("[name='{node}/port']"), "none")?;
        ensure!(browser.value(&format!("[name='{node}/weight']"))? == "100", "the weight");
        browser.choose("[name='/runtime/upstreams/default/scheme']", "http")?;
        browser.choose("[name='/runtime/upstreams/default/pass_host']", "node")?;
        browser.fill("[name='/runtime/hosts']", &host_in("test"))?;
        browser.fill("#froute_name", "get-headers")?;
        browser.fill("[name='/routes/first-route/paths']", "/headers")?;
        browser.click("input[value=GET]")?;

        // What is wrong stands beside its field.
        browser.replaces("#editor", |it| it.click(".actions button[value=preview]"))?;
        browser.sees(".row .error")?;
        browser.may_be_refused(422);
        browser.audit()?;
        browser.fill(&format!("[name='{node}/port']"), &self.stage.origin.port.to_string())?;

        // The other view, and back, with nothing lost.
        browser.replaces("#editor", |it| it.click(".views button[value=json]"))?;
        let document = browser.value("#document")?;
        ensure!(document.contains("get-headers"), "{document}");
        browser.audit()?;
        browser.replaces("#editor", |it| it.click(".views button[value=form]"))?;
        ensure!(browser.value("#froute_name")? == "get-headers", "the route keeps its name");

        browser.replaces("#editor", |it| it.click(".actions button[value=preview]"))?;
        browser.reads("#preview", "get-headers")?;
        browser.audit()?;
        browser.click(".actions button[value=save]")?;
        browser.arrives(&page_of("test"))?;
        browser.reads("#state", "No Version")?;
        browser.sees("#state [data-reason=live]")?;
        browser.audit()?;
        self.stage.serves("test", "/headers", 200)?;
        let stored = self.stage.read("/v1/groups/test/services/httpbin")?;
        ensure!(stored["runtime"]["upstreams"]["default"]["pass_host"] == "node", "{stored:#}");
        Ok(())
    }

    /// Opens the dialog of a sync, for a target.
    fn opens_sync(&self, to: &str) -> Result<()> {
        self.browser.click("#sync")?;
        self.browser.sees("dialog[open] #editor")?;
        if self.browser.value("dialog #to")? != to {
            self.browser.replaces("dialog #editor", |it| it.choose("dialog #to", to))?;
        }
        Ok(())
    }

    fn syncs_to_uat(&self) -> Result<()> {
        let browser = &self.browser;
        self.opens_sync("uat")?;
        browser.reads("dialog #first-sync", "uat does not have this service yet")?;
        ensure!(browser.value("dialog #version")? == "1.0.0", "the first number is proposed");
        browser.reads("dialog #preview", "What would change in uat")?;
        browser.audit()?;
        browser.click("dialog #apply")?;
        browser.arrives(&page_of("uat"))?;
        browser.reads("#notice", "httpbin 1.0.0 is in uat")?;
        browser.reads("#state", "1.0.0")?;
        browser.reads("#state", "No nodes")?;
        browser.reads("#remedy", "It takes no requests")?;
        browser.audit()?;
        self.stage.serves("uat", "/headers", 404).map(drop)
    }

    fn gives_host_and_node(&self) -> Result<()> {
        let browser = &self.browser;
        browser.click_words("nav.tabs a", "Hosts")?;
        browser.arrives(&format!("{}/hosts", page_of("uat")))?;
        browser.audit()?;
        browser.fill("#host-new", &host_in("uat"))?;
        browser.click("#add-host button.is-main")?;
        browser.reads(".rows", &host_in("uat"))?;

        browser.click_words("nav.tabs a", "Upstreams")?;
        browser.arrives(&format!("{}/upstreams", page_of("uat")))?;
        browser.click("#add-node-default summary")?;
        browser.fill("#host-default", "127.0.0.1")?;
        browser.fill("#port-default", "80x")?;
        browser.click("#add-node-default button.is-main")?;
        browser.sees("#add-node-default .error")?;
        browser.may_be_refused(422);
        browser.audit()?;
        browser.fill("#port-default", &self.stage.origin.port.to_string())?;
        browser.click("#add-node-default button.is-main")?;
        browser.sees("#state [data-reason=live]")?;
        browser.audit()?;
        self.stage.serves("uat", "/headers", 200).map(drop)
    }

    fn syncs_to_production(&self) -> Result<()> {
        let browser = &self.browser;
        self.opens_sync("production")?;
        // It is thought better of, and done again.
        browser.press("\u{e00c}")?;
        browser.loses("dialog")?;
        self.opens_sync("production")?;
        browser.fill("dialog [name='/hosts']", &host_in("production"))?;
        let node = "/upstreams/default/nodes/0";
        browser.fill(&format!("dialog [name='{node}/host']"), "127.0.0.1")?;
        let port = self.stage.origin.port.to_string();
        browser.fill(&format!("dialog [name='{node}/port']"), &port)?;
        browser.fill("dialog #reason", "release day")?;
        browser.replaces("dialog #editor", |it| it.click("dialog button[value=preview]"))?;
        browser.reads("dialog #preview", &host_in("production"))?;
        browser.audit()?;
        browser.click("dialog #apply")?;
        browser.arrives(&page_of("production"))?;
        browser.sees("#state [data-reason=live]")?;
        self.stage.serves("production", "/headers", 200).map(drop)
    }

    fn grows(&self) -> Result<()> {
        let browser = &self.browser;
        browser.goto(&format!("{}/routes", page_of("test")))?;
        browser.audit()?;
        browser.click_words(".bar a", "Add Route")?;
        browser.fill("#fname", "get")?;
        browser.fill("[name='/paths']", "/get")?;
        browser.click("input[value=GET]")?;
        browser.click(".actions button[value=save]")?;
        browser.arrives(&format!("{}/routes", page_of("test")))?;
        browser.reads("#state", "1.0.0 + changes")?;
        self.stage.serves("test", "/get", 200)?;

        for (from, to, number) in [("test", "uat", "1.1.0"), ("uat", "production", "1.1.0")] {
            browser.goto(&page_of(from))?;
            self.opens_sync(to)?;
            ensure!(browser.value("dialog #version")? == number, "the next number");
            browser.reads("dialog #preview", "Route get of httpbin")?;
            browser.audit()?;
            browser.click("dialog #apply")?;
            browser.arrives(&page_of(to))?;
            browser.reads("#state", number)?;
            self.stage.serves(to, "/get", 200)?;
        }
        Ok(())
    }

    fn rolls_back(&self) -> Result<()> {
        let browser = &self.browser;
        browser.click("#rollback")?;
        browser.sees("dialog[open] #target")?;
        browser.replaces("dialog #editor", |it| it.choose("dialog #target", "1.0.0"))?;
        browser.reads("dialog #preview", "Route get of httpbin")?;
        browser.fill("dialog #reason", "orders fail since 1.1.0")?;
        browser.audit()?;
        browser.click("dialog #apply")?;
        browser.arrives(&page_of("production"))?;
        browser.reads("#notice", "back at 1.0.0")?;
        browser.reads("#state", "1.1.0")?;
        browser.audit()?;
        self.stage.serves("production", "/get", 404)?;
        self.stage.serves("production", "/headers", 200).map(drop)
    }

    /// What is typed is there again after signing in anew.
    fn is_signed_out_while_typing(&self) -> Result<()> {
        let browser = &self.browser;
        browser.goto(&format!("{}/routes/get", page_of("test")))?;
        browser.fill("[name='/priority']", "11")?;
        browser.forgets_cookies()?;
        browser.may_be_refused(401);
        browser.click(".actions button[value=preview]")?;
        browser.reads("[role=alert]", "What you typed is kept")?;
        browser.audit()?;
        browser.fill("#token", TOKEN)?;
        browser.click("#sign-in")?;
        browser.sees("#resend")?;
        browser.audit()?;
        browser.click("#resend")?;
        browser.reads("#preview", "priority")?;
        ensure!(browser.value("[name='/priority']")? == "11", "what was typed stays");
        browser.audit()
    }

    /// Takes something away: it is shown first, thought better of, and done.
    fn removes_a_host(&self) -> Result<()> {
        let browser = &self.browser;
        browser.goto(&format!("{}/hosts", page_of("test")))?;
        browser.click("#add-host summary")?;
        browser.fill("#host-new", "second.acme.com")?;
        browser.click("#add-host button.is-main")?;
        browser.reads(".rows", "second.acme.com")?;
        let remove = "a[aria-label='Remove host second.acme.com']";
        browser.click(remove)?;
        browser.reads("dialog[open] #preview", "second.acme.com")?;
        browser.audit()?;
        browser.press("\u{e00c}")?;
        browser.loses("dialog")?;
        browser.click(remove)?;
        browser.fill("dialog[open] #reason", "moved")?;
        browser.click("dialog #remove")?;
        browser.reads("#notice", "Saved in test")?;
        browser.loses(remove)
    }

    /// Conditions in rows: a free one follows the last, and what each says is kept.
    fn sets_conditions(&self) -> Result<()> {
        let browser = &self.browser;
        let route = format!("{}/routes/get-headers", page_of("test"));
        browser.goto(&route)?;
        browser.click_words("summary", "Conditions")?;
        for (row, name, is) in [(0, "x-canary", "absent"), (1, "x-debug", "absent")] {
            browser.fill(&format!("[name='/match/headers/{row}/name']"), name)?;
            browser.choose(&format!("[name='/match/headers/{row}/is']"), is)?;
        }
        browser.sees("[name='/match/headers/2/name']")?;
        browser.replaces("#editor", |it| it.click(".actions button[value=preview]"))?;
        browser.reads("#preview", "x-debug")?;
        browser.audit()?;
        browser.click(".actions button[value=save]")?;
        browser.arrives(&format!("{}/routes", page_of("test")))?;
        let stored = self.stage.read("/v1/groups/test/services/httpbin/routes/get-headers")?;
        ensure!(stored["match"]["headers"][1]["present"] == false, "{stored:#}");
        self.stage.serves("test", "/headers", 200).map(drop)
    }

    /// Changes a route of a group through the API, as somebody else.
    fn somebody_patches(&self, group: &str, route: &str, patch: &Value) -> Result<()> {
        let path = format!("/v1/groups/{group}/services/httpbin/routes/{route}");
        let headers = [("content-type", "application/merge-patch+json")];
        self.stage.refgate.api.send("PATCH", &path, &headers, &patch.to_string())?.expect(200)?;
        Ok(())
    }

    fn settles_a_conflict(&self) -> Result<()> {
        let browser = &self.browser;
        self.somebody_patches("test", "get", &json!({"description": "of test", "priority": 5}))?;
        browser.goto(&format!("{}/routes/get", page_of("uat")))?;
        browser.fill("[name='/priority']", "7")?;
        browser.click_words("summary", "Description and plugins")?;
        browser.fill("[name='/description']", "of uat")?;
        browser.click(".actions button[value=save]")?;
        browser.arrives(&format!("{}/routes", page_of("uat")))?;

        browser.goto(&page_of("test"))?;
        self.opens_sync("uat")?;
        browser.sees("dialog #conflicts")?;
        browser.may_be_refused(409);
        browser.audit()?;
        for (pointer, here, choice) in
            [("/description", "of uat", "ours"), ("/priority", "7", "theirs")]
        {
            let conflict = format!("dialog [data-conflict$='#{pointer}']");
            browser.reads(&conflict, here)?;
            browser.click(&format!("{conflict} input[value={choice}]"))?;
        }
        browser.replaces("dialog #editor", |it| it.click("dialog button[value=preview]"))?;
        browser.reads("dialog #preview", "priority")?;
        browser.audit()?;
        browser.click("dialog #apply")?;
        browser.arrives(&page_of("uat"))?;
        let route = self.stage.read("/v1/groups/uat/services/httpbin/routes/get")?;
        ensure!(route["description"] == "of uat" && route["priority"] == 5, "{route:#}");
        Ok(())
    }

    fn keeps_what_was_typed(&self) -> Result<()> {
        let browser = &self.browser;
        let routes = format!("{}/routes", page_of("test"));
        browser.goto(&format!("{routes}/get-headers"))?;
        browser.fill("[name='/priority']", "3")?;
        self.somebody_patches("test", "get-headers", &json!({"paths": ["/headers", "/more"]}))?;
        // The page says so by itself.
        browser.sees("#fresh")?;
        browser.audit()?;
        browser.may_be_refused(409);
        browser.click("#fresh-show")?;
        browser.reads("#stale", "/more")?;
        ensure!(browser.value("[name='/priority']")? == "3", "what was typed stays");
        ensure!(browser.value("[name='/paths']")?.contains("/more"), "the rest is what it is now");
        browser.audit()?;
        browser.click(".actions button[value=save]")?;
        browser.arrives(&routes)?;
        let route = self.stage.read("/v1/groups/test/services/httpbin/routes/get-headers")?;
        ensure!(route["priority"] == 3 && route["paths"][1] == "/more", "{route:#}");
        Ok(())
    }

    fn sees_what_others_do(&self) -> Result<()> {
        let browser = &self.browser;
        browser.goto("/")?;
        browser.reads("tr[data-service=httpbin] td[data-group=production] .waits", "1.1.0")?;
        browser.script("window.loadedOnce = true", &[])?;
        let service = json!({"routes": {"r": {"paths": ["/orders"]}}, "runtime": {}});
        self.stage.api("PUT", "/v1/groups/test/services/orders", &service)?.expect(201)?;
        browser.sees("tr[data-service=orders]")?;
        ensure!(browser.script("return window.loadedOnce", &[])? == true, "it was not loaded anew");
        browser.audit()?;

        browser.replaces("#matrix", |it| it.fill("#q", "order"))?;
        browser.loses("tr[data-service=httpbin]")?;
        browser.sees("tr[data-service=orders]")
    }

    fn leaves(&self) -> Result<()> {
        let browser = &self.browser;
        browser.goto("/")?;
        browser.click("#me summary")?;
        browser.audit()?;
        browser.click(".themes button[value=dark]")?;
        browser.sees("html[data-theme=dark]")?;
        browser.arrives("/")?;
        browser.click("#me summary")?;
        browser.click("#sign-out")?;
        browser.arrives("/login")?;
        browser.goto("/history")?;
        ensure!(browser.path()?.starts_with("/login"), "the session is over");
        ensure!(!browser.text("body")?.contains(TOKEN), "no page shows a token");
        Ok(())
    }
}
