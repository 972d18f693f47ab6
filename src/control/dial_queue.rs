//! Dial queue: which connection may dial now.
//!
//! Runs on:  control core (pure; times are monotonic nanoseconds).
//! Owns:     backoff of each connection, the interval between dials, the pause after HTTP 429.
//! Bounds:   one dial per [`DIAL_INTERVAL_NS`], [`DIALS_IN_PROGRESS_MAX`] in progress.
//!
//! A connection is dialed when the interval allows; after a failure it waits for its own backoff. After
//! [`OUTAGE_FAILURES`] failures in a row of any connections the venue is down: one probe per [`PROBE_INTERVAL_NS`],
//! without backoff. A success ends the outage and makes all waiting connections due. So 40 connections are up within
//! 5 s after an outage of any length, and a venue that is down receives one dial per second.
#[cfg(test)]
mod tests;

use crate::base::id::ConnectionId;
use crate::base::limits::{
    BACKOFF_MAX_NS, CONNECTION_STABLE_NS, DIAL_INTERVAL_NS, DIAL_TIMEOUT_NS, DIALS_IN_PROGRESS_MAX,
    OUTAGE_FAILURES, PROBE_INTERVAL_NS, PROBE_TIMEOUT_NS, PROBES_PER_FULL_TIMEOUT,
    RETRY_AFTER_MAX_NS,
};
use crate::base::random::Random;
use crate::session::backoff::Backoff;
use std::collections::{BTreeMap, BTreeSet};

/// State of one connection in the queue.
#[derive(Clone, Copy, Debug)]
struct Entry {
    phase: Phase,
    /// Backoff after failed dials; reset by a success.
    backoff: Backoff,
    /// Backoff after short-lived connections; reset by one that lasted.
    flapping: Backoff,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Earliest time of its dial.
    Waiting { due_ns: u64 },
    /// Start of its dial.
    Dialing { begun_ns: u64 },
    /// Time it came up.
    Up { since_ns: u64 },
}

/// A dial to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dial {
    /// The connection to dial.
    pub connection: ConnectionId,
    /// Time limit up to the WebSocket upgrade, nanoseconds.
    pub timeout_ns: u64,
}

/// Schedules the dials of one stream.
#[derive(Clone, Debug)]
pub struct DialQueue {
    random: Random,
    interval_ns: u64,
    backoff_max_ns: u64,
    entries: BTreeMap<ConnectionId, Entry>,
    waiting: BTreeSet<(u64, ConnectionId)>,
    in_progress: usize,
    last_dial_ns: Option<u64>,
    hold_until_ns: u64,
    failures_in_a_row: u32,
    outage_ended_ns: u64,
    probes: u64,
    counts: DialCounts,
}

/// Dials since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DialCounts {
    /// Dials begun.
    pub begun: u64,
    /// Successful dials.
    pub succeeded: u64,
    /// Failed dials.
    pub failed: u64,
    /// Failures with HTTP 429 and a requested pause.
    pub throttled: u64,
}

