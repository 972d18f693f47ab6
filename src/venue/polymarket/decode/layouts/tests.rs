//! Comparison of the scan of usual layouts with the full parser: equal output for every frame.
//!
//! More cases: `PROPTEST_CASES=200000 cargo test --release --lib layouts`.
use super::*;
use crate::venue::broken::broken_frame;
use proptest::prelude::*;

/// Everything delivered as text, without fault offsets.
#[derive(Default)]
struct Output(Vec<String>);

impl Sink for Output {
    fn on_event(&mut self, event: &Event<'_>) {
        self.0.push(match event {
            // Spans depend on the frame; compare what they cut out.
            Event::Changes(changes) => {
                let entries: Vec<String> = (changes.iter())
                    .map(|(token, change)| {
                        let &ChangeSpan { side, level, hash, best_bid, best_ask, .. } = change;
                        format!("{token} {side:?} {level:?} {hash:?} {best_bid:?} {best_ask:?}")
                    })
                    .collect();
                format!("{} {} {entries:?}", changes.market, changes.timestamp_ms)
            }
            other => format!("{other:?}"),
        });
    }
    fn on_market_update(&mut self, update: MarketUpdate) {
        self.0.push(format!("{update:?}"));
    }
    fn on_decode_notice(&mut self, notice: &DecodeNotice<'_>) {
        self.0.push(match notice {
            DecodeNotice::BadFrame { .. } => "bad frame".into(),
            DecodeNotice::BadMessage { fault, market, token, .. } => {
                format!("bad message {fault:?} {market} {token}")
            }
            other => format!("{other:?}"),
        });
    }
}

fn by_the_full_parser(frame: &str) -> Vec<String> {
    let mut output = Output::default();
    Decoder::default().decode_whole(frame, &mut output);
    output.0
}

fn at_once(frame: &str) -> Vec<String> {
    let mut output = Output::default();
    let count = Decoder::default().decode(frame, &mut output);
    assert!(count as usize <= output.0.len() + usize::from(output.0.is_empty()) + 1);
    output.0
}

fn in_parts(frame: &str, budgets: &[usize]) -> Vec<String> {
    let (mut output, mut progress) = (Output::default(), Progress::default());
    let (mut decoder, mut parts) = (Decoder::default(), 0);
    for &budget in budgets.iter().cycle() {
        if progress.is_done() {
            break;
        }
        // Every part advances.
        parts += 1;
        assert!(parts <= 2 * frame.len() + 4, "no end");
        decoder.decode_part(frame, &mut progress, budget, &mut output);
    }
    output.0
}

/// Whether the scan alone reads the frame.
fn is_scanned(frame: &str) -> bool {
    scan(frame, 0, &mut Scratch::default()).is_some_and(|message| message.end == frame.len())
}

const MARKET: &str = "0x5dacb3919e3eb6372770cba85c42e0f980ddf18b1a767751de700ee272269233";

fn decimal() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => (0..1000u32).prop_map(|n| format!("0.{n:03}")),
        4 => (0..100u32).prop_map(|n| format!("0.{n}")),
        4 => (0..1_000_000u32, 0..100u32).prop_map(|(n, m)| format!("{n}.{m:02}")),
        2 => (0..100_000_000u64).prop_map(|n| n.to_string()),
        1 => Just("0".into()),
        1 => Just("1".into()),
        1 => Just(String::new()),
        1 => "[0-9.]{0,12}",
    ]
}

fn token() -> impl Strategy<Value = String> {
    prop_oneof![8 => "[1-9][0-9]{76}", 2 => "[1-9][0-9]{71,77}", 1 => "[0-9]{1,80}"]
}

fn hash() -> impl Strategy<Value = String> {
    prop_oneof![12 => "[0-9a-f]{40}", 1 => "[0-9A-F]{39,41}", 1 => Just("0x00".into())]
}

fn side() -> impl Strategy<Value = &'static str> {
    prop_oneof![6 => Just("BUY"), 6 => Just("SELL"), 1 => Just("buy"), 1 => Just("")]
}

fn time() -> impl Strategy<Value = String> {
    prop_oneof![9 => "17[0-9]{11}", 1 => "[0-9]{1,20}", 1 => "00[0-9]{11}"]
}

