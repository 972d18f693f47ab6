//! Broken messages between good ones: counted, never half applied, never taken for true.

use super::generate::{self, Trouble};
use super::reference::{Book, Reference, Stream};
use super::{Event, Record, engine, stored};
use crate::generate::pack;
use serde_json::Value;

/// `(name, from, to)` on a good delta's text.
const DELTA_FAULTS: &[(&str, &str, &str)] = &[
    ("no price", r#""price_dollars":"#, r#""_":"#),
    ("price null", r#""price_dollars":"#, r#""price_dollars":null,"_":"#),
    ("price an object", r#""price_dollars":"#, r#""price_dollars":{"a":1},"_":"#),
    ("price above one", r#""price_dollars":"0."#, r#""price_dollars":"1."#),
    ("negative price", r#""price_dollars":""#, r#""price_dollars":"-"#),
    ("empty price", r#""price_dollars":""#, r#""price_dollars":"","_":""#),
    ("price of letters", r#""price_dollars":"0"#, r#""price_dollars":"O"#),
    ("price of two points", r#""price_dollars":"0."#, r#""price_dollars":"0.1."#),
    ("no change", r#""delta_fp":"#, r#""_":"#),
    ("change null", r#""delta_fp":"#, r#""delta_fp":null,"_":"#),
    ("change true", r#""delta_fp":"#, r#""delta_fp":true,"_":"#),
    ("empty change", r#""delta_fp":""#, r#""delta_fp":"","_":""#),
    ("change NaN", r#""delta_fp":""#, r#""delta_fp":"NaN","_":""#),
    ("change of two signs", r#""delta_fp":""#, r#""delta_fp":"--"#),
    ("change of a sign alone", r#""delta_fp":""#, r#""delta_fp":"-","_":""#),
    ("blank in a change", r#""delta_fp":""#, r#""delta_fp":" "#),
    ("huge change", r#""delta_fp":""#, r#""delta_fp":"99999999999999999999999999999999999999"#),
    ("no side", r#""side":"#, r#""_":"#),
    ("unknown side", r#""side":""#, r#""side":"maybe","_":""#),
    ("side an array", r#""side":"#, r#""side":["yes"],"_":"#),
    ("no ticker", r#""market_ticker":"#, r#""_":"#),
    ("ticker a number", r#""market_ticker":"#, r#""market_ticker":7,"_":"#),
    ("no body", r#""msg":"#, r#""_":"#),
    ("body a text", r#""msg":"#, r#""msg":"x","_":"#),
    ("body an array", r#""msg":"#, r#""msg":[],"_":"#),
    ("no type", r#""type":"#, r#""_":"#),
    ("type null", r#""type":"#, r#""type":null,"_":"#),
    ("unknown type", r#""type":"orderbook_delta""#, r#""type":"orderbook_change""#),
    ("missing comma", r#","delta_fp""#, r#" "delta_fp""#),
    ("bad escape", r#""market_id":""#, r#""market_id":"\q"#),
    ("control character", r#""market_id":""#, "\"market_id\":\"\u{1}"),
    ("single quotes", r#""side":"#, r#"'side':"#),
];

/// And on a good snapshot's.
const SNAPSHOT_FAULTS: &[(&str, &str, &str)] = &[
    ("side a text", r#""yes_dollars_fp":["#, r#""yes_dollars_fp":"x","_":["#),
    ("side an object", r#""no_dollars_fp":["#, r#""no_dollars_fp":{},"_":["#),
    ("side of numbers", r#""no_dollars_fp":["#, r#""no_dollars_fp":[7,"#),
    ("level of one", r#"["0.2000","6.00"]"#, r#"["0.2000"]"#),
    ("level of none", r#"["0.2000","6.00"]"#, "[]"),
    ("level an object", r#"["0.2000","6.00"]"#, r#"{"price":"0.2000","size":"6.00"}"#),
    ("level's price above one", r#"["0.2000""#, r#"["2.0000""#),
    ("level's price negative", r#"["0.2000""#, r#"["-0.2000""#),
    ("level's price null", r#"["0.2000""#, "[null"),
    ("level's size negative", r#""6.00""#, r#""-6.00""#),
    ("level's size of letters", r#""6.00""#, r#""six""#),
    ("level's size empty", r#""6.00""#, r#""""#),
    ("no type", r#""type":"#, r#""_":"#),
    ("type null", r#""type":"#, r#""type":null,"_":"#),
    ("unknown type", r#""type":"orderbook_snapshot""#, r#""type":"orderbook_change""#),
    ("trailing comma", r#"["0.2000","6.00"]"#, r#"["0.2000","6.00"],"#),
    ("no ticker", r#""market_ticker":"#, r#""_":"#),
    ("no body", r#""msg":"#, r#""_":"#),
];

/// The numbers go on in `stream`.
struct Place {
    ticker: String,
    stream: Stream,
    next: u64,
}

impl Place {
    /// The last book of the stream that is live.
    fn end_of(reference: &Reference) -> Option<Self> {
        let (ticker, book) = reference.books.iter().rfind(|(_, b)| b.live())?;
        let next = reference.streams[&book.stream] + 1;
        Some(Self { ticker: ticker.clone(), stream: book.stream, next })
    }

    /// A good delta that no book could ignore.
    fn delta(&self) -> String {
        let Self { ticker, stream: (_, sid), next } = self;
        format!(
            r#"{{"type":"orderbook_delta","sid":{sid},"seq":{next},"msg":{{"market_ticker":"{ticker}","market_id":"957ed958","price_dollars":"0.0100","delta_fp":"777.77","side":"yes","ts_ms":1786085188978}}}}"#
        )
    }

    fn snapshot(&self) -> String {
        let Self { ticker, stream: (_, sid), next } = self;
        format!(
            r#"{{"type":"orderbook_snapshot","sid":{sid},"seq":{next},"msg":{{"market_ticker":"{ticker}","market_id":"957ed958","yes_dollars_fp":[["0.1000","5.00"],["0.2000","6.00"]],"no_dollars_fp":[["0.3000","7.00"]]}}}}"#
        )
    }
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} is not in {text}");
    text.replacen(from, to, 1)
}

/// `(name, text)`: each is a fault of one message.
fn faults(place: &Place) -> Vec<(String, String)> {
    let (delta, snapshot) = (place.delta(), place.snapshot());
    let mut all = Vec::new();
    for (good, table) in [(&delta, DELTA_FAULTS), (&snapshot, SNAPSHOT_FAULTS)] {
        let kind = if good == &delta { "delta" } else { "snapshot" };
        for (name, from, to) in table {
            all.push((format!("{kind}, {name}"), replaced(good, from, to)));
        }
        for part in 1..8 {
            all.push((format!("{kind} cut {part}/8"), good[..good.len() * part / 8].to_owned()));
        }
        all.push((format!("{kind} without its brace"), good[..good.len() - 1].to_owned()));
        all.push((format!("{kind} with one brace more"), format!("{good}}}")));
    }
    all.push(("two values".into(), format!("{delta}{snapshot}")));
    all.push(("nesting without end".into(), r#"{"x":["#.repeat(100_000)));
    all
}

fn case(seed: u64) -> Option<(Vec<Record>, Reference, Place)> {
    let records = generate::records(seed, Trouble::None, false);
    let reference = Reference::of(&records);
    let place = Place::end_of(&reference)?;
    Some((records, reference, place))
}

fn lines(records: &[Record], place: &Place, broken: &str, after: &[String]) -> Vec<Vec<u8>> {
    let texts = std::iter::once(broken).chain(after.iter().map(String::as_str));
    let more = texts.map(|text| Record {
        time: u64::MAX / 8,
        connection: place.stream.0,
        event: Event::Frame(text.to_owned()),
    });
    let all: Vec<Record> = records.iter().cloned().chain(more).collect();
    stored::capture(&all)
}

fn check(after: &dyn Fn(&Reference, &Place) -> Vec<String>) {
    if !engine::reads_kalshi() {
        return;
    }
    let cases: Vec<_> = (200..212).filter_map(case).collect();
    let folder = tempfile::tempdir().unwrap();
    let mut failures = Vec::new();
    for i in 0.. {
        let (records, before, place) = &cases[i % cases.len()];
        let Some((name, text)) = faults(place).into_iter().nth(i) else { break };
        let more = after(before, place);
        let file = pack(folder.path(), "broken", "", &lines(records, place, &text, &more));
        let run = match engine::attempt(&file, "3") {
            Ok(run) => run,
            Err(crash) => {
                failures.push(format!("{name}: {crash}"));
                continue;
            }
        };
        let mut reference = before.clone();
        more.iter().for_each(|text| reference.frame(place.stream.0, text));
        // Without its own reason for it, the engine may doubt every book of the connection.
        let concerned = |b: &Book| b.stream.0 == place.stream.0 && more.is_empty();
        let mut wrong = engine::differences(&reference, &run.books, &concerned);
        let named = run.books.iter().find(|l| l.token == place.ticker);
        if more.is_empty() && named.is_none_or(|l| !l.state.starts_with("stale:")) {
            wrong.push(format!("{} is not stale", place.ticker));
        }
        if run.report.errors == 0 {
            wrong.push("no error counted".into());
        }
        failures.extend(wrong.into_iter().map(|w| format!("{name}: {w}")));
    }
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), engine::shorten(&mut failures));
}

#[test]
fn engine_doubts_the_book_of_a_broken_kalshi_message() {
    check(&|_, _| Vec::new());
}

/// As received, and in the envelopes of other tools: its content is not taken for the message.
#[test]
fn engine_doubts_the_book_of_a_bare_kalshi_message_without_a_known_type() {
    if !engine::reads_kalshi() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut place = Place { ticker: "KXRAIN-A".to_owned(), stream: (1, 1), next: 1 };
    let snapshot = place.snapshot();
    place.next = 2;
    let good = [("delta, good".to_owned(), place.delta())];
    let broken = faults(&place).into_iter().filter(|(name, _)| name.contains("type"));
    let mut failures = Vec::new();
    for (name, text) in good.into_iter().chain(broken) {
        for form in ["bare", "msg", "data", "quoted"] {
            let line = |frame: &String| match form {
                "bare" => frame.clone().into_bytes(),
                "quoted" => {
                    format!(r#"{{"recv_ns":5,"raw":{}}}"#, Value::from(&**frame)).into_bytes()
                }
                key => format!(r#"{{"recv_ns":5,"{key}":{frame}}}"#).into_bytes(),
            };
            let file = pack(folder.path(), "bare", "", &[line(&snapshot), line(&text)]);
            let run = engine::attempt(&file, "1").unwrap();
            let state = run.books.iter().find(|b| b.token == place.ticker).map(|b| &*b.state);
            let wanted = if name == "delta, good" { "live" } else { "stale:" };
            if !state.is_some_and(|state| state.starts_with(wanted)) {
                failures.push(format!("{name} as {form}: {state:?}"));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// Whether its number was read or not, the snapshots after a broken message are taken.
#[test]
fn engine_recovers_from_a_broken_kalshi_message_by_snapshots() {
    check(&|reference, place| {
        let same = reference.books.iter().filter(|(_, b)| b.stream == place.stream);
        let renew = |((ticker, _), more): ((&String, &Book), u64)| {
            let (ticker, next) = (ticker.clone(), place.next + more);
            Place { ticker, stream: place.stream, next }.snapshot()
        };
        same.zip(1..).map(renew).collect()
    });
}

/// The faults are faults, and the untouched texts are not.
#[test]
fn broken_kalshi_messages_are_distinct_and_the_good_ones_good() {
    let (_, mut reference, mut place) = (200..212).find_map(case).unwrap();
    let all = faults(&place);
    let mut texts: Vec<&String> = all.iter().map(|(_, text)| text).collect();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), all.len());
    for (name, text) in &all {
        let mut reference = reference.clone();
        if name.starts_with("nesting") || serde_json::from_str::<Value>(text).is_err() {
            continue;
        }
        reference.frame(place.stream.0, text);
        assert!(!reference.books[&place.ticker].live(), "{name}: {text}");
        assert_eq!(reference.holes, 0, "{name}");
    }
    let applied = reference.applied;
    reference.frame(place.stream.0, &place.delta());
    assert_eq!((reference.applied, reference.broken), (applied + 1, 0));
    place.next += 1;
    reference.frame(place.stream.0, &place.snapshot());
    assert_eq!(reference.books[&place.ticker].yes.len(), 2);
    println!("{} broken messages", all.len());
}
