//! The journal: trades waiting for an unavailable database, one JSON object per line.
//!
//! Runs on:  the thread `trades`; may block on the disk. Bounds: the disk.
//!
//! Lines are appended, read from the front, and remain until the database has stored them; the file is truncated when
//! all are stored. After a crash some trades may be stored twice (the database ignores duplicates) and none is
//! missing. An incomplete line (disk full, power failure) is skipped and counted.
use crate::base::id::{ConnectionId, MarketId, TokenId, TradeId, Venue};
use crate::base::price::{Price, Quantity};
use crate::io::file::{FileState, state};
use crate::io::lock::{LockFault, lock};
use crate::link::shard_trade::TradeRecord;
use crate::market::book::Side;
use log::warn;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read as _, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A trade as a line. Prices, sizes and fees are integers in units of 1e-6.
#[derive(Debug, Deserialize, Serialize)]
struct Line<'a> {
    venue: Cow<'a, str>,
    market: Cow<'a, str>,
    token: Cow<'a, str>,
    price_e6: u32,
    size_e6: u64,
    buy: bool,
    venue_ms: u64,
    receive_ns: u64,
    id: Option<Cow<'a, str>>,
    fee_bps_e6: Option<u64>,
    connection: u32,
}

impl<'a> Line<'a> {
    fn of(trade: &'a TradeRecord) -> Self {
        Self {
            venue: trade.venue.name().into(),
            market: trade.market.as_str().into(),
            token: trade.token.as_str().into(),
            price_e6: trade.price.0,
            size_e6: trade.quantity.0,
            buy: trade.side == Side::Bid,
            venue_ms: trade.venue_ms,
            receive_ns: trade.receive_wall_ns,
            id: trade.id.as_ref().map(|id| id.as_str().into()),
            fee_bps_e6: trade.fee_rate_bps.map(|fee| fee.0),
            connection: trade.connection.0,
        }
    }

    fn trade(&self) -> Option<TradeRecord> {
        Some(TradeRecord {
            venue: Venue::parse(&self.venue)?,
            market: MarketId::new(&self.market)?,
            token: TokenId::new(&self.token)?,
            price: Price(self.price_e6),
            quantity: Quantity(self.size_e6),
            side: if self.buy { Side::Bid } else { Side::Ask },
            venue_ms: self.venue_ms,
            receive_wall_ns: self.receive_ns,
            id: match &self.id {
                Some(id) => Some(TradeId::new(id)?),
                None => None,
            },
            fee_rate_bps: self.fee_bps_e6.map(Quantity),
            connection: ConnectionId(self.connection),
        })
    }
}

fn read_line(line: &[u8]) -> Option<TradeRecord> {
    // The last line may lack its newline.
    sonic_rs::from_slice::<Line<'_>>(line.strip_suffix(b"\n").unwrap_or(line)).ok()?.trade()
}

/// The journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Bytes before this offset are stored in the database.
    read: u64,
    /// End of the trades returned by [`Journal::peek`].
    peeked: u64,
    end: u64,
}

/// Content of a journal left by an earlier run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalContents {
    /// Trades.
    pub trades: u64,
    /// Unreadable lines.
    pub incomplete: u64,
}

