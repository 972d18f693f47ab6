//! One shard of a replay: takes batches, applies them with the live shard's code, measures.
//!
//! Runs on:  a plain thread of its own. Owns: the shard's books, counters and histograms.
use super::batch::{Batch, Inbox, Item, Order, Place, Task};
use super::notes::{self, Left, Notes, Proofs};
use crate::base::id::{ShardId, Venue};
use crate::base::limits::REPLAY_ERRORS_SHOWN;
use crate::base::policy::HashChecks;
use crate::base::time::{Clock, Now};
use crate::capture::line::Note;
use crate::counter::latency::Latencies;
use crate::counter::shard::{BookCounts, CheckCounts, IntakeCounts};
use crate::io::clock::{HostClock, thread_cpu_ns};
use crate::market::book::StaleReason;
use crate::shard::books::{Admission, Books, ConnectionSlot};
use crate::shard::intake::{Findings, Intake};
use crate::shard::publish::Handler;
use crate::venue::{BadInput, Capabilities, Progress};

/// Something undecodable and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadPlace {
    pub(super) place: Place,
    pub(super) why: String,
}

/// What a shard has at the end.
#[derive(Debug)]
pub(super) struct Harvest<H> {
    /// The shard.
    pub(super) shard: ShardId,
    /// Books of the last pass.
    pub(super) books: Books<H>,
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
    /// What the proofs in the capture gave in all passes.
    pub(super) proofs: Proofs,
    /// The first that failed.
    pub(super) different: Option<BadPlace>,
    /// Of each file: whether there was market data, and whether there was something that nobody knows.
    pub(super) seen: Vec<(bool, bool)>,
}

/// A shard at work.
pub(super) struct Worker<H> {
    shard: ShardId,
    shards: u16,
    venue: Venue,
    inbox: Inbox,
    intake: Intake<H, HostClock>,
    handler: H,
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
    notes: Notes,
    different: Option<BadPlace>,
    seen: Vec<(bool, bool)>,
}

fn empty_books<H: Handler>(
    (shard, venue): (ShardId, Venue),
    admission: Admission,
    handler: H,
) -> Books<H> {
    // A recording lacks what a hash is made of: tick size and smallest order of the catalogue.
    let books = Books::new(shard, admission, handler).checking(HashChecks::Off);
    books.sequenced(Capabilities::of(venue).is_sequenced())
}

impl<H: Handler + Clone> Worker<H> {
    pub(super) fn new(
        (shard, venue): (ShardId, Venue),
        shards: u16,
        inbox: Inbox,
        clock: HostClock,
        handler: H,
    ) -> Self {
        let admission = Admission::Implied { shards };
        let books = empty_books((shard, venue), admission, handler.clone());
        Self {
            shard,
            shards,
            inbox,
            venue,
            intake: Intake::of(venue, books, clock),
            handler,
            findings: Findings::default(),
            aside: Default::default(),
            earlier: BookCounts::default(),
            earlier_checks: CheckCounts::default(),
            pongs: 0,
            bytes: 0,
            busy_ns: 0,
            passes: 0,
            bad: Vec::new(),
            notes: Notes::default(),
            different: None,
            seen: Vec::new(),
        }
    }

    /// Works until the input is over.
    pub(super) fn run(mut self) -> Harvest<H> {
        loop {
            match self.inbox.wait() {
                Order::Batch(batch) => {
                    let start_ns = thread_cpu_ns();
                    self.on_batch(&batch);
                    self.busy_ns += thread_cpu_ns().saturating_sub(start_ns);
                    self.inbox.give_back(batch);
                }
                Order::Reset => {
                    self.begin(self.books(Admission::Implied { shards: self.shards }));
                    self.passes += 1;
                }
                Order::Finish => {
                    self.settle();
                    return self.harvest();
                }
            }
        }
    }

    /// No books yet.
    fn books(&self, admission: Admission) -> Books<H> {
        empty_books((self.shard, self.venue), admission, self.handler.clone())
    }

    /// Forgets all books and goes on with others.
    fn begin(&mut self, books: Books<H>) {
        self.settle();
        self.earlier = sum(&self.earlier, self.intake.books.counts());
        self.intake.books = books;
        self.notes.lossy = false;
    }

