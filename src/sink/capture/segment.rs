//! The files of a capture: segments of zstd frames, their indices, the manifest.
//!
//! Runs on:  the thread `capture`. Owns: the files.
use super::retention::{self, Retention, Stored};
use crate::base::limits::{CAPTURE_MANIFEST_RESERVE_BYTES, CAPTURE_MARKS_MAX};
use crate::capture::index::Block;
use crate::capture::line::write_header;
use crate::capture::manifest::{self, Entry};
use crate::counter::loss::FrameCount;
use crate::io::file::{FileState, reserve, state};
use crate::io::lock::{LockFault, lock};
use jiff::Timestamp;
use log::warn;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Level 1 is the fastest and, measured on venue data, the smallest.
const LEVEL: i32 = 1;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Rotation {
    /// Compressed size, bytes.
    pub(crate) bytes: u64,
    /// Duration, nanoseconds.
    pub(crate) ns: u64,
}

/// What was written so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) records: u64,
    pub(crate) text_bytes: u64,
    pub(crate) bytes: u64,
    pub(crate) segments: u64,
    pub(crate) written_wall_ns: u64,
}

/// Records that were written and are not in the files any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) count: FrameCount,
    /// Cause, for log and manifest.
    pub(crate) cause: String,
}

/// End of a block of a segment.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    /// Sum of all blocks up to here.
    sum: Block,
    count: FrameCount,
}

#[derive(Debug)]
struct Segment {
    name: String,
    file: File,
    index: File,
    begun_wall_ns: u64,
    /// End of the last written block.
    end: Mark,
    /// Earlier ends, in order, for a truncated file; every second one is dropped when there are too many.
    marks: Vec<Mark>,
}

#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// Locked: a second process cannot write to the folder.
    lock: File,
    manifest: File,
    rotation: Rotation,
    segment: Option<Segment>,
    /// Segments of this process so far.
    number: u32,
    begun_wall_ns: u64,
    shards: u16,
    text: Vec<u8>,
    /// Frames in `text`.
    count: FrameCount,
    block: Block,
    packed: Vec<u8>,
    /// Entries for the manifest that are not written yet.
    pending: Vec<Entry>,
    latest_ns: u64,
    totals: Totals,
    /// Segments that ended since they were taken.
    closed: Vec<PathBuf>,
    /// Records of the connections are left out.
    is_part: bool,
}

