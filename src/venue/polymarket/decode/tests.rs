//! Frames of every shape, and invalid frames.
use super::*;
use crate::base::limits::DECODE_STACK_BYTES;
use crate::base::price::{Price, Quantity};
use crate::market::book::Side;

/// Everything delivered, one line each.
#[derive(Default)]
struct Log(Vec<String>);

impl Sink for Log {
    fn on_event(&mut self, event: &Event<'_>) {
        let line = match event {
            Event::Snapshot(s) => {
                let levels = |levels: &[Level]| {
                    let one = |l: &Level| format!("{}x{}", l.price, l.quantity);
                    levels.iter().map(one).collect::<Vec<_>>().join(" ")
                };
                let (bids, asks) = (levels(s.bids), levels(s.asks));
                format!("book {} {} {} [{bids}] [{asks}]", s.market, s.token, s.timestamp_ms)
            }
            Event::Changes(c) => {
                let one = |(token, change): (&str, &ChangeSpan)| {
                    let side = if change.side == Side::Bid { "bid" } else { "ask" };
                    let Level { price, quantity } = change.level;
                    let top = |p: Option<Price>| p.map_or("-".into(), |p| p.to_string());
                    let (bid, ask) = (top(change.best_bid), top(change.best_ask));
                    let hash = if change.hash.is_some() { "#" } else { "" };
                    format!("{token} {side} {price}x{quantity} {bid}/{ask}{hash}")
                };
                let all = c.iter().map(one).collect::<Vec<_>>().join(", ");
                format!("changes {} {}: {all}", c.market, c.timestamp_ms)
            }
            Event::Trade(t) => format!(
                "trade {} {} {:?} {}x{} {}",
                t.token, t.timestamp_ms, t.side, t.price, t.quantity, t.transaction_hash
            ),
            Event::Delta(d) => format!("delta {d:?}"),
            Event::TickSize(t) => format!("tick {} {:?}->{}", t.token, t.old, t.new),
            Event::TopOfBook(t) => format!("top {} {:?} {:?}", t.token, t.best_bid, t.best_ask),
        };
        self.0.push(line);
    }
    fn on_market_update(&mut self, update: MarketUpdate) {
        self.0.push(format!("{update:?}"));
    }
    fn on_decode_notice(&mut self, notice: &DecodeNotice<'_>) {
        self.0.push(format!("{notice:?}"));
    }
}

fn decode(frame: &str) -> Vec<String> {
    let mut log = Log::default();
    Decoder::default().decode(frame, &mut log);
    log.0
}

const HASH: &str = "924ec9bc1c6dd89f5db9b7b2b68cdab458cc2dc6";

