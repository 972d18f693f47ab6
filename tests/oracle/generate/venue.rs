//! One generated market: a consistent book, mirrored by the book of the other token.

use super::random::Random;
use crate::decimal;
use crate::hash::{self, Extras, Keys, Levels};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Prices in ten-thousandths, sizes in millionths.
const ONE: u32 = 10_000;
type Ladder = BTreeMap<u32, u64>;

/// Which of the two tokens are ever sent in full.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coverage {
    Both,
    First,
    /// Both, but nothing in the initial dump.
    Later,
    Never,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Buy,
    Sell,
}

struct Change {
    side: Side,
    price: u32,
    size: u64,
}

/// A message of a group, before the state at the end of the group is known.
enum Draft {
    Changes(Vec<Change>),
    Book(usize),
}

pub(crate) struct Market {
    pub(crate) id: String,
    pub(crate) tokens: [String; 2],
    pub(crate) coverage: Coverage,
    /// The form before 2025-09-15.
    pub(crate) old: bool,
    tick: u32,
    bids: Ladder,
    asks: Ladder,
    last_trade: Option<u32>,
    min_order_size: &'static str,
    neg_risk: bool,
    /// Times of the last full books and of the last group.
    snapshot: Option<u64>,
    last: u64,
    fine_sizes: bool,
}

fn price_text(random: &mut Random, price: u32) -> String {
    let text = decimal::render(i128::from(price) * 100_000);
    match random.between(0, 19) {
        0 => text.trim_start_matches('0').to_owned(),
        1 if text.len() < 5 => text + "0",
        _ => text,
    }
}

fn size_text(random: &mut Random, size: u64) -> String {
    let text = decimal::render(i128::from(size) * 1000);
    match (random.between(0, 19), text.contains('.')) {
        (0, false) if size > 0 => text + ".0",
        (1, false) if size > 0 => text + ".00",
        (0, true) if text.len() < 5 => text + "0",
        _ => text,
    }
}

impl Market {
    pub(crate) fn new(random: &mut Random, old: bool) -> Self {
        let tick = *random.pick(&[100, 100, 100, 10, 10, 1000, 50, 25, 1]);
        let coverage = match random.between(0, 9) {
            0 => Coverage::Never,
            1 => Coverage::Later,
            2 | 3 => Coverage::First,
            _ => Coverage::Both,
        };
        let mut market = Self {
            id: format!("0x{}", random.hex(64)),
            tokens: [random.token(), random.token()],
            coverage,
            old,
            tick,
            bids: Ladder::new(),
            asks: Ladder::new(),
            last_trade: random.percent(80).then(|| u32::try_from(random.between(1, 99)).unwrap()),
            min_order_size: *random.pick::<&str>(&["5", "15"]),
            neg_risk: random.percent(40),
            snapshot: None,
            last: 0,
            fine_sizes: random.percent(10),
        };
        market.last_trade = market.last_trade.map(|p| p * 100);
        let levels = random.between(0, 60);
        for _ in 0..levels {
            market.place(random);
        }
        market
    }

    fn size(&self, random: &mut Random) -> u64 {
        match random.between(0, 9) {
            0 => random.between(1, 31_000_000) * 1_000_000,
            1..=4 => random.between(1, 900) * 1_000_000,
            _ if self.fine_sizes => random.between(1, 900_000_000),
            _ => random.between(1, 90_000) * 10_000,
        }
    }

    fn best(&self) -> (Option<u32>, Option<u32>) {
        (self.bids.keys().next_back().copied(), self.asks.keys().next().copied())
    }

    fn set(&mut self, side: Side, price: u32, size: u64) -> Change {
        let ladder = if side == Side::Buy { &mut self.bids } else { &mut self.asks };
        match size {
            0 => ladder.remove(&price),
            _ => ladder.insert(price, size),
        };
        Change { side, price, size }
    }

