//! Replacements of connections: no message lost, none applied twice, order kept.
//!
//! Runs on:  shard cores (pure; time is an argument). Owns: what one of two connections has delivered
//!           and the other has not yet.
//! Bounds:   `HANDOVER_STORED_MAX` messages a handover; when there are more it is given up.
//!
//! Both connections carry the same messages of a market in the same order, at different times. Until the
//! switch the old one's are applied, as always. The new one's are matched with them by content: what only the new one
//! has delivered is kept (early), what only the old one has delivered is noted (outstanding). At the switch of a
//! market, what is early is applied, and from then on what was outstanding is skipped when it comes. Mostly both are
//! in step at some moment within the next hundred milliseconds, and only the book's connection changes.
//!
//! What one of them never delivers is a difference: a message that the venue lost on one connection.
//!
//! In a race (`races`) there is no switch until the old connection is to be replaced or is lost. Once the new one has
//! delivered its snapshots of a market, the first arrival of a message is applied, whichever connection it is on, and
//! the second is skipped. A message that the first connection lost comes behind messages after it: it is applied but
//! for levels that those have changed.
use super::ConnectionSlot;
use super::market_matcher::{Action, Alone, AppliedEarly, Arrival, MarketMatcher, Reached};
use super::store::Store;
use crate::base::id::{MarketId, TokenId};
use crate::base::limits::HANDOVER_STORED_MAX;
use crate::base::time::Now;
use crate::counter::race::RaceFigures;
use crate::counter::shard::HandoverCounts;
use crate::market::book::{BookState, StaleReason};
use crate::market::event::Event;
use crate::market::owned::{OwnedEvent, fingerprint};
use crate::shard::publish::Handler;
use std::collections::BTreeMap;

/// One connection taking over from another, or from several.
#[derive(Debug)]
pub(super) struct Handover {
    pub(super) from: Vec<ConnectionSlot>,
    /// Those whose socket is gone, and from which it has taken over at once.
    pub(super) ended: Vec<ConnectionSlot>,
    pub(super) to: ConnectionSlot,
    pub(super) markets: BTreeMap<MarketId, MarketMatcher>,
    pub(super) reached: Reached,
    pub(super) counts: HandoverCounts,
    /// When the command to switch came, monotonic.
    pub(super) switch_ns: Option<u64>,
    pub(super) stage: Stage,
    /// In a replay: the recorded progress of all its markets, of which this shard may have some.
    recorded: Option<HandoverProgress>,
}

/// How far a handover has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Both connections deliver; a message is applied from whichever has it first.
    UnderWay,
    /// The new connection has every book, and that was reported. Control closes the old ones next; if it had given up
    /// the replacement before the report arrived, it closes the new one and the books return to the old ones.
    Done,
    /// The new connection is lost; what it delivered is skipped when the old one delivers it.
    GivenUp,
}

/// How far the new connection of a handover has come, all its markets together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandoverProgress {
    /// Live books whose snapshot it has yet to deliver.
    pub owing: u32,
    /// Venue time of its first message besides snapshots, Unix milliseconds.
    pub first_ms: Option<u64>,
    /// The newest of these times.
    pub newest_ms: u64,
}

/// What the end of a socket means for the handover that it was part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisconnectOutcome {
    /// It was part of none.
    Alone,
    /// The replacement had everything and has taken over at once: nothing is stale.
    TakenOver,
    /// The handover is over, the books are with the old connection; what the replacement still delivers is ignored.
    GivenUp {
        /// The replacement.
        to: ConnectionSlot,
    },
}

/// The end of a handover.
#[derive(Clone, Debug)]
pub struct HandedOver {
    /// The connections that may be closed; until they are, what they still deliver is skipped.
    pub from: Vec<ConnectionSlot>,
    /// The one that took over.
    pub to: ConnectionSlot,
    /// What the two streams had in common, and where they differed.
    pub counts: HandoverCounts,
}

/// What is to be done with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// Apply it.
    Apply,
    /// Do not apply it: the other connection delivered it.
    Skip,
    /// Apply it as if this connection had delivered it.
    ApplyFor(ConnectionSlot),
    /// Apply these changes of it, a bit each, behind messages after it.
    ApplyBehind(u64),
}

