//! Where the trades are that the database does not have yet, and what is to be done next.
//!
//! Runs on:  the trade sink (pure; time is an argument). Owns: the trades that wait in memory.
//! Bounds:   `SINK_MEMORY_TRADES_MAX` trades, and one batch that is under way.
//!
//! Oldest first: the batch that is under way or has failed, then the journal, then memory. Trades enter
//! the database in the order in which they came; what the database has already it passes over.
use crate::base::limits::{
    SINK_MEMORY_TRADES, SINK_MEMORY_TRADES_MAX, SINK_RETRY_MAX_NS, SINK_RETRY_MIN_NS,
    SINK_SPILL_AGE_NS,
};
use crate::link::shard_trade::TradeRecord;
use std::collections::VecDeque;

/// How trades are gathered.
#[derive(Clone, Copy, Debug)]
pub struct Batching {
    /// Most trades of a batch.
    pub trades_max: usize,
    /// A trade waits at most so long for others, nanoseconds.
    pub age_max_ns: u64,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Todo {
    /// Nothing yet.
    Wait,
    /// The batch that failed is to be handed over again.
    Retry,
    /// A batch from the journal is to be handed over.
    StoreJournal,
    /// A batch from memory is to be handed over.
    StoreMemory,
    /// What waits in memory is to go into the journal.
    Spill,
}

/// The trades that the database does not have yet.
#[derive(Debug)]
pub struct Ledger {
    batching: Batching,
    memory: VecDeque<(u64, TradeRecord)>,
    /// Handed over, or failed and to be handed over again.
    batch: Vec<TradeRecord>,
    under_way: bool,
    journaled: u64,
    /// No attempt before; 0 while the database is up.
    retry_ns: u64,
    patience_ns: u64,
    /// No spill before: the journal has failed.
    spill_ns: u64,
    lost: u64,
}

impl Ledger {
    /// Nothing waits but what the journal holds from before.
    #[must_use]
    pub const fn new(batching: Batching, journaled: u64) -> Self {
        Self {
            batching,
            memory: VecDeque::new(),
            batch: Vec::new(),
            under_way: false,
            journaled,
            retry_ns: 0,
            patience_ns: 0,
            spill_ns: 0,
            lost: 0,
        }
    }

    /// A trade came. Lost only where database and journal are both away for long.
    pub fn handle_trade(&mut self, trade: TradeRecord, now_ns: u64) {
        if self.memory.len() >= SINK_MEMORY_TRADES_MAX {
            self.lost += 1;
            return;
        }
        self.memory.push_back((now_ns, trade));
    }

    /// What to do now. `draining`: nothing more comes, and nothing is waited for.
    #[must_use]
    pub fn poll(&self, now_ns: u64, draining: bool) -> Todo {
        let oldest_ns = self.memory.front().map(|(since_ns, _)| *since_ns);
        let aged = |age_ns: u64| oldest_ns.is_some_and(|since_ns| now_ns >= since_ns + age_ns);
        let spills = aged(SINK_SPILL_AGE_NS.max(2 * self.batching.age_max_ns))
            || self.memory.len() >= SINK_MEMORY_TRADES;
        if !self.under_way && now_ns >= self.retry_ns {
            if !self.batch.is_empty() {
                return Todo::Retry;
            }
            if self.journaled > 0 {
                // Behind the journal nothing may overtake; and it must not starve what is new.
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

    /// Takes a batch out of memory to be handed over.
    pub fn begin_memory(&mut self) -> &[TradeRecord] {
        let count = self.memory.len().min(self.batching.trades_max);
        self.batch.extend(self.memory.drain(..count).map(|(_, trade)| trade));
        self.under_way = true;
        &self.batch
    }

    /// The batch that failed is handed over again.
    pub fn begin_again(&mut self) -> &[TradeRecord] {
        self.under_way = true;
        &self.batch
    }

    /// Trades of the journal were handed over; they stay there until they are stored.
    pub fn begin_journal(&mut self) {
        self.under_way = true;
    }

    /// Something without trades was handed over.
    pub const fn begin_other(&mut self) {
        self.under_way = true;
    }

    /// Whether something without trades may be handed over now.
    #[must_use]
    pub const fn has_room(&self, now_ns: u64) -> bool {
        !self.under_way && self.batch.is_empty() && now_ns >= self.retry_ns
    }

    /// The database has what was under way. `from_journal`: so many trades left the journal.
    pub fn on_stored(&mut self, from_journal: u64) {
        self.under_way = false;
        (self.retry_ns, self.patience_ns) = (0, 0);
        self.batch.clear();
        self.journaled = self.journaled.saturating_sub(from_journal);
    }

    /// The database did not take what was under way; it is tried again later.
    pub fn on_failed(&mut self, now_ns: u64) {
        self.under_way = false;
        self.patience_ns = (2 * self.patience_ns).clamp(SINK_RETRY_MIN_NS, SINK_RETRY_MAX_NS);
        self.retry_ns = now_ns + self.patience_ns;
    }

    /// What waits in memory, oldest first, for the journal.
    pub fn spill(&self) -> impl Iterator<Item = &TradeRecord> {
        self.memory.iter().map(|(_, trade)| trade)
    }

    /// The batch that no attempt will be made for any more, for the journal.
    #[must_use]
    pub fn failed_batch(&self) -> &[TradeRecord] {
        &self.batch
    }

    /// The journal has the failed batch, too.
    pub fn on_batch_journaled(&mut self) {
        self.journaled += self.batch.len() as u64;
        self.batch.clear();
    }

    /// The journal has what waited in memory.
    pub fn on_spilled(&mut self) {
        self.journaled += self.memory.len() as u64;
        self.memory.clear();
    }

    /// The journal took nothing; tried again a second later.
    pub fn on_spill_failed(&mut self, now_ns: u64) {
        self.spill_ns = now_ns + SINK_SPILL_AGE_NS;
    }

    /// Nothing comes any more: a database that has failed gets one more try at once.
    pub const fn hurry(&mut self) {
        self.retry_ns = 0;
    }

    /// The journal took nothing and the process ends.
    pub fn on_all_lost(&mut self) {
        self.lost += self.waiting();
        self.memory.clear();
        self.batch.clear();
    }

    /// Somebody has cut the journal: `kept` of its trades can still be read, or are under way. Gives how many are lost.
    pub fn on_journal_cut(&mut self, kept: u64) -> u64 {
        let lost = self.journaled.saturating_sub(kept);
        self.journaled -= lost;
        self.lost += lost;
        lost
    }

    /// The journal cannot be read: what it holds waits for the next start.
    pub fn on_journal_unreadable(&mut self) {
        self.journaled = 0;
        self.under_way = false;
    }

    /// Trades in memory, those under way included.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        (self.memory.len() + self.batch.len()) as u64
    }

    /// Trades in the journal.
    #[must_use]
    pub const fn journaled(&self) -> u64 {
        self.journaled
    }

    /// Trades that found no room.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Nothing is missing from the database.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.waiting() == 0 && self.journaled == 0
    }

    /// Whether a batch is under way.
    #[must_use]
    pub const fn is_under_way(&self) -> bool {
        self.under_way
    }
}

#[cfg(test)]
mod tests;
