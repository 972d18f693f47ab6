//! Books and trades from records of the bus, each once.
//!
//! Runs on:  a reader's thread (pure). Owns: the books.
//! Bounds:   one book for each token at each engine; closed ones for `BUS_CLOSED_NS`, those of an engine that is gone
//!           for `BUS_FORGET_NS`; trades and races as `trades` and `races` have them.
//!
//! The records of one key come in order. Each has the number of its event in its engine (`sequence`): a record whose
//! number is not above the last one of its book was read before. An engine has another epoch after each start; records
//! of an earlier one are ignored, and its books are awaited until they come again. An engine says each second that it
//! is there: while nothing comes of it, its books are stale.
//!
//! Of a token that several engines publish there is one book for each of them. Their numbers and versions are their
//! own, so changes of two engines are never put together: a reader has the whole book of one engine at each time, of
//! those that are live the one that is furthest in the venue's time, and with one venue time, by the number of changes
//! that it has of it. So a change is there when the first engine has published it. What changes for consumers when
//! another engine's book is taken are the levels in which the two are different.
mod book;
mod engines;
mod event;
mod feeds;
mod trades;

pub use self::book::{BusBook, BusState};
pub use self::event::{Applied, BusEvent, BusTrade};

use self::book::{Update, price, quantity, state};
use self::engines::{Arrival, Engines};
use self::feeds::Feeds;
use self::trades::Trades;
use super::races::{BusRacer, RaceKind, Races};
use super::record::{Record, Topic, levels};
use super::slices::{Fence, Slices};
use crate::base::id::{MarketId, TokenId, TradeId};
use crate::base::limits::BUS_HOUSEKEEPING_NS;
use crate::base::slices::slice_of;
use crate::cluster::claim::{CatalogScan, Claim};
use crate::counter::bus_source::BusCounts;
use crate::market::book::Side;
use foldhash::fast::FixedState;
use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::sync::Arc;

/// Why a book is stale whose engine is silent.
const SILENT: &str = "engine_silent";

/// Where a record is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source<'a> {
    /// The engine of its header.
    pub engine: &'a str,
    /// The epoch of its header.
    pub epoch: u64,
    /// Its partition.
    pub partition: i32,
    /// Its place in the partition.
    pub offset: i64,
    /// When it was read, monotonic nanoseconds.
    pub read_ns: u64,
}

/// The books and trades of the bus.
#[derive(Debug, Default)]
pub struct BusBooks {
    books: HashMap<TokenId, Feeds, FixedState>,
    engines: Engines,
    /// What has changed without a record of its own.
    changed: Vec<Applied>,
    trades: Trades,
    races: Races,
    slices: Slices,
    counts: BusCounts,
    /// When it was looked at last, monotonic nanoseconds.
    now_ns: u64,
    housekeeping_ns: u64,
}

impl BusBooks {
    /// The book of a token.
    pub fn book(&self, token: &TokenId) -> Option<&BusBook> {
        self.books.get(token)?.followed()
    }

    /// All books.
    pub fn books(&self) -> impl Iterator<Item = (&TokenId, &BusBook)> {
        self.books.iter().filter_map(|(token, feeds)| Some((token, feeds.followed()?)))
    }

    /// What was counted.
    pub const fn counts(&self) -> BusCounts {
        self.counts
    }

    /// The engines, and how each was against the others.
    pub fn racers(&self) -> Vec<BusRacer> {
        self.races.racers()
    }

    /// Tokens of which live books of two engines are different, although both had the same venue time and nothing has
    /// come for 5 s.
    pub fn differing(&self) -> Vec<TokenId> {
        let differ = |feeds: &Feeds| feeds.differ(self.now_ns);
        self.books.iter().filter(|(_, feeds)| differ(feeds)).map(|(token, _)| *token).collect()
    }

    /// Engines that run and are not silent.
    pub fn engines(&self) -> usize {
        self.engines.running()
    }

    /// What has changed without a record of its own since the last call: an engine has begun, ended or become silent,
    /// or records are missing.
    pub fn take_changed(&mut self) -> Vec<Applied> {
        std::mem::take(&mut self.changed)
    }

    /// Records of a partition of the topic `books` are missing: its books wait for their next snapshot.
    pub fn on_missing(&mut self, partition: i32) {
        self.set_states(&BusState::AwaitingSnapshot, |book| book.partition == partition);
        self.counts.gaps += 1;
    }

