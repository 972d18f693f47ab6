//! The plan of an export: validated settings.
//!
//! Runs on:  the starting thread (pure).
use crate::replay::plan::Plan;
use crate::sink::store::StoreAddress;
use std::path::PathBuf;

/// Tables of a capture to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tables {
    /// `trades.parquet`.
    pub trades: bool,
    /// `levels.parquet`: every level that changed, and every level of every snapshot.
    pub levels: bool,
    /// `tops.parquet`: best prices, one row per change of them or of the state.
    pub tops: bool,
}

impl Tables {
    /// Number of them.
    #[must_use]
    pub fn count(self) -> usize {
        [self.trades, self.levels, self.tops].into_iter().filter(|&is| is).count()
    }

    /// Parses a list such as `trades,tops`.
    ///
    /// # Errors
    /// One line with the expected values.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut tables = Self { trades: false, levels: false, tops: false };
        for name in text.split(',') {
            match name.trim() {
                "trades" => tables.trades = true,
                "levels" => tables.levels = true,
                "tops" => tables.tops = true,
                _ => return Err(format!("{name}: expected some of trades, levels and tops")),
            }
        }
        Ok(tables)
    }
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A Parquet file for each table.
    Parquet,
    /// A CSV file for each table.
    Csv,
    /// An Arrow IPC stream for each table.
    Arrow,
    /// The CSV files of Tardis: one for each kind of data, token and UTC day, compressed with gzip.
    TardisCsv,
    /// The event arrays of hftbacktest: one for each token and UTC day.
    Hftbacktest,
    /// The Parquet catalog of NautilusTrader.
    Nautilus,
}

impl Format {
    /// Suffix of a table's file.
    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Self::Parquet | Self::Nautilus => "parquet",
            Self::Csv => "csv",
            Self::Arrow => "arrows",
            Self::TardisCsv => "csv.gz",
            Self::Hftbacktest => "npz",
        }
    }
}

/// Source of the rows.
#[derive(Clone, Debug)]
pub enum From {
    /// A replay of each venue's captures with one shard.
    Captures(Vec<Plan>),
    /// The trades of a database.
    Database(StoreAddress),
}

/// Where the tables go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A file for each in this folder.
    Folder(PathBuf),
    /// One table.
    StandardOutput,
}

impl Destination {
    /// The value of `--out`: a folder, or `-`.
    #[must_use]
    pub fn of(path: PathBuf) -> Self {
        if path.as_os_str() == "-" { Self::StandardOutput } else { Self::Folder(path) }
    }
}

/// By what the files of a table are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionKey {
    /// UTC day of the time of receipt.
    Day,
    /// Venue.
    Venue,
}

impl PartitionKey {
    /// Parses a list such as `day,venue`.
    ///
    /// # Errors
    /// One line with the expected values.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, String> {
        let mut keys = Vec::new();
        for name in text.split(',') {
            let key = match name.trim() {
                "day" => Self::Day,
                "venue" => Self::Venue,
                _ => return Err(format!("{name}: expected day, venue, or both with a comma")),
            };
            if keys.contains(&key) {
                return Err(format!("{name} is there twice"));
            }
            keys.push(key);
        }
        Ok(keys)
    }
}

/// The plan of an export.
#[derive(Clone, Debug)]
pub struct ExportPlan {
    /// Source.
    pub from: From,
    /// Where the files go. Standard output takes one table as CSV or Arrow.
    pub to: Destination,
    /// What is written there.
    pub format: Format,
    /// By what Parquet files are divided; not at all where it is empty.
    pub partition: Vec<PartitionKey>,
    /// Markets or tokens whose rows are wanted; all where it is empty.
    pub only: Vec<String>,
    /// Tables of a capture.
    pub tables: Tables,
}

#[cfg(test)]
mod tests;
