//! The engine's parts, put together as the engine itself does for a fixed table of connections.
//!
//! Runs on:  the simulation's thread.
use super::venue::Trade;
use super::world::FEED;
use crate::wire::Switchboard;
use ringbook::base::id::{ShardId, TokenId};
use ringbook::base::limits;
use ringbook::base::policy::ConnectionTable;
use ringbook::base::random::Random;
use ringbook::base::time::{Clock, MILLISECOND_NS, Now, SECOND_NS};
use ringbook::control::controller::{Controller, ControllerParts};
use ringbook::control::dial::Target;
use ringbook::control::discovery::Discovery;
use ringbook::control::lifecycle::{Lifecycle, LifecycleOptions};
use ringbook::control::shard_proxy::ShardProxy;
use ringbook::control::supervisor::{Supervisor, SupervisorLinks};
use ringbook::io::driver::Doorbell;
use ringbook::link::main_control::{Command, ControlEvent};
use ringbook::link::serve_shard::{BookAnswer, BookQuery};
use ringbook::link::shard_shard::Peers;
use ringbook::link::shard_trade::{TradeRecord, TradeSender};
use ringbook::market::book::{Side, image::BookImage};
use ringbook::market::event;
use ringbook::ring::{Consumer, Producer, ring};
use ringbook::shard::publish::{BookView, Change, Handler};
use ringbook::shard::{Shard, ShardConfig, ShardLinks};
use ringbook::venue::{Headers, Signer};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

pub(crate) const TABLE: ConnectionTable =
    ConnectionTable { tickers: 2, trades: 2, lifecycle: 2, books: 6 };
const SHARDS: usize = 2;
/// Every live book is compared with a snapshot on its connection, and with REST, once in so long.
const AUDIT_NS: u64 = 20 * SECOND_NS;

#[derive(Clone, Debug)]
pub(crate) struct VirtualClock(Rc<Cell<Now>>);

impl Clock for VirtualClock {
    fn mono_ns(&self) -> u64 {
        self.0.get().mono_ns
    }
    fn now(&self) -> Now {
        self.0.get()
    }
}

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

/// Trades that the user's own code was told, and the first that it was told again.
#[derive(Debug, Default)]
struct Handed {
    trades: BTreeSet<String>,
    again: Option<String>,
}

/// Counts what the user's own code is told.
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

pub(crate) struct ShardRig {
    pub(crate) shard: Shard<Listener, VirtualClock>,
    queries: Producer<BookQuery>,
    answers: Consumer<BookAnswer>,
    trades: Consumer<TradeRecord>,
    pub(crate) paused_until_ns: u64,
}

/// How often a trade was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Telling {
    /// To be kept.
    pub(crate) kept: u64,
}

