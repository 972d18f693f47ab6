//! One catalog market: its fields and its classification.
//!
//! Runs on:  the control core (pure).
use super::super::resolution;
use super::{Listed, MarketPhase, entries};
use crate::base::id::{MarketId, TokenId};
use crate::base::limits;
use crate::base::price::Price;
use crate::market::info::{Closed, EventListing, Listing, MarketInfo, Outcome};
use crate::venue::listing::push_member;
use crate::venue::skip::{SkipReason, Skipped};
use sonic_rs::{JsonValueTrait, LazyValue};
use std::sync::Arc;

/// Event fields that apply to its markets.
#[derive(Debug, Default)]
pub(super) struct Event {
    title: String,
    mutually_exclusive: bool,
    /// `None` of a market that was not listed within its event.
    listing: Option<Arc<EventListing>>,
}

impl Event {
    /// One pass over the object's keys.
    pub(super) fn read(object: &LazyValue<'_>) -> Self {
        let (mut listing, mut mutually_exclusive) = (EventListing::default(), false);
        for (key, value) in object.clone().into_object_iter().into_iter().flatten().flatten() {
            match &*key {
                "event_ticker" => listing.id = text(&value).unwrap_or_default(),
                "series_ticker" => listing.slug = text(&value).unwrap_or_default(),
                "title" => listing.title = text(&value).unwrap_or_default(),
                "mutually_exclusive" => mutually_exclusive = value.as_bool() == Some(true),
                _ => {}
            }
            if LISTED_OF_EVENT.contains(&&*key) {
                push_member(&mut listing.members, &key, &value);
            }
        }
        let title = listing.title.clone();
        Self { title, mutually_exclusive, listing: Some(Arc::new(listing)) }
    }
}

/// Members of a market that are kept for clients: they do not change by trading.
const LISTED: [&str; 26] = [
    "can_close_early",
    "cap_strike",
    "created_time",
    "custom_strike",
    "early_close_condition",
    "exchange_index",
    "expected_expiration_time",
    "expiration_time",
    "floor_strike",
    "functional_strike",
    "latest_expiration_time",
    "market_type",
    "mve_collection_ticker",
    "no_sub_title",
    "notional_value_dollars",
    "occurrence_datetime",
    "price_level_structure",
    "price_ranges",
    "rules_primary",
    "rules_secondary",
    "settlement_bounds_type",
    "settlement_floor_dollars",
    "settlement_timer_seconds",
    "strike_type",
    "title",
    "yes_sub_title",
];
/// The same of its event.
const LISTED_OF_EVENT: [&str; 10] = [
    "available_on_brokers",
    "category",
    "collateral_return_type",
    "exchange_index",
    "mutually_exclusive",
    "product_metadata",
    "settlement_sources",
    "strike_date",
    "strike_period",
    "sub_title",
];

/// Fields used; a missing or unreadable one has its default.
#[derive(Debug, Default)]
pub(super) struct Entry {
    ticker: Option<(MarketId, TokenId)>,
    status: Option<Status>,
    /// The `status` text, if it is unknown.
    status_text: String,
    result: Option<String>,
    /// Payout of YES: `settlement_value_dollars`, or `settlement_value` in cents (until 2026-03).
    settles_at: Option<Price>,
    settles_at_cents: Option<Price>,
    title: String,
    yes_sub_title: String,
    open_wall_ns: Option<u64>,
    close_wall_ns: Option<u64>,
    tick_size: Option<Price>,
    event_ticker: String,
    members: String,
}

#[derive(Clone, Copy, Debug)]
enum Status {
    Alive(MarketPhase),
    Over,
}

/// Classification of an entry.
#[derive(Debug)]
pub(super) enum Classified {
    /// Tradable now or later.
    Listed(Box<Listed>),
    /// Trading is over.
    Closed(Closed),
    /// Unusable.
    Skip(Skipped),
}

impl Entry {
    /// One pass over the object's keys; unknown keys are ignored.
    pub(super) fn read(object: &LazyValue<'_>) -> Self {
        let mut entry = Self::default();
        for (key, value) in object.clone().into_object_iter().into_iter().flatten().flatten() {
            match &*key {
                "ticker" => entry.ticker = value.as_str().and_then(ids),
                "status" => {
                    entry.status = value.as_str().and_then(status);
                    if entry.status.is_none() {
                        entry.status_text = cut(value.as_raw_str()).to_owned();
                    }
                }
                "result" => entry.result = value.as_str().map(str::to_owned),
                "settlement_value_dollars" => {
                    entry.settles_at =
                        value.as_str().and_then(|text| Price::parse(text.as_bytes()));
                }
                "settlement_value" => {
                    let cents = value.as_u64().and_then(|cents| u32::try_from(cents).ok());
                    entry.settles_at_cents = cents.filter(|&c| c <= 100).map(|c| Price(c * 10_000));
                }
                "title" => entry.title = text(&value).unwrap_or_default(),
                "yes_sub_title" => entry.yes_sub_title = text(&value).unwrap_or_default(),
                "open_time" => entry.open_wall_ns = wall_ns(&value),
                "close_time" => entry.close_wall_ns = wall_ns(&value),
                "price_ranges" => entry.tick_size = smallest_step(&value),
                "event_ticker" => entry.event_ticker = text(&value).unwrap_or_default(),
                _ => {}
            }
            if LISTED.contains(&&*key) {
                push_member(&mut entry.members, &key, &value);
            }
        }
        entry
    }

