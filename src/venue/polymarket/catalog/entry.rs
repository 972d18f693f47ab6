//! One catalog market: its fields and its classification.
//!
//! Runs on:  the control core (pure).
use super::{depth, is_token};
use crate::base::condition;
use crate::base::id::{MarketId, TokenId};
use crate::base::limits;
use crate::base::price::{Price, Quantity};
use crate::market::info::{
    Closed, EventListing, FeeSchedule, Fees, Listing, MarketInfo, Outcome, Resolution,
};
use crate::venue::listing::push_member;
use crate::venue::skip::{SkipReason, Skipped};
use sonic_rs::{JsonType, JsonValueTrait, LazyValue};
use std::sync::Arc;

/// Final status of the oracle.
const RESOLVED: &str = "resolved";

/// Fields used; a missing or unreadable one has its default.
#[derive(Debug, Default)]
pub(super) struct Entry {
    market: Option<MarketId>,
    /// Numeric id of the market.
    number: String,
    version: Version,
    /// `clobTokenIds`.
    v1_tokens: Vec<String>,
    /// `positionIds`.
    v2_tokens: Vec<String>,
    /// The token ids selected by `version`.
    tokens: Vec<String>,
    outcomes: Vec<String>,
    slug: String,
    question: String,
    start_wall_ns: Option<u64>,
    end_wall_ns: Option<u64>,
    /// Prices of the outcomes as reported by the venue; 1 for the winner once resolved.
    prices: Vec<String>,
    /// Status of the oracle (`proposed`, `disputed`, `resolved`); empty if absent.
    oracle: String,
    tick_size: Option<Price>,
    min_order_size: Option<Quantity>,
    neg_risk: bool,
    /// `None` if a flag is missing or not a boolean.
    active: Option<bool>,
    closed: bool,
    order_book: Option<bool>,
    accepting: Option<bool>,
    /// `comboStatus` is not empty.
    combo: bool,
    /// `rfqEnabled`.
    quotes: bool,
    listing: Listing,
    fees: Fees,
}

/// Members of a market that are kept for clients: they do not change by trading.
const LISTED: [&str; 26] = [
    "acceptingOrdersTimestamp",
    "category",
    "createdAt",
    "eventStartTime",
    "feeSchedule",
    "feeType",
    "feesEnabled",
    "gameId",
    "gameStartTime",
    "groupItemThreshold",
    "groupItemTitle",
    "holdingRewardsEnabled",
    "line",
    "makerBaseFee",
    "marketMakerAddress",
    "negRiskMarketID",
    "negRiskRequestID",
    "onchainEventId",
    "requestId",
    "resolutionSource",
    "restricted",
    "rewardsMaxSpread",
    "rewardsMinSize",
    "secondsDelay",
    "sportsMarketType",
    "takerBaseFee",
];
/// The same of its event.
const LISTED_OF_EVENT: [&str; 10] = [
    "creationDate",
    "enableNegRisk",
    "endDate",
    "gameId",
    "negRisk",
    "negRiskAugmented",
    "negRiskMarketID",
    "seriesSlug",
    "startDate",
    "startTime",
];

fn event(value: &LazyValue<'_>) -> Option<Arc<EventListing>> {
    let mut event = EventListing::default();
    for (key, value) in value.clone().into_object_iter()?.flatten() {
        match &*key {
            "id" => event.id = number(&value).unwrap_or_default(),
            "slug" => event.slug = text(&value).unwrap_or_default(),
            "title" => event.title = text(&value).unwrap_or_default(),
            name if LISTED_OF_EVENT.contains(&name) => {
                push_member(&mut event.members, name, &value);
            }
            _ => {}
        }
    }
    (!event.id.is_empty()).then(|| Arc::new(event))
}

fn fee_schedule(value: &LazyValue<'_>) -> Option<FeeSchedule> {
    Some(FeeSchedule {
        rate: number(&value.get("rate")?)?,
        exponent: number(&value.get("exponent")?)?,
        taker_only: value.get("takerOnly").as_ref().and_then(flag) == Some(true),
    })
}

/// Selects the field with the token ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Version {
    /// Missing or empty: recorded before there was a second version.
    #[default]
    Missing,
    V1,
    V2,
    Unknown(String),
}

impl Version {
    fn read(value: &LazyValue<'_>) -> Self {
        match text(value) {
            _ if value.is_null() => Self::Missing,
            Some(version) if version.is_empty() => Self::Missing,
            Some(version) if version == "v1" => Self::V1,
            Some(version) if version == "v2" => Self::V2,
            version => Self::Unknown(version.unwrap_or_else(|| value.as_raw_str().to_owned())),
        }
    }
}

/// Classification of an entry.
#[derive(Debug)]
pub(super) enum Classified {
    /// Has an order book.
    Streamable(Box<MarketInfo>),
    /// Closed by the venue.
    Closed(Closed),
    /// Not followed.
    Skip(Skipped),
}

