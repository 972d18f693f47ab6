//! The flags of `ringbook export` and `ringbook candles`.
//!
//! Runs on:  the starting thread.
use super::replay::{by_venue, files, range, time, venue};
use crate::export::candles::{CandlesPlan, Interval};
use crate::export::plan::{Destination, ExportPlan, Format, From, PartitionKey, Tables};
use crate::replay::Recording;
use crate::replay::plan::{Plan, Speed};
use crate::sink::store::StoreAddress;
use crate::venue::{self as venues, Feed};
use std::path::PathBuf;

/// Write trades, level changes and best prices as Parquet, Arrow, CSV or the files of backtesters.
///
/// From captures come the tables trades, levels and tops, from a database trades. Prices and sizes are exact decimals
/// with six places, times are timestamps in UTC: the venue's in milliseconds, ours in nanoseconds.
///
/// Exit code: 0; 1 when nothing could be exported, an input cannot be read to its end (what was read is written) or a
/// file not be written; 2 for wrong flags; 130 when interrupted.
#[derive(Clone, Debug, clap::Args)]
pub struct ExportArgs {
    /// Captures (files, folders, `-`), or one database as --trades names it: sqlite:FILE,
    /// postgres://USER@HOST/DATABASE
    #[arg(value_name = "SOURCE", required = true)]
    pub sources: Vec<PathBuf>,

    /// Of captures of both venues, only this one: polymarket or kalshi [default: recognized by the first message of
    /// each file; polymarket for `-`]
    #[arg(long, value_name = "VENUE", value_parser = venue)]
    pub venue: Option<Feed>,

    /// The format
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = To::Parquet)]
    pub to: To,

    /// The folder of the files; `-` is standard output, for one table as csv or arrow
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,

    /// Divide the files of parquet in the Hive layout, by day, venue or both: DIR/trades/day=2026-11-30/venue=kalshi
    #[arg(long, value_name = "KEYS", value_parser = keys)]
    pub partition: Option<Partition>,

    /// Tables to write of captures: some of trades, levels and tops
    #[arg(long, value_name = "TABLES", default_value = "trades,levels,tops", value_parser = Tables::parse)]
    pub tables: Tables,

    /// Only this market or token of captures; may be repeated
    #[arg(long, value_name = "MARKET")]
    pub market: Vec<String>,

    /// Leave out what was received before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub since: Option<u64>,

    /// Leave out what was received at this time and later
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub until: Option<u64>,
}

/// Values of `--to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum To {
    /// A Parquet file for each table
    Parquet,
    /// A CSV file for each table
    Csv,
    /// An Arrow IPC stream for each table
    Arrow,
    /// The CSV files of Tardis: one for each kind of data, token and UTC day, compressed with gzip
    TardisCsv,
    /// The event arrays of hftbacktest: an `.npz` file for each token and UTC day
    Hftbacktest,
    /// The Parquet catalog of `NautilusTrader`: a file for each kind of data, token and UTC day
    Nautilus,
}

impl To {
    const fn format(self) -> Format {
        match self {
            Self::Parquet => Format::Parquet,
            Self::Csv => Format::Csv,
            Self::Arrow => Format::Arrow,
            Self::TardisCsv => Format::TardisCsv,
            Self::Hftbacktest => Format::Hftbacktest,
            Self::Nautilus => Format::Nautilus,
        }
    }
}

impl ExportArgs {
    /// Checks the flags together.
    ///
    /// # Errors
    /// One line with flag and remedy; exit code 2.
    pub fn plan(&self) -> Result<ExportPlan, String> {
        let to = Destination::of(self.out.clone());
        let from = source(&self.sources, self.venue, self.since, self.until)?;
        let is_database = matches!(from, From::Database(_));
        let has_tables = matches!(self.to, To::Parquet | To::Csv | To::Arrow);
        if is_database && !self.tables.trades {
            return Err("a database has trades only; leave --tables out, or name captures".into());
        }
        if is_database && (!has_tables || !self.market.is_empty()) {
            return Err("--to tardis-csv, hftbacktest or nautilus and --market are for captures; choose --to parquet, \
                        csv or arrow, and filter by column"
                .into());
        }
        if self.partition.is_some() && self.to != To::Parquet {
            return Err("--partition is for --to parquet".into());
        }
        if to == Destination::StandardOutput {
            if !matches!(self.to, To::Csv | To::Arrow) {
                return Err(
                    "--out - takes --to csv or arrow; name a folder for the other formats".into()
                );
            }
            if !is_database && self.tables.count() > 1 {
                return Err("--out - takes one table: add --tables trades, levels or tops".into());
            }
        }
        Ok(ExportPlan {
            from,
            to,
            format: self.to.format(),
            partition: self.partition.clone().unwrap_or_default().0,
            only: self.market.clone(),
            tables: self.tables,
        })
    }
}

