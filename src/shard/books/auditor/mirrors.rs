//! Markets at rest whose two books do not mirror each other: how often the venue is asked for them.
//!
//! Runs on:  shard cores (pure; time is an argument). Bounds: one entry for each such market.
use crate::base::id::BookIndex;
use crate::base::limits::{REPAIR_RETRY_MAX_NS, REPAIR_RETRY_MIN_NS};
use crate::market::book::{Book, Side};
use std::collections::BTreeMap;

/// One market, as its books were when the venue was asked for them.
#[derive(Clone, Copy, Debug)]
struct Question {
    /// Messages applied to each book.
    updates: [u64; 2],
    /// Of the messages that each book had, the number at which the venue's book was equal to it.
    equal: [Option<u64>; 2],
    next_wall_ns: u64,
    timeout_ns: u64,
}

/// The markets, by the first of their two books.
#[derive(Debug, Default)]
pub(super) struct Mirrors {
    asked: BTreeMap<BookIndex, Question>,
}

impl Mirrors {
    /// Whether the venue is to be asked now: not while both books are what it last confirmed, and after a pause
    /// that doubles where it does not answer.
    pub(super) fn is_due(&mut self, first: BookIndex, updates: [u64; 2], now_wall_ns: u64) -> bool {
        let fresh = Question {
            updates,
            equal: [None; 2],
            next_wall_ns: 0,
            timeout_ns: REPAIR_RETRY_MIN_NS,
        };
        let question = self.asked.entry(first).or_insert(fresh);
        if question.updates != updates {
            *question = fresh;
        }
        let confirmed = question.equal == updates.map(Some);
        if confirmed || now_wall_ns < question.next_wall_ns {
            return false;
        }
        question.next_wall_ns = now_wall_ns + question.timeout_ns;
        question.timeout_ns = (2 * question.timeout_ns).min(REPAIR_RETRY_MAX_NS);
        true
    }

    /// The venue's book was equal to one of a market's two.
    pub(super) fn on_equal(&mut self, first: BookIndex, place: usize, updates: u64) {
        if let Some(question) = self.asked.get_mut(&first) {
            question.equal[place] = Some(updates);
        }
    }

    /// The two mirror each other, or are gone.
    pub(super) fn forget(&mut self, first: BookIndex) {
        if !self.asked.is_empty() {
            self.asked.remove(&first);
        }
    }
}

/// Whether a bid at p is an ask at 1 - p of the other, on both sides.
pub(super) fn are_mirrored(one: &Book, other: &Book) -> bool {
    let across = |side: Side| {
        let (ours, theirs) = match side {
            Side::Bid => (&one.bids, &other.asks),
            Side::Ask => (&one.asks, &other.bids),
        };
        ours.len() == theirs.len()
            && ours.levels().zip(theirs.levels()).all(|(our, their)| {
                our.price == their.price.complement() && our.quantity == their.quantity
            })
    };
    across(Side::Bid) && across(Side::Ask)
}

#[cfg(test)]
mod tests;
