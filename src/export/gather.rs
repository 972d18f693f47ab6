//! A handler on a replay's books that writes rows.
//!
//! Runs on:  the replay's one shard; the starting thread before and after.
use super::plan::ExportPlan;
use super::sorted::TableFiles;
use super::table::{TRADES, Written};
use crate::base::id::TokenId;
use crate::market::book::{BookState, Level, Side};
use crate::market::event::Trade;
use crate::shard::publish::{BookView, Change, Handler};
use parquet::data_type::ByteArray;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

const LEVELS: &str = "message levels {
    REQUIRED BYTE_ARRAY venue (UTF8);
    REQUIRED BYTE_ARRAY market (UTF8);
    REQUIRED BYTE_ARRAY token (UTF8);
    REQUIRED BYTE_ARRAY kind (UTF8);
    REQUIRED BYTE_ARRAY side (UTF8);
    REQUIRED INT32 price (DECIMAL(7,6));
    REQUIRED INT64 size (DECIMAL(18,6));
    OPTIONAL INT64 venue_time (TIMESTAMP(MILLIS,true));
    OPTIONAL INT64 receive_time (TIMESTAMP(NANOS,true));
}";

const TOPS: &str = "message tops {
    REQUIRED BYTE_ARRAY venue (UTF8);
    REQUIRED BYTE_ARRAY market (UTF8);
    REQUIRED BYTE_ARRAY token (UTF8);
    OPTIONAL INT32 bid (DECIMAL(7,6));
    OPTIONAL INT64 bid_size (DECIMAL(18,6));
    OPTIONAL INT32 ask (DECIMAL(7,6));
    OPTIONAL INT64 ask_size (DECIMAL(18,6));
    REQUIRED BYTE_ARRAY state (UTF8);
    OPTIONAL INT64 venue_time (TIMESTAMP(MILLIS,true));
    OPTIONAL INT64 receive_time (TIMESTAMP(NANOS,true));
}";

/// Best bid, best ask, state: a row of `tops`.
type Top = (Option<Level>, Option<Level>, BookState);

