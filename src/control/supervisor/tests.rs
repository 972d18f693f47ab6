//! Two venues under one supervisor, in either order: each command goes to the venue that it concerns.
use super::*;
use crate::base::id::{MarketId, ShardId};
use crate::base::policy::ConnectionTable;
use crate::control::catalogue::Fetched;
use crate::control::dial::Target;
use crate::control::discovery::Discovery;
use crate::control::lifecycle::{Lifecycle, LifecycleOptions};
use crate::control::pump::ControlParts;
use crate::control::registry::Source;
use crate::control::shard_proxy::ShardProxy;
use crate::counter::latency::Stage;
use crate::io::driver::Readiness;
use crate::market::info::{MarketInfo, Outcome};
use crate::ring::ring;
use crate::venue::{Catalogue, Feed};

const POLYMARKET: Feed = Feed::Polymarket { custom_features: true };
const KALSHI: Feed = Feed::Kalshi { combos: false };
const NOW: Now = Now { mono_ns: 1, wall_ns: 1 };

fn control(feed: Feed, shard: u16) -> Control {
    let (orders, _) = ring(256);
    let (reports, receiver) = ring(64);
    let bell = Readiness::new().expect("an epoll set").doorbell();
    let gauge = reports.gauge();
    let is_table = feed == KALSHI;
    let parts = ControlParts {
        links: Vec::new(),
        shards: vec![ShardProxy::new(ShardId(shard), None, orders, receiver, gauge, bell)],
        target: Target {
            url: "ws://127.0.0.1:9/".into(),
            host: "127.0.0.1".into(),
            tls: None,
            connector: std::sync::Arc::new(crate::io::socket::Tcp),
            heartbeat: "",
            signer: None,
        },
        discovery: Discovery::new(false, 1).of(Catalogue::from(feed)),
        lifecycle: Lifecycle::new(LifecycleOptions::default()),
        tokens_per_connection: if is_table { 7_500 } else { 400 },
        feed,
        table: is_table.then(ConnectionTable::default),
        sink: None,
        capture: None,
        seed: 1,
    };
    Control::new(parts, NOW)
}

struct Rig {
    supervisor: Supervisor,
    commands: Producer<Command>,
    news: Consumer<ControlNews>,
    polymarket: usize,
    kalshi: usize,
}

impl Rig {
    fn new(feeds: [Feed; 2]) -> Self {
        let (commands, command_receiver) = ring(8);
        let (news_sender, news) = ring(8);
        let links = SupervisorLinks {
            commands: command_receiver,
            news: news_sender,
            queries: ring(1).1,
            answers: ring(1).0,
            gauges: Vec::new(),
        };
        let venues = feeds.iter().zip(0..).map(|(&feed, shard)| control(feed, shard)).collect();
        let place = |feed| feeds.iter().position(|f| *f == feed).unwrap();
        let (polymarket, kalshi) = (place(POLYMARKET), place(KALSHI));
        let supervisor = Supervisor::new(venues, links, NOW);
        Self { supervisor, commands, news, polymarket, kalshi }
    }

    /// One market of each, on a connection that is up.
    fn with_markets(mut self) -> Self {
        let info = |name: &str| MarketInfo {
            market: MarketId::new(name).unwrap(),
            tokens: vec![Outcome { token: TokenId::new(name).unwrap(), name: String::new() }],
            slug: name.into(),
            question: String::new(),
            start_wall_ns: None,
            end_wall_ns: None,
            tick_size: None,
            min_order_size: None,
            neg_risk: false,
        };
        for (place, name) in [(self.polymarket, "11"), (self.kalshi, "KX-1")] {
            self.supervisor.venue_mut(place).registry.register(info(name), 0, Source::Manual);
        }
        self.supervisor.step(NOW);
        for venue in &mut self.supervisor.venues {
            let all: Vec<_> = venue.placement.connections().map(|(id, ..)| id).collect();
            all.into_iter().for_each(|connection| venue.placement.on_active(connection, 1));
        }
        // The table fills once it is up.
        self.supervisor.step(NOW);
        self
    }

    fn recycle(&mut self, connection: ConnectionId) -> Result<(), String> {
        self.commands.try_send(Command::Recycle { ticket: 7, connection }).unwrap();
        self.supervisor.step(NOW);
        match self.news.try_receive() {
            Some(ControlNews::Recycling { ticket: 7, result }) => result,
            other => panic!("no answer but {other:?}"),
        }
    }

    /// Paths that the venues are asked for, by place.
    fn asked(&mut self) -> Vec<(usize, String)> {
        self.supervisor.step(NOW);
        let mut asked = Vec::new();
        while let Some((place, errand)) = self.supervisor.poll_errand() {
            if let Errand::Fetch(path) = errand {
                asked.push((place, path));
            }
        }
        asked
    }
}

const ORDERS: [[Feed; 2]; 2] = [[POLYMARKET, KALSHI], [KALSHI, POLYMARKET]];

