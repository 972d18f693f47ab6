//! Markets of a connection whose snapshots may not be taken: deleted and added again, or refused.
//!
//! Runs on:  shards (pure; times are monotonic nanoseconds).
//! Bounds:   `DELETED_MARKETS_MAX` deleted markets; the others are markets of the connection.
use crate::base::id::TokenId;
use crate::base::limits::{DELETED_MARKETS_MAX, REFUSED_RETRY_MAX_NS, REFUSED_RETRY_MIN_NS};
use foldhash::quality::FixedState;
use std::collections::{HashMap, HashSet};

/// The addition of a market that this session had deleted. A snapshot requested before the deletion may arrive after
/// it: the changes up to the addition are missing in it.
#[derive(Clone, Copy, Debug)]
struct Readdition {
    /// The last command before it: a snapshot with this id or a lower one is not taken.
    after: u64,
    /// The venue has answered the addition. Until then a snapshot without id is not taken.
    is_answered: bool,
    /// A snapshot was not taken. It may have been the one of the addition.
    has_refused: bool,
}

/// A market whose addition the venue refused. It answers `get_snapshot` for one that is not subscribed too, and no
/// changes follow.
#[derive(Clone, Copy, Debug)]
struct Refusal {
    /// When it is added again; `None` once that is under way.
    due_ns: Option<u64>,
    wait_ns: u64,
}

/// Such markets of one session.
#[derive(Clone, Debug, Default)]
pub(super) struct Exceptions {
    /// Markets deleted from the subscription; when there are `DELETED_MARKETS_MAX`, every addition counts as one of a
    /// deleted market.
    deleted: HashSet<TokenId, FixedState>,
    readditions: HashMap<TokenId, Readdition, FixedState>,
    refusals: HashMap<TokenId, Refusal, FixedState>,
}

impl Exceptions {
    /// A subscription begins: what was requested from an earlier one is known by its command id.
    pub(super) fn clear(&mut self) {
        self.deleted.clear();
        self.readditions.clear();
        self.refusals.clear();
    }

    /// Markets are to be added; `after` is the last command.
    pub(super) fn on_add(&mut self, tokens: &[TokenId], after: u64) {
        let all = self.deleted.len() >= DELETED_MARKETS_MAX;
        let readdition = Readdition { after, is_answered: false, has_refused: false };
        for token in tokens {
            self.refusals.remove(token);
            if all || self.deleted.contains(token) {
                self.readditions.insert(*token, readdition);
            }
        }
    }

    pub(super) fn on_delete(&mut self, token: TokenId) {
        self.refusals.remove(&token);
        self.readditions.remove(&token);
        if self.deleted.len() < DELETED_MARKETS_MAX {
            self.deleted.insert(token);
        }
    }

    /// The venue has answered the addition of a market: snapshots that follow are from after it. Returns whether one
    /// was not taken before.
    pub(super) fn on_added(&mut self, id: u64, token: &TokenId) -> bool {
        self.refusals.remove(token);
        let Some(readdition) = self.readditions.get_mut(token) else { return false };
        if id <= readdition.after || readdition.is_answered {
            return false;
        }
        readdition.is_answered = true;
        readdition.has_refused
    }

    /// Whether a snapshot is from after the last addition of its market.
    pub(super) fn takes_snapshot(&mut self, id: Option<u64>, token: &TokenId) -> bool {
        if self.is_refused(token) {
            return false;
        }
        let Some(readdition) = self.readditions.get_mut(token) else { return true };
        let takes = id.map_or(readdition.is_answered, |id| id > readdition.after);
        readdition.has_refused |= !takes;
        takes
    }

    /// The venue refused to add a market. Each time the pause until it is added again doubles.
    pub(super) fn on_refused(&mut self, token: TokenId, now_ns: u64) {
        let new = Refusal { due_ns: None, wait_ns: REFUSED_RETRY_MIN_NS };
        let refusal = self.refusals.entry(token).or_insert(new);
        refusal.due_ns = Some(now_ns + refusal.wait_ns);
        refusal.wait_ns = (2 * refusal.wait_ns).min(REFUSED_RETRY_MAX_NS);
    }

    /// Whether the venue refused to add a market, and it is not yet added again.
    pub(super) fn is_refused(&self, token: &TokenId) -> bool {
        self.refusals.get(token).is_some_and(|refusal| refusal.due_ns.is_some())
    }

    /// Refused markets that are to be added again now.
    pub(super) fn take_due(&mut self, now_ns: u64) -> Vec<TokenId> {
        let mut due = Vec::new();
        for (token, refusal) in &mut self.refusals {
            if refusal.due_ns.is_some_and(|due_ns| due_ns <= now_ns) {
                refusal.due_ns = None;
                due.push(*token);
            }
        }
        due
    }
}

#[cfg(test)]
mod tests;
