//! Decoded venue messages about books: numbers are exact, ids are borrowed text.
//!
//! Runs on:  any (pure). Owns: nothing; an event lives as long as the frame it came from.
use super::book::{Level, Side, image::BookHash};
use crate::base::price::{Price, Quantity};

/// One venue message, wholly checked: applying it cannot fail half-way.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The whole book of one token.
    Snapshot(Snapshot<'a>),
    /// New quantities at some prices, of one or more tokens of one market.
    Changes(Changes<'a>),
    /// By how much the quantity at one price changed.
    Delta(Delta<'a>),
    /// A trade.
    Trade(Trade<'a>),
    /// The market's price step changed.
    TickSize(TickSize<'a>),
    /// The venue's own best bid and ask: a cross-check, never a source.
    TopOfBook(TopOfBook<'a>),
}

/// The whole book of one token.
#[derive(Clone, Copy, Debug, Default)]
pub struct Snapshot<'a> {
    /// Venue id of the market.
    pub market: &'a str,
    /// Venue id of the token.
    pub token: &'a str,
    /// Venue time, milliseconds since the Unix epoch.
    pub timestamp_ms: u64,
    /// The venue's hash of the book.
    pub hash: Option<BookHash>,
    /// Buyers, as sent (the venue's order is worst first).
    pub bids: &'a [Level],
    /// Sellers, as sent.
    pub asks: &'a [Level],
    /// Price step; only in the first snapshot after a subscription.
    pub tick_size: Option<Price>,
    /// Last trade price of the market; only in the first snapshot after a subscription.
    pub last_trade: Option<Price>,
    /// Smallest order; only when the message came from the REST interface.
    pub min_order_size: Option<Quantity>,
    /// Part of a set; only when the message came from the REST interface.
    pub neg_risk: Option<bool>,
}

/// Place of a text within the frame, so that scratch memory can outlive frames.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// Bytes.
    pub len: u32,
}

impl Span {
    /// The text at this place of `frame`, empty if the place is not within it.
    #[must_use]
    pub fn of(self, frame: &str) -> &str {
        let start = self.start as usize;
        frame.get(start..start + self.len as usize).unwrap_or("")
    }

    #[inline]
    pub(crate) fn bytes_of(self, frame: &str) -> &[u8] {
        let start = self.start as usize;
        frame.as_bytes().get(start..start + self.len as usize).unwrap_or(&[])
    }
}

/// One change with its token as a place in the frame.
#[derive(Clone, Copy, Debug)]
pub struct ChangeSpan {
    /// The token's id.
    pub token: Span,
    /// Which side.
    pub side: Side,
    /// Price and new whole quantity; zero removes the level.
    pub level: Level,
    /// The venue's hash of the book after all messages with this timestamp.
    pub hash: Option<BookHash>,
    /// Best bid after all messages with this timestamp; zero for an empty side.
    pub best_bid: Option<Price>,
    /// Best ask after all messages with this timestamp; one dollar for an empty side.
    pub best_ask: Option<Price>,
}

/// Level changes of one market.
#[derive(Clone, Copy, Debug)]
pub struct Changes<'a> {
    /// Venue id of the market.
    pub market: &'a str,
    /// Venue time, milliseconds since the Unix epoch.
    pub timestamp_ms: u64,
    /// The frame that the spans point into.
    pub frame: &'a str,
    /// The changes in order.
    pub changes: &'a [ChangeSpan],
}

impl<'a> Changes<'a> {
    /// Each change with its token's id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'a str, &'a ChangeSpan)> + use<'a> {
        let frame = self.frame;
        self.changes.iter().map(move |change| (change.token.of(frame), change))
    }
}

/// A relative change of one level: right only if nothing before it is missing and it is applied once.
#[derive(Clone, Copy, Debug)]
pub struct Delta<'a> {
    /// Venue id of the market.
    pub market: &'a str,
    /// Venue id of the token.
    pub token: &'a str,
    /// Venue time, milliseconds since the Unix epoch; 0 if the venue sends none.
    pub timestamp_ms: u64,
    /// Which side.
    pub side: Side,
    /// The price.
    pub price: Price,
    /// What is added to the quantity there, units of [`Quantity`].
    pub units: i64,
}

/// A trade.
#[derive(Clone, Copy, Debug)]
pub struct Trade<'a> {
    /// Venue id of the market.
    pub market: &'a str,
    /// Venue id of the token that was traded.
    pub token: &'a str,
    /// Venue time, milliseconds since the Unix epoch.
    pub timestamp_ms: u64,
    /// Price.
    pub price: Price,
    /// Quantity, up to six decimals.
    pub quantity: Quantity,
    /// What the aggressor did: `Bid` bought, `Ask` sold.
    pub side: Side,
    /// Fee in basis points, if the venue sends it.
    pub fee_rate_bps: Option<Quantity>,
    /// Identity of the trade: hash of the settling transaction, or a trade id; empty if the venue sends none.
    pub transaction_hash: &'a str,
}

/// The market's price step changed. May be repeated by the venue.
#[derive(Clone, Copy, Debug)]
pub struct TickSize<'a> {
    /// Venue id of the market.
    pub market: &'a str,
    /// Venue id of the token.
    pub token: &'a str,
    /// Venue time, milliseconds since the Unix epoch.
    pub timestamp_ms: u64,
    /// The step before, if the venue sends it.
    pub old: Option<Price>,
    /// The step from now on.
    pub new: Price,
}

/// The venue's own best bid and ask, and what it reports beside them.
#[derive(Clone, Copy, Debug, Default)]
pub struct TopOfBook<'a> {
    /// Venue id of the market.
    pub market: &'a str,
    /// Venue id of the token.
    pub token: &'a str,
    /// Venue time, milliseconds since the Unix epoch.
    pub timestamp_ms: u64,
    /// Best bid; `None` when the side is empty.
    pub best_bid: Option<Price>,
    /// Best ask; `None` when the side is empty.
    pub best_ask: Option<Price>,
    /// Price of the last trade; Kalshi only.
    pub last_price: Option<Price>,
    /// Contracts traded since the market opened; Kalshi only.
    pub volume: Option<Quantity>,
    /// Contracts that are open; Kalshi only.
    pub open_interest: Option<Quantity>,
}

impl<'a> Event<'a> {
    /// Venue id of the market.
    #[must_use]
    pub const fn market(&self) -> &'a str {
        match self {
            Self::Snapshot(e) => e.market,
            Self::Changes(e) => e.market,
            Self::Delta(e) => e.market,
            Self::Trade(e) => e.market,
            Self::TickSize(e) => e.market,
            Self::TopOfBook(e) => e.market,
        }
    }

    /// Venue id of the token, empty where the message is about more than one.
    #[must_use]
    pub const fn token(&self) -> &'a str {
        match self {
            Self::Snapshot(e) => e.token,
            Self::Changes(_) => "",
            Self::Delta(e) => e.token,
            Self::Trade(e) => e.token,
            Self::TickSize(e) => e.token,
            Self::TopOfBook(e) => e.token,
        }
    }

    /// Venue time, milliseconds since the Unix epoch.
    #[must_use]
    pub const fn timestamp_ms(&self) -> u64 {
        match self {
            Self::Snapshot(e) => e.timestamp_ms,
            Self::Changes(e) => e.timestamp_ms,
            Self::Delta(e) => e.timestamp_ms,
            Self::Trade(e) => e.timestamp_ms,
            Self::TickSize(e) => e.timestamp_ms,
            Self::TopOfBook(e) => e.timestamp_ms,
        }
    }
}
