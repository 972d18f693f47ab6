//! The thread `cluster`: this machine as a member of a cluster.
//!
//! Runs on:  the thread `cluster`, not pinned, which may block; librdkafka has threads of its own. Owns: the member of
//!           the consumer group, the producer and the reader of claims.
//! Bounds:   `SLICES` claims of each group; `CLUSTER_MARKETS_DEPTH` markets.
//!
//! The consumer of the group reads no record: it is there for the assignment of its partitions, which are the slices.
//! Claims are read by a consumer without a group, because a former owner reads those of its successor; and with them
//! the markets that other members have published.
use super::address::BusOptions;
use super::consumer::{BusConsumer, BusRecord};
use super::producer::{client_config, create_topics, headers, lacks_topic, log_line, refusal};
use super::record::{Topic, market_end, market_event};
use super::{BusError, ClusterMember};
use crate::base::limits::{
    BUS_DOWN_NS, BUS_MARKET_KEPT_NS, BUS_RETRY_NS, CLUSTER_CLAIM_NS, CLUSTER_SESSION_NS,
};
use crate::base::slices::{SLICES, SliceSet};
use crate::base::time::{Clock as _, MICROSECOND_NS, MILLISECOND_NS, SECOND_NS};
use crate::cluster::catalog::{CatalogRole, CatalogWatch};
use crate::cluster::claim::{CatalogScan, Claim, ClaimState};
use crate::cluster::{Member, Members};
use crate::counter::cluster::ClusterBoard;
use crate::io::{clock::HostClock, executor::no_thread, threads::lower_priority};
use crate::link::cluster_control::{MarketSender, SharedMarket, SliceBoard};
use log::{info, warn};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;
use rdkafka::message::{Message as _, OwnedHeaders};
use rdkafka::producer::{
    BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext, PurgeConfig,
};
use rdkafka::topic_partition_list::TopicPartitionList;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Interval of heartbeats to the broker; each may bring a new assignment.
const BEAT_MS: u64 = 1_000;
/// Longest wait for something of the broker.
const POLL_NS: u64 = 50 * MILLISECOND_NS;
/// Records between two waits.
const READS_MAX: usize = 4_096;
/// Interval in which markets that ended long ago are deleted.
const DELETE_INTERVAL_NS: u64 = 60 * SECOND_NS;
/// Whose owner scans the catalogs for all.
const CATALOG_SLICE: u8 = 0;

/// What the callbacks have noted.
#[derive(Debug)]
enum Note {
    Assigned(SliceSet),
    Revoked { slices: SliceSet, is_lost: bool },
    Sent,
    Failed { slice: u8, why: String },
    Error(String),
}

/// The callbacks of both clients.
#[derive(Clone, Debug, Default)]
struct Context(Arc<Mutex<Vec<Note>>>);

impl Context {
    fn note(&self, note: Note) {
        if let Ok(mut notes) = self.0.lock() {
            notes.push(note);
        }
    }

    fn take(&self) -> Vec<Note> {
        self.0.lock().map(|mut notes| std::mem::take(&mut *notes)).unwrap_or_default()
    }
}

impl ClientContext for Context {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, line: &str) {
        log_line(facility, line);
    }

    fn error(&self, _error: KafkaError, reason: &str) {
        self.note(Note::Error(reason.to_owned()));
    }
}

fn slices(partitions: &TopicPartitionList) -> SliceSet {
    let elements = partitions.elements();
    elements.iter().filter_map(|element| u8::try_from(element.partition()).ok()).collect()
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(partitions) = rebalance {
            let is_lost = consumer.assignment_lost();
            self.note(Note::Revoked { slices: slices(partitions), is_lost });
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(partitions) => {
                if let Err(error) = consumer.pause(partitions) {
                    log_line("cluster", &error.to_string());
                }
                self.note(Note::Assigned(slices(partitions)));
            }
            Rebalance::Revoke(_) => {}
            Rebalance::Error(error) => self.note(Note::Error(error.to_string())),
        }
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => self.note(Note::Sent),
            Err((error, record)) => {
                self.note(Note::Failed { slice: record.partition() as u8, why: error.to_string() })
            }
        }
    }
}

