//! One market's recorded book: best prices and mid, depth as a heat map, trades.
//!
//! Runs on:  a replay's shard (aggregation, pure); the starting thread (plot).
//! Bounds:   [`COLUMNS`] columns of four points a curve and of one book, 20 MB with 1,000 levels a side;
//!           [`TRADES_MAX`] marks; a heat map of [`COLUMNS`] x [`ROWS_MAX`] cells in [`SHADES`] shades.
use super::COLUMNS;
use super::columns::{Columns, Merge};
use crate::base::time::MILLISECOND_NS;
use std::collections::BTreeMap;

mod drawing;

pub use drawing::{Caption, render};

/// Marks of trades; with more, those of one price and side that are next to each other become one.
pub const TRADES_MAX: usize = 4_000;
/// Rows of the heat map.
pub const ROWS_MAX: u32 = 100;
/// Shades of the heat map, a side.
pub const SHADES: usize = 10;

/// Value at a time; `None` where there is none from then on.
pub type Point = (u64, Option<u64>);

/// The first, lowest, highest and last point of a column: drawn, they are as all points of it.
#[derive(Clone, Copy, Debug, Default)]
struct Extremes {
    first: Option<Point>,
    low: Option<(u64, u64)>,
    high: Option<(u64, u64)>,
    last: Option<Point>,
}

impl Merge for Extremes {
    fn merge(&mut self, later: Self) {
        self.first = self.first.or(later.first);
        self.last = later.last.or(self.last);
        let [low, high] = [later.low, later.high];
        self.low =
            if low.is_some_and(|l| self.low.is_none_or(|m| l.1 < m.1)) { low } else { self.low };
        self.high = if high.is_some_and(|h| self.high.is_none_or(|m| h.1 > m.1)) {
            high
        } else {
            self.high
        };
    }
}

/// A value that changes with time.
#[derive(Clone, Debug)]
pub struct Series {
    columns: Columns<Extremes>,
    now: Option<Option<u64>>,
}

impl Default for Series {
    fn default() -> Self {
        Self { columns: Columns::new(COLUMNS), now: None }
    }
}

impl Series {
    /// Adds the value from a time on; nothing where it is as before.
    pub fn set(&mut self, at_ns: u64, value: Option<u64>) {
        if self.now == Some(value) {
            return;
        }
        self.now = Some(value);
        let point = Some((at_ns, value));
        let extreme = value.map(|value| (at_ns, value));
        let one = Extremes { first: point, low: extreme, high: extreme, last: point };
        self.columns.at(at_ns).merge(one);
    }

    /// At most four points a column, ascending.
    pub fn points(&self) -> Vec<Point> {
        let mut points = Vec::new();
        for (_, column) in self.columns.iter() {
            let extreme = |point: Option<(u64, u64)>| point.map(|(at, value)| (at, Some(value)));
            let begin = points.len();
            points.extend(column.first);
            points.extend([extreme(column.low), extreme(column.high)].into_iter().flatten());
            points.extend(column.last);
            // The first and the last one of a time keep their places.
            points[begin..].sort_by_key(|point| point.0);
        }
        points.dedup();
        points
    }

    /// Times without a value, each until there is one again or until `end_ns`.
    pub fn gaps(&self, end_ns: u64) -> Vec<(u64, u64)> {
        let mut gaps = Vec::new();
        let mut since = None;
        for (at_ns, value) in self.points() {
            match (since, value) {
                (None, None) => since = Some(at_ns),
                (Some(from_ns), Some(_)) => {
                    gaps.push((from_ns, at_ns));
                    since = None;
                }
                _ => {}
            }
        }
        gaps.extend(since.map(|from_ns| (from_ns, end_ns)));
        gaps.retain(|(from_ns, to_ns)| from_ns < to_ns);
        gaps
    }
}

/// Whose level or trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MarketSide {
    /// Buyers.
    Buy,
    /// Sellers.
    Sell,
}

/// Price and size in units of 1e-6, and side.
pub type DepthLevel = (MarketSide, u32, u64);

/// The book at the end of a column; none where nothing happened in it.
#[derive(Clone, Debug, Default)]
struct Sample(Option<Box<[DepthLevel]>>);

impl Merge for Sample {
    fn merge(&mut self, later: Self) {
        self.0 = later.0.or(self.0.take());
    }
}

/// The book at the end of each column of time.
#[derive(Clone, Debug)]
struct Depth {
    columns: Columns<Sample>,
    book: BTreeMap<(MarketSide, u32), u64>,
    last_ns: Option<u64>,
}

impl Default for Depth {
    fn default() -> Self {
        Self { columns: Columns::new(COLUMNS), book: BTreeMap::new(), last_ns: None }
    }
}

