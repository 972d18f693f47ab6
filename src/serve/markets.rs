//! `/markets`, `/market` and `/trades`: the followed markets, one of them, and its last trades, as JSON.
//!
//! Runs on:  serve core (pure). Owns: nothing; the catalog and the trades are the hub's.
//! Bounds:   `MARKETS_PAGE_MAX` markets of an answer; `MARKETS_PER_TURN` markets looked at before other tasks run.
use super::request::Head;
use super::response::Response;
use crate::base::id::{MarketId, TokenId, Venue};
use crate::base::limits::MARKETS_PAGE_MAX;
use crate::base::text::percent_decoded;
use crate::base::time::SECOND_NS;
use crate::gateway::catalog::{Catalog, Listed};
use crate::link::serve_history::PricePoint;
use crate::link::shard_updates::TradeUpdate;
use crate::market::book::image::BookImage;
use crate::market::book::{BookState, Side};
use crate::market::info::MarketStage;
use serde::Serialize;
use std::collections::VecDeque;

/// The place of a market in the wanted order: its end or 0, and its number in the catalog.
pub(super) type MarketKey = (u64, u64);

/// What a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// Each is in the market's texts or ids; lower case.
    words: Vec<String>,
    venue: Option<String>,
    stage: Option<MarketStage>,
    state: Option<StateWanted>,
    /// It ends within so many nanoseconds from now, and not before.
    ends_within_ns: Option<u64>,
    by_end: bool,
    /// Behind the market with this key.
    after: Option<MarketKey>,
    skip: usize,
    limit: usize,
}

/// The state of one of its books, as in the first part of their name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StateWanted {
    Live,
    Awaiting,
    Stale,
}

impl Search {
    /// Parses the query: `q=`, `venue=`, `stage=`, `state=`, `ends_within_s=`, `order=end`, `skip=`, `after=`,
    /// `limit=`.
    ///
    /// # Errors
    /// One line for the client.
    pub fn parse(query: &str) -> Result<Self, String> {
        let mut search = Self { limit: MARKETS_PAGE_MAX / 2, ..Self::default() };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decoded(&value.replace('+', " "))?.into_owned();
            let number = || value.parse::<u64>().map_err(|_| format!("{name}= is a number"));
            match name {
                _ if value.is_empty() => {}
                "q" => {
                    search.words =
                        value.to_lowercase().split_whitespace().map(str::to_owned).collect();
                }
                "venue" => search.venue = Some(value),
                "stage" => {
                    let stage = STAGES.into_iter().find(|stage| stage_name(*stage) == value);
                    search.stage = Some(stage.ok_or("stage= is new, opened or ended")?);
                }
                "state" => {
                    search.state = Some(match value.as_str() {
                        "live" => StateWanted::Live,
                        "awaiting_snapshot" => StateWanted::Awaiting,
                        "stale" => StateWanted::Stale,
                        _ => return Err("state= is live, awaiting_snapshot or stale".to_owned()),
                    });
                }
                "ends_within_s" => {
                    search.ends_within_ns = Some(number()?.saturating_mul(SECOND_NS))
                }
                "order" if value == "end" => search.by_end = true,
                "order" if value == "number" => search.by_end = false,
                "order" => return Err("order= is number or end".to_owned()),
                "skip" => search.skip = usize::try_from(number()?).unwrap_or(usize::MAX),
                "after" => {
                    let key = value
                        .split_once('-')
                        .and_then(|(end, number)| Some((end.parse().ok()?, number.parse().ok()?)));
                    search.after = Some(key.ok_or("after= is the cursor of an answer")?);
                }
                "limit" => {
                    let limit = usize::try_from(number()?).unwrap_or(usize::MAX);
                    search.limit = limit.clamp(1, MARKETS_PAGE_MAX);
                }
                _ => {
                    let known =
                        "q, venue, stage, state, ends_within_s, order, skip, after and limit";
                    return Err(format!("unknown parameter; the parameters are {known}"));
                }
            }
        }
        Ok(search)
    }

    pub(super) fn is_of(&self, venue: Venue) -> bool {
        self.venue.as_ref().is_none_or(|wanted| wanted == venue.name())
    }

    /// Whether the books' states decide.
    pub(super) const fn needs_states(&self) -> bool {
        self.state.is_some()
    }

    /// Whether a market is wanted, but for the states of its books.
    pub fn wants(&self, listed: &Listed, now_wall_ns: u64) -> bool {
        let info = &listed.info;
        let ends = info.end_wall_ns;
        let in_time = self.ends_within_ns.is_none_or(|within_ns| {
            ends.is_some_and(|end| end >= now_wall_ns && end - now_wall_ns <= within_ns)
        });
        in_time
            && self.is_of(listed.venue)
            && self.stage.is_none_or(|stage| stage == listed.stage)
            && self.words.iter().all(|word| has_word(listed, word))
    }

    pub(super) fn wants_states(&self, states: &[&str]) -> bool {
        let Some(wanted) = self.state else { return true };
        match wanted {
            StateWanted::Live => states.contains(&"live"),
            StateWanted::Awaiting => states.contains(&"awaiting_snapshot"),
            StateWanted::Stale => states.iter().any(|state| state.starts_with("stale")),
        }
    }

    /// The place of a market in the wanted order.
    pub(super) fn key(&self, listed: &Listed) -> MarketKey {
        let end = if self.by_end { listed.info.end_wall_ns.unwrap_or(u64::MAX) } else { 0 };
        (end, listed.number)
    }

    /// Where the wanted part of all that were found, in order, begins.
    pub(super) fn begin<T>(&self, found: &[(MarketKey, T)]) -> usize {
        match self.after {
            Some(after) => found.partition_point(|(key, _)| *key <= after),
            None => self.skip.min(found.len()),
        }
    }

    pub(super) const fn limit(&self) -> usize {
        self.limit
    }
}