/// Starts the member: it joins when the markets are known.
///
/// # Errors
/// [`BusError`]: no thread can be started.
pub fn start(
    options: &BusOptions,
    group: &str,
    (slices, markets): (Arc<SliceBoard>, MarketSender),
    clock: HostClock,
) -> Result<ClusterMember, BusError> {
    let board = Arc::new(ClusterBoard::new(group.to_owned(), options.engine.clone()));
    let stop = Arc::new(AtomicBool::new(false));
    let epoch = clock.now().wall_ns / MICROSECOND_NS;
    let cluster = Cluster {
        topic: Topic::Slices.full_name(&options.prefix),
        options: options.clone(),
        group: group.to_owned(),
        epoch,
        headers: headers(&options.engine, epoch),
        retry_ns: 0,
        member: Member::default(),
        members: Members::default(),
        count_ns: 0,
        catalog: CatalogWatch::new(clock.mono_ns()),
        markets,
        ended: HashMap::new(),
        delete_ns: 0,
        held: None,
        scan_reported: 0,
        slices,
        board: Arc::clone(&board),
        stop: Arc::clone(&stop),
        clock,
    };
    let name = "cluster";
    let thread = std::thread::Builder::new().name(name.into()).spawn(move || cluster.run());
    let thread = thread.map_err(|error| BusError(no_thread(name, &error).to_string()))?;
    Ok(ClusterMember { stop, board, thread })
}

/// The clients of the broker.
struct Clients {
    context: Context,
    consumer: BaseConsumer<Context>,
    producer: BaseProducer<Context>,
    /// Of claims and markets.
    records: BusConsumer,
    /// Where the markets end that were there at the beginning, by partition; those that are not read.
    unread: HashMap<i32, i64>,
    /// When a market was last read.
    read_ns: u64,
}

struct Cluster {
    options: BusOptions,
    topic: String,
    group: String,
    /// The start of this engine, in the headers of its claims.
    epoch: u64,
    headers: OwnedHeaders,
    /// When a missing topic is created again.
    retry_ns: u64,
    member: Member,
    members: Members,
    /// When they are counted again.
    count_ns: u64,
    catalog: CatalogWatch,
    markets: MarketSender,
    /// When markets that have ended were published, by market, with the partition.
    ended: HashMap<String, (i32, u64)>,
    delete_ns: u64,
    /// A market that found no room.
    held: Option<SharedMarket>,
    /// The time of the last scan that others know of.
    scan_reported: u64,
    slices: Arc<SliceBoard>,
    board: Arc<ClusterBoard>,
    stop: Arc<AtomicBool>,
    clock: HostClock,
}

