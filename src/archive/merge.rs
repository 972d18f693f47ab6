//! Captures of several machines as one without repetition.
//!
//! Runs on:  the starting thread; each capture is read by a thread of its own. Bounds: those of a replay of each, and
//! of `union`.
//!
//! Connections of two machines carry the same messages at different times, and a change that is applied once more
//! behind a later one is wrong. So each market is taken from one capture at a time. Where messages of its connection
//! are missing there, it continues from the image that another capture has of it, and from then on with that one's
//! messages. A capture is left behind its last message before the fault, not where the engine found it out.
//!
//! Trades and other messages that change no levels come from all captures, each once.
use super::folder::{ROTATION, new_folder};
use super::union::Union;
use crate::base::id::{MarketId, TokenId};
use crate::base::limits::CAPTURE_BLOCK_BYTES;
use crate::base::text::counted;
use crate::base::time::SECOND_NS;
use crate::capture::line::{AnnotationRecord, Stamp, write_annotation, write_ended, write_text};
use crate::capture::manifest::Entry;
use crate::io::output::print_line;
use crate::replay::plan::time_text;
use crate::replay::{Recording, Step, Steps};
use crate::sink::capture::segment::Folder;
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The connection of messages about markets without a book.
const OTHER: u32 = 1;
/// A market that is missing from so shortly before the end on has ended with the captures.
const END_NS: u64 = 10 * SECOND_NS;
const GAPS_SHOWN: usize = 20;

/// What is merged, and where to.
#[derive(Clone, Debug, PartialEq)]
pub struct Merge {
    /// One for each machine, of one venue; of two that have a market the first one is taken.
    pub recordings: Vec<Recording>,
    /// Their names.
    pub names: Vec<String>,
    /// A new or empty folder.
    pub out: PathBuf,
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Messages of each capture.
    pub messages: Vec<u64>,
    /// How often a market continued with another capture.
    pub changes: u64,
    /// Stored bytes.
    pub bytes: u64,
    /// What all captures lack, and faults of the input; one line each.
    pub faults: Vec<String>,
}

/// Merges for the command line: one line to standard output, one for each fault to standard error. The exit code: 0; 1
/// with a fault; 130 when stopped.
#[must_use]
pub fn execute(merge: &Merge, stop: &Arc<AtomicBool>) -> u8 {
    let out = merge.out.display();
    let merged = match run(merge, stop) {
        Ok(merged) => merged,
        Err(fault) => {
            super::complain("merge", &fault);
            return 1;
        }
    };
    if stop.load(Ordering::Relaxed) {
        super::complain("merge", &format!("{out}: interrupted; it is not complete"));
        return 130;
    }
    let Merged { messages, changes, bytes, faults } = &merged;
    faults.iter().for_each(|fault| super::complain("merge", fault));
    let of = messages.iter().zip(&merge.names).map(|(count, name)| format!("{count} of {name}"));
    let of = of.collect::<Vec<_>>().join(", ");
    let continued = counted(*changes, "market continued", "markets continued");
    print_line(format_args!(
        "{out}: messages: {of}; {continued} with another capture; {bytes} bytes"
    ));
    u8::from(!faults.is_empty())
}

/// Writes the capture. Setting `stop` ends it early.
///
/// # Errors
/// One line: the captures are of different venues, have no record or no receive times, the output folder is not empty,
/// or something cannot be read or written.
pub fn run(merge: &Merge, stop: &Arc<AtomicBool>) -> Result<Merged, String> {
    let Merge { recordings, out, .. } = merge;
    new_folder(out)?;
    if recordings.windows(2).any(|two| two[0].feed != two[1].feed) {
        return Err("these are captures of different venues: merge those of each venue".to_owned());
    }
    let mut sources = Vec::new();
    for recording in recordings {
        let breaks = Steps::breaks(recording, stop)?;
        sources.push(Source::new(Steps::open(recording, stop)?, breaks));
    }
    let first = sources.iter_mut().filter_map(|source| source.steps.next_ns()).min();
    let start_ns = first.ok_or("nothing is written: the captures have no record")?;
    if start_ns == 0 {
        return Err("a recording has no receive times: nothing says in which order its messages and those of the \
                    others came"
            .to_owned());
    }
    let failed = |error: std::io::Error| format!("{}: {error}", out.display());
    let (folder, _) = Folder::open(out, ROTATION, start_ns, 1).map_err(failed)?;
    let mut merger = Merger {
        records: Records { folder, sequences: HashMap::new(), text: String::new() },
        merged: Merged { messages: vec![0; sources.len()], ..Merged::default() },
        sources,
        markets: HashMap::new(),
        slugs: HashMap::new(),
        union: Union::default(),
        gaps: Vec::new(),
        latest_ns: start_ns,
    };
    merger.records.annotation(start_ns, 0, AnnotationRecord::Begun, ENGINE);
    let mut step = Step::default();
    while !stop.load(Ordering::Relaxed)
        && let Some(source) = merger.next_source()
    {
        merger.step(source, &mut step);
        if merger.records.folder.waiting() >= CAPTURE_BLOCK_BYTES {
            merger.records.flush().map_err(failed)?;
        }
    }
    merger.finish().map_err(failed)
}

