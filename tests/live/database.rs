//! A real PostgreSQL server of the test, and what is stored in it.
//!
//! Runs on:  test threads; the server ends with its test. Where PostgreSQL is not installed the tests print
//!           so and end.
use crate::engine::{Engine, count};
use crate::program::{POLL_INTERVAL, TIMEOUT, unused_address};
use crate::venue::Venue as VenueProcess;
use ringbook::base::id::{ConnectionId, MarketId, ShardId, TokenId, TradeId, Venue};
use ringbook::base::price::{Price, Quantity};
use ringbook::link::control_sink::{MarketRow, MarketStatus};
use ringbook::link::serve_history::PriceRequest;
use ringbook::link::shard_trade::TradeRecord;
use ringbook::market::book::Side;
use ringbook::market::info::{Outcome, Resolution};
use ringbook::sink::postgres::{PostgresAddress, PostgresStore};
use ringbook::sink::store::{Batch, Loss, Reader as _, Store as _};
use rustix::process::Signal;
use serde_json::Value;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const TOKENS: usize = 100;

/// Where the programs of the server may be.
fn program(name: &str) -> Command {
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let known = debian.map(|version| version.path().join("bin").join(name)).find(|p| p.exists());
    let mut command = Command::new(known.unwrap_or_else(|| PathBuf::from(name)));
    if rustix::process::geteuid().is_root() {
        // It refuses to run as the superuser.
        command.uid(65_534).gid(65_534);
    }
    command.stdout(Stdio::null()).current_dir("/");
    command
}

/// A server of its own on a free port, with a password; ends with the test.
struct Server {
    child: Child,
    folder: tempfile::TempDir,
    port: u16,
}

