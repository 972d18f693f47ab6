//! Who has which connection: idle ones, lent ones, ones being opened, and the line of those who wait.
//!
//! Runs on:  any (pure; time is an argument). Owns: every idle connection of one service.
//! Bounds:   `max` connections, open or being opened; `waiting_max` waiters.
//!
//! Nothing here waits or opens: [`Slots::take_action`] says what is to be done, in order. A connection
//! is at one place at any time, which the types say: it is in here, or in a [`Lent`] that cannot be
//! copied and is given back once.
//!
//! Waiting is first come, first served: whoever comes while others wait stands behind them. Nobody
//! waits for *its* connection to be opened: the first in line gets whichever comes first. So a waiter
//! that goes away loses nothing, and what was opened on its behalf serves the next.
use crate::base::limits::{POOL_REOPEN_MAX_NS, POOL_REOPEN_MIN_NS};
use std::collections::{BTreeMap, VecDeque};
use std::panic::Location;

/// Bounds of one service's connections. Durations in nanoseconds; 0 switches off what is marked so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotLimits {
    /// Connections kept open even when nobody wants them.
    pub min: usize,
    /// Connections at most, lent, idle and being opened together.
    pub max: usize,
    /// A connection idle for longer is closed, unless it is one of the `min`; 0 is never.
    pub idle_timeout_ns: u64,
    /// A connection older than this is not lent again; 0 is never.
    pub max_age_ns: u64,
    /// A connection lent for longer is reported, once; 0 is never.
    pub held_max_ns: u64,
    /// Waiters at most.
    pub waiting_max: usize,
}

/// Names a waiter; later ones are larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// Names a connection that is being opened.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "what is opened must be told: `opened` or `open_failed`"]
pub struct Opening(());

/// A connection that is lent to somebody, to be given back with [`Slots::release`].
#[derive(Debug)]
#[must_use = "a connection that is not given back is lost to the pool"]
pub struct Lent<C> {
    /// The connection.
    pub connection: C,
    lease: u64,
    born_ns: u64,
    uses: u64,
}

impl<C> Lent<C> {
    /// True when somebody had it before.
    #[must_use]
    pub const fn is_reused(&self) -> bool {
        self.uses > 1
    }
}

/// How a connection is when it is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The next one may have it.
    Reusable,
    /// It is in order, but the server or the configuration wants no more of it.
    Spent,
    /// It has failed, or was given up in the middle of something.
    Broken,
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// It was given back as broken, or had died while it was idle.
    Broken,
    /// It was given back as spent.
    Spent,
    /// Nobody wanted it for longer than the idle timeout.
    Idle,
    /// It is older than the maximum age.
    Old,
    /// The pool is stopping.
    Stopped,
}

/// Why a waiter gets nothing.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal<E> {
    /// Its time is over.
    Timeout,
    /// The pool is stopping.
    Stopped,
    /// As many wait already as may.
    QueueFull,
    /// No connection could be opened, and none is lent that might come back.
    OpenFailed(E),
}

/// What is to be done.
#[derive(Debug)]
pub enum Action<C, E> {
    /// Open a connection, then call [`Slots::opened`] or [`Slots::open_failed`].
    Open(Opening),
    /// Close this connection.
    Close(C, CloseReason),
    /// This waiter has a connection.
    Serve(Ticket, Lent<C>),
    /// This waiter gets none.
    Fail(Ticket, Refusal<E>),
    /// Somebody has held a connection for too long.
    Leak(Held),
}

/// A connection that is lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Since when, monotonic nanoseconds.
    pub since_ns: u64,
    /// Where it was asked for.
    pub place: &'static Location<'static>,
    reported: bool,
}

/// The answer to somebody who wants a connection.
#[derive(Debug)]
pub enum Acquired<C, E> {
    /// Here it is.
    Ready(Lent<C>),
    /// Wait for [`Action::Serve`] or [`Action::Fail`] with this ticket, or call [`Slots::cancel`].
    Wait(Ticket),
    /// There will be none.
    Refused(Refusal<E>),
}

