//! Markets of one venue: the registry and its sources.
//!
//! Runs on:  control core. Owns: registry, discovery, lifecycle, exchange status, open resolutions.
//! Bounds:   those of its parts.
use super::{
    discovery::{Answer, Discovery, Failure, NameAnswer, NotFound},
    exchange::Exchange,
    io_request::{FetchError, Fetched, IoRequest},
    lifecycle::Lifecycle,
    placement::{Action, Placement},
    registry::{Record, Registry, Source, Status},
    resolutions::Resolutions,
    skips::Skips,
};
use crate::base::id::{MarketId, TokenId, Venue};
use crate::base::time::{Now, SECOND_NS};
use crate::counter::report::LifecycleReport;
use crate::link::control_shard::NamedOpening;
use crate::market::book::BookOpening;
use crate::market::info::{Closed, MarketEvent, MarketInfo, MarketUpdate};
use crate::venue::skip::Skipped;
use log::{info, warn};

/// HTTP statuses that refuse the request itself: it would be refused again.
const REFUSED: [u16; 4] = [400, 404, 410, 422];

/// Output of a cycle of [`Markets`].
#[derive(Debug, Default)]
pub(super) struct MarketsStep {
    /// Requests to the venue.
    pub(super) requests: Vec<IoRequest>,
    /// Tokens to unsubscribe.
    pub(super) actions: Vec<Action>,
    /// Place pending markets now: no more will come to share their connections.
    pub(super) place_now: bool,
}

/// Named markets without a book.
#[derive(Clone, Debug)]
struct MissingNames {
    /// The first one, as text.
    first: String,
    count: usize,
}

/// The markets of one venue.
#[derive(Debug)]
pub(super) struct Markets {
    venue: Venue,
    pub(super) registry: Registry,
    pub(super) discovery: Discovery,
    pub(super) lifecycle: Lifecycle,
    pub(super) skips: Skips,
    pub(super) exchange: Exchange,
    pub(super) resolutions: Resolutions,
    missing: Option<MissingNames>,
    /// Results of name lookups for the supervisor.
    name_answers: Vec<NameAnswer>,
    full_logged: bool,
    /// Books are opened with the slugs of their markets: they are captured.
    names_books: bool,
}

impl Markets {
    pub(super) fn new(
        venue: Venue,
        registry: Registry,
        discovery: Discovery,
        lifecycle: Lifecycle,
    ) -> Self {
        Self {
            venue,
            registry,
            discovery,
            lifecycle,
            skips: Skips::default(),
            exchange: Exchange::default(),
            resolutions: Resolutions::default(),
            missing: None,
            name_answers: Vec::new(),
            full_logged: false,
            names_books: false,
        }
    }

    /// The same with slugs for the records of a capture.
    pub(super) const fn naming_books(mut self, is_captured: bool) -> Self {
        self.names_books = is_captured;
        self
    }

    /// Takes markets stored by an earlier run.
    pub(super) fn restore(&mut self, markets: Vec<MarketInfo>, now: Now) {
        info!("{} markets are known from the database", markets.len());
        let source = Some(Source::Catalog);
        let answer = Answer { markets, source, ..Answer::default() };
        self.lifecycle.on_answer(now, answer, &mut self.registry);
    }

    /// Runs one cycle.
    pub(super) fn step(&mut self, now: Now) -> MarketsStep {
        let mut step = MarketsStep::default();
        while let Some(line) = self.discovery.take_warning() {
            warn!("{line}");
            step.place_now = true;
        }
        if self.lifecycle.is_full(&self.registry) && self.discovery.end_scan(now) {
            step.place_now = true;
        }
        if let Some(path) = self.discovery.catalog().status_path()
            && self.exchange.poll(now.mono_ns)
        {
            step.requests.push(IoRequest::Status(path));
        }
        if let Some(request) = self.discovery.poll(now.mono_ns) {
            step.requests.push(IoRequest::Fetch(request.path));
        }
        let upkeep = self.lifecycle.poll(now, &mut self.registry);
        // Where another machine scans, it asks too.
        if self.discovery.is_scanning() == self.lifecycle.is_scanning() {
            self.discovery.confirm(upkeep.confirm);
            self.discovery.confirm(self.resolutions.poll(now.mono_ns));
        }
        step.actions = upkeep.actions;
        step
    }

