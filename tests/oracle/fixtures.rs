//! Recorded sessions: the binary's final books against the reference, and their recorded hashes.

use crate::binary::{self, Line};
use crate::compare::{self, Tolerance};
use crate::hash::{self, Levels};
use crate::reference::Reference;
use crate::stored::{self, Stored};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Files that are replayed together, in this order.
pub(crate) struct Fixture {
    pub(crate) files: &'static [&'static str],
    pub(crate) stored: Stored,
    /// Recorded hashes, message by message: how many verify, of how many. `None`: cut or synthetic.
    pub(crate) hashes: Option<(usize, usize)>,
    /// Final books whose last recorded hash verifies.
    pub(crate) finals: usize,
}

const fn fixture(
    files: &'static [&'static str],
    stored: Stored,
    hashes: Option<(usize, usize)>,
    finals: usize,
) -> Fixture {
    Fixture { files, stored, hashes, finals }
}

pub(crate) const FIXTURES: &[Fixture] = &[
    // An excerpt: six hashes of its busy market 0x690f… miss the changes between the lines.
    fixture(&["ws_live_2026-09-27/clobws-market.excerpt.ndjson"], Stored::Lines, Some((19, 25)), 4),
    fixture(
        &["ws_live_2026-05-08/book.json", "ws_live_2026-05-08/price_change.json"],
        Stored::Value,
        Some((3, 3)),
        1,
    ),
    fixture(
        &["sessions/nautilus_ws_market_price_change_crossing_burst.json"],
        Stored::Value,
        Some((100, 100)),
        1,
    ),
    fixture(&["sessions/mikelin_session_20251028.jsonl"], Stored::Lines, Some((135, 135)), 1),
    fixture(&["sessions/mikelin_books_20251030.jsonl.zst"], Stored::Msg, Some((597, 597)), 1),
    fixture(&["sessions/mikelin_trades_20251030.jsonl"], Stored::Lines, Some((0, 0)), 0),
    fixture(&["sessions/ssmd_polymarket_book.jsonl"], Stored::Lines, Some((10, 10)), 10),
    fixture(&["sessions/ssmd_polymarket_trade.jsonl"], Stored::Lines, Some((0, 0)), 0),
    // Single frames of many sources: no books before their changes, some from documentation.
    fixture(&["sessions/single_frames.jsonl"], Stored::Raw, None, 0),
    fixture(&["live_singles/new_market.live_2026-10-02.json"], Stored::Value, Some((0, 0)), 0),
    // REST books: the `book` message without its `event_type`.
    fixture(&["polygolem_2026-05-17/clob-books.json"], Stored::Value, Some((10, 10)), 10),
    fixture(
        &["sessions/nautilus_clob_book_response_empty_ask.json"],
        Stored::Value,
        Some((1, 1)),
        1,
    ),
    fixture(&["netqo_live_2026-08-14/rest_book.json"], Stored::Value, None, 0),
    fixture(&["nautilus_rust/clob_book_response.json"], Stored::Value, None, 0),
    // Levels cut by the source.
    fixture(&["netqo_live_2026-08-14/book.json"], Stored::Value, None, 0),
    fixture(&["netqo_live_2026-08-14/price_change.json"], Stored::Value, None, 0),
    fixture(&["netqo_live_2026-08-14/last_trade_price.json"], Stored::Value, None, 0),
    fixture(&["netqo_live_2026-08-14/best_bid_ask.json"], Stored::Value, None, 0),
    // From documentation; their levels are in an order that the venue does not send.
    fixture(&["nautilus_rust/ws_market_book_msg.json"], Stored::Value, None, 0),
    fixture(&["nautilus_rust/ws_market_price_change_msg.json"], Stored::Value, None, 0),
    fixture(&["nautilus_rust/ws_book_snapshot.json"], Stored::Value, None, 0),
    fixture(&["nautilus_rust/ws_quotes.json"], Stored::Value, None, 0),
    fixture(
        &[
            "nautilus_rust/ws_market_last_trade_msg.json",
            "nautilus_rust/ws_market_tick_size_msg.json",
            "nautilus_rust/ws_market_best_bid_ask_msg.json",
            "nautilus_rust/ws_market_new_market_msg.json",
            "nautilus_rust/ws_market_resolved_msg.json",
        ],
        Stored::Value,
        None,
        0,
    ),
];

/// Files (or beginnings of their paths) that hold no replayable frame, and why.
const EXCLUDED: &[(&str, &str)] = &[
    ("live_singles/duplicate_hash.nautilus-4050", "fields noted from a log, not frames"),
    ("live_singles/price_change.live_2026-08-01.abbrev_ids", "market id shortened by the source"),
    ("netqo_live_2026-08-14/market_resolved.synthetic", "synthetic, market id shortened"),
    ("netqo_live_2026-08-14/tick_size_change.synthetic", "synthetic, ids shortened"),
    ("nautilus_rust/ws_last_trade.json", "documentation, no event_type and nothing to infer from"),
    ("nautilus_rust/ws_tick_size_change.json", "documentation, no event_type, nothing to infer"),
    ("nautilus_rust/rtds_", "another channel"),
    ("nautilus_rust/gamma_", "Gamma objects"),
    ("nautilus_rust/clob_market_", "REST markets"),
    ("nautilus_rust/search_response", "Gamma search"),
    ("polygolem_2026-05-17/clob-markets", "REST markets"),
    ("polygolem_2026-05-17/gamma-", "Gamma objects"),
];

