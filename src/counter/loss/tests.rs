//! Keys and values that look like trades.
use super::*;

#[test]
fn messages_of_trades_are_counted_and_keys_of_that_name_are_not() {
    let poly = r#"{"market":"0x1","price":"0.4","event_type":"last_trade_price"}"#;
    let spaced = r#"{"event_type" : "last_trade_price" , "price":"0.4"}"#;
    let book = r#"{"event_type":"book","last_trade_price":"0.4","bids":[]}"#;
    let kalshi = r#"{"type":"trade","sid":1,"seq":2,"msg":{"trade_id":"a"}}"#;
    for (frame, trades) in [
        (poly, 1),
        (spaced, 1),
        (book, 0),
        (kalshi, 1),
        (r#"{"type":"subscribed","msg":{"channel":"trade"}}"#, 0),
        ("PONG", 0),
        ("trade", 0),
        ("last_trade_price\"", 0),
    ] {
        assert_eq!(FrameCount::of_text(frame), FrameCount { frames: 1, trades }, "{frame}");
    }
    let both: FrameCount =
        [&*format!("[{poly},{book},{spaced}]"), kalshi].map(FrameCount::of_text).into_iter().sum();
    assert_eq!(both, FrameCount { frames: 2, trades: 3 });
    assert_eq!(both.with_trades(), " with 3 trades");
    assert_eq!(both.minus(FrameCount::of_text(poly)), FrameCount { frames: 1, trades: 2 });
}
