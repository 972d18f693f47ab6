//! A recording as a whole, and where a replay that begins at some time reads.
//!
//! Runs on:  the starting thread, serve core at the beginning of a replay; blocks on the disk.
use super::images::{ImageAt, Round, last_image, last_round};
use super::plan::{Plan, Resumption, Speed, time_text};
use super::{Content, RawRecord, Recording, expected};
use crate::base::time::SECOND_NS;
use crate::capture::index;
use crate::capture::manifest::{self, Entry};
use crate::io::file::{self, Source};
use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// An engine's first records are older than its line in the manifest.
const START_MARGIN_NS: u64 = 10 * SECOND_NS;
/// An engine that stops closes its connections within this time; its shards write to the capture in turns.
const STOP_NS: u64 = 10 * SECOND_NS;
/// How far back an image is looked for: two rounds of the longest `--capture-images`.
const IMAGE_SEARCH_NS: u64 = 600 * SECOND_NS;

/// A recording that replays are made of.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub(crate) recording: Recording,
    /// The first and the last receive time, as far as they are known without reading everything; nanoseconds since the
    /// Unix epoch.
    pub(crate) first_ns: Option<u64>,
    pub(crate) last_ns: Option<u64>,
    /// When engines began to record, ascending.
    starts: Vec<u64>,
    /// When nothing was recorded between two engines, or of what one received.
    gaps: Vec<Gap>,
}

/// A time of which a capture has nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    /// Between these times, nanoseconds since the Unix epoch.
    pub(super) from_ns: u64,
    pub(super) to_ns: u64,
    pub(super) cause: String,
}