fn paths(folder: &Path, fixture: &Fixture) -> Vec<PathBuf> {
    let paths: Vec<PathBuf> = fixture.files.iter().map(|f| folder.join(f)).collect();
    for path in &paths {
        assert!(path.is_file(), "listed but missing: {}", path.display());
    }
    paths
}

fn reference(paths: &[PathBuf], stored: Stored) -> Reference {
    Reference::of(paths.iter().flat_map(|p| stored::frames(p, stored)))
}

#[test]
fn every_recorded_file_is_listed_or_excluded() {
    let Some(folder) = stored::folder() else { return };
    let listed: BTreeSet<&str> = FIXTURES.iter().flat_map(|f| f.files).copied().collect();
    for directory in std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()) {
        for path in std::fs::read_dir(directory).unwrap().map(|e| e.unwrap().path()) {
            let name = path.strip_prefix(&folder).unwrap().to_str().unwrap();
            let known = listed.contains(name) || EXCLUDED.iter().any(|(e, _)| name.starts_with(e));
            assert!(known, "{name} is neither listed nor excluded");
        }
    }
    FIXTURES.iter().for_each(|f| drop(paths(&folder, f)));
}

#[test]
fn fixtures_replay_to_the_reference() {
    let Some(folder) = stored::folder() else { return };
    let mut failures = Vec::new();
    let mut books = 0;
    for fixture in FIXTURES {
        let paths = paths(&folder, fixture);
        let reference = reference(&paths, fixture.stored);
        let name = fixture.files.join(" + ");
        let mut digests = BTreeSet::new();
        for shards in [1, 3] {
            let run = binary::replay(&paths, &["--shards", &shards.to_string()]);
            let mut wrong = compare::differences(&reference, &run.books, &Tolerance::default());
            if run.report.errors != 0 {
                wrong.push(format!("{} errors", run.report.errors));
            }
            failures.extend(wrong.iter().map(|w| format!("{name} [{shards}]: {w}")));
            digests.insert(run.report.digest);
        }
        if digests.len() != 1 {
            failures.push(format!("{name}: digests {digests:?}"));
        }
        books += reference.books.len();
    }
    println!("{} recordings, {books} books", FIXTURES.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_repeated_session_ends_in_the_same_books() {
    let Some(folder) = stored::folder() else { return };
    let paths = [folder.join("sessions/mikelin_session_20251028.jsonl")];
    let reference = reference(&paths, Stored::Lines);
    let run = binary::replay(&paths, &["--repeat", "3"]);
    let wrong = compare::differences(&reference, &run.books, &Tolerance::default());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Final books whose last recorded hash is that of the given lines.
fn verified(reference: &Reference, lines: &[Line]) -> usize {
    let check = |line: &&Line| {
        let Some(book) = reference.books.get(&line.token) else { return false };
        let Some(want) = &book.recorded.hash else { return false };
        let trades = reference.trades.get(&book.market).into_iter().flatten();
        let prices: Vec<String> = trades.cloned().collect();
        let Ok(time) = line.timestamp.parse() else { return false };
        let levels = Levels { bids: line.bids.clone(), asks: line.asks.clone() };
        let named = (line.market.as_str(), line.token.as_str(), time);
        hash::explain(named, &levels, want, &[], &prices).is_some()
    };
    lines.iter().filter(check).count()
}

#[test]
fn recorded_hashes_verify_against_the_replayed_books() {
    let Some(folder) = stored::folder() else { return };
    let mut failures = Vec::new();
    let mut sum = 0;
    for fixture in FIXTURES.iter().filter(|f| f.finals > 0) {
        let paths = paths(&folder, fixture);
        let reference = reference(&paths, fixture.stored);
        let run = binary::replay(&paths, &[]);
        let count = verified(&reference, &run.books);
        sum += count;
        println!("{count:3} of {:3}  {}", fixture.finals, fixture.files.join(" + "));
        if count != fixture.finals {
            failures.push(format!("{:?}: {count}, not {}", fixture.files, fixture.finals));
        }
    }
    println!("{sum:3} recorded hashes verify against replayed books");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The same check on the reference's own books: the expected numbers above are the venue's.
#[test]
fn recorded_hashes_verify_against_the_reference_books() {
    let Some(folder) = stored::folder() else { return };
    for fixture in FIXTURES {
        let reference = reference(&paths(&folder, fixture), fixture.stored);
        let lines: Vec<Line> = reference.books.iter().map(|(t, b)| Line::of(t, b)).collect();
        if fixture.hashes.is_some() {
            assert_eq!(verified(&reference, &lines), fixture.finals, "{:?}", fixture.files);
        }
        let suspects: Vec<_> =
            reference.books.iter().filter(|(_, b)| b.snapshot.is_some() && b.suspect()).collect();
        println!("{:?}: {} books, {} suspect", fixture.files, lines.len(), suspects.len());
    }
}
