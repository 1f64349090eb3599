//! A push by git as people meet it: what it changes, what it is told, and what is refused.
//! [`by_path`] is a push past the control plane, [`crowd`] many at once, [`harm`] what is made to hurt.

mod by_path;
mod crowd;
mod harm;

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use refgate_tests::git::WorkTree;
use refgate_tests::process::Ended;
use refgate_tests::stage::{Stage, TOKEN};
use refgate_tests::wait::wait_for;
use serde_json::{Value, json};

const ROUTE: &str = "services/httpbin/routes/get-headers.json";

/// The address of the repository, with a token in it.
fn url(stage: &Stage, token: &str) -> String {
    let address = format!("{}/config.git", stage.refgate.api.base());
    address.replacen("://", &format!("://x:{token}@"), 1)
}

/// A clone of the group test, under a name.
fn clone(stage: &Stage, name: &str) -> anyhow::Result<WorkTree> {
    WorkTree::clone_of(&url(stage, TOKEN), stage.scratch().join(name), &["--branch", "test"])
}

/// The file of a route of one path.
fn route(path: &str) -> String {
    format!("{:#}\n", json!({"paths": [path], "methods": ["GET"]}))
}

/// `git push` with the answers of the server as plain lines; `arguments` after the options.
fn push(tree: &WorkTree, arguments: &[&str]) -> anyhow::Result<Ended> {
    tree.ended(&[&["-c", "color.ui=false", "push"], arguments].concat())
}

/// What the server said, line by line.
fn remote(ended: &Ended) -> String {
    let lines = ended.stderr.lines().filter_map(|line| line.strip_prefix("remote: "));
    lines.map(|line| format!("{}\n", line.trim_end())).collect()
}

fn accepted(ended: Ended, parts: &[&str]) -> anyhow::Result<()> {
    anyhow::ensure!(ended.status.success(), "{ended:?}");
    says(&ended, parts)
}

fn refused(ended: Ended, parts: &[&str]) -> anyhow::Result<()> {
    anyhow::ensure!(!ended.status.success(), "{ended:?}");
    says(&ended, parts)
}

fn says(ended: &Ended, parts: &[&str]) -> anyhow::Result<()> {
    let said = remote(ended);
    for part in parts {
        anyhow::ensure!(said.contains(part), "no {part:?} in\n{said}\n{}", ended.stderr);
    }
    Ok(())
}

/// Nothing of an unfinished push lies in the repository.
fn nothing_is_left(data: &Path) -> anyhow::Result<()> {
    wait_for("the quarantine to be empty", || {
        for entry in fs::read_dir(data.join("config.git/objects"))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let left =
                ["incoming", "tmp_objdir", "tmp_pack"].iter().any(|word| name.contains(word));
            anyhow::ensure!(!left, "{name}");
        }
        Ok(())
    })
}

/// The newest event of a group.
fn newest(stage: &Stage, group: &str) -> anyhow::Result<Value> {
    let page = stage.read(&format!("/v1/groups/{group}/history?limit=1"))?;
    Ok(page["items"][0].clone())
}

/// A new token of a role.
fn token(stage: &Stage, name: &str, role: &str) -> anyhow::Result<String> {
    let made = stage.api("POST", "/v1/tokens", &json!({"name": name, "role": role}))?;
    let made = made.expect(201)?.body()?;
    Ok(made["token"].as_str().context("the token")?.to_owned())
}

#[test]
fn what_is_pushed_is_served_and_the_pusher_is_told() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    let tree = clone(&stage, "clone")?;
    let eve = url(&stage, &token(&stage, "eve", "editor")?);
    let commit = tree.commit(ROUTE, route("/get"))?;
    let see = format!("see {}/groups/test/commits/{commit}", stage.refgate.api.base());
    let at = format!("test is at revision 3 ({})", &commit[..10]);
    let told = [at.as_str(), "httpbin changed (no version yet)", "its gateway serves it", &see];
    accepted(push(&tree, &[&eve, "HEAD:test"])?, &told)?;
    stage.refgate.gateway("test", "test.acme.com").get("/get")?.expect(200)?;
    let event = newest(&stage, "test")?;
    assert_eq!(
        (&event["event"], &event["actor"], &event["author"], &event["revision"]),
        (&json!("pushed"), &json!("eve"), &json!("Jane"), &json!(3))
    );
    assert!(event["request_id"].is_string(), "{event}");

    // A warning is told, and the push is taken.
    tree.commit("runtime/later.json", "{}\n")?;
    let told = ["warning: test: runtime/later.json: ", "the runtime of later changed"];
    accepted(push(&tree, &[&eve, "HEAD:test"])?, &told)?;
    // In a terminal the words at the beginning of a line have a colour.
    tree.commit(ROUTE, "{")?;
    let ended = tree.ended(&["-c", "color.remote=always", "push", &eve, "HEAD:test"])?;
    assert!(ended.stderr.contains("\u{1b}["), "{}", ended.stderr);
    nothing_is_left(&stage.data())?;
    stage.git().fsck()
}