impl DialQueue {
    /// An empty queue; `seed` determines the jitter.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            interval_ns: DIAL_INTERVAL_NS,
            backoff_max_ns: BACKOFF_MAX_NS,
            entries: BTreeMap::new(),
            waiting: BTreeSet::new(),
            in_progress: 0,
            last_dial_ns: None,
            hold_until_ns: 0,
            failures_in_a_row: 0,
            outage_ended_ns: 0,
            probes: 0,
            counts: DialCounts { begun: 0, succeeded: 0, failed: 0, throttled: 0 },
        }
    }

    /// Sets the interval between two dials.
    #[must_use]
    pub const fn every(mut self, interval_ns: u64) -> Self {
        self.interval_ns = interval_ns;
        self
    }

    /// Sets the longest redial delay.
    #[must_use]
    pub const fn backing_off(mut self, max_ns: u64) -> Self {
        self.backoff_max_ns = max_ns;
        self
    }

    /// Requests a dial for a new connection or one whose socket ended. No effect if it waits or dials already.
    ///
    /// Due at once, unless it was up for less than [`CONNECTION_STABLE_NS`]: then after 1 s, growing to 30 s.
    pub fn request(&mut self, connection: ConnectionId, now_ns: u64) {
        let entry = self.entries.get(&connection).copied();
        let due_ns = match entry {
            Some(Entry { phase: Phase::Waiting { .. } | Phase::Dialing { .. }, .. }) => return,
            None => now_ns,
            Some(Entry { phase: Phase::Up { since_ns }, mut flapping, .. }) => {
                let stable = now_ns.saturating_sub(since_ns) >= CONNECTION_STABLE_NS;
                let delay_ns = if stable {
                    flapping.reset();
                    0
                } else {
                    flapping.next_delay_ns(&mut self.random)
                };
                if let Some(entry) = self.entries.get_mut(&connection) {
                    entry.flapping = flapping;
                }
                now_ns + delay_ns
            }
        };
        self.wait(connection, due_ns, Backoff::up_to(self.backoff_max_ns));
    }

    /// The next dial to begin now; call until `None`.
    pub fn poll(&mut self, now_ns: u64) -> Option<Dial> {
        if self.next_due(now_ns).is_none_or(|due_ns| due_ns > now_ns) {
            return None;
        }
        let (_, connection) = self.waiting.pop_first()?;
        if let Some(entry) = self.entries.get_mut(&connection) {
            entry.phase = Phase::Dialing { begun_ns: now_ns };
        }
        self.in_progress += 1;
        self.last_dial_ns = Some(now_ns);
        self.counts.begun += 1;
        let mut timeout_ns = DIAL_TIMEOUT_NS;
        if self.is_outage() {
            self.probes += 1;
            if !self.probes.is_multiple_of(PROBES_PER_FULL_TIMEOUT) {
                timeout_ns = PROBE_TIMEOUT_NS;
            }
        }
        Some(Dial { connection, timeout_ns })
    }

    /// A dial succeeded; returns its duration in nanoseconds if it was one of the queue. Ends an outage: all waiting
    /// connections are due.
    pub fn on_success(&mut self, connection: ConnectionId, now_ns: u64) -> Option<u64> {
        let entry = self.entries.get_mut(&connection)?;
        let Phase::Dialing { begun_ns } = entry.phase else { return None };
        entry.phase = Phase::Up { since_ns: now_ns };
        entry.backoff.reset();
        self.in_progress -= 1;
        self.counts.succeeded += 1;
        let outage = self.is_outage();
        self.failures_in_a_row = 0;
        if outage {
            self.outage_ended_ns = now_ns;
            self.make_all_due(now_ns);
        }
        Some(now_ns.saturating_sub(begun_ns))
    }

    /// A dial failed. `retry_after_ns` is the pause requested with HTTP 429: it applies to all connections, is limited
    /// to [`RETRY_AFTER_MAX_NS`] and does not count towards an outage.
    pub fn on_failure(
        &mut self,
        connection: ConnectionId,
        now_ns: u64,
        retry_after_ns: Option<u64>,
    ) {
        let Some(entry) = self.entries.get(&connection).copied() else { return };
        let Phase::Dialing { begun_ns } = entry.phase else { return };
        self.in_progress -= 1;
        self.counts.failed += 1;
        if let Some(pause_ns) = retry_after_ns {
            self.counts.throttled += 1;
            let until_ns = now_ns.saturating_add(pause_ns.min(RETRY_AFTER_MAX_NS));
            self.hold_until_ns = self.hold_until_ns.max(until_ns);
        }
        if begun_ns < self.outage_ended_ns {
            // It hung since the outage: that says nothing about the venue now.
            self.wait(connection, now_ns, Backoff::up_to(self.backoff_max_ns));
            return;
        }
        if retry_after_ns.is_none() {
            self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        }
        let mut backoff = entry.backoff;
        let delay_ns = backoff.next_delay_ns(&mut self.random);
        self.wait(connection, now_ns + delay_ns, backoff);
    }

    /// Removes a closed connection; the result of a dial in progress is ignored.
    pub fn cancel(&mut self, connection: ConnectionId) {
        match self.entries.remove(&connection).map(|entry| entry.phase) {
            Some(Phase::Waiting { due_ns }) => _ = self.waiting.remove(&(due_ns, connection)),
            Some(Phase::Dialing { .. }) => self.in_progress -= 1,
            Some(Phase::Up { .. }) | None => {}
        }
    }

    /// When [`DialQueue::poll`] returns a dial if nothing else happens, not before `now_ns`. `None` if none waits or
    /// too many are in progress.
    pub fn next_due(&self, now_ns: u64) -> Option<u64> {
        let &(own_due_ns, _) = self.waiting.first()?;
        if self.in_progress >= DIALS_IN_PROGRESS_MAX {
            return None;
        }
        let after_last = |interval| self.last_dial_ns.map_or(0, |last| last + interval);
        let due_ns = if self.is_outage() {
            after_last(PROBE_INTERVAL_NS)
        } else {
            own_due_ns.max(after_last(self.interval_ns))
        };
        Some(due_ns.max(self.hold_until_ns).max(now_ns))
    }

    /// Whether the last [`OUTAGE_FAILURES`] dials failed.
    pub const fn is_outage(&self) -> bool {
        self.failures_in_a_row >= OUTAGE_FAILURES
    }

    /// Number of dials in progress.
    pub const fn in_progress(&self) -> usize {
        self.in_progress
    }

    /// Dials since the start.
    pub const fn counts(&self) -> DialCounts {
        self.counts
    }

    fn wait(&mut self, connection: ConnectionId, due_ns: u64, backoff: Backoff) {
        let flapping =
            self.entries.get(&connection).map_or_else(Backoff::new, |entry| entry.flapping);
        let phase = Phase::Waiting { due_ns };
        self.entries.insert(connection, Entry { phase, backoff, flapping });
        self.waiting.insert((due_ns, connection));
    }

    fn make_all_due(&mut self, now_ns: u64) {
        let waiting = std::mem::take(&mut self.waiting);
        for (due_ns, connection) in waiting {
            self.wait(connection, due_ns.min(now_ns), Backoff::up_to(self.backoff_max_ns));
        }
    }
}
