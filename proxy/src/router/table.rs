//! A hash table whose copies share everything but what changed since.
//!
//! It is cut into parts of a few hundred entries; a copy takes over the parts, and a change copies
//! the one part that it falls into. Looking up is one place in the list of parts and one in the
//! part. Entries are found by hash, and the caller says which of those with the same hash is meant:
//! keys are nowhere but in the entries themselves.

use std::sync::Arc;

/// Entries per part on average, before there are twice as many parts.
const PART_ENTRIES: usize = 256;

/// Slots of the smallest part that has entries; a power of two like all.
const FEWEST_SLOTS: usize = 4;

/// A mapping from hashes to values that are cheap to copy.
#[derive(Debug, Clone)]
pub(crate) struct Table<V> {
    /// A power of two of them; the upper bits of a hash choose one.
    parts: Vec<Part<V>>,
    entries: usize,
}

/// One part: open addressing, each entry in the first free slot from its own on.
#[derive(Debug, Clone)]
struct Part<V> {
    /// A power of two of them, or none at all; the lower bits of a hash choose one.
    slots: Arc<[Option<(u64, V)>]>,
    entries: usize,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self { parts: vec![Part::default()], entries: 0 }
    }
}

impl<V> Default for Part<V> {
    fn default() -> Self {
        Self { slots: Arc::new([]), entries: 0 }
    }
}

impl<V> Table<V> {
    fn place(&self, hash: u64) -> usize {
        // Of one part, the upper 0 bits; a shift by all 64 would not be one.
        let bits = self.parts.len().trailing_zeros();
        if bits == 0 { 0 } else { usize::try_from(hash >> (64 - bits)).unwrap_or_default() }
    }

    /// The value with this hash that is meant.
    pub(crate) fn get(&self, hash: u64, is_meant: impl Fn(&V) -> bool) -> Option<&V> {
        let part = &self.parts[self.place(hash)];
        let slot = part.find(hash, is_meant)?;
        part.slots[slot].as_ref().map(|(_, value)| value)
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// All values, in no order.
    #[cfg(test)]
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.parts.iter().flat_map(|part| part.slots.iter().flatten()).map(|(_, value)| value)
    }
}

impl<V: Clone> Table<V> {
    /// The value with this hash that is meant; `new` makes it where there is none.
    pub(crate) fn get_or_insert(
        &mut self,
        hash: u64,
        is_meant: impl Fn(&V) -> bool,
        new: impl FnOnce() -> V,
    ) -> &mut V {
        if self.get(hash, &is_meant).is_none() {
            self.insert(hash, new());
        }
        self.get_mut(hash, is_meant).expect("it is there now")
    }

    /// The value with this hash that is meant, to be changed. Copies never see the change.
    pub(crate) fn get_mut(&mut self, hash: u64, is_meant: impl Fn(&V) -> bool) -> Option<&mut V> {
        let place = self.place(hash);
        let part = &mut self.parts[place];
        let slot = part.find(hash, is_meant)?;
        Arc::make_mut(&mut part.slots)[slot].as_mut().map(|(_, value)| value)
    }

    fn insert(&mut self, hash: u64, value: V) {
        if self.entries >= self.parts.len() * PART_ENTRIES {
            self.split();
        }
        let place = self.place(hash);
        self.parts[place].insert(hash, value);
        self.entries += 1;
    }

    /// Twice as many parts: the next bit of the hash decides.
    fn split(&mut self) {
        let parts = std::mem::take(&mut self.parts);
        self.parts = Vec::with_capacity(parts.len() * 2);
        self.parts.resize_with(parts.len() * 2, Part::default);
        for (hash, value) in parts.iter().flat_map(|part| part.slots.iter().flatten()) {
            let place = self.place(*hash);
            self.parts[place].insert(*hash, value.clone());
        }
    }

    /// Takes out the value with this hash that is meant.
    pub(crate) fn remove(&mut self, hash: u64, is_meant: impl Fn(&V) -> bool) {
        let place = self.place(hash);
        let part = &mut self.parts[place];
        if let Some(slot) = part.find(hash, is_meant) {
            part.remove(slot);
            self.entries -= 1;
        }
    }
}

