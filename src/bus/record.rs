//! Records of the bus: which topic and key one has, and what is in it.
//!
//! Runs on:  any (pure).
//!
//! A record is an event of the gateway's stream, as `gateway::stream::encode` writes it, or one of the bus itself:
//! `loss` and `engine`.
use crate::base::id::{MarketId, TokenId, Venue};
use crate::base::price::{Price, Quantity};
use crate::market::book::Level;
use crate::market::info::{Listing, MarketEvent, MarketInfo, MarketStage, Outcome, Resolution};
use serde::Deserialize;
use std::borrow::Cow;
use std::sync::Arc;

/// Where records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Trades, by token.
    Trades,
    /// Snapshots, changes, price steps and states of books, by token.
    Books,
    /// The last best prices and state of each token; compacted.
    Tops,
    /// The last stage of each market; compacted.
    Markets,
    /// States of books by token; losses, beginning and end of engines by the engine's name.
    Events,
    /// Claims of the members of clusters on slices; a partition for each slice, compacted. Only clusters have it.
    Slices,
}

impl Topic {
    /// Those of every bus.
    pub const ALL: [Self; 5] = [Self::Trades, Self::Books, Self::Tops, Self::Markets, Self::Events];

    /// What follows the prefix and a dot.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trades => "trades",
            Self::Books => "books",
            Self::Tops => "tops",
            Self::Markets => "markets",
            Self::Events => "events",
            Self::Slices => "slices",
        }
    }

    /// The topic of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().chain([Self::Slices]).find(|topic| topic.name() == name)
    }

    /// The topic's whole name.
    #[must_use]
    pub fn full_name(self, prefix: &str) -> String {
        format!("{prefix}.{}", self.name())
    }

    /// Whether only the last record of a key counts.
    #[must_use]
    pub const fn is_compacted(self) -> bool {
        matches!(self, Self::Tops | Self::Markets | Self::Slices)
    }

    /// Where an event of the stream goes: the state of a book is one of its records too.
    #[must_use]
    pub fn of_kind(kind: &str) -> &'static [Self] {
        match kind {
            "trade" => &[Self::Trades],
            "snapshot" | "change" | "tick" => &[Self::Books],
            "state" => &[Self::Books, Self::Events],
            "top" => &[Self::Tops],
            "market" => &[Self::Markets],
            _ => &[],
        }
    }
}

/// What the publisher needs of an event of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHead<'a> {
    /// The kind.
    pub kind: &'a str,
    /// The token; of a market's event, the market.
    pub key: &'a str,
    /// The market.
    pub market: &'a str,
}

impl<'a> RecordHead<'a> {
    /// Reads the first fields in the order in which the stream writes them: whole records are parsed by readers only.
    /// `None` for an error, which has no sequence number.
    #[must_use]
    pub fn read(text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix(r#"{"sequence":"#)?;
        let (_, rest) = rest.split_once(r#","kind":""#)?;
        let (kind, rest) = rest.split_once(r#"","venue":""#)?;
        let (_, rest) = rest.split_once(r#"","market":""#)?;
        let (market, rest) = rest.split_once('"')?;
        let token = rest.strip_prefix(r#","token":""#).and_then(|rest| rest.split_once('"'));
        Some(Self { kind, key: token.map_or(market, |(token, _)| token), market })
    }
}

/// A level as `[price, size]`.
type TextLevel<'a> = (Cow<'a, str>, Cow<'a, str>);

/// A whole record; fields that its kind has not are absent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Record<'a> {
    #[serde(borrow)]
    pub(super) kind: Cow<'a, str>,
    pub(super) sequence: u64,
    #[serde(borrow)]
    pub(super) venue: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) market: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) token: Cow<'a, str>,
    pub(super) version: u64,
    pub(super) venue_time: u64,
    pub(super) receive_time: u64,
    #[serde(borrow)]
    pub(super) state: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) reason: Option<Cow<'a, str>>,
    pub(super) gap: bool,
    #[serde(borrow)]
    pub(super) bids: Vec<TextLevel<'a>>,
    #[serde(borrow)]
    pub(super) asks: Vec<TextLevel<'a>>,
    #[serde(borrow)]
    pub(super) tick_size: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) min_order_size: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) last_trade_price: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) old: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) new: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) price: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) size: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) side: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) fee_rate_bps: Option<Cow<'a, str>>,
    /// Of `loss`.
    pub(super) trades: u64,
}

