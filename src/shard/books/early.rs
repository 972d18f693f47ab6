//! Trades of markets that have no book here: kept for the moment in which one opens.
//!
//! Runs on:  shard cores, replay (pure; time is an argument). Owns: the last of them.
//! Bounds:   `EARLY_TRADES_MAX` trades, none older than `EARLY_TRADE_AGE_NS` when another one comes.
//!
//! Kalshi's trade stream brings the trades of every market, combos included, before the first book opens and while a
//! market moves to another connection. Only those of followed markets are kept. Whether a market will be followed is
//! not known when its trade comes: a book that opens takes its trades over, live and in replay alike.
use super::Books;
use crate::base::id::{BookIndex, ConnectionId};
use crate::base::limits::{EARLY_TRADE_AGE_NS, EARLY_TRADES_MAX};
use crate::link::shard_shard::ForwardedEvent;
use crate::market::event::{Event, Trade};
use crate::shard::publish::Handler;
use std::collections::{HashMap, VecDeque};

/// Trades without a book, oldest first.
#[derive(Debug, Default)]
pub(super) struct Early {
    trades: VecDeque<(u32, ForwardedEvent)>,
    /// How many there are of each hash of a token, so that a book that opens need not look at all of them.
    hashes: HashMap<u32, u32>,
}

impl Early {
    fn push(&mut self, hash: u32, trade: ForwardedEvent) {
        let oldest_ns = trade.read_wall_ns.saturating_sub(EARLY_TRADE_AGE_NS);
        while let Some((hash, first)) = self.trades.front()
            && (first.read_wall_ns < oldest_ns || self.trades.len() >= EARLY_TRADES_MAX)
        {
            let hash = *hash;
            self.trades.pop_front();
            self.forget(hash);
        }
        *self.hashes.entry(hash).or_default() += 1;
        self.trades.push_back((hash, trade));
    }

    fn forget(&mut self, hash: u32) {
        if let Some(count) = self.hashes.get_mut(&hash) {
            *count -= 1;
            if *count == 0 {
                self.hashes.remove(&hash);
            }
        }
    }

    /// Takes the trades out that `is_it`, oldest first.
    fn take(&mut self, hash: u32, is_it: impl Fn(&ForwardedEvent) -> bool) -> Vec<ForwardedEvent> {
        let mut taken = Vec::new();
        if self.hashes.contains_key(&hash) {
            self.trades.retain(|(of, trade)| {
                let takes = *of == hash && is_it(trade);
                if takes {
                    taken.push(*trade);
                }
                !takes
            });
            taken.iter().for_each(|_| self.forget(hash));
        }
        taken
    }
}

impl<H: Handler> Books<H> {
    /// A trade of a market that has no book here, or no more.
    #[cold]
    pub(super) fn on_trade_without_book(
        &mut self,
        event: &Trade<'_>,
        name: ConnectionId,
        wall_ns: u64,
    ) {
        self.counts.trades_without_book += 1;
        if let Some(trade) = ForwardedEvent::new(&Event::Trade(*event), name, wall_ns) {
            let hash = self.hash(trade.token.as_bytes());
            self.early.push(hash, trade);
        }
    }

    /// A book has opened: the trades that came before it are its own.
    pub(super) fn deliver_early(&mut self, index: BookIndex) {
        let (market, token) = (self.slots[index].market, self.slots[index].token);
        let hash = self.hash(token.as_bytes());
        let early = self.early.take(hash, |t| t.token == token && t.market == market);
        for passed in early {
            if let Event::Trade(trade) = passed.event() {
                self.apply_trade(index, &trade, passed.connection, passed.read_wall_ns);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::{MarketId, ShardId, TokenId, Venue};
    use crate::base::price::{Price, Quantity};
    use crate::base::time::{Now, SECOND_NS};
    use crate::link::shard_trade::{TradeRecord, TradeSender};
    use crate::market::book::{BookOpening, Side};
    use crate::ring::{Consumer, ring};
    use crate::shard::books::{Admission, ConnectionSlot};

    const TRADES: ConnectionSlot = ConnectionSlot(0);
    const BOOKS: ConnectionSlot = ConnectionSlot(1);

    fn books() -> (Books<()>, Consumer<TradeRecord>) {
        let (producer, consumer) = ring(16_384);
        let books = Books::new(ShardId(0), Admission::Listed, ()).sequenced(true);
        let mut books = books.tapped(TradeSender::new(Venue::named("kalshi"), producer));
        books.name_connection(TRADES, ConnectionId(9));
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

    fn told(consumer: &mut Consumer<TradeRecord>) -> Vec<u64> {
        std::iter::from_fn(|| consumer.try_receive()).map(|record| record.quantity.0).collect()
    }

    #[test]
    fn only_trades_of_followed_markets_are_kept_and_early_ones_when_their_book_opens() {
        let (mut books, mut sink) = books();
        trade(&mut books, "KX-A", 1, 100);
        trade(&mut books, "KXMVE-COMBO", 2, 100);
        trade(&mut books, "KX-A", 3, 101);
        trade(&mut books, "KX-A", 3, 101);
        assert_eq!(told(&mut sink), [] as [u64; 0]);
        open(&mut books, "KX-B");
        assert_eq!(told(&mut sink), [] as [u64; 0]);
        open(&mut books, "KX-A");
        assert_eq!(told(&mut sink), [1, 3], "in order, and each once");
        trade(&mut books, "KX-A", 4, 102);
        trade(&mut books, "KXMVE-COMBO", 5, 102);
        assert_eq!(told(&mut sink), [4]);
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
        assert_eq!(told(&mut sink), [1]);
        books.close(&token);
        trade(&mut books, "KX-A", 2, 101);
        assert_eq!(told(&mut sink), [] as [u64; 0]);
    }

    #[test]
    fn early_trades_are_bounded_by_age_and_number() {
        let (mut books, mut sink) = books();
        let age_s = EARLY_TRADE_AGE_NS / SECOND_NS;
        trade(&mut books, "KX-A", 1, 100);
        trade(&mut books, "KX-A", 2, 101);
        trade(&mut books, "KX-B", 3, 101 + age_s);
        open(&mut books, "KX-A");
        assert_eq!(told(&mut sink), [2]);
        for number in 0..EARLY_TRADES_MAX as u64 {
            trade(&mut books, "KX-C", 10 + number, 102 + age_s);
        }
        open(&mut books, "KX-B");
        assert_eq!(told(&mut sink), [] as [u64; 0], "the others have taken its place");
        open(&mut books, "KX-C");
        assert_eq!(told(&mut sink).len(), EARLY_TRADES_MAX);
        assert!(books.early.trades.is_empty() && books.early.hashes.is_empty());
    }
}
