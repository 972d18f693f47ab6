//! Captures and databases to Parquet, CSV and the files of backtesters.
//!
//! Runs on:  the starting thread and a replay's.
//!
//! ```text
//! captures  -> replay -> gather (a handler on the books) -> sorted -> table -> *.parquet
//!                                                        -> table  -> *.csv, *.arrows
//!                                                        -> daily -> tardis      -> *.csv.gz
//!                                                                 -> hftbacktest -> *.npz
//!                                                                 -> nautilus    -> data/…/*.parquet
//! databases ---------> database (rows in order)          -> as captures, the table of trades
//! ```
mod arrow_stream;
pub mod candles;
mod columns;
mod csv_lines;
mod daily;
mod database;
mod gather;
mod hftbacktest;
mod nautilus;
mod npz;
pub mod plan;
mod row_groups;
mod sorted;
mod spool;
mod table;
mod tardis;

use crate::io::output;
use crate::replay::plan::Plan;
use crate::replay::{self, ReplayError};
use daily::DailyRows;
use gather::{Gatherer, Rows, TableRows};
use hftbacktest::Hftbacktest;
use nautilus::Nautilus;
use plan::{Destination, ExportPlan, Format, From};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use table::Written;
use tardis::TardisCsv;

/// Exports for the command line: one line per file to standard output, everything else to standard error.
/// Setting `stop` ends it early; what was read until then is written. Returns the exit code: 0, 1 when an
/// input could not be read to its end or a file could not be written, 130 when stopped.
#[must_use]
pub fn execute(plan: &ExportPlan, stop: &Arc<AtomicBool>) -> u8 {
    finish("export", &plan.to, run(plan, stop), stop)
}

/// The files and what is missing in them.
type Done = (Vec<Written>, Vec<String>);

fn finish(
    command: &str,
    to: &Destination,
    result: Result<Done, String>,
    stop: &Arc<AtomicBool>,
) -> u8 {
    let complain = |why: &str| output::complain(format_args!("ringbook {command}: {why}"));
    let (files, failures) = match result {
        Ok(done) => done,
        // As `| head`: it has all that it wanted.
        Err(_) if output::reader_is_gone() => return 0,
        Err(why) => {
            complain(&why);
            return 1;
        }
    };
    for file in files {
        let line = format!("{}: {} rows", file.path.display(), file.rows);
        match to {
            Destination::Folder(_) => output::print_line(line),
            Destination::StandardOutput => complain(&line),
        }
    }
    for failure in &failures {
        complain(failure);
    }
    match (stop.load(Ordering::Relaxed), failures.is_empty()) {
        (true, _) => 130,
        (false, false) => 1,
        (false, true) => 0,
    }
}

fn rows(plan: &ExportPlan) -> Result<Box<dyn Rows>, String> {
    Ok(match (plan.format, &plan.to) {
        (Format::TardisCsv, Destination::Folder(folder)) => {
            Box::new(DailyRows::new(plan.tables, TardisCsv::create(folder)?))
        }
        (Format::Hftbacktest, Destination::Folder(folder)) => {
            Box::new(DailyRows::new(plan.tables, Hftbacktest::create(folder)?))
        }
        (Format::Nautilus, Destination::Folder(folder)) => {
            Box::new(DailyRows::new(plan.tables, Nautilus::create(folder)?))
        }
        _ => Box::new(TableRows::create(plan)?),
    })
}

fn run(plan: &ExportPlan, stop: &Arc<AtomicBool>) -> Result<Done, String> {
    let plans = match &plan.from {
        From::Captures(plans) => plans,
        From::Database(address) => {
            let files = database::export(address, plan, stop)?;
            let is_empty = files.iter().all(|file| file.rows == 0);
            return Ok((files, Vec::from_iter(is_empty.then(|| NO_TRADES.to_owned()))));
        }
    };
    let gatherer = Gatherer::new(rows(plan)?, &plan.only);
    let (mut failures, messages) = replay_all(plans, &gatherer, stop)?;
    let files = gatherer.finish()?;
    if files.iter().all(|file| file.rows == 0) && failures.is_empty() {
        failures.push(why_nothing(&plan.only, messages));
    }
    Ok((files, failures))
}

const NO_TRADES: &str = "the database has no trades";

/// Replays captures into a handler: what is missing, and the number of messages.
fn replay_all(
    plans: &[Plan],
    gatherer: &Gatherer,
    stop: &Arc<AtomicBool>,
) -> Result<(Vec<String>, u64), String> {
    let (mut failures, mut messages) = (Vec::new(), 0);
    for replayed in plans {
        let report = replay::run(replayed, stop, gatherer);
        let report = report.map_err(|error| match error {
            ReplayError::Input(why) | ReplayError::Usage(why) => why,
        })?;
        messages += report.messages;
        failures.extend(report.failures);
        if !report.first_errors.is_empty() {
            failures.push(format!("{} inputs could not be decoded", report.errors));
        }
    }
    Ok((failures, messages))
}

/// Why no table has a row.
fn why_nothing(only: &[String], messages: u64) -> String {
    match (messages, only.is_empty()) {
        (0, _) => "nothing was exported: no message is in this range".to_owned(),
        (_, true) => format!(
            "nothing was exported: none of {messages} messages is a trade or a change of a book whose snapshot is among \
             them; begin earlier or choose other tables"
        ),
        (_, false) => format!(
            "nothing was exported: none of {messages} messages is about {}; --market takes a market id, a ticker or a token",
            only.join(", ")
        ),
    }
}
