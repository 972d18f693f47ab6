//! Scenarios and properties of the dial queue under virtual time.
use super::*;
use crate::base::limits::{BACKOFF_MAX_NS, DIAL_TIMEOUT_NS};
use crate::base::time::{MILLISECOND_NS, SECOND_NS};
use proptest::prelude::*;

const STEP_NS: u64 = 10 * MILLISECOND_NS;

fn connections(count: u32) -> impl Iterator<Item = ConnectionId> {
    (1..=count).map(ConnectionId)
}

/// Brings all up from time 0; returns the time when they are stable.
fn bring_up(queue: &mut DialQueue, count: u32) -> u64 {
    connections(count).for_each(|connection| queue.request(connection, 0));
    let mut now = 0;
    while !queue.waiting.is_empty() {
        while let Some(dial) = queue.poll(now) {
            queue.on_success(dial.connection, now);
        }
        now += STEP_NS;
    }
    now + 2 * CONNECTION_STABLE_NS
}

/// The venue is away from the drop until `back`; a dial then fails at once or, if it `hangs`, at
/// its timeout.
/// Returns when the last connection was up again.
fn outage(seed: u64, count: u32, lasts_ns: u64, hangs: bool) -> (u64, u64) {
    let mut queue = DialQueue::new(seed);
    let start = bring_up(&mut queue, count);
    let back = start + lasts_ns;
    connections(count).for_each(|connection| queue.request(connection, start));
    let (mut now, mut up, mut last_dial) = (start, 0, None);
    let mut failing: Vec<(u64, ConnectionId)> = Vec::new();
    while up < count {
        failing.retain(|&(at, connection)| {
            if at <= now {
                queue.on_failure(connection, now, None);
            }
            at > now
        });
        while let Some(Dial { connection, timeout_ns }) = queue.poll(now) {
            assert!(last_dial.is_none_or(|last| now - last >= DIAL_INTERVAL_NS));
            last_dial = Some(now);
            assert!(queue.in_progress() <= DIALS_IN_PROGRESS_MAX);
            if now >= back {
                queue.on_success(connection, now);
                up += 1;
            } else {
                failing.push((now + if hangs { timeout_ns } else { 0 }, connection));
            }
        }
        now += STEP_NS;
        assert!(now < back + 60 * SECOND_NS, "{up} of {count} up a minute after the return");
    }
    (back, now)
}

#[test]
fn forty_connections_are_up_within_five_seconds_of_a_ten_minute_outage() {
    for seed in 0..20 {
        let lasts = 600 * SECOND_NS + seed * 137 * MILLISECOND_NS;
        let (back, up) = outage(seed, 40, lasts, false);
        assert!(up - back <= 5 * SECOND_NS, "seed {seed}: {} ns", up - back);
    }
}

#[test]
fn one_connection_is_up_within_five_seconds_of_any_outage() {
    for seed in 0..50 {
        let (back, up) = outage(seed, 1, seed * 777 * MILLISECOND_NS, false);
        assert!(up - back <= 5 * SECOND_NS, "seed {seed}: {} ns", up - back);
    }
}

#[test]
fn dials_that_hang_until_their_timeout_do_not_block_the_probe() {
    for seed in 0..10 {
        let (back, up) = outage(seed, 12, 90 * SECOND_NS + seed * 333 * MILLISECOND_NS, true);
        // One of eight has the full timeout and may hang longest.
        assert!(up - back <= DIAL_TIMEOUT_NS + SECOND_NS, "seed {seed}: {} ns", up - back);
    }
}

#[test]
fn an_outage_costs_the_venue_one_dial_a_second() {
    let mut queue = DialQueue::new(3);
    connections(200).for_each(|connection| queue.request(connection, 0));
    let mut now = 0;
    while now < 100 * SECOND_NS {
        if let Some(dial) = queue.poll(now) {
            queue.on_failure(dial.connection, now, None);
        }
        now += STEP_NS;
    }
    assert!(queue.is_outage());
    assert!((95..=105).contains(&queue.counts().begun), "{:?}", queue.counts());
}

#[test]
fn a_429_pauses_everyone_for_as_long_as_it_says() {
    let mut queue = DialQueue::new(1);
    connections(3).for_each(|connection| queue.request(connection, 0));
    let first = queue.poll(0).unwrap().connection;
    queue.on_failure(first, 0, Some(20 * SECOND_NS));
    assert_eq!(queue.next_due(0), Some(20 * SECOND_NS));
    assert_eq!(queue.poll(20 * SECOND_NS - 1), None);
    let second = queue.poll(20 * SECOND_NS).unwrap().connection;
    queue.on_failure(second, 20 * SECOND_NS, Some(u64::MAX));
    assert_eq!(queue.next_due(0), Some(20 * SECOND_NS + RETRY_AFTER_MAX_NS));
    assert_eq!(queue.counts().throttled, 2);
}

