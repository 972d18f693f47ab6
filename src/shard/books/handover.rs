//! One connection takes over from another: no message lost, none twice, order kept.
//!
//! Runs on:  shard cores (pure; time is an argument). Owns: what one of the two connections has said
//!           and the other has not yet.
//! Bounds:   `HANDOVER_STORED_MAX` messages a handover; when there are more it is given up.
//!
//! Both connections carry the same messages of a market in the same order, at different times. Until the
//! switch the old one's are applied, as always. What the new one says is matched with them by content: what
//! it has said and the old one has not is kept (it is ahead), what the old one has said and it has not is
//! noted (it owes them). At the switch of a market, what is ahead is applied, and from then on what the
//! new one owed is passed over when it comes. Mostly both are in step at some moment within the next
//! hundred milliseconds, and nothing has to be done but to change the book's connection.
//!
//! What one of them never says is a difference: a message that the venue lost on one connection.
use super::{Books, ConnectionSlot};
use crate::base::id::{MarketId, TokenId};
use crate::base::limits::{
    HANDOVER_AGE_NS, HANDOVER_LAG_MAX_NS, HANDOVER_OUTSTANDING_NS, HANDOVER_PAST_MS,
    HANDOVER_RECEIVED_MAX, HANDOVER_STEP_NS, HANDOVER_STORED_MAX,
};
use crate::base::time::Now;
use crate::counter::shard::HandoverCounts;
use crate::market::book::{BookState, StaleReason};
use crate::market::event::{Changes, Event};
use crate::market::owned::{OwnedEvent, fingerprint};
use crate::shard::publish::Handler;
use std::collections::{BTreeMap, VecDeque};

/// A message of one connection that the other has not said.
#[derive(Debug)]
struct Entry {
    print: u64,
    ms: u64,
    read_ns: u64,
    trade: bool,
    /// Read before the new connection had delivered its snapshots.
    early: bool,
    kept: Option<OwnedEvent>,
}

/// How far the new connection has come in the venue's time, all markets together, snapshots aside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Heard {
    /// Its first message: what is not older was said after it subscribed.
    first_ms: Option<u64>,
    newest_ms: u64,
}

impl Heard {
    fn note(&mut self, ms: u64) {
        self.first_ms.get_or_insert(ms);
        self.newest_ms = self.newest_ms.max(ms);
    }
}

impl Entry {
    /// It may have been said before the new connection subscribed: then that owes nothing. A trade is in
    /// no snapshot, so nothing but the first message tells.
    fn is_early(&self, heard: Heard) -> bool {
        self.early || self.trade && heard.first_ms.is_none_or(|first_ms| self.ms <= first_ms)
    }
}

/// Both connections' messages of one market.
#[derive(Debug)]
struct Lead {
    /// The old connection.
    from: ConnectionSlot,
    tokens: Vec<TokenId>,
    /// Tokens whose snapshot the new connection has delivered.
    dumped: Vec<TokenId>,
    /// Newest time of these snapshots: what is older is in them.
    floor_ms: u64,
    ready: bool,
    /// The new connection's books are the ones that count.
    moved: bool,
    /// Tokens whose books were live when they moved.
    live: Vec<TokenId>,
    ahead: VecDeque<Entry>,
    owed: VecDeque<Entry>,
    /// Messages of the old connection with just the time of the snapshots, in them or not, and when they
    /// were read.
    boundary: Vec<(u64, u64)>,
    /// Snapshots of the new connection that were newer than the book, and when they were read: what the
    /// old one had yet to say before them it may never say.
    beyond: Vec<(u64, OwnedEvent)>,
    /// The last messages that both have said: the venue may repeat one on one connection.
    said: VecDeque<u64>,
    /// Repetitions on the new connection, passed over: not owed when the old one repeats them too.
    repeated: VecDeque<u64>,
    /// What was applied because the new connection said it, and the old one has not, and when it was read: the
    /// old one may yet say it, also after the new one is lost.
    echo: VecDeque<(u64, u64)>,
}