impl Handover {
    fn new(to: ConnectionSlot) -> Self {
        Self {
            from: Vec::new(),
            ended: Vec::new(),
            to,
            markets: BTreeMap::new(),
            reached: Reached::default(),
            counts: HandoverCounts::default(),
            switch_ns: None,
            stage: Stage::UnderWay,
            recorded: None,
        }
    }

    /// Whether the connection is one of its own, and was not given up.
    fn has_part(&self, connection: ConnectionSlot) -> bool {
        self.stage != Stage::GivenUp && (self.to == connection || self.from.contains(&connection))
    }

    /// Live books whose snapshot the new connection has yet to deliver.
    fn outstanding_snapshots<H>(&self, store: &Store<H>) -> u32 {
        let tokens = self.markets.values().flat_map(|market| {
            market.tokens.iter().filter(|token| !market.received.contains(token))
        });
        let slots = tokens.filter_map(|token| store.slot(token.as_str()));
        slots.filter(|slot| slot.state == BookState::Live).count() as u32
    }

    /// Whether its markets are `mine`; connections carry markets of one shard only.
    fn is_of(&self, mine: impl Fn(&MarketId) -> bool) -> bool {
        self.markets.keys().next().is_none_or(mine)
    }

    /// Whether every market has moved and the new connection has delivered all that was outstanding. That is waited
    /// for, so that it is skipped when it comes.
    fn is_complete(&self) -> bool {
        // Of a replay, markets in other shards may not be done.
        let settled = |market: &MarketMatcher| {
            market.moved && market.outstanding.is_empty() && market.boundary.is_empty()
        };
        self.recorded.is_none() && self.switch_ns.is_some() && self.markets.values().all(settled)
    }

    /// The end of a complete handover.
    fn finish<H>(&mut self, store: &Store<H>, now_ns: u64) -> HandedOver {
        self.stage = Stage::Done;
        let mut counts = self.counts;
        counts.switch_ns = now_ns.saturating_sub(self.switch_ns.unwrap_or(now_ns));
        // Markets that have ended meanwhile do not count.
        let tokens = self.markets.values().flat_map(|market| &market.live);
        for slot in tokens.filter_map(|token| store.slot(token.as_str())) {
            counts.live += 1;
            counts.live_after += u64::from(slot.state == BookState::Live);
        }
        HandedOver { from: self.from.clone(), to: self.to, counts }
    }
}

/// All handovers of a shard.
#[derive(Debug, Default)]
pub(crate) struct StreamMatcher {
    pub(super) handovers: Vec<Handover>,
    /// Connections with the same tokens race.
    pub(super) races: bool,
    /// The races of each connection, by slot.
    pub(super) figures: Vec<RaceFigures>,
}

impl StreamMatcher {
    /// Whether any connection is taking over from another.
    pub(super) fn is_active(&self) -> bool {
        !self.handovers.is_empty()
    }

    /// Whether a connection of the market is or was replaced and its messages are still matched.
    pub(super) fn has_market(&self, market: &MarketId) -> bool {
        self.handovers.iter().any(|handover| handover.markets.contains_key(market))
    }

    fn position_to(&self, to: ConnectionSlot) -> Option<usize> {
        self.handovers.iter().position(|h| h.stage == Stage::UnderWay && h.to == to)
    }

    fn find_to(&self, to: ConnectionSlot) -> Option<&Handover> {
        self.position_to(to).map(|place| &self.handovers[place])
    }

    /// From now on both connections carry those of these tokens whose books are on `from`.
    pub(super) fn begin<H>(
        &mut self,
        store: &Store<H>,
        from: ConnectionSlot,
        to: ConnectionSlot,
        tokens: &[TokenId],
    ) {
        let place = self.position_to(to).unwrap_or_else(|| {
            self.handovers.push(Handover::new(to));
            self.handovers.len() - 1
        });
        let lost = self.applied_of_lost(from);
        let handover = &mut self.handovers[place];
        for token in tokens {
            let Some(slot) = store.slot(token.as_str()) else { continue };
            if slot.connection == to {
                continue;
            }
            let applied = lost.get(&slot.market).map_or(&[][..], Vec::as_slice);
            let market = handover.markets.entry(slot.market);
            let races = self.races;
            market.or_insert_with(|| MarketMatcher::new(from, races, applied)).tokens.push(*token);
        }
        handover.counts.tokens += tokens.len() as u64;
        if !handover.from.contains(&from) {
            handover.from.push(from);
        }
    }

