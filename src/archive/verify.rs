//! Compares every byte of captures with their indices and manifests.
//!
//! Runs on:  the starting thread. Bounds: the text of one zstd frame.
use super::folder::{CaptureFolder, Listed, SegmentFile};
use crate::base::text::counted;
use crate::capture::index::Block;
use crate::capture::line::{Record, What};
use crate::capture::manifest::FILE;
use crate::io::file::{self, Damage};
use crate::io::output::print_line;
use crate::io::progress::Progress;
use crate::replay::lost_segments;
use std::io::{ErrorKind, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What was read, and what is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Segments.
    pub files: u64,
    /// Records.
    pub records: u64,
    /// Stored bytes.
    pub bytes: u64,
    /// One line each.
    pub faults: Vec<String>,
}

/// Verifies folders for the command line: one line each to standard output, one for each fault to standard error. The
/// exit code: 0; 1 with a fault; 130 when stopped.
#[must_use]
pub fn execute(folders: &[PathBuf], stop: &Arc<AtomicBool>) -> u8 {
    let mut code = 0;
    for folder in folders {
        let shown = folder.display();
        let found = verify(folder, stop)
            .unwrap_or_else(|fault| Verified { faults: vec![fault], ..Verified::default() });
        if stop.load(Ordering::Relaxed) {
            return 130;
        }
        let Verified { files, records, bytes, faults } = found;
        for fault in &faults {
            super::complain("verify", fault);
        }
        let files = counted(files, "file", "files");
        let result = match faults.len() as u64 {
            0 => "no fault".to_owned(),
            count => counted(count, "fault", "faults"),
        };
        print_line(format_args!("{shown}: {files}, {records} records, {bytes} bytes: {result}"));
        code = code.max(u8::from(!faults.is_empty()));
    }
    code
}

/// Reads every segment of a folder. Setting `stop` ends it early.
///
/// # Errors
/// One line: the folder has no capture, or cannot be read.
pub fn verify(folder: &Path, stop: &Arc<AtomicBool>) -> Result<Verified, String> {
    let folder = CaptureFolder::open(folder)?;
    let total = folder.segments.iter().map(|segment| segment.len).sum();
    let mut progress = Progress::of_bytes(Some(total));
    let mut faults = lost_segments(&folder.path);
    let manifest = folder.path.join(FILE);
    faults.extend(folder.damaged_lines.iter().map(|line| {
        format!("{}: line {line} is damaged: it is of a run, a file or a gap", manifest.display())
    }));
    let mut verified = Verified { faults, ..Verified::default() };
    for segment in &folder.segments {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (records, faults) = of_segment(segment, stop);
        let shown = segment.path.display();
        verified.faults.extend(faults.into_iter().map(|fault| format!("{shown}: {fault}")));
        verified.files += 1;
        verified.records += records;
        verified.bytes += segment.len;
        progress.file_done(segment.len);
    }
    progress.finish();
    Ok(verified)
}

/// Records of one segment, and its faults.
fn of_segment(segment: &SegmentFile, stop: &Arc<AtomicBool>) -> (u64, Vec<String>) {
    let mut faults = Vec::new();
    let mut sum = Contents::default();
    let mut end = 0;
    for (number, block) in (1..).zip(&segment.blocks) {
        if stop.load(Ordering::Relaxed) {
            return (sum.records, faults);
        }
        let Block { offset, bytes, .. } = *block;
        if offset != end {
            faults.push(format!(
                "block {number} begins at byte {offset} according to the index, not at {end}"
            ));
        }
        end = offset.saturating_add(bytes);
        if end > segment.len {
            let len = segment.len;
            let fault = format!(
                "the file has {len} bytes, its index leads to byte {end}: the rest is missing"
            );
            sum.fault = Some(fault.clone());
            faults.push(fault);
            break;
        }
        let found = contents(segment, offset..end, stop);
        faults.extend(found.fault.iter().map(|fault| format!("block {number}: {fault}")));
        let wanted = Contents {
            records: block.records,
            text_bytes: block.text_bytes,
            from: block.from,
            to: block.to,
            fault: None,
        };
        if found.fault.is_none() && found != wanted {
            faults.push(format!("block {number} has {found}; the index says {wanted}"));
        }
        sum.add(&found);
    }
    if end < segment.len {
        let rest = contents(segment, end..u64::MAX, stop);
        match (&rest.fault, segment.blocks.is_empty()) {
            (Some(fault), _) => faults.push(format!("behind byte {end}: {fault}")),
            (None, true) => faults.push(
                "its index is missing or empty: ranges of time read the whole file".to_owned(),
            ),
            // The index is written behind the block; a missing line costs time only.
            (None, false) => {}
        }
        sum.add(&rest);
    }
    if let Some(listed) = &segment.listed {
        faults.extend(against_manifest(listed, segment.len, &sum));
    }
    (sum.records, faults)
}

