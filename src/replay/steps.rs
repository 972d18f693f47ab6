//! A replay one item at a time: which markets each item has changed, and their books in between.
//!
//! Runs on:  the starting thread; a thread of its own reads. Bounds: those of a replay of one shard.
use super::Recording;
use super::annotations::slugs;
use super::batch::{Batch, Origin, Task, WorkerCommand, batch_channel};
use super::elements::{Element, elements};
use super::plan::{Plan, Speed};
use super::reader::{Reader, ReplayError};
use super::worker::Worker;
use crate::base::id::{MarketId, ShardId, TokenId};
use crate::base::limits::DECODE_STACK_BYTES;
use crate::capture::line::AnnotationRecord;
use crate::io::clock::HostClock;
use crate::io::progress::Progress;
use crate::market::book::BookState;
use crate::shard::publish::{BookView, Change, Handler};
use crate::venue::Decoder;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;

/// Markets whose books an item has concerned, and whether their levels changed.
#[derive(Clone, Debug, Default)]
struct Log(Rc<RefCell<Vec<(MarketId, bool)>>>);

impl Log {
    fn add(&self, view: &BookView<'_>, has_changed: bool) {
        let mut touched = self.0.borrow_mut();
        match touched.iter_mut().find(|(market, _)| market == view.market) {
            Some((_, changed)) => *changed |= has_changed,
            None => touched.push((*view.market, has_changed)),
        }
    }
}

impl Handler for Log {
    const WANTS_MARKETS: bool = false;

    fn on_open(&mut self, view: &BookView<'_>) {
        self.add(view, false);
    }
    fn on_close(&mut self, view: &BookView<'_>) {
        self.add(view, false);
    }
    fn on_snapshot(&mut self, view: &BookView<'_>) {
        self.add(view, true);
    }
    fn on_price_change(&mut self, view: &BookView<'_>, _: &Change) {
        self.add(view, true);
    }
    fn on_status(&mut self, view: &BookView<'_>, _: BookState) {
        self.add(view, false);
    }
}

/// What one item was.
#[derive(Clone, Debug, Default)]
pub(crate) struct Step {
    /// Number of the item, from 1: the same in every replay.
    pub(crate) number: u64,
    /// When it was received, nanoseconds since the Unix epoch.
    pub(crate) receive_ns: u64,
    /// The place of its connection. A place is another connection's once its own has ended.
    pub(crate) slot: u32,
    /// A text frame; else empty.
    pub(crate) frame: String,
    /// Markets whose books it concerned, and whether levels changed.
    pub(crate) touched: Vec<(MarketId, bool)>,
    /// Slugs of markets, if it names some.
    pub(crate) slugs: Vec<(MarketId, String)>,
    /// The engine begins to stop, or the next one begins.
    pub(crate) is_stop: bool,
    pub(crate) is_start: bool,
}

/// A replay that waits after each item.
pub(crate) struct Steps {
    worker: Worker<Log>,
    log: Log,
    batch: Batch,
    place: usize,
    number: u64,
    latest_ns: u64,
    decoder: Decoder,
    reader: Option<JoinHandle<Result<Vec<String>, ReplayError>>>,
}

