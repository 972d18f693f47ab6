//! Sequential input files: plain, zstd or gzip, detected by content.
//!
//! Runs on:  plain threads; may block.
//! Bounds:   two buffers of 128 KiB per file, and zstd's window (at most 128 MiB).
use super::gzip_members::GzipMembers;
pub use super::packed::Damage;
use super::zstd_frames::ZstdFrames;
use crate::base::limits::SECRET_BYTES_MAX;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FallocateFlags, OFlags};
use rustix::io::Errno;
use std::fmt::Display;
use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const BUFFER_BYTES: usize = 128 * 1024;
/// Bytes needed to detect the form.
const MAGIC_BYTES: usize = 4;
/// Bytes of the first read, so that a caller that inspects the head sees more than the magic number. A pipe returns
/// what it has.
const HEAD_BYTES: usize = 4096;
/// Interval of stop flag checks while a pipe is silent.
const STOP_LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// An input source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Standard input.
    Stdin,
    /// A file, pipe or device.
    Path(PathBuf),
}

impl Source {
    /// `-` is standard input, any other argument a path.
    pub fn of(argument: PathBuf) -> Self {
        if argument.as_os_str() == "-" { Self::Stdin } else { Self::Path(argument) }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stdin => f.write_str("standard input"),
            Self::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Properties of a source, known without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Stored length, bytes; `None` for pipes.
    pub len: Option<u64>,
}

/// Checks that a source can be read.
///
/// # Errors
/// The reason as text: *report and exit*.
pub fn look(source: &Source) -> Result<Facts, String> {
    let Source::Path(path) = source else { return Ok(Facts { len: None }) };
    let metadata = std::fs::metadata(path).map_err(|error| explain(source, &error))?;
    if metadata.is_dir() {
        return Err(format!("{source} is a folder without a capture: name the files in it"));
    }
    if !metadata.is_file() {
        // Opening and closing a pipe would disconnect its writer.
        return Ok(Facts { len: None });
    }
    File::open(path).map_err(|error| explain(source, &error))?;
    Ok(Facts { len: Some(metadata.len()) })
}

fn explain(source: &Source, error: &io::Error) -> String {
    let advice = match error.kind() {
        ErrorKind::NotFound => "no such file: check the name, or use `-` for standard input",
        ErrorKind::PermissionDenied => "permission denied: run as a user who may read it",
        _ => return format!("cannot read {source}: {error}"),
    };
    format!("cannot read {source}: {advice}")
}

/// Storage form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Uncompressed.
    Plain,
    /// One or more zstd frames.
    Zstd,
    /// One or more gzip members.
    Gzip,
}

impl Form {
    /// Detects the form by the first bytes.
    pub fn of(head: &[u8]) -> Self {
        match head {
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [0x1f, 0x8b, ..] => Self::Gzip,
            _ => Self::Plain,
        }
    }

    /// Name for messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }
}

/// An open source.
pub struct Input {
    /// Decompressed bytes.
    pub reader: Box<dyn BufRead>,
    /// Storage form.
    pub form: Form,
    /// Stored bytes read so far.
    pub taken: Arc<AtomicU64>,
}

/// The index beside a capture segment, if there is one.
pub fn read_index(source: &Source) -> Option<String> {
    let Source::Path(path) = source else { return None };
    let stem = path.to_str()?.strip_suffix(".ndjson.zst")?;
    std::fs::read_to_string(format!("{stem}.index")).ok()
}