    /// It is `now_ns`, monotonic: books of engines that are silent are stale, races end, and what is long over is
    /// forgotten.
    pub fn on_time(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
        for name in self.engines.take_silent(now_ns) {
            self.set_states(&BusState::Stale(SILENT.to_owned()), |book| {
                book.engine == name && book.state == BusState::Live
            });
        }
        self.races.on_time(now_ns);
        if now_ns >= self.housekeeping_ns {
            self.housekeeping_ns = now_ns.saturating_add(BUS_HOUSEKEEPING_NS);
            self.forget(now_ns);
        }
    }

    /// Closes the books of engines that are gone for good, and drops those that are closed.
    fn forget(&mut self, now_ns: u64) {
        self.trades.forget(now_ns);
        self.books.retain(|_, feeds| feeds.forget(now_ns));
        let gone = self.engines.take_gone(now_ns);
        for &(_, racer) in &gone {
            self.trades.forget_engine(racer);
            self.races.leave(racer);
        }
        // Dropped the next time, so that consumers see it.
        let is_gone = |book: &BusBook| gone.iter().any(|(name, _)| book.engine == *name);
        self.set_states(&BusState::Closed, is_gone);
    }

    /// Whose books of a slice are followed, after a claim.
    fn set_fences(&mut self, slice: u8, now_ns: u64) {
        for (token, feeds) in self.books.iter_mut().filter(|(_, feeds)| feeds.slice == slice) {
            for book in &mut feeds.books {
                book.is_fenced = self.slices.fence(&book.engine, slice, now_ns) != Fence::Open;
            }
            let taken = feeds.choose(*token);
            self.counts.switches += u64::from(taken.is_some());
            self.changed.extend(taken);
        }
    }

    fn on_claim(&mut self, source: Source<'_>, text: &str) {
        match Claim::parse(text) {
            Ok(claim) => {
                self.slices.on_claim(&claim, source.offset, source.read_ns);
                self.set_fences(claim.slice, source.read_ns);
            }
            Err(_) if CatalogScan::parse(text).is_some() => {}
            Err(_) => self.counts.unreadable += 1,
        }
    }

    /// Whether another engine of the cluster owns the slice of this market; counts it if that is known for long.
    fn is_fenced(&mut self, engine: &Arc<str>, slice: u8, now_ns: u64) -> bool {
        let fence = self.slices.fence(engine, slice, now_ns);
        self.counts.fenced += u64::from(fence == Fence::Late);
        fence != Fence::Open
    }

