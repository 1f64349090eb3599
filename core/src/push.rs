//! A push by git: whether it may move the refs that it wants to move.
//!
//! The same rules as for every other change, asked before anything moves: a push is taken whole or
//! refused whole, and all that is wrong with it is told. Nothing here needs a running control plane;
//! the objects of the push are read where git keeps them apart until the push is accepted.
//!
//! What is asked of a branch is in [`branch`], of a tag in [`tag`]; what is told, in [`finding`]; who
//! pushed is noted in [`log`]; a version pushed to `refs/for/<group>` is promoted by [`promotion`];
//! what came of a push is told by [`outcome`].

mod branch;
mod finding;
pub(crate) mod log;
mod outcome;
mod promotion;
mod tag;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use git2::Oid;
use jiff::Timestamp;

use crate::error::Error;
use crate::index::Index;
use crate::name::{ContentId, GroupName, ObjectId, ServiceName};
use crate::repository::{Cache, Desk, index_path};
use crate::store::objects::Objects;
use crate::store::{self, StoreError, turn};
use crate::version::Version;

pub use finding::{Finding, Rule, lines};
pub use outcome::{Outcome, Touched, outcomes};
pub use promotion::Promotion;

/// A push that waits to be accepted.
#[derive(Debug, Clone)]
pub struct Push {
    /// What it wants to move.
    pub updates: Vec<Update>,
    /// Who pushes.
    pub pusher: Pusher,
    /// The request that it came with.
    pub request_id: Option<String>,
    /// Where git keeps its objects until it is accepted.
    pub quarantine: Option<PathBuf>,
}

/// Who pushes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pusher {
    /// The name, as history shows it.
    pub name: String,
    /// Whether a push of theirs may make a group, or change its `group.json`.
    pub may_manage_groups: bool,
}

/// A ref that a push wants to move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// Its full name.
    pub reference: String,
    /// The object it is at; nothing when there is no such ref.
    pub old: Option<ObjectId>,
    /// The object it shall be at; nothing to take the ref away.
    pub new: Option<ObjectId>,
}

/// A line that git gives to its hooks and that says no update.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0:?} is not `<old> <new> <ref>`")]
pub struct UpdateError(String);

impl FromStr for Update {
    type Err = UpdateError;

    /// Reads `<old> <new> <ref>`, as git gives it to `pre-receive`.
    fn from_str(line: &str) -> Result<Self, UpdateError> {
        let error = || UpdateError(line.to_owned());
        let mut words = line.splitn(3, ' ');
        let mut id = || -> Result<Option<ObjectId>, UpdateError> {
            let id: ObjectId = words.next().and_then(|word| word.parse().ok()).ok_or_else(error)?;
            Ok(Some(id).filter(|id| id.0 != Oid::ZERO_SHA1))
        };
        let (old, new) = (id()?, id()?);
        let reference = words.next().filter(|name| name.starts_with("refs/")).ok_or_else(error)?;
        Ok(Self { reference: reference.to_owned(), old, new })
    }
}

/// What a ref is, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The branch of a group.
    Branch(GroupName),
    /// A version of a service.
    Version(ServiceName, Version),
    /// `refs/for/<group>`: a version shall be promoted to the group.
    For(GroupName),
}

impl Target {
    /// What the name stands for.
    ///
    /// # Errors
    /// The rule that the name breaks.
    pub fn of(reference: &str) -> Result<Self, Rule> {
        if let Some(name) = reference.strip_prefix("refs/heads/") {
            return name.parse().map(Self::Branch).map_err(Rule::NoGroupName);
        }
        if let Some(name) = reference.strip_prefix("refs/for/") {
            return name.parse().map(Self::For).map_err(Rule::NoGroupName);
        }
        let Some(name) = reference.strip_prefix("refs/tags/") else { return Err(Rule::NoPlace) };
        let Some((service, version)) = name.split_once('/') else { return Err(Rule::NoVersionTag) };
        let service = service.parse().map_err(Rule::NoServiceName)?;
        let version = version.parse().map_err(Rule::BadVersion)?;
        Ok(Self::Version(service, version))
    }
}

/// Checks a push to the repository at `path`; when it is good, notes who pushed.
///
/// The answer is everything found. The push is accepted when none of it is an error.
///
/// # Errors
/// When the repository cannot be read, or the note cannot be written; the push must be refused then.
pub fn check(path: &Path, push: &Push, now: Timestamp) -> Result<Vec<Finding>, Error> {
    let git = store::open_repository(path)?;
    let tags = push.updates.iter().any(|update| update.reference.starts_with("refs/tags/"));
    // git makes the tags only after this; until they are there, the note says that they come.
    let _turn = tags.then(|| turn::wait(&git, turn::VERSIONS)).transpose()?;
    let index = Index::open(&index_path(path), path)?;
    index.catch_up(&git)?;
    let cache = Cache::default();
    let objects = match &push.quarantine {
        Some(quarantine) => Objects::with_quarantine(&git, quarantine)?,
        None => Objects::new(&git)?,
    };
    let desk = Desk::apart(&git, objects, &index, &cache, now);
    let mut check = Check {
        desk: &desk,
        push,
        findings: Vec::new(),
        arrived: Vec::new(),
        versions: BTreeMap::new(),
    };
    check.run()?;
    let (findings, versions) = (check.findings, check.versions);
    if !findings.iter().any(Finding::is_error) {
        note(path, push, versions, now)?;
    }
    Ok(findings)
}

