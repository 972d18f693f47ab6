//! The flags of `ringbook export`.
//!
//! Runs on:  the starting thread.
use super::replay::{files, range, time, venue};
use crate::export::plan::{ExportPlan, From, Tables};
use crate::replay::plan::{Plan, Speed};
use crate::replay::venue_of;
use crate::sink::store::StoreAddress;
use crate::venue::{self, Feed};
use std::path::PathBuf;

/// Write trades, level changes and best prices as Parquet.
///
/// From captures come trades.parquet, levels.parquet and tops.parquet, from a database
/// trades.parquet. Prices and sizes are exact decimals with six places, times are timestamps in UTC:
/// the venue's in milliseconds, ours in nanoseconds.
///
/// Exit code: 0; 1 when an input cannot be read to its end (what was read is written) or a file
/// not be written; 2 for wrong flags; 130 when interrupted.
#[derive(Clone, Debug, clap::Args)]
pub struct ExportArgs {
    /// Captures (files, folders, `-`), or one database as --trades names it: sqlite:FILE,
    /// postgres://USER@HOST/DATABASE
    #[arg(value_name = "SOURCE", required = true)]
    pub sources: Vec<PathBuf>,

    /// Whose frames captures hold: polymarket or kalshi [default: recognized by the first message; polymarket for `-`]
    #[arg(long, value_name = "VENUE", value_parser = venue)]
    pub venue: Option<Feed>,

    /// The format
    #[arg(long, value_name = "FORMAT", default_value = "parquet", value_parser = ["parquet"])]
    pub to: String,

    /// The folder of the files
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,

    /// Tables to write of captures: some of trades, levels and tops
    #[arg(long, value_name = "TABLES", default_value = "trades,levels,tops", value_parser = Tables::parse)]
    pub tables: Tables,

    /// Leave out what was received before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub since: Option<u64>,

    /// Leave out what was received at this time and later
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub until: Option<u64>,
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
                let feed = self.venue.or_else(|| venue_of(&files)).unwrap_or(venue::ALL[0]);
                let plan = Plan::new(files, 1, 1, Speed::Max, None)?;
                From::Captures(plan.between(range).of(feed))
            }
            1 if self.sources.len() == 1 => {
                if self.since.is_some() || self.until.is_some() {
                    return Err(
                        "--since and --until are for captures; a database is exported whole".into(),
                    );
                }
                From::Database(StoreAddress::parse(&self.sources[0].to_string_lossy())?)
            }
            _ => return Err("export one database at a time, and captures apart from it".into()),
        };
        Ok(ExportPlan { from, folder: self.out.clone(), tables: self.tables })
    }
}
