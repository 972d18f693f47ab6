//! A replay with a subscriber: updates of its books without loss, beginning with the books of a point in time.
//!
//! Runs on:  two plain threads, the reader and the worker; both wait for the subscriber.
//! Bounds:   `REPLAY_UPDATES_DEPTH` updates in transit. The worker sends no frame's updates before they fit, so that
//!           none is replaced by an image.
use super::ReplayError;
use super::batch::{Backoff, batch_channel};
use super::lives::Lives;
use super::plan::Plan;
use super::reader::{Reader, Start};
use super::worker::Worker;
use crate::base::id::{MarketId, ShardId};
use crate::base::limits::{DECODE_STACK_BYTES, GATEWAY_MARKETS_MAX, UPDATE_IMAGES_PER_STEP};
use crate::io::progress::Progress;
use crate::io::wake::TaskWaker;
use crate::io::{clock::HostClock, executor::no_thread};
use crate::link::replay_gate::ReplayGate;
use crate::link::serve_shard::{BookAnswer, BookQuery};
use crate::link::shard_updates::{BookUpdate, UpdateLink, UpdateRequest};
use crate::market::book::image::{BookFacts, BookImage};
use crate::market::info::{MarketEvent, MarketInfo, MarketStage, MarketUpdate, Outcome};
use crate::ring::{Consumer, Gauge, Producer};
use crate::shard::books::{Books, OpenBook};
use crate::shard::publish::Handler;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Fewer bytes of a frame than this one cause no more than one update: the shortest change has 40.
const UPDATE_BYTES_MIN: usize = 16;
/// Updates beside those: states.
const UPDATES_BESIDE: usize = 64;

/// The ends of the links with the subscriber.
#[derive(Debug)]
pub(crate) struct FeedLinks {
    pub(crate) updates: UpdateLink,
    /// Queries for books, answered as of the beginning of the range.
    pub(crate) queries: Option<(Consumer<BookQuery>, Producer<BookAnswer>)>,
    pub(crate) gate: Arc<ReplayGate>,
}

/// The worker's part.
#[derive(Debug)]
pub(super) struct UpdateFeed {
    requests: Consumer<UpdateRequest>,
    /// Until it is given to the books.
    sender: Option<Producer<BookUpdate>>,
    gauge: Gauge<BookUpdate>,
    waker: TaskWaker,
    queries: Option<(Consumer<BookQuery>, Producer<BookAnswer>)>,
    gate: Arc<ReplayGate>,
    /// What the stream has reported of markets.
    lives: Lives,
    slugs: Slugs,
}

/// Slugs of markets, from the records of opened books: a capture has no other name of a market that the stream did not
/// announce. `GATEWAY_MARKETS_MAX` at most; with more, only those of open books stay.
#[derive(Debug, Default)]
struct Slugs(HashMap<MarketId, String>);

impl Slugs {
    fn add<H: Handler>(&mut self, named: Vec<(MarketId, String)>, books: &Books<H>) {
        if self.0.len() + named.len() > GATEWAY_MARKETS_MAX {
            let open: HashSet<MarketId> = books.open_books().map(|book| book.market).collect();
            self.0.retain(|market, _| open.contains(market));
        }
        let room = GATEWAY_MARKETS_MAX.saturating_sub(self.0.len());
        self.0.extend(named.into_iter().take(room));
    }

    /// The slug of a market; empty where it is not known.
    fn of(&self, market: &MarketId) -> String {
        self.0.get(market).cloned().unwrap_or_default()
    }
}

impl UpdateFeed {
    fn new(links: FeedLinks) -> Self {
        let FeedLinks { updates: UpdateLink { requests, updates, waker }, queries, gate } = links;
        let gauge = updates.gauge();
        let (lives, slugs) = (Lives::default(), Slugs::default());
        Self { requests, sender: Some(updates), gauge, waker, queries, gate, lives, slugs }
    }

    pub(super) fn attach<H>(&mut self, books: &mut Books<H>) {
        if let Some(sender) = self.sender.take() {
            books.set_update_sender(sender);
        }
    }

    /// Takes requests, sends what did not fit before. Between two messages.
    fn serve<H>(&mut self, books: &mut Books<H>) {
        while let Some(request) = self.requests.try_receive() {
            books.on_update_request(request);
        }
        let has_sent = books.send_updates(UPDATE_IMAGES_PER_STEP);
        self.gate.set_whole(self.gauge.sent());
        if has_sent {
            self.waker.wake();
        }
    }

    /// The same, once the range has begun: before, subscriptions wait for the books of its beginning.
    pub(super) fn serve_begun<H>(&mut self, books: &mut Books<H>) {
        if self.gate.has_begun() {
            self.serve(books);
        }
    }

    /// Books of markets with these slugs are opened or described.
    pub(super) fn on_books_opened<H: Handler>(
        &mut self,
        slugs: Vec<(MarketId, String)>,
        books: &Books<H>,
    ) {
        self.slugs.add(slugs, books);
    }

    /// What a message received at `at_ns` says of markets: sent once the range has begun.
    pub(super) fn on_market_updates<H: Handler>(
        &mut self,
        updates: &mut Vec<MarketUpdate>,
        at_ns: u64,
        books: &mut Books<H>,
    ) {
        for update in updates.drain(..) {
            let of_books = |market: &MarketId| market_of(books, &self.slugs, market);
            let events = self.lives.on_update(update, at_ns, of_books);
            if self.gate.has_begun() {
                events.iter().for_each(|event| books.publish_market(event, at_ns));
            }
        }
    }

