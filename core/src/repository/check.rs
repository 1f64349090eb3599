//! Whether a repository is what it should be: objects, refs, versions, groups, and the index beside.
//!
//! Nothing is written, so this works beside a running control plane; what that adds meanwhile is no
//! finding. Repairing is nobody's automatic business: a finding says what to do. Next: [`refs`],
//! [`version`], [`index`].

mod index;
mod refs;
mod version;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use git2::{ErrorCode, Oid, Repository};
use serde::Serialize;

use self::refs::Refs;
use super::index_path;
use crate::config;
use crate::diagnostic::Severity;
use crate::name::{CommitId, GroupName};
use crate::store::git::{Git, GitError};
use crate::store::objects::Objects;
use crate::store::{self, OpenError, StoreError, commit, guard};

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
    checker.objects(&git)?;
    let refs = checker.refs(path)?;
    checker.protection(path)?;
    checker.versions(&refs)?;
    checker.groups(&refs);
    checker.index(&index_path(path), &refs);
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

    fn objects(&mut self, git: &Git) -> Result<(), CheckError> {
        let mut faults = git.fsck()?;
        if !faults.is_empty() {
            // What was written while git was reading looks as if it were missing, once; a fault is
            // there the second time too.
            let again: BTreeSet<String> = git.fsck()?.into_iter().collect();
            faults.retain(|fault| again.contains(fault));
        }
        for fault in faults {
            let severity = match fault.starts_with("warning") {
                true => Severity::Warning,
                false => Severity::Error,
            };
            let hint = (severity == Severity::Error).then_some(
                "copy the file of the object, or the pack that has it, from the folder objects of a clone or a backup",
            );
            self.find(Subject::Objects, severity, "git fsck", fault, hint);
        }
        let mut objects = 0;
        self.repository.odb()?.foreach(|_| {
            objects += 1;
            true
        })?;
        self.checked.insert(Subject::Objects, objects);
        Ok(())
    }

    /// The settings and hooks that keep other programs from destroying what is here.
    fn protection(&mut self, path: &Path) -> Result<(), CheckError> {
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
        // A copy that nobody serves has no hooks at all.
        let hooks = guard::hooks(path);
        for name in guard::missing_hooks(path).into_iter().filter(|_| hooks.is_dir()) {
            let what = hooks.join(name).display().to_string();
            let message = "the hook is missing or cannot be run: what is pushed is not checked";
            let hint = Some("the next start of the control plane puts it back");
            self.find(Subject::Refs, Severity::Warning, what, message, hint);
        }
        Ok(())
    }

    fn groups(&mut self, refs: &Refs) {
        self.checked.insert(Subject::Groups, refs.groups.len());
        for (group, head) in &refs.groups {
            let loaded = Objects::new(self.repository).and_then(|objects| {
                let tree = commit::find(self.repository, *head)?.tree_id();
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