    /// A new or changed level that does not cross; near the best more often than far.
    fn place(&mut self, random: &mut Random) -> Option<Change> {
        let side = if random.percent(50) { Side::Buy } else { Side::Sell };
        let (bid, ask) = self.best();
        let (low, high) = match side {
            Side::Buy => (self.tick, ask.unwrap_or(ONE) - self.tick),
            Side::Sell => (bid.unwrap_or(0) + self.tick, ONE - self.tick),
        };
        if low > high {
            return None;
        }
        let steps = u64::from((high - low) / self.tick);
        let reach = if random.percent(60) { steps.min(8) } else { steps };
        let step = u32::try_from(random.between(0, reach)).unwrap() * self.tick;
        let price = if side == Side::Buy { high - step } else { low + step };
        let size = self.size(random);
        Some(self.set(side, price, size))
    }

    /// Any level goes.
    fn remove(&mut self, random: &mut Random) -> Option<Change> {
        let side = if random.percent(50) { Side::Buy } else { Side::Sell };
        let ladder = if side == Side::Buy { &self.bids } else { &self.asks };
        let price = *ladder.keys().nth(random.index(ladder.len().max(1)))?;
        Some(self.set(side, price, 0))
    }

    /// Takes some or all of the best level; the taker's side and what was traded.
    fn take(&mut self, random: &mut Random) -> Option<(Side, u32, u64, Change)> {
        let taker = if random.percent(50) { Side::Buy } else { Side::Sell };
        let (bid, ask) = self.best();
        let (side, price) = match taker {
            Side::Buy => (Side::Sell, ask?),
            Side::Sell => (Side::Buy, bid?),
        };
        let there = if side == Side::Sell { self.asks[&price] } else { self.bids[&price] };
        let traded = if random.percent(60) { there } else { random.between(1, there) };
        let left = (there - traded) / 10_000 * 10_000; // the venue cuts to two decimals
        self.last_trade = Some(price);
        Some((taker, price, traded, self.set(side, price, left)))
    }

    /// A bid through the asks, seen crossed until the later messages of the same time.
    fn cross(&mut self, random: &mut Random) -> Option<Vec<Draft>> {
        let through = *self.asks.keys().nth(random.index(self.asks.len().clamp(1, 3)))?;
        let size = self.size(random);
        let mut drafts = vec![Draft::Changes(vec![self.set(Side::Buy, through, size)])];
        let gone: Vec<u32> = self.asks.range(..=through).map(|(p, _)| *p).collect();
        for price in gone {
            drafts.push(Draft::Changes(vec![self.set(Side::Sell, price, 0)]));
        }
        Some(drafts)
    }

    fn books(&self) -> Vec<Draft> {
        match self.coverage {
            Coverage::Both | Coverage::Later => vec![Draft::Book(0), Draft::Book(1)],
            Coverage::First => vec![Draft::Book(0)],
            Coverage::Never => Vec::new(),
        }
    }

    pub(crate) fn dump(&mut self, random: &mut Random, now: u64) -> Vec<Value> {
        let drafts = if self.coverage == Coverage::Later { Vec::new() } else { self.books() };
        self.finish(random, now, &drafts, true)
    }

    /// Time of the last group.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// All messages of one time, and the trade message that follows a while later.
    pub(crate) fn group(&mut self, random: &mut Random, now: u64) -> Vec<Value> {
        let mut drafts = Vec::new();
        let mut trade = None;
        match random.between(0, 99) {
            0..=69 => {
                for _ in 0..*random.pick(&[1, 1, 1, 1, 2, 3, 8]) {
                    let some = if random.percent(25) { self.remove(random) } else { None };
                    let changes = [some, self.place(random)];
                    drafts.push(Draft::Changes(changes.into_iter().flatten().collect()));
                }
            }
            70..=79 => drafts = self.cross(random).unwrap_or_default(),
            80..=94 => {
                if let Some((taker, price, traded, change)) = self.take(random) {
                    if random.percent(50) {
                        drafts.push(Draft::Changes(vec![change]));
                    }
                    drafts.extend(self.books());
                    trade = Some((taker, price, traded));
                }
            }
            _ => drafts = self.books(),
        }
        drafts.retain(|d| !matches!(d, Draft::Changes(c) if c.is_empty()));
        let mut messages = self.finish(random, now, &drafts, false);
        if let Some((taker, price, traded)) = trade {
            messages.push(self.trade(random, now + 34, (taker, price, traded)));
        }
        messages
    }

