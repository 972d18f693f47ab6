//! The venue's markets: books, hashes, and every state that a book was ever in.
//!
//! Runs on:  the simulation's thread. Prices are cents, sizes hundredths of a share; nothing of the
//!           engine is used.
use ringbook::base::random::Random;
use sha1::{Digest as _, Sha1};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// One side of one outcome, price to size.
pub(crate) type Side = BTreeMap<u32, u64>;

/// A market of two outcomes, whose books mirror each other.
#[derive(Debug)]
pub(crate) struct Market {
    pub(crate) id: String,
    pub(crate) tokens: [String; 2],
    pub(crate) open: bool,
    pub(crate) bids: Side,
    pub(crate) asks: Side,
    pub(crate) changed_ms: u64,
    pub(crate) last_trade: Option<u32>,
    /// By time: the states of the first outcome's book after each message with that time.
    states: HashMap<u64, Vec<String>>,
    /// Books of both outcomes as the REST interface told them some time ago.
    pub(crate) stale: [String; 2],
}

/// A message about a market, the same for every connection.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) market: usize,
    pub(crate) ms: u64,
    pub(crate) text: String,
    /// A trade's transaction.
    pub(crate) trade: Option<String>,
    /// How long after its making it is sent.
    pub(crate) delay_ms: u64,
}

/// Writes hundredths as the venue does: no trailing noughts. By hand, because it is half of what the
/// model costs.
fn push_number(out: &mut String, hundredths: u64) {
    let digit = |value: u64| char::from(b'0' + (value % 10) as u8);
    let (whole, rest) = (hundredths / 100, hundredths % 100);
    let mut unit = 1;
    while whole / unit >= 10 {
        unit *= 10;
    }
    while unit > 0 {
        out.push(digit(whole / unit));
        unit /= 10;
    }
    if rest > 0 {
        out.push('.');
        out.push(digit(rest / 10));
        if rest % 10 > 0 {
            out.push(digit(rest));
        }
    }
}

pub(crate) fn price(cents: u32) -> String {
    size(u64::from(cents))
}

fn size(hundredths: u64) -> String {
    let mut out = String::with_capacity(8);
    push_number(&mut out, hundredths);
    out
}

fn mirrored(side: &Side) -> Side {
    side.iter().map(|(&cents, &size)| (100 - cents, size)).collect()
}

impl Market {
    pub(crate) fn new(number: usize, now_ms: u64, random: &mut Random) -> Self {
        let mut market = Self {
            id: format!("0x{number:064x}"),
            tokens: [format!("{}1", 1_000 + number), format!("{}2", 1_000 + number)],
            open: true,
            bids: Side::new(),
            asks: Side::new(),
            changed_ms: now_ms,
            last_trade: None,
            states: HashMap::new(),
            stale: [String::new(), String::new()],
        };
        for _ in 0..random.below(8) {
            market.bids.insert(1 + random.below(49) as u32, 1 + random.below(5_000));
            market.asks.insert(51 + random.below(48) as u32, 1 + random.below(5_000));
        }
        market.remember();
        market.stale = [market.book(0), market.book(1)];
        market
    }

    /// Both sides as this outcome sees them.
    fn sides(&self, outcome: usize) -> (Side, Side) {
        match outcome {
            0 => (self.bids.clone(), self.asks.clone()),
            _ => (mirrored(&self.asks), mirrored(&self.bids)),
        }
    }

    /// Levels as a text to compare with.
    pub(crate) fn levels(&self, outcome: usize) -> String {
        let (bids, asks) = self.sides(outcome);
        let mut text = String::with_capacity(16 * (bids.len() + asks.len()) + 3);
        let mut push = |levels: &mut dyn Iterator<Item = (&u32, &u64)>, end: &str| {
            for (place, (&cents, &hundredths)) in levels.enumerate() {
                text.push_str(if place == 0 { "" } else { " " });
                push_number(&mut text, u64::from(cents));
                text.push('x');
                push_number(&mut text, hundredths);
            }
            text.push_str(end);
        };
        push(&mut bids.iter(), " | ");
        push(&mut asks.iter().rev(), "");
        text
    }

    fn remember(&mut self) {
        let levels = self.levels(0);
        self.states.entry(self.changed_ms).or_default().push(levels);
    }

    /// Whether a book of this outcome at that time ever had these levels.
    pub(crate) fn was(&self, outcome: usize, ms: u64, levels: &str) -> bool {
        let levels = if outcome == 0 { levels.to_owned() } else { mirror_text(levels) };
        self.states.get(&ms).is_some_and(|states| states.contains(&levels))
    }

