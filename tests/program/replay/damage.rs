//! Damaged, incomplete and foreign recordings: what they cost, and what is reported of them.
use super::{Folder, frames, gzip, number, replay, zstd};
use std::io::Write;

/// Results of a replay: exit code, live books, stale books, lines on standard error.
fn states(arguments: &[&str]) -> (i32, u64, u64, Vec<String>) {
    let mut arguments = arguments.to_vec();
    arguments.push("--json");
    let run = replay(&arguments);
    let books = &run.json()["books"];
    let lines = run.stderr.lines().map(ToOwned::to_owned).collect();
    (run.code, number(books, "live"), number(books, "stale"), lines)
}

#[test]
fn bytes_that_are_no_text_may_have_been_a_message_of_any_book() {
    let folder = Folder::new();
    let mut bytes = [frames::book(0, 0, 5), frames::book(1, 0, 5)].join("\n").into_bytes();
    bytes.extend_from_slice(b"\n\xff\xfe\xff\n");
    bytes.extend_from_slice((frames::book(1, 0, 9) + "\n").as_bytes());
    let file = folder.file("bytes", bytes);
    for shards in ["1", "3"] {
        let (_, live, stale, _) = states(&[&file, "--shards", shards]);
        assert_eq!((live, stale), (1, 1), "{shards} shards");
    }
}

#[test]
fn nul_bytes_are_passed_over_and_books_behind_them_are_stale_until_their_snapshot() {
    let folder = Folder::new();
    let (first, other) = (frames::book(0, 0, 5), frames::book(1, 0, 5));
    let again = frames::book(0, 0, 9);
    let nuls = "\0".repeat(4096);
    for (text, live, stale) in [
        (format!("{first}\n{other}\n{nuls}"), 2, 0),
        (format!("{nuls}{first}\n{other}\n"), 2, 0),
        (format!("{first}\n{other}\n{nuls}{again}\n"), 1, 1),
        (format!("{first}\n{other}\n{nuls}\n{again}\n"), 1, 1),
        (format!("{first}\n{other}\n{}{nuls}{again}\n", &first[..60]), 1, 1),
        (format!("{first}\n{other}\n{nuls}\n{}\n", frames::change(0, 9)), 0, 2),
    ] {
        for bytes in [text.as_bytes().to_vec(), zstd(text.as_bytes())] {
            let file = folder.file("nul", bytes);
            for shards in ["1", "3"] {
                let (code, live_now, stale_now, lines) = states(&[&file, "--shards", shards]);
                assert_eq!((code, live_now, stale_now), (1, live, stale), "{text:?}");
                let reported = lines.iter().filter(|line| line.contains("4096 NUL bytes")).count();
                assert_eq!(reported, 1, "{lines:?}");
            }
        }
    }
}

/// A message that names another market may concern the book of its token, and which shard has it depends on its market.
#[test]
fn a_token_of_two_markets_is_live_only_if_both_have_the_same_book() {
    let folder = Folder::new();
    let of_other = |line: String| line.replace(&frames::market(0), &frames::market(5));
    let first = frames::book(0, 0, 5);
    let lines = [&first, &frames::book(1, 0, 5)].map(String::as_str).join("\n");
    for (more, live, stale) in [
        (of_other(frames::change(0, 6)), 1, 1),
        (of_other(frames::book(0, 0, 5)), 3, 0),
        (of_other(frames::book(0, 0, 5)) + "\n" + &frames::change(0, 6), 1, 2),
    ] {
        let file = folder.file("two", format!("{lines}\n{more}\n"));
        for shards in ["1", "3"] {
            let (code, live_now, stale_now, errors) = states(&[&file, "--shards", shards]);
            assert_eq!((code, live_now, stale_now), (0, live, stale), "{more}");
            let reported = errors.iter().any(|line| line.contains("name 2 markets"));
            assert_eq!(reported, stale > 0, "{errors:?}");
        }
    }
}

#[test]
fn damage_in_a_packed_file_costs_the_frame_that_it_is_in() {
    let folder = Folder::new();
    let packed: Vec<Vec<u8>> =
        (0..5).map(|m| zstd((frames::book(m, 0, 5) + "\n").as_bytes())).collect();
    let mut bytes = packed.concat();
    let at = packed[0].len() + packed[1].len();
    bytes[at..at + 9].fill(0xff);
    let (code, live, stale, lines) = states(&[&folder.file("damaged", &bytes)]);
    assert_eq!((code, live, stale, lines.len()), (1, 2, 2, 1), "{lines:?}");
    assert!(lines[0].contains("damaged") && lines[0].contains("reading resumes"), "{lines:?}");
    // At the end of one file, and in front of the next.
    let end = [&packed[0][..], &[0; 512]].concat();
    let (first, next) = (folder.file("first", end), folder.file("next", &packed[1]));
    let (code, live, stale, _) = states(&[&first, &next]);
    assert_eq!((code, live, stale), (1, 1, 1));
}

