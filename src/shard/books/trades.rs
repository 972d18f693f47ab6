//! Trades of the stream: each once, early ones kept for their book, all sent to the sink.
//!
//! Runs on:  shard cores, replay (pure; time is an argument). Owns: ids of the last trades; trades without a book.
//! Bounds:   `TRADE_IDS_STORED_MAX` ids; `EARLY_TRADES_MAX` trades, none older than `EARLY_TRADE_AGE_NS` when another
//!           one comes.
//!
//! Kalshi's trade stream brings the trades of every market, combos included, before the first book opens and while a
//! market moves to another connection, and on two connections. Only those of followed markets are kept. Whether a
//! market will be followed is not known when its trade comes: a book that opens takes its trades over, live and in
//! replay alike.
use super::slots::Slot;
use crate::base::id::{ConnectionId, MarketId, TokenId};
use crate::base::limits::{EARLY_TRADE_AGE_NS, EARLY_TRADES_MAX, TRADE_IDS_STORED_MAX};
use crate::link::shard_shard::ForwardedEvent;
use crate::link::shard_trade::TradeSender;
use crate::market::event::Trade;
use std::collections::{HashMap, HashSet, VecDeque};

/// The last trades, by a hash of their ids, oldest first.
#[derive(Debug, Default)]
struct KnownTrades {
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

impl KnownTrades {
    fn insert(&mut self, trade: u64) -> bool {
        if !self.known.insert(trade) {
            return false;
        }
        if self.order.len() >= TRADE_IDS_STORED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(trade);
        true
    }
}

/// Trades without a book, oldest first.
#[derive(Debug, Default)]
struct EarlyTrades {
    trades: VecDeque<(u32, ForwardedEvent)>,
    /// How many there are of each hash of a token, so that a book that opens need not look at all of them.
    hashes: HashMap<u32, u32>,
}

impl EarlyTrades {
    fn push(&mut self, hash: u32, trade: ForwardedEvent) {
        let oldest_ns = trade.read_wall_ns.saturating_sub(EARLY_TRADE_AGE_NS);
        while let Some((hash, first)) = self.trades.front()
            && (first.read_wall_ns < oldest_ns || self.trades.len() >= EARLY_TRADES_MAX)
        {
            let hash = *hash;
            self.trades.pop_front();
            self.forget(hash);
        }
        *self.hashes.entry(hash).or_default() += 1;
        self.trades.push_back((hash, trade));
    }

    fn forget(&mut self, hash: u32) {
        if let Some(count) = self.hashes.get_mut(&hash) {
            *count -= 1;
            if *count == 0 {
                self.hashes.remove(&hash);
            }
        }
    }

    /// Takes the trades out that `is_it`, oldest first.
    fn take(&mut self, hash: u32, is_it: impl Fn(&ForwardedEvent) -> bool) -> Vec<ForwardedEvent> {
        let mut taken = Vec::new();
        if self.hashes.contains_key(&hash) {
            self.trades.retain(|(of, trade)| {
                let takes = *of == hash && is_it(trade);
                if takes {
                    taken.push(*trade);
                }
                !takes
            });
            taken.iter().for_each(|_| self.forget(hash));
        }
        taken
    }
}

/// What a shard does with trades besides publishing them.
#[derive(Debug, Default)]
pub(super) struct Trades {
    known: KnownTrades,
    early: EarlyTrades,
    sink: Option<TradeSender>,
}

impl Trades {
    /// Sends every trade to `sink` too.
    pub(super) fn set_sink(&mut self, sink: TradeSender) {
        self.sink = Some(sink);
    }

    /// Whether a trade is new, by a hash of its id. Two of 65,536 share a hash of 64 bits once in 10^9 times.
    pub(super) fn is_new(&mut self, trade: u64) -> bool {
        self.known.insert(trade)
    }

    /// Keeps a trade whose market has no book, or none any more; `hash` is that of its token.
    pub(super) fn keep_early(&mut self, hash: u32, trade: ForwardedEvent) {
        self.early.push(hash, trade);
    }

    /// The trades that came before their book, oldest first; `hash` is that of the token.
    pub(super) fn take_early(
        &mut self,
        hash: u32,
        market: MarketId,
        token: TokenId,
    ) -> Vec<ForwardedEvent> {
        self.early.take(hash, |trade| trade.token == token && trade.market == market)
    }

    /// Sends a trade to the sink, if there is one.
    pub(super) fn send(
        &mut self,
        slot: &Slot,
        event: &Trade<'_>,
        connection: ConnectionId,
        wall_ns: u64,
    ) {
        if let Some(sink) = &mut self.sink {
            sink.send((slot.market, slot.token), event, connection, wall_ns);
        }
    }
}

#[cfg(test)]
mod tests;
