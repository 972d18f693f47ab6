//! Captures and databases to Parquet.
//!
//! Runs on:  the starting thread and a replay's.
//!
//! ```text
//! captures  -> replay -> gather (a handler on the books) -> table -> *.parquet
//! databases ---------> database (rows in order)          -> table -> trades.parquet
//! ```
mod database;
mod gather;
pub mod plan;
mod table;

use crate::io::output;
use crate::replay::{self, ReplayError};
use gather::{Gathered, Gatherer};
use plan::{ExportPlan, From};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Exports for the command line: one line per file to standard output, everything else to standard error.
/// Setting `stop` ends it early; what was read until then is written. Returns the exit code: 0, 1 when an
/// input could not be read to its end or a file could not be written, 130 when stopped.
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
    match &plan.from {
        From::Captures(replayed) => {
            let gatherer = Gatherer::create(&plan.folder, plan.tables, replayed.feed().venue())?;
            let report = replay::run_with(replayed, stop, &gatherer);
            let report = report.map_err(|error| match error {
                ReplayError::Input(why) | ReplayError::Usage(why) => why,
            })?;
            let Gathered { files, error } = gatherer.finish();
            let mut failures = report.failures;
            if report.errors > 0 {
                failures.push(format!("{} inputs could not be decoded", report.errors));
            }
            failures.extend(error);
            Ok((files, failures))
        }
        From::Database(address) => {
            database::export(address, &plan.folder, stop).map(|file| (vec![file], Vec::new()))
        }
    }
}
