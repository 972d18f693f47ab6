//! Recordings that were imported into a capture: its books are those of the recording.

use crate::generate::{self, PACKINGS, pack};
use crate::kalshi::generate::{Trouble, records};
use crate::kalshi::reference::Reference;
use crate::kalshi::{engine, stored};
use crate::{binary, streams};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Imports the files into a new folder; the exit code, and what was reported on standard error.
fn import(files: &[PathBuf], out: &Path, venue: &str) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringbook"));
    command.arg("import").args(files).arg("--out").arg(out).args(["--venue", venue]);
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn imported_polymarket_streams_replay_to_the_books_of_the_recording() {
    let folder = tempfile::tempdir().unwrap();
    for seed in 0..12 {
        let stream = generate::stream(seed);
        let files = streams::files(&stream, seed, folder.path());
        let out = folder.path().join(format!("capture{seed}"));
        let (code, reported) = import(&files, &out, "polymarket");
        assert_eq!(code, Some(0), "seed {seed}: {reported}");
        let [direct, imported] = [&files[..], &[out]].map(|files| binary::replay(files, &[]));
        assert!(direct.report.messages > 0, "seed {seed}");
        assert_eq!(direct.report, imported.report, "seed {seed}");
        assert_eq!(direct.books, imported.books, "seed {seed}");
    }
}

#[test]
fn imported_kalshi_streams_replay_to_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    for (trouble, alone) in [(Trouble::Connections, false), (Trouble::Frames, true)] {
        for seed in 0..4 {
            let records = records(seed, trouble, alone);
            let reference = Reference::of(&records);
            let lines = if alone { stored::raw(&records) } else { stored::capture(&records) };
            let packing = PACKINGS[usize::try_from(seed).unwrap() % PACKINGS.len()];
            let file = pack(folder.path(), &format!("stream{seed}"), packing, &lines);
            let out = folder.path().join(format!("capture{seed}{alone}"));
            let (_, reported) = import(&[file], &out, "kalshi");
            let mut wrong = engine::failures(&reference, &out, false);
            let shown = engine::shorten(&mut wrong);
            assert!(wrong.is_empty(), "seed {seed}, {trouble:?}: {reported}\n{shown}");
        }
    }
}

/// Lines of a recorder with a frame and its time in milliseconds.
type Recorder = fn(u64, &str) -> String;

fn iso(ms: u64) -> String {
    format!("2026-08-06T07:06:{:02}.{:03}0000Z", 40 + (ms / 1000) % 10, ms % 1000)
}