/// What is to be done with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Apply,
    Pass,
    /// The new connection's first snapshot of a token: of use where the book is not live.
    Offer,
}

impl Lead {
    fn new(from: ConnectionSlot) -> Self {
        Self {
            from,
            tokens: Vec::new(),
            dumped: Vec::new(),
            floor_ms: 0,
            ready: false,
            moved: false,
            live: Vec::new(),
            ahead: VecDeque::new(),
            owed: VecDeque::new(),
            boundary: Vec::new(),
            beyond: Vec::new(),
            said: VecDeque::new(),
            repeated: VecDeque::new(),
            echo: VecDeque::new(),
        }
    }

    /// Nothing that one connection has said is missing from the other.
    fn is_in_step(&self, heard: Heard) -> bool {
        self.ahead.is_empty()
            && self.beyond.is_empty()
            && self.owed.iter().all(|entry| entry.is_early(heard))
    }

    fn on_old(&mut self, event: &Event<'_>, read_ns: u64, counts: &mut HandoverCounts) -> Verdict {
        let print = fingerprint(event);
        if self.moved {
            // The new connection has said it, or will.
            counts.after_switch += 1;
            self.hear_echo(print);
            return Verdict::Pass;
        }
        if self.hear_echo(print) {
            // Applied when it was old enough to be taken for lost here.
            counts.duplicates += 1;
            return Verdict::Pass;
        }
        if let Some(place) = self.ahead.iter().position(|entry| entry.print == print) {
            self.ahead.remove(place);
            counts.duplicates += 1;
            note(&mut self.said, print);
            return Verdict::Apply;
        }
        if let Some(place) = self.repeated.iter().position(|&known| known == print) {
            self.repeated.remove(place);
            return Verdict::Apply;
        }
        let (ms, trade) = (event.timestamp_ms(), matches!(event, Event::Trade(_)));
        if !self.ready || trade || ms > self.floor_ms {
            let early = !self.ready;
            self.owed.push_back(Entry { print, ms, read_ns, trade, early, kept: None });
        } else if ms == self.floor_ms {
            self.boundary.push((print, read_ns));
        }
        Verdict::Apply
    }

    fn on_new(&mut self, event: &Event<'_>, read_ns: u64, counts: &mut HandoverCounts) -> Verdict {
        if let Event::Snapshot(snapshot) = event
            && let Some(&token) = self.tokens.iter().find(|t| t.as_str() == snapshot.token)
            && !self.dumped.contains(&token)
        {
            self.dumped.push(token);
            self.floor_ms = self.floor_ms.max(snapshot.timestamp_ms);
            if self.dumped.len() == self.tokens.len() {
                self.begin_matching(read_ns);
            }
            // The new connection's stream goes on from it.
            return if self.moved { Verdict::Apply } else { Verdict::Offer };
        }
        let print = fingerprint(event);
        if let Some(place) = self.owed.iter().position(|entry| entry.print == print) {
            self.owed.remove(place);
            counts.duplicates += 1;
            note(&mut self.said, print);
            return Verdict::Pass;
        }
        let (ms, trade) = (event.timestamp_ms(), matches!(event, Event::Trade(_)));
        if !trade && ms <= self.floor_ms {
            // In the snapshots; the old connection said it before they came.
            if let Some(place) = self.boundary.iter().position(|&(known, _)| known == print) {
                self.boundary.swap_remove(place);
                counts.duplicates += 1;
                return Verdict::Pass;
            }
        }
        if self.moved {
            // Behind where the old connection was: it skipped this, and the book is past it.
            let newest_ms = self.owed.iter().filter(|e| !e.trade && !e.early).map(|e| e.ms).max();
            if !trade && newest_ms.is_some_and(|newest_ms| ms < newest_ms) {
                counts.differences += 1;
                return Verdict::Pass;
            }
            self.echo.push_back((print, read_ns));
            return Verdict::Apply;
        }
        let last = self.ahead.iter().rev().find(|entry| !entry.trade);
        let again = last.is_some_and(|entry| entry.print == print) || self.said.contains(&print);
        if !trade && again {
            // Applied later it would undo what came after it in the same millisecond.
            counts.duplicates += 1;
            note(&mut self.repeated, print);
            return Verdict::Pass;
        }
        let kept = OwnedEvent::new(event);
        self.ahead.push_back(Entry { print, ms, read_ns, trade, early: false, kept });
        Verdict::Pass
    }

