//! Buckets of every value.
use super::*;

#[test]
fn buckets_have_every_value_once_and_are_narrow() {
    let mut latencies = Latencies::default();
    let values: Vec<u64> =
        (0..40).flat_map(|bits| [1_u64 << bits, (1 << bits) + (1 << bits) / 3]).collect();
    let values: Vec<u64> = values.into_iter().filter(|&ns| ns <= LATENCY_MAX_NS).collect();
    values.iter().for_each(|&ns| latencies.record(Stage::WakeUp, ns));
    let all = latencies.buckets();
    assert_eq!(all.len(), Stage::ALL.len());
    let StageBuckets { stage, buckets } = &all[Stage::WakeUp as usize];
    assert_eq!(*stage, "wake_up");
    assert_eq!(buckets.iter().map(|(_, count)| count).sum::<u64>(), values.len() as u64);
    assert!(buckets.is_sorted_by(|a, b| a.0 < b.0));
    assert!(all[0].buckets.is_empty());
    for ns in [1, 31, 32, 33, 1_000, 123_456_789, u64::MAX] {
        let upper = bucket_of(ns);
        assert!(upper >= ns && upper - ns <= ns / 16, "{ns} {upper}");
        assert_eq!(bucket_of(upper), upper);
    }
}
