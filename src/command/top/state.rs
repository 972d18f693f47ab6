//! State of `ringbook top`: answers in, requests out; [`keys`] has what a person does.
//!
//! Runs on:  main thread (pure; time is an argument).
mod keys;

use super::answer::{
    Book, Condition, Histograms, HostReport, Market, MarketPage, Refusal, Trade, parse,
};
use super::figure::Theme;
use crate::base::text::percent_encode;
use crate::base::time::{MINUTE_NS, Now, SECOND_NS};
use crate::counter::report::{ConnectionReport, EngineReport};
use ratatui::layout::Rect;
use ratatui::widgets::TableState;
use serde::de::DeserializeOwned;
use std::collections::{HashMap, VecDeque};

/// Markets of one search.
const FOUND_MAX: usize = 100;
/// Time after which the same search is asked again: an engine looks at every market for it.
const SEARCH_INTERVAL_NS: u64 = 5 * SECOND_NS;
const KEPT_MAX: usize = 300;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Overview,
    Connections,
    Markets,
    Latency,
}

impl View {
    pub(super) const ALL: [(Self, &'static str); 4] = [
        (Self::Overview, " 1 Overview "),
        (Self::Connections, " 2 Connections "),
        (Self::Markets, " 3 Markets "),
        (Self::Latency, " 4 Latency "),
    ];

    fn step(self, by: usize) -> Self {
        let at = Self::ALL.iter().position(|(view, _)| *view == self).unwrap_or(0);
        Self::ALL[(at + by) % Self::ALL.len()].0
    }
}

/// A request to the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Stats,
    Conditions,
    Host,
    Latency,
    /// Markets that have these words.
    Search(String),
    /// The market of a token, its book, its trades.
    Market(String),
    Book(String),
    Trades(String),
    /// Replace a connection: `POST`.
    Recycle(u32),
}

impl Ask {
    pub(super) fn path(&self) -> String {
        match self {
            Self::Stats => "/stats".into(),
            Self::Conditions => "/conditions".into(),
            Self::Host => "/host".into(),
            Self::Latency => "/latency".into(),
            Self::Search(words) => format!("/markets?limit={FOUND_MAX}&q={}", encoded(words)),
            Self::Market(token) => format!("/market?token_id={}", encoded(token)),
            Self::Book(token) => format!("/book?token_id={}", encoded(token)),
            Self::Trades(token) => format!("/trades?token_id={}", encoded(token)),
            Self::Recycle(id) => format!("/admin/recycle?connection={id}"),
        }
    }

    pub(super) const fn is_command(&self) -> bool {
        matches!(self, Self::Recycle(_))
    }
}

/// A value in the query of a URL.
fn encoded(text: &str) -> String {
    let mut url = String::with_capacity(text.len());
    percent_encode(text, &mut url);
    url
}

/// An answer: HTTP status and body; or one line why there is none.
pub(super) type Reply = Result<(u16, Vec<u8>), String>;

/// The content of an answer.
///
/// # Errors
/// One line: there is no answer, it is a refusal, or it is not what this version reads.
pub(super) fn read<T: DeserializeOwned>(reply: Reply) -> Result<T, String> {
    let (status, body) = reply?;
    if !matches!(status, 200..=299) {
        let refusal = parse::<Refusal>(&body).map(|refusal| refusal.error);
        return Err(refusal.unwrap_or_else(|_| format!("HTTP {status}")));
    }
    parse(&body)
}

/// Rates a second, all shards together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rates {
    pub(super) messages: f64,
    pub(super) changes: f64,
    pub(super) trades: f64,
}

/// Counters of a shard at its heartbeat, and their growth since the one before.
#[derive(Clone, Copy, Debug, Default)]
struct Beat {
    wall_ns: u64,
    counts: [u64; 3],
    rates: [f64; 3],
}

#[derive(Debug)]
pub(super) struct OpenMarket {
    pub(super) market: Market,
    /// By token; or why there is none.
    pub(super) books: HashMap<String, Result<Book, String>>,
    pub(super) trades: Vec<Trade>,
}

