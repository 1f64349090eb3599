//! git objects of one repository: read from disk, made in memory, written only when a change is.
//!
//! A plan makes blobs and trees here and reads them back as if they were stored, so that a change is
//! validated as it would be afterwards while a dry run leaves nothing behind. What the bytes of a tree
//! say is in [`super::tree`].

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use git2::{ObjectType, Odb, Oid, Repository};

use super::tree::{RawEntries, RawEntry, compare, to_oid, to_raw};
use super::wide::WideTrees;
use super::{StoreError, loose};

pub(crate) use super::tree::{Difference, Entry, EntryKind, Tree};

/// The objects of a repository with those of a plan laid over them.
pub(crate) struct Objects<'r> {
    odb: Odb<'r>,
    /// The repository.
    folder: PathBuf,
    /// Where loose objects are: its own, and before them those of a push that is being checked.
    loose: Vec<PathBuf>,
    pending: RefCell<Pending>,
    wide: WideTrees,
}

#[derive(Default)]
struct Pending {
    objects: HashMap<Oid, (ObjectType, Arc<[u8]>)>,
    order: Vec<Oid>,
}

impl<'r> Objects<'r> {
    /// The objects of `repository`, with nothing laid over them.
    pub(crate) fn new(repository: &'r Repository) -> Result<Self, StoreError> {
        Self::sharing(repository, WideTrees::default())
    }

    /// The same, with the wide trees that others have read.
    pub(crate) fn sharing(repository: &'r Repository, wide: WideTrees) -> Result<Self, StoreError> {
        let folder = repository.path().to_owned();
        Ok(Self {
            odb: repository.odb()?,
            loose: vec![folder.join("objects")],
            folder,
            pending: RefCell::default(),
            wide,
        })
    }

