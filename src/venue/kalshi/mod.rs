//! Kalshi's WebSocket v2 and catalogue.
//!
//! Runs on:  any (pure).
#![doc = include_str!("protocol.md")]
pub mod catalog;
pub mod command;
pub mod decode;
pub mod dialog;
pub mod message;
pub mod orderbooks;
pub mod sequence;
pub mod sign;

use crate::base::{id::TokenId, price::Price};
use crate::market::info::Resolution;

/// Longest word for a result that is kept, bytes. The venue's longest is `scalar`.
const RESULT_BYTES_MAX: usize = 32;

/// Requests a second and at once of the smallest tier: 200 tokens a second at 10 a request, two seconds' worth at
/// once (kalshi/protocol.md, 4).
pub const REST_RATE: (u32, u32) = (20, 40);

/// How a market was decided: `result` and, for YES, `settlement_value` (kalshi/protocol.md, 3.4). An empty result means
/// undecided; every other text is a decision, known here or not.
fn resolution(token: TokenId, result: Option<&str>, settles_at: Option<Price>) -> Resolution {
    let word = result.unwrap_or("").trim();
    let word = &word[..word.floor_char_boundary(RESULT_BYTES_MAX)];
    if word.is_empty() {
        return Resolution::default();
    }
    let result = word.to_ascii_lowercase();
    let implied = match result.as_str() {
        "yes" => Some(Price::ONE),
        "no" => Some(Price::ZERO),
        _ => None,
    };
    Resolution {
        winner: (result == "yes").then_some(token),
        settlement_value: settles_at.filter(|value| *value <= Price::ONE).or(implied),
        result: Some(result),
    }
}