    /// Whether this was said by the new connection before.
    fn hear_echo(&mut self, print: u64) -> bool {
        let place = self.echo.iter().position(|&(known, _)| known == print);
        place.is_some_and(|place| self.echo.remove(place).is_some())
    }

    /// Every snapshot has come: what is older than they are is in them, and is not owed.
    fn begin_matching(&mut self, now_ns: u64) {
        self.ready = true;
        let floor_ms = self.floor_ms;
        let at_floor = self.owed.iter().filter(|e| !e.trade && e.ms == floor_ms);
        self.boundary.extend(at_floor.map(|entry| (entry.print, now_ns)));
        self.owed.retain(|entry| entry.trade || entry.ms > floor_ms);
        // The time to say it begins now.
        self.owed.iter_mut().for_each(|entry| entry.read_ns = entry.read_ns.max(now_ns));
    }

    /// Forgets what the new connection has owed for so long, and is so far past, that it will not say it any
    /// more. One that only lags is waited for.
    fn age(&mut self, heard: Heard, now_ns: u64, counts: &mut HandoverCounts) {
        if !self.ready {
            return;
        }
        self.echo.retain(|(_, read_ns)| now_ns < read_ns + HANDOVER_LAG_MAX_NS);
        let past_ms = |ms: u64| heard.newest_ms >= ms + HANDOVER_PAST_MS;
        let keeps = |read_ns: u64, ms: u64| {
            let timeout_ns =
                if past_ms(ms) { HANDOVER_OUTSTANDING_NS } else { HANDOVER_LAG_MAX_NS };
            now_ns < read_ns + timeout_ns
        };
        let floor_ms = self.floor_ms;
        self.boundary.retain(|(_, read_ns)| keeps(*read_ns, floor_ms));
        self.owed.retain(|entry| {
            let stays = keeps(entry.read_ns, entry.ms);
            counts.differences += u64::from(!stays && !entry.is_early(heard));
            stays
        });
    }
}

/// Remembers one more of the last ones.
fn note(last: &mut VecDeque<u64>, print: u64) {
    if last.len() == HANDOVER_RECEIVED_MAX {
        last.pop_front();
    }
    last.push_back(print);
}

/// One connection taking over from another, or from several.
#[derive(Debug)]
pub(super) struct Handover {
    from: Vec<ConnectionSlot>,
    /// Those whose socket is gone, and from which it has taken over at once.
    ended: Vec<ConnectionSlot>,
    to: ConnectionSlot,
    leads: BTreeMap<MarketId, Lead>,
    heard: Heard,
    counts: HandoverCounts,
    /// When the order to switch came, monotonic.
    switch_ns: Option<u64>,
    stage: Stage,
    /// What the capture says of all its markets, in a replay, whose shards may have some of them each.
    recorded: Option<HandoverProgress>,
}

/// How far a handover has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Both connections count.
    UnderWay,
    /// The new connection has every book, and that was reported. The old ones are closed next, or the new one is
    /// where the control core had given it up before the report came: then the books go back.
    Done,
    /// The new connection is lost; what it said is passed over when the old one says it.
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

impl Handover {
    /// Whether the connection is one of its own, and was not given up.
    fn has_part(&self, connection: ConnectionSlot) -> bool {
        self.stage != Stage::GivenUp && (self.to == connection || self.from.contains(&connection))
    }

    fn is_under_way_to(&self, connection: ConnectionSlot) -> bool {
        self.stage == Stage::UnderWay && self.to == connection
    }
}

/// What the end of a socket means for the handover that it was part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnd {
    /// It was part of none.
    Alone,
    /// The replacement had everything and has taken over at once: nothing is stale.
    TakenOver,
    /// The handover is over, the books are with the old connection; what the replacement still says has
    /// no bearing.
    GivenUp {
        /// The replacement.
        to: ConnectionSlot,
    },
}

