//! Decisions by example: who is replaced, in which steps, and what a failure leaves behind.
use super::*;
use crate::base::limits::{MERGE_AGE_MIN_NS, MERGE_POSTPONED_NS};
use crate::base::time::SECOND_NS;
use crate::control::tests::fixture::at;

fn candidate(id: u32) -> Candidate {
    Candidate {
        connection: ConnectionId(id),
        shard: ShardId(0),
        age_ns: RECYCLE_AGE_MIN_NS,
        tokens: 100,
        tokens_expired: 0,
        live: 100,
    }
}

fn begins(decisions: &[Decision]) -> Vec<(u32, Reason)> {
    let begin = |decision: &Decision| match decision {
        Decision::Begin { from, reason } if from.len() == 1 => Some((from[0].0, *reason)),
        _ => None,
    };
    decisions.iter().filter_map(begin).collect()
}

/// Merges nothing.
fn unmerging() -> Recycler {
    let mut recycler = Recycler::default();
    recycler.set_merging(u64::MAX, 0);
    recycler
}

const FROM: ConnectionId = ConnectionId(1);
const TO: ConnectionId = ConnectionId(9);

#[test]
fn polluted_aged_and_unhealthy_connections_are_replaced_and_others_are_not() {
    let mut recycler = unmerging();
    let polluted = Candidate { tokens_expired: 30, live: 70, ..candidate(1) };
    let clean = Candidate { tokens_expired: 29, live: 71, ..candidate(2) };
    let dead = Candidate { tokens_expired: 100, live: 0, ..candidate(3) };
    assert_eq!(begins(&recycler.poll(0, &[clean, dead])), []);
    assert_eq!(begins(&recycler.poll(0, &[polluted])), [(1, Reason::Polluted)]);
    let young = Candidate { age_ns: RECYCLE_AGE_MIN_NS - 1, ..polluted };
    assert_eq!(begins(&recycler.poll(0, &[young])), []);
    let aged = Candidate { age_ns: RECYCLE_AGE_NS, ..candidate(4) };
    assert_eq!(begins(&recycler.poll(0, &[aged])), [(4, Reason::Aged)]);
    // Unhealthy for long enough, and then whatever its age.
    let ill = Candidate { age_ns: SECOND_NS, live: 49, ..candidate(5) };
    assert_eq!(begins(&recycler.poll(10, &[ill])), []);
    assert_eq!(begins(&recycler.poll(9 + RECYCLE_UNHEALTHY_NS, &[ill])), []);
    assert_eq!(begins(&recycler.poll(10 + RECYCLE_UNHEALTHY_NS, &[ill])), [(5, Reason::Unhealthy)]);
    let well = Candidate { live: 50, ..ill };
    assert_eq!(begins(&recycler.poll(11 + RECYCLE_UNHEALTHY_NS, &[well])), []);
    assert_eq!(begins(&recycler.poll(12 + RECYCLE_UNHEALTHY_NS, &[ill])), [], "counted anew");
}

#[test]
fn so_many_at_once_the_worst_first_and_who_asks_goes_before() {
    let mut recycler = unmerging();
    let polluted = |id| Candidate { tokens_expired: 40, live: 60, ..candidate(id) };
    let aged = Candidate { age_ns: RECYCLE_AGE_NS, ..candidate(1) };
    let all = [aged, polluted(2), polluted(3)];
    assert_eq!(
        begins(&recycler.poll(0, &all)),
        [(2, Reason::Polluted), (3, Reason::Polluted)],
        "no more than {RECYCLES_MAX} at once"
    );
    recycler.ask(ConnectionId(1), true).unwrap();
    assert_eq!(recycler.ask(ConnectionId(1), true), Err(RecycleError::UnderWay));
    assert_eq!(recycler.ask(ConnectionId(8), false), Err(RecycleError::NotUp));
    let decided = recycler.poll(0, &all);
    assert_eq!(begins(&decided), [(1, Reason::Asked), (2, Reason::Polluted)]);
    recycler.on_begun(&[ConnectionId(1)], TO, Reason::Asked, Vec::new(), at(0));
    recycler.on_begun(&[ConnectionId(2)], ConnectionId(10), Reason::Polluted, Vec::new(), at(0));
    assert_eq!(begins(&recycler.poll(1, &[polluted(3)])), []);
    assert_eq!(recycler.ask(TO, true), Err(RecycleError::UnderWay), "a replacement");
}