impl<'a> Record<'a> {
    /// # Errors
    /// The text is no record.
    pub(super) fn parse(text: &'a str) -> Result<Self, String> {
        sonic_rs::from_str(text).map_err(|error| format!("no record: {error}"))
    }
}

/// The market of a record of the topic `markets`; if it has ended, when that was published, nanoseconds since the Unix
/// epoch.
pub(super) fn market_end(text: &str) -> Option<(&str, Option<u64>)> {
    let market = RecordHead::read(text)?.market;
    let (_, rest) = text.split_once(r#","receive_time":"#)?;
    let (time, rest) = rest.split_once(r#","stage":""#)?;
    let has_ended = rest.starts_with("ended") || rest.starts_with("resolved");
    Some((market, has_ended.then(|| time.parse().ok()).flatten()))
}

/// A token of a market's record.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OutcomeRecord {
    token: String,
    outcome: String,
}

/// A record of the topic `markets`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct MarketRecord {
    venue: String,
    market: String,
    stage: String,
    slug: String,
    question: String,
    outcomes: Vec<OutcomeRecord>,
    tick_size: Option<String>,
    min_order_size: Option<String>,
    neg_risk: bool,
    listing: Option<Arc<Listing>>,
    start_time: Option<u64>,
    end_time: Option<u64>,
    winner: Option<String>,
    result: Option<String>,
    settlement_value: Option<String>,
}

/// The venue and the event of a record of the topic `markets`.
///
/// # Errors
/// The text is no such record.
pub fn market_event(text: &str) -> Result<(Venue, MarketEvent), String> {
    let record: MarketRecord =
        sonic_rs::from_str(text).map_err(|error| format!("no record of a market: {error}"))?;
    let stage = match &*record.stage {
        "new" => MarketStage::New,
        "opened" => MarketStage::Opened,
        "ended" => MarketStage::Ended,
        "resolved" => MarketStage::Resolved,
        other => return Err(format!("a market has no stage {other}")),
    };
    let outcome = |outcome: OutcomeRecord| {
        TokenId::new(&outcome.token).map(|token| Outcome { token, name: outcome.outcome })
    };
    let tokens: Option<Vec<Outcome>> = record.outcomes.into_iter().map(outcome).collect();
    let tokens = tokens.filter(|tokens| !tokens.is_empty());
    let ids = Venue::parse(&record.venue).zip(MarketId::new(&record.market)).zip(tokens);
    let ((venue, market), tokens) = ids.ok_or("a market without venue, id or tokens")?;
    let price = |text: Option<String>| Price::parse(text?.as_bytes());
    let resolution = (stage == MarketStage::Resolved).then(|| Resolution {
        winner: record.winner.as_deref().and_then(TokenId::new),
        result: record.result,
        settlement_value: price(record.settlement_value),
    });
    let info = MarketInfo {
        market,
        tokens,
        slug: record.slug,
        question: record.question,
        start_wall_ns: record.start_time,
        end_wall_ns: record.end_time,
        tick_size: price(record.tick_size),
        min_order_size: record.min_order_size.and_then(|text| Quantity::parse(text.as_bytes())),
        neg_risk: record.neg_risk,
        listing: record.listing,
    };
    Ok((venue, MarketEvent { stage, info, resolution, is_repeated: false }))
}

/// # Errors
/// A level that is none.
pub(super) fn levels(texts: &[TextLevel<'_>]) -> Result<Vec<Level>, String> {
    let level = |(price, size): &TextLevel<'_>| {
        let level = Price::parse(price.as_bytes()).zip(Quantity::parse(size.as_bytes()));
        let (price, quantity) = level.ok_or_else(|| format!("no level: {price} {size}"))?;
        Ok(Level { price, quantity })
    };
    texts.iter().map(level).collect()
}

#[cfg(test)]
mod tests;
