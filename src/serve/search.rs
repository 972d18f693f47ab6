//! The server's part of `/markets`, `/market`, `/trades` and `/prices`: catalog and shards are asked.
//!
//! Runs on:  serve core. Bounds: as [`markets`].
use super::markets::{self, BookRow, MarketKey, Search};
use super::request::Head;
use super::response::Response;
use super::{Server, route};
use crate::base::id::{MarketId, TokenId, Venue};
use crate::base::limits::{MARKETS_PER_TURN, MARKETS_STATES_MAX};
use crate::base::time::SECOND_NS;
use crate::io::executor::yield_now;
use crate::link::serve_history::{HistoryError, PriceRequest};
use crate::market::info::Outcome;

/// Prices are those of the last day unless the request says otherwise, seconds.
const DAY_S: u64 = 86_400;

type Found = (MarketKey, MarketId);

impl Server {
    pub(super) async fn search(&self, search: &Search) -> Response {
        let Some(gateway) = &self.gateway else { return route::not_found() };
        let found = self.find(search).await;
        let mut at = search.begin(&found);
        if !search.needs_states() {
            let end = found.len().min(at.saturating_add(search.limit()));
            let part: Vec<MarketId> = found[at..end].iter().map(|(_, id)| *id).collect();
            let (total, next) = (Some(found.len()), next_of(&found, end));
            return gateway
                .with_known(|known| markets::page(known.catalog, total, next, &part, &[]));
        }
        let (mut part, mut rows) = (Vec::new(), Vec::new());
        let end = found.len().min(at.saturating_add(MARKETS_STATES_MAX));
        while at < end && part.len() < search.limit() {
            let (_, id) = found[at];
            at += 1;
            let books = match self.books_of(&id).await {
                Ok(books) => books,
                Err(answer) => return answer,
            };
            let states: Vec<&str> = books.iter().map(|(_, book)| book.state()).collect();
            if search.wants_states(&states) {
                part.push(id);
                rows.extend(books);
            }
        }
        let next = next_of(&found, at);
        gateway.with_known(|known| markets::page(known.catalog, None, next, &part, &rows))
    }

    /// All markets that are wanted but for the states of their books, in order.
    async fn find(&self, search: &Search) -> Vec<Found> {
        let Some(gateway) = &self.gateway else { return Vec::new() };
        let now_wall_ns = self.wall_ns();
        let venues: Vec<Venue> = gateway.with_known(|known| {
            known.catalog.venues().filter(|venue| search.is_of(*venue)).collect()
        });
        let mut found: Vec<Found> = Vec::new();
        for venue in venues {
            let mut after = Some(0);
            while let Some(number) = after {
                after = gateway.with_known(|known| {
                    let mut last = None;
                    let markets = known.catalog.markets_after(venue, number);
                    for (seen, listed) in markets.take(MARKETS_PER_TURN).enumerate() {
                        if search.wants(listed, now_wall_ns) {
                            found.push((search.key(listed), listed.info.market));
                        }
                        last = (seen + 1 == MARKETS_PER_TURN).then_some(listed.number);
                    }
                    last
                });
                yield_now().await;
            }
        }
        found.sort_unstable_by_key(|(key, _)| *key);
        found
    }

    async fn books_of(&self, market: &MarketId) -> Result<Vec<(TokenId, BookRow)>, Response> {
        let Some(gateway) = &self.gateway else { return Ok(Vec::new()) };
        let tokens: Vec<TokenId> = gateway.with_known(|known| {
            let info = known.catalog.market(market);
            info.into_iter()
                .flat_map(|info| &info.tokens)
                .map(|Outcome { token, .. }| *token)
                .collect()
        });
        let mut books = Vec::new();
        for token in tokens {
            match self.queries.book(token, self.timeouts.answer_ns).await {
                Ok(Some(image)) => {
                    books.push((token, BookRow::of(&image)));
                    self.queries.give_back(image);
                }
                Ok(None) => {}
                Err(why) => return Err(route::book(Err(why), 0)),
            }
        }
        Ok(books)
    }

    pub(super) async fn market(&self, head: &Head) -> Response {
        let Some(gateway) = &self.gateway else { return route::not_found() };
        let named = |known: crate::gateway::rest::Known<'_>| {
            markets::named(known.catalog, head).map(|listed| listed.info.market)
        };
        let Some(market) = gateway.with_known(named) else {
            return Response::error(404, "no followed market has this id or token");
        };
        let books = match self.books_of(&market).await {
            Ok(books) => books,
            Err(answer) => return answer,
        };
        gateway.with_known(|known| match known.catalog.listed(&market) {
            Some(listed) => markets::market(listed, &books),
            None => Response::error(404, "the market is not followed any more"),
        })
    }

    /// The answer about the last trades of one market.
    pub(super) fn trades(&self, head: &Head) -> Response {
        let Some(gateway) = &self.gateway else { return route::not_found() };
        gateway.with_known(|known| match markets::named(known.catalog, head) {
            Some(listed) => {
                let tokens: Vec<TokenId> = listed.info.tokens.iter().map(|t| t.token).collect();
                markets::trades(known.trades, &tokens)
            }
            None => Response::error(404, "no followed market has this id or token"),
        })
    }
    /// The answer about the stored prices of a token.
    pub(super) async fn prices(&self, head: &Head) -> Response {
        let Some(gateway) = &self.gateway else { return route::not_found() };
        let Some(token) = head.query_value("token_id").and_then(|text| TokenId::new(&text)) else {
            return Response::error(400, "Invalid token id");
        };
        let number = |name: &str, default| match head.query_value(name) {
            Some(text) => text.parse::<u64>().ok(),
            None => Some(default),
        };
        let now_s = self.wall_ns() / SECOND_NS;
        let (begin, step) = (number("begin_s", now_s.saturating_sub(DAY_S)), number("step_s", 60));
        let (Some(begin_s), Some(step_s)) = (begin, step) else {
            return Response::error(400, "begin_s and step_s are numbers of seconds");
        };
        let request = PriceRequest { token, begin_s, end_s: u64::MAX, step_s: step_s.max(1) };
        match gateway.prices(&[request]).await {
            None => markets::prices(None),
            Some(Ok(points)) => markets::prices(Some(&points.concat())),
            Some(Err(HistoryError::TooMuch)) => {
                Response::error(400, "too many prices: ask for less time")
            }
            Some(Err(_)) => {
                Response::error(503, "the stored prices cannot be read now: ask for less time")
            }
        }
    }
}

/// Where the next answer begins: at this place, behind the market before it. `None` where no market is left.
fn next_of(found: &[Found], end: usize) -> Option<(usize, MarketKey)> {
    let before = end.checked_sub(1)?;
    (end < found.len()).then(|| (end, found[before].0))
}
