//! The venue's markets: books, hashes, and every state that a book was ever in.
//!
//! Runs on:  the simulation's thread. Prices are cents, sizes hundredths of a share; nothing of the
//!           engine is used.
use ringbook::base::random::Random;
use sha1::{Digest as _, Sha1};
use std::collections::{BTreeMap, BTreeSet};

/// One side of one outcome, price to size.
pub(crate) type Side = BTreeMap<u32, u64>;

/// A market of two outcomes, whose books mirror each other.
#[derive(Debug)]
pub(crate) struct Market {
    pub(crate) id: String,
    pub(crate) tokens: [String; 2],
    pub(crate) open: bool,
    sides: Sides,
    pub(crate) changed_ms: u64,
    pub(crate) last_trade: Option<u32>,
    born_ms: u64,
    /// Every change, from which every state follows that a book was ever in.
    changes: Vec<Change>,
    /// Books of both outcomes as the REST interface reports them some time ago.
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

/// Writes hundredths as the venue does: no trailing noughts. By hand, because it is most of what the model costs.
fn push_number(out: &mut String, hundredths: u64) {
    let mut text = [0; 24];
    let mut begin = text.len();
    let mut put = |byte: u8| {
        begin -= 1;
        text[begin] = byte;
    };
    let digit = |value: u64| b'0' + (value % 10) as u8;
    let (mut whole, rest) = (hundredths / 100, hundredths % 100);
    if rest % 10 > 0 {
        put(digit(rest));
    }
    if rest > 0 {
        put(digit(rest / 10));
        put(b'.');
    }
    loop {
        put(digit(whole));
        whole /= 10;
        if whole == 0 {
            break;
        }
    }
    out.push_str(std::str::from_utf8(&text[begin..]).unwrap());
}

fn price(cents: u32) -> String {
    size(u64::from(cents))
}

fn size(hundredths: u64) -> String {
    let mut out = String::with_capacity(8);
    push_number(&mut out, hundredths);
    out
}

/// One change of a book.
#[derive(Clone, Copy, Debug)]
struct Change {
    ms: u64,
    bid: bool,
    cents: u32,
    before: u64,
}

/// Both sides of the first outcome's book.
#[derive(Clone, Debug, Default)]
struct Sides {
    bids: Side,
    asks: Side,
}

impl Sides {
    /// Gives the levels of one side as this outcome sees them, from the worst to the best.
    fn each(&self, bids: bool, outcome: usize, mut give: impl FnMut(usize, u32, u64)) {
        let seen = |cents: u32| if outcome == 0 { cents } else { 100 - cents };
        // The outcomes' books mirror each other.
        if bids == (outcome == 0) {
            let levels = self.bids.iter().enumerate();
            levels.for_each(|(place, (&cents, &size))| give(place, seen(cents), size));
        } else {
            let levels = self.asks.iter().rev().enumerate();
            levels.for_each(|(place, (&cents, &size))| give(place, seen(cents), size));
        }
    }

    /// Levels as a text to compare with.
    fn levels(&self, outcome: usize) -> String {
        let mut text = String::with_capacity(16 * (self.bids.len() + self.asks.len()) + 3);
        for bids in [true, false] {
            self.each(bids, outcome, |place, cents, hundredths| {
                text.push_str(if place == 0 { "" } else { " " });
                push_number(&mut text, u64::from(cents));
                text.push('x');
                push_number(&mut text, hundredths);
            });
            text.push_str(if bids { " | " } else { "" });
        }
        text
    }

    fn set(&mut self, bid: bool, cents: u32, hundredths: u64) -> u64 {
        let side = if bid { &mut self.bids } else { &mut self.asks };
        let before = match hundredths {
            0 => side.remove(&cents),
            _ => side.insert(cents, hundredths),
        };
        before.unwrap_or(0)
    }
}

/// A book's text with all keys, and where the hash goes and the last keys begin.
struct Body {
    text: String,
    hash_at: usize,
    facts_at: usize,
}

impl Body {
    fn hash(&self) -> String {
        let nibble = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
        let digest = Sha1::digest(&self.text);
        digest.iter().flat_map(|byte| [nibble(byte >> 4), nibble(byte & 15)]).collect()
    }