/// Everything that is shown, and what is asked for next.
#[derive(Debug)]
pub(super) struct App {
    pub(super) url: String,
    pub(super) interval_ns: u64,
    pub(super) theme: Theme,
    pub(super) view: View,
    pub(super) report: Option<EngineReport>,
    pub(super) received_ns: u64,
    /// Why the engine does not answer, while it does not.
    pub(super) failure: Option<String>,
    pub(super) rates: VecDeque<Rates>,
    beats: HashMap<u16, Beat>,
    pub(super) conditions: Vec<Condition>,
    pub(super) host: Option<HostReport>,
    host_due_ns: u64,
    /// First line of the overview, and its lines below the last one that is seen.
    pub(super) scroll: usize,
    pub(super) scroll_max: usize,
    pub(super) connections: TableState,
    /// The connection whose recycle a person is to confirm.
    pub(super) confirm: Option<u32>,
    pub(super) note: String,
    pub(super) words: String,
    pub(super) is_typing: bool,
    pub(super) found: MarketPage,
    /// Why the last search or question about a market failed.
    pub(super) problem: String,
    pub(super) markets: TableState,
    pub(super) open: Option<OpenMarket>,
    pub(super) latency: VecDeque<Histograms>,
    pub(super) stages: TableState,
    pub(super) since_start: bool,
    /// Where the rows of the view's table are, for the mouse.
    pub(super) rows: Rect,
    due_ns: u64,
    search_due_ns: u64,
    outstanding: usize,
    commands: Vec<Ask>,
    pub(super) is_over: bool,
}

impl App {
    pub(super) fn new(url: String, interval_ns: u64, theme: Theme) -> Self {
        let first = || TableState::new().with_selected(Some(0));
        Self {
            url,
            interval_ns,
            theme,
            view: View::Overview,
            report: None,
            received_ns: 0,
            failure: None,
            rates: VecDeque::new(),
            beats: HashMap::new(),
            conditions: Vec::new(),
            host: None,
            host_due_ns: 0,
            scroll: 0,
            scroll_max: 0,
            connections: first(),
            confirm: None,
            note: String::new(),
            words: String::new(),
            is_typing: false,
            found: MarketPage::default(),
            problem: String::new(),
            markets: first(),
            open: None,
            latency: VecDeque::new(),
            stages: first(),
            since_start: false,
            rows: Rect::ZERO,
            due_ns: 0,
            search_due_ns: 0,
            outstanding: 0,
            commands: Vec::new(),
            is_over: false,
        }
    }

    /// What to request now. Nothing while an answer is outstanding, but for commands; only `/stats` while the engine
    /// does not answer.
    pub(super) fn asks(&mut self, now_ns: u64) -> Vec<Ask> {
        let mut asks = std::mem::take(&mut self.commands);
        if self.outstanding == 0 && now_ns >= self.due_ns {
            self.due_ns = now_ns + self.interval_ns;
            asks.push(Ask::Stats);
            if self.failure.is_none() {
                self.add_asks_of_view(now_ns, &mut asks);
            }
        }
        self.outstanding += asks.len();
        asks
    }

    fn add_asks_of_view(&mut self, now_ns: u64, asks: &mut Vec<Ask>) {
        if self.conditions.is_empty() {
            asks.push(Ask::Conditions);
        }
        match self.view {
            View::Overview if now_ns >= self.host_due_ns => {
                self.host_due_ns = now_ns + MINUTE_NS;
                asks.push(Ask::Host);
            }
            View::Overview | View::Connections => {}
            View::Markets => {
                if self.open.is_none() && now_ns >= self.search_due_ns {
                    self.search_due_ns = now_ns + SEARCH_INTERVAL_NS;
                    asks.push(Ask::Search(self.words.clone()));
                }
                if let Some(open) = &self.open {
                    let tokens = || open.market.tokens.iter().map(|outcome| outcome.token.clone());
                    asks.extend(tokens().map(Ask::Book));
                    asks.extend(
                        tokens()
                            .take(1)
                            .flat_map(|token| [Ask::Market(token.clone()), Ask::Trades(token)]),
                    );
                }
            }
            View::Latency => asks.push(Ask::Latency),
        }
    }

