//! The interface of tardis-machine: books and trades as its normalized messages, for both venues.
//!
//! Runs on:  serve core (pure). Owns: what a client was sent of its computed messages.
//! Bounds:   as [`options`] says.
//!
//! Paths, options and messages are those of tardis-machine 18.2 (docs.tardis.dev, "Tardis Machine"); `guide/tardis.md`
//! says what differs. A symbol is a token id of Polymarket or a ticker of Kalshi, whose book is in YES terms.
pub mod bars;
pub mod encode;
pub mod options;
pub mod raw;
pub mod snapshots;

use super::{Replica, Request};
use crate::base::id::{TokenId, Venue};
use crate::base::price::Price;
use crate::base::time::MILLISECOND_NS;
use crate::link::shard_updates::{LevelChange, TradeUpdate};
use crate::market::book::Level;
use bars::BarState;
use encode::Head;
use foldhash::fast::FixedState;
use options::{DataType, Entry, Options};
use snapshots::SnapshotState;
use std::collections::HashMap;

/// What a message is, and so whether a later one can replace it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// Right only if the client has everything before it.
    Change,
    /// A later one replaces it.
    Image,
    /// Anything else.
    Other,
}

/// Messages in the order of sending.
#[derive(Debug, Default)]
pub struct Messages {
    text: String,
    ends: Vec<(MessageKind, usize)>,
}

impl Messages {
    /// Forgets all messages and keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    /// The messages.
    pub fn iter(&self) -> impl Iterator<Item = (MessageKind, &str)> {
        let mut begin = 0;
        self.ends.iter().map(move |&(kind, end)| {
            let text = &self.text[begin..end];
            begin = end;
            (kind, text)
        })
    }

    fn add(&mut self, kind: MessageKind, write: impl FnOnce(&mut String)) {
        write(&mut self.text);
        self.ends.push((kind, self.text.len()));
    }
}

/// What one entry of the options was sent of one symbol.
#[derive(Debug)]
struct Interest {
    /// Place of the entry in the options.
    entry: usize,
    /// By place in the entry's types; unused where the type is another.
    snapshots: Box<[SnapshotState]>,
    bars: Box<[BarState]>,
    top: Option<(Option<Level>, Option<Level>)>,
    last_price: Option<Price>,
}

/// One client: books and trades to its messages.
///
/// The replica has an update already. Methods may be called for books that the options do not name.
#[derive(Debug)]
pub struct Session {
    entries: Vec<Entry>,
    symbols: HashMap<(Venue, TokenId), Vec<Interest>, FixedState>,
    /// Errors since the last other message.
    errors: u32,
}

impl Session {
    /// A session.
    pub fn new(options: Options) -> Self {
        let entries = options.entries;
        let mut symbols: HashMap<_, Vec<Interest>, FixedState> = HashMap::default();
        for (place, entry) in entries.iter().enumerate() {
            for &token in &entry.symbols {
                let interests = symbols.entry((entry.venue, token)).or_default();
                if interests.last().is_none_or(|last| last.entry != place) {
                    interests.push(Interest::new(place, entry));
                }
            }
        }
        for ((venue, _), interests) in &mut symbols {
            interests.extend(interests_in_all(&entries, venue));
            interests.sort_by_key(|interest| interest.entry);
        }
        Self { entries, symbols, errors: 0 }
    }

    /// The subscriptions to its symbols. A client of a live stream must name them: close code 1011.
    pub fn subscribe(&self, out: &mut Vec<Request>) {
        if self.entries.iter().any(|entry| entry.symbols.is_empty()) {
            out.push(Request::Close(1011, "symbols: a live stream needs a list of them"));
            return;
        }
        let symbols = self.entries.iter().flat_map(|entry| &entry.symbols);
        out.extend(symbols.copied().map(Request::Subscribe));
    }

    /// Whether an entry needs the book of a symbol.
    pub fn wants_book(&self, replica: &Replica) -> bool {
        let is_book = |data_type: &DataType| {
            matches!(data_type, DataType::BookChange | DataType::BookTicker | DataType::Snapshot(_))
        };
        self.any(replica, |entry| entry.types.iter().any(is_book))
    }

    /// Whether an entry has `disconnect` messages of a symbol.
    pub fn wants_disconnects(&self, replica: &Replica) -> bool {
        self.any(replica, |entry| entry.with_disconnects)
    }

