//! Supervisor of the venues: routes commands and queries, folds reports.
//!
//! Runs on:  control core. Owns: the controller of each venue, the ends of the links with main thread and serve core.
//! Bounds:   at most one ring capacity of messages per ring and cycle.
//!
//! A command that names a market, token or connection goes to the controller that has it. A name without an owner is
//! looked up at each venue that may have it.
#[cfg(test)]
mod tests;

use super::controller::{Controller, DIALING_CYCLE_NS};
use super::discovery::Lookup;
use super::io_request::IoRequest;
use super::names::Names;
use super::recycler::RecycleError;
use super::reporting::{LinkGauges, link_reports};
use super::slices::Slices;
use crate::base::id::{ConnectionId, TokenId, Venue};
use crate::base::limits::{
    CONNECTIONS_NUMBERED_PER_VENUE, HEALTH_GRACE_NS, STOP_TIMEOUT_NS, TABLE_CONNECTIONS_MAX,
};
use crate::base::time::{Now, SECOND_NS};
use crate::counter::bus_source::BusSourceBoard;
use crate::counter::cluster::ClusterBoard;
use crate::counter::fold::Fold as _;
use crate::counter::latency::{Latencies, Stage, histogram};
use crate::counter::report::EngineReport;
use crate::link::{
    cluster_control::{SharedMarket, SliceBoard},
    main_control::{Command, ControlEvent, RefusedToken},
    serve_control::{ControlAnswer, ControlQuery},
};
use crate::ring::{Consumer, Producer};
use hdrhistogram::Histogram;
use log::warn;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Interval of reports to the main thread and of interval histograms.
const REPORT_INTERVAL_NS: u64 = SECOND_NS;
/// Interval of a line of the histogram log.
const HISTOGRAM_INTERVAL_NS: u64 = 60 * SECOND_NS;

/// Ends of the supervisor's links.
#[derive(Debug)]
pub struct SupervisorLinks {
    /// Commands of the main thread.
    pub commands: Consumer<Command>,
    /// Events for the main thread.
    pub events: Producer<ControlEvent>,
    /// Queries of the serve core.
    pub queries: Consumer<ControlQuery>,
    /// Answers to the serve core.
    pub answers: Producer<ControlAnswer>,
    /// Names and gauges of links that belong to no venue, for the report.
    pub gauges: LinkGauges,
}

/// The venues of the engine.
#[derive(Debug)]
pub struct Supervisor {
    venues: Vec<Controller>,
    /// The bus in place of venues, and when the engine started.
    source: Option<(Arc<BusSourceBoard>, Now)>,
    /// The slices of this machine and the figures, if it is a member of a cluster.
    cluster: Option<(Slices, Arc<ClusterBoard>)>,
    links: SupervisorLinks,
    names: Names,
    /// Interval histograms that could not be sent yet, and those of the gateway.
    held: Latencies,
    /// [`Stage::ReadToWritten`] since the start.
    read_to_written: Histogram<u64>,
    interval_since: Now,
    /// Reports until an early interval is sent; 0 if none was requested.
    interval_cut: u8,
    next_report_ns: u64,
    stop_deadline_ns: Option<u64>,
}

impl Supervisor {
    /// Supervisor of these controllers.
    #[must_use]
    pub fn new(mut venues: Vec<Controller>, links: SupervisorLinks, now: Now) -> Self {
        number(&mut venues);
        let several = venues.len() > 1;
        venues.iter_mut().for_each(|venue| venue.reporting.names_venue = several);
        Self {
            venues,
            source: None,
            cluster: None,
            links,
            names: Names::default(),
            held: Latencies::default(),
            read_to_written: histogram(),
            interval_since: now,
            interval_cut: 0,
            next_report_ns: now.mono_ns + REPORT_INTERVAL_NS,
            stop_deadline_ns: None,
        }
    }

    /// The same of an engine that reads a bus in place of venues.
    #[must_use]
    pub fn with_source(self, board: Arc<BusSourceBoard>, now: Now) -> Self {
        Self { source: Some((board, now)), ..self }
    }

