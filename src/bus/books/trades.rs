//! Which trades are new: each once, whoever publishes it.
//!
//! Runs on:  a reader's thread (pure). Bounds: `BUS_TRADES_REMEMBERED` trades; the last number of each token at each
//!           engine for `BUS_FORGET_NS`.
use super::event::BusTrade;
use crate::base::id::TokenId;
use crate::base::limits::{BUS_FORGET_NS, BUS_TRADES_REMEMBERED};
use crate::market::book::Side;
use foldhash::fast::FixedState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher as _;

/// The last trade of a token at an engine.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    /// Epoch and number.
    number: (u64, u64),
    read_ns: u64,
}

/// Equal trades: price, size, side, time and id are the same.
#[derive(Debug, Default)]
struct Equal {
    /// How many there are: an order may be filled twice alike in one transaction.
    trades: u32,
    /// How many each epoch of each engine has published.
    published: Vec<(u64, u32)>,
}

/// The trades that were read.
#[derive(Debug, Default)]
pub(super) struct Trades {
    last: HashMap<(usize, TokenId), Last, FixedState>,
    equal: HashMap<u64, Equal, FixedState>,
    order: VecDeque<u64>,
}

/// A trade with an id.
pub(super) struct Identified {
    /// The same at every engine, and different for equal trades of one transaction.
    pub(super) key: u64,
    /// No other engine has published it.
    pub(super) is_new: bool,
}

impl Trades {
    /// Whether this number of an engine was read before.
    pub(super) fn was_read(
        &mut self,
        racer: usize,
        token: TokenId,
        number: (u64, u64),
        read_ns: u64,
    ) -> bool {
        let last = self.last.entry((racer, token)).or_default();
        let was_read = number <= last.number;
        *last = Last { number: number.max(last.number), read_ns };
        was_read
    }

    /// A trade of an epoch of an engine; `None` if it has no id. The n-th of equal trades at one engine is the n-th at
    /// each other one.
    pub(super) fn identify(
        &mut self,
        trade: &BusTrade,
        racer: usize,
        epoch: u64,
    ) -> Option<Identified> {
        let id = trade.id?;
        let hash = FixedState::default();
        let BusTrade { token, price, quantity, side, venue_time_ms, .. } = trade;
        let key = (id, token, price.0, quantity.0, *side == Side::Bid, venue_time_ms);
        let (key, source) = (hash.hash_one(key), hash.hash_one((racer, epoch)));
        if !self.equal.contains_key(&key) {
            self.order.push_back(key);
        }
        let equal = self.equal.entry(key).or_default();
        let published = match equal.published.iter_mut().find(|(known, _)| *known == source) {
            Some((_, count)) => {
                *count += 1;
                *count
            }
            None => {
                equal.published.push((source, 1));
                1
            }
        };
        let is_new = published > equal.trades;
        equal.trades = equal.trades.max(published);
        if self.order.len() > BUS_TRADES_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.equal.remove(&oldest);
        }
        Some(Identified { key: hash.hash_one((key, published)), is_new })
    }

    /// Forgets the numbers of an engine, whose own number another one may get.
    pub(super) fn forget_engine(&mut self, racer: usize) {
        self.last.retain(|(known, _), _| *known != racer);
    }

    /// Forgets the numbers of tokens that have not traded for long.
    pub(super) fn forget(&mut self, now_ns: u64) {
        self.last.retain(|_, last| now_ns.saturating_sub(last.read_ns) < BUS_FORGET_NS);
    }
}
