//! Connection slots of one service: idle, leased and opening connections, and the wait queue.
//!
//! Runs on:  any (pure; time is an argument). Owns: every idle connection of one service.
//! Bounds:   `max` connections, open or opening; `waiting_max` waiters.
//!
//! Pure state machine: [`Slots::take_action`] returns what the caller must do, in order. A connection is in exactly one
//! place: idle in here, or in a [`Lease`], which cannot be copied and is released once.
//!
//! Waiters are served in order of arrival. An opening connection is not bound to a waiter: the first waiter gets the
//! first available connection. So a cancelled waiter loses nothing, and a connection opened for it serves the next.
use crate::base::limits::{POOL_REOPEN_MAX_NS, POOL_REOPEN_MIN_NS};
use std::collections::{BTreeMap, VecDeque};
use std::panic::Location;

/// Limits of one service's connections. Durations in nanoseconds; 0 disables where documented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotLimits {
    /// Connections kept open while unused.
    pub min: usize,
    /// Maximum connections: leased, idle and opening.
    pub max: usize,
    /// Idle time after which a connection beyond `min` is closed; 0 disables.
    pub idle_timeout_ns: u64,
    /// Age after which a connection is not leased again; 0 disables.
    pub max_age_ns: u64,
    /// Lease time after which a connection is reported, once; 0 disables.
    pub held_max_ns: u64,
    /// Maximum waiters.
    pub waiting_max: usize,
}

/// Identifies a waiter; ascending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// Identifies a connection being opened.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the result of opening must be reported: `opened` or `open_failed`"]
pub struct Opening(());

/// A place among the connections for one that the caller opens; counts as leased.
#[derive(Debug)]
#[must_use = "a place is filled or abandoned"]
pub struct Place {
    id: u64,
    born_ns: u64,
}

/// A leased connection, to be returned with [`Slots::release`].
#[derive(Debug)]
#[must_use = "a connection that is not released is lost to the pool"]
pub struct Lease<C> {
    /// The connection.
    pub connection: C,
    id: u64,
    born_ns: u64,
    uses: u64,
}

impl<C> Lease<C> {
    /// Whether the connection was leased before.
    pub const fn is_reused(&self) -> bool {
        self.uses > 1
    }
}

/// State of a connection when it is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It can be leased again.
    Reusable,
    /// It works, but the server or the configuration ends its use.
    Spent,
    /// It failed, or an operation on it was abandoned.
    Broken,
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// Released as broken, or failed while idle.
    Broken,
    /// Released as spent.
    Spent,
    /// Idle for longer than the idle timeout.
    Idle,
    /// Older than the maximum age.
    Old,
    /// The pool is stopping.
    Stopped,
}

/// Why a waiter gets no connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal<E> {
    /// Its deadline has passed.
    Timeout,
    /// The pool is stopping.
    Stopped,
    /// The wait queue is full.
    QueueFull,
    /// No connection could be opened, and none is leased that might be returned.
    OpenFailed(E),
}

/// What the caller must do.
#[derive(Debug)]
pub enum Action<C, E> {
    /// Open a connection, then call [`Slots::opened`] or [`Slots::open_failed`].
    Open(Opening),
    /// Close this connection.
    Close(C, CloseReason),
    /// Give this waiter its connection.
    Serve(Ticket, Lease<C>),
    /// Tell this waiter that it gets none.
    Fail(Ticket, Refusal<E>),
    /// Report a lease that lasts too long.
    Leak(Held),
}

/// A leased connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Start, monotonic nanoseconds.
    pub since_ns: u64,
    /// Source location of the `acquire` call.
    pub place: &'static Location<'static>,
    reported: bool,
}