    /// The end of a pass is the end of every group of messages; but an engine had left off where its capture does.
    fn settle(&mut self) {
        if !self.notes.is_engines() {
            self.intake.books.settle_all();
        }
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
                Task::HungUp => {
                    let (at, why) = (recorded(item), StaleReason::Disconnected);
                    self.intake.books.on_line_end(item.connection, at);
                    self.intake.books.set_connection_stale(item.connection, why, item.receive_ns);
                }
                Task::Begin => {
                    self.begin(self.books(Admission::Listed));
                }
                Task::Note(note, from) => self.on_note(note, from, item, frame),
                Task::Answer => {
                    let (mut progress, at) = (Progress::default(), recorded(item));
                    self.intake.on_rest_part(frame, &mut progress, usize::MAX, at);
                }
                Task::Lost => {
                    self.notes.lossy = true;
                    let why = StaleReason::FramesLost;
                    self.intake.books.set_connection_stale(item.connection, why, item.receive_ns);
                }
                Task::Damaged => {
                    self.intake.books.on_damaged(frame, item.connection, item.receive_ns);
                }
                Task::Hole => {
                    // The live shard found it too.
                    let why = StaleReason::FramesLost;
                    self.intake.books.set_connection_stale(item.connection, why, item.receive_ns);
                }
                Task::LostAnywhere => {
                    self.notes.lossy = true;
                    self.intake.books.set_all_stale(StaleReason::FramesLost, item.receive_ns);
                }
            }
        }
    }

    fn on_frame(&mut self, item: &Item, frame: &str) {
        let read = if self.intake.books.has_handovers() {
            // What two connections say is matched in the recorded time, which nothing here can be timed by.
            self.intake.timed = false;
            recorded(item)
        } else {
            self.intake.timed = true;
            Now { mono_ns: self.intake.clock.mono_ns(), wall_ns: item.receive_ns }
        };
        let before = strange(&self.intake.counts);
        self.intake.on_frame(frame, item.connection, read, &mut self.findings);
        let is_strange = strange(&self.intake.counts) > before;
        let is_data = self.findings.data || !self.findings.news.is_empty();
        let file = item.place.file as usize;
        if self.seen.len() <= file {
            self.seen.resize(file + 1, (false, false));
        }
        let seen = &mut self.seen[file];
        *seen = (seen.0 | is_data, seen.1 | is_strange);
    }

    fn on_note(&mut self, note: Note, from: Option<ConnectionSlot>, item: &Item, line: &str) {
        let place = notes::Place {
            shard: self.shard.0,
            shards: self.shards,
            connection: item.connection,
            from,
            at: recorded(item),
        };
        match self.notes.on_note(note, line, place, &mut self.intake.books) {
            Left::Nothing => {}
            Left::Check(hashes) => {
                let fresh = self.books(Admission::Listed);
                let books = std::mem::replace(&mut self.intake.books, fresh);
                self.intake.books = books.checking(hashes);
            }
            // Every shard reads it, and one says so.
            Left::Broken if self.shard.0 > 0 => {}
            Left::Broken => {
                self.intake.counts.decode_errors += 1;
                if self.passes == 0 && self.bad.len() < REPLAY_ERRORS_SHOWN {
                    let why = "note of a shard cannot be read".to_owned();
                    self.bad.push(BadPlace { place: item.place, why });
                }
            }
            Left::Different => {
                let why = line.to_owned();
                self.different.get_or_insert(BadPlace { place: item.place, why });
            }
        }
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

    fn harvest(self) -> Harvest<H> {
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
            proofs: self.notes.proofs,
            different: self.different,
            seen: self.seen,
        }
    }
}

/// Messages that were not understood.
fn strange(counts: &IntakeCounts) -> u64 {
    counts.unknown_events + counts.unknown_texts + counts.decode_errors
}

/// The time of a record, as both clocks.
fn recorded(item: &Item) -> Now {
    Now { mono_ns: item.receive_ns, wall_ns: item.receive_ns }
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
        snapshots_refused: earlier.snapshots_refused + now.snapshots_refused,
        foreign_tokens: earlier.foreign_tokens + now.foreign_tokens,
        trades_repeated: earlier.trades_repeated + now.trades_repeated,
        trades_without_book: earlier.trades_without_book + now.trades_without_book,
        ..*now
    }
}
