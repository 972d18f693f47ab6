//! Markets of the numbered venue: books of bids only, every change that they ever had, and the messages about them.
//!
//! Runs on:  the simulation's thread. Prices are tenths of a cent, sizes hundredths of a contract; nothing of the
//!           engine is used.
use ringbook::base::random::Random;
use std::collections::BTreeMap;

/// One side, price to size.
pub(crate) type Side = BTreeMap<u32, u64>;
/// Levels from the worst to the best, in terms of YES.
pub(crate) type Levels = Vec<(u32, u64)>;

/// A dollar.
pub(crate) const DOLLAR: u32 = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Unopened,
    Open,
    Paused,
    Closed,
    Determined,
}

#[derive(Clone, Copy, Debug)]
struct Change {
    yes: bool,
    price: u32,
    before: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Market {
    pub(crate) ticker: String,
    pub(crate) event: usize,
    pub(crate) phase: Phase,
    pub(crate) open_ms: u64,
    pub(crate) close_ms: u64,
    /// Commands do not know it before.
    pub(crate) known_ms: u64,
    yes: Side,
    no: Side,
    /// Every change; as many as there are is the version of the book.
    changes: Vec<Change>,
    pub(crate) changed_ms: u64,
    /// Its ticker is to be sent.
    pub(crate) ticker_due: bool,
    /// A book as the REST interface reported it some time ago.
    stale: String,
}

/// A change as it is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LevelChange {
    pub(crate) yes: bool,
    pub(crate) price: u32,
    pub(crate) by: i64,
    pub(crate) version: usize,
}

pub(crate) fn dollars(price: u32) -> String {
    format!("{}.{:03}0", price / DOLLAR, price % DOLLAR)
}

pub(crate) fn contracts(size: u64) -> String {
    format!("{}.{:02}", size / 100, size % 100)
}

pub(crate) fn signed(by: i64) -> String {
    format!("{}{}", if by < 0 { "-" } else { "" }, contracts(by.unsigned_abs()))
}

fn rfc3339(ms: u64) -> String {
    jiff::Timestamp::from_millisecond(ms as i64).unwrap().to_string()
}

