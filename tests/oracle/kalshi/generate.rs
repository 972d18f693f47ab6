//! A generated venue: connections, sids and markets in every variant of the wire format.

use super::{Event, Record, variants};
use crate::generate::random::Random;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Dollars in ten-thousandths.
const ONE: u32 = 10_000;
const START: u64 = 1_786_085_188_416;
type Ladder = BTreeMap<u32, i64>;

/// What a stream may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nothing is lost, doubled, broken or wrong.
    None,
    /// Frames are lost, doubled and broken, deltas are wrong.
    Frames,
    /// And connections end and begin again, and the capture admits losses.
    Connections,
}

#[derive(Clone, Debug)]
struct Market {
    ticker: String,
    id: String,
    /// NO bids are at NO prices.
    yes: Ladder,
    no: Ladder,
    tick: u32,
    subscribed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Sids {
    book: u64,
    trade: u64,
    ticker: u64,
    lifecycle: u64,
}

struct Connection {
    number: u64,
    sids: Sids,
    /// Last number of each sid.
    numbers: BTreeMap<u64, u64>,
    markets: Vec<Market>,
    /// The last numbered frames.
    recent: Vec<String>,
    /// How many of the next frames get lost.
    losing: u64,
}

/// The forms of an era.
#[derive(Clone, Copy)]
struct Era {
    /// `ts_ms`, and no integers with the texts.
    stamps: bool,
    /// `sending_ts_ms`.
    sending: bool,
}

struct World {
    random: Random,
    now: u64,
    era: Era,
    connections: Vec<Connection>,
    records: Vec<Record>,
}

fn price_text(random: &mut Random, price: u32) -> String {
    let text = format!("{}.{:04}", price / ONE, price % ONE);
    match random.between(0, 9) {
        0 if text.ends_with("00") => text[..text.len() - 2].to_owned(),
        1 if text.ends_with('0') => text[..text.len() - 1].to_owned(),
        _ => text,
    }
}

fn size_text(size: i64) -> String {
    let sign = if size < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", size.abs() / 100, size.abs() % 100)
}

fn best(side: &Ladder) -> u32 {
    side.keys().next_back().copied().unwrap_or(0)
}

impl Market {
    fn new(random: &mut Random, number: usize) -> Self {
        let name =
            *random.pick::<&str>(&["KXBTCD-26AUG07-T69499.99", "KXMLBGAME-26AUG07", "KXa_b"]);
        let mut market = Self {
            ticker: format!("{name}-{number}"),
            id: format!("{}-9b9b-4a98-b024-16a394cd214c", random.hex(8)),
            yes: Ladder::new(),
            no: Ladder::new(),
            tick: *random.pick(&[100, 100, 100, 10, 1]),
            subscribed: false,
        };
        let (levels, sides) = (random.between(0, 60), random.between(0, 5));
        for _ in 0..levels {
            let yes = if sides < 2 { sides == 0 } else { random.percent(50) };
            if let Some((price, size)) = market.level(random, yes) {
                market.side(yes).insert(price, size);
            }
        }
        market
    }

    fn side(&mut self, yes: bool) -> &mut Ladder {
        if yes { &mut self.yes } else { &mut self.no }
    }

    /// A price that does not cross, near the best more often than far, and a size.
    fn level(&mut self, random: &mut Random, yes: bool) -> Option<(u32, i64)> {
        let high = (ONE - best(self.side(!yes))).checked_sub(self.tick)? / self.tick * self.tick;
        if high == 0 {
            return None;
        }
        let steps = u64::from(high / self.tick) - 1;
        let reach = if random.percent(60) { steps.min(8) } else { steps };
        let price = high - u32::try_from(random.between(0, reach)).unwrap() * self.tick;
        let whole = random.between(1, 900) * 100;
        let part = random.between(1, 99_999);
        let size = *random.pick(&[whole, whole, whole, part, part, 117_419_400]);
        Some((price, i64::try_from(size).unwrap()))
    }

    /// A level becomes larger, smaller or nothing: its side, price and signed change.
    fn change(&mut self, random: &mut Random) -> Option<(bool, u32, i64)> {
        let yes = random.percent(50);
        let len = self.side(yes).len();
        if len > 0 && random.percent(54) {
            let at = random.index(len);
            let (&price, &size) = self.side(yes).iter().nth(at).unwrap();
            let less = i64::try_from(random.between(1, u64::try_from(size).unwrap())).unwrap();
            let change = if random.percent(50) { -size } else { -less };
            self.add(yes, price, change);
            return Some((yes, price, change));
        }
        let (price, size) = self.level(random, yes)?;
        self.add(yes, price, size);
        Some((yes, price, size))
    }

