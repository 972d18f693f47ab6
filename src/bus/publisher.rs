//! The thread `bus`: records of the serve core to the topics of a broker.
//!
//! Runs on:  the thread `bus`, not pinned, which may block; `bus-ask` asks for topics. Owns: the producer, its end of
//!           the link.
//! Bounds:   the producer's records, and those of `BUS_ENDINGS_MAX` that end; then chunks stay in the link, and the
//!           serve core's hub conflates books. While the broker is away, changes of books that find no room are left
//!           out, and each book is published as a whole afterwards; trades and markets are in the `backlog`.
//!
//! A producer that cannot go on, or that gets no acknowledgements although the broker answers, is replaced: the next
//! one has another epoch, and every book is published as a whole.
use super::address::BusOptions;
use super::backlog::{Backlog, Kept};
use super::producer::{Ending, Notes, Producer, Refused, create_topics};
use super::record::{RecordHead, Topic};
use super::shown::{Progress, Shown};
use super::{BusError, BusPublisher};
use crate::base::id::TokenId;
use crate::base::limits::{
    BUS_BEAT_NS, BUS_DOWN_NS, BUS_ENDINGS_MAX, BUS_RETRY_NS, SINK_DRAIN_NS, SINK_LOOK_NS,
};
use crate::base::slices::{SliceSet, slice_of};
use crate::base::time::{Clock as _, MICROSECOND_NS, Now};
use crate::counter::bus::BusBoard;
use crate::io::wake::TaskWaker;
use crate::io::{clock::HostClock, executor::no_thread, threads::lower_priority};
use crate::link::cluster_control::SliceBoard;
use crate::link::serve_bus::{BusFeed, BusReceiver, BusSender, Repeat, link};
use crate::wire::websocket::server::FrameTexts;
use log::{info, warn};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Starts the publisher; gives the serve core's end, whose waker is `waker`. A broker that is away is waited for.
///
/// # Errors
/// [`BusError`]: no thread can be started.
pub fn start(
    options: &BusOptions,
    waker: TaskWaker,
    clock: HostClock,
    slices: Option<Arc<SliceBoard>>,
) -> Result<(BusPublisher, BusSender), BusError> {
    let journal = options.journal();
    let path = journal.display().to_string();
    let board = Arc::new(BusBoard::new(options.servers.clone(), options.engine.clone(), path));
    let backlog = Backlog::open(&journal, Arc::clone(&board)).map_err(BusError)?;
    let BusOptions { buffer_bytes, snapshot_ns, tops_ns, .. } = *options;
    let feed = BusFeed { buffer_bytes, snapshot_ns, tops_ns };
    let (sender, receiver) = link(feed, Arc::clone(&board), waker);
    let stop = Arc::new(AtomicBool::new(false));
    let publisher = Publisher {
        options: options.clone(),
        link: receiver,
        slices,
        withheld: SliceSet::default(),
        shown: Shown::default(),
        board: Arc::clone(&board),
        stop: Arc::clone(&stop),
        clock,
        endings: Vec::new(),
        held: None,
        backlog,
        left_out: HashSet::new(),
        waits_since_ns: None,
        refusal: None,
        answers: 0,
        beat_ns: 0,
        question: None,
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
    Replaced(Replaced),
}

/// Why a producer is replaced.
enum Replaced {
    /// librdkafka says that it cannot go on.
    Failed(String),
    /// The broker answers, and acknowledges nothing.
    Stalled,
}

impl Replaced {
    /// As `engine` records have it.
    const fn name(&self) -> &'static str {
        match self {
            Self::Failed(_) => "producer_failed",
            Self::Stalled => "no_acknowledgements",
        }
    }
}

/// A chunk of which not all records are published.
struct Held {
    chunk: Vec<u8>,
    /// Records that the producer has taken.
    published: usize,
}