    /// A change older than both books: it must not apply.
    pub(crate) fn late(&mut self, random: &mut Random) -> Option<Value> {
        let before = self.snapshot? - random.between(1, 900);
        let price = u32::try_from(random.between(1, u64::from(ONE / self.tick) - 1)).unwrap();
        let side = if random.percent(50) { Side::Buy } else { Side::Sell };
        let change = Change { side, price: price * self.tick, size: self.size(random) };
        let mut messages = self.changes(random, before, &[change]);
        Some(messages.swap_remove(0))
    }

    /// A true change that arrives late, yet is no older than the books: it applies.
    pub(crate) fn delayed(&mut self, random: &mut Random) -> Vec<Value> {
        let Some(snapshot) = self.snapshot.filter(|s| *s < self.last) else { return Vec::new() };
        let time = random.between(snapshot, self.last - 1);
        let change = self.place(random);
        change.map_or(Vec::new(), |c| self.changes(random, time, &[c]))
    }

    /// Levels of one token's book.
    fn view(&self, token: usize) -> (Ladder, Ladder) {
        let flip = |l: &Ladder| l.iter().map(|(p, s)| (ONE - p, *s)).collect();
        match token {
            0 => (self.bids.clone(), self.asks.clone()),
            _ => (flip(&self.asks), flip(&self.bids)),
        }
    }

    fn last_trade_text(&self) -> String {
        self.last_trade.map_or(String::new(), |p| format!("{}.{:03}", p / ONE, p % ONE / 10))
    }

    fn hash(&self, token: usize, time: u64) -> String {
        let wide = |l: &Ladder| {
            l.iter().map(|(p, s)| (i128::from(*p) * 100_000, i128::from(*s) * 1000)).collect()
        };
        let (bids, asks) = self.view(token);
        let extras = Extras {
            keys: if self.old { Keys::UntilAsks } else { Keys::All },
            min_order_size: self.min_order_size.into(),
            tick_size: decimal::render(i128::from(self.tick) * 100_000),
            neg_risk: self.neg_risk,
            last_trade_price: self.last_trade_text(),
        };
        let levels = Levels::of(&wide(&bids), &wide(&asks));
        hash::hash(&self.id, &self.tokens[token], &time.to_string(), &levels, &extras)
    }

    fn finish(
        &mut self,
        random: &mut Random,
        now: u64,
        drafts: &[Draft],
        first: bool,
    ) -> Vec<Value> {
        self.last = now;
        let mut messages = Vec::new();
        for draft in drafts {
            match draft {
                Draft::Changes(changes) => messages.extend(self.changes(random, now, changes)),
                Draft::Book(token) => {
                    messages.push(self.book(random, now, *token, first));
                    self.snapshot = Some(now);
                }
            }
        }
        messages
    }

    fn changes(&self, random: &mut Random, time: u64, changes: &[Change]) -> Vec<Value> {
        let side = |c: &Change, token: usize| match (c.side == Side::Buy) == (token == 0) {
            true => "BUY",
            false => "SELL",
        };
        let at = |c: &Change, token: usize| if token == 0 { c.price } else { ONE - c.price };
        let mut order = [0, 1];
        random.shuffle(&mut order);
        if self.old {
            let one = |random: &mut Random, token: usize| {
                let levels: Vec<Value> = changes
                    .iter()
                    .map(|c| {
                        let price = price_text(random, at(c, token));
                        let size = size_text(random, c.size);
                        json!({"price": price, "side": side(c, token), "size": size})
                    })
                    .collect();
                json!({"asset_id": self.tokens[token], "changes": levels,
                    "event_type": "price_change", "hash": self.hash(token, time - 5),
                    "market": self.id, "timestamp": time.to_string()})
            };
            return order.iter().map(|token| one(random, *token)).collect();
        }
        let mut entries = Vec::new();
        for change in changes {
            for token in order {
                let (bids, asks) = self.view(token);
                let bid = bids.keys().next_back().map(|p| price_text(random, *p));
                let ask = asks.keys().next().map(|p| price_text(random, *p));
                let none = random.percent(90);
                let empty = |text: &str| if none { text.to_owned() } else { String::new() };
                entries.push(json!({
                    "asset_id": self.tokens[token], "price": price_text(random, at(change, token)),
                    "size": size_text(random, change.size), "side": side(change, token),
                    "hash": self.hash(token, time),
                    "best_bid": bid.unwrap_or_else(|| empty("0")),
                    "best_ask": ask.unwrap_or_else(|| empty("1"))}));
            }
        }
        vec![json!({"market": self.id, "price_changes": entries, "timestamp": time.to_string(),
            "event_type": "price_change"})]
    }

