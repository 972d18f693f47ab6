//! Queries to the control core and the shards, and their answers by ticket.
//!
//! Runs on:  serve core. Owns: its ends of the rings, and book images for reuse.
//! Bounds:   `SERVE_CONTROL_DEPTH` and `SERVE_SHARD_DEPTH` outstanding queries per link, so that
//!           an answer always has room.
use super::event::{Bell, Event, Slot};
use super::gateway::GatewayLinks;
use super::host::Judge;
use super::route::NoAnswer;
use crate::base::id::{ConnectionId, TokenId};
use crate::base::limits::{
    SERVE_CONTROL_DEPTH, SERVE_IMAGE_LEVELS, SERVE_PUMP_MAX_NS, SERVE_PUMP_MIN_NS,
    SERVE_SHARD_DEPTH,
};
use crate::counter::report::EngineReport;
use crate::io::{dial::within, executor::sleep};
use crate::link::serve_control::{ControlAnswer, ControlQuery};
use crate::link::serve_shard::{BookAnswer, BookQuery};
use crate::market::book::image::BookImage;
use crate::ring::{Consumer, Producer};
use futures_lite::future::or;
use hdrhistogram::Histogram;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// Which core's doorbell to ring after a query was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The control core.
    Control,
    /// The shard at this index of [`ServeLinks::shards`].
    Shard(usize),
}

/// The serve core's ends of its links.
pub struct ServeLinks {
    /// Queries to the control core.
    pub control_queries: Producer<ControlQuery>,
    /// Its answers.
    pub control_answers: Consumer<ControlAnswer>,
    /// Queries to each shard and its answers, by shard.
    pub shards: Vec<(Producer<BookQuery>, Consumer<BookAnswer>)>,
    /// Updates of subscribed books, where there is a gateway.
    pub gateway: Option<GatewayLinks>,
    /// Judges the host, where anybody may ask.
    pub host: Option<Judge>,
    /// Called after each query: rings the other core's doorbell.
    pub wake: Box<dyn Fn(Wake) + Send>,
}

type Report = Arc<EngineReport>;
/// Result of a command: the error is shown to the user.
type CommandResult = Result<(), String>;
type BookResult = Result<Option<Box<BookImage>>, NoAnswer>;

pub(super) struct Queries {
    links: RefCell<Links>,
    next_ticket: Cell<u64>,
    /// The outstanding report; later requests wait for the same one.
    report: RefCell<Option<PendingReport>>,
    books: RefCell<HashMap<u64, PendingBook>>,
    commands: RefCell<HashMap<u64, Rc<Slot<CommandResult>>>>,
    /// Rung after a query was sent; wakes the pump.
    sent: Bell,
    late: Cell<u64>,
    refused: Cell<u64>,
}

struct Links {
    links: ServeLinks,
    control_under_way: usize,
    shards_under_way: Vec<usize>,
    #[expect(clippy::vec_box, reason = "the links carry boxes, so that a shard moves a pointer")]
    images: Vec<Box<BookImage>>,
}

struct PendingReport {
    ticket: u64,
    waiting: Vec<Rc<Slot<Report>>>,
}

struct PendingBook {
    slot: Rc<Slot<BookResult>>,
    /// Shards that have not answered.
    open: usize,
    /// Shards whose ring was full.
    not_sent: usize,
}

impl Queries {
    pub(super) fn new(links: ServeLinks) -> Self {
        let shards_under_way = vec![0; links.shards.len()];
        let links = Links { links, control_under_way: 0, shards_under_way, images: Vec::new() };
        Self {
            links: RefCell::new(links),
            next_ticket: Cell::new(1),
            report: RefCell::default(),
            books: RefCell::default(),
            commands: RefCell::default(),
            sent: Bell::default(),
            late: Cell::new(0),
            refused: Cell::new(0),
        }
    }

    /// Queries that timed out, and queries that were not sent.
    pub(super) const fn counts(&self) -> (u64, u64) {
        (self.late.get(), self.refused.get())
    }

    /// The status report. Concurrent requests share one query.
    pub(super) async fn report(&self, timeout_ns: u64) -> Result<Report, NoAnswer> {
        self.take_answers();
        let slot = Rc::new(Slot::default());
        self.send_report_query(&slot).inspect_err(|_| self.refused.set(self.refused.get() + 1))?;
        let waiter = ReportWaiter { queries: self, slot };
        self.sent.ring();
        let answer = within(timeout_ns, waiter.slot.take()).await;
        answer.ok_or_else(|| self.on_timeout())
    }

    fn on_timeout(&self) -> NoAnswer {
        self.late.set(self.late.get() + 1);
        NoAnswer::Late
    }

