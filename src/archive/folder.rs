//! A folder of captures: its files with their indices, and its manifest.
//!
//! Runs on:  the starting thread.
use crate::base::time::SECOND_NS;
use crate::capture::index::{self, Block};
use crate::capture::manifest::{self, Entry};
use crate::io::file::{self, Source};
use crate::sink::capture::segment::Rotation;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Bounds of the files of a new capture: those of `run` without flags.
pub(super) const ROTATION: Rotation = Rotation { bytes: 1_024_000_000, ns: 3_600 * SECOND_NS };

/// Whether a capture can be written to a folder: it is new or empty.
///
/// # Errors
/// One line: it is not empty.
pub(super) fn new_folder(out: &Path) -> Result<(), String> {
    match std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) {
        true => Err(format!("--out {}: is not empty: name a new folder", out.display())),
        false => Ok(()),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) text_bytes: u64,
    pub(super) level: Option<i32>,
}

#[derive(Clone, Debug)]
pub(super) struct SegmentFile {
    pub(super) path: PathBuf,
    /// Stored length, bytes.
    pub(super) len: u64,
    /// Its index; empty without one.
    pub(super) blocks: Vec<Block>,
    /// Its line in the manifest; none while it is written, and after a killed process.
    pub(super) listed: Option<Listed>,
}

impl SegmentFile {
    pub(super) fn source(&self) -> Source {
        Source::Path(self.path.clone())
    }
}

#[derive(Clone, Debug)]
pub(super) struct CaptureFolder {
    pub(super) path: PathBuf,
    /// In chronological order.
    pub(super) segments: Vec<SegmentFile>,
    pub(super) manifest: Vec<Entry>,
    /// Numbers of the manifest's damaged lines, from 1.
    pub(super) damaged_lines: Vec<usize>,
}

impl CaptureFolder {
    /// Looks at the files; reads indices and manifest.
    ///
    /// # Errors
    /// One line: the folder has no segment, or cannot be read.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        if path.is_file() {
            return Err(format!("{shown} is a file: name the folder of a capture"));
        }
        let files = file::segments(path)?;
        if files.is_empty() {
            return Err(format!("{shown}: a folder without a capture: it has no .ndjson.zst file"));
        }
        let text = file::read_optional(&path.join(manifest::FILE)).unwrap_or_default();
        let manifest = manifest::read(&text);
        let listed = listed(&manifest);
        let segment = |path: PathBuf| {
            let source = Source::Path(path.clone());
            let len = file::look(&source)?.len.unwrap_or(0);
            let blocks = index::read(&file::read_index(&source).unwrap_or_default());
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let listed = listed.get(name).copied();
            Ok(SegmentFile { path, len, blocks, listed })
        };
        let segments = files.into_iter().map(segment).collect::<Result<_, String>>()?;
        let damaged_lines = manifest::damaged(&text);
        Ok(Self { path: path.to_owned(), segments, manifest, damaged_lines })
    }
}

/// The segments of a manifest; of two lines for one file the later one counts.
fn listed(manifest: &[Entry]) -> HashMap<&str, Listed> {
    let segment = |entry| match entry {
        &Entry::Segment { ref file, from, to, records, bytes, text_bytes, level } => {
            Some((file.as_str(), Listed { from, to, records, bytes, text_bytes, level }))
        }
        _ => None,
    };
    manifest.iter().filter_map(segment).collect()
}

#[cfg(test)]
pub(super) mod tests;
