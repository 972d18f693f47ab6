//! Frames in the forms of kalshi/protocol.md, 2 and 3, and invalid ones.
use super::*;
use crate::base::price::Quantity;
use crate::market::book::Level;

/// The decoded frame as text.
#[derive(Default)]
struct Seen {
    lines: Vec<String>,
    repeated: bool,
    is_lost: bool,
}

fn levels(side: &[Level]) -> String {
    side.iter().map(|l| format!("{}x{}", l.quantity, l.price)).collect::<Vec<_>>().join(" ")
}

impl Sink for Seen {
    fn on_envelope(&mut self, envelope: &Envelope) -> bool {
        if let (Some(sid), Some(seq)) = (envelope.sid, envelope.seq) {
            self.lines.push(format!("{sid}/{seq}"));
        }
        !self.repeated
    }

    fn on_event(&mut self, event: &Event<'_>) {
        self.lines.push(match event {
            Event::Snapshot(e) => {
                format!("book {} [{}] [{}]", e.token, levels(e.bids), levels(e.asks))
            }
            Event::Delta(e) => {
                format!("{:?} {} {:+} at {} ms", e.side, e.price, e.units, e.timestamp_ms)
            }
            Event::Trade(e) => {
                format!("trade {:?} {} at {} {}", e.side, e.quantity, e.price, e.transaction_hash)
            }
            Event::TopOfBook(e) => {
                format!("top {:?} {:?}", e.best_bid.map(|p| p.0), e.best_ask.map(|p| p.0))
            }
            other => format!("{other:?}"),
        });
    }

    fn on_market_update(&mut self, update: MarketUpdate) {
        self.lines.push(format!("{update:?}"));
    }

    fn on_reply(&mut self, reply: &Reply<'_>) -> bool {
        self.lines.push(format!("{reply:?}"));
        true
    }

    fn on_lost(&mut self) {
        self.is_lost = true;
    }

    fn on_decode_notice(&mut self, notice: &DecodeNotice<'_>) {
        self.lines.push(format!("{notice:?}"));
    }
}

fn read_frame(frame: &str) -> Vec<String> {
    let mut seen = Seen::default();
    Decoder::default().decode(frame, &mut seen);
    seen.lines
}

#[test]
fn books_are_in_terms_of_yes() {
    let frame = r#"{"type":"orderbook_snapshot","sid":2,"seq":2,"msg":{"market_ticker":"FED-T3.00","market_id":"x",
        "yes_dollars_fp":[["0.0800","300.00"],["0.2200","333.01"]],"no_dollars_fp":[["0.5400","20.00"],["0.5600","146.50"]]}}"#;
    let seen = read_frame(frame);
    assert_eq!(seen[0], "2/2");
    assert_eq!(seen[2], "book FED-T3.00 [300x0.08 333.01x0.22] [20x0.46 146.5x0.44]");
    let one = r#"{"seq":1,"msg":{"no_dollars_fp":[["0.9900","1.00"]],"market_ticker":"A"},"id":7,"sid":1,"type":"orderbook_snapshot"}"#;
    assert_eq!(read_frame(one)[2], "book A [] [1x0.01]", "a side that is missing is empty");
    let none = r#"{"type":"orderbook_snapshot","sid":1,"seq":1,"msg":{"market_ticker":"A","yes_dollars_fp":null}}"#;
    assert_eq!(read_frame(none)[2], "book A [] []");
}

#[test]
fn deltas_are_relative() {
    let delta = |side: &str, ts: &str| {
        format!(
            r#"{{"type":"orderbook_delta","sid":1,"seq":24,"msg":{{"market_ticker":"A-1","market_id":"x","price_dollars":"0.4300","delta_fp":"-100.00","side":"{side}",{ts}}}}}"#
        )
    };
    let both = r#""ts":"2026-08-07T06:46:28.97871Z","ts_ms":1786085188978"#;
    assert_eq!(
        read_frame(&delta("yes", both)),
        ["1/24", "Bid 0.43 -100000000 at 1786085188978 ms"]
    );
    let old = r#""ts":"2026-08-07T06:46:28.97871Z""#;
    assert_eq!(read_frame(&delta("no", old))[1], "Ask 0.57 -100000000 at 1786085188978 ms");
    assert!(read_frame(&delta("maybe", both))[1].contains("BadValue(\"side\")"));
    let short = r#"{"type":"orderbook_delta","sid":1,"seq":3,"msg":{"market_ticker":"A-1","price_dollars":"0.4300","side":"yes"}}"#;
    let seen = read_frame(short);
    assert_eq!(seen[0], "1/3", "an invalid message has used its number");
    assert!(seen[1].contains("Missing(\"delta_fp\")") && seen[1].contains("A-1"), "{seen:?}");
}