/// Result of an `acquire` call.
#[derive(Debug)]
pub enum Acquired<C, E> {
    /// A connection.
    Ready(Lease<C>),
    /// Wait for [`Action::Serve`] or [`Action::Fail`] with this ticket, or call [`Slots::cancel`].
    Wait(Ticket),
    /// No connection.
    Refused(Refusal<E>),
}

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotCounts {
    /// Leases, without those for probes.
    pub acquired: u64,
    /// Of these, of connections leased before.
    pub reused: u64,
    /// Connections opened.
    pub opened: u64,
    /// Failed attempts to open one.
    pub open_failed: u64,
    /// Connections closed as broken.
    pub closed_broken: u64,
    /// Connections closed as spent.
    pub closed_spent: u64,
    /// Connections closed after the idle timeout.
    pub closed_idle: u64,
    /// Connections closed at the maximum age.
    pub closed_old: u64,
    /// Connections closed by stopping the pool.
    pub closed_stopped: u64,
    /// Waiters whose deadline passed.
    pub timed_out: u64,
    /// Waiters that were cancelled.
    pub cancelled: u64,
    /// Waiters refused for another reason.
    pub refused: u64,
    /// Leases that lasted too long.
    pub leaks: u64,
    /// Most leases at once.
    pub peak_in_use: usize,
    /// Most waiters at once.
    pub peak_waiting: usize,
}

impl SlotCounts {
    /// Connections closed, for any reason.
    pub const fn closed(&self) -> u64 {
        self.closed_broken
            + self.closed_spent
            + self.closed_idle
            + self.closed_old
            + self.closed_stopped
    }
}

#[derive(Debug)]
struct Idle<C> {
    connection: C,
    born_ns: u64,
    since_ns: u64,
    uses: u64,
}

#[derive(Debug)]
struct Waiter {
    deadline_ns: u64,
    /// Accepts only a connection that was not leased before.
    new_only: bool,
    place: &'static Location<'static>,
}

/// The connections of one service.
#[derive(Debug)]
pub struct Slots<C, E> {
    limits: SlotLimits,
    /// Last used at the back and leased first, so that the others may age out.
    idle: VecDeque<Idle<C>>,
    leases: BTreeMap<u64, Held>,
    opening: usize,
    waiting: BTreeMap<Ticket, Waiter>,
    next: u64,
    /// Pause before the next attempt to open a connection, after failures.
    pause_ns: u64,
    pause_until_ns: u64,
    stopping: bool,
    actions: VecDeque<Action<C, E>>,
    counts: SlotCounts,
}

impl<C, E> Slots<C, E> {
    /// No connections; the first [`Slots::poll`] opens the `min`.
    pub fn new(limits: SlotLimits) -> Self {
        Self {
            limits,
            idle: VecDeque::new(),
            leases: BTreeMap::new(),
            opening: 0,
            waiting: BTreeMap::new(),
            next: 0,
            pause_ns: 0,
            pause_until_ns: 0,
            stopping: false,
            actions: VecDeque::new(),
            counts: SlotCounts::default(),
        }
    }

    /// Acquires a connection or waits for one until `deadline_ns`; `place` is the caller's source location. `is_usable`
    /// checks an idle connection before it is leased.
    pub fn acquire(
        &mut self,
        now_ns: u64,
        deadline_ns: u64,
        place: &'static Location<'static>,
        is_usable: impl FnMut(&mut C) -> bool,
    ) -> Acquired<C, E> {
        if self.stopping {
            self.counts.refused += 1;
            return Acquired::Refused(Refusal::Stopped);
        }
        if self.waiting.values().all(|waiter| waiter.new_only)
            && let Some(idle) = self.take_idle(now_ns, is_usable)
        {
            return Acquired::Ready(self.lease(idle, now_ns, place));
        }
        self.wait(now_ns, Waiter { deadline_ns, new_only: false, place })
    }

    /// Acquires a connection that was not leased before: reused ones have turned out to be dead, and the server or the
    /// network may have dropped all of them. If there is no room for a new one, an idle one is closed.
    pub fn acquire_new(
        &mut self,
        now_ns: u64,
        deadline_ns: u64,
        place: &'static Location<'static>,
    ) -> Acquired<C, E> {
        if self.stopping {
            self.counts.refused += 1;
            return Acquired::Refused(Refusal::Stopped);
        }
        self.wait(now_ns, Waiter { deadline_ns, new_only: true, place })
    }

