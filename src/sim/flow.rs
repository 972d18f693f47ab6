//! Activity of traders in one market within one millisecond: orders placed and cancelled, trades.
//!
//! Runs on:  the venue's thread (pure).
//!
//! The mix follows recorded sessions: 10-11 % of changes remove a level, about 60 % fall within
//! 7 ticks of the best price and 20 % beyond 20 ticks, sizes have two decimals, a trade takes part
//! of the best level or all of it. Random numbers are drawn from the market's own generator.
use super::book::{Outcome, Side};
use super::market::{Market, TICK_COARSE};
use crate::base::price::{Price, Quantity};
use crate::base::random::Random;

/// Trades among 10,000 actions: each makes one change, two books and one trade message,
/// which gives the recorded ratio 96 : 2.6 : 1.3.
pub(super) const TRADES_PER_10_000: u64 = 135;
/// Removals among 1,000 changes.
const REMOVALS_PER_1000: u64 = 105;
/// 0.01 shares: the resolution of a book's sizes.
const CENT: u64 = 10_000;
/// A coarse grid becomes fine beyond these prices.
const FINE_ABOVE: Price = Price(960_000);
const FINE_BELOW: Price = Price(40_000);

/// A level set to an absolute size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) side: Side,
    pub(super) price: Price,
    pub(super) size: Quantity,
    /// The outcome whose entry is first in the message.
    pub(super) first: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trade {
    pub(super) outcome: Outcome,
    pub(super) price: Price,
    pub(super) size: Quantity,
    pub(super) side: Side,
    pub(super) transaction: String,
    /// Milliseconds from the trade to its message.
    pub(super) delay_ms: u64,
}

/// All changes of one market at one timestamp.
#[derive(Debug, Default)]
pub(super) struct Burst {
    pub(super) changes: Vec<Change>,
    pub(super) trades: Vec<Trade>,
    /// Full books of both outcomes are sent after the changes.
    pub(super) refresh: bool,
    /// The price has left the coarse grid: schedule a finer one.
    pub(super) finer_tick: bool,
}

impl Burst {
    fn set(&mut self, market: &mut Market, side: Side, price: Price, size: Quantity) {
        let first = if market.random.chance(6, 10) { Outcome::First } else { Outcome::Second };
        market.book.set(side, price, size);
        self.changes.push(Change { side, price, size, first });
    }
}

/// Fills an empty book around the market's fair price.
pub(super) fn seed_book(market: &mut Market, depth: usize) {
    let tick = market.tick.0;
    let fair = market.fair.0 / tick * tick;
    // A few markets have one side only, like nearly decided ones.
    let one_sided = market.random.chance(2, 100);
    market.depth = depth;
    for side in [Side::Bid, Side::Ask] {
        if one_sided && (side == Side::Ask) == (fair > 500_000) {
            continue;
        }
        let mut distance = u64::from(side == Side::Ask);
        for _ in 0..depth {
            if let Some(price) = offset(Price(fair), side, distance * u64::from(tick)) {
                let size = draw_size(&mut market.random);
                market.book.set(side, price, size);
            }
            distance += 1 + market.random.below(3) * market.random.below(2);
        }
    }
}

/// Executes `actions`, `trades` of 10,000 of them trades; the book is not crossed afterwards.
pub(super) fn act(market: &mut Market, actions: u32, trades: u64, crossings: bool) -> Burst {
    let mut burst = Burst::default();
    for _ in 0..actions {
        drift(market);
        if market.random.below(10_000) < trades && trade(market, &mut burst) {
            continue;
        }
        if crossings && market.random.chance(1, 150) && cross(market, &mut burst) {
            continue;
        }
        change(market, &mut burst);
    }
    debug_assert!(!market.book.is_crossed(), "a burst left the book crossed");
    let middle = middle(market);
    burst.finer_tick =
        market.tick == TICK_COARSE && !(FINE_BELOW.0..=FINE_ABOVE.0).contains(&middle);
    burst
}

/// Middle of the best prices; an empty side counts as its bound.
fn middle(market: &Market) -> u32 {
    let best = |side| market.book.best_or_bound(Outcome::First, side).0;
    best(Side::Bid).midpoint(best(Side::Ask))
}

fn drift(market: &mut Market) {
    if market.random.chance(1, 40) {
        let step = market.tick.0;
        let up = market.random.chance(1, 2);
        let fair = market.fair.0;
        market.fair = Price(
            if up { fair + step } else { fair.saturating_sub(step) }.clamp(step, 1_000_000 - step),
        );
    }
}

/// Places, resizes or removes one level.
fn change(market: &mut Market, burst: &mut Burst) {
    let side = if market.random.chance(1, 2) { Side::Bid } else { Side::Ask };
    let distance = draw_distance(&mut market.random);
    let count = market.book.side(side).len();
    let room = market.depth.min(room(market, side)).max(1) as u64;
    let additions =
        (REMOVALS_PER_1000 * room * room / (count as u64 * count as u64).max(1)).min(600);
    let kind = market.random.below(1000);
    // A side is emptied only if the outcome is nearly certain.
    let spare = if room <= 3 { 0 } else { 2 };
    if kind < REMOVALS_PER_1000 && count > spare {
        let distance = if distance == 0 && !retreats(market, side) { 1 } else { distance };
        let price = level_near(market, side, distance);
        burst.set(market, side, price, Quantity::ZERO);
    } else if kind < REMOVALS_PER_1000 + additions || count == 0 {
        place(market, burst, side, distance);
    } else {
        let price = level_near(market, side, distance);
        let size = draw_size(&mut market.random);
        burst.set(market, side, price, size);
    }
}

