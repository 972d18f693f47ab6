//! `/metrics`: the status report as OpenMetrics text.
//!
//! Runs on:  serve core, per scrape (pure). Owns: nothing.
use super::metrics::{
    BUILD, BUS, BUS_SOURCE, CAPTURE, CLUSTER, CONNECTION, CORRECTNESS, ENGINE, EXCHANGE, Kind,
    LATENCY, LINK, Metric, PHASE, PHASE_QUANTILE, QUANTILE, Quantile, RACE, RECYCLING, REQUESTS,
    Requests, Row, SERVE, SERVE_CLIENTS, SERVICE, SHARD, SKIP, SNAPSHOT_REQUESTS, SUBSCRIPTIONS,
    TRADES, VENUE, Value, counter_metric,
};
use crate::counter::latency::LatencySummary;
use crate::counter::race::RaceCounts;
use crate::counter::report::{EngineReport, ShardReport};
use crate::counter::service::ServiceReport;
use crate::counter::shard::{BookCounts, CheckCounts, CounterRow, IntakeCounts, RepairCounts};
use crate::gateway::hub::HubReport;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// `Content-Type` of the encode.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Counters of the local server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServeReport {
    /// Connected clients.
    pub clients: u64,
    /// Clients refused because there were too many.
    pub clients_refused: u64,
    /// Idle clients closed for a new client.
    pub clients_evicted: u64,
    /// Clients that `accept` failed to return.
    pub accept_errors: u64,
    /// Clients that completed a TLS handshake.
    pub tls_handshakes: u64,
    /// Clients that did not: no TLS, an alert, the end of the connection or of the time for it.
    pub tls_handshakes_failed: u64,
    /// Queries to other cores that timed out.
    pub answers_late: u64,
    /// Queries not sent because too many were outstanding.
    pub queries_refused: u64,
    /// Counters of the gateway.
    pub gateway: HubReport,
    /// Requests answered, by route and status.
    pub requests: BTreeMap<(&'static str, u16), u64>,
}

/// The complete encode with its end marker.
pub fn encode(report: &Arc<EngineReport>, serve: &ServeReport) -> String {
    text_of(Reports { engine: Arc::clone(report), serve: serve.clone() })
}

fn text_of(reports: impl Collector) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(reports));
    let mut text = String::with_capacity(64 * 1024);
    text::encode(&mut text, &registry).expect("writing to a string cannot fail");
    text
}

/// The same for pools without an engine.
pub fn encode_pools(
    services: Vec<ServiceReport>,
    serve: ServeReport,
    requests: BTreeMap<(String, u16), u64>,
    now_wall_ns: u64,
) -> String {
    text_of(PoolReports { services, serve, requests, now_wall_ns })
}

#[derive(Debug)]
struct PoolReports {
    services: Vec<ServiceReport>,
    serve: ServeReport,
    /// By route and status.
    requests: BTreeMap<(String, u16), u64>,
    now_wall_ns: u64,
}

impl Collector for PoolReports {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut family =
            |metric: &Metric, series: &[Series]| write_family(&mut encoder, metric, series);
        let mut out = Out { family: &mut family, now_wall_ns: self.now_wall_ns };
        out.version(env!("CARGO_PKG_VERSION"))?;
        out.services(&self.services)?;
        out.rows(SERVE_CLIENTS, [(vec![], &self.serve)])?;
        out.requests(&self.requests)
    }
}

#[derive(Debug)]
struct Reports {
    engine: Arc<EngineReport>,
    serve: ServeReport,
}

type Labels = Vec<(&'static str, String)>;

impl Collector for Reports {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut family =
            |metric: &Metric, series: &[Series]| write_family(&mut encoder, metric, series);
        let mut out = Out { family: &mut family, now_wall_ns: self.engine.now_wall_ns };
        out.reports(&self.engine, &self.serve)
    }
}

/// Every metric, in the order of `/metrics`.
pub fn all() -> Vec<Metric> {
    let mut metrics = Vec::new();
    let mut family = |metric: &Metric, _: &[Series]| {
        metrics.push(*metric);
        Ok(())
    };
    let mut out = Out { family: &mut family, now_wall_ns: 0 };
    let listed = out.reports(&EngineReport::default(), &ServeReport::default());
    listed.expect("nothing is written");
    metrics
}