/// Notes who pushed, with a handle that knows nothing of the quarantine.
fn note(
    path: &Path,
    push: &Push,
    versions: BTreeMap<(ServiceName, ContentId), Version>,
    now: Timestamp,
) -> Result<(), Error> {
    store::enable_fsync()?;
    let updates = push.updates.iter().filter_map(|update| {
        let new = update.new.filter(|_| !update.reference.starts_with("refs/for/"))?;
        let old = update.old.map(|id| id.0);
        Some(log::Noted { reference: update.reference.clone(), old, new: new.0 })
    });
    let updates: Vec<_> = updates.collect();
    if updates.is_empty() {
        return Ok(());
    }
    let actor = push.pusher.name.clone();
    let versions = versions.into_iter().map(|((service, content), version)| log::Numbered {
        service,
        version,
        content,
    });
    let request_id = push.request_id.clone();
    let entry = log::Entry { actor, request_id, updates, versions: versions.collect() };
    log::append(&store::open_repository(path)?, &entry, now)
}

/// A check at work.
struct Check<'c, 'r> {
    desk: &'c Desk<'r>,
    push: &'c Push,
    findings: Vec<Finding>,
    /// Commits that come to a group with this push.
    arrived: Vec<Oid>,
    /// Versions that come with it.
    versions: BTreeMap<(ServiceName, ContentId), Version>,
}

impl Check<'_, '_> {
    fn run(&mut self) -> Result<(), Error> {
        // Branches first: a version may name a commit that comes with the same push.
        let rank = |update: &&Update| !update.reference.starts_with("refs/heads/");
        let mut updates: Vec<&Update> = self.push.updates.iter().collect();
        updates.sort_by_key(rank);
        for update in updates {
            let target = match Target::of(&update.reference) {
                Ok(target) => target,
                Err(rule) => {
                    self.refuse(update, rule);
                    continue;
                }
            };
            let Some(new) = update.new else {
                self.refuse(update, Rule::Deletion);
                continue;
            };
            match target {
                Target::Branch(group) => self.branch(update, &group, new.0)?,
                Target::Version(service, version) => {
                    self.version(update, &service, &version, new.0)?;
                }
                Target::For(group) => self.promotion(update, &group, new.0)?,
            }
        }
        Ok(())
    }

    fn refuse(&mut self, update: &Update, rule: Rule) {
        self.findings.push(Finding::rule(update, rule));
    }

    /// What is asked before a version is promoted: the rest is asked by the promotion itself.
    fn promotion(
        &mut self,
        update: &Update,
        group: &GroupName,
        new: Oid,
    ) -> Result<(), StoreError> {
        if self.desk.find_head(group)?.is_none() {
            self.refuse(update, Rule::NoGroup(group.clone()));
        }
        if !self.desk.index.knows(crate::name::CommitId(new))? {
            self.refuse(update, Rule::NotPushedYet);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_refs() {
        for (name, wanted) in [
            ("refs/heads/test", Ok("Branch(GroupName(\"test\"))")),
            ("refs/for/uat", Ok("For(GroupName(\"uat\"))")),
            ("refs/heads/httpbin/1.0.0", Err("bad_name")),
            ("refs/heads/Test", Err("bad_name")),
            ("refs/heads/", Err("bad_name")),
            ("refs/tags/test", Err("bad_ref")),
            ("refs/tags/a/1", Err("bad_version")),
            ("refs/tags/A/1.0.0", Err("bad_name")),
            ("refs/tags/a/1.0.0/x", Err("bad_version")),
            ("refs/notes/commits", Err("bad_ref")),
            ("refs/refgate/access", Err("bad_ref")),
            ("refs/archive/test/x", Err("bad_ref")),
            ("HEAD", Err("bad_ref")),
        ] {
            match (Target::of(name), wanted) {
                (Ok(target), Ok(wanted)) => assert_eq!(format!("{target:?}"), wanted),
                (Err(rule), Err(wanted)) => assert_eq!(rule.code(), wanted, "{name}"),
                (found, wanted) => panic!("{name}: {found:?}, not {wanted:?}"),
            }
        }
    }

    #[test]
    fn lines_of_hooks() {
        let (zero, one) = ("0".repeat(40), "1".repeat(40));
        let update: Update = format!("{zero} {one} refs/heads/test").parse().expect("an update");
        assert_eq!((update.old, update.new.map(|id| id.to_string())), (None, Some(one.clone())));
        for line in ["", "x", &format!("{zero} {one}"), &format!("{zero} {one} test")] {
            assert!(line.parse::<Update>().is_err(), "{line}");
        }
    }
}