impl Journal {
    /// Opens or creates the file and counts its trades.
    ///
    /// # Errors
    /// The file cannot be opened, read or repaired, or another process uses it: the engine does not start.
    pub fn open(path: &Path) -> io::Result<(Self, JournalContents)> {
        if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(io::Error::other(
                "is no regular file; name one with `Trades::journal` or --trades-journal",
            ));
        }
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        match lock(&file) {
            Ok(()) => {}
            Err(LockFault::Held(by)) => {
                return Err(io::Error::other(format!(
                    "in use by {by}; stop it, or name another file with `Trades::journal` or --trades-journal"
                )));
            }
            Err(LockFault::Impossible(error)) => {
                warn!(
                    "{}: cannot be locked ({error}); make sure that no second engine uses it",
                    path.display()
                )
            }
        }
        let mut found = JournalContents::default();
        let (mut end, mut whole) = (0, true);
        let mut line = Vec::new();
        let mut reader = BufReader::new(&file);
        while reader.read_until(b'\n', &mut line)? > 0 {
            end += line.len() as u64;
            whole = line.ends_with(b"\n");
            match read_line(&line) {
                Some(_) => found.trades += 1,
                None => found.incomplete += 1,
            }
            line.clear();
        }
        if !whole {
            // The next line must start on a new line.
            file.seek(SeekFrom::End(0))?;
            file.write_all(b"\n")?;
            end += 1;
        }
        let path = path.to_owned();
        Ok((Self { path, file, read: 0, peeked: 0, end }, found))
    }

    /// Checks that the file was not deleted or truncated externally. A deleted file is rewritten; for a truncated one,
    /// returns the number of trades that are left and not stored.
    ///
    /// # Errors
    /// The file cannot be rewritten or read: retry later.
    pub fn check(&mut self) -> io::Result<Option<u64>> {
        let FileState { is_deleted, len } = state(&self.file)?;
        let left = if len < self.end {
            warn!("{}: truncated by another program", self.path.display());
            self.end = len;
            self.read = self.read.min(len);
            self.peeked = self.peeked.min(len);
            Some(self.count_left()?)
        } else {
            None
        };
        if is_deleted {
            self.rewrite()?;
            warn!("{}: deleted by another program; written again", self.path.display());
        }
        Ok(left)
    }

    fn count_left(&mut self) -> io::Result<u64> {
        self.file.seek(SeekFrom::Start(self.read))?;
        let mut reader = BufReader::new((&self.file).take(self.end - self.read));
        let (mut line, mut count) = (Vec::new(), 0);
        while reader.read_until(b'\n', &mut line)? > 0 {
            count += u64::from(read_line(&line).is_some());
            line.clear();
        }
        Ok(count)
    }

    /// A deleted file remains readable through its open descriptor.
    fn rewrite(&mut self) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create_new(true).open(&self.path)?;
        self.file.seek(SeekFrom::Start(self.read))?;
        let copied = io::copy(&mut (&self.file).take(self.end - self.read), &mut file);
        if let Err(error) = copied.and_then(|_| file.sync_data()) {
            let _ = std::fs::remove_file(&self.path);
            return Err(error);
        }
        // A new file cannot be locked by another process.
        let _ = lock(&file);
        self.file = file;
        self.peeked = self.peeked.saturating_sub(self.read);
        self.end -= self.read;
        self.read = 0;
        Ok(())
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of trades that are not stored in the database.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.end - self.read
    }

    /// Appends trades and syncs the file.
    ///
    /// # Errors
    /// Nothing was appended: the caller retries with the same trades.
    pub fn append<'a>(
        &mut self,
        trades: impl IntoIterator<Item = &'a TradeRecord>,
    ) -> io::Result<()> {
        let mut text = Vec::new();
        for trade in trades {
            sonic_rs::to_writer(&mut text, &Line::of(trade)).map_err(io::Error::other)?;
            text.push(b'\n');
        }
        self.file.seek(SeekFrom::Start(self.end))?;
        if let Err(error) = self.file.write_all(&text).and_then(|()| self.file.sync_data()) {
            // A partial append must not precede later lines.
            let _ = self.file.set_len(self.end);
            return Err(error);
        }
        self.end += text.len() as u64;
        Ok(())
    }

    /// Fills `batch` with the next trades that are not stored, at most `count`. They stay in the
    /// journal until [`Journal::consume`].
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn peek(&mut self, count: usize, batch: &mut Vec<TradeRecord>) -> io::Result<()> {
        batch.clear();
        self.file.seek(SeekFrom::Start(self.read))?;
        self.peeked = self.read;
        let mut reader = BufReader::new((&self.file).take(self.end - self.read));
        let mut line = Vec::new();
        while batch.len() < count && reader.read_until(b'\n', &mut line)? > 0 {
            self.peeked += line.len() as u64;
            batch.extend(read_line(&line));
            line.clear();
        }
        Ok(())
    }

    /// The peeked trades are stored. Truncates the file when all are.
    ///
    /// # Errors
    /// The file cannot be truncated: the next run submits its trades again, which stores no duplicate.
    pub fn consume(&mut self) -> io::Result<()> {
        self.read = self.peeked.min(self.end);
        if self.read == self.end && self.end > 0 {
            self.file.set_len(0)?;
            (self.read, self.peeked, self.end) = (0, 0, 0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
