//! Runs a replay: starts threads, reads files, returns results.
//!
//! Runs on:  the starting thread.
use super::annotations::Checkpoints;
use super::batch::batch_channel;
use super::dispatch::{DispatchCounts, DispatchOutput, FirstValue};
use super::divided;
use super::expected;
use super::plan::Plan;
use super::reader::{Reader, ReplayError};
use super::recorded::Recorded;
use super::report::{BooksReport, CaptureReport, ErrorLine, ReplayReport, ShardLine};
use super::threads::ShardThread;
use super::worker::{InputError, Worker, WorkerResult};
use crate::base::id::ShardId;
use crate::base::limits::REPLAY_ERRORS_SHOWN;
use crate::base::time::Clock;
use crate::counter::latency::{Latencies, LatencySummary, Stage};
use crate::io::{clock::HostClock, file, host, progress::Progress};
use crate::market::book::image::BookImage;
use crate::plot::day::Day;
use crate::shard::books::{Books, OpenBook};
use crate::shard::publish::Handler;
use sha1::{Digest, Sha1};
use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Replays the inputs of the plan to their end or until `stop` is set. Each shard uses one clone of the handler per
/// pass and per engine in the input.
///
/// # Errors
/// [`ReplayError`]: nothing was replayed, or the results could not be written.
pub fn run<H: Handler + Clone + Send>(
    plan: &Plan,
    stop: &Arc<AtomicBool>,
    handler: &H,
) -> Result<ReplayReport, ReplayError> {
    run_measured(plan, stop, handler).map(|measured| measured.report)
}

/// What a replay has measured.
#[derive(Debug)]
pub struct Measured {
    /// The results.
    pub report: ReplayReport,
    /// When it began, nanoseconds since the Unix epoch.
    pub start_wall_ns: u64,
    /// Of all shards.
    pub latencies: Latencies,
    /// The recorded time of the first pass, if the plan [measures](Plan::measures_day) it.
    pub day: Option<Day>,
}

/// As [`run`], with histograms and the recorded time.
pub(super) fn run_measured<H: Handler + Clone + Send>(
    plan: &Plan,
    stop: &Arc<AtomicBool>,
    handler: &H,
) -> Result<Measured, ReplayError> {
    measured(plan, || replayed(plan, stop, handler))
}

/// As [`run`], with histograms. A range begins with the books of images before it where every market has one, unless
/// they lead to other books than those of the capture.
///
/// # Errors
/// [`ReplayError`]: nothing was replayed, or the results could not be written.
pub fn run_from_images(plan: &Plan, stop: &Arc<AtomicBool>) -> Result<Measured, ReplayError> {
    measured(plan, || {
        let Some(images) = Recorded::continued(plan, stop) else {
            return replayed(plan, stop, &());
        };
        let (measured, results) = replayed(&images, stop, &())?;
        if measured.report.capture.checkpoints_different == 0 {
            return Ok((measured, results));
        }
        let line = measured.report.failures.last().cloned().unwrap_or_default();
        let (mut measured, results) = replayed(plan, stop, &())?;
        measured.report.failures.push(format!("not continued from images: {line}"));
        Ok((measured, results))
    })
}

/// Writes the books of a replay.
fn measured<H: Handler>(
    plan: &Plan,
    replayed: impl FnOnce() -> Result<(Measured, Vec<WorkerResult<H>>), ReplayError>,
) -> Result<Measured, ReplayError> {
    check_files(plan)?;
    let open = if plan.appends_books() { file::append } else { file::create };
    let books_out = plan.books_out().map(open).transpose().map_err(ReplayError::Input)?;
    let (mut measured, results) = replayed()?;
    measured.report.digest = write_books(&results, books_out, plan.books_out())?;
    Ok(measured)
}

/// As [`run`], with the books at the end, one for each shard; their digest is left empty.
pub(super) fn run_to_books<H: Handler + Clone + Send>(
    plan: &Plan,
    stop: &Arc<AtomicBool>,
    handler: &H,
) -> Result<(ReplayReport, Vec<Books<H>>), ReplayError> {
    check_files(plan)?;
    let (measured, results) = replayed(plan, stop, handler)?;
    Ok((measured.report, results.into_iter().map(|result| result.books).collect()))
}