struct Publisher {
    options: BusOptions,
    link: BusReceiver,
    /// The slices of this machine, if it is a member of a cluster.
    slices: Option<Arc<SliceBoard>>,
    /// Slices of which records were left out because another machine has them.
    withheld: SliceSet,
    shown: Shown,
    board: Arc<BusBoard>,
    stop: Arc<AtomicBool>,
    clock: HostClock,
    /// Producers that were given up.
    endings: Vec<Ending>,
    /// What the producer before this one could not take.
    held: Option<Held>,
    backlog: Backlog,
    /// Books of which records are missing: left out until they come as a whole.
    left_out: HashSet<TokenId>,
    /// Since when records wait and none was acknowledged.
    waits_since_ns: Option<u64>,
    /// Why the broker refuses the producer.
    refusal: Option<String>,
    /// How often the broker has answered another client since, one time after the other.
    answers: u64,
    /// When the engine says again that it is there.
    beat_ns: u64,
    /// The topics are asked for.
    question: Option<JoinHandle<Result<(), String>>>,
    /// When they are asked for again.
    retry_ns: u64,
    has_topics: bool,
    /// Lost trades that are on the bus as a record.
    trades_reported: u64,
    stop_ns: Option<u64>,
}

impl Publisher {
    fn run(mut self) {
        lower_priority();
        let mut replaced = None;
        loop {
            let epoch = self.clock.now().wall_ns / MICROSECOND_NS;
            let producer = match Producer::new(&self.options, epoch) {
                Ok(producer) => producer,
                Err(why) => {
                    self.set_down(&why, self.clock.now());
                    if self.is_stopping(self.clock.now()) {
                        return self.keep_rest();
                    }
                    std::thread::sleep(Duration::from_nanos(BUS_RETRY_NS));
                    continue;
                }
            };
            let end = self.publish(&producer, epoch, replaced.as_ref().map(Replaced::name));
            let left_ns = self
                .stop_ns
                .map_or(0, |at_ns| (at_ns + SINK_DRAIN_NS).saturating_sub(self.clock.mono_ns()));
            match end {
                End::Stopped => {
                    self.send_own(&producer, &self.engine_record(epoch, "stopped", None));
                    producer.finish(Duration::from_nanos(left_ns));
                    self.take(producer.take_notes());
                    self.wait_for_endings();
                    self.keep_rest();
                    self.board.waiting.set(0);
                    return;
                }
                End::Replaced(why) => {
                    let line = match &why {
                        Replaced::Failed(why) => why,
                        Replaced::Stalled => "no record is acknowledged, though the broker answers",
                    };
                    warn!("the bus begins again with every book as a whole: {line}");
                    self.endings.push(producer.give_up());
                    self.board.restarts.add(1);
                    self.has_topics = false;
                    (self.waits_since_ns, self.answers) = (None, 0);
                    self.link.repeat(Repeat::All);
                    self.shown.begin_again();
                    self.backlog.begin_again();
                    self.left_out.clear();
                    replaced = Some(why);
                }
            }
        }
    }

    /// Publishes until the producer cannot go on, or until everything is published after a stop. `replaced` is why it
    /// is not the first one.
    fn publish(&mut self, producer: &Producer, epoch: u64, replaced: Option<&str>) -> End {
        let mut has_begun = false;
        loop {
            let now = self.clock.now();
            self.look(producer, now);
            if let Some(why) = self.replacement(producer) {
                return End::Replaced(why);
            }
            let is_stopping = self.is_stopping(now);
            let is_late = self.stop_ns.is_some_and(|ns| now.mono_ns >= ns + SINK_DRAIN_NS);
            if is_late || (is_stopping && !self.has_topics) {
                return End::Stopped;
            }
            if !self.has_topics && !self.is_away() {
                producer.poll(Duration::from_nanos(SINK_LOOK_NS));
                continue;
            }
            if self.has_topics && (!has_begun || now.mono_ns >= self.beat_ns) {
                let why = replaced.filter(|_| !has_begun);
                self.beat_ns = now.mono_ns + BUS_BEAT_NS;
                has_begun |= self.send_own(producer, &self.engine_record(epoch, "running", why));
            }
            self.report_loss(producer, now);
            self.publish_backlog(producer, now);
            let next = self.held.take().or_else(|| {
                let chunk = self.link.try_receive()?;
                Some(Held { chunk, published: 0 })
            });
            self.show(producer, next.is_none(), now);
            match next {
                Some(held) => {
                    self.held = self.publish_chunk(producer, held);
                    producer.poll(Duration::ZERO);
                }
                None if is_stopping && (self.is_away() || self.backlog.is_empty()) => {
                    return End::Stopped;
                }
                None => producer.poll(Duration::from_nanos(SINK_LOOK_NS)),
            }
        }
    }

