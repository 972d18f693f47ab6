//! Handovers, as far as they change books: early messages applied, markets moved.
//!
//! Runs on:  shard cores, replay (pure; time is an argument). Owns: nothing; `matcher` decides.
use super::market_matcher::{AppliedEarly, Unmatched};
use super::matcher::{DisconnectOutcome, HandedOver, HandoverProgress, Stage};
use super::{Books, ConnectionSlot};
use crate::base::id::{BookIndex, MarketId, TokenId};
use crate::base::limits::{HANDOVER_AGE_NS, HANDOVER_STEP_NS};
use crate::base::time::Now;
use crate::counter::race::{RaceCounts, RaceFigures};
use crate::counter::shard::HandoverCounts;
use crate::market::book::{Book, BookState, StaleReason, ladder::Ladder};
use crate::market::event::{ChangeSpan, Changes, Event};
use crate::market::owned::{OPEN_UNKNOWN, OwnedEvent, Touched};
use crate::shard::publish::Handler;
use std::cmp::Ordering;

impl<H: Handler> Books<H> {
    /// From now on both connections carry those of these tokens whose books are on `from`; they stay
    /// there until [`Books::switch`]. The others are on `to` alone. Called once for each connection that `to`
    /// takes over from: it takes over from all of them together, and has all of their books or none.
    pub fn begin_handover(&mut self, from: ConnectionSlot, to: ConnectionSlot, tokens: &[TokenId]) {
        self.matcher.begin(&self.store, from, to, tokens);
    }

    /// Live books whose snapshot the new connection has yet to deliver; `None` when `to` takes nothing
    /// over.
    pub fn owing(&self, to: ConnectionSlot) -> Option<u32> {
        self.matcher.outstanding_snapshots(&self.store, to)
    }

    /// Every connection that takes over from another, and how far it has come: for the capture.
    pub fn handover_progress(&self) -> impl Iterator<Item = (ConnectionSlot, HandoverProgress)> {
        self.matcher.progress(&self.store)
    }

    /// How far `to` had come when this was captured. From now on the capture decides when it has taken over.
    pub fn on_recorded_progress(&mut self, to: ConnectionSlot, progress: HandoverProgress) {
        self.matcher.on_recorded_progress(to, progress);
    }

    /// `to` had taken over everything when this was captured.
    pub fn on_recorded_end(&mut self, to: ConnectionSlot, now: Now) {
        if let Some(place) = self.matcher.on_recorded_end(to, now.mono_ns) {
            self.move_markets(place, now);
            self.matcher.handovers[place].stage = Stage::Done;
        }
    }

    /// The new connection is to take over, each market as soon as both are in step there.
    pub fn switch(&mut self, to: ConnectionSlot, now_ns: u64) {
        self.matcher.switch(to, now_ns);
    }

    /// The socket of `slot` is gone.
    pub fn on_disconnect(&mut self, slot: ConnectionSlot, now: Now) -> DisconnectOutcome {
        let (outcome, moves) = self.matcher.on_disconnect(&mut self.store, slot, now);
        if let Some(place) = moves {
            self.move_markets(place, now);
        }
        outcome
    }

    /// A connection is closed by command, and its slot may be another's: an old one has given all it had, a new one
    /// is given up.
    pub fn on_closed(&mut self, slot: ConnectionSlot, now: Now) {
        self.matcher.on_closed(&mut self.store, slot, now);
    }

    /// Moves what can be moved, ages what is kept. Gives a handover that has ended.
    pub fn poll_handover(&mut self, now: Now) -> Option<HandedOver> {
        self.poll_some_handover(now, |_| true)
    }

    /// The same among the handovers whose markets are `mine`.
    pub(crate) fn poll_some_handover(
        &mut self,
        now: Now,
        mine: impl Fn(&MarketId) -> bool,
    ) -> Option<HandedOver> {
        self.matcher.age(now.mono_ns, &mine);
        for place in 0..self.matcher.handovers.len() {
            if !self.matcher.is_under_way(place, &mine) {
                continue;
            }
            self.move_markets(place, now);
            let done = self.matcher.finish(&self.store, place, now.mono_ns);
            if done.is_some() {
                return done;
            }
        }
        None
    }

