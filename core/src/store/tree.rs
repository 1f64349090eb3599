//! The bytes of git trees: their entries, one after the other, and what differs between two.

use std::cmp::Ordering;
use std::ffi::CStr;

use git2::Oid;

use super::StoreError;

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

    /// The kind whose mode git writes like this.
    pub(crate) fn of_mode(mode: &str) -> Option<Self> {
        Self::from_mode(mode.as_bytes())
    }

    /// The mode as git writes it.
    pub(crate) fn mode(self) -> &'static str {
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

/// An entry that is not the same in two trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) name: String,
    pub(crate) old: Option<(EntryKind, Oid)>,
    pub(crate) new: Option<(EntryKind, Oid)>,
}

/// Walks two trees side by side; a name that is a file here and a folder there comes twice.
pub(super) fn compare(
    mut old: RawEntries<'_>,
    mut new: RawEntries<'_>,
) -> Result<Vec<Difference>, StoreError> {
    let mut found = Vec::new();
    let (mut left, mut right) = (old.next().transpose()?, new.next().transpose()?);
    loop {
        if let (Some(a), Some(b)) = (&left, &right)
            && a.is(b)
        {
            left = old.next().transpose()?;
            right = new.next().transpose()?;
            continue;
        }
        let order = match (&left, &right) {
            (None, None) => return Ok(found),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) if a.name == b.name && a.kind == b.kind => Ordering::Equal,
            (Some(a), Some(b)) => a.order().cmp(b.order()),
        };
        let gone = if order.is_le() { left.take() } else { None };
        let come = if order.is_ge() { right.take() } else { None };
        if gone.as_ref().map(RawEntry::what) != come.as_ref().map(RawEntry::what)
            && let Some(either) = gone.as_ref().or(come.as_ref())
        {
            found.push(Difference {
                name: String::from_utf8_lossy(either.name).into_owned(),
                old: gone.as_ref().map(RawEntry::what),
                new: come.as_ref().map(RawEntry::what),
            });
        }
        if gone.is_some() {
            left = old.next().transpose()?;
        }
        if come.is_some() {
            right = new.next().transpose()?;
        }
    }
}

/// The entries in the bytes of a tree.
pub(super) struct RawEntries<'b> {
    pub(super) tree: Oid,
    pub(super) rest: &'b [u8],
}

/// The bytes of an id: most entries of a tree are passed over, and few ids are looked at.
pub(super) type RawId = [u8; 20];

#[derive(Clone, Copy)]
pub(super) struct RawEntry<'b> {
    pub(super) name: &'b [u8],
    pub(super) kind: EntryKind,
    pub(super) id: RawId,
}

/// The id of these bytes, which are as many as it has.
pub(super) fn to_oid(id: RawId) -> Oid {
    Oid::from_bytes(&id).unwrap_or(Oid::ZERO_SHA1)
}

/// The bytes of this id.
pub(super) fn to_raw(id: Oid) -> RawId {
    id.as_bytes().try_into().unwrap_or_default()
}

impl<'b> RawEntry<'b> {
    fn what(&self) -> (EntryKind, Oid) {
        (self.kind, to_oid(self.id))
    }

    /// Whether both are the same thing under the same name.
    fn is(&self, other: &Self) -> bool {
        self.id == other.id && self.kind == other.kind && self.name == other.name
    }

    /// git sorts a folder as if its name ended in a slash.
    pub(super) fn order(&self) -> impl Iterator<Item = u8> + use<'b> {
        let slash = (self.kind == EntryKind::Folder).then_some(b'/');
        self.name.iter().copied().chain(slash)
    }

    pub(super) fn into_entry(self) -> Entry {
        let name = String::from_utf8_lossy(self.name).into_owned();
        Entry { name, kind: self.kind, id: to_oid(self.id) }
    }
}

impl RawEntries<'_> {
    /// Those of an empty tree.
    pub(super) fn none() -> Self {
        Self { tree: Oid::ZERO_SHA1, rest: &[] }
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
    let name = CStr::from_bytes_until_nul(rest).ok()?.to_bytes();
    let (id, after) = rest[name.len() + 1..].split_first_chunk()?;
    Some((mode, RawEntry { name, kind: EntryKind::File, id: *id }, after))
}
