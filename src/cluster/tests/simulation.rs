//! Members against a model of the group protocol, in virtual time.
//!
//! Runs on:  tests.
//!
//! They join, leave, die and are cut off; assignments and claims are late; two own a slice at once.
use crate::base::limits::{
    CLUSTER_CLAIM_NS, CLUSTER_HOLD_NS, CLUSTER_LIVE_NS, CLUSTER_OVERLAP_NS, CLUSTER_SESSION_NS,
};
use crate::base::random::{Random, mix};
use crate::base::slices::SliceSet;
use crate::base::time::{MILLISECOND_NS, SECOND_NS};
use crate::cluster::Member;
use crate::cluster::claim::ClaimState;

const TICK_NS: u64 = 200 * MILLISECOND_NS;
/// Slices that the model's topic has.
const COUNT: u8 = 12;
/// Time with events, and without.
const BUSY_NS: u64 = 240 * SECOND_NS;
const QUIET_NS: u64 = 90 * SECOND_NS;

#[derive(Debug)]
struct Node {
    member: Member,
    is_alive: bool,
    is_connected: bool,
    is_leaving: bool,
    /// Its number in the group; 0 while it is in none. A member that comes back has another.
    id: u64,
    generation: u64,
    contact_ns: u64,
    /// How much later than the broker it notices the end of its session.
    late_ns: u64,
    /// Claims on their way: when they arrive.
    claims: Vec<(u64, u8, ClaimState)>,
    /// Records of each slice that it has read, and from when it reads on.
    read: [usize; COUNT as usize],
    read_ns: u64,
    /// When the books of a slice that it follows are live.
    live_ns: [Option<u64>; COUNT as usize],
}

/// A member as the broker knows it.
#[derive(Debug)]
struct Known {
    id: u64,
    beat_ns: u64,
    has_joined: bool,
    /// What it has in the present generation, and when it learns of it.
    slices: SliceSet,
    assigned_ns: u64,
}

#[derive(Debug, Default)]
struct Broker {
    known: Vec<Known>,
    generation: u64,
    /// Since when members are asked to join again.
    rebalance_ns: Option<u64>,
    log: Vec<Vec<(usize, ClaimState)>>,
}

struct World {
    random: Random,
    now_ns: u64,
    nodes: Vec<Node>,
    broker: Broker,
    next_id: u64,
    /// Nobody dies, is cut off or fails to open a book.
    is_planned: bool,
    /// Since when each slice is not published.
    unserved_ns: [Option<u64>; COUNT as usize],
    /// Since when all is live, the first time.
    settled: bool,
    moves: u64,
}

