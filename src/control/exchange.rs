//! Exchange status: whether the venue trades at all.
//!
//! Runs on:  control core (pure). Bounds: one request per minute.
//!
//! A venue that pauses is silent on every connection without a fault.
use crate::base::limits::EXCHANGE_STATUS_INTERVAL_NS;
use crate::base::time::Now;
use crate::counter::report::ExchangeReport;
use crate::market::info::ExchangeStatus;
use log::{info, warn};

/// The last known status.
#[derive(Clone, Debug, Default)]
pub struct Exchange {
    next_ns: u64,
    status: Option<ExchangeStatus>,
    seen_wall_ns: u64,
}

impl Exchange {
    /// Whether a request is due.
    pub fn poll(&mut self, now_ns: u64) -> bool {
        let due = now_ns >= self.next_ns;
        if due {
            self.next_ns = now_ns + EXCHANGE_STATUS_INTERVAL_NS;
        }
        due
    }

    /// Takes a response; `None` if it cannot be read, which changes nothing.
    pub fn on_status(&mut self, status: Option<ExchangeStatus>, now: Now) {
        let Some(status) = status else { return };
        let trades = status.active && status.trading;
        match self.status {
            Some(before) if trades == (before.active && before.trading) => {}
            Some(_) if trades => info!("the exchange trades again"),
            None if trades => {}
            _ => {
                let until = status.resumes_wall_ns.map_or(String::new(), |ns| {
                    let seconds = ns.saturating_sub(now.wall_ns) / 1_000_000_000;
                    format!("; it means to go on in {seconds} s")
                });
                warn!("the exchange does not trade{until}: silence is no fault meanwhile");
            }
        }
        (self.status, self.seen_wall_ns) = (Some(status), now.wall_ns);
    }

    /// The report; `None` before the first response.
    pub fn report(&self) -> Option<ExchangeReport> {
        self.status.map(|status| ExchangeReport {
            active: status.active,
            trading: status.trading,
            resumes_wall_ns: status.resumes_wall_ns.unwrap_or(0),
            seen_wall_ns: self.seen_wall_ns,
        })
    }
}

#[cfg(test)]
mod tests;
