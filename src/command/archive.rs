//! `ringbook capture` and `ringbook import`: lists, verifies, cuts, merges, compresses and makes captures.
//!
//! Runs on:  main thread.
use super::columns::columns;
use super::{Failure, replay::stop_on_signals};
use crate::archive::compact::{self, Compaction, days_before};
use crate::archive::cut::{self, Cut};
use crate::archive::days::{DayRow, MarketRow, list};
use crate::archive::import::{self, From, Import};
use crate::archive::merge::{self, Merge};
use crate::archive::verify;
use crate::base::text::one_line;
use crate::base::time::SECOND_NS;
use crate::config::UsageError;
use crate::config::archive::{CaptureCommand, CutArgs, ImportArgs, ListArgs, MergeArgs};
use crate::io::clock::HostClock;
use crate::io::output::{print, stdout_is_terminal};
use crate::replay::plan::time_text;
use serde::Serialize;
use std::process::ExitCode;
use std::sync::atomic::Ordering;

/// Runs one of its commands. A signal ends it.
///
/// # Errors
/// A folder cannot be read.
pub fn run(command: &CaptureCommand) -> Result<ExitCode, Failure> {
    match command {
        CaptureCommand::Ls(args) => ls(args),
        CaptureCommand::Verify(args) => {
            let folders = args.folders()?;
            Ok(ExitCode::from(verify::execute(&folders, &stop_on_signals())))
        }
        CaptureCommand::Cut(args) => cut(args),
        CaptureCommand::Merge(args) => merge(args),
        CaptureCommand::Compact(args) => {
            let folders = args.folders.folders()?;
            let before_ns = days_before(HostClock::new().now().wall_ns, args.older_than_days);
            let compaction = Compaction { level: args.level, before_ns };
            Ok(ExitCode::from(compact::execute(&folders, compaction, &stop_on_signals())))
        }
    }
}

fn cut(args: &CutArgs) -> Result<ExitCode, Failure> {
    let range = args.range().map_err(UsageError)?;
    let folders = args.folders.folders()?;
    let cut = Cut { folders, out: args.out.clone(), range, markets: args.market.clone() };
    Ok(ExitCode::from(cut::execute(&cut, &stop_on_signals())))
}

fn merge(args: &MergeArgs) -> Result<ExitCode, Failure> {
    let (recordings, names) = args.recordings()?.into_iter().unzip();
    let merge = Merge { recordings, names, out: args.out.clone() };
    Ok(ExitCode::from(merge::execute(&merge, &stop_on_signals())))
}

/// Runs `ringbook import`. A signal ends it.
///
/// # Errors
/// A file cannot be read.
pub fn import(args: &ImportArgs) -> Result<ExitCode, Failure> {
    let from = match args.has_tables() {
        true => From::Levels(args.recordings.clone()),
        false => From::Recording(args.recording()?),
    };
    let import = Import { from, out: args.out.clone() };
    Ok(ExitCode::from(import::execute(&import, &stop_on_signals())))
}

fn ls(args: &ListArgs) -> Result<ExitCode, Failure> {
    let folders = args.folders.folders()?;
    let stop = stop_on_signals();
    let (days, markets) = list(&folders, args.markets, &stop)?;
    if stop.load(Ordering::Relaxed) {
        return Ok(ExitCode::from(130));
    }
    if args.json || !stdout_is_terminal() {
        print(lines(&days) + &lines(&markets));
        return Ok(ExitCode::SUCCESS);
    }
    print(day_table(&days));
    if args.markets {
        print(format_args!("\n{}", market_table(&markets)));
    }
    Ok(ExitCode::SUCCESS)
}

fn lines<T: Serialize>(rows: &[T]) -> String {
    let line = |row: &T| sonic_rs::to_string(row).expect("a row is plain data") + "\n";
    rows.iter().map(line).collect()
}

fn day_table(days: &[DayRow]) -> String {
    let titles = [
        "folder", "day", "venue", "first", "last", "files", "records", "stored", "text", "gaps",
        "missing", "partial", "lost",
    ];
    let cells = days.iter().map(|row| {
        let time = |at_ns: u64| time_text(at_ns)[11..19].to_owned();
        let mut cells = vec![row.folder.clone(), row.day.clone(), row.venue.clone()];
        cells.extend([time(row.from), time(row.to), row.files.to_string()]);
        cells.extend([row.records.to_string(), size(row.bytes), size(row.text_bytes)]);
        cells.extend([row.gaps.to_string(), duration(row.gap_ns)]);
        cells.extend([row.partial_gaps.to_string(), row.frames_lost.to_string()]);
        cells.extend(row.markets.map(|count| format!("{count} markets")));
        cells
    });
    columns(&titles, cells, 5)
}

fn market_table(markets: &[MarketRow]) -> String {
    let cells = markets.iter().map(|row| {
        let shown = [&row.venue, &row.market, &row.slug].map(|text| one_line(text).into_owned());
        [shown.to_vec(), vec![row.days.join(", ")]].concat()
    });
    columns(&["venue", "market", "slug", "days"], cells, 4)
}

/// Bytes for people: `1.2 GB`.
fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / *unit as f64),
        None => format!("{bytes} B"),
    }
}

/// A duration for people: `1:02:03`.
fn duration(ns: u64) -> String {
    let seconds = ns.div_ceil(SECOND_NS);
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests;
