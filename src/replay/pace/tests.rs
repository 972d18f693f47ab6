//! Intervals at a speed.
use super::*;

#[test]
fn intervals_are_divided_by_the_speed() {
    assert!(Pace::of(Speed::Max).is_none());
    let mut pace = Pace::of(Speed::Times(2.0)).unwrap();
    assert_eq!(pace.due_ns(1_000, 50), 50);
    assert_eq!(pace.due_ns(1_100, 60), 100);
    assert_eq!(pace.due_ns(3_000, 70), 1_050);
    let later_ns = 2 * DISORDER_NS;
    assert_eq!(pace.due_ns(later_ns, 70), 50 + (later_ns - 1_000) / 2);
    assert_eq!(pace.due_ns(500, 2_000), 2_000);
    assert_eq!(pace.due_ns(600, 2_001), 2_050);
}

#[test]
fn the_turns_of_shards_do_not_restart_the_schedule() {
    let mut pace = Pace::of(Speed::Times(1.0)).unwrap();
    assert_eq!(pace.due_ns(1_000, 0), 0);
    assert_eq!(pace.due_ns(SECOND_NS, 10), SECOND_NS - 1_000);
    // The other shard's, late.
    assert_eq!(pace.due_ns(900, SECOND_NS), 0);
    assert_eq!(pace.due_ns(2_000, SECOND_NS), 1_000);
    assert_eq!(pace.due_ns(2 * SECOND_NS, SECOND_NS), 2 * SECOND_NS - 1_000);
}
