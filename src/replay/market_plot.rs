//! One market of a recording as a plot: finds it by any of its names and aggregates its books.
//!
//! Runs on:  the replay's one shard; the starting thread before and after.
//! Bounds:   one count a market, [`crate::plot::market`] for each book of the one that is drawn.
use super::annotations::market_named;
use super::lines::Lines;
use super::plan::Plan;
use super::{ReplayError, run};
use crate::base::id::{MarketId, TokenId};
use crate::base::text::counted;
use crate::capture::line::{AnnotationRecord, Record, What};
use crate::io::file::{self, Source};
use crate::io::progress::Progress;
use crate::market::book::{BookState, Level, Side};
use crate::market::event::Trade;
use crate::market::info::MarketInfo;
use crate::plot::market::{Caption, DepthLevel, MarketDay, MarketSide, render};
use crate::shard::publish::{BookView, Change, Handler, MarketView};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Markets that an error line names.
const NAMED_MAX: usize = 5;

/// Which book is drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Slug, condition id, token id or ticker; `None` for the only market of the recording.
    pub market: Option<String>,
    /// Number of the outcome, from 1, or its name; the first one if there is none. Not with a token.
    pub outcome: Option<String>,
}

/// A plot, and what it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketPlot {
    /// SVG.
    pub svg: String,
    /// One line.
    pub summary: String,
    /// Faults of the input, one line each.
    pub failures: Vec<String>,
}

#[derive(Debug)]
struct Book {
    token: TokenId,
    market: MarketId,
    tick: Option<u32>,
    day: MarketDay,
}

/// What is known of the recording's markets.
#[derive(Debug, Default)]
struct Found {
    wanted: Option<String>,
    /// Events of each market.
    markets: HashMap<MarketId, u64>,
    /// The wanted market, as it was announced.
    info: Option<MarketInfo>,
    /// The market that has the wanted name in the capture's records of opened books.
    named: Option<MarketId>,
    books: Vec<Book>,
    last_ns: u64,
}

/// Shared by the successive books of a replay and the starting thread; never contended.
#[derive(Clone, Debug)]
struct Plotter {
    found: Arc<Mutex<Found>>,
}

impl Plotter {
    fn new(wanted: Option<String>, named: Option<MarketId>) -> Self {
        Self { found: Arc::new(Mutex::new(Found { wanted, named, ..Found::default() })) }
    }

