//! The catalogue's way into the registry: requests out, answers in, upkeep.
//!
//! Runs on:  control core. Owns: nothing; drives `discovery` and `lifecycle`.
use super::discovery::{Answer, Failure, Lookup, NameAnswer, NotFound};
use super::pump::{Control, Errand};
use super::registry::{Record, Status};
use crate::base::id::{ShardId, TokenId, Venue};
use crate::base::limits::{CONNECTIONS_PER_SHARD_MAX, CONTROL_SINK_DEPTH, RETRY_AFTER_DEFAULT_NS};
use crate::base::time::{Now, SECOND_NS};
use crate::counter::report::LifecycleReport;
use crate::link::control_sink::{MarketRow, MarketStatus};
use crate::market::info::{Closed, MarketInfo, MarketNews};
use crate::venue::skip::Skipped;
use log::{debug, info, warn};
use std::collections::BTreeSet;

/// What was last found to have no room.
#[derive(Clone, Debug, Default)]
pub(super) struct WithoutRoom {
    registry: bool,
    shards: BTreeSet<ShardId>,
}

/// What a task fetched, or why it could not.
#[derive(Debug)]
pub enum Fetched {
    /// The venue answered.
    Response {
        /// HTTP status.
        status: u16,
        /// `Retry-After` in seconds, where there was one.
        retry_after_s: Option<u64>,
        /// The body, inflated.
        body: Vec<u8>,
    },
    /// There was no answer; the reason, for people.
    Failed(String),
}

impl Control {
    pub(super) fn step_catalogue(&mut self, now: Now) {
        while let Some(line) = self.discovery.take_warning() {
            warn!("{line}");
            // Nothing more comes for those that wait.
            self.placement.request_check();
        }
        if self.lifecycle.is_full(&self.registry) && self.discovery.end_scan(now) {
            self.placement.request_check();
        }
        if let Some(path) = self.discovery.catalogue().status_path()
            && self.exchange.poll(now.mono_ns)
        {
            self.errands.push_back(Errand::Status(path));
        }
        if let Some(request) = self.discovery.poll(now.mono_ns) {
            self.errands.push_back(Errand::Fetch(request.path));
        }
        let upkeep = self.lifecycle.poll(now, &mut self.registry);
        self.discovery.confirm(upkeep.confirm);
        self.discovery.confirm(self.resolutions.poll(now.mono_ns));
        for action in upkeep.actions {
            self.carry_out(action, now);
        }
    }

    /// Warns, once each time it begins, of markets that cannot be followed for want of room.
    pub(super) fn warn_of_bounds(&mut self) {
        let bound = self.lifecycle.is_above_bound();
        if bound && !self.without_room.registry {
            warn!(
                "more than {} markets are listed: those beyond are not followed; name fewer",
                self.registry.markets_max()
            );
        }
        self.without_room.registry = bound;
        let blocked: BTreeSet<ShardId> = self.placement.shards_without_room().collect();
        for shard in blocked.difference(&self.without_room.shards) {
            let tokens = self.registry.pending_tokens(*shard);
            warn!(
                "{shard}: {tokens} tokens have no connection, since it has {CONNECTIONS_PER_SHARD_MAX}; use more --shards"
            );
        }
        self.without_room.shards = blocked;
    }

    /// Why a book that no shard has is awaited, for people; `None` when nobody follows its token.
    pub(super) fn why_awaited(&self, token: &TokenId, now: Now) -> Option<String> {
        let Some(record) = self.registry.market_of(token) else {
            let scheduled = self.lifecycle.scheduled_with(token);
            let opens = scheduled.map(|info| {
                let seconds =
                    info.start_wall_ns.unwrap_or(0).saturating_sub(now.wall_ns) / SECOND_NS;
                format!("{} opens in {seconds} s", name_of(info))
            });
            return opens.or_else(|| self.discovery.is_asking(token));
        };
        let name = name_of(&record.info);
        match (record.status, record.connection) {
            (Status::Expired, _) => None,
            (Status::Pending, _) => {
                let room = !self.placement.shards_without_room().any(|shard| shard == record.shard);
                let why =
                    if room { "for others to share one with" } else { "and its shard has no more" };
                Some(format!("{name} waits for a connection {why}"))
            }
            (Status::Subscribed, Some(connection)) => {
                let name_of_connection = self.placement.name(connection);
                Some(format!("{name} is being opened on {name_of_connection}"))
            }
            (Status::Subscribed, None) => Some(format!("{name} is being opened")),
        }
    }

