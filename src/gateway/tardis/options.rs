//! Options of a client of the tardis interface, validated: which messages of which symbols.
//!
//! Runs on:  serve core (pure).
//! Bounds:   `TARDIS_ENTRIES_MAX`, `TARDIS_TYPES_MAX`, `TARDIS_SYMBOLS_MAX`, `TARDIS_DEPTH_MAX`, `TARDIS_LEVELS_MAX`.
use crate::base::id::{TokenId, Venue};
use crate::base::limits::{
    TARDIS_DEPTH_MAX, TARDIS_ENTRIES_MAX, TARDIS_LEVELS_MAX, TARDIS_SYMBOLS_MAX, TARDIS_TYPES_MAX,
};
use crate::base::price::{Price, Quantity};
use crate::base::text::percent_decoded;
use crate::gateway::nests_deeper;
use serde::Deserialize;
use std::borrow::Cow;

const MINUTE_MS: u64 = 60_000;

/// The options of one connection or request: each entry has its own symbols and messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// One object of the list.
    pub entries: Vec<Entry>,
}

/// Messages of some symbols of one exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The exchange: `polymarket` or `kalshi`.
    pub venue: Venue,
    /// Token ids of Polymarket, tickers of Kalshi; empty for all.
    pub symbols: Vec<TokenId>,
    /// The range of a replay.
    pub range: Option<Range>,
    /// Messages.
    pub types: Vec<DataType>,
    /// The message `disconnect` is sent too.
    pub with_disconnects: bool,
    /// The message `error` is sent too.
    pub with_errors: bool,
}

/// From the first instant to that before the second, nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub from_ns: u64,
    /// The one after the last.
    pub to_ns: u64,
}

/// A kind of message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataType {
    /// `trade`
    Trade,
    /// `book_change`
    BookChange,
    /// `book_ticker`: best prices.
    BookTicker,
    /// `derivative_ticker`: the last price.
    DerivativeTicker,
    /// `book_snapshot_…` and `quote…`
    Snapshot(SnapshotType),
    /// `trade_bar_…`
    Bar(BarType),
}

/// The best levels of a book at intervals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotType {
    /// As the client wrote it.
    pub name: String,
    /// Levels of each side.
    pub depth: usize,
    /// Prices are rounded to multiples of it, away from the other side.
    pub grouping: Option<Price>,
    /// Shortest interval, milliseconds of venue time; 0 for each change.
    pub interval_ms: u64,
}

/// Trades summed up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BarType {
    /// As the client wrote it.
    pub name: String,
    /// When a bar ends.
    pub end: BarEnd,
}

/// When a bar of trades ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarEnd {
    /// At the next multiple of so many milliseconds of venue time.
    Time(u64),
    /// After so many trades.
    Ticks(u64),
    /// When so much was traded.
    Volume(Quantity),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEntry<'a> {
    #[serde(borrow)]
    exchange: Cow<'a, str>,
    #[serde(borrow)]
    symbols: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow)]
    from: Option<Cow<'a, str>>,
    #[serde(borrow)]
    to: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data_types: Option<Vec<Cow<'a, str>>>,
    with_disconnect_messages: Option<bool>,
    with_error_messages: Option<bool>,
}

impl Options {
    /// Parses the value of `options=`: an object, or a list of objects. Keys that are not known are ignored.
    ///
    /// # Errors
    /// One line for the client, which names the key.
    pub fn parse(text: &str) -> Result<Self, String> {
        const WHAT: &str =
            "options= is a JSON object, or a list of objects, with exchange, symbols and dataTypes";
        if nests_deeper(text, 4) {
            return Err(WHAT.to_owned());
        }
        let why = |error: sonic_rs::Error| format!("{WHAT}: {}", first_line(&error.to_string()));
        let raw: Vec<RawEntry<'_>> = match text.trim_start().starts_with('[') {
            true => sonic_rs::from_str(text).map_err(why)?,
            false => vec![sonic_rs::from_str(text).map_err(why)?],
        };
        if raw.is_empty() || raw.len() > TARDIS_ENTRIES_MAX {
            return Err(format!("options= has 1 to {TARDIS_ENTRIES_MAX} objects"));
        }
        let entries = raw.into_iter().map(Entry::new).collect::<Result<Vec<_>, _>>()?;
        let options = Self { entries };
        options.check_size()?;
        Ok(options)
    }

