//! Books mended with the venue's REST interface, and books compared with it.
//!
//! Runs on:  shard cores (pure; time is an argument). Owns: changes that wait for a book.
//! Bounds:   `REPAIR_CHANGES_MAX` changes a book; `AUDITS_OPEN_MAX` books that may be behind.
//!
//! A book that is not live and whose snapshot does not come is asked for over REST. What changes
//! from the moment of asking is kept; the answer replaces the book, and of what was kept all that is not
//! older than the answer is applied again. That is right because sizes are absolute. An answer
//! older than what was known at the asking is a stale one: it is asked for again.
//!
//! A live book may be asked for too: an audit. Is the answer newer than the book and stays so, then
//! the book has missed a message, or its connection has gone dead behind answered pings.
use super::{Books, ConnectionSlot, Slot, view};
use crate::base::{
    condition,
    id::{BookIndex, MarketId, TokenId},
    limits::{AUDIT_TIMEOUT_NS, AUDITS_OPEN_MAX, REPAIR_CHANGES_MAX},
    limits::{REPAIR_RETRY_MAX_NS, REPAIR_RETRY_MIN_NS},
    time::Now,
};
use crate::counter::shard::RepairCounts;
use crate::market::book::{Book, BookState, Side, StaleReason, summary::Summary};
use crate::market::event::{ChangeSpan, Snapshot};
use crate::shard::publish::Handler;
use mirrors::Mirrors;
use std::collections::{BTreeMap, VecDeque};

mod mirrors;

/// What waits for one book.
#[derive(Debug)]
struct Repair {
    /// Newest venue time that was known of the book when the keeping began.
    seen_ms: u64,
    changes: Vec<(u64, ChangeSpan)>,
    /// Changes were lost for lack of room: the answer on its way cannot be used.
    lossy: bool,
    next_ask_ns: u64,
    timeout_ns: u64,
}

/// A live book of which the venue's other interface knows something newer.
#[derive(Clone, Copy, Debug)]
struct Audit {
    index: BookIndex,
    token: TokenId,
    venue_ms: u64,
    read: Now,
}

/// A live book that differs from the REST interface of a venue that numbers its messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Poll {
    pub(super) index: BookIndex,
    pub(super) token: TokenId,
    /// When the book had changed last.
    pub(super) updated_wall_ns: u64,
    pub(super) read_ns: u64,
}

/// A book that was proven to be behind the venue.
#[derive(Clone, Copy, Debug)]
pub struct Behind {
    /// The connection that should have told.
    pub connection: ConnectionSlot,
    /// When the newer book was read, monotonic nanoseconds.
    pub read_ns: u64,
}

/// Repairs and audits of one shard.
#[derive(Debug, Default)]
pub(super) struct Repairs {
    open: BTreeMap<BookIndex, Repair>,
    audits: VecDeque<Audit>,
    pub(super) polls: VecDeque<Poll>,
    pub(super) counts: RepairCounts,
    swept: usize,
    proven: usize,
    witnessed: usize,
    mirrors: Mirrors,
    scratch: String,
}

impl Repairs {
    /// A book is live again, or gone.
    pub(super) fn forget(&mut self, index: BookIndex) {
        if !self.open.is_empty() {
            self.open.remove(&index);
        }
    }

    /// One of the two books of a market is gone.
    pub(super) fn forget_pair(&mut self, first: BookIndex) {
        self.mirrors.forget(first);
    }

    /// Keeps a change of a book that is not live, if its repair was asked for.
    pub(super) fn keep(&mut self, index: BookIndex, timestamp_ms: u64, change: &ChangeSpan) {
        let Some(repair) = self.open.get_mut(&index) else { return };
        if repair.changes.len() == REPAIR_CHANGES_MAX {
            repair.lossy = true;
        }
        if !repair.lossy {
            repair.changes.push((timestamp_ms, *change));
        }
    }

