//! The Parquet catalog of NautilusTrader: changes of books, trades and instruments of each token.
//!
//! Runs on:  the replay's one shard. Owns: the files, each with the suffix `.unfinished` until it is complete.
//! Bounds:   `EXPORT_ROWS_PER_GROUP` rows in memory while a file is written.
//!
//! Layout: `data/KIND/INSTRUMENT/FIRST_LAST.parquet`, times of receipt in the name, one file for each UTC day. Columns
//! and metadata are those that `ParquetDataCatalog` of 1.221 reads: prices and sizes are 128-bit integers of 1e-16, as
//! nautilus' builds with high precision have them. An event's last row is flagged; a snapshot begins with a clear.
use super::columns::Column;
use super::daily::{At, DayFormat, symbol};
use super::plan::Format;
use super::row_groups::RowGroups;
use super::spool::{Part, Spool};
use super::table::{Written, create_folder, schema};
use crate::base::id::{MarketId, TokenId, Venue};
use crate::base::limits::EXPORT_ROWS_PER_GROUP;
use crate::base::price::{Price, Quantity};
use crate::io::file::NewFile;
use crate::market::book::{Level, Side};
use crate::market::event::Trade;
use parquet::data_type::ByteArray;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

const DELTAS: &str = "message order_book_delta {
    REQUIRED INT32 action (INTEGER(8,false));
    REQUIRED INT32 side (INTEGER(8,false));
    REQUIRED FIXED_LEN_BYTE_ARRAY (16) price;
    REQUIRED FIXED_LEN_BYTE_ARRAY (16) size;
    REQUIRED INT64 order_id (INTEGER(64,false));
    REQUIRED INT32 flags (INTEGER(8,false));
    REQUIRED INT64 sequence (INTEGER(64,false));
    REQUIRED INT64 ts_event (INTEGER(64,false));
    REQUIRED INT64 ts_init (INTEGER(64,false));
}";
const TRADES: &str = "message trade_tick {
    REQUIRED FIXED_LEN_BYTE_ARRAY (16) price;
    REQUIRED FIXED_LEN_BYTE_ARRAY (16) size;
    REQUIRED INT32 aggressor_side (INTEGER(8,false));
    REQUIRED BYTE_ARRAY trade_id (UTF8);
    REQUIRED INT64 ts_event (INTEGER(64,false));
    REQUIRED INT64 ts_init (INTEGER(64,false));
}";
const INSTRUMENTS: &str = "message binary_option {
    REQUIRED BYTE_ARRAY id (UTF8);
    REQUIRED BYTE_ARRAY raw_symbol (UTF8);
    REQUIRED BYTE_ARRAY asset_class (UTF8);
    REQUIRED BYTE_ARRAY currency (UTF8);
    REQUIRED INT32 price_precision (INTEGER(8,false));
    REQUIRED INT32 size_precision (INTEGER(8,false));
    REQUIRED BYTE_ARRAY price_increment (UTF8);
    REQUIRED BYTE_ARRAY size_increment (UTF8);
    REQUIRED INT64 activation_ns (INTEGER(64,false));
    REQUIRED INT64 expiration_ns (INTEGER(64,false));
    REQUIRED BYTE_ARRAY maker_fee (UTF8);
    REQUIRED BYTE_ARRAY taker_fee (UTF8);
    OPTIONAL BYTE_ARRAY max_quantity (UTF8);
    OPTIONAL BYTE_ARRAY min_quantity (UTF8);
    OPTIONAL BYTE_ARRAY outcome (UTF8);
    REQUIRED BYTE_ARRAY description (UTF8);
    OPTIONAL BYTE_ARRAY info;
    REQUIRED INT64 ts_event (INTEGER(64,false));
    REQUIRED INT64 ts_init (INTEGER(64,false));
}";

/// Decimals of prices and sizes, in all files.
const PRECISION: u32 = 6;
/// Of a millionth in nautilus' integers.
const SCALE: i128 = 10_000_000_000;

const ADD: u8 = 1;
const UPDATE: u8 = 2;
const DELETE: u8 = 3;
const CLEAR: u8 = 4;
const BUY: u8 = 1;
const SELL: u8 = 2;
const SNAPSHOT: u8 = 32;
const LAST: u8 = 128;

