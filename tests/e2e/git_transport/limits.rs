//! Too large, too many, gone in the middle, and the server's own end.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use refgate_tests::process::runs;
use refgate_tests::stage::{Refgate, Stage, TOKEN};
use refgate_tests::wait::wait_for;

use super::{ROUTE, clone, quarantine_is_empty, route, url};

/// The beginning of a push of which the rest does not come: a thousand objects are announced.
const HALF_A_PUSH: &[u8] = b"0072\
0000000000000000000000000000000000000000 1111111111111111111111111111111111111111 \
refs/heads/new\0report-status0000PACK\0\0\0\x02\0\0\x03\xe8";

/// Asks for the refs, in the second version of the protocol; it lacks its end.
const HALF_A_LIST: &[u8] = b"0014command=ls-refs\n";

/// A request to git that has begun: its head, and a first piece of its body.
pub(super) fn begin(stage: &Stage, service: &str, piece: &[u8]) -> anyhow::Result<TcpStream> {
    let authority = stage.refgate.api.base().trim_start_matches("http://");
    let mut stream = TcpStream::connect(authority)?;
    let head = format!(
        "POST /config.git/git-{service} HTTP/1.1\r\nhost: {authority}\r\n\
         authorization: Bearer {TOKEN}\r\ngit-protocol: version=2\r\n\
         content-type: application/x-git-{service}-request\r\n\
         transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    send(&mut stream, piece)?;
    Ok(stream)
}

/// A piece of its body.
pub(super) fn send(stream: &mut TcpStream, piece: &[u8]) -> anyhow::Result<()> {
    stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes())?;
    stream.write_all(piece)?;
    Ok(stream.write_all(b"\r\n")?)
}

/// Waits until so many processes of git run; their ids.
fn children(stage: &mut Stage, count: usize) -> anyhow::Result<Vec<u32>> {
    let process = stage.refgate.process();
    wait_for("the processes of git", || {
        let running = process.children()?;
        anyhow::ensure!(running.len() == count, "{running:?}");
        Ok(running.into_iter().map(|(id, _)| id).collect())
    })
}

#[test]
fn a_push_over_the_limit_is_refused_in_words() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    let tree = clone(&stage)?;
    stage.git().run(&["config", "receive.maxInputSize", "64k"])?;
    let before = stage.git().refs()?;
    // Nothing that packs well, and far more than git sends at once.
    let mut state = 1u64;
    let noise: Vec<u8> = (0..4 << 20)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .collect();
    tree.commit("services/httpbin/noise.bin", &noise)?;
    for arguments in [
        ["-c", "http.postBuffer=1m", "push", "origin", "HEAD:test"],
        // Sent in one piece with its length.
        ["-c", "http.postBuffer=8m", "push", "origin", "HEAD:test"],
    ] {
        let ended = tree.ended(&arguments)?;
        assert!(!ended.status.success(), "{ended:?}");
        assert!(ended.stderr.contains("exceeds maximum allowed size"), "{ended:?}");
        assert_eq!(stage.git().refs()?, before);
    }
    wait_for("the quarantine to be empty", || quarantine_is_empty(&stage.data()))?;

    // What is within the limit goes on.
    tree.run(&["reset", "--quiet", "--hard", "origin/test"])?;
    tree.commit(ROUTE, route("/get"))?;
    tree.run(&["push", "origin", "HEAD:test"])?;
    stage.serves("test", "/get", 200)?;
    Ok(())
}

