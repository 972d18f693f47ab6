//! Files for the replay: plain, zstd and gzip; one shard and three.
//!
//! Input: a byte that decides how the rest is stored (plain, compressed by us, or as it is), then the
//! content. Stored in a compressed form or read by more shards, it must give the same result.

use super::{Target, behaviour, magnitude, messages};
use flate2::{Compression, write::GzEncoder};
use ringbook::capture::line::{self as capture, AnnotationRecord, Record, Stamp, What};
use ringbook::io::file::Source;
use ringbook::replay::plan::{Plan, Speed};
use ringbook::replay::report::ReplayReport;
use ringbook::replay::{ReplayError, run as replay};
use serde_json::Value;
use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub(super) const TARGET: Target =
    Target { name: "replay", run, seeds, dictionary: messages::DICTIONARY };

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
    match replay(&plan, &Arc::new(AtomicBool::new(false)), &()) {
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
                unknown_instruments,
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
                unknown_instruments,
            ];
            // Torn, NUL bytes, long lines, a few damages and how many more, nothing understood, not what was captured.
            assert!(report.failures.len() <= 12, "{:?}", report.failures);
            let torn = report.failures.len();
            let text = format!("{counts:?} {books:?} {digest} {capture:?} {torn}");
            (Outcome::Report(text), Some(report))
        }
    }
}

/// What an engine's capture records of its books holds for as many shards as it had; with others it must do no
/// harm.
fn has_notes(content: &[u8]) -> bool {
    let lines = content.split(|&byte| byte == b'\n').filter_map(|l| std::str::from_utf8(l).ok());
    lines.map(|line| Record::read(line).what).any(|what| {
        matches!(
            what,
            What::Annotation(_) | What::Answer(..) | What::Skipped | What::Opened { from: Some(_) }
        )
    })
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
    let texts = content.split(|&byte| byte == b'\n').map(String::from_utf8_lossy);
    values(content).iter().all(|value| has_one_market(value, "", &mut owners))
        && texts.into_iter().all(|line| damaged_has_one_market(&line, &mut owners))
}