    fn book(&self, random: &mut Random, time: u64, token: usize, first: bool) -> Value {
        let (bids, asks) = self.view(token);
        let mut levels = |ladder: &Ladder, down: bool| {
            let mut levels: Vec<Value> = ladder
                .iter()
                .map(|(p, s)| {
                    json!({"price": price_text(random, *p), "size": size_text(random, *s)})
                })
                .collect();
            if down {
                levels.reverse();
            }
            match random.between(0, 19) {
                0 => levels.reverse(), // the documentation's order
                1 => random.shuffle(&mut levels),
                _ => {}
            }
            levels
        };
        let (bids, asks) = (levels(&bids, false), levels(&asks, true));
        let mut book = Map::new();
        book.insert("market".into(), json!(self.id));
        book.insert("asset_id".into(), json!(self.tokens[token]));
        book.insert("timestamp".into(), json!(time.to_string()));
        book.insert("hash".into(), json!(self.hash(token, if self.old { time - 5 } else { time })));
        book.insert("bids".into(), json!(bids));
        book.insert("asks".into(), json!(asks));
        if first && !self.old {
            let tick = decimal::render(i128::from(self.tick) * 100_000);
            book.insert("tick_size".into(), json!(tick));
        }
        book.insert("event_type".into(), json!("book"));
        if first && !self.old {
            book.insert("last_trade_price".into(), json!(self.last_trade_text()));
        }
        Value::Object(book)
    }

    fn trade(&self, random: &mut Random, time: u64, traded: (Side, u32, u64)) -> Value {
        let (taker, price, size) = traded;
        let token = random.index(2);
        let price = if token == 0 { price } else { ONE - price };
        let side = if (taker == Side::Buy) == (token == 0) { "BUY" } else { "SELL" };
        let fee = *random.pick(&["0", "", "1000"]);
        json!({"market": self.id, "asset_id": self.tokens[token],
            "price": price_text(random, price), "size": size_text(random, size),
            "fee_rate_bps": fee, "side": side, "timestamp": time.to_string(),
            "event_type": "last_trade_price", "transaction_hash": format!("0x{}", random.hex(64))})
    }

    /// The grid gets finer: one message for each token.
    pub(crate) fn finer(&mut self, now: u64) -> Vec<Value> {
        if self.tick != 100 {
            return Vec::new();
        }
        self.tick = 10;
        self.tokens
            .iter()
            .map(|token| {
                json!({"event_type": "tick_size_change", "asset_id": token, "market": self.id,
                    "old_tick_size": "0.01", "new_tick_size": "0.001",
                    "timestamp": now.to_string()})
            })
            .collect()
    }

    pub(crate) fn quotes(&self, random: &mut Random, now: u64) -> Value {
        let token = random.index(2);
        let (bids, asks) = self.view(token);
        let show = |p: Option<&u32>| {
            p.map_or(String::new(), |p| decimal::render(i128::from(*p) * 100_000))
        };
        let spread = bids.keys().next_back().zip(asks.keys().next()).map(|(b, a)| a - b);
        json!({"market": self.id, "asset_id": self.tokens[token],
            "best_bid": show(bids.keys().next_back()), "best_ask": show(asks.keys().next()),
            "spread": show(spread.as_ref()), "timestamp": now.to_string(),
            "event_type": "best_bid_ask"})
    }
}