fn phases(service: &ServiceReport) -> Vec<(Labels, &LatencySummary)> {
    let of = |phase: &str, latency| {
        (vec![("service", service.service.clone()), ("phase", phase.to_owned())], latency)
    };
    if service.stream {
        return vec![of("connect", &service.connect)];
    }
    vec![
        of("acquire", &service.acquire),
        of("connect", &service.connect),
        of("request", &service.request),
    ]
}

fn quantiles(labels: &Labels, latency: &LatencySummary) -> Vec<(Labels, Quantile)> {
    let points = [
        ("0", latency.min_ns),
        ("0.5", latency.p50_ns),
        ("0.9", latency.p90_ns),
        ("0.99", latency.p99_ns),
        ("0.999", latency.p999_ns),
        ("1", latency.max_ns),
    ];
    let point = |(quantile, ns): (&str, u64)| {
        let mut labels = labels.clone();
        labels.push(("quantile", quantile.to_owned()));
        (labels, Quantile { ns })
    };
    points.into_iter().map(point).collect()
}

type Series<'l> = (&'l Labels, Value);

/// The metrics of reports, one after the other.
struct Out<'a> {
    family: &'a mut dyn FnMut(&Metric, &[Series<'_>]) -> fmt::Result,
    now_wall_ns: u64,
}

impl Out<'_> {
    fn version(&mut self, version: &str) -> fmt::Result {
        (self.family)(&BUILD, &[(&vec![("version", version.to_owned())], Value::Whole(1))])
    }

    fn reports(&mut self, engine: &EngineReport, serve: &ServeReport) -> fmt::Result {
        self.version(&engine.version)?;
        self.rows(ENGINE, [(vec![], engine)])?;
        let skipped = engine.lifecycle.skipped.iter();
        self.rows(
            SKIP,
            skipped.map(|s| {
                let labels = [("venue", s.venue.clone()), ("reason", s.reason.clone())];
                let by_rule = ("by_rule", s.by_rule.to_string());
                (labels.into_iter().chain([by_rule]).collect(), s)
            }),
        )?;
        let venues = engine.venues.iter();
        self.rows(VENUE, venues.map(|v| (vec![("venue", v.venue.clone())], v)))?;
        self.rows(EXCHANGE, engine.exchange.iter().map(|e| (vec![], e)))?;
        self.rows(SUBSCRIPTIONS, [(vec![], &engine.pool.subscriptions)])?;
        self.rows(CORRECTNESS, [(vec![], &engine.correctness)])?;
        self.rows(SNAPSHOT_REQUESTS, [(vec![], &engine.correctness.snapshot_requests)])?;
        self.rows(RECYCLING, [(vec![], &engine.recycling)])?;
        self.rows(TRADES, engine.trades.iter().map(|t| (vec![], t)))?;
        self.rows(BUS, engine.bus.iter().map(|b| (vec![], b)))?;
        self.rows(BUS_SOURCE, engine.bus_source.iter().map(|b| (vec![], b)))?;
        self.rows(CLUSTER, engine.cluster.iter().map(|c| (vec![], c)))?;
        self.rows(CAPTURE, engine.capture.iter().map(|c| (vec![], c)))?;
        let shard = |s: &ShardReport| vec![("shard", s.shard.to_string())];
        let shards = &engine.shards;
        self.rows(SHARD, shards.iter().map(|s| (shard(s), s)))?;
        self.counters(IntakeCounts::ROWS, shards.iter().map(|s| (shard(s), &s.intake)))?;
        self.counters(BookCounts::ROWS, shards.iter().map(|s| (shard(s), &s.books)))?;
        self.counters(CheckCounts::ROWS, shards.iter().map(|s| (shard(s), &s.checks)))?;
        self.counters(RepairCounts::ROWS, shards.iter().map(|s| (shard(s), &s.repairs)))?;
        let connections =
            engine.pool.connections.iter().map(|c| {
                (vec![("connection", c.id.to_string()), ("shard", c.shard.to_string())], c)
            });
        let racing = connections.clone().filter(|(_, c)| c.race != RaceCounts::default());
        self.rows(CONNECTION, connections)?;
        self.rows(RACE, racing)?;
        self.services(&engine.services)?;
        self.rows(LINK, engine.router.iter().map(|l| (vec![("link", l.name.clone())], l)))?;
        let stages = engine.latencies.iter().filter(|l| l.count > 0);
        self.rows(QUANTILE, stages.flat_map(|l| quantiles(&vec![("stage", l.stage.clone())], l)))?;
        let stages = engine.latencies.iter();
        self.rows(LATENCY, stages.map(|l| (vec![("stage", l.stage.clone())], l)))?;
        self.rows(SERVE_CLIENTS, [(vec![], serve)])?;
        self.rows(SERVE, [(vec![], serve)])?;
        self.requests(&serve.requests)
    }

    /// The families of pools.
    fn services(&mut self, services: &[ServiceReport]) -> fmt::Result {
        let labelled = services.iter().map(|s| (vec![("service", s.service.clone())], s));
        self.rows(SERVICE, labelled)?;
        let phases: Vec<_> = services.iter().flat_map(phases).collect();
        let known = phases.iter().filter(|(_, latency)| latency.count > 0);
        self.rows(PHASE_QUANTILE, known.flat_map(|(labels, latency)| quantiles(labels, latency)))?;
        self.rows(PHASE, phases)
    }

    fn requests<R: ToString>(&mut self, requests: &BTreeMap<(R, u16), u64>) -> fmt::Result {
        let items = requests.iter().map(|((route, status), count)| {
            let labels = vec![("route", route.to_string()), ("status", status.to_string())];
            (labels, Requests { count: *count })
        });
        self.rows(REQUESTS, items)
    }

    /// One family per row, one series in it per item with a value.
    fn rows<T, I: std::borrow::Borrow<T>>(
        &mut self,
        rows: &[Row<T>],
        items: impl IntoIterator<Item = (Labels, I)>,
    ) -> fmt::Result {
        let items: Vec<(Labels, I)> = items.into_iter().collect();
        for Row { metric, read } in rows {
            let now_wall_ns = self.now_wall_ns;
            self.write(metric, &items, |item| read(item.borrow(), now_wall_ns))?;
        }
        Ok(())
    }

    /// The same for counters that declare their metric themselves.
    fn counters<'t, T: 't>(
        &mut self,
        rows: &[CounterRow<T>],
        items: impl IntoIterator<Item = (Labels, &'t T)>,
    ) -> fmt::Result {
        let items: Vec<(Labels, &T)> = items.into_iter().collect();
        for row in rows {
            self.write(&counter_metric(row), &items, |item| Value::Whole((row.read)(item)))?;
        }
        Ok(())
    }

    fn write<I>(
        &mut self,
        metric: &Metric,
        items: &[(Labels, I)],
        read: impl Fn(&I) -> Value,
    ) -> fmt::Result {
        let series: Vec<Series<'_>> =
            items.iter().map(|(labels, item)| (labels, read(item))).collect();
        (self.family)(metric, &series)
    }
}

