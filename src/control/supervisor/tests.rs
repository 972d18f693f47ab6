//! Two venues under one supervisor, in either order: each command goes to the venue that it concerns.
use super::*;
use crate::base::id::MarketId;
use crate::control::io_request::Fetched;
use crate::control::registry::Source;
use crate::control::tests::fixture::{KALSHI, POLYMARKET, info_named, parts, shard, token};
use crate::counter::latency::Stage;
use crate::ring::ring;
use crate::venue::Feed;

const NOW: Now = Now { mono_ns: 1, wall_ns: 1 };

fn control(feed: Feed, shards: impl IntoIterator<Item = u16>) -> Controller {
    let shards = shards.into_iter().map(|id| shard(id).0).collect();
    Controller::new(parts(feed, shards), NOW)
}

struct Rig {
    supervisor: Supervisor,
    commands: Producer<Command>,
    events: Consumer<ControlEvent>,
    polymarket: usize,
    kalshi: usize,
}

impl Rig {
    fn new(feeds: [Feed; 2]) -> Self {
        let (commands, command_receiver) = ring(8);
        let (event_sender, events) = ring(8);
        let links = SupervisorLinks {
            commands: command_receiver,
            events: event_sender,
            queries: ring(1).1,
            answers: ring(1).0,
            gauges: Vec::new(),
        };
        let venues = feeds.iter().zip(0..).map(|(&feed, shard)| control(feed, [shard])).collect();
        let place = |feed| feeds.iter().position(|f| *f == feed).unwrap();
        let (polymarket, kalshi) = (place(POLYMARKET), place(KALSHI));
        let supervisor = Supervisor::new(venues, links, NOW);
        Self { supervisor, commands, events, polymarket, kalshi }
    }

    /// One market of each, on a connection that is up.
    fn with_markets(mut self) -> Self {
        for (place, name) in [(self.polymarket, "11"), (self.kalshi, "KX-1")] {
            self.supervisor.venue_mut(place).markets.registry.register(
                info_named(name),
                0,
                Source::Manual,
            );
        }
        self.supervisor.step(NOW);
        for venue in &mut self.supervisor.venues {
            let all: Vec<_> = venue.placement().connections().map(|open| open.id).collect();
            all.into_iter()
                .for_each(|connection| venue.connections.placement.on_active(connection, 1));
        }
        // The table fills once it is up.
        self.supervisor.step(NOW);
        self
    }

    fn recycle(&mut self, connection: ConnectionId) -> Result<(), String> {
        self.commands.try_send(Command::Recycle { ticket: 7, connection }).unwrap();
        self.supervisor.step(NOW);
        match self.events.try_receive() {
            Some(ControlEvent::Recycling { ticket: 7, result }) => result,
            other => panic!("no answer but {other:?}"),
        }
    }

    /// Paths that the venues are asked for, by place.
    fn asked(&mut self) -> Vec<(usize, String)> {
        self.supervisor.step(NOW);
        let mut asked = Vec::new();
        while let Some((place, io_request)) = self.supervisor.poll_io_request() {
            if let IoRequest::Fetch(path) = io_request {
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
        rig.supervisor.look_up(&Lookup::Token(token("123")));
        rig.supervisor.look_up(&Lookup::Token(token("KX-2")));
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
        let of = |rig: &Rig, place: usize, name: &str| {
            let record = rig.supervisor.venue(place).registry().market_of(&token(name)).unwrap();
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
        kalshi.markets.registry.register(info_named("KX-1"), 0, Source::Manual);
        assert_eq!(idle(&rig), None, "{order:?}");
    }
}

#[test]
fn what_all_venues_recorded_is_one_histogram() {
    let mut rig = Rig::new(ORDERS[0]);
    for venue in &mut rig.supervisor.venues {
        venue.reporting.latencies.record(Stage::ReadToApplied, 1_000);
    }
    let latencies = rig.supervisor.report(NOW).latencies;
    let stage = latencies.iter().find(|l| l.stage == Stage::ReadToApplied.name()).unwrap();
    assert_eq!(stage.count, 2);
}

#[test]
fn a_table_registers_as_many_markets_as_its_connections_carry() {
    let rig = Rig::new(ORDERS[0]).with_markets();
    let kalshi = rig.supervisor.venue(rig.kalshi);
    assert_eq!(kalshi.placement().capacity_tokens(), 144 * 7_500);
    assert!(kalshi.registry().markets_max() >= 144 * 7_500);
    let sum = rig.supervisor.report(NOW).pool.capacity_tokens;
    assert_eq!(sum, 144 * 7_500 + 400);
}

#[test]
fn tokens_of_every_venue_and_shard_are_forced_and_those_that_cannot_be_are_named() {
    for order in ORDERS {
        let mut rig = Rig::new(order);
        let two = control(POLYMARKET, [0, 1]);
        rig.supervisor.venues[rig.polymarket] = two;
        // The first poll of a placement opens connections; these markets come later and wait for company.
        rig.supervisor.step(NOW);
        let register = |rig: &mut Rig, place: usize, name: &str| {
            let registry = &mut rig.supervisor.venue_mut(place).markets.registry;
            registry.register(info_named(name), 1, Source::Catalog);
        };
        let names: Vec<String> = (1_000..1_520).map(|number| number.to_string()).collect();
        let (polymarket, kalshi) = (rig.polymarket, rig.kalshi);
        names.iter().for_each(|name| register(&mut rig, polymarket, name));
        register(&mut rig, kalshi, "KX-1");
        let all = names.iter().map(String::as_str).chain(["KX-1", "77"]);
        let tokens: Vec<TokenId> = all.map(token).collect();
        let (connections, refused) = rig.supervisor.force_subscribe(&tokens, NOW);
        let registry = rig.supervisor.venue(rig.polymarket).registry();
        assert_eq!(registry.pending_tokens_total(), 0, "both shards, {order:?}");
        let on: std::collections::BTreeSet<_> = names
            .iter()
            .map(|n| registry.market(&MarketId::new(n).unwrap()).unwrap().connection)
            .collect();
        assert_eq!(on.into_iter().flatten().collect::<Vec<_>>(), connections);
        let refused: Vec<_> = refused.iter().map(|r| (r.token.as_str(), &r.why[..9])).collect();
        assert_eq!(refused, [("KX-1", "the conne"), ("77", "it is not")], "{order:?}");
        let (connections, refused) = rig.supervisor.force_subscribe(&tokens[..2], NOW);
        assert_eq!((connections.len(), refused.len()), (0, 2));
        assert!(refused[0].why.starts_with("it is on connection-"), "{refused:?}");
    }
}
