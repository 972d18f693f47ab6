//! Markets by slice: which are followed on this machine, and which another one has.
//!
//! Runs on:  the control core (pure).
use super::{Registry, Slot, Status};
use crate::base::id::{ConnectionId, TokenId};
use crate::base::slices::SliceSet;
use std::collections::BTreeMap;

/// How far the connection of a market is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// When its books were counted, monotonic nanoseconds.
    pub counted_ns: u64,
    /// All of them are live.
    pub is_live: bool,
}

impl Registry {
    /// Follows the markets of these slices and no others; the tokens to unsubscribe, by connection. O(markets) if it is
    /// a change.
    pub fn follow_slices(
        &mut self,
        slices: SliceSet,
        now_ns: u64,
    ) -> BTreeMap<ConnectionId, Vec<TokenId>> {
        let mut left: BTreeMap<ConnectionId, Vec<TokenId>> = BTreeMap::new();
        if slices == self.slices {
            return left;
        }
        self.slices = slices;
        for slot in 0..self.slots.len() as Slot {
            let Some(record) = &self.slots[slot as usize] else { continue };
            let (market, slice) = (record.info.market, record.slice);
            match record.status {
                Status::Elsewhere if slices.contains(slice) => {}
                Status::Pending | Status::Subscribed if !slices.contains(slice) => {
                    if let Some(connection) = record.connection {
                        let tokens = record.info.tokens.iter().map(|outcome| outcome.token);
                        left.entry(connection).or_default().extend(tokens);
                    }
                }
                _ => continue,
            }
            self.mark_pending(&market, now_ns);
        }
        left
    }

    /// Followed slices of which every market is on a connection whose books are all live since. O(markets).
    pub fn live_slices(&self, progress: impl Fn(ConnectionId) -> Option<Progress>) -> SliceSet {
        let mut live = self.slices;
        for record in self.markets() {
            let is_live = match (record.status, record.connection) {
                (Status::Elsewhere | Status::Expired, _) => true,
                (Status::Subscribed, Some(connection)) => progress(connection)
                    .is_some_and(|one| one.is_live && one.counted_ns > record.since_ns),
                (Status::Subscribed | Status::Pending, _) => false,
            };
            if !is_live {
                live.set(record.slice, false);
            }
        }
        live
    }

    /// Status of a market that is on no connection.
    pub(super) const fn status_of_waiting(&self, slice: u8) -> Status {
        if self.slices.contains(slice) { Status::Pending } else { Status::Elsewhere }
    }
}
