//! The file of the index: its tables, and whether what is there is one of ours.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode};

/// What folding puts into the tables below; another number means that the index is made anew. It
/// goes up with every change of the tables or of what is put into them.
pub(super) const LAYOUT: i64 = 4;

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
    -- Of a pushed commit that changes one service alone: the content that the group had before and
    -- has again. With a version of that content, the commit is a rollback.
    restored BLOB,
    PRIMARY KEY (group_name, revision)
) WITHOUT ROWID;
CREATE INDEX commits_by_id ON commits (id);

-- Who moved a ref by a push.
CREATE TABLE pushes (
    ref TEXT NOT NULL,
    new BLOB NOT NULL,
    old BLOB,
    actor TEXT NOT NULL,
    request_id TEXT,
    PRIMARY KEY (ref, new)
) WITHOUT ROWID;

-- Contents that a push was to give a number, and when: its tag may be about to be made.
CREATE TABLE numbered (
    service TEXT NOT NULL,
    content BLOB NOT NULL,
    version TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (service, content, version)
) WITHOUT ROWID;

-- How far the log of pushes was taken in: at most one row.
CREATE TABLE pushes_head (id BLOB NOT NULL);

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

-- Which files of a group a revision wrote or took away.
CREATE TABLE files (
    group_name TEXT NOT NULL,
    path TEXT NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (group_name, path, revision)
) WITHOUT ROWID;

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

/// Tables with rows of a group.
pub(super) const OF_A_GROUP: [&str; 4] = ["heads", "commits", "touches", "files"];

/// Opens the store and makes its tables; an index of another layout is an error.
pub(super) fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let sql = Connection::open(path)?;
    // Flushed when the log is taken into the file, and not with each commit: after a power loss it
    // is consistent and at worst behind, which catching up mends. The log is taken in seldom, as
    // whoever asks at that moment waits for the disk.
    sql.execute_batch(
        "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
         PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -32768;",
    )?;
    prepare(&sql)?;
    Ok(sql)
}

/// A store that goes with this process.
pub(super) fn connect_in_memory() -> Result<Connection, rusqlite::Error> {
    let sql = Connection::open_in_memory()?;
    prepare(&sql)?;
    Ok(sql)
}

fn prepare(sql: &Connection) -> Result<(), rusqlite::Error> {
    sql.set_prepared_statement_cache_capacity(64);
    let layout = || sql.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
    if layout()? == 0 {
        let make = format!("BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {LAYOUT}; COMMIT;");
        sql.execute_batch(&make).or_else(|error| {
            // Another process may have made them in between.
            let _ = sql.execute_batch("ROLLBACK");
            if layout()? == LAYOUT { Ok(()) } else { Err(error) }
        })?;
    }
    // The number says what is meant to be there, the tables what is.
    let fresh = Connection::open_in_memory()?;
    fresh.execute_batch(TABLES)?;
    if layout()? != LAYOUT || tables(sql)? != tables(&fresh)? {
        return Err(rusqlite::Error::InvalidQuery);
    }
    Ok(())
}

fn tables(sql: &Connection) -> Result<Vec<String>, rusqlite::Error> {
    let mut statement =
        sql.prepare("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// Whether the store is not what this program has written.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::Utf8Error(..) => true,
        error => {
            // A key that is there already: commits that are not known have rows.
            use ErrorCode::{ConstraintViolation, DatabaseCorrupt, NotADatabase};
            let code = error.sqlite_error_code();
            matches!(code, Some(DatabaseCorrupt | NotADatabase | ConstraintViolation))
        }
    }
}

/// Whether the file system does not let the store be written; what it says may well be right.
pub(super) fn cannot_be_written(error: &rusqlite::Error) -> bool {
    use ErrorCode::{CannotOpen, DiskFull, PermissionDenied, ReadOnly, SystemIoFailure};
    matches!(
        error.sqlite_error_code(),
        Some(CannotOpen | DiskFull | PermissionDenied | ReadOnly | SystemIoFailure)
    )
}

/// Takes the file of the store away, and those that SQLite keeps beside it.
pub(super) fn remove(path: &Path) -> std::io::Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(PathBuf::from(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
