//! Records of chosen topics, as they are.
//!
//! Runs on:  the thread of its owner; librdkafka has threads of its own. Owns: the consumer.
//! Bounds:   16 MB of fetched records.
use super::BusError;
use super::address::BusOptions;
use super::producer::{client_config, log_line, refusal};
use super::record::Topic;
use crate::base::limits::{BUS_DOWN_NS, BUS_POSITION_WAIT_NS, BUS_RETRY_NS, SINK_LOOK_NS};
use crate::base::time::Clock as _;
use crate::io::clock::HostClock;
use foldhash::fast::FixedState;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _, Timestamp};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Mutex;
use std::time::Duration;

/// Why the broker refuses this client.
#[derive(Default)]
struct Context(Mutex<Option<String>>);

impl ClientContext for Context {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, line: &str) {
        log_line(facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_line("error", reason);
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Authentication)
            && let Ok(mut refusal) = self.0.lock()
        {
            *refusal = Some(reason.to_owned());
        }
    }
}

impl ConsumerContext for Context {}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusRecord {
    /// Its topic, without the prefix: `trades`, `books`, `tops`, `markets` or `events`.
    pub topic: &'static str,
    /// Its partition.
    pub partition: i32,
    /// Its place in the partition.
    pub offset: i64,
    /// The engine that has published it.
    pub engine: String,
    /// The start of the engine that it is of; later starts have higher numbers.
    pub epoch: u64,
    /// One JSON object; empty where the record deletes a key.
    pub text: String,
    /// The key that it deletes: of a market that ended long ago.
    pub deleted: Option<String>,
}

/// What is known of the records of a partition after the broker was away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// They go on.
    On,
    /// They may be others than before: none is taken until the last one is read again.
    Held,
    /// The next one is the last one again.
    Again,
    /// They are others: none is taken until they are read from the beginning.
    Other,
}

/// The last record of a partition.
#[derive(Clone, Copy, Debug)]
struct Last {
    offset: i64,
    /// The producer's time and the length, which tell it from another one.
    like: (Timestamp, usize),
    reading: Reading,
}

/// A consumer of every partition of some topics, without a group.
pub struct BusConsumer {
    consumer: BaseConsumer<Context>,
    prefix: String,
    failures: u64,
    last: HashMap<(Topic, i32), Last, FixedState>,
    /// The broker was away and may have lost records: when to ask it, monotonic nanoseconds.
    check_ns: Option<u64>,
    clock: HostClock,
}

