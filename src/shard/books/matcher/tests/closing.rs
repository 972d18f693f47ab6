//! A connection is closed by order, before its handover has ended and after.
//!
//! Runs on:  test threads.
use super::merging::{OTHER, begin_merge, old_of, two_old};
use super::*;

/// Books of two old connections that have moved to the new one, and that was reported.
fn handed_over(venue: &mut Venue) -> Run {
    let mut run = two_old(venue);
    begin_merge(&mut run);
    (0..MARKETS).for_each(|market| run.feed(NEW, &venue.dump(market)));
    run.intake.books.switch(NEW, run.now_ns);
    run.finish();
    assert_eq!(run.owners(), [NEW.0; 3]);
    run
}

fn close(run: &mut Run, slot: ConnectionSlot) {
    let now = run.now();
    run.intake.books.on_closed(slot, now);
}

#[test]
fn a_replacement_that_is_closed_before_the_old_ones_gives_everything_back() {
    let mut venue = Venue::new(5);
    let mut run = handed_over(&mut venue);
    // The new connection is further than the old ones; then the control core, which had given it up, closes it.
    (0..20).for_each(|_| venue.speak());
    let delivered = venue.delivered.clone();
    delivered[..5].iter().for_each(|(frame, _, market)| run.feed(old_of(*market), frame));
    delivered.iter().for_each(|(frame, ..)| run.feed(NEW, frame));
    close(&mut run, NEW);
    assert_eq!(run.owners(), [OLD.0, OTHER.0, OTHER.0]);
    let counts = run.intake.books.counts();
    assert_eq!((counts.live, counts.stale), (0, 3), "they are asked for anew");
    // The old ones say what the new one had delivered: no trade is applied twice. Their next snapshots count.
    let trades = counts.trades;
    delivered[5..].iter().for_each(|(frame, _, market)| run.feed(old_of(*market), frame));
    assert_eq!(run.intake.books.counts().trades, trades);
    venue.ms += 1;
    venue.changed_ms = vec![venue.ms; 3];
    (0..MARKETS).for_each(|market| run.feed(old_of(market), &venue.dump(market)));
    run.assert_books(&venue);
}

#[test]
fn until_the_old_ones_are_closed_what_they_still_say_is_passed_over() {
    let mut venue = Venue::new(5);
    let mut run = handed_over(&mut venue);
    for round in 0..20 {
        venue.speak();
        let (frame, _, market) = venue.delivered[round].clone();
        // The old connection first, or the new one.
        let order = if round % 2 == 0 { [NEW, old_of(market)] } else { [old_of(market), NEW] };
        order.into_iter().for_each(|slot| run.feed(slot, &frame));
    }
    for (slot, others_left) in [(OLD, true), (OTHER, false)] {
        close(&mut run, slot);
        assert_eq!(run.intake.books.has_handovers(), others_left);
    }
    close(&mut run, NEW);
    check(run, &venue, 5);
}

#[test]
fn the_end_of_a_socket_after_the_handover_moves_no_book() {
    for (lost, end) in [
        (OLD, DisconnectOutcome::TakenOver),
        (OTHER, DisconnectOutcome::TakenOver),
        (NEW, DisconnectOutcome::Alone),
    ] {
        let mut run = handed_over(&mut Venue::new(5));
        let now = run.now();
        assert_eq!(run.intake.books.on_disconnect(lost, now), end);
        assert_eq!(run.owners(), [NEW.0; 3]);
        // It was given up all the same.
        close(&mut run, NEW);
        assert_eq!(run.owners(), [OLD.0, OTHER.0, OTHER.0]);
    }
}

#[test]
fn the_place_of_an_old_connection_that_was_closed_is_not_part_of_its_handover() {
    let venue = Venue::new(5);
    let mut run = two_old(&venue);
    begin_merge(&mut run);
    close(&mut run, OLD);
    // Another connection is in its place now.
    let now = run.now();
    assert_eq!(run.intake.books.on_disconnect(OLD, now), DisconnectOutcome::Alone);
    assert!(run.intake.books.has_handovers());
    assert_eq!(run.intake.books.owing(NEW), Some(2));
    close(&mut run, OTHER);
    assert!(!run.intake.books.has_handovers());
}
