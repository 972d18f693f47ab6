//! The files of a capture: segments of zstd frames, their indices, the manifest.
//!
//! Runs on:  the capture's thread. Owns: the files.
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

/// Level 1 is the cheapest and, on what venues really send, the smallest.
const LEVEL: i32 = 1;

/// When a segment ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rotation {
    /// At so many bytes.
    pub(super) bytes: u64,
    /// After so many nanoseconds.
    pub(super) ns: u64,
}

/// What has been written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) records: u64,
    pub(super) text_bytes: u64,
    pub(super) bytes: u64,
    pub(super) segments: u64,
    pub(super) written_wall_ns: u64,
}

/// What was written and is there no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    /// Frames, and trades in them.
    pub(super) count: FrameCount,
    /// What became of them.
    pub(super) cause: String,
}

/// A segment up to the end of one of its blocks.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    /// All blocks together.
    sum: Block,
    /// Frames in them.
    count: FrameCount,
}

/// A segment that is being written.
#[derive(Debug)]
struct Segment {
    name: String,
    file: File,
    index: File,
    begun_wall_ns: u64,
    /// As far as it is written.
    end: Mark,
    /// Earlier ends, in order, in case the file is cut; every second one is forgotten when there are too many.
    marks: Vec<Mark>,
}

/// The folder of a capture.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// The folder itself: no second process writes into it.
    lock: File,
    manifest: File,
    rotation: Rotation,
    segment: Option<Segment>,
    /// Segments of this process.
    number: u32,
    begun_wall_ns: u64,
    shards: u16,
    text: Vec<u8>,
    /// Frames in the text.
    count: FrameCount,
    block: Block,
    packed: Vec<u8>,
    /// What the manifest is to be told once it can be written.
    untold: Vec<Entry>,
    latest_ns: u64,
    totals: Totals,
}

impl Folder {
    /// Makes the folder if it is missing, and says in its manifest what is missing since an earlier run; gives
    /// that too.
    pub(super) fn open(
        path: &Path,
        rotation: Rotation,
        wall_ns: u64,
        shards: u16,
    ) -> io::Result<(Self, Option<String>)> {
        std::fs::create_dir_all(path)?;
        let lock = take(path)?;
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
                "nothing ran"
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
        // A line that a killed process left torn ends here.
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
            untold: Vec::new(),
            latest_ns: wall_ns,
            totals: Totals::default(),
        };
        Ok((folder, gap.map(|(_, cause)| cause.to_owned())))
    }

    /// Where a record of that time is to be appended.
    pub(super) fn text(&mut self, receive_ns: u64) -> &mut Vec<u8> {
        self.block.add(receive_ns);
        self.latest_ns = self.latest_ns.max(receive_ns);
        &mut self.text
    }

    /// The record that was appended last is a frame.
    pub(super) fn count_frame(&mut self, frame: FrameCount) {
        self.count += frame;
    }

    /// Bytes of text that are not written yet.
    pub(super) fn waiting(&self) -> usize {
        self.text.len()
    }

    /// The latest time of a record.
    pub(super) fn latest(&self) -> u64 {
        self.latest_ns
    }

    /// What has been written.
    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    /// Has the manifest say something with the next write.
    pub(super) fn tell(&mut self, entry: Entry) {
        self.untold.push(entry);
    }

    /// Writes what waits as one zstd frame, and what the manifest is to be told.
    ///
    /// # Errors
    /// The disk's: *try again later*; nothing is lost, and nothing of it is in the files.
    pub(super) fn flush(&mut self, wall_ns: u64) -> io::Result<()> {
        self.rotate(wall_ns)?;
        let segment = match &mut self.segment {
            Some(segment) => segment,
            None => {
                // Another number each time: what a failed attempt left behind is not in the way.
                let number = self.number;
                self.number += 1;
                if !self.path.exists() {
                    self.begin_manifest_again()?;
                }
                let segment = Segment::create(&self.path, self.begun_wall_ns, number, wall_ns)?;
                self.totals.segments += 1;
                self.segment.insert(segment)
            }
        };
        let mut first = Vec::new();
        let mut text = &self.text;
        if segment.end.sum.records == 0 {
            write_header(&mut first, self.block.from);
            first.extend_from_slice(text);
            text = &first;
        }
        self.packed.clear();
        let mut encoder = zstd::stream::Encoder::new(&mut self.packed, LEVEL)?;
        // Whoever reads it later can tell damage from data.
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
        self.tell_manifest()
    }

    fn forget_text(&mut self) {
        self.text.clear();
        self.count = FrameCount::default();
        self.block = Block::default();
    }

    /// Looks whether the segment at hand is still what was written. Where it was deleted or cut, the manifest is told
    /// of the gap, and the next block goes into another segment.
    pub(super) fn check(&mut self) -> Option<Missing> {
        let end = self.segment.as_ref()?.end;
        let FileState { is_deleted, len } = state(&self.segment.as_ref()?.file).ok()?;
        if !is_deleted && len >= end.sum.bytes {
            return None;
        }
        let mut segment = self.segment.take()?;
        let (kept, what) =
            if is_deleted { (Mark::default(), "deleted") } else { (segment.cut(len), "cut") };
        let name = &segment.name;
        let cause = format!("{name} was {what} by somebody else while it was being written");
        let count = end.count.minus(kept.count);
        let from = if kept.sum.records == 0 { end.sum.from } else { kept.sum.to };
        let (to, connection, shard) = (end.sum.to, None, None);
        let (frames, trades) = (Some(count.frames), Some(count.trades));
        let why = cause.clone();
        if kept.sum.records > 0 {
            // What is left of it is whole. A disk that fails now is met again by the next block.
            let _ = self.end(segment);
        } else if !is_deleted {
            segment.remove(&self.path);
        }
        self.tell(Entry::Gap { from, to, connection, shard, frames, trades, cause: why });
        let _ = self.tell_manifest();
        Some(Missing { count, cause })
    }

    /// Gives up what waits, with the frames that never came as far: the manifest is told.
    pub(super) fn give_up(&mut self, unsent: FrameCount, wall_ns: u64, cause: &str) -> FrameCount {
        let mut count = std::mem::take(&mut self.count);
        count += unsent;
        let from = if self.block.records > 0 { self.block.from } else { self.latest_ns };
        let (to, cause) = (wall_ns, cause.to_owned());
        let (frames, trades) = (Some(count.frames), Some(count.trades));
        let (connection, shard) = (None, None);
        self.tell(Entry::Gap { from, to, connection, shard, frames, trades, cause });
        self.forget_text();
        count
    }

    fn tell_manifest(&mut self) -> io::Result<()> {
        if self.untold.is_empty() {
            return Ok(());
        }
        if state(&self.manifest)?.is_deleted {
            self.begin_manifest_again()?;
        }
        let lines: String = self.untold.iter().map(Entry::to_line).collect();
        self.manifest.write_all(lines.as_bytes())?;
        self.untold.clear();
        reserve(&self.manifest, CAPTURE_MANIFEST_RESERVE_BYTES);
        Ok(())
    }

    /// The manifest was deleted, and the folder may be, too.
    fn begin_manifest_again(&mut self) -> io::Result<()> {
        let name = self.path.join(manifest::FILE);
        if !self.path.exists() {
            std::fs::create_dir_all(&self.path)?;
            self.lock = take(&self.path)?;
        }
        warn!("{} was deleted by somebody else; it begins anew", name.display());
        self.manifest = OpenOptions::new().create(true).append(true).open(name)?;
        let (at, shards) = (self.begun_wall_ns, self.shards);
        let version = env!("CARGO_PKG_VERSION").to_owned();
        self.untold.insert(0, Entry::Started { at, version, shards });
        Ok(())
    }

    /// Ends the segment at hand if it is large or old enough.
    fn rotate(&mut self, wall_ns: u64) -> io::Result<()> {
        let Rotation { bytes, ns } = self.rotation;
        let done = |s: &mut Segment| s.end.sum.bytes >= bytes || wall_ns >= s.begun_wall_ns + ns;
        self.segment.take_if(done).map_or(Ok(()), |segment| self.end(segment))
    }

    fn end(&mut self, segment: Segment) -> io::Result<()> {
        let Block { from, to, records, bytes, text_bytes, .. } = segment.end.sum;
        if records == 0 {
            // Nothing could be written into it.
            segment.remove(&self.path);
            return Ok(());
        }
        segment.file.sync_all()?;
        self.tell(Entry::Segment { file: segment.name, from, to, records, bytes, text_bytes });
        self.tell_manifest()
    }

    /// Ends everything.
    ///
    /// # Errors
    /// The disk's; what was written before is whole.
    pub(super) fn finish(&mut self, wall_ns: u64) -> io::Result<()> {
        let ended = self.segment.take().map_or(Ok(()), |segment| self.end(segment));
        self.tell(Entry::Stopped { at: wall_ns });
        self.tell_manifest()?;
        self.manifest.sync_all()?;
        ended
    }
}

