//! `ringbook bench-live` and `bench-gateway`, short: every step is there, everything arrives, every book is right.
//!
//! Runs on:  test threads.
use crate::program::{POLL_INTERVAL, Program};
use rustix::process::Signal;
use serde_json::Value;
use std::time::{Duration, Instant};

/// A loaded machine may take its time.
const TIMEOUT: Duration = Duration::from_secs(180);

fn bench(flags: &[&str]) -> Program {
    let mut command = Program::ringbook();
    // Whether a loaded machine keeps up is not what is tested: every rate is measured.
    command.args(["bench-live", "--markets", "30", "--levels", "8", "--all-rates"]).args(flags);
    Program::start(command)
}

fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{pointer}: {value:#}"))
}

fn check(flags: &[&str], connections: u64) {
    let folder = tempfile::tempdir().unwrap();
    let svg = folder.path().join("ladder.svg");
    let mut all = vec!["--rates", "200,1k", "--seconds", "1", "--warm-up", "0", "--json", "--svg"];
    all.push(svg.to_str().unwrap());
    all.extend(flags);
    let mut program = bench(&all);
    let status = program.wait(TIMEOUT);
    assert_eq!(status.code(), Some(0), "{program}");
    program.assert_clean();
    let lines = program.stdout();
    assert_eq!(lines.len(), 1, "one object: {lines:?}");
    let outcome: Value = serde_json::from_str(&lines[0]).unwrap();
    let steps = outcome["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 2, "{outcome:#}");
    for (step, rate) in steps.iter().zip([200, 1_000]) {
        assert_eq!((number(step, "/rate"), number(step, "/intended")), (rate, rate), "{step:#}");
        let (sent, received) = (number(step, "/sent"), number(step, "/received"));
        assert!(received == sent && sent > rate / 2, "{step:#}");
        assert_eq!(number(step, "/latency/count"), received);
        // Nothing arrives before it was sent, and the kernel takes its time.
        assert!(number(step, "/latency/min_ns") > 1_000, "{step:#}");
        assert!(number(step, "/latency/p50_ns") >= number(step, "/latency/min_ns"));
        assert!(number(step, "/venue_late/count") > 0);
        // Exact up to 1,024 frames between two heartbeats, sampled beyond: after a pause of the host.
        assert!(10 * number(step, "/read_to_applied/count") >= 9 * received, "{step:#}");
        let cpu = |pointer: &str| step.pointer(pointer).and_then(Value::as_f64).unwrap();
        assert!(cpu("/shard_cpu/0") > 0.0 && cpu("/venue_cpu") > 0.0, "{step:#}");
    }
    assert_eq!(number(&outcome, "/books/equal"), 60, "{outcome:#}");
    assert_eq!(number(&outcome, "/books/different"), 0);
    assert_eq!(number(&outcome, "/books/not_live"), 0);
    assert_eq!(number(&outcome, "/setting/connections"), connections);
    let image = std::fs::read_to_string(svg).unwrap();
    assert!(image.starts_with("<svg ") && image.ends_with("</svg>\n"));
    assert_eq!(image.matches("class=\"value ").count(), 5 * 2, "five curves of two steps");
}

#[test]
fn a_short_ladder_over_tls_receives_every_change() {
    check(&[], 1);
}

#[test]
fn a_short_ladder_over_several_plain_sockets_receives_every_change() {
    check(&["--plain", "--sockets", "5"], 5);
}

#[test]
fn a_signal_ends_it_with_what_was_measured() {
    let mut program =
        bench(&["--plain", "--rates", "100,200", "--warm-up", "0", "--seconds", "300"]);
    let begun = Instant::now();
    while !program.stdout().iter().any(|line| line.contains("verdict")) {
        assert!(begun.elapsed() < TIMEOUT && program.is_running(), "{program}");
        std::thread::sleep(POLL_INTERVAL);
    }
    std::thread::sleep(Duration::from_secs(2));
    program.signal(Signal::INT);
    assert_eq!(program.wait(Duration::from_secs(60)).code(), Some(0), "{program}");
    program.assert_clean();
    let lines = program.stdout();
    let step = lines.iter().find(|line| line.contains("cut short")).unwrap();
    let received = step.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap();
    assert!((1..3_000).contains(&received), "{step}");
    assert!(lines.iter().any(|line| line.starts_with("60 live books equal")), "{lines:?}");
}

#[test]
fn a_wrong_flag_is_one_line() {
    for (flags, printed) in [
        (&["--rates", "10,5"][..], "--rates 10,5: 5 comes after 10"),
        (&["--rates", "fast"], "`fast` is no rate"),
        (&["--venue-core", "9999"], "--venue-core 9999: not usable here"),
        (&["--sockets", "31"], "--sockets 31: each carries a market or more"),
        (&["--svg", "/nowhere/at/all.svg"], "--svg: cannot write /nowhere/at/all.svg"),
        (&["--burst", "9"], "burst is 9"),
        (&["--shard-cores", "63"], "core 63 is not usable here"),
    ] {
        let mut program = bench(flags);
        let status = program.wait(TIMEOUT);
        let lines = program.stderr();
        assert_eq!(status.code(), Some(2), "{flags:?}: {program}");
        assert!(lines.last().is_some_and(|line| line.contains(printed)), "{flags:?}: {lines:?}");
        assert_eq!(lines.len(), 1, "{flags:?}: {lines:?}");
    }
}

/// `bench-gateway` with both protocols: each client receives every change, and the first one has the venue's books.
fn check_gateway(protocol: &str) {
    let mut command = Program::ringbook();
    command.args(["bench-gateway", "--markets", "30", "--levels", "8", "--rates", "500", "--json"]);
    command.args([
        "--seconds",
        "1",
        "--warm-up",
        "0",
        "--clients",
        "0,1,20",
        "--tokens",
        "0,60,30",
    ]);
    command.args(["--protocol", protocol]);
    let mut program = Program::start(command);
    let status = program.wait(TIMEOUT);
    assert_eq!(status.code(), Some(0), "{program}");
    program.assert_clean();
    let lines = program.stdout();
    let outcome: Value = serde_json::from_str(&lines[0]).unwrap();
    let steps = outcome["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 3, "{outcome:#}");
    for (step, (clients, tokens)) in steps.iter().zip([(0, 0), (1, 60), (20, 30)]) {
        assert_eq!((number(step, "/clients"), number(step, "/tokens")), (clients, tokens));
        assert_eq!(number(step, "/books/equal"), tokens, "{step:#}");
        assert_eq!(number(step, "/books/different") + number(step, "/ended"), 0, "{step:#}");
        let sent = number(step, "/engine/sent");
        let written = number(step, "/read_to_written/count");
        // Half of the markets for each of 20 clients; a change of both books may be two frames in the stream.
        let least = if clients == 1 { sent } else { clients * sent / 4 };
        assert!(written >= least, "{least}: {step:#}");
    }
}

#[test]
fn clients_of_the_market_channel_are_measured_and_have_the_venues_books() {
    check_gateway("market");
}

#[test]
fn clients_of_the_stream_are_measured_and_have_the_venues_books() {
    check_gateway("stream");
}

#[test]
fn wrong_flags_of_the_gateway_bench_are_one_line() {
    for (flags, printed) in [
        (&["--clients", "1,x"][..], "--clients 1,x: `x` is no number up to 4000"),
        (&["--clients", "1,2", "--tokens", "1,2,3"], "one for each of --clients"),
        (&["--clients", "1", "--tokens", "0"], "each client needs one or more"),
        (&["--clients-core", "9999"], "--clients-core 9999: not usable here"),
    ] {
        let mut command = Program::ringbook();
        command.arg("bench-gateway").args(flags);
        let mut program = Program::start(command);
        let status = program.wait(TIMEOUT);
        let lines = program.stderr();
        assert_eq!(status.code(), Some(2), "{flags:?}: {program}");
        assert!(lines.last().is_some_and(|line| line.contains(printed)), "{flags:?}: {lines:?}");
    }
}
