//! Taking commits and tags into the index.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use git2::{ObjectType, Oid, Repository};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::State;
use crate::event::{Event, PUSHED};
use crate::name::ServiceName;
use crate::store::objects::{EntryKind, Objects};
use crate::store::{StoreError, refs};

/// When the folders of tags and the packed refs were changed last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TagStamp(Vec<(String, SystemTime)>);

impl TagStamp {
    /// Nothing when a change could still hide behind the clock's granularity.
    fn take(repository: &Path) -> Option<Self> {
        let modified = |path: &Path| path.metadata().and_then(|data| data.modified()).ok();
        let folder = repository.join("refs/tags");
        let mut stamps: Vec<(String, SystemTime)> = Vec::new();
        stamps.extend(modified(&folder).map(|at| (String::new(), at)));
        stamps.extend(modified(&repository.join("packed-refs")).map(|at| ("/".to_owned(), at)));
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            stamps.extend(modified(&entry.path()).map(|at| (name, at)));
        }
        stamps.sort();
        let settled = SystemTime::now() - std::time::Duration::from_millis(50);
        stamps.iter().all(|(_, at)| *at < settled).then_some(Self(stamps))
    }
}

pub(super) fn catch_up(state: &mut State, repository: &Repository) -> Result<(), StoreError> {
    fold_heads(&mut state.sql, repository)?;
    let stamp = TagStamp::take(repository.path());
    if stamp.is_none() || stamp != state.tags {
        fold_tags(&mut state.sql, repository)?;
        state.tags = stamp;
    }
    Ok(())
}

