//! Tickers of Kalshi's clients: what the venue reports beside the book.
//!
//! Runs on:  the test's thread.
use super::*;
use crate::base::id::TradeId;
use crate::link::shard_updates::{TickerUpdate, TradeUpdate};

const TICKERS: &str =
    r#"{"id":1,"cmd":"subscribe","params":{"channels":["ticker"],"market_tickers":["11"]}}"#;

/// What is shown of the tickers that wait: last price and size, volume, open interest and both in dollars, time.
fn tickers(rig: &mut Rig, reader: &Reader) -> Vec<String> {
    let mut output = Vec::new();
    rig.hub.take_output(reader.id, &mut output, 1 << 20, rig.now);
    rig.hub.on_sent(reader.id, output.len(), rig.now);
    let keys = [
        "price_dollars",
        "last_trade_size_fp",
        "volume_fp",
        "open_interest_fp",
        "dollar_volume",
        "dollar_open_interest",
        "ts_ms",
    ];
    let show = |message: &Value| {
        let values = keys.map(|key| message["msg"][key].to_string().replace('"', ""));
        values.join(" ")
    };
    let messages = texts(&output).into_iter().map(|text| serde_json::from_str(text).unwrap());
    let messages: Vec<Value> = messages.collect();
    messages.iter().filter(|message| message["type"] == "ticker").map(show).collect()
}

fn ticker(timestamp_ms: u64, volume: u64) -> BookUpdateKind {
    let contracts = |count: u64| Some(Quantity(count * 1_000_000));
    BookUpdateKind::Ticker(TickerUpdate {
        timestamp_ms,
        last_price: Some(Price(480_000)),
        volume: contracts(volume),
        open_interest: contracts(20_422),
    })
}

#[test]
fn tickers_have_what_the_venue_reports_and_outlive_an_image() {
    let mut rig = Rig::new("kalshi", 1 << 20, StalePolicy::Clear);
    rig.shard.books[0].1 = BookState::Live;
    let reader = rig.connect(Site::Kalshi, "/trade-api/ws/v2", "");
    rig.text(&reader, TICKERS);
    assert_eq!(tickers(&mut rig, &reader), Vec::<String>::new());
    rig.send(0, ticker(7_000, 33_896));
    assert_eq!(tickers(&mut rig, &reader), ["0.4800 0.00 33896.00 20422.00 16948 10211 7000"]);
    // Nothing has changed but the time.
    rig.send(0, ticker(7_001, 33_896));
    assert_eq!(tickers(&mut rig, &reader), Vec::<String>::new());
    let trade = TradeUpdate {
        timestamp_ms: 7_002,
        price: Price(490_000),
        quantity: Quantity(25_000_000),
        side: Side::Bid,
        fee_rate_bps: None,
        id: TradeId::new("t1"),
    };
    rig.send(0, BookUpdateKind::Trade(trade));
    assert_eq!(tickers(&mut rig, &reader), ["0.4900 25.00 33896.00 20422.00 16948 10211 7001"]);
    rig.image(0, true);
    rig.send(0, ticker(7_003, 33_921));
    assert_eq!(tickers(&mut rig, &reader), ["0.4800 25.00 33921.00 20422.00 16960 10211 7003"]);
}
