//! Books and trades from records of the bus, each once.
//!
//! Runs on:  a reader's thread (pure). Owns: the books.
//! Bounds:   one book for each token; `BUS_TRADES_REMEMBERED` trades.
//!
//! The records of one key come in order. Each has the number of its event in its engine (`sequence`): a record whose
//! number is not above the last one of its book was read before. An engine has another epoch after each start; records
//! of an earlier one are ignored, and its books are awaited until they come again. A token that two engines publish is
//! followed at one of them until its book there is not live.
use super::record::{Record, Topic, levels};
use crate::base::id::{MarketId, TokenId, TradeId};
use crate::base::limits::BUS_TRADES_REMEMBERED;
use crate::base::price::{Price, Quantity};
use crate::market::book::{Book, Level, Side};
use foldhash::fast::FixedState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher as _;
use std::sync::Arc;

/// Whether a book of a reader can be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusState {
    /// Its engine follows the venue.
    Live,
    /// No snapshot has come, or records are missing since: the next snapshot repairs it.
    AwaitingSnapshot,
    /// Its engine reports that it is behind, and why.
    Stale(String),
    /// No engine holds it.
    Closed,
}

/// A book of a reader.
#[derive(Clone, Debug)]
pub struct BusBook {
    /// Name of the venue.
    pub venue: String,
    /// The market.
    pub market: MarketId,
    /// Whether the levels can be trusted.
    pub state: BusState,
    /// The levels.
    pub book: Book,
    /// Changes of the book in its engine.
    pub version: u64,
    /// Venue time of the last change, milliseconds since the Unix epoch; 0 if unknown.
    pub venue_time_ms: u64,
    /// When its engine read the last change, nanoseconds since the Unix epoch.
    pub receive_time_ns: u64,
    /// Smallest price step, if known.
    pub tick_size: Option<Price>,
    /// The engine that publishes it.
    pub engine: Arc<str>,
    epoch: u64,
    sequence: u64,
    partition: i32,
}

/// A trade of a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusTrade {
    /// Name of the venue.
    pub venue: String,
    /// The market.
    pub market: MarketId,
    /// The token.
    pub token: TokenId,
    /// Price.
    pub price: Price,
    /// Quantity.
    pub quantity: Quantity,
    /// What the aggressor did: `Bid` bought, `Ask` sold.
    pub side: Side,
    /// Hash of the settling transaction or trade id, if the venue sends one.
    pub id: Option<TradeId>,
    /// Venue time, milliseconds since the Unix epoch; 0 if unknown.
    pub venue_time_ms: u64,
    /// When the engine read it, nanoseconds since the Unix epoch.
    pub receive_time_ns: u64,
}

/// What a record has changed.
#[derive(Clone, Debug, PartialEq)]
pub enum BusEvent {
    /// Levels or state of a book.
    Book(TokenId),
    /// A trade.
    Trade(BusTrade),
    /// A market has come to another stage: the record.
    Market(String),
    /// Trades are not on the bus: the engine had no room for so many.
    Lost {
        /// The engine.
        engine: String,
        /// How many since its last such record.
        trades: u64,
    },
    /// An engine has begun or ended.
    Engine {
        /// Its name.
        engine: String,
        /// It has begun.
        is_running: bool,
    },
}

/// What a reader has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BusCounts {
    /// Records.
    pub records: u64,
    /// Records that were read before, or are another engine's of the same trade or book.
    pub repeated: u64,
    /// Records of an earlier epoch of their engine.
    pub outdated: u64,
    /// Snapshots that stand for records that are missing.
    pub gaps: u64,
    /// Trades that engines report as lost.
    pub trades_lost: u64,
    /// Records that are none of ringbook's.
    pub unreadable: u64,
}

/// Where a record is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source<'a> {
    /// The engine of its header.
    pub engine: &'a str,
    /// The epoch of its header.
    pub epoch: u64,
    /// Its partition.
    pub partition: i32,
}

/// The books and trades of the bus.
#[derive(Debug, Default)]
pub struct BusBooks {
    books: HashMap<TokenId, BusBook, FixedState>,
    /// The last epoch of each engine.
    engines: HashMap<Arc<str>, u64>,
    /// Last trade of each token at each engine: epoch and number.
    last_trades: HashMap<(Arc<str>, TokenId), (u64, u64), FixedState>,
    /// Trades by what identifies them, with hash of engine and epoch.
    trades: HashMap<u64, u64, FixedState>,
    order: VecDeque<u64>,
    counts: BusCounts,
}

