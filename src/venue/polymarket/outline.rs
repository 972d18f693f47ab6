//! What a message is about, without its levels.
//!
//! Runs on:  readers of captures (pure).
use crate::venue::{BookContent, Outline};
use serde::Deserialize;
use serde::de::IgnoredAny;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Keys<'a> {
    #[serde(borrow)]
    market: Option<&'a str>,
    #[serde(borrow)]
    event_type: Option<&'a str>,
    bids: Option<IgnoredAny>,
    asks: Option<IgnoredAny>,
    price_changes: Option<IgnoredAny>,
    changes: Option<IgnoredAny>,
}

/// Market and content of one message.
pub(crate) fn outline(message: &str) -> Outline<'_> {
    let Ok(keys) = sonic_rs::from_str::<Keys<'_>>(message) else {
        return Outline { broken: true, ..Outline::default() };
    };
    let has_changes = keys.price_changes.is_some() || keys.changes.is_some();
    let content = match keys.event_type {
        Some("book") => BookContent::Snapshot,
        Some("price_change") => BookContent::Change,
        _ if has_changes => BookContent::Change,
        _ if keys.bids.is_some() || keys.asks.is_some() => BookContent::Snapshot,
        _ => BookContent::None,
    };
    Outline { market: keys.market, content, ..Outline::default() }
}

#[cfg(test)]
mod tests;
