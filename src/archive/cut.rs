//! A part of a capture as a capture of its own: a range of time, some markets.
//!
//! Runs on:  the starting thread. Bounds: the text of one zstd frame, one record.
//!
//! The books of an engine depend on all it has received, so the part begins at the start of the engine that was
//! recording at the beginning of the range. Records are copied byte for byte, but for the lists of opened books.
use super::folder::{CaptureFolder, ROTATION, SegmentFile, new_folder};
use crate::base::limits::CAPTURE_BLOCK_BYTES;
use crate::capture::line::{Record, Stamp, What, is_part, write_lost};
use crate::capture::manifest::Entry;
use crate::io::file;
use crate::io::output::print_line;
use crate::io::progress::Progress;
use crate::replay::{Kept, MarketFilter, part, venue_of};
use crate::sink::capture::segment::{Folder, stamp};
use std::io::BufRead as _;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is cut out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Folders of captures, in chronological order.
    pub folders: Vec<PathBuf>,
    /// A new or empty folder.
    pub out: PathBuf,
    /// Receive times, nanoseconds since the Unix epoch.
    pub range: Range<u64>,
    /// Slugs, market ids, tickers or tokens; all markets without any.
    pub markets: Vec<String>,
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Records read.
    pub read: u64,
    /// Records written.
    pub records: u64,
    /// Stored bytes written.
    pub bytes: u64,
    /// One line each.
    pub faults: Vec<String>,
}

/// Cuts for the command line: one line to standard output, one for each fault to standard error. The exit code: 0; 1
/// with a fault; 130 when stopped, and nothing is left.
#[must_use]
pub fn execute(cut: &Cut, stop: &Arc<AtomicBool>) -> u8 {
    let written = match run(cut, stop) {
        Ok(written) => written,
        Err(fault) => {
            super::complain("cut", &fault);
            return 1;
        }
    };
    if stop.load(Ordering::Relaxed) {
        super::complain("cut", &format!("{}: interrupted; it is not complete", cut.out.display()));
        return 130;
    }
    let Written { read, records, bytes, faults } = &written;
    faults.iter().for_each(|fault| super::complain("cut", fault));
    let out = cut.out.display();
    print_line(format_args!("{out}: {records} of {read} records, {bytes} bytes"));
    u8::from(!faults.is_empty())
}

/// One engine's files.
struct Run<'a> {
    folder: &'a CaptureFolder,
    segments: Vec<&'a SegmentFile>,
    /// When the engine started, nanoseconds since the Unix epoch.
    start_ns: u64,
    shards: u16,
    /// When it has stopped regularly.
    stop_ns: Option<u64>,
}

/// Writes the part. Setting `stop` ends it early.
///
/// # Errors
/// One line: a folder has no capture, the output folder is not empty or cannot be written, or nothing is in the range.
pub fn run(cut: &Cut, stop: &Arc<AtomicBool>) -> Result<Written, String> {
    let out = &cut.out;
    let shown = out.display();
    new_folder(out)?;
    let folders = cut.folders.iter().map(|path| CaptureFolder::open(path));
    let folders = folders.collect::<Result<Vec<_>, _>>()?;
    let mut runs: Vec<Run<'_>> = folders.iter().flat_map(runs).collect();
    runs.sort_by_key(|run| run.start_ns);
    let first = runs.iter().rposition(|run| run.start_ns <= cut.range.start).unwrap_or(0);
    runs.drain(..first);
    runs.retain(|run| run.start_ns < cut.range.end);
    let mut writer = Writer {
        written: Written::default(),
        filter: MarketFilter::new(&cut.markets),
        progress: Progress::of_bytes(Some(
            runs.iter().flat_map(|run| &run.segments).map(|segment| segment.len).sum(),
        )),
        stop,
    };
    for run in &runs {
        if !stop.load(Ordering::Relaxed) {
            writer.write_run(run, cut).map_err(|error| format!("{shown}: {error}"))?;
        }
    }
    writer.progress.finish();
    let Writer { mut written, filter, .. } = writer;
    if written.records == 0 && !stop.load(Ordering::Relaxed) {
        return Err("nothing is written: no record was received in this range".to_owned());
    }
    for name in filter.missing() {
        written.faults.push(format!(
            "--market {name}: no book of such a market was opened; give a slug, an id, a \
                                     ticker or a token of the capture"
        ));
    }
    Ok(written)
}

/// The runs of a folder, by the names of their files.
fn runs(folder: &CaptureFolder) -> Vec<Run<'_>> {
    let mut runs: Vec<(String, Run<'_>)> = Vec::new();
    for segment in &folder.segments {
        let name = segment.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let stem = name.rsplit_once('-').map_or(name, |(stem, _)| stem).to_owned();
        match runs.last_mut() {
            Some((known, run)) if *known == stem => run.segments.push(segment),
            _ => {
                let first_ns = segment.blocks.first().map_or(0, |block| block.from);
                let (start_ns, shards) = started(folder, &stem).unwrap_or((first_ns, 1));
                let segments = vec![segment];
                runs.push((stem, Run { folder, segments, start_ns, shards, stop_ns: None }));
            }
        }
    }
    let starts: Vec<u64> = runs.iter().map(|(_, run)| run.start_ns).collect();
    for (place, (_, run)) in runs.iter_mut().enumerate() {
        let next_ns = starts.get(place + 1).copied().unwrap_or(u64::MAX);
        let start_ns = run.start_ns;
        run.stop_ns = folder.manifest.iter().find_map(|entry| match entry {
            Entry::Stopped { at } => (start_ns..next_ns).contains(at).then_some(*at),
            _ => None,
        });
    }
    runs.into_iter().map(|(_, run)| run).collect()
}

