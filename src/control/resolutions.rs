//! Ended markets without a result: requested until they have one.
//!
//! Runs on:  control core (pure; time is an argument). Owns: facts of those markets, also when the registry has
//!           removed them.
//! Bounds:   `RESOLUTIONS_MAX` markets; each is dropped after `RESOLUTION_TIMEOUT_NS`.
//!
//! The stream sends a result (`market_resolved`, `determined`) once, up to days after the end. A market without a
//! winner (`no`, `scalar`, `void`, a shared payout) has a result too.
use super::registry::{Record, Status};
use crate::base::id::MarketId;
use crate::base::limits::{
    DISCOVERY_PAGE_MARKETS, RESOLUTION_ASK_MAX_NS, RESOLUTION_ASK_MIN_NS, RESOLUTION_TIMEOUT_NS,
    RESOLUTIONS_MAX,
};
use crate::market::info::Resolution;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
struct Open {
    record: Record,
    since_ns: u64,
    next_ask_ns: u64,
    timeout_ns: u64,
}

/// Markets without result, and those whose result is new.
#[derive(Clone, Debug, Default)]
pub struct Resolutions {
    open: BTreeMap<MarketId, Open>,
    settled: Vec<Record>,
}

impl Resolutions {
    /// Takes a changed market: requested if ended without result, dropped otherwise.
    pub fn note(&mut self, record: &Record, now_ns: u64) {
        let market = record.info.market;
        let decided = record.resolution.as_ref().is_some_and(|(how, _)| how.is_decided());
        if decided || record.status != Status::Expired {
            self.open.remove(&market);
        } else if let Some(open) = self.open.get_mut(&market) {
            open.record = record.clone();
        } else if self.open.len() < RESOLUTIONS_MAX {
            self.open.insert(
                market,
                Open {
                    record: record.clone(),
                    since_ns: now_ns,
                    next_ask_ns: now_ns + RESOLUTION_ASK_MIN_NS,
                    timeout_ns: RESOLUTION_ASK_MIN_NS,
                },
            );
        }
    }

    /// Markets to request now, at most a page; intervals grow.
    pub fn poll(&mut self, now_ns: u64) -> Vec<MarketId> {
        self.open.retain(|_, open| now_ns < open.since_ns + RESOLUTION_TIMEOUT_NS);
        let due = self.open.iter_mut().filter(|(_, open)| now_ns >= open.next_ask_ns);
        due.take(DISCOVERY_PAGE_MARKETS)
            .map(|(market, open)| {
                open.timeout_ns = (2 * open.timeout_ns).min(RESOLUTION_ASK_MAX_NS);
                open.next_ask_ns = now_ns + open.timeout_ns;
                *market
            })
            .collect()
    }

    /// A closed market of the catalog; dropped once it has a result.
    pub fn on_closed(&mut self, market: &MarketId, resolution: &Resolution, wall_ns: u64) {
        if !resolution.is_decided() {
            return;
        }
        let Some(mut open) = self.open.remove(market) else { return };
        let resolution = resolution.clone().completed(&open.record.info.tokens);
        open.record.resolution = Some((resolution, wall_ns));
        self.settled.push(open.record);
    }

    /// Next market with a new result.
    pub fn take_settled(&mut self) -> Option<Record> {
        self.settled.pop()
    }

    /// Puts back a market that could not be published.
    pub fn keep_settled(&mut self, record: Record) {
        self.settled.push(record);
    }

    /// Whether a market is requested or its result is not published yet.
    pub fn is_waiting(&self, market: &MarketId) -> bool {
        self.open.contains_key(market)
            || self.settled.iter().any(|record| record.info.market == *market)
    }
}

#[cfg(test)]
mod tests;
