//! The naive reference: books as sorted maps, one message at a time.

use crate::decimal;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) type Side = BTreeMap<i128, i128>;

/// What the last applied message announced for a book.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorded {
    pub(crate) hash: Option<String>,
    pub(crate) best: Option<(String, String)>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Book {
    pub(crate) market: String,
    pub(crate) bids: Side,
    pub(crate) asks: Side,
    /// Time of the last `book` message; without one, changes do not apply.
    pub(crate) snapshot: Option<u64>,
    /// Times of the last applied message and the newest applied message.
    pub(crate) last: u64,
    pub(crate) newest: u64,
    pub(crate) tick: Option<i128>,
    pub(crate) recorded: Recorded,
    pub(crate) snapshots: u32,
}

impl Book {
    pub(crate) fn mirrored(&self) -> (Side, Side) {
        let flip = |side: &Side| side.iter().map(|(p, s)| (decimal::ONE - p, *s)).collect();
        (flip(&self.asks), flip(&self.bids))
    }

    /// The announced best prices disagree with the levels, or the book is crossed.
    pub(crate) fn suspect(&self) -> bool {
        let (bid, ask) = (self.bids.keys().next_back(), self.asks.keys().next());
        let crossed = bid.zip(ask).is_some_and(|(b, a)| b >= a);
        let Some((want_bid, want_ask)) = &self.recorded.best else { return crossed };
        let is = |text: &str, have: Option<&i128>, none: &str| match have {
            Some(price) => decimal::parse(text) == Some(*price),
            None => text.is_empty() || text == none,
        };
        crossed || !is(want_bid, bid, "0") || !is(want_ask, ask, "1")
    }
}

/// Every book that the messages so far imply.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reference {
    pub(crate) books: BTreeMap<String, Book>,
    /// Tokens named only where a subscriber has no book of theirs (`new_market` and the like).
    pub(crate) optional: BTreeSet<String>,
    /// The other token of the same market, learnt from messages that carry both.
    pub(crate) partner: BTreeMap<String, String>,
    /// Possible values of the market's last trade price, three decimals.
    pub(crate) trades: BTreeMap<String, BTreeSet<String>>,
    pub(crate) applied: usize,
    pub(crate) late: usize,
    pub(crate) early: usize,
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} is no text in {value}"))
}

/// The market: a condition of 31 bytes is the one of 32 that ends with a zero byte.
fn market(message: &Value) -> String {
    let shown = text(message, "market");
    let digits = shown.strip_prefix("0x").unwrap_or_default();
    let hexadecimal = digits.chars().all(|digit| digit.is_ascii_hexdigit());
    match digits.len() {
        62 if hexadecimal => format!("{}00", shown.to_lowercase()),
        64 if hexadecimal => shown.to_lowercase(),
        _ => shown.to_owned(),
    }
}

fn time(message: &Value) -> u64 {
    text(message, "timestamp").parse().unwrap()
}

pub(crate) fn kind(message: &Value) -> &str {
    match message["event_type"].as_str() {
        Some(kind) => kind,
        None if message.get("price_changes").is_some() => "price_change",
        None if message.get("bids").is_some() && message.get("asks").is_some() => "book",
        None => "",
    }
}

/// The messages of one frame; texts that are no JSON hold none.
pub(crate) fn messages(frame: &str) -> Vec<Value> {
    match serde_json::from_str(frame) {
        Ok(Value::Array(messages)) => messages.into_iter().filter(Value::is_object).collect(),
        Ok(message @ Value::Object(_)) => vec![message],
        _ => Vec::new(),
    }
}

fn ladder(levels: &Value) -> Side {
    let level =
        |l: &Value| Some((decimal::parse(text(l, "price"))?, decimal::parse(text(l, "size"))?));
    levels.as_array().unwrap().iter().map(|l| level(l).unwrap()).collect()
}

impl Reference {
    pub(crate) fn of<S: AsRef<str>>(frames: impl IntoIterator<Item = S>) -> Self {
        let mut reference = Self::default();
        frames.into_iter().for_each(|frame| reference.frame(frame.as_ref()));
        reference
    }

    pub(crate) fn frame(&mut self, frame: &str) {
        messages(frame).iter().for_each(|message| self.message(message));
    }

    pub(crate) fn message(&mut self, message: &Value) {
        match kind(message) {
            "book" => self.book(message),
            "price_change" if message.get("price_changes").is_some() => {
                self.link(message);
                for change in message["price_changes"].as_array().unwrap() {
                    self.change(message, change, text(change, "asset_id"), &change["hash"]);
                }
            }
            "price_change" => {
                for change in message["changes"].as_array().unwrap() {
                    self.change(message, change, text(message, "asset_id"), &message["hash"]);
                }
            }
            "tick_size_change" => {
                let tick = decimal::parse(text(message, "new_tick_size"));
                self.mention(message, text(message, "asset_id")).tick = tick;
            }
            "last_trade_price" => {
                self.mention(message, text(message, "asset_id"));
                let price = decimal::parse(text(message, "price")).unwrap();
                self.trade(message, price);
                self.trade(message, decimal::ONE - price);
            }
            // `best_bid_ask` too: only a cross-check, it does not change a book.
            _ => self.elsewhere(message),
        }
    }

