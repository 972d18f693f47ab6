//! Questions to the control core and the shards, and their answers by ticket.
//!
//! Runs on:  serve core. Owns: its ends of the rings, and images to be filled again.
//! Bounds:   `SERVE_CONTROL_DEPTH` and `SERVE_SHARD_DEPTH` questions under way on each link, so
//!           that an answer always finds room.
use super::event::{Bell, Event, Slot};
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
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// Whose doorbell is rung after a question was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The control core.
    Control,
    /// The shard with this place in [`ServeLinks::shards`].
    Shard(usize),
}

/// The serve core's ends of its links.
pub struct ServeLinks {
    /// Questions to the control core.
    pub control_queries: Producer<ControlQuery>,
    /// Its answers.
    pub control_answers: Consumer<ControlAnswer>,
    /// Questions to each shard and its answers, in the shards' order.
    pub shards: Vec<(Producer<BookQuery>, Consumer<BookAnswer>)>,
    /// Called after each question that was sent: rings the other core's doorbell.
    pub wake: Box<dyn Fn(Wake) + Send>,
}

impl std::fmt::Debug for ServeLinks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServeLinks").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}

type Report = Arc<EngineReport>;
/// What became of an order.
type Ordered = Result<(), String>;
type Found = Result<Option<Box<BookImage>>, NoAnswer>;

/// What was asked and not yet answered.
pub(super) struct Inquiries {
    links: RefCell<Links>,
    next_ticket: Cell<u64>,
    /// The report under way; who asks meanwhile waits for the same one.
    report: RefCell<Option<ReportInquiry>>,
    books: RefCell<HashMap<u64, BookInquiry>>,
    orders: RefCell<HashMap<u64, Rc<Slot<Ordered>>>>,
    /// Rung when the pump has something to look for.
    asked: Bell,
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

struct ReportInquiry {
    ticket: u64,
    waiting: Vec<Rc<Slot<Report>>>,
}

struct BookInquiry {
    slot: Rc<Slot<Found>>,
    /// Shards that have not answered yet.
    open: usize,
    /// Shards that could not be asked.
    unasked: usize,
}

impl Inquiries {
    pub(super) fn new(links: ServeLinks) -> Self {
        let shards_under_way = vec![0; links.shards.len()];
        let links = Links { links, control_under_way: 0, shards_under_way, images: Vec::new() };
        Self {
            links: RefCell::new(links),
            next_ticket: Cell::new(1),
            report: RefCell::default(),
            books: RefCell::default(),
            orders: RefCell::default(),
            asked: Bell::default(),
            late: Cell::new(0),
            refused: Cell::new(0),
        }
    }

    /// Questions not answered in time, and questions not asked.
    pub(super) const fn counts(&self) -> (u64, u64) {
        (self.late.get(), self.refused.get())
    }

    /// A report, shared with everybody who asks while it is under way.
    pub(super) async fn report(&self, timeout_ns: u64) -> Result<Report, NoAnswer> {
        self.take_answers();
        let slot = Rc::new(Slot::default());
        self.ask_report(&slot).inspect_err(|_| self.refused.set(self.refused.get() + 1))?;
        let place = ReportPlace { inquiries: self, slot };
        self.asked.ring();
        let answer = within(timeout_ns, place.slot.take()).await;
        answer.ok_or_else(|| self.too_late())
    }

    fn too_late(&self) -> NoAnswer {
        self.late.set(self.late.get() + 1);
        NoAnswer::Late
    }

