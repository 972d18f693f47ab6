//! Raw messages of a replay: which of them a client has asked for, and how they are written.
//!
//! Runs on:  a replay's thread, serve core (pure). Bounds: `TARDIS_TYPES_MAX` channels, `TARDIS_SYMBOLS_MAX` symbols.
//!
//! A channel is the type of a message: `event_type` at Polymarket, `type` at Kalshi, whose channel `orderbook_delta`
//! has the snapshots too.
use super::options::{Range, exchange};
use crate::base::id::Venue;
use crate::base::limits::{TARDIS_SYMBOLS_MAX, TARDIS_TYPES_MAX};
use crate::gateway::nests_deeper;
use foldhash::fast::FixedState;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

/// Symbols of a channel; `None` for all.
type Symbols = Option<HashSet<String, FixedState>>;

/// The wanted messages of one exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// By channel; empty for all messages.
    channels: HashMap<String, Symbols, FixedState>,
}

/// A replay of raw messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawOptions {
    /// The exchange.
    pub venue: Venue,
    /// The range.
    pub range: Range,
    /// The wanted messages.
    pub filter: Filter,
    /// An empty line for each disconnect.
    pub with_disconnects: bool,
}

#[derive(Deserialize)]
struct RawFilter<'a> {
    #[serde(borrow)]
    channel: Cow<'a, str>,
    symbols: Option<Vec<Cow<'a, str>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Options<'a> {
    #[serde(borrow)]
    exchange: Cow<'a, str>,
    #[serde(borrow)]
    from: Cow<'a, str>,
    #[serde(borrow)]
    to: Cow<'a, str>,
    #[serde(borrow)]
    filters: Option<Vec<RawFilter<'a>>>,
    with_disconnects: Option<bool>,
}

impl RawOptions {
    /// Parses `options=` of `/replay`.
    ///
    /// # Errors
    /// One line for the client.
    pub fn parse(text: &str) -> Result<Self, String> {
        const WHAT: &str = "options= is a JSON object with exchange, from, to and filters";
        if nests_deeper(text, 4) {
            return Err(WHAT.to_owned());
        }
        let raw: Options<'_> = sonic_rs::from_str(text).map_err(|_| WHAT.to_owned())?;
        Ok(Self {
            venue: exchange(&raw.exchange)?,
            range: Range::parse(&raw.from, &raw.to)?,
            filter: Filter::new(raw.filters.unwrap_or_default())?,
            with_disconnects: raw.with_disconnects.unwrap_or(false),
        })
    }
}

/// A message of which the filter needs type and symbols: both venues' shapes.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    event_type: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    asset_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    price_changes: Option<Vec<Named<'a>>>,
    #[serde(borrow)]
    msg: Option<Named<'a>>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    asset_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    market_ticker: Option<Cow<'a, str>>,
}

/// A subscription of a client: both venues' shapes.
#[derive(Deserialize)]
struct Subscription<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    assets_ids: Option<Vec<Cow<'a, str>>>,
    custom_feature_enabled: Option<bool>,
    #[serde(borrow)]
    cmd: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<Params<'a>>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    channels: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow)]
    market_ticker: Option<Cow<'a, str>>,
    #[serde(borrow)]
    market_tickers: Option<Vec<Cow<'a, str>>>,
}

impl Filter {
    fn new(raw: Vec<RawFilter<'_>>) -> Result<Self, String> {
        let mut filter = Self::default();
        for RawFilter { channel, symbols } in raw {
            filter.add(&channel, symbols.filter(|symbols| !symbols.is_empty()))?;
        }
        Ok(filter)
    }

    /// Parses `filters=` of a data feed.
    ///
    /// # Errors
    /// One line for the client.
    pub fn parse(text: &str) -> Result<Self, String> {
        const WHAT: &str = "filters= is a JSON list of objects with channel and symbols";
        if nests_deeper(text, 3) {
            return Err(WHAT.to_owned());
        }
        Self::new(sonic_rs::from_str(text).map_err(|_| WHAT.to_owned())?)
    }

    fn add(&mut self, channel: &str, symbols: Option<Vec<Cow<'_, str>>>) -> Result<(), String> {
        let new: Symbols = symbols.map(|all| all.into_iter().map(Cow::into_owned).collect());
        let old =
            self.channels.entry(channel.to_owned()).or_insert_with(|| Some(HashSet::default()));
        match (old.as_mut(), new) {
            (Some(old), Some(new)) => old.extend(new),
            (_, None) => *old = None,
            (None, Some(_)) => {}
        }
        let symbols: usize = self.channels.values().flatten().map(HashSet::len).sum();
        if self.channels.len() > TARDIS_TYPES_MAX {
            return Err(format!("channels: at most {TARDIS_TYPES_MAX}"));
        }
        if symbols > TARDIS_SYMBOLS_MAX * TARDIS_TYPES_MAX {
            return Err(format!("symbols: at most {TARDIS_SYMBOLS_MAX}"));
        }
        Ok(())
    }