/// Most characters of a trade's id: nautilus takes no longer one.
const ID_BYTES: usize = 36;
/// Action or length of the id, side, flags, price, size, venue's time, time of receipt.
const ROW_BYTES: usize = 3 + 4 + 3 * 8;

/// A file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    venue: Venue,
    token: TokenId,
    is_trades: bool,
    /// Since the epoch.
    day: u64,
}

/// What is known of a file before it is written. Times are nanoseconds since the Unix epoch.
struct Span {
    first_ns: u64,
    /// Nautilus wants no time before the one of the row before.
    last_ns: u64,
    is_in_snapshot: bool,
}

/// What is known of a token.
struct Instrument {
    market: MarketId,
    tick: Option<Price>,
    min_order: Option<Quantity>,
    since_ns: u64,
}

/// A change of a book or a trade.
#[derive(Clone, Copy)]
struct Row {
    /// Action of a change.
    action: u8,
    side: u8,
    flags: u8,
    price: Price,
    size: Quantity,
    venue_ns: u64,
    local_ns: u64,
}

impl Row {
    fn push_to(&self, bytes: &mut Vec<u8>) {
        bytes.extend([self.action, self.side, self.flags]);
        bytes.extend(self.price.0.to_le_bytes());
        for long in [self.size.0, self.venue_ns, self.local_ns] {
            bytes.extend(long.to_le_bytes());
        }
    }

    fn parse(bytes: &[u8; ROW_BYTES]) -> Self {
        let long = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        Self {
            action: bytes[0],
            side: bytes[1],
            flags: bytes[2],
            price: Price(u32::from_le_bytes(std::array::from_fn(|byte| bytes[3 + byte]))),
            size: Quantity(long(7)),
            venue_ns: long(15),
            local_ns: long(23),
        }
    }

    fn fill_delta(&self, columns: &mut [Column], is_last: bool) {
        columns[0].int(self.action.into());
        columns[1].int(self.side.into());
        columns[2].text(fixed(self.price.0.into()));
        columns[3].text(fixed(self.size.0));
        columns[4].long(0);
        columns[5].int(u32::from(self.flags | if is_last { LAST } else { 0 }));
        columns[6].long(0);
        columns[7].long(self.venue_ns);
        columns[8].long(self.local_ns);
    }

    fn fill_trade(&self, columns: &mut [Column], id: &[u8]) {
        columns[0].text(fixed(self.price.0.into()));
        columns[1].text(fixed(self.size.0));
        columns[2].int(self.side.into());
        columns[3].text(id.to_vec().into());
        columns[4].long(self.venue_ns);
        columns[5].long(self.local_ns);
    }
}

/// A number of millionths as nautilus has it.
fn fixed(millionths: u64) -> ByteArray {
    (i128::from(millionths) * SCALE).to_le_bytes().to_vec().into()
}

/// The part of a trade's id that nautilus takes; one of its time of receipt if it has none.
fn trade_id(id: &str, local_ns: u64) -> String {
    match id.get(id.len().saturating_sub(ID_BYTES)..) {
        Some(end) if !end.is_empty() => end.to_owned(),
        _ => format!("trade-{local_ns}"),
    }
}

/// A time in a file's name.
fn name_of(ns: u64) -> String {
    let at = jiff::Timestamp::from_nanosecond(ns.into()).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H-%M-%S-%9fZ").to_string()
}

/// The files of all tokens.
pub(super) struct Nautilus {
    folder: PathBuf,
    spool: Spool<Key>,
    spans: HashMap<Key, Span>,
    instruments: HashMap<(Venue, TokenId), Instrument>,
}

impl Nautilus {
    pub(super) fn create(folder: &Path) -> Result<Self, String> {
        Ok(Self {
            folder: folder.to_owned(),
            spool: Spool::create(folder)?,
            spans: HashMap::new(),
            instruments: HashMap::new(),
        })
    }

