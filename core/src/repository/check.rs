//! Whether a repository is what it should be: objects, refs, versions, groups, and the index beside.
//!
//! Nothing is written, so this works beside a running control plane; what that adds meanwhile is no
//! finding. Repairing is nobody's automatic business: a finding says what to do.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use git2::{ErrorCode, ObjectType, Oid, Repository};
use serde::Serialize;

use super::index_path;
use crate::config;
use crate::diagnostic::Severity;
use crate::index::audit::{self, Read};
use crate::name::{CommitId, GroupName, ServiceName};
use crate::store::git::{Git, GitError};
use crate::store::objects::{EntryKind, Objects};
use crate::store::{self, OpenError, StoreError, stale};
use crate::version::Version;

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether nothing is wrong; warnings are nothing wrong.
    pub sound: bool,
    /// What was looked at, in this order.
    pub checks: Vec<Check>,
    /// Everything found, as the checks are in order.
    pub findings: Vec<Finding>,
}

/// One kind of thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Which kind.
    pub subject: Subject,
    /// How many were looked at; nothing where they are not counted.
    pub checked: Option<usize>,
    /// How many faults were found.
    pub errors: usize,
    /// How many things are worth knowing.
    pub warnings: usize,
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// Every object, and that all which is named is there (`git fsck`).
    Objects,
    /// The refs, and the settings that protect them.
    Refs,
    /// The tags of versions.
    Versions,
    /// The configuration of each group at its head.
    Groups,
    /// The disposable index.
    Index,
}

impl Subject {
    /// All of them, in order.
    pub const ALL: [Self; 5] =
        [Self::Objects, Self::Refs, Self::Versions, Self::Groups, Self::Index];

    /// Its name, as in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Objects => "objects",
            Self::Refs => "refs",
            Self::Versions => "versions",
            Self::Groups => "groups",
            Self::Index => "index",
        }
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The kind of thing it is about.
    pub subject: Subject,
    /// Whether it is a fault.
    pub severity: Severity,
    /// The very thing: a ref, a group, a file.
    pub what: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Why a check could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The repository cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The repository cannot be read at all.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// git is not there to help.
    #[error(transparent)]
    Git(#[from] GitError),
}

impl From<git2::Error> for CheckError {
    fn from(error: git2::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Checks the repository at `path` and the index beside it.
///
/// # Errors
/// When there is no repository to check, or no git to do it with. What is wrong with a repository is
/// no error: it stands in the report.
pub fn check(path: &Path) -> Result<Report, CheckError> {
    let repository = store::open_repository(path)?;
    let git = Git::for_repository(path)?;
    let mut checker = Checker {
        repository: &repository,
        findings: Vec::new(),
        checked: BTreeMap::new(),
        histories: BTreeMap::new(),
        archived: BTreeSet::new(),
    };
    // Before the refs: what is written meanwhile is then in the refs and not in the index, which is
    // as it always is for a moment, and never the other way round.
    let index = audit::read(&index_path(path));
    let readable = checker.objects(&git)?;
    let refs = checker.refs(path, readable)?;
    checker.settings()?;
    if !readable {
        for subject in [Subject::Versions, Subject::Groups, Subject::Index] {
            let message = "not looked at, as an object is corrupt";
            checker.error(subject, subject.as_str(), message);
        }
        return Ok(checker.report());
    }
    checker.versions(&refs)?;
    checker.groups(&refs);
    checker.index(index, &refs);
    Ok(checker.report())
}

struct Checker<'r> {
    repository: &'r Repository,
    findings: Vec<Finding>,
    checked: BTreeMap<Subject, usize>,
    /// The first-parent history of each group, oldest first, as far as it can be read.
    histories: BTreeMap<GroupName, Vec<Oid>>,
    /// The commits of groups that are archived.
    archived: BTreeSet<Oid>,
}

/// The refs by kind.
#[derive(Default)]
struct Refs {
    groups: BTreeMap<GroupName, Oid>,
    tags: BTreeMap<(ServiceName, Version), Oid>,
    archives: Vec<(String, Oid)>,
}

impl Checker<'_> {
    fn find(
        &mut self,
        subject: Subject,
        severity: Severity,
        what: impl Into<String>,
        message: impl Into<String>,
        hint: Option<&str>,
    ) {
        let hint = hint.map(str::to_owned);
        let (what, message) = (what.into(), message.into());
        self.findings.push(Finding { subject, severity, what, message, hint });
    }

