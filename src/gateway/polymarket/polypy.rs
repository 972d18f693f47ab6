//! The interface of polypy's web page: a list of markets, and one book at an interval.
//!
//! Runs on:  serve core (pure). Owns: what one client of its WebSocket subscribes to.
//! Bounds:   one book of a client, [`DEPTH`] levels of a side; [`MARKETS_MAX`] markets.
//!
//! Shapes are those that the page reads (github.com/elliotsteene/polypy, `ui/src`, 2026-11): prices and sizes are
//! integers in thousandths, rounded down.
use super::VENUE;
use super::json::{self, push_text};
use super::markets::{is_open, push_date};
use super::rest::Kind;
use crate::base::id::TokenId;
use crate::base::time::{MILLISECOND_NS, SECOND_NS};
use crate::gateway::catalog::{Catalog, Listed, PageRequest};
use crate::gateway::rest::{Answer, BookKind, Plan, pairs};
use crate::gateway::{Replica, Request, push_array};
use crate::market::book::image::BookImage;
use crate::market::book::{BookState, Level};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::fmt::Write as _;

/// Levels of one side that the page asks for.
pub const DEPTH: usize = 10;
/// Most levels of one side.
const DEPTH_MAX: usize = 1_000;
const MARKETS_MAX: usize = 1_000;
/// Between two books of a client that does not say.
const INTERVAL_MS: u64 = 500;
const INTERVAL_MS_MIN: u64 = 10;
const INTERVAL_MS_MAX: u64 = 3_600_000;
/// A book that is not there after this long is reported as unknown.
const UNKNOWN_AFTER_NS: u64 = 3 * SECOND_NS;
/// Millionths of one unit of a price or a size.
const UNIT: u64 = 1_000;

const NO_BOOK: &str = "no book of this token";
const NOT_LIVE: &str = "the book is out of date";
const INVALID: &str = "send subscribe with a token id, or unsubscribe";

/// Reads a request under `/polypy`; `None` if the path is another.
pub(super) fn plan(path: &str, query: &str, catalog: &Catalog) -> Option<Plan> {
    let path = path.strip_prefix("/polypy/")?;
    if path == "markets" {
        return Some(Plan::Answer(markets(catalog)));
    }
    let token = TokenId::new(path.strip_prefix("orderbook/")?)?;
    let depth = pairs(query).find(|(key, _)| *key == "depth").map_or(Some(DEPTH), |(_, value)| {
        value.parse().ok().filter(|depth| (1..=DEPTH_MAX).contains(depth))
    });
    let Some(depth) = depth else {
        return Some(Plan::Answer(Answer::error(400, "depth must be 1 to 1000")));
    };
    let kind = BookKind::Polymarket(Kind::Polypy(depth));
    Some(Plan::Books { tokens: vec![token], kind })
}

