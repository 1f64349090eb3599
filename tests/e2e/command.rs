//! The command line: exit codes, tables for people, JSON for programs.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use refgate_tests::process::{Process, run};
use refgate_tests::programs::program;
use refgate_tests::stage::{Stage, TOKEN, refgate};
use refgate_tests::wait::wait_for;
use serde_json::{Value, json};

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
fn an_instance_that_will_not_come_again_is_removed() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let gone = json!({"instance": "gw-9", "group": "uat", "version": "0.1.0", "state": "healthy"});
    stage.api("POST", "/v1/gateways", &gone)?.expect(201)?;
    let listed =
        |group: &str| stage.refgate.client(&["instance", "list", "-g", group, "-o", "name"]);
    assert_eq!(listed("uat")?.stdout, "gw-9\nuat-local\n");
    assert_eq!(listed("nowhere")?.code(), 1);
    let remove =
        |instance: &str| stage.refgate.client(&["instance", "remove", "-g", "uat", instance]);
    assert_eq!(remove("gw-9")?.stdout, "uat: instance gw-9 removed\n");
    assert_eq!(listed("uat")?.stdout, "uat-local\n");
    assert_eq!(remove("gw-9")?.code(), 1);
    // One that runs in the control plane's own process is there as long as that is.
    assert_eq!(remove("uat-local")?.code(), 3);
    Ok(())
}

#[test]
fn events_are_told_as_they_come_until_somebody_has_seen_enough() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    let mut command = refgate()?;
    command.args(["events", "-g", "test", "--after", "1", "-o", "json"]);
    command.env("REFGATE_SERVER", stage.refgate.api.base()).env("REFGATE_TOKEN", TOKEN);
    let events = Process::start("refgate events", &mut command)?;
    let created = events.line("{\"event\":\"commit\",\"id\":\"2\"")?;
    assert!(created.contains("create service httpbin"), "{created}");
    let ended =
        stage.refgate.client(&["route", "delete", "-g", "test", "httpbin", "get-headers"])?;
    assert_eq!(ended.code(), 0, "{ended:?}");
    wait_for("the commit to be told", || {
        let told = events.printed();
        let lines = told.lines().map(serde_json::from_str::<Value>);
        let lines = lines.collect::<Result<Vec<_>, _>>()?;
        let commit = lines.iter().find(|line| line["id"] == "3").context("no revision 3")?;
        anyhow::ensure!(commit["event"] == "commit" && commit["data"]["revision"] == 3, "{commit}");
        Ok(())
    })?;
    events.interrupt()?;
    let ended = events.end()?;
    assert_eq!((ended.code(), ended.stderr.as_str()), (0, ""), "{ended:?}");
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

/// What stands on a terminal where a line is typed, somebody answers, and the line has ended.
fn on_a_terminal(stage: &Stage, line: &str, typed: &str) -> anyhow::Result<(i32, String)> {
    let mut child = Command::new("script")
        .args(["--quiet", "--return", "--command"])
        .arg(format!("{} {line}", program("refgate")?.display()))
        .arg("/dev/null")
        .env("REFGATE_SERVER", stage.refgate.api.base())
        .env("REFGATE_TOKEN", TOKEN)
        .env("TERM", "xterm")
        .env_remove("NO_COLOR")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .context("`script` of util-linux makes the terminal")?;
    // Kept open until the end: a terminal that hangs up would end the program.
    let mut keyboard = child.stdin.take().context("stdin is piped")?;
    keyboard.write_all(typed.as_bytes())?;
    let ended = child.wait_with_output()?;
    drop(keyboard);
    Ok((ended.status.code().unwrap_or(-1), String::from_utf8(ended.stdout)?))
}

#[test]
fn whoever_sits_at_a_terminal_is_asked_before_production_changes() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    let line = "group update production --description asked";
    let (code, screen) = on_a_terminal(&stage, line, "n\n")?;
    assert_eq!(code, 1, "{screen}");
    assert!(screen.contains("Change production (group)? [y/N]"), "{screen}");
    assert!(
        screen.contains("\u{1b}[33m    ~ description:\u{1b}[0m"),
        "the plan is coloured: {screen:?}"
    );
    assert_ne!(stage.read("/v1/groups/production")?["description"], "asked");

    let (code, screen) = on_a_terminal(&stage, line, "y\n")?;
    assert_eq!(code, 0, "{screen}");
    assert_eq!(stage.read("/v1/groups/production")?["description"], "asked");

    // Scripts are not asked.
    let ended =
        stage.refgate.client(&["group", "update", "production", "--description", "told"])?;
    assert_eq!(ended.code(), 0, "{ended:?}");
    assert!(!ended.stderr.contains("y/N") && !ended.stdout.contains('\u{1b}'), "{ended:?}");
    assert_eq!(stage.read("/v1/groups/production")?["description"], "told");
    Ok(())
}