impl Depth {
    /// Time goes on to `at_ns`; the book of a column that ends before is kept.
    fn go_on(&mut self, at_ns: u64) {
        if let Some(last_ns) = self.last_ns
            && self.columns.place(last_ns) != self.columns.place(at_ns)
        {
            self.keep(last_ns);
        }
        self.last_ns = Some(at_ns);
    }

    fn keep(&mut self, last_ns: u64) {
        let level = |(&(side, price), &size): (&(MarketSide, u32), &u64)| (side, price, size);
        let book = self.book.iter().map(level).collect();
        self.columns.at(last_ns).0 = Some(book);
    }

    fn samples(&self) -> Columns<Sample> {
        let mut all = self.clone();
        if let Some(last_ns) = all.last_ns {
            all.keep(last_ns);
        }
        all.columns
    }
}

/// A mark of one trade, or of several of one price and side within a short time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TradeMark {
    /// Receive time of the first, nanoseconds since the Unix epoch.
    pub at_ns: u64,
    /// Price in units of 1e-6.
    pub price: u32,
    /// Sum of the sizes in units of 1e-6.
    pub size: u64,
    /// Who took.
    pub side: MarketSide,
    /// Trades.
    pub count: u64,
}

/// A book that is aggregated while it is replayed. Times do not go back; those that do count as the latest one.
#[derive(Clone, Debug, Default)]
pub struct MarketDay {
    bid: Series,
    ask: Series,
    /// Sum of best bid and best ask.
    mid: Series,
    live: Series,
    depth: Depth,
    trades: Vec<TradeMark>,
    /// Trades of one price and side this near are one mark; 0 for none.
    joined_ns: u64,
    trade_count: u64,
    changes: u64,
    now_ns: u64,
}

impl MarketDay {
    fn go_on(&mut self, at_ns: u64) -> u64 {
        self.now_ns = self.now_ns.max(at_ns);
        self.depth.go_on(self.now_ns);
        self.now_ns
    }

    /// The book is live, with these levels.
    pub fn on_book(&mut self, at_ns: u64, levels: impl Iterator<Item = DepthLevel>) {
        self.go_on(at_ns);
        self.depth.book = levels.map(|(side, price, size)| ((side, price), size)).collect();
    }

    /// A level of a live book has another size; 0 for none.
    pub fn on_level(&mut self, at_ns: u64, (side, price, size): DepthLevel) {
        self.go_on(at_ns);
        self.changes += 1;
        match size {
            0 => _ = self.depth.book.remove(&(side, price)),
            size => _ = self.depth.book.insert((side, price), size),
        }
    }

    /// The best prices of a live book.
    pub fn on_top(&mut self, at_ns: u64, bid: Option<u32>, ask: Option<u32>) {
        let at_ns = self.go_on(at_ns);
        let [bid, ask] = [bid, ask].map(|price| price.map(u64::from));
        self.bid.set(at_ns, bid);
        self.ask.set(at_ns, ask);
        self.mid.set(at_ns, bid.zip(ask).map(|(bid, ask)| bid + ask));
        self.live.set(at_ns, Some(1));
    }

    /// The book is not live from now on.
    pub fn on_not_live(&mut self, at_ns: u64) {
        let at_ns = self.go_on(at_ns);
        self.depth.book.clear();
        for series in [&mut self.bid, &mut self.ask, &mut self.mid, &mut self.live] {
            series.set(at_ns, None);
        }
    }

    /// A trade.
    pub fn on_trade(&mut self, at_ns: u64, price: u32, size: u64, side: MarketSide) {
        let at_ns = self.go_on(at_ns);
        self.trade_count += 1;
        self.trades.push(TradeMark { at_ns, price, size, side, count: 1 });
        if self.trades.len() > TRADES_MAX {
            while self.trades.len() > TRADES_MAX / 2 && self.joined_ns < u64::MAX / 2 {
                self.joined_ns = (self.joined_ns * 2).max(MILLISECOND_NS);
                self.join_trades();
            }
            // More prices than marks: the market's prices have steps far below those of any venue.
            self.trades.truncate(TRADES_MAX);
        }
    }

    fn join_trades(&mut self) {
        let mut joined: BTreeMap<(u64, u32, MarketSide), TradeMark> = BTreeMap::new();
        for trade in self.trades.drain(..) {
            let key = (trade.at_ns / self.joined_ns, trade.price, trade.side);
            let mark = joined.entry(key).or_insert(TradeMark { size: 0, count: 0, ..trade });
            mark.size = mark.size.saturating_add(trade.size);
            mark.count += trade.count;
        }
        self.trades = joined.into_values().collect();
        self.trades.sort_by_key(|trade| trade.at_ns);
    }

    /// Level changes and trades.
    pub const fn counts(&self) -> (u64, u64) {
        (self.changes, self.trade_count)
    }
}

#[cfg(test)]
mod tests;
