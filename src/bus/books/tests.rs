//! Records to books: in order, repeated, outdated, of two engines, with holes.
use super::*;
use crate::base::limits::{BUS_CLOSED_NS, BUS_FENCE_NS, BUS_FORGET_NS, BUS_SILENT_NS};
use crate::base::price::{Price, Quantity};
use crate::base::random::Random;
use crate::counter::race::RaceCounts;
use crate::market::book::{Book, Level};

fn source(engine: &str, epoch: u64) -> Source<'_> {
    Source { engine, epoch, partition: 3, offset: 0, read_ns: 0 }
}

fn book_record(kind: &str, sequence: u64, rest: &str) -> String {
    format!(
        r#"{{"sequence":{sequence},"kind":"{kind}","venue":"v","market":"0xa","token":"7","outcome":"\"Yes\"","version":{sequence},"venue_time":5,"receive_time":6,{rest}}}"#
    )
}

fn snapshot(sequence: u64, bid: &str, gap: bool) -> String {
    let rest = format!(
        r#""state":"live","gap":{gap},"bids":[["{bid}","10"]],"asks":[["0.9","1"]],"tick_size":"0.01""#
    );
    book_record("snapshot", sequence, &rest)
}

fn change(sequence: u64, bid: &str, size: &str) -> String {
    book_record(
        "change",
        sequence,
        &format!(r#""state":"live","bids":[["{bid}","{size}"]],"asks":[]"#),
    )
}

fn bids(books: &BusBooks) -> Vec<(String, String)> {
    let book = books.book(&TokenId::new("7").unwrap()).unwrap();
    book.book.bids.levels().map(|l| (l.price.to_string(), l.quantity.to_string())).collect()
}

fn state_of(books: &BusBooks) -> BusState {
    books.book(&TokenId::new("7").unwrap()).unwrap().state.clone()
}

fn levels_of(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|&(price, size)| (price.to_owned(), size.to_owned())).collect()
}