    /// Why the producer is to be replaced, if it is. Another client of the same broker shows whether the broker is
    /// away, which another producer would not change.
    fn replacement(&self, producer: &Producer) -> Option<Replaced> {
        if let Some(why) = producer.fatal_error() {
            return Some(Replaced::Failed(why));
        }
        let is_stalled = self.answers * BUS_RETRY_NS >= self.options.stall_ns;
        let has_room = self.endings.len() < BUS_ENDINGS_MAX;
        (is_stalled && has_room).then_some(Replaced::Stalled)
    }

    fn is_stopping(&mut self, now: Now) -> bool {
        let is_stopping = self.stop.load(Ordering::Acquire);
        if is_stopping {
            self.stop_ns.get_or_insert(now.mono_ns);
        }
        is_stopping
    }

    /// Whether the broker takes nothing.
    fn is_away(&self) -> bool {
        self.board.down_since_wall_ns.get() > 0
    }

    /// Publishes what waits in the journal, once all that was before it is published or in it.
    fn publish_backlog(&mut self, producer: &Producer, now: Now) {
        if self.backlog.is_empty() || !self.has_topics || self.is_away() || !self.endings.is_empty()
        {
            return;
        }
        if let Err(error) = self.backlog.publish(producer, now) {
            self.board.set_error(&format!("journal {}: {error}", self.options.journal().display()));
        }
    }

    /// Publishes the records of a chunk; gives it back if some could not be.
    fn publish_chunk(&mut self, producer: &Producer, held: Held) -> Option<Held> {
        let Held { chunk, published } = held;
        for (place, text) in FrameTexts::new(&chunk).enumerate().skip(published) {
            let Some(head) = RecordHead::read(text) else { continue };
            if self.is_withheld(head) {
                continue;
            }
            let RecordHead { kind, key, .. } = head;
            let is_kept = Kept::is_kept(kind);
            let waits = self.is_away() || !self.backlog.is_empty() || !self.endings.is_empty();
            if is_kept && waits {
                self.backlog.push(text);
                continue;
            }
            if self.is_left_out(kind, key) {
                continue;
            }
            for &topic in Topic::of_kind(kind) {
                while producer.send(topic, key, text) == Err(Refused::Full) {
                    if self.is_away() {
                        match is_kept {
                            true => self.backlog.push(text),
                            false => self.leave_out(key),
                        }
                        break;
                    }
                    producer.poll(Duration::from_nanos(SINK_LOOK_NS));
                    let now = self.clock.now();
                    self.look(producer, now);
                    self.is_stopping(now);
                    let is_late = self.stop_ns.is_some_and(|ns| now.mono_ns >= ns + SINK_DRAIN_NS);
                    if is_late || self.replacement(producer).is_some() {
                        return Some(Held { chunk, published: place });
                    }
                }
            }
        }
        self.link.give_back(chunk);
        self.backlog.store();
        None
    }

    /// A record of a book finds no room.
    fn leave_out(&mut self, key: &str) {
        self.left_out.extend(TokenId::new(key));
        self.board.left_out.add(1);
    }

