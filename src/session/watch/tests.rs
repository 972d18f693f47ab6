//! Busy, quiet and silent connections.
use super::*;

/// Polls ten times a second for `seconds` with an arrival every `gap_ns`; the looks.
fn run(
    watch: &mut Watch,
    from_ns: u64,
    seconds: u64,
    gap_ns: Option<u64>,
    seen: &mut (u64, u64),
) -> u64 {
    let mut looks = 0;
    for tenth in 1..=seconds * 10 {
        let now_ns = from_ns + tenth * SECOND_NS / 10;
        if let Some(gap_ns) = gap_ns {
            while seen.1 + gap_ns <= now_ns {
                *seen = (seen.0 + 1, seen.1 + gap_ns);
            }
        }
        looks += u64::from(watch.poll(seen.0, seen.1, now_ns));
    }
    looks
}

#[test]
fn a_busy_connection_is_looked_into_after_seconds_and_a_quiet_one_after_minutes() {
    for (gap_ns, timeout_s) in [(SECOND_NS / 10, 5), (5 * SECOND_NS, 40), (60 * SECOND_NS, 120)] {
        let (mut watch, mut seen) = (Watch::default(), (0, 0));
        watch.begin(0);
        run(&mut watch, 0, 900, Some(gap_ns), &mut seen);
        let timeout_ns = watch.timeout_ns();
        let expected = timeout_s * SECOND_NS;
        assert!(timeout_ns.abs_diff(expected) < expected / 4, "{gap_ns}: {timeout_ns}");
        // Data at its pace: no check.
        assert_eq!(run(&mut watch, 900 * SECOND_NS, 300, Some(gap_ns), &mut seen), 0);
    }
}

#[test]
fn a_silence_is_looked_into_again_and_again_but_not_all_the_time() {
    let (mut watch, mut seen) = (Watch::default(), (0, 0));
    watch.begin(0);
    run(&mut watch, 0, 100, Some(SECOND_NS / 10), &mut seen);
    let looks = run(&mut watch, 100 * SECOND_NS, 60, None, &mut seen);
    assert!((8..=12).contains(&looks), "{looks} looks in a minute");
}

#[test]
fn a_connection_that_never_says_anything_is_looked_into() {
    let (mut watch, mut seen) = (Watch::default(), (0, 0));
    watch.begin(0);
    assert!(run(&mut watch, 0, 130, None, &mut seen) >= 1);
}
