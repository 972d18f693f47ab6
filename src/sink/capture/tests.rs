//! Chunks written to files and read back.
use super::*;
use crate::base::id::{ShardId, TokenId};
use crate::base::time::MILLISECOND_NS;
use crate::capture::line::{Record, What};
use crate::capture::{index, manifest};
use crate::counter::loss::FrameCount;
use crate::link::shard_capture::{CaptureSender, capture_link};
use crate::session::Incoming;
use std::path::Path;

const ONE: ConnectionId = ConnectionId(1);

fn options(folder: &Path) -> CaptureOptions {
    CaptureOptions {
        folder: folder.to_owned(),
        flush_ns: 20 * MILLISECOND_NS,
        segment_bytes: u64::MAX,
        segment_ns: u64::MAX / 4,
        image_round_ns: 0,
        retention: Retention::default(),
        on_close: None,
    }
}

fn start(folder: &Path) -> (CaptureSender, CaptureSink) {
    let (sender, receiver) = capture_link(ShardId(0), 4);
    let url = "wss://venue.test/ws/market";
    (sender, CaptureSink::start(&options(folder), vec![receiver], url, HostClock::new()).unwrap())
}

/// Everything in the folder's segments, decompressed, in order.
fn text(folder: &Path) -> String {
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    let segments = paths.iter().filter(|path| path.extension().unwrap() == "zst");
    let bytes = segments.flat_map(|p| zstd::decode_all(&std::fs::read(p).unwrap()[..]).unwrap());
    without_headers(&String::from_utf8(bytes.collect()).unwrap())
}

/// Lines except the first of each segment, which declares the keys.
fn without_headers(text: &str) -> String {
    let lines = text.lines().filter(|line| Record::read(line).what != What::Header);
    lines.map(|line| format!("{line}\n")).collect()
}

fn events(folder: &Path) -> Vec<manifest::Entry> {
    manifest::read(&std::fs::read_to_string(folder.join(manifest::FILE)).unwrap())
}

#[test]
fn what_a_shard_says_is_in_the_files_in_order_and_the_manifest_knows_the_gaps() {
    let folder = tempfile::tempdir().unwrap();
    let (mut sender, sink) = start(folder.path());
    let frame = r#"{"market":"0x1","event_type":"book"}"#;
    sender.tokens(AnnotationRecord::Opened, ONE, 1_000, None, &[]);
    sender.sent(ONE, 1_001, "PING");
    sender.frame(ONE, 1_002, frame, false);
    sender.frame(ONE, 1_003, "PONG", false);
    sender.ended(ONE, 1_004, "closed \"so\"");
    sender.tokens(
        AnnotationRecord::Opened,
        ONE,
        1_009,
        Some(ConnectionId(7)),
        &[TokenId::new("5").unwrap()],
    );
    sender.frame(ONE, 1_010, frame, true);
    sender.answer(1_011, 3, "[]");
    let binary = Incoming::Binary(b"\xff\0{}");
    sender.message(ONE, 1_012, &binary, false);
    sender.message(ONE, 1_013, &binary, true);
    assert!(sender.ship(1_014));
    let report = sink.stop();
    assert_eq!((report.frames, report.records, report.lost, report.segments), (5, 10, 0, 1));
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
    assert_eq!(what[6], What::Skipped);
    assert_eq!(what[7], What::Answer("[]".into(), 3));
    assert_eq!(what[8], What::Binary(b"\xff\0{}".to_vec()));
    assert_eq!(what[9], What::Skipped);
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
            let records = without_headers(&text);
            let times = records.lines().map(|line| Record::read(line).receive_ns.unwrap());
            assert_eq!(times.collect::<Vec<_>>(), (block.from..=block.to).collect::<Vec<_>>());
            assert_eq!(text.len() as u64, block.text_bytes);
            seen += 1;
        }
    }
    assert_eq!(seen, 12);
    let entries = events(folder.path());
    let segments = entries.iter().filter(|e| matches!(e, manifest::Entry::Segment { .. })).count();
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
    assert_eq!(gap.as_deref(), Some("no engine ran"));
    let gaps: Vec<(u64, u64)> = events(folder.path())
        .iter()
        .filter_map(|entry| match entry {
            manifest::Entry::Gap { from, to, connection: None, .. } => Some((*from, *to)),
            _ => None,
        })
        .collect();
    assert_eq!(gaps, [(2_000, 9_000_000_000), (9_000_000_002, 10_000_000_000)]);
}

