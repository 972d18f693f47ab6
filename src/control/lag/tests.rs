//! Old messages over time.
use super::*;
use crate::counter::latency::{Latencies, Stage};

#[test]
fn old_messages_are_a_notice_then_a_reason_and_are_forgotten() {
    let mut lag = Lag::new(2);
    let window = |lag: &mut Lag, seconds: &[u64], at_s: u64| {
        let mut latencies = Latencies::default();
        seconds.iter().for_each(|s| latencies.record(Stage::VenueToRead, s * SECOND_NS));
        lag.on_window(1, latencies.stage(Stage::VenueToRead), at_s * SECOND_NS);
        lag.lines([ShardId(0), ShardId(1)].into_iter(), at_s * SECOND_NS)
    };
    assert_eq!(window(&mut lag, &[1; 100], 1), []);
    let one_late = [[1; 99].as_slice(), &[60]].concat();
    assert_eq!(window(&mut lag, &one_late, 2), [], "a single message says nothing");
    let lines = window(&mut lag, &[7; 10], 3);
    assert!(lines.len() == 1 && !lines[0].1, "{lines:?}");
    assert!(lines[0].0.starts_with("shard-1: messages are 7."), "{lines:?}");
    assert!(!window(&mut lag, &[], 20)[0].1, "a second without messages changes nothing");
    let lasted = 3 + LAG_REASON_NS / SECOND_NS;
    assert!(window(&mut lag, &[8; 10], lasted)[0].1);
    assert_eq!(window(&mut lag, &[1; 10], lasted + 1), [], "they are young again");
    assert_eq!(window(&mut lag, &[9; 10], 100).len(), 1);
    assert_eq!(window(&mut lag, &[], 100 + LAG_FORGET_NS / SECOND_NS), [], "nothing is known");
    lag.warn_at(0);
    assert_eq!(window(&mut lag, &[600; 10], 200), [], "not asked for");
}