impl Broker {
    /// Every member is to join again.
    fn rebalance(&mut self, now_ns: u64) {
        self.rebalance_ns = Some(now_ns);
        self.known.iter_mut().for_each(|known| known.has_joined = false);
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            random: Random::new(seed),
            now_ns: SECOND_NS,
            nodes: Vec::new(),
            broker: Broker { log: vec![Vec::new(); COUNT.into()], ..Broker::default() },
            next_id: 0,
            is_planned: seed.is_multiple_of(3),
            unserved_ns: [None; COUNT as usize],
            settled: false,
            moves: 0,
        };
        for _ in 0..=world.random.below(3) {
            world.add();
        }
        world
    }

    fn add(&mut self) {
        self.nodes.push(Node {
            member: Member::default(),
            is_alive: true,
            is_connected: true,
            is_leaving: false,
            id: 0,
            generation: 0,
            contact_ns: self.now_ns,
            late_ns: self.random.below(3 * SECOND_NS),
            claims: Vec::new(),
            read: [0; COUNT as usize],
            read_ns: 0,
            live_ns: [None; COUNT as usize],
        });
    }

    fn run(mut self, seed: u64) -> u64 {
        let mut next_ns = self.now_ns + 20 * SECOND_NS;
        while self.now_ns < BUSY_NS {
            if self.now_ns >= next_ns {
                self.disturb();
                next_ns = self.now_ns + SECOND_NS * (3 + self.random.below(40));
            }
            self.tick(seed);
        }
        self.nodes.iter_mut().for_each(|node| node.is_connected = true);
        if self.nodes.iter().all(|node| !node.is_alive || node.is_leaving) {
            self.add();
        }
        let end_ns = self.now_ns + QUIET_NS;
        while self.now_ns < end_ns {
            self.tick(seed);
        }
        self.check_healed(seed);
        self.moves
    }

    fn disturb(&mut self) {
        let count = self.nodes.len() as u64;
        let place = self.random.below(count) as usize;
        let stay = self.nodes.iter().filter(|node| node.is_alive && !node.is_leaving).count();
        let event = self.random.below(if self.is_planned { 2 } else { 5 });
        let node = &mut self.nodes[place];
        let is_there = node.is_alive && !node.is_leaving;
        match event {
            0 if stay < 5 => self.add(),
            // The last one that is connected stays.
            1 if is_there && stay > 1 => {
                node.is_leaving = true;
                let now_ns = self.now_ns;
                node.member.leave(now_ns);
                let id = std::mem::take(&mut node.id);
                self.broker.known.retain(|known| known.id != id);
                self.broker.rebalance(now_ns);
            }
            2 if node.is_alive && stay > 1 => node.is_alive = false,
            3 if is_there => node.is_connected = !node.is_connected,
            4 => node.is_connected = true,
            _ => {}
        }
    }

    fn tick(&mut self, seed: u64) {
        self.now_ns += TICK_NS;
        self.step_broker();
        for place in 0..self.nodes.len() {
            if self.nodes[place].is_alive {
                self.step_node(place);
            }
        }
        self.check(seed);
    }

    fn step_broker(&mut self) {
        let Self { broker, random, now_ns, .. } = self;
        let now_ns = *now_ns;
        let before = broker.known.len();
        broker.known.retain(|known| now_ns <= known.beat_ns + CLUSTER_SESSION_NS);
        if broker.known.len() < before && broker.rebalance_ns.is_none() {
            broker.rebalance(now_ns);
        }
        let Some(since_ns) = broker.rebalance_ns else { return };
        let all = broker.known.iter().all(|known| known.has_joined);
        if !all && now_ns < since_ns + CLUSTER_SESSION_NS || now_ns < since_ns + SECOND_NS {
            return;
        }
        broker.rebalance_ns = None;
        broker.known.retain(|known| known.has_joined);
        broker.known.sort_by_key(|known| mix(known.id));
        broker.generation += 1;
        let count = broker.known.len();
        for (place, known) in broker.known.iter_mut().enumerate() {
            let all = usize::from(COUNT);
            let slices = place * all / count..(place + 1) * all / count;
            known.slices = slices.map(|slice| slice as u8).collect();
            let late_ns = if random.chance(1, 10) { 4 * SECOND_NS } else { SECOND_NS / 2 };
            known.assigned_ns = now_ns + random.below(late_ns);
        }
    }

    fn step_node(&mut self, place: usize) {
        self.deliver_claims(place);
        self.beat(place);
        let Self { nodes, broker, random, now_ns, is_planned, .. } = self;
        let (now_ns, node) = (*now_ns, &mut nodes[place]);
        if node.is_connected && now_ns >= node.read_ns {
            node.read_ns = now_ns + random.below(SECOND_NS);
            for slice in 0..COUNT {
                let log = &broker.log[usize::from(slice)];
                for (owner, state) in &log[node.read[usize::from(slice)]..] {
                    node.member.on_claim(slice, *owner == place, *state, now_ns);
                }
                node.read[usize::from(slice)] = log.len();
            }
        }
        let followed = node.member.followed();
        for slice in 0..COUNT {
            let live_ns = &mut node.live_ns[usize::from(slice)];
            match followed.contains(slice) {
                false => *live_ns = None,
                true if live_ns.is_none() => {
                    let never = !*is_planned && random.chance(1, 50);
                    let opens_ns = now_ns + 200 * MILLISECOND_NS + random.below(8 * SECOND_NS);
                    *live_ns = Some(if never { u64::MAX } else { opens_ns });
                }
                true => {}
            }
        }
        let live = (0..COUNT).filter(|&slice| node.is_live(slice, now_ns)).collect();
        for (slice, state) in node.member.poll(live, now_ns) {
            let late = if random.chance(1, 30) { 6 * SECOND_NS } else { SECOND_NS };
            node.claims.push((now_ns + random.below(late), slice, state));
        }
        if node.is_leaving && node.member.has_left(now_ns) {
            for slice in node.member.claimed().iter() {
                broker.log[usize::from(slice)].push((place, ClaimState::Released));
            }
            node.is_alive = false;
        }
    }

    /// Claims arrive, or fail after a while.
    fn deliver_claims(&mut self, place: usize) {
        let Self { nodes, broker, random, now_ns, .. } = self;
        let node = &mut nodes[place];
        let mut left = Vec::new();
        for (at_ns, slice, state) in std::mem::take(&mut node.claims) {
            if *now_ns < at_ns {
                left.push((at_ns, slice, state));
            } else if random.chance(1, 50) || *now_ns > at_ns + CLUSTER_CLAIM_NS {
                node.member.on_claim_failed(slice);
            } else if node.is_connected {
                broker.log[usize::from(slice)].push((place, state));
            } else {
                left.push((at_ns, slice, state));
            }
        }
        node.claims = left;
    }

    /// Joins, beats, learns what it has, or notices that its session has ended.
    fn beat(&mut self, place: usize) {
        let Self { nodes, broker, now_ns, next_id, random, moves, .. } = self;
        let (now_ns, node) = (*now_ns, &mut nodes[place]);
        let known = broker.known.iter_mut().find(|known| known.id == node.id);
        let is_over = if node.is_connected {
            node.contact_ns = now_ns;
            node.id > 0 && known.is_none()
        } else {
            node.id > 0 && now_ns > node.contact_ns + CLUSTER_SESSION_NS + node.late_ns
        };
        if is_over {
            node.member.on_revoked(node.member.assigned(), true);
            node.id = 0;
            return;
        }
        if !node.is_connected || node.is_leaving {
            return;
        }
        let Some(known) = known else {
            *next_id += 1;
            (node.id, node.generation) = (*next_id, 0);
            broker.rebalance(now_ns);
            broker.known.push(Known {
                id: node.id,
                beat_ns: now_ns,
                has_joined: true,
                slices: SliceSet::default(),
                assigned_ns: 0,
            });
            return;
        };
        known.beat_ns = now_ns;
        if broker.rebalance_ns.is_some() {
            if !known.has_joined && random.chance(1, 5) {
                node.member.on_revoked(node.member.assigned(), false);
                known.has_joined = true;
            }
        } else if node.generation != broker.generation && now_ns >= known.assigned_ns {
            node.generation = broker.generation;
            node.member.on_assigned(known.slices);
            *moves += 1;
        }
    }

    fn check(&mut self, seed: u64) {
        let now_ns = self.now_ns;
        let is_there = |node: &Node| node.is_alive && node.is_connected;
        let any = self.nodes.iter().any(|node| is_there(node) && !node.is_leaving);
        let there = self.nodes.iter().filter(|node| is_there(node));
        let there: Vec<(&Node, SliceSet)> = there.map(|n| (n, n.member.published())).collect();
        let mut all_live = true;
        for slice in 0..COUNT {
            let mut owners = there.iter().filter(|(_, published)| published.contains(slice));
            let has_owner = owners.clone().next().is_some();
            let is_live = owners.any(|(node, _)| node.is_live(slice, now_ns));
            assert!(
                !(self.is_planned && self.settled) || is_live,
                "seed {seed}: slice {slice} has a gap in a planned move at {} ms",
                now_ns / MILLISECOND_NS
            );
            all_live &= is_live;
            let since_ns = &mut self.unserved_ns[usize::from(slice)];
            if has_owner || !any {
                *since_ns = None;
            } else {
                let passed_ns = now_ns - *since_ns.get_or_insert(now_ns);
                let most_ns = CLUSTER_SESSION_NS + CLUSTER_LIVE_NS;
                assert!(passed_ns <= most_ns, "seed {seed}: slice {slice} has no member");
            }
        }
        self.settled |= all_live;
    }

    /// Exactly one member follows each slice: the one whose claim is the last, and live.
    fn check_healed(&self, seed: u64) {
        for slice in 0..COUNT {
            let follows = |node: &Node| node.is_alive && node.member.followed().contains(slice);
            let places = (0..self.nodes.len()).filter(|&place| follows(&self.nodes[place]));
            let places: Vec<usize> = places.collect();
            let last = self.broker.log[usize::from(slice)].last().copied();
            let is_right = places.len() == 1 && last == Some((places[0], ClaimState::Live));
            assert!(is_right, "seed {seed}: slice {slice} is followed by {places:?}, {last:?}");
        }
    }
}

impl Node {
    fn is_live(&self, slice: u8, now_ns: u64) -> bool {
        self.live_ns[usize::from(slice)].is_some_and(|live_ns| live_ns <= now_ns)
    }
}

fn run(seeds: std::ops::Range<u64>) {
    const { assert!(QUIET_NS > CLUSTER_HOLD_NS + CLUSTER_LIVE_NS + CLUSTER_OVERLAP_NS) };
    let moves: u64 = seeds.clone().map(|seed| World::new(seed).run(seed)).sum();
    assert!(moves > 4 * (seeds.end - seeds.start), "{moves} assignments");
}

#[test]
fn slices_are_followed_by_one_member_whatever_happens() {
    run(0..30);
}

#[test]
#[ignore = "long: 1,000 seeds"]
fn a_thousand_seeds() {
    run(0..1_000);
}
