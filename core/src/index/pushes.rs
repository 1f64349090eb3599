//! Taking the log of pushes into the index: who moved which ref.
//!
//! A push is noted in the log before it moves anything, so whoever reads the heads first and the log
//! afterwards knows the pusher of every pushed commit. What the log notes and never came to be is
//! never looked up.

use std::collections::HashMap;

use git2::{Oid, Repository};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::fold::{begin, oid};
use crate::push::log::{self, Numbered};
use crate::store::StoreError;

/// Who pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pusher {
    pub(super) actor: String,
    pub(super) request_id: Option<String>,
}

/// The pushers of commits, where they were pushed.
pub(super) type Pushers = HashMap<Oid, Pusher>;

/// Takes in what came to the log since the last call.
pub(super) fn fold(sql: &mut Connection, repository: &Repository) -> Result<(), StoreError> {
    let head = log::head(repository)?;
    if head == folded_to(sql)? {
        return Ok(());
    }
    let transaction = begin(sql)?;
    let folded = folded_to(&transaction)?;
    let (entries, goes_on) = log::since(repository, head, folded)?;
    if !goes_on {
        transaction.execute("DELETE FROM pushes", [])?;
        transaction.execute("DELETE FROM numbered", [])?;
    }
    {
        let mut insert =
            transaction.prepare_cached("INSERT OR REPLACE INTO pushes VALUES (?1,?2,?3,?4,?5)")?;
        let mut number =
            transaction.prepare_cached("INSERT OR REPLACE INTO numbered VALUES (?1,?2,?3,?4)")?;
        for (at, entry) in entries {
            for Numbered { service, version, content } in &entry.versions {
                let (service, version) = (service.as_str(), version.to_string());
                number.execute(params![service, content.0.as_bytes(), version, at])?;
            }
            for update in &entry.updates {
                insert.execute(params![
                    update.reference,
                    update.new.as_bytes(),
                    update.old.as_ref().map(Oid::as_bytes),
                    entry.actor,
                    entry.request_id,
                ])?;
            }
        }
    }
    transaction.execute("DELETE FROM pushes_head", [])?;
    if let Some(head) = head {
        transaction.execute("INSERT INTO pushes_head VALUES (?1)", [head.as_bytes()])?;
    }
    transaction.commit()?;
    Ok(())
}

fn folded_to(sql: &Connection) -> Result<Option<Oid>, StoreError> {
    let mut head = sql.prepare_cached("SELECT id FROM pushes_head")?;
    let mut rows = head.query([])?;
    Ok(rows.next()?.map(|row| oid(&row.get::<_, Vec<u8>>(0)?)).transpose()?)
}

/// The pushers of commits of a branch, which follow each other.
pub(super) fn of_commits(
    sql: &Connection,
    reference: &str,
    commits: &[Oid],
) -> Result<Pushers, StoreError> {
    let mut pushers = Pushers::new();
    // A push is noted with the commit that it moved the branch to: it is the push of those before
    // it, back to where the branch was.
    let mut push: Option<(Option<Oid>, Pusher)> = None;
    for commit in commits.iter().rev() {
        if push.as_ref().is_some_and(|(old, _)| *old == Some(*commit)) {
            push = None;
        }
        // Within it, whatever else was noted never came to be.
        if push.is_none() {
            push = noted(sql, reference, *commit)?;
        }
        if let Some((_, pusher)) = &push {
            pushers.insert(*commit, pusher.clone());
        }
    }
    Ok(pushers)
}

/// Who pushed a ref to where it is.
pub(super) fn of_ref(
    sql: &Connection,
    reference: &str,
    new: Oid,
) -> Result<Option<Pusher>, StoreError> {
    Ok(noted(sql, reference, new)?.map(|(_, pusher)| pusher))
}

/// The push that was to move a ref to `new`, and where the ref was.
fn noted(
    sql: &Connection,
    reference: &str,
    new: Oid,
) -> Result<Option<(Option<Oid>, Pusher)>, StoreError> {
    let mut statement = sql
        .prepare_cached("SELECT old, actor, request_id FROM pushes WHERE ref = ?1 AND new = ?2")?;
    Ok(statement.query_row(params![reference, new.as_bytes()], read).optional()?)
}

fn read(row: &Row<'_>) -> Result<(Option<Oid>, Pusher), rusqlite::Error> {
    let old: Option<Vec<u8>> = row.get(0)?;
    let old = old.as_deref().map(oid).transpose()?;
    Ok((old, Pusher { actor: row.get(1)?, request_id: row.get(2)? }))
}
