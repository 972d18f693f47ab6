//! What a database of trades can do, whatever its kind.
//!
//! Runs on:  the thread `trade-store`, which may block.
//!
//! Both kinds have the same tables. Prices and sizes are whole numbers of 1e-6, so that nothing is
//! rounded. The key of a trade is all that a venue tells of it, its time first: new rows go to the end of
//! the index, and a trade that comes twice, by a reconnect or a recycle, is stored once.
use super::postgres::{PostgresAddress, PostgresStore};
use super::sqlite::SqliteStore;
use crate::base::id::{MarketId, ShardId, TokenId, Venue};
use crate::base::price::{Price, Quantity};
use crate::link::{control_sink::MarketRow, shard_trade::TradeRecord};
use crate::market::info::{MarketInfo, Outcome};
use std::path::{Path, PathBuf};

/// One token of a market, as it stands in the tables.
#[derive(Clone, Debug)]
pub(super) struct KnownToken {
    pub(super) market: String,
    pub(super) slug: String,
    pub(super) question: String,
    pub(super) tick_e6: Option<u32>,
    pub(super) min_size_e6: Option<u64>,
    pub(super) neg_risk: bool,
    pub(super) start_ns: Option<u64>,
    pub(super) end_ns: Option<u64>,
    pub(super) token: String,
    pub(super) outcome: String,
}

/// The query for what [`gather`] wants: the tokens of a market one behind the other, in their order.
pub(super) fn open_markets_of(venue: Venue) -> String {
    format!(
        "
    SELECT m.market, m.slug, m.question, m.tick_e6, m.min_size_e6, m.neg_risk, m.end_ns, t.token, t.outcome,
           m.start_ns
    FROM markets m JOIN tokens t ON t.market = m.market AND t.venue = m.venue
    WHERE m.status = 'open' AND m.venue = '{}' ORDER BY m.market, t.place",
        venue.name()
    )
}

/// Makes markets of their tokens. What is no market is passed over: the catalogue has it.
pub(super) fn gather(
    tokens: impl IntoIterator<Item = KnownToken>,
    now_wall_ns: u64,
) -> Vec<MarketInfo> {
    let mut markets: Vec<MarketInfo> = Vec::new();
    for known in tokens {
        let (Some(market), Some(token)) =
            (MarketId::new(&known.market), TokenId::new(&known.token))
        else {
            continue;
        };
        if known.end_ns.is_some_and(|end_ns| end_ns < now_wall_ns) {
            continue;
        }
        let outcome = Outcome { token, name: known.outcome };
        match markets.last_mut().filter(|last| last.market == market) {
            Some(last) => last.tokens.push(outcome),
            None => markets.push(MarketInfo {
                market,
                tokens: vec![outcome],
                slug: known.slug,
                question: known.question,
                start_wall_ns: known.start_ns,
                end_wall_ns: known.end_ns,
                tick_size: known.tick_e6.map(Price),
                min_order_size: known.min_size_e6.map(Quantity),
                neg_risk: known.neg_risk,
            }),
        }
    }
    markets
}

/// Trades that never came as far as the sink: their ring was full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Of which shard.
    pub shard: ShardId,
    /// When it was noticed, nanoseconds since the Unix epoch.
    pub wall_ns: u64,
    /// How many.
    pub trades: u64,
}

/// What is stored in one transaction.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Trades, oldest first.
    pub trades: Vec<TradeRecord>,
    /// Trades that are missing.
    pub losses: Vec<Loss>,
    /// Markets as they are now, stored before the trades.
    pub markets: Vec<MarketRow>,
}

/// A database that trades go into.
pub trait Store: Send {
    /// Stores a batch in one transaction and gives the number of trades that were not there yet.
    ///
    /// # Errors
    /// [`StoreError`]: nothing of the batch is stored. *Open the database anew and try again.*
    fn insert(&mut self, batch: &Batch) -> Result<u64, StoreError>;

    /// The markets that were open when an engine last ran, and whose end is not before `now_wall_ns`.
    ///
    /// # Errors
    /// [`StoreError`]: *go on without, the catalogue has them too*.
    fn open_markets(
        &mut self,
        venue: Venue,
        now_wall_ns: u64,
    ) -> Result<Vec<MarketInfo>, StoreError>;
}

