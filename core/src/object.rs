//! Group-owned objects: consumers, certificates and global rules, and where their files are.
//!
//! The three are kept, changed and copied in the same way; what is in each is told by its document
//! ([`crate::document::consumer`], [`crate::document::certificate`],
//! [`crate::document::global_rule`]). Next: [`crate::config`] loads them, `change/object.rs` changes
//! them.

use std::fmt;

use serde_json::Value;

use crate::document::{Certificate, Consumer, GlobalRule, Shape};
use crate::name::{CertificateName, ConsumerName, NameError, RuleName};

/// What a group-owned object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// Somebody who calls services.
    Consumer,
    /// What the group's gateways show to clients.
    Certificate,
    /// Plugins that run for every request of the group.
    GlobalRule,
}

impl ObjectKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Consumer, Self::Certificate, Self::GlobalRule];

    /// The folder of a group's tree, which is also the segment of paths of the API.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Self::Consumer => "consumers",
            Self::Certificate => "certificates",
            Self::GlobalRule => "global-rules",
        }
    }

    /// The kind whose folder this is.
    #[must_use]
    pub fn of_folder(folder: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.folder() == folder)
    }

    /// The noun for people.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Consumer => "consumer",
            Self::Certificate => "certificate",
            Self::GlobalRule => "global rule",
        }
    }

    /// What events of this kind begin with, `global-rule` of `global-rule.created`.
    #[must_use]
    pub fn event(self) -> &'static str {
        match self {
            Self::Consumer => "consumer",
            Self::Certificate => "certificate",
            Self::GlobalRule => "global-rule",
        }
    }

    /// The object of this kind that has this name.
    ///
    /// # Errors
    /// When the text is no name for it.
    pub fn named(self, name: &str) -> Result<ObjectName, NameError> {
        Ok(match self {
            Self::Consumer => ObjectName::Consumer(name.parse()?),
            Self::Certificate => ObjectName::Certificate(name.parse()?),
            Self::GlobalRule => ObjectName::GlobalRule(name.parse()?),
        })
    }

    pub(crate) fn canonical(self, json: &Value) -> Value {
        match self {
            Self::Consumer => Consumer::canonical(json),
            Self::Certificate => Certificate::canonical(json),
            Self::GlobalRule => GlobalRule::canonical(json),
        }
    }

    pub(crate) fn expand(self, json: &Value) -> Value {
        match self {
            Self::Consumer => Consumer::expand(json),
            Self::Certificate => Certificate::expand(json),
            Self::GlobalRule => GlobalRule::expand(json),
        }
    }
}

/// Which group-owned object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectName {
    /// A consumer.
    Consumer(ConsumerName),
    /// A certificate.
    Certificate(CertificateName),
    /// A global rule.
    GlobalRule(RuleName),
}

impl ObjectName {
    /// What it is.
    #[must_use]
    pub fn kind(&self) -> ObjectKind {
        match self {
            Self::Consumer(_) => ObjectKind::Consumer,
            Self::Certificate(_) => ObjectKind::Certificate,
            Self::GlobalRule(_) => ObjectKind::GlobalRule,
        }
    }

    /// Its name alone.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Consumer(name) => name.as_str(),
            Self::Certificate(name) => name.as_str(),
            Self::GlobalRule(name) => name.as_str(),
        }
    }

    /// Path of its file in a group's tree.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/{}.json", self.kind().folder(), self.as_str())
    }
}

/// `consumer mobile-app`.
impl fmt::Display for ObjectName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.kind().noun(), self.as_str())
    }
}