#[test]
fn what_is_refused_leaves_nothing() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    let tree = clone(&stage, "clone")?;
    let eve = url(&stage, &token(&stage, "eve", "editor")?);
    let (refs, objects) = (stage.git().refs()?, stage.git().run(&["count-objects", "-v"])?);
    fs::create_dir_all(stage.scratch().join("clone/runtime"))?;
    fs::write(stage.scratch().join("clone/runtime/httpbin.json"), "{\n  \"hosts\": [\"-\"]\n}\n")?;
    tree.run(&["add", "."])?;
    tree.commit(ROUTE, "{\n  \"paths\": [\"get\"],\n  \"method\": []\n}\n")?;
    let told = [
        "error: test: runtime/httpbin.json:2:13 /hosts/0: \"-\" is not a host",
        "error: test: services/httpbin/routes/get-headers.json:2:13 /paths/0: ",
        "error: test: services/httpbin/routes/get-headers.json:3:3 /method: ",
        "hint: did you mean \"methods\"?",
        "error: the push was refused; nothing was changed",
    ];
    refused(push(&tree, &[&eve, "HEAD:test"])?, &told)?;
    let ended = push(&tree, &[&eve, "HEAD:test"])?;
    assert!(ended.stderr.contains("! [remote rejected] HEAD -> test"), "{}", ended.stderr);

    // By name, whichever way it is asked.
    let broken = tree.run(&["rev-parse", "HEAD"])?;
    tree.run(&["reset", "--quiet", "--hard", "origin/test"])?;
    let fine = tree.commit("README.md", "# fine\n")?;
    tree.run(&["tag", "test", &fine])?;
    tree.run(&["branch", "loop", &fine])?;
    let older = tree.run(&["rev-parse", "origin/test~1"])?;
    let table: [(&[&str], &[&str]); 10] = [
        (
            &[
                "--atomic",
                "--force",
                &format!("{fine}:refs/heads/test"),
                &format!("{broken}:refs/heads/uat"),
            ],
            &["nothing was changed", "[not_fast_forward]"],
        ),
        (
            &[&format!("{fine}:refs/heads/test"), &format!("{fine}:refs/heads/new")],
            &["error: new: there is no group new, and your token may not create one [forbidden]"],
        ),
        (
            &["--force", &format!("{older}:refs/heads/test")],
            &["error: test: the push does not go on", "hint: git pull --rebase"],
        ),
        (
            &[&format!("+{older}:refs/heads/test"), &format!("+{fine}:refs/heads/uat")],
            &["error: test: ", "error: uat: "],
        ),
        (&["--delete", "test"], &["error: test: nothing is taken away by a push"]),
        (&["--mirror"], &["[deletion_refused]", "refs/remotes/origin/test", "[bad_ref]"]),
        (&[&format!("{fine}:refs/tags/test")], &["a tag here is a version of a service"]),
        // A tag and a branch of one name.
        (&["refs/tags/test", "refs/heads/test"], &["error: test: a tag here is a version"]),
        (&[&format!("{fine}:refs/heads/a/b")], &["error: a/b: a branch is a gateway group"]),
        (&[&format!("{fine}:refs/notes/commits")], &["error: refs/notes/commits: no such ref"]),
    ];
    for (arguments, told) in table {
        let ended = push(&tree, &[&[eve.as_str()], arguments].concat())?;
        refused(ended, told).with_context(|| format!("{arguments:?}"))?;
        assert_eq!(stage.git().refs()?, refs, "{arguments:?}");
    }
    nothing_is_left(&stage.data())?;
    assert_eq!(stage.git().run(&["count-objects", "-v"])?, objects);
    assert_eq!(newest(&stage, "test")?["event"], "service.created");

    // Two links that go in a circle, and what a link leads out to.
    let clone = stage.scratch().join("clone");
    for (link, to) in
        [("services/one", "two"), ("services/two", "one"), ("runtime/x.json", "/etc/passwd")]
    {
        std::os::unix::fs::symlink(to, clone.join(link))?;
    }
    tree.run(&["add", "."])?;
    tree.run(&["commit", "--quiet", "-m", "links"])?;
    let told =
        ["services/one: symbolic links", "services/two: symbolic", "runtime/x.json: symbolic"];
    refused(push(&tree, &[&eve, "HEAD:test"])?, &told)?;
    assert_eq!(stage.git().refs()?, refs);
    stage.serves("test", "/headers", 200)?;
    nothing_is_left(&stage.data())
}

