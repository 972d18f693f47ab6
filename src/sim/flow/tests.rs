//! Books after many orders.
use super::*;
use crate::sim::market::{Span, Theme, make_event, make_market};

#[test]
fn books_stay_deep_uncrossed_and_on_the_grid() {
    let (mut removed, mut near, mut far, mut changes) = (0u32, 0u32, 0u32, 0u32);
    for index in 0..30 {
        let event = make_event(0, Theme::Question, false, 3);
        let span = Span { start_ms: 1, end_ms: 2 };
        let mut market = make_market(index, (0, &event), Theme::Question, span, 3);
        seed_book(&mut market, 40);
        for _ in 0..3_000 {
            let best = [Side::Bid, Side::Ask].map(|side| market.book.best(side));
            let burst = act(&mut market, 1, TRADES_PER_10_000, true);
            for change in &burst.changes {
                assert!(change.price.0.is_multiple_of(market.tick.0));
                assert!(change.price > Price::ZERO && change.price < Price::ONE);
                assert!(change.size.0.is_multiple_of(CENT));
                changes += 1;
                removed += u32::from(change.size == Quantity::ZERO);
                if let Some(best) = best[usize::from(change.side == Side::Ask)] {
                    let ticks = best.0.abs_diff(change.price.0) / market.tick.0;
                    near += u32::from(ticks <= 7);
                    far += u32::from(ticks > 20);
                }
            }
            assert!(!market.book.is_crossed());
            let levels = market.book.side(Side::Bid).len() + market.book.side(Side::Ask).len();
            assert!(levels > 3, "market {index} has run dry");
        }
    }
    let percent = |part: u32| 100 * part / changes;
    println!("{removed} removed, {near} near, {far} far of {changes}");
    assert!((8..=14).contains(&percent(removed)), "{} % remove", percent(removed));
    assert!((55..=72).contains(&percent(near)), "{} % near", percent(near));
    assert!((12..=25).contains(&percent(far)), "{} % far", percent(far));
}
