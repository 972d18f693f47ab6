//! Reads the trades of a database.
//!
//! Runs on:  the starting thread.
use super::plan::ExportPlan;
use super::sorted::TableFiles;
use super::table::{TRADES, Written};
use crate::io::progress::Progress;
use crate::sink::store::{StoreAddress, StoredTrade};
use parquet::data_type::ByteArray;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Calls `add` for every trade in the order of venue time, until `stop` is set.
pub(super) fn each(
    address: &StoreAddress,
    stop: &Arc<AtomicBool>,
    mut add: impl FnMut(&StoredTrade) -> Result<(), String>,
) -> Result<(), String> {
    let shown = address.shown();
    let explain = |error: crate::sink::store::StoreError| format!("{shown}: {error}");
    let mut reader = address.read().map_err(explain)?;
    let progress = Progress::of_items(reader.count().map_err(explain)?, "trades");
    let mut failure = None;
    let mut each = |trade: &StoredTrade| {
        progress.add();
        failure = add(trade).err();
        failure.is_none() && !stop.load(Ordering::Relaxed)
    };
    let result = reader.each_trade(&mut each);
    drop(progress);
    failure.map_or(Ok(()), Err)?;
    result.map_err(explain)
}

/// Writes every trade.
pub(super) fn export(
    address: &StoreAddress,
    plan: &ExportPlan,
    stop: &Arc<AtomicBool>,
) -> Result<Vec<Written>, String> {
    let mut table = TableFiles::create(&plan.to, plan.format, &plan.partition, TRADES)?;
    each(address, stop, |trade| push(&mut table, trade))?;
    table.finish()
}

fn push(table: &mut TableFiles, trade: &StoredTrade) -> Result<(), String> {
    let text = |text: &str| ByteArray::from(text.as_bytes().to_vec());
    let some = |value: &str| (!value.is_empty()).then(|| text(value));
    table.push(|columns| {
        columns[0].text(text(&trade.venue));
        columns[1].text(text(&trade.market));
        columns[2].text(text(&trade.token));
        columns[3].maybe_text(some(&trade.outcome));
        columns[4].int(trade.price_e6);
        columns[5].long(trade.size_e6);
        columns[6].text(text(&trade.side));
        columns[7].time(trade.venue_ms);
        columns[8].time(trade.receive_ns);
        columns[9].maybe_text(some(&trade.id));
        columns[10].maybe_long(trade.fee_bps_e6);
    })
}
