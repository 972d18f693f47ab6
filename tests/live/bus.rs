//! The bus: engine to broker to reader, through an outage of the broker, which is librdkafka's mock.
//!
//! Runs on:  test threads; engine, venue and mock on threads of this process.
mod replaced;
mod sasl;
mod secured;

use crate::gateway::Rig;
use crate::http::Client;
use crate::library::quiet;
use crate::program::{POLL_INTERVAL, Program, TIMEOUT};
use crate::proxy::Proxy;
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use ringbook::bus::{BusConsumer, record::Topic};
use ringbook::sim::SimConfig;
use ringbook::{
    BusBook, BusEvent, BusRacer, BusReader, BusState, Engine, EngineBuilder, Level, Polymarket,
    TokenId,
};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const TOPICS: [&str; 5] = ["trades", "books", "tops", "markets", "events"];

/// A venue, an engine that publishes, and what a reader has of it.
struct Bus {
    rig: Rig,
    http: Client,
    reader: BusReader,
    trades: u64,
    /// What identifies a trade of the simulated venue.
    ids: HashSet<String>,
    markets: HashSet<String>,
}

impl Bus {
    /// Reads from the beginning until every book is live; the venue is silent.
    fn start(url: &str, rate: f64) -> Self {
        let settings =
            |builder: EngineBuilder| builder.all_markets().bus(url, Duration::from_secs(2));
        let config = SimConfig { trades_per_10_000: 5_000, ..quiet(10, rate) };
        let rig = Rig::of(config, settings);
        let http = Client::new(&format!("http://{}", rig.engine.serving().unwrap()), None);
        let begun = Instant::now();
        // An engine makes the topics.
        let reader = loop {
            match BusReader::connect(url, true) {
                Ok(reader) => break reader,
                Err(error) => assert!(begun.elapsed() < TIMEOUT, "{error}"),
            }
            std::thread::sleep(POLL_INTERVAL);
        };
        let (ids, markets) = (HashSet::new(), HashSet::new());
        let mut bus = Self { rig, http, reader, trades: 0, ids, markets };
        bus.wait("live books", |bus| {
            let live = bus.reader.books().filter(|(_, book)| book.state == BusState::Live);
            live.count() == 20
        });
        bus
    }

    /// Reads what is there, for a moment.
    fn read(&mut self) {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(200) {
            match self.reader.poll(Duration::from_millis(10)).unwrap() {
                Some(BusEvent::Trade(trade)) => {
                    self.trades += 1;
                    let id = trade.id.unwrap().to_string();
                    assert!(self.ids.insert(id), "twice: {trade:?}");
                }
                Some(BusEvent::Market(text)) => {
                    let market: Value = serde_json::from_str(&text).unwrap();
                    self.markets.insert(market["slug"].as_str().unwrap().to_owned());
                }
                _ => {}
            }
        }
    }

    fn wait(&mut self, what: &str, mut wanted: impl FnMut(&mut Self) -> bool) {
        let begun = Instant::now();
        loop {
            self.read();
            if wanted(self) {
                return;
            }
            if begun.elapsed() > TIMEOUT {
                let counts = self.reader.counts();
                let stats = self.stats();
                let (trades, racers) = (self.trades, self.reader.racers());
                panic!("no {what}: {counts:?}, {racers:?}, {trades} trades, {stats:#}");
            }
        }
    }

    /// The figures of the bus.
    fn stats(&mut self) -> Value {
        self.http.get("/stats").json()["bus"].clone()
    }

    fn count(&mut self, key: &str) -> u64 {
        self.stats()[key].as_u64().unwrap_or(0)
    }

    /// Tokens whose book is not live, or not the venue's.
    fn wrong(&self) -> Vec<&String> {
        let text = |level: Level| (level.price.to_string(), level.quantity.to_string());
        let side = |list: &Value| -> BTreeMap<String, String> {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let levels = list.as_array().unwrap().iter();
            levels.map(|level| (text(&level["price"]), text(&level["size"]))).collect()
        };
        let is_wrong = |token: &&String| {
            let truth = self.rig.venue.truth(token).unwrap();
            let truth: Value = serde_json::from_str(&truth).unwrap();
            let Some(book) = self.reader.book(&TokenId::new(token).unwrap()) else { return true };
            let mine = [&book.book.bids, &book.book.asks]
                .map(|side| side.levels().map(text).collect::<BTreeMap<_, _>>());
            book.state != BusState::Live || mine != [side(&truth["bids"]), side(&truth["asks"])]
        };
        self.rig.tokens.iter().filter(is_wrong).collect()
    }

    /// The venue is silent, and the reader has its books.
    fn settle(&mut self) {
        self.rig.venue.pause().unwrap();
        self.wait("equal books", |bus| bus.wrong().is_empty());
    }

