//! One shard of a replay: applies batches with the live shard's code and measures.
//!
//! Runs on:  a plain thread, or the pinned executor of a live shard. Owns: the shard's books, counters and histograms.
use super::annotations::{self, Annotations, Checkpoints, Followup};
use super::batch::{Backoff, Batch, BatchReceiver, Item, Origin, Position, Task, WorkerCommand};
use super::cost::{Cost, CostMeter};
use super::day::DayMeter;
use super::feed::UpdateFeed;
use super::plan::Resumption;
use crate::base::id::ShardId;
use crate::base::limits::REPLAY_ERRORS_SHOWN;
use crate::base::policy::HashChecks;
use crate::base::time::{Clock, Now};
use crate::capture::line::AnnotationRecord;
use crate::counter::latency::Latencies;
use crate::counter::shard::{BookCounts, CheckCounts, IntakeCounts};
use crate::io::clock::HostClock;
use crate::io::executor;
use crate::market::book::StaleReason;
use crate::market::info::{MarketEvent, MarketStage, MarketUpdate};
use crate::plot::day::Day;
use crate::shard::books::{Admission, Books, ConnectionSlot};
use crate::shard::intake::{Findings, FrameProgress, Intake};
use crate::shard::publish::Handler;
use crate::venue::{BadInput, Feed};

/// An undecodable input and its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InputError {
    pub(super) position: Position,
    pub(super) why: String,
}

/// Results of a shard.
#[derive(Debug)]
pub(super) struct WorkerResult<H> {
    pub(super) shard: ShardId,
    /// Books after the last pass.
    pub(super) books: Books<H>,
    /// Intake counters of all passes.
    pub(super) counts: IntakeCounts,
    /// Book events of all passes; states after the last pass.
    pub(super) book_counts: BookCounts,
    /// Best-price checks of all passes.
    pub(super) checks: CheckCounts,
    /// Answers to heartbeats.
    pub(super) pongs: u64,
    /// Bytes of the frames counted here.
    pub(super) bytes: u64,
    /// What the batches cost.
    pub(super) cost: Cost,
    /// Percentiles of the frames counted here.
    pub(super) latencies: Box<Latencies>,
    /// The first undecodable inputs of the first pass.
    pub(super) errors_shown: Vec<InputError>,
    /// Checkpoints of all passes.
    pub(super) checkpoints: Checkpoints,
    /// The first different checkpoint.
    pub(super) different: Option<InputError>,
    /// Per file: whether it has market data, and whether it has unrecognized messages.
    pub(super) seen: Vec<(bool, bool)>,
    /// The recorded time of the first pass, if it is measured.
    pub(super) day: Option<Box<Day>>,
}

/// Whether there is more input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Reading,
    Over,
}

/// A running shard.
pub(super) struct Worker<H> {
    shard: ShardId,
    shards: u16,
    feed: Feed,
    pub(super) receiver: BatchReceiver,
    pub(super) intake: Intake<H, HostClock>,
    handler: H,
    findings: Findings,
    /// Counters for frames that another shard counts.
    uncounted: (IntakeCounts, Box<Latencies>),
    previous_passes: BookCounts,
    previous_checks: CheckCounts,
    /// What was received before this time, nanoseconds since the Unix epoch, is not counted; the counts of that.
    counts_from_ns: u64,
    prepared: (BookCounts, CheckCounts),
    pongs: u64,
    bytes: u64,
    passes: u32,
    errors_shown: Vec<InputError>,
    annotations: Annotations,
    different: Option<InputError>,
    seen: Vec<(bool, bool)>,
    feed_out: Option<UpdateFeed>,
    day: Option<Box<DayMeter>>,
}

fn empty_books<H: Handler>(
    (shard, feed): (ShardId, Feed),
    admission: Admission,
    handler: H,
) -> Books<H> {
    // A recording lacks tick size and minimum order, which are inputs of a hash.
    Books::new(shard, feed, admission, handler).with_hash_checks(HashChecks::Off)
}