/// What the records of a start and of images say of the engine.
const ENGINE: &str = r#","shards":1,"hashes":"off","merged":true"#;

/// One capture.
struct Source {
    steps: Steps,
    /// Markets that miss messages behind an item.
    breaks: HashMap<u64, Vec<MarketId>>,
    live: HashSet<MarketId>,
    /// Live, but messages are missing.
    broken: HashSet<MarketId>,
    is_over: bool,
}

impl Source {
    fn new(steps: Steps, breaks: HashMap<u64, Vec<MarketId>>) -> Self {
        let (live, broken) = Default::default();
        Self { steps, breaks, live, broken, is_over: false }
    }

    fn has(&self, market: &MarketId) -> bool {
        self.live.contains(market) && !self.broken.contains(market)
    }

    /// Whether it had a market before the last item and has it still.
    fn update(&mut self, market: &MarketId) -> bool {
        let before = self.has(market);
        match self.steps.is_live(market) {
            Some(true) if self.live.insert(*market) => _ = self.broken.remove(market),
            Some(true) => {}
            _ => _ = self.live.remove(market),
        }
        before && self.has(market)
    }
}

struct Market {
    connection: u32,
    /// The capture it is taken from.
    source: Option<usize>,
    /// Its books that are open.
    tokens: Vec<TokenId>,
    /// No capture has it since then.
    gap_ns: Option<u64>,
    /// From here on the capture that it continued with.
    last_source: Option<usize>,
}

/// A market that no capture had for some time.
struct Gap {
    market: MarketId,
    from_ns: u64,
    to_ns: u64,
}

struct Merger {
    sources: Vec<Source>,
    markets: HashMap<MarketId, Market>,
    /// As JSON strings.
    slugs: HashMap<MarketId, String>,
    union: Union,
    records: Records,
    merged: Merged,
    gaps: Vec<Gap>,
    latest_ns: u64,
}

impl Merger {
    /// The capture with the earliest item.
    fn next_source(&mut self) -> Option<usize> {
        for place in 0..self.sources.len() {
            if !self.sources[place].is_over && self.sources[place].steps.next_ns().is_none() {
                self.sources[place].is_over = true;
                self.end_source(place);
            }
        }
        let times = self.sources.iter_mut().enumerate();
        let times = times.filter_map(|(place, source)| Some((source.steps.next_ns()?, place)));
        times.min().map(|(_, place)| place)
    }

    /// All markets of a capture that has ended continue with others.
    fn end_source(&mut self, place: usize) {
        self.sources[place].live.clear();
        let of_it = |(_, market): &(&MarketId, &Market)| market.source == Some(place);
        let mut lost: Vec<MarketId> =
            self.markets.iter().filter(of_it).map(|(id, _)| *id).collect();
        lost.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        lost.iter().for_each(|market| self.continue_market(market));
    }

