//! git objects of one repository: read from disk, made in memory, written only when a change is.
//!
//! A plan makes blobs and trees here and reads them back as if they were stored, so that a change is
//! validated as it would be afterwards while a dry run leaves nothing behind.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;

use git2::{ObjectType, Odb, Oid, Repository};

use super::{StoreError, loose};

/// The kind of a tree entry, by its mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// A regular file.
    File,
    /// An executable file.
    Executable,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A submodule.
    Submodule,
}

impl EntryKind {
    fn from_mode(mode: &[u8]) -> Option<Self> {
        Some(match mode {
            b"100644" | b"100664" => Self::File,
            b"100755" => Self::Executable,
            b"40000" | b"040000" => Self::Folder,
            b"120000" => Self::Link,
            b"160000" => Self::Submodule,
            _ => return None,
        })
    }

    fn mode(self) -> &'static str {
        match self {
            Self::File => "100644",
            Self::Executable => "100755",
            Self::Folder => "40000",
            Self::Link => "120000",
            Self::Submodule => "160000",
        }
    }
}

/// One entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its name; a name that is not UTF-8 has replacement characters, which no document has.
    pub(crate) name: String,
    /// What it is.
    pub(crate) kind: EntryKind,
    /// The id of its object.
    pub(crate) id: Oid,
}

/// The entries of a tree, in git's order.
pub(crate) type Tree = Vec<Entry>;

/// The objects of a repository with those of a plan laid over them.
pub(crate) struct Objects<'r> {
    odb: Odb<'r>,
    /// Where the repository keeps its objects.
    folder: PathBuf,
    pending: RefCell<Pending>,
}

#[derive(Default)]
struct Pending {
    objects: HashMap<Oid, (ObjectType, Vec<u8>)>,
    order: Vec<Oid>,
}

impl<'r> Objects<'r> {
    /// The objects of `repository`, with nothing laid over them.
    pub(crate) fn new(repository: &'r Repository) -> Result<Self, StoreError> {
        let folder = repository.path().join("objects");
        Ok(Self { odb: repository.odb()?, folder, pending: RefCell::default() })
    }

    /// The bytes of a blob.
    pub(crate) fn blob(&self, id: Oid) -> Result<Vec<u8>, StoreError> {
        self.bytes(id, ObjectType::Blob)
    }

    /// The size of a blob, found without reading it.
    pub(crate) fn blob_size(&self, id: Oid) -> Result<usize, StoreError> {
        if let Some((_, bytes)) = self.pending.borrow().objects.get(&id) {
            return Ok(bytes.len());
        }
        Ok(self.odb.read_header(id)?.0)
    }

    /// The entries of a tree; those of modes that git does not know are left out.
    pub(crate) fn tree(&self, id: Oid) -> Result<Tree, StoreError> {
        self.with_entries(id, |entries| {
            entries.map(|entry| entry.map(RawEntry::into_entry)).collect::<Result<_, _>>()
        })
    }

    /// The entry of a tree that has this name.
    fn entry(&self, tree: Oid, name: &str) -> Result<Option<Entry>, StoreError> {
        self.with_entries(tree, |mut entries| {
            let found = entries.find(|entry| match entry {
                Ok(entry) => entry.name == name.as_bytes(),
                Err(_) => true,
            });
            Ok(found.transpose()?.map(RawEntry::into_entry))
        })
    }

    fn with_entries<R>(
        &self,
        tree: Oid,
        read: impl FnOnce(RawEntries<'_>) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        if let Some((ObjectType::Tree, bytes)) = self.pending.borrow().objects.get(&tree) {
            return read(RawEntries { tree, rest: bytes });
        }
        let object = self.odb.read(tree)?;
        if object.kind() != ObjectType::Tree {
            return Err(StoreError::Damaged(format!("object {tree} is no tree")));
        }
        read(RawEntries { tree, rest: object.data() })
    }

