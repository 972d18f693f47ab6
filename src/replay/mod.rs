//! Captures back into books: the same decode and book code as live, and its numbers.
//!
//! Runs on:  plain threads: one reader, one per shard.
//!
//! ```text
//! io/file -> lines -> capture -> outline (route) -> batch ==ring==> worker -> shard/intake
//! ```
//!
//! The input is frames, one a line: as received, as records of a [capture](crate::capture), or as wrapper lines
//! of public archives. Subscriptions are implied by what appears. A frame goes to the shard that
//! owns its market; one that concerns several goes to every shard and is counted on one, so that
//! neither counts nor books depend on the number of shards.
mod batch;
mod connections;
mod detect;
mod expected;
mod lines;
mod notes;
mod numbers;
mod pace;
pub mod plan;
mod progress;
mod reader;
pub mod report;
mod run;
mod worker;

pub use detect::venue_of;
pub use reader::ReplayError;
pub use run::{run, run_with};

use crate::base::id::ShardId;
use crate::base::time::{Now, StillClock};
use crate::io::output;
use crate::shard::books::{Admission, Books};
use crate::shard::intake::{Findings, Intake};
use crate::shard::publish::Handler;
use plan::Plan;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Feeds raw frames to a handler, as if they had come from a venue, and gives the handler back.
///
/// Subscriptions are implied by what appears: every token that is mentioned gets a book.
pub fn feed<'f, H: Handler>(handler: H, frames: impl IntoIterator<Item = &'f str>) -> H {
    let books = Books::new(ShardId(0), Admission::Implied { shards: 1 }, handler);
    let mut intake = Intake::new(crate::venue::ALL[0], books, StillClock::default());
    let mut findings = Findings::default();
    for frame in frames {
        intake.on_frame(frame, Default::default(), Now::default(), &mut findings);
    }
    intake.books.into_handler()
}

/// Runs a replay for the command line: results to standard output, everything else to standard
/// error. Setting `stop` ends it early. Gives the exit code: 0, 1 when an input could not be read
/// to its end, was not understood or has holes, 2 when the flags do not fit the input, 130 when stopped.
pub fn execute(plan: &Plan, json: bool, stop: &Arc<AtomicBool>) -> u8 {
    let report = match run(plan, stop) {
        Ok(report) => report,
        Err(ReplayError::Input(why)) => return complain(&why, 1),
        Err(ReplayError::Usage(why)) => return complain(&why, 2),
    };
    for error in &report.first_errors {
        complain(&error.to_string(), 1);
    }
    let unshown = report.errors.saturating_sub(report.first_errors.len() as u64);
    if unshown > 0 {
        complain(&format!("{unshown} more undecodable inputs were counted"), 1);
    }
    let text = if json { report.to_json() + "\n" } else { report.to_text() };
    output::print(text);
    for trouble in &report.troubles {
        complain(trouble, 1);
    }
    match (report.interrupted, report.troubles.is_empty()) {
        (true, _) => 130,
        (false, false) => 1,
        (false, true) => 0,
    }
}

fn complain(why: &str, code: u8) -> u8 {
    output::complain(format_args!("ringbook replay: {why}"));
    code
}