    /// Takes a place for a connection that the caller opens itself, because it needs one of its own kind; an idle
    /// connection is closed if there is no room. `None`: others wait, or all connections are leased or opening.
    pub fn take_place(&mut self, now_ns: u64, place: &'static Location<'static>) -> Option<Place> {
        if self.stopping || !self.waiting.is_empty() {
            return None;
        }
        if self.total() >= self.limits.max {
            let idle = self.idle.pop_front()?;
            self.close(idle.connection, CloseReason::Spent);
        }
        let id = self.number();
        self.leases.insert(id, Held { since_ns: now_ns, place, reported: false });
        self.counts.acquired += 1;
        self.counts.peak_in_use = self.counts.peak_in_use.max(self.leases.len());
        Some(Place { id, born_ns: now_ns })
    }

    /// The connection of a place was opened.
    pub const fn fill(&mut self, place: Place, connection: C) -> Lease<C> {
        self.counts.opened += 1;
        Lease { connection, id: place.id, born_ns: place.born_ns, uses: 1 }
    }

    /// The connection of a place was not opened.
    pub fn abandon(&mut self, place: Place, now_ns: u64) {
        let known = self.leases.remove(&place.id);
        debug_assert!(known.is_some(), "a place is abandoned once");
        self.counts.open_failed += 1;
        self.open_for_waiters(now_ns);
    }

    fn wait(&mut self, now_ns: u64, waiter: Waiter) -> Acquired<C, E> {
        if self.waiting.len() >= self.limits.waiting_max {
            self.counts.refused += 1;
            return Acquired::Refused(Refusal::QueueFull);
        }
        let ticket = Ticket(self.number());
        self.waiting.insert(ticket, waiter);
        self.counts.peak_waiting = self.counts.peak_waiting.max(self.waiting.len());
        self.open_for_waiters(now_ns);
        Acquired::Wait(ticket)
    }

    /// The most recently used idle connection that is young and usable.
    fn take_idle(
        &mut self,
        now_ns: u64,
        mut is_usable: impl FnMut(&mut C) -> bool,
    ) -> Option<Idle<C>> {
        while let Some(mut idle) = self.idle.pop_back() {
            if self.is_old(idle.born_ns, now_ns) {
                self.close(idle.connection, CloseReason::Old);
            } else if is_usable(&mut idle.connection) {
                return Some(idle);
            } else {
                self.close(idle.connection, CloseReason::Broken);
            }
        }
        None
    }

    /// Cancels a waiter. No effect if it was already served or refused.
    pub fn cancel(&mut self, ticket: Ticket) {
        if self.waiting.remove(&ticket).is_some() {
            self.counts.cancelled += 1;
        }
    }

    /// Returns a connection. One that is not reusable is closed.
    pub fn release(&mut self, lease: Lease<C>, condition: Condition, now_ns: u64) {
        let Lease { connection, id, born_ns, uses } = lease;
        let known = self.leases.remove(&id);
        debug_assert!(known.is_some(), "a lease is released once");
        if condition == Condition::Broken {
            self.close(connection, CloseReason::Broken);
        } else if condition == Condition::Spent {
            self.close(connection, CloseReason::Spent);
        } else if self.stopping {
            self.close(connection, CloseReason::Stopped);
        } else if self.is_old(born_ns, now_ns) {
            self.close(connection, CloseReason::Old);
        } else {
            self.put(Idle { connection, born_ns, since_ns: now_ns, uses }, now_ns);
        }
        self.open_for_waiters(now_ns);
    }

    /// A connection was opened.
    pub fn opened(&mut self, opening: Opening, connection: C, now_ns: u64) {
        let Opening(()) = opening;
        self.opening -= 1;
        self.counts.opened += 1;
        self.pause_ns = 0;
        self.pause_until_ns = 0;
        if self.stopping {
            self.close(connection, CloseReason::Stopped);
        } else {
            self.put(Idle { connection, born_ns: now_ns, since_ns: now_ns, uses: 0 }, now_ns);
        }
    }

