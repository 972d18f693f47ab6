//! State of the venue: markets, books and subscribers, advanced in virtual time.
//!
//! Runs on:  the venue's thread (pure; time is an argument).
//! Owns:     markets, events, token index, scheduled actions.
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::book::Outcome;
use super::config::SimConfig;
use super::flow::{self, Burst, Trade};
use super::frame::{FrameBuffer, Opcode};
use super::market::{
    Event, Market, Phase, Span, Subscriber, TICK_FINE, Theme, make_event, make_market,
};
use super::message::{self, Tops};
use super::pace::Stamp;
use super::scenario::{Moment, Scenario};
use super::stats::Counters;
use crate::base::random::Random;

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 86_400_000;
/// From the end of a market to its resolution.
const DECISION_MS: u64 = 5_000;

/// Destination of frames.
pub(super) trait Outlet {
    fn send(&mut self, connection: usize, frame: &[u8]);
    /// To one connection, if it requested custom features.
    fn send_custom(&mut self, connection: usize, frame: &[u8]);
    /// To every connection that requested custom features.
    fn broadcast_custom(&mut self, frame: &[u8]);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct TokenIndex(u32);

impl TokenIndex {
    fn new(market: usize, outcome: Outcome) -> Self {
        Self((market * 2 + outcome.index()) as u32)
    }

    pub(super) const fn market(self) -> usize {
        self.0 as usize / 2
    }

    pub(super) const fn outcome(self) -> Outcome {
        Outcome::BOTH[self.0 as usize % 2]
    }
}

/// A scheduled action.
#[derive(Debug)]
enum Due {
    Print(usize, Trade),
    FinerTick(usize),
    Announce(usize),
    Birth,
    End(usize),
    Resolve(usize),
}

/// The venue's state.
pub(super) struct Exchange {
    config: SimConfig,
    pub(super) markets: Vec<Market>,
    pub(super) events: Vec<Event>,
    tokens: HashMap<String, TokenIndex>,
    scenario: Scenario,
    /// Market in each slot of the scenario, and the reverse.
    slots: Vec<usize>,
    free_slots: Vec<usize>,
    due: BTreeMap<(u64, u64), Due>,
    due_sequence: u64,
    /// Wall clock at virtual time 0, milliseconds since the Unix epoch.
    epoch_ms: u64,
    /// Current virtual time.
    now_ms: u64,
    random: Random,
    counters: Arc<Counters>,
    frame: FrameBuffer,
    scratch: Vec<u8>,
}

impl Exchange {
    /// The markets at virtual time 0.
    pub(super) fn new(config: &SimConfig, epoch_ms: u64, counters: Arc<Counters>) -> Self {
        let mut exchange = Self {
            scenario: Scenario::new(config),
            config: config.clone(),
            markets: Vec::new(),
            events: Vec::new(),
            tokens: HashMap::new(),
            slots: Vec::new(),
            free_slots: Vec::new(),
            due: BTreeMap::new(),
            due_sequence: 0,
            epoch_ms,
            now_ms: 0,
            random: Random::new(config.seed ^ 0x00ec_4a96),
            counters,
            frame: FrameBuffer::new(),
            scratch: Vec::new(),
        };
        while exchange.markets.len() < config.markets {
            exchange.found_event();
        }
        exchange.slots = (0..exchange.markets.len()).collect();
        exchange
    }

    /// One event of the initial markets: 3 markets in the median, 9 in one of ten, at most 118.
    fn found_event(&mut self) {
        let size = match self.random.below(100) {
            0..30 => 1,
            30..60 => 2 + self.random.below(2),
            60..90 => 4 + self.random.below(6),
            90..99 => 10 + self.random.below(21),
            _ => 31 + self.random.below(88),
        };
        let size = (size as usize).min(self.config.markets - self.markets.len());
        let crypto = size == 1 && self.random.chance(1, 2);
        let theme = if crypto { Theme::Crypto } else { Theme::Question };
        let neg_risk = size > 2 && self.random.chance(55, 100);
        let event = self.add_event(theme, neg_risk);
        for _ in 0..size {
            let soon = self.random.chance(self.config.ending_soon_percent, 100);
            let length_ms = if soon {
                5 * MINUTE_MS + self.random.below(55 * MINUTE_MS)
            } else {
                365 * DAY_MS + self.random.below(3 * 365) * DAY_MS
            };
            let start_ms = self.epoch_ms.saturating_sub(self.random.below(30_000));
            self.add_market(event, theme, start_ms, length_ms);
        }
    }

