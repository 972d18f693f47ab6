//! Comparison of the scan of usual layouts with the full parser: equal output for every frame.
//!
//! More cases: `PROPTEST_CASES=200000 cargo test --release --lib layouts`.
use super::*;
use crate::venue::broken::broken_frame;
use proptest::prelude::*;

/// Everything delivered as text. The sink refuses the envelope if `repeated`, the response if `unasked`.
#[derive(Default)]
struct Output {
    lines: Vec<String>,
    repeated: bool,
    unasked: bool,
}

impl Sink for Output {
    fn on_envelope(&mut self, envelope: &Envelope) -> bool {
        self.lines.push(format!("{envelope:?}"));
        !self.repeated
    }
    fn on_event(&mut self, event: &Event<'_>) {
        self.lines.push(format!("{event:?}"));
    }
    fn on_market_update(&mut self, update: MarketUpdate) {
        self.lines.push(format!("{update:?}"));
    }
    fn on_lost(&mut self) {
        self.lines.push("lost".into());
    }
    fn on_reply(&mut self, reply: &Reply<'_>) -> bool {
        self.lines.push(format!("{reply:?}"));
        !self.unasked
    }
    fn on_decode_notice(&mut self, notice: &DecodeNotice<'_>) {
        self.lines.push(format!("{notice:?}"));
    }
}

/// Output of both readers, and their outlines. The memory of both decoders has the levels of a message before.
fn both(frame: &str, repeated: bool, unasked: bool) -> [(u32, Vec<String>); 2] {
    const BEFORE: &str = r#"{"type":"orderbook_snapshot","sid":1,"seq":1,"msg":{"market_ticker":"A","yes_dollars_fp":[["0.1000","1.00"]],"no":[[3,4]]}}"#;
    [false, true].map(|whole| {
        let (mut decoder, mut output) = (Decoder::default(), Output::default());
        decoder.decode_whole(BEFORE, &mut output);
        output = Output { repeated, unasked, ..Output::default() };
        let (count, outline) = if whole {
            (decoder.decode_whole(frame, &mut output), decoder.outline_whole(frame))
        } else {
            (decoder.decode(frame, &mut output), decoder.outline(frame))
        };
        output.lines.push(format!("{outline:?}"));
        (count, output.lines)
    })
}

fn is_scanned(frame: &str) -> bool {
    scan(frame, &mut Scratch::default()).is_some()
}

fn price() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => (0..10_000u32).prop_map(|n| format!("0.{n:04}")),
        2 => (0..1_000u32).prop_map(|n| format!("0.{n:03}")),
        1 => Just("1.0000".into()),
        1 => Just(String::new()),
        1 => "[0-9.]{0,9}",
    ]
}

fn quantity() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => (0..100_000u64, 0..100u32).prop_map(|(n, m)| format!("{n}.{m:02}")),
        2 => (0..100_000_000_000u64, 0..100u32).prop_map(|(n, m)| format!("{n}.{m:02}")),
        1 => (0..1_000u32).prop_map(|n| n.to_string()),
        1 => "[-+]?[0-9.]{0,20}",
    ]
}

fn signed() -> impl Strategy<Value = String> {
    (prop_oneof![4 => Just(""), 4 => Just("-"), 1 => Just("+"), 1 => Just("--")], quantity())
        .prop_map(|(sign, quantity)| format!("{sign}{quantity}"))
}

fn ticker() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "KX[A-Z]{1,9}-26[A-Z]{3}[0-9]{2,6}-[A-Z]?[0-9.]{1,9}",
        2 => "[A-Z0-9.-]{1,40}",
        1 => Just(String::new()),
        1 => Just("Ä\\u0041".into()),
    ]
}

fn uuid() -> impl Strategy<Value = String> {
    prop_oneof![8 => "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", 1 => "[0-9a-zA-Z-]{0,40}"]
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => (0..1_000_000u64).prop_map(|n| n.to_string()),
        2 => any::<u64>().prop_map(|n| n.to_string()),
        1 => any::<i64>().prop_map(|n| n.to_string()),
        1 => "[0-9]{1,22}",
        1 => prop_oneof![Just("null"), Just("1e3"), Just("1.5"), Just("\"7\""), Just("true")]
            .prop_map(str::to_owned),
    ]
}

fn ts_ms() -> impl Strategy<Value = String> {
    prop_oneof![8 => "17[0-9]{11}", 1 => "0[0-9]{12}", 1 => number()]
}

fn ts() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "2026-0[1-9]-1[0-9]T0[0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{3,6})?Z",
        1 => "[0-9TZ:.-]{0,30}",
    ]
}

fn side() -> impl Strategy<Value = &'static str> {
    prop_oneof![6 => Just("yes"), 6 => Just("no"), 1 => Just("YES"), 1 => Just("")]
}

