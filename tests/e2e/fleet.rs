//! Gateways away from their control plane: they fetch from it, check in with it, and do without it.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use refgate_tests::git::Git;
use refgate_tests::http::Client;
use refgate_tests::process::Process;
use refgate_tests::stage::{Origin, TOKEN, httpbin, refgate};
use refgate_tests::wait::wait_for;
use serde_json::{Value, json};
use tempfile::TempDir;

const HTTPBIN: &str = "/v1/groups/test/services/httpbin";
const ROUTE: &str = "services/httpbin/routes/get-headers.json";

/// A control plane without gateways of its own.
struct ControlPlane {
    process: Process,
    api: Client,
}

impl ControlPlane {
    /// On a port that was free a moment ago, so that it can come back where it was.
    fn start(data: &Path, address: &str) -> anyhow::Result<Self> {
        let process = Process::start(
            "control plane",
            refgate()?
                .args(["serve", "--listen", address])
                .arg("--data-dir")
                .arg(data)
                .env("REFGATE_ADMIN_TOKEN", TOKEN),
        )?;
        let control = process.line("refgate: control plane ")?;
        let api = Client::new(&control).with("authorization", &format!("Bearer {TOKEN}"));
        wait_for("the control plane to be ready", || api.get("/readyz")?.expect(200))?;
        Ok(Self { process, api })
    }

    fn address(&self) -> String {
        self.api.base().replace("http://", "")
    }

    fn read(&self, path: &str) -> anyhow::Result<Value> {
        self.api.get(path)?.expect(200)?.body()
    }
}

/// A gateway in a process of its own.
struct Gateway {
    process: Process,
    requests: Client,
    status: Client,
}

impl Gateway {
    fn start(name: &str, source: &str, scratch: &Path) -> anyhow::Result<Self> {
        let process = Process::start(
            name,
            refgate()?
                .args(["gateway", "--group", "test", "--instance", name, "--source", source])
                .args(["--listen", "127.0.0.1:0", "--status-listen", "127.0.0.1:0"])
                .arg("--token-file")
                .arg(scratch.join("token"))
                .arg("--state-dir")
                .arg(state(name, scratch)),
        )?;
        let requests = Client::new(&process.line("refgate: gateway test ")?);
        let status = Client::new(&process.line("refgate: status ")?);
        Ok(Self { process, requests: requests.with("host", "test.acme.com"), status })
    }

    fn serves(&self, path: &str) -> anyhow::Result<()> {
        wait_for(&format!("{path} to be served"), || self.requests.get(path)?.expect(200))?;
        Ok(())
    }

    /// What it says of itself, once that is as wanted.
    fn says(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        wait_for(what, || {
            let status = self.status.get("/status")?.expect(200)?.body()?;
            anyhow::ensure!(wanted(&status), "{status}");
            Ok(status)
        })
    }

    fn stop(self) -> anyhow::Result<()> {
        self.process.terminate()?;
        let ended = self.process.end()?;
        anyhow::ensure!(ended.code() == 0, "{ended:?}");
        Ok(())
    }
}

fn state(name: &str, scratch: &Path) -> PathBuf {
    scratch.join(format!("state-{name}"))
}

/// What is kept is of this commit, so that a start can do with it.
fn kept(name: &str, scratch: &Path, commit: &Value) -> anyhow::Result<()> {
    wait_for("the configuration to be kept", || {
        let file = std::fs::read_to_string(state(name, scratch).join("test.json"))?;
        let state: Value = serde_json::from_str(&file)?;
        anyhow::ensure!(
            state["saved"]["head"]["commit"] == *commit,
            "{}",
            state["saved"]["head"]["commit"]
        );
        Ok(())
    })
}

/// A control plane with `httpbin` in test, and a token for gateways in a file.
fn control_plane(scratch: &Path, origin: &Origin) -> anyhow::Result<ControlPlane> {
    let plane = ControlPlane::start(&scratch.join("data"), "127.0.0.1:0")?;
    let made = json!({"name": "gateways", "role": "gateway"});
    let token = plane.api.json("POST", "/v1/tokens", &made)?.expect(201)?.body()?;
    std::fs::write(scratch.join("token"), token["token"].as_str().context("a token")?)?;
    let service = httpbin(&origin.runtime("test.acme.com"));
    plane.api.json("PUT", HTTPBIN, &service)?.expect(201)?;
    Ok(plane)
}

