//! A repository on disk as a source: file events only wake; each time it is asked where the branch
//! is and ids are compared, so that nothing depends on which files a write touches.

use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;

use refgate_core::name::CommitId;
use refgate_core::store::{GroupReader, OpenError, StoreError};

use super::Wake;
use super::applied::Applied;
use super::state::StateFile;
use super::watch::Watch;

/// A repository that is followed.
pub(super) struct RepositoryOrigin {
    path: PathBuf,
    reader: Option<GroupReader>,
    watch: Option<Watch>,
    wake: SyncSender<Wake>,
    /// The commit that was looked at last.
    seen: Option<CommitId>,
    /// The commit that was kept, when that was served first.
    restored: Option<CommitId>,
}

impl RepositoryOrigin {
    /// Opens the repository at `path` and applies what it says now; without one, what a gateway
    /// before this one has kept.
    pub(super) fn open(
        applied: &mut Applied,
        path: PathBuf,
        state: Option<&StateFile>,
        wake: SyncSender<Wake>,
    ) -> Result<Self, OpenError> {
        let mut origin = Self { path, reader: None, watch: None, wake, seen: None, restored: None };
        match GroupReader::open(&origin.path) {
            Ok(reader) => {
                origin.reader = Some(reader);
                origin.inherit(applied, state);
                // Watched first, looked at afterwards: a change in between is an event.
                origin.look(applied);
            }
            Err(error) => {
                let restored = state.and_then(|state| state.restore(&applied.shared.group));
                let Some((mirror, good)) = restored else { return Err(error) };
                let loaded = mirror.load(good.as_ref());
                if let Some(good) = good {
                    applied.inherit(good);
                }
                let Ok(Some(loaded)) = loaded else { return Err(error) };
                applied.apply(loaded);
                origin.restored = mirror.commit();
                applied.shared.troubled(&error.to_string());
            }
        }
        Ok(origin)
    }

    /// The commit that was kept, when that was served first.
    pub(super) fn restored(&self) -> Option<CommitId> {
        self.restored
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes over the last good forms that a gateway before this one had, where something in the
    /// repository is at fault.
    fn inherit(&mut self, applied: &mut Applied, state: Option<&StateFile>) {
        let (Some(state), Some(reader)) = (state, &mut self.reader) else { return };
        let group = &applied.shared.group;
        let Ok(Some(head)) = reader.head(group) else { return };
        let is_sound =
            |loaded: refgate_core::config::Loaded| loaded.faulty.is_empty() && !loaded.group_faulty;
        if reader.load(group, head, None).is_ok_and(is_sound) {
            return;
        }
        if let Some((_, Some(good))) = state.restore(group) {
            applied.inherit(good);
        }
    }

    /// Applies what the repository says now, when that is news.
    pub(super) fn look(&mut self, applied: &mut Applied) {
        if self.watch.as_ref().is_none_or(|watch| !watch.is_current()) {
            let wake = self.wake.clone();
            let watch = Watch::new(&self.path, move || {
                // When the channel is full it will look anyway.
                let _ = wake.try_send(Wake::Look);
            });
            self.watch = watch
                .inspect_err(|error| {
                    tracing::debug!(%error, "cannot watch the repository; polling");
                })
                .ok();
            // The files may be others now: the old handle would never see them.
            self.reader = None;
        }
        if let Err(trouble) = self.follow(applied) {
            self.reader = None;
            applied.shared.troubled(&trouble.to_string());
        }
    }

    fn follow(&mut self, applied: &mut Applied) -> Result<(), Trouble> {
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => GroupReader::open(&self.path)?,
        };
        let group = applied.shared.group.clone();
        let head = reader.head(&group)?;
        let reader = self.reader.insert(reader);
        let Some(head) = head else { return Err(Trouble::NoBranch) };
        if self.seen == Some(head) {
            applied.shared.untroubled();
            return Ok(());
        }
        let before = applied.before();
        let loaded = match (reader.load(&group, head, before), before) {
            // Another repository may be here now, which has nothing of what was loaded before.
            (Err(error), Some(before)) => {
                reader.load(&group, head, Some(&before.elsewhere())).map_err(|_| error)?
            }
            (other, _) => other?,
        };
        applied.apply(loaded);
        self.seen = Some(head);
        Ok(())
    }
}

/// Why the branch cannot be followed at the moment.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Read(#[from] StoreError),
    #[error("the repository has no branch for this group")]
    NoBranch,
}
