//! The file in which trades wait for a database that is away: one line of JSON each.
//!
//! Runs on:  the trade sink; writes files and may wait for the disk. Bounds: the disk.
//!
//! Lines are appended, read from the front, and stay until the database has them; when it has all, the file is
//! emptied. So after a crash some may be told again, and none is missing. A line that was not written to
//! its end (the disk was full, the power went) is passed over and counted.
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

/// A trade as a line. Prices, sizes and fees are whole numbers of 1e-6.
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
    // The last line may lack its end and nothing else.
    sonic_rs::from_slice::<Line<'_>>(line.strip_suffix(b"\n").unwrap_or(line)).ok()?.trade()
}

/// The journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// The database has everything before.
    read: u64,
    /// What was handed out ends here.
    peeked: u64,
    end: u64,
}

/// What a journal held from before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Trades.
    pub trades: u64,
    /// Lines that cannot be read.
    pub torn: u64,
}

impl Journal {
    /// Opens or makes the file and counts what is in it.
    ///
    /// # Errors
    /// The file cannot be opened, read or repaired, or another process uses it: *say so at the start*.
    pub fn open(path: &Path) -> io::Result<(Self, Found)> {
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
                warn!("{}: cannot be locked ({error}); let no second engine use it", path.display())
            }
        }
        let mut found = Found::default();
        let (mut end, mut whole) = (0, true);
        let mut line = Vec::new();
        let mut reader = BufReader::new(&file);
        while reader.read_until(b'\n', &mut line)? > 0 {
            end += line.len() as u64;
            whole = line.ends_with(b"\n");
            match read_line(&line) {
                Some(_) => found.trades += 1,
                None => found.torn += 1,
            }
            line.clear();
        }
        if !whole {
            // What comes behind a torn line begins on one of its own.
            file.seek(SeekFrom::End(0))?;
            file.write_all(b"\n")?;
            end += 1;
        }
        let path = path.to_owned();
        Ok((Self { path, file, read: 0, peeked: 0, end }, found))
    }

    /// Looks whether the file is still what was written. One that was deleted is written again at its place; of
    /// one that was cut, gives the trades that are left and that the database does not have.
    ///
    /// # Errors
    /// The file cannot be written again or read: *try again later*.
    pub fn check(&mut self) -> io::Result<Option<u64>> {
        let FileState { is_deleted, len } = state(&self.file)?;
        let left = if len < self.end {
            warn!("{}: was cut by somebody else", self.path.display());
            self.end = len;
            self.read = self.read.min(len);
            self.peeked = self.peeked.min(len);
            Some(self.count_left()?)
        } else {
            None
        };
        if is_deleted {
            self.write_again()?;
            warn!("{}: was deleted by somebody else; it is there again", self.path.display());
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

    /// A deleted file can be read until it is closed.
    fn write_again(&mut self) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create_new(true).open(&self.path)?;
        self.file.seek(SeekFrom::Start(self.read))?;
        let copied = io::copy(&mut (&self.file).take(self.end - self.read), &mut file);
        if let Err(error) = copied.and_then(|_| file.sync_data()) {
            let _ = std::fs::remove_file(&self.path);
            return Err(error);
        }
        // Nobody can hold a file that has just been made.
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

    /// Bytes that the database does not have yet.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.end - self.read
    }

    /// Appends trades and has the disk take them.
    ///
    /// # Errors
    /// Nothing was appended: *keep them and try again*.
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
            // What was written of it must not stand before what comes later.
            let _ = self.file.set_len(self.end);
            return Err(error);
        }
        self.end += text.len() as u64;
        Ok(())
    }

    /// Fills `batch` with the next trades that the database does not have, at most `count`. They stay in
    /// the journal until [`Journal::consume`].
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

    /// The database has what was peeked at. An emptied journal takes no room.
    ///
    /// # Errors
    /// The file cannot be emptied: its trades are told again at the next start, and stored once.
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