const STAGES: [MarketStage; 3] = [MarketStage::New, MarketStage::Opened, MarketStage::Ended];

const fn stage_name(stage: MarketStage) -> &'static str {
    match stage {
        MarketStage::New => "new",
        MarketStage::Opened => "opened",
        MarketStage::Ended => "ended",
        MarketStage::Resolved => "resolved",
    }
}

fn has_word(listed: &Listed, word: &str) -> bool {
    let info = &listed.info;
    let event = info.listing.as_ref().and_then(|listing| listing.event.as_ref());
    let outcomes = info.tokens.iter().flat_map(|outcome| [outcome.token.as_str(), &outcome.name]);
    [info.question.as_str(), &info.slug, info.market.as_str()]
        .into_iter()
        .chain(outcomes)
        .chain(event.map(|event| event.title.as_str()))
        .any(|text| contains(text, word))
}

/// Whether a text contains a word of lower case, in any case. Only ASCII letters have two cases here.
fn contains(text: &str, word: &str) -> bool {
    let (text, word) = (text.as_bytes(), word.as_bytes());
    let Some((&first, _)) = word.split_first() else { return true };
    let starts = |&byte: &u8| byte.to_ascii_lowercase() == first;
    let mut at = 0;
    while let Some(next) = text[at..].iter().position(starts) {
        at += next;
        let Some(part) = text.get(at..at + word.len()) else { return false };
        if part.eq_ignore_ascii_case(word) {
            return true;
        }
        at += 1;
    }
    false
}

#[derive(Serialize)]
struct Page<'a> {
    /// All that were found, where all markets were looked at.
    total: Option<usize>,
    /// Where the next page begins; absent on the last one.
    next: Option<usize>,
    /// The same for `after=`: markets that come or go meanwhile do not move it.
    cursor: Option<String>,
    markets: Vec<MarketRow<'a>>,
}

#[derive(Serialize)]
struct MarketRow<'a> {
    venue: &'a str,
    market: &'a str,
    slug: &'a str,
    question: &'a str,
    event: Option<&'a str>,
    stage: &'static str,
    start_ms: Option<u64>,
    end_ms: Option<u64>,
    tick_size: Option<String>,
    min_order_size: Option<String>,
    neg_risk: bool,
    tokens: Vec<TokenRow<'a>>,
}

#[derive(Serialize)]
struct TokenRow<'a> {
    token: &'a str,
    outcome: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    book: Option<BookRow>,
}

/// What is known of a book beside its levels.
#[derive(Clone, Debug, Serialize)]
pub(super) struct BookRow {
    state: &'static str,
    since_ms: Option<u64>,
    hash: Option<String>,
    /// Venue time of the last change.
    changed_ms: u64,
    read_ms: u64,
    /// Messages that changed it.
    version: u64,
    /// When a hash of it was last right.
    hash_right_ms: Option<u64>,
    /// When the venue's whole book was last equal.
    levels_right_ms: Option<u64>,
}

