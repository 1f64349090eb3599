//! One running program: started with nothing on stdin, its output kept, killed by its
//! id when it goes out of scope.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::Context as _;
use rustix::process::{Pid, Signal};

use crate::wait::{DEADLINE, wait_for};

/// A child process and what it wrote so far.
pub struct Process {
    name: String,
    child: Child,
    stdout: Output,
    stderr: Output,
    ended: bool,
}

/// How a program ended, and everything it wrote.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it wrote on stdout.
    pub stdout: String,
    /// What it wrote on stderr.
    pub stderr: String,
}

impl Ended {
    /// The exit code; -1 when a signal ended the program.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }
}

impl Process {
    /// Starts `command`.
    pub fn start(name: &str, command: &mut Command) -> anyhow::Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let stdout = Output::collect(child.stdout.take().context("stdout is piped")?);
        let stderr = Output::collect(child.stderr.take().context("stderr is piped")?);
        Ok(Self { name: name.to_owned(), child, stdout, stderr, ended: false })
    }

    /// The ids and names of the programs that this one has started and that run, or wait to be
    /// looked after (Linux only).
    pub fn children(&self) -> anyhow::Result<Vec<(u32, String)>> {
        let mut children = Vec::new();
        for entry in std::fs::read_dir("/proc")? {
            // One that ends meanwhile is none.
            let Ok(stat) = std::fs::read_to_string(entry?.path().join("stat")) else { continue };
            let Some((before, after)) = stat.rsplit_once(") ") else { continue };
            let parent = after.split(' ').nth(1).and_then(|id| id.parse().ok());
            if let (Some((id, name)), true) =
                (before.split_once(" ("), parent == Some(self.child.id()))
            {
                children.push((id.parse()?, name.to_owned()));
            }
        }
        Ok(children)
    }

    /// Waits for a line on stdout that begins with `prefix`; answers the rest of it.
    pub fn line(&self, prefix: &str) -> anyhow::Result<String> {
        self.stdout
            .line(prefix)
            .with_context(|| format!("{} did not print `{prefix}…`\n{}", self.name, self.wrote()))
    }

    /// What the program wrote on stdout so far.
    pub fn printed(&self) -> String {
        self.stdout.text()
    }

    /// What the program wrote so far, for the message of a failing test.
    pub fn wrote(&self) -> String {
        format!(
            "--- stdout of {name}\n{}--- stderr of {name}\n{}",
            self.stdout.text(),
            self.stderr.text(),
            name = self.name,
        )
    }

    /// SIGKILL: the program gets no chance to tidy up.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM: the program is asked to end.
    pub fn terminate(&self) -> anyhow::Result<()> {
        self.send(Signal::TERM)
    }

    /// SIGINT: what Ctrl-C sends.
    pub fn interrupt(&self) -> anyhow::Result<()> {
        self.send(Signal::INT)
    }

    fn send(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = i32::try_from(self.child.id())?;
        let pid = Pid::from_raw(pid).context("a child has a process id")?;
        Ok(rustix::process::kill_process(pid, signal)?)
    }

    /// Waits until the program ends by itself.
    pub fn end(mut self) -> anyhow::Result<Ended> {
        let child = &mut self.child;
        let status =
            wait_for("a program to end", || child.try_wait()?.context("it is still running"))
                .with_context(|| self.wrote())?;
        self.stdout.finish();
        self.stderr.finish();
        self.ended = true;
        Ok(Ended { status, stdout: self.stdout.text(), stderr: self.stderr.text() })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only when the program has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !self.ended {
            // Captured, and shown only when the test fails.
            eprintln!("{}", self.wrote());
        }
    }
}

/// Whether a process of this id runs (Linux only); one that only waits to be looked after by
/// whoever inherited it does not.
pub fn runs(id: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{id}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, after)| !after.starts_with('Z')))
}

/// Runs `command` to its end.
pub fn run(command: &mut Command) -> anyhow::Result<Ended> {
    let name = command.get_program().to_string_lossy().into_owned();
    Process::start(&name, command)?.end()
}

/// A stream of the child, read by a thread so that the child never blocks on a full pipe.
struct Output {
    shared: Arc<(Mutex<Written>, Condvar)>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Written {
    text: String,
    closed: bool,
}

impl Output {
    fn collect(stream: impl Read + Send + 'static) -> Self {
        let shared = Arc::<(Mutex<Written>, Condvar)>::default();
        let writer = Arc::clone(&shared);
        let reader = std::thread::spawn(move || {
            let (written, grown) = &*writer;
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            loop {
                line.clear();
                let more = stream.read_until(b'\n', &mut line).is_ok_and(|read| read > 0);
                let mut written = lock(written);
                written.text.push_str(&String::from_utf8_lossy(&line));
                written.closed = !more;
                grown.notify_all();
                if !more {
                    return;
                }
            }
        });
        Self { shared, reader: Some(reader) }
    }

    fn line(&self, prefix: &str) -> anyhow::Result<String> {
        let (written, grown) = &*self.shared;
        let started = Instant::now();
        let mut written = lock(written);
        loop {
            // Only whole lines: the last one may still be growing.
            let lines = written.text.split_inclusive('\n');
            if let Some(rest) =
                lines.filter(|line| line.ends_with('\n')).find_map(|line| line.strip_prefix(prefix))
            {
                return Ok(rest.trim_end().to_owned());
            }
            anyhow::ensure!(!written.closed, "it ended, or closed its output");
            let left = DEADLINE
                .checked_sub(started.elapsed())
                .with_context(|| format!("waited {DEADLINE:?}"))?;
            written = grown.wait_timeout(written, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn text(&self) -> String {
        lock(&self.shared.0).text.clone()
    }

    fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

fn lock(written: &Mutex<Written>) -> MutexGuard<'_, Written> {
    written.lock().unwrap_or_else(PoisonError::into_inner)
}
