//! What is started, and what is seen of it from outside: how far gateways are, how nodes are.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use tempfile::TempDir;

use super::change::{Behind, Property};
use super::client::{Connection, Question, tcp};
use super::ledger::Ledger;
use super::load::Gateway;
use crate::http::Client;
use crate::process::Process;
use crate::stage::{TOKEN, refgate};
use crate::wait::wait_for;

/// All that runs. The processes come before their directory, so that they end before it goes.
pub(crate) struct Scene {
    _up: Process,
    _alone: Process,
    /// The control plane.
    api: Client,
    /// The status listener of the gateway of its own.
    status: Client,
    /// Both gateways.
    pub(crate) gateways: Vec<Gateway>,
    /// What stands behind them.
    pub(crate) behind: Behind,
    _directory: TempDir,
}

impl Scene {
    pub(crate) fn start() -> anyhow::Result<Self> {
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
        command.args(["gateway", "--group", "test", "--instance", "alone", "--source", &control]);
        command.arg("--state-dir").arg(directory.path().join("state"));
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
    pub(crate) fn prepare(&self) -> anyhow::Result<u64> {
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
    pub(crate) fn commit(
        &self,
        files: Vec<(String, serde_json::Value)>,
    ) -> anyhow::Result<(String, u64)> {
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
        Ok(node.context("the node that is out is not checked")?["healthy"] == false)
    }

    /// Looks how far the gateways are and how the sick node is until it is over; what is wrong.
    pub(crate) fn watch(&self, ledger: &Ledger, over: &AtomicBool) -> Vec<String> {
        let mut harm: Vec<String> = Vec::new();
        while !over.load(Ordering::Relaxed) {
            let found = self.look(ledger).unwrap_or_else(|error| vec![format!("{error:#}")]);
            for fault in found {
                if !harm.contains(&fault) {
                    harm.push(fault);
                }
            }
            // A machine has more to do than to answer this.
            thread::sleep(Duration::from_millis(10));
        }
        harm
    }

    fn look(&self, ledger: &Ledger) -> anyhow::Result<Vec<String>> {
        let mut harm = Vec::new();
        for (instance, commit, state) in self.serving()? {
            let number = self.gateways.iter().position(|it| it.instance == instance);
            ledger.serves(number.with_context(|| instance.clone())?, &commit);
            if state != "healthy" {
                harm.push(format!("{instance} is {state}"));
            }
        }
        if !self.is_out()? {
            harm.push("the node that is out counts as healthy".to_owned());
        }
        Ok(harm)
    }

    /// Waits until everything is served, and some requests more have met that.
    pub(crate) fn settle(&self, ledger: &Ledger) -> anyhow::Result<()> {
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