    /// Whether any connection is taking over from another.
    pub fn has_handovers(&self) -> bool {
        self.matcher.is_active()
    }

    /// Switches the markets whose turn it is: in step, or waited for long enough. Applies what the old
    /// connection never delivered.
    fn move_markets(&mut self, place: usize, now: Now) {
        let handover = &mut self.matcher.handovers[place];
        let (to, reached, switch_ns) = (handover.to, handover.reached, handover.switch_ns);
        let mut markets = std::mem::take(&mut handover.markets);
        let ended = std::mem::take(&mut handover.ended);
        let late = switch_ns.is_some_and(|at_ns| now.mono_ns >= at_ns + HANDOVER_STEP_NS);
        let mut counts = HandoverCounts::default();
        for market in markets.values_mut().filter(|market| !market.moved) {
            let there = market
                .held_snapshots
                .extract_if(.., |(_, stored)| self.behind(&stored.event()) != Some(Ordering::Less));
            market.reached_snapshots.extend(there.map(|(_, stored)| stored));
            let is_there =
                |stored: &OwnedEvent| self.behind(&stored.event()) == Some(Ordering::Equal);
            market.reached_snapshots.retain(is_there);
            let force = late || ended.contains(&market.from);
            let is_whole = switch_ns.is_none()
                || market.reached_snapshots.iter().all(|stored| self.has_levels(&stored.event()));
            let moves = switch_ns.is_some() && (force || is_whole && market.is_in_step(reached));
            let due = |read_ns: u64| moves || now.mono_ns >= read_ns + HANDOVER_AGE_NS;
            if moves && !is_whole {
                // The old connection may have delivered a part of the millisecond. The new one goes on from its
                // snapshot.
                for stored in &market.reached_snapshots {
                    if !self.has_levels(&stored.event()) {
                        let applied = self.apply_late(&stored.event(), now.wall_ns);
                        self.store.counts.snapshots_at_switch += u64::from(applied);
                    }
                }
                market.boundary.clear();
            }
            let oldest_ns = market.early.front().map(|entry| entry.read_ns);
            let overdue = market.held_snapshots.iter().any(|(read_ns, _)| due(*read_ns));
            if overdue || oldest_ns.is_some_and(due) {
                for (_, stored) in market.held_snapshots.drain(..) {
                    // What is missing is in the snapshot.
                    self.apply_late(&stored.event(), now.wall_ns);
                    counts.differences += 1;
                }
            }
            // Without the new one's snapshots there may be a hole before its messages: only trades stand alone.
            let whole = moves || market.ready;
            while let Some(place) = market.early.iter().position(|entry| whole || entry.trade)
                && due(market.early[place].read_ns)
                && let Some(entry) = market.early.remove(place)
            {
                let Unmatched { fingerprint, ms, trade, event, .. } = entry;
                let (read_ns, touched) = (now.mono_ns, Touched::default());
                let applied = AppliedEarly { fingerprint, ms, read_ns, trade, touched };
                market.applied_early.push_back(applied);
                let Some(stored) = event else { continue };
                let applied = self.apply_late(&stored.event(), now.wall_ns);
                counts.ahead += u64::from(applied);
                counts.differences += u64::from(!applied || !moves);
            }
            if moves {
                market.moved = true;
                counts.markets += 1;
                for token in &market.tokens {
                    let Some(index) = self.store.find(token.as_str()) else { continue };
                    if self.store.slots[index].state == BookState::Live {
                        market.live.push(*token);
                    }
                    self.store.assign(index, to);
                }
            }
        }
        let handover = &mut self.matcher.handovers[place];
        handover.markets = markets;
        handover.ended = ended;
        handover.counts.ahead += counts.ahead;
        handover.counts.differences += counts.differences;
        handover.counts.markets += counts.markets;
    }