    /// Whether a book is to be asked for now.
    fn ask(&mut self, index: BookIndex, slot: &Slot, now_ns: u64) -> bool {
        let repair = self.open.entry(index).or_insert_with(|| Repair {
            seen_ms: slot.facts.timestamp_ms,
            changes: Vec::new(),
            lossy: false,
            next_ask_ns: 0,
            timeout_ns: REPAIR_RETRY_MIN_NS,
        });
        if now_ns < repair.next_ask_ns {
            return false;
        }
        if repair.lossy {
            repair.begin_anew(slot);
        }
        repair.next_ask_ns = now_ns + repair.timeout_ns;
        repair.timeout_ns = (2 * repair.timeout_ns).min(REPAIR_RETRY_MAX_NS);
        self.counts.asked += 1;
        true
    }
}

impl Repair {
    fn begin_anew(&mut self, slot: &Slot) {
        self.changes.clear();
        (self.seen_ms, self.lossy) = (slot.facts.timestamp_ms, false);
    }
}

impl<H: Handler> Books<H> {
    /// Which of these tokens on `connection` are not live and are to be asked for now.
    pub fn census(
        &mut self,
        tokens: &[TokenId],
        connection: ConnectionSlot,
        now_ns: u64,
        wanted: &mut Vec<TokenId>,
    ) {
        for token in tokens {
            let Some(index) = self.find(token.as_str()) else { continue };
            let slot = &self.slots[index];
            if slot.connection == connection
                && slot.state != BookState::Live
                && self.repairs.ask(index, slot, now_ns)
            {
                wanted.push(*token);
            }
        }
    }

    /// The live ones of these tokens on `connection`.
    pub fn live_of(&self, tokens: &[TokenId], connection: ConnectionSlot, live: &mut Vec<TokenId>) {
        let places = tokens.iter().filter_map(|token| self.find(token.as_str()));
        let slots = places.map(|index| &self.slots[index]);
        let here = slots.filter(|s| s.connection == connection && s.state == BookState::Live);
        live.extend(here.map(|slot| slot.token));
    }

    /// A question did not go out: it is asked again at the next census.
    pub fn on_unasked(&mut self, tokens: &[TokenId]) {
        for token in tokens {
            let Some(index) = self.find(token.as_str()) else { continue };
            if let Some(repair) = self.repairs.open.get_mut(&index) {
                repair.next_ask_ns = 0;
            }
        }
    }

    /// Books were asked for, as a capture says: what changes from now on is kept for the answer.
    pub fn on_asked(&mut self, token: &TokenId, now_ns: u64) {
        let Some(index) = self.find(token.as_str()) else { return };
        let slot = &self.slots[index];
        if slot.state != BookState::Live {
            self.repairs.ask(index, slot, now_ns);
        }
    }

    /// The next `count` live books in turn, each with its digest; gives those that there are.
    pub fn prove(&mut self, count: usize, mut each: impl FnMut(&TokenId, u64)) {
        let (len, mut left) = (self.slots.len(), count);
        for _ in 0..len {
            if left == 0 {
                return;
            }
            self.repairs.proven = (self.repairs.proven + 1) % len;
            let slot = &self.slots[BookIndex(self.repairs.proven as u32)];
            if slot.open && slot.state == BookState::Live {
                each(&slot.token, slot.book.digest(&slot.token, slot.facts.timestamp_ms));
                left -= 1;
            }
        }
    }

    /// The digest of a live book.
    #[must_use]
    pub fn digest(&self, token: &str) -> Option<u64> {
        let slot = &self.slots[self.find(token)?];
        (slot.state == BookState::Live)
            .then(|| slot.book.digest(&slot.token, slot.facts.timestamp_ms))
    }

    /// The next `count` live books in turn, to be compared with the venue's REST interface.
    pub fn sweep(&mut self, count: usize, wanted: &mut Vec<TokenId>) {
        let len = self.slots.len();
        for _ in 0..len {
            if wanted.len() >= count {
                return;
            }
            self.repairs.swept = (self.repairs.swept + 1) % len;
            let slot = &self.slots[BookIndex(self.repairs.swept as u32)];
            if slot.open && slot.state == BookState::Live {
                wanted.push(slot.token);
            }
        }
    }

