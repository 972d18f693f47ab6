//! One side of a book: sorted arrays with the best level last, as the venue sends them.
//!
//! Runs on:  any (pure). Bounds: `LEVELS_PER_SIDE_MAX` levels; memory follows the levels in use.
//!
//! Prices and quantities stand in two arrays, so that a search reads prices only. Changes gather
//! near the best price, which is the end: little moves on insertion and removal.
use super::{Level, Side, SideFull};
use crate::base::{
    limits::LEVELS_PER_SIDE_MAX,
    price::{Price, Quantity},
};

/// Levels looked at one by one from the best before the search halves the rest.
const NEAR_BEST: usize = 8;

/// One side of a book, best level last. Every quantity is above zero, every price is there once.
#[derive(Clone, Debug, Default)]
pub struct Ladder {
    prices: Vec<u32>,
    quantities: Vec<u64>,
    total: u128,
}

impl Ladder {
    pub(super) fn replace(&mut self, side: Side, levels: &[Level]) -> Result<(), SideFull> {
        self.clear();
        if levels.len() > LEVELS_PER_SIDE_MAX {
            return Err(SideFull);
        }
        self.prices.reserve(levels.len());
        self.quantities.reserve(levels.len());
        // The venue sends each side worst first, so this appends; any other order sorts itself in.
        levels.iter().try_for_each(|&level| self.set(side, level))
    }

    pub(super) fn set(&mut self, side: Side, level: Level) -> Result<(), SideFull> {
        let place = match side {
            Side::Bid => self.find(level.price.0, |stored, wanted| stored < wanted),
            Side::Ask => self.find(level.price.0, |stored, wanted| stored > wanted),
        };
        let present = self.prices.get(place) == Some(&level.price.0);
        match (present, level.quantity.0) {
            (true, 0) => {
                self.prices.remove(place);
                self.total -= u128::from(self.quantities.remove(place));
            }
            (true, quantity) => {
                let old = std::mem::replace(&mut self.quantities[place], quantity);
                self.total = self.total - u128::from(old) + u128::from(quantity);
            }
            (false, 0) => {}
            (false, quantity) => {
                if self.prices.len() == LEVELS_PER_SIDE_MAX {
                    return Err(SideFull);
                }
                self.prices.insert(place, level.price.0);
                self.quantities.insert(place, quantity);
                self.total += u128::from(quantity);
            }
        }
        Ok(())
    }

    /// First place whose price is not worse than `price`.
    fn find(&self, price: u32, worse: impl Fn(u32, u32) -> bool) -> usize {
        let len = self.prices.len();
        let near = len.saturating_sub(NEAR_BEST);
        for place in (near..len).rev() {
            if worse(self.prices[place], price) {
                return place + 1;
            }
        }
        self.prices[..near].partition_point(|&stored| worse(stored, price))
    }

    pub(super) fn clear(&mut self) {
        self.prices.clear();
        self.quantities.clear();
        self.total = 0;
    }

    /// The best level.
    #[must_use]
    pub fn best(&self) -> Option<Level> {
        let (&price, &quantity) = (self.prices.last()?, self.quantities.last()?);
        Some(Level { price: Price(price), quantity: Quantity(quantity) })
    }

    /// All levels, worst first, best last: the venue's own order.
    pub fn levels(&self) -> impl DoubleEndedIterator<Item = Level> + ExactSizeIterator + '_ {
        self.prices
            .iter()
            .zip(&self.quantities)
            .map(|(&price, &quantity)| Level { price: Price(price), quantity: Quantity(quantity) })
    }

    /// Levels on this side: its depth.
    #[must_use]
    pub fn len(&self) -> usize {
        self.prices.len()
    }

    /// True when nobody is on this side.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.prices.is_empty()
    }

    /// Sum of all quantities, in units of [`Quantity`].
    #[must_use]
    pub fn total_units(&self) -> u128 {
        self.total
    }

    /// Heap bytes in use and in reserve.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.prices.capacity() * size_of::<u32>() + self.quantities.capacity() * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[derive(Clone, Debug)]
    enum Step {
        Set(u32, u64),
        Replace(Vec<(u32, u64)>),
    }

    fn step() -> impl Strategy<Value = Step> {
        let price = prop_oneof![8 => 480_000u32..520_000, 2 => 0u32..=1_000_000]
            .prop_map(|p| p / 1000 * 1000);
        let quantity = prop_oneof![3 => Just(0u64), 7 => 1u64..1_000_000_000];
        let level = (price, quantity);
        prop_oneof![
            20 => level.clone().prop_map(|(p, q)| Step::Set(p, q)),
            1 => prop::collection::vec(level, 0..80).prop_map(Step::Replace),
        ]
    }

    fn level(&(price, quantity): &(u32, u64)) -> Level {
        Level { price: Price(price), quantity: Quantity(quantity) }
    }

    fn apply(model: &mut BTreeMap<u32, u64>, price: u32, quantity: u64) {
        if quantity == 0 {
            model.remove(&price);
        } else {
            model.insert(price, quantity);
        }
    }

    proptest! {
        #[test]
        fn both_sides_agree_with_a_sorted_map(steps in prop::collection::vec(step(), 1..200)) {
            for side in [Side::Bid, Side::Ask] {
                let mut ladder = Ladder::default();
                let mut model = BTreeMap::new();
                for step in &steps {
                    match step {
                        Step::Set(p, q) => {
                            ladder.set(side, level(&(*p, *q))).unwrap();
                            apply(&mut model, *p, *q);
                        }
                        Step::Replace(levels) => {
                            let all: Vec<Level> = levels.iter().map(level).collect();
                            ladder.replace(side, &all).unwrap();
                            model.clear();
                            levels.iter().for_each(|&(p, q)| apply(&mut model, p, q));
                        }
                    }
                    let mut expected: Vec<Level> =
                        model.iter().map(|(&p, &q)| level(&(p, q))).collect();
                    if side == Side::Ask {
                        expected.reverse();
                    }
                    prop_assert_eq!(ladder.levels().collect::<Vec<_>>(), expected.clone());
                    prop_assert_eq!(ladder.best(), expected.last().copied());
                    let total: u128 = model.values().map(|&q| u128::from(q)).sum();
                    prop_assert_eq!(ladder.total_units(), total);
                }
            }
        }
    }

    #[test]
    fn a_full_side_refuses_and_stays_as_it_was() {
        let mut ladder = Ladder::default();
        for price in 0..LEVELS_PER_SIDE_MAX as u32 {
            ladder.set(Side::Bid, level(&(price, 1))).unwrap();
        }
        assert_eq!(ladder.set(Side::Bid, level(&(999_999, 1))), Err(SideFull));
        assert_eq!(ladder.len(), LEVELS_PER_SIDE_MAX);
        assert_eq!(ladder.set(Side::Bid, level(&(5, 0))), Ok(()));
        assert_eq!(ladder.set(Side::Bid, level(&(999_999, 1))), Ok(()));
        let many = vec![level(&(1, 1)); LEVELS_PER_SIDE_MAX + 1];
        assert_eq!(ladder.replace(Side::Bid, &many), Err(SideFull));
        assert!(ladder.is_empty());
    }
}
