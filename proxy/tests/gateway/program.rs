//! The program `refgate-gateway`: flags, log and signals.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, Stdio};

use serde_json::{Value, json};

use crate::client::Client;
use crate::origin::Origin;
use crate::repository::Config;
use crate::world::{runtime, service};

pub(crate) struct Program {
    pub(crate) child: Child,
    log: BufReader<ChildStderr>,
    pub(crate) address: SocketAddr,
}

fn command(config: &Config) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_refgate-gateway"));
    command.args(["--group", "test", "--listen", "127.0.0.1:0", "--source"]).arg(config.path());
    command.stderr(Stdio::piped()).env_remove("RUST_LOG");
    command
}

impl Program {
    fn start(config: &Config) -> Self {
        Self::start_with(config, &[])
    }

    /// The program with more flags than the usual ones.
    pub(crate) fn start_with(config: &Config, flags: &[&str]) -> Self {
        let mut child = command(config).args(flags).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let address = loop {
            let line = next_line(&mut log);
            if line["message"] == "gateway listens" {
                break line["address"].as_str().unwrap().parse().unwrap();
            }
        };
        Self { child, log, address }
    }

    fn terminate(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }

    fn wait_for(&mut self, message: &str) {
        while next_line(&mut self.log)["message"] != message {}
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.child.kill();
        let status = self.child.wait();
        if std::thread::panicking() {
            let mut log = String::new();
            let _ = self.log.read_to_string(&mut log);
            eprintln!("{status:?}\n{log}");
        }
    }
}

/// The log is JSON when it does not go to a terminal.
fn next_line(log: &mut BufReader<ChildStderr>) -> Value {
    let mut line = String::new();
    assert_ne!(log.read_line(&mut line).unwrap(), 0, "the program ended");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

fn config(origin: &Origin) -> Config {
    let config = Config::new();
    let upstream = runtime(json!({"nodes": [origin.node()]}));
    config.commit("test", &service("shop", json!({"paths": ["/*"]}), upstream));
    config
}

#[test]
fn a_signal_drains_and_another_ends_it() {
    let origin = Origin::start("one");
    let config = config(&origin);
    for patient in [true, false] {
        let mut program = Program::start(&config);
        let mut busy = Client::connect(program.address);
        busy.send("GET /held HTTP/1.1\r\nHost: a.com\r\n\r\n");
        origin.arrived.recv().unwrap();
        program.terminate();
        program.wait_for("gateway drains");
        if patient {
            origin.release.send(()).unwrap();
            assert_eq!(busy.receive(false).unwrap().status, 200);
        } else {
            program.terminate();
        }
        assert!(program.child.wait().unwrap().success());
        if !patient {
            assert!(busy.is_closed());
            origin.release.send(()).unwrap();
        }
    }
}

#[test]
fn what_is_wrong_with_a_command_is_said() {
    let config = Config::new();
    let said = |arguments: &[&str]| {
        let mut child = command(&config).args(arguments).spawn().unwrap();
        let mut text = String::new();
        child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        (child.wait().unwrap().code(), text)
    };
    let (code, text) = said(&["--status-listen", "192.0.2.1:1"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("192.0.2.1:1"), "{text}");

    let mut program = Command::new(env!("CARGO_BIN_EXE_refgate-gateway"));
    program.args(["--group", "test", "--source"]).stderr(Stdio::piped());
    let output = program.arg("http://127.0.0.1:7080").output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text.contains("needs --state-dir"), "{text}");
}
