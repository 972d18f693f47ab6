//! Idle policies and latency tables as text.
use super::*;

#[test]
fn an_idle_policy_is_read_as_it_is_written() {
    for text in ["park", "adaptive", "adaptive:50%", "adaptive:1%", "spin"] {
        assert_eq!(Idle::parse(text).unwrap().to_string(), text);
    }
    assert_eq!(Idle::parse("adaptive:50"), Some(Idle::Adaptive { cpu_percent: 50 }));
    assert_eq!(Idle::parse("adaptive:100%"), Some(Idle::ADAPTIVE));
    for bad in ["", "sleepy", "adaptive:", "adaptive:0%", "adaptive:101%", "adaptive:%", "spin:50%"]
    {
        assert_eq!(Idle::parse(bad), None, "{bad}");
    }
}

#[test]
fn tables_are_four_numbers_within_the_bound() {
    let large = ConnectionTable { tickers: 2, trades: 2, lifecycle: 2, books: 144 };
    assert_eq!(ConnectionTable::parse("2,2,2,144"), Some(large));
    let small = ConnectionTable { tickers: 0, trades: 1, lifecycle: 1, books: 4 };
    assert_eq!(ConnectionTable::parse("0, 1, 1, 4"), Some(small));
    for bad in ["", "1,2,3", "1,2,3,4,5", "1,1,1,0", "a,1,1,1", "-1,1,1,1", "1,1,1,60000"] {
        assert_eq!(ConnectionTable::parse(bad), None, "{bad}");
    }
}