#[test]
fn trades_and_tickers_are_in_terms_of_yes() {
    let trade = r#"{"type":"trade","sid":11,"seq":2,"msg":{"trade_id":"d91bc706-ee49-470d-82d8-11418bda6fed","market_ticker":"HIGHNY-B53.5","yes_price_dollars":"0.3600","no_price_dollars":"0.6400","count_fp":"136.00","taker_side":"no","taker_outcome_side":"no","taker_book_side":"ask","is_block_trade":false,"ts":1669149841,"ts_ms":1669149841000}}"#;
    assert_eq!(
        read_frame(trade),
        ["11/2", "trade Ask 136 at 0.36 d91bc706-ee49-470d-82d8-11418bda6fed"]
    );
    let ticker = r#"{"type":"ticker","sid":11,"msg":{"market_ticker":"F","price_dollars":"","yes_bid_dollars":"0.0000","yes_ask_dollars":"1.0000","volume_fp":"0.00","dollar_volume":1,"ts":1669149841}}"#;
    assert_eq!(read_frame(ticker), ["top None None"], "an empty side reads as 0 and 1");
}

#[test]
fn responses_have_several_shapes() {
    for (frame, expected) in [
        (
            r#"{"type":"subscribed","id":2,"msg":{"channel":"orderbook_delta","sid":1}}"#,
            r#"Subscribed { id: Some(2), sid: Some(1), channel: "orderbook_delta" }"#,
        ),
        (
            r#"{"type":"subscribed","id":1}"#,
            r#"Subscribed { id: Some(1), sid: None, channel: "" }"#,
        ),
        (
            r#"{"id":4,"type":"ok","msg":[{"channel":"ticker","sid":2}]}"#,
            "Ok { id: Some(4), sid: None }",
        ),
        (
            r#"{"id":123,"type":"error","msg":{"code":7,"msg":"Unknown \"subscription\" ID"}}"#,
            r#"Error { id: Some(123), sid: None, code: 7, text: "Unknown \"subscription\" ID" }"#,
        ),
        (
            r#"{"type":"error","id":0,"sid":3}"#,
            "Error { id: None, sid: Some(3), code: 0, text: \"\" }",
        ),
    ] {
        assert_eq!(read_frame(frame).last().unwrap(), expected, "{frame}");
    }
    let ok = r#"{"type":"ok","id":4,"sid":1,"seq":2,"msg":{"market_tickers":["A","B"]}}"#;
    assert_eq!(read_frame(ok), ["1/2", "Ok { id: Some(4), sid: Some(1) }"]);
    let gone = r#"{"type":"unsubscribed","id":102,"sid":2,"seq":7}"#;
    assert_eq!(read_frame(gone), ["2/7", "Unsubscribed { id: Some(102), sid: Some(2) }"]);
}