    /// The options in the query of a URL.
    ///
    /// # Errors
    /// One line for the client.
    pub fn from_query(query: &str) -> Result<Self, String> {
        let value = query_value(query, "options")?.ok_or("options= is missing")?;
        Self::parse(&value)
    }

    fn check_size(&self) -> Result<(), String> {
        let symbols: usize = self.entries.iter().map(|entry| entry.symbols.len()).sum();
        if symbols > TARDIS_SYMBOLS_MAX {
            return Err(format!("symbols: at most {TARDIS_SYMBOLS_MAX}, not {symbols}"));
        }
        let levels: usize = self.entries.iter().map(Entry::levels).sum();
        if levels > TARDIS_LEVELS_MAX {
            return Err(format!(
                "symbols times levels of their snapshots: at most {TARDIS_LEVELS_MAX}, not {levels}"
            ));
        }
        Ok(())
    }
}

impl Entry {
    fn new(raw: RawEntry<'_>) -> Result<Self, String> {
        let venue = exchange(&raw.exchange)?;
        let token = |text: &Cow<'_, str>| {
            TokenId::new(text).ok_or("symbols: token ids of Polymarket or tickers of Kalshi")
        };
        let symbols = raw.symbols.unwrap_or_default();
        let symbols = symbols.iter().map(token).collect::<Result<Vec<_>, _>>()?;
        let range = match (raw.from, raw.to) {
            (Some(from), Some(to)) => Some(Range::parse(&from, &to)?),
            (None, None) => None,
            _ => return Err("from and to: both, or neither".to_owned()),
        };
        let names = raw.data_types.unwrap_or_default();
        if names.is_empty() || names.len() > TARDIS_TYPES_MAX {
            return Err(format!("dataTypes: a list of 1 to {TARDIS_TYPES_MAX} names"));
        }
        let types = names.iter().map(|name| DataType::parse(name)).collect::<Result<_, _>>()?;
        Ok(Self {
            venue,
            symbols,
            range,
            types,
            with_disconnects: raw.with_disconnect_messages.unwrap_or(false),
            with_errors: raw.with_error_messages.unwrap_or(false),
        })
    }

    fn levels(&self) -> usize {
        let depth = |data_type: &DataType| match data_type {
            DataType::Snapshot(snapshot) => 2 * snapshot.depth,
            _ => 0,
        };
        self.symbols.len().max(1) * self.types.iter().map(depth).sum::<usize>()
    }

    /// Whether it is about all symbols of an exchange.
    pub fn is_for_all_of(&self, venue: &Venue) -> bool {
        self.venue == *venue && self.symbols.is_empty()
    }
}

impl Range {
    /// ISO 8601, with or without time; UTC unless it says otherwise.
    ///
    /// # Errors
    /// One line for the client.
    pub fn parse(from: &str, to: &str) -> Result<Self, String> {
        let time =
            |name: &str, text: &str| instant_ns(text).ok_or_else(|| format!("{name}: {TIME_FORM}"));
        let range = Self { from_ns: time("from", from)?, to_ns: time("to", to)? };
        match range.from_ns < range.to_ns {
            true => Ok(range),
            false => Err("to: later than from".to_owned()),
        }
    }
}

/// The form of a time, for people.
pub const TIME_FORM: &str = "an ISO 8601 date or time, as in 2026-11-01 or 2026-11-01T12:30Z";

/// A time in ISO 8601, nanoseconds since the Unix epoch.
pub fn instant_ns(text: &str) -> Option<u64> {
    let zoned = text.parse::<jiff::Timestamp>().ok();
    let at = zoned.or_else(|| {
        let civil: jiff::civil::DateTime = text.trim_end_matches('Z').parse().ok()?;
        Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    })?;
    u64::try_from(at.as_nanosecond()).ok()
}

/// The venue of an exchange's name.
///
/// # Errors
/// One line for the client.
pub fn exchange(name: &str) -> Result<Venue, String> {
    match name {
        "polymarket" | "kalshi" => Ok(Venue::named(name)),
        _ => Err("exchange: polymarket or kalshi".to_owned()),
    }
}

