//! `/v1/stream`: clients that resume, and programs in Python, which are those of the guide.
//!
//! Runs on:  test threads; engine and venue on threads of this process, Python in its own. A test of Python is skipped,
//! with one line, where its packages are missing; `RINGBOOK_TEST_PYTHON` names another interpreter.
use crate::gateway::{Follower, Rig};
use crate::program::{POLL_INTERVAL, Program, TIMEOUT};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// A follower that has read of all books, and has lost its connection while the venue sends on.
fn lost(rig: &Rig) -> Follower {
    let mut follower = Follower::connect(rig.address, "/v1/stream");
    follower.send(&json!({"subscribe": rig.tokens}));
    rig.wait(&mut [&mut follower], "books", |all| all[0].books.len() == rig.tokens.len());
    rig.venue.resume().unwrap();
    rig.wait(&mut [&mut follower], "changes", |all| all[0].kinds.get("change") > Some(&200));
    // Another client shows that events pass meanwhile.
    let mut other = Follower::connect(rig.address, "/v1/stream");
    other.send(&json!({"subscribe": rig.tokens}));
    rig.wait(&mut [&mut other], "more", |all| all[0].kinds.get("change") > Some(&200));
    follower
}

/// Connects a follower again; its books stay.
fn reconnect(rig: &Rig, follower: &mut Follower, path: &str) {
    let new = Follower::connect(rig.address, path);
    follower.socket = new.socket;
    follower.states.clear();
}

fn settle(rig: &Rig, follower: &mut Follower) {
    rig.wait(&mut [follower], "states", |all| {
        rig.tokens.iter().all(|token| all[0].states.get(token).is_some_and(|state| state == "live"))
    });
    rig.settle(&mut [follower]);
}

#[test]
fn a_client_that_resumes_each_book_misses_nothing() {
    let rig = Rig::start(10, 400.0);
    let mut follower = lost(&rig);
    reconnect(&rig, &mut follower, "/v1/stream");
    let from: HashMap<&String, u64> = follower.last.iter().map(|(t, last)| (t, last + 1)).collect();
    follower.send(&json!({ "resume": from }));
    settle(&rig, &mut follower);
    assert_eq!(follower.gaps, 0);
    rig.engine.stop(|_| {});
}

#[test]
fn a_client_that_resumes_all_books_misses_nothing_and_learns_of_a_gap() {
    let rig = Rig::start(10, 400.0);
    let mut follower = lost(&rig);
    let tokens = rig.tokens.join(",");
    let from = follower.sequences.iter().max().unwrap() + 1;
    reconnect(&rig, &mut follower, &format!("/v1/stream?tokens={tokens}&from_sequence={from}"));
    settle(&rig, &mut follower);
    assert_eq!(follower.gaps, 0);
    // A number of another process.
    reconnect(&rig, &mut follower, &format!("/v1/stream?tokens={tokens}&from_sequence=17"));
    settle(&rig, &mut follower);
    assert_eq!(follower.gaps, rig.tokens.len());
    rig.engine.stop(|_| {});
}

/// A command that runs a program of `tests/python` on the rig's books, unless a package is missing.
fn python(rig: &Rig, script: &str, packages: &[&str], count: Option<u32>) -> Option<Command> {
    let python = std::env::var("RINGBOOK_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let import = format!("import {}", packages.join(", "));
    let has = Command::new(&python).args(["-c", &import]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: {script}: {python} has not all of {}", packages.join(", "));
        return None;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    let mut command = Command::new(python);
    command.arg(folder.join(script)).arg(format!("ws://{}/v1/stream", rig.address));
    command.args(count.map(|count| count.to_string())).args(&rig.tokens);
    Some(command)
}

/// Best bid and ask that a line of the strategy, or the venue's truth, has.
type Best = (f64, f64);

fn best_of_line(line: &str) -> (String, Best) {
    let words: Vec<&str> = line.split(' ').collect();
    let [token, bid, ask, _] = words[..] else { panic!("{line}") };
    (token.to_owned(), (bid.parse().unwrap(), ask.parse().unwrap()))
}

fn best_of_venue(rig: &Rig, token: &str) -> Best {
    let truth: Value = serde_json::from_str(&rig.venue.truth(token).unwrap()).unwrap();
    let prices = |side: &str| -> Vec<f64> {
        let price = |level: &Value| level["price"].as_str().unwrap().parse().unwrap();
        truth[side].as_array().unwrap().iter().map(price).collect()
    };
    let bid = prices("bids").into_iter().fold(f64::MIN, f64::max);
    (bid, prices("asks").into_iter().fold(f64::MAX, f64::min))
}

#[test]
fn a_strategy_in_python_has_the_venues_best_prices() {
    let rig = Rig::start(5, 200.0);
    let Some(command) = python(&rig, "strategy.py", &["websockets"], None) else { return };
    let mut strategy = Program::start(command);
    let mut wait = |what: &str, wanted: &dyn Fn(&[String]) -> bool| {
        let begun = Instant::now();
        while !wanted(&strategy.stdout()) {
            let error = strategy.stderr();
            assert!(strategy.is_running() && begun.elapsed() < TIMEOUT, "no {what}: {error:?}");
            std::thread::sleep(POLL_INTERVAL);
        }
        strategy.stdout().len()
    };
    rig.venue.resume().unwrap();
    let before = wait("spreads", &|lines| lines.len() > 50);
    rig.control("drop?connections=all");
    rig.venue.resume().unwrap();
    wait("spreads after a fault", &|lines| lines.len() > before + 50);
    rig.venue.pause().unwrap();
    wait("equal prices", &|lines| {
        let mine: HashMap<String, Best> = lines.iter().map(|line| best_of_line(line)).collect();
        rig.tokens.iter().all(|token| {
            let (bid, ask) = best_of_venue(&rig, token);
            // A smaller spread is not printed.
            ask - bid < 0.009_999 || mine.get(token) == Some(&(bid, ask))
        })
    });
    rig.engine.stop(|_| {});
}

#[test]
fn tops_go_into_polars_and_duckdb() {
    let rig = Rig::start(5, 400.0);
    rig.venue.resume().unwrap();
    for (script, package, count, file) in [
        ("tops_polars.py", "polars", 2, "tops.parquet"),
        ("tops_duckdb.py", "duckdb", 100, "tops.ndjson"),
    ] {
        let packages = ["websockets", package];
        let Some(mut command) = python(&rig, script, &packages, Some(count)) else { continue };
        let folder = tempfile::tempdir().unwrap();
        command.current_dir(folder.path());
        let mut program = Program::start(command);
        let status = program.wait(TIMEOUT);
        let out = program.stdout().join("\n");
        assert!(status.success() && out.contains("spread"), "{out}\n{:?}", program.stderr());
        assert!(folder.path().join(file).exists());
    }
    rig.engine.stop(|_| {});
}

/// What the guide shows is what is tested.
#[test]
fn the_guide_has_the_programs() {
    let page = include_str!("../../src/guide/python.md");
    for program in [
        include_str!("../python/strategy.py"),
        include_str!("../python/tops_polars.py"),
        include_str!("../python/tops_duckdb.py"),
    ] {
        assert!(page.contains(program), "{program}");
    }
}
