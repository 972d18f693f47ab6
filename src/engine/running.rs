//! A running engine: its commands, and its stop.
//!
//! Runs on:  main thread, which may block. Owns: the threads, the main thread's ends of `main_control`.
use crate::api::EngineBuilder;
use crate::base::{
    id::{ConnectionId, TokenId},
    limits::{self, STOP_TIMEOUT_NS},
    time::{Clock, SECOND_NS},
};
use crate::bus::{BusPublisher, ClusterMember};
use crate::bus_source::BusSource;
use crate::counter::{
    bus::BusReport, capture::CaptureReport, report::EngineReport, trades::TradeReport,
};
use crate::gateway::Site;
use crate::io::{clock::HostClock, executor::Executor};
use crate::link::main_control::{Command, ControlEvent};
use crate::ring::{Consumer, Producer};
use crate::sink::{capture::CaptureSink, trades::TradeSink};
use crate::topology::Topology;
use log::warn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The last figures of a stopped engine.
#[derive(Debug)]
pub struct ShutdownReport {
    /// The last status report, if there was one.
    pub report: Option<Box<EngineReport>>,
    /// The last counters of the trade database, where there was one.
    pub trades: Option<TradeReport>,
    /// The last counters of the capture, where there was one.
    pub capture: Option<CaptureReport>,
    /// The last counters of the bus, where there was one.
    pub bus: Option<BusReport>,
    /// Shards or threads that did not end in time.
    pub left_behind: Vec<String>,
}

/// A running engine. Dropping it stops it, as [`Engine::stop`] does.
#[derive(Debug)]
pub struct Engine {
    pub(super) topology: Topology,
    pub(super) clock: HostClock,
    pub(super) serving: Option<SocketAddr>,
    pub(super) gateways: Vec<(Site, SocketAddr)>,
    pub(super) commands: Producer<Command>,
    pub(super) events: Consumer<ControlEvent>,
    pub(super) serve_stop: Arc<AtomicBool>,
    pub(super) serve: Option<Executor<()>>,
    /// `None` once the engine has stopped.
    pub(super) control: Option<Executor<()>>,
    pub(super) shards: Vec<Executor<()>>,
    pub(super) trades: Option<TradeSink>,
    pub(super) capture: Option<CaptureSink>,
    pub(super) bus: Option<BusPublisher>,
    pub(super) cluster: Option<ClusterMember>,
    pub(super) source: Option<BusSource>,
    pub(super) last_ticket: u64,
}

impl Engine {
    /// The settings of an engine, to be followed by [`EngineBuilder::start`].
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// Which thread runs where.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Where local clients are answered.
    pub fn serving(&self) -> Option<SocketAddr> {
        self.serving
    }

    /// Where the protocols of the venues are served.
    pub fn gateways(&self) -> &[(Site, SocketAddr)] {
        &self.gateways
    }

    /// The next event of the control core; ask several times a second.
    pub fn poll_event(&mut self) -> Option<ControlEvent> {
        self.events.try_receive()
    }

    /// Follows a market that discovery has not found (condition id or slug). False when the ring
    /// is full: ask again.
    pub fn add_market(&mut self, name: &str) -> bool {
        self.commands.try_send(Command::AddMarket(name.to_owned())).is_ok()
    }

    /// Opens connections for these tokens at once, on every shard and at every venue concerned, by the same path as
    /// placement (same limits, no waiting for the threshold). The connections, and the tokens that none was opened for,
    /// come as [`ControlEvent::Forced`] with the ticket that this gives; `None` when the ring is full: ask again.
    pub fn force_subscribe(&mut self, tokens: Vec<TokenId>) -> Option<u64> {
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        let command = Command::ForceSubscribe { ticket, tokens };
        self.commands.try_send(command).is_ok().then_some(ticket)
    }

    /// Replaces a connection by a fresh one without a gap. Whether it waits for its turn comes as
    /// [`ControlEvent::Recycling`] with the ticket that this gives, the result is in the report;
    /// `None` when the ring is full: ask again.
    pub fn force_recycle(&mut self, connection: ConnectionId) -> Option<u64> {
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        let command = Command::Recycle { ticket, connection };
        self.commands.try_send(command).is_ok().then_some(ticket)
    }

    /// Asks for the histograms of the interval so far, which come as [`ControlEvent::Interval`]
    /// within two seconds. False when the ring is full: ask again.
    pub fn cut_interval(&mut self) -> bool {
        self.commands.try_send(Command::CutInterval).is_ok()
    }

    /// Stops in reverse order of the start, every stage bounded. `on_event` gets what the control core still sends (the
    /// last interval of histograms is among it).
    pub fn stop(mut self, on_event: impl FnMut(&ControlEvent)) -> ShutdownReport {
        self.shut_down(on_event)
    }

    fn shut_down(&mut self, on_event: impl FnMut(&ControlEvent)) -> ShutdownReport {
        let mut left_behind = Vec::new();
        // Everything runs on until other members have taken over.
        if self.cluster.take().is_some_and(|cluster| !cluster.stop()) {
            left_behind.push("the thread cluster did not end in time".to_owned());
        }
        self.serve_stop.store(true, Ordering::Release);
        if let Some(serve) = self.serve.take()
            && let Err(error) = serve.join_within(limits::THREAD_END_NS)
        {
            left_behind.push(error.to_string());
        }
        let report = self.stop_control(&mut left_behind, on_event);
        let threads = std::mem::take(&mut self.shards).into_iter().chain(self.control.take());
        if left_behind.is_empty() {
            let late = threads.filter_map(|t| t.join_within(limits::THREAD_END_NS).err());
            left_behind.extend(late.map(|error| error.to_string()));
        }
        // The shards have ended, or never will: what they published is in the rings.
        let trades = self.trades.take().map(TradeSink::stop);
        let capture = self.capture.take().map(CaptureSink::stop);
        let bus = self.bus.take().map(BusPublisher::stop);
        left_behind.extend(self.source.take().and_then(super::source::stop));
        ShutdownReport { report, trades, capture, bus, left_behind }
    }

    /// Stops the control core, which stops the shards. Gives its last report.
    fn stop_control(
        &mut self,
        left_behind: &mut Vec<String>,
        mut on_event: impl FnMut(&ControlEvent),
    ) -> Option<Box<EngineReport>> {
        let deadline_ns = self.clock.mono_ns() + STOP_TIMEOUT_NS + SECOND_NS;
        // The control core empties the ring every cycle; if it hangs, the deadline says so.
        while self.commands.try_send(Command::Stop).is_err() && self.clock.mono_ns() <= deadline_ns
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        let mut last = None;
        loop {
            match self.events.try_receive() {
                Some(ControlEvent::Stopped { shards_left }) => {
                    if shards_left > 0 {
                        left_behind.push(format!("{shards_left} shards did not end in time"));
                    }
                    return last;
                }
                Some(event) => {
                    on_event(&event);
                    if let ControlEvent::Report(report) = event {
                        last = Some(report);
                    }
                }
                None if self.clock.mono_ns() > deadline_ns => {
                    left_behind.push("the control core did not end in time".into());
                    return last;
                }
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.control.is_none() {
            return;
        }
        for left in self.shut_down(|_| ()).left_behind {
            warn!("{left}");
        }
    }
}