    fn trade(&mut self, message: &Value, price: i128) {
        let market = market(message);
        let millis = price / (decimal::ONE / 1000);
        let shown = format!("{}.{:03}", millis / 1000, millis % 1000);
        self.trades.entry(market).or_default().insert(shown);
    }

    fn elsewhere(&mut self, message: &Value) {
        for key in ["asset_id", "assets_ids", "clob_token_ids", "position_ids"] {
            let named = match &message[key] {
                Value::Array(tokens) => tokens.clone(),
                token => vec![token.clone()],
            };
            self.optional.extend(named.iter().filter_map(|t| t.as_str().map(str::to_owned)));
        }
    }

    fn mention(&mut self, message: &Value, token: &str) -> &mut Book {
        let book = self.books.entry(token.to_owned()).or_default();
        book.market = market(message);
        book
    }

    fn link(&mut self, message: &Value) {
        let changes = message["price_changes"].as_array().unwrap();
        let tokens: BTreeSet<&str> = changes.iter().map(|c| text(c, "asset_id")).collect();
        let tokens: Vec<&str> = tokens.into_iter().collect();
        if let [a, b] = tokens[..] {
            self.partner.insert(a.to_owned(), b.to_owned());
            self.partner.insert(b.to_owned(), a.to_owned());
        }
    }

    fn book(&mut self, message: &Value) {
        self.applied += 1;
        let time = time(message);
        if let Some(price) = message["last_trade_price"].as_str() {
            let market = market(message);
            self.trades.entry(market).or_default().insert(price.to_owned());
        }
        let book = self.mention(message, text(message, "asset_id"));
        (book.bids, book.asks) = (ladder(&message["bids"]), ladder(&message["asks"]));
        (book.snapshot, book.last, book.newest) = (Some(time), time, time);
        book.snapshots += 1;
        book.tick = message["tick_size"].as_str().and_then(decimal::parse).or(book.tick);
        let hash = message["hash"].as_str().map(str::to_owned);
        book.recorded = Recorded { hash, best: None };
    }

    fn change(&mut self, message: &Value, change: &Value, token: &str, hash: &Value) {
        let time = time(message);
        let price = decimal::parse(text(change, "price")).unwrap();
        let size = decimal::parse(text(change, "size")).unwrap();
        let book = self.mention(message, token);
        match book.snapshot {
            Some(snapshot) if time >= snapshot => {}
            Some(_) => return self.late += 1,
            None => return self.early += 1,
        }
        let side = match text(change, "side") {
            "BUY" => &mut book.bids,
            "SELL" => &mut book.asks,
            other => panic!("side {other}"),
        };
        match size {
            0 => side.remove(&price),
            _ => side.insert(price, size),
        };
        (book.last, book.newest) = (time, book.newest.max(time));
        let best = change["best_bid"].as_str().zip(change["best_ask"].as_str());
        let best = best.map(|(b, a)| (b.to_owned(), a.to_owned()));
        let hash = hash.as_str().map(str::to_owned);
        book.recorded = Recorded { hash, best };
        self.applied += 1;
    }
}

#[test]
fn a_market_of_31_bytes_is_one_of_32() {
    let of = |market: &str| {
        let frame = format!(
            r#"{{"market":"{market}","asset_id":"7","timestamp":"5","bids":[],"asks":[]}}"#
        );
        Reference::of([frame]).books["7"].market.clone()
    };
    let short = format!("0x01{}", "aB".repeat(30));
    assert_eq!(of(&short), of(&format!("{short}00")));
    assert_eq!(of("0xa1"), "0xa1");
}

#[test]
fn a_book_replaces_and_changes_are_absolute() {
    let book = r#"[{"market":"0x1","asset_id":"7","timestamp":"5","hash":"",
        "bids":[{"price":".4","size":"10.0"}],"asks":[],"event_type":"book"}]"#;
    let change = |time: u64, size: &str| {
        format!(
            r#"{{"market":"0x1","price_changes":[
            {{"asset_id":"7","price":"0.40","size":"{size}","side":"BUY"}},
            {{"asset_id":"8","price":"0.60","size":"{size}","side":"SELL"}}],
            "timestamp":"{time}"}}"#
        )
    };
    let frames = [change(1, "9"), book.into(), change(4, "3"), change(5, "2"), "PONG".into()];
    let mut reference = Reference::of(&frames);
    assert_eq!((reference.early, reference.late, reference.applied), (4, 1, 2));
    assert_eq!(reference.books["7"].bids, Side::from([(400_000_000, 2 * decimal::ONE)]));
    assert_eq!((reference.books["8"].snapshot, reference.books["8"].asks.len()), (None, 0));
    reference.frame(&change(6, "0"));
    assert!(reference.books["7"].bids.is_empty());
}
