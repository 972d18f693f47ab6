//! The engine's parts, put together as the engine itself does for a fixed table of connections.
//!
//! Runs on:  the simulation's thread.
use super::venue::Trade;
use super::world::FEED;
use crate::frame::{AUDIT_NS, Frame, SHARDS, ShardRig, VirtualClock, controller_parts};
use crate::wire::Switchboard;
use crate::world::IMAGE_ROUND_NS;
use ringbook::base::limits;
use ringbook::base::policy::ConnectionTable;
use ringbook::base::random::Random;
use ringbook::base::time::{Clock as _, MILLISECOND_NS};
use ringbook::control::controller::Controller;
use ringbook::control::dial::Target;
use ringbook::control::lifecycle::LifecycleOptions;
use ringbook::io::driver::Doorbell;
use ringbook::link::shard_shard::Peers;
use ringbook::link::shard_trade::{TradeRecord, TradeSender};
use ringbook::market::book::Side;
use ringbook::market::event;
use ringbook::ring::{Consumer, ring};
use ringbook::shard::ShardConfig;
use ringbook::shard::publish::{BookView, Change, Handler};
use ringbook::venue::{Headers, Signer};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

pub(crate) const TABLE: ConnectionTable =
    ConnectionTable { tickers: 2, trades: 2, lifecycle: 2, books: 6 };
/// Signs with a text that the venue can read.
#[derive(Debug)]
struct Pen;

impl Signer for Pen {
    fn headers(&self, method: &str, path: &str, wall_ns: u64) -> Result<Headers, String> {
        let ms = wall_ns / MILLISECOND_NS;
        Ok(vec![
            ("kalshi-access-key", "key".into()),
            ("kalshi-access-timestamp", ms.to_string()),
            ("kalshi-access-signature", format!("signed {ms}{method}{path}")),
        ])
    }
}

/// Trades that the user's own code received, and the first that it received again.
#[derive(Debug, Default)]
struct Handed {
    trades: BTreeSet<String>,
    again: Option<String>,
}

/// Counts what the user's own code receives.
#[derive(Debug)]
pub(crate) struct Listener {
    updates: Rc<Cell<u64>>,
    trades: Rc<RefCell<Handed>>,
}

impl Handler for Listener {
    fn on_snapshot(&mut self, _: &BookView<'_>) {
        self.updates.set(self.updates.get() + 1);
    }
    fn on_price_change(&mut self, _: &BookView<'_>, _: &Change) {
        self.updates.set(self.updates.get() + 1);
    }
    fn on_trade(&mut self, _: &BookView<'_>, trade: &event::Trade<'_>) {
        let mut handed = self.trades.borrow_mut();
        if !handed.trades.insert(trade.transaction_hash.to_owned()) {
            handed.again.get_or_insert_with(|| trade.transaction_hash.to_owned());
        }
    }
}

/// What the engine has reported, and what it may report.
pub(crate) struct Outputs {
    /// Trades of each shard.
    trades: Vec<Consumer<TradeRecord>>,
    /// How often each trade was reported, to be stored.
    pub(crate) reported: BTreeMap<u64, u64>,
    pub(crate) updates: Rc<Cell<u64>>,
    handed: Rc<RefCell<Handed>>,
    pub(crate) tokens_per_connection: usize,
}

fn target(board: Switchboard) -> Target {
    Target {
        url: "ws://venue/trade-api/ws/v2".into(),
        host: "venue".into(),
        tls: None,
        connector: Arc::new(board),
        heartbeat: FEED.capabilities().heartbeat,
        signer: Some(Arc::new(Pen)),
    }
}

/// Links every shard with every other.
fn peers(bells: &[Doorbell]) -> Vec<Peers> {
    let mut all: Vec<Peers> = bells.iter().map(|_| Peers::default()).collect();
    for from in 0..bells.len() {
        for (to, bell) in bells.iter().enumerate() {
            if from == to {
                all[from].out.push(None);
                continue;
            }
            let (producer, incoming) = ring(limits::SHARD_SHARD_DEPTH);
            all[from].out.push(Some((producer, bell.clone())));
            all[to].incoming.push(incoming);
        }
    }
    all
}

