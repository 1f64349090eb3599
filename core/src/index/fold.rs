//! Taking commits into the index.

use std::collections::BTreeMap;

use git2::{Oid, Repository};
use rusqlite::types::{FromSqlError, Type};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::file::OF_A_GROUP;
use super::pushes;
use crate::event::{Event, PUSHED};
use crate::name::ServiceName;
use crate::store::objects::{Difference, EntryKind, Objects};
use crate::store::{StoreError, commit, refs};

/// The commits up to which the groups are in the index; nothing when that is still to be read.
#[derive(Debug, Default)]
pub(super) struct Heads(Option<BTreeMap<String, Oid>>);

/// Takes in what came since the last call. Where nothing did, it costs reading the refs.
pub(super) fn fold_heads(
    sql: &mut Connection,
    heads: &mut Heads,
    repository: &Repository,
    objects: &Objects<'_>,
) -> Result<(), StoreError> {
    let now: BTreeMap<String, Oid> = refs::groups(repository)?
        .into_iter()
        .map(|(group, commit)| (group.to_string(), commit.0))
        .collect();
    if heads.0.as_ref() == Some(&now) {
        return Ok(());
    }
    // Taken out while folding: after an error they are read again.
    let folded = match heads.0.take() {
        Some(folded) => folded,
        None => stored_heads(sql)?,
    };
    // After the heads were read: a push is noted before it moves a branch.
    match pushes::fold(sql, repository) {
        // Then history does not tell who pushed; everything else it does.
        Err(error @ (StoreError::Git(_) | StoreError::Damaged(_))) => {
            tracing::warn!(%error, "the log of pushes cannot be read");
        }
        other => other?,
    }
    for group in folded.keys().filter(|group| !now.contains_key(*group)) {
        forget_group(sql, repository, group)?;
    }
    let mut whole = now.clone();
    for (group, head) in now.iter().filter(|(group, head)| folded.get(*group) != Some(*head)) {
        match fold_group(sql, repository, objects, group, *head) {
            Ok(()) => {}
            // An object that is damaged or gone is the trouble of its group alone, which says so
            // when it is read; tried again each time, as somebody may mend it.
            Err(error @ (StoreError::Git(_) | StoreError::Damaged(_))) => {
                tracing::debug!(group, %error, "the history cannot be read");
                whole.remove(group);
            }
            Err(error) => return Err(error),
        }
    }
    heads.0 = Some(whole);
    Ok(())
}

pub(super) fn stored_heads(sql: &Connection) -> Result<BTreeMap<String, Oid>, StoreError> {
    let mut heads = sql.prepare_cached("SELECT group_name, commit_id FROM heads")?;
    let mut rows = heads.query([])?;
    let mut found = BTreeMap::new();
    while let Some(row) = rows.next()? {
        found.insert(row.get(0)?, oid(&row.get::<_, Vec<u8>>(1)?)?);
    }
    Ok(found)
}

/// An object id as the index keeps it.
pub(super) fn oid(bytes: &[u8]) -> Result<Oid, rusqlite::Error> {
    Oid::from_bytes(bytes).map_err(|_| {
        let size = FromSqlError::InvalidBlobSize { expected_size: 20, blob_size: bytes.len() };
        rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, Box::new(size))
    })
}

/// Commits folded in one transaction.
const BATCH: usize = 5000;

/// Begins to write; what is read from now on is what others have written last.
pub(super) fn begin(sql: &mut Connection) -> Result<Transaction<'_>, rusqlite::Error> {
    sql.transaction_with_behavior(TransactionBehavior::Immediate)
}

/// Forgets a group that went.
fn forget_group(
    sql: &mut Connection,
    repository: &Repository,
    group: &str,
) -> Result<(), StoreError> {
    let transaction = begin(sql)?;
    // Another process may have made and folded it since the refs were read.
    if refs::resolve(repository, &branch(group))?.is_none() {
        for table in OF_A_GROUP {
            transaction.execute(&format!("DELETE FROM {table} WHERE group_name = ?1"), [group])?;
        }
    }
    transaction.commit()?;
    Ok(())
}

fn branch(group: &str) -> String {
    format!("refs/heads/{group}")
}

/// Folds the commits between what is known of the group and its head.
pub(super) fn fold_group(
    sql: &mut Connection,
    repository: &Repository,
    objects: &Objects<'_>,
    group: &str,
    head: Oid,
) -> Result<(), StoreError> {
    // Another process may fold into the same file; what it did in between is taken up.
    while !fold_on(sql, repository, objects, group, head)? {}
    Ok(())
}

/// Up to where a group is folded.
fn folded_to(sql: &Connection, group: &str) -> Result<Option<(Oid, i64)>, StoreError> {
    let mut head =
        sql.prepare_cached("SELECT commit_id, revision FROM heads WHERE group_name = ?1")?;
    let mut rows = head.query([group])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some((oid(&row.get::<_, Vec<u8>>(0)?)?, row.get(1)?)))
}

