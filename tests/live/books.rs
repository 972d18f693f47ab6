//! The engine's books against the venue's own, as JSON and level by level.
//!
//! Runs on:  test threads.
use crate::engine::Engine;
use crate::program::{POLL_INTERVAL, TIMEOUT};
use crate::venue::Venue;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Instant;

/// The keys of a book in the CLOB's shape, in its order.
pub(crate) const KEYS: [&str; 10] = [
    "market",
    "asset_id",
    "timestamp",
    "hash",
    "bids",
    "asks",
    "min_order_size",
    "tick_size",
    "neg_risk",
    "last_trade_price",
];

/// Everything that must be the same once the venue stands still.
const SAME: [&str; 7] =
    ["market", "asset_id", "bids", "asks", "min_order_size", "tick_size", "neg_risk"];

/// What a comparison found.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Live books that are the venue's.
    pub(crate) equal: usize,
    /// Their levels.
    pub(crate) levels: usize,
    /// Of these, books with the venue's timestamp and hash.
    pub(crate) same_hash: usize,
    /// Of these, books with the venue's last trade price, or its complement.
    pub(crate) same_trade: usize,
    /// Books that are not live, by state.
    pub(crate) others: BTreeMap<String, usize>,
    /// The first live books that differ.
    pub(crate) differences: Vec<String>,
}

impl Verdict {
    pub(crate) fn is_good(&self) -> bool {
        self.differences.is_empty() && self.others.is_empty()
    }
}

/// Compares once.
pub(crate) fn compare(engine: &mut Engine, venue: &mut Venue, tokens: &[String]) -> Verdict {
    let mut verdict = Verdict::default();
    for token in tokens {
        let response = engine.book(token);
        let state = response.header("x-ringbook-state").unwrap_or("none").to_owned();
        if state != "live" {
            *verdict.others.entry(state).or_default() += 1;
            continue;
        }
        let (mine, theirs) = (response.json(), venue.truth(token).unwrap());
        let keys: Vec<&String> = mine.as_object().unwrap().keys().collect();
        assert_eq!(keys, KEYS, "{}", response.text());
        if let Some(key) = SAME.iter().find(|&&key| mine[key] != theirs[key]) {
            let line = format!("{token} {key}: {}\n  venue: {}", mine[key], theirs[key]);
            verdict.differences.push(line);
            continue;
        }
        verdict.equal += 1;
        let levels = |book: &Value, side: &str| book[side].as_array().unwrap().len();
        verdict.levels += levels(&mine, "bids") + levels(&mine, "asks");
        let same = mine["hash"] == theirs["hash"] && mine["timestamp"] == theirs["timestamp"];
        verdict.same_hash += usize::from(same);
        verdict.same_trade +=
            usize::from(same_price(&mine["last_trade_price"], &theirs["last_trade_price"]));
    }
    verdict
}

/// One price per market: a token may show its complement.
fn same_price(mine: &Value, theirs: &Value) -> bool {
    let thousandths = |value: &Value| {
        let text = value.as_str().unwrap();
        text.parse::<f64>().map_or(-1, |price| (price * 1000.0).round() as i64)
    };
    let (mine, theirs) = (thousandths(mine), thousandths(theirs));
    mine == theirs || mine + theirs == 1000
}

/// Compares until every book is live and the venue's. The venue must stand still.
pub(crate) fn agree(engine: &mut Engine, venue: &mut Venue, tokens: &[String]) -> Verdict {
    let begun = Instant::now();
    loop {
        let verdict = compare(engine, venue, tokens);
        if verdict.is_good() {
            return verdict;
        }
        let late = begun.elapsed() > TIMEOUT;
        assert!(!late, "{verdict:#?}\n{}", engine.program);
        std::thread::sleep(POLL_INTERVAL);
    }
}
