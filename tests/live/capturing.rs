//! A capture replays to equal books, whatever faults occurred.
//!
//! Runs on:  test threads, with one venue and one engine as processes.
use crate::engine::{Engine, count, sum};
use crate::program::{Program, TIMEOUT};
use crate::venue::Venue;
use rustix::process::Signal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const TOKENS: usize = 200;

/// Gone at the end, unless `RINGBOOK_TEST_KEEP` names a folder to keep it in: for looking at a capture afterwards.
fn capture_folder() -> tempfile::TempDir {
    let Ok(keep) = std::env::var("RINGBOOK_TEST_KEEP") else { return tempfile::tempdir().unwrap() };
    let folder = tempfile::Builder::new().disable_cleanup(true).tempdir_in(keep).unwrap();
    eprintln!("capture: {}", folder.path().display());
    folder
}

/// A venue that stands still, and then sends so many messages a second.
fn venue(rate: &str) -> Venue {
    Venue::start(&["--paused", "--markets", "100", "--burst", "0", "--rate", rate])
}

fn start(venue: &Venue, folder: &Path) -> Engine {
    let folder = folder.display().to_string();
    let flags = ["--shards", "2", "--capture", &folder, "--capture-flush-ms", "100"];
    let flags = [&flags[..], &["--capture-images", "1"]].concat();
    let mut engine = Engine::start(venue, &[&flags[..], &["--verify-hash", "all"]].concat());
    engine.wait_live(TOKENS);
    engine
}

fn replay(folder: &Path, flags: &[&str]) -> Output {
    let mut command: Command = Program::ringbook();
    command.arg("replay").arg(folder).arg("--json").args(flags);
    command.output().unwrap()
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

/// The books of a running engine whose venue stands still, once no hash check is pending.
fn books(engine: &mut Engine, tokens: &[String]) -> BTreeMap<String, Value> {
    let look = |engine: &mut Engine| -> BTreeMap<String, Value> {
        tokens.iter().map(|token| (token.clone(), engine.book(token).json())).collect()
    };
    let begun = Instant::now();
    let mut before = look(engine);
    loop {
        // Longer than a hash check waits for the trade that it needs.
        engine.wait_still(Duration::from_millis(2500));
        let now = look(engine);
        if now == before {
            return now;
        }
        assert!(begun.elapsed() < TIMEOUT, "the books change though the venue stands still");
        before = now;
    }
}

/// Replaces every connection; returns when no replacement is under way or waits: a snapshot on one may change a book
/// after it was asked for.
fn recycle_all(engine: &mut Engine) {
    let stats = engine.stats();
    let connections = stats["pool"]["connections"].as_array().unwrap();
    let figure = |stats: &Value, name: &str| count(stats, &format!("/recycling/{name}"));
    let ended = |stats: &Value| figure(stats, "completed") + figure(stats, "failed");
    let all = ended(&stats) + connections.len() as u64;
    for connection in connections {
        // 503: the control core is busy. 409: it is being replaced already.
        let order = format!("/admin/recycle?connection={}", connection["id"]);
        while engine.post(&order).status == 503 {}
    }
    let rests = |stats: &Value| ended(stats) >= all && figure(stats, "under_way") == 0;
    engine.wait_for("recycles", TIMEOUT, rests);
}

/// Until all that the shards have sent off is in the files. The thread that writes has the lowest priority, and
/// when the process ends it has no longer than ten seconds.
fn wait_written(engine: &mut Engine) {
    let is_written = |stats: &Value| {
        let links = stats["router"].as_array().unwrap();
        let is_capture = |link: &&Value| link["name"].as_str().unwrap().ends_with("_capture");
        let depths = links.iter().filter(is_capture).map(|link| count(link, "/depth"));
        depths.sum::<u64>() <= 4 && count(stats, "/capture/waiting_bytes") < 100_000
    };
    engine.wait_for("written capture", TIMEOUT, is_written);
}

/// The replay's books, without their states: a stopped engine's are stale.
fn replayed(path: &Path) -> BTreeMap<String, Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let books = text.lines().map(|line| {
        let mut book: Value = serde_json::from_str(line).unwrap();
        let state = book.as_object_mut().unwrap().remove("state").unwrap();
        assert_eq!(state, "stale:disconnected");
        book.as_object_mut().unwrap().remove("stale_since");
        (book["asset_id"].as_str().unwrap().to_owned(), book)
    });
    books.collect()
}