/// Folds on from what is known; false when somebody else did in between.
fn fold_on(
    sql: &mut Connection,
    repository: &Repository,
    objects: &Objects<'_>,
    group: &str,
    head: Oid,
) -> Result<bool, StoreError> {
    let mut folded = folded_to(sql, group)?;
    // From the head back to a commit that is known, so that the index need not be in step.
    let mut unknown: Vec<Oid> = Vec::new();
    let mut known: Option<(Oid, i64)> = None;
    let mut next = Some(head);
    {
        let anything = sql
            .prepare_cached("SELECT 1 FROM commits WHERE group_name = ?1 LIMIT 1")?
            .exists([group])?;
        let mut revision_of =
            sql.prepare_cached("SELECT revision FROM commits WHERE id = ?1 AND group_name = ?2")?;
        while let Some(id) = next {
            if anything {
                known = revision_of
                    .query_row(params![id.as_bytes(), group], |row| row.get(0))
                    .optional()?
                    .map(|revision| (id, revision));
            }
            if known.is_some() {
                break;
            }
            unknown.push(id);
            next = commit::find(repository, id)?.parent_ids().next();
        }
    }
    unknown.reverse();
    let mut revision = known.map_or(0, |(_, revision)| revision);
    let mut parent_tree = match known {
        Some((id, _)) => Some(commit::find(repository, id)?.tree_id()),
        None => None,
    };
    let pushers = pushes::of_commits(sql, &branch(group), &unknown)?;
    let mut batches = unknown.chunks(BATCH);
    let mut first = true;
    loop {
        // With little to fold, it is one transaction.
        let batch = batches.next();
        if batch.is_none() && !first {
            return Ok(true);
        }
        let transaction = begin(sql)?;
        if folded_to(&transaction, group)? != folded {
            return Ok(false);
        }
        if std::mem::take(&mut first) {
            let goes_back = forget_after(&transaction, group, revision)?;
            if goes_back && refs::resolve(repository, &branch(group))? != Some(head) {
                // The head that was read is not the newest: what is known beyond it is right.
                return Ok(true);
            }
            if let Some((id, revision)) = known {
                set_head(&transaction, group, id, revision)?;
            }
        }
        let mut fold = Fold { sql: &transaction, repository, objects, group, pushers: &pushers };
        fold.commits(batch.unwrap_or_default(), &mut parent_tree, &mut revision)?;
        folded = folded_to(&transaction, group)?;
        transaction.commit()?;
    }
}

/// Forgets what the index knows beyond the point where the histories part: not history any more.
/// Says whether there was anything.
fn forget_after(
    transaction: &Transaction<'_>,
    group: &str,
    revision: i64,
) -> Result<bool, StoreError> {
    // Asked first: only this table is in the order of revisions, the others are gone through whole.
    let beyond = transaction
        .prepare_cached("SELECT 1 FROM commits WHERE group_name = ?1 AND revision > ?2 LIMIT 1")?
        .exists(params![group, revision])?;
    if beyond {
        for table in OF_A_GROUP {
            transaction.execute(
                &format!("DELETE FROM {table} WHERE group_name = ?1 AND revision > ?2"),
                params![group, revision],
            )?;
        }
    }
    Ok(beyond)
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

/// Folding commits of one group in one transaction.
struct Fold<'t> {
    sql: &'t Transaction<'t>,
    repository: &'t Repository,
    objects: &'t Objects<'t>,
    group: &'t str,
    pushers: &'t pushes::Pushers,
}