fn write_family(
    encoder: &mut DescriptorEncoder<'_>,
    metric: &Metric,
    series: &[Series<'_>],
) -> fmt::Result {
    let kind = match metric.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Info => MetricType::Info,
    };
    let mut family = encoder.encode_descriptor(metric.name, metric.meaning, None, kind)?;
    for &(labels, value) in series.iter().filter(|(_, value)| *value != Value::Absent) {
        if labels.is_empty() {
            write_value(&mut family, metric.kind, value)?;
        } else if metric.kind == Kind::Info {
            family.encode_info(labels)?;
        } else {
            write_value(&mut family.encode_family(labels)?, metric.kind, value)?;
        }
    }
    Ok(())
}

fn write_value(encoder: &mut MetricEncoder<'_>, kind: Kind, value: Value) -> fmt::Result {
    match (kind, value) {
        (Kind::Counter, Value::Whole(n)) => encoder.encode_counter::<NoLabelSet, _, u64>(&n, None),
        (Kind::Counter, Value::Real(x)) => encoder.encode_counter::<NoLabelSet, _, u64>(&x, None),
        (Kind::Gauge, Value::Whole(n)) => encoder.encode_gauge(&n),
        (Kind::Gauge, Value::Real(x)) => encoder.encode_gauge(&x),
        (_, Value::Absent) | (Kind::Info, _) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
