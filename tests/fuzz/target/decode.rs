//! Text frames: the decoder in one go, in parts and by its full parser alone, cross-checked by `serde_json`.
//!
//! Input: the frame; what is no UTF-8 is replaced, since no other frame comes so far.

use super::{Target, behaviour, magnitude, messages};
use ringbook::base::limits::{LEVELS_PER_SIDE_MAX, MESSAGES_PER_FRAME_MAX, UNRECOGNIZED_BYTES_MAX};
use ringbook::market::book::{Level, Side};
use ringbook::market::event::Event;
use ringbook::market::info::MarketUpdate;
use ringbook::venue::polymarket::decode::Decoder;
use ringbook::venue::{DecodeNotice, MessageFault, Progress, Sink, markets_in};
use serde::{Deserialize, Deserializer, de::MapAccess, de::SeqAccess, de::Visitor};
use serde_json::Value;
use std::collections::HashSet;

pub(super) const TARGET: Target =
    Target { name: "decode", run, seeds, dictionary: messages::DICTIONARY };

/// What a message outputs, in a form that both parsers share.
#[derive(Clone, Debug, PartialEq)]
enum Output {
    Event(String),
    MarketUpdate(String),
    Unknown(String),
    Refused { fault: MessageFault, market: String, token: String },
    NoJson,
    Pong,
    Text(String),
}

#[derive(Default)]
struct Log {
    outputs: Vec<Output>,
    longest: usize,
}

fn levels(levels: &[Level]) -> String {
    levels.iter().map(|level| format!(" {}:{}", level.price.0, level.quantity.0)).collect()
}

fn side(side: Side) -> &'static str {
    if side == Side::Bid { "BUY" } else { "SELL" }
}

/// An event as one line.
fn line(event: &Event<'_>) -> String {
    let (market, time) = (event.market(), event.timestamp_ms());
    match event {
        Event::Snapshot(e) => {
            let (bids, asks) = (levels(e.bids), levels(e.asks));
            format!("book {market} {} {time} bids{bids} asks{asks}", e.token)
        }
        Event::Changes(e) => {
            let list: String = e
                .iter()
                .map(|(token, change)| {
                    let level = levels(&[change.level]);
                    format!(" {token}{level} {}", side(change.side))
                })
                .collect();
            format!("changes {market} {time}{list}")
        }
        Event::Trade(e) => {
            let (price, quantity) = (e.price.0, e.quantity.0);
            format!("trade {market} {} {time} {price}:{quantity} {}", e.token, side(e.side))
        }
        Event::Delta(e) => format!("delta {market} {} {}", e.token, e.units),
        Event::TickSize(e) => format!("tick {market} {} {time} {}", e.token, e.new.0),
        Event::TopOfBook(e) => format!("top {market} {} {time}", e.token),
    }
}

impl Sink for Log {
    fn on_event(&mut self, event: &Event<'_>) {
        self.longest = self.longest.max(match event {
            Event::Snapshot(snapshot) => snapshot.bids.len().max(snapshot.asks.len()),
            Event::Changes(changes) => changes.changes.len(),
            _ => 0,
        });
        self.outputs.push(Output::Event(line(event)));
    }
    fn on_market_update(&mut self, update: MarketUpdate) {
        self.outputs.push(Output::MarketUpdate(format!("{update:?}")));
    }
    fn on_decode_notice(&mut self, notice: &DecodeNotice<'_>) {
        self.outputs.push(match *notice {
            DecodeNotice::Pong => Output::Pong,
            DecodeNotice::UnknownText(text) => Output::Text(text.to_owned()),
            DecodeNotice::UnknownEvent(name) => Output::Unknown(name.to_owned()),
            // Of the message before it; which keys are new is not judged here.
            DecodeNotice::UnknownKeys(keys) => {
                return assert!(keys.len() < UNRECOGNIZED_BYTES_MAX, "{keys:?}");
            }
            DecodeNotice::BadFrame { offset, frame } => {
                assert!(offset <= frame.len());
                assert!(markets_in(frame).count() <= MESSAGES_PER_FRAME_MAX);
                Output::NoJson
            }
            DecodeNotice::BadMessage { fault, offset, market, token, .. } => {
                assert!(offset < usize::MAX / 2);
                Output::Refused { fault, market: market.to_owned(), token: token.to_owned() }
            }
        });
    }
}

fn in_parts(frame: &str, budget: usize) -> Vec<Output> {
    let (mut log, mut progress, mut decoder) =
        (Log::default(), Progress::default(), Decoder::default());
    for _ in 0..2 * frame.len() + 4 {
        if progress.is_done() {
            return log.outputs;
        }
        decoder.decode_part(frame, &mut progress, budget, &mut log);
    }
    panic!("no end in parts of {budget}");
}

