//! Comparing the index with what folding the repository anew gives; nothing is written.
//!
//! What an index says of a commit never changes, so that one which is behind is right as far as it
//! goes. So each group is folded up to where the index has it, into memory, and all tables are gone
//! through side by side, in the order of their keys.

use std::cmp::Ordering;
use std::path::Path;

use git2::{Oid, Repository};
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};

use super::file::{self, LAYOUT, OF_A_GROUP};
use super::{fold, pushes, tags};
use crate::store::StoreError;
use crate::store::objects::Objects;

/// Differences that are told of each table; the rest is counted.
const TOLD: usize = 5;

/// The table of what tags name.
const VERSIONS: &str = "versions";

/// What is known of an index.
pub(crate) enum Read {
    /// There is none.
    Absent,
    /// It was written by another version of this program, which makes it anew.
    OtherLayout,
    /// It can be read.
    Open(Audit),
}

/// An index as of one moment.
pub(crate) struct Audit {
    sql: Connection,
    /// Where each group is folded to.
    pub(crate) heads: Vec<(String, Oid)>,
}

/// What came of comparing.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    /// How many rows were looked at.
    pub(crate) rows: usize,
    /// What is different, by table.
    pub(crate) differences: Vec<(String, String)>,
    /// What cannot be compared, as objects that it is made from cannot be read: `group test`.
    pub(crate) unreadable: Vec<(String, StoreError)>,
}

/// Opens the index at `path` to read it as of this moment.
pub(crate) fn open(path: &Path) -> Result<Read, StoreError> {
    if !path.exists() {
        return Ok(Read::Absent);
    }
    let sql = connect(path)?;
    let layout: i64 = sql.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if layout != LAYOUT {
        return Ok(Read::OtherLayout);
    }
    // Ends with the connection; what is read first says of which moment everything is.
    sql.execute_batch("BEGIN")?;
    let verdict: String = sql.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(StoreError::Damaged(format!("the index: {verdict}")));
    }
    let heads = fold::stored_heads(&sql)?.into_iter().collect();
    Ok(Read::Open(Audit { sql, heads }))
}

impl Audit {
    /// Compares every row with the repository, as far as the index goes.
    ///
    /// What was written to the repository after the index was opened is no difference. `there` says
    /// which groups there are: one that went leaves the index when that is asked next.
    pub(crate) fn compare(
        &self,
        repository: &Repository,
        there: impl Fn(&str) -> bool,
    ) -> Result<Compared, StoreError> {
        let mut compared = Compared::default();
        let mut fresh = file::connect_in_memory()?;
        pushes::fold(&mut fresh, repository)?;
        let objects = Objects::new(repository)?;
        let mut groups = Vec::new();
        for (group, head) in self.heads.iter().filter(|(group, _)| there(group)) {
            let folded = fold::fold_group(&mut fresh, repository, &objects, group, *head);
            if compared.read(&format!("group {group}"), folded)? {
                groups.push(group.as_str());
            }
        }
        let folded = tags::fold(&mut fresh, repository, None)?.map_or(Ok(()), Err);
        let has_versions = compared.read(VERSIONS, folded)?;
        for table in Table::all(&fresh)? {
            if table.name == VERSIONS && !has_versions {
                continue;
            }
            table.compare(&self.sql, &fresh, &groups, &mut compared)?;
        }
        Ok(compared)
    }
}

