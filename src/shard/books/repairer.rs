//! Books that are not live, asked for over the venue's REST interface.
//!
//! Runs on:  shard cores, replay (pure; time is an argument). Owns: changes that wait for a book.
//! Bounds:   `REPAIR_CHANGES_MAX` changes a book.
//!
//! A book that is not live and whose snapshot does not come is asked for over REST. What changes
//! from the moment of asking is kept; the answer replaces the book, and of what was kept all that is not
//! older than the answer is applied again. That is right because sizes are absolute. An answer
//! older than what was known at the asking is a stale one: it is asked for again.
//!
//! Questions are numbered, because an answer may come up to `REST_TIMEOUT_NS` late: one to a question from before
//! messages of the book were lost, or its connection was, does not have what was lost. It may have been a comparison
//! of the book while it was live, or a repair that a snapshot of the stream ended.
use super::slots::Slot;
use super::times::VenueTimes;
use crate::base::condition;
use crate::base::id::BookIndex;
use crate::base::limits::{REPAIR_CHANGES_MAX, REPAIR_RETRY_MAX_NS, REPAIR_RETRY_MIN_NS};
use crate::counter::shard::RepairCounts;
use crate::market::book::{Book, summary::Summary};
use crate::market::event::{ChangeSpan, Snapshot};
use std::collections::BTreeMap;

/// A change and its venue time, Unix milliseconds.
pub(super) type TimedChange = (u64, ChangeSpan);

/// What waits for one book.
#[derive(Debug)]
struct Repair {
    /// Newest venue time that was known of the book when the keeping began.
    seen_ms: u64,
    changes: Vec<TimedChange>,
    /// Changes were lost for lack of room: the answer on its way cannot be used.
    lossy: bool,
    /// The question with which the keeping began: answers to earlier ones do not have what was lost before.
    question: u32,
    next_ask_ns: u64,
    timeout_ns: u64,
}

/// The books that were asked for.
#[derive(Debug, Default)]
pub(super) struct Repairer {
    open: BTreeMap<BookIndex, Repair>,
    /// Number of the last question.
    asked: u32,
    /// What became of answers and of questions.
    pub(super) counts: RepairCounts,
    scratch: String,
}

impl Repairer {
    /// A book is live again, or closed.
    pub(super) fn forget(&mut self, index: BookIndex) {
        if !self.open.is_empty() {
            self.open.remove(&index);
        }
    }

    /// Keeps a change of a book that is not live, if it was asked for.
    #[cold]
    pub(super) fn keep(&mut self, index: BookIndex, timestamp_ms: u64, change: &ChangeSpan) {
        let Some(repair) = self.open.get_mut(&index) else { return };
        if repair.changes.len() == REPAIR_CHANGES_MAX {
            repair.lossy = true;
        }
        if !repair.lossy {
            repair.changes.push((timestamp_ms, *change));
        }
    }

    pub(super) fn ask(&mut self, index: BookIndex, slot: &mut Slot, now_ns: u64) -> bool {
        let due = self.open.get(&index).is_none_or(|repair| now_ns >= repair.next_ask_ns);
        if due {
            self.on_asked(index, slot, self.asked + 1, now_ns);
        }
        due
    }

    pub(super) const fn next_question(&mut self) -> u32 {
        self.asked += 1;
        self.asked
    }

    /// The question with which the keeping for a book began; 0 if it was not asked for.
    pub(super) fn question_of(&self, index: BookIndex) -> u32 {
        self.open.get(&index).map_or(0, |repair| repair.question)
    }

    /// A book is asked for; each time the pause until the next doubles.
    pub(super) fn on_asked(
        &mut self,
        index: BookIndex,
        slot: &mut Slot,
        question: u32,
        now_ns: u64,
    ) {
        let repair = self.open.entry(index).or_insert_with(|| Repair {
            seen_ms: slot.facts.timestamp_ms,
            changes: Vec::new(),
            lossy: false,
            question,
            next_ask_ns: 0,
            timeout_ns: REPAIR_RETRY_MIN_NS,
        });
        if std::mem::take(&mut slot.group.has_lost) || repair.lossy {
            repair.changes.clear();
            (repair.seen_ms, repair.lossy) = (slot.facts.timestamp_ms, false);
            repair.question = question;
        }
        repair.next_ask_ns = now_ns + repair.timeout_ns;
        repair.timeout_ns = (2 * repair.timeout_ns).min(REPAIR_RETRY_MAX_NS);
        self.counts.asked += 1;
    }

    /// The question did not go out: the book is asked for again at the next check.
    pub(super) fn on_unasked(&mut self, index: BookIndex) {
        if let Some(repair) = self.open.get_mut(&index) {
            repair.next_ask_ns = 0;
        }
    }

    /// An answer for a book that is not live. Gives the changes kept since it was asked for, when the answer can be
    /// used: it is not older than the book was then, and has the hash that it claims.
    pub(super) fn accept(
        &mut self,
        index: BookIndex,
        slot: &Slot,
        event: &Snapshot<'_>,
        times: &VenueTimes,
        wall_ns: u64,
    ) -> Option<Vec<TimedChange>> {
        let repair = self.open.get(&index)?;
        // A time that has not come is no evidence of what is old.
        let is_old = event.timestamp_ms < repair.seen_ms && times.has_come(repair.seen_ms, wall_ns);
        if repair.lossy || slot.group.has_lost || is_old {
            self.counts.answers_old += 1;
            return None;
        }
        if !is_whole(event, slot, &mut self.scratch) {
            self.counts.answers_broken += 1;
            return None;
        }
        self.counts.repaired += 1;
        self.open.remove(&index).map(|repair| repair.changes)
    }
}

/// Whether an answer has the hash that it claims, as far as that can be verified.
fn is_whole(event: &Snapshot<'_>, slot: &Slot, scratch: &mut String) -> bool {
    let Some(hash) = event.hash.filter(|_| !condition::is_position(&slot.token)) else {
        // The inputs of the hash of a book of Protocol V2 are not known.
        return true;
    };
    let mut book = Book::default();
    if book.replace(event.bids, event.asks).is_err() {
        // Whoever takes it over finds that too, and makes the book stale.
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
