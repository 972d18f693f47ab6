//! Who among the local clients has a place, and who gives it up for a newcomer.
//!
//! Runs on:  serve core. Owns: one record a client.
//! Bounds:   [`Bounds`]: ordinary places, and reserved ones in which only `/health` and `/metrics` are answered.
//!
//! Order is told by a count of events instead of a clock: who became idle first has been idle for longest.
use super::event::Event;
use crate::base::limits::{
    SERVE_CLIENTS_MAX, SERVE_CLIENTS_MIN, SERVE_FILES_ELSEWHERE, SERVE_RESERVED_MAX,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// How many clients there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Clients to which everything is answered.
    pub clients: usize,
    /// Clients beyond them to which only `/health` and `/metrics` are answered.
    pub reserved: usize,
}

impl Bounds {
    /// The bounds for a process that may have so many file descriptors: clients take at most half of what the engine
    /// does not need itself.
    #[must_use]
    pub fn for_descriptors(limit: Option<u64>) -> Self {
        let files = limit.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
        let half = files.saturating_sub(SERVE_FILES_ELSEWHERE) / 2;
        let clients = half.clamp(SERVE_CLIENTS_MIN, SERVE_CLIENTS_MAX);
        Self { clients, reserved: (clients / 4).clamp(1, SERVE_RESERVED_MAX) }
    }
}

/// What a client is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Doing {
    /// Nothing: no byte of a request has come.
    Idle,
    /// It sends the head of a request.
    Asking,
    /// It takes an answer.
    Taking,
    /// It waits for its answer.
    Waiting,
}

struct Held {
    doing: Doing,
    since: u64,
    reserved: bool,
    evicted: Rc<Event>,
}

#[derive(Default)]
struct Table {
    events: u64,
    next: u64,
    held: BTreeMap<u64, Held>,
}

/// Every client with a place.
pub(super) struct Places {
    bounds: Bounds,
    table: RefCell<Table>,
}

/// A client's place; it is given up when this is dropped.
pub(super) struct Place {
    places: Rc<Places>,
    number: u64,
    /// Only `/health` and `/metrics` are answered.
    pub(super) reserved: bool,
    /// Happens when somebody else needs the place.
    pub(super) evicted: Rc<Event>,
}

impl Places {
    pub(super) fn new(bounds: Bounds) -> Rc<Self> {
        Rc::new(Self { bounds, table: RefCell::default() })
    }

    pub(super) fn len(&self) -> usize {
        self.table.borrow().held.len()
    }

    /// A place for a newcomer, and whether another client lost its own; `None` when every client is being answered.
    pub(super) fn take(self: &Rc<Self>) -> (Option<Place>, bool) {
        let Bounds { clients, reserved } = self.bounds;
        if self.count(false) < clients {
            return (Some(self.give(false)), false);
        }
        // Who takes an answer slowly is left alone: beyond the ordinary places there are the reserved ones.
        if self.evict(|held| !held.reserved && held.doing <= Doing::Asking) {
            return (Some(self.give(false)), true);
        }
        if self.count(true) < reserved {
            return (Some(self.give(true)), false);
        }
        if self.evict(|held| held.reserved && held.doing <= Doing::Taking) {
            return (Some(self.give(true)), true);
        }
        (None, false)
    }

    /// Makes the longest idle client go, whatever its place, because descriptors are short; false if nobody can.
    pub(super) fn evict_any(&self) -> bool {
        self.evict(|held| held.doing <= Doing::Taking)
    }

    fn count(&self, reserved: bool) -> usize {
        self.table.borrow().held.values().filter(|held| held.reserved == reserved).count()
    }

    /// Idle clients go first, then those that send slowly, then those that read slowly; of each the longest.
    fn evict(&self, may_go: impl Fn(&Held) -> bool) -> bool {
        let mut table = self.table.borrow_mut();
        let candidates = table.held.iter().filter(|(_, held)| may_go(held));
        let first = candidates.min_by_key(|(_, held)| (held.doing, held.since));
        let Some(number) = first.map(|(number, _)| *number) else { return false };
        if let Some(held) = table.held.remove(&number) {
            held.evicted.set();
        }
        true
    }

    fn give(self: &Rc<Self>, reserved: bool) -> Place {
        let mut table = self.table.borrow_mut();
        table.events += 1;
        table.next += 1;
        let (number, since) = (table.next, table.events);
        let evicted = Rc::new(Event::default());
        let held = Held { doing: Doing::Idle, since, reserved, evicted: Rc::clone(&evicted) };
        table.held.insert(number, held);
        Place { places: Rc::clone(self), number, reserved, evicted }
    }
}

impl Place {
    /// Says what the client does from now on.
    pub(super) fn set(&self, doing: Doing) {
        let mut table = self.places.table.borrow_mut();
        table.events += 1;
        let since = table.events;
        if let Some(held) = table.held.get_mut(&self.number)
            && held.doing != doing
        {
            (held.doing, held.since) = (doing, since);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.table.borrow_mut().held.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_idle_client_goes_first_and_nobody_goes_who_is_answered() {
        let places = Places::new(Bounds { clients: 3, reserved: 1 });
        let take = || places.take();
        let held: Vec<Place> = (0..3).map(|_| take().0.unwrap()).collect();
        held[0].set(Doing::Waiting);
        held[0].set(Doing::Idle);
        let (fourth, evicted) = take();
        assert!(evicted && held[1].evicted.is_set(), "the second has been idle for longest");
        let fourth = fourth.unwrap();
        held[2].set(Doing::Asking);
        held[0].set(Doing::Waiting);
        fourth.set(Doing::Waiting);
        let fifth = take().0.unwrap();
        assert!(held[2].evicted.is_set(), "one that sends slowly goes when none is idle");
        fifth.set(Doing::Taking);
        let health = take().0.unwrap();
        assert!(health.reserved && !fifth.reserved);
        health.set(Doing::Waiting);
        assert!(take().0.is_none(), "all are being answered");
        health.set(Doing::Taking);
        let (next, evicted) = take();
        assert!(next.unwrap().reserved && evicted && health.evicted.is_set());
        assert!(![&held[0], &fourth, &fifth].iter().any(|place| place.evicted.is_set()));
        assert!(places.evict_any() && fifth.evicted.is_set());
        drop((held, fourth, fifth, health));
        assert_eq!(places.len(), 0);
    }

    #[test]
    fn clients_leave_the_engine_its_descriptors() {
        let clients = |limit| Bounds::for_descriptors(limit).clients;
        assert_eq!((clients(None), clients(Some(65_536))), (SERVE_CLIENTS_MAX, SERVE_CLIENTS_MAX));
        assert_eq!(clients(Some(256)), 64);
        for limit in [0, 1, 128, 200, 512, 1024] {
            let Bounds { clients, reserved } = Bounds::for_descriptors(Some(limit));
            assert!(clients >= SERVE_CLIENTS_MIN && reserved >= 1, "{limit}");
            assert!(limit < 256 || clients + reserved <= limit as usize / 2, "{limit}");
        }
    }
}
