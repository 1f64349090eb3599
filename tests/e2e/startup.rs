//! Starting: what `refgate up` makes of a directory, and when it refuses to start.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use refgate_tests::git::Git;
use refgate_tests::http::Client;
use refgate_tests::process::{Ended, Process, run};
use refgate_tests::stage::{GROUPS, Origin, Refgate, Stage, refgate};
use tempfile::TempDir;

/// It ended by itself, with a failure told in one message that names `what`.
fn refused(ended: &Ended, what: &[&str]) {
    assert_eq!(ended.code(), 1, "{ended:?}");
    for what in what {
        assert!(ended.stderr.contains(what), "`{what}` is not in: {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}

#[test]
fn a_new_directory_becomes_a_repository_with_three_groups() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let git = stage.git();
    assert_eq!(git.run(&["rev-parse", "--is-bare-repository"])?, "true");
    for group in GROUPS {
        assert!(git.refs()?.contains_key(&format!("refs/heads/{group}")), "{group}");
        let read = stage.read(&format!("/v1/groups/{group}"))?;
        assert_eq!(read["revision"], 1);
        assert_eq!(read["services"], 0);
    }
    let production = stage.read("/v1/groups/production")?;
    assert_eq!(production["promotion"]["from"], serde_json::json!(["uat"]));
    git.fsck()
}

#[test]
fn a_directory_is_found_again_as_it_was_left() -> anyhow::Result<()> {
    let directory = TempDir::new()?;
    let git = Git::at(directory.path().join("config.git"));
    let refgate = Refgate::up(directory.path())?;
    let document = serde_json::json!({"routes": {"all": {"paths": ["/*"]}}, "runtime": {"upstreams": {"default": {}}}});
    refgate.api.json("PUT", "/v1/groups/test/services/orders", &document)?.expect(201)?;
    let before = git.refs()?;
    let ended = refgate.stop()?;
    assert_eq!(ended.code(), 0, "{ended:?}");

    let refgate = Refgate::up(directory.path())?;
    assert_eq!(git.refs()?, before);
    let service = refgate.api.get("/v1/groups/test/services/orders")?.expect(200)?.body()?;
    assert_eq!(service["live_reason"], "no_nodes");
    Ok(())
}

#[test]
fn gateways_beside_the_control_plane_have_the_limits_that_they_are_given() -> anyhow::Result<()> {
    let directory = TempDir::new()?;
    let origin = Origin::start()?;
    let refgate = Refgate::start(Refgate::command(directory.path())?.arg("--max-body=10"))?;
    let service = serde_json::json!({
        "routes": {"all": {"paths": ["/*"]}}, "runtime": origin.runtime("test.acme.com"),
    });
    refgate.api.json("PUT", "/v1/groups/test/services/echo?wait=60", &service)?.expect(201)?;
    let client = refgate.gateway("test", "test.acme.com");
    client.send("POST", "/anything", &[], "ten bytes!")?.expect(200)?;
    client.send("POST", "/anything", &[], "eleven byte")?.expect(413)?;
    Ok(())
}

#[test]
fn a_generated_token_is_kept_for_its_owner_only() -> anyhow::Result<()> {
    let directory = TempDir::new()?;
    let data = directory.path().join("data");
    let mut command = Refgate::command(&data)?;
    command.env_remove("REFGATE_ADMIN_TOKEN");
    let process = Process::start("refgate", &mut command)?;
    let control = process.line("refgate: control plane ")?;
    let file = data.join("admin-token");
    let token = fs::read_to_string(&file)?.trim().to_owned();
    assert_eq!(fs::metadata(&file)?.permissions().mode() & 0o777, 0o600);
    let api = Client::new(&control).with("authorization", &format!("Bearer {token}"));
    api.get("/v1/groups")?.expect(200)?;

    // Only its hash is in the repository, and it is printed once, to the one who started it.
    let git = Git::at(data.join("config.git"));
    let objects = git.run(&["cat-file", "--batch-all-objects", "--batch"])?;
    assert!(!objects.contains(&token), "the token itself is in the repository");
    drop(process);

    let process = Process::start("refgate", &mut command)?;
    let control = process.line("refgate: control plane ")?;
    let api = Client::new(&control).with("authorization", &format!("Bearer {token}"));
    api.get("/v1/groups")?.expect(200)?;
    assert!(!process.wrote().contains(&token), "printed a second time");
    Ok(())
}

#[test]
fn a_directory_locked_by_another_process_is_left_alone() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    let before = stage.git().refs()?;
    let data = stage.data();
    refused(&run(&mut Refgate::command(&data)?)?, &[&*data.to_string_lossy()]);
    assert_eq!(stage.git().refs()?, before);
    stage.serves("test", "/headers", 200)?;
    Ok(())
}

#[test]
fn a_port_that_is_taken_is_named() -> anyhow::Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let directory = TempDir::new()?;
    for (listen, gateway) in [(address.as_str(), "127.0.0.1:0"), ("127.0.0.1:0", address.as_str())]
    {
        let ended = run(refgate()?
            .args(["up", "--listen", listen, "--gateway", &format!("test={gateway}")])
            .arg("--data-dir")
            .arg(directory.path().join("data")))?;
        refused(&ended, &[&address]);
    }
    Ok(())
}

#[test]
fn a_repository_that_is_not_ours_is_left_alone() -> anyhow::Result<()> {
    let directory = TempDir::new()?;
    let make = |name: &str, make: &dyn Fn(&Path) -> anyhow::Result<()>| {
        let data = directory.path().join(name);
        fs::create_dir(&data)?;
        make(&data.join("config.git"))?;
        let before = listing(&data.join("config.git"))?;
        let ended = run(&mut Refgate::command(&data)?)?;
        refused(&ended, &["config.git"]);
        anyhow::ensure!(listing(&data.join("config.git"))? == before, "{name}: it was changed");
        Ok(())
    };
    make("a-file", &|path| Ok(fs::write(path, "not a repository")?))?;
    make("a-directory", &|path| {
        fs::create_dir(path)?;
        Ok(fs::write(path.join("notes.txt"), "mine")?)
    })?;
    make("another-repository", &|path| {
        let work = path.with_extension("work");
        for arguments in [
            vec!["init", "--quiet", "-b", "main", &work.to_string_lossy()],
            vec![
                "-C",
                &work.to_string_lossy(),
                "-c",
                "user.name=a",
                "-c",
                "user.email=a@example.com",
                "commit",
                "--quiet",
                "--allow-empty",
                "-m",
                "somebody else's",
            ],
            vec!["clone", "--quiet", "--bare", &work.to_string_lossy(), &path.to_string_lossy()],
        ] {
            let ended = run(Command::new("git").args(&arguments))?;
            anyhow::ensure!(ended.status.success(), "{arguments:?}: {}", ended.stderr);
        }
        Ok(())
    })
}

/// Every file below a path with its size; the content of what matters here is in the names.
fn listing(path: &Path) -> anyhow::Result<Vec<(String, u64)>> {
    let mut files = Vec::new();
    let mut open = vec![path.to_owned()];
    while let Some(path) = open.pop() {
        let metadata = fs::metadata(&path)?;
        if metadata.is_dir() {
            for entry in path.read_dir()? {
                open.push(entry?.path());
            }
        }
        files
            .push((path.display().to_string(), if metadata.is_dir() { 0 } else { metadata.len() }));
    }
    files.sort();
    Ok(files)
}