    fn add_event(&mut self, theme: Theme, neg_risk: bool) -> usize {
        let index = self.events.len();
        self.events.push(make_event(index, theme, neg_risk, self.config.seed));
        index
    }

    fn add_market(&mut self, event: usize, theme: Theme, start_ms: u64, length_ms: u64) -> usize {
        let index = self.markets.len();
        let end_ms = (self.wall_ms() + length_ms) / 1000 * 1000;
        let span = Span { start_ms, end_ms };
        let whole = (event, &self.events[event]);
        let mut market = make_market(index, whole, theme, span, self.config.seed);
        if self.config.v2_percent > 0 {
            market.choose_version(
                self.config.v2_percent,
                self.config.seed.wrapping_add((index as u64) << 32),
            );
        }
        let levels = self.config.levels as u64;
        let depth = levels / 2 + market.random.below(levels + 1);
        flow::seed_book(&mut market, depth.max(1) as usize);
        for outcome in Outcome::BOTH {
            let token = market.token(outcome).to_owned();
            self.tokens.insert(token, TokenIndex::new(index, outcome));
        }
        if length_ms < DAY_MS {
            // Virtual, so the sequence does not depend on the wall clock.
            self.put_due(self.now_ms + length_ms, Due::End(index));
        }
        self.events[event].markets.push(index);
        self.markets.push(market);
        self.counters.live_markets.add(1);
        index
    }

    fn put_due(&mut self, at_ms: u64, due: Due) {
        self.due_sequence += 1;
        self.due.insert((at_ms.max(self.now_ms + 1), self.due_sequence), due);
    }

    /// Wall clock at the current virtual time, milliseconds since the Unix epoch.
    pub(super) fn wall_ms(&self) -> u64 {
        self.epoch_ms + self.now_ms
    }

    /// Moves virtual time relative to the wall clock, never back.
    pub(super) fn set_epoch_ms(&mut self, epoch_ms: u64) {
        self.epoch_ms = self.epoch_ms.max(epoch_ms);
    }

    /// Sets the wall clock forward permanently.
    pub(super) fn step_clock(&mut self, by_ms: u64) {
        self.epoch_ms += by_ms;
    }

    /// The token of a present or past market.
    pub(super) fn token(&self, text: &str) -> Option<TokenIndex> {
        self.tokens.get(text).copied()
    }

    pub(super) fn open_token(&self, text: &str) -> Option<(&Market, TokenIndex)> {
        let token = self.token(text)?;
        let market = &self.markets[token.market()];
        market.has_book().then_some((market, token))
    }

    /// Schedules `count` new markets for the next millisecond.
    pub(super) fn order_births(&mut self, count: u64) {
        for _ in 0..count {
            self.put_due(0, Due::Birth);
        }
    }

    /// Schedules the resolution of `count` markets for the next millisecond; returns the possible number.
    pub(super) fn order_resolutions(&mut self, count: u64) -> u64 {
        let open = |market: &Market| market.phase == Phase::Open;
        let mut open: Vec<_> =
            (0..self.markets.len()).filter(|&m| open(&self.markets[m])).collect();
        let count = count.min(open.len() as u64);
        for _ in 0..count {
            let at = self.random.below(open.len() as u64) as usize;
            let market = open.swap_remove(at);
            self.put_due(0, Due::Resolve(market));
        }
        count
    }