#[test]
fn lifecycle_messages_become_updates() {
    let market_update = |event: &str| {
        let frame = format!(
            r#"{{"type":"market_lifecycle_v2","sid":13,"seq":3,"msg":{{"market_ticker":"INXD-B4487",{event}}}}}"#
        );
        read_frame(&frame).pop().unwrap()
    };
    let created = market_update(
        r#""open_ts":1694635200,"close_ts":1694721600,"event_type":"created","exchange_index":0,"price_level_structure":"linear_cent",
        "additional_metadata":{"name":"x","title":"S&P \"500\"","yes_sub_title":"above 4487","event_ticker":"INXD","floor_strike":4487}"#,
    );
    assert!(created.starts_with("Announced(MarketInfo { market: \"INXD-B4487\""), "{created}");
    assert!(created.contains(r#"question: "S&P \"500\": above 4487""#), "{created}");
    assert!(created.contains("end_wall_ns: Some(1694721600000000000)"), "{created}");
    assert!(market_update(r#""event_type":"activated""#).starts_with("Activated"));
    let yes =
        market_update(r#""event_type":"determined","result":"yes","settlement_value":"1.0000""#);
    assert!(yes.contains("winner: Some(\"INXD-B4487\")"), "{yes}");
    for (result, how) in [
        (r#""result":"no""#, r#"None, result: Some("no"), settlement_value: Some(Price(0))"#),
        (
            r#""result":"scalar","settlement_value":"0.2500""#,
            r#"None, result: Some("scalar"), settlement_value: Some(Price(250000))"#,
        ),
        (r#""result":"void""#, r#"None, result: Some("void"), settlement_value: None"#),
        (r#""result":"""#, "None, result: None, settlement_value: None"),
        (r#""settlement_value":"1.0000""#, "None, result: None, settlement_value: None"),
    ] {
        let update = market_update(&format!(r#""event_type":"determined",{result}"#));
        assert!(update.contains(&format!("winner: {how}")), "{result}: {update}");
    }
    assert!(
        market_update(r#""event_type":"close_date_updated","close_ts":2"#).contains("2000000000")
    );
    assert_eq!(
        market_update(r#""event_type":"metadata_updated""#),
        "13/3",
        "nothing relevant changes"
    );
    assert!(market_update(r#""event_ty":"x""#).contains("Missing"));
}

#[test]
fn a_book_message_in_an_unknown_envelope_is_lost() {
    let delta = r#"{"type":"orderbook_delta","sid":1,"seq":2,"msg":{"market_ticker":"A","price_dollars":"0.1","delta_fp":"1","side":"yes"}}"#;
    let bare = r#"{"market_ticker":"A","price_dollars":"0.1","delta_fp":"1","side":"yes"}"#;
    let text = delta.replace('"', r#"\""#);
    for wrapped in [
        format!(r#"{{"zzz":{delta}}}"#),
        format!(r#"{{"zzz":{bare}}}"#),
        format!(r#"{{"a":{{"b":[1,{delta}]}}}}"#),
        format!(r#"{{"a":"{text}"}}"#),
        format!(r#"{{"a":["{text}"]}}"#),
        format!(r#"{{"type":"batch","messages":[{delta}]}}"#),
        format!(r#"{{"type":"batch","msg":[{delta}]}}"#),
        format!(r#"{{"type":"batch","msg":{{"items":[{bare}]}}}}"#),
        format!(r#"{{"type":"batch","msg":"{text}"}}"#),
        r#"{"type":"orderbook_deltas","msg":{"A":[["0.1","1"]]}}"#.to_owned(),
    ] {
        assert!(is_lost(&wrapped), "{wrapped}");
    }
    let trade = delta.replace("orderbook_delta", "trade").replace("delta_fp", "count_fp");
    for other in [
        format!(r#"{{"zzz":{trade}}}"#),
        r#"{"status":{"exchange":["open"]},"seqs":3}"#.to_owned(),
        r#"{"type":"surprise","note":"[orderbook]","msg":["A",{"market":"A"}]}"#.to_owned(),
        r#"{"type":"ok","id":3,"msg":[{"channel":"orderbook_delta","sid":1}]}"#.to_owned(),
    ] {
        assert!(!is_lost(&other), "{other}");
    }
}

fn is_lost(frame: &str) -> bool {
    let mut seen = Seen::default();
    Decoder::default().decode(frame, &mut seen);
    seen.is_lost
}

#[test]
fn unknown_input_is_reported_and_skipped() {
    assert_eq!(read_frame(r#"{"type":"event_fee_update","sid":5,"seq":9,"msg":{}}"#), ["5/9"]);
    assert_eq!(read_frame(r#"{"type":"surprise","msg":{}}"#), [r#"UnknownEvent("surprise")"#]);
    let bad = r#"BadMessage { fault: BadValue("type"), offset: "#;
    for odd in [
        r#"{"type":"orderbook_update","sid":1,"seq":2,"msg":{"market_ticker":"A"}}"#,
        r#"{"type":null,"sid":1,"seq":2,"msg":{"market_ticker":"A"}}"#,
        r#"{"type":"surprise","sid":1,"seq":2,"msg":{"market_ticker":"A","delta_fp":"1.00"}}"#,
        r#"{"type":"surprise","sid":1,"seq":2,"msg":{"market_ticker":"A","no_dollars_fp":[]}}"#,
        r#"{"type":"level","sid":1,"seq":2,"msg":{"market_ticker":"A","price_dollars":"0.41","side":"yes"}}"#,
    ] {
        let seen = read_frame(odd);
        assert!(seen[1].starts_with(bad) && seen[1].contains("\"A\""), "{odd}: {seen:?}");
        assert!(seen[2].starts_with("UnknownEvent"), "{odd}: {seen:?}");
    }
    let fill = r#"{"type":"fill","sid":1,"seq":2,"msg":{"market_ticker":"A","side":"yes","count_fp":"1.00"}}"#;
    assert_eq!(read_frame(fill), ["1/2", r#"UnknownEvent("fill")"#]);
    let more = r#"{"type":"trade","sid":1,"seq":1,"sending_ts_ms":5,"msg":{"trade_id":"t","market_ticker":"A","yes_price_dollars":"0.1","count_fp":"1","taker_side":"yes","newness":{"a":[1,{}]},"newness":3}}"#;
    let seen = read_frame(more);
    assert!(seen[1].starts_with("trade Bid"), "{seen:?}");
    assert_eq!(seen[2], r#"UnknownKeys("newness")"#);
    for frame in [r#"{"type":"#, r#"[{"type":"trade"}"#, r#"{"type":"ok"} x"#] {
        assert!(read_frame(frame)[0].starts_with("BadFrame"), "{frame}");
    }
    for frame in ["[1,2]", "hello", "7", "\"x\""] {
        assert!(read_frame(frame)[0].starts_with("BadFrame"), "objects only: {frame}");
    }
    let twice =
        r#"{"type":"orderbook_delta","type":"trade","sid":1,"seq":1,"msg":{"market_ticker":"A"}}"#;
    assert!(read_frame(twice)[1].contains("Repeated"), "{:?}", read_frame(twice));
}

/// Under the name of another type, and under two.
#[test]
fn a_change_of_a_book_in_a_message_of_another_type_is_refused() {
    let delta =
        r#""msg":{"market_ticker":"A","price_dollars":"0.41","delta_fp":"5.00","side":"yes"}"#;
    let levels = r#""msg":{"market_ticker":"A","no_dollars_fp":[]}"#;
    for kind in ["trade", "ticker", "ok", "unsubscribed", "market_lifecycle_v2", "event_lifecycle"]
    {
        for msg in [delta, levels] {
            let seen = read_frame(&format!(r#"{{"type":"{kind}","sid":1,"seq":2,{msg}}}"#));
            assert_eq!(seen.len(), 2, "{kind}: {seen:?}");
            let bad = r#"BadMessage { fault: BadValue("type"), offset: "#;
            assert!(seen[1].starts_with(bad) && seen[1].contains("\"A\""), "{kind}: {seen:?}");
        }
    }
    let twice = format!(r#"{{"type":"orderbook_delta","sid":1,"seq":2,{delta},"type":"ticker"}}"#);
    assert!(read_frame(&twice)[1].contains("\"A\""), "{:?}", read_frame(&twice));
    let nameless = r#"{"type":"ticker","sid":1,"msg":{"delta_fp":"5.00"}}"#;
    assert!(Decoder::default().outline(nameless).broken, "a change of any book");
}

#[test]
fn a_duplicate_is_not_delivered() {
    let frame = r#"{"type":"orderbook_delta","sid":1,"seq":24,"msg":{"market_ticker":"A","price_dollars":"0.43","delta_fp":"1.00","side":"yes"}}"#;
    let mut seen = Seen { repeated: true, ..Seen::default() };
    Decoder::default().decode(frame, &mut seen);
    assert_eq!(seen.lines, ["1/24"]);
}

#[test]
fn outlines_have_market_and_sequence_number() {
    let mut decoder = Decoder::default();
    let frame = r#"{"msg":{"market_ticker":"A"},"seq":4,"sid":1,"type":"orderbook_delta"}"#;
    let outline = decoder.outline(frame);
    assert_eq!((outline.market, outline.sequence), (Some("A"), Some((1, 4))));
    assert!(decoder.outline(r#"{"msg""#).broken);
    assert!(decoder.outline("text").broken);
    let nameless = r#"{"type":"orderbook_delta","sid":1,"seq":5,"msg":{}}"#;
    let outline = decoder.outline(nameless);
    assert_eq!((outline.broken, outline.sequence), (true, Some((1, 5))));
    let unnumbered = r#"{"type":"orderbook_delta","sid":1,"msg":{"market_ticker":"A"}}"#;
    assert!(decoder.outline(unnumbered).broken, "a change whose place among the others is unknown");
}

#[test]
fn large_quantities_are_exact() {
    let frame = r#"{"type":"orderbook_snapshot","sid":2,"seq":2,"msg":{"market_ticker":"A","yes_dollars_fp":[["0.0001","9999999999999.01"]]}}"#;
    assert_eq!(read_frame(frame)[2], "book A [9999999999999.01x0.0001] []");
    assert_eq!(Quantity::parse(b"9999999999999.01").unwrap().0, 9_999_999_999_999_010_000);
}

/// The form until 2026-03 and the forms between, which some recordings have.
#[test]
fn older_forms_give_the_same_books_or_are_refused() {
    let book = |sides: &str| {
        read_frame(&format!(
            r#"{{"type":"orderbook_snapshot","sid":2,"seq":2,"msg":{{"market_ticker":"A"{sides}}}}}"#
        ))[2]
            .clone()
    };
    let same = "book A [300x0.08 333x0.22] [20x0.46 146x0.44]";
    let cents = r#","yes":[[8,300],[22,333]],"no":[[54,20],[56,146]]"#;
    let dollars = r#","yes_dollars":[["0.0800",300],["0.2200",333]],"no_dollars":[["0.540",20],["0.560",146]]"#;
    let newest = r#","yes_dollars_fp":[["0.0800","300.00"],["0.2200","333.00"]],"no_dollars_fp":[["0.5400","20.00"],["0.5600","146.00"]]"#;
    let of = |forms: &[&str]| forms.concat();
    for sides in [
        of(&[cents]),
        of(&[dollars]),
        of(&[newest]),
        of(&[cents, dollars]),
        of(&[dollars, cents, newest]),
        of(&[newest, cents]),
        r#","yes":[["8","300"],["22","333"]],"no":[[54,20],[56,146]]"#.to_owned(),
    ] {
        assert_eq!(book(&sides), same, "{sides}");
    }
    for (sides, expected) in [
        (r#","yes":[[8,300]]"#, "book A [300x0.08] []"),
        (r#","yes":null,"no":[[54,20]]"#, "book A [] [20x0.46]"),
        (r#","yes_dollars":[["0.0800",300]],"yes":[[9,1]],"no":[]"#, "book A [300x0.08] []"),
        ("", "book A [] []"),
        (r#","market_id":"x","version":3"#, "book A [] []"),
    ] {
        assert_eq!(book(sides), expected, "{sides}");
    }
    for sides in [
        r#","yes":[[8.5,300]]"#,
        r#","yes":[[101,300]]"#,
        r#","yes":[[-1,300]]"#,
        r#","yes":[[8,-300]]"#,
        r#","yes":[[8]]"#,
        r#","yes":{"8":300}"#,
        r#","yes_dollars":[[0.08,300]]"#,
        r#","yes_dollars":[["0.08",1.5]]"#,
        r#","yes_levels":[["0.08","1"]]"#,
        r#","true":[[8,300]],"false":[[54,20]]"#,
        // Empty in one form, not in another: which is right is not known.
        r#","yes_dollars_fp":null,"yes_dollars":[["0.0800",300]]"#,
        r#","no_dollars_fp":[],"no":[[54,20]]"#,
        // Levels under keys that are not known.
        r#","orderbook":{"yes":[[8,300]],"no":[[54,20]]}"#,
        r#","orderbook_fp":{"yes_dollars":[["0.0800","300.00"]]}"#,
    ] {
        assert!(book(sides).starts_with("BadMessage"), "{sides}: {}", book(sides));
    }
}

#[test]
fn older_deltas_trades_and_tickers_are_exact() {
    let read = |kind: &str, msg: &str| {
        let frame =
            format!(r#"{{"type":"{kind}","sid":2,"seq":3,"msg":{{"market_ticker":"A",{msg}}}}}"#);
        read_frame(&frame)[1].clone()
    };
    let delta = |msg: &str| read("orderbook_delta", msg);
    for msg in [
        r#""price":96,"price_dollars":"0.960","delta":-54,"side":"yes""#,
        r#""price":96,"delta":-54,"side":"yes""#,
        r#""price_dollars":"0.9600","delta":-54,"delta_fp":"-54.00","side":"yes""#,
        r#""delta":"-54","price":"96","side":"yes""#,
    ] {
        assert_eq!(delta(msg), "Bid 0.96 -54000000 at 0 ms", "{msg}");
    }
    assert_eq!(delta(r#""price":4,"delta":7,"side":"no""#), "Ask 0.96 +7000000 at 0 ms");
    for msg in [
        r#""price":9.5,"delta":7,"side":"no""#,
        r#""price":4,"delta":7.5,"side":"no""#,
        r#""price":400,"delta":7,"side":"no""#,
        r#""price":4,"side":"no""#,
        r#""delta":7,"side":"no""#,
    ] {
        assert!(delta(msg).starts_with("BadMessage"), "{msg}: {}", delta(msg));
    }
    let trade = r#""yes_price":36,"no_price":64,"count":136,"taker_side":"no","ts":1669149841,"trade_id":"t""#;
    assert_eq!(read("trade", trade), "trade Ask 136 at 0.36 t");
    let ticker = r#""price":48,"yes_bid":45,"yes_ask":53,"volume":1,"ts":1669149841"#;
    assert_eq!(read("ticker", ticker), "top Some(450000) Some(530000)");
}