    pub(super) fn judge(self, event: &Event) -> Classified {
        let Some((market, token)) = self.ticker else {
            return Classified::Skip(Skipped::new(None, &self.title, SkipReason::BadId));
        };
        let phase = match self.status {
            Some(Status::Alive(phase)) => phase,
            Some(Status::Over) => {
                let result = self.result.as_deref();
                let settles_at = self.settles_at.or(self.settles_at_cents);
                let resolution = resolution(token, result, settles_at);
                return Classified::Closed(Closed { market, resolution });
            }
            None => {
                let status = format!("status {}", self.status_text);
                let reason = SkipReason::UnknownStatus;
                return Classified::Skip(Skipped::new(Some(market), &status, reason));
            }
        };
        let opens = phase == MarketPhase::Initialized;
        Classified::Listed(Box::new(Listed {
            opens_wall_ns: self.open_wall_ns.filter(|_| opens),
            status: phase,
            info: MarketInfo {
                market,
                tokens: vec![Outcome { token, name: "Yes".to_owned() }],
                slug: market.as_str().to_owned(),
                question: self.question(event),
                start_wall_ns: self.open_wall_ns,
                end_wall_ns: self.close_wall_ns,
                tick_size: self.tick_size,
                min_order_size: None,
                neg_risk: event.mutually_exclusive,
                listing: Some(Arc::new(self.listing(event))),
            },
        }))
    }

    fn listing(mut self, event: &Event) -> Listing {
        let alone = || {
            let id = std::mem::take(&mut self.event_ticker);
            Arc::new(EventListing { id, ..EventListing::default() })
        };
        let event = event.listing.clone().unwrap_or_else(alone);
        Listing { members: self.members, event: Some(event), ..Listing::default() }
    }

    /// The title, followed by the meaning of YES unless the title contains it. A market's `title` is deprecated by the
    /// venue; the event's replaces it.
    fn question(&self, event: &Event) -> String {
        let title = if self.title.is_empty() { &event.title } else { &self.title };
        let yes = self.yes_sub_title.as_str();
        let question = match (title.is_empty(), title.contains(yes)) {
            (true, _) => yes.to_owned(),
            (false, true) => title.clone(),
            (false, false) => format!("{title}: {yes}"),
        };
        cut(&question).to_owned()
    }
}

/// A ticker is both market and token id; `None` if it fits neither.
fn ids(ticker: &str) -> Option<(MarketId, TokenId)> {
    MarketId::new(ticker).zip(TokenId::new(ticker))
}

/// Market statuses differ from the `status` query filters; both are accepted.
fn status(name: &str) -> Option<Status> {
    Some(match name {
        "initialized" | "unopened" => Status::Alive(MarketPhase::Initialized),
        "active" | "open" => Status::Alive(MarketPhase::Active),
        "inactive" | "paused" => Status::Alive(MarketPhase::Inactive),
        "closed" | "determined" | "disputed" | "amended" | "finalized" | "settled" => Status::Over,
        _ => return None,
    })
}

fn smallest_step(ranges: &LazyValue<'_>) -> Option<Price> {
    let steps = entries(ranges).filter_map(|range| {
        let step = range.get("step")?;
        Price::parse(step.as_str()?.as_bytes())
    });
    steps.filter(|step| *step > Price::ZERO).min()
}

/// A string, unescaped and cut.
fn text(value: &LazyValue<'_>) -> Option<String> {
    value.as_str().map(|text| cut(text).to_owned())
}

/// Cut at a character boundary.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(limits::CATALOG_TEXT_BYTES_MAX)]
}

/// Nanoseconds since 1970 of `2026-08-07T06:46:28.97871Z`; `None` before 1970 (the venue writes the year 1 for
/// "never"), after 2554 and for other forms.
pub(super) fn wall_ns(value: &LazyValue<'_>) -> Option<u64> {
    let timestamp: jiff::Timestamp = value.as_str()?.parse().ok()?;
    u64::try_from(timestamp.as_nanosecond()).ok()
}
