//! Trades in a PostgreSQL server.
//!
//! Runs on:  the thread `trade-store`, which may block for `STORE_TIMEOUT_NS` per step.
//!
//! A batch is copied (`COPY`) into a temporary table without index and inserted from there with `ON CONFLICT DO
//! NOTHING`, in one transaction: the fastest measured way to insert unique rows.
mod address;
mod protocol;
mod rows;

pub use address::PostgresAddress;

use super::store::{
    Batch, KnownToken, Loss, Reader, Store, StoreError, StoredTrade, TOKEN_INDEX, TRADE_COLUMNS,
    candles_view, candles_views, gather, milliseconds, open_markets_of,
};
use crate::base::id::Venue;
use crate::base::limits::{HISTORY_READ_NS, HISTORY_SLICE_NS, STORE_INDEX_NS, STORE_TIMEOUT_NS};
use crate::base::price::Price;
use crate::base::time::MILLISECOND_NS;
use crate::io::line::Line;
use crate::link::{control_sink::MarketRow, serve_history::PriceRequest};
use crate::market::info::MarketInfo;
use bytes::BytesMut;
use postgres_protocol::message::frontend;
use rows::{push_market, push_row, push_tokens};

/// Schema migrations in order; `ringbook_schema` counts the applied ones. A released migration is never
/// changed.
const STEPS: [&str; 3] = [
    "
    CREATE TABLE trades (
        venue       text    NOT NULL,
        market      text    NOT NULL,
        token       text    NOT NULL,
        outcome     text    NOT NULL,
        price_e6    bigint  NOT NULL,
        size_e6     bigint  NOT NULL,
        side        text    NOT NULL,
        venue_ms    bigint  NOT NULL,
        receive_ns  bigint  NOT NULL,
        id          text    NOT NULL,
        fee_bps_e6  bigint,
        connection  bigint  NOT NULL,
        PRIMARY KEY (venue_ms, token, id, price_e6, size_e6, side)
    );
    CREATE TABLE trade_losses (
        noticed_ns  bigint NOT NULL,
        shard       bigint NOT NULL,
        trades      bigint NOT NULL
    );
    CREATE TABLE markets (
        venue        text    NOT NULL,
        market       text    NOT NULL,
        slug         text    NOT NULL,
        question     text    NOT NULL,
        tick_e6      bigint,
        min_size_e6  bigint,
        neg_risk     boolean NOT NULL,
        start_ns     bigint,
        end_ns       bigint,
        status       text    NOT NULL,
        winner       text,
        resolved_ns  bigint,
        first_ns     bigint  NOT NULL,
        updated_ns   bigint  NOT NULL,
        PRIMARY KEY (market, venue)
    );
    CREATE TABLE tokens (
        token    text    NOT NULL,
        market   text    NOT NULL,
        venue    text    NOT NULL,
        place    bigint  NOT NULL,
        outcome  text    NOT NULL,
        PRIMARY KEY (token, venue)
    );
",
    "
    ALTER TABLE markets ADD COLUMN result text;
    ALTER TABLE markets ADD COLUMN settlement_value numeric;
",
    concat!(
        "
    CREATE VIEW decimal_trades AS
    SELECT venue, market, token, nullif(outcome, '') AS outcome, price_e6 * 0.000001 AS price,
           size_e6 * 0.000001 AS size, side, to_timestamp(venue_ms / 1e3) AS venue_time,
           to_timestamp(receive_ns / 1e9) AS receive_time, id, fee_bps_e6 * 0.000001 AS fee_bps, venue_ms, receive_ns
    FROM trades;
    ",
        candles_views!(
            " * 0.000001",
            "sum(price_e6::numeric * size_e6) * 0.000000000001",
            "to_timestamp(g.begin_ms / 1000)"
        )
    ),
];

/// Serializes migrations of engines that start at once. The number is arbitrary.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7245093112)";

