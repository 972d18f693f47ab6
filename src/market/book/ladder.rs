//! One side of a book: packed levels in order, the best in place and the rest on the heap.
//!
//! Runs on:  any (pure). Bounds: `LEVELS_PER_SIDE_MAX` levels; memory follows the levels in use.
//!
//! A level is one word, price above quantity, and words of both sides sort from worst to best. The
//! best `NEAR` stand in the ladder itself: most changes fall there, and need no cache line but
//! those that hold the book anyway. The others stand in one array with the best last, which is also
//! where levels come and go as the best ones move.
//!
//! Values that do not fit a word are as exact as all others: the first of them makes its side wide,
//! with a word for each, until the next snapshot. `cargo bench --bench book` compares this with the
//! other forms that were tried.
use super::{Level, ReplaceError, Side, SideFull};
use crate::base::{
    limits::LEVELS_PER_SIDE_MAX,
    price::{Price, Quantity},
};

/// Levels within the ladder: one cache line of words.
const NEAR: usize = 8;
/// Levels of a cache line.
const LINE: usize = 8;
/// Lines of the others looked at from the best before the search halves what is left: lines in a
/// row are fetched together, while halving waits for each.
const LINES: usize = 3;

/// Bits of a word below the price.
const PRICE_SHIFT: u32 = 44;
/// Prices of a word lie below. A seller's is stored as this minus the price: higher is better.
const PRICE_END: u64 = u64::MAX >> PRICE_SHIFT;
/// Set in words of buyers. A seller's price is not zero in a word: no word of a level is zero.
const BID: u64 = 1 << 43;
/// Set in a word whose quantity counts [`CENT`]s of a share.
const CENTS: u64 = 1 << 42;
/// A hundredth of a share, the venue's usual step, in units of [`Quantity`].
const CENT: u64 = 10_000;
/// Quantities of a word lie below, 1.1e9 shares: so the sum of a full side fits 64 bits.
const QUANTITY_END: u64 = 1 << 50;

const _: () = {
    assert!((LEVELS_PER_SIDE_MAX as u64 - 1) <= u64::MAX / QUANTITY_END);
    assert!(QUANTITY_END / CENT < CENTS);
    assert!((Price::ONE.0 as u64) < PRICE_END);
};

/// One side of a book, best level last. Every quantity is above zero, every price is there once.
#[derive(Clone, Debug, Default)]
pub struct Ladder(Form);

#[derive(Clone, Debug)]
enum Form {
    Packed(Packed),
    Wide(Box<Wide>),
}

impl Default for Form {
    fn default() -> Self {
        Self::Packed(Packed::default())
    }
}

/// Levels as words, from worst to best: `far`, then what is in use of `near`.
#[derive(Clone, Debug, Default)]
struct Packed {
    /// Best last; absent ones, all zero, first. There is a `far` only while none is absent.
    near: [Word; NEAR],
    far: Vec<Word>,
    /// Sum of all quantities.
    total: u64,
}

/// A side with a level that does not fit a word: seen in no recording.
#[derive(Clone, Debug)]
struct Wide {
    levels: Vec<Level>,
    total: u128,
}

/// From the top: 20 bits of price (a seller's turned around); [`BID`]; [`CENTS`]; 42 bits of
/// quantity, in units (to 4.4e6 shares) or in cents (to 1.1e9 shares).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Word(u64);

impl Word {
    const ABSENT: Self = Self(0);

    /// The lowest word of this price; `None` when it is out of range.
    fn at(side: Side, price: Price) -> Option<Self> {
        let price = u64::from(price.0);
        let low = match side {
            Side::Bid => price << PRICE_SHIFT | BID,
            Side::Ask => (PRICE_END ^ price) << PRICE_SHIFT,
        };
        (price < PRICE_END).then_some(Self(low))
    }

    /// The word with a quantity; `None` when it cannot hold it exactly.
    fn with(self, quantity: Quantity) -> Option<Self> {
        if quantity.0 < CENTS {
            Some(Self(self.0 | quantity.0))
        } else if quantity.0 < QUANTITY_END && quantity.0.is_multiple_of(CENT) {
            Some(Self(self.0 | CENTS | (quantity.0 / CENT)))
        } else {
            None
        }
    }

    fn same_price(self, other: Self) -> bool {
        self.0 >> PRICE_SHIFT == other.0 >> PRICE_SHIFT
    }

    fn units(self) -> u64 {
        let count = self.0 & (CENTS - 1);
        if self.0 & CENTS == 0 { count } else { count * CENT }
    }

    fn price(self, side: Side) -> Price {
        let above = self.0 >> PRICE_SHIFT;
        Price(if side == Side::Bid { above } else { PRICE_END ^ above } as u32)
    }

    fn level(self) -> Level {
        let side = if self.0 & BID == 0 { Side::Ask } else { Side::Bid };
        Level { price: self.price(side), quantity: Quantity(self.units()) }
    }
}

