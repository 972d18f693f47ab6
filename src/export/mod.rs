//! Captures and databases to Parquet, CSV and the files of backtesters.
//!
//! Runs on:  the starting thread and a replay's.
//!
//! ```text
//! captures  -> replay -> gather (a handler on the books) -> table  -> *.parquet, *.csv
//!                                                        -> daily -> tardis      -> *.csv.gz
//!                                                                 -> hftbacktest -> *.npz
//! databases ---------> database (rows in order)          -> table  -> trades.parquet, trades.csv
//! ```
mod daily;
mod database;
mod gather;
mod hftbacktest;
mod npz;
pub mod plan;
mod spool;
mod table;
mod tardis;

use crate::io::output;
use crate::replay::{self, ReplayError};
use daily::DailyRows;
use gather::{Gatherer, Rows, TableRows};
use hftbacktest::Hftbacktest;
use plan::{ExportPlan, Format, From};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tardis::TardisCsv;

/// Exports for the command line: one line per file to standard output, everything else to standard error.
/// Setting `stop` ends it early; what was read until then is written. Returns the exit code: 0, 1 when an
/// input could not be read to its end or a file could not be written, 130 when stopped.
#[must_use]
pub fn execute(plan: &ExportPlan, stop: &Arc<AtomicBool>) -> u8 {
    let (files, failures) = match run(plan, stop) {
        Ok(done) => done,
        Err(why) => {
            complain(&why);
            return 1;
        }
    };
    for file in files {
        output::print_line(format_args!("{}: {} rows", file.path.display(), file.rows));
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

fn complain(why: &str) {
    output::complain(format_args!("ringbook export: {why}"));
}

fn run(
    plan: &ExportPlan,
    stop: &Arc<AtomicBool>,
) -> Result<(Vec<table::Written>, Vec<String>), String> {
    let plans = match &plan.from {
        From::Captures(plans) => plans,
        From::Database(address) => {
            let file = database::export(address, &plan.folder, plan.format, stop)?;
            let empty = (file.rows == 0).then(|| "the database has no trades".to_owned());
            return Ok((vec![file], Vec::from_iter(empty)));
        }
    };
    let rows: Box<dyn Rows> = match plan.format {
        Format::TardisCsv => {
            Box::new(DailyRows::new(plan.tables, TardisCsv::create(&plan.folder)?))
        }
        Format::Hftbacktest => {
            Box::new(DailyRows::new(plan.tables, Hftbacktest::create(&plan.folder)?))
        }
        format => Box::new(TableRows::create(&plan.folder, plan.tables, format)?),
    };
    let gatherer = Gatherer::new(rows, &plan.only);
    let (mut failures, mut messages) = (Vec::new(), 0);
    for replayed in plans {
        let report = replay::run_with(replayed, stop, &gatherer);
        let report = report.map_err(|error| match error {
            ReplayError::Input(why) | ReplayError::Usage(why) => why,
        })?;
        messages += report.messages;
        failures.extend(report.failures);
        if !report.first_errors.is_empty() {
            failures.push(format!("{} inputs could not be decoded", report.errors));
        }
    }
    let files = gatherer.finish()?;
    if files.iter().all(|file| file.rows == 0) && failures.is_empty() {
        failures.push(why_nothing(plan, messages));
    }
    Ok((files, failures))
}

/// Why no table has a row.
fn why_nothing(plan: &ExportPlan, messages: u64) -> String {
    match (messages, plan.only.is_empty()) {
        (0, _) => "nothing was exported: no message is in this range".to_owned(),
        (_, true) => format!(
            "nothing was exported: none of {messages} messages is a trade or a change of a book whose snapshot is among \
             them; begin earlier or choose other tables"
        ),
        (_, false) => format!(
            "nothing was exported: none of {messages} messages is about {}; --market takes a market id, a ticker or a token",
            plan.only.join(", ")
        ),
    }
}
