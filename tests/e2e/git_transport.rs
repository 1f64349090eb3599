//! Clone, fetch and push over HTTP with the git command, as people use it: [`limits`] is what
//! happens when somebody asks for too much or leaves in the middle, [`packs`] when a push is not what it
//! says.

mod limits;
mod packs;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use refgate_tests::git::{WorkTree, git};
use refgate_tests::http::Client;
use refgate_tests::process::run;
use refgate_tests::programs::workspace;
use refgate_tests::stage::{GROUPS, Refgate, Stage, TOKEN};
use serde_json::{Value, json};

const ROUTE: &str = "services/httpbin/routes/get-headers.json";

/// The address of the repository, with a token in it.
fn url(stage: &Stage, token: &str) -> String {
    address(stage).replacen("://", &format!("://anybody:{token}@"), 1)
}

fn address(stage: &Stage) -> String {
    format!("{}/config.git", stage.refgate.api.base())
}

/// A clone of the group test.
fn clone(stage: &Stage) -> anyhow::Result<WorkTree> {
    let directory = stage.scratch().join("clone");
    WorkTree::clone_of(&url(stage, TOKEN), directory, &["--branch", "test"])
}

/// A new token of a role, as the command prints it.
fn token(stage: &Stage, name: &str, role: &str) -> anyhow::Result<String> {
    let made = stage.refgate.client(&["token", "create", name, "--role", role])?;
    anyhow::ensure!(made.status.success(), "{made:?}");
    Ok(made.stdout.trim_end().to_owned())
}

/// The file of a route of which only the description and a path are new.
fn route(path: &str) -> String {
    let route = json!({"description": path, "paths": [path], "methods": ["GET"]});
    format!("{route:#}\n")
}

/// Nothing of an unfinished push lies in the repository.
fn quarantine_is_empty(data: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(data.join("config.git/objects"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        anyhow::ensure!(!name.contains("incoming") && !name.starts_with("tmp_objdir"), "{name}");
    }
    Ok(())
}

#[test]
fn a_clone_is_the_repository_however_it_is_asked_for() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    let bearer = format!("http.extraHeader=Authorization: Bearer {TOKEN}");
    let (with_token, plain) = (url(&stage, TOKEN), address(&stage));
    let table: [(&str, &[&str]); 9] = [
        (&with_token, &[]),
        (&plain, &["-c", &bearer]),
        (&with_token, &["-b", "uat"]),
        (&with_token, &["--depth", "1"]),
        (&with_token, &["--bare"]),
        // A filter is not offered, and git says so and goes on without.
        (&with_token, &["--filter=blob:none"]),
        (&with_token, &["-c", "protocol.version=0"]),
        (&with_token, &["-c", "protocol.version=1"]),
        (&with_token, &["-c", "protocol.version=2"]),
    ];
    let origin = stage.git().refs()?;
    for (index, (url, arguments)) in table.into_iter().enumerate() {
        let place = stage.scratch().join(format!("clone-{index}"));
        let tree = WorkTree::clone_of(url, place, arguments)?;
        // The commits themselves are there, and nothing that is hidden.
        let context = || format!("{arguments:?}");
        let refs = tree.run(&["for-each-ref", "--format=%(refname)"]).with_context(context)?;
        assert!(!refs.contains("refgate"), "{arguments:?} {refs}");
        let head = tree.run(&["rev-parse", "HEAD"]).with_context(context)?;
        let group = if arguments.contains(&"uat") { "uat" } else { "test" };
        assert_eq!(head, origin[&format!("refs/heads/{group}")], "{arguments:?}");
        tree.run(&["fsck", "--strict"]).with_context(context)?;
        let shallow = tree.run(&["rev-parse", "--is-shallow-repository"])?;
        assert_eq!(shallow == "true", arguments.contains(&"--depth"), "{arguments:?}");
    }
    let listed = run(git().args(["ls-remote", &with_token]))?.stdout;
    for group in GROUPS {
        assert!(listed.contains(&format!("refs/heads/{group}\n")), "{listed}");
    }
    assert!(!listed.contains("refs/refgate"), "{listed}");
    Ok(())
}

#[test]
fn a_fetch_brings_what_was_written_meanwhile() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    let tree = clone(&stage)?;
    for version in ["0", "2"] {
        // So many that the request that names them is long, and git compresses it.
        let branch = format!("mine-{version}");
        tree.run(&["checkout", "--quiet", "-b", &branch])?;
        for number in 0..60 {
            // Newer than what is common, so that all of them are named before that.
            let date = format!("@{} +0000", 4_000_000_000u64 + number);
            let ended = run(tree
                .command()
                .args(["commit", "--quiet", "--allow-empty", "-m", "mine"])
                .env("GIT_COMMITTER_DATE", date))?;
            assert!(ended.status.success(), "{ended:?}");
        }
        let patch = json!({"description": format!("for version {version}")});
        let written = stage.api("PATCH", "/v1/groups/test/services/httpbin", &patch)?;
        let commit = written.expect(200)?.body()?["commit"].clone();
        let fetched = run(tree
            .command()
            .args(["-c", &format!("protocol.version={version}"), "fetch", "origin"])
            .env("GIT_TRACE_CURL", "1"))?;
        assert!(fetched.status.success(), "{fetched:?}");
        let packed = fetched.stderr.to_lowercase().contains("content-encoding: gzip");
        assert!(packed, "{}", fetched.stderr);
        assert_eq!(Value::from(tree.run(&["rev-parse", "origin/test"])?), commit);
    }
    Ok(())
}

