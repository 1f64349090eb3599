//! Pushes to the repository by its path, as sshd would do them: checked the same way, with and
//! without a control plane.

use std::fs;

use refgate_tests::git::WorkTree;
use refgate_tests::stage::{Refgate, Stage};
use refgate_tests::wait::wait_for;
use serde_json::json;

use super::{ROUTE, accepted, clone, newest, nothing_is_left, push, refused, route};

fn clone_by_path(stage: &Stage) -> anyhow::Result<WorkTree> {
    let path = stage.data().join("config.git").display().to_string();
    WorkTree::clone_of(&path, stage.scratch().join("by-path"), &["--branch", "test"])
}

#[test]
fn without_a_control_plane_it_is_checked_and_later_served() -> anyhow::Result<()> {
    let mut stage = Stage::with_httpbin()?;
    stage.refgate.process().kill()?;
    let tree = clone_by_path(&stage)?;
    let refs = stage.git().refs()?;
    tree.commit(ROUTE, "{\"paths\": [\"get\"]}\n")?;
    let told = ["error: test: services/httpbin/routes/get-headers.json:1:12 /paths/0: "];
    refused(push(&tree, &["origin", "HEAD:test"])?, &told)?;
    assert_eq!(stage.git().refs()?, refs);
    nothing_is_left(&stage.data())?;
    tree.commit(ROUTE, route("/get"))?;
    tree.run(&["tag", "httpbin/1.0.0"])?;
    let told = ["test is at revision 4", "httpbin is at 1.0.0", "httpbin 1.0.0 is a version now"];
    accepted(push(&tree, &["origin", "HEAD:test", "httpbin/1.0.0"])?, &told)?;
    let told = ["httpbin 1.0.0 was promoted to uat"];
    accepted(push(&tree, &["origin", "-o", "service=httpbin", "HEAD:refs/for/uat"])?, &told)?;

    stage.refgate = Refgate::up(&stage.data())?;
    stage.serves("test", "/get", 200)?;
    assert_eq!(newest(&stage, "uat")?["version"], "1.0.0");
    assert_eq!(newest(&stage, "test")?["event"], "pushed");
    Ok(())
}

#[test]
fn beside_a_control_plane_it_is_noticed_and_served() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    let tree = clone_by_path(&stage)?;
    let commit = tree.commit(ROUTE, route("/get"))?;
    let mut command = tree.command();
    command.args(["push", "origin", "HEAD:test"]).env("USER", "jane");
    let ended = refgate_tests::process::run(&mut command)?;
    accepted(ended, &["test is at revision 3"])?;
    stage.serves("test", "/get", 200)?;
    let event = newest(&stage, "test")?;
    assert_eq!((&event["actor"], &event["commit"]), (&json!("jane"), &json!(commit)));
    let check =
        stage.refgate.client(&["check", "--data-dir", &stage.data().display().to_string()])?;
    assert_eq!(check.code(), 0, "{check:?}");
    Ok(())
}

#[test]
fn hooks_that_were_taken_away_come_back() -> anyhow::Result<()> {
    let mut stage = Stage::with_httpbin()?;
    let hooks = stage.data().join("hooks");
    fs::remove_file(hooks.join("pre-receive"))?;
    fs::write(hooks.join("post-receive"), "#!/bin/sh\n")?;
    stage.git().run(&["config", "receive.fsckObjects", "false"])?;
    let data = stage.data().display().to_string();
    let check = stage.refgate.client(&["check", "--data-dir", &data])?;
    assert!(format!("{check:?}").contains("pre-receive"), "{check:?}");
    stage.refgate.process().terminate()?;
    let path = stage.data();
    // The data directory is one control plane's at a time.
    let next = wait_for("the next one", || Refgate::up(&path))?;
    let ended = std::mem::replace(&mut stage.refgate, next).ended()?;
    assert_eq!(ended.code(), 0, "{ended:?}");
    let log = stage.refgate.process().wrote();
    for what in ["the hook pre-receive was absent", "the hook post-receive", "receive.fsckobjects"]
    {
        assert!(log.contains(what), "no {what:?} in\n{log}");
    }
    let tree = clone(&stage, "clone")?;
    let refs = stage.git().refs()?;
    tree.commit(ROUTE, "{")?;
    refused(push(&tree, &["origin", "HEAD:test"])?, &["[malformed_json]"])?;
    assert_eq!(stage.git().refs()?, refs);

    // Taken away while it runs, nothing comes in that a gateway would serve unproven.
    fs::remove_file(hooks.join("pre-receive"))?;
    let _ = push(&tree, &["origin", "HEAD:test"])?;
    stage.serves("test", "/headers", 200)?;
    Ok(())
}