/// Lock of the connection that adds the index, so that another engine does not drop what it has begun.
const INDEX_LOCK: &str = "7245093113";

const INDEX_OF_TRADES: &str =
    "trades_by_token ON trades ((venue_ms / 900000), token, venue_ms) INCLUDE (price_e6)";
const _: () = assert!(HISTORY_SLICE_NS / MILLISECOND_NS == 900_000, "as in the index");

/// A connection to a server.
#[derive(Debug)]
pub struct PostgresStore {
    line: Line,
    input: BytesMut,
    output: BytesMut,
    rows: String,
}

impl PostgresStore {
    /// Connects, authenticates, and migrates the tables.
    ///
    /// # Errors
    /// The server cannot be reached, refuses the login, or has tables of a newer version.
    pub fn open(address: &PostgresAddress) -> Result<Self, StoreError> {
        let line = Line::connect(&address.host, address.port, STORE_TIMEOUT_NS)?;
        let (input, output) = (BytesMut::with_capacity(8_192), BytesMut::with_capacity(8_192));
        let mut store = Self { line, input, output, rows: String::new() };
        if address.tls {
            store.start_tls(address)?;
        }
        store.log_in(address)?;
        store.make_tables()?;
        // Rows of the temporary tables are deleted at the end of each transaction.
        store.run(
            "SET synchronous_commit TO on;
             CREATE TEMP TABLE trade_stage (LIKE trades) ON COMMIT DELETE ROWS;
             CREATE TEMP TABLE market_stage (LIKE markets) ON COMMIT DELETE ROWS;
             CREATE TEMP TABLE token_stage (LIKE tokens) ON COMMIT DELETE ROWS",
        )?;
        Ok(store)
    }

    fn make_tables(&mut self) -> Result<(), StoreError> {
        self.run("BEGIN")?;
        self.run(LOCK)?;
        self.run(
            "SET client_min_messages TO warning;
             CREATE TABLE IF NOT EXISTS ringbook_schema (version bigint NOT NULL)",
        )?;
        let taken = self.run("SELECT coalesce(max(version), 0) FROM ringbook_schema")?;
        let taken: usize = taken.first_value().and_then(|text| text.parse().ok()).unwrap_or(0);
        if taken > STEPS.len() {
            return Err(StoreError::new(format!(
                "its tables have version {taken}, this program supports {}; use a newer ringbook",
                STEPS.len()
            )));
        }
        for (number, step) in (1..).zip(STEPS).skip(taken) {
            self.run(step)?;
            self.run(&format!("INSERT INTO ringbook_schema VALUES ({number})"))?;
        }
        if taken == 0 {
            self.run(&format!("CREATE INDEX IF NOT EXISTS {INDEX_OF_TRADES}"))?;
        }
        self.run("COMMIT")?;
        Ok(())
    }

    /// The query for the prices of [`Reader::each_price`]; `None` if no trade is of its time.
    ///
    /// # Errors
    /// The server's message.
    pub fn prices(&mut self, request: &PriceRequest) -> Result<Option<String>, StoreError> {
        // Each is read at one end of the primary key.
        let mut end = |name| -> Result<Option<i64>, StoreError> {
            let value = self.first_value(&format!("SELECT {name}(venue_ms) FROM trades"))?;
            Ok(value.and_then(|text| text.parse().ok()))
        };
        let (Some(first), Some(last)) = (end("min")?, end("max")?) else { return Ok(None) };
        let ((begin, end), token) = (milliseconds(request), request.token);
        let (begin, end) = (begin.max(first), end.min(last.saturating_add(1)));
        if begin >= end {
            return Ok(None);
        }
        let wanted = format!("venue_ms >= {begin} AND venue_ms < {end} AND token = '{token}'");
        let prices = "SELECT venue_ms, price_e6 FROM trades WHERE";
        Ok(Some(match self.has_token_index()? {
            true => format!(
                "SELECT t.* FROM generate_series({begin}::bigint / 900000, {end}::bigint / 900000) slice
                 CROSS JOIN LATERAL ({prices} venue_ms / 900000 = slice AND {wanted}) t ORDER BY 1"
            ),
            false => format!("{prices} {wanted} ORDER BY venue_ms"),
        }))
    }
}