    fn any(&self, replica: &Replica, is_true: impl Fn(&Entry) -> bool) -> bool {
        match self.symbols.get(&(replica.venue, replica.token)) {
            Some(interests) => interests.iter().any(|one| is_true(&self.entries[one.entry])),
            None => {
                let mut entries = self.entries.iter();
                entries.any(|entry| entry.is_for_all_of(&replica.venue) && is_true(entry))
            }
        }
    }

    /// The whole book: the first image, or one in place of changes that were left out. Computed messages follow whether
    /// or not they have changed where `is_first`.
    pub fn on_image(&mut self, replica: &Replica, is_first: bool, out: &mut Messages) {
        let head = head(replica, replica.facts.timestamp_ms);
        self.each(replica, |entry, interest| {
            if is_first {
                interest.snapshots.iter_mut().for_each(SnapshotState::reset);
                interest.top = None;
            }
            interest.before(entry, &head, out);
            if entry.types.contains(&DataType::BookChange) {
                let (bids, asks) = (replica.book.bids.levels(), replica.book.asks.levels());
                let write = |text: &mut String| encode::book(text, &head, bids.rev(), asks.rev());
                out.add(MessageKind::Image, write);
            }
            interest.after(entry, replica, &head, out);
            if let Some(last) = replica.facts.last_trade {
                interest.on_last_price(entry, &head, last, out);
            }
        });
    }

    /// Changes of one venue message.
    pub fn on_changes<'a>(
        &mut self,
        replica: &Replica,
        changes: impl Iterator<Item = &'a LevelChange> + Clone,
        out: &mut Messages,
    ) {
        let Some(first) = changes.clone().next() else { return };
        let head = head(replica, first.timestamp_ms);
        self.each(replica, |entry, interest| {
            interest.before(entry, &head, out);
            if entry.types.contains(&DataType::BookChange) {
                for change in changes.clone() {
                    out.add(MessageKind::Change, |text| {
                        encode::change(text, &head, change.side, change.level);
                    });
                }
            }
            interest.after(entry, replica, &head, out);
        });
    }

    /// A trade.
    pub fn on_trade(&mut self, replica: &Replica, trade: &TradeUpdate, out: &mut Messages) {
        let head = head(replica, trade.timestamp_ms);
        self.each(replica, |entry, interest| {
            if entry.types.contains(&DataType::Trade) {
                out.add(MessageKind::Other, |text| encode::trade(text, &head, trade));
            }
            for (data_type, state) in entry.types.iter().zip(&mut interest.bars) {
                let DataType::Bar(what) = data_type else { continue };
                let over = state.on_time(what.end, head.venue_ms);
                let complete = state.on_trade(what.end, trade, head.venue_ms);
                for (bar, venue_ms) in over.into_iter().chain(complete) {
                    let head = Head { venue_ms, ..head };
                    out.add(MessageKind::Other, |text| encode::trade_bar(text, &head, what, &bar));
                }
            }
            interest.on_last_price(entry, &head, trade.price, out);
        });
    }

    /// The book is not to be trusted until its next image, for a `reason` without characters that JSON escapes. With
    /// `clear` the client gets an empty book.
    pub fn on_stale(&mut self, replica: &Replica, reason: &str, clear: bool, out: &mut Messages) {
        let head = head(replica, 0);
        let (venue, token) = (&replica.venue, &replica.token);
        if self.any(replica, |entry| entry.with_errors) {
            self.errors += 1;
            let count = self.errors;
            out.add(MessageKind::Other, |text| {
                encode::error(text, (venue, token), head.local_ns, reason, count);
            });
        }
        let errors = self.errors;
        self.each(replica, |entry, interest| {
            if clear {
                Interest::push_cleared(entry, &head, out);
            }
            if entry.with_disconnects {
                push_disconnect(replica, head.local_ns, out);
            }
            interest.snapshots.iter_mut().for_each(SnapshotState::reset);
            interest.bars.iter_mut().for_each(BarState::reset);
            interest.top = None;
        });
        self.errors = errors;
    }

    /// Calls for each entry that names the symbol.
    fn each(&mut self, replica: &Replica, mut call: impl FnMut(&Entry, &mut Interest)) {
        let key = (replica.venue, replica.token);
        let Self { entries, symbols, errors } = self;
        *errors = 0;
        let new = || interests_in_all(entries, &key.0).collect();
        let interests = symbols.entry(key).or_insert_with(new);
        for interest in interests {
            call(&entries[interest.entry], interest);
        }
    }
}

