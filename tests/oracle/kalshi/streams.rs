//! Invented streams: the engine's books and counts are the reference's, for every form.

use super::generate::{self, Trouble};
use super::reference::{Doubt, Reference};
use super::{Event, Record, engine, stored};
use crate::generate::{PACKINGS, pack};

const SEEDS: u64 = 40;

/// Streams that the engine replays, each in two processes.
const REPLAYED: u64 = 14;

fn replay(trouble: Trouble, alone: bool, seeds: std::ops::Range<u64>) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let mut failures = Vec::new();
    for seed in seeds {
        let records = generate::records(seed, trouble, alone);
        let reference = Reference::of(&records);
        let lines = if alone { stored::raw(&records) } else { stored::capture(&records) };
        let packing = PACKINGS[usize::try_from(seed).unwrap() % PACKINGS.len()];
        let file = pack(folder.path(), &format!("stream{seed}"), packing, &lines);
        let wrong = engine::failures(&reference, &file, trouble == Trouble::None);
        failures.extend(wrong.iter().map(|w| format!("seed {seed}, {trouble:?}: {w}")));
    }
    failures
}

fn check(trouble: Trouble, alone: bool) {
    check_seeds(trouble, alone, 0..REPLAYED);
}

fn check_seeds(trouble: Trouble, alone: bool, seeds: std::ops::Range<u64>) {
    if !engine::reads_kalshi() {
        return;
    }
    let mut failures = replay(trouble, alone, seeds);
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), engine::shorten(&mut failures));
}

#[test]
fn engine_replays_whole_kalshi_streams_to_the_reference() {
    check(Trouble::None, false);
}

#[test]
fn engine_replays_whole_raw_kalshi_streams_to_the_reference() {
    check(Trouble::None, true);
}

#[test]
fn engine_replays_kalshi_streams_with_troubled_frames_to_the_reference() {
    check(Trouble::Frames, false);
}

#[test]
fn engine_replays_raw_kalshi_streams_with_troubled_frames_to_the_reference() {
    check(Trouble::Frames, true);
}

#[test]
fn engine_replays_kalshi_streams_with_troubled_connections_to_the_reference() {
    check(Trouble::Connections, false);
}

#[test]
#[ignore = "200 streams of each kind: cargo test --release --test oracle -- --ignored many_kalshi"]
fn engine_replays_many_kalshi_streams_to_the_reference() {
    for trouble in [Trouble::None, Trouble::Frames, Trouble::Connections] {
        check_seeds(trouble, false, 0..200);
    }
    for trouble in [Trouble::None, Trouble::Frames] {
        check_seeds(trouble, true, 0..200);
    }
}

/// A stream without faults contradicts nothing.
#[test]
fn generated_kalshi_streams_without_trouble_are_honest() {
    for seed in 0..SEEDS {
        for alone in [false, true] {
            let reference = Reference::of(&generate::records(seed, Trouble::None, alone));
            let wrong = [
                reference.holes,
                reference.duplicates,
                reference.broken,
                reference.disproved,
                reference.other_stream,
                reference.crossings,
                reference.joined_late,
            ];
            assert_eq!(wrong, [0; 7], "seed {seed}");
            for (ticker, book) in &reference.books {
                assert!(book.live() && !book.crossed(), "seed {seed}: {ticker}");
            }
        }
    }
}

fn with(reference: &Reference, doubt: Doubt) -> usize {
    reference.books.values().filter(|b| b.doubts.contains(&doubt)).count()
}

/// The generator reaches what it is meant to reach.
#[test]
fn generated_kalshi_streams_cover_the_wire() {
    let (mut live, mut lost, mut disproved, mut other, mut one_sided) = (0, 0, 0, 0, 0);
    let (mut holes, mut duplicates, mut broken, mut contradictions) = (0, 0, 0, 0);
    let (mut applied, mut unapplied, mut trades, mut acks, mut streams) = (0, 0, 0, 0, 0);
    for seed in 0..SEEDS {
        let records = generate::records(seed, Trouble::Connections, false);
        let reference = Reference::of(&records);
        assert_eq!(reference.other_stream, 0, "seed {seed}: a delta of a book that moved");
        live += reference.books.values().filter(|b| b.live()).count();
        lost += with(&reference, Doubt::FramesLost);
        disproved += with(&reference, Doubt::Disproved);
        other += with(&reference, Doubt::Other);
        one_sided +=
            reference.books.values().filter(|b| b.yes.is_empty() != b.no.is_empty()).count();
        holes += reference.holes;
        duplicates += reference.duplicates;
        broken += reference.broken;
        contradictions += reference.disproved;
        applied += reference.applied;
        unapplied += reference.unapplied;
        trades += reference.fresh.trades;
        acks += reference.fresh.acks;
        streams += reference.streams.len();
    }
    println!(
        "{live} live, {lost} lost, {disproved} disproved, {other} other, {one_sided} one-sided"
    );
    println!(
        "{holes} holes, {duplicates} duplicates, {broken} broken, {contradictions} contradictions"
    );
    println!("{applied} applied, {unapplied} not, {trades} trades, {acks} acks, {streams} streams");
    assert!(live > 100 && lost > 20 && disproved > 2 && other > 20 && one_sided > 5);
    assert!(holes > 100 && duplicates > 100 && broken > 50 && contradictions > 20);
    assert!(applied > 5000 && unapplied > 1000 && trades > 500 && acks > 100 && streams > 100);
}

#[test]
fn generated_kalshi_streams_are_one_line_a_frame() {
    let records = generate::records(3, Trouble::Frames, true);
    let text = |record: &Record| match &record.event {
        Event::Frame(text) => text.clone(),
        other => panic!("{other:?}"),
    };
    let texts: Vec<String> = records.iter().map(text).collect();
    assert!(texts.iter().all(|t| !t.contains('\n') && !t.trim().is_empty()));
}
