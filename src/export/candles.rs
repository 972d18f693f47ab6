//! Candles: first, highest, lowest and last price, and the volume, of each token and interval with trades.
//!
//! Runs on:  the starting thread and a replay's one shard.
//! Bounds:   those of [`Spool`] and [`Table`]; the trades of one token in memory, 32 bytes each.
use super::gather::{Gatherer, Rows};
use super::plan::{Destination, Format, From};
use super::spool::{Part, Spool};
use super::table::{Table, Written, schema};
use super::{Done, NO_TRADES, database, finish, replay_all, why_nothing};
use crate::base::price::{Price, Quantity};
use crate::base::time::MILLISECOND_NS;
use crate::market::event::Trade;
use crate::shard::publish::{BookView, Change};
use crate::sink::store::StoredTrade;
use parquet::data_type::ByteArray;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Length of a candle, seconds: 1 second to 1 day, a divisor of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval(u32);

impl Interval {
    /// Parses a number with its unit, such as `1s`, `5m`, `4h` or `1d`.
    ///
    /// # Errors
    /// One line with the expected values.
    pub fn parse(text: &str) -> Result<Self, String> {
        const DAY: u32 = 86_400;
        let unit = match text.bytes().last() {
            Some(b's') => 1,
            Some(b'm') => 60,
            Some(b'h') => 3_600,
            Some(b'd') => DAY,
            _ => 0,
        };
        let number = text.get(..text.len().saturating_sub(1)).unwrap_or_default().parse().ok();
        let seconds = number.and_then(|number: u32| number.checked_mul(unit)).unwrap_or(0);
        if seconds == 0 || !DAY.is_multiple_of(seconds) {
            return Err("expected a part of a day such as 1s, 1m, 15m, 4h or 1d".to_owned());
        }
        Ok(Self(seconds))
    }
}

/// The plan of candles.
#[derive(Clone, Debug)]
pub struct CandlesPlan {
    /// Source.
    pub from: From,
    /// Where they go.
    pub to: Destination,
    /// Parquet, CSV or Arrow.
    pub format: Format,
    /// Markets or tokens whose candles are wanted; all where it is empty.
    pub only: Vec<String>,
    /// Length of one.
    pub interval: Interval,
}

const CANDLES: &str = "message candles {
    REQUIRED BYTE_ARRAY venue (UTF8);
    REQUIRED BYTE_ARRAY market (UTF8);
    REQUIRED BYTE_ARRAY token (UTF8);
    OPTIONAL BYTE_ARRAY outcome (UTF8);
    REQUIRED INT64 time (TIMESTAMP(MILLIS,true));
    REQUIRED INT32 open (DECIMAL(7,6));
    REQUIRED INT32 high (DECIMAL(7,6));
    REQUIRED INT32 low (DECIMAL(7,6));
    REQUIRED INT32 close (DECIMAL(7,6));
    REQUIRED INT64 volume (DECIMAL(18,6));
    REQUIRED INT64 dollars (DECIMAL(18,6));
    REQUIRED INT64 trades;
}";

const FILL_BYTES: usize = 28;

/// A trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fill {
    venue_ms: u64,
    receive_ns: u64,
    price: Price,
    quantity: Quantity,
}

impl Fill {
    fn push_to(&self, bytes: &mut Vec<u8>) {
        for long in [self.venue_ms, self.receive_ns, self.quantity.0] {
            bytes.extend(long.to_le_bytes());
        }
        bytes.extend(self.price.0.to_le_bytes());
    }

    fn parse(bytes: &[u8; FILL_BYTES]) -> Self {
        let long = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        Self {
            venue_ms: long(0),
            receive_ns: long(8),
            quantity: Quantity(long(16)),
            price: Price(u32::from_le_bytes(std::array::from_fn(|byte| bytes[24 + byte]))),
        }
    }

    /// The venue's time, milliseconds since the Unix epoch; of a trade without one that of receipt.
    const fn time_ms(&self) -> u64 {
        match self.venue_ms {
            0 => self.receive_ns / MILLISECOND_NS,
            ms => ms,
        }
    }
}

