//! `ringbook capture merge`: captures of two machines with different gaps have the books of a third one without any.
//!
//! Runs on:  test threads, with one venue and three engines as processes.
use crate::engine::{Engine, count, sum};
use crate::program::{Program, TIMEOUT};
use crate::proxy::Proxy;
use crate::replayed::replay;
use crate::venue::Venue;
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const BOOKS: usize = 20;

fn now_ns() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_nanos()).unwrap()
}

/// The books change, and then nothing comes any more; the time, nanoseconds since the Unix epoch.
fn phase(venue: &mut Venue, engines: &mut [&mut Engine]) -> u64 {
    let before = sum(&engines[0].stats(), "updates");
    venue.control("resume");
    engines[0].wait_for("changes", TIMEOUT, |stats| sum(stats, "updates") > before + 300);
    venue.pause();
    engines.iter_mut().for_each(|engine| engine.wait_still(Duration::from_millis(400)));
    now_ns()
}

/// The capture's text without what was received between two times, and with a loss there.
fn lose(capture: &Path, from_ns: u64, to_ns: u64) -> PathBuf {
    let mut segments: Vec<PathBuf> =
        std::fs::read_dir(capture).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.retain(|path| path.extension().is_some_and(|end| end == "zst"));
    segments.sort();
    let (mut text, mut removed) = (String::new(), 0);
    for segment in segments {
        let part = zstd::decode_all(&std::fs::read(segment).unwrap()[..]).unwrap();
        for line in String::from_utf8(part).unwrap().lines() {
            let digits = line.trim_start_matches(r#"{"t":"#).split(',').next().unwrap();
            if (from_ns..to_ns).contains(&digits.parse().unwrap()) {
                if removed == 0 {
                    text += &format!("{{\"t\":{digits},\"s\":0,\"k\":\"l\",\"n\":9}}\n");
                }
                removed += 1;
                continue;
            }
            text += line;
            text.push('\n');
        }
    }
    assert!(removed > 100, "{removed}");
    let path = capture.with_extension("ndjson");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn two_captures_with_different_gaps_have_the_books_of_a_third_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut venue = Venue::start(&["--paused", "--plain", "--markets", "10", "--rate", "300"]);
    let address = venue.ws.trim_start_matches("ws://").split('/').next().unwrap();
    let proxy = Proxy::start(address.parse().unwrap());
    let through: Vec<String> = venue
        .addresses()
        .into_iter()
        .map(|flag| flag.replace(&venue.ws, &format!("ws://{}/ws/market", proxy.address)))
        .collect();
    let captures = ["a", "b", "c"].map(|name| folder.path().join(name));
    let [mut a, mut b, mut c] = [0, 1, 2].map(|place| {
        let mut flags = if place == 0 { through.clone() } else { venue.addresses() };
        let capture = captures[place].display().to_string();
        let more = ["--shards", "1", "--capture", &capture, "--capture-flush-ms", "50"];
        flags.extend(more.map(str::to_owned));
        Engine::with_flags(&flags)
    });
    for engine in [&mut a, &mut b, &mut c] {
        engine.wait_live(BOOKS);
    }
    let whole = phase(&mut venue, &mut [&mut a, &mut b, &mut c]);
    proxy.close();
    let cut = phase(&mut venue, &mut [&mut b, &mut c]);
    proxy.open();
    a.wait_live(BOOKS);
    let again = phase(&mut venue, &mut [&mut a, &mut b, &mut c]);
    let lost = phase(&mut venue, &mut [&mut a, &mut b, &mut c]);
    let last = phase(&mut venue, &mut [&mut a, &mut b, &mut c]);
    let mut has_losses = false;
    for mut engine in [a, b, c] {
        has_losses |= count(&engine.stats(), "/capture/lost") > 0;
        engine.program.signal(Signal::INT);
        engine.program.wait(TIMEOUT);
    }
    if has_losses {
        eprintln!("skipped: an engine could not capture everything on this machine");
        return;
    }
    let b = lose(&captures[1], again, lost);
    let merged = folder.path().join("merged");
    let run = |args: &[&Path]| {
        let output = Program::ringbook().arg("capture").args(args).output().unwrap();
        let [printed, reported] =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert!(output.status.success(), "{printed}{reported}");
        printed
    };
    let (merge, to) = (Path::new("merge"), Path::new("--out"));
    let printed = run(&[merge, &captures[0], &b, to, &merged]);
    // At the cut, and at the loss.
    let continued = printed.split("; ").nth(1).unwrap().split(' ').next().unwrap();
    assert!(continued.parse::<usize>().unwrap() >= BOOKS, "{printed}");
    assert!(run(&[Path::new("verify"), &merged]).ends_with(": no fault\n"));
    for (name, at_ns) in
        [("whole", whole), ("cut", cut), ("again", again), ("lost", lost), ("last", last)]
    {
        let at = at_ns.to_string();
        let [expected, found] =
            [&captures[2], &merged].map(|capture| replay(capture, &["--to", &at]));
        assert_eq!((expected.len(), found.len()), (BOOKS, BOOKS), "{name}");
        assert_eq!(found, expected, "{name}");
    }
    // Each of the two alone lacks something.
    for (capture, at_ns) in [(&captures[0], cut), (&b, lost)] {
        let at = at_ns.to_string();
        assert_ne!(replay(capture, &["--to", &at]), replay(&captures[2], &["--to", &at]));
    }
}