fn levels(spaced: bool) -> BoxedStrategy<String> {
    prop::collection::vec((decimal(), decimal()), 0..6)
        .prop_map(move |levels| {
            let comma = if spaced { ", " } else { "," };
            let level =
                |(p, q): &(String, String)| format!(r#"{{"price":"{p}"{comma}"size":"{q}"}}"#);
            levels.iter().map(level).collect::<Vec<_>>().join(comma)
        })
        .boxed()
}

fn change(spaced: bool) -> BoxedStrategy<String> {
    let comma = if spaced { ", " } else { "," };
    (token(), decimal(), decimal(), side(), hash(), decimal(), decimal())
        .prop_map(move |(token, price, size, side, hash, bid, ask)| {
            [
                format!(r#"{{"asset_id":"{token}""#),
                format!(r#""price":"{price}""#),
                format!(r#""size":"{size}""#),
                format!(r#""side":"{side}""#),
                format!(r#""hash":"{hash}""#),
                format!(r#""best_bid":"{bid}""#),
                format!(r#""best_ask":"{ask}"}}"#),
            ]
            .join(comma)
        })
        .boxed()
}

/// A message of a recorded layout. Value trees are boxed: by value they need more than the 2 MB of a test's stack in an
/// unoptimized build.
fn message(spaced: bool) -> BoxedStrategy<String> {
    let comma = if spaced { ", " } else { "," };
    let changes =
        (prop::collection::vec(change(spaced), 1..4), time()).prop_map(move |(entries, time)| {
            let entries = entries.join(comma);
            [
                format!(r#"{{"market":"{MARKET}""#),
                format!(r#""price_changes":[{entries}]"#),
                format!(r#""timestamp":"{time}""#),
                r#""event_type":"price_change"}"#.to_owned(),
            ]
            .join(comma)
        });
    let book = (token(), levels(spaced), levels(spaced), hash(), time(), decimal(), 0..4u8)
        .prop_map(move |(token, bids, asks, hash, time, decimal, form)| {
            let (bids, asks) = (format!(r#""bids":[{bids}]"#), format!(r#""asks":[{asks}]"#));
            let (hash, time) = (format!(r#""hash":"{hash}""#), format!(r#""timestamp":"{time}""#));
            let (tick, kind) = (r#""tick_size":"0.001""#.to_owned(), r#""event_type":"book""#);
            let last = format!(r#""last_trade_price":"{decimal}""#);
            let mut members =
                vec![format!(r#"{{"market":"{MARKET}""#), format!(r#""asset_id":"{token}""#)];
            members.extend(match form {
                0 => vec![bids, asks, hash, time, kind.into()],
                1 => vec![time, hash, bids, asks, tick, kind.into(), last],
                2 => vec![time, hash, bids, asks, tick, last, kind.into()],
                _ => vec![time, hash, bids, asks, kind.into(), last],
            });
            members.join(comma) + "}"
        });
    let trade = (token(), decimal(), decimal(), decimal(), side(), time()).prop_map(
        move |(token, price, size, fee, side, time)| {
            [
                format!(r#"{{"market":"{MARKET}""#),
                format!(r#""asset_id":"{token}""#),
                format!(r#""price":"{price}""#),
                format!(r#""size":"{size}""#),
                format!(r#""fee_rate_bps":"{fee}""#),
                format!(r#""side":"{side}""#),
                format!(r#""timestamp":"{time}""#),
                r#""event_type":"last_trade_price""#.to_owned(),
                format!(r#""transaction_hash":"{MARKET}"}}"#),
            ]
            .join(comma)
        },
    );
    prop_oneof![3 => changes, 2 => book, 1 => trade].boxed()
}

/// Messages that only the full parser reads.
fn other_message() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(r#"{"event_type":"what is this","x":[1,{"y":"]}"}]}"#.to_owned()),
        Just(r#"{"a":"\"}"}"#.to_owned()),
        Just(format!(
            r#"{{"market":"{MARKET}","asset_id":"7","best_bid":"0.5","event_type":"best_bid_ask","timestamp":"1"}}"#
        )),
        Just("7".to_owned()),
        Just("[]".to_owned()),
    ]
}

fn any_message() -> BoxedStrategy<String> {
    prop_oneof![6 => message(false), 4 => message(true), 1 => other_message()].boxed()
}

fn frame() -> BoxedStrategy<String> {
    let list = prop::collection::vec(any_message(), 0..5);
    prop_oneof![
        2 => any_message(),
        2 => (list, any::<bool>()).prop_map(|(messages, spaced)| {
            format!("[{}]", messages.join(if spaced { ", " } else { "," }))
        }),
    ]
    .boxed()
}

proptest! {
    #[test]
    fn the_output_does_not_depend_on_the_reader(
        frame in frame(),
        budgets in prop::collection::vec(1..2000usize, 1..4),
    ) {
        let expected = by_the_full_parser(&frame);
        prop_assert_eq!(at_once(&frame), &expected[..], "{}", &frame);
        prop_assert_eq!(in_parts(&frame, &budgets), &expected[..], "{}", &frame);
    }

    #[test]
    fn nor_for_a_broken_frame(
        frame in broken_frame(frame()),
        budgets in prop::collection::vec(1..2000usize, 1..4),
    ) {
        let expected = by_the_full_parser(&frame);
        prop_assert_eq!(at_once(&frame), &expected[..], "{}", &frame);
        prop_assert_eq!(in_parts(&frame, &budgets), &expected[..], "{}", &frame);
    }
}

/// The tests above would pass if the scan refused everything.
#[test]
fn the_usual_layouts_are_scanned() {
    let entry = |comma: &str| {
        let token = "8".repeat(77);
        [
            format!(r#"{{"asset_id":"{token}""#),
            r#""price":"0.85""#.into(),
            r#""size":"503.32""#.into(),
            r#""side":"BUY""#.into(),
            r#""hash":"52a1ab0b83926e8d34a1018feea85a50af0cea81""#.into(),
            r#""best_bid":"0.85""#.into(),
            r#""best_ask":"1"}"#.into(),
        ]
        .join(comma)
    };
    for comma in [",", ", "] {
        let token = "8".repeat(77);
        let id = format!(r#""asset_id":"{token}""#);
        let hash = r#""hash":"52a1ab0b83926e8d34a1018feea85a50af0cea81""#;
        let time = r#""timestamp":"1778204225252""#;
        let bids = format!(r#""bids":[{{"price":"0.01"{comma}"size":"5"}}]"#);
        let market = format!(r#"{{"market":"{MARKET}""#);
        let entries = [entry(comma), entry(comma)].join(comma);
        for members in [
            vec![
                format!(r#""price_changes":[{entries}]"#),
                time.into(),
                r#""event_type":"price_change"}"#.into(),
            ],
            vec![
                id.clone(),
                bids.clone(),
                r#""asks":[]"#.into(),
                hash.into(),
                time.into(),
                r#""event_type":"book"}"#.into(),
            ],
            vec![
                id.clone(),
                time.into(),
                hash.into(),
                bids,
                r#""asks":[]"#.into(),
                r#""tick_size":"0.01""#.into(),
                r#""event_type":"book""#.into(),
                r#""last_trade_price":"0.870"}"#.into(),
            ],
            vec![
                id,
                r#""price":"0.585""#.into(),
                r#""size":"2.46""#.into(),
                r#""fee_rate_bps":"0""#.into(),
                r#""side":"SELL""#.into(),
                time.into(),
                r#""event_type":"last_trade_price""#.into(),
                format!(r#""transaction_hash":"{MARKET}"}}"#),
            ],
        ] {
            let frame = format!("{market}{comma}{}", members.join(comma));
            assert!(is_scanned(&frame), "{frame}");
            assert_eq!(at_once(&frame), by_the_full_parser(&frame), "{frame}");
            assert_eq!(at_once(&frame).len(), 1, "{frame}");
        }
    }
}

#[test]
fn a_list_is_decoded_in_parts_of_the_budget() {
    let one = format!(
        r#"{{"market":"{MARKET}","asset_id":"{}","bids":[],"asks":[],"hash":"{}","timestamp":"1778204225252","event_type":"book"}}"#,
        "7".repeat(77),
        "a".repeat(40)
    );
    let frame = format!("[{}]", vec![one.as_str(); 100].join(","));
    let (mut output, mut progress) = (Output::default(), Progress::default());
    let mut decoder = Decoder::default();
    let mut counts = Vec::new();
    while !progress.is_done() {
        counts.push(decoder.decode_part(&frame, &mut progress, 10 * (one.len() + 1), &mut output));
    }
    // Ten parts that validate, ten that deliver.
    assert_eq!((counts.len(), output.0.len()), (20, 100));
    assert_eq!((&counts[..10], &counts[10..]), (&[0; 10][..], &[10; 10][..]));
}
