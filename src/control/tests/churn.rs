//! Births and deaths of markets: how many connections are open, and how many are necessary.
//!
//! Runs on:  test threads.
use super::fixture::{at, info};
use crate::base::id::{ConnectionId, MarketId};
use crate::base::limits;
use crate::base::random::Random;
use crate::base::time::{MILLISECOND_NS, SECOND_NS};
use crate::control::placement::{Action, Placement};
use crate::control::recycler::{Candidate, Decision, Recycler};
use crate::control::registry::{Registry, Source, Status};
use crate::counter::shard::HandoverCounts;
use std::collections::BTreeMap;

/// Births and deaths, with placement and recycler in virtual time; snapshots and dials take their usual time.
struct Churn {
    registry: Registry,
    placement: Placement,
    recycler: Recycler,
    /// Connections by when they are up, and when they were.
    dials: BTreeMap<ConnectionId, u64>,
    up: BTreeMap<ConnectionId, u64>,
    /// Replacements under way: when every snapshot is there, when the switch is done.
    replaced: BTreeMap<ConnectionId, (u64, u64)>,
    living: Vec<MarketId>,
    random: Random,
    born: u32,
    now: u64,
}

impl Churn {
    fn new(shards: u16) -> Self {
        Self {
            registry: Registry::new(shards),
            placement: Placement::new(shards),
            recycler: Recycler::default(),
            dials: BTreeMap::new(),
            up: BTreeMap::new(),
            replaced: BTreeMap::new(),
            living: Vec::new(),
            random: Random::new(7),
            born: 0,
            now: 0,
        }
    }

    fn bear(&mut self, source: Source) {
        let info = info(self.born);
        self.born += 1;
        self.living.push(info.market);
        self.registry.register(info, self.now, source);
    }

    fn bury(&mut self, place: usize) {
        let market = self.living.remove(place);
        self.registry.mark_expired(&market, self.now);
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Open { connection, .. } => {
                    self.dials.insert(connection, self.now + 300 * MILLISECOND_NS);
                }
                Action::Close { connection } => {
                    self.dials.remove(&connection);
                    self.up.remove(&connection);
                    self.placement.on_closed(connection, self.now, &mut self.registry);
                }
                Action::Subscribe { .. } | Action::Unsubscribe { .. } => {}
            }
        }
    }

    fn with_markets(shards: u16, markets: usize) -> Self {
        let mut churn = Self::new(shards);
        (0..markets).for_each(|_| churn.bear(Source::Catalog));
        churn.placement.request_check();
        churn
    }

    /// A second after the first connections opened, so many of a hundred markets end at once.
    fn after_shrink(shards: u16, markets: usize, percent: usize) -> Self {
        let mut churn = Self::with_markets(shards, markets);
        (0..4).for_each(|_| churn.step());
        (0..markets * percent / 100).for_each(|_| churn.bury_any());
        churn
    }

    fn bury_any(&mut self) {
        let place = self.random.below(self.living.len() as u64) as usize;
        self.bury(place);
    }

    /// A quarter of a second.
    fn step(&mut self) {
        self.now += limits::RECYCLE_INTERVAL_NS;
        let now = at(self.now);
        let dials: Vec<ConnectionId> =
            self.dials.iter().filter(|(_, at)| **at <= self.now).map(|(id, _)| *id).collect();
        for connection in dials {
            self.dials.remove(&connection);
            self.up.insert(connection, self.now);
            self.placement.on_active(connection, self.now);
            self.recycler.on_up(connection, self.now);
        }
        for (&to, &mut (ref mut filled_ns, switched_ns)) in &mut self.replaced {
            if *filled_ns == 0 && self.up.contains_key(&to) {
                *filled_ns = self.now + 2 * SECOND_NS;
            }
            if *filled_ns > 0 && self.now >= *filled_ns && switched_ns == 0 {
                self.recycler.on_owing(to, 0, self.now);
            }
            if switched_ns > 0 && self.now >= switched_ns {
                self.recycler.on_handed_over(to, HandoverCounts::default(), now);
                self.placement.complete_replacement(to, self.now, &mut self.registry).unwrap();
            }
        }
        let now_ns = self.now;
        self.replaced.retain(|_, (_, switched_ns)| *switched_ns == 0 || now_ns < *switched_ns);
        let candidates: Vec<Candidate> = self
            .up
            .iter()
            .filter(|(id, _)| self.placement.is_whole(**id))
            .filter_map(|(&connection, &up_ns)| {
                let load = self.registry.load(connection)?;
                let (tokens, tokens_expired) = (load.tokens, load.tokens_expired);
                let (age_ns, live) = (self.now - up_ns, load.active());
                let shard = self.placement.shard(connection)?;
                Some(Candidate { connection, shard, age_ns, tokens, tokens_expired, live })
            })
            .collect();
        for decision in self.recycler.poll(self.now, &candidates) {
            match decision {
                Decision::Begin { from, reason } => {
                    let to = self.placement.begin_replacement(&from, &self.registry).unwrap();
                    self.recycler.on_begun(&from, to, reason, Vec::new(), now);
                    self.replaced.insert(to, (0, 0));
                }
                Decision::Switch { to } => {
                    self.replaced.get_mut(&to).unwrap().1 = self.now + SECOND_NS;
                }
                Decision::Abandon { to, why } => {
                    self.recycler.fail(to, why, self.now);
                    self.placement.abandon_replacement(to);
                    self.replaced.remove(&to);
                }
            }
        }
        let actions = self.placement.poll(self.now, &mut self.registry);
        self.act(actions);
    }

    /// Connections, without those that take over from another at the moment, and those that are
    /// necessary at the target.
    fn connections(&self) -> (usize, usize) {
        let open = self.placement.connections();
        let open = open.filter(|open| self.placement.replaces(open.id).is_empty()).count();
        let mut tokens = vec![0; usize::from(self.registry.shards())];
        for record in self.registry.with_status(Status::Subscribed) {
            tokens[usize::from(record.shard.0)] += record.info.tokens.len();
        }
        let target = limits::TOKENS_PER_CONNECTION_TARGET;
        (open, tokens.iter().map(|tokens: &usize| tokens.div_ceil(target)).sum())
    }
}

