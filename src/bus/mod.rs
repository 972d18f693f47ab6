//! The bus: every book and trade at a Kafka-protocol broker, and a reader that has them again.
//!
//! Runs on:  the threads `bus` (publisher) and `cluster` (member), which may block; the threads of a reader. Owns: the
//!           clients of the broker.
//! Bounds:   records in the producer as the address says; [`books`] of a reader, as many as there are tokens.
//!
//! The records are those of the gateway's own stream: the serve core's hub has the bus as a client that follows every
//! market, and `publisher` passes what it receives to the topics ([`record::Topic`]). So there is one schema and one
//! mechanism for slow clients. `guide/bus.md` is the page for users. Publisher and reader need the cargo feature
//! `kafka`; without it an address is refused.
pub mod address;
#[cfg(feature = "kafka")]
mod backlog;
pub mod books;
#[cfg(feature = "kafka")]
mod cluster;
#[cfg(feature = "kafka")]
mod consumer;
#[cfg(feature = "kafka")]
mod producer;
#[cfg(feature = "kafka")]
mod publisher;
pub mod races;
#[cfg(feature = "kafka")]
mod reader;
pub mod record;
#[cfg(feature = "kafka")]
mod shown;
mod slices;

#[cfg(feature = "kafka")]
pub use cluster::start as join_cluster;
#[cfg(feature = "kafka")]
pub use consumer::{BusConsumer, BusRecord};
#[cfg(feature = "kafka")]
pub use producer::check;
#[cfg(feature = "kafka")]
pub use publisher::start;
#[cfg(feature = "kafka")]
pub use reader::BusReader;

use crate::base::limits::{BUS_DOWN_NS, CLUSTER_HOLD_NS, SINK_DRAIN_NS, SINK_END_NS};
use crate::counter::bus::{BusBoard, BusReport};
use crate::counter::cluster::ClusterBoard;
use crate::io::threads::ends_within;
#[cfg(not(feature = "kafka"))]
use crate::io::{clock::HostClock, wake::TaskWaker};
#[cfg(not(feature = "kafka"))]
use crate::link::{
    cluster_control::{MarketSender, SliceBoard},
    serve_bus::BusSender,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Why the bus cannot be used: one line with the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BusError(pub(crate) String);

/// JSON Schema of all records.
pub const SCHEMA: &str = include_str!("schema.json");

/// What to do where there is none.
pub const NOT_BUILT: &str =
    "this program was built without the cargo feature `kafka`: build it with `--features kafka`";

/// The running publisher.
#[derive(Debug)]
pub struct BusPublisher {
    stop: Arc<AtomicBool>,
    board: Arc<BusBoard>,
    thread: JoinHandle<()>,
}

impl BusPublisher {
    /// The figures for the status report.
    pub fn board(&self) -> Arc<BusBoard> {
        Arc::clone(&self.board)
    }

    /// Publishes what waits, as far as the broker takes it in time. Call it after the serve core has ended.
    #[must_use]
    pub fn stop(self) -> BusReport {
        self.stop.store(true, Ordering::Release);
        if !ends_within(self.thread, SINK_DRAIN_NS + BUS_DOWN_NS + SINK_END_NS) {
            log::error!("the bus did not end in time");
        }
        self.board.read()
    }
}

/// A running member of a cluster.
#[derive(Debug)]
pub struct ClusterMember {
    stop: Arc<AtomicBool>,
    board: Arc<ClusterBoard>,
    thread: JoinHandle<()>,
}

impl ClusterMember {
    /// The figures for the status report.
    pub fn board(&self) -> Arc<ClusterBoard> {
        Arc::clone(&self.board)
    }

    /// Leaves: waits until other members have its slices, for `CLUSTER_HOLD_NS` at most. Call it while all else runs.
    /// False if it does not end in time.
    #[must_use]
    pub fn stop(self) -> bool {
        self.stop.store(true, Ordering::Release);
        // It may wait for an answer of the broker.
        ends_within(self.thread, CLUSTER_HOLD_NS + 2 * BUS_DOWN_NS + SINK_END_NS)
    }
}

/// Whether this program can use an address.
///
/// # Errors
/// Always: there is no client of brokers.
#[cfg(not(feature = "kafka"))]
pub fn check(options: &address::BusOptions) -> Result<(), BusError> {
    Err(BusError(format!("{}: {NOT_BUILT}", options.address)))
}

/// Starts a member of a cluster.
///
/// # Errors
/// Always: there is no client of brokers.
#[cfg(not(feature = "kafka"))]
pub fn join_cluster(
    options: &address::BusOptions,
    _group: &str,
    _shared: (Arc<SliceBoard>, MarketSender),
    _clock: HostClock,
) -> Result<ClusterMember, BusError> {
    Err(BusError(format!("{}: {NOT_BUILT}", options.address)))
}

/// Starts the publisher.
///
/// # Errors
/// Always: there is no client of brokers.
#[cfg(not(feature = "kafka"))]
pub fn start(
    options: &address::BusOptions,
    _waker: TaskWaker,
    _clock: HostClock,
    _slices: Option<Arc<SliceBoard>>,
) -> Result<(BusPublisher, BusSender), BusError> {
    Err(BusError(format!("{}: {NOT_BUILT}", options.address)))
}
