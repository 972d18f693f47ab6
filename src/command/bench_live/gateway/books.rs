//! Books that a gateway client builds from the texts of either protocol, and nothing else.
//!
//! Runs on:  main thread, after a step (pure).
use crate::base::price::{Price, Quantity};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

/// Quantity by price, of bids and asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TextBook {
    pub(super) bids: BTreeMap<Price, Quantity>,
    pub(super) asks: BTreeMap<Price, Quantity>,
}

#[derive(Debug, Default)]
pub(super) struct TextBooks {
    books: HashMap<String, TextBook>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Texts {
    One(Event),
    All(Vec<Event>),
}

/// An event of the market channel, or of the stream.
#[derive(Deserialize)]
struct Event {
    #[serde(alias = "kind")]
    event_type: Option<String>,
    #[serde(alias = "token")]
    asset_id: Option<String>,
    #[serde(default)]
    bids: Vec<RawLevel>,
    #[serde(default)]
    asks: Vec<RawLevel>,
    #[serde(default)]
    price_changes: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawLevel {
    Pair([String; 2]),
    Named { price: String, size: String },
}

#[derive(Deserialize)]
struct Entry {
    asset_id: String,
    price: String,
    size: String,
    side: String,
}

type Levels = BTreeMap<Price, Quantity>;

fn set(levels: &mut Levels, price: &str, size: &str) -> Result<(), String> {
    let level = Price::parse(price.as_bytes()).zip(Quantity::parse(size.as_bytes()));
    let (price, size) = level.ok_or_else(|| format!("{price} and {size} are no level"))?;
    if size == Quantity::ZERO {
        levels.remove(&price);
    } else {
        levels.insert(price, size);
    }
    Ok(())
}

fn set_all(levels: &mut Levels, changes: &[RawLevel]) -> Result<(), String> {
    changes.iter().try_for_each(|level| match level {
        RawLevel::Pair([price, size]) | RawLevel::Named { price, size } => set(levels, price, size),
    })
}

impl TextBook {
    /// The book in a `book` message, or as the venue itself has it.
    ///
    /// # Errors
    /// One line: it is no book.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let event = sonic_rs::from_str::<Event>(text).map_err(|error| error.to_string())?;
        let mut book = Self::default();
        set_all(&mut book.bids, &event.bids)?;
        set_all(&mut book.asks, &event.asks)?;
        Ok(book)
    }
}

impl TextBooks {
    /// Applies one text frame.
    ///
    /// # Errors
    /// One line: it is no message of the protocols.
    pub(super) fn on_text(&mut self, text: &[u8]) -> Result<(), String> {
        let texts = sonic_rs::from_slice(text).map_err(|error| error.to_string())?;
        match texts {
            Texts::One(event) => self.on_event(&event),
            Texts::All(events) => events.iter().try_for_each(|event| self.on_event(event)),
        }
    }

    fn on_event(&mut self, event: &Event) -> Result<(), String> {
        match event.event_type.as_deref() {
            Some("book" | "snapshot") => {
                let book = self.own(event)?;
                *book = TextBook::default();
                set_all(&mut book.bids, &event.bids)?;
                set_all(&mut book.asks, &event.asks)
            }
            Some("change") => {
                let book = self.own(event)?;
                set_all(&mut book.bids, &event.bids)?;
                set_all(&mut book.asks, &event.asks)
            }
            Some("price_change") => event.price_changes.iter().try_for_each(|entry| {
                // Entries of the other outcome concern nobody without its book.
                let Some(book) = self.books.get_mut(&entry.asset_id) else { return Ok(()) };
                let levels = if entry.side == "BUY" { &mut book.bids } else { &mut book.asks };
                set(levels, &entry.price, &entry.size)
            }),
            _ => Ok(()),
        }
    }

    fn own(&mut self, event: &Event) -> Result<&mut TextBook, String> {
        let token = event.asset_id.as_ref().ok_or("an event of a book without a token")?;
        Ok(self.books.entry(token.clone()).or_default())
    }

    pub(super) fn get(&self, token: &str) -> Option<&TextBook> {
        self.books.get(token)
    }
}

#[cfg(test)]
mod tests;