#[test]
fn a_name_is_looked_up_at_every_venue_that_may_have_it() {
    for order in ORDERS {
        let condition = format!("0x{}", "ab".repeat(32));
        for (name, of) in
            [(condition.as_str(), "polymarket"), ("KX-1", "both"), ("it-rains", "polymarket")]
        {
            let mut rig = Rig::new(order);
            rig.commands.try_send(Command::AddMarket(name.into())).unwrap();
            let asked: Vec<usize> = rig.asked().into_iter().map(|(place, _)| place).collect();
            let mut wanted = if of == "both" { vec![0, 1] } else { vec![rig.polymarket] };
            wanted.sort_unstable();
            assert_eq!(asked, wanted, "{name}, {order:?}");
        }
        let mut rig = Rig::new(order);
        rig.supervisor.look_up(&Lookup::Token(TokenId::new("123").unwrap()));
        rig.supervisor.look_up(&Lookup::Token(TokenId::new("KX-2").unwrap()));
        let asked = rig.asked();
        let path_of = |place| &asked.iter().find(|(asked, _)| *asked == place).unwrap().1;
        assert!(asked.len() == 2 && path_of(rig.polymarket).contains("123"), "{asked:?}");
        assert!(path_of(rig.kalshi).contains("KX-2"), "{asked:?}");
    }
}

#[test]
fn a_connection_is_recycled_by_the_venue_that_has_it() {
    for order in ORDERS {
        let mut rig = Rig::new(order).with_markets();
        let of = |rig: &Rig, place: usize, token: &str| {
            let token = TokenId::new(token).unwrap();
            let record = rig.supervisor.venue(place).registry.market_of(&token).unwrap();
            record.connection.unwrap()
        };
        let grown = of(&rig, rig.polymarket, "11");
        assert_eq!(rig.recycle(grown), Ok(()), "{order:?}");
        let fixed = of(&rig, rig.kalshi, "KX-1");
        for _ in 0..2 {
            let why = rig.recycle(fixed).unwrap_err();
            assert!(why.contains("are not replaced"), "{why}");
        }
        let unknown = rig.recycle(ConnectionId(99_999_999)).unwrap_err();
        assert!(unknown.contains("no such connection"), "{unknown}");
    }
}

#[test]
fn no_two_connections_have_one_number() {
    for order in [[POLYMARKET, KALSHI], [KALSHI, POLYMARKET]] {
        let rig = Rig::new(order).with_markets();
        let report = rig.supervisor.report(NOW);
        let mut ids: Vec<u32> = report.pool.connections.iter().map(|c| c.id).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!((ids.len(), all), (151, 151));
        assert_eq!(ids[..150], (1..=150).collect::<Vec<u32>>()[..]);
    }
}

#[test]
fn a_venue_without_any_of_the_names_is_no_fault_of_the_engine() {
    for order in ORDERS {
        let mut rig = Rig::new(order);
        rig.supervisor.look_up(&Lookup::Slug("KX-1".into()));
        assert_eq!(rig.asked().len(), 2);
        let idle = |rig: &Rig| {
            let health = rig.supervisor.report(NOW).health;
            let mut lines = health.reasons.into_iter().chain(health.notices);
            lines.find(|line| line.contains("no market is followed"))
        };
        let empty = |body: &[u8]| Fetched::Response {
            status: 200,
            retry_after_s: None,
            body: body.to_vec(),
        };
        rig.supervisor.venue_mut(rig.polymarket).on_fetched(empty(b"[]"), NOW);
        assert!(idle(&rig).is_some(), "nobody has answered but one that has none");
        let kalshi = rig.supervisor.venue_mut(rig.kalshi);
        let info = MarketInfo {
            market: MarketId::new("KX-1").unwrap(),
            tokens: vec![Outcome { token: TokenId::new("KX-1").unwrap(), name: String::new() }],
            slug: "KX-1".into(),
            question: String::new(),
            start_wall_ns: None,
            end_wall_ns: None,
            tick_size: None,
            min_order_size: None,
            neg_risk: false,
        };
        kalshi.registry.register(info, 0, Source::Manual);
        assert_eq!(idle(&rig), None, "{order:?}");
    }
}

#[test]
fn what_all_venues_recorded_is_one_histogram() {
    let mut rig = Rig::new(ORDERS[0]);
    for venue in &mut rig.supervisor.venues {
        venue.latencies.record(Stage::ReadToApplied, 1_000);
    }
    let latencies = rig.supervisor.report(NOW).latencies;
    let stage = latencies.iter().find(|l| l.stage == Stage::ReadToApplied.name()).unwrap();
    assert_eq!(stage.count, 2);
}

#[test]
fn a_table_registers_as_many_markets_as_its_connections_carry() {
    let rig = Rig::new(ORDERS[0]).with_markets();
    let kalshi = rig.supervisor.venue(rig.kalshi);
    assert_eq!(kalshi.placement.capacity_tokens(), 144 * 7_500);
    assert!(kalshi.registry.markets_max() >= 144 * 7_500);
    let sum = rig.supervisor.report(NOW).pool.capacity_tokens;
    assert_eq!(sum, 144 * 7_500 + 400);
}
