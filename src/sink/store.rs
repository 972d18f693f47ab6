//! Interface to a database of trades.
//!
//! Runs on:  the thread `trade-store`, which may block.
//!
//! Both kinds have the same tables. Prices and sizes are integers in units of 1e-6. The primary key of a trade
//! consists of every fact that a venue publishes about it, time first: rows are appended to the index, and a trade
//! that arrives twice (reconnect, recycle) is stored once.
use super::postgres::{PostgresAddress, PostgresStore};
use super::sqlite::SqliteStore;
use crate::base::id::{MarketId, ShardId, TokenId, Venue};
use crate::base::price::{Price, Quantity};
use crate::link::{control_sink::MarketRow, serve_history::PriceRequest, shard_trade::TradeRecord};
use crate::market::info::{MarketInfo, Outcome};
use std::path::{Path, PathBuf};

/// One token of a market as stored.
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

/// What a market's row becomes: a known outcome is not erased; a newer decision replaces an earlier one as a whole.
macro_rules! market_update {
    () => {
        "
    slug = excluded.slug, question = excluded.question, tick_e6 = excluded.tick_e6,
    min_size_e6 = excluded.min_size_e6, neg_risk = excluded.neg_risk,
    start_ns = coalesce(excluded.start_ns, markets.start_ns), end_ns = excluded.end_ns,
    status = CASE WHEN markets.status = 'resolved' THEN markets.status ELSE excluded.status END,
    winner = CASE WHEN excluded.result IS NULL THEN coalesce(excluded.winner, markets.winner)
                  ELSE excluded.winner END,
    settlement_value = CASE WHEN excluded.result IS NULL THEN markets.settlement_value
                            ELSE excluded.settlement_value END,
    result = coalesce(excluded.result, markets.result),
    resolved_ns = coalesce(markets.resolved_ns, excluded.resolved_ns),
    updated_ns = excluded.updated_ns"
    };
}
pub(super) use market_update;

/// A view of candles of so many milliseconds. Its scale multiplies 1e-6; the first and the last price are read by the
/// primary key, because sorting all trades takes several times as long.
macro_rules! candles_view {
    ($name:literal, $ms:literal, $scale:literal, $dollars:literal, $time:literal) => {
        concat!(
            "CREATE VIEW candles_",
            $name,
            " AS
    SELECT g.venue, g.market, g.token, nullif(g.outcome, '') AS outcome, ",
            $time,
            " AS time,
           (SELECT t.price_e6",
            $scale,
            " FROM trades t WHERE t.venue_ms = g.first_ms AND t.token = g.token AND t.venue = g.venue
            ORDER BY t.receive_ns LIMIT 1) AS open,
           g.high_e6",
            $scale,
            " AS high, g.low_e6",
            $scale,
            " AS low,
           (SELECT t.price_e6",
            $scale,
            " FROM trades t WHERE t.venue_ms = g.last_ms AND t.token = g.token AND t.venue = g.venue
            ORDER BY t.receive_ns DESC LIMIT 1) AS close,
           g.volume_e6",
            $scale,
            " AS volume, g.dollars, g.trades, g.begin_ms
    FROM (SELECT venue, market, token, max(outcome) AS outcome, venue_ms / ",
            $ms,
            " * ",
            $ms,
            " AS begin_ms, min(venue_ms) AS first_ms, max(venue_ms) AS last_ms, max(price_e6) AS high_e6,
                 min(price_e6) AS low_e6, sum(size_e6) AS volume_e6, ",
            $dollars,
            " AS dollars, count(*) AS trades
          FROM trades GROUP BY token, venue, market, venue_ms / ",
            $ms,
            ") AS g;
    "
        )
    };
}

macro_rules! candles_views {
    ($scale:literal, $dollars:literal, $time:literal) => {
        concat!(
            candles_view!("1s", "1000", $scale, $dollars, $time),
            candles_view!("1m", "60000", $scale, $dollars, $time),
            candles_view!("5m", "300000", $scale, $dollars, $time),
            candles_view!("15m", "900000", $scale, $dollars, $time),
            candles_view!("1h", "3600000", $scale, $dollars, $time),
            candles_view!("1d", "86400000", $scale, $dollars, $time),
        )
    };
}
pub(super) use {candles_view, candles_views};

/// The query for [`gather`]: the tokens of a market in consecutive rows, in order.
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

/// Groups tokens into markets. Invalid rows are skipped: the catalog has these markets.
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
                listing: None,
            }),
        }
    }
    markets
}

/// Trades lost before the sink received them: their ring was full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The shard.
    pub shard: ShardId,
    /// Detection time, nanoseconds since the Unix epoch.
    pub wall_ns: u64,
    /// Number of trades.
    pub trades: u64,
}

/// Rows stored in one transaction.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Trades, oldest first.
    pub trades: Vec<TradeRecord>,
    /// Losses.
    pub losses: Vec<Loss>,
    /// Changed markets, stored before the trades.
    pub markets: Vec<MarketRow>,
}

/// A database that stores trades.
pub trait Store: Send {
    /// Stores a batch in one transaction and returns the number of new trades.
    ///
    /// # Errors
    /// [`StoreError`]: nothing of the batch is stored. Reopen the database and retry.
    fn insert(&mut self, batch: &Batch) -> Result<u64, StoreError>;