    /// Waits until the updates of a frame fit.
    pub(super) fn make_room<H>(&mut self, frame_bytes: usize, books: &mut Books<H>) {
        if !self.gate.has_begun() {
            return;
        }
        let capacity = self.gauge.capacity();
        let needed = (frame_bytes / UPDATE_BYTES_MIN + UPDATES_BESIDE).min(capacity);
        let mut backoff = Backoff::default();
        while self.gauge.depth() + needed > capacity && !self.gate.is_stopped() {
            self.waker.wake();
            self.serve(books);
            backoff.wait();
        }
    }

    /// Sends all updates, and waits for the buffers that they need.
    pub(super) fn send_all<H>(&mut self, books: &mut Books<H>) {
        if !self.gate.has_begun() {
            return;
        }
        self.serve(books);
        let mut backoff = Backoff::default();
        while books.has_unsent_updates() && !self.gate.is_stopped() {
            backoff.wait();
            self.serve(books);
        }
    }

    /// The books are those of the range's beginning: serves them until the subscriber lets time go on.
    pub(super) fn hold<H: Handler>(&mut self, books: &mut Books<H>) {
        if self.queries.is_some() {
            let events = markets(books, &self.lives, &self.slugs);
            events.iter().for_each(|event| books.publish_market(event, 0));
        }
        self.gate.set_ready();
        self.waker.wake();
        let mut backoff = Backoff::default();
        while !self.gate.has_begun() && !self.gate.is_stopped() {
            self.serve(books);
            self.answer(books);
            backoff.wait();
        }
        self.send_all(books);
    }

    fn answer<H: Handler>(&mut self, books: &Books<H>) {
        let Some((queries, answers)) = &mut self.queries else { return };
        while let Some(BookQuery { ticket, token, mut image }) = queries.try_receive() {
            let found = books.fill_image(token.as_str(), &mut image);
            // If it does not fit, the request times out.
            let _ = answers.try_send(BookAnswer { ticket, found, image });
        }
    }
}

/// What a recording says of the markets of its books: ids, tokens, slugs and facts; other names where the stream
/// announced them.
fn markets<H: Handler>(books: &Books<H>, lives: &Lives, slugs: &Slugs) -> Vec<MarketEvent> {
    let mut open: Vec<OpenBook> = books.open_books().collect();
    open.sort_unstable_by_key(|book| (book.market.as_bytes().to_vec(), book.index));
    let mut image = BookImage::default();
    let of_market = |books_of: &[OpenBook]| {
        let info = info(books, slugs, books_of, &mut image)?;
        let info = match lives.info(&info.market) {
            Some(known) => MarketInfo {
                slug: if known.slug.is_empty() { info.slug } else { known.slug.clone() },
                tick_size: info.tick_size.or(known.tick_size),
                min_order_size: info.min_order_size.or(known.min_order_size),
                neg_risk: info.neg_risk || known.neg_risk,
                ..known.clone()
            },
            None => info,
        };
        Some(MarketEvent { stage: MarketStage::Opened, info, resolution: None, is_repeated: false })
    };
    open.chunk_by(|a, b| a.market == b.market).filter_map(of_market).collect()
}

/// The same of one market; `None` without books.
fn market_of<H: Handler>(books: &Books<H>, slugs: &Slugs, market: &MarketId) -> Option<MarketInfo> {
    let mut open: Vec<OpenBook> =
        books.open_books().filter(|book| book.market == *market).collect();
    open.sort_unstable_by_key(|book| book.index);
    info(books, slugs, &open, &mut BookImage::default())
}

/// What the books of one market say of it.
fn info<H: Handler>(
    books: &Books<H>,
    slugs: &Slugs,
    of_market: &[OpenBook],
    image: &mut BookImage,
) -> Option<MarketInfo> {
    let OpenBook { market, index, .. } = *of_market.first()?;
    if !books.fill_image_at(index, image) {
        return None;
    }
    let outcome = |book: &OpenBook| Outcome { token: book.token, name: String::new() };
    let BookFacts { tick_size, min_order_size, neg_risk, .. } = image.facts;
    Some(MarketInfo {
        market,
        tokens: of_market.iter().map(outcome).collect(),
        slug: slugs.of(&market),
        question: String::new(),
        start_wall_ns: None,
        end_wall_ns: None,
        tick_size,
        min_order_size,
        neg_risk,
        listing: None,
    })
}

/// Replays a plan to the subscriber behind `links`, from `from_ns` on; what the plan has before only prepares the
/// books, which `progress` shows. Blocks until the end of the range, or until the subscriber stops it. One line for
/// each fault of the input.
///
/// # Errors
/// [`ReplayError`]: the input cannot be read.
pub(crate) fn feed(
    plan: &Plan,
    from_ns: u64,
    links: FeedLinks,
    progress: Progress,
) -> Result<Vec<String>, ReplayError> {
    let gate = Arc::clone(&links.gate);
    let stop = Arc::clone(&gate.stop);
    let clock = HostClock::new();
    let (sender, receiver) = batch_channel();
    let worker = Worker::new((ShardId(0), plan.feed()), 1, receiver, clock.clone(), ());
    let worker = worker.resuming(plan.resumes()).with_feed(UpdateFeed::new(links));
    let thread = std::thread::Builder::new()
        .name("replay-books".to_owned())
        .stack_size(DECODE_STACK_BYTES)
        .spawn(move || drop(worker.run()))
        .map_err(|error| ReplayError::Input(no_thread("replay-books", &error).to_string()))?;
    let reader = Reader::new(plan, &stop, clock, vec![sender], progress);
    let mut reader = reader.starting(Start { from_ns, gate: Some(gate) });
    let result = reader.run();
    let (_, failures) = reader.into_output();
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
    result.map(|()| failures)
}