#[test]
fn a_nearly_full_connection_is_replaced_sooner() {
    let decide = |tokens_expired, tokens, age_ns| {
        let live = tokens - tokens_expired;
        let one = Candidate { tokens, tokens_expired, live, age_ns, ..candidate(1) };
        begins(&Recycler::default().poll(0, &[one]))
    };
    let polluted = [(1, Reason::Polluted)];
    assert_eq!(decide(90, 450, MERGE_AGE_MIN_NS), polluted);
    assert_eq!(decide(90, 450, MERGE_AGE_MIN_NS - 1), []);
    assert_eq!(decide(89, 450, RECYCLE_AGE_MIN_NS), []);
    assert_eq!(decide(134, 449, MERGE_AGE_MIN_NS), [], "it has free slots");
    assert_eq!(decide(135, 449, RECYCLE_AGE_MIN_NS), polluted);
}

#[test]
fn a_connection_replaced_for_its_expired_tokens_takes_the_smallest_of_its_shard_along() {
    let of = |id, tokens| Candidate { tokens, live: tokens, age_ns: 0, ..candidate(id) };
    let polluted = Candidate { tokens: 500, tokens_expired: 150, live: 350, ..candidate(1) };
    let taken = |recycler: &mut Recycler, all: &[Candidate]| {
        let decisions = recycler.poll(0, all);
        let [Decision::Begin { from, reason: Reason::Polluted }] = &decisions[..] else {
            panic!("{decisions:?}");
        };
        from.iter().map(|from| from.0).collect::<Vec<u32>>()
    };
    let decide = |all: &[Candidate]| taken(&mut Recycler::default(), all);
    assert_eq!(decide(&[of(2, 30), polluted, of(3, 4), of(4, 17)]), [1, 3, 4], "371 of 400");
    assert_eq!(decide(&[polluted, of(2, 50)]), [1, 2], "the target");
    assert_eq!(decide(&[polluted, of(2, 51)]), [1]);
    let elsewhere = Candidate { shard: ShardId(1), ..of(2, 4) };
    let ill = Candidate { live: 3, ..of(3, 4) };
    let ended = Candidate { tokens_expired: 4, live: 0, ..of(4, 4) };
    assert_eq!(decide(&[polluted, elsewhere, ill, ended]), [1]);
    let mut recycler = Recycler::default();
    recycler.postpone_merging(0);
    assert_eq!(taken(&mut recycler, &[polluted, of(2, 4)]), [1], "the engine is not healthy");
    assert_eq!(taken(&mut unmerging(), &[polluted, of(2, 4)]), [1]);
}

#[test]
fn a_replacement_settles_before_it_takes_over() {
    let mut recycler = Recycler::default();
    recycler.on_begun(&[FROM], TO, Reason::Asked, Vec::new(), at(100));
    recycler.on_owing(TO, 0, 110);
    recycler.on_up(TO, 200);
    recycler.on_owing(TO, 3, 300);
    assert_eq!(recycler.poll(300 + RECYCLE_SETTLE_NS, &[]), []);
    recycler.on_owing(TO, 0, 400);
    assert_eq!(recycler.poll(399 + RECYCLE_SETTLE_NS, &[]), []);
    // A book that became live meanwhile.
    recycler.on_owing(TO, 1, 500);
    assert_eq!(recycler.poll(400 + RECYCLE_SETTLE_NS, &[]), []);
    recycler.on_owing(TO, 0, 600);
    let ordered_ns = 600 + RECYCLE_SETTLE_NS;
    assert_eq!(recycler.poll(ordered_ns, &[]), [Decision::Switch { to: TO }]);
    assert_eq!(recycler.poll(ordered_ns + 1, &[]), [], "ordered once");
    let counts =
        HandoverCounts { markets: 7, live: 14, live_after: 14, ..HandoverCounts::default() };
    let (_, handover) = recycler.on_handed_over(TO, counts, at(ordered_ns + 50)).unwrap();
    assert_eq!((handover.from, handover.to), (FROM.0, TO.0));
    assert_eq!((handover.dial_ns, handover.fill_ns), (100, 400));
    assert_eq!((handover.settle_ns, handover.overlap_ns), (RECYCLE_SETTLE_NS, ordered_ns - 150));
    let report = recycler.report();
    assert_eq!((report.initiated, report.completed, report.failed), (1, 1, 0));
    assert_eq!(
        (report.markets_migrated, report.interrupted, report.success_rate),
        (7, 0, Some(1.0))
    );
    assert_eq!(report.handovers.len(), 1);
}