    pub(super) fn on_news(&mut self, news: MarketNews, now: Now) {
        self.lifecycle.on_news(now, news, &mut self.registry);
    }

    /// Tells the sink of markets that have changed, as many as fit; the others next time.
    pub(super) fn tell_markets(&mut self, now: Now) {
        let Some(sink) = &mut self.sink else { return };
        let venue = self.venue;
        for _ in 0..CONTROL_SINK_DEPTH {
            let Some(market) = self.registry.take_retold() else { break };
            let Some(record) = self.registry.market(&market) else { continue };
            self.resolutions.note(record, now.mono_ns);
            if sink.markets.try_send(Box::new(row(venue, record, now.wall_ns))).is_err() {
                self.registry.retell(&market);
                return;
            }
        }
        while let Some(record) = self.resolutions.take_settled() {
            if sink.markets.try_send(Box::new(row(venue, &record, now.wall_ns))).is_err() {
                return self.resolutions.keep_settled(record);
            }
        }
    }

    /// Asks the venue for a market; the answer comes as a [`NameAnswer`]. False when too many questions wait.
    pub(super) fn look_up(&mut self, lookup: Lookup) -> bool {
        self.discovery.look_up(lookup)
    }

    /// A request to the catalogue has ended.
    pub fn on_fetched(&mut self, fetched: Fetched, now: Now) {
        let failure = match fetched {
            Fetched::Response { status: 200, body, .. } => {
                match self.discovery.catalogue().parse_page(&body) {
                    Ok(page) => {
                        let answer = self.discovery.on_page(now, page);
                        return self.on_answer(answer, now);
                    }
                    Err(error) => Failure { reason: error.to_string(), ..Failure::default() },
                }
            }
            Fetched::Response { status, retry_after_s, .. } => Failure {
                reason: format!("HTTP {status}"),
                retry_after_ns: retry_after_s.map(|s| s.saturating_mul(SECOND_NS)),
                refused: [400, 404, 410, 422].contains(&status),
            },
            Fetched::Failed(reason) => Failure { reason, ..Failure::default() },
        };
        warn!("the catalogue did not answer: {}; it is asked again", failure.reason);
        if let Some(not_found) = self.discovery.on_failure(now.mono_ns, failure) {
            self.on_not_found(&not_found);
        }
    }

    /// A question about the state of the exchange was answered, with whatever status: a venue that is down says so
    /// with an error's.
    pub fn on_status(&mut self, fetched: Fetched, now: Now) {
        let Fetched::Response { body, .. } = fetched else { return };
        let status = self.discovery.catalogue().parse_status(&body);
        self.exchange.on_status(status, now);
    }

    /// A request for books has ended; `shard` is the place of the one that wants them.
    pub fn on_books(&mut self, shard: usize, fetched: Fetched, now: Now) {
        let (why, retry_after_ns) = match fetched {
            Fetched::Response { status: 200, body, .. } => match String::from_utf8(body) {
                Ok(text) => {
                    self.resync.on_answer();
                    if let Some(shard) = self.shards.get_mut(shard) {
                        shard.books(text, now);
                    }
                    return;
                }
                Err(error) => (error.to_string(), None),
            },
            Fetched::Response { status, retry_after_s, .. } => {
                // No time, as after a date that has passed, is no pause asked for.
                let pause_s = retry_after_s.filter(|&seconds| seconds > 0);
                let pause_ns = pause_s.map(|s| s.saturating_mul(SECOND_NS));
                let pause_ns = pause_ns.or((status == 429).then_some(RETRY_AFTER_DEFAULT_NS));
                (format!("HTTP {status}"), pause_ns)
            }
            Fetched::Failed(reason) => (reason, None),
        };
        debug!("books were not fetched: {why}; their shard asks again");
        self.resync.on_failure(now.mono_ns, why, retry_after_ns);
    }