#[test]
fn a_connection_that_does_not_stay_up_is_not_dialed_in_a_loop() {
    let mut queue = DialQueue::new(1);
    let connection = ConnectionId(1);
    queue.request(connection, 0);
    let (mut now, mut dials) = (0, 0);
    while now < 60 * SECOND_NS {
        if queue.poll(now).is_some() {
            dials += 1;
            queue.on_success(connection, now);
            queue.request(connection, now);
        }
        now += STEP_NS;
    }
    // 1, 2, 4, 8, 16, 30 s at most, half of that on average.
    assert!((5..=20).contains(&dials), "{dials} dials in a minute");
    // One that was stable is due at once.
    while queue.poll(now).is_none() {
        now += STEP_NS;
    }
    queue.on_success(connection, now);
    queue.request(connection, now + CONNECTION_STABLE_NS);
    assert_eq!(queue.next_due(now), Some(now + CONNECTION_STABLE_NS));
}

#[test]
fn late_and_unknown_answers_change_nothing() {
    let mut queue = DialQueue::new(1);
    let connection = ConnectionId(1);
    queue.on_success(connection, 0);
    queue.on_failure(connection, 0, None);
    queue.request(connection, 0);
    queue.on_failure(connection, 0, None);
    queue.request(connection, 0);
    assert_eq!((queue.waiting.len(), queue.in_progress()), (1, 0));
    assert_eq!(queue.poll(0).map(|dial| dial.connection), Some(connection));
    queue.cancel(connection);
    queue.on_success(connection, 1);
    queue.cancel(connection);
    assert_eq!((queue.waiting.len(), queue.in_progress(), queue.next_due(1)), (0, 0, None));
}

#[derive(Clone, Debug)]
enum Step {
    Request(u32),
    Cancel(u32),
    Succeed(usize),
    Fail(usize, Option<u64>),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1u32..30).prop_map(Step::Request),
        1 => (1u32..30).prop_map(Step::Cancel),
        3 => any::<usize>().prop_map(Step::Succeed),
        3 => (any::<usize>(), prop::option::weighted(0.1, 0u64..5 * SECOND_NS))
            .prop_map(|(n, pause)| Step::Fail(n, pause)),
        4 => (0u64..3 * SECOND_NS).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..200)
}

proptest! {
    #[test]
    fn stagger_hold_and_limits_hold_whatever_happens(seed: u64, steps in steps()) {
        let mut queue = DialQueue::new(seed);
        let mut now = 0;
        let mut dialing: Vec<ConnectionId> = Vec::new();
        let (mut last_dial, mut hold) = (None::<u64>, 0);
        for step in steps {
            match step {
                Step::Request(n) => queue.request(ConnectionId(n), now),
                Step::Cancel(n) => {
                    queue.cancel(ConnectionId(n));
                    dialing.retain(|&c| c != ConnectionId(n));
                }
                Step::Succeed(n) if !dialing.is_empty() => {
                    let connection = dialing.swap_remove(n % dialing.len());
                    queue.on_success(connection, now);
                }
                Step::Fail(n, pause) if !dialing.is_empty() => {
                    let connection = dialing.swap_remove(n % dialing.len());
                    queue.on_failure(connection, now, pause);
                    hold = hold.max(pause.map_or(0, |pause| now + pause));
                }
                Step::Succeed(_) | Step::Fail(..) => {}
                Step::Pass(ns) => now += ns,
            }
            let due = queue.next_due(now);
            match queue.poll(now) {
                Some(Dial { connection, .. }) => {
                    prop_assert_eq!(due, Some(now));
                    prop_assert!(!dialing.contains(&connection));
                    prop_assert!(last_dial.is_none_or(|last| now - last >= DIAL_INTERVAL_NS));
                    prop_assert!(now >= hold);
                    last_dial = Some(now);
                    dialing.push(connection);
                }
                None => prop_assert!(due.is_none_or(|due| due > now)),
            }
            prop_assert_eq!(queue.in_progress(), dialing.len());
            prop_assert!(dialing.len() <= DIALS_IN_PROGRESS_MAX);
            for entry in queue.entries.values() {
                if let Phase::Waiting { due_ns } = entry.phase {
                    prop_assert!(due_ns <= now + BACKOFF_MAX_NS);
                }
            }
        }
    }
}