impl std::fmt::Debug for BusConsumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BusConsumer").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl BusConsumer {
    /// Begins with the oldest records of the topics that are in `from_beginning`, and with those that come from now on
    /// of the others.
    ///
    /// # Errors
    /// [`BusError`]: the broker does not answer, or has no such topic.
    pub fn connect(
        address: &str,
        topics: &[Topic],
        from_beginning: &[Topic],
    ) -> Result<Self, BusError> {
        Self::connect_while(address, topics, from_beginning, (BUS_DOWN_NS, &|| true))
    }

    /// The same with questions to the broker that wait for so long each, while it is wanted.
    ///
    /// # Errors
    /// The same; or it is not wanted any more.
    pub(super) fn connect_while(
        address: &str,
        topics: &[Topic],
        from_beginning: &[Topic],
        (wait_ns, is_wanted): (u64, &dyn Fn() -> bool),
    ) -> Result<Self, BusError> {
        let options = BusOptions::parse(address)?;
        let fault = |why: String| BusError(format!("{address}: {why}"));
        let mut config = client_config(&options).map_err(fault)?;
        config
            .set("group.id", "ringbook-reader")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            // Not every broker answers a fetch that waits as soon as there is a record.
            .set("fetch.wait.max.ms", "20")
            .set("queued.max.messages.kbytes", "16384");
        let consumer: BaseConsumer<Context> = config
            .create_with_context(Context::default())
            .map_err(|error| fault(refusal(error)))?;
        let metadata = |name: &str| {
            for _ in 1..(BUS_DOWN_NS / wait_ns).max(1) {
                if !is_wanted() {
                    break;
                }
                if let Ok(found) =
                    consumer.fetch_metadata(Some(name), Duration::from_nanos(wait_ns))
                {
                    return Ok(found);
                }
            }
            consumer.fetch_metadata(Some(name), Duration::from_nanos(wait_ns))
        };
        let mut all = TopicPartitionList::new();
        for topic in topics {
            let offset = match from_beginning.contains(topic) {
                true => Offset::Beginning,
                false => Offset::End,
            };
            let name = topic.full_name(&options.prefix);
            let found = metadata(&name).map_err(|error| {
                // Its reason comes with what is polled.
                let polled = || consumer.poll(Duration::from_nanos(SINK_LOOK_NS));
                let _ = std::iter::from_fn(polled).take(100).count();
                let refusal = consumer.context().0.lock().ok().and_then(|mut why| why.take());
                fault(refusal.unwrap_or_else(|| format!("no broker answers: {error}")))
            })?;
            let partitions = found.topics().iter().find(|found| found.name() == name);
            let partitions = partitions.map_or(&[][..], |topic| topic.partitions());
            // Only clusters have it.
            if partitions.is_empty() && *topic == Topic::Slices {
                continue;
            }
            if partitions.is_empty() {
                let why = format!("there is no topic {name}: has an engine published to it?");
                return Err(fault(why));
            }
            for partition in partitions {
                let added = all.add_partition_offset(&name, partition.id(), offset);
                added.map_err(|error| fault(error.to_string()))?;
            }
        }
        consumer.assign(&all).map_err(|error| fault(error.to_string()))?;
        let (prefix, clock) = (options.prefix, HostClock::new());
        Ok(Self { consumer, prefix, failures: 0, last: HashMap::default(), check_ns: None, clock })
    }

    /// Where the records of a topic end now: the next offset of each partition that has any.
    ///
    /// # Errors
    /// [`BusError`]: the broker does not answer.
    pub(super) fn ends(&self, topic: Topic) -> Result<HashMap<i32, i64>, BusError> {
        let (name, mut ends) = (topic.full_name(&self.prefix), HashMap::new());
        let assigned = self.consumer.assignment().map_err(|error| BusError(error.to_string()))?;
        for partition in assigned.elements_for_topic(&name) {
            let (number, wait) = (partition.partition(), Duration::from_nanos(BUS_DOWN_NS));
            let range = self.consumer.fetch_watermarks(&name, number, wait);
            let (low, high) = range.map_err(|error| BusError(error.to_string()))?;
            if low < high {
                ends.insert(number, high);
            }
        }
        Ok(ends)
    }

    /// The next record; `None` if none comes within this time. While the broker is away, a question to it takes up to
    /// half a second more, once a second.
    ///
    /// # Errors
    /// [`BusError`]: the consumer cannot go on. A broker that is away is no error.
    pub fn poll(&mut self, time: Duration) -> Result<Option<BusRecord>, BusError> {
        self.check_positions();
        match self.consumer.poll(time) {
            None => Ok(None),
            Some(Ok(message)) => {
                let Some(topic) = topic_of(&self.prefix, message.topic()) else { return Ok(None) };
                let like = (message.timestamp(), message.payload_len());
                let last = self.last.entry((topic, message.partition()));
                let is_next = is_next(last, message.offset(), like);
                if is_next == IsNext::Other {
                    self.check_ns.get_or_insert(0);
                }
                Ok(if is_next == IsNext::Yes { record(topic, &message) } else { None })
            }
            Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                Err(BusError(format!("the broker's records cannot be read any more: {code}")))
            }
            Some(Err(error)) => {
                self.failures += 1;
                self.check_ns.get_or_insert_with(|| self.clock.mono_ns());
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
                    let known = self.last.values_mut();
                    known.filter(|last| last.reading != Reading::Other).for_each(|last| {
                        last.reading = Reading::Held;
                    });
                }
                log_line("consumer", &error.to_string());
                Ok(None)
            }
        }
    }

    /// A broker that is back may have other records than were read, as one that was replaced by an empty one: their
    /// partitions are read from their beginning. Not every broker says so by itself.
    fn check_positions(&mut self) {
        let now_ns = self.clock.mono_ns();
        if self.check_ns.is_none_or(|check_ns| now_ns < check_ns) {
            return;
        }
        self.check_ns = match self.go_back() {
            Ok(()) => None,
            Err(error) => {
                log_line("consumer", &error.to_string());
                Some(self.clock.mono_ns() + BUS_RETRY_NS)
            }
        };
    }

    fn go_back(&mut self) -> Result<(), KafkaError> {
        let wait = Duration::from_nanos(BUS_POSITION_WAIT_NS);
        let mut wanted = self.consumer.assignment()?;
        wanted.set_all_offsets(Offset::End)?;
        let ends = self.consumer.offsets_for_times(wanted, wait)?;
        let (mut places, mut keys) = (TopicPartitionList::new(), Vec::new());
        for end in ends.elements() {
            end.error()?;
            let (name, partition) = (end.topic(), end.partition());
            let Some(topic) = topic_of(&self.prefix, name) else { continue };
            let Some(last) = self.last.get(&(topic, partition)) else { continue };
            let is_short = matches!(end.offset(), Offset::Offset(end) if last.offset >= end);
            let place = match last.reading {
                Reading::On if !is_short => continue,
                Reading::Held | Reading::Again if !is_short => Offset::Offset(last.offset),
                _ => Offset::Beginning,
            };
            places.add_partition_offset(name, partition, place)?;
            keys.push(((topic, partition), place));
        }
        if keys.is_empty() {
            return Ok(());
        }
        let sought = self.consumer.seek_partitions(places, wait)?;
        sought.elements().iter().try_for_each(|place| place.error())?;
        let mut lost = 0;
        for (key, place) in keys {
            match self.last.get_mut(&key) {
                Some(last) if place != Offset::Beginning => last.reading = Reading::Again,
                _ => {
                    lost += 1;
                    self.last.remove(&key);
                }
            }
        }
        if lost > 0 {
            log::warn!("the broker has lost records of {lost} partitions: they are read anew");
        }
        Ok(())
    }

    /// Errors that were no end: a broker that is away, a topic that is gone.
    pub const fn failures(&self) -> u64 {
        self.failures
    }
}

