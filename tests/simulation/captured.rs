//! A run whose shards are captured: the replay has the books of the engine.
//!
//! Runs on:  the simulation's thread; the capture and the replay have threads of their own.
use crate::fault::Fault;
use crate::number;
use crate::world::World;
use ringbook::io::clock::HostClock;
use ringbook::io::file::Source;
use ringbook::replay::{plan::Plan, plan::Speed, run};
use ringbook::sink::capture::{CaptureOptions, CaptureSink};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Levels of every book, from the file that a replay writes.
fn replayed(text: &str) -> BTreeMap<String, String> {
    let side = |book: &serde_json::Value, name: &str| {
        let levels = book[name].as_array().expect("levels").iter();
        let text = |level: &serde_json::Value, key: &str| level[key].as_str().unwrap().to_owned();
        let levels =
            levels.map(|level| format!("{}x{}", text(level, "price"), text(level, "size")));
        levels.collect::<Vec<_>>().join(" ")
    };
    let books = text.lines().map(|line| {
        let book: serde_json::Value = serde_json::from_str(line).unwrap();
        let levels = format!("{} | {}", side(&book, "bids"), side(&book, "asks"));
        (book["asset_id"].as_str().unwrap().to_owned(), levels)
    });
    books.collect()
}

/// Runs a seed with a capture and replays it. Gives the connections that were merged.
fn replay(seed: u64) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let options = CaptureOptions {
        folder: folder.path().join("capture"),
        flush_ns: 20_000_000,
        segment_bytes: u64::MAX,
        segment_ns: u64::MAX / 4,
    };
    let (mut world, springs) = World::captured(seed);
    let shards = springs.len() as u16;
    let sink = CaptureSink::start(&options, springs, "ws://venue/ws/market", HostClock::new());
    let sink = sink.unwrap();
    let injected = world.run().unwrap_or_else(|breach| panic!("{breach}"));
    let live = world.live_levels();
    drop(world);
    let report = sink.stop();
    assert_eq!((report.lost, report.error.as_str()), (0, ""), "{}", report.line());
    let out = folder.path().join("books");
    let files = std::fs::read_dir(&options.folder).unwrap().map(|entry| entry.unwrap().path());
    let segments = files.filter(|path| path.extension().is_some_and(|end| end == "zst"));
    let files: Vec<Source> = segments.map(Source::Path).collect();
    let plan = Plan::new(files, shards, 1, Speed::Max, Some(out.clone())).unwrap();
    let report = run(&plan, &Arc::new(AtomicBool::new(false))).unwrap();
    let capture = report.capture;
    assert_eq!(
        (capture.proofs_different, capture.proofs_untold),
        (0, 0),
        "seed {seed}: {capture:?}"
    );
    assert!(capture.proofs_equal > 100, "seed {seed}: {capture:?}");
    let replayed = replayed(&std::fs::read_to_string(out).unwrap());
    assert!(live.len() > 4, "seed {seed}: {} books", live.len());
    for (token, levels) in &live {
        assert_eq!(replayed.get(token), Some(levels), "{token}, seed {seed}");
    }
    injected.get(&Fault::Merge).copied().unwrap_or(0)
}

#[test]
fn a_capture_in_which_connections_are_merged_replays_to_the_very_books() {
    let seeds = number("SIMULATION_SEED", 1)..;
    let seeds = seeds.filter(|&seed| World::new(seed).merges_in_steady_time());
    let merges: u64 = seeds.take(3).map(replay).sum();
    assert!(merges > 0, "nothing was merged");
}