    /// Result of a catalog request. True if a scan is complete: place pending markets now.
    pub(super) fn on_fetched(&mut self, fetched: Fetched, now: Now) -> bool {
        let page = fetched.into_body().and_then(|body| {
            let page = self.discovery.catalog().parse_page(&body);
            page.map_err(|error| FetchError::unreadable(error.to_string()))
        });
        match page {
            Ok(page) => {
                let answer = self.discovery.on_page(now, page);
                self.on_answer(answer, now)
            }
            Err(error) => {
                warn!("the catalog did not answer: {}; it is asked again", error.reason);
                let failure = Failure {
                    retry_after_ns: error.retry_after_ns(),
                    refused: error.status.is_some_and(|status| REFUSED.contains(&status)),
                    reason: error.reason,
                };
                if let Some(not_found) = self.discovery.on_failure(now.mono_ns, failure) {
                    self.on_not_found(not_found);
                }
                false
            }
        }
    }

    /// Response to an exchange status request, of any HTTP status.
    pub(super) fn on_status(&mut self, fetched: Fetched, now: Now) {
        let Fetched::Response { body, .. } = fetched else { return };
        let status = self.discovery.catalog().parse_status(&body);
        self.exchange.on_status(status, now);
    }

    pub(super) fn on_update(&mut self, update: MarketUpdate, now: Now) {
        self.lifecycle.on_market_update(now, update, &mut self.registry);
    }

    /// Takes what another member of the cluster has published of a market.
    pub(super) fn on_shared(&mut self, event: MarketEvent, now: Now) {
        if let Some(resolution) = &event.resolution {
            self.resolutions.on_closed(&event.info.market, resolution, now.wall_ns);
        }
        let takes_facts = !self.discovery.is_scanning();
        self.lifecycle.on_shared(now, event, takes_facts, &mut self.registry);
        let refused = self.lifecycle.take_refused();
        self.skips.on_asked(&refused);
    }

    /// Results of name lookups since the last call.
    pub(super) fn take_name_answers(&mut self) -> Vec<NameAnswer> {
        std::mem::take(&mut self.name_answers)
    }

    fn on_not_found(&mut self, NotFound { lookup, why }: NotFound) {
        let line = || format!("{lookup}: {why}; check the name with the venue");
        self.missing.get_or_insert_with(|| MissingNames { first: line(), count: 0 }).count += 1;
        self.name_answers.push(NameAnswer { lookup, missing: Some(why) });
    }

    fn on_answer(&mut self, mut answer: Answer, now: Now) -> bool {
        if let Some(not_found) = answer.not_found.take() {
            self.on_not_found(not_found);
        }
        if let Some(lookup) = answer.found.take() {
            self.name_answers.push(NameAnswer { lookup, missing: None });
        }
        let (scan, completed) = (answer.scan, answer.scan_completed);
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
        if completed {
            self.skips.complete();
        }
        if completed && scan == 1 {
            let known = self.registry.report();
            info!("catalog scan {scan}: {} markets, {} tokens", known.markets, known.tokens);
        }
        completed
    }

    /// Books with facts changed by the catalog, such as the smallest order of an announced market, by index of the
    /// shard.
    pub(super) fn take_redescribed(&mut self, shards: usize) -> Vec<(usize, Box<[NamedOpening]>)> {
        let mut tokens: Vec<Vec<TokenId>> = vec![Vec::new(); shards];
        for market in self.registry.take_redescribed() {
            let Some(record) = self.registry.market(&market) else { continue };
            let outcomes = record.info.tokens.iter().map(|outcome| outcome.token);
            tokens[usize::from(record.shard.0)].extend(outcomes);
        }
        let changed = tokens.iter().enumerate().filter(|(_, tokens)| !tokens.is_empty());
        changed.map(|(place, tokens)| (place, self.openings(tokens))).collect()
    }

    /// Facts that a shard needs to open the books of these tokens.
    pub(super) fn openings(&self, tokens: &[TokenId]) -> Box<[NamedOpening]> {
        let opening = |token: &TokenId| {
            let info = &self.registry.market_of(token)?.info;
            let opening = BookOpening {
                market: info.market,
                token: *token,
                tick_size: info.tick_size,
                min_order_size: info.min_order_size,
                neg_risk: info.neg_risk,
            };
            let slug = if self.names_books { info.slug.as_str() } else { "" };
            // An empty one is not allocated.
            Some(NamedOpening { opening, slug: slug.into() })
        };
        tokens.iter().filter_map(opening).collect()
    }