    fn add(&mut self, yes: bool, price: u32, change: i64) {
        let side = self.side(yes);
        let size = side.get(&price).copied().unwrap_or(0) + change;
        match size {
            0 => side.remove(&price),
            _ => side.insert(price, size),
        };
    }
}

impl Connection {
    fn new(random: &mut Random, number: u64) -> Self {
        let mut sids = [1, 2, 3, 4];
        random.shuffle(&mut sids);
        let [book, trade, ticker, lifecycle] = sids;
        Self {
            number,
            sids: Sids { book, trade, ticker, lifecycle },
            numbers: BTreeMap::new(),
            markets: Vec::new(),
            recent: Vec::new(),
            losing: 0,
        }
    }
}

impl World {
    fn record(&mut self, c: usize, event: Event) {
        let time = self.now * 1_000_000 + self.records.len() as u64;
        let connection = self.connections[c].number;
        self.records.push(Record { time, connection, event });
    }

    /// Sends, or loses.
    fn send(&mut self, c: usize, text: String, numbered: bool) {
        let connection = &mut self.connections[c];
        if numbered {
            connection.recent.push(text.clone());
            let old = connection.recent.len().saturating_sub(5);
            connection.recent.drain(..old);
        }
        match connection.losing {
            0 => self.record(c, Event::Frame(text)),
            _ => connection.losing -= 1,
        }
    }

    fn variant(&mut self, mut message: Value) -> String {
        if self.era.sending {
            message["sending_ts_ms"] = json!(self.now + 3);
        }
        variants::write(&mut self.random, &message)
    }

    fn unnumbered(&mut self, c: usize, message: Value) {
        let text = self.variant(message);
        self.send(c, text, false);
    }

    fn number(&mut self, c: usize, sid: u64) -> u64 {
        let last = self.connections[c].numbers.entry(sid).or_default();
        *last += 1;
        *last
    }

    fn numbered(&mut self, c: usize, sid: u64, mut message: Value) {
        message["sid"] = json!(sid);
        message["seq"] = json!(self.number(c, sid));
        let text = self.variant(message);
        self.send(c, text, true);
    }

    fn subscribe(&mut self, c: usize, channel: &str, sid: u64) {
        let message =
            json!({"type": "subscribed", "id": 1, "msg": {"channel": channel, "sid": sid}});
        self.unnumbered(c, message);
    }

    fn ladder(&mut self, side: &Ladder) -> Value {
        let random = &mut self.random;
        let level = |(p, s): (&u32, &i64)| json!([price_text(random, *p), size_text(*s)]);
        Value::Array(side.iter().map(level).collect())
    }

    /// As after a subscription, or with the id of a `get_snapshot`.
    fn snapshot(&mut self, c: usize, m: usize, asked: bool) {
        let market = self.connections[c].markets[m].clone();
        let mut body = json!({"market_ticker": market.ticker, "market_id": market.id});
        for (key, side) in [("yes_dollars_fp", &market.yes), ("no_dollars_fp", &market.no)] {
            if !side.is_empty() {
                body[key] = self.ladder(side);
            }
        }
        let mut message = json!({"type": "orderbook_snapshot", "msg": body});
        if asked {
            message["id"] = json!(self.random.between(1, 999));
        }
        self.connections[c].markets[m].subscribed = true;
        let sid = self.connections[c].sids.book;
        self.numbered(c, sid, message);
    }

    fn stamps(&self, body: &mut Value) {
        if self.era.stamps {
            body["ts_ms"] = json!(self.now);
        }
        let time = jiff::Timestamp::from_millisecond(i64::try_from(self.now).unwrap()).unwrap();
        body["ts"] = json!(time.to_string());
    }

    fn delta(&mut self, c: usize, m: usize, yes: bool, price: u32, change: i64) -> Value {
        let market = &self.connections[c].markets[m];
        let mut body = json!({"market_ticker": market.ticker, "market_id": market.id,
            "price_dollars": price_text(&mut self.random, price), "delta_fp": size_text(change),
            "side": if yes { "yes" } else { "no" }});
        self.stamps(&mut body);
        if !self.era.stamps {
            body["price"] = json!(price / 100);
            body["delta"] = json!(change / 100);
        }
        json!({"type": "orderbook_delta", "msg": body})
    }

    fn changes(&mut self, c: usize, m: usize) {
        for _ in 0..*self.random.pick(&[1, 1, 1, 2, 5]) {
            let market = &mut self.connections[c].markets[m];
            if let Some((yes, price, change)) = market.change(&mut self.random) {
                let message = self.delta(c, m, yes, price, change);
                let sid = self.connections[c].sids.book;
                self.numbered(c, sid, message);
            }
        }
    }

