//! `ringbook capture`: what a capture has, whether it is whole, and parts of it that replay to the same books.
//!
//! Runs on:  test threads, with a venue and an engine as processes.
use crate::program::Program;
use crate::replayed::{self, Books, replay};
use serde_json::Value;
use std::path::Path;
use std::process::Output;

fn archive(args: &[&str], folder: &Path) -> Output {
    let mut command = Program::ringbook();
    command.arg("capture").args(args).arg(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Lines of JSON.
fn rows(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The number of digests that a replay has found equal; none differs.
fn equal_digests(capture: &Path) -> u64 {
    let output = Program::ringbook().arg("replay").arg(capture).arg("--json").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["capture"]["checkpoints_different"], 0, "{report:#}");
    report["capture"]["checkpoints_equal"].as_u64().unwrap()
}

/// A record that somebody has removed is a loss of its connection, but for other markets' in a part of a capture.
fn a_removed_record_is_a_loss(capture: &Path) {
    let segments = std::fs::read_dir(capture).unwrap().map(|entry| entry.unwrap().path());
    let segment = segments.filter(|path| path.extension().unwrap() == "zst").min().unwrap();
    let text = zstd::decode_all(&std::fs::read(segment).unwrap()[..]).unwrap();
    let text = String::from_utf8(text).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let is_frame = |line: &&str| line.contains(r#","k":"t","f":{"market":"#);
    let middle = lines.len() / 2;
    let removed = middle + lines[middle..].iter().position(is_frame).unwrap();
    let lost = |lines: &[&str]| {
        let path = capture.with_extension("removed.ndjson");
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        let output = Program::ringbook().arg("replay").arg(&path).arg("--json").output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["capture"]["checkpoints_different"], 0, "{report:#}");
        report["capture"]["frames_lost"].as_u64().unwrap()
    };
    let before = lost(&lines);
    let without = [&lines[..removed], &lines[removed + 1..]].concat();
    assert_eq!(lost(&without), before + 1, "{}", lines[removed]);
}

/// Smaller files replay to the same books.
fn compacted(capture: &Path) {
    let before = replay(capture, &[]);
    let young = archive(&["compact"], capture);
    assert!(text(&young.stdout).ends_with(": 0 files, nothing to compress\n"), "{young:?}");
    let done = archive(&["compact", "--older-than-days", "0", "--level", "12"], capture);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(text(&done.stdout).contains(": 1 file, "), "{}", text(&done.stdout));
    assert!(archive(&["verify"], capture).status.success());
    assert!(equal_digests(capture) > 0);
    assert_eq!(replay(capture, &[]), before);
}

/// A part with one market has the book that the whole has.
pub(crate) fn part_has(capture: &Path, market: &str, expected: &Books) {
    let out = capture.with_extension("part");
    let cut = archive(&["cut", "--market", market, "--out", out.to_str().unwrap()], capture);
    assert!(cut.status.success(), "{}", text(&cut.stderr));
    assert!(equal_digests(&out) > 0);
    let of_market: Books = [(market.to_owned(), expected[market].clone())].into();
    assert_eq!(replay(&out, &[]), of_market);
}

#[test]
fn a_capture_is_listed_verified_and_cut_and_its_parts_have_its_books() {
    let folder = tempfile::tempdir().unwrap();
    let capture = replayed::capture(folder.path());
    let verified = archive(&["verify"], &capture);
    let printed = text(&verified.stdout);
    assert!(verified.status.success() && printed.contains(": 1 file, "), "{printed}");
    assert!(printed.ends_with("no fault\n"), "{printed} {}", text(&verified.stderr));
    let listed = rows(&archive(&["ls", "--markets"], &capture));
    let (days, markets): (Vec<_>, Vec<_>) = listed.iter().partition(|row| row["day"].is_string());
    assert_eq!(markets.len(), 20, "{listed:?}");
    let records: u64 = days.iter().map(|day| day["records"].as_u64().unwrap()).sum();
    assert!(printed.contains(&format!(" {records} records, ")), "{printed} {days:?}");
    assert!(days.iter().all(|day| day["venue"] == "polymarket"), "{days:?}");
    // The whole, and up to the middle.
    let middle = replayed::middle(&capture).to_string();
    let last = replay(&capture, &[]);
    for (name, flags, expected) in [
        ("whole", vec![], last.clone()),
        ("half", vec!["--to", &middle], replay(&capture, &["--to", &middle])),
    ] {
        let out = folder.path().join(name);
        let out_text = out.display().to_string();
        let cut = archive(&[&["cut", "--out", &out_text][..], &flags].concat(), &capture);
        assert!(cut.status.success(), "{}", text(&cut.stderr));
        assert!(archive(&["verify"], &out).status.success(), "{name}");
        assert!(equal_digests(&out) > 0, "{name}");
        assert_eq!(replay(&out, &[]), expected, "{name}");
    }
    compacted(&folder.path().join("whole"));
    a_removed_record_is_a_loss(&capture);
    // One market, by its slug.
    let market = markets[0];
    let tokens: Vec<&str> =
        market["tokens"].as_array().unwrap().iter().map(|token| token.as_str().unwrap()).collect();
    let one = folder.path().join("one");
    let out_text = one.display().to_string();
    let slug = market["slug"].as_str().unwrap();
    let cut = archive(&["cut", "--market", slug, "--out", &out_text], &capture);
    assert!(cut.status.success(), "{}", text(&cut.stderr));
    assert!(equal_digests(&one) > 0);
    let of_market: Books =
        last.into_iter().filter(|(token, _)| tokens.contains(&token.as_str())).collect();
    assert_eq!((of_market.len(), replay(&one, &[])), (2, of_market));
    let again = archive(&["cut", "--out", &out_text], &capture);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("is not empty"), "{}", text(&again.stderr));
    // Damage is found.
    let segments = std::fs::read_dir(&one).unwrap().map(|entry| entry.unwrap().path());
    let segment = segments.filter(|path| path.extension().unwrap() == "zst").min().unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    std::fs::write(&segment, bytes).unwrap();
    let damaged = archive(&["verify"], &one);
    assert_eq!(damaged.status.code(), Some(1), "{}", text(&damaged.stdout));
    assert!(text(&damaged.stderr).contains(": block "), "{}", text(&damaged.stderr));
}
