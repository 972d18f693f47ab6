//! Reads prices of stored trades for clients of the gateway.
//!
//! Runs on:  the thread `trade-history`, which may block. Owns: a connection to the database, opened by the first
//!           request.
//! Bounds:   `HISTORY_ROWS_MAX` rows, `HISTORY_POINTS_MAX` points and `HISTORY_READ_NS` of one answer.
use super::store::{Reader, StoreAddress, StoreError};
use crate::base::limits::{HISTORY_POINTS_MAX, HISTORY_READ_NS, HISTORY_ROWS_MAX};
use crate::base::time::Clock as _;
use crate::io::{clock::HostClock, threads::lower_priority};
use crate::link::serve_history::{
    HistoryError, PendingPrices, PriceAnswer, PriceHistory, PricePoint, PriceRequest, link,
};
use log::{info, warn};
use std::sync::mpsc::Receiver;

/// Starts the thread, which ends with the returned handle.
///
/// # Errors
/// The thread cannot be started.
pub fn start(address: StoreAddress) -> std::io::Result<PriceHistory> {
    let (history, requests) = link();
    let run = move || {
        lower_priority();
        serve_all(&address, &requests);
    };
    std::thread::Builder::new().name("trade-history".into()).spawn(run)?;
    Ok(history)
}

fn serve_all(address: &StoreAddress, requests: &Receiver<PendingPrices>) {
    let (clock, mut reader, mut is_failing) = (HostClock::new(), None, false);
    while let Ok(PendingPrices { requests, answer }) = requests.recv() {
        if !answer.is_awaited() {
            continue;
        }
        let result = match read(address, &mut reader, &requests, &clock) {
            Ok(points) => {
                if std::mem::take(&mut is_failing) {
                    info!("/prices-history: {} is read again", address.shown());
                }
                points
            }
            Err(error) => {
                reader = None;
                if !std::mem::replace(&mut is_failing, true) {
                    warn!("/prices-history: {} cannot be read: {error}", address.shown());
                }
                Err(HistoryError::Failed)
            }
        };
        answer.give(result);
    }
}

/// The outer error is the database's.
fn read(
    address: &StoreAddress,
    reader: &mut Option<Box<dyn Reader>>,
    requests: &[PriceRequest],
    clock: &HostClock,
) -> Result<PriceAnswer, StoreError> {
    let reader = match reader {
        Some(reader) => reader,
        None => reader.insert(address.read()?),
    };
    let deadline_ns = clock.mono_ns() + HISTORY_READ_NS;
    let (mut all, mut rows, mut count) = (Vec::with_capacity(requests.len()), 0, 0);
    let is_late = || clock.mono_ns() > deadline_ns;
    for request in requests {
        let mut points = Vec::new();
        match read_one(&mut **reader, request, &mut points, &mut rows, &is_late)? {
            Ok(()) => count += points.len(),
            Err(error) => return Ok(Err(error)),
        }
        if count > HISTORY_POINTS_MAX {
            return Ok(Err(HistoryError::TooMuch));
        }
        all.push(points);
    }
    Ok(Ok(all))
}

/// The points of a token; `rows` counts those of the answer. The outer error is the database's.
fn read_one(
    reader: &mut dyn Reader,
    request: &PriceRequest,
    points: &mut Vec<PricePoint>,
    rows: &mut u64,
    is_late: &dyn Fn() -> bool,
) -> Result<Result<(), HistoryError>, StoreError> {
    let mut end = Ok(());
    let read = reader.each_price(request, &mut |trade| {
        *rows += u64::from(trade.is_some());
        if let Some((venue_ms, price)) = trade {
            end = request.add(points, PricePoint { second: venue_ms / 1_000, price });
        }
        if end.is_ok() && *rows > HISTORY_ROWS_MAX {
            end = Err(HistoryError::TooMuch);
        } else if end.is_ok() && (trade.is_none() || rows.is_multiple_of(1_024)) && is_late() {
            end = Err(HistoryError::TooLong);
        }
        end.is_ok()
    });
    match read {
        Ok(()) => Ok(end),
        // The server has ended the query.
        Err(error) if !error.is_transient && is_late() => Ok(Err(HistoryError::TooLong)),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
