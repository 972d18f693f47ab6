//! The files of a capture: segments of zstd frames, their indices, the manifest.
//!
//! Runs on:  the capture's thread. Owns: the files.
use crate::capture::index::Block;
use crate::capture::manifest::{self, Entry};
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

/// A segment that is being written.
#[derive(Debug)]
struct Segment {
    name: String,
    file: File,
    index: File,
    begun_wall_ns: u64,
    /// All blocks together.
    sum: Block,
}

/// The folder of a capture.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// The folder itself, locked: no second process writes into it.
    _lock: File,
    manifest: File,
    rotation: Rotation,
    segment: Option<Segment>,
    /// Segments of this process.
    number: u32,
    begun_wall_ns: u64,
    text: Vec<u8>,
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
            let (connection, shard, frames) = (None, None, None);
            lines += &Entry::Gap { from, to, connection, shard, frames, cause }.to_line();
        }
        let version = env!("CARGO_PKG_VERSION").to_owned();
        lines += &Entry::Started { at: wall_ns, version, shards }.to_line();
        // A line that a killed process left torn ends here.
        if !earlier.is_empty() {
            lines.insert(0, '\n');
        }
        manifest.write_all(lines.as_bytes())?;
        let folder = Self {
            path: path.to_owned(),
            _lock: lock,
            manifest,
            rotation,
            segment: None,
            number: 0,
            begun_wall_ns: wall_ns,
            text: Vec::new(),
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
                let segment =
                    Segment::create(&self.path, self.begun_wall_ns, self.number, wall_ns)?;
                self.number += 1;
                self.totals.segments += 1;
                self.segment.insert(segment)
            }
        };
        self.packed.clear();
        zstd::stream::copy_encode(&self.text[..], &mut self.packed, LEVEL)?;
        let (offset, bytes) = (segment.sum.bytes, self.packed.len() as u64);
        let block = Block { offset, bytes, text_bytes: self.text.len() as u64, ..self.block };
        segment.append(&self.packed, &block)?;
        self.totals.records += block.records;
        self.totals.text_bytes += block.text_bytes;
        self.totals.bytes += block.bytes;
        self.totals.written_wall_ns = wall_ns;
        self.text.clear();
        self.block = Block::default();
        self.tell_manifest()
    }

    fn tell_manifest(&mut self) -> io::Result<()> {
        if self.untold.is_empty() {
            return Ok(());
        }
        let lines: String = self.untold.iter().map(Entry::to_line).collect();
        self.manifest.write_all(lines.as_bytes())?;
        self.untold.clear();
        Ok(())
    }

    /// Ends the segment at hand if it is large or old enough.
    fn rotate(&mut self, wall_ns: u64) -> io::Result<()> {
        let Rotation { bytes, ns } = self.rotation;
        let done = |s: &mut Segment| s.sum.bytes >= bytes || wall_ns >= s.begun_wall_ns + ns;
        self.segment.take_if(done).map_or(Ok(()), |segment| self.end(segment))
    }

    fn end(&mut self, segment: Segment) -> io::Result<()> {
        segment.file.sync_all()?;
        let Block { from, to, records, bytes, text_bytes, .. } = segment.sum;
        self.tell(Entry::Segment { file: segment.name, from, to, records, bytes, text_bytes });
        self.tell_manifest()
    }

    /// Ends everything.
    ///
    /// # Errors
    /// The disk's; what was written before is whole.
    pub(super) fn finish(&mut self, wall_ns: u64) -> io::Result<()> {
        if let Some(segment) = self.segment.take() {
            self.end(segment)?;
        }
        self.tell(Entry::Stopped { at: wall_ns });
        self.tell_manifest()?;
        self.manifest.sync_all()
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
        let index = OpenOptions::new().create_new(true).write(true).open(index)?;
        Ok(Self { name, file, index, begun_wall_ns: wall_ns, sum: Block::default() })
    }

    fn append(&mut self, packed: &[u8], block: &Block) -> io::Result<()> {
        if let Err(error) = self.file.write_all(packed) {
            // Half a frame would hide what comes after it.
            self.file.set_len(self.sum.bytes)?;
            io::Seek::seek(&mut self.file, io::SeekFrom::Start(self.sum.bytes))?;
            return Err(error);
        }
        // A line of the index that is missing costs a search, no record.
        let _ = self.index.write_all(block.to_line().as_bytes());
        let sum = &mut self.sum;
        sum.from = if sum.records == 0 { block.from } else { sum.from.min(block.from) };
        sum.to = sum.to.max(block.to);
        sum.records += block.records;
        sum.bytes += block.bytes;
        sum.text_bytes += block.text_bytes;
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
