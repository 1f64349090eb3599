//! What the index says, for comparing it with the repository; read without writing anything.

use std::collections::BTreeMap;
use std::path::Path;

use git2::Oid;
use rusqlite::{Connection, OpenFlags};

use super::file::LAYOUT;
use super::fold::oid;
use crate::store::StoreError;

/// The rows that can be told wrong by a look at the repository.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    /// The commits of each group by revision, first to last.
    pub(crate) commits: BTreeMap<String, Vec<(i64, Oid)>>,
    /// The object that each tag is at, by service and number.
    pub(crate) versions: BTreeMap<(String, String), Oid>,
}

/// What is known of an index.
#[derive(Debug)]
pub(crate) enum Read {
    /// There is none.
    Absent,
    /// It was written by another version of this program, which makes it anew.
    OtherLayout,
    /// It can be read.
    Rows(Audit),
}

/// Reads the index at `path` as of one moment.
pub(crate) fn read(path: &Path) -> Result<Read, StoreError> {
    if !path.exists() {
        return Ok(Read::Absent);
    }
    let mut sql = open(path)?;
    let layout: i64 = sql.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if layout != LAYOUT {
        return Ok(Read::OtherLayout);
    }
    let sql = sql.transaction()?;
    let verdict: String = sql.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(StoreError::Damaged(format!("the index: {verdict}")));
    }
    let mut audit = Audit::default();
    let mut statement =
        sql.prepare("SELECT group_name, revision, id FROM commits ORDER BY group_name, revision")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let commit = (row.get(1)?, oid(&row.get::<_, Vec<u8>>(2)?)?);
        audit.commits.entry(row.get(0)?).or_default().push(commit);
    }
    let mut statement = sql.prepare("SELECT service, version, ref_target FROM versions")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        audit.versions.insert((row.get(0)?, row.get(1)?), oid(&row.get::<_, Vec<u8>>(2)?)?);
    }
    Ok(Read::Rows(audit))
}

fn open(path: &Path) -> Result<Connection, rusqlite::Error> {
    let mut address = "file:".to_owned();
    for character in path.to_string_lossy().chars() {
        match character {
            '?' => address += "%3f",
            '#' => address += "%23",
            '%' => address += "%25",
            other => address.push(other),
        }
    }
    // Without a log nobody has it open; then not even the files beside it are made.
    let log = path.with_extension("index-wal");
    address += if log.exists() { "?mode=ro" } else { "?immutable=1" };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let sql = Connection::open_with_flags(address, flags)?;
    sql.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(sql)
}
