//! The engine as a library: a user's handler, commands and events, against an embedded venue.
//!
//! Runs on:  test threads; engine and venue run on threads of this process.
use crate::http::Client;
use crate::program::{POLL_INTERVAL, TIMEOUT};
use ringbook::base::id::{ConnectionId, ShardId, TokenId};
use ringbook::counter::report::EngineReport;
use ringbook::link::main_control::{ControlEvent, RefusedToken};
use ringbook::market::book::{BookState, StaleReason};
use ringbook::market::event::{TickSize, Trade};
use ringbook::shard::publish::{BookView, Change, Handler};
use ringbook::sim::{SimConfig, Venue};
use ringbook::{Engine, EngineBuilder, HashChecks, Polymarket};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// What a handler received about one token.
#[derive(Debug, Default)]
struct TokenLog {
    state: BookState,
    snapshots: u64,
    changes: u64,
    went_live: u64,
    went_stale: u64,
    levels: [Vec<[String; 2]>; 2],
    shards: HashSet<u16>,
    /// Updates of the book and its venue time, as last reported.
    version: (u64, u64),
}

/// What all handlers received.
#[derive(Debug, Default)]
struct Record {
    tokens: HashMap<String, TokenLog>,
    trades: u64,
    transactions: HashSet<String>,
    ticks: u64,
    faults: Vec<String>,
}

impl Record {
    fn sum(&self, of: fn(&TokenLog) -> u64) -> u64 {
        self.tokens.values().map(of).sum()
    }
}

#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Record>>);

impl Recorder {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap()
    }

    fn note(&self, view: &BookView<'_>, note: impl FnOnce(&mut TokenLog) -> Result<(), String>) {
        let mut record = self.record();
        let log = record.tokens.entry(view.token.to_string()).or_default();
        log.shards.insert(view.shard.0);
        let mut result = note(log);
        let version = (view.facts.updates, view.facts.timestamp_ms);
        if version.0 < log.version.0 || version.1 < log.version.1 {
            result = Err(format!("{version:?} after {:?}", log.version));
        }
        log.version = version;
        if result.is_ok() && log.state != view.state {
            result = Err(format!("{:?} was not reported before {:?}", view.state, log.state));
        }
        let side = |levels: Vec<ringbook::market::book::Level>| {
            let text =
                |l: ringbook::market::book::Level| [l.price.to_string(), l.quantity.to_string()];
            levels.into_iter().map(text).collect()
        };
        let book = view.book;
        log.levels = [side(book.bids.levels().collect()), side(book.asks.levels().collect())];
        if let Err(fault) = result {
            record.faults.push(format!("{}: {fault}", view.token));
        }
    }
}

impl Handler for Recorder {
    fn on_snapshot(&mut self, view: &BookView<'_>) {
        self.note(view, |log| {
            log.snapshots += 1;
            let live = view.state == BookState::Live;
            live.then_some(()).ok_or_else(|| format!("a snapshot while {:?}", view.state))
        });
    }

    fn on_price_change(&mut self, view: &BookView<'_>, _: &Change) {
        self.note(view, |log| {
            log.changes += 1;
            let known = log.snapshots > 0;
            known.then_some(()).ok_or_else(|| "a change before any snapshot".to_owned())
        });
    }

    fn on_trade(&mut self, view: &BookView<'_>, trade: &Trade<'_>) {
        self.note(view, |_| Ok(()));
        let mut record = self.record();
        record.trades += 1;
        if !record.transactions.insert(trade.transaction_hash.to_owned()) {
            record.faults.push(format!("the trade {} came twice", trade.transaction_hash));
        }
    }

    fn on_tick_size(&mut self, view: &BookView<'_>, _: &TickSize<'_>) {
        self.note(view, |_| Ok(()));
        self.record().ticks += 1;
    }

    fn on_status(&mut self, view: &BookView<'_>, before: BookState) {
        self.note(view, |log| {
            let (was, is) = (std::mem::replace(&mut log.state, view.state), view.state);
            match (before, is) {
                (BookState::AwaitingSnapshot | BookState::Stale { .. }, BookState::Live) => {
                    log.went_live += 1;
                }
                (BookState::Live, BookState::Stale { why: StaleReason::Disconnected, .. }) => {
                    log.went_stale += 1;
                }
                _ => return Err(format!("from {before:?} to {is:?}")),
            }
            (was == before).then_some(()).ok_or_else(|| format!("{before:?}, but it was {was:?}"))
        });
    }
}

