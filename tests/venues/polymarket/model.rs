//! A naive model of the books that the channel's messages describe, checked at every timestamp.
use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};
use sha1::{Digest, Sha1};

/// A decimal in millionths.
pub(crate) fn units(text: &str) -> u64 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    assert!(fraction.len() <= 6, "{text}");
    whole.parse::<u64>().unwrap() * 1_000_000 + format!("{fraction:0<6}").parse::<u64>().unwrap()
}

/// One token's book, prices and sizes as they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book {
    pub(crate) market: String,
    /// By price in millionths.
    pub(crate) bids: BTreeMap<u64, (String, String)>,
    pub(crate) asks: BTreeMap<u64, (String, String)>,
    pub(crate) tick: String,
    pub(crate) last_trade: String,
    /// What the last message reported, to be checked when its timestamp is complete.
    pub(crate) timestamp: String,
    hash: String,
    best: Option<(String, String)>,
}

impl Book {
    fn side(&mut self, side: &str) -> &mut BTreeMap<u64, (String, String)> {
        match side {
            "BUY" => &mut self.bids,
            "SELL" => &mut self.asks,
            other => panic!("side {other}"),
        }
    }

    fn replace(&mut self, message: &Value) {
        for (key, side) in [("bids", "BUY"), ("asks", "SELL")] {
            let levels = message[key].as_array().unwrap();
            let prices: Vec<u64> =
                levels.iter().map(|level| units(level["price"].as_str().unwrap())).collect();
            let ordered =
                |pair: &[u64]| if side == "BUY" { pair[0] < pair[1] } else { pair[0] > pair[1] };
            assert!(prices.windows(2).all(ordered), "best is last: {key} {prices:?}");
            self.side(side).clear();
            for level in levels {
                self.set(side, &level["price"], &level["size"]);
            }
        }
        self.hash = text(&message["hash"]);
        self.timestamp = text(&message["timestamp"]);
        self.best = None;
    }

    fn set(&mut self, side: &str, price: &Value, size: &Value) {
        let (price, size) = (text(price), text(size));
        let key = units(&price);
        assert!(key > 0 && key < 1_000_000);
        if units(&size) == 0 {
            self.side(side).remove(&key);
        } else {
            self.side(side).insert(key, (price, size));
        }
    }

    /// `hash`, best prices and the spread at the end of a timestamp; the last trade price is known
    /// up to its outcome.
    fn check(&mut self, asset: &str, static_part: &Static, candidates: &[String]) {
        if let Some((bid, ask)) = &self.best {
            let best_bid = self.bids.last_key_value().map_or("0", |(_, level)| &level.0);
            let best_ask = self.asks.first_key_value().map_or("1", |(_, level)| &level.0);
            assert_eq!((bid.as_str(), ask.as_str()), (best_bid, best_ask), "{asset}");
        }
        if let (Some(bid), Some(ask)) = (self.bids.last_key_value(), self.asks.first_key_value()) {
            assert!(bid.0 < ask.0, "crossed at the end of a timestamp");
        }
        let mut prices = vec![self.last_trade.clone()];
        prices.extend_from_slice(candidates);
        let fits = prices.iter().find(|&price| self.hashed(asset, static_part, price) == self.hash);
        let Some(price) = fits else {
            panic!("hash of {asset} at {} with {prices:?}", self.timestamp);
        };
        self.last_trade = price.clone();
    }

    fn hashed(&self, asset: &str, part: &Static, last_trade: &str) -> String {
        let level = |level: &(String, String)| json!({"price": level.0, "size": level.1});
        let summary = json!({
            "market": self.market,
            "asset_id": asset,
            "timestamp": self.timestamp,
            "hash": "",
            "bids": self.bids.values().map(level).collect::<Vec<_>>(),
            "asks": self.asks.values().rev().map(level).collect::<Vec<_>>(),
            "min_order_size": part.min_order_size,
            "tick_size": self.tick,
            "neg_risk": part.neg_risk,
            "last_trade_price": last_trade,
        });
        let digest = Sha1::digest(serde_json::to_string(&summary).unwrap());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no string")).to_owned()
}

/// What only REST reports.
#[derive(Clone, Debug)]
pub(crate) struct Static {
    pub(crate) min_order_size: String,
    pub(crate) neg_risk: bool,
}

/// Every book of one connection.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) books: HashMap<String, Book>,
    pub(crate) parts: HashMap<String, Static>,
    /// Prices of the market's trade whose message has not come yet are not known: every price that
    /// a change or book has shown recently is a candidate.
    seen_prices: HashMap<String, Vec<String>>,
    /// Tokens of the market whose timestamp is not complete.
    open: HashMap<String, Vec<String>>,
    pub(crate) changes: u64,
    pub(crate) checks: u64,
    pub(crate) pairs: u64,
    /// Changes after which a book was crossed, within a timestamp.
    pub(crate) crossed: u64,
    pub(crate) kinds: HashMap<String, u64>,
}

