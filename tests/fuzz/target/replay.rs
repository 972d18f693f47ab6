//! Files for the replay: plain, zstd and gzip; one shard beside three.
//!
//! Input: a byte that says how the rest is stored (plain, compressed by us, or as it is), then the
//! content. Stored in a compressed form or read by more shards, it must say the same.

use super::{Target, behaviour, magnitude, messages};
use flate2::{Compression, write::GzEncoder};
use ringbook::io::file::Source;
use ringbook::replay::capture::{self, Record, Stamp};
use ringbook::replay::plan::{Plan, Speed};
use ringbook::replay::report::ReplayReport;
use ringbook::replay::{ReplayError, run as replay};
use serde_json::Value;
use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub(super) const TARGET: Target = Target { name: "replay", run, seeds, words: messages::WORDS };

/// How much a run wrote down about its input.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// Everything that does not depend on the clock, the shards or the file.
    Report(String),
    Unreadable,
}

fn of_file(path: &Path, shards: u16) -> (Outcome, Option<ReplayReport>) {
    let files = vec![Source::Path(path.to_owned())];
    let plan = Plan::new(files, shards, 1, Speed::Max, None).expect("a plan that can work");
    match replay(&plan, &Arc::new(AtomicBool::new(false))) {
        Err(ReplayError::Input(why)) => {
            assert!(why.contains(&*path.to_string_lossy()), "{why}: which file?");
            (Outcome::Unreadable, None)
        }
        Err(ReplayError::Usage(why)) => panic!("{why}"),
        Ok(report) => {
            let ReplayReport {
                frames,
                messages,
                bytes,
                changes,
                snapshots,
                trades,
                errors,
                unknown_events,
                unknown_texts,
                changes_before_snapshot,
                changes_stale,
                foreign_tokens,
                books,
                digest,
                capture,
                ..
            } = &report;
            let counts = [
                frames,
                messages,
                bytes,
                changes,
                snapshots,
                trades,
                errors,
                unknown_events,
                unknown_texts,
                changes_before_snapshot,
                changes_stale,
                foreign_tokens,
            ];
            assert!(report.troubles.len() <= 1, "{:?}", report.troubles);
            let torn = report.troubles.len();
            let text = format!("{counts:?} {books:?} {digest} {capture:?} {torn}");
            (Outcome::Report(text), Some(report))
        }
    }
}

/// A folder in memory where there is one.
fn folder() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

fn store(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new_in(folder()).expect("a temporary file");
    file.write_all(bytes).expect("room for it");
    file
}

/// Markets are what is divided among shards: a token of two of them has a book on each. No venue has such.
/// Content that is not plain is not looked into.
fn each_token_has_one_market(content: &[u8]) -> bool {
    let mut owners = HashMap::new();
    let lines = content.split(|&byte| byte == b'\n');
    lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok()).all(|line| {
        let frame = line.get("f").unwrap_or(&line);
        let text = frame.as_str().and_then(|text| serde_json::from_str(text).ok());
        let frame: &Value = text.as_ref().unwrap_or(frame);
        let single = std::slice::from_ref(frame);
        let messages = frame.as_array().map_or(single, Vec::as_slice);
        messages.iter().all(|message| {
            let market = message["market"].as_str().unwrap_or("");
            let entries = [&message["price_changes"], &message["changes"]];
            let entries = entries.into_iter().filter_map(Value::as_array).flatten();
            std::iter::once(message).chain(entries).all(|entry| {
                let Some(token) = entry["asset_id"].as_str() else { return true };
                owners.entry(token.to_owned()).or_insert_with(|| market.to_owned()) == market
            })
        })
    })
}

fn run(input: &[u8]) -> u64 {
    let Some((&form, content)) = input.split_first() else { return 0 };
    if let Ok(text) = std::str::from_utf8(content) {
        text.lines().take(50).for_each(|line| drop(Record::read(line)));
    }
    let file = store(content);
    let (one, report) = of_file(file.path(), 1);
    if each_token_has_one_market(content) {
        let three = of_file(file.path(), 3).0;
        assert_eq!(one, three, "one shard and three");
    }
    let is_plain = !content.starts_with(&[0x1f, 0x8b])
        && !content.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
        && !matches!(content, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]);
    if is_plain && form % 3 > 0 {
        let packed = if form % 3 == 1 {
            zstd::stream::encode_all(content, 1).expect("zstd packs anything")
        } else {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(content).expect("gzip packs anything");
            encoder.finish().expect("gzip packs anything")
        };
        assert_eq!(of_file(store(&packed).path(), 1).0, one, "packed and plain");
    }
    let Some(report) = report else { return behaviour("unreadable") };
    let counts = [
        report.frames,
        report.messages,
        report.changes,
        report.snapshots,
        report.errors,
        report.books.total,
        report.books.stale,
        report.capture.ended,
        report.capture.frames_lost,
    ];
    behaviour((counts.map(|count| magnitude(count as usize)), report.troubles.len()))
}

fn capture_of(frames: &[String]) -> Vec<u8> {
    let mut out = Vec::new();
    let stamp = |sequence: usize| Stamp {
        receive_ns: 1_790_491_135_816_000_000 + sequence as u64,
        connection: (sequence % 2) as u32,
        sequence: sequence as u64,
    };
    capture::write_opened(&mut out, stamp(0), "wss://venue.test/ws/market");
    for (place, frame) in frames.iter().enumerate() {
        capture::write_text(&mut out, stamp(place), frame);
        match place % 9 {
            3 => capture::write_binary(&mut out, stamp(place), b"\0\x01\xff"),
            5 => capture::write_lost(&mut out, stamp(place), 3),
            6 => capture::write_sent(&mut out, stamp(place), "PING"),
            7 => capture::write_ended(&mut out, stamp(place), "reset"),
            _ => {}
        }
    }
    out
}

fn seeds() -> Vec<Vec<u8>> {
    let frames = messages::frames();
    let lines = (frames.join("\n") + "\n").into_bytes();
    let capture = capture_of(&frames);
    let pretty: Vec<String> = frames
        .iter()
        .filter_map(|frame| serde_json::from_str::<serde_json::Value>(frame).ok())
        .filter_map(|value| serde_json::to_string_pretty(&value).ok())
        .collect();
    let wrapped: Vec<String> = frames
        .iter()
        .map(|frame| serde_json::json!({"recv_ns": 5, "conn": 1, "raw": frame}).to_string())
        .collect();
    let plain = [lines, capture, pretty.join("\n").into_bytes(), wrapped.join("\n").into_bytes()];
    let mut seeds = Vec::new();
    for content in &plain {
        for form in 0..3 {
            seeds.push([&[form], &content[..]].concat());
        }
        let zstd = zstd::stream::encode_all(&content[..], 3).expect("zstd packs anything");
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(content).expect("gzip packs anything");
        seeds.push([&[0], &zstd[..]].concat());
        seeds.push([&[0], &gzip.finish().expect("gzip packs anything")[..]].concat());
    }
    seeds
}
