//! Replays for the clients of a gateway: each has a range of the recording, two threads, and ends with its client.
//!
//! Runs on:  serve core (starts one), plain threads. Bounds: `--replays` at once.
use crate::base::limits::{DECODE_STACK_BYTES, REPLAY_UPDATES_DEPTH, UPDATE_REQUESTS_DEPTH};
use crate::base::time::SECOND_NS;
use crate::capture::index;
use crate::capture::manifest::{self, Entry};
use crate::gateway::Site;
use crate::gateway::hub::Settings;
use crate::gateway::signature::Keys;
use crate::io::clock::HostClock;
use crate::io::file::{self, Source};
use crate::io::progress::Progress;
use crate::io::wake::{Sleeper, TaskWaker};
use crate::link::replay_gate::{ReplayEnd, ReplayGate};
use crate::link::serve_shard::{BookAnswer, BookQuery};
use crate::link::shard_updates::UpdateLink;
use crate::replay::feed::{FeedLinks, feed};
use crate::replay::plan::{Plan, Speed, parse_time};
use crate::replay::{Content, RawRecord, Recording, ReplayError, expected};
use crate::ring::{Consumer, Producer, ring};
use crate::serve::gateway::{GatewayLinks, ShardUpdates};
use crate::serve::parts::Part;
use crate::serve::replays::{AskedRange, NoReplay, Reading, ReplayLinks, Replays};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};

/// An engine's first records are older than its line in the manifest.
const START_MARGIN_NS: u64 = 10 * SECOND_NS;
/// An engine that stops closes its connections within this time; its shards write to the capture in turns.
const STOP_NS: u64 = 10 * SECOND_NS;
/// Fault lines that are logged; a line is logged once.
const LINES_MAX: usize = 100;

/// A recording that replays are made of.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub(super) recording: Recording,
    /// The first and the last receive time, as far as they are known without reading everything; nanoseconds since the
    /// Unix epoch.
    first_ns: Option<u64>,
    last_ns: Option<u64>,
    /// When engines began to record, ascending.
    starts: Vec<u64>,
}

impl Recorded {
    /// Looks at the files: one line for each that is missing or shorter than the capture says.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn open(recording: Recording) -> Result<(Self, Vec<String>), String> {
        let plan = Plan::new(recording.files.clone(), 1, 1, Speed::Max, None)?;
        let missing = expected::missing(&plan.of(recording.feed)).failures;
        let last_ns = recording.files.last().and_then(last_time);
        let first_ns = recording.files.first().and_then(first_time).or_else(|| {
            let mut records = recording.records(0..u64::MAX, Arc::default());
            records.next_record().ok().flatten().map(|record| record.receive_ns)
        });
        let starts = starts(&recording.files);
        Ok((Self { recording, first_ns, last_ns, starts }, missing))
    }

    /// The interfaces that its clients use, and their ports after the first; none for a venue without one.
    #[must_use]
    pub fn sites(&self) -> &'static [(Site, u16)] {
        Site::of(&self.recording.feed.venue())
    }

    /// Name of the venue.
    #[must_use]
    pub fn venue(&self) -> String {
        self.recording.feed.venue().name().to_owned()
    }

    /// What the recording has, for people.
    #[must_use]
    pub fn span(&self) -> String {
        match (self.first_ns, self.last_ns) {
            (Some(first_ns), Some(last_ns)) => format!("{} to {}", text(first_ns), text(last_ns)),
            (Some(first_ns), None) => format!("what was received from {} on", text(first_ns)),
            _ => "lines without receive times, for speed=max only".to_owned(),
        }
    }

    /// What a replay from `range.start` reads: from the start of the engine that was recording then, since its books
    /// depend on all it has received. `None` is everything.
    fn reads(&self, range: &Range<u64>) -> Option<Range<u64>> {
        let start = self.starts.iter().rev().find(|&&at| at <= range.start);
        let start = start.map_or(0, |at| at.saturating_sub(START_MARGIN_NS));
        (start > 0 || range.end < u64::MAX).then_some(start..range.end)
    }

    pub(super) fn plan(&self, range: &Range<u64>, speed: Speed) -> Result<Plan, String> {
        let plan = Plan::new(self.recording.files.clone(), 1, 1, speed, None)?;
        Ok(plan.between(self.reads(range)).of(self.recording.feed))
    }

    /// Receive time of the last message before the last engine began to stop: then it closes its connections, one after
    /// the other, and their books are stale. `None` where that is not known without reading everything.
    fn last_message_ns(&self) -> Option<u64> {
        let start_ns = self.starts.last().copied().unwrap_or(0);
        let (mut last_ns, mut stop_ns) = (None, None);
        for source in self.recording.files.iter().rev() {
            let recording = Recording { feed: self.recording.feed, files: vec![source.clone()] };
            for block in blocks(source).iter().rev() {
                let is_earlier = |last_ns| block.to.saturating_add(STOP_NS) < last_ns;
                if last_ns.is_some_and(is_earlier) {
                    return before_stop(last_ns, stop_ns);
                }
                let range = block.from..block.to.saturating_add(1);
                let mut records = recording.records(range, Arc::default());
                while let Ok(Some(RawRecord { receive_ns, content, .. })) = records.next_record() {
                    match content {
                        Content::Text(_) => last_ns = last_ns.max(Some(receive_ns)),
                        Content::Stopping if receive_ns >= start_ns => {
                            stop_ns = Some(stop_ns.map_or(receive_ns, |at| receive_ns.min(at)));
                        }
                        _ => {}
                    }
                }
            }
        }
        before_stop(last_ns, stop_ns)
    }
}

