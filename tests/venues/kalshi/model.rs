//! A naive model of one connection: numbers without a hole, and the books that its messages describe.
use super::client::Place;
use serde_json::Value;
use std::collections::BTreeMap;

/// A decimal of at most so many digits behind the point, in units of the last of them.
pub(crate) fn fixed(value: &Value, digits: usize) -> i64 {
    let text = value.as_str().unwrap_or_else(|| panic!("no text: {value}"));
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, fraction) = text.split_once('.').unwrap();
    assert_eq!(fraction.len(), digits, "{text}");
    sign * format!("{whole}{fraction}").parse::<i64>().unwrap()
}

/// Bids for YES and bids for NO, by price.
pub(crate) type Book = [BTreeMap<i64, i64>; 2];

/// One connection.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) books: BTreeMap<String, Book>,
    pub(crate) seqs: BTreeMap<u64, u64>,
    pub(crate) counts: BTreeMap<String, u64>,
    /// Bids for NO are reported at what YES costs.
    pub(crate) yes_price: bool,
    /// When each book last changed.
    pub(crate) changed: BTreeMap<String, u64>,
}

/// The levels of a side as they were sent, which must be in the order that is expected.
pub(crate) fn levels(side: &Value) -> Vec<(i64, i64)> {
    let Some(list) = side.as_array() else { return Vec::new() };
    list.iter().map(|level| (fixed(&level[0], 4), fixed(&level[1], 2))).collect()
}

impl Model {
    pub(crate) fn apply_all(&mut self, messages: &[Value]) {
        messages.iter().for_each(|message| self.apply(message));
    }

    pub(crate) fn apply(&mut self, message: &Value) {
        let kind = message["type"].as_str().unwrap();
        *self.counts.entry(kind.to_owned()).or_insert(0) += 1;
        if let (Some(sid), Some(seq)) = (message["sid"].as_u64(), message["seq"].as_u64()) {
            let last = self.seqs.insert(sid, seq).unwrap_or(0);
            assert_eq!(seq, last + 1, "{message}");
        }
        let msg = &message["msg"];
        match kind {
            "orderbook_snapshot" => self.replace(msg),
            "orderbook_delta" => self.change(msg),
            "ticker" => self.compare(msg),
            _ => {}
        }
    }

    fn replace(&mut self, msg: &Value) {
        let mut book = Book::default();
        for (side, key) in ["yes_dollars_fp", "no_dollars_fp"].into_iter().enumerate() {
            assert!(msg[key].as_array().is_none_or(|list| !list.is_empty()), "{msg}");
            let levels = levels(&msg[key]);
            assert!(levels.windows(2).all(|pair| pair[0].0 < pair[1].0), "ascending: {msg}");
            let flip = |price| if self.yes_price && side == 1 { 10_000 - price } else { price };
            book[side] = levels.into_iter().map(|(price, size)| (flip(price), size)).collect();
        }
        self.books.insert(msg["market_ticker"].as_str().unwrap().to_owned(), book);
    }

    fn change(&mut self, msg: &Value) {
        let ticker = msg["market_ticker"].as_str().unwrap();
        let side = ["yes", "no"].iter().position(|side| msg["side"] == *side).unwrap();
        let price = fixed(&msg["price_dollars"], 4);
        let price = if self.yes_price && side == 1 { 10_000 - price } else { price };
        let book = self.books.get_mut(ticker).unwrap_or_else(|| panic!("no snapshot: {ticker}"));
        let size = book[side].entry(price).or_insert(0);
        *size += fixed(&msg["delta_fp"], 2);
        assert!(*size >= 0, "{msg}");
        if *size == 0 {
            book[side].remove(&price);
        }
        self.changed.insert(ticker.to_owned(), msg["ts_ms"].as_u64().unwrap());
    }

    /// A ticker that follows the last change of its book in the same millisecond has the book's best prices.
    fn compare(&mut self, msg: &Value) {
        let ticker = msg["market_ticker"].as_str().unwrap();
        if self.changed.get(ticker).copied() != msg["ts_ms"].as_u64() {
            return;
        }
        let best = self.books[ticker]
            .each_ref()
            .map(|side| side.last_key_value().map_or((0, 0), |(&price, &size)| (price, size)));
        assert_eq!(fixed(&msg["yes_bid_dollars"], 4), best[0].0, "{msg}");
        assert_eq!(fixed(&msg["yes_ask_dollars"], 4), 10_000 - best[1].0, "{msg}");
        assert_eq!(fixed(&msg["yes_bid_size_fp"], 2), best[0].1, "{msg}");
        assert_eq!(fixed(&msg["yes_ask_size_fp"], 2), best[1].1, "{msg}");
        *self.counts.entry("tops".to_owned()).or_insert(0) += 1;
    }

    /// Compares every book with the venue's own, which stands still.
    pub(crate) fn check(&self, place: &Place) {
        for (ticker, book) in &self.books {
            let truth: Value =
                serde_json::from_str(&place.asked(&format!("book?ticker={ticker}"))).unwrap();
            let side = |name: &str| levels(&truth[name]).into_iter().collect::<BTreeMap<_, _>>();
            assert_eq!(*book, [side("yes"), side("no")], "{ticker}");
        }
    }
}
