//! Forms of a side that were tried for `market/book/ladder.rs`, and that one, behind one trait.
//!
//! Only what the measurement needs. Those that are not exact for every price or quantity are marked.
use ringbook::base::price::{Price, Quantity};
use ringbook::market::book::{Book, Level, Side};
use std::collections::BTreeMap;

/// Both sides of one book in some form.
pub(crate) trait Form {
    const NAME: &'static str;
    /// An empty book whose prices lie on multiples of `tick`.
    fn new(tick: u32) -> Self;
    fn set(&mut self, side: Side, level: Level);
    /// Best last.
    fn levels(&self, side: Side) -> Vec<Level>;
    fn heap_bytes(&self) -> usize;
}

/// What the engine uses.
impl Form for Book {
    const NAME: &'static str = "packed u64, 8 in place";

    fn new(_: u32) -> Self {
        Self::default()
    }

    fn set(&mut self, side: Side, level: Level) {
        Self::set(self, side, level).expect("the bench stays within the limits");
    }

    fn levels(&self, side: Side) -> Vec<Level> {
        match side {
            Side::Bid => self.bids.levels().collect(),
            Side::Ask => self.asks.levels().collect(),
        }
    }

    fn heap_bytes(&self) -> usize {
        Self::heap_bytes(self)
    }
}

/// A form that knows one side only, twice.
pub(crate) trait OneSide {
    const NAME: &'static str;
    fn new(tick: u32) -> Self;
    /// `key` sorts from worst to best.
    fn set(&mut self, key: u32, quantity: u64);
    fn levels(&self) -> Vec<(u32, u64)>;
    fn heap_bytes(&self) -> usize;
}

pub(crate) struct Both<S>([S; 2]);

fn key(side: Side, price: u32) -> u32 {
    match side {
        Side::Bid => price,
        Side::Ask => 1_000_000 - price,
    }
}

impl<S: OneSide> Form for Both<S> {
    const NAME: &'static str = S::NAME;

    fn new(tick: u32) -> Self {
        Self([S::new(tick), S::new(tick)])
    }

    fn set(&mut self, side: Side, level: Level) {
        self.0[side as usize].set(key(side, level.price.0), level.quantity.0);
    }

    fn levels(&self, side: Side) -> Vec<Level> {
        let level = |(k, q)| Level { price: Price(key(side, k)), quantity: Quantity(q) };
        self.0[side as usize].levels().into_iter().map(level).collect()
    }

    fn heap_bytes(&self) -> usize {
        self.0.iter().map(S::heap_bytes).sum()
    }
}

/// Prices and quantities in two arrays that double: the engine's form before.
pub(crate) struct TwoArrays(Vec<u32>, Vec<u64>);

impl OneSide for TwoArrays {
    const NAME: &'static str = "two arrays (before)";

    fn new(_: u32) -> Self {
        Self(Vec::new(), Vec::new())
    }

    fn set(&mut self, key: u32, quantity: u64) {
        let near = self.0.len().saturating_sub(8);
        let last = (near..self.0.len()).rev().find(|&at| self.0[at] < key).map(|at| at + 1);
        let place = last.unwrap_or_else(|| self.0[..near].partition_point(|&k| k < key));
        match (self.0.get(place) == Some(&key), quantity) {
            (true, 0) => {
                self.0.remove(place);
                self.1.remove(place);
            }
            (true, _) => self.1[place] = quantity,
            (false, 0) => {}
            (false, _) => {
                self.0.insert(place, key);
                self.1.insert(place, quantity);
            }
        }
    }

    fn levels(&self) -> Vec<(u32, u64)> {
        self.0.iter().copied().zip(self.1.iter().copied()).collect()
    }

    fn heap_bytes(&self) -> usize {
        self.0.capacity() * 4 + self.1.capacity() * 8
    }
}

/// One array of u64 (price above 44 bits of quantity), nothing in place. Less than 1.7e7 shares.
pub(crate) struct Packed(Vec<u64>);

impl OneSide for Packed {
    const NAME: &'static str = "packed u64";

    fn new(_: u32) -> Self {
        Self(Vec::new())
    }

    fn set(&mut self, key: u32, quantity: u64) {
        let low = u64::from(key) << 44;
        let mut left = self.0.as_slice();
        let place = loop {
            let Some((rest, line)) = left.split_last_chunk::<8>() else {
                break left.iter().filter(|&&word| word < low).count();
            };
            match line.iter().filter(|&&word| word < low).count() {
                0 if self.0.len() - rest.len() >= 32 => break rest.partition_point(|&w| w < low),
                0 => left = rest,
                worse => break rest.len() + worse,
            }
        };
        let there = self.0.get(place).is_some_and(|word| word >> 44 == u64::from(key));
        match (there, quantity) {
            (true, 0) => drop(self.0.remove(place)),
            (true, _) => self.0[place] = low | quantity,
            (false, 0) => {}
            (false, _) => {
                if self.0.len() == self.0.capacity() {
                    self.0.reserve_exact((self.0.len() / 4).max(4));
                }
                self.0.insert(place, low | quantity);
            }
        }
    }