    fn send_report_query(&self, slot: &Rc<Slot<Report>>) -> Result<(), NoAnswer> {
        let mut under_way = self.report.borrow_mut();
        if let Some(pending) = &mut *under_way {
            pending.waiting.push(Rc::clone(slot));
            return Ok(());
        }
        let ticket = self.ticket();
        let mut links = self.links.borrow_mut();
        if links.control_under_way >= SERVE_CONTROL_DEPTH
            || links.links.control_queries.try_send(ControlQuery::Report { ticket }).is_err()
        {
            return Err(NoAnswer::Busy);
        }
        links.control_under_way += 1;
        (links.links.wake)(Wake::Control);
        *under_way = Some(PendingReport { ticket, waiting: vec![Rc::clone(slot)] });
        Ok(())
    }

    /// Requests the replacement of a connection; the inner error is the reason of the refusal.
    pub(super) async fn recycle(
        &self,
        connection: ConnectionId,
        timeout_ns: u64,
    ) -> Result<CommandResult, NoAnswer> {
        self.query_control(|ticket| ControlQuery::Recycle { ticket, connection }, timeout_ns).await
    }

    /// Why no shard holds the book of a followed token; `None` if the token is not followed.
    pub(super) async fn why_awaited(
        &self,
        token: TokenId,
        timeout_ns: u64,
    ) -> Result<Option<String>, NoAnswer> {
        let query = |ticket| ControlQuery::Awaited { ticket, token };
        Ok(self.query_control(query, timeout_ns).await?.err())
    }

    pub(super) async fn follow(&self, token: TokenId, timeout_ns: u64) -> Result<(), NoAnswer> {
        let query = |ticket| ControlQuery::Follow { ticket, token };
        self.query_control(query, timeout_ns).await.map(drop)
    }

    async fn query_control(
        &self,
        query: impl FnOnce(u64) -> ControlQuery,
        timeout_ns: u64,
    ) -> Result<CommandResult, NoAnswer> {
        self.take_answers();
        let ticket = self.ticket();
        let slot = Rc::new(Slot::default());
        {
            let mut links = self.links.borrow_mut();
            let query = query(ticket);
            if links.control_under_way >= SERVE_CONTROL_DEPTH
                || links.links.control_queries.try_send(query).is_err()
            {
                self.refused.set(self.refused.get() + 1);
                return Err(NoAnswer::Busy);
            }
            links.control_under_way += 1;
            (links.links.wake)(Wake::Control);
        }
        self.commands.borrow_mut().insert(ticket, Rc::clone(&slot));
        let _waiter = CommandWaiter { queries: self, ticket };
        self.sent.ring();
        let answer = within(timeout_ns, slot.take()).await;
        answer.ok_or_else(|| self.on_timeout())
    }

    /// The book of a token. Every shard is queried; the one that holds it answers. Return the image
    /// with [`Queries::give_back`].
    pub(super) async fn book(&self, token: TokenId, timeout_ns: u64) -> BookResult {
        self.take_answers();
        let ticket = self.ticket();
        let slot = Rc::new(Slot::default());
        let pending = self.send_book_queries(ticket, token, &slot);
        if pending.open == 0 {
            let found = pending.without_book();
            if found.is_err() {
                self.refused.set(self.refused.get() + 1);
            }
            return found;
        }
        self.books.borrow_mut().insert(ticket, pending);
        let _waiter = BookWaiter { queries: self, ticket };
        self.sent.ring();
        let answer = within(timeout_ns, slot.take()).await;
        answer.unwrap_or_else(|| Err(self.on_timeout()))
    }

    fn send_book_queries(
        &self,
        ticket: u64,
        token: TokenId,
        slot: &Rc<Slot<BookResult>>,
    ) -> PendingBook {
        let mut pending = PendingBook { slot: Rc::clone(slot), open: 0, not_sent: 0 };
        let Links { links, shards_under_way, images, .. } = &mut *self.links.borrow_mut();
        for (i, (queries, _)) in links.shards.iter_mut().enumerate() {
            if shards_under_way[i] >= SERVE_SHARD_DEPTH {
                pending.not_sent += 1;
                continue;
            }
            let image = images.pop();
            let image =
                image.unwrap_or_else(|| Box::new(BookImage::with_capacity(SERVE_IMAGE_LEVELS)));
            match queries.try_send(BookQuery { ticket, token, image }) {
                Ok(()) => {
                    shards_under_way[i] += 1;
                    pending.open += 1;
                    (links.wake)(Wake::Shard(i));
                }
                Err(back) => {
                    pending.not_sent += 1;
                    images.push(back.image);
                }
            }
        }
        pending
    }

    pub(super) fn give_back(&self, image: Box<BookImage>) {
        let images = &mut self.links.borrow_mut().images;
        if images.len() < SERVE_SHARD_DEPTH {
            images.push(image);
        }
    }

    /// Sends latencies of the gateway; gives them back if there is no room.
    pub(super) fn send_latency(
        &self,
        values: Box<Histogram<u64>>,
    ) -> Result<(), Box<Histogram<u64>>> {
        let mut links = self.links.borrow_mut();
        match links.links.control_queries.try_send(ControlQuery::Latency(values)) {
            Err(ControlQuery::Latency(values)) => Err(values),
            _ => Ok(()),
        }
    }