#[test]
fn damage_in_a_gzip_file_costs_the_rest_of_its_member() {
    let folder = Folder::new();
    let packed: Vec<Vec<u8>> =
        (0..5).map(|m| gzip((frames::book(m, 0, 5) + "\n").as_bytes())).collect();
    let whole = packed.concat();
    let at = packed[0].len() + packed[1].len();
    let mut bytes = whole.clone();
    bytes[at + 12..at + 40].fill(0xff);
    let (code, live, stale, lines) = states(&[&folder.file("damaged.gz", &bytes)]);
    assert_eq!((code, live, stale, lines.len()), (1, 2, 2, 1), "{lines:?}");
    assert!(lines[0].contains("damaged") && lines[0].contains("reading resumes"), "{lines:?}");
    // One member alone: what was readable, and how much was not. Of blocks that are stored as they are, so that the
    // damage is found where the next block was to begin.
    let text: String = (0..4000).map(|m| frames::book(m, 0, 5) + "\n").collect();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    encoder.write_all(text.as_bytes()).unwrap();
    let mut bytes = encoder.finish().unwrap();
    let (middle, len) = (bytes.len() / 2, bytes.len());
    bytes[middle..].fill(0xff);
    let (code, _, _, lines) = states(&[&folder.file("one.gz", &bytes)]);
    let reported = lines.iter().find(|line| line.contains("to the end are lost")).expect("a line");
    assert!(code == 1 && reported.contains("frames before that were replayed"), "{lines:?}");
    let lost = reported.split("are lost, ").nth(1).unwrap().split(' ').next().unwrap();
    let lost: usize = lost.parse().unwrap();
    assert!((len / 4..=len - middle).contains(&lost), "{lost} of {len}");
    // Its checksum alone is damaged: nothing of it is proven.
    let mut bytes = whole;
    bytes[at - 8] ^= 1;
    let (code, live, stale, lines) = states(&[&folder.file("sum.gz", &bytes)]);
    assert_eq!((code, live, stale), (1, 3, 2), "{lines:?}");
    let end = packed[0].len();
    bytes.truncate(at);
    bytes.drain(..end);
    let (code, live, stale, _) = states(&[&folder.file("last.gz", &bytes)]);
    assert_eq!((code, live, stale), (1, 0, 1), "at the end of the file too");
}