/// Value of `--partition`.
#[derive(Clone, Debug, Default)]
pub struct Partition(Vec<PartitionKey>);

fn keys(text: &str) -> Result<Partition, String> {
    PartitionKey::parse_list(text).map(Partition)
}

/// The captures or the database that the arguments name.
fn source(
    sources: &[PathBuf],
    venue: Option<Feed>,
    since: Option<u64>,
    until: Option<u64>,
) -> Result<From, String> {
    let is_database = |path: &PathBuf| {
        let text = path.to_string_lossy();
        ["sqlite:", "postgres:", "postgresql:"].iter().any(|scheme| text.starts_with(scheme))
    };
    match sources.iter().filter(|path| is_database(path)).count() {
        0 => {
            let range = range(since, until, ["--since", "--until"])?;
            let files = files(sources)?;
            let plan = |files, feed| {
                Ok(Plan::new(files, 1, 1, Speed::Max, None)?.between(range.clone()).of(feed))
            };
            let recordings = by_venue(files.clone(), venue);
            let recordings =
                recordings.unwrap_or_else(|| vec![Recording { feed: venues::ALL[0], files }]);
            let plans = recordings.into_iter().map(|Recording { feed, files }| plan(files, feed));
            Ok(From::Captures(plans.collect::<Result<_, String>>()?))
        }
        1 if sources.len() == 1 => {
            if venue.is_some() || since.is_some() || until.is_some() {
                return Err("--venue, --since and --until are for captures; a database is read whole: filter by column"
                    .into());
            }
            Ok(From::Database(StoreAddress::parse(&sources[0].to_string_lossy())?))
        }
        _ => Err("name one database, or captures apart from it".into()),
    }
}

/// Make candles of trades: first, highest, lowest and last price, and the volume in contracts and dollars.
///
/// One row for each token and interval with trades, sorted by token and time. Intervals begin at multiples of their
/// length since midnight UTC; a trade belongs to the one of the venue's time.
///
/// Exit code: as `ringbook export`.
#[derive(Clone, Debug, clap::Args)]
pub struct CandlesArgs {
    /// One database as --trades names it (sqlite:FILE, postgres://USER@HOST/DATABASE), or captures (files, folders,
    /// `-`)
    #[arg(value_name = "SOURCE", required = true)]
    pub sources: Vec<PathBuf>,

    /// Of captures of both venues, only this one: polymarket or kalshi [default: recognized by the first message of
    /// each file; polymarket for `-`]
    #[arg(long, value_name = "VENUE", value_parser = venue)]
    pub venue: Option<Feed>,

    /// Length of a candle: a part of a day from 1s to 1d, such as 1s, 1m, 15m, 4h
    #[arg(long, value_name = "LENGTH", default_value = "1m", value_parser = Interval::parse)]
    pub interval: Interval,

    /// The format
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = TableFormat::Csv)]
    pub to: TableFormat,

    /// The folder of the file; `-` is standard output, as csv or arrow
    #[arg(long, value_name = "DIR", default_value = "-")]
    pub out: PathBuf,

    /// Only this market or token; may be repeated
    #[arg(long, value_name = "MARKET")]
    pub market: Vec<String>,

    /// Leave out what was received before this time; of captures
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub since: Option<u64>,

    /// Leave out what was received at this time and later; of captures
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub until: Option<u64>,
}

/// Values of `--to` of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TableFormat {
    /// A CSV file
    Csv,
    /// A Parquet file
    Parquet,
    /// An Arrow IPC stream
    Arrow,
}

impl TableFormat {
    const fn format(self) -> Format {
        match self {
            Self::Csv => Format::Csv,
            Self::Parquet => Format::Parquet,
            Self::Arrow => Format::Arrow,
        }
    }
}

impl CandlesArgs {
    /// Checks the flags together.
    ///
    /// # Errors
    /// One line with flag and remedy; exit code 2.
    pub fn plan(&self) -> Result<CandlesPlan, String> {
        let to = Destination::of(self.out.clone());
        if to == Destination::StandardOutput && self.to == TableFormat::Parquet {
            return Err("--to parquet writes a file: name its folder with --out".into());
        }
        Ok(CandlesPlan {
            from: source(&self.sources, self.venue, self.since, self.until)?,
            to,
            format: self.to.format(),
            only: self.market.clone(),
            interval: self.interval,
        })
    }
}
