//! Placement under random markets, ends and faults, and its rules one by one.
use super::*;
use crate::base::routing::shard_of;
use crate::base::time::SECOND_NS;
use crate::control::registry::{Registered, Source};
use crate::control::tests::fixture::{id, info};
use proptest::prelude::*;

const INTERVAL: u64 = limits::PLACEMENT_INTERVAL_NS;

fn register(registry: &mut Registry, numbers: std::ops::Range<u32>, now: u64) {
    for number in numbers {
        let registered = registry.register(info(number), now, Source::Catalog);
        assert_eq!(registered, Registered::New);
    }
}

fn opened(actions: &[Action]) -> Vec<(ConnectionId, usize)> {
    let open = actions.iter().filter_map(|action| match action {
        Action::Open { connection, tokens, .. } => Some((*connection, tokens.len())),
        _ => None,
    });
    open.collect()
}

#[test]
fn the_first_market_and_what_fits_into_spare_slots_do_not_wait() {
    let (mut registry, mut placement) = (Registry::new(1), Placement::new(1));
    assert!(placement.poll(0, &mut registry).is_empty());
    register(&mut registry, 0..1, 1);
    assert_eq!(opened(&placement.poll(2, &mut registry)), [(ConnectionId(1), 2)]);
    // Not up yet, or up: whatever fits goes there in the next cycle, from either source.
    for (numbers, source) in [(1..60, Source::Catalog), (60..200, Source::Stream)] {
        let tokens = 2 * numbers.len();
        for number in numbers {
            registry.register(info(number), 3, source);
        }
        let actions = placement.poll(4, &mut registry);
        let [Action::Subscribe { connection: ConnectionId(1), tokens: added }] = &actions[..]
        else {
            panic!("{actions:?}")
        };
        assert_eq!(added.len(), tokens);
        placement.on_active(ConnectionId(1), 0);
    }
    assert_eq!(registry.load(ConnectionId(1)).unwrap().tokens, 400);
}

#[test]
fn leftovers_of_discovery_wait_for_company_and_fewer_than_fifty_two_intervals() {
    let (mut registry, mut placement) = (Registry::new(1), Placement::new(1));
    register(&mut registry, 0..200, 0);
    assert_eq!(opened(&placement.poll(0, &mut registry)), [(ConnectionId(1), 400)]);
    register(&mut registry, 200..225, 1);
    assert!(placement.poll(INTERVAL - 1, &mut registry).is_empty());
    assert_eq!(opened(&placement.poll(INTERVAL, &mut registry)), [(ConnectionId(2), 50)]);
    register(&mut registry, 225..400, INTERVAL);
    assert_eq!(placement.poll(INTERVAL, &mut registry).len(), 1, "both are full");

    register(&mut registry, 400..424, INTERVAL + 1);
    assert!(placement.poll(2 * INTERVAL, &mut registry).is_empty(), "48 tokens wait");
    assert!(placement.poll(3 * INTERVAL, &mut registry).is_empty(), "not yet two intervals");
    assert!(placement.poll(3 * INTERVAL, &mut registry).is_empty(), "not yet");
    let actions = placement.poll(3 * INTERVAL + 1, &mut registry);
    let [Action::Subscribe { connection: ConnectionId(1), tokens }] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert_eq!(tokens.len(), 48);
}

#[test]
fn a_market_that_must_not_wait_opens_a_connection_where_no_slot_is_free() {
    let named = |registry: &mut Registry| _ = registry.register(info(900), 1, Source::Manual);
    let announced = |registry: &mut Registry| _ = registry.register(info(900), 1, Source::Stream);
    let ends_soon = |registry: &mut Registry| {
        registry.register(info(900), 1, Source::Catalog);
        registry.hasten(&id(900));
    };
    let cases: [&dyn Fn(&mut Registry); 3] = [&named, &announced, &ends_soon];
    for come in cases {
        let (mut registry, mut placement) = (Registry::new(1), Placement::new(1));
        register(&mut registry, 0..200, 0);
        assert_eq!(opened(&placement.poll(0, &mut registry)), [(ConnectionId(1), 400)]);
        register(&mut registry, 200..210, 0);
        assert!(placement.poll(1, &mut registry).is_empty(), "leftovers of discovery");
        come(&mut registry);
        let actions = placement.poll(2, &mut registry);
        assert_eq!(opened(&actions), [(ConnectionId(2), 22)], "they come along");
        assert!(!registry.has_urgent(ShardId(0)));
    }
}

