//! Two connections that are merged into one.
//!
//! Runs on:  test threads.
use super::*;

pub(super) const OTHER: ConnectionSlot = ConnectionSlot(2);

/// Market 0 is on one old connection, the others on another one.
pub(super) fn old_of(market: u32) -> ConnectionSlot {
    if market == 0 { OLD } else { OTHER }
}

pub(super) fn two_old(venue: &Venue) -> Run {
    let mut run = Run::new();
    for market in 0..MARKETS {
        let opening = BookOpening {
            market: MarketId::new(&format!("0x{market}")).unwrap(),
            token: token(market),
            tick_size: None,
            min_order_size: None,
            neg_risk: false,
        };
        run.intake.books.open(&opening, old_of(market)).unwrap();
        run.feed(old_of(market), &venue.dump(market));
    }
    run
}

pub(super) fn begin_merge(run: &mut Run) {
    for old in [OLD, OTHER] {
        let tokens: Vec<TokenId> =
            (0..MARKETS).filter(|market| old_of(*market) == old).map(token).collect();
        run.intake.books.begin_handover(old, NEW, &tokens);
    }
}

/// Two connections are merged; all three deliver at random paces of their own.
fn merge(seed: u64) -> HandoverCounts {
    let mut random = Random::new(seed ^ 0x6d65);
    let mut venue = Venue::new(seed);
    let mut run = two_old(&venue);
    // How far each slot has come in what the venue has delivered.
    let mut read = [0; 3];
    let feed_next = |run: &mut Run, read: &mut [usize; 3], venue: &Venue, slot: ConnectionSlot| {
        let place = &mut read[slot.0 as usize];
        while let Some((frame, _, market)) = venue.delivered.get(*place) {
            *place += 1;
            if slot == NEW || old_of(*market) == slot {
                return run.feed(slot, frame);
            }
        }
    };
    (0..random.below(20)).for_each(|_| venue.speak());
    (0..random.below(9)).for_each(|_| feed_next(&mut run, &mut read, &venue, OTHER));
    begin_merge(&mut run);
    let dumps: Vec<String> = (0..MARKETS).map(|market| venue.dump(market)).collect();
    let mut dumps = dumps.iter();
    // The new connection says nothing of what was before.
    let subscribed = venue.delivered.len();
    read[NEW.0 as usize] = subscribed;
    let paces = [1 + random.below(9), 1 + random.below(9), 1 + random.below(9)];
    // The old connections may stall after the switch: what they never say is ahead.
    let stalls = random.chance(1, 2);
    let (mut switched, mut done) = (false, None);
    for round in 0..500 {
        run.now_ns += 5 * MILLISECOND_NS;
        if round < 200 && random.chance(1, 2) {
            venue.speak();
        }
        for slot in [OLD, NEW, OTHER] {
            // Old ones that are retired are not read any more.
            let retired = slot != NEW && (done.is_some() || switched && stalls);
            if retired || !random.chance(paces[slot.0 as usize], 10) && round < 300 {
                continue;
            }
            let dump = if slot == NEW { dumps.next() } else { None };
            match dump {
                Some(dump) => run.feed(NEW, dump),
                None => feed_next(&mut run, &mut read, &venue, slot),
            }
        }
        let olds = [OLD, OTHER].map(|old| read[old.0 as usize]);
        let ready = dumps.len() == 0 && olds.iter().all(|&place| place >= subscribed);
        if ready && !switched && random.chance(1, 20) {
            assert_eq!(run.intake.books.owing(NEW), Some(0));
            run.intake.books.switch(NEW, run.now_ns);
            switched = true;
        }
        if done.is_none() && random.chance(1, 8) {
            let now = run.now();
            done = run.intake.books.poll_handover(now);
        }
    }
    if !switched {
        run.intake.books.switch(NEW, run.now_ns);
    }
    let done = done.unwrap_or_else(|| run.finish());
    assert_eq!(done.from, [OLD, OTHER]);
    assert_eq!((done.counts.tokens, done.counts.markets), (3, 3), "seed {seed}");
    assert_eq!(done.counts.differences, 0, "seed {seed}: {:?}", done.counts);
    check(run, &venue, seed);
    done.counts
}