pub(crate) struct Rig {
    pub(crate) control: Supervisor,
    pub(crate) shards: Vec<ShardRig>,
    _commands: Producer<Command>,
    pub(crate) news: Consumer<ControlEvent>,
    pub(crate) told: BTreeMap<u64, Telling>,
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

/// One shard without peers, and the control core's end of it.
fn shard(
    place: usize,
    clock: &Rc<Cell<Now>>,
    listener: Listener,
    random: &mut Random,
) -> (ShardProxy, ShardRig) {
    let small = random.chance(1, 3);
    let (order_sender, orders) = ring(if small { 8 } else { 1024 });
    let (reports, report_receiver) = ring(if small { 8 } else { 1024 });
    let (queries, query_receiver) = ring(64);
    let (answer_sender, answers) = ring(64);
    let (sender, trades) = ring(4096);
    let gauge = reports.gauge();
    let links = ShardLinks {
        orders,
        reports,
        queries: query_receiver,
        answers: answer_sender,
        peers: Peers::default(),
    };
    let id = ShardId(place as u16);
    let config =
        ShardConfig { audit_round_ns: AUDIT_NS, poll_round_ns: AUDIT_NS, ..ShardConfig::default() };
    let clock = VirtualClock(Rc::clone(clock));
    let shard = Shard::new(id, FEED, config, listener, clock, links).unwrap();
    let shard = shard.with_trade_sender(TradeSender::new(FEED.venue(), sender));
    let bell = shard.doorbell();
    let proxy = ShardProxy::new(id, None, order_sender, report_receiver, gauge, bell);
    (proxy, ShardRig { shard, queries, answers, trades, paused_until_ns: 0 })
}

pub(crate) fn build(
    board: Switchboard,
    clock: &Rc<Cell<Now>>,
    markets_max: usize,
    seed: u64,
    random: &mut Random,
) -> Rig {
    let (updates, handed) = (Rc::default(), Rc::default());
    let (mut proxies, mut alone) = (Vec::new(), Vec::new());
    for place in 0..SHARDS {
        let listener = Listener { updates: Rc::clone(&updates), trades: Rc::clone(&handed) };
        let (proxy, rig) = shard(place, clock, listener, random);
        proxies.push(proxy);
        alone.push(rig);
    }
    let bells: Vec<Doorbell> = alone.iter().map(|rig| rig.shard.doorbell()).collect();
    let beside = alone.into_iter().zip(peers(&bells)).map(|(rig, peers)| {
        let ShardRig { shard, queries, answers, trades, .. } = rig;
        let shard = shard.with_peers(peers, SHARDS as u16, 0);
        ShardRig { shard, queries, answers, trades, paused_until_ns: 0 }
    });
    let (commands, command_receiver) = ring(64);
    let (event_sender, news) = ring(64);
    // Those that are over count too, until they are removed an hour later; all fit one shard.
    let tokens_per_connection = match random.chance(1, 3) {
        true => markets_max / 3 + 2,
        false => limits::TOKENS_PER_CONNECTION_MAX,
    };
    let options = LifecycleOptions {
        scanning: true,
        opens_by_clock: FEED.capabilities().opens_by_clock,
        trust_catalog_after_end: true,
        markets_max: None,
    };
    let parts = ControllerParts {
        shards: proxies,
        target: target(board),
        discovery: Discovery::new(FEED, true, seed),
        lifecycle: Lifecycle::new(options),
        tokens_per_connection,
        feed: FEED,
        table: Some(TABLE),
        sink: None,
        capture: None,
        links: Vec::new(),
        seed,
    };
    let links = SupervisorLinks {
        commands: command_receiver,
        news: event_sender,
        queries: ring(1).1,
        answers: ring(1).0,
        gauges: Vec::new(),
    };
    let now = clock.get();
    Rig {
        control: Supervisor::new(vec![Controller::new(parts, now)], links, now),
        shards: beside.collect(),
        _commands: commands,
        news,
        told: BTreeMap::new(),
        updates,
        handed,
        tokens_per_connection,
    }
}

impl Rig {
    /// Takes the trades that were told since, and compares them with those of the venue.
    pub(crate) fn take_trades(&mut self, trades: &[Trade]) -> Result<(), String> {
        for rig in &mut self.shards {
            while let Some(record) = rig.trades.try_receive() {
                let id = record.id.as_ref().map_or("", |id| id.as_str()).to_owned();
                let number = id.rsplit('-').next().and_then(|text| text.parse::<u64>().ok());
                let Some(number) = number else { return Err(format!("no trade: {record:?}")) };
                let trade = &trades[number as usize];
                let same = record.market.as_str() == trade.ticker
                    && thousandths(&record.price.to_string()) == u64::from(trade.price)
                    && hundredths(&record.quantity.to_string()) == trade.size
                    && (record.side == Side::Bid) == trade.yes;
                if !same {
                    return Err(format!("{trade:?} was told as {record:?}"));
                }
                let telling = self.told.entry(number).or_default();
                telling.kept += 1;
                if telling.kept > 1 {
                    return Err(format!("{trade:?} was told again"));
                }
            }
        }
        match &self.handed.borrow().again {
            Some(id) => Err(format!("a handler was told the trade {id} again")),
            None => Ok(()),
        }
    }

    /// The image of a book, by the link that the serve core uses; `None` too where its shard does not run.
    pub(crate) fn image(&mut self, ticker: &str, now_ns: u64) -> Result<Option<BookImage>, String> {
        let token = TokenId::new(ticker).unwrap();
        let mut found = None;
        for rig in self.shards.iter_mut().filter(|rig| now_ns >= rig.paused_until_ns) {
            let query = BookQuery { ticket: 1, token, image: Box::default() };
            assert!(rig.queries.try_send(query).is_ok());
            rig.shard.step(0);
            let answer = rig.answers.try_receive().expect("a shard answers in its step");
            if answer.found && found.replace(*answer.image).is_some() {
                return Err(format!("{token} has books on two shards"));
            }
        }
        Ok(found)
    }
}

/// A decimal of the engine's in units of so many digits behind the point.
fn units(text: &str, digits: usize) -> u64 {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    assert!(rest.len() <= digits, "{text} is finer than the venue tells");
    format!("{whole}{rest:0<digits$}").parse().unwrap()
}

pub(crate) fn thousandths(text: &str) -> u64 {
    units(text, 3)
}

pub(crate) fn hundredths(text: &str) -> u64 {
    units(text, 2)
}
