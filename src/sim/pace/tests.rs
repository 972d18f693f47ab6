//! Stamps, lateness, bursts and a venue that is too slow.
use super::*;
use crate::sim::config::SimConfig;
use crate::sim::stats::Counters;
use std::sync::Arc;

fn exchange(burst: f64) -> Exchange {
    let config = SimConfig { markets: 20, rate: 0.0, burst, ..SimConfig::default() };
    Exchange::new(&config, 1_000_000_000_000, Arc::new(Counters::default()))
}

fn pace(rate: f64) -> Pace {
    let (start_ns, measure_ns) = (5_000, 2 * SECOND_NS);
    Pace { rate, start_ns, warm_up_ns: SECOND_NS, measure_ns, step: 0x2a }
}

/// Makes every beat and passes it on `late_ns` after its time.
fn play(pace: Pace, burst: f64, late_ns: u64) -> (Vec<Stamp>, PaceReport) {
    let mut exchange = exchange(burst);
    let mut pacer = Pacer::new(pace, 7, &mut exchange);
    let mut stamps = Vec::new();
    while pacer.ending(0).is_none() {
        let now_ns = pacer.next_ns();
        let (stamp, actions) = pacer.take(now_ns, &mut exchange).unwrap();
        assert_eq!(stamp.intended_ns, now_ns);
        pacer.on_messages(stamp, u64::from(actions));
        pacer.on_offered(now_ns + late_ns, 0);
        stamps.push(stamp);
    }
    (stamps, pacer.finish(None, 10, &mut exchange))
}

#[test]
fn a_stamp_is_a_hash_of_forty_digits() {
    let stamp = Stamp { intended_ns: 0x0123_4567_89ab_cdef, step: 0x2a };
    let hash = stamp.hash(Outcome::Second);
    assert_eq!(&hash, b"0123456789abcdef2a1000000000000000000000");
    assert_eq!(stamp.hash(Outcome::First)[OUTCOME_DIGIT], b'0');
}

#[test]
fn even_beats_do_not_drift_and_lateness_is_from_the_intended_time() {
    let (stamps, report) = play(pace(30_000.0), 0.0, 700);
    assert_eq!(stamps.len(), 90_000);
    assert_eq!(stamps[89_999].intended_ns, 5_000 + 89_999 * SECOND_NS / 30_000);
    assert!(
        stamps
            .windows(2)
            .all(|pair| { matches!(pair[1].intended_ns - pair[0].intended_ns, 33_333 | 33_334) })
    );
    let warm = stamps.iter().take_while(|stamp| stamp.step == 0).count();
    assert_eq!((warm, stamps[warm].step), (30_000, 0x2a));
    assert_eq!((report.intended, report.offered_in_time), (60_000, 60_000));
    assert_eq!((report.messages, report.warm_up_messages, report.frames), (60_000, 30_000, 3));
    assert_eq!((report.lateness.min(), report.lateness.len()), (700, 60_000));
    // Passed on after the end: sent, but late.
    let (_, report) = play(pace(30_000.0), 0.0, SECOND_NS);
    assert_eq!((report.intended, report.messages), (60_000, 60_000));
    assert!((29_990..=30_010).contains(&report.offered_in_time), "{report:?}");
}

#[test]
fn bursts_keep_the_rate_on_average() {
    let long = Pace { measure_ns: 120 * SECOND_NS, ..pace(1_000.0) };
    let (stamps, report) = play(long, 1.0, 0);
    assert!((110_000..130_000).contains(&report.intended), "{}", report.intended);
    // Also if the gaps are longer than the periods of the rate factor.
    let slow = Pace { measure_ns: 3_000 * SECOND_NS, ..pace(5.0) };
    let (_, slow) = play(slow, 1.0, 0);
    assert!((13_500..16_500).contains(&slow.intended), "{}", slow.intended);
    assert!(stamps.len() * 10 < report.intended as usize * 8, "several actions at one time");
}

#[test]
fn a_venue_that_is_too_slow_gives_up_and_what_was_due_is_known() {
    let mut exchange = exchange(0.0);
    let mut pacer = Pacer::new(pace(1_000.0), 0, &mut exchange);
    assert_eq!(pacer.batch(5_000), 1);
    assert_eq!(pacer.batch(5_000 + BATCH_BEHIND_NS), BATCH_BEATS_MAX);
    assert_eq!(pacer.take(4_999, &mut exchange), None);
    assert_eq!(pacer.ending(SECOND_NS), None);
    assert_eq!(pacer.ending(SECOND_NS + 6_000), Some(Some(GivenUp::Late)));
    let report = pacer.finish(Some(GivenUp::Late), 0, &mut exchange);
    assert_eq!((report.intended, report.offered_in_time), (2_000, 0));
}