    /// What replacements of `from` that were given up had delivered before it, by market.
    fn applied_of_lost(&self, from: ConnectionSlot) -> BTreeMap<MarketId, Vec<AppliedEarly>> {
        let mut applied: BTreeMap<MarketId, Vec<AppliedEarly>> = BTreeMap::new();
        let lost = self.handovers.iter().filter(|handover| handover.stage == Stage::GivenUp);
        for (id, market) in lost.flat_map(|handover| &handover.markets) {
            if market.from == from {
                applied.entry(*id).or_default().extend(&market.applied_early);
            }
        }
        applied
    }

    /// Live books whose snapshot the new connection has yet to deliver; `None` when `to` takes nothing
    /// over.
    pub(super) fn outstanding_snapshots<H>(
        &self,
        store: &Store<H>,
        to: ConnectionSlot,
    ) -> Option<u32> {
        let handover = self.find_to(to)?;
        let recorded = handover.recorded.map(|progress| progress.owing);
        Some(recorded.unwrap_or_else(|| handover.outstanding_snapshots(store)))
    }

    /// Every connection that takes over from another, and how far it has come: for the capture.
    pub(super) fn progress<H>(
        &self,
        store: &Store<H>,
    ) -> impl Iterator<Item = (ConnectionSlot, HandoverProgress)> {
        let under_way = self.handovers.iter().filter(|handover| handover.stage == Stage::UnderWay);
        under_way.map(|handover| {
            let Reached { first_ms, newest_ms } = handover.reached;
            let owing = handover.outstanding_snapshots(store);
            (handover.to, HandoverProgress { owing, first_ms, newest_ms })
        })
    }

    /// How far `to` had come when this was captured. From now on the capture decides when it has taken over.
    pub(super) fn on_recorded_progress(&mut self, to: ConnectionSlot, progress: HandoverProgress) {
        let Some(place) = self.position_to(to) else { return };
        let HandoverProgress { first_ms, newest_ms, .. } = progress;
        let handover = &mut self.handovers[place];
        handover.reached = Reached { first_ms, newest_ms };
        handover.recorded = Some(progress);
    }

    /// `to` had taken over everything when this was captured. Gives its place: its markets move now.
    pub(super) fn on_recorded_end(&mut self, to: ConnectionSlot, now_ns: u64) -> Option<usize> {
        let place = self.position_to(to)?;
        let handover = &mut self.handovers[place];
        handover.ended.clone_from(&handover.from);
        handover.switch_ns.get_or_insert(now_ns);
        Some(place)
    }

    /// The new connection is to take over, each market as soon as both are in step there.
    pub(super) fn switch(&mut self, to: ConnectionSlot, now_ns: u64) {
        if let Some(place) = self.position_to(to) {
            self.handovers[place].switch_ns.get_or_insert(now_ns);
        }
    }

    /// The socket of `slot` is gone. Gives the place of the handover whose markets move now, if any do.
    pub(super) fn on_disconnect<H: Handler>(
        &mut self,
        store: &mut Store<H>,
        slot: ConnectionSlot,
        now: Now,
    ) -> (DisconnectOutcome, Option<usize>) {
        self.handovers.retain_mut(|handover| {
            let given_up = handover.stage == Stage::GivenUp;
            if given_up {
                // A new socket does not deliver what the lost one had yet to.
                handover.markets.retain(|_, market| market.from != slot);
            }
            !given_up || !handover.markets.is_empty()
        });
        let Some(place) = self.handovers.iter().position(|h| h.has_part(slot)) else {
            return (DisconnectOutcome::Alone, None);
        };
        let to = self.handovers[place].to;
        if self.handovers[place].stage == Stage::Done {
            // The books are the new one's; whether they stay there is the control core's decision.
            let alone = slot == to;
            let outcome =
                if alone { DisconnectOutcome::Alone } else { DisconnectOutcome::TakenOver };
            return (outcome, None);
        }
        if slot != to && self.outstanding_snapshots(store, to) == Some(0) {
            // All that the old one delivered was applied; what it could not deliver any more is early.
            let handover = &mut self.handovers[place];
            handover.counts.cut_short = true;
            handover.ended.push(slot);
            handover.switch_ns.get_or_insert(now.mono_ns);
            return (DisconnectOutcome::TakenOver, Some(place));
        }
        self.abandon(store, to, now);
        (DisconnectOutcome::GivenUp { to }, None)
    }