    fn ticket(&self) -> u64 {
        let ticket = self.next_ticket.get();
        self.next_ticket.set(ticket + 1);
        ticket
    }

    fn is_waiting(&self) -> bool {
        self.report.borrow().is_some()
            || !self.books.borrow().is_empty()
            || !self.commands.borrow().is_empty()
    }

    /// Polls for answers while a query is outstanding and sleeps otherwise. Ends after `stop` when none
    /// is outstanding.
    pub(super) async fn pump(&self, stop: &Event) {
        loop {
            or(self.sent.wait(), stop.wait()).await;
            let mut interval_ns = SERVE_PUMP_MIN_NS;
            while self.is_waiting() {
                if self.take_answers() {
                    interval_ns = SERVE_PUMP_MIN_NS;
                }
                sleep(interval_ns).await;
                interval_ns = (2 * interval_ns).min(SERVE_PUMP_MAX_NS);
            }
            if stop.is_set() {
                return;
            }
        }
    }

    /// Passes every available answer to its waiter; true if there was one.
    fn take_answers(&self) -> bool {
        let mut any = false;
        while let Some(answer) = self.next_control_answer() {
            any = true;
            let (ticket, report) = match answer {
                ControlAnswer::Report { ticket, report } => (ticket, report),
                ControlAnswer::Ordered { ticket, result } => {
                    if let Some(slot) = self.commands.borrow_mut().remove(&ticket) {
                        slot.put(result);
                    }
                    continue;
                }
            };
            let mut under_way = self.report.borrow_mut();
            if under_way.as_ref().is_some_and(|pending| pending.ticket == ticket) {
                let report: Report = Arc::from(report);
                for slot in under_way.take().into_iter().flat_map(|pending| pending.waiting) {
                    slot.put(Arc::clone(&report));
                }
            }
        }
        let shards = self.links.borrow().links.shards.len();
        for shard in 0..shards {
            while let Some(answer) = self.next_book_answer(shard) {
                any = true;
                self.on_book_answer(answer);
            }
        }
        any
    }

    fn next_control_answer(&self) -> Option<ControlAnswer> {
        let mut links = self.links.borrow_mut();
        let answer = links.links.control_answers.try_receive()?;
        links.control_under_way = links.control_under_way.saturating_sub(1);
        Some(answer)
    }

    fn next_book_answer(&self, shard: usize) -> Option<BookAnswer> {
        let Links { links, shards_under_way, .. } = &mut *self.links.borrow_mut();
        let answer = links.shards[shard].1.try_receive()?;
        shards_under_way[shard] = shards_under_way[shard].saturating_sub(1);
        Some(answer)
    }

    fn on_book_answer(&self, answer: BookAnswer) {
        let BookAnswer { ticket, found, image } = answer;
        let mut books = self.books.borrow_mut();
        let Some(pending) = books.get_mut(&ticket) else {
            // Another shard had it, or the query timed out.
            self.give_back(image);
            return;
        };
        pending.open -= 1;
        if found {
            pending.slot.put(Ok(Some(image)));
            books.remove(&ticket);
            return;
        }
        self.give_back(image);
        if pending.open == 0 {
            pending.slot.put(pending.without_book());
            books.remove(&ticket);
        }
    }
}

/// A request that waits for the report; withdrawn when dropped.
struct ReportWaiter<'a> {
    queries: &'a Queries,
    slot: Rc<Slot<Report>>,
}

impl Drop for ReportWaiter<'_> {
    fn drop(&mut self) {
        let mut under_way = self.queries.report.borrow_mut();
        if let Some(PendingReport { waiting, .. }) = &mut *under_way {
            waiting.retain(|slot| !Rc::ptr_eq(slot, &self.slot));
            if waiting.is_empty() {
                // The next request sends a new query; the answer to this one is discarded.
                *under_way = None;
            }
        }
    }
}

/// A request that waits for the result of a command; withdrawn when dropped.
struct CommandWaiter<'a> {
    queries: &'a Queries,
    ticket: u64,
}

impl Drop for CommandWaiter<'_> {
    fn drop(&mut self) {
        self.queries.commands.borrow_mut().remove(&self.ticket);
    }
}

/// A request that waits for a book; withdrawn when dropped.
struct BookWaiter<'a> {
    queries: &'a Queries,
    ticket: u64,
}

impl Drop for BookWaiter<'_> {
    fn drop(&mut self) {
        self.queries.books.borrow_mut().remove(&self.ticket);
    }
}

impl PendingBook {
    /// The result when no shard has the book: certain only if every shard was queried.
    fn without_book(&self) -> BookResult {
        if self.not_sent == 0 { Ok(None) } else { Err(NoAnswer::Busy) }
    }
}