    /// As [`Bus::settle`]; each of the venue's trades was read once, or is reported as lost.
    fn settle_trades(&mut self) {
        self.settle();
        let sent = self.rig.venue.stats().trades;
        let read = |bus: &Self| bus.trades + bus.reader.counts().trades_lost;
        self.wait("all trades", |bus| read(bus) >= sent);
        assert_eq!(read(self), sent);
        assert!(self.reader.counts().trades_lost <= self.count("trades_lost"));
    }

    fn ring_losses(&mut self) -> u64 {
        self.http.get("/stats").json()["gateway"]["ring_losses"].as_u64().unwrap()
    }

    /// The venue sends on until this many trades more are read.
    fn run(&mut self, trades: u64) {
        let wanted = self.trades + trades;
        self.rig.venue.resume().unwrap();
        self.wait("trades", |bus| bus.trades >= wanted);
    }
}

pub(crate) type Mock = MockCluster<'static, rdkafka::producer::DefaultProducerContext>;

pub(crate) fn mock() -> (Mock, String) {
    let cluster = MockCluster::new(1).unwrap();
    for topic in TOPICS {
        cluster.create_topic(&format!("live.{topic}"), 3, 1).unwrap();
    }
    let servers = cluster.bootstrap_servers();
    let url = format!("kafka://{servers}/live?engine=one");
    let journal = journal(&servers, "engine=one");
    (cluster, format!("{url}&journal={journal}"))
}

/// A new file for what waits for a broker.
pub(crate) fn journal(servers: &str, engine: &str) -> String {
    let file = format!("{}-{engine}.ndjson", servers.replace(':', "-"));
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
    let _ = std::fs::remove_file(&path);
    path.to_str().unwrap().to_owned()
}

/// The venue goes on while the broker is away, until the engine has what is wanted; then all is equal again.
fn outage(bus: &mut Bus, cluster: &Mock, wanted: impl Fn(&mut Bus) -> bool) {
    cluster.broker_down(-1).unwrap();
    bus.rig.venue.resume().unwrap();
    bus.wait("an outage", wanted);
    let health = bus.http.get("/health");
    assert!(health.status == 503 && health.text().contains("has taken no records for"));
    bus.rig.venue.pause().unwrap();
    cluster.broker_up(-1).unwrap();
    bus.settle_trades();
    bus.wait("an empty journal", |bus| bus.count("journaled") == 0);
    assert!(!bus.http.get("/health").text().contains("has taken no records for"));
}

#[test]
fn a_reader_has_every_book_and_each_trade_once_after_an_outage_too() {
    let (cluster, url) = mock();
    let mut bus = Bus::start(&url, 400.0);
    bus.run(50);
    bus.settle_trades();
    let counts = bus.reader.counts();
    assert_eq!((counts.trades_lost, counts.unreadable), (0, 0), "{counts:?}");
    // A busy machine leaves something out, in the ring of a shard or before a thread that sleeps: counted, and a
    // snapshot stands for it.
    let left_out = bus.ring_losses() + bus.count("conflated");
    assert!(counts.gaps == 0 || left_out > 0, "{counts:?}");
    assert_eq!(bus.markets.len(), 10);
    assert!(bus.count("snapshots_repeated") > 0);
    outage(&mut bus, &cluster, |bus| bus.count("journaled") > 50);
    assert_eq!((bus.reader.counts().trades_lost, bus.count("trades_lost")), (0, 0));
    // All is as before.
    bus.run(50);
    bus.settle_trades();
    // A reader that comes late has the same books, without the past.
    let mut late = BusReader::connect(&url, false).unwrap();
    let begun = Instant::now();
    while late.books().filter(|(_, book)| book.state == BusState::Live).count() < 20 {
        late.poll(Duration::from_millis(100)).unwrap();
        assert!(begun.elapsed() < TIMEOUT, "{:?}", late.counts());
    }
    for what in ["tick?count=1", "resolve?count=1", "drop?connections=all"] {
        bus.rig.control(what);
    }
    bus.rig.venue.resume().unwrap();
    let kinds = ["snapshot", "change", "tick", "state", "top", "trade", "new", "resolved"];
    crate::bus_schema::check(&url, &[&kinds[..], &["engine"]].concat());
    let report = bus.rig.engine.stop(|_| {}).bus.unwrap();
    let all = report.waiting == 0 && report.journaled == 0 && report.is_complete();
    assert!(all, "{report:?}");
}