#[test]
fn while_a_connection_is_replaced_new_markets_go_on_its_replacement() {
    let (mut registry, mut placement) = (Registry::new(1), Placement::new(1));
    let (from, to) = (ConnectionId(1), ConnectionId(2));
    register(&mut registry, 0..100, 0);
    placement.poll(0, &mut registry);
    placement.on_active(from, 0);
    placement.begin_replacement(&[from], &registry).unwrap();
    registry.register(info(100), 1, Source::Stream);
    let actions = placement.poll(1, &mut registry);
    assert_eq!(opened(&actions), [(to, 200)]);
    assert_eq!(actions.len(), 2, "{actions:?}");
    assert_eq!(registry.market(&id(100)).unwrap().connection, Some(to));
    assert_eq!(placement.subscription(to, &registry).len(), 202);
    // No more than it will have room for.
    register(&mut registry, 101..301, 2);
    placement.poll(2, &mut registry);
    assert_eq!(registry.load(to).unwrap().tokens, 200);
    // Its own end before it takes over: it stays.
    let own: Vec<MarketId> = registry.markets_of(to).map(|record| record.info.market).collect();
    own.iter().for_each(|market| _ = registry.mark_expired(market, 3));
    assert!(!placement.poll(3, &mut registry).contains(&Action::Close { connection: to }));
    placement.complete_replacement(to, 4, &mut registry).unwrap();
    assert!(placement.poll(4, &mut registry).contains(&Action::Close { connection: from }));
    let load = registry.load(to).unwrap();
    assert_eq!(
        (load.tokens, load.active()),
        (500, 300),
        "others took the slots of its expired ones"
    );
}

#[test]
fn what_a_replacement_has_for_itself_outlives_it_or_the_old_connection() {
    for given_up in [false, true] {
        let (mut registry, mut placement) = (Registry::new(1), Placement::new(1));
        let (from, to) = (ConnectionId(1), ConnectionId(2));
        register(&mut registry, 0..100, 0);
        placement.poll(0, &mut registry);
        placement.begin_replacement(&[from], &registry).unwrap();
        registry.register(info(100), 1, Source::Stream);
        placement.poll(1, &mut registry);
        let gone = if given_up {
            placement.abandon_replacement(to);
            to
        } else {
            (0..100).for_each(|number| _ = registry.mark_expired(&id(number), 2));
            from
        };
        assert_eq!(placement.poll(2, &mut registry), [Action::Close { connection: gone }]);
        placement.on_closed(gone, 2, &mut registry);
        placement.poll(3, &mut registry);
        let left = if given_up { from } else { to };
        assert_eq!(registry.market(&id(100)).unwrap().connection, Some(left));
        assert!(placement.is_whole(left));
    }
}

#[test]
fn a_smaller_target_makes_more_and_smaller_connections() {
    let (mut registry, placement) = (Registry::new(1), Placement::new(1));
    let mut placement = placement.with_target(20);
    placement.poll(0, &mut registry);
    register(&mut registry, 0..35, 1);
    let wanted = [(ConnectionId(1), 20), (ConnectionId(2), 20), (ConnectionId(3), 20)];
    assert_eq!(opened(&placement.poll(2, &mut registry)), wanted);
    placement.request_check();
    assert_eq!(opened(&placement.poll(3, &mut registry)), [(ConnectionId(4), 10)]);
    // Ten fill the last one; what is less than half a connection's worth rides along at a check.
    register(&mut registry, 35..54, 4);
    placement.request_check();
    assert_eq!(opened(&placement.poll(5, &mut registry)), [(ConnectionId(5), 28)]);
    assert_eq!(placement.capacity_tokens(), 100);
    assert_eq!(placement.report(&registry).tokens_per_connection_target, 20);
}