impl Compared {
    /// Whether something could be read; what keeps it from that is noted when it is damage.
    fn read(&mut self, what: &str, read: Result<(), StoreError>) -> Result<bool, StoreError> {
        match read {
            Ok(()) => Ok(true),
            Err(error @ (StoreError::Git(_) | StoreError::Damaged(_))) => {
                self.unreadable.push((what.to_owned(), error));
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

/// A table with its columns, those of the key first.
struct Table {
    name: String,
    columns: Vec<String>,
    keys: usize,
}

impl Table {
    /// The tables whose rows have keys, by which they are told apart.
    fn all(sql: &Connection) -> Result<Vec<Self>, StoreError> {
        let mut names =
            sql.prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")?;
        let names = names.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
        let mut tables = Vec::new();
        for name in names {
            // A place in the key; 0: none.
            let mut info = sql.prepare("SELECT name, pk FROM pragma_table_info(?1)")?;
            let mut columns = info
                .query_map([&name], |row| Ok((row.get(1)?, row.get(0)?)))?
                .collect::<Result<Vec<(i64, String)>, _>>()?;
            let keys = columns.iter().filter(|(place, _)| *place > 0).count();
            columns.sort_by_key(|(place, _)| if *place == 0 { i64::MAX } else { *place });
            if keys > 0 {
                let columns = columns.into_iter().map(|(_, column)| column).collect();
                tables.push(Self { name, columns, keys });
            }
        }
        Ok(tables)
    }

    /// Goes through the table in both stores, side by side.
    fn compare(
        &self,
        kept: &Connection,
        fresh: &Connection,
        groups: &[&str],
        compared: &mut Compared,
    ) -> Result<(), StoreError> {
        let of_a_group = OF_A_GROUP.contains(&self.name.as_str());
        let (columns, keys) = (self.columns.join(", "), self.columns[..self.keys].join(", "));
        let query = format!("SELECT {columns} FROM {} ORDER BY {keys}", self.name);
        let (mut kept, mut fresh) = (kept.prepare(&query)?, fresh.prepare(&query)?);
        let (mut kept, mut fresh) = (kept.query([])?, fresh.query([])?);
        let row = |rows: &mut rusqlite::Rows<'_>| -> Result<Option<Vec<Value>>, StoreError> {
            let Some(row) = rows.next()? else { return Ok(None) };
            let values = (0..self.columns.len()).map(|column| row.get(column));
            Ok(Some(values.collect::<Result<_, _>>()?))
        };
        let mut found = 0;
        let mut tell = |compared: &mut Compared, what: &dyn Fn() -> String| {
            found += 1;
            if found <= TOLD {
                compared.differences.push((self.name.clone(), what()));
            }
        };
        let (mut left, mut right) = (row(&mut kept)?, row(&mut fresh)?);
        loop {
            let order = match (&left, &right) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(left), Some(right)) => compare(&left[..self.keys], &right[..self.keys]),
            };
            let own = if order.is_le() { left.take() } else { None };
            let wanted = if order.is_ge() { right.take() } else { None };
            match (&own, &wanted) {
                (Some(own), Some(wanted)) if own != wanted => {
                    tell(compared, &|| self.differs(own, wanted));
                }
                (Some(own), None) if !of_a_group || groups.contains(&text(&own[0]).as_str()) => {
                    tell(compared, &|| format!("{} is not so in the repository", self.row(own)));
                }
                // What belongs to no group is taken in when it is asked for.
                (None, Some(wanted)) if of_a_group => {
                    tell(compared, &|| format!("{} is missing", self.row(wanted)));
                }
                _ => {}
            }
            if own.is_some() {
                compared.rows += 1;
                left = row(&mut kept)?;
            }
            if wanted.is_some() {
                right = row(&mut fresh)?;
            }
        }
        if found > TOLD {
            let more = format!("and {} more rows are different", found - TOLD);
            compared.differences.push((self.name.clone(), more));
        }
        Ok(())
    }

    /// A row by its key, `group_name test, revision 2`.
    fn row(&self, row: &[Value]) -> String {
        let keys = self.columns[..self.keys].iter().zip(row);
        let keys: Vec<String> =
            keys.map(|(column, value)| format!("{column} {}", text(value))).collect();
        keys.join(", ")
    }

    fn differs(&self, own: &[Value], wanted: &[Value]) -> String {
        let columns = self.columns.iter().zip(own.iter().zip(wanted));
        let wrong = columns.filter(|(_, (own, wanted))| own != wanted);
        let wrong: Vec<String> = wrong
            .map(|(column, (own, wanted))| {
                format!("{column} is {} and should be {}", text(own), text(wanted))
            })
            .collect();
        format!("{}: {}", self.row(own), wrong.join(", "))
    }
}

/// The order in which SQLite sorts: by type first, text by its bytes.
fn compare(left: &[Value], right: &[Value]) -> Ordering {
    let type_of = |value: &Value| match value {
        Value::Null => 0,
        Value::Integer(_) | Value::Real(_) => 1,
        Value::Text(_) => 2,
        Value::Blob(_) => 3,
    };
    let orders = left.iter().zip(right).map(|(left, right)| match (left, right) {
        (Value::Integer(left), Value::Integer(right)) => left.cmp(right),
        (Value::Text(left), Value::Text(right)) => left.cmp(right),
        (Value::Blob(left), Value::Blob(right)) => left.cmp(right),
        // No key is a number with a fraction; one that is sorts somewhere, and is a difference.
        _ => type_of(left).cmp(&type_of(right)),
    });
    orders.fold(Ordering::Equal, Ordering::then)
}

/// A value for people: ids in hexadecimal digits.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
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