#[test]
fn what_does_not_come_up_fill_or_switch_in_time_is_given_up_and_tried_later() {
    for phase in 0..3 {
        let mut recycler = Recycler::default();
        recycler.on_begun(&[FROM], TO, Reason::Aged, Vec::new(), at(0));
        let mut due_ns = RECYCLE_FILL_TIMEOUT_NS;
        if phase >= 1 {
            recycler.on_up(TO, SECOND_NS);
            due_ns = SECOND_NS + RECYCLE_FILL_TIMEOUT_NS;
        }
        if phase >= 2 {
            recycler.on_owing(TO, 0, 2 * SECOND_NS);
            let ordered_ns = 2 * SECOND_NS + RECYCLE_SETTLE_NS;
            assert_eq!(recycler.poll(ordered_ns, &[]).len(), 1);
            due_ns = ordered_ns + RECYCLE_SWITCH_TIMEOUT_NS;
        }
        assert_eq!(recycler.poll(due_ns - 1, &[]), []);
        let decided = recycler.poll(due_ns, &[]);
        let [Decision::Abandon { to: TO, why }] = decided[..] else { panic!("{decided:?}") };
        recycler.fail(TO, why, due_ns);
        assert_eq!(recycler.report().failed, 1);
        let aged = Candidate { age_ns: RECYCLE_AGE_NS, ..candidate(1) };
        assert_eq!(begins(&recycler.poll(due_ns + RECYCLE_RETRY_MIN_NS - 1, &[aged])), []);
        let again = recycler.poll(due_ns + RECYCLE_RETRY_MIN_NS, &[aged]);
        assert_eq!(begins(&again), [(1, Reason::Aged)]);
    }
}

#[test]
fn a_connection_that_is_lost_ends_its_attempt_whichever_it_is() {
    for lost in [FROM, TO] {
        let mut recycler = Recycler::default();
        recycler.on_begun(&[FROM], TO, Reason::Aged, Vec::new(), at(0));
        recycler.on_up(TO, 1);
        assert_eq!(recycler.on_down(ConnectionId(5), 2), None);
        let decision = recycler.on_down(lost, 2);
        assert!(matches!(decision, Some(Decision::Abandon { to: TO, .. })));
        assert_eq!(recycler.on_down(lost, 3), None);
        let report = recycler.report();
        assert_eq!((report.under_way, report.failed, report.success_rate), (0, 1, Some(0.0)));
        assert!(!report.last_failure.is_empty());
    }
}

const NONE: [u32; 0] = [];

fn merged(decisions: &[Decision]) -> Vec<u32> {
    let [Decision::Begin { from, reason: Reason::Merge }] = decisions else { return Vec::new() };
    from.iter().map(|from| from.0).collect()
}

#[test]
fn the_smallest_connections_of_a_shard_that_fit_on_one_are_merged() {
    let of = |id, tokens| Candidate { tokens, live: tokens, ..candidate(id) };
    let all = [of(1, 170), of(2, 390), of(3, 90), of(4, 80), of(5, 180)];
    let decide = |all: &[Candidate]| merged(&Recycler::default().poll(0, all));
    assert_eq!(decide(&all), [4, 3, 1], "340 of 360");
    // The others do not fit, are of another shard, young, or have books that are not live; expired tokens are none.
    let full: Vec<Candidate> = (3..8).map(|id| of(id, 390)).collect();
    assert_eq!(decide(&[&full[..], &[of(1, 181), of(2, 180)]].concat()), NONE);
    let elsewhere = Candidate { shard: ShardId(1), ..of(3, 90) };
    assert_eq!(decide(&[of(1, 200), elsewhere]), NONE);
    let young = Candidate { age_ns: MERGE_AGE_MIN_NS - 1, ..of(3, 90) };
    assert_eq!(decide(&[of(1, 200), young]), NONE);
    let ill = Candidate { live: 80, ..of(3, 90) };
    assert_eq!(decide(&[of(1, 200), ill]), NONE);
    let expired = Candidate { tokens: 400, tokens_expired: 100, live: 300, ..candidate(3) };
    assert_eq!(decide(&[of(1, 60), expired]), [1, 3], "and not recycled for its expired ones");
    // Ten where six are necessary: the merged one is filled to the limit.
    let halves: Vec<Candidate> = (1..=10).map(|id| of(id, 230 + id as usize)).collect();
    assert_eq!(decide(&halves), [1, 2]);
    assert_eq!(decide(&halves[..1]), NONE);
}