    fn with(&self, hash: &str, end: usize) -> String {
        [&self.text[..self.hash_at], hash, &self.text[self.hash_at..end]].concat()
    }

    /// A book as the REST interface reports it.
    fn whole(&self, hash: &str) -> String {
        self.with(hash, self.text.len())
    }

    /// A book as the stream sends it, without its last keys and open.
    fn head(&self, hash: &str) -> String {
        self.with(hash, self.facts_at)
    }
}

impl Market {
    pub(crate) fn new(number: usize, now_ms: u64, random: &mut Random) -> Self {
        let mut market = Self {
            id: format!("0x{number:064x}"),
            tokens: [format!("{}1", 1_000 + number), format!("{}2", 1_000 + number)],
            open: true,
            sides: Sides::default(),
            changed_ms: now_ms,
            last_trade: None,
            born_ms: now_ms,
            changes: Vec::new(),
            stale: [String::new(), String::new()],
        };
        for _ in 0..random.below(8) {
            market.sides.bids.insert(1 + random.below(49) as u32, 1 + random.below(5_000));
            market.sides.asks.insert(51 + random.below(48) as u32, 1 + random.below(5_000));
        }
        market.stale = [market.book(0), market.book(1)];
        market
    }

    /// Levels as a text to compare with.
    pub(crate) fn levels(&self, outcome: usize) -> String {
        self.sides.levels(outcome)
    }

    /// The states of the newest time at which `fits` is true, the last one first, and that time.
    fn states(&self, fits: impl Fn(u64) -> bool) -> Option<(u64, Vec<Sides>)> {
        let mut sides = self.sides.clone();
        let (mut found, mut then_ms) = (Vec::new(), None);
        let mut undone = self.changes.iter().rev();
        loop {
            let change = undone.next();
            let ms = change.map_or(self.born_ms, |change| change.ms);
            if then_ms.is_some_and(|then_ms| then_ms != ms) {
                break;
            }
            if fits(ms) {
                then_ms = Some(ms);
                found.push(sides.clone());
            }
            let Some(change) = change else { break };
            sides.set(change.bid, change.cents, change.before);
        }
        Some((then_ms?, found))
    }

    /// Whether a book of this outcome at that time ever had these levels.
    pub(crate) fn was(&self, outcome: usize, ms: u64, levels: &str) -> bool {
        let states = self.states(|at| at == ms);
        states.is_some_and(|(_, states)| states.iter().any(|s| s.levels(outcome) == levels))
    }

