//! What captures have: one row for each UTC day and venue.
//!
//! Runs on:  the starting thread. Bounds: a row a day and venue, a line a market.
use super::folder::{CaptureFolder, SegmentFile};
use crate::base::time::SECOND_NS;
use crate::capture::index::Block;
use crate::capture::manifest::Entry;
use crate::io::file::{self, Source};
use crate::io::progress::Progress;
use crate::replay::{openings, venue_of};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const DAY_NS: u64 = 86_400 * SECOND_NS;

/// What a folder of captures has of one UTC day and venue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DayRow {
    /// The folder.
    pub folder: String,
    /// `2026-11-27`.
    pub day: String,
    /// Name; empty where no message is recognized.
    pub venue: String,
    /// Files with records of the day.
    pub files: u64,
    /// Records.
    pub records: u64,
    /// Stored bytes.
    pub bytes: u64,
    /// Uncompressed bytes.
    pub text_bytes: u64,
    /// First and last receive time, nanoseconds since the Unix epoch.
    pub from: u64,
    /// See `from`.
    pub to: u64,
    /// Gaps of all venues of the folder that concern everything.
    pub gaps: u64,
    /// How much of the day they take, nanoseconds.
    pub gap_ns: u64,
    /// Gaps of one connection or shard.
    pub partial_gaps: u64,
    /// Frames known to be missing.
    pub frames_lost: u64,
    /// Distinct markets whose books were opened in its files; only if they are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub markets: Option<u64>,
}

/// A market whose books were opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MarketRow {
    /// Name of the venue.
    pub venue: String,
    /// Id or ticker.
    pub market: String,
    /// Slug, if the capture has it.
    pub slug: String,
    /// Its tokens.
    pub tokens: Vec<String>,
    /// Days on which its books were opened.
    pub days: Vec<String>,
}

/// Folder, day and venue.
type RowKey = (String, String, String);
type Rows = BTreeMap<RowKey, DayRow>;
/// By venue and market.
type Markets = BTreeMap<(String, String), MarketRow>;

/// The days of folders, by folder, day and venue; with `counts_markets`, which reads everything, their markets too.
/// Setting `stop` ends it early.
///
/// # Errors
/// One line: a folder has no capture, or cannot be read.
pub fn list(
    folders: &[PathBuf],
    counts_markets: bool,
    stop: &Arc<AtomicBool>,
) -> Result<(Vec<DayRow>, Vec<MarketRow>), String> {
    let mut rows = Rows::new();
    let (mut markets, mut of_days) = (Markets::new(), BTreeMap::new());
    let folders = folders.iter().map(|path| CaptureFolder::open(path));
    let folders = folders.collect::<Result<Vec<_>, _>>()?;
    let bytes = folders.iter().flat_map(|folder| &folder.segments).map(|segment| segment.len).sum();
    let mut progress =
        if counts_markets { Progress::of_bytes(Some(bytes)) } else { Progress::hidden() };
    for folder in &folders {
        let shown = folder.path.display().to_string();
        let mut venue = String::new();
        for segment in &folder.segments {
            if let Some(feed) = venue_of(&[segment.source()]) {
                feed.venue().name().clone_into(&mut venue);
            }
            add_segment(&mut rows, (&shown, &venue), segment);
            if counts_markets && !stop.load(Ordering::Relaxed) {
                opened(&segment.source(), (&shown, &venue), &mut markets, &mut of_days, stop)?;
            }
            progress.file_done(segment.len);
        }
        add_gaps(&mut rows, &shown, &folder.manifest);
    }
    progress.finish();
    if counts_markets {
        for (key, row) in &mut rows {
            row.markets =
                Some(of_days.get(key).map_or(0, |known: &BTreeSet<_>| known.len() as u64));
        }
    }
    Ok((rows.into_values().collect(), markets.into_values().collect()))
}