fn interests_in_all<'a>(
    entries: &'a [Entry],
    venue: &'a Venue,
) -> impl Iterator<Item = Interest> + 'a {
    let named = entries.iter().enumerate().filter(|(_, entry)| entry.is_for_all_of(venue));
    named.map(|(place, entry)| Interest::new(place, entry))
}

/// The `disconnect` of one symbol.
pub fn push_disconnect(replica: &Replica, local_ns: u64, out: &mut Messages) {
    out.add(MessageKind::Other, |text| {
        encode::disconnect(text, &replica.venue, local_ns, &[replica.token]);
    });
}

/// The head of a message with a venue time, or the local one where the venue sent none.
const fn head(replica: &Replica, venue_ms: u64) -> Head<'_> {
    let local_ns = replica.read_wall_ns;
    let venue_ms = if venue_ms == 0 { local_ns / MILLISECOND_NS } else { venue_ms };
    Head { venue: &replica.venue, token: &replica.token, venue_ms, local_ns }
}

impl Interest {
    fn new(place: usize, entry: &Entry) -> Self {
        let count = entry.types.len();
        Self {
            entry: place,
            snapshots: vec![SnapshotState::default(); count].into(),
            bars: vec![BarState::default(); count].into(),
            top: None,
            last_price: None,
        }
    }

    /// Snapshots whose interval is over before the book is changed.
    fn before(&mut self, entry: &Entry, head: &Head<'_>, out: &mut Messages) {
        for (data_type, state) in entry.types.iter().zip(&mut self.snapshots) {
            let DataType::Snapshot(what) = data_type else { continue };
            if let Some(venue_ms) = state.on_time(what, head.venue_ms) {
                push_snapshot(what, state, &Head { venue_ms, ..*head }, out);
            }
        }
    }

    /// Best prices and snapshots of the changed book.
    fn after(&mut self, entry: &Entry, replica: &Replica, head: &Head<'_>, out: &mut Messages) {
        let top = (replica.book.best_bid(), replica.book.best_ask());
        if entry.types.contains(&DataType::BookTicker) && self.top.replace(top) != Some(top) {
            out.add(MessageKind::Image, |text| encode::book_ticker(text, head, top.0, top.1));
        }
        for (data_type, state) in entry.types.iter().zip(&mut self.snapshots) {
            let DataType::Snapshot(what) = data_type else { continue };
            if let Some(venue_ms) = state.on_book(what, &replica.book, head.venue_ms) {
                push_snapshot(what, state, &Head { venue_ms, ..*head }, out);
            }
        }
    }

    /// Empty books and best prices: they must not be left out.
    fn push_cleared(entry: &Entry, head: &Head<'_>, out: &mut Messages) {
        for data_type in &entry.types {
            match data_type {
                DataType::BookChange => out.add(MessageKind::Other, |text| {
                    encode::book(text, head, std::iter::empty(), std::iter::empty());
                }),
                DataType::BookTicker => {
                    out.add(MessageKind::Other, |text| encode::book_ticker(text, head, None, None));
                }
                DataType::Snapshot(what) => {
                    out.add(MessageKind::Other, |text| {
                        encode::book_snapshot(text, head, what, &[], &[]);
                    });
                }
                DataType::Trade | DataType::DerivativeTicker | DataType::Bar(_) => {}
            }
        }
    }

    fn on_last_price(&mut self, entry: &Entry, head: &Head<'_>, last: Price, out: &mut Messages) {
        if entry.types.contains(&DataType::DerivativeTicker)
            && self.last_price.replace(last) != Some(last)
        {
            out.add(MessageKind::Other, |text| encode::derivative_ticker(text, head, last));
        }
    }
}

fn push_snapshot(
    what: &options::SnapshotType,
    state: &SnapshotState,
    head: &Head<'_>,
    out: &mut Messages,
) {
    out.add(MessageKind::Image, |text| {
        encode::book_snapshot(text, head, what, &state.bids, &state.asks);
    });
}

#[cfg(test)]
mod tests;