fn list(side: &Side) -> String {
    let all: Vec<String> =
        side.iter().map(|(&p, &s)| format!(r#"["{}","{}"]"#, dollars(p), contracts(s))).collect();
    all.join(",")
}

impl Market {
    pub(crate) fn new(number: usize, event: usize, open_ms: u64, close_ms: u64) -> Self {
        Self {
            // Real ones have points too.
            ticker: format!("KXSIM-26E{event}-T{number}.5"),
            event,
            phase: Phase::Unopened,
            open_ms,
            close_ms,
            known_ms: 0,
            yes: Side::new(),
            no: Side::new(),
            changes: Vec::new(),
            changed_ms: 0,
            ticker_due: false,
            stale: String::new(),
        }
    }

    /// It begins, with some orders.
    pub(crate) fn fill(&mut self, ms: u64, random: &mut Random) -> Vec<LevelChange> {
        self.phase = Phase::Open;
        let mut change = Vec::new();
        for _ in 0..2 * random.below(10) {
            let (yes, price) = (random.chance(1, 2), 1 + random.below(490) as u32);
            change.push(self.set(yes, price, 1 + random.below(500_000), ms));
        }
        self.stale = self.rest_book();
        change
    }

    pub(crate) fn version(&self) -> usize {
        self.changes.len()
    }

    pub(crate) fn trades(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Its book is to be had.
    pub(crate) fn is_alive(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Paused)
    }

    /// Bids and asks in terms of YES as they were after so many changes.
    pub(crate) fn at(&self, version: usize) -> (Levels, Levels) {
        let (mut yes, mut no) = (self.yes.clone(), self.no.clone());
        for change in self.changes[version..].iter().rev() {
            let side = if change.yes { &mut yes } else { &mut no };
            match change.before {
                0 => side.remove(&change.price),
                before => side.insert(change.price, before),
            };
        }
        let asks = no.into_iter().map(|(p, s)| (DOLLAR - p, s)).collect();
        (yes.into_iter().collect(), asks)
    }

    fn set(&mut self, yes: bool, price: u32, size: u64, ms: u64) -> LevelChange {
        let side = if yes { &mut self.yes } else { &mut self.no };
        let before = match size {
            0 => side.remove(&price),
            size => side.insert(price, size),
        };
        let before = before.unwrap_or(0);
        self.changes.push(Change { yes, price, before });
        self.changed_ms = ms;
        self.ticker_due = true;
        LevelChange { yes, price, by: size as i64 - before as i64, version: self.changes.len() }
    }

    /// One to three orders of one millisecond.
    pub(crate) fn act(&mut self, ms: u64, random: &mut Random) -> Vec<LevelChange> {
        let mut change = Vec::new();
        for _ in 0..1 + random.below(3) / 2 * random.below(3) {
            let yes = random.chance(1, 2);
            let (own, other) = if yes { (&self.yes, &self.no) } else { (&self.no, &self.yes) };
            // YES and NO together cost less than a dollar, or they would have traded.
            let limit = DOLLAR - 1 - other.last_key_value().map_or(0, |(&p, _)| p);
            let old = own.keys().nth(random.below(own.len() as u64 + 1) as usize).copied();
            let price = match old {
                Some(price) if random.chance(2, 3) => price,
                // Near the best, where it matters.
                _ if random.chance(1, 2) => {
                    let best = own.last_key_value().map_or(100, |(&p, _)| p);
                    (best + random.below(20) as u32).saturating_sub(8)
                }
                _ => 1 + random.below(u64::from(limit.max(1))) as u32,
            };
            let price = price.clamp(1, limit.max(1));
            let size = match own.get(&price) {
                Some(_) if random.chance(1, 2) => 0,
                _ => 1 + random.below(500_000),
            };
            let same = own.get(&price).copied().unwrap_or(0) == size;
            if limit > 0 && !same {
                change.push(self.set(yes, price, size, ms));
            }
        }
        if random.chance(1, 50) {
            self.stale = self.rest_book();
        }
        change
    }

    /// Takes the best offer of a side: its price in terms of YES, the size, and the change.
    pub(crate) fn take(
        &mut self,
        yes: bool,
        ms: u64,
        random: &mut Random,
    ) -> Option<(u32, u64, LevelChange)> {
        let side = if yes { &self.yes } else { &self.no };
        let (&price, &size) = side.last_key_value()?;
        let taken = if random.chance(1, 2) { size } else { 1 + random.below(size) };
        let change = self.set(yes, price, size - taken, ms);
        Some((if yes { price } else { DOLLAR - price }, taken, change))
    }

    /// All orders are gone at once.
    pub(crate) fn empty(&mut self, ms: u64) -> Vec<LevelChange> {
        let all: Vec<(bool, u32)> = self
            .yes
            .keys()
            .map(|&price| (true, price))
            .chain(self.no.keys().map(|&price| (false, price)))
            .collect();
        all.into_iter().map(|(yes, price)| self.set(yes, price, 0, ms)).collect()
    }

    /// What a snapshot contains; a side without orders is left out.
    pub(crate) fn snapshot(&self) -> String {
        let mut text = format!(r#""market_ticker":"{0}","market_id":"id-{0}""#, self.ticker);
        for (name, side) in [("yes", &self.yes), ("no", &self.no)] {
            if !side.is_empty() {
                text.push_str(&format!(r#","{name}_dollars_fp":[{}]"#, list(side)));
            }
        }
        text
    }

    pub(crate) fn delta(&self, change: &LevelChange, ms: u64, price: &str) -> String {
        format!(
            r#""market_ticker":"{0}","market_id":"id-{0}","price_dollars":"{price}","delta_fp":"{1}","side":"{2}","ts":"{3}","ts_ms":{ms}"#,
            self.ticker,
            signed(change.by),
            if change.yes { "yes" } else { "no" },
            rfc3339(ms),
        )
    }

    /// Best prices, an empty side as nothing or a dollar.
    pub(crate) fn top(&self) -> String {
        let bid = self.yes.last_key_value().map_or(0, |(&p, _)| p);
        let ask = DOLLAR - self.no.last_key_value().map_or(0, |(&p, _)| p);
        format!(
            r#""market_ticker":"{0}","market_id":"id-{0}","price_dollars":"","yes_bid_dollars":"{1}","yes_ask_dollars":"{2}","volume_fp":"1.00","open_interest_fp":"1.00","dollar_volume":1,"dollar_open_interest":1,"yes_bid_size_fp":"1.00","yes_ask_size_fp":"1.00","last_trade_size_fp":"1.00","ts":{3},"ts_ms":{4},"time":"{5}""#,
            self.ticker,
            dollars(bid),
            dollars(ask),
            self.changed_ms / 1_000,
            self.changed_ms,
            rfc3339(self.changed_ms),
        )
    }

    pub(crate) fn created(&self) -> String {
        format!(
            r#""market_ticker":"{}","event_type":"created","exchange_index":0,"open_ts":{},"close_ts":{},"price_level_structure":"deci_cent","additional_metadata":{{"name":"n","title":"t","yes_sub_title":"y","event_ticker":"E{}"}}"#,
            self.ticker,
            self.open_ms / 1_000,
            self.close_ms / 1_000,
            self.event,
        )
    }

    /// The market as the catalog lists it.
    pub(crate) fn listing(&self) -> String {
        let status = match self.phase {
            Phase::Unopened => "initialized",
            Phase::Open => "active",
            Phase::Paused => "inactive",
            Phase::Closed => "closed",
            Phase::Determined => "determined",
        };
        let result = if self.phase == Phase::Determined { "no" } else { "" };
        format!(
            r#"{{"ticker":"{}","event_ticker":"E{}","status":"{status}","result":"{result}","title":"?","yes_sub_title":"y","open_time":"{}","close_time":"{}","price_ranges":[{{"start":"0.0000","end":"1.0000","step":"0.0010"}}]}}"#,
            self.ticker,
            self.event,
            rfc3339(self.open_ms),
            rfc3339(self.close_ms),
        )
    }

    /// The book as the REST interface reports it.
    pub(crate) fn rest_book(&self) -> String {
        format!(
            r#"{{"ticker":"{}","orderbook_fp":{{"yes_dollars":[{}],"no_dollars":[{}]}}}}"#,
            self.ticker,
            list(&self.yes),
            list(&self.no)
        )
    }

    pub(crate) fn stale_book(&self) -> String {
        self.stale.clone()
    }
}
