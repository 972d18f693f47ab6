//! The dial queue: which connection may dial now.
//!
//! Runs on:  the control core (pure). All times are monotonic nanoseconds.
//! Owns:     each connection's backoff, the stagger between dials, the pause after a 429.
//! Bounds:   one dial per [`DIAL_INTERVAL_NS`], [`DIALS_IN_PROGRESS_MAX`] in progress.
//!
//! A connection that asks is dialed as soon as the stagger lets it; one that failed waits for its
//! own backoff. After [`OUTAGE_FAILURES`] failures in a row, whoever failed, the venue counts as
//! down: then only a probe goes out every [`PROBE_INTERVAL_NS`], and backoffs do not matter. The
//! first success ends the outage and makes every waiting connection due at once, spread by the
//! stagger. So 40 connections are up again within 5 s of the venue's return, however long it was
//! away, and a venue that is down sees one dial a second and not hundreds.
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
    /// Of dials that failed; over with a dial that succeeds.
    backoff: Backoff,
    /// Of connections that came up and did not stay; over with one that did.
    flapping: Backoff,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It dials from this time on.
    Waiting { due_ns: u64 },
    /// Its dial is in progress since then.
    Dialing { begun_ns: u64 },
    /// It came up then.
    Up { since_ns: u64 },
}

/// A dial that may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dial {
    /// The connection to dial.
    pub connection: ConnectionId,
    /// The time it has, nanoseconds, for everything up to the WebSocket upgrade.
    pub timeout_ns: u64,
}

/// Decides who dials when.
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
    /// Dials that ended in a connection.
    pub succeeded: u64,
    /// Dials that failed.
    pub failed: u64,
    /// Failures with HTTP 429 and a pause.
    pub throttled: u64,
}

impl DialQueue {
    /// An empty queue; `seed` fixes the jitter.
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

    /// The same with another interval between two dials.
    #[must_use]
    pub const fn every(mut self, interval_ns: u64) -> Self {
        self.interval_ns = interval_ns;
        self
    }

    /// The same with another longest delay before a redial.
    #[must_use]
    pub const fn backing_off(mut self, max_ns: u64) -> Self {
        self.backoff_max_ns = max_ns;
        self
    }

    /// A connection is new, or its socket is gone: it wants to dial. Nothing happens when it
    /// waits or dials already.
    ///
    /// It is due at once, except when it had been up for less than [`CONNECTION_STABLE_NS`]: a
    /// venue that accepts and then drops is not dialed in a loop, but after 1 s at first and up
    /// to 30 s in the end.
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

    /// The dial to begin now, if one may. Ask again until `None`.
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

    /// A dial ended in a connection; how long it took, nanoseconds, if it was one of ours. Ends an outage:
    /// whoever waits is due now.
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

    /// A dial failed. `retry_after_ns` is the pause that the venue asked for with HTTP 429; it
    /// holds for every connection, at most [`RETRY_AFTER_MAX_NS`], and is no sign of an outage.
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

    /// The connection is closed for good; a dial of it that is in progress no longer counts.
    pub fn cancel(&mut self, connection: ConnectionId) {
        match self.entries.remove(&connection).map(|entry| entry.phase) {
            Some(Phase::Waiting { due_ns }) => _ = self.waiting.remove(&(due_ns, connection)),
            Some(Phase::Dialing { .. }) => self.in_progress -= 1,
            Some(Phase::Up { .. }) | None => {}
        }
    }

    /// When [`DialQueue::poll`] will next name a connection if nothing else happens; never before
    /// `now_ns`. `None` when nobody waits or too many dials are in progress.
    #[must_use]
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

    /// True while the venue is taken to be down: the last [`OUTAGE_FAILURES`] dials failed.
    #[must_use]
    pub const fn is_outage(&self) -> bool {
        self.failures_in_a_row >= OUTAGE_FAILURES
    }

    /// Connections that wait for their dial.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Dials in progress.
    #[must_use]
    pub const fn in_progress(&self) -> usize {
        self.in_progress
    }

    /// Dials since the start.
    #[must_use]
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
