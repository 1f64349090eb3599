//! Promotion: what a sync carries over, what it leaves alone, and when it refuses.

use refgate_tests::stage::{Stage, httpbin};
use serde_json::{Value, json};

const SYNC: &str = "/v1/groups/test/services/httpbin/sync";

fn put_route(stage: &Stage, group: &str, route: &str, path: &str) -> anyhow::Result<()> {
    let target = format!("/v1/groups/{group}/services/httpbin/routes/{route}");
    let answer = stage.api("PUT", &target, &json!({"paths": [path]}))?;
    anyhow::ensure!(answer.status < 300, "{}", answer.text);
    Ok(())
}

fn tree(stage: &Stage, revision: &str) -> anyhow::Result<String> {
    stage.git().run(&["rev-parse", &format!("{revision}:services/httpbin")])
}

#[test]
fn a_version_is_one_content_in_every_group() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    stage.sync("test", "uat", Some("1.0.0"))?;
    assert_eq!(tree(&stage, "test")?, tree(&stage, "uat")?);

    // Putting the same content again changes nothing and makes no commit.
    let before = stage.git().refs()?;
    let same = json!({"paths": ["/headers"], "methods": ["GET"]});
    let again = stage
        .api("PUT", "/v1/groups/test/services/httpbin/routes/get-headers", &same)?
        .expect(200)?
        .body()?;
    assert_eq!(again["changed"], false);
    let again = stage.sync("test", "uat", Some("1.0.0"))?.expect(200)?.body()?;
    assert_eq!(again["outcome"], "already_current");
    assert_eq!(again["changed"], false);
    assert_eq!(stage.git().refs()?, before);

    // Editing makes it No Version, taking the edit back makes it 1.0.0 again: the content decides.
    put_route(&stage, "test", "extra", "/extra")?;
    let edited = stage.read("/v1/groups/test/services/httpbin")?;
    assert_eq!([&edited["version"], &edited["based_on"]], [&Value::Null, &json!("1.0.0")]);
    let route = "/v1/groups/test/services/httpbin/routes/extra";
    stage.refgate.api.send("DELETE", route, &[], "")?.expect(200)?;
    let restored = stage.read("/v1/groups/test/services/httpbin")?;
    assert_eq!([&restored["version"], &restored["modified"]], [&json!("1.0.0"), &json!(false)]);

    let versions = stage.read("/v1/services/httpbin/versions")?;
    assert_eq!(versions["items"][0]["version"], "1.0.0");
    assert_eq!(versions["items"][0]["content"], tree(&stage, "uat")?);
    assert_eq!(versions["items"][0]["groups"], json!(["test", "uat"]));
    Ok(())
}

#[test]
fn the_first_sync_brings_upstream_settings_but_no_nodes() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let mut runtime = stage.origin.runtime("test.acme.com");
    runtime["upstreams"]["default"]["timeout"] = json!({"connect": 2.5, "send": 3, "read": 4});
    stage.api("PUT", "/v1/groups/test/services/httpbin", &httpbin(&runtime))?.expect(201)?;
    stage.sync("test", "uat", Some("1.0.0"))?;
    let there = stage.read("/v1/groups/uat/services/httpbin/runtime")?;
    let upstream = &there["upstreams"]["default"];
    assert_eq!(upstream["timeout"], json!({"connect": 2.5, "send": 3, "read": 4}));
    assert_eq!(upstream["pass_host"], "node");
    let empty = |value: &Value| value.as_array().is_none_or(Vec::is_empty);
    assert!(empty(&upstream["nodes"]) && empty(&there["hosts"]), "{there}");

    // A request may bring the runtime along; then the service is live at once.
    let body = json!({"to": "production", "runtime": stage.origin.runtime("production.acme.com")});
    stage.api("POST", "/v1/groups/uat/services/httpbin/sync", &body)?.expect(201)?;
    stage.serves("production", "/headers", 200)?;
    Ok(())
}

#[test]
fn a_runtime_stays_as_it_is_byte_for_byte() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    stage.sync("test", "uat", Some("1.0.0"))?;
    stage.give_runtime("uat")?;
    let before = stage.git().file("uat", "runtime/httpbin.json")?;
    for n in 1..4 {
        put_route(&stage, "test", &format!("r{n}"), &format!("/r{n}"))?;
        stage.sync("test", "uat", Some(&format!("1.{n}.0")))?.expect(200)?;
        assert_eq!(stage.git().file("uat", "runtime/httpbin.json")?, before);
    }
    let back = json!({"version": "1.1.0"});
    stage.api("POST", "/v1/groups/uat/services/httpbin/rollback", &back)?.expect(200)?;
    assert_eq!(stage.git().file("uat", "runtime/httpbin.json")?, before);
    Ok(())
}

