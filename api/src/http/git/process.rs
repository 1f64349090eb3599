//! The life of one git process: started in a group of its own, waited for, ended.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, ChildStdout};
use tokio::time::timeout;

/// How long git may take once it was told to end.
const GRACE: Duration = Duration::from_secs(1);

/// A git process at the head of a group of its own, with all that it starts.
pub(super) struct Running {
    pub(super) child: Child,
    /// Until it has ended.
    group: Option<Pid>,
}

impl Running {
    /// Starts it; it has pipes for all that it writes, and for what it reads if it reads.
    pub(super) fn start(mut command: Command, reads: bool) -> io::Result<Self> {
        command
            .stdin(if reads { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let child = tokio::process::Command::from(command).spawn()?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Ok(Self { child, group })
    }

    /// Waits until it has ended.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        self.group = None;
        Ok(status)
    }

    /// Ends it, gently at first: what it still has to say goes nowhere, but it may say it, so that it
    /// does not die of a broken pipe. A git that a signal ends leaves its quarantine behind.
    pub(super) async fn stop(&mut self, mut stdout: Option<ChildStdout>, patience: Duration) {
        let winds_down = async {
            let mut last_words = tokio::io::sink();
            if let Some(stdout) = &mut stdout {
                // Whatever cannot be read is as good as said.
                let _ = tokio::io::copy(stdout, &mut last_words).await;
            }
            self.ended().await
        };
        if timeout(patience, winds_down).await.is_ok() {
            return;
        }
        self.signal(Signal::TERM);
        if timeout(GRACE, self.ended()).await.is_ok() {
            return;
        }
        self.signal(Signal::KILL);
        if let Err(error) = self.ended().await {
            tracing::warn!(%error, "cannot wait for git");
        }
    }

    fn signal(&self, signal: Signal) {
        let Some(group) = self.group else { return };
        if let Err(error) = kill_process_group(group, signal) {
            tracing::debug!(%error, "cannot signal git");
        }
    }
}

impl Drop for Running {
    /// The task that looked after it is gone, which is how a runtime ends; what a push leaves behind
    /// then is swept up later.
    fn drop(&mut self) {
        self.signal(Signal::TERM);
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
    use tokio::process::ChildStderr;

    use super::*;

    /// A shell that has started another process, and what both of them could complain to.
    async fn started(script: &str) -> (Running, ChildStderr) {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("sleep 1000 & echo $!; {script}")]);
        let mut running = Running::start(command, true).unwrap();
        let mut line = String::new();
        let stdout = running.child.stdout.as_mut().unwrap();
        BufReader::with_capacity(1, stdout).read_line(&mut line).await.unwrap();
        assert!(line.ends_with('\n'), "{line}");
        let stderr = running.child.stderr.take().unwrap();
        (running, stderr)
    }

    /// Returns when nobody is left who could complain.
    async fn gone(mut stderr: ChildStderr) {
        let mut said = String::new();
        let ended = timeout(Duration::from_secs(60), stderr.read_to_string(&mut said)).await;
        ended.expect("they end").expect("a pipe");
    }

    #[tokio::test]
    async fn who_was_started_by_git_ends_with_it() {
        for script in ["wait", "trap '' TERM; while :; do wait; done"] {
            let (mut running, stderr) = started(script).await;
            let stdout = running.child.stdout.take();
            running.stop(stdout, Duration::ZERO).await;
            assert!(running.group.is_none(), "{script}: it was waited for");
            gone(stderr).await;
        }
    }

    #[tokio::test]
    async fn who_ends_by_itself_in_time_is_not_told_to() {
        let (mut running, stderr) = started("kill $!; cat; seq 100000; exit 7").await;
        drop(running.child.stdin.take());
        let stdout = running.child.stdout.take();
        running.stop(stdout, Duration::from_secs(60)).await;
        let status = running.child.wait().await.unwrap();
        assert_eq!(status.code(), Some(7), "neither a signal nor a broken pipe");
        gone(stderr).await;
    }

    #[tokio::test]
    async fn who_is_forgotten_is_told_to_end() {
        let (running, stderr) = started("wait").await;
        drop(running);
        gone(stderr).await;
    }
}