    /// The same of a member of a cluster, which follows the slices of the board.
    #[must_use]
    pub fn with_cluster(
        mut self,
        slices: Arc<SliceBoard>,
        markets: Consumer<SharedMarket>,
        board: Arc<ClusterBoard>,
    ) -> Self {
        self.venues.iter_mut().for_each(|venue| venue.publisher.repeat_stages());
        Self { cluster: Some((Slices::new(slices, markets), board)), ..self }
    }

    /// Controller of a venue, by index.
    ///
    /// # Panics
    /// No such index.
    pub fn venue(&self, place: usize) -> &Controller {
        &self.venues[place]
    }

    /// Controller of a venue, by index, for results of its tasks.
    ///
    /// # Panics
    /// No such index.
    pub fn venue_mut(&mut self, place: usize) -> &mut Controller {
        &mut self.venues[place]
    }

    /// Runs one cycle of every venue. Returns the time until the next, nanoseconds; `None` when stopped.
    pub fn step(&mut self, now: Now) -> Option<u64> {
        self.take_commands(now);
        if let Some((slices, _)) = self.cluster.as_mut().filter(|_| self.stop_deadline_ns.is_none())
        {
            slices.step(&mut self.venues, now);
        }
        let rests = self.venues.iter_mut().map(|venue| venue.step(now));
        let rest_ns = rests.min().unwrap_or(DIALING_CYCLE_NS);
        self.settle_names();
        self.answer_queries(now);
        if let Some(deadline_ns) = self.stop_deadline_ns {
            return self.step_stop(now, deadline_ns);
        }
        if now.mono_ns >= self.next_report_ns {
            self.next_report_ns = now.mono_ns + REPORT_INTERVAL_NS;
            self.send_report(now);
        }
        Some(rest_ns)
    }

    /// Next request for a task, and the index of its venue.
    pub fn poll_io_request(&mut self) -> Option<(usize, IoRequest)> {
        let mut venues = self.venues.iter_mut().enumerate();
        venues.find_map(|(place, venue)| Some((place, venue.poll_io_request()?)))
    }

    /// Looks up a market by name at each venue that may have it; at all if the form of the name does not decide.
    pub fn look_up(&mut self, lookup: &Lookup) {
        let may = self.may_have(lookup);
        let mut asked: Vec<Venue> = Vec::new();
        for (venue, _) in self.venues.iter_mut().zip(may).filter(|(_, may)| *may) {
            if venue.look_up(lookup.clone()) {
                asked.push(venue.venue);
            } else {
                warn!("{lookup}: not looked up, too many questions wait already; ask again later");
            }
        }
        self.names.on_asked(lookup, asked);
    }

    /// Venues whose names have this form; all if none.
    fn may_have(&self, lookup: &Lookup) -> Vec<bool> {
        let may = self.venues.iter().map(|venue| venue.markets.discovery.may_have(lookup));
        let may: Vec<bool> = may.collect();
        let any = may.contains(&true);
        may.into_iter().map(|may| may || !any).collect()
    }

    fn settle_names(&mut self) {
        for venue in &mut self.venues {
            for answer in venue.take_name_answers() {
                if let Some(line) = self.names.on_answer(venue.venue, answer) {
                    warn!("{line}");
                }
            }
        }
    }

    fn take_commands(&mut self, now: Now) {
        while let Some(command) = self.links.commands.try_receive() {
            match command {
                Command::ForceSubscribe { ticket, tokens } => {
                    let (connections, refused) = self.force_subscribe(&tokens, now);
                    let event = ControlEvent::Forced { ticket, connections, refused };
                    let _ = self.links.events.try_send(event);
                }
                Command::Recycle { ticket, connection } => {
                    let result = self.force_recycle(connection).map_err(|error| error.to_string());
                    let _ = self.links.events.try_send(ControlEvent::Recycling { ticket, result });
                }
                Command::AddMarket(name) => self.look_up(&Lookup::parse(&name)),
                // The next report asks the shards, the one after that has their answers.
                Command::CutInterval => self.interval_cut = 2,
                Command::Stop => self.begin_stop(now),
            }
        }
    }

