//! Subscriptions of the simulated Kalshi's clients, and the numbering of messages.
//!
//! Runs on:  the venue's thread (pure: texts out).
use super::allowance::Allowance;
use super::command::{BOOKS, LIFE, Refusal, TICKERS, TRADES, is_numbered};
use super::config::{CommandScope, KalshiConfig};
use super::exchange::{Exchange, MarketEvent};
use super::faults::Faults;
use super::messages;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;

/// Index of a client.
pub(super) type Slot = usize;

/// One subscription; a connection has at most one per channel (kalshi/protocol.md, 2.7).
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) sid: u64,
    pub(super) channel: usize,
    pub(super) seq: u64,
    /// `None` is all markets.
    pub(super) markets: Option<HashSet<u32>>,
    /// An `ok` lists its markets.
    pub(super) lists: bool,
    /// It lists them by id.
    pub(super) by_id: bool,
    /// Bids for NO are given as YES prices.
    pub(super) yes_price: bool,
    pub(super) allowance: Option<Allowance>,
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) last_sid: u64,
    pub(super) allowance: Option<Allowance>,
}

impl Session {
    pub(super) fn place_of_channel(&self, channel: usize) -> Option<usize> {
        self.subscriptions.iter().position(|s| s.channel == channel)
    }

    pub(super) fn place_of_sid(&self, sid: u64) -> Option<usize> {
        self.subscriptions.iter().position(|s| s.sid == sid)
    }

    /// Markets of all subscriptions; one to all markets counts as zero.
    pub(super) fn markets(&self) -> usize {
        self.subscriptions.iter().filter_map(|s| Some(s.markets.as_ref()?.len())).sum()
    }
}

/// A text for a client.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) slot: Slot,
    /// The subscription that ends if the text does not fit the client's buffer; `None`: sent anyway.
    pub(super) sid: Option<u64>,
    pub(super) text: String,
}

/// All clients.
#[derive(Debug)]
pub(super) struct Sessions {
    pub(super) sessions: HashMap<Slot, Session>,
    /// Clients subscribed to the book of a market.
    pub(super) followers: HashMap<u32, Vec<Slot>>,
    /// Bucket for all clients.
    pub(super) allowance: Option<Allowance>,
    pub(super) faults: Faults,
    /// In order.
    pub(super) outbox: Vec<Parcel>,
    pub(super) counts: BTreeMap<String, u64>,
    session_commands_per_second: u32,
}

impl Sessions {
    pub(super) fn new(config: &KalshiConfig) -> Self {
        let most = config.commands_per_second_max;
        let (session, user) = match config.commands_scope {
            CommandScope::Connection => (most, 0),
            CommandScope::User => (0, most),
        };
        Self {
            sessions: HashMap::new(),
            followers: HashMap::new(),
            allowance: Allowance::of_commands(user),
            faults: Faults::default(),
            outbox: Vec::new(),
            counts: BTreeMap::new(),
            session_commands_per_second: session,
        }
    }

    pub(super) fn add(&mut self, slot: Slot) {
        let allowance = Allowance::of_commands(self.session_commands_per_second);
        let session = Session { subscriptions: Vec::new(), last_sid: 0, allowance };
        self.sessions.insert(slot, session);
    }

    pub(super) fn remove(&mut self, slot: Slot) {
        if self.sessions.remove(&slot).is_some() {
            self.unfollow_all(slot);
        }
    }

    fn unfollow_all(&mut self, slot: Slot) {
        self.followers.values_mut().for_each(|slots| slots.retain(|&other| other != slot));
    }

    pub(super) fn clients(&self) -> usize {
        self.sessions.len()
    }

    /// Clients subscribed to a channel, or to any, in order.
    pub(super) fn on_channel(&self, channel: Option<usize>) -> Vec<Slot> {
        let has = |session: &Session| match channel {
            Some(channel) => session.place_of_channel(channel).is_some(),
            None => !session.subscriptions.is_empty(),
        };
        let all = self.sessions.iter().filter(|(_, session)| has(session));
        let mut slots: Vec<Slot> = all.map(|(&slot, _)| slot).collect();
        slots.sort_unstable();
        slots
    }

    pub(super) fn count(&mut self, what: &str) {
        *self.counts.entry(what.to_owned()).or_insert(0) += 1;
    }

    pub(super) fn refuse(&mut self, slot: Slot, id: Option<u64>, refusal: &Refusal) {
        self.count(&format!("errors_{}", refusal.code));
        self.answer(slot, messages::error(id, None, refusal));
    }

    /// Sends an answer unless a fault drops it.
    pub(super) fn answer(&mut self, slot: Slot, text: String) {
        if self.faults.due_anywhere("lost-ack").is_none() {
            self.outbox.push(Parcel { slot, sid: None, text });
        }
    }

    pub(super) fn send_snapshot(
        &mut self,
        slot: Slot,
        place: usize,
        market: u32,
        id: Option<u64>,
        exchange: &Exchange,
    ) {
        self.count("snapshots");
        let yes_price = self.sessions.get(&slot).is_some_and(|s| s.subscriptions[place].yes_price);
        let levels = yes_price.then_some(exchange.config.yes_levels);
        let body = messages::snapshot(&exchange.markets[market as usize], levels);
        self.send_data(slot, place, "orderbook_snapshot", id, &body);
    }

