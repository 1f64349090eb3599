//! One configuration repository: what the control plane asks of it and changes in it.
//!
//! Reads take a handle of their own and see what is published. Writes go through one thread
//! (`writer.rs`), which plans each change against the head of that moment and publishes it by
//! compare-and-swap, so that a foreign writer is never overwritten. All calls block.

mod cache;
pub mod check;
mod create;
mod maintenance;
mod reads;
mod reindex;
#[cfg(test)]
mod tests;
mod writer;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use crate::change::{Change, Operation, PlanView, Written};
use crate::error::Error;
use crate::index::Index;
use crate::name::GroupName;
use crate::store::{self, GitError, OpenError, StoreError};

pub(crate) use cache::{Cache, Head};
pub use maintenance::MaintenanceStats;
pub(crate) use reads::of_group;
pub use reindex::Reindexed;

/// What tells the time of commits.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A configuration repository that is open. Clones share it; it closes with the last of them.
#[derive(Clone)]
pub struct Repository {
    shared: Arc<Shared>,
    writer: Arc<writer::Writer>,
}

/// What readers and the writer share.
pub(crate) struct Shared {
    path: PathBuf,
    clock: Clock,
    index: Index,
    cache: Cache,
    wide: store::wide::WideTrees,
    /// Handles at rest; opening one costs more than a small read.
    handles: Mutex<Vec<(u64, git2::Repository)>>,
    maintenance: maintenance::Maintenance,
}

impl Repository {
    /// Opens the repository at `path`, which must be one of ours.
    ///
    /// # Errors
    /// When there is none, it is not ours, or it cannot be used.
    pub fn open(path: &Path, clock: Clock) -> Result<Self, OpenError> {
        let handle = store::open_for_writing(path)?;
        let maintenance = maintenance::Maintenance::start(path)?;
        Self::with(path, clock, handle, maintenance)
    }

    /// Opens the repository at `path` for one change, beside whoever else has it open: maintenance and
    /// what a crash left behind are their business.
    ///
    /// # Errors
    /// When there is none, it is not ours, or it cannot be used.
    pub fn open_beside(path: &Path, clock: Clock) -> Result<Self, OpenError> {
        store::enable_fsync()?;
        let handle = store::open_repository(path)?;
        Self::with(path, clock, handle, maintenance::Maintenance::none())
    }

    fn with(
        path: &Path,
        clock: Clock,
        handle: git2::Repository,
        maintenance: maintenance::Maintenance,
    ) -> Result<Self, OpenError> {
        let index = Index::open(&index_path(path), path)?;
        index.catch_up(&handle)?;
        let wide = index.wide_trees();
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            clock,
            index,
            cache: Cache::default(),
            wide,
            handles: Mutex::new(Vec::new()),
            maintenance,
        });
        let writer = Arc::new(writer::Writer::start(Arc::clone(&shared), handle)?);
        Ok(Self { shared, writer })
    }

    /// Puts the settings and hooks in order that guard the repository against git processes and check
    /// what is pushed; the hooks run `program`. Tells what was not as it should be.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn guard(&self, program: &Path) -> Result<Vec<String>, StoreError> {
        store::guard::repair(&self.shared.path, program)
    }

    /// Where the repository is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Makes a change: a commit, a tag, or nothing where nothing would be different.
    ///
    /// When this returns, the change is flushed to disk and published.
    ///
    /// # Errors
    /// See [`Error`]; nothing was changed then.
    pub fn apply(&self, change: Change) -> Result<Written, Error> {
        self.writer.apply(change)
    }

    /// What [`apply`](Self::apply) would do; nothing is changed.
    ///
    /// # Errors
    /// The refusal that applying would meet.
    pub fn plan(&self, change: &Change) -> Result<PlanView, Error> {
        self.shared.read(|desk| {
            let plan = crate::change::plan(desk, change)?;
            plan.view(desk)
        })
    }

    /// Whether what a sync or a copy brings is there, before it is asked for each of several groups.
    ///
    /// # Errors
    /// When the group, service, version or object that it comes from is not there or cannot be read.
    pub fn check_source(&self, operation: &Operation) -> Result<(), Error> {
        self.shared.read(|desk| crate::change::check_source(desk, operation))
    }

    /// Reads what is published.
    pub(crate) fn read<R>(
        &self,
        read: impl FnOnce(&Desk<'_>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.shared.read(read)
    }

    /// Runs maintenance now: makes few files of many, deletes nothing that is not stored elsewhere.
    ///
    /// It runs by itself when it is time; this is for who cannot wait.
    ///
    /// # Errors
    /// When git cannot be started, or a task of it failed; nothing is lost by that.
    pub fn maintain(&self) -> Result<(), GitError> {
        self.shared.maintenance.run()
    }

    /// What maintenance did so far.
    #[must_use]
    pub fn maintenance(&self) -> MaintenanceStats {
        self.shared.maintenance.stats()
    }

    /// Makes the disposable index anew.
    ///
    /// # Errors
    /// When the repository or the index cannot be used.
    pub fn reindex(&self) -> Result<(), Error> {
        self.shared.with_handle(|handle| Ok(self.shared.index.rebuild(handle)?))
    }
}