fn run(input: &[u8]) -> u64 {
    let frame = String::from_utf8_lossy(input);
    let mut log = Log::default();
    let count = Decoder::default().decode(&frame, &mut log);
    assert!(log.longest <= LEVELS_PER_SIDE_MAX);
    let mut whole = Log::default();
    Decoder::default().decode_whole(&frame, &mut whole);
    assert_eq!(log.outputs, whole.outputs, "the scan and the full parser");
    for budget in [1, 64, 1 + input.len() / 3] {
        assert_eq!(in_parts(&frame, budget), log.outputs, "parts of {budget}");
    }
    compare(&frame, &log.outputs);
    let kinds: Vec<String> = log.outputs.iter().take(8).map(kind).collect();
    behaviour((kinds, magnitude(count as usize), magnitude(log.longest)))
}

fn kind(outputs: &Output) -> String {
    match outputs {
        Output::Event(line) => line.split(' ').next().unwrap_or("").to_owned(),
        Output::Refused { fault, .. } => format!("{fault:?}"),
        Output::Text(_) => "text".into(),
        Output::MarketUpdate(update) => update.chars().take(6).collect(),
        other => format!("{other:?}").chars().take(12).collect(),
    }
}

/// What `serde_json` and a naive reading make of the frame.
fn compare(frame: &str, outputs: &[Output]) {
    if !frame.trim_start().starts_with(['{', '[']) {
        // A text with something of a message in it may be one that was damaged.
        let damaged = frame.contains('{') || frame.contains('}') || frame.contains("\":");
        match outputs {
            [Output::Pong | Output::Text(_)] => assert!(!damaged, "{outputs:?}"),
            [Output::NoJson] => assert!(damaged, "{outputs:?}"),
            _ => panic!("{outputs:?}"),
        }
        return;
    }
    let value = match serde_json::from_str::<Value>(frame) {
        Ok(value) => value,
        // The two draw their limits at other depths and at other numbers.
        Err(error) if is_a_difference_of_limits(&error) => return,
        Err(error) => {
            assert!(outputs.contains(&Output::NoJson), "{error}: {outputs:?}");
            return;
        }
    };
    if repeats_a_key(frame) {
        // `serde_json` keeps the last of them, the engine refuses the message.
        return;
    }
    if frame.contains('\\') {
        // The engine takes ids as they stand in the frame: one with an escape is none to it, and the
        // message is refused. No id of the venue's has one.
        return;
    }
    let list = match &value {
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    if list.len() > MESSAGES_PER_FRAME_MAX {
        assert_eq!(outputs.last(), Some(&Output::NoJson), "more messages than the limit");
        return;
    }
    assert!(!outputs.contains(&Output::NoJson), "{frame}");
    assert_eq!(outputs.len(), list.len(), "one output for each message");
    for (value, outputs) in list.iter().zip(outputs) {
        let expected = expected(value);
        match (outputs, expected) {
            (Output::Event(line), Some(expected)) => assert_eq!(*line, expected),
            (Output::Refused { fault, .. }, Some(expected)) => {
                assert!(!is_read(value, *fault), "{fault:?} instead of {expected}");
            }
            (outputs, Some(expected)) => panic!("{outputs:?} instead of {expected}"),
            (Output::Event(line), None) => {
                assert!(!is_decided(value), "`{line}` out of {value}");
            }
            _ => {}
        }
    }
}

/// Whether an object of the frame, which is JSON, has a key twice.
fn repeats_a_key(frame: &str) -> bool {
    #[derive(Default)]
    struct Repeats(bool);
    impl<'de> Deserialize<'de> for Repeats {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            from.deserialize_any(Self::default())
        }
    }
    impl<'de> Visitor<'de> for Repeats {
        type Value = Self;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("any value")
        }
        fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
            Ok(self)
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
            Ok(self)
        }
        fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
            Ok(self)
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
            Ok(self)
        }
        fn visit_str<E>(self, _: &str) -> Result<Self, E> {
            Ok(self)
        }
        fn visit_unit<E>(self) -> Result<Self, E> {
            Ok(self)
        }
        fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Self, A::Error> {
            while let Some(Self(repeats)) = list.next_element()? {
                self.0 |= repeats;
            }
            Ok(self)
        }
        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
            let mut keys = HashSet::new();
            while let Some((key, Self(repeats))) = map.next_entry::<String, Self>()? {
                self.0 |= repeats | !keys.insert(key);
            }
            Ok(self)
        }
    }
    serde_json::from_str::<Repeats>(frame).expect("it was read before").0
}

fn is_a_difference_of_limits(error: &serde_json::Error) -> bool {
    let text = error.to_string();
    ["recursion limit", "out of range", "surrogate", "hex escape"].iter().any(|w| text.contains(w))
}