    /// The entry at `path` below the tree `root`, if there is one.
    pub(crate) fn find(&self, root: Oid, path: &str) -> Result<Option<Entry>, StoreError> {
        let mut found: Option<Entry> = None;
        for name in path.split('/') {
            let tree = match &found {
                None => root,
                Some(entry) if entry.kind == EntryKind::Folder => entry.id,
                Some(_) => return Ok(None),
            };
            found = self.entry(tree, name)?;
            if found.is_none() {
                return Ok(None);
            }
        }
        Ok(found)
    }

    /// The bytes of the file at `path` below the tree `root`, if there is one.
    pub(crate) fn file(&self, root: Oid, path: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match self.find(root, path)? {
            Some(entry) if matches!(entry.kind, EntryKind::File | EntryKind::Executable) => {
                self.blob(entry.id).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Makes a blob.
    pub(crate) fn make_blob(&self, bytes: &[u8]) -> Result<Oid, StoreError> {
        self.make(ObjectType::Blob, bytes.to_vec())
    }

    /// Makes a tree; `entries` need not be in order.
    pub(crate) fn make_tree(&self, mut entries: Tree) -> Result<Oid, StoreError> {
        entries.sort_by(|a, b| sort_key(a).cmp(sort_key(b)));
        let mut bytes = Vec::with_capacity(entries.len() * 48);
        for entry in &entries {
            bytes.extend_from_slice(entry.kind.mode().as_bytes());
            bytes.push(b' ');
            bytes.extend_from_slice(entry.name.as_bytes());
            bytes.push(0);
            bytes.extend_from_slice(entry.id.as_bytes());
        }
        self.make(ObjectType::Tree, bytes)
    }

    /// Makes an object of any kind from its bytes.
    pub(crate) fn make(&self, kind: ObjectType, bytes: Vec<u8>) -> Result<Oid, StoreError> {
        let id = Oid::hash_object(kind, &bytes)?;
        let pending = &mut *self.pending.borrow_mut();
        if !pending.objects.contains_key(&id) && !self.odb.exists(id) {
            pending.objects.insert(id, (kind, bytes));
            pending.order.push(id);
        }
        Ok(id)
    }

    /// The tree `root` (nothing: an empty one) with some files or folders put in, replaced or taken
    /// out.
    ///
    /// Folders that become empty go. Paths are slash-separated and name no `.` or `..`.
    pub(crate) fn edit(&self, root: Option<Oid>, edits: &Edits) -> Result<Oid, StoreError> {
        let mut top = Node::default();
        for (path, edit) in edits {
            top.add(path, edit.as_ref());
        }
        match self.apply(root, &top)? {
            Some(id) => Ok(id),
            None => self.make_tree(Vec::new()),
        }
    }

    fn apply(&self, tree: Option<Oid>, node: &Node<'_>) -> Result<Option<Oid>, StoreError> {
        let mut entries = match tree {
            Some(id) => self.tree(id)?,
            None => Vec::new(),
        };
        for (name, child) in &node.children {
            let position = entries.iter().position(|entry| entry.name == *name);
            let made = match child {
                Child::Entry(put) => *put,
                Child::Folder(below) => {
                    let old = position
                        .map(|index| &entries[index])
                        .filter(|entry| entry.kind == EntryKind::Folder)
                        .map(|entry| entry.id);
                    self.apply(old, below)?.map(|id| (EntryKind::Folder, id))
                }
            };
            match (position, made) {
                (Some(index), Some((kind, id))) => {
                    entries[index].kind = kind;
                    entries[index].id = id;
                }
                (Some(index), None) => {
                    entries.remove(index);
                }
                (None, Some((kind, id))) => {
                    entries.push(Entry { name: (*name).to_owned(), kind, id });
                }
                (None, None) => {}
            }
        }
        if entries.is_empty() { Ok(None) } else { self.make_tree(entries).map(Some) }
    }

    /// Writes what was made since the last call into the repository and flushes it to the disk, at
    /// the cost of one barrier however much it is.
    pub(crate) fn store(&self) -> Result<(), StoreError> {
        let pending = &mut *self.pending.borrow_mut();
        let in_order = pending.order.iter().filter_map(|id| {
            let (kind, bytes) = pending.objects.get(id)?;
            Some((*id, *kind, bytes.as_slice()))
        });
        loose::write(&self.folder, in_order)?;
        *pending = Pending::default();
        Ok(())
    }

    fn bytes(&self, id: Oid, wanted: ObjectType) -> Result<Vec<u8>, StoreError> {
        if let Some((kind, bytes)) = self.pending.borrow().objects.get(&id)
            && *kind == wanted
        {
            return Ok(bytes.clone());
        }
        let object = self.odb.read(id)?;
        if object.kind() == wanted {
            Ok(object.data().to_vec())
        } else {
            Err(StoreError::Damaged(format!("object {id} is no {wanted}")))
        }
    }
}

/// What to put at a path: an entry, or nothing.
pub(crate) type Edits = std::collections::BTreeMap<String, Option<(EntryKind, Oid)>>;

#[derive(Default)]
struct Node<'e> {
    children: std::collections::BTreeMap<&'e str, Child<'e>>,
}

enum Child<'e> {
    Entry(Option<(EntryKind, Oid)>),
    Folder(Node<'e>),
}

impl<'e> Node<'e> {
    fn add(&mut self, path: &'e str, edit: Option<&(EntryKind, Oid)>) {
        match path.split_once('/') {
            None => {
                self.children.insert(path, Child::Entry(edit.copied()));
            }
            Some((name, rest)) => {
                let child =
                    self.children.entry(name).or_insert_with(|| Child::Folder(Node::default()));
                // Of a folder put in whole and a file below it, the file's edit is the finer one.
                if matches!(child, Child::Entry(_)) {
                    *child = Child::Folder(Node::default());
                }
                if let Child::Folder(node) = child {
                    node.add(rest, edit);
                }
            }
        }
    }
}

/// git sorts a folder as if its name ended in a slash.
fn sort_key(entry: &Entry) -> impl Iterator<Item = u8> + use<'_> {
    let slash = (entry.kind == EntryKind::Folder).then_some(b'/');
    entry.name.bytes().chain(slash)
}

/// The entries in the bytes of a tree.
struct RawEntries<'b> {
    tree: Oid,
    rest: &'b [u8],
}

