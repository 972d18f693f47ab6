//! Values by time in a bounded number of columns, whose width follows the span of time.
//!
//! Runs on:  any (pure). Bounds: as many columns as it was made for.
use crate::base::time::MILLISECOND_NS;
use std::collections::BTreeMap;

/// What two adjacent columns have in common.
pub trait Merge {
    /// Adds what a later column has.
    fn merge(&mut self, later: Self);
}

/// Columns of equal width, the first 1 ms wide; when the span of time has too many, each two become one. Columns begin
/// at whole multiples of their width since 1970, so that two sets of the same width can be joined. Empty ones take no
/// memory.
#[derive(Clone, Debug)]
pub struct Columns<T> {
    width_ns: u64,
    most: u64,
    cells: BTreeMap<u64, T>,
}

impl<T: Default + Merge> Columns<T> {
    /// None yet, and never more than `most`, at least 1.
    pub const fn new(most: u64) -> Self {
        Self { width_ns: MILLISECOND_NS, most, cells: BTreeMap::new() }
    }

    /// Width of a column, nanoseconds.
    pub const fn width_ns(&self) -> u64 {
        self.width_ns
    }

    /// Number of the column at a time.
    pub const fn place(&self, at_ns: u64) -> u64 {
        at_ns / self.width_ns
    }

    /// The column at a time.
    pub fn at(&mut self, at_ns: u64) -> &mut T {
        while !self.fits(at_ns) {
            self.halve();
        }
        self.cells.entry(at_ns / self.width_ns).or_default()
    }

    fn fits(&self, at_ns: u64) -> bool {
        let place = self.place(at_ns);
        let first = self.cells.first_key_value().map_or(place, |(&first, _)| first.min(place));
        let last = self.cells.last_key_value().map_or(place, |(&last, _)| last.max(place));
        last - first < self.most
    }

    fn halve(&mut self) {
        self.width_ns *= 2;
        for (place, cell) in std::mem::take(&mut self.cells) {
            match self.cells.get_mut(&(place / 2)) {
                Some(earlier) => earlier.merge(cell),
                None => _ = self.cells.insert(place / 2, cell),
            }
        }
    }

    /// Adds the columns of another set, as later values.
    pub fn join(&mut self, other: Self) {
        while self.width_ns < other.width_ns {
            self.halve();
        }
        for (place, cell) in other.cells {
            self.at(place * other.width_ns).merge(cell);
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Number and value of each column that is not empty, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, &T)> {
        self.cells.iter().map(|(&place, cell)| (place, cell))
    }
}

#[cfg(test)]
mod tests;
