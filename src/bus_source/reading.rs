//! The thread `bus-source`: records of the bus to the books of each venue, and requests of the serve core between them.
//!
//! Runs on:  the thread `bus-source`, not pinned, which may block. Owns: the reader, its ends of the links.
use super::SourceVenue;
use super::books::VenueBooks;
use crate::base::limits::{BUS_RETRY_NS, SINK_LOOK_NS};
use crate::base::time::{Clock as _, MILLISECOND_NS};
use crate::bus::books::{Applied, BusBooks, BusEvent};
use crate::bus::{BusReader, address::BusOptions, record::market_event};
use crate::counter::bus_source::{BusCounts, BusSourceBoard, BusSourceReport};
use crate::io::clock::HostClock;
use crate::link::serve_shard::{BookAnswer, BookQuery};
use crate::link::shard_updates::UpdateLink;
use crate::ring::{Consumer, Producer};
use crate::shard::publish::Handler;
use log::{info, warn};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Interval of the figures.
const FIGURES_NS: u64 = 100 * MILLISECOND_NS;

/// One venue with its links.
struct Part<H> {
    books: VenueBooks<H>,
    updates: Option<UpdateLink>,
    queries: Consumer<BookQuery>,
    answers: Producer<BookAnswer>,
}

/// The thread's state.
pub(super) struct Reading<H> {
    options: BusOptions,
    parts: Vec<Part<H>>,
    board: Arc<BusSourceBoard>,
    stop: Arc<AtomicBool>,
    clock: HostClock,
    figures_ns: u64,
    report: BusSourceReport,
    /// Records of markets that could not be read.
    unreadable: u64,
}

impl<H: Handler> Reading<H> {
    pub(super) fn new(
        options: BusOptions,
        venues: Vec<SourceVenue<H>>,
        (board, stop): (Arc<BusSourceBoard>, Arc<AtomicBool>),
    ) -> Self {
        let part = |one: SourceVenue<H>| Part {
            books: VenueBooks::new(one.venue, one.shard, one.handler),
            updates: one.updates,
            queries: one.queries,
            answers: one.answers,
        };
        let report = BusSourceReport { broker: options.servers.clone(), ..Default::default() };
        let parts = venues.into_iter().map(part).collect();
        let clock = HostClock::new();
        Self { options, parts, board, stop, clock, figures_ns: 0, report, unreadable: 0 }
    }