    /// Notes the file and the token of a row. The time of receipt, not before the one of the row before it.
    fn span(&mut self, at: &At, is_trades: bool) -> (Key, &mut Span) {
        let At { venue, token, local_ns, market, tick, min_order, .. } = *at;
        let key = Key { venue, token, is_trades, day: at.day() };
        let fresh = Instrument { market, tick, min_order, since_ns: local_ns };
        let instrument = self.instruments.entry((venue, token)).or_insert(fresh);
        // The finest of them has all prices.
        instrument.tick = instrument.tick.into_iter().chain(tick).min();
        let fresh = Span { first_ns: local_ns, last_ns: local_ns, is_in_snapshot: false };
        let span = self.spans.entry(key).or_insert(fresh);
        span.last_ns = span.last_ns.max(local_ns);
        (key, span)
    }

    fn delta(
        &mut self,
        at: &At,
        (action, side, flags): (u8, u8, u8),
        level: Level,
    ) -> Result<(), String> {
        let (key, span) = self.span(at, false);
        let begins = flags & SNAPSHOT > 0 && !span.is_in_snapshot && action != CLEAR;
        span.is_in_snapshot = flags & SNAPSHOT > 0;
        let Level { price, quantity: size } = level;
        let (venue_ns, local_ns) = (at.venue_ns, span.last_ns);
        let row = Row { action, side, flags, price, size, venue_ns, local_ns };
        let empty = Row { action: CLEAR, side: 0, price: Price::ZERO, size: Quantity::ZERO, ..row };
        if begins {
            self.spool.add(key, |bytes| empty.push_to(bytes))?;
        }
        self.spool.add(key, |bytes| row.push_to(bytes))
    }

    /// The name of an instrument, of nautilus' own adapter where it has one.
    fn name(&self, venue: Venue, token: &TokenId) -> String {
        let (place, symbol) = (venue.name().to_uppercase(), symbol(token));
        match self.instruments.get(&(venue, *token)) {
            Some(of) if of.market.as_str() != token.as_str() => {
                format!("{}-{symbol}.{place}", of.market.as_str().replace(['/', '\\', '\0'], "-"))
            }
            _ => format!("{symbol}.{place}"),
        }
    }

    fn open(
        &self,
        columns: &str,
        name: &str,
        (first, last): (u64, u64),
        metadata: Vec<(&str, String)>,
    ) -> Result<File, String> {
        let schema = schema(columns)?;
        let folder = self.folder.join("data").join(schema.name()).join(name);
        create_folder(&folder)?;
        let suffix = Format::Nautilus.suffix();
        let path = folder.join(format!("{}_{}.{suffix}", name_of(first), name_of(last)));
        let columns = schema.get_fields().iter().map(|field| Column::of(field)).collect();
        let groups = RowGroups::create(NewFile::create(&path)?, schema, metadata);
        let groups = groups.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        Ok(File { path, groups, columns, waiting: 0, rows: 0 })
    }

    fn write(&self, key: &Key, part: &Part) -> Result<Written, String> {
        let name = self.name(key.venue, &key.token);
        let span = self.spans.get(key).map_or((0, 0), |span| (span.first_ns, span.last_ns));
        let precision = PRECISION.to_string();
        let metadata = vec![
            ("instrument_id", name.clone()),
            ("price_precision", precision.clone()),
            ("size_precision", precision),
        ];
        let columns = if key.is_trades { TRADES } else { DELTAS };
        let mut file = self.open(columns, &name, span, metadata)?;
        let mut before: Option<Row> = None;
        self.spool.each(part, |mut bytes| {
            while let Some((head, rest)) = bytes.split_first_chunk() {
                let row = Row::parse(head);
                bytes = rest;
                if key.is_trades {
                    let id = bytes.split_off(..usize::from(row.action)).unwrap_or_default();
                    file.push(|columns| row.fill_trade(columns, id))?;
                } else if let Some(before) = before.replace(row) {
                    let is_last = before.local_ns != row.local_ns;
                    file.push(|columns| before.fill_delta(columns, is_last))?;
                }
            }
            Ok(())
        })?;
        if let Some(row) = before {
            file.push(|columns| row.fill_delta(columns, true))?;
        }
        file.finish()
    }

