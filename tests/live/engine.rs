//! A `ringbook run` process, asked over its own HTTP.
//!
//! Runs on:  test threads.
use crate::http::{Client, Response};
use crate::program::{POLL_INTERVAL, Program, TIMEOUT};
use crate::venue::Venue;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub(crate) struct Engine {
    pub(crate) program: Program,
    pub(crate) address: SocketAddr,
    client: Client,
}

impl Engine {
    /// Follows a venue.
    pub(crate) fn start(venue: &Venue, flags: &[&str]) -> Self {
        let mut all = venue.addresses();
        all.extend(flags.iter().map(|&flag| flag.to_owned()));
        Self::with_flags(&all)
    }

    pub(crate) fn with_flags(flags: &[String]) -> Self {
        let mut command = Program::ringbook();
        command.args(["run", "--serve", "127.0.0.1:0"]).args(flags);
        Self::of(Program::start(command))
    }

    /// A program that was started with `--serve 127.0.0.1:0`.
    pub(crate) fn of(mut program: Program) -> Self {
        let line = program.wait_for_line(" answers health");
        let url = line.split_whitespace().find(|part| part.starts_with("http://")).unwrap();
        let client = Client::new(url, None);
        let address = url["http://".len()..].trim_end_matches('/').parse().unwrap();
        Self { program, address, client }
    }

    pub(crate) fn get(&mut self, path: &str) -> Response {
        let answer = self.client.request("GET", path);
        answer.unwrap_or_else(|e| panic!("GET {path}: {e}: {}", self.program))
    }

    pub(crate) fn post(&mut self, path: &str) -> Response {
        let answer = self.client.request("POST", path);
        answer.unwrap_or_else(|e| panic!("POST {path}: {e}: {}", self.program))
    }

    /// Repeated while the engine answers 503, as on a busy machine.
    pub(crate) fn stats(&mut self) -> Value {
        let begun = Instant::now();
        loop {
            let response = self.get("/stats");
            if response.status == 200 {
                return response.json();
            }
            let busy = response.status == 503 && begun.elapsed() < TIMEOUT;
            assert!(busy, "{} {}: {}", response.status, response.text(), self.program);
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Status and body of `/health`.
    pub(crate) fn health(&mut self) -> (u16, Value) {
        let response = self.get("/health");
        (response.status, response.json())
    }

    pub(crate) fn book(&mut self, token: &str) -> Response {
        self.get(&format!("/book?token_id={token}"))
    }

    /// Looks at `/stats` until it is as wanted; gives it and how long that took.
    pub(crate) fn wait_for(
        &mut self,
        what: &str,
        timeout: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> (Value, Duration) {
        let begun = Instant::now();
        loop {
            let stats = self.stats();
            if wanted(&stats) {
                return (stats, begun.elapsed());
            }
            let late = begun.elapsed() > timeout;
            assert!(!late, "no {what} after {timeout:?}: {stats:#}\n{}", self.program);
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Waits until so many books, and no more, are live and nothing is behind.
    pub(crate) fn wait_live(&mut self, tokens: usize) -> Duration {
        let all = move |stats: &Value| {
            sum(stats, "books_live") == tokens as u64 && sum(stats, "books") == tokens as u64
        };
        self.wait_for(&format!("{tokens} live books"), TIMEOUT, all).1
    }

    /// Waits until no message has come for so long, by the engine's own clock.
    pub(crate) fn wait_still(&mut self, silence: Duration) {
        let mut last = (0, 0);
        let begun = Instant::now();
        loop {
            let stats = self.stats();
            let (messages, now_ns) = (sum(&stats, "messages"), count(&stats, "/now_wall_ns"));
            if messages != last.0 {
                last = (messages, now_ns);
            } else if u128::from(now_ns - last.1) >= silence.as_nanos() {
                return;
            }
            assert!(begun.elapsed() < TIMEOUT, "messages still come: {stats:#}");
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Looks at `/health` until it has this status and its body holds `text`.
    pub(crate) fn wait_health(&mut self, status: u16, text: &str) -> Duration {
        let begun = Instant::now();
        loop {
            let (code, body) = self.health();
            if code == status && body.to_string().contains(text) {
                return begun.elapsed();
            }
            let late = begun.elapsed() > TIMEOUT;
            assert!(!late, "never {status} with `{text}`: {code} {body}\n{}", self.program);
            std::thread::sleep(POLL_INTERVAL);
        }
    }
}

/// A count of all shards together.
pub(crate) fn sum(stats: &Value, key: &str) -> u64 {
    let shards = stats["shards"].as_array().unwrap();
    shards.iter().map(|shard| shard[key].as_u64().unwrap_or_else(|| panic!("{key}"))).sum()
}

/// A count anywhere in `/stats`, by its pointer.
pub(crate) fn count(stats: &Value, pointer: &str) -> u64 {
    stats.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{pointer}: {stats:#}"))
}