    /// Schedules a finer grid for `count` markets for the next millisecond; returns the possible number.
    pub(super) fn order_finer_ticks(&mut self, count: u64) -> u64 {
        let coarse =
            |m: &usize| self.markets[*m].phase == Phase::Open && self.markets[*m].tick != TICK_FINE;
        let coarse: Vec<_> = (0..self.markets.len()).filter(coarse).take(count as usize).collect();
        for &market in &coarse {
            self.put_due(0, Due::FinerTick(market));
        }
        coarse.len() as u64
    }

    /// Adds a subscriber; false if it is subscribed or the market has no book.
    pub(super) fn subscribe(&mut self, connection: usize, token: TokenIndex) -> bool {
        let market = &mut self.markets[token.market()];
        if !market.has_book() {
            return false;
        }
        let bit = token.outcome().bit();
        let known = market.subscribers.iter_mut().find(|s| s.connection == connection);
        match known {
            Some(subscriber) if subscriber.outcomes & bit != 0 => return false,
            Some(subscriber) => subscriber.outcomes |= bit,
            None => market.subscribers.push(Subscriber { connection, outcomes: bit }),
        }
        self.counters.subscriptions.add(1);
        true
    }

    /// Removes a subscriber.
    pub(super) fn unsubscribe(&mut self, connection: usize, token: TokenIndex) {
        let subscribers = &mut self.markets[token.market()].subscribers;
        let bit = token.outcome().bit();
        let Some(at) = subscribers.iter().position(|s| s.connection == connection) else { return };
        if subscribers[at].outcomes & bit != 0 {
            subscribers[at].outcomes &= !bit;
            self.counters.subscriptions.subtract(1);
        }
        if subscribers[at].outcomes == 0 {
            subscribers.swap_remove(at);
        }
    }

    /// Virtual time of the next action, at most `until_ms`.
    pub(super) fn next_ms(&mut self, until_ms: u64) -> u64 {
        let planned = self.scenario.peek_ms(until_ms);
        let due = self.due.first_key_value().map_or(u64::MAX, |(&(at, _), _)| at);
        planned.min(due)
    }

    /// Executes one virtual millisecond at or before `until_ms`; false when none is left.
    pub(super) fn step(&mut self, until_ms: u64, outlet: &mut impl Outlet) -> bool {
        let at = self.next_ms(until_ms);
        if at > until_ms {
            return false;
        }
        self.now_ms = self.now_ms.max(at);
        let mut ticks = Vec::new();
        let mut any = false;
        while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= at) {
            any = true;
            match entry.remove() {
                Due::FinerTick(market) => ticks.push(market),
                other => self.happen(other, outlet),
            }
        }
        if let Some(moment) = self.scenario.take(at) {
            any = true;
            self.play(&moment, &mut ticks, outlet);
        }
        for market in ticks {
            self.trade_in(market, 0, true, None, outlet);
        }
        any
    }

    /// Advances virtual time if nothing is scheduled before `now_ms`.
    pub(super) fn advance(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
    }

    /// One beat of a paced flow: `actions` in one market. Returns the number of stamped
    /// `price_change` messages.
    pub(super) fn beat(&mut self, stamp: Stamp, actions: u32, outlet: &mut impl Outlet) -> u64 {
        let market = self.slots[self.scenario.draw_slot()];
        let before = self.counters.price_changes.get();
        self.trade_in(market, actions, false, Some(stamp), outlet);
        self.counters.price_changes.get() - before
    }

    /// Time to the next beat of a paced flow, and its actions; see [`Scenario::draw_beat`].
    pub(super) fn draw_beat(&mut self, gap_ns: f64) -> (f64, u32) {
        self.scenario.draw_beat(gap_ns)
    }

    fn play(&mut self, moment: &Moment, ticks: &mut Vec<usize>, outlet: &mut impl Outlet) {
        for &(slot, actions) in &moment.bursts {
            let market = self.slots[slot];
            if self.markets[market].phase != Phase::Open {
                continue;
            }
            let tick = ticks.iter().position(|&other| other == market);
            if let Some(at) = tick {
                ticks.swap_remove(at);
            }
            self.trade_in(market, actions, tick.is_some(), None, outlet);
        }
        for _ in 0..moment.births {
            self.happen(Due::Birth, outlet);
        }
        if moment.resolutions > 0 {
            self.order_resolutions(u64::from(moment.resolutions));
        }
    }

