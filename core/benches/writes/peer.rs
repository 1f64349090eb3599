//! What one would do otherwise: the same change in a clone, by the git command.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::stage::{route_of, timed};

/// A clone to work in by hand.
pub(crate) struct Clone {
    folder: PathBuf,
}

impl Clone {
    pub(crate) fn of(repository: &Path, parent: &Path) -> Self {
        let this = Self { folder: parent.join("clone") };
        let from = repository.to_str().expect("a plain path");
        let to = this.folder.to_str().expect("a plain path");
        run(parent, &["clone", "--quiet", "--branch", "test", from, to]);
        for (key, value) in [
            ("core.fsync", "all"),
            ("user.name", "bench"),
            ("user.email", "bench@example.com"),
            ("gc.auto", "0"),
        ] {
            this.git(&["config", key, value]);
        }
        this.git(&["branch", "target"]);
        this
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        run(&self.folder, arguments)
    }

    pub(crate) fn commit(&self, n: usize) -> Duration {
        let (file, document) = route_of(n, 9);
        std::fs::write(self.folder.join(&file), format!("{document:#}\n")).expect("written");
        timed(|| {
            self.git(&["add", &file]);
            self.git(&["commit", "--quiet", "--message", "change a route"]);
        })
    }
}

fn run(folder: &Path, arguments: &[&str]) -> String {
    let output =
        Command::new("git").current_dir(folder).args(arguments).output().expect("git runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
