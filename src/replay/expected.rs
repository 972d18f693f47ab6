//! Compares the files of a capture with its manifest and indices.
//!
//! Runs on:  the starting thread, before reading.
use super::detect::venue_of;
use super::plan::Plan;
use crate::capture::manifest::Entry;
use crate::capture::{index, manifest};
use crate::io::file::{self, Source};
use crate::venue::Feed;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Suffix of segment files.
const SEGMENT: &str = ".ndjson.zst";

/// Missing data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Missing {
    /// One line per file.
    pub(crate) failures: Vec<String>,
    /// Files (by number) before which a segment is missing.
    pub(super) before: BTreeSet<usize>,
    /// Files shorter than recorded.
    pub(super) cut: BTreeSet<usize>,
}

/// Compares the files of a plan with the manifests and indices in their folders. A missing segment counts if
/// all others of its folder are read, but for those of another venue.
pub(crate) fn missing(plan: &Plan) -> Missing {
    let mut folders: BTreeMap<PathBuf, Vec<(usize, String)>> = BTreeMap::new();
    for (number, source) in plan.files().iter().enumerate() {
        if let Source::Path(path) = source
            && let (Some(folder), Some(name)) = (path.parent(), path.file_name())
            && let Some(name) = name.to_str().filter(|name| name.ends_with(SEGMENT))
        {
            folders.entry(folder.to_owned()).or_default().push((number, name.to_owned()));
        }
    }
    let mut missing = Missing::default();
    let is_another = |feed: Feed| feed != plan.feed();
    for (folder, files) in folders {
        let known = Known::of(&folder);
        for (number, name) in &files {
            missing.on_file(plan, *number, name, &known);
        }
        let given = |name: &String| {
            let is_other = || venue_of(&[Source::Path(folder.join(name))]).is_some_and(is_another);
            files.iter().any(|(_, file)| file == name) || is_other()
        };
        if !known.present.iter().all(given) {
            continue;
        }
        let is_given = |name: &String| files.iter().any(|(_, file)| file == name);
        if known.last_segment().is_some_and(is_given) {
            missing.failures.extend(known.lost_at_end(&folder, plan.range()));
        }
        for name in known.lost().filter(|name| !known.is_outside(name, plan.range())) {
            missing.failures.push(known.line(&folder, name));
            missing.before.extend(files.iter().find(|(_, file)| file > name).map(|(n, _)| *n));
        }
    }
    missing
}

/// One line for each segment that a folder should have.
pub(crate) fn lost_segments(folder: &Path) -> Vec<String> {
    let known = Known::of(folder);
    known.lost().map(|name| known.line(folder, name)).collect()
}

/// Files of a plan (by number) that have nothing of its range, as the manifests of their folders say: of a day with
/// many files few indices need be read.
pub(super) fn outside(plan: &Plan) -> BTreeSet<usize> {
    let mut folders: BTreeMap<PathBuf, Known> = BTreeMap::new();
    let mut is_outside = |source: &Source| {
        let Source::Path(path) = source else { return false };
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return false };
        let known = folders.entry(folder.to_owned()).or_insert_with(|| Known::of_manifest(folder));
        name.to_str().is_some_and(|name| known.is_outside(name, plan.range()))
    };
    let numbered = plan.files().iter().enumerate().filter(|_| plan.range().is_some());
    numbered.filter(|(_, source)| is_outside(source)).map(|(number, _)| number).collect()
}

/// Recorded facts of a folder.
#[derive(Debug, Default)]
struct Known {
    /// Segments that exist.
    present: BTreeSet<String>,
    /// Sizes of finished segments, bytes.
    bytes: BTreeMap<String, u64>,
    times: BTreeMap<String, (u64, u64)>,
    /// Begin, end and cause of each loss of so many frames.
    losses: Vec<(Range<u64>, u64, String)>,
    /// Segments with an index.
    indexed: BTreeSet<String>,
}

impl Known {
    fn of(folder: &Path) -> Self {
        let name = |path: &PathBuf| path.file_name()?.to_str().map(ToOwned::to_owned);
        let segment =
            |name: String| name.strip_suffix(".index").map(|stem| stem.to_owned() + SEGMENT);
        let indexed = file::indices(folder);
        Self {
            present: file::segments(folder).unwrap_or_default().iter().filter_map(name).collect(),
            indexed: indexed.iter().filter_map(name).filter_map(segment).collect(),
            ..Self::of_manifest(folder)
        }
    }

