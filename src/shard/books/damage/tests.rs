//! Every kind of message with every kind of damage: what it may have concerned is stale, and nothing else.
use super::*;
use crate::base::id::{MarketId, ShardId, TokenId};
use crate::base::time::{Now, StillClock};
use crate::market::book::{BookOpening, BookState, image::BookImage};
use crate::shard::intake::{Findings, Intake};

const HERE: ConnectionSlot = ConnectionSlot(0);
const THERE: ConnectionSlot = ConnectionSlot(3);

/// Market `i`: its id, and the ids of its tokens.
fn market(i: usize) -> String {
    format!("0x{}", ["ab", "cd", "ef"][i].repeat(32))
}

fn token(i: usize, outcome: usize) -> String {
    format!("{}{}{}", 10 + i, "2345678901".repeat(7), 71_000 + outcome)
}

fn hash() -> String {
    "0".repeat(40)
}

fn book(i: usize, outcome: usize, ms: &str) -> String {
    format!(
        r#"{{"market":"{}","asset_id":"{}","timestamp":"{ms}","hash":"{}","bids":[{{"price":"0.4","size":"5"}}],"asks":[{{"price":"0.6","size":"5"}}],"tick_size":"0.01","event_type":"book","last_trade_price":"0.5"}}"#,
        market(i),
        token(i, outcome),
        hash()
    )
}

/// A message of each kind about the first token of market `i`.
fn messages(i: usize) -> Vec<String> {
    let (m, y, h) = (market(i), token(i, 0), hash());
    let ms = "1786000000100";
    vec![
        book(i, 0, ms),
        format!(
            r#"{{"market":"{m}","price_changes":[{{"asset_id":"{y}","price":"0.4","size":"77","side":"BUY","hash":"{h}","best_bid":"0.4","best_ask":"0.6"}}],"timestamp":"{ms}","event_type":"price_change"}}"#
        ),
        format!(
            r#"{{"market":"{m}","asset_id":"{y}","price":"0.5","size":"2","fee_rate_bps":"0","side":"SELL","timestamp":"{ms}","event_type":"last_trade_price","transaction_hash":"0x{}"}}"#,
            "12".repeat(32)
        ),
        format!(
            r#"{{"event_type":"tick_size_change","market":"{m}","asset_id":"{y}","old_tick_size":"0.01","new_tick_size":"0.001","timestamp":"{ms}"}}"#
        ),
    ]
}

/// Two markets on one connection and a third on another, all live. The others are the ones that must stay live.
fn live() -> Intake<(), StillClock> {
    let mut books =
        Books::new(ShardId(0), crate::venue::polymarket::feed(true), Admission::Listed, ());
    for i in 0..3 {
        for outcome in 0..2 {
            let opening = BookOpening {
                market: MarketId::new(&market(i)).unwrap(),
                token: TokenId::new(&token(i, outcome)).unwrap(),
                tick_size: None,
                min_order_size: None,
                neg_risk: false,
            };
            books.open(&opening, if i == 2 { THERE } else { HERE }).unwrap();
        }
    }
    let mut intake = Intake::new(crate::venue::polymarket::feed(true), books, StillClock(0));
    for i in 0..3 {
        for outcome in 0..2 {
            let from = if i == 2 { THERE } else { HERE };
            let frame = book(i, outcome, "1786000000000");
            intake.on_frame(&frame, from, Now::default(), &mut Findings::default());
        }
    }
    assert_eq!(intake.books.counts().live, 6);
    intake
}

/// Which markets have a book that is not live after this frame.
fn stale_after(frame: &str) -> Vec<usize> {
    let mut intake = live();
    intake.on_frame(frame, HERE, Now::default(), &mut Findings::default());
    let is_stale = |i: usize, outcome: usize| {
        let mut image = BookImage::default();
        assert!(intake.books.fill_image(&token(i, outcome), &mut image));
        image.state != BookState::Live
    };
    (0..3).filter(|&i| is_stale(i, 0) || is_stale(i, 1)).collect()
}