struct RawEntry<'b> {
    name: &'b [u8],
    kind: EntryKind,
    id: Oid,
}

impl RawEntry<'_> {
    fn into_entry(self) -> Entry {
        let name = String::from_utf8_lossy(self.name).into_owned();
        Entry { name, kind: self.kind, id: self.id }
    }
}

impl<'b> Iterator for RawEntries<'b> {
    type Item = Result<RawEntry<'b>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let Some((mode, entry, rest)) = split_entry(self.rest) else {
                self.rest = &[];
                return Some(Err(StoreError::Damaged(format!("tree {} is damaged", self.tree))));
            };
            self.rest = rest;
            if let Some(kind) = EntryKind::from_mode(mode) {
                return Some(Ok(RawEntry { kind, ..entry }));
            }
        }
        None
    }
}

/// The mode of the first entry, the entry (whose kind is still to be told from the mode), and what
/// follows.
fn split_entry(bytes: &[u8]) -> Option<(&[u8], RawEntry<'_>, &[u8])> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let (mode, rest) = (&bytes[..space], &bytes[space + 1..]);
    let end = rest.iter().position(|byte| *byte == 0)?;
    let id = Oid::from_bytes(rest.get(end + 1..end + 21)?).ok()?;
    Some((mode, RawEntry { name: &rest[..end], kind: EntryKind::File, id }, &rest[end + 21..]))
}