impl Entry {
    /// One pass over the object's keys; unknown keys are ignored.
    pub(super) fn read(object: &LazyValue<'_>) -> Self {
        let mut entry = Self::default();
        for (key, value) in object.clone().into_object_iter().into_iter().flatten().flatten() {
            match &*key {
                "conditionId" => {
                    entry.market = text(&value).and_then(|id| condition::market_id(&id));
                }
                "id" => entry.number = number(&value).unwrap_or_default(),
                "version" => entry.version = Version::read(&value),
                "clobTokenIds" => entry.v1_tokens = list(&value),
                "positionIds" => entry.v2_tokens = list(&value),
                "comboStatus" => entry.combo = text(&value).is_some_and(|state| !state.is_empty()),
                "rfqEnabled" => entry.quotes = flag(&value) == Some(true),
                "outcomes" => entry.outcomes = list(&value),
                "slug" => entry.slug = text(&value).unwrap_or_default(),
                "question" => entry.question = text(&value).unwrap_or_default(),
                "startDate" => entry.start_wall_ns = text(&value).and_then(|date| wall_ns(&date)),
                "outcomePrices" => entry.prices = list(&value),
                // The name since protocol V2 is `resolutionStatus` (polymarket/protocol.md, 6).
                "umaResolutionStatus" | "resolutionStatus" => {
                    let status = text(&value).unwrap_or_default().to_ascii_lowercase();
                    if entry.oracle != RESOLVED && !status.is_empty() {
                        entry.oracle = status;
                    }
                }
                "endDate" => entry.end_wall_ns = text(&value).and_then(|date| wall_ns(&date)),
                "orderPriceMinTickSize" => {
                    entry.tick_size = number(&value).and_then(|n| Price::parse(n.as_bytes()));
                }
                "orderMinSize" => {
                    entry.min_order_size =
                        number(&value).and_then(|n| Quantity::parse(n.as_bytes()));
                }
                "negRisk" => entry.neg_risk = flag(&value) == Some(true),
                "active" => entry.active = flag(&value),
                "closed" => entry.closed = flag(&value) == Some(true),
                "enableOrderBook" => entry.order_book = flag(&value),
                "acceptingOrders" => entry.accepting = flag(&value),
                name => entry.read_listing(name, &value),
            }
            if LISTED.contains(&&*key) {
                push_member(&mut entry.listing.members, &key, &value);
            }
        }
        entry.listing.number.clone_from(&entry.number);
        if entry.fees != Fees::default() {
            entry.listing.fees = Some(std::mem::take(&mut entry.fees));
        }
        entry.tokens = match entry.version {
            Version::V1 => std::mem::take(&mut entry.v1_tokens),
            Version::Missing if entry.v2_tokens.is_empty() => std::mem::take(&mut entry.v1_tokens),
            Version::V2 => std::mem::take(&mut entry.v2_tokens),
            Version::Missing | Version::Unknown(_) => Vec::new(),
        };
        entry
    }

    /// Fields that no book needs.
    fn read_listing(&mut self, name: &str, value: &LazyValue<'_>) {
        let bps = || number(value).and_then(|text| text.parse().ok()).unwrap_or(0);
        match name {
            "questionID" => self.listing.question_id = text(value).unwrap_or_default(),
            "makerBaseFee" => self.fees.maker_bps = bps(),
            "takerBaseFee" => self.fees.taker_bps = bps(),
            "feeSchedule" => self.fees.schedule = fee_schedule(value),
            "clobRewards" => {
                self.listing.has_rewards =
                    value.clone().into_array_iter().is_some_and(|mut list| list.next().is_some());
            }
            "events" => {
                let first = value.clone().into_array_iter().and_then(|mut list| list.next());
                self.listing.event = first.and_then(Result::ok).as_ref().and_then(event);
            }
            _ => {}
        }
    }

    /// The resolution from the outcome prices: one at 1 and all others at 0 is the winner. Equal prices are a split
    /// only if the oracle has resolved the market, as a market without trades has them too. While the oracle is in
    /// another state nothing is decided.
    fn resolution(&self) -> Resolution {
        let parsed = self.prices.iter().map(|text| Price::parse(text.as_bytes()));
        let prices = parsed.collect::<Option<Vec<Price>>>().unwrap_or_default();
        let is_resolved = self.oracle == RESOLVED;
        if prices.len() != self.tokens.len() || !(is_resolved || self.oracle.is_empty()) {
            return Resolution::default();
        }
        let of = |wanted: Price| prices.iter().filter(|price| **price == wanted).count();
        if of(Price::ONE) == 1 && of(Price::ZERO) + 1 == prices.len() {
            let place = prices.iter().position(|price| *price == Price::ONE);
            let token = place.and_then(|place| self.tokens.get(place));
            let winner = token.and_then(|token| TokenId::new(token));
            return Resolution { winner, ..Resolution::default() }.completed(&self.named());
        }
        let half = Price(Price::ONE.0 / 2);
        if is_resolved && prices == [half, half] {
            return Resolution {
                winner: None,
                result: Some(Resolution::SPLIT.to_owned()),
                settlement_value: Some(half),
            };
        }
        Resolution::default()
    }

