//! The story: a service is born in test, goes to uat and production, grows, and is
//! rolled back; every step is looked at from all sides: API, traffic, git.

use std::process::Command;

use refgate_tests::process::run;
use refgate_tests::stage::{Stage, host_in};
use serde_json::{Value, json};

/// `curl -si http://localhost:PORT/PATH -H 'Host: …'`: the status and the body.
fn curl(stage: &Stage, group: &str, path: &str) -> anyhow::Result<(u16, String)> {
    let address = stage.refgate.gateway_address(group).replace("127.0.0.1", "localhost");
    let ended = run(Command::new("curl")
        .args(["--silent", "--show-error", "--noproxy", "*", "--write-out", "\n%{http_code}"])
        .arg(format!("{address}{path}"))
        .args(["--header", &format!("Host: {}", host_in(group))]))?;
    anyhow::ensure!(ended.status.success(), "curl: {}", ended.stderr);
    let (body, code) = ended.stdout.rsplit_once('\n').unwrap_or_default();
    Ok((code.parse()?, body.to_owned()))
}

/// What the matrix says of `httpbin`: group → (version, live).
fn versions(stage: &Stage) -> anyhow::Result<Value> {
    let matrix = stage.read("/v1/services")?;
    let groups = &matrix["items"][0]["groups"];
    let version = |group: &str| groups[group]["version"].clone();
    Ok(json!([version("test"), version("uat"), version("production")]))
}

#[test]
fn one_service_from_test_to_production_and_back() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let git = stage.git();
    let service = |group: &str| stage.read(&format!("/v1/groups/{group}/services/httpbin"));

    // Born in test: served, and in the No Version state.
    let born = refgate_tests::stage::httpbin(&stage.origin.runtime("test.acme.com"));
    stage.api("PUT", "/v1/groups/test/services/httpbin", &born)?.expect(201)?;
    stage.serves("test", "/headers", 200)?;
    let (status, body) = curl(&stage, "test", "/headers")?;
    assert_eq!(status, 200);
    let echoed: Value = serde_json::from_str(&body)?;
    // `pass_host: node`: the origin sees its own address as the host.
    assert_eq!(echoed["headers"]["Host"], format!("127.0.0.1:{}", stage.origin.port));
    assert_eq!(echoed["headers"]["X-Forwarded-Host"], "test.acme.com");
    assert_eq!(curl(&stage, "test", "/get")?.0, 404);
    let in_test = service("test")?;
    assert_eq!(in_test["version"], Value::Null);
    assert_eq!(in_test["live"], true);
    assert_eq!(versions(&stage)?, json!([null, null, null]));

    // To uat as 1.0.0: there, not live, and it says why. Both groups show the number.
    let synced = stage.sync("test", "uat", Some("1.0.0"))?.expect(201)?.body()?;
    assert_eq!(synced["outcome"], "promoted");
    assert_eq!(synced["version"], "1.0.0");
    let in_uat = service("uat")?;
    assert_eq!(in_uat["live"], false);
    assert_eq!(in_uat["live_reason"], "no_nodes");
    assert_eq!(versions(&stage)?, json!(["1.0.0", "1.0.0", null]));
    assert_eq!(curl(&stage, "uat", "/headers")?.0, 404);

    // With its host and node it is live.
    stage.give_runtime("uat")?;
    stage.serves("uat", "/headers", 200)?;
    assert_eq!(curl(&stage, "uat", "/headers")?.0, 200);
    let uat_runtime = git.file("uat", "runtime/httpbin.json")?;

    // uat → production; the number is known by now.
    stage.sync("uat", "production", None)?.expect(201)?;
    stage.give_runtime("production")?;
    stage.serves("production", "/headers", 200)?;
    assert_eq!(versions(&stage)?, json!(["1.0.0", "1.0.0", "1.0.0"]));
    let production_runtime = git.file("production", "runtime/httpbin.json")?;

    // A second route makes test differ from the version it is based on.
    let get = json!({"paths": ["/get"], "methods": ["GET"]});
    stage.api("PUT", "/v1/groups/test/services/httpbin/routes/get", &get)?.expect(201)?;
    stage.serves("test", "/get", 200)?;
    let in_test = service("test")?;
    assert_eq!(in_test["version"], Value::Null);
    assert_eq!(in_test["based_on"], "1.0.0");
    assert_eq!(in_test["modified"], true);

    // What never ran in uat does not come to production.
    let before = git.refs()?;
    let refused = stage.sync("test", "production", Some("1.1.0"))?.expect(409)?.body()?;
    assert_eq!(refused["code"], "promotion_gate");
    let why = refused["detail"].as_str().unwrap_or_default();
    assert!(why.contains("uat") && why.contains("httpbin"), "does not say why: {why}");
    assert_eq!(git.refs()?, before, "a refused sync leaves nothing behind, no tag either");

    // 1.1.0 goes up step by step and is served.
    stage.sync("test", "uat", Some("1.1.0"))?.expect(200)?;
    stage.serves("uat", "/get", 200)?;
    stage.sync("uat", "production", None)?.expect(200)?;
    stage.serves("production", "/get", 200)?;
    assert_eq!(versions(&stage)?, json!(["1.1.0", "1.1.0", "1.1.0"]));

    // Back to 1.0.0: the new route is gone, the old one stays.
    let back = json!({"version": "1.0.0", "reason": "orders fail since 1.1.0"});
    let rolled = stage
        .api("POST", "/v1/groups/production/services/httpbin/rollback", &back)?
        .expect(200)?
        .body()?;
    assert_eq!(rolled["outcome"], "rolled_back");
    stage.serves("production", "/get", 404)?;
    assert_eq!(curl(&stage, "production", "/get")?.0, 404);
    assert_eq!(curl(&stage, "production", "/headers")?.0, 200);
    assert_eq!(curl(&stage, "uat", "/get")?.0, 200);
    assert_eq!(versions(&stage)?, json!(["1.1.0", "1.1.0", "1.0.0"]));

    // Neither syncs nor the rollback touched what belongs to the groups.
    assert_eq!(git.file("uat", "runtime/httpbin.json")?, uat_runtime);
    assert_eq!(git.file("production", "runtime/httpbin.json")?, production_runtime);

    history_reads_as_the_story(&stage)
}