    /// The market's end: every level goes in one millisecond, then an empty snapshot.
    fn close(&mut self, c: usize, m: usize) {
        let sid = self.connections[c].sids.book;
        for yes in [true, false] {
            let side = self.connections[c].markets[m].side(yes).clone();
            for (price, size) in side {
                self.connections[c].markets[m].add(yes, price, -size);
                let message = self.delta(c, m, yes, price, -size);
                self.numbered(c, sid, message);
            }
        }
        self.snapshot(c, m, false);
    }

    /// An ack with the merged list, then the new market's snapshot.
    fn add(&mut self, c: usize, m: usize) {
        let connection = &mut self.connections[c];
        connection.markets[m].subscribed = true;
        let known = connection.markets.iter().filter(|m| m.subscribed);
        let mut tickers: Vec<&String> = known.map(|m| &m.ticker).collect();
        tickers.sort();
        let message = match self.random.between(0, 3) {
            0 => json!({"type": "ok", "id": 4, "market_tickers": tickers}), // an older form
            1 => json!({"type": "ok", "id": 4}),
            _ => json!({"type": "ok", "id": 4, "msg": {"market_tickers": tickers}}),
        };
        let sid = connection.sids.book;
        self.numbered(c, sid, message);
        self.snapshot(c, m, false);
    }

    fn renew(&mut self, c: usize, chance: u64) {
        for m in 0..self.connections[c].markets.len() {
            if self.connections[c].markets[m].subscribed && self.random.percent(chance) {
                self.snapshot(c, m, true);
            }
        }
    }

    /// The subscription ends; another one has a sid of its own.
    fn resubscribe(&mut self, c: usize) {
        let old = self.connections[c].sids.book;
        self.numbered(c, old, json!({"type": "unsubscribed", "id": 102}));
        let new = self.connections[c].numbers.keys().max().unwrap().max(&4) + 1;
        self.connections[c].sids.book = new;
        self.subscribe(c, "orderbook_delta", new);
        self.renew(c, 100);
    }

    fn reconnect(&mut self, c: usize) {
        if self.random.percent(70) {
            self.record(c, Event::Ended);
        }
        self.record(c, Event::Opened);
        let connection = &mut self.connections[c];
        connection.numbers.clear();
        connection.recent.clear();
        connection.losing = 0;
        self.renew(c, 80);
    }

    /// Messages that concern no book, numbered or not.
    fn elsewhere(&mut self, c: usize, m: usize) {
        let Connection { sids, markets, .. } = &self.connections[c];
        let (sids, ticker) = (*sids, markets[m].ticker.clone());
        let free = "Will \"X/Y\" win? \\ tab\t 🏈 é — {\"type\":\"orderbook_delta\",\"seq\":1}";
        let trade = json!({"type": "trade", "msg": {"trade_id": self.random.hex(32),
            "market_ticker": ticker, "yes_price_dollars": "0.3600", "no_price_dollars": "0.6400",
            "count_fp": "136.00", "taker_side": "no", "ts": self.now / 1000, "ts_ms": self.now}});
        let lifecycle = json!({"type": "market_lifecycle_v2", "msg": {"market_ticker": ticker,
            "event_type": "metadata_updated", "additional_metadata": {"title": free, "note": free,
            "floor_strike": 69499.99, "cap_strike": null}}});
        let quote = json!({"type": "ticker", "sid": sids.ticker, "msg": {"market_ticker": ticker,
            "price_dollars": "", "yes_bid_dollars": "0.0000", "yes_ask_dollars": "1.0000",
            "yes_bid_size_fp": "0.00", "yes_ask_size_fp": "0.00", "ts": 1_770_897_976, "Clock": 1}});
        match self.random.between(0, 12) {
            0..=3 => self.numbered(c, sids.trade, trade),
            4 => self.unnumbered(c, trade), // before 2026 it had no number
            5 | 6 => self.unnumbered(c, quote),
            7 => self.numbered(c, sids.lifecycle, lifecycle),
            8 => self.unnumbered(c, json!({"type": "subscribed", "id": 1})),
            9 => {
                let message = json!({"code": 8, "msg": "Unknown channel name"});
                self.unnumbered(c, json!({"id": 9, "type": "error", "msg": message}));
            }
            10 => {
                let message = json!({"code": 18, "msg": "Command timeout \"x\"", "note": free});
                self.numbered(c, sids.book, json!({"type": "error", "id": 5, "msg": message}));
            }
            11 => {
                let what = json!({"yes_dollars_fp": 7, "side": [], "note": free});
                let kind = *self.random.pick::<&str>(&["orderbook_hint", "pyth_value", ""]);
                self.unnumbered(c, json!({"type": kind, "msg": what}));
            }
            _ => {
                let list = json!([{"channel": "orderbook_delta", "sid": sids.book}]);
                self.unnumbered(c, json!({"id": 3, "type": "ok", "msg": list}));
            }
        }
    }