    /// What its manifest says.
    fn of_manifest(folder: &Path) -> Self {
        let mut known = Self::default();
        let text = file::read_optional(&folder.join(manifest::FILE)).unwrap_or_default();
        for entry in manifest::read(&text) {
            match entry {
                Entry::Segment { file, from, to, bytes, .. } => {
                    known.bytes.insert(file.clone(), bytes);
                    known.times.insert(file, (from, to));
                }
                Entry::Gap { from, to, frames: Some(frames @ 1..), cause, .. } => {
                    known.losses.push((from..to, frames, cause));
                }
                // Not missing: nobody wanted to keep it.
                Entry::Removed { file, .. } => {
                    known.bytes.remove(&file);
                    known.times.remove(&file);
                }
                _ => {}
            }
        }
        known
    }

    /// Whether a finished segment has nothing of a range.
    fn is_outside(&self, name: &str, range: Option<&Range<u64>>) -> bool {
        let times = self.times.get(name).zip(range);
        times.is_some_and(|(&(from, to), range)| to < range.start || from >= range.end)
    }

    fn last_segment(&self) -> Option<&String> {
        self.times.iter().max_by_key(|(_, (_, to))| to).map(|(name, _)| name)
    }

    /// One line for each loss behind the last record: a loss before a record is in the record itself.
    fn lost_at_end(&self, folder: &Path, range: Option<&Range<u64>>) -> Vec<String> {
        let last = self.times.values().map(|(_, to)| *to).max().unwrap_or(0);
        let is_at_end =
            |lost: &Range<u64>| lost.end > last && range.is_none_or(|r| lost.start < r.end);
        let at_end = self.losses.iter().filter(|(lost, ..)| is_at_end(lost));
        let line = |(_, frames, cause): &(_, u64, String)| {
            let folder = folder.display();
            format!(
                "{folder}: {frames} frames at the end of the capture are lost and not in the result: {cause}"
            )
        };
        at_end.map(line).collect()
    }

    /// Missing segments in the order of their names.
    fn lost(&self) -> impl Iterator<Item = &String> {
        let named: BTreeSet<&String> = self.bytes.keys().chain(&self.indexed).collect();
        named.into_iter().filter(|name| !self.present.contains(*name))
    }

    fn line(&self, folder: &Path, name: &str) -> String {
        let by = if self.bytes.contains_key(name) { "the manifest" } else { "its index" };
        let path = folder.join(name);
        format!(
            "{}: {by} lists this file, but it is missing; its content is not in the result",
            path.display()
        )
    }
}

impl Missing {
    fn on_file(&mut self, plan: &Plan, number: usize, name: &str, known: &Known) {
        let source = &plan.files()[number];
        let Ok(file::Facts { len: Some(len) }) = file::look(source) else { return };
        let recorded = known.bytes.get(name).copied();
        if recorded.is_some_and(|bytes| len >= bytes) {
            return;
        }
        let blocks = index::read(&file::read_index(source).unwrap_or_default());
        let (whole, by) = match (recorded, blocks.last()) {
            (Some(bytes), _) => (bytes, "the manifest"),
            (None, Some(last)) => (last.offset + last.bytes, "its index"),
            (None, None) => return,
        };
        if len >= whole {
            return;
        }
        let records: u64 =
            blocks.iter().filter(|b| b.offset + b.bytes > len).map(|b| b.records).sum();
        let of_them = match records {
            0 => String::new(),
            records => format!(", {records} records,"),
        };
        self.failures.push(format!(
            "{source}: the file has {len} bytes, but {whole} according to {by}: the last {} bytes{of_them} are missing",
            whole - len
        ));
        self.cut.insert(number);
    }
}

/// Stored bytes that one pass of a plan reads; `None` if a file does not have a size.
pub(crate) fn stored_bytes(plan: &Plan) -> Option<u64> {
    let outside = outside(plan);
    let bytes = |(number, source): (usize, &Source)| {
        let len = file::look(source).ok()?.len?;
        if outside.contains(&number) {
            return Some(0);
        }
        let part = plan.range().map_or(0..len, |range| part(source, range));
        Some(part.end.min(len).saturating_sub(part.start))
    };
    plan.files().iter().enumerate().map(bytes).sum()
}

/// The byte range of a file that contains a range of times according to its index.
pub(crate) fn part(source: &Source, range: &Range<u64>) -> Range<u64> {
    let blocks = index::read(&file::read_index(source).unwrap_or_default());
    let Some(last) = blocks.last() else { return 0..u64::MAX };
    let end = last.offset + last.bytes;
    let start = index::begin(&blocks, range.start).unwrap_or(end);
    // Data after the last indexed block may have any time.
    let later = blocks.iter().rev().take_while(|block| block.from >= range.end);
    let cut = later.last().map_or(u64::MAX, |block| block.offset);
    start..cut.max(start)
}
