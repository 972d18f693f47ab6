//! Trades before their book, and trades that come twice.
use super::*;
use crate::base::id::{MarketId, ShardId, TokenId, Venue};
use crate::base::price::{Price, Quantity};
use crate::base::time::{Now, SECOND_NS};
use crate::link::shard_trade::{TradeRecord, TradeSender};
use crate::market::book::{BookOpening, Side};
use crate::market::event::Event;
use crate::ring::{Consumer, ring};
use crate::shard::books::Books;
use crate::shard::books::{Admission, ConnectionSlot};

const TRADES: ConnectionSlot = ConnectionSlot(0);
const BOOKS: ConnectionSlot = ConnectionSlot(1);

fn books() -> (Books<()>, Consumer<TradeRecord>) {
    let (producer, consumer) = ring(16_384);
    let books = Books::new(ShardId(0), crate::venue::kalshi::feed(false), Admission::Listed, ());
    let mut books = books.with_trade_sender(TradeSender::new(Venue::named("kalshi"), producer));
    books.store.name_connection(TRADES, ConnectionId(9));
    (books, consumer)
}

fn trade(books: &mut Books<()>, ticker: &str, number: u64, second: u64) {
    let id = format!("{number}");
    let event = Event::Trade(Trade {
        market: ticker,
        token: ticker,
        timestamp_ms: 5,
        price: Price(400_000),
        quantity: Quantity(number),
        side: Side::Bid,
        fee_rate_bps: None,
        transaction_hash: &id,
    });
    books.on_event(&event, TRADES, Now { mono_ns: 1, wall_ns: second * SECOND_NS });
}

fn open(books: &mut Books<()>, ticker: &str) {
    let (market, token) = (MarketId::new(ticker).unwrap(), TokenId::new(ticker).unwrap());
    let (tick_size, min_order_size, neg_risk) = (None, None, false);
    let opening = BookOpening { market, token, tick_size, min_order_size, neg_risk };
    books.open(&opening, BOOKS).unwrap();
}

fn reported(consumer: &mut Consumer<TradeRecord>) -> Vec<u64> {
    std::iter::from_fn(|| consumer.try_receive()).map(|record| record.quantity.0).collect()
}

#[test]
fn only_trades_of_followed_markets_are_kept_and_early_ones_when_their_book_opens() {
    let (mut books, mut sink) = books();
    trade(&mut books, "KX-A", 1, 100);
    trade(&mut books, "KXMVE-COMBO", 2, 100);
    trade(&mut books, "KX-A", 3, 101);
    trade(&mut books, "KX-A", 3, 101);
    assert_eq!(reported(&mut sink), [] as [u64; 0]);
    open(&mut books, "KX-B");
    assert_eq!(reported(&mut sink), [] as [u64; 0]);
    open(&mut books, "KX-A");
    assert_eq!(reported(&mut sink), [1, 3], "in order, and each once");
    trade(&mut books, "KX-A", 4, 102);
    trade(&mut books, "KXMVE-COMBO", 5, 102);
    assert_eq!(reported(&mut sink), [4]);
    let counts = books.counts();
    assert_eq!((counts.trades, counts.trades_without_book), (3, 4));
    assert_eq!((counts.trades_repeated, counts.unknown_instruments), (1, 0));
}

#[test]
fn a_market_that_moves_to_another_connection_loses_no_trade_and_one_that_is_gone_has_none() {
    let (mut books, mut sink) = books();
    open(&mut books, "KX-A");
    let token = TokenId::new("KX-A").unwrap();
    books.close(&token);
    trade(&mut books, "KX-A", 1, 100);
    open(&mut books, "KX-A");
    assert_eq!(reported(&mut sink), [1]);
    books.close(&token);
    trade(&mut books, "KX-A", 2, 101);
    assert_eq!(reported(&mut sink), [] as [u64; 0]);
}

#[test]
fn early_trades_are_bounded_by_age_and_number() {
    let (mut books, mut sink) = books();
    let age_s = EARLY_TRADE_AGE_NS / SECOND_NS;
    trade(&mut books, "KX-A", 1, 100);
    trade(&mut books, "KX-A", 2, 101);
    trade(&mut books, "KX-B", 3, 101 + age_s);
    open(&mut books, "KX-A");
    assert_eq!(reported(&mut sink), [2]);
    for number in 0..EARLY_TRADES_MAX as u64 {
        trade(&mut books, "KX-C", 10 + number, 102 + age_s);
    }
    open(&mut books, "KX-B");
    assert_eq!(reported(&mut sink), [] as [u64; 0], "the others have taken its place");
    open(&mut books, "KX-C");
    assert_eq!(reported(&mut sink).len(), EARLY_TRADES_MAX);
    assert!(books.trades.early.trades.is_empty() && books.trades.early.hashes.is_empty());
}