fn before_stop(last_ns: Option<u64>, stop_ns: Option<u64>) -> Option<u64> {
    let stop_ns = stop_ns.unwrap_or(u64::MAX);
    last_ns.map(|last_ns| last_ns.min(stop_ns.saturating_sub(1)))
}

fn first_time(source: &Source) -> Option<u64> {
    blocks(source).iter().map(|block| block.from).min()
}

fn last_time(source: &Source) -> Option<u64> {
    blocks(source).iter().map(|block| block.to).max()
}

/// Of its index; none without one.
fn blocks(source: &Source) -> Vec<index::Block> {
    index::read(&file::read_index(source).unwrap_or_default())
}

/// When engines began to record into the folder of these files, if that is one folder.
fn starts(files: &[Source]) -> Vec<u64> {
    let folder = |source: &Source| match source {
        Source::Path(path) => path.parent().map(ToOwned::to_owned),
        Source::Stdin => None,
    };
    let folders: BTreeSet<_> = files.iter().map(folder).collect();
    let (Some(Some(folder)), 1) = (folders.first(), folders.len()) else { return Vec::new() };
    let text = file::read_optional(&folder.join(manifest::FILE)).unwrap_or_default();
    let start = |entry: &Entry| match entry {
        Entry::Started { at, .. } => Some(*at),
        _ => None,
    };
    let mut starts: Vec<u64> = manifest::read(&text).iter().filter_map(start).collect();
    starts.sort_unstable();
    starts
}

/// A time for people.
fn text(at_ns: u64) -> String {
    let at = jiff::Timestamp::from_nanosecond(i128::from(at_ns)).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// What clients get that do not say it.
#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    /// Beginning, nanoseconds since the Unix epoch.
    pub from_ns: Option<u64>,
    /// End.
    pub to_ns: Option<u64>,
    /// Speed.
    pub speed: Speed,
}

/// Starts the replays of a gateway.
#[derive(Debug)]
pub struct Sessions {
    pub(super) recorded: Vec<Recorded>,
    defaults: Defaults,
    pub(super) settings: Settings,
    running: Arc<AtomicUsize>,
    most: usize,
    pub(super) logged: Logged,
}

/// Lines that were logged.
pub(super) type Logged = Arc<Mutex<BTreeSet<String>>>;

impl Sessions {
    /// At most `most` at once.
    #[must_use]
    pub fn new(
        recorded: Vec<Recorded>,
        defaults: Defaults,
        settings: Settings,
        most: usize,
    ) -> Self {
        let (running, logged) = (Arc::default(), Arc::default());
        Self { recorded, defaults, settings, running, most, logged }
    }

    /// Logs faults of the files; not again when a replay finds them.
    pub fn log(&self, faults: &[String]) {
        faults.iter().for_each(|line| log(&self.logged, line));
    }

