//! The messages of one market on two connections, matched by content.
//!
//! Runs on:  shard cores (pure; time is an argument). Owns: what one connection has delivered and the other has not.
use crate::base::id::TokenId;
use crate::base::limits::{
    HANDOVER_LAG_MAX_NS, HANDOVER_OUTSTANDING_NS, HANDOVER_PAST_MS, HANDOVER_RECEIVED_MAX,
};
use crate::counter::shard::HandoverCounts;
use crate::market::event::Event;
use crate::market::owned::{OwnedEvent, Touched, fingerprint, open_changes};
use crate::shard::books::ConnectionSlot;
use std::collections::VecDeque;

/// A message of one connection that the other has not delivered.
#[derive(Debug)]
pub(super) struct Unmatched {
    pub(super) fingerprint: u64,
    pub(super) ms: u64,
    pub(super) read_ns: u64,
    pub(super) trade: bool,
    /// Read before the new connection had delivered its snapshots.
    before_snapshots: bool,
    pub(super) event: Option<OwnedEvent>,
    touched: Touched,
}

/// Venue times of the new connection's messages besides snapshots, all markets together, Unix milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reached {
    /// Of its first message: what is newer was sent after it subscribed.
    pub(super) first_ms: Option<u64>,
    pub(super) newest_ms: u64,
}

impl Reached {
    pub(super) fn note(&mut self, ms: u64) {
        self.first_ms.get_or_insert(ms);
        self.newest_ms = self.newest_ms.max(ms);
    }
}

impl Unmatched {
    /// It may have been sent before the new connection subscribed: then that will not deliver it. A trade is in
    /// no snapshot, so only the time of the first message decides.
    fn is_before_subscription(&self, reached: Reached) -> bool {
        self.before_snapshots
            || self.trade && reached.first_ms.is_none_or(|first_ms| self.ms <= first_ms)
    }
}

/// Both connections' messages of one market.
#[derive(Debug)]
pub(super) struct MarketMatcher {
    /// The old connection.
    pub(super) from: ConnectionSlot,
    pub(super) tokens: Vec<TokenId>,
    /// Tokens whose snapshot the new connection has delivered.
    pub(super) received: Vec<TokenId>,
    /// Newest time of these snapshots: what is older is in them.
    snapshot_ms: u64,
    pub(super) ready: bool,
    /// The books are with the new connection.
    pub(super) moved: bool,
    /// Tokens whose books were live when they moved.
    pub(super) live: Vec<TokenId>,
    /// Messages of the new connection that the old one has not delivered.
    pub(super) early: VecDeque<Unmatched>,
    /// Messages of the old connection that the new one has not delivered.
    pub(super) outstanding: VecDeque<Unmatched>,
    /// Messages of the old connection with just the time of the snapshots, in them or not, and when they
    /// were read.
    pub(super) boundary: Vec<(u64, u64)>,
    /// Snapshots of the new connection that were newer than the book, and when they were read: the old one may
    /// never deliver what was before them.
    pub(super) held_snapshots: Vec<(u64, OwnedEvent)>,
    /// Those of them whose millisecond the book has reached since, perhaps not its last message. Once both have
    /// delivered a message that the new one sent after its snapshots, the old one has delivered what is in them.
    pub(super) reached_snapshots: Vec<OwnedEvent>,
    /// The last messages that both have delivered: the venue may repeat one on one connection.
    matched: VecDeque<u64>,
    /// Repetitions on the new connection, skipped: not outstanding when the old one repeats them too.
    repeated: VecDeque<u64>,
    /// Messages that only the new connection has delivered and that were applied: the old one may yet deliver them,
    /// also after the new one is lost.
    pub(super) applied_early: VecDeque<AppliedEarly>,
    /// Until the switch the first arrival of a message is applied, whichever connection delivers it.
    races: bool,
    /// What the last message was in the race.
    pub(super) arrival: Option<Arrival>,
}

