//! The engine through its command line, and where its books differ from the reference's.

use super::ENGINE_READS_KALSHI;
use super::reference::{Book, Doubt, Reference};
use crate::binary::{self, Line, Run};
use crate::decimal;
use crate::hash::Levels;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

pub(crate) const SHARDS: [&str; 2] = ["1", "3"];

pub(crate) fn reads_kalshi() -> bool {
    let reads = ENGINE_READS_KALSHI || std::env::var_os("ORACLE_BINARY").is_some();
    if !reads {
        eprintln!("note: the engine does not read Kalshi yet; skipped");
    }
    reads
}

pub(crate) fn attempt(file: &PathBuf, shards: &str) -> Result<Run, String> {
    let options = ["--venue", "kalshi", "--shards", shards];
    binary::attempt(std::slice::from_ref(file), &options)
}

fn state_name(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::FramesLost => "stale:frames_lost",
        Doubt::Disproved => "stale:disproved",
        Doubt::Other => "stale:…",
    }
}

/// With several reasons, each is a good one.
fn states(book: &Book) -> Vec<&'static str> {
    match book.live() {
        true => vec!["live"],
        false => book.doubts.iter().map(|d| state_name(*d)).collect(),
    }
}

fn is_state(state: &str, wanted: &[&str]) -> bool {
    wanted.iter().any(|want| match want.strip_suffix('…') {
        Some(beginning) => state.starts_with(beginning),
        None => *want == state,
    })
}

/// The levels whose price is not disputed; nothing is applied to a stale book, so it keeps its own.
fn undisputed(levels: &[(String, String)], disputed: &BTreeSet<String>) -> Vec<(String, String)> {
    levels.iter().filter(|(price, _)| !disputed.contains(price)).cloned().collect()
}

fn one(book: &Book, line: &Line, may_be_stale: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |what: &str, good: bool, have: &dyn std::fmt::Debug, want: String| {
        if !good {
            wrong.push(format!("{}: {what} {have:?}, not {want}", line.token));
        }
    };
    let want = Levels::of(&book.yes, &book.asks());
    let disputed: BTreeSet<String> = book.disputed.iter().map(|p| decimal::render(*p)).collect();
    for (what, have, want) in [("bids", &line.bids, want.bids), ("asks", &line.asks, want.asks)] {
        let [have, want] = [have, &want].map(|levels| undisputed(levels, &disputed));
        check(what, have == want, &have, format!("{want:?}"));
    }
    check("market", line.market == line.token, &line.market, line.token.clone());
    let mut states = states(book);
    if may_be_stale {
        states.push("stale:…");
    }
    check("state", is_state(&line.state, &states), &line.state, states.join(" or "));
    wrong
}

/// What is wrong with the engine's books; those of `excused` may be stale although the reference's
/// are not.
pub(crate) fn differences(
    reference: &Reference,
    lines: &[Line],
    excused: &dyn Fn(&Book) -> bool,
) -> Vec<String> {
    let mut wrong = Vec::new();
    if !lines.is_sorted_by(|a, b| a.token < b.token) {
        wrong.push("books are not sorted by ticker".into());
    }
    let shown: BTreeMap<&str, &Line> = lines.iter().map(|l| (l.token.as_str(), l)).collect();
    for (ticker, book) in &reference.books {
        match shown.get(ticker.as_str()) {
            Some(line) => wrong.extend(one(book, line, excused(book))),
            None => wrong.push(format!("{ticker}: no book")),
        }
    }
    for line in lines.iter().filter(|l| !reference.books.contains_key(&l.token)) {
        let empty = line.bids.is_empty() && line.asks.is_empty() && line.state != "live";
        if !(empty && reference.named.contains(&line.token)) {
            wrong.push(format!("{}: an unexpected book, {}", line.token, line.state));
        }
    }
    wrong
}

