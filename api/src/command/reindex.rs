//! `refgate reindex`: the disposable index of a repository on this machine, made anew.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use refgate_core::repository::{Reindexed, Repository};
use serde_json::json;

use super::failure::{self, Failure};
use crate::output::{Format, Output, text};
use crate::server::data_dir::{DataDir, DataDirError};

/// Flags of `reindex`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  refgate reindex --data-dir /var/lib/refgate")]
pub struct ReindexArgs {
    /// Data directory whose configuration is indexed
    #[arg(long, value_name = "DIR", default_value = "./refgate-data")]
    data_dir: PathBuf,
    /// Repository to index, in the place of a data directory's
    #[arg(long, value_name = "PATH", conflicts_with = "data_dir")]
    repository: Option<PathBuf>,
    /// What the answer looks like
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "table")]
    output: Format,
}

/// Why the index was not made anew.
#[derive(Debug, thiserror::Error)]
enum ReindexError {
    #[error(
        "a control plane runs on {}{}: stop it first; a running one mends its index by itself",
        path.display(),
        pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
    )]
    Running { path: PathBuf, pid: Option<u32> },
    #[error(transparent)]
    DataDir(DataDirError),
    #[error(transparent)]
    Core(#[from] refgate_core::Error),
}

impl From<DataDirError> for ReindexError {
    fn from(error: DataDirError) -> Self {
        match error {
            DataDirError::InUse { path, pid } => Self::Running { path, pid },
            other => Self::DataDir(other),
        }
    }
}

impl ReindexArgs {
    /// Makes the index anew; gives the exit code.
    pub(crate) fn run(self, output: impl FnOnce(Format) -> Output) -> u8 {
        let mut output = output(self.output);
        failure::report(self.reindex(&mut output))
    }

    fn reindex(self, output: &mut Output) -> Result<(), Failure> {
        let repository = self.repository.unwrap_or_else(|| self.data_dir.join("config.git"));
        let started = Instant::now();
        let made = reindex(&repository).map_err(Failure::program)?;
        let seconds = started.elapsed().as_secs_f64();
        show(output, &repository, made, seconds)?;
        Ok(())
    }
}

fn reindex(repository: &Path) -> Result<Reindexed, ReindexError> {
    // A control plane holds the lock of the directory that the repository stands in. Where there is
    // no lock there has been none, and asking must not make one.
    let folder = match repository.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let _held = if folder.join("lock").exists() { Some(DataDir::open(folder)?) } else { None };
    Ok(Repository::reindex_at(repository)?)
}

fn show(output: &mut Output, path: &Path, made: Reindexed, seconds: f64) -> io::Result<()> {
    match output.format() {
        Format::Json | Format::Yaml => output.document(&json!({
            "repository": path.display().to_string(),
            "groups": made.groups, "commits": made.commits, "versions": made.versions,
            "seconds": seconds,
        })),
        Format::Name => output.line(path.display().to_string()),
        Format::Table => {
            let [groups, commits, versions] = [
                text::count(made.groups, "group"),
                text::count(made.commits, "commit"),
                text::count(made.versions, "version"),
            ];
            output.line(format!(
                "the index of {} was made anew in {seconds:.1} s: {groups}, {commits}, {versions}",
                path.display()
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_anew_unless_a_control_plane_runs() {
        let root = tempfile::tempdir().unwrap();
        let data_dir = DataDir::open(root.path()).unwrap();
        let path = data_dir.repository_path();
        let clock = std::sync::Arc::new(jiff::Timestamp::now);
        drop(Repository::open_or_create(&path, clock).unwrap());
        let refused = reindex(&path).unwrap_err().to_string();
        assert!(refused.contains("a control plane runs on"), "{refused}");
        assert!(refused.contains(&format!("pid {}", std::process::id())), "{refused}");

        drop(data_dir);
        let index = path.with_extension("index");
        std::fs::write(&index, "garbage").unwrap();
        let made = reindex(&path).unwrap();
        assert_eq!((made.groups, made.commits, made.versions), (3, 3, 0));
        assert!(std::fs::read(&index).unwrap().starts_with(b"SQLite format 3"));
    }

    #[test]
    fn a_place_without_a_repository_stays_as_it_is() {
        let root = tempfile::tempdir().unwrap();
        let refused = reindex(&root.path().join("config.git")).unwrap_err().to_string();
        assert!(refused.contains("there is no repository at"), "{refused}");
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
    }
}