/// The text of a small file, if it exists.
pub fn read_optional(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// Index files of a capture's segments in a folder.
pub fn indices(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths.filter(|path| path.extension().is_some_and(|end| end == "index")).collect()
}

/// Capture segments in a folder, in chronological order; empty if there are none.
///
/// # Errors
/// The folder cannot be listed; as text: *report and exit*.
pub fn segments(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries =
        std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let paths = entries.flatten().map(|entry| entry.path());
    let is_segment = |path: &PathBuf| path.to_str().is_some_and(|p| p.ends_with(".ndjson.zst"));
    let mut found: Vec<PathBuf> = paths.filter(is_segment).collect();
    found.sort();
    Ok(found)
}

/// Folders in a folder, by name.
///
/// # Errors
/// The folder cannot be listed; as text: *report and exit*.
pub fn folders(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries =
        std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let paths = entries.flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = paths.filter(|path| path.is_dir()).collect();
    found.sort();
    Ok(found)
}

/// Reads a small file named by the user: a regular file of at most `bytes_max` bytes. Endless files (a pipe,
/// `/dev/zero`) are refused unread.
///
/// # Errors
/// It is unreadable, not regular or too large; as text: *report and exit*.
pub fn read_small(path: &Path, bytes_max: u64) -> Result<Vec<u8>, String> {
    read_checked(path, bytes_max, |_| Ok(()))
}

/// [`read_small`] for a secret, which only its owner may have access to.
///
/// # Errors
/// As [`read_small`]; or others have access.
pub fn read_private(path: &Path) -> Result<Vec<u8>, String> {
    use std::os::unix::fs::PermissionsExt as _;
    read_checked(path, SECRET_BYTES_MAX, |metadata| {
        if metadata.permissions().mode() & 0o077 == 0 {
            return Ok(());
        }
        let shown = path.display();
        Err(format!("{shown}: others may read it; `chmod 600 {shown}` corrects that"))
    })
}

/// Writes a file that only its owner may read, and replaces an older one as a whole.
///
/// # Errors
/// It cannot be written.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    // Left over from a process that was killed.
    let _ = std::fs::remove_file(&new);
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

fn read_checked(
    path: &Path,
    bytes_max: u64,
    check: impl Fn(&Metadata) -> Result<(), String>,
) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let fault = |error: io::Error| format!("{shown}: cannot be read: {error}");
    // Checked before opening, because opening a device may have effects, and again afterwards, because the path may
    // have been replaced.
    let is_regular = |metadata: Metadata| match metadata.is_file() {
        true => Ok(metadata),
        false => Err(format!("{shown}: is no regular file; name one")),
    };
    is_regular(std::fs::metadata(path).map_err(fault)?)?;
    let mut options = File::options();
    let file = options.read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path);
    let file = file.map_err(fault)?;
    check(&is_regular(file.metadata().map_err(fault)?)?)?;
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(fault)?;
    if bytes.len() as u64 > bytes_max {
        return Err(format!(
            "{shown}: is larger than {} KiB, which no such file is; check the name",
            bytes_max / 1024
        ));
    }
    Ok(bytes)
}

/// File system state of an open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileState {
    /// Deleted: its content is lost when it is closed.
    pub is_deleted: bool,
    /// Length, bytes.
    pub len: u64,
}

/// State of an open file.
pub fn state(file: &File) -> io::Result<FileState> {
    let metadata = file.metadata()?;
    Ok(FileState { is_deleted: metadata.nlink() == 0, len: metadata.len() })
}

/// Reserves disk space for `bytes` beyond the end of the file, so that they can be written when the disk is full. Best
/// effort.
pub fn reserve(file: &File, bytes: u64) {
    if let Ok(FileState { len, .. }) = state(file) {
        let _ = rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, len, bytes);
    }
}

/// Opens a source. Once `stop` is set, a pipe reads as ended.
///
/// # Errors
/// It cannot be read; as text: *report and exit*.
pub fn open(source: &Source, stop: &Arc<AtomicBool>) -> Result<Input, String> {
    open_part(source, stop, 0..u64::MAX)
}

/// [`open`] for a range of a regular file, in stored bytes; other sources are read whole.
///
/// # Errors
/// It cannot be read; as text: *report and exit*.
pub fn open_part(
    source: &Source,
    stop: &Arc<AtomicBool>,
    part: Range<u64>,
) -> Result<Input, String> {
    let fault = |error: io::Error| explain(source, &error);
    let (fd, is_pipe) = match source {
        Source::Stdin => (io::stdin().as_fd().try_clone_to_owned().map_err(fault)?, true),
        Source::Path(path) => {
            let is_pipe = !path.metadata().map_err(fault)?.is_file();
            // The open of a named pipe would wait for a writer, and nothing could stop it.
            let flags = if is_pipe { OFlags::NONBLOCK } else { OFlags::empty() };
            let mut options = File::options();
            let mut file = (options.read(true).custom_flags(flags.bits().cast_signed()))
                .open(path)
                .map_err(fault)?;
            if !is_pipe && part.start > 0 {
                file.seek(SeekFrom::Start(part.start)).map_err(fault)?;
            }
            (OwnedFd::from(file), is_pipe)
        }
    };
    let taken = Arc::new(AtomicU64::new(0));
    let stop = is_pipe.then(|| Arc::clone(stop));
    let left = part.end.saturating_sub(part.start);
    let mut raw = StoppableFile { file: File::from(fd), left, taken: Arc::clone(&taken), stop };
    let mut head = [0; HEAD_BYTES];
    let mut filled = 0;
    while filled < MAGIC_BYTES {
        match raw.read(&mut head[filled..]).map_err(fault)? {
            0 => break,
            n => filled += n,
        }
    }
    let form = match (Form::of(&head[..filled]), source) {
        // The head is damaged; reading begins at the next frame.
        (Form::Plain, Source::Path(path))
            if head[..filled].iter().any(|byte| *byte == 0 || *byte >= 0x80) =>
        {
            match path.extension().and_then(|end| end.to_str()) {
                Some("zst") => Form::Zstd,
                Some("gz") => Form::Gzip,
                _ => Form::Plain,
            }
        }
        (form, _) => form,
    };
    let whole = Cursor::new(head).take(filled as u64).chain(raw);
    let whole = BufReader::with_capacity(BUFFER_BYTES, whole);
    let reader: Box<dyn BufRead> = match form {
        Form::Plain => Box::new(whole),
        Form::Zstd => {
            let decoder = ZstdFrames::new(whole, part.start).map_err(fault)?;
            Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder))
        }
        Form::Gzip => {
            let decoder = GzipMembers::new(whole, part.start);
            Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder))
        }
    };
    Ok(Input { reader, form, taken })
}