pub(crate) fn build(
    board: Switchboard,
    clock: VirtualClock,
    markets_max: usize,
    seed: u64,
    mut random: Random,
    possible: String,
) -> (Frame<Listener, String>, Outputs) {
    let (updates, handed) = (Rc::default(), Rc::default());
    let (mut proxies, mut alone, mut trades) = (Vec::new(), Vec::new(), Vec::new());
    for place in 0..SHARDS {
        let listener = Listener { updates: Rc::clone(&updates), trades: Rc::clone(&handed) };
        let config = ShardConfig {
            audit_round_ns: AUDIT_NS,
            poll_round_ns: AUDIT_NS,
            image_round_ns: IMAGE_ROUND_NS,
            ..ShardConfig::default()
        };
        let (proxy, rig) = ShardRig::new(place, FEED, config, &clock, listener, &mut random);
        let (sender, records) = ring(4096);
        proxies.push(proxy);
        trades.push(records);
        let trades = TradeSender::new(FEED.venue(), sender);
        alone.push(rig.with(|shard| shard.with_trade_sender(trades)));
    }
    let bells: Vec<Doorbell> = alone.iter().map(|rig| rig.shard.doorbell()).collect();
    let linked = alone.into_iter().zip(peers(&bells));
    let linked =
        linked.map(|(rig, peers)| rig.with(|shard| shard.with_peers(peers, SHARDS as u16, 0)));
    // Those that are over count too, until they are removed an hour later; all fit one shard.
    let tokens_per_connection = match random.chance(1, 3) {
        true => markets_max / 3 + 2,
        false => limits::TOKENS_PER_CONNECTION_MAX,
    };
    let options = LifecycleOptions {
        scanning: true,
        opens_by_clock: FEED.capabilities().opens_by_clock,
        trust_catalog_after_end: true,
        ..LifecycleOptions::default()
    };
    let mut parts = controller_parts(FEED, proxies, target(board), options, seed);
    (parts.tokens_per_connection, parts.table) = (tokens_per_connection, Some(TABLE));
    let control = Controller::new(parts, clock.now());
    let label = (possible, "numbered_long");
    let frame = Frame::new((seed, random), clock, control, linked.collect(), label);
    let reported = BTreeMap::new();
    (frame, Outputs { trades, reported, updates, handed, tokens_per_connection })
}

impl Outputs {
    /// Takes the trades that were reported since, and compares them with those of the venue.
    pub(crate) fn take_trades(&mut self, trades: &[Trade]) -> Result<(), String> {
        for records in &mut self.trades {
            while let Some(record) = records.try_receive() {
                let id = record.id.as_ref().map_or("", |id| id.as_str()).to_owned();
                let number = id.rsplit('-').next().and_then(|text| text.parse::<u64>().ok());
                let Some(number) = number else { return Err(format!("no trade: {record:?}")) };
                let trade = &trades[number as usize];
                let same = record.market.as_str() == trade.ticker
                    && thousandths(&record.price.to_string()) == u64::from(trade.price)
                    && hundredths(&record.quantity.to_string()) == trade.size
                    && (record.side == Side::Bid) == trade.yes;
                if !same {
                    return Err(format!("{trade:?} was reported as {record:?}"));
                }
                let times = self.reported.entry(number).or_default();
                *times += 1;
                if *times > 1 {
                    return Err(format!("{trade:?} was reported again"));
                }
            }
        }
        match &self.handed.borrow().again {
            Some(id) => Err(format!("a handler received the trade {id} again")),
            None => Ok(()),
        }
    }
}

/// A decimal of the engine's in units of so many digits behind the point.
fn units(text: &str, digits: usize) -> u64 {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    assert!(rest.len() <= digits, "{text} is finer than the venue reports");
    format!("{whole}{rest:0<digits$}").parse().unwrap()
}

pub(crate) fn thousandths(text: &str) -> u64 {
    units(text, 3)
}

pub(crate) fn hundredths(text: &str) -> u64 {
    units(text, 2)
}