    /// What a book of this outcome, wrong at that time, lacks and has too many, against the last state of
    /// that time or before.
    pub(crate) fn difference(&self, outcome: usize, ms: u64, levels: &str) -> String {
        let Some((then_ms, states)) = self.states.iter().filter(|(at, _)| **at <= ms).max() else {
            return "nothing is known of that time".into();
        };
        let truth = states.last().map_or("", String::as_str);
        let truth = if outcome == 0 { truth.to_owned() } else { mirror_text(truth) };
        let split = |text: &str| -> BTreeSet<String> {
            let (bids, asks) = text.split_once(" | ").unwrap_or_default();
            let side = |name: char, side: &str| -> Vec<String> {
                side.split(' ').filter(|l| !l.is_empty()).map(|l| format!("{name}{l}")).collect()
            };
            side('b', bids).into_iter().chain(side('a', asks)).collect()
        };
        let (ours, truth) = (split(levels), split(&truth));
        let (lacks, extra): (Vec<_>, Vec<_>) =
            (truth.difference(&ours).collect(), ours.difference(&truth).collect());
        format!("at {then_ms} it lacked {lacks:?} and had {extra:?}")
    }

    fn body(&self, outcome: usize, hash: &str, with_facts: bool) -> String {
        let (bids, asks) = self.sides(outcome);
        let list = |levels: &mut dyn Iterator<Item = (&u32, &u64)>| {
            let mut text = String::with_capacity(1_024);
            for (place, (&cents, &hundredths)) in levels.enumerate() {
                text.push_str(if place == 0 { r#"{"price":""# } else { r#",{"price":""# });
                push_number(&mut text, u64::from(cents));
                text.push_str(r#"","size":""#);
                push_number(&mut text, hundredths);
                text.push_str(r#""}"#);
            }
            text
        };
        let facts = format!(
            r#","min_order_size":"5","tick_size":"0.01","neg_risk":false,"last_trade_price":"{}""#,
            self.last_trade_text()
        );
        format!(
            r#"{{"market":"{}","asset_id":"{}","timestamp":"{}","hash":"{hash}","bids":[{}],"asks":[{}]{}}}"#,
            self.id,
            self.tokens[outcome],
            self.changed_ms,
            list(&mut bids.iter()),
            list(&mut asks.iter().rev()),
            if with_facts { facts.as_str() } else { "" }
        )
    }

    fn last_trade_text(&self) -> String {
        self.last_trade.map_or(String::new(), |cents| format!("0.{cents:02}0"))
    }

    pub(crate) fn hash(&self, outcome: usize) -> String {
        let digest = Sha1::digest(self.body(outcome, "", true));
        let nibbles = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        nibbles.filter_map(|nibble| char::from_digit(u32::from(nibble), 16)).collect()
    }

    /// A book as the REST interface tells it.
    pub(crate) fn book(&self, outcome: usize) -> String {
        self.body(outcome, &self.hash(outcome), true)
    }

    /// A book as a new subscription gets it.
    pub(crate) fn dump(&self, outcome: usize) -> String {
        let body = self.body(outcome, &self.hash(outcome), false);
        let tail = format!(
            r#","tick_size":"0.01","event_type":"book","last_trade_price":"{}"}}"#,
            self.last_trade_text()
        );
        format!("{}{tail}", &body[..body.len() - 1])
    }

    fn refresh(&self, outcome: usize) -> String {
        let body = self.body(outcome, &self.hash(outcome), false);
        format!(r#"{},"event_type":"book"}}"#, &body[..body.len() - 1])
    }

    /// Best bid and best ask of an outcome, as messages tell them.
    fn tops(&self, outcome: usize) -> (String, String) {
        let (bids, asks) = self.sides(outcome);
        let bid = bids.last_key_value().map_or("0".into(), |(&p, _)| price(p));
        let ask = asks.first_key_value().map_or("1".into(), |(&p, _)| price(p));
        (bid, ask)
    }

    fn change_text(&self, bid: bool, cents: u32, hundredths: u64, hashes: &[String; 2]) -> String {
        let entry = |outcome: usize| {
            let (cents, buys) = if outcome == 0 { (cents, bid) } else { (100 - cents, !bid) };
            let (best_bid, best_ask) = self.tops(outcome);
            format!(
                r#"{{"asset_id":"{}", "price":"{}", "size":"{}", "side":"{}", "hash":"{}", "best_bid":"{best_bid}", "best_ask":"{best_ask}"}}"#,
                self.tokens[outcome],
                price(cents),
                size(hundredths),
                if buys { "BUY" } else { "SELL" },
                hashes[outcome],
            )
        };
        format!(
            r#"{{"market":"{}", "price_changes":[{}, {}], "timestamp":"{}", "event_type":"price_change"}}"#,
            self.id,
            entry(0),
            entry(1),
            self.changed_ms
        )
    }

    fn set(&mut self, bid: bool, cents: u32, hundredths: u64) {
        let side = if bid { &mut self.bids } else { &mut self.asks };
        match hundredths {
            0 => side.remove(&cents),
            _ => side.insert(cents, hundredths),
        };
        self.remember();
    }

    /// One to three orders, or a trade; what is said of it.
    pub(crate) fn act(
        &mut self,
        market: usize,
        now_ms: u64,
        trades: &mut u64,
        random: &mut Random,
    ) -> Vec<Message> {
        self.changed_ms = now_ms.max(self.changed_ms);
        let mut changes = Vec::new();
        let trade = random.chance(1, 8) && !self.asks.is_empty();
        if trade {
            let (&cents, &size) = self.asks.first_key_value().unwrap();
            let left = if random.chance(1, 2) { 0 } else { size / 2 };
            self.last_trade = Some(cents);
            changes.push((false, cents, left));
        } else {
            for _ in 0..1 + random.below(3) / 2 * random.below(3) {
                let bid = random.chance(1, 2);
                let limit = if bid {
                    self.asks.first_key_value().map_or(99, |(&p, _)| p - 1)
                } else {
                    99 - self.bids.last_key_value().map_or(0, |(&p, _)| p)
                };
                let step = 1 + random.below(u64::from(limit.max(1))) as u32;
                let cents = if bid { step } else { 100 - step };
                let side = if bid { &self.bids } else { &self.asks };
                let removes = side.contains_key(&cents) && random.chance(1, 2);
                changes.push((bid, cents, if removes { 0 } else { 1 + random.below(5_000) }));
            }
        }
        changes.iter().for_each(|&(bid, cents, hundredths)| self.set(bid, cents, hundredths));
        let (id, ms) = (market, self.changed_ms);
        let message = |text| Message { market: id, ms, text, trade: None, delay_ms: 0 };
        // Hash and best prices are of the book after all of them.
        let hashes = [self.hash(0), self.hash(1)];
        let text =
            |&(bid, cents, s): &(bool, u32, u64)| message(self.change_text(bid, cents, s, &hashes));
        let told = changes.iter().map(text);
        let mut told: Vec<Message> = told.collect();
        if trade {
            told.extend([0, 1].map(|outcome| message(self.refresh(outcome))));
            *trades += 1;
            let transaction = format!("0x{trades:064x}");
            let delay_ms = 30 + random.below(60);
            let text = format!(
                r#"{{"market":"{}","asset_id":"{}","price":"{}","size":"1.5","fee_rate_bps":"0","side":"BUY","timestamp":"{}","event_type":"last_trade_price","transaction_hash":"{transaction}"}}"#,
                self.id,
                self.tokens[0],
                price(self.last_trade.unwrap()),
                ms + delay_ms
            );
            told.push(Message {
                market,
                ms: ms + delay_ms,
                text,
                trade: Some(transaction),
                delay_ms,
            });
        }
        told
    }

    /// The market as the catalogue lists it.
    pub(crate) fn listing(&self) -> String {
        format!(
            r#"{{"conditionId":"{}","slug":"m{}","question":"?","outcomes":"[\"Yes\", \"No\"]","clobTokenIds":"[\"{}\", \"{}\"]","active":true,"closed":{},"enableOrderBook":true,"acceptingOrders":{},"orderPriceMinTickSize":0.01,"orderMinSize":5,"negRisk":false}}"#,
            self.id, self.tokens[0], self.tokens[0], self.tokens[1], !self.open, self.open
        )
    }
}

/// The other outcome's levels: sides change places, and a price p becomes 1 - p.
fn mirror_text(levels: &str) -> String {
    let (bids, asks) = levels.split_once(" | ").unwrap();
    let flip = |side: &str| {
        let flipped = side.split(' ').filter(|level| !level.is_empty()).map(|level| {
            let (p, s) = level.split_once('x').unwrap();
            let cents = (p.parse::<f64>().unwrap() * 100.0).round() as u32;
            format!("{}x{s}", price(100 - cents))
        });
        flipped.collect::<Vec<_>>().join(" ")
    };
    format!("{} | {}", flip(asks), flip(bids))
}