/// The day of a time; `unknown` where a file has neither index nor manifest.
fn day_of(at_ns: u64) -> String {
    if at_ns == 0 {
        return "unknown".to_owned();
    }
    let at = jiff::Timestamp::from_nanosecond(i128::from(at_ns)).unwrap_or_default();
    at.strftime("%Y-%m-%d").to_string()
}

fn add_segment(rows: &mut Rows, (folder, venue): (&str, &str), segment: &SegmentFile) {
    let whole = || {
        let listed = segment.listed;
        let of = |field: fn(&super::folder::Listed) -> u64| listed.as_ref().map_or(0, field);
        Block {
            offset: 0,
            bytes: segment.len,
            text_bytes: of(|listed| listed.text_bytes),
            records: of(|listed| listed.records),
            from: of(|listed| listed.from),
            to: of(|listed| listed.to),
        }
    };
    let blocks = match segment.blocks.is_empty() {
        true => vec![whole()],
        false => segment.blocks.clone(),
    };
    let mut last = String::new();
    for block in blocks {
        let day = day_of(block.from);
        let key = (folder.to_owned(), day.clone(), venue.to_owned());
        let row = rows.entry(key).or_insert_with(|| DayRow {
            folder: folder.to_owned(),
            day: day.clone(),
            venue: venue.to_owned(),
            from: block.from,
            ..DayRow::default()
        });
        row.files += u64::from(day != last);
        row.records += block.records;
        row.bytes += block.bytes;
        row.text_bytes += block.text_bytes;
        row.from = row.from.min(block.from);
        row.to = row.to.max(block.to);
        last = day;
    }
}

/// Gaps of a folder, to the days of its records.
fn add_gaps(rows: &mut Rows, folder: &str, manifest: &[Entry]) {
    for entry in manifest {
        let Entry::Gap { from, to, connection, shard, frames, .. } = entry else { continue };
        for row in rows.values_mut().filter(|row| row.folder == folder) {
            let begin = row.from / DAY_NS * DAY_NS;
            let end = begin + DAY_NS;
            // Frames that were dropped at once are a gap without duration.
            if *to < begin || *from >= end {
                continue;
            }
            let (from, to) = ((*from).max(begin), (*to).min(end));
            if connection.is_some() || shard.is_some() {
                row.partial_gaps += 1;
            } else {
                row.gaps += 1;
                row.gap_ns += to - from;
            }
            row.frames_lost += frames.unwrap_or(0);
        }
    }
}

/// Adds the markets whose books were opened in a file.
fn opened(
    source: &Source,
    (folder, venue): (&str, &str),
    markets: &mut Markets,
    of_days: &mut BTreeMap<RowKey, BTreeSet<String>>,
    stop: &Arc<AtomicBool>,
) -> Result<(), String> {
    let mut reader = file::open(source, stop)?.reader;
    let mut line = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        line.clear();
        match reader.read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) => {}
            // What is damaged is found by `verify`.
            Err(error) if error.get_ref().is_some_and(|error| error.is::<file::Damage>()) => {
                continue;
            }
            Err(_) => break,
        }
        let Some((at_ns, openings)) = std::str::from_utf8(&line).ok().and_then(openings) else {
            continue;
        };
        let day = day_of(at_ns);
        let key = (folder.to_owned(), day.clone(), venue.to_owned());
        let of_day = of_days.entry(key).or_default();
        for opening in openings {
            of_day.insert(opening.m.clone());
            let key = (venue.to_owned(), opening.m.clone());
            let row = markets.entry(key).or_insert_with(|| MarketRow {
                venue: venue.to_owned(),
                market: opening.m,
                slug: String::new(),
                tokens: Vec::new(),
                days: Vec::new(),
            });
            if row.slug.is_empty() {
                row.slug = opening.s;
            }
            if !row.tokens.contains(&opening.a) {
                row.tokens.push(opening.a);
            }
            if row.days.last() != Some(&day) {
                row.days.push(day.clone());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