/// An engine in this process, its events and its venue.
struct Rig {
    engine: Engine,
    venue: Venue,
    recorder: Recorder,
    report: Option<Box<EngineReport>>,
    forced: HashMap<u64, (Vec<ConnectionId>, Vec<RefusedToken>)>,
    recycling: HashMap<u64, Result<(), String>>,
}

pub(crate) fn quiet(markets: usize, rate: f64) -> SimConfig {
    SimConfig {
        tls: false,
        paused: true,
        markets,
        rate,
        levels: 8,
        births_per_minute: 0.0,
        resolutions_per_minute: 0.0,
        ending_soon_percent: 0,
        ..SimConfig::default()
    }
}

impl Rig {
    /// Follows all markets with these settings.
    fn start(config: SimConfig, settings: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Self {
        Self::following(config, |builder| settings(builder.all_markets()))
    }

    /// Follows what these settings name.
    fn following(config: SimConfig, settings: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Self {
        let venue = Venue::start(config).unwrap();
        let recorder = Recorder::default();
        let made = recorder.clone();
        let mut shards = Vec::new();
        let factory = |shard: ShardId| {
            shards.push(shard.0);
            made.clone()
        };
        let at = Polymarket::at(&venue.http_url(), &venue.ws_url());
        let engine = settings(Engine::builder().venue(at)).start(factory).unwrap();
        let each: Vec<u16> = (0..engine.topology().shards.len() as u16).collect();
        assert_eq!(shards, each, "one handler for each shard");
        Self {
            engine,
            venue,
            recorder,
            report: None,
            forced: HashMap::new(),
            recycling: HashMap::new(),
        }
    }

    fn look(&mut self) {
        while let Some(event) = self.engine.poll_event() {
            match event {
                ControlEvent::Report(report) => self.report = Some(report),
                ControlEvent::Forced { ticket, connections, refused } => {
                    self.forced.insert(ticket, (connections, refused));
                }
                ControlEvent::Recycling { ticket, result } => {
                    self.recycling.insert(ticket, result);
                }
                ControlEvent::Interval { .. }
                | ControlEvent::Connections(_)
                | ControlEvent::Stopped { .. } => {}
            }
        }
    }

    fn wait_for(&mut self, what: &str, wanted: impl Fn(&Self) -> bool) -> Duration {
        let begun = Instant::now();
        while !wanted(self) {
            self.look();
            let late = begun.elapsed() > TIMEOUT;
            assert!(!late, "no {what}: {:#?}", self.report.as_ref().map(|r| &r.health));
            std::thread::sleep(POLL_INTERVAL / 10);
        }
        begun.elapsed()
    }

    fn live(&self) -> usize {
        let record = self.recorder.record();
        record.tokens.values().filter(|log| log.state == BookState::Live).count()
    }

    fn control(&self, what: &str) {
        let mut client = Client::new(&self.venue.http_url(), None);
        assert_eq!(client.request("POST", &format!("/sim/{what}")).unwrap().status, 200);
    }

    /// Slug and tokens of every market.
    fn markets(&self) -> Vec<(String, Vec<String>)> {
        let mut client = Client::new(&self.venue.http_url(), None);
        let mut all = Vec::new();
        for offset in (0..).step_by(100) {
            let page = client.get(&format!("/markets?limit=100&offset={offset}")).json();
            let page = page.as_array().unwrap();
            if page.is_empty() {
                return all;
            }
            let text = |market: &Value, key: &str| market[key].as_str().unwrap().to_owned();
            all.extend(page.iter().map(|market| {
                let tokens = serde_json::from_str(&text(market, "clobTokenIds")).unwrap();
                (text(market, "slug"), tokens)
            }));
        }
        unreachable!()
    }

    /// Every book that a handler saw last is the venue's; nothing was out of order.
    fn check(&self) {
        let record = self.recorder.record();
        assert_eq!(record.faults, Vec::<String>::new());
        for (token, log) in &record.tokens {
            assert_eq!(log.shards.len(), 1, "{token}: {log:?}");
            let truth: Value = serde_json::from_str(&self.venue.truth(token).unwrap()).unwrap();
            for (side, mine) in ["bids", "asks"].into_iter().zip(&log.levels) {
                let level =
                    |l: &Value| ["price", "size"].map(|k| l[k].as_str().unwrap().to_owned());
                let theirs: Vec<_> = truth[side].as_array().unwrap().iter().map(level).collect();
                assert_eq!(mine, &theirs, "{token} {side}");
            }
        }
    }

    fn stop(self) {
        let begun = Instant::now();
        let ending = self.engine.stop(|_| {});
        eprintln!("Engine::stop: {:?}", begun.elapsed());
        assert_eq!(ending.left_behind, Vec::<String>::new());
        assert!(ending.report.is_some());
        assert_eq!(self.venue.stats().connections, 0);
        assert_eq!(self.venue.stats().violations, 0);
    }
}

#[test]
fn a_handler_receives_everything_once_and_in_order() {
    let mut rig = Rig::start(quiet(100, 600.0), |b| b.shards(2));
    rig.wait_for("200 live books", |rig| rig.live() == 200);
    rig.venue.resume().unwrap();
    rig.wait_for("trades", |rig| rig.venue.stats().trades >= 25);
    rig.control("tick?count=3");
    rig.wait_for("tick changes", |rig| rig.venue.stats().tick_size_changes >= 3);
    rig.venue.pause().unwrap();
    let stats = rig.venue.stats();
    rig.wait_for("everything that was sent", |rig| {
        let record = rig.recorder.record();
        record.trades >= stats.trades
            && record.ticks >= stats.tick_size_changes
            && record.sum(|log| log.snapshots) >= stats.books + stats.dumped_books
            && record.sum(|log| log.changes) >= stats.price_changes
    });
    {
        let record = rig.recorder.record();
        assert_eq!((record.trades, record.ticks), (stats.trades, stats.tick_size_changes));
        assert_eq!(record.transactions.len() as u64, stats.trades);
        assert_eq!(record.sum(|log| log.snapshots), stats.books + stats.dumped_books);
        assert_eq!(record.sum(|log| log.went_live), 200);
    }
    rig.check();
    // All connections end: every book goes stale once, and comes back once.
    rig.control("drop?connections=all");
    let again = |rig: &Rig| rig.recorder.record().tokens.values().all(|log| log.went_live == 2);
    rig.wait_for("books live again", again);
    assert!(rig.recorder.record().tokens.values().all(|log| log.went_stale == 1));
    assert_eq!(rig.recorder.record().trades, stats.trades, "none is repeated");
    rig.check();
    rig.stop();
}

#[test]
fn a_small_catalog_is_live_at_once_and_what_is_not_pending_cannot_be_forced() {
    // Forty tokens are less than the leftovers of a scan that are worth a connection: the first one waits for none.
    let mut rig = Rig::start(quiet(20, 50.0), |b| b.shards(1));
    rig.wait_for("40 live books", |rig| rig.live() == 40);
    assert_eq!(rig.venue.stats().upgrades, 1);
    let markets = rig.markets();
    let token = |text: &String| TokenId::new(text).unwrap();
    // Nothing is pending any more, and one is unknown: each has its reason, and no connection is opened.
    let (placed, unknown) = (token(&markets[0].1[0]), TokenId::new("12345").unwrap());
    let placed_why = (placed, "it is on connection-1 already");
    let unknown_why = (unknown, "it is not known; follow its market first");
    for (tokens, wanted) in [
        (vec![unknown, placed], vec![unknown_why, placed_why]),
        (vec![unknown], vec![unknown_why]),
        (vec![], vec![]),
    ] {
        let ticket = rig.engine.force_subscribe(tokens).unwrap();
        rig.wait_for("an answer", |rig| rig.forced.contains_key(&ticket));
        let (connections, refused) = rig.forced.remove(&ticket).unwrap();
        assert_eq!(connections, []);
        let why = refused.iter().map(|refused| (refused.token, refused.why.as_str()));
        let why: Vec<_> = why.collect();
        assert_eq!(why, wanted);
    }
    rig.stop();
}

#[test]
fn four_hundred_named_tokens_come_over_one_connection() {
    let catalog = Rig::following(quiet(230, 50.0), |b| b.market("none"));
    let markets = catalog.markets();
    catalog.stop();
    let batch = &markets[..199];
    let mut rig = Rig::following(quiet(230, 50.0), |b| {
        batch.iter().fold(b.shards(1), |b, (slug, _)| b.market(slug))
    });
    rig.wait_for("398 live books", |rig| rig.live() == 398);
    assert_eq!(rig.venue.stats().upgrades, 1);
    assert!(rig.engine.add_market(&markets[210].0));
    let more = |rig: &Rig| rig.report.as_ref().is_some_and(|r| r.registry.markets == 200);
    rig.wait_for("the market added by name", more);
    rig.wait_for("its books", |rig| rig.live() == 400);
    rig.check();
    rig.stop();
}

#[test]
fn an_engine_that_is_dropped_stops_and_what_is_named_is_followed() {
    let mut rig = Rig::following(quiet(20, 50.0), |b| b.market("none").serve(([127, 0, 0, 1], 0)));
    let markets = rig.markets();
    // A token id and a slug, each with both books of its market.
    assert!(rig.engine.add_market(&markets[3].1[1]) && rig.engine.add_market(&markets[7].0));
    rig.wait_for("4 live books", |rig| rig.live() == 4);
    let Rig { engine, venue, recorder, .. } = rig;
    let serving = engine.serving().unwrap();
    drop(engine);
    // Handlers are gone with their shards, the server with its thread, and the venue sees a closed connection.
    assert_eq!(Arc::strong_count(&recorder.0), 1);
    assert!(std::net::TcpStream::connect(serving).is_err());
    assert_eq!(venue.stats().connections, 0);
}

#[test]
fn a_setting_that_cannot_be_used_starts_nothing() {
    let error = Engine::builder().venue(Polymarket::default()).start(|_| ()).unwrap_err();
    assert!(error.to_string().starts_with("market: nothing to follow"), "{error}");
    let error = Engine::builder().shards(0).all_markets().start(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "shards 0: must be 1 to 256");
}

impl Rig {
    /// Replaces every connection that is up; they are others afterwards.
    fn recycle_all(&mut self) {
        let report = self.report.as_ref().unwrap();
        let before = report.recycling.completed;
        let up = report.pool.connections.iter().filter(|c| c.state == "active");
        let old: Vec<u32> = up.map(|connection| connection.id).collect();
        for &id in &old {
            let ticket = self.engine.force_recycle(ConnectionId(id)).unwrap();
            self.wait_for("an answer", |rig| rig.recycling.contains_key(&ticket));
            self.recycling.remove(&ticket).unwrap().unwrap();
        }
        let done = before + old.len() as u64;
        self.wait_for("replacements", |rig| {
            let report = rig.report.as_ref().unwrap();
            let gone = |id: &u32| !report.pool.connections.iter().any(|c| c.id == *id);
            report.recycling.completed >= done && old.iter().all(gone)
        });
    }
}

#[test]
fn replaced_connections_lose_nothing_and_repeat_nothing() {
    let all = |b: EngineBuilder| b.shards(2).verify_hash(HashChecks::All);
    // An unoptimised engine must keep up on a busy machine: a group of messages that it reads in two parts 200 ms apart
    // is compared in the middle.
    let mut rig = Rig::start(quiet(150, 1_500.0), all);
    rig.wait_for("300 live books", |rig| rig.live() == 300);
    rig.wait_for("a report", |rig| {
        rig.report
            .as_ref()
            .is_some_and(|r| r.shards.iter().map(|s| s.books.live).sum::<u64>() == 300)
    });
    rig.venue.resume().unwrap();
    rig.recycle_all();
    rig.recycle_all();
    rig.venue.pause().unwrap();
    let stats = rig.venue.stats();
    rig.wait_for("the last trade", |rig| rig.recorder.record().trades >= stats.trades);
    // A hash check waits two seconds for the trade that it needs.
    let since = rig.report.as_ref().unwrap().now_wall_ns;
    rig.wait_for("the last verdict", |rig| {
        rig.report.as_ref().is_some_and(|report| report.now_wall_ns > since + 4_000_000_000)
    });
    let report = rig.report.clone().unwrap();
    eprintln!("{:#?}", report.recycling);
    assert_eq!((report.recycling.failed, report.recycling.interrupted), (0, 0));
    assert_eq!(report.pool.reconnects, 0);
    for handover in &report.recycling.handovers {
        let counts = handover.counts;
        assert_eq!((counts.differences, counts.live_after), (0, counts.tokens), "{handover:?}");
        assert!(counts.duplicates > 0, "both sent the same: {handover:?}");
    }
    assert_eq!(report.correctness.checks.tops_mismatched, 0);
    assert_eq!(report.correctness.checks.hashes_mismatched, 0);
    {
        let record = rig.recorder.record();
        assert_eq!((record.trades, record.transactions.len() as u64), (stats.trades, stats.trades));
        let never_stale = record.tokens.values().all(|log| log.went_live == 1);
        assert!(never_stale, "a book was not live for a moment");
    }
    rig.check();
    rig.stop();
}