/// Where changes of books find no room, each book is published as a whole afterwards. With so little room a thread
/// without CPU time leaves trades out, too: they are counted, and the reader learns of them.
#[test]
fn books_are_whole_again_after_an_outage_that_fills_the_buffers() {
    let (cluster, url) = mock();
    let mut bus = Bus::start(&format!("{url}&buffer_mib=1"), 400.0);
    outage(&mut bus, &cluster, |bus| bus.count("conflated") > 0);
    assert!(bus.reader.counts().gaps > 0);
    bus.rig.engine.stop(|_| {});
}

#[test]
fn trades_that_wait_at_the_end_are_published_by_the_next_run() {
    let (cluster, url) = mock();
    drop(cluster);
    let settings = |builder: EngineBuilder| builder.all_markets().bus(&url, Duration::from_secs(2));
    let rig = Rig::of(SimConfig { trades_per_10_000: 5_000, ..quiet(10, 400.0) }, settings);
    let mut http = Client::new(&format!("http://{}", rig.engine.serving().unwrap()), None);
    let begun = Instant::now();
    let mut wait = |key: &str, least| {
        loop {
            let stats = http.get("/stats").json();
            let shards = stats["shards"].as_array().unwrap().iter();
            let count: u64 = shards.map(|shard| shard[key].as_u64().unwrap()).sum();
            if count >= least {
                return;
            }
            assert!(begun.elapsed() < TIMEOUT, "{key}: {count} of {least}");
            std::thread::sleep(POLL_INTERVAL);
        }
    };
    wait("books_live", 20);
    rig.venue.resume().unwrap();
    wait("trades", 50);
    rig.venue.pause().unwrap();
    let sent = rig.venue.stats().trades;
    wait("trades", sent);
    let report = rig.engine.stop(|_| {}).bus.unwrap();
    // Stages of markets wait, too.
    let journal = std::fs::read_to_string(&report.journal).unwrap();
    assert_eq!(journal.lines().count() as u64, report.journaled);
    let trades = journal.lines().filter(|line| line.contains(r#""kind":"trade""#)).count() as u64;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(trades, sent, "{report:?}");
    assert!(report.line().contains("the next run publishes them"), "{}", report.line());
    let (_cluster, second) = mock();
    let parameter = |url: &str| url.split("&journal=").nth(1).unwrap().to_owned();
    let second = second.replace(&parameter(&second), &parameter(&url));
    let mut bus = Bus::start(&second, 400.0);
    bus.wait("the trades of the first run", |bus| {
        bus.trades == trades && bus.count("journaled") == 0
    });
    assert_eq!(bus.rig.engine.stop(|_| {}).bus.unwrap().journaled, 0);
}

/// The broker answers, and takes no record: as where too few of its replicas are there.
#[test]
fn a_producer_without_acknowledgements_is_replaced() {
    let (cluster, url) = mock();
    let mut bus = Bus::start(&format!("{url}&stall_seconds=2"), 100.0);
    bus.run(10);
    bus.settle_trades();
    bus.rig.venue.resume().unwrap();
    let refused = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS; 1_000];
    bus.wait("another producer", |bus| {
        cluster.request_errors(RDKafkaApiKey::Produce, &refused);
        bus.count("restarts") > 0 && bus.http.get("/health").text().contains("were begun: 1")
    });
    cluster.clear_request_errors(RDKafkaApiKey::Produce);
    bus.settle_trades();
    assert_eq!((bus.count("trades_lost"), bus.reader.counts().trades_lost), (0, 0));
    bus.run(10);
    bus.settle_trades();
    let mut events = BusConsumer::connect(&url, &[Topic::Events], &[Topic::Events]).unwrap();
    let begun = Instant::now();
    while events
        .poll(Duration::from_millis(100))
        .unwrap()
        .is_none_or(|record| !record.text.contains(r#""reason":"no_acknowledgements""#))
    {
        assert!(begun.elapsed() < TIMEOUT, "the events do not name the reason");
    }
    bus.rig.engine.stop(|_| {});
}

/// The second engine has the venue 50 ms later.
#[test]
fn of_two_engines_a_reader_has_each_change_from_the_first_and_the_other_takes_over() {
    let (_cluster, url) = mock();
    let mut bus = Bus::start(&url, 100.0);
    let venue_url = bus.rig.venue.http_url();
    let address = venue_url["http://".len()..].parse().unwrap();
    let proxy = Proxy::delayed(address, Duration::from_millis(50));
    let at = Polymarket::at(&venue_url, &format!("ws://{}/ws/market", proxy.address));
    let url_of_two = url.replace("engine=one", "engine=two");
    let builder = Engine::builder().venue(at).shards(1).serve(([127, 0, 0, 1], 0)).all_markets();
    let second = builder.bus(&url_of_two, Duration::from_secs(2)).start(|_| ()).unwrap();
    let mut command = Program::ringbook();
    command.args(["tail", "--bus", &url, "--races", "--count", "1000"]);
    let mut tail = Program::start(command);
    bus.rig.venue.resume().unwrap();
    bus.wait("races that the faster engine wins", |bus| {
        let mut racers = bus.reader.racers();
        racers.sort_by(|a, b| a.engine.cmp(&b.engine));
        let [BusRacer { changes, trades, .. }, two] = &racers[..] else { return false };
        // By how much depends on the machine: a late reader has records of both in one fetch.
        let wins = changes.first > 200 && changes.first > two.changes.first;
        let wins_trades = trades.first > 50 && trades.first > two.trades.first;
        wins && wins_trades && two.changes.later > 0 && two.trades.later > 50
    });
    assert!(tail.wait(TIMEOUT).success(), "{tail}");
    let table = tail.stdout();
    eprintln!("{}", table.join("\n"));
    for engine in ["one", "two"] {
        let is_row = |line: &String| line.starts_with(engine) && line.contains(" trades ");
        assert_eq!(table.iter().filter(|line| is_row(line)).count(), 1, "{table:?}");
    }
    bus.settle_trades();
    // The first engine ends: the books of the other one are there already.
    let serving = second.serving().unwrap();
    std::mem::replace(&mut bus.rig.engine, second).stop(|_| {});
    bus.http = Client::new(&format!("http://{serving}"), None);
    bus.wait("the other engine's books", |bus| {
        bus.reader.books().all(|(_, book)| &*book.engine == "two") && bus.wrong().is_empty()
    });
    bus.run(20);
    bus.settle_trades();
    bus.rig.engine.stop(|_| {});
}

/// Runs a program of `tests/python` until its lines are as wanted, unless a package is missing.
fn python(script: &str, package: &str, url: &str, wanted: &dyn Fn(&[String]) -> bool) {
    let python = std::env::var("RINGBOOK_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let import = format!("import confluent_kafka, {package}");
    let has = Command::new(&python).args(["-c", &import]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: {script}: {python} has not both of confluent_kafka and {package}");
        return;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(script);
    let brokers = url["kafka://".len()..].split('/').next().unwrap();
    let (folder, begun) = (tempfile::tempdir().unwrap(), Instant::now());
    loop {
        let mut command = Command::new(&python);
        command.arg(&path).args([brokers, "live"]).current_dir(folder.path());
        let mut program = Program::start(command);
        assert!(program.wait(TIMEOUT).success(), "{program}");
        let lines = program.stdout();
        if wanted(&lines) {
            return;
        }
        assert!(begun.elapsed() < TIMEOUT, "{script}: {lines:?}");
    }
}

/// What the guide shows is what is tested.
#[test]
fn polars_and_duckdb_read_the_topics() {
    let page = include_str!("../../src/guide/bus.md");
    assert!(page.contains(include_str!("../python/bus_polars.py")));
    assert!(page.contains(include_str!("../python/bus_duckdb.py")));
    let (_cluster, url) = mock();
    let mut bus = Bus::start(&url, 100.0);
    bus.run(20);
    bus.settle_trades();
    python("bus_polars.py", "polars", &url, &|lines| {
        let count = |line: &String| line.split(' ').nth(1).unwrap().parse::<u64>().unwrap();
        lines.iter().map(count).sum::<u64>() == bus.trades
    });
    let text = |best: Option<Level>| best.map_or("None".into(), |level| level.price.to_string());
    let tops: HashSet<String> = bus
        .reader
        .books()
        .map(|(token, BusBook { book, .. })| {
            format!("{token} {} {}", text(book.best_bid()), text(book.best_ask()))
        })
        .collect();
    python("bus_duckdb.py", "duckdb", &url, &|lines| {
        lines.iter().cloned().collect::<HashSet<_>>() == tops
    });
    bus.rig.engine.stop(|_| {});
}

#[test]
fn tail_prints_records() {
    let (_cluster, url) = mock();
    let url = format!("{url}&compression=zstd");
    let mut bus = Bus::start(&url, 50.0);
    bus.run(3);
    let mut command = Program::ringbook();
    command.args(["tail", "--bus", &url, "--topic", "trades", "--from-beginning", "--count", "3"]);
    let mut tail = Program::start(command);
    assert!(tail.wait(TIMEOUT).success(), "{tail}");
    let lines = tail.stdout();
    assert_eq!(lines.len(), 3, "{lines:?}");
    for line in lines {
        let record: Value = serde_json::from_str(&line).unwrap();
        assert!(record["kind"] == "trade" && record["price"].is_string(), "{line}");
    }
    bus.rig.engine.stop(|_| {});
}
