//! What a new configuration repository starts with: `repo-template/`, built into the program.

use serde_json::Value;

use crate::name::GroupName;
use crate::store::StoreError;
use crate::store::objects::{Edits, EntryKind, Objects};

macro_rules! files {
    ($($path:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("../../repo-template/", $path)))),+]
    };
}

/// The files of every new group beside its `group.json`, by their paths in the tree.
pub const FILES: &[(&str, &str)] = files![
    ".editorconfig",
    "README.md",
    "schema/certificate.json",
    "schema/consumer.json",
    "schema/global-rule.json",
    "schema/group.json",
    "schema/route.json",
    "schema/runtime.json",
    "schema/service.json",
];

/// The groups of a new repository with their `group.json`.
const GROUPS: [(&str, &str); 3] = [
    ("test", include_str!("../../repo-template/groups/test.json")),
    ("uat", include_str!("../../repo-template/groups/uat.json")),
    ("production", include_str!("../../repo-template/groups/production.json")),
];

/// The groups that a new repository starts with, each with its `group.json`.
#[must_use]
pub fn groups() -> Vec<(GroupName, Value)> {
    GROUPS
        .iter()
        .map(|(name, document)| {
            let name = name.parse().expect("the template names its groups well");
            let document = serde_json::from_str(document).expect("the template holds JSON");
            (name, document)
        })
        .collect()
}

/// Edits that put the files of a new group in place, all but `group.json`.
pub(crate) fn files(objects: &Objects<'_>) -> Result<Edits, StoreError> {
    FILES
        .iter()
        .map(|(path, text)| {
            let blob = objects.make_blob(text.as_bytes())?;
            Ok(((*path).to_owned(), Some((EntryKind::File, blob))))
        })
        .collect()
}
