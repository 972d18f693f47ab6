//! Trades in a SQLite file that other programs can read concurrently.
//!
//! Runs on:  the thread `trade-store`, which may block for `SQLITE_BUSY_NS`.
use super::store::{
    Batch, KnownToken, Loss, Reader, Store, StoreError, StoredTrade, TOKEN_INDEX, TRADE_COLUMNS,
    candles_view, candles_views, gather, milliseconds, open_markets_of,
};
use crate::base::id::{TokenId, TradeId, Venue};
use crate::base::limits::{HISTORY_SLICE_NS, SQLITE_BUSY_NS};
use crate::base::price::Price;
use crate::base::time::MILLISECOND_NS;
use crate::link::control_sink::MarketRow;
use crate::link::serve_history::PriceRequest;
use crate::market::book::Side;
use crate::market::info::MarketInfo;
use rusqlite::{Connection, ErrorCode, params};
use std::path::Path;
use std::time::Duration;

const SLICE_MS: i64 = (HISTORY_SLICE_NS / MILLISECOND_NS).cast_signed();

/// Schema migrations in order; `user_version` counts the applied ones. A released migration is never
/// changed.
const STEPS: [&str; 3] = [
    "
    CREATE TABLE trades (
        venue       TEXT    NOT NULL,
        market      TEXT    NOT NULL,
        token       TEXT    NOT NULL,
        outcome     TEXT    NOT NULL,
        price_e6    INTEGER NOT NULL,
        size_e6     INTEGER NOT NULL,
        side        TEXT    NOT NULL,
        venue_ms    INTEGER NOT NULL,
        receive_ns  INTEGER NOT NULL,
        id          TEXT    NOT NULL,
        fee_bps_e6  INTEGER,
        connection  INTEGER NOT NULL,
        PRIMARY KEY (venue_ms, token, id, price_e6, size_e6, side)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE trade_losses (
        noticed_ns  INTEGER NOT NULL,
        shard       INTEGER NOT NULL,
        trades      INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE markets (
        venue        TEXT    NOT NULL,
        market       TEXT    NOT NULL,
        slug         TEXT    NOT NULL,
        question     TEXT    NOT NULL,
        tick_e6      INTEGER,
        min_size_e6  INTEGER,
        neg_risk     INTEGER NOT NULL,
        start_ns     INTEGER,
        end_ns       INTEGER,
        status       TEXT    NOT NULL,
        winner       TEXT,
        resolved_ns  INTEGER,
        first_ns     INTEGER NOT NULL,
        updated_ns   INTEGER NOT NULL,
        PRIMARY KEY (market, venue)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE tokens (
        token    TEXT    NOT NULL,
        market   TEXT    NOT NULL,
        venue    TEXT    NOT NULL,
        place    INTEGER NOT NULL,
        outcome  TEXT    NOT NULL,
        PRIMARY KEY (token, venue)
    ) STRICT, WITHOUT ROWID;
",
    // Dollars as an exact decimal such as 0.5, for readers without the 1e-6 unit.
    "
    ALTER TABLE markets ADD COLUMN result TEXT;
    ALTER TABLE markets ADD COLUMN settlement_value TEXT;
",
    concat!(
        "
    CREATE VIEW decimal_trades AS
    SELECT venue, market, token, nullif(outcome, '') AS outcome, price_e6 / 1e6 AS price, size_e6 / 1e6 AS size, side,
           strftime('%Y-%m-%dT%H:%M:%fZ', venue_ms / 1e3, 'unixepoch') AS venue_time,
           strftime('%Y-%m-%dT%H:%M:%fZ', receive_ns / 1e9, 'unixepoch') AS receive_time,
           id, fee_bps_e6 / 1e6 AS fee_bps, venue_ms, receive_ns
    FROM trades;
    ",
        candles_views!(
            " / 1e6",
            "sum(price_e6 / 1e6 * (size_e6 / 1e6))",
            "strftime('%Y-%m-%dT%H:%M:%SZ', g.begin_ms / 1000, 'unixepoch')"
        )
    ),
];

/// The rows of this table are the entries of its primary key: an index has all columns of the key, so also time and
/// price.
const ADD_TOKEN_INDEX: &str =
    "CREATE INDEX IF NOT EXISTS trades_by_token ON trades (venue_ms / 900000, token)";
const _: () = assert!(SLICE_MS == 900_000, "as in the index");

/// The query of [`Reader::each_price`] for a part of a slice. The index is named because the planner passes over it
/// where statistics are of few rows.
fn prices(is_indexed: bool) -> String {
    let (index, slice) = match is_indexed {
        true => ("INDEXED BY trades_by_token", "venue_ms / 900000 = ?1 / 900000 AND"),
        false => ("", ""),
    };
    format!(
        "SELECT venue_ms, price_e6 FROM trades {index}
         WHERE {slice} venue_ms >= ?1 AND venue_ms < ?2 AND token = ?3 ORDER BY venue_ms"
    )
}

const INSERT: &str = "
    INSERT INTO trades (venue, market, token, outcome, price_e6, size_e6, side, venue_ms, receive_ns, id,
                        fee_bps_e6, connection)
    VALUES (?1, ?2, ?3, coalesce((SELECT outcome FROM tokens WHERE token = ?3 AND venue = ?1), ''),
            ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
    ON CONFLICT DO NOTHING";

const MARKET: &str = concat!(
    "
    INSERT INTO markets (venue, market, slug, question, tick_e6, min_size_e6, neg_risk, start_ns, end_ns,
                         status, winner, resolved_ns, first_ns, updated_ns, result, settlement_value)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13, ?14, ?15)
    ON CONFLICT DO UPDATE SET",
    super::store::market_update!()
);

const TOKEN: &str = "
    INSERT INTO tokens (token, market, venue, place, outcome) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT DO UPDATE SET market = excluded.market, place = excluded.place, outcome = excluded.outcome";

/// The database.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::new(match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                format!("{error}; another program has locked it")
            }
            _ => error.to_string(),
        })
    }
}

