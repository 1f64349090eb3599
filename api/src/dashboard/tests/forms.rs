//! Forms: two views of one document, faults beside their fields, and what somebody else changed.

use refgate_core::object::ObjectKind;

use super::*;

const TEST: &str = "/groups/test/services/httpbin";

#[tokio::test]
async fn faults_stand_beside_their_fields() -> Result<()> {
    let browser = Browser::signed_in().await?.with_httpbin()?;
    let before = browser.repository.head(&"test".parse()?)?;
    // The form, what is typed, the field that it is wrong in, and a word of what is said.
    let table = [
        ("/groups/test/services/~new", vec![("name", "Bad Name")], "name", "valid service name"),
        (
            "/groups/test/services/~new",
            vec![("name", "httpbin"), ("route_name", "r"), ("/routes/first-route/paths", "/r")],
            "name",
            "exists",
        ),
        (
            "/groups/test/services/~new",
            vec![
                ("name", "a"),
                ("route_name", "r"),
                ("/routes/first-route/paths", "/r"),
                ("/runtime/hosts", "ok.test\nhttp://x"),
            ],
            "-runtime-hosts",
            "host",
        ),
        (
            "/groups/test/services/~new",
            vec![("name", "a"), ("route_name", "r"), ("/routes/first-route/paths", "no-slash")],
            "-routes-r-paths",
            "path",
        ),
        (
            "/groups/test/services/~new",
            vec![("name", "a"), ("route_name", "")],
            "route_name",
            "needs a name",
        ),
        (
            "/groups/test/services/httpbin/routes/get-headers",
            vec![("/priority", "high")],
            "-priority",
            "number",
        ),
        (
            "/groups/test/services/httpbin/routes/get-headers",
            vec![("/plugins", "{\"headers\": [")],
            "-plugins",
            "JSON",
        ),
        (
            "/groups/test/services/httpbin/routes/get-headers",
            vec![("/labels", "team=a\nregion")],
            "-labels",
            "has no =",
        ),
        ("/groups/test/consumers/~new", vec![("name", "not a name")], "name", "consumer name"),
        (
            "/groups/test/certificates/~new",
            vec![("name", "web"), ("/snis", "a.test"), ("/private_key", "secret")],
            "-private_key",
            "reference",
        ),
        ("/groups/~new", vec![("name", "test")], "name", "exists"),
        (
            "/groups/test/settings",
            vec![("/http/trusted_proxies", "here")],
            "-http-trusted_proxies",
            "",
        ),
    ];
    for (path, mut fields, field, word) in table {
        fields.push(("action", "save"));
        let reply = browser.submit(path, &fields).await?;
        assert!(reply.status.is_client_error(), "{path} {fields:?}: {}", reply.status);
        let marker = format!(r#"id="f{field}-error""#);
        let at = reply.text.find(&marker);
        let at = at.with_context(|| format!("{path}: no {marker} in {}", words(&reply.text)))?;
        let told = reply.text[at..].split("</div>").next().unwrap_or_default();
        assert!(unescaped(told).contains(word), "{path} {field}: {told}");
        for (name, value) in fields.iter().filter(|(name, _)| *name != "action") {
            let kept = value.replace('"', "&#34;").lines().all(|line| reply.text.contains(line));
            assert!(kept, "{path}: {name} lost {value:?}");
        }
    }
    assert_eq!(browser.repository.head(&"test".parse()?)?, before);
    let bad = [("host", "http://x"), ("port", "99999"), ("weight", "-1")];
    let page = browser.page(&format!("{TEST}/upstreams")).await?;
    let reply =
        browser.submit_from(&page, &format!("{TEST}/upstreams/default/nodes"), &bad).await?;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(reply.text.matches(r#"class="error""#).count() >= 3, "{}", words(&reply.text));
    assert!(reply.text.contains(r#"value="99999""#), "what was typed stays");
    Ok(())
}

#[tokio::test]
async fn form_and_json_are_one_document() -> Result<()> {
    let browser = Browser::signed_in().await?.with_httpbin()?;
    let path = format!("{TEST}/routes/get-headers");
    let json = browser.submit(&path, &[("action", "json"), ("/description", "typed")]).await?;
    assert_eq!(json.status, StatusCode::OK);
    let mut document = document(&json.text)?;
    assert_eq!(document["description"], "typed", "nothing typed is lost");
    document.insert("priority".to_owned(), json!(12));
    let text = json!(document).to_string();
    let form =
        browser.submit_from(&json.text, &path, &[("action", "form"), ("document", &text)]).await?;
    assert!(form.text.contains(r#"name="/priority" value="12""#), "{}", words(&form.text));
    let reply = browser.submit_from(&form.text, &path, &[("action", "preview")]).await?;
    assert!(words(&reply.text).contains("changed priority 0 → 12"), "{}", words(&reply.text));
    let reply = browser.submit_from(&reply.text, &path, &[("action", "save")]).await?;
    browser.follow(reply).await?;
    let page = browser.page(&format!("{path}?view=json")).await?;
    for (text, word) in [("{", "The text is"), (r#"{"pats": []}"#, "/pats"), ("[]", "object")] {
        let reply =
            browser.submit_from(&page, &path, &[("action", "save"), ("document", text)]).await?;
        assert!(reply.status.is_client_error(), "{text}");
        assert!(words(&reply.text).contains(word), "{text}: {}", words(&reply.text));
    }
    // What only the JSON view can say stays when the form comes back.
    let path = "/groups/test/services/~new";
    let fields = [
        ("action", "json"),
        ("name", "third"),
        ("route_name", "r"),
        ("/routes/first-route/paths", "/third"),
    ];
    let json = browser.submit(path, &fields).await?;
    let mut document = self::document(&json.text)?;
    document["routes"]["more"] = json!({"paths": ["/more"]});
    let text = json!(document).to_string();
    let fields = [("action", "form"), ("document", &*text)];
    let form = browser.submit_from(&json.text, path, &fields).await?;
    let reply = browser.submit_from(&form.text, path, &[("action", "save")]).await?;
    browser.follow(reply).await?;
    let service = browser.repository.service(&"test".parse()?, &"third".parse()?)?;
    assert_eq!(service.routes["r"]["paths"], json!(["/third"]));
    assert_eq!(service.routes["more"]["paths"], json!(["/more"]));
    // A new service, written as JSON.
    let path = "/groups/test/services/~new";
    let page = browser.page(&format!("{path}?view=json")).await?;
    let text = r#"{"routes": {"r": {"paths": ["/r"]}}}"#;
    let fields = [("action", "save"), ("name", "other"), ("document", text)];
    let reply = browser.submit_from(&page, path, &fields).await?;
    let (at, _) = browser.follow(reply).await?;
    assert_eq!(at, "/groups/test/services/other");
    Ok(())
}

#[tokio::test]
async fn what_somebody_else_changed_is_shown_and_nothing_typed_is_lost() -> Result<()> {
    let browser = Browser::signed_in().await?.with_httpbin()?;
    let path = format!("{TEST}/routes/get-headers");
    let page = browser.page(&path).await?;
    let patch = json!({"priority": 9, "methods": ["GET", "HEAD"]});
    let (service, route) = ("httpbin".parse()?, "get-headers".parse()?);
    browser.apply("test", Operation::PatchRoute { service, route, patch })?;
    let typed = [("action", "save"), ("/description", "mine"), ("/priority", "4")];
    let stale = browser.submit_from(&page, &path, &typed).await?;
    assert_eq!(stale.status, StatusCode::CONFLICT);
    let told = words(&stale.text);
    assert!(told.contains("changed priority 0 → 9"), "{told}");
    assert!(
        stale.text.contains(r#"value="mine""#) && stale.text.contains(r#"value="4""#),
        "{told}"
    );
    let reply = browser.submit_from(&stale.text, &path, &[("action", "save")]).await?;
    // Several boxes of one name: the form sends each that is ticked.
    browser.follow(reply).await?;
    let route =
        browser.repository.route(&"test".parse()?, &"httpbin".parse()?, &"get-headers".parse()?)?;
    assert_eq!(route.value["description"], "mine");
    assert_eq!(route.value["priority"], 4);
    assert_eq!(route.value["methods"], json!(["GET", "HEAD"]), "what was left alone is the newer");

    // A change of something else in the group is no reason to ask.
    let page = browser.page(&path).await?;
    browser.apply("test", Operation::PatchGroup { patch: json!({"description": "x"}) })?;
    let reply =
        browser.submit_from(&page, &path, &[("action", "save"), ("/priority", "5")]).await?;
    browser.follow(reply).await?;
    let settings = "/groups/test/settings";
    let page = browser.page(settings).await?;
    browser.done(&format!("{TEST}/hosts"), &[("host", "b.acme.com")]).await?;
    let fields = [("action", "save"), ("/labels", "env=test\nteam=a")];
    let reply = browser.submit_from(&page, settings, &fields).await?;
    browser.follow(reply).await?;
    let group = browser.repository.group(&"test".parse()?)?;
    assert_eq!(group.document["labels"], json!({"env": "test", "team": "a"}));
    Ok(())
}

#[tokio::test]
async fn a_description_becomes_a_service() -> Result<()> {
    let browser = Browser::signed_in().await?;
    let path = "/groups/test/import";
    let document = "openapi: 3.1.0\ninfo: {title: Pet Store, version: '1'}\n\
                    servers: [{url: 'https://pets.test/v1'}]\n\
                    paths:\n  /pets/{id}:\n    get: {operationId: showPet}\n";
    let fields = [("action", "preview"), ("document", document)];
    let preview = browser.submit(path, &fields).await?;
    assert_eq!(preview.status, StatusCode::OK, "{}", words(&preview.text));
    let told = words(&preview.text);
    assert!(told.contains("show-pet GET") && told.contains("What would change in test"), "{told}");
    let reply = browser.submit_from(&preview.text, path, &[("action", "apply")]).await?;
    let (at, page) = browser.follow(reply).await?;
    assert_eq!(at, "/groups/test/services/pet-store");
    assert!(words(&page).contains("No Version Live"), "{}", words(&page));
    for (document, word) in [("", "Paste"), ("{", "JSON"), ("a: [", "YAML"), ("a: 1", "OpenAPI")] {
        let reply = browser.submit(path, &[("action", "preview"), ("document", document)]).await?;
        assert!(reply.status.is_client_error(), "{document}");
        let told = words(&reply.text);
        assert!(
            told.contains("Nothing was imported.") && told.contains(word),
            "{document}: {told}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_group_goes_when_nothing_keeps_it() -> Result<()> {
    let browser = Browser::signed_in().await?.with_httpbin()?;
    assert!(browser.page("/").await?.contains(r#"<a href="/docs">API</a>"#));
    // The others were there before this process, and gateways may be on their way to them.
    let told = words(&browser.page("/groups/production/delete").await?);
    assert!(told.contains("has just started") && !told.contains("Type production"), "{told}");
    let fields = [("action", "save"), ("name", "new")];
    let (at, page) = browser.done("/groups/~new", &fields).await?;
    assert_eq!(at, "/groups/new");
    assert!(words(&page).contains("No service yet"), "{}", words(&page));

    let patch = json!({"promotion": {"from": ["new"]}});
    browser.apply("test", Operation::PatchGroup { patch })?;
    let path = "/groups/new/delete";
    let settings = browser.page("/groups/new/settings").await?;
    assert!(settings.contains(r#"href="/groups/new/delete""#));
    let told = words(&browser.page(path).await?);
    assert!(told.contains("group test takes versions from new"), "{told}");

    browser.apply("test", Operation::PatchGroup { patch: json!({"promotion": {"from": []}}) })?;
    let page = browser.page(path).await?;
    let reply = browser.submit_from(&page, path, &[("confirm", "other")]).await?;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(words(&reply.text).contains("the name typed is not the group's"));
    let patch = json!({"description": "kept"});
    browser.apply("new", Operation::PatchGroup { patch })?;
    let reply = browser.submit_from(&page, path, &[("confirm", "new")]).await?;
    assert_eq!(reply.status, StatusCode::CONFLICT, "it is not what was looked at");
    let page = browser.page(path).await?;
    let reply = browser.submit_from(&page, path, &[("confirm", "new")]).await?;
    let (at, page) = browser.follow(reply).await?;
    assert_eq!(at, "/");
    assert!(words(&page).contains("The group new is deleted."), "{}", words(&page));
    assert_eq!(browser.get("/groups/new").await?.status, StatusCode::NOT_FOUND);
    Ok(())
}

#[tokio::test]
async fn things_come_and_go() -> Result<()> {
    let browser = Browser::signed_in().await?.with_httpbin()?;
    let fields = [("action", "save"), ("name", "staging"), ("/promotion/from", "test")];
    let (at, page) = browser.done("/groups/~new", &fields).await?;
    assert_eq!(at, "/groups/staging");
    assert!(words(&page).contains("Takes what ran in test"), "{}", words(&page));

    let fields = [
        ("action", "save"),
        ("name", "second"),
        ("/nodes/0/host", "h.test"),
        ("/nodes/0/port", "81"),
    ];
    let (_, page) = browser.done(&format!("{TEST}/upstreams/~new"), &fields).await?;
    assert!(page.contains("<code>h.test</code>"));
    let path = format!("{TEST}/upstreams/second");
    browser.done(&format!("{path}/delete"), &[]).await?;
    let remove = format!("{TEST}/upstreams/default/nodes/remove?host=127.0.0.1&port=8081");
    let (_, page) = browser.done(&remove, &[("reason", "it is old")]).await?;
    assert!(words(&page).contains("No nodes"), "{}", words(&page));

    let consumer = [("action", "save"), ("name", "app"), ("/labels", "team=a")];
    let (_, page) = browser.done("/groups/test/consumers/~new", &consumer).await?;
    assert!(page.contains("/groups/test/consumers/app"));
    let (_, page) = browser.done("/groups/test/consumers/app/delete", &[]).await?;
    assert!(words(&page).contains("No consumer yet"), "{}", words(&page));

    let (_, page) = browser.done(&format!("{TEST}/versions"), &[("message", "first")]).await?;
    assert!(words(&page).contains("httpbin is 1.0.0 now."), "{}", words(&page));
    let delete = format!("{TEST}/delete");
    let reply = browser.submit(&delete, &[("confirm", "other")]).await?;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(words(&reply.text).contains("Nothing was removed."), "{}", words(&reply.text));
    let (at, page) = browser.done(&delete, &[("confirm", "httpbin")]).await?;
    assert_eq!(at, "/groups/test");
    assert!(words(&page).contains("No service yet"), "{}", words(&page));
    Ok(())
}

#[tokio::test]
async fn what_was_typed_is_shown_when_its_thing_is_gone() -> Result<()> {
    let browser = Browser::signed_in().await?.with_httpbin()?;
    let route = format!("{TEST}/routes/get-headers");
    let page = browser.page(&route).await?;
    browser.apply("test", Operation::DeleteService { service: "httpbin".parse()? })?;
    let typed = [("action", "save"), ("/paths", "/a\n/b"), ("reason", "for the <b> release")];
    let reply = browser.submit_from(&page, &route, &typed).await?;
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
    let told = words(&reply.text);
    assert!(told.contains("What was typed") && told.contains("/a /b"), "{told}");
    assert!(reply.text.contains("for the &#60;b&#62; release"), "{}", reply.text);
    assert!(!reply.text.contains("<dt><code>csrf"), "only what people type");
    Ok(())
}

#[tokio::test]
async fn production_is_looked_at_before_it_is_saved() -> Result<()> {
    let browser = Browser::signed_in().await?.with_httpbin()?;
    let patch = json!({"labels": {"env": "production"}});
    browser.apply("test", Operation::PatchGroup { patch })?;
    let route = format!("{TEST}/routes/get-headers");
    let page = browser.page(&route).await?;
    assert!(!page.contains(r#"value="save""#), "Enter does not save either");
    let saved = || -> Result<Value> {
        let at = ("test".parse()?, "httpbin".parse()?, "get-headers".parse()?);
        Ok(browser.repository.route(&at.0, &at.1, &at.2)?.value["description"].clone())
    };

    // Whatever is pressed, the first time shows.
    let typed = [("action", "save"), ("/description", "looked at")];
    let shown = browser.submit_from(&page, &route, &typed).await?;
    assert_eq!(shown.status, StatusCode::OK);
    assert!(words(&shown.text).contains("What would change in test"), "{}", words(&shown.text));
    assert_eq!(saved()?, "");
    // What is changed after it was looked at is looked at again.
    let other = [("action", "save"), ("/description", "another")];
    let again = browser.submit_from(&shown.text, &route, &other).await?;
    assert_eq!((again.status, saved()?), (StatusCode::OK, json!("")));
    let reply = browser.submit_from(&again.text, &route, &[("action", "save")]).await?;
    browser.follow(reply).await?;
    assert_eq!(saved()?, "another");

    // Small forms ask.
    let hosts = format!("{TEST}/hosts");
    let asked = browser.submit(&hosts, &[("host", "more.acme.com")]).await?;
    assert_eq!(asked.status, StatusCode::OK);
    let told = words(&asked.text);
    assert!(
        told.contains("Add host more.acme.com") && told.contains("What would change"),
        "{told}"
    );
    let reply = browser.submit_from(&asked.text, &hosts, &[("reason", "a second name")]).await?;
    let (_, page) = browser.follow(reply).await?;
    assert!(page.contains("<code>more.acme.com</code>"), "{}", words(&page));
    let refused = browser.submit(&hosts, &[("host", "http://x")]).await?;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    Ok(())
}

#[tokio::test]
async fn conditions_and_checks_have_fields() -> Result<()> {
    let browser = Browser::signed_in().await?.with_httpbin()?;
    let route = format!("{TEST}/routes/get-headers");
    let fields = [
        ("action", "save"),
        ("/match/headers/0/name", "x-canary"),
        ("/match/headers/0/is", "value"),
        ("/match/headers/0/value", "1"),
        ("/match/cookies/0/name", "beta"),
        ("/match/cookies/0/is", "absent"),
        ("/match/remote_addrs", "10.0.0.0/8"),
    ];
    browser.done(&route, &fields).await?;
    let at = || Ok::<_, anyhow::Error>(("test".parse()?, "httpbin".parse()?));
    let (group, service) = at()?;
    let found = browser.repository.route(&group, &service, &"get-headers".parse()?)?.value;
    let expected = json!({"headers": [{"name": "x-canary", "value": "1"}], "query": [],
        "cookies": [{"name": "beta", "present": false}], "remote_addrs": ["10.0.0.0/8"]});
    assert_eq!(found["match"], expected);
    let bad =
        [("action", "save"), ("/match/headers/0/is", "regex"), ("/match/headers/0/value", "(")];
    let reply = browser.submit(&route, &bad).await?;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    let row = reply.text.split(r#"name="/match/headers/0/value""#).nth(1).context("a row")?;
    assert!(row.split('>').next().unwrap_or_default().contains("aria-invalid"), "{row}");

    let upstream = format!("{TEST}/upstreams/default");
    let checks = || -> Result<Value> {
        let (group, service) = at()?;
        let found = browser.repository.runtime(&group, &service)?.value;
        Ok(found["upstreams"]["default"]["checks"].clone())
    };
    let fields = [
        ("action", "save"),
        ("active_checks", "true"),
        ("/checks/active/http_path", "/health"),
        ("/checks/active/healthy/interval", "2.5"),
        ("/checks/active/unhealthy/http_statuses", "500, 503"),
    ];
    browser.done(&upstream, &fields).await?;
    let on = checks()?;
    assert_eq!(on["active"]["http_path"], "/health");
    assert_eq!(on["active"]["healthy"]["interval"], 2.5);
    assert_eq!(on["active"]["unhealthy"]["http_statuses"], json!([500, 503]));
    assert_eq!(on.get("passive"), None);
    // A form that nobody touches changes nothing.
    let (_, page) = browser.done(&upstream, &[("action", "save")]).await?;
    assert!(words(&page).contains("Nothing was different"), "{}", words(&page));
    browser.done(&upstream, &[("action", "save"), ("active_checks", "")]).await?;
    assert_eq!(checks()?.get("active"), None);
    Ok(())
}

#[tokio::test]
async fn what_goes_is_shown_before_it_goes() -> Result<()> {
    let browser = Browser::signed_in().await?.with_httpbin()?;
    let before = browser.repository.head(&"test".parse()?)?;
    let consumer = Operation::PutObject {
        object: ObjectKind::Consumer.named("app")?,
        document: json!({"labels": {"team": "a"}}),
    };
    browser.apply("test", consumer)?;
    let whole = browser.repository.head(&"test".parse()?)?;
    // Where it is asked, what follows from it, and a word of what would change.
    let table = [
        (
            format!("{TEST}/hosts/remove?host=test.acme.com"),
            "answers to every host",
            "changed hosts",
        ),
        (
            format!("{TEST}/upstreams/default/nodes/remove?host=127.0.0.1&port=8081"),
            "takes no requests here",
            "upstreams › default › nodes",
        ),
        (format!("{TEST}/upstreams/default/delete"), "with its nodes", "upstreams › default"),
        (format!("{TEST}/routes/get-headers/delete"), "next route", "Route get-headers of httpbin"),
        ("/groups/test/consumers/app/delete".to_owned(), "open nothing", "Consumer app"),
        (format!("{TEST}/delete"), "Other groups keep it", "Route get-headers of httpbin"),
    ];
    for (path, follows, changed) in &table {
        let told = words(&browser.page(path).await?);
        assert!(told.contains(follows), "{path}: {told}");
        assert!(told.contains("What would change in test"), "{path}: {told}");
        assert!(told.contains(changed), "{path}: {told}");
    }
    assert_eq!(browser.repository.head(&"test".parse()?)?, whole);
    assert_ne!(before, whole);

    for gone in ["/hosts/remove?host=other.test", "/upstreams/default/nodes/remove?host=x&port=1"] {
        assert_eq!(browser.get(&format!("{TEST}{gone}")).await?.status, StatusCode::NOT_FOUND);
    }

    // What somebody changed meanwhile is looked at first.
    let (path, ..) = &table[0];
    let page = browser.page(path).await?;
    let patch = json!({"hosts": ["test.acme.com", "other.acme.com"]});
    browser.apply("test", Operation::PatchRuntime { service: "httpbin".parse()?, patch })?;
    let reply = browser.submit_from(&page, path, &[("reason", "moved")]).await?;
    assert_eq!(reply.status, StatusCode::CONFLICT);
    let told = words(&reply.text);
    assert!(told.contains("It changed since") && told.contains("do not come to this"), "{told}");
    let reply = browser.submit_from(&reply.text, path, &[]).await?;
    let (at, page) = browser.follow(reply).await?;
    assert_eq!(at, format!("{TEST}/hosts"));
    assert!(!page.contains("<code>test.acme.com</code>"), "{}", words(&page));
    assert!(words(&browser.page(&format!("{TEST}/history")).await?).contains("moved"));
    Ok(())
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() -> Result<()> {
    let browser = Browser::signed_in().await?.with_httpbin()?;
    let fields = [
        ("action", "save"),
        ("name", "Bad Name"),
        ("route_name", ""),
        ("/runtime/hosts", "http://x"),
        ("/runtime/upstreams/default/nodes/0/host", "h.test"),
        ("/runtime/upstreams/default/nodes/0/port", "99999"),
    ];
    let reply = browser.submit("/groups/test/services/~new", &fields).await?;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    let summary = reply.text.split(r#"id="faults""#).nth(1).context("a summary")?;
    let summary = summary.split("</ul>").next().unwrap_or_default();
    assert!(summary.contains("Nothing was saved."), "{summary}");
    let fields = ["fname", "froute_name", "f-runtime-hosts", "f-runtime-upstreams-default-nodes"];
    for field in fields {
        let told = format!(r##"<a href="#{field}">"##);
        assert!(summary.contains(&told), "{field}: {summary}");
        assert!(reply.text.contains(&format!(r#"id="{field}""#)), "{field}");
    }

    // In the JSON view the name is the one field; all else stands in the text.
    let reply = browser.submit("/groups/test/services/~new", &[("action", "json")]).await?;
    let names = form(&reply.text, "/groups/test/services/~new")?;
    let names: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"name") && names.contains(&"document"), "{names:?}");
    for field in ["upstream_name", "first_route", "route_name"] {
        assert!(!names.contains(&field), "{field}: {names:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_may_not_be_edited_says_so_before_it_is_typed() -> Result<()> {
    let browser = Browser::signed_in().await?.with_httpbin()?;
    let patch = json!({"promotion": {"direct_edits": "runtime-only"}});
    browser.apply("test", Operation::PatchGroup { patch })?;
    let group = browser.page("/groups/test").await?;
    assert!(!group.contains("/groups/test/services/~new"), "nothing to add where it is refused");
    let content = ["/groups/test/services/~new", "/groups/test/import"].map(str::to_owned);
    let content =
        content.into_iter().chain([format!("{TEST}/settings"), format!("{TEST}/routes/~new")]);
    for path in content {
        let page = browser.page(&path).await?;
        assert!(words(&page).contains("by sync and rollback only"), "{path}: {}", words(&page));
        assert!(!page.contains(r#"value="save""#), "{path}");
    }
    let runtime = browser.page(&format!("{TEST}/runtime")).await?;
    assert!(runtime.contains(r#"value="save""#), "what belongs to the group is edited");

    browser.apply("test", Operation::PatchGroup { patch: json!({"type": "ingress"}) })?;
    for path in ["/groups/test/services/~new".to_owned(), format!("{TEST}/runtime")] {
        let page = browser.page(&path).await?;
        assert!(words(&page).contains("of type ingress"), "{path}: {}", words(&page));
        assert!(!page.contains(r#"value="save""#), "{path}");
    }
    let settings = browser.page("/groups/test/settings").await?;
    assert!(settings.contains(r#"name="/type""#) && !settings.contains(r#"name="/labels""#));
    Ok(())
}

#[tokio::test]
async fn a_group_of_a_controller_is_only_looked_at() -> Result<()> {
    let browser = Browser::signed_in().await?.with_httpbin()?;
    browser.apply("test", Operation::PatchGroup { patch: json!({"type": "ingress"}) })?;
    for path in ["/groups/test", TEST, &format!("{TEST}/hosts"), &format!("{TEST}/upstreams")] {
        let page = browser.page(path).await?;
        assert!(words(&page).contains("of type ingress"), "{path}");
        for form in ["/services/~new", "Add Node", "nodes/remove", "/hosts/remove", "/sync\""] {
            assert!(!page.contains(form), "{path}: {form}");
        }
    }
    let page = browser.page("/groups/uat").await?;
    let csrf = form(&page, "/logout")?.remove(0).1;
    let fields = [("csrf", &*csrf), ("host", "x.test")];
    let reply = browser.post_raw(&format!("{TEST}/hosts"), &fields, &[]).await?;
    assert!(words(&reply.text).contains("read-only"), "{}", words(&reply.text));
    Ok(())
}
