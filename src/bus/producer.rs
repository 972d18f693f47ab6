//! An idempotent producer: it notes which records were acknowledged and which did not arrive.
//!
//! Runs on:  the thread `bus`, which makes its callbacks; `bus-end`, where a producer ends that was given up;
//!           librdkafka has threads of its own.
//! Bounds:   bytes of records as the address says, `BUS_RECORDS_MAX` of them; a producer that was given up keeps its
//!           own until it has ended.
//!
//! librdkafka's threads have the cores of the thread that makes the producer, which is not pinned.
use super::BusError;
use super::address::{BusOptions, properties};
use super::record::Topic;
use crate::base::id::TokenId;
use crate::base::limits::{BUS_DOWN_NS, BUS_RECORDS_MAX};
use crate::io::file::read_private;
use futures_lite::future::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message as _, OwnedHeaders};
use rdkafka::producer::{
    BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext, PurgeConfig,
};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What the callbacks have noted since the last look.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Records that were acknowledged.
    pub(super) records: u64,
    /// Bytes of their values.
    pub(super) bytes: u64,
    /// Records that did not arrive.
    pub(super) failed: u64,
    /// Of these, trades that would fail again.
    pub(super) trades_failed: u64,
    /// Of these, records that wait for another try: their texts.
    pub(super) kept: Vec<String>,
    /// A record of a batch of the journal did not arrive.
    pub(super) batch_failed: bool,
    /// The last error that says that no broker answers.
    pub(super) down: Option<String>,
    /// Why the broker refuses this client.
    pub(super) refusal: Option<String>,
    /// Tokens whose books are incomplete.
    pub(super) incomplete: Vec<TokenId>,
    /// The broker has no such topic.
    pub(super) lacks_topic: bool,
    /// The last error.
    pub(super) error: Option<String>,
}

/// The notes of one producer.
#[derive(Clone, Debug, Default)]
struct Notepad(Arc<Mutex<Notes>>);

impl Notepad {
    fn note(&self, note: impl FnOnce(&mut Notes)) {
        if let Ok(mut notes) = self.0.lock() {
            note(&mut notes);
        }
    }

    fn take(&self) -> Notes {
        self.0.lock().map(|mut notes| std::mem::take(&mut *notes)).unwrap_or_default()
    }
}

/// Records that are not acknowledged, by the turn in which they were sent: an even or an odd one, or [`BATCH`].
type Turns = Arc<[AtomicU64; 3]>;

/// The turn of what is in the journal still.
const BATCH: usize = 2;

/// The callbacks.
struct Context {
    prefix: String,
    notes: Notepad,
    turns: Turns,
}

/// A record that did not arrive.
struct Failed<'a> {
    topic: &'a str,
    key: Option<&'a [u8]>,
    text: Option<&'a [u8]>,
}

impl Context {
    fn on_failed(&self, error: &KafkaError, turn: usize, record: Failed<'_>) {
        let Failed { topic, key, text } = record;
        let topic = topic.strip_prefix(&self.prefix).and_then(|name| Topic::named(name.get(1..)?));
        let token = key.and_then(|key| TokenId::new(std::str::from_utf8(key).ok()?));
        let code = error.rdkafka_error_code();
        self.notes.note(|notes| {
            notes.failed += 1;
            notes.error = Some(error.to_string());
            notes.lacks_topic |= lacks_topic(code);
            // A record that is too large would be so again.
            let is_repeated = code != Some(RDKafkaErrorCode::MessageSizeTooLarge);
            match topic {
                Some(Topic::Books | Topic::Tops) if is_repeated => notes.incomplete.extend(token),
                Some(Topic::Trades | Topic::Markets) if is_repeated && turn == BATCH => {
                    notes.batch_failed = true;
                }
                Some(Topic::Trades | Topic::Markets) if is_repeated => {
                    let text = text.and_then(|text| std::str::from_utf8(text).ok());
                    notes.kept.extend(text.map(str::to_owned));
                }
                Some(Topic::Trades) => notes.trades_failed += 1,
                _ => {}
            }
        });
    }
}

pub(super) fn lacks_topic(code: Option<RDKafkaErrorCode>) -> bool {
    use RDKafkaErrorCode::{
        UnknownPartition, UnknownTopic, UnknownTopicId, UnknownTopicOrPartition,
    };
    matches!(code, Some(UnknownTopic | UnknownPartition | UnknownTopicOrPartition | UnknownTopicId))
}

/// Passes librdkafka's own lines on as debug lines: what matters is noted.
pub(super) fn log_line(facility: &str, line: &str) {
    log::debug!("librdkafka: {facility} {line}");
}

impl ClientContext for Context {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, line: &str) {
        log_line(facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_line("error", reason);
        let why = Some(reason.to_owned());
        self.notes.note(|notes| match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown) => {
                notes.down = Some("no broker answers".to_owned());
            }
            Some(RDKafkaErrorCode::Authentication) => notes.refusal = why,
            _ => notes.error = why,
        });
    }
}

