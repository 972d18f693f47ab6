//! A file of 64-bit words that other processes map.
//!
//! Runs on:  main thread (open), any (words). Owns: the mapping, and the lock of the file of a writer.
//!
//! The file belongs in a memory file system (`/dev/shm`); elsewhere the kernel writes its pages to the disk.
use super::lock::{LockFault, lock};
use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{FallocateFlags, OFlags, fallocate};
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::atomic::AtomicU64;

const WORD: usize = size_of::<AtomicU64>();

const FOREIGN: &str = "is no table of this ringbook's version; name another file, or delete this one if nobody needs it";

/// The mapped words of a file.
#[derive(Debug)]
pub struct SharedWords {
    map: MmapRaw,
    /// Holds the lock of a writer.
    _file: File,
}

impl SharedWords {
    /// Makes a file of `count` zero words, readable by everybody, or opens one of this user that has as many and that
    /// `is_ours` accepts. No other process can do so before this one has dropped it.
    ///
    /// # Errors
    /// One line: what is wrong with the path, and the remedy.
    pub fn create(
        path: &Path,
        count: usize,
        is_ours: impl FnOnce(&[AtomicU64]) -> bool,
    ) -> Result<Self, String> {
        let (file, bytes) = (open_file(path).map_err(|error| error.to_string())?, count * WORD);
        let found = file.metadata().map_err(|error| error.to_string())?;
        if !found.is_file() {
            return Err("is no file; name one in /dev/shm".into());
        }
        if found.uid() != rustix::process::geteuid().as_raw() {
            return Err("belongs to another user; name another file".into());
        }
        lock(&file).map_err(|fault| match fault {
            LockFault::Held(by) => format!("is written by {by}; name another file"),
            LockFault::Impossible(error) => format!("cannot be locked: {error}"),
        })?;
        let is_new = found.len() == 0;
        if !is_new && found.len() != bytes as u64 {
            return Err(FOREIGN.into());
        }
        if is_new {
            // A page that the file system has no room for would end the process when it is written.
            fallocate(&file, FallocateFlags::empty(), 0, bytes as u64).map_err(|error| {
                drop(std::fs::remove_file(path));
                format!("needs {} MB of shared memory: {error}", bytes.div_ceil(1_000_000))
            })?;
        }
        let map = MmapOptions::new().len(bytes).map_raw(&file).map_err(|e| e.to_string())?;
        let this = Self { map, _file: file };
        if !is_new && !is_ours(this.words()) {
            return Err(FOREIGN.into());
        }
        let readable = this._file.set_permissions(Permissions::from_mode(0o644));
        readable.map_err(|error| error.to_string())?;
        Ok(this)
    }

    /// Maps a file to read it. A store to its words ends the process.
    ///
    /// # Errors
    /// It cannot be opened or mapped.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        Ok(Self { map: MmapOptions::new().map_raw_read_only(&file)?, _file: file })
    }

    /// The words.
    #[inline]
    #[expect(unsafe_code, reason = "a mapping has no safe form as atomic words")]
    pub fn words(&self) -> &[AtomicU64] {
        let (first, count) = (self.map.as_ptr().cast::<AtomicU64>(), self.map.len() / WORD);
        // SAFETY: the mapping begins at a page, so words are aligned; it has `count` words, of which each pattern of
        // bits is valid; it is not unmapped before `self` is dropped; and this process reaches it through atomics only.
        unsafe { std::slice::from_raw_parts(first, count) }
    }
}

/// Id of this process, for readers.
pub fn process_id() -> u64 {
    u64::from(rustix::process::getpid().as_raw_nonzero().get().unsigned_abs())
}

fn open_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o644);
    options.custom_flags(OFlags::NOFOLLOW.bits() as i32).open(path)
}

#[cfg(test)]
mod tests;