/// Three blocks of 1, 2 and 3 frames in one segment; gives its path and the ends of the blocks.
fn three_blocks(folder: &Path) -> (Folder, std::path::PathBuf, [u64; 3]) {
    let rotation = Rotation { bytes: u64::MAX, ns: u64::MAX / 4 };
    let (mut files, _) = Folder::open(folder, rotation, 1_000, 1).unwrap();
    let mut ends = [0; 3];
    for block in 0..3_u64 {
        for frame in 0..=block {
            write_frame(&mut files, 2_000 + 10 * block + frame);
        }
        files.flush(3_000).unwrap();
        ends[block as usize] = files.totals().bytes;
    }
    let mut paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let path = paths.find(|path| path.extension().unwrap() == "zst").unwrap();
    (files, path, ends)
}

fn write_frame(files: &mut Folder, receive_ns: u64) {
    let stamp = Stamp { receive_ns, connection: 1, sequence: 0 };
    let frame = r#"{"market":"0x1","event_type":"last_trade_price"}"#;
    line::write_text(files.text(receive_ns), stamp, frame);
    files.count_frame(FrameCount::of_text(frame));
}

/// Gaps in the manifest with their frames, and the number of records of each finished segment.
fn gaps_and_segments(folder: &Path) -> (Vec<(u64, u64, u64)>, Vec<u64>) {
    let (mut gaps, mut segments) = (Vec::new(), Vec::new());
    for entry in events(folder) {
        match entry {
            manifest::Entry::Gap { from, to, frames: Some(frames), trades, cause, .. } => {
                assert_eq!(trades, Some(frames), "each of them is a trade");
                assert!(cause.contains("by another program"), "{cause}");
                gaps.push((from, to, frames));
            }
            manifest::Entry::Segment { records, .. } => segments.push(records),
            _ => {}
        }
    }
    (gaps, segments)
}

#[test]
fn a_segment_that_is_deleted_is_a_gap_with_its_frames_and_another_one_follows() {
    let folder = tempfile::tempdir().unwrap();
    let (mut files, path, _) = three_blocks(folder.path());
    assert_eq!(files.check(), None);
    std::fs::remove_file(&path).unwrap();
    let missing = files.check().unwrap();
    assert_eq!(missing.count.frames, 6);
    assert!(missing.cause.contains("was deleted by another program"), "{}", missing.cause);
    assert_eq!(files.check(), None, "reported once");
    write_frame(&mut files, 4_000);
    files.flush(5_000).unwrap();
    files.finish(6_000).unwrap();
    assert_eq!(gaps_and_segments(folder.path()), (vec![(2_000, 2_022, 6)], vec![1]));
    assert_eq!(text(folder.path()).lines().count(), 1);
}

#[test]
fn a_segment_that_is_cut_keeps_its_whole_blocks_and_the_rest_is_a_gap() {
    for (cut, left, frames, from) in [(0, 0, 6, 2_000), (1, 0, 6, 2_000), (2, 1, 5, 2_000)] {
        let folder = tempfile::tempdir().unwrap();
        let (mut files, path, ends) = three_blocks(folder.path());
        let len = [0, ends[0] - 1, ends[1] - 1][cut];
        std::fs::File::options().write(true).open(&path).unwrap().set_len(len).unwrap();
        let missing = files.check().unwrap();
        assert_eq!(missing.count.frames, frames, "cut at {len}");
        write_frame(&mut files, 4_000);
        files.flush(5_000).unwrap();
        files.finish(6_000).unwrap();
        let segments = if left == 0 { vec![1] } else { vec![left, 1] };
        assert_eq!(
            gaps_and_segments(folder.path()),
            (vec![(from, 2_022, frames)], segments),
            "cut at {len}"
        );
        assert_eq!(text(folder.path()).lines().count() as u64, left + 1, "cut at {len}");
    }
}