impl Model {
    /// Applies one frame.
    pub(crate) fn handle(&mut self, frame: &str) {
        let value: Value = serde_json::from_str(frame).unwrap_or_else(|e| panic!("{e}: {frame}"));
        match value {
            Value::Array(messages) => {
                self.pairs += u64::from(messages.len() == 2 && frame.contains("price_change"));
                messages.iter().for_each(|message| self.handle_one(message));
            }
            message => self.handle_one(&message),
        }
    }

    fn handle_one(&mut self, message: &Value) {
        let kind = text(&message["event_type"]);
        *self.kinds.entry(kind.clone()).or_default() += 1;
        let Some(market) = message["market"].as_str() else { panic!("no market: {message}") };
        let timestamp = text(&message["timestamp"]);
        let known = self.open.get(market).and_then(|tokens| tokens.first());
        if known.is_some_and(|token| self.books[token].timestamp != timestamp) {
            self.settle(market);
        }
        match kind.as_str() {
            "book" => {
                let asset = text(&message["asset_id"]);
                let book = self.books.entry(asset.clone()).or_default();
                book.market = market.to_owned();
                if let Some(tick) = message.get("tick_size") {
                    book.tick = text(tick);
                    book.last_trade = text(&message["last_trade_price"]);
                }
                book.replace(message);
                self.touch(market, asset);
            }
            "price_change" => self.change(market, message, &timestamp),
            "tick_size_change" => {
                let book = self.books.get_mut(&text(&message["asset_id"])).unwrap();
                assert_eq!(book.tick, text(&message["old_tick_size"]));
                book.tick = text(&message["new_tick_size"]);
            }
            _ => {}
        }
    }

    fn change(&mut self, market: &str, message: &Value, timestamp: &str) {
        let entries = message["price_changes"].as_array().unwrap();
        assert_eq!(entries.len(), 2, "both tokens");
        for entry in entries {
            let asset = text(&entry["asset_id"]);
            self.changes += 1;
            self.seen_prices.entry(market.to_owned()).or_default().push(text(&entry["price"]));
            // The other token of a market may not be subscribed.
            let Some(book) = self.books.get_mut(&asset) else { continue };
            let side = text(&entry["side"]);
            book.set(&side, &entry["price"], &entry["size"]);
            book.hash = text(&entry["hash"]);
            book.best = Some((text(&entry["best_bid"]), text(&entry["best_ask"])));
            book.timestamp = timestamp.to_owned();
            let best = (book.bids.last_key_value(), book.asks.first_key_value());
            self.crossed += u64::from(matches!(best, (Some(bid), Some(ask)) if bid.0 >= ask.0));
            self.touch(market, asset);
        }
    }

    fn touch(&mut self, market: &str, asset: String) {
        let open = self.open.entry(market.to_owned()).or_default();
        if !open.contains(&asset) {
            open.push(asset);
        }
    }

    /// Checks a market whose timestamp is complete.
    fn settle(&mut self, market: &str) {
        let mut candidates: Vec<String> = self.seen_prices.remove(market).unwrap_or_default();
        for price in &mut candidates {
            while price.split_once('.').is_none_or(|(_, fraction)| fraction.len() < 3) {
                price.push_str(if price.contains('.') { "0" } else { "." });
            }
        }
        for asset in self.open.remove(market).unwrap_or_default() {
            let part = self.parts.get(&asset).cloned();
            let part = part.unwrap_or_else(|| panic!("nothing known about {asset}"));
            self.checks += 1;
            self.books.get_mut(&asset).unwrap().check(&asset, &part, &candidates);
        }
    }

    /// Checks every market: nothing more will come.
    pub(crate) fn settle_all(&mut self) {
        for market in self.open.keys().cloned().collect::<Vec<_>>() {
            self.settle(&market);
        }
    }

    /// Compares a book with what REST shows.
    pub(crate) fn compare(&self, asset: &str, rest: &Value) {
        let book = &self.books[asset];
        let level = |level: &(String, String)| json!({"price": level.0, "size": level.1});
        let bids: Vec<Value> = book.bids.values().map(level).collect();
        let asks: Vec<Value> = book.asks.values().rev().map(level).collect();
        assert_eq!(rest["bids"], json!(bids), "bids of {asset}");
        assert_eq!(rest["asks"], json!(asks), "asks of {asset}");
        assert_eq!(rest["hash"], json!(book.hash), "hash of {asset}");
        assert_eq!(rest["timestamp"], json!(book.timestamp));
        assert_eq!(rest["tick_size"], json!(book.tick));
        assert_eq!(rest["last_trade_price"], json!(book.last_trade));
    }
}