    /// What a book of this outcome, wrong at that time, lacks and has too many, against the last state of
    /// that time or before.
    pub(crate) fn difference(&self, outcome: usize, ms: u64, levels: &str) -> String {
        let Some((then_ms, states)) = self.states(|at| at <= ms) else {
            return "nothing is known of that time".into();
        };
        let truth = states.first().map_or(String::new(), |sides| sides.levels(outcome));
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

    fn body(&self, outcome: usize) -> Body {
        let levels = self.sides.bids.len() + self.sides.asks.len();
        let mut text = String::with_capacity(40 * levels + 400);
        for part in [r#"{"market":""#, &self.id, r#"","asset_id":""#, &self.tokens[outcome]] {
            text.push_str(part);
        }
        text.push_str(&format!(r#"","timestamp":"{}","hash":""#, self.changed_ms));
        let hash_at = text.len();
        for bids in [true, false] {
            text.push_str(if bids { r#"","bids":["# } else { r#","asks":["# });
            self.sides.each(bids, outcome, |place, cents, hundredths| {
                text.push_str(if place == 0 { r#"{"price":""# } else { r#",{"price":""# });
                push_number(&mut text, u64::from(cents));
                text.push_str(r#"","size":""#);
                push_number(&mut text, hundredths);
                text.push_str(r#""}"#);
            });
            text.push(']');
        }
        let facts_at = text.len();
        text.push_str(r#","min_order_size":"5","tick_size":"0.01","neg_risk":false"#);
        text.push_str(&format!(r#","last_trade_price":"{}"}}"#, self.last_trade_text()));
        Body { text, hash_at, facts_at }
    }

    fn last_trade_text(&self) -> String {
        self.last_trade.map_or(String::new(), |cents| format!("0.{cents:02}0"))
    }

    /// A book as the REST interface reports it.
    pub(crate) fn book(&self, outcome: usize) -> String {
        let body = self.body(outcome);
        body.whole(&body.hash())
    }

    /// A book as a new subscription gets it.
    pub(crate) fn dump(&self, outcome: usize) -> String {
        let body = self.body(outcome);
        let tail = format!(
            r#","tick_size":"0.01","event_type":"book","last_trade_price":"{}"}}"#,
            self.last_trade_text()
        );
        body.head(&body.hash()) + &tail
    }

    /// Best bid and best ask of an outcome, as messages report them.
    fn tops(&self, outcome: usize) -> (String, String) {
        let bid = self.sides.bids.last_key_value().map(|(&p, _)| p);
        let ask = self.sides.asks.first_key_value().map(|(&p, _)| p);
        let (bid, ask) = match outcome {
            0 => (bid, ask),
            _ => (ask.map(|p| 100 - p), bid.map(|p| 100 - p)),
        };
        (bid.map_or("0".into(), price), ask.map_or("1".into(), price))
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
        let before = self.sides.set(bid, cents, hundredths);
        self.changes.push(Change { ms: self.changed_ms, bid, cents, before });
    }

    /// One to three orders, or a trade; its messages.
    pub(crate) fn act(
        &mut self,
        market: usize,
        now_ms: u64,
        trades: &mut u64,
        random: &mut Random,
    ) -> Vec<Message> {
        self.changed_ms = now_ms.max(self.changed_ms);
        let mut changes = Vec::new();
        let trade = random.chance(1, 8) && !self.sides.asks.is_empty();
        if trade {
            let (&cents, &size) = self.sides.asks.first_key_value().unwrap();
            let left = if random.chance(1, 2) { 0 } else { size / 2 };
            self.last_trade = Some(cents);
            changes.push((false, cents, left));
        } else {
            for _ in 0..1 + random.below(3) / 2 * random.below(3) {
                let bid = random.chance(1, 2);
                let limit = if bid {
                    self.sides.asks.first_key_value().map_or(99, |(&p, _)| p - 1)
                } else {
                    99 - self.sides.bids.last_key_value().map_or(0, |(&p, _)| p)
                };
                let step = 1 + random.below(u64::from(limit.max(1))) as u32;
                let cents = if bid { step } else { 100 - step };
                let side = if bid { &self.sides.bids } else { &self.sides.asks };
                let removes = side.contains_key(&cents) && random.chance(1, 2);
                changes.push((bid, cents, if removes { 0 } else { 1 + random.below(5_000) }));
            }
        }
        changes.iter().for_each(|&(bid, cents, hundredths)| self.set(bid, cents, hundredths));
        let (id, ms) = (market, self.changed_ms);
        let message = |text| Message { market: id, ms, text, trade: None, delay_ms: 0 };
        // Hash and best prices are of the book after all of them.
        let bodies = [self.body(0), self.body(1)];
        let hashes = [bodies[0].hash(), bodies[1].hash()];
        let text =
            |&(bid, cents, s): &(bool, u32, u64)| message(self.change_text(bid, cents, s, &hashes));
        let reported = changes.iter().map(text);
        let mut reported: Vec<Message> = reported.collect();
        if trade {
            let refresh = |outcome: usize| {
                message(bodies[outcome].head(&hashes[outcome]) + r#","event_type":"book"}"#)
            };
            reported.extend([0, 1].map(refresh));
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
            reported.push(Message {
                market,
                ms: ms + delay_ms,
                text,
                trade: Some(transaction),
                delay_ms,
            });
        }
        reported
    }

    /// The market as the catalog lists it.
    pub(crate) fn listing(&self) -> String {
        format!(
            r#"{{"conditionId":"{}","slug":"m{}","question":"?","outcomes":"[\"Yes\", \"No\"]","clobTokenIds":"[\"{}\", \"{}\"]","active":true,"closed":{},"enableOrderBook":true,"acceptingOrders":{},"orderPriceMinTickSize":0.01,"orderMinSize":5,"negRisk":false}}"#,
            self.id, self.tokens[0], self.tokens[0], self.tokens[1], !self.open, self.open
        )
    }
}
