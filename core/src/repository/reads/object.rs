//! Group-owned objects: consumers, certificates, global rules.

use std::collections::BTreeMap;

use serde_json::Value;

use super::last_change;
use crate::change;
use crate::content::{document_at, read_json};
use crate::error::Error;
use crate::name::GroupName;
use crate::object::{ObjectKind, ObjectName};
use crate::repository::Repository;
use crate::store::objects::EntryKind;
use crate::view::Object;

impl Repository {
    /// The group-owned objects of a kind, by name.
    ///
    /// # Errors
    /// When there is no such group, or the repository cannot be read.
    pub fn objects(
        &self,
        group: &GroupName,
        kind: ObjectKind,
    ) -> Result<BTreeMap<String, Value>, Error> {
        self.shared.read_group(group, |desk, head| {
            let folder = desk.objects.find(head.tree, kind.folder())?;
            let Some(folder) = folder.filter(|entry| entry.kind == EntryKind::Folder) else {
                return Ok(BTreeMap::new());
            };
            let mut found = BTreeMap::new();
            for entry in desk.objects.tree(folder.id)? {
                let name = entry.name.strip_suffix(".json").map(|stem| kind.named(stem));
                if let (Some(Ok(name)), EntryKind::File) = (name, entry.kind) {
                    let json = read_json(&desk.objects, entry.id)?;
                    found.insert(name.as_str().to_owned(), kind.expand(&json));
                }
            }
            Ok(found)
        })
    }

    /// A group-owned object.
    ///
    /// # Errors
    /// When there is none, or the repository cannot be read.
    pub fn object(&self, group: &GroupName, object: &ObjectName) -> Result<Object, Error> {
        self.shared.read_group(group, |desk, head| {
            let path = object.path();
            let (id, json) = document_at(&desk.objects, head.tree, &path)?
                .ok_or_else(|| change::no_object(group, object))?;
            let last = last_change(desk, group, &path)?;
            Ok(Object { value: object.kind().expand(&json), last, etag: id.to_string() })
        })
    }
}
