//! Prices and states with an interval, and without.
use super::*;
use crate::base::price::{Price, Quantity};
use crate::market::book::StaleReason;

fn top(bid: u32) -> Top {
    let level = Level { price: Price(bid), quantity: Quantity(5) };
    Top { state: BookState::Live, bid: Some(level), ask: None }
}

#[test]
fn prices_wait_for_the_interval_and_states_do_not() {
    let mut tops = Tops::new(100);
    let [one, two] = [1, 2].map(SubscriptionKey);
    assert!(tops.on_top(one, top(10), 0));
    assert!(tops.on_top(two, top(10), 50));
    assert!(!tops.on_top(two, top(11), 60) && !tops.on_top(one, top(11), 70));
    assert!(!tops.on_top(one, top(12), 80));
    assert_eq!(
        (tops.waiting.first().map(|&(due_ns, _)| due_ns), tops.take_due(99)),
        (Some(100), None)
    );
    assert_eq!(tops.take_due(100), Some(one), "the one that waits for longest");
    assert!(tops.on_top(one, top(12), 100));
    assert_eq!((tops.take_due(100), tops.take_due(150)), (None, Some(two)));
    assert!(!tops.on_top(two, top(10), 150), "as it was sent");
    let why = StaleReason::Disconnected;
    let stale = Top { state: BookState::Stale { why, since_wall_ns: 1 }, ..top(12) };
    assert!(!tops.on_top(one, top(13), 110));
    assert!(tops.on_top(one, stale, 120), "at once");
    assert_eq!(tops.take_due(200), Some(one));
    assert!(!tops.on_top(one, stale, 200), "nothing newer");
    assert!(tops.on_top(one, top(14), 230));
    assert!(!tops.on_top(one, top(15), 231));
    tops.remove(one);
    assert_eq!(
        (tops.take_due(1_000), tops.waiting.first().map(|&(due_ns, _)| due_ns)),
        (None, None)
    );
    assert!(tops.on_top(one, top(15), 1_000), "a new subscription");
}

#[test]
fn without_an_interval_each_new_top_is_sent() {
    let mut tops = Tops::new(0);
    let key = SubscriptionKey(1);
    let sent = [1, 1, 2, 2, 3].map(|bid| tops.on_top(key, top(bid), 7));
    assert_eq!(sent, [true, false, true, false, true]);
}
