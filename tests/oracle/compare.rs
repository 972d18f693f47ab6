//! Differences between the reference's books and the engine's, as sentences.

use crate::binary::Line;
use crate::decimal;
use crate::hash::Levels;
use crate::reference::{Book, Reference};
use std::collections::{BTreeMap, BTreeSet};

/// What need not be equal.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tolerance {
    /// Books that a broken message names: they may be stale.
    pub(crate) concerned: BTreeSet<String>,
    /// Books that must be stale for an undecoded message, with the levels that they have here.
    pub(crate) lost: BTreeSet<String>,
    /// Stale books must still show the levels from before the broken message.
    pub(crate) levels_when_stale: bool,
    /// Books that may instead be as they are here: `None`, absent.
    pub(crate) otherwise: Option<Reference>,
}

pub(crate) fn differences(
    reference: &Reference,
    lines: &[Line],
    tolerance: &Tolerance,
) -> Vec<String> {
    let mut wrong = order(lines);
    let shown: BTreeMap<&str, &Line> = lines.iter().map(|l| (l.token.as_str(), l)).collect();
    if shown.len() != lines.len() {
        wrong.push("a token has two books".into());
    }
    for (token, book) in &reference.books {
        let concerned = tolerance.concerned.contains(token);
        let Some(line) = shown.get(token.as_str()) else {
            wrong.push(format!("{token}: no book"));
            continue;
        };
        let stale = line.state.starts_with("stale:");
        if tolerance.lost.contains(token) {
            if line.state != "stale:undecoded_message" {
                let state = &line.state;
                wrong.push(format!("{token}: {state} after an undecoded message"));
            }
            wrong.extend(one(book, line, true));
            continue;
        }
        if stale && concerned && !tolerance.levels_when_stale {
            continue;
        }
        let found = one(book, line, stale && concerned);
        let other = tolerance.otherwise.as_ref().and_then(|r| r.books.get(token));
        let excused = concerned && other.is_some_and(|o| one(o, line, stale).is_empty());
        if !excused {
            wrong.extend(found);
        }
    }
    for line in lines.iter().filter(|l| !reference.books.contains_key(&l.token)) {
        let empty = line.bids.is_empty() && line.asks.is_empty() && line.state != "live";
        let named = reference.optional.contains(&line.token)
            || tolerance.concerned.contains(&line.token)
            || tolerance.otherwise.as_ref().is_some_and(|r| r.books.contains_key(&line.token));
        if !(empty && named) {
            wrong.push(format!("{}: an unexpected book, {}", line.token, line.state));
        }
    }
    wrong
}

fn order(lines: &[Line]) -> Vec<String> {
    let by = |key: fn(&Line) -> (usize, &str)| lines.is_sorted_by_key(key);
    let sorted = by(|l| (0, &l.token)) || by(|l| (l.token.len(), &l.token));
    if sorted { Vec::new() } else { vec!["books are not sorted by token".into()] }
}

/// One book against one line; `stale` excuses its state.
fn one(book: &Book, line: &Line, stale: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |what: &str, good: bool, have: &dyn std::fmt::Debug, want: String| {
        if !good {
            wrong.push(format!("{}: {what} {have:?}, not {want}", line.token));
        }
    };
    let want = Levels::of(&book.bids, &book.asks);
    check("bids", line.bids == want.bids, &line.bids, format!("{:?}", want.bids));
    check("asks", line.asks == want.asks, &line.asks, format!("{:?}", want.asks));
    check("market", line.market == book.market, &line.market, book.market.clone());
    let live = book.snapshot.is_some();
    let state = if live { "live" } else { "awaiting_snapshot" };
    check("state", stale || line.state == state, &line.state, state.into());
    if live {
        // After a change older than the previous one, the newest and the last are both defensible.
        let times = [book.last.to_string(), book.newest.to_string()];
        let good = times.contains(&line.timestamp);
        check("timestamp", good, &line.timestamp, times.join(" or "));
    }
    if let (Some(tick), Some(shown)) = (book.tick, &line.tick_size) {
        let good = decimal::parse(shown) == Some(tick);
        check("tick_size", good, shown, decimal::render(tick));
    }
    wrong
}