impl BusBooks {
    /// The book of a token.
    #[must_use]
    pub fn book(&self, token: &TokenId) -> Option<&BusBook> {
        self.books.get(token)
    }

    /// All books.
    pub fn books(&self) -> impl Iterator<Item = (&TokenId, &BusBook)> {
        self.books.iter()
    }

    /// What was counted.
    #[must_use]
    pub const fn counts(&self) -> BusCounts {
        self.counts
    }

    /// Records of a partition of the topic `books` are missing: its books wait for their next snapshot.
    pub fn on_missing(&mut self, partition: i32) {
        for book in self.books.values_mut().filter(|book| book.partition == partition) {
            book.state = BusState::AwaitingSnapshot;
        }
        self.counts.gaps += 1;
    }

    /// A record; what it has changed.
    pub fn on_record(&mut self, topic: Topic, source: Source<'_>, text: &str) -> Option<BusEvent> {
        self.counts.records += 1;
        let Ok(record) = Record::parse(text) else {
            self.counts.unreadable += 1;
            return None;
        };
        let engine = self.engine(source)?;
        let result = match topic {
            Topic::Books => self.on_book(&record, &engine, source),
            Topic::Trades => self.on_trade(&record, &engine, source),
            Topic::Markets => Ok(Some(BusEvent::Market(text.to_owned()))),
            Topic::Events => Ok(self.on_event(&record, &engine)),
            Topic::Tops => Ok(None),
        };
        result.unwrap_or_else(|_| {
            self.counts.unreadable += 1;
            None
        })
    }

    /// The record's engine, unless the record is of an earlier epoch of it.
    fn engine(&mut self, source: Source<'_>) -> Option<Arc<str>> {
        let Source { engine, epoch, .. } = source;
        let Some((name, last)) = self.engines.get_key_value(engine) else {
            let name: Arc<str> = engine.into();
            self.engines.insert(Arc::clone(&name), epoch);
            return Some(name);
        };
        if epoch < *last {
            self.counts.outdated += 1;
            return None;
        }
        let name = Arc::clone(name);
        if epoch > *last {
            self.engines.insert(Arc::clone(&name), epoch);
            self.await_books(&name, epoch);
        }
        Some(name)
    }

    /// Books of earlier epochs of an engine are known no longer.
    fn await_books(&mut self, engine: &Arc<str>, epoch: u64) {
        let old = |book: &&mut BusBook| book.engine == *engine && book.epoch < epoch;
        for book in self.books.values_mut().filter(old) {
            book.state = BusState::AwaitingSnapshot;
        }
    }

    fn on_event(&mut self, record: &Record<'_>, engine: &Arc<str>) -> Option<BusEvent> {
        match &*record.kind {
            "loss" => {
                self.counts.trades_lost += record.trades;
                Some(BusEvent::Lost { engine: engine.to_string(), trades: record.trades })
            }
            "engine" => {
                let is_running = record.state.as_deref() == Some("running");
                if !is_running {
                    self.await_books(engine, u64::MAX);
                }
                Some(BusEvent::Engine { engine: engine.to_string(), is_running })
            }
            // The topic of the books has it, in order with their changes.
            _ => None,
        }
    }

    fn on_book(
        &mut self,
        record: &Record<'_>,
        engine: &Arc<str>,
        source: Source<'_>,
    ) -> Result<Option<BusEvent>, String> {
        let (market, token) = ids(record)?;
        let is_snapshot = record.kind == "snapshot";
        let (bids, asks) = (levels(&record.bids)?, levels(&record.asks)?);
        let known = self.books.get(&token);
        let is_same = known.is_some_and(|b| b.engine == *engine && b.epoch == source.epoch);
        if let Some(known) = known {
            let is_other = known.engine != *engine;
            let is_needed = known.state != BusState::Live && state(record) == BusState::Live;
            // A snapshot that was asked for, and the notice that records are left out, have the number of the event
            // before them.
            let has_own = !is_snapshot && record.kind != "state";
            let is_old = is_same
                && (record.sequence < known.sequence
                    || has_own && record.sequence == known.sequence);
            if is_old || is_other && !(is_snapshot && is_needed) {
                self.counts.repeated += 1;
                return Ok(None);
            }
        }
        if is_snapshot {
            self.counts.gaps += u64::from(record.gap && is_same);
            let mut book = Book::default();
            let fits = book.replace(&bids, &asks).is_ok();
            let book = BusBook {
                venue: record.venue.clone().into_owned(),
                market,
                state: if fits { state(record) } else { BusState::AwaitingSnapshot },
                book,
                version: record.version,
                venue_time_ms: record.venue_time,
                receive_time_ns: record.receive_time,
                tick_size: price(record.tick_size.as_deref()),
                engine: Arc::clone(engine),
                epoch: source.epoch,
                sequence: record.sequence,
                partition: source.partition,
            };
            self.books.insert(token, book);
            return Ok(Some(BusEvent::Book(token)));
        }
        let Some(book) = self.books.get_mut(&token).filter(|_| is_same) else { return Ok(None) };
        book.sequence = record.sequence;
        if record.state.as_deref() == Some("closed") {
            book.state = BusState::Closed;
            return Ok(Some(BusEvent::Book(token)));
        }
        if matches!(book.state, BusState::AwaitingSnapshot | BusState::Closed) {
            return Ok(None);
        }
        book.apply(record, &bids, &asks);
        Ok(Some(BusEvent::Book(token)))
    }