type Damage = (&'static str, fn(&str) -> String);

fn with(text: &str, key: &str, value: &str) -> String {
    let head = format!("\"{key}\":");
    let (before, after) = text.split_once(&head).expect("the key");
    let end = 1 + after[1..].find('"').expect("a text") + 1;
    format!("{before}{head}{value}{}", &after[end..])
}

fn without(text: &str, key: &str) -> String {
    with(text, key, "@").replacen(&format!("\"{key}\":@,"), "", 1)
}

fn within_text(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// What leaves an id of the first market in the text.
const NAMED: &[Damage] = &[
    ("market null", |m| with(m, "market", "null")),
    ("market a number", |m| with(m, "market", "7")),
    ("market a negative number", |m| with(m, "market", "-7.5")),
    ("market a boolean", |m| with(m, "market", "true")),
    ("market a list", |m| with(m, "market", "[]")),
    ("market a list of a text", |m| with(m, "market", r#"["0x1"]"#)),
    ("market an object", |m| with(m, "market", r#"{"id":"0x1"}"#)),
    ("market missing", |m| without(m, "market")),
    ("market of letters", |m| with(m, "market", r#""abc""#)),
    ("market with an escape", |m| m.replacen("0xabab", "0x\\u0061bab", 1)),
    ("token null", |m| with(m, "asset_id", "null")),
    ("token a list", |m| with(m, "asset_id", "[1]")),
    ("token missing", |m| without(m, "asset_id")),
    ("token of letters", |m| with(m, "asset_id", r#""abc""#)),
    ("token empty", |m| with(m, "asset_id", r#""""#)),
    ("token with an escape", |m| m.replacen("1023456", "\\u003123456", 1)),
    ("token as a number", |m| with(m, "asset_id", &token(0, 0))),
    ("both with escapes", |m| {
        m.replacen("0xabab", "0x\\u0061bab", 1).replacen("102345", "\\u00310\\u0032345", 1)
    }),
    ("time null", |m| with(m, "timestamp", "null")),
    ("time missing", |m| without(&m.replace("\"}", "\",\"id\":\"\"}"), "timestamp")),
    ("time empty", |m| with(m, "timestamp", r#""""#)),
    ("time negative", |m| with(m, "timestamp", r#""-1786000000100""#)),
    ("time with a fraction", |m| with(m, "timestamp", r#""1786000000100.5""#)),
    ("time in ISO form", |m| with(m, "timestamp", r#""2026-08-06T06:26:40Z""#)),
    ("time in seconds", |m| with(m, "timestamp", r#""1786000000""#)),
    ("time in seconds, a number", |m| with(m, "timestamp", "1786000000")),
    ("time in microseconds", |m| with(m, "timestamp", r#""1786000000100000""#)),
    ("time in microseconds, a number", |m| with(m, "timestamp", "1786000000100000")),
    ("time in nanoseconds", |m| with(m, "timestamp", r#""1786000000100000000""#)),
    ("time of 20 digits", |m| with(m, "timestamp", r#""99999999999999999999""#)),
    ("in a list within a list", |m| format!("[[{m}]]")),
    ("three lists deep", |m| format!("[[[{m}]]]")),
    ("in an object", |m| format!(r#"{{"bids":[],"asks":[],"data":{m}}}"#)),
    ("within a text", within_text),
    ("within a text in a list", |m| format!("[{}]", within_text(m))),
    ("within a text within a text", |m| within_text(&within_text(m))),
    ("beside a good list", |m| format!("[[],{m},null]")),
    ("a byte before it", |m| format!("x{m}")),
    ("a byte order mark before it", |m| format!("\u{feff}{m}")),
    ("a NUL before it", |m| format!("\0{m}")),
    ("something behind it", |m| format!("{m}]")),
    ("twice", |m| format!("{m}{m}")),
    ("its end missing", |m| m[..m.len() - 1].to_owned()),
    ("its beginning missing", |m| m[5..].to_owned()),
    ("a control character", |m| {
        m.replacen("event_type", "event\u{1}type", 1).replace("e\",", "e,\"")
    }),
    ("single quotes", |m| m.replace('"', "'")),
];

/// What leaves none.
const NAMELESS: &[Damage] = &[
    ("no id", |m| with(&with(m, "market", "null"), "asset_id", "null")),
    ("broken ids", |m| {
        m.replace("0xababab", "0xababab\u{fffd}").replace("10234567", "10234567\u{fffd}")
    }),
    ("cut within its market", |m| {
        let at = m.find("0xab").expect("a market");
        m[..at + 30].to_owned()
    }),
    ("its end alone", |m| m[m.len() - 30..].to_owned()),
    ("empty in a list", |_| "[null]".to_owned()),
    ("a number in a list", |_| "[7]".to_owned()),
    ("a list in a list", |_| "[[]]".to_owned()),
    ("an open list", |_| "[".to_owned()),
    ("an open object", |_| "{".to_owned()),
];

#[test]
fn whatever_is_wrong_with_a_message_the_books_that_it_names_are_stale() {
    for message in messages(0) {
        for (what, damage) in NAMED {
            let frame = damage(&message);
            assert_eq!(stale_after(&frame), [0], "{what}: {frame}");
        }
    }
}

#[test]
fn a_message_that_names_nothing_may_have_been_about_any_book_of_its_connection() {
    for message in messages(0) {
        for (what, damage) in NAMELESS {
            let frame = damage(&message);
            assert_eq!(stale_after(&frame), [0, 1], "{what}: {frame}");
        }
    }
}

#[test]
fn one_damaged_message_of_a_list_costs_its_own_books_and_the_others_are_applied() {
    let good = &messages(1)[1];
    for message in messages(0) {
        for (what, damage) in NAMED {
            let damaged = damage(&message);
            for frame in [format!("[{good},{damaged}]"), format!("[{damaged},{good}]")] {
                let stale = stale_after(&frame);
                // A list that is no JSON, or whose parts are no objects, is damaged as a whole.
                assert!(stale == [0] || stale == [0, 1], "{what}: {frame}: {stale:?}");
                if damaged.starts_with(r#"{"market":null"#) {
                    assert_eq!(stale, [0], "{what}: {frame}");
                }
            }
        }
    }
}

#[test]
fn what_is_no_message_costs_nothing() {
    for text in [
        "PONG",
        "",
        "NO NEW ASSETS",
        "\"INVALID OPERATION\"",
        "[]",
        "{}",
        r#"{"event_type":"flow","asset_id":"1","price":"0.5"}"#,
        r#"{"error":"too many tokens"}"#,
    ] {
        assert_eq!(stale_after(text), [0usize; 0], "{text}");
    }
    for message in messages(0) {
        assert_eq!(stale_after(&message), [0usize; 0], "{message}");
    }
}

#[test]
fn a_message_whose_kind_is_damaged_is_known_by_its_content_or_costs_its_book() {
    for (place, message) in messages(0).iter().enumerate() {
        let by_content = place < 2;
        for kind in ["7", "null", "[]", r#""""#, r#""b\u006fok""#] {
            let stale = stale_after(&with(message, "event_type", kind));
            let expected: &[usize] = if by_content && kind != r#""""# { &[] } else { &[0] };
            assert_eq!(stale, expected, "{kind}: {message}");
        }
        // A kind that is not known: a level may have changed, and a trade changes none.
        let stale = stale_after(&with(message, "event_type", r#""new_kind""#));
        assert_eq!(stale.is_empty(), place == 2, "{message}");
    }
}