impl SqliteStore {
    /// Opens or creates the file and migrates its tables.
    ///
    /// # Errors
    /// The file cannot be opened, is not a SQLite database, or has tables of a newer version.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_nanos(SQLITE_BUSY_NS))?;
        // In write-ahead mode readers and the writer do not block each other, and a killed process loses no
        // committed row.
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "normal")?;
        connection.pragma_update(None, "cache_size", -65_536)?;
        let taken: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if taken as usize > STEPS.len() {
            return Err(StoreError::new(format!(
                "its tables have version {taken}, this program supports {}; use a newer ringbook",
                STEPS.len()
            )));
        }
        for (number, step) in (1u32..).zip(STEPS).skip(taken as usize) {
            let transaction = connection.transaction()?;
            transaction.execute_batch(step)?;
            transaction.pragma_update(None, "user_version", number)?;
            transaction.commit()?;
        }
        if taken == 0 {
            connection.execute_batch(ADD_TOKEN_INDEX)?;
        }
        Ok(Self { connection })
    }
}

fn store_market(connection: &Connection, row: &MarketRow) -> rusqlite::Result<()> {
    let (venue, market) = (row.venue.name(), row.market.as_str());
    connection.prepare_cached(MARKET)?.execute(params![
        venue,
        market,
        row.slug,
        row.question,
        row.tick_size.map(|tick| tick.0),
        row.min_order_size.map(|size| size.0.cast_signed()),
        row.neg_risk,
        row.start_wall_ns.map(u64::cast_signed),
        row.end_wall_ns.map(u64::cast_signed),
        row.status.name(),
        row.resolution.winner.as_ref().map(TokenId::as_str),
        row.resolved_wall_ns.map(u64::cast_signed),
        row.wall_ns.cast_signed(),
        row.resolution.result,
        row.resolution.settlement_value.map(|value| value.to_string()),
    ])?;
    let mut token = connection.prepare_cached(TOKEN)?;
    for (place, outcome) in row.tokens.iter().enumerate() {
        let place = place as u32;
        token.execute(params![outcome.token.as_str(), market, venue, place, outcome.name])?;
    }
    Ok(())
}

impl Store for SqliteStore {
    fn insert(&mut self, batch: &Batch) -> Result<u64, StoreError> {
        let Batch { trades, losses, markets } = batch;
        let transaction = self.connection.transaction()?;
        markets.iter().try_for_each(|market| store_market(&transaction, market))?;
        let mut inserted = 0;
        {
            let mut insert = transaction.prepare_cached(INSERT)?;
            for trade in trades {
                let side = if trade.side == Side::Bid { "buy" } else { "sell" };
                // SQLite integers are signed; all values are far below 2^63.
                inserted += insert.execute(params![
                    trade.venue.name(),
                    trade.market.as_str(),
                    trade.token.as_str(),
                    trade.price.0,
                    trade.quantity.0.cast_signed(),
                    side,
                    trade.venue_ms.cast_signed(),
                    trade.receive_wall_ns.cast_signed(),
                    trade.id.as_ref().map_or("", TradeId::as_str),
                    trade.fee_rate_bps.map(|fee| fee.0.cast_signed()),
                    trade.connection.0,
                ])? as u64;
            }
        }
        for Loss { shard, wall_ns, trades } in losses {
            let values = params![wall_ns.cast_signed(), shard.0, trades.cast_signed()];
            transaction.execute("INSERT INTO trade_losses VALUES (?1, ?2, ?3)", values)?;
        }
        transaction.commit()?;
        Ok(inserted)
    }

