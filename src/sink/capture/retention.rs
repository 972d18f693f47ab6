//! Old files of a capture: which are removed, and when.
//!
//! Runs on:  the thread `capture`.
use crate::capture::index;
use crate::io::file::{self, Source};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// How much of a folder is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Files whose last record is older are removed, nanoseconds.
    pub ns: Option<u64>,
    /// The oldest files are removed until the folder has no more, bytes.
    pub bytes: Option<u64>,
}

/// A finished file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) path: PathBuf,
    /// With its index, bytes.
    pub(crate) bytes: u64,
    /// Receive times, nanoseconds since the Unix epoch.
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl Retention {
    /// The finished files of a folder to remove, oldest first, each with the reason; the file `open` and its bytes
    /// count but stay.
    pub(super) fn surplus(
        self,
        folder: &Path,
        open: Option<&str>,
        wall_ns: u64,
    ) -> Vec<(Stored, &'static str)> {
        if self == Self::default() {
            return Vec::new();
        }
        let is_open = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()) == open;
        let all = file::segments(folder).unwrap_or_default();
        let (open, finished): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|path| open.is_some() && is_open(path));
        let open_bytes: u64 = open.iter().map(|path| stored_bytes(path)).sum();
        self.choose(finished.into_iter().filter_map(stored).collect(), open_bytes, wall_ns)
    }

    fn choose(
        self,
        finished: Vec<Stored>,
        open_bytes: u64,
        wall_ns: u64,
    ) -> Vec<(Stored, &'static str)> {
        let mut total = open_bytes + finished.iter().map(|file| file.bytes).sum::<u64>();
        let mut surplus = Vec::new();
        for file in finished {
            let is_old = self.ns.is_some_and(|ns| file.to.saturating_add(ns) < wall_ns);
            let is_much = self.bytes.is_some_and(|bytes| total > bytes);
            let why = match (is_old, is_much) {
                (true, _) => "older than --capture-keep-days",
                (_, true) => "the folder has more than --capture-keep-gb",
                _ => break,
            };
            total -= file.bytes;
            surplus.push((file, why));
        }
        surplus
    }
}

fn index_of(path: &Path) -> Option<PathBuf> {
    let stem = path.to_str()?.strip_suffix(".ndjson.zst")?;
    Some(format!("{stem}.index").into())
}

fn stored_bytes(path: &Path) -> u64 {
    let len = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    len(path) + index_of(path).map_or(0, |index| len(&index))
}

fn stored(path: PathBuf) -> Option<Stored> {
    let blocks = index::read(&file::read_index(&Source::Path(path.clone())).unwrap_or_default());
    let modified = || {
        let at = std::fs::metadata(&path).ok()?.modified().ok()?;
        u64::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_nanos()).ok()
    };
    let to = blocks.iter().map(|block| block.to).max().or_else(modified)?;
    let from = blocks.iter().map(|block| block.from).min().unwrap_or(to);
    let bytes = stored_bytes(&path);
    Some(Stored { path, bytes, from, to })
}

/// Removes a file and its index.
pub(super) fn remove(path: &Path) -> std::io::Result<()> {
    std::fs::remove_file(path)?;
    match index_of(path).map(std::fs::remove_file) {
        Some(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