    /// A connection is closed by command, and its slot may be another's: an old one has given all it had, a new one
    /// is given up.
    pub(super) fn on_closed<H: Handler>(
        &mut self,
        store: &mut Store<H>,
        slot: ConnectionSlot,
        now: Now,
    ) {
        self.abandon(store, slot, now);
        if let Some(figures) = self.figures.get_mut(slot.0 as usize) {
            *figures = RaceFigures::default();
        }
        self.handovers.retain_mut(|handover| {
            handover.from.retain(|from| *from != slot);
            handover.markets.retain(|_, market| market.from != slot);
            !handover.from.is_empty()
        });
    }

    /// Gives a handover up: books that had moved go back, and are stale.
    fn abandon<H: Handler>(&mut self, store: &mut Store<H>, to: ConnectionSlot, now: Now) {
        let part = |h: &Handover| h.to == to && h.stage != Stage::GivenUp;
        let Some(place) = self.handovers.iter().position(part) else { return };
        let mut handover = self.handovers.swap_remove(place);
        for market in handover.markets.values().filter(|market| market.moved) {
            for token in &market.tokens {
                let Some(index) = store.find(token.as_str()) else { continue };
                if store.slots[index].connection == to {
                    store.assign(index, market.from);
                    store.set_stale(index, StaleReason::Disconnected, now.wall_ns);
                }
            }
        }
        handover.markets.retain(|_, market| !market.applied_early.is_empty());
        if !handover.markets.is_empty() {
            handover.stage = Stage::GivenUp;
            self.handovers.push(handover);
        }
    }

    /// Forgets what is too old, in the handovers whose markets are `mine`.
    pub(super) fn age(&mut self, now_ns: u64, mine: impl Fn(&MarketId) -> bool) {
        let figures = &mut self.figures;
        self.handovers.retain_mut(|handover| {
            if !handover.is_of(&mine) {
                return true;
            }
            let Handover { markets, reached, counts, to, .. } = handover;
            for market in markets.values_mut() {
                let Alone { old, new } = market.age(*reached, now_ns, counts);
                for (slot, alone, missed) in [(market.from, old, new), (*to, new, old)] {
                    if alone + missed > 0 {
                        let counts = &mut figures_of(figures, slot).counts;
                        counts.alone += alone;
                        counts.missed += missed;
                    }
                }
            }
            let given_up = handover.stage == Stage::GivenUp;
            !given_up || handover.markets.values().any(|market| !market.applied_early.is_empty())
        });
    }

    /// Whether the handover at a place has markets to move, and they are `mine`.
    pub(super) fn is_under_way(&self, place: usize, mine: impl Fn(&MarketId) -> bool) -> bool {
        let handover = &self.handovers[place];
        handover.stage == Stage::UnderWay && handover.is_of(mine)
    }

    /// Ends the handover at a place if it is complete.
    pub(super) fn finish<H>(
        &mut self,
        store: &Store<H>,
        place: usize,
        now_ns: u64,
    ) -> Option<HandedOver> {
        let handover = &mut self.handovers[place];
        handover.is_complete().then(|| handover.finish(store, now_ns))
    }

    /// Whether a handover keeps more than it may of what this connection has not delivered.
    pub(crate) fn is_overrun(&self, slot: ConnectionSlot) -> bool {
        let sum = |handover: &Handover, of: fn(&MarketMatcher) -> usize| {
            handover.markets.values().map(of).sum::<usize>() > HANDOVER_STORED_MAX
        };
        self.find_to(slot)
            .is_some_and(|handover| sum(handover, |m| m.early.len() + m.outstanding.len()))
            || self.race_from(slot).is_some_and(|handover| sum(handover, |m| m.applied_early.len()))
    }

