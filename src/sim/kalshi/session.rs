//! What the simulated Kalshi knows of each client: subscriptions, their numbers, commands and answers.
//!
//! Runs on:  the venue's thread (pure: texts in, texts out).
use super::exchange::{Exchange, Happening};
use super::words;
use sonic_rs::{JsonContainerTrait as _, JsonValueTrait as _, Value};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;

/// Sequenced channels first.
const CHANNELS: [&str; 4] = ["orderbook_delta", "trade", "market_lifecycle_v2", "ticker"];
const BOOKS: usize = 0;
const TRADES: usize = 1;
const LIFE: usize = 2;
const TICKERS: usize = 3;

/// A client's place.
pub(super) type Slot = usize;

/// One subscription: one for each channel of a connection (kalshi.md, 2.7).
#[derive(Debug)]
struct Subscription {
    sid: u64,
    channel: usize,
    seq: u64,
    /// `None` is all markets.
    markets: Option<HashSet<u32>>,
    lists: bool,
    /// Ended by an error; nothing comes on it any more.
    dead: bool,
}

#[derive(Debug, Default)]
struct Session {
    subscriptions: Vec<Subscription>,
    last_sid: u64,
}

/// Faults that are still to be done, and counts of what was.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) lost: u64,
    pub(super) doubled: u64,
    pub(super) lost_acks: u64,
    pub(super) too_many: u64,
    pub(super) done: BTreeMap<&'static str, u64>,
}

impl Faults {
    fn due(left: &mut u64, done: &mut BTreeMap<&'static str, u64>, name: &'static str) -> bool {
        let due = *left > 0;
        if due {
            *left -= 1;
            *done.entry(name).or_insert(0) += 1;
        }
        due
    }
}

/// Texts for clients, in order.
pub(super) type Outbox = Vec<(Slot, String)>;

/// All clients.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    sessions: HashMap<Slot, Session>,
    /// Clients that follow the book of a market.
    followers: HashMap<u32, Vec<Slot>>,
    pub(super) faults: Faults,
    pub(super) outbox: Outbox,
    pub(super) counts: BTreeMap<String, u64>,
}