    /// Whether no further change of a market can follow.
    pub(super) fn is_forgotten(&self, market: &MarketId) -> bool {
        self.registry.market(market).is_none()
            && !self.resolutions.is_waiting(market)
            && self.lifecycle.scheduled_market(market).is_none()
    }

    /// Record of a changed market; its resolution is followed from here on.
    pub(super) fn changed_record(&mut self, market: &MarketId, now_ns: u64) -> Option<Record> {
        let record = self.registry.market(market)?.clone();
        self.resolutions.note(&record, now_ns);
        Some(record)
    }

    /// Why a book does not exist yet, for HTTP responses; `None` if its token is not followed.
    pub(super) fn why_awaited(
        &self,
        token: &TokenId,
        placement: &Placement,
        now: Now,
    ) -> Option<String> {
        let Some(record) = self.registry.market_of(token) else {
            let opens = self.lifecycle.scheduled_with(token).map(|info| {
                let start_ns = info.start_wall_ns.unwrap_or(0);
                let seconds = start_ns.saturating_sub(now.wall_ns) / SECOND_NS;
                format!("{} opens in {seconds} s", name_of(info))
            });
            return opens.or_else(|| self.discovery.is_asking(token));
        };
        let name = name_of(&record.info);
        match (record.status, record.connection) {
            (Status::Elsewhere | Status::Expired, _) => None,
            (Status::Pending, _) => {
                let room = !placement.shards_without_room().any(|shard| shard == record.shard);
                let why =
                    if room { "for others to share one with" } else { "and its shard has no more" };
                Some(format!("{name} waits for a connection {why}"))
            }
            (Status::Subscribed, Some(connection)) => {
                Some(format!("{name} is being opened on {}", placement.name(connection)))
            }
            (Status::Subscribed, None) => Some(format!("{name} is being opened")),
        }
    }

    /// Why no market is followed, if none is; `wanted` is the number of connections open or dialed.
    pub(super) fn why_none_followed(&self, wanted: u64) -> Option<String> {
        let known = self.registry.report();
        let scanning = self.lifecycle.is_scanning();
        let open = known.tokens_pending + known.tokens_subscribed + known.tokens_elsewhere;
        // A fixed table of connections is up before there is a market, and waits for the next scan's.
        if open > 0
            || self.lifecycle.scheduled() > 0
            || (scanning && wanted > 0)
            || self.lifecycle.awaits_clients()
        {
            return None;
        }
        let why = match &self.missing {
            Some(MissingNames { first, count: 1 }) => first.clone(),
            Some(MissingNames { first, count }) => format!("{first} ({count} such names)"),
            None if known.markets > 0 => "all that were known are over".into(),
            None if !scanning => "the venue has not answered about those that were named".into(),
            None if self.report().scans_completed > 0 => "the catalog lists no open market".into(),
            None => "the first scan of the catalog has not ended".into(),
        };
        Some(format!("no market is followed: {why}"))
    }

    /// Logs, once per occurrence, that the registry is full.
    pub(super) fn warn_if_full(&mut self) {
        let full = self.lifecycle.is_above_bound();
        if full && !self.full_logged {
            warn!(
                "more than {} markets are listed: those beyond are not followed; name fewer",
                self.registry.markets_max()
            );
        }
        self.full_logged = full;
    }

    /// Counters of discovery, lifecycle and skipped markets.
    pub(super) fn report(&self) -> LifecycleReport {
        let mut report = LifecycleReport::default();
        self.discovery.report(&mut report);
        self.lifecycle.report(&mut report);
        report.markets_listed = self.skips.open();
        report.skipped = self.skips.report(self.venue.name());
        report
    }
}

/// A log line about the first market of its reason; others are only counted.
fn log_skipped(venue: Venue, skipped: &Skipped) {
    let (venue, why) = (venue.name(), skipped.reason.explanation());
    let name = skipped.reason.name();
    if skipped.reason.is_drift() {
        warn!(
            "{venue} market {skipped} is not followed: {why}; others are counted as {name} in /stats, \
             look whether the venue has changed its catalog"
        );
    } else {
        info!(
            "{venue} market {skipped} is not followed: {why}; others are counted as {name} in /stats"
        );
    }
}

/// Slug of a market, or its id.
fn name_of(info: &MarketInfo) -> String {
    if info.slug.is_empty() { info.market.to_string() } else { info.slug.clone() }
}