#[test]
fn what_a_manifest_or_an_index_names_and_is_not_there_is_reported() {
    let folder = Folder::new();
    let segment = |m: usize| zstd((frames::book(m, 0, 5) + "\n").as_bytes());
    let name = |m: usize| format!("2026112{m}T000000000Z-000.ndjson.zst");
    let entry = |m: usize| {
        let (file, bytes) = (name(m), segment(m).len());
        format!(
            r#"{{"event":"segment","file":"{file}","from":5,"to":5,"records":1,"bytes":{bytes},"text_bytes":9}}"#
        )
    };
    let manifest: Vec<String> = (1..=4).map(entry).collect();
    folder.file("manifest.ndjson", manifest.join("\n") + "\n");
    for m in 1..=4 {
        folder.file(&name(m), segment(m));
    }
    let dir = folder.0.path().to_str().unwrap().to_owned();
    assert_eq!(states(&[&dir]), (0, 4, 0, vec![]));
    // Frames are lost behind the last record, which no record says. Another loss is before it.
    let gap = |to: u64| {
        format!(r#"{{"event":"gap","from":5,"to":{to},"shard":0,"frames":3,"cause":"no room"}}"#)
    };
    for (to, expected) in [(5, 0), (9, 1)] {
        folder.file("manifest.ndjson", format!("{}\n{}\n", manifest.join("\n"), gap(to)));
        let (code, live, _, lines) = states(&[&dir]);
        assert_eq!((code, live, lines.len()), (expected, 4, expected as usize), "{lines:?}");
        assert!(lines.iter().all(|line| line.contains("3 frames at the end")), "{lines:?}");
    }
    folder.file("manifest.ndjson", manifest.join("\n") + "\n");
    // One is missing: what was before it is stale.
    std::fs::remove_file(folder.path(&name(2))).unwrap();
    let (code, live, stale, lines) = states(&[&dir]);
    assert_eq!((code, live, stale, lines.len()), (1, 2, 1, 1), "{lines:?}");
    assert!(lines[0].contains(&name(2)) && lines[0].contains("missing"), "{lines:?}");
    assert_eq!(
        states(&[folder.path(&name(1)).to_str().unwrap()]).0,
        0,
        "a part of it was asked for"
    );
    // One is cut where a frame ends, one is empty.
    folder.file(&name(2), segment(2));
    let cut = [segment(3), segment(0)].concat();
    folder.file(&name(3), segment(3));
    let manifest = manifest
        .join("\n")
        .replace(&format!("\"bytes\":{}", segment(3).len()), &format!("\"bytes\":{}", cut.len()));
    folder.file("manifest.ndjson", manifest);
    let (code, _, stale, lines) =
        states(&[folder.path(&name(3)).to_str().unwrap(), folder.path(&name(4)).to_str().unwrap()]);
    assert!(code == 1 && stale == 1, "{code} {stale} {lines:?}");
    assert!(lines[0].contains(&name(3)) && lines[0].contains("are missing"), "{lines:?}");
    folder.file("manifest.ndjson", "");
    folder.file(&name(4), "");
    let (code, _, _, lines) = states(&[&dir]);
    assert!(code == 1 && lines.len() == 1 && lines[0].contains("is empty"), "{lines:?}");
    // The index knows more than the file has.
    folder.file(&name(4), segment(4));
    let index =
        format!(r#"{{"offset":0,"bytes":{},"text_bytes":9,"records":1,"from":5,"to":5}}"#, 9999);
    folder.file(&name(4).replace(".ndjson.zst", ".index"), index + "\n");
    let (code, _, _, lines) = states(&[&dir]);
    assert!(code == 1 && lines.len() == 1 && lines[0].contains("its index"), "{lines:?}");
    for m in 1..=4 {
        std::fs::remove_file(folder.path(&name(m))).unwrap();
    }
    let run = replay(&[&dir]);
    assert!(run.code == 1 && run.stderr.contains(&name(4)), "{run}");
}

#[test]
fn a_binary_frame_of_a_venue_that_numbers_its_messages_has_taken_a_number() {
    use ringbook::capture::line::{Stamp, write_binary, write_text};
    let folder = Folder::new();
    let mut text = Vec::new();
    let stamp = |connection: u32| Stamp { receive_ns: 5, connection, sequence: 0 };
    for (connection, market) in [(1, "KXA-1"), (1, "KXB-1"), (2, "KXC-1")] {
        let seq = if market == "KXB-1" { 2 } else { 1 };
        let frame = format!(
            r#"{{"type":"orderbook_snapshot","sid":1,"seq":{seq},"msg":{{"market_ticker":"{market}","yes_dollars_fp":[["0.4000","5.00"]],"no_dollars_fp":[]}}}}"#
        );
        write_text(&mut text, stamp(connection), &frame);
    }
    write_binary(&mut text, stamp(1), b"\x01");
    let file = folder.file("kalshi", text);
    for shards in ["1", "3"] {
        let (code, live, stale, lines) = states(&[&file, "--venue", "kalshi", "--shards", shards]);
        assert_eq!((code, live, stale), (0, 1, 2), "{lines:?}");
        assert!(lines[0].contains("a binary frame"), "{lines:?}");
    }
}

#[test]
fn a_recording_without_a_known_message_is_reported() {
    let folder = Folder::new();
    let kalshi = r#"{"type":"orderbook_snapshot","sid":1,"seq":1,"msg":{"market_ticker":"A"}}"#;
    for text in [
        "{\"a\":1}\n{\"b\":2}\nPONG\n".to_owned(),
        "some text\nmore text\n".to_owned(),
        "{\"blob\":\"x\"}\n".repeat(2000),
        "{\"broken\":\n".repeat(3),
        "[package]\nname = \"x\"\n[dependencies]\na = {}\n".repeat(9),
    ] {
        let file = folder.file("unknown", &text);
        let (code, _, _, lines) = states(&[&file, "--shards", "2"]);
        assert!(code == 1 && lines.len() == 1, "{text:.40}: {lines:?}");
        for part in ["no line is understood", &file, "line 1 is: "] {
            assert!(lines[0].contains(part), "{lines:?}");
        }
        assert!(!lines[0].contains("JSON array"), "{lines:?}");
    }
    let good = folder.file("good", frames::book(0, 0, 5));
    let unknown = folder.file("unknown", "{\"a\":1}\n");
    let (code, live, _, lines) = states(&[&good, &unknown]);
    assert_eq!((code, live, lines.len()), (1, 1, 1), "{lines:?}");
    // A message that only the other venue can have sent is recognized, unless the flag says otherwise.
    let kalshi = folder.file("kalshi", kalshi);
    assert_eq!(states(&[&kalshi]).0, 0);
    assert_eq!(states(&[&kalshi, "--venue", "kalshi"]).0, 0);
    let (code, _, _, lines) = states(&[&kalshi, "--venue", "polymarket"]);
    assert!(code == 1 && lines[0].contains("no line is understood"), "{lines:?}");
    assert!(lines[0].contains("line 1 is: ") && lines[0].contains("--venue kalshi"), "{lines:?}");
    assert_eq!(states(&[&folder.file("pongs", "PONG\nPONG\n")]).0, 0, "heartbeats only");
}

#[test]
fn a_text_without_line_ends_is_skipped_and_reported() {
    let folder = Folder::new();
    let long = format!("{}\n[\n{}", frames::book(0, 0, 5), " x".repeat(30_000_000));
    let (code, live, _, lines) = states(&[&folder.file("long.zst", zstd(long.as_bytes()))]);
    // What it may have held is not known.
    assert_eq!((code, live), (1, 0), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("are skipped")), "{lines:?}");
}