    /// Gives the books of a kind this state.
    fn set_states(&mut self, state: &BusState, of_kind: impl Fn(&BusBook) -> bool) {
        for (token, feeds) in &mut self.books {
            let mut is_followed = false;
            for (place, book) in feeds.books.iter_mut().enumerate() {
                if of_kind(book) && book.state != *state {
                    book.state = state.clone();
                    is_followed |= place == feeds.followed;
                }
            }
            let taken = feeds.choose(*token);
            self.counts.switches += u64::from(taken.is_some());
            self.changed.extend(taken.or(is_followed.then_some(Applied::State(*token))));
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
        if topic == Topic::Slices {
            self.on_claim(source, text);
            return None;
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
        let (name, arrival) = self.engines.on_record(source, |name| self.races.racer(name));
        match arrival {
            Arrival::Continues => {}
            Arrival::BeginsAnew => self.await_books(&name, source.epoch),
            // Its records are in order and none is missing.
            Arrival::Returns => self.set_states(&BusState::Live, |book| {
                book.engine == name && matches!(&book.state, BusState::Stale(why) if why == SILENT)
            }),
            Arrival::Outdated => {
                self.counts.outdated += 1;
                return None;
            }
        }
        Some(name)
    }

    /// Books of earlier epochs of an engine are known no longer.
    fn await_books(&mut self, engine: &Arc<str>, epoch: u64) {
        self.set_states(&BusState::AwaitingSnapshot, |book| {
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
                if !self.engines.set_running(engine, is_running) {
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
        let Some(racer) = self.engines.racer(engine) else { return Ok(None) };
        let slice = slice_of(market.as_bytes());
        let is_fenced = self.is_fenced(engine, slice, source.read_ns);
        // Topics and partitions are not read in the order in which they were written.
        let state = match state(record) {
            BusState::Live if self.engines.has_ended(engine) => BusState::AwaitingSnapshot,
            state => state,
        };
        let (bids, asks) = (levels(&record.bids)?, levels(&record.asks)?);
        let is_snapshot = record.kind == "snapshot";
        if !is_snapshot && !self.books.contains_key(&token) {
            return Ok(None);
        }
        let feeds = self.books.entry(token).or_default();
        feeds.slice = slice;
        let place = feeds.place(engine);
        let of_epoch = place.map(|place| &feeds.books[place]).filter(|b| b.epoch == source.epoch);
        if of_epoch.is_some_and(|book| book.has(record)) {
            self.counts.repeated += 1;
            return Ok(None);
        }
        if is_snapshot {
            self.counts.gaps += u64::from(record.gap && of_epoch.is_some());
            let parts = (engine, racer, source);
            let mut new = BusBook::from_snapshot(record, (market, state), (&bids, &asks), parts);
            new.is_fenced = is_fenced;
            let place = place.unwrap_or(feeds.books.len());
            let update = match feeds.books.get_mut(place) {
                Some(book) => book.replace(new, record.gap),
                None => {
                    feeds.books.push(new);
                    Update::Image { is_known: false }
                }
            };
            return Ok(self.show(token, place, (update, record.gap)));
        }
        let (Some(place), true) = (place, of_epoch.is_some()) else { return Ok(None) };
        let book = &mut feeds.books[place];
        book.read_ns = source.read_ns;
        let Some(update) = book.update(record, bids, asks) else { return Ok(None) };
        if record.kind == "change" && feeds.books.len() > 1 && record.venue_time > 0 {
            let key = FixedState::default().hash_one((token, record.venue_time));
            let expected = feeds.expected(record.venue_time);
            self.races.on_arrival(RaceKind::Changes, key, racer, expected, source.read_ns);
        }
        Ok(self.show(token, place, (update, false)))
    }

    /// What an update of the book at this place is for consumers.
    fn show(
        &mut self,
        token: TokenId,
        place: usize,
        (update, gap): (Update, bool),
    ) -> Option<Applied> {
        let feeds = self.books.get_mut(&token)?;
        let was_followed = feeds.followed == place;
        if let Some(taken) = feeds.choose(token) {
            self.counts.switches += 1;
            return Some(taken);
        }
        if !was_followed {
            self.counts.repeated += 1;
            return None;
        }
        Some(match update {
            Update::Image { is_known } => Applied::Image { token, gap, is_known },
            Update::Changes(levels) => Applied::Changes { token, levels },
            Update::TickSize { old, new } => Applied::TickSize { token, old, new },
            Update::State => Applied::State(token),
        })
    }

    fn on_trade(
        &mut self,
        record: &Record<'_>,
        engine: &Arc<str>,
        source: Source<'_>,
    ) -> Result<Option<Applied>, String> {
        let (market, token) = ids(record)?;
        let Some(racer) = self.engines.racer(engine) else { return Ok(None) };
        let number = (source.epoch, record.sequence);
        if self.trades.was_read(racer, token, number, source.read_ns) {
            self.counts.repeated += 1;
            return Ok(None);
        }
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
        let feeds = self.books.get(&token);
        let is_new = match self.trades.identify(&trade, racer, source.epoch) {
            Some(known) => {
                if let Some(feeds) = feeds.filter(|feeds| feeds.books.len() > 1) {
                    let expected = feeds.expected(record.venue_time);
                    let (kind, now_ns) = (RaceKind::Trade, source.read_ns);
                    self.races.on_arrival(kind, known.key, racer, expected, now_ns);
                }
                known.is_new
            }
            // Without an id it is not known whether two engines have the same one.
            None => feeds.and_then(Feeds::followed).is_none_or(|book| book.engine == *engine),
        };
        if !is_new {
            self.counts.repeated += 1;
            return Ok(None);
        }
        Ok(Some(Applied::Other(BusEvent::Trade(Box::new(trade)))))
    }
}

fn ids(record: &Record<'_>) -> Result<(MarketId, TokenId), String> {
    let ids = MarketId::new(&record.market).zip(TokenId::new(&record.token));
    ids.ok_or_else(|| "a record without market and token".to_owned())
}

#[cfg(test)]
mod tests;
