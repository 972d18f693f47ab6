//! The CSV files of Tardis: changes of books, trades and best prices, one file for each token and UTC day.
//!
//! Runs on:  the replay's one shard. Owns: the files, each with the suffix `.unfinished` until it is complete.
//!
//! Columns: <https://docs.tardis.dev/downloadable-csv-files>. Times are microseconds. A book that is live again has
//! rows of those levels in which it differs from its last row.
use super::daily::{At, DayFormat, date, symbol};
use super::plan::Format;
use super::spool::{Part, Spool};
use super::table::Written;
use crate::base::id::{TokenId, Venue};
use crate::io::file::NewFile;
use crate::market::book::{Level, Side};
use crate::market::event::Trade;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write as _;
use std::path::{Path, PathBuf};

const LEVELS: &str = "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount\n";
const TRADES: &str = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n";
const QUOTES: &str =
    "exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount\n";

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Levels,
    Quotes,
    Trades,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Levels => "incremental_book_L2",
            Self::Quotes => "quotes",
            Self::Trades => "trades",
        }
    }

    const fn header(self) -> &'static str {
        match self {
            Self::Levels => LEVELS,
            Self::Quotes => QUOTES,
            Self::Trades => TRADES,
        }
    }
}

/// A file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    venue: Venue,
    kind: Kind,
    /// Since the epoch.
    day: u64,
    token: TokenId,
}

/// The files of all tokens.
pub(super) struct TardisCsv {
    folder: PathBuf,
    /// Lines.
    spool: Spool<Key>,
}

impl TardisCsv {
    pub(super) fn create(folder: &Path) -> Result<Self, String> {
        Ok(Self { folder: folder.to_owned(), spool: Spool::create(folder)? })
    }

    /// Adds a line: `fill` writes what follows the first four columns.
    fn add(
        &mut self,
        kind: Kind,
        at: &At,
        fill: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>,
    ) -> Result<(), String> {
        let At { venue, token, venue_ns, local_ns, .. } = *at;
        self.spool.add(Key { venue, kind, day: at.day(), token }, |line| {
            let (venue_us, local_us) = (venue_ns / 1_000, local_ns / 1_000);
            // Memory takes all of it.
            let _ = write!(line, "{},{token},{venue_us},{local_us},", venue.name());
            let _ = fill(line);
        })
    }

    fn write(&self, key: &Key, part: &Part) -> Result<Written, String> {
        let Key { venue, kind, day, token } = key;
        let (venue, kind_name, date, symbol) =
            (venue.name(), kind.name(), date(*day), symbol(token));
        let suffix = Format::TardisCsv.suffix();
        let path = self.folder.join(format!("{venue}_{kind_name}_{date}_{symbol}.{suffix}"));
        let mut encoder = GzEncoder::new(NewFile::create(&path)?, Compression::default());
        let explain = |error: std::io::Error| format!("cannot write {}: {error}", path.display());
        encoder.write_all(kind.header().as_bytes()).map_err(explain)?;
        self.spool.each(part, |lines| encoder.write_all(lines).map_err(explain))?;
        encoder.finish().map_err(explain)?.complete()?;
        Ok(Written { path, rows: part.rows })
    }
}

impl DayFormat for TardisCsv {
    const CLEARS_STALE: bool = false;

    fn level(
        &mut self,
        at: &At,
        is_snapshot: bool,
        side: Side,
        level: Level,
    ) -> Result<(), String> {
        let side = if side == Side::Bid { "bid" } else { "ask" };
        self.add(Kind::Levels, at, |line| {
            writeln!(line, "{is_snapshot},{side},{},{}", level.price, level.quantity)
        })
    }

    fn clear(&mut self, _: &At) -> Result<(), String> {
        Ok(())
    }

    fn trade(&mut self, at: &At, trade: &Trade<'_>) -> Result<(), String> {
        let side = if trade.side == Side::Bid { "buy" } else { "sell" };
        self.add(Kind::Trades, at, |line| {
            let Trade { transaction_hash: id, price, quantity, .. } = trade;
            writeln!(line, "{id},{side},{price},{quantity}")
        })
    }

    fn quote(&mut self, at: &At, [bid, ask]: [Option<Level>; 2]) -> Result<(), String> {
        self.add(Kind::Quotes, at, |line| {
            if let Some(Level { price, quantity }) = ask {
                write!(line, "{quantity},{price}")?;
            }
            line.extend(if ask.is_some() { &b","[..] } else { b",," });
            match bid {
                Some(Level { price, quantity }) => writeln!(line, "{price},{quantity}"),
                None => writeln!(line, ","),
            }
        })
    }

    fn finish(&mut self) -> Result<Vec<Written>, String> {
        let parts = self.spool.take_parts();
        let mut written = Vec::with_capacity(parts.len());
        for (key, part) in parts {
            written.push(self.write(&key, &part)?);
        }
        Ok(written)
    }
}