#[test]
fn a_server_is_kept_in_the_configuration_directory() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    let home = stage.scratch().join("home");
    std::fs::create_dir_all(&home)?;
    let client = |arguments: &[&str]| {
        let mut command = refgate()?;
        command.args(arguments).env_remove("REFGATE_CONTEXTS").env_remove("XDG_CONFIG_HOME");
        run(command.env("HOME", &home))
    };
    let base = stage.refgate.api.base();
    let refused = client(&["login", "here", "--server", base, "--token", "rg_wrong"])?;
    assert_eq!(refused.code(), 1, "{refused:?}");
    let file = home.join(".config/refgate/contexts.json");
    assert!(!file.exists());
    let kept = client(&["login", "here", "--server", base, "--token", TOKEN])?;
    assert_eq!(kept.code(), 0, "{kept:?}");
    assert_eq!(std::fs::metadata(&file)?.permissions().mode() & 0o777, 0o600);
    let status = client(&["status"])?;
    assert!(status.code() == 0 && status.stdout.contains("httpbin"), "{status:?}");
    let list = client(&["login", "--list"])?;
    assert!(list.stdout.contains("here") && !list.stdout.contains(TOKEN), "{list:?}");
    assert_eq!(client(&["logout"])?.code(), 0);
    assert!(!std::fs::read_to_string(&file)?.contains(TOKEN));
    Ok(())
}

#[test]
fn a_shell_completes_names_that_the_server_has() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    let script = stage.refgate.client(&["completions", "bash"])?;
    assert!(script.stdout.contains("REFGATE_COMPLETE"), "{script:?}");
    for (line, index, offered) in [
        ("refgate service get -g te", 4, "test"),
        ("refgate service get -g test ht", 5, "httpbin"),
        ("refgate route get -g test httpbin get-", 6, "get-headers"),
        ("refgate sync httpbin --from test --to test,u", 6, "test,uat"),
        ("refgate roll", 1, "rollback"),
    ] {
        let mut command = refgate()?;
        command.arg("--").args(line.split(' '));
        command.env("REFGATE_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", index.to_string());
        command.env("_CLAP_IFS", "\n").env("_CLAP_COMPLETE_COMP_TYPE", "9");
        command.env("REFGATE_SERVER", stage.refgate.api.base()).env("REFGATE_TOKEN", TOKEN);
        let ended = run(&mut command)?;
        assert_eq!(ended.code(), 0, "{ended:?}");
        assert!(ended.stdout.lines().any(|name| name.trim() == offered), "{line}: {ended:?}");
    }
    Ok(())
}

#[test]
fn bash_completes_names_with_colons_and_equals_signs() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    let script = stage.scratch().join("completions.sh");
    std::fs::write(&script, stage.refgate.client(&["completions", "bash"])?.stdout)?;
    let program = program("refgate")?;
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", program.parent().context("a directory")?.display());
    // The line, its words as bash has them, and what stands behind the last of them.
    for (line, words, offered) in [
        ("refgate diff group:u", "refgate diff group : u", "uat"),
        ("refgate diff group:", "refgate diff group :", "production test uat"),
        ("refgate route list --group=te", "refgate route list --group = te", "test"),
        ("refgate route list --group=test ", "refgate route list --group = test ''", "httpbin"),
        (
            "refgate service get -g test --server SERVER ",
            "refgate service get -g test --server SERVER ''",
            "httpbin",
        ),
    ] {
        let base = stage.refgate.api.base();
        let spaced = base.replace(':', " : ");
        let (line, words) = (line.replace("SERVER", base), words.replace("SERVER", &spaced));
        let complete = format!(
            "source {}; COMP_LINE='{line}'; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             COMP_TYPE=9; _refgate 2>/dev/null; echo ${{COMPREPLY[@]}}",
            script.display()
        );
        let mut command = Command::new("bash");
        command.args(["--norc", "-c", &complete]).env("PATH", &path);
        command.env("REFGATE_SERVER", base).env("REFGATE_TOKEN", TOKEN);
        assert_eq!(run(&mut command)?.stdout.trim(), offered, "{line}");
    }
    Ok(())
}

#[test]
fn an_openapi_document_becomes_a_service() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let file = stage.scratch().join("pets.yaml");
    std::fs::write(
        &file,
        "openapi: 3.0.3\ninfo: {title: Pet Store, version: '1'}\n\
         servers: [{url: 'http://127.0.0.1:8081/v1'}]\n\
         paths:\n  /pets:\n    get:\n      operationId: listPets\n      responses: {200: {}}\n  \
         /pets?kind=cat: {get: {}}\n",
    )?;
    let file = file.to_string_lossy();
    let arguments = ["import", "openapi", &file, "-g", "test", "--with-upstream"];
    let before = stage.git().refs()?;
    let planned = stage.refgate.client(&[&arguments[..], &["--dry-run"]].concat())?;
    assert_eq!(planned.code(), 0, "{planned:?}");
    assert!(planned.stdout.contains("+ route list-pets of pet-store"), "{planned:?}");
    assert!(planned.stderr.contains("/paths/~1pets?kind=cat: not carried"), "{planned:?}");
    assert_eq!(stage.git().refs()?, before);
    let made = stage.refgate.client(&arguments)?;
    assert_eq!(made.code(), 0, "{made:?}");
    let service = stage.read("/v1/groups/test/services/pet-store")?;
    assert_eq!(service["routes"]["list-pets"]["paths"], json!(["/v1/pets"]));
    assert_eq!(service["runtime"]["upstreams"]["default"]["nodes"][0]["port"], 8081);
    Ok(())
}