    /// Counts an event, and passes it to the book if it is wanted.
    fn with(&self, view: &BookView<'_>, draw: impl FnOnce(&mut MarketDay)) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(book) = found.book(view) {
            book.tick = view.facts.tick_size.map_or(book.tick, |tick| Some(tick.0));
            draw(&mut book.day);
        }
    }

    fn take(&self) -> Found {
        std::mem::take(&mut self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Found {
    fn book(&mut self, view: &BookView<'_>) -> Option<&mut Book> {
        self.last_ns = self.last_ns.max(view.read_wall_ns);
        *self.markets.entry(*view.market).or_default() += 1;
        let name = self.wanted.as_deref()?;
        let (market, token) = (view.market.as_str(), view.token.as_str());
        let is_slug = self.named == Some(*view.market);
        let is_announced = || self.info.as_ref().is_some_and(|info| info.market == *view.market);
        if name != market && name != token && !is_slug && !is_announced() {
            return None;
        }
        let place = self.books.iter().position(|book| book.token == *view.token);
        let place = place.unwrap_or_else(|| {
            let (token, market, day) = (*view.token, *view.market, MarketDay::default());
            self.books.push(Book { token, market, tick: None, day });
            self.books.len() - 1
        });
        Some(&mut self.books[place])
    }

    /// The markets that have most events, behind a semicolon; nothing where there is none.
    fn names(&self) -> String {
        if self.markets.is_empty() {
            return String::new();
        }
        let mut markets: Vec<_> = self.markets.iter().collect();
        markets.sort_by_key(|(market, events)| (std::cmp::Reverse(**events), market.as_str()));
        let shown: Vec<&str> =
            markets.iter().take(NAMED_MAX).map(|(market, _)| market.as_str()).collect();
        let more = if markets.len() > NAMED_MAX { ", …" } else { "" };
        format!("; most messages have {}{more}", shown.join(", "))
    }

    fn choose(&mut self, outcome: Option<&str>) -> Result<Book, String> {
        let name = self.wanted.clone().unwrap_or_default();
        if self.books.is_empty() {
            return Err(format!(
                "market {name:?}: the recording has no such market; give a slug, a condition id, a token id or a ticker; a \
                 capture of an earlier version has slugs only of markets that were announced while it recorded{}",
                self.names()
            ));
        }
        if let Some(info) = &self.info {
            let order = |token| info.tokens.iter().position(|outcome| outcome.token == token);
            self.books.sort_by_key(|book| order(book.token).unwrap_or(usize::MAX));
        }
        let Some(outcome) = outcome else { return Ok(self.books.swap_remove(0)) };
        if self.books[0].token.as_str() == name && self.books[0].market.as_str() != name {
            return Err(format!("--outcome {outcome}: {name} is a token; leave --outcome out"));
        }
        let is_named = |book: &Book| {
            let info = self.info.iter().flat_map(|info| &info.tokens);
            let mut names = info.filter(|known| known.token == book.token).map(|known| &known.name);
            names.any(|name| name.eq_ignore_ascii_case(outcome))
        };
        let number = outcome.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        let place = self.books.iter().position(is_named).or(number);
        match place.filter(|&place| place < self.books.len()) {
            Some(place) => Ok(self.books.swap_remove(place)),
            None => Err(format!(
                "--outcome {outcome}: the recording has {} of this market; give a number from 1 on",
                if self.books.len() == 1 {
                    "one book".into()
                } else {
                    format!("{} books", self.books.len())
                }
            )),
        }
    }

    fn caption(&self, book: &Book, venue: &str) -> Caption {
        let info = self.info.as_ref();
        let outcome = info.into_iter().flat_map(|info| &info.tokens);
        let mut names = outcome.filter(|known| known.token == book.token).map(|known| &*known.name);
        let outcome = names.find(|name| !name.is_empty()).unwrap_or_default();
        let question = info.map_or("", |info| &info.question);
        let title = match (question, outcome) {
            ("", "") => format!("{venue}: {}", book.market),
            ("", outcome) => format!("{venue}: {}: {outcome}", book.market),
            (question, "") => format!("{venue}: {question}"),
            (question, outcome) => format!("{venue}: {question}: {outcome}"),
        };
        let lines = [format!("market {}", book.market), format!("token {}", book.token)];
        Caption { title, lines, tick: book.tick }
    }
}

impl Handler for Plotter {
    fn on_snapshot(&mut self, view: &BookView<'_>) {
        self.with(view, |day| replace(day, view));
    }

    fn on_price_change(&mut self, view: &BookView<'_>, change: &Change) {
        self.with(view, |day| {
            if view.state == BookState::Live {
                day.on_level(view.read_wall_ns, level(change.side, change.level));
                top(day, view);
            }
        });
    }

    fn on_trade(&mut self, view: &BookView<'_>, trade: &Trade<'_>) {
        let side = side(trade.side);
        self.with(view, |day| {
            day.on_trade(view.read_wall_ns, trade.price.0, trade.quantity.0, side);
        });
    }

    fn on_status(&mut self, view: &BookView<'_>, _before: BookState) {
        self.with(view, |day| replace(day, view));
    }

    fn on_market(&mut self, view: &MarketView<'_>) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(name) = found.wanted.as_deref() else { return };
        let info = view.info;
        let is_token = || info.tokens.iter().any(|outcome| outcome.token.as_str() == name);
        if info.slug == name || info.market.as_str() == name || is_token() {
            found.info = Some(info.clone());
        }
    }
}

/// The whole book, if it is live.
fn replace(day: &mut MarketDay, view: &BookView<'_>) {
    if view.state != BookState::Live {
        return day.on_not_live(view.read_wall_ns);
    }
    let sides = [(Side::Bid, &view.book.bids), (Side::Ask, &view.book.asks)];
    let levels =
        sides.into_iter().flat_map(|(side, all)| all.levels().map(move |l| level(side, l)));
    day.on_book(view.read_wall_ns, levels);
    top(day, view);
}

fn top(day: &mut MarketDay, view: &BookView<'_>) {
    let price = |level: Option<Level>| level.map(|level| level.price.0);
    day.on_top(view.read_wall_ns, price(view.book.best_bid()), price(view.book.best_ask()));
}

const fn side(side: Side) -> MarketSide {
    match side {
        Side::Bid => MarketSide::Buy,
        Side::Ask => MarketSide::Sell,
    }
}

const fn level(of: Side, level: Level) -> DepthLevel {
    (side(of), level.price.0, level.quantity.0)
}

/// Replays the plans, one of each venue, and draws the wanted market. Setting `stop` ends it early.
///
/// # Errors
/// One line: no such market, no price in the range, or an input that cannot be read.
pub fn plot(
    plans: &[Plan],
    wanted: &Wanted,
    stop: &Arc<AtomicBool>,
) -> Result<MarketPlot, ReplayError> {
    let mut failures = Vec::new();
    let market = match &wanted.market {
        Some(name) => name.clone(),
        None => only_market(plans, stop)?,
    };
    let mut unknown = None;
    for plan in plans {
        let (mut found, lines) = replayed(plan, Some(market.clone()), stop)?;
        failures.extend(lines);
        let book = match found.choose(wanted.outcome.as_deref()) {
            Ok(book) => book,
            Err(why) if found.books.is_empty() => {
                // Of an input without markets the failures say all.
                if failures.is_empty() || !found.markets.is_empty() {
                    unknown.get_or_insert(why);
                }
                continue;
            }
            Err(why) => return Err(ReplayError::Usage(behind(failures, why))),
        };
        let caption = found.caption(&book, plan.feed().venue().name());
        let Some(svg) = render(&book.day, &caption, found.last_ns) else {
            let why =
                format!("market {market:?}: its book is never live here, and nothing is traded");
            return Err(ReplayError::Input(behind(failures, why)));
        };
        let (changes, trades) = book.day.counts();
        let changes = counted(changes, "level change", "level changes");
        let trades = counted(trades, "trade", "trades");
        let summary = format!("token {}: {changes}, {trades}", book.token);
        return Ok(MarketPlot { svg, summary, failures });
    }
    failures.extend(unknown);
    Err(ReplayError::Input(failures.join("\n")))
}

/// A line behind the faults of the input, which may be its cause.
fn behind(mut failures: Vec<String>, why: String) -> String {
    failures.push(why);
    failures.join("\n")
}

fn only_market(plans: &[Plan], stop: &Arc<AtomicBool>) -> Result<String, ReplayError> {
    let (mut all, mut failures) = (Found::default(), Vec::new());
    for plan in plans {
        let (found, lines) = replayed(plan, None, stop)?;
        all.markets.extend(found.markets);
        failures.extend(lines);
    }
    match (all.markets.len(), all.markets.keys().next()) {
        (1, Some(market)) => Ok(market.to_string()),
        (0, _) => {
            let why = "the recording has no book and no trade here".into();
            Err(ReplayError::Input(behind(failures, why)))
        }
        (count, _) => {
            let names = all.names();
            let why = format!("the recording has {count} markets: choose one with --market{names}");
            Err(ReplayError::Usage(behind(failures, why)))
        }
    }
}

fn replayed(
    plan: &Plan,
    wanted: Option<String>,
    stop: &Arc<AtomicBool>,
) -> Result<(Found, Vec<String>), ReplayError> {
    let named = wanted.as_deref().and_then(|name| opened_as(plan, name, stop));
    let plotter = Plotter::new(wanted, named);
    let report = run(plan, stop, &plotter)?;
    let mut failures = report.failures;
    if !report.first_errors.is_empty() {
        failures.push(format!("{} inputs could not be decoded", report.errors));
    }
    Ok((plotter.take(), failures))
}

/// The market whose books a capture says were opened under this name, also outside the plan's range: mostly in its
/// first lines. Faults are left to the replay; an input that can be read only once is not read.
pub(super) fn opened_as(plan: &Plan, name: &str, stop: &Arc<AtomicBool>) -> Option<MarketId> {
    let is_file = |source: &Source| file::look(source).is_ok_and(|facts| facts.len.is_some());
    if !plan.files().iter().all(is_file) {
        return None;
    }
    let quoted = sonic_rs::to_string(name).ok()?;
    let bytes = plan.files().iter().map(|source| file::look(source).ok()?.len).sum();
    let mut progress = Progress::of_bytes(bytes);
    for source in plan.files() {
        let Ok(input) = file::open(source, stop) else { continue };
        let taken = input.taken;
        let mut lines = Lines::new(input.reader);
        while let Ok(Some(value)) = lines.next() {
            progress.at(taken.load(Ordering::Relaxed));
            let Ok(line) = std::str::from_utf8(value.bytes) else { continue };
            if stop.load(Ordering::Relaxed) {
                return None;
            }
            if line.contains(&quoted)
                && let What::Annotation(AnnotationRecord::Books) = Record::read(line).what
                && let Some(market) = market_named(line, name)
            {
                return Some(market);
            }
        }
        progress.file_done(taken.load(Ordering::Relaxed));
    }
    None
}
