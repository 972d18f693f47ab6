//! Bounds and spread of delays.
use super::*;

#[test]
fn the_longest_delay_is_chosen_by_who_waits() {
    let mut random = Random::new(7);
    for max_ns in [0, BACKOFF_MIN_NS, 2 * BACKOFF_MAX_NS] {
        let mut backoff = Backoff::up_to(max_ns);
        let delays: Vec<u64> = (0..400).map(|_| backoff.next_delay_ns(&mut random)).collect();
        let max_ns = max_ns.max(BACKOFF_MIN_NS);
        assert!(delays.iter().all(|delay| (BACKOFF_MIN_NS..=max_ns).contains(delay)));
        assert!(delays.iter().any(|&delay| delay > max_ns * 9 / 10));
    }
}

#[test]
fn delays_grow_within_their_bounds_and_spread() {
    let mut random = Random::new(7);
    let mut longest = [0u64; 12];
    for _ in 0..500 {
        let mut backoff = Backoff::new();
        for (n, longest) in longest.iter_mut().enumerate() {
            let delay = backoff.next_delay_ns(&mut random);
            let bound = (BACKOFF_MIN_NS << (n + 1)).min(BACKOFF_MAX_NS);
            assert!((BACKOFF_MIN_NS..=bound).contains(&delay), "{n}: {delay}");
            *longest = delay.max(*longest);
        }
    }
    assert!(longest.iter().take(5).is_sorted());
    assert!(longest[11] > BACKOFF_MAX_NS * 9 / 10);
}

#[test]
fn success_starts_over_and_many_failures_do_not_overflow() {
    let mut random = Random::new(1);
    let mut backoff = Backoff::new();
    for _ in 0..100 {
        assert!(backoff.next_delay_ns(&mut random) <= BACKOFF_MAX_NS);
    }
    backoff.reset();
    assert_eq!(backoff.failures, 0);
    assert!(backoff.next_delay_ns(&mut random) <= 2 * BACKOFF_MIN_NS);
}
