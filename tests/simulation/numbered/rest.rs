//! The numbered venue's REST interface: catalog, books, the state of the exchange.
//!
//! Runs on:  the simulation's thread.
use super::fault::Fault;
use super::market::{Market, Phase};
use super::venue::Venue;
use ringbook::base::random::Random;

/// Events or paused markets of one page: fewer than are asked for, so that there are several.
const PAGE_EVENTS: usize = 7;
const PAGE_MARKETS: usize = 3;

/// Whether a path asks for the paused markets.
pub(crate) fn asks_for_paused(path: &str) -> bool {
    path.starts_with("/trade-api/v2/markets?") && values(path, "status") == ["paused"]
}

/// All values of a key in a query.
fn values<'a>(path: &'a str, key: &str) -> Vec<&'a str> {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(name, _)| *name == key).flat_map(|(_, value)| value.split(',')).collect()
}

impl Venue {
    pub(crate) fn answer(&mut self, path: &str) -> String {
        let of = |path: &str| path.split('?').next().unwrap().to_owned();
        match of(path).as_str() {
            "/trade-api/v2/exchange/status" => {
                r#"{"exchange_active":true,"trading_active":true}"#.to_owned()
            }
            "/trade-api/v2/events" => self.events(path),
            "/trade-api/v2/markets" if asks_for_paused(path) => self.paused(path),
            "/trade-api/v2/markets" => {
                let wanted = values(path, "tickers");
                let found = wanted.iter().filter_map(|ticker| self.by_ticker.get(*ticker));
                let found: Vec<String> = found.map(|&m| self.markets[m].listing()).collect();
                format!(r#"{{"markets":[{}],"cursor":""}}"#, found.join(","))
            }
            _ => {
                self.violations.push(format!("an unknown path: {path}"));
                String::new()
            }
        }
    }

    fn events(&self, path: &str) -> String {
        let open = values(path, "status") == ["open"];
        let fits = |market: &Market| match open {
            true => market.phase == Phase::Open,
            false => market.phase == Phase::Unopened,
        };
        let mut events: Vec<usize> =
            self.markets.iter().filter(|market| fits(market)).map(|market| market.event).collect();
        events.dedup();
        let begin: usize = values(path, "cursor").first().map_or(0, |c| c.parse().unwrap());
        let page = events.iter().filter(|event| **event >= begin).take(PAGE_EVENTS);
        let page: Vec<usize> = page.copied().collect();
        let last = page.last().copied();
        let more = last.filter(|last| events.iter().any(|event| event > last));
        let listed = page.iter().map(|event| {
            let of = self.markets.iter().filter(|market| market.event == *event);
            let markets: Vec<String> = of.map(Market::listing).collect();
            format!(
                r#"{{"event_ticker":"E{event}","title":"?","mutually_exclusive":false,"markets":[{}]}}"#,
                markets.join(",")
            )
        });
        let listed: Vec<String> = listed.collect();
        let cursor = more.map_or(String::new(), |last| (last + 1).to_string());
        format!(r#"{{"events":[{}],"cursor":"{cursor}"}}"#, listed.join(","))
    }

    fn paused(&self, path: &str) -> String {
        let begin: usize = values(path, "cursor").first().map_or(0, |c| c.parse().unwrap());
        let paused = self.markets.iter().enumerate().skip(begin);
        let mut paused = paused.filter(|(_, market)| market.phase == Phase::Paused);
        let page: Vec<String> =
            paused.by_ref().take(PAGE_MARKETS).map(|(_, market)| market.listing()).collect();
        let cursor = paused.next().map_or(String::new(), |(place, _)| place.to_string());
        format!(r#"{{"markets":[{}],"cursor":"{cursor}"}}"#, page.join(","))
    }

    /// The answer to a request for books.
    pub(crate) fn books(&mut self, path: &str, random: &mut Random) -> String {
        let mut found = Vec::new();
        for ticker in values(path, "tickers") {
            let Some(&market) = self.by_ticker.get(ticker) else { continue };
            let old = self.faults.strikes(Fault::StaleBook, random);
            let known = &self.markets[market];
            found.push(if old { known.stale_book() } else { known.rest_book() });
        }
        found.retain(|book| !book.is_empty());
        format!(r#"{{"orderbooks":[{}]}}"#, found.join(","))
    }
}