/// Four fifths of the levels that fit the grid on one side of the fair price.
fn room(market: &Market, side: Side) -> usize {
    let span = match side {
        Side::Bid => market.fair.0,
        Side::Ask => 1_000_000 - market.fair.0,
    };
    (span / market.tick.0) as usize * 4 / 5
}

/// Whether removing the best level of `side` moves the price towards its fair value.
fn retreats(market: &Market, side: Side) -> bool {
    match side {
        Side::Bid => middle(market) >= market.fair.0,
        Side::Ask => middle(market) <= market.fair.0,
    }
}

/// A new level `distance` ticks behind the best price, or inside the spread.
fn place(market: &mut Market, burst: &mut Burst, side: Side, distance: u64) {
    let tick = u64::from(market.tick.0);
    let best = market.book.best_or_bound(Outcome::First, side);
    let rival = market.book.best_or_bound(Outcome::First, side.opposite());
    let gap = u64::from(best.0.abs_diff(rival.0)) / tick;
    let empty = market.book.side(side).is_empty();
    let forward = gap > 1 && (distance == 0 || empty);
    let price = if forward && (!retreats(market, side) || gap > 3) {
        let step = if empty { gap - 1 } else { 1 + market.random.below(gap.min(4) - 1) };
        offset(best, side.opposite(), step * tick)
    } else {
        (distance.max(1)..distance + 40)
            .filter_map(|distance| offset(best, side, distance * tick))
            .find(|&price| market.book.size_at(side, price) == Quantity::ZERO)
    };
    match price {
        Some(price) => {
            let size = draw_size(&mut market.random);
            burst.set(market, side, price, size);
        }
        None if !empty => {
            let price = level_near(market, side, distance);
            let size = draw_size(&mut market.random);
            burst.set(market, side, price, size);
        }
        None => {}
    }
}

/// A trade takes from the best level, sometimes from the two best.
fn trade(market: &mut Market, burst: &mut Burst) -> bool {
    let aggressor = if market.random.chance(1, 2) { Side::Bid } else { Side::Ask };
    let resting = aggressor.opposite();
    let steps = 1 + usize::from(market.random.chance(1, 6));
    if market.book.side(resting).len() <= steps + 1 {
        return false;
    }
    let (mut traded, mut price) = (0, Price::ZERO);
    for step in 1..=steps {
        let best = *market.book.side(resting).last().expect("more levels than steps");
        // Six decimals; the remaining size is truncated to two.
        let all = step < steps || market.random.chance(1, 4);
        let part = if all { best.size.0 } else { 1 + market.random.below(best.size.0) };
        let left = (best.size.0 - part) / CENT * CENT;
        burst.set(market, resting, best.price, Quantity(left));
        traded += part;
        price = best.price;
    }
    let outcome = if market.random.chance(7, 10) { Outcome::First } else { Outcome::Second };
    let trade = Trade {
        outcome,
        price: outcome.price(price),
        size: Quantity(traded),
        side: outcome.side(aggressor),
        transaction: super::market::make_condition(&mut market.random),
        delay_ms: 30 + market.random.below(21),
    };
    market.note_trade(trade.price, trade.size);
    burst.trades.push(trade);
    burst.refresh = true;
    true
}

/// The price jumps: at one timestamp a bid reaches the best ask before that ask is removed.
fn cross(market: &mut Market, burst: &mut Burst) -> bool {
    let side = if middle(market) < market.fair.0 { Side::Bid } else { Side::Ask };
    let resting = side.opposite();
    if market.book.side(resting).len() < 3 || market.book.side(side).is_empty() {
        return false;
    }
    let best = market.book.best(resting).expect("three levels");
    let size = draw_size(&mut market.random);
    burst.set(market, side, best, size);
    burst.set(market, resting, best, Quantity::ZERO);
    true
}

/// Price of the level `distance` ticks behind the best, or of the next one that exists.
fn level_near(market: &Market, side: Side, distance: u64) -> Price {
    let levels = market.book.side(side);
    let best = levels.last().expect("the side has levels").price;
    let reach = distance * u64::from(market.tick.0);
    let far = |price: Price| u64::from(price.0.abs_diff(best.0)) >= reach;
    levels.iter().rev().find(|level| far(level.price)).unwrap_or(&levels[0]).price
}

/// `units` away from the spread, if that is a price.
fn offset(price: Price, side: Side, units: u64) -> Option<Price> {
    let moved = match side {
        Side::Bid => u64::from(price.0).checked_sub(units)?,
        Side::Ask => u64::from(price.0) + units,
    };
    (moved > 0 && moved < 1_000_000).then_some(Price(moved as u32))
}

/// Ticks from the best price.
fn draw_distance(random: &mut Random) -> u64 {
    match random.below(100) {
        0..14 => 0,
        14..60 => 1 + random.below(7),
        60..80 => 8 + random.below(13),
        _ => 21 + random.below(40),
    }
}

/// Round and odd sizes from 1 to about a million shares, two decimals.
fn draw_size(random: &mut Random) -> Quantity {
    const ROUND: [u64; 10] = [5, 10, 15, 20, 25, 50, 100, 200, 500, 1000];
    let cents = match random.below(10) {
        0..4 => 100 * ROUND[random.below(10) as usize],
        4..9 => {
            let magnitude = [100, 1_000, 1_000, 10_000, 10_000, 100_000][random.below(6) as usize];
            magnitude + random.below(9 * magnitude)
        }
        _ => 1_000_000 + random.below(100_000_000),
    };
    Quantity(cents * CENT)
}

#[cfg(test)]
mod tests;
