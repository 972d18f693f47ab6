//! A table of levels, as `ringbook export` writes it, as a capture.
//!
//! Runs on:  the starting thread. Bounds: `ROWS_MAX` rows.
//!
//! The table has the levels of every snapshot and every change, and no messages: they are written anew as the venue
//! would send them, with the times of the rows, each token on a connection of its own. The table has no states: a book
//! that was stale is live until its next snapshot, and an empty snapshot is not there.
use super::folder::{ROTATION, new_folder};
use super::import::Imported;
use crate::base::limits::CAPTURE_BLOCK_BYTES;
use crate::base::price::{Price, Quantity};
use crate::base::time::MILLISECOND_NS;
use crate::capture::line::{Stamp, write_text};
use crate::sink::capture::segment::Folder;
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::file::reader::{FileReader as _, RowGroupReader, SerializedFileReader};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Rows that are sorted in memory, about 40 bytes each.
const ROWS_MAX: usize = 20_000_000;
/// The key of the tables' version in the metadata of a file.
const SCHEMA_KEY: &str = "ringbook.schema";
const COLUMNS: [&str; 9] =
    ["venue", "market", "token", "kind", "side", "price", "size", "venue_time", "receive_time"];

/// A level of a snapshot, or one that changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    token: u32,
    is_snapshot: bool,
    is_bid: bool,
    price: Price,
    size: Quantity,
    venue_ms: u64,
    receive_ns: u64,
}

impl Row {
    /// Whether both are of one message.
    fn is_with(&self, other: &Self) -> bool {
        let key = |row: &Self| (row.token, row.is_snapshot, row.venue_ms, row.receive_ns);
        key(self) == key(other)
    }
}

#[derive(Clone, Debug, Default)]
struct Token {
    market: String,
    token: String,
    /// By side and price; for differences.
    levels: BTreeMap<(bool, Price), Quantity>,
    /// Number of its messages.
    messages: u64,
    /// Time of its last row.
    last_ns: u64,
}

#[derive(Debug, Default)]
struct Table {
    venue: Option<String>,
    tokens: Vec<Token>,
    places: HashMap<String, u32>,
    rows: Vec<Row>,
}

/// Writes the capture of tables of one venue. Setting `stop` ends it early.
///
/// # Errors
/// One line: a file is no table of levels, has too many rows or cannot be read, or the output cannot be written.
pub(super) fn import(
    files: &[PathBuf],
    out: &Path,
    stop: &Arc<AtomicBool>,
) -> Result<Imported, String> {
    new_folder(out)?;
    let mut table = Table::default();
    for path in files {
        table.read(path).map_err(|fault| format!("{}: {fault}", path.display()))?;
    }
    let Table { venue, mut tokens, mut rows, .. } = table;
    // Rows of a token keep their order.
    rows.sort_by_key(|row| row.receive_ns);
    let is_numbered = match venue.as_deref() {
        Some("polymarket") => false,
        Some("kalshi") => true,
        Some(venue) => return Err(format!("{venue}: captures of this venue are not known")),
        None => return Err("the table has no row".to_owned()),
    };
    let failed = |error: std::io::Error| format!("{}: {error}", out.display());
    let start_ns = rows.first().map_or(0, |row| row.receive_ns);
    let (mut folder, _) = Folder::open(out, ROTATION, start_ns, 1).map_err(failed)?;
    let mut frames = 0;
    let mut end_ns = start_ns;
    let mut text = String::new();
    for message in rows.chunk_by(Row::is_with) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let first = message[0];
        let token = &mut tokens[first.token as usize];
        text.clear();
        if is_numbered {
            token.write_numbered(message, &mut text, |frame, number| {
                write(&mut folder, first, number, frame);
                frames += 1;
            });
        } else {
            token.write_absolute(message, &mut text);
            write(&mut folder, first, token.messages, &text);
            token.messages += 1;
            frames += 1;
        }
        end_ns = end_ns.max(first.receive_ns);
        if folder.waiting() >= CAPTURE_BLOCK_BYTES {
            folder.flush(folder.latest()).map_err(failed)?;
        }
    }
    if folder.waiting() > 0 {
        folder.flush(folder.latest()).map_err(failed)?;
    }
    let bytes = folder.totals().bytes;
    folder.finish(end_ns).map_err(failed)?;
    let states = "a table of levels has no states, no messages without levels and no trades: a book that was stale is \
                  live until its next snapshot";
    Ok(Imported { frames, bytes, notes: vec![states.to_owned()], faults: Vec::new() })
}