#[test]
fn a_folder_that_is_deleted_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("capture");
    let (mut files, ..) = three_blocks(&path);
    std::fs::remove_dir_all(&path).unwrap();
    assert_eq!(files.check().unwrap().count.frames, 6);
    write_frame(&mut files, 4_000);
    files.flush(5_000).unwrap();
    files.finish(6_000).unwrap();
    assert_eq!(gaps_and_segments(&path), (vec![(2_000, 2_022, 6)], vec![1]));
    assert!(matches!(events(&path)[0], manifest::Entry::Started { at: 1_000, .. }));
    let rotation = Rotation { bytes: u64::MAX, ns: u64::MAX / 4 };
    assert!(Folder::open(&path, rotation, 7_000, 1).is_err(), "the new folder is locked, too");
}

#[test]
fn what_the_disk_never_took_is_counted_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("capture");
    let (mut sender, sink) = start(&path);
    // A folder cannot be created where a file is.
    std::fs::remove_dir_all(&path).unwrap();
    std::fs::write(&path, "").unwrap();
    for at in 0..5 {
        sender.frame(ONE, 1_000 + at, r#"{"type":"trade"}"#, false);
    }
    assert!(sender.ship(1_005));
    sender.frame(ONE, 1_006, "{}", false);
    drop(sender);
    let report = sink.stop();
    assert_eq!((report.frames, report.lost, report.lost_trades), (5, 6, 5), "{report:?}");
    assert!(!report.is_complete());
    assert!(report.trouble(0).unwrap().contains("6 frames are not in the capture"), "{report:?}");
    let line = report.line();
    assert!(line.contains("; 6 frames lost with 5 trades: every write failed"), "{line}");
}

#[test]
fn a_folder_that_cannot_be_made_is_one_line() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let (_, receiver) = capture_link(ShardId(0), 1);
    let error = CaptureSink::start(&options(file.path()), vec![receiver], "", HostClock::new());
    let line = error.err().unwrap();
    assert_eq!(
        line,
        format!("{} is a file: name a folder, new or of earlier captures", file.path().display())
    );
}

#[test]
fn the_first_record_of_every_segment_names_each_key_that_may_come() {
    use crate::capture::line::{
        Stamp, write_annotation, write_answer, write_binary, write_ended, write_lost, write_opened,
        write_sent, write_text,
    };
    let keys = |line: &str| -> Vec<String> {
        let record: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(line).unwrap();
        record.keys().cloned().collect()
    };
    let mut header = Vec::new();
    crate::capture::line::write_header(&mut header, 5, false);
    let header = String::from_utf8(header).unwrap();
    let known = keys(&header);
    let mut out = Vec::new();
    let stamp = Stamp { receive_ns: 5, connection: 1, sequence: 0 };
    write_text(&mut out, stamp, "{}");
    write_binary(&mut out, stamp, b"x");
    write_sent(&mut out, stamp, "PING");
    write_opened(&mut out, stamp, "wss://x");
    write_ended(&mut out, stamp, "reset");
    write_lost(&mut out, stamp, 3);
    write_answer(&mut out, stamp, (0, "1"), "[]");
    let rest = r#","shards":2,"hashes":"all","from":1,"a":["1"],"z":"0","books":[]"#;
    write_annotation(&mut out, stamp, AnnotationRecord::Begun, 0, rest);
    for line in String::from_utf8(out).unwrap().lines() {
        for key in keys(line) {
            assert!(known.contains(&key), "{key} of {line}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let rotation = Rotation { bytes: 1, ns: u64::MAX / 4 };
    let (mut files, _) = Folder::open(folder.path(), rotation, 1_000, 1).unwrap();
    for at in [2_000, 3_000] {
        files.text(at).extend_from_slice(b"{}\n");
        files.flush(at).unwrap();
    }
    files.finish(4_000).unwrap();
    for path in std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()) {
        if path.extension().is_some_and(|end| end == "zst") {
            let bytes = zstd::decode_all(&std::fs::read(&path).unwrap()[..]).unwrap();
            let text = String::from_utf8(bytes).unwrap();
            let first = text.lines().next().unwrap();
            assert_eq!(Record::read(first).what, What::Header);
            assert_eq!(keys(first), known);
        }
    }
}

#[test]
fn the_backlog_of_a_shard_delays_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..3).map(|shard| capture_link(ShardId(shard), 8)).unzip();
    // Everything is there before the writer starts.
    for ((mut sender, chunks), number) in senders.into_iter().zip([6, 3, 3]).zip(1..) {
        let connection = ConnectionId(number);
        for chunk in 0..chunks {
            sender.frame(connection, chunk, "{}", false);
            assert!(sender.ship(chunk));
        }
    }
    let clock = HostClock::new();
    let sink = CaptureSink::start(&options(folder.path()), receivers, "", clock).unwrap();
    assert_eq!(sink.stop().records, 12);
    let text = text(folder.path());
    let order: Vec<u64> = text.lines().map(|line| Record::read(line).connection.unwrap()).collect();
    assert_eq!(order, [1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 1, 1]);
}

