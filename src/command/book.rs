//! `ringbook book`: the books of one market at some time of a capture.
//!
//! Runs on:  main thread; reader and shard have their own threads.
use super::columns::columns;
use super::{Failure, replay::stop_on_signals};
use crate::config::{UsageError, book::BookArgs};
use crate::io::output::{complain, print, stdout_is_terminal};
use crate::market::book::Level;
use crate::market::book::image::BookImage;
use crate::replay::plan::time_text;
use crate::replay::{BooksAt, Recorded, books_at};
use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::atomic::Ordering;

/// Levels of a side in the table where --depth does not say.
const TABLE_LEVELS: usize = 10;

/// Replays up to the time and prints. A signal ends it without output.
///
/// # Errors
/// A flag is unusable, a file cannot be read, or there is no such book.
pub fn run(args: &BookArgs) -> Result<ExitCode, Failure> {
    let market = args.market().map_err(UsageError)?;
    let stop = stop_on_signals();
    let mut recorded = Vec::new();
    for recording in args.recordings()? {
        // What is missing is reported by the replay, if it concerns the time.
        recorded.push(Recorded::open(recording)?.0);
    }
    let found = books_at(&recorded, market, args.at, &stop);
    if stop.load(Ordering::Relaxed) {
        return Ok(ExitCode::from(130));
    }
    let mut found = found?;
    let is_json = args.json || !stdout_is_terminal();
    let depth = args.depth.map(usize::from).or((!is_json).then_some(TABLE_LEVELS));
    found.books.iter_mut().for_each(|image| cut(image, depth));
    let BooksAt { venue, books, image_ns, failures } = &found;
    match image_ns {
        Ok(at_ns) => {
            complain(format_args!("ringbook book: from the image of {}", time_text(*at_ns)))
        }
        Err(why) => complain(format_args!("ringbook book: replayed whole: {why}")),
    }
    for image in books {
        print(if is_json { json(image) } else { table(venue, image) });
    }
    let faults = [failures.clone(), found.not_live(args.at)].concat();
    faults.iter().for_each(|line| complain(format_args!("ringbook book: {line}")));
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Leaves the best levels of each side.
fn cut(image: &mut BookImage, depth: Option<usize>) {
    let Some(depth) = depth else { return };
    for levels in [&mut image.bids, &mut image.asks] {
        levels.drain(..levels.len().saturating_sub(depth));
    }
}

fn json(image: &BookImage) -> String {
    let mut text = String::new();
    image.write_json_with_state(&mut text);
    text + "\n"
}

/// A book for people: best levels first.
fn table(venue: &str, image: &BookImage) -> String {
    let market = image.market.as_ref().map_or("", |market| market.as_str());
    let token = image.token.as_ref().map_or("", |token| token.as_str());
    let facts = &image.facts;
    let mut text = format!("{venue}, market {market}, token {token}\n{}", image.state.name());
    // Writing to a string cannot fail.
    if facts.updated_wall_ns > 0 {
        let _ = write!(text, "; last change {}", time_text(facts.updated_wall_ns));
    }
    if let Some(tick) = facts.tick_size {
        let _ = write!(text, "; price step {tick}");
    }
    if let Some(price) = facts.last_trade {
        let _ = write!(text, "; last trade {price}");
    }
    let shown = |level: Option<&Level>| {
        level.map_or_else(Default::default, |level| {
            (level.price.to_string(), level.quantity.to_string())
        })
    };
    let lines = (0..image.bids.len().max(image.asks.len())).map(|place| {
        let (bid, bid_size) = shown(image.bids.iter().nth_back(place));
        let (ask, ask_size) = shown(image.asks.iter().nth_back(place));
        vec![bid_size, bid, ask, ask_size]
    });
    text + "\n" + &columns(&["bid size", "bid", "ask", "ask size"], lines, 0)
}

#[cfg(test)]
mod tests;