fn history_reads_as_the_story(stage: &Stage) -> anyhow::Result<()> {
    let git = stage.git();
    let subjects = git.subjects("production")?;
    assert_eq!(
        subjects[1..],
        [
            "sync httpbin 1.0.0 to production",
            "change runtime of httpbin in production",
            "sync httpbin 1.1.0 to production",
            "roll httpbin in production back to 1.0.0",
        ],
        "{subjects:?}"
    );
    let commits = git.commits("production")?;
    let trailers = |commit: &str, key: &str| {
        git.run(&[
            "show",
            "--no-patch",
            &format!("--format=%(trailers:key={key},valueonly,separator=%x2C)"),
            commit,
        ])
    };
    for (commit, event, version, from) in [
        (1, "version.promoted", "1.0.0", "uat"),
        (2, "runtime.updated", "", ""),
        (3, "version.promoted", "1.1.0", "uat"),
        (4, "version.rolled-back", "1.0.0", ""),
    ] {
        let commit = &commits[commit];
        assert_eq!(trailers(commit, "Refgate-Event")?, event);
        assert_eq!(trailers(commit, "Refgate-Service")?, "httpbin");
        assert_eq!(trailers(commit, "Refgate-Version")?, version);
        assert_eq!(trailers(commit, "Refgate-From-Group")?, from);
        assert!(!trailers(commit, "Refgate-Actor")?.is_empty());
        assert!(!trailers(commit, "Refgate-Request-Id")?.is_empty());
    }
    assert_eq!(trailers(&commits[4], "Refgate-Reason")?, "orders fail since 1.1.0");

    // git's own line names the commit that the version's tag is at.
    let message = git.message(&commits[3])?;
    let picked = message
        .lines()
        .find_map(|line| line.strip_prefix("(cherry picked from commit "))
        .and_then(|rest| rest.strip_suffix(')'));
    let Some(picked) = picked else {
        anyhow::bail!("no cherry-picked line in:\n{message}");
    };
    assert_eq!(git.run(&["rev-parse", "httpbin/1.1.0^{commit}"])?, picked);

    assert_eq!(git.run(&["tag", "-l"])?, "httpbin/1.0.0\nhttpbin/1.1.0");
    for tag in ["httpbin/1.0.0", "httpbin/1.1.0"] {
        assert_eq!(git.run(&["cat-file", "-t", tag])?, "tag", "{tag} is annotated");
    }
    // The identity of a version is its tree: the same one under the tag and in the group.
    assert_eq!(
        git.run(&["rev-parse", "production:services/httpbin"])?,
        git.run(&["rev-parse", "httpbin/1.0.0^{commit}:services/httpbin"])?,
    );

    // The API tells the same history as git.
    let events = stage.read("/v1/groups/production/history")?;
    let told: Vec<&str> = events["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|event| event["commit"].as_str())
        .collect();
    let newest_first: Vec<String> = commits.iter().rev().cloned().collect();
    assert_eq!(told, newest_first);
    assert_eq!(events["items"][0]["event"], "version.rolled-back");
    assert_eq!(events["items"][0]["reason"], "orders fail since 1.1.0");
    git.fsck()
}
