//! Records to books: in order, repeated, outdated, of two engines, with holes.
use super::*;

fn source(engine: &str, epoch: u64) -> Source<'_> {
    Source { engine, epoch, partition: 3, read_ns: 0 }
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
fn a_second_engine_takes_over_only_what_is_not_live() {
    let mut books = BusBooks::default();
    books.on_record(Topic::Books, source("a", 1), &snapshot(1, "0.4", false));
    assert_eq!(books.on_record(Topic::Books, source("b", 1), &snapshot(1, "0.5", false)), None);
    let stale = book_record("state", 2, r#""state":"stale","reason":"disconnected","since":1"#);
    books.on_record(Topic::Books, source("a", 1), &stale);
    assert_eq!(books.on_record(Topic::Books, source("b", 1), &change(2, "0.5", "1")), None);
    books.on_record(Topic::Books, source("b", 1), &snapshot(2, "0.5", false));
    assert_eq!((state_of(&books), bids(&books)), (BusState::Live, levels_of(&[("0.5", "10")])));
    assert_eq!(books.on_record(Topic::Books, source("a", 1), &change(3, "0.4", "1")), None);
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
    assert_eq!(books.take_changed(), [TokenId::new("7").unwrap()]);
    // Nothing is missing: the next record continues the books.
    books.on_record(Topic::Books, at(4 + BUS_SILENT_NS), &change(3, "0.3", "7"));
    assert_eq!((state_of(&books), books.engines()), (BusState::Live, 1));
    assert_eq!(bids(&books), levels_of(&[("0.3", "7"), ("0.4", "10")]));
    // What it reports itself stands.
    let stale = book_record("state", 4, r#""state":"stale","reason":"disconnected","since":1"#);
    books.on_record(Topic::Books, at(5 + BUS_SILENT_NS), &stale);
    books.on_time(u64::MAX);
    books.on_record(Topic::Events, at(u64::MAX), running);
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
