//! Two connections that race: each message once, whichever has it first, and counts of that.
//!
//! Runs on:  tests.
use super::*;
use crate::counter::race::RaceCounts;

/// Both connections have their snapshots; what the venue delivers next is newer.
fn racing(venue: &mut Venue) -> Run {
    let mut run = Run::new();
    run.intake.books.set_races(true);
    for market in 0..MARKETS {
        run.feed(OLD, &venue.dump(market));
    }
    run.begin();
    for market in 0..MARKETS {
        run.feed(NEW, &venue.dump(market));
    }
    venue.ms += 10;
    run
}

/// What a simple model counts of the arrivals.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counted {
    first: u64,
    later: u64,
    alone: u64,
    missed: u64,
}

impl From<RaceCounts> for Counted {
    fn from(counts: RaceCounts) -> Self {
        let RaceCounts { first, later, alone, missed, .. } = counts;
        Self { first, later, alone, missed }
    }
}

/// A connection's place in what the venue delivers, and what it loses.
struct Side {
    slot: ConnectionSlot,
    next: usize,
    lost: Vec<usize>,
    counted: Counted,
}

impl Side {
    fn new(slot: ConnectionSlot) -> Self {
        Self { slot, next: 0, lost: Vec::new(), counted: Counted::default() }
    }

    /// Delivers its next message or loses it; `other` has delivered those before its place.
    fn deliver(&mut self, other: &mut Self, run: &mut Run, venue: &Venue) {
        let place = self.next;
        if place >= venue.delivered.len() {
            return;
        }
        self.next += 1;
        if self.lost.contains(&place) {
            return;
        }
        run.feed(self.slot, &venue.delivered[place].0);
        let is_later = place < other.next && !other.lost.contains(&place);
        self.counted.first += u64::from(!is_later);
        self.counted.later += u64::from(is_later);
        self.counted.alone += u64::from(other.lost.contains(&place));
        other.counted.missed += u64::from(other.lost.contains(&place));
    }
}

fn sorted(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    lines
}

/// Messages of the venue that a handler sees once each, though not in order where one connection loses some.
fn assert_each_once(run: Run, venue: &Venue, seed: u64) {
    run.assert_books(venue);
    let scribe = run.intake.books.into_handler();
    assert_eq!(scribe.not_live, 0, "seed {seed}");
    let trades = |line: &String| line.contains("trade");
    let seen = sorted(scribe.seen.into_values().flatten().filter(trades));
    let delivered = venue.delivered.iter().map(|(_, line, _)| line.clone()).filter(trades);
    assert_eq!(seen, sorted(delivered), "seed {seed}");
}

/// Both connections deliver at random paces; each loses one message in `lost_of`. Gives how often each was first.
fn race(seed: u64, lost_of: u64) -> [u64; 2] {
    let mut random = Random::new(seed ^ 0x5ace);
    let mut venue = Venue::new(seed);
    let mut run = racing(&mut venue);
    let (mut old, mut new) = (Side::new(OLD), Side::new(NEW));
    let pace = 1 + random.below(9);
    let mut lost_ms = 0;
    for round in 0..400 {
        run.now_ns += MILLISECOND_NS;
        if round < 200 {
            // A message that both lose is in no book; the order of two losses in one millisecond is not known.
            let lost = round > 5 && lost_of > 0 && random.chance(1, lost_of) && venue.ms > lost_ms;
            if lost {
                venue.ms += 1;
            }
            venue.speak();
            if lost {
                let side = if random.chance(1, 2) { &mut old } else { &mut new };
                side.lost.push(venue.delivered.len() - 1);
                lost_ms = venue.ms;
            }
        }
        if random.chance(pace, 10) || round > 250 {
            old.deliver(&mut new, &mut run, &venue);
        }
        if random.chance(10 - pace, 10) || round > 250 {
            new.deliver(&mut old, &mut run, &venue);
        }
        if random.chance(1, 8) {
            let now = run.now();
            assert!(run.intake.books.poll_handover(now).is_none());
        }
    }
    while old.next < venue.delivered.len() || new.next < venue.delivered.len() {
        old.deliver(&mut new, &mut run, &venue);
        new.deliver(&mut old, &mut run, &venue);
    }
    run.now_ns += 25 * SECOND_NS;
    let now = run.now();
    assert!(run.intake.books.poll_handover(now).is_none(), "a race has no end of its own");
    assert_eq!(run.owners(), [OLD.0; MARKETS as usize], "the books stay where they are");
    for side in [&old, &new] {
        let counts = run.intake.books.race_counts(side.slot);
        assert_eq!(Counted::from(counts), side.counted, "seed {seed}, {:?}", side.slot);
        assert!(counts.later < 20 || counts.later_max_ns > 0, "seed {seed}: {counts:?}");
    }
    let firsts = [old.counted.first, new.counted.first];
    if lost_of > 0 {
        assert_each_once(run, &venue, seed);
        return firsts;
    }
    run.assert_books(&venue);
    let scribe = run.intake.books.into_handler();
    for market in 0..MARKETS {
        let delivered = venue.delivered.iter().filter(|(_, _, m)| *m == market);
        let delivered: Vec<&str> = delivered.map(|(_, line, _)| line.as_str()).collect();
        let seen = scribe.seen.get(&format!("0x{market}")).cloned().unwrap_or_default();
        assert_eq!(seen, delivered, "market {market}, seed {seed}");
    }
    firsts
}

