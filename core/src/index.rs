//! The disposable index: what walking the history would tell, kept in an embedded SQL store.
//!
//! It is never the truth. It is filled by folding commits, first parent by first parent, catches up
//! with whatever came in by other doors, and is made anew when it is damaged, older than this
//! program, or does not fit the repository. Queries are in [`query`], folding in [`fold`].

mod fold;
mod query;
mod tags;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use git2::Repository;
use rusqlite::Connection;

use crate::name::ServiceName;
use crate::store::StoreError;

pub(crate) use query::{CommitRow, HistoryQuery, VersionRow};

/// The layout below; another number means that the index is made anew.
const LAYOUT: i64 = 1;

const TABLES: &str = "
CREATE TABLE heads (
    group_name TEXT PRIMARY KEY,
    commit_id BLOB NOT NULL,
    revision INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE commits (
    group_name TEXT NOT NULL,
    revision INTEGER NOT NULL,
    id BLOB NOT NULL,
    event TEXT NOT NULL,
    actor TEXT NOT NULL,
    author TEXT NOT NULL,
    at INTEGER NOT NULL,
    subject TEXT NOT NULL,
    service TEXT,
    version TEXT,
    from_group TEXT,
    reason TEXT,
    request_id TEXT,
    PRIMARY KEY (group_name, revision)
) WITHOUT ROWID;
CREATE INDEX commits_by_id ON commits (id);

-- What a service was in a group since a revision. NULL: it was not there.
CREATE TABLE touches (
    group_name TEXT NOT NULL,
    service TEXT NOT NULL,
    revision INTEGER NOT NULL,
    content BLOB,
    runtime BLOB,
    PRIMARY KEY (group_name, service, revision)
) WITHOUT ROWID;
CREATE INDEX touches_by_content ON touches (service, content, group_name);

CREATE TABLE versions (
    service TEXT NOT NULL,
    version TEXT NOT NULL,
    ref_target BLOB NOT NULL,
    commit_id BLOB NOT NULL,
    content BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (service, version)
) WITHOUT ROWID;
CREATE INDEX versions_by_content ON versions (service, content);
";

/// The index of one repository. Calls block; one at a time goes to the store.
pub(crate) struct Index {
    connection: Mutex<State>,
    path: PathBuf,
    /// The repository that it is of.
    repository: PathBuf,
}

struct State {
    sql: Connection,
    tags: tags::Stamps,
}

impl Index {
    /// Opens the index at `path` of a repository, or makes it anew where it cannot be used.
    pub(crate) fn open(path: &Path, repository: &Path) -> Result<Self, StoreError> {
        let sql = match connect(path) {
            Ok(sql) => sql,
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "the index is made anew");
                remove(path)?;
                connect(path)?
            }
        };
        let state = State { sql, tags: tags::Stamps::default() };
        Ok(Self {
            connection: Mutex::new(state),
            path: path.to_owned(),
            repository: repository.to_owned(),
        })
    }

    /// Takes in the commits that came since the last call, by whichever door. Tags are taken in when
    /// they are asked for.
    pub(crate) fn catch_up(&self, repository: &Repository) -> Result<(), StoreError> {
        let state = &mut *self.lock();
        match fold::fold_heads(&mut state.sql, repository) {
            Err(StoreError::Index(error)) if is_damage(&error) => {
                tracing::warn!(%error, "the index is damaged and made anew");
                self.rebuild_locked(state, repository)
            }
            other => other,
        }
    }

    /// Makes the index anew from the repository.
    pub(crate) fn rebuild(&self, repository: &Repository) -> Result<(), StoreError> {
        self.rebuild_locked(&mut self.lock(), repository)
    }

    fn rebuild_locked(&self, state: &mut State, repository: &Repository) -> Result<(), StoreError> {
        state.sql = Connection::open_in_memory()?;
        state.tags = tags::Stamps::default();
        remove(&self.path)?;
        state.sql = connect(&self.path)?;
        fold::fold_heads(&mut state.sql, repository)
    }

    /// The state with the tags of one service, or of all, taken in.
    fn with_tags(
        &self,
        service: Option<&ServiceName>,
    ) -> Result<MutexGuard<'_, State>, StoreError> {
        let mut guard = self.lock();
        let state = &mut *guard;
        tags::catch_up(&mut state.tags, &mut state.sql, &self.repository, service)?;
        Ok(guard)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while it was held leaves at worst a transaction that SQLite rolls back.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

/// Opens the store and makes its tables; an index of another layout is an error.
fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let sql = Connection::open(path)?;
    // It can be made anew at any time: it need not survive a power loss, only be consistent after
    // a crash of this process, which the write-ahead log gives.
    sql.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA busy_timeout = 5000;",
    )?;
    let layout: i64 = sql.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if layout == 0 {
        sql.execute_batch(&format!("BEGIN; {TABLES} PRAGMA user_version = {LAYOUT}; COMMIT;"))?;
    } else if layout != LAYOUT {
        return Err(rusqlite::Error::InvalidQuery);
    }
    Ok(sql)
}

fn remove(path: &Path) -> Result<(), StoreError> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(PathBuf::from(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}
