//! Changes of live books, trades and best prices, by token and UTC day.
//!
//! Runs on:  the replay's one shard.
//! Bounds:   a copy of each book, and those of the format.
//!
//! The first rows of a day are a snapshot of the book, everything after them is changes: what a later snapshot says
//! otherwise is written as the levels that differ. Only live books have rows.
use super::gather::Rows;
use super::plan::Tables;
use super::table::Written;
use crate::base::id::{MarketId, TokenId, Venue};
use crate::base::price::{Price, Quantity};
use crate::base::time::MILLISECOND_NS;
use crate::market::book::{Book, BookState, Level, Side};
use crate::market::event::Trade;
use crate::shard::publish::{BookView, Change};
use std::collections::{BTreeMap, HashMap};

pub(super) const DAY_NS: u64 = 86_400 * 1_000_000_000;

/// What a row is about, and when. Times are nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub(super) venue: Venue,
    pub(super) market: MarketId,
    pub(super) token: TokenId,
    /// The market's price step, if it is known.
    pub(super) tick: Option<Price>,
    /// The smallest order, if it is known.
    pub(super) min_order: Option<Quantity>,
    /// The venue's; the time of receipt if it gave none.
    pub(super) venue_ns: u64,
    /// When it was received; in a recording without times of receipt the venue's.
    pub(super) local_ns: u64,
}

impl At {
    fn of(view: &BookView<'_>, venue_ms: u64) -> Self {
        let venue_ns = venue_ms.saturating_mul(MILLISECOND_NS);
        let local_ns = if view.read_wall_ns == 0 { venue_ns } else { view.read_wall_ns };
        let venue_ns = if venue_ms == 0 { local_ns } else { venue_ns };
        let (market, tick) = (*view.market, view.facts.tick_size);
        let (venue, token, min_order) = (view.venue, *view.token, view.facts.min_order_size);
        Self { venue, market, token, tick, min_order, venue_ns, local_ns }
    }

    /// Of the time of receipt, since the epoch.
    pub(super) const fn day(&self) -> u64 {
        self.local_ns / DAY_NS
    }
}

/// A day as in `2026-11-30`.
pub(super) fn date(day: u64) -> String {
    let second = day.saturating_mul(86_400).cast_signed();
    jiff::Timestamp::from_second(second).unwrap_or_default().strftime("%Y-%m-%d").to_string()
}

/// The token in a file's name.
pub(super) fn symbol(token: &TokenId) -> String {
    // A ticker or a token of digits; what could leave the folder is replaced.
    token.as_str().replace(['/', '\\', '\0'], "-")
}

/// A format with files for each token and UTC day.
pub(super) trait DayFormat: Send {
    /// What a stale book is here: true if its levels go and it begins with a snapshot when it is live again, false if
    /// they stay and the levels follow that have changed meanwhile.
    const CLEARS_STALE: bool;

    /// A level of a snapshot, or one that has changed; size 0 removes it.
    fn level(&mut self, at: &At, is_snapshot: bool, side: Side, level: Level)
    -> Result<(), String>;
    /// All levels are gone; only with `CLEARS_STALE`.
    fn clear(&mut self, at: &At) -> Result<(), String>;
    fn trade(&mut self, at: &At, trade: &Trade<'_>) -> Result<(), String>;
    /// Best bid and best ask.
    fn quote(&mut self, at: &At, quote: [Option<Level>; 2]) -> Result<(), String>;
    /// Completes the files.
    fn finish(&mut self) -> Result<Vec<Written>, String>;
}

/// A book as its last row left it.
#[derive(Default)]
struct Shadow {
    /// By price; bids and asks.
    sides: [BTreeMap<Price, Quantity>; 2],
    /// Best bid and best ask of the last row of quotes.
    quote: Option<[Option<Level>; 2]>,
    /// The day of its last row of levels.
    day: Option<u64>,
    is_cleared: bool,
}

/// The rows of all tokens.
pub(super) struct DailyRows<F> {
    tables: Tables,
    format: F,
    shadows: HashMap<TokenId, Shadow>,
}

/// The rows of a change of a book have this time; `None` without any: a book without one has no day, and its levels
/// are in the snapshot of its first one.
fn at(view: &BookView<'_>) -> Option<At> {
    Some(At::of(view, view.facts.timestamp_ms)).filter(|at| at.local_ns > 0)
}

const fn place(side: Side) -> usize {
    match side {
        Side::Bid => 0,
        Side::Ask => 1,
    }
}

fn sides(book: &Book) -> [BTreeMap<Price, Quantity>; 2] {
    [&book.bids, &book.asks]
        .map(|ladder| ladder.levels().map(|level| (level.price, level.quantity)).collect())
}

impl<F: DayFormat> DailyRows<F> {
    pub(super) fn new(tables: Tables, format: F) -> Self {
        Self { tables, format, shadows: HashMap::new() }
    }

