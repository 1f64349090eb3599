//! The story that the product tells: a service from test to production and back.

use super::*;

const HTTPBIN: &str = "/v1/groups/test/services/httpbin";

/// Every write tells where it went.
fn check_write(body: &Value, group: &str, changed: bool) {
    assert_eq!(body["group"], group, "{body}");
    assert_eq!(body["changed"], changed, "{body}");
    assert!(body["commit"].as_str().is_some_and(|id| id.len() == 40), "{body}");
    assert!(body["revision"].as_u64().is_some(), "{body}");
    assert!(body["warnings"].is_array(), "{body}");
}

#[tokio::test]
async fn from_test_to_production_and_back() -> Result<()> {
    let harness = Harness::new()?;
    let created = harness.put(HTTPBIN, httpbin()).await?.expect(StatusCode::CREATED)?;
    check_write(&created, "test", true);
    let again = harness.put(HTTPBIN, httpbin()).await?.expect(StatusCode::OK)?;
    check_write(&again, "test", false);

    let service = harness.get(HTTPBIN).await?.expect(StatusCode::OK)?;
    assert_eq!(service["version"], Value::Null);
    assert_eq!((&service["live"], &service["live_reason"]), (&json!(true), &json!("live")));
    assert_eq!(service["updated_by"], "admin");

    let sync = format!("{HTTPBIN}/sync");
    let missing = harness.post(&sync, json!({"to": "uat"})).await?;
    missing.expect_problem(StatusCode::UNPROCESSABLE_ENTITY, "version_required")?;
    let synced = json!({"to": "uat", "version": "1.0.0", "reason": "first release"});
    let synced = harness.post(&sync, synced).await?.expect(StatusCode::CREATED)?;
    check_write(&synced, "uat", true);
    assert_eq!(
        (&synced["service"], &synced["version"], &synced["outcome"]),
        (&json!("httpbin"), &json!("1.0.0"), &json!("promoted"))
    );
    let again = harness.post(&sync, json!({"to": "uat"})).await?.expect(StatusCode::OK)?;
    assert_eq!(again["outcome"], "already_current");
    check_write(&again, "uat", false);
    assert_eq!(harness.get(HTTPBIN).await?.body["version"], "1.0.0");

    let uat = "/v1/groups/uat/services/httpbin";
    let waiting = harness.get(uat).await?.body;
    assert_eq!((&waiting["live"], &waiting["live_reason"]), (&json!(false), &json!("no_nodes")));
    let nodes = json!({"hosts": ["uat.acme.com"],
        "upstreams": {"default": {"nodes": [{"host": "127.0.0.1", "port": 8081}]}}});
    let patched = harness.call(Method::PATCH, &format!("{uat}/runtime"), nodes).await?;
    check_write(&patched.expect(StatusCode::OK)?, "uat", true);
    assert_eq!(harness.get(uat).await?.body["live"], true);

    let route = json!({"paths": ["/get"]});
    let added = harness.put(&format!("{HTTPBIN}/routes/get"), route).await?;
    check_write(&added.expect(StatusCode::CREATED)?, "test", true);
    let past_uat = harness.post(&sync, json!({"to": "production", "version": "1.1.0"})).await?;
    past_uat.expect_problem(StatusCode::CONFLICT, "promotion_gate")?;
    let versions = harness.get("/v1/services/httpbin/versions").await?.body;
    assert_eq!(versions["items"].as_array().map(Vec::len), Some(1), "a refusal leaves no tag");

    let onward = format!("{uat}/sync");
    let both =
        harness.post(&sync, json!({"to": ["uat", "production"], "version": "1.1.0"})).await?;
    let both = both.expect(StatusCode::OK)?;
    assert_eq!(both["results"][0]["outcome"], "promoted", "{both}");
    let by_number = "/v1/services/httpbin/versions/1.0.0/sync";
    harness.post(&onward, json!({"to": "production"})).await?.expect(StatusCode::OK)?;
    let back = json!({"version": "1.0.0"});
    let never =
        harness.post("/v1/groups/production/services/httpbin/rollback", back.clone()).await?;
    assert!(never.status.is_client_error(), "production never ran 1.0.0: {never:?}");
    for (number, status, code) in [
        ("1.1.0", StatusCode::CONFLICT, "version_mismatch"),
        ("one", StatusCode::UNPROCESSABLE_ENTITY, "bad_version"),
    ] {
        let other = json!({"to": "production", "version": number});
        harness.post(by_number, other).await?.expect_problem(status, code)?;
    }
    let repeated = json!({"to": "production", "version": "1.0.0"});
    harness.post(by_number, repeated).await?.expect(StatusCode::OK)?;

    let rollback = format!("{uat}/rollback");
    let plan = harness.post(&format!("{rollback}?dry_run=true"), back.clone()).await?.body;
    let later = &plan["plan"]["later"];
    assert_eq!(later[0]["subject"], "sync httpbin 1.1.0 to uat", "{plan}");
    assert_eq!((&later[0]["event"], &later[1]), (&json!("version.promoted"), &Value::Null));
    let rolled = harness.post(&rollback, back).await?.expect(StatusCode::OK)?;
    assert_eq!((&rolled["outcome"], &rolled["version"]), (&json!("rolled_back"), &json!("1.0.0")));
    assert_eq!(harness.get(uat).await?.body["runtime"]["hosts"], json!(["uat.acme.com"]));
    let whole = json!({"revision": rolled["revision"]});
    for query in ["?dry_run=true", ""] {
        let path = format!("/v1/groups/uat/rollback{query}");
        let back = harness.post(&path, whole.clone()).await?.expect(StatusCode::OK)?;
        let told = if query.is_empty() { &back } else { &back["plan"] };
        assert_eq!(told["outcome"], "already_current", "{back}");
        for key in ["service", "version"] {
            assert_eq!(told.get(key), Some(&Value::Null), "{back}");
        }
    }

    let matrix = harness.get("/v1/services").await?.body;
    let row = &matrix["items"][0];
    assert_eq!(row["service"], "httpbin");
    assert_eq!(row["groups"]["test"]["version"], "1.1.0", "{row}");
    assert_eq!(row["groups"]["uat"]["version"], "1.0.0", "{row}");
    assert_eq!(row["latest"], "1.1.0");
    assert_eq!(harness.get("/v1/services/httpbin").await?.body["service"], "httpbin");
    Ok(())
}

