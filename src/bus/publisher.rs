//! The thread `bus`: records of the serve core to the topics of a broker.
//!
//! Runs on:  the thread `bus`, not pinned, which may block. Owns: the producer, its end of the link.
//! Bounds:   the producer's records; then chunks stay in the link, and the serve core's hub conflates books.
//!
//! A producer that cannot go on is replaced: the next one has another epoch, and every book is published as a whole.
use super::address::BusOptions;
use super::producer::{Producer, Refused, create_topics};
use super::record::{RecordHead, Topic};
use super::{BusError, BusPublisher};
use crate::base::limits::{BUS_DOWN_NS, BUS_RETRY_NS, SINK_DRAIN_NS, SINK_LOOK_NS};
use crate::base::time::{Clock as _, MICROSECOND_NS, Now};
use crate::counter::bus::BusBoard;
use crate::io::wake::TaskWaker;
use crate::io::{clock::HostClock, executor::no_thread, threads::lower_priority};
use crate::link::serve_bus::{BusFeed, BusReceiver, BusSender, Repeat, link};
use crate::wire::websocket::server::FrameTexts;
use log::{info, warn};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Starts the publisher; gives the serve core's end, whose waker is `waker`. A broker that is away is waited for.
///
/// # Errors
/// [`BusError`]: no thread can be started.
pub fn start(
    options: &BusOptions,
    waker: TaskWaker,
    clock: HostClock,
) -> Result<(BusPublisher, BusSender), BusError> {
    let board = Arc::new(BusBoard::new(options.servers.clone(), options.engine.clone()));
    let BusOptions { buffer_bytes, snapshot_ns, tops_ns, .. } = *options;
    let feed = BusFeed { buffer_bytes, snapshot_ns, tops_ns };
    let (sender, receiver) = link(feed, Arc::clone(&board), waker);
    let stop = Arc::new(AtomicBool::new(false));
    let publisher = Publisher {
        options: options.clone(),
        link: receiver,
        board: Arc::clone(&board),
        stop: Arc::clone(&stop),
        clock,
        waits_since_ns: None,
        retry_ns: 0,
        has_topics: false,
        trades_reported: 0,
        stop_ns: None,
    };
    let thread = std::thread::Builder::new().name("bus".into()).spawn(move || publisher.run());
    let thread = thread.map_err(|error| BusError(no_thread("bus", &error).to_string()))?;
    Ok((BusPublisher { stop, board, thread }, sender))
}

/// Why a producer ends.
enum End {
    Stopped,
    Fatal(String),
}

struct Publisher {
    options: BusOptions,
    link: BusReceiver,
    board: Arc<BusBoard>,
    stop: Arc<AtomicBool>,
    clock: HostClock,
    /// Since when records wait and none was acknowledged.
    waits_since_ns: Option<u64>,
    /// When the topics are asked for again.
    retry_ns: u64,
    has_topics: bool,
    /// Lost trades that are on the bus as a record.
    trades_reported: u64,
    stop_ns: Option<u64>,
}

impl Publisher {
    fn run(mut self) {
        lower_priority();
        loop {
            let epoch = self.clock.now().wall_ns / MICROSECOND_NS;
            let producer = match Producer::new(&self.options, &self.board, epoch) {
                Ok(producer) => producer,
                Err(why) => {
                    self.set_down(&why, self.clock.now());
                    if self.is_stopping(self.clock.now()) {
                        return;
                    }
                    std::thread::sleep(Duration::from_nanos(BUS_RETRY_NS));
                    continue;
                }
            };
            let end = self.publish(&producer, epoch);
            let left_ns = self
                .stop_ns
                .map_or(0, |at_ns| (at_ns + SINK_DRAIN_NS).saturating_sub(self.clock.mono_ns()));
            match end {
                End::Stopped => {
                    self.send_own(&producer, &self.engine_record(epoch, "stopped"));
                    producer.finish(Duration::from_nanos(left_ns));
                    self.board.waiting.set(0);
                    return;
                }
                End::Fatal(why) => {
                    warn!("the bus begins again with every book as a whole: {why}");
                    producer.finish(Duration::ZERO);
                    self.board.restarts.add(1);
                    self.has_topics = false;
                    self.link.repeat(Repeat::All);
                }
            }
        }
    }

    /// Publishes until the producer cannot go on, or until everything is published after a stop.
    fn publish(&mut self, producer: &Producer, epoch: u64) -> End {
        let mut has_begun = false;
        loop {
            let now = self.clock.now();
            if let Some(why) = producer.fatal_error() {
                return End::Fatal(why);
            }
            self.look(producer, now);
            let is_stopping = self.is_stopping(now);
            let is_late = self.stop_ns.is_some_and(|ns| now.mono_ns >= ns + SINK_DRAIN_NS);
            if is_late || (is_stopping && !self.has_topics) {
                self.drop_rest();
                return End::Stopped;
            }
            if !self.has_topics {
                producer.poll(Duration::from_nanos(SINK_LOOK_NS));
                continue;
            }
            if !has_begun {
                has_begun = true;
                self.send_own(producer, &self.engine_record(epoch, "running"));
            }
            self.report_loss(producer, now);
            match self.link.try_receive() {
                Some(chunk) => {
                    if !self.publish_chunk(producer, &chunk) {
                        self.link.repeat(Repeat::All);
                    }
                    self.link.give_back(chunk);
                    producer.poll(Duration::ZERO);
                }
                None if is_stopping => return End::Stopped,
                None => producer.poll(Duration::from_nanos(SINK_LOOK_NS)),
            }
        }
    }