    /// Opens connections at every venue that has some of these tokens; refuses the others.
    fn force_subscribe(
        &mut self,
        tokens: &[TokenId],
        now: Now,
    ) -> (Vec<ConnectionId>, Vec<RefusedToken>) {
        let (mut connections, mut reasons) = (Vec::new(), BTreeMap::new());
        for venue in &mut self.venues {
            let own = |token: &&TokenId| venue.registry().market_of(token).is_some();
            let own: Vec<TokenId> = tokens.iter().filter(own).copied().collect();
            let forced = venue.force_subscribe(&own, now);
            connections.extend(forced.connections);
            reasons.extend(forced.refused);
            reasons.extend(forced.placed.into_iter().map(|token| (token, None)));
        }
        let why = |token: &TokenId| match reasons.get(token) {
            Some(why) => why.clone(),
            None => Some("it is not known; follow its market first".to_owned()),
        };
        let refused = tokens
            .iter()
            .filter_map(|&token| Some(RefusedToken { token, why: why(&token)? }))
            .collect();
        (connections, refused)
    }

    /// Queues the replacement of a connection of any age.
    fn force_recycle(&mut self, connection: ConnectionId) -> Result<(), RecycleError> {
        let owner = self.venues.iter_mut().find(|v| v.placement().state(connection).is_some());
        owner.ok_or(RecycleError::NotUp)?.force_recycle(connection)
    }

    /// Why a book does not exist yet, for HTTP responses; `None` if its token is not followed.
    fn why_awaited(&self, token: &TokenId, now: Now) -> Option<String> {
        let lookup = Lookup::Token(*token);
        let may = self.may_have(&lookup);
        let may = self.venues.iter().zip(may).filter(|(_, may)| *may);
        may.map(|(venue, _)| venue).find_map(|venue| venue.why_awaited(token, now))
    }

    fn answer_queries(&mut self, now: Now) {
        while let Some(query) = self.links.queries.try_receive() {
            let answer = match query {
                ControlQuery::Latency(values) => {
                    self.held.add_stage(Stage::ReadToWritten, &values);
                    self.read_to_written
                        .add(&*values)
                        .expect("all histograms have the same bounds");
                    continue;
                }
                ControlQuery::Report { ticket } => {
                    ControlAnswer::Report { ticket, report: Box::new(self.report(now)) }
                }
                ControlQuery::Recycle { ticket, connection } => {
                    let result = self.force_recycle(connection).map_err(|error| error.to_string());
                    ControlAnswer::Ordered { ticket, result }
                }
                ControlQuery::Awaited { ticket, token } => {
                    let result = self.why_awaited(&token, now).map_or(Ok(()), Err);
                    ControlAnswer::Ordered { ticket, result }
                }
                ControlQuery::Follow { ticket, token } => {
                    self.look_up(&Lookup::parse(token.as_str()));
                    ControlAnswer::Ordered { ticket, result: Ok(()) }
                }
            };
            // If refused, the asker's request times out and says so.
            let _ = self.links.answers.try_send(answer);
        }
    }