    /// The markets stored as open by an earlier run that end at or after `now_wall_ns`.
    ///
    /// # Errors
    /// [`StoreError`]: continue without; the catalog has them too.
    fn open_markets(
        &mut self,
        venue: Venue,
        now_wall_ns: u64,
    ) -> Result<Vec<MarketInfo>, StoreError>;

    /// Whether the trades have the index [`TOKEN_INDEX`]: those of a new database have it, those of an earlier version
    /// do not.
    ///
    /// # Errors
    /// [`StoreError`]: reopen the database and retry.
    fn has_token_index(&mut self) -> Result<bool, StoreError>;

    /// Adds it: some 6 s per million rows. SQLite takes no rows meanwhile, PostgreSQL does.
    ///
    /// # Errors
    /// [`StoreError`]: the prices of a token are read more slowly.
    fn add_token_index(&mut self) -> Result<(), StoreError>;
}

/// Index of the trades by quarter of an hour (`HISTORY_SLICE_NS`), token and time, which has the prices too:
/// [`Reader::each_price`] reads nothing else.
pub(super) const TOKEN_INDEX: &str = "trades_by_token";

/// A row of the table `trades`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredTrade {
    /// The venue's name.
    pub venue: String,
    /// The market.
    pub market: String,
    /// The token.
    pub token: String,
    /// Name of the outcome; empty if unknown.
    pub outcome: String,
    /// Price, 1e-6 of a dollar.
    pub price_e6: u32,
    /// Quantity, 1e-6 of a share.
    pub size_e6: u64,
    /// `buy` or `sell`.
    pub side: String,
    /// Venue time, milliseconds since the Unix epoch.
    pub venue_ms: u64,
    /// Receive time, nanoseconds since the Unix epoch.
    pub receive_ns: u64,
    /// Transaction hash or trade id; empty if the venue sent none.
    pub id: String,
    /// Fee rate, 1e-6 of a basis point; `None` if unknown.
    pub fee_bps_e6: Option<u64>,
}

/// Read access to stored trades.
pub trait Reader {
    /// Number of trades.
    ///
    /// # Errors
    /// The database's message.
    fn count(&mut self) -> Result<u64, StoreError>;

    /// Calls `each` for every trade in the order of venue time, until it returns false.
    ///
    /// # Errors
    /// The database's message.
    fn each_trade(&mut self, each: &mut dyn FnMut(&StoredTrade) -> bool) -> Result<(), StoreError>;

    /// Calls `each` for every trade of the request, in the order of venue time, until it returns false: with venue time
    /// (milliseconds since the Unix epoch) and price. `None` says that time has passed without one.
    ///
    /// # Errors
    /// The database's message.
    fn each_price(
        &mut self,
        request: &PriceRequest,
        each: &mut dyn FnMut(Option<(u64, Price)>) -> bool,
    ) -> Result<(), StoreError>;
}

/// The venue times of a request, milliseconds: first, and the one behind the last. Databases have signed integers.
pub(super) fn milliseconds(request: &PriceRequest) -> (i64, i64) {
    let of = |second: u64| i64::try_from(second.saturating_mul(1_000)).unwrap_or(i64::MAX);
    (of(request.begin_s), of(request.end_s.saturating_add(1)))
}

pub(super) const TRADE_COLUMNS: &str =
    "venue, market, token, outcome, price_e6, size_e6, side, venue_ms, receive_ns, id, fee_bps_e6";

/// Error of a database, one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    /// The database's message.
    pub message: String,
    /// The database is unreachable; a retry may succeed.
    pub is_transient: bool,
}

impl StoreError {
    /// An error that a retry does not fix.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), is_transient: false }
    }
}

/// Address of a database: the value of `--trades`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreAddress {
    /// A file of SQLite.
    Sqlite(PathBuf),
    /// A PostgreSQL server.
    Postgres(PostgresAddress),
}

impl StoreAddress {
    /// Parses `sqlite:FILE` or `postgres://…`.
    ///
    /// # Errors
    /// One line with the expected syntax.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => {
                // The message omits the address: it may contain a password.
                PostgresAddress::parse(&rest[2..]).map(Self::Postgres)
            }
            _ => Err(format!(
                "{text}: expected sqlite:FILE or postgres://USER@HOST/DATABASE, as in sqlite:trades.db"
            )),
        }
    }

    /// The address without the password.
    pub fn shown(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite:{}", path.display()),
            Self::Postgres(address) => address.shown(),
        }
    }

    /// Default path of the journal.
    pub fn journal(&self) -> PathBuf {
        match self {
            Self::Sqlite(path) => beside(path, "journal.ndjson"),
            Self::Postgres(address) => beside(Path::new(&address.file_stem()), "journal.ndjson"),
        }
    }

    /// Default path of the journal in versions that named it without host and port.
    pub(super) fn earlier_journal(&self) -> Option<PathBuf> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(address) => {
                Some(beside(Path::new(address.database()), "journal.ndjson"))
            }
        }
    }

    /// Reads the password and certificate files named in the address.
    ///
    /// # Errors
    /// One line: a file cannot be used.
    pub fn check_files(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(address) => address.check_files(),
        }
    }

    /// The path of a SQLite database.
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

    /// Opens the database; creates and migrates its tables.
    ///
    /// # Errors
    /// [`StoreError`]: it cannot be opened, or has tables of a newer version.
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
