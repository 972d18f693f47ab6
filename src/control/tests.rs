//! The pure parts together: a catalog of the venue's size is subscribed, lost and subscribed again.
pub(crate) mod fixture;

use super::dial::DialError;
use super::dial_queue::{Dial, DialQueue};
use super::dialer::pause_of;
use super::discovery::Discovery;
use super::lifecycle::{Lifecycle, LifecycleOptions};
use super::placement::{Action, ConnectionState, Placement};

use super::recycler::{Candidate, Decision, Recycler};
use super::registry::{Registry, Source, Status};
use crate::base::id::{ConnectionId, MarketId, TokenId};
use crate::base::limits;
use crate::base::random::Random;
use crate::base::time::{MILLISECOND_NS, SECOND_NS};
use crate::counter::shard::HandoverCounts;
use crate::market::info::{Closed, Resolution};
use crate::venue::polymarket::catalog::Page;
use crate::wire::{http::RetryAfter, websocket::WebSocketError};
use fixture::{POLYMARKET, at, info};
use std::collections::{BTreeMap, HashSet};

const SHARDS: u16 = 2;
const MARKETS: u32 = 20_000;
const STEP_NS: u64 = 10 * MILLISECOND_NS;

struct Engine {
    now: u64,
    registry: Registry,
    placement: Placement,
    discovery: Discovery,
    lifecycle: Lifecycle,
    dials: DialQueue,
    /// What each open socket is subscribed to.
    sockets: std::collections::BTreeMap<ConnectionId, HashSet<TokenId>>,
    listed: u32,
    accepts: bool,
}

impl Engine {
    fn new() -> Self {
        let options = LifecycleOptions { scanning: true, ..LifecycleOptions::default() };
        Self {
            now: 0,
            registry: Registry::new(SHARDS),
            placement: Placement::new(SHARDS),
            discovery: Discovery::new(POLYMARKET, true, 1),
            lifecycle: Lifecycle::new(options),
            dials: DialQueue::new(1),
            sockets: Default::default(),
            listed: MARKETS,
            accepts: true,
        }
    }

    /// One cycle of the control core, with a venue that answers at once.
    fn step(&mut self) {
        self.now += STEP_NS;
        let now = at(self.now);
        if let Some(request) = self.discovery.poll(self.now) {
            let cursor =
                request.path.rsplit_once("after_cursor=").map_or("0", |(_, cursor)| cursor);
            let from: u32 = cursor.parse().unwrap();
            let to = (from + limits::DISCOVERY_PAGE_MARKETS as u32).min(self.listed);
            let mut page = Page { markets: (from..to).map(info).collect(), ..Page::default() };
            page.next_cursor = (to < self.listed).then(|| to.to_string());
            if request.path.contains("closed=true") {
                let ids = request.path.split("condition_ids=").skip(1);
                let id = |text: &str| MarketId::new(text.trim_end_matches('&')).unwrap();
                let closed = ids
                    .map(|number| Closed { market: id(number), resolution: Resolution::default() });
                page = Page { closed: closed.collect(), ..Page::default() };
            }
            let answer = self.discovery.on_page(now, page);
            if answer.scan_completed {
                self.placement.request_check();
            }
            self.lifecycle.on_answer(now, answer, &mut self.registry);
        }
        let upkeep = self.lifecycle.poll(now, &mut self.registry);
        self.discovery.confirm(upkeep.confirm);
        upkeep.actions.into_iter().for_each(|action| self.act(action));
        let actions = self.placement.poll(self.now, &mut self.registry);
        actions.into_iter().for_each(|action| self.act(action));
        while let Some(Dial { connection, .. }) = self.dials.poll(self.now) {
            self.placement.on_dialing(connection);
            if self.accepts {
                let tokens = self.placement.subscription(connection, &self.registry);
                self.sockets.insert(connection, tokens.into_iter().collect());
                self.dials.on_success(connection, self.now);
                self.placement.on_active(connection, self.now);
            } else {
                self.dials.on_failure(connection, self.now, None);
                self.placement.on_waiting(connection, "refused");
            }
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Open { connection, .. } => self.dials.request(connection, self.now),
            Action::Subscribe { connection, tokens } => {
                if let Some(socket) = self.sockets.get_mut(&connection) {
                    socket.extend(tokens);
                }
            }
            Action::Unsubscribe { connection, tokens } => {
                if let Some(socket) = self.sockets.get_mut(&connection) {
                    tokens.iter().for_each(|token| _ = socket.remove(token));
                }
            }
            Action::Close { connection } => {
                self.dials.cancel(connection);
                self.sockets.remove(&connection);
                self.placement.on_closed(connection, self.now, &mut self.registry);
            }
        }
    }

    fn run(&mut self, seconds: u64) {
        (0..seconds * SECOND_NS / STEP_NS).for_each(|_| self.step());
    }

