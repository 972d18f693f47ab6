//! What an export is to do, valid by construction.
//!
//! Runs on:  the starting thread (pure).
use crate::replay::plan::Plan;
use crate::sink::store::StoreAddress;
use std::path::PathBuf;

/// Which tables of a capture are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tables {
    /// `trades.parquet`.
    pub trades: bool,
    /// `levels.parquet`: every level that changed, and every level of every snapshot.
    pub levels: bool,
    /// `tops.parquet`: the best prices, whenever one of them changed.
    pub tops: bool,
}

impl Tables {
    /// Reads a list such as `trades,tops`.
    ///
    /// # Errors
    /// One line that says what is expected.
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

/// Where rows come from.
#[derive(Clone, Debug)]
pub enum From {
    /// A replay of captures, on one shard.
    Captures(Plan),
    /// The trades of a database.
    Database(StoreAddress),
}

/// What is to be exported, and where to.
#[derive(Clone, Debug)]
pub struct ExportPlan {
    /// Where rows come from.
    pub from: From,
    /// The folder of the files.
    pub folder: PathBuf,
    /// What is wanted of a capture.
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