#[test]
fn a_dry_run_tells_and_does_nothing() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    stage.sync("test", "uat", Some("1.0.0"))?;
    put_route(&stage, "test", "extra", "/extra")?;
    let before = stage.git().refs()?;

    let body = json!({"to": "uat", "version": "1.1.0"});
    let answer = stage.api("POST", &format!("{SYNC}?dry_run=true"), &body)?.expect(200)?.body()?;
    assert_eq!(answer["dry_run"], true);
    let plan = &answer["plan"];
    assert_eq!(plan["group"], "uat");
    assert_eq!(plan["outcome"], "promoted");
    assert_eq!(plan["base_commit"], before["refs/heads/uat"]);
    let changes = plan["changes"].as_array().map(Vec::as_slice).unwrap_or_default();
    assert!(
        changes.iter().any(|change| change["file"] == "services/httpbin/routes/extra.json"
            && change["op"] == "added"),
        "{changes:?}"
    );

    // What applying would refuse, planning refuses in the same way.
    let body = json!({"to": "production", "version": "1.1.0"});
    let refused = stage.api("POST", &format!("{SYNC}?dry_run=true"), &body)?.expect(409)?;
    assert_eq!(refused.body()?["code"], "promotion_gate");
    let path = "/v1/groups/test/services/httpbin/routes/extra?dry_run=true";
    stage.api("PUT", path, &json!({"paths": ["/a/*/b"]}))?.expect(422)?;
    stage.api("PUT", path, &json!({"paths": ["/other"]}))?.expect(200)?;
    assert_eq!(stage.git().refs()?, before);
    Ok(())
}

#[test]
fn an_edit_made_in_the_target_is_never_silently_lost() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    stage.sync("test", "uat", Some("1.0.0"))?;
    let route = "routes/get-headers";
    let edit = |group: &str, description: &str| {
        let path = format!("/v1/groups/{group}/services/httpbin/{route}");
        stage.api("PATCH", &path, &json!({"description": description}))?.expect(200)
    };
    edit("uat", "the words of uat")?;
    edit("test", "the words of test")?;
    let before = stage.git().refs()?;
    let refused = stage.sync("test", "uat", Some("1.1.0"))?.expect(409)?.body()?;
    assert_eq!(refused["code"], "promotion_conflict");
    assert!(refused["conflicts"].is_array(), "{refused}");
    assert_eq!(stage.git().refs()?, before);

    // The version wins when one says so.
    let body = json!({"to": "uat", "version": "1.1.0", "on_conflict": "theirs"});
    stage.api("POST", SYNC, &body)?.expect(200)?;
    let there = stage.read(&format!("/v1/groups/uat/services/httpbin/{route}"))?;
    assert_eq!(there["description"], "the words of test");
    Ok(())
}

#[test]
fn edits_of_both_sides_that_do_not_touch_meet() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    stage.sync("test", "uat", Some("1.0.0"))?;
    let path = "/v1/groups/uat/services/httpbin/routes/get-headers";
    stage.api("PATCH", path, &json!({"description": "the words of uat"}))?.expect(200)?;
    put_route(&stage, "test", "extra", "/extra")?;
    stage.sync("test", "uat", Some("1.1.0"))?.expect(200)?;
    let there = stage.read("/v1/groups/uat/services/httpbin")?;
    assert_eq!(there["routes"]["extra"]["paths"], json!(["/extra"]));
    assert_eq!(there["routes"]["get-headers"]["description"], "the words of uat");
    // It is neither version, and says so.
    assert_eq!([&there["version"], &there["modified"]], [&Value::Null, &json!(true)]);
    Ok(())
}

#[test]
fn a_rollback_knows_only_versions_that_ran_here() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    stage.sync("test", "uat", Some("1.0.0"))?;
    put_route(&stage, "test", "extra", "/extra")?;
    let tag = json!({"version": "1.1.0", "message": "with extra"});
    stage.api("POST", "/v1/groups/test/services/httpbin/versions", &tag)?.expect(201)?;
    assert_eq!(stage.read("/v1/groups/test/services/httpbin")?["version"], "1.1.0");

    let before = stage.git().refs()?;
    let never_here = json!({"version": "1.1.0"});
    let refused = stage.api("POST", "/v1/groups/uat/services/httpbin/rollback", &never_here)?;
    assert!([404, 409].contains(&refused.status), "{} {}", refused.status, refused.text);
    assert_eq!(stage.git().refs()?, before);

    // In test, back over a hand edit: it leaves the head and stays in history.
    put_route(&stage, "test", "more", "/more")?;
    let edited = stage.git().refs()?["refs/heads/test"].clone();
    let back = json!({"version": "1.0.0"});
    stage.api("POST", "/v1/groups/test/services/httpbin/rollback", &back)?.expect(200)?;
    assert_eq!(tree(&stage, "test")?, tree(&stage, "uat")?);
    assert!(stage.git().commits("test")?.contains(&edited));
    Ok(())
}

#[test]
fn a_write_waits_until_its_group_serves_it() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    let gateway = stage.refgate.gateway("test", "test.acme.com");
    for n in 0..5 {
        let path = format!("/anything/{n}");
        let target = format!("/v1/groups/test/services/httpbin/routes/r{n}?wait=30");
        let answer = stage.api("PUT", &target, &json!({"paths": [path]}))?.expect(201)?.body()?;
        let convergence = &answer["convergence"];
        assert_eq!(convergence["commit"], answer["commit"]);
        assert_eq!([&convergence["applied"], &convergence["total"]], [&json!(1), &json!(1)]);
        assert_eq!(convergence["pending"], json!([]));
        // No waiting here: the answer said that it is served.
        gateway.get(&path)?.expect(200)?;
    }
    Ok(())
}