impl Server {
    /// `None` where PostgreSQL is not installed: the tests report that they are skipped.
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let password = folder.path().join("password");
        std::fs::write(&password, "open sesame\n").unwrap();
        std::fs::create_dir(&data).unwrap();
        if rustix::process::geteuid().is_root() {
            let nobody = (Some(65_534), Some(65_534));
            for path in [folder.path(), &data, &password] {
                std::os::unix::fs::chown(path, nobody.0, nobody.1).unwrap();
            }
        }
        let mut initdb = program("initdb");
        initdb.arg("-D").arg(&data).args(["-U", "keeper", "-A", "scram-sha-256", "--no-sync"]);
        let made = initdb.arg("--pwfile").arg(&password).output();
        let Ok(made) = made else {
            eprintln!("skipped: initdb is not on the path");
            return None;
        };
        if !made.status.success() {
            panic!("initdb: {}", String::from_utf8_lossy(&made.stderr).trim());
        }
        // A passfile that others may read is refused.
        std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
        let port = unused_address().port();
        let child = Self::spawn(&data, port);
        Some(Self { child, folder, port })
    }

    fn spawn(data: &Path, port: u16) -> Child {
        let mut server = program("postgres");
        server.arg("-D").arg(data).args(["-p", &port.to_string(), "-k", "", "-F"]);
        server.stderr(Stdio::null()).spawn().unwrap()
    }

    fn text(&self, user: &str) -> String {
        let (port, file) = (self.port, self.folder.path().join("password"));
        format!("{user}@127.0.0.1:{port}/postgres?passfile={}", file.display())
    }

    fn address(&self, user: &str) -> PostgresAddress {
        PostgresAddress::parse(&self.text(user)).unwrap()
    }

    fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn start_again(&mut self) {
        let begun = Instant::now();
        let data = self.folder.path().join("data");
        self.child = Self::spawn(&data, self.port);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(begun.elapsed() < TIMEOUT, "the server does not start again");
            std::thread::sleep(POLL_INTERVAL);
            // It refuses to start while a process of the killed one is left.
            if self.child.try_wait().unwrap().is_some() {
                self.child = Self::spawn(&data, self.port);
            }
        }
    }

    fn rows(&self) -> u64 {
        let rows = self.open().first_value("SELECT count(*) FROM trades").unwrap();
        rows.unwrap().parse().unwrap()
    }

    fn open(&self) -> PostgresStore {
        for _ in 0..300 {
            if let Ok(store) = PostgresStore::open(&self.address("keeper")) {
                return store;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{:?}", PostgresStore::open(&self.address("keeper")).err());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn batch(trades: &[TradeRecord]) -> Batch {
    Batch { trades: trades.to_vec(), ..Batch::default() }
}

fn trade(number: u64) -> TradeRecord {
    TradeRecord {
        venue: Venue::named("polymarket"),
        market: MarketId::new("0x12dc").unwrap(),
        token: TokenId::new("727").unwrap(),
        price: Price(585_000),
        quantity: Quantity(2_460_000),
        side: Side::Ask,
        venue_ms: 1_786_728_467_101 + number,
        receive_wall_ns: 1_786_728_467_135_000_001,
        id: TradeId::new("0x6c83"),
        fee_rate_bps: (!number.is_multiple_of(2)).then_some(Quantity(7)),
        connection: ConnectionId(9),
    }
}

/// Text of all kinds comes back as it went in, and what is over does not open again.
fn a_resolved_market_stays_resolved(store: &mut PostgresStore) {
    let (token, name) = (TokenId::new("727").unwrap(), "Yes\\\t\n".to_owned());
    let market = MarketRow {
        venue: Venue::named("polymarket"),
        market: MarketId::new("0x12dc").unwrap(),
        slug: String::new(),
        question: "Tab\there, line\nthere, back\\slash?".into(),
        tokens: vec![Outcome { token, name: name.clone() }],
        tick_size: Some(Price(1_000)),
        min_order_size: None,
        neg_risk: true,
        start_wall_ns: None,
        end_wall_ns: None,
        status: MarketStatus::Resolved,
        resolution: Resolution {
            winner: Some(token),
            result: Some("Yes\t".into()),
            settlement_value: Some(Price(500_000)),
        },
        resolved_wall_ns: Some(7),
        wall_ns: 9,
    };
    let open = MarketRow {
        status: MarketStatus::Open,
        resolution: Resolution::default(),
        ..market.clone()
    };
    for markets in [vec![market.clone()], vec![open]] {
        store.insert(&Batch { markets, ..Batch::default() }).unwrap();
    }
    let question = store.first_value("SELECT question FROM markets").unwrap();
    assert_eq!(question.as_deref(), Some(market.question.as_str()));
    let stored =
        store.first_value("SELECT concat(status, winner, resolved_ns, neg_risk) FROM markets");
    assert_eq!(stored.unwrap().as_deref(), Some("resolved7277t"));
    let decision = store.first_value("SELECT concat(result, settlement_value) FROM markets");
    assert_eq!(decision.unwrap().as_deref(), Some("Yes\t0.5"));
    let outcome = "SELECT outcome FROM tokens";
    assert_eq!(store.first_value(outcome).unwrap(), Some(name));
}

/// Three trades of one minute; and the server understands every query of the guide's page.
fn views_have_decimals(store: &mut PostgresStore) {
    let query = "SELECT concat_ws(' ', outcome, time AT TIME ZONE 'UTC', open, high, low, close, volume, dollars,
                                  trades, begin_ms)
                 FROM candles_1m";
    let candle = "Yes 2026-08-14 17:27:00 0.585000 0.585000 0.585000 0.585000 7.380000 4.317300000000 3 1786728420000";
    assert_eq!(store.first_value(query).unwrap().as_deref(), Some(candle));
    let query = "SELECT concat_ws(' ', price, size, fee_bps, venue_time AT TIME ZONE 'UTC') FROM decimal_trades
                 WHERE venue_ms = 1786728467102";
    let trade = "0.585000 2.460000 0.000007 2026-08-14 17:27:47.102";
    assert_eq!(store.first_value(query).unwrap().as_deref(), Some(trade));
    let page = include_str!("../../src/guide/candles.md");
    let queries = page.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    assert_eq!(queries.clone().count(), 10);
    for query in queries {
        if let Err(error) = store.first_value(query) {
            panic!("{query}: {error}");
        }
    }
}

/// Prices of a token are read by the index, which is added where it is missing or was interrupted.
fn prices_are_indexed(store: &mut PostgresStore) {
    assert_eq!(store.has_token_index(), Ok(true), "a new table has it");
    let rows =
        "INSERT INTO trades SELECT 'v', 'm', (n % 100)::text, '', 1, 1, 'buy', 1786728467101 + 180 * n, 0, '',
                NULL, 1
                FROM generate_series(1, 20000) n";
    store.first_value(rows).unwrap();
    let unfinished =
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'trades_by_token'::regclass";
    for missing in ["DROP INDEX trades_by_token", unfinished] {
        store.first_value(missing).unwrap();
        assert_eq!(store.has_token_index(), Ok(false), "{missing}");
        store.add_token_index().unwrap();
        assert_eq!(store.has_token_index(), Ok(true), "{missing}");
    }
    store.first_value("VACUUM ANALYZE trades").unwrap();
    let token = TokenId::new("7").unwrap();
    let request = PriceRequest { token, begin_s: 0, end_s: u64::MAX, step_s: 60 };
    let explained = format!("EXPLAIN (FORMAT JSON) {}", store.prices(&request).unwrap().unwrap());
    let plan = store.first_value(&explained).unwrap().unwrap();
    let plan: Value = serde_json::from_str(&plan).unwrap();
    assert!(plan.to_string().contains(r#""Index Name":"trades_by_token""#), "{plan}");
    let mut prices = 0;
    store.each_price(&request, &mut |_| (prices += 1, true).1).unwrap();
    assert_eq!(prices, 200);
    store.first_value("DELETE FROM trades WHERE venue = 'v'").unwrap();
}

/// What is exported: each row in the order of the venue's time, until no more is wanted.
fn rows_come_back(store: &mut PostgresStore) {
    assert_eq!(store.count().unwrap(), 3);
    let mut seen = Vec::new();
    store
        .each_trade(&mut |trade| {
            seen.push((trade.venue_ms, trade.outcome.clone(), trade.fee_bps_e6));
            seen.len() < 3
        })
        .unwrap();
    let row = |ms: u64, outcome: &str, fee| (1_786_728_467_101 + ms, outcome.to_owned(), fee);
    assert_eq!(seen, [row(0, "", None), row(1, "", Some(7)), row(2, "Yes", None)]);
    seen.clear();
    store
        .each_trade(&mut |trade| {
            seen.push((trade.venue_ms, String::new(), None));
            false
        })
        .unwrap();
    assert_eq!(seen.len(), 1, "no more was wanted");
    let begin_s = trade(0).venue_ms / 1_000;
    let asked = |name: &str, begin_s| {
        let token = TokenId::new(name).unwrap();
        PriceRequest { token, begin_s, end_s: u64::MAX, step_s: 60 }
    };
    for (request, wanted) in
        [(asked("727", begin_s), 3), (asked("727", begin_s + 1), 0), (asked("728", 0), 0)]
    {
        let mut prices = Vec::new();
        store.each_price(&request, &mut |price| (prices.push(price), true).1).unwrap();
        assert_eq!(prices.len(), wanted, "{request:?}");
        let row = |(at, price): (usize, Option<(u64, Price)>)| {
            price == Some((trade(at as u64).venue_ms, Price(585_000)))
        };
        assert!(prices.into_iter().enumerate().all(row));
    }
}

#[test]
fn a_real_server_stores_each_trade_once_and_reports_what_it_refuses() {
    let Some(mut server) = Server::start() else { return };
    let mut store = server.open();
    assert_eq!(store.insert(&batch(&[trade(0), trade(1), trade(0)])).unwrap(), 2);
    a_resolved_market_stays_resolved(&mut store);
    store.first_value("UPDATE tokens SET outcome = 'Yes'").unwrap();
    let loss = Loss { shard: ShardId(1), wall_ns: 5, trades: 3 };
    assert_eq!(
        store.insert(&Batch { losses: vec![loss], ..batch(&[trade(1), trade(2)]) }).unwrap(),
        1
    );
    let query = "SELECT string_agg(t::text, ' ' ORDER BY venue_ms) FROM trades t";
    let rows = store.first_value(query).unwrap().unwrap();
    let row = |ms: u64, outcome: &str, fee: &str| {
        format!(
            "(polymarket,0x12dc,727,{outcome},585000,2460000,sell,{ms},1786728467135000001,0x6c83,{fee},9)"
        )
    };
    let wanted = [
        row(1_786_728_467_101, "\"\"", ""),
        row(1_786_728_467_102, "\"\"", "7"),
        row(1_786_728_467_103, "Yes", ""),
    ];
    assert_eq!(rows, wanted.join(" "));
    assert_eq!(
        store.first_value("SELECT sum(trades) FROM trade_losses").unwrap().as_deref(),
        Some("3")
    );
    views_have_decimals(&mut store);
    rows_come_back(&mut store);
    prices_are_indexed(&mut store);
    // A second client finds the tables, and one of a later version is not touched.
    server.open();
    let error = store.first_value("SELECT * FROM nowhere").unwrap_err().to_string();
    assert!(error.contains("nowhere") && error.contains("42P01"), "{error}");
    assert_eq!(
        store.insert(&batch(&[trade(3)])).unwrap(),
        1,
        "an error leaves the connection usable"
    );
    store.first_value("INSERT INTO ringbook_schema VALUES (99)").unwrap();
    let error = PostgresStore::open(&server.address("keeper")).unwrap_err().to_string();
    assert!(error.contains("version 99"), "{error}");
    let error = PostgresStore::open(&server.address("nobody")).unwrap_err().to_string();
    assert!(error.contains("password authentication failed"), "{error}");
    // The server goes away and comes back: an error, and then all is well with a new connection.
    store.first_value("DELETE FROM ringbook_schema WHERE version = 99").unwrap();
    server.stop();
    assert!(store.insert(&batch(&[trade(4)])).is_err());
    let error = PostgresStore::open(&server.address("keeper")).unwrap_err().to_string();
    assert!(error.contains("refused"), "{error}");
    server.start_again();
    assert_eq!(server.open().insert(&batch(&[trade(4), trade(0)])).unwrap(), 1);
}

#[test]
fn a_server_that_goes_away_and_comes_back_gets_every_trade_of_a_run() {
    let Some(mut server) = Server::start() else { return };
    drop(server.open());
    let flags = ["--paused", "--markets", "50", "--rate", "2000", "--burst", "0"];
    let mut venue = VenueProcess::start(&flags);
    let folder = tempfile::tempdir().unwrap();
    let (store, journal) =
        (format!("postgres://{}", server.text("keeper")), folder.path().join("journal"));
    let journal = journal.display().to_string();
    let flags = ["--trades", &store, "--trades-journal", &journal, "--trades-batch-ms", "50"];
    let mut engine = Engine::start(&venue, &flags);
    engine.wait_live(TOKENS);
    venue.control("resume");
    let some = |stats: &Value| count(stats, "/trades/inserted") > 5;
    engine.wait_for("rows", TIMEOUT, some);
    server.stop();
    engine.wait_health(503, "has taken no trades for");
    let spilled = |stats: &Value| count(stats, "/trades/journaled") > 5;
    engine.wait_for("a spill", TIMEOUT, spilled);
    server.start_again();
    engine.wait_health(200, "");
    let more = venue.stat("trades") + 10;
    venue.wait_for("more trades", |venue| venue.stat("trades") >= more);
    venue.pause();
    let reported = venue.stat("trades");
    let stored = move |stats: &Value| count(stats, "/trades/inserted") == reported;
    engine.wait_for("every row", TIMEOUT, stored);
    engine.program.signal(Signal::INT);
    engine.program.wait(TIMEOUT);
    let line = engine.program.wait_for_line("trades: ");
    assert!(
        line.contains(&format!("{reported} received, {reported} inserted into postgres://keeper@")),
        "{line}"
    );
    assert!(line.contains("0 journaled, 0 lost"), "{line}");
    assert_eq!(server.rows(), reported);
}