#[test]
fn a_whole_connections_worth_and_a_completed_scan_do_not_wait() {
    let (mut registry, mut placement) = (Registry::new(1), Placement::new(1));
    placement.poll(0, &mut registry);
    register(&mut registry, 0..450, 1);
    let actions = placement.poll(2, &mut registry);
    assert_eq!(opened(&actions), [(ConnectionId(1), 400), (ConnectionId(2), 400)]);
    placement.request_check();
    assert_eq!(opened(&placement.poll(3, &mut registry)), [(ConnectionId(3), 100)]);
    assert_eq!(placement.capacity_tokens(), 1200);
}

#[test]
fn spare_slots_are_filled_the_fullest_that_is_up_first() {
    let (mut registry, mut placement) = (Registry::new(1), Placement::new(1));
    register(&mut registry, 0..10, 0);
    let forced = |n: u32, registry: &mut Registry, placement: &mut Placement| {
        placement.force_subscribe(&[id(n), id(n + 1)], 0, registry).unwrap()
    };
    let small = forced(0, &mut registry, &mut placement);
    let full = forced(2, &mut registry, &mut placement);
    let away = placement.force_subscribe(&[id(4), id(5), id(6)], 0, &mut registry).unwrap();
    placement.on_active(small, 0);
    placement.on_active(full, 0);
    placement.poll(1, &mut registry);
    let tokens = |registry: &Registry| {
        [small, full, away].map(|connection| registry.load(connection).unwrap().tokens)
    };
    assert_eq!(tokens(&registry), [10, 4, 6], "the first of equals");
    register(&mut registry, 10..300, 2);
    placement.poll(2, &mut registry);
    assert_eq!(tokens(&registry), [400, 194, 6]);
}

#[test]
fn expired_tokens_take_slots_above_the_target_only() {
    let (mut registry, mut placement) = (Registry::new(1), Placement::new(1));
    register(&mut registry, 0..200, 0);
    assert_eq!(opened(&placement.poll(0, &mut registry)), [(ConnectionId(1), 400)]);
    (0..60).for_each(|number| _ = registry.mark_expired(&id(number), 1));
    register(&mut registry, 200..250, 1);
    assert_eq!(opened(&placement.poll(INTERVAL, &mut registry)), []);
    let load = registry.load(ConnectionId(1)).unwrap();
    assert_eq!((load.tokens, load.active()), (500, 380), "the limit, not the target");
    // Without expired tokens the target is where it ends.
    register(&mut registry, 250..300, INTERVAL);
    placement.request_check();
    assert_eq!(opened(&placement.poll(INTERVAL, &mut registry)), [(ConnectionId(2), 100)]);
    register(&mut registry, 300..500, INTERVAL);
    placement.request_check();
    assert_eq!(opened(&placement.poll(INTERVAL, &mut registry)), [(ConnectionId(3), 100)]);
    assert_eq!(registry.load(ConnectionId(2)).unwrap().tokens, 400);
}

#[test]
fn a_connection_that_recycling_left_small_is_filled_before_another_is_opened() {
    let (mut registry, mut placement) = (Registry::new(1), Placement::new(1));
    register(&mut registry, 0..200, 0);
    placement.poll(0, &mut registry);
    (3..200).for_each(|number| _ = registry.mark_expired(&id(number), 1));
    let to = placement.begin_replacement(&[ConnectionId(1)], &registry).unwrap();
    register(&mut registry, 200..230, 1);
    let actions = placement.poll(INTERVAL, &mut registry);
    assert_eq!(opened(&actions), [(to, 6)]);
    assert_eq!(registry.load(to).unwrap().tokens, 60);
    placement.complete_replacement(to, INTERVAL, &mut registry).unwrap();
    register(&mut registry, 230..397, INTERVAL);
    assert_eq!(opened(&placement.poll(2 * INTERVAL, &mut registry)), []);
    assert_eq!(registry.load(to).unwrap().tokens, 400);
}