    /// Applies the next item of a capture, and writes what it adds.
    fn step(&mut self, place: usize, step: &mut Step) {
        let source = &mut self.sources[place];
        if !source.steps.step(step) {
            return;
        }
        self.latest_ns = step.receive_ns;
        for (market, slug) in step.slugs.drain(..) {
            if let Ok(slug) = sonic_rs::to_string(&slug) {
                self.slugs.insert(market, slug);
            }
        }
        // Those whose messages continue their book.
        let mut continued = Vec::new();
        for (market, has_changed) in &step.touched {
            let is_kept = source.update(market);
            let is_of = self.markets.get(market).is_some_and(|known| known.source == Some(place));
            if is_kept && is_of && *has_changed {
                continued.push(*market);
            }
        }
        let written = self.write_frame(place, step, &continued);
        for (market, _) in &step.touched {
            let lacks = continued.contains(market) && !written.contains(market);
            self.settle(place, market, lacks);
        }
        for market in self.sources[place].breaks.remove(&step.number).unwrap_or_default() {
            self.sources[place].broken.insert(market);
            if self.markets.get(&market).is_some_and(|known| known.source == Some(place)) {
                self.continue_market(&market);
            }
        }
    }

    /// Writes the messages of a frame that are not in the merged capture yet; the markets whose books they change.
    fn write_frame(&mut self, place: usize, step: &Step, continued: &[MarketId]) -> Vec<MarketId> {
        let mut written = Vec::new();
        let Self { sources, markets, union, records, merged, .. } = self;
        let Step { receive_ns, slot, frame, .. } = step;
        sources[place].steps.elements(frame, |element| {
            let market = element.market.as_ref();
            if element.is_book {
                let Some(market) = market.filter(|market| continued.contains(market)) else {
                    return;
                };
                written.push(*market);
            } else if !union.is_new(element.fingerprint, (place, *slot), *receive_ns) {
                return;
            }
            let known = market.and_then(|market| markets.get(market));
            records.text(*receive_ns, known.map_or(OTHER, |known| known.connection), element.text);
            merged.messages[place] += 1;
        });
        written
    }

    /// An item of a capture has concerned a market; `lacks`: what it changed is not written.
    fn settle(&mut self, place: usize, market: &MarketId, lacks: bool) {
        let has = self.sources[place].has(market);
        match self.markets.get(market).and_then(|known| known.source) {
            Some(source) if source != place => {}
            Some(_) if !has => self.continue_market(market),
            Some(_) if lacks => self.write_image(place, market),
            None if has => self.take(place, market),
            None => self.close_if_gone(market),
            Some(_) => {}
        }
    }

    /// Another capture, or none, has a market from now on.
    fn continue_market(&mut self, market: &MarketId) {
        let next = self.sources.iter().position(|source| source.has(market));
        if let Some(place) = next {
            return self.take(place, market);
        }
        let Some(known) = self.markets.get_mut(market) else { return };
        known.source = None;
        if self.sources.iter().all(|source| source.steps.is_live(market).is_none()) {
            return self.close_if_gone(market);
        }
        known.gap_ns.get_or_insert(self.latest_ns);
        self.records.ended(self.latest_ns, known.connection);
    }

    /// Closes the books of a market that no capture has open.
    fn close_if_gone(&mut self, market: &MarketId) {
        if self.sources.iter().any(|source| source.steps.is_live(market).is_some()) {
            return;
        }
        let Some(known) = self.markets.get_mut(market) else { return };
        let tokens = std::mem::take(&mut known.tokens);
        known.gap_ns = None;
        if !tokens.is_empty() {
            self.records.dropped(self.latest_ns, known.connection, &tokens);
        }
    }

    /// A market is taken from a capture from now on.
    fn take(&mut self, place: usize, market: &MarketId) {
        let next = OTHER + 1 + self.markets.len() as u32;
        let known = self.markets.entry(*market).or_insert_with(|| Market {
            connection: next,
            source: None,
            tokens: Vec::new(),
            gap_ns: None,
            last_source: None,
        });
        known.source = Some(place);
        let before = known.last_source.replace(place);
        self.merged.changes += u64::from(before.is_some_and(|before| before != place));
        if let Some(from_ns) = known.gap_ns.take() {
            let (from, to, connection) = (from_ns, self.latest_ns, Some(known.connection));
            let (shard, frames, trades, cause) = (None, None, None, CAUSE.to_owned());
            let gap = Entry::Gap { from, to, connection, shard, frames, trades, cause };
            self.records.folder.add_entry(gap);
            self.gaps.push(Gap { market: *market, from_ns, to_ns: self.latest_ns });
        }
        self.write_image(place, market);
    }