    /// Looks at `count` markets in turn: the books of a market's two tokens mirror each other. Gives
    /// the tokens that do not, or that were silent while the other moved.
    pub fn witness(&mut self, count: usize, now_wall_ns: u64, wanted: &mut Vec<TokenId>) {
        let len = self.slots.len();
        for _ in 0..count.min(len) {
            self.repairs.witnessed = (self.repairs.witnessed + 1) % len;
            let index = BookIndex(self.repairs.witnessed as u32);
            let slot = &self.slots[index];
            let other = &self.slots[slot.sibling];
            let two = slot.open && slot.sibling > index && other.sibling == index;
            let live = slot.state == BookState::Live && other.state == BookState::Live;
            let last_ns = slot.facts.updated_wall_ns.max(other.facts.updated_wall_ns);
            if !two || !live || now_wall_ns.saturating_sub(last_ns) < AUDIT_TIMEOUT_NS {
                continue;
            }
            let counts = &mut self.repairs.counts;
            let mirrored = mirrors(&slot.book, &other.book);
            if mirrored {
                counts.mirrors_matched += 1;
                self.repairs.mirrors.forget(index);
                continue;
            }
            let updates = [slot.facts.updates, other.facts.updates];
            if self.repairs.mirrors.is_due(index, updates, now_wall_ns) {
                self.repairs.counts.mirrors_mismatched += 1;
                wanted.extend([slot.token, other.token]);
            }
        }
    }

    /// The venue's REST book of a token: mends the book, or is compared with it.
    pub fn on_rest_book(&mut self, event: &Snapshot<'_>, read: Now) {
        let Some(index) = self.find(event.token) else { return };
        let slot = &self.slots[index];
        if slot.market.as_str() != event.market {
            return;
        }
        if self.sequenced {
            return self.on_polled(index, event, read);
        }
        if self.is_answer_from_future(index, event.timestamp_ms, read.wall_ns) {
            self.repairs.counts.answers_ahead += 1;
            return;
        }
        if slot.state == BookState::Live {
            return self.on_audit(index, event, read);
        }
        let repairs = &mut self.repairs;
        let Some(repair) = repairs.open.get_mut(&index) else { return };
        // A time that has not come says nothing of what is old.
        let seen = self.clock.has_come(repair.seen_ms, read.wall_ns).then_some(repair.seen_ms);
        if repair.lossy || seen.is_some_and(|seen_ms| event.timestamp_ms < seen_ms) {
            repairs.counts.answers_old += 1;
            return;
        }
        if !is_whole(event, slot, &mut repairs.scratch) {
            repairs.counts.answers_broken += 1;
            return;
        }
        self.repair(index, event, read.wall_ns);
    }

    fn repair(&mut self, index: BookIndex, event: &Snapshot<'_>, wall_ns: u64) {
        let Some(repair) = self.repairs.open.remove(&index) else { return };
        self.repairs.counts.repaired += 1;
        self.checks.forget(index);
        let slot = &mut self.slots[index];
        slot.group.forget();
        let mut result = slot.book.replace(event.bids, event.asks);
        slot.take_facts(event, wall_ns);
        slot.group.is_ahead = self.clock.is_ahead(event.timestamp_ms, wall_ns);
        slot.group.snapshot();
        for (timestamp_ms, change) in &repair.changes {
            if *timestamp_ms < event.timestamp_ms {
                continue;
            }
            result = result.and_then(|()| slot.book.set(change.side, change.level));
            slot.facts.timestamp_ms = *timestamp_ms;
            slot.facts.hash = change.hash;
            slot.group.change(change.best_bid, change.best_ask);
        }
        self.checks.queue(index, slot);
        match result {
            Ok(()) => self.set_state(index, BookState::Live, wall_ns),
            Err(_) => self.set_stale(index, StaleReason::TooManyLevels, wall_ns),
        }
        let (view, handler) = view(&self.slots, index, self.shard, wall_ns, &mut self.handler);
        handler.on_snapshot(&view);
    }

