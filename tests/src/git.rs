//! The git command, reading the configuration repository as a person would, and once in a
//! while writing to it behind Refgate's back; and clones of it, as people have them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::process::{Ended, run};

/// git without the settings of the person who runs the tests: it asks nobody, knows no proxy, and
/// commits are somebody's.
pub fn git() -> Command {
    let mut command = Command::new("git");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GIT_") {
            command.env_remove(name);
        }
    }
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .env("no_proxy", "*")
        .envs([("GIT_AUTHOR_NAME", "Jane"), ("GIT_COMMITTER_NAME", "Jane")])
        .envs(["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"].map(|name| (name, "jane@example.com")));
    command
}

/// The output without the last newline of a git that must have succeeded.
fn output(arguments: &[&str], ended: Ended) -> anyhow::Result<String> {
    anyhow::ensure!(
        ended.status.success(),
        "git {arguments:?}: {}\n{}{}",
        ended.status,
        ended.stdout,
        ended.stderr
    );
    Ok(ended.stdout.trim_end_matches('\n').to_owned())
}

/// Whether a push was refused because others were faster.
pub fn lost_a_race(push: &Ended) -> bool {
    let lost = [
        "fetch first",
        "non-fast-forward",
        "[not_fast_forward]",
        "cannot lock ref",
        "failed to update ref",
    ];
    lost.iter().any(|word| push.stderr.contains(word))
}

/// A clone with its files.
#[derive(Debug, Clone)]
pub struct WorkTree {
    directory: PathBuf,
}

impl WorkTree {
    /// The clone in `directory`.
    pub fn at(directory: impl AsRef<Path>) -> Self {
        Self { directory: directory.as_ref().to_owned() }
    }

    /// Clones `url` into `directory`, which must succeed; `arguments` are of `git clone`.
    pub fn clone_of(
        url: &str,
        directory: impl AsRef<Path>,
        arguments: &[&str],
    ) -> anyhow::Result<Self> {
        let tree = Self::at(directory);
        // Maintenance of a clone goes on in the background and is in the way of the next command.
        let quiet = ["clone", "--quiet", "-c", "gc.auto=0", "-c", "maintenance.auto=false"];
        let ended = run(git().args(quiet).args(arguments).arg(url).arg(&tree.directory))?;
        anyhow::ensure!(ended.status.success(), "git clone {arguments:?}: {}", ended.stderr);
        Ok(tree)
    }

    /// Runs `git …` in it, which must succeed; its output without the last newline.
    pub fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        output(arguments, self.ended(arguments)?)
    }

    /// Runs `git …` in it, whatever comes of it.
    pub fn ended(&self, arguments: &[&str]) -> anyhow::Result<Ended> {
        run(self.command().args(arguments))
    }

    /// git in it, to be given more.
    pub fn command(&self) -> Command {
        let mut command = git();
        command.arg("-C").arg(&self.directory);
        command
    }

    /// Writes a file and commits it; the id of the commit.
    pub fn commit(&self, path: &str, bytes: impl AsRef<[u8]>) -> anyhow::Result<String> {
        let file = self.directory.join(path);
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(file, bytes)?;
        self.run(&["add", "--", path])?;
        self.run(&["commit", "--quiet", "-m", &format!("change {path}")])?;
        self.run(&["rev-parse", "HEAD"])
    }
}

/// A repository, read with the git command.
#[derive(Debug, Clone)]
pub struct Git {
    directory: PathBuf,
}

impl Git {
    /// The (bare) repository in `directory`.
    pub fn at(directory: impl AsRef<Path>) -> Self {
        Self { directory: directory.as_ref().to_owned() }
    }

