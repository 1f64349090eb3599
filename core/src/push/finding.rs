//! What is wrong with a push, and how it is told to the person at the other end.

use crate::diagnostic::report::{self, plain};
use crate::diagnostic::{Diagnostic, Severity};
use crate::error::Error;
use crate::name::{CommitId, GroupName, NameError, ServiceName};
use crate::version::{Version, VersionError};

use super::Update;

/// A rule about refs and commits that only a push can break.
#[derive(Debug, thiserror::Error)]
pub enum Rule {
    /// A ref that has no place in a configuration.
    #[error(
        "no such ref has a place here: a push moves branches of groups, makes tags of versions, or goes to refs/for/<group>"
    )]
    NoPlace,
    /// A tag that names no version.
    #[error("a tag here is a version of a service, written <service>/<version>")]
    NoVersionTag,
    /// A branch that no group can have.
    #[error("a branch is a gateway group, and {0}")]
    NoGroupName(NameError),
    /// A tag of what cannot be a service.
    #[error("a tag here is a version of a service, written <service>/<version>, and {0}")]
    NoServiceName(NameError),
    /// A tag of what cannot be a version.
    #[error(transparent)]
    BadVersion(VersionError),
    /// Taking a ref away.
    #[error(
        "nothing is taken away by a push: a group is deleted with `refgate group delete`, and a version stays"
    )]
    Deletion,
    /// A group that is not there and that the pusher may not make.
    #[error("there is no group {0}, and your token may not create one")]
    MayNotCreate(GroupName),
    /// A group's own rules, which the pusher may not change.
    #[error("group.json of {0} changes, which only administrators may do")]
    MayNotChange(GroupName),
    /// A group that is not there.
    #[error("there is no group {0}")]
    NoGroup(GroupName),
    /// The branch would lose commits.
    #[error("the push does not go on from where the group is, and history is never rewritten")]
    NotFastForward,
    /// The branch would go on, but by a side way.
    #[error(
        "the group's commits would not be the first parents any more: they would vanish from its history"
    )]
    NotFirstParent,
    /// What is pushed to a branch is no commit.
    #[error("a branch is at a commit, and this is none")]
    NoCommit,
    /// More than a push may bring.
    #[error("the push brings more than {0} commits")]
    TooManyCommits(usize),
    /// A trailer that only Refgate writes.
    #[error("the message has a trailer that begins with Refgate-, which only Refgate writes")]
    ForgedTrailer,
    /// A version that is there.
    #[error("version {1} of {0} is there already, and versions never move")]
    VersionMoved(ServiceName, Version),
    /// A tag object that calls itself otherwise.
    #[error("the tag calls itself {0:?}")]
    OtherName(String),
    /// A tag of a tag, or of what is no commit.
    #[error("a version is a tag of a commit")]
    NoTagOfCommit,
    /// A version of what is in no group's history.
    #[error("the commit is in no group's history")]
    NotInHistory,
    /// A version of a service that is not there.
    #[error("there is no service {0} at this commit")]
    NoService(ServiceName),
    /// A commit to be promoted that no group has.
    #[error("the commit is in no group's history: only what a group has can be promoted")]
    NotPushedYet,
}

impl Rule {
    /// The code, as a problem of the API has one.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoPlace | Self::NoVersionTag => "bad_ref",
            Self::NoGroupName(_) | Self::NoServiceName(_) => "bad_name",
            Self::BadVersion(_) => "bad_version",
            Self::Deletion => "deletion_refused",
            Self::MayNotCreate(_) | Self::MayNotChange(_) => "forbidden",
            Self::NoGroup(_) | Self::NoService(_) => "not_found",
            Self::NotFastForward => "not_fast_forward",
            Self::NotFirstParent => "not_first_parent",
            Self::NoCommit | Self::NoTagOfCommit => "wrong_object",
            Self::TooManyCommits(_) => "too_large",
            Self::ForgedTrailer => "forged_trailer",
            Self::VersionMoved(..) => "version_taken",
            Self::OtherName(_) => "bad_tag",
            Self::NotInHistory | Self::NotPushedYet => "not_in_history",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::NoPlace | Self::NoVersionTag => {
                "git push origin <group>, or git push origin <service>/<version>"
            }
            Self::MayNotCreate(_) => "ask an administrator to create it, or for a token that may",
            Self::MayNotChange(_) => "take group.json out of the push, or use a token that may",
            Self::NotFastForward => "git pull --rebase, then push again",
            Self::NotFirstParent => {
                "git rebase onto the group's branch, or merge your branch into it, not it into yours"
            }
            Self::TooManyCommits(_) => "push them in parts",
            Self::ForgedTrailer => "git commit --amend (or git rebase -i) and take the line out",
            Self::VersionMoved(..) => "choose a number that is free",
            Self::OtherName(_) => {
                "make the tag anew under its own name, and do not rename it in the push"
            }
            Self::NoTagOfCommit => "git tag <service>/<version> <commit>",
            Self::NotInHistory => "push the branch of the group first, or together with the tag",
            Self::NotPushedYet => "push the branch of its group first",
            _ => return None,
        })
    }
}

