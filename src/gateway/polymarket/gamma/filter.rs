//! Filter, order and page of a query.
//!
//! Runs on:  serve core (pure).
use super::encode::number;
use super::{LIMIT_DEFAULT, OFFSET_MAX};
use crate::base::condition;
use crate::base::id::{MarketId, TokenId};
use crate::gateway::catalog::{Catalog, Listed, ListedEvent, Order, PageRequest, Position};
use crate::gateway::polymarket::markets::{is_open, listing};
use crate::gateway::rest::{Answer, pairs};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::borrow::Cow;

/// Filters by what the engine does not hold.
const NOT_HELD: [&str; 32] = [
    "cyom",
    "event_date",
    "event_week",
    "exclude_tag_id",
    "featured",
    "game_id",
    "live",
    "liquidity_max",
    "liquidity_min",
    "liquidity_num_max",
    "liquidity_num_min",
    "market_maker_address",
    "onchain_event_ids",
    "parent_event_id",
    "partner_slug",
    "recurrence",
    "request_ids",
    "resolution_status",
    "rewards_min_size",
    "rfq_enabled",
    "series_id",
    "sports_market_types",
    "start_time_max",
    "start_time_min",
    "tag_id",
    "tag_slug",
    "uma_resolution_status",
    "version",
    "volume_max",
    "volume_min",
    "volume_num_max",
    "volume_num_min",
];

#[derive(Debug, Default)]
pub(super) struct Filter<'q> {
    ids: Vec<Cow<'q, str>>,
    slugs: Vec<Cow<'q, str>>,
    pub(super) conditions: Vec<MarketId>,
    pub(super) tokens: Vec<TokenId>,
    questions: Vec<Cow<'q, str>>,
    title: Option<String>,
    is_none_wanted: bool,
    closed: bool,
    active: Option<bool>,
    archived: bool,
    /// Lowest and highest start and end, nanoseconds since the Unix epoch.
    start: (u64, u64),
    end: (u64, u64),
    pub(super) page: PageRequest,
    pub(super) is_keyset: bool,
}

impl<'q> Filter<'q> {
    pub(super) fn read(query: &'q str, limit_max: usize, is_keyset: bool) -> Result<Self, Answer> {
        let mut filter = Self { is_keyset, ..Self::default() };
        (filter.start.1, filter.end.1) = (u64::MAX, u64::MAX);
        filter.page.limit = LIMIT_DEFAULT;
        let mut ascending = None;
        for (key, value) in pairs(query) {
            // Clients name a list as `key=a&key=b` or `key=a,b`.
            let list = || value.split(',').map(|item| Cow::Owned(item.to_owned()));
            match key {
                "id" => filter.ids.extend(list()),
                "slug" => filter.slugs.extend(list()),
                "question_ids" => filter.questions.extend(list()),
                "condition_ids" => {
                    let all = list().map(|item| condition::market_id(&item));
                    filter.add(all, |filter| &mut filter.conditions);
                }
                "clob_token_ids" | "position_ids" => {
                    let all = list().map(|item| TokenId::new(&item));
                    filter.add(all, |filter| &mut filter.tokens);
                }
                "title_search" => filter.title = Some(value.to_lowercase()),
                "closed" => filter.closed = truth(&value)?,
                "active" => filter.active = Some(truth(&value)?),
                "archived" => filter.archived = truth(&value)?,
                "ascending" => ascending = Some(truth(&value)?),
                "order" => filter.page.order = order(&value),
                "start_date_min" => filter.start.0 = date(&value)?,
                "start_date_max" => filter.start.1 = date(&value)?,
                "end_date_min" => filter.end.0 = date(&value)?,
                "end_date_max" => filter.end.1 = date(&value)?,
                "limit" => {
                    let limit = value.parse().map_err(|_| refused("invalid limit"))?;
                    filter.page.limit = limit_max.min(limit);
                }
                "offset" if is_keyset => {
                    return Err(refused("offset is not supported with keyset pagination"));
                }
                "offset" => {
                    filter.page.skip = value.parse().map_err(|_| refused("invalid offset"))?;
                    if filter.page.skip > OFFSET_MAX {
                        return Err(refused("offset exceeds the maximum of 10000"));
                    }
                }
                "after_cursor" if is_keyset && !value.is_empty() => {
                    let place = position(&value).ok_or_else(|| refused("invalid cursor"))?;
                    filter.page.after = Some(place);
                }
                key if NOT_HELD.contains(&key) => {
                    let text = format!("ringbook does not hold what {key} selects by");
                    return Err(Answer::error(501, &text));
                }
                // The venue ignores parameters that it does not know.
                _ => {}
            }
        }
        filter.page.descending = filter.page.order != Order::Number && !ascending.unwrap_or(true)
            || filter.page.order == Order::Number && ascending == Some(false);
        Ok(filter)
    }