#[test]
fn a_capture_with_cuts_lost_messages_and_recycles_replays_to_equal_books() {
    // Frames are dropped and counted where the writing thread gets no time: then again.
    assert!((0..4).any(|_| capture_and_replay()), "frames were lost in each of four captures");
}

/// False where frames are missing in the capture.
fn capture_and_replay() -> bool {
    let folder = capture_folder();
    let mut venue = venue("250");
    let capture = folder.path().join("capture");
    let mut engine = start(&venue, &capture);
    venue.control("resume");
    for fault in ["lost", "doubled", "cut"] {
        venue.control(&format!("fault?kind={fault}&rate=200&ms=600000"));
    }
    // Of all kinds, a binary frame among them.
    venue.control("malformed?count=66");
    let faults = [("lost_frames", 3), ("doubled_frames", 3), ("cut", 1)];
    let done = |venue: &mut Venue| faults.iter().all(|&(fault, times)| venue.stat(fault) >= times);
    venue.wait_for("faults", done);
    for fault in ["lost", "doubled", "cut"] {
        venue.control(&format!("fault?kind={fault}&rate=0"));
    }
    // All are back: one that is away cannot be replaced.
    let cuts = venue.stat("cut");
    let back = |stats: &Value| count(stats, "/pool/reconnects") >= cuts;
    engine.wait_for("new connections", TIMEOUT, back);
    engine.wait_for("binary frames", TIMEOUT, |stats| sum(stats, "binary_frames") > 0);
    engine.wait_live(TOKENS);
    recycle_all(&mut engine);
    venue.pause();
    let tokens = venue.tokens();
    // What was lost is repaired by hashes or stays; both are to come out of the replay as they are.
    engine.wait_live(TOKENS);
    let live = books(&mut engine, &tokens);
    let stats = engine.stats();
    assert!(count(&stats, "/pool/reconnects") > 0, "the cuts cut nothing");
    wait_written(&mut engine);
    engine.program.signal(Signal::INT);
    engine.program.wait(TIMEOUT);
    if !engine.program.wait_for_line("capture: ").contains("; 0 frames lost") {
        return false;
    }
    let taken_over = text(&capture).matches(r#""k":"k","d":"#).count();
    assert!(taken_over >= 2, "{taken_over} recycles in it");
    let mut digests = Vec::new();
    // At a recorded speed the records are in receive order across the shards that have recorded them.
    for (shards, speed) in [("1", "max"), ("2", "max"), ("3", "max"), ("2", "1000000x")] {
        let out = folder.path().join(format!("books-{shards}-{speed}"));
        let path = out.display().to_string();
        let flags = ["--shards", shards, "--speed", speed, "--books-out", &path];
        let output = replay(&capture, &flags);
        let report = report(&output);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let checkpoints = |name: &str| count(&report, &format!("/capture/checkpoints_{name}"));
        assert!(checkpoints("equal") > 300, "{report:#}");
        assert_eq!((checkpoints("different"), checkpoints("skipped")), (0, 0), "{report:#}");
        if shards == "2" {
            for name in ["changes", "trades"] {
                let key = if name == "changes" { "updates" } else { name };
                assert_eq!(count(&report, &format!("/{name}")), sum(&stats, key), "{name}");
            }
        }
        let replayed = replayed(&out);
        assert_eq!(replayed.len(), live.len());
        for (token, book) in &live {
            assert_eq!(&replayed[token], book, "{token} with {shards} shards at {speed}");
        }
        digests.push(report["digest"].clone());
    }
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
    the_checkpoints_find_a_change(&capture, folder.path());
    true
}

/// The records of a capture in one file.
fn text(capture: &Path) -> String {
    let segments = std::fs::read_dir(capture).unwrap().map(|entry| entry.unwrap().path());
    let segment = segments.into_iter().find(|path| path.extension().unwrap() == "zst").unwrap();
    let text = zstd::decode_all(&std::fs::read(segment).unwrap()[..]).unwrap();
    String::from_utf8(text).unwrap()
}

/// A size in one frame of the capture is another: a checkpoint must fail, and the exit code must report it.
///
/// Not any frame will do: during a recycle a change comes on two connections, and a snapshot may
/// stand behind it. So frames are changed one at a time, from the last one backwards.
fn the_checkpoints_find_a_change(capture: &Path, folder: &Path) {
    let text = text(capture);
    let is_change = |line: &&str| line.contains("\"price_changes\"");
    let path = folder.join("changed.ndjson");
    for frame in text.lines().rev().filter(is_change).take(100) {
        let changed = frame.replace(r#""size":""#, r#""size":"1"#);
        assert!(changed != frame, "{frame}");
        std::fs::write(&path, text.replace(frame, &changed)).unwrap();
        let output = replay(&path, &[]);
        if output.status.success() {
            continue;
        }
        assert_eq!(output.status.code(), Some(1));
        assert!(count(&report(&output), "/capture/checkpoints_different") > 0);
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(printed.contains("books differ from the capture"), "{printed}");
        return;
    }
    panic!("100 frames were changed, each alone, and no proof failed");
}

#[test]
fn a_killed_run_leaves_its_flushed_frames_and_the_next_run_appends() {
    let folder = tempfile::tempdir().unwrap();
    let mut venue = venue("600");
    venue.control("resume");
    let mut written = 0;
    for round in 1..=3_u64 {
        let mut engine = start(&venue, folder.path());
        let enough = |stats: &Value| count(stats, "/capture/records") > 100 * round;
        let (stats, _) = engine.wait_for("records", TIMEOUT, enough);
        written += count(&stats, "/capture/records");
        if round < 3 {
            engine.program.signal(Signal::KILL);
            engine.program.wait(TIMEOUT);
            continue;
        }
        venue.pause();
        engine.program.signal(Signal::INT);
        engine.program.wait(TIMEOUT);
    }
    let output = replay(folder.path(), &["--shards", "2"]);
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    // A block that was being written when the process was killed is reported as torn.
    assert!(output.status.success() || printed.contains("truncated"), "{printed}");
    let report = report(&output);
    assert!(count(&report, "/capture/checkpoints_equal") > 200, "{report:#}");
    assert_eq!(count(&report, "/capture/checkpoints_different"), 0, "{printed}");
    assert_eq!(report["files"].as_array().unwrap().len(), 3);
    let lines: u64 = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().unwrap() == "index")
        .flat_map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            text.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()).collect::<Vec<_>>()
        })
        .map(|block| count(&block, "/records"))
        .sum();
    assert!(lines >= written, "{lines} records are in the files, {written} were reported");
    let manifest = std::fs::read_to_string(folder.path().join("manifest.ndjson")).unwrap();
    assert_eq!(manifest.matches("ended without stopping").count(), 2, "{manifest}");
    assert_eq!(manifest.matches("\"stopped\"").count(), 1, "{manifest}");
}

