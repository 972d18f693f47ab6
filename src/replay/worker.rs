//! One shard of a replay: takes batches, applies them with the live shard's code, measures.
//!
//! Runs on:  a plain thread of its own. Owns: the shard's books, counters and histograms.
use super::batch::{Batch, Inbox, Item, Order, Place, Task};
use crate::base::id::ShardId;
use crate::base::limits::REPLAY_ERRORS_SHOWN;
use crate::base::policy::HashChecks;
use crate::base::time::{Clock, Now};
use crate::counter::latency::Latencies;
use crate::counter::shard::{BookCounts, CheckCounts, IntakeCounts};
use crate::io::clock::{HostClock, thread_cpu_ns};
use crate::market::book::StaleReason;
use crate::shard::books::{Admission, Books};
use crate::shard::intake::{Findings, Intake};
use crate::venue::BadInput;

/// Something undecodable and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadPlace {
    pub(super) place: Place,
    pub(super) why: String,
}

/// What a shard has at the end.
#[derive(Debug)]
pub(super) struct Harvest {
    /// The shard.
    pub(super) shard: ShardId,
    /// Books of the last pass.
    pub(super) books: Books<()>,
    /// What was read in all passes.
    pub(super) counts: IntakeCounts,
    /// What happened to books in all passes; states are those at the end.
    pub(super) book_counts: BookCounts,
    /// What comparing them with the venue's best prices gave in all passes.
    pub(super) checks: CheckCounts,
    /// Answers to heartbeats.
    pub(super) pongs: u64,
    /// Bytes of the frames counted here.
    pub(super) bytes: u64,
    /// CPU time spent on batches, nanoseconds.
    pub(super) busy_ns: u64,
    /// Percentiles of the frames counted here.
    pub(super) latencies: Box<Latencies>,
    /// The first undecodable inputs of the first pass.
    pub(super) bad: Vec<BadPlace>,
}

/// A shard at work.
pub(super) struct Worker {
    shard: ShardId,
    shards: u16,
    inbox: Inbox,
    intake: Intake<(), HostClock>,
    findings: Findings,
    /// Where frames count that another shard counts.
    aside: (IntakeCounts, Box<Latencies>),
    earlier: BookCounts,
    earlier_checks: CheckCounts,
    pongs: u64,
    bytes: u64,
    busy_ns: u64,
    passes: u32,
    bad: Vec<BadPlace>,
}

fn empty_books(shard: ShardId, shards: u16) -> Books<()> {
    // A recording lacks what a hash is made of: tick size and smallest order of the catalogue.
    Books::new(shard, Admission::Implied { shards }, ()).checking(HashChecks::Off)
}

impl Worker {
    pub(super) fn new(shard: ShardId, shards: u16, inbox: Inbox, clock: HostClock) -> Self {
        Self {
            shard,
            shards,
            inbox,
            intake: Intake::new(empty_books(shard, shards), clock),
            findings: Findings::default(),
            aside: Default::default(),
            earlier: BookCounts::default(),
            earlier_checks: CheckCounts::default(),
            pongs: 0,
            bytes: 0,
            busy_ns: 0,
            passes: 0,
            bad: Vec::new(),
        }
    }

    /// Works until the input is over.
    pub(super) fn run(mut self) -> Harvest {
        loop {
            match self.inbox.wait() {
                Order::Batch(batch) => {
                    let start_ns = thread_cpu_ns();
                    self.on_batch(&batch);
                    self.busy_ns += thread_cpu_ns().saturating_sub(start_ns);
                    self.inbox.give_back(batch);
                }
                Order::Reset => {
                    self.settle();
                    self.earlier = sum(&self.earlier, self.intake.books.counts());
                    self.intake.books = empty_books(self.shard, self.shards);
                    self.passes += 1;
                }
                Order::Finish => {
                    self.settle();
                    return self.harvest();
                }
            }
        }
    }

    /// The end of a pass is the end of every group of messages.
    fn settle(&mut self) {
        self.intake.books.settle_all();
        self.earlier_checks = self.earlier_checks.plus(self.intake.books.checks());
    }

    fn on_batch(&mut self, batch: &Batch) {
        for (item, frame) in batch.iter() {
            match item.task {
                Task::Frame => {
                    self.bytes += frame.len() as u64;
                    self.on_frame(item, frame);
                    self.look_at_findings(item);
                }
                Task::Echo => {
                    self.swap_aside();
                    self.on_frame(item, frame);
                    self.findings.news.clear();
                    self.swap_aside();
                }
                Task::Ended => {
                    let why = StaleReason::Disconnected;
                    self.intake.books.set_connection_stale(item.connection, why, item.receive_ns);
                }
                Task::Lost => {
                    let why = StaleReason::FramesLost;
                    self.intake.books.set_connection_stale(item.connection, why, item.receive_ns);
                }
                Task::LostAnywhere => {
                    self.intake.books.set_all_stale(StaleReason::FramesLost, item.receive_ns);
                }
            }
        }
    }

    fn on_frame(&mut self, item: &Item, frame: &str) {
        let read = Now { mono_ns: self.intake.clock.mono_ns(), wall_ns: item.receive_ns };
        self.intake.on_frame(frame, item.connection, read, &mut self.findings);
    }

    fn look_at_findings(&mut self, item: &Item) {
        self.pongs += u64::from(self.findings.pong);
        self.findings.news.clear();
        if let Some(bad) = self.findings.bad
            && self.passes == 0
            && self.bad.len() < REPLAY_ERRORS_SHOWN
        {
            let place = Place { offset: item.place.offset + bad.offset as u64, ..item.place };
            self.bad.push(BadPlace { place, why: explain(&bad) });
        }
    }

    fn swap_aside(&mut self) {
        std::mem::swap(&mut self.intake.counts, &mut self.aside.0);
        std::mem::swap(&mut self.intake.latencies, &mut self.aside.1);
    }

    fn harvest(self) -> Harvest {
        let book_counts = sum(&self.earlier, self.intake.books.counts());
        Harvest {
            shard: self.shard,
            counts: self.intake.counts,
            latencies: self.intake.latencies,
            books: self.intake.books,
            book_counts,
            checks: self.earlier_checks,
            pongs: self.pongs,
            bytes: self.bytes,
            busy_ns: self.busy_ns,
            bad: self.bad,
        }
    }
}

fn explain(bad: &BadInput) -> String {
    match bad.fault {
        Some(fault) => format!("message refused: {fault}"),
        None => "not JSON from here on".to_owned(),
    }
}

/// Events of both, states of `now`.
fn sum(earlier: &BookCounts, now: &BookCounts) -> BookCounts {
    BookCounts {
        updates: earlier.updates + now.updates,
        snapshots: earlier.snapshots + now.snapshots,
        trades: earlier.trades + now.trades,
        changes_before_snapshot: earlier.changes_before_snapshot + now.changes_before_snapshot,
        changes_stale: earlier.changes_stale + now.changes_stale,
        foreign_tokens: earlier.foreign_tokens + now.foreign_tokens,
        ..*now
    }
}