    pub(super) fn on_answer(&mut self, ask: Ask, reply: Reply, now: Now) {
        self.outstanding = self.outstanding.saturating_sub(1);
        match ask {
            Ask::Stats => match read(reply) {
                Ok(report) => self.on_report(report, now),
                Err(why) => self.failure = Some(self.without_url(why)),
            },
            // Asked again, if there is none.
            Ask::Conditions => self.conditions = read(reply).unwrap_or_default(),
            Ask::Host => match read(reply) {
                Ok(host) => self.host = Some(host),
                Err(_) => self.host_due_ns = now.mono_ns + 5 * SECOND_NS,
            },
            Ask::Latency => {
                if let Ok(answer) = read(reply) {
                    self.on_latency(answer);
                }
            }
            Ask::Search(words) if words == self.words => match read(reply) {
                Ok(found) => (self.found, self.problem) = (found, String::new()),
                Err(why) => self.problem = self.without_url(why),
            },
            // Of words that were typed on.
            Ask::Search(_) => {}
            Ask::Market(_) | Ask::Book(_) | Ask::Trades(_) => self.on_market(ask, reply),
            Ask::Recycle(id) => {
                self.due_ns = 0;
                self.note = match read::<serde::de::IgnoredAny>(reply) {
                    Ok(_) => format!("connection {id}: the recycle is queued"),
                    Err(why) => format!("connection {id}: {}", self.without_url(why)),
                };
            }
        }
    }

    pub(super) fn without_url(&self, why: String) -> String {
        let rest = why.strip_prefix(self.url.as_str());
        rest.and_then(|rest| rest.split_once(": ")).map_or(why.clone(), |(_, text)| text.to_owned())
    }

    fn on_report(&mut self, report: EngineReport, now: Now) {
        let is_other = |before: &EngineReport| before.started_wall_ns != report.started_wall_ns;
        if self.report.as_ref().is_none_or(is_other) {
            self.rates.clear();
            self.beats.clear();
            self.conditions.clear();
        }
        let mut sum = [0.0; 3];
        let is_first = self.beats.is_empty();
        for shard in &report.shards {
            let counts = [shard.intake.messages, shard.books.updates, shard.books.trades];
            let beat = self.beats.entry(shard.shard).or_default();
            let ns = shard.heartbeat_wall_ns.saturating_sub(beat.wall_ns);
            if beat.wall_ns > 0 && ns > 0 {
                // A shard that has started again counts from zero.
                let rate =
                    |at: usize| counts[at].saturating_sub(beat.counts[at]) as f64 * 1e9 / ns as f64;
                beat.rates = [rate(0), rate(1), rate(2)];
            }
            (beat.wall_ns, beat.counts) = (shard.heartbeat_wall_ns, counts);
            sum.iter_mut().zip(beat.rates).for_each(|(sum, rate)| *sum += rate);
        }
        if !is_first {
            let [messages, changes, trades] = sum;
            push(&mut self.rates, Rates { messages, changes, trades });
        }
        self.report = Some(report);
        self.received_ns = now.mono_ns;
        self.failure = None;
    }

    fn on_latency(&mut self, answer: Histograms) {
        if self.latency.back().is_some_and(|before| before.started_ms != answer.started_ms) {
            self.latency.clear();
        }
        push(&mut self.latency, answer);
    }

    fn on_market(&mut self, ask: Ask, reply: Reply) {
        let Some(open) = &mut self.open else { return };
        let has = |token: &str| open.market.tokens.iter().any(|outcome| outcome.token == token);
        match ask {
            Ask::Market(token) if has(&token) => match read(reply) {
                Ok(market) => open.market = market,
                Err(why) => self.problem = why,
            },
            Ask::Book(token) if has(&token) => {
                open.books.insert(token, read(reply));
            }
            Ask::Trades(token) if has(&token) => open.trades = read(reply).unwrap_or_default(),
            _ => {}
        }
    }

    pub(super) fn shown_tokens(&self) -> Vec<String> {
        let market = self.open.as_ref().map(|open| &open.market);
        market.into_iter().flat_map(|market| &market.tokens).map(|one| one.token.clone()).collect()
    }

    pub(super) fn selected_connection(&self) -> Option<&ConnectionReport> {
        self.report.as_ref()?.pool.connections.get(self.connections.selected()?)
    }

    /// The connection whose recycle is to be confirmed.
    pub(super) fn questioned_connection(&self) -> Option<&ConnectionReport> {
        let connections = &self.report.as_ref()?.pool.connections;
        connections.iter().find(|one| Some(one.id) == self.confirm)
    }

    /// What to do about a line of `/health`, which may begin with the name of a venue.
    pub(super) fn remedy(&self, line: &str) -> &str {
        let without_venue = line.split_once(": ").map_or(line, |(_, rest)| rest);
        let find = |line: &str| self.conditions.iter().find(|condition| condition.is(line));
        find(line).or_else(|| find(without_venue)).map_or("", |condition| &condition.remedy)
    }
}

fn push<T>(kept: &mut VecDeque<T>, value: T) {
    kept.push_back(value);
    if kept.len() > KEPT_MAX {
        kept.pop_front();
    }
}