    /// Runs `git …`; its output without the last newline.
    pub fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        output(arguments, self.ended(arguments)?)
    }

    /// Runs `git …`, whatever comes of it.
    pub fn ended(&self, arguments: &[&str]) -> anyhow::Result<Ended> {
        run(self.command().args(arguments))
    }

    fn command(&self) -> Command {
        let mut command = Command::new("git");
        command
            .arg("--git-dir")
            .arg(&self.directory)
            // Nothing of the person who runs the tests leaks in.
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("LC_ALL", "C");
        command
    }

    /// Commits files to a branch the way another program would, past every check of Refgate.
    pub fn commit(&self, branch: &str, files: &[(&str, &str)]) -> anyhow::Result<String> {
        let scratch = TempDir::new()?;
        let index = scratch.path().join("index");
        let with_index = |arguments: &[&str]| -> anyhow::Result<String> {
            let ended = run(self
                .command()
                .args(arguments)
                .env("GIT_INDEX_FILE", &index)
                .envs([("GIT_AUTHOR_NAME", "somebody"), ("GIT_COMMITTER_NAME", "somebody")])
                .envs(
                    ["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"].map(|name| (name, "a@example.com")),
                ))?;
            anyhow::ensure!(ended.status.success(), "git {arguments:?}: {}", ended.stderr);
            Ok(ended.stdout.trim_end().to_owned())
        };
        let head = self.run(&["rev-parse", &format!("refs/heads/{branch}")])?;
        with_index(&["read-tree", &head])?;
        for (path, text) in files {
            let file = scratch.path().join("blob");
            std::fs::write(&file, text)?;
            let blob = with_index(&["hash-object", "-w", "--no-filters", &file.to_string_lossy()])?;
            with_index(&[
                "update-index",
                "--add",
                "--cacheinfo",
                &format!("100644,{blob},{path}"),
            ])?;
        }
        let tree = with_index(&["write-tree"])?;
        let commit = with_index(&["commit-tree", "-p", &head, "-m", "by hand", &tree])?;
        self.run(&["update-ref", &format!("refs/heads/{branch}"), &commit, &head])?;
        Ok(commit)
    }

    /// Every ref and the object it points at.
    pub fn refs(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let refs = self.run(&["for-each-ref", "--format=%(refname) %(objectname)"])?;
        Ok(refs
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(name, id)| (name.to_owned(), id.to_owned()))
            .collect())
    }

    /// The commits of a branch, oldest first (first parents only).
    pub fn commits(&self, branch: &str) -> anyhow::Result<Vec<String>> {
        let branch = format!("refs/heads/{branch}");
        let list = self.run(&["rev-list", "--first-parent", "--reverse", &branch])?;
        Ok(list.lines().map(str::to_owned).collect())
    }

    /// The subjects of a branch, oldest first.
    pub fn subjects(&self, branch: &str) -> anyhow::Result<Vec<String>> {
        let branch = format!("refs/heads/{branch}");
        let list = self.run(&["log", "--first-parent", "--reverse", "--format=%s", &branch])?;
        Ok(list.lines().map(str::to_owned).collect())
    }

    /// The bytes of a file at a revision, such as `uat` or an id.
    pub fn file(&self, revision: &str, path: &str) -> anyhow::Result<String> {
        self.run(&["cat-file", "blob", &format!("{revision}:{path}")])
    }

    /// The message of a commit.
    pub fn message(&self, revision: &str) -> anyhow::Result<String> {
        self.run(&["show", "--no-patch", "--format=%B", revision])
    }

    /// `git fsck --strict` has nothing to say. Dangling objects are no fault: a change
    /// that lost a race or a killed process leaves some behind.
    pub fn fsck(&self) -> anyhow::Result<()> {
        let ended = self.ended(&["fsck", "--strict", "--no-dangling", "--no-progress"])?;
        let said = format!("{}{}", ended.stdout, ended.stderr);
        let faults: Vec<&str> = said.lines().filter(|line| !line.starts_with("notice: ")).collect();
        anyhow::ensure!(
            ended.status.success() && faults.is_empty(),
            "git fsck: {}\n{said}",
            ended.status
        );
        Ok(())
    }
}