    fn named(&self) -> Vec<Outcome> {
        let names = self.outcomes.iter();
        let pairs = self.tokens.iter().zip(names);
        let outcome = |(token, name): (&String, &String)| {
            Some(Outcome { token: TokenId::new(token)?, name: name.clone() })
        };
        pairs.filter_map(outcome).collect()
    }

    pub(super) fn judge(self) -> Classified {
        let Some(market) = self.market else { return self.skip(SkipReason::BadId) };
        if self.closed {
            let resolution = self.resolution();
            return Classified::Closed(Closed { market, resolution });
        }
        if let Some(reason) = self.without_book() {
            return self.skip(reason);
        }
        let mut tokens = Vec::with_capacity(self.tokens.len());
        for (i, text) in self.tokens.iter().enumerate() {
            let Some(token) = TokenId::new(text).filter(|_| is_token(text)) else {
                return self.skip(SkipReason::BadToken);
            };
            let name = self.outcomes.get(i).cloned().unwrap_or_else(|| format!("outcome {i}"));
            tokens.push(Outcome { token, name });
        }
        if tokens[0].token == tokens[1].token {
            return self.skip(SkipReason::BadToken);
        }
        Classified::Streamable(Box::new(MarketInfo {
            market,
            tokens,
            slug: self.slug,
            question: self.question,
            start_wall_ns: self.start_wall_ns,
            end_wall_ns: self.end_wall_ns,
            tick_size: self.tick_size.filter(|tick| *tick > Price::ZERO),
            min_order_size: self.min_order_size,
            neg_risk: self.neg_risk,
            listing: Some(Arc::new(self.listing)),
        }))
    }

    /// Why there is no book. An explicit flag takes precedence over a missing one.
    fn without_book(&self) -> Option<SkipReason> {
        let flags = [self.active, self.order_book, self.accepting];
        let listed = flags == [Some(true); 3] && self.tokens.len() == 2;
        // A market with an order book may also have quotes or be part of combos: these are reasons only if the book is
        // missing.
        Some(match flags {
            _ if self.combo && !listed => SkipReason::Combo,
            _ if self.quotes && !listed => SkipReason::QuotesOnly,
            [Some(false), ..] => SkipReason::Inactive,
            [_, Some(false), _] => SkipReason::NoOrderBook,
            [.., Some(false)] => SkipReason::NotAccepting,
            [Some(true), Some(true), Some(true)] => match self.version {
                Version::Unknown(_) => SkipReason::UnknownVersion,
                Version::Missing if !self.v2_tokens.is_empty() => SkipReason::NoVersion,
                _ if self.tokens.len() != 2 => SkipReason::NotTwoTokens,
                _ => return None,
            },
            _ => SkipReason::NoFlag,
        })
    }

    fn skip(self, reason: SkipReason) -> Classified {
        let mut name = if self.slug.is_empty() { self.number } else { self.slug };
        if let Version::Unknown(version) = &self.version {
            name.truncate(name.floor_char_boundary(limits::SKIPPED_NAME_BYTES_MAX / 2));
            name = format!("{name}, version {version}");
        }
        Classified::Skip(Skipped::new(self.market, &name, reason))
    }
}

/// A string, unescaped, cut at a character boundary.
fn text(value: &LazyValue<'_>) -> Option<String> {
    let text = value.as_str()?;
    let mut end = text.len().min(limits::CATALOG_TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Some(text[..end].to_owned())
}

/// The text of a number, or the content of a string.
fn number(value: &LazyValue<'_>) -> Option<String> {
    match value.get_type() {
        JsonType::Number => Some(value.as_raw_str().to_owned()),
        JsonType::String => value.as_str().map(|text| text.trim().to_owned()),
        _ => None,
    }
}

/// A boolean, or a string that holds one.
fn flag(value: &LazyValue<'_>) -> Option<bool> {
    value.as_bool().or_else(|| value.as_str()?.parse().ok())
}

/// An array of strings or numbers, or a string that holds one; empty for other types.
fn list(value: &LazyValue<'_>) -> Vec<String> {
    if let Some(inner) = value.as_str() {
        if depth::too_deep(inner.as_bytes(), 1).is_some() {
            return Vec::new();
        }
        let Ok(inner) = sonic_rs::from_str::<LazyValue<'_>>(inner) else { return Vec::new() };
        return if inner.is_array() { list(&inner) } else { Vec::new() };
    }
    let mut texts = Vec::new();
    for item in value.clone().into_array_iter().into_iter().flatten() {
        let Ok(item) = item else { return Vec::new() };
        let item = if item.is_number() { number(&item) } else { text(&item) };
        texts.push(item.unwrap_or_default());
    }
    texts
}

/// Nanoseconds since 1970 of `2026-03-12T09:25:00Z` or `2026-07-24 00:00:16+00`; `None` before 1970, after 2554 and for
/// other forms.
fn wall_ns(date: &str) -> Option<u64> {
    let timestamp: jiff::Timestamp = date.trim().parse().ok()?;
    u64::try_from(timestamp.as_nanosecond()).ok()
}
