//! Records waiting for a database or a broker that is away, one JSON object per line.
//!
//! Runs on:  the threads `trades` and `bus`; may block on the disk. Bounds: the disk.
//!
//! Lines are appended, read from the front, and remain until they are stored; the file is truncated when all are. After
//! a crash some records may be stored twice (duplicates are ignored there), none is missing. An incomplete line (disk
//! full, power failure) is skipped and counted.
use super::file::{FileState, state};
use super::lock::{LockFault, lock};
use log::warn;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read as _, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

/// What is a line of a journal.
pub trait Entry: Sized {
    /// Where another journal is named, for people.
    const REMEDY: &'static str;

    /// Appends the line, without its end.
    ///
    /// # Errors
    /// It cannot be written.
    fn write(&self, out: &mut Vec<u8>) -> io::Result<()>;

    /// Reads a line, without its end; `None` if it is none or not whole.
    fn read(line: &[u8]) -> Option<Self>;
}

fn read_line<E: Entry>(line: &[u8]) -> Option<E> {
    // The last line may lack its newline.
    E::read(line.strip_suffix(b"\n").unwrap_or(line))
}

/// The journal.
#[derive(Debug)]
pub struct Journal<E> {
    path: PathBuf,
    file: File,
    /// Bytes before this offset are stored.
    read: u64,
    /// End of the records returned by [`Journal::peek`].
    peeked: u64,
    end: u64,
    entries: PhantomData<E>,
}

/// Content of a journal left by an earlier run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalContents {
    /// Records.
    pub records: u64,
    /// Unreadable lines.
    pub incomplete: u64,
}

impl<E: Entry> Journal<E> {
    /// Opens or creates the file and counts its records.
    ///
    /// # Errors
    /// The file cannot be opened, read or repaired, or another process uses it: the engine does not start.
    pub fn open(path: &Path) -> io::Result<(Self, JournalContents)> {
        if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            let why = format!("is no regular file; name one with {}", E::REMEDY);
            return Err(io::Error::other(why));
        }
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        match lock(&file) {
            Ok(()) => {}
            Err(LockFault::Held(by)) => {
                let why =
                    format!("in use by {by}; stop it, or name another file with {}", E::REMEDY);
                return Err(io::Error::other(why));
            }
            Err(LockFault::Impossible(error)) => {
                warn!(
                    "{}: cannot be locked ({error}); make sure that no second engine uses it",
                    path.display()
                )
            }
        }
        let mut found = JournalContents::default();
        let (mut end, mut whole) = (0, true);
        let mut line = Vec::new();
        let mut reader = BufReader::new(&file);
        while reader.read_until(b'\n', &mut line)? > 0 {
            end += line.len() as u64;
            whole = line.ends_with(b"\n");
            match read_line::<E>(&line) {
                Some(_) => found.records += 1,
                None => found.incomplete += 1,
            }
            line.clear();
        }
        if !whole {
            // The next line must start on a new line.
            file.seek(SeekFrom::End(0))?;
            file.write_all(b"\n")?;
            end += 1;
        }
        let path = path.to_owned();
        Ok((Self { path, file, read: 0, peeked: 0, end, entries: PhantomData }, found))
    }

    /// Checks that the file was not deleted or truncated externally. A deleted file is rewritten; for a truncated one,
    /// returns the number of records that are left and not stored.
    ///
    /// # Errors
    /// The file cannot be rewritten or read: retry later.
    pub fn check(&mut self) -> io::Result<Option<u64>> {
        let FileState { is_deleted, len } = state(&self.file)?;
        let left = if len < self.end {
            warn!("{}: truncated by another program", self.path.display());
            self.end = len;
            self.read = self.read.min(len);
            self.peeked = self.peeked.min(len);
            Some(self.count_left()?)
        } else {
            None
        };
        if is_deleted {
            self.replace(&[])?;
            warn!("{}: deleted by another program; written again", self.path.display());
        }
        Ok(left)
    }

    fn count_left(&mut self) -> io::Result<u64> {
        self.file.seek(SeekFrom::Start(self.read))?;
        let mut reader = BufReader::new((&self.file).take(self.end - self.read));
        let (mut line, mut count) = (Vec::new(), 0);
        while reader.read_until(b'\n', &mut line)? > 0 {
            count += u64::from(read_line::<E>(&line).is_some());
            line.clear();
        }
        Ok(count)
    }

    /// Writes the file anew, with these lines before those that are not stored. A deleted file remains readable through
    /// its open descriptor.
    fn replace(&mut self, first: &[u8]) -> io::Result<()> {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".new");
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(true);
        let mut file = options.open(&name)?;
        self.file.seek(SeekFrom::Start(self.read))?;
        let written = file.write_all(first).and_then(|()| {
            io::copy(&mut (&self.file).take(self.end - self.read), &mut file)?;
            file.sync_data()?;
            std::fs::rename(&name, &self.path)
        });
        if let Err(error) = written {
            let _ = std::fs::remove_file(&name);
            return Err(error);
        }
        // A new file cannot be locked by another process.
        let _ = lock(&file);
        self.file = file;
        self.peeked = self.peeked.saturating_sub(self.read);
        self.end = self.end - self.read + first.len() as u64;
        self.read = 0;
        Ok(())
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of records that are not stored.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.end - self.read
    }

    fn lines<'a>(entries: impl IntoIterator<Item = &'a E>) -> io::Result<Vec<u8>>
    where
        E: 'a,
    {
        let mut text = Vec::new();
        for entry in entries {
            entry.write(&mut text)?;
            text.push(b'\n');
        }
        Ok(text)
    }

    /// Puts records before all others, while none is peeked.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn prepend<'a>(&mut self, entries: impl IntoIterator<Item = &'a E>) -> io::Result<()>
    where
        E: 'a,
    {
        self.replace(&Self::lines(entries)?)
    }

    /// Appends records and syncs the file.
    ///
    /// # Errors
    /// Nothing was appended: the caller retries with the same records.
    pub fn append<'a>(&mut self, entries: impl IntoIterator<Item = &'a E>) -> io::Result<()>
    where
        E: 'a,
    {
        let text = Self::lines(entries)?;
        self.file.seek(SeekFrom::Start(self.end))?;
        if let Err(error) = self.file.write_all(&text).and_then(|()| self.file.sync_data()) {
            // A partial append must not precede later lines.
            let _ = self.file.set_len(self.end);
            return Err(error);
        }
        self.end += text.len() as u64;
        Ok(())
    }

    /// Fills `batch` with the next records that are not stored, at most `count`. They stay in the
    /// journal until [`Journal::consume`].
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn peek(&mut self, count: usize, batch: &mut Vec<E>) -> io::Result<()> {
        batch.clear();
        self.file.seek(SeekFrom::Start(self.read))?;
        self.peeked = self.read;
        let mut reader = BufReader::new((&self.file).take(self.end - self.read));
        let mut line = Vec::new();
        while batch.len() < count && reader.read_until(b'\n', &mut line)? > 0 {
            self.peeked += line.len() as u64;
            batch.extend(read_line::<E>(&line));
            line.clear();
        }
        Ok(())
    }

    /// The peeked records are stored. Truncates the file when all are.
    ///
    /// # Errors
    /// The file cannot be truncated: the next run submits its records again.
    pub fn consume(&mut self) -> io::Result<()> {
        self.read = self.peeked.min(self.end);
        if self.read == self.end && self.end > 0 {
            self.file.set_len(0)?;
            (self.read, self.peeked, self.end) = (0, 0, 0);
        }
        Ok(())
    }
}