    /// Takes the next number for a message, which is used even if the message is not sent, and begins its text.
    fn begin(&mut self, slot: Slot, place: usize, kind: &str, id: Option<u64>) -> Option<String> {
        let subscription = &mut self.sessions.get_mut(&slot)?.subscriptions[place];
        let mut text = format!(r#"{{"type":"{kind}""#);
        if let Some(id) = id {
            let _ = write!(text, r#","id":{id}"#);
        }
        let _ = write!(text, r#","sid":{}"#, subscription.sid);
        // `unsubscribed` has a number on channels without numbers, too.
        if is_numbered(subscription.channel) || kind == "unsubscribed" {
            subscription.seq += 1;
            let _ = write!(text, r#","seq":{}"#, subscription.seq);
        }
        Some(text)
    }

    pub(super) fn send_answer(
        &mut self,
        slot: Slot,
        place: usize,
        kind: &str,
        id: Option<u64>,
        body: Option<&str>,
    ) {
        let Some(mut text) = self.begin(slot, place, kind, id) else { return };
        if let Some(body) = body {
            let _ = write!(text, r#","msg":{body}"#);
        }
        text.push('}');
        self.answer(slot, text);
    }

    /// Sends a message unless a fault prevents it.
    pub(super) fn send_data(
        &mut self,
        slot: Slot,
        place: usize,
        kind: &str,
        id: Option<u64>,
        body: &str,
    ) {
        let Some(mut text) = self.begin(slot, place, kind, id) else { return };
        let Some(session) = self.sessions.get(&slot) else { return };
        let Subscription { sid, channel, .. } = session.subscriptions[place];
        // A fault for any channel applies only to messages whose loss is detectable.
        let any = is_numbered(channel);
        if self.faults.due("lost", channel, any).is_some() {
            return;
        }
        if self.faults.due("unknown-fields", channel, any).is_some() {
            let known = body.strip_prefix('{').unwrap_or(body);
            let _ =
                write!(text, r#","weather":{{"sun":[1,"two",null]}},"msg":{{"wind":0.5,{known}"#);
        } else {
            let _ = write!(text, r#","msg":{body}"#);
        }
        text.push('}');
        let sid = Some(sid);
        if self.faults.due("doubled", channel, any).is_some() {
            self.outbox.push(Parcel { slot, sid, text: text.clone() });
        }
        self.outbox.push(Parcel { slot, sid, text });
    }

    pub(super) fn drop_subscription(&mut self, slot: Slot, place: usize) {
        let Some(session) = self.sessions.get_mut(&slot) else { return };
        if session.subscriptions.remove(place).channel == BOOKS {
            self.unfollow_all(slot);
        }
    }

    /// The venue ends a subscription; returns the message about it, `None` if there is none.
    pub(super) fn end_subscription(&mut self, slot: Slot, sid: u64, code: u64) -> Option<String> {
        let place = self.sessions.get(&slot)?.place_of_sid(sid)?;
        self.drop_subscription(slot, place);
        self.count(&format!("errors_{code}"));
        Some(messages::error(None, Some(sid), &Refusal::new(code)))
    }

    /// Ends a client's subscription to a channel (fault).
    pub(super) fn fail(&mut self, slot: Slot, channel: usize, code: u64) -> bool {
        let session = self.sessions.get(&slot);
        let sid = session.and_then(|s| Some(s.subscriptions[s.place_of_channel(channel)?].sid));
        let text = sid.and_then(|sid| self.end_subscription(slot, sid, code));
        let done = text.is_some();
        self.outbox.extend(text.map(|text| Parcel { slot, sid: None, text }));
        done
    }

    pub(super) fn publish(&mut self, event: &MarketEvent, exchange: &Exchange, now_ms: u64) {
        let market = |place: u32| &exchange.markets[place as usize];
        match event {
            &MarketEvent::Delta(place, change) => {
                self.count("deltas");
                let body = |yes_price| messages::delta(market(place), change, now_ms, yes_price);
                self.tell_followers(place, "orderbook_delta", &body);
            }
            &MarketEvent::Snapshot(place) => {
                self.count("snapshots");
                let levels = exchange.config.yes_levels;
                let body = |yes_price: bool| {
                    messages::snapshot(market(place), yes_price.then_some(levels))
                };
                self.tell_followers(place, "orderbook_snapshot", &body);
            }
            MarketEvent::Trade(place, deal, id) => {
                self.count("trades");
                let body = messages::trade(market(*place), *deal, id, now_ms);
                self.tell_channel(TRADES, *place, "trade", &body);
            }
            &MarketEvent::Ticker(place) => {
                self.count("tickers");
                let body = messages::ticker(market(place), now_ms);
                self.tell_channel(TICKERS, place, "ticker", &body);
            }
            MarketEvent::Life(place, event, more) => {
                self.count("lifecycle");
                let body = messages::life(market(*place), event, more);
                self.tell_channel(LIFE, *place, "market_lifecycle_v2", &body);
            }
        }
    }

    /// `body` encodes it for either price scale.
    fn tell_followers(&mut self, market: u32, kind: &str, body: &dyn Fn(bool) -> String) {
        let mut bodies: [Option<String>; 2] = [None, None];
        for slot in self.followers.get(&market).cloned().unwrap_or_default() {
            let Some(session) = self.sessions.get(&slot) else { continue };
            let Some(place) = session.place_of_channel(BOOKS) else { continue };
            let yes_price = session.subscriptions[place].yes_price;
            let body = bodies[usize::from(yes_price)].get_or_insert_with(|| body(yes_price));
            self.send_data(slot, place, kind, None, body);
        }
    }

    fn tell_channel(&mut self, channel: usize, market: u32, kind: &str, body: &str) {
        let wants = |s: &Subscription| {
            s.channel == channel && s.markets.as_ref().is_none_or(|m| m.contains(&market))
        };
        let all = self.sessions.iter();
        let places: Vec<(Slot, usize)> = all
            .filter_map(|(&slot, session)| {
                Some((slot, session.subscriptions.iter().position(wants)?))
            })
            .collect();
        for (slot, place) in places {
            self.send_data(slot, place, kind, None, body);
        }
    }
}