#[test]
fn a_tag_is_a_version() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    let tree = clone(&stage, "clone")?;
    let eve = url(&stage, &token(&stage, "eve", "editor")?);
    tree.run(&["tag", "httpbin/1.0.0"])?;
    accepted(push(&tree, &[&eve, "httpbin/1.0.0"])?, &["httpbin 1.0.0 is a version now"])?;
    let version = stage.read("/v1/services/httpbin/versions")?["items"][0].clone();
    assert_eq!((&version["version"], &version["created_by"]), (&json!("1.0.0"), &json!("eve")));
    assert_eq!(stage.read("/v1/groups/test/services/httpbin")?["version"], "1.0.0");

    // Annotated, in one push with its branch, whole or not at all.
    tree.commit(ROUTE, route("/get"))?;
    tree.run(&["tag", "-a", "-m", "answers /get", "httpbin/1.1.0"])?;
    let both = [&eve, "--atomic", "HEAD:test", "httpbin/1.1.0"];
    let told = ["httpbin 1.1.0 is a version now", "httpbin is at 1.1.0", "its gateway serves it"];
    accepted(push(&tree, &both)?, &told)?;

    let refs = stage.git().refs()?;
    tree.run(&["tag", "httpbin/2.0.0"])?;
    tree.run(&["tag", "other/1.0.0"])?;
    tree.run(&["tag", "--force", "httpbin/1.0.0"])?;
    for (arguments, told) in [
        (&["httpbin/2.0.0"][..], "[content_already_versioned]"),
        (&["other/1.0.0"], "there is no service other at this commit [not_found]"),
        (&["--force", "httpbin/1.0.0"], "versions never move [version_taken]"),
        (&["--delete", "httpbin/1.0.0"], "a version stays [deletion_refused]"),
        (&["--tags"], "[content_already_versioned]"),
    ] {
        let ended = push(&tree, &[&[eve.as_str()], arguments].concat())?;
        if arguments == ["--tags"] {
            // git itself keeps a tag that is there; the rest is one push.
            anyhow::ensure!(!ended.status.success(), "{ended:?}");
        } else {
            refused(ended, &[told]).with_context(|| format!("{arguments:?}"))?;
        }
        assert_eq!(stage.git().refs()?, refs, "{arguments:?}");
    }
    stage.git().fsck()
}

#[test]
fn a_push_to_refs_for_promotes() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    let tree = clone(&stage, "clone")?;
    let eve = url(&stage, &token(&stage, "eve", "editor")?);
    let promote = |group: &str, options: &[&str]| {
        let target = format!("HEAD:refs/for/{group}");
        let options = options.iter().flat_map(|option| ["-o", option]);
        let arguments: Vec<&str> = options.chain([eve.as_str(), &target]).collect();
        push(&tree, &arguments)
    };
    let refs = stage.git().refs()?;
    let (service, version) = ("service=httpbin", "version=1.0.0");
    // What is missing, unknown or closed is told, and nothing happens.
    refused(promote("uat", &[])?, &[])?;
    let ended = promote("uat", &[])?;
    assert!(ended.stderr.contains("say which service: git push -o service="), "{}", ended.stderr);
    let ended = promote("uat", &[service, "force"])?;
    assert!(ended.stderr.contains("unknown option"), "{}", ended.stderr);
    refused(promote("uat", &[service])?, &["[version_required]"])?;
    refused(promote("uat", &["service=other"])?, &["service other", "[not_found]"])?;
    refused(promote("nowhere", &[service, version])?, &["there is no group nowhere"])?;
    refused(promote("production", &[service, version])?, &["[promotion_gate]", "uat"])?;
    let told =
        ["httpbin 1.0.0 would be promoted to uat; nothing was changed", "routes/get-headers"];
    accepted(promote("uat", &[service, version, "dry-run"])?, &told)?;
    assert_eq!(stage.git().refs()?, refs);

    let told = ["httpbin 1.0.0 was promoted to uat, revision 2"];
    accepted(promote("uat", &[service, version, "reason=release"])?, &told)?;
    let event = newest(&stage, "uat")?;
    assert_eq!(
        (
            &event["event"],
            &event["actor"],
            &event["version"],
            &event["from_group"],
            &event["reason"]
        ),
        (
            &json!("version.promoted"),
            &json!("eve"),
            &json!("1.0.0"),
            &json!("test"),
            &json!("release")
        )
    );
    accepted(promote("uat", &[service])?, &["uat runs httpbin 1.0.0 already"])?;
    accepted(promote("production", &[service])?, &["was promoted to production"])?;
    // No ref is left that was only a way to say it.
    assert!(!stage.git().refs()?.keys().any(|name| name.starts_with("refs/for")));

    // Both edited the same place.
    let patch = |group: &str, priority: i32| {
        let patch = json!({"routes": {"get-headers": {"priority": priority}}});
        stage.api("PATCH", &format!("/v1/groups/{group}/services/httpbin"), &patch)?.expect(200)
    };
    patch("uat", 3)?;
    patch("test", 5)?;
    tree.run(&["pull", "--quiet", "--ff-only", "origin", "test"])?;
    let version = "version=1.1.0";
    let told = ["[promotion_conflict]", "/priority:", "ours: 3", "theirs: 5", "on-conflict=theirs"];
    refused(promote("uat", &[service, version])?, &told)?;
    let told = ["httpbin 1.1.0 was promoted to uat"];
    accepted(promote("uat", &[service, version, "on-conflict=theirs"])?, &told)?;
    let route = stage.read("/v1/groups/uat/services/httpbin/routes/get-headers")?;
    assert_eq!(route["priority"], 5);

    // What nobody has pushed to a group cannot come to another one.
    tree.commit("README.md", "# mine\n")?;
    refused(promote("uat", &[service])?, &["push the branch of its group first"])?;
    nothing_is_left(&stage.data())?;
    stage.git().fsck()
}

