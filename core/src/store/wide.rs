//! Wide trees that were read, kept for the next reader.
//!
//! The folders of a group with thousands of services are large objects that every change and most
//! reads look into, and libgit2 keeps only small trees. An id stands for its bytes, so what is kept
//! never goes out of date; it is bounded by its size alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use git2::Oid;

/// Smallest tree that counts as wide, in bytes; libgit2 keeps those up to 4 KiB itself.
pub(super) const WIDE: usize = 4096;

/// How many bytes are kept at the most. A group of 10,000 services has two trees of some 450 KB.
const ROOM: usize = 64 << 20;

/// Wide trees by id. Clones share what is kept.
#[derive(Clone)]
pub(crate) struct WideTrees(Arc<Mutex<Kept>>);

struct Kept {
    trees: HashMap<Oid, Tree>,
    bytes: usize,
    /// How many bytes are kept at the most.
    room: usize,
    /// Counts the uses, so that the least recently used tree is known.
    uses: u64,
}

struct Tree {
    bytes: Arc<[u8]>,
    used: u64,
}

impl Default for WideTrees {
    fn default() -> Self {
        Self::within(ROOM)
    }
}

impl WideTrees {
    /// Keeps so many bytes at the most.
    pub(super) fn within(room: usize) -> Self {
        Self(Arc::new(Mutex::new(Kept { trees: HashMap::new(), bytes: 0, room, uses: 0 })))
    }

    /// The bytes of a tree that is kept.
    pub(super) fn get(&self, id: Oid) -> Option<Arc<[u8]>> {
        let kept = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.uses += 1;
        let tree = kept.trees.get_mut(&id)?;
        tree.used = kept.uses;
        Some(Arc::clone(&tree.bytes))
    }

    /// Keeps a tree that is wide; those that were not used for longest make room for it.
    pub(super) fn put(&self, id: Oid, bytes: &Arc<[u8]>) {
        let kept = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !(WIDE..=kept.room).contains(&bytes.len()) {
            return;
        }
        kept.uses += 1;
        let tree = Tree { bytes: Arc::clone(bytes), used: kept.uses };
        kept.bytes += bytes.len();
        if let Some(before) = kept.trees.insert(id, tree) {
            kept.bytes -= before.bytes.len();
        }
        while kept.bytes > kept.room
            && let Some(id) = kept.trees.iter().min_by_key(|(_, tree)| tree.used).map(|(id, _)| *id)
            && let Some(tree) = kept.trees.remove(&id)
        {
            kept.bytes -= tree.bytes.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> Oid {
        Oid::from_bytes(&[number; 20]).expect("20 bytes")
    }

    #[test]
    fn small_trees_are_not_kept() {
        let trees = WideTrees::default();
        trees.put(id(1), &vec![0; WIDE - 1].into());
        assert!(trees.get(id(1)).is_none());
    }

    #[test]
    fn the_least_recently_used_makes_room() {
        let trees = WideTrees::default();
        let large: Arc<[u8]> = vec![0; ROOM / 2].into();
        trees.put(id(1), &large);
        trees.put(id(2), &large);
        trees.put(id(2), &large);
        assert!(trees.get(id(1)).is_some());
        trees.put(id(3), &large);
        let kept = [1, 2, 3].map(|number| trees.get(id(number)).is_some());
        assert_eq!(kept, [true, false, true]);
    }
}
