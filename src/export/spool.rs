//! Rows by key: collected in any order of the keys, read back key by key.
//!
//! Runs on:  the exporting thread. Owns: a temporary file without a name in the output folder, once rows exceed memory.
//! Bounds:   `EXPORT_SPOOL_BYTES` of rows in memory, 16 bytes for each chunk in the file.
use super::table::create_folder;
use crate::base::limits::EXPORT_SPOOL_BYTES;
use std::collections::HashMap;
use std::fs::File;
use std::hash::Hash;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// Fast, and the rows of one key are alike.
const ZSTD_LEVEL: i32 = 1;

/// Rows of a key, compressed, in the file.
struct Chunk {
    offset: u64,
    packed: u32,
    plain: u32,
}

/// The rows of a key, in the order in which they were added.
#[derive(Default)]
pub(super) struct Part {
    chunks: Vec<Chunk>,
    /// Those behind the chunks.
    waiting: Vec<u8>,
    pub(super) rows: u64,
}

/// Rows of all keys. A row is bytes; it is never divided among chunks.
pub(super) struct Spool<K> {
    folder: PathBuf,
    parts: HashMap<K, Part>,
    file: Option<File>,
    /// Bytes in the file.
    end: u64,
    /// Bytes in memory.
    waiting: usize,
    most: usize,
}

impl<K: Clone + Eq + Hash + Ord> Spool<K> {
    /// A spool whose file will be in `folder`, which is created.
    pub(super) fn create(folder: &Path) -> Result<Self, String> {
        create_folder(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            parts: HashMap::new(),
            file: None,
            end: 0,
            waiting: 0,
            most: EXPORT_SPOOL_BYTES,
        })
    }

    /// Adds a row: `fill` appends its bytes.
    pub(super) fn add(&mut self, key: K, fill: impl FnOnce(&mut Vec<u8>)) -> Result<(), String> {
        let part = self.parts.entry(key).or_default();
        let before = part.waiting.len();
        fill(&mut part.waiting);
        part.rows += 1;
        self.waiting += part.waiting.len() - before;
        if self.waiting < self.most { Ok(()) } else { self.flush() }
    }

    /// Moves all rows in memory to the file.
    fn flush(&mut self) -> Result<(), String> {
        let Self { folder, parts, file, end, .. } = self;
        let explain =
            |error: std::io::Error| format!("cannot write to {}: {error}", folder.display());
        let file = match file {
            Some(file) => file,
            None => file.insert(unnamed(folder).map_err(explain)?),
        };
        for part in parts.values_mut().filter(|part| !part.waiting.is_empty()) {
            let packed = zstd::bulk::compress(&part.waiting, ZSTD_LEVEL).map_err(explain)?;
            file.seek(SeekFrom::Start(*end)).map_err(explain)?;
            file.write_all(&packed).map_err(explain)?;
            let chunk = Chunk {
                offset: *end,
                packed: packed.len() as u32,
                plain: part.waiting.len() as u32,
            };
            *end += u64::from(chunk.packed);
            part.chunks.push(chunk);
            part.waiting = Vec::new();
        }
        self.waiting = 0;
        Ok(())
    }

    /// The keys in order, each with its rows, which are in memory no longer or read with [`Spool::each`].
    pub(super) fn take_parts(&mut self) -> Vec<(K, Part)> {
        let mut parts: Vec<(K, Part)> = self.parts.drain().collect();
        parts.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        self.waiting = 0;
        parts
    }

    /// Calls `each` with the rows of a key, some at a time.
    pub(super) fn each(
        &self,
        part: &Part,
        mut each: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        let explain = |error: std::io::Error| {
            format!("cannot read the temporary file of {}: {error}", self.folder.display())
        };
        for chunk in &part.chunks {
            let Some(mut file) = self.file.as_ref() else { break };
            let mut packed = vec![0; chunk.packed as usize];
            file.seek(SeekFrom::Start(chunk.offset)).map_err(explain)?;
            file.read_exact(&mut packed).map_err(explain)?;
            each(&zstd::bulk::decompress(&packed, chunk.plain as usize).map_err(explain)?)?;
        }
        each(&part.waiting)
    }
}

/// A file that is gone when the process is.
fn unnamed(folder: &Path) -> std::io::Result<File> {
    let path = folder.join("rows.unfinished");
    let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests;