    /// Whether two connections with the same tokens race: the first arrival of each message is applied.
    pub const fn set_races(&mut self, races: bool) {
        self.matcher.races = races;
    }

    /// How a connection was against the one with the same tokens.
    pub fn race_counts(&self, slot: ConnectionSlot) -> RaceCounts {
        let figures = self.matcher.figures.get(slot.0 as usize);
        figures.map(RaceFigures::counts).unwrap_or_default()
    }

    /// Applies those changes of a message that nothing after it has changed, and leaves the books at the time and hash
    /// of what was after it. Where that is not known they are stale.
    #[cold]
    pub(super) fn apply_behind(&mut self, event: &Event<'_>, open: u64, wall_ns: u64) {
        let Event::Changes(changes) = event else { return };
        if open == OPEN_UNKNOWN {
            for (token, _) in changes.iter() {
                if let Some(index) = self.store.find(token) {
                    self.store.set_stale(index, StaleReason::TimesDisagree, wall_ns);
                }
            }
            return;
        }
        let open = changes.changes.iter().enumerate().filter(|(place, _)| open >> place & 1 == 1);
        let spans: Vec<ChangeSpan> = open.map(|(_, change)| *change).collect();
        if spans.is_empty() {
            return;
        }
        let behind = Changes { changes: &spans, ..*changes };
        let books = behind.iter().filter_map(|(token, _)| self.store.find(token));
        let facts = |index: BookIndex| {
            let facts = &self.store.slots[index].facts;
            (index, facts.timestamp_ms, facts.hash)
        };
        let before: Vec<_> = books.map(facts).collect();
        self.on_changes(&behind, wall_ns);
        for (index, timestamp_ms, hash) in before {
            let facts = &mut self.store.slots[index].facts;
            (facts.timestamp_ms, facts.hash) = (timestamp_ms, hash);
        }
    }

    /// How far a book has come, compared with a snapshot.
    fn behind(&self, event: &Event<'_>) -> Option<Ordering> {
        let Event::Snapshot(snapshot) = event else { return None };
        let slot = self.store.slot(snapshot.token)?;
        Some(slot.facts.timestamp_ms.cmp(&snapshot.timestamp_ms))
    }

    /// Whether a book has the levels of a snapshot, or is not live.
    fn has_levels(&self, event: &Event<'_>) -> bool {
        let Event::Snapshot(snapshot) = event else { return true };
        let Some(slot) = self.store.slot(snapshot.token) else { return true };
        let mut book = Book::default();
        let replaced = book.replace(snapshot.bids, snapshot.asks);
        let is_equal = |a: &Ladder, b: &Ladder| a.levels().eq(b.levels());
        slot.state != BookState::Live
            || replaced.is_ok()
                && is_equal(&book.bids, &slot.book.bids)
                && is_equal(&book.asks, &slot.book.asks)
    }

    /// Applies what only the new connection delivered, to those books that are not past it: one
    /// of a market's two may have taken a newer snapshot than the other.
    fn apply_late(&mut self, event: &Event<'_>, wall_ns: u64) -> bool {
        let past = |token: &str| {
            let slot = self.store.slot(token);
            slot.is_some_and(|slot| slot.facts.timestamp_ms > event.timestamp_ms())
        };
        let mut spans = Vec::new();
        let is_past = match event {
            Event::Trade(_) => false,
            Event::Changes(changes) => {
                let open = changes.iter().filter(|(token, _)| !past(token));
                spans.extend(open.map(|(_, change)| *change));
                spans.is_empty()
            }
            Event::Snapshot(snapshot) => past(snapshot.token),
            Event::TickSize(tick) => past(tick.token),
            Event::Delta(_) | Event::TopOfBook(_) => true,
        };
        if is_past {
            return false;
        }
        let open = match event {
            Event::Changes(changes) => Event::Changes(Changes { changes: &spans, ..*changes }),
            _ => *event,
        };
        let book = self.store.find_market(event.market());
        let connection = book.map_or(ConnectionSlot(0), |at| self.store.slots[at].connection);
        self.apply(&open, connection, wall_ns);
        true
    }
}
