//! Refgate and an origin, each test with a directory and ports of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::git::Git;
use crate::http::{Answer, Client};
use crate::process::{Ended, Process, run};
use crate::programs::program;
use crate::wait::wait_for;

/// The administrator's token of every stage.
pub const TOKEN: &str = "rg-token-of-the-tests";

/// The groups a new data directory has.
pub const GROUPS: [&str; 3] = ["test", "uat", "production"];

/// The origin that requests are proxied to.
pub struct Origin {
    _process: Process,
    /// Its port on 127.0.0.1.
    pub port: u16,
}

impl Origin {
    /// Starts one on a free port.
    pub fn start() -> anyhow::Result<Self> {
        let mut command = Command::new(program("refgate-origin")?);
        let process = Process::start("refgate-origin", &mut command)?;
        let address = process.line("refgate-origin: http://127.0.0.1:")?;
        Ok(Self { _process: process, port: address.parse()? })
    }

    /// It as a node of an upstream.
    pub fn node(&self) -> Value {
        json!({"host": "127.0.0.1", "port": self.port})
    }

    /// An upstream of this one node.
    pub fn upstream(&self) -> Value {
        json!({"nodes": [self.node()], "pass_host": "node"})
    }

    /// A runtime: one host, this origin behind the upstream `default`.
    pub fn runtime(&self, host: &str) -> Value {
        json!({"hosts": [host], "upstreams": {"default": self.upstream()}})
    }
}

/// A `refgate up` that runs.
pub struct Refgate {
    process: Process,
    /// The control plane, with the administrator's token.
    pub api: Client,
    gateways: BTreeMap<String, String>,
}

impl Refgate {
    /// The command: every listener on a free port, nothing of the environment.
    pub fn command(data: &Path) -> anyhow::Result<Command> {
        let mut command = refgate()?;
        command.arg("up").arg("--data-dir").arg(data).args(["--listen", "127.0.0.1:0"]);
        for group in GROUPS {
            command.arg("--gateway").arg(format!("{group}=127.0.0.1:0"));
        }
        command.env("REFGATE_ADMIN_TOKEN", TOKEN);
        Ok(command)
    }

    /// Starts it on `data`, a new directory or one it has used before.
    pub fn up(data: &Path) -> anyhow::Result<Self> {
        Self::start(&mut Self::command(data)?)
    }

    /// Starts a variation of [`Refgate::command`].
    pub fn start(command: &mut Command) -> anyhow::Result<Self> {
        let process = Process::start("refgate", command)?;
        let control = process.line("refgate: control plane ")?;
        let mut gateways = BTreeMap::new();
        for group in GROUPS {
            let address = process.line(&format!("refgate: gateway {group} "))?;
            gateways.insert(group.to_owned(), address);
        }
        let api = Client::new(&control).with("authorization", &format!("Bearer {TOKEN}"));
        wait_for("the control plane to be ready", || api.get("/readyz")?.expect(200))
            .with_context(|| process.wrote())?;
        Ok(Self { process, api, gateways })
    }

    /// The address of a group's gateway, `http://127.0.0.1:PORT`.
    pub fn gateway_address(&self, group: &str) -> &str {
        self.gateways.get(group).map_or("", String::as_str)
    }

    /// A client of a group's gateway that asks for `host`.
    pub fn gateway(&self, group: &str, host: &str) -> Client {
        Client::new(self.gateway_address(group)).with("host", host)
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Asks it to end and waits for that.
    pub fn stop(self) -> anyhow::Result<Ended> {
        self.process.terminate()?;
        self.process.end()
    }

    /// Waits until it ends, after it was asked to.
    pub fn ended(self) -> anyhow::Result<Ended> {
        self.process.end()
    }

    /// Runs a client command against it: `refgate …`.
    pub fn client(&self, arguments: &[&str]) -> anyhow::Result<Ended> {
        run(refgate()?
            .args(arguments)
            .env("REFGATE_SERVER", self.api.base())
            .env("REFGATE_TOKEN", TOKEN))
    }
}

/// `refgate` without the settings of the person who runs the tests.
pub fn refgate() -> anyhow::Result<Command> {
    let mut command = Command::new(program("refgate")?);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("REFGATE_") {
            command.env_remove(name);
        }
    }
    // Servers and tokens that the person keeps are none of the tests' either.
    command.env("REFGATE_CONTEXTS", "/nonexistent/refgate/contexts.json");
    Ok(command)
}

/// An origin, a directory and a Refgate.
pub struct Stage {
    /// The origin.
    pub origin: Origin,
    /// Refgate; declared before the directory, so that it ends before that goes.
    pub refgate: Refgate,
    directory: TempDir,
}

impl Stage {
    /// A new one.
    pub fn new() -> anyhow::Result<Self> {
        let directory = TempDir::new()?;
        let refgate = Refgate::up(&data_in(&directory))?;
        Ok(Self { origin: Origin::start()?, refgate, directory })
    }

    /// A new one with the service `httpbin` in test, its route `get-headers` served.
    pub fn with_httpbin() -> anyhow::Result<Self> {
        let stage = Self::new()?;
        let service = httpbin(&stage.origin.runtime("test.acme.com"));
        stage.api("PUT", "/v1/groups/test/services/httpbin", &service)?.expect(201)?;
        stage.serves("test", "/headers", 200)?;
        Ok(stage)
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        data_in(&self.directory)
    }

    /// A directory for what a test writes itself.
    pub fn scratch(&self) -> &Path {
        self.directory.path()
    }

    /// The configuration repository.
    pub fn git(&self) -> Git {
        Git::at(self.data().join("config.git"))
    }

    /// A request to the control plane.
    pub fn api(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.refgate.api.json(method, path, body)
    }

    /// Reads from the control plane.
    pub fn read(&self, path: &str) -> anyhow::Result<Value> {
        self.refgate.api.get(path)?.expect(200)?.body()
    }

    /// Syncs `httpbin` on.
    pub fn sync(&self, from: &str, to: &str, version: Option<&str>) -> anyhow::Result<Answer> {
        let mut body = json!({"to": to});
        if let Some(version) = version {
            body["version"] = version.into();
        }
        self.api("POST", &format!("/v1/groups/{from}/services/httpbin/sync"), &body)
    }

    /// Gives `httpbin` its host (`GROUP.acme.com`) and node in a group.
    pub fn give_runtime(&self, group: &str) -> anyhow::Result<()> {
        let runtime = self.origin.runtime(&host_in(group));
        self.api("PUT", &format!("/v1/groups/{group}/services/httpbin/runtime"), &runtime)?
            .expect(200)?;
        Ok(())
    }

    /// Waits until a group's gateway answers a GET of `path` with `status`.
    pub fn serves(&self, group: &str, path: &str, status: u16) -> anyhow::Result<Answer> {
        let gateway = self.refgate.gateway(group, &host_in(group));
        wait_for(&format!("{group} to answer {path} with {status}"), || {
            gateway.get(path)?.expect(status)
        })
    }
}

/// The host of `httpbin` in a group.
pub fn host_in(group: &str) -> String {
    format!("{group}.acme.com")
}

/// The service of the story: one route, `GET /headers`.
pub fn httpbin(runtime: &Value) -> Value {
    json!({
        "routes": {"get-headers": {"paths": ["/headers"], "methods": ["GET"]}},
        "runtime": runtime,
    })
}

fn data_in(directory: &TempDir) -> PathBuf {
    directory.path().join("refgate-data")
}
