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

/// Bytes of a word.
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
    #[must_use]
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
#[must_use]
pub fn process_id() -> u64 {
    u64::from(rustix::process::getpid().as_raw_nonzero().get().unsigned_abs())
}

fn open_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o644);
    options.custom_flags(OFlags::NOFOLLOW.bits() as i32).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    const COUNT: usize = 1_000;

    fn is_ours(words: &[AtomicU64]) -> bool {
        words[0].load(Ordering::Relaxed) == 7
    }

    #[test]
    fn words_are_shared_and_there_is_one_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("words");
        let writer = SharedWords::create(&path, COUNT, is_ours).unwrap();
        let reader = SharedWords::open(&path).unwrap();
        assert_eq!((writer.words().len(), reader.words().len()), (COUNT, COUNT));
        writer.words()[0].store(7, Ordering::Release);
        writer.words()[COUNT - 1].store(8, Ordering::Release);
        assert_eq!(reader.words()[COUNT - 1].load(Ordering::Acquire), 8);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        let second = SharedWords::create(&path, COUNT, is_ours).unwrap_err();
        assert!(second.starts_with("is written by process"), "{second}");
        drop(writer);
        let again = SharedWords::create(&path, COUNT, is_ours).unwrap();
        assert_eq!(
            again.words()[COUNT - 1].load(Ordering::Relaxed),
            8,
            "readers keep their mapping"
        );
    }

    /// For Miri, which maps no files.
    #[test]
    fn the_words_are_those_of_the_mapping() {
        let map = MmapOptions::new().len(COUNT * WORD).map_anon().unwrap();
        let shared = SharedWords { map: map.into(), _file: File::open("/dev/null").unwrap() };
        assert_eq!(shared.words().len(), COUNT);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                (0..COUNT as u64).for_each(|place| {
                    shared.words()[place as usize].store(place + 1, Ordering::Release);
                });
            });
            while shared.words()[COUNT - 1].load(Ordering::Acquire) == 0 {
                std::hint::spin_loop();
            }
            // What is written before the last word is seen with it.
            let seen = shared.words().iter().map(|word| word.load(Ordering::Relaxed));
            assert!(seen.eq(1..=COUNT as u64));
            writer.join().unwrap();
        });
    }

    #[test]
    fn other_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("words");
        let refused = |path: &Path| SharedWords::create(path, COUNT, is_ours).unwrap_err();
        for content in [b"text".to_vec(), vec![1; COUNT * WORD]] {
            std::fs::write(&path, &content).unwrap();
            assert_eq!(refused(&path), FOREIGN);
            assert_eq!(std::fs::read(&path).unwrap(), content);
        }
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(!refused(&link).is_empty() && !refused(folder.path()).is_empty());
        assert!(!refused(&folder.path().join("none/words")).is_empty());
    }
}
