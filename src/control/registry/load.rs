//! The load of one connection: the markets that the registry has put on it.
//!
//! Runs on:  the control core (pure).
use super::{Slot, Status};
use crate::base::id::ShardId;
use std::collections::BTreeSet;

/// What one connection carries.
#[derive(Clone, Debug)]
pub struct Load {
    /// The shard of all its markets.
    pub shard: ShardId,
    /// Tokens on it, expired ones too.
    pub tokens: usize,
    /// Of these, tokens whose market has expired.
    pub tokens_expired: usize,
    pub(super) slots: BTreeSet<Slot>,
}

impl Load {
    pub(super) const fn new(shard: ShardId) -> Self {
        Self { shard, tokens: 0, tokens_expired: 0, slots: BTreeSet::new() }
    }

    /// Tokens whose market has not expired.
    pub const fn active(&self) -> usize {
        self.tokens - self.tokens_expired
    }

    /// Expired tokens among all, 0 to 1, for reading only.
    pub fn pollution(&self) -> f64 {
        if self.tokens == 0 { 0.0 } else { self.tokens_expired as f64 / self.tokens as f64 }
    }

    pub(super) fn add(&mut self, slot: Slot, tokens: usize, status: Status) {
        self.slots.insert(slot);
        self.tokens += tokens;
        if status == Status::Expired {
            self.tokens_expired += tokens;
        }
    }

    pub(super) fn subtract(&mut self, slot: Slot, tokens: usize, status: Status) {
        self.slots.remove(&slot);
        self.tokens -= tokens;
        if status == Status::Expired {
            self.tokens_expired -= tokens;
        }
    }
}
