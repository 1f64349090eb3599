//! Taking version tags into the index, of the services whose folder of tags has changed.
//!
//! A folder's time of change says whether a tag came; the one of `packed-refs`, whether tags moved
//! in there. A time too close to now says nothing: another tag may come within the clock's step.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::{Duration, SystemTime};

use git2::{ObjectType, Oid, Repository};
use rusqlite::{Connection, params};

use super::fold::oid;
use super::pushes;
use crate::name::ServiceName;
use crate::store::objects::{EntryKind, Objects};
use crate::store::{StoreError, commit, refs};

/// When the tags were changed that are in the index.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    packed: Stamp,
    /// Of the folder that has a folder for each service.
    top: Stamp,
    services: HashMap<String, Stamp>,
}

/// When a file or folder was changed last, as far as that says that nothing came since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stamp {
    #[default]
    Unknown,
    Absent,
    At(SystemTime),
}

impl Stamp {
    fn of(path: &Path) -> Self {
        let settled = SystemTime::now() - Duration::from_millis(50);
        match path.metadata().and_then(|data| data.modified()) {
            Ok(at) if at < settled => Self::At(at),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::Absent,
            _ => Self::Unknown,
        }
    }

    /// Whether nothing can have come since `earlier` was taken.
    fn is_still(self, earlier: Self) -> bool {
        self != Self::Unknown && self == earlier
    }
}

/// Takes in the tags of one service, or of all.
pub(super) fn catch_up(
    stamps: &mut Stamps,
    sql: &mut Connection,
    path: &Path,
    service: Option<&ServiceName>,
) -> Result<(), StoreError> {
    let packed = Stamp::of(&path.join("packed-refs"));
    let folder = path.join("refs/tags");
    if !packed.is_still(stamps.packed) {
        let found = Stamps {
            packed,
            top: Stamp::of(&folder),
            services: folders(&folder)
                .map(|name| (name.clone(), Stamp::of(&folder.join(name))))
                .collect(),
        };
        // A tag that cannot be read is looked at again each time, as somebody may mend it.
        if fold(sql, &Repository::open_bare(path)?, None)?.is_none() {
            *stamps = found;
        }
        return Ok(());
    }
    let names: Vec<String> = match service {
        Some(service) => vec![service.to_string()],
        None => {
            let top = Stamp::of(&folder);
            let known = stamps.services.keys().cloned();
            let listed = if top.is_still(stamps.top) { None } else { Some(folders(&folder)) };
            stamps.top = top;
            known.chain(listed.into_iter().flatten()).collect()
        }
    };
    let mut repository = None;
    for name in names {
        let stamp = Stamp::of(&folder.join(&name));
        // A service that has had no folder so far has had no tags.
        let earlier = stamps.services.get(&name).copied().unwrap_or(Stamp::Absent);
        if stamp.is_still(earlier) {
            continue;
        }
        if let Ok(service) = name.parse() {
            let repository = match &mut repository {
                Some(repository) => repository,
                none => none.insert(Repository::open_bare(path)?),
            };
            if fold(sql, repository, Some(&service))?.is_some() {
                continue;
            }
        }
        stamps.services.insert(name, stamp);
    }
    Ok(())
}

fn folders(folder: &Path) -> impl Iterator<Item = String> + use<> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned())
}

/// Makes the versions in the index those that tags name. A version whose tag, commit or tree is damaged
/// is left out, and the first such damage given back: it is no trouble of the others.
pub(super) fn fold(
    sql: &mut Connection,
    repository: &Repository,
    service: Option<&ServiceName>,
) -> Result<Option<StoreError>, StoreError> {
    let mut known: BTreeMap<(String, String), Oid> = BTreeMap::new();
    {
        let mut versions = sql.prepare_cached(
            "SELECT service, version, ref_target FROM versions WHERE service = ?1 OR ?1 IS NULL",
        )?;
        let mut rows = versions.query([service.map(ServiceName::as_str)])?;
        while let Some(row) = rows.next()? {
            known.insert((row.get(0)?, row.get(1)?), oid(&row.get::<_, Vec<u8>>(2)?)?);
        }
    }
    let objects = Objects::new(repository)?;
    let mut damage = None;
    noted(pushes::fold(sql, repository), &mut damage)?;
    let transaction = sql.transaction()?;
    for (service, version, target) in refs::tags(repository, service)? {
        let key = (service.to_string(), version.to_string());
        if known.remove(&key) == Some(target) {
            continue;
        }
        let found = noted(commit::find_tagged(repository, target), &mut damage)?.flatten();
        let Some((object, commit)) = found else { continue };
        let path = format!("services/{service}");
        let found = noted(objects.find(commit.tree_id(), &path), &mut damage)?.flatten();
        let Some(content) = found else { continue };
        if content.kind != EntryKind::Folder {
            continue;
        }
        // A light tag says nothing itself; who pushed it and its commit speak for it.
        let (by, at, message) =
            match object.as_tag().filter(|_| object.kind() == Some(ObjectType::Tag)) {
                Some(tag) => {
                    let tagger = tag.tagger();
                    let by = tagger.as_ref().map(|tagger| tagger.name_bytes().to_vec());
                    let at = tagger.map(|tagger| tagger.when().seconds());
                    (by.unwrap_or_default(), at, tag.message_bytes().unwrap_or_default().to_vec())
                }
                None => {
                    let by =
                        pushes::of_ref(&transaction, &refs::tag_ref(&service, &version), target)?
                            .map(|pusher| pusher.actor.into_bytes());
                    let by = by.unwrap_or_else(|| commit.author().name_bytes().to_vec());
                    (by, None, commit.message_bytes().to_vec())
                }
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
    Ok(damage)
}

/// What was read; nothing where an object is damaged, which is noted once.
fn noted<R>(
    read: Result<R, StoreError>,
    damage: &mut Option<StoreError>,
) -> Result<Option<R>, StoreError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.damage().is_some() => {
            tracing::debug!(%error, "a version cannot be read");
            damage.get_or_insert(error);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