#[test]
fn old_segments_are_removed_and_no_reader_misses_them() {
    let folder = tempfile::tempdir().unwrap();
    let rotation = Rotation { bytes: 1, ns: u64::MAX / 4 };
    let (mut files, _) = Folder::open(folder.path(), rotation, 1_000, 1).unwrap();
    for at in [2_000, 3_000, 4_000, 5_000] {
        write_frame(&mut files, at);
        files.flush(at).unwrap();
    }
    assert_eq!(files.take_closed().len(), 3);
    let segments = || crate::io::file::segments(folder.path()).unwrap();
    let all = segments();
    assert_eq!(all.len(), 4);
    let retention = Retention { ns: Some(1_500), bytes: None };
    let removed = files.remove_surplus(retention, 5_000);
    let times: Vec<u64> = removed.iter().map(|(file, _)| file.to).collect();
    assert_eq!((times, segments()), (vec![2_000, 3_000], all[2..].to_vec()));
    assert!(files.remove_surplus(retention, 5_000).is_empty(), "once");
    // The open one stays, whatever the retention.
    let removed = files.remove_surplus(Retention { ns: None, bytes: Some(0) }, 5_000);
    assert_eq!((removed.len(), segments()), (1, all[3..].to_vec()));
    assert!(removed[0].1.contains("--capture-keep-gb"), "{removed:?}");
    files.finish(6_000).unwrap();
    let names = events(folder.path()).into_iter().filter_map(|entry| match entry {
        manifest::Entry::Removed { file, .. } => Some(folder.path().join(file)),
        _ => None,
    });
    assert_eq!(names.collect::<Vec<_>>(), all[..3]);
    let indices = crate::io::file::indices(folder.path());
    assert_eq!(indices, [all[3].with_extension("").with_extension("index")]);
}

#[test]
fn a_command_runs_for_each_closed_file_and_its_failure_is_counted() {
    for (command, is_failure) in [("cp -t COPIES", false), ("cp -t COPIES/none", true)] {
        let folder = tempfile::tempdir().unwrap();
        let (capture, copies) = (folder.path().join("capture"), folder.path().join("copies"));
        std::fs::create_dir(&copies).unwrap();
        let on_close = Some(command.replace("COPIES", &copies.display().to_string()));
        let options = CaptureOptions { on_close, ..options(&capture) };
        let (mut sender, receiver) = capture_link(ShardId(0), 4);
        let sink = CaptureSink::start(&options, vec![receiver], "", HostClock::new()).unwrap();
        sender.frame(ONE, 1_000, "{}", false);
        assert!(sender.ship(1_001));
        drop(sender);
        let report = sink.stop();
        assert_eq!((report.commands, report.commands_failed), (1, u64::from(is_failure)));
        assert!(report.is_complete());
        let names = |folder: &Path| -> Vec<_> {
            let files = crate::io::file::segments(folder).unwrap();
            files.iter().map(|path| path.file_name().unwrap().to_owned()).collect()
        };
        let copied = if is_failure { Vec::new() } else { names(&capture) };
        assert_eq!(names(&copies), copied);
    }
}