#[test]
fn a_push_is_served() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    let tree = clone(&stage)?;
    let pushed = tree.commit(ROUTE, route("/get"))?;
    tree.run(&["push", "origin", "HEAD:test"])?;
    assert_eq!(stage.git().refs()?["refs/heads/test"], pushed);
    stage.serves("test", "/get", 200)?;
    stage.serves("test", "/headers", 404)?;
    let group = stage.read("/v1/groups/test")?;
    assert_eq!(group["head"], *pushed);

    // Who is known by a token, too, and several branches at once.
    let editor = url(&stage, &token(&stage, "jane", "editor")?);
    let pushed = tree.commit(ROUTE, route("/headers"))?;
    let ended = tree.ended(&["push", "--atomic", &editor, "HEAD:test"])?;
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(stage.git().refs()?["refs/heads/test"], pushed);
    stage.serves("test", "/headers", 200)?;

    // An option is taken; what it means is not the transport's business.
    tree.commit(ROUTE, route("/ip"))?;
    let ended = tree.ended(&["push", "--push-option=note=hello", &editor, "HEAD:test"])?;
    assert!(!ended.stderr.contains("does not support push options"), "{ended:?}");

    // Not a step back, not a branch less, and nothing that is hidden.
    let before = stage.git().refs()?;
    for refspec in ["+HEAD~1:test", ":test", "HEAD:refs/refgate/access"] {
        let ended = tree.ended(&["push", "--force", &editor, refspec])?;
        assert!(!ended.status.success(), "{refspec} {ended:?}");
        assert_eq!(stage.git().refs()?, before, "{refspec}");
    }
    quarantine_is_empty(&stage.data())?;
    stage.git().fsck()
}

#[test]
fn who_may_not_is_told_so_and_nothing_else() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    let tree = clone(&stage)?;
    tree.commit(ROUTE, route("/get"))?;
    let viewer = url(&stage, &token(&stage, "looker", "viewer")?);
    let before = stage.git().refs()?;
    let wrong = url(&stage, "not-a-token-of-ours");
    let unasked = address(&stage);
    let bearer = "http.extraHeader=Authorization: Bearer not-a-token-of-ours";
    let table: [(&[&str], &str); 7] = [
        (&["ls-remote", &wrong], "Authentication failed"),
        (&["ls-remote", &format!("{wrong}/no-such")], "Authentication failed"),
        (&["ls-remote", &unasked], "could not read Username"),
        (&["-c", bearer, "ls-remote", &unasked], "could not read Username"),
        (&["push", &wrong, "HEAD:test"], "Authentication failed"),
        (&["push", &viewer, "HEAD:test"], "needs the role editor"),
        (&["ls-remote", &format!("{viewer}/no-such")], "not found"),
    ];
    for (arguments, told) in table {
        let ended = tree.ended(arguments)?;
        assert_eq!(ended.code(), 128, "{arguments:?} {ended:?}");
        assert!(ended.stderr.contains(told), "{arguments:?} {ended:?}");
        assert!(!ended.stderr.contains("refs/heads"), "{arguments:?} {ended:?}");
    }
    tree.run(&["fetch", &viewer, "test"])?;
    assert_eq!(stage.git().refs()?, before);

    // A token that is taken away is worth nothing at once.
    let listed = stage.refgate.client(&["token", "list", "-o", "name"])?;
    assert_eq!(listed.stdout, "admin\nlooker\n", "{listed:?}");
    let gone = stage.refgate.client(&["token", "revoke", "looker"])?;
    assert!(gone.status.success(), "{gone:?}");
    let ended = tree.ended(&["fetch", &viewer, "test"])?;
    assert!(ended.stderr.contains("Authentication failed"), "{ended:?}");
    Ok(())
}

