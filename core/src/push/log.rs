//! The log of pushes: who moved which ref, and by which request.
//!
//! A pushed commit says who wrote it, not who pushed it, and cannot be made to. So each push that
//! passes its check is noted on a ref of Refgate's own *before* git moves anything: a crash in
//! between leaves a note about nothing, never a move without its note. An entry is a commit without
//! files; what it notes stands in its message, in the form of trailers.

use std::fmt::Write as _;

use git2::{ObjectType, Oid, Repository};
use jiff::Timestamp;

use crate::error::Error;
use crate::event::{Actor, one_line};
use crate::name::{ContentId, ServiceName};
use crate::store::objects::Objects;
use crate::store::refs::{self, Moved};
use crate::store::{StoreError, commit, turn};
use crate::version::Version;

/// The ref of the log; hidden from clients like all of `refs/refgate`.
const LOG: &str = "refs/refgate/pushes";

/// A push that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Who pushed.
    pub(crate) actor: String,
    /// The request that it came with.
    pub(crate) request_id: Option<String>,
    /// The refs it was to move.
    pub(crate) updates: Vec<Noted>,
    /// The versions it was to make.
    pub(crate) versions: Vec<Numbered>,
}

/// A content that a push was to give a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Numbered {
    pub(crate) service: ServiceName,
    pub(crate) version: Version,
    pub(crate) content: ContentId,
}

/// A ref that a push was to move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Noted {
    pub(crate) reference: String,
    pub(crate) old: Option<Oid>,
    pub(crate) new: Oid,
}

const ACTOR: &str = "Refgate-Actor: ";
const REQUEST: &str = "Refgate-Request-Id: ";
const REF: &str = "Refgate-Ref: ";
const VERSION: &str = "Refgate-Version: ";

impl Entry {
    fn message(&self) -> String {
        let actor = one_line(&self.actor);
        let mut text = format!("push by {actor}\n\n{ACTOR}{actor}\n");
        // Writing to a string cannot fail.
        if let Some(id) = &self.request_id {
            let _ = writeln!(text, "{REQUEST}{}", one_line(id));
        }
        for Noted { reference, old, new } in &self.updates {
            let old = old.unwrap_or(Oid::ZERO_SHA1);
            let _ = writeln!(text, "{REF}{old} {new} {reference}");
        }
        for Numbered { service, version, content } in &self.versions {
            let _ = writeln!(text, "{VERSION}{content} {service}/{version}");
        }
        text
    }

    fn parse(message: &str) -> Self {
        let mut entry = Self {
            actor: String::new(),
            request_id: None,
            updates: Vec::new(),
            versions: Vec::new(),
        };
        for line in message.lines() {
            if let Some(actor) = line.strip_prefix(ACTOR) {
                actor.clone_into(&mut entry.actor);
            } else if let Some(id) = line.strip_prefix(REQUEST) {
                entry.request_id = Some(id.to_owned());
            } else if let Some(update) = line.strip_prefix(REF) {
                entry.updates.extend(parse_update(update));
            } else if let Some(version) = line.strip_prefix(VERSION) {
                entry.versions.extend(parse_version(version));
            }
        }
        entry
    }
}

fn parse_update(text: &str) -> Option<Noted> {
    let mut words = text.splitn(3, ' ');
    let old = Oid::from_str(words.next()?).ok()?;
    let new = Oid::from_str(words.next()?).ok()?;
    let reference = words.next()?.to_owned();
    Some(Noted { reference, old: (old != Oid::ZERO_SHA1).then_some(old), new })
}

fn parse_version(text: &str) -> Option<Numbered> {
    let (content, name) = text.split_once(' ')?;
    let (service, version) = name.split_once('/')?;
    Some(Numbered {
        service: service.parse().ok()?,
        version: version.parse().ok()?,
        content: content.parse().ok()?,
    })
}

/// The newest entry.
pub(crate) fn head(repository: &Repository) -> Result<Option<Oid>, StoreError> {
    refs::resolve(repository, LOG)
}

/// The entries up to `head` that came after `known`, first to last, each with when it was made, in
/// seconds, and whether `known` was met:
/// where it was not, they are all there are.
pub(crate) fn since(
    repository: &Repository,
    head: Option<Oid>,
    known: Option<Oid>,
) -> Result<(Vec<(i64, Entry)>, bool), StoreError> {
    let mut entries = Vec::new();
    let mut next = head;
    while next != known
        && let Some(id) = next
    {
        let found = commit::find(repository, id)?;
        let entry = Entry::parse(&String::from_utf8_lossy(found.message_bytes()));
        entries.push((found.time().seconds(), entry));
        next = found.parent_ids().next();
    }
    entries.reverse();
    Ok((entries, next == known))
}

/// Adds an entry; when this returns, it is on the disk.
pub(crate) fn append(repository: &Repository, entry: &Entry, now: Timestamp) -> Result<(), Error> {
    // Pushes come from many processes at once. The comparison below is what keeps the log whole.
    let _turn = turn::wait(repository, turn::PUSHES)?;
    loop {
        let objects = Objects::new(repository)?;
        let before = head(repository)?;
        let tree = objects.make(ObjectType::Tree, Vec::new())?;
        let actor = Actor::named(&entry.actor);
        let id = commit::make_commit(&objects, tree, before, &actor, now, now, &entry.message())?;
        objects.store()?;
        if refs::compare_and_swap(repository, LOG, before, id, "push")? == Moved::Yes {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_read() {
        let id = |digit: &str| Oid::from_str(&digit.repeat(40)).expect("an id");
        let entry = Entry {
            actor: "ana".to_owned(),
            request_id: Some("r-1".to_owned()),
            updates: vec![
                Noted { reference: "refs/heads/test".to_owned(), old: Some(id("1")), new: id("2") },
                Noted { reference: "refs/tags/a/1.0.0".to_owned(), old: None, new: id("3") },
            ],
            versions: vec![Numbered {
                service: "a".parse().expect("a name"),
                version: "1.0.0".parse().expect("a version"),
                content: ContentId(id("4")),
            }],
        };
        assert_eq!(Entry::parse(&entry.message()), entry);
    }

    #[test]
    fn a_name_cannot_note_anything() {
        let entry = Entry {
            actor: format!("ana\n{REF}{0} {0} refs/heads/test", "1".repeat(40)),
            request_id: None,
            updates: Vec::new(),
            versions: Vec::new(),
        };
        assert_eq!(Entry::parse(&entry.message()).updates, []);
    }
}