fn delta() -> BoxedStrategy<String> {
    (ticker(), uuid(), price(), signed(), side(), ts(), ts_ms(), 0..8u8)
        .prop_map(|(ticker, id, price, delta, side, ts, ts_ms, form)| {
            let mut body = format!(r#""market_ticker":"{ticker}""#);
            if form != 0 {
                body += &format!(r#","market_id":"{id}""#);
            }
            body += &format!(r#","price_dollars":"{price}","delta_fp":"{delta}","side":"{side}""#);
            if form != 1 {
                body += &format!(r#","ts":"{ts}""#);
            }
            if form > 2 {
                body += &format!(r#","ts_ms":{ts_ms}"#);
            }
            body
        })
        .boxed()
}

fn levels() -> impl Strategy<Value = String> {
    prop::collection::vec((price(), quantity()), 0..6).prop_map(|levels| {
        let level = |(price, quantity): &(String, String)| format!(r#"["{price}","{quantity}"]"#);
        levels.iter().map(level).collect::<Vec<_>>().join(",")
    })
}

fn snapshot_body() -> BoxedStrategy<String> {
    (ticker(), uuid(), levels(), levels(), 0..6u8)
        .prop_map(|(ticker, id, yes, no, form)| {
            let mut body = format!(r#""market_ticker":"{ticker}","market_id":"{id}""#);
            if form != 0 {
                body += &format!(r#","yes_dollars_fp":[{yes}]"#);
            }
            if form != 1 {
                body += &format!(r#","no_dollars_fp":[{no}]"#);
            }
            if form == 2 {
                body += r#","yes_dollars":null"#;
            }
            body
        })
        .boxed()
}

fn trade_body() -> BoxedStrategy<String> {
    (uuid(), ticker(), price(), price(), quantity(), side(), side(), number(), ts_ms(), 0..8u8)
        .prop_map(|(id, ticker, yes, no, count, side, outcome, ts, ts_ms, form)| {
            let mut body = format!(
                r#""trade_id":"{id}","market_ticker":"{ticker}","yes_price_dollars":"{yes}","no_price_dollars":"{no}","count_fp":"{count}","taker_side":"{side}""#
            );
            if form > 1 {
                body += &format!(
                    r#","taker_outcome_side":"{outcome}","taker_book_side":"ask","is_block_trade":{}"#,
                    form == 2
                );
            }
            body += &format!(r#","ts":{ts}"#);
            if form > 0 {
                body += &format!(r#","ts_ms":{ts_ms}"#);
            }
            body
        })
.boxed()
}

fn ticker_body() -> BoxedStrategy<String> {
    let quantities = prop::collection::vec(quantity(), 5);
    let numbers = prop::collection::vec(number(), 3);
    (uuid(), ticker(), [price(), price(), price()], quantities, numbers, ts_ms(), ts(), 0..8u8)
        .prop_map(|(id, ticker, [price, bid, ask], q, n, ts_ms, time, form)| {
            let names = match form % 2 {
                0 => format!(r#""market_id":"{id}","market_ticker":"{ticker}""#),
                _ => format!(r#""market_ticker":"{ticker}","market_id":"{id}""#),
            };
            let prices = format!(
                r#""price_dollars":"{price}","yes_bid_dollars":"{bid}","yes_ask_dollars":"{ask}""#
            );
            let sizes = format!(
                r#""yes_bid_size_fp":"{}","yes_ask_size_fp":"{}","last_trade_size_fp":"{}""#,
                q[0], q[1], q[2]
            );
            let volumes = format!(
                r#""volume_fp":"{}","open_interest_fp":"{}","dollar_volume":{},"dollar_open_interest":{}"#,
                q[3], q[4], n[0], n[1]
            );
            let middle = match form / 2 {
                0 => format!("{volumes},{sizes}"),
                1 => volumes,
                _ => format!("{sizes},{volumes}"),
            };
            format!(r#"{names},{prices},{middle},"ts":{},"ts_ms":{ts_ms},"time":"{time}""#, n[2])
        })
.boxed()
}

/// A message of a recorded layout, and others. Value trees are boxed: by value they need more than the 2 MB of a test's
/// stack in an unoptimized build.
fn frame() -> BoxedStrategy<String> {
    let body = prop_oneof![
        3 => delta().prop_map(|body| ("orderbook_delta", body)),
        2 => snapshot_body().prop_map(|body| ("orderbook_snapshot", body)),
        2 => ticker_body().prop_map(|body| ("ticker", body)),
        2 => trade_body().prop_map(|body| ("trade", body)),
        1 => delta().prop_map(|body| ("market_lifecycle_v2", body)),
    ];
    (body, number(), number(), ts_ms(), 0..16u8)
        .prop_map(|((kind, body), sid, seq, sent, form)| {
            let mut frame = format!(r#"{{"type":"{kind}","sid":{sid}"#);
            if form != 0 && (kind != "ticker" || form == 1) {
                frame += &format!(r#","seq":{seq}"#);
            }
            if form == 2 {
                frame += &format!(r#","sending_ts_ms":{sent}"#);
            }
            frame += &format!(r#","msg":{{{body}}}"#);
            if form == 2 || form == 3 {
                frame += &format!(r#","sending_ts_ms":{sent}"#);
            }
            frame.push('}');
            if form == 4 {
                frame.push('\n');
            }
            frame
        })
        .boxed()
}

/// The members of `msg` in another order.
fn reordered(frame: &str, by: usize) -> String {
    let Some((head, rest)) = frame.split_once("\"msg\":{") else { return frame.to_owned() };
    let Some((body, tail)) = rest.split_once('}') else { return frame.to_owned() };
    let mut members: Vec<&str> = body.split(",\"").collect();
    let count = members.len();
    members.rotate_left(by % count);
    let members: Vec<&str> = members.iter().map(|member| member.trim_start_matches('"')).collect();
    format!("{head}\"msg\":{{\"{}}}{tail}", members.join(",\""))
}

proptest! {
    #[test]
    fn the_output_does_not_depend_on_the_reader(frame in frame(), answers in 0..4u8) {
        let [fast, full] = both(&frame, answers == 1, answers == 2);
        prop_assert_eq!(fast, full, "{}", &frame);
    }

    #[test]
    fn nor_for_a_broken_frame(frame in broken_frame(frame())) {
        let [fast, full] = both(&frame, false, false);
        prop_assert_eq!(fast, full, "{}", &frame);
    }

    #[test]
    fn nor_for_another_order_of_keys(frame in frame(), by in any::<usize>()) {
        let frame = reordered(&frame, by);
        let [fast, full] = both(&frame, false, false);
        prop_assert_eq!(fast, full, "{}", &frame);
    }
}

/// The tests above would pass if the scan refused everything.
#[test]
fn the_usual_layouts_are_scanned() {
    let id = "957ed958-9b9b-4a98-b024-16a394cd214c";
    let time = r#""ts":"2026-08-07T06:46:28.97871Z","ts_ms":1786085188978"#;
    let change = format!(
        r#""market_ticker":"A-1","market_id":"{id}","price_dollars":"0.4300","delta_fp":"-100.00","side":"yes""#
    );
    let deal = format!(
        r#""trade_id":"{id}","market_ticker":"A-1","yes_price_dollars":"0.3600","no_price_dollars":"0.6400","count_fp":"136.00","taker_side":"no""#
    );
    let prices = r#""price_dollars":"","yes_bid_dollars":"0.4500","yes_ask_dollars":"1.0000""#;
    let sizes =
        r#""yes_bid_size_fp":"0.00","yes_ask_size_fp":"150.00","last_trade_size_fp":"25.00""#;
    let volumes = r#""volume_fp":"1233896.00","open_interest_fp":"20422.00","dollar_volume":16948,"dollar_open_interest":10211"#;
    let end = r#""ts":1669149841,"ts_ms":1669149841000,"time":"2022-11-22T20:44:01Z""#;
    for (kind, body) in [
        ("orderbook_delta", format!("{change},{time}")),
        ("orderbook_delta", change),
        (
            "orderbook_snapshot",
            format!(
                r#""market_ticker":"A-1","market_id":"{id}","yes_dollars_fp":[["0.0800","300.00"],["0.2200","1174194.00"]],"no_dollars_fp":[["0.5400","0.01"]]"#
            ),
        ),
        ("orderbook_snapshot", format!(r#""market_ticker":"A-1","market_id":"{id}""#)),
        ("trade", format!(r#"{deal},"ts":1773331880"#)),
        (
            "trade",
            format!(
                r#"{deal},"taker_outcome_side":"no","taker_book_side":"ask","is_block_trade":false,"ts":1669149841,"ts_ms":1669149841000"#
            ),
        ),
        (
            "ticker",
            format!(r#""market_id":"{id}","market_ticker":"A-1",{prices},{volumes},{sizes},{end}"#),
        ),
        (
            "ticker",
            format!(r#""market_ticker":"A-1","market_id":"{id}",{prices},{sizes},{volumes},{end}"#),
        ),
    ] {
        for (before, after) in
            [("", "}"), ("", "}\n"), (r#","sending_ts_ms":7"#, "}"), ("", r#","sending_ts_ms":7}"#)]
        {
            let frame =
                format!(r#"{{"type":"{kind}","sid":2,"seq":24{before},"msg":{{{body}}}{after}"#);
            assert!(is_scanned(&frame), "{frame}");
            let [fast, full] = both(&frame, false, false);
            assert_eq!(fast, full, "{frame}");
            assert!(fast.1.iter().all(|line| !line.contains("Bad")), "{fast:?}");
        }
    }
}