impl Packed {
    fn len(&self) -> usize {
        self.far.len() + self.near.iter().filter(|&&word| word != Word::ABSENT).count()
    }

    /// Sets the level whose lowest word is `low` to `word`, of `units`; to `low`, which has no quantity, to
    /// take it out.
    #[inline]
    fn set(&mut self, low: Word, word: Word, units: u64) -> Result<(), SideFull> {
        let worse = count_worse(&self.near, low);
        let place = match self.near.get_mut(worse) {
            Some(there) if there.same_price(low) => there,
            _ => return self.set_absent(worse, low, word),
        };
        self.total = self.total - place.units() + units;
        if word != low {
            *place = word;
        } else {
            self.remove_near(worse);
        }
        Ok(())
    }

    // Those that are not inlined move levels: without their registers the usual change saves none.

    /// Takes out a near level; the best of the others is near from then on.
    #[inline(never)]
    fn remove_near(&mut self, place: usize) {
        self.near.copy_within(..place, 1);
        self.near[0] = self.far.pop().unwrap_or(Word::ABSENT);
    }

    /// The same where the price is not among the near ones, of which `worse` are worse.
    #[inline(never)]
    fn set_absent(&mut self, worse: usize, low: Word, word: Word) -> Result<(), SideFull> {
        let worst = self.near[0];
        if worse == 0 && worst != Word::ABSENT {
            return self.set_far(low, word);
        }
        if word != low {
            if worst != Word::ABSENT {
                make_place(&mut self.far)?;
                self.far.push(worst);
            }
            self.near.copy_within(1..worse, 0);
            self.near[worse - 1] = word;
            self.total += word.units();
        }
        Ok(())
    }

    fn set_far(&mut self, low: Word, word: Word) -> Result<(), SideFull> {
        let place = find(&self.far, low);
        match self.far.get_mut(place) {
            Some(there) if there.same_price(low) => {
                self.total = self.total - there.units() + word.units();
                if word != low {
                    *there = word;
                } else {
                    self.far.remove(place);
                }
            }
            _ if word != low => {
                make_place(&mut self.far)?;
                self.far.insert(place, word);
                self.total += word.units();
            }
            _ => {}
        }
        Ok(())
    }
}

/// How many words of a line, which are in order, are worse than `low`. Free of branches that hang on single prices: a
/// processor guesses those wrong.
#[inline]
fn count_worse(line: &[Word; LINE], low: Word) -> usize {
    let pairs = [1, 3, 5, 7].map(|last| usize::from(line[last] < low));
    let worse = 2 * (pairs[0] + pairs[1] + pairs[2] + pairs[3]);
    worse + line.get(worse).map_or(0, |&first| usize::from(first < low))
}

/// First place whose price is not worse than that of `low`.
fn find(words: &[Word], low: Word) -> usize {
    let mut left = words;
    for _ in 0..LINES {
        let Some((rest, line)) = left.split_last_chunk::<LINE>() else {
            return left.iter().filter(|&&word| word < low).count();
        };
        match count_worse(line, low) {
            0 => left = rest,
            worse => return rest.len() + worse,
        }
    }
    left.partition_point(|&word| word < low)
}

/// Makes place for one more level besides those that are near.
fn make_place(far: &mut Vec<Word>) -> Result<(), SideFull> {
    if far.len() + NEAR == LEVELS_PER_SIDE_MAX {
        return Err(SideFull);
    }
    if far.len() == far.capacity() {
        far.reserve_exact(room(far.len() + 1) - far.len());
    }
    Ok(())
}

/// Places to make for `count` levels: the next quarter of a power of two, which is also how
/// allocators step their sizes, so that at most a fifth of the memory waits unused.
fn room(count: usize) -> usize {
    if count <= 4 {
        return count.next_multiple_of(4);
    }
    let step = (count - 1).ilog2().saturating_sub(2).max(1);
    ((count - 1) >> step << step) + (1 << step)
}

impl Wide {
    fn set(&mut self, side: Side, level: Level) -> Result<(), SideFull> {
        let worse = |other: &Level| match side {
            Side::Bid => other.price < level.price,
            Side::Ask => other.price > level.price,
        };
        let place = self.levels.partition_point(worse);
        let there = self.levels.get(place).filter(|there| there.price == level.price);
        let before = there.map_or(0, |there| there.quantity.0);
        match (there.is_some(), level.quantity) {
            (true, Quantity::ZERO) => drop(self.levels.remove(place)),
            (true, _) => self.levels[place] = level,
            (false, Quantity::ZERO) => {}
            (false, _) if self.levels.len() == LEVELS_PER_SIDE_MAX => return Err(SideFull),
            (false, _) => self.levels.insert(place, level),
        }
        self.total = self.total - u128::from(before) + u128::from(level.quantity.0);
        Ok(())
    }
}