    fn open_markets(
        &mut self,
        venue: Venue,
        now_wall_ns: u64,
    ) -> Result<Vec<MarketInfo>, StoreError> {
        let mut query = self.connection.prepare(&open_markets_of(venue))?;
        let tokens = query.query_map([], |row| {
            Ok(KnownToken {
                market: row.get(0)?,
                slug: row.get(1)?,
                question: row.get(2)?,
                tick_e6: row.get(3)?,
                min_size_e6: row.get::<_, Option<i64>>(4)?.map(i64::cast_unsigned),
                neg_risk: row.get(5)?,
                start_ns: row.get::<_, Option<i64>>(9)?.map(i64::cast_unsigned),
                end_ns: row.get::<_, Option<i64>>(6)?.map(i64::cast_unsigned),
                token: row.get(7)?,
                outcome: row.get(8)?,
            })
        })?;
        Ok(gather(tokens.collect::<Result<Vec<_>, _>>()?, now_wall_ns))
    }

    fn has_token_index(&mut self) -> Result<bool, StoreError> {
        let query =
            "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'index' AND name = ?1)";
        Ok(self.connection.query_row(query, [TOKEN_INDEX], |row| row.get(0))?)
    }

    fn add_token_index(&mut self) -> Result<(), StoreError> {
        Ok(self.connection.execute_batch(ADD_TOKEN_INDEX)?)
    }
}

impl Reader for SqliteStore {
    fn count(&mut self) -> Result<u64, StoreError> {
        let count = "SELECT count(*) FROM trades";
        let count: i64 = self.connection.query_row(count, [], |row| row.get(0))?;
        Ok(count.cast_unsigned())
    }

    fn each_trade(&mut self, each: &mut dyn FnMut(&StoredTrade) -> bool) -> Result<(), StoreError> {
        // The primary key begins with the time: no sort is needed.
        let query = format!("SELECT {TRADE_COLUMNS} FROM trades ORDER BY venue_ms");
        let mut statement = self.connection.prepare(&query)?;
        let mut rows = statement.query([])?;
        let whole = |value: i64| value.cast_unsigned();
        while let Some(row) = rows.next()? {
            let trade = StoredTrade {
                venue: row.get(0)?,
                market: row.get(1)?,
                token: row.get(2)?,
                outcome: row.get(3)?,
                price_e6: row.get(4)?,
                size_e6: whole(row.get(5)?),
                side: row.get(6)?,
                venue_ms: whole(row.get(7)?),
                receive_ns: whole(row.get(8)?),
                id: row.get(9)?,
                fee_bps_e6: row.get::<_, Option<i64>>(10)?.map(whole),
            };
            if !each(&trade) {
                break;
            }
        }
        Ok(())
    }

    fn each_price(
        &mut self,
        request: &PriceRequest,
        each: &mut dyn FnMut(Option<(u64, Price)>) -> bool,
    ) -> Result<(), StoreError> {
        let is_indexed = self.has_token_index()?;
        // A search in the primary key. Between two trades may be years: venue times are the venue's.
        let first = "SELECT min(venue_ms) FROM trades WHERE venue_ms >= ?1 AND venue_ms < ?2";
        let mut first = self.connection.prepare_cached(first)?;
        let (mut begin, end) = milliseconds(request);
        let mut statement = self.connection.prepare_cached(&prices(is_indexed))?;
        while let Some(found) = first.query_row([begin, end], |row| row.get::<_, Option<i64>>(0))? {
            begin = found;
            let next = end.min((begin / SLICE_MS + 1).saturating_mul(SLICE_MS));
            let mut rows = statement.query(params![begin, next, request.token.as_str()])?;
            while let Some(row) = rows.next()? {
                let venue_ms = row.get::<_, i64>(0)?.cast_unsigned();
                if !each(Some((venue_ms, Price(row.get(1)?)))) {
                    return Ok(());
                }
            }
            if !each(None) {
                return Ok(());
            }
            begin = next;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
