//! Rows of stages.
use super::*;
use crate::plot::svg::tests::{numbers, texts};

#[test]
fn every_stage_with_values_has_a_row_with_its_percentiles() {
    assert_eq!(render(&Latencies::default(), "x"), None);
    let mut latencies = Latencies::default();
    for ns in 1..=1000 {
        latencies.record(Stage::ReadToApplied, ns * 1_000);
        latencies.record(Stage::VenueToRead, 5_000_000);
    }
    let svg = render(&latencies, "a <title>").unwrap();
    let texts = texts(&svg);
    let has = |text: &str| texts.iter().any(|t| t == text);
    assert!(has("read_to_applied") && has("venue_to_read") && !has("wake_up"), "{texts:?}");
    assert!(has("a &lt;title&gt;") && has("1000 values") && has("latency, logarithmic"));
    for label in ["1 µs", "10 µs", "100 µs", "1 ms"] {
        assert!(has(label), "{label}");
    }
    assert_eq!(svg.matches("class=\"percentile").count(), 10);
    // p50 of 1 to 1000 µs, between the decades of 100 µs and 1 ms.
    assert!(svg.contains("<title>p50 500 µs</title>") || svg.contains("<title>p50 502 µs</title>"));
    assert!(numbers(&svg, "x").iter().all(|x| (0.0..=WIDTH).contains(x)));
}