fn topic_of(prefix: &str, name: &str) -> Option<Topic> {
    Topic::named(name.strip_prefix(prefix)?.get(1..)?)
}

/// Whether a record is the one after the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IsNext {
    Yes,
    /// It was read already, or will be read again.
    No,
    /// The partition has other records than before.
    Other,
}

fn is_next(last: Entry<'_, (Topic, i32), Last>, offset: i64, like: (Timestamp, usize)) -> IsNext {
    let next = Last { offset, like, reading: Reading::On };
    let last = match last {
        Entry::Occupied(last) => last.into_mut(),
        Entry::Vacant(place) => {
            place.insert(next);
            return IsNext::Yes;
        }
    };
    match last.reading {
        Reading::Held | Reading::Other => return IsNext::No,
        // Without the last one, which a compacted topic may have deleted, nothing says that they are others.
        Reading::Again if last.offset == offset && last.like != like => {
            last.reading = Reading::Other;
            return IsNext::Other;
        }
        Reading::Again if last.offset == offset => {
            last.reading = Reading::On;
            return IsNext::No;
        }
        Reading::On | Reading::Again => *last = next,
    }
    IsNext::Yes
}

/// `None` for a record that is no text.
fn record(topic: Topic, message: &BorrowedMessage<'_>) -> Option<BusRecord> {
    let header = |name: &str| {
        let headers = message.headers()?;
        let found = headers.iter().find(|header| header.key == name)?;
        std::str::from_utf8(found.value?).ok()
    };
    let text = |bytes| Some(std::str::from_utf8(bytes).ok()?.to_owned());
    let value = message.payload();
    Some(BusRecord {
        topic: topic.name(),
        partition: message.partition(),
        offset: message.offset(),
        engine: header("engine").unwrap_or_default().to_owned(),
        epoch: header("epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or(0),
        text: value.map_or_else(|| Some(String::new()), text)?,
        deleted: if value.is_none() { Some(text(message.key()?)?) } else { None },
    })
}

#[cfg(test)]
mod tests;
