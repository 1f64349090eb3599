//! A refusal of the server: `application/problem+json`, as the client understands it.
//!
//! How it is shown stands in [`crate::output::problem`].

use std::fmt;

use refgate_core::diagnostic::{Code, Diagnostic, Severity, report};
use serde::Deserialize;
use serde_json::Value;

/// A refusal, with everything that the server says about it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// What kind of problem, for programs.
    pub code: String,
    /// What kind of problem, for people.
    pub title: String,
    /// This very occurrence, for people.
    pub detail: String,
    /// What to look for in the logs of the server.
    pub request_id: String,
    /// Findings about the documents.
    pub diagnostics: Vec<Finding>,
    /// What both sides of a promotion changed.
    pub conflicts: Vec<Conflict>,
    /// Seconds after which the server wants to be asked again.
    #[serde(skip)]
    pub retry_after: Option<u64>,
    /// The answer as it came.
    #[serde(skip)]
    pub body: Value,
}

/// One finding about a document.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Finding {
    /// `error` or `warning`.
    pub severity: String,
    /// Kind of defect.
    pub code: String,
    /// Path in the tree of the group.
    pub file: String,
    /// RFC 6901 pointer inside the file; empty for the whole file.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// One place that the version and the group both changed since the version that they share.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Conflict {
    /// The service.
    pub service: String,
    /// Path in the tree of the group.
    pub file: String,
    /// RFC 6901 pointer inside the file.
    pub pointer: String,
    /// The value that both started from.
    pub base: Value,
    /// The value in the group.
    pub ours: Value,
    /// The value in the version.
    pub theirs: Value,
}

impl Problem {
    /// Reads a refusal out of an answer; `None` when the answer is no problem document.
    #[must_use]
    pub fn from_answer(status: u16, body: Value) -> Option<Self> {
        let mut problem = Self::deserialize(&body).ok()?;
        if problem.code.is_empty() && problem.title.is_empty() {
            return None;
        }
        problem.status = status;
        problem.body = body;
        Some(problem)
    }

    /// A problem that stands inside another answer, such as one target of several.
    #[must_use]
    pub fn embedded(body: &Value) -> Self {
        let mut problem = Self::deserialize(body).unwrap_or_default();
        problem.body = body.clone();
        problem
    }

    /// The same with the time after which to try again.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: Option<u64>) -> Self {
        self.retry_after = seconds;
        self
    }

    /// Whether the refusal is about somebody else's change: looking again may help.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self.status, 409 | 412)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.title.as_str(), self.detail.as_str()) {
            ("", "") => out.write_str(&self.code),
            (title, "") => out.write_str(title),
            ("", detail) => out.write_str(detail),
            (title, detail) if detail.starts_with(title) => out.write_str(detail),
            (title, detail) => write!(out, "{title}: {detail}"),
        }
    }
}

impl Finding {
    /// The lines that people are told, with line and column where the text of the file is given.
    #[must_use]
    pub fn lines(&self, text: Option<&[u8]>) -> Vec<String> {
        // A server of another version may find what this client has no word for.
        let known = Code::ALL.iter().find(|code| code.as_str() == self.code);
        let Some(code) = known else { return vec![format!("{}: {self}", self.severity)] };
        let finding = Diagnostic {
            file: self.file.clone(),
            pointer: self.pointer.clone(),
            code: *code,
            severity: if self.severity == "warning" { Severity::Warning } else { Severity::Error },
            message: self.message.clone(),
            hint: self.hint.clone(),
            involved: Box::default(),
        };
        report::lines(&finding, text)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.file)?;
        if !self.pointer.is_empty() {
            write!(out, " {}", self.pointer)?;
        }
        write!(out, ": {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(out, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.file)?;
        if !self.pointer.is_empty() {
            write!(out, " {}", self.pointer)?;
        }
        let show = |value: &Value| match value {
            Value::Null => "(absent)".to_owned(),
            value => value.to_string(),
        };
        let (base, ours, theirs) = (show(&self.base), show(&self.ours), show(&self.theirs));
        write!(out, ": was {base}, the group has {ours}, the version has {theirs}")
    }
}
