//! Encoded events of the last minutes, for clients that resume.
//!
//! Runs on:  serve core (pure). Owns: the events, as frames that it shares with the clients.
//! Bounds:   number and bytes as [`Backlog::new`] is given; the oldest events leave first.
use super::{Kind, Kinds};
use crate::gateway::outbox::FrameClass;
use crate::link::shard_updates::SubscriptionKey;
use foldhash::fast::FixedState;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

/// One event.
#[derive(Clone, Debug)]
pub struct BacklogEvent {
    /// The book; `None` for an event of a market.
    pub key: Option<SubscriptionKey>,
    /// The kind.
    pub kind: Kind,
    /// The frame, its sequence number included.
    pub frame: Rc<[u8]>,
}

/// Sequence numbers of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookSequences {
    /// Of the first image of its present subscription: events before it are missing.
    pub first: u64,
    /// Of its last event.
    pub last: u64,
}

/// A book that a client resumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResumedBook {
    /// The book.
    pub key: SubscriptionKey,
    /// The first sequence number that the client has not received of it.
    pub from_sequence: u64,
    /// Numbers of the book.
    pub sequences: BookSequences,
}

/// What a client that resumes receives.
#[derive(Debug, Default)]
pub struct ResumePlan {
    /// Books whose events are not there: *queue a notice ([`encode::behind`]) with the number before `from_sequence`,
    /// mark the book with `gap`*.
    ///
    /// [`encode::behind`]: super::encode::behind
    pub gaps: Vec<ResumedBook>,
    /// Events to queue behind the notices, oldest first.
    pub events: Vec<BacklogEvent>,
    /// All other books: *queue their present state, with [`Backlog::last_sequence`], behind the events*. So the client
    /// knows that it is up to date.
    pub states: Vec<SubscriptionKey>,
}

/// How a client is brought up to date with a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resume {
    /// Nothing has happened since.
    UpToDate,
    /// Its events since then are in the backlog.
    Replay,
    /// The events are no longer there, or the number is none of this process.
    Gap,
}

impl BacklogEvent {
    /// How an outbox treats the frame.
    pub const fn class(&self) -> FrameClass {
        match (self.key, self.kind) {
            (Some(key), Kind::Change) => FrameClass::Change(key),
            (Some(key), Kind::Snapshot | Kind::Top) => FrameClass::Image(key),
            (Some(key), Kind::State) => FrameClass::State(key),
            _ => FrameClass::Other,
        }
    }
}

/// The events that can be resumed from, with the sequence numbers of all events.
#[derive(Debug)]
pub struct Backlog {
    events: VecDeque<BacklogEvent>,
    /// Sequence number of the front event.
    first: u64,
    bytes: usize,
    events_max: usize,
    bytes_max: usize,
}

impl Backlog {
    /// An empty backlog of at most this many events and bytes. The first event has the number `first_sequence`: pass
    /// the wall time in microseconds, so that the numbers of an earlier process are below all numbers of this one, and
    /// a client that resumes from them receives snapshots.
    pub const fn new(first_sequence: u64, events_max: usize, bytes_max: usize) -> Self {
        Self { events: VecDeque::new(), first: first_sequence, bytes: 0, events_max, bytes_max }
    }

    /// Number of the next event.
    pub fn next_sequence(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    /// Number of the last event: that of an image for one client.
    pub fn last_sequence(&self) -> u64 {
        self.next_sequence().saturating_sub(1)
    }

    /// Stores the event with the number [`Backlog::next_sequence`].
    pub fn push(&mut self, event: BacklogEvent) {
        self.bytes += event.frame.len();
        self.events.push_back(event);
        while self.events.len() > self.events_max || self.bytes > self.bytes_max {
            let Some(event) = self.events.pop_front() else { break };
            self.bytes -= event.frame.len();
            self.first += 1;
        }
    }

    /// Brings a client up to date with books of which it has received all events before a number. Events of other kinds
    /// are left out; more than `bytes_max` bytes of events are a gap of all books.
    pub fn plan_resume(&self, books: &[ResumedBook], kinds: Kinds, bytes_max: usize) -> ResumePlan {
        let mut plan = ResumePlan::default();
        let mut replayed = HashMap::with_hasher(FixedState::default());
        for book in books {
            match self.resume(book.from_sequence, book.sequences) {
                Resume::UpToDate => plan.states.push(book.key),
                Resume::Replay => drop(replayed.insert(book.key, book)),
                Resume::Gap => plan.gaps.push(*book),
            }
        }
        let first = replayed.values().map(|book| book.from_sequence).min().unwrap_or(u64::MAX);
        let mut bytes = 0;
        for (event, sequence) in self.events_from(first).zip(first..) {
            let book = event.key.and_then(|key| replayed.get(&key));
            if book.is_some_and(|book| book.from_sequence <= sequence) && kinds.contain(event.kind)
            {
                bytes += event.frame.len();
                plan.events.push(event.clone());
            }
        }
        let replayed = books.iter().filter(|book| replayed.contains_key(&book.key));
        if bytes > bytes_max {
            plan.events.clear();
            plan.gaps.extend(replayed);
        } else {
            plan.states.extend(replayed.map(|book| book.key));
        }
        plan
    }

    fn resume(&self, from_sequence: u64, book: BookSequences) -> Resume {
        if from_sequence < book.first || from_sequence > self.next_sequence() {
            Resume::Gap
        } else if from_sequence > book.last {
            Resume::UpToDate
        } else if from_sequence < self.first {
            Resume::Gap
        } else {
            Resume::Replay
        }
    }

    /// The events from this number on, oldest first.
    fn events_from(&self, from_sequence: u64) -> impl ExactSizeIterator<Item = &BacklogEvent> {
        let skipped = from_sequence.saturating_sub(self.first);
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX).min(self.events.len());
        self.events.range(skipped..)
    }
}

#[cfg(test)]
mod tests;
