//! Images of live books in a capture, from which a replay continues without what came before.
//!
//! Runs on:  shard cores write them, replays read them (pure). Owns: nothing; see `capture/line` for the record.
//!
//! An image has what later messages are compared with, too. A market that depends on more (a replacement of its
//! connection, a hash without a verdict, a difference from the REST interface, a failed comparison) has none; it gets
//! one when its next turn comes. What all books of a shard have in common is in no image: the venue's clock, recent
//! trades.
use super::group::StoredGroup;
use super::slots::{Rotation, Slot, Slots};
use super::times::{TickTime, VenueTimes};
use super::{Admission, Books, ConnectionSlot};
use crate::base::condition;
use crate::base::id::{BookIndex, MarketId, TokenId};
use crate::base::price::{Price, Quantity};
use crate::link::shard_capture::{ImageOut, image_text};
use crate::market::book::{Book, BookOpening, BookState, Level, image::BookFacts};
use crate::shard::publish::Handler;
use serde::Deserialize;
use std::collections::VecDeque;
use std::fmt::Write as _;

/// Bytes of a book without its levels, at most.
const BOOK_BYTES: usize = 640;

/// Markets without an image at their turn that are tried again in a later one.
const LATE_PER_TURN: usize = 8;

/// Bounds of the images written at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ImageTurn {
    /// Places of books looked at.
    pub(crate) places: usize,
    /// Bytes; one larger image is written alone.
    pub(crate) bytes_max: usize,
    /// Wall clock, nanoseconds since the Unix epoch.
    pub(crate) wall_ns: u64,
}

/// Whose turn it is.
#[derive(Debug, Default)]
pub(super) struct ImageTurns {
    rotation: Rotation,
    /// Markets whose turn it was and which could not have an image; not more than places.
    late: VecDeque<BookIndex>,
    /// Places of the round that were looked at.
    looked_at: usize,
    /// When the round began, nanoseconds since the Unix epoch.
    since_wall_ns: u64,
}

enum Place<'b> {
    /// No market begins there.
    Nothing,
    /// A market that cannot have an image now.
    Undecided,
    Market(MarketImage<'b>),
}

/// What became of a place.
enum Visit {
    Done,
    /// Its market is tried again.
    Late,
    /// No room in this turn.
    Full,
}

pub(crate) struct MarketImage<'b> {
    slots: &'b Slots,
    times: &'b VenueTimes,
    first: BookIndex,
}

/// A book as it is recorded where it is opened, described, or in an image.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct StoredBook {
    /// Market.
    pub(crate) m: String,
    /// Token.
    pub(crate) a: String,
    #[serde(default)]
    t: Option<String>,
    #[serde(default)]
    o: Option<String>,
    #[serde(default)]
    n: bool,
    /// Slug of the market; empty in captures of earlier versions.
    #[serde(default)]
    pub(crate) s: String,
    // Of an image only.
    #[serde(default)]
    ms: u64,
    #[serde(default)]
    hash: Option<String>,
    #[serde(default)]
    read: u64,
    #[serde(default)]
    snapshot: u64,
    #[serde(default)]
    last: Option<String>,
    #[serde(default)]
    tick: TickTime,
    #[serde(default)]
    group: StoredGroup,
    #[serde(default)]
    bids: Option<String>,
    #[serde(default)]
    asks: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ImageOutcome {
    /// It was not open: it continues from the image.
    Opened,
    /// It is live with the time and the levels of the image.
    Equal,
    /// It is live with others.
    Different,
    /// It is not live, or not open and was not to be opened.
    NotLive,
    /// The image cannot be read, or there is no room for another book.
    Unusable,
}

