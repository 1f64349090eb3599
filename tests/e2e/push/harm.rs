//! Pushes that are made to hurt: broken off, lying, short of objects, or far larger than they look.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;

use anyhow::Context as _;
use refgate_tests::git::{WorkTree, git};
use refgate_tests::stage::{Stage, TOKEN};
use refgate_tests::wait::wait_for;

use super::{ROUTE, accepted, clone, nothing_is_left, push, refused, route};

const ZERO: &str = "0000000000000000000000000000000000000000";

/// Sends a pack the way git would, from `old` to `new` of the group test; what is answered.
fn send_pack(stage: &Stage, old: &str, new: &str, pack: &[u8]) -> anyhow::Result<String> {
    let line = format!("{old} {new} refs/heads/test\0report-status side-band-64k");
    let mut body = format!("{:04x}{line}0000", line.len() + 4).into_bytes();
    body.extend_from_slice(pack);
    let authority = stage.refgate.api.base().trim_start_matches("http://");
    let mut stream = TcpStream::connect(authority)?;
    let head = format!(
        "POST /config.git/git-receive-pack HTTP/1.1\r\nhost: {authority}\r\n\
         authorization: Bearer {TOKEN}\r\ncontent-length: {}\r\nconnection: close\r\n\
         content-type: application/x-git-receive-pack-request\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The pack of what `new` has and `old` has not.
fn pack(tree: &WorkTree, arguments: &[&str], revisions: &str) -> anyhow::Result<Vec<u8>> {
    let mut command = tree.command();
    command.args(["pack-objects", "--stdout", "--quiet", "--revs"]).args(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().context("piped")?.write_all(revisions.as_bytes())?;
    let output = child.wait_with_output()?;
    anyhow::ensure!(output.status.success(), "{output:?}");
    Ok(output.stdout)
}

/// A pack whose last bytes are right for what is before them.
fn sealed(mut pack: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    pack.truncate(pack.len() - 20);
    let mut child = std::process::Command::new("sha1sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("sha1sum")?;
    child.stdin.take().context("piped")?.write_all(&pack)?;
    let output = child.wait_with_output()?;
    let hex = String::from_utf8(output.stdout)?;
    let digits = hex.get(..40).context("a hash")?;
    for index in (0..40).step_by(2) {
        pack.push(u8::from_str_radix(&digits[index..index + 2], 16)?);
    }
    Ok(pack)
}

#[test]
fn packs_that_are_not_what_they_say_change_nothing() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    let tree = clone(&stage, "clone")?;
    let old = tree.run(&["rev-parse", "HEAD"])?;
    let new = tree.commit(ROUTE, route("/get"))?;
    let refs = stage.git().refs()?;
    let good = pack(&tree, &["--thin"], &format!("{new}\n^{old}\n"))?;

    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    let resealed = sealed(flipped.clone())?;
    // One object more, or fewer, than there are.
    let mut more = good.clone();
    more[11] += 1;
    let mut fewer = good.clone();
    fewer[11] -= 1;
    // Says it has what it has not: the commit without its tree.
    let alone = {
        let mut command = tree.command();
        command.args(["pack-objects", "--stdout", "--quiet"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        child.stdin.take().context("piped")?.write_all(format!("{new}\n").as_bytes())?;
        child.wait_with_output()?.stdout
    };
    // Differences to objects that nobody here has.
    let elsewhere = WorkTree::at(stage.scratch().join("elsewhere"));
    refgate_tests::process::run(
        git().args(["init", "--quiet"]).arg(stage.scratch().join("elsewhere")),
    )?;
    let text: String = (0..2000).map(|line| format!("line {line}\n")).collect();
    let base = elsewhere.commit("README.md", &text)?;
    let onto = elsewhere.commit("README.md", format!("{text}and one more\n"))?;
    let thin = pack(&elsewhere, &["--thin"], &format!("{onto}\n^{base}\n"))?;
    let truncated = good[..good.len() - 30].to_vec();
    for (what, old, new, pack) in [
        ("flipped", old.as_str(), new.as_str(), &flipped),
        ("flipped, sealed", &old, &new, &resealed),
        ("announced too many", &old, &new, &more),
        ("announced too many, sealed", &old, &new, &sealed(more.clone())?),
        ("announced too few", &old, &new, &fewer),
        ("announced too few, sealed", &old, &new, &sealed(fewer.clone())?),
        ("no tree", &old, &new, &alone),
        ("no base", &old, &onto, &thin),
        ("cut off", &old, &new, &truncated),
        ("no pack", &old, &new, &b"PACK".to_vec()),
        ("no commit", &old, "1111111111111111111111111111111111111111", &good),
        ("from nothing", ZERO, &new, &good),
    ] {
        let answer = send_pack(&stage, old, new, pack)?;
        let told = answer.starts_with("HTTP/1.1 200")
            && ["unpack", "ng refs/heads/test", "error", "fatal"]
                .iter()
                .any(|word| answer.contains(word));
        assert!(told && !answer.contains("ok refs/heads/test"), "{what}: {answer}");
        assert_eq!(stage.git().refs()?, refs, "{what}");
        nothing_is_left(&stage.data()).context(what)?;
    }
    // The same pack, unharmed.
    let answer = send_pack(&stage, &old, &new, &good)?;
    assert!(answer.contains("ok refs/heads/test"), "{answer}");
    stage.serves("test", "/get", 200)?;
    stage.git().fsck()
}

#[test]
fn objects_that_git_finds_fault_with_do_not_come_in() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    let tree = clone(&stage, "clone")?;
    let refs = stage.git().refs()?;
    let blob = tree.run(&["rev-parse", &format!("HEAD:{ROUTE}")])?;
    let raw: Vec<u8> = (0..40)
        .step_by(2)
        .map(|index| u8::from_str_radix(&blob[index..index + 2], 16))
        .collect::<Result<_, _>>()?;
    for (what, entry) in [
        ("a step up", &b"100644 .."[..]),
        ("a folder of git", b"100644 .git"),
        ("a slash", b"100644 services/x"),
        ("modules", b"120000 .gitmodules"),
    ] {
        let file = stage.scratch().join("tree");
        std::fs::write(&file, [entry, b"\0", &raw].concat())?;
        let file = file.display().to_string();
        let id = tree.run(&["hash-object", "-w", "--literally", "-t", "tree", &file])?;
        let commit = tree.run(&["commit-tree", "-p", "HEAD", "-m", what, &id])?;
        let ended = push(&tree, &["origin", &format!("{commit}:refs/heads/test")])?;
        assert!(!ended.status.success() && ended.stderr.contains(&id), "{what}: {ended:?}");
        assert_eq!(stage.git().refs()?, refs, "{what}");
    }
    nothing_is_left(&stage.data())
}

#[test]
fn a_small_pack_that_unfolds_to_a_huge_file_is_refused_by_name() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    let tree = clone(&stage, "clone")?;
    let refs = stage.git().refs()?;
    // 1 GiB of zeros, under two names; the files themselves take no room here.
    let told = ["services/httpbin/routes/zeros.json", "README.md"].map(|path| {
        let file = stage.scratch().join("clone").join(path);
        std::fs::File::create(&file)?.set_len(1 << 30)?;
        Ok(format!("error: test: {path}: the file has 1073741824 bytes; 1 MiB is the limit"))
    });
    let told = told.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    tree.run(&["config", "core.bigFileThreshold", "1m"])?;
    tree.run(&["add", "."])?;
    tree.run(&["commit", "--quiet", "-m", "zeros"])?;
    let told: Vec<&str> = told.iter().map(String::as_str).collect();
    refused(push(&tree, &["origin", "HEAD:test"])?, &told)?;
    assert_eq!(stage.git().refs()?, refs);
    tree.run(&["reset", "--quiet", "--hard", "origin/test"])?;
    nothing_is_left(&stage.data())?;
    stage.read("/v1/groups")?;
    tree.commit(ROUTE, route("/get"))?;
    accepted(push(&tree, &["origin", "HEAD:test"])?, &["its gateway serves it"])
}

#[test]
fn a_push_that_stops_half_way_leaves_nothing() -> anyhow::Result<()> {
    let mut stage = Stage::with_httpbin()?;
    let tree = clone(&stage, "clone")?;
    let old = tree.run(&["rev-parse", "HEAD"])?;
    let new = tree.commit(ROUTE, route("/get"))?;
    let refs = stage.git().refs()?;
    let pack = pack(&tree, &[], &format!("{new}\n^{old}\n"))?;
    let line = format!("{old} {new} refs/heads/test\0report-status");
    let mut body = format!("{:04x}{line}0000", line.len() + 4).into_bytes();
    body.extend_from_slice(&pack);
    let authority = stage.refgate.api.base().trim_start_matches("http://").to_owned();
    for length in [body.len() / 4, body.len() / 2, body.len() - pack.len() / 2, body.len() - 1] {
        let mut stream = TcpStream::connect(&authority)?;
        let head = format!(
            "POST /config.git/git-receive-pack HTTP/1.1\r\nhost: {authority}\r\n\
             authorization: Bearer {TOKEN}\r\ncontent-length: {}\r\n\
             content-type: application/x-git-receive-pack-request\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(&body[..length])?;
        drop(stream);
        let process = stage.refgate.process();
        wait_for("git to end", || {
            let running = process.children()?;
            anyhow::ensure!(running.is_empty(), "{running:?}");
            Ok(())
        })?;
        nothing_is_left(&stage.data())?;
        assert_eq!(stage.git().refs()?, refs, "{length}");
    }
    accepted(push(&tree, &["origin", "HEAD:test"])?, &["its gateway serves it"])
}
