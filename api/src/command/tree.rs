//! Files laid out like the repository tree of a group, and services written whole in one document.
//!
//! `services/<s>/service.json`, `services/<s>/routes/<r>.json`, `runtime/<s>.json`, … Both forms
//! end as a map from path to document, which is what the API takes. YAML files take the place of
//! the JSON file of the same name.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use refgate_core::name::ServiceName;
use refgate_core::object::ObjectKind;
use serde_json::{Map, Value, json};

use super::input::{self, Format, InputError, Source};

/// Documents by their path in the tree of the group.
pub type Files = BTreeMap<String, Value>;

/// What a service has from the server and nobody writes: an answer can be edited and sent back.
const DERIVED: [&str; 9] = [
    "group",
    "version",
    "based_on",
    "modified",
    "live",
    "live_reason",
    "commit",
    "updated_at",
    "updated_by",
];

/// A service written whole in one document.
#[derive(Debug, Clone, PartialEq)]
pub struct WholeService {
    /// Its name, when the document says it.
    pub name: Option<ServiceName>,
    /// `{type, description, labels, plugins, routes, runtime}`.
    pub document: Value,
}

impl WholeService {
    /// Reads the document of a service, or an answer of the API about one.
    ///
    /// # Errors
    /// When it is not an object, or its `name` is no name.
    pub fn read(source: &Source, document: Value) -> Result<Self, InputError> {
        let Value::Object(mut document) = document else {
            return Err(input::unfit(source, "a service is an object"));
        };
        let name = match document.shift_remove("name") {
            None => None,
            Some(Value::String(name)) => {
                let parsed = name.parse::<ServiceName>();
                Some(parsed.map_err(|error| input::unfit(source, &error.to_string()))?)
            }
            Some(_) => return Err(input::unfit(source, "/name is a text")),
        };
        for key in DERIVED {
            document.shift_remove(key);
        }
        Ok(Self { name, document: Value::Object(document) })
    }

    /// The name: the one in the document, or else the file's.
    ///
    /// # Errors
    /// When neither gives one.
    pub fn name_or_stem(&self, source: &Source) -> Result<ServiceName, InputError> {
        if let Some(name) = &self.name {
            return Ok(name.clone());
        }
        let stem = match source {
            Source::Path(path) => path.file_stem().and_then(|stem| stem.to_str()),
            Source::Stdin => None,
        };
        stem.and_then(|stem| stem.parse().ok()).ok_or_else(|| {
            input::unfit(source, "which service is this? Give the document a \"name\"")
        })
    }

    /// The service as the files of the tree.
    #[must_use]
    pub fn files(&self, name: &ServiceName) -> Files {
        let mut service = self.document.as_object().cloned().unwrap_or_default();
        let mut files = Files::new();
        if let Some(routes) = service.shift_remove("routes") {
            match routes {
                Value::Object(routes) => {
                    for (route, document) in routes {
                        files.insert(format!("services/{name}/routes/{route}.json"), document);
                    }
                }
                // Left where it is: the server says what `routes` is.
                other => {
                    service.insert("routes".to_owned(), other);
                }
            }
        }
        if let Some(runtime) = service.shift_remove("runtime") {
            files.insert(format!("runtime/{name}.json"), runtime);
        }
        files.insert(format!("services/{name}/service.json"), Value::Object(service));
        files
    }
}

/// Reads a directory that is laid out like the tree of a group.
///
/// `raw` leaves JSON files as the text that they are, for a server that is to judge the text as
/// well.
///
/// # Errors
/// When a file cannot be read or understood, or has no place in a tree.
pub fn directory(root: &Path, raw: bool) -> Result<Files, InputError> {
    let mut files = Files::new();
    walk(root, "", raw, &mut files)?;
    if files.is_empty() {
        let source = Source::Path(root.to_owned());
        return Err(input::unfit(&source, "there is no document in this directory"));
    }
    Ok(files)
}

fn walk(directory: &Path, prefix: &str, raw: bool, files: &mut Files) -> Result<(), InputError> {
    let unreadable = |path: &Path| {
        let name = path.display().to_string();
        move |source| InputError::Read { name, source }
    };
    let mut entries: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable(directory))? {
        entries.push(entry.map_err(unreadable(directory))?.path());
    }
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // What belongs to git, editors and people, and the README and schemas of the template.
        if name.starts_with('.') || (prefix.is_empty() && (name == "README.md" || name == "schema"))
        {
            continue;
        }
        let source = Source::Path(path.clone());
        let kind = fs::symlink_metadata(&path).map_err(unreadable(&path))?.file_type();
        let inside = format!("{prefix}{name}");
        if kind.is_dir() {
            walk(&path, &format!("{inside}/"), raw, files)?;
            continue;
        }
        if !kind.is_file() {
            return Err(input::unfit(&source, "only files and directories, no links"));
        }
        if Format::of_path(&path).is_none() {
            return Err(input::unfit(&source, "a document ends in .json, .yaml or .yml"));
        }
        let document = file(&source, raw)?;
        let stem = inside.rsplit_once('.').map_or(inside.as_str(), |(stem, _)| stem);
        if files.insert(format!("{stem}.json"), document).is_some() {
            return Err(input::unfit(&source, "the same document stands beside it as .json"));
        }
    }
    Ok(())
}

