//! Bursts, pauses and random requests.
use super::*;
use crate::base::time::MILLISECOND_NS;
use proptest::prelude::*;

#[test]
fn a_burst_has_no_delay_and_then_the_rate_holds() {
    let mut bucket = Bucket::new(Some(Rate { per_second: 10.0, burst: 3 }));
    let waits: Vec<u64> = (0..5).map(|_| bucket.reserve(SECOND_NS, SECOND_NS).unwrap()).collect();
    assert_eq!(waits, [0, 0, 0, 100 * MILLISECOND_NS, 200 * MILLISECOND_NS]);
    let error = bucket.reserve(SECOND_NS, 250 * MILLISECOND_NS).unwrap_err();
    assert_eq!(error, TooFast { wait_ns: 300 * MILLISECOND_NS, by_service: false });
    // A refused reservation has no effect.
    assert_eq!(bucket.reserve(SECOND_NS, SECOND_NS), Ok(300 * MILLISECOND_NS));
    assert_eq!(bucket.reserve(100 * SECOND_NS, 0), Ok(0));
}

#[test]
fn a_pause_holds_for_all_and_the_longest_counts() {
    let mut bucket = Bucket::new(None);
    assert!((0..1000).all(|_| bucket.reserve(5, 0) == Ok(0)));
    bucket.pause(10, 3 * SECOND_NS);
    bucket.pause(10, SECOND_NS);
    assert_eq!(bucket.reserve(10, 5 * SECOND_NS), Ok(3 * SECOND_NS));
    let error = bucket.reserve(10, SECOND_NS).unwrap_err();
    assert_eq!(error, TooFast { wait_ns: 3 * SECOND_NS, by_service: true });
    assert_eq!(bucket.pause_ns(10 + 3 * SECOND_NS), 0);
}

proptest! {
    #[test]
    fn no_window_has_more_than_the_burst_and_the_pace(
        per_second in 1.0f64..1000.0, burst in 1u32..20,
        gaps in prop::collection::vec(0u64..50 * MILLISECOND_NS, 1..200),
    ) {
        let mut bucket = Bucket::new(Some(Rate { per_second, burst }));
        let mut now_ns = 0;
        let mut went = Vec::new();
        for gap_ns in gaps {
            now_ns += gap_ns;
            went.push(now_ns + bucket.reserve(now_ns, u64::MAX).unwrap());
        }
        prop_assert!(went.is_sorted(), "in the order in which they came");
        for (place, start) in went.iter().enumerate() {
            for (further, end) in went[place..].iter().enumerate() {
                let allowed = f64::from(burst) + (end - start) as f64 / 1e9 * per_second + 0.01;
                prop_assert!((further + 1) as f64 <= allowed + 1e-6 * further as f64);
            }
        }
    }
}