#[test]
fn one_merge_at_a_time_and_none_while_the_engine_is_not_healthy() {
    let of = |id: u32, shard| Candidate { shard: ShardId(shard), ..candidate(id) };
    let all = [of(1, 0), of(2, 0), of(3, 0), of(4, 1), of(5, 1)];
    let mut recycler = Recycler::default();
    assert_eq!(merged(&recycler.poll(0, &all)), [1, 2, 3], "the merge that saves most");
    recycler.postpone_merging(0);
    assert_eq!(recycler.poll(MERGE_POSTPONED_NS - 1, &all), []);
    let now_ns = MERGE_POSTPONED_NS;
    assert_eq!(merged(&recycler.poll(now_ns, &all)), [1, 2, 3]);
    let from = [1, 2, 3].map(ConnectionId);
    recycler.on_begun(&from, TO, Reason::Merge, Vec::new(), at(now_ns));
    assert_eq!(recycler.poll(now_ns + 1, &all[3..]), []);
    assert_eq!(recycler.ask(ConnectionId(2), true), Err(RecycleError::UnderWay));
    recycler.on_up(TO, now_ns + 2);
    // One of them is lost: all stay, and none is tried again at once.
    let lost = recycler.on_down(ConnectionId(2), now_ns + 3);
    assert!(matches!(lost, Some(Decision::Abandon { to: TO, .. })));
    assert_eq!(merged(&recycler.poll(now_ns + 4, &all)), [4, 5]);

    recycler.on_begun(&from, TO, Reason::Merge, Vec::new(), at(0));
    recycler.on_handed_over(TO, HandoverCounts::default(), at(9)).unwrap();
    let report = recycler.report();
    assert_eq!((report.merges, report.connections_merged, report.failed), (1, 2, 1));
    let handover = &report.handovers[0];
    assert_eq!((handover.from, &handover.merged[..], handover.to), (1, &[2, 3][..], 9));
    assert_eq!(handover.reason, "merge");
}

#[test]
fn every_connection_races_with_another_until_there_is_a_reason_to_replace_it() {
    let mut recycler = unmerging().racing(true);
    let ended = Candidate { tokens_expired: 100, ..candidate(2) };
    assert_eq!(begins(&recycler.poll(0, &[candidate(1), ended])), [(1, Reason::Race)]);
    recycler.on_begun(&[FROM], TO, Reason::Race, Vec::new(), at(0));
    recycler.on_up(TO, 1);
    recycler.on_owing(TO, 0, 2);
    let day_ns = RECYCLE_AGE_NS - 1;
    assert!(recycler.is_racing(FROM) && !recycler.is_racing(TO));
    // A market that is added has no snapshot at first; that is no reason to give up.
    recycler.on_owing(TO, 2, day_ns);
    assert_eq!(recycler.poll(day_ns, &[candidate(1)]), []);
    recycler.on_owing(TO, 0, day_ns);
    // Others are replaced beside it.
    let asked = [candidate(1), candidate(3)];
    recycler.ask(ConnectionId(3), true).unwrap();
    assert_eq!(begins(&recycler.poll(day_ns, &asked)), [(3, Reason::Asked)]);
    assert_eq!(recycler.ask(TO, true), Err(RecycleError::UnderWay));
    recycler.ask(FROM, true).unwrap();
    assert_eq!(recycler.poll(day_ns, &[candidate(1)]), []);
    let switch_ns = day_ns + RECYCLE_SETTLE_NS;
    assert_eq!(recycler.poll(switch_ns, &[]), [Decision::Switch { to: TO }]);
    let (_, handover) =
        recycler.on_handed_over(TO, HandoverCounts::default(), at(switch_ns)).unwrap();
    assert_eq!(handover.reason, "asked");
    // A lost one is replaced soon.
    assert_eq!(begins(&recycler.poll(switch_ns, &[candidate(9)])), [(9, Reason::Race)]);
    recycler.on_begun(&[TO], ConnectionId(10), Reason::Race, Vec::new(), at(switch_ns));
    assert!(recycler.on_down(ConnectionId(10), switch_ns).is_some());
    let soon_ns = switch_ns + RACE_RETRY_NS;
    assert_eq!(begins(&recycler.poll(soon_ns - 1, &[candidate(9)])), []);
    assert_eq!(begins(&recycler.poll(soon_ns, &[candidate(9)])), [(9, Reason::Race)]);
}
