//! Position of each trade that is not in the database yet, and the next action. Pure state machine.
//!
//! Runs on:  the thread `trades` (pure; time is an argument). Owns: the trades in memory.
//! Bounds:   `SINK_MEMORY_TRADES_MAX` trades, and one batch in flight.
//!
//! Order of storage: the batch in flight or failed, the journal, memory. Trades are inserted in the order in which
//! they were received; the database ignores duplicates.
use crate::base::limits::{
    SINK_MEMORY_TRADES, SINK_MEMORY_TRADES_MAX, SINK_RETRY_MAX_NS, SINK_RETRY_MIN_NS,
    SINK_SPILL_AGE_NS,
};
use crate::link::shard_trade::TradeRecord;
use std::collections::VecDeque;

/// Bounds of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Batching {
    /// Most trades of a batch.
    pub trades_max: usize,
    /// Longest wait of a trade for its batch, nanoseconds.
    pub age_max_ns: u64,
}

/// The next action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Todo {
    /// Nothing to do.
    Wait,
    /// Submit the failed batch again.
    Retry,
    /// Submit a batch from the journal.
    StoreJournal,
    /// Submit a batch from memory.
    StoreMemory,
    /// Write the trades in memory to the journal.
    Spill,
}

/// The trades that are not in the database yet.
#[derive(Debug)]
pub struct Ledger {
    batching: Batching,
    memory: VecDeque<(u64, TradeRecord)>,
    /// In flight, or failed and to be submitted again.
    batch: Vec<TradeRecord>,
    in_flight: bool,
    journaled: u64,
    /// Earliest time of the next attempt; 0 while the database is up.
    retry_ns: u64,
    backoff_ns: u64,
    /// Earliest time of the next write to the journal, after it failed.
    spill_ns: u64,
    lost: u64,
}

impl Ledger {
    /// A ledger with `journaled` trades in the journal.
    pub const fn new(batching: Batching, journaled: u64) -> Self {
        Self {
            batching,
            memory: VecDeque::new(),
            batch: Vec::new(),
            in_flight: false,
            journaled,
            retry_ns: 0,
            backoff_ns: 0,
            spill_ns: 0,
            lost: 0,
        }
    }

    /// Adds a trade. It is lost only if database and journal both fail until memory is full.
    pub fn handle_trade(&mut self, trade: TradeRecord, now_ns: u64) {
        if self.memory.len() >= SINK_MEMORY_TRADES_MAX {
            self.lost += 1;
            return;
        }
        self.memory.push_back((now_ns, trade));
    }

    /// The next action. `draining`: no more trades arrive, so do not wait for a full batch.
    pub fn poll(&self, now_ns: u64, draining: bool) -> Todo {
        let oldest_ns = self.memory.front().map(|(since_ns, _)| *since_ns);
        let aged = |age_ns: u64| oldest_ns.is_some_and(|since_ns| now_ns >= since_ns + age_ns);
        let spills = aged(SINK_SPILL_AGE_NS.max(2 * self.batching.age_max_ns))
            || self.memory.len() >= SINK_MEMORY_TRADES;
        if !self.in_flight && now_ns >= self.retry_ns {
            if !self.batch.is_empty() {
                return Todo::Retry;
            }
            if self.journaled > 0 {
                // Trades in memory must not overtake the journal, and the journal must not starve them.
                return if spills && now_ns >= self.spill_ns {
                    Todo::Spill
                } else {
                    Todo::StoreJournal
                };
            }
            let full = self.memory.len() >= self.batching.trades_max;
            if full || aged(self.batching.age_max_ns) || draining && oldest_ns.is_some() {
                return Todo::StoreMemory;
            }
        }
        if spills && now_ns >= self.spill_ns { Todo::Spill } else { Todo::Wait }
    }