    fn error(&mut self, subject: Subject, what: impl Into<String>, message: impl Into<String>) {
        self.find(subject, Severity::Error, what, message, None);
    }

    /// Says whether whatever is there can be read: libgit2 never comes back from a loose object that
    /// is cut short, so that nothing else is looked at then.
    fn objects(&mut self, git: &Git) -> Result<bool, CheckError> {
        let mut faults = git.fsck()?;
        if !faults.is_empty() {
            // What was written while git was reading looks as if it were missing, once; a fault is
            // there the second time too.
            let again: BTreeSet<String> = git.fsck()?.into_iter().collect();
            faults.retain(|fault| again.contains(fault));
        }
        let readable = !faults.iter().any(|fault| fault.contains("corrupt"));
        for fault in faults {
            let severity = match fault.starts_with("warning") {
                true => Severity::Warning,
                false => Severity::Error,
            };
            let hint = (severity == Severity::Error).then_some(
                "copy the object from a clone or a backup into this repository, with git fetch or git unpack-objects",
            );
            self.find(Subject::Objects, severity, "git fsck", fault, hint);
        }
        let mut objects = 0;
        self.repository.odb()?.foreach(|_| {
            objects += 1;
            true
        })?;
        self.checked.insert(Subject::Objects, objects);
        Ok(readable)
    }

    fn refs(&mut self, path: &Path, readable: bool) -> Result<Refs, CheckError> {
        let mut refs = Refs::default();
        let mut count = 0;
        for reference in self.repository.references()? {
            count += 1;
            let reference = match reference {
                Ok(reference) => reference,
                Err(error) => {
                    self.error(Subject::Refs, "a ref", error.message());
                    continue;
                }
            };
            let name = String::from_utf8_lossy(reference.name_bytes()).into_owned();
            let Some(id) = reference.target() else {
                self.error(Subject::Refs, name, "the ref names another ref, not an object");
                continue;
            };
            self.sort_in(&mut refs, name, id);
        }
        self.checked.insert(Subject::Refs, count);
        for (group, head) in refs.groups.iter().filter(|_| readable) {
            let history = self.history(group.branch(), *head);
            self.histories.insert(group.clone(), history);
        }
        for (name, tip) in refs.archives.iter().filter(|_| readable) {
            let history = self.history(name.clone(), *tip);
            self.archived.extend(history);
        }
        for lock in stale::old_locks(path).map_err(StoreError::from)? {
            self.find(
                Subject::Refs,
                Severity::Warning,
                lock.display().to_string(),
                "a lock that nobody seems to hold any more",
                Some(
                    "the next start of refgate takes it away; so may you when no git process runs",
                ),
            );
        }
        Ok(refs)
    }

    /// Puts a ref where it belongs, or says that it belongs nowhere.
    fn sort_in(&mut self, refs: &mut Refs, name: String, id: Oid) {
        let hint = Some("refgate ignores it; git update-ref -d takes it away");
        if let Some(group) = name.strip_prefix("refs/heads/") {
            match group.parse() {
                Ok(group) => {
                    refs.groups.insert(group, id);
                }
                Err(error) => {
                    let message = format!("no group can have this name: {error}");
                    self.find(Subject::Refs, Severity::Error, name, message, hint);
                }
            }
        } else if let Some(tag) = name.strip_prefix("refs/tags/") {
            let parts = tag.split_once('/').map(|(service, number)| {
                (service.parse::<ServiceName>(), number.parse::<Version>())
            });
            if let Some((Ok(service), Ok(version))) = parts {
                refs.tags.insert((service, version), id);
            } else {
                let message = "the tag is no version: it is not called SERVICE/NUMBER";
                self.find(Subject::Refs, Severity::Error, name, message, hint);
            }
        } else if name.strip_prefix("refs/archive/").is_some_and(|rest| rest.contains('/')) {
            refs.archives.push((name, id));
        } else if !name.starts_with("refs/refgate/") {
            let message = "the ref is of no kind that belongs to a configuration";
            self.find(Subject::Refs, Severity::Error, name, message, hint);
        }
    }

