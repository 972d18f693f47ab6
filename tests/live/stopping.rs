//! Ends: signals under load, a venue that does not answer, histograms, what is left behind.
//!
//! Runs on:  test threads, with one venue and one engine as processes.
use crate::engine::{Engine, sum};
use crate::program::TIMEOUT;
use crate::proxy::Proxy;
use crate::venue::Venue;
use base64::Engine as _;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

/// From the signal to the end of the process.
const STOP: Duration = Duration::from_secs(10);

const STAGES: [&str; 6] = [
    "venue_to_read",
    "read_to_decoded",
    "decoded_to_applied",
    "read_to_applied",
    "control_ring",
    "wake_up",
];

/// Sends a signal to a busy engine; gives its exit code and the time it took.
fn stop(engine: &mut Engine, signal: Signal) -> (Option<i32>, Duration) {
    let begun = Instant::now();
    engine.program.signal(signal);
    let status = engine.program.wait(STOP + TIMEOUT);
    let took = begun.elapsed();
    assert!(took < STOP, "{took:?}: {}", engine.program);
    engine.program.assert_clean();
    (status.code(), took)
}

/// Values of each stage, from the first line of its text file.
fn counts_of_texts(folder: &Path) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for stage in STAGES {
        let text = std::fs::read_to_string(folder.join(format!("{stage}.txt"))).unwrap();
        let first = text.lines().next().unwrap();
        assert!(first.starts_with(&format!("# {stage}, nanoseconds, ")), "{first}");
        let count = first.split_whitespace().nth_back(1).unwrap().parse().unwrap();
        let rows: Vec<Vec<f64>> = text
            .lines()
            .skip(2)
            .map(|row| row.split_whitespace().map(|cell| cell.parse().unwrap()).collect())
            .collect();
        assert!(rows.len() > 10 && rows.iter().all(|row| row.len() == 3), "{text}");
        assert!(rows.windows(2).all(|two| two[0][1] <= two[1][1]), "{text}");
        assert_eq!(rows.last().unwrap()[2] as u64, count, "{text}");
        counts.insert(stage.to_owned(), count);
    }
    counts
}

/// Frames of each connection by connections.txt.
fn frames_of_connections(folder: &Path) -> BTreeMap<String, u64> {
    let text = std::fs::read_to_string(folder.join("connections.txt")).unwrap();
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines
        .filter(|fields| fields[1] == "read_to_applied")
        .map(|fields| (fields[0].to_owned(), fields[2].parse().unwrap()))
        .collect()
}

/// Values of each tag of the log, by the reader of the hdrhistogram crate.
fn counts_of_log(folder: &Path) -> BTreeMap<String, u64> {
    let bytes = std::fs::read(folder.join("latencies.hlog")).unwrap();
    let mut counts = BTreeMap::new();
    let mut times = 0;
    for entry in IntervalLogIterator::new(&bytes) {
        let interval = match entry.unwrap() {
            LogEntry::Interval(interval) => interval,
            LogEntry::StartTime(_) | LogEntry::BaseTime(_) => {
                times += 1;
                continue;
            }
        };
        let encoded = interval.encoded_histogram();
        let raw = base64::engine::general_purpose::STANDARD.decode(encoded).unwrap();
        let histogram: Histogram<u64> =
            Deserializer::new().deserialize(&mut std::io::Cursor::new(raw)).unwrap();
        assert!(interval.duration() > Duration::ZERO && !histogram.is_empty());
        let tag = interval.tag().unwrap().as_str().to_owned();
        *counts.entry(tag).or_default() += histogram.len();
    }
    assert_eq!(times, 2, "start time and base time");
    counts
}

