//! Rates as text, and verdicts on steps.
use super::*;

#[test]
fn rates_rise_and_may_have_a_unit() {
    assert_eq!(parse_rates("500, 1k,2000,1M"), Ok(vec![500, 1_000, 2_000, 1_000_000]));
    for (text, expected) in [
        ("", "`` is no rate"),
        ("10,", "`` is no rate"),
        ("0", "`0` is no rate"),
        ("ten", "`ten` is no rate"),
        ("1.5k", "`1.5k` is no rate"),
        ("2M", "`2M` is no rate"),
        ("99999999999999999999M", "is no rate"),
        ("10,10", "10 comes after 10"),
        ("10k,1k", "1000 comes after 10000"),
    ] {
        let error = parse_rates(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let many: Vec<String> = (1..=65).map(|rate| rate.to_string()).collect();
    assert!(parse_rates(&many.join(",")).unwrap_err().contains("64 are the most"));
}

const GOOD: Evidence = Evidence {
    intended: 10_000,
    offered_in_time: 10_000,
    sent: 10_020,
    received: 10_020,
    received_in_time: 10_015,
    venue_late_p99_ns: 20_000,
    latency_p99_ns: 200_000,
    backlog: false,
    cut: false,
};

#[test]
fn whose_fault_it_is() {
    assert_eq!(verdict(&GOOD), Verdict::KeptUp);
    // The engine lags a little at the end of a step: 1 % is allowed.
    let evidence = Evidence { received_in_time: 9_925, ..GOOD };
    assert_eq!(verdict(&evidence), Verdict::KeptUp);
    let evidence = Evidence { received_in_time: 9_900, ..GOOD };
    assert_eq!(verdict(&evidence), Verdict::EngineTooSlow);
    let evidence = Evidence { latency_p99_ns: ENGINE_LATE_NS_MAX + 20_001, ..GOOD };
    assert_eq!(verdict(&evidence), Verdict::EngineTooSlow);
    assert_eq!(verdict(&Evidence { backlog: true, ..GOOD }), Verdict::EngineTooSlow);
    // The venue sent half of it in time, and the engine took that half.
    let slow = Evidence { offered_in_time: 5_000, received_in_time: 5_000, ..GOOD };
    assert_eq!(verdict(&slow), Verdict::VenueTooSlow);
    assert_eq!(verdict(&Evidence { received_in_time: 4_000, ..slow }), Verdict::BothTooSlow);
    // A late venue makes late books; that is not the engine's doing.
    let late = Evidence { venue_late_p99_ns: 200_000_000, latency_p99_ns: 201_000_000, ..GOOD };
    assert_eq!(verdict(&late), Verdict::VenueTooSlow);
    assert_eq!(verdict(&Evidence { received: 10_019, ..GOOD }), Verdict::Lost);
    assert_eq!(verdict(&Evidence { cut: true, ..GOOD }), Verdict::Cut);
}