fn against_manifest(listed: &Listed, len: u64, sum: &Contents) -> Vec<String> {
    let Listed { from, to, records, bytes, text_bytes, .. } = *listed;
    let wanted = Contents { records, text_bytes, from, to, fault: None };
    let mut faults = Vec::new();
    if len != bytes {
        faults.push(format!("the file has {len} bytes; the manifest says {bytes}"));
    }
    if sum.fault.is_none() && *sum != wanted {
        faults.push(format!("the file has {sum}; the manifest says {wanted}"));
    }
    faults
}

/// What a part of a segment has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Contents {
    /// But for the first one of a file, which names its keys.
    records: u64,
    text_bytes: u64,
    /// Receive times.
    from: u64,
    to: u64,
    /// The first fault.
    fault: Option<String>,
}

impl std::fmt::Display for Contents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { records, text_bytes, from, to, .. } = self;
        write!(f, "{records} records, {text_bytes} bytes of text from {from} to {to}")
    }
}

impl Contents {
    fn add(&mut self, other: &Self) {
        self.fault = self.fault.take().or_else(|| other.fault.clone());
        self.text_bytes += other.text_bytes;
        if other.records > 0 {
            self.from = if self.records == 0 { other.from } else { self.from.min(other.from) };
            self.to = self.to.max(other.to);
            self.records += other.records;
        }
    }
}

/// Decompresses stored bytes and counts their records.
fn contents(segment: &SegmentFile, part: Range<u64>, stop: &Arc<AtomicBool>) -> Contents {
    let mut found = Contents::default();
    let mut input = match file::open_part(&segment.source(), stop, part) {
        Ok(input) => input,
        Err(fault) => return Contents { fault: Some(fault), ..found },
    };
    let mut text = Vec::new();
    if let Err(error) = input.reader.read_to_end(&mut text) {
        let damage = error.get_ref().is_some_and(|error| error.is::<Damage>());
        found.fault = Some(match error.kind() {
            ErrorKind::UnexpectedEof => "a zstd frame has no end".to_owned(),
            _ if damage => format!("the zstd stream is damaged ({error})"),
            _ => error.to_string(),
        });
    }
    found.text_bytes = text.len() as u64;
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        match receive_ns(line) {
            Ok(Some(at_ns)) => {
                found.add(&Contents { records: 1, from: at_ns, to: at_ns, ..Contents::default() });
            }
            Ok(None) => {}
            Err(fault) => found.fault = found.fault.or(Some(fault)),
        }
    }
    found
}

/// The receive time of a record; none of the first one of a file.
fn receive_ns(line: &[u8]) -> Result<Option<u64>, String> {
    let fault = |why: &str| {
        let shown = String::from_utf8_lossy(&line[..line.len().min(80)]).escape_debug().to_string();
        format!("{why}: {shown}")
    };
    let Some(whole) = line.strip_suffix(b"\n") else { return Err(fault("a line has no end")) };
    let text = std::str::from_utf8(whole).map_err(|_| fault("a line is not UTF-8"))?;
    let Record { receive_ns, what, .. } = Record::read(text);
    match (what, receive_ns) {
        (What::Broken(why), _) => Err(fault(why)),
        (What::Header, _) => Ok(None),
        (_, Some(at_ns)) => Ok(Some(at_ns)),
        (_, None) => Err(fault("a line without receive time")),
    }
}

#[cfg(test)]
mod tests;