    fn on_audit(&mut self, index: BookIndex, event: &Snapshot<'_>, read: Now) {
        let slot = &self.slots[index];
        let counts = &mut self.repairs.counts;
        let ours_ms = slot.facts.timestamp_ms;
        if event.timestamp_ms < ours_ms {
            // Asked for before our last message, or from a stale copy.
            counts.audits_older += 1;
            return;
        }
        let mut venue = Book::default();
        if venue.replace(event.bids, event.asks).is_err() {
            return;
        }
        if same(&venue, &slot.book) {
            counts.audits_matched += 1;
            let (first, updates) = (index.min(slot.sibling), slot.facts.updates);
            self.repairs.mirrors.on_equal(first, usize::from(first != index), updates);
        } else if event.timestamp_ms > ours_ms {
            // Its message may be on its way.
            if self.repairs.audits.len() < AUDITS_OPEN_MAX {
                let (token, venue_ms) = (slot.token, event.timestamp_ms);
                self.repairs.audits.push_back(Audit { index, token, venue_ms, read });
            }
        } else if event.hash.is_some() && event.hash == slot.facts.hash && !slot.group.open {
            counts.audits_mismatched += 1;
            self.set_stale(index, StaleReason::Disproved, read.wall_ns);
        } else {
            // Two messages of one time: it saw another of them last. All of them may say the hash of
            // the last one, so an open group is no proof: the rest of it may be on its way.
            counts.audits_undecided += 1;
        }
    }

    /// The next book of which the venue knew something newer so long ago that its message is not on its
    /// way any more. It is stale from now on.
    pub fn poll_behind(&mut self, now_ns: u64) -> Option<Behind> {
        self.poll_some_behind(now_ns, |_| true)
    }

    /// The same among the books of `mine`.
    pub(crate) fn poll_some_behind(
        &mut self,
        now_ns: u64,
        mine: impl Fn(&MarketId) -> bool,
    ) -> Option<Behind> {
        loop {
            let slots = &self.slots;
            let is_mine = |audit: &Audit| slots.get(audit.index).is_none_or(|s| mine(&s.market));
            let place = self.repairs.audits.iter().position(is_mine)?;
            let audit = *self.repairs.audits.get(place)?;
            if now_ns < audit.read.mono_ns + AUDIT_TIMEOUT_NS {
                return None;
            }
            self.repairs.audits.remove(place);
            let Some(slot) = self.slots.get(audit.index) else { continue };
            let same = slot.open && slot.token == audit.token && slot.state == BookState::Live;
            if !same || slot.facts.timestamp_ms >= audit.venue_ms {
                self.repairs.counts.audits_caught_up += 1;
                continue;
            }
            self.repairs.counts.audits_behind += 1;
            let connection = slot.connection;
            self.set_stale(audit.index, StaleReason::Behind, audit.read.wall_ns);
            return Some(Behind { connection, read_ns: audit.read.mono_ns });
        }
    }

    /// What repairs and audits did.
    #[must_use]
    pub fn repairs(&self) -> &RepairCounts {
        &self.repairs.counts
    }
}

/// Whether an answer has the hash that it says it has, as far as that can be told.
fn is_whole(event: &Snapshot<'_>, slot: &Slot, scratch: &mut String) -> bool {
    let Some(hash) = event.hash.filter(|_| !condition::is_position(&slot.token)) else {
        // Of a book of Protocol V2 nobody has shown yet what its hash is made of.
        return true;
    };
    let mut book = Book::default();
    if book.replace(event.bids, event.asks).is_err() {
        // To be judged by who takes it over.
        return true;
    }
    let mut facts = slot.facts;
    facts.timestamp_ms = event.timestamp_ms;
    facts.tick_size = event.tick_size.or(facts.tick_size);
    facts.min_order_size = event.min_order_size.or(facts.min_order_size);
    facts.neg_risk = event.neg_risk.unwrap_or(facts.neg_risk);
    let summary = Summary::new(&slot.market, &slot.token, &facts, &book, scratch);
    summary.is_none_or(|summary| {
        summary.matches(event.last_trade, &hash) || summary.find_last_trade(&hash).is_some()
    })
}

pub(super) fn same(one: &Book, other: &Book) -> bool {
    one.bids.levels().eq(other.bids.levels()) && one.asks.levels().eq(other.asks.levels())
}

/// Whether a bid at p is an ask at 1 - p of the other, on both sides.
fn mirrors(one: &Book, other: &Book) -> bool {
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
