//! The user's own code on the shard core: what it is told and what it may look at.
//!
//! Runs on:  shard cores, between two messages: a slow handler delays the shard's own data.
//!
//! One handler is made per shard, on the main thread, then moved to the shard; nothing is shared,
//! so a handler needs no lock. It sees each book after the whole venue message was applied.
//!
//! Print every change of a spread:
//!
//! ```
//! use ringbook::base::id::ShardId;
//! use ringbook::market::book::Level;
//! use ringbook::shard::publish::{BookView, Handler};
//! use std::collections::HashMap;
//!
//! #[derive(Default)]
//! struct Spreads {
//!     last: HashMap<String, i64>,
//!     lines: Vec<String>,
//! }
//!
//! impl Spreads {
//!     fn look(&mut self, view: &BookView<'_>) {
//!         let Some(spread) = view.book.spread() else { return };
//!         if self.last.insert(view.token.to_string(), spread) != Some(spread) {
//!             let (bid, ask) = (view.book.best_bid(), view.book.best_ask());
//!             let show = |l: Option<Level>| l.map_or("-".into(), |l| l.price.to_string());
//!             self.lines.push(format!("{}: {} / {}", view.token, show(bid), show(ask)));
//!             println!("{}", self.lines.last().unwrap());
//!         }
//!     }
//! }
//!
//! impl Handler for Spreads {
//!     fn on_snapshot(&mut self, view: &BookView<'_>) {
//!         self.look(view);
//!     }
//!     fn on_price_change(&mut self, view: &BookView<'_>, _: &ringbook::shard::publish::Change) {
//!         self.look(view);
//!     }
//! }
//!
//! // The same decode and book code as live, fed by hand:
//! let frames = [
//!     r#"{"market":"0xa1","asset_id":"7","timestamp":"1","event_type":"book",
//!        "bids":[{"price":"0.40","size":"10"}],"asks":[{"price":"0.45","size":"10"}]}"#,
//!     r#"{"market":"0xa1","timestamp":"2","event_type":"price_change","price_changes":
//!        [{"asset_id":"7","side":"BUY","price":"0.42","size":"5"}]}"#,
//!     r#"{"market":"0xa1","timestamp":"3","event_type":"price_change","price_changes":
//!        [{"asset_id":"7","side":"BUY","price":"0.39","size":"5"}]}"#,
//! ];
//! let spreads = ringbook::replay::feed(Spreads::default(), frames);
//! assert_eq!(spreads.lines, ["7: 0.4 / 0.45", "7: 0.42 / 0.45"]);
//! ```
use crate::base::id::{MarketId, ShardId, TokenId};
use crate::base::price::Price;
use crate::market::book::{Book, BookState, Level, Side, image::BookFacts};
use crate::market::event::{TickSize, Trade};

/// A book as a handler sees it.
#[derive(Clone, Copy, Debug)]
pub struct BookView<'a> {
    /// The shard that holds it.
    pub shard: ShardId,
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

/// One level change, applied already.
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

/// Your own code on the shard core. Every method has an empty default.
pub trait Handler: 'static {
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
}

/// A handler that does nothing.
impl Handler for () {}
