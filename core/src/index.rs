//! The disposable index: what walking the history would tell, kept in an embedded SQL store.
//!
//! It is never the truth. It is filled by folding commits, first parent by first parent, catches up
//! with whatever came in by other doors, and is made anew when it is damaged, older than this
//! program, or does not fit the repository. What it says of a commit is made from that commit and
//! those before it alone, and a commit's id stands for all of them: so an index that knows a commit
//! is right about it, even the index of another repository. Where its file cannot be written, it is
//! kept in memory for as long as the process lives.
//!
//! Queries are in [`query`], folding in [`fold`] and [`tags`], the file in [`mod@file`].

pub(crate) mod audit;
mod file;
mod fold;
mod pushes;
mod query;
mod tags;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use git2::Repository;
use rusqlite::Connection;

use crate::name::ServiceName;
use crate::store::StoreError;
use crate::store::objects::Objects;
use crate::store::wide::WideTrees;

pub(crate) use query::{CommitRow, HistoryQuery, VersionRow};

/// The index of one repository. Calls block; one at a time goes to the store.
pub(crate) struct Index {
    state: Mutex<State>,
    path: PathBuf,
    /// The repository that it is of.
    repository: PathBuf,
    /// Wide trees that folding has read.
    wide: WideTrees,
}

struct State {
    sql: Connection,
    heads: fold::Heads,
    tags: tags::Stamps,
}

impl From<Connection> for State {
    fn from(sql: Connection) -> Self {
        Self { sql, heads: fold::Heads::default(), tags: tags::Stamps::default() }
    }
}

impl Index {
    /// Opens the index at `path` of a repository, or makes it anew where it cannot be used.
    pub(crate) fn open(path: &Path, repository: &Path) -> Result<Self, StoreError> {
        let sql = file::connect(path).or_else(|error| {
            if file::cannot_be_written(&error) {
                return in_memory(path, &error);
            }
            tracing::warn!(%error, path = %path.display(), "the index is made anew");
            file::remove(path)?;
            file::connect(path).or_else(|error| in_memory(path, &error))
        })?;
        Ok(Self {
            state: Mutex::new(sql.into()),
            path: path.to_owned(),
            repository: repository.to_owned(),
            wide: WideTrees::default(),
        })
    }

    /// Makes the index at `path` of a repository anew, whatever is there.
    pub(crate) fn make(
        path: &Path,
        repository: &Path,
        handle: &Repository,
    ) -> Result<Self, StoreError> {
        let index = Self {
            state: Mutex::new(file::connect_in_memory()?.into()),
            path: path.to_owned(),
            repository: repository.to_owned(),
            wide: WideTrees::default(),
        };
        index.rebuild(handle)?;
        Ok(index)
    }

    /// Takes in the commits that came since the last call, by whichever door. Tags are taken in when
    /// they are asked for.
    pub(crate) fn catch_up(&self, repository: &Repository) -> Result<(), StoreError> {
        self.ask(|state| self.fold(state, repository))
    }

    /// Makes the index anew from the repository.
    pub(crate) fn rebuild(&self, repository: &Repository) -> Result<(), StoreError> {
        let state = &mut *self.lock();
        *state = file::connect_in_memory()?.into();
        file::remove(&self.path)?;
        *state = file::connect(&self.path)?.into();
        self.fold(state, repository)
    }

    /// The wide trees that folding reads, to be shared with who reads the same ones.
    pub(crate) fn wide_trees(&self) -> WideTrees {
        self.wide.clone()
    }

    fn fold(&self, state: &mut State, repository: &Repository) -> Result<(), StoreError> {
        let objects = Objects::sharing(repository, self.wide.clone())?;
        fold::fold_heads(&mut state.sql, &mut state.heads, repository, &objects)
    }

    /// Asks the store; when it turns out to be damaged, it is made anew and asked once more.
    fn ask<R>(&self, work: impl Fn(&mut State) -> Result<R, StoreError>) -> Result<R, StoreError> {
        let state = &mut *self.lock();
        match work(state) {
            Err(StoreError::Index(error)) if self.recover(state, &error)? => work(state),
            other => other,
        }
    }

    /// The same with the tags of one service, or of all, taken in.
    fn ask_with_tags<R>(
        &self,
        service: Option<&ServiceName>,
        work: impl Fn(&Connection) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        self.ask(|state| {
            tags::catch_up(&mut state.tags, &mut state.sql, &self.repository, service)?;
            work(&state.sql)
        })
    }

    /// Whether the store was made anew because of what it said.
    fn recover(&self, state: &mut State, error: &rusqlite::Error) -> Result<bool, StoreError> {
        if file::is_damage(error) {
            tracing::warn!(%error, path = %self.path.display(), "the index is damaged and made anew");
            *state = file::connect_in_memory()?.into();
            let made = file::remove(&self.path).map_err(StoreError::from).and_then(|()| {
                file::connect(&self.path).or_else(|error| in_memory(&self.path, &error))
            });
            *state = made?.into();
        } else if file::cannot_be_written(error) {
            *state = in_memory(&self.path, error)?.into();
        } else {
            return Ok(false);
        }
        let repository = Repository::open_bare(&self.repository)?;
        self.fold(state, &repository)?;
        Ok(true)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while it was held leaves at worst a transaction that SQLite rolls back.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A store for as long as this process lives, where the file cannot be used.
fn in_memory(path: &Path, error: &rusqlite::Error) -> Result<Connection, StoreError> {
    tracing::warn!(%error, path = %path.display(), "the index is kept in memory");
    Ok(file::connect_in_memory()?)
}
