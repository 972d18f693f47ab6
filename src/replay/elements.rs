//! The messages of a frame, each on its own.
//!
//! Runs on:  the starting thread (pure).
use crate::base::condition;
use crate::base::id::MarketId;
use crate::capture::outline::Values;
use crate::venue::{BookContent, Decoder};
use foldhash::fast::FixedState;
use std::hash::BuildHasher as _;

/// One message of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    /// Its JSON, byte for byte.
    pub(crate) text: &'a str,
    /// The market concerned.
    pub(crate) market: Option<MarketId>,
    /// It changes or replaces a book.
    pub(crate) is_book: bool,
    /// Of its content: that of the same message on other connections, whose numbers differ, is equal.
    pub(crate) fingerprint: u64,
}

/// Calls `each` with every message of a frame that a person would call one: answers to subscriptions, heartbeats and
/// what cannot be read are left out.
pub(crate) fn elements(decoder: &mut Decoder, frame: &str, mut each: impl FnMut(Element<'_>)) {
    let frame = frame.trim();
    if frame.starts_with('{') {
        return element(decoder, frame).into_iter().for_each(each);
    }
    if !frame.starts_with('[') {
        return;
    }
    let mut list = Values::of(frame.as_bytes());
    while let Some((_, value)) = list.next() {
        let found = std::str::from_utf8(value).ok().and_then(|text| element(decoder, text));
        found.into_iter().for_each(&mut each);
    }
}

fn element<'a>(decoder: &mut Decoder, text: &'a str) -> Option<Element<'a>> {
    let outline = decoder.outline(text);
    if outline.broken || outline.subscription.is_some() {
        return None;
    }
    let market = outline.market.and_then(condition::market_id);
    let is_book = outline.content != BookContent::None;
    Some(Element { text, market, is_book, fingerprint: fingerprint(text) })
}

/// Without the keys of a subscription and its numbers, beside `msg`.
fn fingerprint(text: &str) -> u64 {
    let state = FixedState::with_seed(0);
    let mut members = Values::of(text.as_bytes());
    let (mut kind, mut content) = (&b""[..], None);
    while let Some((key, value)) = members.next() {
        match key {
            b"type" => kind = value,
            b"msg" => content = Some(value),
            _ => {}
        }
    }
    match content {
        Some(content) => state.hash_one((kind, content)),
        None => state.hash_one(text.as_bytes()),
    }
}

#[cfg(test)]
mod tests;