/// An error of the venue's: its code and its words (kalshi.md, 2.6).
struct Refusal(u64, &'static str);

impl Sessions {
    pub(super) fn add(&mut self, slot: Slot) {
        self.sessions.insert(slot, Session::default());
    }

    pub(super) fn remove(&mut self, slot: Slot) {
        if self.sessions.remove(&slot).is_some() {
            self.followers.values_mut().for_each(|slots| slots.retain(|&other| other != slot));
        }
    }

    pub(super) fn clients(&self) -> usize {
        self.sessions.len()
    }

    /// Clients that have a subscription to a channel, in order.
    pub(super) fn on_channel(&self, channel: Option<&str>) -> Vec<Slot> {
        let has = |session: &Session| {
            session.subscriptions.iter().any(|s| channel.is_none_or(|c| CHANNELS[s.channel] == c))
        };
        let mut slots: Vec<Slot> = self
            .sessions
            .iter()
            .filter(|(_, session)| has(session))
            .map(|(&slot, _)| slot)
            .collect();
        slots.sort_unstable();
        slots
    }

    fn count(&mut self, what: &str) {
        *self.counts.entry(what.to_owned()).or_insert(0) += 1;
    }

    /// One command of a client.
    pub(super) fn on_text(&mut self, slot: Slot, text: &str, exchange: &Exchange) {
        self.count("commands");
        let Ok(value) = sonic_rs::from_str::<Value>(text) else {
            return self.refuse(slot, None, &Refusal(1, "Unable to process message"));
        };
        let id = value.get("id").as_u64().filter(|&id| id > 0);
        let none = Value::new();
        let params = value.get("params").unwrap_or(&none);
        if Faults::due(&mut self.faults.too_many, &mut self.faults.done, "error-27") {
            return self.refuse(slot, id, &Refusal(27, "Too many requests"));
        }
        let result = match value.get("cmd").as_str() {
            Some("subscribe") => self.subscribe(slot, id, params, exchange),
            Some("unsubscribe") => self.unsubscribe(slot, id, params),
            Some("update_subscription") => self.update(slot, id, params, exchange),
            Some("list_subscriptions") => self.list(slot, id),
            _ => Err(Refusal(5, "Unknown command")),
        };
        if let Err(refusal) = result {
            self.refuse(slot, id, &refusal);
        }
    }

    fn refuse(&mut self, slot: Slot, id: Option<u64>, Refusal(code, words): &Refusal) {
        self.count(&format!("errors_{code}"));
        let id = id.map_or(String::new(), |id| format!(r#""id":{id},"#));
        self.answer(
            slot,
            format!(r#"{{{id}"type":"error","msg":{{"code":{code},"msg":"{words}"}}}}"#),
        );
    }

    /// Sends an answer, unless it is to be lost.
    fn answer(&mut self, slot: Slot, text: String) {
        if !Faults::due(&mut self.faults.lost_acks, &mut self.faults.done, "lost-ack") {
            self.outbox.push((slot, text));
        }
    }

    fn tickers(params: &Value, exchange: &Exchange) -> Result<Option<Vec<u32>>, Refusal> {
        let one = params.get("market_ticker");
        let one = one.as_str();
        let many = params.get("market_tickers").and_then(|list| list.as_array());
        let names: Vec<&str> = match (one, many) {
            (Some(_), Some(_)) => return Err(Refusal(11, "Invalid parameter")),
            (Some(one), None) => vec![one],
            (None, Some(many)) => many.iter().filter_map(|name| name.as_str()).collect(),
            (None, None) => return Ok(None),
        };
        let found: Option<Vec<u32>> = names.into_iter().map(|name| exchange.find(name)).collect();
        found.map(Some).ok_or(Refusal(11, "Invalid parameter"))
    }

    fn subscribe(
        &mut self,
        slot: Slot,
        id: Option<u64>,
        params: &Value,
        exchange: &Exchange,
    ) -> Result<(), Refusal> {
        let channels = params.get("channels").and_then(|list| list.as_array());
        let channels =
            channels.filter(|list| !list.is_empty()).ok_or(Refusal(3, "Channels required"))?;
        let names = channels.iter().map(|name| name.as_str().unwrap_or(""));
        let channels: Option<Vec<usize>> =
            names.map(|name| CHANNELS.iter().position(|known| *known == name)).collect();
        let channels = channels.ok_or(Refusal(8, "Unknown channel name"))?;
        let tickers = Self::tickers(params, exchange)?;
        for channel in channels {
            if channel == BOOKS && tickers.is_none() {
                return Err(Refusal(14, "Market Ticker required"));
            }
            let lists = !params.get("skip_ticker_ack").as_bool().unwrap_or(false);
            let tickers = tickers.clone().filter(|_| channel != LIFE);
            self.subscribe_to(slot, id, channel, tickers, lists, exchange)?;
        }
        Ok(())
    }

    fn subscribe_to(
        &mut self,
        slot: Slot,
        id: Option<u64>,
        channel: usize,
        tickers: Option<Vec<u32>>,
        lists: bool,
        exchange: &Exchange,
    ) -> Result<(), Refusal> {
        let Some(session) = self.sessions.get_mut(&slot) else { return Ok(()) };
        let known = session.subscriptions.iter().position(|s| s.channel == channel && !s.dead);
        if let Some(place) = known {
            return self.add_markets(slot, id, place, tickers.unwrap_or_default(), exchange);
        }
        let most = exchange.config.markets_per_subscription_max;
        if channel == BOOKS && tickers.as_ref().is_some_and(|t| t.len() > most) {
            return Err(Refusal(26, "Subscription market limit exceeded"));
        }
        session.last_sid += 1;
        let sid = session.last_sid;
        let markets = tickers.as_ref().map(|list| list.iter().copied().collect());
        session.subscriptions.retain(|s| s.channel != channel);
        session.subscriptions.push(Subscription {
            sid,
            channel,
            seq: 0,
            markets,
            lists,
            dead: false,
        });
        let place = session.subscriptions.len() - 1;
        let id = id.map_or(String::new(), |id| format!(r#","id":{id}"#));
        let name = CHANNELS[channel];
        self.answer(
            slot,
            format!(r#"{{"type":"subscribed"{id},"msg":{{"channel":"{name}","sid":{sid}}}}}"#),
        );
        if channel == BOOKS {
            self.follow(slot, place, &tickers.unwrap_or_default(), exchange);
        }
        Ok(())
    }

    /// Notes followers, and sends the snapshots.
    fn follow(&mut self, slot: Slot, place: usize, markets: &[u32], exchange: &Exchange) {
        for &market in markets {
            let slots = self.followers.entry(market).or_default();
            if !slots.contains(&slot) {
                slots.push(slot);
            }
            self.send_snapshot(slot, place, market, None, exchange);
        }
    }

    fn send_snapshot(
        &mut self,
        slot: Slot,
        place: usize,
        market: u32,
        id: Option<u64>,
        exchange: &Exchange,
    ) {
        self.count("snapshots");
        let body = words::snapshot(&exchange.markets[market as usize]);
        self.send_numbered(slot, place, "orderbook_snapshot", id, Some(&body));
    }

    /// Sends what has a number, in which case it takes one whatever becomes of it.
    fn send_numbered(
        &mut self,
        slot: Slot,
        place: usize,
        kind: &str,
        id: Option<u64>,
        body: Option<&str>,
    ) {
        let Some(session) = self.sessions.get_mut(&slot) else { return };
        let subscription = &mut session.subscriptions[place];
        let sid = subscription.sid;
        let mut text = format!(r#"{{"type":"{kind}""#);
        if let Some(id) = id {
            let _ = write!(text, r#","id":{id}"#);
        }
        let _ = write!(text, r#","sid":{sid}"#);
        if subscription.channel != TICKERS {
            subscription.seq += 1;
            let _ = write!(text, r#","seq":{}"#, subscription.seq);
        }
        if let Some(body) = body {
            let _ = write!(text, r#","msg":{body}"#);
        }
        text.push('}');
        let Faults { lost, doubled, lost_acks, done, .. } = &mut self.faults;
        let answers = matches!(kind, "ok" | "unsubscribed");
        if answers && Faults::due(lost_acks, done, "lost-ack") {
            return;
        }
        let data = !answers && subscription.channel != TICKERS;
        if data && Faults::due(lost, done, "lost") {
            return;
        }
        if data && Faults::due(doubled, done, "doubled") {
            self.outbox.push((slot, text.clone()));
        }
        self.outbox.push((slot, text));
    }

    fn add_markets(
        &mut self,
        slot: Slot,
        id: Option<u64>,
        place: usize,
        tickers: Vec<u32>,
        exchange: &Exchange,
    ) -> Result<(), Refusal> {
        let Some(session) = self.sessions.get_mut(&slot) else { return Ok(()) };
        let subscription = &mut session.subscriptions[place];
        let mut new = Vec::new();
        if let Some(markets) = &mut subscription.markets {
            new.extend(tickers.into_iter().filter(|market| !markets.contains(market)));
            if markets.len() + new.len() > exchange.config.markets_per_subscription_max {
                return Err(Refusal(26, "Subscription market limit exceeded"));
            }
            markets.extend(&new);
        }
        self.send_ok(slot, place, id, exchange);
        if self.sessions.get(&slot).is_some_and(|s| s.subscriptions[place].channel == BOOKS) {
            self.follow(slot, place, &new, exchange);
        }
        Ok(())
    }

    fn send_ok(&mut self, slot: Slot, place: usize, id: Option<u64>, exchange: &Exchange) {
        let Some(session) = self.sessions.get(&slot) else { return };
        let subscription = &session.subscriptions[place];
        let lists = subscription.lists || exchange.config.ok_always_lists;
        let body = subscription.markets.as_ref().filter(|_| lists).map(|markets| {
            let name = |&market: &u32| words::quoted(&exchange.markets[market as usize].ticker);
            let mut names: Vec<String> = markets.iter().map(name).collect();
            names.sort_unstable();
            format!(r#"{{"market_tickers":[{}]}}"#, names.join(","))
        });
        self.send_numbered(slot, place, "ok", id, body.as_deref());
    }

    /// The one subscription that a command names.
    fn named(&self, slot: Slot, params: &Value) -> Result<usize, Refusal> {
        let one = params.get("sid").as_u64();
        let many: Option<Vec<u64>> = params
            .get("sids")
            .and_then(|l| l.as_array())
            .map(|l| l.iter().filter_map(|s| s.as_u64()).collect());
        let sid = match (one, many.as_deref()) {
            (Some(sid), None) | (None, Some(&[sid])) => sid,
            _ => return Err(Refusal(12, "Exactly one subscription ID is required")),
        };
        let session = self.sessions.get(&slot).ok_or(Refusal(7, "Unknown subscription ID"))?;
        let found = session.subscriptions.iter().position(|s| s.sid == sid && !s.dead);
        found.ok_or(Refusal(7, "Unknown subscription ID"))
    }

    fn update(
        &mut self,
        slot: Slot,
        id: Option<u64>,
        params: &Value,
        exchange: &Exchange,
    ) -> Result<(), Refusal> {
        let place = self.named(slot, params)?;
        let tickers =
            Self::tickers(params, exchange)?.ok_or(Refusal(14, "Market Ticker required"))?;
        match params.get("action").as_str() {
            Some("add_markets") => self.add_markets(slot, id, place, tickers, exchange),
            Some("delete_markets") => {
                for market in tickers {
                    if let Some(slots) = self.followers.get_mut(&market) {
                        slots.retain(|&other| other != slot);
                    }
                    let session = self.sessions.get_mut(&slot);
                    let markets = session.and_then(|s| s.subscriptions[place].markets.as_mut());
                    markets.map(|markets| markets.remove(&market));
                }
                self.send_ok(slot, place, id, exchange);
                Ok(())
            }
            Some("get_snapshot") => {
                if exchange.config.snapshot_ok_first {
                    self.send_ok(slot, place, id, exchange);
                }
                for (number, market) in tickers.into_iter().enumerate() {
                    let bears = number == 0 || !exchange.config.snapshot_id_on_first;
                    self.send_snapshot(slot, place, market, id.filter(|_| bears), exchange);
                }
                Ok(())
            }
            Some(_) => Err(Refusal(13, "Unsupported action")),
            None => Err(Refusal(15, "Action required")),
        }
    }

    fn unsubscribe(&mut self, slot: Slot, id: Option<u64>, params: &Value) -> Result<(), Refusal> {
        let sids = params.get("sids").and_then(|list| list.as_array());
        let sids = sids.filter(|l| !l.is_empty()).ok_or(Refusal(4, "Subscription IDs required"))?;
        for sid in sids.iter().filter_map(|sid| sid.as_u64()) {
            let session = self.sessions.get(&slot);
            let found = session.and_then(|s| s.subscriptions.iter().position(|s| s.sid == sid));
            let place = found.ok_or(Refusal(7, "Unknown subscription ID"))?;
            self.send_numbered(slot, place, "unsubscribed", id, None);
            self.drop_subscription(slot, place);
            if let Some(session) = self.sessions.get_mut(&slot) {
                session.subscriptions.remove(place);
            }
        }
        Ok(())
    }

    fn drop_subscription(&mut self, slot: Slot, place: usize) {
        let books =
            self.sessions.get(&slot).is_some_and(|s| s.subscriptions[place].channel == BOOKS);
        if books {
            self.followers.values_mut().for_each(|slots| slots.retain(|&other| other != slot));
        }
    }

    fn list(&mut self, slot: Slot, id: Option<u64>) -> Result<(), Refusal> {
        let Some(session) = self.sessions.get(&slot) else { return Ok(()) };
        let one = |s: &Subscription| {
            format!(r#"{{"channel":"{}","sid":{}}}"#, CHANNELS[s.channel], s.sid)
        };
        let all: Vec<String> = session.subscriptions.iter().map(one).collect();
        let id = id.map_or(String::new(), |id| format!(r#""id":{id},"#));
        self.answer(slot, format!(r#"{{{id}"type":"ok","msg":[{}]}}"#, all.join(",")));
        Ok(())
    }

    /// The venue ends a subscription to books of its own accord.
    pub(super) fn kill_books(&mut self, slot: Slot, code: u64, name: &'static str) -> bool {
        let Some(session) = self.sessions.get_mut(&slot) else { return false };
        let found = session.subscriptions.iter().position(|s| s.channel == BOOKS && !s.dead);
        let Some(place) = found else { return false };
        session.subscriptions[place].dead = true;
        let sid = session.subscriptions[place].sid;
        self.drop_subscription(slot, place);
        *self.faults.done.entry(name).or_insert(0) += 1;
        let words = if code == 25 { "Subscription buffer overflow" } else { "Channel error" };
        self.outbox.push((
            slot,
            format!(r#"{{"type":"error","sid":{sid},"msg":{{"code":{code},"msg":"{words}"}}}}"#),
        ));
        true
    }

    /// Tells everybody concerned what has happened.
    pub(super) fn tell(&mut self, happening: &Happening, exchange: &Exchange, now_ms: u64) {
        let market = |place: u32| &exchange.markets[place as usize];
        match happening {
            &Happening::Delta(place, change) => {
                self.count("deltas");
                self.tell_followers(
                    place,
                    "orderbook_delta",
                    &words::delta(market(place), change, now_ms),
                );
            }
            &Happening::Snapshot(place) => {
                self.count("snapshots");
                self.tell_followers(place, "orderbook_snapshot", &words::snapshot(market(place)));
            }
            Happening::Trade(place, deal, id) => {
                self.count("trades");
                self.tell_channel(
                    TRADES,
                    *place,
                    "trade",
                    &words::trade(market(*place), *deal, id, now_ms),
                );
            }
            &Happening::Ticker(place) => {
                self.count("tickers");
                self.tell_channel(TICKERS, place, "ticker", &words::ticker(market(place), now_ms));
            }
            Happening::Life(place, event, more) => {
                self.count("lifecycle");
                self.tell_channel(
                    LIFE,
                    *place,
                    "market_lifecycle_v2",
                    &words::life(market(*place), event, more),
                );
            }
        }
    }

    fn tell_followers(&mut self, market: u32, kind: &str, body: &str) {
        for slot in self.followers.get(&market).cloned().unwrap_or_default() {
            let session = self.sessions.get(&slot);
            let place = session
                .and_then(|s| s.subscriptions.iter().position(|s| s.channel == BOOKS && !s.dead));
            if let Some(place) = place {
                self.send_numbered(slot, place, kind, None, Some(body));
            }
        }
    }

    fn tell_channel(&mut self, channel: usize, market: u32, kind: &str, body: &str) {
        let wants = |s: &Subscription| {
            s.channel == channel
                && !s.dead
                && s.markets.as_ref().is_none_or(|m| m.contains(&market))
        };
        let places: Vec<(Slot, usize)> = self
            .sessions
            .iter()
            .filter_map(|(&slot, session)| {
                Some((slot, session.subscriptions.iter().position(wants)?))
            })
            .collect();
        for (slot, place) in places {
            self.send_numbered(slot, place, kind, None, Some(body));
        }
    }
}