#[derive(Debug, Default)]
struct Answer {
    /// Rows affected by the last one.
    touched: u64,
    rows: Vec<Vec<Option<String>>>,
}

impl PostgresStore {
    fn store_markets(&mut self, markets: &[MarketRow]) -> Result<(), StoreError> {
        self.rows.clear();
        markets.iter().for_each(|row| push_market(&mut self.rows, row));
        self.copy("market_stage")?;
        self.run(MARKETS)?;
        self.rows.clear();
        markets.iter().for_each(|row| push_tokens(&mut self.rows, row));
        self.copy("token_stage")?;
        self.run(TOKENS)?;
        Ok(())
    }
}

const TRADES: &str = "
    INSERT INTO trades
    SELECT s.venue, s.market, s.token, coalesce(t.outcome, ''), s.price_e6, s.size_e6, s.side, s.venue_ms,
           s.receive_ns, s.id, s.fee_bps_e6, s.connection
    FROM trade_stage s LEFT JOIN tokens t ON t.token = s.token AND t.venue = s.venue
    ON CONFLICT DO NOTHING";

const MARKETS: &str = concat!(
    "
    INSERT INTO markets SELECT * FROM market_stage
    ON CONFLICT (market, venue) DO UPDATE SET",
    super::store::market_update!()
);

const TOKENS: &str = "
    INSERT INTO tokens SELECT * FROM token_stage
    ON CONFLICT (token, venue) DO UPDATE
        SET market = excluded.market, place = excluded.place, outcome = excluded.outcome";

impl Answer {
    fn first_value(self) -> Option<String> {
        self.rows.into_iter().next_back()?.into_iter().next()?
    }
}

/// A row of [`open_markets_of`].
fn known(row: Vec<Option<String>>) -> Option<KnownToken> {
    let mut values = row.into_iter();
    let mut next = || values.next();
    Some(KnownToken {
        market: next()??,
        slug: next()??,
        question: next()??,
        tick_e6: next()?.and_then(|text| text.parse().ok()),
        min_size_e6: next()?.and_then(|text| text.parse().ok()),
        neg_risk: next()?? == "t",
        end_ns: next()?.and_then(|text| text.parse().ok()),
        token: next()??,
        outcome: next()??,
        start_ns: next()?.and_then(|text| text.parse().ok()),
    })
}

impl Reader for PostgresStore {
    fn count(&mut self) -> Result<u64, StoreError> {
        let count = self.first_value("SELECT count(*) FROM trades")?;
        count.and_then(|text| text.parse().ok()).ok_or_else(Self::out_of_order)
    }

    fn each_trade(&mut self, each: &mut dyn FnMut(&StoredTrade) -> bool) -> Result<(), StoreError> {
        self.run("BEGIN")?;
        self.run(&format!(
            "DECLARE stored NO SCROLL CURSOR FOR SELECT {TRADE_COLUMNS} FROM trades ORDER BY venue_ms"
        ))?;
        loop {
            let rows = self.run("FETCH 10000 FROM stored")?.rows;
            let more = !rows.is_empty();
            for row in rows {
                let trade = stored_trade(row).ok_or_else(Self::out_of_order)?;
                if !each(&trade) {
                    return self.run("ROLLBACK").map(drop);
                }
            }
            if !more {
                return self.run("COMMIT").map(drop);
            }
        }
    }

