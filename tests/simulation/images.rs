//! Books that continue from an image in a capture are those of a replay from the start of the engine.
//!
//! Runs on:  the simulation's thread; replays have threads of their own.
use crate::captured::lines;
use crate::frame::World as _;
use crate::{number, numbered, world};
use ringbook::base::random::Random;
use ringbook::capture::index::Block;
use ringbook::capture::line::Record;
use ringbook::capture::manifest::Entry;
use ringbook::io::file::Source;
use ringbook::link::shard_capture::CaptureReceiver;
use ringbook::replay::plan::{Plan, Speed};
use ringbook::replay::report::ReplayReport;
use ringbook::replay::{Recorded, Recording, books_at, run_from_images};
use ringbook::venue::Feed;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Text of a block.
const BLOCK_BYTES: usize = 64 * 1024;
/// Times of each seed, and books compared at each of them.
const TIMES: usize = 2;
const BOOKS: usize = 3;

/// What was compared.
#[derive(Clone, Copy, Debug, Default)]
struct Compared {
    books: usize,
    /// Of them continued from an image.
    continued: usize,
    /// Of them not live.
    stale: usize,
    /// Replays of all books from images.
    resumed: usize,
}

/// Writes a capture of one file with its index and manifest.
fn write(folder: &Path, lines: &[&str], feed: Feed) -> Recorded {
    std::fs::create_dir(folder).unwrap();
    let path = folder.join("a.ndjson.zst");
    let (mut bytes, mut index) = (Vec::new(), String::new());
    let mut rest = lines;
    let mut start_ns = None;
    while !rest.is_empty() {
        let mut block = Block { offset: bytes.len() as u64, ..Block::default() };
        let mut text = String::new();
        while let Some((line, after)) = rest.split_first()
            && text.len() < BLOCK_BYTES
        {
            let at_ns = Record::read(line).receive_ns.unwrap();
            start_ns.get_or_insert(at_ns);
            block.add(at_ns);
            text += line;
            text.push('\n');
            rest = after;
        }
        let packed = zstd::encode_all(text.as_bytes(), 1).unwrap();
        (block.bytes, block.text_bytes) = (packed.len() as u64, text.len() as u64);
        bytes.extend(packed);
        index += &block.to_line();
    }
    std::fs::write(&path, bytes).unwrap();
    std::fs::write(folder.join("a.index"), index).unwrap();
    let started = Entry::Started { at: start_ns.unwrap(), version: String::new(), shards: 2 };
    std::fs::write(folder.join("manifest.ndjson"), started.to_line()).unwrap();
    let recording = Recording { feed, files: vec![Source::Path(path)] };
    let (recorded, missing) = Recorded::open(recording).unwrap();
    assert!(missing.is_empty(), "{missing:?}");
    recorded
}

/// The books of a token at a time, none where there are none; and whether they continue from an image.
fn books(recorded: &Recorded, token: &str, at_ns: u64) -> (Vec<String>, bool) {
    match books_at(std::slice::from_ref(recorded), token, at_ns, &Arc::default()) {
        Ok(found) => {
            let show = |image: &ringbook::market::book::image::BookImage| {
                let mut text = String::new();
                image.write_json_with_state(&mut text);
                text
            };
            (found.books.iter().map(show).collect(), found.image_ns.is_ok())
        }
        Err(_) => (Vec::new(), false),
    }
}

/// Replays a range, from images where it can: the results, and every book at its end.
fn replayed(folder: &Path, feed: Feed, range: Range<u64>) -> (ReplayReport, String) {
    let out = folder.join("books");
    let files = vec![Source::Path(folder.join("a.ndjson.zst"))];
    let plan = Plan::new(files, 1, 1, Speed::Max, Some(out.clone())).unwrap();
    let plan = plan.of(feed).between(Some(range));
    let report = run_from_images(&plan, &Arc::default()).unwrap().report;
    let failures = &report.failures;
    assert!(!failures.iter().any(|line| line.starts_with("not continued")), "{failures:?}");
    (report, std::fs::read_to_string(out).unwrap())
}

