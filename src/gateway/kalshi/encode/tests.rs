//! Numbers and bodies, byte by byte.
use super::*;
use crate::base::id::{MarketId, TradeId, Venue};
use crate::market::book::image::{BookFacts, BookImage};
use crate::market::book::{BookState, Level};
use crate::market::info::{MarketInfo, Outcome, Resolution};

fn level(price: u32, quantity: u64) -> Level {
    Level { price: Price(price), quantity: Quantity(quantity) }
}

fn replica(bids: &[Level], asks: &[Level]) -> Replica {
    let image = BookImage {
        market: MarketId::new("KX-A.5"),
        token: TokenId::new("KX-A.5"),
        state: BookState::Live,
        facts: BookFacts { timestamp_ms: 1_786_085_188_978, ..BookFacts::default() },
        bids: bids.to_vec(),
        asks: asks.to_vec(),
        ..BookImage::default()
    };
    Replica::new(Venue::named("kalshi"), &image, 1, 1_786_085_189_000_000_000).unwrap()
}

fn text(write: impl FnOnce(&mut String)) -> String {
    let mut out = String::new();
    write(&mut out);
    out
}

const IDS: &str = r#"{"market_ticker":"KX-A.5","market_id":"MARKET_ID""#;

/// With the market's id in place of `MARKET_ID`.
fn golden(text: &str) -> String {
    let mut id = String::new();
    push_market_id(&mut id, "KX-A.5");
    text.replace("MARKET_ID", &id)
}

#[test]
fn numbers_have_the_venues_decimals_and_are_never_rounded() {
    for (units, dollars) in [
        (0, "0.0000"),
        (430_000, "0.4300"),
        (1_000_000, "1.0000"),
        (100, "0.0001"),
        (123_456, "0.123456"),
        (10, "0.00001"),
    ] {
        assert_eq!(text(|out| push_dollars(out, Price(units))), dollars);
    }
    for (units, count) in [
        (0, "0.00"),
        (300_000_000, "300.00"),
        (500_000, "0.50"),
        (10_000, "0.01"),
        (219_217_767, "219.217767"),
        (1_001_000, "1.001"),
        (u64::MAX, "18446744073709.551615"),
    ] {
        assert_eq!(text(|out| push_count(out, Quantity(units))), count);
        assert_eq!(Quantity::parse(count.as_bytes()), Some(Quantity(units)));
    }
    let delta = |before, after| text(|out| push_delta(out, Quantity(before), Quantity(after)));
    assert_eq!(delta(150_000_000, 50_000_000), "-100.00");
    assert_eq!(delta(0, 7_250_000), "7.25");
    assert_eq!(delta(u64::MAX, 0), "-18446744073709.551615");
}

#[test]
fn a_market_has_one_valid_uuid() {
    let id = |ticker| text(|out| push_market_id(out, ticker));
    let first = id("KX-A");
    assert_eq!(first, id("KX-A"));
    assert_ne!(first, id("KX-B"));
    let groups: Vec<usize> = first.split('-').map(str::len).collect();
    assert_eq!(groups, [8, 4, 4, 4, 12], "{first}");
    assert_eq!((&first[14..15], "89ab".contains(&first[19..20])), ("5", true), "{first}");
    assert!(first.chars().all(|c| c == '-' || c.is_ascii_hexdigit()));
}

