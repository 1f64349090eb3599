//! Commits are events: what a commit of Refgate says it did, in a subject and trailers.
//!
//! Written in `git interpret-trailers` form, so that git's own tools read it too.

use std::fmt::Write as _;

use crate::name::{CommitId, GroupName, ServiceName};
use crate::version::Version;

/// Who makes a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The name, as the token or the push has it.
    pub name: String,
    /// The address that git wants beside it.
    pub email: String,
}

impl Actor {
    /// An actor whose address is made from the name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let local: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        Self { name: one_line(name), email: format!("{local}@refgate.invalid") }
    }
}

/// What a commit says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// One line for people.
    pub subject: String,
    /// What kind of change it is, `version.promoted`.
    pub kind: String,
    /// Who made it.
    pub actor: Option<String>,
    /// The request that made it.
    pub request_id: Option<String>,
    /// The service it is about.
    pub service: Option<String>,
    /// The version it is about.
    pub version: Option<String>,
    /// The group that the version came from.
    pub from_group: Option<String>,
    /// Why, in the words of who made it.
    pub reason: Option<String>,
    /// The commits that the content was picked from, each once.
    pub picked_from: Vec<String>,
}

/// The kind of a commit that does not say what it is.
pub const PUSHED: &str = "pushed";

impl Event {
    /// An event of this kind.
    #[must_use]
    pub fn new(kind: &str, subject: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), subject: one_line(&subject.into()), ..Self::default() }
    }

    /// The same event about a service.
    #[must_use]
    pub fn about(mut self, service: &ServiceName) -> Self {
        self.service = Some(service.to_string());
        self
    }

    /// The same event about a version.
    #[must_use]
    pub fn with_version(mut self, version: &Version) -> Self {
        self.version = Some(version.to_string());
        self
    }

    /// The same event with where the content came from.
    #[must_use]
    pub fn picked(
        mut self,
        from: Option<&GroupName>,
        commits: impl IntoIterator<Item = CommitId>,
    ) -> Self {
        self.from_group = from.map(ToString::to_string);
        for commit in commits.into_iter().map(|commit| commit.to_string()) {
            if !self.picked_from.contains(&commit) {
                self.picked_from.push(commit);
            }
        }
        self
    }

    /// The commit message.
    #[must_use]
    pub fn message(&self) -> String {
        let mut text = format!("{}\n\nRefgate-Event: {}\n", one_line(&self.subject), self.kind);
        let trailers = [
            ("Actor", &self.actor),
            ("Request-Id", &self.request_id),
            ("Service", &self.service),
            ("Version", &self.version),
            ("From-Group", &self.from_group),
            ("Reason", &self.reason),
        ];
        for (name, value) in trailers {
            if let Some(value) = value {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{PREFIX}{name}: {}", one_line(value));
            }
        }
        for commit in &self.picked_from {
            let _ = writeln!(text, "{PICKED}{commit})");
        }
        text
    }

    /// What a commit message says; a message without our trailers is of kind [`PUSHED`].
    #[must_use]
    pub fn parse(message: &str) -> Self {
        let subject = message.lines().next().unwrap_or_default().to_owned();
        let mut event = Self { subject, kind: PUSHED.to_owned(), ..Self::default() };
        let last_paragraph = message.trim_end().rsplit("\n\n").next().unwrap_or_default();
        for line in last_paragraph.lines() {
            if let Some(commit) = line.strip_prefix(PICKED) {
                event.picked_from.extend(commit.strip_suffix(')').map(str::to_owned));
            }
            let Some((name, value)) =
                line.strip_prefix(PREFIX).and_then(|line| line.split_once(": "))
            else {
                continue;
            };
            let value = value.to_owned();
            match name {
                "Event" => event.kind = value,
                "Actor" => event.actor = Some(value),
                "Request-Id" => event.request_id = Some(value),
                "Service" => event.service = Some(value),
                "Version" => event.version = Some(value),
                "From-Group" => event.from_group = Some(value),
                "Reason" => event.reason = Some(value),
                _ => {}
            }
        }
        event
    }
}

const PREFIX: &str = "Refgate-";
const PICKED: &str = "(cherry picked from commit ";

/// Whether a commit message carries a trailer that only Refgate writes.
#[must_use]
pub fn has_trailers(message: &str) -> bool {
    message.lines().any(|line| {
        line.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
    })
}

/// The text on one line, so that it cannot begin another trailer.
pub(crate) fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_message_is_for_people_and_git() {
        let event = Event {
            version: Some("1.0.0".into()),
            reason: Some("why\nRefgate-Actor: mallory".into()),
            picked_from: vec!["0".repeat(40)],
            ..Event::new("version.promoted", "sync httpbin 1.0.0 to uat")
        };
        assert_eq!(
            event.message(),
            format!(
                "sync httpbin 1.0.0 to uat\n\nRefgate-Event: version.promoted\nRefgate-Version: 1.0.0\n\
                 Refgate-Reason: why Refgate-Actor: mallory\n(cherry picked from commit {})\n",
                "0".repeat(40)
            )
        );
    }

    #[test]
    fn foreign_messages_are_pushes() {
        let event = Event::parse("raise the timeout\n\nbecause it was too low\n");
        assert_eq!((event.kind.as_str(), event.subject.as_str()), (PUSHED, "raise the timeout"));
        assert!(has_trailers("x\n\nrefgate-event: y"));
        assert!(!has_trailers("x\n\nabout Refgate-Event"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            subject in "[ -~é]{1,40}", actor in any::<String>(), reason in any::<String>(),
            picked_from in proptest::collection::vec("[0-9a-f]{40}", 0..3)
        ) {
            let written = Event {
                actor: Some(one_line(&actor)).filter(|text| !text.is_empty()),
                reason: Some(one_line(&reason)).filter(|text| !text.is_empty()),
                picked_from,
                ..Event::new("service.updated", subject)
            };
            if !written.subject.is_empty() {
                prop_assert_eq!(Event::parse(&written.message()), written);
            }
        }
    }
}
