//! Commits that change everything under load, and whether every request was answered as one of the
//! configurations says that were in force while it ran.
//!
//! Two gateways follow one branch: that of `refgate up`, and one of its own process that says on its
//! status listener how nodes are. Commits come through the API, at deadlines. From the ground up:
//! [`origin`] (who answers), [`client`] (HTTP/1.1), [`certificate`] (TLS), [`change`] (what is changed),
//! [`ledger`] (what was true when), [`load`] and [`http2`] (who asks). `make soak-reload` runs it for
//! a minute, `tests/e2e/reload.rs` for some commits.

mod certificate;
mod change;
mod client;
mod http2;
mod ledger;
mod load;
mod origin;

use std::fmt;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::json;
use tempfile::TempDir;

use crate::http::Client;
use crate::process::Process;
use crate::stage::{TOKEN, refgate};
use crate::wait::wait_for;
use change::{Behind, Property};
use client::{Connection, Question, tcp};
use ledger::{Ledger, Verdicts};
use load::{Gateway, Guest, Manner};

/// Who asks each gateway.
const GUESTS: [Manner; 7] = [
    Manner::Plain,
    Manner::Plain,
    Manner::Untouched,
    Manner::Untouched,
    Manner::Handshakes,
    Manner::Encrypted,
    Manner::Http2,
];

/// Those who write take turns, so that one write that takes long does not hold up the next.
const WRITERS: usize = 4;

/// How much of it.
#[derive(Debug, Clone, Copy)]
pub struct Storm {
    /// How many commits.
    pub commits: usize,
    /// How many of them in a second.
    pub rate: f64,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    commits: usize,
    writing: Duration,
    longest: Duration,
    verdicts: Verdicts,
    /// What else is wrong.
    harm: Vec<String>,
    /// Connections of the origin that nobody touched, and of how many clients at once.
    untouched: (usize, usize),
    /// Connections of a node of a service of which all but its nodes' addresses changed.
    kept: usize,
    /// Health checks of the node that is out.
    checks: u64,
}

impl Report {
    /// An error that tells all that is wrong.
    pub fn sound(&self) -> anyhow::Result<()> {
        let Verdicts { failed, misrouted, faults, .. } = &self.verdicts;
        let wrong: Vec<&String> = faults.iter().chain(&self.harm).collect();
        anyhow::ensure!(*failed == 0 && *misrouted == 0 && wrong.is_empty(), "{self}\n{wrong:#?}");
        Ok(())
    }

    /// Commits in a second, as they were acknowledged.
    pub fn rate(&self) -> f64 {
        self.commits as f64 / self.writing.as_secs_f64()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdicts { good, certain, failed, misrouted, handshakes, .. } = &self.verdicts;
        let answered = good - handshakes;
        write!(
            out,
            "{} commits in {:.1} s ({:.1}/s), each served {:.0} ms after its acknowledgement at the latest\n\
             {answered} requests and {handshakes} handshakes as they should be ({certain} of them with one \
             configuration that may have answered), {failed} failed, {misrouted} misrouted\n\
             untouched upstream: {} connections for {} clients; upstream with other weights, retries and hosts: {}; \
             {} health checks of the node that is out",
            self.commits,
            self.writing.as_secs_f64(),
            self.rate(),
            self.longest.as_secs_f64() * 1000.0,
            self.untouched.0,
            self.untouched.1,
            self.kept,
            self.checks,
        )
    }
}

/// All that runs. The processes come before their directory, so that they end before it goes.
struct Scene {
    _up: Process,
    _alone: Process,
    api: Client,
    /// The status listener of the gateway of its own.
    status: Client,
    gateways: Vec<Gateway>,
    behind: Behind,
    _directory: TempDir,
}