/// The trades of one token in one interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Candle {
    /// Begin of the interval, milliseconds since the Unix epoch.
    begin_ms: u64,
    open: Price,
    high: Price,
    low: Price,
    close: Price,
    volume: Quantity,
    /// Price times size, 1e-12 of a dollar.
    dollars_e12: u128,
    trades: u64,
}

impl Candle {
    const fn of(fill: &Fill, begin_ms: u64) -> Self {
        let Fill { price, .. } = *fill;
        Self {
            begin_ms,
            open: price,
            high: price,
            low: price,
            close: price,
            volume: Quantity::ZERO,
            dollars_e12: 0,
            trades: 0,
        }
    }

    fn add(&mut self, fill: &Fill) {
        let Fill { price, quantity, .. } = *fill;
        self.high = self.high.max(price);
        self.low = self.low.min(price);
        self.close = price;
        self.volume.0 = self.volume.0.saturating_add(quantity.0);
        self.dollars_e12 += u128::from(price.0) * u128::from(quantity.0);
        self.trades += 1;
    }

    /// Rounded to 1e-6 of a dollar.
    fn dollars_e6(&self) -> u64 {
        u64::try_from((self.dollars_e12 + 500_000) / 1_000_000).unwrap_or(u64::MAX)
    }
}

/// The candles of a token, in order. Trades come in any order.
fn candles(mut fills: Vec<Fill>, interval: Interval) -> Vec<Candle> {
    // Stable: of trades with the same times the one that came first is the first.
    fills.sort_by_key(|fill| (fill.time_ms(), fill.receive_ns));
    let interval_ms = u64::from(interval.0) * 1_000;
    let mut candles: Vec<Candle> = Vec::new();
    for fill in &fills {
        let begin_ms = fill.time_ms() / interval_ms * interval_ms;
        match candles.last_mut().filter(|last| last.begin_ms == begin_ms) {
            Some(last) => last.add(fill),
            None => {
                let mut first = Candle::of(fill, begin_ms);
                first.add(fill);
                candles.push(first);
            }
        }
    }
    candles
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    token: String,
    venue: String,
    market: String,
}

/// The trades of all tokens until all are known.
struct CandleRows {
    interval: Interval,
    table: Option<Table>,
    spool: Spool<Key>,
    /// By token, as far as known.
    outcomes: HashMap<String, String>,
}

impl CandleRows {
    fn create(plan: &CandlesPlan) -> Result<Self, String> {
        let folder = match &plan.to {
            Destination::Folder(folder) => folder.as_path(),
            // For the temporary file of more trades than there is memory for.
            Destination::StandardOutput => Path::new("."),
        };
        let spool = Spool::create(folder)?;
        let table = Some(Table::create(&plan.to, plan.format, schema(CANDLES)?)?);
        Ok(Self { interval: plan.interval, table, spool, outcomes: HashMap::new() })
    }

    fn add(&mut self, key: Key, fill: &Fill) -> Result<(), String> {
        self.spool.add(key, |bytes| fill.push_to(bytes))
    }

    fn add_stored(&mut self, trade: &StoredTrade) -> Result<(), String> {
        let fill = Fill {
            venue_ms: trade.venue_ms,
            receive_ns: trade.receive_ns,
            price: Price(trade.price_e6),
            quantity: Quantity(trade.size_e6),
        };
        let key = Key {
            venue: trade.venue.clone(),
            market: trade.market.clone(),
            token: trade.token.clone(),
        };
        if !trade.outcome.is_empty() && !self.outcomes.contains_key(&trade.token) {
            self.outcomes.insert(trade.token.clone(), trade.outcome.clone());
        }
        self.add(key, &fill)
    }

