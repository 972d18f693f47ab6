//! Input that no decoder can read: the books that it may have concerned are stale.
//!
//! Runs on:  shard cores, replay (pure), for damaged input only.
use super::{Admission, Books, ConnectionSlot};
use crate::base::{condition, id::BookIndex};
use crate::market::book::StaleReason;
use crate::shard::publish::Handler;
use crate::venue::{for_each_id_in, markets_in};

impl<H: Handler> Books<H> {
    /// A text from `connection` could not be read: the books of every market that it names, by the market's id or
    /// a token's, may have missed a change. Where it names none, every book of the connection may have.
    pub fn on_damaged(&mut self, text: &str, connection: ConnectionSlot, wall_ns: u64) {
        if self.sequenced {
            // Messages are numbered: what is missing is found by the number of the next one.
            for market in markets_in(text) {
                self.on_undecoded(market, "", wall_ns);
            }
            return;
        }
        // Where books are implied another shard may hold this one, and any number of shards must come to one result.
        let elsewhere = self.admission != Admission::Listed;
        let named = for_each_id_in(text, |id| self.on_named(id, wall_ns) || elsewhere);
        if !named && self.live_on(connection) > 0 {
            self.set_connection_stale(connection, StaleReason::UndecodedMessage, wall_ns);
        }
    }

    /// Marks the books of the market, or of the markets of the token, of this id. False when there are none.
    fn on_named(&mut self, id: &str, wall_ns: u64) -> bool {
        if let Some(market) = condition::market_id(id).filter(|id| id.as_str().starts_with("0x")) {
            self.on_undecoded(market.as_str(), "", wall_ns);
            return self.find_market(market.as_bytes()).is_some();
        }
        let mut found: Vec<BookIndex> = Vec::new();
        self.by_token.find(self.hash(id.as_bytes()), |place| {
            let index = BookIndex(place);
            if self.slots[index].token.as_bytes() == id.as_bytes() {
                found.push(index);
            }
            false
        });
        for &index in &found {
            let market = self.slots[index].market;
            self.on_undecoded(market.as_str(), "", wall_ns);
        }
        !found.is_empty()
    }
}

#[cfg(test)]
mod tests;
