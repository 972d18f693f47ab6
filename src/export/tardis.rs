//! The CSV files of Tardis: changes of books, trades and best prices, one file for each token and UTC day.
//!
//! Runs on:  the replay's one shard. Owns: the files, each with the suffix `.unfinished` until all are complete.
//! Bounds:   `EXPORT_TEXT_BYTES` of text in memory; a copy of each book.
//!
//! Columns: <https://docs.tardis.dev/downloadable-csv-files>. Times are microseconds; without a venue time `timestamp`
//! is `local_timestamp`, and the other way round in a recording without times of receipt. The first rows of a day are a snapshot of the book, everything after them is changes: what
//! a later snapshot says otherwise is written as the levels that differ. Only live books have rows, and a book that
//! is live again has those in which it differs from its last row.
use super::gather::Rows;
use super::plan::{Format, Tables};
use super::table::Written;
use crate::base::id::TokenId;
use crate::base::limits::EXPORT_TEXT_BYTES;
use crate::base::price::{Price, Quantity};
use crate::base::time::MILLISECOND_NS;
use crate::market::book::{Book, BookState, Level, Side};
use crate::market::event::Trade;
use crate::shard::publish::{BookView, Change};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

const LEVELS: &str = "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount\n";
const TRADES: &str = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n";
const QUOTES: &str =
    "exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount\n";
const DAY_NS: u64 = 86_400 * 1_000_000_000;

/// A file whose last rows may be in memory.
struct DayFile {
    path: PathBuf,
    text: String,
    rows: u64,
    /// Some of it is on disk.
    is_created: bool,
}

impl DayFile {
    fn new(path: PathBuf, header: &str) -> Self {
        Self { path, text: header.to_owned(), rows: 0, is_created: false }
    }

    fn unfinished(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".unfinished");
        name.into()
    }

    /// Appends the rows in memory as a gzip member of their own.
    fn flush(&mut self) -> Result<(), String> {
        if self.text.is_empty() {
            return Ok(());
        }
        let path = self.unfinished();
        let write = || -> std::io::Result<()> {
            let file = match self.is_created {
                true => File::options().append(true).open(&path)?,
                false => File::create(&path)?,
            };
            let mut encoder = GzEncoder::new(file, Compression::default());
            encoder.write_all(self.text.as_bytes())?;
            encoder.finish().map(drop)
        };
        write().map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        self.is_created = true;
        self.text = String::new();
        Ok(())
    }
}

/// A book as its last row left it.
#[derive(Default)]
struct Shadow {
    /// By price; bids and asks.
    sides: [BTreeMap<Price, Quantity>; 2],
    /// Best bid and best ask of the last row of quotes.
    quote: Option<[Option<Level>; 2]>,
    /// The day of its last row of levels.
    day: Option<u64>,
}