fn markets(catalog: &Catalog) -> Answer {
    let request = PageRequest { limit: MARKETS_MAX, ..PageRequest::default() };
    let page = catalog.page(VENUE, &request, is_open);
    let mut out = String::from(r#"{"markets":"#);
    push_array(&mut out, page.markets.iter().filter_map(|id| catalog.listed(id)), push_market);
    out.push('}');
    Answer::json(out)
}

fn push_market(out: &mut String, Listed { info, .. }: &Listed) {
    // Writing to a string cannot fail.
    let _ = write!(out, r#"{{"condition_id":"{}","question":"#, info.market);
    push_text(out, &info.question);
    out.push_str(r#","outcomes":"#);
    push_array(out, &info.tokens, |out, outcome| push_text(out, &outcome.name));
    out.push_str(r#","tokens":"#);
    push_array(out, &info.tokens, |out, outcome| {
        let _ = write!(out, r#"{{"token_id":"{}","outcome":"#, outcome.token);
        push_text(out, &outcome.name);
        out.push('}');
    });
    out.push_str(r#","end_date_iso":"#);
    let end_wall_ns = info.end_wall_ns.unwrap_or(0);
    match end_wall_ns {
        0 => out.push_str(r#""""#),
        ns => push_date(out, ns),
    }
    let _ = write!(out, r#","end_timestamp":{}}}"#, end_wall_ns / MILLISECOND_NS);
}

pub(super) fn answer(depth: usize, image: Option<&BookImage>) -> Answer {
    match image.zip(image.and_then(|image| image.token.as_ref())) {
        Some((image, token)) if image.state == BookState::Live => {
            let mut out = String::new();
            let sides = [&image.bids, &image.asks].map(|s| BookSide::new(s.iter().copied(), depth));
            push_book(&mut out, token, &sides, image.facts.timestamp_ms);
            Answer::json(out)
        }
        Some(_) => Answer::error(503, NOT_LIVE),
        None => Answer::error(404, NO_BOOK),
    }
}

struct BookSide {
    /// Best first.
    levels: Vec<Level>,
    /// Size of all levels, also of those that are not shown.
    volume: u64,
}

impl BookSide {
    /// `levels` come best last.
    fn new(levels: impl DoubleEndedIterator<Item = Level>, depth: usize) -> Self {
        let mut side = Self { levels: Vec::with_capacity(depth.min(DEPTH)), volume: 0 };
        for level in levels.rev() {
            side.volume = side.volume.saturating_add(level.quantity.0);
            if side.levels.len() < depth {
                side.levels.push(level);
            }
        }
        side
    }

    fn push(&self, out: &mut String) {
        push_array(out, &self.levels, |out, level| {
            let (price, size) = (u64::from(level.price.0) / UNIT, level.quantity.0 / UNIT);
            let _ = write!(out, "[{price},{size}]");
        });
    }

    fn best(&self) -> Option<u32> {
        self.levels.first().map(|level| level.price.0)
    }
}

fn push_book(out: &mut String, token: &TokenId, sides: &[BookSide; 2], timestamp_ms: u64) {
    let [bids, asks] = sides;
    let _ = write!(out, r#"{{"type":"orderbook","asset_id":"{token}","bids":"#);
    bids.push(out);
    out.push_str(r#","asks":"#);
    asks.push(out);
    out.push_str(r#","metrics":"#);
    let volume = bids.volume as f64 + asks.volume as f64;
    if volume > 0.0 {
        let (spread, middle) = match bids.best().zip(asks.best()) {
            Some((bid, ask)) => {
                let unit = UNIT as f64;
                let spread = (f64::from(ask) - f64::from(bid)) / unit;
                (spread.to_string(), (f64::midpoint(bid.into(), ask.into()) / unit).to_string())
            }
            None => ("null".to_owned(), "null".to_owned()),
        };
        let imbalance = bids.volume as f64 / volume;
        let _ =
            write!(out, r#"{{"spread":{spread},"mid_price":{middle},"imbalance":{imbalance:.6}}}"#);
    } else {
        out.push_str("null");
    }
    let _ = write!(out, r#","last_update_ts":{timestamp_ms}}}"#);
}

fn push_error(out: &mut String, text: &str) {
    let _ = write!(out, r#"{{"type":"error","error":"{text}"}}"#);
}

/// One client of `/ws/orderbook`.
#[derive(Debug, Default)]
pub struct Session {
    token: Option<TokenId>,
    interval_ns: u64,
    /// When the next book is due; 0 is at once.
    due_ns: u64,
    /// When it was first looked for.
    since_ns: Option<u64>,
    /// The client knows that there is no book.
    reported: bool,
}

/// A message of a client; unknown keys are ignored.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    subscribe: Option<Cow<'a, str>>,
    unsubscribe: Option<IgnoredAny>,
    interval_ms: Option<u64>,
}

impl Session {
    /// Reads one text frame and appends what it asks for. A subscription takes the place of the one before it.
    pub fn on_text(&mut self, text: &str, out: &mut Vec<Request>) {
        let message = json::read::<Message<'_>>(text);
        let token = message.as_ref().and_then(|message| TokenId::new(message.subscribe.as_ref()?));
        let interval_ms = message.as_ref().and_then(|m| m.interval_ms).unwrap_or(INTERVAL_MS);
        if token.is_none() && message.is_none_or(|message| message.unsubscribe.is_none()) {
            let mut text = String::new();
            push_error(&mut text, INVALID);
            return out.push(Request::Send(text));
        }
        out.extend(self.token.filter(|_| self.token != token).map(Request::Unsubscribe));
        out.extend(token.map(Request::Subscribe));
        let interval_ns = interval_ms.clamp(INTERVAL_MS_MIN, INTERVAL_MS_MAX) * MILLISECOND_NS;
        *self = Self { token, interval_ns, ..Self::default() };
    }

    /// The token whose book is due; the next one is due an interval later.
    pub fn take_due(&mut self, now_ns: u64) -> Option<TokenId> {
        let token = self.token.filter(|_| self.due_ns <= now_ns)?;
        self.due_ns = now_ns.saturating_add(self.interval_ns);
        self.since_ns.get_or_insert(now_ns);
        Some(token)
    }

    /// Appends the book, or once that there is none that can be trusted; whether there is anything to send.
    pub fn write(&mut self, out: &mut String, replica: Option<&Replica>, now_ns: u64) -> bool {
        let error = match replica {
            Some(replica) if replica.state == BookState::Live => {
                let (bids, asks) = (replica.book.bids.levels(), replica.book.asks.levels());
                let sides = [BookSide::new(bids, DEPTH), BookSide::new(asks, DEPTH)];
                push_book(out, &replica.token, &sides, replica.facts.timestamp_ms);
                self.reported = false;
                return true;
            }
            Some(_) => NOT_LIVE,
            None if now_ns.saturating_sub(self.since_ns.unwrap_or(now_ns)) >= UNKNOWN_AFTER_NS => {
                NO_BOOK
            }
            None => return false,
        };
        if std::mem::replace(&mut self.reported, true) {
            return false;
        }
        push_error(out, error);
        true
    }
}

#[cfg(test)]
mod tests;