fn write(folder: &mut Folder, row: Row, sequence: u64, frame: &str) {
    let stamp = Stamp { receive_ns: row.receive_ns, connection: row.token + 1, sequence };
    write_text(folder.text(row.receive_ns), stamp, frame);
}

impl Table {
    fn read(&mut self, path: &Path) -> Result<(), String> {
        let file = File::open(path).map_err(|error| error.to_string())?;
        let reader = SerializedFileReader::new(file).map_err(text)?;
        let metadata = reader.metadata().file_metadata();
        let version = metadata.key_value_metadata().into_iter().flatten();
        let version =
            version.filter(|entry| entry.key == SCHEMA_KEY).find_map(|e| e.value.as_ref());
        match version.map(|version| version.split(' ').next().unwrap_or_default()) {
            Some("levels") => {}
            Some(other) => return Err(format!("is a table of {other}: books need that of levels")),
            None => return Err("is no table of `ringbook export`".to_owned()),
        }
        let names: Vec<&str> =
            metadata.schema_descr().columns().iter().map(|column| column.name()).collect();
        if names != COLUMNS {
            return Err(
                "has other columns than `levels`: export without --partition, with this version"
                    .to_owned(),
            );
        }
        if self.rows.len() as i64 + metadata.num_rows() > ROWS_MAX as i64 {
            return Err(format!(
                "more than {ROWS_MAX} rows: export some markets or days at a time"
            ));
        }
        for group in 0..reader.num_row_groups() {
            self.read_group(&*reader.get_row_group(group).map_err(text)?)?;
        }
        Ok(())
    }

    fn read_group(&mut self, group: &dyn RowGroupReader) -> Result<(), String> {
        let texts = |place| column::<ByteArrayType>(group, place);
        let (venues, markets, tokens) = (texts(0)?.0, texts(1)?.0, texts(2)?.0);
        let (kinds, sides) = (texts(3)?.0, texts(4)?.0);
        let (prices, sizes) = (column::<Int32Type>(group, 5)?.0, column::<Int64Type>(group, 6)?.0);
        let [venue_times, times] = [7, 8].map(|place| optional(group, place));
        let (venue_times, times) = (venue_times?, times?);
        let utf8 = |bytes: &ByteArray| bytes.as_utf8().map(str::to_owned).map_err(text);
        for place in 0..group.metadata().num_rows() as usize {
            let venue = utf8(&venues[place])?;
            if self.venue.get_or_insert_with(|| venue.clone()) != &venue {
                return Err("has rows of two venues: export each with --venue".to_owned());
            }
            let token = utf8(&tokens[place])?;
            let next = self.tokens.len() as u32;
            let token = *self.places.entry(token.clone()).or_insert(next);
            if token == next {
                let [market, token] = [&markets[place], &tokens[place]].map(utf8);
                self.tokens.push(Token { market: market?, token: token?, ..Token::default() });
            }
            let venue_ms = venue_times[place].unwrap_or(0);
            let receive_ns = times[place].unwrap_or(venue_ms.saturating_mul(MILLISECOND_NS));
            // The rows of a token are in the order of its messages, whatever their times.
            let last_ns = &mut self.tokens[token as usize].last_ns;
            *last_ns = receive_ns.max(*last_ns);
            let receive_ns = *last_ns;
            self.rows.push(Row {
                token,
                is_snapshot: kinds[place].data() == b"snapshot",
                is_bid: sides[place].data() == b"bid",
                price: Price(prices[place].cast_unsigned()),
                size: Quantity(sizes[place].cast_unsigned()),
                venue_ms,
                receive_ns,
            });
        }
        Ok(())
    }
}

fn text(error: impl std::error::Error) -> String {
    error.to_string()
}

fn column<T: DataType>(
    group: &dyn RowGroupReader,
    place: usize,
) -> Result<(Vec<T::T>, Vec<i16>), String> {
    let mut reader = get_typed_column_reader::<T>(group.get_column_reader(place).map_err(text)?);
    let rows = group.metadata().num_rows() as usize;
    let (mut values, mut defined) = (Vec::new(), Vec::new());
    let mut read = 0;
    while read < rows {
        let (records, _, _) = reader
            .read_records(rows - read, Some(&mut defined), None, &mut values)
            .map_err(text)?;
        if records == 0 {
            return Err("a column is shorter than its table".to_owned());
        }
        read += records;
    }
    Ok((values, defined))
}

