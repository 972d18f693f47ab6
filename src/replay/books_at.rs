//! The books of one market as they were at some time of a recording.
//!
//! Runs on:  the starting thread; reader and shard have their own threads.
use super::images::ImageAt;
use super::market_plot::opened_as;
use super::plan::{Plan, Speed, time_text};
use super::run::run_to_books;
use super::{Recorded, ReplayError};
use crate::base::text::counted;
use crate::io::clock::HostClock;
use crate::market::book::image::BookImage;
use crate::market::book::{BookState, StaleReason};
use crate::shard::books::{Books, OpenBook};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::Builder;

/// The books of one market at some time.
#[derive(Clone, Debug)]
pub struct BooksAt {
    /// Name of the venue.
    pub venue: String,
    /// One for each outcome in the order in which they were opened, or that of the token.
    pub books: Vec<BookImage>,
    /// The time of the image that the books continue from, nanoseconds since the Unix epoch; or why they are those of a
    /// replay from the start of the engine.
    pub image_ns: Result<u64, String>,
    /// Faults of the input, one line each.
    pub failures: Vec<String>,
}

impl BooksAt {
    /// One line for each book that could not be trusted at `at_ns`.
    pub fn not_live(&self, at_ns: u64) -> Vec<String> {
        let line = |image: &BookImage| {
            let token = image.token.as_ref().map_or("", |token| token.as_str());
            let (state, at) = (image.state.name(), time_text(at_ns));
            let why = match image.state {
                BookState::Live => return None,
                BookState::AwaitingSnapshot => "no snapshot had come yet".to_owned(),
                BookState::Stale { since_wall_ns, .. } => {
                    format!("since {}; its levels are those before", time_text(since_wall_ns))
                }
            };
            Some(format!("{token} was {state} at {at}: {why}"))
        };
        self.books.iter().filter_map(line).collect()
    }
}

/// The books of `market` (slug, condition id, token id or ticker) after everything that was received up to `at_ns`,
/// nanoseconds since the Unix epoch. Replays from the last image of the market, or as [`Recorded::plan`] begins.
/// Setting `stop` ends it early, with the books of an earlier time.
///
/// # Errors
/// One line: nothing was recorded then, no such market had a book, or an input cannot be read.
pub fn books_at(
    recorded: &[Recorded],
    market: &str,
    at_ns: u64,
    stop: &Arc<AtomicBool>,
) -> Result<BooksAt, String> {
    let (mut failures, mut nothing) = (Vec::new(), None);
    let mut is_recorded = false;
    // The first clock of a process is calibrated, which takes 6 ms: meanwhile the image is looked for.
    let _ = Builder::new().name("calibrate".to_owned()).spawn(HostClock::new);
    for one in recorded {
        if !one.is_timed() {
            let lines = "the lines of the recording have no receive times";
            nothing.get_or_insert(format!("{lines}: it has no book of a time"));
            continue;
        }
        let end_ns = at_ns.saturating_add(1);
        if let Some(line) = one.nothing_in(&(at_ns..end_ns)) {
            nothing.get_or_insert(line);
            continue;
        }
        is_recorded = true;
        let continued = match one.last_image(market, at_ns, stop) {
            Ok(mut image) => {
                let mut found = continued(one, &image, end_ns, stop)?;
                // The lines of the files are those of a fault.
                if found.is_err() && image.text.take().is_some() {
                    found = continued(one, &image, end_ns, stop)?;
                }
                found.map(|books| (books, image.at_ns))
            }
            Err(why) => Err(why),
        };
        let (mut books, image_ns) = match continued {
            Ok((books, image_ns)) => (books, Ok(image_ns)),
            Err(why) => {
                let plan = one.plan(&(at_ns..end_ns), Speed::Max)?;
                let plan = plan.of_markets(vec![market.to_owned()]);
                (replayed(&plan, market, stop, &mut failures)?, Err(why))
            }
        };
        if !books.is_empty() {
            let gap = one.gap_at(at_ns);
            if let Some(gap) = gap {
                books.iter_mut().for_each(|image| end(image, gap.from_ns));
                failures.push(format!("nothing is recorded of that time: {}", gap.cause));
            }
            return Ok(BooksAt { venue: one.venue(), books, image_ns, failures });
        }
    }
    let none = || {
        let at = time_text(at_ns);
        format!(
            "{market}: no such market had a book at {at}; give a slug, a condition id, a token id or a ticker, and a \
             time at which it was followed: `ringbook capture ls --markets` lists them"
        )
    };
    // Faults of the input may be the cause.
    failures.push(nothing.filter(|_| !is_recorded).unwrap_or_else(none));
    Err(failures.join("\n"))
}

/// The books that continue from an image. A line where they cannot be trusted: nothing is open at the end, a later
/// image or digest differs, or the input has a fault.
fn continued(
    one: &Recorded,
    image: &ImageAt,
    end_ns: u64,
    stop: &Arc<AtomicBool>,
) -> Result<Result<Vec<BookImage>, String>, String> {
    let mut failures = Vec::new();
    let books = replayed(&one.plan_from(image, end_ns)?, &image.name, stop, &mut failures)?;
    let from = time_text(image.at_ns);
    Ok(match failures.into_iter().next() {
        Some(line) => Err(format!("the image of {from} leads to other books: {line}")),
        None if books.is_empty() => Err(format!("the books of the image of {from} were closed")),
        None => Ok(books),
    })
}

/// The books of a market at the end of a plan.
fn replayed(
    plan: &Plan,
    market: &str,
    stop: &Arc<AtomicBool>,
    failures: &mut Vec<String>,
) -> Result<Vec<BookImage>, String> {
    let (report, held) = run_to_books(plan, stop, &()).map_err(|error| match error {
        ReplayError::Input(line) | ReplayError::Usage(line) => line,
    })?;
    failures.extend(report.failures);
    if report.errors > 0 {
        failures.push(counted(
            report.errors,
            "input could not be decoded",
            "inputs could not be decoded",
        ));
    }
    let books = images(&held, market);
    if !books.is_empty() || plan.resumes().is_some() {
        return Ok(books);
    }
    // By its slug; other books are those of lists that have it.
    let named = opened_as(plan, market, stop);
    Ok(named.map_or_else(Vec::new, |named| images(&held, named.as_str())))
}

/// The engine that had this book was gone before the time.
const fn end(image: &mut BookImage, since_wall_ns: u64) {
    if matches!(image.state, BookState::Live) {
        image.state = BookState::Stale { why: StaleReason::Disconnected, since_wall_ns };
    }
}

/// The open books of a market or token.
fn images(held: &[Books<()>], name: &str) -> Vec<BookImage> {
    let mut images = Vec::new();
    for books in held {
        let is_named =
            |book: &OpenBook| book.market.as_str() == name || book.token.as_str() == name;
        let mut open: Vec<OpenBook> = books.open_books().filter(is_named).collect();
        open.sort_unstable_by_key(|book| book.index);
        for book in open {
            let mut image = BookImage::default();
            if books.fill_image_at(book.index, &mut image) {
                images.push(image);
            }
        }
    }
    images
}

#[cfg(test)]
mod tests;