#[test]
fn a_range_of_times_reads_what_is_in_it_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut venue = venue("600");
    let mut engine = start(&venue, folder.path());
    venue.control("resume");
    engine.wait_for("records", TIMEOUT, |stats| count(stats, "/capture/records") > 2000);
    // Frames on both sides of a block in the middle, which ends with every flush.
    let begun = Instant::now();
    loop {
        let lines = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let index = lines.filter(|path| path.extension().is_some_and(|e| e == "index"));
        let blocks: usize =
            index.map(|path| std::fs::read_to_string(path).unwrap().lines().count()).sum();
        if blocks >= 12 && count(&engine.stats(), "/capture/records") > 4000 {
            break;
        }
        assert!(begun.elapsed() < TIMEOUT, "{blocks} blocks");
        std::thread::sleep(Duration::from_millis(100));
    }
    venue.pause();
    engine.program.signal(Signal::INT);
    engine.program.wait(TIMEOUT);
    let frames = |flags: &[&str]| {
        let output = replay(folder.path(), flags);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report = report(&output);
        count(&report, "/frames") + count(&report, "/capture/frames_skipped")
    };
    let all = frames(&[]);
    // By the frames: on a busy machine a shard's records come late, and no block's time is in the middle.
    let text = text(folder.path());
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut times: Vec<u64> =
        records.filter(|record| record["k"] == "t").map(|record| count(&record, "/t")).collect();
    times.sort_unstable();
    let middle = times[times.len() / 2].to_string();
    let (before, after) = (frames(&["--to", &middle]), frames(&["--from", &middle]));
    assert!(before > 100 && after > 100, "{before} and {after} of {all}");
    assert_eq!(before + after, all);
    let output = replay(folder.path(), &["--from", "2100-01-01T00:00:00Z"]);
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(printed.contains("no record was received between"), "{printed}");
    let output = replay(folder.path(), &["--from", "2026-01-01T00:00:00Z", "--to", "1"]);
    assert_eq!(output.status.code(), Some(2));
}
