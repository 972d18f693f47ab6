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