#[test]
fn the_environment_of_git_is_refgates_own() -> anyhow::Result<()> {
    let mut stage = Stage::new()?;
    // What the server itself was started with does not reach git.
    let mut command = Refgate::command(&stage.data())?;
    command
        .envs([("GIT_DIR", "/nonexistent"), ("GIT_CONFIG_COUNT", "1")])
        .envs([("GIT_CONFIG_KEY_0", "receive.denyDeletes"), ("GIT_CONFIG_VALUE_0", "false")])
        .env("SECRET_OF_THE_SERVER", "x");
    stage.refgate.process().kill()?;
    stage.refgate = Refgate::start(&mut command)?;

    // A hook that writes down what it sees, in the place of those that are there.
    let (hook, seen) = (stage.data().join("hooks/post-receive"), stage.scratch().join("seen"));
    fs::write(&hook, format!("#!/bin/sh\nenv > '{}'\n", seen.display()))?;
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755))?;
    // Another place for hooks, which the repository names, does not count here.
    stage.git().run(&["config", "core.hooksPath", "/nonexistent"])?;

    let tree = clone(&stage)?;
    tree.commit("README.md", "# Test\n")?;
    let editor = url(&stage, &token(&stage, "jane", "editor")?);
    tree.run(&[
        "-c",
        "http.extraHeader=GIT_DIR: /tmp",
        "-c",
        "http.extraHeader=GIT_CONFIG_PARAMETERS: 'core.hooksPath=/dev/null'",
        "-c",
        "http.extraHeader=Git-Protocol: version=2:$(id)",
        "-c",
        "http.extraHeader=X-Request-Id: push-42",
        "push",
        &editor,
        "HEAD:test",
    ])?;
    let seen = fs::read_to_string(seen)?;
    let variables: Vec<(&str, &str)> =
        seen.lines().filter_map(|line| line.split_once('=')).collect();
    let value =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    assert_eq!(value("REFGATE_PUSHER"), Some("jane"));
    assert_eq!(value("REFGATE_PUSHER_ROLE"), Some("editor"));
    assert_eq!(value("REFGATE_REQUEST_ID"), Some("push-42"));
    assert_eq!(value("REFGATE_SERVER"), Some(stage.refgate.api.base()));
    assert_eq!(value("SECRET_OF_THE_SERVER"), None);
    assert_eq!(value("GIT_PROTOCOL"), None);
    assert_eq!(value("REFGATE_ADMIN_TOKEN"), None);
    assert!(!seen.contains("/nonexistent") && !seen.contains("denyDeletes"), "{seen}");

    // What the hook is given opens the door for reading, and only that.
    let hook = value("REFGATE_HOOK_TOKEN").context("a token for the hook")?;
    let api =
        Client::new(stage.refgate.api.base()).with("authorization", &format!("Bearer {hook}"));
    let head = stage.git().refs()?["refs/heads/test"].clone();
    let asked = format!("/v1/groups/test/convergence?commit={head}&wait=30");
    let served = api.get(&asked)?.expect(200)?.body()?;
    assert_eq!(served, json!({"commit": head, "applied": 1, "total": 1, "pending": []}));
    let patch = json!({"description": "x"});
    api.json("PATCH", "/v1/groups/test", &patch)?.expect(403)?;
    let ended = tree.ended(&["push", &url(&stage, hook), "HEAD:test"])?;
    assert!(ended.stderr.contains("needs the role editor"), "{ended:?}");
    Ok(())
}

/// The program that docs/git.md gives to keys of ssh, with sshd played by a script.
#[test]
fn the_recipe_for_ssh_opens_one_repository() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    let docs = fs::read_to_string(workspace().join("docs/git.md"))?;
    let recipe: Vec<&str> = docs
        .lines()
        .map(|line| line.strip_prefix("   ").unwrap_or(line))
        .skip_while(|line| *line != "#!/bin/sh")
        .take_while(|line| *line != "```")
        .collect();
    let data = stage.data();
    let recipe = recipe
        .join("\n")
        .replace("/var/lib/refgate/config.git", &data.join("config.git").to_string_lossy());
    assert!(recipe.contains("SSH_ORIGINAL_COMMAND"), "{recipe}");
    let program = |name: &str, text: &str| -> anyhow::Result<String> {
        let path = stage.scratch().join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(path.to_string_lossy().into_owned())
    };
    let opens = program("refgate-git", &recipe)?;
    let sshd = format!(
        "#!/bin/sh\nfor command; do :; done\nSSH_ORIGINAL_COMMAND=$command exec '{opens}' jane\n"
    );
    let sshd = program("sshd", &sshd)?;
    let ssh = |mut command: Command| {
        run(command.env("GIT_SSH_COMMAND", &sshd).env("GIT_SSH_VARIANT", "simple"))
    };

    let tree = WorkTree::at(stage.scratch().join("clone"));
    for (url, opened) in [
        ("refgate@gateway:config.git", true),
        ("ssh://refgate@gateway/config.git", true),
        ("refgate@gateway:config.git/../config.git", false),
        ("refgate@gateway:refgate-data/config.git", false),
        ("ssh://refgate@gateway/etc", false),
    ] {
        let mut command = git();
        command.args(["ls-remote", url]);
        let ended = ssh(command)?;
        assert_eq!(ended.status.success(), opened, "{url} {ended:?}");
        assert_eq!(ended.stdout.contains("refs/heads/test"), opened, "{url} {ended:?}");
        assert_eq!(ended.stderr.contains("only config.git"), !opened, "{url} {ended:?}");
    }
    let mut command = git();
    command.args(["clone", "--quiet", "--branch", "test", "refgate@gateway:config.git"]);
    command.arg(stage.scratch().join("clone"));
    let ended = ssh(command)?;
    assert!(ended.status.success(), "{ended:?}");
    tree.commit(ROUTE, route("/get"))?;
    let mut command = tree.command();
    command.args(["push", "origin", "HEAD:test"]);
    let ended = ssh(command)?;
    assert!(ended.status.success(), "{ended:?}");
    stage.serves("test", "/get", 200)?;
    Ok(())
}
