//! A group's tree as files in a directory: a clone, or what is to become part of one.
//!
//! Judged by the same code as a push of it, without any control plane: the files are made into git
//! objects that exist in memory only, and loaded like those of a branch. What is written in canonical
//! form is the business of [`mod@format`].

pub mod format;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use git2::{ObjectType, Oid, RepositoryOpenFlags};
use serde_json::{Value, json};

use crate::config;
use crate::content::{Place, lay_over};
use crate::diagnostic::{Code, Diagnostic};
use crate::json::MAX_FILE_BYTES;
use crate::name::{CommitId, GroupName};
use crate::object::ObjectKind;
use crate::store::StoreError;
use crate::store::objects::{Edits, EntryKind, Objects};

/// Why a directory could not be judged.
#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    /// Something in it cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// What.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// There is no place to work in.
    #[error("cannot make a temporary directory")]
    NoPlace(#[source] io::Error),
    /// The objects cannot be made.
    #[error("the files cannot be checked: {0}")]
    Objects(#[from] StoreError),
}

impl From<git2::Error> for CheckoutError {
    fn from(error: git2::Error) -> Self {
        Self::Objects(error.into())
    }
}

/// The files of a directory, as git would take them.
#[derive(Debug)]
pub struct Checkout {
    entries: BTreeMap<String, Found>,
    is_clone: bool,
    group: Option<GroupName>,
}

/// Something in the directory that git would take.
#[derive(Debug)]
enum Found {
    /// A file; of one that no document can be in, only that it is there.
    File(Vec<u8>),
    /// A file that is too large to be read, with its bytes.
    TooLarge(u64),
    /// A thing that has no place in a group's tree.
    Other(EntryKind),
}

impl Checkout {
    /// Reads a directory.
    ///
    /// Of a clone, what git ignores is left out, and the branch is the group. Folders that hold no
    /// file are nothing to git and nothing here.
    ///
    /// # Errors
    /// When something cannot be read.
    pub fn read(directory: &Path) -> Result<Self, CheckoutError> {
        let git = git2::Repository::open_ext(
            directory,
            RepositoryOpenFlags::NO_SEARCH,
            std::iter::empty::<&OsStr>(),
        );
        let git = git.ok().filter(|git| !git.is_bare());
        let group = git.as_ref().and_then(|git| {
            let head = git.find_reference("HEAD").ok()?;
            head.symbolic_target().ok()??.strip_prefix("refs/heads/")?.parse().ok()
        });
        let is_clone = directory.join(".git").exists();
        let mut walk = Walk { git, entries: BTreeMap::new() };
        walk.folder(directory, "")?;
        Ok(Self { entries: walk.entries, is_clone, group })
    }

    /// Whether there is nothing in it that git would take.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the directory is a clone.
    #[must_use]
    pub fn is_clone(&self) -> bool {
        self.is_clone
    }

    /// The paths of the files that hold documents, sorted.
    pub fn documents(&self) -> impl Iterator<Item = &str> {
        self.entries
            .iter()
            .filter(|(path, found)| holds_document(path, found))
            .map(|(path, _)| path.as_str())
    }

    /// The bytes of a document, by its path in the tree; nothing when it is not there or too large.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<&[u8]> {
        match self.entries.get(path)? {
            Found::File(bytes) => Some(bytes),
            Found::TooLarge(_) | Found::Other(_) => None,
        }
    }

    /// Everything that a push of the files would be told of them, sorted.
    ///
    /// `group` is the group to be; without one it is the branch of the clone. A directory that is no
    /// clone may be a part of a tree: a `group.json` that it lacks is a warning.
    ///
    /// # Errors
    /// When the objects cannot be made.
    pub fn validate(&self, group: Option<&GroupName>) -> Result<Vec<Diagnostic>, CheckoutError> {
        in_memory(|objects| {
            let mut edits = Edits::new();
            for (path, found) in &self.entries {
                let put = match found {
                    Found::File(bytes) => (EntryKind::File, objects.make_blob(bytes)?),
                    // Its size is what is told of it, and it is told below.
                    Found::TooLarge(_) => {
                        (EntryKind::File, objects.make_blob(&vec![b' '; MAX_FILE_BYTES + 1])?)
                    }
                    Found::Other(kind @ EntryKind::Folder) => {
                        (*kind, objects.make(ObjectType::Tree, Vec::new())?)
                    }
                    Found::Other(kind) => (*kind, objects.make_blob(b"")?),
                };
                edits.insert(path.clone(), Some(put));
            }
            let lacks_group = !self.is_clone && !self.entries.contains_key(GROUP_FILE);
            if lacks_group {
                let empty = objects.make_blob(b"{}\n")?;
                edits.insert(GROUP_FILE.to_owned(), Some((EntryKind::File, empty)));
            }
            let tree = objects.edit(None, &edits)?;
            let mut findings = load(objects, group.or(self.group.as_ref()), tree)?;
            if lacks_group {
                let message = "the file is missing: checked as a group without variables and rules";
                findings
                    .push(Diagnostic::error(GROUP_FILE, "", Code::MissingFile, message).warning());
            }
            for finding in &mut findings {
                if let Some(Found::TooLarge(size)) = self.entries.get(&finding.file)
                    && finding.code == Code::TooLarge
                {
                    finding.message = format!("the file has {size} bytes; 1 MiB is the limit");
                }
            }
            Ok(findings)
        })
    }
}