/// What takes the events of a replay's books. An error ends it.
pub(super) trait Rows: Send {
    fn snapshot(&mut self, view: &BookView<'_>) -> Result<(), String>;
    fn change(&mut self, view: &BookView<'_>, change: &Change) -> Result<(), String>;
    /// The state of a book is another one.
    fn status(&mut self, view: &BookView<'_>) -> Result<(), String>;
    fn trade(&mut self, view: &BookView<'_>, trade: &Trade<'_>) -> Result<(), String>;
    /// Completes the files.
    fn finish(&mut self) -> Result<Vec<Written>, String>;
}

struct Gathered {
    rows: Box<dyn Rows>,
    /// The first error; nothing is written after it.
    error: Option<String>,
}

/// Shared by the successive books of a replay and the starting thread; never contended.
#[derive(Clone)]
pub(super) struct Gatherer {
    gathered: Arc<Mutex<Gathered>>,
    /// Markets or tokens whose rows are wanted; all where it is empty.
    only: Arc<[String]>,
}

impl Gatherer {
    pub(super) fn new(rows: Box<dyn Rows>, only: &[String]) -> Self {
        Self { gathered: Arc::new(Mutex::new(Gathered { rows, error: None })), only: only.into() }
    }

    fn with(&self, view: &BookView<'_>, add: impl FnOnce(&mut dyn Rows) -> Result<(), String>) {
        let is_wanted = |name: &String| name == view.market.as_str() || name == view.token.as_str();
        if !self.only.is_empty() && !self.only.iter().any(is_wanted) {
            return;
        }
        let Gathered { rows, error } =
            &mut *self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        if error.is_none() {
            *error = add(rows.as_mut()).err();
        }
    }

    /// Completes the files.
    pub(super) fn finish(self) -> Result<Vec<Written>, String> {
        let Gathered { rows, error } =
            &mut *self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        error.take().map_or_else(|| rows.finish(), Err)
    }
}

impl Handler for Gatherer {
    const WANTS_MARKETS: bool = false;

    fn on_snapshot(&mut self, view: &BookView<'_>) {
        self.with(view, |rows| rows.snapshot(view));
    }

    fn on_price_change(&mut self, view: &BookView<'_>, change: &Change) {
        self.with(view, |rows| rows.change(view, change));
    }

    fn on_trade(&mut self, view: &BookView<'_>, trade: &Trade<'_>) {
        self.with(view, |rows| rows.trade(view, trade));
    }

    fn on_status(&mut self, view: &BookView<'_>, _before: BookState) {
        self.with(view, |rows| rows.status(view));
    }
}

/// The three tables.
pub(super) struct TableRows {
    trades: Option<TableFiles>,
    levels: Option<TableFiles>,
    tops: Option<TableFiles>,
    /// Interned texts.
    texts: HashMap<String, ByteArray>,
    last: HashMap<TokenId, Top>,
}

impl TableRows {
    pub(super) fn create(plan: &ExportPlan) -> Result<Self, String> {
        let ExportPlan { to, format, partition, tables, .. } = plan;
        let wanted = |is: bool, message_type: &str| {
            is.then(|| TableFiles::create(to, *format, partition, message_type)).transpose()
        };
        Ok(Self {
            trades: wanted(tables.trades, TRADES)?,
            levels: wanted(tables.levels, LEVELS)?,
            tops: wanted(tables.tops, TOPS)?,
            texts: HashMap::new(),
            last: HashMap::new(),
        })
    }

    fn text(&mut self, text: &str) -> ByteArray {
        if let Some(known) = self.texts.get(text) {
            return known.clone();
        }
        let new = ByteArray::from(text.as_bytes().to_vec());
        self.texts.insert(text.to_owned(), new.clone());
        new
    }

    fn level(
        &mut self,
        view: &BookView<'_>,
        kind: &str,
        side: Side,
        level: Level,
    ) -> Result<(), String> {
        if self.levels.is_none() {
            return Ok(());
        }
        let side = if side == Side::Bid { "bid" } else { "ask" };
        let texts = [view.venue.name(), view.market.as_str(), view.token.as_str(), kind, side];
        let texts = texts.map(|text| self.text(text));
        let Some(table) = &mut self.levels else { return Ok(()) };
        table.push(|columns| {
            for (column, text) in columns.iter_mut().zip(texts) {
                column.text(text);
            }
            columns[5].int(level.price.0);
            columns[6].long(level.quantity.0);
            columns[7].time(view.facts.timestamp_ms);
            columns[8].time(view.read_wall_ns);
        })
    }

    fn top(&mut self, view: &BookView<'_>) -> Result<(), String> {
        if self.tops.is_none() {
            return Ok(());
        }
        let state = match view.state {
            // The row has the time of the state.
            BookState::Stale { why, .. } => BookState::Stale { why, since_wall_ns: 0 },
            state => state,
        };
        let top = (view.book.best_bid(), view.book.best_ask(), state);
        if self.last.insert(*view.token, top) == Some(top) {
            return Ok(());
        }
        let (bid, ask, state) = top;
        let texts = [view.venue.name(), view.market.as_str(), view.token.as_str(), state.name()];
        let [venue, market, token, state] = texts.map(|text| self.text(text));
        let Some(table) = &mut self.tops else { return Ok(()) };
        table.push(|columns| {
            columns[0].text(venue);
            columns[1].text(market);
            columns[2].text(token);
            columns[3].maybe_int(bid.map(|level| level.price.0));
            columns[4].maybe_long(bid.map(|level| level.quantity.0));
            columns[5].maybe_int(ask.map(|level| level.price.0));
            columns[6].maybe_long(ask.map(|level| level.quantity.0));
            columns[7].text(state);
            columns[8].time(view.facts.timestamp_ms);
            columns[9].time(view.read_wall_ns);
        })
    }
}

impl Rows for TableRows {
    fn snapshot(&mut self, view: &BookView<'_>) -> Result<(), String> {
        for (side, ladder) in [(Side::Bid, &view.book.bids), (Side::Ask, &view.book.asks)] {
            for level in ladder.levels() {
                self.level(view, "snapshot", side, level)?;
            }
        }
        self.top(view)
    }

    fn change(&mut self, view: &BookView<'_>, change: &Change) -> Result<(), String> {
        self.level(view, "change", change.side, change.level)?;
        self.top(view)
    }

    fn status(&mut self, view: &BookView<'_>) -> Result<(), String> {
        self.top(view)
    }

    fn trade(&mut self, view: &BookView<'_>, trade: &Trade<'_>) -> Result<(), String> {
        if self.trades.is_none() {
            return Ok(());
        }
        let side = if trade.side == Side::Bid { "buy" } else { "sell" };
        let texts = [view.venue.name(), view.market.as_str(), view.token.as_str(), side];
        let [venue, market, token, side] = texts.map(|text| self.text(text));
        let hash = trade.transaction_hash.as_bytes();
        let id = (!hash.is_empty()).then(|| ByteArray::from(hash.to_vec()));
        let Some(table) = &mut self.trades else { return Ok(()) };
        table.push(|columns| {
            columns[0].text(venue);
            columns[1].text(market);
            columns[2].text(token);
            columns[3].maybe_text(None);
            columns[4].int(trade.price.0);
            columns[5].long(trade.quantity.0);
            columns[6].text(side);
            columns[7].time(trade.timestamp_ms);
            columns[8].time(view.read_wall_ns);
            columns[9].maybe_text(id);
            columns[10].maybe_long(trade.fee_rate_bps.map(|fee| fee.0));
        })
    }

    fn finish(&mut self) -> Result<Vec<Written>, String> {
        let tables = [self.trades.take(), self.levels.take(), self.tops.take()];
        let mut written = Vec::new();
        for table in tables.into_iter().flatten() {
            written.extend(table.finish()?);
        }
        Ok(written)
    }
}
