//! The flags of `ringbook export`.
//!
//! Runs on:  the starting thread.
use super::replay::{by_venue, files, range, time, venue};
use crate::export::plan::{ExportPlan, Format, From, Tables};
use crate::replay::Recording;
use crate::replay::plan::{Plan, Speed};
use crate::sink::store::StoreAddress;
use crate::venue::{self, Feed};
use std::path::PathBuf;

/// Write trades, level changes and best prices as Parquet, CSV or the files of backtesters.
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

    /// Of captures of both venues, only this one: polymarket or kalshi [default: recognized by the first message of each
    /// file; polymarket for `-`]
    #[arg(long, value_name = "VENUE", value_parser = venue)]
    pub venue: Option<Feed>,

    /// The format
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = To::Parquet)]
    pub to: To,

    /// The folder of the files
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,

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
    /// The CSV files of Tardis: one for each kind of data, token and UTC day, compressed with gzip
    TardisCsv,
    /// The event arrays of hftbacktest: an `.npz` file for each token and UTC day
    Hftbacktest,
}

impl To {
    const fn format(self) -> Format {
        match self {
            Self::Parquet => Format::Parquet,
            Self::Csv => Format::Csv,
            Self::TardisCsv => Format::TardisCsv,
            Self::Hftbacktest => Format::Hftbacktest,
        }
    }
}

impl ExportArgs {
    /// Checks the flags together.
    ///
    /// # Errors
    /// One line with flag and remedy; exit code 2.
    pub fn plan(&self) -> Result<ExportPlan, String> {
        let is_database = |path: &PathBuf| {
            let text = path.to_string_lossy();
            ["sqlite:", "postgres:", "postgresql:"].iter().any(|scheme| text.starts_with(scheme))
        };
        let databases = self.sources.iter().filter(|path| is_database(path)).count();
        let from = match databases {
            0 => {
                let range = range(self.since, self.until, ["--since", "--until"])?;
                let files = files(&self.sources)?;
                let plan = |files, feed| {
                    Ok(Plan::new(files, 1, 1, Speed::Max, None)?.between(range.clone()).of(feed))
                };
                let recordings = by_venue(files.clone(), self.venue);
                let recordings =
                    recordings.unwrap_or_else(|| vec![Recording { feed: venue::ALL[0], files }]);
                let plans =
                    recordings.into_iter().map(|Recording { feed, files }| plan(files, feed));
                From::Captures(plans.collect::<Result<_, String>>()?)
            }
            1 if self.sources.len() == 1 => {
                if self.since.is_some() || self.until.is_some() {
                    return Err(
                        "--since and --until are for captures; a database is exported whole".into(),
                    );
                }
                let has_tables = matches!(self.to, To::Parquet | To::Csv);
                if !has_tables || !self.market.is_empty() {
                    return Err("--to tardis-csv, --to hftbacktest and --market are for captures; choose --to csv or \
                                parquet, and filter by column".into());
                }
                From::Database(StoreAddress::parse(&self.sources[0].to_string_lossy())?)
            }
            _ => return Err("export one database at a time, and captures apart from it".into()),
        };
        Ok(ExportPlan {
            from,
            folder: self.out.clone(),
            format: self.to.format(),
            only: self.market.clone(),
            tables: self.tables,
        })
    }
}
