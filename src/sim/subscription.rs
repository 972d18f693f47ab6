//! Parser for client messages of the market channel.
//!
//! Runs on:  the venue's thread (pure).
use std::borrow::Cow;

use serde::Deserialize;

/// A client message; the present keys determine its kind.
#[derive(Debug, Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    assets_ids: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow, rename = "type")]
    channel: Option<Cow<'a, str>>,
    #[serde(borrow)]
    operation: Option<Cow<'a, str>>,
    initial_dump: Option<bool>,
    custom_feature_enabled: Option<bool>,
}

/// The first message of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Initial<'a> {
    pub(super) tokens: Vec<Cow<'a, str>>,
    pub(super) dump: bool,
    pub(super) custom: bool,
}

/// A later change of the subscription.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Update<'a> {
    Subscribe { tokens: Vec<Cow<'a, str>>, custom: Option<bool> },
    Unsubscribe { tokens: Vec<Cow<'a, str>> },
}

/// The first message, if valid. It may have no tokens if it requests custom features.
pub(super) fn parse_initial(text: &[u8]) -> Option<Initial<'_>> {
    let wire: Wire<'_> = sonic_rs::from_slice(text).ok()?;
    if !wire.channel?.eq_ignore_ascii_case("market") {
        return None;
    }
    let custom = wire.custom_feature_enabled.unwrap_or(false);
    let tokens = wire.assets_ids?;
    let dump = wire.initial_dump.unwrap_or(true);
    (custom || !tokens.is_empty()).then_some(Initial { tokens, dump, custom })
}

/// A later message, if valid.
pub(super) fn parse_update(text: &[u8]) -> Option<Update<'_>> {
    let wire: Wire<'_> = sonic_rs::from_slice(text).ok()?;
    let tokens = wire.assets_ids?;
    match &*wire.operation? {
        "subscribe" => Some(Update::Subscribe { tokens, custom: wire.custom_feature_enabled }),
        "unsubscribe" => Some(Update::Unsubscribe { tokens }),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