    /// Whether a record is of a book that is incomplete on the bus, and does not make it whole.
    fn is_left_out(&mut self, kind: &str, key: &str) -> bool {
        if self.left_out.is_empty() {
            return false;
        }
        let token = TokenId::new(key).filter(|token| self.left_out.contains(token));
        let Some(token) = token else { return false };
        let is_whole = kind == "snapshot" && !self.is_away();
        match is_whole {
            true => _ = self.left_out.remove(&token),
            false => self.board.left_out.add(1),
        }
        !is_whole
    }

    /// Whether a record is another machine's to publish. Who scans the catalog publishes all markets. Of a slice that
    /// this machine has left, trades that waited and the ends of its books are still its own; but best prices are
    /// compacted, and the new owner's stand.
    fn is_withheld(&mut self, head: RecordHead<'_>) -> bool {
        let Some(slices) = &self.slices else { return false };
        let slice = slice_of(head.market.as_bytes());
        let has_left = !slices.followed.get().contains(slice);
        let is_market = head.kind == "market";
        if is_market && slices.scans()
            || slices.published.get().contains(slice)
            || has_left && matches!(head.kind, "trade" | "state")
        {
            return false;
        }
        if !is_market {
            self.withheld.set(slice, true);
        }
        self.board.withheld.add(1);
        true
    }

    /// Notes which live slices are at the broker.
    fn show(&mut self, producer: &Producer, is_sent: bool, now: Now) {
        let Some(slices) = &self.slices else { return };
        let progress = Progress { is_sent, is_acknowledged: producer.is_turn_over() };
        if self.shown.poll(slices.live.get(), progress, now) {
            producer.begin_turn();
        }
        slices.shown.set(self.shown.slices());
    }

    /// Slices that return begin with every book as a whole.
    fn repeat_returned(&mut self) {
        let Some(slices) = self.slices.as_ref().filter(|_| !self.withheld.is_empty()) else {
            return;
        };
        let returned = self.withheld.and(&slices.published.get());
        if !returned.is_empty() {
            self.withheld = self.withheld.without(&returned);
            self.link.repeat(Repeat::All);
        }
    }

    /// A record of the publisher itself, unless there is no room.
    fn send_own(&self, producer: &Producer, text: &str) -> bool {
        producer.send(Topic::Events, &self.options.engine, text).is_ok()
    }

