//! A repository in a folder of its own, and short ways to change it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use refgate_core::Error;
use refgate_core::change::{Change, Operation, Precondition, Sync, SyncSource, Written};
use refgate_core::event::Actor;
use refgate_core::merge::OnConflict;
use refgate_core::repository::Repository;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A repository of the template's groups, removed with this value.
pub(crate) struct Fixture {
    pub(crate) repository: Repository,
    pub(crate) folder: TempDir,
}

/// Parses a name that is known to be one.
pub(crate) fn name<T: FromStr>(text: &str) -> T {
    text.parse().ok().expect(text)
}

/// A clock that goes on by a second a look.
pub(crate) fn clock() -> refgate_core::repository::Clock {
    let seconds = AtomicI64::new(1_700_000_000);
    Arc::new(move || {
        Timestamp::from_second(seconds.fetch_add(1, Ordering::Relaxed)).expect("a time")
    })
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::within(TempDir::new().expect("a folder"))
    }

    /// Where flushing costs nothing, if there is such a place: for tests that write a lot and do not
    /// look at what survives.
    pub(crate) fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
        Self::within(folder.expect("a folder"))
    }

    fn within(folder: TempDir) -> Self {
        let path = folder.path().join("config.git");
        let repository = Repository::open_or_create(&path, clock()).expect("a repository");
        Self { repository, folder }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("config.git")
    }

    pub(crate) fn apply(&self, group: &str, operation: Operation) -> Result<Written, Error> {
        self.repository.apply(change(group, operation))
    }

    pub(crate) fn put(
        &self,
        group: &str,
        service: &str,
        document: Value,
    ) -> Result<Written, Error> {
        self.apply(group, Operation::PutService { service: name(service), document })
    }

    pub(crate) fn patch(&self, group: &str, service: &str, patch: Value) -> Result<Written, Error> {
        self.apply(group, Operation::PatchService { service: name(service), patch })
    }

    pub(crate) fn sync(
        &self,
        service: &str,
        from: &str,
        to: &str,
        version: Option<&str>,
    ) -> Result<Written, Error> {
        self.sync_with(service, from, to, version, OnConflict::Abort)
    }

    pub(crate) fn sync_with(
        &self,
        service: &str,
        from: &str,
        to: &str,
        version: Option<&str>,
        on_conflict: OnConflict,
    ) -> Result<Written, Error> {
        self.apply(to, sync_operation(service, from, version, on_conflict))
    }

    /// What git says in the repository.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .arg("--git-dir")
            .arg(self.path())
            .args(arguments)
            .output()
            .expect("git runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {text}{errors}");
        text
    }

    pub(crate) fn service(&self, group: &str, service: &str) -> Value {
        let view = self.repository.service(&name(group), &name(service)).expect("the service");
        serde_json::to_value(view).expect("a view serialises")
    }

    /// The commits of all groups, to see that nothing changed.
    pub(crate) fn heads(&self) -> Value {
        let groups = self.repository.groups().expect("groups");
        groups.into_iter().map(|group| (group.name.to_string(), json!(group.head))).collect()
    }
}

pub(crate) fn sync_operation(
    service: &str,
    from: &str,
    version: Option<&str>,
    on_conflict: OnConflict,
) -> Operation {
    let source = SyncSource::Group { group: name(from), version: version.map(str::to_owned) };
    Operation::Sync(Sync {
        services: vec![(name(service), source)],
        runtime: None,
        on_conflict,
        settled: Default::default(),
    })
}

pub(crate) fn change(group: &str, operation: Operation) -> Change {
    Change {
        group: name(group),
        operation,
        actor: Actor::named("ana"),
        request_id: "r-1".to_owned(),
        reason: None,
        precondition: Precondition::default(),
    }
}

/// httpbin as the user guide has it.
pub(crate) fn httpbin() -> Value {
    json!({
        "routes": {"get-headers": {"paths": ["/headers"], "methods": ["GET"]}},
        "runtime": {
            "hosts": ["test.acme.com"],
            "upstreams": {"default": {
                "nodes": [{"host": "127.0.0.1", "port": 8000}], "pass_host": "node"
            }}
        }
    })
}

/// Writes a file onto the branch of the group test, with git alone.
pub(crate) fn push(f: &Fixture, path: &str, text: &str) {
    push_all(f, &[(path, Some(text))]);
}

/// Writes files in one commit, and takes those away that have no text.
pub(crate) fn push_all(f: &Fixture, files: &[(&str, Option<&str>)]) {
    let index = f.folder.path().join("pushed.index");
    let git = |arguments: &[&str], input: &str| {
        let mut child = Command::new("git")
            .arg("--git-dir")
            .arg(f.path())
            .args(arguments)
            .env("GIT_INDEX_FILE", &index)
            .envs([
                ("GIT_AUTHOR_NAME", "p"),
                ("GIT_AUTHOR_EMAIL", "p@x"),
                ("GIT_COMMITTER_NAME", "p"),
            ])
            .env("GIT_COMMITTER_EMAIL", "p@x")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("git runs");
        // Dropped at once: git reads to the end.
        child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("written");
        let output = child.wait_with_output().expect("git ends");
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let entry = |(path, text): &(&str, Option<&str>)| match text {
        Some(text) => {
            let blob = git(&["hash-object", "-w", "--stdin"], text);
            format!("100644 {blob}\t{path}\n")
        }
        None => format!("0 {}\t{path}\n", "0".repeat(40)),
    };
    let entries: String = files.iter().map(entry).collect();
    git(&["read-tree", "test"], "");
    git(&["update-index", "--index-info"], &entries);
    let tree = git(&["write-tree"], "");
    let commit = git(&["commit-tree", "-p", "test", "-m", "pushed", &tree], "");
    git(&["update-ref", "refs/heads/test", &commit], "");
}