/// What a commit of documents would find in a group that has nothing else: by path, as JSON, or as
/// the text of the file.
///
/// Without `group.json` among them it is an empty one.
///
/// # Errors
/// When the objects cannot be made.
pub fn validate_documents(
    files: &BTreeMap<String, Value>,
) -> Result<Vec<Diagnostic>, CheckoutError> {
    in_memory(|objects| {
        let mut findings = Vec::new();
        let seed = BTreeMap::from([(GROUP_FILE.to_owned(), json!({}))]);
        let tree = lay_over(objects, None, &seed, false, &mut findings)?;
        let tree = lay_over(objects, Some(tree), files, true, &mut findings)?;
        findings.extend(load(objects, None, tree)?);
        Ok(findings)
    })
}

const GROUP_FILE: &str = "group.json";

/// Works with objects of a repository that is empty, and gone afterwards.
fn in_memory(
    work: impl FnOnce(&Objects<'_>) -> Result<Vec<Diagnostic>, StoreError>,
) -> Result<Vec<Diagnostic>, CheckoutError> {
    let folder = tempfile::tempdir().map_err(CheckoutError::NoPlace)?;
    let mut options = git2::RepositoryInitOptions::new();
    options.bare(true).external_template(false);
    let git = git2::Repository::init_opts(folder.path(), &options)?;
    let mut findings = work(&Objects::new(&git)?)?;
    findings.sort();
    findings.dedup();
    Ok(findings)
}

/// What is found in a tree that no commit has.
fn load(
    objects: &Objects<'_>,
    group: Option<&GroupName>,
    tree: Oid,
) -> Result<Vec<Diagnostic>, StoreError> {
    let nobody = "validate".parse().expect("a well-formed name");
    let commit = CommitId(Oid::ZERO_SHA1);
    let loaded = config::load(objects, group.unwrap_or(&nobody), commit, tree, None)?;
    Ok(loaded.diagnostics)
}

fn holds_document(path: &str, found: &Found) -> bool {
    matches!(found, Found::File(_) | Found::TooLarge(_))
        && Place::of(path).is_some_and(|place| place != Place::Ignored)
}

/// Whether a folder has places for documents below it; what is in others is not looked at.
fn has_places(path: &str) -> bool {
    match path.split('/').collect::<Vec<_>>()[..] {
        ["services" | "runtime" | "schema"] | ["services", _] | ["services", _, "routes"] => true,
        [folder] => ObjectKind::of_folder(folder).is_some(),
        _ => false,
    }
}

struct Walk {
    git: Option<git2::Repository>,
    entries: BTreeMap<String, Found>,
}

impl Walk {
    fn folder(&mut self, folder: &Path, prefix: &str) -> Result<(), CheckoutError> {
        for entry in fs::read_dir(folder).map_err(unreadable(folder))? {
            let entry = entry.map_err(unreadable(folder))?;
            let place = entry.path();
            if prefix.is_empty() && entry.file_name() == ".git" {
                continue;
            }
            // A name that is not UTF-8 is told with replacement characters, which no document has.
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type().map_err(unreadable(&place))?;
            let is_repository = kind.is_dir() && place.join(".git").exists();
            if kind.is_dir() && !is_repository && has_places(&path) {
                self.folder(&place, &format!("{path}/"))?;
                continue;
            }
            let has_place = kind.is_file() && Place::of(&path).is_some();
            if !has_place && self.is_ignored(&path) {
                continue;
            }
            let found = if kind.is_symlink() {
                Found::Other(EntryKind::Link)
            } else if is_repository {
                Found::Other(EntryKind::Submodule)
            } else if kind.is_file() {
                file(&place, &path)?
            } else if kind.is_dir() && holds_files(&place)? {
                Found::Other(EntryKind::Folder)
            } else {
                // Empty folders, pipes and sockets are nothing to git.
                continue;
            };
            self.entries.insert(path, found);
        }
        Ok(())
    }

    /// Whether git leaves a path out: an exclude names it, and no commit has it.
    fn is_ignored(&self, path: &str) -> bool {
        let Some(git) = &self.git else { return false };
        let path = Path::new(path);
        let is_tracked = git.index().is_ok_and(|index| index.get_path(path, 0).is_some());
        !is_tracked && git.is_path_ignored(path).unwrap_or(false)
    }
}

/// Reads a file as far as it can be a document.
fn file(place: &Path, path: &str) -> Result<Found, CheckoutError> {
    let metadata = fs::symlink_metadata(place).map_err(unreadable(place))?;
    if metadata.permissions().mode() & 0o100 != 0 {
        return Ok(Found::Other(EntryKind::Executable));
    }
    if Place::of(path).is_none_or(|place| place == Place::Ignored) {
        return Ok(Found::File(Vec::new()));
    }
    let mut bytes = Vec::new();
    let most = u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX);
    let reading = File::open(place).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    reading.map_err(unreadable(place))?;
    let is_whole = bytes.len() <= MAX_FILE_BYTES;
    Ok(if is_whole { Found::File(bytes) } else { Found::TooLarge(metadata.len()) })
}

/// Whether there is any file in a folder or below it; stops at the first.
fn holds_files(folder: &Path) -> Result<bool, CheckoutError> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(unreadable(&folder))? {
            let entry = entry.map_err(unreadable(&folder))?;
            if entry.file_type().map_err(unreadable(&entry.path()))?.is_dir() {
                folders.push(entry.path());
            } else {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> CheckoutError + use<> {
    let path = path.to_owned();
    move |source| CheckoutError::Read { path, source }
}

#[cfg(test)]
mod tests;