impl ProducerContext for Context {
    /// The turn.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, turn: usize) {
        self.turns[turn].fetch_sub(1, Ordering::Relaxed);
        match result {
            Ok(record) => self.notes.note(|notes| {
                notes.records += 1;
                notes.bytes += record.payload_len() as u64;
            }),
            Err((error, record)) => {
                let (topic, key, text) = (record.topic(), record.key(), record.payload());
                self.on_failed(error, turn, Failed { topic, key, text });
            }
        }
    }
}

/// Callbacks of a client whose answers say everything.
struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, line: &str) {
        log_line(facility, line);
    }

    fn error(&self, _error: KafkaError, reason: &str) {
        log_line("error", reason);
    }
}

/// Why a record was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// There is no room: try again after a while.
    Full,
    /// It was counted as failed.
    Failed,
}

/// What every client of the broker is configured with. The file is read each time, so that it may change.
///
/// # Errors
/// The file cannot be used: one line.
pub(super) fn client_config(options: &BusOptions) -> Result<ClientConfig, String> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &options.servers)
        .set("client.id", "ringbook")
        .set("reconnect.backoff.max.ms", "2000")
        .set("topic.metadata.refresh.interval.ms", "10000");
    if let Some(file) = &options.file {
        let bytes = read_private(file)?;
        let fault = |why: String| format!("{}: {why}", file.display());
        let text = std::str::from_utf8(&bytes).map_err(|error| fault(error.to_string()))?;
        config.extend(
            properties(text).map_err(fault)?.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())),
        );
    }
    Ok(config)
}

/// Why there is no client, without the value of a property: it may be a secret.
pub(super) fn refusal(error: KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, why, ..) => why,
        error => error.to_string(),
    }
}

fn admin(options: &BusOptions) -> Result<AdminClient<Quiet>, String> {
    client_config(options)?.create_with_context(Quiet).map_err(refusal)
}

/// Makes a client if the address names a file, without waiting for the broker.
///
/// # Errors
/// [`BusError`]: the file, or a property in it, cannot be used.
pub fn check(options: &BusOptions) -> Result<(), BusError> {
    let made = options.file.as_ref().map_or(Ok(()), |_| admin(options).map(drop));
    made.map_err(|why| BusError(format!("{}: {why}", options.address)))
}

/// Creates those of these topics that are missing, each with its number of partitions.
///
/// # Errors
/// The broker does not answer, or refuses: one line.
pub(super) fn create_topics(options: &BusOptions, wanted: &[(Topic, u16)]) -> Result<(), String> {
    let admin = admin(options)?;
    let names: Vec<String> =
        wanted.iter().map(|(topic, _)| topic.full_name(&options.prefix)).collect();
    let wait = Duration::from_nanos(BUS_DOWN_NS);
    let known = admin.inner().fetch_metadata(None, wait).map_err(|error| error.to_string())?;
    let is_missing = |name: &str| known.topics().iter().all(|topic| topic.name() != name);
    let replication = i32::from(options.replication);
    let topics: Vec<NewTopic<'_>> = std::iter::zip(wanted, &names)
        .filter(|(_, name)| is_missing(name))
        .map(|(&(topic, partitions), name)| {
            let replication = TopicReplication::Fixed(replication);
            let new = NewTopic::new(name, i32::from(partitions), replication);
            if topic.is_compacted() { new.set("cleanup.policy", "compact") } else { new }
        })
        .collect();
    if topics.is_empty() {
        return Ok(());
    }
    let wait = Some(wait);
    let asked = AdminOptions::new().request_timeout(wait).operation_timeout(wait);
    let results = match block_on(admin.create_topics(&topics, &asked)) {
        Ok(results) => results,
        // A broker without this request creates topics as it sees them.
        Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnsupportedFeature) => {
            return Ok(());
        }
        Err(error) => return Err(error.to_string()),
    };
    for result in results {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => {
                return Err(format!("the topic {topic} cannot be created: {code}"));
            }
        }
    }
    Ok(())
}

/// Of each record: who has published it, and which start of it.
pub(super) fn headers(engine: &str, epoch: u64) -> OwnedHeaders {
    let headers = OwnedHeaders::new().insert(Header { key: "engine", value: Some(engine) });
    headers.insert(Header { key: "epoch", value: Some(&epoch.to_string()) })
}

/// A producer of one epoch.
pub(super) struct Producer {
    producer: BaseProducer<Context>,
    notes: Notepad,
    headers: OwnedHeaders,
    names: [(Topic, String); 5],
    turns: Turns,
    turn: Cell<usize>,
}

