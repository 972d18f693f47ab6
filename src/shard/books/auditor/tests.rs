//! What the REST interface of a venue that numbers its messages may say of a book.
use super::*;
use crate::base::id::ShardId;
use crate::base::price::{Price, Quantity};
use crate::base::time::SECOND_NS;
use crate::market::book::{BookOpening, Level, Side};
use crate::market::event::{Delta, Event};
use crate::shard::books::{Admission, Books};

const HERE: ConnectionSlot = ConnectionSlot(3);

fn at(seconds: u64) -> Now {
    Now { mono_ns: seconds * SECOND_NS, wall_ns: (1_000_000 + seconds) * SECOND_NS }
}

fn level(price: &str, size: &str) -> Level {
    Level {
        price: Price::parse(price.as_bytes()).unwrap(),
        quantity: Quantity::parse(size.as_bytes()).unwrap(),
    }
}

fn snapshot<'a>(bids: &'a [Level], asks: &'a [Level]) -> Snapshot<'a> {
    Snapshot {
        market: "KX-A",
        token: "KX-A",
        timestamp_ms: 0,
        hash: None,
        bids,
        asks,
        tick_size: None,
        last_trade: None,
        min_order_size: None,
        neg_risk: None,
    }
}

/// A live book of one bid, received of last at second 1.
fn live() -> Books<()> {
    let mut books =
        Books::new(ShardId(0), crate::venue::kalshi::feed(false), Admission::Listed, ());
    let opening = BookOpening {
        market: MarketId::new("KX-A").unwrap(),
        token: TokenId::new("KX-A").unwrap(),
        tick_size: None,
        min_order_size: None,
        neg_risk: false,
    };
    books.open(&opening, HERE).unwrap();
    books.on_event(&Event::Snapshot(snapshot(&[level("0.4", "7")], &[])), HERE, at(1));
    books
}

fn delta(books: &mut Books<()>, second: u64) {
    let price = Price::parse(b"0.4").unwrap();
    let units = level("0.4", "1").quantity.0 as i64;
    let event =
        Delta { market: "KX-A", token: "KX-A", timestamp_ms: 5, side: Side::Bid, price, units };
    books.on_event(&Event::Delta(event), HERE, at(second));
}

fn counts(books: &Books<()>) -> (u64, u64, u64) {
    let counts = &books.repairs();
    (counts.polls_matched, counts.polls_undecided, counts.polls_different)
}

fn best(books: &Books<()>) -> String {
    let book = &books.store.slots[books.find("KX-A").unwrap()].book;
    book.best_bid().map_or(String::new(), |bid| format!("{}x{}", bid.price, bid.quantity))
}

#[test]
fn a_book_at_rest_that_differs_is_asked_for_and_not_overwritten() {
    let mut books = live();
    let other = [level("0.4", "8")];
    books.on_rest_book(&snapshot(&other, &[]), 0, at(100));
    assert_eq!(books.poll_different(at(101).mono_ns), None, "its message may be on its way");
    let token = TokenId::new("KX-A").unwrap();
    assert_eq!(books.poll_different(at(102).mono_ns), Some((HERE, token)));
    assert_eq!(books.poll_different(at(500).mono_ns), None, "once");
    assert_eq!((counts(&books), best(&books).as_str()), ((0, 0, 1), "0.4x7"));
    assert_eq!(books.counts().live, 1);
}

#[test]
fn a_book_that_moves_around_the_answer_says_nothing() {
    let mut books = live();
    let other = [level("0.4", "8")];
    // The answer may be as old as a request may take.
    books.on_rest_book(&snapshot(&other, &[]), 0, at(10));
    assert_eq!(counts(&books), (0, 1, 0));
    // The message that the answer knew of already comes.
    books.on_rest_book(&snapshot(&other, &[]), 0, at(50));
    delta(&mut books, 51);
    assert_eq!(books.poll_different(at(60).mono_ns), None);
    assert_eq!(counts(&books), (0, 2, 0));
    assert_eq!(best(&books), "0.4x8");
}

#[test]
fn equal_levels_are_equal_however_lately_the_book_moved() {
    let mut books = live();
    books.on_rest_book(&snapshot(&[level("0.4", "7")], &[]), 0, at(1));
    assert_eq!(counts(&books), (1, 0, 0));
    // A book that is not live cannot be compared, and no answer makes it live.
    let index = books.find("KX-A").unwrap();
    books.store.set_stale(index, StaleReason::Disconnected, at(2).wall_ns);
    books.on_rest_book(&snapshot(&[level("0.4", "7")], &[]), 0, at(90));
    assert_eq!((counts(&books), books.counts().live), ((1, 1, 0), 0));
}
