//! NautilusTrader: its Polymarket messages, its deltas and its `OrderBook`, in the order of its data client.

use super::{FinalBooks, Hasher, Levels, Pipeline, exact, file::Frames};
use nautilus_model::enums::BookType;
use nautilus_model::identifiers::{InstrumentId, Symbol, Venue};
use nautilus_model::orderbook::{BookLevel, OrderBook};
use nautilus_polymarket::websocket::messages::{MarketWsMessage, PolymarketQuotes};
use nautilus_polymarket::websocket::parse::{parse_book_deltas, parse_book_snapshot};
use std::collections::HashMap;
use ustr::Ustr;

/// Digits after the point: it takes them from the market's tick; three hold both ticks of the files.
const PRICE_DIGITS: u8 = 3;

/// The same of a size, as its catalog has it.
const SIZE_DIGITS: u8 = 6;

#[derive(Default)]
pub(super) struct Nautilus {
    books: HashMap<Ustr, OrderBook, Hasher>,
    refused: u64,
}

impl Nautilus {
    fn apply(&mut self, message: MarketWsMessage) -> Option<()> {
        match message {
            MarketWsMessage::Book(book) => {
                let kept = self.books.entry(book.asset_id).or_insert_with(|| {
                    let symbol = Symbol::new(book.asset_id);
                    let id = InstrumentId::new(symbol, Venue::new("POLYMARKET"));
                    OrderBook::new(id, BookType::L2_MBP)
                });
                let (id, now) = (kept.instrument_id, Default::default());
                let deltas = parse_book_snapshot(&book, id, PRICE_DIGITS, SIZE_DIGITS, now);
                kept.apply_deltas(&deltas.ok()?).ok()
            }
            MarketWsMessage::PriceChange(PolymarketQuotes { market, price_changes, timestamp }) => {
                for change in price_changes {
                    let book = self.books.get_mut(&change.asset_id)?;
                    let (id, now) = (book.instrument_id, Default::default());
                    // Its deltas are of one instrument, so it makes a message of each change.
                    let (price_changes, timestamp) = (vec![change], timestamp.clone());
                    let one = PolymarketQuotes { market, price_changes, timestamp };
                    let deltas = parse_book_deltas(&one, id, PRICE_DIGITS, SIZE_DIGITS, now);
                    book.apply_deltas(&deltas.ok()?).ok()?;
                }
                Some(())
            }
            _ => Some(()),
        }
    }
}

impl Pipeline for Nautilus {
    fn feed(&mut self, frames: Frames<'_>) {
        for frame in frames.iter() {
            let applied = if frame.starts_with('[') {
                let messages: Result<Vec<MarketWsMessage>, _> = serde_json::from_str(frame);
                messages.is_ok_and(|all| all.into_iter().all(|one| self.apply(one).is_some()))
            } else {
                let message: Result<MarketWsMessage, _> = serde_json::from_str(frame);
                message.is_ok_and(|message| self.apply(message).is_some())
            };
            self.refused += u64::from(!applied);
        }
    }

    fn refused(&self) -> u64 {
        self.refused
    }

    fn books(&self) -> Result<FinalBooks, String> {
        let level = |level: &BookLevel| exact(level.price.value.as_decimal(), level.size_decimal());
        let one = |(token, book): (&Ustr, &OrderBook)| {
            let bids = book.bids(None).map(level).collect::<Result<Levels, String>>()?;
            let asks = book.asks(None).map(level).collect::<Result<Levels, String>>()?;
            Ok((token.to_string(), [bids, asks]))
        };
        self.books.iter().map(one).collect()
    }
}