fn optional(group: &dyn RowGroupReader, place: usize) -> Result<Vec<Option<u64>>, String> {
    let (values, defined) = column::<Int64Type>(group, place)?;
    let mut values = values.into_iter().map(i64::cast_unsigned);
    Ok(defined.into_iter().map(|level| if level > 0 { values.next() } else { None }).collect())
}

/// `"A","B"` with `each` level.
fn list<'r>(rows: impl Iterator<Item = &'r Row>, each: impl Fn(&Row) -> String) -> String {
    rows.map(each).collect::<Vec<_>>().join(",")
}

impl Token {
    fn write_absolute(&self, message: &[Row], out: &mut String) {
        let Self { market, token, .. } = self;
        let ms = message[0].venue_ms;
        // Writing to a string cannot fail; ids hold no character that JSON escapes.
        let _ = write!(out, r#"{{"market":"{market}","#);
        if message[0].is_snapshot {
            let side = |is_bid: bool| {
                list(message.iter().filter(|row| row.is_bid == is_bid), |row| {
                    format!(r#"{{"price":"{}","size":"{}"}}"#, row.price, row.size)
                })
            };
            let (bids, asks) = (side(true), side(false));
            let _ = write!(
                out,
                r#""asset_id":"{token}","timestamp":"{ms}","hash":"","bids":[{bids}],"asks":[{asks}],"event_type":"book"}}"#
            );
            return;
        }
        let changes = list(message.iter(), |row| {
            let side = if row.is_bid { "BUY" } else { "SELL" };
            let Row { price, size, .. } = row;
            format!(r#"{{"asset_id":"{token}","price":"{price}","size":"{size}","side":"{side}"}}"#)
        });
        let _ = write!(
            out,
            r#""price_changes":[{changes}],"timestamp":"{ms}","event_type":"price_change"}}"#
        );
    }

    /// Messages of Kalshi: a snapshot, or a difference for each level. `each` gets them with their numbers.
    fn write_numbered(
        &mut self,
        message: &[Row],
        out: &mut String,
        mut each: impl FnMut(&str, u64),
    ) {
        let Self { market, levels, messages, .. } = self;
        if message[0].is_snapshot {
            levels.clear();
            levels.extend(message.iter().map(|row| ((row.is_bid, row.price), row.size)));
            let side = |is_bid: bool| {
                list(message.iter().filter(|row| row.is_bid == is_bid), |row| {
                    format!(r#"["{}","{}"]"#, own(row), row.size)
                })
            };
            let (yes, no, seq) = (side(true), side(false), *messages + 1);
            let _ = write!(
                out,
                r#"{{"type":"orderbook_snapshot","sid":1,"seq":{seq},"msg":{{"market_ticker":"{market}","yes_dollars_fp":[{yes}],"no_dollars_fp":[{no}]}}}}"#
            );
            each(out, *messages);
            *messages += 1;
            return;
        }
        for row in message {
            let before = levels.insert((row.is_bid, row.price), row.size).unwrap_or(Quantity(0));
            let (sign, by) = match row.size.0.checked_sub(before.0) {
                Some(more) => ("", Quantity(more)),
                None => ("-", Quantity(before.0 - row.size.0)),
            };
            let (side, seq) = (if row.is_bid { "yes" } else { "no" }, *messages + 1);
            let price = own(row);
            let ms = row.venue_ms;
            out.clear();
            let _ = write!(
                out,
                r#"{{"type":"orderbook_delta","sid":1,"seq":{seq},"msg":{{"market_ticker":"{market}","price_dollars":"{price}","delta_fp":"{sign}{by}","side":"{side}""#
            );
            if ms > 0 {
                let _ = write!(out, r#","ts_ms":{ms}"#);
            }
            out.push_str("}}");
            each(out, *messages);
            *messages += 1;
        }
    }
}

/// The price on the side of its buyer: offers of YES are bids for NO.
fn own(row: &Row) -> Price {
    if row.is_bid { row.price } else { row.price.complement() }
}
