//! `serve_history`: prices of stored trades, asked for by a client of the gateway.
//!
//! Runs on:  the serve core asks, the thread `trade-history` answers.
//! Depth: `HISTORY_QUEUE_DEPTH`. When full: the client gets HTTP 503.
use crate::base::id::TokenId;
use crate::base::limits::{HISTORY_POINTS_MAX, HISTORY_QUEUE_DEPTH};
use crate::base::price::Price;
use crate::io::handoff::{Giver, handoff};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Which prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceRequest {
    /// Of this token.
    pub token: TokenId,
    /// From this Unix second on.
    pub begin_s: u64,
    /// To this Unix second, which is included.
    pub end_s: u64,
    /// Distance of two points, seconds; at least 1.
    pub step_s: u64,
}

/// The last price of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PricePoint {
    /// Venue time of the trade, Unix seconds.
    pub second: u64,
    /// Its price.
    pub price: Price,
}

/// Why there are no prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryError {
    /// Too many requests wait.
    Busy,
    /// More rows or points than one answer may take.
    TooMuch,
    /// More time than one answer may take.
    TooLong,
    /// The database cannot be read; the log has the reason.
    Failed,
}

impl PriceRequest {
    /// Adds a trade that is not older than the last point: it replaces that of its step. Trades outside of the
    /// requested time are left out.
    ///
    /// # Errors
    /// `HISTORY_POINTS_MAX` points are there.
    pub fn add(&self, points: &mut Vec<PricePoint>, point: PricePoint) -> Result<(), HistoryError> {
        if !(self.begin_s..=self.end_s).contains(&point.second) {
            return Ok(());
        }
        let step = |point: &PricePoint| point.second / self.step_s;
        if let Some(last) = points.last_mut().filter(|last| step(last) == step(&point)) {
            *last = point;
            return Ok(());
        }
        if points.len() == HISTORY_POINTS_MAX {
            return Err(HistoryError::TooMuch);
        }
        points.push(point);
        Ok(())
    }
}

/// Points of each requested token in the order of time, or why there are none.
pub type PriceAnswer = Result<Vec<Vec<PricePoint>>, HistoryError>;

/// A request with the way back.
#[derive(Debug)]
pub struct PendingPrices {
    /// What is wanted, by token.
    pub requests: Vec<PriceRequest>,
    /// Takes the answer.
    pub answer: Giver<PriceAnswer>,
}

/// The end of the serve core. The thread ends with it.
#[derive(Debug)]
pub struct PriceHistory(SyncSender<PendingPrices>);

/// Both ends.
pub fn link() -> (PriceHistory, Receiver<PendingPrices>) {
    let (sender, receiver) = sync_channel(HISTORY_QUEUE_DEPTH);
    (PriceHistory(sender), receiver)
}

impl PriceHistory {
    /// The stored prices of each request, within the bounds of one answer.
    ///
    /// # Errors
    /// [`HistoryError`]: the client gets the reason.
    pub async fn read(&self, requests: Vec<PriceRequest>) -> PriceAnswer {
        let (answer, awaited) = handoff();
        let pending = PendingPrices { requests, answer };
        self.0.try_send(pending).map_err(|_| HistoryError::Busy)?;
        awaited.await.unwrap_or(Err(HistoryError::Failed))
    }
}
