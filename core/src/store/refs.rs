//! The refs of a configuration repository: which there are, and how one moves.
//!
//! A branch is a group, a tag `<service>/<version>` a version; everything under `refs/refgate/` is
//! Refgate's own. No ref moves unconditionally.

use std::time::Duration;

use git2::{ErrorClass, ErrorCode, Oid, Repository};

use super::StoreError;
use crate::name::{CommitId, GroupName, ServiceName};
use crate::version::Version;

/// The commit that a group's branch is at; nothing when there is no such group.
pub(crate) fn head(
    repository: &Repository,
    group: &GroupName,
) -> Result<Option<CommitId>, StoreError> {
    Ok(resolve(repository, &group.branch())?.map(CommitId))
}

/// The object that a ref names directly.
pub(crate) fn resolve(repository: &Repository, name: &str) -> Result<Option<Oid>, StoreError> {
    match repository.refname_to_id(name) {
        Ok(id) => Ok(Some(id)),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The groups, by name, with the commits their branches are at.
///
/// Branches whose names no group can have are not groups.
pub(crate) fn groups(repository: &Repository) -> Result<Vec<(GroupName, CommitId)>, StoreError> {
    let mut groups = Vec::new();
    for reference in repository.references_glob("refs/heads/*")? {
        let reference = reference?;
        let name = reference.name().ok().and_then(|name| name.strip_prefix("refs/heads/"));
        let Some(Ok(group)) = name.map(str::parse) else { continue };
        if let Some(id) = reference.target() {
            groups.push((group, CommitId(id)));
        }
    }
    groups.sort();
    Ok(groups)
}

/// The full name of a version's tag.
pub(crate) fn tag_ref(service: &ServiceName, version: &Version) -> String {
    format!("refs/tags/{service}/{version}")
}

/// The versions of one service, or of all, that tags name, with the object each tag ref is at (a tag
/// object or a commit).
pub(crate) fn tags(
    repository: &Repository,
    service: Option<&ServiceName>,
) -> Result<Vec<(ServiceName, Version, Oid)>, StoreError> {
    let mut tags = Vec::new();
    let glob = match service {
        Some(service) => format!("refs/tags/{service}/*"),
        None => "refs/tags/*".to_owned(),
    };
    for reference in repository.references_glob(&glob)? {
        let reference = reference?;
        let name = reference.name().ok().and_then(|name| name.strip_prefix("refs/tags/"));
        let Some((service, version)) = name.and_then(|name| name.split_once('/')) else { continue };
        if let (Ok(service), Ok(version), Some(id)) =
            (service.parse(), version.parse(), reference.target())
        {
            tags.push((service, version, id));
        }
    }
    Ok(tags)
}

/// What came of trying to move a ref.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moved {
    /// The ref is where it should be.
    Yes,
    /// Somebody else moved it first.
    LostRace,
}

/// Moves `name` from `old` (nothing: the ref must not exist) to `new`.
///
/// libgit2 neither waits nor retries when another process holds the ref's lock, so this does,
/// for about a second. What the file system refuses is tried again for a moment: maintenance takes
/// away the folders of tags that it has packed.
pub(crate) fn compare_and_swap(
    repository: &Repository,
    name: &str,
    old: Option<Oid>,
    new: Oid,
    log_message: &str,
) -> Result<Moved, StoreError> {
    let mut pause = Duration::from_millis(1);
    loop {
        let result = match old {
            Some(old) => repository.reference_matching(name, new, true, old, log_message),
            None => repository.reference(name, new, false, log_message),
        };
        let Err(error) = result else { return Ok(Moved::Yes) };
        match error.code() {
            ErrorCode::Modified | ErrorCode::Exists => return Ok(Moved::LostRace),
            ErrorCode::NotFound if old.is_some() => return Ok(Moved::LostRace),
            ErrorCode::Locked if pause < Duration::from_millis(500) => {
                std::thread::sleep(pause);
                pause *= 2;
            }
            ErrorCode::Locked => return Err(locked(repository, name)),
            // It moved, but is perhaps not on the disk: neither a success nor a race.
            _ if resolve(repository, name)? == Some(new) => return Err(error.into()),
            _ if error.class() == ErrorClass::Os && pause < Duration::from_millis(32) => {
                std::thread::sleep(pause);
                pause *= 2;
            }
            _ if error.class() == ErrorClass::Reference && resolve(repository, name)? != old => {
                return Ok(Moved::LostRace);
            }
            _ => return Err(error.into()),
        }
    }
}

fn locked(repository: &Repository, name: &str) -> StoreError {
    let of_the_ref = repository.path().join(format!("{name}.lock"));
    let of_all = repository.path().join("packed-refs.lock");
    let lock = if !of_the_ref.exists() && of_all.exists() { of_all } else { of_the_ref };
    StoreError::Locked { what: name.to_owned(), lock }
}

/// Takes a ref away, if it is at `old`.
pub(crate) fn remove(repository: &Repository, name: &str, old: Oid) -> Result<Moved, StoreError> {
    let mut reference = match repository.find_reference(name) {
        Ok(reference) => reference,
        Err(error) if error.code() == ErrorCode::NotFound => return Ok(Moved::LostRace),
        Err(error) => return Err(error.into()),
    };
    if reference.target() != Some(old) {
        return Ok(Moved::LostRace);
    }
    // libgit2 compares the value once more under the lock.
    match reference.delete() {
        Ok(()) => Ok(Moved::Yes),
        Err(error) if error.code() == ErrorCode::Modified => Ok(Moved::LostRace),
        Err(error) if error.code() == ErrorCode::Locked => Err(locked(repository, name)),
        Err(error) => Err(error.into()),
    }
}

/// The ref that holds who may do what; hidden from clients.
const ACCESS: &str = "refs/refgate/access";

/// The commit that access data are at, and a file of its tree.
pub(crate) fn access_head(repository: &Repository) -> Result<Option<Oid>, StoreError> {
    resolve(repository, ACCESS)
}

/// Moves the access data from `old` to `new`.
pub(crate) fn move_access(
    repository: &Repository,
    old: Option<Oid>,
    new: Oid,
) -> Result<Moved, StoreError> {
    compare_and_swap(repository, ACCESS, old, new, "access")
}