#[test]
fn a_book_is_read_whatever_the_key_order_and_the_spaces() {
    let expected = ["book 0xa1 11 1786728432337 [0.001x2200.8 0.004x100] [0.999x50 0.009x25]"];
    let dump = format!(
        r#"[{{"market":"0xa1","asset_id":"11","timestamp":"1786728432337","hash":"{HASH}","bids":[{{"price":"0.001","size":"2200.8"}},{{"price":"0.004","size":"100"}}],"asks":[{{"price":"0.999","size":"50"}},{{"price":"0.009","size":"25"}}],"tick_size":"0.001","event_type":"book","last_trade_price":""}}]"#
    );
    assert_eq!(decode(&dump), expected);
    let refresh = r#"{"event_type":"book", "new_key":{"a":[1,{"b":null}]}, "asks":[{"size":"50","price":"0.999"}, {"price":".009", "size":"25", "more":1}], "bids":[{"price":"0.001","size":"2200.80"}, {"price":"0.004","size":"100"}], "asset_id":"11", "timestamp":1786728432337, "market":"0xa1"}"#;
    assert_eq!(decode(refresh), [expected[0], r#"UnknownKeys("new_key,more")"#]);
    let one_sided = r#"{"market":"0xa1","asset_id":"11","bids":[],"asks":[],"timestamp":"5"}"#;
    assert_eq!(decode(one_sided), ["book 0xa1 11 5 [] []"]);
}

#[test]
fn a_price_change_carries_both_tokens() {
    let frame = format!(
        r#"{{"market":"0xa1", "price_changes":[{{"asset_id":"11", "price":"0.85", "size":"503.32", "side":"BUY", "hash":"{HASH}", "best_bid":"0.85", "best_ask":"0.86"}}, {{"asset_id":"22", "price":"0.15", "size":"0", "side":"SELL", "best_bid":"", "best_ask":"1"}}], "timestamp":"1778204225252", "event_type":"price_change"}}"#
    );
    let expected = "changes 0xa1 1778204225252: 11 bid 0.85x503.32 0.85/0.86#, 22 ask 0.15x0 -/1";
    assert_eq!(decode(&frame), [expected]);
    assert_eq!(decode(&format!("[{frame},{frame}]")), [expected, expected]);
}

#[test]
fn the_older_forms_are_read() {
    let old = format!(
        r#"{{"asset_id":"11","changes":[{{"price":"0.4","side":"SELL","size":"3300"}},{{"price":"0.5","side":"SELL","size":"0"}}],"event_type":"price_change","market":"0xa1","timestamp":"17","hash":"{HASH}"}}"#
    );
    assert_eq!(decode(&old), ["changes 0xa1 17: 11 ask 0.4x3300 -/-, 11 ask 0.5x0 -/-#"]);
    let flat = r#"{"asset_id":"11","price":"0.4","side":"BUY","size":"3","event_type":"price_change","market":"0xa1","timestamp":"17"}"#;
    assert_eq!(decode(flat), ["changes 0xa1 17: 11 bid 0.4x3 -/-"]);
}

#[test]
fn the_other_events_are_read() {
    let trade = r#"{"market":"0xa1","asset_id":"11","price":"0.585","size":"219.217767","fee_rate_bps":"","side":"SELL","timestamp":"7","event_type":"last_trade_price","transaction_hash":"0x6c"}"#;
    assert_eq!(decode(trade), ["trade 11 7 Ask 0.585x219.217767 0x6c"]);
    let tick = r#"{"asset_id":"11","event_type":"tick_size_change","market":"0xa1","new_tick_size":"0.001","old_tick_size":"0.01","side":"","timestamp":"7"}"#;
    assert_eq!(decode(tick), ["tick 11 Some(Price(10000))->0.001"]);
    let top = r#"{"market":"0xa1","asset_id":"11","best_bid":"","best_ask":"0.587","spread":"0.002","timestamp":"7","event_type":"best_bid_ask"}"#;
    assert_eq!(decode(top), ["top 11 None Some(Price(587000))"]);
    let resolved = r#"{"event_type":"market_resolved","market":"0xa1","assets_ids":["11","22"],"winning_asset_id":"22","winning_outcome":"No","timestamp":"7","tags":["a"]}"#;
    let [resolved] = &decode(resolved)[..] else { panic!("one message") };
    assert!(resolved.starts_with(r#"Resolved { market: "0xa1", "#), "{resolved}");
    assert!(resolved.contains(r#"winner: Some("22"), result: Some("No")"#), "{resolved}");
}

#[test]
fn a_new_market_is_read_with_escapes_and_unusable_extras() {
    let frame = r#"{"id":"5","question":"Will \"it\" rain\u003f","market":"0xa1","slug":"rain","assets_ids":["11","22"],"outcomes":["Yes","N\/o"],"event_message":{"id":"1"},"timestamp":"7","event_type":"new_market","clob_token_ids":["11","22"],"order_price_min_tick_size":"soon","fee_schedule":{"exponent":"1"}}"#;
    let log = decode(frame);
    assert_eq!(log.len(), 1, "{log:?}");
    for part in [r#""0xa1""#, r#"Will \"it\" rain?"#, r#"token: "22", name: "N/o""#, "rain"] {
        assert!(log[0].contains(part), "{part} in {}", log[0]);
    }
}

#[test]
fn a_condition_of_31_bytes_has_the_form_of_32_in_every_message() {
    let (short, long) = (format!("0x01{}", "bC".repeat(30)), format!("0x01{}00", "bc".repeat(30)));
    let messages = [
        r#"{"market":"M","asset_id":"11","bids":[],"asks":[],"timestamp":"5","event_type":"book"}"#,
        r#"{"market":"M","price_changes":[{"asset_id":"11","price":"0.5","size":"3","side":"BUY"}],"timestamp":"5","event_type":"price_change"}"#,
        r#"{"event_type":"market_resolved","market":"M","winning_asset_id":"22","timestamp":"7"}"#,
        r#"{"event_type":"new_market","market":"M","assets_ids":["11","22"],"timestamp":"7"}"#,
        r#"{"market":"M","asset_id":"11","bids":[{}],"asks":[],"timestamp":"5","event_type":"book"}"#,
    ];
    // Offset and text of a fault depend on the length of the id.
    let decode = |frame: &str| -> Vec<String> {
        let lines = decode(frame).into_iter();
        let without = |line: String| match line.split_once("offset: ") {
            Some((head, tail)) => {
                let tail = tail.trim_start_matches(char::is_numeric);
                format!("{head}{}", tail.split("text: ").next().unwrap_or_default())
            }
            None => line,
        };
        lines.map(without).collect()
    };
    for message in messages {
        let read = |market: &str| decode(&message.replace('M', market));
        assert_eq!(read(&short), read(&long), "{message}");
        // Also in a list.
        let list = |market: &str| format!("[{},{}]", message.replace('M', market), messages[0]);
        assert_eq!(decode(&list(&short)), decode(&list(&long)), "{message}");
    }
}

#[test]
fn a_new_market_has_the_tokens_of_its_version_and_of_assets_ids() {
    let tokens = |ids: &str| {
        let frame = format!(
            r#"{{"event_type":"new_market","market":"0xa1","timestamp":"7","outcomes":["Y","N"],{ids}}}"#
        );
        let log = decode(&frame).join(" ");
        let of = |token: &str| log.contains(&format!("token: \"{token}\""));
        (["1", "3", "5"].into_iter().filter(|t| of(t)).collect::<Vec<_>>().join(","), log)
    };
    let (assets, clob) = (r#""assets_ids":["1","2"]"#, r#""clob_token_ids":["3","4"]"#);
    let positions = r#""position_ids":["5","6"]"#;
    for (ids, first) in [
        (format!("{assets},{clob}"), "1"),
        (format!("{clob},{assets}"), "1"),
        (clob.to_owned(), "3"),
        (format!(r#""assets_ids":[],{clob}"#), "3"),
        (format!(r#"{positions},{assets},{clob},"version":"v2""#), "5"),
        (format!(r#"{clob},{positions},"version":"v1""#), "3"),
        (format!(r#"{assets},"version":"v2""#), "1"),
        (positions.to_owned() + r#","version":"v2""#, "5"),
    ] {
        let (found, log) = tokens(&ids);
        assert_eq!(found, first, "{ids}");
        assert!(!log.contains("UnknownKeys"), "{log}");
    }
    assert!(tokens(&format!(r#"{assets},"version":"v3""#)).1.contains(r#"BadValue("version")"#));
}

#[test]
fn other_texts_are_reported_by_kind() {
    assert_eq!(decode("PONG"), ["Pong"]);
    assert_eq!(decode("NO NEW ASSETS"), [r#"UnknownText("NO NEW ASSETS")"#]);
    assert_eq!(decode("\"INVALID OPERATION\""), [r#"UnknownText("\"INVALID OPERATION\"")"#]);
    assert_eq!(decode("[]"), [""; 0]);
    assert_eq!(decode(r#"{"event_type":"moon","market":"0xa1"}"#), [r#"UnknownEvent("moon")"#]);
    assert_eq!(decode("{}"), [r#"UnknownEvent("")"#]);
}

/// In a list that the scan does not take (a space, a member that is no object) too.
#[test]
fn a_message_of_unknown_type_that_wraps_a_change_is_refused_in_every_list() {
    let wrap = r#"{"market":"0xa1","data":{"asset_id":"11","bids":[],"asks":[]}}"#;
    let other = r#"{"event_type":"moon","market":"0xa2"}"#;
    for frame in [
        wrap.to_owned(),
        format!("[{wrap},{other}]"),
        format!("[ {wrap}, {other}]"),
        format!("[{wrap},{other},5]"),
    ] {
        let log = decode(&frame);
        assert!(log[0].contains(r#"Missing("event_type")"#), "{frame}: {log:?}");
        assert!(log[0].contains(r#"\"11\""#) && !log[0].contains("0xa2"), "{frame}: {log:?}");
        let unknown = r#"UnknownEvent("moon")"#.to_owned();
        assert!(frame == wrap || log[1] == unknown, "{frame}: {log:?}");
    }
}

/// And changes in two forms at once: which of them is right is not known.
#[test]
fn a_change_of_a_book_in_a_message_of_another_type_is_refused() {
    let change = r#"{"asset_id":"11","price":"0.4","size":"7","side":"BUY"}"#;
    let entry = r#"{"price":"0.4","size":"7","side":"BUY"}"#;
    let levels = r#"[{"price":"0.4","size":"7"}]"#;
    for (kind, lists) in [
        ("best_bid_ask", format!(r#""price_changes":[{change}]"#)),
        ("tick_size_change", format!(r#""new_tick_size":"0.001","price_changes":[{change}]"#)),
        (
            "last_trade_price",
            format!(r#""price":"0.4","size":"7","side":"BUY","changes":[{entry}]"#),
        ),
        ("new_market", format!(r#""assets_ids":["11","12"],"price_changes":[{change}]"#)),
        ("market_resolved", format!(r#""price_changes":[{change}]"#)),
        ("best_bid_ask", format!(r#""bids":{levels}"#)),
        ("book", format!(r#""bids":[],"asks":[],"price_changes":[{change}]"#)),
        ("price_change", format!(r#""price_changes":[{change}],"asks":{levels}"#)),
        ("price_change", format!(r#""price_changes":[{change}],"changes":[{entry}]"#)),
        ("price_change", format!(r#""changes":[{entry}],"price_changes":[{change}]"#)),
        // A type that is not known, with one side.
        ("book_update", format!(r#""bids":{levels}"#)),
    ] {
        let log = decode(&format!(
            r#"{{"market":"0xa1","asset_id":"11",{lists},"timestamp":"5","event_type":"{kind}"}}"#
        ));
        assert_eq!(log.len(), 1, "{kind} {lists}: {log:?}");
        let refused = log[0].contains(r#"BadValue("event_type")"#) && log[0].contains(r#"\"11\""#);
        assert!(refused, "{kind} {lists}: {log:?}");
    }
}

#[test]
fn a_bad_message_is_refused_whole_and_does_not_affect_others() {
    let good = r#"{"market":"0xa1","asset_id":"11","bids":[],"asks":[],"timestamp":"5","event_type":"book"}"#;
    for (bad, fault) in [
        (r#""bids":[{"price":"0.1","size":"5"},{"price":"x","size":"5"}]"#, "BadValue(\"price\")"),
        (r#""bids":[{"price":"0.1"}]"#, "Missing(\"size\")"),
        (r#""bids":[{"price":"1.5","size":"5"}]"#, "BadValue(\"price\")"),
        (r#""bids":[{"price":"0.12345678","size":"5"}]"#, "BadValue(\"price\")"),
        (r#""bids":[{"price":"0.1","size":"1e5"}]"#, "BadValue(\"size\")"),
        (r#""bids":[{"price":0.1,"size":"5"}]"#, "BadValue(\"price\")"),
        (r#""bids":[],"bids":[]"#, "Repeated(\"bids\")"),
        (r#""no":1"#, "Missing(\"bids\")"),
        (r#""bids":[]"#, "Missing(\"asks\")"),
        (r#""bids":[],"asks":null"#, "BadValue(\"asks\")"),
        (r#""bids":"none","asks":[]"#, "BadValue(\"bids\")"),
        (r#""bids":[7],"asks":[]"#, "BadValue(\"entry\")"),
    ] {
        let bad = format!(
            r#"{{"market":"0xa1","asset_id":"11","timestamp":"5",{bad},"event_type":"book"}}"#
        );
        let log = decode(&format!("[{good},{bad},{good}]"));
        assert_eq!(log.len(), 3, "{log:?}");
        assert!(log[0].starts_with("book") && log[2].starts_with("book"), "{log:?}");
        assert!(log[1].contains(fault) && log[1].contains("token: \"11\""), "{fault}: {log:?}");
    }
    let late =
        r#"{"market":"0xa1","asset_id":"11","bids":[],"timestamp":"soon","event_type":"book"}"#;
    assert!(decode(late)[0].contains("BadValue(\"timestamp\")"));
    let nameless = r#"{"market":"0xa1","price_changes":[{"price":"0.1","size":"1","side":"BUY"}],"timestamp":"5","event_type":"price_change"}"#;
    assert!(decode(nameless)[0].contains("Missing(\"asset_id\")"));
    for (entry, key) in [
        (r#""size":"1","side":"BUY""#, "price"),
        (r#""price":"0.1","side":"BUY""#, "size"),
        (r#""price":"0.1","size":"1""#, "side"),
    ] {
        let frame = format!(
            r#"{{"market":"0xa1","price_changes":[{{"asset_id":"11",{entry}}}],"timestamp":"5","event_type":"price_change"}}"#
        );
        assert!(decode(&frame)[0].contains(&format!("Missing({key:?})")), "{key}");
    }
}

#[test]
fn a_frame_cut_at_any_byte_never_delivers_half_a_message() {
    let frame = format!(
        r#"[{{"market":"0xa1", "price_changes":[{{"asset_id":"11", "price":"0.85", "size":"503.32", "side":"BUY", "hash":"{HASH}"}}, {{"asset_id":"22", "price":"0.15", "size":"1", "side":"SELL"}}], "timestamp":"17", "event_type":"price_change"}},{{"market":"0xa1","asset_id":"11","bids":[{{"price":"0.1","size":"5"}}],"asks":[],"timestamp":"18","event_type":"book"}}]"#
    );
    let whole = decode(&frame);
    assert_eq!(whole.len(), 2);
    for cut in 0..frame.len() {
        let log = decode(&frame[..cut]);
        assert_eq!(log.len(), 1, "{cut}: {log:?}");
        assert!(log[0].contains("BadFrame") || log[0].contains("UnknownText"), "{cut}: {log:?}");
        let mut broken = frame.clone().into_bytes();
        broken[cut] = b'}';
        decode(&String::from_utf8(broken).unwrap());
    }
}

#[test]
fn quantities_beyond_the_range_are_refused() {
    let frame = |size: &str| {
        format!(
            r#"{{"market":"0xa1","asset_id":"11","bids":[{{"price":"0.1","size":"{size}"}}],"timestamp":"5","event_type":"book"}}"#
        )
    };
    assert_eq!(decode(&frame("18446744073709.551615")).len(), 1);
    assert!(decode(&frame("18446744073709.551616"))[0].contains("BadValue(\"size\")"));
    assert_eq!(Quantity::parse(b"18446744073709.551615"), Some(Quantity(u64::MAX)));
}

#[test]
fn nesting_without_end_is_a_bad_frame_and_no_crash() {
    let deep = "[".repeat(1_000_000);
    let frames = [
        deep.clone(),
        format!(r#"{{"unknown":{deep}"#),
        format!(r#"{{"price":{deep}"#),
        format!(r#"{{"bids":{deep}"#),
        format!(r#"{{"price_changes":[{{"size":{deep}"#),
        format!(r#"{{"bids":[{{"unknown":{}"#, r#"{"a":"#.repeat(300_000)),
        format!(r#"{{"unknown":{}"#, r#"[{"a":"#.repeat(300_000)),
    ];
    let run = move || {
        for frame in frames {
            let log = decode(&frame);
            assert!(log.last().expect("odd").contains("BadFrame"), "{log:?}");
        }
    };
    // sonic-rs refuses the 255th level; without optimization a level takes 10 KB.
    let thread = std::thread::Builder::new().stack_size(DECODE_STACK_BYTES).spawn(run);
    thread.unwrap().join().unwrap();
}

#[test]
fn an_unknown_event_may_hold_anything_and_a_frame_may_not_go_on_after_its_message() {
    let odd = r#"{"event_type":"flow","bids":"none","price":{"low":1},"asset_id":[7],"side":1}"#;
    assert_eq!(decode(odd), [r#"UnknownEvent("flow")"#]);
    assert!(decode("[7]")[0].contains("BadValue(\"message\")"));
    let good = r#"{"market":"0xa1","asset_id":"11","bids":[],"asks":[],"timestamp":"5"}"#;
    let log = decode(&format!("{good} garbage"));
    assert!(log.len() == 1 && log[0].contains("BadFrame"), "{log:?}");
    let named = r#"{"market":"0xa1","asset_id":"0xzz","bids":[],"asks":[],"timestamp":"5"}"#;
    assert!(decode(named)[0].contains("BadValue(\"asset_id\")"));
}

/// Ids are numbers: with leading zeros there would be a second book of one token. By the scanner and by the decoder.
#[test]
fn a_token_has_one_spelling() {
    let token = "1012345678901234567890123456789012345678901234567890123456789012345678911111";
    let other = format!("0{}", &token[1..]);
    for (good, bad) in [(token, &*other), ("7", "07"), ("0", "00")] {
        let market = format!("0x{}", "ab".repeat(32));
        let frame = |id: &str| {
            format!(
                r#"{{"market":"{market}", "price_changes":[{{"asset_id":"{id}", "price":"0.4", "size":"7", "side":"BUY", "hash":"{HASH}", "best_bid":"0.4", "best_ask":"0.6"}}], "timestamp":"1786000000000", "event_type":"price_change"}}"#
            )
        };
        assert!(decode(&frame(good))[0].starts_with("changes"), "{good}");
        let notices = decode(&frame(bad));
        assert!(notices[0].contains(r#"BadValue("asset_id")"#), "{bad}: {notices:?}");
    }
}
