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
    /// Polls while the expected gap to the next wake-up costs less than a sleep, and sleeps otherwise; may share a
    /// core.
    Adaptive {
        /// The most CPU time of the thread, percent, 1 to 100; beyond it the thread does not poll. A load that takes
        /// more by itself is handled all the same.
        cpu_percent: u8,
    },
    /// Polls without end: needs its own core, no wake-up latency.
    Spin,
}

impl Idle {
    /// Adaptive without a bound of CPU time.
    pub const ADAPTIVE: Self = Self::Adaptive { cpu_percent: 100 };

    /// Parses a value of `--idle`: `park`, `adaptive`, `adaptive:PERCENT%` or `spin`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "park" => Some(Self::Park),
            "adaptive" => Some(Self::ADAPTIVE),
            "spin" => Some(Self::Spin),
            _ => {
                let percent = text.strip_prefix("adaptive:")?;
                let cpu_percent = percent.strip_suffix('%').unwrap_or(percent).parse().ok()?;
                (1..=100).contains(&cpu_percent).then_some(Self::Adaptive { cpu_percent })
            }
        }
    }
}

impl std::fmt::Display for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Park => f.pad("park"),
            &Self::ADAPTIVE => f.pad("adaptive"),
            Self::Adaptive { cpu_percent } => f.pad(&format!("adaptive:{cpu_percent}%")),
            Self::Spin => f.pad("spin"),
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

    /// The share of each of `members` that use one account and have `shards` shards: the account has room for one more
    /// member, which joins before the others have closed any. At least one for each purpose of the table, and one for
    /// the books of each shard. Nothing for 0 members.
    #[must_use]
    pub fn share(self, members: u64, shards: u16) -> Self {
        let Self { mut tickers, mut trades, mut lifecycle, books } = self;
        if members == 0 {
            return Self { tickers: 0, trades: 0, lifecycle: 0, books: 0 };
        }
        let most = (u64::from(self.total()) / (members + 1)) as u16;
        let books_min = books.min(shards);
        if tickers + trades + lifecycle + books_min > most {
            [tickers, trades, lifecycle] = [tickers, trades, lifecycle].map(|count| count.min(1));
        }
        let books_max = most.saturating_sub(tickers + trades + lifecycle);
        Self { tickers, trades, lifecycle, books: books_max.clamp(books_min, books) }
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
mod tests;
