//! Unit tests of the table: search, reuse of records, restart.
use super::*;
use crate::base::id::{BookIndex, MarketId, ShardId, TokenId, Venue};
use crate::base::price::{Price, Quantity};
use crate::market::book::image::BookFacts;
use crate::market::book::{Book, BookState, Level, StaleReason};
use crate::shard::publish::{BookView, Handler as _};
use std::path::PathBuf;

struct Rig {
    folder: tempfile::TempDir,
    table: PriceTable,
}

impl Rig {
    fn path(&self) -> PathBuf {
        self.folder.path().join("prices")
    }
}

fn rig() -> Rig {
    let folder = tempfile::tempdir().unwrap();
    let table = PriceTable::create(&folder.path().join("prices")).unwrap();
    Rig { folder, table }
}

fn token(number: u32) -> TokenId {
    TokenId::new(&format!("{number}{}", "7".repeat(60))).unwrap()
}

fn with_view(number: u32, state: BookState, bid: u32, then: impl FnOnce(&BookView<'_>)) {
    let market = MarketId::new("0xa1").unwrap();
    let facts = BookFacts { timestamp_ms: 5, updates: u64::from(bid), ..BookFacts::default() };
    let mut book = Book::default();
    if bid > 0 {
        book.replace(&[Level { price: Price(bid), quantity: Quantity(3) }], &[]).unwrap();
    }
    let (venue, shard) = (Venue::named("polymarket"), ShardId(0));
    let (token, index) = (&token(number), BookIndex(number));
    let (market, facts, book) = (&market, &facts, &book);
    then(&BookView { venue, shard, index, market, token, state, facts, book, read_wall_ns: 9 });
}

#[test]
fn books_come_and_go_and_are_found_by_token() {
    let rig = rig();
    let reader = Table::open(&rig.path()).unwrap();
    let mut writers = [rig.table.writer(), rig.table.writer()];
    let open = |writer: &mut PriceWriter, number| {
        with_view(number, BookState::AwaitingSnapshot, 0, |view| writer.on_open(view));
    };
    for number in 0..2_000 {
        open(&mut writers[number as usize % 2], number);
    }
    assert_eq!(reader.find("7"), None);
    let [first, third] = [1, 3].map(|number| reader.find(token(number).as_str()).unwrap());
    assert_eq!(reader.record(first).read().state, RecordState::Awaiting as u8);
    with_view(1, BookState::Live, 420_000, |view| writers[1].on_snapshot(view));
    let live = reader.record(first).read();
    assert_eq!((live.state, live.bid.price, live.bid.quantity), (2, Price(420_000), Quantity(3)));
    assert_eq!((live.ask.quantity, live.version, live.venue_ms), (Quantity(0), 420_000, 5));
    let why = BookState::Stale { why: StaleReason::Disconnected, since_wall_ns: 1 };
    with_view(1, why, 420_000, |view| writers[1].on_status(view, BookState::Live));
    let stale = reader.record(first).read();
    assert_eq!((stale.state, stale.reason, stale.bid), (3, 1, live.bid));

    for number in [1, 3] {
        with_view(number, BookState::AwaitingSnapshot, 0, |view| writers[1].on_close(view));
        assert_eq!(reader.find(token(number).as_str()), None);
    }
    let free = reader.record(first).read();
    assert_eq!((free.state, free.generation, free.bid), (0, 1, Level::default()));
    open(&mut writers[1], 5_000);
    assert_eq!(reader.find(token(5_000).as_str()), Some(third), "the record freed last");
    let used = reader.field(Field::RecordsUsed).load(Ordering::Relaxed);
    let search = reader.field(Field::SearchMax).load(Ordering::Relaxed);
    assert!(used == 2_000 && search < 20, "{used} records, {search} steps");
    for number in (0..2_000).filter(|number| ![1, 3].contains(number)) {
        assert_eq!(
            reader.record(reader.find(token(number).as_str()).unwrap()).read_all().1,
            token(number).as_str()
        );
    }
}

#[test]
fn a_place_of_the_shard_is_used_again_and_one_beyond_the_table_has_no_record() {
    let rig = rig();
    let reader = Table::open(&rig.path()).unwrap();
    let mut writer = rig.table.writer();
    with_view(3, BookState::AwaitingSnapshot, 0, |view| writer.on_open(view));
    let record = reader.find(token(3).as_str()).unwrap();
    with_view(3, BookState::AwaitingSnapshot, 0, |view| writer.on_close(view));
    // Of a book that is not open.
    with_view(3, BookState::Live, 7, |view| writer.on_snapshot(view));
    assert_eq!(reader.record(record).read().bid, Level::default());
    let other = token(4);
    let moved = |view: &BookView<'_>, writer: &mut PriceWriter| {
        let view = BookView { token: &other, ..*view };
        writer.on_open(&view);
        writer.on_snapshot(&view);
    };
    with_view(3, BookState::Live, 8, |view| moved(view, &mut writer));
    assert_eq!(reader.find(other.as_str()), Some(record));
    assert_eq!(reader.record(record).read().bid.price, Price(8));
    assert_eq!(rig.table.unplaced(), 0);
    let beyond = RECORDS_MAX as u32;
    with_view(beyond, BookState::AwaitingSnapshot, 0, |view| writer.on_open(view));
    with_view(beyond, BookState::Live, 9, |view| writer.on_snapshot(view));
    with_view(beyond, BookState::AwaitingSnapshot, 0, |view| writer.on_close(view));
    assert_eq!((reader.find(token(beyond).as_str()), rig.table.unplaced()), (None, 1));
}

#[test]
fn a_restarted_engine_takes_the_table_over_and_its_readers_see_that() {
    let Rig { folder, table } = rig();
    let path = folder.path().join("prices");
    let second = PriceTable::create(&path).unwrap_err();
    assert!(second.contains("is written by process"), "{second}");
    let reader = Table::open(&path).unwrap();
    let status = |reader: &Table| reader.field(Field::Status).load(Ordering::Acquire);
    let mut writer = table.writer();
    with_view(1, BookState::Live, 7, |view| writer.on_open(view));
    let (number, started) = (
        reader.find(token(1).as_str()).unwrap(),
        reader.field(Field::Started).load(Ordering::Acquire),
    );
    let before = reader.record(number).read();
    assert_eq!(status(&reader), RUNNING);
    drop((writer, table));
    assert_eq!((status(&reader), reader.record(number).read()), (ENDED, before));
    let table = PriceTable::create(&path).unwrap();
    assert_eq!((status(&reader), reader.find(token(1).as_str())), (RUNNING, None));
    assert_eq!(reader.record(number).read().generation, before.generation + 1);
    assert!(reader.field(Field::Started).load(Ordering::Acquire) > started);
    assert_eq!(table.unplaced(), 0);
}

#[test]
fn the_heartbeat_goes_on() {
    let rig = rig();
    let reader = Table::open(&rig.path()).unwrap();
    let beat = || reader.field(Field::Heartbeat).load(Ordering::Acquire);
    let first = beat();
    while beat() <= first {
        std::thread::sleep(Duration::from_millis(5));
    }
}
