//! From a hash to the places of books: an open table in one array, made for few cache misses.
//!
//! Runs on:  any (pure). Bounds: places below `u32::MAX`; 11 to 16 bytes a place once it is large.
//!
//! An entry is half of a hash and the place, so that a look-up reads one cache line here, and a
//! book only where the halves agree. Growing reads no book at all.

use crate::base::prefetch::prefetch;

/// Hash and place. Absent where the place is [`NOWHERE`].
#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u32,
    place: u32,
}

const NOWHERE: u32 = u32::MAX;
const ABSENT: Entry = Entry { hash: 0, place: NOWHERE };

/// Entries of a table that holds any.
const ENTRIES_MIN: usize = 16;

/// Places by hash. Each place is in it once; several may have one hash.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Every entry stands at its home or after it, with no absent one between; the end goes on at
    /// the start. At least a quarter is absent.
    entries: Vec<Entry>,
    len: usize,
}

impl Index {
    /// Where an entry would best be. By proportion, so that any number of entries will do.
    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.entries.len() as u64) >> u32::BITS) as usize
    }

    fn after(&self, at: usize) -> usize {
        if at + 1 == self.entries.len() { 0 } else { at + 1 }
    }

    /// Has the entries of a hash fetched.
    #[inline]
    pub(super) fn prefetch(&self, hash: u32) {
        self.entries.get(self.home(hash)).inspect(|entry| prefetch(*entry));
    }

    /// The first place of this hash that `is_it`.
    #[inline]
    pub(super) fn find(&self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut at = self.home(hash);
        loop {
            let entry = self.entries.get(at)?;
            if entry.place == NOWHERE {
                return None;
            }
            if entry.hash == hash && is_it(entry.place) {
                return Some(entry.place);
            }
            at = self.after(at);
        }
    }

    /// Adds a place that is not in it.
    pub(super) fn insert(&mut self, hash: u32, place: u32) {
        debug_assert_ne!(place, NOWHERE);
        if (self.len + 1) * 4 > self.entries.len() * 3 {
            self.grow();
        }
        self.len += 1;
        let mut at = self.home(hash);
        while self.entries[at].place != NOWHERE {
            at = self.after(at);
        }
        self.entries[at] = Entry { hash, place };
    }

    fn grow(&mut self) {
        let count = (self.entries.len() * 3 / 2).max(ENTRIES_MIN);
        let before = std::mem::replace(&mut self.entries, vec![ABSENT; count]);
        self.len = 0;
        for entry in before.into_iter().filter(|entry| entry.place != NOWHERE) {
            self.insert(entry.hash, entry.place);
        }
    }

    fn locate(&self, hash: u32, place: u32) -> Option<usize> {
        let mut at = self.home(hash);
        loop {
            let entry = self.entries.get(at)?;
            if entry.place == NOWHERE {
                return None;
            }
            if entry.hash == hash && entry.place == place {
                return Some(at);
            }
            at = self.after(at);
        }
    }

    /// Has `other` stand for `place`; nothing if `place` is not in it.
    pub(super) fn replace(&mut self, hash: u32, place: u32, other: u32) {
        if let Some(at) = self.locate(hash, place) {
            self.entries[at].place = other;
        }
    }

    /// Takes a place out; nothing if it is not in it.
    pub(super) fn remove(&mut self, hash: u32, place: u32) {
        let Some(mut hole) = self.locate(hash, place) else { return };
        self.len -= 1;
        let mut at = self.after(hole);
        while self.entries[at].place != NOWHERE {
            // An entry may move to the hole unless its home lies after the hole.
            let home = self.home(self.entries[at].hash);
            let stays =
                if hole <= at { hole < home && home <= at } else { hole < home || home <= at };
            if !stays {
                self.entries[hole] = self.entries[at];
                hole = at;
            }
            at = self.after(at);
        }
        self.entries[hole] = ABSENT;
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
    }
}

#[cfg(test)]
mod tests;
