//! Figures collected for reports; no decision depends on them.
//!
//! Runs on:  control core. Owns: latencies, reports of the services, gauges of links, lag, clock and schema checks.
use super::{clock::HostClockCheck, lag::Lag, schema_drift::SchemaDrift, shard_proxy::ShardProxy};
use crate::base::{
    id::{ConnectionId, Venue},
    time::Now,
};
use crate::counter::bus::{BusBoard, BusReport};
use crate::counter::capture::{CaptureBoard, CaptureReport};
use crate::counter::latency::{ConnectionLatencies, Latencies, Stage};
use crate::counter::report::LinkReport;
use crate::counter::service::ServiceReport;
use crate::ring::LinkGauge;
use log::warn;
use std::sync::Arc;

pub(super) type LinkGauges = Vec<(String, Box<dyn LinkGauge>)>;

/// Collected figures.
#[derive(Debug)]
pub(super) struct Reporting {
    venue: Venue,
    /// Conditions of `/health` name the venue because there are several.
    pub(super) names_venue: bool,
    /// Last reports of the REST service pools.
    pub(super) services: Vec<ServiceReport>,
    links: LinkGauges,
    capture: Option<Arc<CaptureBoard>>,
    bus: Option<Arc<BusBoard>>,
    pub(super) latencies: Latencies,
    /// Latencies since they were last taken.
    interval: Latencies,
    by_connection: Vec<(ConnectionId, Box<ConnectionLatencies>)>,
    pub(super) lag: Lag,
    pub(super) clock: HostClockCheck,
    pub(super) schema: SchemaDrift,
}

impl Reporting {
    /// No figure.
    pub(super) fn new(
        venue: Venue,
        shards: usize,
        links: LinkGauges,
        (capture, bus): (Option<Arc<CaptureBoard>>, Option<Arc<BusBoard>>),
    ) -> Self {
        Self {
            venue,
            names_venue: false,
            services: Vec::new(),
            links,
            capture,
            bus,
            latencies: Latencies::default(),
            interval: Latencies::default(),
            by_connection: Vec::new(),
            lag: Lag::new(shards),
            clock: HostClockCheck::default(),
            schema: SchemaDrift::default(),
        }
    }

    /// Takes the histograms of a shard.
    pub(super) fn on_latencies(&mut self, place: usize, filled: &Latencies, now: Now) {
        self.lag.on_window(place, filled.stage(Stage::VenueToRead), now.mono_ns);
        self.latencies.add(filled);
        self.interval.add(filled);
    }

    /// Takes the histograms of an ended connection.
    pub(super) fn on_connection_latencies(
        &mut self,
        connection: ConnectionId,
        latencies: Box<ConnectionLatencies>,
    ) {
        self.by_connection.push((connection, latencies));
    }

    /// Compares the clocks by a heartbeat.
    pub(super) fn on_heartbeat(&mut self, shards: &[ShardProxy]) {
        let offsets = shards.iter().map(|shard| shard.heartbeat.clock_offset_ms);
        if let Some(line) = self.clock.on_offsets(offsets, self.venue.name()) {
            warn!("{line}");
        }
    }

    /// Latencies recorded since the last call.
    pub(super) fn take_interval(&mut self) -> Latencies {
        std::mem::take(&mut self.interval)
    }

    /// Latencies of each connection, if recorded.
    pub(super) fn take_connections(&mut self) -> Vec<(ConnectionId, Box<ConnectionLatencies>)> {
        std::mem::take(&mut self.by_connection)
    }

    /// Reports of the links with shards and of those without an end here.
    pub(super) fn link_reports(&self, shards: &[ShardProxy]) -> Vec<LinkReport> {
        shards.iter().flat_map(ShardProxy::links).chain(link_reports(&self.links)).collect()
    }

    /// Counters of the capture, if there is one.
    pub(super) fn capture(&self) -> Option<CaptureReport> {
        self.capture.as_ref().map(|board| board.read())
    }

    /// Counters of the bus, if there is one.
    pub(super) fn bus(&self) -> Option<BusReport> {
        self.bus.as_ref().map(|board| board.read())
    }
}

pub(super) fn link_reports(links: &LinkGauges) -> impl Iterator<Item = LinkReport> {
    links.iter().map(|(name, gauge)| {
        let [routed, refused, depth, capacity] = gauge.read();
        let [delay_mean_ns, delay_max_ns] = gauge.waits();
        let name = name.clone();
        LinkReport { name, routed, refused, depth, capacity, delay_mean_ns, delay_max_ns }
    })
}