#[test]
fn the_first_arrival_is_applied_and_the_second_is_counted() {
    let sum = |sums: [u64; 2], firsts: [u64; 2]| [sums[0] + firsts[0], sums[1] + firsts[1]];
    let [old, new] = (0..200).map(|seed| race(seed, 0)).fold([0, 0], sum);
    assert!(old > 5_000 && new > 5_000, "{old} {new}");
}

#[test]
fn what_one_connection_loses_the_other_brings_behind_what_came_after_it() {
    for seed in 0..400 {
        race(seed, 12);
    }
}

/// The race until one of the connections is lost, in the midst of what both deliver.
fn cut(seed: u64, lost: ConnectionSlot) -> (Run, Venue, Side, Side) {
    let mut random = Random::new(seed);
    let mut venue = Venue::new(seed);
    let mut run = racing(&mut venue);
    let (mut old, mut new) = (Side::new(OLD), Side::new(NEW));
    for _ in 0..60 {
        venue.speak();
        run.now_ns += MILLISECOND_NS;
        if random.chance(1, 2) {
            old.deliver(&mut new, &mut run, &venue);
        }
        if random.chance(1, 2) {
            new.deliver(&mut old, &mut run, &venue);
        }
    }
    let now = run.now();
    let outcome = run.intake.books.on_disconnect(lost, now);
    let expected = match lost {
        OLD => DisconnectOutcome::TakenOver,
        _ => DisconnectOutcome::GivenUp { to: NEW },
    };
    assert_eq!(outcome, expected, "seed {seed}");
    (run, venue, old, new)
}

#[test]
fn a_race_goes_on_with_the_other_connection_where_one_is_lost() {
    for seed in 0..100 {
        for lost in [OLD, NEW] {
            let (mut run, mut venue, mut old, mut new) = cut(seed, lost);
            (0..20).for_each(|_| venue.speak());
            for _ in 0..100 {
                match lost {
                    OLD => new.deliver(&mut old, &mut run, &venue),
                    _ => old.deliver(&mut new, &mut run, &venue),
                }
            }
            if lost == OLD {
                run.finish();
                assert_eq!(run.owners(), [NEW.0; MARKETS as usize]);
            }
            assert_each_once(run, &venue, seed);
        }
    }
}

#[test]
fn a_message_that_the_venue_repeats_does_not_take_a_book_back() {
    for seed in 0..100 {
        let mut random = Random::new(seed);
        let mut venue = Venue::new(seed);
        let mut run = racing(&mut venue);
        for _ in 0..60 {
            venue.speak();
        }
        let mut next = [0; 2];
        while next.iter().any(|&place| place < venue.delivered.len()) {
            run.now_ns += MILLISECOND_NS;
            let side = random.below(2) as usize;
            let Some((frame, line, _)) = venue.delivered.get(next[side]) else { continue };
            next[side] += 1;
            for _ in 0..1 + u64::from(!line.contains("trade") && random.chance(1, 6)) {
                run.feed([OLD, NEW][side], frame);
            }
        }
        run.assert_books(&venue);
    }
}

/// A message of market 0 with changes of these prices, in cents.
fn changes(ms: u64, prices: std::ops::Range<u32>) -> String {
    let one =
        |price| format!(r#"{{"asset_id":"11","price":"0.{price:02}","size":"3","side":"BUY"}}"#);
    let list: Vec<String> = prices.map(one).collect();
    format!(
        r#"{{"market":"0x0","price_changes":[{}],"timestamp":"{ms}","event_type":"price_change"}}"#,
        list.join(",")
    )
}

/// Of a message with many changes not all are stored: whether a level of an earlier one was among them is not known.
#[test]
fn a_book_is_stale_where_it_is_not_known_which_change_is_the_last() {
    for (first, late) in [(OLD, NEW), (NEW, OLD)] {
        for (prices, is_live) in [(1..9, true), (1..10, false)] {
            let mut venue = Venue::new(1);
            let mut run = racing(&mut venue);
            run.feed(first, &changes(venue.ms + 1, prices));
            run.feed(late, &changes(venue.ms, 20..21));
            let mut image = BookImage::default();
            assert!(run.intake.books.fill_image("11", &mut image));
            assert_eq!(image.state == BookState::Live, is_live, "{}", image.state.name());
            let has_level = image.bids.iter().any(|level| level.price.0 == 200_000);
            assert_eq!(has_level, is_live);
        }
    }
}
