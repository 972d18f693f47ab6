//! Recorded sessions against venue-reported values: best prices and hashes.
//!
//! Skipped where no recordings are next to this clone.

use ringbook::base::id::{MarketId, ShardId, TokenId};
use ringbook::base::policy::HashChecks;
use ringbook::base::price::{Price, Quantity};
use ringbook::base::time::{Now, StillClock};
use ringbook::counter::shard::CheckCounts;
use ringbook::market::book::BookOpening;
use ringbook::shard::books::{Admission, Books, ConnectionSlot};
use ringbook::shard::intake::{Findings, Intake};
use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;

/// The messages of a recording, one text each; what is no JSON is left out.
fn messages(name: &str) -> Option<Vec<serde_json::Value>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = [root.join("../shared/fixtures"), root.join("../../shared/fixtures")];
    let found = shared.iter().map(|folder| folder.join("polymarket/sessions").join(name));
    let Some(path) = found.into_iter().find(|path| path.is_file()) else {
        eprintln!("note: {name} is not next to this clone; skipped");
        return None;
    };
    let mut text = String::new();
    let file = std::fs::File::open(&path).unwrap();
    if name.ends_with(".zst") {
        zstd::Decoder::new(file).unwrap().read_to_string(&mut text).unwrap();
    } else {
        std::io::BufReader::new(file).read_to_string(&mut text).unwrap();
    }
    let values: Vec<serde_json::Value> =
        serde_json::Deserializer::from_str(&text).into_iter().map(Result::unwrap).collect();
    let whole = values.into_iter().flat_map(|value| match value {
        serde_json::Value::Array(list) => list,
        other => vec![other],
    });
    let inner = whole.map(|value| value.get("msg").cloned().unwrap_or(value));
    Some(inner.filter(serde_json::Value::is_object).collect())
}

fn text(value: &serde_json::Value) -> &str {
    value.as_str().unwrap()
}

/// Follows a session whose market the catalog describes so.
fn follow(
    messages: &[serde_json::Value],
    tick_size: u32,
    neg_risk: bool,
    mut alter: impl FnMut(usize, &mut String),
) -> (CheckCounts, u64) {
    let books =
        Books::new(ShardId(0), ringbook::venue::polymarket::feed(true), Admission::Listed, ())
            .with_hash_checks(HashChecks::All);
    let mut intake =
        Intake::new(ringbook::venue::polymarket::feed(true), books, StillClock::default());
    for message in messages.iter().filter(|message| message.get("bids").is_some()) {
        let opening = BookOpening {
            market: MarketId::new(text(&message["market"])).unwrap(),
            token: TokenId::new(text(&message["asset_id"])).unwrap(),
            tick_size: Some(Price(tick_size)),
            min_order_size: Some(Quantity(5_000_000)),
            neg_risk,
        };
        intake.books.open(&opening, ConnectionSlot(0)).unwrap();
    }
    let mut findings = Findings::default();
    for (at, message) in messages.iter().enumerate() {
        let mut frame = message.to_string();
        alter(at, &mut frame);
        let wall_ns = text(&message["timestamp"]).parse::<u64>().unwrap() * 1_000_000;
        let read = Now { mono_ns: wall_ns, wall_ns };
        intake.books.settle(1_000, wall_ns);
        intake.on_frame(&frame, ConnectionSlot(0), read, &mut findings);
    }
    intake.books.settle_all();
    (*intake.books.checks(), intake.books.counts().stale)
}

/// Times at which a message came for the first book: so many groups there are.
fn groups(messages: &[serde_json::Value]) -> u64 {
    let token = &messages[0]["asset_id"];
    let names = |message: &&serde_json::Value| {
        let changes = message["price_changes"].as_array().into_iter().flatten();
        message["asset_id"] == *token || changes.into_iter().any(|c| c["asset_id"] == *token)
    };
    let times = messages.iter().filter(names).map(|message| text(&message["timestamp"]));
    times.collect::<BTreeSet<&str>>().len() as u64
}

#[test]
fn every_recorded_hash_and_best_price_is_right() {
    let Some(messages) = messages("mikelin_session_20251028.jsonl") else { return };
    let groups = groups(&messages);
    let (checks, stale) = follow(&messages, 10_000, false, |_, _| ());
    let right =
        CheckCounts { tops_matched: groups - 1, hashes_matched: groups, ..CheckCounts::default() };
    assert_eq!((checks, stale), (right, 0));
    assert_eq!(groups, 68);
}

#[test]
fn a_burst_of_one_time_that_crosses_the_book_is_no_mismatch() {
    let name = "nautilus_ws_market_price_change_crossing_burst.json";
    let Some(messages) = messages(name) else { return };
    let groups = groups(&messages);
    // The last book follows a trade at 0.301 that took the levels at 0.311 and 0.301; the recording
    // ends before its message, 30 ms or so later. So the price is found by trying all.
    let (checks, stale) = follow(&messages, 1_000, false, |_, _| ());
    assert_eq!((checks.tops_matched, checks.tops_mismatched), (groups - 1, 0));
    assert_eq!((checks.hashes_matched, checks.hashes_explained), (groups - 1, 1));
    assert_eq!((checks.hashes_mismatched, stale), (0, 0));
    let mut traded = messages.clone();
    let last = messages.last().unwrap();
    let time = text(&last["timestamp"]).parse::<u64>().unwrap() + 300;
    traded.push(serde_json::json!({
        "market": last["market"], "asset_id": last["asset_id"], "price": "0.301", "size": "10",
        "fee_rate_bps": "0", "side": "SELL", "timestamp": time.to_string(),
        "event_type": "last_trade_price"
    }));
    let (checks, stale) = follow(&traded, 1_000, false, |_, _| ());
    assert_eq!((checks.hashes_matched, checks.hashes_explained), (groups - 1, 1));
    assert_eq!((checks.hashes_mismatched, stale), (0, 0));
}

#[test]
fn a_lost_or_changed_message_does_not_stay_unnoticed() {
    let Some(messages) = messages("mikelin_session_20251028.jsonl") else { return };
    let changes = (1..messages.len()).filter(|&at| messages[at].get("price_changes").is_some());
    let mut caught = 0;
    let mut tried = 0;
    for lost in changes.clone().step_by(7).take(8) {
        tried += 1;
        let (checks, _) = follow(&messages, 10_000, false, |at, frame| {
            if at == lost {
                *frame = "PONG".into();
            }
        });
        caught += u32::from(checks.hashes_mismatched + checks.tops_mismatched > 0);
        let (checks, _) = follow(&messages, 10_000, false, |at, frame| {
            if at == lost {
                // A digit of every size.
                *frame = frame.replace("\"size\":\"", "\"size\":\"1");
            }
        });
        let noticed = checks.hashes_mismatched + checks.tops_mismatched;
        assert!(noticed > 0, "message {lost} with other sizes: {checks:?}");
    }
    assert!(caught >= tried - 1, "{caught} of {tried} losses were noticed");
}

#[test]
fn a_book_that_stays_wrong_is_not_live() {
    let Some(messages) = messages("mikelin_session_20251028.jsonl") else { return };
    // The last message of each group reports a wrong best bid.
    let (checks, stale) = follow(&messages, 10_000, false, |at, frame| {
        if (10..20).contains(&at) {
            *frame = frame.replace("\"best_bid\":\"0.", "\"best_bid\":\"0.0");
        }
    });
    assert_eq!(checks.tops_mismatched, 2, "two in a row are enough: {checks:?}");
    assert_eq!(stale, 1);
}