#[test]
fn force_opens_at_once_and_keeps_the_limit() {
    let (mut registry, mut placement) = (Registry::new(1), Placement::new(1));
    placement.poll(0, &mut registry);
    register(&mut registry, 0..300, 1);
    let all: Vec<MarketId> = (0..300).map(id).collect();
    assert_eq!(placement.force_subscribe(&all[..1], 2, &mut registry), Ok(ConnectionId(1)));
    let tokens: Vec<TokenId> =
        (1..301).flat_map(|n| info(n).tokens).map(|outcome| outcome.token).collect();
    let forced = placement.force_subscribe_tokens(&tokens, 2, &mut registry);
    assert_eq!(forced, Ok(ConnectionId(2)));
    let actions = placement.poll(2, &mut registry);
    assert_eq!(opened(&actions), [(ConnectionId(1), 2), (ConnectionId(2), 500)]);
    let again = placement.force_subscribe(&all[..5], 2, &mut registry);
    assert_eq!(again, Err(ForceError::NothingPending));
    assert_eq!(registry.pending_tokens_total(), 0);
    assert_eq!(registry.load(ConnectionId(1)).unwrap().tokens, 100, "the others found spare slots");
}

#[test]
fn a_connection_without_active_markets_is_closed_and_not_replaced() {
    let (mut registry, mut placement) = (Registry::new(1), Placement::new(1));
    register(&mut registry, 0..30, 0);
    assert_eq!(opened(&placement.poll(0, &mut registry)).len(), 1);
    placement.on_active(ConnectionId(1), 7);
    for number in 0..29 {
        registry.mark_expired(&id(number), 1);
    }
    assert!(placement.poll(1, &mut registry).is_empty());
    let report = placement.report(&registry);
    assert_eq!(report.connections[0].tokens_expired, 58);
    assert_eq!((report.connections_active, report.connections[0].state.as_str()), (1, "active"));
    registry.mark_expired(&id(29), 1);
    let close = vec![Action::Close { connection: ConnectionId(1) }];
    assert_eq!(placement.poll(1, &mut registry), close);
    assert!(placement.poll(10 * INTERVAL, &mut registry).is_empty());
    placement.on_closed(ConnectionId(1), 2, &mut registry);
    assert_eq!(placement.connections().count(), 0);
    assert_eq!(registry.tokens_of(ConnectionId(1)).count(), 0);
}

#[test]
fn a_replacement_takes_over_the_active_markets_and_the_old_one_is_closed() {
    let (mut registry, mut placement) = (Registry::new(1), Placement::new(1));
    register(&mut registry, 0..30, 0);
    placement.poll(0, &mut registry);
    let (from, to) = (ConnectionId(1), ConnectionId(2));
    (0..10).for_each(|number| _ = registry.mark_expired(&id(number), 1));
    assert_eq!(placement.begin_replacement(&[from], &registry), Ok(to));
    let again = placement.begin_replacement(&[from], &registry);
    assert_eq!(again, Err(ReplaceError::NotReplaceable));
    assert_eq!(opened(&placement.poll(1, &mut registry)), [(to, 40)]);
    assert_eq!(placement.subscription(to, &registry).len(), 40);
    assert_eq!(registry.tokens_of(to).count(), 0, "never on two connections");
    placement.on_active(to, 1);
    assert_eq!(placement.complete_replacement(to, 2, &mut registry), Ok(()));
    assert_eq!(placement.poll(2, &mut registry), [Action::Close { connection: from }]);
    assert_eq!(registry.tokens_of(to).count(), 40);

    let third = placement.begin_replacement(&[to], &registry).unwrap();
    placement.abandon_replacement(third);
    let actions = placement.poll(3, &mut registry);
    assert!(actions.contains(&Action::Close { connection: third }), "{actions:?}");
    assert_eq!(placement.state(to), Some(ConnectionState::Active));
}

