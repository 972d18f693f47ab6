//! Books and trades from records of the bus, each once.
//!
//! Runs on:  a reader's thread (pure). Owns: the books.
//! Bounds:   one book for each token; `BUS_TRADES_REMEMBERED` trades.
//!
//! The records of one key come in order. Each has the number of its event in its engine (`sequence`): a record whose
//! number is not above the last one of its book was read before. An engine has another epoch after each start; records
//! of an earlier one are ignored, and its books are awaited until they come again. A token that two engines publish is
//! followed at one of them until its book there is not live. An engine says each second that it is there: while nothing
//! comes of it, its books are stale.
use super::record::{Record, Topic, levels};
use crate::base::id::{MarketId, TokenId, TradeId};
use crate::base::limits::{BUS_SILENT_NS, BUS_TRADES_REMEMBERED};
use crate::base::price::{Price, Quantity};
use crate::market::book::{Book, Level, Side};
use foldhash::fast::FixedState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher as _;
use std::sync::Arc;

/// Why a book is stale whose engine is silent.
const SILENT: &str = "engine_silent";

/// Whether a book of a reader can be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusState {
    /// Its engine follows the venue.
    Live,
    /// No snapshot has come, or records are missing since: the next snapshot repairs it.
    AwaitingSnapshot,
    /// Its engine reports that it is behind, and why; or `engine_silent`: nothing comes of the engine.
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
    /// Smallest order, if known.
    pub min_order_size: Option<Quantity>,
    /// Price of the last trade at the last snapshot, if known.
    pub last_trade: Option<Price>,
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
    /// Fee in basis points, if the venue sends it.
    pub fee_rate_bps: Option<Quantity>,
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
    Trade(Box<BusTrade>),
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

/// What a record has changed, with what is new.
#[derive(Clone, Debug, PartialEq)]
pub enum Applied {
    /// The whole book of a token came.
    Image {
        /// The token.
        token: TokenId,
        /// Records before it are missing.
        gap: bool,
        /// It is what it was, levels and state.
        is_known: bool,
    },
    /// Levels of a book, each with its new whole quantity, in order.
    Changes {
        /// The token.
        token: TokenId,
        /// The levels; at least one.
        levels: Vec<(Side, Level)>,
    },
    /// The price step of a book.
    TickSize {
        /// The token.
        token: TokenId,
        /// The step before, if the venue sends it.
        old: Option<Price>,
        /// The step from now on.
        new: Price,
    },
    /// The state of a book, and nothing else of it.
    State(TokenId),
    /// Anything else.
    Other(BusEvent),
}

impl Applied {
    /// The same for a reader who looks into the books.
    #[must_use]
    pub fn into_event(self) -> BusEvent {
        match self {
            Self::Image { token, .. }
            | Self::Changes { token, .. }
            | Self::TickSize { token, .. }
            | Self::State(token) => BusEvent::Book(token),
            Self::Other(event) => event,
        }
    }
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
    /// When it was read, monotonic nanoseconds.
    pub read_ns: u64,
}

/// An engine that publishes.
#[derive(Debug)]
struct Publishing {
    /// The last one.
    epoch: u64,
    /// When its last record was read, monotonic nanoseconds.
    read_ns: u64,
    is_silent: bool,
    /// As it has reported.
    is_running: Option<bool>,
}

/// The books and trades of the bus.
#[derive(Debug, Default)]
pub struct BusBooks {
    books: HashMap<TokenId, BusBook, FixedState>,
    engines: HashMap<Arc<str>, Publishing>,
    /// Books whose state has changed without a record of their own.
    changed: Vec<TokenId>,
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

    /// Engines that run and are not silent.
    #[must_use]
    pub fn engines(&self) -> usize {
        let runs = |engine: &&Publishing| !engine.is_silent && engine.is_running != Some(false);
        self.engines.values().filter(runs).count()
    }

    /// Books whose state has changed without a record of their own since the last call: their engine has begun, ended or
    /// become silent, or records are missing.
    pub fn take_changed(&mut self) -> Vec<TokenId> {
        std::mem::take(&mut self.changed)
    }

    /// Records of a partition of the topic `books` are missing: its books wait for their next snapshot.
    pub fn on_missing(&mut self, partition: i32) {
        self.set_states(BusState::AwaitingSnapshot, |book| book.partition == partition);
        self.counts.gaps += 1;
    }