    /// Counts a replay that begins.
    pub(super) fn begin(&self) -> Result<Running, NoReplay> {
        let most = self.most;
        let line = || format!("{most} replays are running; end one, or raise --replays");
        let running = Running::begin(&self.running, most);
        running.ok_or_else(|| NoReplay { status: 503, line: line() })
    }

    /// The range and the speed of a client.
    fn asked(
        &self,
        recorded: &Recorded,
        asked: &AskedRange,
    ) -> Result<(Range<u64>, Speed), String> {
        let time = |name: &str, text: &Option<String>, default: Option<u64>| match text {
            None => Ok(default),
            Some(text) => parse_time(text).map(Some).map_err(|why| format!("{name}=: {why}")),
        };
        let from_ns = time("from", &asked.from, self.defaults.from_ns)?.unwrap_or(0);
        let to_ns = time("to", &asked.to, self.defaults.to_ns)?.unwrap_or(u64::MAX);
        let speed = asked.speed.as_deref().map_or(Ok(self.defaults.speed), parse_speed);
        let speed = speed.map_err(|why| format!("speed=: {why}"))?;
        let is_timed = recorded.first_ns.is_some() || recorded.last_ns.is_some();
        if !is_timed && (speed != Speed::Max || (from_ns, to_ns) != (0, u64::MAX)) {
            let lines = "the lines of the recording have no receive times";
            return Err(format!("{lines}: use speed=max (--speed max), and neither from= nor to="));
        }
        if from_ns >= to_ns {
            return Err("from= must be before to=".to_owned());
        }
        let is_after = recorded.last_ns.is_some_and(|last_ns| from_ns > last_ns);
        let is_before = recorded.first_ns.is_some_and(|first_ns| to_ns <= first_ns);
        if is_after || is_before {
            return Err(format!("nothing was recorded then; the capture has {}", recorded.span()));
        }
        Ok((from_ns..to_ns, speed))
    }

    /// Starts to read for REST requests, which are answered as of the default beginning, else as of the last message:
    /// the serve core's ends. The terminal shows how far that is.
    ///
    /// # Errors
    /// No thread can start.
    pub fn read_for_rest(&self, sleeper: &Sleeper) -> Result<Vec<RestLinks>, String> {
        let plan = |recorded: &Recorded| {
            let last_ns = || recorded.last_message_ns().map(|at_ns| at_ns.saturating_add(1));
            let at_ns = self.defaults.from_ns.or_else(last_ns).unwrap_or(u64::MAX);
            recorded.plan(&(at_ns..at_ns), Speed::Max)
        };
        let plans = self.recorded.iter().map(plan).collect::<Result<Vec<Plan>, String>>()?;
        let progress = Progress::of_bytes(plans.iter().map(expected::stored_bytes).sum());
        let start = |(recorded, plan): (&Recorded, Plan)| {
            let (query_sender, queries) = ring(REST_DEPTH);
            let (answers, answer_receiver) = ring(REST_DEPTH);
            let queries = Some((queries, answers));
            let work = Work { plan, from_ns: u64::MAX, progress: progress.share() };
            let started = self.spawn(recorded, work, queries, sleeper.waker(), None)?;
            Ok(RestLinks {
                queries: query_sender,
                answers: answer_receiver,
                updates: started.updates,
                gate: started.gate,
            })
        };
        self.recorded.iter().zip(plans).map(start).collect()
    }

    fn spawn(
        &self,
        recorded: &Recorded,
        work: Work,
        queries: Option<(Consumer<BookQuery>, Producer<BookAnswer>)>,
        waker: TaskWaker,
        running: Option<Running>,
    ) -> Result<Started, String> {
        let gate = Arc::new(ReplayGate::default());
        let (request_sender, requests) = ring(UPDATE_REQUESTS_DEPTH);
        let (updates, receiver) = ring(REPLAY_UPDATES_DEPTH);
        let ending = Ending { gate: Arc::clone(&gate), waker: waker.clone() };
        let updates = UpdateLink { requests, updates, waker };
        let links = FeedLinks { updates, queries, gate: Arc::clone(&gate) };
        let logged = Arc::clone(&self.logged);
        let run = move || {
            let (_running, ending) = (running, ending);
            let Work { plan, from_ns, progress } = work;
            match feed(&plan, from_ns, links, progress) {
                Ok(faults) => {
                    faults.iter().for_each(|line| log(&logged, line));
                    ending.gate.set_end(ReplayEnd::Complete);
                }
                Err(ReplayError::Input(line) | ReplayError::Usage(line)) => {
                    log(&logged, &line);
                }
            }
        };
        std::thread::Builder::new()
            .name("replay".to_owned())
            .stack_size(DECODE_STACK_BYTES)
            .spawn(run)
            .map_err(|error| crate::io::executor::no_thread("replay", &error).to_string())?;
        let venue = recorded.recording.feed.venue();
        let updates =
            ShardUpdates { venue, requests: request_sender, updates: receiver, bell: None };
        Ok(Started { updates, gate })
    }
}