/// A message in a race.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// The other connection has not delivered it.
    First,
    /// So long after the other connection, nanoseconds.
    Later(u64),
}

/// Messages that only one connection has delivered within the time that is waited.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Alone {
    pub(super) old: u64,
    pub(super) new: u64,
}

/// A message of the new connection that was applied before the old one delivered it.
#[derive(Clone, Copy, Debug)]
pub(super) struct AppliedEarly {
    pub(super) fingerprint: u64,
    pub(super) ms: u64,
    pub(super) read_ns: u64,
    pub(super) trade: bool,
    pub(super) touched: Touched,
}

/// What is to be done with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Apply,
    /// Apply these changes of it, a bit each: the other connection has lost it and delivered messages after it.
    ApplyBehind(u64),
    Skip,
    /// The new connection's first snapshot of a token: of use where the book is not live.
    Offer,
}

impl MarketMatcher {
    /// A market that moves from `from`. What an earlier replacement of it delivered first, and that was given up, was
    /// applied as if `from` had delivered it.
    pub(super) fn new(from: ConnectionSlot, races: bool, applied: &[AppliedEarly]) -> Self {
        let applied = applied.iter().map(|known| Unmatched {
            fingerprint: known.fingerprint,
            ms: known.ms,
            read_ns: known.read_ns,
            trade: known.trade,
            before_snapshots: true,
            event: None,
            touched: known.touched,
        });
        Self {
            from,
            tokens: Vec::new(),
            received: Vec::new(),
            snapshot_ms: 0,
            ready: false,
            moved: false,
            live: Vec::new(),
            early: VecDeque::new(),
            outstanding: applied.collect(),
            boundary: Vec::new(),
            held_snapshots: Vec::new(),
            reached_snapshots: Vec::new(),
            matched: VecDeque::new(),
            repeated: VecDeque::new(),
            applied_early: VecDeque::new(),
            races,
            arrival: None,
        }
    }

    /// Each connection has delivered what the other has.
    pub(super) fn is_in_step(&self, reached: Reached) -> bool {
        self.early.is_empty()
            && self.held_snapshots.is_empty()
            && self.outstanding.iter().all(|entry| entry.is_before_subscription(reached))
    }

    pub(super) fn on_old(
        &mut self,
        event: &Event<'_>,
        read_ns: u64,
        counts: &mut HandoverCounts,
    ) -> Action {
        let fingerprint = fingerprint(event);
        if self.moved {
            // The new connection has delivered it, or will.
            counts.after_switch += 1;
            self.take_applied_early(fingerprint);
            return Action::Skip;
        }
        if let Some(first) = self.take_applied_early(fingerprint) {
            // Applied when the new connection delivered it, or when it was old enough to be taken for lost here.
            self.arrival = Some(Arrival::Later(read_ns.saturating_sub(first.read_ns)));
            note(&mut self.matched, fingerprint);
            counts.duplicates += 1;
            return Action::Skip;
        }
        if let Some(place) = self.early.iter().position(|entry| entry.fingerprint == fingerprint) {
            self.early.remove(place);
            self.reached_snapshots.clear();
            counts.duplicates += 1;
            note(&mut self.matched, fingerprint);
            return self.apply_old(event);
        }
        if let Some(place) = self.repeated.iter().position(|&known| known == fingerprint) {
            self.repeated.remove(place);
            return self.apply_old(event);
        }
        let (ms, trade) = (event.timestamp_ms(), matches!(event, Event::Trade(_)));
        if self.races && !trade && self.is_again(fingerprint) {
            // It would seem to be after what the new connection has delivered since.
            counts.duplicates += 1;
            let is_snapshot = matches!(event, Event::Snapshot(_));
            return if is_snapshot { self.apply_old(event) } else { Action::Skip };
        }
        if !self.ready || trade || ms > self.snapshot_ms {
            let before_snapshots = !self.ready;
            let touched = if self.races { Touched::by(event) } else { Touched::default() };
            let entry = Unmatched {
                fingerprint,
                ms,
                read_ns,
                trade,
                before_snapshots,
                event: None,
                touched,
            };
            self.outstanding.push_back(entry);
            self.arrival = self.ready.then_some(Arrival::First);
        } else if ms == self.snapshot_ms {
            self.boundary.push((fingerprint, read_ns));
        }
        self.apply_old(event)
    }