/// Locks the folder.
fn take(path: &Path) -> io::Result<File> {
    let folder = File::open(path)?;
    match lock(&folder) {
        Ok(()) => {}
        Err(LockFault::Held(by)) => {
            return Err(io::Error::other(format!(
                "in use by {by}; stop it, or name another folder"
            )));
        }
        Err(LockFault::Impossible(error)) => {
            warn!("{}: cannot be locked ({error}); let no second engine use it", path.display());
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

    /// Deletes a segment that holds nothing.
    fn remove(&self, path: &Path) {
        let _ = std::fs::remove_file(path.join(&self.name));
        if let Some(stem) = self.name.strip_suffix(".ndjson.zst") {
            let _ = std::fs::remove_file(path.join(format!("{stem}.index")));
        }
    }

    /// Goes back to the last block that is whole in `len` bytes; gives that place.
    fn cut(&mut self, len: u64) -> Mark {
        let whole = self.marks.iter().rev().find(|mark| mark.sum.bytes <= len);
        self.end = whole.copied().unwrap_or_default();
        let _ = self.file.set_len(self.end.sum.bytes);
        self.end
    }

    fn append(&mut self, packed: &[u8], block: &Block, count: FrameCount) -> io::Result<()> {
        let place = self.end.sum.bytes;
        if let Err(error) = self.file.write_all(packed) {
            // Half a frame would hide what comes after it.
            self.file.set_len(place)?;
            io::Seek::seek(&mut self.file, io::SeekFrom::Start(place))?;
            return Err(error);
        }
        // A line of the index that is missing costs a search, no record.
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

/// `20261127T071500123Z`: sorts by time, and no file system minds it.
fn stamp(wall_ns: u64) -> String {
    let at = Timestamp::from_nanosecond(i128::from(wall_ns)).unwrap_or(Timestamp::UNIX_EPOCH);
    let text = at.strftime("%Y%m%dT%H%M%S%3fZ").to_string();
    text.replace('.', "")
}

/// The latest time that an index of the folder knows.
fn last_time(path: &Path) -> Option<u64> {
    let names = std::fs::read_dir(path).ok()?.flatten().map(|entry| entry.path());
    let last = names.filter(|path| path.extension().is_some_and(|e| e == "index")).max()?;
    let text = std::fs::read_to_string(last).ok()?;
    crate::capture::index::read(&text).iter().map(|block| block.to).max()
}