    /// `reason`: why this producer is not the first one.
    fn engine_record(&self, epoch: u64, state: &str, reason: Option<&str>) -> String {
        let (engine, now_ns) = (&self.options.engine, self.clock.now().wall_ns);
        let reason = reason.map(|reason| format!(r#","reason":"{reason}""#)).unwrap_or_default();
        format!(
            r#"{{"kind":"engine","engine":"{engine}","epoch":{epoch},"receive_time":{now_ns},"state":"{state}"{reason}}}"#
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
            warn!("{new} trades are not on the bus: there was no room for them");
            self.trades_reported = lost;
        }
    }

    fn take(&mut self, notes: Notes) {
        let Notes { records, bytes, failed, trades_failed, kept, .. } = notes;
        self.board.records.add(records);
        self.board.bytes.add(bytes);
        self.board.failed.add(failed);
        self.board.trades_failed.add(trades_failed);
        self.backlog.give_back(kept);
    }

    fn look_at_endings(&mut self) {
        let endings = std::mem::take(&mut self.endings);
        for ending in endings {
            let is_over = ending.is_over();
            self.take(ending.take_notes());
            if !is_over {
                self.endings.push(ending);
            }
        }
    }

    /// What producers that were given up had taken is journaled, too.
    fn wait_for_endings(&mut self) {
        let late_ns = self.clock.mono_ns() + BUS_DOWN_NS;
        self.look_at_endings();
        while !self.endings.is_empty() && self.clock.mono_ns() < late_ns {
            std::thread::sleep(Duration::from_nanos(SINK_LOOK_NS));
            self.look_at_endings();
        }
    }

    /// Acts on what the callbacks have noted, and on what they have not.
    fn look(&mut self, producer: &Producer, now: Now) {
        self.look_at_endings();
        let mut notes = producer.take_notes();
        let (incomplete, error) = (std::mem::take(&mut notes.incomplete), notes.error.take());
        let (down, lacks_topic, has_records) =
            (notes.down.take(), notes.lacks_topic, notes.records > 0);
        self.refusal = notes.refusal.take().or(self.refusal.take());
        if notes.batch_failed {
            self.backlog.refuse();
        }
        self.take(notes);
        let waiting = producer.waiting();
        self.board.waiting.set(waiting);
        if waiting == 0 || has_records {
            (self.waits_since_ns, self.answers) = (None, 0);
        } else {
            self.waits_since_ns.get_or_insert(now.mono_ns);
        }
        if has_records {
            self.board.last_record_wall_ns.set(now.wall_ns);
            self.refusal = None;
            self.set_up();
        } else if let Some(why) = down {
            self.set_down(&why, now);
        } else if self.waits_since_ns.is_some_and(|ns| now.mono_ns >= ns + BUS_DOWN_NS) {
            self.set_down("records are not acknowledged", now);
        }
        if let Some(why) = error {
            self.board.set_error(&why);
        }
        for token in incomplete {
            self.link.repeat(Repeat::Book(token));
        }
        self.repeat_returned();
        self.link.retry();
        // A broker that was away may be another one.
        self.has_topics &= !lacks_topic;
        self.take_answer();
        let is_due = self.question.is_none() && now.mono_ns >= self.retry_ns;
        if (!self.has_topics || self.is_away()) && is_due {
            self.ask_for_topics();
        }
    }

    /// On a thread of its own: a broker that is away answers nothing for seconds. That it takes records again is shown
    /// by the next acknowledgement: the engine always has one to publish.
    fn ask_for_topics(&mut self) {
        let options = self.options.clone();
        let ask = move || create_topics(&options, &Topic::ALL.map(|t| (t, options.partitions)));
        self.question = std::thread::Builder::new().name("bus-ask".into()).spawn(ask).ok();
    }

    fn take_answer(&mut self) {
        let Some(question) = self.question.take_if(|asked| asked.is_finished()) else { return };
        match question.join() {
            Ok(Ok(())) => {
                self.has_topics = true;
                self.answers += u64::from(self.waits_since_ns.is_some());
            }
            Ok(Err(why)) => {
                self.answers = 0;
                self.set_down(&why, self.clock.now());
            }
            Err(_) => {}
        }
        self.retry_ns = self.clock.mono_ns() + BUS_RETRY_NS;
    }

    fn set_up(&mut self) {
        if self.is_away() {
            if !self.left_out.is_empty() {
                self.link.repeat(Repeat::All);
                self.shown.begin_again();
            }
            info!("the broker {} takes records again", self.options.servers);
            self.board.down_since_wall_ns.set(0);
            self.board.set_error("");
        }
    }

    fn set_down(&self, why: &str, now: Now) {
        let why = self.refusal.as_deref().unwrap_or(why);
        if self.board.down_since_wall_ns.get() == 0 {
            warn!("the broker {} takes no records, they wait: {why}", self.options.servers);
            self.board.down_since_wall_ns.set(now.wall_ns);
        }
        self.board.set_error(why);
    }

    /// What is not published any more: the next run publishes what is in the journal.
    fn keep_rest(&mut self) {
        let held = self.held.take().map(|held| (held.chunk, held.published));
        let mut rest = held.into_iter().collect::<Vec<_>>();
        rest.extend(std::iter::from_fn(|| self.link.try_receive()).map(|chunk| (chunk, 0)));
        self.backlog.begin_again();
        for (chunk, published) in rest {
            for text in FrameTexts::new(&chunk).skip(published) {
                match RecordHead::read(text) {
                    Some(head) if Kept::is_kept(head.kind) => self.backlog.push(text),
                    _ => self.board.failed.add(1),
                }
            }
        }
        self.backlog.store();
    }
}
