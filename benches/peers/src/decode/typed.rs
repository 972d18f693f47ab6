//! Typed structs that borrow from the frame, and a `BTreeMap` a side: what a careful user writes.

use super::{FinalBooks, Hasher, Pipeline, file::Frames, level};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;

/// Any message of the market channel that matters; one flat struct, because an internally tagged
/// enum makes serde buffer the whole message first.
#[derive(Debug, Deserialize)]
pub struct Message<'f> {
    /// `book`, `price_change` and others.
    pub event_type: &'f str,
    /// Token of a book.
    #[serde(borrow, default)]
    pub asset_id: &'f str,
    /// Venue time in milliseconds.
    #[serde(borrow, default)]
    pub timestamp: &'f str,
    /// Levels of a book.
    #[serde(borrow, default)]
    pub bids: Vec<LevelText<'f>>,
    /// Levels of a book.
    #[serde(borrow, default)]
    pub asks: Vec<LevelText<'f>>,
    /// Changes of a `price_change`.
    #[serde(borrow, default)]
    pub price_changes: Vec<ChangeText<'f>>,
}

/// One level of a book.
#[derive(Debug, Deserialize)]
pub struct LevelText<'f> {
    /// Decimal.
    pub price: &'f str,
    /// Decimal.
    pub size: &'f str,
}

/// One changed level.
#[derive(Debug, Deserialize)]
pub struct ChangeText<'f> {
    /// The token.
    pub asset_id: &'f str,
    /// Decimal.
    pub price: &'f str,
    /// Decimal, the new whole size.
    pub size: &'f str,
    /// `BUY` or `SELL`.
    pub side: &'f str,
    /// Hash of the book after the change.
    #[serde(borrow, default)]
    pub hash: &'f str,
}

/// A JSON library.
pub trait Json {
    /// One value out of a text.
    fn parse<'f, T: Deserialize<'f>>(text: &'f str) -> Option<T>;
}

/// serde_json.
#[derive(Debug)]
pub struct Serde;

impl Json for Serde {
    fn parse<'f, T: Deserialize<'f>>(text: &'f str) -> Option<T> {
        serde_json::from_str(text).ok()
    }
}

/// sonic-rs.
#[derive(Debug)]
pub struct Sonic;

impl Json for Sonic {
    fn parse<'f, T: Deserialize<'f>>(text: &'f str) -> Option<T> {
        sonic_rs::from_str(text).ok()
    }
}

/// Parses one frame and applies its messages in order; false where the frame or one of them is refused.
pub(super) fn for_each_message<'f, J: Json>(
    frame: &'f str,
    mut apply: impl FnMut(&Message<'f>) -> Option<()>,
) -> bool {
    if frame.starts_with('[') {
        let messages: Option<Vec<Message<'_>>> = J::parse(frame);
        messages.is_some_and(|all| all.iter().all(|one| apply(one).is_some()))
    } else {
        J::parse(frame).is_some_and(|message| apply(&message).is_some())
    }
}

type Side = BTreeMap<u64, u64>;

/// Structs of one JSON library, and books of two `BTreeMap`s.
#[derive(Debug)]
pub struct Typed<J> {
    books: HashMap<String, [Side; 2], Hasher>,
    refused: u64,
    json: PhantomData<J>,
}

impl<J> Default for Typed<J> {
    fn default() -> Self {
        Self { books: HashMap::default(), refused: 0, json: PhantomData }
    }
}

impl<J: Json> Typed<J> {
    /// Decodes and applies one frame; the hashes of its changes go to `on_hash`.
    pub fn on_frame(&mut self, frame: &str, mut on_hash: impl FnMut(&str)) {
        let applied = for_each_message::<J>(frame, |message| {
            message.price_changes.iter().for_each(|change| on_hash(change.hash));
            self.apply(message)
        });
        self.refused += u64::from(!applied);
    }

    fn apply(&mut self, message: &Message<'_>) -> Option<()> {
        match message.event_type {
            "book" => {
                let side = |levels: &[LevelText<'_>]| -> Option<Side> {
                    levels.iter().map(|text| level(text.price, text.size)).collect()
                };
                let sides = [side(&message.bids)?, side(&message.asks)?];
                if let Some(book) = self.books.get_mut(message.asset_id) {
                    *book = sides;
                } else {
                    self.books.insert(message.asset_id.to_owned(), sides);
                }
            }
            "price_change" => {
                for change in &message.price_changes {
                    let (price, size) = level(change.price, change.size)?;
                    let book = self.books.get_mut(change.asset_id)?;
                    let side = &mut book[usize::from(change.side != "BUY")];
                    if size == 0 {
                        side.remove(&price);
                    } else {
                        side.insert(price, size);
                    }
                }
            }
            _ => {}
        }
        Some(())
    }
}

impl<J: Json> Pipeline for Typed<J> {
    fn feed(&mut self, frames: Frames<'_>) {
        for frame in frames.iter() {
            self.on_frame(frame, |_| ());
        }
    }

    fn refused(&self) -> u64 {
        self.refused
    }

    fn books(&self) -> Result<FinalBooks, String> {
        Ok(self.books.iter().map(|(token, sides)| (token.clone(), sides.clone())).collect())
    }
}
