//! Markets of the simulated Kalshi and their activity over time.
//!
//! Runs on:  the venue's thread (pure; time is an argument).
use super::config::KalshiConfig;
use super::market::{Change, Deal, Market, Phase};
use super::messages;
use crate::base::random::Random;
use std::collections::{HashMap, VecDeque};

/// Most actions per turn; the rest waits for the next turn.
const ACTIONS_PER_TURN: f64 = 2_000.0;
/// Delay from the announcement of a market to its opening.
const OPENS_AFTER_MS: u64 = 5_000;

/// An event for clients. Markets are given by index.
#[derive(Clone, Debug)]
pub(super) enum MarketEvent {
    Delta(u32, Change),
    Trade(u32, Deal, String),
    Ticker(u32),
    /// Unsolicited, as at a market's close.
    Snapshot(u32),
    Life(u32, &'static str, String),
}

/// All markets.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) config: KalshiConfig,
    pub(super) markets: Vec<Market>,
    by_ticker: HashMap<String, u32>,
    by_id: HashMap<String, u32>,
    active: Vec<u32>,
    scheduled: VecDeque<(u64, u32)>,
    random: Random,
    due: [f64; 3],
    deaths: u64,
    pub(super) trade_ids: Vec<String>,
    pub(super) changes: u64,
}

impl Exchange {
    pub(super) fn new(config: &KalshiConfig, now_ms: u64) -> Self {
        let mut exchange = Self {
            config: config.clone(),
            markets: Vec::new(),
            by_ticker: HashMap::new(),
            by_id: HashMap::new(),
            active: Vec::new(),
            scheduled: VecDeque::new(),
            random: Random::new(config.seed),
            due: [0.0; 3],
            deaths: 0,
            trade_ids: Vec::new(),
            changes: 0,
        };
        for _ in 0..config.markets {
            exchange.add(now_ms);
        }
        exchange
    }

    fn add(&mut self, now_ms: u64) -> u32 {
        let number = self.markets.len() as u32;
        let market = Market::new(number, &self.config, now_ms, &mut self.random);
        self.by_ticker.insert(market.ticker.clone(), number);
        self.by_id.insert(market.id.clone(), number);
        self.markets.push(market);
        self.active.push(number);
        number
    }

    pub(super) fn find(&self, ticker: &str) -> Option<u32> {
        self.by_ticker.get(ticker).copied()
    }

    pub(super) fn find_id(&self, id: &str) -> Option<u32> {
        self.by_id.get(id).copied()
    }

    pub(super) fn open(&self) -> usize {
        self.active.len()
    }

    /// Advances by `elapsed_ms` to `now_ms`, milliseconds since the Unix epoch.
    pub(super) fn play(&mut self, now_ms: u64, elapsed_ms: u64, events: &mut Vec<MarketEvent>) {
        let seconds = elapsed_ms as f64 / 1000.0;
        let KalshiConfig { rate, births_per_minute, deaths_per_minute, .. } = self.config;
        for (due, rate) in
            self.due.iter_mut().zip([rate, births_per_minute / 60.0, deaths_per_minute / 60.0])
        {
            *due = (*due + rate * seconds).min(ACTIONS_PER_TURN);
        }
        while self.scheduled.front().is_some_and(|&(at, _)| at <= now_ms) {
            if let Some((_, place)) = self.scheduled.pop_front() {
                self.on_time(place, now_ms, events);
            }
        }
        while self.due[1] >= 1.0 {
            self.due[1] -= 1.0;
            self.add_new_market(now_ms, events);
        }
        while self.due[2] >= 1.0 {
            self.due[2] -= 1.0;
            self.end(now_ms, events);
        }
    }

