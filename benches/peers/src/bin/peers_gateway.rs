//! The official SDK as a client of ringbook's gateway: its books against those of `/book`, round by round.

use clap::Parser;
use futures_lite::future::or;
use futures_util::stream::{self, Stream, StreamExt};
use polymarket_client_sdk_v2::clob;
use polymarket_client_sdk_v2::clob::types::Side;
use polymarket_client_sdk_v2::clob::types::request::OrderBookSummaryRequest;
use polymarket_client_sdk_v2::clob::types::response::OrderSummary;
use polymarket_client_sdk_v2::clob::ws;
use polymarket_client_sdk_v2::clob::ws::types::response::{
    BookUpdate, OrderBookLevel, PriceChange, PriceChangeBatchEntry,
};
use polymarket_client_sdk_v2::types::{Decimal, U256};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};

/// Changes that are kept of each book: far more than the SDK's two streams can be apart.
const RECENT_MAX: usize = 512;
/// How long a book may take to be that of `/book`.
const EQUAL_TIMEOUT: Duration = Duration::from_secs(20);
/// `/book` is asked for again after this long.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// A market is over when so many answers in turn, 0.2 s apart, have no book.
const UNANSWERED_MAX: u32 = 15;

/// Follows markets through a gateway with the official SDK and compares its books with those of `/book`.
#[derive(Debug, Parser)]
#[command(name = "peers-gateway", max_term_width = 100)]
struct Flags {
    /// The gateway's address for Polymarket.
    #[arg(long, default_value = "127.0.0.1:9400", value_name = "HOST:PORT")]
    gateway: String,

    /// Markets to follow, two tokens each.
    #[arg(long, default_value_t = 50, value_name = "COUNT")]
    markets: usize,

    /// How long to follow them.
    #[arg(long, default_value_t = 60)]
    seconds: u64,

    /// Seconds between two comparisons of all books.
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    every: u64,
}

/// Messages that the SDK's own queue of 1,024 has left out, for each of its two streams: it logs them, and continues.
static MISSED: AtomicU64 = AtomicU64::new(0);

/// Reads the number out of the SDK's log, its only sign of a message that it has left out.
struct MissedCounter;

impl tracing::Subscriber for MissedCounter {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut MissedCounter);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

impl Visit for MissedCounter {
    fn record_debug(&mut self, _: &Field, value: &dyn std::fmt::Debug) {
        let text = format!("{value:?}");
        let count = text.split_once("lagged, missed ").and_then(|(_, rest)| rest.split(' ').next());
        if let Some(count) = count.and_then(|count| count.parse().ok()) {
            MISSED.fetch_add(count, Ordering::Relaxed);
        }
    }
}

type Levels = [BTreeMap<Decimal, Decimal>; 2];
type Failure = Box<dyn std::error::Error>;
type Events = Pin<Box<dyn Stream<Item = Result<Event, String>>>>;

/// A message of one of the SDK's two streams, which are in order each, not with one another.
enum Event {
    Book(BookUpdate),
    Change(PriceChange),
}

/// The SDK has no book.
struct Book {
    levels: Levels,
    /// Venue time of the snapshot; changes before it are in it.
    since: i64,
    /// No message has been left out since the snapshot.
    is_whole: bool,
    recent: VecDeque<(i64, PriceChangeBatchEntry)>,
}

impl Default for Book {
    fn default() -> Self {
        Self {
            levels: Levels::default(),
            since: i64::MAX,
            is_whole: false,
            recent: VecDeque::new(),
        }
    }
}

impl Book {
    /// Changes of the snapshot's own millisecond may or may not be in it; sizes are absolute, so all are applied.
    fn on_snapshot(&mut self, update: BookUpdate) {
        let side = |levels: Vec<OrderBookLevel>| {
            levels.into_iter().map(|level| (level.price, level.size)).collect()
        };
        self.levels = [side(update.bids), side(update.asks)];
        (self.since, self.is_whole) = (update.timestamp, true);
        for (time, change) in &self.recent {
            if *time >= self.since {
                apply(&mut self.levels, change);
            }
        }
    }

    fn on_change(&mut self, time: i64, change: PriceChangeBatchEntry) {
        if time >= self.since {
            apply(&mut self.levels, &change);
        }
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back((time, change));
    }
}

fn apply(levels: &mut Levels, change: &PriceChangeBatchEntry) {
    let side = &mut levels[usize::from(change.side != Side::Buy)];
    match change.size {
        Some(size) if !size.is_zero() => drop(side.insert(change.price, size)),
        _ => drop(side.remove(&change.price)),
    }
}

/// What the SDK delivered.
#[derive(Default)]
struct Follower {
    books: HashMap<U256, Book>,
    snapshots: u64,
    changes: u64,
    errors: u64,
    /// Of [`MISSED`] so far.
    missed: u64,
}

/// What a comparison found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Equal,
    Different,
    /// Neither: the SDK has left out messages since the last snapshot.
    Incomplete,
    /// `/book` has no book, as of a market that is over.
    None,
}

impl Follower {
    fn on_event(&mut self, event: Result<Event, String>) {
        let missed = MISSED.load(Ordering::Relaxed);
        if std::mem::replace(&mut self.missed, missed) != missed {
            // Of any book; what the SDK still has is younger than what it has left out.
            self.books.values_mut().for_each(|book| book.is_whole = false);
        }
        match event {
            Ok(Event::Book(update)) => {
                self.snapshots += 1;
                self.books.entry(update.asset_id).or_default().on_snapshot(update);
            }
            Ok(Event::Change(update)) => {
                for change in update.price_changes {
                    self.changes += 1;
                    let book = self.books.entry(change.asset_id).or_default();
                    book.on_change(update.timestamp, change);
                }
            }
            Err(error) => {
                eprintln!("the SDK reports: {error}");
                self.errors += 1;
            }
        }
    }