#[test]
fn gateways_live_without_their_control_plane() -> anyhow::Result<()> {
    let scratch = TempDir::new()?;
    let scratch = scratch.path();
    let origin = Origin::start()?;
    let mut plane = control_plane(scratch, &origin)?;
    let (url, address) = (plane.api.base().to_owned(), plane.address());
    let one = Gateway::start("one", &url, scratch)?;
    let two = Gateway::start("two", &url, scratch)?;
    one.serves("/headers")?;
    two.serves("/headers")?;
    let instances = |plane: &ControlPlane, counts: Value| {
        wait_for("the instances to be known", || {
            let group = plane.read("/v1/groups/test")?;
            anyhow::ensure!(group["instances"] == counts, "{}", group["instances"]);
            Ok(())
        })
    };
    instances(&plane, json!({"healthy": 2, "total": 2}))?;

    // A change of the API, with the wait for both; and one that comes past the API.
    let add = |plane: &ControlPlane, name: &str| -> anyhow::Result<Value> {
        let route = json!({"paths": [format!("/anything/{name}")]});
        let path = format!("{HTTPBIN}/routes/{name}?wait=60");
        let written = plane.api.json("PUT", &path, &route)?.expect(201)?.body()?;
        let convergence = &written["convergence"];
        anyhow::ensure!(convergence["applied"] == 2 && convergence["total"] == 2, "{written}");
        Ok(written)
    };
    add(&plane, "a")?;
    for gateway in [&one, &two] {
        gateway.requests.get("/anything/a")?.expect(200)?;
    }
    let git = Git::at(scratch.join("data/config.git"));
    let pushed = "{\n  \"paths\": [\n    \"/anything/b\"\n  ]\n}\n";
    git.commit("test", &[("services/httpbin/routes/b.json", pushed)])?;
    one.serves("/anything/b")?;
    two.serves("/anything/b")?;

    // What is at fault keeps its last good form, here and after the next start.
    git.commit("test", &[(ROUTE, "{\"paths\": [\"/a/*/b\"]}\n")])?;
    let degraded = one.says("one to be degraded", |status| status["state"] == "degraded")?;
    two.says("two to be degraded", |status| status["commit"] == degraded["commit"])?;
    one.requests.get("/headers")?.expect(200)?;
    kept("one", scratch, &degraded["commit"])?;
    instances(&plane, json!({"healthy": 0, "total": 2}))?;

    plane.process.kill()?;
    let away = |status: &Value| status["away_since"].is_string();
    one.says("one to miss the control plane", away)?;
    for gateway in [&one, &two] {
        gateway.requests.get("/headers")?.expect(200)?;
        gateway.requests.get("/anything/b")?.expect(200)?;
    }
    one.stop()?;
    let one = Gateway::start("one", &url, scratch)?;
    one.status.get("/readyz")?.expect(200)?;
    one.requests.get("/headers")?.expect(200)?;
    one.requests.get("/anything/b")?.expect(200)?;
    let status = one.says("one to say why", away)?;
    assert_eq!(status["commit"], degraded["commit"]);
    let message = status["message"].as_str().unwrap_or_default();
    assert!(message.contains(&url) && message.contains("refused"), "{message}");
    let metrics = one.status.get("/metrics")?.expect(200)?.text;
    assert!(metrics.contains("refgate_source_up{group=\"test\"} 0"), "{metrics}");

    // It comes back where it was: both catch up.
    let plane = ControlPlane::start(&scratch.join("data"), &address)?;
    let good = json!({"paths": ["/headers"], "methods": ["GET"]});
    plane.api.json("PUT", &format!("{HTTPBIN}/routes/get-headers"), &good)?.expect(200)?;
    instances(&plane, json!({"healthy": 2, "total": 2}))?;
    add(&plane, "c")?;
    one.serves("/anything/c")?;
    two.serves("/anything/c")?;

    // Who stops says goodbye; who is killed is missed later.
    one.stop()?;
    let list = plane.read("/v1/gateways?group=test")?;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{list}");
    assert_eq!(list["items"][0]["instance"], "two");
    let refused = plane.api.send("DELETE", "/v1/groups/test", &[], "")?.expect(409)?.body()?;
    assert_eq!(refused["code"], "still_referenced");
    two.stop()
}

#[test]
fn what_was_kept_is_read_with_care() -> anyhow::Result<()> {
    let scratch = TempDir::new()?;
    let scratch = scratch.path();
    let origin = Origin::start()?;
    let mut plane = control_plane(scratch, &origin)?;
    let url = plane.api.base().to_owned();
    // A state that is none is told, and no harm done.
    std::fs::create_dir_all(state("one", scratch))?;
    let file = state("one", scratch).join("test.json");
    std::fs::write(&file, "{\"format\": 1, \"saved\": {\"head\"")?;
    let one = Gateway::start("one", &url, scratch)?;
    one.requests.get("/headers")?.expect(200)?;
    assert!(one.process.wrote().contains("the kept configuration is ignored"));
    let head = plane.read("/v1/groups/test")?["head"].clone();
    kept("one", scratch, &head)?;
    one.stop()?;
    let sound = std::fs::read_to_string(&file)?;

    // The repository itself as the source, and the same when it is away.
    let repository = scratch.join("data/config.git");
    let path = repository.display().to_string();
    let two = Gateway::start("two", &path, scratch)?;
    two.requests.get("/headers")?.expect(200)?;
    kept("two", scratch, &head)?;
    two.stop()?;
    plane.process.kill()?;
    let elsewhere = scratch.join("elsewhere");
    std::fs::rename(&repository, &elsewhere)?;
    let two = Gateway::start("two", &path, scratch)?;
    two.requests.get("/headers")?.expect(200)?;
    two.says("two to miss the repository", |status| status["away_since"].is_string())?;
    std::fs::rename(&elsewhere, &repository)?;
    two.says("two to follow it again", |status| status["away_since"].is_null())?;
    two.stop()?;

    // Neither a control plane nor a sound state: nothing is served, and it says so.
    std::fs::write(&file, sound.replace("get-headers", "got-headers"))?;
    let begun = Instant::now();
    let one = Gateway::start("one", &url, scratch)?;
    one.status.get("/readyz")?.expect(503)?;
    one.requests.get("/headers")?.expect(404)?;
    assert!(begun.elapsed() < refgate_tests::wait::DEADLINE);
    one.stop()
}
