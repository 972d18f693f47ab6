//! The registry against a naive model: a vector of records and linear scans.
use super::*;
use crate::control::tests::fixture::{id, info, info_with};
use proptest::prelude::*;

const SHARDS: u16 = 3;

impl Registry {
    /// The markets with a status: pending by shard and wait, expired by the time they did. O(markets) for those of
    /// other machines.
    pub(in crate::control) fn with_status(
        &self,
        status: Status,
    ) -> Box<dyn Iterator<Item = &Record> + '_> {
        match status {
            Status::Elsewhere => {
                Box::new(self.markets().filter(|record| record.status == Status::Elsewhere))
            }
            Status::Pending => Box::new(
                self.pending.iter().flat_map(|p| p.queue.values()).map(|&slot| self.record(slot)),
            ),
            Status::Subscribed => Box::new(self.subscribed.iter().map(|&slot| self.record(slot))),
            Status::Expired => Box::new(self.expired.iter().map(|&(_, slot)| self.record(slot))),
        }
    }

    /// Shards that markets are spread over.
    pub(in crate::control) const fn shards(&self) -> u16 {
        self.shards
    }

    /// Connections that carry something, by number.
    pub(in crate::control) fn loads(&self) -> impl Iterator<Item = (ConnectionId, &Load)> {
        self.loads.iter().map(|(&connection, load)| (connection, load))
    }
}

#[derive(Clone, Debug)]
struct Row {
    number: u32,
    tokens: usize,
    end: Option<u64>,
    shard: ShardId,
    status: Status,
    connection: Option<ConnectionId>,
    since: u64,
}

/// The same promises, kept the slow and obvious way.
#[derive(Default)]
struct Model {
    rows: Vec<Row>,
    removed: Vec<u32>,
    idle: BTreeSet<ConnectionId>,
    clock: u64,
}

