//! The story, through the forms alone, as somebody without scripts walks it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

use super::*;
use crate::fleet::remote::CheckIn;

const TEST: &str = "/groups/test/services/httpbin";
const UAT: &str = "/groups/uat/services/httpbin";
const PRODUCTION: &str = "/groups/production/services/httpbin";

#[tokio::test]
async fn from_a_new_service_to_a_rollback() -> Result<()> {
    let browser = Browser::signed_in().await?;
    let (at, page) = browser
        .done(
            "/groups/test/services/~new",
            &[
                ("action", "save"),
                ("name", "httpbin"),
                ("upstream_name", "origin"),
                ("/runtime/upstreams/default/nodes/0/host", "httpbin.org"),
                ("/runtime/upstreams/default/nodes/0/port", "80"),
                ("/runtime/upstreams/default/pass_host", "node"),
                ("/runtime/hosts", "test.acme.com"),
                ("first_route", "true"),
                ("route_name", "get-headers"),
                ("/routes/first-route/paths", "/headers"),
                ("/routes/first-route/methods", "GET"),
            ],
        )
        .await?;
    assert_eq!(at, TEST);
    let told = words(&page);
    assert!(told.contains("No Version Live") && told.contains("Saved in test"), "{told}");
    let service = browser.repository.service(&"test".parse()?, &"httpbin".parse()?)?;
    assert_eq!(service.runtime["upstreams"]["origin"]["pass_host"], "node");
    assert_eq!(service.runtime["upstreams"]["origin"]["nodes"][0]["weight"], 100);
    assert_eq!(service.routes["get-headers"]["upstream"], "origin");
    assert_eq!(service.routes["get-headers"]["methods"], json!(["GET"]));

    // To uat, without nodes yet.
    let page = browser.page(&format!("{TEST}/sync?to=uat")).await?;
    let told = words(&page);
    assert!(told.contains("uat does not have this service yet"), "{told}");
    assert!(told.contains("What would change in uat"), "{told}");
    assert!(page.contains(r#"name="version" value="1.0.0""#), "a number is proposed");
    let path = format!("{TEST}/sync");
    let reply = browser.submit_from(&page, &path, &[("action", "apply")]).await?;
    let (at, page) = browser.follow(reply).await?;
    assert_eq!(at, UAT);
    let told = words(&page);
    assert!(told.contains("httpbin 1.0.0 is in uat") && told.contains("No nodes"), "{told}");
    assert!(told.contains("It takes no requests."), "{told}");

    let (_, page) = browser.done(&format!("{UAT}/hosts"), &[("host", "uat.acme.com")]).await?;
    assert!(page.contains("<code>uat.acme.com</code>"));
    let upstreams = format!("{UAT}/upstreams");
    let nodes = format!("{upstreams}/origin/nodes");
    let page = browser.page(&upstreams).await?;
    let node = [("host", "httpbin.org"), ("port", "80"), ("weight", "100")];
    let reply = browser.submit_from(&page, &nodes, &node).await?;
    let (at, page) = browser.follow(reply).await?;
    assert_eq!(at, upstreams);
    assert!(words(&page).contains("1.0.0 Live"), "{}", words(&page));

    // On to production, with hosts and nodes in the same form.
    let path = format!("{UAT}/sync");
    let page = browser.page(&format!("{path}?to=production")).await?;
    let first = [
        ("action", "apply"),
        ("/hosts", "acme.com"),
        ("/upstreams/origin/nodes/0/host", "httpbin.org"),
        ("/upstreams/origin/nodes/0/port", "80"),
        ("reason", "release day"),
    ];
    let reply = browser.submit_from(&page, &path, &first).await?;
    let (at, page) = browser.follow(reply).await?;
    assert_eq!(at, PRODUCTION);
    assert!(words(&page).contains("1.0.0 Live"), "{}", words(&page));
    assert!(words(&page).contains("release day"), "{}", words(&page));

    // Test moves on; production takes it only by way of uat.
    let fields = [("action", "save"), ("name", "get"), ("/paths", "/get"), ("/methods", "GET")];
    let (_, page) = browser.done(&format!("{TEST}/routes/~new"), &fields).await?;
    assert!(words(&page).contains("1.0.0 + changes"), "{}", words(&page));
    let refused = browser.get(&format!("{TEST}/sync?to=production")).await?;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(words(&refused.text).contains("production"), "{}", words(&refused.text));
    for (from, to) in [(TEST, "uat"), (UAT, "production")] {
        let page = browser.page(&format!("{from}/sync?to={to}")).await?;
        assert!(words(&page).contains("Route get of httpbin new"), "{}", words(&page));
        let path = format!("{from}/sync");
        let reply = browser.submit_from(&page, &path, &[("action", "apply")]).await?;
        let (_, page) = browser.follow(reply).await?;
        assert!(words(&page).contains("1.1.0 Live"), "{}", words(&page));
    }
    let overview = browser.page("/").await?;
    assert!(!overview.contains("waits"), "everybody has the newest");

    // And back.
    let path = format!("{PRODUCTION}/rollback?version=1.0.0");
    let page = browser.page(&path).await?;
    let told = words(&page);
    assert!(told.contains("Route get of httpbin removed"), "{told}");
    // The change of its hosts in between is none of the version's.
    let (_, later) = told.split_once("Leaves the head, stays in the history").context("later")?;
    assert!(later.contains("sync httpbin 1.1.0 to production"), "{later}");
    assert!(!later.contains("sync httpbin 1.0.0") && !later.contains("runtime"), "{later}");
    let reply =
        browser.submit_from(&page, &path, &[("action", "apply"), ("reason", "it fails")]).await?;
    let (at, page) = browser.follow(reply).await?;
    assert_eq!(at, PRODUCTION);
    let told = words(&page);
    assert!(told.contains("httpbin in production is back at 1.0.0"), "{told}");
    assert!(told.contains("1.0.0 Live 1.1.0 waits"), "{told}");
    let service = browser.repository.service(&"production".parse()?, &"httpbin".parse()?)?;
    assert_eq!(service.runtime["hosts"], json!(["acme.com"]), "what is the group's stays");

    let overview = words(&browser.page("/").await?);
    assert!(overview.contains("1.0.0 Live 1.1.0 waits"), "{overview}");
    let history = words(&browser.page("/history?event=version.rolled-back").await?);
    assert!(history.contains("it fails"), "{history}");
    let compare = "/compare?service=httpbin&from=group:production&to=group:uat";
    let compare = words(&browser.page(compare).await?);
    assert!(compare.contains("Route get of httpbin new"), "{compare}");
    assert!(compare.contains("changed hosts added uat.acme.com removed acme.com"), "{compare}");
    Ok(())
}

#[tokio::test]
async fn conflicts_are_settled_one_by_one() -> Result<()> {
    let browser = Browser::signed_in().await?.with_httpbin()?;
    browser.done(&format!("{TEST}/sync?to=uat"), &[("action", "apply")]).await?;
    let route = format!("{TEST}/routes/get-headers");
    let theirs = [("action", "save"), ("/priority", "5"), ("/description", "of test")];
    browser.done(&route, &theirs).await?;
    let ours = [("action", "save"), ("/priority", "7"), ("/description", "of uat")];
    browser.done(&format!("{UAT}/routes/get-headers"), &ours).await?;

    let path = format!("{TEST}/sync?to=uat");
    let reply = browser.get(&path).await?;
    assert_eq!(reply.status, StatusCode::CONFLICT);
    let told = words(&reply.text);
    assert!(
        told.contains("description") && told.contains("of uat") && told.contains("of test"),
        "{told}"
    );
    assert!(!reply.text.contains(r#"value="apply""#), "nothing to do before they are settled");
    let fields = form(&reply.text, &format!("{TEST}/sync"))?;
    let index = |pointer: &str| {
        let found =
            fields.iter().find(|(name, value)| name.ends_with("/pointer") && value == pointer);
        found.and_then(|(name, _)| name.split('/').nth(1)).map(str::to_owned).context("a conflict")
    };
    let choices = [
        (format!("choice/{}", index("/description")?), "ours"),
        (format!("choice/{}", index("/priority")?), "theirs"),
    ];
    let one = [("action", "preview"), (&*choices[0].0, choices[0].1)];
    let half = browser.submit_from(&reply.text, &format!("{TEST}/sync"), &one).await?;
    assert_eq!(half.status, StatusCode::CONFLICT, "one is left");
    assert!(words(&half.text).contains("1 of 2 is still open"), "{}", words(&half.text));
    let both =
        [("action", "preview"), (&*choices[0].0, choices[0].1), (&*choices[1].0, choices[1].1)];
    let preview = browser.submit_from(&half.text, &format!("{TEST}/sync"), &both).await?;
    assert_eq!(preview.status, StatusCode::OK, "{}", words(&preview.text));
    assert!(words(&preview.text).contains("changed priority 7 → 5"), "{}", words(&preview.text));
    let reply =
        browser.submit_from(&preview.text, &format!("{TEST}/sync"), &[("action", "apply")]).await?;
    let (_, page) = browser.follow(reply).await?;
    assert!(words(&page).contains("beside what uat keeps of its own"), "{}", words(&page));
    let route =
        browser.repository.route(&"uat".parse()?, &"httpbin".parse()?, &"get-headers".parse()?)?;
    assert_eq!(
        (&route.value["description"], &route.value["priority"]),
        (&json!("of uat"), &json!(5))
    );
    Ok(())
}

#[tokio::test]
async fn what_was_shown_is_what_is_done() -> Result<()> {
    let browser = Browser::signed_in().await?.with_httpbin()?;
    let path = format!("{TEST}/sync");
    let page = browser.page(&format!("{path}?to=uat")).await?;
    browser.apply("uat", Operation::PatchGroup { patch: json!({"description": "moved"}) })?;
    let reply =
        browser.submit_from(&page, &path, &[("action", "apply"), ("/hosts", "kept.test")]).await?;
    assert_eq!(reply.status, StatusCode::CONFLICT);
    assert!(words(&reply.text).contains("uat changed since the preview"), "{}", words(&reply.text));
    assert!(reply.text.contains("kept.test"), "what was typed stays");

    let patch = json!({"description": "edited"});
    browser.apply("test", Operation::PatchService { service: "httpbin".parse()?, patch })?;
    let reply = browser.submit_from(&reply.text, &path, &[("action", "apply")]).await?;
    assert_eq!(reply.status, StatusCode::CONFLICT);
    let told = words(&reply.text);
    assert!(told.contains("The service changed here since the preview"), "{told}");
    let reply = browser.submit_from(&reply.text, &path, &[("action", "apply")]).await?;
    browser.follow(reply).await?;
    Ok(())
}

#[tokio::test]
async fn a_group_goes_back_to_a_revision() -> Result<()> {
    let browser = Browser::signed_in().await?.with_httpbin()?;
    browser.done(&format!("{TEST}/hosts"), &[("host", "second.acme.com")]).await?;
    let head = browser.repository.head(&"test".parse()?)?;
    let commit = words(&browser.page(&format!("/groups/test/commits/{head}")).await?);
    assert!(commit.contains("changed hosts added second.acme.com"), "{commit}");
    let path = "/groups/test/rollback?revision=2";
    let page = browser.page(path).await?;
    let told = words(&page);
    assert!(told.contains("changed hosts removed second.acme.com"), "{told}");
    assert!(told.contains("stays in the history") && told.contains("change runtime"), "{told}");
    let reply = browser.submit_from(&page, path, &[("action", "apply")]).await?;
    let (at, _) = browser.follow(reply).await?;
    assert_eq!(at, "/groups/test");
    let service = browser.repository.service(&"test".parse()?, &"httpbin".parse()?)?;
    assert_eq!(service.runtime["hosts"], json!(["test.acme.com"]));
    Ok(())
}

#[tokio::test]
async fn whole_groups_are_compared() -> Result<()> {
    let browser = Browser::signed_in().await?.with_httpbin()?;
    let page = browser.page("/compare").await?;
    assert!(page.contains(r#"<option value="group:uat""#), "groups are offered at once");
    assert!(page.contains(r#"<option value="httpbin">"#), "and so are services");
    let told = words(&browser.page("/compare?from=group:uat&to=group:test").await?);
    assert!(told.contains("Route get-headers of httpbin"), "{told}");
    assert!(told.contains("Hosts and upstreams of httpbin"), "{told}");
    let told = words(&browser.page("/compare?from=group:uat&to=group:test&only=services").await?);
    assert!(told.contains("Route get-headers of httpbin"), "{told}");
    assert!(!told.contains("Hosts and upstreams of httpbin"), "{told}");
    let told = words(&browser.page("/compare?from=1.0.0&to=group:test").await?);
    assert!(told.contains("say of which"), "{told}");
    let names = browser.page("/compare/services?service=ttpb").await?;
    assert_eq!(names, r#"<option value="httpbin"></option>"#);
    assert_eq!(browser.page("/compare/services?service=other").await?, "");
    Ok(())
}

#[tokio::test]
async fn gateways_say_what_they_serve_until_they_are_forgotten() -> Result<()> {
    let seconds = Arc::new(AtomicI64::new(1_700_000_000));
    let of = Arc::clone(&seconds);
    let clock = move || Timestamp::from_second(of.load(Ordering::Relaxed)).unwrap_or_default();
    let mut browser = Browser::signed_in().await?.with_httpbin()?;
    browser.api.fleet = Fleet::with_clock([], Arc::new(clock));
    let head = browser.repository.head(&"test".parse()?)?;
    for (instance, commit) in [("one", Some(head)), ("two", None)] {
        browser.api.fleet.remote().check_in(CheckIn {
            instance: instance.to_owned(),
            group: "test".parse()?,
            version: "0.1.0".to_owned(),
            commit,
            state: refgate_proxy::State::Healthy,
            message: None,
            diagnostics: Vec::new(),
            started_at: None,
        })?;
    }
    let short: String = head.to_string().chars().take(8).collect();
    let told = words(&browser.page("/").await?);
    assert!(told.contains(&format!("1 of 2 serves {short} , the head")), "{told}");
    let page = browser.page("/gateways").await?;
    assert!(!page.contains("/remove"), "those that are there stay");

    seconds.fetch_add(60, Ordering::Relaxed);
    let page = browser.page("/groups/test/gateways").await?;
    let reply = browser.submit_from(&page, "/gateways/test/one/remove", &[]).await?;
    let (at, page) = browser.follow(reply).await?;
    assert_eq!(at, "/groups/test/gateways");
    let told = words(&page);
    assert!(told.contains("one of test is forgotten") && told.contains("two lost"), "{told}");
    assert!(!page.contains(r#"data-instance="one""#));
    Ok(())
}

#[tokio::test]
async fn what_waits_is_what_may_come() -> Result<()> {
    let browser = Browser::signed_in().await?.with_httpbin()?;
    browser.done(&format!("{TEST}/sync?to=uat"), &[("action", "apply")]).await?;
    browser.done(&format!("{UAT}/sync?to=production"), &[("action", "apply")]).await?;
    let route = format!("{TEST}/routes/get-headers");
    browser.done(&route, &[("action", "save"), ("/priority", "5")]).await?;
    browser.done(&format!("{TEST}/versions"), &[("version", "2.0.0")]).await?;
    // It runs in test alone: uat takes from anywhere, production from uat.
    let page = browser.page("/").await?;
    let link = r#"href="/groups/test/services/httpbin/sync?to=uat""#;
    assert!(page.contains(link), "{}", words(&page));
    assert!(!page.contains("to=production\" title"), "{}", words(&page));
    assert!(!words(&browser.page(PRODUCTION).await?).contains("waits"));
    browser.done(&format!("{TEST}/sync?to=uat"), &[("action", "apply")]).await?;
    let page = browser.page(PRODUCTION).await?;
    assert!(page.contains(r#"href="/groups/uat/services/httpbin/sync?to=production""#));
    assert!(words(&page).contains("2.0.0 waits"), "{}", words(&page));

    // A version that never ran here comes from where it is listed.
    let page = browser.page(&format!("{PRODUCTION}/versions")).await?;
    let here = "/groups/production/services/httpbin/sync?source=2.0.0&amp;to=production";
    assert!(page.contains(here), "{}", words(&page));
    let page = browser.page(&here.replace("&amp;", "&")).await?;
    assert!(page.contains(r#"<option value="production" selected>"#), "{}", words(&page));
    assert!(words(&page).contains("What would change in production"), "{}", words(&page));
    Ok(())
}
