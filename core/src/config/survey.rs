//! Which entries of a tree have a place in a group, and what is said about those that have none.

use std::fmt::Display;
use std::str::FromStr;

use crate::content::WHAT_HAS_PLACES;
use crate::diagnostic::{Code, Diagnostic};
use crate::store::objects::{Entry, EntryKind};

/// The name in `<name>.json`, of a regular file.
pub(super) fn document_name<N: FromStr<Err: Display>>(
    folder: &str,
    entry: &Entry,
    findings: &mut Vec<Diagnostic>,
) -> Option<N> {
    let path = format!("{folder}/{}", entry.name);
    let stem = entry.name.strip_suffix(".json");
    let Some(stem) = stem.filter(|_| entry.kind == EntryKind::File) else {
        unexpected(&path, entry, findings);
        return None;
    };
    match stem.parse() {
        Ok(name) => Some(name),
        Err(error) => {
            bad_name(&path, &error, findings);
            None
        }
    }
}

/// Reports a name that nothing can have.
pub(super) fn bad_name(path: &str, error: &dyn Display, findings: &mut Vec<Diagnostic>) {
    findings.push(Diagnostic::error(path, "", Code::BadName, error.to_string()));
}

/// Reports an entry that has no place where it is.
pub(super) fn unexpected(path: &str, entry: &Entry, findings: &mut Vec<Diagnostic>) {
    let message = match entry.kind {
        EntryKind::Link => "symbolic links are not allowed",
        EntryKind::Submodule => "submodules are not allowed",
        EntryKind::Executable => "the file is executable",
        EntryKind::File | EntryKind::Folder => "nothing has its place here",
    };
    let finding = Diagnostic::error(path, "", Code::UnexpectedFile, message);
    findings.push(finding.with_hint(WHAT_HAS_PLACES));
}