impl MarketImage<'_> {
    /// The books, from the first on.
    fn books(&self) -> impl Iterator<Item = BookIndex> + '_ {
        let next = |&at: &BookIndex| Some(self.slots[at].sibling).filter(|&at| at != self.first);
        std::iter::successors(Some(self.first), next)
    }

    pub(crate) fn market(&self) -> MarketId {
        self.slots[self.first].market
    }

    /// The connection that carries them.
    pub(crate) fn connection(&self) -> ConnectionSlot {
        self.slots[self.first].connection
    }

    /// About so many bytes on the way to the capture.
    pub(crate) fn bytes(&self) -> usize {
        let levels = |at| self.slots[at].book.bids.len() + self.slots[at].book.asks.len();
        self.books().map(|at| BOOK_BYTES + size_of::<Level>() * levels(at)).sum()
    }

    /// Appends the books as a list of JSON without brackets; `slug` is a JSON string.
    pub(crate) fn write(&self, out: &mut ImageOut<'_>, slug: Option<&str>) {
        for at in self.books() {
            if at != self.first {
                out.text.push(',');
            }
            write_book(out, &self.slots[at], self.times.tick(at), slug);
        }
    }
}

/// The catalog's fields of a book, without the closing brace.
fn write_opening(out: &mut String, slot: &Slot, slug: Option<&str>) {
    let Slot { market, token, facts, .. } = slot;
    let neg_risk = facts.neg_risk;
    // Writing to a string cannot fail; ids hold no character that JSON escapes.
    let _ = write!(out, r#"{{"m":"{market}","a":"{token}","n":{neg_risk}"#);
    if let Some(step) = facts.tick_size {
        let _ = write!(out, r#","t":"{step}""#);
    }
    if let Some(size) = facts.min_order_size {
        let _ = write!(out, r#","o":"{size}""#);
    }
    if let Some(slug) = slug {
        let _ = write!(out, r#","s":{slug}"#);
    }
}

fn write_book(image: &mut ImageOut<'_>, slot: &Slot, tick: TickTime, slug: Option<&str>) {
    let out = &mut *image.text;
    write_opening(out, slot, slug);
    let Slot { facts, snapshot_ms, .. } = slot;
    let BookFacts { timestamp_ms, updated_wall_ns, .. } = facts;
    let _ =
        write!(out, r#","ms":{timestamp_ms},"read":{updated_wall_ns},"snapshot":{snapshot_ms}"#);
    if let Some(hash) = facts.hash.as_ref().and_then(|hash| std::str::from_utf8(hash).ok()) {
        let _ = write!(out, r#","hash":"{hash}""#);
    }
    if let Some(price) = facts.last_trade {
        let _ = write!(out, r#","last":"{price}""#);
    }
    if tick != TickTime::default() {
        let TickTime { ms, of_snapshot } = tick;
        let _ = write!(out, r#","tick":[{ms},{of_snapshot}]"#);
    }
    slot.group.write(out);
    out.push_str(r#","bids":""#);
    image.side(slot.book.bids.levels());
    image.text.push_str(r#"","asks":""#);
    image.side(slot.book.asks.levels());
    image.text.push_str("\"}");
}

impl StoredBook {
    /// What opens it; `None` for an invalid id.
    pub(crate) fn opening(&self) -> Option<BookOpening> {
        Some(BookOpening {
            market: condition::market_id(&self.m)?,
            token: TokenId::new(&self.a)?,
            tick_size: self.t.as_ref().and_then(|text| Price::parse(text.as_bytes())),
            min_order_size: self.o.as_ref().and_then(|text| Quantity::parse(text.as_bytes())),
            neg_risk: self.n,
        })
    }

    /// Whether this is its market, by slug, id or ticker, or its token.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        [&self.m, &self.a, &self.s].into_iter().any(|of| of == name)
    }

    pub(crate) fn market(&self) -> Option<MarketId> {
        condition::market_id(&self.m)
    }

    fn book(&self) -> Option<Book> {
        let mut book = Book::default();
        book.replace(&levels(self.bids.as_ref()?)?, &levels(self.asks.as_ref()?)?).ok()?;
        Some(book)
    }
}

/// Prices and quantities in turn.
fn levels(text: &str) -> Option<Vec<Level>> {
    let mut words = text.split_ascii_whitespace();
    let mut levels = Vec::new();
    while let Some(price) = words.next() {
        let (price, quantity) = (Price::parse(price.as_bytes())?, words.next()?);
        levels.push(Level { price, quantity: Quantity::parse(quantity.as_bytes())? });
    }
    Some(levels)
}

impl<H: Handler> Books<H> {
    /// Whether only opened books are held.
    pub(crate) fn is_listed(&self) -> bool {
        self.store.admission == Admission::Listed
    }

    pub(crate) fn has_market(&self, market: &MarketId) -> bool {
        self.store.find_market(market.as_str()).is_some()
    }

    pub(crate) fn image_places(&self) -> usize {
        self.store.slots.len()
    }

    /// Looks at the next places in turn, and passes every market that begins there and can have an image to `write`,
    /// which says whether it was written. Returns how many places that were, without those of markets that are late.
    pub(crate) fn next_images(
        &mut self,
        turn: ImageTurn,
        mut write: impl FnMut(&MarketImage<'_>) -> bool,
    ) -> usize {
        let ImageTurn { places, bytes_max, wall_ns } = turn;
        let mut turns = std::mem::take(&mut self.store.images);
        if turns.since_wall_ns == 0 || wall_ns < turns.since_wall_ns {
            // The first one, or the clock was set back.
            (turns.since_wall_ns, turns.looked_at) = (wall_ns, 0);
        }
        let mut bytes = 0;
        let mut visit = |first| match self.place(first) {
            Place::Nothing => Visit::Done,
            Place::Undecided => Visit::Late,
            Place::Market(image) => {
                let is_first = bytes == 0;
                bytes += image.bytes();
                match is_first || bytes <= bytes_max {
                    true if write(&image) => Visit::Done,
                    true => Visit::Late,
                    false => Visit::Full,
                }
            }
        };
        for _ in 0..turns.late.len().min(LATE_PER_TURN) {
            let Some(first) = turns.late.pop_front() else { break };
            match visit(first) {
                Visit::Done => {}
                Visit::Late | Visit::Full => turns.late.push_back(first),
            }
        }
        let mut looked_at = 0;
        while looked_at < places.min(self.store.slots.len()) {
            let first = turns.rotation.peek(&self.store.slots);
            match visit(first) {
                Visit::Done => {}
                Visit::Late if turns.late.contains(&first) => {}
                Visit::Late => turns.late.push_back(first),
                Visit::Full => break,
            }
            turns.rotation.advance(&self.store.slots);
            looked_at += 1;
        }
        turns.looked_at += looked_at;
        self.store.images = turns;
        looked_at
    }

    /// When the round began, nanoseconds since the Unix epoch, if it ends: every open market was opened since then or
    /// has an image since then.
    pub(crate) fn end_image_round(&mut self) -> Option<u64> {
        let places = self.image_places();
        let turns = &mut self.store.images;
        let is_over = turns.looked_at >= places && turns.late.is_empty();
        is_over.then(|| {
            turns.looked_at = 0;
            std::mem::take(&mut turns.since_wall_ns)
        })
    }

    fn place(&self, first: BookIndex) -> Place<'_> {
        if !self.store.slots[first].is_open() {
            return Place::Nothing;
        }
        let image = MarketImage { slots: &self.store.slots, times: &self.times, first };
        if image.books().any(|at| at < first) {
            return Place::Nothing;
        }
        let connection = image.connection();
        let is_settled = |at| image.slots[at].connection == connection && self.is_settled(at);
        match image.books().all(is_settled) && !self.matcher.has_market(&image.market()) {
            true => Place::Market(image),
            false => Place::Undecided,
        }
    }

    /// Whether a book is live and an image has all that it depends on.
    fn is_settled(&self, index: BookIndex) -> bool {
        let slot = &self.store.slots[index];
        slot.is_open()
            && slot.state == BookState::Live
            && !slot.group.has_failed()
            && !self.verifier.waits_for(index)
            && !self.auditor.waits_for(index)
            && !self.times.has_refused(index)
    }

    /// A book of an image: compared if it is open, opened with its levels on `connection` if `opens`.
    pub(crate) fn on_image(
        &mut self,
        stored: &StoredBook,
        connection: ConnectionSlot,
        opens: bool,
    ) -> ImageOutcome {
        let (Some(opening), Some(book)) = (stored.opening(), stored.book()) else {
            return ImageOutcome::Unusable;
        };
        if let Some(index) = self.store.find_in(opening.market.as_str(), opening.token.as_bytes()) {
            let slot = &self.store.slots[index];
            let is_equal = || {
                slot.facts.timestamp_ms == stored.ms
                    && slot.book.bids.levels().eq(book.bids.levels())
                    && slot.book.asks.levels().eq(book.asks.levels())
            };
            return match slot.state {
                BookState::Live if is_equal() => ImageOutcome::Equal,
                BookState::Live => ImageOutcome::Different,
                _ => ImageOutcome::NotLive,
            };
        }
        if !opens {
            return ImageOutcome::NotLive;
        }
        let Ok(index) = self.open(&opening, connection) else { return ImageOutcome::Unusable };
        self.restore(index, stored, book);
        ImageOutcome::Opened
    }

    /// A book of an image that another capture's books continue from: opened if it is not open, and moved to
    /// `connection`.
    pub(crate) fn on_merged_image(
        &mut self,
        stored: &StoredBook,
        connection: ConnectionSlot,
    ) -> ImageOutcome {
        let (Some(opening), Some(book)) = (stored.opening(), stored.book()) else {
            return ImageOutcome::Unusable;
        };
        let Ok(index) = self.open(&opening, connection) else { return ImageOutcome::Unusable };
        // What waits for a comparison is of the book before.
        self.store.slots[index].group.forget();
        self.verifier.forget(index);
        self.repairer.forget(index);
        self.times.forget(index);
        self.restore(index, stored, book);
        ImageOutcome::Opened
    }

    /// The book at a place is that of an image, and live.
    fn restore(&mut self, index: BookIndex, stored: &StoredBook, book: Book) {
        self.times.set_tick(index, stored.tick);
        let slot = &mut self.store.slots[index];
        (slot.book, slot.snapshot_ms) = (book, stored.snapshot);
        slot.facts.timestamp_ms = stored.ms;
        slot.facts.hash = stored.hash.as_ref().and_then(|hash| hash.as_bytes().try_into().ok());
        slot.facts.last_trade = stored.last.as_ref().and_then(|text| Price::parse(text.as_bytes()));
        slot.facts.updated_wall_ns = stored.read;
        slot.group.restore(&stored.group);
        if slot.group.open {
            self.verifier.queue(index, slot);
        }
        self.store.set_state(index, BookState::Live, stored.read);
        self.store.publish_snapshot(index, stored.read);
    }

    fn image_of(&self, market: &MarketId) -> Option<MarketImage<'_>> {
        let first = self.store.find_market(market.as_str())?;
        Some(MarketImage { slots: &self.store.slots, times: &self.times, first })
    }

    /// Whether all books of a market are live; `None` without one.
    pub(crate) fn is_market_live(&self, market: &MarketId) -> Option<bool> {
        let image = self.image_of(market)?;
        Some(image.books().all(|at| image.slots[at].state == BookState::Live))
    }

    pub(crate) fn connection_of(&self, market: &MarketId) -> Option<ConnectionSlot> {
        Some(self.image_of(market)?.connection())
    }

    pub(crate) fn tokens_of(&self, market: &MarketId) -> Vec<TokenId> {
        let tokens = |image: MarketImage<'_>| {
            image.books().map(|at| image.slots[at].token).collect::<Vec<_>>()
        };
        self.image_of(market).map(tokens).unwrap_or_default()
    }

    /// Appends the books of a market as a list of JSON without brackets: the catalog's fields, or with `is_image` all
    /// of an image, in whatever state they are; `slug` is a JSON string.
    pub(crate) fn write_market(
        &self,
        market: &MarketId,
        is_image: bool,
        slug: Option<&str>,
        out: &mut String,
    ) {
        let Some(image) = self.image_of(market) else { return };
        if is_image {
            return out.push_str(&image_text(|text| image.write(text, slug)));
        }
        for at in image.books() {
            if at != image.first {
                out.push(',');
            }
            write_opening(out, &image.slots[at], slug);
            out.push('}');
        }
    }
}

#[cfg(test)]
mod tests;