    fn levels(&self) -> Vec<(u32, u64)> {
        self.0.iter().map(|word| ((word >> 44) as u32, word & ((1 << 44) - 1))).collect()
    }

    fn heap_bytes(&self) -> usize {
        self.0.capacity() * 8
    }
}

/// Ticks in 16 bits and cents in 32, two arrays: 6 bytes a level. Cents below 4.2e7 shares only.
pub(crate) struct Narrow {
    tick: u32,
    ticks: Vec<u16>,
    cents: Vec<u32>,
}

impl OneSide for Narrow {
    const NAME: &'static str = "ticks and cents";

    fn new(tick: u32) -> Self {
        Self { tick, ticks: Vec::new(), cents: Vec::new() }
    }

    fn set(&mut self, key: u32, quantity: u64) {
        let (tick, cents) = ((key / self.tick) as u16, (quantity / 10_000) as u32);
        let mut left = self.ticks.as_slice();
        let place = loop {
            let Some((rest, line)) = left.split_last_chunk::<16>() else {
                break left.iter().map(|&t| usize::from(t < tick)).sum();
            };
            match line.iter().map(|&t| u16::from(t < tick)).sum::<u16>() {
                0 if self.ticks.len() - rest.len() >= 64 => {
                    break rest.partition_point(|&t| t < tick);
                }
                0 => left = rest,
                worse => break rest.len() + usize::from(worse),
            }
        };
        match (self.ticks.get(place) == Some(&tick), cents) {
            (true, 0) => {
                self.ticks.remove(place);
                self.cents.remove(place);
            }
            (true, _) => self.cents[place] = cents,
            (false, 0) => {}
            (false, _) => {
                if self.ticks.len() == self.ticks.capacity() {
                    let more = (self.ticks.len() / 4).max(8);
                    self.ticks.reserve_exact(more);
                    self.cents.reserve_exact(more);
                }
                self.ticks.insert(place, tick);
                self.cents.insert(place, cents);
            }
        }
    }

    fn levels(&self) -> Vec<(u32, u64)> {
        let level = |(&t, &c): (&u16, &u32)| (u32::from(t) * self.tick, u64::from(c) * 10_000);
        self.ticks.iter().zip(&self.cents).map(level).collect()
    }

    fn heap_bytes(&self) -> usize {
        self.ticks.capacity() * 2 + self.cents.capacity() * 4
    }
}

/// A bit for every tick of the grid, and the quantities of those that are set, by rank. Prices on
/// the grid only; a finer grid is a new book.
pub(crate) struct Bitmap {
    tick: u32,
    bits: Box<[u64]>,
    quantities: Vec<u64>,
}

impl OneSide for Bitmap {
    const NAME: &'static str = "bitmap and ranks";

    fn new(tick: u32) -> Self {
        let bits = vec![0; (1_000_000 / tick / 64 + 1) as usize].into_boxed_slice();
        Self { tick, bits, quantities: Vec::new() }
    }

    fn set(&mut self, key: u32, quantity: u64) {
        let tick = (key / self.tick) as usize;
        let (word, bit) = (tick / 64, 1u64 << (tick % 64));
        // Counted from the best: most changes are near it.
        let higher = self.bits[word] & !(bit | (bit - 1));
        let above: u32 = self.bits[word + 1..].iter().map(|word| word.count_ones()).sum();
        let above = (above + higher.count_ones()) as usize;
        let there = self.bits[word] & bit != 0;
        let place = self.quantities.len() - above - usize::from(there);
        match (there, quantity) {
            (true, 0) => {
                self.bits[word] &= !bit;
                self.quantities.remove(place);
            }
            (true, _) => self.quantities[place] = quantity,
            (false, 0) => {}
            (false, _) => {
                self.bits[word] |= bit;
                if self.quantities.len() == self.quantities.capacity() {
                    self.quantities.reserve_exact((self.quantities.len() / 4).max(4));
                }
                self.quantities.insert(place, quantity);
            }
        }
    }

    fn levels(&self) -> Vec<(u32, u64)> {
        let set = |&tick: &usize| self.bits[tick / 64] >> (tick % 64) & 1 == 1;
        let ticks = (0..self.bits.len() * 64).filter(set);
        ticks.map(|tick| tick as u32 * self.tick).zip(self.quantities.iter().copied()).collect()
    }

    fn heap_bytes(&self) -> usize {
        self.bits.len() * 8 + self.quantities.capacity() * 8
    }
}

/// The standard library's sorted map; its nodes are estimated.
pub(crate) struct Tree(BTreeMap<u32, u64>);

impl OneSide for Tree {
    const NAME: &'static str = "BTreeMap";

    fn new(_: u32) -> Self {
        Self(BTreeMap::new())
    }

    fn set(&mut self, key: u32, quantity: u64) {
        if quantity == 0 {
            self.0.remove(&key);
        } else {
            self.0.insert(key, quantity);
        }
    }

    fn levels(&self) -> Vec<(u32, u64)> {
        self.0.iter().map(|(&key, &quantity)| (key, quantity)).collect()
    }

    fn heap_bytes(&self) -> usize {
        // Leaves of 11 entries, two thirds full.
        self.0.len() * 144 * 3 / (11 * 2)
    }
}
