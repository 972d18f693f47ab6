//! The user's own code on the shard core: its callbacks, and what each of them is passed.
//!
//! Runs on:  shard cores, between two messages: a slow handler delays the shard's own data.
//!
//! One handler is made per shard, on the main thread, then moved to the shard; nothing is shared,
//! so a handler needs no lock. Changes are reported after the whole venue message was
//! applied; a book that stops being live is reported at once, within the message.
use crate::base::id::{BookIndex, ConnectionId, MarketId, ShardId, TokenId, Venue};
use crate::base::price::Price;
use crate::market::book::{Book, BookState, Level, Side, image::BookFacts};
use crate::market::event::{TickSize, TopOfBook, Trade};
use crate::market::info::{MarketInfo, MarketStage, Resolution};

/// A book as a handler sees it.
#[derive(Clone, Copy, Debug)]
pub struct BookView<'a> {
    /// The venue.
    pub venue: Venue,
    /// The shard that holds it.
    pub shard: ShardId,
    /// Its place on the shard, from `on_open` to `on_close`.
    pub(crate) index: BookIndex,
    /// The market.
    pub market: &'a MarketId,
    /// The token.
    pub token: &'a TokenId,
    /// Whether the levels can be trusted.
    pub state: BookState,
    /// Timestamps, hash, tick size and the like.
    pub facts: &'a BookFacts,
    /// The levels.
    pub book: &'a Book,
    /// When the frame was read, nanoseconds since the Unix epoch.
    pub read_wall_ns: u64,
}

/// One level change. It was applied, unless the book is now `stale:too_many_levels`.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// Which side.
    pub side: Side,
    /// Price and new whole quantity; zero means that the level is gone.
    pub level: Level,
    /// The venue's best bid after all messages with this timestamp.
    pub venue_best_bid: Option<Price>,
    /// The venue's best ask after all messages with this timestamp.
    pub venue_best_ask: Option<Price>,
}

/// A market as a handler sees it.
#[derive(Clone, Copy, Debug)]
pub struct MarketView<'a> {
    /// The venue.
    pub venue: Venue,
    /// The shard that holds its books, or would.
    pub shard: ShardId,
    /// The stage that it has come to.
    pub stage: MarketStage,
    /// What is known of it: id, tokens with the names of their outcomes, slug, question, times.
    pub info: &'a MarketInfo,
    /// How the venue has decided it; only at [`MarketStage::Resolved`].
    pub resolution: Option<&'a Resolution>,
}

/// A connection to the venue as a handler sees it.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionView<'a> {
    /// The venue.
    pub venue: Venue,
    /// The shard that reads it.
    pub shard: ShardId,
    /// The connection.
    pub connection: ConnectionId,
    /// What has become of it.
    pub change: ConnectionChange<'a>,
}

/// What has become of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionChange<'a> {
    /// Its socket is up, for the first time or again; its tokens are subscribed.
    Up,
    /// Its socket is gone. Its books are stale until it is up again, unless it was closed because no market was left on
    /// it.
    Down {
        /// Why, for people.
        why: &'a str,
    },
    /// Another connection has taken over its books, and no message was lost; it is closed.
    Replaced {
        /// The other one.
        by: ConnectionId,
    },
}

/// Your own code on the shard core. Every method has an empty default.
///
/// One handler is made per shard, on the starting thread, then moved to the shard: it needs no lock. Changes are
/// reported after the whole venue message was applied; `on_status` is called within it. A slow handler delays the data
/// of its own shard.
///
/// Print every change of a spread:
///
/// ```
/// use ringbook::{BookView, Change, Handler, Level};
/// use std::collections::HashMap;
///
/// #[derive(Default)]
/// struct Spreads {
///     last: HashMap<String, i64>,
///     lines: Vec<String>,
/// }
///
/// impl Spreads {
///     fn look(&mut self, view: &BookView<'_>) {
///         let Some(spread) = view.book.spread() else { return };
///         if self.last.insert(view.token.to_string(), spread) != Some(spread) {
///             let (bid, ask) = (view.book.best_bid(), view.book.best_ask());
///             let show = |l: Option<Level>| l.map_or("-".into(), |l| l.price.to_string());
///             self.lines.push(format!("{}: {} / {}", view.token, show(bid), show(ask)));
///             println!("{}", self.lines.last().unwrap());
///         }
///     }
/// }
///
/// impl Handler for Spreads {
///     fn on_snapshot(&mut self, view: &BookView<'_>) {
///         self.look(view);
///     }
///     fn on_price_change(&mut self, view: &BookView<'_>, _: &Change) {
///         self.look(view);
///     }
/// }
///
/// // The same decode and book code as live, fed by hand:
/// let frames = [
///     r#"{"market":"0xa1","asset_id":"7","timestamp":"1","event_type":"book",
///        "bids":[{"price":"0.40","size":"10"}],"asks":[{"price":"0.45","size":"10"}]}"#,
///     r#"{"market":"0xa1","timestamp":"2","event_type":"price_change","price_changes":
///        [{"asset_id":"7","side":"BUY","price":"0.42","size":"5"}]}"#,
///     r#"{"market":"0xa1","timestamp":"3","event_type":"price_change","price_changes":
///        [{"asset_id":"7","side":"BUY","price":"0.39","size":"5"}]}"#,
/// ];
/// let spreads = ringbook::feed(Spreads::default(), frames);
/// assert_eq!(spreads.lines, ["7: 0.4 / 0.45", "7: 0.42 / 0.45"]);
/// ```
pub trait Handler: 'static {
    /// Whether [`Handler::on_market`] is called at all. With `false` the engine sends no market events to the shards.
    const WANTS_MARKETS: bool = true;

    /// A book was opened. It waits for its first snapshot.
    fn on_open(&mut self, view: &BookView<'_>) {
        let _ = view;
    }
    /// The shard holds the book no longer, because its market is followed no longer.
    fn on_close(&mut self, view: &BookView<'_>) {
        let _ = view;
    }
    /// The whole book was replaced.
    fn on_snapshot(&mut self, view: &BookView<'_>) {
        let _ = view;
    }
    /// A level changed. Called once per change, after the whole message was applied.
    fn on_price_change(&mut self, view: &BookView<'_>, change: &Change) {
        let _ = (view, change);
    }
    /// A trade happened. It does not change the book; a snapshot or changes do.
    fn on_trade(&mut self, view: &BookView<'_>, trade: &Trade<'_>) {
        let _ = (view, trade);
    }
    /// The price step changed.
    fn on_tick_size(&mut self, view: &BookView<'_>, tick: &TickSize<'_>) {
        let _ = (view, tick);
    }
    /// The book's state changed; `view.state` is the new one.
    fn on_status(&mut self, view: &BookView<'_>, before: BookState) {
        let _ = (view, before);
    }
    /// The venue's own best bid and ask: Kalshi's `ticker`, with last price, volume and open interest; Polymarket's
    /// `best_bid_ask`. It does not change the book.
    fn on_ticker(&mut self, view: &BookView<'_>, ticker: &TopOfBook<'_>) {
        let _ = (view, ticker);
    }
    /// A market of this shard has come to another stage: new, opened, ended, resolved. Each stage is reported once, in
    /// this order; a market that trades again is opened again. Not in order with the market's books.
    fn on_market(&mut self, view: &MarketView<'_>) {
        let _ = view;
    }
    /// A connection of this shard is up, down or replaced.
    fn on_connection(&mut self, view: &ConnectionView<'_>) {
        let _ = view;
    }
}

/// A handler that does nothing.
impl Handler for () {
    const WANTS_MARKETS: bool = false;
}
