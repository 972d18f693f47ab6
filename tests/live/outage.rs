//! A venue that is down at the start, or whose certificate is not trusted.
//!
//! Runs on:  test threads; engines and venues as processes.
use crate::books::agree;
use crate::engine::Engine;
use crate::program::{Program, TIMEOUT, unused_address};
use crate::venue::Venue;
use rustix::process::Signal;
use std::time::Instant;

fn flags(gamma: &str, ws: &str, more: &[&str]) -> Vec<String> {
    let all = ["--gamma-url", gamma, "--clob-url", gamma, "--ws-url", ws];
    all.iter().chain(more).map(|&flag| flag.to_owned()).collect()
}

fn end(mut engine: Engine) {
    engine.program.signal(Signal::TERM);
    assert_eq!(engine.program.wait(TIMEOUT).code(), Some(0), "{}", engine.program);
    engine.program.assert_clean();
}

#[test]
fn a_venue_that_comes_up_late_is_followed() {
    let address = unused_address().to_string();
    let (gamma, ws) = (format!("http://{address}"), format!("ws://{address}/ws/market"));
    let mut engine = Engine::with_flags(&flags(&gamma, &ws, &["--shards", "1"]));
    engine.wait_health(503, "the catalog has not been read yet");
    let (_, health) = engine.health();
    assert!(health["reasons"][0].as_str().unwrap().contains(&address), "{health}");
    engine.program.wait_for_line("the catalog did not answer");
    let flags = ["--plain", "--markets", "60", "--levels", "6", "--listen", &address];
    let begun = Instant::now();
    let mut venue = Venue::start(&flags);
    engine.wait_live(120);
    eprintln!("the venue came up late: all live after {:?}", begun.elapsed());
    let took = engine.wait_health(200, "\"healthy\":true");
    eprintln!("healthy {took:?} later");
    venue.pause();
    let tokens = venue.tokens();
    assert_eq!(agree(&mut engine, &mut venue, &tokens).equal, 120);
    assert_eq!(engine.stats()["lifecycle"]["last_error"], "");
    end(engine);
}

#[test]
fn a_market_channel_that_refuses_is_named_and_tried_again() {
    let mut venue = Venue::start(&["--plain", "--markets", "60", "--levels", "6"]);
    let ws = format!("ws://{}/ws/market", unused_address());
    let mut engine = Engine::with_flags(&flags(&venue.url, &ws, &["--shards", "1"]));
    // Within the grace after the start it is a notice, not yet a reason.
    engine.wait_health(200, "no connection is up: ");
    let (_, health) = engine.health();
    let notice = health["notices"][0].as_str().unwrap().to_owned();
    assert!(notice.contains("refused") && health["in_grace"] == true, "{health}");
    let failed = |stats: &serde_json::Value| stats["pool"]["dials_failed"].as_u64() >= Some(2);
    engine.wait_for("second dial", TIMEOUT, failed);
    let token = venue.tokens().pop().unwrap();
    let response = engine.book(&token);
    assert_eq!(response.status, 503, "{}", response.text());
    assert_eq!(response.header("x-ringbook-state"), Some("awaiting_snapshot"));
    end(engine);
}

/// What cannot pass by itself ends the program at once: one line, exit code 1.
fn refused(flags: &[String], expected: &[&str]) {
    let mut command = Program::ringbook();
    command.arg("run").args(flags);
    let mut run = Program::start(command);
    assert_eq!(run.wait(TIMEOUT).code(), Some(1), "{run}");
    let line = run.wait_for_line("ringbook: ");
    assert!(expected.iter().all(|part| line.contains(part)), "{line}");
    run.assert_clean();
}

#[test]
fn a_host_that_does_not_exist_is_named() {
    let (gamma, ws) = ("https://nowhere.invalid", "wss://nowhere.invalid/ws/market");
    refused(&flags(gamma, ws, &[]), &["--gamma-url", "nowhere.invalid", "does not exist"]);
    let venue = Venue::start(&["--plain", "--markets", "5"]);
    refused(&flags(&venue.url, ws, &[]), &["--ws-url", "nowhere.invalid", "does not exist"]);
}

#[test]
fn an_untrusted_or_misnamed_certificate_is_refused_with_a_remedy() {
    let (venue, other) = (Venue::start(&["--markets", "5"]), Venue::start(&["--markets", "5"]));
    // No authority, and that of another venue.
    let theirs = other.ca.as_ref().unwrap().display().to_string();
    for trust in [vec![], vec!["--tls-ca", theirs.as_str()]] {
        refused(&flags(&venue.url, &venue.ws, &trust), &["--gamma-url", "--tls-ca"]);
    }
    // The certificate is for localhost, 127.0.0.1 and ::1.
    let elsewhere = Venue::start(&["--markets", "5", "--listen", "127.0.0.2:0"]);
    let ca = elsewhere.ca.as_ref().unwrap().display().to_string();
    let more = ["--tls-ca", ca.as_str()];
    let expected = ["is for another name", "127.0.0.2", "localhost"];
    refused(&flags(&elsewhere.url, &elsewhere.ws, &more), &expected);
}

#[test]
fn the_name_localhost_is_resolved_and_trusted() {
    let venue = Venue::start(&["--markets", "60", "--levels", "6"]);
    let port = venue.url.rsplit(':').next().unwrap();
    let gamma = format!("https://localhost:{port}");
    let ws = format!("wss://localhost:{port}/ws/market");
    let ca = venue.ca.as_ref().unwrap().display().to_string();
    let mut engine = Engine::with_flags(&flags(&gamma, &ws, &["--tls-ca", &ca, "--shards", "1"]));
    engine.wait_live(120);
    end(engine);
}

#[test]
fn plain_and_tls_mixed_up_is_reported() {
    let plain = Venue::start(&["--plain", "--markets", "60", "--levels", "6"]);
    let ws = plain.ws.replace("ws://", "wss://");
    refused(&flags(&plain.url, &ws, &["--shards", "1"]), &["--ws-url", "does not use TLS"]);
    let tls = Venue::start(&["--markets", "60", "--levels", "6"]);
    let gamma = tls.url.replace("https://", "http://");
    let ca = tls.ca.as_ref().unwrap().display().to_string();
    let mut engine = Engine::with_flags(&flags(&gamma, &tls.ws, &["--tls-ca", &ca]));
    engine.wait_health(503, "the catalog has not been read yet");
    end(engine);
}
