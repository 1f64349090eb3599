//! The git command, reading the configuration repository as a person would, and once in a
//! while writing to it behind Refgate's back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::process::{Ended, run};

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
        let ended = self.ended(arguments)?;
        anyhow::ensure!(
            ended.status.success(),
            "git {arguments:?}: {}\n{}{}",
            ended.status,
            ended.stdout,
            ended.stderr
        );
        Ok(ended.stdout.trim_end_matches('\n').to_owned())
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
