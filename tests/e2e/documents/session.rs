//! A person at a terminal who does what a page says, in an empty directory.
//!
//! Every command goes to a shell, and what one leaves (directory, variables, exit code) the next one
//! finds. Three things differ from the page, none of them in what a command means:
//!
//! - The ports of the page are those of the machine of one person; here they are whatever was free when the
//!   programs that listen on them were started. They are put into the commands, and back into what is printed.
//! - Programs that serve (`refgate up`, `refgate-origin`) have a terminal of their own: the next command
//!   does not wait for their end.
//! - Nobody sits there: `refgate` asks nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;
use refgate_tests::git::git;
use refgate_tests::process::{Process, run};
use refgate_tests::programs::program;
use refgate_tests::wait::wait_for;
use tempfile::TempDir;

use super::page::{Page, Step, agrees};

/// What `refgate up` is without flags, so that its ports can be others.
const UP: &str = "refgate up --listen 127.0.0.1:7080 --gateway test=127.0.0.1:9080 \
     --gateway uat=127.0.0.1:9081 --gateway production=127.0.0.1:9082";

/// The lines by which programs that serve tell where, and the port that pages have in that place.
const PORTS: [(&str, &str, u16); 5] = [
    ("refgate-origin", "refgate-origin: http://127.0.0.1:", 8000),
    ("refgate", "refgate: gateway test http://127.0.0.1:", 9080),
    ("refgate", "refgate: gateway uat http://127.0.0.1:", 9081),
    ("refgate", "refgate: gateway production http://127.0.0.1:", 9082),
    ("refgate", "refgate: control plane http://127.0.0.1:", 7080),
];

/// Leaves directory, variables and exit code in `$0` for the next command.
const SHELL: &str = r#"
exec 2>&1
[ ! -e "$0/variables" ] || . "$0/variables"
cd "$(cat "$0/directory")"
set -a
(exit "$(cat "$0/code")")
. "$0/command"
code=$?
export -p >"$0/variables"
pwd >"$0/directory"
echo "$code" >"$0/code"
exit "$code"
"#;

/// The same for a program that serves, which takes the place of its shell.
const SERVER: &str = r#"
[ ! -e "$0/variables" ] || . "$0/variables"
cd "$(cat "$0/directory")"
eval "exec $(cat "$0/command")"
"#;

/// A directory, what runs in it, and where.
pub(super) struct Session {
    /// The programs that serve, by name; declared before the directory, so that they end before that goes.
    servers: Vec<(String, Process)>,
    ports: BTreeMap<u16, u16>,
    directory: TempDir,
}

impl Session {
    /// A new one, in an empty directory.
    pub(super) fn new() -> anyhow::Result<Self> {
        let session =
            Self { servers: Vec::new(), ports: BTreeMap::new(), directory: TempDir::new()? };
        for folder in ["home", "state", "work"] {
            fs::create_dir(session.path(folder))?;
        }
        fs::write(session.path("state/code"), "0")?;
        fs::write(
            session.path("state/directory"),
            session.path("work").as_os_str().as_encoded_bytes(),
        )?;
        Ok(session)
    }

    /// Does what the page says.
    ///
    /// # Errors
    ///
    /// Names the page and the line of what went otherwise than it says.
    pub(super) fn run(&mut self, page: &Page) -> anyhow::Result<()> {
        let mut steps = page.steps.iter().peekable();
        while let Some(step) = steps.next() {
            let done = match step {
                Step::Interrupt { .. } => self.interrupt(),
                Step::Command { text, prints, .. } => {
                    let asked = matches!(steps.peek(),
                        Some(Step::Command { text, .. }) if text == "echo $?");
                    self.command(text, prints, asked)
                }
            };
            done.with_context(|| format!("{}:{}", page.path, step.line()))?;
        }
        Ok(())
    }

