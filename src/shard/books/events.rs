//! What the handler is told that is no message about a book: markets and connections.
//!
//! Runs on:  shard cores, outside the data path.
use super::Books;
use crate::base::id::{ConnectionId, Venue};
use crate::market::info::MarketEvent;
use crate::shard::publish::{ConnectionChange, ConnectionView, Handler, MarketView};

impl<H: Handler> Books<H> {
    /// The same for this venue; the default is Polymarket.
    #[must_use]
    pub fn of_venue(mut self, venue: Venue) -> Self {
        self.slots.venue = venue;
        self
    }

    /// A market of this shard has come to another stage of its life.
    pub fn on_market(&mut self, event: &MarketEvent) {
        let MarketEvent { stage, info, resolution } = event;
        let (venue, shard, resolution) = (self.slots.venue, self.shard, resolution.as_ref());
        self.handler.on_market(&MarketView { venue, shard, stage: *stage, info, resolution });
    }

    /// A connection is up, down or replaced.
    pub fn on_connection(&mut self, connection: ConnectionId, change: ConnectionChange<'_>) {
        let (venue, shard) = (self.slots.venue, self.shard);
        self.handler.on_connection(&ConnectionView { venue, shard, connection, change });
    }
}