#[test]
fn what_git_brings_back_is_a_rollback() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    let tree = clone(&stage, "clone")?;
    tree.run(&["tag", "httpbin/1.0.0"])?;
    tree.commit(ROUTE, route("/get"))?;
    tree.run(&["push", "--quiet", "origin", "HEAD:test", "httpbin/1.0.0"])?;
    stage.serves("test", "/get", 200)?;
    tree.run(&["checkout", "httpbin/1.0.0", "--", "services/httpbin"])?;
    tree.run(&["commit", "--quiet", "-m", "httpbin: back to 1.0.0"])?;
    accepted(push(&tree, &["origin", "HEAD:test"])?, &["httpbin is at 1.0.0"])?;
    stage.serves("test", "/headers", 200)?;
    let event = newest(&stage, "test")?;
    assert_eq!(
        (&event["event"], &event["version"], &event["service"]),
        (&json!("version.rolled-back"), &json!("1.0.0"), &json!("httpbin"))
    );
    let page = stage.read("/v1/groups/test/history?event=version.rolled-back")?;
    assert_eq!(page["items"].as_array().map(Vec::len), Some(1), "{page}");
    let shown = stage.refgate.client(&["history", "--group", "test"])?;
    assert!(shown.stdout.contains("version.rolled-back"), "{shown:?}");
    Ok(())
}

#[test]
fn the_first_push_of_a_branch_makes_a_group() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    let tree = clone(&stage, "clone")?;
    let eve = url(&stage, &token(&stage, "eve", "editor")?);
    tree.run(&["switch", "--quiet", "--create", "staging"])?;
    tree.commit("group.json", "{\"description\": \"Before uat\"}\n")?;
    refused(push(&tree, &[&eve, "staging"])?, &["[forbidden]", "ask an administrator"])?;
    let broken = tree.commit("group.json", "{\"desc\": 1}\n")?;
    refused(push(&tree, &["origin", "staging"])?, &["group.json:1:2 /desc", "unknown key"])?;
    assert!(!stage.git().refs()?.contains_key("refs/heads/staging"));
    tree.run(&["reset", "--quiet", "--hard", &format!("{broken}~1")])?;
    let told = ["staging begins at revision 3", "httpbin was added", "no gateway of this group"];
    accepted(push(&tree, &["origin", "staging"])?, &told)?;
    let group = stage.read("/v1/groups/staging")?;
    assert_eq!((&group["description"], &group["services"]), (&json!("Before uat"), &json!(1)));
    // Its settings stay an administrator's.
    tree.commit("group.json", "{}\n")?;
    refused(push(&tree, &[&eve, "staging"])?, &["only administrators may do"])?;
    accepted(push(&tree, &["origin", "staging"])?, &["group.json changed"])
}
