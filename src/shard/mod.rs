//! What a hot core does: its connections, its books, and the user's handler.
//!
//! Runs on:  shard cores, one executor each; replay runs the same books on plain threads.
//! Owns:     the shard's connections and the books that hash to it.
//! Bounds:   see `step`: every part of a duty cycle is limited.
pub mod books;
mod commands;
mod connections;
mod handover;
mod idle;
pub mod intake;
pub mod publish;
mod receive;
mod snapshot_check;
mod step;

use crate::base::{
    id::{ShardId, TokenId},
    limits::READ_BUFFER_BYTES,
    policy::HashChecks,
    time::Clock,
};
use crate::io::{
    clock::HostClock,
    driver::{Doorbell, Readiness},
    wake::TaskWaker,
};
use crate::link::{
    control_shard::StampedCommand,
    serve_shard::{BookAnswer, BookQuery},
    shard_capture::CaptureSender,
    shard_control::Report,
    shard_shard::Peers,
    shard_trade::TradeSender,
    shard_updates::{UpdateLink, UpdateRequest},
};
use crate::ring::{Consumer, Producer};
use crate::venue::{Capabilities, Feed};
use books::{Admission, Books, ConnectionSlot};
use connections::{Connections, Waiting};
use intake::{Findings, Intake};
use publish::Handler;
use std::collections::VecDeque;

/// The ends of the links that a shard holds.
#[derive(Debug)]
pub struct ShardLinks {
    /// Commands from the control core.
    pub commands: Consumer<StampedCommand>,
    /// Reports to the control core.
    pub reports: Producer<Report>,
    /// Book queries from the serve core.
    pub queries: Consumer<BookQuery>,
    /// Answers to the serve core.
    pub answers: Producer<BookAnswer>,
    /// The other shards, to which events are forwarded.
    pub peers: Peers,
    /// Subscriptions of the serve core, where it takes any.
    pub updates: Option<UpdateLink>,
}

/// Settings of one shard.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShardConfig {
    /// Which hashes of books are compared with the venue's.
    pub hash_checks: HashChecks,
    /// Every live book is compared with the venue's REST interface once in so long, nanoseconds; 0 is never. Where
    /// the venue numbers its messages, with a snapshot on its connection.
    pub audit_round_ns: u64,
    /// The same with the REST interface of a venue that numbers its messages.
    pub poll_round_ns: u64,
    /// With a capture: each live book has an image in it once in so long, nanoseconds; 0 is never.
    pub image_round_ns: u64,
    /// Whether the frames of each connection are timed apart.
    pub times_connections: bool,
    /// Whether connections with the same tokens race.
    pub races: bool,
}

/// One hot core's state.
#[derive(Debug)]
pub struct Shard<H, C = HostClock> {
    feed: Feed,
    capabilities: Capabilities,
    intake: Intake<H, C>,
    connections: Connections,
    readiness: Readiness,
    links: ShardLinks,
    subscribers: Option<Subscribers>,
    /// One read, shared by all connections.
    buffer: Box<[u8]>,
    findings: Findings,
    /// Connections with a backlog, in the order of their turns.
    large: VecDeque<ConnectionSlot>,
    /// Books that were asked for over REST, decoded in parts.
    answers: VecDeque<(u32, Waiting)>,
    /// Tokens to be asked for, gathered within one housekeeping.
    wanted: Vec<TokenId>,
    /// Reports that control must not miss and that found the ring full.
    unsent: VecDeque<Report>,
    config: ShardConfig,
    /// Where all that comes and goes is written down, if it is.
    capture: Option<CaptureSender>,
    tally: Tally,
    schedule: Schedule,
}

/// The serve core's subscriptions; the other end of their link is in the books.
#[derive(Debug)]
struct Subscribers {
    requests: Consumer<UpdateRequest>,
    /// Wakes the serve core.
    waker: TaskWaker,
}

/// Counters that belong to no book and no connection.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    bytes: u64,
    last_data_wall_ns: u64,
    commands: u64,
    command_wait_ns: u64,
    command_wait_max_ns: u64,
    book_bytes: u64,
    bad_samples: u64,
    bad_withheld: u64,
    silences: u64,
    frozen: u64,
    /// Memory of unfinished frames and of large ones that wait, all connections together.
    unfinished_bytes: usize,
    closed_for_memory: u64,
    closed_for_flood: u64,
}

/// When things are due, monotonic nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Schedule {
    /// The end of the last step.
    now_ns: u64,
    /// The same, Unix nanoseconds.
    now_wall_ns: u64,
    /// In this step a socket may have been left with unread data.
    unread: bool,
    /// All that had arrived by then is applied, Unix nanoseconds.
    read_wall_ns: u64,
    housekeeping_ns: u64,
    heartbeat_ns: u64,
    bad_samples_ns: u64,
    /// When books were last asked for to be compared.
    audited_ns: u64,
    /// Up to when images are written.
    imaged_ns: u64,
    /// The engine stops; by then the shard ends, whatever the others do.
    stop_deadline_ns: Option<u64>,
    stopped: bool,
}

impl<H: Handler, C: Clock> Shard<H, C> {
    /// A shard without connections. Built on the main thread, run on its core.
    ///
    /// # Errors
    /// No file descriptors left for the epoll set: `ulimit -n`.
    pub fn new(
        id: ShardId,
        feed: Feed,
        config: ShardConfig,
        handler: H,
        clock: C,
        mut links: ShardLinks,
    ) -> std::io::Result<Self> {
        let books = Books::new(id, feed, Admission::Listed, handler);
        let mut books = books.with_hash_checks(config.hash_checks);
        books.set_races(config.races);
        let updates = links.updates.take().map(|UpdateLink { requests, updates, waker }| {
            books.store.set_update_sender(updates);
            Subscribers { requests, waker }
        });
        let mut intake = Intake::new(feed, books, clock);
        if config.times_connections {
            intake.time_every_frame();
        }
        Ok(Self {
            feed,
            capabilities: feed.capabilities(),
            intake,
            subscribers: updates,
            connections: Connections::default(),
            readiness: Readiness::new()?,
            links,
            buffer: vec![0; READ_BUFFER_BYTES].into_boxed_slice(),
            findings: Findings::default(),
            large: VecDeque::new(),
            answers: VecDeque::new(),
            wanted: Vec::new(),
            unsent: VecDeque::new(),
            config,
            capture: None,
            tally: Tally::default(),
            schedule: Schedule::default(),
        })
    }

    /// The same with every trade sent to the sink.
    #[must_use]
    pub fn with_trade_sender(mut self, sender: TradeSender) -> Self {
        self.intake.books = self.intake.books.with_trade_sender(sender);
        self
    }

    /// The same with all frames and commands captured; there are `shards` shards.
    #[must_use]
    pub fn with_capture(mut self, mut capture: CaptureSender, shards: u16) -> Self {
        let wall_ns = self.intake.clock.now().wall_ns;
        capture.begun(shards, self.intake.books.hash_checks(), self.config.races, wall_ns);
        self.capture = Some(capture);
        self
    }

    /// The same as one of `shards` shards, with ids from `first` on, that forward events to one another by these
    /// links.
    #[must_use]
    pub fn with_peers(mut self, peers: Peers, shards: u16, first: u16) -> Self {
        self.intake.books = self.intake.books.with_shards(shards, first);
        self.links.peers = peers;
        self
    }

    /// The bell that wakes this shard when it is parked.
    pub fn doorbell(&self) -> Doorbell {
        self.readiness.doorbell()
    }
}

#[cfg(test)]
mod tests;
