//! Findings about documents as data: all of them, sorted, each with file, pointer and remedy.
//!
//! What finds them: [`crate::document`] (one file) and [`crate::validate`] (a whole group). How they
//! are told to people: [`report`].

pub mod report;

use std::fmt;

use serde::Serialize;

use crate::name::GroupName;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The change is refused.
    Error,
    /// The change is accepted; somebody should look.
    Warning,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $variant:ident = $text:literal),+ $(,)?) => {
        /// What kind of defect a finding is. The text of a code is part of the API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Code {
            $($(#[doc = $doc])* $variant),+
        }

        impl Code {
            /// Every code, in the order of its text's declaration.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The code as the API writes it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),+
                }
            }

            /// What the code means, for the reference of diagnostics.
            #[must_use]
            pub fn description(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($doc),*).trim_ascii()),+
                }
            }
        }
    };
}

codes! {
    /// The file is not JSON (or not UTF-8).
    MalformedJson = "malformed_json",
    /// The document has no such key.
    UnknownKey = "unknown_key",
    /// A key stands twice in one object.
    DuplicateKey = "duplicate_key",
    /// The value is of another type than the key takes.
    WrongType = "wrong_type",
    /// A key that the document needs is absent.
    MissingKey = "missing_key",
    /// A name breaks the rule for names.
    BadName = "bad_name",
    /// The value is outside what the key takes.
    BadValue = "bad_value",
    /// A path pattern that cannot be matched as written.
    BadPath = "bad_path",
    /// A regular expression that does not compile or is too large.
    BadRegex = "bad_regex",
    /// Not an IP address or CIDR block.
    BadCidr = "bad_cidr",
    /// Not a host name or IP address.
    BadHost = "bad_host",
    /// No built-in plugin has this name.
    UnknownPlugin = "unknown_plugin",
    /// A route names an upstream that the runtime does not define.
    UnknownUpstream = "unknown_upstream",
    /// An upstream names a certificate that the group does not have.
    UnknownCertificate = "unknown_certificate",
    /// A `$var://` reference to a variable that the group does not define.
    UnresolvedVariable = "unresolved_variable",
    /// Two routes that could match the same request with the same rank.
    RouteConflict = "route_conflict",
    /// Two routes that overlap where the order decides between them.
    RouteOverlap = "route_overlap",
    /// A route that never takes a request, as another one takes them all before it.
    RouteUnreachable = "route_unreachable",
    /// A secret written into the document in the place of a reference.
    InlineSecret = "inline_secret",
    /// Not PEM: a text that is neither whole blocks of the expected kind nor a reference.
    BadPem = "bad_pem",
    /// Two certificates of a group for the same SNI.
    SniConflict = "sni_conflict",
    /// A certificate that has expired, or does so within 14 days; only gateways tell.
    CertificateExpiry = "certificate_expiry",
    /// Two credentials of a group by which requests could not be told apart.
    CredentialConflict = "credential_conflict",
    /// A file, list or text over its limit.
    TooLarge = "too_large",
    /// A file or entry that has no place in the tree of a group.
    UnexpectedFile = "unexpected_file",
    /// A file that the tree needs is absent.
    MissingFile = "missing_file",
    /// A sync brought a runtime to a group that has one already.
    RuntimeKept = "runtime_kept",
}

impl fmt::Display for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Diagnostic {
    /// Path of the file in the tree of the group, `services/httpbin/service.json`.
    pub file: String,
    /// RFC 6901 pointer inside the file; empty for the whole file.
    pub pointer: String,
    /// The kind of defect.
    pub code: Code,
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong, for people.
    pub message: String,
    /// What to do about it, for people.
    pub hint: Option<String>,
    /// What else it rests on: a change of any of these files may have made it.
    #[serde(skip)]
    pub involved: Box<[String]>,
}

impl Diagnostic {
    /// An error without a hint.
    #[must_use]
    pub fn error(
        file: impl Into<String>,
        pointer: impl Into<String>,
        code: Code,
        message: impl Into<String>,
    ) -> Self {
        Self {
            file: file.into(),
            pointer: pointer.into(),
            code,
            severity: Severity::Error,
            message: message.into(),
            hint: None,
            involved: Box::default(),
        }
    }

    /// The same finding with a remedy.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same finding, resting on these files too.
    #[must_use]
    pub fn involving(mut self, files: impl IntoIterator<Item = String>) -> Self {
        self.involved = files.into_iter().collect();
        self
    }

    /// Every file that it rests on, that where it stands first.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.file).chain(&*self.involved).map(String::as_str)
    }

    /// The same finding as a warning.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// The same finding with the group by its name, where the message is about the group itself: a
    /// change of several groups is then told which of them lacks something.
    #[must_use]
    pub(crate) fn of_group(mut self, group: &GroupName) -> Self {
        if self.code == Code::UnresolvedVariable
            && let Some(rest) = self.message.strip_prefix("the group ")
        {
            self.message = format!("group {group} {rest}");
        }
        self
    }

    /// Whether the finding refuses the change.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A finding about a request names no file, and one about a whole file no place in it.
        let place = format!("{} {}", self.file, self.pointer);
        match place.trim_ascii() {
            "" => write!(out, "{}", self.message)?,
            place => write!(out, "{place}: {}", self.message)?,
        }
        if let Some(hint) = &self.hint {
            write!(out, " ({hint})")?;
        }
        Ok(())
    }
}

/// Of `known`, the word most like `word`, when one is near enough to be a slip of the keyboard.
#[must_use]
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    known
        .into_iter()
        .map(|candidate| (edit_distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min()
        .map(|(_, candidate)| format!("did you mean {candidate:?}?"))
}

/// Levenshtein distance in bytes; words longer than 64 bytes are never near.
fn edit_distance(a: &str, b: &str) -> usize {
    if a.len() > 64 || b.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_texts_are_what_serde_writes() {
        for code in Code::ALL {
            let written = serde_json::to_value(code).expect("a unit variant serialises");
            assert_eq!(written, code.as_str());
        }
    }

    #[test]
    fn a_finding_is_a_line_that_begins_with_its_place() {
        let told = |file, pointer| {
            Diagnostic::error(file, pointer, Code::BadValue, "wrong").with_hint("right").to_string()
        };
        assert_eq!(told("a.json", "/b"), "a.json /b: wrong (right)");
        assert_eq!(told("a.json", ""), "a.json: wrong (right)");
        assert_eq!(told("", "/b"), "/b: wrong (right)");
        assert_eq!(told("", ""), "wrong (right)");
    }

    #[test]
    fn suggestions() {
        let known = ["paths", "methods", "priority", "match"];
        let near = |word| did_you_mean(word, known);
        assert_eq!(near("path").as_deref(), Some("did you mean \"paths\"?"));
        assert_eq!(near("prioritty").as_deref(), Some("did you mean \"priority\"?"));
        assert_eq!(near("zebra"), None);
    }
}
