//! The bus as the source of an engine: books and trades that other engines publish, in place of venues.
//!
//! Runs on:  the thread `bus-source`, which may block. Owns: the reader of the bus, each venue's handler, its ends of
//!           the links that a shard has with the serve core.
//! Bounds:   one book for each token on the bus; what waits for the serve core waits at the broker.
//!
//! `books` has the books of one venue for its handler and the serve core, as a shard has them. The source never leaves
//! an update out: while the ring to the serve core is full, nothing is read.
#[cfg(feature = "kafka")]
pub mod books;
#[cfg(feature = "kafka")]
mod reading;

use crate::base::id::{ShardId, Venue};
use crate::base::limits::{BUS_DOWN_NS, THREAD_END_NS};
#[cfg(not(feature = "kafka"))]
use crate::bus::NOT_BUILT;
use crate::bus::{BusError, address::BusOptions};
use crate::counter::bus_source::BusSourceBoard;
#[cfg(feature = "kafka")]
use crate::io::executor::no_thread;
use crate::io::threads::ends_within;
use crate::link::serve_shard::{BookAnswer, BookQuery};
use crate::link::shard_updates::UpdateLink;
use crate::ring::{Consumer, Producer};
use crate::shard::publish::Handler;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// One venue of the source: what a shard would have.
#[derive(Debug)]
pub struct SourceVenue<H> {
    /// The venue.
    pub venue: Venue,
    /// The number that its handler and its report have.
    pub shard: ShardId,
    /// The user's code.
    pub handler: H,
    /// Updates of the books that the serve core subscribes to, where there is a hub.
    pub updates: Option<UpdateLink>,
    /// Book queries of the serve core.
    pub queries: Consumer<BookQuery>,
    /// Answers to them.
    pub answers: Producer<BookAnswer>,
}

/// The running source.
#[derive(Debug)]
pub struct BusSource {
    stop: Arc<AtomicBool>,
    board: Arc<BusSourceBoard>,
    thread: JoinHandle<()>,
}

impl BusSource {
    /// The figures for the status report.
    pub fn board(&self) -> Arc<BusSourceBoard> {
        Arc::clone(&self.board)
    }

    /// Ends it; false if it does not end in time.
    #[must_use]
    pub fn stop(self) -> bool {
        self.stop.store(true, Ordering::Release);
        // It may wait for an answer of the broker.
        ends_within(self.thread, BUS_DOWN_NS + THREAD_END_NS)
    }
}

/// Starts to read. A broker that is away, or that has no topics yet, is waited for.
///
/// # Errors
/// [`BusError`]: no thread can be started.
#[cfg(feature = "kafka")]
pub fn start<H: Handler + Send>(
    options: &BusOptions,
    venues: Vec<SourceVenue<H>>,
) -> Result<BusSource, BusError> {
    let (stop, board) = (Arc::new(AtomicBool::new(false)), Arc::new(BusSourceBoard::default()));
    let reading =
        reading::Reading::new(options.clone(), venues, (Arc::clone(&board), Arc::clone(&stop)));
    let name = "bus-source";
    let thread = std::thread::Builder::new().name(name.into()).spawn(move || reading.run());
    let thread = thread.map_err(|error| BusError(no_thread(name, &error).to_string()))?;
    Ok(BusSource { stop, board, thread })
}

/// The same in a program that has no client of brokers.
///
/// # Errors
/// Always.
#[cfg(not(feature = "kafka"))]
pub fn start<H: Handler + Send>(
    options: &BusOptions,
    venues: Vec<SourceVenue<H>>,
) -> Result<BusSource, BusError> {
    drop(venues);
    Err(BusError(format!("{}: {NOT_BUILT}", options.address)))
}
