//! Files that are read from one end to the other: plain, zstd or gzip, by content and not by name.
//!
//! Runs on:  plain threads; may block. Knows no venue and no format of lines.
//! Bounds:   two buffers of 128 KiB a file, and what zstd's window needs (at most 128 MiB).
use super::gzip_members::GzipMembers;
pub use super::packed::Damage;
use super::zstd_frames::ZstdFrames;
use crate::base::limits::SECRET_BYTES_MAX;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FallocateFlags, OFlags};
use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read, Seek as _, SeekFrom};
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const BUFFER_BYTES: usize = 128 * 1024;
/// Bytes that tell how a source is stored.
const MAGIC_BYTES: usize = 4;
/// Bytes of a first read, so that whoever looks at the beginning sees more than the form's mark. A
/// pipe gives what it has.
const HEAD_BYTES: usize = 4096;
/// While a pipe is silent the stop flag is looked at this often.
const STOP_LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Where input comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Standard input.
    Stdin,
    /// A file, pipe or device.
    Path(PathBuf),
}

impl Source {
    /// `-` is standard input, anything else a path.
    #[must_use]
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

/// What can be known of a source without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Bytes as stored, compressed or not; `None` for pipes.
    pub len: Option<u64>,
}

/// Looks whether a source can be read.
///
/// # Errors
/// Why not, in words for a person: *say it and end*.
pub fn look(source: &Source) -> Result<Facts, String> {
    let Source::Path(path) = source else { return Ok(Facts { len: None }) };
    let metadata = std::fs::metadata(path).map_err(|error| explain(source, &error))?;
    if metadata.is_dir() {
        return Err(format!("{source} is a folder without a capture: name the files in it"));
    }
    if !metadata.is_file() {
        // A pipe that was opened and closed again would have lost its writer.
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

/// How the bytes are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As they are.
    Plain,
    /// One or more zstd frames.
    Zstd,
    /// One or more gzip members.
    Gzip,
}

impl Form {
    /// By the first bytes.
    #[must_use]
    pub fn of(head: &[u8]) -> Self {
        match head {
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [0x1f, 0x8b, ..] => Self::Gzip,
            _ => Self::Plain,
        }
    }

    /// One word for messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }
}

/// An open source: its bytes, decompressed.
pub struct Input {
    /// The bytes.
    pub reader: Box<dyn BufRead>,
    /// How they are stored.
    pub form: Form,
    /// Bytes read so far as stored.
    pub taken: Arc<AtomicU64>,
}

/// The index beside a segment of a capture, if there is one.
#[must_use]
pub fn read_index(source: &Source) -> Option<String> {
    let Source::Path(path) = source else { return None };
    let stem = path.to_str()?.strip_suffix(".ndjson.zst")?;
    std::fs::read_to_string(format!("{stem}.index")).ok()
}

/// A small text beside files that are read, if it is there.
#[must_use]
pub fn read_beside(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// The indices of a capture's segments in a folder.
#[must_use]
pub fn indices(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths.filter(|path| path.extension().is_some_and(|end| end == "index")).collect()
}

/// The segments of a capture in a folder, in the order of their times; none if it holds none.
///
/// # Errors
/// Why it cannot be listed, in words for a person: *say it and end*.
pub fn segments(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries =
        std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let paths = entries.flatten().map(|entry| entry.path());
    let is_segment = |path: &PathBuf| path.to_str().is_some_and(|p| p.ends_with(".ndjson.zst"));
    let mut found: Vec<PathBuf> = paths.filter(is_segment).collect();
    found.sort();
    Ok(found)
}

/// Reads a small file that the user names: a regular one of at most `bytes_max` bytes. What never ends (a pipe that
/// nobody writes to, `/dev/zero`) is refused without reading it.
///
/// # Errors
/// It cannot be read, is no regular file or is too large; in words for a person: *say it and end*.
pub fn read_small(path: &Path, bytes_max: u64) -> Result<Vec<u8>, String> {
    read_checked(path, bytes_max, |_| Ok(()))
}

/// The same of a file that nobody but its owner may read: a key, a password.
///
/// # Errors
/// As [`read_small`]; or others may read it.
pub fn read_private(path: &Path) -> Result<Vec<u8>, String> {
    use std::os::unix::fs::PermissionsExt as _;
    read_checked(path, SECRET_BYTES_MAX, |metadata| {
        if metadata.permissions().mode() & 0o077 == 0 {
            return Ok(());
        }
        let shown = path.display();
        Err(format!("{shown}: others may read it; `chmod 600 {shown}` mends that"))
    })
}

fn read_checked(
    path: &Path,
    bytes_max: u64,
    check: impl Fn(&Metadata) -> Result<(), String>,
) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let fault = |error: io::Error| format!("{shown}: cannot be read: {error}");
    // Looked at before it is opened, because opening a device may do something; and again afterwards,
    // because it may be another file by then.
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

/// What the file system knows of an open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileState {
    /// Somebody has deleted it: what is written into it is gone when it is closed.
    pub is_deleted: bool,
    /// Its length, bytes.
    pub len: u64,
}

/// Looks at an open file.
///
/// # Errors
/// The file system's.
pub fn state(file: &File) -> io::Result<FileState> {
    let metadata = file.metadata()?;
    Ok(FileState { is_deleted: metadata.nlink() == 0, len: metadata.len() })
}

/// Has the disk keep room for `bytes` more behind a file's end, so that they can be written when it is full. Where
/// the file system cannot do that, nothing happens.
pub fn reserve(file: &File, bytes: u64) {
    if let Ok(FileState { len, .. }) = state(file) {
        let _ = rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, len, bytes);
    }
}