    fn command(&mut self, text: &str, prints: &[String], may_fail: bool) -> anyhow::Result<()> {
        if text.starts_with("refgate up") || text.starts_with("refgate-origin") {
            return self.serve(text, prints);
        }
        self.write(&self.with_ports(text))?;
        let ended = run(&mut self.shell(SHELL)?)?;
        let printed = self.without_ports(&ended.stdout);
        anyhow::ensure!(
            may_fail || ended.status.success(),
            "`{text}` ended with {}:\n{printed}",
            ended.code()
        );
        expect(text, prints, &printed)
    }

    fn serve(&mut self, text: &str, prints: &[String]) -> anyhow::Result<()> {
        let name = text.split(' ').next().unwrap_or_default().to_owned();
        let mine = || PORTS.iter().filter(|(program, ..)| *program == name);
        // On whatever port is free.
        for (_, _, port) in mine() {
            self.ports.insert(*port, 0);
        }
        self.write(&self.with_ports(&text.replacen("refgate up", UP, 1)))?;
        let process = Process::start(&name, &mut self.shell(SERVER)?)?;
        for (_, prefix, port) in mine() {
            self.ports.insert(*port, process.line(prefix)?.parse()?);
        }
        if !prints.is_empty() {
            wait_for("what the page shows", || {
                expect(text, prints, &self.without_ports(&process.printed()))
            })?;
        }
        self.servers.push((name, process));
        Ok(())
    }

    fn interrupt(&mut self) -> anyhow::Result<()> {
        let last = self.servers.iter().rposition(|(name, _)| name == "refgate");
        let (_, process) = self.servers.remove(last.context("no refgate serves")?);
        process.terminate()?;
        let ended = process.end()?;
        anyhow::ensure!(
            ended.status.success(),
            "it ended with {}:\n{}",
            ended.code(),
            ended.stderr
        );
        Ok(())
    }

    /// A shell without the settings of the person who runs the tests.
    fn shell(&self, script: &str) -> anyhow::Result<Command> {
        let bin = program("refgate")?;
        let bin = bin.parent().context("a program is in a directory")?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path =
            std::env::join_paths([bin.to_owned()].into_iter().chain(std::env::split_paths(&path)))?;
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc", "-c", script]).arg(self.path("state"));
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if ["GIT_", "REFGATE_", "XDG_"].iter().any(|prefix| text.starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        // What git is told in all tests.
        for (name, value) in git().get_envs() {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        command.env("PATH", path).env("HOME", self.path("home"));
        Ok(command)
    }

    fn path(&self, below: &str) -> PathBuf {
        self.directory.path().join(below)
    }

    fn write(&self, command: &str) -> anyhow::Result<()> {
        Ok(fs::write(self.path("state/command"), command)?)
    }

    fn with_ports(&self, text: &str) -> String {
        let numbers = self.ports.iter().map(|(page, here)| (*page, *here)).collect();
        exchange(text, &numbers)
    }

    fn without_ports(&self, text: &str) -> String {
        let numbers = self.ports.iter().map(|(page, here)| (*here, *page)).collect();
        exchange(text, &numbers)
    }
}

fn expect(command: &str, prints: &[String], printed: &str) -> anyhow::Result<()> {
    anyhow::ensure!(
        prints.is_empty() || agrees(prints, printed),
        "`{command}` printed\n{printed}\nwhere the page shows\n{}",
        prints.join("\n")
    );
    Ok(())
}

/// The text with other numbers in the place of those that stand alone.
fn exchange(text: &str, numbers: &BTreeMap<u16, u16>) -> String {
    let mut out = String::new();
    for word in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let bare = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        match bare.parse().ok().and_then(|number: u16| numbers.get(&number)) {
            Some(other) => {
                out.push_str(&other.to_string());
                out.push_str(&word[bare.len()..]);
            }
            None => out.push_str(word),
        }
    }
    out
}

#[test]
fn numbers_that_stand_alone_are_exchanged() {
    let numbers = BTreeMap::from([(9080, 40001), (8000, 40002)]);
    assert_eq!(
        exchange("curl localhost:9080/get9080 a9080 9080a \"9080\" @127.0.0.1:8000", &numbers),
        "curl localhost:40001/get9080 a9080 9080a \"40001\" @127.0.0.1:40002"
    );
}
