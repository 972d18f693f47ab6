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
    #[must_use]
    pub fn is_waiting(&self, market: &MarketId) -> bool {
        self.open.contains_key(market)
            || self.settled.iter().any(|record| record.info.market == *market)
    }

    /// Number of markets requested.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.open.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::ConnectionId;
    use crate::base::price::Price;
    use crate::base::time::SECOND_NS;
    use crate::control::registry::{Registry, Source};
    use crate::control::tests::fixture::info;

    fn over(number: u32) -> Record {
        let mut registry = Registry::new(1);
        let info = info(number);
        let market = info.market;
        registry.register(info, 0, Source::Catalog);
        registry.mark_subscribed(&market, ConnectionId(1), 1).unwrap();
        registry.mark_expired(&market, 2);
        registry.market(&market).unwrap().clone()
    }

    #[test]
    fn a_market_is_asked_about_less_and_less_often_until_it_is_decided() {
        let mut resolutions = Resolutions::default();
        let record = over(7);
        let (market, winner) = (record.info.market, record.info.tokens[1].token);
        resolutions.note(&record, 0);
        let mut asked = Vec::new();
        for second in 0..4_000 {
            if !resolutions.poll(second * SECOND_NS).is_empty() {
                asked.push(second);
            }
        }
        assert_eq!(asked, [60, 180, 420, 900, 1_860, 3_780]);
        let won = Resolution { winner: Some(winner), ..Resolution::default() };
        resolutions.on_closed(&market, &Resolution::default(), 8);
        assert!(resolutions.take_settled().is_none(), "closed and not decided");
        resolutions.on_closed(&market, &won, 9);
        let settled = resolutions.take_settled().unwrap().resolution.unwrap();
        let name = record.info.tokens[1].name.clone();
        let value = Some(Price::ZERO);
        assert_eq!(
            settled,
            (Resolution { result: Some(name), settlement_value: value, ..won.clone() }, 9)
        );
        assert_eq!((resolutions.waiting(), resolutions.take_settled().is_none()), (0, true));
        resolutions.on_closed(&market, &won, 10);
        assert!(resolutions.take_settled().is_none(), "once");
    }

    #[test]
    fn a_market_that_is_decided_without_a_winner_is_not_asked_about() {
        for result in ["no", "scalar", "void", Resolution::SPLIT] {
            let mut resolutions = Resolutions::default();
            let mut record = over(7);
            resolutions.note(&record, 0);
            let how = Resolution { result: Some(result.to_owned()), ..Resolution::default() };
            record.resolution = Some((how.clone(), 3));
            resolutions.note(&record, 1);
            assert_eq!(resolutions.waiting(), 0, "{result}, from the stream");
            record.resolution = None;
            resolutions.note(&record, 2);
            resolutions.on_closed(&record.info.market, &how, 4);
            assert_eq!(resolutions.waiting(), 0, "{result}, from the catalog");
            assert_eq!(resolutions.take_settled().unwrap().resolution, Some((how, 4)));
            assert!(resolutions.poll(RESOLUTION_TIMEOUT_NS - 1).is_empty(), "{result}");
        }
    }

    #[test]
    fn what_trades_again_is_not_asked_about_and_nothing_is_for_ever() {
        let mut resolutions = Resolutions::default();
        let record = over(7);
        resolutions.note(&record, 0);
        let mut again = record.clone();
        again.status = Status::Subscribed;
        resolutions.note(&again, 5);
        assert_eq!(resolutions.waiting(), 0);
        resolutions.note(&record, 0);
        assert!(resolutions.poll(RESOLUTION_TIMEOUT_NS).is_empty());
        assert_eq!(resolutions.waiting(), 0);
    }

    #[test]
    fn a_question_has_room_for_a_page_and_the_next_for_the_others() {
        let mut resolutions = Resolutions::default();
        (0..150).for_each(|number| resolutions.note(&over(number), 0));
        let counts = [61, 61, 61].map(|s| resolutions.poll(s * SECOND_NS).len());
        assert_eq!(counts, [100, 50, 0]);
    }
}
