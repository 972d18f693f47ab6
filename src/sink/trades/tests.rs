//! The threads: every trade is stored, including while another process locks the database.
use super::*;
use crate::base::id::{ConnectionId, MarketId, TokenId, Venue};
use crate::base::limits::SINK_SPILL_AGE_NS;
use crate::base::price::{Price, Quantity};
use crate::base::time::MILLISECOND_NS;
use crate::market::book::Side;
use crate::ring::{Producer, ring};
use std::path::Path;

fn trade(number: u64) -> TradeRecord {
    TradeRecord {
        venue: Venue::named("polymarket"),
        market: MarketId::new("0x1").unwrap(),
        token: TokenId::new("7").unwrap(),
        price: Price(1),
        quantity: Quantity(1),
        side: Side::Bid,
        venue_ms: number,
        receive_wall_ns: 1,
        id: None,
        fee_rate_bps: None,
        connection: ConnectionId(1),
    }
}

struct Rig {
    _folder: tempfile::TempDir,
    options: SinkOptions,
    producer: Producer<TradeRecord>,
    sink: TradeSink,
}

fn start(folder: tempfile::TempDir, depth: usize) -> Rig {
    let path = folder.path().join("trades.db");
    let address = StoreAddress::parse(&format!("sqlite:{}", path.display())).unwrap();
    let options = SinkOptions {
        venues: vec![Venue::named("polymarket")],
        journal: address.journal(),
        address,
        batching: Batching { trades_max: 100, age_max_ns: 20 * MILLISECOND_NS },
    };
    let (producer, trades) = ring(depth);
    let receiver = TradeReceiver { trades, gauge: producer.gauge() };
    let sink =
        TradeSink::start(&options, vec![receiver], vec![ring(8).1], HostClock::new()).unwrap();
    Rig { _folder: folder, options, producer, sink }
}

fn database(options: &SinkOptions) -> rusqlite::Connection {
    let StoreAddress::Sqlite(path) = &options.address else { panic!("a file") };
    rusqlite::Connection::open(path).unwrap()
}

