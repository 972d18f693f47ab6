//! Slots by example and by property.
use super::*;
use crate::base::time::SECOND_NS;
use proptest::prelude::*;
use std::collections::BTreeSet;

const LIMITS: SlotLimits = SlotLimits {
    min: 1,
    max: 3,
    idle_timeout_ns: 100 * SECOND_NS,
    max_age_ns: 1_000 * SECOND_NS,
    held_max_ns: 50 * SECOND_NS,
    waiting_max: 8,
};

type Pool = Slots<u32, &'static str>;

fn here() -> &'static Location<'static> {
    Location::caller()
}

fn actions(slots: &mut Pool) -> Vec<Action<u32, &'static str>> {
    std::iter::from_fn(|| slots.take_action()).collect()
}

/// Opens all requested connections, with numbers from `first` on.
fn open_all(slots: &mut Pool, first: u32, now_ns: u64) -> Vec<Action<u32, &'static str>> {
    let mut next = first;
    let mut others = Vec::new();
    while let Some(action) = slots.take_action() {
        match action {
            Action::Open(opening) => {
                slots.opened(opening, next, now_ns);
                next += 1;
            }
            other => others.push(other),
        }
    }
    others
}

fn wait(slots: &mut Pool, now_ns: u64) -> Ticket {
    match slots.acquire(now_ns, u64::MAX, here(), |_| true) {
        Acquired::Wait(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

fn take(slots: &mut Pool, now_ns: u64) -> Lease<u32> {
    match slots.acquire(now_ns, u64::MAX, here(), |_| true) {
        Acquired::Ready(lease) => lease,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_minimum_stays_open_and_the_last_used_is_leased_first() {
    let mut slots = Pool::new(SlotLimits { min: 2, ..LIMITS });
    slots.poll(0);
    assert!(open_all(&mut slots, 1, 0).is_empty());
    let (second, first) = (take(&mut slots, 1), take(&mut slots, 1));
    assert_eq!((second.connection, first.connection), (2, 1));
    assert!(!first.is_reused());
    slots.release(second, Condition::Reusable, 2);
    slots.release(first, Condition::Reusable, 3);
    let again = take(&mut slots, 4);
    assert!(again.is_reused() && again.connection == 1);
    slots.release(again, Condition::Reusable, 5);
    // Idle for long, but part of the minimum.
    slots.poll(500 * SECOND_NS);
    assert!(actions(&mut slots).is_empty());
    // At the maximum age they are replaced.
    slots.poll(1_000 * SECOND_NS);
    let closed = open_all(&mut slots, 3, 1_000 * SECOND_NS);
    assert!(
        matches!(
            closed[..],
            [Action::Close(2, CloseReason::Old), Action::Close(1, CloseReason::Old)]
        ),
        "{closed:?}"
    );
    assert_eq!((slots.idle(), slots.counts().opened), (2, 4));
}

#[test]
fn an_old_connection_is_not_leased_even_before_the_next_poll() {
    let mut slots = Pool::new(LIMITS);
    slots.poll(0);
    open_all(&mut slots, 1, 0);
    let young = take(&mut slots, 999 * SECOND_NS);
    slots.release(young, Condition::Reusable, 999 * SECOND_NS);
    wait(&mut slots, 1_000 * SECOND_NS);
    let todo = actions(&mut slots);
    assert!(matches!(todo[..], [Action::Close(1, CloseReason::Old), Action::Open(_)]), "{todo:?}");
}

#[test]
fn waiters_are_served_in_order_and_a_broken_connection_is_never_leased_again() {
    let mut slots = Pool::new(SlotLimits { max: 1, ..LIMITS });
    let first = wait(&mut slots, 0);
    let served = open_all(&mut slots, 1, 0);
    let Ok([Action::Serve(ticket, lease)]) = <[_; 1]>::try_from(served) else { panic!() };
    assert_eq!((ticket, lease.connection), (first, 1));
    let (second, third) = (wait(&mut slots, 1), wait(&mut slots, 1));
    assert!(actions(&mut slots).is_empty(), "the maximum is one");
    slots.release(lease, Condition::Broken, 2);
    // Another is opened for the waiter.
    let mut todo = actions(&mut slots).into_iter();
    assert!(matches!(todo.next(), Some(Action::Close(1, CloseReason::Broken))));
    let Some(Action::Open(opening)) = todo.next() else { panic!() };
    slots.cancel(second);
    slots.opened(opening, 2, 3);
    let served = actions(&mut slots);
    let [Action::Serve(ticket, _)] = &served[..] else { panic!("{served:?}") };
    assert_eq!(*ticket, third);
    assert_eq!((slots.counts().cancelled, slots.counts().closed_broken), (1, 1));
}

#[test]
fn dead_idle_connections_are_skipped_and_replaced() {
    let mut slots = Pool::new(SlotLimits { min: 2, max: 2, ..LIMITS });
    slots.poll(0);
    open_all(&mut slots, 1, 0);
    let lease = match slots.acquire(1, 9, here(), |connection| *connection == 1) {
        Acquired::Ready(lease) => lease,
        other => panic!("{other:?}"),
    };
    assert_eq!(lease.connection, 1);
    assert!(matches!(actions(&mut slots)[..], [Action::Close(2, CloseReason::Broken)]));
    slots.release(lease, Condition::Reusable, 2);
    let ticket = match slots.acquire(3, 9, here(), |_| false) {
        Acquired::Wait(ticket) => ticket,
        other => panic!("{other:?}"),
    };
    let served = open_all(&mut slots, 3, 4);
    assert!(
        matches!(&served[..], [Action::Close(1, _), Action::Serve(t, Lease { connection: 3, .. })] if *t == ticket),
        "{served:?}"
    );
}

#[test]
fn the_first_waiter_gets_an_open_error_unless_connections_are_leased() {
    let mut slots = Pool::new(SlotLimits { min: 0, max: 2, ..LIMITS });
    let (first, second) = (wait(&mut slots, 0), wait(&mut slots, 0));
    for (ticket, why) in [(first, "refused"), (second, "reset")] {
        let Some(Action::Open(opening)) = slots.take_action() else { panic!() };
        slots.open_failed(opening, why, 1);
        let failed = slots.actions.pop_back();
        let Some(Action::Fail(failed, Refusal::OpenFailed(error))) = failed else { panic!() };
        assert_eq!((failed, error), (ticket, why));
    }
    let third = wait(&mut slots, 2);
    let mut served = open_all(&mut slots, 7, 2);
    let Some(Action::Serve(_, lease)) = served.pop() else { panic!() };
    let fourth = wait(&mut slots, 3);
    let Some(Action::Open(opening)) = slots.take_action() else { panic!() };
    slots.open_failed(opening, "refused", 3);
    slots.poll(4);
    assert!(actions(&mut slots).is_empty(), "it waits for the leased one during the pause");
    slots.poll(3 + POOL_REOPEN_MIN_NS);
    let todo = actions(&mut slots);
    assert!(matches!(todo[..], [Action::Open(_)]), "{todo:?}");
    slots.release(lease, Condition::Reusable, 5 + POOL_REOPEN_MIN_NS);
    let todo = actions(&mut slots);
    assert!(matches!(&todo[..], [Action::Serve(t, _)] if *t == fourth && third < fourth));
}

#[test]
fn waiters_time_out_and_long_leases_are_reported() {
    let mut slots = Pool::new(SlotLimits { max: 1, ..LIMITS });
    slots.poll(0);
    open_all(&mut slots, 1, 0);
    let lease = take(&mut slots, SECOND_NS);
    let line = line!() + 1;
    let Acquired::Wait(ticket) = slots.acquire(2, 10 * SECOND_NS, here(), |_| true) else {
        panic!();
    };
    slots.poll(10 * SECOND_NS);
    let todo = actions(&mut slots);
    assert!(matches!(&todo[..], [Action::Fail(t, Refusal::Timeout)] if *t == ticket), "{todo:?}");
    slots.poll(51 * SECOND_NS);
    let todo = actions(&mut slots);
    let [Action::Leak(held)] = &todo[..] else { panic!("{todo:?}") };
    assert_eq!(held.since_ns, SECOND_NS);
    assert!(held.place.file().ends_with("tests.rs") && held.place.line() != line);
    slots.poll(99 * SECOND_NS);
    assert!(actions(&mut slots).is_empty(), "reported once");
    slots.release(lease, Condition::Reusable, 100 * SECOND_NS);
    assert_eq!((slots.counts().leaks, slots.counts().timed_out), (1, 1));
}

#[test]
fn a_stop_refuses_closes_and_waits_for_leases() {
    let mut slots = Pool::new(SlotLimits { min: 2, max: 2, ..LIMITS });
    slots.poll(0);
    open_all(&mut slots, 1, 0);
    let (one, two) = (take(&mut slots, 1), take(&mut slots, 1));
    slots.release(two, Condition::Reusable, 2);
    let again = take(&mut slots, 3);
    let waiter = wait(&mut slots, 3);
    slots.stop();
    let todo = actions(&mut slots);
    assert!(matches!(&todo[..], [Action::Fail(t, Refusal::Stopped)] if *t == waiter));
    assert!(!slots.is_drained());
    let late = slots.acquire(4, 9, here(), |_| true);
    assert!(matches!(late, Acquired::Refused(Refusal::Stopped)));
    slots.release(one, Condition::Reusable, 5);
    slots.release(again, Condition::Reusable, 5);
    slots.poll(6);
    let todo = actions(&mut slots);
    assert!(
        matches!(
            todo[..],
            [Action::Close(2, CloseReason::Stopped), Action::Close(1, CloseReason::Stopped)]
        ),
        "{todo:?}"
    );
    assert!(slots.is_drained() && slots.total() == 0);
}

#[test]
fn probes_lease_the_longest_idle_and_do_not_count_as_use() {
    let mut slots = Pool::new(SlotLimits { min: 0, ..LIMITS });
    assert!(slots.lease_for_probe(0, here()).is_none());
    let first = wait(&mut slots, 0);
    let mut served = open_all(&mut slots, 1, 0);
    let Some(Action::Serve(ticket, lease)) = served.pop() else { panic!("{served:?}") };
    assert_eq!(ticket, first);
    let ticket = wait(&mut slots, 1);
    open_all(&mut slots, 2, 1).into_iter().for_each(|action| match action {
        Action::Serve(served, lease) => {
            assert_eq!(served, ticket);
            slots.release(lease, Condition::Reusable, 2);
        }
        other => panic!("{other:?}"),
    });
    slots.release(lease, Condition::Reusable, 3);
    let probe = slots.lease_for_probe(4, here()).unwrap();
    assert_eq!((probe.connection, slots.counts().acquired), (2, 2));
    slots.release(probe, Condition::Broken, 5);
    assert_eq!((slots.idle(), slots.counts().closed_broken), (1, 1));
}

/// One step; numbers select among what exists.
#[derive(Clone, Debug)]
enum Event {
    Acquire { timeout_ns: u64, dead: bool },
    Release { which: usize, reusable: bool },
    Opened { which: usize },
    OpenFailed { which: usize },
    Cancel { which: usize },
    Probe,
    Pass(u64),
    Stop,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        8 => (0..40 * SECOND_NS, prop::bool::weighted(0.1))
            .prop_map(|(timeout_ns, dead)| Event::Acquire { timeout_ns, dead }),
        6 => (any::<usize>(), prop::bool::weighted(0.8))
            .prop_map(|(which, reusable)| Event::Release { which, reusable }),
        6 => any::<usize>().prop_map(|which| Event::Opened { which }),
        2 => any::<usize>().prop_map(|which| Event::OpenFailed { which }),
        1 => any::<usize>().prop_map(|which| Event::Cancel { which }),
        1 => Just(Event::Probe),
        4 => (0..60 * SECOND_NS).prop_map(Event::Pass),
    ];
    (prop::collection::vec(event, 0..200), any::<bool>()).prop_map(|(mut events, stop)| {
        if stop {
            let at = events.len() * 3 / 4;
            events.insert(at, Event::Stop);
        }
        events
    })
}

/// The caller of the slots: leases, waiters, openings.
#[derive(Default)]
struct World {
    now_ns: u64,
    made: u32,
    held: Vec<Lease<u32>>,
    opening: Vec<Opening>,
    waiting: Vec<Ticket>,
    served: u64,
    closed: BTreeSet<u32>,
    stopped: bool,
}

impl World {
    fn happen(&mut self, slots: &mut Pool, event: &Event) {
        match *event {
            Event::Acquire { timeout_ns, dead } => {
                let before = slots.waiting();
                let deadline_ns = self.now_ns + timeout_ns;
                match slots.acquire(self.now_ns, deadline_ns, here(), |_| !dead) {
                    Acquired::Ready(lease) => {
                        assert!(before == 0 && !dead, "no waiter is overtaken");
                        self.hold(lease);
                    }
                    Acquired::Wait(ticket) => self.waiting.push(ticket),
                    Acquired::Refused(Refusal::Stopped) => assert!(self.stopped),
                    Acquired::Refused(refusal) => assert_eq!(refusal, Refusal::QueueFull),
                }
            }
            Event::Release { which, reusable } if !self.held.is_empty() => {
                let lease = self.held.swap_remove(which % self.held.len());
                let condition = if reusable { Condition::Reusable } else { Condition::Broken };
                slots.release(lease, condition, self.now_ns);
            }
            Event::Opened { which } if !self.opening.is_empty() => {
                let opening = self.opening.swap_remove(which % self.opening.len());
                self.made += 1;
                slots.opened(opening, self.made, self.now_ns);
            }
            Event::OpenFailed { which } if !self.opening.is_empty() => {
                let opening = self.opening.swap_remove(which % self.opening.len());
                slots.open_failed(opening, "no", self.now_ns);
            }
            Event::Cancel { which } if !self.waiting.is_empty() => {
                slots.cancel(self.waiting.remove(which % self.waiting.len()));
            }
            Event::Probe => {
                if let Some(lease) = slots.lease_for_probe(self.now_ns, here()) {
                    self.hold(lease);
                }
            }
            Event::Pass(ns) => {
                self.now_ns += ns;
                slots.poll(self.now_ns);
            }
            Event::Stop => {
                self.stopped = true;
                slots.stop();
            }
            _ => {}
        }
        self.act(slots);
    }

    fn hold(&mut self, lease: Lease<u32>) {
        assert!(!self.closed.contains(&lease.connection), "{} was closed", lease.connection);
        assert!(self.held.iter().all(|held| held.connection != lease.connection), "lease twice");
        self.held.push(lease);
    }

    fn act(&mut self, slots: &mut Pool) {
        while let Some(action) = slots.take_action() {
            match action {
                Action::Open(opening) => {
                    assert!(!self.stopped);
                    self.opening.push(opening);
                }
                Action::Close(connection, _) => assert!(self.closed.insert(connection)),
                Action::Serve(ticket, lease) => {
                    assert_eq!(ticket, self.waiting.remove(0), "first come, first served");
                    self.served += 1;
                    self.hold(lease);
                }
                Action::Fail(ticket, _) => {
                    let place = self.waiting.iter().position(|waiting| *waiting == ticket);
                    self.waiting.remove(place.expect("a waiter is refused once"));
                }
                Action::Leak(held) => {
                    assert!(self.now_ns - held.since_ns >= LIMITS.held_max_ns);
                }
            }
        }
    }

    fn check(&self, slots: &Pool, limits: &SlotLimits) {
        assert!(slots.total() <= limits.max, "{} of {}", slots.total(), limits.max);
        assert_eq!((slots.in_use(), slots.opening()), (self.held.len(), self.opening.len()));
        assert_eq!(slots.waiting(), self.waiting.len());
        assert!(slots.waiting() <= limits.waiting_max);
        let counts = slots.counts();
        let open = (slots.idle() + slots.in_use()) as u64;
        assert_eq!(counts.opened, counts.closed() + open, "opened connections are closed or open");
        assert_eq!(counts.closed(), self.closed.len() as u64);
        assert!(!self.stopped || slots.idle() == 0, "a stopped pool has no idle connection");
        // No waiter waits while a connection is idle, or without any that may come.
        assert!(self.waiting.is_empty() || slots.idle() == 0);
        assert!(self.waiting.is_empty() || !slots.is_drained(), "they would wait without end");
    }
}

proptest! {
    #[test]
    fn whatever_happens_none_is_lost_lent_twice_or_overtaken(
        events in events(), min in 0usize..3, spare in 1usize..4, waiting_max in 1usize..12,
    ) {
        let limits = SlotLimits { min, max: min + spare, waiting_max, ..LIMITS };
        let mut slots = Pool::new(limits);
        let mut world = World::default();
        for event in &events {
            world.happen(&mut slots, event);
            world.check(&slots, &limits);
        }
        // From here on nothing fails: all waiters are served, and the minimum is open.
        let waited = world.waiting.len() as u64;
        let served = world.served;
        while !world.opening.is_empty() || !world.held.is_empty() {
            world.happen(&mut slots, &Event::Opened { which: 0 });
            world.happen(&mut slots, &Event::Release { which: 0, reusable: true });
            world.check(&slots, &limits);
        }
        prop_assert_eq!(world.served - served, waited, "no waiter starves");
        world.happen(&mut slots, &Event::Pass(POOL_REOPEN_MAX_NS));
        while !world.opening.is_empty() {
            world.happen(&mut slots, &Event::Opened { which: 0 });
        }
        prop_assert!(world.stopped || slots.idle() >= min);
        world.happen(&mut slots, &Event::Stop);
        prop_assert!(slots.is_drained() && slots.total() == 0);
        prop_assert_eq!(world.closed.len() as u32, world.made);
    }
}

/// An idle connection was dead, so the others may be: a retry gets a new one.
#[test]
fn acquire_new_never_returns_a_reused_connection() {
    let new = |slots: &mut Pool, now_ns| match slots.acquire_new(now_ns, u64::MAX, here()) {
        Acquired::Wait(ticket) => ticket,
        other => panic!("{other:?}"),
    };
    let mut slots = Pool::new(LIMITS);
    let tickets: Vec<Ticket> = (0..3).map(|_| wait(&mut slots, 0)).collect();
    let mut leases = Vec::new();
    for action in open_all(&mut slots, 1, 0) {
        let Action::Serve(_, lease) = action else { panic!("{action:?}") };
        leases.push(lease);
    }
    assert_eq!(leases.len(), tickets.len());
    let held = leases.pop().unwrap();
    leases.into_iter().for_each(|lease| slots.release(lease, Condition::Reusable, 1));
    assert_eq!((slots.idle(), slots.total()), (2, 3));

    // At the maximum: the connection idle for longest is closed.
    let ticket = new(&mut slots, 2);
    // A later waiter that accepts reused connections does not wait.
    let other = take(&mut slots, 2);
    slots.release(other, Condition::Reusable, 3);
    let served = open_all(&mut slots, 10, 3);
    assert!(matches!(served[0], Action::Close(1, CloseReason::Broken)), "{served:?}");
    let Action::Serve(to, fresh) = &served[1] else { panic!("{served:?}") };
    assert_eq!((*to, fresh.connection, fresh.is_reused()), (ticket, 10, false));

    // None is idle and all are leased: it waits for room, not for a returned connection.
    let _second = take(&mut slots, 4);
    let ticket = new(&mut slots, 4);
    assert!(actions(&mut slots).is_empty());
    slots.release(held, Condition::Reusable, 5);
    let served = open_all(&mut slots, 20, 5);
    assert!(matches!(served[0], Action::Close(3, CloseReason::Broken)), "{served:?}");
    let Action::Serve(to, fresh) = &served[1] else { panic!("{served:?}") };
    assert_eq!((*to, fresh.connection), (ticket, 20));
    assert!(slots.total() <= LIMITS.max);
}