    fn happen(&mut self, due: Due, outlet: &mut impl Outlet) {
        match due {
            Due::Print(market, trade) => self.print(market, &trade, outlet),
            Due::Announce(market) => self.announce(market, outlet),
            Due::Birth => self.add_new_market(outlet),
            Due::End(market) => {
                if self.markets[market].phase == Phase::Open {
                    self.markets[market].phase = Phase::Ended;
                    self.put_due(self.now_ms + DECISION_MS, Due::Resolve(market));
                }
            }
            Due::Resolve(market) => self.resolve(market, outlet),
            Due::FinerTick(_) => {}
        }
    }

    /// All changes of one market at one timestamp.
    fn trade_in(
        &mut self,
        index: usize,
        actions: u32,
        finer: bool,
        stamp: Option<Stamp>,
        outlet: &mut impl Outlet,
    ) {
        let timestamp_ms = self.wall_ms();
        let market = &mut self.markets[index];
        if market.phase != Phase::Open {
            return;
        }
        let before = message::best(market);
        let mut burst =
            flow::act(market, actions, self.config.trades_per_10_000, self.config.burst > 0.0);
        let old_tick = market.tick;
        let finer = finer && old_tick != TICK_FINE;
        if burst.changes.is_empty() && !finer {
            return;
        }
        market.changed_ms = timestamp_ms;
        if finer {
            market.tick = TICK_FINE;
            burst.refresh = true;
        }
        let moved = message::best(market) != before;
        self.publish(index, &burst, (finer.then_some(old_tick), stamp), moved, outlet);
        if burst.finer_tick && !finer {
            self.put_due(self.now_ms + 1, Due::FinerTick(index));
        }
        for trade in burst.trades {
            self.put_due(self.now_ms + trade.delay_ms, Due::Print(index, trade));
        }
    }

    fn publish(
        &mut self,
        index: usize,
        burst: &Burst,
        (old_tick, stamp): (Option<crate::base::price::Price>, Option<Stamp>),
        moved: bool,
        outlet: &mut impl Outlet,
    ) {
        let Self { markets, frame, scratch, counters, now_ms, .. } = self;
        let market = &markets[index];
        counters.price_changes.add(burst.changes.len() as u64);
        counters.books.add(if burst.refresh { 2 } else { 0 });
        counters.tick_size_changes.add(if old_tick.is_some() { 2 } else { 0 });
        // `best_bid_ask` is sent only sometimes, as by Polymarket.
        let best = moved && now_ms.is_multiple_of(2);
        counters.best_bid_asks.add(if best { 2 } else { 0 });
        if market.subscribers.is_empty() {
            return;
        }
        let tops = match stamp {
            Some(stamp) => Tops::stamped(market, stamp),
            None => Tops::new(market, scratch),
        };
        if let Some(old) = old_tick {
            each_outcome(market, frame, outlet, |out, outcome| {
                message::push_tick_size(out, market, outcome, (old, market.tick));
            });
        }
        if best {
            for outcome in Outcome::BOTH {
                message::push_best(frame.payload(), market, outcome, &tops);
                for subscriber in &market.subscribers {
                    if subscriber.outcomes & outcome.bit() != 0 {
                        outlet.send_custom(subscriber.connection, frame.finish(Opcode::Text));
                    }
                }
            }
        }
        // Some changes are sent in pairs.
        let size = if now_ms.is_multiple_of(16) { 2 } else { 1 };
        for changes in burst.changes.chunks(size) {
            let out = frame.payload();
            if let [first, second] = changes {
                out.push(b'[');
                message::push_price_change(out, market, first, &tops);
                out.extend_from_slice(b", ");
                message::push_price_change(out, market, second, &tops);
                out.push(b']');
            } else {
                message::push_price_change(out, market, &changes[0], &tops);
            }
            let frame = frame.finish(Opcode::Text);
            for subscriber in &market.subscribers {
                outlet.send(subscriber.connection, frame);
            }
        }
        if burst.refresh {
            each_outcome(market, frame, outlet, |out, outcome| {
                message::push_refresh(out, market, outcome, &tops);
            });
        }
    }

