//! Invalid frames: malformed ones, and ones of a future protocol version.
//!
//! Runs on:  the venue's thread (pure).
//!
//! They are sent in addition to valid ones and never carry a level that could be mistaken for valid.
use super::book::Outcome;
use super::frame::{Opcode, push_frame};
use super::json::Object;
use super::market::Market;
use super::message::{self, Tops};

const MALFORMED_KINDS: u64 = 12;
const UNKNOWN_KINDS: u64 = 5;

pub(super) fn push_malformed(out: &mut Vec<u8>, market: &Market, turn: u64) {
    let (condition, token) = (&market.condition, market.token(Outcome::First));
    let change = |price: &str, size: &str, side: &str| {
        format!(
            "{{\"market\":\"{condition}\", \"price_changes\":[{{\"asset_id\":\"{token}\", \
             \"price\":{price}, \"size\":{size}, \"side\":\"{side}\", \"hash\":\"\", \
             \"best_bid\":\"0.5\", \"best_ask\":\"0.6\"}}], \"timestamp\":\"{}\", \
             \"event_type\":\"price_change\"}}",
            market.changed_ms
        )
    };
    let text = match turn % MALFORMED_KINDS {
        0 => {
            format!("{{\"market\":\"{condition}\", \"price_changes\":[{{\"asset_id\":\"{token}\", ")
        }
        1 => change("\"abc\"", "\"1\"", "BUY"),
        2 => change("\"0.5\"", "\"-3\"", "BUY"),
        3 => change("\"7.5\"", "\"1\"", "SELL"),
        4 => change("\"0.5\"", "\"1e400\"", "BUY"),
        5 => change("\"0.5\"", "\"1\"", "HOLD"),
        6 => change("[0.5]", "{\"x\":1}", "BUY"),
        7 => "<html><body>502 Bad Gateway</body></html>".to_owned(),
        8 => String::new(),
        9 => "[".repeat(300),
        10 => format!(
            "{{\"market\":\"{condition}\",\"asset_id\":\"{token}\",\"event_type\":\"book\"}}"
        ),
        _ => {
            push_frame(out, Opcode::Binary, &[0xff, 0, 0xfe, 1]);
            return;
        }
    };
    push_frame(out, Opcode::Text, text.as_bytes());
}

/// Appends frame number `turn` of an unknown type or with unknown keys.
pub(super) fn push_unknown(out: &mut Vec<u8>, scratch: &mut Vec<u8>, market: &Market, turn: u64) {
    let mut text = Vec::new();
    let mut plain = |event_type: &str| {
        let mut object = Object::new(&mut text);
        object.text("market", &market.condition);
        object.text("asset_id", market.token(Outcome::First));
        object.text("timestamp", &market.changed_ms.to_string());
        object.text("event_type", event_type);
        object.end();
    };
    match turn % UNKNOWN_KINDS {
        0 => plain("auction_imbalance"),
        1 => plain(""),
        2 => text.extend_from_slice(b"{\"hello\":{\"nested\":[1,2,{\"deep\":null}]}}"),
        3 => text.extend_from_slice(b"[{\"event_type\":\"heartbeat\",\"seq\":17}, {}]"),
        _ => {
            // The present book with additional keys.
            let tops = Tops::new(market, scratch);
            let extra = "\"sequence_id\":42, \"flags\":[\"x\", {\"y\":1.5e3}], \"note\":null, ";
            message::push_refresh_with(&mut text, market, Outcome::First, &tops, extra);
        }
    }
    push_frame(out, Opcode::Text, &text);
}