/// The end of a handover.
#[derive(Clone, Debug)]
pub struct HandedOver {
    /// The connections that may be closed; until they are, what they still say is passed over.
    pub from: Vec<ConnectionSlot>,
    /// The one that took over.
    pub to: ConnectionSlot,
    /// The proof.
    pub counts: HandoverCounts,
}

impl<H: Handler> Books<H> {
    /// From now on both connections carry those of these tokens whose books are on `from`; they stay
    /// there until [`Books::switch`]. The others are on `to` alone. Called once for each connection that `to`
    /// takes over from: it takes over from all of them together, and has all of their books or none.
    pub fn begin_handover(&mut self, from: ConnectionSlot, to: ConnectionSlot, tokens: &[TokenId]) {
        let open = self.handovers.iter().position(|h| h.is_under_way_to(to));
        let place = open.unwrap_or_else(|| {
            self.handovers.push(Handover {
                from: Vec::new(),
                ended: Vec::new(),
                to,
                leads: BTreeMap::new(),
                heard: Heard::default(),
                counts: HandoverCounts::default(),
                switch_ns: None,
                stage: Stage::UnderWay,
                recorded: None,
            });
            self.handovers.len() - 1
        });
        let mut leads = std::mem::take(&mut self.handovers[place].leads);
        for token in tokens {
            let Some(index) = self.find(token.as_str()) else { continue };
            if self.slots[index].connection == to {
                continue;
            }
            let lead = leads.entry(self.slots[index].market).or_insert_with(|| Lead::new(from));
            lead.tokens.push(*token);
        }
        let handover = &mut self.handovers[place];
        handover.leads = leads;
        handover.counts.tokens += tokens.len() as u64;
        handover.from.push(from);
    }

    /// Live books whose snapshot the new connection has yet to deliver; `None` when `to` takes nothing
    /// over.
    #[must_use]
    pub fn owing(&self, to: ConnectionSlot) -> Option<u32> {
        let handover = self.handovers.iter().find(|h| h.is_under_way_to(to))?;
        Some(handover.recorded.map_or_else(|| self.count_owing(handover), |known| known.owing))
    }

    fn count_owing(&self, handover: &Handover) -> u32 {
        let owing = handover.leads.values().flat_map(|lead| {
            lead.tokens.iter().filter(|token| !lead.dumped.contains(token)).filter(|token| {
                let index = self.find(token.as_str());
                index.is_some_and(|index| self.slots[index].state == BookState::Live)
            })
        });
        owing.count() as u32
    }

