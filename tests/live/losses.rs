//! Frames and trades that could not be stored: counted, with the cause, in manifest, health and exit code.
//!
//! Runs on:  test threads, with one venue and one engine as processes.
use crate::engine::{Engine, count};
use crate::program::{Program, TIMEOUT};
use crate::venue::Venue;
use rustix::process::Signal;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// So many events a second, of which so many in 10,000 are trades.
fn venue(rate: &str, trades: &str) -> Venue {
    let market = ["--markets", "60", "--levels", "8", "--burst", "0"];
    Venue::start(&[&market[..], &["--rate", rate, "--trades", trades]].concat())
}

/// The segment that is being written, once frames are in it.
fn active(engine: &mut Engine, folder: &Path) -> PathBuf {
    let written = |stats: &Value| count(stats, "/capture/records") > 500;
    engine.wait_for("records", TIMEOUT, written);
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().rfind(|path| path.extension().is_some_and(|e| e == "zst")).unwrap()
}

/// Stops the engine, which must exit with 1 and print the cause; gives the frames of the manifest's gaps with it.
fn end(engine: &mut Engine, folder: &Path, cause: &str) -> u64 {
    engine.program.signal(Signal::TERM);
    assert_eq!(engine.program.wait(TIMEOUT).code(), Some(1), "{}", engine.program);
    let line = engine.program.wait_for_line(" frames are not in ");
    assert!(line.contains(cause) && line.contains("its manifest says when"), "{line}");
    engine.program.assert_clean();
    let manifest = std::fs::read_to_string(folder.join("manifest.ndjson")).unwrap();
    assert!(manifest.contains("\"stopped\""), "{manifest}");
    let lines = manifest.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let gaps = lines.filter(|entry| entry["event"] == "gap");
    let gaps = gaps.filter(|gap| gap["cause"].as_str().unwrap().contains(cause));
    gaps.map(|gap| count(&gap, "/frames")).sum()
}

#[test]
fn an_active_segment_that_is_deleted_or_cut_is_a_loss() {
    let venue = venue("400", "135");
    for what in ["deleted", "truncated"] {
        let folder = tempfile::tempdir().unwrap();
        let capture = folder.path().join("capture");
        let dir = capture.display().to_string();
        let flags = ["--shards", "1", "--capture", &dir, "--capture-flush-ms", "100"];
        let mut engine = Engine::start(&venue, &flags);
        engine.wait_live(120);
        let segment = active(&mut engine, &capture);
        if what == "deleted" {
            std::fs::remove_file(&segment).unwrap();
        } else {
            std::fs::File::options().write(true).open(&segment).unwrap().set_len(0).unwrap();
        }
        engine.wait_health(503, &format!("{what} by another program"));
        let stats = engine.stats();
        let lost = count(&stats, "/capture/lost");
        assert!(lost > 0, "{stats:#}");
        let again = count(&stats, "/capture/records") + 100;
        engine.wait_for("more records", TIMEOUT, |s| count(s, "/capture/records") > again);
        assert_eq!(end(&mut engine, &capture, what), lost, "{what}");
    }
}

/// An engine whose files may have so many blocks of 512 bytes: further writes fail, as on a full disk.
fn start_limited(venue: &Venue, blocks: u32, flags: &[&str]) -> Engine {
    let mut command = std::process::Command::new("sh");
    let script = format!("ulimit -f {blocks}; exec \"$@\"");
    command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_ringbook"), "run"]);
    command.args(venue.addresses()).args(["--shards", "1", "--serve", "127.0.0.1:0"]).args(flags);
    Engine::of(Program::start(command))
}

#[test]
fn a_disk_that_is_full_to_the_end_is_a_loss_of_frames() {
    let venue = venue("800", "135");
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("capture");
    let dir = capture.display().to_string();
    let flags = ["--capture", &dir, "--capture-flush-ms", "100"];
    let mut engine = start_limited(&venue, 600, &flags);
    engine.wait_health(503, "cannot be written for");
    let waits = |stats: &Value| count(stats, "/capture/waiting_bytes") > 10_000;
    engine.wait_for("waiting frames", TIMEOUT, waits);
    assert!(end(&mut engine, &capture, "every write failed until the process ended") > 0);
    // What was written before is whole.
    let mut command = Program::ringbook();
    let output = command.args(["replay", "--json"]).arg(&capture).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(count(&report, "/frames") > 0, "{report:#}");
}

#[test]
fn trades_that_neither_database_nor_journal_took_are_a_loss() {
    let venue = venue("1500", "10000");
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite:{}", folder.path().join("t.db").display());
    let flags = ["--trades", &database, "--trades-batch-ms", "50"];
    let mut engine = start_limited(&venue, 300, &flags);
    let waits = |stats: &Value| count(stats, "/trades/queued") > 4_000;
    engine.wait_for("trades that are not stored", TIMEOUT, waits);
    engine.program.signal(Signal::TERM);
    assert_eq!(engine.program.wait(TIMEOUT).code(), Some(1), "{}", engine.program);
    engine.program.wait_for_line(" trades are in neither sqlite:");
    let line = engine.program.wait_for_line("trades: ");
    assert!(!line.contains(" 0 lost"), "{line}");
    engine.program.assert_clean();
}