    /// A frame that is no JSON; it took a number with it, or none.
    fn broken(&mut self, c: usize, m: usize) {
        let connection = &mut self.connections[c];
        let change = connection.markets[m].change(&mut self.random);
        let (yes, price, change) = change.unwrap_or((true, 100, 100));
        let mut message = self.delta(c, m, yes, price, change);
        let sid = self.connections[c].sids.book;
        message["sid"] = json!(sid);
        message["seq"] = json!(self.number(c, sid));
        let text = message.to_string();
        let cut = self.random.index(text.len() - 1) + 1;
        let text = match self.random.between(0, 3) {
            0 => "no JSON at all".to_owned(),
            1 => format!("{}}}", text),
            _ => text[..cut].to_owned(),
        };
        self.record(c, Event::Frame(text));
    }

    fn fault(&mut self, c: usize, m: usize) {
        match self.random.between(0, 9) {
            0..=3 => {
                let recent = &self.connections[c].recent;
                if !recent.is_empty() {
                    let again = recent[self.random.index(recent.len())].clone();
                    self.record(c, Event::Frame(again));
                }
            }
            4 | 5 => self.connections[c].losing = self.random.between(1, 3),
            6 | 7 => self.broken(c, m),
            _ => {
                // More is taken than there was.
                let yes = self.random.percent(50);
                let market = &mut self.connections[c].markets[m];
                let price = *market.side(yes).keys().next().unwrap_or(&(ONE / 2));
                let size = market.side(yes).get(&price).copied().unwrap_or(0);
                let change = -size - i64::try_from(self.random.between(1, 500)).unwrap();
                let message = self.delta(c, m, yes, price, change);
                let sid = self.connections[c].sids.book;
                self.numbered(c, sid, message);
            }
        }
    }

    fn step(&mut self, trouble: Trouble) {
        self.now += self.random.between(0, 40);
        let c = self.random.index(self.connections.len());
        let m = self.random.index(self.connections[c].markets.len());
        let subscribed = self.connections[c].markets[m].subscribed;
        match self.random.between(0, 199) {
            0..=9 if !subscribed => self.add(c, m),
            // Deltas of a market without a snapshot come too: they have nothing to change.
            0..=119 if subscribed || self.random.percent(5) => self.changes(c, m),
            120..=159 => self.elsewhere(c, m),
            160..=165 if subscribed => self.snapshot(c, m, true),
            166 if subscribed => self.close(c, m),
            167 => self.resubscribe(c),
            168..=173 => self.renew(c, 70),
            174..=189 if trouble != Trouble::None => self.fault(c, m),
            190 | 191 if trouble == Trouble::Connections => self.reconnect(c),
            192 if trouble == Trouble::Connections => {
                self.connections[c].losing = self.random.between(0, 2);
                self.record(c, Event::Lost);
            }
            _ => {}
        }
    }
}

/// The records of a seed; one connection if they have to do without its number.
pub(crate) fn records(seed: u64, trouble: Trouble, alone: bool) -> Vec<Record> {
    let mut random = Random::new(seed ^ 0x6b61_6c73_6869);
    let count = if alone { 1 } else { random.between(1, 4) };
    let mut connections: Vec<Connection> =
        (1..=count).map(|number| Connection::new(&mut random, number)).collect();
    let markets = random.between(count, 14);
    for number in 0..usize::try_from(markets).unwrap() {
        let market = Market::new(&mut random, number);
        let c = number % connections.len();
        connections[c].markets.push(market);
    }
    let era = Era { stamps: seed % 5 != 4, sending: seed.is_multiple_of(2) };
    let mut world = World { random, now: START, era, connections, records: Vec::new() };
    for c in 0..world.connections.len() {
        if !alone {
            world.record(c, Event::Opened);
        }
        let Sids { book, trade, .. } = world.connections[c].sids;
        world.subscribe(c, "orderbook_delta", book);
        world.subscribe(c, "trade", trade);
        for m in 0..world.connections[c].markets.len() {
            if m == 0 {
                world.snapshot(c, m, false);
            } else if world.random.percent(75) {
                world.add(c, m);
            }
        }
    }
    for _ in 0..world.random.between(20, 600) {
        world.step(trouble);
    }
    world.records
}
