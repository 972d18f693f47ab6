//! Slices: the parts of the universe of markets that the machines of a cluster divide among themselves.
//!
//! Runs on:  any (pure).
use super::routing;
use std::sync::atomic::{AtomicU64, Ordering};

/// Slices of the universe.
pub const SLICES: usize = 256;

/// The slice of the market with this venue id; by the hash that places markets on shards.
pub fn slice_of(market: &[u8]) -> u8 {
    (routing::fingerprint(market) % SLICES as u64) as u8
}

/// A set of slices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SliceSet([u64; SLICES / 64]);

impl SliceSet {
    /// Every slice.
    pub const ALL: Self = Self([u64::MAX; SLICES / 64]);

    /// Whether a slice is in it.
    pub const fn contains(&self, slice: u8) -> bool {
        self.0[slice as usize / 64] & (1 << (slice % 64)) != 0
    }

    /// Adds a slice, or removes it.
    pub const fn set(&mut self, slice: u8, is_in: bool) {
        let bit = 1 << (slice % 64);
        if is_in {
            self.0[slice as usize / 64] |= bit;
        } else {
            self.0[slice as usize / 64] &= !bit;
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }

    /// The slices, in order.
    pub fn iter(&self) -> impl Iterator<Item = u8> {
        (0..=u8::MAX).filter(|&slice| self.contains(slice))
    }

    /// Those that are in this set and not in the other one.
    pub fn without(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] & !other.0[word]))
    }

    /// Those that are in both.
    pub fn and(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] & other.0[word]))
    }
}

impl FromIterator<u8> for SliceSet {
    fn from_iter<I: IntoIterator<Item = u8>>(slices: I) -> Self {
        let mut set = Self::default();
        slices.into_iter().for_each(|slice| set.set(slice, true));
        set
    }
}

/// A set of slices that one thread writes and others read. A reader may see some slices of a write before others.
#[derive(Debug, Default)]
pub struct SharedSlices([AtomicU64; SLICES / 64]);

impl SharedSlices {
    /// The set.
    pub fn get(&self) -> SliceSet {
        SliceSet(std::array::from_fn(|word| self.0[word].load(Ordering::Acquire)))
    }

    /// Sets it; the writer's alone.
    pub fn set(&self, slices: SliceSet) {
        for (word, new) in self.0.iter().zip(slices.0) {
            word.store(new, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests;