    /// Whether the old connection repeats a message.
    fn is_again(&self, fingerprint: u64) -> bool {
        let last = self.outstanding.iter().rev().find(|entry| !entry.trade);
        last.is_some_and(|entry| entry.fingerprint == fingerprint)
            || self.matched.contains(&fingerprint)
    }

    /// In a race, levels that the new connection has changed since are not set back.
    fn apply_old(&self, event: &Event<'_>) -> Action {
        if !self.races {
            return Action::Apply;
        }
        let later = self.applied_early.iter().filter(|entry| !entry.trade);
        open_changes(event, later.map(|entry| (entry.ms, &entry.touched)))
            .map_or(Action::Apply, Action::ApplyBehind)
    }

    /// The same for the new connection, which is the first to deliver it.
    fn apply_new(&self, event: &Event<'_>) -> Action {
        let later = self.outstanding.iter().filter(|entry| !entry.trade && !entry.before_snapshots);
        open_changes(event, later.map(|entry| (entry.ms, &entry.touched)))
            .map_or(Action::Apply, Action::ApplyBehind)
    }

    pub(super) fn on_new(
        &mut self,
        event: &Event<'_>,
        read_ns: u64,
        counts: &mut HandoverCounts,
    ) -> Action {
        if let Event::Snapshot(snapshot) = event
            && let Some(&token) = self.tokens.iter().find(|t| t.as_str() == snapshot.token)
            && !self.received.contains(&token)
        {
            self.received.push(token);
            self.snapshot_ms = self.snapshot_ms.max(snapshot.timestamp_ms);
            if self.received.len() == self.tokens.len() {
                self.begin_matching(read_ns);
            }
            // The new connection's stream goes on from it.
            return if self.moved { Action::Apply } else { Action::Offer };
        }
        let fingerprint = fingerprint(event);
        if let Some(place) =
            self.outstanding.iter().position(|entry| entry.fingerprint == fingerprint)
        {
            let entry = self.outstanding.remove(place);
            if self.ready {
                let late = entry.map(|entry| read_ns.saturating_sub(entry.read_ns));
                self.arrival = late.map(Arrival::Later);
                self.reached_snapshots.clear();
            }
            counts.duplicates += 1;
            note(&mut self.matched, fingerprint);
            return Action::Skip;
        }
        let (ms, trade) = (event.timestamp_ms(), matches!(event, Event::Trade(_)));
        if !trade && ms <= self.snapshot_ms {
            // In the snapshots; the old connection delivered it before they came.
            if let Some(place) = self.boundary.iter().position(|&(known, _)| known == fingerprint) {
                self.boundary.swap_remove(place);
                if self.ready {
                    self.reached_snapshots.clear();
                }
                counts.duplicates += 1;
                return Action::Skip;
            }
        }
        if self.moved {
            // Behind where the old connection was: it skipped this, and the book is past it.
            let newest_ms = self
                .outstanding
                .iter()
                .filter(|e| !e.trade && !e.before_snapshots)
                .map(|e| e.ms)
                .max();
            if !trade && newest_ms.is_some_and(|newest_ms| ms < newest_ms) {
                counts.differences += 1;
                return Action::Skip;
            }
            let touched = Touched::default();
            self.applied_early.push_back(AppliedEarly { fingerprint, ms, read_ns, trade, touched });
            return Action::Apply;
        }
        let last = self.early.iter().rev().find(|entry| !entry.trade);
        let applied = self.applied_early.iter().rev().find(|entry| !entry.trade);
        let again = last.is_some_and(|entry| entry.fingerprint == fingerprint)
            || self.races && applied.is_some_and(|entry| entry.fingerprint == fingerprint)
            || self.matched.contains(&fingerprint);
        if !trade && again {
            // Applied later it would undo what came after it in the same millisecond.
            counts.duplicates += 1;
            note(&mut self.repeated, fingerprint);
            return Action::Skip;
        }
        self.on_early(event, fingerprint, read_ns)
    }

