//! Discovery: the next catalog page to request, and what a response means.
//!
//! Runs on:  control core (pure; times are monotonic nanoseconds).
//! Owns:     scan position, lookups of single markets, request pacing.
//! Bounds:   one request outstanding, [`limits::DISCOVERY_PAGES_PER_SECOND`],
//!           [`limits::DISCOVERY_PAGES_MAX`] pages per scan, [`limits::LOOKUPS_MAX`] lookups.
//!
//! A scan begins every [`limits::DISCOVERY_INTERVAL_NS`]. A page that fails is requested again after a backoff. A scan
//! ends at the last page, at a page that fails [`limits::SCAN_ATTEMPTS_MAX`] times, at a cursor seen before, or after
//! [`limits::PAGES_WITHOUT_NEW_MAX`] pages in a row that begin like an earlier one. Markets named by a user come first;
//! markets that may have closed are requested between scans.
#[cfg(test)]
mod tests;

use crate::base::condition;
use crate::base::id::{MarketId, TokenId};
use crate::base::limits;
use crate::base::random::Random;
use crate::base::time::{Now, SECOND_NS};
use crate::control::registry::Source;
use crate::counter::report::LifecycleReport;
use crate::market::info::{Closed, MarketInfo};
use crate::session::backoff::Backoff;
use crate::venue::Feed;
use crate::venue::catalog::{Cursor, Page};
use crate::venue::skip::{SkipReason, Skipped};
use std::collections::{BTreeMap, HashSet, VecDeque};

/// A catalog request. [`Discovery::on_page`] or [`Discovery::on_failure`] must follow before the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Path and query, percent-encoded.
    pub path: String,
}

/// A market named by a user.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Lookup {
    /// By its id.
    Market(MarketId),
    /// By slug or ticker.
    Slug(String),
    /// By one of its tokens.
    Token(TokenId),
}

/// A request failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// Text, as in `HTTP 503`.
    pub reason: String,
    /// Pause requested by the venue, nanoseconds.
    pub retry_after_ns: Option<u64>,
    /// The venue refused the request itself (400, 404, 410, 422): a lookup would be refused again.
    pub refused: bool,
}

/// A named market without a book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotFound {
    /// The name.
    pub lookup: Lookup,
    /// The reason as text.
    pub why: String,
}

/// Response of a venue about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAnswer {
    /// The name.
    pub lookup: Lookup,
    /// Why it has no book, as text; `None` if it has one.
    pub missing: Option<String>,
}

/// Content of a catalog response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Trading markets.
    pub markets: Vec<MarketInfo>,
    /// Source of the request; `None` for an unexpected, empty response.
    pub source: Option<Source>,
    /// Entries not followed, with reasons.
    pub skipped: Vec<Skipped>,
    /// Closed markets.
    pub closed: Vec<Closed>,
    /// Scan of this page, from 1; 0 if of none.
    pub scan: u64,
    /// Last page of its scan: place pending markets now.
    pub scan_completed: bool,
    /// A named market without a book.
    pub not_found: Option<NotFound>,
    /// Name that these markets answer.
    pub found: Option<Lookup>,
}

/// Reason for a market missing in the response.
const NOT_LISTED: &str = "the venue lists no such open market";

#[derive(Clone, Debug)]
enum Task {
    Page,
    Lookup(Question),
    Confirm(Vec<MarketId>),
}

/// A lookup with its own backoff, so that a failing one does not delay others.
#[derive(Clone, Debug)]
struct Question {
    lookup: Lookup,
    backoff: Backoff,
    /// The less likely kind of a token is looked up, because the likely one was not found for this reason.
    other: Option<String>,
}

impl Question {
    const fn new(lookup: Lookup) -> Self {
        Self { lookup, backoff: Backoff::new(), other: None }
    }