impl Fold<'_> {
    /// Folds commits that follow each other, and goes on with the tree and revision of the last.
    fn commits(
        &mut self,
        ids: &[Oid],
        tree: &mut Option<Oid>,
        revision: &mut i64,
    ) -> Result<(), StoreError> {
        for id in ids {
            *revision += 1;
            *tree = Some(self.commit(*id, *tree, *revision)?);
        }
        match ids.last() {
            Some(last) => set_head(self.sql, self.group, *last, *revision),
            None => Ok(()),
        }
    }

    fn commit(&self, id: Oid, parent_tree: Option<Oid>, revision: i64) -> Result<Oid, StoreError> {
        let commit = commit::find(self.repository, id)?;
        let touched = Touched::between(self.objects, parent_tree, commit.tree_id())?;
        let mut event = Event::parse(&String::from_utf8_lossy(commit.message_bytes()));
        let mut restored = None;
        if event.kind == PUSHED && touched.services.len() == 1 {
            event.service = touched.services.keys().next().cloned();
            restored = self.restored(&touched)?;
        }
        let author = String::from_utf8_lossy(commit.author().name_bytes()).into_owned();
        let pusher = self.pushers.get(&id);
        let actor = event.actor.or_else(|| pusher.map(|pusher| pusher.actor.clone()));
        let request_id =
            event.request_id.or_else(|| pusher.and_then(|pusher| pusher.request_id.clone()));
        self.sql
            .prepare_cached(
                "INSERT INTO commits VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14)",
            )?
            .execute(params![
                self.group,
                revision,
                id.as_bytes(),
                event.kind,
                actor.as_ref().unwrap_or(&author),
                author,
                commit.author().when().seconds(),
                event.subject,
                event.service,
                event.version,
                event.from_group,
                event.reason,
                request_id,
                restored.as_ref().map(Oid::as_bytes),
            ])?;
        for (service, parts) in &touched.services {
            let now = parts.over(self.presence(service)?);
            self.sql.prepare_cached("INSERT INTO touches VALUES (?1,?2,?3,?4,?5)")?.execute(
                params![
                    self.group,
                    service,
                    revision,
                    now.content.as_ref().map(Oid::as_bytes),
                    now.runtime.as_ref().map(Oid::as_bytes),
                ],
            )?;
        }
        // A file that becomes a folder of the same name is one path still.
        let mut insert =
            self.sql.prepare_cached("INSERT OR IGNORE INTO files VALUES (?1,?2,?3)")?;
        for path in &touched.files {
            insert.execute(params![self.group, path, revision])?;
        }
        Ok(commit.tree_id())
    }

    /// The content of the one service touched, when the group had it before and has it again.
    fn restored(&self, touched: &Touched) -> Result<Option<Oid>, StoreError> {
        let Some((service, parts)) = touched.services.first_key_value() else { return Ok(None) };
        let Some(Some(content)) = parts.content else { return Ok(None) };
        let had = self
            .sql
            .prepare_cached(
                "SELECT 1 FROM touches WHERE service = ?1 AND content = ?2 AND group_name = ?3
                 LIMIT 1",
            )?
            .exists(params![service, content.as_bytes(), self.group])?;
        Ok(had.then_some(content))
    }

    /// What a service was after the commit before.
    fn presence(&self, service: &str) -> Result<Presence, StoreError> {
        let found = self
            .sql
            .prepare_cached(
                "SELECT content, runtime FROM touches WHERE group_name = ?1 AND service = ?2
                 ORDER BY revision DESC LIMIT 1",
            )?
            .query_row([self.group, service], |row| {
                let id = |column| {
                    let bytes: Option<Vec<u8>> = row.get(column)?;
                    bytes.as_deref().map(oid).transpose()
                };
                Ok(Presence { content: id(0)?, runtime: id(1)? })
            })
            .optional()?;
        Ok(found.unwrap_or_default())
    }
}

/// What a service is in a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Presence {
    content: Option<Oid>,
    runtime: Option<Oid>,
}

/// What is different about a service: each part where it is, with what it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Parts {
    content: Option<Option<Oid>>,
    runtime: Option<Option<Oid>>,
}

impl Parts {
    fn over(self, before: Presence) -> Presence {
        Presence {
            content: self.content.unwrap_or(before.content),
            runtime: self.runtime.unwrap_or(before.runtime),
        }
    }
}

/// What is not the same in two trees of a group.
#[derive(Debug, Default)]
struct Touched {
    services: BTreeMap<String, Parts>,
    files: Vec<String>,
}

type Side = Option<(EntryKind, Oid)>;

impl Touched {
    fn between(objects: &Objects<'_>, before: Option<Oid>, after: Oid) -> Result<Self, StoreError> {
        let mut touched = Self::default();
        touched.walk(objects, before, Some(after), "")?;
        Ok(touched)
    }

    fn walk(
        &mut self,
        objects: &Objects<'_>,
        before: Option<Oid>,
        after: Option<Oid>,
        folder: &str,
    ) -> Result<(), StoreError> {
        for Difference { name, old, new } in objects.differences(before, after)? {
            self.note(folder, &name, old, new);
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            let folder_of =
                |side: Side| side.filter(|(kind, _)| *kind == EntryKind::Folder).map(|(_, id)| id);
            if folder_of(old).is_some() || folder_of(new).is_some() {
                self.walk(objects, folder_of(old), folder_of(new), &path)?;
            }
            let is_file = |side: Side| side.is_some_and(|(kind, _)| kind != EntryKind::Folder);
            if is_file(old) || is_file(new) {
                self.files.push(path);
            }
        }
        Ok(())
    }

    /// Notes what an entry says of a service, if it does.
    fn note(&mut self, folder: &str, name: &str, old: Side, new: Side) {
        let of_kind = |side: Side, wanted| side.filter(|(kind, _)| *kind == wanted);
        let (name, wanted) = match folder {
            "services" => (name, EntryKind::Folder),
            "runtime" => match name.strip_suffix(".json") {
                Some(name) => (name, EntryKind::File),
                None => return,
            },
            _ => return,
        };
        let (old, new) = (of_kind(old, wanted), of_kind(new, wanted));
        if old == new || name.parse::<ServiceName>().is_err() {
            return;
        }
        let parts = self.services.entry(name.to_owned()).or_default();
        let part =
            if wanted == EntryKind::Folder { &mut parts.content } else { &mut parts.runtime };
        // A folder that takes the place of a file comes as two entries; what is there now counts.
        if part.is_none() || new.is_some() {
            *part = Some(new.map(|(_, id)| id));
        }
    }
}