#[tokio::test]
async fn history_tells_the_events_page_by_page() -> Result<()> {
    let harness = Harness::new()?.with_httpbin().await?;
    for path in ["/a", "/b"] {
        let route = json!({"paths": [path]});
        harness.put(&format!("{HTTPBIN}/routes/more"), route).await?;
    }
    let mut path = "/v1/groups/test/history?limit=2&service=httpbin".to_owned();
    let mut subjects = Vec::new();
    loop {
        let page = harness.get(&path).await?.expect(StatusCode::OK)?;
        let items = page["items"].as_array().context("items")?;
        assert!(items.len() <= 2);
        subjects.extend(items.iter().map(|item| item["event"].as_str().unwrap_or("").to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/groups/test/history?limit=2&service=httpbin&after={next}");
    }
    assert_eq!(subjects, ["route.updated", "route.created", "service.created"]);

    let of_file = "/v1/groups/test/history?path=runtime/httpbin.json";
    let of_file = harness.get(of_file).await?.body;
    let events = of_file["items"].as_array().context("items")?;
    assert_eq!(events.len(), 1, "{of_file}");
    assert_eq!(events[0]["event"], "service.created");

    let newest = harness.get("/v1/groups/test/history?limit=1").await?.body["items"][0].clone();
    let commit = newest["commit"].as_str().context("a commit")?;
    let event = harness.get(&format!("/v1/groups/test/commits/{commit}")).await?;
    let event = event.expect(StatusCode::OK)?;
    assert!(event["changes"].as_array().is_some_and(|changes| !changes.is_empty()), "{event}");
    assert_eq!(event["actor"], "admin");
    assert!(newest["request_id"].is_string());
    Ok(())
}

#[tokio::test]
async fn two_groups_are_compared_as_a_whole() -> Result<()> {
    let harness = Harness::new()?.with_httpbin().await?;
    let body = json!({"to": "uat", "version": "1.0.0"});
    let synced = harness.post("/v1/groups/test/services/httpbin/sync", body).await?;
    assert!(synced.status.is_success(), "{synced:?}");
    let same = harness.get("/v1/groups/test/diff?to=uat&services_only=true").await?;
    let same = same.expect(StatusCode::OK)?;
    assert_eq!(same, json!({"from": "group:test", "to": "group:uat", "changes": []}));
    let diff = harness.get("/v1/groups/test/diff?to=uat").await?.expect(StatusCode::OK)?;
    let changes = diff["changes"].as_array().context("changes")?;
    assert!(changes.iter().any(|change| change["file"] == "runtime/httpbin.json"), "{diff}");
    for (query, status, code) in [
        ("", StatusCode::BAD_REQUEST, "malformed_request"),
        ("?to=uat&services_only=maybe", StatusCode::BAD_REQUEST, "malformed_request"),
        ("?to=nowhere", StatusCode::NOT_FOUND, "not_found"),
    ] {
        let reply = harness.get(&format!("/v1/groups/test/diff{query}")).await?;
        reply.expect_problem(status, code)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_dry_run_plans_and_changes_nothing() -> Result<()> {
    let harness = Harness::new()?.with_httpbin().await?;
    let heads = || async {
        let groups = harness.get("/v1/groups").await?.body;
        anyhow::Ok(
            groups["items"]
                .as_array()
                .map(|g| g.iter().map(|group| group["head"].clone()).collect::<Vec<_>>()),
        )
    };
    let before = heads().await?;
    let writes = [
        (Method::PUT, "/v1/groups/test/services/other", json!({})),
        (Method::PATCH, HTTPBIN, json!({"description": "new"})),
        (Method::DELETE, HTTPBIN, Value::Null),
        (
            Method::POST,
            "/v1/groups/test/services/httpbin/sync",
            json!({"to": "uat", "version": "1.0.0"}),
        ),
        (Method::POST, "/v1/groups/test/services/httpbin/versions", json!({"version": "1.0.0"})),
        (Method::POST, "/v1/groups", json!({"name": "staging"})),
    ];
    for (method, path, body) in writes {
        let reply = harness.call(method.clone(), &format!("{path}?dry_run=true"), body).await?;
        let body = reply.expect(StatusCode::OK).context(path)?;
        assert_eq!(body["dry_run"], true, "{method} {path}: {body}");
        assert!(body["plan"]["changes"].is_array(), "{method} {path}: {body}");
    }
    assert_eq!(heads().await?, before);
    let versions = harness.get("/v1/services/httpbin/versions").await?.body;
    assert_eq!(versions["items"], json!([]));
    harness.get("/v1/groups/staging").await?.expect_problem(StatusCode::NOT_FOUND, "not_found")?;
    Ok(())
}

#[tokio::test]
async fn groups_come_and_go() -> Result<()> {
    let harness = Harness::new()?;
    let body = json!({"name": "staging", "description": "before production"});
    let created = harness.post("/v1/groups", body.clone()).await?.expect(StatusCode::CREATED)?;
    check_write(&created, "staging", true);
    let taken = harness.post("/v1/groups", body).await?;
    taken.expect_problem(StatusCode::CONFLICT, "already_exists")?;
    let patch = json!({"labels": {"env": "staging"}});
    harness.call(Method::PATCH, "/v1/groups/staging", patch).await?.expect(StatusCode::OK)?;
    let group = harness.get("/v1/groups/staging").await?.expect(StatusCode::OK)?;
    assert_eq!(group["labels"]["env"], "staging");
    assert_eq!(group["instances"], json!({"healthy": 0, "total": 0}));
    let names = harness.get("/v1/groups").await?.body;
    let names: Vec<_> =
        names["items"].as_array().context("items")?.iter().map(|g| &g["name"]).collect();
    assert_eq!(names, ["production", "staging", "test", "uat"]);
    harness
        .call(Method::DELETE, "/v1/groups/staging", Value::Null)
        .await?
        .expect(StatusCode::OK)?;
    harness.get("/v1/groups/staging").await?.expect_problem(StatusCode::NOT_FOUND, "not_found")?;
    Ok(())
}

#[tokio::test]
async fn several_files_in_one_commit() -> Result<()> {
    let harness = Harness::new()?.with_httpbin().await?;
    let files = json!({
        "services/second/service.json": {"description": "another"},
        "services/second/routes/all.json": {"paths": ["/*"]},
        "runtime/second.json": {"upstreams": {"default": {"nodes": []}}},
    });
    let valid = json!({"group": "test", "files": files});
    let valid = harness.post("/v1/validate", valid).await?.expect(StatusCode::OK)?;
    assert_eq!(valid["valid"], true, "{valid}");
    let invalid = json!({"group": "test", "files": {"services/second/routes/all.json": "{"}});
    let invalid = harness.post("/v1/validate", invalid).await?.expect(StatusCode::OK)?;
    assert_eq!(invalid["valid"], false, "{invalid}");
    assert!(invalid["diagnostics"].as_array().is_some_and(|found| !found.is_empty()));

    let head = harness.get("/v1/groups/test").await?.body["head"].clone();
    let body = json!({"files": files, "message": "two at once", "expect_head": head});
    let path = "/v1/groups/test/commit";
    let done = harness.post(path, body.clone()).await?;
    assert!(done.status.is_success(), "{done:?}");
    check_write(&done.body, "test", true);
    let moved = harness.post(path, body).await?;
    moved.expect_problem(StatusCode::CONFLICT, "concurrent_update")?;
    Ok(())
}

#[tokio::test]
async fn a_head_that_moved_refuses_what_was_planned_on_it() -> Result<()> {
    let harness = Harness::new()?.with_httpbin().await?;
    let sync = "/v1/groups/test/services/httpbin/sync";
    let head = harness.get("/v1/groups/uat").await?.body["head"].clone();
    let body = json!({"to": "uat", "version": "1.0.0", "expect_head": head});
    harness.post(sync, body).await?.expect(StatusCode::CREATED)?;
    let body = json!({"to": "uat", "expect_head": head});
    harness.post(sync, body).await?.expect_problem(StatusCode::CONFLICT, "concurrent_update")?;
    let body = json!({"to": ["uat", "production"], "expect_head": head});
    let refused = harness.post(sync, body).await?;
    refused.expect_problem(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed")?;
    let rollback = "/v1/groups/uat/services/httpbin/rollback";
    let body = json!({"version": "1.0.0", "expect_head": head});
    let refused = harness.post(rollback, body).await?;
    refused.expect_problem(StatusCode::CONFLICT, "concurrent_update")?;
    Ok(())
}

#[tokio::test]
async fn what_was_planned_is_what_is_done() -> Result<()> {
    let harness = Harness::new()?.with_httpbin().await?;
    let sync = "/v1/groups/test/services/httpbin/sync";
    let to = json!(["uat", "staging"]);
    let made = harness.post("/v1/groups", json!({"name": "staging"})).await?;
    made.expect(StatusCode::CREATED)?;
    let order = json!({"to": to, "version": "1.0.0"});
    let planned = harness.post(&format!("{sync}?dry_run=true"), order.clone()).await?;
    let planned = planned.expect(StatusCode::OK)?;
    let id = |of: usize| planned["results"][of]["plan"]["id"].as_str().context("an id");
    let pinned = format!("{sync}?expect_plan={},{}", id(0)?, id(1)?);

    let nothing = harness.post(&format!("{sync}?expect_plan="), order.clone()).await?;
    nothing.expect_problem(StatusCode::BAD_REQUEST, "malformed_request")?;

    // What would come is other than it was, and one of the groups too.
    let patch = |value: Value| json!({"labels": {"new": value}});
    harness.call(Method::PATCH, "/v1/groups/test/services/httpbin", patch(json!("1"))).await?;
    let refused = harness.post(&pinned, order.clone()).await?.expect(StatusCode::OK)?;
    for result in refused["results"].as_array().context("results")? {
        assert_eq!(result["error"]["code"], "concurrent_update", "{result}");
    }
    harness.call(Method::PATCH, "/v1/groups/test/services/httpbin", patch(Value::Null)).await?;
    harness.call(Method::PATCH, "/v1/groups/staging", patch(json!("1"))).await?;
    let done = harness.post(&pinned, order).await?.expect(StatusCode::OK)?;
    assert_eq!(done["results"][0]["outcome"], "promoted", "{done}");
    assert_eq!(done["results"][1]["error"]["code"], "concurrent_update", "{done}");
    Ok(())
}

#[tokio::test]
async fn conflicts_are_settled_one_by_one() -> Result<()> {
    let harness = Harness::new()?.with_httpbin().await?;
    let sync = "/v1/groups/test/services/httpbin/sync";
    harness
        .post(sync, json!({"to": "uat", "version": "1.0.0"}))
        .await?
        .expect(StatusCode::CREATED)?;
    for (group, text) in [("uat", "ours"), ("test", "theirs")] {
        let patch = json!({"description": text, "labels": {"side": text}});
        let path = format!("/v1/groups/{group}/services/httpbin");
        harness.call(Method::PATCH, &path, patch).await?.expect(StatusCode::OK)?;
    }
    let order = |settled: Value| json!({"to": "uat", "version": "1.1.0", "settled": settled});
    let refused = harness.post(sync, order(Value::Null)).await?;
    let refused = refused.expect_problem(StatusCode::CONFLICT, "promotion_conflict")?;
    let mut settled = refused["conflicts"].clone();
    for (conflict, side) in
        settled.as_array_mut().context("conflicts")?.iter_mut().zip(["ours", "theirs"])
    {
        *conflict = json!({"file": conflict["file"], "pointer": conflict["pointer"], "take": side});
    }
    let place =
        json!({"file": "services/httpbin/service.json", "pointer": "/plugins", "take": "ours"});
    let wrong = [
        (json!("ours"), "/settled"),
        (json!([{"file": "x", "pointer": "/a"}]), "/settled/0"),
        (json!([{"file": "x", "pointer": "/a", "take": "abort"}]), "/settled/0/take"),
        (json!([{"file": "x", "pointer": "/a", "take": "ours", "why": 1}]), "/settled/0/why"),
        (json!([place, place]), "/settled/1"),
        (json!([place]), "/plugins"),
    ];
    for (settled, pointer) in wrong {
        let refused = harness.post(sync, order(settled)).await?;
        let refused =
            refused.expect_problem(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed")?;
        assert_eq!(refused["diagnostics"][0]["pointer"], pointer, "{refused}");
    }
    let mut several = order(settled.clone());
    several["to"] = json!(["uat", "production"]);
    let refused = harness.post(sync, several).await?;
    refused.expect_problem(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed")?;

    let done = harness.post(sync, order(settled)).await?;
    assert!(done.status.is_success(), "{done:?}");
    let service = harness.get("/v1/groups/uat/services/httpbin").await?.body;
    assert_eq!(
        (&service["description"], &service["labels"]["side"]),
        (&json!("ours"), &json!("theirs"))
    );
    Ok(())
}

#[tokio::test]
async fn a_route_and_a_runtime_say_who_changed_them_last() -> Result<()> {
    let harness = Harness::new()?;
    let service = "/v1/groups/test/services/httpbin";
    let made = json!({"routes": {"get": {"paths": ["/get"]}}, "runtime": {"hosts": ["a.com"]}});
    let made = harness.put(service, made).await?.expect(StatusCode::CREATED)?;
    let route = format!("{service}/routes/get");
    let patch = harness.call(Method::PATCH, &route, json!({"priority": 1})).await?;
    let changed = patch.expect(StatusCode::OK)?;
    for (path, commit) in
        [(route, &changed["commit"]), (format!("{service}/runtime"), &made["commit"])]
    {
        let read = harness.get(&path).await?.expect(StatusCode::OK)?;
        assert_eq!((&read["commit"], &read["updated_by"]), (commit, &json!("admin")), "{path}");
        assert!(read["updated_at"].is_string(), "{read}");
        let again = harness.put(&path, read).await?.expect(StatusCode::OK)?;
        assert_eq!(again["changed"], false, "{path}");
    }
    Ok(())
}

/// What is asked for is not there, wherever it shall go: no answer of a target.
#[tokio::test]
async fn a_source_that_is_not_there_is_not_found() -> Result<()> {
    let harness = Harness::new()?.with_httpbin().await?;
    let services = |names: &[&str]| {
        let names = names.iter().map(|name| ((*name).to_owned(), json!("1.0.0")));
        json!({"to": ["uat"], "services": names.collect::<serde_json::Map<_, _>>()})
    };
    let both = json!({"to": ["uat", "production"]});
    let table = [
        ("/v1/groups/nowhere/sync", services(&["httpbin"])),
        ("/v1/groups/test/sync", services(&["httpbin", "nothing"])),
        ("/v1/groups/test/sync", json!({"to": "uat", "services": {"nothing": null}})),
        ("/v1/groups/nowhere/services/httpbin/sync", both.clone()),
        ("/v1/groups/test/services/nothing/sync", both.clone()),
        ("/v1/services/httpbin/versions/9.0.0/sync", both.clone()),
        ("/v1/groups/nowhere/consumers/app/copy", both.clone()),
        ("/v1/groups/test/consumers/nobody/copy", both),
    ];
    for (path, body) in table {
        for query in ["", "?dry_run=true"] {
            let reply = harness.post(&format!("{path}{query}"), body.clone()).await?;
            reply.expect_problem(StatusCode::NOT_FOUND, "not_found").context(path)?;
        }
    }
    let to = json!({"to": ["nowhere", "uat"], "services": {"httpbin": "1.0.0"}});
    let each = harness.post("/v1/groups/test/sync", to).await?.expect(StatusCode::OK)?;
    assert_eq!(each["results"][0]["error"]["code"], "not_found");
    assert_eq!(each["results"][1]["outcome"], "promoted");
    Ok(())
}