/// A row of the table `trades`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptTrade {
    /// The venue's name.
    pub venue: String,
    /// The market.
    pub market: String,
    /// The token.
    pub token: String,
    /// What it stands for; empty where that was not known.
    pub outcome: String,
    /// Price, 1e-6 of a dollar.
    pub price_e6: u32,
    /// Quantity, 1e-6 of a share.
    pub size_e6: u64,
    /// `buy` or `sell`.
    pub side: String,
    /// Venue time, milliseconds since the Unix epoch.
    pub venue_ms: u64,
    /// When it was received, nanoseconds since the Unix epoch.
    pub receive_ns: u64,
    /// Transaction hash or the venue's number; empty where the venue did not say.
    pub id: String,
    /// Fee, 1e-6 of a basis point, if the venue said.
    pub fee_bps_e6: Option<u64>,
}

/// A database whose trades are read.
pub trait Reader {
    /// How many there are.
    ///
    /// # Errors
    /// The database's own words.
    fn count(&mut self) -> Result<u64, StoreError>;

    /// Gives each in the order of the venue's time, until `each` says that it wants no more.
    ///
    /// # Errors
    /// The database's own words.
    fn each_trade(&mut self, each: &mut dyn FnMut(&KeptTrade) -> bool) -> Result<(), StoreError>;
}

/// The columns of [`KeptTrade`], in order.
pub(super) const TRADE_COLUMNS: &str =
    "venue, market, token, outcome, price_e6, size_e6, side, venue_ms, receive_ns, id, fee_bps_e6";

/// The database did not do what it was asked to; one line with its own words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct StoreError {
    /// For people.
    pub words: String,
    /// It cannot be reached now, which may pass by itself.
    pub away: bool,
}

impl StoreError {
    /// Something that does not pass by itself.
    #[must_use]
    pub fn new(words: impl Into<String>) -> Self {
        Self { words: words.into(), away: false }
    }
}

/// Where trades go, as `--trades` says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreAddress {
    /// A file of SQLite.
    Sqlite(PathBuf),
    /// A PostgreSQL server.
    Postgres(PostgresAddress),
}

impl StoreAddress {
    /// Reads `sqlite:FILE` or `postgres://…`.
    ///
    /// # Errors
    /// One line that says what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => {
                // What is wrong is said without the address: it may hold a password.
                PostgresAddress::parse(&rest[2..]).map(Self::Postgres)
            }
            _ => Err(format!(
                "{text}: expected sqlite:FILE or postgres://USER@HOST/DATABASE, as in sqlite:trades.db"
            )),
        }
    }

    /// The address for people.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite:{}", path.display()),
            Self::Postgres(address) => address.shown(),
        }
    }

    /// Where trades wait that the database does not take, unless the user says otherwise.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        match self {
            Self::Sqlite(path) => beside(path, "journal.ndjson"),
            Self::Postgres(address) => beside(Path::new(&address.file_stem()), "journal.ndjson"),
        }
    }

    /// Where they waited by default before the journal's name had host and port.
    #[must_use]
    pub(super) fn earlier_journal(&self) -> Option<PathBuf> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(address) => {
                Some(beside(Path::new(address.database()), "journal.ndjson"))
            }
        }
    }

    /// Reads the files that the address names besides the database.
    ///
    /// # Errors
    /// One line: a password or an authority cannot be used.
    pub fn check_files(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(address) => address.check_files(),
        }
    }

    /// The database, where it is a file.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }

    /// Opens the database for reading.
    ///
    /// # Errors
    /// [`StoreError`]: it is not there, or cannot be opened.
    pub fn read(&self) -> Result<Box<dyn Reader>, StoreError> {
        match self {
            Self::Sqlite(path) if !path.exists() => {
                Err(StoreError::new("no such file: check the name"))
            }
            Self::Sqlite(path) => Ok(Box::new(SqliteStore::open(path)?)),
            Self::Postgres(address) => Ok(Box::new(PostgresStore::open(address)?)),
        }
    }

    /// Opens the database; makes its tables where there are none.
    ///
    /// # Errors
    /// [`StoreError`]: it cannot be opened, or a newer program made its tables.
    pub fn open(&self) -> Result<Box<dyn Store>, StoreError> {
        match self {
            Self::Sqlite(path) => Ok(Box::new(SqliteStore::open(path)?)),
            Self::Postgres(address) => Ok(Box::new(PostgresStore::open(address)?)),
        }
    }
}

fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}