    /// Reads until it is stopped; begins again with a reader that has no books where one cannot go on.
    pub(super) fn run(mut self) {
        // No book is there before a reader is.
        let books = BusBooks::default();
        while !self.is_stopped() {
            match BusReader::of_source(&self.options.address, || !self.is_stopped()) {
                Ok(mut reader) => {
                    if !self.report.error.is_empty() {
                        info!("the bus at {} can be read", self.options.servers);
                    }
                    self.report.error.clear();
                    if let Some(why) = self.read(&mut reader) {
                        self.set_error(why);
                        self.on_lost(&reader);
                    }
                }
                Err(error) => self.set_error(error.to_string()),
            }
            let retry_ns = self.clock.mono_ns() + BUS_RETRY_NS;
            while !self.is_stopped() && self.clock.mono_ns() < retry_ns {
                self.serve(&books);
                self.publish_figures(&books);
                std::thread::sleep(Duration::from_nanos(SINK_LOOK_NS));
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn set_error(&mut self, why: String) {
        if self.report.error.is_empty() {
            warn!("the bus at {} cannot be read: {why}; it is tried again", self.options.servers);
        }
        self.report.error = why;
    }

    /// Reads until the reader cannot go on, and why; `None` when it is stopped.
    fn read(&mut self, reader: &mut BusReader) -> Option<String> {
        while !self.is_stopped() {
            self.serve(reader.all());
            self.publish_figures(reader.all());
            let applied = match reader.read(Duration::from_nanos(SINK_LOOK_NS)) {
                Ok(applied) => applied,
                Err(error) => return Some(error.to_string()),
            };
            let now_wall_ns = self.clock.now().wall_ns;
            for applied in reader.take_changed() {
                self.on_applied(applied, reader.all(), now_wall_ns);
            }
            if let Some(applied) = applied {
                self.report.last_record_wall_ns = now_wall_ns;
                self.on_applied(applied, reader.all(), now_wall_ns);
            }
        }
        None
    }

    /// The place of a venue, if it is followed.
    fn place(&self, venue: &str) -> Option<usize> {
        self.parts.iter().position(|part| part.books.venue().name() == venue)
    }

    fn on_applied(&mut self, applied: Applied, books: &BusBooks, now_wall_ns: u64) {
        let venue = match &applied {
            Applied::Image { token, .. }
            | Applied::Changes { token, .. }
            | Applied::TickSize { token, .. }
            | Applied::State(token) => books.book(token).map(|book| book.venue.as_str()),
            Applied::Other(BusEvent::Trade(trade)) => Some(trade.venue.as_str()),
            Applied::Other(BusEvent::Market(text)) => return self.on_market(text),
            Applied::Other(_) => None,
        };
        let Some(venue) = venue else { return };
        match self.place(venue) {
            Some(place) => {
                self.parts[place].books.on_applied(&applied, books, now_wall_ns);
                self.send(place);
            }
            None => self.report.other_venues += 1,
        }
    }

    fn on_market(&mut self, text: &str) {
        match market_event(text) {
            Ok((venue, event)) => match self.place(venue.name()) {
                Some(place) => {
                    self.parts[place].books.on_market(event);
                    self.send(place);
                }
                None => self.report.other_venues += 1,
            },
            Err(_) => self.unreadable += 1,
        }
    }

    /// Every book of a reader that cannot go on is stale until the next one has it.
    fn on_lost(&mut self, reader: &BusReader) {
        let now_wall_ns = self.clock.now().wall_ns;
        for place in 0..self.parts.len() {
            self.parts[place].books.set_all_stale(reader.all(), now_wall_ns);
            self.send(place);
        }
    }

    /// Takes requests of the serve core, and answers its queries.
    fn serve(&mut self, books: &BusBooks) {
        for place in 0..self.parts.len() {
            let part = &mut self.parts[place];
            while let Some(request) =
                part.updates.as_mut().and_then(|link| link.requests.try_receive())
            {
                part.books.on_request(request, books);
            }
            while let Some(BookQuery { ticket, token, mut image }) = part.queries.try_receive() {
                let found = part.books.fill_image(&token, books, &mut image);
                // If it does not fit, the request times out.
                let _ = part.answers.try_send(BookAnswer { ticket, found, image });
            }
            self.send(place);
        }
    }

    /// Sends the updates of a venue; waits while the ring is full.
    fn send(&mut self, place: usize) {
        let Part { books, updates, .. } = &mut self.parts[place];
        let mut any = false;
        while let Some(mut update) = books.poll_update() {
            let Some(link) = updates else { continue };
            while let Err(back) = link.updates.try_send(update) {
                link.waker.wake();
                if self.stop.load(Ordering::Acquire) {
                    return;
                }
                std::thread::sleep(Duration::from_nanos(MILLISECOND_NS));
                update = back;
            }
            any = true;
        }
        if let (true, Some(link)) = (any, updates) {
            link.waker.wake();
        }
    }

    fn publish_figures(&mut self, books: &BusBooks) {
        let now_ns = self.clock.mono_ns();
        if now_ns < self.figures_ns {
            return;
        }
        self.figures_ns = now_ns + FIGURES_NS;
        self.clock.align();
        let counts = books.counts();
        let report = BusSourceReport {
            engines: books.engines() as u64,
            counts: BusCounts { unreadable: counts.unreadable + self.unreadable, ..counts },
            ..self.report.clone()
        };
        self.board.set(report, self.parts.iter().map(|part| part.books.figures()).collect());
    }
}