#[test]
fn one_replacement_takes_over_from_several_connections_or_from_none() {
    for given_up in [false, true] {
        let (mut registry, mut placement) = (Registry::new(1), Placement::new(1));
        register(&mut registry, 0..600, 0);
        let old = opened(&placement.poll(0, &mut registry));
        let old: Vec<ConnectionId> = old.into_iter().map(|(connection, _)| connection).collect();
        assert_eq!(old.len(), 3);
        let none = placement.begin_replacement(&old, &registry);
        assert_eq!(none, Err(ReplaceError::NotReplaceable), "1200 tokens");
        (0..600).filter(|n| n % 10 > 0).for_each(|n| _ = registry.mark_expired(&id(n), 1));
        let to = placement.begin_replacement(&old, &registry).unwrap();
        assert_eq!(
            placement.begin_replacement(&old[1..], &registry),
            Err(ReplaceError::NotReplaceable)
        );
        assert_eq!(opened(&placement.poll(1, &mut registry)), [(to, 120)]);
        assert_eq!(placement.subscription(to, &registry).len(), 120);
        register(&mut registry, 600..700, 1);
        placement.poll(1, &mut registry);
        assert_eq!(registry.load(to).unwrap().tokens, 200, "what comes meanwhile");
        // All markets of one of them end: it is closed with the others.
        let first: Vec<MarketId> = registry.markets_of(old[0]).map(|r| r.info.market).collect();
        first.iter().for_each(|market| _ = registry.mark_expired(market, 2));
        assert_eq!(placement.poll(2, &mut registry), []);
        let closed = if given_up {
            placement.abandon_replacement(to);
            vec![old[0], to]
        } else {
            placement.complete_replacement(to, 3, &mut registry).unwrap();
            assert_eq!(registry.load(to).unwrap().active(), 280);
            old.clone()
        };
        let mut actions = placement.poll(3, &mut registry);
        actions.sort_by_key(|action| match action {
            Action::Close { connection } => *connection,
            _ => ConnectionId(0),
        });
        let closes = closed.iter().map(|&connection| Action::Close { connection });
        assert_eq!(actions, closes.collect::<Vec<_>>());
        let left = if given_up { old[1] } else { to };
        assert!(placement.is_whole(left));
    }
}

#[test]
fn the_number_of_connections_is_bounded_and_the_rest_is_reported() {
    let (mut registry, mut placement) = (Registry::new(1), Placement::new(1));
    let fits = (limits::CONNECTIONS_PER_SHARD_MAX * limits::TOKENS_PER_CONNECTION_MAX / 2) as u32;
    register(&mut registry, 0..fits + 60, 0);
    placement.poll(0, &mut registry);
    assert_eq!(placement.connections().count(), limits::CONNECTIONS_PER_SHARD_MAX);
    assert_eq!(registry.pending_tokens_total(), 120);
    assert_eq!(placement.shards_without_room().count(), 1);
    assert!(placement.poll(1, &mut registry).is_empty());
    let forced = placement.force_subscribe(&[id(fits + 59)], 1, &mut registry);
    assert_eq!(forced, Err(ForceError::NoConnectionLeft));
    assert!(registry.loads().all(|(_, load)| load.tokens == 500));
}

#[derive(Clone, Debug)]
enum Step {
    Register(u32),
    Expire(u32),
    Remove(u32),
    Pass(u64),
    Up(usize),
    Down(usize),
    Force(u32),
    Check,
    Replace(usize),
    Merge(usize),
    Switch(usize),
    Abandon(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (1u32..300).prop_map(Step::Register),
        2 => (0u32..2000).prop_map(Step::Expire),
        2 => (0u32..2000).prop_map(Step::Remove),
        6 => (0u64..45).prop_map(|s| Step::Pass(s * SECOND_NS)),
        3 => any::<usize>().prop_map(Step::Up),
        1 => any::<usize>().prop_map(Step::Down),
        1 => (0u32..2000).prop_map(Step::Force),
        1 => Just(Step::Check),
        1 => any::<usize>().prop_map(Step::Replace),
        2 => any::<usize>().prop_map(Step::Merge),
        1 => any::<usize>().prop_map(Step::Switch),
        1 => any::<usize>().prop_map(Step::Abandon),
    ];
    prop::collection::vec(step, 1..60)
}

