//! Pushes whose pack is not what it says, sent as no git would.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use refgate_tests::git::WorkTree;
use refgate_tests::stage::Stage;
use refgate_tests::wait::wait_for;

use super::limits::{begin, send};
use super::{ROUTE, clone, quarantine_is_empty, route};

/// What `git pack-objects` makes of `revisions`.
fn pack(tree: &WorkTree, arguments: &[&str], revisions: &str) -> anyhow::Result<Vec<u8>> {
    let mut command: Command = tree.command();
    command.args(["pack-objects", "--quiet", "--revs", "--stdout"]).args(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().context("a pipe")?.write_all(revisions.as_bytes())?;
    let output = child.wait_with_output()?;
    anyhow::ensure!(output.status.success(), "git pack-objects: {}", output.status);
    Ok(output.stdout)
}

/// Pushes a pack as it is; the whole answer.
fn push(stage: &Stage, old: &str, new: &str, pack: &[u8]) -> anyhow::Result<String> {
    let line = format!("{old} {new} refs/heads/test\0report-status");
    let mut body = format!("{:04x}{line}0000", line.len() + 4).into_bytes();
    body.extend_from_slice(pack);
    let mut stream = begin(stage, "receive-pack", &body)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    // A piece of no length is the end.
    send(&mut stream, b"")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[test]
fn packs_that_lie_are_refused_and_leave_nothing() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    let tree = clone(&stage)?;
    let old = tree.run(&["rev-parse", "origin/test"])?;
    let new = tree.commit(ROUTE, route("/get"))?;
    let whole = pack(&tree, &[], "HEAD\n^origin/test\n")?;

    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    let mut other_sum = whole.clone();
    let end = other_sum.len() - 1;
    other_sum[end] ^= 0xff;
    let mut one_more = whole.clone();
    // How many objects there are, in the last byte of its head.
    one_more[11] += 1;

    // A change of a file that only its own parent has, as a difference to what that has.
    let long: String = (0..400).map(|number| format!("line {number}\n")).collect();
    let base = tree.commit("README.md", &long)?;
    let thin_new = tree.commit("README.md", format!("{long}more\n"))?;
    let thin = pack(&tree, &["--thin"], &format!("{thin_new}\n^{base}\n"))?;
    // The commit without the one before it.
    let gap = pack(&tree, &[], &format!("{thin_new}\n^{base}\n"))?;

    let before = stage.git().refs()?;
    let absent = "1".repeat(40);
    let table: [(&str, &str, &[u8]); 9] = [
        ("a byte is another one", &new, &flipped),
        ("its sum is another one", &new, &other_sum),
        ("an object more is announced", &new, &one_more),
        ("its end is missing", &new, &whole[..whole.len() - 30]),
        ("it is no pack", &new, b"PACKxxxx"),
        ("there is none", &new, b""),
        ("what the branch should be is not in it", &absent, &whole),
        ("a base is missing", &thin_new, &thin),
        ("a parent is missing", &thin_new, &gap),
    ];
    for (what, new, pack) in table {
        let answer = push(&stage, &old, new, pack).context(what)?;
        assert!(answer.starts_with("HTTP/1.1 200"), "{what}: {answer}");
        assert!(answer.contains("ng refs/heads/test"), "{what}: {answer}");
        assert_eq!(stage.git().refs()?, before, "{what}");
    }
    wait_for("the quarantine to be empty", || quarantine_is_empty(&stage.data()))?;
    stage.git().fsck()?;
    stage.serves("test", "/headers", 200)?;

    // The same way, what it says it is.
    let answer = push(&stage, &old, &new, &whole)?;
    assert!(answer.contains("ok refs/heads/test"), "{answer}");
    stage.serves("test", "/get", 200)?;
    Ok(())
}