    fn path(&self, catalog: Feed) -> String {
        match &self.lookup {
            Lookup::Market(market) => catalog.market_path(market),
            Lookup::Slug(slug) => catalog.slug_path(slug),
            Lookup::Token(token) => catalog.token_path(token, self.other.is_some()),
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Scan {
    cursor: Cursor,
    cursors: HashSet<Cursor>,
    /// First markets of its pages, and pages in a row that began with one of them.
    firsts: HashSet<MarketId>,
    repeated: usize,
    pages: usize,
    attempts: u32,
    skipped: u64,
}

/// Schedules catalog requests; sends nothing itself.
#[derive(Clone, Debug)]
pub struct Discovery {
    catalog: Feed,
    scanning: bool,
    random: Random,
    /// By due time, then in order of arrival.
    questions: BTreeMap<(u64, u64), Question>,
    asked: u64,
    confirms: VecDeque<MarketId>,
    confirms_queued: HashSet<MarketId>,
    outstanding: Option<Task>,
    scan: Option<Scan>,
    scans_begun: u64,
    next_scan_ns: u64,
    /// Backoff of scan pages and confirmations, and its end.
    backoff: Backoff,
    retry_ns: u64,
    /// Pacing and `Retry-After` of all requests.
    not_before_ns: u64,
    /// Start of the first scan; end of the last complete one.
    begun_ns: Option<u64>,
    completed_ns: Option<u64>,
    /// Why the present or last scan failed; empty after a complete one.
    scan_error: String,
    /// Scan failures logged since the last complete scan.
    warned: HashSet<&'static str>,
    warnings: VecDeque<String>,
    counts: LifecycleReport,
}

/// Decimal digits from which a name is a token id (uint256) and no slug.
const TOKEN_DIGITS_MIN: usize = 20;

impl Lookup {
    /// What `--market` names: a condition id (`0x` and 62 or 64 hexadecimal digits), a token id ([`TOKEN_DIGITS_MIN`]
    /// or more decimal digits) or else a slug or a ticker.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        if text.len() >= TOKEN_DIGITS_MIN
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && let Some(token) = TokenId::new(text)
        {
            return Self::Token(token);
        }
        match condition::market_id(text) {
            Some(market) if condition::is_condition(text) => Self::Market(market),
            _ => Self::Slug(text.to_owned()),
        }
    }

    fn names(&self, info: &MarketInfo) -> bool {
        match self {
            Self::Market(market) => info.market == *market,
            Self::Slug(slug) => info.slug == *slug,
            Self::Token(token) => info.tokens.iter().any(|outcome| outcome.token == *token),
        }
    }
}

impl std::fmt::Display for Lookup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Market(market) => write!(f, "market {market}"),
            Self::Slug(slug) => write!(f, "market {slug}"),
            Self::Token(token) => write!(f, "token {token}"),
        }
    }
}

impl Discovery {
    /// No request. Without `scanning` only [`Discovery::look_up`] and [`Discovery::confirm`] cause requests. `seed`
    /// determines the jitter.
    #[must_use]
    pub fn new(catalog: Feed, scanning: bool, seed: u64) -> Self {
        Self {
            catalog,
            scanning,
            random: Random::new(seed),
            questions: BTreeMap::new(),
            asked: 0,
            confirms: VecDeque::new(),
            confirms_queued: HashSet::new(),
            outstanding: None,
            scan: None,
            scans_begun: 0,
            next_scan_ns: 0,
            backoff: Backoff::up_to(limits::SCAN_BACKOFF_MAX_NS),
            retry_ns: 0,
            not_before_ns: 0,
            begun_ns: None,
            completed_ns: None,
            scan_error: String::new(),
            warned: HashSet::new(),
            warnings: VecDeque::new(),
            counts: LifecycleReport::default(),
        }
    }

    /// Scans from now on, at once; or no longer, because another machine does. Named markets are looked up in any case.
    pub fn set_scanning(&mut self, scanning: bool) {
        self.scanning = scanning;
        (self.scan, self.begun_ns, self.completed_ns, self.next_scan_ns) = (None, None, None, 0);
        self.confirms.clear();
        self.confirms_queued.clear();
        self.counts.last_error.clear();
        self.scan_error.clear();
    }

    /// Whether it scans.
    pub const fn is_scanning(&self) -> bool {
        self.scanning
    }

    /// End of the last complete scan, nanoseconds since the Unix epoch; 0 before the first.
    pub const fn scanned_wall_ns(&self) -> u64 {
        self.counts.last_scan_wall_ns
    }

    /// The venue.
    pub const fn catalog(&self) -> Feed {
        self.catalog
    }