impl Folder {
    /// Creates the folder if missing, and records in the manifest the gap since an earlier run. Returns the folder
    /// and the cause of that gap.
    pub(crate) fn open(
        path: &Path,
        rotation: Rotation,
        wall_ns: u64,
        shards: u16,
    ) -> io::Result<(Self, Option<String>)> {
        std::fs::create_dir_all(path)?;
        let lock = lock_folder(path)?;
        let name = path.join(manifest::FILE);
        if std::fs::metadata(&name).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(io::Error::other("its manifest is no regular file; name another folder"));
        }
        let earlier = match std::fs::read_to_string(&name) {
            Ok(text) => manifest::read(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let mut manifest = OpenOptions::new().create(true).append(true).open(&name)?;
        let gap = manifest::last_end(&earlier).map(|(end, stopped)| {
            let last = last_time(path).unwrap_or(0);
            let cause = if stopped {
                "no engine ran"
            } else {
                "the process ended without stopping; the end of its last segment may be torn"
            };
            (end.max(last), cause)
        });
        let mut lines = String::new();
        if let Some((from, cause)) = gap {
            let (to, cause) = (wall_ns, cause.to_owned());
            let (connection, shard, frames, trades) = (None, None, None, None);
            lines += &Entry::Gap { from, to, connection, shard, frames, trades, cause }.to_line();
        }
        let version = env!("CARGO_PKG_VERSION").to_owned();
        lines += &Entry::Started { at: wall_ns, version, shards }.to_line();
        // Ends a line left incomplete by a killed process.
        if !earlier.is_empty() {
            lines.insert(0, '\n');
        }
        manifest.write_all(lines.as_bytes())?;
        reserve(&manifest, CAPTURE_MANIFEST_RESERVE_BYTES);
        let folder = Self {
            path: path.to_owned(),
            lock,
            manifest,
            rotation,
            segment: None,
            number: 0,
            begun_wall_ns: wall_ns,
            shards,
            text: Vec::new(),
            count: FrameCount::default(),
            block: Block::default(),
            packed: Vec::new(),
            pending: Vec::new(),
            latest_ns: wall_ns,
            totals: Totals::default(),
            closed: Vec::new(),
            is_part: false,
        };
        Ok((folder, gap.map(|(_, cause)| cause.to_owned())))
    }

    /// From the next file on, records of the connections are left out.
    pub(crate) const fn set_part(&mut self) {
        self.is_part = true;
    }

    /// Buffer to append a record with this receive time to.
    pub(crate) fn text(&mut self, receive_ns: u64) -> &mut Vec<u8> {
        self.block.add(receive_ns);
        self.latest_ns = self.latest_ns.max(receive_ns);
        &mut self.text
    }

    pub(crate) fn count_frame(&mut self, frame: FrameCount) {
        self.count += frame;
    }

    /// Bytes of text not written yet.
    pub(crate) fn waiting(&self) -> usize {
        self.text.len()
    }

    /// Latest receive time of a record.
    pub(crate) fn latest(&self) -> u64 {
        self.latest_ns
    }

    pub(crate) fn totals(&self) -> Totals {
        self.totals
    }

    pub(crate) fn add_entry(&mut self, entry: Entry) {
        self.pending.push(entry);
    }

    /// Writes the buffered text as one zstd frame, and the waiting manifest entries.
    ///
    /// # Errors
    /// The disk failed: retry later. The buffer is unchanged and the files contain no part of it.
    pub(crate) fn flush(&mut self, wall_ns: u64) -> io::Result<()> {
        self.rotate(wall_ns)?;
        let segment = match &mut self.segment {
            Some(segment) => segment,
            None => {
                // A new number per attempt: a failed attempt may have left a file.
                let number = self.number;
                self.number += 1;
                if !self.path.exists() {
                    self.recreate_manifest()?;
                }
                let segment = Segment::create(&self.path, self.begun_wall_ns, number, wall_ns)?;
                self.totals.segments += 1;
                self.segment.insert(segment)
            }
        };
        let mut first = Vec::new();
        let mut text = &self.text;
        if segment.end.sum.records == 0 {
            write_header(&mut first, self.block.from, self.is_part);
            first.extend_from_slice(text);
            text = &first;
        }
        self.packed.clear();
        let mut encoder = zstd::stream::Encoder::new(&mut self.packed, LEVEL)?;
        // A checksum lets readers detect damage.
        encoder.include_checksum(true)?;
        encoder.write_all(text)?;
        encoder.finish()?;
        let (offset, bytes) = (segment.end.sum.bytes, self.packed.len() as u64);
        let block = Block { offset, bytes, text_bytes: text.len() as u64, ..self.block };
        segment.append(&self.packed, &block, self.count)?;
        self.totals.records += block.records;
        self.totals.text_bytes += block.text_bytes;
        self.totals.bytes += block.bytes;
        self.totals.written_wall_ns = wall_ns;
        self.forget_text();
        self.write_manifest()
    }

    fn forget_text(&mut self) {
        self.text.clear();
        self.count = FrameCount::default();
        self.block = Block::default();
    }

    /// Checks that the segment was not deleted or truncated externally. If it was, adds a gap to the manifest and
    /// continues in another segment.
    pub(crate) fn check(&mut self) -> Option<Missing> {
        let end = self.segment.as_ref()?.end;
        let FileState { is_deleted, len } = state(&self.segment.as_ref()?.file).ok()?;
        if !is_deleted && len >= end.sum.bytes {
            return None;
        }
        let mut segment = self.segment.take()?;
        let (left, what) =
            if is_deleted { (Mark::default(), "deleted") } else { (segment.cut(len), "truncated") };
        let name = &segment.name;
        let cause = format!("{name} was {what} by another program while it was written");
        let count = end.count.minus(left.count);
        let from = if left.sum.records == 0 { end.sum.from } else { left.sum.to };
        let (to, connection, shard) = (end.sum.to, None, None);
        let (frames, trades) = (Some(count.frames), Some(count.trades));
        let why = cause.clone();
        if left.sum.records > 0 {
            // The remaining blocks are complete. If the disk fails now, the next block reports it.
            let _ = self.end(segment);
        } else if !is_deleted {
            segment.remove(&self.path);
        }
        self.add_entry(Entry::Gap { from, to, connection, shard, frames, trades, cause: why });
        let _ = self.write_manifest();
        Some(Missing { count, cause })
    }

    /// Discards the buffer and `unsent` frames and adds the gap to the manifest.
    pub(crate) fn discard(&mut self, unsent: FrameCount, wall_ns: u64, cause: &str) -> FrameCount {
        let mut count = std::mem::take(&mut self.count);
        count += unsent;
        let from = if self.block.records > 0 { self.block.from } else { self.latest_ns };
        let (to, cause) = (wall_ns, cause.to_owned());
        let (frames, trades) = (Some(count.frames), Some(count.trades));
        let (connection, shard) = (None, None);
        self.add_entry(Entry::Gap { from, to, connection, shard, frames, trades, cause });
        self.forget_text();
        count
    }

    fn write_manifest(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        if state(&self.manifest)?.is_deleted {
            self.recreate_manifest()?;
        }
        let lines: String = self.pending.iter().map(Entry::to_line).collect();
        self.manifest.write_all(lines.as_bytes())?;
        self.pending.clear();
        reserve(&self.manifest, CAPTURE_MANIFEST_RESERVE_BYTES);
        Ok(())
    }

    /// The manifest was deleted, and possibly the folder.
    fn recreate_manifest(&mut self) -> io::Result<()> {
        let name = self.path.join(manifest::FILE);
        if !self.path.exists() {
            std::fs::create_dir_all(&self.path)?;
            self.lock = lock_folder(&self.path)?;
        }
        warn!("{}: deleted by another program; created again", name.display());
        self.manifest = OpenOptions::new().create(true).append(true).open(name)?;
        let (at, shards) = (self.begun_wall_ns, self.shards);
        let version = env!("CARGO_PKG_VERSION").to_owned();
        self.pending.insert(0, Entry::Started { at, version, shards });
        Ok(())
    }

    /// Ends the segment if it reached a bound.
    fn rotate(&mut self, wall_ns: u64) -> io::Result<()> {
        let Rotation { bytes, ns } = self.rotation;
        let done = |s: &mut Segment| s.end.sum.bytes >= bytes || wall_ns >= s.begun_wall_ns + ns;
        self.segment.take_if(done).map_or(Ok(()), |segment| self.end(segment))
    }

    fn end(&mut self, segment: Segment) -> io::Result<()> {
        let Block { from, to, records, bytes, text_bytes, .. } = segment.end.sum;
        if records == 0 {
            // No block was written.
            segment.remove(&self.path);
            return Ok(());
        }
        segment.file.sync_all()?;
        self.closed.push(self.path.join(&segment.name));
        let (file, level) = (segment.name, None);
        self.add_entry(Entry::Segment { file, from, to, records, bytes, text_bytes, level });
        self.write_manifest()
    }

    pub(crate) fn take_closed(&mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.closed)
    }