    /// Every active token is on exactly one socket, and no socket has more than it may.
    fn check(&self) {
        let mut seen = HashSet::new();
        for (connection, tokens) in &self.sockets {
            assert!(tokens.len() <= limits::TOKENS_PER_CONNECTION_MAX);
            assert!(tokens.iter().all(|token| seen.insert(*token)), "twice, on {connection}");
        }
        let active = self.registry.report().tokens_subscribed as usize;
        assert!(seen.len() >= active, "{} tokens on sockets, {active} active", seen.len());
        assert_eq!(self.registry.pending_tokens_total(), 0);
        for open in self.placement.connections() {
            assert_eq!(open.state, ConnectionState::Active);
            assert!(self.registry.active_tokens_of(open.id).all(|token| seen.contains(&token)));
        }
    }
}

#[test]
fn a_whole_catalog_is_subscribed_lost_regained_and_given_up() {
    let mut engine = Engine::new();
    engine.run(30);
    engine.check();
    let report = engine.registry.report();
    assert_eq!((report.markets, report.tokens_subscribed), (20_000, 40_000));
    assert!((100..=104).contains(&engine.sockets.len()), "{} sockets", engine.sockets.len());

    // Every connection drops; the venue stays away for two minutes.
    engine.accepts = false;
    for connection in std::mem::take(&mut engine.sockets).into_keys() {
        engine.placement.on_waiting(connection, "reset");
        engine.dials.request(connection, engine.now);
    }
    engine.run(120);
    assert!(engine.sockets.is_empty());
    engine.accepts = true;
    engine.run(13); // A probe within 1 s, then 104 dials at 10 a second.
    engine.check();
    assert_eq!(engine.placement.report(&engine.registry).reconnects as usize, engine.sockets.len());

    // New markets find a place within two intervals; those that are closed lose theirs.
    engine.listed = MARKETS + 10;
    engine.run(140);
    engine.check();
    assert_eq!(engine.registry.report().tokens_subscribed, 40_020);
    engine.listed = 1_000;
    engine.run(140);
    engine.check();
    let report = engine.registry.report();
    assert_eq!(report.tokens_subscribed, 2_000);
    let polluted = engine.placement.report(&engine.registry);
    assert!(polluted.connections.iter().all(|connection| connection.pollution < 1.0));
    assert!(engine.sockets.len() < 10, "{} sockets", engine.sockets.len());
}

/// `Retry-After` of a refused upgrade in all its forms; the dial queue bounds what is asked for.
#[test]
fn a_refused_upgrade_says_how_long_no_connection_dials() {
    let wall_ns = 1_000 * SECOND_NS;
    let pause = |status, text: &str| {
        let retry_after = RetryAfter::parse(text);
        let refused = WebSocketError::Refused { status, retry_after, location: None };
        pause_of(&DialError::WebSocket(refused), wall_ns)
    };
    let date = "Thu, 01 Jan 1970 00:17:00 GMT";
    assert_eq!(pause(429, date), Some(20 * SECOND_NS));
    assert_eq!(pause(503, date), Some(20 * SECOND_NS));
    assert_eq!(pause(429, "20"), Some(20 * SECOND_NS));
    let default = Some(limits::RETRY_AFTER_DEFAULT_NS);
    for text in ["", "soon", "0", "Thu, 01 Jan 1970 00:10:00 GMT"] {
        assert_eq!(pause(429, text), default, "{text}");
    }
    assert_eq!((pause(503, ""), pause(403, "soon")), (None, None));

    let mut dials = DialQueue::new(7);
    dials.request(ConnectionId(1), 0);
    let dial = dials.poll(0).unwrap();
    let huge = pause(429, "99999999999999999999");
    dials.on_failure(dial.connection, 0, huge);
    assert_eq!(dials.poll(limits::RETRY_AFTER_MAX_NS - 1), None);
    assert!(dials.poll(2 * limits::RETRY_AFTER_MAX_NS).is_some());
}

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
            let mut churn = Churn::new(shards);
            (0..markets).for_each(|_| churn.bear(Source::Catalog));
            churn.placement.request_check();
            (0..4).for_each(|_| churn.step());
            for _ in 0..markets * percent / 100 {
                let place = churn.random.below(churn.living.len() as u64) as usize;
                churn.bury(place);
            }
            let (before, _) = churn.connections();
            for step in 0..1_800 * 4 {
                if churns && step % 4 == 0 {
                    let place = churn.random.below(churn.living.len() as u64) as usize;
                    churn.bury(place);
                    churn.bear(Source::Stream);
                }
                churn.step();
            }
            let (open, necessary) = churn.connections();
            let report = churn.recycler.report();
            let what = format!(
                "{shards} shards, {percent} % end, then churn {churns}: {before} connections become {open}, {necessary} are necessary"
            );
            eprintln!("{what}; {} merges of {}", report.merges, report.initiated);
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
            let mut churn = Churn::new(shards);
            (0..markets).for_each(|_| churn.bear(Source::Catalog));
            churn.placement.request_check();
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
            eprintln!("{who}, {shards} shards: {open} connections, {necessary} are necessary");
            assert!(4 * open <= 5 * necessary, "{who}: {open} connections for {necessary}");
        }
    }
}
