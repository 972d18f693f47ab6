//! Recordings against the reference alone: a wrong reference is noticed here.

use super::reference::{Reference, Top, quantity};
use super::stored::{self, RECORDINGS, Recording};
use super::{Event, Record};
use crate::decimal;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

fn message(record: &Record) -> Option<Value> {
    match &record.event {
        Event::Frame(text) => serde_json::from_str(text).ok(),
        _ => None,
    }
}

#[test]
fn kalshi_recordings_replay_without_a_contradiction() {
    let Some(folder) = stored::folder() else { return };
    for recording in &RECORDINGS {
        let Recording { file, counts, sequenced, holes, books, .. } = recording;
        let reference = Reference::of(&recording.records(&folder));
        println!("{file}: {:?}", reference.seen);
        println!(
            "  {} numbered, {} holes, {} duplicates, {} joined late, {} applied, {} zeros, {} \
             crossings, {} disproved",
            reference.sequenced,
            reference.holes,
            reference.duplicates,
            reference.joined_late,
            reference.applied,
            reference.zeros,
            reference.crossings,
            reference.disproved
        );
        assert_eq!(reference.seen, *counts, "{file}");
        assert_eq!(reference.sequenced, *sequenced, "{file}");
        assert_eq!(reference.holes, *holes, "{file}");
        assert_eq!(reference.books.len(), *books, "{file}");
        assert_eq!((reference.duplicates, reference.broken), (0, 0), "{file}");
        assert_eq!((reference.disproved, reference.unapplied), (0, 0), "{file}");
        assert_eq!(reference.applied, counts.deltas, "{file}");
        for (ticker, book) in &reference.books {
            assert!(book.live(), "{file}: {ticker} is in doubt: {:?}", book.doubts);
            assert!(!book.crossed(), "{file}: {ticker} ends crossed: {:?}", book.top());
        }
    }
}

/// Twelve commands, twelve markets, one sid; acks are numbered, `subscribed` is not.
#[test]
fn kalshi_production_capture_is_numbered_from_1_to_268() {
    let Some(folder) = stored::folder() else { return };
    let records = stored::PROD.records(&folder);
    let messages: Vec<Value> = records.iter().filter_map(message).collect();
    assert_eq!(messages.len(), 269);
    let numbers: Vec<u64> = messages.iter().filter_map(|m| m["seq"].as_u64()).collect();
    assert_eq!(numbers, (1..=268).collect::<Vec<u64>>());
    let unnumbered: Vec<&Value> = messages.iter().filter(|m| m.get("seq").is_none()).collect();
    assert_eq!(unnumbered.len(), 1);
    assert_eq!(
        (&unnumbered[0]["type"], &unnumbered[0]["msg"]["sid"]),
        (&"subscribed".into(), &1.into())
    );
    let sids: BTreeSet<u64> = messages.iter().filter_map(|m| m["sid"].as_u64()).collect();
    assert_eq!(sids, BTreeSet::from([1]));
    let reference = Reference::of(&records);
    assert_eq!((reference.zeros, reference.crossings), (3, 0));
    let cent = decimal::ONE / 100;
    let spreads: BTreeSet<i128> =
        reference.books.values().map(|b| (b.top().ask.0 - b.top().bid.0) / cent).collect();
    assert_eq!(spreads, BTreeSet::from([1, 2]));
    // Every ack lists the union of the commands so far, sorted.
    let acks: Vec<&Value> = messages.iter().filter(|m| m["type"] == "ok").collect();
    let lists = acks.iter().map(|m| m["msg"]["market_tickers"].as_array().unwrap());
    let sizes: Vec<usize> = lists.clone().map(Vec::len).collect();
    assert!(lists.clone().all(|l| l.is_sorted_by_key(|t| t.as_str())));
    assert_eq!(sizes, (2..=12).collect::<Vec<usize>>());
}

/// Three connections: each starts at 1 again; the market's end is an empty snapshot.
#[test]
fn kalshi_session_restarts_its_numbers_with_each_connection() {
    let Some(folder) = stored::folder() else { return };
    let reference = Reference::of(&stored::BTC.records(&folder));
    let streams: Vec<_> = reference.streams.iter().map(|(s, n)| (*s, *n)).collect();
    assert_eq!(streams, [((1, 2), 42_001), ((2, 2), 636), ((3, 2), 59_070)]);
    assert_eq!((reference.joined_late, reference.other_stream), (0, 0));
    let tops = |ticker: &str| reference.books[ticker].top();
    let closed = "KXBTC15M-26MAY140045-45";
    assert!(reference.books[closed].yes.is_empty() && reference.books[closed].no.is_empty());
    assert_eq!(reference.books[closed].stream, (2, 2));
    let open = tops("KXBTC15M-26MAY140100-00");
    let cent = decimal::ONE / 100;
    assert_eq!((open.bid.0, open.ask.0), (72 * cent, 74 * cent));
    assert_eq!((reference.zeros, reference.crossings), (8342, 6));
}

struct Quote {
    book: (u64, String),
    time: u64,
    top: Top,
}

fn quote(connection: u64, body: &Value) -> Option<Quote> {
    let number = |key: &str| quantity(&body[key]);
    let top = Top {
        bid: (number("yes_bid_dollars")?, number("yes_bid_size_fp")?),
        ask: (number("yes_ask_dollars")?, number("yes_ask_size_fp")?),
    };
    let ticker = body["market_ticker"].as_str()?.to_owned();
    Some(Quote { book: (connection, ticker), time: body["ts_ms"].as_u64()?, top })
}

/// The venue-reported best prices and sizes, at the end of the millisecond it names.
#[test]
fn kalshi_tickers_equal_the_rebuilt_books() {
    let Some(folder) = stored::folder() else { return };
    for recording in &RECORDINGS {
        let mut reference = Reference::default();
        let mut tops: BTreeMap<(u64, String), Vec<(u64, Top)>> = BTreeMap::new();
        let mut quotes = Vec::new();
        for record in recording.records(&folder) {
            reference.record(&record);
            let Some(message) = message(&record) else { continue };
            let body = &message["msg"];
            let ticker = body["market_ticker"].as_str().unwrap_or("");
            match message["type"].as_str() {
                Some("orderbook_delta") => {
                    // The stamp in milliseconds is missing in none of the recordings with tickers.
                    let Some(time) = body["ts_ms"].as_u64() else { continue };
                    let top = reference.books[ticker].top();
                    let key = (record.connection, ticker.to_owned());
                    tops.entry(key).or_default().push((time, top));
                }
                Some("ticker") => quotes.extend(quote(record.connection, body)),
                _ => {}
            }
        }
        assert!(tops.values().all(|t| t.is_sorted_by_key(|(time, _)| *time)));
        let (mut compared, mut equal) = (0, 0);
        for quote in &quotes {
            let Some(tops) = tops.get(&quote.book) else { continue };
            let until = tops.partition_point(|(time, _)| *time <= quote.time);
            let Some((_, top)) = tops[..until].last().filter(|t| t.0 == quote.time) else {
                continue;
            };
            compared += 1;
            equal += u64::from(*top == quote.top);
        }
        println!("{}: {} quotes, {compared} compared, {equal} equal", recording.file, quotes.len());
        assert_eq!(compared, equal, "{}", recording.file);
        let with_books = recording.counts.tickers * u64::from(recording.books > 0);
        assert_eq!(compared, with_books, "{}", recording.file);
    }
}