fn until(what: &str, met: impl Fn() -> bool) {
    for _ in 0..3_000 {
        if met() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("never: {what}");
}

#[test]
fn every_trade_is_stored_before_the_sink_ends() {
    let Rig { _folder, options, mut producer, sink } = start(tempfile::tempdir().unwrap(), 4_096);
    (0..1_234).for_each(|number| producer.try_send(trade(number)).unwrap());
    let report = sink.stop();
    assert_eq!((report.received, report.inserted, report.lost), (1_234, 1_234, 0), "{report:?}");
    assert_eq!((report.queued, report.journaled), (0, 0));
    assert!(report.batches >= 13 && report.last_insert_wall_ns > 0);
    assert!(report.trouble(0).is_none());
    let rows = database(&options).query_row("SELECT count(*) FROM trades", [], |row| row.get(0));
    assert_eq!(rows, Ok(1_234i64));
}

#[test]
fn a_full_ring_is_counted_and_recorded() {
    let folder = tempfile::tempdir().unwrap();
    // Nothing is received before the sink starts.
    let path = folder.path().join("trades.db");
    let address = StoreAddress::Sqlite(path);
    let batching = Batching { trades_max: 100, age_max_ns: MILLISECOND_NS };
    let options = SinkOptions {
        venues: vec![Venue::named("polymarket")],
        journal: address.journal(),
        address,
        batching,
    };
    let (mut producer, trades) = ring(10);
    let refused = (0..14).filter(|&number| producer.try_send(trade(number)).is_err()).count();
    assert_eq!(refused, 4);
    let receiver = TradeReceiver { trades, gauge: producer.gauge() };
    let sink =
        TradeSink::start(&options, vec![receiver], vec![ring(8).1], HostClock::new()).unwrap();
    let report = sink.stop();
    assert_eq!((report.received, report.inserted, report.lost), (10, 10, 4));
    assert!(report.trouble(0).unwrap().starts_with("4 trades are lost"));
    let sum = "SELECT sum(trades) FROM trade_losses";
    assert_eq!(database(&options).query_row(sum, [], |row| row.get(0)), Ok(4i64));
}

#[test]
fn trades_wait_in_the_journal_while_the_database_is_held_and_are_stored_after() {
    let Rig { _folder, options, mut producer, sink } = start(tempfile::tempdir().unwrap(), 4_096);
    let board = sink.board();
    let holder = database(&options);
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    (0..500).for_each(|number| producer.try_send(trade(number)).unwrap());
    std::thread::sleep(Duration::from_nanos(2 * SINK_SPILL_AGE_NS));
    until("in the journal", || board.journaled.get() > 0);
    assert_eq!(board.queued.get() + board.journaled.get(), 500, "none is missing");
    assert!(std::fs::metadata(&options.journal).unwrap().len() > 0);
    holder.execute_batch("ROLLBACK").unwrap();
    until("stored", || board.inserted.get() == 500);
    until("settled", || board.journaled.get() == 0);
    let report = sink.stop();
    assert_eq!((report.received, report.repeated, report.lost), (500, 0, 0));
    let order =
        "SELECT group_concat(venue_ms) FROM (SELECT venue_ms FROM trades ORDER BY venue_ms)";
    let text: String = holder.query_row(order, [], |row| row.get(0)).unwrap();
    assert_eq!(text, (0..500).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
    assert_eq!(std::fs::metadata(&options.journal).unwrap().len(), 0);
}

#[test]
fn what_an_earlier_run_left_in_the_journal_is_stored_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = StoreAddress::Sqlite(folder.path().join("trades.db")).journal();
    let (mut journal, _) = Journal::open(Path::new(&path)).unwrap();
    journal.append(&(0..250).map(trade).collect::<Vec<_>>()).unwrap();
    drop(journal);
    let Rig { _folder, options, mut producer, sink } = start(folder, 4_096);
    (240..260).for_each(|number| producer.try_send(trade(number)).unwrap());
    let report = sink.stop();
    assert_eq!((report.received, report.inserted, report.repeated), (270, 260, 10), "{report:?}");
    let rows = database(&options).query_row("SELECT count(*) FROM trades", [], |row| row.get(0));
    assert_eq!(rows, Ok(260i64));
    assert!(report.line().contains("270 received, 260 inserted"), "{}", report.line());
}

#[test]
fn trades_of_an_earlier_version_get_the_index_by_token() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trades.db");
    drop(StoreAddress::Sqlite(path.clone()).open().unwrap());
    let earlier = rusqlite::Connection::open(&path).unwrap();
    earlier.execute_batch("DROP INDEX trades_by_token").unwrap();
    let Rig { _folder, options, sink, .. } = start(folder, 16);
    let mut store = options.address.open().unwrap();
    until("added", || earlier.prepare("SELECT 1 FROM trades INDEXED BY trades_by_token").is_ok());
    assert_eq!(store.has_token_index(), Ok(true));
    assert!(sink.stop().trouble(0).is_none());
}

#[test]
fn what_cannot_start_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let address = StoreAddress::Sqlite(folder.path().join("nowhere/trades.db"));
    let batching = Batching { trades_max: 1, age_max_ns: 1 };
    let options = SinkOptions {
        venues: vec![Venue::named("polymarket")],
        journal: folder.path().join("j"),
        address,
        batching,
    };
    let error =
        TradeSink::start(&options, Vec::new(), vec![ring(8).1], HostClock::new()).unwrap_err();
    assert!(error.contains("nowhere/trades.db: unable to open"), "{error}");
    assert!(StoreAddress::parse("trades.db").unwrap_err().contains("expected sqlite:FILE"));
    assert!(StoreAddress::parse("sqlite:").is_err());
}
