//! One market of the catalogue: its fields as they come, and the verdict on it.
//!
//! Runs on:  the control core (pure).
use super::{SkipReason, depth};
use crate::base::id::{MarketId, TokenId};
use crate::base::limits;
use crate::base::price::{Price, Quantity};
use crate::market::info::{Closed, MarketInfo, Outcome, Resolution};
use sonic_rs::{JsonType, JsonValueTrait, LazyValue};

/// The oracle's last status.
const RESOLVED: &str = "resolved";

/// The fields that matter; whatever is missing or unreadable has its default.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) market: Option<MarketId>,
    tokens: Vec<String>,
    outcomes: Vec<String>,
    slug: String,
    question: String,
    start_wall_ns: Option<u64>,
    end_wall_ns: Option<u64>,
    /// What each outcome is worth, by the venue; at the end 1 for the one that happened.
    prices: Vec<String>,
    /// Where the venue's oracle is with it (`proposed`, `disputed`, `resolved`); empty where it does not say.
    oracle: String,
    tick_size: Option<Price>,
    min_order_size: Option<Quantity>,
    neg_risk: bool,
    active: bool,
    closed: bool,
    order_book: bool,
    accepting: bool,
}

/// What is done with an entry.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It has a live book.
    Streamable(Box<MarketInfo>),
    /// The venue has closed it.
    Closed(Closed),
    /// It gives no book.
    Skip(SkipReason),
}

impl Entry {
    /// One pass over the object's keys; unknown ones are passed over.
    pub(super) fn read(object: &LazyValue<'_>) -> Self {
        let mut entry = Self::default();
        for (key, value) in object.clone().into_object_iter().into_iter().flatten().flatten() {
            match &*key {
                "conditionId" => entry.market = text(&value).and_then(|id| MarketId::new(&id)),
                "clobTokenIds" => entry.tokens = list(&value),
                "outcomes" => entry.outcomes = list(&value),
                "slug" => entry.slug = text(&value).unwrap_or_default(),
                "question" => entry.question = text(&value).unwrap_or_default(),
                "startDate" => entry.start_wall_ns = text(&value).and_then(|date| wall_ns(&date)),
                "outcomePrices" => entry.prices = list(&value),
                // The second is the name since protocol V2 (polymarket.md, 11).
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
                "negRisk" => entry.neg_risk = flag(&value),
                "active" => entry.active = flag(&value),
                "closed" => entry.closed = flag(&value),
                "enableOrderBook" => entry.order_book = flag(&value),
                "acceptingOrders" => entry.accepting = flag(&value),
                _ => {}
            }
        }
        entry
    }

    /// How it was decided, by the prices of its outcomes. One of a dollar beside others of nothing has won. Equal
    /// ones are a shared stake only where the oracle has resolved the market: they are also what a market without
    /// trades has. Nothing is decided while the oracle is not done.
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

    /// The tokens with their outcomes' names.
    fn named(&self) -> Vec<Outcome> {
        let names = self.outcomes.iter();
        let pairs = self.tokens.iter().zip(names);
        let outcome = |(token, name): (&String, &String)| {
            Some(Outcome { token: TokenId::new(token)?, name: name.clone() })
        };
        pairs.filter_map(outcome).collect()
    }

    pub(super) fn judge(self) -> Verdict {
        let Some(market) = self.market else { return Verdict::Skip(SkipReason::BadId) };
        if self.closed {
            let resolution = self.resolution();
            return Verdict::Closed(Closed { market, resolution });
        }
        let reason = if !self.active {
            Some(SkipReason::Inactive)
        } else if !self.order_book {
            Some(SkipReason::NoOrderBook)
        } else if !self.accepting {
            Some(SkipReason::NotAccepting)
        } else if self.tokens.len() != 2 {
            Some(SkipReason::NotTwoTokens)
        } else {
            None
        };
        if let Some(reason) = reason {
            return Verdict::Skip(reason);
        }
        let mut tokens = Vec::with_capacity(self.tokens.len());
        for (i, text) in self.tokens.iter().enumerate() {
            let Some(token) = TokenId::new(text) else {
                return Verdict::Skip(SkipReason::BadToken);
            };
            let name = self.outcomes.get(i).cloned().unwrap_or_else(|| format!("outcome {i}"));
            tokens.push(Outcome { token, name });
        }
        if tokens[0].token == tokens[1].token {
            return Verdict::Skip(SkipReason::BadToken);
        }
        Verdict::Streamable(Box::new(MarketInfo {
            market,
            tokens,
            slug: self.slug,
            question: self.question,
            start_wall_ns: self.start_wall_ns,
            end_wall_ns: self.end_wall_ns,
            tick_size: self.tick_size.filter(|tick| *tick > Price::ZERO),
            min_order_size: self.min_order_size,
            neg_risk: self.neg_risk,
        }))
    }
}

/// A string, unescaped, cut at a character's end.
fn text(value: &LazyValue<'_>) -> Option<String> {
    let text = value.as_str()?;
    let mut end = text.len().min(limits::CATALOGUE_TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Some(text[..end].to_owned())
}

/// The digits of a number, or the content of a string.
fn number(value: &LazyValue<'_>) -> Option<String> {
    match value.get_type() {
        JsonType::Number => Some(value.as_raw_str().to_owned()),
        JsonType::String => value.as_str().map(|text| text.trim().to_owned()),
        _ => None,
    }
}

/// `true`, also as a string; everything else is false.
fn flag(value: &LazyValue<'_>) -> bool {
    value.as_bool().unwrap_or_else(|| value.as_str() == Some("true"))
}

/// An array of strings or numbers, or a string that holds one; empty when it is neither.
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

/// Nanoseconds since 1970 of `2026-03-12T09:25:00Z` or `2026-07-24 00:00:16+00`; `None` before
/// 1970, after 2554 and for anything else.
fn wall_ns(date: &str) -> Option<u64> {
    let timestamp: jiff::Timestamp = date.trim().parse().ok()?;
    u64::try_from(timestamp.as_nanosecond()).ok()
}