    fn is_stopping(&mut self, now: Now) -> bool {
        let is_stopping = self.stop.load(Ordering::Acquire);
        if is_stopping {
            self.stop_ns.get_or_insert(now.mono_ns);
        }
        is_stopping
    }

    /// Publishes the records of a chunk; false if some could not be.
    fn publish_chunk(&mut self, producer: &Producer, chunk: &[u8]) -> bool {
        for text in FrameTexts::new(chunk) {
            let Some(RecordHead { kind, key }) = RecordHead::read(text) else { continue };
            for &topic in Topic::of_kind(kind) {
                while producer.send(topic, key, text) == Err(Refused::Full) {
                    producer.poll(Duration::from_nanos(SINK_LOOK_NS));
                    let now = self.clock.now();
                    self.look(producer, now);
                    self.is_stopping(now);
                    let is_late = self.stop_ns.is_some_and(|ns| now.mono_ns >= ns + SINK_DRAIN_NS);
                    if is_late || producer.fatal_error().is_some() {
                        self.count_dropped(chunk);
                        return false;
                    }
                }
            }
        }
        true
    }

    /// A record of the publisher itself, unless there is no room.
    fn send_own(&self, producer: &Producer, text: &str) -> bool {
        producer.send(Topic::Events, &self.options.engine, text).is_ok()
    }

    fn engine_record(&self, epoch: u64, state: &str) -> String {
        let (engine, now_ns) = (&self.options.engine, self.clock.now().wall_ns);
        format!(
            r#"{{"kind":"engine","engine":"{engine}","epoch":{epoch},"receive_time":{now_ns},"state":"{state}"}}"#
        )
    }

    /// Reports lost trades on the bus, once it takes records again.
    fn report_loss(&mut self, producer: &Producer, now: Now) {
        let lost = self.board.trades_lost();
        let new = lost - self.trades_reported;
        if new == 0 || self.board.down_since_wall_ns.get() > 0 {
            return;
        }
        let (engine, now_ns) = (&self.options.engine, now.wall_ns);
        let text = format!(
            r#"{{"kind":"loss","engine":"{engine}","receive_time":{now_ns},"trades":{new}}}"#
        );
        if self.send_own(producer, &text) {
            warn!("{new} trades are not on the bus: the broker was away for too long");
            self.trades_reported = lost;
        }
    }

    /// Acts on what the callbacks have noted, and on what they have not.
    fn look(&mut self, producer: &Producer, now: Now) {
        let notes = producer.take_notes();
        let waiting = producer.waiting();
        self.board.waiting.set(waiting);
        if waiting == 0 || notes.acknowledged {
            self.waits_since_ns = None;
        } else {
            self.waits_since_ns.get_or_insert(now.mono_ns);
        }
        if notes.acknowledged {
            self.board.last_record_wall_ns.set(now.wall_ns);
            self.set_up();
        } else if let Some(why) = notes.down {
            self.set_down(&why, now);
        } else if self.waits_since_ns.is_some_and(|ns| now.mono_ns >= ns + BUS_DOWN_NS) {
            self.set_down("records are not acknowledged", now);
        }
        if let Some(why) = notes.failed {
            self.board.set_error(&why);
        }
        for token in notes.incomplete {
            self.link.repeat(Repeat::Book(token));
        }
        self.link.retry();
        // A broker that was away may be another one.
        self.has_topics &= !notes.lacks_topic;
        let is_down = self.board.down_since_wall_ns.get() > 0;
        if (!self.has_topics || is_down) && now.mono_ns >= self.retry_ns {
            self.ask_for_topics(waiting == 0);
        }
    }

    fn ask_for_topics(&mut self, is_idle: bool) {
        match create_topics(&self.options) {
            Ok(()) => {
                self.has_topics = true;
                // Otherwise the next acknowledgement shows it.
                if is_idle {
                    self.set_up();
                }
            }
            Err(why) => self.set_down(&why, self.clock.now()),
        }
        self.retry_ns = self.clock.mono_ns() + BUS_RETRY_NS;
    }

    fn set_up(&self) {
        if self.board.down_since_wall_ns.get() > 0 {
            info!("the broker {} takes records again", self.options.servers);
            self.board.down_since_wall_ns.set(0);
            self.board.set_error("");
        }
    }

    fn set_down(&self, why: &str, now: Now) {
        if self.board.down_since_wall_ns.get() == 0 {
            warn!("the broker {} takes no records, they wait: {why}", self.options.servers);
            self.board.down_since_wall_ns.set(now.wall_ns);
        }
        self.board.set_error(why);
    }

    /// Counts the trades of chunks that are not published any more.
    fn drop_rest(&mut self) {
        while let Some(chunk) = self.link.try_receive() {
            self.count_dropped(&chunk);
        }
    }

    /// Some may have been published: more are counted rather than fewer.
    fn count_dropped(&self, chunk: &[u8]) {
        for head in FrameTexts::new(chunk).filter_map(RecordHead::read) {
            self.board.failed.add(1);
            self.board.trades_failed.add(u64::from(head.kind == "trade"));
        }
    }
}