    /// It is `now_ns`, monotonic: books of engines that are silent are stale.
    pub fn on_time(&mut self, now_ns: u64) {
        let is_late = |engine: &Publishing| {
            !engine.is_silent && now_ns.saturating_sub(engine.read_ns) > BUS_SILENT_NS
        };
        let late = self.engines.iter_mut().filter(|(_, engine)| is_late(engine));
        let mut silent = Vec::new();
        for (name, engine) in late {
            engine.is_silent = true;
            silent.push(Arc::clone(name));
        }
        for name in silent {
            self.set_states(BusState::Stale(SILENT.to_owned()), |book| {
                book.engine == name && book.state == BusState::Live
            });
        }
    }

    /// Gives the books of a kind this state.
    fn set_states(&mut self, state: BusState, of_kind: impl Fn(&BusBook) -> bool) {
        for (token, book) in &mut self.books {
            if of_kind(book) && book.state != state {
                book.state = state.clone();
                self.changed.push(*token);
            }
        }
    }

    /// A record; what it has changed.
    pub fn on_record(&mut self, topic: Topic, source: Source<'_>, text: &str) -> Option<BusEvent> {
        self.apply(topic, source, text).map(Applied::into_event)
    }

    /// The same with what is new.
    pub fn apply(&mut self, topic: Topic, source: Source<'_>, text: &str) -> Option<Applied> {
        self.counts.records += 1;
        // Of a compacted topic: the last stage of a market stands, however old its engine's epoch is.
        if topic == Topic::Markets {
            return Some(Applied::Other(BusEvent::Market(text.to_owned())));
        }
        let Ok(record) = Record::parse(text) else {
            self.counts.unreadable += 1;
            return None;
        };
        let engine = self.engine(source)?;
        let result = match topic {
            Topic::Books => self.on_book(&record, &engine, source),
            Topic::Trades => self.on_trade(&record, &engine, source),
            Topic::Events => Ok(self.on_event(&record, &engine)),
            Topic::Tops | Topic::Markets | Topic::Slices => Ok(None),
        };
        result.unwrap_or_else(|_| {
            self.counts.unreadable += 1;
            None
        })
    }

    /// The record's engine, unless the record is of an earlier epoch of it.
    fn engine(&mut self, source: Source<'_>) -> Option<Arc<str>> {
        let Source { engine, epoch, read_ns, .. } = source;
        let new = Publishing { epoch, read_ns, is_silent: false, is_running: None };
        let Some((name, known)) = self.engines.get_key_value(engine) else {
            let name: Arc<str> = engine.into();
            self.engines.insert(Arc::clone(&name), new);
            return Some(name);
        };
        if epoch < known.epoch {
            self.counts.outdated += 1;
            return None;
        }
        let (name, was_silent) = (Arc::clone(name), known.is_silent);
        if epoch > known.epoch {
            self.engines.insert(Arc::clone(&name), new);
            self.await_books(&name, epoch);
            return Some(name);
        }
        if let Some(known) = self.engines.get_mut(engine) {
            (known.read_ns, known.is_silent) = (read_ns, false);
        }
        if was_silent {
            // Its records are in order and none is missing.
            self.set_states(BusState::Live, |book| {
                book.engine == name && matches!(&book.state, BusState::Stale(why) if why == SILENT)
            });
        }
        Some(name)
    }

    /// Books of earlier epochs of an engine are known no longer.
    fn await_books(&mut self, engine: &Arc<str>, epoch: u64) {
        self.set_states(BusState::AwaitingSnapshot, |book| {
            book.engine == *engine && book.epoch < epoch
        });
    }

    fn on_event(&mut self, record: &Record<'_>, engine: &Arc<str>) -> Option<Applied> {
        let event = match &*record.kind {
            "loss" => {
                self.counts.trades_lost += record.trades;
                BusEvent::Lost { engine: engine.to_string(), trades: record.trades }
            }
            "engine" => {
                let is_running = record.state.as_deref() == Some("running");
                let known = self.engines.get_mut(engine)?;
                if known.is_running.replace(is_running) == Some(is_running) {
                    return None;
                }
                if !is_running {
                    self.await_books(engine, u64::MAX);
                }
                BusEvent::Engine { engine: engine.to_string(), is_running }
            }
            // The topic of the books has it, in order with their changes.
            _ => return None,
        };
        Some(Applied::Other(event))
    }

