//! Exports to backtesters: event arrays, opened by NumPy and stepped in hftbacktest, and the catalog of nautilus.
//!
//! Runs on:  test threads; the program is a process. What Python has not is skipped, with one line
//! (`RINGBOOK_TEST_PYTHON` names the interpreter).

use ringbook::capture::line::{Stamp, write_text};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// Receive time of the first frame, ns.
const BEGIN_NS: u64 = 1_790_491_135_000_000_000;
const SECOND_NS: u64 = 1_000_000_000;

/// Frames of two books, one every second. Of the second
/// book a message is lost after two seconds, and its next snapshot comes two seconds later.
fn captures(folder: &Path) -> [std::path::PathBuf; 2] {
    let polymarket = [
        r#"{"market":"0xa1","asset_id":"7","timestamp":"1790491134950","event_type":"book","bids":[{"price":"0.40","size":"10"},{"price":"0.42","size":"1.5"}],"asks":[{"price":"0.45","size":"20"}]}"#,
        r#"{"market":"0xa1","timestamp":"1790491135950","event_type":"price_change","price_changes":[{"asset_id":"7","side":"BUY","price":"0.43","size":"5.000001"}]}"#,
        r#"{"market":"0xa1","timestamp":"1790491136950","event_type":"price_change","price_changes":[{"asset_id":"7","side":"SELL","price":"0.45","size":"17.75"}]}"#,
        // Of the moment of the change before it.
        r#"{"market":"0xa1","asset_id":"7","price":"0.45","size":"2.25","side":"BUY","timestamp":"1790491136950","event_type":"last_trade_price","transaction_hash":"0xbeef"}"#,
        // As the venue does after a trade: the same book, but for one level.
        r#"{"market":"0xa1","asset_id":"7","timestamp":"1790491138950","event_type":"book","bids":[{"price":"0.42","size":"1.5"},{"price":"0.43","size":"5.000001"}],"asks":[{"price":"0.45","size":"17.75"}]}"#,
    ];
    let kalshi = [
        r#"{"type":"orderbook_snapshot","sid":1,"seq":1,"msg":{"market_ticker":"KXA-1","yes_dollars_fp":[["0.40","10"]],"no_dollars_fp":[["0.50","7.50"]]}}"#,
        r#"{"type":"orderbook_delta","sid":1,"seq":2,"msg":{"market_ticker":"KXA-1","price_dollars":"0.41","delta_fp":"5.00","side":"yes","ts_ms":1790491135950}}"#,
        r#"{"type":"orderbook_delta","sid":1,"seq":4,"msg":{"market_ticker":"KXA-1","price_dollars":"0.41","delta_fp":"-2.00","side":"yes","ts_ms":1790491136950}}"#,
        r#"{"type":"trade","sid":2,"msg":{"trade_id":"t-1","market_ticker":"KXA-1","yes_price_dollars":"0.41","no_price_dollars":"0.59","count_fp":"2.00","taker_side":"no","ts_ms":1790491137950}}"#,
        r#"{"type":"orderbook_snapshot","sid":1,"seq":5,"msg":{"market_ticker":"KXA-1","yes_dollars_fp":[["0.39","4"]],"no_dollars_fp":[["0.50","7.50"]]}}"#,
    ];
    [("polymarket", polymarket), ("zkalshi", kalshi)].map(|(name, frames)| {
        let mut out = Vec::new();
        for (place, frame) in (0u64..).zip(frames) {
            let receive_ns = BEGIN_NS + place * SECOND_NS;
            write_text(&mut out, Stamp { receive_ns, connection: 1, sequence: place }, frame);
        }
        let path = folder.join(format!("{name}.ndjson"));
        std::fs::write(&path, out).unwrap();
        path
    })
}

/// What a script prints of a file or folder at the times between two frames; none without the package.
fn read(package: &str, script: &str, files: &[&str]) -> Option<Value> {
    let python = std::env::var("RINGBOOK_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let has = Command::new(&python).args(["-c", &format!("import {package}")]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: {python} has no {package}");
        return None;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(script);
    let times = (0..5).map(|second| (BEGIN_NS + second * SECOND_NS + SECOND_NS / 2).to_string());
    let output = Command::new(python).arg(script).args(files).args(times).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    eprint!("{errors}");
    let printed = String::from_utf8(output.stdout).unwrap();
    Some(serde_json::from_str(printed.lines().next_back().unwrap()).unwrap())
}

