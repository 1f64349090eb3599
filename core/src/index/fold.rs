//! Taking commits into the index.

use std::collections::{BTreeMap, BTreeSet};

use git2::{Oid, Repository};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::event::{Event, PUSHED};
use crate::name::ServiceName;
use crate::store::objects::{EntryKind, Objects};
use crate::store::{StoreError, refs};

pub(super) fn fold_heads(sql: &mut Connection, repository: &Repository) -> Result<(), StoreError> {
    let now: BTreeMap<String, Oid> = refs::groups(repository)?
        .into_iter()
        .map(|(group, commit)| (group.to_string(), commit.0))
        .collect();
    let mut folded: BTreeMap<String, Oid> = BTreeMap::new();
    {
        let mut heads = sql.prepare_cached("SELECT group_name, commit_id FROM heads")?;
        let mut rows = heads.query([])?;
        while let Some(row) = rows.next()? {
            folded.insert(row.get(0)?, oid(&row.get::<_, Vec<u8>>(1)?)?);
        }
    }
    if folded == now {
        return Ok(());
    }
    for group in folded.keys().filter(|group| !now.contains_key(*group)) {
        let transaction = sql.transaction()?;
        forget(&transaction, group)?;
        transaction.commit()?;
    }
    for (group, head) in now.iter().filter(|(group, head)| folded.get(*group) != Some(*head)) {
        fold_group(sql, repository, group, *head)?;
    }
    Ok(())
}

pub(super) fn oid(bytes: &[u8]) -> Result<Oid, StoreError> {
    Ok(Oid::from_bytes(bytes)?)
}

fn forget(transaction: &Transaction<'_>, group: &str) -> Result<(), StoreError> {
    for table in ["heads", "commits", "touches"] {
        transaction.execute(&format!("DELETE FROM {table} WHERE group_name = ?1"), [group])?;
    }
    Ok(())
}

/// Commits folded in one transaction.
const BATCH: usize = 5000;

/// Folds the commits between what is known of the group and its head.
fn fold_group(
    sql: &mut Connection,
    repository: &Repository,
    group: &str,
    head: Oid,
) -> Result<(), StoreError> {
    // From the head back to a commit that is known, so that the index need not be in step.
    let mut unknown: Vec<Oid> = Vec::new();
    let mut known: Option<(Oid, i64)> = None;
    let mut next = Some(head);
    while let Some(id) = next {
        known = sql
            .prepare_cached("SELECT revision FROM commits WHERE id = ?1 AND group_name = ?2")?
            .query_row(params![id.as_bytes(), group], |row| row.get(0))
            .optional()?
            .map(|revision| (id, revision));
        if known.is_some() {
            break;
        }
        unknown.push(id);
        next = repository.find_commit(id)?.parent_ids().next();
    }
    unknown.reverse();
    let (mut parent, mut revision) = match known {
        Some((id, revision)) => (Some(id), revision),
        None => (None, 0),
    };
    let objects = Objects::new(repository)?;
    // What the index knows beyond the point where the histories part is not history any more.
    {
        let transaction = sql.transaction()?;
        for table in ["commits", "touches"] {
            transaction.execute(
                &format!("DELETE FROM {table} WHERE group_name = ?1 AND revision > ?2"),
                params![group, revision],
            )?;
        }
        set_head(&transaction, group, parent.unwrap_or(head), revision)?;
        transaction.commit()?;
    }
    for batch in unknown.chunks(BATCH) {
        let transaction = sql.transaction()?;
        for id in batch {
            revision += 1;
            fold_commit(&transaction, repository, &objects, group, *id, parent, revision)?;
            parent = Some(*id);
        }
        set_head(&transaction, group, parent.unwrap_or(head), revision)?;
        transaction.commit()?;
    }
    Ok(())
}

fn set_head(
    transaction: &Transaction<'_>,
    group: &str,
    head: Oid,
    revision: i64,
) -> Result<(), StoreError> {
    transaction
        .prepare_cached(
            "INSERT INTO heads VALUES (?1, ?2, ?3) ON CONFLICT (group_name)
             DO UPDATE SET commit_id = excluded.commit_id, revision = excluded.revision",
        )?
        .execute(params![group, head.as_bytes(), revision])?;
    Ok(())
}

fn fold_commit(
    transaction: &Transaction<'_>,
    repository: &Repository,
    objects: &Objects<'_>,
    group: &str,
    id: Oid,
    parent: Option<Oid>,
    revision: i64,
) -> Result<(), StoreError> {
    let commit = repository.find_commit(id)?;
    let parent_tree = match parent {
        Some(parent) => Some(repository.find_commit(parent)?.tree_id()),
        None => None,
    };
    let touched = touched(objects, parent_tree, commit.tree_id())?;
    let mut event = Event::parse(&String::from_utf8_lossy(commit.message_bytes()));
    if event.kind == PUSHED && touched.len() == 1 {
        event.service = touched.keys().next().cloned();
    }
    let author = String::from_utf8_lossy(commit.author().name_bytes()).into_owned();
    transaction
        .prepare_cached("INSERT INTO commits VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)")?
        .execute(params![
            group,
            revision,
            id.as_bytes(),
            event.kind,
            event.actor.as_deref().unwrap_or(&author),
            author,
            commit.author().when().seconds(),
            event.subject,
            event.service,
            event.version,
            event.from_group,
            event.reason,
            event.request_id,
        ])?;
    let mut insert = transaction.prepare_cached("INSERT INTO touches VALUES (?1,?2,?3,?4,?5)")?;
    for (service, now) in touched {
        let content = now.content.as_ref().map(Oid::as_bytes);
        let runtime = now.runtime.as_ref().map(Oid::as_bytes);
        insert.execute(params![group, service, revision, content, runtime])?;
    }
    Ok(())
}

/// What a service is in a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Presence {
    content: Option<Oid>,
    runtime: Option<Oid>,
}

/// What the services that differ between two trees of a group are in the second.
fn touched(
    objects: &Objects<'_>,
    before: Option<Oid>,
    after: Oid,
) -> Result<BTreeMap<String, Presence>, StoreError> {
    let folder = |tree: Option<Oid>, name: &str| -> Result<Option<Oid>, StoreError> {
        let Some(tree) = tree else { return Ok(None) };
        let entry = objects.find(tree, name)?;
        Ok(entry.filter(|entry| entry.kind == EntryKind::Folder).map(|entry| entry.id))
    };
    let services = folder(Some(after), "services")?;
    let runtime = folder(Some(after), "runtime")?;
    let mut names = BTreeSet::new();
    for change in objects.differences(folder(before, "services")?, services)? {
        names.insert(change.name);
    }
    for change in objects.differences(folder(before, "runtime")?, runtime)? {
        names.extend(change.name.strip_suffix(".json").map(str::to_owned));
    }
    names.retain(|name| name.parse::<ServiceName>().is_ok());
    let find =
        |tree: Option<Oid>, name: &str, kind: EntryKind| -> Result<Option<Oid>, StoreError> {
            let Some(tree) = tree else { return Ok(None) };
            Ok(objects.find(tree, name)?.filter(|entry| entry.kind == kind).map(|entry| entry.id))
        };
    names
        .into_iter()
        .map(|name| {
            let content = find(services, &name, EntryKind::Folder)?;
            let runtime = find(runtime, &format!("{name}.json"), EntryKind::File)?;
            Ok((name, Presence { content, runtime }))
        })
        .collect()
}