    /// Moves a batch out of memory for submission.
    pub fn begin_memory(&mut self) -> &[TradeRecord] {
        let count = self.memory.len().min(self.batching.trades_max);
        self.batch.extend(self.memory.drain(..count).map(|(_, trade)| trade));
        self.in_flight = true;
        &self.batch
    }

    /// The failed batch, for resubmission.
    pub fn retry_batch(&mut self) -> &[TradeRecord] {
        self.in_flight = true;
        &self.batch
    }

    /// A batch of the journal was submitted; its trades stay in the journal until stored.
    pub fn begin_journal(&mut self) {
        self.in_flight = true;
    }

    /// A batch without trades was submitted.
    pub const fn begin_other(&mut self) {
        self.in_flight = true;
    }

    /// Whether a batch without trades may be submitted now.
    pub const fn has_room(&self, now_ns: u64) -> bool {
        !self.in_flight && self.batch.is_empty() && now_ns >= self.retry_ns
    }

    /// The batch in flight is stored; `from_journal` of its trades were from the journal.
    pub fn on_stored(&mut self, from_journal: u64) {
        self.in_flight = false;
        (self.retry_ns, self.backoff_ns) = (0, 0);
        self.batch.clear();
        self.journaled = self.journaled.saturating_sub(from_journal);
    }

    /// The batch in flight failed; it is retried after a backoff.
    pub fn on_failed(&mut self, now_ns: u64) {
        self.in_flight = false;
        self.backoff_ns = (2 * self.backoff_ns).clamp(SINK_RETRY_MIN_NS, SINK_RETRY_MAX_NS);
        self.retry_ns = now_ns + self.backoff_ns;
    }

    /// The trades in memory, oldest first, to write to the journal.
    pub fn spill(&self) -> impl Iterator<Item = &TradeRecord> {
        self.memory.iter().map(|(_, trade)| trade)
    }

    /// The batch that is not retried any more, to write to the journal.
    pub fn failed_batch(&self) -> &[TradeRecord] {
        &self.batch
    }

    /// The failed batch was written to the journal.
    pub fn on_batch_journaled(&mut self) {
        self.journaled += self.batch.len() as u64;
        self.batch.clear();
    }

    /// The trades in memory were written to the journal.
    pub fn on_spilled(&mut self) {
        self.journaled += self.memory.len() as u64;
        self.memory.clear();
    }

    /// Writing to the journal failed; retried after a second.
    pub fn on_spill_failed(&mut self, now_ns: u64) {
        self.spill_ns = now_ns + SINK_SPILL_AGE_NS;
    }

    /// Draining: a failed database is retried once without backoff.
    pub const fn retry_now(&mut self) {
        self.retry_ns = 0;
    }

    /// The journal failed at the end of the process: all trades in memory are lost.
    pub fn on_all_lost(&mut self) {
        self.lost += self.waiting();
        self.memory.clear();
        self.batch.clear();
    }

    /// The journal was truncated externally: `left` of its trades are readable or in flight. Returns the number lost.
    pub fn on_journal_cut(&mut self, left: u64) -> u64 {
        let lost = self.journaled.saturating_sub(left);
        self.journaled -= lost;
        self.lost += lost;
        lost
    }

    /// The journal cannot be read: its trades are stored by the next run.
    pub fn on_journal_unreadable(&mut self) {
        self.journaled = 0;
        self.in_flight = false;
    }

    /// Trades in memory, including the batch in flight.
    pub fn waiting(&self) -> u64 {
        (self.memory.len() + self.batch.len()) as u64
    }

    /// Trades in the journal.
    pub const fn journaled(&self) -> u64 {
        self.journaled
    }

    /// Trades dropped because memory was full.
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// True if every trade is in the database.
    pub fn is_settled(&self) -> bool {
        self.waiting() == 0 && self.journaled == 0
    }

    /// Whether a batch is in flight.
    pub const fn is_in_flight(&self) -> bool {
        self.in_flight
    }
}

#[cfg(test)]
mod tests;