impl<H: Handler + Clone> Worker<H> {
    pub(super) fn new(
        (shard, feed): (ShardId, Feed),
        shards: u16,
        receiver: BatchReceiver,
        clock: HostClock,
        handler: H,
    ) -> Self {
        let admission = Admission::Implied { shards };
        let books = empty_books((shard, feed), admission, handler.clone());
        Self {
            shard,
            shards,
            receiver,
            feed,
            intake: Intake::new(feed, books, clock),
            handler,
            findings: Findings::default(),
            uncounted: Default::default(),
            previous_passes: BookCounts::default(),
            previous_checks: CheckCounts::default(),
            counts_from_ns: 0,
            prepared: Default::default(),
            pongs: 0,
            bytes: 0,
            passes: 0,
            errors_shown: Vec::new(),
            annotations: Annotations::default(),
            different: None,
            seen: Vec::new(),
            feed_out: None,
            day: None,
        }
    }

    /// The same with a day that is measured.
    pub(super) fn measuring(mut self, measures_day: bool) -> Self {
        if measures_day {
            self.intake.time_every_frame();
        }
        Self { day: measures_day.then(|| Box::new(DayMeter::new(self.shard))), ..self }
    }

    /// The same, beginning within the records of an engine.
    pub(super) fn resuming(self, resumes: Option<Resumption>) -> Self {
        let Some(Resumption { shards, counts_from_ns }) = resumes else { return self };
        let annotations = Annotations::within(shards);
        Self { annotations, counts_from_ns: counts_from_ns.unwrap_or(0), ..self }
    }

    /// The same with updates for a subscriber.
    pub(super) fn with_feed(mut self, mut feed: UpdateFeed) -> Self {
        feed.attach(&mut self.intake.books);
        self.feed_out = Some(feed);
        self
    }

    fn next_command(&mut self) -> WorkerCommand {
        let Self { receiver, feed_out, intake, .. } = self;
        match feed_out {
            Some(feed) => receiver.wait_with(|| feed.serve_begun(&mut intake.books)),
            None => receiver.wait(),
        }
    }

    /// Runs until the end of the input, on a thread that may block.
    pub(super) fn run(mut self) -> WorkerResult<H> {
        let mut cost = CostMeter::start();
        loop {
            let command = self.next_command();
            if self.on_command(command, &mut cost) == State::Over {
                return self.into_result(cost.cost());
            }
        }
    }

    /// The same on an executor.
    pub(super) async fn run_on_executor(mut self) -> WorkerResult<H> {
        let mut cost = CostMeter::start();
        let mut backoff = Backoff::default();
        loop {
            let Some(command) = self.receiver.poll() else {
                match backoff.next_ns() {
                    0 => executor::yield_now().await,
                    ns => executor::sleep(ns).await,
                }
                continue;
            };
            backoff = Backoff::default();
            if self.on_command(command, &mut cost) == State::Over {
                return self.into_result(cost.cost());
            }
        }
    }

    fn on_command(&mut self, command: WorkerCommand, cost: &mut CostMeter) -> State {
        match command {
            WorkerCommand::Batch(batch) => {
                cost.begin();
                self.on_batch(&batch);
                cost.end();
                self.receiver.give_back(batch);
            }
            WorkerCommand::Reset => {
                self.begin(self.books(Admission::Implied { shards: self.shards }));
                self.passes += 1;
                self.annotations.begin_pass();
            }
            WorkerCommand::Ready => match &mut self.feed_out {
                Some(feed) => feed.hold(&mut self.intake.books),
                None if self.passes == 0 => *cost = CostMeter::start(),
                None => {}
            },
            WorkerCommand::Finish => {
                self.settle();
                if let Some(feed) = &mut self.feed_out {
                    feed.send_all(&mut self.intake.books);
                }
                return State::Over;
            }
        }
        State::Reading
    }

    /// No books yet.
    fn books(&self, admission: Admission) -> Books<H> {
        empty_books((self.shard, self.feed), admission, self.handler.clone())
    }

    /// Drops all books and continues with `books`.
    fn begin(&mut self, books: Books<H>) {
        self.settle();
        self.previous_passes = sum(&self.previous_passes, self.intake.books.counts());
        let mut before = std::mem::replace(&mut self.intake.books, books);
        if self.feed_out.is_some() {
            before.pass_updates_to(&mut self.intake.books);
        }
        self.annotations.has_gaps = false;
    }

    /// A pass ends all message groups; an engine's capture ends where the engine stopped.
    fn settle(&mut self) {
        if !self.annotations.is_engine_capture() {
            self.intake.books.settle_all();
        }
        self.previous_checks = self.previous_checks.plus(self.intake.books.checks());
    }

