//! Which books are asked for over the venue's REST interface, and which connections are frozen.
//!
//! Runs on:  shard cores, within housekeeping. Owns: nothing; questions go to the control core.
//! Bounds:   as many tokens a question as the venue takes; a connection is counted once in
//!           `SNAPSHOT_CHECK_INTERVAL_NS`, and its tokens are walked only when a book is missing; one part of an
//!           answer a step.
use super::connections::{Connection, Waiting};
use super::intake::FrameProgress;
use super::{Shard, books::ConnectionSlot, publish::Handler};
use crate::base::{
    id::{ConnectionId, TokenId},
    limits::{
        AUDIT_BOOKS, DATA_SILENCE_MIN_NS, LARGE_FRAME_PART_BYTES, MIRRORS_PER_HOUSEKEEPING,
        SNAPSHOT_CHECK_INTERVAL_NS, SNAPSHOT_TIMEOUT_NS,
    },
    time::{Clock, Now},
};
use crate::link::shard_control::Report;
use crate::session::SessionError;

impl<H: Handler, C: Clock> Shard<H, C> {
    pub(super) fn check_snapshots(&mut self, now: Now) {
        let sequenced = self.capabilities.is_sequenced();
        if !sequenced {
            // First, as in the replay of a capture.
            self.close_frozen(now);
        }
        for place in 0..self.connections.slots() {
            self.check_connection(ConnectionSlot(place), now);
        }
        if sequenced {
            self.request_differing(now);
            return self.audit_over_rest(self.config.poll_round_ns, now);
        }
        let mut wanted = std::mem::take(&mut self.wanted);
        self.intake.books.check_mirrors(MIRRORS_PER_HOUSEKEEPING, now.wall_ns, &mut wanted);
        self.request_books(&mut wanted, false, now);
        self.wanted = wanted;
        self.audit_over_rest(self.config.audit_round_ns, now);
    }

    /// Asks for the next few live books, so that each has its turn once in `round_ns`; they are to be compared.
    fn audit_over_rest(&mut self, round_ns: u64, now: Now) {
        let live = self.intake.books.counts().live;
        let (tokens_max, _) = self.capabilities.books_request_limits;
        let questions = live.div_ceil(tokens_max as u64).max(1);
        if round_ns == 0
            || live == 0
            || now.mono_ns < self.schedule.audited_ns + round_ns / questions
        {
            return;
        }
        self.schedule.audited_ns = now.mono_ns;
        let mut wanted = std::mem::take(&mut self.wanted);
        self.intake.books.next_for_rest(tokens_max.min(live as usize), &mut wanted);
        self.request_books(&mut wanted, false, now);
        self.wanted = wanted;
    }

    /// Books that differ from the REST interface and did not change meanwhile: requests their snapshots on the
    /// connection, whose place in the stream is known.
    fn request_differing(&mut self, now: Now) {
        while let Some((slot, token)) = self.intake.books.poll_different(now.mono_ns) {
            if let Some(connection) = self.connections.get_mut(slot) {
                connection.protocol.ask(&[token]);
            }
        }
    }

    /// Asks for the books of one connection that have no snapshot or are wrong, and for all of them
    /// when its data has stopped.
    fn check_connection(&mut self, slot: ConnectionSlot, now: Now) {
        let mut wanted = std::mem::take(&mut self.wanted);
        let (sequenced, audit_round_ns) =
            (self.capabilities.is_sequenced(), self.config.audit_round_ns);
        let Self { connections, intake, tally, .. } = self;
        if let Some(connection) = connections.get_mut(slot)
            && let Some(transport) = &connection.transport
            && !connection.leaving
        {
            let counts = transport.session.counts();
            let watch = &mut connection.watch;
            if watch.poll(counts.data_turns, counts.last_data_ns, now.mono_ns) {
                tally.silences += 1;
                if !connection.protocol.probe(connection.tokens.first().copied()) {
                    intake.books.store.tokens_on(&connection.tokens, slot, true, &mut wanted);
                }
            }
            if sequenced && audit_round_ns > 0 && now.mono_ns >= connection.audit_ns {
                audit(connection, audit_round_ns, now);
            }
            let missing = (intake.books.live_on(slot) as usize) < connection.tokens.len();
            if missing && now.mono_ns >= connection.snapshot_check_ns {
                connection.snapshot_check_ns = now.mono_ns + SNAPSHOT_CHECK_INTERVAL_NS;
                if sequenced {
                    intake.books.store.tokens_on(&connection.tokens, slot, false, &mut wanted);
                    connection.protocol.ask(&wanted);
                    wanted.clear();
                } else {
                    intake.books.check_snapshots(
                        &connection.tokens,
                        slot,
                        now.mono_ns,
                        &mut wanted,
                    );
                }
            }
        }
        self.request_books(&mut wanted, true, now);
        self.wanted = wanted;
    }

