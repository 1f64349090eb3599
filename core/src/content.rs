//! Which document belongs at which path of a group's tree, and what that means for its JSON.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::str::FromStr;

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

/// Why nothing has its place at a path.
enum Misplaced {
    /// Something would, were it not for the name in the entry at this path.
    Name(String, String),
    /// Nothing would, whatever its name.
    Nowhere,
}

impl Place {
    /// What belongs at `path`; nothing where nothing does.
    pub(crate) fn of(path: &str) -> Option<Self> {
        Self::find(path).ok()
    }

    fn find(path: &str) -> Result<Self, Misplaced> {
        let parts: Vec<&str> = path.split('/').collect();
        match parts[..] {
            ["group.json"] => Ok(Self::Group),
            ["README.md" | ".editorconfig"] => Ok(Self::Ignored),
            ["schema", file] => named::<SchemaName>(path, stem(file)?).map(|_| Self::Ignored),
            ["services", service, "service.json"] => {
                named(&format!("services/{service}"), service).map(Self::Service)
            }
            ["services", service, "routes", file] => {
                let name = stem(file)?;
                let service = named(&format!("services/{service}"), service)?;
                Ok(Self::Route(service, named(path, name)?))
            }
            ["runtime", file] => named(path, stem(file)?).map(Self::Runtime),
            [folder, file] => {
                let kind = ObjectKind::of_folder(folder).ok_or(Misplaced::Nowhere)?;
                let named = kind.named(stem(file)?);
                named.map(Self::Object).map_err(|error| misnamed(path, &error))
            }
            _ => Err(Misplaced::Nowhere),
        }
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

/// The name in `<name>.json`.
fn stem(file: &str) -> Result<&str, Misplaced> {
    file.strip_suffix(".json").ok_or(Misplaced::Nowhere)
}

/// The name that the entry at `path` has.
fn named<N: FromStr<Err: Display>>(path: &str, name: &str) -> Result<N, Misplaced> {
    name.parse().map_err(|error| misnamed(path, &error))
}

fn misnamed(path: &str, error: &dyn Display) -> Misplaced {
    Misplaced::Name(path.to_owned(), error.to_string())
}

/// What a file in `schema/` is called, before `.json`: anything that is plain.
pub(crate) struct SchemaName;

impl FromStr for SchemaName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        (!text.is_empty() && text.bytes().all(plain))
            .then_some(Self)
            .ok_or_else(|| format!("{text:?} is not a name for a schema"))
    }
}

/// The finding about a path that the tree has no room for: what a commit of it would be told.
pub(crate) fn misplaced(path: &str) -> Diagnostic {
    let shown = |path: &str| path.chars().take(200).collect::<String>();
    match Place::find(path) {
        Err(Misplaced::Name(path, message)) => {
            Diagnostic::error(shown(&path), "", Code::BadName, shown(&message))
        }
        _ => Diagnostic::error(shown(path), "", Code::UnexpectedFile, "nothing has its place here")
            .with_hint(WHAT_HAS_PLACES),
    }
}

/// What a tree of a group has room for, as a hint.
pub(crate) const WHAT_HAS_PLACES: &str = "the tree holds group.json, \
    services/<service>/service.json, services/<service>/routes/<route>.json, \
    runtime/<service>.json, consumers/<consumer>.json, certificates/<name>.json and \
    global-rules/<name>.json";

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

/// The warnings that rest on a file which is not the same in two trees: those of a change that leads
/// from one to the other.
pub(crate) fn warnings_of_change<'f>(
    objects: &Objects<'_>,
    before: Option<Oid>,
    after: Oid,
    findings: &'f [Diagnostic],
) -> Result<Vec<&'f Diagnostic>, StoreError> {
    let mut known: HashMap<&str, bool> = HashMap::new();
    let mut warnings = Vec::new();
    for finding in findings.iter().filter(|finding| !finding.is_error()) {
        for file in finding.files() {
            let changed = match known.get(file) {
                Some(changed) => *changed,
                None => {
                    let old = before.map(|tree| objects.find(tree, file)).transpose()?.flatten();
                    let changed = old != objects.find(after, file)?;
                    known.insert(file, changed);
                    changed
                }
            };
            if changed {
                warnings.push(finding);
                break;
            }
        }
    }
    Ok(warnings)
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
            let finding = misplaced(path);
            // Every file of a folder tells of the name of the folder.
            if !findings.contains(&finding) {
                findings.push(finding);
            }
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