/// What a finding is about.
#[derive(Debug)]
enum What {
    /// The ref or a commit as such.
    Rule(Rule),
    /// A rule that every door has.
    Refused(Error),
    /// A document, with the text of its file.
    Document(Diagnostic, Option<Vec<u8>>),
}

/// One thing that was found.
#[derive(Debug)]
pub struct Finding {
    /// The ref, without `refs/heads/` or the like.
    reference: String,
    /// The commit, where it is not the newest of the push.
    commit: Option<CommitId>,
    what: What,
}

impl Finding {
    pub(super) fn rule(update: &Update, rule: Rule) -> Self {
        Self { reference: short(update), commit: None, what: What::Rule(rule) }
    }

    pub(super) fn refused(update: &Update, error: Error) -> Self {
        Self { reference: short(update), commit: None, what: What::Refused(error) }
    }

    pub(super) fn document(update: &Update, finding: Diagnostic, text: Option<Vec<u8>>) -> Self {
        Self { reference: short(update), commit: None, what: What::Document(finding, text) }
    }

    pub(super) fn in_commit(mut self, commit: Option<CommitId>) -> Self {
        self.commit = commit;
        self
    }

    /// Whether the push is refused for it.
    #[must_use]
    pub fn is_error(&self) -> bool {
        match &self.what {
            What::Document(finding, _) => finding.severity == Severity::Error,
            What::Rule(_) | What::Refused(_) => true,
        }
    }

    /// The code, as the API has it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match &self.what {
            What::Rule(rule) => rule.code(),
            What::Refused(error) => error.code(),
            What::Document(finding, _) => finding.code.as_str(),
        }
    }

    fn lines(&self) -> Vec<String> {
        let place = match self.commit {
            Some(commit) => {
                let id: String = commit.to_string().chars().take(10).collect();
                format!("{}, commit {id}", plain(&self.reference))
            }
            None => plain(&self.reference).into_owned(),
        };
        match &self.what {
            What::Rule(rule) => {
                let line =
                    format!("error: {place}: {} [{}]", plain(&rule.to_string()), rule.code());
                let hint = rule.hint().map(|hint| format!("hint: {hint}"));
                std::iter::once(line).chain(hint).collect()
            }
            What::Refused(error) => {
                vec![format!("error: {place}: {} [{}]", plain(&error.to_string()), error.code())]
            }
            What::Document(finding, text) => {
                let mut lines = report::lines(finding, text.as_deref());
                if let Some(first) = lines.first_mut()
                    && let Some((severity, rest)) = first.split_once(": ")
                {
                    *first = format!("{severity}: {place}: {rest}");
                }
                lines
            }
        }
    }
}

fn short(update: &Update) -> String {
    let name = update.reference.as_str();
    ["refs/heads/", "refs/tags/"]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name)
        .to_owned()
}

/// The lines that tell the findings: at most `most` of them, errors first where there is not room
/// for all, and then how many there are besides.
#[must_use]
pub fn lines(findings: &[Finding], most: usize) -> Vec<String> {
    let of = |errors: bool| findings.iter().filter(move |finding| finding.is_error() == errors);
    let mut lines: Vec<String> =
        of(true).chain(of(false)).take(most).flat_map(Finding::lines).collect();
    if let Some(more) = findings.len().checked_sub(most).filter(|more| *more > 0) {
        let errors = of(true).count().saturating_sub(most);
        let word = if errors > 0 { "error" } else { "warning" };
        lines.push(format!("{word}: and {more} more"));
    }
    lines
}
