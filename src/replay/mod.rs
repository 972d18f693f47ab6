//! Captures and other recordings to books, through the decoder and book code of a live shard.
//!
//! Runs on:  plain threads: one reader, one per shard; with cores, each shard on the pinned executor of a live shard.
//!
//! ```text
//! io/file -> lines -> capture -> outline (route) -> batch ==ring==> worker -> shard/intake
//! ```
//!
//! The input has one frame per line: as received, as a record of a [capture](crate::capture), or in an envelope of a
//! public archive. Every token that appears is subscribed. A frame goes to the shard that
//! owns its market; a frame of several markets goes to every shard and is counted on one, so counters and books do
//! not depend on the number of shards.
mod annotations;
mod batch;
mod books_at;
mod connections;
mod cost;
mod day;
mod detect;
mod dispatch;
mod divided;
mod elements;
mod engines;
pub(crate) mod expected;
pub(crate) mod feed;
mod images;
mod lines;
mod lives;
mod market_filter;
mod market_plot;
mod numbers;
mod order;
mod pace;
pub mod plan;
mod reader;
mod recorded;
mod records;
pub mod report;
mod run;
mod sequence;
mod steps;
mod threads;
mod values;
mod venue_times;
mod worker;

pub(crate) use annotations::openings;
pub use books_at::{BooksAt, books_at};
pub use detect::{damaged_file, foreign_file, venue_of};
pub(crate) use expected::{lost_segments, part};
pub(crate) use market_filter::{Kept, MarketFilter};
pub use market_plot::{MarketPlot, Wanted, plot};
pub use reader::ReplayError;
pub use recorded::Recorded;
pub use records::{Content, RawRecord, Recording, Records};
pub use run::{Measured, run, run_from_images};
pub(crate) use steps::{Step, Steps};
pub(crate) use values::{Missing, Values};
pub(crate) use venue_times::VenueTimes;

use crate::base::id::ShardId;
use crate::base::time::{Now, StillClock};
use crate::io::file::NewFile;
use crate::io::output;
use crate::plot::day::{Day, render};
use crate::shard::books::{Admission, Books};
use crate::shard::intake::{Findings, Intake};
use crate::shard::publish::Handler;
use plan::Plan;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Applies raw frames to a handler as a live engine would, and returns the handler.
///
/// Every token that appears gets a book.
pub fn feed<'f, H: Handler>(handler: H, frames: impl IntoIterator<Item = &'f str>) -> H {
    let books =
        Books::new(ShardId(0), crate::venue::ALL[0], Admission::Implied { shards: 1 }, handler);
    let mut intake = Intake::new(crate::venue::ALL[0], books, StillClock::default());
    let mut findings = Findings::default();
    for frame in frames {
        intake.on_frame(frame, Default::default(), Now::default(), &mut findings);
    }
    intake.books.into_handler()
}

/// Runs the replays of one venue each for the command line: results to standard output, everything else to standard
/// error, the plot of the recorded time to `plot`, the measurements of each replay to `measured`. Setting `stop` ends
/// them early. Returns the exit code: 0; 1 when an input was incomplete, not understood or had gaps, or has no times to
/// draw; 2 when the flags do not fit the input; 130 when stopped; the highest one of several.
pub fn execute(
    plans: &[Plan],
    json: bool,
    plot: Option<NewFile>,
    stop: &Arc<AtomicBool>,
    mut measured: impl FnMut(&Measured),
) -> u8 {
    let mut code = 0;
    let mut days = Vec::new();
    for (place, plan) in plans.iter().enumerate() {
        if place > 0 && !json {
            output::print("\n");
        }
        code = code.max(match run_from_images(plan, stop) {
            Ok(mut replay) => {
                measured(&replay);
                let name = || plan.feed().venue().name().to_owned();
                days.extend(replay.day.take().map(|day| (name(), day)));
                print(&replay.report, json)
            }
            Err(ReplayError::Input(why)) => complain(&why, 1),
            Err(ReplayError::Usage(why)) => complain(&why, 2),
        });
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    match plot.map(|file| draw(file, &days)) {
        Some(Err(why)) => code.max(complain(&why, 1)),
        _ => code,
    }
}

/// Writes the plot of the recorded time.
fn draw(file: NewFile, days: &[(String, Day)]) -> Result<(), String> {
    let title = "Message rate, lag and latency over the recorded time";
    let svg = render(days, title)
        .ok_or("--plot: no line of the input has a receive time: nothing to draw")?;
    file.finish(svg.as_bytes())
}

/// Prints the results of one replay; returns the exit code.
fn print(report: &report::ReplayReport, json: bool) -> u8 {
    for error in &report.first_errors {
        complain(&error.to_string(), 1);
    }
    let unshown = report.errors.saturating_sub(report.first_errors.len() as u64);
    if unshown > 0 && !report.first_errors.is_empty() {
        complain(&format!("{unshown} more undecodable inputs"), 1);
    }
    let text = if json { report.to_json() + "\n" } else { report.to_text() };
    output::print(text);
    for failure in &report.failures {
        complain(failure, 1);
    }
    match (report.interrupted, report.failures.is_empty()) {
        (true, _) => 130,
        (false, false) => 1,
        (false, true) => 0,
    }
}

fn complain(why: &str, code: u8) -> u8 {
    output::complain(format_args!("ringbook replay: {why}"));
    code
}