/// What was done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotCounts {
    /// Connections lent, those for probes not counted.
    pub acquired: u64,
    /// Of these, connections that somebody had before.
    pub reused: u64,
    /// Connections opened.
    pub opened: u64,
    /// Attempts to open one that failed.
    pub open_failed: u64,
    /// Connections closed because they were broken.
    pub closed_broken: u64,
    /// Connections closed because they were spent.
    pub closed_spent: u64,
    /// Connections closed because nobody wanted them.
    pub closed_idle: u64,
    /// Connections closed because they were old.
    pub closed_old: u64,
    /// Connections closed because the pool was stopping.
    pub closed_stopped: u64,
    /// Waiters whose time was over.
    pub timed_out: u64,
    /// Waiters that went away.
    pub cancelled: u64,
    /// Waiters that were refused for another reason.
    pub refused: u64,
    /// Connections lent for too long.
    pub leaks: u64,
    /// Most connections lent at once.
    pub peak_in_use: usize,
    /// Most waiters at once.
    pub peak_waiting: usize,
}

impl SlotCounts {
    /// Connections closed for whatever reason.
    #[must_use]
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
    /// It takes no connection that somebody had before.
    new_only: bool,
    place: &'static Location<'static>,
}

/// The connections of one service.
#[derive(Debug)]
pub struct Slots<C, E> {
    limits: SlotLimits,
    /// The one used last is at the back, and is lent first: so the others may age out.
    idle: VecDeque<Idle<C>>,
    lent: BTreeMap<u64, Held>,
    opening: usize,
    waiting: BTreeMap<Ticket, Waiter>,
    next: u64,
    /// Pause before the next attempt to open one that nobody's failure depends on.
    pause_ns: u64,
    pause_until_ns: u64,
    stopping: bool,
    actions: VecDeque<Action<C, E>>,
    counts: SlotCounts,
}

impl<C, E> Slots<C, E> {
    /// No connections yet; the first [`Slots::poll`] asks for the `min`.
    #[must_use]
    pub fn new(limits: SlotLimits) -> Self {
        Self {
            limits,
            idle: VecDeque::new(),
            lent: BTreeMap::new(),
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

    /// Asks for a connection until `deadline_ns`; `place` is whose it is then. `is_usable` looks at an
    /// idle one before it is lent.
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
            return Acquired::Ready(self.lend(idle, now_ns, place));
        }
        self.wait(now_ns, Waiter { deadline_ns, new_only: false, place })
    }

    /// Asks for a connection that nobody had before: kept ones have turned out to be dead, and the server or what is
    /// between may have dropped all of them. Where there is no room for a new one, an idle one gives way.
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

    /// The idle connection used last that is young and usable.
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

    /// A waiter has gone away. Nothing happens if it was served or refused already.
    pub fn cancel(&mut self, ticket: Ticket) {
        if self.waiting.remove(&ticket).is_some() {
            self.counts.cancelled += 1;
        }
    }