    /// Removes finished segments beyond the retention, the oldest first; those that were removed, and why.
    pub(crate) fn remove_surplus(
        &mut self,
        retention: Retention,
        wall_ns: u64,
    ) -> Vec<(Stored, &'static str)> {
        let open = self.segment.as_ref().map(|segment| segment.name.as_str());
        let surplus = retention.surplus(&self.path, open, wall_ns);
        let mut removed = Vec::new();
        for (file, why) in surplus {
            let name = file.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Stored { from, to, bytes, .. } = file;
            let at = wall_ns;
            self.add_entry(Entry::Removed { at, file: name, from, to, bytes, cause: why.into() });
            // Before the file: a reader must not miss it.
            let result = self.write_manifest().and_then(|()| retention::remove(&file.path));
            if let Err(error) = result {
                warn!("{}: cannot be removed: {error}", file.path.display());
                break;
            }
            removed.push((file, why));
        }
        removed
    }

    /// Ends the segment and the manifest.
    ///
    /// # Errors
    /// The disk failed; earlier blocks are complete.
    pub(crate) fn finish(&mut self, wall_ns: u64) -> io::Result<()> {
        let ended = self.segment.take().map_or(Ok(()), |segment| self.end(segment));
        self.add_entry(Entry::Stopped { at: wall_ns });
        self.write_manifest()?;
        self.manifest.sync_all()?;
        ended
    }