    /// Every connection that takes over from another, and how far it has come: for the capture.
    pub fn handover_progress(
        &self,
    ) -> impl Iterator<Item = (ConnectionSlot, HandoverProgress)> + '_ {
        let under_way = self.handovers.iter().filter(|handover| handover.stage == Stage::UnderWay);
        under_way.map(|handover| {
            let Heard { first_ms, newest_ms } = handover.heard;
            let owing = self.count_owing(handover);
            (handover.to, HandoverProgress { owing, first_ms, newest_ms })
        })
    }

    /// How far `to` had come when this was captured. From now on the capture says when it has taken over.
    pub fn on_recorded_progress(&mut self, to: ConnectionSlot, progress: HandoverProgress) {
        let handover = self.handovers.iter_mut().find(|h| h.is_under_way_to(to));
        if let Some(handover) = handover {
            let HandoverProgress { first_ms, newest_ms, .. } = progress;
            handover.heard = Heard { first_ms, newest_ms };
            handover.recorded = Some(progress);
        }
    }

    /// `to` had taken over everything when this was captured.
    pub fn on_recorded_end(&mut self, to: ConnectionSlot, now: Now) {
        let place = self.handovers.iter().position(|h| h.is_under_way_to(to));
        let Some(place) = place else { return };
        let handover = &mut self.handovers[place];
        handover.ended.clone_from(&handover.from);
        handover.switch_ns.get_or_insert(now.mono_ns);
        self.move_markets(place, now);
        self.handovers[place].stage = Stage::Done;
    }

    /// The new connection is to take over, each market as soon as both are in step there.
    pub fn switch(&mut self, to: ConnectionSlot, now_ns: u64) {
        let handover = self.handovers.iter_mut().find(|h| h.is_under_way_to(to));
        if let Some(handover) = handover {
            handover.switch_ns.get_or_insert(now_ns);
        }
    }

    /// The socket of `slot` is gone.
    pub fn on_line_end(&mut self, slot: ConnectionSlot, now: Now) -> LineEnd {
        self.handovers.retain_mut(|handover| {
            let given_up = handover.stage == Stage::GivenUp;
            if given_up {
                // A new socket says nothing that the lost one had said.
                handover.leads.retain(|_, lead| lead.from != slot);
            }
            !given_up || !handover.leads.is_empty()
        });
        let Some(place) = self.handovers.iter().position(|h| h.has_part(slot)) else {
            return LineEnd::Alone;
        };
        let to = self.handovers[place].to;
        if self.handovers[place].stage == Stage::Done {
            // The books are the new one's; whether they stay there is the control core's decision.
            return if slot == to { LineEnd::Alone } else { LineEnd::TakenOver };
        }
        if slot != to && self.owing(to) == Some(0) {
            // All that the old one said was applied; what it could not say any more is ahead.
            let handover = &mut self.handovers[place];
            handover.counts.cut_short = true;
            handover.ended.push(slot);
            handover.switch_ns.get_or_insert(now.mono_ns);
            self.move_markets(place, now);
            return LineEnd::TakenOver;
        }
        self.abandon(to, now);
        LineEnd::GivenUp { to }
    }

    /// A connection is closed by order, and its place may be another's: an old one has given all it had, a new one
    /// is given up.
    pub fn on_closed(&mut self, slot: ConnectionSlot, now: Now) {
        self.abandon(slot, now);
        self.handovers.retain_mut(|handover| {
            handover.from.retain(|from| *from != slot);
            handover.leads.retain(|_, lead| lead.from != slot);
            !handover.from.is_empty()
        });
    }

    /// Gives a handover up: books that had moved go back, and are asked for anew.
    fn abandon(&mut self, to: ConnectionSlot, now: Now) {
        let part = |h: &Handover| h.to == to && h.stage != Stage::GivenUp;
        let Some(place) = self.handovers.iter().position(part) else { return };
        let mut handover = self.handovers.swap_remove(place);
        for lead in handover.leads.values().filter(|lead| lead.moved) {
            for token in &lead.tokens {
                let Some(index) = self.find(token.as_str()) else { continue };
                if self.slots[index].connection == to {
                    self.hang_on(index, lead.from);
                    self.set_stale(index, StaleReason::Disconnected, now.wall_ns);
                }
            }
        }
        handover.leads.retain(|_, lead| !lead.echo.is_empty());
        if !handover.leads.is_empty() {
            handover.stage = Stage::GivenUp;
            self.handovers.push(handover);
        }
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
        // Connections carry markets of one shard only.
        let is_mine = |handover: &Handover| handover.leads.keys().next().is_none_or(&mine);
        self.handovers.retain_mut(|handover| {
            if !is_mine(handover) {
                return true;
            }
            for lead in handover.leads.values_mut() {
                lead.age(handover.heard, now.mono_ns, &mut handover.counts);
            }
            let given_up = handover.stage == Stage::GivenUp;
            !given_up || handover.leads.values().any(|lead| !lead.echo.is_empty())
        });
        for place in 0..self.handovers.len() {
            let handover = &self.handovers[place];
            if handover.stage != Stage::UnderWay || !is_mine(handover) {
                continue;
            }
            self.move_markets(place, now);
            let handover = &mut self.handovers[place];
            if handover.recorded.is_some() {
                // Markets in other shards of the replay may not be done.
                continue;
            }
            let Some(switch_ns) = handover.switch_ns else { continue };
            // What is owed is waited for, so that it is passed over when it comes.
            let owes = |lead: &Lead| !lead.owed.is_empty() || !lead.boundary.is_empty();
            if handover.leads.values().any(|lead| !lead.moved || owes(lead)) {
                continue;
            }
            handover.stage = Stage::Done;
            let Handover { from, to, counts, leads, .. } = &self.handovers[place];
            let (from, to, mut counts) = (from.clone(), *to, *counts);
            counts.switch_ns = now.mono_ns.saturating_sub(switch_ns);
            // Of markets that have ended meanwhile, nothing is to be said.
            let tokens = leads.values().flat_map(|lead| &lead.live);
            for index in tokens.filter_map(|token| self.find(token.as_str())) {
                counts.live += 1;
                counts.live_after += u64::from(self.slots[index].state == BookState::Live);
            }
            return Some(HandedOver { from, to, counts });
        }
        None
    }

    /// Whether any connection is taking over from another.
    #[must_use]
    pub fn has_handovers(&self) -> bool {
        !self.handovers.is_empty()
    }

    /// Whether a handover keeps more than it may.
    #[must_use]
    pub fn is_overrun(&self, to: ConnectionSlot) -> bool {
        let handover = self.handovers.iter().find(|h| h.is_under_way_to(to));
        handover.is_some_and(|handover| {
            let kept = handover.leads.values().map(|lead| lead.ahead.len() + lead.owed.len());
            kept.sum::<usize>() > HANDOVER_STORED_MAX
        })
    }

    /// Switches the markets whose turn it is: in step, or waited for long enough. Applies what the old
    /// connection never said.
    fn move_markets(&mut self, place: usize, now: Now) {
        let Handover { to, heard, switch_ns, .. } = self.handovers[place];
        let mut leads = std::mem::take(&mut self.handovers[place].leads);
        let ended = std::mem::take(&mut self.handovers[place].ended);
        let late = switch_ns.is_some_and(|at_ns| now.mono_ns >= at_ns + HANDOVER_STEP_NS);
        let mut counts = HandoverCounts::default();
        for lead in leads.values_mut().filter(|lead| !lead.moved) {
            lead.beyond.retain(|(_, kept)| self.is_behind(&kept.event()));
            let force = late || ended.contains(&lead.from);
            let moves = switch_ns.is_some() && (force || lead.is_in_step(heard));
            let due = |read_ns: u64| moves || now.mono_ns >= read_ns + HANDOVER_AGE_NS;
            let oldest_ns = lead.ahead.front().map(|entry| entry.read_ns);
            if lead.beyond.iter().any(|(read_ns, _)| due(*read_ns)) || oldest_ns.is_some_and(due) {
                for (_, kept) in lead.beyond.drain(..) {
                    // What is missing is in the snapshot.
                    self.apply_late(&kept.event(), now.wall_ns);
                    counts.differences += 1;
                }
            }
            // Without the new one's snapshots there may be a hole before what it says: only trades stand alone.
            let whole = moves || lead.ready;
            while let Some(place) = lead.ahead.iter().position(|entry| whole || entry.trade)
                && due(lead.ahead[place].read_ns)
                && let Some(entry) = lead.ahead.remove(place)
            {
                lead.echo.push_back((entry.print, now.mono_ns));
                let Some(kept) = entry.kept else { continue };
                let applied = self.apply_late(&kept.event(), now.wall_ns);
                counts.ahead += u64::from(applied);
                counts.differences += u64::from(!applied || !moves);
            }
            if moves {
                lead.moved = true;
                counts.markets += 1;
                for token in &lead.tokens {
                    let Some(index) = self.find(token.as_str()) else { continue };
                    if self.slots[index].state == BookState::Live {
                        lead.live.push(*token);
                    }
                    self.hang_on(index, to);
                }
            }
        }
        let handover = &mut self.handovers[place];
        handover.leads = leads;
        handover.ended = ended;
        handover.counts.ahead += counts.ahead;
        handover.counts.differences += counts.differences;
        handover.counts.markets += counts.markets;
    }

    /// Whether a book has not come as far as this snapshot.
    fn is_behind(&self, event: &Event<'_>) -> bool {
        let Event::Snapshot(snapshot) = event else { return false };
        let index = self.find(snapshot.token);
        index.is_some_and(|index| self.slots[index].facts.timestamp_ms < snapshot.timestamp_ms)
    }

    /// Applies what the new connection said and the old one did not, to those books that are not past it: one
    /// of a market's two may have taken a newer snapshot than the other.
    fn apply_late(&mut self, event: &Event<'_>, wall_ns: u64) -> bool {
        let past = |token: &str| {
            let slot = self.find(token).map(|index| &self.slots[index]);
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
        let connection = self.find_market(event.market().as_bytes());
        let connection = connection.map_or(ConnectionSlot(0), |at| self.slots[at].connection);
        self.apply(&open, connection, wall_ns);
        true
    }

    fn keep_beyond(&mut self, to: ConnectionSlot, event: &Event<'_>, read_ns: u64) {
        let handover = self.handovers.iter_mut().find(|h| h.is_under_way_to(to));
        let market = MarketId::new(event.market());
        let lead = handover.zip(market).and_then(|(h, market)| h.leads.get_mut(&market));
        if let (Some(lead), Some(kept)) = (lead, OwnedEvent::new(event)) {
            lead.beyond.push((read_ns, kept));
        }
    }

    /// A message of a connection that is part of a handover, if it is; true when that is all that is to
    /// be done with it.
    #[cold]
    pub(super) fn on_overlap(
        &mut self,
        event: &Event<'_>,
        connection: ConnectionSlot,
        read: Now,
    ) -> bool {
        let Some(market) = MarketId::new(event.market()) else { return false };
        let lost = self.handovers.iter_mut().filter(|h| h.stage == Stage::GivenUp);
        let lost = lost.filter_map(|handover| handover.leads.get_mut(&market));
        let mut echoes = lost.filter(|lead| lead.from == connection);
        if echoes.any(|lead| lead.hear_echo(fingerprint(event))) {
            return true;
        }
        let part = self.handovers.iter_mut().find(|h| h.has_part(connection));
        let Some(handover) = part else { return false };
        let is_old = handover.to != connection;
        let Some(lead) = handover.leads.get_mut(&market) else { return false };
        if is_old && lead.from != connection {
            return false;
        }
        handover.counts.messages += 1;
        let counts = &mut handover.counts;
        let verdict = if is_old {
            lead.on_old(event, read.mono_ns, counts)
        } else {
            let verdict = lead.on_new(event, read.mono_ns, counts);
            if verdict != Verdict::Offer {
                handover.heard.note(event.timestamp_ms());
            }
            verdict
        };
        match (verdict, event) {
            (Verdict::Apply, Event::Snapshot(snapshot)) => {
                // A dump that the old connection brings late, after the book has taken the new one's: it would
                // take the book back behind what the new connection says.
                let slot = self.find(snapshot.token).map(|index| &self.slots[index]);
                slot.is_some_and(|slot| {
                    slot.state == BookState::Live && snapshot.timestamp_ms < slot.snapshot_ms
                })
            }
            (Verdict::Apply, _) => false,
            (Verdict::Offer, Event::Snapshot(snapshot)) => {
                let Some(index) = self.find(snapshot.token) else { return true };
                let slot = &self.slots[index];
                if slot.state != BookState::Live {
                    // A book that waits for one takes it from wherever it comes, unless the old connection
                    // is past it: then changes would be missing.
                    if slot.facts.timestamp_ms <= snapshot.timestamp_ms {
                        let owner = slot.connection;
                        self.apply(event, owner, read.wall_ns);
                    }
                } else if slot.facts.timestamp_ms < snapshot.timestamp_ms {
                    self.keep_beyond(connection, event, read.mono_ns);
                }
                true
            }
            (Verdict::Pass | Verdict::Offer, _) => true,
        }
    }
}

#[cfg(test)]
mod tests;
