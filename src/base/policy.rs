//! User settings that reach the hot path.
//!
//! Runs on:  any (pure).
use super::limits::TABLE_CONNECTIONS_MAX;

/// Which book hashes are compared. A comparison takes some microseconds of the shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashChecks {
    /// None.
    Off,
    /// One of [`HASH_SAMPLE`](super::limits::HASH_SAMPLE) groups of changes.
    #[default]
    Sampled,
    /// Every group of changes.
    All,
}

impl HashChecks {
    /// The value of `--verify-hash`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Sampled => "sampled",
            Self::All => "all",
        }
    }

    /// All settings.
    pub const ALL: [Self; 3] = [Self::Off, Self::Sampled, Self::All];

    /// The setting with that name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|checks| checks.name() == name)
    }
}

/// Behavior of an idle thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Idle {
    /// Sleeps until a socket, a doorbell or a timer: cheap, with wake-up latency; may share a core.
    #[default]
    Park,
    /// Polls for the cost of a wake-up while that pays, then sleeps; may share a core.
    Adaptive,
    /// Polls without end: needs its own core, no wake-up latency.
    Spin,
}

impl Idle {
    /// The value of `--idle`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Park => "park",
            Self::Adaptive => "adaptive",
            Self::Spin => "spin",
        }
    }
}

/// A fixed number of connections per purpose, for venues with separate streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionTable {
    /// For tickers.
    pub tickers: u16,
    /// For trades.
    pub trades: u16,
    /// For lifecycle events.
    pub lifecycle: u16,
    /// For books; at least one.
    pub books: u16,
}

impl ConnectionTable {
    /// Number of connections.
    #[must_use]
    pub const fn total(self) -> u32 {
        self.tickers as u32 + self.trades as u32 + self.lifecycle as u32 + self.books as u32
    }

    /// Parses four comma-separated numbers in the order of the fields: `2,2,2,144`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let numbers: Vec<u16> =
            text.split(',').map(|number| number.trim().parse().ok()).collect::<Option<_>>()?;
        let [tickers, trades, lifecycle, books] = numbers.try_into().ok()?;
        let table = Self { tickers, trades, lifecycle, books };
        (books > 0 && table.total() <= TABLE_CONNECTIONS_MAX).then_some(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_four_numbers_within_the_bound() {
        let large = ConnectionTable { tickers: 2, trades: 2, lifecycle: 2, books: 144 };
        assert_eq!(ConnectionTable::parse("2,2,2,144"), Some(large));
        let small = ConnectionTable { tickers: 0, trades: 1, lifecycle: 1, books: 4 };
        assert_eq!(ConnectionTable::parse("0, 1, 1, 4"), Some(small));
        for bad in ["", "1,2,3", "1,2,3,4,5", "1,1,1,0", "a,1,1,1", "-1,1,1,1", "1,1,1,60000"] {
            assert_eq!(ConnectionTable::parse(bad), None, "{bad}");
        }
    }
}
