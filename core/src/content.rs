//! Which document belongs at which path of a group's tree, and what that means for its JSON.

use std::collections::BTreeMap;

use git2::Oid;
use serde_json::Value;

use crate::diagnostic::{Code, Diagnostic};
use crate::document::{Group, Route, Runtime, Service, Shape};
use crate::json;
use crate::name::{RouteName, ServiceName};
use crate::object::{ObjectKind, ObjectName};
use crate::store::StoreError;
use crate::store::objects::{EntryKind, Objects};

/// A path that a group's tree has room for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Group,
    Service(ServiceName),
    Route(ServiceName, RouteName),
    Runtime(ServiceName),
    Object(ObjectName),
    /// A file that gateways do not read.
    Ignored,
}

impl Place {
    /// What belongs at `path`; nothing where nothing does.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let stem = |name: &str| name.strip_suffix(".json").map(str::to_owned);
        let parts: Vec<&str> = path.split('/').collect();
        Some(match parts[..] {
            ["group.json"] => Self::Group,
            ["README.md" | ".editorconfig"] => Self::Ignored,
            ["schema", name] => {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
                let stem = stem(name).filter(|stem| !stem.is_empty() && stem.bytes().all(plain));
                return stem.map(|_| Self::Ignored);
            }
            ["services", service, "service.json"] => Self::Service(service.parse().ok()?),
            ["services", service, "routes", route] => {
                Self::Route(service.parse().ok()?, stem(route)?.parse().ok()?)
            }
            ["runtime", service] => Self::Runtime(stem(service)?.parse().ok()?),
            [folder, name] => {
                Self::Object(ObjectKind::of_folder(folder)?.named(&stem(name)?).ok()?)
            }
            _ => return None,
        })
    }

    /// The document's JSON as files hold it.
    pub(crate) fn canonical(&self, json: &Value) -> Value {
        match self {
            Self::Group => Group::canonical(json),
            Self::Service(_) => Service::canonical(json),
            Self::Route(..) => Route::canonical(json),
            Self::Runtime(_) => Runtime::canonical(json),
            Self::Object(name) => name.kind().canonical(json),
            Self::Ignored => json.clone(),
        }
    }

    /// The document's JSON with every default filled in.
    pub(crate) fn expand(&self, json: &Value) -> Value {
        match self {
            Self::Group => Group::expand(json),
            Self::Service(_) => Service::expand(json),
            Self::Route(..) => Route::expand(json),
            Self::Runtime(_) => Runtime::expand(json),
            Self::Object(name) => name.kind().expand(json),
            Self::Ignored => json.clone(),
        }
    }

    /// The document's bytes in canonical form.
    pub(crate) fn bytes(&self, json: &Value) -> Vec<u8> {
        json::to_text(&self.canonical(json)).into_bytes()
    }

    /// The service that the place is about.
    pub(crate) fn service(&self) -> Option<&ServiceName> {
        match self {
            Self::Service(service) | Self::Route(service, _) | Self::Runtime(service) => {
                Some(service)
            }
            Self::Group | Self::Object(_) | Self::Ignored => None,
        }
    }
}

/// The finding about a path that the tree has no room for.
pub(crate) fn unexpected_path(path: &str) -> Diagnostic {
    let shown: String = path.chars().take(200).collect();
    Diagnostic::error(shown, "", Code::UnexpectedFile, "nothing has its place here").with_hint(
        "the tree holds group.json, services/<service>/service.json, \
         services/<service>/routes/<route>.json, runtime/<service>.json, \
         consumers/<consumer>.json, certificates/<name>.json and global-rules/<name>.json, with \
         lower-case names",
    )
}

/// The JSON of a stored document; text that is no JSON becomes a string, so that a difference can
/// still be shown.
pub(crate) fn read_json(objects: &Objects<'_>, id: Oid) -> Result<Value, StoreError> {
    let bytes = objects.blob(id)?;
    Ok(match json::parse(&bytes) {
        Ok(parsed) => parsed.value,
        Err(_) => Value::String(String::from_utf8_lossy(&bytes).into_owned()),
    })
}

/// The JSON of the document at a path of a tree.
pub(crate) fn document_at(
    objects: &Objects<'_>,
    tree: Oid,
    path: &str,
) -> Result<Option<(Oid, Value)>, StoreError> {
    match objects.find(tree, path)? {
        Some(entry) if entry.kind == EntryKind::File => {
            Ok(Some((entry.id, read_json(objects, entry.id)?)))
        }
        _ => Ok(None),
    }
}

/// Every file below a tree, by path.
pub(crate) fn files_below(
    objects: &Objects<'_>,
    tree: Oid,
    prefix: &str,
) -> Result<BTreeMap<String, Oid>, StoreError> {
    let mut files = BTreeMap::new();
    let mut folders = vec![(prefix.to_owned(), tree)];
    while let Some((prefix, folder)) = folders.pop() {
        for entry in objects.tree(folder)? {
            let path =
                if prefix.is_empty() { entry.name } else { format!("{prefix}/{}", entry.name) };
            if entry.kind == EntryKind::Folder {
                folders.push((path, entry.id));
            } else {
                files.insert(path, entry.id);
            }
        }
    }
    Ok(files)
}

/// Lays documents given as JSON over a tree.
///
/// A `null` takes the file away; with `raw_text` a string is the file's text as it is. Paths without
/// a place are findings.
pub(crate) fn lay_over(
    objects: &Objects<'_>,
    tree: Option<Oid>,
    files: &BTreeMap<String, Value>,
    raw_text: bool,
    findings: &mut Vec<Diagnostic>,
) -> Result<Oid, StoreError> {
    let mut edits = crate::store::objects::Edits::new();
    for (path, json) in files {
        let Some(place) = Place::of(path) else {
            findings.push(unexpected_path(path));
            continue;
        };
        let edit = match json {
            Value::Null => None,
            // Defects of the text are found when the tree is loaded.
            Value::String(text) if raw_text || place == Place::Ignored => {
                Some(text.clone().into_bytes())
            }
            json => Some(place.bytes(json)),
        };
        let made = edit.map(|bytes| objects.make_blob(&bytes)).transpose()?;
        edits.insert(path.clone(), made.map(|id| (EntryKind::File, id)));
    }
    objects.edit(tree, &edits)
}
