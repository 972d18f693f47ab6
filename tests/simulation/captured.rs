//! A run whose shards are captured: the replay has the books of the engine.
//!
//! Runs on:  the simulation's thread; the replay has threads of its own.
use crate::fault::Fault;
use crate::frame::World as _;
use crate::number;
use crate::world::Stream;
use ringbook::capture::line::Stamp;
use ringbook::io::file::Source;
use ringbook::link::shard_capture::{CaptureReceiver, Entry, Kind};
use ringbook::replay::{plan::Plan, plan::Speed, run};
use ringbook::sink::capture::write_line;
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

/// The lines of all that the shards received and did, in the order of time.
pub(crate) fn lines(trade_receivers: &mut [CaptureReceiver]) -> Vec<u8> {
    let mut entries = Vec::new();
    for receiver in trade_receivers {
        let shard = receiver.shard.0;
        while let Some(chunk) = receiver.full.try_receive() {
            let of_chunk = chunk
                .iter()
                .map(|e| (shard, e.kind, e.connection, e.wall_ns, e.text().into_owned()));
            entries.extend(of_chunk);
        }
    }
    entries.sort_by_key(|(.., wall_ns, _)| *wall_ns);
    let mut out = Vec::new();
    let mut sequences: BTreeMap<u32, u64> = BTreeMap::new();
    for (shard, kind, connection, wall_ns, payload) in entries {
        assert!(kind != Kind::Lost, "the link of a shard was too short");
        let sequence = sequences.entry(connection.0).or_default();
        let stamp = Stamp { receive_ns: wall_ns, connection: connection.0, sequence: *sequence };
        *sequence += 1;
        let entry = Entry { kind, connection, wall_ns, payload: &payload, levels: &[] };
        write_line(&mut out, stamp, shard, "ws://venue/ws/market", &entry);
    }
    out
}

/// Runs a seed with a capture and replays it. Gives the connections that were merged, and the books compared: few
/// where most markets have ended.
fn replay(seed: u64) -> (u64, usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("capture.ndjson");
    let (mut world, mut receivers) = Stream::captured(seed);
    let injected = world.run().unwrap_or_else(|breach| panic!("{breach}"));
    let live = world.live_levels();
    std::fs::write(&path, lines(&mut receivers)).unwrap();
    let out = folder.path().join("books");
    let shards = receivers.len() as u16;
    let files = vec![Source::Path(path)];
    let plan = Plan::new(files, shards, 1, Speed::Max, Some(out.clone())).unwrap();
    let report = run(&plan, &Arc::new(AtomicBool::new(false)), &()).unwrap();
    let capture = report.capture;
    eprintln!("seed {seed}: {injected:?}, {capture:?}");
    assert_eq!(
        (capture.checkpoints_different, capture.checkpoints_skipped),
        (0, 0),
        "seed {seed}: {capture:?}"
    );
    assert!(capture.checkpoints_equal > 100, "seed {seed}: {capture:?}");
    let replayed = replayed(&std::fs::read_to_string(out).unwrap());
    assert!(!live.is_empty(), "seed {seed}: no books");
    for (token, levels) in &live {
        assert_eq!(replayed.get(token), Some(levels), "{token}, seed {seed}");
    }
    (injected.get(&Fault::Merge).copied().unwrap_or(0), live.len())
}

#[test]
fn a_capture_in_which_connections_are_merged_replays_to_equal_books() {
    let seeds = number("SIMULATION_SEED", 1)..;
    let seeds = seeds.filter(|&seed| Stream::new(seed).merges_in_steady_time());
    let count = number("SIMULATION_SEEDS", 3) as usize;
    let replayed: Vec<(u64, usize)> = seeds.take(count).map(replay).collect();
    assert!(replayed.iter().any(|(merges, _)| *merges > 0), "nothing was merged");
    let books: usize = replayed.iter().map(|(_, books)| books).sum();
    assert!(books > 2 * count, "{books} books");
}