    fn write_image(&mut self, place: usize, market: &MarketId) {
        let Self { sources, markets, slugs, records, latest_ns, .. } = self;
        let Some(known) = markets.get_mut(market) else { return };
        let steps = &sources[place].steps;
        let slug = slugs.get(market).map(String::as_str);
        let tokens = steps.tokens(market);
        if tokens != known.tokens {
            known.tokens = tokens;
            records.books(*latest_ns, known.connection, AnnotationRecord::Books, |out| {
                steps.write(market, false, slug, out);
            });
        }
        records.books(*latest_ns, known.connection, AnnotationRecord::Image, |out| {
            steps.write(market, true, slug, out);
        });
    }

    fn finish(mut self) -> std::io::Result<Merged> {
        for source in &mut self.sources {
            self.merged.faults.extend(source.steps.finish().unwrap_or_else(|fault| vec![fault]));
        }
        let latest_ns = self.latest_ns;
        let left = self.markets.iter().filter_map(|(market, known)| {
            let from_ns = known.gap_ns.filter(|from_ns| from_ns + END_NS < latest_ns)?;
            Some(Gap { market: *market, from_ns, to_ns: latest_ns })
        });
        self.gaps.extend(left);
        self.gaps
            .sort_by(|a, b| (a.from_ns, a.market.as_str()).cmp(&(b.from_ns, b.market.as_str())));
        for Gap { market, from_ns, to_ns } in self.gaps.iter().take(GAPS_SHOWN) {
            let (from, to) = (time_text(*from_ns), time_text(*to_ns));
            self.merged.faults.push(format!("{market}: {CAUSE} from {from} to {to}"));
        }
        let more = self.gaps.len().saturating_sub(GAPS_SHOWN);
        if more > 0 {
            let line = format!("{more} more gaps of markets; manifest.ndjson has all");
            self.merged.faults.push(line);
        }
        self.records.flush()?;
        self.merged.bytes = self.records.folder.totals().bytes;
        self.records.folder.finish(latest_ns)?;
        Ok(self.merged)
    }
}

/// Of a gap.
const CAUSE: &str = "missing in every capture";

struct Records {
    folder: Folder,
    /// Number of the next record of each connection.
    sequences: HashMap<u32, u64>,
    text: String,
}

impl Records {
    fn stamp(&mut self, receive_ns: u64, connection: u32) -> Stamp {
        let next = self.sequences.entry(connection).or_insert(0);
        let sequence = *next;
        *next += 1;
        Stamp { receive_ns, connection, sequence }
    }

    fn text(&mut self, receive_ns: u64, connection: u32, text: &str) {
        let stamp = self.stamp(receive_ns, connection);
        write_text(self.folder.text(receive_ns), stamp, text);
    }

    fn ended(&mut self, receive_ns: u64, connection: u32) {
        let stamp = self.stamp(receive_ns, connection);
        write_ended(self.folder.text(receive_ns), stamp, CAUSE);
    }

    fn annotation(&mut self, receive_ns: u64, connection: u32, note: AnnotationRecord, rest: &str) {
        let stamp = self.stamp(receive_ns, connection);
        write_annotation(self.folder.text(receive_ns), stamp, note, 0, rest);
    }

    fn dropped(&mut self, receive_ns: u64, connection: u32, tokens: &[TokenId]) {
        let mut rest = String::from(r#","a":["#);
        for (place, token) in tokens.iter().enumerate() {
            // Writing to a string cannot fail; tokens hold no character that JSON escapes.
            let _ = write!(rest, r#"{}"{token}""#, if place > 0 { "," } else { "" });
        }
        rest.push(']');
        self.annotation(receive_ns, connection, AnnotationRecord::Dropped, &rest);
    }

    /// A record of books that `write` appends.
    fn books(
        &mut self,
        receive_ns: u64,
        connection: u32,
        note: AnnotationRecord,
        write: impl FnOnce(&mut String),
    ) {
        let mut rest = std::mem::take(&mut self.text);
        rest.clear();
        if note == AnnotationRecord::Image {
            rest.push_str(ENGINE);
        }
        rest.push_str(r#","books":["#);
        write(&mut rest);
        rest.push(']');
        self.annotation(receive_ns, connection, note, &rest);
        self.text = rest;
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self.folder.waiting() {
            0 => Ok(()),
            _ => self.folder.flush(self.folder.latest()),
        }
    }
}

#[cfg(test)]
mod tests;
