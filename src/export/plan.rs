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
    /// The CSV files of Tardis: one for each kind of data, token and UTC day, compressed with gzip.
    TardisCsv,
    /// The event arrays of hftbacktest: one for each token and UTC day.
    Hftbacktest,
}

impl Format {
    /// Suffix of a table's file.
    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
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

/// The plan of an export.
#[derive(Clone, Debug)]
pub struct ExportPlan {
    /// Source.
    pub from: From,
    /// Output folder.
    pub folder: PathBuf,
    /// What is written there.
    pub format: Format,
    /// Markets or tokens whose rows are wanted; all where it is empty.
    pub only: Vec<String>,
    /// Tables of a capture.
    pub tables: Tables,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_named_or_explained() {
        let all = Tables { trades: true, levels: true, tops: true };
        assert_eq!(Tables::parse("trades,levels,tops"), Ok(all));
        let two = Tables { levels: false, ..all };
        assert_eq!(Tables::parse("tops, trades"), Ok(two));
        assert!(Tables::parse("").is_err());
        assert!(Tables::parse("trades,quotes").unwrap_err().starts_with("quotes: expected"));
    }
}