/// The same of a line that is no JSON: a token in it may stand with a market that is not its own.
fn damaged_has_one_market(line: &str, owners: &mut HashMap<String, String>) -> bool {
    let Some((_, rest)) = line.split_once(r#""market":""#) else { return true };
    if serde_json::from_str::<Value>(line).is_ok() {
        return true;
    }
    let market = rest.split('"').next().unwrap_or_default();
    let numbers = line.split(|c: char| !c.is_ascii_digit()).filter(|number| number.len() > 50);
    numbers
        .into_iter()
        .all(|token| owners.entry(token.into()).or_insert_with(|| market.into()).as_str() == market)
}

/// The same of one value, wherever in it frames stand, be it as texts.
fn has_one_market(value: &Value, outer: &str, owners: &mut HashMap<String, String>) -> bool {
    match value {
        Value::Object(members) => {
            let market = members.get("market").and_then(Value::as_str).unwrap_or(outer);
            let token = members.get("asset_id").and_then(Value::as_str);
            let owner =
                token.map(|token| owners.entry(token.into()).or_insert_with(|| market.into()));
            owner.is_none_or(|owner| owner == market)
                && members.values().all(|member| has_one_market(member, market, owners))
        }
        Value::Array(list) => list.iter().all(|entry| has_one_market(entry, outer, owners)),
        Value::String(text) if text.contains('{') => {
            let frame = serde_json::from_str::<Value>(text);
            frame.map_or(true, |frame| has_one_market(&frame, outer, owners))
        }
        _ => true,
    }
}

/// The JSON values of a text, on one line each or on several; what is none is passed over to the line's end.
fn values(mut content: &[u8]) -> Vec<Value> {
    let mut found = Vec::new();
    while !content.is_empty() {
        let mut stream = serde_json::Deserializer::from_slice(content).into_iter();
        let next = match stream.next() {
            Some(Ok(value)) => {
                found.push(value);
                stream.byte_offset()
            }
            _ => content.iter().position(|&byte| byte == b'\n').map_or(content.len(), |at| at + 1),
        };
        content = &content[next..];
    }
    found
}

fn run(input: &[u8]) -> u64 {
    let Some((&form, content)) = input.split_first() else { return 0 };
    if let Ok(text) = std::str::from_utf8(content) {
        text.lines().take(50).for_each(|line| drop(Record::read(line)));
    }
    let file = store(content);
    let (one, report) = of_file(file.path(), 1);
    if !has_notes(content) && each_token_has_one_market(content) {
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
    behaviour((counts.map(|count| magnitude(count as usize)), report.failures.len()))
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

/// The same as an engine captures it, with a connection that takes over from another, and answers over REST.
fn engine_capture_of(frames: &[String]) -> Vec<u8> {
    let mut out = Vec::new();
    let stamp = |sequence: usize, connection: u32| Stamp {
        receive_ns: 1_790_491_135_816_000_000 + sequence as u64 * 40_000_000,
        connection,
        sequence: sequence as u64,
    };
    let values: Vec<Value> =
        frames.iter().filter_map(|frame| serde_json::from_str(frame).ok()).collect();
    let named = values.iter().filter_map(|value| {
        Some((value.get("market")?.as_str()?, value.get("asset_id")?.as_str()?))
    });
    let (mut openings, mut tokens) = (Vec::new(), Vec::new());
    for (market, token) in named.take(20) {
        openings.push(format!(r#"{{"m":"{market}","a":"{token}","n":false,"t":"0.01","o":"5"}}"#));
        tokens.push(format!("\"{token}\""));
    }
    let (openings, tokens) = (openings.join(","), tokens.join(","));
    let note = |sequence: usize, connection: u32, note: AnnotationRecord, rest: &str| {
        let mut line = Vec::new();
        capture::write_annotation(&mut line, stamp(sequence, connection), note, 0, rest);
        line
    };
    out.extend(note(0, 0, AnnotationRecord::Begun, r#","shards":1,"hashes":"all""#));
    out.extend(note(0, 1, AnnotationRecord::Books, &format!(r#","books":[{openings}]"#)));
    out.extend(note(0, 1, AnnotationRecord::Opened, ""));
    for (place, frame) in frames.iter().enumerate() {
        capture::write_text(&mut out, stamp(place, 1), frame);
        match place % 12 {
            1 => out.extend(note(
                place,
                2,
                AnnotationRecord::Opened,
                &format!(r#","from":1,"a":[{tokens}]"#),
            )),
            2 | 3 => capture::write_text(&mut out, stamp(place, 2), frame),
            4 => out.extend(note(place, 2, AnnotationRecord::Switch, "")),
            5 => out.extend(note(place, 0, AnnotationRecord::Matched, "")),
            6 => out.extend(note(place, 0, AnnotationRecord::Housekeeping, "")),
            7 => {
                out.extend(note(place, 0, AnnotationRecord::Asked, &format!(r#","a":[{tokens}]"#)))
            }
            8 => capture::write_answer(&mut out, stamp(place, 0), (0, "1"), &format!("[{frame}]")),
            9 => out.extend(note(
                place,
                0,
                AnnotationRecord::Proof,
                &format!(
                    r#","a":{},"z":"00000000000000ff""#,
                    tokens.split(',').next().unwrap_or("\"\"")
                ),
            )),
            10 => capture::write_text_skipped(&mut out, stamp(place, 1), frame),
            11 => capture::write_ended(&mut out, stamp(place, 1), "reset"),
            _ => {}
        }
    }
    out.extend(note(frames.len(), 1, AnnotationRecord::Dropped, &format!(r#","a":[{tokens}]"#)));
    out.extend(note(frames.len(), 2, AnnotationRecord::Closed, &format!(r#","a":[{tokens}]"#)));
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
    let engine = engine_capture_of(&frames);
    let plain = [lines, capture, pretty.join("\n").into_bytes(), wrapped.join("\n").into_bytes()];
    // Not packed by us: what is packed is not looked into, and notes do not hold for every number of shards.
    let mut seeds: Vec<Vec<u8>> =
        (0..3_u8).map(|form| [&[form][..], &engine[..]].concat()).collect();
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
