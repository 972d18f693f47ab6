//! Plots of recordings as a user draws them: files, exit codes, and the lines where there is nothing to draw.
//!
//! Runs on:  test threads; the program is a process.
use ringbook::capture::line::{Stamp, write_ended, write_text};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// 2026-11-27T07:00:00Z.
const START_NS: u64 = 1_795_762_800_000_000_000;

fn ringbook(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringbook")).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn book(token: u32, bid: &str, ask: &str) -> String {
    format!(
        r#"{{"market":"0xa{}","asset_id":"{token}","timestamp":"1795762800000","event_type":"book","bids":[{{"price":"0.30","size":"10"}},{{"price":"{bid}","size":"5"}}],"asks":[{{"price":"{ask}","size":"20"}}]}}"#,
        token / 10
    )
}

fn trade(token: u32, side: &str) -> String {
    format!(
        r#"{{"market":"0xa{}","asset_id":"{token}","price":"0.45","size":"2.25","side":"{side}","timestamp":"1795762802000","event_type":"last_trade_price","transaction_hash":"0xbeef{side}","fee_rate_bps":"7"}}"#,
        token / 10
    )
}

/// Two tokens of one market, and one of another, a second apart; a connection ends.
fn day(folder: &Path) -> PathBuf {
    let change = r#"{"market":"0xa1","timestamp":"1795762803000","price_changes":[{"asset_id":"10","side":"BUY","price":"0.42","size":"7"}],"event_type":"price_change"}"#;
    let frames = [
        book(10, "0.40", "0.45"),
        book(11, "0.55", "0.60"),
        book(20, "0.10", "0.90"),
        change.to_owned(),
        trade(10, "BUY"),
        trade(10, "SELL"),
    ];
    let mut out = Vec::new();
    for (place, frame) in (0u64..).zip(&frames) {
        let receive_ns = START_NS + place * 1_000_000_000;
        write_text(&mut out, Stamp { receive_ns, connection: 1, sequence: place }, frame);
    }
    let receive_ns = START_NS + 10_000_000_000;
    write_ended(&mut out, Stamp { receive_ns, connection: 1, sequence: 6 }, "gone");
    let receive_ns = START_NS + 12_000_000_000;
    write_text(&mut out, Stamp { receive_ns, connection: 2, sequence: 0 }, &book(20, "0.1", "0.9"));
    let path = folder.join("day.ndjson");
    std::fs::write(&path, out).unwrap();
    path
}

