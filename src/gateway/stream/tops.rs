//! Conflation of best prices for one client: the newest top of each book, at an interval.
//!
//! Runs on:  serve core (pure). Owns: the last sent top of each of the client's books.
use crate::gateway::Replica;
use crate::link::shard_updates::SubscriptionKey;
use crate::market::book::{BookState, Level};
use foldhash::fast::FixedState;
use std::collections::{BTreeSet, HashMap};

/// What a `top` event reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Top {
    /// The state of the book.
    pub state: BookState,
    /// Best bid.
    pub bid: Option<Level>,
    /// Best ask.
    pub ask: Option<Level>,
}

impl Top {
    /// The top of a replica.
    pub fn from_replica(replica: &Replica) -> Self {
        Self { state: replica.state, bid: replica.book.best_bid(), ask: replica.book.best_ask() }
    }
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    top: Top,
    at_ns: u64,
    due_ns: Option<u64>,
}

/// The tops of one client. A new state is sent at once; new prices when the interval has passed since the last event of
/// the book.
#[derive(Debug)]
pub struct Tops {
    interval_ns: u64,
    sent: HashMap<SubscriptionKey, Sent, FixedState>,
    /// When a newer top is due, and of which book.
    waiting: BTreeSet<(u64, u32)>,
}

impl Tops {
    /// No books; `interval_ns` as in the client's options.
    pub fn new(interval_ns: u64) -> Self {
        Self { interval_ns, sent: HashMap::default(), waiting: BTreeSet::new() }
    }

    /// The book's top is now `top`. True: send it; false: it is as before, or [`Tops::take_due`] returns the book
    /// later.
    #[must_use]
    pub fn on_top(&mut self, key: SubscriptionKey, top: Top, now_ns: u64) -> bool {
        let Some(sent) = self.sent.get_mut(&key) else {
            self.sent.insert(key, Sent { top, at_ns: now_ns, due_ns: None });
            return true;
        };
        if sent.top.state == top.state {
            if sent.top == top || sent.due_ns.is_some() {
                return false;
            }
            let due_ns = sent.at_ns.saturating_add(self.interval_ns);
            if due_ns > now_ns {
                sent.due_ns = Some(due_ns);
                self.waiting.insert((due_ns, key.0));
                return false;
            }
        }
        (sent.top, sent.at_ns) = (top, now_ns);
        true
    }

    /// The next book whose interval has passed. Look up its top and pass it to [`Tops::on_top`], which says whether it
    /// differs from what was sent.
    pub fn take_due(&mut self, now_ns: u64) -> Option<SubscriptionKey> {
        let (due_ns, key) =
            self.waiting.first().copied().filter(|&(due_ns, _)| due_ns <= now_ns)?;
        self.waiting.remove(&(due_ns, key));
        let key = SubscriptionKey(key);
        if let Some(sent) = self.sent.get_mut(&key) {
            sent.due_ns = None;
        }
        Some(key)
    }

    /// The client has left the book.
    pub fn remove(&mut self, key: SubscriptionKey) {
        if let Some(Sent { due_ns: Some(due_ns), .. }) = self.sent.remove(&key) {
            self.waiting.remove(&(due_ns, key.0));
        }
    }
}

#[cfg(test)]
mod tests;