    /// A connection could not be opened.
    ///
    /// While connections are leased, waiters continue to wait for them, and the next attempt follows after a pause.
    /// Otherwise, if there are more waiters than openings, the first waiter gets the error, and the next attempt is for
    /// the next waiter.
    pub fn open_failed(&mut self, opening: Opening, error: E, now_ns: u64) {
        let Opening(()) = opening;
        self.opening -= 1;
        self.counts.open_failed += 1;
        self.pause_ns = (self.pause_ns * 2).clamp(POOL_REOPEN_MIN_NS, POOL_REOPEN_MAX_NS);
        self.pause_until_ns = now_ns + self.pause_ns;
        if self.leases.is_empty()
            && self.waiting.len() > self.opening
            && let Some((ticket, _)) = self.waiting.pop_first()
        {
            self.counts.refused += 1;
            self.actions.push_back(Action::Fail(ticket, Refusal::OpenFailed(error)));
        }
        self.open_for_waiters(now_ns);
    }

    /// The deadline of a waiter has passed. True if it was still waiting; otherwise its outcome is among the actions.
    pub fn expire(&mut self, ticket: Ticket) -> bool {
        let waited = self.waiting.remove(&ticket).is_some();
        self.counts.timed_out += u64::from(waited);
        waited
    }

    /// Handles time: deadlines of waiters, connections to close or open, long leases. Call it about every 100 ms.
    pub fn poll(&mut self, now_ns: u64) {
        let late = self.waiting.iter().filter(|(_, waiter)| waiter.deadline_ns <= now_ns);
        let late: Vec<Ticket> = late.map(|(ticket, _)| *ticket).collect();
        for ticket in late {
            self.waiting.remove(&ticket);
            self.counts.timed_out += 1;
            self.actions.push_back(Action::Fail(ticket, Refusal::Timeout));
        }
        self.close_aged(now_ns);
        self.report_leaks(now_ns);
        self.open_for_waiters(now_ns);
        while !self.stopping && self.total() < self.limits.min && now_ns >= self.pause_until_ns {
            self.open();
        }
    }

    fn close_aged(&mut self, now_ns: u64) {
        let mut place = 0;
        while let Some(idle) = self.idle.get(place) {
            let timeout_ns = self.limits.idle_timeout_ns;
            let unwanted = timeout_ns > 0 && now_ns.saturating_sub(idle.since_ns) >= timeout_ns;
            let reason = if self.is_old(idle.born_ns, now_ns) {
                CloseReason::Old
            } else if unwanted && self.total() > self.limits.min {
                CloseReason::Idle
            } else {
                place += 1;
                continue;
            };
            let idle = self.idle.remove(place).expect("index is in range");
            self.close(idle.connection, reason);
        }
    }

    fn report_leaks(&mut self, now_ns: u64) {
        let held_max_ns = self.limits.held_max_ns;
        if held_max_ns == 0 {
            return;
        }
        for held in self.leases.values_mut() {
            if !held.reported && now_ns.saturating_sub(held.since_ns) >= held_max_ns {
                held.reported = true;
                self.counts.leaks += 1;
                self.actions.push_back(Action::Leak(*held));
            }
        }
    }

    /// Leases the connection idle for longest, for a probe; `None` if none is idle.
    pub fn lease_for_probe(
        &mut self,
        now_ns: u64,
        place: &'static Location<'static>,
    ) -> Option<Lease<C>> {
        let Idle { connection, born_ns, uses, .. } = self.idle.pop_front()?;
        let id = self.number();
        self.leases.insert(id, Held { since_ns: now_ns, place, reported: false });
        Some(Lease { connection, id, born_ns, uses })
    }