impl Producer {
    /// A producer that connects by itself.
    ///
    /// # Errors
    /// librdkafka refuses a setting: one line.
    pub(super) fn new(options: &BusOptions, epoch: u64) -> Result<Self, String> {
        let notes = Notepad::default();
        let turns = Turns::default();
        let (prefix, notes_of, turns_of) = (options.prefix.clone(), notes.clone(), turns.clone());
        let context = Context { prefix, notes: notes_of, turns: turns_of };
        let mut config = client_config(options)?;
        config
            .set("enable.idempotence", "true")
            .set("compression.type", options.compression)
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "5")
            // What was taken is sent, however long the broker is away.
            .set("message.timeout.ms", "0")
            .set("queue.buffering.max.messages", BUS_RECORDS_MAX.to_string())
            .set("queue.buffering.max.kbytes", (options.buffer_bytes >> 10).to_string());
        let producer = config.create_with_context(context).map_err(refusal)?;
        let headers = headers(&options.engine, epoch);
        let names = Topic::ALL.map(|topic| (topic, topic.full_name(&options.prefix)));
        Ok(Self { producer, notes, headers, names, turns, turn: Cell::new(0) })
    }

    /// Takes a record, without waiting.
    pub(super) fn send(&self, topic: Topic, key: &str, text: &str) -> Result<(), Refused> {
        self.send_in(self.turn.get(), topic, key, text)
    }

    /// The same for a record of a batch of the journal.
    pub(super) fn send_batched(&self, topic: Topic, key: &str, text: &str) -> Result<(), Refused> {
        self.send_in(BATCH, topic, key, text)
    }

    /// Whether every record of a batch is acknowledged, or failed.
    pub(super) fn is_batch_over(&self) -> bool {
        self.turns[BATCH].load(Ordering::Relaxed) == 0
    }

    fn send_in(&self, turn: usize, topic: Topic, key: &str, text: &str) -> Result<(), Refused> {
        let name = self.names.iter().find(|(known, _)| *known == topic);
        let Some((_, name)) = name else { return Err(Refused::Failed) };
        let record = BaseRecord::with_opaque_to(name, turn).key(key).payload(text);
        self.turns[turn].fetch_add(1, Ordering::Relaxed);
        self.producer.send(record.headers(self.headers.clone())).map_err(|(error, _)| {
            self.turns[turn].fetch_sub(1, Ordering::Relaxed);
            if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) {
                return Refused::Full;
            }
            let (topic, key, text) = (name.as_str(), Some(key.as_bytes()), Some(text.as_bytes()));
            self.producer.context().on_failed(&error, turn, Failed { topic, key, text });
            Refused::Failed
        })
    }

    /// Begins another turn; only when [`Producer::is_turn_over`].
    pub(super) fn begin_turn(&self) {
        self.turn.set(1 - self.turn.get());
    }

    /// Whether all that was sent before this turn is acknowledged, or failed.
    pub(super) fn is_turn_over(&self) -> bool {
        self.turns[1 - self.turn.get()].load(Ordering::Relaxed) == 0
    }

    /// Makes the callbacks that are due, then sleeps for this long. The library's own `poll` with a time does not sleep
    /// through its last millisecond, which was more than half of the CPU time of publishing.
    pub(super) fn poll(&self, time: Duration) {
        loop {
            let waiting = self.waiting();
            self.producer.poll(Duration::ZERO);
            if self.waiting() >= waiting {
                break;
            }
        }
        if !time.is_zero() {
            std::thread::sleep(time);
        }
    }

    /// What the callbacks have noted since the last call.
    pub(super) fn take_notes(&self) -> Notes {
        self.notes.take()
    }

    /// Records that are not acknowledged.
    pub(super) fn waiting(&self) -> u64 {
        u64::try_from(self.producer.in_flight_count()).unwrap_or(0)
    }

    /// Why it cannot go on.
    pub(super) fn fatal_error(&self) -> Option<String> {
        let (code, reason) = self.producer.client().fatal_error()?;
        Some(format!("{reason} ({code})"))
    }

    /// Waits for this long until every record is acknowledged, and notes the others as failed.
    pub(super) fn finish(&self, time: Duration) {
        let _ = self.producer.flush(time);
        self.producer.purge(PurgeConfig::default().queue().inflight());
        // Each record makes a callback, which takes seconds where there are many or the machine is busy.
        let _ = self.producer.flush(Duration::from_nanos(BUS_DOWN_NS));
        let left = self.waiting();
        if left > 0 {
            log::warn!(
                "{left} records were given up without a report of librdkafka; trades may be among them"
            );
        }
    }

    /// Gives it up: what waits is noted as failed.
    pub(super) fn give_up(self) -> Ending {
        let notes = self.notes.clone();
        let end = move || {
            self.finish(Duration::ZERO);
            drop(self);
        };
        // Without a thread it ends here.
        let thread = std::thread::Builder::new().name("bus-end".into()).spawn(end).ok();
        Ending { notes, thread }
    }
}

/// A producer that was given up. Its end is on a thread of its own, because librdkafka may block there.
#[derive(Debug)]
pub(super) struct Ending {
    notes: Notepad,
    thread: Option<JoinHandle<()>>,
}

impl Ending {
    /// Whether nothing will be noted any more.
    pub(super) fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// What was noted since the last call.
    pub(super) fn take_notes(&self) -> Notes {
        self.notes.take()
    }
}
