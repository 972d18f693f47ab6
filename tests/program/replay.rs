//! `ringbook replay` as a user runs it: the real binary, real files.
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

mod damage;
mod frames;

struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Run {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self}"))
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "code {}\n{}\n{}", self.code, self.stdout, self.stderr)
    }
}

fn ringbook(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringbook"));
    command.arg("replay").args(arguments).stdin(Stdio::null());
    command
}

fn outcome(output: Output) -> Run {
    Run {
        code: output.status.code().expect("no signal ended it"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn replay(arguments: &[&str]) -> Run {
    outcome(ringbook(arguments).output().unwrap())
}

fn pipe(input: &[u8], arguments: &[&str]) -> Run {
    let mut child = ringbook(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let run = outcome(child.wait_with_output().unwrap());
    writer.join().unwrap();
    run
}

fn number(report: &Value, key: &str) -> u64 {
    report[key].as_u64().unwrap_or_else(|| panic!("{key} in {report}"))
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const COUNTS: [&str; 12] = [
    "frames",
    "messages",
    "bytes",
    "changes",
    "snapshots",
    "trades",
    "errors",
    "unknown_events",
    "unknown_texts",
    "changes_before_snapshot",
    "changes_stale",
    "unknown_instruments",
];

#[test]
fn counts_books_and_digest_do_not_depend_on_shards_or_passes() {
    let folder = Folder::new();
    let text = frames::mixed().join("\n") + "\n";
    let third = text.len() / 3;
    let (head, tail) = text.split_at(third + text[third..].find('\n').unwrap() + 1);
    let (a, b) = (folder.file("a", head), folder.file("b", tail));
    let go = |shards: &str, repeat: &str| {
        let out = folder.path("books");
        let out = out.to_str().unwrap();
        let run =
            replay(&[&a, &b, "--shards", shards, "--repeat", repeat, "--json", "--books-out", out]);
        assert_eq!(run.code, 0, "{run}");
        (run.json(), std::fs::read(out).unwrap())
    };
    let (one, books) = go("1", "1");
    assert_eq!(number(&one, "errors"), 9, "three of each kind: {one}");
    assert_eq!(one["books"]["total"], 52, "23 markets and 3 unknown ones, two tokens each: {one}");
    assert!(one["books"]["stale"].as_u64().unwrap() >= 3, "{one}");
    assert_eq!(one["books"]["awaiting_snapshot"], 6, "{one}");
    assert_eq!(number(&one, "unknown_texts"), 20);
    assert_eq!(number(&one, "unknown_events"), 21);
    for shards in ["2", "3", "5", "16"] {
        let (many, same) = go(shards, "1");
        for key in COUNTS.into_iter().chain(["books", "digest", "first_errors"]) {
            assert_eq!(many[key], one[key], "{key} with {shards} shards");
        }
        let count = |report: &Value, stage: usize| {
            report["latencies"][stage]["count"].as_u64().expect("a count")
        };
        let counts = [0, 1, 2].map(|stage| count(&many, stage));
        assert_eq!(counts, [count(&one, 2); 3], "every message of so few is timed: {many}");
        assert!(same == books, "books differ with {shards} shards");
    }
    let (thrice, same) = go("2", "3");
    for key in &COUNTS {
        assert_eq!(number(&thrice, key), 3 * number(&one, key), "{key} of three passes");
    }
    assert_eq!((&thrice["books"], &thrice["digest"]), (&one["books"], &one["digest"]));
    assert!(same == books, "books differ after three passes");
}

#[test]
fn books_are_sorted_by_token_in_the_shape_of_the_venue_and_the_digest_is_their_sha1() {
    let folder = Folder::new();
    let lines =
        [frames::book(3, 0, 5), frames::book(1, 0, 5), frames::change(3, 6), frames::trade(3, 7)];
    let input = folder.file("in", lines.join("\n"));
    let out = folder.path("books");
    let run = replay(&[&input, "--json", "--shards", "2", "--books-out", out.to_str().unwrap()]);
    let written = std::fs::read_to_string(&out).unwrap();
    let books: Vec<Value> = written.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let tokens: Vec<&str> = books.iter().map(|b| b["asset_id"].as_str().unwrap()).collect();
    assert_eq!(tokens, [frames::token(1, 0), frames::token(3, 0), frames::token(3, 1)]);
    let keys: Vec<&String> = books[1].as_object().unwrap().keys().collect();
    let expected = "market asset_id timestamp hash bids asks min_order_size tick_size neg_risk \
                    last_trade_price state";
    assert_eq!(keys, expected.split(' ').collect::<Vec<_>>());
    assert_eq!(books[1]["bids"][0], serde_json::json!({"price": "0.37", "size": "6"}));
    assert_eq!(books[1]["bids"][1]["size"], "4");
    assert_eq!(books[1]["last_trade_price"], "0.400");
    let states: Vec<&Value> = books.iter().map(|b| &b["state"]).collect();
    assert_eq!(states, ["live", "live", "awaiting_snapshot"]);
    let sum = Command::new("sha1sum").arg(&out).output().unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    assert_eq!(run.json()["digest"], sum.split(' ').next().unwrap());
}

fn capture(lines: &[String]) -> String {
    use ringbook::capture::line::{Stamp, write_opened, write_sent, write_text};
    let mut out = Vec::new();
    let stamp = |sequence: u64| Stamp { receive_ns: 1_000 + sequence, connection: 9, sequence };
    write_opened(&mut out, stamp(0), "wss://example.com/ws");
    write_sent(&mut out, stamp(1), "{\"type\":\"market\"}");
    for (line, sequence) in lines.iter().zip(2..) {
        write_text(&mut out, stamp(sequence), line);
    }
    String::from_utf8(out).unwrap()
}

/// The same frames in every form that is accepted.
fn forms(lines: &[String]) -> Vec<(&'static str, Vec<u8>)> {
    let plain = lines.join("\n") + "\n";
    let parts = plain.as_bytes().split_at(plain.len() / 2);
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    let wrapped = |line: fn(usize, &str, &str) -> String| {
        let lines = lines.iter().enumerate();
        let lines = lines.map(|(i, frame)| line(i, frame, &quoted(frame)) + "\n");
        lines.collect::<String>().into_bytes()
    };
    let pretty = lines.iter().map(|line| match serde_json::from_str::<Value>(line) {
        Ok(value) => serde_json::to_string_pretty(&value).unwrap() + "\n",
        Err(_) => format!("\n{line}\n"),
    });
    vec![
        ("plain", plain.clone().into()),
        ("carriage returns", plain.replace('\n', "\r\n").into()),
        ("no last newline", plain.trim_end().into()),
        ("empty lines", plain.replace('\n', "\n\n  \n").into()),
        ("zstd", zstd(plain.as_bytes())),
        ("zstd in two frames", [zstd(parts.0), zstd(parts.1)].concat()),
        ("gzip", gzip(plain.as_bytes())),
        ("gzip in two members", [gzip(parts.0), gzip(parts.1)].concat()),
        ("pretty", pretty.collect::<String>().into()),
        ("raw", wrapped(|i, _, q| format!(r#"{{"recv_ns":{i},"conn":1,"raw":{q}}}"#))),
        ("raw before", wrapped(|i, _, q| format!(r#"{{"from":"x","raw":{q},"recv_ms":{i}}}"#))),
        (
            "msg",
            wrapped(|i, frame, quoted| match frame.starts_with('{') {
                true => format!(r#"{{"msg_index":{i},"msg":{frame}}}"#),
                false => format!(r#"{{"msg":{quoted}}}"#),
            }),
        ),
        (
            "capture with other keys first",
            wrapped(|i, frame, quoted| match frame.starts_with('{') {
                true => format!(r#"{{ "k":"t", "f": {frame}, "t":{i}, "c":1, "s":{i} }}"#),
                false => format!(r#"{{"k":"x","f":{quoted},"t":{i}}}"#),
            }),
        ),
        ("capture", capture(lines).into()),
    ]
}

#[test]
fn every_form_of_input_gives_the_same_books() {
    let folder = Folder::new();
    let lines: Vec<String> = (0..40)
        .flat_map(|i| [frames::book(i % 4, 0, 5 + i), frames::change(i % 4, 5 + i)])
        .chain(["PONG".into()])
        .collect();
    let forms = forms(&lines);
    let first = replay(&[&folder.file("first", &forms[0].1), "--json"]).json();
    assert_eq!((number(&first, "frames"), number(&first, "errors")), (81, 0));
    for (name, bytes) in &forms {
        // The name has no known extension.
        let file = folder.file("input.txt", bytes);
        let run = replay(&[&file, "--json", "--shards", "2"]);
        assert_eq!((run.code, &*run.stderr), (0, ""), "{name}: {run}");
        let report = run.json();
        assert_eq!(report["digest"], first["digest"], "{name}: {report}");
        for key in COUNTS.iter().filter(|&&key| *name != "pretty" || key != "bytes") {
            assert_eq!(report[*key], first[*key], "{key} of {name}");
        }
        let piped = pipe(bytes, &["-", "--json"]);
        assert_eq!(piped.json()["digest"], first["digest"], "{name} from a pipe");
    }
}

#[test]
fn a_truncated_file_is_replayed_to_its_end_and_reported() {
    let folder = Folder::new();
    let lines: Vec<String> = (0..30_000).map(|i| frames::book(i % 50, 0, i)).collect();
    let text = lines.join("\n") + "\n";
    let cut = |bytes: &[u8]| bytes[..bytes.len() - 40].to_vec();
    for (name, bytes, expected) in [
        ("cut.zst", cut(&zstd(text.as_bytes())), "the zstd stream is truncated"),
        ("cut.gz", cut(&gzip(text.as_bytes())), "the gzip stream is truncated"),
        ("cut", cut(text.as_bytes()), "the last line (30000) is torn"),
    ] {
        let file = folder.file(name, bytes);
        let run = replay(&[&file, "--json", "--repeat", "2"]);
        assert_eq!(run.code, 1, "{run}");
        let report = run.json();
        let frames = number(&report, "frames") / 2;
        assert!((20_000..30_000).contains(&frames), "{name}: {run}");
        assert_eq!(number(&report, "errors"), 0, "{name}: {run}");
        assert_eq!(run.stderr.lines().count(), 1, "{run}");
        for part in [&*file, expected, &format!("{frames} frames")] {
            assert!(run.stderr.contains(part), "{part} in {run}");
        }
    }
    for (name, bytes) in [("head.zst", &zstd(b"{}")[..6]), ("head.gz", &gzip(b"{}")[..6])] {
        let run = replay(&[&folder.file(name, bytes), "--json"]);
        assert_eq!((run.code, number(&run.json(), "frames")), (1, 0), "{run}");
        assert!(run.stderr.contains("truncated"), "{run}");
    }
    let mut damaged = zstd(text.as_bytes());
    let middle = damaged.len() / 2;
    damaged[middle..middle + 64].fill(0xa5);
    let run = replay(&[&folder.file("damaged.zst", damaged), "--json"]);
    assert_eq!(run.code, 1, "{run}");
    assert!(run.stderr.contains("damaged"), "{run}");
}

#[test]
fn broken_lines_cost_only_themselves_and_are_named() {
    let folder = Folder::new();
    let mut lines = vec![frames::book(0, 0, 1); 12];
    for at in [1, 3, 4, 5, 6, 8, 10] {
        lines[at].truncate(60);
    }
    lines.push("{\"t\":1,\"c\":1,\"s\":1,\"k\":\"b\",\"f\":\"%\"}".into());
    let mut bytes = (lines.join("\n") + "\n").into_bytes();
    bytes.extend_from_slice(b"{\"market\":\"\xff\"}\n\xfe\xff\n");
    bytes.extend_from_slice((frames::book(0, 0, 2) + "\n").as_bytes());
    let file = folder.file("broken", bytes);
    for shards in ["1", "4"] {
        let run = replay(&[&file, "--json", "--shards", shards]);
        let report = run.json();
        assert_eq!(run.code, 0, "{run}");
        assert_eq!(number(&report, "errors"), 9, "{run}");
        assert_eq!(number(&report, "unknown_texts"), 1, "{run}");
        assert_eq!(number(&report, "snapshots"), 6, "{run}");
        let printed: Vec<&str> = run.stderr.lines().collect();
        assert_eq!(printed.len(), 6, "{run}");
        assert!(printed[5].contains("4 more"), "{run}");
        assert!(printed[0].contains(&format!("{file}, line 2, byte ")), "{run}");
        let cut = lines[0].len() as u64 + 1 + 60;
        let offset = number(&report["first_errors"][0], "offset");
        assert!((cut - 2..=cut).contains(&offset), "{cut} {run}");
        assert_eq!(report["first_errors"][1]["line"], 4, "{run}");
    }
}

#[test]
fn connection_records_of_a_capture_make_books_stale() {
    use ringbook::capture::line::{
        Stamp, write_base64, write_binary, write_ended, write_lost, write_opened, write_text,
    };
    let stamp = |connection: u32| Stamp { receive_ns: 5, connection, sequence: 0 };
    let states = |end: &dyn Fn(&mut Vec<u8>)| {
        let folder = Folder::new();
        let mut text = Vec::new();
        for m in 0..6 {
            // Huge numbers must not cost memory.
            let connection = if m % 2 == 0 { u32::MAX } else { 1 };
            write_text(&mut text, stamp(connection), &frames::book(m, 0, 5));
        }
        end(&mut text);
        let file = folder.file("capture", text);
        let mut all = ["1", "3"].map(|shards| {
            let run = replay(&[&file, "--json", "--shards", shards]);
            assert_eq!(run.code, 0, "{run}");
            let mut report = run.json();
            ["books", "capture", "digest"].map(|key| report[key].take())
        });
        assert_eq!(all[0], all[1]);
        let [books, capture, _] = &mut all[0];
        (number(books, "live"), number(books, "stale"), capture.take())
    };
    let (live, stale, capture) = states(&|out| write_ended(out, stamp(1), "reset"));
    assert_eq!((live, stale, capture["ended"].as_u64()), (3, 3, Some(1)));
    let (live, stale, capture) = states(&|out| write_lost(out, stamp(u32::MAX), 17));
    assert_eq!((live, stale, capture["frames_lost"].as_u64()), (3, 3, Some(17)));
    let (live, stale, _) = states(&|out| out.extend(b"{\"t\":5,\"s\":1,\"k\":\"l\",\"n\":1}\n"));
    assert_eq!((live, stale), (0, 6));
    let (live, stale, _) = states(&|out| {
        write_ended(out, stamp(1), "");
        write_text(out, stamp(2), &frames::book(1, 0, 6));
        write_ended(out, stamp(7), "never seen");
    });
    assert_eq!((live, stale), (4, 2));
    // A binary frame: the book that it names, or every one of its connection; one that was passed over none.
    let named = frames::book(1, 0, 6).into_bytes();
    let (live, stale, capture) = states(&|out| write_binary(out, stamp(1), &named));
    assert_eq!((live, stale, capture["binary_frames"].as_u64()), (5, 1, Some(1)));
    let (live, stale, _) = states(&|out| write_binary(out, stamp(1), b"\xff\xfe"));
    assert_eq!((live, stale), (3, 3));
    let (live, stale, _) = states(&|out| write_base64(out, stamp(1), "//4=", true));
    assert_eq!((live, stale), (6, 0));
    // Opened again: the end is missing.
    let (live, stale, _) = states(&|out| write_opened(out, stamp(1), ""));
    assert_eq!((live, stale), (3, 3));
    let (live, _, capture) =
        states(&|out| out.extend(b"{\"t\":5,\"c\":1,\"s\":1,\"k\":\"new\"}\n"));
    assert_eq!((live, capture["unknown_kinds"].as_u64()), (6, Some(1)));
}

#[test]
fn recorded_speed_keeps_recorded_intervals() {
    let folder = Folder::new();
    let line = |i: usize| {
        let (t, frame) = (i * 100_000_000, frames::book(i, 0, 5));
        format!(r#"{{"t":{t},"c":1,"s":{i},"k":"t","f":{frame}}}"#)
    };
    let lines: Vec<String> = (0..5).map(line).collect();
    let file = folder.file("capture", lines.join("\n"));
    for (speed, least_ns, most_ns) in [("1x", 400_000_000, 3_000_000_000), ("max", 0, 390_000_000)]
    {
        let run = replay(&[&file, "--speed", speed, "--json"]);
        assert_eq!(run.code, 0, "{run}");
        let elapsed_ns = number(&run.json(), "elapsed_ns");
        assert!((least_ns..most_ns).contains(&elapsed_ns), "{speed}: {run}");
    }
    let raw = folder.file("raw", frames::book(1, 0, 5));
    let run = replay(&[&raw, "--speed", "2.5x"]);
    assert_eq!((run.code, &*run.stdout), (2, ""), "{run}");
    assert!(run.stderr.contains("line 1: a frame without receive time"), "{run}");
}

#[test]
fn what_cannot_be_replayed_is_reported_in_one_line() {
    let folder = Folder::new();
    let good = folder.file("good", frames::book(1, 0, 5));
    let path = folder.0.path().to_str().unwrap();
    let noise: Vec<u8> =
        (0..5000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let noise_file = folder.file("noise", &noise);
    let noise_zst = folder.file("noise.zst", zstd(&noise));
    let database = folder.file("trades.db", b"SQLite format 3\0\x10\0\x01\x01");
    let image = folder.file("image.zst", zstd(b"\x89PNG\r\n\x1a\n"));
    for (arguments, code, expected) in [
        (vec!["/no/such/file"], 1, "no such file"),
        (vec![&*good, "/no/such/file"], 1, "no such file"),
        (vec![path], 1, "is a folder without a capture"),
        (vec![&*noise_file], 1, "is not text"),
        (vec![&*noise_zst], 1, "is not text inside its compression"),
        (
            vec![&*database],
            1,
            "is a SQLite database: `ringbook export` and `candles` read its trades as sqlite:FILE",
        ),
        (vec![&*image], 1, "holds, compressed, an image (PNG)"),
        (vec![&*good, "--books-out", "/no/such/folder/x"], 1, "cannot write"),
        (vec![&*good, "--books-out", &*good], 2, "would overwrite"),
    ] {
        let run = replay(&arguments);
        assert_eq!((run.code, &*run.stdout), (code, ""), "{run}");
        assert!(run.stderr.contains(expected), "{expected}: {run}");
        assert_eq!(run.stderr.lines().count(), 1, "{run}");
    }
    assert!(Path::new(&good).metadata().unwrap().len() > 0);
    for arguments in [
        vec![],
        vec!["--speed", "fast", &*good],
        vec!["--speed", "0x", &*good],
        vec!["--shards", "0", &*good],
        vec!["--shards", "65", &*good],
        vec!["--repeat", "0", &*good],
        vec!["--repeat", "2", "-"],
        vec!["-", "-"],
        vec!["--nonsense", &*good],
        vec!["--books-out", "-", &*good],
    ] {
        let run = replay(&arguments);
        assert_eq!((run.code, &*run.stdout), (2, ""), "{arguments:?}: {run}");
        assert!(!run.stderr.is_empty());
    }
    let run = replay(&[&noise_file, &good, "--json"]);
    assert_eq!((run.code, number(&run.json(), "snapshots")), (1, 1), "{run}");
    let run = replay(&[&folder.file("empty", "")]);
    assert_eq!(run.code, 1, "{run}");
    assert!(run.stderr.contains("empty: the file is empty"), "{run}");
}

#[test]
fn the_text_report_has_every_figure() {
    let folder = Folder::new();
    let file = folder.file("in", frames::mixed().join("\n"));
    let run = replay(&[&file, "--shards", "2"]);
    for label in [
        "frames",
        "messages",
        "bytes",
        "changes",
        "snapshots",
        "trades",
        "errors",
        "books",
        "unknown events",
        "unknown texts",
        "elapsed",
        "busy",
        "instructions/frame",
        "messages/s per core",
        "shard 1",
        "p99.9",
        "read_to_decoded",
        "decoded_to_applied",
        "read_to_applied",
        "digest",
    ] {
        assert!(run.stdout.contains(label), "{label} in {run}");
    }
}

#[test]
fn pinned_shards_give_the_same_books_and_histograms_are_written() {
    let folder = Folder::new();
    let file = folder.file("in", frames::mixed().join("\n"));
    let core = core_affinity::get_core_ids().unwrap()[0].id;
    let (cores, histograms) = (format!("{core},{core}"), folder.path("new/histograms"));
    let pinned = ["--shard-cores", &cores, "--histograms", histograms.to_str().unwrap()];
    let run = replay(&[&[&file, "--json", "--repeat", "2"], &pinned[..]].concat());
    let plain = replay(&[&file, "--json", "--shards", "2", "--repeat", "2"]);
    let (pinned, plain) = (run.json(), plain.json());
    for key in COUNTS.iter().chain(&["shards", "digest", "books"]) {
        assert_eq!(pinned[key], plain[key], "{key}: {run}");
    }
    let reasons = [&pinned["instructions_per_frame"], &pinned["instructions_uncounted"]];
    assert_eq!(reasons.iter().filter(|reason| reason.is_null()).count(), 1, "{run}");
    let applied = std::fs::read_to_string(histograms.join("read_to_applied.txt")).unwrap();
    let latencies = pinned["latencies"].as_array().unwrap().iter();
    let latency = latencies.clone().find(|latency| latency["stage"] == "read_to_applied").unwrap();
    let head = format!("# read_to_applied, nanoseconds, {} values", latency["count"]);
    assert!(applied.starts_with(&head), "{head}: {applied}");
    assert!(
        histograms.join("latencies.hlog").exists() && histograms.join("latencies.svg").exists()
    );
    for (flags, expected) in [
        (vec!["--shard-cores", "4000"], "--shard-cores: core 4000 is not usable here"),
        (vec!["--shard-cores", "3-1"], "--shard-cores 3-1: the range"),
        (vec!["--shard-cores", &*cores, "--shards", "3"], "--shards 3, but --shard-cores has 2"),
        (vec!["--histograms", &*file], "--histograms"),
    ] {
        let run = replay(&[&[&*file], &flags[..]].concat());
        assert_eq!((run.code, &*run.stdout, run.stderr.lines().count()), (2, "", 1), "{run}");
        assert!(run.stderr.contains(expected), "{expected}: {run}");
    }
}

#[test]
fn an_interrupt_ends_the_replay_with_what_was_done() {
    let mut child = ringbook(&["-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let text = [frames::book(1, 0, 5), frames::book(2, 0, 5), String::new()].join("\n");
    stdin.write_all(text.as_bytes()).unwrap();
    stdin.flush().unwrap();
    while rustix::io::ioctl_fionread(&stdin).unwrap() > 0 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    // It has read all of it, and parses it within this.
    std::thread::sleep(std::time::Duration::from_millis(500));
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    // The pipe stays open: a read that waits must be left.
    let (mut out, mut text) = (child.stdout.take().unwrap(), String::new());
    std::io::Read::read_to_string(&mut out, &mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["interrupted"], true);
    assert_eq!(number(&report, "frames"), 2, "{report}");
    drop(stdin);
}
