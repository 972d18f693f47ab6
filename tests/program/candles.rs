//! Candles of `ringbook candles` and of the databases' views, and the queries of the guide's page.
//!
//! Runs on:  test threads; the program is a process. DuckDB's queries are skipped, with one line, where Python has it
//! not (`RINGBOOK_TEST_PYTHON` names the interpreter).

use super::export::{both_venues, column, export, rows, run_python};
use ringbook::base::id::{ConnectionId, MarketId, ShardId, TokenId, TradeId, Venue};
use ringbook::base::price::{Price, Quantity};
use ringbook::link::shard_trade::TradeRecord;
use ringbook::market::book::Side;
use ringbook::sink::sqlite::SqliteStore;
use ringbook::sink::store::{Batch, Loss, Store as _};
use std::path::Path;
use std::process::{Command, Output};

const PAGE: &str = include_str!("../../src/guide/candles.md");
/// 2026-09-27 06:38:00 UTC.
const MINUTE_MS: u64 = 1_790_491_080_000;

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringbook"));
    command.arg("candles").args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Trades of both venues: two minutes of one token, one of the other.
fn database(path: &Path) {
    let trade = |venue, token, after_ms, price, size, receive| TradeRecord {
        venue: Venue::named(venue),
        market: MarketId::new("0xa1").unwrap(),
        token: TokenId::new(token).unwrap(),
        price: Price(price),
        quantity: Quantity(size),
        side: if receive % 2 == 0 { Side::Bid } else { Side::Ask },
        venue_ms: MINUTE_MS + after_ms,
        receive_wall_ns: (MINUTE_MS + after_ms) * 1_000_000 + receive,
        id: TradeId::new(&format!("0x{receive}")),
        fee_rate_bps: None,
        connection: ConnectionId(1),
    };
    let trades = vec![
        trade("polymarket", "7", 59_999, 410_000, 2_000_000, 1),
        // Of one millisecond: the one that was received first is the first.
        trade("polymarket", "7", 1_000, 450_000, 1_500_000, 3),
        trade("polymarket", "7", 1_000, 420_000, 1, 2),
        trade("polymarket", "7", 60_000, 430_000, 5_000_000, 4),
        trade("kalshi", "KXA-1", 5, 990_000, 10_000_000, 6),
    ];
    let losses = vec![Loss { shard: ShardId(0), wall_ns: 5_000_000_000, trades: 2 }];
    let batch = Batch { trades, losses, ..Batch::default() };
    SqliteStore::open(path).unwrap().insert(&batch).unwrap();
}

const EXPECTED: &str = "venue,market,token,outcome,time,open,high,low,close,volume,dollars,trades\n\
    polymarket,0xa1,7,,2026-09-27T06:38:00Z,0.42,0.45,0.41,0.41,3.500001,1.495,3\n\
    polymarket,0xa1,7,,2026-09-27T06:39:00Z,0.43,0.43,0.43,0.43,5,2.15,1\n\
    kalshi,0xa1,KXA-1,,2026-09-27T06:38:00Z,0.99,0.99,0.99,0.99,10,9.9,1\n";

/// As rows of text: venue, token, time, prices, volume, dollars, trades.
fn of_view(database: &rusqlite::Connection, view: &str) -> Vec<String> {
    let query = format!(
        "SELECT format('%s,%s,%s,%s,%.12g,%.12g,%.12g,%.12g,%.12g,%.6f,%d', venue, market, token, time, open, high, low,
                       close, volume, dollars, trades)
         FROM {view} ORDER BY token, time"
    );
    let mut statement = database.prepare(&query).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn candles_of_a_database_and_its_views_agree() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trades.db");
    database(&path);
    let source = format!("sqlite:{}", path.display());
    assert_eq!(text(&run(&[&source])), EXPECTED);
    let kalshi = text(&run(&[&source, "--market", "KXA-1", "--interval", "1d"]));
    let line = "kalshi,0xa1,KXA-1,,2026-09-27T00:00:00Z,0.99,0.99,0.99,0.99,10,9.9,1";
    assert_eq!(kalshi.lines().nth(1), Some(line));
    let connection = rusqlite::Connection::open(&path).unwrap();
    for (view, interval) in
        [("1s", "1s"), ("1m", "1m"), ("5m", "5m"), ("15m", "15m"), ("1h", "1h"), ("1d", "1d")]
    {
        let candles = text(&run(&[&source, "--interval", interval]));
        let of_program = candles.lines().skip(1).map(|line| {
            let mut cells: Vec<String> = line.split(',').map(str::to_owned).collect();
            cells.remove(3);
            let dollars: f64 = cells[9].parse().unwrap();
            cells[9] = format!("{dollars:.6}");
            cells.join(",")
        });
        assert_eq!(
            of_view(&connection, &format!("candles_{view}")),
            of_program.collect::<Vec<_>>()
        );
    }
    let query =
        "SELECT price || ' ' || size || ' ' || venue_time || ' ' || side FROM decimal_trades
                 ORDER BY venue_ms DESC LIMIT 1";
    let last: String = connection.query_row(query, [], |row| row.get(0)).unwrap();
    assert_eq!(last, "0.43 5.0 2026-09-27T06:39:00.000Z buy");
}