#[test]
fn what_is_too_many_is_told_to_come_again() -> anyhow::Result<()> {
    let mut stage = Stage::with_httpbin()?;
    let tree = clone(&stage)?;
    // Far more than run and wait at one time: the last ones are refused, and at once.
    let mut pushes = (0..80)
        .map(|_| {
            let stream = begin(&stage, "receive-pack", HALF_A_PUSH)?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let refused = wait_for("a push to be refused", || {
        for stream in &mut pushes {
            let mut answer = vec![0; 4096];
            match stream.read(&mut answer) {
                Ok(length) => return Ok(String::from_utf8_lossy(&answer[..length]).into_owned()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        anyhow::bail!("none has an answer")
    })?;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.to_lowercase().contains("\r\nretry-after: "), "{refused}");
    assert!(refused.contains("too many"), "{refused}");
    children(&mut stage, 4)?;

    // Neither who fetches nor the API waits for them.
    tree.run(&["fetch", "origin"])?;
    stage.read("/v1/groups")?;

    drop(pushes);
    children(&mut stage, 0)?;
    tree.commit(ROUTE, route("/get"))?;
    tree.run(&["push", "origin", "HEAD:test"])?;
    wait_for("the quarantine to be empty", || quarantine_is_empty(&stage.data()))
}

#[test]
fn many_pushes_at_once_lose_nothing() -> anyhow::Result<()> {
    let stage = Stage::with_httpbin()?;
    let trees = (0..12)
        .map(|number| {
            let tree = refgate_tests::git::WorkTree::clone_of(
                &url(&stage, TOKEN),
                stage.scratch().join(format!("clone-{number}")),
                &["--branch", "test"],
            )?;
            tree.commit(
                &format!("services/httpbin/routes/r{number}.json"),
                route(&format!("/anything/r{number}")),
            )?;
            Ok(tree)
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let ended = std::thread::scope(|scope| {
        let pushes: Vec<_> = trees
            .iter()
            .map(|tree| scope.spawn(|| tree.ended(&["push", "origin", "HEAD:test"])))
            .collect();
        pushes
            .into_iter()
            .map(|push| push.join().map_err(|_| anyhow::anyhow!("a panic"))?)
            .collect::<anyhow::Result<Vec<_>>>()
    })?;
    // They begin at the same commit: one is first, and all others are told to fetch.
    let done: Vec<usize> = (0..trees.len()).filter(|n| ended[*n].status.success()).collect();
    let [winner] = done[..] else { anyhow::bail!("{ended:?}") };
    let head = trees[winner].run(&["rev-parse", "HEAD"])?;
    assert_eq!(stage.git().refs()?["refs/heads/test"], head);
    stage.serves("test", &format!("/anything/r{winner}"), 200)?;
    wait_for("the quarantine to be empty", || quarantine_is_empty(&stage.data()))?;
    stage.git().fsck()
}

#[test]
fn a_client_that_hangs_up_takes_its_git_along() -> anyhow::Result<()> {
    let mut stage = Stage::with_httpbin()?;
    for (service, piece) in [("receive-pack", HALF_A_PUSH), ("upload-pack", HALF_A_LIST)] {
        let stream = begin(&stage, service, piece)?;
        children(&mut stage, 1)?;
        if service == "receive-pack" {
            wait_for("the quarantine", || {
                let empty = quarantine_is_empty(&stage.data());
                anyhow::ensure!(empty.is_err(), "nothing of a push yet");
                Ok(())
            })?;
        }
        drop(stream);
        children(&mut stage, 0)?;
        quarantine_is_empty(&stage.data())?;
    }
    let page = stage.refgate.api.get("/metrics")?.expect(200)?.text;
    for service in ["receive-pack", "upload-pack"] {
        let sample =
            format!(r#"refgate_git_processes_total{{service="{service}",outcome="left"}} 1"#);
        assert!(page.contains(&sample), "{page}");
    }
    assert!(!stage.git().refs()?.contains_key("refs/heads/new"));
    Ok(())
}

#[test]
fn a_stop_lets_a_clone_finish_within_its_time() -> anyhow::Result<()> {
    let mut stage = Stage::with_httpbin()?;
    let mut clone = begin(&stage, "upload-pack", HALF_A_LIST)?;
    clone.set_read_timeout(Some(Duration::from_secs(60)))?;
    children(&mut stage, 1)?;
    stage.refgate.process().terminate()?;
    // The control plane is at its end when no new connection is taken.
    let authority = stage.refgate.api.base().trim_start_matches("http://").to_owned();
    wait_for("the drain", || {
        anyhow::ensure!(TcpStream::connect(&authority).is_err(), "it still listens");
        Ok(())
    })?;
    send(&mut clone, b"0000")?;
    clone.write_all(b"0\r\n\r\n")?;
    let mut answer = Vec::new();
    clone.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("refs/heads/test") && answer.ends_with("0\r\n\r\n"), "{answer}");
    let Stage { refgate, .. } = stage;
    assert_eq!(refgate.ended()?.code(), 0);
    Ok(())
}

#[test]
fn a_stop_does_not_wait_for_ever() -> anyhow::Result<()> {
    let mut stage = Stage::with_httpbin()?;
    let mut command = Refgate::command(&stage.data())?;
    command.args(["--drain-timeout", "0.2"]);
    stage.refgate.process().kill()?;
    stage.refgate = Refgate::start(&mut command)?;
    let _push = begin(&stage, "receive-pack", HALF_A_PUSH)?;
    let _clone = begin(&stage, "upload-pack", HALF_A_LIST)?;
    let ids = children(&mut stage, 2)?;
    stage.refgate.process().terminate()?;
    let data = stage.data();
    let Stage { refgate, .. } = stage;
    let ended = refgate.ended()?;
    assert_eq!(ended.code(), 0, "{ended:?}");
    assert!(ended.stderr.contains("drain timeout passed"), "{ended:?}");
    for id in ids {
        assert!(!runs(id), "git outlived its server: {ended:?}");
    }
    quarantine_is_empty(&data)
}