/// Opens a source. Once `stop` is set a pipe looks as if it had ended.
///
/// # Errors
/// Why it cannot be read, in words for a person: *say it and end*.
pub fn open(source: &Source, stop: &Arc<AtomicBool>) -> Result<Input, String> {
    open_part(source, stop, 0..u64::MAX)
}

/// The same with a part of a regular file, in bytes as stored; another source is read whole.
///
/// # Errors
/// Why it cannot be read, in words for a person: *say it and end*.
pub fn open_part(
    source: &Source,
    stop: &Arc<AtomicBool>,
    part: Range<u64>,
) -> Result<Input, String> {
    let fault = |error: io::Error| explain(source, &error);
    let (fd, patient) = match source {
        Source::Stdin => (io::stdin().as_fd().try_clone_to_owned().map_err(fault)?, true),
        Source::Path(path) => {
            let mut file = File::open(path).map_err(fault)?;
            let patient = !file.metadata().map_err(fault)?.is_file();
            if !patient && part.start > 0 {
                file.seek(SeekFrom::Start(part.start)).map_err(fault)?;
            }
            (OwnedFd::from(file), patient)
        }
    };
    let taken = Arc::new(AtomicU64::new(0));
    let stop = patient.then(|| Arc::clone(stop));
    let left = part.end.saturating_sub(part.start);
    let mut raw = Taps { file: File::from(fd), left, taken: Arc::clone(&taken), stop };
    let mut head = [0; HEAD_BYTES];
    let mut filled = 0;
    while filled < MAGIC_BYTES {
        match raw.read(&mut head[filled..]).map_err(fault)? {
            0 => break,
            n => filled += n,
        }
    }
    let form = match (Form::of(&head[..filled]), source) {
        // The beginning of the file is damaged; reading begins at the next frame.
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

/// Counts what is read, and lets a waiting read be stopped.
struct Taps {
    file: File,
    /// Bytes that are to be read.
    left: u64,
    taken: Arc<AtomicU64>,
    stop: Option<Arc<AtomicBool>>,
}

impl Read for Taps {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while let Some(stop) = &self.stop {
            if stop.load(Ordering::Relaxed) {
                return Ok(0);
            }
            let mut fds = [PollFd::new(&self.file, PollFlags::IN)];
            match poll(&mut fds, Some(&STOP_LOOK)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                // What the poll cannot say, the read will.
                Ok(_) | Err(_) => break,
            }
        }
        let most = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        loop {
            match self.file.read(&mut into[..most]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => {
                    self.left -= *result.as_ref().unwrap_or(&0) as u64;
                    self.taken.fetch_add(*result.as_ref().unwrap_or(&0) as u64, Ordering::Relaxed);
                    return result;
                }
            }
        }
    }
}

/// Creates a file for results, or empties it.
///
/// # Errors
/// Why it cannot be written, in words for a person: *say it and end*.
pub fn create(path: &Path) -> Result<File, String> {
    File::create(path).map_err(|error| {
        format!("cannot write {}: {error}; name a file in a folder that exists", path.display())
    })
}

/// True when both paths lead to one existing file.
#[must_use]
pub fn same_file(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn read(bytes: &[u8]) -> (Form, String, Option<ErrorKind>) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let source = Source::of(file.path().to_owned());
        assert_eq!(look(&source), Ok(Facts { len: Some(bytes.len() as u64) }));
        let mut input = open(&source, &Arc::default()).unwrap();
        let mut text = Vec::new();
        let fault = input.reader.read_to_end(&mut text).err().map(|error| error.kind());
        assert!(fault.is_some() || input.taken.load(Ordering::Relaxed) == bytes.len() as u64);
        (input.form, String::from_utf8(text).unwrap(), fault)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_form_follows_the_content_and_parts_are_joined() {
        assert_eq!(read(b""), (Form::Plain, String::new(), None));
        assert_eq!(read(b"ab"), (Form::Plain, "ab".into(), None));
        let zstd = |bytes: &[u8]| zstd::stream::encode_all(bytes, 1).unwrap();
        let two = [zstd(b"one\n"), zstd(b"two\n")].concat();
        assert_eq!(read(&two), (Form::Zstd, "one\ntwo\n".into(), None));
        let two = [gzip(b"one\n"), gzip(b"two\n")].concat();
        assert_eq!(read(&two), (Form::Gzip, "one\ntwo\n".into(), None));
        let skippable = [b"\x50\x2a\x4d\x18\x01\0\0\0x".to_vec(), zstd(b"one\n")].concat();
        assert_eq!(read(&skippable), (Form::Zstd, "one\n".into(), None));
    }

    #[test]
    fn a_cut_stream_gives_what_is_there_and_then_an_unexpected_end() {
        let text = "0123456789abcdef\n".repeat(60_000);
        for whole in [zstd::stream::encode_all(text.as_bytes(), 1).unwrap(), gzip(text.as_bytes())]
        {
            let cut = [&whole[..], &whole[..whole.len() - 1]].concat();
            let (_, got, fault) = read(&cut);
            assert_eq!(fault, Some(ErrorKind::UnexpectedEof));
            assert!(got.len() >= text.len() && got.starts_with(&text));
        }
    }

    #[test]
    fn the_first_look_sees_as_much_of_a_plain_file_as_of_a_packed_one() {
        let text = b"{}\n".repeat(HEAD_BYTES);
        let packed = zstd::stream::encode_all(&text[..], 1).unwrap();
        for bytes in [&text, &packed] {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(bytes).unwrap();
            let mut input = open(&Source::of(file.path().to_owned()), &Arc::default()).unwrap();
            let seen = input.reader.fill_buf().unwrap();
            assert!(seen.len() >= HEAD_BYTES && text.starts_with(seen), "{} bytes", seen.len());
        }
    }

    #[test]
    fn a_small_file_is_regular_and_bounded_and_a_secret_is_the_owners() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "secret").unwrap();
        assert_eq!(read_small(&path, 6), Ok(b"secret".to_vec()));
        let large = read_small(&path, 5).unwrap_err();
        assert!(large.contains("is larger than"), "{large}");
        for mode in [0o640, 0o604, 0o666, 0o610] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let open = read_private(&path).unwrap_err();
            assert!(open.contains("others may read it; `chmod 600"), "{open}");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read_private(&path), Ok(b"secret".to_vec()));
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        for endless in [&pipe, Path::new("/dev/zero"), folder.path()] {
            let refused = read_small(endless, 1 << 20).unwrap_err();
            assert!(refused.contains("is no regular file"), "{refused}");
        }
        assert!(read_private(&pipe).unwrap_err().contains("is no regular file"));
    }

    #[test]
    fn what_cannot_be_read_is_explained() {
        let missing = look(&Source::of("/no/such/file".into())).unwrap_err();
        assert!(missing.contains("/no/such/file: no such file"), "{missing}");
        let folder = look(&Source::of("/tmp".into())).unwrap_err();
        assert!(folder.contains("is a folder without a capture"), "{folder}");
    }
}