    /// Stops: waiters are refused, idle connections closed, leased ones closed when returned.
    pub fn stop(&mut self) {
        self.stopping = true;
        while let Some((ticket, _)) = self.waiting.pop_first() {
            self.counts.refused += 1;
            self.actions.push_back(Action::Fail(ticket, Refusal::Stopped));
        }
        while let Some(idle) = self.idle.pop_front() {
            self.close(idle.connection, CloseReason::Stopped);
        }
    }

    /// The next action, oldest first.
    #[must_use]
    pub fn take_action(&mut self) -> Option<Action<C, E>> {
        self.actions.pop_front()
    }

    /// Idle connections.
    pub fn idle(&self) -> usize {
        self.idle.len()
    }

    /// Leased connections, including those for probes.
    pub fn in_use(&self) -> usize {
        self.leases.len()
    }

    /// Opening connections.
    pub const fn opening(&self) -> usize {
        self.opening
    }

    /// Waiters.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// All connections: idle, leased, opening.
    pub fn total(&self) -> usize {
        self.idle.len() + self.leases.len() + self.opening
    }

    /// All leases, oldest first.
    pub fn held(&self) -> impl Iterator<Item = &Held> {
        self.leases.values()
    }

    /// Counters since the start.
    pub const fn counts(&self) -> SlotCounts {
        self.counts
    }

    /// Whether [`Slots::stop`] was called.
    pub const fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Whether nothing is leased or opening; a stopped pool has then ended.
    pub fn is_drained(&self) -> bool {
        self.leases.is_empty() && self.opening == 0
    }

    fn put(&mut self, idle: Idle<C>, now_ns: u64) {
        let mut takers =
            self.waiting.iter().filter(|(_, waiter)| !waiter.new_only || idle.uses == 0);
        let taker = takers.next().map(|(ticket, _)| *ticket);
        match taker.and_then(|ticket| Some((ticket, self.waiting.remove(&ticket)?))) {
            Some((ticket, waiter)) => {
                let lease = self.lease(idle, now_ns, waiter.place);
                self.actions.push_back(Action::Serve(ticket, lease));
            }
            None => self.idle.push_back(idle),
        }
    }

    fn lease(&mut self, idle: Idle<C>, now_ns: u64, place: &'static Location<'static>) -> Lease<C> {
        let id = self.number();
        self.leases.insert(id, Held { since_ns: now_ns, place, reported: false });
        self.counts.acquired += 1;
        self.counts.reused += u64::from(idle.uses > 0);
        self.counts.peak_in_use = self.counts.peak_in_use.max(self.leases.len());
        let Idle { connection, born_ns, uses, .. } = idle;
        Lease { connection, id, born_ns, uses: uses + 1 }
    }

    fn open_for_waiters(&mut self, now_ns: u64) {
        // During the pause after a failure waiters may still be served by leased connections.
        if self.stopping || (!self.leases.is_empty() && now_ns < self.pause_until_ns) {
            return;
        }
        while self.opening < self.waiting.len() {
            if self.total() >= self.limits.max {
                // A waiter needs a new connection although one is idle: the oldest idle one makes room.
                let Some(idle) = self.idle.pop_front() else { return };
                self.close(idle.connection, CloseReason::Broken);
            }
            self.open();
        }
    }

    fn open(&mut self) {
        self.opening += 1;
        self.actions.push_back(Action::Open(Opening(())));
    }

    fn close(&mut self, connection: C, reason: CloseReason) {
        let count = match reason {
            CloseReason::Broken => &mut self.counts.closed_broken,
            CloseReason::Spent => &mut self.counts.closed_spent,
            CloseReason::Idle => &mut self.counts.closed_idle,
            CloseReason::Old => &mut self.counts.closed_old,
            CloseReason::Stopped => &mut self.counts.closed_stopped,
        };
        *count += 1;
        self.actions.push_back(Action::Close(connection, reason));
    }

    const fn is_old(&self, born_ns: u64, now_ns: u64) -> bool {
        let max_age_ns = self.limits.max_age_ns;
        max_age_ns > 0 && now_ns.saturating_sub(born_ns) >= max_age_ns
    }

    const fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

#[cfg(test)]
mod tests;