    /// Whether a name has the form of a market of this venue.
    pub fn may_have(&self, lookup: &Lookup) -> bool {
        match lookup {
            Lookup::Market(market) => self.catalog.may_list(market.as_str()),
            Lookup::Slug(slug) => self.catalog.may_list(slug),
            Lookup::Token(token) => self.catalog.may_have_token(token),
        }
    }

    /// Looks up a market until the venue has responded. False if too many lookups are queued.
    pub fn look_up(&mut self, lookup: Lookup) -> bool {
        let room = self.questions.len() < limits::LOOKUPS_MAX;
        if room {
            self.ask(0, Question::new(lookup));
        }
        room
    }

    /// Requests the state of these markets between scans. Those beyond [`limits::LOOKUPS_MAX`] are dropped until the
    /// next scan.
    pub fn confirm(&mut self, markets: impl IntoIterator<Item = MarketId>) {
        for market in markets {
            if self.confirms.len() < limits::LOOKUPS_MAX && self.confirms_queued.insert(market) {
                self.confirms.push_back(market);
            }
        }
    }

    /// The request to send now.
    pub fn poll(&mut self, now_ns: u64) -> Option<Request> {
        if self.next_due(now_ns).is_none_or(|due_ns| due_ns > now_ns) {
            return None;
        }
        let question = self.questions.first_entry().filter(|first| first.key().0 <= now_ns);
        let task = if let Some(question) = question {
            Task::Lookup(question.remove())
        } else if self.scan.is_none() && !self.confirms.is_empty() {
            let count = self.catalog.confirm_count(&mut self.confirms.iter());
            let batch: Vec<MarketId> = self.confirms.drain(..count).collect();
            batch.iter().for_each(|market| _ = self.confirms_queued.remove(market));
            Task::Confirm(batch)
        } else {
            if self.scan.is_none() {
                self.scan = Some(Scan::default());
                self.begun_ns.get_or_insert(now_ns);
                self.scans_begun += 1;
                self.next_scan_ns = now_ns + limits::DISCOVERY_INTERVAL_NS;
            }
            Task::Page
        };
        let path = match &task {
            Task::Page => {
                let cursor = self.scan.as_ref().map(|scan| scan.cursor.clone());
                self.catalog.scan_path(&cursor.unwrap_or_default())
            }
            Task::Lookup(question) => question.path(self.catalog),
            Task::Confirm(markets) => self.catalog.confirm_path(markets),
        };
        self.outstanding = Some(task);
        self.not_before_ns =
            now_ns + SECOND_NS / self.catalog.capabilities().catalog_requests_per_second;
        Some(Request { path })
    }

    /// Takes the response to the outstanding request; an unexpected one is ignored.
    pub fn on_page(&mut self, now: Now, page: Page) -> Answer {
        let Some(task) = self.outstanding.take() else { return Answer::default() };
        self.counts.last_error.clear();
        self.counts.pages += 1;
        if !matches!(task, Task::Lookup(_)) {
            self.backoff.reset();
        }
        match task {
            Task::Page => self.on_scan_page(now, page),
            Task::Confirm(_) => {
                // Those that trade after all are left to the next scan.
                let (closed, source) = (page.closed, Some(Source::Catalog));
                Answer { closed, source, ..Answer::default() }
            }
            Task::Lookup(question) => self.on_found(now, question, page),
        }
    }

    /// Takes the response to a lookup.
    fn on_found(&mut self, now: Now, question: Question, page: Page) -> Answer {
        let Page { mut markets, skipped, closed, .. } = page;
        markets.retain(|info| question.lookup.names(info));
        let mut answer =
            Answer { closed, skipped, source: Some(Source::Manual), ..Answer::default() };
        if markets.is_empty() {
            let why = match answer.skipped.first() {
                Some(skipped) => format!("it is listed but {}", skipped.reason.explanation()),
                None if !answer.closed.is_empty() => "it is closed".to_owned(),
                None => NOT_LISTED.to_owned(),
            };
            answer.not_found = self.on_nothing(now.mono_ns, question, why);
        } else {
            answer.found = Some(question.lookup);
        }
        Answer { markets, ..answer }
    }

