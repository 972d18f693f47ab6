//! Books over the REST interface: which are asked for, and what an answer changes.
//!
//! Runs on:  shard cores, replay (pure; time is an argument). Owns: nothing; see `repairer` and `auditor`.
use super::repairer::TimedChange;
use super::{Behind, Books, ConnectionSlot};
use crate::base::id::{BookIndex, MarketId, TokenId};
use crate::base::time::Now;
use crate::market::book::BookState;
use crate::market::event::Snapshot;
use crate::shard::publish::Handler;

impl<H: Handler> Books<H> {
    /// Which of these tokens on `connection` are not live and are to be asked for now.
    pub fn check_snapshots(
        &mut self,
        tokens: &[TokenId],
        connection: ConnectionSlot,
        now_ns: u64,
        wanted: &mut Vec<TokenId>,
    ) {
        for token in tokens {
            let Some(index) = self.find(token.as_str()) else { continue };
            let slot = &mut self.store.slots[index];
            if slot.connection == connection
                && slot.state != BookState::Live
                && self.repairer.ask(index, slot, now_ns)
            {
                wanted.push(*token);
            }
        }
    }

    /// A question did not go out: the books are asked for again at the next check.
    pub fn on_unasked(&mut self, tokens: &[TokenId]) {
        for index in tokens.iter().filter_map(|token| self.store.find(token.as_str())) {
            self.repairer.on_unasked(index);
        }
    }

    /// Number of the next question: of all books that were asked for since the last one.
    pub fn next_question(&mut self) -> u32 {
        self.repairer.next_question()
    }

    /// A book was asked for, as captured: its changes from now on are kept for the answer.
    pub fn on_asked(&mut self, token: &TokenId, question: u32, now_ns: u64) {
        let Some(index) = self.find(token.as_str()) else { return };
        let slot = &mut self.store.slots[index];
        if slot.state != BookState::Live {
            self.repairer.on_asked(index, slot, question, now_ns);
        }
    }

    /// The next `count` live books in turn, to be compared with the venue's REST interface.
    pub fn next_for_rest(&mut self, count: usize, wanted: &mut Vec<TokenId>) {
        self.auditor.next_for_rest(&self.store.slots, count, wanted);
    }

    /// Looks at `count` markets in turn: the books of a market's two tokens mirror each other. Gives
    /// the tokens that do not, or that were silent while the other moved.
    pub fn check_mirrors(&mut self, count: usize, now_wall_ns: u64, wanted: &mut Vec<TokenId>) {
        self.auditor.check_mirrors(&self.store.slots, count, now_wall_ns, wanted);
    }

    /// The venue's REST book of a token: repairs the book, or is compared with it. It was requested after the
    /// question with this number, perhaps by an earlier one.
    pub fn on_rest_book(&mut self, event: &Snapshot<'_>, question: u32, read: Now) {
        let Self { store, times, auditor, repairer, .. } = self;
        let Some(index) = store.find(event.token) else { return };
        let (slots, wall_ns) = (&store.slots, read.wall_ns);
        let slot = &slots[index];
        if slot.market.as_str() != event.market {
            return;
        }
        if self.sequenced {
            return auditor.on_numbered_rest_book(&mut store.slots, index, event, read);
        }
        if times.is_answer_from_future(slots, index, event.timestamp_ms, wall_ns) {
            repairer.counts.answers_ahead += 1;
        } else if slot.state == BookState::Live {
            auditor.on_rest_book(store, index, event, read);
        } else if question < repairer.question_of(index) {
            repairer.counts.answers_old += 1;
        } else if let Some(changes) = repairer.accept(index, slot, event, times, wall_ns) {
            self.repair(index, event, &changes, wall_ns);
        }
    }

    /// Replaces a book by an answer, and applies the changes since it was asked for.
    fn repair(
        &mut self,
        index: BookIndex,
        event: &Snapshot<'_>,
        changes: &[TimedChange],
        wall_ns: u64,
    ) {
        let Self { store, verifier, times, .. } = self;
        verifier.forget(index);
        let slot = &mut store.slots[index];
        slot.group.forget();
        let mut result = slot.book.replace(event.bids, event.asks);
        slot.take_facts(event, wall_ns);
        times.on_snapshot_tick(index, event);
        slot.group.is_ahead = times.is_ahead(event.timestamp_ms, wall_ns);
        slot.group.snapshot();
        for (timestamp_ms, change) in changes {
            if *timestamp_ms < event.timestamp_ms {
                continue;
            }
            result = result.and_then(|()| Ok(slot.book.set(change.side, change.level)?));
            slot.facts.timestamp_ms = *timestamp_ms;
            slot.facts.hash = change.hash;
            slot.group.change(change.best_bid, change.best_ask);
        }
        verifier.queue(index, slot);
        match result {
            Ok(()) => store.set_state(index, BookState::Live, wall_ns),
            Err(error) => store.set_stale(index, error.into(), wall_ns),
        }
        store.publish_snapshot(index, wall_ns);
    }

    /// The next book of which the venue had something newer so long ago that its message is not on its
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
        self.auditor.poll_behind(&mut self.store, now_ns, mine)
    }

    /// The next book that differs from the REST interface and has not changed since.
    pub fn poll_different(&mut self, now_ns: u64) -> Option<(ConnectionSlot, TokenId)> {
        self.auditor.poll_different(&self.store.slots, now_ns)
    }
}

#[cfg(test)]
mod tests;