/// The index stands beside the repository: `config.git` has `config.index`.
pub(crate) fn index_path(repository: &Path) -> PathBuf {
    repository.with_extension("index")
}

impl Shared {
    /// Reads with a handle that has nothing pending, after the index has caught up.
    pub(crate) fn read<R>(
        &self,
        read: impl FnOnce(&Desk<'_>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.with_handle(|handle| {
            self.index.catch_up(handle)?;
            read(&Desk::new(self, handle)?)
        })
    }

    /// A new handle, with the number of the maintenance that it has seen.
    fn open_handle(&self) -> Result<(u64, git2::Repository), Error> {
        let generation = self.maintenance.generation();
        let handle = git2::Repository::open_bare(&self.path).map_err(StoreError::from)?;
        Ok((generation, handle))
    }

    fn with_handle<R>(
        &self,
        work: impl FnOnce(&git2::Repository) -> Result<R, Error>,
    ) -> Result<R, Error> {
        // Let go before opening another.
        let rested = self.handles.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let handle = match rested {
            Some(rested) if rested.0 == self.maintenance.generation() => rested,
            _ => self.open_handle()?,
        };
        let result = work(&handle.1);
        self.rest(handle);
        result
    }

    /// Puts a handle to rest. Those from before the last maintenance go, also those that nobody would
    /// have taken for long: packs that are gone keep their room on disk and in memory until then.
    fn rest(&self, handle: (u64, git2::Repository)) {
        let generation = self.maintenance.generation();
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        handles.push(handle);
        handles.retain(|(made, _)| *made == generation);
    }
}

/// What a piece of work on the repository has before it.
pub(crate) struct Desk<'r> {
    pub(crate) git: &'r git2::Repository,
    pub(crate) objects: store::objects::Objects<'r>,
    pub(crate) index: &'r Index,
    cache: &'r Cache,
    /// Groups that are further here than what is published.
    advances: RefCell<BTreeMap<GroupName, cache::Advance>>,
    pub(crate) now: Timestamp,
}

impl<'r> Desk<'r> {
    /// A desk of whoever has no repository open: to look, not to write.
    pub(crate) fn apart(
        git: &'r git2::Repository,
        objects: store::objects::Objects<'r>,
        index: &'r Index,
        cache: &'r Cache,
        now: Timestamp,
    ) -> Self {
        Self { git, objects, index, cache, advances: RefCell::default(), now }
    }

    fn new(shared: &'r Shared, git: &'r git2::Repository) -> Result<Self, StoreError> {
        Ok(Self {
            git,
            objects: store::objects::Objects::sharing(git, shared.wide.clone())?,
            index: &shared.index,
            cache: &shared.cache,
            advances: RefCell::default(),
            now: (shared.clock)(),
        })
    }
}
