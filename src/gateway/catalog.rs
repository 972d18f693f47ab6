//! Markets that the engine follows, as the gateway's clients may ask for them.
//!
//! Runs on:  serve core (pure). Owns: facts of each market, in the order in which the engine learned of them.
//! Bounds:   `GATEWAY_MARKETS_MAX`; above it the markets that ended first leave. A resolved market leaves at once.
#[cfg(test)]
pub(super) mod tests;

use crate::base::id::{MarketId, TokenId, Venue};
use crate::base::limits::GATEWAY_MARKETS_MAX;
use crate::market::info::{EventListing, MarketEvent, MarketInfo, MarketStage};
use foldhash::fast::FixedState;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// The markets.
#[derive(Debug, Default)]
pub struct Catalog {
    markets: HashMap<MarketId, Listed, FixedState>,
    tokens: HashMap<TokenId, MarketId, FixedState>,
    ended: VecDeque<MarketId>,
    lists: Vec<(Venue, List)>,
    /// Of the market or event that was added last.
    last_number: u64,
}

/// One market.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its venue.
    pub venue: Venue,
    /// Its facts.
    pub info: MarketInfo,
    /// Its stage.
    pub stage: MarketStage,
    /// Its place in the venue's list.
    pub number: u64,
}

/// An event, as far as its markets are followed.
#[derive(Clone, Debug)]
pub struct ListedEvent {
    /// What the catalog lists of it.
    pub listing: Arc<EventListing>,
    /// Its markets; at least one.
    pub markets: Vec<MarketId>,
}

/// Markets and events of one venue.
#[derive(Debug, Default)]
struct List {
    markets: BTreeMap<u64, MarketId>,
    events: BTreeMap<u64, ListedEvent>,
    event_numbers: HashMap<String, u64, FixedState>,
}

/// The order of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// As the engine learned of them.
    #[default]
    Number,
    /// By start.
    Start,
    /// By end; without one last.
    End,
}

/// A place in an order; what follows it is on the next page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Of the order.
    pub key: u64,
    /// Of the market or event.
    pub number: u64,
}

/// Which part of a list is a page.
#[derive(Clone, Copy, Debug, Default)]
pub struct PageRequest {
    /// The order.
    pub order: Order,
    /// Last first.
    pub descending: bool,
    /// What comes after this place.
    pub after: Option<Position>,
    /// How many of these are left out.
    pub skip: usize,
    /// Most of a page.
    pub limit: usize,
}

/// A page of markets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The markets.
    pub markets: Vec<MarketId>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<Position>,
}

impl Catalog {
    /// A market of `venue` has come to another stage.
    pub fn on_event(&mut self, venue: Venue, event: &MarketEvent) {
        let info = &event.info;
        if event.stage == MarketStage::Resolved {
            return self.remove(&info.market);
        }
        if event.stage == MarketStage::Ended {
            self.ended.push_back(info.market);
        }
        if let Some(known) = self.markets.get_mut(&info.market) {
            let number = known.number;
            let after = Listed { venue, info: info.clone(), stage: event.stage, number };
            let before = std::mem::replace(known, after);
            let list = self.list(venue);
            list.remove(&before);
            list.add(before.number, info);
            return;
        }
        if self.markets.len() >= GATEWAY_MARKETS_MAX {
            match self.ended.pop_front() {
                Some(oldest) => self.remove(&oldest),
                None => return,
            }
        }
        for outcome in &info.tokens {
            self.tokens.insert(outcome.token, info.market);
        }
        self.last_number += 1;
        let number = self.last_number;
        self.list(venue).add(number, info);
        let listed = Listed { venue, info: info.clone(), stage: event.stage, number };
        self.markets.insert(info.market, listed);
    }

    fn list(&mut self, venue: Venue) -> &mut List {
        let place = self.lists.iter().position(|(known, _)| *known == venue);
        let place = place.unwrap_or_else(|| {
            self.lists.push((venue, List::default()));
            self.lists.len() - 1
        });
        &mut self.lists[place].1
    }

    fn remove(&mut self, market: &MarketId) {
        let Some(listed) = self.markets.remove(market) else { return };
        for outcome in &listed.info.tokens {
            self.tokens.remove(&outcome.token);
        }
        self.ended.retain(|ended| ended != market);
        self.list(listed.venue).remove(&listed);
    }

    /// A market by its id.
    pub fn market(&self, market: &MarketId) -> Option<&MarketInfo> {
        Some(&self.markets.get(market)?.info)
    }

    /// The same with its stage.
    pub fn listed(&self, market: &MarketId) -> Option<&Listed> {
        self.markets.get(market)
    }

    /// The same of a market of this venue.
    pub fn listed_at(&self, venue: Venue, market: &MarketId) -> Option<&Listed> {
        self.listed(market).filter(|listed| listed.venue == venue)
    }

    /// The market of a token.
    pub fn market_of(&self, token: &TokenId) -> Option<&MarketInfo> {
        self.market(self.tokens.get(token)?)
    }

