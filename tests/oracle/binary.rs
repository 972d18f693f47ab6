//! The engine as a user sees it: `ringbook replay`, its report and its books.
//!
//! Names of report keys are only here.

use crate::decimal;
use crate::hash::Levels;
use crate::reference::Book;
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const ERRORS: &[&str] = &["errors", "decode_errors"];
const MESSAGES: &[&str] = &["messages", "events"];
const DIGEST: &[&str] = &["digest", "books_digest"];
const TIMEOUT: Duration = Duration::from_secs(60);

/// What `--json` prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) errors: u64,
    pub(crate) messages: u64,
    pub(crate) digest: String,
}

/// One line of `--books-out`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) token: String,
    pub(crate) market: String,
    pub(crate) timestamp: String,
    pub(crate) bids: Vec<(String, String)>,
    pub(crate) asks: Vec<(String, String)>,
    pub(crate) tick_size: Option<String>,
    pub(crate) state: String,
}

pub(crate) struct Run {
    pub(crate) report: Report,
    /// The whole report.
    pub(crate) json: Value,
    pub(crate) books: Vec<Line>,
    pub(crate) status: ExitStatus,
}

const KEYS: [&str; 11] = [
    "market",
    "asset_id",
    "timestamp",
    "hash",
    "bids",
    "asks",
    "min_order_size",
    "tick_size",
    "neg_risk",
    "last_trade_price",
    "state",
];

impl Line {
    fn parse(line: &str) -> Self {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let keys: Vec<&String> = value.as_object().unwrap().keys().collect();
        assert_eq!(keys, KEYS, "{line}");
        let text = |v: &Value| v.as_str().unwrap_or_else(|| panic!("{v} in {line}")).to_owned();
        let ladder = |side: &Value| {
            let levels = side.as_array().unwrap();
            levels.iter().map(|l| (text(&l["price"]), text(&l["size"]))).collect()
        };
        Self {
            token: text(&value["asset_id"]),
            market: text(&value["market"]),
            timestamp: text(&value["timestamp"]),
            bids: ladder(&value["bids"]),
            asks: ladder(&value["asks"]),
            tick_size: value["tick_size"].as_str().map(str::to_owned),
            state: text(&value["state"]),
        }
    }

    /// The line that the reference would write.
    pub(crate) fn of(token: &str, book: &Book) -> Self {
        let Levels { bids, asks } = Levels::of(&book.bids, &book.asks);
        let state = if book.snapshot.is_some() { "live" } else { "awaiting_snapshot" };
        Self {
            token: token.to_owned(),
            market: book.market.clone(),
            timestamp: book.last.to_string(),
            bids,
            asks,
            tick_size: book.tick.map(decimal::render),
            state: state.to_owned(),
        }
    }
}

fn find<'a>(report: &'a Value, names: &[&str]) -> &'a Value {
    names
        .iter()
        .find_map(|n| report.get(n))
        .unwrap_or_else(|| panic!("none of {names:?} in {report}"))
}

fn parse_report(value: &Value) -> Report {
    let digest = match find(value, DIGEST) {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let number = |names| find(value, names).as_u64().unwrap();
    Report { errors: number(ERRORS), messages: number(MESSAGES), digest }
}

/// Runs `ringbook replay` to its end; a crash or a hang fails the test.
pub(crate) fn replay(files: &[PathBuf], options: &[&str]) -> Run {
    attempt(files, options).unwrap_or_else(|crash| panic!("{crash}"))
}

/// The same, with a crash or a hang as an error.
pub(crate) fn attempt(files: &[PathBuf], options: &[&str]) -> Result<Run, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let stream = |name: &str| Stdio::from(std::fs::File::create(path(name)).unwrap());
    // Another build of the engine (or a stand-in, to test these tests) can be named.
    let other = std::env::var_os("ORACLE_BINARY");
    let mut command = Command::new(other.unwrap_or_else(|| env!("CARGO_BIN_EXE_ringbook").into()));
    command.arg("replay").args(files).args(options).arg("--json");
    command.arg("--books-out").arg(path("books"));
    command.stdin(Stdio::null()).stdout(stream("stdout")).stderr(stream("stderr"));
    let mut child = command.spawn().unwrap();
    let start = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if start.elapsed() > TIMEOUT => {
                child.kill().unwrap();
                child.wait().unwrap();
                return Err(format!("{command:?} does not end"));
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let text = |name: &str| std::fs::read_to_string(path(name)).unwrap_or_default();
    let (stdout, stderr) = (text("stdout"), text("stderr"));
    let crashed = status.code().is_none_or(|code| code == 101);
    if crashed || stdout.is_empty() {
        return Err(format!("crash: {status}: {}", stderr.trim()));
    }
    let books = text("books").lines().map(Line::parse).collect();
    let json = serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("report: {e}: {stdout}"));
    Ok(Run { report: parse_report(&json), json, books, status })
}