/// What is wrong with the engine's counts. Whether it counts what it drops is not compared, and
/// so is a hole before the first number of a stream, or one that the capture itself admits.
pub(crate) fn miscounts(reference: &Reference, report: &Value) -> Vec<String> {
    let Reference { seen, fresh, holes, duplicates, applied, joined_late, losses, .. } = reference;
    let ranges = [
        ("snapshots", fresh.snapshots, seen.snapshots),
        ("changes", *applied, seen.deltas),
        ("trades", fresh.trades, seen.trades),
        ("sequence_holes", holes.saturating_sub(*losses), holes + joined_late),
        ("sequence_duplicates", *duplicates, *duplicates),
    ];
    let wrong = |(name, low, high): (&str, u64, u64)| match report[name].as_u64() {
        Some(number) if (low..=high).contains(&number) => None,
        _ => Some(format!("{name} is {}, not {low} to {high}", report[name])),
    };
    ranges.into_iter().filter_map(wrong).collect()
}

/// Replays with each number of shards; what is wrong.
pub(crate) fn failures(reference: &Reference, file: &PathBuf, clean: bool) -> Vec<String> {
    let (mut wrong, mut reports) = (Vec::new(), Vec::new());
    for shards in SHARDS {
        let run = match attempt(file, shards) {
            Ok(run) => run,
            Err(crash) => return vec![crash],
        };
        let mut found = differences(reference, &run.books, &|_| false);
        found.extend(miscounts(reference, &run.json));
        if clean && (run.report.errors != 0 || !run.status.success()) {
            found.push(format!("errors in a clean stream: {:?}", run.report));
        }
        if !clean && run.report.errors == 0 && reference.broken > 0 {
            found.push("broken frames, and no error is counted".into());
        }
        wrong.extend(found.into_iter().map(|w| format!("[{shards}] {w}")));
        reports.push(run.report);
    }
    if reports.windows(2).any(|pair| pair[0] != pair[1]) {
        wrong.push(format!("the shard count shows in {reports:?}"));
    }
    wrong
}

pub(crate) fn shorten(failures: &mut [String]) -> String {
    failures.iter_mut().for_each(|f| f.truncate(f.floor_char_boundary(1500)));
    failures.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(state: &str, asks: &[(&str, &str)]) -> Line {
        let asks = asks.iter().map(|(p, s)| ((*p).to_owned(), (*s).to_owned())).collect();
        Line {
            token: "A".into(),
            market: "A".into(),
            timestamp: "0".into(),
            bids: Vec::new(),
            asks,
            tick_size: None,
            state: state.into(),
        }
    }

    #[test]
    fn differences_are_found() {
        let mut reference = Reference::default();
        reference.frame(
            1,
            r#"{"type":"orderbook_snapshot","sid":1,"seq":1,"msg":{"market_ticker":"A",
                "no_dollars_fp":[["0.3000","2.00"],["0.3500","1.50"]]}}"#,
        );
        let asks = [("0.7", "2"), ("0.65", "1.5")];
        let found = |reference: &Reference, state: &str, asks: &[(&str, &str)]| {
            differences(reference, &[line(state, asks)], &|_| false).len()
        };
        assert_eq!(found(&reference, "live", &asks), 0);
        assert_eq!(found(&reference, "stale:frames_lost", &asks), 1);
        assert_eq!(found(&reference, "live", &asks[..1]), 1);
        assert_eq!(differences(&reference, &[], &|_| false).len(), 1);
        let book = reference.books.get_mut("A").unwrap();
        book.doubts.insert(Doubt::Disproved);
        book.disputed.insert(decimal::parse("0.7").unwrap());
        assert_eq!(found(&reference, "stale:disproved", &asks[1..]), 0);
        assert_eq!(found(&reference, "stale:frames_lost", &asks), 1);
        assert_eq!(found(&reference, "live", &asks), 1);
        reference.books.get_mut("A").unwrap().doubts.insert(Doubt::Other);
        assert_eq!(found(&reference, "stale:disconnected", &asks), 0);
        let unknown = differences(&Reference::default(), &[line("live", &[])], &|_| true);
        assert_eq!(unknown.len(), 1);
    }
}