impl Cluster {
    fn run(mut self) {
        lower_priority();
        let mut failure = String::new();
        while !self.is_stopped() {
            match self.connect() {
                Ok(mut clients) => return self.take_part(&mut clients),
                Err(why) => {
                    if failure != why {
                        warn!(
                            "the cluster {} cannot be joined: {why}; it is tried again",
                            self.group
                        );
                        self.board.set_error(&why);
                        failure = why;
                    }
                }
            }
            self.choose_source();
            std::thread::sleep(Duration::from_nanos(BUS_RETRY_NS));
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Creates the topic if it is missing; the clients.
    ///
    /// # Errors
    /// The broker does not answer, or refuses: one line.
    fn connect(&self) -> Result<Clients, String> {
        self.create_topics()?;
        let context = Context::default();
        let mut config = client_config(&self.options)?;
        config
            .set("group.id", &self.group)
            .set("client.id", format!("ringbook-{}", self.options.engine))
            // Revokes everything and assigns anew: a member learns at once what it has. A slice goes on meanwhile.
            .set("partition.assignment.strategy", "range")
            .set("session.timeout.ms", (CLUSTER_SESSION_NS / MILLISECOND_NS).to_string())
            .set("heartbeat.interval.ms", BEAT_MS.to_string())
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "latest");
        let consumer = config.create_with_context(context.clone());
        let consumer: BaseConsumer<Context> = consumer.map_err(refusal)?;
        let wait = Duration::from_nanos(BUS_DOWN_NS);
        let known = consumer.fetch_metadata(Some(&self.topic), wait);
        let known = known.map_err(|error| error.to_string())?;
        let count = known.topics().first().map_or(0, |topic| topic.partitions().len());
        if count != SLICES {
            let topic = &self.topic;
            return Err(format!("the topic {topic} has {count} partitions: it must have {SLICES}"));
        }
        let mut config = client_config(&self.options)?;
        config
            .set("acks", "all")
            .set("max.in.flight.requests.per.connection", "1")
            // An old claim does not arrive after the session has ended.
            .set("message.timeout.ms", (CLUSTER_CLAIM_NS / MILLISECOND_NS).to_string());
        let producer = config.create_with_context(context.clone());
        let producer = producer.map_err(refusal)?;
        let (records, unread) = self.connect_records()?;
        let read_ns = self.clock.mono_ns();
        Ok(Clients { context, consumer, producer, records, unread, read_ns })
    }

    /// # Errors
    /// The broker does not answer, or refuses: one line.
    fn create_topics(&self) -> Result<(), String> {
        let markets = (Topic::Markets, self.options.partitions);
        create_topics(&self.options, &[(Topic::Slices, SLICES as u16), markets])
    }

    /// The reader of claims and markets, and where the markets end.
    ///
    /// # Errors
    /// The broker does not answer: one line.
    fn connect_records(&self) -> Result<(BusConsumer, HashMap<i32, i64>), String> {
        let topics: &[Topic] = match self.slices.shares_catalog() {
            true => &[Topic::Slices, Topic::Markets],
            false => &[Topic::Slices],
        };
        let records = BusConsumer::connect(&self.options.address, topics, topics);
        let records = records.map_err(|error| error.to_string())?;
        let ends = records.ends(Topic::Markets).map_err(|error| error.to_string())?;
        Ok((records, ends))
    }

    /// Joins, and follows the slices that the broker assigns, until a stop has found them other owners.
    fn take_part(&mut self, clients: &mut Clients) {
        let (mut has_joined, mut is_leaving) = (false, false);
        loop {
            self.read(clients);
            let now_ns = self.clock.mono_ns();
            if self.is_stopped() && !is_leaving {
                is_leaving = true;
                info!("leaving the cluster {}: its other members take the slices over", self.group);
                clients.consumer.unsubscribe();
                self.member.leave(now_ns);
            } else if !has_joined && !is_leaving && self.slices.is_ready() {
                has_joined = self.join(clients);
            }
            for (slice, state) in self.member.poll(self.slices.shown.get(), now_ns) {
                self.claim(clients, slice, state);
            }
            self.choose_source();
            self.report_scan(clients);
            self.delete_ended(clients);
            self.show();
            if is_leaving && self.member.has_left(now_ns) {
                return self.release(clients);
            }
            if self.board.assignments.get() > 0 && now_ns >= self.count_ns {
                self.count_ns = now_ns + SECOND_NS;
                let members = self.members.count(&self.options.engine, now_ns);
                self.slices.set_members(members);
                self.board.members.set(members);
            }
        }
    }

    fn join(&self, clients: &Clients) -> bool {
        info!("joining the cluster {} as {}", self.group, self.options.engine);
        match clients.consumer.subscribe(&[&self.topic]) {
            Ok(()) => true,
            Err(error) => {
                self.board.set_error(&error.to_string());
                false
            }
        }
    }

    /// Takes what the broker has sent, for a moment.
    fn read(&mut self, clients: &mut Clients) {
        if let Some(Err(error)) = clients.consumer.poll(Duration::from_nanos(POLL_NS)) {
            self.board.set_error(&error.to_string());
            if lacks_topic(error.rdkafka_error_code()) && self.clock.mono_ns() >= self.retry_ns {
                // The broker may be another one, without data.
                if let Err(why) = self.create_topics() {
                    self.board.set_error(&why);
                }
                self.retry_ns = self.clock.mono_ns() + BUS_RETRY_NS;
            }
        }
        // Each call makes one callback.
        for _ in 0..clients.producer.in_flight_count() {
            clients.producer.poll(Duration::ZERO);
        }
        for note in clients.context.take() {
            self.on_note(note);
        }
        self.read_records(clients);
    }

    /// Takes claims and markets, as long as the control core has room for these.
    fn read_records(&mut self, clients: &mut Clients) {
        for _ in 0..READS_MAX {
            self.held = self.held.take().and_then(|held| self.markets.try_send(held).err());
            if self.held.is_some() {
                return;
            }
            match clients.records.poll(Duration::ZERO) {
                Ok(Some(record)) if record.topic == Topic::Markets.name() => {
                    self.on_market(&record);
                    clients.read_ns = self.clock.mono_ns();
                    let BusRecord { partition, offset, .. } = record;
                    if clients.unread.get(&partition).is_some_and(|end| offset + 1 >= *end) {
                        clients.unread.remove(&partition);
                    }
                }
                Ok(Some(record)) => self.on_record(&record),
                Ok(None) => break,
                Err(error) => {
                    self.board.set_error(&error.to_string());
                    match self.connect_records() {
                        Ok((records, _)) => clients.records = records,
                        Err(_) => break,
                    }
                }
            }
        }
        let now_ns = self.clock.mono_ns();
        // Records at the end may be gone.
        if !self.slices.has_read()
            && (clients.unread.is_empty() || now_ns >= clients.read_ns + BUS_DOWN_NS)
        {
            self.catalog.on_read(now_ns);
            self.slices.set_read();
        }
    }

    /// Scans the catalogs or reads what others have found.
    fn choose_source(&mut self) {
        let Self { slices, board, group, .. } = self;
        if !slices.shares_catalog() {
            return;
        }
        let is_owner = self.member.assigned().contains(CATALOG_SLICE);
        let role = self.catalog.role(is_owner, self.clock.mono_ns());
        let silent_ns = if let CatalogRole::Alone(ns) = role { ns.max(SECOND_NS) } else { 0 };
        let scans = role != CatalogRole::Read;
        if silent_ns > 0 && board.catalog_silent_seconds.get() == 0 {
            board.catalog_fallbacks.add(1);
            warn!(
                "cluster {group}: no other member reports a scan of the catalog; this one scans until one does"
            );
        } else if scans != slices.scans() {
            let what =
                if scans { "scans the catalog for all" } else { "reads new markets from others" };
            info!("cluster {group}: this member {what}");
        }
        board.catalog_silent_seconds.set(silent_ns / SECOND_NS);
        board.scans_catalog.set(scans.into());
        slices.set_scans(scans);
    }

    /// Reports a scan of the owner.
    fn report_scan(&mut self, clients: &Clients) {
        let scan_time = self.slices.scanned_wall_ns();
        if !self.member.assigned().contains(CATALOG_SLICE) || scan_time <= self.scan_reported {
            return;
        }
        let (engine, group) = (self.options.engine.as_str().into(), self.group.as_str().into());
        let scan = CatalogScan { engine, group, scan_time };
        if self.send(clients, CATALOG_SLICE, &scan.key(), &scan.text()) {
            self.scan_reported = scan_time;
        }
    }

    /// Deletes what is known of markets that ended long ago. Each is deleted again until that is read.
    fn delete_ended(&mut self, clients: &Clients) {
        let now = self.clock.now();
        if !self.member.assigned().contains(CATALOG_SLICE) || now.mono_ns < self.delete_ns {
            return;
        }
        self.delete_ns = now.mono_ns + DELETE_INTERVAL_NS;
        let topic = Topic::Markets.full_name(&self.options.prefix);
        for (market, (partition, ended_ns)) in &self.ended {
            if now.wall_ns >= ended_ns + BUS_MARKET_KEPT_NS {
                let record = BaseRecord::<str, str>::to(&topic).key(market).partition(*partition);
                let _ = clients.producer.send(record.headers(self.headers.clone()));
            }
        }
    }

    fn on_note(&mut self, note: Note) {
        match note {
            Note::Assigned(slices) => {
                info!("cluster {}: {} slices are assigned", self.group, slices.len());
                self.member.on_assigned(slices);
                self.board.assignments.add(1);
                self.count_ns = 0;
                self.board.in_session.set(1);
                self.board.set_error("");
            }
            Note::Revoked { slices, is_lost } => {
                self.member.on_revoked(slices, is_lost);
                if is_lost {
                    warn!(
                        "cluster {}: the session with the broker has ended; {} slices are followed for local users and \
                         not published until it is back",
                        self.group,
                        slices.len()
                    );
                    self.board.sessions_lost.add(1);
                    self.board.in_session.set(0);
                    self.board.set_error("the broker does not answer");
                }
            }
            Note::Sent => self.board.claims.add(1),
            Note::Failed { slice, why } => {
                log_line("cluster", &format!("the claim of slice {slice} has failed: {why}"));
                self.board.claims_failed.add(1);
                self.member.on_claim_failed(slice);
            }
            Note::Error(why) => log_line("cluster", &why),
        }
    }

    fn on_record(&mut self, record: &BusRecord) {
        let (now, is_own) = (self.clock.now(), self.is_own(record));
        if let Ok(claim) = Claim::parse(&record.text) {
            // The cluster's name is before the rack's.
            if claim.group.split('.').next() == self.group.split('.').next() {
                self.members.on_claim(&claim, now.mono_ns);
            }
            if claim.group == self.group {
                self.member.on_claim(claim.slice, is_own, claim.state, now.mono_ns);
            }
        } else if let Some(scan) = CatalogScan::parse(&record.text)
            && scan.group == self.group
            && !is_own
        {
            let age_ns = now.wall_ns.saturating_sub(scan.scan_time);
            self.catalog.on_scan(now.mono_ns.saturating_sub(age_ns));
        }
    }

    /// Whether a record is of this start of this engine, whose publisher may have begun again since.
    fn is_own(&self, record: &BusRecord) -> bool {
        record.engine == self.options.engine && record.epoch >= self.epoch
    }

    fn on_market(&mut self, record: &BusRecord) {
        if let Some(market) = &record.deleted {
            self.ended.remove(market);
            return;
        }
        match market_end(&record.text) {
            Some((market, Some(ended_ns))) => {
                self.ended.insert(market.to_owned(), (record.partition, ended_ns));
            }
            Some((market, None)) => _ = self.ended.remove(market),
            None => {}
        }
        if self.is_own(record) {
            return;
        }
        match market_event(&record.text) {
            Ok(shared) => {
                self.board.markets_read.add(1);
                self.held = self.markets.try_send(Box::new(shared)).err();
            }
            Err(why) => {
                log_line("markets", &why);
                self.board.markets_unreadable.add(1);
            }
        }
    }

    fn claim(&mut self, clients: &Clients, slice: u8, state: ClaimState) {
        let claim = Claim {
            slice,
            engine: self.options.engine.as_str().into(),
            group: self.group.as_str().into(),
            state,
            receive_time: self.clock.now().wall_ns,
        };
        if !self.send(clients, slice, &claim.key(), &claim.text()) {
            self.board.claims_failed.add(1);
            self.member.on_claim_failed(slice);
        }
    }

    fn send(&self, clients: &Clients, slice: u8, key: &str, text: &str) -> bool {
        let record = BaseRecord::to(&self.topic).key(key).payload(text);
        let record = record.partition(slice.into()).headers(self.headers.clone());
        clients.producer.send(record).is_ok()
    }

    /// What this member still has is nobody's.
    fn release(&mut self, clients: &Clients) {
        for slice in self.member.claimed().iter() {
            self.claim(clients, slice, ClaimState::Released);
        }
        let _ = clients.producer.flush(Duration::from_nanos(CLUSTER_CLAIM_NS));
        clients.producer.purge(PurgeConfig::default().queue().inflight());
        self.board.in_session.set(0);
    }

    /// Writes the board for the control core and the bus, and the figures.
    fn show(&self) {
        let Self { member, slices, board, .. } = self;
        let (assigned, followed) = (member.assigned(), member.followed());
        // A slice that ends is not published any more before its books are closed.
        slices.published.set(member.published());
        slices.followed.set(followed);
        board.slices_assigned.set(assigned.len() as u64);
        board.slices_followed.set(followed.len() as u64);
        board.slices_published.set(member.published().len() as u64);
        board.slices_live.set(assigned.and(&slices.live.get()).len() as u64);
    }
}