/// Kind of a file, token, day since the epoch.
type Key = (&'static str, TokenId, u64);

/// The files of all tokens.
pub(super) struct TardisRows {
    folder: PathBuf,
    tables: Tables,
    files: HashMap<Key, DayFile>,
    shadows: HashMap<TokenId, Shadow>,
    /// Bytes of text in memory.
    waiting: usize,
}

/// The time of receipt; where a recording has none, the venue's.
const fn local_ns(view: &BookView<'_>, venue_ms: u64) -> u64 {
    match view.read_wall_ns {
        0 => venue_ms.saturating_mul(MILLISECOND_NS),
        ns => ns,
    }
}

/// Without any time a book has no day: its levels are in the snapshot of its first one.
const fn has_time(view: &BookView<'_>) -> bool {
    local_ns(view, view.facts.timestamp_ms) > 0
}

/// First four columns of a row.
fn source(text: &mut String, view: &BookView<'_>, venue_ms: u64) {
    let local_us = local_ns(view, venue_ms) / 1_000;
    let venue_us = if venue_ms == 0 { local_us } else { venue_ms.saturating_mul(1_000) };
    let _ = write!(text, "{},{},{venue_us},{local_us},", view.venue.name(), view.token);
}

const fn place(side: Side) -> usize {
    match side {
        Side::Bid => 0,
        Side::Ask => 1,
    }
}

impl TardisRows {
    pub(super) fn create(folder: &Path, tables: Tables) -> Result<Self, String> {
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
        Ok(Self {
            folder: folder.to_owned(),
            tables,
            files: HashMap::new(),
            shadows: HashMap::new(),
            waiting: 0,
        })
    }

    /// Adds a row to the file of its token and day.
    fn add(
        &mut self,
        (kind, header): (&'static str, &str),
        view: &BookView<'_>,
        venue_ms: u64,
        fill: impl FnOnce(&mut String),
    ) -> Result<(), String> {
        let day = local_ns(view, venue_ms) / DAY_NS;
        let file = self.files.entry((kind, *view.token, day)).or_insert_with(|| {
            let date =
                jiff::Timestamp::from_second((day * 86_400).cast_signed()).unwrap_or_default();
            let date = date.strftime("%Y-%m-%d");
            // A ticker or a token of digits; what could leave the folder is replaced.
            let symbol = view.token.as_str().replace(['/', '\\', '\0'], "-");
            let (venue, suffix) = (view.venue.name(), Format::TardisCsv.suffix());
            let name = format!("{venue}_{kind}_{date}_{symbol}.{suffix}");
            DayFile::new(self.folder.join(name), header)
        });
        let before = file.text.len();
        source(&mut file.text, view, venue_ms);
        fill(&mut file.text);
        file.rows += 1;
        self.waiting += file.text.len() - before;
        if self.waiting < EXPORT_TEXT_BYTES {
            return Ok(());
        }
        self.waiting = 0;
        self.files.values_mut().try_for_each(DayFile::flush)
    }

    fn level(
        &mut self,
        view: &BookView<'_>,
        is_snapshot: bool,
        side: Side,
        level: Level,
    ) -> Result<(), String> {
        let name = if side == Side::Bid { "bid" } else { "ask" };
        self.add(("incremental_book_L2", LEVELS), view, view.facts.timestamp_ms, |text| {
            let _ = writeln!(text, "{is_snapshot},{name},{},{}", level.price, level.quantity);
        })
    }

    /// The book as a snapshot, the best levels first, if its file of this day has no rows yet. True where it was so.
    fn begin_day(&mut self, view: &BookView<'_>) -> Result<bool, String> {
        let day = local_ns(view, view.facts.timestamp_ms) / DAY_NS;
        let shadow = self.shadows.entry(*view.token).or_default();
        if shadow.day.replace(day) == Some(day) {
            return Ok(false);
        }
        shadow.sides = sides(view.book);
        for (side, ladder) in [(Side::Bid, &view.book.bids), (Side::Ask, &view.book.asks)] {
            for level in ladder.levels().rev() {
                self.level(view, true, side, level)?;
            }
        }
        Ok(true)
    }

    /// The levels in which the book differs from its last row.
    fn difference(&mut self, view: &BookView<'_>) -> Result<(), String> {
        if !self.tables.levels || !has_time(view) || self.begin_day(view)? {
            return Ok(());
        }
        let Some(shadow) = self.shadows.get_mut(view.token) else { return Ok(()) };
        let now = sides(view.book);
        let before = std::mem::replace(&mut shadow.sides, now.clone());
        for side in [Side::Bid, Side::Ask] {
            let (before, now) = (&before[place(side)], &now[place(side)]);
            for &price in before.keys().filter(|price| !now.contains_key(price)) {
                self.level(view, false, side, Level { price, quantity: Quantity(0) })?;
            }
            for (&price, &quantity) in
                now.iter().filter(|(price, size)| before.get(price) != Some(size))
            {
                self.level(view, false, side, Level { price, quantity })?;
            }
        }
        Ok(())
    }

    /// Best prices, if they are others; none where the book is not live.
    fn quote(&mut self, view: &BookView<'_>) -> Result<(), String> {
        if !self.tables.tops || !has_time(view) {
            return Ok(());
        }
        let quote = match view.state {
            BookState::Live => [view.book.best_bid(), view.book.best_ask()],
            _ => [None, None],
        };
        let shadow = self.shadows.entry(*view.token).or_default();
        let before = shadow.quote.replace(quote);
        if before == Some(quote) || before.is_none() && view.state != BookState::Live {
            return Ok(());
        }
        self.add(("quotes", QUOTES), view, view.facts.timestamp_ms, |text| {
            let [bid, ask] = quote;
            if let Some(Level { price, quantity }) = ask {
                let _ = write!(text, "{quantity},{price}");
            }
            text.push_str(if ask.is_some() { "," } else { ",," });
            match bid {
                Some(Level { price, quantity }) => _ = writeln!(text, "{price},{quantity}"),
                None => text.push_str(",\n"),
            }
        })
    }
}

fn sides(book: &Book) -> [BTreeMap<Price, Quantity>; 2] {
    [&book.bids, &book.asks]
        .map(|ladder| ladder.levels().map(|level| (level.price, level.quantity)).collect())
}

impl Rows for TardisRows {
    fn snapshot(&mut self, view: &BookView<'_>) -> Result<(), String> {
        self.status(view)
    }

    fn change(&mut self, view: &BookView<'_>, change: &Change) -> Result<(), String> {
        let is_wanted = self.tables.levels && view.state == BookState::Live && has_time(view);
        if is_wanted && !self.begin_day(view)? {
            let Level { price, quantity } = change.level;
            let shadow = self.shadows.entry(*view.token).or_default();
            let levels = &mut shadow.sides[place(change.side)];
            match quantity.0 {
                0 => _ = levels.remove(&price),
                _ => _ = levels.insert(price, quantity),
            }
            self.level(view, false, change.side, change.level)?;
        }
        self.quote(view)
    }

    fn status(&mut self, view: &BookView<'_>) -> Result<(), String> {
        if view.state == BookState::Live {
            self.difference(view)?;
        }
        self.quote(view)
    }

    fn trade(&mut self, view: &BookView<'_>, trade: &Trade<'_>) -> Result<(), String> {
        if !self.tables.trades {
            return Ok(());
        }
        let side = if trade.side == Side::Bid { "buy" } else { "sell" };
        self.add(("trades", TRADES), view, trade.timestamp_ms, |text| {
            let Trade { transaction_hash: id, price, quantity, .. } = trade;
            let _ = writeln!(text, "{id},{side},{price},{quantity}");
        })
    }

    fn finish(&mut self) -> Result<Vec<Written>, String> {
        let mut written = Vec::new();
        for (_, mut file) in self.files.drain() {
            file.flush()?;
            let (unfinished, path) = (file.unfinished(), file.path);
            std::fs::rename(&unfinished, &path)
                .map_err(|error| format!("cannot rename {}: {error}", unfinished.display()))?;
            written.push(Written { path, rows: file.rows });
        }
        written.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(written)
    }
}
