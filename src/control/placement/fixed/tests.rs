//! Markets over a fixed table: evenly, away from what fails, back again, within the venue's caps.
use super::*;
use crate::base::time::SECOND_NS;
use crate::control::registry::{Registered, Source, Status};
use crate::control::tests::fixture::info_named;

const TABLE: ConnectionTable = ConnectionTable { tickers: 2, trades: 2, lifecycle: 2, books: 6 };

struct Rig {
    placement: Placement,
    registry: Registry,
    now_ns: u64,
}

impl Rig {
    fn new(shards: u16) -> Self {
        let placement = Placement::new(shards).fixed(TABLE, 10_000);
        Self { placement, registry: Registry::new(shards).carrying(10_000), now_ns: 1 }
    }

    fn list(&mut self, markets: std::ops::Range<usize>) {
        for number in markets {
            let info = info_named(&format!("KX-{number}"));
            let registered = self.registry.register(info, self.now_ns, Source::Catalog);
            assert_eq!(registered, Registered::New);
        }
    }

    fn poll(&mut self) -> Vec<Action> {
        self.placement.poll(self.now_ns, &mut self.registry)
    }

    fn books(&self) -> Vec<ConnectionId> {
        self.placement.books().map(|(id, _)| id).collect()
    }

    /// Opens the table and brings all of it up.
    fn up(&mut self) {
        for action in self.poll() {
            let Action::Open { connection, .. } = action else { panic!("{action:?}") };
            self.placement.on_active(connection, 1);
        }
    }

    fn loads(&self) -> Vec<usize> {
        let load = |id| self.registry.load(id).map_or(0, |load| load.tokens);
        self.books().into_iter().map(load).collect()
    }

    /// Lets seconds pass.
    fn pass(&mut self, seconds: u64) -> Vec<Action> {
        (0..seconds)
            .flat_map(|_| {
                self.now_ns += SECOND_NS;
                self.poll()
            })
            .collect()
    }
}

#[test]
fn the_table_is_opened_at_once_under_its_names_and_spread_over_shards() {
    let mut rig = Rig::new(2);
    let actions = rig.poll();
    assert_eq!(actions.len(), TABLE.total() as usize);
    let names: Vec<String> = (1..=12).map(|id| rig.placement.name(ConnectionId(id))).collect();
    assert_eq!(names[..4], ["ticker-1", "ticker-2", "trade-1", "trade-2"]);
    assert_eq!(names[4..7], ["lifecycle-1", "lifecycle-2", "orderbook-1"]);
    assert_eq!(names[11], "orderbook-6");
    for role in Role::ALL {
        let on = |shard| {
            let of = |c: &&Connection| c.role == role && c.shard == ShardId(shard);
            rig.placement.connections.values().filter(of).count()
        };
        assert_eq!(on(0), on(1), "{role:?}: a pair is not on one shard");
    }
    assert_eq!(rig.pass(30), [], "nothing else is ever opened");
}

#[test]
fn markets_wait_for_the_table_and_then_spread_evenly() {
    let mut rig = Rig::new(2);
    rig.list(0..600);
    let opened = rig.poll();
    let first = rig.books()[0];
    rig.placement.on_active(first, 1);
    assert_eq!(rig.pass(2), [], "the first is not given all of them");
    for action in opened {
        let Action::Open { connection, .. } = action else { panic!("{action:?}") };
        rig.placement.on_active(connection, 1);
    }
    let subscribed: usize = rig
        .poll()
        .iter()
        .map(|action| if let Action::Subscribe { tokens, .. } = action { tokens.len() } else { 0 })
        .sum();
    assert_eq!(subscribed, 600);
    for shard in [0, 1] {
        let of = |(_, c): &(ConnectionId, &Connection)| c.shard == ShardId(shard);
        let loads: Vec<usize> = rig
            .placement
            .books()
            .filter(of)
            .map(|(id, _)| rig.registry.load(id).map_or(0, |load| load.tokens))
            .collect();
        let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
        assert!(most - least <= 1, "{loads:?}");
    }
}

#[test]
fn a_connection_that_never_comes_up_does_not_hold_up_the_others() {
    let mut rig = Rig::new(1);
    rig.list(0..60);
    rig.poll();
    let books = rig.books();
    books[1..].iter().for_each(|&id| rig.placement.on_active(id, 1));
    rig.pass(limits::START_GATE_NS / SECOND_NS + 1);
    assert_eq!(rig.loads(), [0, 12, 12, 12, 12, 12]);
}