impl Storm {
    /// Starts everything, and lets it go until the last commit is served.
    pub fn run(self) -> anyhow::Result<Report> {
        let scene = Scene::start()?;
        let ledger = Ledger::new(scene.prepare()?, scene.gateways.len());
        let behind = &scene.behind;
        let sick = behind.sick.requests();
        let (over, watched) = (AtomicBool::new(false), AtomicBool::new(false));
        let (written, harm) = thread::scope(|scope| {
            let mut number = 0;
            for gateway in scene.gateways.iter().enumerate() {
                for manner in GUESTS {
                    number += 1;
                    let (ledger, over) = (&ledger, &over);
                    let guest = Guest { number, manner, gateway, behind, ledger, over };
                    scope.spawn(move || guest.run());
                }
            }
            let watch = scope.spawn(|| scene.watch(&ledger, &watched));
            let started = Instant::now();
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    let (scene, ledger) = (&scene, &ledger);
                    scope.spawn(move || self.write(writer, started, scene, ledger))
                })
                .collect();
            let written = writers.into_iter().try_for_each(joined);
            let writing = started.elapsed();
            let settled = written.and_then(|()| scene.settle(&ledger));
            over.store(true, Ordering::Relaxed);
            watched.store(true, Ordering::Relaxed);
            (settled.map(|()| writing), joined(watch))
        });
        let (writing, mut harm) = (written?, harm?);
        let came = behind.sick.requests() - sick;
        if came > 0 {
            harm.push(format!("{came} requests reached the node that is out"));
        }
        let asking = |manner: Manner| GUESTS.iter().filter(|it| **it == manner).count();
        let clients = scene.gateways.len() * asking(Manner::Untouched);
        let untouched = (behind.untouched.connections(), clients);
        if untouched.0 > clients {
            harm.push(format!("{} connections for {clients} clients", untouched.0));
        }
        // In HTTP/2 an answer is whole before its connection is free again: some more, but not with
        // every commit.
        let at_once = GUESTS.iter().map(|manner| manner.at_once()).sum::<usize>();
        let (kept, most) = (behind.well.connections(), 2 * scene.gateways.len() * at_once);
        if kept > most {
            harm.push(format!("{kept} connections to a node that stayed, for {most} at the most"));
        }
        let (commits, longest) = ledger.commits();
        Ok(Report {
            commits,
            writing,
            longest,
            verdicts: ledger.verdicts(),
            harm,
            untouched,
            kept,
            checks: behind.sick.checks(),
        })
    }

    /// One of those who write: each at its deadlines, and each of its properties in turn.
    fn write(
        self,
        writer: usize,
        started: Instant,
        scene: &Scene,
        ledger: &Ledger,
    ) -> anyhow::Result<()> {
        for number in (writer..self.commits).step_by(WRITERS) {
            let due = started + Duration::from_secs_f64(number as f64 / self.rate);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let property = Property::ALL[number % Property::ALL.len()];
            let state = ledger.begin(property);
            let written = scene.commit(scene.behind.changed(property, state))?;
            ledger.acknowledge(property, &written.0, written.1);
        }
        Ok(())
    }
}

/// What a thread came to.
fn joined<T>(thread: thread::ScopedJoinHandle<'_, anyhow::Result<T>>) -> anyhow::Result<T> {
    thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a thread panicked")))
}