/// What stands before the paths of a tree's files when they are shown to people: nothing for the
/// directory that people are in.
#[must_use]
pub fn shown_folder(root: &Path) -> String {
    let root = root.strip_prefix(".").unwrap_or(root).display().to_string();
    match root.strip_suffix('/').unwrap_or(&root) {
        "" => root,
        folder => format!("{folder}/"),
    }
}

/// Whether any document of a directory that is laid out like a tree is written in YAML.
///
/// # Errors
/// When a directory cannot be read.
pub fn has_yaml(root: &Path) -> Result<bool, InputError> {
    let kinds = ObjectKind::ALL.map(ObjectKind::folder);
    let known = ["services", "runtime"].into_iter().chain(kinds).map(|folder| root.join(folder));
    let mut folders: Vec<PathBuf> = known.filter(|folder| folder.is_dir()).collect();
    folders.push(root.to_owned());
    while let Some(folder) = folders.pop() {
        let unreadable = |source| InputError::Read { name: folder.display().to_string(), source };
        for entry in fs::read_dir(&folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let kind = entry.file_type().map_err(unreadable)?;
            if kind.is_dir() && folder != root {
                folders.push(entry.path());
            } else if kind.is_file() && Format::of_path(&entry.path()) == Some(Format::Yaml) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// One file of a tree; `raw` as for [`directory`].
///
/// # Errors
/// When it cannot be read or understood.
pub fn file(source: &Source, raw: bool) -> Result<Value, InputError> {
    match source {
        Source::Path(path) if raw && Format::of_path(path) == Some(Format::Json) => {
            let name = source.to_string();
            let bytes = fs::read(path).map_err(|error| InputError::Read { name, source: error })?;
            let text = String::from_utf8(bytes);
            Ok(Value::String(text.map_err(|_| InputError::NotText(source.to_string()))?))
        }
        _ => input::document(source),
    }
}

/// The path inside the tree that a lone file has by its own path, such as
/// `config/services/a/routes/b.json`; `None` when it does not look like a file of a tree.
#[must_use]
pub fn place(path: &Path) -> Option<String> {
    let stem = path.with_extension("");
    let parts: Vec<&str> = stem.iter().map(|part| part.to_str().unwrap_or_default()).collect();
    let inside = match parts.as_slice() {
        [.., "services", service, "service"] => format!("services/{service}/service"),
        [.., "services", service, "routes", route] => format!("services/{service}/routes/{route}"),
        [.., "runtime", service] => format!("runtime/{service}"),
        [.., folder, name] if ObjectKind::of_folder(folder).is_some() => format!("{folder}/{name}"),
        [.., "group"] => "group".to_owned(),
        _ => return None,
    };
    Some(format!("{inside}.json"))
}

/// The directory around a JSON file that lies in a group's tree, and the file's path in the tree.
#[must_use]
pub fn around(path: &Path) -> Option<(PathBuf, String)> {
    let whole = std::path::absolute(path).ok()?;
    let place = place(&whole).filter(|place| whole.ends_with(place) && whole.is_file())?;
    let root = whole.ancestors().nth(place.split('/').count())?;
    let is_tree = root.join("group.json").is_file() || root.join(".git").exists();
    is_tree.then(|| (root.to_owned(), place))
}

/// Names of the services whose content is among `files`.
#[must_use]
pub fn services_of(files: &Files) -> Vec<ServiceName> {
    let mut names: Vec<ServiceName> = files
        .keys()
        .filter_map(|path| path.strip_prefix("services/")?.split('/').next()?.parse().ok())
        .collect();
    names.dedup();
    names
}

/// Adds a removal for every route that a service has in the group and `files` do not have.
pub fn remove_missing_routes(files: &mut Files, service: &ServiceName, current: &Value) {
    let Some(Value::Object(routes)) = current.get("routes") else { return };
    for route in routes.keys() {
        files.entry(format!("services/{service}/routes/{route}.json")).or_insert(Value::Null);
    }
}

/// The body of a request that carries files.
#[must_use]
pub fn body(files: Files) -> Value {
    let files: Map<String, Value> = files.into_iter().collect();
    json!({ "files": files })
}

#[cfg(test)]
mod tests;