impl BookRow {
    pub(super) fn of(image: &BookImage) -> Self {
        let facts = &image.facts;
        let known = |seconds: u32| (seconds > 0).then_some(u64::from(seconds) * 1_000);
        let hash = facts.hash.as_ref().and_then(|hash| std::str::from_utf8(hash).ok());
        let since_ms = match image.state {
            BookState::Stale { since_wall_ns, .. } => Some(milliseconds(since_wall_ns)),
            _ => None,
        };
        Self {
            state: image.state.name(),
            since_ms,
            hash: hash.map(str::to_owned),
            changed_ms: facts.timestamp_ms,
            read_ms: milliseconds(facts.updated_wall_ns),
            version: facts.updates,
            hash_right_ms: known(image.proof.hash_wall_s),
            levels_right_ms: known(image.proof.levels_wall_s),
        }
    }

    pub(super) const fn state(&self) -> &'static str {
        self.state
    }
}

const fn milliseconds(ns: u64) -> u64 {
    ns / 1_000_000
}

fn row<'a>(listed: &'a Listed, books: &[(TokenId, BookRow)]) -> MarketRow<'a> {
    let info = &listed.info;
    let event = info.listing.as_ref().and_then(|listing| listing.event.as_ref());
    let book = |token| books.iter().find(|(of, _)| *of == token).map(|(_, book)| book.clone());
    let tokens = info.tokens.iter().map(|outcome| TokenRow {
        token: outcome.token.as_str(),
        outcome: &outcome.name,
        book: book(outcome.token),
    });
    MarketRow {
        venue: listed.venue.name(),
        market: info.market.as_str(),
        slug: &info.slug,
        question: &info.question,
        event: event.map(|event| event.title.as_str()),
        stage: stage_name(listed.stage),
        start_ms: info.start_wall_ns.map(milliseconds),
        end_ms: info.end_wall_ns.map(milliseconds),
        tick_size: info.tick_size.map(|price| price.to_string()),
        min_order_size: info.min_order_size.map(|size| size.to_string()),
        neg_risk: info.neg_risk,
        tokens: tokens.collect(),
    }
}

/// The answer about these markets; those that have left the catalog meanwhile are left out.
pub(super) fn page(
    catalog: &Catalog,
    total: Option<usize>,
    next: Option<(usize, MarketKey)>,
    markets: &[MarketId],
    books: &[(TokenId, BookRow)],
) -> Response {
    let known = markets.iter().filter_map(|market| catalog.listed(market));
    let cursor = next.map(|(_, (end, number))| format!("{end}-{number}"));
    let next = next.map(|(place, _)| place);
    Response::of(
        200,
        &Page { total, next, cursor, markets: known.map(|listed| row(listed, books)).collect() },
    )
}

/// The market that a request names by `market=` or by one of its tokens (`token_id=`).
pub(super) fn named<'a>(catalog: &'a Catalog, head: &Head) -> Option<&'a Listed> {
    let token = head.query_value("token_id").and_then(|text| TokenId::new(&text));
    let market = head.query_value("market").and_then(|text| MarketId::new(&text));
    let market = market.or_else(|| catalog.market_of(&token?).map(|info| info.market))?;
    catalog.listed(&market)
}

pub(super) fn market(listed: &Listed, books: &[(TokenId, BookRow)]) -> Response {
    Response::of(200, &row(listed, books))
}

#[derive(Serialize)]
struct TradeRow<'a> {
    token: &'a str,
    time_ms: u64,
    price: String,
    size: String,
    side: &'static str,
    id: Option<&'a str>,
}

/// The last trades of these tokens that the hub has seen, oldest first.
pub(super) fn trades(trades: &VecDeque<(TokenId, TradeUpdate)>, tokens: &[TokenId]) -> Response {
    let of = trades.iter().filter(|(token, _)| tokens.contains(token));
    let rows = of.map(|(token, trade)| TradeRow {
        token: token.as_str(),
        time_ms: trade.timestamp_ms,
        price: trade.price.to_string(),
        size: trade.quantity.to_string(),
        side: if trade.side == Side::Bid { "buy" } else { "sell" },
        id: trade.id.as_ref().map(|id| id.as_str()),
    });
    Response::of(200, &rows.collect::<Vec<_>>())
}

#[derive(Serialize)]
struct Prices {
    /// Whether trades are stored at all.
    stored: bool,
    /// Unix second and price, by time.
    points: Vec<(u64, String)>,
}

/// Stored prices; `None` where no trades are stored.
pub(super) fn prices(points: Option<&[PricePoint]>) -> Response {
    let row = |point: &PricePoint| (point.second, point.price.to_string());
    Response::of(
        200,
        &Prices {
            stored: points.is_some(),
            points: points.unwrap_or_default().iter().map(row).collect(),
        },
    )
}

#[cfg(test)]
mod tests;