    fn on_batch(&mut self, batch: &Batch) {
        for (item, frame) in batch.iter() {
            if let Some(feed) = &mut self.feed_out {
                feed.make_room(frame.len(), &mut self.intake.books);
            }
            match self.day.take() {
                None => self.on_item(item, frame),
                Some(mut day) => {
                    self.on_item_of_day(&mut day, item, frame);
                    self.day = Some(day);
                }
            }
            if let Some(feed) = &mut self.feed_out {
                feed.send_all(&mut self.intake.books);
            }
        }
    }

    fn on_item_of_day(&mut self, day: &mut DayMeter, item: &Item, frame: &str) {
        let messages = self.intake.counts.messages;
        self.on_item(item, frame);
        if self.passes == 0 && item.origin.receive_ns >= self.counts_from_ns {
            let messages = self.intake.counts.messages - messages;
            day.on_item(item, messages, &self.findings);
        }
    }

    pub(super) fn on_item(&mut self, item: &Item, frame: &str) {
        if item.origin.receive_ns >= self.counts_from_ns {
            return self.apply(item, frame);
        }
        let (books, checks) = (*self.intake.books.counts(), *self.intake.books.checks());
        self.apply(item, frame);
        let (books_now, checks_now) = (self.intake.books.counts(), self.intake.books.checks());
        self.prepared.0 = self.prepared.0.plus(&books_now.minus(&books));
        self.prepared.1 = self.prepared.1.plus(&checks_now.minus(&checks));
    }

    fn apply(&mut self, item: &Item, frame: &str) {
        match item.task {
            Task::Frame => {
                self.bytes += frame.len() as u64;
                self.on_frame(item, frame);
                self.collect_errors(item);
            }
            Task::FrameUncounted => {
                self.swap_uncounted();
                self.on_frame(item, frame);
                self.findings.updates.clear();
                self.swap_uncounted();
            }
            Task::Ended => self.set_stale(StaleReason::Disconnected, item),
            Task::EndedInCapture => {
                self.intake.books.on_disconnect(item.origin.slot, recorded(item));
                self.set_stale(StaleReason::Disconnected, item);
            }
            Task::Begin => {
                // The engine before was killed: the ends of its connections are missing.
                let at_ns = item.origin.receive_ns;
                self.intake.books.set_all_stale(StaleReason::Disconnected, at_ns);
                self.begin(self.books(Admission::Listed));
            }
            Task::Annotation(note, from) => self.on_annotation(note, from, item, frame),
            Task::Answer(question) => {
                let (mut progress, at) = (FrameProgress::default(), recorded(item));
                self.intake.on_rest_part(frame, &mut progress, usize::MAX, (question, at));
            }
            Task::FramesLost => {
                self.annotations.has_gaps = true;
                self.set_stale(StaleReason::FramesLost, item);
            }
            Task::Damaged => {
                let Origin { slot, receive_ns, .. } = item.origin;
                self.intake.books.on_damaged(frame, slot, receive_ns);
            }
            // The live shard detected it too.
            Task::SequenceGap => self.set_stale(StaleReason::FramesLost, item),
            Task::FramesLostAnywhere => {
                self.annotations.has_gaps = true;
                self.intake.books.set_all_stale(StaleReason::FramesLost, item.origin.receive_ns);
            }
        }
    }

    fn set_stale(&mut self, why: StaleReason, item: &Item) {
        let Origin { slot, receive_ns, .. } = item.origin;
        self.intake.books.set_connection_stale(slot, why, receive_ns);
    }

    fn on_frame(&mut self, item: &Item, frame: &str) {
        let read = if self.intake.books.has_handovers() {
            // Handovers use the recorded time; latencies use the clock of this host.
            self.intake.timed = false;
            recorded(item)
        } else {
            self.intake.timed = true;
            Now { mono_ns: self.intake.clock.mono_ns(), wall_ns: item.origin.receive_ns }
        };
        let before = unrecognized(&self.intake.counts);
        self.intake.on_frame(frame, item.origin.slot, read, &mut self.findings);
        let is_unrecognized = unrecognized(&self.intake.counts) > before;
        let is_data = self.findings.data || !self.findings.updates.is_empty();
        let file = item.origin.position.file as usize;
        if self.seen.len() <= file {
            self.seen.resize(file + 1, (false, false));
        }
        let seen = &mut self.seen[file];
        *seen = (seen.0 | is_data, seen.1 | is_unrecognized);
    }