    fn on_not_found(&mut self, not_found: &NotFound) {
        let NotFound { lookup, why } = not_found;
        let line = format!("{lookup}: {why}; check the name with the venue");
        self.not_found.get_or_insert((line, 0)).1 += 1;
        let (lookup, missing) = (lookup.clone(), Some(why.clone()));
        self.name_answers.push(NameAnswer { lookup, missing });
    }

    fn on_answer(&mut self, mut answer: Answer, now: Now) {
        if let Some(not_found) = &answer.not_found {
            self.on_not_found(not_found);
        }
        if let Some(lookup) = answer.found.take() {
            self.name_answers.push(NameAnswer { lookup, missing: None });
        }
        let completed = answer.scan_completed;
        let (scan, first) = (answer.scan, completed && answer.scan == 1);
        for Closed { market, resolution } in &answer.closed {
            self.resolutions.on_closed(market, resolution, now.wall_ns);
        }
        let skipped = std::mem::take(&mut answer.skipped);
        let listed = answer.markets.len();
        self.lifecycle.on_answer(now, answer, &mut self.registry);
        let refused = self.lifecycle.take_refused();
        if scan == 0 {
            self.skips.on_asked(&skipped);
            self.skips.on_asked(&refused);
        } else {
            let mut first = self.skips.on_page(scan, listed, skipped);
            first.extend(self.skips.on_refused(refused));
            first.iter().for_each(|skipped| log_skipped(self.venue, skipped));
        }
        self.redescribe(now);
        if completed {
            self.skips.complete();
            // Whatever waits is placed now and not at the next interval.
            self.placement.request_check();
        }
        if first {
            let known = self.registry.report();
            info!("catalogue scan {scan}: {} markets, {} tokens", known.markets, known.tokens);
        }
    }

    /// Tells the shards what the catalogue says anew, as of a market that the stream announced
    /// without its smallest order.
    fn redescribe(&mut self, now: Now) {
        let mut tokens: Vec<Vec<TokenId>> = vec![Vec::new(); self.shards.len()];
        for market in self.registry.take_redescribed() {
            let Some(record) = self.registry.market(&market) else { continue };
            let outcomes = record.info.tokens.iter().map(|outcome| outcome.token);
            tokens[usize::from(record.shard.0)].extend(outcomes);
        }
        for (place, tokens) in tokens.iter().enumerate().filter(|(_, tokens)| !tokens.is_empty()) {
            let books = self.openings(tokens);
            self.shards[place].describe(books, now);
        }
    }

    pub(super) fn lifecycle_report(&self) -> LifecycleReport {
        let mut report = LifecycleReport::default();
        self.discovery.report(&mut report);
        self.lifecycle.report(&mut report);
        report.markets_listed = self.skips.open();
        report.skipped = self.skips.report(self.venue.name());
        report
    }
}

/// The first market of its reason; the others are counted.
fn log_skipped(venue: Venue, skipped: &Skipped) {
    let (venue, why) = (venue.name(), skipped.reason.explanation());
    let name = skipped.reason.name();
    if skipped.reason.is_drift() {
        warn!(
            "{venue} market {skipped} is not followed: {why}; others are counted as {name} in /stats, \
             look whether the venue has changed its catalogue"
        );
    } else {
        info!(
            "{venue} market {skipped} is not followed: {why}; others are counted as {name} in /stats"
        );
    }
}

/// What people call a market.
fn name_of(info: &MarketInfo) -> String {
    if info.slug.is_empty() { info.market.to_string() } else { info.slug.clone() }
}

/// A market as the database is to know it.
fn row(venue: Venue, record: &Record, wall_ns: u64) -> MarketRow {
    let Record { info, status, resolution, .. } = record;
    let status = match (resolution, status) {
        (Some(_), _) => MarketStatus::Resolved,
        (None, Status::Expired) => MarketStatus::Ended,
        (None, Status::Pending | Status::Subscribed) => MarketStatus::Open,
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
