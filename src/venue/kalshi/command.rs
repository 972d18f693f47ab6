//! Encoding of commands (kalshi/protocol.md, 2).
//!
//! Runs on:  shards (pure).
use crate::base::id::TokenId;
use crate::venue::Role;
use std::fmt::Write as _;

/// A channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Books.
    Books,
    /// Best prices of all markets.
    Tickers,
    /// Trades of all markets.
    Trades,
    /// Lifecycle events of all markets.
    Lifecycle,
}

impl Channel {
    /// The channel of connections of this role.
    pub const fn of(role: Role) -> Self {
        match role {
            Role::Books => Self::Books,
            Role::Tickers => Self::Tickers,
            Role::Trades => Self::Trades,
            Role::Lifecycle => Self::Lifecycle,
        }
    }

    /// Name on the wire (kalshi/protocol.md, 2.2).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Books => "orderbook_delta",
            Self::Tickers => "ticker",
            Self::Trades => "trade",
            Self::Lifecycle => "market_lifecycle_v2",
        }
    }
}

/// Action of `update_subscription`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// `add_markets`.
    Add,
    /// `delete_markets`.
    Delete,
    /// `get_snapshot`: does not change the subscription.
    Snapshot,
}

impl Update {
    const fn name(self) -> &'static str {
        match self {
            Self::Add => "add_markets",
            Self::Delete => "delete_markets",
            Self::Snapshot => "get_snapshot",
        }
    }
}

fn push_tickers(text: &mut String, tickers: &[TokenId]) {
    text.push_str(r#""market_tickers":["#);
    for (place, ticker) in tickers.iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        // A token id has no character that JSON escapes.
        let _ = write!(text, "\"{ticker}\"");
    }
    text.push(']');
}

/// `subscribe`; without tickers for all markets. The default of `use_yes_price` is going to change, so it is always
/// sent (kalshi/protocol.md, 2.2).
pub fn subscribe(id: u64, channel: Channel, tickers: &[TokenId]) -> String {
    let mut text = format!(
        r#"{{"id":{id},"cmd":"subscribe","params":{{"channels":["{}"],"skip_ticker_ack":true"#,
        channel.name()
    );
    if channel == Channel::Books {
        text.push_str(r#","use_yes_price":false"#);
    }
    if !tickers.is_empty() {
        text.push(',');
        push_tickers(&mut text, tickers);
    }
    text.push_str("}}");
    text
}

/// `update_subscription`.
pub fn update(id: u64, sid: u64, update: Update, tickers: &[TokenId]) -> String {
    let mut text = format!(r#"{{"id":{id},"cmd":"update_subscription","params":{{"sids":[{sid}],"#);
    push_tickers(&mut text, tickers);
    let _ = write!(text, r#","action":"{}"}}}}"#, update.name());
    text
}

/// `list_subscriptions`: a liveness check.
pub fn list(id: u64) -> String {
    format!(r#"{{"id":{id},"cmd":"list_subscriptions"}}"#)
}

#[cfg(test)]
mod tests;
