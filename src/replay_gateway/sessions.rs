//! Replays for the clients of a gateway: each has a range of the recording, two threads, and ends with its client.
//!
//! Runs on:  serve core (starts one), plain threads. Bounds: `--replays` at once.
use crate::base::limits::{DECODE_STACK_BYTES, REPLAY_UPDATES_DEPTH, UPDATE_REQUESTS_DEPTH};
use crate::gateway::Site;
use crate::gateway::hub::Settings;
use crate::gateway::signature::Keys;
use crate::io::clock::HostClock;
use crate::io::progress::Progress;
use crate::io::wake::{Sleeper, TaskWaker};
use crate::link::replay_gate::{ReplayEnd, ReplayGate};
use crate::link::serve_shard::{BookAnswer, BookQuery};
use crate::link::shard_updates::UpdateLink;
use crate::replay::feed::{FeedLinks, feed};
use crate::replay::plan::{Plan, Speed, parse_time};
use crate::replay::{Recorded, ReplayError, expected};
use crate::ring::{Consumer, Producer, ring};
use crate::serve::gateway::{GatewayLinks, ShardUpdates};
use crate::serve::parts::Part;
use crate::serve::replays::{AskedRange, NoReplay, Reading, ReplayLinks, Replays};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};

/// Fault lines that are logged; a line is logged once.
const LINES_MAX: usize = 100;

/// The interfaces that clients of a recording use, and their ports after the first; none for a venue without one.
pub fn sites(recorded: &Recorded) -> &'static [(Site, u16)] {
    Site::of(&recorded.recording.feed.venue())
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
        if !recorded.is_timed() && (speed != Speed::Max || (from_ns, to_ns) != (0, u64::MAX)) {
            let lines = "the lines of the recording have no receive times";
            return Err(format!("{lines}: use speed=max (--speed max), and neither from= nor to="));
        }
        if from_ns >= to_ns {
            return Err("from= must be before to=".to_owned());
        }
        match recorded.nothing_in(&(from_ns..to_ns)) {
            Some(line) => Err(line),
            None => Ok((from_ns..to_ns, speed)),
        }
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
        let venue = recorded.recording.feed.venue();
        let recorded = recorded.clone();
        let run = move || {
            let (_running, ending) = (running, ending);
            let Work { plan, from_ns, progress } = work;
            let plan = match from_ns {
                // For REST requests, which have what the stream reported of markets.
                u64::MAX => plan,
                // Everything is passed on, and counted.
                _ => recorded.plan_with_images(plan, from_ns, 0, &ending.gate.stop),
            };
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
        let updates =
            ShardUpdates { venue, requests: request_sender, updates: receiver, bell: None };
        Ok(Started { updates, gate })
    }
}

/// Queries for books that wait for REST answers.
const REST_DEPTH: usize = crate::base::limits::SERVE_SHARD_DEPTH;

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
        let links = GatewayLinks {
            shards,
            sleeper,
            settings,
            spin_ns: 0,
            clock: HostClock::new(),
            keys,
            replays: None,
            prices: None,
            bus: None,
        };
        Ok(ReplayLinks { links, gate })
    }

    fn read(&self, reading: Reading, waker: TaskWaker) -> Result<Receiver<Part>, NoReplay> {
        super::tardis::start(self, reading, waker)
    }
}

#[cfg(test)]
mod tests;