impl Ladder {
    pub(super) fn replace(&mut self, side: Side, levels: &[Level]) -> Result<(), ReplaceError> {
        self.clear();
        if levels.len() > LEVELS_PER_SIDE_MAX {
            return Err(ReplaceError::SideFull);
        }
        if let Form::Packed(Packed { far, .. }) = &mut self.0 {
            let room = room(levels.len().saturating_sub(NEAR));
            if far.capacity() < room {
                far.reserve_exact(room);
            } else if far.capacity() / 4 > room {
                far.shrink_to(room);
            }
        }
        // The venue sends each side worst first, so this appends; any other order sorts itself in.
        levels.iter().try_for_each(|&level| self.set(side, level))?;
        if self.len() < levels.len() && !self.has_all(side, levels) {
            return Err(ReplaceError::PriceRepeated);
        }
        Ok(())
    }

    #[cold]
    fn has_all(&self, side: Side, levels: &[Level]) -> bool {
        levels.iter().all(|level| self.quantity_at(side, level.price) == level.quantity)
    }

    #[inline]
    pub(super) fn set(&mut self, side: Side, level: Level) -> Result<(), SideFull> {
        if let Form::Packed(packed) = &mut self.0
            && let Some(low) = Word::at(side, level.price)
            && let Some(word) = low.with(level.quantity)
        {
            return packed.set(low, word, level.quantity.0);
        }
        self.wide().set(side, level)
    }

    /// The quantity at one price; zero where there is no level.
    #[must_use]
    pub fn quantity_at(&self, side: Side, price: Price) -> Quantity {
        match &self.0 {
            Form::Packed(packed) => {
                let Some(low) = Word::at(side, price) else { return Quantity::ZERO };
                let worse = count_worse(&packed.near, low);
                let near = packed.near.get(worse).filter(|word| word.same_price(low));
                let found = near.or_else(|| {
                    let there = packed.far.get(find(&packed.far, low));
                    there.filter(|word| word.same_price(low))
                });
                Quantity(found.map_or(0, |word| word.units()))
            }
            Form::Wide(wide) => {
                let found = wide.levels.iter().find(|level| level.price == price);
                found.map_or(Quantity::ZERO, |level| level.quantity)
            }
        }
    }

    #[cold]
    fn wide(&mut self) -> &mut Wide {
        if let Form::Packed(packed) = &self.0 {
            let wide = Wide { levels: self.levels().collect(), total: packed.total.into() };
            self.0 = Form::Wide(Box::new(wide));
        }
        match &mut self.0 {
            Form::Wide(wide) => wide,
            Form::Packed(_) => unreachable!("it was made wide above"),
        }
    }

    /// Forgets all levels; a side that was wide is packed again.
    pub(super) fn clear(&mut self) {
        match &mut self.0 {
            Form::Packed(Packed { near, far, total }) => {
                *near = Default::default();
                far.clear();
                *total = 0;
            }
            Form::Wide(_) => self.0 = Form::default(),
        }
    }

    /// The best level.
    #[must_use]
    pub fn best(&self) -> Option<Level> {
        match &self.0 {
            Form::Packed(packed) => {
                let best = packed.near[NEAR - 1];
                (best != Word::ABSENT).then(|| best.level())
            }
            Form::Wide(wide) => wide.levels.last().copied(),
        }
    }

    /// The price of the best level; `empty` where there is none.
    #[inline]
    pub(crate) fn best_price_or(&self, side: Side, empty: Price) -> Price {
        let Form::Packed(packed) = &self.0 else {
            return self.best().map_or(empty, |level| level.price);
        };
        let best = packed.near[NEAR - 1];
        if best == Word::ABSENT { empty } else { best.price(side) }
    }

    /// All levels, worst first, best last: the venue's own order.
    pub fn levels(&self) -> impl DoubleEndedIterator<Item = Level> + ExactSizeIterator + '_ {
        let (far, near, wide): (&[Word], &[Word], &[Level]) = match &self.0 {
            Form::Packed(packed) => {
                let absent = packed.far.len() + NEAR - packed.len();
                (&packed.far, &packed.near[absent..], &[])
            }
            Form::Wide(wide) => (&[], &[], &wide.levels),
        };
        (0..far.len() + near.len() + wide.len()).map(move |place| {
            let word = far.get(place).or_else(|| near.get(place - far.len()));
            word.map_or_else(|| wide[place], |word| word.level())
        })
    }

    /// Levels on this side: its depth.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Packed(packed) => packed.len(),
            Form::Wide(wide) => wide.levels.len(),
        }
    }

    /// True when this side has no level.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.best().is_none()
    }

    /// Sum of all quantities, in units of [`Quantity`].
    #[must_use]
    pub fn total_units(&self) -> u128 {
        match &self.0 {
            Form::Packed(packed) => packed.total.into(),
            Form::Wide(wide) => wide.total,
        }
    }

    /// Heap bytes in use and in reserve.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Form::Packed(packed) => packed.far.capacity() * size_of::<Word>(),
            Form::Wide(wide) => size_of::<Wide>() + wide.levels.capacity() * size_of::<Level>(),
        }
    }
}

#[cfg(test)]
mod tests;