    /// Adds what a message of a client of `/ws-replay` subscribes to, in the venue's own form; whether it does.
    pub fn on_text(&mut self, text: &str) -> bool {
        if nests_deeper(text, 4) {
            return false;
        }
        let Ok(message) = sonic_rs::from_str::<Subscription<'_>>(text) else { return false };
        if message.kind.as_deref() == Some("market") {
            let symbols = message.assets_ids.unwrap_or_default();
            let custom = ["best_bid_ask", "new_market", "market_resolved"];
            let more = if message.custom_feature_enabled == Some(true) { &custom[..] } else { &[] };
            let channels = ["book", "price_change", "last_trade_price", "tick_size_change"];
            return !symbols.is_empty()
                && channels.iter().chain(more).all(|c| self.add(c, Some(symbols.clone())).is_ok());
        }
        let (Some("subscribe"), Some(params)) = (message.cmd.as_deref(), message.params) else {
            return false;
        };
        let mut symbols = params.market_tickers.unwrap_or_default();
        symbols.extend(params.market_ticker);
        let channels = params.channels.unwrap_or_default();
        let symbols = Some(symbols).filter(|symbols| !symbols.is_empty());
        !channels.is_empty() && channels.iter().all(|c| self.add(c, symbols.clone()).is_ok())
    }

    /// The wanted part of a frame: of a list, the wanted ones of its messages. `None` for a frame that is no JSON.
    pub fn take<'a>(&self, frame: &'a str) -> Option<Cow<'a, str>> {
        match frame.trim_start().as_bytes().first()? {
            b'{' => (self.channels.is_empty() || self.wants(frame)).then_some(Cow::Borrowed(frame)),
            b'[' if self.channels.is_empty() => Some(Cow::Borrowed(frame)),
            b'[' => {
                let mut list = String::new();
                for message in sonic_rs::to_array_iter(frame) {
                    let message = message.ok()?;
                    if self.wants(message.as_raw_str()) {
                        list.push(if list.is_empty() { '[' } else { ',' });
                        list.push_str(message.as_raw_str());
                    }
                }
                list.push(']');
                (list.len() > 1).then_some(Cow::Owned(list))
            }
            _ => None,
        }
    }

    fn wants(&self, message: &str) -> bool {
        let Ok(message) = sonic_rs::from_str::<Message<'_>>(message) else { return false };
        let Some(kind) = message.event_type.as_deref().or(message.kind.as_deref()) else {
            return false;
        };
        let named = |symbols: &Symbols| {
            let Some(symbols) = symbols else { return true };
            let has = |name: &Option<Cow<'_, str>>| {
                name.as_deref().is_some_and(|name| symbols.contains(name))
            };
            has(&message.asset_id)
                || message.msg.as_ref().is_some_and(|msg| has(&msg.market_ticker))
                || message.price_changes.iter().flatten().any(|change| has(&change.asset_id))
        };
        let channel = if kind == "orderbook_snapshot" { "orderbook_delta" } else { kind };
        [kind, channel].iter().any(|name| self.channels.get(*name).is_some_and(named))
    }
}

/// How a raw message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `{"localTimestamp":…,"message":…}`
    Object,
    /// Time, blank, message.
    Line,
    /// As it was received.
    Message,
}

impl Form {
    /// Appends a message. Line breaks between its tokens become blanks.
    pub fn write(self, out: &mut String, receive_ns: u64, message: &str) {
        match self {
            Self::Object => {
                out.push_str(r#"{"localTimestamp":""#);
                push_time(out, receive_ns);
                out.push_str(r#"","message":"#);
            }
            Self::Line => {
                push_time(out, receive_ns);
                out.push(' ');
            }
            Self::Message => return out.push_str(message),
        }
        match message.contains(['\n', '\r']) {
            true => out.push_str(&message.replace(['\n', '\r'], " ")),
            false => out.push_str(message),
        }
        if self == Self::Object {
            out.push('}');
        }
    }
}

/// ISO 8601 with seven decimals of the second: 28 characters.
fn push_time(out: &mut String, ns: u64) {
    let at = jiff::Timestamp::from_nanosecond(i128::from(ns / 100 * 100)).unwrap_or_default();
    // Writing to a string cannot fail.
    let _ = write!(out, "{at:.7}");
}

#[cfg(test)]
mod tests;
