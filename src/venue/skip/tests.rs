//! Text of the venue in a reason.
use super::*;

#[test]
fn venue_text_is_cut_and_escaped() {
    let market = MarketId::new("0xa1");
    let show = |market, name: &str| Skipped::new(market, name, SkipReason::BadId).to_string();
    assert_eq!(show(market, "a\u{1b}[31m\n"), "0xa1 (a\\u{1b}[31m\\n)");
    assert_eq!(show(market, ""), "0xa1");
    assert_eq!(show(None, "7"), "(no id; 7)");
    assert!(show(None, &"é".repeat(10_000)).len() < 200);
}