fn replayed<H: Handler + Clone + Send>(
    plan: &Plan,
    stop: &Arc<AtomicBool>,
    handler: &H,
) -> Result<(Measured, Vec<WorkerResult<H>>), ReplayError> {
    let clock = HostClock::new();
    let start = clock.now();
    let counts_from_ns = plan.resumes().and_then(|resumes| resumes.counts_from_ns);
    let mut senders = Vec::new();
    let mut threads = Vec::new();
    for shard in 0..plan.shards() {
        let (sender, receiver) = batch_channel();
        let (id, clock) = (ShardId(shard), clock.clone());
        let worker =
            Worker::new((id, plan.feed()), plan.shards(), receiver, clock, handler.clone())
                .measuring(plan.measures_day())
                .resuming(plan.resumes());
        let name = format!("replay-{shard}");
        threads.push(ShardThread::start(&name, plan.core(shard), worker)?);
        senders.push(sender);
    }
    let stored = plan.text().is_none().then(|| expected::stored_bytes(plan)).flatten();
    let total = stored.map(|bytes| bytes * u64::from(plan.repeat()));
    let mut reader = Reader::new(plan, stop, clock.clone(), senders, Progress::of_bytes(total));
    let result = reader.run();
    let begun_ns = reader.begun_mono_ns().unwrap_or(start.mono_ns);
    let (DispatchOutput { counts, errors_shown, firsts }, failures) = reader.into_output();
    let results: Result<Vec<WorkerResult<H>>, _> =
        threads.into_iter().map(ShardThread::join).collect();
    result?;
    let mut results = results?;
    divided::set_stale(&mut results);
    let mut report = ReplayReport {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host: host::summary(),
        venue: plan.feed().venue().name().to_owned(),
        files: plan.files().iter().map(ToString::to_string).collect(),
        shards: plan.shards(),
        repeat: plan.repeat(),
        speed: plan.speed().to_string(),
        interrupted: stop.load(Ordering::Relaxed),
        elapsed_ns: clock.mono_ns().saturating_sub(begun_ns),
        failures,
        ..ReplayReport::default()
    };
    let latencies = add_counts(&mut report, &counts, &results);
    let range = plan.range().filter(|_| counts_from_ns.is_some());
    report.capture.images_since_ns = range.map(|range| range.start);
    let not_understood = not_understood(plan, &firsts, &results);
    report.first_errors = first_errors(plan, errors_shown, &results, &not_understood);
    report.failures.extend(not_understood.into_values());
    report.failures.extend(different_checkpoint(plan, &report, &results));
    report.set_rates();
    let days = results.iter_mut().filter_map(|result| result.day.take()).map(|day| *day);
    let (start_wall_ns, day) = (start.wall_ns, days.reduce(Day::join));
    Ok((Measured { report, start_wall_ns, latencies, day }, results))
}

fn check_files(plan: &Plan) -> Result<(), ReplayError> {
    for source in plan.files() {
        let facts = file::look(source).map_err(|why| {
            let lost = match source {
                file::Source::Path(path) => expected::lost_segments(path).into_iter().next(),
                file::Source::Stdin => None,
            };
            ReplayError::Input(lost.unwrap_or(why))
        })?;
        if facts.len.is_none() && plan.repeat() > 1 {
            return Err(ReplayError::Usage(format!(
                "{source} is no regular file and cannot be repeated: save it to a file first"
            )));
        }
        if let (file::Source::Path(path), Some(out)) = (source, plan.books_out())
            && file::same_file(path, out)
        {
            return Err(ReplayError::Usage(format!("--books-out would overwrite {source}")));
        }
    }
    Ok(())
}

/// Adds what the shards have counted; returns their latencies.
fn add_counts<H>(
    report: &mut ReplayReport,
    read: &DispatchCounts,
    results: &[WorkerResult<H>],
) -> Latencies {
    report.frames = read.frames;
    report.bytes = read.bytes;
    report.errors = read.errors;
    report.unknown_texts = read.unknown_texts;
    report.sequence_holes = read.holes;
    report.sequence_missing = read.missing;
    report.sequence_duplicates = read.duplicates;
    report.sequence_restarts = read.restarts;
    let checkpoints = results.iter().fold(Checkpoints::default(), |sum, h| sum.plus(h.checkpoints));
    report.capture = CaptureReport {
        opened: read.opened,
        ended: read.ended,
        frames_lost: read.frames_lost,
        sent: read.sent,
        binary_frames: read.binary_frames,
        unknown_kinds: read.unknown_kinds,
        frames_skipped: read.frames_skipped,
        checkpoints_equal: checkpoints.equal,
        checkpoints_different: checkpoints.different,
        checkpoints_skipped: checkpoints.skipped,
        images_since_ns: None,
    };
    let mut latencies = Latencies::default();
    let mut books = BooksReport::default();
    for result in results {
        let (counts, on_books) = (&result.counts, &result.book_counts);
        report.frames += counts.frames;
        report.messages += counts.messages;
        report.bytes += result.bytes;
        report.errors += counts.decode_errors;
        report.unknown_events += counts.unknown_events;
        report.unknown_keys += counts.unknown_keys;
        report.unknown_texts += counts.unknown_texts + result.pongs;
        report.changes += on_books.updates;
        report.snapshots += on_books.snapshots;
        report.trades += on_books.trades;
        report.changes_before_snapshot += on_books.changes_before_snapshot;
        report.changes_stale += on_books.changes_stale;
        report.unknown_instruments += on_books.unknown_instruments;
        report.trades_repeated += on_books.trades_repeated;
        report.checks = report.checks.plus(&result.checks);
        report.cost.add(&result.cost);
        books.total += on_books.books;
        books.live += on_books.live;
        books.awaiting_snapshot += on_books.awaiting;
        books.stale += on_books.stale;
        latencies.add(&result.latencies);
        report.per_shard.push(ShardLine {
            shard: result.shard.0,
            frames: counts.frames,
            messages: counts.messages,
            busy_ns: result.cost.busy_ns,
            books: on_books.books,
        });
    }
    report.books = books;
    let stages = [Stage::ReadToDecoded, Stage::DecodedToApplied, Stage::ReadToApplied];
    report.latencies =
        stages.iter().map(|&s| LatencySummary::of(s.name(), latencies.stage(s))).collect();
    latencies
}