    /// The race of a connection that carries its books.
    fn race_from(&self, from: ConnectionSlot) -> Option<&Handover> {
        let is_from = |h: &&Handover| h.stage == Stage::UnderWay && h.from.contains(&from);
        self.handovers.iter().filter(|_| self.races).find(is_from)
    }

    /// The connection that races with one that carries its books.
    pub(crate) fn racer_of(&self, from: ConnectionSlot) -> Option<ConnectionSlot> {
        self.race_from(from).map(|handover| handover.to)
    }

    /// Matches a message of a connection that may be part of a handover.
    #[cold]
    pub(super) fn on_event<H>(
        &mut self,
        store: &Store<H>,
        event: &Event<'_>,
        connection: ConnectionSlot,
        read: Now,
    ) -> Match {
        let Some(market) = MarketId::new(event.market()) else { return Match::Apply };
        let lost = self.handovers.iter_mut().filter(|h| h.stage == Stage::GivenUp);
        let lost = lost.filter_map(|handover| handover.markets.get_mut(&market));
        let mut lost = lost.filter(|market| market.from == connection);
        if lost.any(|market| market.take_applied_early(fingerprint(event)).is_some()) {
            return Match::Skip;
        }
        let part = self.handovers.iter_mut().find(|h| h.has_part(connection));
        let Some(handover) = part else { return Match::Apply };
        let is_old = handover.to != connection;
        let Some(matcher) = handover.markets.get_mut(&market) else { return Match::Apply };
        if is_old && matcher.from != connection {
            return Match::Apply;
        }
        let counts = &mut handover.counts;
        counts.messages += 1;
        let action = if is_old {
            matcher.on_old(event, read.mono_ns, counts)
        } else {
            let action = matcher.on_new(event, read.mono_ns, counts);
            if action != Action::Offer {
                handover.reached.note(event.timestamp_ms());
            }
            action
        };
        let (is_moved, arrival) = (matcher.moved, matcher.arrival.take());
        if self.races
            && let Some(arrival) = arrival
        {
            let figures = figures_of(&mut self.figures, connection);
            match arrival {
                Arrival::First => figures.counts.first += 1,
                Arrival::Later(ns) => figures.add_later(ns),
            }
        }
        match (action, event) {
            (Action::Apply, Event::Snapshot(snapshot)) => {
                // A snapshot that the old connection delivers late, after the book has taken the new one's: it would
                // take the book back behind what the new connection has delivered.
                let late = store.slot(snapshot.token).is_some_and(|slot| {
                    slot.state == BookState::Live && snapshot.timestamp_ms < slot.snapshot_ms
                });
                match store.slot(snapshot.token) {
                    _ if late => Match::Skip,
                    // The book stays with the connection that carries it.
                    Some(slot) if !is_old && !is_moved => Match::ApplyFor(slot.connection),
                    _ => Match::Apply,
                }
            }
            (Action::ApplyBehind(open), _) => Match::ApplyBehind(open),
            (Action::Apply, _) => Match::Apply,
            (Action::Offer, Event::Snapshot(snapshot)) => {
                let Some(slot) = store.slot(snapshot.token) else { return Match::Skip };
                if slot.state != BookState::Live {
                    // A book that waits for one takes it from wherever it comes, unless the old connection
                    // is past it: then changes would be missing.
                    if slot.facts.timestamp_ms <= snapshot.timestamp_ms {
                        return Match::ApplyFor(slot.connection);
                    }
                } else if handover.stage == Stage::UnderWay
                    && slot.facts.timestamp_ms < snapshot.timestamp_ms
                    && let Some(event) = OwnedEvent::new(event)
                {
                    matcher.held_snapshots.push((read.mono_ns, event));
                }
                Match::Skip
            }
            (Action::Skip | Action::Offer, _) => Match::Skip,
        }
    }
}

/// The figures of a connection.
fn figures_of(figures: &mut Vec<RaceFigures>, slot: ConnectionSlot) -> &mut RaceFigures {
    let place = slot.0 as usize;
    if figures.len() <= place {
        figures.resize_with(place + 1, RaceFigures::default);
    }
    &mut figures[place]
}

#[cfg(test)]
mod tests;