/// A decimal with at most six places, in units of 1e-6.
fn units(value: &Value) -> Option<u64> {
    let text = value.as_str()?;
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || (whole.is_empty() && part.is_empty()) {
        return None;
    }
    let part = part.trim_end_matches('0');
    if part.len() > 6 {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let part: u64 = if part.is_empty() { 0 } else { format!("{part:0<6}").parse().ok()? };
    whole.checked_mul(1_000_000)?.checked_add(part)
}

fn price(value: &Value) -> Option<u64> {
    units(value).filter(|&units| units <= 1_000_000)
}

fn token(value: &Value) -> Option<&str> {
    let digits = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
    value.as_str().filter(|text| (1..=78).contains(&text.len())).filter(digits)
}

fn buy_or_sell(value: &Value) -> Option<&'static str> {
    match value.as_str()? {
        "BUY" | "buy" => Some("BUY"),
        "SELL" | "sell" => Some("SELL"),
        _ => None,
    }
}

fn side_of_book(value: &Value) -> Option<String> {
    let one =
        |level: &Value| Some(format!(" {}:{}", price(&level["price"])?, units(&level["size"])?));
    value.as_array()?.iter().map(one).collect()
}

/// Nothing, null and an empty text are "not known"; anything else must be a price.
fn price_if_any(value: &Value) -> bool {
    matches!(value, Value::Null) || value.as_str() == Some("") || price(value).is_some()
}

/// Whether the naive reading looks at what was refused. The engine reads every key that it knows,
/// such as the best prices of a change, and refuses a message for any of them.
fn is_read(message: &Value, fault: MessageFault) -> bool {
    let (MessageFault::Missing(key)
    | MessageFault::BadValue(key)
    | MessageFault::Repeated(key)
    | MessageFault::TooMany(key)) = fault
    else {
        return false; // a binary frame, which is no message
    };
    let has_entries = matches!(message["event_type"].as_str(), Some("book" | "price_change"));
    if has_entries && matches!(fault, MessageFault::Missing("price" | "size" | "side")) {
        return true;
    }
    let own: &[&str] = match message["event_type"].as_str() {
        Some("book") => &["bids", "asks"],
        Some("price_change") => &["price_changes"],
        Some("last_trade_price") => &["asset_id", "price", "size", "side"],
        _ => &["asset_id", "new_tick_size"],
    };
    own.contains(&key) || ["market", "timestamp", "event_type", "message"].contains(&key)
}

/// Whether the naive reading knows all forms of such a message.
fn is_decided(message: &Value) -> bool {
    match message["event_type"].as_str() {
        Some("price_change") => message["price_changes"].is_array(),
        Some("book" | "last_trade_price" | "tick_size_change") => true,
        _ => false,
    }
}

/// A condition in its one form: 32 bytes, lower-case. Any other text as it is.
fn condition(market: &str) -> String {
    let hexadecimal = market[2..].bytes().all(|byte| byte.is_ascii_hexdigit());
    match market.len() {
        64 if hexadecimal => market.to_lowercase() + "00",
        66 if hexadecimal => market.to_lowercase(),
        _ => market.to_owned(),
    }
}

/// The line of a message that is all as it should be; `None` where this reading does not decide.
fn expected(message: &Value) -> Option<String> {
    let object = message.as_object()?;
    let kind = object.get("event_type")?.as_str()?;
    let market = message["market"].as_str().filter(|market| market.starts_with("0x"))?;
    let market = &condition(market);
    let time = match &message["timestamp"] {
        Value::String(text) => text.parse::<u64>().ok()?,
        number => number.as_u64()?,
    };
    // Milliseconds of this age: no seconds, and no finer unit.
    let seconds = 1_000_000_000..100_000_000_000;
    let time = Some(time).filter(|ms| *ms <= 9_999_999_999_999 && !seconds.contains(ms))?;
    match kind {
        "book" => {
            let token = token(&message["asset_id"])?;
            let (bids, asks) = (side_of_book(&message["bids"])?, side_of_book(&message["asks"])?);
            Some(format!("book {market} {token} {time} bids{bids} asks{asks}"))
        }
        "price_change" => {
            let one = |change: &Value| {
                let level = format!("{}:{}", price(&change["price"])?, units(&change["size"])?);
                let (token, side) = (token(&change["asset_id"])?, buy_or_sell(&change["side"])?);
                Some(format!(" {token} {level} {side}"))
            };
            let list = message["price_changes"].as_array()?;
            let list: String = list.iter().map(one).collect::<Option<_>>()?;
            Some(format!("changes {market} {time}{list}"))
        }
        "last_trade_price" => {
            let token = token(&message["asset_id"])?;
            let (price, size) = (price(&message["price"])?, units(&message["size"])?);
            let side = buy_or_sell(&message["side"])?;
            Some(format!("trade {market} {token} {time} {price}:{size} {side}"))
        }
        "tick_size_change" if price_if_any(&message["old_tick_size"]) => {
            let token = token(&message["asset_id"])?;
            // The engine refuses a tick size of zero.
            let tick = price(&message["new_tick_size"]).filter(|tick| *tick != 0)?;
            Some(format!("tick {market} {token} {time} {tick}"))
        }
        _ => None,
    }
}

fn seeds() -> Vec<Vec<u8>> {
    messages::frames().into_iter().map(String::into_bytes).collect()
}