#[test]
fn markets_leave_what_fails_and_come_back_little_by_little() {
    let mut rig = Rig::new(1);
    rig.up();
    rig.list(0..600);
    rig.poll();
    assert_eq!(rig.loads(), [100; 6]);
    let gone = rig.books()[2];
    rig.placement.on_waiting(gone, "cut");
    assert_eq!(rig.poll(), [], "it may be back at once");
    let actions = rig.pass(2);
    let position = |is: fn(&Action) -> bool| actions.iter().position(is).unwrap();
    let subscribe = position(|a| matches!(a, Action::Subscribe { .. }));
    let unsubscribe = position(|a| matches!(a, Action::Unsubscribe { .. }));
    assert!(subscribe < unsubscribe, "a book moves and is not closed");
    assert_eq!(rig.loads(), [120, 120, 0, 120, 120, 120]);
    assert_eq!(rig.registry.with_status(Status::Pending).count(), 0);
    assert_eq!(rig.placement.moved(), 100);

    rig.placement.on_active(gone, 1);
    let actions = rig.pass(1);
    assert!(rig.loads()[2] > 0 && rig.loads()[2] <= limits::MOVES_PER_CHECK);
    assert!(matches!(actions[..], [Action::Subscribe { .. }, Action::Unsubscribe { .. }]));
    rig.pass(20);
    let (least, most) = (*rig.loads().iter().min().unwrap(), *rig.loads().iter().max().unwrap());
    assert!(most - least <= limits::BALANCE_SLACK.max(most / 4), "{:?}", rig.loads());
    assert_eq!(rig.loads().iter().sum::<usize>(), 600);
    assert_eq!(rig.pass(5), [], "and then there is rest");
}

#[test]
fn where_no_other_is_up_markets_stay() {
    let mut rig = Rig::new(1);
    rig.up();
    rig.list(0..60);
    rig.poll();
    rig.books().into_iter().for_each(|id| rig.placement.on_waiting(id, "outage"));
    assert_eq!(rig.pass(30), []);
    assert_eq!(rig.loads(), [10; 6]);
}

#[test]
fn what_the_venue_refuses_goes_elsewhere_and_the_cap_is_learnt() {
    let mut rig = Rig::new(1);
    rig.up();
    rig.list(0..60);
    rig.poll();
    let full = rig.books()[0];
    let refused: Vec<TokenId> = rig.registry.active_tokens_of(full).take(4).collect();
    let Rig { placement, registry, .. } = &mut rig;
    placement.on_full(full, &refused, 1, registry);
    rig.poll();
    assert_eq!(rig.loads()[0], 6);
    rig.list(60..120);
    rig.pass(3);
    assert_eq!(rig.loads()[0], 6, "never more again: {:?}", rig.loads());
    assert_eq!(rig.loads().iter().sum::<usize>(), 120);
}

#[test]
fn a_member_opens_its_share_and_its_markets_leave_what_it_closes() {
    let mut rig = Rig::new(1);
    rig.placement.share_among(0);
    rig.list(0..600);
    assert_eq!(rig.pass(30), [], "it has not joined");
    rig.placement.share_among(1);
    rig.up();
    rig.poll();
    assert_eq!((rig.books(), rig.loads()), ([7, 8, 9].map(ConnectionId).to_vec(), vec![200; 3]));
    assert_eq!(rig.placement.share(), Some([12, 6]));
    rig.placement.share_among(2);
    let actions = rig.poll();
    let close = |&number| Action::Close { connection: ConnectionId(number) };
    assert!(matches!(actions[0], Action::Subscribe { connection: ConnectionId(7), .. }));
    assert_eq!(actions[1..], [8, 9].iter().map(close).collect::<Vec<_>>());
    let Rig { placement, registry, now_ns, .. } = &mut rig;
    [8, 9].into_iter().for_each(|id| placement.on_closed(ConnectionId(id), *now_ns, registry));
    assert_eq!((rig.loads(), rig.placement.moved()), (vec![600], 400));
    // The others have left: connections have the numbers and names that they had.
    rig.placement.share_among(1);
    rig.up();
    assert_eq!(rig.placement.name(ConnectionId(9)), "orderbook-3");
    rig.pass(60);
    assert!(rig.loads().iter().all(|&load| load > 100), "{:?}", rig.loads());
}