    fn ask_report(&self, slot: &Rc<Slot<Report>>) -> Result<(), NoAnswer> {
        let mut under_way = self.report.borrow_mut();
        if let Some(inquiry) = &mut *under_way {
            inquiry.waiting.push(Rc::clone(slot));
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
        *under_way = Some(ReportInquiry { ticket, waiting: vec![Rc::clone(slot)] });
        Ok(())
    }

    /// Orders the replacement of a connection; the reason of a refusal is for people.
    pub(super) async fn recycle(
        &self,
        connection: ConnectionId,
        timeout_ns: u64,
    ) -> Result<Ordered, NoAnswer> {
        self.ask_control(|ticket| ControlQuery::Recycle { ticket, connection }, timeout_ns).await
    }

    /// Why a book that no shard has is awaited, for people; `None` when nobody follows its token.
    pub(super) async fn why_awaited(
        &self,
        token: TokenId,
        timeout_ns: u64,
    ) -> Result<Option<String>, NoAnswer> {
        let query = |ticket| ControlQuery::Awaited { ticket, token };
        Ok(self.ask_control(query, timeout_ns).await?.err())
    }

    async fn ask_control(
        &self,
        query: impl FnOnce(u64) -> ControlQuery,
        timeout_ns: u64,
    ) -> Result<Ordered, NoAnswer> {
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
        self.orders.borrow_mut().insert(ticket, Rc::clone(&slot));
        let _place = OrderPlace { inquiries: self, ticket };
        self.asked.ring();
        let answer = within(timeout_ns, slot.take()).await;
        answer.ok_or_else(|| self.too_late())
    }

    /// The book of a token: every shard is asked, the one that holds it answers. Give the image
    /// back with [`Inquiries::give_back`].
    pub(super) async fn book(&self, token: TokenId, timeout_ns: u64) -> Found {
        self.take_answers();
        let ticket = self.ticket();
        let slot = Rc::new(Slot::default());
        let inquiry = self.ask_book(ticket, token, &slot);
        if inquiry.open == 0 {
            let found = inquiry.when_all_said_no();
            if found.is_err() {
                self.refused.set(self.refused.get() + 1);
            }
            return found;
        }
        self.books.borrow_mut().insert(ticket, inquiry);
        let _place = BookPlace { inquiries: self, ticket };
        self.asked.ring();
        let answer = within(timeout_ns, slot.take()).await;
        answer.unwrap_or_else(|| Err(self.too_late()))
    }

    fn ask_book(&self, ticket: u64, token: TokenId, slot: &Rc<Slot<Found>>) -> BookInquiry {
        let mut inquiry = BookInquiry { slot: Rc::clone(slot), open: 0, unasked: 0 };
        let Links { links, shards_under_way, images, .. } = &mut *self.links.borrow_mut();
        for (i, (queries, _)) in links.shards.iter_mut().enumerate() {
            if shards_under_way[i] >= SERVE_SHARD_DEPTH {
                inquiry.unasked += 1;
                continue;
            }
            let image = images.pop();
            let image =
                image.unwrap_or_else(|| Box::new(BookImage::with_capacity(SERVE_IMAGE_LEVELS)));
            match queries.try_send(BookQuery { ticket, token, image }) {
                Ok(()) => {
                    shards_under_way[i] += 1;
                    inquiry.open += 1;
                    (links.wake)(Wake::Shard(i));
                }
                Err(back) => {
                    inquiry.unasked += 1;
                    images.push(back.image);
                }
            }
        }
        inquiry
    }

    /// Keeps an image for the next question.
    pub(super) fn give_back(&self, image: Box<BookImage>) {
        let images = &mut self.links.borrow_mut().images;
        if images.len() < SERVE_SHARD_DEPTH {
            images.push(image);
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
            || !self.orders.borrow().is_empty()
    }

    /// Looks for answers while somebody waits for one, and sleeps otherwise; ends with `stop` once
    /// nobody waits any more.
    pub(super) async fn pump(&self, stop: &Event) {
        loop {
            or(self.asked.wait(), stop.wait()).await;
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

    /// Hands every answer that is there to whoever waits for it; true if there was one.
    fn take_answers(&self) -> bool {
        let mut any = false;
        while let Some(answer) = self.next_control_answer() {
            any = true;
            let (ticket, report) = match answer {
                ControlAnswer::Report { ticket, report } => (ticket, report),
                ControlAnswer::Ordered { ticket, result } => {
                    if let Some(slot) = self.orders.borrow_mut().remove(&ticket) {
                        slot.put(result);
                    }
                    continue;
                }
            };
            let mut under_way = self.report.borrow_mut();
            if under_way.as_ref().is_some_and(|inquiry| inquiry.ticket == ticket) {
                let report: Report = Arc::from(report);
                for slot in under_way.take().into_iter().flat_map(|inquiry| inquiry.waiting) {
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
        let Some(inquiry) = books.get_mut(&ticket) else {
            // Another shard had it, or the asker's time was over.
            self.give_back(image);
            return;
        };
        inquiry.open -= 1;
        if found {
            inquiry.slot.put(Ok(Some(image)));
            books.remove(&ticket);
            return;
        }
        self.give_back(image);
        if inquiry.open == 0 {
            inquiry.slot.put(inquiry.when_all_said_no());
            books.remove(&ticket);
        }
    }
}

/// Whoever waits for the report; leaves when its time is over or the server stops.
struct ReportPlace<'a> {
    inquiries: &'a Inquiries,
    slot: Rc<Slot<Report>>,
}

impl Drop for ReportPlace<'_> {
    fn drop(&mut self) {
        let mut under_way = self.inquiries.report.borrow_mut();
        if let Some(ReportInquiry { waiting, .. }) = &mut *under_way {
            waiting.retain(|slot| !Rc::ptr_eq(slot, &self.slot));
            if waiting.is_empty() {
                // The next request asks anew; this answer is thrown away if it ever comes.
                *under_way = None;
            }
        }
    }
}

/// Whoever waits for what became of an order; leaves when its time is over or the server stops.
struct OrderPlace<'a> {
    inquiries: &'a Inquiries,
    ticket: u64,
}

impl Drop for OrderPlace<'_> {
    fn drop(&mut self) {
        self.inquiries.orders.borrow_mut().remove(&self.ticket);
    }
}

/// Whoever waits for a book; leaves when its time is over or the server stops.
struct BookPlace<'a> {
    inquiries: &'a Inquiries,
    ticket: u64,
}

impl Drop for BookPlace<'_> {
    fn drop(&mut self) {
        self.inquiries.books.borrow_mut().remove(&self.ticket);
    }
}

impl BookInquiry {
    /// No shard has the book; certain only if every shard was asked.
    fn when_all_said_no(&self) -> Found {
        if self.unasked == 0 { Ok(None) } else { Err(NoAnswer::Busy) }
    }
}