#[test]
fn a_snapshot_has_both_sides_ascending() {
    let book = replica(
        &[level(80_000, 300_000_000), level(220_000, 333_500_000)],
        &[level(460_000, 20_000_000), level(440_000, 146_000_000)],
    );
    let yes = r#","yes_dollars_fp":[["0.0800","300.00"],["0.2200","333.50"]]"#;
    assert_eq!(
        text(|out| snapshot(out, &book, false)),
        golden(&format!(
            r#"{IDS}{yes},"no_dollars_fp":[["0.5400","20.00"],["0.5600","146.00"]]}}"#
        ))
    );
    assert_eq!(
        text(|out| snapshot(out, &book, true)),
        golden(&format!(
            r#"{IDS}{yes},"no_dollars_fp":[["0.4400","146.00"],["0.4600","20.00"]]}}"#
        ))
    );
    let empty = golden(&format!(r#"{IDS},"yes_dollars_fp":[],"no_dollars_fp":[]}}"#));
    assert_eq!(text(|out| snapshot(out, &replica(&[], &[]), false)), empty);
    assert_eq!(text(|out| empty_snapshot(out, &book.token)), empty);
}

#[test]
fn a_change_is_relative_and_in_its_sides_terms() {
    let ticker = TokenId::new("KX-A.5").unwrap();
    let change = |side, timestamp_ms| LevelChange {
        timestamp_ms,
        side,
        level: level(430_000, 50_000_000),
        hash: None,
        best_bid: None,
        best_ask: None,
        first: true,
    };
    let delta = |side, ms, yes_price| {
        let before = Quantity(150_000_000);
        text(|out| delta(out, &ticker, before, &change(side, ms), yes_price))
    };
    let time = r#","ts":"2026-08-07T06:46:28.978Z","ts_ms":1786085188978}"#;
    let expect = |price: &str, side: &str, end: &str| {
        golden(&format!(
            r#"{IDS},"price_dollars":"{price}","delta_fp":"-100.00","side":"{side}"{end}"#
        ))
    };
    let ms = 1_786_085_188_978;
    assert_eq!(delta(Side::Bid, ms, false), expect("0.4300", "yes", time));
    assert_eq!(delta(Side::Ask, ms, false), expect("0.5700", "no", time));
    assert_eq!(delta(Side::Ask, ms, true), expect("0.4300", "no", time));
    assert_eq!(delta(Side::Bid, 0, true), expect("0.4300", "yes", "}"));
}

#[test]
fn a_trade_and_a_ticker_have_every_field_of_strict_clients() {
    let sold = TradeUpdate {
        timestamp_ms: 1_669_149_841_007,
        price: Price(360_000),
        quantity: Quantity(136_000_000),
        side: Side::Ask,
        fee_rate_bps: None,
        id: TradeId::new("d91bc706-ee49-470d-82d8-11418bda6fed"),
    };
    assert_eq!(
        text(|out| trade(out, &TokenId::new("KX-A.5").unwrap(), &sold)),
        r#"{"trade_id":"d91bc706-ee49-470d-82d8-11418bda6fed","market_ticker":"KX-A.5","yes_price_dollars":"0.3600","no_price_dollars":"0.6400","count_fp":"136.00","taker_side":"no","taker_outcome_side":"no","taker_book_side":"ask","is_block_trade":false,"ts":1669149841,"ts_ms":1669149841007}"#
    );
    let mut book = replica(&[level(450_000, 300_000_000)], &[level(530_000, 150_000_000)]);
    book.facts.last_trade = Some(Price(480_000));
    let quantity = |contracts: u64| Quantity(contracts * 1_000_000);
    book.traded = Traded {
        volume: quantity(33_896),
        open_interest: quantity(20_422),
        last_quantity: quantity(25),
        timestamp_ms: 0,
    };
    let show =
        |book: &Replica, is_trusted| text(|out| ticker(out, book, &Top::new(book, is_trusted)));
    let expect = |prices: [&str; 5], end: &str| {
        let [last, bid, ask, bids, asks] = prices;
        golden(&format!(
            r#"{IDS},"price_dollars":"{last}","yes_bid_dollars":"{bid}","yes_ask_dollars":"{ask}","volume_fp":"33896.00","open_interest_fp":"20422.00","dollar_volume":16948,"dollar_open_interest":10211,"yes_bid_size_fp":"{bids}","yes_ask_size_fp":"{asks}","last_trade_size_fp":"25.00",{end}}}"#
        ))
    };
    let time = r#""ts":1786085188,"ts_ms":1786085188978,"time":"2026-08-07T06:46:28.978Z""#;
    assert_eq!(show(&book, true), expect(["0.4800", "0.4500", "0.5300", "300.00", "150.00"], time));
    assert_eq!(show(&book, false), expect(["0.4800", "0.0000", "1.0000", "0.00", "0.00"], time));
    book.facts = BookFacts::default();
    book.book.clear();
    let time = r#""ts":1786085189,"ts_ms":1786085189000,"time":"2026-08-07T06:46:29.000Z""#;
    assert_eq!(show(&book, true), expect(["0.0000", "0.0000", "1.0000", "0.00", "0.00"], time));
}

#[test]
fn stages_are_the_venues_events() {
    let event = |stage, resolution| MarketEvent {
        stage,
        is_repeated: false,
        info: MarketInfo {
            market: MarketId::new("KX-A").unwrap(),
            tokens: vec![Outcome { token: TokenId::new("KX-A").unwrap(), name: "Yes".into() }],
            slug: "KX-A".into(),
            question: "A \"q\"\n?".into(),
            start_wall_ns: Some(1_694_635_200 * SECOND_NS),
            end_wall_ns: None,
            tick_size: None,
            min_order_size: None,
            neg_risk: false,
            listing: None,
        },
        resolution,
    };
    let show = |event: MarketEvent| text(|out| lifecycle(out, &event, 1_700_000_000 * SECOND_NS));
    assert_eq!(
        show(event(MarketStage::New, None)),
        r#"{"market_ticker":"KX-A","event_type":"created","open_ts":1694635200,"additional_metadata":{"name":"A \"q\"\u000a?","title":"A \"q\"\u000a?"}}"#
    );
    assert_eq!(
        show(event(MarketStage::Opened, None)),
        r#"{"market_ticker":"KX-A","event_type":"activated"}"#
    );
    let resolution =
        Resolution { winner: None, result: Some("no".into()), settlement_value: Some(Price::ZERO) };
    assert_eq!(
        show(event(MarketStage::Resolved, Some(resolution))),
        r#"{"market_ticker":"KX-A","event_type":"determined","determination_ts":1700000000,"result":"no","settlement_value":"0.0000"}"#
    );
    for silent in [event(MarketStage::Ended, None), event(MarketStage::Resolved, None)] {
        assert_eq!(show(silent), "");
    }
}

#[test]
fn an_error_has_code_and_text() {
    assert_eq!(
        error(Some(99), Refusal::UnknownChannel),
        r#"{"type":"error","id":99,"msg":{"code":8,"msg":"Unknown channel name"}}"#
    );
    assert_eq!(
        error(None, Refusal::Unreadable),
        r#"{"type":"error","msg":{"code":1,"msg":"Unable to process message"}}"#
    );
}