    /// The book as a snapshot, the best levels first, if its file of this day has no rows yet or its levels were
    /// cleared. True where it was so.
    fn begin(&mut self, at: &At, book: &Book) -> Result<bool, String> {
        let shadow = self.shadows.entry(at.token).or_default();
        let was_cleared = std::mem::take(&mut shadow.is_cleared);
        if shadow.day.replace(at.day()) == Some(at.day()) && !was_cleared {
            return Ok(false);
        }
        shadow.sides = sides(book);
        for (side, ladder) in [(Side::Bid, &book.bids), (Side::Ask, &book.asks)] {
            for level in ladder.levels().rev() {
                self.format.level(at, true, side, level)?;
            }
        }
        Ok(true)
    }

    /// The levels in which the book differs from its last row.
    fn difference(&mut self, view: &BookView<'_>) -> Result<(), String> {
        let Some(at) = at(view).filter(|_| self.tables.levels) else { return Ok(()) };
        if self.begin(&at, view.book)? {
            return Ok(());
        }
        let Some(shadow) = self.shadows.get_mut(view.token) else { return Ok(()) };
        let now = sides(view.book);
        let before = std::mem::replace(&mut shadow.sides, now.clone());
        for side in [Side::Bid, Side::Ask] {
            let (before, now) = (&before[place(side)], &now[place(side)]);
            for &price in before.keys().filter(|price| !now.contains_key(price)) {
                self.format.level(&at, false, side, Level { price, quantity: Quantity(0) })?;
            }
            for (&price, &quantity) in
                now.iter().filter(|(price, size)| before.get(price) != Some(size))
            {
                self.format.level(&at, false, side, Level { price, quantity })?;
            }
        }
        Ok(())
    }

    /// The book is live no longer.
    fn stale(&mut self, view: &BookView<'_>) -> Result<(), String> {
        let Some(at) = at(view).filter(|_| F::CLEARS_STALE && self.tables.levels) else {
            return Ok(());
        };
        match self.shadows.get_mut(view.token) {
            Some(shadow) if shadow.day.is_some() && !shadow.is_cleared => {
                shadow.is_cleared = true;
                self.format.clear(&at)
            }
            _ => Ok(()),
        }
    }

    /// Best prices, if they are others; none where the book is not live.
    fn quote(&mut self, view: &BookView<'_>) -> Result<(), String> {
        let Some(at) = at(view).filter(|_| self.tables.tops) else { return Ok(()) };
        let quote = match view.state {
            BookState::Live => [view.book.best_bid(), view.book.best_ask()],
            _ => [None, None],
        };
        let shadow = self.shadows.entry(*view.token).or_default();
        let before = shadow.quote.replace(quote);
        if before == Some(quote) || before.is_none() && view.state != BookState::Live {
            return Ok(());
        }
        self.format.quote(&at, quote)
    }
}

impl<F: DayFormat> Rows for DailyRows<F> {
    fn snapshot(&mut self, view: &BookView<'_>) -> Result<(), String> {
        self.status(view)
    }

    fn change(&mut self, view: &BookView<'_>, change: &Change) -> Result<(), String> {
        let is_wanted = self.tables.levels && view.state == BookState::Live;
        if let Some(at) = at(view).filter(|_| is_wanted)
            && !self.begin(&at, view.book)?
        {
            let Level { price, quantity } = change.level;
            let shadow = self.shadows.entry(*view.token).or_default();
            let levels = &mut shadow.sides[place(change.side)];
            match quantity.0 {
                0 => _ = levels.remove(&price),
                _ => _ = levels.insert(price, quantity),
            }
            self.format.level(&at, false, change.side, change.level)?;
        }
        self.quote(view)
    }

    fn status(&mut self, view: &BookView<'_>) -> Result<(), String> {
        if view.state == BookState::Live {
            self.difference(view)?;
        } else {
            self.stale(view)?;
        }
        self.quote(view)
    }

    fn trade(&mut self, view: &BookView<'_>, trade: &Trade<'_>) -> Result<(), String> {
        if !self.tables.trades {
            return Ok(());
        }
        self.format.trade(&At::of(view, trade.timestamp_ms), trade)
    }

    fn finish(&mut self) -> Result<Vec<Written>, String> {
        self.format.finish()
    }
}
