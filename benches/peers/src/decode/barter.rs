//! barter-data's order book, fed by serde_json structs, for it has no parser for this venue.

use super::typed::{ChangeText, LevelText, Message, Serde, for_each_message};
use super::{FinalBooks, Hasher, Levels, Pipeline, exact, file::Frames};
use barter_data::books::{Level, OrderBook};
use barter_data::subscription::book::OrderBookEvent;
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use std::collections::HashMap;

#[derive(Default)]
pub(super) struct Barter {
    books: HashMap<String, OrderBook, Hasher>,
    sequence: u64,
    refused: u64,
}

fn level(price: &str, size: &str) -> Option<Level> {
    let decimal = |text: &str| Decimal::from_str_exact(text).ok();
    Some(Level { price: decimal(price)?, amount: decimal(size)? })
}

fn side(levels: &[LevelText<'_>]) -> Option<Vec<Level>> {
    levels.iter().map(|text| level(text.price, text.size)).collect()
}

impl Barter {
    fn apply(&mut self, message: &Message<'_>) -> Option<()> {
        let time = message.timestamp.parse().ok().and_then(DateTime::from_timestamp_millis);
        match message.event_type {
            "book" => {
                let (bids, asks) = (side(&message.bids)?, side(&message.asks)?);
                let book = OrderBook::new(self.sequence, time, bids, asks);
                let event = OrderBookEvent::Snapshot(book);
                if let Some(book) = self.books.get_mut(message.asset_id) {
                    book.update(&event);
                } else {
                    let mut book = OrderBook::default();
                    book.update(&event);
                    self.books.insert(message.asset_id.to_owned(), book);
                }
            }
            "price_change" => {
                for change in &message.price_changes {
                    self.change(change, time)?;
                }
            }
            _ => {}
        }
        Some(())
    }

    fn change(&mut self, change: &ChangeText<'_>, time: Option<DateTime<Utc>>) -> Option<()> {
        let level = Some(level(change.price, change.size)?);
        let book = self.books.get_mut(change.asset_id)?;
        let (bids, asks) = if change.side == "BUY" { (level, None) } else { (None, level) };
        self.sequence += 1;
        book.update(&OrderBookEvent::Update(OrderBook::new(self.sequence, time, bids, asks)));
        Some(())
    }
}

impl Pipeline for Barter {
    fn feed(&mut self, frames: Frames<'_>) {
        for frame in frames.iter() {
            let applied = for_each_message::<Serde>(frame, |message| self.apply(message));
            self.refused += u64::from(!applied);
        }
    }

    fn refused(&self) -> u64 {
        self.refused
    }

    fn books(&self) -> Result<FinalBooks, String> {
        let side = |levels: &[Level]| -> Result<Levels, String> {
            levels.iter().map(|level| exact(level.price, level.amount)).collect()
        };
        let one = |(token, book): (&String, &OrderBook)| {
            Ok((token.clone(), [side(book.bids().levels())?, side(book.asks().levels())?]))
        };
        self.books.iter().map(one).collect()
    }
}