/// A file reader that counts bytes and can be stopped while waiting.
struct StoppableFile {
    file: File,
    /// Remaining bytes of the range.
    left: u64,
    taken: Arc<AtomicU64>,
    stop: Option<Arc<AtomicBool>>,
}

impl Read for StoppableFile {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        loop {
            if let Some(stop) = &self.stop {
                if stop.load(Ordering::Relaxed) {
                    return Ok(0);
                }
                let mut fds = [PollFd::new(&self.file, PollFlags::IN)];
                if matches!(poll(&mut fds, Some(&STOP_LOOK)), Ok(0) | Err(Errno::INTR)) {
                    continue;
                }
                // The read reports the error.
            }
            match self.file.read(&mut into[..most]) {
                Err(error)
                    if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
                result => {
                    self.left -= *result.as_ref().unwrap_or(&0) as u64;
                    self.taken.fetch_add(*result.as_ref().unwrap_or(&0) as u64, Ordering::Relaxed);
                    return result;
                }
            }
        }
    }
}

/// Creates or truncates an output file.
///
/// # Errors
/// It cannot be written; as text: *report and exit*.
pub fn create(path: &Path) -> Result<File, String> {
    File::create(path).map_err(|error| {
        format!("cannot write {}: {error}; name a file in a folder that exists", path.display())
    })
}

/// An output file that replaces what its path has when it is complete; until then it has the suffix `.unfinished`. A
/// path that is no regular file, as `/dev/stdout`, is written to.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    path: PathBuf,
    /// Where it is until it is complete.
    unfinished: Option<PathBuf>,
}

impl NewFile {
    /// Creates it, so that what cannot be written is known before the work.
    ///
    /// # Errors
    /// One line with path and remedy.
    pub fn create(path: &Path) -> Result<Self, String> {
        if path.metadata().is_ok_and(|facts| !facts.is_file()) {
            return Ok(Self { file: append(path)?, path: path.to_owned(), unfinished: None });
        }
        let mut name = path.to_owned().into_os_string();
        name.push(".unfinished");
        let unfinished = PathBuf::from(name);
        let file = create(&unfinished)?;
        Ok(Self { file, path: path.to_owned(), unfinished: Some(unfinished) })
    }

    /// Standard output as a file: what was printed before is before it.
    ///
    /// # Errors
    /// One line: there is none.
    pub fn standard_output() -> Result<Self, String> {
        let file = super::output::as_file();
        let file = file.map_err(|error| format!("cannot write standard output: {error}"))?;
        Ok(Self { file, path: "standard output".into(), unfinished: None })
    }

    /// Writes it whole and gives it its name.
    ///
    /// # Errors
    /// One line with the path; nothing is left of it.
    pub fn finish(mut self, bytes: &[u8]) -> Result<(), String> {
        self.file.write_all(bytes).map_err(|error| self.explain(error))?;
        self.complete()
    }

    /// Gives it its name: all of it has been written.
    ///
    /// # Errors
    /// One line with the path; nothing is left of it.
    pub fn complete(mut self) -> Result<(), String> {
        if let Some(from) = &self.unfinished {
            std::fs::rename(from, &self.path).map_err(|error| self.explain(error))?;
        }
        self.unfinished = None;
        Ok(())
    }

    /// One line with the path.
    pub fn explain(&self, error: impl Display) -> String {
        format!("cannot write {}: {error}", self.path.display())
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).inspect_err(super::output::note_error)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for NewFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(unfinished) = &self.unfinished {
            // It is not complete, and nobody waits for it.
            let _ = std::fs::remove_file(unfinished);
        }
    }
}

/// Opens a file to write behind what it has.
///
/// # Errors
/// One line with path and remedy.
pub fn append(path: &Path) -> Result<File, String> {
    File::options().append(true).open(path).map_err(|error| {
        format!("cannot write {}: {error}; name a file in a folder that exists", path.display())
    })
}

/// Whether both paths are one existing file.
pub fn same_file(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
