//! What `ringbook export` writes, read by others.
//!
//! Runs on:  test threads; the program is a process.
//!
//! The others are the Parquet library's own row reader, and polars and DuckDB where Python has them
//! (`RINGBOOK_TEST_PYTHON` names the interpreter; CI installs them).

mod tables;

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

pub(crate) fn export(source: &Path, out: &Path, flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringbook"));
    command.arg("export").arg(source).args(flags);
    if !flags.contains(&"--out") {
        command.arg("--out").arg(out);
    }
    command.output().unwrap()
}

pub(crate) fn rows(path: &Path) -> Vec<Row> {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    reader.get_row_iter(None).unwrap().map(Result::unwrap).collect()
}

pub(crate) fn column(row: &Row, name: &str) -> String {
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
    parquet_readers(&out, &[("trades", 1, "2.250000"), ("levels", 6, "43.500001")]);
    // A part of it, by time.
    let output = export(&source, &out, &["--since", "1790491135700000000", "--tables", "trades"]);
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "it is 0.2 s too late for its book: {line}");
    assert!(line.contains("nothing was exported: none of 1 messages"), "{line}");
    assert_eq!(rows(&out.join("trades.parquet")).len(), 0);
    // A market of it, or none.
    for (market, code) in [("0xa1", 0), ("7", 0), ("0xa2", 1)] {
        let output = export(&source, &out, &["--market", market]);
        let line = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{market}: {line}");
        assert!(code == 0 || line.contains("none of 5 messages is about 0xa2"), "{line}");
    }
}

fn python() -> String {
    std::env::var("RINGBOOK_TEST_PYTHON").unwrap_or_else(|_| "python3".into())
}