/// The tokens of all books that were opened, some of them repeatedly.
fn tokens(lines: &[&str]) -> Vec<String> {
    let opened = lines.iter().filter(|line| line.contains(r#""k":"m","d":"#));
    let tokens = opened.flat_map(|line| {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        let books = record["books"].as_array().unwrap().clone();
        books.into_iter().map(|book| book["a"].as_str().unwrap().to_owned())
    });
    tokens.collect()
}

/// Compares books at random times with those of a replay from the start of the engine, and replays that begin at these
/// times with the whole.
fn compare(seed: u64, feed: Feed, mut receivers: Vec<CaptureReceiver>) -> Compared {
    let text = String::from_utf8(lines(&mut receivers)).unwrap();
    let all: Vec<&str> = text.lines().collect();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("capture");
    let recorded = write(&folder, &all, feed);
    // Each image is compared with the book of the replay, as each digest.
    let (whole, last) = replayed(&folder, feed, 0..u64::MAX);
    let checkpoints = (whole.capture.checkpoints_different, whole.capture.checkpoints_skipped);
    assert_eq!(checkpoints, (0, 0), "seed {seed}: {:?}", whole.failures);
    let tokens = tokens(&all);
    let time = |line: &str| Record::read(line).receive_ns.unwrap();
    let (first_ns, last_ns) = (time(all[0]), time(all[all.len() - 1]));
    let mut random = Random::new(seed ^ 0x696d_6167_6573);
    let mut compared = Compared::default();
    for _ in 0..TIMES {
        let at_ns = first_ns + random.below(last_ns - first_ns);
        let (before, then) = replayed(&folder, feed, 0..at_ns + 1);
        for _ in 0..BOOKS {
            let token = &tokens[random.below(tokens.len() as u64) as usize];
            let (continued, is_continued) = books(&recorded, token, at_ns);
            let is_of = |line: &&str| line.contains(&format!(r#""asset_id":"{token}""#));
            let expected: Vec<&str> = then.lines().filter(is_of).collect();
            assert_eq!(continued, expected, "seed {seed}: {token} at {at_ns}");
            compared.books += 1;
            compared.continued += usize::from(is_continued);
            compared.stale += usize::from(is_continued && expected[0].contains("stale:"));
        }
        let (after, books) = replayed(&folder, feed, at_ns + 1..u64::MAX);
        if after.capture.images_since_ns.is_some() {
            assert_eq!(after.capture.checkpoints_different, 0, "seed {seed}");
            assert_eq!(books, last, "seed {seed}: from {at_ns}");
            let frames = |report: &ReplayReport| report.frames + report.capture.frames_skipped;
            assert_eq!(frames(&before) + frames(&after), frames(&whole), "seed {seed}");
            assert_eq!(before.changes + after.changes, whole.changes, "seed {seed}");
            compared.resumed += 1;
        }
    }
    eprintln!("seed {seed}: {compared:?}");
    compared
}

/// Compares `count` seeds for which there is something; most books must continue from an image.
fn compare_seeds(count: u64, one: impl Fn(u64) -> Option<Compared>) {
    let count = number("SIMULATION_SEEDS", count) as usize;
    // Of the first ones half of the times are before any image.
    let seeds = number("SIMULATION_SEED", 3)..;
    let all: Vec<Compared> = seeds.filter_map(one).take(count).collect();
    let sum = |of: fn(&Compared) -> usize| all.iter().map(of).sum::<usize>();
    let (books, continued) = (sum(|compared| compared.books), sum(|compared| compared.continued));
    assert!(continued * 3 > books, "{continued} of {books} books continue from an image");
    assert!(sum(|compared| compared.resumed) > 0, "no replay of all books continues from images");
}

// The lines are in the order of time, which a clock that is set back changes.

#[test]
fn books_continue_from_images_through_faults_cuts_and_recycles() {
    compare_seeds(2, |seed| {
        let (mut world, receivers) = world::Stream::captured(seed);
        if !world.has_steady_time() {
            return None;
        }
        world.run().unwrap_or_else(|breach| panic!("{breach}"));
        Some(compare(seed, world::FEED, receivers))
    });
}

#[test]
fn books_of_numbered_messages_continue_from_images_through_gaps_and_cuts() {
    compare_seeds(1, |seed| {
        let (mut world, receivers) = numbered::World::captured(seed);
        if !world.has_steady_time() {
            return None;
        }
        world.run().unwrap_or_else(|breach| panic!("{breach}"));
        Some(compare(seed, numbered::FEED, receivers))
    });
}