    /// Name of a token's outcome.
    pub fn outcome(&self, token: &TokenId) -> Option<&str> {
        let info = self.market_of(token)?;
        let outcome = info.tokens.iter().find(|outcome| outcome.token == *token)?;
        Some(&outcome.name)
    }

    /// A page of a venue's markets. O(markets) where few are wanted, and in any order but that of their numbers.
    #[must_use]
    pub fn page(
        &self,
        venue: Venue,
        request: &PageRequest,
        wanted: impl Fn(&Listed) -> bool,
    ) -> Page {
        let Some((_, list)) = self.lists.iter().find(|(known, _)| *known == venue) else {
            return Page::default();
        };
        let PageRequest { order, descending, after, skip, limit } = *request;
        let taken = skip.saturating_add(limit).saturating_add(1);
        let position = |listed: &Listed| Position {
            key: key(order, descending, &listed.info),
            number: if descending { u64::MAX - listed.number } else { listed.number },
        };
        let is_after = |place: &Position| after.is_none_or(|after| *place > after);
        let mut found: Vec<(Position, MarketId)> = if order == Order::Number && !descending {
            let begin = after.map_or(0, |after| after.number + 1);
            let rest = list.markets.range(begin..).filter_map(|(_, id)| self.markets.get(id));
            let rest = rest.filter(|listed| wanted(listed)).take(taken);
            rest.map(|listed| (position(listed), listed.info.market)).collect()
        } else {
            let all = list.markets.values().filter_map(|id| self.markets.get(id));
            let all = all.filter(|listed| wanted(listed));
            let all = all.map(|listed| (position(listed), listed.info.market));
            let mut all: Vec<_> = all.filter(|(place, _)| is_after(place)).collect();
            if all.len() > taken {
                all.select_nth_unstable_by_key(taken, |(place, _)| *place);
                all.truncate(taken);
            }
            all.sort_unstable_by_key(|(place, _)| *place);
            all
        };
        found.drain(..skip.min(found.len()));
        let has_more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| has_more).map(|(place, _)| *place);
        Page { markets: found.into_iter().map(|(_, market)| market).collect(), next }
    }

    /// The venues that have a market.
    pub fn venues(&self) -> impl Iterator<Item = Venue> {
        self.lists.iter().map(|(venue, _)| *venue)
    }

    /// A venue's markets after this number, in its order.
    pub fn markets_after(&self, venue: Venue, after: u64) -> impl Iterator<Item = &Listed> {
        let list = self.lists.iter().find(|(known, _)| *known == venue);
        let markets = list.into_iter().flat_map(move |(_, list)| list.markets.range(after + 1..));
        markets.filter_map(|(_, market)| self.markets.get(market))
    }

    /// A venue's events after this number, with theirs.
    pub fn events(&self, venue: Venue, after: u64) -> impl Iterator<Item = (u64, &ListedEvent)> {
        let list = self.lists.iter().find(|(known, _)| *known == venue);
        let events = list.into_iter().flat_map(move |(_, list)| list.events.range(after + 1..));
        events.map(|(&number, event)| (number, event))
    }

    /// An event by the venue's id.
    pub fn event(&self, venue: Venue, id: &str) -> Option<&ListedEvent> {
        let (_, list) = self.lists.iter().find(|(known, _)| *known == venue)?;
        list.events.get(list.event_numbers.get(id)?)
    }
}

/// The place of a market in an order, but for its number.
fn key(order: Order, descending: bool, info: &MarketInfo) -> u64 {
    let key = match order {
        Order::Number => 0,
        Order::Start => info.start_wall_ns.unwrap_or(0),
        Order::End => info.end_wall_ns.unwrap_or(u64::MAX),
    };
    if descending { u64::MAX - key } else { key }
}

impl List {
    fn add(&mut self, number: u64, info: &MarketInfo) {
        self.markets.insert(number, info.market);
        let listing = info.listing.as_ref().and_then(|listing| listing.event.as_ref());
        let Some(listing) = listing else { return };
        let number = *self.event_numbers.entry(listing.id.clone()).or_insert(number);
        let event = self
            .events
            .entry(number)
            .or_insert_with(|| ListedEvent { listing: Arc::clone(listing), markets: Vec::new() });
        event.markets.push(info.market);
    }

    fn remove(&mut self, listed: &Listed) {
        self.markets.remove(&listed.number);
        let listing = listed.info.listing.as_ref().and_then(|listing| listing.event.as_ref());
        let Some(&number) = listing.and_then(|event| self.event_numbers.get(&event.id)) else {
            return;
        };
        let Some(event) = self.events.get_mut(&number) else { return };
        event.markets.retain(|market| *market != listed.info.market);
        if event.markets.is_empty() {
            let id = self.events.remove(&number).map(|event| event.listing.id.clone());
            self.event_numbers.remove(&id.unwrap_or_default());
        }
    }
}
