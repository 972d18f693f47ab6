//! Input that no decoder can read: the books that it may have concerned are stale.
//!
//! Runs on:  shard cores, replay (pure), for damaged input only.
use super::{Admission, Books, ConnectionSlot, store::Store};
use crate::base::condition;
use crate::market::book::StaleReason;
use crate::shard::publish::Handler;
use crate::venue::{for_each_id_in, markets_in};

impl<H: Handler> Books<H> {
    /// A text from `connection` could not be read: the books of every market that it names, by the market's id or
    /// a token's, may have missed a change. Where it names none, every book of the connection may have.
    pub fn on_damaged(&mut self, text: &str, connection: ConnectionSlot, wall_ns: u64) {
        let store = &mut self.store;
        if self.sequenced {
            // Messages are numbered: what is missing is found by the number of the next one.
            for market in markets_in(text) {
                store.on_undecoded(market, "", wall_ns);
            }
            return;
        }
        // Where books are implied another shard may hold this one, and any number of shards must come to one result.
        let elsewhere = store.admission != Admission::Listed;
        let named = for_each_id_in(text, |id| store.on_named(id, wall_ns) || elsewhere);
        if !named && store.live_on(connection) > 0 {
            store.set_connection_stale(connection, StaleReason::UndecodedMessage, wall_ns);
        }
    }
}

impl<H: Handler> Store<H> {
    /// A message could not be decoded: the book of `token` may have missed a change. Where the
    /// token is not known (empty), any book of `market` may have.
    pub(super) fn on_undecoded(&mut self, market: &str, token: &str, wall_ns: u64) {
        let why = StaleReason::UndecodedMessage;
        if !token.is_empty() {
            if let Some(index) = self.find_in(market, token.as_bytes()) {
                self.set_stale(index, why, wall_ns);
            }
        } else if let Some(first) = self.find_market(market) {
            self.set_market_stale(first, why, wall_ns);
        }
    }

    /// Makes the books of the market, or of the markets of the token, of this id stale. False when there are none.
    fn on_named(&mut self, id: &str, wall_ns: u64) -> bool {
        if let Some(market) = condition::market_id(id).filter(|id| id.as_str().starts_with("0x")) {
            self.on_undecoded(market.as_str(), "", wall_ns);
            return self.find_market(market.as_str()).is_some();
        }
        let found = self.directory.find_all(&self.slots, id.as_bytes());
        for &index in &found {
            let market = self.slots[index].market;
            self.on_undecoded(market.as_str(), "", wall_ns);
        }
        !found.is_empty()
    }
}

#[cfg(test)]
mod tests;