impl std::fmt::Debug for Steps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Steps").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Steps {
    /// Begins to read. Setting `stop` ends it early.
    ///
    /// # Errors
    /// One line: there are no files, or no further thread.
    pub(crate) fn open(recording: &Recording, stop: &Arc<AtomicBool>) -> Result<Self, String> {
        let plan = Plan::new(recording.files.clone(), 1, 1, Speed::Max, None)?;
        let plan = plan.of(recording.feed).in_receive_order();
        let (sender, receiver) = batch_channel();
        let (clock, log) = (HostClock::new(), Log::default());
        let id = (ShardId(0), recording.feed);
        let worker = Worker::new(id, 1, receiver, clock.clone(), log.clone());
        let stop = Arc::clone(stop);
        let read = move || {
            let mut reader = Reader::new(&plan, &stop, clock, vec![sender], Progress::hidden());
            let result = reader.run();
            let (_, failures) = reader.into_output();
            result.map(|()| failures)
        };
        let thread = std::thread::Builder::new().name("merge-read".to_owned());
        let reader = thread.stack_size(DECODE_STACK_BYTES).spawn(read);
        let reader = Some(reader.map_err(|error| format!("no further thread: {error}"))?);
        let decoder = recording.feed.decoder();
        let (batch, place, number, latest_ns) = (Batch::default(), 0, 0, 0);
        Ok(Self { worker, log, batch, place, number, latest_ns, decoder, reader })
    }

    /// When the next item was received, nanoseconds since the Unix epoch; `None` at the end.
    pub(crate) fn next_ns(&mut self) -> Option<u64> {
        loop {
            if let Some((item, _)) = self.batch.get(self.place) {
                return Some(item.origin.receive_ns).filter(|&ns| ns > 0).or(Some(self.latest_ns));
            }
            self.reader.as_ref()?;
            match self.worker.receiver.wait() {
                WorkerCommand::Batch(batch) => {
                    let done = std::mem::replace(&mut self.batch, batch);
                    self.worker.receiver.give_back(done);
                    self.place = 0;
                }
                WorkerCommand::Finish => return None,
                WorkerCommand::Reset | WorkerCommand::Ready => {}
            }
        }
    }

    /// Applies the next item; false at the end.
    pub(crate) fn step(&mut self, step: &mut Step) -> bool {
        let Some(receive_ns) = self.next_ns() else { return false };
        let Some((item, text)) = self.batch.get(self.place) else { return false };
        self.place += 1;
        self.number += 1;
        self.latest_ns = receive_ns;
        step.frame.clear();
        step.slugs.clear();
        if item.task == Task::Frame {
            step.frame.push_str(text);
        }
        if let Task::Annotation(AnnotationRecord::Books | AnnotationRecord::Described, _) =
            item.task
        {
            step.slugs = slugs(text);
        }
        let Origin { slot, .. } = item.origin;
        (step.number, step.receive_ns, step.slot) = (self.number, receive_ns, slot.0);
        step.is_stop = matches!(item.task, Task::Annotation(AnnotationRecord::Stopping, _));
        step.is_start = item.task == Task::Begin;
        self.worker.on_item(item, text);
        step.touched.clear();
        step.touched.append(&mut self.log.0.borrow_mut());
        true
    }

    /// The messages of a frame.
    pub(crate) fn elements(&mut self, frame: &str, each: impl FnMut(Element<'_>)) {
        elements(&mut self.decoder, frame, each);
    }

    /// Whether all books of a market are live; `None` if none is open.
    pub(crate) fn is_live(&self, market: &MarketId) -> Option<bool> {
        self.worker.intake.books.is_market_live(market)
    }

    /// The tokens of a market's open books.
    pub(crate) fn tokens(&self, market: &MarketId) -> Vec<TokenId> {
        self.worker.intake.books.tokens_of(market)
    }

    /// Appends the books of a market as records of captures have them, with or without levels.
    pub(crate) fn write(
        &self,
        market: &MarketId,
        is_image: bool,
        slug: Option<&str>,
        out: &mut String,
    ) {
        self.worker.intake.books.write_market(market, is_image, slug, out);
    }

    /// Waits for the reader: one line for each fault of the input.
    ///
    /// # Errors
    /// One line: nothing was read.
    pub(crate) fn finish(&mut self) -> Result<Vec<String>, String> {
        let Some(reader) = self.reader.take() else { return Ok(Vec::new()) };
        match reader.join() {
            Ok(Ok(failures)) => Ok(failures),
            Ok(Err(ReplayError::Input(line) | ReplayError::Usage(line))) => Err(line),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// After which item which markets miss messages of their connection: its last one before the books turned out not
    /// to be live, or the one that made them live. Reads everything.
    ///
    /// # Errors
    /// One line: the input cannot be read.
    pub(crate) fn breaks(
        recording: &Recording,
        stop: &Arc<AtomicBool>,
    ) -> Result<HashMap<u64, Vec<MarketId>>, String> {
        let mut steps = Self::open(recording, stop)?;
        let mut breaks: HashMap<u64, Vec<MarketId>> = HashMap::new();
        // The slot of the books of each live market, and the item that made them live.
        let mut live: HashMap<MarketId, (u32, u64)> = HashMap::new();
        let mut last_frames: HashMap<u32, u64> = HashMap::new();
        let mut is_stopping = false;
        let mut step = Step::default();
        let mut end = |(market, (slot, since)): (MarketId, (u32, u64)),
                       last: &HashMap<u32, u64>| {
            let last = last.get(&slot).copied().unwrap_or(0).max(since);
            breaks.entry(last).or_default().push(market);
        };
        while steps.step(&mut step) {
            is_stopping |= step.is_stop;
            for (market, _) in &step.touched {
                match steps.is_live(market) {
                    Some(true) => {
                        let slot = steps.worker.intake.books.connection_of(market);
                        let slot = slot.map_or(0, |slot| slot.0);
                        live.entry(*market).or_insert((slot, step.number)).0 = slot;
                    }
                    // Closed: nobody wants its messages.
                    None => _ = live.remove(market),
                    Some(false) => {
                        if let Some(was) = live.remove(market)
                            && !is_stopping
                        {
                            end((*market, was), &last_frames);
                        }
                    }
                }
            }
            if step.is_start {
                is_stopping = false;
            }
            if !step.frame.is_empty() {
                last_frames.insert(step.slot, step.number);
            }
        }
        if !is_stopping {
            live.into_iter().for_each(|was| end(was, &last_frames));
        }
        steps.finish()?;
        Ok(breaks)
    }
}