/// What a script prints that needs polars and DuckDB; none where Python has not both.
pub(crate) fn run_python(script: &str) -> Option<String> {
    let python = python();
    let has = Command::new(&python).args(["-c", "import polars, duckdb"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: {python} has no polars and duckdb");
        return None;
    }
    let output = Command::new(&python).args(["-c", script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// Opens the files with polars and DuckDB; each must see the rows, and the sum of the sizes to the last digit.
fn parquet_readers(out: &Path, files: &[(&str, usize, &str)]) {
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
        let Some(printed) = run_python(&script) else { return };
        let lines: Vec<&str> = printed.lines().collect();
        assert_eq!(lines.len(), 3, "{printed}");
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
    parquet_readers(&out, &[("trades", 1_000, "1000.499500")]);
}

#[test]
fn what_cannot_be_exported_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let cases: [(&str, &[&str], i32, &str); 12] = [
        ("sqlite:/no/such/file.db", &[], 1, "no such file"),
        ("/no/such/file", &[], 1, "no such file"),
        ("mysql:trades", &[], 1, "no such file"),
        ("sqlite:x.db", &["--since", "1"], 2, "are for captures"),
        ("sqlite:x.db", &["--venue", "kalshi"], 2, "are for captures"),
        ("sqlite:x.db", &["--tables", "levels,tops"], 2, "a database has trades only"),
        ("sqlite:x.db", &["--to", "tardis-csv"], 2, "are for captures"),
        ("-", &["--since", "5", "--until", "5"], 2, "--since must be before --until"),
        ("-", &["--partition", "day", "--to", "csv"], 2, "--partition is for --to parquet"),
        ("-", &["--out", "-"], 2, "--out - takes --to csv or arrow"),
        ("-", &["--out", "-", "--to", "csv"], 2, "--out - takes one table"),
        ("sqlite:x.db", &["--to", "nautilus"], 2, "are for captures"),
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
    // The recording has no times of receipt: those of the venue stand for them.
    assert_eq!(column(&rows(&out.join("levels.parquet"))[1], "receive_time"), "null");
    let output = export(&source, &out, &["--to", "tardis-csv"]);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        printed.contains("kalshi_incremental_book_L2_2026-08-07_A.csv.gz: 2 rows"),
        "{printed}"
    );
    let output = export(&source, &out, &["--venue", "polymarket"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("no line is understood"));
}

/// A second of a market of Kalshi: the first change has no time.
const KALSHI: [&str; 5] = [
    r#"{"type":"subscribed","id":1,"msg":{"channel":"orderbook_delta","sid":1}}"#,
    r#"{"type":"orderbook_snapshot","sid":1,"seq":1,"msg":{"market_ticker":"KXA-1","yes_dollars_fp":[["0.40","10"]],"no_dollars_fp":[["0.50","7.50"]]}}"#,
    r#"{"type":"orderbook_delta","sid":1,"seq":2,"msg":{"market_ticker":"KXA-1","price_dollars":"0.41","delta_fp":"5.00","side":"yes"}}"#,
    r#"{"type":"orderbook_delta","sid":1,"seq":3,"msg":{"market_ticker":"KXA-1","price_dollars":"0.41","delta_fp":"-2.00","side":"yes","ts_ms":1790491135250}}"#,
    r#"{"type":"trade","sid":2,"msg":{"trade_id":"t-1","market_ticker":"KXA-1","yes_price_dollars":"0.41","no_price_dollars":"0.59","count_fp":"2.00","taker_side":"no","ts_ms":1790491135250}}"#,
];

/// Captures of both venues in one folder.
pub(crate) fn both_venues(folder: &Path) {
    std::fs::write(folder.join("polymarket.ndjson"), capture()).unwrap();
    let mut kalshi = Vec::new();
    for (place, frame) in (0u64..).zip(KALSHI) {
        let receive_ns = 1_790_491_135_000_000_000 + place * 100_000_000;
        write_text(&mut kalshi, Stamp { receive_ns, connection: 1, sequence: place }, frame);
    }
    std::fs::write(folder.join("zkalshi.ndjson"), kalshi).unwrap();
}

#[test]
fn both_venues_are_exported_to_csv() {
    let folder = tempfile::tempdir().unwrap();
    both_venues(folder.path());
    let sources = ["polymarket.ndjson", "zkalshi.ndjson"].map(|name| folder.path().join(name));
    let out = folder.path().join("out");
    let second = sources[1].to_str().unwrap();
    let output = export(&sources[0], &out, &["--to", "csv", second]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let trades = std::fs::read_to_string(out.join("trades.csv")).unwrap();
    let expected = "venue,market,token,outcome,price,size,side,venue_time,receive_time,id,fee_bps\n\
        polymarket,0xa1,7,,0.45,2.25,buy,1970-01-01T00:00:02.002Z,2026-09-27T06:38:55.600000003Z,0xbeef,7\n\
        kalshi,KXA-1,KXA-1,,0.41,2,sell,2026-09-27T06:38:55.25Z,2026-09-27T06:38:55.4Z,t-1,\n";
    assert_eq!(trades, expected);
    let levels = std::fs::read_to_string(out.join("levels.csv")).unwrap();
    // A change without a time has none: not 1970.
    let lines: Vec<&str> = levels.lines().filter(|line| line.starts_with("kalshi,")).collect();
    assert_eq!(
        lines[2], "kalshi,KXA-1,KXA-1,change,bid,0.41,5,,2026-09-27T06:38:55.2Z",
        "{levels}"
    );
    assert_eq!(lines.len(), 4, "{levels}");
    // As the guide says.
    let script = format!(
        "import polars, duckdb
ids = {{'market': polars.String, 'token': polars.String}}
path = '{}'
types = \"{{'market': 'VARCHAR', 'token': 'VARCHAR'}}\"
print(polars.read_csv(path, schema_overrides=ids, try_parse_dates=True)['price'].sum())
print(duckdb.sql(f'SELECT sum(size) FROM read_csv(\"{{path}}\", types={{types}})').fetchall()[0][0])",
        out.join("levels.csv").display()
    );
    if let Some(printed) = run_python(&script) {
        let sums: Vec<f64> = printed.lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!(sums.len(), 2, "{printed}");
        assert!((sums[0] - 4.31).abs() < 1e-9 && (sums[1] - 69.000_001).abs() < 1e-9, "{printed}");
    }
    let parquet = export(&sources[1], &out, &[]);
    assert!(parquet.status.success(), "{}", String::from_utf8_lossy(&parquet.stderr));
    let read = rows(&out.join("levels.parquet"));
    assert_eq!(column(&read[2], "venue_time"), "null");
    assert_ne!(column(&read[3], "venue_time"), "null");
    let file = SerializedFileReader::new(File::open(out.join("levels.parquet")).unwrap()).unwrap();
    let metadata = file.metadata().file_metadata().key_value_metadata().unwrap().clone();
    let version = metadata.iter().find(|pair| pair.key == "ringbook.schema").unwrap();
    assert_eq!(version.value.as_deref(), Some("levels 3"));
}

/// A book that is not live has no rows, and the levels that have changed meanwhile when it is live again.
#[test]
fn tardis_files_open_in_other_programs_with_equal_books() {
    let folder = tempfile::tempdir().unwrap();
    both_venues(folder.path());
    let out = folder.path().join("out");
    let second = folder.path().join("zkalshi.ndjson");
    let flags = ["--to", "tardis-csv", second.to_str().unwrap()];
    let output = export(&folder.path().join("polymarket.ndjson"), &out, &flags);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).unwrap();
    let l2 = "polymarket_incremental_book_L2_2026-09-27_7.csv.gz";
    assert!(names.contains(&format!("{l2}: 6 rows")), "{names}");
    assert_eq!(names.lines().count(), 6, "{names}");
    let mut text = String::new();
    let file = File::open(out.join(l2)).unwrap();
    std::io::Read::read_to_string(&mut flate2::read::MultiGzDecoder::new(file), &mut text).unwrap();
    let expected = "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount\n\
        polymarket,7,1000000,1790491135000000,true,bid,0.42,1.5\n\
        polymarket,7,1000000,1790491135000000,true,bid,0.4,10\n\
        polymarket,7,1000000,1790491135000000,true,ask,0.45,20\n\
        polymarket,7,2000000,1790491135200000,false,bid,0.43,5.000001\n\
        polymarket,7,2001000,1790491135400000,false,ask,0.46,7\n\
        polymarket,7,2003000,1790491135800000,false,bid,0.43,0\n";
    assert_eq!(text, expected);
    let of = [
        (
            "polymarket",
            "7",
            r#"{"bids":[[0.4,10.0],[0.42,1.5]],"asks":[[0.45,20.0],[0.46,7.0]]"#,
            "[0.42,0.45]",
        ),
        ("kalshi", "KXA-1", r#"{"bids":[[0.4,10.0],[0.41,3.0]],"asks":[[0.5,7.5]]"#, "[0.41,0.5]"),
    ];
    for (venue, symbol, book, quote) in of {
        tardis_readers(&out, venue, symbol, book, quote);
    }
}

/// Every reader that is installed has this last book and these last best prices.
fn tardis_readers(out: &Path, venue: &str, symbol: &str, book: &str, quote: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/tardis_csv.py");
    let mut command = Command::new(python());
    let Ok(output) = command.arg(script).arg(out).args([venue, "2026-09-27", symbol]).output()
    else {
        eprintln!("skipped: there is no Python");
        return;
    };
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    eprint!("{errors}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let results: serde_json::Value =
        serde_json::from_str(printed.lines().next_back().unwrap()).unwrap();
    let expected: serde_json::Value =
        serde_json::from_str(&format!("{book},\"quote\":{quote}}}")).unwrap();
    for (reader, mut found) in results.as_object().unwrap().clone() {
        let trades = found.as_object_mut().unwrap().remove("trades");
        assert_eq!(found, expected, "{reader}");
        let price = if venue == "kalshi" { 0.41 } else { 0.45 };
        assert!(trades.is_none_or(|trades| trades[0] == serde_json::json!([price])), "{reader}");
    }
}