    fn write(&self, key: &Key, part: &Part, table: &mut Table) -> Result<(), String> {
        let mut fills = Vec::with_capacity(part.rows as usize);
        self.spool.each(part, |bytes| {
            let (each, _) = bytes.as_chunks::<FILL_BYTES>();
            fills.extend(each.iter().map(Fill::parse));
            Ok(())
        })?;
        let text = |text: &str| ByteArray::from(text.as_bytes().to_vec());
        let texts = [&key.venue, &key.market, &key.token].map(|name| text(name));
        let outcome = self.outcomes.get(&key.token).map(|outcome| text(outcome));
        for candle in candles(fills, self.interval) {
            table.push(|columns| {
                for (column, text) in columns.iter_mut().zip(&texts) {
                    column.text(text.clone());
                }
                columns[3].maybe_text(outcome.clone());
                columns[4].long(candle.begin_ms);
                columns[5].int(candle.open.0);
                columns[6].int(candle.high.0);
                columns[7].int(candle.low.0);
                columns[8].int(candle.close.0);
                columns[9].long(candle.volume.0);
                columns[10].long(candle.dollars_e6());
                columns[11].long(candle.trades);
            })?;
        }
        Ok(())
    }
}

impl Rows for CandleRows {
    fn snapshot(&mut self, _: &BookView<'_>) -> Result<(), String> {
        Ok(())
    }

    fn change(&mut self, _: &BookView<'_>, _: &Change) -> Result<(), String> {
        Ok(())
    }

    fn status(&mut self, _: &BookView<'_>) -> Result<(), String> {
        Ok(())
    }

    fn trade(&mut self, view: &BookView<'_>, trade: &Trade<'_>) -> Result<(), String> {
        let fill = Fill {
            venue_ms: trade.timestamp_ms,
            receive_ns: view.read_wall_ns,
            price: trade.price,
            quantity: trade.quantity,
        };
        let key = Key {
            venue: view.venue.name().to_owned(),
            market: view.market.as_str().to_owned(),
            token: view.token.as_str().to_owned(),
        };
        self.add(key, &fill)
    }

    fn finish(&mut self) -> Result<Vec<Written>, String> {
        let Some(mut table) = self.table.take() else { return Ok(Vec::new()) };
        for (key, part) in self.spool.take_parts() {
            self.write(&key, &part, &mut table)?;
        }
        Ok(vec![table.finish()?])
    }
}

/// Makes candles for the command line: one line per file to standard output, everything else to standard error.
/// Setting `stop` ends it early; what was read until then is written. Returns the exit code: 0, 1 when an input could
/// not be read to its end or a file could not be written, 130 when stopped.
#[must_use]
pub fn execute(plan: &CandlesPlan, stop: &Arc<AtomicBool>) -> u8 {
    finish("candles", &plan.to, run(plan, stop), stop)
}

fn run(plan: &CandlesPlan, stop: &Arc<AtomicBool>) -> Result<Done, String> {
    let mut rows = CandleRows::create(plan)?;
    match &plan.from {
        From::Captures(plans) => {
            let gatherer = Gatherer::new(Box::new(rows), &plan.only);
            let (mut failures, messages) = replay_all(plans, &gatherer, stop)?;
            let files = gatherer.finish()?;
            if files.iter().all(|file| file.rows == 0) && failures.is_empty() {
                failures.push(why_nothing(&plan.only, messages));
            }
            Ok((files, failures))
        }
        From::Database(address) => {
            let is_wanted = |trade: &StoredTrade| {
                let names = [&trade.market, &trade.token];
                plan.only.is_empty() || plan.only.iter().any(|name| names.contains(&name))
            };
            database::each(address, stop, |trade| match is_wanted(trade) {
                true => rows.add_stored(trade),
                false => Ok(()),
            })?;
            let files = rows.finish()?;
            let is_empty = files.iter().all(|file| file.rows == 0);
            let why = match plan.only.is_empty() {
                true => NO_TRADES.to_owned(),
                false => format!("the database has no trades of {}", plan.only.join(", ")),
            };
            Ok((files, Vec::from_iter(is_empty.then_some(why))))
        }
    }
}

#[cfg(test)]
mod tests;