    fn on_trade(
        &mut self,
        record: &Record<'_>,
        engine: &Arc<str>,
        source: Source<'_>,
    ) -> Result<Option<BusEvent>, String> {
        let (market, token) = ids(record)?;
        let number = (source.epoch, record.sequence);
        let last = self.last_trades.entry((Arc::clone(engine), token)).or_default();
        if number <= *last {
            self.counts.repeated += 1;
            return Ok(None);
        }
        *last = number;
        let size = record.size.as_deref().and_then(|size| Quantity::parse(size.as_bytes()));
        let price = price(record.price.as_deref()).ok_or("a trade without price")?;
        let trade = BusTrade {
            venue: record.venue.clone().into_owned(),
            market,
            token,
            price,
            quantity: size.ok_or("a trade without size")?,
            side: if record.side.as_deref() == Some("sell") { Side::Ask } else { Side::Bid },
            id: record.id.as_deref().and_then(TradeId::new),
            venue_time_ms: record.venue_time,
            receive_time_ns: record.receive_time,
        };
        if self.is_repeated(&trade, (engine, source.epoch)) {
            self.counts.repeated += 1;
            return Ok(None);
        }
        Ok(Some(BusEvent::Trade(trade)))
    }

    /// Whether another engine, or an earlier epoch of this one, has published the same trade. Two equal trades of one
    /// transaction are two: their engine has published both.
    fn is_repeated(&mut self, trade: &BusTrade, source: (&Arc<str>, u64)) -> bool {
        let Some(id) = trade.id else { return false };
        let state = FixedState::default();
        let BusTrade { token, price, quantity, side, venue_time_ms, .. } = trade;
        let key = (id, token, price.0, quantity.0, *side == Side::Bid, venue_time_ms);
        let (key, source) = (state.hash_one(key), state.hash_one(source));
        if let Some(first) = self.trades.get(&key) {
            return *first != source;
        }
        self.trades.insert(key, source);
        self.order.push_back(key);
        if self.order.len() > BUS_TRADES_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.trades.remove(&oldest);
        }
        false
    }
}

impl BusBook {
    /// A change, a price step or a state.
    fn apply(&mut self, record: &Record<'_>, bids: &[Level], asks: &[Level]) {
        self.version = self.version.max(record.version);
        self.receive_time_ns = record.receive_time;
        if record.venue_time > 0 {
            self.venue_time_ms = record.venue_time;
        }
        if let Some(step) = price(record.new.as_deref()) {
            self.tick_size = Some(step);
        }
        let sides = [(Side::Bid, bids), (Side::Ask, asks)];
        let mut all =
            sides.iter().flat_map(|&(side, levels)| levels.iter().map(move |l| (side, l)));
        let fits = all.all(|(side, &level)| self.book.set(side, level).is_ok());
        if !fits {
            self.state = BusState::AwaitingSnapshot;
        } else if record.state.is_some() {
            self.state = state(record);
        }
    }
}

fn ids(record: &Record<'_>) -> Result<(MarketId, TokenId), String> {
    let ids = MarketId::new(&record.market).zip(TokenId::new(&record.token));
    ids.ok_or_else(|| "a record without market and token".to_owned())
}

fn price(text: Option<&str>) -> Option<Price> {
    Price::parse(text?.as_bytes())
}

/// The state that a record reports.
fn state(record: &Record<'_>) -> BusState {
    match record.state.as_deref() {
        Some("live") => BusState::Live,
        Some("stale") => BusState::Stale(record.reason.as_deref().unwrap_or_default().to_owned()),
        Some("closed") => BusState::Closed,
        _ => BusState::AwaitingSnapshot,
    }
}

#[cfg(test)]
mod tests;