    /// Status report of the engine.
    pub fn report(&self, now: Now) -> EngineReport {
        let reports = self.venues.iter().map(|venue| venue.report(now));
        let sum = reports.reduce(|mut sum, report| {
            sum.fold(report);
            sum
        });
        let mut report = sum.unwrap_or_default();
        if let Some((board, started)) = &self.source {
            report.version = env!("CARGO_PKG_VERSION").into();
            (report.started_wall_ns, report.now_wall_ns) = (started.wall_ns, now.wall_ns);
            let in_grace = now.mono_ns.saturating_sub(started.mono_ns) < HEALTH_GRACE_NS;
            board.fill(&mut report, in_grace);
        }
        if let Some((_, board)) = &self.cluster {
            let mut cluster = board.read();
            for [all, share] in self.venues.iter().filter_map(|venue| venue.placement().share()) {
                cluster.connections_account += u64::from(all);
                cluster.connections_share += u64::from(share);
            }
            let in_grace = report.health.in_grace;
            if let Some(line) = cluster.trouble() {
                let health = &mut report.health;
                if in_grace { health.notices.push(line) } else { health.reasons.push(line) }
            }
            report.health.notices.extend(cluster.catalog_notice());
            report.health.notices.extend(cluster.share_notice());
            report.cluster = Some(cluster);
        }
        report.health.settle();
        report.router.extend(link_reports(&self.links.gauges));
        let mut latencies = Latencies::default();
        latencies.add_stage(Stage::ReadToWritten, &self.read_to_written);
        self.venues.iter().for_each(|venue| latencies.add(&venue.reporting.latencies));
        report.latencies = latencies.summaries();
        report.buckets = latencies.buckets();
        report
    }

    fn send_report(&mut self, now: Now) {
        self.venues.iter_mut().for_each(|venue| venue.begin_interval(now));
        let report = Box::new(self.report(now));
        let _ = self.links.events.try_send(ControlEvent::Report(report));
        let cut = self.interval_cut == 1;
        self.interval_cut = self.interval_cut.saturating_sub(1);
        if cut || now.mono_ns >= self.interval_since.mono_ns + HISTOGRAM_INTERVAL_NS {
            self.send_interval(now);
        }
    }

    fn send_interval(&mut self, now: Now) {
        let mut latencies = Box::new(std::mem::take(&mut self.held));
        self.venues.iter_mut().for_each(|venue| latencies.add(&venue.take_interval()));
        let event = ControlEvent::Interval {
            start_wall_ns: self.interval_since.wall_ns,
            duration_ns: now.mono_ns - self.interval_since.mono_ns,
            latencies,
        };
        match self.links.events.try_send(event) {
            Ok(()) => self.interval_since = now,
            // The next interval will hold both.
            Err(ControlEvent::Interval { latencies, .. }) => self.held = *latencies,
            Err(_) => {}
        }
    }

    fn begin_stop(&mut self, now: Now) {
        if self.stop_deadline_ns.is_some() {
            return;
        }
        self.stop_deadline_ns = Some(now.mono_ns + STOP_TIMEOUT_NS);
        self.venues.iter_mut().for_each(|venue| venue.begin_stop(now));
    }

    fn step_stop(&mut self, now: Now, deadline_ns: u64) -> Option<u64> {
        let left: usize = self.venues.iter().map(Controller::shards_left).sum();
        if left > 0 && now.mono_ns < deadline_ns {
            return Some(DIALING_CYCLE_NS);
        }
        let report = Box::new(self.report(now));
        let _ = self.links.events.try_send(ControlEvent::Report(report));
        self.send_interval(now);
        let connections = self.venues.iter_mut().flat_map(Controller::take_connections);
        let connections: Vec<_> = connections.collect();
        if !connections.is_empty() {
            let _ = self.links.events.try_send(ControlEvent::Connections(connections));
        }
        let _ = self.links.events.try_send(ControlEvent::Stopped { shards_left: left as u16 });
        None
    }
}

/// Assigns connection numbers that are unique in the engine: fixed tables from 1, then growing ones.
fn number(venues: &mut [Controller]) {
    let tables = venues.iter().filter(|venue| venue.placement().is_fixed()).count() as u32;
    let (mut table, mut growing) = (0, tables * TABLE_CONNECTIONS_MAX);
    for venue in venues {
        if venue.placement().is_fixed() {
            venue.connections.placement.number_above(table);
            table += TABLE_CONNECTIONS_MAX;
        } else {
            venue.connections.placement.number_above(growing);
            growing += CONNECTIONS_NUMBERED_PER_VENUE;
        }
    }
}