    fn each_price(
        &mut self,
        request: &PriceRequest,
        each: &mut dyn FnMut(Option<(u64, Price)>) -> bool,
    ) -> Result<(), StoreError> {
        let Some(query) = self.prices(request)? else { return Ok(()) };
        let most_ms = HISTORY_READ_NS / MILLISECOND_NS;
        self.run("BEGIN")?;
        self.run(&format!(
            "SET LOCAL statement_timeout TO {most_ms};
             DECLARE prices NO SCROLL CURSOR FOR {query}"
        ))?;
        loop {
            let rows = self.run("FETCH 10000 FROM prices")?.rows;
            let more = !rows.is_empty();
            for row in rows {
                let price = stored_price(&row).ok_or_else(Self::out_of_order)?;
                if !each(Some(price)) {
                    return self.run("ROLLBACK").map(drop);
                }
            }
            if !more {
                return self.run("COMMIT").map(drop);
            }
        }
    }
}

fn stored_price(row: &[Option<String>]) -> Option<(u64, Price)> {
    let [Some(venue_ms), Some(price)] = row else { return None };
    Some((venue_ms.parse().ok()?, Price(price.parse().ok()?)))
}

fn stored_trade(row: Vec<Option<String>>) -> Option<StoredTrade> {
    let [venue, market, token, outcome, price, size, side, venue_ms, receive_ns, id, fee] =
        <[_; 11]>::try_from(row).ok()?;
    Some(StoredTrade {
        venue: venue?,
        market: market?,
        token: token?,
        outcome: outcome?,
        price_e6: price?.parse().ok()?,
        size_e6: size?.parse().ok()?,
        side: side?,
        venue_ms: venue_ms?.parse().ok()?,
        receive_ns: receive_ns?.parse().ok()?,
        id: id?,
        fee_bps_e6: fee.map(|fee| fee.parse()).transpose().ok()?,
    })
}

impl Store for PostgresStore {
    fn insert(&mut self, batch: &Batch) -> Result<u64, StoreError> {
        let Batch { trades, losses, markets } = batch;
        self.run("BEGIN")?;
        if !markets.is_empty() {
            self.store_markets(markets)?;
        }
        self.rows.clear();
        trades.iter().for_each(|trade| push_row(&mut self.rows, trade));
        self.copy("trade_stage")?;
        let inserted = self.run(TRADES)?.touched;
        for Loss { shard, wall_ns, trades } in losses {
            let shard = shard.0;
            let row = format!("INSERT INTO trade_losses VALUES ({wall_ns}, {shard}, {trades})");
            self.run(&row)?;
        }
        self.run("COMMIT")?;
        Ok(inserted)
    }

    fn open_markets(
        &mut self,
        venue: Venue,
        now_wall_ns: u64,
    ) -> Result<Vec<MarketInfo>, StoreError> {
        let rows = self.run(&open_markets_of(venue))?.rows;
        Ok(gather(rows.into_iter().filter_map(known), now_wall_ns))
    }

    fn has_token_index(&mut self) -> Result<bool, StoreError> {
        let valid = self.first_value(&format!(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('{TOKEN_INDEX}')"
        ))?;
        Ok(valid.as_deref() == Some("t"))
    }

    fn add_token_index(&mut self) -> Result<(), StoreError> {
        let free = self.first_value(&format!("SELECT pg_try_advisory_lock({INDEX_LOCK})"))?;
        if free.as_deref() != Some("t") {
            return Err(StoreError::new("another engine adds it"));
        }
        self.line.set_timeout(STORE_INDEX_NS)?;
        self.run("SET statement_timeout TO 0")?;
        // Each is a transaction of its own. The first removes what was interrupted.
        self.run(&format!("DROP INDEX CONCURRENTLY IF EXISTS {TOKEN_INDEX}"))?;
        self.run(&format!("CREATE INDEX CONCURRENTLY {INDEX_OF_TRADES}")).map(drop)
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        frontend::terminate(&mut self.output);
        // Optional: the server detects the closed connection anyway.
        let _ = self.send();
    }
}