    /// Ids that cannot be ids select nothing.
    fn add<T>(
        &mut self,
        all: impl Iterator<Item = Option<T>>,
        list: impl Fn(&mut Self) -> &mut Vec<T>,
    ) {
        for id in all {
            match id {
                Some(id) => list(self).push(id),
                None => self.is_none_wanted = true,
            }
        }
    }

    /// Whether a market is wanted.
    pub(super) fn admits(&self, listed: &Listed) -> bool {
        let info = &listed.info;
        let among = |wanted: &[Cow<'_, str>], value: &str| {
            wanted.is_empty() || wanted.iter().any(|text| *text == value)
        };
        let question = listing(info).map_or("", |listing| &listing.question_id);
        let within = |(min, max): (u64, u64), at: Option<u64>| {
            (min, max) == (0, u64::MAX) || at.is_some_and(|at| (min..=max).contains(&at))
        };
        self.is_state_wanted(listed)
            && among(&self.ids, number(listed))
            && among(&self.slugs, &info.slug)
            && among(&self.questions, question)
            && (self.conditions.is_empty() || self.conditions.contains(&info.market))
            && (self.tokens.is_empty()
                || info.tokens.iter().any(|o| self.tokens.contains(&o.token)))
            && within(self.start, info.start_wall_ns)
            && within(self.end, info.end_wall_ns)
    }

    /// Each market that the engine follows is active, and none is archived.
    fn is_state_wanted(&self, listed: &Listed) -> bool {
        let by_state = is_open(listed) != self.closed;
        by_state && self.active != Some(false) && !self.archived && !self.is_none_wanted
    }

    /// Whether an event is wanted: by its own names, and by the times of its markets.
    pub(super) fn admits_event(&self, event: &ListedEvent, catalog: &Catalog) -> bool {
        let among = |wanted: &[Cow<'_, str>], value: &str| {
            wanted.is_empty() || wanted.iter().any(|text| *text == value)
        };
        let listing = &event.listing;
        let title = self.title.as_deref();
        let markets = || event.markets.iter().filter_map(|market| catalog.listed(market));
        let is_over = !markets().any(is_open);
        is_over == self.closed
            && self.active != Some(false)
            && !self.archived
            && among(&self.ids, &listing.id)
            && among(&self.slugs, &listing.slug)
            && title.is_none_or(|words| listing.title.to_lowercase().contains(words))
            && markets().any(|listed| {
                let end = (self.end, listed.info.end_wall_ns);
                let within = |((min, max), at): ((u64, u64), Option<u64>)| {
                    (min, max) == (0, u64::MAX) || at.is_some_and(|at| (min..=max).contains(&at))
                };
                within(end) && within((self.start, listed.info.start_wall_ns))
            })
    }
}

fn refused(text: &str) -> Answer {
    Answer::error(422, text)
}

fn truth(text: &str) -> Result<bool, Answer> {
    text.parse().map_err(|_| refused("invalid boolean"))
}

/// The order of a list of names; markets are listed as the engine learned of them where it does not hold the value.
fn order(names: &str) -> Order {
    match names.split(',').next() {
        Some("endDate" | "end_date" | "endDateIso") => Order::End,
        Some("startDate" | "start_date" | "startDateIso" | "createdAt") => Order::Start,
        _ => Order::Number,
    }
}

/// Nanoseconds since the Unix epoch of an RFC 3339 time or a date.
fn date(text: &str) -> Result<u64, Answer> {
    let whole = if text.contains('T') { text.to_owned() } else { format!("{text}T00:00:00Z") };
    let at = whole.parse::<jiff::Timestamp>().map_err(|_| refused("invalid date"))?;
    Ok(u64::try_from(at.as_nanosecond()).unwrap_or(0))
}

/// A place as the client sends it back.
pub(super) fn cursor(place: Position) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}.{}", place.key, place.number))
}

fn position(cursor: &str) -> Option<Position> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (key, number) = text.split_once('.')?;
    let place = Position { key: key.parse().ok()?, number: number.parse().ok()? };
    (place.number < u64::MAX).then_some(place)
}