#[test]
fn several_connections_are_merged_and_a_handler_sees_each_message_once_and_in_order() {
    let (duplicates, ahead) = sums(300, merge);
    assert!(duplicates > 1_000 && ahead > 20, "{duplicates} duplicates, {ahead} ahead");
}

#[test]
fn one_of_the_merged_connections_may_end_once_the_new_one_has_every_snapshot() {
    let mut venue = Venue::new(5);
    let mut run = two_old(&venue);
    begin_merge(&mut run);
    for market in 0..MARKETS {
        run.feed(NEW, &venue.dump(market));
    }
    (0..30).for_each(|_| venue.speak());
    let delivered = venue.delivered.clone();
    let old = |run: &mut Run, range: std::ops::Range<usize>, gone: bool| {
        for (frame, _, market) in &delivered[range] {
            if !(gone && old_of(*market) == OTHER) {
                run.feed(old_of(*market), frame);
            }
        }
    };
    old(&mut run, 0..10, false);
    delivered[..20].iter().for_each(|(frame, ..)| run.feed(NEW, frame));
    let now = run.now();
    assert_eq!(run.intake.books.on_disconnect(OTHER, now), DisconnectOutcome::TakenOver);
    // The books of the one that is left move when both are in step.
    assert_eq!(run.owners(), [OLD.0, NEW.0, NEW.0]);
    old(&mut run, 10..30, true);
    delivered[20..].iter().for_each(|(frame, ..)| run.feed(NEW, frame));
    let done = run.finish();
    assert_eq!(done.from, [OLD, OTHER]);
    assert!(done.counts.cut_short && done.counts.differences == 0, "{:?}", done.counts);
    assert_eq!((done.counts.live, done.counts.live_after), (3, 3));
    check(run, &venue, 5);
}

#[test]
fn without_every_snapshot_all_books_stay_with_their_connections() {
    for lost in [OLD, OTHER, NEW] {
        let mut venue = Venue::new(5);
        let mut run = two_old(&venue);
        begin_merge(&mut run);
        run.feed(NEW, &venue.dump(0));
        run.feed(NEW, &venue.dump(1));
        assert_eq!(run.intake.books.owing(NEW), Some(1));
        let now = run.now();
        let end = run.intake.books.on_disconnect(lost, now);
        assert_eq!(end, DisconnectOutcome::GivenUp { to: NEW });
        assert_eq!(run.owners(), [OLD.0, OTHER.0, OTHER.0]);
        assert!(!run.intake.books.has_handovers());
        // The old ones say everything, and it is applied once.
        (0..30).for_each(|_| venue.speak());
        for (frame, _, market) in venue.delivered.clone() {
            run.feed(old_of(market), &frame);
        }
        run.assert_books(&venue);
    }
}

#[test]
fn what_a_lost_replacement_had_moved_goes_back_to_the_connection_it_came_from() {
    let mut venue = Venue::new(5);
    let mut run = two_old(&venue);
    begin_merge(&mut run);
    (0..MARKETS).for_each(|market| run.feed(NEW, &venue.dump(market)));
    run.intake.books.switch(NEW, run.now_ns);
    // Only what both are in step about moves.
    venue.speak();
    let (frame, _, ahead) = venue.delivered[0].clone();
    run.feed(NEW, &frame);
    let now = run.now();
    assert!(run.intake.books.poll_handover(now).is_none());
    let owners: Vec<u32> =
        (0..MARKETS).map(|m| if m == ahead { old_of(m).0 } else { NEW.0 }).collect();
    assert_eq!(run.owners(), owners);
    assert_eq!(run.intake.books.on_disconnect(NEW, now), DisconnectOutcome::GivenUp { to: NEW });
    assert_eq!(run.owners(), [OLD.0, OTHER.0, OTHER.0]);
}