/// Start and shards of the run whose files have this stem.
fn started(folder: &CaptureFolder, stem: &str) -> Option<(u64, u16)> {
    folder.manifest.iter().find_map(|entry| match entry {
        Entry::Started { at, shards, .. } if stamp(*at) == stem => Some((*at, *shards)),
        _ => None,
    })
}

struct Writer<'a> {
    written: Written,
    filter: MarketFilter,
    progress: Progress,
    stop: &'a Arc<AtomicBool>,
}

impl Writer<'_> {
    fn write_run(&mut self, run: &Run<'_>, cut: &Cut) -> std::io::Result<()> {
        let end = cut.range.end;
        let (mut out, _) = Folder::open(&cut.out, ROTATION, run.start_ns, run.shards)?;
        if !cut.markets.is_empty() {
            out.set_part();
        }
        let sources: Vec<_> = run.segments.iter().map(|segment| segment.source()).collect();
        let is_numbered = venue_of(&sources).is_some_and(|feed| feed.capabilities().is_sequenced());
        self.filter.begin(is_numbered);
        for segment in &run.segments {
            self.write_segment(segment, end, &mut out)?;
            self.progress.file_done(segment.len);
        }
        for entry in &run.folder.manifest {
            // Folder writes the gap between two runs itself.
            if let Entry::Gap { from, to, connection, shard, frames, .. } = entry
                && (connection.is_some() || shard.is_some() || frames.is_some())
                && *to >= run.start_ns
                && run.stop_ns.is_none_or(|stop_ns| *from <= stop_ns)
                && *from < end
            {
                out.add_entry(entry.clone());
            }
        }
        flush(&mut out, &mut self.written)?;
        match run.stop_ns.filter(|&stop_ns| stop_ns < end) {
            Some(stop_ns) => out.finish(stop_ns),
            None => out.close(),
        }
    }

    fn write_segment(
        &mut self,
        segment: &SegmentFile,
        end_ns: u64,
        out: &mut Folder,
    ) -> std::io::Result<()> {
        let source = segment.source();
        let shown = source.to_string();
        let input = match file::open_part(&source, self.stop, part(&source, &(0..end_ns))) {
            Ok(input) => input,
            Err(fault) => {
                self.lose(fault, out);
                return Ok(());
            }
        };
        let (mut reader, mut line) = (input.reader, Vec::new());
        let mut number = 0_u64;
        while !self.stop.load(Ordering::Relaxed) {
            line.clear();
            match reader.read_until(b'\n', &mut line) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    let is_damage = error.get_ref().is_some_and(|error| error.is::<file::Damage>());
                    self.lose(format!("{shown}: behind line {number}: {error}"), out);
                    if is_damage {
                        continue;
                    }
                    break;
                }
            }
            number += 1;
            let text = line.strip_suffix(b"\n").and_then(|line| std::str::from_utf8(line).ok());
            let Some(text) = text else {
                self.lose(format!("{shown}: line {number} is no record"), out);
                continue;
            };
            let record = Record::read(text);
            let (Some(at_ns), false) = (record.receive_ns, matches!(record.what, What::Broken(_)))
            else {
                self.lose(format!("{shown}: line {number} is no record"), out);
                continue;
            };
            if record.what == What::Header && is_part(text) {
                out.set_part();
            }
            if record.what == What::Header || at_ns >= end_ns {
                continue;
            }
            self.written.read += 1;
            let kept = self.filter.keep(&record, text);
            let written = match &kept {
                Kept::Nothing => continue,
                Kept::Whole => text,
                Kept::Part(part) => part,
            };
            let buffer = out.text(at_ns);
            buffer.extend_from_slice(written.as_bytes());
            buffer.push(b'\n');
            if out.waiting() >= CAPTURE_BLOCK_BYTES {
                flush(out, &mut self.written)?;
            }
        }
        Ok(())
    }

    /// Records are missing here: the books of the part must be stale, as those of the whole.
    fn lose(&mut self, fault: String, out: &mut Folder) {
        let receive_ns = out.latest();
        write_lost(out.text(receive_ns), Stamp { receive_ns, connection: 0, sequence: 0 }, 0);
        self.written.faults.push(fault);
    }
}

fn flush(out: &mut Folder, written: &mut Written) -> std::io::Result<()> {
    if out.waiting() > 0 {
        let before = out.totals();
        // Files begin at receive times, as those of the engine did.
        out.flush(out.latest())?;
        let after = out.totals();
        written.records += after.records - before.records;
        written.bytes += after.bytes - before.bytes;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
