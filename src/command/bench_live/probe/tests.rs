//! Buckets of ages, and steps of stamped messages.
use super::*;

#[test]
fn buckets_follow_each_other_and_are_narrow() {
    let mut last = 0;
    for bucket in 0..BUCKETS {
        let top = top_of(bucket);
        assert_eq!(bucket_of(top), bucket, "{top}");
        assert!(bucket == 0 || bucket_of(last + 1) == bucket);
        assert!(top - last <= 1 + top / 120, "{last}..={top}");
        last = top;
    }
    assert_eq!((last, bucket_of(u64::MAX)), ((1 << VALUE_BITS) - 1, BUCKETS - 1));
}

#[test]
fn stamped_messages_are_counted_once_by_their_step() {
    let mut probe = Probe::new(2);
    let mut stopwatch = probe.handler(HostClock::new());
    std::thread::sleep(std::time::Duration::from_millis(1));
    let entry = |stamp: &str, token: u8| {
        format!(
            r#"{{"market":"0xa1","timestamp":"2","event_type":"price_change","price_changes":
                [{{"asset_id":"{token}","side":"BUY","price":"0.42","size":"5","hash":"{stamp}"}}]}}"#
        )
    };
    let now_ns = stopwatch.clock.mono_ns();
    let hash =
        |step: u8, outcome: u8| format!("{:016x}{step:02x}{outcome}{:021}", now_ns - 400_000, 0);
    let book = r#"{"market":"0xa1","asset_id":"7","timestamp":"1","event_type":"book",
            "bids":[{"price":"0.40","size":"10"}],"asks":[{"price":"0.45","size":"10"}]}"#;
    probe.set_end(1, now_ns + 60_000_000_000);
    let frames = [
        book.to_owned(),
        book.replace("\"7\"", "\"8\""),
        entry(&hash(1, 0), 7),
        entry(&hash(1, 1), 8),
        entry(&hash(2, 0), 7),
        entry(&hash(0, 0), 7),
        // No stamps: a step that does not exist, and a text.
        entry(&hash(3, 0), 7),
        entry("what", 7),
    ];
    stopwatch = crate::replay::feed(stopwatch, frames.iter().map(String::as_str));
    drop(stopwatch);
    let progress = [0, 1, 2].map(|step| probe.progress(step));
    assert_eq!(progress.each_ref().map(|progress| progress.received), [1, 1, 1]);
    assert_eq!(progress.each_ref().map(|progress| progress.in_time), [0, 1, 0]);
    let latency = &progress[1].latency;
    assert!((400_000..60_000_000_000).contains(&latency.max()), "{}", latency.max());
    assert_eq!((latency.len(), probe.received(1)), (1, 1));
}