    /// Takes a connection back. One that is not reusable is closed and never lent again.
    pub fn release(&mut self, lent: Lent<C>, condition: Condition, now_ns: u64) {
        let Lent { connection, lease, born_ns, uses } = lent;
        let known = self.lent.remove(&lease);
        debug_assert!(known.is_some(), "a lease is given back once");
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

    /// A connection has been opened.
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
    /// While others are lent, waiters go on waiting for those, and another attempt follows after a pause.
    /// Otherwise the first of those who wait for one connection too many gets the error, and the next
    /// attempt is the next waiter's.
    pub fn open_failed(&mut self, opening: Opening, error: E, now_ns: u64) {
        let Opening(()) = opening;
        self.opening -= 1;
        self.counts.open_failed += 1;
        self.pause_ns = (self.pause_ns * 2).clamp(POOL_REOPEN_MIN_NS, POOL_REOPEN_MAX_NS);
        self.pause_until_ns = now_ns + self.pause_ns;
        if self.lent.is_empty()
            && self.waiting.len() > self.opening
            && let Some((ticket, _)) = self.waiting.pop_first()
        {
            self.counts.refused += 1;
            self.actions.push_back(Action::Fail(ticket, Refusal::OpenFailed(error)));
        }
        self.open_for_waiters(now_ns);
    }

    /// The time of a waiter is over. True if it still waited: otherwise its outcome is among the actions.
    pub fn expire(&mut self, ticket: Ticket) -> bool {
        let waited = self.waiting.remove(&ticket).is_some();
        self.counts.timed_out += u64::from(waited);
        waited
    }

    /// What time brings: waiters whose time is over, connections to close or to open, leases held for
    /// too long. Call it every 100 ms or so.
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
            let idle = self.idle.remove(place).expect("it was looked at");
            self.close(idle.connection, reason);
        }
    }

    fn report_leaks(&mut self, now_ns: u64) {
        let held_max_ns = self.limits.held_max_ns;
        if held_max_ns == 0 {
            return;
        }
        for held in self.lent.values_mut() {
            if !held.reported && now_ns.saturating_sub(held.since_ns) >= held_max_ns {
                held.reported = true;
                self.counts.leaks += 1;
                self.actions.push_back(Action::Leak(*held));
            }
        }
    }

    /// Lends the connection that was idle for longest, to be tried out; `None` where none is idle.
    pub fn lend_for_probe(
        &mut self,
        now_ns: u64,
        place: &'static Location<'static>,
    ) -> Option<Lent<C>> {
        let Idle { connection, born_ns, uses, .. } = self.idle.pop_front()?;
        let lease = self.number();
        self.lent.insert(lease, Held { since_ns: now_ns, place, reported: false });
        Some(Lent { connection, lease, born_ns, uses })
    }

    /// No more connections: waiters are refused, idle ones closed, lent ones closed when they come back.
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

    /// The next thing to do, oldest first.
    #[must_use]
    pub fn take_action(&mut self) -> Option<Action<C, E>> {
        self.actions.pop_front()
    }

    /// Connections that wait for somebody.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.idle.len()
    }

    /// Connections that are lent, those for probes with them.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.lent.len()
    }

    /// Connections that are being opened.
    #[must_use]
    pub const fn opening(&self) -> usize {
        self.opening
    }

    /// Those who wait for a connection.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// All connections: idle, lent, being opened.
    #[must_use]
    pub fn total(&self) -> usize {
        self.idle.len() + self.lent.len() + self.opening
    }

    /// Every lease, oldest first.
    pub fn held(&self) -> impl Iterator<Item = &Held> {
        self.lent.values()
    }

    /// What was done since the start.
    #[must_use]
    pub const fn counts(&self) -> SlotCounts {
        self.counts
    }

    /// True when [`Slots::stop`] was called.
    #[must_use]
    pub const fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// True when nothing is lent and nothing is being opened: a stopped pool is then at its end.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.lent.is_empty() && self.opening == 0
    }

    fn put(&mut self, idle: Idle<C>, now_ns: u64) {
        let mut takers =
            self.waiting.iter().filter(|(_, waiter)| !waiter.new_only || idle.uses == 0);
        let taker = takers.next().map(|(ticket, _)| *ticket);
        match taker.and_then(|ticket| Some((ticket, self.waiting.remove(&ticket)?))) {
            Some((ticket, waiter)) => {
                let lent = self.lend(idle, now_ns, waiter.place);
                self.actions.push_back(Action::Serve(ticket, lent));
            }
            None => self.idle.push_back(idle),
        }
    }

    fn lend(&mut self, idle: Idle<C>, now_ns: u64, place: &'static Location<'static>) -> Lent<C> {
        let lease = self.number();
        self.lent.insert(lease, Held { since_ns: now_ns, place, reported: false });
        self.counts.acquired += 1;
        self.counts.reused += u64::from(idle.uses > 0);
        self.counts.peak_in_use = self.counts.peak_in_use.max(self.lent.len());
        let Idle { connection, born_ns, uses, .. } = idle;
        Lent { connection, lease, born_ns, uses: uses + 1 }
    }

    /// One connection on its way for each waiter, as far as `max` allows.
    fn open_for_waiters(&mut self, now_ns: u64) {
        // Those who wait alone have nothing to lose; others may be served by what is lent.
        if self.stopping || (!self.lent.is_empty() && now_ns < self.pause_until_ns) {
            return;
        }
        while self.opening < self.waiting.len() {
            if self.total() >= self.limits.max {
                // Somebody waits although one is idle: for a new one. The oldest gives way.
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
