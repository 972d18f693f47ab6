//! Limit on local clients: permits, and eviction of idle or slow clients.
//!
//! Runs on:  serve core. Owns: one record per client.
//! Bounds:   [`Bounds`]: ordinary permits, and reserved ones that serve only `/health` and `/metrics`.
//!
//! Records are ordered by an event counter, not by a clock: the client that became idle first is the longest idle one.
use super::event::Event;
use crate::base::limits::{
    GATEWAY_CLIENTS_MAX, SERVE_CLIENTS_MAX, SERVE_CLIENTS_MIN, SERVE_FILES_ELSEWHERE,
    SERVE_RESERVED_MAX,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Most clients at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Clients that may request everything.
    pub clients: usize,
    /// Additional clients that may request only `/health` and `/metrics`.
    pub reserved: usize,
}

impl Bounds {
    /// Bounds for a process with `limit` file descriptors: clients take at most half of those that the rest of the
    /// engine does not need.
    pub fn for_descriptors(limit: Option<u64>) -> Self {
        let files = limit.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
        let half = files.saturating_sub(SERVE_FILES_ELSEWHERE) / 2;
        let clients = half.clamp(SERVE_CLIENTS_MIN, SERVE_CLIENTS_MAX);
        Self { clients, reserved: (clients / 4).clamp(1, SERVE_RESERVED_MAX) }
    }

    /// The same for the clients of a gateway, which have two descriptors each and of which none is reserved.
    pub fn of_gateway(limit: Option<u64>) -> Self {
        let files = limit.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
        let quarter = files.saturating_sub(SERVE_FILES_ELSEWHERE) / 4;
        Self { clients: quarter.clamp(SERVE_CLIENTS_MIN, GATEWAY_CLIENTS_MAX), reserved: 0 }
    }
}

/// What a client is doing. Smaller values are evicted first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Activity {
    /// No byte of a request was received.
    Idle,
    SendingRequest,
    ReadingAnswer,
    /// Waits for its answer; never evicted.
    Waiting,
}

struct ClientRecord {
    activity: Activity,
    since: u64,
    reserved: bool,
    evicted: Rc<Event>,
}

#[derive(Default)]
struct Records {
    events: u64,
    next: u64,
    clients: BTreeMap<u64, ClientRecord>,
}

/// All permits in use.
pub(super) struct ClientLimit {
    bounds: Bounds,
    records: RefCell<Records>,
}

/// The permit of one client; released when dropped.
pub(super) struct ClientPermit {
    limit: Rc<ClientLimit>,
    number: u64,
    /// Only `/health` and `/metrics` are answered.
    pub(super) reserved: bool,
    /// Set when the client must close for another one.
    pub(super) evicted: Rc<Event>,
}

impl ClientLimit {
    pub(super) fn new(bounds: Bounds) -> Rc<Self> {
        Rc::new(Self { bounds, records: RefCell::default() })
    }

    pub(super) fn len(&self) -> usize {
        self.records.borrow().clients.len()
    }

    /// A permit for a new client, and whether another client was evicted for it. `None`: all clients wait for answers.
    pub(super) fn acquire(self: &Rc<Self>) -> (Option<ClientPermit>, bool) {
        let Bounds { clients, reserved } = self.bounds;
        if self.count(false) < clients {
            return (Some(self.grant(false)), false);
        }
        // A client that reads slowly loses its permit only after the reserved permits are used up.
        if self.evict(|client| !client.reserved && client.activity <= Activity::SendingRequest) {
            return (Some(self.grant(false)), true);
        }
        if self.count(true) < reserved {
            return (Some(self.grant(true)), false);
        }
        if self.evict(|client| client.reserved && client.activity <= Activity::ReadingAnswer) {
            return (Some(self.grant(true)), true);
        }
        (None, false)
    }

    /// Evicts one client of any kind to free its file descriptor. False: none can be evicted.
    pub(super) fn evict_any(&self) -> bool {
        self.evict(|client| client.activity <= Activity::ReadingAnswer)
    }

    fn count(&self, reserved: bool) -> usize {
        self.records.borrow().clients.values().filter(|client| client.reserved == reserved).count()
    }

    /// Evicts the client with the smallest activity, and among those the one in it for longest. False: no candidate.
    fn evict(&self, may_go: impl Fn(&ClientRecord) -> bool) -> bool {
        let mut records = self.records.borrow_mut();
        let candidates = records.clients.iter().filter(|(_, client)| may_go(client));
        let first = candidates.min_by_key(|(_, client)| (client.activity, client.since));
        let Some(number) = first.map(|(number, _)| *number) else { return false };
        if let Some(client) = records.clients.remove(&number) {
            client.evicted.set();
        }
        true
    }

    fn grant(self: &Rc<Self>, reserved: bool) -> ClientPermit {
        let mut records = self.records.borrow_mut();
        records.events += 1;
        records.next += 1;
        let (number, since) = (records.next, records.events);
        let evicted = Rc::new(Event::default());
        let client = ClientRecord {
            activity: Activity::Idle,
            since,
            reserved,
            evicted: Rc::clone(&evicted),
        };
        records.clients.insert(number, client);
        ClientPermit { limit: Rc::clone(self), number, reserved, evicted }
    }
}

impl ClientPermit {
    /// Records what the client does from now on.
    pub(super) fn set(&self, activity: Activity) {
        let mut records = self.limit.records.borrow_mut();
        records.events += 1;
        let since = records.events;
        if let Some(client) = records.clients.get_mut(&self.number)
            && client.activity != activity
        {
            (client.activity, client.since) = (activity, since);
        }
    }
}

impl Drop for ClientPermit {
    fn drop(&mut self) {
        self.limit.records.borrow_mut().clients.remove(&self.number);
    }
}

#[cfg(test)]
mod tests;
