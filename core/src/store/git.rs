//! The one place that makes git commands, for what libgit2 cannot do: checking every object, packing
//! what has become many, and, in [`transport`], speaking with git's clients.
//!
//! git gets nothing of the environment but the way to its own programs, no configuration of the
//! user or the machine, and a repository that is named, never looked for.

mod transport;

use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

pub use transport::{GitProtocol, GitService, GitStage, GitTransport, MAX_PUSH_BYTES};

/// The oldest git that does what is asked of it here: `git maintenance` has its tasks since then.
const MINIMUM: (u32, u32) = (2, 30);

/// Why git did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// There is no git.
    #[error("git cannot be started; install git {}.{} or later", MINIMUM.0, MINIMUM.1)]
    Absent(#[source] std::io::Error),
    /// It is too old, or not git.
    #[error("git {}.{} or later is needed; this one says {found:?}", MINIMUM.0, MINIMUM.1)]
    TooOld {
        /// What it says of itself.
        found: String,
    },
    /// What it writes cannot be read.
    #[error("git cannot be talked to: {0}")]
    Io(#[from] std::io::Error),
    /// It says no.
    #[error("git {command}: {status}: {said}")]
    Failed {
        /// What it was asked.
        command: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote.
        said: String,
    },
    /// It was stopped from here.
    #[error("git {0} was stopped")]
    Stopped(&'static str),
}

/// The git command on one repository.
#[derive(Debug)]
pub(crate) struct Git {
    repository: PathBuf,
}

impl Git {
    /// git for the repository at `path`, when there is one that is new enough.
    pub(crate) fn for_repository(path: &Path) -> Result<Self, GitError> {
        let output = bare_command().arg("version").output().map_err(GitError::Absent)?;
        let found = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        match version(&found) {
            Some(version) if version >= MINIMUM => Ok(Self { repository: path.to_owned() }),
            _ => Err(GitError::TooOld { found }),
        }
    }

    /// What `git fsck` has to say about the repository, a line for each fault.
    pub(crate) fn fsck(&self) -> Result<Vec<String>, GitError> {
        let mut command = self.command();
        command.arg("fsck");
        // Every object is read and hashed, packs included, and each must lead only to what is there.
        command.arg("--full");
        // Modes and names that git itself would never write are faults too.
        command.arg("--strict");
        // What nothing leads to is no fault: a change that lost a race leaves it behind.
        command.arg("--no-dangling");
        // Nobody is looking at a terminal.
        command.arg("--no-progress");
        let output = command.stdin(Stdio::null()).output()?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        // `notice:` tells that HEAD names no branch yet, which is nobody's concern here.
        let faults: Vec<String> = said
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with("notice: "))
            .map(str::to_owned)
            .collect();
        if faults.is_empty() && !output.status.success() {
            let said = said.into_owned();
            return Err(GitError::Failed { command: "fsck", status: output.status, said });
        }
        Ok(faults)
    }

    /// Runs one task of `git maintenance`; `go_on` is asked now and then whether to wait longer.
    pub(crate) fn maintain(
        &self,
        task: MaintenanceTask,
        go_on: &dyn Fn(Duration) -> bool,
    ) -> Result<(), GitError> {
        let mut command = self.command();
        // The repository's own setting again, for a git that was told otherwise there.
        command.args(["-c", "core.fsync=all"]);
        // In the background one processor is enough.
        command.args(["-c", "pack.threads=1"]);
        match task {
            MaintenanceTask::PackRefs => {
                // Tags alone, and what is packed already: branches are few and move all the time.
                command.args(["pack-refs", "--prune"]);
            }
            MaintenanceTask::LooseObjects
            | MaintenanceTask::IncrementalRepack
            | MaintenanceTask::CommitGraph => {
                // One task by name: never `gc`, which prunes. Nothing is written but errors.
                command.args(["maintenance", "run", "--quiet"]);
                command.arg(format!("--task={}", task.name()));
            }
        }
        // Into a file, not a pipe: nobody reads along.
        let mut errors = tempfile::tempfile()?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors.try_clone()?)
            .spawn()
            .map_err(GitError::Absent)?;
        let mut pause = Duration::from_millis(5);
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if !go_on(pause) {
                child.kill()?;
                child.wait()?;
                return Err(GitError::Stopped(task.name()));
            }
            pause = (pause * 2).min(Duration::from_millis(100));
        };
        if status.success() {
            return Ok(());
        }
        let mut said = String::new();
        errors.rewind()?;
        errors.read_to_string(&mut said)?;
        let said = said.trim().to_owned();
        Err(GitError::Failed { command: task.name(), status, said })
    }

    fn command(&self) -> Command {
        let mut command = bare_command();
        // Named, so that git looks for no other and asks nobody whose it is.
        command.arg("--git-dir").arg(&self.repository);
        // No hook of the repository runs for what is done here.
        command.args(["-c", "core.hooksPath=/dev/null"]);
        command
    }
}

/// A task that makes fewer files of many and deletes nothing that is not elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MaintenanceTask {
    /// Packs loose objects; those that an earlier run has packed go.
    LooseObjects,
    /// Makes one pack of many small ones.
    IncrementalRepack,
    /// Adds new commits to the commit-graph.
    CommitGraph,
    /// Writes tags into one file.
    PackRefs,
}

impl MaintenanceTask {
    /// In the order in which they help each other.
    pub(crate) const ALL: [Self; 4] =
        [Self::LooseObjects, Self::IncrementalRepack, Self::CommitGraph, Self::PackRefs];

    /// As git calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::LooseObjects => "loose-objects",
            Self::IncrementalRepack => "incremental-repack",
            Self::CommitGraph => "commit-graph",
            Self::PackRefs => "pack-refs",
        }
    }
}

/// git without any repository.
fn bare_command() -> Command {
    let mut command = Command::new("git");
    command.env_clear();
    // Where git and its helpers are.
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
        // Messages are compared by their first words.
        .env("LC_ALL", "C")
        // No configuration but the repository's; a git before 2.32 finds none under this home.
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("HOME", "/dev/null")
        .env("XDG_CONFIG_HOME", "/dev/null");
    command
}

/// The first two numbers in `git version 2.47.3 (somebody's)`.
fn version(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.strip_prefix("git version ")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (said, expected) in [
            ("git version 2.47.3", Some((2, 47))),
            ("git version 2.30.1 (Apple Git-130)", Some((2, 30))),
            ("git version 2.9.0.rc1", Some((2, 9))),
            ("git version x", None),
            ("hg 3.0", None),
        ] {
            assert_eq!(version(said), expected, "{said}");
        }
        assert!((2, 9) < MINIMUM);
    }
}
