//! What is sent on the market channel: subscriptions and pings (polymarket/protocol.md, 2).
//!
//! Runs on:  shards (pure).
use crate::base::id::TokenId;

/// The heartbeat, every `limits::PING_INTERVAL_NS`, never before the first subscription (the
/// venue closes with 1008 otherwise; polymarket/protocol.md, 2.2).
pub const PING: &str = "PING";

/// The first message of a connection, sent once: a second one is answered `INVALID OPERATION`.
#[must_use]
pub fn first_message(tokens: &[TokenId], custom_features: bool) -> String {
    let mut out = String::with_capacity(128 + tokens.len() * 82);
    out.push_str(r#"{"assets_ids":"#);
    push_ids(&mut out, tokens);
    // `initial_dump` is the default, but snapshots arrive more dependably when it is said.
    out.push_str(r#","type":"market","initial_dump":true"#);
    push_custom_features(&mut out, custom_features);
    out
}

/// More tokens on a connection that has had its first message. The venue does not answer.
#[must_use]
pub fn subscribe(tokens: &[TokenId], custom_features: bool) -> String {
    let mut out = String::with_capacity(128 + tokens.len() * 82);
    out.push_str(r#"{"operation":"subscribe","assets_ids":"#);
    push_ids(&mut out, tokens);
    push_custom_features(&mut out, custom_features);
    out
}

/// Path of the CLOB that answers with the books of many tokens (`POST`; at most 500, and those that it
/// does not know are left out).
pub const BOOKS_PATH: &str = "/books";

/// What to send to [`BOOKS_PATH`].
#[must_use]
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

/// Fewer tokens. The venue does not answer.
#[must_use]
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
mod tests {
    use super::*;

    #[test]
    fn messages_are_the_documented_ones() {
        let tokens = [TokenId::new("12").unwrap(), TokenId::new("34").unwrap()];
        assert_eq!(
            first_message(&tokens, true),
            r#"{"assets_ids":["12","34"],"type":"market","initial_dump":true,"custom_feature_enabled":true}"#
        );
        assert_eq!(
            first_message(&[], false),
            r#"{"assets_ids":[],"type":"market","initial_dump":true}"#
        );
        assert_eq!(
            subscribe(&tokens[..1], true),
            r#"{"operation":"subscribe","assets_ids":["12"],"custom_feature_enabled":true}"#
        );
        assert_eq!(books_body(&tokens), r#"[{"token_id":"12"},{"token_id":"34"}]"#);
        assert_eq!(books_body(&[]), "[]");
        assert_eq!(unsubscribe(&tokens), r#"{"operation":"unsubscribe","assets_ids":["12","34"]}"#);
    }
}