    /// Objects that are in no repository: what is made, and nothing else.
    pub(crate) fn in_memory() -> Result<Objects<'static>, StoreError> {
        Ok(Objects {
            odb: Odb::new()?,
            folder: PathBuf::new(),
            loose: Vec::new(),
            pending: RefCell::default(),
            wide: WideTrees::default(),
        })
    }

    /// How many objects were made and are not stored.
    pub(crate) fn held(&self) -> usize {
        self.pending.borrow().objects.len()
    }

    /// Adds the ids of a tree and of everything below it.
    pub(crate) fn collect(&self, tree: Oid, ids: &mut HashSet<Oid>) -> Result<(), StoreError> {
        let mut folders = vec![tree];
        while let Some(folder) = folders.pop() {
            if !ids.insert(folder) {
                continue;
            }
            for entry in self.tree(folder)? {
                match entry.kind {
                    EntryKind::Folder => folders.push(entry.id),
                    _ => {
                        ids.insert(entry.id);
                    }
                }
            }
        }
        Ok(())
    }

    /// Lets go of what was made, but for these.
    pub(crate) fn retain(&self, ids: &HashSet<Oid>) {
        let pending = &mut *self.pending.borrow_mut();
        pending.objects.retain(|id, _| ids.contains(id));
        pending.order.retain(|id| ids.contains(id));
        pending.objects.shrink_to_fit();
        pending.order.shrink_to_fit();
    }

    /// The objects of `repository` and those of a push that git keeps apart in `quarantine` until it
    /// is accepted.
    pub(crate) fn with_quarantine(
        repository: &'r Repository,
        quarantine: &Path,
    ) -> Result<Self, StoreError> {
        let mut objects = Self::new(repository)?;
        let path = quarantine
            .to_str()
            .ok_or_else(|| StoreError::Damaged(format!("{} is not UTF-8", quarantine.display())))?;
        objects.odb.add_disk_alternate(path)?;
        objects.loose.insert(0, quarantine.to_owned());
        Ok(objects)
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
        match self.loose(|folder| loose::size(folder, id))? {
            Some(size) => Ok(size),
            None => Ok(self.odb.read_header(id)?.0),
        }
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
        // Held by a count, not by a borrow: the reader may make objects itself.
        let made = self.pending.borrow().objects.get(&tree).cloned();
        if let Some((ObjectType::Tree, bytes)) = made {
            return read(RawEntries { tree, rest: &bytes });
        }
        let bytes = match self.wide.get(tree) {
            Some(bytes) => bytes,
            None => {
                let bytes: Arc<[u8]> = self.stored(tree, ObjectType::Tree)?.into();
                self.wide.put(tree, &bytes);
                bytes
            }
        };
        read(RawEntries { tree, rest: &bytes })
    }

    /// The entries that differ between two trees; nothing stands for an empty tree.
    pub(crate) fn differences(
        &self,
        old: Option<Oid>,
        new: Option<Oid>,
    ) -> Result<Vec<Difference>, StoreError> {
        if old == new {
            return Ok(Vec::new());
        }
        match (old, new) {
            (None, None) => Ok(Vec::new()),
            (None, Some(new)) => self.with_entries(new, |new| compare(RawEntries::none(), new)),
            (Some(old), None) => self.with_entries(old, |old| compare(old, RawEntries::none())),
            (Some(old), Some(new)) => {
                self.with_entries(old, |old| self.with_entries(new, |new| compare(old, new)))
            }
        }
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

    /// The entries of a folder, of which `wanted` are going to be looked for by name.
    pub(crate) fn listing(
        &self,
        folder: Option<Oid>,
        wanted: usize,
    ) -> Result<Listing<'_, 'r>, StoreError> {
        let by_name = match folder {
            Some(folder) if wanted > FEW => {
                let entries = self.tree(folder)?.into_iter();
                Some(entries.map(|entry| (entry.name.clone(), entry)).collect())
            }
            _ => None,
        };
        Ok(Listing { objects: self, folder, by_name })
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

    /// Makes an object of any kind from its bytes.
    pub(crate) fn make(&self, kind: ObjectType, bytes: Vec<u8>) -> Result<Oid, StoreError> {
        let id = Oid::hash_object(kind, &bytes)?;
        let pending = &mut *self.pending.borrow_mut();
        if !pending.objects.contains_key(&id) && !self.has(id, kind, &bytes) {
            pending.objects.insert(id, (kind, bytes.into()));
            pending.order.push(id);
        }
        Ok(id)
    }

    /// Whether the repository has an object; a file that a crash cut short is none, and is written anew.
    fn has(&self, id: Oid, kind: ObjectType, bytes: &[u8]) -> bool {
        if self.loose.is_empty() {
            return false;
        }
        match loose::holds(&self.folder, id, kind, bytes) {
            Some(whole) => whole,
            None => self.odb.exists(id),
        }
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
            None => self.make(ObjectType::Tree, Vec::new()),
        }
    }

    fn apply(&self, tree: Option<Oid>, node: &Node<'_>) -> Result<Option<Oid>, StoreError> {
        let bytes = match tree {
            Some(tree) => self.with_entries(tree, |entries| self.rewrite(entries, node))?,
            None => self.rewrite(RawEntries::none(), node)?,
        };
        if bytes.is_empty() { Ok(None) } else { self.make(ObjectType::Tree, bytes).map(Some) }
    }

    /// The bytes of a tree with `node` laid over its entries.
    fn rewrite(&self, entries: RawEntries<'_>, node: &Node<'_>) -> Result<Vec<u8>, StoreError> {
        let mut kept: Vec<RawEntry<'_>> = Vec::new();
        let mut old: HashMap<&str, RawEntry<'_>> = HashMap::new();
        for entry in entries {
            let entry = entry?;
            let name = std::str::from_utf8(entry.name).ok();
            match name.and_then(|name| node.children.get_key_value(name)) {
                Some((name, _)) => {
                    old.insert(name, entry);
                }
                None => kept.push(entry),
            }
        }
        for (name, child) in &node.children {
            let made = match child {
                Child::Entry(put) => *put,
                Child::Folder(below) => {
                    let before = old.get(name).filter(|entry| entry.kind == EntryKind::Folder);
                    self.apply(before.map(|entry| to_oid(entry.id)), below)?
                        .map(|id| (EntryKind::Folder, id))
                }
            };
            kept.extend(made.map(|(kind, id)| RawEntry {
                name: name.as_bytes(),
                kind,
                id: to_raw(id),
            }));
        }
        // Almost in order already, which the sort takes advantage of.
        kept.sort_by(|a, b| a.order().cmp(b.order()));
        let mut bytes = Vec::with_capacity(kept.len() * 48);
        for entry in &kept {
            bytes.extend_from_slice(entry.kind.mode().as_bytes());
            bytes.push(b' ');
            bytes.extend_from_slice(entry.name);
            bytes.push(0);
            bytes.extend_from_slice(&entry.id);
        }
        Ok(bytes)
    }

    /// Writes what was made since the last call into the repository and flushes it to the disk, at
    /// the cost of one barrier however much it is.
    pub(crate) fn store(&self) -> Result<(), StoreError> {
        let pending = &mut *self.pending.borrow_mut();
        let in_order = pending.order.iter().filter_map(|id| {
            let (kind, bytes) = pending.objects.get(id)?;
            Some((*id, *kind, &**bytes))
        });
        loose::write(&self.folder, in_order)?;
        // The next change looks into them.
        for (id, (_, bytes)) in
            pending.objects.iter().filter(|(_, made)| made.0 == ObjectType::Tree)
        {
            self.wide.put(*id, bytes);
        }
        *pending = Pending::default();
        Ok(())
    }

    fn bytes(&self, id: Oid, wanted: ObjectType) -> Result<Vec<u8>, StoreError> {
        if let Some((kind, bytes)) = self.pending.borrow().objects.get(&id)
            && *kind == wanted
        {
            return Ok(bytes.to_vec());
        }
        self.stored(id, wanted)
    }

    /// The bytes of an object in the repository.
    fn stored(&self, id: Oid, wanted: ObjectType) -> Result<Vec<u8>, StoreError> {
        let (kind, bytes) = match self.loose(|folder| loose::read(folder, id))? {
            Some(found) => found,
            None => {
                let object = self.odb.read(id)?;
                (object.kind(), object.data().to_vec())
            }
        };
        if kind == wanted {
            Ok(bytes)
        } else {
            Err(StoreError::Damaged(format!("object {id} is no {wanted}")))
        }
    }

    /// What the first folder of loose objects has to say.
    fn loose<R>(
        &self,
        ask: impl Fn(&Path) -> Result<Option<R>, StoreError>,
    ) -> Result<Option<R>, StoreError> {
        for folder in &self.loose {
            if let Some(found) = ask(folder)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// Names up to which each is looked for by itself: that goes through a folder from its start.
const FEW: usize = 16;

/// A folder in which entries are looked for by name. No folder has no entries.
pub(crate) struct Listing<'o, 'r> {
    objects: &'o Objects<'r>,
    folder: Option<Oid>,
    by_name: Option<HashMap<String, Entry>>,
}

impl Listing<'_, '_> {
    /// The entry of this name.
    pub(crate) fn find(&self, name: &str) -> Result<Option<Entry>, StoreError> {
        match (&self.by_name, self.folder) {
            (Some(by_name), _) => Ok(by_name.get(name).cloned()),
            (None, Some(folder)) => self.objects.entry(folder, name),
            (None, None) => Ok(None),
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