    /// Books whose connection is silent although the venue has moved on: the connection is dead, however
    /// well it answers pings. A book that alone is behind is repaired alone.
    fn close_frozen(&mut self, now: Now) {
        while let Some(behind) = self.intake.books.poll_behind(now.mono_ns) {
            let Some(connection) = self.connections.get_mut(behind.connection) else { continue };
            // The book is to be repaired at once.
            connection.snapshot_check_ns = connection.snapshot_check_ns.min(now.mono_ns);
            let Some(transport) = &connection.transport else { continue };
            let last_ns = transport.session.counts().last_data_ns.max(connection.attached_ns);
            let silent = last_ns < behind.read_ns
                && now.mono_ns.saturating_sub(last_ns) >= DATA_SILENCE_MIN_NS;
            if silent {
                self.tally.frozen += 1;
                self.disconnect(behind.connection, &SessionError::Frozen);
            }
        }
    }

    /// Sends what was gathered to the control core.
    fn request_books(&mut self, wanted: &mut Vec<TokenId>, urgent: bool, now: Now) {
        for tokens in wanted.chunks(self.capabilities.books_request_limits.0) {
            let question = self.intake.books.next_question();
            // Where messages are numbered an answer changes nothing, so that a replay has no need of it.
            if let Some(capture) = &mut self.capture
                && !self.capabilities.is_sequenced()
            {
                capture.asked(now.wall_ns, question, tokens);
            }
            let report = Report::Wanted { tokens: tokens.into(), urgent, question };
            if self.links.reports.try_send(report).is_err() {
                self.intake.books.on_unasked(tokens);
            }
        }
        wanted.clear();
    }

    /// More tokens were subscribed: their snapshots have the full time to come.
    pub(super) fn postpone_snapshot_check(&mut self, id: ConnectionId, now: Now) {
        let slot = self.connections.find(id);
        if let Some(connection) = slot.and_then(|slot| self.connections.get_mut(slot)) {
            connection.snapshot_check_ns = now.mono_ns + SNAPSHOT_TIMEOUT_NS;
        }
    }

    pub(super) fn on_rest_answer(&mut self, text: String, question: u32, now: Now) {
        if let Some(capture) = &mut self.capture
            && !self.capabilities.is_sequenced()
        {
            capture.answer(now.wall_ns, question, &text);
        }
        let mut progress = FrameProgress::default();
        if self.capture.is_some() {
            // As with long frames: a replay cannot know what came between two parts.
            self.intake.on_rest_part(&text, &mut progress, usize::MAX, (question, now));
            return;
        }
        self.answers.push_back((question, Waiting { text, progress, binary: false, read: now }));
    }

    /// Goes on with one answer for one part. Gives the number of parts.
    pub(super) fn decode_answer(&mut self) -> usize {
        let Some((question, answer)) = self.answers.front_mut() else { return 0 };
        let Waiting { text, progress, read, .. } = answer;
        self.intake.on_rest_part(text, progress, LARGE_FRAME_PART_BYTES, (*question, *read));
        if progress.is_done() {
            self.answers.pop_front();
        }
        1
    }
}

/// Asks for the snapshots of the next few books of a connection, which must equal the books at that
/// place of the stream.
fn audit(connection: &mut Connection, round_ns: u64, now: Now) {
    let count = connection.tokens.len();
    let turns = count.div_ceil(AUDIT_BOOKS).max(1) as u64;
    connection.audit_ns = now.mono_ns + round_ns / turns;
    if count == 0 {
        return;
    }
    let begin = connection.audited % count;
    let next: Vec<TokenId> = connection
        .tokens
        .iter()
        .cycle()
        .skip(begin)
        .take(AUDIT_BOOKS.min(count))
        .copied()
        .collect();
    connection.audited = begin + next.len();
    connection.protocol.ask(&next);
}
