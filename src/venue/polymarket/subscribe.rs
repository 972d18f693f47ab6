//! Encoding of subscriptions and pings on the market channel (polymarket/protocol.md, 2).
//!
//! Runs on:  shards (pure).
use crate::base::id::TokenId;

/// Heartbeat, every `limits::PING_INTERVAL_NS`; before the first subscription the venue would close with 1008
/// (polymarket/protocol.md, 2.2).
pub const PING: &str = "PING";

/// The first message of a connection; a second one would be answered `INVALID OPERATION`.
pub fn first_message(tokens: &[TokenId], custom_features: bool) -> String {
    let mut out = String::with_capacity(128 + tokens.len() * 82);
    out.push_str(r#"{"assets_ids":"#);
    push_ids(&mut out, tokens);
    // `initial_dump` is the default, but stating it makes snapshots more reliable (polymarket/protocol.md, 2.1).
    out.push_str(r#","type":"market","initial_dump":true"#);
    push_custom_features(&mut out, custom_features);
    out
}

/// Subscribes more tokens after the first message. There is no response.
pub fn subscribe(tokens: &[TokenId], custom_features: bool) -> String {
    let mut out = String::with_capacity(128 + tokens.len() * 82);
    out.push_str(r#"{"operation":"subscribe","assets_ids":"#);
    push_ids(&mut out, tokens);
    push_custom_features(&mut out, custom_features);
    out
}

/// CLOB path for the books of many tokens (`POST`; at most 500; unknown ones are omitted).
pub const BOOKS_PATH: &str = "/books";

/// Body of a request to [`BOOKS_PATH`].
pub fn books_body(tokens: &[TokenId]) -> String {
    let mut out = String::with_capacity(2 + tokens.len() * 96);
    for token in tokens {
        out.push_str(if out.is_empty() { "[" } else { "," });
        out.push_str(r#"{"token_id":""#);
        out.push_str(token.as_str());
        out.push_str("\"}");
    }
    out.push_str(if out.is_empty() { "[]" } else { "]" });
    out
}

/// Unsubscribes tokens. There is no response.
pub fn unsubscribe(tokens: &[TokenId]) -> String {
    let mut out = String::with_capacity(64 + tokens.len() * 82);
    out.push_str(r#"{"operation":"unsubscribe","assets_ids":"#);
    push_ids(&mut out, tokens);
    out.push('}');
    out
}

fn push_ids(out: &mut String, tokens: &[TokenId]) {
    out.push('[');
    for (i, token) in tokens.iter().enumerate() {
        out.push_str(if i == 0 { "\"" } else { ",\"" });
        out.push_str(token.as_str());
        out.push('"');
    }
    out.push(']');
}

fn push_custom_features(out: &mut String, wanted: bool) {
    out.push_str(if wanted { r#","custom_feature_enabled":true}"# } else { "}" });
}

#[cfg(test)]
mod tests;
