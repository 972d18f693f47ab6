//! Chunks in, files out, read back.
use super::*;
use crate::base::id::{ShardId, TokenId};
use crate::base::time::MILLISECOND_NS;
use crate::capture::line::{Record, What};
use crate::capture::{index, manifest};
use crate::link::shard_capture::{CaptureTap, capture_link};
use std::path::Path;

const ONE: ConnectionId = ConnectionId(1);

fn options(folder: &Path) -> CaptureOptions {
    CaptureOptions {
        folder: folder.to_owned(),
        flush_ns: 20 * MILLISECOND_NS,
        segment_bytes: u64::MAX,
        segment_ns: u64::MAX / 4,
    }
}

fn start(folder: &Path) -> (CaptureTap, CaptureSink) {
    let (tap, spring) = capture_link(ShardId(0), 4);
    let url = "wss://venue.test/ws/market";
    (tap, CaptureSink::start(&options(folder), vec![spring], url, HostClock::new()).unwrap())
}

/// Everything in the folder's segments, decompressed, in order.
fn text(folder: &Path) -> String {
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    let segments = paths.iter().filter(|path| path.extension().unwrap() == "zst");
    let bytes = segments.flat_map(|p| zstd::decode_all(&std::fs::read(p).unwrap()[..]).unwrap());
    String::from_utf8(bytes.collect()).unwrap()
}

fn events(folder: &Path) -> Vec<manifest::Entry> {
    manifest::read(&std::fs::read_to_string(folder.join(manifest::FILE)).unwrap())
}

#[test]
fn what_a_shard_says_is_in_the_files_in_order_and_the_manifest_knows_the_gaps() {
    let folder = tempfile::tempdir().unwrap();
    let (mut tap, sink) = start(folder.path());
    let frame = r#"{"market":"0x1","event_type":"book"}"#;
    tap.tokens(Note::Opened, ONE, 1_000, None, &[]);
    tap.sent(ONE, 1_001, "PING");
    tap.frame(ONE, 1_002, frame, false);
    tap.frame(ONE, 1_003, "PONG", false);
    tap.ended(ONE, 1_004, "closed \"so\"");
    tap.tokens(Note::Opened, ONE, 1_009, Some(ConnectionId(7)), &[TokenId::new("5").unwrap()]);
    tap.frame(ONE, 1_010, frame, true);
    tap.answer(1_011, "[]");
    assert!(tap.ship(1_012));
    let report = sink.stop();
    assert_eq!((report.frames, report.records, report.lost, report.segments), (3, 8, 0, 1));
    assert_eq!(report.waiting_bytes, 0, "{}", report.line());
    let text = text(folder.path());
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines {
        serde_json::from_str::<serde_json::Value>(line).expect(line);
    }
    let what: Vec<What<'_>> = lines.iter().map(|line| Record::read(line).what).collect();
    assert_eq!(what[0], What::Opened { from: None });
    assert_eq!(what[1], What::Sent);
    assert_eq!(what[2], What::Text(frame.into()));
    assert_eq!(what[3], What::Text("PONG".into()));
    assert_eq!(what[4], What::Ended);
    assert_eq!(what[5], What::Opened { from: Some(7) });
    assert_eq!(what[6], What::Passed);
    assert_eq!(what[7], What::Answer("[]".into()));
    assert!(lines[0].contains("\"url\":\"wss://venue.test/ws/market\""), "{}", lines[0]);
    assert!(lines[3].starts_with(r#"{"t":1003,"c":1,"s":3,"k":"x""#), "{}", lines[3]);
    let entries = events(folder.path());
    assert!(entries.iter().any(|entry| matches!(entry,
        manifest::Entry::Gap { from: 1_004, to: 1_009, connection: Some(1), cause, .. }
            if cause == "closed \"so\"")));
    assert!(matches!(entries.last(), Some(manifest::Entry::Stopped { .. })));
}

#[test]
fn segments_rotate_and_their_indices_lead_to_each_block() {
    let folder = tempfile::tempdir().unwrap();
    let rotation = Rotation { bytes: 200, ns: u64::MAX / 4 };
    let (mut files, gap) = Folder::open(folder.path(), rotation, 5_000_000_000, 1).unwrap();
    assert_eq!(gap, None);
    for block in 0..12_u64 {
        for place in 0..3 {
            let stamp = Stamp { receive_ns: block * 10 + place, connection: 1, sequence: 0 };
            line::write_text(files.text(stamp.receive_ns), stamp, "{\"market\":\"0x1\"}");
        }
        files.flush(6_000_000_000).unwrap();
    }
    files.finish(7_000_000_000).unwrap();
    assert!(files.totals().segments >= 3, "{:?}", files.totals());
    assert_eq!(text(folder.path()).lines().count(), 36);
    let mut seen = 0;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().unwrap() != "index" {
            continue;
        }
        let segment = std::fs::read(path.with_extension("ndjson.zst")).unwrap();
        for block in index::read(&std::fs::read_to_string(&path).unwrap()) {
            let part = &segment[block.offset as usize..(block.offset + block.bytes) as usize];
            let text = String::from_utf8(zstd::decode_all(part).unwrap()).unwrap();
            let times = text.lines().map(|line| Record::read(line).receive_ns.unwrap());
            assert_eq!(times.collect::<Vec<_>>(), (block.from..=block.to).collect::<Vec<_>>());
            assert_eq!(text.len() as u64, block.text_bytes);
            seen += 1;
        }
    }
    assert_eq!(seen, 12);
    let told = events(folder.path());
    let segments = told.iter().filter(|e| matches!(e, manifest::Entry::Segment { .. })).count();
    assert_eq!(segments as u64, files.totals().segments);
}

#[test]
fn a_run_after_a_killed_one_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let rotation = Rotation { bytes: u64::MAX, ns: u64::MAX / 4 };
    let (mut files, _) = Folder::open(folder.path(), rotation, 1_000, 1).unwrap();
    files.text(2_000).extend_from_slice(b"{}\n");
    files.flush(2_000).unwrap();
    drop(files);
    let (mut files, gap) = Folder::open(folder.path(), rotation, 9_000_000_000, 1).unwrap();
    assert!(gap.unwrap().contains("without stopping"));
    files.text(9_000_000_001).extend_from_slice(b"{}\n");
    files.flush(9_000_000_001).unwrap();
    files.finish(9_000_000_002).unwrap();
    drop(files);
    let (_, gap) = Folder::open(folder.path(), rotation, 10_000_000_000, 1).unwrap();
    assert_eq!(gap.as_deref(), Some("nothing ran"));
    let gaps: Vec<(u64, u64)> = events(folder.path())
        .iter()
        .filter_map(|entry| match entry {
            manifest::Entry::Gap { from, to, connection: None, .. } => Some((*from, *to)),
            _ => None,
        })
        .collect();
    assert_eq!(gaps, [(2_000, 9_000_000_000), (9_000_000_002, 10_000_000_000)]);
}

#[test]
fn a_folder_that_cannot_be_made_is_one_line() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let (_, spring) = capture_link(ShardId(0), 1);
    let error = CaptureSink::start(&options(file.path()), vec![spring], "", HostClock::new());
    let line = error.err().unwrap();
    assert_eq!(
        line,
        format!("{} is a file: name a folder, new or of earlier captures", file.path().display())
    );
}