    fn write_instrument(
        &self,
        venue: Venue,
        token: &TokenId,
        of: &Instrument,
    ) -> Result<Written, String> {
        let name = self.name(venue, token);
        let kind = vec![("class", "BinaryOption".to_owned())];
        let mut file = self.open(INSTRUMENTS, &name, (of.since_ns, of.since_ns), kind)?;
        let tick = of.tick.map_or(1, |tick| tick.0.max(1));
        let increment = format!("{}.{:06}", tick / 1_000_000, tick % 1_000_000);
        let text = |text: &str| ByteArray::from(text.as_bytes().to_vec());
        let feed = crate::venue::of(venue.name());
        let currency = feed.map_or("USD", |feed| feed.capabilities().currency);
        file.push(|columns| {
            for (column, value) in
                columns.iter_mut().zip([&name, token.as_str(), "ALTERNATIVE", currency])
            {
                column.text(text(value));
            }
            columns[4].int(PRECISION);
            columns[5].int(PRECISION);
            columns[6].text(text(&increment));
            columns[7].text(text("0.000001"));
            columns[8].long(0);
            columns[9].long(0);
            columns[10].text(text("0"));
            columns[11].text(text("0"));
            columns[12].maybe_text(None);
            columns[13].maybe_text(of.min_order.map(|least| text(&least.to_string())));
            columns[14].maybe_text(None);
            columns[15].text(text(of.market.as_str()));
            columns[16].maybe_text(None);
            columns[17].long(of.since_ns);
            columns[18].long(of.since_ns);
        })?;
        file.finish()
    }
}

/// A file being written.
struct File {
    path: PathBuf,
    groups: RowGroups,
    columns: Vec<Column>,
    waiting: usize,
    rows: u64,
}

impl File {
    fn push(&mut self, fill: impl FnOnce(&mut [Column])) -> Result<(), String> {
        fill(&mut self.columns);
        self.waiting += 1;
        if self.waiting < EXPORT_ROWS_PER_GROUP { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<(), String> {
        let written = self.groups.write(&self.columns, self.waiting);
        written.map_err(|error| format!("cannot write {}: {error}", self.path.display()))?;
        self.rows += self.waiting as u64;
        self.waiting = 0;
        self.columns.iter_mut().for_each(Column::clear);
        Ok(())
    }

    fn finish(mut self) -> Result<Written, String> {
        self.flush()?;
        let Self { path, groups, rows, .. } = self;
        let file = groups.finish();
        file.map_err(|error| format!("cannot write {}: {error}", path.display()))?.complete()?;
        Ok(Written { path, rows })
    }
}

const fn of_side(side: Side) -> u8 {
    match side {
        Side::Bid => BUY,
        Side::Ask => SELL,
    }
}

impl DayFormat for Nautilus {
    /// A strategy must see that nothing is known.
    const CLEARS_STALE: bool = true;

    fn level(
        &mut self,
        at: &At,
        is_snapshot: bool,
        side: Side,
        level: Level,
    ) -> Result<(), String> {
        let (action, flags) = match (is_snapshot, level.quantity.0) {
            (true, _) => (ADD, SNAPSHOT),
            (false, 0) => (DELETE, 0),
            (false, _) => (UPDATE, 0),
        };
        self.delta(at, (action, of_side(side), flags), level)
    }

    fn clear(&mut self, at: &At) -> Result<(), String> {
        // The book's own time is that of its last change.
        let at = At { venue_ns: at.local_ns, ..*at };
        let level = Level { price: Price::ZERO, quantity: Quantity::ZERO };
        self.delta(&at, (CLEAR, 0, 0), level)
    }

    fn trade(&mut self, at: &At, trade: &Trade<'_>) -> Result<(), String> {
        let (key, span) = self.span(at, true);
        let id = trade_id(trade.transaction_hash, span.last_ns);
        let row = Row {
            action: id.len() as u8,
            side: of_side(trade.side),
            flags: 0,
            price: trade.price,
            size: trade.quantity,
            venue_ns: at.venue_ns,
            local_ns: span.last_ns,
        };
        self.spool.add(key, |bytes| {
            row.push_to(bytes);
            bytes.extend(id.as_bytes());
        })
    }

    fn quote(&mut self, _: &At, _: [Option<Level>; 2]) -> Result<(), String> {
        Ok(())
    }

    fn finish(&mut self) -> Result<Vec<Written>, String> {
        let parts = self.spool.take_parts();
        let mut written = Vec::with_capacity(parts.len());
        for (key, part) in parts {
            written.push(self.write(&key, &part)?);
        }
        for ((venue, token), of) in &self.instruments {
            written.push(self.write_instrument(*venue, token, of)?);
        }
        Ok(written)
    }
}
