//! A configuration repository that tests write to like any other program would.

use std::path::{Path, PathBuf};
use std::process::Command;

use git2::build::TreeUpdateBuilder;
use git2::{FileMode, Repository, Signature};
use serde_json::Value;
use tempfile::TempDir;

/// A repository in a folder of its own.
pub(crate) struct Config {
    folder: TempDir,
    repository: Repository,
}

impl Config {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let repository = Repository::init_bare(folder.path().join("config.git")).unwrap();
        repository.config().unwrap().set_i64("refgate.formatversion", 1).unwrap();
        Self { folder, repository }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("config.git")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Puts documents into a group's tree, or takes them out, in one commit; gives its id.
    pub(crate) fn commit(&self, group: &str, files: &[(&str, Option<Value>)]) -> String {
        let texts: Vec<(&str, Option<String>)> = files
            .iter()
            .map(|(path, json)| (*path, json.as_ref().map(|json| format!("{json:#}\n"))))
            .collect();
        let texts: Vec<(&str, Option<&str>)> =
            texts.iter().map(|(path, text)| (*path, text.as_deref())).collect();
        self.commit_texts(group, &texts)
    }

    /// The same with files that need not be JSON.
    pub(crate) fn commit_texts(&self, group: &str, files: &[(&str, Option<&str>)]) -> String {
        let branch = format!("refs/heads/{group}");
        let parent = self
            .repository
            .refname_to_id(&branch)
            .ok()
            .map(|id| self.repository.find_commit(id).unwrap());
        let base = match &parent {
            Some(parent) => parent.tree().unwrap(),
            None => {
                let empty = self.repository.treebuilder(None).unwrap().write().unwrap();
                self.repository.find_tree(empty).unwrap()
            }
        };
        let mut tree = TreeUpdateBuilder::new();
        if parent.is_none() {
            let blob = self.repository.blob(b"{}\n").unwrap();
            tree.upsert("group.json", blob, FileMode::Blob);
        }
        for (path, text) in files {
            match text {
                Some(text) => {
                    let blob = self.repository.blob(text.as_bytes()).unwrap();
                    tree.upsert(*path, blob, FileMode::Blob);
                }
                None => {
                    tree.remove(*path);
                }
            }
        }
        let tree = tree.create_updated(&self.repository, &base).unwrap();
        let tree = self.repository.find_tree(tree).unwrap();
        let who = Signature::now("Test", "test@example.com").unwrap();
        let parents: Vec<_> = parent.iter().collect();
        let commit =
            self.repository.commit(Some(&branch), &who, &who, "change", &tree, &parents).unwrap();
        commit.to_string()
    }

    /// What git does when it is asked so.
    pub(crate) fn git(&self, arguments: &[&str]) {
        let status = Command::new("git").arg("--git-dir").arg(self.path()).args(arguments).status();
        assert!(status.unwrap().success(), "git {arguments:?}");
    }

    /// What `git pack-refs` leaves: the ref in `packed-refs`, no loose file.
    pub(crate) fn pack(&self, group: &str) {
        let branch = format!("refs/heads/{group}");
        let id = self.repository.refname_to_id(&branch).unwrap();
        let text = format!("# pack-refs with: peeled fully-peeled sorted \n{id} {branch}\n");
        let lock = self.path().join("packed-refs.lock");
        std::fs::write(&lock, text).unwrap();
        std::fs::rename(&lock, self.path().join("packed-refs")).unwrap();
        std::fs::remove_file(self.path().join(&branch)).unwrap();
    }
}