    /// A lookup found no market: tries the other kind of a token.
    fn on_nothing(&mut self, now_ns: u64, question: Question, why: String) -> Option<NotFound> {
        let Question { lookup, other, .. } = question;
        match other {
            None if matches!(lookup, Lookup::Token(_)) && self.catalog.has_other_tokens() => {
                self.ask(now_ns, Question { other: Some(why), ..Question::new(lookup) });
                None
            }
            // The reason of the first answer says more than "not listed".
            Some(first) if why == NOT_LISTED => Some(NotFound { lookup, why: first }),
            _ => Some(NotFound { lookup, why }),
        }
    }

    /// The outstanding request failed: repeated after a backoff and the pause of the venue. A named market that the
    /// venue refuses is not found.
    pub fn on_failure(&mut self, now_ns: u64, failure: Failure) -> Option<NotFound> {
        let task = self.outstanding.take()?;
        self.counts.requests_failed += 1;
        let pause_ns = failure.retry_after_ns.unwrap_or(0).min(limits::RETRY_AFTER_MAX_NS);
        self.not_before_ns = self.not_before_ns.max(now_ns + pause_ns);
        self.counts.last_error.clone_from(&failure.reason);
        match task {
            Task::Lookup(question) if failure.refused => {
                return self.on_nothing(now_ns, question, failure.reason);
            }
            Task::Lookup(mut question) => {
                let delay_ns = question.backoff.next_delay_ns(&mut self.random);
                self.ask(now_ns + delay_ns, question);
                return None;
            }
            Task::Page => {
                let attempts = self.scan.as_mut().map_or(0, |scan| {
                    scan.attempts += 1;
                    scan.attempts
                });
                self.scan_error.clone_from(&failure.reason);
                if attempts >= limits::SCAN_ATTEMPTS_MAX {
                    self.give_up(&failure.reason);
                }
            }
            Task::Confirm(markets) if !failure.refused => self.confirm(markets),
            Task::Confirm(_) => {}
        }
        self.retry_ns = now_ns + self.backoff.next_delay_ns(&mut self.random);
        None
    }

    /// No more markets are wanted: a running scan counts as complete. True if there was one: place pending markets now.
    pub fn end_scan(&mut self, now: Now) -> bool {
        let ends = self.scan.is_some() && !matches!(self.outstanding, Some(Task::Page));
        if ends {
            self.complete(now);
        }
        ends
    }

    /// Whether every lookup was answered.
    pub fn is_idle(&self) -> bool {
        self.questions.is_empty() && !matches!(self.outstanding, Some(Task::Lookup(_)))
    }

    /// When [`Discovery::poll`] returns a request if nothing else happens; `None` while one is outstanding or none is
    /// needed.
    pub fn next_due(&self, now_ns: u64) -> Option<u64> {
        if self.outstanding.is_some() {
            return None;
        }
        let question_ns = self.questions.first_key_value().map(|(&(due_ns, _), _)| due_ns);
        let catalog_ns = if self.scan.is_some() || !self.confirms.is_empty() {
            Some(self.retry_ns)
        } else {
            self.scanning.then(|| self.next_scan_ns.max(self.retry_ns))
        };
        let due_ns = [question_ns, catalog_ns].into_iter().flatten().min()?;
        Some(due_ns.max(self.not_before_ns).max(now_ns))
    }

    /// Next log line about scans; each one once per complete scan.
    pub fn take_warning(&mut self) -> Option<String> {
        self.warnings.pop_front()
    }

    /// Why no scan has completed for [`limits::SCAN_LATE_NS`], as text.
    pub fn is_late(&self, now_ns: u64) -> Option<String> {
        let since_ns = self.completed_ns.or(self.begun_ns).filter(|_| self.scanning)?;
        let late_ns = now_ns.saturating_sub(since_ns);
        let why = if self.scan_error.is_empty() { "it goes on" } else { &self.scan_error };
        let seconds = late_ns / SECOND_NS;
        let line = format!(
            "no scan of the catalog has completed for {seconds} s ({why}): new markets are missed; see the log"
        );
        (late_ns >= limits::SCAN_LATE_NS).then_some(line)
    }

