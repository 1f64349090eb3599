//! A commit as it is typed: whole, or as short as tables show it.

use std::str::FromStr;

use refgate_core::name::{CommitId, GroupName};
use serde_json::Value;

use super::failure::Failure;
use super::session::Session;
use crate::client::endpoint::Endpoint;
use crate::client::view::{self, Event};

/// Digits that a commit is recognised by; tables show 8.
const SHORTEST: usize = 7;
/// Commits that are looked through in one request.
const PAGE: usize = 1000;

/// A commit id, or the beginning of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitArg(String);

/// Why the beginning of an id is no commit.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// None begins like that.
    #[error(
        "{group} has no commit that begins with {typed}: `refgate history -g {group}` shows them"
    )]
    Unknown {
        /// The group.
        group: GroupName,
        /// What was typed.
        typed: String,
    },
    /// Several do.
    #[error("{group} has several commits that begin with {typed}: give more of it")]
    Ambiguous {
        /// The group.
        group: GroupName,
        /// What was typed.
        typed: String,
    },
}

impl FromStr for CommitArg {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match digits && (SHORTEST..=40).contains(&text.len()) {
            true => Ok(Self(text.to_ascii_lowercase())),
            false => Err("a commit is 40 hexadecimal digits, or at least the first 7 of them"),
        }
    }
}

impl CommitArg {
    /// The whole id; what is shorter is looked for in the history of the group, newest first.
    ///
    /// # Errors
    /// When the group has no such commit, or there is no answer.
    pub fn resolve(&self, session: &Session, group: &GroupName) -> Result<CommitId, Failure> {
        if let Ok(whole) = self.0.parse() {
            return Ok(whole);
        }
        let (group, typed) = (group.clone(), self.0.clone());
        let history = Endpoint::of_group(&group, "history");
        let mut after = None;
        loop {
            let page = session.client.list_after(&history, after, Some(PAGE))?;
            let events: Vec<Event> = view::items(&page)?;
            let mut found = events.iter().filter(|event| event.commit.starts_with(&typed));
            match (found.next(), found.next()) {
                (Some(one), None) => return one.commit.parse().map_err(Failure::program),
                (Some(_), Some(_)) => return Err(CommitError::Ambiguous { group, typed }.into()),
                (None, _) => {}
            }
            after = page.get("next").and_then(Value::as_str).map(str::to_owned);
            if after.is_none() {
                return Err(CommitError::Unknown { group, typed }.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_as_they_are_typed() {
        for text in ["0123456", "0123ABCD", "0123456789abcdef0123456789abcdef01234567"] {
            assert!(text.parse::<CommitArg>().is_ok(), "{text}");
        }
        for text in ["", "012345", "HEAD", "0123456789abcdef0123456789abcdef012345678"] {
            assert!(text.parse::<CommitArg>().is_err(), "{text}");
        }
    }
}