    /// The first-parent history of a commit, oldest first; where it breaks off, a finding.
    fn history(&mut self, name: String, head: Oid) -> Vec<Oid> {
        let mut history = Vec::new();
        let mut next = Some(head);
        while let Some(id) = next {
            match self.repository.find_commit(id) {
                Ok(commit) => {
                    history.push(id);
                    next = commit.parent_ids().next();
                }
                Err(error) => {
                    let message = match history.is_empty() {
                        true => format!("it is at {id}: {}", error.message()),
                        false => format!("its history breaks off at {id}: {}", error.message()),
                    };
                    self.error(Subject::Refs, name, message);
                    break;
                }
            }
        }
        history.reverse();
        history
    }

    /// The settings that keep other programs from destroying what is here.
    fn settings(&mut self) -> Result<(), CheckError> {
        let config = self.repository.config()?.snapshot()?;
        for (key, wanted) in store::PROTECTION {
            let found = match config.get_str(key) {
                Ok(found) => Some(found.to_owned()),
                Err(error) if error.code() == ErrorCode::NotFound => None,
                Err(error) => return Err(error.into()),
            };
            if found.as_deref() != Some(*wanted) {
                let message = match found {
                    Some(found) => format!("the setting is {found:?} and should be {wanted:?}"),
                    None => format!("the setting is missing and should be {wanted:?}"),
                };
                let hint = format!("git config {key} {wanted}");
                self.find(Subject::Refs, Severity::Warning, *key, message, Some(&hint));
            }
        }
        Ok(())
    }

    fn versions(&mut self, refs: &Refs) -> Result<(), CheckError> {
        self.checked.insert(Subject::Versions, refs.tags.len());
        let published: BTreeSet<Oid> = self.histories.values().flatten().copied().collect();
        let objects = Objects::new(self.repository)?;
        let mut numbered: HashMap<(ServiceName, Oid), Version> = HashMap::new();
        for ((service, version), id) in &refs.tags {
            let what = format!("refs/tags/{service}/{version}");
            match self.version(&objects, service, version, *id, &published) {
                Ok(content) => {
                    let key = (service.clone(), content);
                    if let Some(other) = numbered.get(&key) {
                        let message =
                            format!("its content is version {other} too; one number is enough");
                        self.error(Subject::Versions, what, message);
                    } else {
                        numbered.insert(key, version.clone());
                    }
                }
                Err(message) => self.error(Subject::Versions, what, message),
            }
        }
        Ok(())
    }

    /// The content that a version names; or what is wrong with its tag.
    fn version(
        &self,
        objects: &Objects<'_>,
        service: &ServiceName,
        version: &Version,
        id: Oid,
        published: &BTreeSet<Oid>,
    ) -> Result<Oid, String> {
        let object = self
            .repository
            .find_object(id, None)
            .map_err(|error| format!("its object {id} cannot be read: {}", error.message()))?;
        let Some(tag) = object.as_tag() else {
            return Err("it is a light tag: it says neither who made it nor when".to_owned());
        };
        let called = String::from_utf8_lossy(tag.name_bytes()).into_owned();
        if called != format!("{service}/{version}") {
            return Err(format!("its tag object is called {called:?}"));
        }
        if tag.target_type() != Some(ObjectType::Commit) {
            return Err("it points at no commit".to_owned());
        }
        let commit = tag.target_id();
        if !published.contains(&commit) && !self.archived.contains(&commit) {
            return Err(format!("commit {commit} is in the history of no group"));
        }
        let content = self
            .repository
            .find_commit(commit)
            .map_err(StoreError::from)
            .and_then(|commit| objects.find(commit.tree_id(), &format!("services/{service}")));
        match content {
            Ok(Some(entry)) if entry.kind == EntryKind::Folder => Ok(entry.id),
            Ok(_) => Err(format!("commit {commit} has no service {service}")),
            Err(error) => Err(format!("its content cannot be read: {error}")),
        }
    }