    fn on_annotation(
        &mut self,
        note: AnnotationRecord,
        from: Option<ConnectionSlot>,
        item: &Item,
        line: &str,
    ) {
        let context = annotations::AnnotationContext {
            shard: self.shard.0,
            shards: self.shards,
            connection: item.origin.slot,
            from,
            at: recorded(item),
        };
        use AnnotationRecord::{Books, Described, Image};
        if let (Books | Described | Image, Some(feed)) = (note, &mut self.feed_out) {
            feed.on_books_opened(annotations::slugs(line), &self.intake.books);
        }
        match self.annotations.apply(note, line, context, &mut self.intake.books) {
            Followup::Nothing => {}
            Followup::Check(hashes) => {
                let fresh = self.books(Admission::Listed);
                let books = std::mem::replace(&mut self.intake.books, fresh);
                self.intake.books = books.with_hash_checks(hashes);
            }
            // Every shard reads it, one reports it.
            Followup::Unreadable if self.shard.0 > 0 => {}
            Followup::Unreadable => {
                self.intake.counts.decode_errors += 1;
                if self.passes == 0 && self.errors_shown.len() < REPLAY_ERRORS_SHOWN {
                    let why = "annotation record cannot be read".to_owned();
                    self.errors_shown.push(InputError { position: item.origin.position, why });
                }
            }
            Followup::Different => {
                let why = line.to_owned();
                self.different.get_or_insert(InputError { position: item.origin.position, why });
            }
        }
    }

    fn collect_errors(&mut self, item: &Item) {
        self.pongs += u64::from(self.findings.pong);
        if let Some(feed) = &mut self.feed_out {
            let at_ns = item.origin.receive_ns;
            feed.on_market_updates(&mut self.findings.updates, at_ns, &mut self.intake.books);
        }
        if H::WANTS_MARKETS {
            self.announce();
        }
        self.findings.updates.clear();
        if let Some(bad) = self.findings.bad
            && self.passes == 0
            && self.errors_shown.len() < REPLAY_ERRORS_SHOWN
        {
            let mut position = item.origin.position;
            position.offset += bad.offset as u64;
            self.errors_shown.push(InputError { position, why: explain(&bad) });
        }
    }

    /// Markets that the stream announces, to the handler.
    fn announce(&mut self) {
        for update in &self.findings.updates {
            if let MarketUpdate::Announced(info) = update {
                let (stage, info, resolution) = (MarketStage::New, info.clone(), None);
                self.intake.books.on_market(&MarketEvent {
                    stage,
                    info,
                    resolution,
                    is_repeated: false,
                });
            }
        }
    }

    fn swap_uncounted(&mut self) {
        std::mem::swap(&mut self.intake.counts, &mut self.uncounted.0);
        std::mem::swap(&mut self.intake.latencies, &mut self.uncounted.1);
    }

    fn into_result(self, cost: Cost) -> WorkerResult<H> {
        let all = sum(&self.previous_passes, self.intake.books.counts());
        let BookCounts { books, live, awaiting, stale, .. } = all;
        let counted = all.minus(&self.prepared.0);
        let book_counts = BookCounts { books, live, awaiting, stale, ..counted };
        WorkerResult {
            shard: self.shard,
            counts: self.intake.counts,
            latencies: self.intake.latencies,
            books: self.intake.books,
            book_counts,
            checks: self.previous_checks.minus(&self.prepared.1),
            pongs: self.pongs,
            bytes: self.bytes,
            cost,
            errors_shown: self.errors_shown,
            checkpoints: self.annotations.checkpoints,
            different: self.different,
            seen: self.seen,
            day: self.day.map(|meter| Box::new(meter.day)),
        }
    }
}

/// Unrecognized messages.
fn unrecognized(counts: &IntakeCounts) -> u64 {
    counts.unknown_events + counts.unknown_texts + counts.decode_errors
}

/// The time of a record for both clocks.
fn recorded(item: &Item) -> Now {
    let receive_ns = item.origin.receive_ns;
    Now { mono_ns: receive_ns, wall_ns: receive_ns }
}

fn explain(input: &BadInput) -> String {
    match input.fault {
        Some(fault) => format!("message refused: {fault}"),
        None => "not JSON from here on".to_owned(),
    }
}

/// Sum of the events of both; states of `now`.
const fn sum(previous_passes: &BookCounts, now: &BookCounts) -> BookCounts {
    let BookCounts { books, live, awaiting, stale, .. } = *now;
    BookCounts { books, live, awaiting, stale, ..previous_passes.plus(now) }
}
