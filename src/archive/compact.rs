//! Finished files of captures, compressed more.
//!
//! Runs on:  the starting thread. Bounds: the text of two zstd frames.
//!
//! A file is replaced once its new form was read again and has the text of the old one. The order of the steps leaves a
//! capture that replays to the same books wherever the process ends: the manifest first (a file may be longer than it
//! says), no index, the file, its index.
use super::folder::{CaptureFolder, Listed, SegmentFile};
use crate::base::limits::CAPTURE_BLOCK_BYTES;
use crate::base::text::counted;
use crate::base::time::SECOND_NS;
use crate::capture::index::Block;
use crate::capture::manifest::{self, Entry};
use crate::io::file::{self, Source};
use crate::io::output::print_line;
use crate::io::progress::Progress;
use sha1::{Digest as _, Sha1};
use std::fs::File;
use std::io::{self, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Which files are compressed, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compaction {
    /// Level of zstd, 1 to 22.
    pub level: i32,
    /// Only files whose last record was received before, nanoseconds since the Unix epoch.
    pub before_ns: u64,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Files replaced.
    pub files: u64,
    /// Their stored bytes before.
    pub before: u64,
    /// Their stored bytes now.
    pub after: u64,
    /// One line each.
    pub faults: Vec<String>,
}

/// Compacts for the command line: one line for each file and folder to standard output, one for each fault to standard
/// error. The exit code: 0; 1 with a fault; 130 when stopped.
#[must_use]
pub fn execute(folders: &[PathBuf], compaction: Compaction, stop: &Arc<AtomicBool>) -> u8 {
    let mut code = 0;
    for folder in folders {
        let done = run(folder, compaction, stop, |path, before, after| {
            print_line(format_args!("{}: {}", path.display(), change(before, after)));
        });
        let done =
            done.unwrap_or_else(|fault| Compacted { faults: vec![fault], ..Compacted::default() });
        let Compacted { files, before, after, faults } = done;
        faults.iter().for_each(|fault| super::complain("compact", fault));
        let files = counted(files, "file", "files");
        print_line(format_args!("{}: {files}, {}", folder.display(), change(before, after)));
        code = code.max(u8::from(!faults.is_empty()));
        if stop.load(Ordering::Relaxed) {
            return 130;
        }
    }
    code
}

fn change(before: u64, after: u64) -> String {
    let less = 100.0 * (1.0 - after as f64 / before.max(1) as f64);
    match before {
        0 => "nothing to compress".to_owned(),
        _ => format!("{before} bytes before, {after} after ({less:.1} % less)"),
    }
}

/// Compresses the files of a folder, the oldest first; `each` gets path and stored bytes before and after. Setting
/// `stop` ends it with the file in hand as it was.
///
/// # Errors
/// One line: the folder has no capture, or cannot be read.
pub fn run(
    folder: &Path,
    compaction: Compaction,
    stop: &Arc<AtomicBool>,
    mut each: impl FnMut(&Path, u64, u64),
) -> Result<Compacted, String> {
    let folder = CaptureFolder::open(folder)?;
    let due = |segment: &&SegmentFile| is_due(segment, compaction);
    let segments: Vec<&SegmentFile> = folder.segments.iter().filter(due).collect();
    let total = segments.iter().map(|segment| segment.len).sum();
    let mut progress = Progress::of_bytes(Some(total));
    let mut done = Compacted::default();
    for segment in segments {
        let result = replace(&folder.path, segment, compaction.level, stop);
        if stop.load(Ordering::Relaxed) {
            break;
        }
        match result {
            Ok(after) => {
                done.files += 1;
                done.before += segment.len;
                done.after += after;
                each(&segment.path, segment.len, after);
            }
            Err(error) => done
                .faults
                .push(format!("{}: {error}; the file is as it was", segment.path.display())),
        }
        progress.file_done(segment.len);
    }
    progress.finish();
    Ok(done)
}

/// A finished file, old enough, that has not this level yet.
fn is_due(segment: &SegmentFile, compaction: Compaction) -> bool {
    segment.listed.is_some_and(|listed| {
        let is_done = listed.level >= Some(compaction.level) && listed.bytes == segment.len;
        listed.to < compaction.before_ns && !is_done
    })
}

/// Writes the new form beside the old one, compares them, replaces; the stored bytes afterwards.
fn replace(
    folder: &Path,
    segment: &SegmentFile,
    level: i32,
    stop: &Arc<AtomicBool>,
) -> io::Result<u64> {
    let name = segment.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some((stem, listed)) = name.strip_suffix(".ndjson.zst").zip(segment.listed) else {
        return Err(io::Error::other("is no file of a capture"));
    };
    let new = Unfinished(folder.join(format!("{name}.unfinished")));
    let (blocks, digest, text_bytes) = write(segment, &new.0, level, stop)?;
    if stop.load(Ordering::Relaxed) {
        return Ok(segment.len);
    }
    if text_bytes != listed.text_bytes {
        return Err(io::Error::other(format!(
            "it has {text_bytes} bytes of text, but {} according to the manifest; see `ringbook capture verify`",
            listed.text_bytes
        )));
    }
    if read_again(&new.0, stop)? != digest {
        return Err(io::Error::other("what was written reads differently"));
    }
    let end = blocks.last().map_or(0, |block| block.offset + block.bytes);
    let is_smaller = end < segment.len;
    let bytes = if is_smaller { end } else { segment.len };
    let Listed { from, to, records, text_bytes, .. } = listed;
    let (file, level) = (name.to_owned(), Some(level));
    append(folder, &Entry::Segment { file, from, to, records, bytes, text_bytes, level })?;
    if !is_smaller {
        return Ok(segment.len);
    }
    let index = folder.join(format!("{stem}.index"));
    let new_index = Unfinished(folder.join(format!("{stem}.index.unfinished")));
    let lines: String = blocks.into_iter().map(Block::to_line).collect();
    std::fs::write(&new_index.0, lines)?;
    File::open(&new_index.0)?.sync_all()?;
    match std::fs::remove_file(&index) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::fs::rename(&new.0, &segment.path)?;
    std::fs::rename(&new_index.0, &index)?;
    File::open(folder)?.sync_all()?;
    Ok(end)
}

/// A file that is removed unless it got another name.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Mostly it has its name by now.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Writes the text of a segment in frames of the full size: their index, the digest and the length of the text.
fn write(
    segment: &SegmentFile,
    path: &Path,
    level: i32,
    stop: &Arc<AtomicBool>,
) -> io::Result<(Vec<Block>, Vec<u8>, u64)> {
    let mut out = BufWriter::new(File::create(path)?);
    let (mut blocks, mut digest, mut text_bytes) = (Vec::new(), Sha1::new(), 0);
    let (mut text, mut sum) = (Vec::new(), Block::default());
    for (place, block) in segment.blocks.iter().enumerate() {
        if stop.load(Ordering::Relaxed) {
            return Ok(Default::default());
        }
        let before = text.len();
        let part = block.offset..block.offset.saturating_add(block.bytes);
        let input = file::open_part(&segment.source(), stop, part).map_err(io::Error::other)?;
        let mut reader = input.reader;
        reader.read_to_end(&mut text)?;
        digest.update(&text[before..]);
        add(&mut sum, block);
        let is_last = place + 1 == segment.blocks.len();
        if text.len() < CAPTURE_BLOCK_BYTES && !is_last {
            continue;
        }
        let packed = pack(&text, level)?;
        out.write_all(&packed)?;
        let offset = blocks.last().map_or(0, |block: &Block| block.offset + block.bytes);
        let (bytes, length) = (packed.len() as u64, text.len() as u64);
        blocks.push(Block { offset, bytes, text_bytes: length, ..sum });
        text_bytes += length;
        text.clear();
        sum = Block::default();
    }
    if blocks.is_empty() {
        return Err(io::Error::other("it has no index; see `ringbook capture verify`"));
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    Ok((blocks, digest.finalize().to_vec(), text_bytes))
}

fn add(sum: &mut Block, block: &Block) {
    if block.records > 0 {
        sum.from = if sum.records == 0 { block.from } else { sum.from.min(block.from) };
        sum.to = sum.to.max(block.to);
        sum.records += block.records;
    }
}

fn pack(text: &[u8], level: i32) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), level)?;
    encoder.include_checksum(true)?;
    encoder.set_pledged_src_size(Some(text.len() as u64))?;
    encoder.write_all(text)?;
    encoder.finish()
}

/// The digest of the text of a file.
fn read_again(path: &Path, stop: &Arc<AtomicBool>) -> io::Result<Vec<u8>> {
    let input = file::open(&Source::Path(path.to_owned()), stop).map_err(io::Error::other)?;
    let (mut reader, mut part, mut digest) = (input.reader, vec![0; 1 << 16], Sha1::new());
    loop {
        match reader.read(&mut part)? {
            0 => return Ok(digest.finalize().to_vec()),
            read => digest.update(&part[..read]),
        }
    }
}

/// Adds a line to the manifest, on the disk when this returns.
fn append(folder: &Path, entry: &Entry) -> io::Result<()> {
    let path = folder.join(manifest::FILE);
    let mut file = file::append(&path).map_err(io::Error::other)?;
    // A line that a killed process left incomplete ends here.
    file.write_all(format!("\n{}", entry.to_line()).as_bytes())?;
    file.sync_all()
}

/// The time before which files are old: so many days before `now_ns`.
#[must_use]
pub const fn days_before(now_ns: u64, days: u32) -> u64 {
    now_ns.saturating_sub(days as u64 * 86_400 * SECOND_NS)
}

#[cfg(test)]
mod tests;