    fn groups(&mut self, refs: &Refs) {
        self.checked.insert(Subject::Groups, refs.groups.len());
        for (group, head) in &refs.groups {
            let loaded = Objects::new(self.repository).and_then(|objects| {
                let tree = self.repository.find_commit(*head)?.tree_id();
                config::load(&objects, group, CommitId(*head), tree, None)
            });
            match loaded {
                Ok(loaded) => {
                    self.findings.extend(loaded.diagnostics.into_iter().map(|finding| Finding {
                        subject: Subject::Groups,
                        severity: finding.severity,
                        what: format!("group {group}"),
                        message: finding.to_string(),
                        hint: None,
                    }));
                }
                Err(error) => {
                    let message = format!("its configuration cannot be read: {error}");
                    self.error(Subject::Groups, format!("group {group}"), message);
                }
            }
        }
    }

    fn index(&mut self, index: Result<Read, StoreError>, refs: &Refs) {
        let anew = Some("refgate reindex makes it anew");
        let audit = match index {
            Ok(Read::Rows(audit)) => audit,
            Ok(Read::Absent) => {
                let message = "there is none; the next start makes it";
                self.find(Subject::Index, Severity::Warning, "config.index", message, None);
                return;
            }
            Ok(Read::OtherLayout) => {
                let message = "it is of another version of refgate; the next start makes it anew";
                self.find(Subject::Index, Severity::Warning, "config.index", message, None);
                return;
            }
            Err(error) => {
                let (severity, message) = (Severity::Error, error.to_string());
                self.find(Subject::Index, severity, "config.index", message, anew);
                return;
            }
        };
        let mut checked = audit.versions.len();
        for (group, rows) in &audit.commits {
            checked += rows.len();
            // A group that was archived leaves the index when that is asked next.
            let history =
                group.parse().ok().and_then(|group: GroupName| self.histories.get(&group));
            let Some(history) = history else { continue };
            let wrong = rows.iter().zip(1_i64..).find(|((revision, id), expected)| {
                let place = usize::try_from(revision - 1).ok();
                revision != expected || place.and_then(|place| history.get(place)) != Some(id)
            });
            if let Some(((revision, id), _)) = wrong {
                let message = format!("revision {revision} is not commit {id} in the repository");
                let what = format!("group {group}");
                self.find(Subject::Index, Severity::Error, what, message, anew);
            }
        }
        let tags: BTreeMap<(String, String), Oid> = refs
            .tags
            .iter()
            .map(|((service, version), id)| ((service.to_string(), version.to_string()), *id))
            .collect();
        for (key, id) in &audit.versions {
            if tags.get(key) != Some(id) {
                let what = format!("refs/tags/{}/{}", key.0, key.1);
                let message = format!("the index has it at {id}, the repository has not");
                self.find(Subject::Index, Severity::Error, what, message, anew);
            }
        }
        self.checked.insert(Subject::Index, checked);
    }

    fn report(mut self) -> Report {
        self.findings.sort_by_key(|finding| finding.subject);
        let count = |subject, severity| {
            let of =
                |finding: &&Finding| finding.subject == subject && finding.severity == severity;
            self.findings.iter().filter(of).count()
        };
        let checks = Subject::ALL.map(|subject| Check {
            subject,
            checked: self.checked.get(&subject).copied(),
            errors: count(subject, Severity::Error),
            warnings: count(subject, Severity::Warning),
        });
        let sound = checks.iter().all(|check| check.errors == 0);
        Report { sound, checks: checks.to_vec(), findings: self.findings }
    }
}