    /// Ends the segment, of an engine that did not stop here.
    ///
    /// # Errors
    /// The disk failed; earlier blocks are complete.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        self.segment.take().map_or(Ok(()), |segment| self.end(segment))?;
        self.write_manifest()?;
        self.manifest.sync_all()
    }
}

fn lock_folder(path: &Path) -> io::Result<File> {
    let folder = File::open(path)?;
    match lock(&folder) {
        Ok(()) => {}
        Err(LockFault::Held(by)) => {
            return Err(io::Error::other(format!(
                "in use by {by}; stop it, or name another folder"
            )));
        }
        Err(LockFault::Impossible(error)) => {
            warn!(
                "{}: cannot be locked ({error}); make sure that no second engine uses it",
                path.display()
            );
        }
    }
    Ok(folder)
}

impl Segment {
    fn create(path: &Path, run_wall_ns: u64, number: u32, wall_ns: u64) -> io::Result<Self> {
        let stem = format!("{}-{number:03}", stamp(run_wall_ns));
        let name = format!("{stem}.ndjson.zst");
        let file = OpenOptions::new().create_new(true).write(true).open(path.join(&name))?;
        let index = path.join(format!("{stem}.index"));
        let index = OpenOptions::new().create_new(true).write(true).open(index);
        let index = index.inspect_err(|_| drop(std::fs::remove_file(path.join(&name))))?;
        let (end, marks) = (Mark::default(), Vec::new());
        Ok(Self { name, file, index, begun_wall_ns: wall_ns, end, marks })
    }

    /// Deletes a segment without blocks.
    fn remove(&self, path: &Path) {
        let _ = std::fs::remove_file(path.join(&self.name));
        if let Some(stem) = self.name.strip_suffix(".ndjson.zst") {
            let _ = std::fs::remove_file(path.join(format!("{stem}.index")));
        }
    }

    /// Goes back to the last block that is complete within `len` bytes; returns its end.
    fn cut(&mut self, len: u64) -> Mark {
        let whole = self.marks.iter().rev().find(|mark| mark.sum.bytes <= len);
        self.end = whole.copied().unwrap_or_default();
        let _ = self.file.set_len(self.end.sum.bytes);
        self.end
    }

    fn append(&mut self, packed: &[u8], block: &Block, count: FrameCount) -> io::Result<()> {
        let place = self.end.sum.bytes;
        if let Err(error) = self.file.write_all(packed) {
            // Half a frame would hide the frames after it.
            self.file.set_len(place)?;
            io::Seek::seek(&mut self.file, io::SeekFrom::Start(place))?;
            return Err(error);
        }
        // A missing index line costs a search, no record.
        let _ = self.index.write_all(block.to_line().as_bytes());
        if self.marks.len() >= CAPTURE_MARKS_MAX {
            let mut place = 0;
            self.marks.retain(|_| {
                place += 1;
                place % 2 == 0
            });
        }
        self.end.count += count;
        let sum = &mut self.end.sum;
        sum.from = if sum.records == 0 { block.from } else { sum.from.min(block.from) };
        sum.to = sum.to.max(block.to);
        sum.records += block.records;
        sum.bytes += block.bytes;
        sum.text_bytes += block.text_bytes;
        self.marks.push(self.end);
        Ok(())
    }
}

/// `20261127T071500123Z`: sorts by time and is valid on every file system.
pub(crate) fn stamp(wall_ns: u64) -> String {
    let at = Timestamp::from_nanosecond(i128::from(wall_ns)).unwrap_or(Timestamp::UNIX_EPOCH);
    let text = at.strftime("%Y%m%dT%H%M%S%3fZ").to_string();
    text.replace('.', "")
}

/// The latest time in an index of the folder.
fn last_time(path: &Path) -> Option<u64> {
    let names = std::fs::read_dir(path).ok()?.flatten().map(|entry| entry.path());
    let last = names.filter(|path| path.extension().is_some_and(|e| e == "index")).max()?;
    let text = std::fs::read_to_string(last).ok()?;
    crate::capture::index::read(&text).iter().map(|block| block.to).max()
}