/// Files as public recorders and archives have them: books, times and, where they say so, ends of connections.
#[test]
fn files_of_public_recorders_come_in() {
    let recorders: [(&str, Recorder); 5] = [
        ("hftbacktest", |ms, frame| format!("{ms}000000 {frame}")),
        ("tardis-machine", |ms, frame| {
            format!(r#"{{"localTimestamp":"{}","message":{frame}}}"#, iso(ms))
        }),
        ("tardis", |ms, frame| format!("{} {frame}", iso(ms))),
        ("object", |ms, frame| format!(r#"{{"recv_ts":{ms},"raw":{frame}}}"#)),
        ("string", |ms, frame| {
            format!(r#"{{"local_timestamp_ms":{ms},"message":{}}}"#, serde_json::json!(frame))
        }),
    ];
    let folder = tempfile::tempdir().unwrap();
    let market = format!("0x{}", "a".repeat(64));
    let book = format!(
        r#"{{"market":"{market}","asset_id":"71","timestamp":"1786000000000","hash":"","bids":[{{"price":"0.4","size":"5"}}],"asks":[],"event_type":"book"}}"#
    );
    let change = format!(
        r#"{{"market":"{market}","price_changes":[{{"asset_id":"71","price":"0.5","size":"2","side":"BUY"}}],"timestamp":"1786000001000","event_type":"price_change"}}"#
    );
    for (name, line) in recorders {
        for between in ["", "\n"] {
            let is_end = !between.is_empty() && name.starts_with("tardis");
            let state = if is_end { "stale:disconnected" } else { "live" };
            let [first, second] = [(0, &book), (1_000, &change)];
            let [first, second] =
                [first, second].map(|(ms, frame)| line(1_786_000_000_000 + ms, frame));
            let path = folder.path().join(format!("{name}{}.gz", between.len()));
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(
                &mut packed,
                format!("{first}\n{between}{second}\n").as_bytes(),
            )
            .unwrap();
            std::fs::write(&path, packed.finish().unwrap()).unwrap();
            let out = path.with_extension("capture");
            let (code, reported) = import(&[path], &out, "polymarket");
            assert_eq!((code, reported.as_str()), (Some(0), ""), "{name}");
            let out = [out];
            let run = binary::replay(&out, &["--from", "1786000000500000000"]);
            assert_eq!(run.report.messages, 1, "{name}: the times of receipt");
            let book = &binary::replay(&out, &[]).books[0];
            assert_eq!((book.state.as_str(), book.bids.len()), (state, 2), "{name}");
        }
    }
}

/// What is missing in a file is reported, with the exit code, and the books are stale there.
#[test]
fn what_a_recording_lacks_is_reported_and_makes_its_books_stale() {
    let folder = tempfile::tempdir().unwrap();
    let market = format!("0x{}", "a".repeat(64));
    let book = |time: u64| {
        format!(
            r#"{{"market":"{market}","asset_id":"71","timestamp":"{time}","hash":"","bids":[{{"price":"0.4","size":"5"}}],"asks":[],"event_type":"book"}}"#
        )
    };
    let first = book(1_786_000_000_000);
    let second = book(1_786_000_000_100);
    let path = folder.path().join("recording.jsonl");
    std::fs::write(&path, [first.as_bytes(), b"\n\xff\xfe\n"].concat()).unwrap();
    let files = [path.clone()];
    let out = folder.path().join("lost");
    let (code, reported) = import(&files, &out, "polymarket");
    assert_eq!(code, Some(1), "{reported}");
    assert!(reported.contains("lines that are not UTF-8: 1, first in "), "{reported}");
    assert!(reported.contains("lines without receive time"), "{reported}");
    assert_eq!(binary::replay(&[out], &[]).books[0].state, "stale:frames_lost");

    std::fs::write(&path, [first.as_bytes(), b"\n", second.as_bytes(), b"\n"].concat()).unwrap();
    let out = folder.path().join("whole");
    assert_eq!(import(&files, &out, "polymarket").0, Some(0));
    let run = binary::replay(std::slice::from_ref(&out), &["--from", "1786000000050000000"]);
    assert_eq!(run.report.messages, 1, "the venue's time stands in");
    // A folder that is not empty is left alone.
    let (code, reported) = import(&files, &out, "polymarket");
    assert_eq!((code, reported.contains("is not empty")), (Some(1), true), "{reported}");
}

/// A recording of random levels: snapshots and changes of two tokens, or of one ticker.
fn levels(venue: &str) -> String {
    let mut state = 7_u64;
    let mut random = move |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let market = format!("0x{}", "b".repeat(64));
    let mut text = String::new();
    for step in 0..400_u64 {
        let (ms, token) = (1_786_000_000_000 + step * 15, 71 + random(2));
        let is_snapshot = step < 2 || random(40) == 0;
        let token = if step < 2 { 71 + step } else { token };
        let (price, size, is_bid) = (1 + random(40), random(5), random(2) == 0);
        let frame = match (venue, is_snapshot) {
            ("polymarket", true) => format!(
                r#"{{"market":"{market}","asset_id":"{token}","timestamp":"{ms}","hash":"","bids":[{{"price":"0.{price:02}","size":"{}"}}],"asks":[{{"price":"0.77","size":"3.5"}},{{"price":"0.7","size":"2"}}],"event_type":"book"}}"#,
                size + 1
            ),
            ("polymarket", false) => {
                let (side, price) = if is_bid { ("BUY", price) } else { ("SELL", 50 + price) };
                format!(
                    r#"{{"market":"{market}","price_changes":[{{"asset_id":"{token}","price":"0.{price:02}","size":"{size}","side":"{side}"}}],"timestamp":"{ms}","event_type":"price_change"}}"#
                )
            }
            (_, true) => format!(
                r#"{{"type":"orderbook_snapshot","sid":1,"seq":{},"msg":{{"market_ticker":"KX-1","yes_dollars_fp":[["0.{price:02}","{}.00"]],"no_dollars_fp":[["0.30","2.50"]]}}}}"#,
                step + 1,
                size + 1
            ),
            (_, false) => format!(
                r#"{{"type":"orderbook_delta","sid":1,"seq":{},"msg":{{"market_ticker":"KX-1","price_dollars":"0.{price:02}","delta_fp":"{}.25","side":"{}","ts_ms":{ms}}}}}"#,
                step + 1,
                size,
                if is_bid { "yes" } else { "no" }
            ),
        };
        let at = ms * 1_000_000 + 400;
        text += &format!("{{\"t\":{at},\"c\":1,\"s\":{step},\"k\":\"t\",\"f\":{frame}}}\n");
    }
    text
}

#[test]
fn tables_of_levels_have_the_books_of_the_recording() {
    let folder = tempfile::tempdir().unwrap();
    for venue in ["polymarket", "kalshi"] {
        let path = folder.path().join(format!("{venue}.ndjson"));
        std::fs::write(&path, levels(venue)).unwrap();
        let tables = folder.path().join(format!("{venue}-tables"));
        let mut export = Command::new(env!("CARGO_BIN_EXE_ringbook"));
        export.arg("export").arg(&path).args(["--tables", "levels,tops", "--out"]).arg(&tables);
        let output = export.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let out = folder.path().join(format!("{venue}-again"));
        let (code, reported) = import(&[tables.join("levels.parquet")], &out, venue);
        assert_eq!(code, Some(0), "{reported}");
        assert!(reported.contains("has no states"), "{reported}");
        let [direct, imported] = [&path, &out]
            .map(|path| binary::replay(std::slice::from_ref(path), &["--venue", venue]));
        assert!(direct.books.iter().all(|book| book.state == "live" && book.bids.len() > 3));
        assert_eq!(direct.books, imported.books, "{venue}");
        // And at any time, not at the end only.
        let half = ["--to", "1786000003000000000", "--venue", venue];
        let [direct, imported] =
            [&path, &out].map(|path| binary::replay(std::slice::from_ref(path), &half));
        assert_eq!(direct.books, imported.books, "{venue}");
        let out = folder.path().join(format!("{venue}-tops"));
        let (code, reported) = import(&[tables.join("tops.parquet")], &out, venue);
        assert_eq!((code, out.exists()), (Some(1), false), "{reported}");
        assert!(reported.contains("is a table of tops: books need that of levels"), "{reported}");
    }
}

/// A refused input leaves nothing behind, and a damaged one is called that.
#[test]
fn a_capture_is_refused_and_damage_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("capture.ndjson");
    let start = r#"{"t":1786000000000000000,"c":0,"s":0,"k":"p","d":0,"shards":1,"hashes":"off"}"#;
    std::fs::write(&path, format!("{}{start}\n", levels("polymarket"))).unwrap();
    let out = folder.path().join("out");
    let (code, reported) = import(std::slice::from_ref(&path), &out, "polymarket");
    assert_eq!((code, out.exists()), (Some(1), false), "{reported}");
    assert!(reported.contains("line 401: this is a capture of ringbook already"), "{reported}");

    let mut packed = zstd::encode_all(levels("polymarket").as_bytes(), 3).unwrap();
    packed[..12].fill(0xff);
    let path = folder.path().join("damaged.ndjson.zst");
    std::fs::write(&path, packed).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringbook"));
    let output = command.arg("import").arg(&path).arg("--out").arg(&out).output().unwrap();
    let reported = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), out.exists()), (Some(1), false), "{reported}");
    assert!(reported.contains("the zstd stream is damaged"), "{reported}");
}