impl Recorded {
    /// Looks at the files: one line for each that is missing or shorter than the capture says.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn open(recording: Recording) -> Result<(Self, Vec<String>), String> {
        let plan = Plan::new(recording.files.clone(), 1, 1, Speed::Max, None)?;
        let missing = expected::missing(&plan.of(recording.feed)).failures;
        let last_ns = recording.files.last().and_then(last_time);
        let first_ns = recording.files.first().and_then(first_time).or_else(|| {
            let mut records = recording.records(0..u64::MAX, Arc::default());
            records.next_record().ok().flatten().map(|record| record.receive_ns)
        });
        let (starts, gaps) = manifest_of(&recording.files);
        Ok((Self { recording, first_ns, last_ns, starts, gaps }, missing))
    }

    /// Name of the venue.
    pub fn venue(&self) -> String {
        self.recording.feed.venue().name().to_owned()
    }

    /// What the recording has, for people.
    pub fn span(&self) -> String {
        match (self.first_ns, self.last_ns) {
            (Some(first_ns), Some(last_ns)) => {
                format!("{} to {}", time_text(first_ns), time_text(last_ns))
            }
            (Some(first_ns), None) => format!("what was received from {} on", time_text(first_ns)),
            _ => "lines without receive times, for speed=max only".to_owned(),
        }
    }

    /// Whether its records have receive times; a file without index of which no record has one has none.
    pub const fn is_timed(&self) -> bool {
        self.first_ns.is_some() || self.last_ns.is_some()
    }

    /// A line where nothing was recorded between `range.start` and `range.end`, as far as that is known.
    pub fn nothing_in(&self, range: &Range<u64>) -> Option<String> {
        let is_after = self.last_ns.is_some_and(|last_ns| range.start > last_ns);
        let is_before = self.first_ns.is_some_and(|first_ns| range.end <= first_ns);
        let line = || format!("nothing was recorded then; the capture has {}", self.span());
        (is_after || is_before).then(line)
    }

    /// The gap of the whole capture at a time.
    pub(super) fn gap_at(&self, at_ns: u64) -> Option<&Gap> {
        self.gaps.iter().find(|gap| gap.from_ns < at_ns && at_ns < gap.to_ns)
    }

    /// What a replay from `range.start` reads: from the start of the engine that was recording then, since its books
    /// depend on all it has received. `None` is everything.
    fn reads(&self, range: &Range<u64>) -> Option<Range<u64>> {
        let start = self.starts.iter().rev().find(|&&at| at <= range.start);
        let start = start.map_or(0, |at| at.saturating_sub(START_MARGIN_NS));
        (start > 0 || range.end < u64::MAX).then_some(start..range.end)
    }

    /// The plan of a replay from `range.start`.
    ///
    /// # Errors
    /// There are no files.
    pub(crate) fn plan(&self, range: &Range<u64>, speed: Speed) -> Result<Plan, String> {
        let plan = Plan::new(self.recording.files.clone(), 1, 1, speed, None)?;
        Ok(plan.between(self.reads(range)).of(self.recording.feed))
    }

    /// The last image of a market before a time, if one folder has the recording: engines of several may have recorded
    /// at the same time. A line where there is none.
    pub(super) fn last_image(
        &self,
        name: &str,
        at_ns: u64,
        stop: &Arc<AtomicBool>,
    ) -> Result<ImageAt, String> {
        let (files, times) = self.images_before(at_ns)?;
        last_image(&files, name, &times, stop).ok_or_else(|| {
            let is_start = self.starts.contains(times.start());
            let since = if is_start { "since the engine started, at" } else { "since" };
            format!("no image of the market {since} {}", time_text(*times.start()))
        })
    }

    /// The plan of a replay of one market from an image.
    ///
    /// # Errors
    /// There are no files.
    pub(super) fn plan_from(&self, image: &ImageAt, end_ns: u64) -> Result<Plan, String> {
        let plan = Plan::new(self.recording.files.clone(), 1, 1, Speed::Max, None)?;
        let plan = plan.between(Some(image.at_ns..end_ns)).of(self.recording.feed);
        let resumes = Resumption { shards: image.shards, counts_from_ns: None };
        let plan = plan.resuming(resumes).with_text(image.text.clone());
        Ok(plan.of_markets(vec![image.name.clone()]))
    }

    /// The plan of a replay of all markets whose range begins at `from_ns`, continuing from images before that, if
    /// there is one of every market that was open: the time where reading begins. `counts_from_ns` is that of
    /// [`Resumption`].
    pub(crate) fn plan_with_images(
        &self,
        plan: Plan,
        from_ns: u64,
        counts_from_ns: u64,
        stop: &Arc<AtomicBool>,
    ) -> Plan {
        let round = self
            .images_before(from_ns)
            .ok()
            .and_then(|(files, times)| last_round(&files, &times, stop));
        // A part of a capture may begin later.
        let is_whole = |round: &Round| self.first_ns.is_some_and(|at_ns| at_ns <= round.since_ns);
        let Some(round) = round.filter(is_whole) else { return plan };
        let end_ns = plan.range().map_or(u64::MAX, |range| range.end);
        let counts_from_ns = Some(counts_from_ns);
        let resumes = Resumption { shards: round.shards, counts_from_ns };
        plan.between(Some(round.since_ns..end_ns)).resuming(resumes)
    }

    /// A replay of a range, as [`Recorded::plan_with_images`]; `None` where there are no such images.
    pub(super) fn continued(plan: &Plan, stop: &Arc<AtomicBool>) -> Option<Plan> {
        let from_ns = plan.range().map(|range| range.start).filter(|&from_ns| from_ns > 0)?;
        if plan.files().contains(&Source::Stdin) {
            return None;
        }
        let recording = Recording { feed: plan.feed(), files: plan.files().to_vec() };
        let recorded = Self::open(recording).ok()?.0;
        let plan = recorded.plan_with_images(plan.clone(), from_ns, from_ns, stop);
        plan.resumes().is_some().then_some(plan)
    }

    /// The files that have images before a time, and times within which they are looked for.
    fn images_before(&self, at_ns: u64) -> Result<(Vec<&Source>, RangeInclusive<u64>), String> {
        let start_ns = *self.starts.iter().rev().find(|&&start_ns| start_ns <= at_ns).ok_or(
            "images are used where one folder has the capture and its manifest the start of the engine",
        )?;
        let from_ns = at_ns.saturating_sub(IMAGE_SEARCH_NS).max(start_ns);
        let files = Plan::new(self.recording.files.clone(), 1, 1, Speed::Max, None)?;
        let outside = expected::outside(&files.between(Some(from_ns..at_ns.saturating_add(1))));
        let numbered = self.recording.files.iter().enumerate();
        let inside = numbered.filter(|(number, _)| !outside.contains(number));
        Ok((inside.map(|(_, file)| file).collect(), from_ns..=at_ns))
    }

    /// Receive time of the last message before the last engine began to stop: then it closes its connections, one after
    /// the other, and their books are stale. `None` where that is not known without reading everything.
    pub(crate) fn last_message_ns(&self) -> Option<u64> {
        let start_ns = self.starts.last().copied().unwrap_or(0);
        let (mut last_ns, mut stop_ns) = (None, None);
        for source in self.recording.files.iter().rev() {
            let recording = Recording { feed: self.recording.feed, files: vec![source.clone()] };
            for block in blocks(source).iter().rev() {
                let is_earlier = |last_ns| block.to.saturating_add(STOP_NS) < last_ns;
                if last_ns.is_some_and(is_earlier) {
                    return before_stop(last_ns, stop_ns);
                }
                let range = block.from..block.to.saturating_add(1);
                let mut records = recording.records(range, Arc::default());
                while let Ok(Some(RawRecord { receive_ns, content, .. })) = records.next_record() {
                    match content {
                        Content::Text(_) => last_ns = last_ns.max(Some(receive_ns)),
                        Content::Stopping if receive_ns >= start_ns => {
                            stop_ns = Some(stop_ns.map_or(receive_ns, |at| receive_ns.min(at)));
                        }
                        _ => {}
                    }
                }
            }
        }
        before_stop(last_ns, stop_ns)
    }
}