fn fold_heads(sql: &mut Connection, repository: &Repository) -> Result<(), StoreError> {
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
    let mut surveyor = Surveyor { objects: &objects, before: None };
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
            fold_commit(&transaction, repository, &mut surveyor, group, *id, parent, revision)?;
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
    surveyor: &mut Surveyor<'_, '_>,
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
    let touched = surveyor.touched(parent_tree, commit.tree_id())?;
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

/// Finds the services that differ between a tree and the one before it.
struct Surveyor<'o, 'r> {
    objects: &'o Objects<'r>,
    /// The last tree surveyed, which is usually the parent of the next.
    before: Option<(Oid, Folders)>,
}

#[derive(Debug, Clone, Default)]
struct Folders {
    services: Option<Oid>,
    runtime: Option<Oid>,
    presence: BTreeMap<String, Presence>,
}

impl Surveyor<'_, '_> {
    fn touched(
        &mut self,
        parent: Option<Oid>,
        tree: Oid,
    ) -> Result<BTreeMap<String, Presence>, StoreError> {
        let mut folders = match (self.before.take(), parent) {
            (Some((known, folders)), Some(parent)) if known == parent => folders,
            (_, Some(parent)) => {
                let mut folders = Folders::default();
                self.move_to(&mut folders, parent)?;
                folders
            }
            (_, None) => Folders::default(),
        };
        let touched = self.move_to(&mut folders, tree)?;
        self.before = Some((tree, folders));
        Ok(touched)
    }

    /// Makes `folders` those of `tree`; gives what changed.
    fn move_to(
        &self,
        folders: &mut Folders,
        tree: Oid,
    ) -> Result<BTreeMap<String, Presence>, StoreError> {
        let top = self.objects.tree(tree)?;
        let folder = |name: &str| {
            top.iter()
                .find(|entry| entry.name == name && entry.kind == EntryKind::Folder)
                .map(|entry| entry.id)
        };
        let mut touched = BTreeMap::new();
        let services = folder("services");
        if services != folders.services {
            let now = self.children(services, |name| Some(name.to_owned()), EntryKind::Folder)?;
            update(folders, now, |presence| &mut presence.content, &mut touched);
            folders.services = services;
        }
        let runtime = folder("runtime");
        if runtime != folders.runtime {
            let stem = |name: &str| name.strip_suffix(".json").map(str::to_owned);
            let now = self.children(runtime, stem, EntryKind::File)?;
            update(folders, now, |presence| &mut presence.runtime, &mut touched);
            folders.runtime = runtime;
        }
        folders.presence.retain(|_, presence| *presence != Presence::default());
        Ok(touched)
    }

    fn children(
        &self,
        folder: Option<Oid>,
        name_of: impl Fn(&str) -> Option<String>,
        kind: EntryKind,
    ) -> Result<BTreeMap<String, Oid>, StoreError> {
        let Some(folder) = folder else { return Ok(BTreeMap::new()) };
        let entries = self.objects.tree(folder)?.into_iter().filter(|entry| entry.kind == kind);
        Ok(entries
            .filter_map(|entry| Some((name_of(&entry.name)?, entry.id)))
            .filter(|(name, _)| name.parse::<ServiceName>().is_ok())
            .collect())
    }
}

/// Brings one side of every service's presence to what it is `now`.
fn update(
    folders: &mut Folders,
    now: BTreeMap<String, Oid>,
    side: impl Fn(&mut Presence) -> &mut Option<Oid>,
    touched: &mut BTreeMap<String, Presence>,
) {
    for (name, presence) in &mut folders.presence {
        if side(presence).is_some() && !now.contains_key(name) {
            *side(presence) = None;
            touched.insert(name.clone(), *presence);
        }
    }
    for (name, id) in now {
        let presence = folders.presence.entry(name.clone()).or_default();
        if *side(presence) != Some(id) {
            *side(presence) = Some(id);
            touched.insert(name, *presence);
        }
    }
}

fn fold_tags(sql: &mut Connection, repository: &Repository) -> Result<(), StoreError> {
    let mut known: BTreeMap<(String, String), Oid> = BTreeMap::new();
    {
        let mut versions =
            sql.prepare_cached("SELECT service, version, ref_target FROM versions")?;
        let mut rows = versions.query([])?;
        while let Some(row) = rows.next()? {
            known.insert((row.get(0)?, row.get(1)?), oid(&row.get::<_, Vec<u8>>(2)?)?);
        }
    }
    let objects = Objects::new(repository)?;
    let transaction = sql.transaction()?;
    for (service, version, target) in refs::tags(repository)? {
        let key = (service.to_string(), version.to_string());
        if known.remove(&key) == Some(target) {
            continue;
        }
        let object = repository.find_object(target, None)?;
        let Ok(commit) = object.peel_to_commit() else { continue };
        let path = format!("services/{service}");
        let Some(content) = objects.find(commit.tree_id(), &path)? else { continue };
        if content.kind != EntryKind::Folder {
            continue;
        }
        // A light tag says nothing itself; its commit speaks for it.
        let (by, at, message) = match object
            .as_tag()
            .filter(|_| object.kind() == Some(ObjectType::Tag))
        {
            Some(tag) => {
                let tagger = tag.tagger();
                let by = tagger.as_ref().map(|tagger| tagger.name_bytes().to_vec());
                let at = tagger.map(|tagger| tagger.when().seconds());
                (by.unwrap_or_default(), at, tag.message_bytes().unwrap_or_default().to_vec())
            }
            None => (commit.author().name_bytes().to_vec(), None, commit.message_bytes().to_vec()),
        };
        transaction
            .prepare_cached("INSERT OR REPLACE INTO versions VALUES (?1,?2,?3,?4,?5,?6,?7,?8)")?
            .execute(params![
                key.0,
                key.1,
                target.as_bytes(),
                commit.id().as_bytes(),
                content.id.as_bytes(),
                at.unwrap_or_else(|| commit.time().seconds()),
                String::from_utf8_lossy(&by),
                String::from_utf8_lossy(&message).trim(),
            ])?;
    }
    for (service, version) in known.keys() {
        transaction.execute(
            "DELETE FROM versions WHERE service = ?1 AND version = ?2",
            params![service, version],
        )?;
    }
    transaction.commit()?;
    Ok(())
}

impl super::Index {
    /// Makes the next call look at all tags, because this process has just made one.
    pub(crate) fn forget_tags(&self) {
        self.lock().tags = None;
    }
}