    /// Executes the next due order or trade; false if none is due.
    pub(super) fn act(&mut self, now_ms: u64, events: &mut Vec<MarketEvent>) -> bool {
        if self.due[0] < 1.0 || self.active.is_empty() {
            return false;
        }
        self.due[0] -= 1.0;
        let place = self.active[self.random.below(self.active.len() as u64) as usize];
        let market = &mut self.markets[place as usize];
        let before = (market.best(), market.volume);
        if self.random.below(10_000) < self.config.trades_per_10_000 {
            if let Some((deal, change)) = market.deal(now_ms, &mut self.random) {
                let id = messages::uuid(self.trade_ids.len() as u64 + 1_000_000);
                self.trade_ids.push(id.clone());
                events.extend([
                    MarketEvent::Trade(place, deal, id),
                    MarketEvent::Delta(place, change),
                ]);
            }
        } else if let Some(change) = market.change(now_ms, &mut self.random) {
            events.push(MarketEvent::Delta(place, change));
        }
        let market = &self.markets[place as usize];
        if (market.best(), market.volume) != before {
            events.push(MarketEvent::Ticker(place));
        }
        self.changes += 1;
        true
    }

    /// Adds a market; every third is only announced and opens later without a message.
    fn add_new_market(&mut self, now_ms: u64, events: &mut Vec<MarketEvent>) {
        let place = self.add(now_ms);
        let market = &mut self.markets[place as usize];
        let later = place.is_multiple_of(3);
        if later {
            market.open_ms = now_ms + OPENS_AFTER_MS;
            market.phase = Phase::Initialized;
            self.active.retain(|&other| other != place);
            self.schedule(now_ms + OPENS_AFTER_MS, place);
        }
        let market = &self.markets[place as usize];
        events.push(MarketEvent::Life(place, "created", messages::created(market)));
        if !later {
            events.push(MarketEvent::Life(place, "activated", String::new()));
        }
    }

    /// Ends a market: determined and settled, or, every second time, closed by its close time only.
    fn end(&mut self, now_ms: u64, events: &mut Vec<MarketEvent>) {
        if self.active.len() < 2 {
            return;
        }
        let at = self.random.below(self.active.len() as u64) as usize;
        let place = self.active[at];
        self.deaths += 1;
        if self.deaths.is_multiple_of(2) {
            let market = &mut self.markets[place as usize];
            if market.close_ms > now_ms + OPENS_AFTER_MS {
                market.close_ms = now_ms + OPENS_AFTER_MS;
                market.updated_ms = now_ms;
                let more = format!(r#","close_ts":{}"#, market.close_ms.div_ceil(1000));
                events.push(MarketEvent::Life(place, "close_date_updated", more));
                self.schedule(now_ms + OPENS_AFTER_MS, place);
            }
            return;
        }
        self.active.swap_remove(at);
        self.clear(place, now_ms, events);
        let market = &mut self.markets[place as usize];
        market.phase = Phase::Finalized;
        market.result_yes = self.random.below(2) == 0;
        market.settled_ms = Some(now_ms);
        market.updated_ms = now_ms;
        let more = format!(
            r#","result":"{}","determination_ts":{},"settlement_value":"{}""#,
            market.result(),
            now_ms / 1000,
            messages::dollars(market.settlement())
        );
        events.push(MarketEvent::Life(place, "determined", more));
        let more = format!(r#","settled_ts":{}"#, now_ms / 1000);
        events.push(MarketEvent::Life(place, "settled", more));
    }

    fn schedule(&mut self, at_ms: u64, place: u32) {
        // Everything is scheduled with the same delay, so the queue is sorted by time.
        self.scheduled.push_back((at_ms, place));
    }

    /// A market opens or closes by time without a message (kalshi/protocol.md, 3.4).
    fn on_time(&mut self, place: u32, now_ms: u64, events: &mut Vec<MarketEvent>) {
        let market = &mut self.markets[place as usize];
        market.updated_ms = now_ms;
        match market.phase {
            Phase::Initialized => {
                market.phase = Phase::Active;
                self.active.push(place);
            }
            Phase::Active => {
                market.phase = Phase::Closed;
                self.active.retain(|&other| other != place);
                self.clear(place, now_ms, events);
            }
            Phase::Closed | Phase::Finalized => {}
        }
    }

    /// At the close of a market every level is removed at one time, followed by a snapshot without sides
    /// (kalshi/protocol.md, 5).
    fn clear(&mut self, place: u32, now_ms: u64, events: &mut Vec<MarketEvent>) {
        let changes = self.markets[place as usize].clear(now_ms);
        events.extend(changes.into_iter().map(|change| MarketEvent::Delta(place, change)));
        events.push(MarketEvent::Snapshot(place));
    }
}
