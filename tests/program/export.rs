//! What `ringbook export` writes, read by others.
//!
//! Runs on:  test threads; the program is a process.
//!
//! The others are the Parquet library's own row reader, and polars and DuckDB where Python has them
//! (`RINGBOOK_TEST_PYTHON` names the interpreter; CI installs them).

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::{Field, Row};
use ringbook::base::id::{ConnectionId, MarketId, TokenId, TradeId, Venue};
use ringbook::base::price::{Price, Quantity};
use ringbook::capture::line::{Stamp, write_text};
use ringbook::link::shard_trade::TradeRecord;
use ringbook::market::book::Side;
use ringbook::sink::sqlite::SqliteStore;
use ringbook::sink::store::{Batch, Store as _};
use std::fs::File;
use std::path::Path;
use std::process::{Command, Output};

fn export(source: &Path, out: &Path, flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringbook"));
    command.arg("export").arg(source).args(["--to", "parquet", "--out"]).arg(out).args(flags);
    command.output().unwrap()
}

fn rows(path: &Path) -> Vec<Row> {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    reader.get_row_iter(None).unwrap().map(Result::unwrap).collect()
}

fn column(row: &Row, name: &str) -> String {
    let field = row.get_column_iter().find(|(column, _)| *column == name).unwrap().1;
    match field {
        Field::Str(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A second of a market of one token, with its receive time.
fn capture() -> Vec<u8> {
    let frames = [
        r#"{"market":"0xa1","asset_id":"7","timestamp":"1000","event_type":"book","bids":[{"price":"0.40","size":"10"},{"price":"0.42","size":"1.5"}],"asks":[{"price":"0.45","size":"20"}]}"#,
        r#"{"market":"0xa1","timestamp":"2000","event_type":"price_change","price_changes":[{"asset_id":"7","side":"BUY","price":"0.43","size":"5.000001"}]}"#,
        r#"{"market":"0xa1","timestamp":"2001","event_type":"price_change","price_changes":[{"asset_id":"7","side":"SELL","price":"0.46","size":"7"}]}"#,
        r#"{"market":"0xa1","asset_id":"7","price":"0.45","size":"2.25","side":"BUY","timestamp":"2002","event_type":"last_trade_price","transaction_hash":"0xbeef","fee_rate_bps":"7"}"#,
        r#"{"market":"0xa1","timestamp":"2003","event_type":"price_change","price_changes":[{"asset_id":"7","side":"BUY","price":"0.43","size":"0"}]}"#,
    ];
    let mut out = Vec::new();
    for (place, frame) in (0u64..).zip(frames) {
        let receive_ns = 1_790_491_135_000_000_000 + place * 200_000_001;
        write_text(&mut out, Stamp { receive_ns, connection: 1, sequence: place }, frame);
    }
    out
}

#[test]
fn a_capture_gives_trades_levels_and_tops_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let (source, out) = (folder.path().join("day.ndjson"), folder.path().join("out"));
    std::fs::write(&source, capture()).unwrap();
    let output = export(&source, &out, &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    for (name, count) in [("trades", 1), ("levels", 6), ("tops", 3)] {
        let line = format!("{name}.parquet: {count} rows");
        assert!(printed.contains(&line), "{printed}");
        assert_eq!(rows(&out.join(format!("{name}.parquet"))).len(), count);
    }
    let trade = &rows(&out.join("trades.parquet"))[0];
    let reported =
        ["token", "price", "size", "side", "id", "fee_bps"].map(|name| column(trade, name));
    assert_eq!(reported, ["7", "0.450000", "2.250000", "buy", "0xbeef", "7.000000"]);
    let levels = rows(&out.join("levels.parquet"));
    let reported = |row: &Row| ["kind", "side", "price", "size"].map(|name| column(row, name));
    assert_eq!(reported(&levels[3]), ["change", "bid", "0.430000", "5.000001"]);
    assert_eq!(reported(&levels[5]), ["change", "bid", "0.430000", "0.000000"]);
    assert_eq!(levels.iter().filter(|row| column(row, "kind") == "snapshot").count(), 3);
    let tops = rows(&out.join("tops.parquet"));
    let reported = |row: &Row| ["bid", "bid_size", "ask"].map(|name| column(row, name));
    assert_eq!(reported(&tops[0]), ["0.420000", "1.500000", "0.450000"]);
    assert_eq!(reported(&tops[1]), ["0.430000", "5.000001", "0.450000"]);
    assert_eq!(reported(&tops[2]), ["0.420000", "1.500000", "0.450000"]);
    python(&out, &[("trades", 1, "2.250000"), ("levels", 6, "43.500001")]);
    // A part of it, by time.
    let output = export(&source, &out, &["--since", "1790491135700000000", "--tables", "trades"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(rows(&out.join("trades.parquet")).len(), 0, "it is 0.2 s too late for its book");
}

/// Opens the files with polars and DuckDB; each must see the rows, and the sum of the sizes to the last digit.
fn python(out: &Path, files: &[(&str, usize, &str)]) {
    let python = std::env::var("RINGBOOK_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let has = Command::new(&python).args(["-c", "import polars, duckdb"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: {python} has no polars and duckdb");
        return;
    }
    for (name, count, size) in files {
        let path = out.join(format!("{name}.parquet"));
        let path = path.display();
        let script = format!(
            "import polars, duckdb
p = polars.read_parquet('{path}')
d = duckdb.sql(\"select count(*), sum(size), min(epoch_ns(receive_time)) from '{path}'\").fetchall()[0]
print(len(p), p['size'].sum(), p['price'].dtype, p['receive_time'].dtype)
print(*d)
print(p['receive_time'].dt.timestamp('ns').min())"
        );
        let output = Command::new(&python).args(["-c", &script]).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines: Vec<&str> = printed.lines().collect();
        assert_eq!(lines.len(), 3, "{}", String::from_utf8_lossy(&output.stderr));
        assert!(lines[0].starts_with(&format!("{count} {size} Decimal(")), "{printed}");
        assert!(lines[0].contains("Datetime(time_unit='ns', time_zone='UTC')"), "{printed}");
        assert!(lines[1].starts_with(&format!("{count} {size} ")), "{printed}");
        assert!(lines[2].starts_with("17904911"), "{printed}");
    }
}

#[test]
fn a_database_gives_its_trades() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("trades.db");
    let mut store = SqliteStore::open(&database).unwrap();
    let trade = |number: u64| TradeRecord {
        venue: Venue::named("polymarket"),
        market: MarketId::new("0xa1").unwrap(),
        token: TokenId::new("7").unwrap(),
        price: Price(450_000),
        quantity: Quantity(1_000_000 + number),
        side: if number.is_multiple_of(2) { Side::Bid } else { Side::Ask },
        venue_ms: 1_786_728_467_101 + number,
        receive_wall_ns: 1_790_491_135_000_000_000 + number,
        id: TradeId::new(&format!("0x{number}")),
        fee_rate_bps: None,
        connection: ConnectionId(1),
    };
    let trades: Vec<TradeRecord> = (0..1_000).map(trade).collect();
    store.insert(&Batch { trades, ..Batch::default() }).unwrap();
    drop(store);
    let (out, source) = (folder.path().join("out"), format!("sqlite:{}", database.display()));
    let output = export(Path::new(&source), &out, &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = rows(&out.join("trades.parquet"));
    assert_eq!(read.len(), 1_000);
    assert_eq!(column(&read[999], "size"), "1.000999");
    assert_eq!(column(&read[999], "side"), "sell");
    assert_eq!(column(&read[999], "fee_bps"), "null");
    python(&out, &[("trades", 1_000, "1000.499500")]);
}

#[test]
fn what_cannot_be_exported_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let cases: [(&str, &[&str], i32, &str); 5] = [
        ("sqlite:/no/such/file.db", &[], 1, "no such file"),
        ("/no/such/file", &[], 1, "no such file"),
        ("mysql:trades", &[], 1, "no such file"),
        ("sqlite:x.db", &["--since", "1"], 2, "are for captures"),
        ("-", &["--since", "5", "--until", "5"], 2, "--since must be before --until"),
    ];
    for (source, flags, code, expected) in cases {
        let output = export(Path::new(source), &out, flags);
        let printed = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{source}: {printed}");
        assert!(printed.contains(expected) && printed.lines().count() <= 2, "{source}: {printed}");
    }
    // The argument parser prints several lines; the first has the reason.
    let output = export(Path::new("-"), &out, &["--tables", "quotes"]);
    let printed = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{printed}");
    let expected = "quotes: expected some of trades, levels and tops";
    assert!(printed.lines().next().unwrap().contains(expected), "{printed}");
}

#[test]
fn the_venue_of_a_recording_is_reported_by_its_messages() {
    let folder = tempfile::tempdir().unwrap();
    let (source, out) = (folder.path().join("kalshi.jsonl"), folder.path().join("out"));
    let lines = [
        r#"{"type":"subscribed","id":1,"msg":{"channel":"orderbook_delta","sid":1}}"#,
        r#"{"type":"orderbook_snapshot","sid":1,"seq":1,"msg":{"market_ticker":"A","yes_dollars_fp":[["0.40","10"]]}}"#,
        r#"{"type":"orderbook_delta","sid":1,"seq":2,"msg":{"market_ticker":"A","price_dollars":"0.41","delta_fp":"5.00","side":"yes","ts_ms":1786085188000}}"#,
    ];
    std::fs::write(&source, lines.join("\n") + "\n").unwrap();
    for flags in [&[][..], &["--venue", "kalshi"]] {
        let output = export(&source, &out, flags);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(rows(&out.join("levels.parquet")).len(), 2);
    }
    let output = export(&source, &out, &["--venue", "polymarket"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("no line is understood"));
}