/// By libxml2 where it is installed.
fn check_xml(path: &Path) {
    if let Ok(output) = Command::new("xmllint").args(["--noout", "--nonet"]).arg(path).output() {
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
}

#[test]
fn a_market_is_drawn_by_any_of_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let source = day(folder.path());
    let source = source.to_str().unwrap();
    let out = folder.path().join("out.svg");
    let out_text = out.to_str().unwrap();
    let drawn = |more: &[&str]| {
        let _ = std::fs::remove_file(&out);
        let output = ringbook(&[&["plot", source, "--out", out_text], more].concat());
        assert!(output.status.success(), "{more:?}: {}", text(&output.stderr));
        check_xml(&out);
        (text(&output.stdout), std::fs::read_to_string(&out).unwrap())
    };
    let (line, svg) = drawn(&["--market", "0xa1"]);
    assert_eq!(line, format!("{out_text}: token 10: 1 level change, 2 trades\n"));
    assert_eq!((svg.matches("\"trade buy").count(), svg.matches("\"trade sell").count()), (1, 1));
    assert!(svg.contains(">07:00:00<") && svg.contains(">2026-11-27<") && svg.contains(">0.40<"));
    assert!(svg.contains("class=\"gap\""), "the connection has ended");
    assert_eq!(drawn(&["--market", "10"]), (line, svg.clone()));
    assert_eq!(text(&ringbook(&["plot", source, "--market", "0xa1"]).stdout), svg);
    let second = drawn(&["--market", "0xa1", "--outcome", "2"]);
    assert!(second.0.contains("token 11: 0 level changes, 0 trades"), "{}", second.0);
    assert_eq!(drawn(&["--market", "11"]), second);
    let to = ["--market", "0xa1", "--to", "2026-11-27T07:00:04Z"];
    assert!(drawn(&to).0.contains(": 1 level change, 0 trades"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no unfinished file is left");
}

#[test]
fn where_there_is_nothing_to_draw_one_line_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = day(folder.path());
    let source = path.to_str().unwrap();
    let out = folder.path().join("out.svg");
    let refused = |args: &[&str], code: i32, expected: &str| {
        let output = ringbook(&[args, &["--out", out.to_str().unwrap()]].concat());
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(expected) && stderr.lines().count() == 1, "{stderr}");
        assert!(!out.exists() && output.stdout.is_empty());
    };
    refused(
        &["plot", source],
        2,
        "has 2 markets: choose one with --market; most messages have 0xa1",
    );
    refused(&["plot", source, "--market", "rain"], 1, "\"rain\": the recording has no such market");
    refused(&["plot", source, "--market", " "], 2, "--market \"\": this names nothing");
    refused(
        &["plot", source, "--market", "0xa1", "--outcome", "3"],
        2,
        "has 2 books of this market",
    );
    refused(&["plot", source, "--market", "10", "--outcome", "1"], 2, "10 is a token");
    let late = ["plot", source, "--market", "0xa1", "--from", "2026-11-27T07:00:08Z"];
    refused(&late, 1, "no such market");
    refused(&["plot", source, "--market", "0xa1", "--from", "5", "--to", "5"], 2, "--from must be");
    refused(&["plot", "/no/such/capture", "--market", "0xa1"], 1, "/no/such/capture");
    let output = ringbook(&["plot", source, "--market", "0xa1", "--out", source]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    let frames = std::fs::read(&path).unwrap();
    assert!(!frames.is_empty(), "the input is as it was");
}

#[test]
fn a_recorded_slug_is_a_name_also_outside_the_range() {
    let folder = tempfile::tempdir().unwrap();
    let path = day(folder.path());
    let source = path.to_str().unwrap();
    let opened = format!(
        r#"{{"t":{START_NS},"c":1,"s":0,"k":"m","d":0,"books":[{{"m":"0xa1","a":"10","n":false,"s":"will-\"it\"-rain"}}]}}"#
    );
    std::fs::write(&path, opened + "\n" + &std::fs::read_to_string(&path).unwrap()).unwrap();
    let range = ["--from", "2026-11-27T07:00:00.000000001Z"];
    for range in [&[][..], &range] {
        let draw = |name: &str| ringbook(&[&["plot", source, "--market", name], range].concat());
        let (named, drawn) = (draw("will-\"it\"-rain"), draw("0xa1"));
        assert!(named.status.success(), "{}", text(&named.stderr));
        assert_eq!((named.status, named.stdout), (drawn.status, drawn.stdout), "{range:?}");
        assert!(text(&draw("will-it").stderr).contains("no such market"));
    }
}

#[test]
fn a_damaged_recording_is_named_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(day(folder.path())).unwrap();
    let packed = zstd::encode_all(&whole[..], 3).unwrap();
    let path = folder.path().join("cut.ndjson.zst");
    let source = path.to_str().unwrap();
    // Within the compressed data: no line can be read.
    std::fs::write(&path, &packed[..packed.len() / 2]).unwrap();
    let damage = text(&ringbook(&["replay", source]).stderr);
    let damage = damage.lines().last().unwrap().split_once(": ").unwrap().1;
    for args in [&["plot", source][..], &["plot", source, "--market", "0xa1"]] {
        let output = ringbook(args);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(damage), "{damage}: {stderr}");
    }
}

#[test]
fn the_recorded_time_is_drawn_beside_the_usual_output() {
    let folder = tempfile::tempdir().unwrap();
    let source = day(folder.path());
    let source = source.to_str().unwrap();
    let out = folder.path().join("day.svg");
    let flags = ["replay", source, "--shards", "2", "--repeat", "2", "--json"];
    let plain = ringbook(&flags);
    let drawn = ringbook(&[&flags[..], &["--plot", out.to_str().unwrap()]].concat());
    assert!(drawn.status.success(), "{}", text(&drawn.stderr));
    let digest = |output: &Output| -> serde_json::Value {
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        report["digest"].clone()
    };
    assert_eq!(digest(&drawn), digest(&plain));
    check_xml(&out);
    let svg = std::fs::read_to_string(&out).unwrap();
    for expected in
        [">messages / s<", ">lag<", ">latency<", ">connection lost: 1<", ">polymarket<", ">p99<"]
    {
        assert!(svg.contains(expected), "{expected}");
    }
    assert!(!svg.contains("not recorded") && !svg.contains("frames lost"));
    // Lines without times have no place on the axis.
    let untimed = folder.path().join("untimed.ndjson");
    std::fs::write(&untimed, book(10, "0.40", "0.45")).unwrap();
    std::fs::remove_file(&out).unwrap();
    let output = ringbook(&["replay", untimed.to_str().unwrap(), "--plot", out.to_str().unwrap()]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("no line of the input has a receive time") && !out.exists());
    let over = ringbook(&["replay", source, "--plot", source]);
    assert_eq!(over.status.code(), Some(2));
    assert!(text(&over.stderr).contains("--plot would overwrite"), "{}", text(&over.stderr));
}