#[test]
fn sigterm_under_load_writes_histograms_and_leaves_nothing() {
    let mut venue = Venue::start(&["--markets", "200", "--rate", "2500", "--levels", "10"]);
    let folder = tempfile::tempdir().unwrap();
    let histograms = folder.path().join("new/folder");
    let dir = histograms.display().to_string();
    let flags = ["--histograms", &dir, "--connection-histograms", "--shards", "2"];
    let mut engine = Engine::start(&venue, &flags);
    engine.wait_live(400);
    engine.wait_for("load", TIMEOUT, |stats| sum(stats, "updates") > 4_000);
    let engine_connections = engine.stats()["pool"]["connections"].as_array().unwrap().len();
    let children = format!("/proc/{0}/task/{0}/children", engine.program.id());
    assert_eq!(std::fs::read_to_string(children).unwrap_or_default().trim(), "");
    let (code, took) = stop(&mut engine, Signal::TERM);
    eprintln!("SIGTERM under load: {took:?}");
    assert_eq!(code, Some(0), "{}", engine.program);
    assert_eq!((venue.stat("connections"), venue.stat("violations")), (0, 0));
    drop(TcpListener::bind(engine.address).unwrap());
    let (texts, mut log) = (counts_of_texts(&histograms), counts_of_log(&histograms));
    for stage in STAGES {
        assert_eq!(log.remove(stage).unwrap_or(0), texts[stage], "{stage}");
    }
    assert!(log.is_empty(), "{log:?}");
    assert!(texts["read_to_applied"] > 4_000 / 8, "{texts:?}");
    for stage in ["read_to_decoded", "decoded_to_applied"] {
        assert_eq!(texts[stage], texts["read_to_applied"], "{texts:?}");
    }
    let frames = frames_of_connections(&histograms);
    assert_eq!(frames.len(), engine_connections, "{frames:?}");
    let sum: u64 = frames.values().sum();
    assert!(sum > 4_000 / 8 && sum <= texts["read_to_applied"], "{frames:?}");
    assert!(texts["venue_to_read"] > 0 && texts["control_ring"] > 0, "{texts:?}");
    engine.program.wait_for_line(" frames, ");
    for stage in STAGES {
        let line = engine.program.stderr().into_iter().find(|line| line.starts_with(stage));
        let count = line.unwrap().split_whitespace().nth(1).unwrap().parse::<u64>().unwrap();
        assert_eq!(count, texts[stage], "{stage}");
    }
}

#[test]
fn sigint_closes_each_websocket_with_a_close_frame() {
    let flags = ["--plain", "--markets", "450", "--rate", "1000", "--levels", "6"];
    let mut venue = Venue::start(&flags);
    let address = venue.url["http://".len()..].parse().unwrap();
    let proxy = Proxy::start(address);
    let ws = format!("ws://{}/ws/market", proxy.address);
    let flags = ["--gamma-url", &venue.url, "--ws-url", &ws, "--shards", "1"];
    let mut engine = Engine::with_flags(&flags.map(str::to_owned));
    engine.wait_live(900);
    engine.wait_for("load", TIMEOUT, |stats| sum(stats, "updates") > 1_500);
    let (code, took) = stop(&mut engine, Signal::INT);
    eprintln!("SIGINT under load: {took:?}");
    assert_eq!(code, Some(0), "{}", engine.program);
    // The first look before the start connects and sends nothing.
    let mut tails = proxy.tails();
    tails.retain(|tail| !tail.is_empty());
    assert!(tails.len() >= 2, "{tails:?}");
    for tail in tails {
        // Masked close with a two-byte code, 1000.
        let Some([0x88, 0x82, mask @ .., high, low]) = tail.last_chunk::<8>() else {
            panic!("no close frame: {tail:02x?}");
        };
        assert_eq!([high ^ mask[0], low ^ mask[1]], 1000u16.to_be_bytes());
    }
    assert_eq!((venue.stat("connections"), venue.stat("violations")), (0, 0));
}

#[test]
fn a_silent_venue_delays_no_stop_and_a_second_signal_ends_at_once() {
    let flags = ["--plain", "--markets", "60", "--rate", "100", "--levels", "6"];
    let venue = Venue::start(&flags);
    let mut engine = Engine::start(&venue, &["--shards", "1"]);
    let mut other = Engine::start(&venue, &["--shards", "1"]);
    engine.wait_live(120);
    other.wait_live(120);
    venue.process.program.signal(Signal::STOP);
    let (code, took) = stop(&mut engine, Signal::TERM);
    eprintln!("SIGTERM with a venue that stands still: {took:?}");
    assert_eq!(code, Some(0), "{}", engine.program);
    let begun = Instant::now();
    other.program.signal(Signal::TERM);
    other.program.wait_for_line("closing 1 connections");
    other.program.signal(Signal::INT);
    let status = other.program.wait(TIMEOUT);
    eprintln!("second signal: {:?}", begun.elapsed());
    assert_eq!(status.code(), Some(128 + 2), "{}", other.program);
    other.program.wait_for_line("second signal");
    other.program.assert_clean();
    venue.process.program.signal(Signal::CONT);
}

#[test]
fn a_duration_ends_by_itself_and_early_signals_are_handled() {
    let venue = Venue::start(&["--plain", "--markets", "60", "--levels", "6"]);
    let mut engine = Engine::start(&venue, &["--duration", "1"]);
    assert_eq!(engine.program.wait(TIMEOUT).code(), Some(0), "{}", engine.program);
    engine.program.assert_clean();
    // As soon as it prints its address: dials and scans are on their way.
    let mut engine = Engine::start(&venue, &[]);
    let (code, took) = stop(&mut engine, Signal::TERM);
    eprintln!("SIGTERM right after the start: {took:?}");
    assert_eq!(code, Some(0), "{}", engine.program);
}