const SHARDS: u16 = 3;

fn apply(step: Step, now: &mut u64, next: &mut u32, registry: &mut Registry, p: &mut Placement) {
    let all: Vec<ConnectionId> = p.connections().map(|open| open.id).collect();
    let pick = |n: usize| all.get(n % all.len().max(1)).copied().unwrap_or(ConnectionId(0));
    match step {
        Step::Register(count) => {
            register(registry, *next..*next + count, *now);
            *next += count;
        }
        // Whole stretches, so that connections run empty.
        Step::Expire(n) => (n..n + 150).for_each(|n| _ = registry.mark_expired(&id(n), *now)),
        Step::Remove(n) => (n..n + 150).for_each(|n| _ = registry.remove(&id(n))),
        Step::Pass(ns) => *now += ns,
        Step::Up(n) => p.on_active(pick(n), *now),
        Step::Down(n) => p.on_waiting(pick(n), "test"),
        Step::Force(n) => {
            let markets: Vec<MarketId> = (n..n + 300).map(id).collect();
            _ = p.force_subscribe(&markets, *now, registry);
        }
        Step::Check => p.request_check(),
        Step::Replace(n) => _ = p.begin_replacement(&[pick(n)], registry),
        Step::Merge(n) => {
            let shard = p.shard(pick(n));
            let mut of_shard = all.clone();
            of_shard.retain(|connection| p.shard(*connection) == shard);
            of_shard.truncate(2 + n % 3);
            _ = p.begin_replacement(&of_shard, registry);
        }
        Step::Switch(n) => _ = p.complete_replacement(pick(n), *now, registry),
        Step::Abandon(n) => p.abandon_replacement(pick(n)),
    }
}

fn check(actions: &[Action], now: u64, registry: &Registry, placement: &Placement) {
    let mut placed = std::collections::HashSet::new();
    for OpenConnection { id: connection, shard, state } in placement.connections() {
        let tokens: Vec<TokenId> = registry.tokens_of(connection).collect();
        assert!(tokens.len() <= limits::TOKENS_PER_CONNECTION_MAX);
        assert!(tokens.iter().all(|token| placed.insert(*token)), "a token on two connections");
        assert!(placement.subscription(connection, registry).len() <= 500);
        for record in registry.markets_of(connection) {
            assert_eq!(record.shard, shard);
            assert_eq!(shard_of(record.info.market.as_bytes(), SHARDS), shard);
            assert!(record.info.tokens.iter().all(|outcome| tokens.contains(&outcome.token)));
        }
        let idle = registry.active_tokens_of(connection).next().is_none();
        let closing = state == ConnectionState::Closing;
        let closes = actions.contains(&Action::Close { connection });
        assert!(!closing || idle || closes, "a closing connection carries nothing for long");
        assert!(
            closing
                || !idle
                || !placement.replaces(connection).is_empty()
                || placement.is_merged(connection),
            "idle is closed"
        );
    }
    for shard in (0..SHARDS).map(ShardId) {
        if let Some(since) = registry.oldest_pending_since(shard) {
            assert!(now - since < 2 * INTERVAL, "a market waits too long");
        }
        let open = placement.connections().filter(|open| open.shard == shard);
        assert!(open.count() <= limits::CONNECTIONS_PER_SHARD_MAX);
    }
    for action in actions {
        if let Action::Open { tokens, .. } = action {
            assert!(!tokens.is_empty() && tokens.len() <= limits::TOKENS_PER_CONNECTION_MAX);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn its_promises_hold_whatever_happens(steps in steps()) {
        let (mut registry, mut placement) = (Registry::new(SHARDS), Placement::new(SHARDS));
        let (mut now, mut next) = (0, 0);
        for step in steps {
            apply(step, &mut now, &mut next, &mut registry, &mut placement);
            let actions = placement.poll(now, &mut registry);
            check(&actions, now, &registry, &placement);
            for action in actions {
                if let Action::Close { connection } = action {
                    placement.on_closed(connection, now, &mut registry);
                }
            }
        }
    }
}
