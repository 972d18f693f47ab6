//! Publishes market changes to handlers and to the trade database.
//!
//! Runs on:  control core. Owns: the last stage reported of every market, the producer of `control_sink`.
//! Bounds:   `CONTROL_SINK_DEPTH` markets per cycle; one stage per market that is registered or awaits its result,
//!           and as many of removed markets.
use super::markets::Markets;
use super::registry::{Record, Status};
use super::shard_proxy::ShardProxy;
use crate::base::id::{MarketId, Venue};
use crate::base::limits::CONTROL_SINK_DEPTH;
use crate::base::time::Now;
use crate::counter::report::PoolReport;
use crate::counter::trades::TradeReport;
use crate::link::control_sink::{MarketRow, MarketStatus, SinkEnd};
use crate::market::info::{MarketEvent, MarketInfo, MarketStage, Resolution};
use foldhash::fast::FixedState;
use std::collections::HashMap;

/// Entries from which stages of removed markets are dropped.
const PRUNED_FROM: usize = 4_096;

/// Publishes each change of a market once, in order.
#[derive(Debug)]
pub(super) struct MarketPublisher {
    venue: Venue,
    sink: Option<SinkEnd>,
    /// `None` if handlers do not use `on_market`.
    stages: Option<ReportedStages>,
}

impl MarketPublisher {
    pub(super) const fn new(venue: Venue, sink: Option<SinkEnd>) -> Self {
        Self { venue, sink, stages: None }
    }

    /// Enables `on_market` reports to handlers.
    pub(super) fn report_stages(&mut self) {
        self.stages = Some(ReportedStages::default());
    }

    /// Reports a stage again when facts have changed: other members of the cluster read them.
    pub(super) const fn repeat_stages(&mut self) {
        if let Some(stages) = &mut self.stages {
            stages.is_repeating = true;
        }
    }

    /// Publishes changed markets while the links have room; the rest in the next cycle.
    pub(super) fn step(&mut self, markets: &mut Markets, shards: &mut [ShardProxy], now: Now) {
        if self.sink.is_none() && self.stages.is_none() {
            return;
        }
        for _ in 0..CONTROL_SINK_DEPTH {
            let Some(market) = markets.registry.take_unpublished() else { break };
            if !self.publish_market(&market, markets, shards, now) {
                markets.registry.mark_unpublished(&market);
                return;
            }
        }
        while let Some(record) = markets.resolutions.take_settled() {
            if !self.publish_record(&record, shards, now) {
                return markets.resolutions.keep_settled(record);
            }
        }
        if let Some(stages) = &mut self.stages {
            stages.prune(|market| !markets.is_forgotten(market));
        }
    }

    /// False if the link is full.
    fn publish_market(
        &mut self,
        market: &MarketId,
        markets: &mut Markets,
        shards: &mut [ShardProxy],
        now: Now,
    ) -> bool {
        if let Some(record) = markets.changed_record(market, now.mono_ns) {
            return self.publish_record(&record, shards, now);
        }
        let scheduled = markets.lifecycle.scheduled_market(market);
        let (Some(stages), Some(info)) = (&mut self.stages, scheduled) else { return true };
        let shard = usize::from(markets.registry.shard_of(market).0);
        stages.report(info, MarketStage::New, None, &mut shards[shard], now)
    }

    fn publish_record(&mut self, record: &Record, shards: &mut [ShardProxy], now: Now) -> bool {
        if let Some(stages) = &mut self.stages {
            let decided = record.resolution.as_ref().map(|(how, _)| how);
            let decided = decided.filter(|how| how.is_decided());
            let stage = match (decided, record.status) {
                (Some(_), _) => MarketStage::Resolved,
                (None, Status::Expired) => MarketStage::Ended,
                (None, _) => MarketStage::Opened,
            };
            let shard = &mut shards[usize::from(record.shard.0)];
            if !stages.report(&record.info, stage, decided, shard, now) {
                return false;
            }
        }
        let venue = self.venue;
        self.sink.as_mut().is_none_or(|sink| {
            sink.markets.try_send(Box::new(row(venue, record, now.wall_ns))).is_ok()
        })
    }

    /// Counters of the trade database and the connections that bring trades; `None` without a database.
    pub(super) fn trade_report(&self, pool: &PoolReport) -> Option<TradeReport> {
        let board = &self.sink.as_ref()?.board;
        Some(TradeReport {
            connections_active: pool.connections_active,
            reconnections: pool.reconnects,
            last_reconnect_wall_ns: pool.last_reconnect_wall_ns,
            ..board.read()
        })
    }
}

#[derive(Debug)]
struct ReportedStages {
    reported: HashMap<MarketId, MarketStage, FixedState>,
    is_repeating: bool,
    /// Entries at which those of removed markets are dropped.
    prune_at: usize,
}

impl Default for ReportedStages {
    fn default() -> Self {
        Self { reported: HashMap::default(), is_repeating: false, prune_at: PRUNED_FROM }
    }
}

impl ReportedStages {
    /// Reports a new stage to the shard. False if its link is full.
    fn report(
        &mut self,
        info: &MarketInfo,
        stage: MarketStage,
        resolution: Option<&Resolution>,
        shard: &mut ShardProxy,
        now: Now,
    ) -> bool {
        let before = self.reported.get(&info.market).copied();
        let mut steps = MarketStage::steps(before, stage);
        let is_repeated = self.is_repeating && before == Some(stage);
        if is_repeated {
            steps.push(stage);
        }
        if steps.is_empty() {
            return true;
        }
        if !shard.has_spare_room() {
            return false;
        }
        for stage in steps {
            let resolution = resolution.filter(|_| stage == MarketStage::Resolved).cloned();
            let info = info.clone();
            shard.market(MarketEvent { stage, info, resolution, is_repeated }, now);
        }
        self.reported.insert(info.market, stage);
        true
    }

    /// Drops markets without further changes.
    fn prune(&mut self, is_known: impl Fn(&MarketId) -> bool) {
        if self.reported.len() >= self.prune_at {
            self.reported.retain(|market, _| is_known(market));
            self.prune_at = PRUNED_FROM.max(2 * self.reported.len());
        }
    }
}

fn row(venue: Venue, record: &Record, wall_ns: u64) -> MarketRow {
    let Record { info, status, resolution, .. } = record;
    let status = match (resolution, status) {
        (Some(_), _) => MarketStatus::Resolved,
        (None, Status::Expired) => MarketStatus::Ended,
        (None, Status::Elsewhere | Status::Pending | Status::Subscribed) => MarketStatus::Open,
    };
    MarketRow {
        venue,
        market: info.market,
        slug: info.slug.clone(),
        question: info.question.clone(),
        tokens: info.tokens.clone(),
        tick_size: info.tick_size,
        min_order_size: info.min_order_size,
        neg_risk: info.neg_risk,
        start_wall_ns: info.start_wall_ns,
        end_wall_ns: info.end_wall_ns,
        status,
        resolution: resolution.as_ref().map(|(how, _)| how.clone()).unwrap_or_default(),
        resolved_wall_ns: resolution.as_ref().map(|(_, wall_ns)| *wall_ns),
        wall_ns,
    }
}
