//! The official SDK: its parser, and a `BTreeMap` a side in its own types, for it has no book.

use super::{FinalBooks, Hasher, Levels, Pipeline, exact, file::Frames};
use polymarket_client_sdk_v2::clob::types::Side;
use polymarket_client_sdk_v2::clob::ws::interest::MessageInterest;
use polymarket_client_sdk_v2::clob::ws::types::response::{
    OrderBookLevel, WsMessage, parse_if_interested,
};
use polymarket_client_sdk_v2::types::{Decimal, U256};
use std::collections::{BTreeMap, HashMap};

type Book = [BTreeMap<Decimal, Decimal>; 2];

#[derive(Default)]
pub(super) struct Sdk {
    books: HashMap<U256, Book, Hasher>,
    refused: u64,
}

impl Sdk {
    fn apply(&mut self, message: WsMessage) {
        match message {
            WsMessage::Book(update) => {
                let side = |levels: Vec<OrderBookLevel>| {
                    levels.into_iter().map(|level| (level.price, level.size)).collect()
                };
                self.books.insert(update.asset_id, [side(update.bids), side(update.asks)]);
            }
            WsMessage::PriceChange(update) => {
                for change in update.price_changes {
                    let book = self.books.get_mut(&change.asset_id);
                    let Some((book, size)) = book.zip(change.size) else {
                        self.refused += 1;
                        continue;
                    };
                    let side = &mut book[usize::from(change.side != Side::Buy)];
                    if size.is_zero() {
                        side.remove(&change.price);
                    } else {
                        side.insert(change.price, size);
                    }
                }
            }
            _ => {}
        }
    }
}

impl Pipeline for Sdk {
    fn feed(&mut self, frames: Frames<'_>) {
        for frame in frames.iter() {
            match parse_if_interested(frame.as_bytes(), &MessageInterest::MARKET) {
                Ok(messages) => messages.into_iter().for_each(|message| self.apply(message)),
                Err(_) => self.refused += 1,
            }
        }
    }

    fn refused(&self) -> u64 {
        self.refused
    }

    fn books(&self) -> Result<FinalBooks, String> {
        let side = |side: &BTreeMap<Decimal, Decimal>| -> Result<Levels, String> {
            side.iter().map(|(&price, &size)| exact(price, size)).collect()
        };
        let one = |(token, book): (&U256, &Book)| {
            Ok((token.to_string(), [side(&book[0])?, side(&book[1])?]))
        };
        self.books.iter().map(one).collect()
    }
}