#[test]
fn candles_of_captures_are_those_of_their_trades() {
    let folder = tempfile::tempdir().unwrap();
    both_venues(folder.path());
    let out = folder.path().join("out");
    let [kalshi, polymarket] =
        ["zkalshi.ndjson", "polymarket.ndjson"].map(|name| folder.path().join(name));
    let sources = [kalshi.to_str().unwrap(), polymarket.to_str().unwrap()];
    let flags = ["--to", "parquet", "--interval", "1h", "--out", out.to_str().unwrap()];
    let printed = text(&run(&[&sources[..], &flags].concat()));
    let path = out.join("candles.parquet");
    assert_eq!(printed, format!("{}: 2 rows\n", path.display()));
    let candles = rows(&path);
    let shown = |place: usize| {
        ["token", "open", "close", "volume", "dollars", "trades"]
            .map(|name| column(&candles[place], name))
            .join(" ")
    };
    assert_eq!(shown(0), "7 0.450000 0.450000 2.250000 1.012500 1");
    assert_eq!(shown(1), "KXA-1 0.410000 0.410000 2.000000 0.820000 1");
    // The queries of the page, with its names of files.
    let exported = export(&polymarket, &out, &[sources[0]]);
    assert!(exported.status.success());
    let queries: Vec<String> =
        blocks("duckdb").iter().map(|query| query.replace("'day/", "'")).collect();
    assert_eq!(queries.len(), 5);
    let script = format!(
        "import duckdb, json, os
os.chdir({:?})
for query in json.loads({:?}):
    print(duckdb.sql(query).fetchall())",
        out.display().to_string(),
        serde_json::to_string(&queries).unwrap(),
    );
    let Some(printed) = run_python(&script) else { return };
    assert_eq!(printed.lines().count(), 5, "{printed}");
    assert!(printed.lines().all(|line| line.contains("'7'")), "{printed}");
}

/// The blocks of the guide's page in a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    PAGE.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn the_queries_of_the_page_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trades.db");
    database(&path);
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "INSERT INTO markets (venue, market, slug, question, neg_risk, status, winner, resolved_ns, first_ns,
                                  updated_ns, result, settlement_value)
             VALUES ('polymarket', '0xa1', 'rain', 'Rain?', 0, 'resolved', '7', 9, 1, 9, 'Yes', '1');",
        )
        .unwrap();
    let queries = blocks("sql");
    assert_eq!(queries.len(), 10);
    for query in queries {
        // The page names a ticker.
        let query = query.replace("KXHIGHNY-26NOV30-B45", "KXA-1");
        let mut statement = connection.prepare(&query).unwrap();
        let count = statement.query_map([], |_| Ok(())).unwrap().map(Result::unwrap).count();
        assert!(count > 0, "{query}");
    }
}

#[test]
fn what_gives_no_candles_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trades.db");
    drop(SqliteStore::open(&path).unwrap());
    let source = format!("sqlite:{}", path.display());
    let cases: [(&[&str], i32, &str); 6] = [
        (&[&source], 1, "the database has no trades"),
        (&[&source, "--to", "parquet"], 2, "name its folder with --out"),
        (&[&source, "--since", "1"], 2, "are for captures"),
        (&[&source, "--venue", "kalshi"], 2, "are for captures"),
        (&[&source, &source], 2, "name one database"),
        (&["/no/such/file"], 1, "no such file"),
    ];
    for (arguments, code, expected) in cases {
        let output = run(arguments);
        let line = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{line}");
        assert!(line.contains(expected), "{line}");
    }
    let output = run(&[&source, "--interval", "7s"]);
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(line.lines().next().unwrap().contains("expected a part of a day"), "{line}");
}