/// Exports the captures: what the program prints.
fn export(folder: &Path, out: &Path, format: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringbook"));
    command.arg("export").args(captures(folder)).arg("--out").arg(out);
    let output = command.args(["--to", format]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Books of Polymarket and of Kalshi half a second after each frame.
fn books() -> [Value; 2] {
    let (first, asks) = (json!([[0.4, 10.0], [0.42, 1.5]]), json!([[0.45, 20.0]]));
    let second = json!([[0.4, 10.0], [0.42, 1.5], [0.43, 5.000001]]);
    let taken = json!([[0.45, 17.75]]);
    let last = json!([[0.42, 1.5], [0.43, 5.000001]]);
    let polymarket =
        json!([[first, asks], [second, asks], [second, taken], [second, taken], [last, taken]]);
    let (asks, nothing) = (json!([[0.5, 7.5]]), json!([[], []]));
    let kalshi = json!([
        [[[0.4, 10.0]], asks],
        [[[0.4, 10.0], [0.41, 5.0]], asks],
        nothing,
        nothing,
        [[[0.39, 4.0]], asks]
    ]);
    [polymarket, kalshi]
}

#[test]
fn event_arrays_open_in_numpy_and_hftbacktest_with_equal_books() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let printed = export(folder.path(), &out, "hftbacktest");
    assert_eq!(printed.lines().count(), 2, "{printed}");
    // Clear, 3 levels, 2 changes, a trade in two rows because it is reported late, a level that a snapshot removes.
    let name = "polymarket_2026-09-27_7.npz";
    assert!(printed.contains(&format!("{name}: 9 rows")), "{printed}");
    let [polymarket, kalshi] = books();
    let check = |name: &str, books: &Value, trades: &Value| {
        let file = out.join(name);
        let results = read("numpy", "hftbacktest_npz.py", &[file.to_str().unwrap()]);
        check(results.as_ref(), books, trades);
    };
    check(name, &polymarket, &json!([[0.45, 2.25, "buy"]]));
    check("kalshi_2026-09-27_KXA-1.npz", &kalshi, &json!([[0.41, 2.0, "sell"]]));
}

#[test]
fn a_catalog_opens_in_nautilus_with_equal_books_trades_and_instruments() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let printed = export(folder.path(), &out, "nautilus");
    let rows = |kind: &str, name: &str| {
        let path = format!("/data/{kind}/{name}/2026-09-27T06-38-5");
        let lines = printed.lines().filter(|line| line.contains(&path));
        lines.filter_map(|line| line.rsplit(' ').nth(1)?.parse::<u32>().ok()).sum::<u32>()
    };
    // A snapshot is a clear and its levels; a stale book is cleared.
    for (name, deltas) in [("0xa1-7.POLYMARKET", 1 + 3 + 3), ("KXA-1.KALSHI", 1 + 2 + 1 + 1 + 3)] {
        assert_eq!(rows("order_book_delta", name), deltas, "{printed}");
        assert_eq!(rows("trade_tick", name), 1, "{printed}");
        assert_eq!(rows("binary_option", name), 1, "{printed}");
    }
    let [polymarket, kalshi] = books();
    let check = |name: &str, books: &Value, trades: &Value, (deltas, ask): (u32, f64)| {
        let files = [out.to_str().unwrap(), name];
        let results = read("nautilus_trader", "nautilus_catalog.py", &files);
        check(results.as_ref(), books, trades);
        // A strategy sees every row, and buys one at the first ask.
        let seen = json!({"deltas": deltas, "trades": 1, "bought": [[ask, 1.0]]});
        let found = results.map(|results| results["nautilus"]["backtest"].clone());
        assert!(found.as_ref().is_none_or(|found| *found == seen), "{found:?}");
    };
    check("0xa1-7.POLYMARKET", &polymarket, &json!([[0.45, 2.25, "buy"]]), (7, 0.45));
    check("KXA-1.KALSHI", &kalshi, &json!([[0.41, 2.0, "sell"]]), (8, 0.5));
}

fn check(results: Option<&Value>, books: &Value, trades: &Value) {
    let Some(results) = results else { return };
    for (reader, result) in results.as_object().unwrap() {
        for (side, found) in result["books"].as_object().unwrap() {
            assert_eq!(found, books, "{reader}, {side}");
        }
        if let Some(found) = result.get("trades") {
            assert_eq!(found, trades, "{reader}");
        }
    }
}