fn before_stop(last_ns: Option<u64>, stop_ns: Option<u64>) -> Option<u64> {
    let stop_ns = stop_ns.unwrap_or(u64::MAX);
    last_ns.map(|last_ns| last_ns.min(stop_ns.saturating_sub(1)))
}

fn first_time(source: &Source) -> Option<u64> {
    blocks(source).iter().map(|block| block.from).min()
}

fn last_time(source: &Source) -> Option<u64> {
    blocks(source).iter().map(|block| block.to).max()
}

/// Of its index; none without one.
fn blocks(source: &Source) -> Vec<index::Block> {
    index::read(&file::read_index(source).unwrap_or_default())
}

/// When engines began to record into the folder of these files, ascending, and its gaps, if that is one folder.
fn manifest_of(files: &[Source]) -> (Vec<u64>, Vec<Gap>) {
    let folder = |source: &Source| match source {
        Source::Path(path) => path.parent().map(ToOwned::to_owned),
        Source::Stdin => None,
    };
    let folders: BTreeSet<_> = files.iter().map(folder).collect();
    let (Some(Some(folder)), 1) = (folders.first(), folders.len()) else {
        return Default::default();
    };
    let text = file::read_optional(&folder.join(manifest::FILE)).unwrap_or_default();
    let (mut starts, mut gaps) = (Vec::new(), Vec::new());
    for entry in manifest::read(&text) {
        match entry {
            Entry::Started { at, .. } => starts.push(at),
            Entry::Gap { from, to, connection: None, shard: None, cause, .. } => {
                gaps.push(Gap { from_ns: from, to_ns: to, cause });
            }
            _ => {}
        }
    }
    starts.sort_unstable();
    (starts, gaps)
}

#[cfg(test)]
mod tests;