impl<V> Part<V> {
    fn home(&self, hash: u64) -> usize {
        // Only the lower bits count, so that cutting off the upper ones loses nothing.
        hash as usize & (self.slots.len() - 1)
    }

    fn find(&self, hash: u64, is_meant: impl Fn(&V) -> bool) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let mask = self.slots.len() - 1;
        let mut slot = self.home(hash);
        // There is always a free slot to end at.
        while let Some((own, value)) = &self.slots[slot] {
            if *own == hash && is_meant(value) {
                return Some(slot);
            }
            slot = (slot + 1) & mask;
        }
        None
    }
}

impl<V: Clone> Part<V> {
    fn insert(&mut self, hash: u64, value: V) {
        // At most five of eight slots are taken: runs stay short.
        if (self.entries + 1) * 8 > self.slots.len() * 5 {
            let slots = (self.slots.len() * 2).max(FEWEST_SLOTS);
            let old =
                std::mem::replace(&mut self.slots, std::iter::repeat_n(None, slots).collect());
            for (hash, value) in old.iter().flatten() {
                self.put(*hash, value.clone());
            }
        }
        self.put(hash, value);
        self.entries += 1;
    }

    fn put(&mut self, hash: u64, value: V) {
        let mut slot = self.home(hash);
        let slots = Arc::make_mut(&mut self.slots);
        while slots[slot].is_some() {
            slot = (slot + 1) & (slots.len() - 1);
        }
        slots[slot] = Some((hash, value));
    }

    /// Takes out the entry of a slot, and moves up those behind it that came too late for theirs.
    fn remove(&mut self, slot: usize) {
        let slots = Arc::make_mut(&mut self.slots);
        let mask = slots.len() - 1;
        let mut free = slot;
        let mut next = slot;
        slots[free] = None;
        self.entries -= 1;
        loop {
            next = (next + 1) & mask;
            let Some((hash, _)) = &slots[next] else { return };
            let home = *hash as usize & mask;
            // How far each is behind `home`, going round: it may move no further than there.
            if next.wrapping_sub(home) & mask >= next.wrapping_sub(free) & mask {
                slots.swap(free, next);
                free = next;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a plain map, with hashes that collide in all ways; copies stay as they were.
        #[test]
        fn as_a_map(steps in proptest::collection::vec((any::<bool>(), 0_u64..96), 0..400)) {
            let hash = |key: u64| ((key % 7) << 61) | (key % 13);
            let mut table: Table<(u64, usize)> = Table::default();
            let mut model: BTreeMap<u64, usize> = BTreeMap::new();
            let mut copies = Vec::new();
            for (step, (put, key)) in steps.into_iter().enumerate() {
                if step % 50 == 0 {
                    copies.push((table.clone(), model.clone()));
                }
                if put {
                    let value = table.get_or_insert(hash(key), |own| own.0 == key, || (key, 0));
                    value.1 = step;
                    model.insert(key, step);
                } else {
                    table.remove(hash(key), |own| own.0 == key);
                    model.remove(&key);
                }
            }
            copies.push((table, model));
            for (table, model) in copies {
                let mut all: Vec<_> = table.values().copied().collect();
                all.sort_unstable();
                prop_assert_eq!(all, model.iter().map(|(key, value)| (*key, *value)).collect::<Vec<_>>());
                prop_assert_eq!(table.is_empty(), model.is_empty());
                for key in 0..96 {
                    let found = table.get(hash(key), |own| own.0 == key).map(|own| own.1);
                    prop_assert_eq!(found, model.get(&key).copied());
                }
            }
        }
    }

    #[test]
    fn many() {
        let mut table: Table<u64> = Table::default();
        let hash = |key: u64| key.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        for key in 0..10_000 {
            table.get_or_insert(hash(key), |own| *own == key, || key);
        }
        let copy = table.clone();
        for key in 0..9_999 {
            table.remove(hash(key), |own| *own == key);
        }
        assert_eq!(table.values().collect::<Vec<_>>(), [&9_999]);
        assert!((0..10_000).all(|key| copy.get(hash(key), |own| *own == key).is_some()));
    }
}
