//! Commits and tags: as Refgate writes them, and how they are found.

use std::fmt::Write as _;

use git2::{Commit, Object, ObjectType, Oid, Repository};
use jiff::Timestamp;

use super::objects::Objects;
use super::{StoreError, loose};
use crate::event::Actor;

/// The commit of this id. A damaged one is an error; libgit2 alone might never come back from it.
pub(crate) fn find(repository: &Repository, id: Oid) -> Result<Commit<'_>, StoreError> {
    loose::read(&repository.path().join("objects"), id)?;
    Ok(repository.find_commit(id)?)
}

/// The object that a tag is at, and the commit that it stands for; nothing for what is no commit.
pub(crate) fn find_tagged(
    repository: &Repository,
    id: Oid,
) -> Result<Option<(Object<'_>, Commit<'_>)>, StoreError> {
    loose::read(&repository.path().join("objects"), id)?;
    let object = repository.find_object(id, None)?;
    let commit = match object.as_tag() {
        Some(tag) if tag.target_type() == Some(ObjectType::Commit) => tag.target_id(),
        Some(_) => return Ok(None),
        None if object.kind() == Some(ObjectType::Commit) => id,
        None => return Ok(None),
    };
    let commit = find(repository, commit)?;
    Ok(Some((object, commit)))
}

/// Makes a commit: the author is the person, the committer is Refgate. `committed_at` is no earlier
/// than the parent's, whatever the clock says: git's walks rely on it.
pub(crate) fn make_commit(
    objects: &Objects<'_>,
    tree: Oid,
    parent: Option<Oid>,
    author: &Actor,
    at: Timestamp,
    committed_at: Timestamp,
    message: &str,
) -> Result<Oid, StoreError> {
    let mut text = format!("tree {tree}\n");
    // Writing to a string cannot fail.
    if let Some(parent) = parent {
        let _ = writeln!(text, "parent {parent}");
    }
    let _ = writeln!(text, "author {}", signature(author, at));
    let refgate = Actor { name: "Refgate".into(), email: "refgate@refgate.invalid".into() };
    let _ = write!(text, "committer {}\n\n{message}", signature(&refgate, committed_at));
    objects.make(ObjectType::Commit, text.into_bytes())
}

/// Makes the annotated tag `name` of a commit.
pub(crate) fn make_tag(
    objects: &Objects<'_>,
    commit: Oid,
    name: &str,
    tagger: &Actor,
    at: Timestamp,
    message: &str,
) -> Result<Oid, StoreError> {
    let text = format!(
        "object {commit}\ntype commit\ntag {name}\ntagger {}\n\n{}\n",
        signature(tagger, at),
        message.trim_end()
    );
    objects.make(ObjectType::Tag, text.into_bytes())
}

/// `Name <address> seconds zone`; characters that would end a part are left out, as git does.
fn signature(actor: &Actor, at: Timestamp) -> String {
    let clean = |text: &str| {
        let kept: String =
            text.chars().filter(|c| !c.is_control() && !matches!(c, '<' | '>')).collect();
        kept.trim().to_owned()
    };
    let name = clean(&actor.name);
    let name = if name.is_empty() { "unknown" } else { &name };
    format!("{name} <{}> {} +0000", clean(&actor.email).replace(' ', ""), at.as_second().max(0))
}