    /// Pending request that may bring this token, as text: a named market or the first scan.
    pub fn is_asking(&self, token: &TokenId) -> Option<String> {
        let outstanding = match &self.outstanding {
            Some(Task::Lookup(question)) => Some(&question.lookup),
            _ => None,
        };
        let mut lookups =
            self.questions.values().map(|question| &question.lookup).chain(outstanding);
        let names = |lookup: &&Lookup| !matches!(lookup, Lookup::Token(other) if other != token);
        let what = match lookups.find(names) {
            Some(lookup) => format!("{lookup} is being looked up"),
            None if self.scanning && self.counts.scans_completed == 0 => {
                "the catalog is being read for the first time".to_owned()
            }
            None => return None,
        };
        let error = &self.counts.last_error;
        Some(if error.is_empty() { what } else { format!("{what}; the last answer was: {error}") })
    }

    /// Adds its counters to the report: scans, pages, failures, skipped entries.
    pub fn report(&self, report: &mut LifecycleReport) {
        report.scans_completed = self.counts.scans_completed;
        report.scans_failed = self.counts.scans_failed;
        report.pages = self.counts.pages;
        report.requests_failed = self.counts.requests_failed;
        report.last_scan_wall_ns = self.counts.last_scan_wall_ns;
        report.last_error.clone_from(&self.counts.last_error);
        // Of the last complete scan; of the present one as long as there was none.
        let present = self.scan.as_ref().map_or(0, |scan| scan.skipped);
        let first = self.counts.scans_completed == 0;
        report.markets_skipped = if first { present } else { self.counts.markets_skipped };
    }

    fn ask(&mut self, due_ns: u64, question: Question) {
        self.asked += 1;
        self.questions.insert((due_ns, self.asked), question);
    }

    fn on_scan_page(&mut self, now: Now, mut page: Page) -> Answer {
        let catalog = self.catalog;
        let left_out = page.markets.extract_if(.., |info| catalog.excludes(&info.market));
        let left_out = left_out.map(|i| Skipped::new(Some(i.market), "", SkipReason::Combo));
        page.skipped.extend(left_out);
        let skipped = page.skipped.len() as u64;
        let mut answer = Answer {
            markets: page.markets,
            skipped: page.skipped,
            source: Some(Source::Catalog),
            closed: page.closed,
            scan: self.scans_begun,
            ..Answer::default()
        };
        let Some(scan) = &mut self.scan else { return answer };
        scan.pages += 1;
        scan.attempts = 0;
        scan.skipped += skipped;
        if let Some(first) = answer.markets.first() {
            let is_new = scan.firsts.insert(first.market);
            scan.repeated = if is_new { 0 } else { scan.repeated + 1 };
        }
        match self.catalog.next_cursor(&scan.cursor, page.next_cursor) {
            None => {
                self.complete(now);
                answer.scan_completed = true;
            }
            Some(cursor) if cursor.bytes() > limits::CURSOR_BYTES_MAX => {
                self.break_off("the venue's cursor is too long");
            }
            Some(_) if scan.pages >= limits::DISCOVERY_PAGES_MAX => {
                self.break_off("the scan has more pages than it may have");
            }
            Some(_) if scan.repeated >= limits::PAGES_WITHOUT_NEW_MAX => {
                self.break_off("the venue's pages repeat without end");
            }
            Some(cursor) if !scan.cursors.insert(cursor.clone()) => {
                self.break_off("the venue's cursors lead in a circle");
            }
            Some(cursor) => scan.cursor = cursor,
        }
        answer
    }

    fn complete(&mut self, now: Now) {
        if let Some(scan) = self.scan.take() {
            self.counts.scans_completed += 1;
            self.counts.markets_skipped = scan.skipped;
            self.counts.last_scan_wall_ns = now.wall_ns;
            self.completed_ns = Some(now.mono_ns);
            self.scan_error.clear();
            self.warned.clear();
        }
    }

    /// The pages of the venue have no end.
    fn break_off(&mut self, why: &'static str) {
        if self.warned.insert(why) {
            let pages = self.scan.as_ref().map_or(0, |scan| scan.pages);
            self.warnings.push_back(format!(
                "the catalog's scan is given up after {pages} pages: {why}; markets that it did not reach are \
                 missing, and the next scan tries again"
            ));
        }
        self.give_up(why);
    }

    fn give_up(&mut self, why: &str) {
        self.scan = None;
        self.counts.scans_failed += 1;
        why.clone_into(&mut self.counts.last_error);
        why.clone_into(&mut self.scan_error);
    }
}