    /// A message that the old connection has not delivered: in a race it is applied, otherwise it is kept.
    fn on_early(&mut self, event: &Event<'_>, fingerprint: u64, read_ns: u64) -> Action {
        let (ms, trade) = (event.timestamp_ms(), matches!(event, Event::Trade(_)));
        if self.races && self.ready {
            let action = self.apply_new(event);
            let touched = Touched::by(event);
            let entry = AppliedEarly { fingerprint, ms, read_ns, trade, touched };
            self.applied_early.push_back(entry);
            self.arrival = Some(Arrival::First);
            return action;
        }
        let (before_snapshots, kept) = (false, OwnedEvent::new(event));
        self.early.push_back(Unmatched {
            fingerprint,
            ms,
            read_ns,
            trade,
            before_snapshots,
            event: kept,
            touched: Touched::default(),
        });
        Action::Skip
    }

    /// Whether this was applied early; it counts once.
    pub(super) fn take_applied_early(&mut self, fingerprint: u64) -> Option<AppliedEarly> {
        let place = self.applied_early.iter().position(|known| known.fingerprint == fingerprint);
        self.applied_early.remove(place?)
    }

    /// Every snapshot has come: what is older than they are is in them, and is not outstanding.
    fn begin_matching(&mut self, now_ns: u64) {
        self.ready = true;
        let snapshot_ms = self.snapshot_ms;
        let of_snapshot = self.outstanding.iter().filter(|e| !e.trade && e.ms == snapshot_ms);
        self.boundary.extend(of_snapshot.map(|entry| (entry.fingerprint, now_ns)));
        self.outstanding.retain(|entry| entry.trade || entry.ms > snapshot_ms);
        // The time to deliver it begins now.
        self.outstanding.iter_mut().for_each(|entry| entry.read_ns = entry.read_ns.max(now_ns));
    }

    /// Forgets what the new connection has not delivered for so long, and is so far past, that it never will. One that
    /// only lags is waited for.
    pub(super) fn age(
        &mut self,
        reached: Reached,
        now_ns: u64,
        counts: &mut HandoverCounts,
    ) -> Alone {
        let mut alone = Alone::default();
        if !self.ready {
            return alone;
        }
        let kept = self.applied_early.len();
        self.applied_early.retain(|known| now_ns < known.read_ns + HANDOVER_LAG_MAX_NS);
        alone.new = (kept - self.applied_early.len()) as u64;
        let past_ms = |ms: u64| reached.newest_ms >= ms + HANDOVER_PAST_MS;
        let keeps = |read_ns: u64, ms: u64| {
            let timeout_ns =
                if past_ms(ms) { HANDOVER_OUTSTANDING_NS } else { HANDOVER_LAG_MAX_NS };
            now_ns < read_ns + timeout_ns
        };
        let snapshot_ms = self.snapshot_ms;
        self.boundary.retain(|(_, read_ns)| keeps(*read_ns, snapshot_ms));
        self.outstanding.retain(|entry| {
            let stays = keeps(entry.read_ns, entry.ms);
            alone.old += u64::from(!stays && !entry.is_before_subscription(reached));
            stays
        });
        counts.differences += alone.old;
        if self.races && !self.moved { alone } else { Alone::default() }
    }
}

/// Remembers one more of the last messages.
fn note(last: &mut VecDeque<u64>, fingerprint: u64) {
    if last.len() == HANDOVER_RECEIVED_MAX {
        last.pop_front();
    }
    last.push_back(fingerprint);
}
