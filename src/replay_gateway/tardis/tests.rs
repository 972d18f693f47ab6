//! Tests of the beginning of a range.
use super::*;
use crate::base::id::{BookIndex, MarketId, ShardId, Venue};
use crate::base::price::{Price, Quantity};
use crate::base::time::SECOND_NS;
use crate::market::book::image::BookFacts;
use crate::market::book::{Level, Side};
use serde_json::Value;

const FROM_NS: u64 = 100 * SECOND_NS;

fn shared() -> (Shared, Receiver<Part>) {
    let (sender, receiver) = sync_channel(TARDIS_PARTS_DEPTH);
    let output = Output::new(sender, crate::io::wake::Sleeper::default().waker());
    let options = r#"{"exchange":"polymarket","dataTypes":["book_change"]}"#;
    let normalizer = Normalizer::new(Options::parse(options).unwrap(), output, (FROM_NS, true));
    (Shared(Arc::new(Mutex::new(normalizer))), receiver)
}

fn view<'a>(
    token: &'a TokenId,
    market: &'a MarketId,
    (book, facts): (&'a Book, &'a BookFacts),
    read_wall_ns: u64,
) -> BookView<'a> {
    let (venue, shard, state) = (Venue::named("polymarket"), ShardId(0), BookState::Live);
    let index = BookIndex::default();
    BookView { venue, shard, index, market, token, state, facts, book, read_wall_ns }
}

/// From snapshots and changes of books as (token, whether it is a snapshot, receive time, quantity of the bid at 0.4):
/// messages as (symbol, whether it is a snapshot, quantity, receive time).
fn messages(events: &[(&str, bool, u64, u64)]) -> Vec<(String, bool, u64, u64)> {
    let (mut shared, parts) = shared();
    let (market, facts) = (MarketId::new("0x7d").unwrap(), BookFacts::default());
    for &(token, is_snapshot, at_ns, quantity) in events {
        let level = Level { price: Price(400_000), quantity: Quantity(quantity * 1_000_000) };
        let (mut book, token) = (Book::default(), TokenId::new(token).unwrap());
        book.set(Side::Bid, level).unwrap();
        let view = view(&token, &market, (&book, &facts), at_ns);
        let change = Change { side: Side::Bid, level, venue_best_bid: None, venue_best_ask: None };
        match is_snapshot {
            true => shared.on_snapshot(&view),
            false => shared.on_price_change(&view, &change),
        }
    }
    let mut normalizer = shared.lock();
    normalizer.begin();
    normalizer.output.flush();
    let Ok(Part::Messages(part)) = parts.try_recv() else { return Vec::new() };
    let mut begin = 0;
    let message = |&(at_ns, end): &(u64, usize)| {
        let message: Value = serde_json::from_slice(&part.bytes[begin..end]).unwrap();
        begin = end;
        let symbol = message["symbol"].as_str().unwrap().to_owned();
        let amount = message["bids"][0]["amount"].as_f64().unwrap();
        (symbol, message["isSnapshot"] == true, amount as u64, at_ns)
    };
    part.ends.iter().map(message).collect()
}

#[test]
fn a_range_begins_with_the_books_as_of_its_beginning() {
    let ms = |ms: u64| FROM_NS - SECOND_NS + ms * 1_000_000;
    let events = [
        ("1", true, ms(0), 1),
        ("2", true, ms(1), 2),
        ("2", false, ms(990), 20),
        ("1", false, ms(1_003), 10),
        ("2", false, ms(1_004), 21),
        ("3", true, ms(1_005), 3),
    ];
    let expected = [
        ("1", true, 1, FROM_NS),
        ("2", true, 20, FROM_NS),
        ("1", false, 10, ms(1_003)),
        ("2", false, 21, ms(1_004)),
        ("3", true, 3, ms(1_005)),
    ];
    let expected =
        expected.map(|(symbol, whole, amount, at)| (symbol.to_owned(), whole, amount, at));
    assert_eq!(messages(&events), expected);
}
