//! The command line: exit codes, tables for people, JSON for programs.

use refgate_tests::process::run;
use refgate_tests::stage::{Stage, refgate};
use serde_json::Value;

#[test]
fn exit_codes() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    for (arguments, code, says) in [
        (&["status"][..], 0, "httpbin"),
        (&["service", "get", "-g", "test", "httpbin"], 0, "/headers"),
        (&["validate", "--help"], 0, "Usage"),
        // Refused: the request is understood and not granted.
        (&["service", "get", "-g", "test", "nothing"], 1, "nothing"),
        (&["service", "get", "-g", "nowhere", "httpbin"], 1, "nowhere"),
        (&["sync", "httpbin", "--from", "test", "--to", "uat"], 1, "version"),
        (&["route", "put", "-g", "test", "httpbin", "x", "--path", "/a/*/b"], 1, "/a/*/b"),
        // Usage: the command itself is wrong.
        (&["frobnicate"], 2, "frobnicate"),
        (&["service", "get"], 2, "Usage"),
        (&["sync", "httpbin", "--from", "test", "--to", "uat", "--version", "one"], 2, "one"),
        (&["service", "get", "-g", "Not A Group", "httpbin"], 2, "Not A Group"),
        // Conflict: what is there stands against it.
        (&["service", "create", "-g", "test", "httpbin", "--path", "/"], 3, "httpbin"),
        (
            &["sync", "httpbin", "--from", "test", "--to", "production", "--version", "1.0.0"],
            3,
            "uat",
        ),
    ] {
        let ended = stage.refgate.client(arguments)?;
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert_eq!(ended.code(), code, "{arguments:?}\n{said}");
        assert!(said.contains(says), "{arguments:?}: no `{says}` in\n{said}");
        assert!(!said.contains("panicked"), "{arguments:?}\n{said}");
    }
    Ok(())
}

#[test]
fn nobody_is_there_or_knows_us() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let base = stage.refgate.api.base();
    for (server, token, says) in [
        ("http://127.0.0.1:1", "rgt_whatever", "127.0.0.1:1"),
        (base, "rgt_not_the_token", "token"),
        (base, "", "token"),
    ] {
        let mut command = refgate()?;
        command.args(["status", "--server", server]);
        if !token.is_empty() {
            command.args(["--token", token]);
        }
        let ended = run(&mut command)?;
        assert_eq!(ended.code(), 1, "{ended:?}");
        assert!(ended.stderr.contains(says), "{ended:?}");
        assert!(ended.stdout.is_empty(), "{ended:?}");
    }
    Ok(())
}

#[test]
fn json_is_what_the_api_says() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    for (arguments, path) in [
        (&["service", "get", "-g", "test", "httpbin"][..], "/v1/groups/test/services/httpbin"),
        (&["group", "get", "uat"], "/v1/groups/uat"),
        (
            &["route", "get", "-g", "test", "httpbin", "get-headers"],
            "/v1/groups/test/services/httpbin/routes/get-headers",
        ),
        (&["runtime", "get", "-g", "test", "httpbin"], "/v1/groups/test/services/httpbin/runtime"),
    ] {
        let ended = stage.refgate.client(&[arguments, &["-o", "json"]].concat())?;
        assert_eq!(ended.code(), 0, "{ended:?}");
        let told: Value = serde_json::from_str(&ended.stdout)?;
        assert_eq!(told, stage.read(path)?, "{arguments:?}");
    }
    // A refusal is the problem, as JSON too.
    let ended = stage.refgate.client(&["group", "get", "nowhere", "-o", "json"])?;
    let problem: Value = serde_json::from_str(&ended.stdout)?;
    assert_eq!(ended.code(), 1);
    assert_eq!(problem["code"], "not_found");
    Ok(())
}

#[test]
fn a_directory_of_files_is_applied_and_validated() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let tree = stage.scratch().join("tree");
    let write = |path: &str, text: &str| -> anyhow::Result<()> {
        let path = tree.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(&tree))?;
        Ok(std::fs::write(path, text)?)
    };
    write("services/orders/service.json", "{\"description\": \"orders\"}")?;
    write("services/orders/routes/all.yaml", "paths:\n  - /orders/*\n")?;
    write("runtime/orders.json", "{\"upstreams\": {\"default\": {}}}")?;
    let directory = tree.to_string_lossy();

    let valid = stage.refgate.client(&["validate", &directory])?;
    assert_eq!(valid.code(), 0, "{valid:?}");
    let before = stage.git().refs()?;
    let planned = stage.refgate.client(&["apply", "-g", "test", "-f", &directory, "--dry-run"])?;
    assert_eq!(planned.code(), 0, "{planned:?}");
    assert_eq!(stage.git().refs()?, before);
    let applied = stage.refgate.client(&["apply", "-g", "test", "-f", &directory])?;
    assert_eq!(applied.code(), 0, "{applied:?}");
    let service = stage.read("/v1/groups/test/services/orders")?;
    assert_eq!(service["routes"]["all"]["paths"][0], "/orders/*");

    write("services/orders/routes/bad.json", "{\"paths\": [\"/x\"], \"upstream\": \"gone\"}")?;
    let before = stage.git().refs()?;
    for arguments in [&["validate", &*directory][..], &["apply", "-g", "test", "-f", &directory]] {
        let refused = stage.refgate.client(arguments)?;
        assert_eq!(refused.code(), 1, "{refused:?}");
        let said = format!("{}{}", refused.stdout, refused.stderr);
        assert!(said.contains("bad.json") && said.contains("gone"), "{said}");
    }
    assert_eq!(stage.git().refs()?, before);
    Ok(())
}
