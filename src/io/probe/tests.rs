//! Measurements of the host that runs the test.
use super::*;

#[test]
fn every_core_is_measured_with_plausible_results() {
    let cores = usable_cores();
    let measured = measure(&cores, Duration::from_millis(300));
    assert_eq!(measured.gaps.len(), cores.len());
    for gaps in &measured.gaps {
        assert!((0.0..=100.0).contains(&gaps.lost_percent), "{gaps:?}");
        let mean_ns = gaps.lost_percent * 1e7 / gaps.per_second.max(1e-9);
        assert!(gaps.max_ns as f64 >= mean_ns * 0.99, "{gaps:?}");
    }
    for delay in [measured.wake_up.unwrap(), measured.timer.unwrap()] {
        // Two system calls and a sleep take more than 1 µs.
        assert!(delay.count > 0 && delay.p50_ns > 1_000, "{delay:?}");
        assert!(delay.p50_ns <= delay.p99_ns && delay.p99_ns <= delay.max_ns, "{delay:?}");
    }
    assert!(measure(&[100_000], Duration::from_millis(3)).gaps.is_empty(), "no such core");
}