    /// Takes events for so long.
    async fn follow(&mut self, events: &mut Events, duration: Duration) -> Result<(), Failure> {
        let end = Instant::now() + duration;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            let Ok(event) = tokio::time::timeout(left, events.next()).await else { break };
            self.on_event(event.ok_or("the SDK's streams ended")?);
        }
        Ok(())
    }

    /// Asks for a book while events are taken: the answer, and the states of the SDK's book since the question.
    async fn ask(
        &mut self,
        rest: &clob::Client,
        events: &mut Events,
        token: U256,
    ) -> Result<(Option<Levels>, Vec<Levels>), Failure> {
        let request = OrderBookSummaryRequest::builder().token_id(token).build();
        let mut states: Vec<Levels> = Vec::new();
        let answer = async { Ok::<_, Failure>(rest.order_book(&request).await.ok()) };
        let follow = async {
            loop {
                if let Some(book) = self.books.get(&token)
                    && states.last() != Some(&book.levels)
                {
                    states.push(book.levels.clone());
                }
                self.on_event(events.next().await.ok_or("the SDK's streams ended")?);
            }
        };
        let book = or(answer, follow).await?;
        let side = |levels: Vec<OrderSummary>| {
            levels.into_iter().map(|level| (level.price, level.size)).collect()
        };
        Ok((book.map(|book| [side(book.bids), side(book.asks)]), states))
    }

    /// Waits until the book is that of `/book`, at most [`EQUAL_TIMEOUT`]. Changes may be on their way; a book that
    /// is out of date is asked for again.
    async fn equals(
        &mut self,
        rest: &clob::Client,
        events: &mut Events,
        token: U256,
    ) -> Result<Found, Failure> {
        let (begun, mut found, mut unanswered) = (Instant::now(), Found::None, 0);
        while begun.elapsed() < EQUAL_TIMEOUT {
            let asked = Instant::now();
            let (wanted, states) = self.ask(rest, events, token).await?;
            if let Some(wanted) = wanted {
                if states.contains(&wanted) {
                    return Ok(Found::Equal);
                }
                while let Some(left) = ASK_AGAIN.checked_sub(asked.elapsed()) {
                    if self.books.get(&token).is_some_and(|book| book.levels == wanted) {
                        return Ok(Found::Equal);
                    }
                    if let Ok(event) = tokio::time::timeout(left, events.next()).await {
                        self.on_event(event.ok_or("the SDK's streams ended")?);
                    }
                }
                let is_whole = self.books.get(&token).is_none_or(|book| book.is_whole);
                found = if is_whole { Found::Different } else { Found::Incomplete };
                unanswered = 0;
                if !is_whole {
                    return Ok(found);
                }
            } else {
                unanswered += 1;
                if unanswered == UNANSWERED_MAX {
                    return Ok(Found::None);
                }
                self.follow(events, ASK_AGAIN / 10).await?;
            }
        }
        Ok(found)
    }
}

/// Tokens of the first `count` markets.
async fn tokens(rest: &clob::Client, count: usize) -> Result<Vec<U256>, Failure> {
    let (mut tokens, mut cursor) = (Vec::new(), None);
    loop {
        let page = rest.markets(cursor).await?;
        let of_page = page.data.iter().flat_map(|market| &market.tokens);
        tokens.extend(of_page.map(|token| token.token_id));
        if tokens.len() >= 2 * count || page.next_cursor == "LTE=" {
            tokens.truncate(2 * count);
            return Ok(tokens);
        }
        cursor = Some(page.next_cursor);
    }
}

async fn run(flags: Flags) -> Result<u64, Failure> {
    let rest = clob::Client::new(&format!("http://{}", flags.gateway), clob::Config::default())?;
    let mut tokens = tokens(&rest, flags.markets).await?;
    let channel = ws::Client::new(
        &format!("ws://{}", flags.gateway),
        polymarket_client_sdk_v2::ws::config::Config::default(),
    )?;
    let books = channel.subscribe_orderbook(tokens.clone())?;
    let prices = channel.subscribe_prices(tokens.clone())?;
    let text = |error: polymarket_client_sdk_v2::error::Error| error.to_string();
    let books = books.map(move |update| update.map(Event::Book).map_err(text));
    let prices = prices.map(move |update| update.map(Event::Change).map_err(text));
    let mut events: Events = Box::pin(stream::select(books, prices));
    let mut follower = Follower::default();
    let (begun, mut different) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(flags.seconds) {
        follower.follow(&mut events, Duration::from_secs(flags.every)).await?;
        let (mut wrong, mut incomplete, mut over) = (0, 0, Vec::new());
        for &token in &tokens {
            match follower.equals(&rest, &mut events, token).await? {
                Found::Equal => {}
                Found::Different => {
                    eprintln!("different: {token}");
                    wrong += 1;
                }
                Found::Incomplete => incomplete += 1,
                Found::None => over.push(token),
            }
        }
        different += wrong;
        tokens.retain(|token| !over.contains(token));
        println!(
            "{:4} s: {} books compared, {wrong} different, {incomplete} incomplete, {} over; {} snapshots, {} changes, {} errors, {} left out by the SDK",
            begun.elapsed().as_secs(),
            tokens.len(),
            over.len(),
            follower.snapshots,
            follower.changes,
            follower.errors,
            MISSED.load(Ordering::Relaxed),
        );
    }
    Ok(different + follower.errors)
}

fn main() -> ExitCode {
    // The only one of this process.
    let _ = tracing::subscriber::set_global_default(MissedCounter);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run(Flags::parse()))) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("peers-gateway: {error}");
            ExitCode::FAILURE
        }
    }
}
