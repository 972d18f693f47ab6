//! Which books are asked for over the venue's REST interface, and which connections are frozen.
//!
//! Runs on:  shard cores, within housekeeping. Owns: nothing; questions go to the control core.
//! Bounds:   `TOKENS_PER_BOOKS_REQUEST` tokens a question; a connection is counted once in
//!           `CENSUS_INTERVAL_NS`, and its tokens are walked only when a book is missing; one part of an
//!           answer a step.
use super::connections::Waiting;
use super::{Shard, books::ConnectionSlot, publish::Handler};
use crate::base::{
    id::{ConnectionId, TokenId},
    limits::{
        CENSUS_INTERVAL_NS, DATA_SILENCE_MIN_NS, LARGE_FRAME_PART_BYTES, MIRRORS_PER_HOUSEKEEPING,
        SNAPSHOT_PATIENCE_NS, TOKENS_PER_BOOKS_REQUEST,
    },
    time::{Clock, Now},
};
use crate::link::shard_control::Report;
use crate::session::SessionError;
use crate::venue::Progress;

impl<H: Handler, C: Clock> Shard<H, C> {
    pub(super) fn take_census(&mut self, now: Now) {
        for place in 0..self.connections.slots() {
            self.count_books(ConnectionSlot(place), now);
        }
        self.hang_up_frozen(now);
        let mut wanted = std::mem::take(&mut self.wanted);
        self.intake.books.witness(MIRRORS_PER_HOUSEKEEPING, now.wall_ns, &mut wanted);
        self.ask(&mut wanted, false);
        if now.mono_ns >= self.schedule.audit_ns && self.audit_round_ns > 0 {
            let live = self.intake.books.counts().live;
            let questions = live.div_ceil(TOKENS_PER_BOOKS_REQUEST as u64).max(1);
            self.schedule.audit_ns = now.mono_ns + self.audit_round_ns / questions;
            self.intake.books.sweep(TOKENS_PER_BOOKS_REQUEST.min(live as usize), &mut wanted);
            self.ask(&mut wanted, false);
        }
        self.wanted = wanted;
    }

    /// Asks for the books of one connection that have no snapshot or are wrong, and for all of them
    /// when its data has stopped.
    fn count_books(&mut self, slot: ConnectionSlot, now: Now) {
        let mut wanted = std::mem::take(&mut self.wanted);
        let Self { connections, intake, tally, .. } = self;
        if let Some(connection) = connections.get_mut(slot)
            && let Some(line) = &connection.line
            && !connection.leaving
        {
            let counts = line.session.counts();
            let watch = &mut connection.watch;
            if watch.poll(counts.data_turns, counts.last_data_ns, now.mono_ns) {
                tally.silences += 1;
                intake.books.live_of(&connection.tokens, slot, &mut wanted);
            }
            let missing = (intake.books.live_on(slot) as usize) < connection.tokens.len();
            if missing && now.mono_ns >= connection.census_ns {
                connection.census_ns = now.mono_ns + CENSUS_INTERVAL_NS;
                intake.books.census(&connection.tokens, slot, now.mono_ns, &mut wanted);
            }
        }
        self.ask(&mut wanted, true);
        self.wanted = wanted;
    }

    /// Books whose connection is silent although the venue has moved on: the connection is dead, however
    /// dutifully it answers pings. A book that alone is behind is mended alone.
    fn hang_up_frozen(&mut self, now: Now) {
        while let Some(behind) = self.intake.books.poll_behind(now.mono_ns) {
            let Some(connection) = self.connections.get_mut(behind.connection) else { continue };
            // The book is to be mended at once.
            connection.census_ns = connection.census_ns.min(now.mono_ns);
            let Some(line) = &connection.line else { continue };
            let last_ns = line.session.counts().last_data_ns.max(connection.attached_ns);
            let silent = last_ns < behind.read_ns
                && now.mono_ns.saturating_sub(last_ns) >= DATA_SILENCE_MIN_NS;
            if silent {
                self.tally.frozen += 1;
                self.hang_up(behind.connection, &SessionError::Frozen);
            }
        }
    }

    /// Sends what was gathered to the control core.
    fn ask(&mut self, wanted: &mut Vec<TokenId>, urgent: bool) {
        for tokens in wanted.chunks(TOKENS_PER_BOOKS_REQUEST) {
            let report = Report::Wanted { tokens: tokens.into(), urgent };
            if self.links.reports.try_send(report).is_err() {
                self.intake.books.on_unasked(tokens);
            }
        }
        wanted.clear();
    }

    /// More tokens were subscribed: their snapshots have the full time to come.
    pub(super) fn postpone_census(&mut self, id: ConnectionId, now: Now) {
        let slot = self.connections.find(id);
        if let Some(connection) = slot.and_then(|slot| self.connections.get_mut(slot)) {
            connection.census_ns = now.mono_ns + SNAPSHOT_PATIENCE_NS;
        }
    }

    pub(super) fn on_books(&mut self, text: String, now: Now) {
        self.answers.push_back(Waiting { text, progress: Progress::default(), read: now });
    }

    /// Goes on with one answer for one part. Gives the number of parts.
    pub(super) fn decode_answer(&mut self) -> usize {
        let Some(answer) = self.answers.front_mut() else { return 0 };
        let Waiting { text, progress, read } = answer;
        self.intake.on_rest_part(text, progress, LARGE_FRAME_PART_BYTES, *read);
        if progress.is_done() {
            self.answers.pop_front();
        }
        1
    }
}