/// For a file that begins with a list.
const ARRAY: &str =
    "; it begins with a JSON array: write its elements one a line, as `jq -c '.[]' FILE` does";

/// One line for each file (by number) without a single message of the venue.
fn not_understood<H>(
    plan: &Plan,
    firsts: &[FirstValue],
    results: &[WorkerResult<H>],
) -> BTreeMap<usize, String> {
    let seen = |number: usize| {
        let of = |h: &WorkerResult<H>| h.seen.get(number).copied().unwrap_or_default();
        results.iter().map(of).fold((false, false), |a, b| (a.0 | b.0, a.1 | b.1))
    };
    let venue = plan.feed().venue();
    let venues = crate::venue::ALL.map(|feed| feed.venue());
    let other = venues.into_iter().find(|other| *other != venue).unwrap_or(venue);
    let (venue, other) = (venue.name(), other.name());
    let mut lines = BTreeMap::new();
    for (number, (source, first)) in plan.files().iter().zip(firsts).enumerate() {
        let (understood, unrecognized) = seen(number);
        if understood || first.has_annotations || !(unrecognized || first.unrecognized) {
            continue;
        }
        let array = if begins_array(&first.text) { ARRAY } else { "" };
        let line = format!(
            "{source}: no line is understood as a message of {venue}; line {} is: {}; give frames as received or in \
             one of the envelopes of `ringbook replay --help`, or --venue {other}{array}",
            first.line, first.text
        );
        lines.insert(number, line);
    }
    lines
}

/// Whether a file whose first value begins so, with escapes, begins with a JSON array of messages.
fn begins_array(first: &str) -> bool {
    let rest = first.strip_prefix('[').map(str::trim_start);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['{', '[', '\\']))
}

/// One line about the first different checkpoint.
fn different_checkpoint<H>(
    plan: &Plan,
    report: &ReplayReport,
    results: &[WorkerResult<H>],
) -> Option<String> {
    let first = results.iter().filter_map(|h| h.different.as_ref()).min_by_key(|d| d.position)?;
    Some(format!(
        "{} of {} books differ from the capture; the first: {}, line {}: {}",
        report.capture.checkpoints_different,
        report.capture.checkpoints_different + report.capture.checkpoints_equal,
        plan.files()[first.position.file as usize],
        first.position.line,
        first.why,
    ))
}

fn first_errors<H>(
    plan: &Plan,
    errors_shown: Vec<InputError>,
    results: &[WorkerResult<H>],
    not_understood: &BTreeMap<usize, String>,
) -> Vec<ErrorLine> {
    let mut all = errors_shown;
    all.extend(results.iter().flat_map(|result| result.errors_shown.iter().cloned()));
    all.retain(|error| !not_understood.contains_key(&(error.position.file as usize)));
    all.sort_by_key(|errors_shown| errors_shown.position);
    all.truncate(REPLAY_ERRORS_SHOWN);
    let line = |errors_shown: InputError| ErrorLine {
        file: plan.files()[errors_shown.position.file as usize].to_string(),
        line: errors_shown.position.line,
        offset: errors_shown.position.offset,
        why: errors_shown.why,
    };
    all.into_iter().map(line).collect()
}

/// Writes every book, sorted by token, and returns the SHA-1 of the text. One book at a time is in memory
/// as text.
fn write_books<H: Handler>(
    results: &[WorkerResult<H>],
    out: Option<std::fs::File>,
    path: Option<&Path>,
) -> Result<String, ReplayError> {
    let mut open: Vec<(&Books<H>, OpenBook)> = Vec::new();
    for WorkerResult { books, .. } in results {
        open.extend(books.open_books().map(|book| (books, book)));
    }
    open.sort_unstable_by(|(_, a), (_, b)| {
        let order = a.token.as_bytes().cmp(b.token.as_bytes());
        order.then_with(|| a.market.as_bytes().cmp(b.market.as_bytes()))
    });
    let mut out = out.map(|file| BufWriter::with_capacity(1 << 20, file));
    let mut digest = Sha1::new();
    let mut image = BookImage::default();
    let mut line = String::new();
    let fault = |error: std::io::Error| {
        let path = path.unwrap_or(Path::new("")).display();
        ReplayError::Input(format!("cannot write {path}: {error}"))
    };
    for (books, OpenBook { index, .. }) in open {
        books.fill_image_at(index, &mut image);
        line.clear();
        image.write_json_with_state(&mut line);
        line.push('\n');
        digest.update(line.as_bytes());
        if let Some(out) = &mut out {
            out.write_all(line.as_bytes()).map_err(fault)?;
        }
    }
    if let Some(out) = &mut out {
        out.flush().map_err(fault)?;
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