#[test]
fn after_most_markets_have_ended_few_connections_more_than_are_necessary_are_left() {
    // How many of a hundred end, and whether births and deaths go on at one a second each.
    let ends =
        [(38, false), (45, false), (50, false), (62, false), (75, true), (85, false), (95, true)];
    for (shards, markets) in [(1, 2_000), (2, 3_000)] {
        for (percent, churns) in ends {
            let mut churn = Churn::after_shrink(shards, markets, percent);
            let (before, _) = churn.connections();
            for step in 0..1_800 * 4 {
                if churns && step % 4 == 0 {
                    churn.bury_any();
                    churn.bear(Source::Stream);
                }
                churn.step();
            }
            let (open, necessary) = churn.connections();
            let report = churn.recycler.report();
            let what = format!(
                "{shards} shards, {percent} % end, then churn {churns}: {before} connections become {open}, {necessary} are necessary"
            );
            // Where markets are born, a shard of few connections has one that is being filled.
            let bound = if churns { necessary + usize::from(shards) } else { 5 * necessary / 4 };
            assert!(open <= bound.max(5 * necessary / 4), "{what}");
            // One that is merged is not merged again and again, but when half of a connection's tokens are new.
            let born = if churns { 1_800 * 2 } else { 0 };
            let merged_max = before + 2 * born / limits::TOKENS_PER_CONNECTION_TARGET;
            assert!(report.connections_merged <= merged_max as u64, "{what}: {report:?}");
        }
    }
}

#[test]
fn an_hour_of_births_and_deaths_needs_few_connections_more_than_are_necessary() {
    // Who dies: anybody, the oldest, or one of the youngest fifth, beside markets that last.
    let random = |random: &mut Random, living: usize| random.below(living as u64) as usize;
    let oldest = |_: &mut Random, _: usize| 0;
    let young =
        |random: &mut Random, living: usize| living - 1 - random.below(living as u64 / 5) as usize;
    type Death = fn(&mut Random, usize) -> usize;
    let deaths: [(&str, Death); 3] =
        [("anybody", random), ("the oldest", oldest), ("the young", young)];
    for (shards, markets) in [(1, 877), (2, 1_700)] {
        for (who, death) in deaths {
            let mut churn = Churn::with_markets(shards, markets);
            for step in 0..3_600 * 4 {
                if step % 4 == 0 {
                    let place = death(&mut churn.random, churn.living.len());
                    churn.bury(place);
                    churn.bear(Source::Stream);
                }
                churn.step();
                assert_eq!(churn.registry.pending_tokens_total(), 0, "nobody waits");
            }
            let (open, necessary) = churn.connections();
            assert!(4 * open <= 5 * necessary, "{who}: {open} connections for {necessary}");
        }
    }
}

/// The second half hour after an hour in which births and deaths go on at one a second.
fn check_after_shrink(shards: u16, markets: usize, percent: usize) {
    let mut churn = Churn::after_shrink(shards, markets, percent);
    let (before, _) = churn.connections();
    let (mut sum_open, mut sum_necessary) = (0, 0);
    for step in 0..5_400 * 4 {
        if step % 4 == 0 {
            churn.bury_any();
            churn.bear(Source::Stream);
        }
        churn.step();
        if step >= 3_600 * 4 && step % 40 == 0 {
            let (open, necessary) = churn.connections();
            // A shard whose active tokens come to the target again and again has one more for a while.
            let bound = (5 * necessary).div_ceil(4).max(necessary + usize::from(shards));
            assert!(open <= bound, "{shards} shards, {percent} %: {open} for {necessary}");
            (sum_open, sum_necessary) = (sum_open + open, sum_necessary + necessary);
        }
    }
    let (report, ratio) = (churn.recycler.report(), 100 * sum_open / sum_necessary);
    let what = format!(
        "{shards} shards, {percent} % of {markets} end: {before} connections, then {ratio} % of the necessary"
    );
    assert!(4 * sum_open <= 5 * sum_necessary, "{what}");
    // A replacement that is no merge is paid for by expired tokens; connections are at least half full.
    let expired = 2 * (5_400 + markets * percent / 100);
    let half = limits::TOKENS_PER_CONNECTION_TARGET / 2;
    let paid = 100 * expired / (half * limits::RECYCLE_POLLUTION_PERCENT);
    assert!(report.initiated <= report.merges + paid as u64, "{what}: {}", report.initiated);
}

#[test]
fn after_a_fifth_to_a_third_of_the_markets_have_ended_births_and_deaths_repack_the_others() {
    for (shards, markets) in [(1, 1_200), (1, 2_000), (2, 1_200), (3, 800), (3, 1_600)] {
        [20, 25, 30, 37].into_iter().for_each(|p| check_after_shrink(shards, markets, p));
    }
}