#[test]
fn a_book_is_its_snapshot_and_each_change_once() {
    let mut books = BusBooks::default();
    let feed = |books: &mut BusBooks, text: &str| {
        books.on_record(Topic::Books, source("e", 1), text).is_some()
    };
    assert!(!feed(&mut books, &change(1, "0.2", "1")), "nothing to change");
    assert!(feed(&mut books, &snapshot(2, "0.4", false)));
    assert!(feed(&mut books, &change(3, "0.3", "7")));
    assert!(!feed(&mut books, &change(3, "0.3", "9")), "read before");
    assert!(!feed(&mut books, &snapshot(2, "0.1", false)), "read before");
    assert!(feed(&mut books, &change(4, "0.4", "0")));
    assert_eq!(bids(&books), levels_of(&[("0.3", "7")]));
    // A snapshot has the number of the last event before it.
    assert!(feed(&mut books, &snapshot(4, "0.5", true)));
    assert_eq!((bids(&books), books.counts().gaps), (levels_of(&[("0.5", "10")]), 1));
    assert!(feed(&mut books, &book_record("tick", 5, r#""old":"0.01","new":"0.001""#)));
    let token = TokenId::new("7").unwrap();
    assert_eq!(books.book(&token).unwrap().tick_size, Price::parse(b"0.001"));
    let stale = book_record("state", 6, r#""state":"stale","reason":"disconnected","since":1"#);
    assert!(feed(&mut books, &stale));
    assert_eq!(state_of(&books), BusState::Stale("disconnected".into()));
    assert!(feed(&mut books, &book_record("state", 7, r#""state":"closed""#)));
    assert!(!feed(&mut books, &change(8, "0.3", "7")));
    assert_eq!(state_of(&books), BusState::Closed);
    assert!(!feed(&mut books, "{}") && !feed(&mut books, "no JSON"));
    assert_eq!((books.counts().repeated, books.counts().unreadable), (2, 2));
}

#[test]
fn after_a_hole_a_book_waits_for_its_next_snapshot() {
    let mut books = BusBooks::default();
    books.on_record(Topic::Books, source("e", 1), &snapshot(2, "0.4", false));
    books.on_missing(2);
    assert_eq!(state_of(&books), BusState::Live);
    books.on_missing(3);
    assert_eq!(books.on_record(Topic::Books, source("e", 1), &change(4, "0.3", "7")), None);
    assert_eq!(state_of(&books), BusState::AwaitingSnapshot);
    books.on_record(Topic::Books, source("e", 1), &snapshot(5, "0.3", false));
    assert_eq!((state_of(&books), bids(&books)), (BusState::Live, levels_of(&[("0.3", "10")])));
}

#[test]
fn an_engine_that_begins_again_is_followed_and_its_old_records_are_not() {
    let mut books = BusBooks::default();
    books.on_record(Topic::Books, source("e", 1), &snapshot(9, "0.4", false));
    let began = r#"{"kind":"engine","state":"running"}"#;
    books.on_record(Topic::Events, source("e", 2), began);
    assert_eq!(state_of(&books), BusState::AwaitingSnapshot);
    assert_eq!(books.on_record(Topic::Books, source("e", 1), &snapshot(10, "0.4", false)), None);
    books.on_record(Topic::Books, source("e", 2), &snapshot(3, "0.6", false));
    assert_eq!((state_of(&books), bids(&books)), (BusState::Live, levels_of(&[("0.6", "10")])));
    let ended =
        books.on_record(Topic::Events, source("e", 2), r#"{"kind":"engine","state":"stopped"}"#);
    assert_eq!(ended, Some(BusEvent::Engine { engine: "e".into(), is_running: false }));
    assert_eq!((state_of(&books), books.counts().outdated), (BusState::AwaitingSnapshot, 1));
    // Written before, read afterwards.
    books.on_record(Topic::Books, source("e", 2), &snapshot(4, "0.6", false));
    assert_eq!(state_of(&books), BusState::AwaitingSnapshot);
}

#[test]
fn the_engine_that_is_furthest_is_followed_and_another_one_when_it_is_not_live() {
    let mut books = BusBooks::default();
    let token = TokenId::new("7").unwrap();
    let mut apply = |engine: &str, text: &str| books.apply(Topic::Books, source(engine, 1), text);
    let image = Some(Applied::Image { token, gap: false, is_known: false });
    let levels = |all: &[(u32, u64)]| {
        let level = |&(price, size)| Level { price: Price(price), quantity: Quantity(size) };
        let levels = all.iter().map(|one| (Side::Bid, level(one))).collect();
        Some(Applied::Changes { token, levels })
    };
    let at =
        |ms: u64, text: String| text.replace(r#""venue_time":5"#, &format!(r#""venue_time":{ms}"#));
    assert_eq!(apply("a", &snapshot(1, "0.4", false)), image);
    assert_eq!(apply("b", &snapshot(9, "0.4", false)), None);
    assert_eq!(apply("a", &at(6, change(2, "0.3", "1"))), levels(&[(300_000, 1_000_000)]));
    assert_eq!(apply("b", &at(6, change(10, "0.3", "1"))), None, "not further");
    // Two changes of one millisecond: the other engine has both first.
    assert_eq!(apply("a", &at(7, change(3, "0.3", "0"))), levels(&[(300_000, 0)]));
    assert_eq!(apply("b", &at(7, change(11, "0.3", "0"))), None);
    assert_eq!(apply("b", &at(7, change(12, "0.2", "5"))), levels(&[(200_000, 5_000_000)]));
    assert_eq!(apply("a", &at(7, change(4, "0.2", "5"))), None);
    // The one that is followed is behind by more than the other's change.
    assert_eq!(apply("a", &at(8, change(5, "0.1", "1"))), levels(&[(100_000, 1_000_000)]));
    assert_eq!(apply("a", &at(9, change(6, "0.1", "0"))), levels(&[(100_000, 0)]));
    assert_eq!(apply("b", &at(8, change(13, "0.1", "1"))), None);
    assert_eq!(apply("b", &at(9, change(14, "0.1", "0"))), None);
    let stale = book_record("state", 7, r#""state":"stale","reason":"disconnected","since":1"#);
    assert_eq!(apply("a", &stale), image, "at once");
    let late = at(11, change(8, "0.3", "1")).replace("live", "stale");
    assert_eq!(apply("a", &late), None, "further, and not live");
    assert_eq!(apply("b", &at(10, change(15, "0.1", "2"))), levels(&[(100_000, 2_000_000)]));
    assert_eq!((state_of(&books), books.counts().switches), (BusState::Live, 3));
    // It is silent: what the other one had is taken, which is stale too.
    let silent = Source { read_ns: BUS_SILENT_NS, ..source("a", 1) };
    books.on_record(Topic::Events, silent, r#"{"kind":"engine","state":"running"}"#);
    books.on_time(BUS_SILENT_NS + 1);
    assert_eq!(state_of(&books), BusState::Stale(SILENT.into()));
    books.on_record(Topic::Books, silent, &at(12, snapshot(9, "0.6", false)));
    assert_eq!((state_of(&books), bids(&books)), (BusState::Live, levels_of(&[("0.6", "10")])));
}

/// An engine that follows the same changes as another one, and loses its way now and then.
struct TestEngine {
    name: &'static str,
    /// Changes that it has.
    place: usize,
    sequence: u64,
    levels: [u64; 9],
}

impl TestEngine {
    const fn new(name: &'static str) -> Self {
        Self { name, place: 0, sequence: 0, levels: [0; 9] }
    }

    /// Its next record. A change of `sent` has a venue time, a price and a size.
    fn record(&mut self, random: &mut Random, sent: &[(u64, usize, u64)]) -> String {
        self.sequence += 1;
        let at = |ms: u64, text: String| {
            text.replace(r#""venue_time":5"#, &format!(r#""venue_time":{ms}"#))
        };
        if self.sequence == 1 || random.below(10) == 0 {
            let levels = self.levels.iter().enumerate().filter(|(_, size)| **size > 0);
            let level = |(price, size): (usize, &u64)| format!(r#"["0.{}","{size}"]"#, price + 1);
            let levels = levels.map(level).collect::<Vec<_>>().join(",");
            let state = if random.below(2) == 0 { "live" } else { "stale" };
            let gap = random.below(2) == 0;
            let rest = format!(r#""state":"{state}","gap":{gap},"bids":[{levels}],"asks":[]"#);
            let before_ms = if self.place > 0 { sent[self.place - 1].0 } else { 99 };
            return at(before_ms, book_record("snapshot", self.sequence, &rest));
        }
        let Some(&(ms, price, size)) = sent.get(self.place) else {
            return book_record("state", self.sequence, r#""state":"live""#);
        };
        self.place += 1;
        self.levels[price] = size;
        at(ms, change(self.sequence, &format!("0.{}", price + 1), &size.to_string()))
    }
}

#[test]
fn a_book_of_two_engines_is_always_one_engines_and_in_the_end_the_venues() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let (mut books, token) = (BusBooks::default(), TokenId::new("7").unwrap());
        let (mut ms, mut sent, mut truth) = (100, Vec::new(), [0; 9]);
        let mut consumer = Book::default();
        let mut engines = [TestEngine::new("a"), TestEngine::new("b")];
        while sent.len() < 60 || engines.iter().any(|engine| engine.place < 60) {
            if sent.len() < 60 && random.below(3) == 0 {
                ms += random.below(2);
                let (price, size) = (random.below(9) as usize, random.below(4));
                sent.push((ms, price, size));
                truth[price] = size;
            }
            let engine = &mut engines[random.below(2) as usize];
            let text = engine.record(&mut random, &sent);
            let before = books.book(&token).map(BusBook::rank);
            match books.apply(Topic::Books, source(engine.name, 1), &text) {
                Some(Applied::Image { .. }) => {
                    consumer = books.book(&token).unwrap().book.clone();
                }
                Some(Applied::Changes { levels, .. }) => {
                    levels.iter().for_each(|&(side, level)| consumer.set(side, level).unwrap());
                }
                _ => {}
            }
            let Some(book) = books.book(&token) else { continue };
            assert!(consumer.bids.levels().eq(book.book.bids.levels()), "{seed}: {text}");
            // It goes back only where the engine that was furthest is not live any more.
            let goes_back = before.is_some_and(|before| book.rank() < before);
            let is_others = book.engine.as_ref() != engine.name;
            assert!(!goes_back || is_others || book.state != BusState::Live, "{seed}: {text}");
        }
        let last = book_record("state", 1_000, r#""state":"live""#);
        books.apply(Topic::Books, source("a", 1), &last);
        let book = books.book(&token).unwrap();
        let levels = book.book.bids.levels().map(|level| level.quantity.0 / 1_000_000);
        let truth = truth.into_iter().filter(|&size| size > 0);
        assert!(levels.eq(truth), "{seed}");
    }
}

#[test]
fn engines_are_compared_in_what_they_have_in_common() {
    let mut books = BusBooks::default();
    let mut feed = |engine: &str, at_ms: u64, sequence: u64, kind: &str, venue_ms: u64| {
        let source = Source { read_ns: at_ms * 1_000_000, ..source(engine, 1) };
        let (topic, text) = match kind {
            "snapshot" => (Topic::Books, snapshot(sequence, "0.4", false)),
            "change" => (Topic::Books, change(sequence, "0.3", "7")),
            id => {
                let rest = format!(r#""price":"0.4","size":"1","side":"buy","id":"{id}""#);
                (Topic::Trades, book_record("trade", sequence, &rest))
            }
        };
        let time = format!(r#""venue_time":{venue_ms}"#);
        books.on_record(topic, source, &text.replace(r#""venue_time":5"#, &time)).is_some()
    };
    feed("a", 0, 1, "snapshot", 5);
    feed("a", 1, 2, "change", 6);
    feed("b", 2, 1, "snapshot", 6);
    assert!(!feed("b", 3, 2, "change", 6), "in its snapshot");
    feed("a", 10, 3, "change", 7);
    feed("a", 11, 4, "change", 7);
    assert!(!feed("b", 60, 3, "change", 7));
    assert!(feed("b", 70, 4, "change", 8));
    assert!(!feed("a", 71, 5, "change", 8));
    assert!(feed("a", 80, 6, "change", 9), "b never has it");
    assert!(feed("a", 90, 7, "x", 9) && !feed("b", 140, 5, "x", 9));
    assert!(feed("b", 150, 6, "x", 9), "twice in one transaction, and a has it once");
    books.on_time(6_000_000_000);
    let [a, b] = &books.racers()[..] else { panic!() };
    let parts = |c: RaceCounts| [c.first, c.later, c.alone, c.missed];
    assert_eq!((parts(a.changes), parts(b.changes)), ([2, 1, 1, 0], [1, 1, 0, 1]));
    assert_eq!((parts(a.trades), parts(b.trades)), ([1, 0, 0, 1], [1, 1, 1, 0]));
    let is_near = |ns: u64, ms: u64| ns.abs_diff(ms * 1_000_000) < ms * 20_000;
    assert!(
        is_near(b.changes.later_p50_ns, 50) && is_near(a.changes.later_max_ns, 1),
        "{a:?} {b:?}"
    );
    assert!(is_near(b.trades.later_p99_ns, 50) && a.trades.later_max_ns == 0);
}

#[test]
fn closed_books_and_those_of_engines_that_are_gone_are_forgotten() {
    let mut books = BusBooks::default();
    let at = |read_ns: u64| Source { read_ns, ..source("e", 1) };
    books.on_record(Topic::Books, at(0), &snapshot(1, "0.4", false));
    books.on_record(Topic::Books, at(1), &book_record("state", 2, r#""state":"closed""#));
    books.on_time(BUS_CLOSED_NS);
    assert_eq!(state_of(&books), BusState::Closed);
    books.on_time(2 * BUS_CLOSED_NS);
    assert_eq!(books.books().count(), 0);
    books.on_record(Topic::Books, at(2 * BUS_CLOSED_NS), &snapshot(3, "0.4", false));
    books.on_time(2 * BUS_FORGET_NS);
    assert_eq!(state_of(&books), BusState::Closed, "consumers see that it is gone");
    assert!(!books.take_changed().is_empty());
    books.on_time(3 * BUS_FORGET_NS);
    assert_eq!(books.books().count(), 0);
}

#[test]
fn a_trade_is_there_once_whoever_publishes_it() {
    let mut books = BusBooks::default();
    let trade = |sequence: u64, id: &str, size: &str| {
        book_record(
            "trade",
            sequence,
            &format!(r#""price":"0.4","size":"{size}","side":"sell","id":"{id}""#),
        )
    };
    let mut is_new = |engine: &str, epoch: u64, text: &str| {
        books.on_record(Topic::Trades, source(engine, epoch), text).is_some()
    };
    assert!(is_new("a", 1, &trade(1, "x", "5")));
    assert!(!is_new("a", 1, &trade(1, "x", "5")), "delivered again");
    assert!(is_new("a", 1, &trade(2, "x", "5")), "two equal fills of one transaction");
    assert!(is_new("a", 1, &trade(3, "x", "6")));
    assert!(!is_new("b", 1, &trade(1, "x", "5")) && !is_new("b", 1, &trade(2, "x", "6")));
    assert!(!is_new("a", 2, &trade(1, "x", "5")), "after a restart");
    assert!(is_new("a", 2, &trade(2, "y", "5")));
    let text = r#"{"kind":"loss","trades":4}"#;
    let lost = books.on_record(Topic::Events, source("a", 2), text);
    assert_eq!(lost, Some(BusEvent::Lost { engine: "a".into(), trades: 4 }));
    assert_eq!((books.counts().trades_lost, books.counts().repeated), (4, 4));
}

#[test]
fn books_of_a_silent_engine_are_stale_until_it_continues() {
    let mut books = BusBooks::default();
    let at = |read_ns: u64| Source { read_ns, ..source("e", 1) };
    let running = r#"{"kind":"engine","state":"running"}"#;
    let begun = books.on_record(Topic::Events, at(0), running);
    assert_eq!(begun, Some(BusEvent::Engine { engine: "e".into(), is_running: true }));
    books.on_record(Topic::Books, at(1), &snapshot(2, "0.4", false));
    assert_eq!(books.on_record(Topic::Events, at(2), running), None, "it is known");
    books.on_time(2 + BUS_SILENT_NS);
    assert_eq!(
        (state_of(&books), books.engines(), books.take_changed().len()),
        (BusState::Live, 1, 0)
    );
    books.on_time(3 + BUS_SILENT_NS);
    assert_eq!((state_of(&books), books.engines()), (BusState::Stale(SILENT.into()), 0));
    assert_eq!(books.take_changed(), [Applied::State(TokenId::new("7").unwrap())]);
    // Nothing is missing: the next record continues the books.
    books.on_record(Topic::Books, at(4 + BUS_SILENT_NS), &change(3, "0.3", "7"));
    assert_eq!((state_of(&books), books.engines()), (BusState::Live, 1));
    assert_eq!(bids(&books), levels_of(&[("0.3", "7"), ("0.4", "10")]));
    // What it reports itself stands.
    let stale = book_record("state", 4, r#""state":"stale","reason":"disconnected","since":1"#);
    books.on_record(Topic::Books, at(5 + BUS_SILENT_NS), &stale);
    books.on_time(9 * BUS_SILENT_NS);
    books.on_record(Topic::Events, at(9 * BUS_SILENT_NS), running);
    assert_eq!(state_of(&books), BusState::Stale("disconnected".into()));
}

#[test]
fn a_record_says_what_is_new() {
    let mut books = BusBooks::default();
    let token = TokenId::new("7").unwrap();
    let image = |gap, is_known| Some(Applied::Image { token, gap, is_known });
    let mut apply = |text: &str| books.apply(Topic::Books, source("e", 1), text);
    assert_eq!(apply(&snapshot(2, "0.4", false)), image(false, false));
    assert_eq!(apply(&snapshot(2, "0.4", false)), image(false, true), "in its turn");
    let level = Level { price: Price(300_000), quantity: Quantity(7_000_000) };
    let changes = Applied::Changes { token, levels: vec![(Side::Bid, level)] };
    assert_eq!(apply(&change(3, "0.3", "7")), Some(changes));
    assert_eq!(apply(&snapshot(3, "0.4", true)), image(true, false));
    let new = Price(1_000);
    let tick = apply(&book_record("tick", 4, r#""old":"0.01","new":"0.001""#));
    assert_eq!(tick, Some(Applied::TickSize { token, old: Some(Price(10_000)), new }));
    let state = apply(&book_record("state", 5, r#""state":"closed""#));
    assert_eq!(state, Some(Applied::State(token)));
}

/// A claim on the slice of the test's market.
fn claim(books: &mut BusBooks, engine: &str, state: &str, offset: i64, read_ns: u64) {
    let slice = slice_of(b"0xa");
    let text = format!(
        r#"{{"kind":"slice","slice":{slice},"engine":"{engine}","group":"g","state":"{state}","receive_time":1}}"#
    );
    books.apply(Topic::Slices, Source { offset, read_ns, ..source(engine, 1) }, &text);
}

fn trade(sequence: u64) -> String {
    book_record("trade", sequence, r#""price":"0.4","size":"1","side":"buy","id":"x""#)
}

#[test]
fn a_member_of_a_cluster_is_ignored_once_the_new_owners_book_is_there() {
    let mut books = BusBooks::default();
    let token = TokenId::new("7").unwrap();
    let at = |engine: &'static str, read_ns: u64| Source { read_ns, ..source(engine, 1) };
    let engine = |books: &BusBooks| books.book(&token).unwrap().engine.to_string();
    claim(&mut books, "a", "live", 1, 0);
    books.apply(Topic::Books, at("a", 1), &snapshot(1, "0.4", false));
    claim(&mut books, "b", "taken", 2, 2);
    claim(&mut books, "b", "live", 3, 3);
    // The owner's book is not here: the former owner's goes on, however long.
    let late = 4 + BUS_FENCE_NS;
    assert!(books.apply(Topic::Books, at("a", late), &change(2, "0.3", "1")).is_some());
    let gone = (Side::Bid, Level { price: Price(300_000), quantity: Quantity(0) });
    let changes = Applied::Changes { token, levels: vec![gone] };
    let first = books.apply(Topic::Books, at("b", late), &snapshot(1, "0.4", false));
    assert_eq!((first, engine(&books)), (Some(changes), "b".into()), "though it is behind");
    let further = change(3, "0.3", "2").replace(r#""venue_time":5"#, r#""venue_time":9"#);
    assert_eq!(books.apply(Topic::Books, at("a", late), &further), None);
    // A trade that waited at the former owner may be one that nobody else has.
    assert!(books.apply(Topic::Trades, at("a", late), &trade(5)).is_some());
    assert_eq!(books.apply(Topic::Trades, at("b", late), &trade(5)), None);
    assert_eq!((books.counts().fenced, state_of(&books)), (2, BusState::Live));
    // The owner loses its way: the former one is right.
    let stale = book_record("state", 4, r#""state":"stale","reason":"disconnected","since":1"#);
    assert!(books.apply(Topic::Books, at("b", late), &stale).is_some());
    assert_eq!((engine(&books), state_of(&books)), ("a".into(), BusState::Live));
}

#[test]
fn a_member_whose_first_book_is_read_before_its_claim_is_followed_after_it() {
    let mut books = BusBooks::default();
    let token = TokenId::new("7").unwrap();
    let at = |engine: &'static str, read_ns: u64| Source { read_ns, ..source(engine, 1) };
    claim(&mut books, "a", "live", 1, 0);
    books.apply(Topic::Books, at("a", 1), &snapshot(1, "0.4", false));
    // It is known as a member by its other slices.
    let other = format!(r#""slice":{}"#, slice_of(b"0xa") ^ 1);
    let text = r#"{"kind":"slice",N,"engine":"b","group":"g","state":"live","receive_time":1}"#;
    books.apply(Topic::Slices, at("b", 1), &text.replace('N', &other));
    let late = 2 + BUS_FENCE_NS;
    let quiet = books.apply(Topic::Books, at("b", late), &snapshot(1, "0.4", false));
    assert_eq!(quiet, None);
    let engine = |books: &BusBooks| books.book(&token).unwrap().engine.to_string();
    assert_eq!(engine(&books), "a");
    claim(&mut books, "b", "taken", 2, late);
    claim(&mut books, "b", "live", 3, late);
    assert_eq!(engine(&books), "b");
    books.apply(Topic::Books, at("a", late), &book_record("state", 2, r#""state":"closed""#));
    assert_eq!(state_of(&books), BusState::Live);
}

#[test]
fn engines_that_are_gone_make_room_for_others() {
    let mut books = BusBooks::default();
    let (mut now_ns, token) = (0, TokenId::new("7").unwrap());
    for round in 0..40 {
        // Pods of a deployment: each has another name, and a start before that of the one before it.
        let name = format!("pod-{round}");
        let at = |read_ns: u64| Source { read_ns, ..source(&name, 100 - round) };
        let is_live = books.apply(Topic::Books, at(now_ns), &snapshot(1, "0.4", false)).is_some();
        assert!(is_live && books.book(&token).unwrap().racer < 32, "{round}");
        let read = books.apply(Topic::Trades, at(now_ns), &trade(1).replace('x', &name));
        assert!(read.is_some(), "{round}");
        books.apply(Topic::Events, at(now_ns), r#"{"kind":"engine","state":"stopped"}"#);
        for _ in 0..4 {
            now_ns += BUS_CLOSED_NS;
            books.on_time(now_ns);
        }
        assert_eq!((books.books().count(), books.engines.len()), (0, 0), "{round}");
    }
    assert_eq!(books.racers().len(), 32);
    assert_eq!(&*books.racers()[0].engine, "pod-32");
}