const NAMES: &str = "trade, book_change, book_ticker, derivative_ticker, \
    book_snapshot_{depth}[_grouped{n}]_{interval}{ms|s|m}, quote[_{interval}{ms|s|m}], \
    trade_bar_{n}{ms|s|m|ticks|vol}";

impl DataType {
    /// A name of `dataTypes`.
    ///
    /// # Errors
    /// One line for the client.
    pub fn parse(name: &str) -> Result<Self, String> {
        let parsed = match name {
            "trade" => Some(Self::Trade),
            "book_change" => Some(Self::BookChange),
            "book_ticker" => Some(Self::BookTicker),
            "derivative_ticker" => Some(Self::DerivativeTicker),
            "quote" => Some(Self::snapshot(name, 1, None, 0)),
            _ => Self::parse_computed(name),
        };
        parsed.ok_or_else(|| match name.starts_with("book_snapshot_") {
            true => format!("dataTypes: {NAMES}; depth 1 to {TARDIS_DEPTH_MAX}"),
            false => format!("dataTypes: {NAMES}"),
        })
    }

    fn parse_computed(name: &str) -> Option<Self> {
        if let Some(interval) = name.strip_prefix("quote_") {
            return Some(Self::snapshot(name, 1, None, interval_ms(interval)?));
        }
        if let Some(rest) = name.strip_prefix("book_snapshot_") {
            let parts: Vec<&str> = rest.split('_').collect();
            let (depth, grouping, interval) = match parts[..] {
                [depth, interval] => (depth, None, interval),
                [depth, grouping, interval] => {
                    let grouping = Price::parse(grouping.strip_prefix("grouped")?.as_bytes())?;
                    (depth, Some(grouping).filter(|price| *price > Price::ZERO), interval)
                }
                _ => return None,
            };
            let depth = number(depth).and_then(|depth| usize::try_from(depth).ok())?;
            if depth == 0 || depth > TARDIS_DEPTH_MAX {
                return None;
            }
            if parts.len() == 3 && grouping.is_none() {
                return None;
            }
            return Some(Self::snapshot(name, depth, grouping, interval_ms(interval)?));
        }
        let rest = name.strip_prefix("trade_bar_")?;
        let end = if let Some(count) = rest.strip_suffix("ticks") {
            BarEnd::Ticks(number(count)?)
        } else if let Some(volume) = rest.strip_suffix("vol") {
            BarEnd::Volume(Quantity::parse(volume.as_bytes())?)
        } else {
            BarEnd::Time(interval_ms(rest)?)
        };
        let is_none = matches!(end, BarEnd::Time(0) | BarEnd::Ticks(0))
            || end == BarEnd::Volume(Quantity::ZERO);
        (!is_none).then(|| Self::Bar(BarType { name: name.to_owned(), end }))
    }

    fn snapshot(name: &str, depth: usize, grouping: Option<Price>, interval_ms: u64) -> Self {
        Self::Snapshot(SnapshotType { name: name.to_owned(), depth, grouping, interval_ms })
    }
}

/// `100ms`, `10s`, `5m`, in milliseconds; a day at most.
fn interval_ms(text: &str) -> Option<u64> {
    let (count, unit_ms) = if let Some(count) = text.strip_suffix("ms") {
        (count, 1)
    } else if let Some(count) = text.strip_suffix('s') {
        (count, 1_000)
    } else {
        (text.strip_suffix('m')?, MINUTE_MS)
    };
    number(count)?.checked_mul(unit_ms).filter(|&ms| ms <= 24 * 60 * MINUTE_MS)
}

/// A number in digits only.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// A value of a query without its escapes; `None` where the name is missing.
///
/// # Errors
/// One line for the client: an escape that is none.
pub fn query_value(query: &str, name: &str) -> Result<Option<String>, String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let Some((_, value)) = pairs.into_iter().find(|(key, _)| *key == name) else { return Ok(None) };
    let text = percent_decoded(&value.replace('+', " ")).map(|text| Some(text.into_owned()));
    text.map_err(|why| format!("{name}=: {why}"))
}

#[cfg(test)]
mod tests;