impl Scene {
    fn start() -> anyhow::Result<Self> {
        let directory = TempDir::new()?;
        let data = directory.path().join("refgate-data");
        let mut command = refgate()?;
        command.arg("up").arg("--data-dir").arg(&data).args(["--listen", "127.0.0.1:0"]);
        command.args(["--gateway", "test=127.0.0.1:0,tls=127.0.0.1:0"]);
        let up = Process::start("refgate up", command.env("REFGATE_ADMIN_TOKEN", TOKEN))?;
        let control = up.line("refgate: control plane ")?;
        let api = Client::new(&control).with("authorization", &format!("Bearer {TOKEN}"));
        wait_for("the control plane to be ready", || api.get("/readyz")?.expect(200))?;

        let token = directory.path().join("token");
        std::fs::write(&token, TOKEN)?;
        // What others can read is warned about.
        std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600))?;
        let mut command = refgate()?;
        command.args(["gateway", "--group", "test", "--instance", "alone", "--source"]);
        command.arg(data.join("config.git")).args(["--control-plane", &control]);
        command.arg("--token-file").arg(&token).args(["--listen", "127.0.0.1:0"]);
        command.args(["--tls-listen", "127.0.0.1:0", "--status-listen", "127.0.0.1:0"]);
        let alone = Process::start("refgate gateway", &mut command)?;
        let status = Client::new(&alone.line("refgate: status ")?);
        let gateways = vec![gateway("test-local", &up)?, gateway("alone", &alone)?];
        let behind = Behind::start(directory.path())?;
        Ok(Self { _up: up, _alone: alone, api, status, gateways, behind, _directory: directory })
    }

    /// Writes what there is in the beginning, and waits until it is served and the sick node is out
    /// everywhere; the revision.
    fn prepare(&self) -> anyhow::Result<u64> {
        let files = self.behind.files().into_iter().collect();
        let (commit, revision) = self.commit(files)?;
        wait_for("the gateways to serve", || {
            let serving = self.serving()?;
            let all = serving.iter().all(|(_, serves, _)| *serves == commit);
            anyhow::ensure!(all && serving.len() == self.gateways.len(), "{serving:?}");
            Ok(())
        })?;
        wait_for("the sick node to be out", || {
            anyhow::ensure!(self.is_out()?, "it is healthy");
            for gateway in &self.gateways {
                let mut connection = Connection::over(tcp(gateway.plain)?);
                // It would have its turn.
                for turn in 0..8 {
                    let host = Property::Checked.host();
                    let path = format!("/warm/{turn}");
                    let question = Question { host, path, echo: turn.to_string() };
                    let answer = connection.ask(&question)?;
                    anyhow::ensure!(answer.origin == "well", "{answer:?}");
                }
            }
            Ok(())
        })?;
        Ok(revision)
    }

    /// Several files in one commit, null for one that goes: its id and its revision.
    fn commit(&self, files: Vec<(String, serde_json::Value)>) -> anyhow::Result<(String, u64)> {
        let files: serde_json::Map<_, _> = files.into_iter().collect();
        let body = json!({"files": files});
        let answer = self.api.json("POST", "/v1/groups/test/commit", &body)?;
        anyhow::ensure!(matches!(answer.status, 200 | 201), "{}: {body}", answer.text);
        let written = answer.body()?;
        anyhow::ensure!(written["changed"] == true, "{body}: {written}");
        let commit = written["commit"].as_str().context("a write names its commit")?;
        let revision = written["revision"].as_u64().context("a write names its revision")?;
        Ok((commit.to_owned(), revision))
    }

    /// Of each gateway what it is called, which commit it serves, and its state.
    fn serving(&self) -> anyhow::Result<Vec<(String, String, String)>> {
        let gateways = self.api.get("/v1/gateways?group=test")?.expect(200)?.body()?;
        let items = gateways["items"].as_array().context("a list of gateways")?;
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        Ok(items
            .iter()
            .map(|item| (text(&item["instance"]), text(&item["commit"]), text(&item["state"])))
            .collect())
    }

    /// Whether the gateway of its own says that the sick node is out.
    fn is_out(&self) -> anyhow::Result<bool> {
        let status = self.status.get("/status")?.expect(200)?.body()?;
        let sick = self.behind.sick.node(0);
        let address = format!("127.0.0.1:{}", sick["port"]);
        let nodes = status["nodes"].as_array().context("a list of nodes")?;
        let node = nodes.iter().find(|node| node["node"] == address.as_str());
        Ok(node.with_context(|| format!("{status}"))?["healthy"] == false)
    }

    /// Looks how far the gateways are and how the sick node is; what is wrong.
    fn watch(&self, ledger: &Ledger, over: &AtomicBool) -> anyhow::Result<Vec<String>> {
        let mut harm: Vec<String> = Vec::new();
        let mut tell = |fault: String| {
            if !harm.contains(&fault) {
                harm.push(fault);
            }
        };
        while !over.load(Ordering::Relaxed) {
            for (instance, commit, state) in self.serving()? {
                let number = self.gateways.iter().position(|it| it.instance == instance);
                ledger.serves(number.with_context(|| instance.clone())?, &commit);
                if state != "healthy" {
                    tell(format!("{instance} is {state}"));
                }
            }
            if !self.is_out()? {
                tell("the node that is out counts as healthy".to_owned());
            }
            // A machine has more to do than to answer this.
            thread::sleep(Duration::from_millis(10));
        }
        Ok(harm)
    }

    /// Waits until everything is served, and some requests more have met that.
    fn settle(&self, ledger: &Ledger) -> anyhow::Result<()> {
        wait_for("the last commit to be served", || {
            anyhow::ensure!(ledger.settled(), "it is not");
            Ok(())
        })?;
        let before = ledger.verdicts();
        wait_for("requests of the last configuration", || {
            let now = ledger.verdicts();
            let wrong = now.failed + now.misrouted > 0;
            anyhow::ensure!(wrong || now.certain > before.certain + 500, "{now:?}");
            Ok(())
        })
    }
}

/// Where a gateway listens.
fn gateway(instance: &str, process: &Process) -> anyhow::Result<Gateway> {
    let at = |scheme: &str| -> anyhow::Result<SocketAddr> {
        Ok(process.line(&format!("refgate: gateway test {scheme}://"))?.parse()?)
    };
    Ok(Gateway { instance: instance.to_owned(), plain: at("http")?, encrypted: at("https")? })
}