    fn print(&mut self, index: usize, trade: &Trade, outlet: &mut impl Outlet) {
        let timestamp_ms = self.wall_ms();
        let market = &self.markets[index];
        self.counters.trades.add(1);
        message::push_trade(self.frame.payload(), market, trade, timestamp_ms);
        for subscriber in &market.subscribers {
            if subscriber.outcomes & trade.outcome.bit() != 0 {
                outlet.send(subscriber.connection, self.frame.finish(Opcode::Text));
            }
        }
    }

    fn announce(&mut self, index: usize, outlet: &mut impl Outlet) {
        let timestamp_ms = self.wall_ms();
        let market = &self.markets[index];
        let event = &self.events[market.event];
        message::push_new_market(self.frame.payload(), market, event, timestamp_ms);
        outlet.broadcast_custom(self.frame.finish(Opcode::Text));
        self.counters.new_markets.add(1);
    }

    fn add_new_market(&mut self, outlet: &mut impl Outlet) {
        let crypto = self.random.chance(8, 10);
        let theme = if crypto { Theme::Crypto } else { Theme::Question };
        let event = self.add_event(theme, false);
        let extra = self.random.below(5 * MINUTE_MS);
        let length_ms = if crypto { 5 * MINUTE_MS + extra } else { 30 * DAY_MS };
        let market = self.add_market(event, theme, self.wall_ms(), length_ms);
        match self.free_slots.pop() {
            Some(slot) => self.slots[slot] = market,
            None => {
                self.scenario.add_slot();
                self.slots.push(market);
                debug_assert_eq!(self.slots.len(), self.scenario.slots());
            }
        }
        self.announce(market, outlet);
        for _ in 0..self.random.below(4) {
            let delay_ms = 1 + self.random.below(5_000);
            self.put_due(self.now_ms + delay_ms, Due::Announce(market));
        }
    }

    /// Empties the book, publishes the resolution, removes the market.
    fn resolve(&mut self, index: usize, outlet: &mut impl Outlet) {
        let timestamp_ms = self.wall_ms();
        let Self { markets, events, frame, scratch, counters, .. } = self;
        let market = &mut markets[index];
        if !market.has_book() {
            return;
        }
        let first = market.random.below(1_000_000) < u64::from(market.fair.0);
        let winner = if first { Outcome::First } else { Outcome::Second };
        market.book.clear();
        market.changed_ms = timestamp_ms;
        counters.books.add(2);
        counters.markets_resolved.add(1);
        let tops = Tops::new(market, scratch);
        each_outcome(market, frame, outlet, |out, outcome| {
            message::push_refresh(out, market, outcome, &tops);
        });
        let event = &events[market.event];
        message::push_resolved(frame.payload(), market, event, winner, timestamp_ms);
        for subscriber in &market.subscribers {
            outlet.send_custom(subscriber.connection, frame.finish(Opcode::Text));
            counters.subscriptions.subtract(u64::from(subscriber.outcomes.count_ones()));
        }
        market.subscribers.clear();
        market.phase = Phase::Resolved(winner);
        market.closed_ms = timestamp_ms;
        counters.live_markets.subtract(1);
        if let Some(slot) = self.slots.iter().position(|&market| market == index) {
            self.free_slots.push(slot);
        }
    }
}

/// One frame per outcome, to its subscribers.
fn each_outcome(
    market: &Market,
    frame: &mut FrameBuffer,
    outlet: &mut impl Outlet,
    mut push: impl FnMut(&mut Vec<u8>, Outcome),
) {
    for outcome in Outcome::BOTH {
        push(frame.payload(), outcome);
        let frame = frame.finish(Opcode::Text);
        for subscriber in &market.subscribers {
            if subscriber.outcomes & outcome.bit() != 0 {
                outlet.send(subscriber.connection, frame);
            }
        }
    }
}

#[cfg(test)]
mod tests;