impl Model {
    fn find(&mut self, number: u32) -> Option<&mut Row> {
        self.rows.iter_mut().find(|row| row.number == number)
    }
    fn on(&self, connection: ConnectionId) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.connection == Some(connection))
    }
    fn tokens_on(&self, connection: ConnectionId) -> usize {
        self.on(connection).map(|row| row.tokens).sum()
    }
    fn active_on(&self, connection: ConnectionId) -> usize {
        let active = self.on(connection).filter(|row| row.status == Status::Subscribed);
        active.map(|row| row.tokens).sum()
    }
    fn register(&mut self, number: u32, tokens: usize, end: Option<u64>, manual: bool) -> bool {
        let removed = self.removed.contains(&number);
        if self.find(number).is_some() || (removed && !manual) {
            return false;
        }
        self.removed.retain(|&n| n != number);
        let shard = routing::shard_of(id(number).as_bytes(), SHARDS);
        let (status, since) = (Status::Pending, self.clock);
        self.rows.push(Row { number, tokens, end, shard, status, connection: None, since });
        true
    }
    fn settle(&mut self, connections: &[Option<ConnectionId>]) {
        for &connection in connections.iter().flatten() {
            if self.active_on(connection) > 0 {
                self.idle.remove(&connection);
            } else {
                self.idle.insert(connection);
            }
        }
    }
    fn subscribe(&mut self, number: u32, to: ConnectionId) -> bool {
        let clock = self.clock;
        let full = self.tokens_on(to);
        let other = self.on(to).next().map(|row| row.shard);
        let Some(row) = self.find(number) else { return false };
        if row.status == Status::Expired {
            return false;
        }
        if row.connection == Some(to) {
            return true;
        }
        let fits = full + row.tokens <= limits::TOKENS_PER_CONNECTION_MAX;
        if other.is_some_and(|shard| shard != row.shard) || !fits {
            return false;
        }
        let before = row.connection;
        (row.status, row.connection, row.since) = (Status::Subscribed, Some(to), clock);
        self.settle(&[before, Some(to)]);
        true
    }
    fn pend(&mut self, number: u32) -> bool {
        let clock = self.clock;
        let Some(row) = self.find(number).filter(|row| row.status != Status::Pending) else {
            return false;
        };
        let before = row.connection;
        (row.status, row.connection, row.since) = (Status::Pending, None, clock);
        self.settle(&[before]);
        true
    }
    fn expire(&mut self, number: u32) -> bool {
        let clock = self.clock;
        let Some(row) = self.find(number).filter(|row| row.status != Status::Expired) else {
            return false;
        };
        (row.status, row.since) = (Status::Expired, clock);
        let connection = row.connection;
        self.settle(&[connection]);
        true
    }
    fn revive(&mut self, number: u32) -> bool {
        let clock = self.clock;
        let Some(row) = self.find(number).filter(|row| row.status == Status::Expired) else {
            return false;
        };
        let connection = row.connection;
        row.status = if connection.is_some() { Status::Subscribed } else { Status::Pending };
        row.since = clock;
        self.settle(&[connection]);
        true
    }
    fn remove(&mut self, number: u32) -> bool {
        let Some(at) = self.rows.iter().position(|row| row.number == number) else { return false };
        let row = self.rows.remove(at);
        self.removed.push(number);
        self.settle(&[row.connection]);
        true
    }
    fn reassign(&mut self, from: ConnectionId, to: ConnectionId) -> Option<usize> {
        if from == to || self.on(from).next().is_none() {
            return Some(0);
        }
        let moved = self.active_on(from);
        let shard = self.on(from).next().map(|row| row.shard);
        let other = self.on(to).next().map(|row| row.shard);
        let fits = self.tokens_on(to) + moved <= limits::TOKENS_PER_CONNECTION_MAX;
        if other.is_some() && (other != shard || !fits) {
            return None;
        }
        let clock = self.clock;
        for row in &mut self.rows {
            if row.connection == Some(from) && row.status == Status::Subscribed {
                (row.connection, row.since) = (Some(to), clock);
            }
        }
        if moved > 0 {
            self.settle(&[Some(from), Some(to)]);
        }
        Some(moved)
    }
    fn drop_expired(&mut self, connection: ConnectionId) {
        let mut touched = false;
        for row in &mut self.rows {
            if row.connection == Some(connection) && row.status == Status::Expired {
                row.connection = None;
                touched = true;
            }
        }
        if touched {
            self.settle(&[Some(connection)]);
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Register { number: u32, tokens: u32, end: Option<u64>, manual: bool },
    Subscribe { number: u32, to: u32 },
    SubscribeBatch { shard: u16, tokens: usize, to: u32 },
    Pend(u32),
    Expire(u32),
    Revive(u32),
    Remove(u32),
    Reassign { from: u32, to: u32 },
    Release(u32),
    DropExpired(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let number = 0u32..40;
    let to = 1u32..6;
    let step = prop_oneof![
        4 => (number.clone(), 1u32..17, prop::option::of(0u64..50), any::<bool>())
            .prop_map(|(number, tokens, end, manual)| Step::Register { number, tokens, end, manual }),
        3 => (number.clone(), to.clone()).prop_map(|(number, to)| Step::Subscribe { number, to }),
        2 => (0..SHARDS, 0usize..200, to.clone())
            .prop_map(|(shard, tokens, to)| Step::SubscribeBatch { shard, tokens, to }),
        1 => number.clone().prop_map(Step::Pend),
        2 => number.clone().prop_map(Step::Expire),
        1 => number.clone().prop_map(Step::Revive),
        2 => number.prop_map(Step::Remove),
        1 => (to.clone(), to.clone()).prop_map(|(from, to)| Step::Reassign { from, to }),
        1 => to.clone().prop_map(Step::Release),
        1 => to.prop_map(Step::DropExpired),
    ];
    prop::collection::vec(step, 1..120)
}

fn apply(step: &Step, registry: &mut Registry, model: &mut Model) {
    model.clock += 1;
    let now = model.clock;
    match *step {
        Step::Register { number, tokens, end, manual } => {
            let source = if manual { Source::Manual } else { Source::Catalog };
            let registered = registry.register(info_with(number, tokens, end), now, source);
            let new = model.register(number, tokens as usize, end, manual);
            assert_eq!(registered, if new { Registered::New } else { Registered::Known });
        }
        Step::Subscribe { number, to } => {
            let done = registry.mark_subscribed(&id(number), ConnectionId(to), now);
            assert_eq!(done.is_ok(), model.subscribe(number, ConnectionId(to)), "{done:?}");
        }
        Step::SubscribeBatch { shard, tokens, to } => {
            for market in registry.pending_batch(ShardId(shard), tokens) {
                let number = model.rows.iter().find(|row| id(row.number) == market).unwrap().number;
                let done = registry.mark_subscribed(&market, ConnectionId(to), now);
                assert_eq!(done.is_ok(), model.subscribe(number, ConnectionId(to)));
            }
        }
        Step::Pend(number) => {
            assert_eq!(registry.mark_pending(&id(number), now), model.pend(number))
        }
        Step::Expire(number) => {
            assert_eq!(registry.mark_expired(&id(number), now), model.expire(number));
        }
        Step::Revive(number) => {
            assert_eq!(registry.revive(&id(number), now), model.revive(number));
        }
        Step::Remove(number) => {
            assert_eq!(registry.remove(&id(number)).is_some(), model.remove(number));
        }
        Step::Reassign { from, to } => {
            let moved = registry.reassign(ConnectionId(from), ConnectionId(to), now);
            assert_eq!(moved.ok(), model.reassign(ConnectionId(from), ConnectionId(to)));
        }
        Step::Release(connection) => release(ConnectionId(connection), registry, model),
        Step::DropExpired(connection) => {
            registry.drop_expired(ConnectionId(connection));
            model.drop_expired(ConnectionId(connection));
        }
    }
}

fn release(connection: ConnectionId, registry: &mut Registry, model: &mut Model) {
    registry.release(connection, model.clock);
    model.drop_expired(connection);
    let numbers: Vec<u32> = model.on(connection).map(|row| row.number).collect();
    for number in numbers {
        model.pend(number);
    }
    model.idle.remove(&connection);
}

fn sorted<T: Ord>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.into_iter().collect();
    items.sort();
    items
}

fn compare(registry: &Registry, model: &Model) {
    let tokens = |status| {
        let rows = model.rows.iter().filter(move |row| row.status == status);
        rows.map(|row| row.tokens as u64).sum::<u64>()
    };
    let report = registry.report();
    assert_eq!(report.markets, model.rows.len() as u64);
    assert_eq!(report.tokens, model.rows.iter().map(|row| row.tokens as u64).sum::<u64>());
    assert_eq!(report.tokens_pending, tokens(Status::Pending));
    assert_eq!(report.tokens_subscribed, tokens(Status::Subscribed));
    assert_eq!(report.tokens_expired, tokens(Status::Expired));
    assert_eq!(registry.pending_tokens_total(), tokens(Status::Pending));
    for row in &model.rows {
        let record = registry.market(&id(row.number)).unwrap();
        assert_eq!(record.info.tokens.len(), row.tokens);
        assert_eq!((record.status, record.connection), (row.status, row.connection));
        assert_eq!((record.shard, record.since_ns), (row.shard, row.since));
        for outcome in &record.info.tokens {
            assert_eq!(registry.market_of(&outcome.token).unwrap().info.market, id(row.number));
        }
    }
    for number in &model.removed {
        assert!(registry.market(&id(*number)).is_none() && registry.is_known(&id(*number)));
        assert!(registry.market_of(&info_with(*number, 1, None).tokens[0].token).is_none());
    }
    compare_sets(registry, model);
    for connection in (1..6).map(ConnectionId) {
        compare_connection(registry, model, connection);
    }
    assert!(registry.idle_connections().eq(model.idle.iter().copied()));
}

fn compare_sets(registry: &Registry, model: &Model) {
    let ids = |records: &mut dyn Iterator<Item = &Record>| sorted(records.map(|r| r.info.market));
    let model_ids = |keep: &dyn Fn(&Row) -> bool| {
        sorted(model.rows.iter().filter(|row| keep(row)).map(|row| id(row.number)))
    };
    assert_eq!(ids(&mut registry.markets()), model_ids(&|_| true));
    for status in [Status::Pending, Status::Subscribed, Status::Expired] {
        assert_eq!(ids(&mut registry.with_status(status)), model_ids(&|row| row.status == status));
    }
    for at in [0, 10, 25, 60] {
        let active = |row: &Row| row.status != Status::Expired;
        let ending = model_ids(&|row| active(row) && row.end.is_some_and(|end| end < at));
        assert_eq!(ids(&mut registry.expiring_before(at)), ending);
        let gone = model_ids(&|row| !active(row) && row.since < at);
        assert_eq!(ids(&mut registry.expired_before(at)), gone);
    }
    for shard in (0..SHARDS).map(ShardId) {
        let waits = |row: &&Row| row.shard == shard && row.status == Status::Pending;
        let mut queue: Vec<&Row> = model.rows.iter().filter(waits).collect();
        queue.sort_by_key(|row| registry.market(&id(row.number)).unwrap().sequence);
        assert!(queue.is_sorted_by_key(|row| row.since), "first in, first out");
        assert_eq!(
            registry.pending_tokens(shard),
            queue.iter().map(|row| row.tokens).sum::<usize>()
        );
        assert_eq!(registry.oldest_pending_since(shard), queue.first().map(|row| row.since));
        for tokens_max in [0, 7, 50, 10_000] {
            let mut tokens = 0;
            let fits = queue.iter().take_while(|row| {
                tokens += row.tokens;
                tokens <= tokens_max
            });
            let expected: Vec<MarketId> = fits.map(|row| id(row.number)).collect();
            assert_eq!(registry.pending_batch(shard, tokens_max), expected);
        }
    }
}

fn compare_connection(registry: &Registry, model: &Model, connection: ConnectionId) {
    let tokens = model.tokens_on(connection);
    let active = model.active_on(connection);
    assert!(tokens <= limits::TOKENS_PER_CONNECTION_MAX);
    assert_eq!(registry.tokens_of(connection).count(), tokens);
    assert_eq!(registry.active_tokens_of(connection).count(), active);
    let markets = sorted(registry.markets_of(connection).map(|record| record.info.market));
    assert_eq!(markets, sorted(model.on(connection).map(|row| id(row.number))));
    match registry.load(connection) {
        None => assert_eq!(tokens, 0),
        Some(load) => {
            assert_eq!((load.tokens, load.tokens_expired), (tokens, tokens - active));
            assert_eq!(load.slots.len(), markets.len());
            let pollution = (tokens - active) as f64 / tokens as f64;
            assert!((load.pollution() - pollution).abs() < 1e-12);
            assert!(model.on(connection).all(|row| row.shard == load.shard));
        }
    }
}

proptest! {
    #[test]
    fn it_agrees_with_the_model_after_every_step(steps in steps()) {
        let mut registry = Registry::new(SHARDS);
        let mut model = Model::default();
        for step in &steps {
            apply(step, &mut registry, &mut model);
            compare(&registry, &model);
        }
    }
}

#[test]
fn a_connection_never_exceeds_the_limit_and_never_mixes_shards() {
    let mut registry = Registry::new(1);
    for number in 0..251 {
        registry.register(info(number), 0, Source::Catalog);
    }
    let to = ConnectionId(1);
    for number in 0..250 {
        assert_eq!(registry.mark_subscribed(&id(number), to, 1), Ok(()));
    }
    assert_eq!(registry.mark_subscribed(&id(250), to, 1), Err(PlaceError::ConnectionFull));
    registry.mark_expired(&id(250), 2);
    assert_eq!(registry.mark_subscribed(&id(250), to, 1), Err(PlaceError::Expired));
    assert_eq!(registry.mark_subscribed(&id(999), to, 1), Err(PlaceError::Unknown));

    let mut registry = Registry::new(2);
    let on = |shard| (0..100).find(|&n| routing::shard_of(id(n).as_bytes(), 2) == ShardId(shard));
    let (a, b) = (on(0).unwrap(), on(1).unwrap());
    registry.register(info(a), 0, Source::Catalog);
    registry.register(info(b), 0, Source::Catalog);
    assert_eq!(registry.mark_subscribed(&id(a), to, 1), Ok(()));
    assert_eq!(registry.mark_subscribed(&id(b), to, 1), Err(PlaceError::OtherShard));
}

#[test]
fn markets_with_impossible_tokens_are_refused() {
    let mut registry = Registry::new(1);
    let refused = |refusal| Registered::Refused(refusal);
    let mut register = |info| registry.register(info, 0, Source::Manual);
    assert_eq!(register(info_with(1, 0, None)), refused(Refusal::Tokens));
    assert_eq!(register(info_with(1, 17, None)), refused(Refusal::Tokens));
    let mut twice = info(1);
    twice.tokens[1] = twice.tokens[0].clone();
    assert_eq!(register(twice), refused(Refusal::Tokens));
    assert_eq!(register(info(1)), Registered::New);
    let mut thief = info(2);
    thief.tokens[1] = info(1).tokens[0].clone();
    assert_eq!(register(thief), refused(Refusal::TokenTaken));
}

#[test]
fn a_market_with_the_tokens_of_another_shares_its_books() {
    let mut registry = Registry::new(1);
    registry.register(info(1), 0, Source::Catalog);
    let twin = MarketInfo { tokens: info(1).tokens, ..info(2) };
    let register = |registry: &mut Registry| registry.register(twin.clone(), 0, Source::Catalog);
    assert_eq!(register(&mut registry), Registered::New);
    assert_eq!(register(&mut registry), Registered::Known);
    let counts = |registry: &Registry| {
        let report = registry.report();
        (report.markets, report.tokens, report.tokens_pending, report.markets_shared)
    };
    assert_eq!(counts(&registry), (2, 4, 2, 1), "the tokens wait once for a connection");
    assert!(registry.is_known(&twin.market) && registry.market(&twin.market).is_none());
    // It closes alone.
    assert!(registry.mark_expired(&twin.market, 1) && !registry.mark_expired(&twin.market, 1));
    assert_eq!(counts(&registry), (1, 2, 2, 0));
}

#[test]
fn shared_books_stay_until_both_markets_are_over() {
    let (one, twin) = (id(1), MarketInfo { tokens: info(1).tokens, ..info(2) });
    let start = || {
        let mut registry = Registry::new(1);
        registry.register(info(1), 0, Source::Catalog);
        registry.mark_subscribed(&one, ConnectionId(1), 0).unwrap();
        registry.register(twin.clone(), 0, Source::Catalog);
        registry
    };
    let status = |registry: &Registry| registry.market(&one).map(|record| record.status);
    // The one that has the tokens is decided first.
    let mut registry = start();
    registry.track_changes();
    let yes = Resolution { result: Some("outcome 0".into()), ..Resolution::default() };
    registry.resolve(&one, yes, 5);
    assert!(registry.mark_expired(&one, 1) && !registry.mark_expired(&one, 1));
    assert_eq!(status(&registry), Some(Status::Subscribed));
    assert_eq!(registry.take_unpublished(), Some(one), "its result is stored");
    assert!(registry.market(&one).unwrap().resolution.is_some() && registry.is_outlived(&one));
    assert_eq!(registry.drop_expired(ConnectionId(1)), 0, "a reconnection keeps the books");
    assert!(registry.mark_expired(&twin.market, 2));
    assert_eq!(status(&registry), Some(Status::Expired));
    assert!(!registry.is_outlived(&one) && !registry.mark_expired(&one, 3));
    // The other one first.
    let mut registry = start();
    assert!(registry.mark_expired(&twin.market, 1));
    assert_eq!(status(&registry), Some(Status::Subscribed));
    assert!(registry.mark_expired(&one, 2));
    assert_eq!(status(&registry), Some(Status::Expired));
    // The second is listed when the first is over and not removed yet.
    assert_eq!(registry.register(twin.clone(), 3, Source::Catalog), Registered::New);
    assert_eq!(status(&registry), Some(Status::Subscribed));
    assert!(registry.mark_expired(&twin.market, 4));
    assert_eq!(status(&registry), Some(Status::Expired));
    // The first has ended by the clock alone.
    let mut registry = start();
    assert!(registry.mark_expired(&one, 1) && registry.revive(&one, 2));
    assert!(registry.mark_expired(&twin.market, 3));
    assert_eq!(status(&registry), Some(Status::Subscribed));
}

#[test]
fn a_market_with_some_tokens_of_others_is_refused() {
    let mut registry = Registry::new(1);
    registry.register(info(1), 0, Source::Catalog);
    registry.register(info(2), 0, Source::Catalog);
    let [one, two, own] = [1, 2, 3].map(|number| info(number).tokens);
    let mixes = [
        vec![one[0].clone()],
        vec![one[0].clone(), own[0].clone()],
        vec![own[0].clone(), one[1].clone()],
        vec![one[0].clone(), two[1].clone()],
        vec![one[0].clone(), one[1].clone(), own[0].clone()],
    ];
    for tokens in mixes {
        let mixed = MarketInfo { tokens, ..info(3) };
        let refused = Registered::Refused(Refusal::TokenTaken);
        assert_eq!(registry.register(mixed.clone(), 0, Source::Catalog), refused);
        assert!(!registry.is_known(&mixed.market));
    }
    let report = registry.report();
    assert_eq!((report.markets, report.tokens, report.markets_shared), (2, 4, 0));
}

#[test]
fn refreshing_moves_the_end_and_refuses_other_tokens() {
    let mut registry = Registry::new(1);
    registry.register(info_with(1, 2, Some(100)), 0, Source::Catalog);
    assert!(registry.refresh(&info_with(1, 2, Some(500))));
    assert_eq!(registry.expiring_before(400).count(), 0);
    assert_eq!(registry.expiring_before(501).count(), 1);
    assert!(!registry.refresh(&info_with(1, 1, Some(900))));
    assert!(!registry.refresh(&info_with(2, 2, Some(900))));
}

/// Not timed here: with a linear scan on any of these paths it would not end within minutes.
#[test]
fn a_hundred_thousand_markets_are_placed_expired_and_removed() {
    let mut registry = Registry::new(4);
    for number in 0..100_000 {
        let end = Some(u64::from(number));
        assert_eq!(
            registry.register(info_with(number, 2, end), 0, Source::Catalog),
            Registered::New
        );
    }
    let mut connection = 0;
    for shard in (0..4).map(ShardId) {
        while registry.pending_tokens(shard) > 0 {
            connection += 1;
            for market in registry.pending_batch(shard, limits::TOKENS_PER_CONNECTION_TARGET) {
                registry.mark_subscribed(&market, ConnectionId(connection), 1).unwrap();
            }
        }
    }
    assert!((500..=504).contains(&connection), "{connection} connections");
    assert_eq!(registry.report().tokens_subscribed, 200_000);
    let ended: Vec<MarketId> = registry.expiring_before(50_000).map(|r| r.info.market).collect();
    for market in &ended {
        assert!(registry.mark_expired(market, 2));
    }
    assert_eq!(registry.report().tokens_expired, 100_000);
    for market in &ended {
        assert!(registry.remove(market).is_some());
    }
    assert_eq!(registry.report().tokens, 100_000);
    assert_eq!(registry.loads().map(|(_, load)| load.tokens).sum::<usize>(), 100_000);
}

#[test]
fn a_registry_is_full_at_its_own_bound() {
    let mut registry = Registry::new(SHARDS).holding(2);
    let mut add = |number| registry.register(info_with(number, 1, None), 0, Source::Catalog);
    assert_eq!((add(1), add(2)), (Registered::New, Registered::New));
    assert_eq!(add(3), Registered::Refused(Refusal::Full));
    assert_eq!(Registry::new(SHARDS).markets_max(), limits::MARKETS_MAX);
}

#[test]
fn markets_of_other_machines_wait_until_their_slices_come() {
    let mut registry = Registry::new(1);
    registry.follow_slices(SliceSet::default(), 0);
    for number in 1..=4 {
        registry.register(info(number), 1, Source::Catalog);
    }
    assert_eq!((registry.report().tokens_elsewhere, registry.pending_tokens_total()), (8, 0));
    assert!(registry.pending_batch(ShardId(0), 100).is_empty());
    let all_live = |counted_ns| move |_| Some(Progress { counted_ns, is_live: true });
    let slices: SliceSet = [1, 2].map(|n| slice_of(id(n).as_bytes())).into_iter().collect();
    assert!(registry.follow_slices(slices, 2).is_empty());
    assert_eq!((registry.report().tokens_elsewhere, registry.pending_tokens_total()), (4, 4));
    assert!(registry.has_urgent(ShardId(0)), "they do not wait for company");
    assert!(registry.live_slices(all_live(9)).is_empty(), "they are on no connection");
    let connection = ConnectionId(1);
    for number in [1, 2] {
        registry.mark_subscribed(&id(number), connection, 3).unwrap();
    }
    assert!(registry.live_slices(all_live(3)).is_empty(), "counted before");
    assert_eq!(registry.live_slices(all_live(4)), slices);
    assert!(registry.live_slices(|_| None).is_empty());
    // One goes: its tokens are to be unsubscribed, and its end is noted as ever.
    let mut one = slices;
    one.set(slice_of(id(2).as_bytes()), false);
    let left = registry.follow_slices(one, 5);
    let tokens: Vec<TokenId> = info(2).tokens.iter().map(|outcome| outcome.token).collect();
    assert_eq!(left, BTreeMap::from([(connection, tokens)]));
    assert_eq!(registry.active_tokens_of(connection).count(), 2);
    assert!(registry.mark_expired(&id(2), 6) && registry.revive(&id(2), 7));
    assert_eq!(registry.market(&id(2)).unwrap().status, Status::Elsewhere);
    registry.release(connection, 8);
    assert_eq!((registry.report().tokens_elsewhere, registry.pending_tokens_total()), (6, 2));
}