/// Queries for books that wait for REST answers.
const REST_DEPTH: usize = crate::base::limits::SERVE_SHARD_DEPTH;

/// What a replay reads.
struct Work {
    plan: Plan,
    /// The beginning of its client's range, nanoseconds since the Unix epoch.
    from_ns: u64,
    progress: Progress,
}

struct Started {
    updates: ShardUpdates,
    gate: Arc<ReplayGate>,
}

/// The serve core's ends of a recording that is read for REST requests. Dropping the gate's last user ends nothing: set
/// its `stop`.
#[derive(Debug)]
pub struct RestLinks {
    /// Queries for books.
    pub queries: Producer<BookQuery>,
    /// Their answers.
    pub answers: Consumer<BookAnswer>,
    /// The markets.
    pub updates: ShardUpdates,
    /// Its flags.
    pub gate: Arc<ReplayGate>,
}

/// `max`, or a factor with or without `x`.
///
/// # Errors
/// What is expected.
pub fn parse_speed(text: &str) -> Result<Speed, String> {
    text.parse().or_else(|_| format!("{text}x").parse())
}

pub(super) fn log(logged: &Logged, line: &str) {
    let mut logged = logged.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if logged.len() < LINES_MAX && logged.insert(line.to_owned()) {
        log::warn!("gateway: {line}");
    }
}

/// Counts a running replay.
#[derive(Debug)]
pub(super) struct Running(Arc<AtomicUsize>);

impl Running {
    fn begin(running: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let next = |count| (count < most).then_some(count + 1);
        let begun = running.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        begun.is_ok().then(|| Self(Arc::clone(running)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Reports the end of a replay to its client when the replay's thread ends: as failed unless an end is set.
struct Ending {
    gate: Arc<ReplayGate>,
    waker: TaskWaker,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if self.gate.end().is_none() {
            self.gate.set_end(ReplayEnd::Failed);
        }
        self.waker.wake();
    }
}

impl Replays for Sessions {
    fn start(&self, site: Site, asked: &AskedRange) -> Result<ReplayLinks, NoReplay> {
        let refuse = |status, line| NoReplay { status, line };
        let is_of_site = |recorded: &&Recorded| recorded.venue() == site.venue();
        let Some(recorded) = self.recorded.iter().find(is_of_site) else {
            return Err(refuse(404, "the capture has no such venue".to_owned()));
        };
        let (range, speed) = self.asked(recorded, asked).map_err(|line| refuse(400, line))?;
        let busy = |line| refuse(503, line);
        let running = self.begin()?;
        let plan = recorded.plan(&range, speed).map_err(busy)?;
        let sleeper = Sleeper::default();
        let work = Work { plan, from_ns: range.start, progress: Progress::hidden() };
        let started = self.spawn(recorded, work, None, sleeper.waker(), Some(running));
        let Started { updates, gate } = started.map_err(busy)?;
        let shards = vec![updates];
        let settings = Settings { waits: true, ..self.settings };
        let keys = Keys::default();
        let (spin_ns, clock, replays, prices) = (0, HostClock::new(), None, None);
        let links =
            GatewayLinks { shards, sleeper, settings, spin_ns, clock, keys, replays, prices };
        Ok(ReplayLinks { links, gate })
    }

    fn read(&self, reading: Reading, waker: TaskWaker) -> Result<Receiver<Part>, NoReplay> {
        super::tardis::start(self, reading, waker)
    }
}

#[cfg(test)]
mod tests;
