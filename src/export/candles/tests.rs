//! Intervals, and candles of unordered trades.
use super::*;

#[test]
fn an_interval_divides_a_day() {
    for (text, seconds) in [("1s", 1), ("90s", 90), ("15m", 900), ("4h", 14_400), ("1d", 86_400)] {
        assert_eq!(Interval::parse(text), Ok(Interval(seconds)), "{text}");
    }
    for text in ["", "m", "0s", "7s", "5h", "2d", "1w", "-1m", "60", "é"] {
        assert!(Interval::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_candle_has_the_trades_of_its_interval_in_order_of_time() {
    let fill = |venue_ms, receive_ns, price, quantity| Fill {
        venue_ms,
        receive_ns,
        price: Price(price),
        quantity: Quantity(quantity),
    };
    let fills = vec![
        fill(60_000, 3, 500_000, 1_000_000),
        // Reported late.
        fill(59_999, 4, 400_000, 3),
        // Of one moment: the one that was received first is the first.
        fill(1_000, 2, 300_000, 2_000_000),
        fill(1_000, 1, 200_000, 1_500_000),
        // Without a time of the venue.
        fill(0, 61_000 * MILLISECOND_NS, 450_000, 1),
    ];
    let mut bytes = Vec::new();
    fills.iter().for_each(|fill| fill.push_to(&mut bytes));
    assert!(bytes.as_chunks().0.iter().map(Fill::parse).eq(fills.iter().copied()));
    let found = candles(fills, Interval(60));
    let [first, second] = found.as_slice() else { panic!("{found:?}") };
    let prices = |candle: &Candle| {
        [candle.open.0, candle.high.0, candle.low.0, candle.close.0, candle.trades as u32]
    };
    assert_eq!((first.begin_ms, second.begin_ms), (0, 60_000));
    assert_eq!(prices(first), [200_000, 400_000, 200_000, 400_000, 3]);
    assert_eq!(prices(second), [500_000, 500_000, 450_000, 450_000, 2]);
    assert_eq!(first.volume, Quantity(3_500_003));
    // 0.3 + 0.6 + 0.0000012 dollars.
    assert_eq!(first.dollars_e6(), 900_001);
    assert!(candles(Vec::new(), Interval(1)).is_empty());
}