    fn on_book(
        &mut self,
        record: &Record<'_>,
        engine: &Arc<str>,
        source: Source<'_>,
    ) -> Result<Option<Applied>, String> {
        let (market, token) = ids(record)?;
        let is_snapshot = record.kind == "snapshot";
        // Topics and partitions are not read in the order in which they were written.
        let has_ended = self.engines.get(engine).is_some_and(|one| one.is_running == Some(false));
        let state = match state(record) {
            BusState::Live if has_ended => BusState::AwaitingSnapshot,
            state => state,
        };
        let (bids, asks) = (levels(&record.bids)?, levels(&record.asks)?);
        let known = self.books.get(&token);
        let is_same = known.is_some_and(|b| b.engine == *engine && b.epoch == source.epoch);
        if let Some(known) = known {
            let is_other = known.engine != *engine;
            let is_needed = known.state != BusState::Live && state == BusState::Live;
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
            let mut levels = Book::default();
            let fits = levels.replace(&bids, &asks).is_ok();
            let is_equal =
                self.books.get(&token).is_some_and(|b| have_equal_levels(&b.book, &levels));
            let state = if fits { state } else { BusState::AwaitingSnapshot };
            let book = BusBook::new(record, (market, state), levels, (engine, source));
            let is_live = book.state == BusState::Live;
            let before = self.books.insert(token, book);
            let was_live = before.is_some_and(|before| before.state == BusState::Live);
            let is_known = is_equal && was_live && is_live && !record.gap;
            return Ok(Some(Applied::Image { token, gap: record.gap, is_known }));
        }
        let Some(book) = self.books.get_mut(&token).filter(|_| is_same) else { return Ok(None) };
        book.sequence = record.sequence;
        if record.state.as_deref() == Some("closed") {
            book.state = BusState::Closed;
            return Ok(Some(Applied::State(token)));
        }
        if matches!(book.state, BusState::AwaitingSnapshot | BusState::Closed) {
            return Ok(None);
        }
        book.apply(record, &bids, &asks);
        if let Some(new) = price(record.new.as_deref()) {
            let old = price(record.old.as_deref());
            return Ok(Some(Applied::TickSize { token, old, new }));
        }
        let bids = bids.into_iter().map(|level| (Side::Bid, level));
        let levels: Vec<(Side, Level)> =
            bids.chain(asks.into_iter().map(|level| (Side::Ask, level))).collect();
        Ok(Some(match levels.is_empty() {
            true => Applied::State(token),
            false => Applied::Changes { token, levels },
        }))
    }

    fn on_trade(
        &mut self,
        record: &Record<'_>,
        engine: &Arc<str>,
        source: Source<'_>,
    ) -> Result<Option<Applied>, String> {
        let (market, token) = ids(record)?;
        let number = (source.epoch, record.sequence);
        let last = self.last_trades.entry((Arc::clone(engine), token)).or_default();
        if number <= *last {
            self.counts.repeated += 1;
            return Ok(None);
        }
        *last = number;
        let price = price(record.price.as_deref()).ok_or("a trade without price")?;
        let trade = BusTrade {
            venue: record.venue.clone().into_owned(),
            market,
            token,
            price,
            quantity: quantity(record.size.as_deref()).ok_or("a trade without size")?,
            side: if record.side.as_deref() == Some("sell") { Side::Ask } else { Side::Bid },
            id: record.id.as_deref().and_then(TradeId::new),
            fee_rate_bps: quantity(record.fee_rate_bps.as_deref()),
            venue_time_ms: record.venue_time,
            receive_time_ns: record.receive_time,
        };
        if self.is_repeated(&trade, (engine, source.epoch)) {
            self.counts.repeated += 1;
            return Ok(None);
        }
        Ok(Some(Applied::Other(BusEvent::Trade(Box::new(trade)))))
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
    fn new(
        record: &Record<'_>,
        (market, state): (MarketId, BusState),
        levels: Book,
        (engine, source): (&Arc<str>, Source<'_>),
    ) -> Self {
        Self {
            venue: record.venue.clone().into_owned(),
            market,
            state,
            book: levels,
            version: record.version,
            venue_time_ms: record.venue_time,
            receive_time_ns: record.receive_time,
            tick_size: price(record.tick_size.as_deref()),
            min_order_size: quantity(record.min_order_size.as_deref()),
            last_trade: price(record.last_trade_price.as_deref()),
            engine: Arc::clone(engine),
            epoch: source.epoch,
            sequence: record.sequence,
            partition: source.partition,
        }
    }

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

fn quantity(text: Option<&str>) -> Option<Quantity> {
    Quantity::parse(text?.as_bytes())
}

fn have_equal_levels(one: &Book, other: &Book) -> bool {
    one.bids.levels().eq(other.bids.levels()) && one.asks.levels().eq(other.asks.levels())
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
